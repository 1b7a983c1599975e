/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/rng: the simulator's one source of chance.  Everything random in a run comes from one seed
 * that a failing run prints; nothing here is for secrets.
 */
#ifndef BERTH_SIM_RNG_H
#define BERTH_SIM_RNG_H

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};

/* A generator for one purpose: the same seed and stream always give the same numbers. */
struct rng rng_make(uint64_t seed, uint64_t stream);

/* The next 64 bits (SplitMix64, Steele, Lea and Flood 2014). */
uint64_t rng_next(struct rng *rng);

/* Evenly from 0 to n - 1; n is at least 1. */
uint64_t rng_below(struct rng *rng, uint64_t n);

/* True with a chance of ppm in a million. */
bool rng_chance(struct rng *rng, uint32_t ppm);

#endif
