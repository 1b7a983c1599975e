/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/block.h"

#include <assert.h>

#define LIMIT 15U
#define LENGTHS_LIMIT 7U
#define REPEAT 16U     /* the last length again, 3 to 6 times */
#define ZEROS 17U      /* 3 to 10 times none */
#define ZEROS_LONG 18U /* 11 to 138 times */
#define ZEROS_LONG_MIN 11U
#define RUN_ZEROS_MAX 138U
#define RUN_MAX 6U

void block_literal(struct block *b, uint8_t byte)
{
    assert(b->n < BLOCK_TOKENS_MAX);
    b->distance[b->n] = 0;
    b->value[b->n++] = byte;
    b->literals.count[byte]++;
}

static unsigned log2_of(uint32_t v)
{
    return 31U - (unsigned)__builtin_clz(v);
}

/* The symbol of a length less 3, counted from DEFLATE_END + 1. */
static unsigned length_symbol(unsigned v)
{
    if (v == DEFLATE_MATCH_MAX - DEFLATE_MATCH_MIN)
        return 28;
    if (v < 8)
        return v;

    unsigned k = log2_of(v);

    return 4 * (k - 1) + (v >> (k - 2) & 3);
}

static unsigned distance_symbol(uint32_t distance)
{
    uint32_t v = distance - 1;

    if (v < 4)
        return v;

    unsigned k = log2_of(v);

    return 2 * k + (v >> (k - 1) & 1);
}

void block_match(struct block *b, uint32_t distance, uint32_t length)
{
    uint8_t value = (uint8_t)(length - DEFLATE_MATCH_MIN);

    assert(b->n < BLOCK_TOKENS_MAX && distance > 0 && distance <= 32768 &&
           length >= DEFLATE_MATCH_MIN && length <= DEFLATE_MATCH_MAX);
    b->distance[b->n] = (uint16_t)distance;
    b->value[b->n++] = value;
    b->n_matches++;
    b->literals.count[DEFLATE_END + 1 + length_symbol(value)]++;
    b->distances.count[distance_symbol(distance)]++;
}

uint64_t block_distance_bits(const struct block *b, unsigned plus)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < DEFLATE_DISTANCES; i++)
        sum += (uint64_t)b->distances.count[i] * (deflate_distance_span(i).bits + plus);
    return sum;
}

/* ---- bits ------------------------------------------------------------------------------------ */

void block_flush(struct block_out *out)
{
    if (out->rc == RC_OK && out->n > 0)
        out->rc = out->sink.data(out->sink.arg, (struct bytes){ out->bytes, out->n }, out->err);
    out->n = 0;
}

static void put_byte(struct block_out *out, uint8_t byte)
{
    if (out->n == sizeof out->bytes)
        block_flush(out);
    out->bytes[out->n++] = byte;
}

static void put(struct block_out *out, uint32_t v, unsigned bits)
{
    out->hold |= (uint64_t)v << out->have;
    for (out->have += bits; out->have >= 8; out->have -= 8) {
        put_byte(out, (uint8_t)out->hold);
        out->hold >>= 8;
    }
}

/* Fill the last byte up with zeros. */
static void put_align(struct block_out *out)
{
    if (out->have > 0)
        put(out, 0, 8 - out->have);
}

static void put_symbol(struct block_out *out, const struct huffman *h, unsigned sym)
{
    put(out, h->code[sym], h->length[sym]);
}

/* ---- code lengths ---------------------------------------------------------------------------- */

/* Lengths told in symbols of their own.  Without out: only count them. */
struct teller {
    struct huffman *h;
    struct block_out *out;
};

static void tell(const struct teller *t, unsigned sym, uint32_t more, unsigned bits)
{
    if (!t->out) {
        t->h->count[sym]++;
        return;
    }
    put_symbol(t->out, t->h, sym);
    put(t->out, more, bits);
}

/* length comes n times, behind another one: same says that it is the last one told. */
static void tell_run(const struct teller *t, unsigned length, unsigned n, bool same)
{
    unsigned repeat_min = same ? 3 : 4;

    if (length == 0 && n >= ZEROS_LONG_MIN) {
        tell(t, ZEROS_LONG, n - ZEROS_LONG_MIN, 7);
    } else if (length == 0 && n >= 3) {
        tell(t, ZEROS, n - 3, 3);
    } else if (length > 0 && n >= repeat_min) {
        if (!same)
            tell(t, length, 0, 0);
        tell(t, REPEAT, n - repeat_min, 2);
    } else {
        while (n-- > 0)
            tell(t, length, 0, 0);
    }
}

/* The lengths of one code, run by run. */
static void tell_lengths(const struct teller *t, const struct huffman *of)
{
    int last = -1;

    for (unsigned i = 0; i < of->used;) {
        unsigned length = of->length[i];
        bool same = (int)length == last;
        unsigned most = length == 0 ? RUN_ZEROS_MAX : same ? RUN_MAX : RUN_MAX + 1;
        unsigned n = 1;

        while (n < most && i + n < of->used && of->length[i + n] == length)
            n++;
        tell_run(t, length, n, same);
        i += n;
        last = (int)length;
    }
}

/* ---- a block --------------------------------------------------------------------------------- */

/* Bits of all tokens and the end, with their codes or those of fixed blocks. */
static uint64_t token_bits(const struct block *b, bool fixed)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < DEFLATE_LITERALS; i++) {
        unsigned bits = fixed ? deflate_fixed_length(i) : b->literals.length[i];

        if (i > DEFLATE_END)
            bits += deflate_length_span(i - DEFLATE_END - 1).bits;
        sum += (uint64_t)b->literals.count[i] * bits;
    }
    for (unsigned i = 0; i < DEFLATE_DISTANCES; i++) {
        unsigned bits = fixed ? DEFLATE_FIXED_DISTANCE : b->distances.length[i];

        sum += (uint64_t)b->distances.count[i] * (bits + deflate_distance_span(i).bits);
    }
    return sum;
}

static void put_tokens(const struct block *b, struct block_out *out)
{
    for (uint32_t i = 0; i < b->n; i++) {
        unsigned value = b->value[i];
        uint32_t distance = b->distance[i];

        if (distance == 0) {
            put_symbol(out, &b->literals, value);
            continue;
        }

        unsigned length = length_symbol(value);
        unsigned far = distance_symbol(distance);
        struct deflate_span l = deflate_length_span(length);
        struct deflate_span d = deflate_distance_span(far);

        put_symbol(out, &b->literals, DEFLATE_END + 1 + length);
        put(out, value + DEFLATE_MATCH_MIN - l.first, l.bits);
        put_symbol(out, &b->distances, far);
        put(out, distance - d.first, d.bits);
    }
    put_symbol(out, &b->literals, DEFLATE_END);
}

static void put_stored(struct block_out *out, struct bytes plain)
{
    put_align(out);
    put(out, (uint32_t)plain.n, 16);
    put(out, (uint32_t)plain.n ^ 0xffff, 16);
    for (size_t i = 0; i < plain.n; i++)
        put_byte(out, plain.p[i]);
}

static void put_fixed(struct block *b, struct block_out *out)
{
    for (unsigned i = 0; i < DEFLATE_LITERALS_ALL; i++)
        b->literals.length[i] = deflate_fixed_length(i);
    memset(b->distances.length, DEFLATE_FIXED_DISTANCE, DEFLATE_DISTANCES_ALL);
    huffman_codes(&b->literals, DEFLATE_LITERALS_ALL);
    huffman_codes(&b->distances, DEFLATE_DISTANCES_ALL);
    put_tokens(b, out);
}

/* The code for code lengths; returns how many of its own lengths are told. */
static unsigned make_lengths(const struct block *b, struct huffman *h)
{
    const struct teller count = { .h = h };
    unsigned n = DEFLATE_LENGTHS;

    tell_lengths(&count, &b->literals);
    tell_lengths(&count, &b->distances);
    huffman_make(h, DEFLATE_LENGTHS, LENGTHS_LIMIT);
    while (n > 4 && h->length[deflate_length_order[n - 1]] == 0)
        n--;
    return n;
}

/* Bits of the head of a dynamic block. */
static uint64_t head_bits(const struct huffman *h, unsigned n)
{
    static const uint8_t more[DEFLATE_LENGTHS] = { [REPEAT] = 2, [ZEROS] = 3, [ZEROS_LONG] = 7 };
    uint64_t sum = 5 + 5 + 4 + 3ULL * n;

    for (unsigned i = 0; i < DEFLATE_LENGTHS; i++)
        sum += (uint64_t)h->count[i] * (uint64_t)(h->length[i] + more[i]);
    return sum;
}

static void put_dynamic(const struct block *b, struct huffman *h, unsigned n, struct block_out *out)
{
    const struct teller teller = { .h = h, .out = out };

    put(out, b->literals.used - DEFLATE_END - 1, 5);
    put(out, b->distances.used - 1, 5);
    put(out, n - 4, 4);
    for (unsigned i = 0; i < n; i++)
        put(out, h->length[deflate_length_order[i]], 3);
    tell_lengths(&teller, &b->literals);
    tell_lengths(&teller, &b->distances);
    put_tokens(b, out);
}

void block_end(struct block *b, struct block_out *out, struct bytes plain, bool last)
{
    struct huffman h = { .used = 0 };

    b->literals.count[DEFLATE_END] = 1;
    huffman_make(&b->literals, DEFLATE_LITERALS, LIMIT);
    huffman_make(&b->distances, DEFLATE_DISTANCES, LIMIT);

    unsigned n = make_lengths(b, &h);
    uint64_t fixed = (token_bits(b, true) + 3 + 7) / 8;
    uint64_t dynamic = (token_bits(b, false) + head_bits(&h, n) + 3 + 7) / 8;
    uint64_t least = fixed <= dynamic ? fixed : dynamic;
    enum deflate_kind kind = plain.n + 4 <= least && plain.p ? DEFLATE_STORED
                             : fixed <= dynamic              ? DEFLATE_FIXED
                                                             : DEFLATE_DYNAMIC;

    put(out, last, 1);
    put(out, kind, 2);
    if (kind == DEFLATE_STORED)
        put_stored(out, plain);
    else if (kind == DEFLATE_FIXED)
        put_fixed(b, out);
    else
        put_dynamic(b, &h, n, out);
    if (last)
        put_align(out);
    b->n = 0;
    b->n_matches = 0;
    memset(&b->literals, 0, sizeof b->literals);
    memset(&b->distances, 0, sizeof b->distances);
}
