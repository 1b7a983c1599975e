/* SPDX-License-Identifier: Apache-2.0 */
#include "update/verify.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cbor.h"
#include "base/fs.h"
#include "delta/format.h"
#include "update/package.h"
#include "update/policy.h"

#define READ_SIZE (256U * 1024U)
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)

struct verified_payload {
    int fd;
    bool read; /* the content was */
    struct package package;
    struct verified_manifest *manifest;
};

struct verified_delta {
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

/* The content may be what the signed manifest says. */
static enum rc check_content_size(const struct verified_payload *payload, struct err *err)
{
    const struct manifest *m = verified_manifest_get(payload->manifest);

    if (digest_is_none(&m->content))
        return err_set(err, RC_DIGEST_MISSING, "content");
    if (m->content_bytes != payload->package.content_bytes)
        return err_set(err, RC_PACKAGE_SIZE, "content of %llu bytes",
                       (unsigned long long)payload->package.content_bytes);
    return policy_check_sizes(m->content_bytes, m->unpacked_bytes, m->files, err);
}

enum rc payload_verify_signed(const struct trust *trust, int fd, uint64_t now_ms,
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
        rc = check_content_size(payload, err);
    if (rc != RC_OK)
        return rc;
    *ret = payload;
    payload = NULL;
    return RC_OK;
}

/* Byte for byte. */
enum rc payload_verify(const struct trust *trust, int fd, uint64_t now_ms,
                       struct verified_payload **ret, struct err *err)
{
    scoped(payload_free) struct verified_payload *payload = NULL;
    enum rc rc = payload_verify_signed(trust, fd, now_ms, &payload, err);

    if (rc == RC_OK)
        rc = package_check_content(payload->fd, payload->package.content_at,
                                   payload_manifest(payload), err);
    if (rc != RC_OK)
        return rc;
    payload->read = true;
    *ret = payload;
    payload = NULL;
    return RC_OK;
}

bool payload_content_read(const struct verified_payload *payload)
{
    return payload->read;
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

/* ---- delta packages --------------------------------------------------------------------------
 */

/* What may be said of the manifest alone. */
static enum rc check_sizes(const struct manifest *m, struct err *err)
{
    if (digest_is_none(&m->index))
        return err_set(err, RC_DIGEST_MISSING, "index");
    return policy_check_sizes(m->content_bytes, m->unpacked_bytes, m->files, err);
}

enum rc delta_verify(const struct trust *trust, int fd, uint64_t now_ms,
                     struct verified_delta **ret, struct err *err)
{
    scoped(delta_free) struct verified_delta *delta = calloc(1, sizeof *delta);

    if (!delta)
        return err_set(err, RC_NO_MEMORY, "delta");
    delta->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (delta->fd < 0)
        return err_sys(err, RC_IO, "package");

    enum rc rc = check_frozen(delta->fd, err);

    if (rc == RC_OK)
        rc = package_open_delta(delta->fd, &delta->package, err);
    if (rc == RC_OK)
        rc = trust_verify_manifest(trust, package_envelope(&delta->package), now_ms,
                                   &delta->manifest, err);
    if (rc == RC_OK)
        rc = check_sizes(delta_manifest(delta), err);
    if (rc != RC_OK)
        return rc;
    *ret = delta;
    delta = NULL;
    return RC_OK;
}

void delta_free(struct verified_delta **delta)
{
    if (!*delta)
        return;
    close_fd(&(*delta)->fd);
    package_done(&(*delta)->package);
    if ((*delta)->manifest)
        verified_manifest_free(&(*delta)->manifest);
    free(*delta);
    *delta = NULL;
}

const struct verified_manifest *delta_verified(const struct verified_delta *delta)
{
    return delta->manifest;
}

const struct manifest *delta_manifest(const struct verified_delta *delta)
{
    return verified_manifest_get(delta->manifest);
}

const struct digest *delta_digest(const struct verified_delta *delta)
{
    return verified_manifest_digest(delta->manifest);
}

struct bytes delta_envelope(const struct verified_delta *delta)
{
    return package_envelope(&delta->package);
}

int delta_fd(const struct verified_delta *delta)
{
    return delta->fd;
}

uint64_t delta_at(const struct verified_delta *delta)
{
    return delta->package.content_at;
}

uint64_t delta_bytes(const struct verified_delta *delta)
{
    return delta->package.content_bytes;
}

/* The first two fields of the head and nothing behind them.  Not delta/apply's apply_head: that one
 * brings the decoders of the streams along, and berthd, which asks here, is not to have any. */
enum rc delta_base(const struct verified_delta *delta, struct digest *ret, struct err *err)
{
    enum { MAGIC = sizeof FORMAT_MAGIC - 1, PREFIX = MAGIC + 2, KEYS_MAX = 64 };
    uint8_t buf[PREFIX + 2 * (DIGEST_SIZE + 8)];
    size_t n = delta_bytes(delta) < sizeof buf ? (size_t)delta_bytes(delta) : sizeof buf;
    struct digest found[2];
    uint64_t key = 0;
    enum rc rc = fs_pread_exact(delta->fd, buf, n, delta_at(delta), err);

    if (rc != RC_OK)
        return rc;
    if (n < PREFIX || memcmp(buf, FORMAT_MAGIC, MAGIC) != 0)
        return err_set(err, RC_DELTA_FORMAT, "magic");

    struct cbor_in in = cbor_read((struct bytes){ .p = buf + PREFIX, .n = n - PREFIX });

    (void)cbor_map(&in, "delta", KEYS_MAX);
    for (uint64_t i = 0; i < 2; i++) { /* base and result, under 1 and 2 */
        if (!cbor_key(&in, &key) || key != i + 1)
            return err_set(err, RC_DELTA_FORMAT, "head");
        cbor_fixed(&in, "digest", found[i].b, sizeof found[i].b);
    }
    if (in.rc != RC_OK)
        return err_set(err, RC_DELTA_FORMAT, "head");
    if (!digest_same(&found[1], &delta_manifest(delta)->index))
        return err_set(err, RC_INDEX_MISMATCH, "delta is for another result");
    *ret = found[0];
    return RC_OK;
}

/* ---- for the ground --------------------------------------------------------------------------
 */

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
