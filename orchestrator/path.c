/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

/* Like mkdir -p: whatever stands there already is found out when it is opened. */
static enum rc make_levels(const char *path, struct err *err)
{
    char part[PATH_MAX];
    size_t n = strlen(path);

    if (n >= sizeof part)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return err_sys(err, RC_IO, "%s", part);
        part[i] = path[i];
    }
    return RC_OK;
}

enum rc path_open_dir(const char *path, bool create, int *ret_fd, struct err *err)
{
    enum rc rc = create ? make_levels(path, err) : RC_OK;
    int fd;

    if (rc != RC_OK)
        return rc;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s", path);
    *ret_fd = fd;
    return RC_OK;
}

enum rc path_open_parent(const char *path, int *ret_dirfd, char ret_name[PATH_NAME_CAP],
                         struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char parent[PATH_MAX] = ".";
    size_t n = slash ? (size_t)(slash - path) + (slash == path) : 0;

    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) >= PATH_NAME_CAP || n >= sizeof parent)
        return err_set(err, RC_NAME, "%s", path);
    if (slash) {
        memcpy(parent, path, n);
        parent[n] = '\0';
    }
    memcpy(ret_name, name, strlen(name) + 1);
    return path_open_dir(parent, false, ret_dirfd, err);
}

enum rc path_open_file(const char *path, uint64_t max, int *ret_fd, uint64_t *ret_size,
                       struct err *err)
{
    /* O_NONBLOCK: a FIFO must not hold the program. */
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return err_sys(err, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, RC_NOT_REGULAR, "%s", path);
    if ((uint64_t)st.st_size > max)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    *ret_size = (uint64_t)st.st_size;
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

enum rc path_read(const char *path, size_t max, uint8_t **ret, size_t *ret_n, struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    uint8_t *buf;
    enum rc rc = path_open_file(path, max, &fd, &size, err);

    if (rc != RC_OK)
        return rc;
    buf = malloc((size_t)size + 1);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "%s", path);
    rc = fs_pread_exact(fd, buf, (size_t)size, 0, err);
    if (rc != RC_OK) {
        free(buf);
        return rc;
    }
    buf[size] = 0;
    *ret = buf;
    *ret_n = (size_t)size;
    return RC_OK;
}

enum rc path_write(const char *path, struct bytes content, unsigned mode, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    char name[PATH_NAME_CAP];
    enum rc rc = path_open_parent(path, &dirfd, name, err);

    return rc == RC_OK ? fs_write_file(dirfd, name, content, mode, err) : rc;
}

enum rc path_absolute(const char *path, char *out, size_t cap, struct err *err)
{
    scoped(free_ptr) char *real = realpath(path, NULL);

    if (!real)
        return err_sys(err, errno == ENOENT ? RC_NOT_FOUND : RC_IO, "%s", path);
    if (strlen(real) >= cap)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    memcpy(out, real, strlen(real) + 1);
    return RC_OK;
}

enum rc path_with_suffix(const char *path, const char *suffix, const char *other, char *out,
                         size_t cap, struct err *err)
{
    size_t n = strlen(path), cut = strlen(suffix);
    int len;

    if (n > cut && strcmp(path + n - cut, suffix) == 0)
        n -= cut;
    len = snprintf(out, cap, "%.*s%s", (int)n, path, other);
    return len >= 0 && (size_t)len < cap ? RC_OK : err_set(err, RC_TOO_LARGE, "%s", path);
}
