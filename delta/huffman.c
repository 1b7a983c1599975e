/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/huffman.h"

#define NODES (2U * DEFLATE_LITERALS_ALL)
#define BITS_MAX 15U

/* The tree while it grows: leaves are the symbols, inner nodes follow them. */
struct grown {
    uint32_t count[NODES];
    uint16_t parent[NODES];
    uint8_t depth[NODES]; /* of what hangs below a node */
    uint16_t heap[NODES]; /* from 1 on: nodes without a parent, the least one first */
    unsigned heap_n;
    uint16_t order[NODES]; /* nodes as they got parents, the last one is the root */
    unsigned order_n;
    unsigned leaves; /* numbers of inner nodes begin here */
};

/* a goes before b: rarer, or as rare and not deeper. */
static bool before(const struct grown *g, unsigned a, unsigned b)
{
    return g->count[a] < g->count[b] || (g->count[a] == g->count[b] && g->depth[a] <= g->depth[b]);
}

/* Move the node at place k down to where it belongs. */
static void sink(struct grown *g, unsigned k)
{
    uint16_t node = g->heap[k];

    for (unsigned child; (child = 2 * k) <= g->heap_n; k = child) {
        if (child < g->heap_n && before(g, g->heap[child + 1], g->heap[child]))
            child++;
        if (before(g, node, g->heap[child]))
            break;
        g->heap[k] = g->heap[child];
    }
    g->heap[k] = node;
}

/* Leaves that occur, and as many others as make two. */
static void plant(struct grown *g, struct huffman *h, unsigned n)
{
    h->used = 0;
    for (unsigned i = 0; i < n; i++)
        if (h->count[i] > 0) {
            g->count[i] = h->count[i];
            g->heap[++g->heap_n] = (uint16_t)i;
            h->used = i + 1;
        }
    while (g->heap_n < 2) {
        uint16_t more = h->used < 3 ? (uint16_t)h->used++ : 0;

        g->count[more] = 1;
        g->heap[++g->heap_n] = more;
    }
    g->leaves = n;
    for (unsigned k = g->heap_n / 2; k >= 1; k--)
        sink(g, k);
}

/* Join the two least nodes until one is left. */
static void join(struct grown *g)
{
    for (unsigned node = g->leaves; g->heap_n >= 2; node++) {
        uint16_t a = g->heap[1];

        g->heap[1] = g->heap[g->heap_n--];
        sink(g, 1);

        uint16_t b = g->heap[1];

        g->order[g->order_n++] = a;
        g->order[g->order_n++] = b;
        g->count[node] = g->count[a] + g->count[b];
        g->depth[node] = (uint8_t)((g->depth[a] > g->depth[b] ? g->depth[a] : g->depth[b]) + 1);
        g->parent[a] = (uint16_t)node;
        g->parent[b] = (uint16_t)node;
        g->heap[1] = (uint16_t)node;
        sink(g, 1);
    }
    g->order[g->order_n++] = g->heap[1];
}

/* Lengths of all codes, the longest ones cut to limit; too_long of them were. */
static unsigned measure(const struct grown *g, struct huffman *h, unsigned limit, uint16_t *of)
{
    uint8_t bits[NODES] = { 0 }; /* the root's is 0 */
    unsigned too_long = 0;

    for (unsigned i = g->order_n - 1; i-- > 0;) {
        unsigned node = g->order[i];
        unsigned n = bits[g->parent[node]] + 1U;

        if (n > limit) {
            n = limit;
            too_long++;
        }
        bits[node] = (uint8_t)n;
        if (node < g->leaves) {
            h->length[node] = (uint8_t)n;
            of[n]++;
        }
    }
    return too_long;
}

/* Too many codes of the longest kind: lengthen shorter ones, and deal the lengths out again, the
 * longest to the rarest. */
static void shorten(const struct grown *g, struct huffman *h, unsigned limit, uint16_t *of,
                    int too_long)
{
    for (; too_long > 0; too_long -= 2) {
        unsigned bits = limit - 1;

        while (of[bits] == 0)
            bits--;
        of[bits]--;
        of[bits + 1] = (uint16_t)(of[bits + 1] + 2);
        of[limit]--;
    }

    unsigned at = 0;

    for (unsigned bits = limit; bits > 0; bits--)
        for (unsigned n = of[bits]; n > 0; at++)
            if (g->order[at] < g->leaves) {
                h->length[g->order[at]] = (uint8_t)bits;
                n--;
            }
}

void huffman_codes(struct huffman *h, unsigned n)
{
    uint16_t next[BITS_MAX + 2] = { 0 };
    uint16_t of[BITS_MAX + 1] = { 0 };

    for (unsigned i = 0; i < n; i++)
        of[h->length[i]]++;
    of[0] = 0;
    for (unsigned bits = 1; bits <= BITS_MAX; bits++)
        next[bits] = (uint16_t)((next[bits - 1] + of[bits - 1]) << 1);
    for (unsigned i = 0; i < n; i++) {
        uint16_t code = next[h->length[i]]++;

        h->code[i] = 0;
        for (unsigned bit = 0; bit < h->length[i]; bit++, code >>= 1)
            h->code[i] = (uint16_t)(h->code[i] << 1 | (code & 1));
    }
}

void huffman_make(struct huffman *h, unsigned n, unsigned limit)
{
    struct grown g = { .heap_n = 0 };
    uint16_t of[BITS_MAX + 1] = { 0 };

    memset(h->length, 0, sizeof h->length);
    plant(&g, h, n);
    join(&g);

    unsigned too_long = measure(&g, h, limit, of);

    if (too_long > 0)
        shorten(&g, h, limit, of, (int)too_long);
    huffman_codes(h, n);
}
