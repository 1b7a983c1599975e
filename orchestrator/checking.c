/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/checking.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/path.h"
#include "update/package.h"
#include "update/unpack.h"

#define UNPACK_TIMEOUT_MS (10U * 60U * 1000U)

void checked_done(struct checked *checked)
{
    payload_free(&checked->payload);
    close_fd(&checked->fd);
}

enum rc checking_sibling(const char *name, int *ret_fd, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash;
    int fd;
    enum rc rc;

    if (n <= 0)
        return err_sys(err, RC_IO, "/proc/self/exe");
    self[n] = '\0';
    slash = strrchr(self, '/');
    if (!slash)
        return err_set(err, RC_INTERNAL, "/proc/self/exe");
    *slash = '\0';
    rc = path_open_dir(self, false, &dirfd, err);
    if (rc != RC_OK)
        return rc;
    fd = openat(dirfd, name, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return err_sys(err, RC_IO, "%s/%s", self, name);
    *ret_fd = fd;
    return RC_OK;
}

/* Unpack for real, in the confined process, into a directory that goes away. */
static enum rc dry_run(const struct verified_payload *payload, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    scoped(close_fd) int program = -1, parent = -1, dirfd = -1;
    char path[PATH_MAX];
    struct err ignored;
    enum rc rc = checking_sibling("berth-unpack", &program, err);

    (void)snprintf(path, sizeof path, "%s/berth-check-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");
    if (rc != RC_OK)
        return rc;
    if (!mkdtemp(path))
        return err_sys(err, RC_IO, "%s", path);
    rc = path_open_dir(path, false, &dirfd, err);
    if (rc == RC_OK)
        rc = unpack_run(payload, program, dirfd, UNPACK_TIMEOUT_MS, err);
    *strrchr(path, '/') = '\0';
    if (path_open_dir(path, false, &parent, &ignored) == RC_OK)
        (void)!fs_remove_tree(parent, path + strlen(path) + 1, &ignored);
    return rc;
}

/* The same failure, said of a file: "cam-1.0.berth: content". */
static enum rc name_file(const char *path, const struct err *inner, struct err *err)
{
    const char *slash = strrchr(path, '/');

    (void)!err_set(err, inner->rc, "%s: %s", slash ? slash + 1 : path, inner->what);
    err->sys = inner->sys;
    return inner->rc;
}

enum rc checking_package(const struct trust *trust, const char *path, uint64_t now_ms,
                         struct checked *ret, struct err *err)
{
    scoped(checked_done) struct checked checked = CHECKED_NONE;
    scoped(close_fd) int fd = -1;
    struct err inner = { 0 };
    struct stat st;
    enum rc rc = path_open_file(path, PACKAGE_FILE_MAX, &fd, &checked.size, err);

    if (rc == RC_OK)
        rc = payload_seal(fd, &checked.fd, err);
    if (rc == RC_OK && fstat(checked.fd, &st) != 0)
        rc = err_sys(err, RC_IO, "%s", path);
    if (rc == RC_OK)
        checked.size = (uint64_t)st.st_size;
    if (rc != RC_OK)
        return rc;
    rc = payload_verify(trust, checked.fd, now_ms, &checked.payload, &inner);
    if (rc != RC_OK)
        return name_file(path, &inner, err);
    rc = dry_run(checked.payload, &inner);
    checked.unpacked = rc == RC_OK;
    if (rc != RC_OK && rc != RC_ARCH)
        return name_file(path, &inner, err);
    *ret = checked;
    checked.payload = NULL;
    (void)take_fd(&checked.fd);
    return RC_OK;
}
