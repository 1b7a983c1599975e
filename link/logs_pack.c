/* SPDX-License-Identifier: Apache-2.0 */
#include "link/logs_pack.h"

#include <zstd.h>

#define LEVEL 6 /* of 48 KiB: some 100 KiB of memory for the tables, and a few milliseconds */

static void free_cctx(ZSTD_CCtx **ctx)
{
    (void)ZSTD_freeCCtx(*ctx);
}

enum rc logs_pack(struct bytes plain, uint8_t *buf, size_t cap, struct bytes *ret, struct err *err)
{
    scoped(free_cctx) ZSTD_CCtx *ctx = ZSTD_createCCtx();

    *ret = (struct bytes){ buf, 0 };
    if (!ctx)
        return err_set(err, RC_NO_MEMORY, "log");
    size_t n = ZSTD_compressCCtx(ctx, buf, cap, plain.p, plain.n, LEVEL);

    if (!ZSTD_isError(n) && n < plain.n) /* else it does not fit, or memory is short */
        ret->n = n;
    return RC_OK;
}

enum rc logs_unpack(struct bytes packed, uint8_t *buf, size_t n, struct err *err)
{
    /* One frame and nothing behind it, so that one chunk has one meaning. */
    const size_t frame = ZSTD_findFrameCompressedSize(packed.p, packed.n);

    if (ZSTD_isError(frame) || frame != packed.n)
        return err_set(err, RC_MAIL_FORMAT, "log: not one frame");
    const size_t got = ZSTD_decompress(buf, n, packed.p, packed.n);

    if (ZSTD_isError(got) || got != n)
        return err_set(err, RC_MAIL_FORMAT, "log: not its size");
    return RC_OK;
}
