/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/huffman: a prefix code for symbols of known frequencies, no code longer than a limit. Which
 * of several equally good codes it is, and what is done when the limit is met, is part of the
 * format: it is what compressors after gzip 1.0 do.  Pure.
 */
#ifndef BERTH_DELTA_HUFFMAN_H
#define BERTH_DELTA_HUFFMAN_H

#include "delta/deflate_code.h"

struct huffman {
    uint32_t count[DEFLATE_LITERALS_ALL]; /* how often each symbol occurs; the caller's */
    uint8_t length[DEFLATE_LITERALS_ALL]; /* of its code in bits, 0 = it has none */
    uint16_t code[DEFLATE_LITERALS_ALL];  /* first bit lowest */
    unsigned used;                        /* the symbols that have codes lie below this */
};

/* Make lengths and codes for n symbols, at most DEFLATE_LITERALS_ALL, no code longer than limit
 * bits (2^limit >= n, limit <= 15); counts add up to less than 2^31.  Two symbols get codes at
 * least. */
void huffman_make(struct huffman *h, unsigned n, unsigned limit);

/* Make codes for the lengths of n symbols. */
void huffman_codes(struct huffman *h, unsigned n);

#endif
