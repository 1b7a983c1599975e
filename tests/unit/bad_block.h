/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/bad_block: a directory of which only the first names can be read, as where one of its
 * blocks is bad.  It stands in the place of the C library's readdir, so include it in one file of a
 * program only.
 */
#ifndef BERTH_TESTS_UNIT_BAD_BLOCK_H
#define BERTH_TESTS_UNIT_BAD_BLOCK_H

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

static struct {
    bool on;
    struct stat dir;
    size_t names; /* that can be read, in the order of the directory */
    size_t seen;
    const char *lost; /* or NULL: none that ends so can be read, and the error comes at the end */
} bad_block;

/* Every listing of this directory ends with EIO in the place of the name behind so many, until
 * bad_block.on is false.  A directory with no more names has no such place. */
static inline bool bad_block_at(int dirfd, const char *name, size_t names)
{
    bad_block.names = names;
    bad_block.lost = NULL;
    bad_block.on = fstatat(dirfd, name, &bad_block.dir, 0) == 0;
    return bad_block.on;
}

static inline bool bad_block_in(DIR *d)
{
    struct stat st;

    return bad_block.on && fstat(dirfd(d), &st) == 0 && st.st_ino == bad_block.dir.st_ino &&
           st.st_dev == bad_block.dir.st_dev;
}

static inline bool bad_block_hides(const char *name)
{
    size_t n = strlen(name), end = bad_block.lost ? strlen(bad_block.lost) : n + 1;

    return n >= end && strcmp(name + n - end, bad_block.lost) == 0;
}

struct dirent *readdir(DIR *d)
{
    bool first = telldir(d) == 0;
    struct dirent *e = (struct dirent *)readdir64(d);

    if (!bad_block_in(d))
        return e;
    if (first)
        bad_block.seen = 0;
    while (e && bad_block_hides(e->d_name))
        e = (struct dirent *)readdir64(d);
    if (!e && bad_block.lost)
        errno = EIO;
    if (!e)
        return NULL;
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
        return e;
    if (bad_block.seen++ < bad_block.names)
        return e;
    errno = EIO;
    return NULL;
}

#endif
