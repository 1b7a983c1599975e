/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/ring.h"

#include <string.h>

struct digest ring_start(uint64_t epoch)
{
    struct digest start = { 0 };

    /* Its bits the other way round: 0, 1/2, 1/4, 3/4, 1/8 ... of the ring. */
    for (unsigned i = 0; i < 64; i++)
        if ((epoch >> i & 1U) != 0)
            start.b[i / 8] |= (uint8_t)(0x80U >> i % 8);
    return start;
}

bool ring_before(const struct digest *start, const struct digest *a, const struct digest *b)
{
    const bool a_ahead = memcmp(a->b, start->b, sizeof a->b) > 0;
    const bool b_ahead = memcmp(b->b, start->b, sizeof b->b) > 0;

    return a_ahead != b_ahead ? a_ahead : memcmp(a->b, b->b, sizeof a->b) < 0;
}
