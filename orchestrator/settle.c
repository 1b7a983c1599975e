/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/settle.h"

#include <stdlib.h>

#define NONE SIZE_MAX

/* The pass in which something was heard. */
static size_t pass_at(const struct store_pass *pass, size_t n, uint64_t at_ms)
{
    size_t last = NONE;

    for (size_t i = 0; i < n && pass[i].aos_ms <= at_ms; i++)
        last = i;
    return last != NONE && at_ms < pass[last].los_ms + GOODPUT_GRACE_MS ? last : NONE;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a < INT64_MAX - b ? a + b : INT64_MAX;
}

/* What one pass is now; state and arrived as told. */
static bool move(struct store_pass *p, bool heard, uint64_t arrived, int64_t now_ms)
{
    struct contact c = { .state = (enum contact_state)p->state,
                         .aos_ms = (int64_t)p->aos_ms,
                         .los_ms = (int64_t)p->los_ms };
    bool changed = heard && arrived > p->arrived;

    contact_clock(&c, now_ms, INT64_MAX);
    if (heard && now_ms >= c.los_ms)
        (void)!contact_move(&c, CONTACT_HEAR, NULL);
    contact_clock(&c, now_ms, GOODPUT_GRACE_MS);
    changed = changed || p->state != c.state;
    p->state = c.state;
    if (heard && arrived > p->arrived)
        p->arrived = arrived;
    return changed;
}

void settle_move(struct store_pass *pass, size_t n, const struct store_heard *heard, size_t n_heard,
                 int64_t now_ms, bool *ret)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t arrived = 0;
        bool any = false;

        for (size_t k = 0; k < n_heard; k++) {
            if (pass_at(pass, n, heard[k].received_ms) != i)
                continue;
            any = true;
            arrived = heard[k].contact != 0 ? add(arrived, heard[k].arrived) : arrived;
        }
        ret[i] = move(&pass[i], any, arrived, now_ms);
    }
}

static enum rc settle_satellite(struct store *store, struct store_pass *pass, size_t n,
                                int64_t now_ms, bool *ret_changed, struct err *err)
{
    scoped(free_ptr) struct store_heard *heard = NULL;
    scoped(free_ptr) bool *changed = calloc(n, sizeof *changed);
    size_t n_heard = 0;

    if (!changed)
        return err_set(err, RC_NO_MEMORY, "%zu passes", n);
    enum rc rc = store_heard(store, pass[0].satellite, &heard, &n_heard, err);

    if (rc == RC_OK)
        settle_move(pass, n, heard, n_heard, now_ms, changed);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (changed[i] && (int64_t)pass[i].los_ms <= now_ms) { /* before, they are berth-ground's */
            rc = store_put_pass(store, &pass[i], err);
            *ret_changed = true;
        }
    return rc;
}

enum rc settle_passes(struct store *store, int64_t now_ms, bool *ret_changed, struct err *err)
{
    scoped(free_ptr) struct store_pass *rows = NULL;
    scoped(store_rollback) struct store *open = NULL;
    size_t n = 0;
    const uint64_t since = now_ms > GOODPUT_GRACE_MS ? (uint64_t)(now_ms - GOODPUT_GRACE_MS) : 0;
    enum rc rc = store_passes_open(store, since, &rows, &n, err);

    if (rc != RC_OK || n == 0)
        return rc;
    rc = store_join(store, &open, err);
    for (size_t i = 0, to = 0; rc == RC_OK && i < n; i = to) {
        for (to = i; to < n && strcmp(rows[to].satellite, rows[i].satellite) == 0;)
            to++;
        rc = settle_satellite(store, rows + i, to - i, now_ms, ret_changed, err);
    }
    return rc == RC_OK ? store_commit(&open, err) : rc;
}
