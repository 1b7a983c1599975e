/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/advance_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "link/port.h"
#include "orchestrator/approvals.h"
#include "orchestrator/deliver.h"
#include "orchestrator/witness.h"

/* Enough to start, for every wave to settle, pass and open, and the end; more is a bug. */
#define STEPS_MAX (4U * ROLLOUT_WAVES_MAX + 6U)
#define RELEASE_MAX 256U /* orders in one transaction: each waits for the disk */
#define BROKEN_MAX 16U   /* orders that cannot go, in a row: more say that none can */

bool advance_ends_round(enum rc rc)
{
    return rc == RC_BUSY || rc == RC_FENCED;
}

/* Rollouts and orders of one round that could not be moved. */
struct broken {
    uint32_t n, in_a_row;
    struct err last; /* why */
};

/* One that is broken keeps none of the others, before it or behind it.  RC_OK: go on. */
static enum rc set_aside(struct broken *broken, enum rc rc, const struct err *why)
{
    broken->in_a_row = rc == RC_OK ? 0 : broken->in_a_row + 1;
    if (rc == RC_OK)
        return RC_OK;
    broken->n++;
    broken->last = *why;
    return advance_ends_round(rc) ? rc : RC_OK;
}

/* ---- rollouts ---------------------------------------------------------------------------------
 */

static void tell(const struct advance_log *log, uint64_t id, const struct rollout_action *action)
{
    static const char *const names[] = {
        [ROLLOUT_DO_PASS] = "wave-done",
        [ROLLOUT_DO_RELEASE] = "wave-open",
        [ROLLOUT_DO_PAUSE] = "paused",
        [ROLLOUT_DO_COMPLETE] = "completed",
        [ROLLOUT_DO_AWAIT] = "awaiting-approval",
        [ROLLOUT_DO_START] = "approved",
    };
    size_t verb = (size_t)action->verb;
    struct advance_event event = { .rollout = id, .detail = action->reason };

    if (verb >= sizeof names / sizeof names[0] || !names[verb])
        return;
    event.what = names[verb];
    event.number = action->verb == ROLLOUT_DO_COMPLETE || action->verb == ROLLOUT_DO_AWAIT ||
                           action->verb == ROLLOUT_DO_START
                       ? 0
                       : action->wave + 1;
    log->fn(log->arg, &event);
}

static enum rc audit_action(struct store *store, uint64_t id, const struct rollout_action *action,
                            uint64_t now_ms, struct err *err)
{
    unsigned long long n = id;

    if (action->verb == ROLLOUT_DO_RELEASE)
        return store_audit(store, "berth-ground", "wave-open", now_ms, err, "rollout %llu wave %u",
                           n, action->wave + 1);
    if (action->verb == ROLLOUT_DO_PAUSE)
        return store_audit(store, "berth-ground", "rollout-pause", now_ms, err, "rollout %llu: %s",
                           n, action->reason);
    if (action->verb == ROLLOUT_DO_COMPLETE)
        return store_audit(store, "berth-ground", "rollout-complete", now_ms, err, "rollout %llu",
                           n);
    if (action->verb == ROLLOUT_DO_AWAIT)
        return store_audit(store, "berth-ground", "rollout-await", now_ms, err,
                           "rollout %llu: an approval is missing", n);
    if (action->verb == ROLLOUT_DO_START)
        return store_audit(store, "berth-ground", "rollout-start", now_ms, err,
                           "rollout %llu: approved", n);
    return RC_OK;
}

/* A rollout as it is now, approvals and what its satellites did with it. */
static enum rc read_seen(struct store *store, const struct view *view, uint64_t id, uint64_t now_ms,
                         struct advance_rollout *ret, struct rollout_seen **ret_seen,
                         struct err *err)
{
    advance_done(ret);
    enum rc rc = advance_read(store, id, ret, err);

    if (rc == RC_OK)
        rc = advance_approvals(store, ret, now_ms, err);
    return rc == RC_OK ? advance_look(view, ret, now_ms, ret_seen, err) : rc;
}

/* One rollout, from the state that the transaction sees, as far as it goes. */
static enum rc advance_one(struct store *store, const struct view *view, uint64_t id,
                           uint64_t now_ms, const struct advance_log *log, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(advance_done) struct advance_rollout rollout = { 0 };
    scoped(free_ptr) struct rollout_seen *seen = NULL;
    struct rollout_action done[STEPS_MAX];
    uint32_t n = 0;
    enum rc rc = read_seen(store, view, id, now_ms, &rollout, &seen, err);

    if (rc != RC_OK || rollout_next(&rollout.is, seen, now_ms).verb == ROLLOUT_DO_NOTHING)
        return rc;
    rc = store_begin(store, &open, err);
    if (rc == RC_OK) /* again: a person may have paused it since, or asked for another try */
        rc = read_seen(store, view, id, now_ms, &rollout, &seen, err);
    if (rc != RC_OK)
        return rc;
    const struct rollout before = rollout.is;

    for (; n < STEPS_MAX; n++) {
        done[n] = rollout_next(&rollout.is, seen, now_ms);
        if (done[n].verb == ROLLOUT_DO_NOTHING)
            break;
        rollout_took(&rollout.is, &done[n], now_ms);
        rc = audit_action(store, id, &done[n], now_ms, err);
        if (rc != RC_OK)
            return rc;
    }
    assert(n < STEPS_MAX);
    rc = advance_write(store, &rollout, &before, now_ms, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        tell(log, id, &done[i]);
    return rc;
}

/* ---- orders -----------------------------------------------------------------------------------
 */

enum rc advance_withdraw(struct store *store, const char *satellite, const struct digest *object,
                         struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(store, satellite, OUTGOING_QUEUED, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (memcmp(rows[i].object.b, object->b, DIGEST_SIZE) != 0)
            continue;
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(store, &rows[i], err);
    }
    return rc;
}

/* Older orders end here, whatever became of them: one that took effect but whose arrival was never
 * shown would go up again before this one, after a restart or to a satellite that begins anew. */
static enum rc supersede(struct store *store, const struct store_order *by, uint64_t now_ms,
                         struct err *err)
{
    struct store_order_filter filter = { .satellite = by->satellite };
    scoped(free_ptr) struct store_order *rows = NULL;
    size_t n = 0;
    enum rc rc = store_orders(store, &filter, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n && rows[i].generation < by->generation; i++) {
        if (rows[i].state == ORDER_RELEASED)
            rc = store_set_order_state(store, rows[i].satellite, rows[i].generation,
                                       ORDER_SUPERSEDED, now_ms, err);
        if (rc == RC_OK)
            rc = advance_withdraw(store, rows[i].satellite, &rows[i].object, err);
    }
    return rc;
}

static enum rc queue_order(struct store *store, const struct store_order *order, uint64_t now_ms,
                           struct err *err)
{
    struct store_outgoing row = {
        .object = order->object, .kind = OBJECT_ORDER, .class = CLASS_ORDER, .queued_ms = now_ms
    };
    scoped(free_ptr) uint8_t *envelope = NULL;
    char hex[2U * DIGEST_SIZE + 1U];
    size_t n = 0;
    enum rc rc =
        store_order_envelope(store, order->satellite, order->generation, &envelope, &n, err);

    if (rc != RC_OK)
        return rc;
    row.size = n;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", order->satellite);
    (void)snprintf(row.path, sizeof row.path, "objects/%s",
                   bytes_hex((struct bytes){ order->object.b, DIGEST_SIZE }, hex));
    return store_queue(store, &row, true, err);
}

/* The token instead of the order, which is on its way since apply.  *ret_expired: there is none
 * that is good, and somebody has to sign another. */
static enum rc queue_token(struct store *store, const struct store_order *order, uint64_t now_ms,
                           bool *ret_staged, bool *ret_expired, struct err *err)
{
    struct store_outgoing row = { .kind = OBJECT_TOKEN, .class = CLASS_ORDER, .queued_ms = now_ms };
    char hex[2U * DIGEST_SIZE + 1U];
    struct store_token token;
    enum rc rc = store_token(store, order->satellite, order->generation, &token, err);

    *ret_staged = rc == RC_OK;
    *ret_expired = rc == RC_OK && token.expires_ms <= now_ms;
    if (rc == RC_NOT_FOUND || *ret_expired)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    row.object = token.object;
    row.size = token.size;
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", order->satellite);
    (void)snprintf(row.path, sizeof row.path, "objects/%s",
                   bytes_hex((struct bytes){ token.object.b, DIGEST_SIZE }, hex));
    return store_queue(store, &row, true, err);
}

enum rc advance_queue(struct store *store, const struct store_order *order, uint64_t now_ms,
                      bool *ret_expired, struct err *err)
{
    bool staged = false;
    enum rc rc = queue_token(store, order, now_ms, &staged, ret_expired, err);

    return rc == RC_OK && !staged ? queue_order(store, order, now_ms, err) : rc;
}

static enum rc pause_expired(struct store *store, const struct store_order *order, uint64_t now_ms,
                             struct err *err)
{
    char why[ROLLOUT_REASON_CAP];

    (void)snprintf(why, sizeof why, "token of %s expired: berth rollout retoken %llu",
                   order->satellite, (unsigned long long)order->rollout);
    enum rc rc = advance_enter(store, order->rollout, ROLLOUT_EV_PAUSE, why, now_ms, err);

    return rc == RC_ROLLOUT_STATE ? RC_OK : rc; /* nothing runs that could be paused */
}

/* Give way to the one that is let go: order, or token of an order that was sent before.  approved
 * is about this order. */
static enum rc let_go(struct store *store, const struct approved *approved,
                      const struct store_order *order, uint64_t now_ms, bool *ret_expired,
                      struct err *err)
{
    assert(approved_names(approved, order->satellite, order->generation));
    enum rc rc = advance_queue(store, order, now_ms, ret_expired, err);

    if (rc == RC_OK && *ret_expired)
        return pause_expired(store, order, now_ms, err);
    if (rc == RC_OK)
        rc = supersede(store, order, now_ms, err);
    return rc == RC_OK ? store_set_order_state(store, order->satellite, order->generation,
                                               ORDER_RELEASED, now_ms, err)
                       : rc;
}

/* Inside a transaction.  *ret_what: what came of it, for the log; NULL = nothing. */
static enum rc release_one(struct store *store, const struct store_order *order, uint64_t now_ms,
                           const char **ret_what, struct err *err)
{
    scoped(approved_free) struct approved *approved = NULL;
    bool ready = false, expired = false;
    /* again: a person may have paused a rollout since */
    enum rc rc = store_order_ready(store, order->satellite, order->generation, &ready, err);

    *ret_what = NULL;
    if (rc != RC_OK || !ready)
        return rc;
    rc = approvals_order(store, order->satellite, order->generation, now_ms, &approved, err);
    if (rc == RC_APPROVAL_MISSING) /* the next round stops the rollout */
        return RC_OK;
    if (rc == RC_OK)
        rc = let_go(store, approved, order, now_ms, &expired, err);
    if (rc == RC_OK)
        *ret_what = expired ? "token-expired" : "order-released";
    return rc;
}

/* Those of n orders that may go, together. */
static enum rc release_group(struct store *store, const struct store_order *orders, size_t n,
                             uint64_t now_ms, const struct advance_log *log, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    const char *what[RELEASE_MAX] = { NULL };
    enum rc rc = store_begin(store, &open, err);

    assert(n <= RELEASE_MAX);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = release_one(store, &orders[i], now_ms, &what[i], err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        const struct advance_event event = { .what = what[i],
                                             .detail = orders[i].satellite,
                                             .number = orders[i].generation };

        if (what[i])
            log->fn(log->arg, &event);
    }
    return rc;
}

static enum rc release_some(struct store *store, const struct store_order *orders, size_t n,
                            uint64_t now_ms, const struct advance_log *log, struct broken *broken)
{
    struct err why = { 0 };
    enum rc rc = n > 0 ? release_group(store, orders, n, now_ms, log, &why) : RC_OK;

    if (rc == RC_OK || n < 2 || advance_ends_round(rc))
        return set_aside(broken, rc, &why);
    rc = RC_OK;
    for (size_t i = 0; rc == RC_OK && i < n && broken->in_a_row < BROKEN_MAX; i++)
        rc = set_aside(broken, release_group(store, &orders[i], 1, now_ms, log, &why), &why);
    return rc;
}

/* Whether the satellite tells another log than the others have seen. */
static bool is_accused(const struct view *view, const enum witness_state *states, const char *id)
{
    const struct view_satellite *sat = view_find(view, id);

    return sat && states[sat - view->satellite] == WITNESS_ACCUSED;
}

static enum rc release_ready(struct store *store, const struct view *view, uint64_t now_ms,
                             const struct advance_log *log, struct broken *broken, struct err *err)
{
    scoped(free_ptr) enum witness_state *states = NULL;
    struct store_order_filter filter = { .state = ORDER_HELD };
    scoped(free_ptr) struct store_order *held = NULL;
    size_t n = 0, ready = 0;
    enum rc rc = store_orders(store, &filter, &held, &n, err);

    if (rc == RC_OK)
        rc = witness_states(store, view, &states, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        bool is = false;

        if (!is_accused(view, states, held[i].satellite))
            rc = store_order_ready(store, held[i].satellite, held[i].generation, &is, err);
        if (is)
            held[ready++] = held[i];
    }
    for (size_t i = 0; rc == RC_OK && i < ready && broken->in_a_row < BROKEN_MAX; i += RELEASE_MAX)
        rc = release_some(store, &held[i], ready - i < RELEASE_MAX ? ready - i : RELEASE_MAX,
                          now_ms, log, broken);
    return rc;
}

enum rc advance_all(struct store *store, const struct view *view, uint64_t now_ms,
                    const struct advance_log *log, struct err *err)
{
    static const enum rollout_state moving[] = { ROLLOUT_AWAITING, ROLLOUT_RUNNING };
    struct witness_alarm alarm = { 0 };
    struct broken broken = { .n = 0 };
    enum rc rc = RC_OK;

    for (size_t s = 0; rc == RC_OK && s < sizeof moving / sizeof moving[0]; s++) {
        scoped(free_ptr) struct store_rollout *rows = NULL;
        size_t n = 0;

        rc = store_rollouts(store, moving[s], &rows, &n, err);
        for (size_t i = 0; rc == RC_OK && i < n; i++) {
            struct err why = { 0 };

            rc = set_aside(&broken, advance_one(store, view, rows[i].id, now_ms, log, &why), &why);
        }
    }
    /* What is held in a store that was rolled back may have been withdrawn since. */
    if (rc == RC_OK)
        rc = witness_fleet(store, view, &alarm, err);
    broken.in_a_row = 0; /* of orders */
    if (rc == RC_OK && alarm.satellites == 0)
        rc = release_ready(store, view, now_ms, log, &broken, err);
    if (broken.n > 0 && (rc == RC_OK || rc == broken.last.rc)) {
        *err = broken.last;
        rc = broken.last.rc;
    }
    return rc;
}
