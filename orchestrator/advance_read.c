/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/advance_read: a rollout as the store has it, what people signed about it, and what
 * its satellites were seen to do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/advance_parts.h"
#include "orchestrator/approvals.h"

void advance_done(struct advance_rollout *rollout)
{
    free(rollout->is.task);
    free(rollout->task);
    *rollout = (struct advance_rollout){ 0 };
}

static enum rc add_task(struct advance_rollout *to, const struct store_wave *row, struct err *err)
{
    struct rollout *r = &to->is;

    if (row->index == 0 || row->index > ROLLOUT_WAVES_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "rollout %llu: wave %u of %s",
                       (unsigned long long)row->rollout, row->index, row->satellite);
    struct rollout_task *task = &r->task[r->n_tasks];

    to->task[r->n_tasks++] = (struct advance_task){ .generation = row->generation,
                                                    .retried_ms = row->retried_ms,
                                                    .retried_epoch = row->retried_epoch,
                                                    .retried_seq = row->retried_seq };
    memcpy(task->satellite, row->satellite, sizeof task->satellite);
    task->wave = row->index - 1;
    task->excused = row->excused != 0;
    task->period_ms = row->period_ms;
    r->wave[task->wave] =
        (struct rollout_wave){ .state = row->state, .healthy_ms = row->healthy_ms };
    if (row->index > r->n_waves)
        r->n_waves = row->index;
    return RC_OK;
}

static void take_policy(struct advance_rollout *to, const struct store_rollout *row)
{
    to->row = *row;
    to->is = (struct rollout){ .state = row->state,
                               .fail_max = row->fail_max,
                               .fail_pct = row->fail_pct,
                               .fail_min = row->fail_min,
                               .success_pct = row->success_pct,
                               .silent_passes = row->silent_passes,
                               .silent_ms = row->silent_ms,
                               .silent_skip = row->silent_skip != 0,
                               .deadline_ms = row->deadline_ms,
                               .soak_ms = row->soak_ms,
                               .soak_orbits = row->soak_orbits,
                               .approved = row->approve == 0 };
    (void)snprintf(to->is.reason, sizeof to->is.reason, "%.*s", (int)sizeof to->is.reason - 1,
                   row->reason);
}

enum rc advance_read(struct store *store, uint64_t id, struct advance_rollout *ret, struct err *err)
{
    scoped(advance_done) struct advance_rollout got = { 0 };
    scoped(free_ptr) struct store_wave *waves = NULL;
    struct store_rollout row;
    size_t n = 0;
    enum rc rc = store_rollout(store, id, &row, err);

    if (rc == RC_OK)
        rc = store_waves(store, id, &waves, &n, err);
    if (rc != RC_OK)
        return rc;
    take_policy(&got, &row);
    if (n > ROLLOUT_TASKS_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "rollout %llu: %zu satellites",
                       (unsigned long long)id, n);
    got.is.task = calloc(n + 1, sizeof *got.is.task);
    got.task = calloc(n + 1, sizeof *got.task);
    if (!got.is.task || !got.task)
        return err_set(err, RC_NO_MEMORY, "rollout");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = add_task(&got, &waves[i], err);
    if (rc == RC_OK)
        rc = rollout_check(&got.is, err);
    if (rc != RC_OK)
        return rc;
    *ret = got;
    got = (struct advance_rollout){ 0 };
    return RC_OK;
}

enum rc advance_write(struct store *store, struct advance_rollout *rollout,
                      const struct rollout *before, uint64_t now_ms, struct err *err)
{
    struct store_rollout *row = &rollout->row;
    const struct rollout *r = &rollout->is;
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

/* Of a policy that names approvals nobody is gone without on the word of a row. */
static enum rc ask_excused(struct store *store, const struct trust *trust,
                           const struct store_rollout *row, struct rollout *r, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < r->n_tasks; i++) {
        const struct approvals_about about = { .row = row, .satellite = r->task[i].satellite };
        struct approvals a;

        if (!r->task[i].excused)
            continue;
        rc = approvals_of(store, trust, &about, &a, err);
        r->task[i].excused = rc == RC_OK && approvals_complete(&a);
    }
    return rc;
}

enum rc advance_approvals(struct store *store, struct advance_rollout *rollout, uint64_t now_ms,
                          struct err *err)
{
    const struct store_rollout *row = &rollout->row;
    scoped(trust_free) struct trust *trust = NULL;
    struct approvals a;
    enum rc rc = RC_OK;

    if (row->approve == 0)
        return RC_OK;
    rc = approvals_trust(store, now_ms, &trust, err);
    if (rc == RC_OK)
        rc = approvals_of(store, trust, &(struct approvals_about){ .row = row }, &a, err);
    if (rc == RC_OK)
        rollout->is.approved = approvals_complete(&a);
    return rc == RC_OK ? ask_excused(store, trust, row, &rollout->is, err) : rc;
}

/* How long nothing was heard, by passes and by the clock. */
static void look_for_silence(const struct view_satellite *sat, uint64_t since_ms, uint64_t now_ms,
                             struct rollout_seen *ret)
{
    uint64_t last = sat->received_ms > since_ms ? sat->received_ms : since_ms;

    ret->predicted = sat->predicted;
    ret->missed = view_missed(sat, last);
    ret->age_ms = now_ms > last ? now_ms - last : 0;
}

/* Whether the report is from before a person asked for another try. */
static bool is_before(const struct sight *seen, const struct advance_task *task)
{
    return task->retried_ms != 0 &&
           (seen->epoch < task->retried_epoch ||
            (seen->epoch == task->retried_epoch && seen->seq <= task->retried_seq));
}

static void look_at(const struct view_satellite *sat, const struct advance_task *task,
                    const struct verdict_change *change, struct rollout_seen *ret)
{
    /* Another order than this rollout's: not released yet, or replaced since. */
    if (sat->order.generation != task->generation)
        return;
    const struct rollout_seen seen = verdict_outcome(&sat->order, change, 1, sat->seen);

    if (seen.outcome != OUTCOME_FAILED || !is_before(sat->seen, task))
        *ret = seen;
}

enum rc advance_look(const struct view *view, const struct advance_rollout *rollout,
                     uint64_t now_ms, struct rollout_seen **ret, struct err *err)
{
    const struct store_rollout *row = &rollout->row;
    const struct rollout *r = &rollout->is;
    struct rollout_seen *seen = calloc(r->n_tasks + 1U, sizeof *seen);
    struct verdict_change change = { 0 };

    if (!seen)
        return err_set(err, RC_NO_MEMORY, "rollout");
    (void)snprintf(change.tenant, sizeof change.tenant, "%s", row->tenant);
    (void)snprintf(change.name, sizeof change.name, "%s", row->name);
    for (uint32_t i = 0; i < r->n_tasks; i++) {
        const struct view_satellite *sat = view_find(view, r->task[i].satellite);
        const struct advance_task *task = &rollout->task[i];
        const uint64_t since =
            task->retried_ms > row->created_ms ? task->retried_ms : row->created_ms;

        seen[i] = (struct rollout_seen){ .outcome = OUTCOME_WAITING };
        if (!sat)
            continue;
        look_at(sat, task, &change, &seen[i]);
        look_for_silence(sat, since, now_ms, &seen[i]);
    }
    free(*ret);
    *ret = seen;
    return RC_OK;
}
