/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/advance_ask: what people ask for of a rollout.
 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/advance_parts.h"
#include "orchestrator/deliver.h"

/* Rollouts that one abort can end: those of one apply, each with another payload or version. */
#define ABORTS_MAX 512U

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
                rc = advance_withdraw(store, held[k].satellite, &held[k].object, err);
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
    scoped(advance_done) struct advance_rollout rollout = { 0 };
    enum rc rc = advance_read(store, id, &rollout, err);

    if (rc != RC_OK)
        return rc;
    const struct rollout before = rollout.is;

    rc = rollout_enter(&rollout.is, event, reason, err);
    if (rc == RC_OK)
        rc = advance_write(store, &rollout, &before, now_ms, err);
    if (rc == RC_OK && event == ROLLOUT_EV_ABORT)
        rc = cancel_orders(store, &rollout.row, now_ms, err);
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

/* A rollout that something is asked of, and what its satellites were seen to do. */
struct asked {
    struct view *view;
    struct advance_rollout of;
    struct rollout before;     /* of.is, but for what became of tasks */
    struct rollout_seen *seen; /* of.is.n_tasks of them */
};

static void asked_free(struct asked **a)
{
    if (*a) {
        view_free(&(*a)->view);
        advance_done(&(*a)->of);
        free((*a)->seen);
    }
    free(*a);
    *a = NULL;
}

static enum rc asked_read(struct store *store, uint64_t id, uint64_t now_ms, struct asked **ret,
                          struct err *err)
{
    scoped(asked_free) struct asked *a = calloc(1, sizeof *a);
    enum rc rc = a ? advance_read(store, id, &a->of, err) : err_set(err, RC_NO_MEMORY, "rollout");

    if (rc == RC_OK)
        rc = advance_approvals(store, &a->of, now_ms, err);
    if (rc == RC_OK)
        rc = view_load(store, &a->view, err);
    if (rc == RC_OK)
        rc = advance_look(a->view, &a->of, now_ms, &a->seen, err);
    if (rc != RC_OK)
        return rc;
    a->before = a->of.is;
    *ret = a;
    a = NULL;
    return RC_OK;
}

enum rc advance_promote(struct store *store, uint64_t id, uint32_t wave, uint64_t now_ms,
                        struct err *err)
{
    scoped(asked_free) struct asked *a = NULL;
    enum rc rc = asked_read(store, id, now_ms, &a, err);

    if (rc == RC_OK)
        rc = rollout_promote(&a->of.is, a->seen, wave, err);
    if (rc == RC_OK)
        rc = advance_write(store, &a->of, &a->before, now_ms, err);
    return rc == RC_OK
               ? store_audit(store, NULL, "rollout-promote", now_ms, err, "rollout %llu wave %u",
                             (unsigned long long)id, rollout_wave_now(&a->of.is))
               : rc;
}

static enum rc find_task(const struct asked *a, const char *satellite, uint32_t *ret,
                         struct err *err)
{
    for (uint32_t i = 0; i < a->of.is.n_tasks; i++)
        if (strcmp(a->of.is.task[i].satellite, satellite) == 0) {
            *ret = i;
            return RC_OK;
        }
    return err_set(err, RC_NOT_FOUND, "%.40s in rollout %llu", satellite,
                   (unsigned long long)a->of.row.id);
}

/* What is kept of a task from now on. */
static struct store_wave judged(const struct asked *a, uint32_t task)
{
    const struct rollout_task *t = &a->of.is.task[task];
    const struct advance_task *kept = &a->of.task[task];
    struct store_wave row = { .rollout = a->of.row.id,
                              .index = t->wave + 1,
                              .excused = t->excused,
                              .retried_ms = kept->retried_ms,
                              .retried_epoch = kept->retried_epoch,
                              .retried_seq = kept->retried_seq };

    memcpy(row.satellite, t->satellite, sizeof row.satellite);
    return row;
}

/* In words, for the log. */
static const char *stands(const struct asked *a, uint32_t task)
{
    const struct rollout_seen *seen = &a->seen[task];

    if (rollout_silent(&a->of.is, seen))
        return "silent";
    if (seen->outcome == OUTCOME_FAILED)
        return rc_name(rc_from_number(seen->code));
    return seen->outcome == OUTCOME_HEALTHY ? "healthy" : "not yet healthy";
}

enum rc advance_excuse(struct store *store, uint64_t id, const char *satellite, uint64_t now_ms,
                       struct err *err)
{
    scoped(asked_free) struct asked *a = NULL;
    uint32_t task = 0;
    enum rc rc = asked_read(store, id, now_ms, &a, err);

    if (rc == RC_OK)
        rc = find_task(a, satellite, &task, err);
    if (rc == RC_OK && a->of.is.task[task].excused)
        return RC_OK;
    if (rc == RC_OK)
        rc = rollout_excuse(&a->of.is, task, &a->seen[task], err);
    if (rc != RC_OK)
        return rc;
    const struct store_wave row = judged(a, task);

    rc = store_judge_wave(store, &row, err);
    return rc == RC_OK ? store_audit(store, NULL, "rollout-force", now_ms, err,
                                     "rollout %llu without %s: %s", (unsigned long long)id,
                                     satellite, stands(a, task))
                       : rc;
}

/* What was let go and is not shown to have arrived goes up from the beginning. */
static enum rc send_again(struct store *store, const struct asked *a, uint32_t task,
                          uint64_t now_ms, struct err *err)
{
    struct store_order_filter filter = { .satellite = a->of.is.task[task].satellite,
                                         .state = ORDER_RELEASED };
    scoped(free_ptr) struct store_order *rows = NULL;
    bool expired = false;
    size_t n = 0;
    enum rc rc = store_orders(store, &filter, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (rows[i].generation == a->of.task[task].generation)
            rc = advance_queue(store, &rows[i], now_ms, &expired, err);
    if (rc == RC_OK && expired)
        rc = err_set(err, RC_EXPIRED, "token of %s: berth rollout retoken %llu", filter.satellite,
                     (unsigned long long)a->of.row.id);
    return rc;
}

static enum rc again_one(struct store *store, struct asked *a, uint32_t task, uint64_t now_ms,
                         struct err *err)
{
    const char *satellite = a->of.is.task[task].satellite;
    const struct view_satellite *sat = view_find(a->view, satellite);
    const struct sight *seen = sat ? sat->seen : NULL;
    enum rc rc = rollout_again(&a->of.is, task, &a->seen[task], err);

    if (rc != RC_OK)
        return rc;
    a->of.task[task].retried_ms = now_ms;
    a->of.task[task].retried_epoch = seen ? seen->epoch : 0;
    a->of.task[task].retried_seq = seen ? seen->seq : 0;
    const struct store_wave row = judged(a, task);

    rc = store_judge_wave(store, &row, err);
    if (rc == RC_OK)
        rc = store_forget_approvals(store, a->of.row.id, satellite, err);
    if (rc == RC_OK)
        rc = send_again(store, a, task, now_ms, err);
    return rc == RC_OK
               ? store_audit(store, NULL, "rollout-retry", now_ms, err, "rollout %llu: %s, %s",
                             (unsigned long long)a->of.row.id, satellite, stands(a, task))
               : rc;
}

static enum rc again_all(struct store *store, struct asked *a, uint64_t now_ms, struct err *err)
{
    enum rc rc = RC_OK;
    uint32_t n = 0;

    for (uint32_t i = 0; rc == RC_OK && i < a->of.is.n_tasks; i++) {
        const struct rollout_task *t = &a->of.is.task[i];
        const bool wanting = t->excused || a->seen[i].outcome == OUTCOME_FAILED ||
                             rollout_silent(&a->of.is, &a->seen[i]);

        if (a->of.is.wave[t->wave].state == WAVE_WAITING || !wanting)
            continue;
        rc = again_one(store, a, i, now_ms, err);
        n++;
    }
    if (rc == RC_OK && n == 0)
        rc = err_set(err, RC_ROLLOUT_STATE, "none failed, is silent or is gone without");
    return rc;
}

enum rc advance_again(struct store *store, uint64_t id, const char *satellite, uint64_t now_ms,
                      struct err *err)
{
    scoped(asked_free) struct asked *a = NULL;
    uint32_t task = 0;
    enum rc rc = asked_read(store, id, now_ms, &a, err);

    if (rc != RC_OK)
        return rc;
    if (!satellite)
        return again_all(store, a, now_ms, err);
    rc = find_task(a, satellite, &task, err);
    return rc == RC_OK ? again_one(store, a, task, now_ms, err) : rc;
}
