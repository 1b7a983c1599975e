/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/stream.h"

#include <assert.h>
#include <lzma.h>
#include <stdlib.h>
#include <zstd.h>

#include "base/fs.h"
#include "delta/runs.h"

#define IN_SIZE (16U * 1024U)
#define OUT_SIZE (64U * 1024U)
#define FIXED_COST (112U * 1024U) /* of a struct stream: part of the format, never changes */
#define ZSTD_STATE (640U * 1024U) /* zstd's context and buffers beside its window, at most */
#define LZMA_STATE (256U * 1024U) /* liblzma's beside its dictionary */

struct stream {
    int fd;
    uint64_t at;        /* next byte in fd */
    uint64_t left;      /* bytes of the stream not yet read */
    uint64_t undecoded; /* bytes that are still to come out of the decoder */
    enum stream_codec codec;
    bool ended; /* the decoder saw its end mark */
    ZSTD_DCtx *zstd;
    lzma_stream lzma;
    size_t in_at;
    size_t in_n;
    size_t out_at;
    size_t out_n;
    struct runs runs; /* STREAM_RUNS: out of mid, which comes out of LZMA2 */
    struct bytes mid;
    bool mid_ended;
    uint8_t in[IN_SIZE];
    uint8_t mid_bytes[IN_SIZE];
    uint8_t out[OUT_SIZE];
};

static_assert(sizeof(struct stream) <= FIXED_COST, "what a delta declares stays enough");

uint64_t stream_cost(const struct stream_spec *spec)
{
    uint64_t state = spec->codec == STREAM_ZSTD    ? ZSTD_STATE
                     : spec->codec == STREAM_LZMA2 ? LZMA_STATE
                     : spec->codec == STREAM_RUNS  ? LZMA_STATE
                                                   : 0;

    return FIXED_COST + spec->dict + state;
}

/* The largest power of two that is not above n. */
static int log2_of(uint32_t n)
{
    int log = 0;

    while (n >>= 1)
        log++;
    return log;
}

static enum rc open_lzma(struct stream *s, uint32_t dict, struct err *err)
{
    lzma_options_lzma options = { .dict_size = dict };
    lzma_filter filters[] = { { .id = LZMA_FILTER_LZMA2, .options = &options },
                              { .id = LZMA_VLI_UNKNOWN } };

    if (lzma_raw_decoder(&s->lzma, filters) != LZMA_OK)
        return err_set(err, RC_NO_MEMORY, "lzma");
    return RC_OK;
}

static enum rc open_zstd(struct stream *s, uint32_t dict, struct err *err)
{
    s->zstd = ZSTD_createDCtx();
    if (!s->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(s->zstd, ZSTD_d_windowLogMax, log2_of(dict))))
        return err_set(err, RC_NO_MEMORY, "zstd");
    return RC_OK;
}

enum rc stream_new(int fd, uint64_t at, const struct stream_spec *spec, struct stream **ret,
                   struct err *err)
{
    scoped(stream_free) struct stream *s = calloc(1, sizeof *s);
    enum rc rc = RC_OK;

    if (!s)
        return err_set(err, RC_NO_MEMORY, "stream");
    *s = (struct stream){ .fd = fd,
                          .at = at,
                          .left = spec->size,
                          .undecoded = spec->raw,
                          .codec = spec->codec,
                          .lzma = LZMA_STREAM_INIT };
    if (spec->codec == STREAM_LZMA2 || spec->codec == STREAM_RUNS)
        rc = open_lzma(s, spec->dict, err);
    else if (spec->codec == STREAM_ZSTD)
        rc = open_zstd(s, spec->dict, err);
    if (rc != RC_OK)
        return rc;
    *ret = s;
    s = NULL;
    return RC_OK;
}

void stream_free(struct stream **s)
{
    if (!*s)
        return;
    ZSTD_freeDCtx((*s)->zstd);
    lzma_end(&(*s)->lzma);
    free(*s);
    *s = NULL;
}

static enum rc refill(struct stream *s, struct err *err)
{
    size_t n = s->left < IN_SIZE ? (size_t)s->left : IN_SIZE;

    enum rc rc = fs_pread_exact(s->fd, s->in, n, s->at, err);

    if (rc != RC_OK)
        return rc == RC_SHORT ? err_at(err, RC_DELTA_STREAM, s->at, "delta ends early") : rc;
    s->at += n;
    s->left -= n;
    s->in_at = 0;
    s->in_n = n;
    return RC_OK;
}

static enum rc step_zstd(struct stream *s, struct err *err)
{
    ZSTD_inBuffer in = { .src = s->in, .size = s->in_n, .pos = s->in_at };
    ZSTD_outBuffer out = { .dst = s->out, .size = OUT_SIZE };
    size_t code = ZSTD_decompressStream(s->zstd, &out, &in);

    if (ZSTD_isError(code))
        return err_at(err, RC_DELTA_STREAM, s->at, "%s", ZSTD_getErrorName(code));
    s->ended = code == 0;
    s->in_at = in.pos;
    s->out_n = out.pos;
    return RC_OK;
}

/* Decode into out, which has room for cap bytes. */
static enum rc step_lzma(struct stream *s, uint8_t *out, size_t cap, size_t *ret_n, bool *ret_end,
                         struct err *err)
{
    s->lzma.next_in = s->in + s->in_at;
    s->lzma.avail_in = s->in_n - s->in_at;
    s->lzma.next_out = out;
    s->lzma.avail_out = cap;

    lzma_ret code = lzma_code(&s->lzma, LZMA_RUN);

    if (code == LZMA_MEM_ERROR)
        return err_set(err, RC_NO_MEMORY, "lzma");
    if (code != LZMA_OK && code != LZMA_STREAM_END && code != LZMA_BUF_ERROR)
        return err_at(err, RC_DELTA_STREAM, s->at, "lzma %d", (int)code);
    *ret_end = code == LZMA_STREAM_END;
    s->in_at = s->in_n - s->lzma.avail_in;
    *ret_n = cap - s->lzma.avail_out;
    return RC_OK;
}

static enum rc step_runs(struct stream *s, struct err *err)
{
    enum rc rc = RC_OK;

    if (s->mid.n == 0 && !s->mid_ended) {
        s->mid.p = s->mid_bytes;
        rc = step_lzma(s, s->mid_bytes, IN_SIZE, &s->mid.n, &s->mid_ended, err);
    }
    if (rc == RC_OK)
        rc = runs_read(&s->runs, &s->mid, s->out, OUT_SIZE, &s->out_n, err);
    if (rc != RC_OK)
        return rc;
    s->ended = s->mid_ended && s->mid.n == 0 && runs_idle(&s->runs);
    if (s->mid_ended && s->mid.n == 0 && s->out_n == 0 && !s->ended)
        return err_at(err, RC_DELTA_STREAM, s->at, "stream ends within a record");
    return RC_OK;
}

static enum rc step_stored(struct stream *s)
{
    memcpy(s->out, s->in + s->in_at, s->in_n - s->in_at);
    s->out_n = s->in_n - s->in_at;
    s->in_at = s->in_n;
    s->ended = s->left == 0;
    return RC_OK;
}

static_assert(IN_SIZE <= OUT_SIZE, "stored bytes are copied at once");

/* One step of the decoder: it may give nothing yet. */
static enum rc step(struct stream *s, struct err *err)
{
    enum rc rc = RC_OK;

    s->out_at = 0;
    s->out_n = 0;
    if (s->in_at == s->in_n && s->left > 0)
        rc = refill(s, err);
    if (rc == RC_OK)
        rc = s->codec == STREAM_ZSTD    ? step_zstd(s, err)
             : s->codec == STREAM_LZMA2 ? step_lzma(s, s->out, OUT_SIZE, &s->out_n, &s->ended, err)
             : s->codec == STREAM_RUNS  ? step_runs(s, err)
                                        : step_stored(s);
    if (rc != RC_OK)
        return rc;
    if (s->out_n == 0 && !s->ended && s->in_at == s->in_n && s->left == 0 && s->mid.n == 0)
        return err_at(err, RC_DELTA_STREAM, s->at, "stream ends early");
    if (s->out_n > s->undecoded)
        return err_at(err, RC_DELTA_BOMB, s->at, "stream gives more than it declares");
    s->undecoded -= s->out_n;
    return RC_OK;
}

enum rc stream_read(struct stream *s, uint8_t *buf, size_t n, struct err *err)
{
    if (n > stream_left(s))
        return err_at(err, RC_DELTA_BOMB, s->at, "more is wanted than the stream declares");
    while (n > 0) {
        size_t some = s->out_n - s->out_at < n ? s->out_n - s->out_at : n;

        memcpy(buf, s->out + s->out_at, some);
        s->out_at += some;
        buf += some;
        n -= some;
        if (n == 0)
            break;
        if (s->ended)
            return err_at(err, RC_DELTA_STREAM, s->at, "stream ends early");

        enum rc rc = step(s, err);

        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum rc stream_number(struct stream *s, uint64_t max, uint64_t *ret, struct err *err)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = 0;
        enum rc rc = stream_read(s, &byte, 1, err);

        if (rc != RC_OK)
            return rc;
        if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
            return err_at(err, RC_DELTA_STREAM, s->at, "number is not in its shortest form");
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte >= 0x80)
            continue;
        if (value > max)
            return err_at(err, RC_DELTA_RANGE, s->at, "number is too large");
        *ret = value;
        return RC_OK;
    }
    return err_at(err, RC_DELTA_STREAM, s->at, "number does not end");
}

uint64_t stream_left(const struct stream *s)
{
    return s->undecoded + (s->out_n - s->out_at);
}

enum rc stream_end(struct stream *s, struct err *err)
{
    enum rc rc = RC_OK;

    if (stream_left(s) > 0)
        return err_at(err, RC_DELTA_TRAILING, s->at, "stream gives more than is used");
    while (rc == RC_OK && !s->ended && (s->codec != STREAM_STORED || s->left > 0))
        rc = step(s, err); /* gives nothing any more, or is a bomb */
    if (rc == RC_OK && (s->left > 0 || s->in_at < s->in_n))
        rc = err_at(err, RC_DELTA_TRAILING, s->at, "bytes behind the end of a stream");
    return rc;
}
