/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PATH_CAP 4096U

enum rc fs_open(int dirfd, const char *path, int flags, mode_t mode, int *ret_fd, struct err *err)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
        .mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };

    /* AT_FDCWD is only ever given by programs for paths that their caller chose. */
    if (dirfd == AT_FDCWD)
        how.resolve = 0;

    long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof how);

    if (fd < 0)
        return err_sys(err, RC_IO, "open %s", path);
    *ret_fd = (int)fd;
    return RC_OK;
}

enum rc fs_open_dir(int dirfd, const char *path, mode_t mode, int *ret_fd, struct err *err)
{
    if (mkdirat(dirfd, path, mode) < 0 && errno != EEXIST)
        return err_sys(err, RC_IO, "mkdir %s", path);
    return fs_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

enum rc fs_open_plain(int dirfd, const char *path, uint64_t max, int *ret_fd, uint64_t *ret_size,
                      struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct stat st;
    struct err why;
    enum rc rc = fs_open(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, &why);

    if (rc != RC_OK && (why.sys == ELOOP || why.sys == ENXIO))
        return err_set(err, RC_NOT_REGULAR, "%s", path);
    if (rc != RC_OK && err)
        *err = why;
    if (rc != RC_OK)
        return rc;
    if (fstat(fd, &st) < 0)
        return err_sys(err, RC_IO, "stat %s", path);
    if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
        return err_set(err, RC_NOT_REGULAR, "%s", path);
    if (st.st_size < 0 || (uint64_t)st.st_size > max)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

/* Read to the end of fd, at most cap bytes; RC_TOO_LARGE when there is more. */
static enum rc read_to_end(int fd, const char *path, uint8_t *buf, size_t cap, size_t *ret_n,
                           struct err *err)
{
    size_t n = 0;

    for (;;) {
        uint8_t extra;
        ssize_t got = n < cap ? read(fd, buf + n, cap - n) : read(fd, &extra, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "read %s", path);
        if (got == 0)
            break;
        if (n >= cap)
            return err_set(err, RC_TOO_LARGE, "%s", path);
        n += (size_t)got;
    }
    *ret_n = n;
    return RC_OK;
}

enum rc fs_read_file(int dirfd, const char *path, uint8_t *buf, size_t cap, size_t *ret_n,
                     struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size;
    enum rc rc = fs_open_plain(dirfd, path, cap, &fd, &size, err);

    if (rc != RC_OK)
        return rc;
    return read_to_end(fd, path, buf, cap, ret_n, err);
}

enum rc fs_read_alloc(int dirfd, const char *path, size_t max, uint8_t **ret, size_t *ret_n,
                      struct err *err)
{
    scoped(close_fd) int fd = -1;
    scoped(free_ptr) uint8_t *buf = NULL;
    uint64_t size;
    size_t n;
    enum rc rc = fs_open_plain(dirfd, path, max, &fd, &size, err);

    if (rc != RC_OK)
        return rc;
    buf = malloc((size_t)size + 1);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "%s", path);
    rc = read_to_end(fd, path, buf, (size_t)size, &n, err);
    if (rc != RC_OK)
        return rc;
    buf[n] = 0;
    *ret = buf;
    *ret_n = n;
    buf = NULL;
    return RC_OK;
}

enum rc fs_write_all(int fd, struct bytes content, struct err *err)
{
    size_t done = 0;

    while (done < content.n) {
        ssize_t got = write(fd, content.p + done, content.n - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "write");
        done += (size_t)got;
    }
    return RC_OK;
}

enum rc fs_pread_exact(int fd, uint8_t *buf, size_t n, uint64_t offset, struct err *err)
{
    size_t done = 0;

    while (done < n) {
        ssize_t got = pread(fd, buf + done, n - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "read");
        if (got == 0)
            return err_at(err, RC_SHORT, offset + done, "file");
        done += (size_t)got;
    }
    return RC_OK;
}

enum rc fs_sync(int fd, const char *what, struct err *err)
{
    if (fsync(fd) < 0)
        return err_sys(err, RC_IO, "fsync %s", what);
    return RC_OK;
}

/* Split "a/b/c" into the directory "a/b" ("." if there is none) and the last name. */
static enum rc split(const char *path, char *dir, size_t cap, const char **ret_last,
                     struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    if (n >= cap)
        return err_set(err, RC_TOO_LARGE, "path");
    if (slash && n == 0) {
        (void)snprintf(dir, cap, "/");
    } else if (n == 0) {
        (void)snprintf(dir, cap, ".");
    } else {
        memcpy(dir, path, n);
        dir[n] = 0;
    }
    *ret_last = slash ? slash + 1 : path;
    if (!(*ret_last)[0])
        return err_set(err, RC_VALUE, "path %s", path);
    return RC_OK;
}

/* Open the directory that holds path. */
static enum rc open_parent(int dirfd, const char *path, int *ret_fd, const char **ret_last,
                           struct err *err)
{
    char dir[PATH_CAP];
    enum rc rc = split(path, dir, sizeof dir, ret_last, err);

    if (rc != RC_OK)
        return rc;
    return fs_open(dirfd, dir, O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

static enum rc sync_parent(int dirfd, const char *path, struct err *err)
{
    scoped(close_fd) int parent = -1;
    const char *last;
    enum rc rc = open_parent(dirfd, path, &parent, &last, err);

    return rc == RC_OK ? fs_sync(parent, path, err) : rc;
}

enum rc fs_make_dirs(int dirfd, const char *path, mode_t mode, struct err *err)
{
    char part[PATH_CAP];
    size_t n = strlen(path);

    if (n >= sizeof part)
        return err_set(err, RC_TOO_LARGE, "path");
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(part, path, i);
        part[i] = 0;

        scoped(close_fd) int fd = -1;
        enum rc rc = fs_open_dir(dirfd, part, mode, &fd, err);

        /* One that is there may be of a call before this, which could not sync it. */
        if (rc == RC_OK)
            rc = sync_parent(dirfd, part, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc fs_write_file(int dirfd, const char *path, struct bytes content, mode_t mode,
                      struct err *err)
{
    scoped(close_fd) int parent = -1;
    scoped(close_fd) int fd = -1;
    char tmp[320];
    const char *last;
    uint8_t tag[8];
    char hex[2 * sizeof tag + 1];
    enum rc rc = open_parent(dirfd, path, &parent, &last, err);

    if (rc != RC_OK)
        return rc;
    if (getrandom(tag, sizeof tag, 0) != (ssize_t)sizeof tag)
        return err_sys(err, RC_IO, "getrandom");
    (void)snprintf(tmp, sizeof tmp, ".%.200s.%s", last,
                   bytes_hex((struct bytes){ .p = tag, .n = sizeof tag }, hex));
    rc = fs_open(parent, tmp, O_WRONLY | O_CREAT | O_EXCL, mode, &fd, err);
    if (rc != RC_OK)
        return rc;
    rc = fs_write_all(fd, content, err);
    if (rc == RC_OK && fchmod(fd, mode) < 0)
        rc = err_sys(err, RC_IO, "chmod %s", path);
    if (rc == RC_OK)
        rc = fs_sync(fd, path, err);
    if (rc == RC_OK && renameat(parent, tmp, parent, last) < 0)
        rc = err_sys(err, RC_IO, "rename %s", path);
    if (rc != RC_OK) {
        (void)unlinkat(parent, tmp, 0);
        return rc;
    }
    return fs_sync(parent, path, err);
}

/* renameat2, and both directories on disk. */
static enum rc move(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags,
                    struct err *err)
{
    scoped(close_fd) int from_parent = -1;
    scoped(close_fd) int to_parent = -1;
    const char *from_last;
    const char *to_last;
    enum rc rc = open_parent(from_dirfd, from, &from_parent, &from_last, err);

    if (rc == RC_OK)
        rc = open_parent(to_dirfd, to, &to_parent, &to_last, err);
    if (rc != RC_OK)
        return rc;
    if (renameat2(from_parent, from_last, to_parent, to_last, flags) < 0)
        return err_sys(err,
                       errno == EEXIST || errno == ENOTEMPTY         ? RC_EXISTS
                       : errno == ENOENT && flags == RENAME_EXCHANGE ? RC_NOT_FOUND
                                                                     : RC_IO,
                       "rename %s", to);
    rc = fs_sync(to_parent, to, err);
    if (rc == RC_OK)
        rc = fs_sync(from_parent, from, err);
    return rc;
}

enum rc fs_rename(int from_dirfd, const char *from, int to_dirfd, const char *to, bool noreplace,
                  struct err *err)
{
    return move(from_dirfd, from, to_dirfd, to, noreplace ? RENAME_NOREPLACE : 0, err);
}

enum rc fs_exchange(int a_dirfd, const char *a, int b_dirfd, const char *b, struct err *err)
{
    return move(a_dirfd, a, b_dirfd, b, RENAME_EXCHANGE, err);
}

enum rc fs_unlink(int dirfd, const char *path, struct err *err)
{
    scoped(close_fd) int parent = -1;
    const char *last;
    enum rc rc = open_parent(dirfd, path, &parent, &last, err);

    if (rc != RC_OK)
        return rc == RC_NOT_FOUND ? RC_OK : rc;
    if (unlinkat(parent, last, 0) < 0 && errno != ENOENT)
        return err_sys(err, RC_IO, "unlink %s", path);
    /* One that is gone may have been removed by a call before this, which could not sync it. */
    return fs_sync(parent, path, err);
}

enum rc fs_sealed(const char *label, struct bytes content, int *ret_fd, struct err *err)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    scoped(close_fd) int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return err_sys(err, RC_IO, "memfd %s", label);

    enum rc rc = fs_write_all(fd, content, err);

    if (rc != RC_OK)
        return rc;
    if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
        return err_sys(err, RC_IO, "seal %s", label);
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

enum rc fs_lock(int dir, const char *path, int *ret_fd, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open(dir, path, O_RDWR | O_CREAT, 0600, &fd, err);

    if (rc != RC_OK)
        return rc;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? err_set(err, RC_BUSY, "%s", path)
                                    : err_sys(err, RC_IO, "lock %s", path);
    *ret_fd = take_fd(&fd);
    return RC_OK;
}
