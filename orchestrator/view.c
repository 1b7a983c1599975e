/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/view.h"

#include <stdlib.h>

#include "deltamake/make.h"
#include "manifest/envelope.h"
#include "orchestrator/sorted.h"

void view_free(struct view **view)
{
    struct view *v = *view;

    if (!v)
        return;
    arena_done(&v->arena);
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

/* ---- satellites ---- */

struct load {
    struct view *view;
    size_t cap; /* of view->satellite */
    size_t at;  /* how far the walk has come */
    struct order *order;
    struct report *report; /* room to decode one */
    struct want_book book; /* lines that were kept */
};

static enum rc keep_row(struct arena *arena, const struct store_satellite *from,
                        struct view_row *ret, struct err *err)
{
    const char **const to[] = { &ret->up, &ret->down, &ret->link_keys, &ret->labels };
    const char *const texts[] = { from->up, from->down, from->link_keys, from->labels };

    *ret = (struct view_row){ .node = from->node, .added_ms = from->added_ms };
    memcpy(ret->id, from->id, sizeof ret->id);
    for (size_t i = 0; i < sizeof to / sizeof to[0]; i++) {
        *to[i] = arena_copy(arena, texts[i], strlen(texts[i]) + 1);
        if (!*to[i])
            return err_set(err, RC_NO_MEMORY, "view");
    }
    return RC_OK;
}

static enum rc take_satellite(void *arg, const struct store_satellite *row, struct err *err)
{
    struct load *load = arg;
    struct view *view = load->view;
    struct view_satellite *sat;

    if (view->n == load->cap) {
        const size_t cap = load->cap > 0 ? 2 * load->cap : 16;

        sat = reallocarray(view->satellite, cap, sizeof *sat);
        if (!sat)
            return err_set(err, RC_NO_MEMORY, "view");
        view->satellite = sat;
        load->cap = cap;
    }
    sat = &view->satellite[view->n];
    *sat = (struct view_satellite){ .held = false };
    view->n++;
    return keep_row(&view->arena, row, &sat->row, err);
}

/* The satellite of a row; NULL if it is none of the view.  Rows mostly come by id, too. */
static struct view_satellite *walk_to(struct load *load, const char *id)
{
    struct view *view = load->view;

    for (size_t end = load->at + 2; load->at < view->n && load->at < end; load->at++)
        if (strcmp(view->satellite[load->at].row.id, id) == 0)
            return &view->satellite[load->at];
    const struct view_satellite *found = view_find(view, id);

    load->at = found ? (size_t)(found - view->satellite) : 0;
    return found ? &view->satellite[load->at] : NULL;
}

static enum rc take_order(void *arg, const struct store_fleet_order *row, struct err *err)
{
    struct load *load = arg;
    struct view_satellite *sat = walk_to(load, row->satellite);
    struct envelope envelope = { .payload = row->order };
    enum rc rc = RC_OK;

    if (!sat)
        return RC_OK;
    sat->newest = row->newest;
    sat->held = row->held;
    if (row->order.n == 0 && row->envelope.n == 0)
        return RC_OK;
    if (row->order.n == 0)
        rc = envelope_open(row->envelope, &envelope, err);
    if (rc == RC_OK)
        rc = order_decode(envelope.payload, load->order, err);
    return rc == RC_OK
               ? want_keep_once(&load->book, &load->view->arena, load->order, &sat->order, err)
               : rc;
}

static enum rc take_report(void *arg, const struct store_fleet_report *row, struct err *err)
{
    struct load *load = arg;
    struct view_satellite *sat = walk_to(load, row->satellite);
    enum rc rc = RC_OK;

    if (!sat)
        return RC_OK;
    if (row->sight.n > 0)
        rc = sight_decode(row->sight, &load->view->arena, &sat->seen, err);
    else if (report_decode(row->report, load->report, NULL) == RC_OK)
        rc = sight_keep(&load->view->arena, load->report, &sat->seen, err);
    if (sat->seen)
        sat->received_ms = row->received_ms;
    return rc;
}

/* A store from a backup is a little behind what it once signed; more than that is a lie, and would
 * use up the numbers that orders have. */
static void believe(struct view_satellite *sat)
{
    const uint64_t said = sat->seen ? sat->seen->generation : 0;

    if (said > sat->newest && said - sat->newest <= VIEW_AHEAD_MAX)
        sat->newest = said;
}

static enum rc load_satellites(struct store *store, const char *only, bool orders,
                               struct view *view, struct err *err)
{
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    scoped(free_ptr) struct report *report = malloc(sizeof *report);
    struct load load = { .view = view, .order = order, .report = report };

    view->satellite = calloc(1, sizeof *view->satellite);
    if (!view->satellite || !order || !report)
        return err_set(err, RC_NO_MEMORY, "view");
    load.cap = 1;
    enum rc rc = store_fleet_satellites(store, only, take_satellite, &load, err);

    if (rc == RC_OK && orders)
        rc = store_fleet_orders(store, only, take_order, &load, err);
    load.at = 0;
    if (rc == RC_OK)
        rc = store_fleet_reports(store, only, take_report, &load, err);
    for (size_t i = 0; rc == RC_OK && i < view->n; i++)
        believe(&view->satellite[i]);
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

/* What is not of one satellite each. */
static enum rc load_fleet(struct store *store, struct view *view, struct err *err)
{
    enum rc rc = load_silences(store, view, err);

    if (rc == RC_OK)
        rc = store_packages(store, &view->packages, &view->n_packages, err);
    if (rc == RC_OK)
        rc = store_deltas(store, &view->deltas, &view->n_deltas, err);
    if (rc == RC_OK)
        rc = store_deltas_failed(store, &view->failed, &view->n_failed, err);
    if (rc == RC_OK)
        rc = store_full_only(store, NULL, &view->full_only, &view->n_full_only, err);
    return rc == RC_OK ? load_root(store, view, err) : rc;
}

/* whole: with orders, and all that is not a satellite's. */
static enum rc load_view(struct store *store, const char *only, bool whole, struct view **ret,
                         struct err *err)
{
    scoped(view_free) struct view *view = calloc(1, sizeof *view);
    scoped(store_rollback) struct store *open = NULL;

    if (!view)
        return err_set(err, RC_NO_MEMORY, "view");

    enum rc rc = store_begin_read(store, &open, err);

    if (rc == RC_OK)
        rc = load_satellites(store, only, whole, view, err);
    if (rc == RC_OK && whole)
        rc = load_fleet(store, view, err);
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

enum rc view_load(struct store *store, struct view **ret, struct err *err)
{
    return load_view(store, NULL, true, ret, err);
}

enum rc view_load_seen(struct store *store, struct view **ret, struct err *err)
{
    return load_view(store, NULL, false, ret, err);
}

enum rc view_load_one(struct store *store, const char *id, struct view **ret, struct err *err)
{
    return load_view(store, id, true, ret, err);
}

enum rc view_load_asked(struct store *store, const char *id, struct view **ret, struct err *err)
{
    enum rc rc = load_view(store, id, true, ret, err);

    return rc == RC_OK && id && (*ret)->n == 0 ? err_set(err, RC_NO_SATELLITE, "%.60s", id) : rc;
}

enum rc view_report(struct store *store, const struct view_satellite *sat, struct report **ret,
                    struct err *err)
{
    scoped(free_ptr) struct report *report = NULL;
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct store_observed row;
    size_t n = 0;

    *ret = NULL;
    if (!sat->seen)
        return RC_OK;
    report = malloc(sizeof *report);
    if (!report)
        return err_set(err, RC_NO_MEMORY, "report");
    enum rc rc = store_report(store, sat->row.id, &row, &bytes, &n, err);

    if (rc == RC_OK)
        rc = report_decode((struct bytes){ bytes, n }, report, err);
    if (rc != RC_OK)
        return rc;
    *ret = report;
    report = NULL;
    return RC_OK;
}

enum verdict view_verdict(const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms)
{
    const struct want *want = view_want(sat);

    return sat->predicted ? verdict_by_passes(want, sat->seen, sat->missed, VIEW_SILENT_PASSES)
                          : verdict_of(want, sat->seen, view_age_ms(sat, now_ms), silent_ms);
}

static const char *satellite_id(const void *satellites, size_t i)
{
    const struct view_satellite *sat = satellites;

    return sat[i].row.id;
}

const struct view_satellite *view_find(const struct view *view, const char *id)
{
    const size_t at = sorted_place(view->satellite, view->n, satellite_id, id);

    return at < view->n && strcmp(view->satellite[at].row.id, id) == 0 ? &view->satellite[at]
                                                                       : NULL;
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

const struct want *view_want(const struct view_satellite *sat)
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

    size_t next = 0; /* both are mostly by id */

    if (!bases)
        return err_set(err, RC_NO_MEMORY, "plan");
    for (uint32_t i = 0; i < fleet->n_satellites; i++) {
        const char *id = fleet->satellite[i].id;
        const struct view_satellite *sat =
            next < view->n && strcmp(view->satellite[next].row.id, id) == 0 ? &view->satellite[next]
                                                                            : view_find(view, id);

        next = sat ? (size_t)(sat - view->satellite) + 1 : next;
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
