/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/map.h"

#include <assert.h>
#include <stdlib.h>

#define NO_SEGMENT UINT32_MAX
#define FIXED_COST (1152U * 1024U) /* of a struct map: part of the format, as is the next one */
#define SEGMENT_COST 40U
#define OVERLAPS_MAX 8U /* how many segments back one that covers the address is looked for */

struct segment {
    uint64_t old;
    uint64_t new;
    uint64_t correction; /* sum of what guesses through this segment were off by */
    uint32_t size;
    uint32_t guide;
};

struct learned {
    uint64_t old;
    uint64_t new;
};

struct map {
    uint32_t n;
    uint32_t cap;
    uint32_t first[MAP_GUIDES_MAX + 1];  /* of each guide's segments, once sorted */
    struct learned learned[MAP_LEARNED]; /* by a hash of the old address */
    uint8_t owner[MAP_LEARNED];          /* of each: guide + 1, 0 = empty */
    struct segment segments[];
};

static_assert(sizeof(struct map) <= FIXED_COST && sizeof(struct segment) <= SEGMENT_COST,
              "what a delta declares stays enough");

uint64_t map_cost(uint32_t n)
{
    return FIXED_COST + (uint64_t)n * SEGMENT_COST;
}

enum rc map_new(uint32_t n, struct map **ret, struct err *err)
{
    struct map *m = calloc(1, sizeof(struct map) + (size_t)n * sizeof(struct segment));

    if (!m)
        return err_set(err, RC_NO_MEMORY, "address map");
    m->cap = n;
    *ret = m;
    return RC_OK;
}

void map_free(struct map **m)
{
    free(*m);
    *m = NULL;
}

bool map_add(struct map *m, unsigned guide, uint64_t old, uint64_t new, uint64_t size)
{
    assert(guide < MAP_GUIDES_MAX);
    if (m->n == m->cap || size > UINT32_MAX)
        return false;
    m->segments[m->n++] =
        (struct segment){ .old = old, .new = new, .size = (uint32_t)size, .guide = guide };
    return true;
}

/* A total order over everything that was added, so that the result of sorting is one. */
static bool before(const struct segment *a, const struct segment *b)
{
    if (a->guide != b->guide)
        return a->guide < b->guide;
    if (a->old != b->old)
        return a->old < b->old;
    return a->new != b->new ? a->new < b->new : a->size < b->size;
}

/* Let the segment at i sink in the heap of the first n. */
static void sink(struct segment *s, uint32_t i, uint32_t n)
{
    struct segment moved = s[i];

    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&s[child], &s[child + 1]))
            child++;
        if (!before(&moved, &s[child]))
            break;
        s[i] = s[child];
    }
    s[i] = moved;
}

/* Heap sort: in place whatever the input, where qsort may allocate. */
void map_sort(struct map *m)
{
    struct segment *s = m->segments;

    for (uint32_t i = m->n / 2; i-- > 0;)
        sink(s, i, m->n);
    for (uint32_t n = m->n; n > 1; n--) {
        struct segment last = s[n - 1];

        s[n - 1] = s[0];
        s[0] = last;
        sink(s, 0, n - 1);
    }
    for (unsigned g = 0, i = 0; g <= MAP_GUIDES_MAX; g++) {
        while (i < m->n && s[i].guide < g)
            i++;
        m->first[g] = i;
    }
}

static bool covers(const struct segment *s, uint64_t old)
{
    return old - s->old < s->size;
}

/* The segment that covers old, or the nearest one; there is one at least between low and high. */
static uint32_t find(const struct map *m, uint32_t low, uint32_t high, uint64_t old)
{
    uint32_t left = low;
    uint32_t right = high;

    while (left < right) {
        uint32_t mid = left + (right - left) / 2;

        if (m->segments[mid].old <= old)
            left = mid + 1;
        else
            right = mid;
    }
    if (left == low)
        return low;
    for (uint32_t i = left; i > low && left - i < OVERLAPS_MAX; i--)
        if (covers(&m->segments[i - 1], old))
            return i - 1;

    const struct segment *s = &m->segments[left - 1];

    if (left < high && m->segments[left].old - old < old - (s->old + s->size))
        return left;
    return left - 1;
}

static size_t place_of(unsigned guide, uint64_t old)
{
    return (size_t)((old + guide) * 0x9e3779b97f4a7c15ULL >> 32) % MAP_LEARNED;
}

struct map_guess map_guess(const struct map *m, unsigned guide, uint64_t old)
{
    struct map_guess g = { .address = old, .guide = guide, .old = old, .segment = NO_SEGMENT };
    size_t place = place_of(guide, old);

    assert(guide < MAP_GUIDES_MAX);
    if (m->owner[place] == guide + 1 && m->learned[place].old == old) {
        g.address = m->learned[place].new;
    } else if (m->first[guide] < m->first[guide + 1]) {
        g.segment = find(m, m->first[guide], m->first[guide + 1], old);

        const struct segment *s = &m->segments[g.segment];

        g.address = old - s->old + s->new + s->correction;
    }
    return g;
}

void map_learn(struct map *m, const struct map_guess *guess, uint64_t actual)
{
    size_t place = place_of(guess->guide, guess->old);

    m->learned[place] = (struct learned){ .old = guess->old, .new = actual };
    m->owner[place] = (uint8_t)(guess->guide + 1);
    if (guess->segment != NO_SEGMENT)
        m->segments[guess->segment].correction += actual - guess->address;
}
