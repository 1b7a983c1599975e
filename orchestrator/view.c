/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/view.h"

#include <stdlib.h>

#include "deltamake/make.h"
#include "manifest/envelope.h"

void view_free(struct view **view)
{
    struct view *v = *view;

    if (!v)
        return;
    for (size_t i = 0; v->satellite && i < v->n; i++)
        free(v->satellite[i].seen);
    free(v->satellite);
    free(v->silences);
    free(v->packages);
    free(v->deltas);
    free(v->failed);
    free(v->full_only);
    free(v);
    *view = NULL;
}

enum rc view_load_order(struct store *store, const char *id, uint64_t generation, struct order *ret,
                        struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct envelope envelope;
    size_t n = 0;
    enum rc rc = store_order_envelope(store, id, generation, &bytes, &n, err);

    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ bytes, n }, &envelope, err);
    return rc == RC_OK ? order_decode(envelope.payload, ret, err) : rc;
}

static enum rc load_orders(struct store *store, struct view_satellite *sat, struct err *err)
{
    struct store_order_filter filter = { .satellite = sat->row.id };
    scoped(free_ptr) struct store_order *orders = NULL;
    uint64_t released = 0;
    size_t n = 0;
    enum rc rc = store_orders(store, &filter, &orders, &n, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        sat->newest = orders[i].generation;
        sat->held = orders[i].state == ORDER_HELD;
        if (orders[i].state == ORDER_RELEASED || orders[i].state == ORDER_ACKED)
            released = orders[i].generation;
    }
    return released ? view_load_order(store, sat->row.id, released, &sat->order, err) : RC_OK;
}

static enum rc load_report(struct store *store, struct view_satellite *sat, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    scoped(free_ptr) struct report *seen = calloc(1, sizeof *seen);
    struct store_observed row;
    size_t n = 0;

    if (!seen)
        return err_set(err, RC_NO_MEMORY, "report");
    enum rc rc = store_report(store, sat->row.id, &row, &bytes, &n, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    if (report_decode((struct bytes){ bytes, n }, seen, NULL) != RC_OK)
        return RC_OK;
    sat->received_ms = row.received_ms;
    /* a store from a backup is a little behind what it once signed; more than that is a lie, and
     * would use up the numbers that orders have */
    if (seen->generation > sat->newest && seen->generation - sat->newest <= VIEW_AHEAD_MAX)
        sat->newest = seen->generation;
    sat->seen = seen;
    seen = NULL;
    return RC_OK;
}

static enum rc load_satellites(struct store *store, struct view *view, struct err *err)
{
    scoped(free_ptr) struct store_satellite *rows = NULL;
    size_t n = 0;
    enum rc rc = store_satellites(store, &rows, &n, err);

    if (rc != RC_OK)
        return rc;
    view->satellite = calloc(n + 1, sizeof *view->satellite);
    if (!view->satellite)
        return err_set(err, RC_NO_MEMORY, "view");
    view->n = n;
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        view->satellite[i].row = rows[i];
        rc = load_orders(store, &view->satellite[i], err);
        if (rc == RC_OK)
            rc = load_report(store, &view->satellite[i], err);
    }
    return rc;
}

/* Both lists are by id. */
static enum rc load_silences(struct store *store, struct view *view, struct err *err)
{
    size_t n = 0;
    enum rc rc = store_silences(store, &view->silences, &n, err);
    const struct store_silence *rows = view->silences;

    for (size_t i = 0, k = 0; rc == RC_OK && i < view->n; i++) {
        struct view_satellite *sat = &view->satellite[i];

        while (k < n && strcmp(rows[k].satellite, sat->row.id) < 0)
            k++;
        sat->predicted = k < n && strcmp(rows[k].satellite, sat->row.id) == 0;
        for (; k < n && strcmp(rows[k].satellite, sat->row.id) == 0; k++) {
            if (rows[k].aos_ms == 0)
                continue;
            sat->miss = sat->miss ? sat->miss : &rows[k];
            sat->missed++;
        }
    }
    return rc;
}

static enum rc load_root(struct store *store, struct view *view, struct err *err)
{
    scoped(free_ptr) struct root *root = malloc(sizeof *root);
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct envelope envelope;
    size_t n = 0;

    if (!root)
        return err_set(err, RC_NO_MEMORY, "view");
    enum rc rc = store_document(store, DOC_ROOT, "root", &bytes, &n, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ bytes, n }, &envelope, err);
    if (rc == RC_OK)
        rc = root_decode(envelope.payload, root, err);
    if (rc != RC_OK)
        return rc;
    view->root_version = root->version;
    view->root_issued_ms = root->issued_ms;
    view->operator_since_ms = root->operator_since_ms;
    return RC_OK;
}

enum rc view_load(struct store *store, struct view **ret, struct err *err)
{
    scoped(view_free) struct view *view = calloc(1, sizeof *view);
    scoped(store_rollback) struct store *open = NULL;

    if (!view)
        return err_set(err, RC_NO_MEMORY, "view");

    enum rc rc = store_begin_read(store, &open, err);

    if (rc == RC_OK)
        rc = load_satellites(store, view, err);
    if (rc == RC_OK)
        rc = load_silences(store, view, err);
    if (rc == RC_OK)
        rc = store_packages(store, &view->packages, &view->n_packages, err);
    if (rc == RC_OK)
        rc = store_deltas(store, &view->deltas, &view->n_deltas, err);
    if (rc == RC_OK)
        rc = store_deltas_failed(store, &view->failed, &view->n_failed, err);
    if (rc == RC_OK)
        rc = store_full_only(store, NULL, &view->full_only, &view->n_full_only, err);
    if (rc == RC_OK)
        rc = load_root(store, view, err);
    if (rc != RC_OK)
        return rc;
    *ret = view;
    view = NULL;
    return RC_OK;
}

uint64_t view_missed(const struct view_satellite *sat, uint64_t since_ms)
{
    uint64_t n = 0;

    while (n < sat->missed && sat->miss[sat->missed - n - 1].aos_ms > since_ms)
        n++;
    return n;
}

enum verdict view_verdict(const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms)
{
    const struct order *want = view_want(sat);

    return sat->predicted ? verdict_by_passes(want, sat->seen, sat->missed, VIEW_SILENT_PASSES)
                          : verdict_of(want, sat->seen, view_age_ms(sat, now_ms), silent_ms);
}

const struct view_satellite *view_find(const struct view *view, const char *id)
{
    for (size_t i = 0; i < view->n; i++)
        if (strcmp(view->satellite[i].row.id, id) == 0)
            return &view->satellite[i];
    return NULL;
}

bool view_root_behind(const struct view *view, const struct view_satellite *sat)
{
    if (sat->seen)
        return sat->seen->root_version < view->root_version;
    return view->root_version > 1 && sat->row.added_ms < view->root_issued_ms;
}

const struct store_package *view_package(const struct view *view, const struct digest *manifest)
{
    for (size_t i = 0; i < view->n_packages; i++)
        if (memcmp(view->packages[i].manifest.b, manifest->b, sizeof manifest->b) == 0)
            return &view->packages[i];
    return NULL;
}

const struct store_delta *view_delta(const struct view *view, const struct digest *base,
                                     const struct digest *manifest)
{
    for (size_t i = 0; i < view->n_deltas; i++)
        if (digest_same(&view->deltas[i].base, base) &&
            digest_same(&view->deltas[i].manifest, manifest))
            return &view->deltas[i];
    return NULL;
}

const struct store_full_only *view_full_only(const struct view *view, const char *satellite,
                                             const struct digest *manifest)
{
    for (size_t i = 0; i < view->n_full_only; i++)
        if (strcmp(view->full_only[i].satellite, satellite) == 0 &&
            digest_same(&view->full_only[i].manifest, manifest))
            return &view->full_only[i];
    return NULL;
}

const struct store_package *view_carried(const struct view *view, const struct digest *object)
{
    const struct store_package *package = NULL;

    for (size_t i = 0; i < view->n_packages && !package; i++)
        if (digest_same(&view->packages[i].object, object))
            package = &view->packages[i];
    for (size_t i = 0; i < view->n_deltas && !package; i++)
        if (view->deltas[i].state != DELTA_NO_GAIN && digest_same(&view->deltas[i].object, object))
            package = view_package(view, &view->deltas[i].manifest);
    return package;
}

const char *view_owner(const struct view *view, const struct digest *object)
{
    const struct store_package *package = view_carried(view, object);

    return package ? package->tenant : "";
}

bool view_brings(const struct view *view, const struct store_package *package,
                 const struct digest *object)
{
    if (digest_same(&package->object, object))
        return true;
    for (size_t i = 0; i < view->n_deltas; i++)
        if (view->deltas[i].state != DELTA_NO_GAIN &&
            digest_same(&view->deltas[i].manifest, &package->manifest) &&
            digest_same(&view->deltas[i].object, object))
            return true;
    return false;
}

static bool is_making(const struct view_making *making, const struct digest *base,
                      const struct digest *manifest)
{
    return making->is && digest_same(&making->base, base) &&
           digest_same(&making->manifest, manifest);
}

/* What another maker could not make, this one may. */
static bool has_failed(const struct view *view, const struct digest *base,
                       const struct digest *manifest)
{
    for (size_t i = 0; i < view->n_failed; i++)
        if (view->failed[i].engine == MAKE_ENGINE && digest_same(&view->failed[i].base, base) &&
            digest_same(&view->failed[i].manifest, manifest))
            return true;
    return false;
}

struct ride view_ride(const struct view *view, const struct view_satellite *sat,
                      const struct store_package *package)
{
    struct ride_input in = { .package = package,
                             .seen = verdict_payload(sat->seen, package->tenant, package->name) };
    const struct digest *base = ride_base(in.seen);
    const struct store_full_only *refused = view_full_only(view, sat->row.id, &package->manifest);

    if (base) {
        in.base = view_package(view, base);
        in.delta = view_delta(view, base, &package->manifest);
        in.making = is_making(&view->making, base, &package->manifest);
        in.failed = has_failed(view, base, &package->manifest);
    }
    /* A satellite may name any version: a delta leads from one to another of the same payload. */
    if (in.base && (strcmp(in.base->tenant, package->tenant) != 0 ||
                    strcmp(in.base->name, package->name) != 0))
        in.base = NULL;
    if (refused)
        in.refused = refused->code;
    return ride_choose(&in);
}

const struct order *view_want(const struct view_satellite *sat)
{
    return sat->order.generation ? &sat->order : NULL;
}

uint64_t view_age_ms(const struct view_satellite *sat, uint64_t now_ms)
{
    if (!sat->seen)
        return UINT64_MAX;
    return now_ms > sat->received_ms ? now_ms - sat->received_ms : 0;
}

enum rc view_bases(const struct view *view, const struct fleet *fleet, struct plan_base **ret,
                   struct err *err)
{
    struct plan_base *bases = calloc(fleet->n_satellites + 1U, sizeof *bases);

    if (!bases)
        return err_set(err, RC_NO_MEMORY, "plan");
    for (uint32_t i = 0; i < fleet->n_satellites; i++) {
        const struct view_satellite *sat = view_find(view, fleet->satellite[i].id);

        if (sat)
            bases[i] = (struct plan_base){ .known = true,
                                           .newest = sat->newest,
                                           .order = sat->order,
                                           .held = sat->held,
                                           .seen = sat->seen };
    }
    *ret = bases;
    return RC_OK;
}
