/* SPDX-License-Identifier: Apache-2.0 */
#include "update/package.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fs.h"

#define READ_SIZE (256U * 1024U)

static const char *magic_of(enum package_kind kind)
{
    return kind == PACKAGE_DELTA ? PACKAGE_DELTA_MAGIC : PACKAGE_MAGIC;
}

void package_head(enum package_kind kind, size_t n, uint8_t ret[PACKAGE_HEAD_SIZE])
{
    assert(n > 0 && n <= DOCUMENT_MAX);
    for (size_t i = 0; i < PACKAGE_MAGIC_SIZE; i++)
        ret[i] = (uint8_t)magic_of(kind)[i];
    for (size_t i = 0; i < 4; i++)
        ret[PACKAGE_MAGIC_SIZE + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* The envelope's length from the head, checked. */
static enum rc read_head(int fd, enum package_kind kind, size_t *ret_n, struct err *err)
{
    uint8_t head[PACKAGE_HEAD_SIZE];
    uint32_t n = 0;
    enum rc rc = fs_pread_exact(fd, head, sizeof head, 0, err);

    if (rc != RC_OK)
        return rc;
    if (memcmp(head, magic_of(kind), PACKAGE_MAGIC_SIZE) != 0)
        return err_at(err, RC_PACKAGE_FORMAT, 0, "magic");
    for (size_t i = 0; i < 4; i++)
        n = n << 8 | head[PACKAGE_MAGIC_SIZE + i];
    if (n == 0)
        return err_at(err, RC_PACKAGE_FORMAT, PACKAGE_MAGIC_SIZE, "empty envelope");
    if (n > DOCUMENT_MAX)
        return err_at(err, RC_TOO_LARGE, PACKAGE_MAGIC_SIZE, "envelope of %u bytes", n);
    *ret_n = n;
    return RC_OK;
}

/* What is left for the content, checked against the size of the file. */
static enum rc check_content(uint64_t size, size_t envelope, uint64_t *ret, struct err *err)
{
    uint64_t before = PACKAGE_HEAD_SIZE + (uint64_t)envelope;

    if (size < before)
        return err_at(err, RC_SHORT, size, "envelope");
    if (size == before)
        return err_at(err, RC_PACKAGE_FORMAT, size, "no content");
    if (size - before > PACKAGE_MAX)
        return err_at(err, RC_TOO_LARGE, before, "content of %llu bytes",
                      (unsigned long long)(size - before));
    *ret = size - before;
    return RC_OK;
}

/* A plain file, and its size. */
static enum rc look_at(int fd, uint64_t *ret_size, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "package");
    if (!S_ISREG(st.st_mode))
        return err_set(err, RC_NOT_REGULAR, "package");
    *ret_size = (uint64_t)st.st_size;
    return RC_OK;
}

enum rc package_kind(int fd, enum package_kind *ret, struct err *err)
{
    uint8_t magic[PACKAGE_MAGIC_SIZE];
    uint64_t size = 0;
    enum rc rc = look_at(fd, &size, err);

    if (rc == RC_OK)
        rc = fs_pread_exact(fd, magic, sizeof magic, 0, err);
    if (rc != RC_OK)
        return rc;
    if (memcmp(magic, PACKAGE_DELTA_MAGIC, sizeof magic) == 0)
        *ret = PACKAGE_DELTA;
    else if (memcmp(magic, PACKAGE_MAGIC, sizeof magic) == 0)
        *ret = PACKAGE_FULL;
    else
        rc = err_at(err, RC_PACKAGE_FORMAT, 0, "magic");
    return rc;
}

static enum rc open_kind(int fd, enum package_kind kind, struct package *ret, struct err *err)
{
    struct package package = { 0 };
    uint64_t size = 0;
    enum rc rc = look_at(fd, &size, err);

    if (rc == RC_OK)
        rc = read_head(fd, kind, &package.envelope_bytes, err);
    if (rc == RC_OK)
        rc = check_content(size, package.envelope_bytes, &package.content_bytes, err);
    if (rc != RC_OK)
        return rc;
    package.content_at = PACKAGE_HEAD_SIZE + package.envelope_bytes;
    package.envelope = malloc(package.envelope_bytes);
    if (!package.envelope)
        return err_set(err, RC_NO_MEMORY, "envelope");
    rc = fs_pread_exact(fd, package.envelope, package.envelope_bytes, PACKAGE_HEAD_SIZE, err);
    if (rc != RC_OK) {
        package_done(&package);
        return rc;
    }
    *ret = package;
    return RC_OK;
}

enum rc package_open(int fd, struct package *ret, struct err *err)
{
    return open_kind(fd, PACKAGE_FULL, ret, err);
}

enum rc package_open_delta(int fd, struct package *ret, struct err *err)
{
    return open_kind(fd, PACKAGE_DELTA, ret, err);
}

void package_done(struct package *package)
{
    free(package->envelope);
    *package = (struct package){ 0 };
}

/* SHA-256, and SHA-384 in the same reading (NULL = not wanted). */
static enum rc digests(int fd, uint64_t at, uint64_t n, struct digest *ret,
                       struct digest384 *ret384, struct err *err)
{
    scoped(sha256_free) struct sha256 *sha = NULL;
    scoped(sha384_free) struct sha384 *sha384 = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(READ_SIZE);
    enum rc rc = buf ? sha256_new(&sha, err) : err_set(err, RC_NO_MEMORY, "buffer");

    if (rc == RC_OK && ret384)
        rc = sha384_new(&sha384, err);
    while (rc == RC_OK && n > 0) {
        struct bytes piece = { buf, n < READ_SIZE ? (size_t)n : READ_SIZE };

        rc = fs_pread_exact(fd, buf, piece.n, at, err);
        if (rc == RC_OK)
            rc = sha256_add(sha, piece, err);
        if (rc == RC_OK && sha384)
            rc = sha384_add(sha384, piece, err);
        at += piece.n;
        n -= piece.n;
    }
    if (rc == RC_OK)
        rc = sha256_end(sha, ret->b, err);
    return rc == RC_OK && ret384 ? sha384_end(sha384, ret384->b, err) : rc;
}

enum rc package_digest(int fd, uint64_t at, uint64_t n, uint8_t ret[DIGEST_SIZE], struct err *err)
{
    struct digest digest;
    enum rc rc = digests(fd, at, n, &digest, NULL, err);

    if (rc == RC_OK)
        memcpy(ret, digest.b, sizeof digest.b);
    return rc;
}

enum rc package_check_content(int fd, uint64_t at, const struct manifest *manifest, struct err *err)
{
    bool has_384 = !digest384_is_none(&manifest->content384);
    struct digest found;
    struct digest384 found384;
    enum rc rc = digests(fd, at, manifest->content_bytes, &found, has_384 ? &found384 : NULL, err);

    if (rc != RC_OK)
        return rc;
    if (memcmp(&found, &manifest->content, sizeof found) != 0)
        return err_set(err, RC_DIGEST_MISMATCH, "content");
    if (has_384 && memcmp(&found384, &manifest->content384, sizeof found384) != 0)
        return err_set(err, RC_DIGEST_MISMATCH, "content: SHA-384");
    return RC_OK;
}
