/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/block: inside delta/deflate: one block of a deflate stream (RFC 1951) from its tokens, told
 * in the way that takes the fewest bits.
 */
#ifndef BERTH_DELTA_BLOCK_H
#define BERTH_DELTA_BLOCK_H

#include "base/err.h"
#include "delta/huffman.h"

#define BLOCK_TOKENS_MAX 32768U

/* Where bytes go.  Anything but RC_OK ends the work with that code. */
struct block_sink {
    void *arg;
    enum rc (*data)(void *arg, struct bytes piece, struct err *err);
};

/* A stream that is being written.  Its first failure stays. */
struct block_out {
    struct block_sink sink;
    enum rc rc;
    struct err *err; /* of the call that is under way */
    uint64_t hold;   /* bits that make no byte yet */
    unsigned have;
    size_t n;
    uint8_t bytes[4096];
};

/* What a block is made of, and how often each symbol occurs.  All zero at the beginning. */
struct block {
    uint32_t n;
    uint32_t n_matches;
    uint16_t distance[BLOCK_TOKENS_MAX]; /* 0 = a literal */
    uint8_t value[BLOCK_TOKENS_MAX];     /* the literal, or the length less 3 */
    struct huffman literals;
    struct huffman distances;
};

/* The next token is a literal; or a match of that length (3 to 258) and distance (1 to 32768).  The
 * caller keeps n below BLOCK_TOKENS_MAX. */
void block_literal(struct block *b, uint8_t byte);
void block_match(struct block *b, uint32_t distance, uint32_t length);

/* Bits that a distance's symbol takes beside its code, summed up over the block's matches with
 * plus more for each. */
uint64_t block_distance_bits(const struct block *b, unsigned plus);

/* Write the block and begin the next one.  plain: the bytes that the tokens stand for; its p is
 * NULL when they are gone, which rules out telling them as they are. */
void block_end(struct block *b, struct block_out *out, struct bytes plain, bool last);

/* Hand on the bytes that have gathered. */
void block_flush(struct block_out *out);

#endif
