/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/rollout.h"

#include <assert.h>
#include <stdio.h>

/* A move of the table; absent cells are refused. */
struct move {
    bool allowed;
    enum rollout_state to;
};

/* clang-format off */
#define TO(state) { .allowed = true, .to = (state) }
static const struct move moves[ROLLOUT_STATES][ROLLOUT_EVENTS] = {
    [ROLLOUT_RUNNING] = {
        [ROLLOUT_EV_PAUSE]    = TO(ROLLOUT_PAUSED),
        [ROLLOUT_EV_ABORT]    = TO(ROLLOUT_ABORTED),
        [ROLLOUT_EV_COMPLETE] = TO(ROLLOUT_COMPLETED),
        [ROLLOUT_EV_AWAIT]    = TO(ROLLOUT_AWAITING),
    },
    [ROLLOUT_AWAITING] = {
        [ROLLOUT_EV_PAUSE]    = TO(ROLLOUT_PAUSED),
        [ROLLOUT_EV_ABORT]    = TO(ROLLOUT_ABORTED),
        [ROLLOUT_EV_START]    = TO(ROLLOUT_RUNNING),
    },
    [ROLLOUT_PAUSED] = {
        [ROLLOUT_EV_RESUME]   = TO(ROLLOUT_RUNNING),
        [ROLLOUT_EV_ABORT]    = TO(ROLLOUT_ABORTED),
    },
};
/* clang-format on */
static_assert(ROLLOUT_RUNNING != 0, "an all-zero rollout opens nothing");

const char *rollout_state_name(enum rollout_state state)
{
    static const char *const names[ROLLOUT_STATES] = {
        [ROLLOUT_PAUSED] = "paused",
        [ROLLOUT_RUNNING] = "running",
        [ROLLOUT_COMPLETED] = "completed",
        [ROLLOUT_ABORTED] = "aborted",
        [ROLLOUT_AWAITING] = "awaiting-approval",
    };

    return (unsigned)state < ROLLOUT_STATES && names[state] ? names[state] : "?";
}

const char *wave_state_name(enum wave_state state)
{
    static const char *const names[WAVE_STATES] = {
        [WAVE_WAITING] = "waiting",
        [WAVE_ACTIVE] = "active",
        [WAVE_DONE] = "done",
        [WAVE_FAILED] = "failed",
    };

    return (unsigned)state < WAVE_STATES && names[state] ? names[state] : "?";
}

static enum rc check_waves(const struct rollout *r, struct err *err)
{
    uint32_t members[ROLLOUT_WAVES_MAX] = { 0 };

    for (uint32_t i = 0; i < r->n_tasks; i++) {
        if (r->task[i].wave >= r->n_waves)
            return err_set(err, RC_ROLLOUT_STATE, "%s is in no wave", r->task[i].satellite);
        members[r->task[i].wave]++;
    }
    for (uint32_t i = 0; i < r->n_waves; i++) {
        if (members[i] == 0)
            return err_set(err, RC_ROLLOUT_STATE, "wave %u is empty", i + 1);
        if (r->wave[i].state == 0 || (unsigned)r->wave[i].state >= WAVE_STATES)
            return err_set(err, RC_ROLLOUT_STATE, "wave %u has no state", i + 1);
        if (i > 0 && r->wave[i].state != WAVE_WAITING && r->wave[i - 1].state == WAVE_WAITING)
            return err_set(err, RC_ROLLOUT_STATE, "wave %u is open too early", i + 1);
    }
    return RC_OK;
}

enum rc rollout_check(const struct rollout *r, struct err *err)
{
    if (r->state == 0 || (unsigned)r->state >= ROLLOUT_STATES)
        return err_set(err, RC_ROLLOUT_STATE, "state");
    if (r->fail_max == 0)
        return err_set(err, RC_ROLLOUT_STATE, "the number of failures to pause at is 0");
    if (r->n_waves == 0 || r->n_waves > ROLLOUT_WAVES_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "number of waves");
    if (r->n_tasks == 0 || r->n_tasks > ROLLOUT_TASKS_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "number of satellites");
    return check_waves(r, err);
}

uint32_t rollout_wave_now(const struct rollout *r)
{
    uint32_t now = 0;

    while (now < r->n_waves && r->wave[now].state != WAVE_WAITING)
        now++;
    return now;
}

/* The satellites whose orders were released, and those of the newest wave alone. */
struct tally {
    uint32_t released, healthy, failed;
    uint32_t wave, wave_healthy, wave_failed;
    const struct rollout_seen *first_failed; /* NULL = none */
    const char *first_satellite;
};

static void count_one(struct tally *t, const struct rollout_task *task,
                      const struct rollout_seen *seen, bool newest)
{
    bool healthy = seen->outcome == OUTCOME_HEALTHY;
    bool failed = seen->outcome == OUTCOME_FAILED;

    t->released++;
    t->healthy += healthy;
    t->failed += failed;
    t->wave += newest;
    t->wave_healthy += newest && healthy;
    t->wave_failed += newest && failed;
    if (failed && !t->first_failed) {
        t->first_failed = seen;
        t->first_satellite = task->satellite;
    }
}

static struct tally count(const struct rollout *r, const struct rollout_seen *seen, uint32_t open)
{
    struct tally t = { 0 };

    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave < open)
            count_one(&t, &r->task[i], &seen[i], r->task[i].wave + 1 == open);
    return t;
}

static struct rollout_action pause_for(const struct tally *t, uint32_t wave)
{
    struct rollout_action action = { .verb = ROLLOUT_DO_PAUSE, .wave = wave };
    const struct rollout_seen *seen = t->first_failed;

    assert(seen);
    if (t->failed == 1)
        (void)snprintf(action.reason, sizeof action.reason, "%s: %s %s", t->first_satellite,
                       seen->what, rc_name(rc_from_number(seen->code)));
    else
        (void)snprintf(action.reason, sizeof action.reason, "%u satellites failed, first %s: %s",
                       t->failed, t->first_satellite, rc_name(rc_from_number(seen->code)));
    return action;
}

/* The newest open wave is healthy as a whole: soak, pass, then the next one or the end. */
static struct rollout_action forward(const struct rollout *r, uint32_t wave, uint64_t now_ms)
{
    const struct rollout_wave *w = &r->wave[wave];
    struct rollout_action action = { .verb = ROLLOUT_DO_NOTHING, .wave = wave };

    if (w->state == WAVE_ACTIVE) {
        if (w->healthy_ms == 0 || w->healthy_ms > now_ms)
            action.verb = ROLLOUT_DO_SETTLE;
        else if (now_ms - w->healthy_ms >= r->soak_ms)
            action.verb = ROLLOUT_DO_PASS;
        return action;
    }
    action.verb = wave + 1 == r->n_waves ? ROLLOUT_DO_COMPLETE : ROLLOUT_DO_RELEASE;
    action.wave = wave + 1;
    return action;
}

struct rollout_action rollout_next(const struct rollout *r, const struct rollout_seen *seen,
                                   uint64_t now_ms)
{
    struct rollout_action action = { .verb = ROLLOUT_DO_NOTHING };
    uint32_t open = rollout_wave_now(r);

    if (r->state == ROLLOUT_AWAITING && r->approved)
        action.verb = ROLLOUT_DO_START;
    if (r->state == ROLLOUT_RUNNING && !r->approved)
        action.verb = ROLLOUT_DO_AWAIT;
    if (r->state != ROLLOUT_RUNNING || !r->approved)
        return action;
    if (open == 0) {
        action.verb = ROLLOUT_DO_RELEASE;
        return action;
    }

    struct tally t = count(r, seen, open);
    /* Below the limit a failure does not pause at once; but once every satellite of the wave has
     * decided, nothing more can happen by itself. */
    bool decided = t.wave_healthy + t.wave_failed == t.wave;
    if (t.failed >= r->fail_max || (t.failed > 0 && decided))
        return pause_for(&t, open - 1);
    if (t.healthy == t.released)
        return forward(r, open - 1, now_ms);
    if (r->wave[open - 1].state == WAVE_ACTIVE && r->wave[open - 1].healthy_ms != 0) {
        action.verb = ROLLOUT_DO_UNSETTLE;
        action.wave = open - 1;
    }
    return action;
}

enum rc rollout_enter(struct rollout *r, enum rollout_event event, const char *reason,
                      struct err *err)
{
    assert((unsigned)r->state < ROLLOUT_STATES && (unsigned)event < ROLLOUT_EVENTS);
    const struct move *move = &moves[r->state][event];

    if (!move->allowed)
        return err_set(err, RC_ROLLOUT_STATE, "the rollout is %s", rollout_state_name(r->state));
    r->state = move->to;
    for (uint32_t i = 0; event == ROLLOUT_EV_RESUME && i < r->n_waves; i++)
        if (r->wave[i].state == WAVE_FAILED)
            r->wave[i].state = WAVE_ACTIVE;
    (void)snprintf(r->reason, sizeof r->reason, "%s", reason ? reason : "");
    return RC_OK;
}

enum rc rollout_promote(struct rollout *r, const struct rollout_seen *seen, uint32_t wave,
                        struct err *err)
{
    uint32_t open = rollout_wave_now(r);

    if (r->state != ROLLOUT_RUNNING)
        return err_set(err, RC_ROLLOUT_STATE, "the rollout is %s", rollout_state_name(r->state));
    if (open == 0)
        return err_set(err, RC_ROLLOUT_STATE, "no wave is open yet");
    if (wave != 0 && wave != open)
        return err_set(err, RC_ROLLOUT_STATE, "the newest open wave is %u, not %u", open, wave);
    if (r->wave[open - 1].state != WAVE_ACTIVE)
        return err_set(err, RC_ROLLOUT_STATE, "wave %u is %s already", open,
                       wave_state_name(r->wave[open - 1].state));
    struct tally t = count(r, seen, open);

    if (t.healthy != t.released)
        return err_set(err, RC_ROLLOUT_STATE,
                       "%u of the %u satellites that got their order are healthy, %u have failed",
                       t.healthy, t.released, t.failed);
    r->wave[open - 1].state = WAVE_DONE;
    return RC_OK;
}

void rollout_took(struct rollout *r, const struct rollout_action *action, uint64_t now_ms)
{
    enum rc rc = RC_OK;

    switch (action->verb) {
    case ROLLOUT_DO_NOTHING:
        break;
    case ROLLOUT_DO_SETTLE:
        r->wave[action->wave].healthy_ms = now_ms;
        break;
    case ROLLOUT_DO_UNSETTLE:
        r->wave[action->wave].healthy_ms = 0;
        break;
    case ROLLOUT_DO_PASS:
        r->wave[action->wave].state = WAVE_DONE;
        break;
    case ROLLOUT_DO_RELEASE:
        r->wave[action->wave].state = WAVE_ACTIVE;
        break;
    case ROLLOUT_DO_PAUSE:
        r->wave[action->wave].state = WAVE_FAILED;
        rc = rollout_enter(r, ROLLOUT_EV_PAUSE, action->reason, NULL);
        break;
    case ROLLOUT_DO_COMPLETE:
        rc = rollout_enter(r, ROLLOUT_EV_COMPLETE, NULL, NULL);
        break;
    case ROLLOUT_DO_AWAIT:
        rc = rollout_enter(r, ROLLOUT_EV_AWAIT, NULL, NULL);
        break;
    case ROLLOUT_DO_START:
        rc = rollout_enter(r, ROLLOUT_EV_START, NULL, NULL);
        break;
    }
    assert(rc == RC_OK);
}
