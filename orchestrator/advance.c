/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/advance.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "link/port.h"
#include "orchestrator/approvals.h"
#include "orchestrator/deliver.h"
#include "orchestrator/witness.h"

/* Rollouts that one abort can end: those of one apply, each with another payload or version. */
#define ABORTS_MAX 512U
/* Enough to start, for every wave to settle, pass and open, and the end; more is a bug. */
#define STEPS_MAX (4U * ROLLOUT_WAVES_MAX + 6U)

static enum rc add_task(struct rollout *r, const struct store_wave *row, struct err *err)
{
    if (row->index == 0 || row->index > ROLLOUT_WAVES_MAX || r->n_tasks == ROLLOUT_TASKS_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "rollout %llu: wave %u of %s",
                       (unsigned long long)row->rollout, row->index, row->satellite);
    struct rollout_task *task = &r->task[r->n_tasks++];

    (void)snprintf(task->satellite, sizeof task->satellite, "%s", row->satellite);
    task->wave = row->index - 1;
    task->excused = row->excused != 0;
    r->wave[task->wave] =
        (struct rollout_wave){ .state = row->state, .healthy_ms = row->healthy_ms };
    if (row->index > r->n_waves)
        r->n_waves = row->index;
    return RC_OK;
}

enum rc advance_read(struct store *store, uint64_t id, struct store_rollout *ret_row,
                     struct rollout *ret, uint64_t *ret_generation, struct err *err)
{
    scoped(free_ptr) struct store_wave *waves = NULL;
    struct store_rollout row;
    size_t n = 0;
    enum rc rc = store_rollout(store, id, &row, err);

    if (rc == RC_OK)
        rc = store_waves(store, id, &waves, &n, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct rollout){ .state = row.state,
                             .fail_max = row.fail_max,
                             .fail_pct = row.fail_pct,
                             .fail_min = row.fail_min,
                             .success_pct = row.success_pct,
                             .silent_passes = row.silent_passes,
                             .silent_ms = row.silent_ms,
                             .silent_skip = row.silent_skip != 0,
                             .deadline_ms = row.deadline_ms,
                             .soak_ms = row.soak_ms,
                             .approved = row.approve == 0 };
    (void)snprintf(ret->reason, sizeof ret->reason, "%.*s", (int)sizeof ret->reason - 1,
                   row.reason);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        rc = add_task(ret, &waves[i], err);
        if (rc == RC_OK && ret_generation)
            ret_generation[i] = waves[i].generation;
    }
    if (rc == RC_OK)
        rc = rollout_check(ret, err);
    if (rc == RC_OK)
        *ret_row = row;
    return rc;
}

/* Write back what rollout functions may have changed. */
static enum rc write_back(struct store *store, struct store_rollout *row, const struct rollout *r,
                          const struct rollout *before, uint64_t now_ms, struct err *err)
{
    enum rc rc = RC_OK;

    row->state = r->state;
    row->wave = rollout_wave_now(r);
    row->changed_ms = now_ms;
    row->deadline_ms = r->deadline_ms;
    (void)snprintf(row->reason, sizeof row->reason, "%s", r->reason);
    for (uint32_t i = 0; rc == RC_OK && i < r->n_waves; i++)
        if (r->wave[i].state != before->wave[i].state ||
            r->wave[i].healthy_ms != before->wave[i].healthy_ms)
            rc = store_set_wave_state(store, row->id, i + 1, r->wave[i].state,
                                      r->wave[i].healthy_ms, err);
    return rc == RC_OK ? store_update_rollout(store, row, err) : rc;
}

/* ---- rollouts ---------------------------------------------------------------------------------
 */

/* Whether everybody has approved, by what was signed. */
static enum rc ask_approvals(struct store *store, const struct store_rollout *row, uint64_t now_ms,
                             struct rollout *r, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    struct approvals a;
    enum rc rc = RC_OK;

    if (row->approve == 0)
        return RC_OK;
    rc = approvals_trust(store, now_ms, &trust, err);
    if (rc == RC_OK)
        rc = approvals_of(store, trust, row, &a, err);
    if (rc == RC_OK)
        r->approved = approvals_complete(&a);
    return rc;
}

/* How long nothing was heard, by passes and by the clock. */
static void look_for_silence(const struct view_satellite *sat, const struct store_rollout *row,
                             uint64_t now_ms, struct rollout_seen *ret)
{
    uint64_t last = sat->received_ms > row->created_ms ? sat->received_ms : row->created_ms;

    ret->predicted = sat->predicted;
    ret->missed = view_missed(sat, last);
    ret->age_ms = now_ms > last ? now_ms - last : 0;
}

static void look(const struct view *view, const struct store_rollout *row, const struct rollout *r,
                 const uint64_t *generation, uint64_t now_ms, struct rollout_seen *ret)
{
    struct verdict_change change = { 0 };

    (void)snprintf(change.tenant, sizeof change.tenant, "%s", row->tenant);
    (void)snprintf(change.name, sizeof change.name, "%s", row->name);
    for (uint32_t i = 0; i < r->n_tasks; i++) {
        const struct view_satellite *sat = view_find(view, r->task[i].satellite);

        ret[i] = (struct rollout_seen){ .outcome = OUTCOME_WAITING };
        /* Another order than this rollout's: not released yet, or replaced since. */
        if (sat && sat->order.generation == generation[i])
            ret[i] = verdict_outcome(&sat->order, &change, 1, sat->seen);
        if (sat)
            look_for_silence(sat, row, now_ms, &ret[i]);
    }
}

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

/* One rollout, from the state that the transaction sees, as far as it goes. */
static enum rc advance_one(struct store *store, const struct view *view, uint64_t id,
                           uint64_t now_ms, const struct advance_log *log, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct rollout *r = calloc(2, sizeof *r);
    struct rollout_seen seen[ROLLOUT_TASKS_MAX];
    struct rollout_action done[STEPS_MAX];
    uint64_t generation[ROLLOUT_TASKS_MAX] = { 0 };
    struct store_rollout row;
    uint32_t n = 0;

    if (!r)
        return err_set(err, RC_NO_MEMORY, "rollout");
    enum rc rc = advance_read(store, id, &row, r, generation, err);

    if (rc == RC_OK)
        rc = ask_approvals(store, &row, now_ms, r, err);
    if (rc != RC_OK)
        return rc;
    look(view, &row, r, generation, now_ms, seen);
    if (rollout_next(r, seen, now_ms).verb == ROLLOUT_DO_NOTHING)
        return RC_OK;

    rc = store_begin(store, &open, err);
    if (rc == RC_OK) /* again: a person may have paused it since */
        rc = advance_read(store, id, &row, r, generation, err);
    if (rc == RC_OK)
        rc = ask_approvals(store, &row, now_ms, r, err);
    if (rc != RC_OK)
        return rc;
    r[1] = r[0];
    for (; n < STEPS_MAX; n++) {
        done[n] = rollout_next(r, seen, now_ms);
        if (done[n].verb == ROLLOUT_DO_NOTHING)
            break;
        rollout_took(r, &done[n], now_ms);
        rc = audit_action(store, id, &done[n], now_ms, err);
        if (rc != RC_OK)
            return rc;
    }
    assert(n < STEPS_MAX);
    rc = write_back(store, &row, r, r + 1, now_ms, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        tell(log, id, &done[i]);
    return rc;
}

/* ---- orders -----------------------------------------------------------------------------------
 */

/* An object need not arrive any more. */
static enum rc withdraw(struct store *store, const char *satellite, const struct digest *object,
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
            rc = withdraw(store, rows[i].satellite, &rows[i].object, err);
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
    bool staged = false;
    enum rc rc = queue_token(store, order, now_ms, &staged, ret_expired, err);

    if (rc != RC_OK)
        return rc;
    if (*ret_expired)
        return pause_expired(store, order, now_ms, err);
    rc = supersede(store, order, now_ms, err);
    if (rc == RC_OK)
        rc = store_set_order_state(store, order->satellite, order->generation, ORDER_RELEASED,
                                   now_ms, err);
    return rc == RC_OK && !staged ? queue_order(store, order, now_ms, err) : rc;
}

static enum rc release_one(struct store *store, const struct store_order *order, uint64_t now_ms,
                           const struct advance_log *log, struct err *err)
{
    scoped(approved_free) struct approved *approved = NULL;
    scoped(store_rollback) struct store *open = NULL;
    struct advance_event event = { .what = "order-released",
                                   .detail = order->satellite,
                                   .number = order->generation };
    bool ready = false;
    enum rc rc = store_order_ready(store, order->satellite, order->generation, &ready, err);

    if (rc != RC_OK || !ready)
        return rc;
    rc = store_begin(store, &open, err);
    if (rc == RC_OK) /* again: a person may have paused a rollout since */
        rc = store_order_ready(store, order->satellite, order->generation, &ready, err);
    if (rc != RC_OK || !ready)
        return rc;
    bool expired = false;

    rc = approvals_order(store, order->satellite, order->generation, now_ms, &approved, err);
    if (rc == RC_APPROVAL_MISSING) /* the next round stops the rollout */
        return RC_OK;
    if (rc == RC_OK)
        rc = let_go(store, approved, order, now_ms, &expired, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc == RC_OK && expired)
        event.what = "token-expired";
    if (rc == RC_OK)
        log->fn(log->arg, &event);
    return rc;
}

/* Whether the satellite tells another log than the others have seen. */
static bool is_accused(const struct view *view, const enum witness_state *states, const char *id)
{
    const struct view_satellite *sat = view_find(view, id);

    return sat && states[sat - view->satellite] == WITNESS_ACCUSED;
}

static enum rc release_ready(struct store *store, const struct view *view, uint64_t now_ms,
                             const struct advance_log *log, struct err *err)
{
    scoped(free_ptr) enum witness_state *states = NULL;
    struct store_order_filter filter = { .state = ORDER_HELD };
    scoped(free_ptr) struct store_order *held = NULL;
    size_t n = 0;
    enum rc rc = store_orders(store, &filter, &held, &n, err);

    if (rc == RC_OK)
        rc = witness_states(store, view, &states, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (!is_accused(view, states, held[i].satellite))
            rc = release_one(store, &held[i], now_ms, log, err);
    return rc;
}

enum rc advance_all(struct store *store, const struct view *view, uint64_t now_ms,
                    const struct advance_log *log, struct err *err)
{
    static const enum rollout_state moving[] = { ROLLOUT_AWAITING, ROLLOUT_RUNNING };
    struct witness_alarm alarm = { 0 };
    enum rc rc = RC_OK;

    for (size_t s = 0; rc == RC_OK && s < sizeof moving / sizeof moving[0]; s++) {
        scoped(free_ptr) struct store_rollout *rows = NULL;
        size_t n = 0;

        rc = store_rollouts(store, moving[s], &rows, &n, err);
        for (size_t i = 0; rc == RC_OK && i < n; i++)
            rc = advance_one(store, view, rows[i].id, now_ms, log, err);
    }
    /* What is held in a store that was rolled back may have been withdrawn since. */
    if (rc == RC_OK)
        rc = witness_fleet(store, view, &alarm, err);
    return rc == RC_OK && alarm.satellites == 0 ? release_ready(store, view, now_ms, log, err) : rc;
}

/* ---- what people ask for ----------------------------------------------------------------------
 */

static enum rc cancel_orders(struct store *store, const struct store_rollout *row, uint64_t now_ms,
                             struct err *err)
{
    scoped(free_ptr) struct store_wave *waves = NULL;
    size_t n = 0;
    enum rc rc = store_waves(store, row->id, &waves, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct store_order_filter filter = { .satellite = waves[i].satellite, .state = ORDER_HELD };
        scoped(free_ptr) struct store_order *held = NULL;
        size_t n_held = 0;

        rc = store_orders(store, &filter, &held, &n_held, err);
        for (size_t k = 0; rc == RC_OK && k < n_held; k++) {
            if (held[k].generation != waves[i].generation)
                continue;
            rc = store_set_order_state(store, held[k].satellite, held[k].generation,
                                       ORDER_CANCELLED, now_ms, err);
            if (rc == RC_OK) /* a staged one may be on its way */
                rc = withdraw(store, held[k].satellite, &held[k].object, err);
        }
        if (rc == RC_OK && waves[i].state == WAVE_WAITING)
            rc = deliver_withdraw(store, waves[i].satellite, &row->to_manifest, err);
    }
    return rc;
}

static enum rc enter_one(struct store *store, uint64_t id, enum rollout_event event,
                         const char *reason, uint64_t now_ms, struct err *err)
{
    static const char *const actions[ROLLOUT_EVENTS] = {
        [ROLLOUT_EV_PAUSE] = "rollout-pause", [ROLLOUT_EV_RESUME] = "rollout-resume",
        [ROLLOUT_EV_ABORT] = "rollout-abort", [ROLLOUT_EV_COMPLETE] = "rollout-complete",
        [ROLLOUT_EV_AWAIT] = "rollout-await", [ROLLOUT_EV_START] = "rollout-start",
    };
    scoped(free_ptr) struct rollout *r = calloc(2, sizeof *r);
    struct store_rollout row;

    if (!r)
        return err_set(err, RC_NO_MEMORY, "rollout");
    enum rc rc = advance_read(store, id, &row, r, NULL, err);

    if (rc != RC_OK)
        return rc;
    r[1] = r[0];
    rc = rollout_enter(r, event, reason, err);
    if (rc == RC_OK)
        rc = write_back(store, &row, r, r + 1, now_ms, err);
    if (rc == RC_OK && event == ROLLOUT_EV_ABORT)
        rc = cancel_orders(store, &row, now_ms, err);
    return rc == RC_OK ? store_audit(store, NULL, actions[event], now_ms, err, "rollout %llu: %s",
                                     (unsigned long long)id, reason ? reason : "")
                       : rc;
}

enum rc advance_enter(struct store *store, uint64_t id, enum rollout_event event,
                      const char *reason, uint64_t now_ms, struct err *err)
{
    uint64_t aborted[ABORTS_MAX] = { id };
    uint32_t n = 1;
    char why[ROLLOUT_REASON_CAP];
    enum rc rc = enter_one(store, id, event, reason, now_ms, err);

    (void)snprintf(why, sizeof why, "shares orders with rollout %llu, which was aborted",
                   (unsigned long long)id);
    for (uint32_t i = 0; rc == RC_OK && event == ROLLOUT_EV_ABORT && i < n; i++) {
        uint64_t shared = 0;

        rc = store_rollout_shared(store, aborted[i], &shared, err);
        if (rc != RC_OK || shared == 0)
            continue;
        if (n == ABORTS_MAX)
            return err_set(err, RC_ROLLOUT_STATE, "too many rollouts share orders");
        rc = enter_one(store, shared, ROLLOUT_EV_ABORT, why, now_ms, err);
        aborted[n++] = shared;
        i--; /* it may share with more than one */
    }
    return rc;
}

enum rc advance_promote(struct store *store, uint64_t id, uint32_t wave, uint64_t now_ms,
                        struct err *err)
{
    scoped(view_free) struct view *view = NULL;
    scoped(free_ptr) struct rollout *r = calloc(2, sizeof *r);
    struct rollout_seen seen[ROLLOUT_TASKS_MAX];
    uint64_t generation[ROLLOUT_TASKS_MAX] = { 0 };
    struct store_rollout row;

    if (!r)
        return err_set(err, RC_NO_MEMORY, "rollout");
    enum rc rc = advance_read(store, id, &row, r, generation, err);

    if (rc == RC_OK)
        rc = view_load(store, &view, err);
    if (rc != RC_OK)
        return rc;
    look(view, &row, r, generation, now_ms, seen);
    r[1] = r[0];
    rc = rollout_promote(r, seen, wave, err);
    if (rc == RC_OK)
        rc = write_back(store, &row, r, r + 1, now_ms, err);
    return rc == RC_OK
               ? store_audit(store, NULL, "rollout-promote", now_ms, err, "rollout %llu wave %u",
                             (unsigned long long)id, rollout_wave_now(r))
               : rc;
}
