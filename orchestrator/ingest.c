/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/ingest.h"

#include <assert.h>
#include <stdio.h>

#include "base/crypto.h"
#include "orchestrator/confinement.h"
#include "orchestrator/deliver.h"

static_assert(REPORT_TRANSFERS_MAX == PORT_TRANSFERS_MAX && REPORT_RANGES_MAX == PORT_RANGES_MAX &&
                  PAYLOADS_MAX <= PORT_COMPLETE_MAX,
              "all that a report lists fits into the sender's argument");

/* A report tells of newest events again and again: which of them happened since the last one? */
static enum rc find_fresh(struct store *store, const struct report *report,
                          bool fresh[REPORT_EVENTS_MAX], struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < report->n_events; i++) {
        uint64_t known = 0;

        rc = store_event_count(store, report->satellite, report->event[i].seq, &known, err);
        fresh[i] = rc == RC_OK && report->event[i].count > known;
    }
    return rc;
}

static enum rc keep_events(struct store *store, const struct report *report, bool rides,
                           uint64_t now_ms, struct err *err)
{
    const char *satellite = report->satellite;
    bool fresh[REPORT_EVENTS_MAX] = { false };
    enum rc rc = find_fresh(store, report, fresh, err);

    if (rc == RC_OK && rides)
        rc = deliver_hear(store, report, fresh, now_ms, err);
    for (uint32_t i = 0; rc == RC_OK && i < report->n_events; i++) {
        const struct report_event *event = &report->event[i];
        struct store_event row = {
            .seq = event->seq, .code = event->code, .count = event->count, .received_ms = now_ms
        };

        (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
        (void)snprintf(row.what, sizeof row.what, "%s", event->what);
        rc = store_put_event(store, &row, err);
    }
    if (rc == RC_OK && report->n_events > 0)
        rc = store_trim_events(store, satellite, INGEST_EVENTS_MAX, err);
    return rc;
}

/* Released orders up to the one in force: that one is acknowledged, older ones no longer matter. */
static enum rc ack_orders(struct store *store, const char *satellite, uint64_t generation,
                          uint64_t now_ms, struct err *err)
{
    struct store_order_filter filter = { .satellite = satellite, .state = ORDER_RELEASED };
    scoped(free_ptr) struct store_order *rows = NULL;
    size_t n = 0;
    enum rc rc = store_orders(store, &filter, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (rows[i].generation > generation)
            continue;
        rc = store_set_order_state(
            store, satellite, rows[i].generation,
            rows[i].generation == generation ? ORDER_ACKED : ORDER_SUPERSEDED, now_ms, err);
    }
    return rc;
}

/* Whether the newest root is still on its way there: the generation that the report names may then
 * be that of an order which has been signed again since. */
static bool lacks_root(const struct store_pending *pending, const struct report *report)
{
    return pending->root_version > 1 && report->root_version < pending->root_version;
}

/* ---- the report before ---- */

struct before {
    struct arena arena;
    struct sight *sight; /* NULL: there is none that can be read */
};

static void before_done(struct before *before)
{
    arena_done(&before->arena);
}

static enum rc take_before(void *arg, const struct store_fleet_report *row, struct err *err)
{
    struct before *before = arg;

    if (row->sight.n > 0)
        return sight_decode(row->sight, &before->arena, &before->sight, err);
    scoped(free_ptr) struct report *whole = malloc(sizeof *whole);

    if (!whole)
        return err_set(err, RC_NO_MEMORY, "report");
    if (report_decode(row->report, whole, NULL) != RC_OK)
        return RC_OK;
    return sight_keep(&before->arena, whole, &before->sight, err);
}

/* Held against it, if there is one. */
static enum rc compare(struct store *store, const struct report *report, uint64_t now_ms,
                       struct err *err)
{
    scoped(before_done) struct before before = { .sight = NULL };
    const struct sight now = sight_of(report);
    enum rc rc = store_fleet_reports(store, report->satellite, take_before, &before, err);

    if (rc != RC_OK || !before.sight)
        return rc;
    return confinement_compare(store, report->satellite, before.sight, &now, now_ms, err);
}

/* What the link brought in the contact that the report is of. */
static enum rc keep_heard(struct store *store, const struct report *report, bool waiting,
                          uint64_t now_ms, struct err *err)
{
    const struct report_bytes *b = &report->traffic.contact;
    struct store_heard row = { .epoch = report->epoch,
                               .contact = report->traffic.contacts,
                               .waiting = waiting,
                               .received_ms = now_ms };

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", report->satellite);
    if (__builtin_add_overflow(b->useful, b->repeated, &row.arrived) || row.arrived > INT64_MAX)
        row.arrived = INT64_MAX;
    return store_put_heard(store, &row, err);
}

enum rc ingest_begin(struct store *store, struct store **ret_open, struct store **ret_mark,
                     struct err *err)
{
    enum rc rc = store_join(store, ret_open, err);

    return rc == RC_OK && !*ret_open ? store_mark(store, ret_mark, err) : rc;
}

enum rc ingest_end(struct store **open, struct store **mark, struct err *err)
{
    enum rc rc = store_pass_mark(mark, err);

    return rc == RC_OK ? store_commit(open, err) : rc;
}

enum rc ingest_keep(struct store *store, const struct store_observed *row, struct bytes bytes,
                    const struct report *report, struct err *err)
{
    const struct sight sight = sight_of(report);
    uint8_t buf[SIGHT_MAX];
    struct bytes small;
    enum rc rc = sight_encode(&sight, buf, sizeof buf, &small, err);

    return rc == RC_OK ? store_put_report(store, row, bytes, small, err) : rc;
}

enum rc ingest_report(struct store *store, const char *satellite, struct bytes bytes,
                      uint64_t now_ms, struct report *ret, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(store_undo) struct store *mark = NULL;
    struct store_observed row = { .received_ms = now_ms };
    struct store_pending pending = { .queued = false };
    enum rc rc = report_decode(bytes, ret, err);

    if (rc != RC_OK)
        return rc;
    if (strcmp(ret->satellite, satellite) != 0)
        return err_set(err, RC_NO_SATELLITE, "report of %s under the keys of %s", ret->satellite,
                       satellite);
    row.epoch = ret->epoch;
    row.seq = ret->seq;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    rc = ingest_begin(store, &open, &mark, err);
    if (rc == RC_OK)
        rc = compare(store, ret, now_ms, err);
    if (rc == RC_OK)
        rc = ingest_keep(store, &row, bytes, ret, err);
    if (rc == RC_OK)
        rc = store_pending(store, satellite, &pending, err);
    if (rc == RC_OK)
        rc = keep_events(store, ret, pending.rides, now_ms, err);
    if (rc == RC_OK)
        rc = keep_heard(store, ret, pending.queued, now_ms, err);
    if (rc == RC_OK && pending.released && !lacks_root(&pending, ret))
        rc = ack_orders(store, satellite, ret->generation, now_ms, err);
    return rc == RC_OK ? ingest_end(&open, &mark, err) : rc;
}

static struct port_bytes bytes_of_report(const struct report_bytes *b)
{
    return (struct port_bytes){
        .in = b->in, .useful = b->useful, .repeated = b->repeated, .out = b->out
    };
}

void ingest_transfers(const struct report *report, struct port_transfers *ret)
{
    *ret = (struct port_transfers){ .n_transfers = report->n_transfers,
                                    .n_complete = report->n_objects };
    ret->traffic = (struct port_traffic){ .contacts = report->traffic.contacts,
                                          .contact = bytes_of_report(&report->traffic.contact),
                                          .all = bytes_of_report(&report->traffic.all),
                                          .key_epoch = report->traffic.key_epoch,
                                          .highest = report->traffic.highest,
                                          .accepted = report->traffic.accepted };
    for (uint32_t i = 0; i < report->n_transfers; i++) {
        const struct report_transfer *from = &report->transfer[i];
        struct transfer_status *to = &ret->transfer[i];

        memcpy(to->object, from->object.b, sizeof to->object);
        to->chunks = from->chunks;
        to->n_missing = from->n_missing;
        to->more = from->more;
        for (uint32_t k = 0; k < from->n_missing; k++)
            to->missing[k] = (struct transfer_range){ .first = from->missing[k].first,
                                                      .count = from->missing[k].count };
    }
    for (uint32_t i = 0; i < report->n_objects; i++)
        memcpy(ret->complete[i], report->object[i].b, DIGEST_SIZE);
}

/* Find an outgoing row of any state.  *ret_found is false if there is none. */
static enum rc find_row(struct store *store, const char *satellite,
                        const uint8_t object[DIGEST_SIZE], struct store_outgoing *ret,
                        bool *ret_found, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(store, satellite, 0, &rows, &n, err);

    if (rc != RC_OK)
        return rc;
    *ret_found = false;
    for (size_t i = 0; i < n && !*ret_found; i++) {
        *ret_found = memcmp(rows[i].object.b, object, DIGEST_SIZE) == 0;
        *ret = rows[i];
    }
    return RC_OK;
}

enum rc ingest_complete(struct store *store, const char *satellite,
                        const uint8_t object[DIGEST_SIZE], uint64_t now_ms, struct err *err)
{
    struct store_outgoing row;
    bool found = false;
    enum rc rc = find_row(store, satellite, object, &row, &found, err);

    if (rc != RC_OK || !found || row.state != OUTGOING_QUEUED)
        return rc;
    row.state = OUTGOING_COMPLETE;
    row.sent_ms = now_ms;
    return store_update_outgoing(store, &row, err);
}

/* ---- repair -----------------------------------------------------------------------------------
 */

struct repair {
    struct store *store;
    const struct view *view;
    const struct view_satellite *sat;
    uint64_t now_ms;
    uint64_t guard_ms; /* what was delivered less long ago is not sent again */
    uint32_t again;    /* objects queued again */
};

/* Queue an object again unless it is on its way, or was delivered only just now. */
static enum rc send_again(struct repair *r, struct store_outgoing fresh, struct err *err)
{
    const char *satellite = r->sat->row.id;
    struct store_outgoing row;
    bool found = false;
    enum rc rc = find_row(r->store, satellite, fresh.object.b, &row, &found, err);

    if (rc != RC_OK)
        return rc;
    if (found && row.state == OUTGOING_QUEUED)
        return RC_OK;
    if (found && row.state == OUTGOING_COMPLETE && r->now_ms < row.sent_ms + r->guard_ms)
        return RC_OK;
    (void)snprintf(fresh.satellite, sizeof fresh.satellite, "%s", satellite);
    fresh.queued_ms = r->now_ms;
    rc = store_queue(r->store, &fresh, true, err);
    r->again += rc == RC_OK;
    return rc;
}

/* Whether the entry of the newest report asks for the package again: it lacks it, or it waits for
 * what was delivered long before the report was made. */
static enum rc lacks(const struct repair *r, const struct report_payload *seen,
                     const struct store_package *package, bool *ret, struct err *err)
{
    struct store_outgoing row;
    bool found = false;

    *ret = seen->state == SLOT_ABSENT || ride_failed(seen);
    if (*ret || seen->state != SLOT_RECEIVING)
        return RC_OK;

    enum rc rc = find_row(r->store, r->sat->row.id, package->object.b, &row, &found, err);

    *ret = rc == RC_OK && found && row.state == OUTGOING_COMPLETE &&
           r->sat->received_ms >= row.sent_ms + INGEST_PACKAGE_LOST_MS;
    return rc;
}

static enum rc repair_package(struct repair *r, const struct order_line *line, struct err *err)
{
    const struct report_payload *seen = verdict_payload(r->sat->seen, line->tenant, line->name);
    const struct store_package *package = view_package(r->view, &line->manifest);
    const struct deliver d = { .store = r->store,
                               .view = r->view,
                               .sat = r->sat,
                               .now_ms = r->now_ms,
                               .again = true,
                               .guard_ms = INGEST_LOST_MS };
    struct delivered done = { .queued = false };
    bool asked = false;

    if (!package || !seen || memcmp(seen->wanted.b, line->manifest.b, DIGEST_SIZE) != 0)
        return RC_OK;

    enum rc rc = lacks(r, seen, package, &asked, err);

    if (rc == RC_OK && asked)
        rc = deliver_queue(&d, package, &done, err);
    r->again += rc == RC_OK && done.queued;
    return rc;
}

/* What a satellite says that it needs to repair a slot.  It may name anything: it gets what its
 * order names or what it was sent before, and always the full package. */
static enum rc repair_damaged(struct repair *r, const struct digest *manifest, struct err *err)
{
    const struct store_package *package = view_package(r->view, manifest);
    struct store_outgoing fresh = { .kind = OBJECT_PACKAGE, .class = CLASS_PACKAGE };
    struct store_outgoing row;
    bool allowed = false;
    enum rc rc = RC_OK;

    if (!package)
        return RC_OK;
    for (uint32_t i = 0; i < r->sat->order.n_lines && !allowed; i++)
        allowed = digest_same(&r->sat->order.line[i].manifest, manifest);
    if (!allowed)
        rc = find_row(r->store, r->sat->row.id, package->object.b, &row, &allowed, err);
    if (rc != RC_OK || !allowed)
        return rc;
    fresh.object = package->object;
    fresh.size = package->size;
    (void)snprintf(fresh.path, sizeof fresh.path, "%s", package->path);
    return send_again(r, fresh, err);
}

/* The token of an order that should be in force.  One that has expired is refused for certain:
 * berth rollout retoken makes another. */
static enum rc repair_token(struct repair *r, const struct store_order *order, struct err *err)
{
    struct store_token token;
    struct store_outgoing row;
    bool found = false;
    enum rc rc = store_token(r->store, order->satellite, order->generation, &token, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK; /* it takes effect by itself */
    if (rc == RC_OK && token.expires_ms <= r->now_ms)
        return RC_OK;
    if (rc == RC_OK)
        rc = find_row(r->store, order->satellite, token.object.b, &row, &found, err);
    return rc == RC_OK && found ? send_again(r, row, err) : rc;
}

/* The newest order, also one that was in force before: a satellite may have lost its state, or be
 * waiting for somebody to speak. */
static enum rc repair_order(struct repair *r, bool with_token, struct err *err)
{
    struct store_order_filter filter = { .satellite = r->sat->row.id };
    scoped(free_ptr) struct store_order *rows = NULL;
    struct store_outgoing row;
    bool found = false;
    size_t n = 0;
    enum rc rc = store_orders(r->store, &filter, &rows, &n, err);

    while (rc == RC_OK && n > 0 && rows[n - 1].generation != r->sat->order.generation)
        n--;
    if (rc != RC_OK || n == 0)
        return rc;
    rc = find_row(r->store, r->sat->row.id, rows[n - 1].object.b, &row, &found, err);
    if (rc == RC_OK && found && r->sat->seen->staged != rows[n - 1].generation)
        rc = send_again(r, row, err);
    return rc == RC_OK && with_token ? repair_token(r, &rows[n - 1], err) : rc;
}

/* A new agent on trial is committed when it hears us: say something, which is what it holds. */
static enum rc greet(struct repair *r, struct err *err)
{
    r->guard_ms = INGEST_GREETING_MS;
    enum rc rc = repair_order(r, false, err);

    r->guard_ms = INGEST_LOST_MS;
    return rc;
}

#define ROOTS_AT_ONCE 8U /* as many as an agent keeps that came too early */

/* Queue a document of the trust again, as it is in objects/. */
static enum rc repair_document(struct repair *r, enum doc_type type, unsigned kind,
                               const struct store_name *which, struct err *err)
{
    struct store_outgoing fresh = { .kind = kind, .class = CLASS_TRUST };
    scoped(free_ptr) uint8_t *envelope = NULL;
    char hex[2 * DIGEST_SIZE + 1];
    enum rc rc = store_document_version(r->store, type, which->name, which->version, &envelope,
                                        &fresh.size, err);

    if (rc == RC_NOT_FOUND) /* a satellite may name any version */
        return RC_OK;
    if (rc == RC_OK)
        rc = sha256_of((struct bytes){ envelope, fresh.size }, fresh.object.b, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(fresh.path, sizeof fresh.path, "objects/%s",
                   bytes_hex((struct bytes){ fresh.object.b, DIGEST_SIZE }, hex));
    return send_again(r, fresh, err);
}

/* A satellite that lacks roots gets those that follow the one it has; one that has lost its own
 * (safe mode) gets that one, too. */
static enum rc repair_roots(struct repair *r, struct err *err)
{
    bool lost = (r->sat->seen->lost & LOST_ROOT) != 0;
    uint64_t has = r->sat->seen->root_version;
    struct store_name which = { .name = "root" };
    enum rc rc = RC_OK;

    if (has == 0) /* it has no trust at all, and knows of none: no root can follow on none */
        return RC_OK;
    for (uint64_t v = lost ? has : has + 1; rc == RC_OK && v <= r->view->root_version; v++) {
        if (v > has + ROOTS_AT_ONCE)
            break;
        which.version = v;
        rc = repair_document(r, DOC_ROOT, OBJECT_ROOT, &which, err);
    }
    return rc;
}

/* It knows how new its grants and delegations were and takes no older ones: the newest of each
 * tenant or team will do. */
static enum rc repair_newest(struct repair *r, enum doc_type type, unsigned kind, struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(r->store, type, &names, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = repair_document(r, type, kind, &names[i], err);
    return rc;
}

enum rc ingest_repair(struct store *store, const struct view *view,
                      const struct view_satellite *sat, uint64_t now_ms, uint32_t *ret_again,
                      struct err *err)
{
    struct repair r = {
        .store = store, .view = view, .sat = sat, .now_ms = now_ms, .guard_ms = INGEST_LOST_MS
    };
    enum rc rc = sat->seen ? repair_roots(&r, err) : RC_OK;

    if (rc == RC_OK && sat->seen && (sat->seen->lost & LOST_GRANT) != 0)
        rc = repair_newest(&r, DOC_GRANT, OBJECT_GRANT, err);
    if (rc == RC_OK && sat->seen && (sat->seen->lost & LOST_TEAM) != 0)
        rc = repair_newest(&r, DOC_DELEGATION, OBJECT_DELEGATION, err);
    if (rc == RC_OK && sat->seen && sat->seen->generation < sat->order.generation)
        rc = repair_order(&r, true, err);
    else if (rc == RC_OK && sat->seen && sat->seen->trial)
        rc = greet(&r, err);
    if (sat->seen && sat->seen->generation == sat->order.generation)
        for (uint32_t i = 0; rc == RC_OK && i < sat->order.n_lines; i++)
            rc = repair_package(&r, &sat->order.line[i], err);
    for (uint32_t i = 0; rc == RC_OK && sat->seen && i < sat->seen->n_damaged; i++)
        rc = repair_damaged(&r, &sat->seen->damaged[i], err);
    if (rc == RC_OK)
        *ret_again = r.again;
    return rc;
}
