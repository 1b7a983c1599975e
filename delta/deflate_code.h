/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/deflate_code: the numbers of RFC 1951 that its two directions share.
 */
#ifndef BERTH_DELTA_DEFLATE_CODE_H
#define BERTH_DELTA_DEFLATE_CODE_H

#include "base/bytes.h"

#define DEFLATE_END 256U      /* of a block; literals are below, lengths above */
#define DEFLATE_LITERALS 286U /* literals and lengths that may occur */
#define DEFLATE_LITERALS_ALL 288U
#define DEFLATE_DISTANCES 30U
#define DEFLATE_DISTANCES_ALL 32U
#define DEFLATE_LENGTHS 19U /* symbols of the code for code lengths */
#define DEFLATE_FIXED_DISTANCE 5U
#define DEFLATE_MATCH_MIN 3U
#define DEFLATE_MATCH_MAX 258U

enum deflate_kind { DEFLATE_STORED, DEFLATE_FIXED, DEFLATE_DYNAMIC };

/* Values [first, first + (1 << bits)): which one is told in so many bits. */
struct deflate_span {
    uint32_t first;
    unsigned bits;
};

/* Lengths of symbol DEFLATE_END + 1 + i, i < 29: groups of four twice as wide as the ones before;
 * the largest length has a symbol of its own. */
static inline struct deflate_span deflate_length_span(unsigned i)
{
    unsigned bits = i < 8 ? 0 : i / 4 - 1;

    if (i == 28)
        return (struct deflate_span){ DEFLATE_MATCH_MAX, 0 };
    return (struct deflate_span){ DEFLATE_MATCH_MIN + (i < 8 ? i : (4 + i % 4) << bits), bits };
}

/* Distances of symbol i, i < 30: groups of two. */
static inline struct deflate_span deflate_distance_span(unsigned i)
{
    unsigned bits = i < 4 ? 0 : i / 2 - 1;

    return (struct deflate_span){ 1 + (i < 4 ? i : (2 + i % 2) << bits), bits };
}

/* Bits of literal or length symbol i in a fixed block. */
static inline uint8_t deflate_fixed_length(unsigned i)
{
    return i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
}

/* In which order the lengths of the code for code lengths come. */
static const uint8_t deflate_length_order[DEFLATE_LENGTHS] = { 16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                               11, 4,  12, 3, 13, 2, 14, 1, 15 };

#endif
