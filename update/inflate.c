/* SPDX-License-Identifier: Apache-2.0 */
#include "update/inflate.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/policy.h"

#define IN_SIZE (128U * 1024U)
#define OUT_SIZE (256U * 1024U)

struct inflate {
    int fd;
    uint64_t at;       /* next byte of the content in fd */
    uint64_t left;     /* bytes of content not yet read */
    uint64_t out_left; /* bytes that may still come out */
    bool ended;        /* the frame is complete */
    struct sha256 *sha;
    struct sha384 *sha384; /* NULL = not asked for */
    ZSTD_DCtx *zstd;
    ZSTD_inBuffer in;
    uint8_t in_buf[IN_SIZE];
    uint8_t out_buf[OUT_SIZE];
};

enum rc inflate_new(int fd, uint64_t at, uint64_t n, uint64_t out_max, struct inflate **ret,
                    struct err *err)
{
    scoped(inflate_free) struct inflate *in = calloc(1, sizeof *in);

    if (!in)
        return err_set(err, RC_NO_MEMORY, "inflate");
    in->fd = fd;
    in->at = at;
    in->left = n;
    in->out_left = out_max;
    in->in.src = in->in_buf;
    in->zstd = ZSTD_createDCtx();
    if (!in->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(in->zstd, ZSTD_d_windowLogMax, (int)POLICY_WINDOW_LOG)))
        return err_set(err, RC_NO_MEMORY, "zstd");

    enum rc rc = sha256_new(&in->sha, err);

    if (rc != RC_OK)
        return rc;
    *ret = in;
    in = NULL;
    return RC_OK;
}

enum rc inflate_also_384(struct inflate *in, struct err *err)
{
    return sha384_new(&in->sha384, err);
}

void inflate_free(struct inflate **in)
{
    if (!*in)
        return;
    ZSTD_freeDCtx((*in)->zstd);
    if ((*in)->sha)
        sha256_free(&(*in)->sha);
    if ((*in)->sha384)
        sha384_free(&(*in)->sha384);
    free(*in);
    *in = NULL;
}

/* Read and hash the next piece of content. */
static enum rc refill(struct inflate *in, struct err *err)
{
    size_t n = in->left < IN_SIZE ? (size_t)in->left : IN_SIZE;

    if (n == 0)
        return err_at(err, RC_ARCHIVE_FORMAT, in->at, "zstd frame ends early");

    enum rc rc = fs_pread_exact(in->fd, in->in_buf, n, in->at, err);

    if (rc == RC_OK)
        rc = sha256_add(in->sha, (struct bytes){ .p = in->in_buf, .n = n }, err);
    if (rc == RC_OK && in->sha384)
        rc = sha384_add(in->sha384, (struct bytes){ .p = in->in_buf, .n = n }, err);
    in->at += n;
    in->left -= n;
    in->in.size = n;
    in->in.pos = 0;
    return rc;
}

static enum rc zstd_failed(const struct inflate *in, size_t code, struct err *err)
{
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return err_at(err, RC_ARCHIVE_BOMB, in->at, "zstd window");
    return err_at(err, RC_ARCHIVE_FORMAT, in->at, "%s", ZSTD_getErrorName(code));
}

enum rc inflate_next(struct inflate *in, struct bytes *ret, struct err *err)
{
    ZSTD_outBuffer out = { .dst = in->out_buf, .size = OUT_SIZE };

    while (!in->ended && out.pos == 0) {
        if (in->in.pos == in->in.size) {
            enum rc rc = refill(in, err);

            if (rc != RC_OK)
                return rc;
        }

        size_t code = ZSTD_decompressStream(in->zstd, &out, &in->in);

        if (ZSTD_isError(code))
            return zstd_failed(in, code, err);
        in->ended = code == 0;
    }
    if (in->ended && (in->left > 0 || in->in.pos < in->in.size))
        return err_at(err, RC_ARCHIVE_FORMAT, in->at, "bytes behind the zstd frame");
    if (out.pos > in->out_left)
        return err_at(err, RC_ARCHIVE_BOMB, in->at, "more than declared");
    in->out_left -= out.pos;
    *ret = (struct bytes){ .p = in->out_buf, .n = out.pos };
    return RC_OK;
}

static bool all_zero(struct bytes in)
{
    return in.n == 0 || (in.p[0] == 0 && memcmp(in.p, in.p + 1, in.n - 1) == 0);
}

static enum rc check_digests(struct inflate *in, const struct digest *want,
                             const struct digest384 *want384, struct err *err)
{
    struct digest found;
    struct digest384 found384;
    enum rc rc = sha256_end(in->sha, found.b, err);

    if (rc == RC_OK && memcmp(&found, want, sizeof found) != 0)
        rc = err_set(err, RC_DIGEST_MISMATCH, "content");
    if (rc != RC_OK || !in->sha384)
        return rc;
    rc = sha384_end(in->sha384, found384.b, err);
    if (rc == RC_OK && memcmp(&found384, want384, sizeof found384) != 0)
        rc = err_set(err, RC_DIGEST_MISMATCH, "content: SHA-384");
    return rc;
}

enum rc inflate_end(struct inflate *in, const struct digest *want, const struct digest384 *want384,
                    struct err *err)
{
    struct bytes piece = { .n = 1 };
    enum rc rc = RC_OK;

    while (rc == RC_OK && piece.n > 0) {
        rc = inflate_next(in, &piece, err);
        if (rc == RC_OK && !all_zero(piece))
            rc = err_at(err, RC_ARCHIVE_FORMAT, in->at, "bytes behind the archive");
    }
    return rc == RC_OK ? check_digests(in, want, want384, err) : rc;
}
