/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/arena: room for many small things that live and end together.  Ground only.
 */
#ifndef BERTH_ORCHESTRATOR_ARENA_H
#define BERTH_ORCHESTRATOR_ARENA_H

#include <stddef.h>

#include "base/err.h"

struct arena_chunk;

/* All zero is empty. */
struct arena {
    struct arena_chunk *newest;
    size_t used; /* of the newest */
};

/* n bytes, aligned for anything, not set; NULL when there is no memory.  They live until
 * arena_done. */
void *arena_get(struct arena *arena, size_t n);

/* A copy of n bytes, likewise; NULL also for n = 0. */
void *arena_copy(struct arena *arena, const void *from, size_t n);

void arena_done(struct arena *arena); /* scope cleaner */

#endif
