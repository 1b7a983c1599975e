/* SPDX-License-Identifier: Apache-2.0 */
#include "update/verify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "update/package.h"
#include "update/policy.h"

#define READ_SIZE (256U * 1024U)
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

struct verified_payload {
    int fd;
    struct package package;
    struct verified_manifest *manifest;
};

/* Nobody can change the bytes between this check and their use. */
static enum rc check_frozen(int fd, struct err *err)
{
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals >= 0 && (seals & SEALS) == SEALS)
        return RC_OK;
    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "package");
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return err_set(err, RC_NOT_REGULAR, "package");
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
        return err_set(err, RC_NOT_REGULAR, "package can be written by others");
    return RC_OK;
}

static bool is_zero(const struct digest *digest)
{
    static const struct digest zero;

    return memcmp(digest, &zero, sizeof zero) == 0;
}

/* The content is what the signed manifest says, byte for byte. */
static enum rc check_content(const struct verified_payload *payload, struct err *err)
{
    const struct manifest *m = verified_manifest_get(payload->manifest);
    struct digest found;

    if (is_zero(&m->content))
        return err_set(err, RC_DIGEST_MISSING, "content");
    if (m->content_bytes != payload->package.content_bytes)
        return err_set(err, RC_PACKAGE_SIZE, "content of %llu bytes",
                       (unsigned long long)payload->package.content_bytes);

    enum rc rc = policy_check_sizes(m->content_bytes, m->unpacked_bytes, m->files, err);

    if (rc == RC_OK)
        rc = package_digest(payload->fd, payload->package.content_at, m->content_bytes, found.b,
                            err);
    if (rc != RC_OK)
        return rc;
    if (memcmp(&found, &m->content, sizeof found) != 0)
        return err_set(err, RC_DIGEST_MISMATCH, "content");
    return RC_OK;
}

enum rc payload_verify(const struct trust *trust, int fd, uint64_t now_ms,
                       struct verified_payload **ret, struct err *err)
{
    scoped(payload_free) struct verified_payload *payload = calloc(1, sizeof *payload);

    if (!payload)
        return err_set(err, RC_NO_MEMORY, "payload");
    payload->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (payload->fd < 0)
        return err_sys(err, RC_IO, "package");

    enum rc rc = check_frozen(payload->fd, err);

    if (rc == RC_OK)
        rc = package_open(payload->fd, &payload->package, err);
    if (rc == RC_OK)
        rc = trust_verify_manifest(trust, package_envelope(&payload->package), now_ms,
                                   &payload->manifest, err);
    if (rc == RC_OK)
        rc = check_content(payload, err);
    if (rc != RC_OK)
        return rc;
    *ret = payload;
    payload = NULL;
    return RC_OK;
}

void payload_free(struct verified_payload **payload)
{
    if (!*payload)
        return;
    close_fd(&(*payload)->fd);
    package_done(&(*payload)->package);
    if ((*payload)->manifest)
        verified_manifest_free(&(*payload)->manifest);
    free(*payload);
    *payload = NULL;
}

const struct verified_manifest *payload_verified(const struct verified_payload *payload)
{
    return payload->manifest;
}

const struct manifest *payload_manifest(const struct verified_payload *payload)
{
    return verified_manifest_get(payload->manifest);
}

const struct digest *payload_digest(const struct verified_payload *payload)
{
    return verified_manifest_digest(payload->manifest);
}

struct bytes payload_envelope(const struct verified_payload *payload)
{
    return package_envelope(&payload->package);
}

int payload_fd(const struct verified_payload *payload)
{
    return payload->fd;
}

uint64_t payload_content_at(const struct verified_payload *payload)
{
    return payload->package.content_at;
}

enum rc payload_seal(int fd, int *ret_fd, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(READ_SIZE);
    scoped(close_fd) int out = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t at = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "buffer");
    if (out < 0)
        return err_sys(err, RC_IO, "memfd");
    for (;;) {
        ssize_t n = pread(fd, buf, READ_SIZE, (off_t)at);

        if (n < 0)
            return err_sys(err, RC_IO, "package");
        if (n == 0)
            break;
        at += (uint64_t)n;
        if (at > PACKAGE_FILE_MAX)
            return err_set(err, RC_TOO_LARGE, "package");

        enum rc rc = fs_write_all(out, (struct bytes){ .p = buf, .n = (size_t)n }, err);

        if (rc != RC_OK)
            return rc;
    }
    if (fcntl(out, F_ADD_SEALS, SEALS | F_SEAL_SEAL) != 0)
        return err_sys(err, RC_IO, "memfd");
    *ret_fd = take_fd(&out);
    return RC_OK;
}
