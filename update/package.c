/* SPDX-License-Identifier: Apache-2.0 */
#include "update/package.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fs.h"

#define READ_SIZE (256U * 1024U)

void package_head(size_t n, uint8_t ret[PACKAGE_HEAD_SIZE])
{
    assert(n > 0 && n <= DOCUMENT_MAX);
    for (size_t i = 0; i < PACKAGE_MAGIC_SIZE; i++)
        ret[i] = (uint8_t)PACKAGE_MAGIC[i];
    for (size_t i = 0; i < 4; i++)
        ret[PACKAGE_MAGIC_SIZE + i] = (uint8_t)(n >> (24 - 8 * i));
}

/* The envelope's length from the head, checked. */
static enum rc read_head(int fd, size_t *ret_n, struct err *err)
{
    uint8_t head[PACKAGE_HEAD_SIZE];
    uint32_t n = 0;
    enum rc rc = fs_pread_exact(fd, head, sizeof head, 0, err);

    if (rc != RC_OK)
        return rc;
    if (memcmp(head, PACKAGE_MAGIC, PACKAGE_MAGIC_SIZE) != 0)
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

enum rc package_open(int fd, struct package *ret, struct err *err)
{
    struct package package = { 0 };
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "package");
    if (!S_ISREG(st.st_mode))
        return err_set(err, RC_NOT_REGULAR, "package");

    enum rc rc = read_head(fd, &package.envelope_bytes, err);

    if (rc == RC_OK)
        rc = check_content((uint64_t)st.st_size, package.envelope_bytes, &package.content_bytes,
                           err);
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

void package_done(struct package *package)
{
    free(package->envelope);
    *package = (struct package){ 0 };
}

enum rc package_digest(int fd, uint64_t at, uint64_t n, uint8_t ret[DIGEST_SIZE], struct err *err)
{
    scoped(sha256_free) struct sha256 *sha = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(READ_SIZE);
    enum rc rc = buf ? sha256_new(&sha, err) : err_set(err, RC_NO_MEMORY, "buffer");

    while (rc == RC_OK && n > 0) {
        size_t piece = n < READ_SIZE ? (size_t)n : READ_SIZE;

        rc = fs_pread_exact(fd, buf, piece, at, err);
        if (rc == RC_OK)
            rc = sha256_add(sha, (struct bytes){ .p = buf, .n = piece }, err);
        at += piece;
        n -= piece;
    }
    return rc == RC_OK ? sha256_end(sha, ret, err) : rc;
}
