/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/deliver.h"

#include <stdio.h>
#include <stdlib.h>

#include "link/port.h"

/* ---- queueing ---------------------------------------------------------------------------------
 */

/* Whether the satellite is being sent the version, or was only just. */
static bool is_under_way(const struct deliver *d, const struct store_package *package,
                         const struct store_outgoing *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i].class == CLASS_RAW || !view_brings(d->view, package, &rows[i].object))
            continue;
        if (rows[i].state == OUTGOING_QUEUED)
            return true;
        if (rows[i].state == OUTGOING_COMPLETE && d->now_ms < rows[i].sent_ms + d->guard_ms)
            return true;
    }
    return false;
}

/* The view may be older than the cache: a delta that has gone since is no choice any more. */
static enum rc still_there(struct store *store, const struct store_package *package,
                           struct ride *ride, uint64_t now_ms, struct err *err)
{
    struct store_delta row;

    if (ride->kind != RIDE_DELTA)
        return RC_OK;

    enum rc rc = store_delta(store, &ride->base, &package->manifest, &row, err);

    if (rc == RC_OK && row.state == DELTA_READY && digest_same(&row.object, &ride->object))
        return store_use_delta(store, &row, now_ms, err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    ride->kind = RIDE_FULL;
    ride->why = RIDE_NOT_MADE;
    ride->object = package->object;
    ride->size = package->size;
    return RC_OK;
}

static enum rc queue_ride(const struct deliver *d, const struct ride *ride, struct err *err)
{
    struct store_outgoing row = { .object = ride->object,
                                  .kind = OBJECT_PACKAGE,
                                  .class = CLASS_PACKAGE,
                                  .size = ride->size,
                                  .queued_ms = d->now_ms };
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", d->sat->row.id);
    (void)snprintf(row.path, sizeof row.path, "objects/%s",
                   bytes_hex((struct bytes){ ride->object.b, DIGEST_SIZE }, hex));
    return store_queue(d->store, &row, d->again, err);
}

enum rc deliver_queue(const struct deliver *d, const struct store_package *package,
                      struct delivered *ret, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    struct delivered done = { .ride = view_ride(d->view, d->sat, package) };
    size_t n = 0;
    enum rc rc = store_join(d->store, &open, err);

    if (rc == RC_OK)
        rc = store_outgoing(d->store, d->sat->row.id, 0, &rows, &n, err);
    if (rc != RC_OK)
        return rc;
    if (done.ride.kind != RIDE_WAIT && !is_under_way(d, package, rows, n)) {
        rc = still_there(d->store, package, &done.ride, d->now_ms, err);
        if (rc == RC_OK)
            rc = queue_ride(d, &done.ride, err);
        done.queued = rc == RC_OK;
    }
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc == RC_OK)
        *ret = done;
    return rc;
}

/* ---- withdrawing ------------------------------------------------------------------------------
 */

static enum rc cancel(struct store *store, const char *satellite, const struct digest *object,
                      enum outgoing_state only, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(store, satellite, only, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (!digest_same(&rows[i].object, object) || rows[i].state == OUTGOING_CANCELLED)
            continue;
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(store, &rows[i], err);
    }
    return rc;
}

enum rc deliver_withdraw(struct store *store, const char *satellite, const struct digest *manifest,
                         struct err *err)
{
    scoped(free_ptr) struct store_delta_ride *rides = NULL;
    struct store_package package;
    size_t n = 0;
    enum rc rc = store_package_by_manifest(store, manifest, &package, err);

    if (rc == RC_NO_PACKAGE) /* then nothing was ever made from it */
        return RC_OK;
    if (rc == RC_OK)
        rc = cancel(store, satellite, &package.object, OUTGOING_QUEUED, err);
    if (rc == RC_OK)
        rc = store_delta_rides(store, satellite, &rides, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (digest_same(&rides[i].manifest, manifest))
            rc = cancel(store, satellite, &rides[i].object, OUTGOING_QUEUED, err);
    return rc;
}

/* ---- what did not work ------------------------------------------------------------------------
 */

static enum rc is_noted(struct store *store, const char *satellite, const struct digest *manifest,
                        bool *ret, struct err *err)
{
    scoped(free_ptr) struct store_full_only *rows = NULL;
    size_t n = 0;
    enum rc rc = store_full_only(store, satellite, &rows, &n, err);

    *ret = false;
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        *ret = *ret || digest_same(&rows[i].manifest, manifest);
    return rc;
}

static enum rc note(struct store *store, const char *satellite, const struct store_package *package,
                    uint32_t code, uint64_t now_ms, struct err *err)
{
    struct store_full_only row = { .manifest = package->manifest, .code = code, .at_ms = now_ms };
    bool noted = false;
    enum rc rc = is_noted(store, satellite, &package->manifest, &noted, err);

    if (rc != RC_OK || noted)
        return rc;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    rc = store_put_full_only(store, &row, err);
    return rc == RC_OK
               ? store_audit(store, "berth-ground", "delta-refused", now_ms, err,
                             "%s: %s/%s %s: %s: the full package goes", satellite, package->tenant,
                             package->name, package->version, rc_name(rc_from_number(code)))
               : rc;
}

/* An event says "tenant/payload", or that and more behind a blank or a colon. */
static bool is_about(const char *what, const struct store_package *package)
{
    char name[2 * NAME_CAP];
    int n = snprintf(name, sizeof name, "%s/%s", package->tenant, package->name);

    return strncmp(what, name, (size_t)n) == 0 &&
           (what[n] == '\0' || what[n] == ' ' || what[n] == ':');
}

/* The code with which the report says that this delta did not work; 0 = it does not.  events: one
 * of those may be about it. */
static uint32_t failure_of(const struct report *report, const bool fresh[REPORT_EVENTS_MAX],
                           const struct store_package *package, bool events)
{
    const struct sight said = sight_of(report);
    const struct report_payload *p = verdict_payload(&said, package->tenant, package->name);

    if (p && p->is_running && digest_same(&p->running, &package->manifest))
        return 0;
    if (p && digest_same(&p->wanted, &package->manifest) && ride_failed(p))
        return p->code;
    for (uint32_t i = 0; events && i < report->n_events; i++)
        if (fresh[i] && ride_is_deltas(report->event[i].code) &&
            is_about(report->event[i].what, package))
            return report->event[i].code;
    return 0;
}

/* Deltas of one satellite, and the package of the version that each brings. */
struct heard {
    size_t n;
    struct store_delta_ride *ride;
    struct store_package *package; /* tenant "" = it is not in the store any more */
};

static void heard_done(struct heard *h)
{
    free(h->ride);
    free(h->package);
}

static enum rc load_heard(struct store *store, const char *satellite, struct heard *h,
                          struct err *err)
{
    enum rc rc = store_delta_rides(store, satellite, &h->ride, &h->n, err);

    if (rc != RC_OK)
        return rc;
    h->package = calloc(h->n + 1, sizeof *h->package);
    if (!h->package)
        return err_set(err, RC_NO_MEMORY, "deltas");
    for (size_t i = 0; rc == RC_OK && i < h->n; i++) {
        rc = store_package_by_manifest(store, &h->ride[i].manifest, &h->package[i], err);
        if (rc == RC_NO_PACKAGE)
            rc = RC_OK;
    }
    return rc;
}

/* Whether an event about the payload can be about this delta: it is queued, or none of the same
 * payload arrived after it.  What came earlier was told of long ago. */
static bool is_open(const struct heard *h, size_t which)
{
    const struct store_package *package = &h->package[which];

    for (size_t i = 0; i < h->n && h->ride[which].state == OUTGOING_COMPLETE; i++)
        if (h->ride[i].state == OUTGOING_COMPLETE && h->ride[i].sent_ms > h->ride[which].sent_ms &&
            strcmp(h->package[i].tenant, package->tenant) == 0 &&
            strcmp(h->package[i].name, package->name) == 0)
            return false;
    return true;
}

enum rc deliver_hear(struct store *store, const struct report *report,
                     const bool fresh[REPORT_EVENTS_MAX], uint64_t now_ms, struct err *err)
{
    scoped(heard_done) struct heard h = { .n = 0 };
    enum rc rc = load_heard(store, report->satellite, &h, err);

    for (size_t i = 0; rc == RC_OK && i < h.n; i++) {
        uint32_t code = h.package[i].tenant[0] == '\0'
                            ? 0
                            : failure_of(report, fresh, &h.package[i], is_open(&h, i));

        if (code != 0)
            rc = note(store, report->satellite, &h.package[i], code, now_ms, err);
    }
    return rc;
}

/* ---- putting right ----------------------------------------------------------------------------
 */

/* Whether what the satellite runs says that this queued delta cannot work: neither a base of it nor
 * what it brings.  A satellite that runs nothing at the moment says nothing. */
static bool is_stale(const struct store_delta_ride *rides, size_t n,
                     const struct report_payload *seen)
{
    if (!seen || !seen->is_running || digest_is_none(&seen->running))
        return false;
    for (size_t i = 0; i < n; i++)
        if (digest_same(&seen->running, &rides[i].base) ||
            digest_same(&seen->running, &rides[i].manifest))
            return false;
    return true;
}

struct settle {
    struct store *store;
    const struct view *view;
    uint64_t now_ms;
    const struct deliver_log *log;
    bool waits;
};

/* Another object takes the delta's place. */
static enum rc replace(struct settle *s, const struct view_satellite *sat,
                       const struct store_delta_ride *ride, const struct store_package *package,
                       struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    const struct deliver d = {
        .store = s->store, .view = s->view, .sat = sat, .now_ms = s->now_ms, .again = true
    };
    struct ride choice = view_ride(s->view, sat, package);
    struct delivered done = { .queued = false };
    enum rc rc;

    if (choice.kind == RIDE_WAIT) {
        s->waits = true;
        return RC_OK;
    }
    rc = store_begin(s->store, &open, err);
    if (rc == RC_OK)
        rc = cancel(s->store, sat->row.id, &ride->object, 0, err);
    if (rc == RC_OK)
        rc = deliver_queue(&d, package, &done, err);
    if (rc == RC_OK && choice.why != RIDE_REFUSED)
        rc = store_put_base_changed(s->store, sat->row.id, &package->manifest, s->now_ms, err);
    if (rc == RC_OK && choice.why != RIDE_REFUSED) /* that is in the log already */
        rc = store_audit(s->store, "berth-ground", "delta-base-changed", s->now_ms, err,
                         "%s: %s/%s %s: %s goes: %s", sat->row.id, package->tenant, package->name,
                         package->version,
                         done.ride.kind == RIDE_DELTA ? "another delta" : "the full package",
                         ride_why_text(done.ride.why));
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc == RC_OK)
        s->log->fn(s->log->arg, choice.why == RIDE_REFUSED ? "delta-refused" : "delta-base-changed",
                   sat->row.id, &done.ride);
    return rc;
}

/* It came ahead of its order, did not work, and the report that said so was lost: now the order is
 * there, and the satellite waits for a package without a word why. */
static bool is_lost(const struct view_satellite *sat, const struct store_delta_ride *ride,
                    const struct report_payload *seen)
{
    return ride->state == OUTGOING_COMPLETE &&
           sat->received_ms >= ride->sent_ms + DELIVER_LOST_MS && seen &&
           digest_same(&seen->wanted, &ride->manifest) && seen->code == 0 &&
           (seen->state == SLOT_ABSENT || seen->state == SLOT_RECEIVING);
}

/* From the next round on no delta to this version works there. */
static enum rc give_up(const struct settle *s, const struct view_satellite *sat,
                       const struct store_package *package, enum rc why, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    const struct ride full = {
        .kind = RIDE_FULL, .why = RIDE_REFUSED, .size = package->size, .refused = (uint32_t)why
    };
    enum rc rc = store_begin(s->store, &open, err);

    if (rc == RC_OK)
        rc = note(s->store, sat->row.id, package, (uint32_t)why, s->now_ms, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc == RC_OK)
        s->log->fn(s->log->arg, "delta-given-up", sat->row.id, &full);
    return rc;
}

/* All rows of one satellite and object. */
static enum rc settle_one(struct settle *s, const struct store_delta_ride *rides, size_t n,
                          struct err *err)
{
    const struct view_satellite *sat = view_find(s->view, rides[0].satellite);
    const struct store_package *package = view_package(s->view, &rides[0].manifest);

    if (!sat || !package)
        return RC_OK;

    const struct report_payload *seen = verdict_payload(sat->seen, package->tenant, package->name);

    /* Whether a delta to this version has given way there before: a satellite that says now this
     * and now that would otherwise fill the audit log. */
    bool again = false;

    if (view_full_only(s->view, sat->row.id, &package->manifest))
        return replace(s, sat, &rides[0], package, err);
    if (is_lost(sat, &rides[0], seen))
        return give_up(s, sat, package, RC_TIMEOUT, err);
    if (rides[0].state != OUTGOING_QUEUED || !is_stale(rides, n, seen))
        return RC_OK;

    enum rc rc = store_base_changed(s->store, sat->row.id, &package->manifest, &again, err);

    if (rc != RC_OK)
        return rc;
    return again ? give_up(s, sat, package, RC_DELTA_BASE, err)
                 : replace(s, sat, &rides[0], package, err);
}

enum rc deliver_settle(struct store *store, const struct view *view, uint64_t now_ms,
                       const struct deliver_log *log, bool *ret_waits, struct err *err)
{
    scoped(free_ptr) struct store_delta_ride *rides = NULL;
    struct settle s = { .store = store, .view = view, .now_ms = now_ms, .log = log };
    size_t n = 0;
    enum rc rc = store_delta_rides(store, NULL, &rides, &n, err);

    for (size_t i = 0, end = 0; rc == RC_OK && i < n; i = end) {
        while (end < n && strcmp(rides[end].satellite, rides[i].satellite) == 0 &&
               digest_same(&rides[end].object, &rides[i].object))
            end++;
        rc = settle_one(&s, &rides[i], end - i, err);
    }
    if (rc == RC_OK)
        *ret_waits = s.waits;
    return rc;
}
