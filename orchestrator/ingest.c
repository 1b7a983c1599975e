/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/ingest.h"

#include <assert.h>
#include <stdio.h>

#include "base/crypto.h"

static_assert(REPORT_TRANSFERS_MAX == PORT_TRANSFERS_MAX && REPORT_RANGES_MAX == PORT_RANGES_MAX &&
                  PAYLOADS_MAX <= PORT_COMPLETE_MAX,
              "all that a report lists fits into the sender's argument");

static enum rc keep_events(struct store *store, const char *satellite, const struct report *report,
                           uint64_t now_ms, struct err *err)
{
    enum rc rc = RC_OK;

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
static enum rc lacks_root(struct store *store, const struct report *report, bool *ret,
                          struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(store, DOC_ROOT, &names, &n, err);

    *ret = rc == RC_OK && n > 0 && names[0].version > 1 && report->root_version < names[0].version;
    return rc;
}

enum rc ingest_report(struct store *store, const char *satellite, struct bytes bytes,
                      uint64_t now_ms, struct report *ret, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_observed row = { .received_ms = now_ms };
    bool waits = false;
    enum rc rc = report_decode(bytes, ret, err);

    if (rc != RC_OK)
        return rc;
    if (strcmp(ret->satellite, satellite) != 0)
        return err_set(err, RC_NO_SATELLITE, "report of %s under the keys of %s", ret->satellite,
                       satellite);
    row.epoch = ret->epoch;
    row.seq = ret->seq;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", satellite);
    rc = store_begin(store, &open, err);
    if (rc == RC_OK)
        rc = store_put_report(store, &row, bytes, err);
    if (rc == RC_OK)
        rc = keep_events(store, satellite, ret, now_ms, err);
    if (rc == RC_OK)
        rc = lacks_root(store, ret, &waits, err);
    if (rc == RC_OK && !waits)
        rc = ack_orders(store, satellite, ret->generation, now_ms, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

void ingest_transfers(const struct report *report, struct port_transfers *ret)
{
    *ret = (struct port_transfers){ .n_transfers = report->n_transfers,
                                    .n_complete = report->n_objects };
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
    row.missing_known = true;
    row.missing_more = false;
    row.n_missing = 0;
    return store_update_outgoing(store, &row, err);
}

/* ---- repair -----------------------------------------------------------------------------------
 */

struct repair {
    struct store *store;
    const struct view *view;
    const struct view_satellite *sat;
    uint64_t now_ms;
    uint32_t again; /* objects queued again */
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
    if (found && row.state == OUTGOING_COMPLETE && r->now_ms < row.sent_ms + INGEST_LOST_MS)
        return RC_OK;
    (void)snprintf(fresh.satellite, sizeof fresh.satellite, "%s", satellite);
    fresh.queued_ms = r->now_ms;
    rc = store_queue(r->store, &fresh, true, err);
    r->again += rc == RC_OK;
    return rc;
}

static enum rc repair_package(struct repair *r, const struct order_line *line, struct err *err)
{
    const struct report_payload *seen = verdict_payload(r->sat->seen, line->tenant, line->name);
    const struct store_package *package = view_package(r->view, &line->manifest);
    struct store_outgoing fresh = { .kind = OBJECT_PACKAGE, .class = CLASS_PACKAGE };

    if (!package || !seen || seen->state != SLOT_ABSENT ||
        memcmp(seen->wanted.b, line->manifest.b, DIGEST_SIZE) != 0)
        return RC_OK;
    fresh.object = package->object;
    fresh.size = package->size;
    (void)snprintf(fresh.path, sizeof fresh.path, "%s", package->path);
    return send_again(r, fresh, err);
}

/* The newest order, also one that was in force before: a satellite may have lost its state. */
static enum rc repair_order(struct repair *r, struct err *err)
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
    return rc == RC_OK && found ? send_again(r, row, err) : rc;
}

#define ROOTS_AT_ONCE 8U /* as many as an agent keeps that came too early */

/* A satellite that lacks roots gets those that follow the one it has. */
static enum rc repair_roots(struct repair *r, struct err *err)
{
    uint64_t has = r->sat->seen->root_version;
    enum rc rc = RC_OK;

    if (has == 0) /* it has no trust at all: no root can follow on none */
        return RC_OK;
    for (uint64_t v = has + 1; rc == RC_OK && v <= r->view->root_version; v++) {
        struct store_outgoing fresh = { .kind = OBJECT_ROOT, .class = CLASS_TRUST };
        scoped(free_ptr) uint8_t *envelope = NULL;
        char hex[2 * DIGEST_SIZE + 1];

        if (v > has + ROOTS_AT_ONCE)
            break;
        rc = store_document_version(r->store, DOC_ROOT, "root", v, &envelope, &fresh.size, err);
        if (rc == RC_OK)
            rc = sha256_of((struct bytes){ envelope, fresh.size }, fresh.object.b, err);
        if (rc != RC_OK)
            break;
        (void)snprintf(fresh.path, sizeof fresh.path, "objects/%s",
                       bytes_hex((struct bytes){ fresh.object.b, DIGEST_SIZE }, hex));
        rc = send_again(r, fresh, err);
    }
    return rc;
}

enum rc ingest_repair(struct store *store, const struct view *view,
                      const struct view_satellite *sat, uint64_t now_ms, uint32_t *ret_again,
                      struct err *err)
{
    struct repair r = { .store = store, .view = view, .sat = sat, .now_ms = now_ms };
    enum rc rc = sat->seen ? repair_roots(&r, err) : RC_OK;

    if (rc == RC_OK && sat->seen && sat->seen->generation < sat->order.generation)
        rc = repair_order(&r, err);
    if (sat->seen && sat->seen->generation == sat->order.generation)
        for (uint32_t i = 0; rc == RC_OK && i < sat->order.n_lines; i++)
            rc = repair_package(&r, &sat->order.line[i], err);
    if (rc == RC_OK)
        *ret_again = r.again;
    return rc;
}
