/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/squeeze.h"

#include <lzma.h>
#include <stdlib.h>
#include <zstd.h>

#include "delta/runs.h"

#define TRY_WHOLE (256U * 1024U) /* up to this size every setting is tried on the whole stream */
#define PIECES 16U               /* of a larger one: so many */
#define PIECE (32U * 1024U)
#define SAMPLE ((size_t)PIECES * PIECE)
#define SPARSE                                                                                     \
    50U /* a stream with fewer other bytes than 1 in this is told as runs of zeros only */
#define ZSTD_LEVEL 19
#define ZSTD_LARGE (4U * 1024U * 1024U) /* streams above this are LZMA2's: it has always won */

/* lc, lp, pb of LZMA: how many bits of the last byte, and of the position, predict the next. */
struct setting {
    enum stream_codec codec;
    uint8_t lc;
    uint8_t lp;
    uint8_t pb;
};

static const struct setting settings[] = {
    { STREAM_LZMA2, 3, 0, 2 }, { STREAM_LZMA2, 3, 0, 0 }, { STREAM_LZMA2, 0, 0, 0 },
    { STREAM_LZMA2, 4, 0, 0 }, { STREAM_LZMA2, 0, 2, 2 }, { STREAM_LZMA2, 1, 2, 2 },
    { STREAM_LZMA2, 0, 3, 3 }, { STREAM_ZSTD, 0, 0, 0 },
};
#define SETTINGS (sizeof settings / sizeof settings[0])

static size_t bound(size_t n)
{
    return n + n / 16 + 4096;
}

/* A decoder's window that holds n bytes: a power of two, at most dict_max. */
static uint32_t window_for(size_t n, uint32_t dict_max)
{
    uint32_t window = STREAM_DICT_MIN;

    while (window < n && window < dict_max)
        window *= 2;
    return window < dict_max ? window : dict_max;
}

static size_t try_lzma(const struct setting *how, struct bytes in, uint32_t dict, uint8_t *out)
{
    lzma_options_lzma options;
    lzma_filter chain[2] = { { .id = LZMA_FILTER_LZMA2, .options = &options },
                             { .id = LZMA_VLI_UNKNOWN } };
    size_t n = 0;

    if (lzma_lzma_preset(&options, 9 | LZMA_PRESET_EXTREME))
        return 0;
    options.dict_size = dict;
    options.lc = how->lc;
    options.lp = how->lp;
    options.pb = how->pb;
    if (lzma_raw_buffer_encode(chain, NULL, in.p, in.n, out, &n, bound(in.n)) != LZMA_OK)
        return 0;
    return n;
}

static size_t try_zstd(struct bytes in, uint32_t dict, uint8_t *out)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    int log = 31 - __builtin_clz(dict);
    size_t n = 0;

    if (!c)
        return 0;
    if (!ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, log < 10 ? 10 : log)) &&
        !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0)))
        n = ZSTD_compress2(c, out, bound(in.n), in.p, in.n);
    (void)ZSTD_freeCCtx(c);
    return ZSTD_isError(n) ? 0 : n;
}

/* Bytes that a setting makes of in, 0 when it fails. */
static size_t try_setting(const struct setting *how, struct bytes in, uint32_t dict, uint8_t *out)
{
    return how->codec == STREAM_ZSTD ? try_zstd(in, dict, out) : try_lzma(how, in, dict, out);
}

/* Pieces from all over a large stream, one behind the other; a small one is its own sample. */
static struct bytes sample_of(struct bytes in, uint8_t *buf)
{
    if (in.n <= TRY_WHOLE)
        return in;
    for (size_t i = 0; i < PIECES; i++)
        memcpy(buf + i * PIECE, in.p + (in.n - PIECE) / (PIECES - 1) * i, PIECE);
    return (struct bytes){ buf, SAMPLE };
}

/* The setting that does best on a sample. */
static const struct setting *choose(struct bytes in, bool runs, uint32_t dict, uint8_t *out,
                                    uint8_t *buf)
{
    struct bytes sample = sample_of(in, buf);
    const struct setting *best = &settings[0];
    size_t least = SIZE_MAX;

    for (size_t i = 0; i < SETTINGS; i++) {
        if (settings[i].codec == STREAM_ZSTD && (runs || in.n > ZSTD_LARGE))
            continue;

        size_t n = try_setting(&settings[i], sample, dict, out);

        if (n > 0 && n < least) {
            least = n;
            best = &settings[i];
        }
    }
    return best;
}

/* Compress in, which may be the records of a stream of raw bytes, with the best setting.  Keeps the
 * result in *best if it is smaller. */
static enum rc squeeze_as(struct bytes in, bool runs, uint64_t raw, uint32_t dict_max,
                          struct squeezed *best, struct err *err)
{
    uint32_t dict = window_for(in.n, dict_max);
    scoped(free_ptr) uint8_t *out = malloc(bound(in.n > SAMPLE ? in.n : SAMPLE));
    scoped(free_ptr) uint8_t *buf = malloc(SAMPLE);

    if (!out || !buf)
        return err_set(err, RC_NO_MEMORY, "compressing %zu bytes", in.n);

    const struct setting *how = choose(in, runs, dict, out, buf);
    size_t n = try_setting(how, in, dict, out);

    if (n == 0 || n >= best->spec.size)
        return RC_OK;
    best->spec = (struct stream_spec){
        .codec = runs ? STREAM_RUNS : how->codec, .dict = dict, .size = n, .raw = raw
    };

    uint8_t *fit = realloc(out, n);

    out = NULL;
    free(best->p);
    best->p = fit;
    return fit ? RC_OK : err_set(err, RC_NO_MEMORY, "compressing %zu bytes", in.n);
}

static size_t count_zeros(struct bytes in)
{
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++)
        n += in.p[i] == 0;
    return n;
}

static enum rc squeeze_runs(struct bytes in, uint32_t dict_max, struct squeezed *best,
                            struct err *err)
{
    scoped(free_ptr) uint8_t *records = malloc(runs_bound(in.n));

    if (!records)
        return err_set(err, RC_NO_MEMORY, "compressing %zu bytes", in.n);
    return squeeze_as((struct bytes){ records, runs_write(in, records) }, true, in.n, dict_max,
                      best, err);
}

enum rc squeeze(struct bytes in, uint32_t dict_max, struct squeezed *ret, struct err *err)
{
    struct squeezed best = { .p = malloc(in.n + 1),
                             .spec = { .codec = STREAM_STORED, .size = in.n, .raw = in.n } };
    size_t zeros = count_zeros(in);
    enum rc rc = best.p ? RC_OK : err_set(err, RC_NO_MEMORY, "stream of %zu bytes", in.n);

    if (rc == RC_OK && in.n > 0)
        memcpy(best.p, in.p, in.n);
    if (rc == RC_OK && zeros > in.n / 2)
        rc = squeeze_runs(in, dict_max, &best, err);
    if (rc == RC_OK && in.n > 0 && (in.n < TRY_WHOLE || in.n - zeros > in.n / SPARSE))
        rc = squeeze_as(in, false, in.n, dict_max, &best, err);
    if (rc == RC_OK)
        *ret = best;
    else
        squeezed_done(&best);
    return rc;
}

void squeezed_done(struct squeezed *s)
{
    free(s->p);
    *s = (struct squeezed){ .p = NULL };
}
