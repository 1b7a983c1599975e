/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/inflate.h"

#include "delta/deflate_code.h"

#define CODE_BITS_MAX 15U

/* A prefix code, as RFC 1951, 3.2.2 makes it of lengths. */
struct code {
    uint16_t count[CODE_BITS_MAX + 1]; /* symbols of each length */
    uint16_t symbols[DEFLATE_LITERALS_ALL];
};

struct inflate {
    struct bytes in;
    size_t at;
    uint32_t hold; /* bits taken from in and not yet used; whole bytes of them may go back */
    unsigned have; /* how many */
    bool bad;
    uint8_t *out;
    size_t n;
    size_t cap;
    struct code literals;
    struct code distances;
};

/* Have n bits to look at, at most 16, or all that are left. */
static inline void fill(struct inflate *s, unsigned n)
{
    for (; s->have < n && s->at < s->in.n; s->have += 8)
        s->hold |= (uint32_t)s->in.p[s->at++] << s->have;
}

/* The next n bits, at most 16. */
static uint32_t take(struct inflate *s, unsigned n)
{
    fill(s, n);
    if (s->have < n) {
        s->bad = true;
        return 0;
    }

    uint32_t v = s->hold & ((1U << n) - 1);

    s->hold >>= n;
    s->have -= n;
    return v;
}

/* False when the lengths want more codes than there are, or leave some out: one code of one bit,
 * and none at all, are all right. */
static bool code_init(struct code *c, const uint8_t *lengths, unsigned n)
{
    uint16_t first[CODE_BITS_MAX + 2] = { 0 };
    int left = 1;
    unsigned used = 0;

    memset(c->count, 0, sizeof c->count);
    for (unsigned i = 0; i < n; i++)
        c->count[lengths[i]]++;
    used = n - c->count[0];
    c->count[0] = 0;
    for (unsigned len = 1; len <= CODE_BITS_MAX; len++) {
        left = left * 2 - c->count[len];
        if (left < 0)
            return false;
        first[len + 1] = (uint16_t)(first[len] + c->count[len]);
    }
    for (unsigned i = 0; i < n; i++)
        if (lengths[i] > 0)
            c->symbols[first[lengths[i]]++] = (uint16_t)i;
    return left == 0 || (used == 1 && c->count[1] == 1) || used == 0;
}

/* The next symbol. */
static unsigned symbol(struct inflate *s, const struct code *c)
{
    unsigned word = 0;
    unsigned first = 0; /* code of this length, */
    unsigned index = 0; /* and its place among the symbols */

    fill(s, CODE_BITS_MAX);
    for (unsigned len = 1; len <= CODE_BITS_MAX && len <= s->have; len++) {
        word |= s->hold >> (len - 1) & 1;
        if (word - first < c->count[len]) {
            s->hold >>= len;
            s->have -= len;
            return c->symbols[index + (word - first)];
        }
        index += c->count[len];
        first = (first + c->count[len]) * 2;
        word *= 2;
    }
    s->bad = true;
    return 0;
}

static void copy(struct inflate *s, size_t distance, size_t length)
{
    if (s->bad || distance > s->n || length > s->cap - s->n) {
        s->bad = true;
        return;
    }
    for (; length > 0; length--, s->n++)
        s->out[s->n] = s->out[s->n - distance];
}

/* Symbols of a block to its end. */
static void block_symbols(struct inflate *s)
{
    while (!s->bad) {
        unsigned sym = symbol(s, &s->literals);

        if (sym == DEFLATE_END)
            return;
        if (sym < DEFLATE_END) {
            if (s->bad || s->n == s->cap)
                break;
            s->out[s->n++] = (uint8_t)sym;
            continue;
        }
        if (sym >= DEFLATE_LITERALS)
            break;

        struct deflate_span length = deflate_length_span(sym - DEFLATE_END - 1);
        size_t n = length.first + take(s, length.bits);
        unsigned far = symbol(s, &s->distances);

        if (far >= DEFLATE_DISTANCES)
            break;

        struct deflate_span distance = deflate_distance_span(far);

        copy(s, distance.first + take(s, distance.bits), n);
    }
    s->bad = true;
}

static void block_stored(struct inflate *s)
{
    s->at -= s->have / 8; /* the rest of a byte is left out */
    s->hold = 0;
    s->have = 0;
    if (s->in.n - s->at < 4) {
        s->bad = true;
        return;
    }

    const uint8_t *p = s->in.p + s->at;
    size_t n = (size_t)(p[0] | p[1] << 8);

    s->at += 4;
    if ((n ^ (size_t)(p[2] | p[3] << 8)) != 0xffff || n > s->in.n - s->at || n > s->cap - s->n) {
        s->bad = true;
        return;
    }
    if (n > 0)
        memcpy(s->out + s->n, s->in.p + s->at, n);
    s->at += n;
    s->n += n;
}

static void block_fixed(struct inflate *s)
{
    uint8_t lengths[DEFLATE_LITERALS_ALL];

    for (unsigned i = 0; i < DEFLATE_LITERALS_ALL; i++)
        lengths[i] = deflate_fixed_length(i);
    s->bad |= !code_init(&s->literals, lengths, DEFLATE_LITERALS_ALL);
    memset(lengths, DEFLATE_FIXED_DISTANCE, DEFLATE_DISTANCES_ALL);
    s->bad |= !code_init(&s->distances, lengths, DEFLATE_DISTANCES_ALL);
    block_symbols(s);
}

/* Lengths of n symbols, told by the code in s->literals. */
static void get_lengths(struct inflate *s, uint8_t *lengths, unsigned n)
{
    for (unsigned i = 0; i < n && !s->bad;) {
        unsigned sym = symbol(s, &s->literals);
        unsigned times = 1;
        uint8_t value = 0;

        if (sym < 16)
            value = (uint8_t)sym;
        else if (sym == 16)
            times = 3 + take(s, 2);
        else
            times = sym == 17 ? 3 + take(s, 3) : 11 + take(s, 7);
        if ((sym == 16 && i == 0) || times > n - i) {
            s->bad = true;
            return;
        }
        if (sym == 16)
            value = lengths[i - 1];
        memset(lengths + i, value, times);
        i += times;
    }
}

static void block_dynamic(struct inflate *s)
{
    uint8_t lengths[DEFLATE_LITERALS_ALL + DEFLATE_DISTANCES_ALL] = { 0 };
    unsigned literals = DEFLATE_END + 1 + take(s, 5);
    unsigned distances = 1 + take(s, 5);
    unsigned n = 4 + take(s, 4);

    if (literals > DEFLATE_LITERALS || distances > DEFLATE_DISTANCES) {
        s->bad = true;
        return;
    }
    for (unsigned i = 0; i < n; i++)
        lengths[deflate_length_order[i]] = (uint8_t)take(s, 3);
    s->bad |= !code_init(&s->literals, lengths, DEFLATE_LENGTHS);
    memset(lengths, 0, DEFLATE_LENGTHS);
    get_lengths(s, lengths, literals + distances);
    if (s->bad || lengths[DEFLATE_END] == 0 || !code_init(&s->literals, lengths, literals) ||
        !code_init(&s->distances, lengths + literals, distances)) {
        s->bad = true;
        return;
    }
    block_symbols(s);
}

bool inflate_whole(struct bytes in, uint8_t *out, size_t n)
{
    struct inflate s = { .in = in, .out = out, .cap = n };
    bool last = false;

    while (!last && !s.bad) {
        last = take(&s, 1);

        unsigned kind = take(&s, 2);

        if (kind == DEFLATE_STORED)
            block_stored(&s);
        else if (kind == DEFLATE_FIXED)
            block_fixed(&s);
        else if (kind == DEFLATE_DYNAMIC)
            block_dynamic(&s);
        else
            s.bad = true;
    }
    return !s.bad && s.n == n && s.at - s.have / 8 == in.n;
}
