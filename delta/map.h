/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/map: where an address of an old file went in one new file.  Made from the matches of that
 * new file; learns from every guess that was wrong, and maker and applier learn the same.  All
 * arithmetic is modulo 2^64.
 */
#ifndef BERTH_DELTA_MAP_H
#define BERTH_DELTA_MAP_H

#include "base/bytes.h"
#include "base/err.h"

#define MAP_GUIDES_MAX 4U /* old files whose references are followed for one new file */
#define MAP_LEARNED 65536U

struct map;

/* Memory of a map of at most n segments, in bytes. */
uint64_t map_cost(uint32_t n);

/* An empty map with room for at most n segments. */
must_check enum rc map_new(uint32_t n, struct map **ret, struct err *err);
void map_free(struct map **m); /* takes the address, a scope cleaner */

/* Addresses [old, old + size) of guide went to new.  False when the map is full. */
bool map_add(struct map *m, unsigned guide, uint64_t old, uint64_t new, uint64_t size);

/* After the last map_add and before the first map_guess. */
void map_sort(struct map *m);

/* A guess, and what it came from, for map_learn. */
struct map_guess {
    uint64_t address;
    unsigned guide;
    uint64_t old;
    uint32_t segment; /* UINT32_MAX = learned before, or there is no segment */
};

/* Where address old of guide went. */
struct map_guess map_guess(const struct map *m, unsigned guide, uint64_t old);

/* It went to actual. */
void map_learn(struct map *m, const struct map_guess *guess, uint64_t actual);

#endif
