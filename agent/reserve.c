/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reserve.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/fs.h"

#define SPARE                                                                                      \
    8U /* times the reserve must be free, or it would take what others are about to use            \
        */

static void name_of(unsigned i, char out[16])
{
    (void)snprintf(out, 16, "%u", i);
}

static bool has_spare(int dir)
{
    struct statvfs st;

    return fstatvfs(dir, &st) == 0 &&
           (uint64_t)st.f_bavail * st.f_frsize >=
               (uint64_t)SPARE * RESERVE_FILES * RESERVE_FILE_BYTES &&
           (st.f_files == 0 || st.f_favail >= SPARE * RESERVE_FILES);
}

static bool is_whole(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_size == RESERVE_FILE_BYTES;
}

/* Random bytes: a file system that compresses or shares blocks holds nothing back for others. */
static bool make_file(int dir, const char *name)
{
    scoped(free_ptr) uint8_t *noise = malloc(RESERVE_FILE_BYTES);
    struct err err = { 0 };

    if (!noise)
        return false;
    crypto_random(noise, RESERVE_FILE_BYTES);
    return fs_write_file(dir, name, (struct bytes){ noise, RESERVE_FILE_BYTES }, 0600, &err) ==
           RC_OK;
}

bool reserve_fill(int state_dir)
{
    scoped(close_fd) int dir = -1;
    struct err err = { 0 };
    bool whole = true;

    if (fs_open_dir(state_dir, RESERVE_DIR, 0700, &dir, &err) != RC_OK)
        return false;
    for (unsigned i = 0; whole && i < RESERVE_FILES; i++) {
        char name[16];

        name_of(i, name);
        whole = is_whole(dir, name) || (has_spare(dir) && make_file(dir, name));
    }
    return whole;
}

bool reserve_release(int state_dir)
{
    scoped(close_fd) int dir = -1;
    struct err err = { 0 };
    bool freed = false;

    if (fs_open(state_dir, RESERVE_DIR, O_RDONLY | O_DIRECTORY, 0, &dir, &err) != RC_OK)
        return false;
    for (unsigned i = 0; i < RESERVE_FILES; i++) {
        char name[16];

        name_of(i, name);
        freed |= unlinkat(dir, name, 0) == 0;
    }
    return freed;
}
