/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sending_waves.h"

#include <stdlib.h>

#include "link/port.h"

void sending_waves_done(struct sending_waves *waves)
{
    free_ptr(&waves->place);
    waves->n = 0;
}

static int compare(const void *a, const void *b)
{
    const struct sending_place *x = a, *y = b;

    return strcmp(x->satellite, y->satellite);
}

static enum rc add_rollout(struct store *store, const struct store_rollout *rollout,
                           struct sending_waves *out, struct err *err)
{
    scoped(free_ptr) struct store_wave *rows = NULL;
    size_t n = 0;
    enum rc rc = store_waves(store, rollout->id, &rows, &n, err);

    if (rc != RC_OK || n == 0)
        return rc;
    struct sending_place *grown = realloc(out->place, (out->n + n) * sizeof *grown);

    if (!grown)
        return err_set(err, RC_NO_MEMORY, "waves");
    out->place = grown;
    for (size_t i = 0; i < n; i++) {
        struct sending_place *p = &grown[out->n++];

        memcpy(p->satellite, rows[i].satellite, sizeof p->satellite);
        memcpy(p->tenant, rollout->tenant, sizeof p->tenant);
        memcpy(p->name, rollout->name, sizeof p->name);
        p->index = rows[i].index;
        p->is_canary = rows[i].index == 1 && rows[n - 1].index > 1;
    }
    return RC_OK;
}

enum rc sending_waves_load(struct store *store, struct sending_waves *ret, struct err *err)
{
    static const enum rollout_state states[] = { ROLLOUT_RUNNING, ROLLOUT_PAUSED };
    scoped(sending_waves_done) struct sending_waves out = { 0 };
    enum rc rc = RC_OK;

    for (size_t s = 0; rc == RC_OK && s < sizeof states / sizeof states[0]; s++) {
        scoped(free_ptr) struct store_rollout *rows = NULL;
        size_t n = 0;

        rc = store_rollouts(store, states[s], &rows, &n, err);
        for (size_t i = 0; rc == RC_OK && i < n; i++)
            rc = add_rollout(store, &rows[i], &out, err);
    }
    if (rc != RC_OK)
        return rc;
    if (out.n > 1)
        qsort(out.place, out.n, sizeof out.place[0], compare);
    *ret = out;
    out = (struct sending_waves){ 0 };
    return RC_OK;
}

/* The first place of a satellite, or any beyond. */
static size_t first_of(const struct sending_waves *waves, const char *satellite)
{
    size_t low = 0, high = waves->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (strcmp(waves->place[middle].satellite, satellite) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct sending_wave sending_wave_of(const struct sending_waves *waves, const struct view *view,
                                    const struct store_outgoing *row)
{
    const struct store_package *package =
        row->kind == OBJECT_PACKAGE ? view_carried(view, &row->object) : NULL;
    struct sending_wave ret = { 0 };

    if (!package)
        return ret;
    for (size_t i = first_of(waves, row->satellite);
         i < waves->n && strcmp(waves->place[i].satellite, row->satellite) == 0; i++) {
        const struct sending_place *p = &waves->place[i];

        if (strcmp(p->tenant, package->tenant) == 0 && strcmp(p->name, package->name) == 0)
            ret = (struct sending_wave){ .index = p->index, .is_canary = p->is_canary };
    }
    return ret;
}
