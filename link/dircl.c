/* SPDX-License-Identifier: Apache-2.0 */
#include "link/dircl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define STALE_MS (UINT64_C(3600) * 1000U)

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
    if (rc == RC_OK && renameat(dirfd, tmp, dirfd, name) < 0)
        rc = err_sys(err, RC_IO, "rename to %s", name);
    if (rc != RC_OK)
        (void)unlinkat(dirfd, tmp, 0);
    return rc;
}

enum rc dircl_sync(int dirfd, struct err *err)
{
    return fs_sync(dirfd, "bundle directory", err);
}

static bool is_bundle_name(const char *name)
{
    size_t n = strlen(name);
    size_t suffix = sizeof DIRCL_SUFFIX - 1;

    return n > suffix && n < DIRCL_NAME_CAP && strcmp(name + n - suffix, DIRCL_SUFFIX) == 0;
}

/* A writer's temporary file that nobody will finish. */
static bool is_stale(int dirfd, const char *name, uint64_t unix_ms)
{
    struct stat st;

    return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           st.st_mtime >= 0 && (uint64_t)st.st_mtime * 1000 + STALE_MS < unix_ms;
}

struct scan_arg {
    int dirfd;
    uint64_t unix_ms;
    struct dircl_scan *scan;
};

static bool scan_name(void *arg, const char *name)
{
    struct scan_arg *a = arg;
    struct dircl_scan *s = a->scan;

    if (name[0] == '.') {
        if (is_stale(a->dirfd, name, a->unix_ms))
            (void)unlinkat(a->dirfd, name, 0);
        return true;
    }
    if (!is_bundle_name(name)) {
        dircl_remove(a->dirfd, name);
        s->junk++;
        return true;
    }
    if (s->n == DIRCL_SCAN_MAX) {
        s->more = true;
        return false;
    }
    memcpy(s->name[s->n++], name, strlen(name) + 1);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

enum rc dircl_scan(int dirfd, struct dircl_scan *ret, struct err *err)
{
    struct scan_arg arg = { .dirfd = dirfd, .unix_ms = clock_unix_ms(), .scan = ret };
    bool more = false;

    ret->n = ret->junk = 0;
    ret->more = false;
    enum rc rc = fs_list(dirfd, ".", DIRCL_LIST_MAX, scan_name, &arg, &more, err);
    ret->more |= more;
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

void dircl_remove(int dirfd, const char *name)
{
    char hidden[300];
    struct err err;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return;
    if (fs_remove_tree(dirfd, name, &err) == RC_OK)
        return;
    snprintf(hidden, sizeof hidden, ".%.250s", name);
    (void)renameat(dirfd, name, dirfd, hidden);
}
