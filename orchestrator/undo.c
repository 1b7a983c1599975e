/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/undo.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/view.h"

struct undo {
    struct store *store;
    struct store_rollout row;
    struct fleet *fleet;
    struct view *view;
    bool changes;      /* something is not as it was */
    struct lost *lost; /* sorted */
    size_t n_lost;
    uint32_t n_holds; /* wants that hold a payload: those of fleet->want, by index */
    uint32_t hold[FLEET_WANTS_MAX];
};

uint32_t undo_wants(const struct fleet *fleet)
{
    return FLEET_WANTS_MAX + fleet->n_satellites;
}

/* An order that went to a satellite in a wave that failed. */
struct lost {
    char satellite[NAME_CAP];
    uint64_t generation;
};

static int by_order(const void *a, const void *b)
{
    const struct lost *x = a, *y = b;
    const int by_id = strcmp(x->satellite, y->satellite);

    return by_id != 0 ? by_id : (x->generation > y->generation) - (x->generation < y->generation);
}

static enum rc add_lost(struct undo *u, const struct store_wave *waves, size_t n, struct err *err)
{
    struct lost *more = reallocarray(u->lost, u->n_lost + n + 1, sizeof *more);

    if (!more)
        return err_set(err, RC_NO_MEMORY, "undo");
    u->lost = more;
    for (size_t i = 0; i < n; i++) {
        if (waves[i].state != WAVE_FAILED)
            continue;
        u->lost[u->n_lost].generation = waves[i].generation;
        memcpy(u->lost[u->n_lost++].satellite, waves[i].satellite, NAME_CAP);
    }
    return RC_OK;
}

/* Of all rollouts of the payload, once. */
static enum rc load_lost(struct undo *u, struct err *err)
{
    scoped(free_ptr) struct store_rollout *rows = NULL;
    size_t n = 0;
    enum rc rc = store_rollouts(u->store, 0, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        scoped(free_ptr) struct store_wave *waves = NULL;
        size_t n_waves = 0;

        if (strcmp(rows[i].tenant, u->row.tenant) != 0 || strcmp(rows[i].name, u->row.name) != 0)
            continue;
        rc = store_waves(u->store, rows[i].id, &waves, &n_waves, err);
        if (rc == RC_OK)
            rc = add_lost(u, waves, n_waves, err);
    }
    if (rc == RC_OK && u->n_lost > 0)
        qsort(u->lost, u->n_lost, sizeof *u->lost, by_order);
    return rc;
}

/* Whether this version went to the satellite in a wave that failed. */
static bool failed_there(const struct undo *u, const char *satellite, uint64_t generation)
{
    struct lost key = { .generation = generation };

    (void)snprintf(key.satellite, sizeof key.satellite, "%s", satellite);
    return u->n_lost > 0 && bsearch(&key, u->lost, u->n_lost, sizeof key, by_order);
}

/* The payload's line in what was in force before, all zero if it was not there. */
static enum rc line_before(const struct undo *u, const struct store_wave *wave,
                           struct order_line *ret, struct err *err)
{
    struct store_order_filter filter = { .satellite = wave->satellite, .state = ORDER_ACKED };
    scoped(free_ptr) struct store_order *rows = NULL;
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    size_t n = 0;
    enum rc rc = order ? store_orders(u->store, &filter, &rows, &n, err)
                       : err_set(err, RC_NO_MEMORY, "order");

    *ret = (struct order_line){ 0 };
    while (rc == RC_OK && n-- > 0) {
        const struct order_line *line;

        if (rows[n].generation >= wave->generation ||
            failed_there(u, wave->satellite, rows[n].generation))
            continue;
        rc = view_load_order(u->store, wave->satellite, rows[n].generation, order, err);
        if (rc != RC_OK)
            continue;
        struct want want = want_of(order);

        line = verdict_order_line(&want, u->row.tenant, u->row.name);
        if (line)
            *ret = *line;
        break;
    }
    return rc;
}

static enum rc add_want(struct undo *u, const struct fleet_want *want, struct err *err)
{
    if (u->fleet->n_wants == u->fleet->wants_max)
        return err_set(err, RC_TOO_LARGE, "more than %u lines", u->fleet->wants_max);
    u->fleet->want[u->fleet->n_wants++] = *want;
    return RC_OK;
}

static bool has_hold(const struct undo *u, const struct order_line *line)
{
    for (uint32_t i = 0; i < u->n_holds; i++) {
        const struct fleet_want *want = &u->fleet->want[u->hold[i]];

        if (strcmp(want->tenant, line->tenant) == 0 && strcmp(want->name, line->name) == 0)
            return true;
    }
    return false;
}

static enum rc add_hold(struct undo *u, const struct order_line *line, struct err *err)
{
    struct fleet_want want = { .hold = true };

    if (u->n_holds == FLEET_WANTS_MAX)
        return err_set(err, RC_TOO_LARGE, "more than %u other payloads", FLEET_WANTS_MAX);
    (void)snprintf(want.tenant, sizeof want.tenant, "%s", line->tenant);
    (void)snprintf(want.name, sizeof want.name, "%s", line->name);
    u->hold[u->n_holds++] = u->fleet->n_wants;
    return add_want(u, &want, err);
}

/* All but the rollout's payload stays as it is ordered. */
static enum rc hold_others(struct undo *u, const struct want *now, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < now->n_lines; i++) {
        const struct order_line *line = &now->line[i];

        if (!has_hold(u, line) &&
            (strcmp(line->tenant, u->row.tenant) != 0 || strcmp(line->name, u->row.name) != 0))
            rc = add_hold(u, line, err);
    }
    return rc;
}

/* What the satellite is to run of the rollout's payload. */
static enum rc go_back(struct undo *u, const struct store_wave *wave, const struct want *now,
                       struct err *err)
{
    static const struct digest none;
    const struct order_line *is = verdict_order_line(now, u->row.tenant, u->row.name);
    struct fleet_want want = { .has_digest = true };
    struct store_package package;
    struct order_line was;
    enum rc rc = line_before(u, wave, &was, err);

    if (rc != RC_OK)
        return rc;
    if (!digest_same(is ? &is->manifest : &none, &was.manifest) &&
        !digest_same(is ? &is->manifest : &none, &u->row.to_manifest))
        return err_set(err, RC_ROLLOUT_STATE, "%s/%s was changed again on %s by order %llu",
                       u->row.tenant, u->row.name, wave->satellite,
                       (unsigned long long)now->generation);
    u->changes = u->changes || !digest_same(is ? &is->manifest : &none, &was.manifest);
    if (digest_is_none(&was.manifest))
        return RC_OK;
    rc = store_package_by_manifest(u->store, &was.manifest, &package, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(want.select.key, sizeof want.select.key, "id");
    (void)snprintf(want.select.value, sizeof want.select.value, "%s", wave->satellite);
    (void)snprintf(want.tenant, sizeof want.tenant, "%s", u->row.tenant);
    (void)snprintf(want.name, sizeof want.name, "%s", u->row.name);
    (void)snprintf(want.version, sizeof want.version, "%s", package.version);
    want.manifest = was.manifest;
    return add_want(u, &want, err);
}

/* Move a satellite of the file to the front, behind the `kept` that are there. */
static enum rc keep_satellite(struct undo *u, const char *id, uint32_t kept, struct err *err)
{
    struct fleet *f = u->fleet;

    for (uint32_t i = kept; i < f->n_satellites; i++) {
        if (strcmp(f->satellite[i].id, id) != 0)
            continue;
        struct fleet_satellite sat = f->satellite[i];

        f->satellite[i] = f->satellite[kept];
        sat.orbit = FLEET_NO_ORBIT;
        f->satellite[kept] = sat;
        return RC_OK;
    }
    return err_set(err, RC_NO_SATELLITE, "%s is not in %s", id, f->source);
}

static enum rc undo_one(struct undo *u, const struct store_wave *wave, uint32_t *kept,
                        struct err *err)
{
    const struct view_satellite *sat = view_find(u->view, wave->satellite);
    enum rc rc;

    if (!sat || sat->order.generation < wave->generation) /* it never got the rollout's order */
        return RC_OK;
    rc = keep_satellite(u, wave->satellite, *kept, err);
    if (rc == RC_OK)
        rc = hold_others(u, &sat->order, err);
    if (rc == RC_OK)
        rc = go_back(u, wave, &sat->order, err);
    *kept += rc == RC_OK;
    return rc;
}

enum rc undo_fleet(struct store *store, uint64_t rollout, struct fleet *fleet, struct err *err)
{
    scoped(view_free) struct view *view = NULL;
    scoped(free_ptr) struct store_wave *waves = NULL;
    struct undo u = { .store = store, .fleet = fleet };
    uint32_t kept = 0;
    size_t n = 0;
    enum rc rc = store_rollout(store, rollout, &u.row, err);

    if (rc == RC_OK)
        rc = store_waves(store, rollout, &waves, &n, err);
    if (rc == RC_OK)
        rc = view_load(store, &view, err);
    if (rc == RC_OK)
        rc = load_lost(&u, err);
    u.view = view;
    fleet->n_wants = 0;
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = undo_one(&u, &waves[i], &kept, err);
    fleet->n_satellites = kept;
    fleet->n_stations = 0;
    fleet->n_links = 0;
    if (rc == RC_OK && kept == 0)
        rc = err_set(err, RC_ROLLOUT_STATE, "no satellite got an order of rollout %llu",
                     (unsigned long long)rollout);
    else if (rc == RC_OK && !u.changes)
        rc = err_set(err, RC_ROLLOUT_STATE, "all that got an order of rollout %llu are as before",
                     (unsigned long long)rollout);
    free(u.lost);
    return rc;
}
