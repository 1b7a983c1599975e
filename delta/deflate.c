/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/deflate.h"

#include <assert.h>
#include <stdlib.h>

#define HALF 32768U
#define WINDOW (2 * HALF)
#define MARGIN (DEFLATE_MATCH_MAX + DEFLATE_MATCH_MIN + 1) /* bytes that a step may look ahead */
#define FAR_MAX (HALF - MARGIN)
#define TOO_FAR 4096U /* three bytes from farther away are not worth it */
#define HASH_BITS 15U
#define NOWHERE 0U /* the first place of the window is never found again */

/* How hard a level looks. */
struct effort {
    uint16_t good;  /* look at a quarter only when there is a match of this length already */
    uint16_t lazy;  /* do not look on behind a match of this length */
    uint16_t nice;  /* a match of this length is good enough */
    uint16_t chain; /* places to look at */
};

static const struct effort efforts[DEFLATE_LEVEL_MAX - DEFLATE_LEVEL_MIN + 1] = {
    { 4, 4, 16, 16 },    { 8, 16, 32, 32 },      { 8, 16, 128, 128 },
    { 8, 32, 128, 256 }, { 32, 128, 258, 1024 }, { 32, 258, 258, 4096 },
};

struct deflate {
    struct effort effort;
    enum deflate_style style;
    uint32_t tokens_max; /* of a block */
    struct deflate_work *work;
    uint32_t fill;   /* bytes of the window that have content */
    bool all;        /* there is no more content */
    uint32_t at;     /* the next place of the window */
    int32_t block;   /* where the block began, below 0 = before the window */
    bool pending;    /* the byte before at is no token yet */
    uint32_t length; /* of the match that begins with it, 2 = none */
    uint32_t from;   /* where that match is copied from */
    struct block_out out;
    uint16_t head[1U << HASH_BITS]; /* the last place with these three bytes */
    uint16_t chain[HALF];           /* of each place: the one before it */
    uint8_t window[WINDOW + DEFLATE_MATCH_MAX];
    struct block tokens;
};

static_assert(sizeof(struct deflate) <= DEFLATE_COST, "what a delta declares stays enough");

enum rc deflate_new(const struct deflate_spec *spec, struct deflate **ret, struct err *err)
{
    struct deflate *d = calloc(1, sizeof *d);

    assert(spec->level >= DEFLATE_LEVEL_MIN && spec->level <= DEFLATE_LEVEL_MAX);
    if (!d)
        return err_set(err, RC_NO_MEMORY, "deflate");
    d->effort = efforts[spec->level - DEFLATE_LEVEL_MIN];
    d->style = spec->style;
    d->tokens_max = (spec->style == DEFLATE_GZIP ? HALF : HALF / 2) - 1;
    d->work = spec->work;
    d->length = DEFLATE_MATCH_MIN - 1;
    d->out.sink = spec->sink;
    *ret = d;
    return RC_OK;
}

void deflate_free(struct deflate **d)
{
    free(*d);
    *d = NULL;
}

/* ---- search ---------------------------------------------------------------------------------- */

/* Enter place at into its chain; returns the place before it there. */
static uint32_t enter(struct deflate *d, uint32_t at)
{
    const uint8_t *p = d->window + at;
    uint32_t hash = ((uint32_t)p[0] << 10 ^ (uint32_t)p[1] << 5 ^ p[2]) & ((1U << HASH_BITS) - 1);
    uint32_t before = d->head[hash];

    d->chain[at % HALF] = (uint16_t)before;
    d->head[hash] = (uint16_t)at;
    return before;
}

/* Of two words that were read from memory and differ by this: how many bytes at the lower addresses
 * are the same. */
static uint32_t same_bytes(uint64_t difference)
{
    bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

    return (uint32_t)(little ? __builtin_ctzll(difference) : __builtin_clzll(difference)) / 8;
}

/* Bytes that two places of the window have in common. */
static uint32_t common(const uint8_t *a, const uint8_t *b)
{
    uint32_t n = 0;

    for (; n + 8 <= DEFLATE_MATCH_MAX; n += 8) {
        uint64_t x;
        uint64_t y;

        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y)
            return n + same_bytes(x ^ y);
    }
    while (n < DEFLATE_MATCH_MAX && a[n] == b[n])
        n++;
    return n;
}

static uint16_t two_at(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* The longest match at d->at among the places from `from` on that is longer than the one before;
 * sets d->from when there is one.  Returns the longer length of the two. */
static uint32_t longest(struct deflate *d, uint32_t from)
{
    const uint8_t *here = d->window + d->at;
    uint32_t best = d->length;
    uint16_t end = two_at(here + best - 1); /* a longer match goes on like this */
    uint32_t limit = d->at > FAR_MAX ? d->at - FAR_MAX : NOWHERE;
    uint32_t left = d->fill - d->at;
    uint32_t nice = d->effort.nice;
    uint32_t looked = 0;
    uint32_t looks = best >= d->effort.good ? d->effort.chain / 4U : d->effort.chain;

    if (d->style != DEFLATE_GZIP && nice > left)
        nice = left;
    do {
        const uint8_t *there = d->window + from;

        looked++;
        if (two_at(there + best - 1) == end) {
            uint32_t n = common(here, there);

            if (n > best) {
                d->from = from;
                best = n;
                end = two_at(here + best - 1);
                if (n >= nice)
                    break;
            }
        }
        from = d->chain[from % HALF];
    } while (from > limit && --looks > 0);
    d->work->left -= looked;
    return best < left ? best : left;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void end_block(struct deflate *d, bool last)
{
    uint32_t n = (uint32_t)((int32_t)d->at - d->block);
    struct bytes plain = { .p = d->block >= 0 ? d->window + d->block : NULL, .n = n };

    block_end(&d->tokens, &d->out, plain, last);
    d->block = (int32_t)d->at;
}

/* Whether the block ends here: it is full, or gzip thinks that it has got very small.  at is the
 * place behind the byte with which the last token began. */
static bool block_full(const struct deflate *d)
{
    const struct block *b = &d->tokens;

    if (d->style == DEFLATE_GZIP && b->n % 4096 == 0) {
        uint64_t out = ((uint64_t)b->n * 8 + block_distance_bits(b, 5)) / 8;
        uint64_t in = (uint64_t)((int64_t)d->at - d->block);

        if (b->n_matches < b->n / 2 && out < in / 2)
            return true;
    }
    return b->n == d->tokens_max;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The match that began one byte ago is no shorter than one here: it is a token. */
static void take_match(struct deflate *d, uint32_t from, uint32_t length)
{
    uint32_t last = d->fill - DEFLATE_MATCH_MIN; /* zlib: no place behind this one is entered */

    block_match(&d->tokens, d->at - 1 - from, length);

    bool full = block_full(d);

    for (uint32_t i = 0; i < length - 2; i++) {
        d->at++;
        if (d->style == DEFLATE_GZIP || (d->fill >= DEFLATE_MATCH_MIN && d->at <= last))
            (void)enter(d, d->at);
    }
    d->at++;
    d->pending = false;
    d->length = DEFLATE_MATCH_MIN - 1;
    if (full)
        end_block(d, false);
}

static void step(struct deflate *d)
{
    uint32_t before = NOWHERE;
    uint32_t length = d->length;
    uint32_t from = d->from;

    if (d->style == DEFLATE_GZIP || d->fill - d->at >= DEFLATE_MATCH_MIN)
        before = enter(d, d->at);

    uint32_t here = DEFLATE_MATCH_MIN - 1;

    if (before != NOWHERE && length < d->effort.lazy && d->at - before <= FAR_MAX &&
        d->at <= WINDOW - MARGIN) {
        here = longest(d, before);
        if (here == DEFLATE_MATCH_MIN && d->at - d->from > TOO_FAR)
            here--;
    }
    d->length = here;
    if (length >= DEFLATE_MATCH_MIN && here <= length) {
        take_match(d, from, length);
        return;
    }
    if (d->pending) {
        block_literal(&d->tokens, d->window[d->at - 1]);
        if (block_full(d))
            end_block(d, false);
    }
    d->pending = true;
    d->at++;
}

/* ---- window ---------------------------------------------------------------------------------- */

static void slide_places(uint16_t *places, size_t n)
{
    for (size_t i = 0; i < n; i++)
        places[i] = (uint16_t)(places[i] >= HALF ? places[i] - HALF : NOWHERE);
}

/* Make room behind the content, once the first half is out of reach. */
static void slide(struct deflate *d)
{
    if (d->at < HALF + FAR_MAX)
        return;
    memcpy(d->window, d->window + HALF, HALF);
    d->at -= HALF;
    d->from -= HALF;
    d->fill -= HALF;
    d->block -= (int32_t)HALF;
    slide_places(d->head, sizeof d->head / sizeof d->head[0]);
    slide_places(d->chain, HALF);
}

/* Search on: to the end, or until a step could look behind the content.  Then the window has room
 * again. */
static void run(struct deflate *d, bool end)
{
    while (d->out.rc == RC_OK && d->work->left > 0) {
        if (d->fill - d->at < MARGIN && !d->all) {
            slide(d);
            if (!end)
                break;
            d->all = true;
            memset(d->window + d->fill, 0, DEFLATE_MATCH_MIN - 1);
        }
        if (d->at == d->fill)
            break;
        step(d);
    }
    if (d->work->left < d->work->least)
        d->work->least = d->work->left;
}

/* How it went so far. */
static enum rc outcome(const struct deflate *d, struct err *err)
{
    if (d->out.rc == RC_OK && d->work->left <= 0)
        return err_set(err, RC_DELTA_WORK, "content is slow to compress");
    return d->out.rc;
}

enum rc deflate_add(struct deflate *d, struct bytes content, struct err *err)
{
    enum rc rc = outcome(d, err);

    d->out.err = err;
    while (content.n > 0 && rc == RC_OK) {
        size_t n = WINDOW - d->fill < content.n ? WINDOW - d->fill : content.n;

        /* As it fills the window, so that the pieces it comes in make no difference. */
        d->work->left += (int64_t)n * DEFLATE_STEPS;
        memcpy(d->window + d->fill, content.p, n);
        content = (struct bytes){ content.p + n, content.n - n };
        d->fill += (uint32_t)n;
        if (d->fill == WINDOW)
            run(d, false);
        rc = outcome(d, err);
    }
    return rc;
}

enum rc deflate_end(struct deflate *d, struct err *err)
{
    enum rc rc = outcome(d, err);

    d->out.err = err;
    if (rc == RC_OK)
        run(d, true);
    rc = outcome(d, err);
    if (rc != RC_OK)
        return rc;
    if (d->pending)
        block_literal(&d->tokens, d->window[d->at - 1]);
    end_block(d, true);
    block_flush(&d->out);
    return d->out.rc;
}
