/* SPDX-License-Identifier: Apache-2.0 */
#include "link/rejects.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/limits.h"
#include "link/dircl.h"

#define NAME_ROOM 96U
#define LIST_MAX 4096U

static_assert(BUNDLE_MAX < REJECTS_BYTES, "any one bundle can be kept");

static const char *file_name(const struct rejects_file *f, char out[NAME_ROOM])
{
    snprintf(out, NAME_ROOM, "%016" PRIx64 "-%u-%s", f->number, (unsigned)f->rc, rc_name(f->rc));
    return out;
}

static void drop_oldest(struct rejects *r)
{
    char name[NAME_ROOM];

    (void)unlinkat(r->dirfd, file_name(&r->file[0], name), 0);
    r->bytes -= r->file[0].size;
    r->n--;
    memmove(&r->file[0], &r->file[1], r->n * sizeof r->file[0]);
}

/* Append f, whose number is the highest, after making room for it. */
static void add(struct rejects *r, const struct rejects_file *f)
{
    while (r->n == REJECTS_FILES || (r->n > 0 && r->bytes + f->size > REJECTS_BYTES))
        drop_oldest(r);
    r->file[r->n++] = *f;
    r->bytes += f->size;
    r->next = f->number + 1;
}

struct list {
    size_t n;
    int dirfd;
    struct rejects_file file[LIST_MAX];
};

static bool list_name(void *arg, const char *name)
{
    struct list *l = arg;
    struct rejects_file f = { 0 };
    struct stat st;
    char again[NAME_ROOM];
    char *end = NULL;

    f.number = strtoull(name, &end, 16);
    f.rc = *end == '-' ? rc_from_number(strtoull(end + 1, NULL, 10)) : RC_OK;
    if (strcmp(file_name(&f, again), name) != 0 || f.number == UINT64_MAX ||
        fstatat(l->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode)) {
        dircl_remove(l->dirfd, name);
        return true;
    }
    f.size = (uint64_t)st.st_size;
    l->file[l->n++] = f;
    return l->n < LIST_MAX;
}

static int by_number(const void *a, const void *b)
{
    const struct rejects_file *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

enum rc rejects_open(int dirfd, struct rejects *ret, struct err *err)
{
    scoped(free_ptr) struct list *l = calloc(1, sizeof *l);

    if (l == NULL)
        return err_set(err, RC_NO_MEMORY, "list of refused bundles");
    l->dirfd = dirfd;
    enum rc rc = fs_list(dirfd, ".", LIST_MAX, list_name, l, NULL, err);
    if (rc != RC_OK)
        return rc;
    qsort(l->file, l->n, sizeof l->file[0], by_number);
    *ret = (struct rejects){ .dirfd = dirfd, .next = 1 };
    for (size_t i = 0; i < l->n; i++)
        add(ret, &l->file[i]);
    return RC_OK;
}

/* Copy a file that cannot be renamed because it lies on another file system. */
static enum rc copy(const struct rejects *r, int from_dirfd, const char *name, const char *to,
                    struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    scoped(close_fd) int fd = -1;
    size_t n = 0;
    enum rc rc = fs_read_alloc(from_dirfd, name, BUNDLE_MAX, &buf, &n, err);

    if (rc == RC_OK)
        rc = fs_open(r->dirfd, to, O_WRONLY | O_CREAT | O_TRUNC, 0600, &fd, err);
    return rc == RC_OK ? fs_write_all(fd, (struct bytes){ buf, n }, err) : rc;
}

bool rejects_take(struct rejects *r, int from_dirfd, const char *name, enum rc why)
{
    struct rejects_file f = { .number = r->next, .rc = why };
    struct stat st;
    char to[NAME_ROOM];
    struct err err;

    if (fstatat(from_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        st.st_nlink != 1 || st.st_size <= 0 || st.st_size > (off_t)BUNDLE_MAX) {
        return dircl_remove(from_dirfd, name);
    }
    f.size = (uint64_t)st.st_size;
    file_name(&f, to);
    add(r, &f);
    if (renameat(from_dirfd, name, r->dirfd, to) == 0)
        return true;
    if (copy(r, from_dirfd, name, to, &err) != RC_OK)
        (void)unlinkat(r->dirfd, to, 0);
    return dircl_remove(from_dirfd, name);
}
