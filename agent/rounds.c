/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rounds.h"

#include <assert.h>

/* Sizes beyond it count as this: times and sizes below multiply without overflow. */
#define KIB_MAX (UINT64_C(1) << 28)

static_assert(1000ULL * 3600U * ROUNDS_HOURS_MAX < UINT64_MAX / (2 * KIB_MAX),
              "the longest round of the largest store can be multiplied");

/* Nothing is free: a file of no bytes is opened, too. */
static uint64_t kib_of(uint64_t bytes)
{
    uint64_t kib = bytes / 1024U + 1U;

    return kib < KIB_MAX ? kib : KIB_MAX;
}

void rounds_init(struct rounds *r, uint64_t round_s)
{
    assert(round_s > 0 && round_s <= (uint64_t)ROUNDS_HOURS_MAX * 3600U);
    *r = (struct rounds){ .round_s = round_s };
}

void rounds_ask(struct rounds *r)
{
    r->active = false;
    r->rush = true;
}

bool rounds_may_begin(const struct rounds *r, uint64_t now_ms)
{
    return !r->active && (r->rush || r->began_ms == 0 || now_ms - r->began_ms >= 1000 * r->round_s);
}

static bool end_if_over(struct rounds *r, uint64_t now_ms)
{
    if (r->next < r->n)
        return false;
    r->active = r->rush = false;
    r->ended++;
    r->ended_ms = now_ms;
    return true;
}

void rounds_begin(struct rounds *r, uint64_t now_ms, uint32_t n, uint64_t bytes)
{
    assert(!r->active);
    r->active = true;
    r->began_ms = now_ms;
    r->n = n;
    r->next = 0;
    r->kib = kib_of(bytes) + n; /* each item may round up by one */
    r->done_kib = 0;
    (void)end_if_over(r, now_ms);
}

bool rounds_due(const struct rounds *r, uint64_t now_ms)
{
    if (!r->active)
        return false;
    return r->rush || now_ms - r->began_ms >= 1000 * r->round_s * r->done_kib / r->kib;
}

bool rounds_read(struct rounds *r, uint64_t now_ms, uint64_t bytes)
{
    assert(r->active && r->next < r->n);
    r->next++;
    r->done_kib += kib_of(bytes);
    if (r->done_kib > r->kib)
        r->done_kib = r->kib;
    return end_if_over(r, now_ms);
}

uint32_t rounds_age_s(const struct rounds *r, uint64_t now_ms)
{
    uint64_t age_s = r->ended > 0 ? (now_ms - r->ended_ms) / 1000U : 0;

    return age_s < UINT32_MAX ? (uint32_t)age_s : UINT32_MAX;
}
