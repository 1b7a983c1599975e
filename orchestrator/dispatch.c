/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/dispatch.h"

bool dispatch_is_open(const struct dispatch_pass *p, int64_t now_ms)
{
    return now_ms >= p->aos_ms - DISPATCH_LEAD_MS && now_ms < p->los_ms;
}

uint64_t dispatch_room(const struct dispatch_pass *p, int64_t now_ms, uint64_t files_left)
{
    const uint64_t part = p->capacity / DISPATCH_MORE_PART;
    const uint64_t more = part > DISPATCH_MORE_MIN ? part : DISPATCH_MORE_MIN;
    const uint64_t left = p->capacity > p->sent ? p->capacity - p->sent : 0;

    if (!dispatch_is_open(p, now_ms))
        return 0;
    if (now_ms >= p->aos_ms && files_left <= DISPATCH_DRAINED_FILES && left < more)
        return more;
    return left;
}

/* The place of a tenant's turn. */
static uint32_t slot_of(uint32_t tenant)
{
    return tenant < SHARES_MAX ? tenant : SHARES_MAX;
}

static uint64_t quantum_of(const struct shares *shares, uint32_t slot)
{
    return SCHEDULE_CHUNK * (uint64_t)(slot < shares->n ? shares->tenant[slot].weight : 1);
}

/* A day's limit is gone beyond by the rest of a message at most: one that is smaller than a message
 * would let nothing go, ever. */
static bool is_allowed(const struct shares *shares, const struct dispatch_item *item)
{
    const uint32_t slot = slot_of(item->tenant);

    return slot >= shares->n || shares->tenant[slot].daily_bytes == 0 ||
           schedule_allowed(&shares->tenant[slot], true) > 0;
}

static bool is_before(const struct dispatch_item *a, const struct dispatch_item *b)
{
    return a->wave != b->wave ? a->wave < b->wave : a->left < b->left;
}

/* What a tenant would send first of a class; n = nothing. */
static size_t first_of(const struct shares *shares, const struct dispatch_item *item, size_t n,
                       enum schedule_class class, uint32_t slot)
{
    size_t best = n;

    for (size_t i = 0; i < n; i++)
        if (item[i].class == class && slot_of(item[i].tenant) == slot &&
            is_allowed(shares, &item[i]) && (best == n || is_before(&item[i], &item[best])))
            best = i;
    return best;
}

static void next_turn(struct dispatch_turns *t, enum schedule_class class)
{
    t->at[class] = (t->at[class] + 1) % (SHARES_MAX + 1);
    t->turn[class] = false;
}

/* Go on from turn to turn until somebody's bytes suffice for the message: there is somebody, and
 * every round gives more. */
static size_t pick_in(struct dispatch_turns *t, const struct shares *shares,
                      const struct dispatch_item *item, size_t n, enum schedule_class class)
{
    for (;;) {
        const uint32_t slot = t->at[class];
        uint64_t *deficit = &t->deficit[class][slot];
        const size_t first = first_of(shares, item, n, class, slot);

        if (first == n) { /* who has nothing saves nothing up */
            *deficit = 0;
            next_turn(t, class);
            continue;
        }
        if (!t->turn[class])
            *deficit += quantum_of(shares, slot);
        t->turn[class] = true;
        if (*deficit >= item[first].next)
            return first;
        next_turn(t, class);
    }
}

static bool has_any(const struct shares *shares, const struct dispatch_item *item, size_t n,
                    enum schedule_class class)
{
    for (size_t i = 0; i < n; i++)
        if (item[i].class == class && is_allowed(shares, &item[i]))
            return true;
    return false;
}

size_t dispatch_pick(struct dispatch_turns *t, const struct shares *shares,
                     const struct dispatch_item *item, size_t n, uint64_t room)
{
    for (enum schedule_class class = 0; class < SCHEDULE_CLASSES; class ++) {
        if (!has_any(shares, item, n, class))
            continue;
        const size_t i = pick_in(t, shares, item, n, class);

        /* Nobody smaller is taken instead: the turn is his in the next pass. */
        return class == SCHEDULE_TRUST || item[i].next <= room ? i : n;
    }
    return n;
}

void dispatch_sent(struct dispatch_turns *t, struct shares *shares,
                   const struct dispatch_item *item, uint64_t bytes)
{
    const uint32_t slot = slot_of(item->tenant);
    uint64_t *deficit = &t->deficit[item->class][slot];

    *deficit -= *deficit < bytes ? *deficit : bytes;
    if (*deficit == 0 && t->at[item->class] == slot)
        next_turn(t, item->class);
    if (slot < shares->n)
        shares->tenant[slot].used_bytes += bytes;
}
