/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/checking.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "orchestrator/path.h"
#include "orchestrator/scratch.h"
#include "update/package.h"
#include "update/unpack.h"

#define UNPACK_TIMEOUT_MS (10U * 60U * 1000U)

void checked_done(struct checked *checked)
{
    payload_free(&checked->payload);
    close_fd(&checked->fd);
}

void pushed_done(struct pushed *pushed)
{
    package_done(&pushed->package);
}

enum rc checking_pushed(const struct home *home, const struct digest *manifest, struct pushed *ret,
                        struct err *err)
{
    struct pushed pushed = { 0 };
    scoped(close_fd) int fd = -1;
    struct store_package row = { 0 };
    struct digest found = { 0 };
    uint64_t size = 0;
    enum rc rc = store_package_by_manifest(home->store, manifest, &row, err);

    if (rc == RC_OK)
        rc = home_open_object(home, &row.object, &fd, &size, err);
    if (rc == RC_OK)
        rc = package_open(fd, &pushed.package, err);
    if (rc == RC_OK)
        rc = envelope_open(package_envelope(&pushed.package), &pushed.envelope, err);
    if (rc == RC_OK)
        rc = sha256_of(pushed.envelope.payload, found.b, err);
    if (rc == RC_OK && !digest_same(&found, manifest))
        rc = err_set(err, RC_DIGEST_MISMATCH, "%s/%s %s", row.tenant, row.name, row.version);
    if (rc != RC_OK) {
        pushed_done(&pushed);
        return rc;
    }
    (void)snprintf(pushed.name, sizeof pushed.name, "%s/%s %s", row.tenant, row.name, row.version);
    *ret = pushed;
    return RC_OK;
}

enum rc checking_version(const struct home *home, const struct trust *trust,
                         const struct digest *manifest, bool running, uint64_t now_ms,
                         struct err *err)
{
    scoped(pushed_done) struct pushed pushed = { 0 };
    scoped(verified_manifest_free) struct verified_manifest *verified = NULL;
    struct err why = { 0 };
    enum rc rc = checking_pushed(home, manifest, &pushed, err);

    if (rc != RC_OK)
        return rc;
    struct bytes envelope = package_envelope(&pushed.package);

    rc = running ? trust_verify_running(trust, envelope, now_ms, &verified, &why)
                 : trust_verify_manifest(trust, envelope, now_ms, &verified, &why);
    if (rc != RC_OK)
        (void)err_set(err, rc, "%s: %s", pushed.name, why.what);
    return rc;
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
    scoped(scratch_close) struct scratch_dir dir = SCRATCH_NONE;
    scoped(close_fd) int program = -1;
    enum rc rc = checking_sibling("berth-unpack", &program, err);

    if (rc == RC_OK)
        rc = scratch_open(&dir, err);
    return rc == RC_OK ? unpack_run(payload, program, dir.fd, UNPACK_TIMEOUT_MS, err) : rc;
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
