/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The first is small, for who keeps one thing; the others are twice as large, up to the last. */
#define CHUNK_FIRST (16U * 1024U)
#define CHUNK_LAST (256U * 1024U)

struct arena_chunk {
    struct arena_chunk *before;
    size_t size; /* of data */
    alignas(max_align_t) uint8_t data[];
};

static struct arena_chunk *add_chunk(struct arena *arena, size_t n)
{
    const size_t before = arena->newest ? arena->newest->size : CHUNK_FIRST / 2;
    const size_t usual = before < CHUNK_LAST / 2 ? 2 * before : CHUNK_LAST;
    const size_t size = n > usual ? n : usual;
    struct arena_chunk *chunk = malloc(sizeof *chunk + size);

    if (!chunk)
        return NULL;
    chunk->before = arena->newest;
    chunk->size = size;
    arena->newest = chunk;
    arena->used = 0;
    return chunk;
}

void *arena_get(struct arena *arena, size_t n)
{
    const size_t align = alignof(max_align_t);
    struct arena_chunk *chunk = arena->newest;

    if (n > SIZE_MAX - sizeof *chunk - align)
        return NULL;
    n = (n + align - 1) / align * align;
    if (!chunk || n > chunk->size - arena->used)
        chunk = add_chunk(arena, n);
    if (!chunk)
        return NULL;
    arena->used += n;
    return chunk->data + (arena->used - n);
}

void *arena_copy(struct arena *arena, const void *from, size_t n)
{
    void *ret = n > 0 ? arena_get(arena, n) : NULL;

    if (ret)
        memcpy(ret, from, n);
    return ret;
}

void arena_done(struct arena *arena)
{
    for (struct arena_chunk *at = arena->newest, *before = NULL; at; at = before) {
        before = at->before;
        free(at);
    }
    *arena = (struct arena){ 0 };
}
