/* SPDX-License-Identifier: Apache-2.0 */
#include "link/dircl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"

/* Where a file system renames over nothing that is there, there is none of that name for a moment:
 * a reader that looks then finds the new one the next time. */
static enum rc replace(int dirfd, const char *from, const char *to, struct err *err)
{
    if (renameat(dirfd, from, dirfd, to) == 0)
        return RC_OK;
    if (errno == EEXIST && unlinkat(dirfd, to, 0) == 0 && renameat(dirfd, from, dirfd, to) == 0)
        return RC_OK;
    return err_sys(err, RC_IO, "rename to %s", to);
}

enum rc dircl_put(int dirfd, const char *name, struct bytes bundle, struct err *err)
{
    char tmp[DIRCL_NAME_CAP + 1];
    scoped(close_fd) int fd = -1;

    if (strlen(name) >= DIRCL_NAME_CAP)
        return err_set(err, RC_NAME, "%s", name);
    snprintf(tmp, sizeof tmp, ".%s", name);
    /* One writer per directory: a leftover of that name is its own, from before a power cut; or
     * something else that was put there, and is not opened (a FIFO would never let go). */
    dircl_remove(dirfd, tmp);
    enum rc rc = fs_open(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL, 0644, &fd, err);
    if (rc == RC_OK)
        rc = fs_write_all(fd, bundle, err);
    if (rc == RC_OK)
        rc = fs_sync(fd, tmp, err);
    close_fd(&fd); /* some file systems do not rename what is open */
    if (rc == RC_OK)
        rc = replace(dirfd, tmp, name, err);
    if (rc != RC_OK)
        (void)unlinkat(dirfd, tmp, 0);
    return rc;
}

enum rc dircl_sync(int dirfd, struct err *err)
{
    if (fsync(dirfd) == 0)
        return RC_OK;
    /* Not every file system can sync a directory by itself. */
    if ((errno == EINVAL || errno == EOPNOTSUPP) && syncfs(dirfd) == 0)
        return RC_OK;
    return err_sys(err, RC_IO, "fsync bundle directory");
}

static bool is_bundle_name(const char *name)
{
    size_t n = strlen(name);
    size_t suffix = sizeof DIRCL_SUFFIX - 1;

    return n > suffix && n < DIRCL_NAME_CAP && strcmp(name + n - suffix, DIRCL_SUFFIX) == 0;
}

struct scan_arg {
    int dirfd;
    uint64_t unix_ms;
    size_t hidden; /* left alone */
    size_t foreign;
    struct dircl_scan *scan;
};

/* Whether a file of another name is one that a writer will still finish: not an hour from now
 * either way (a clock may have jumped), and not one of a flood. */
static bool is_being_written(const struct scan_arg *a, const struct stat *st, size_t n, size_t max)
{
    uint64_t written = st->st_mtime < 0 ? 0 : (uint64_t)st->st_mtime * 1000U;

    return S_ISREG(st->st_mode) && n < max && written + DIRCL_STALE_MS >= a->unix_ms &&
           written <= a->unix_ms + DIRCL_STALE_MS;
}

/* Leave alone what a writer may be writing, and directories that could not be removed. */
static void scan_hidden(struct scan_arg *a, const char *name)
{
    struct stat st;

    if (fstatat(a->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (is_being_written(a, &st, a->hidden, DIRCL_HIDDEN_MAX))
        a->hidden++;
    else if (unlinkat(a->dirfd, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) == 0)
        a->scan->junk++;
}

/* The same of a name that can be seen: not every carrier hides what it has not finished. */
static void scan_foreign(struct scan_arg *a, const char *name)
{
    struct stat st;

    if (fstatat(a->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (is_being_written(a, &st, a->foreign, DIRCL_FOREIGN_MAX))
        a->foreign++;
    else
        a->scan->junk += dircl_remove(a->dirfd, name) ? 1 : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int by_name_backwards(const void *a, const void *b)
{
    return strcmp(b, a);
}

/* Put name in the place of the greatest one, which is the root of a heap, and mend the heap. */
static void replace_greatest(struct dircl_scan *s, const char *name)
{
    size_t at = 0;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < s->n && strcmp(s->name[child + 1], s->name[child]) > 0)
            child++;
        if (child >= s->n || strcmp(s->name[child], name) <= 0)
            break;
        memcpy(s->name[at], s->name[child], DIRCL_NAME_CAP);
        at = child;
    }
    memcpy(s->name[at], name, strlen(name) + 1);
}

/* Keep the first names there are, whatever order the directory gives them in: bundles are numbered,
 * and one taken long before its turn would make the replay window give up those before it. */
static void keep_name(struct dircl_scan *s, const char *name)
{
    if (s->n < DIRCL_SCAN_MAX) {
        memcpy(s->name[s->n++], name, strlen(name) + 1);
        /* The greatest first is a heap. */
        if (s->n == DIRCL_SCAN_MAX)
            qsort(s->name, s->n, sizeof s->name[0], by_name_backwards);
        return;
    }
    s->more = true;
    if (strcmp(name, s->name[0]) < 0)
        replace_greatest(s, name);
}

static bool scan_name(void *arg, const char *name)
{
    struct scan_arg *a = arg;
    struct dircl_scan *s = a->scan;

    if (s->junk == DIRCL_JUNK_MAX) {
        s->more = true;
        return false;
    }
    if (name[0] == '.')
        scan_hidden(a, name);
    else if (!is_bundle_name(name))
        scan_foreign(a, name);
    else
        keep_name(s, name);
    return true;
}

enum rc dircl_scan(int dirfd, uint64_t unix_ms, struct dircl_scan *ret, struct err *err)
{
    struct scan_arg arg = { .dirfd = dirfd, .unix_ms = unix_ms, .scan = ret };
    bool more = false;

    ret->n = ret->junk = 0;
    ret->more = false;
    enum rc rc = fs_list(dirfd, ".", DIRCL_LIST_MAX, scan_name, &arg, &more, err);
    ret->more |= more;
    /* Names behind a bad block must not keep those before it from being worked on; when there are
     * none of these any more, it is told. */
    if (rc != RC_OK && ret->n + ret->junk > 0) {
        ret->more = true;
        rc = RC_OK;
    }
    qsort(ret->name, ret->n, sizeof ret->name[0], by_name);
    return rc;
}

enum rc dircl_read(int dirfd, const char *name, uint8_t *buf, size_t cap, size_t *ret_n,
                   struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    enum rc rc = fs_open_plain(dirfd, name, cap, &fd, &size, err);

    if (rc != RC_OK)
        return rc;
    if (size == 0)
        return err_set(err, RC_SHORT, "empty file");
    rc = fs_pread_exact(fd, buf, (size_t)size, 0, err);
    if (rc == RC_OK)
        *ret_n = (size_t)size;
    return rc;
}

bool dircl_remove(int dirfd, const char *name)
{
    char hidden[64];
    char hex[33];
    uint8_t tag[16];
    struct err err;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return true;
    if (fs_remove_tree(dirfd, name, &err) == RC_OK)
        return true;
    /* A name that nobody can have taken before. */
    crypto_random(tag, sizeof tag);
    snprintf(hidden, sizeof hidden, ".refused-%s",
             bytes_hex((struct bytes){ tag, sizeof tag }, hex));
    return renameat(dirfd, name, dirfd, hidden) == 0;
}
