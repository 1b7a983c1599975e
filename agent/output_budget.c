/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/output_budget.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static uint64_t full(const struct output_budget *b)
{
    return b->hour * OUTPUT_HOUR_S;
}

/* A free place, else that of a payload that does not run and has lost least by being forgotten. */
static struct output_budget *place(struct output_budget *table, size_t n)
{
    struct output_budget *best = NULL;

    for (size_t i = 0; i < n; i++) {
        struct output_budget *b = &table[i];

        if (b->tenant[0] == '\0')
            return b;
        if (!b->used && (!best || full(b) - b->left < full(best) - best->left))
            best = b;
    }
    assert(best);
    return best;
}

struct output_budget *output_budget_find(struct output_budget *table, size_t n, const char *tenant,
                                         const char *name, uint64_t hour)
{
    for (size_t i = 0; i < n; i++) {
        struct output_budget *b = &table[i];

        if (strcmp(b->tenant, tenant) != 0 || strcmp(b->name, name) != 0)
            continue;
        b->hour = hour;
        if (b->left > full(b))
            b->left = full(b);
        b->used = true;
        return b;
    }

    struct output_budget *b = place(table, n);
    *b = (struct output_budget){ .used = true, .hour = hour };
    (void)snprintf(b->tenant, sizeof b->tenant, "%s", tenant);
    (void)snprintf(b->name, sizeof b->name, "%s", name);
    b->left = full(b);
    return b;
}

void output_budget_leave(struct output_budget *b)
{
    if (b)
        b->used = false;
}

uint64_t output_budget_left(const struct output_budget *b)
{
    return b->left / OUTPUT_HOUR_S;
}

size_t output_budget_take(struct output_budget *b, size_t n)
{
    const uint64_t left = output_budget_left(b);

    if (n > left)
        n = (size_t)left;
    b->left -= (uint64_t)n * OUTPUT_HOUR_S;
    return n;
}

void output_budget_tick(struct output_budget *table, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct output_budget *b = &table[i];

        b->left = full(b) - b->left > b->hour ? b->left + b->hour : full(b);
    }
}
