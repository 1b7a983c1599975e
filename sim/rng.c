/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/rng.h"

#include <assert.h>

struct rng rng_make(uint64_t seed, uint64_t stream)
{
    struct rng rng = { .state = seed };

    rng.state = rng_next(&rng) ^ (stream * UINT64_C(0x9e3779b97f4a7c15));
    return rng;
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t rng_below(struct rng *rng, uint64_t n)
{
    uint64_t v;
    uint64_t fair = UINT64_MAX - UINT64_MAX % n;

    assert(n > 0);
    do
        v = rng_next(rng);
    while (v >= fair);
    return v % n;
}

bool rng_chance(struct rng *rng, uint32_t ppm)
{
    return rng_below(rng, 1000000) < ppm;
}
