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

/* A soak is a time, or orbits of known length. */
static enum rc check_soak(const struct rollout *r, struct err *err)
{
    if (r->soak_orbits > ROLLOUT_SOAK_ORBITS_MAX || (r->soak_orbits > 0 && r->soak_ms > 0))
        return err_set(err, RC_ROLLOUT_STATE, "soak");
    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].period_ms > ROLLOUT_PERIOD_MAX_MS ||
            (r->soak_orbits > 0 && r->task[i].period_ms == 0))
            return err_set(err, RC_ROLLOUT_STATE, "period of %s", r->task[i].satellite);
    return RC_OK;
}

enum rc rollout_check(const struct rollout *r, struct err *err)
{
    if (r->state == 0 || (unsigned)r->state >= ROLLOUT_STATES)
        return err_set(err, RC_ROLLOUT_STATE, "state");
    if (r->fail_max == 0)
        return err_set(err, RC_ROLLOUT_STATE, "the number of failures to pause at is 0");
    if (r->fail_pct > 100 || r->success_pct > 100 || (r->fail_pct > 0) != (r->fail_min > 0))
        return err_set(err, RC_ROLLOUT_STATE, "shares of failures and success");
    if (r->n_waves == 0 || r->n_waves > ROLLOUT_WAVES_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "number of waves");
    if (r->n_tasks == 0 || r->n_tasks > ROLLOUT_TASKS_MAX)
        return err_set(err, RC_ROLLOUT_STATE, "number of satellites");
    enum rc rc = check_waves(r, err);

    return rc == RC_OK ? check_soak(r, err) : rc;
}

uint64_t rollout_soak_ms(const struct rollout *r, uint32_t wave)
{
    uint64_t slowest = 0;

    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave == wave && r->task[i].period_ms > slowest)
            slowest = r->task[i].period_ms;
    return r->soak_orbits > 0 ? r->soak_orbits * slowest : r->soak_ms;
}

uint32_t rollout_wave_now(const struct rollout *r)
{
    uint32_t now = 0;

    while (now < r->n_waves && r->wave[now].state != WAVE_WAITING)
        now++;
    return now;
}

/* Those of one open wave, or of all, that nobody excused. */
struct tally {
    uint32_t members, healthy, failed;
    uint32_t gone;                       /* silent, and to be gone without */
    uint32_t first_failed, first_silent; /* index + 1; 0 = none */
};

bool rollout_silent(const struct rollout *r, const struct rollout_seen *seen)
{
    if (seen->outcome == OUTCOME_FAILED) /* it has spoken */
        return false;
    if (seen->predicted && r->silent_passes > 0)
        return seen->missed > r->silent_passes;
    return r->silent_ms > 0 && seen->age_ms > r->silent_ms;
}

static void count_one(const struct rollout *r, uint32_t index, const struct rollout_seen *seen,
                      struct tally *t)
{
    bool silent = rollout_silent(r, seen);

    t->members++;
    t->failed += seen->outcome == OUTCOME_FAILED;
    t->gone += silent && r->silent_skip;
    t->healthy += seen->outcome == OUTCOME_HEALTHY && !(silent && r->silent_skip);
    if (seen->outcome == OUTCOME_FAILED && t->first_failed == 0)
        t->first_failed = index + 1;
    if (silent && t->first_silent == 0)
        t->first_silent = index + 1;
}

/* Of the waves from `from` on that are below `to`. */
static struct tally count(const struct rollout *r, const struct rollout_seen *seen, uint32_t from,
                          uint32_t to)
{
    struct tally t = { 0 };

    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave >= from && r->task[i].wave < to && !r->task[i].excused)
            count_one(r, i, &seen[i], &t);
    return t;
}

/* Whether nothing more is to come of it by itself. */
static bool is_decided(const struct tally *t)
{
    return t->healthy + t->failed + t->gone == t->members;
}

/* Of those that decided enough are healthy, and not nobody.  A wave that is excused as a whole
 * holds: a person has said so. */
static bool is_enough(const struct rollout *r, const struct tally *t)
{
    uint32_t pct = r->success_pct > 0 ? r->success_pct : 100;

    return t->members == 0 ||
           (t->healthy > 0 && 100U * t->healthy >= pct * (t->healthy + t->failed));
}

static bool is_over_budget(const struct rollout *r, const struct tally *all)
{
    if (all->failed >= r->fail_max)
        return true;
    return r->fail_pct > 0 && all->failed >= r->fail_min &&
           100U * all->failed >= r->fail_pct * (all->healthy + all->failed);
}

static void say_failed(const struct rollout *r, const struct rollout_seen *seen,
                       const struct tally *all, struct rollout_action *action)
{
    const struct rollout_seen *first = &seen[all->first_failed - 1];
    const char *satellite = r->task[all->first_failed - 1].satellite;
    const char *name = rc_name(rc_from_number(first->code));

    if (all->failed == 1)
        (void)snprintf(action->reason, sizeof action->reason, "%s: %.58s %s", satellite,
                       first->what, name);
    else
        (void)snprintf(action->reason, sizeof action->reason, "%u satellites failed, first %s: %s",
                       all->failed, satellite, name);
}

static void say_silent(const struct rollout *r, const struct rollout_seen *seen, uint32_t first,
                       struct rollout_action *action)
{
    const struct rollout_seen *s = &seen[first];
    const char *satellite = r->task[first].satellite;

    if (s->predicted && r->silent_passes > 0)
        (void)snprintf(action->reason, sizeof action->reason, "%s is silent: %llu passes missed",
                       satellite, (unsigned long long)s->missed);
    else
        (void)snprintf(action->reason, sizeof action->reason, "%s is silent for %llu s", satellite,
                       (unsigned long long)(s->age_ms / 1000U));
}

/* What all open waves have come to. */
struct standing {
    struct tally all;
    uint32_t short_of; /* the first wave with too few healthy ones; from 1; 0 = none */
    bool decided;      /* the newest one */
    bool holds;        /* every one has decided, and has enough */
};

static struct standing stand(const struct rollout *r, const struct rollout_seen *seen,
                             uint32_t open)
{
    struct standing ret = { .all = count(r, seen, 0, open), .holds = true };

    for (uint32_t w = 0; w < open; w++) {
        struct tally t = count(r, seen, w, w + 1);

        ret.decided = is_decided(&t);
        ret.holds = ret.holds && ret.decided && is_enough(r, &t);
        if (is_decided(&t) && !is_enough(r, &t) && ret.short_of == 0)
            ret.short_of = w + 1;
    }
    return ret;
}

/* Whether there is reason to pause, and it.  Below a budget a failure does not pause at once; but
 * once every satellite of the newest wave has decided, nothing more can happen by itself. */
static bool must_pause(const struct rollout *r, const struct rollout_seen *seen,
                       const struct standing *s, uint64_t now_ms, struct rollout_action *action)
{
    if (is_over_budget(r, &s->all) || (s->decided && s->short_of > 0 && s->all.failed > 0)) {
        say_failed(r, seen, &s->all, action);
        return true;
    }
    if (s->decided && s->short_of > 0) {
        (void)snprintf(action->reason, sizeof action->reason, "wave %u: all are silent",
                       s->short_of);
        return true;
    }
    if (s->all.first_silent > 0 && !r->silent_skip) {
        say_silent(r, seen, s->all.first_silent - 1, action);
        return true;
    }
    action->late = r->deadline_ms > 0 && now_ms >= r->deadline_ms;
    if (action->late)
        (void)snprintf(action->reason, sizeof action->reason, "its deadline has passed");
    return action->late;
}

/* Every open wave holds: soak the newest, pass it, then the next one or the end. */
static struct rollout_action forward(const struct rollout *r, uint32_t wave, uint64_t now_ms)
{
    const struct rollout_wave *w = &r->wave[wave];
    struct rollout_action action = { .verb = ROLLOUT_DO_NOTHING, .wave = wave };

    if (w->state == WAVE_ACTIVE) {
        if (w->healthy_ms == 0 || w->healthy_ms > now_ms)
            action.verb = ROLLOUT_DO_SETTLE;
        else if (now_ms - w->healthy_ms >= rollout_soak_ms(r, wave))
            action.verb = ROLLOUT_DO_PASS;
        return action;
    }
    action.verb = wave + 1 == r->n_waves ? ROLLOUT_DO_COMPLETE : ROLLOUT_DO_RELEASE;
    action.wave = wave + 1;
    return action;
}

/* Of one that runs, and that everybody has approved. */
static struct rollout_action run(const struct rollout *r, const struct rollout_seen *seen,
                                 uint64_t now_ms)
{
    uint32_t open = rollout_wave_now(r);
    struct rollout_action action = { .wave = open > 0 ? open - 1 : 0 };
    struct standing s = stand(r, seen, open);

    bool over = s.holds && open == r->n_waves && r->wave[open - 1].state == WAVE_DONE;

    if (must_pause(r, seen, &s, over ? 0 : now_ms, &action)) { /* what is over is not late */
        action.verb = ROLLOUT_DO_PAUSE;
        return action;
    }
    if (open == 0) {
        action.verb = ROLLOUT_DO_RELEASE;
        return action;
    }
    if (s.holds)
        return forward(r, open - 1, now_ms);
    if (r->wave[open - 1].state == WAVE_ACTIVE && r->wave[open - 1].healthy_ms != 0)
        action.verb = ROLLOUT_DO_UNSETTLE;
    return action;
}

struct rollout_action rollout_next(const struct rollout *r, const struct rollout_seen *seen,
                                   uint64_t now_ms)
{
    struct rollout_action action = { .verb = ROLLOUT_DO_NOTHING };

    if (r->state == ROLLOUT_AWAITING && r->approved)
        action.verb = ROLLOUT_DO_START;
    if (r->state == ROLLOUT_RUNNING && !r->approved)
        action.verb = ROLLOUT_DO_AWAIT;
    if (r->state == ROLLOUT_RUNNING && r->approved)
        action = run(r, seen, now_ms);
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
    for (uint32_t i = 0; r->state == ROLLOUT_RUNNING && i < r->n_waves; i++) {
        if (r->wave[i].state == WAVE_FAILED)
            r->wave[i].state = WAVE_ACTIVE;
        r->wave[i].healthy_ms = 0; /* nobody looked meanwhile: its soak begins again */
    }
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
    struct tally t = count(r, seen, 0, open);

    if (t.healthy != t.members)
        return err_set(err, RC_ROLLOUT_STATE,
                       "%u of the %u satellites that got their order are healthy, %u have failed",
                       t.healthy, t.members, t.failed);
    r->wave[open - 1].state = WAVE_DONE;
    return RC_OK;
}

/* Whether a person may say something about what became of a task. */
static enum rc check_task(const struct rollout *r, uint32_t task, struct err *err)
{
    const struct rollout_task *t = &r->task[task];

    if (!moves[r->state][ROLLOUT_EV_ABORT].allowed)
        return err_set(err, RC_ROLLOUT_STATE, "the rollout is %s", rollout_state_name(r->state));
    if (r->wave[t->wave].state == WAVE_WAITING)
        return err_set(err, RC_ROLLOUT_STATE, "%s is in wave %u, which is not open yet",
                       t->satellite, t->wave + 1);
    return RC_OK;
}

enum rc rollout_excuse(struct rollout *r, uint32_t task, const struct rollout_seen *one,
                       struct err *err)
{
    enum rc rc = check_task(r, task, err);

    if (rc == RC_OK && one->outcome == OUTCOME_HEALTHY && !rollout_silent(r, one))
        rc = err_set(err, RC_ROLLOUT_STATE, "%s is healthy", r->task[task].satellite);
    if (rc == RC_OK)
        r->task[task].excused = true;
    return rc;
}

enum rc rollout_again(struct rollout *r, uint32_t task, const struct rollout_seen *one,
                      struct err *err)
{
    enum rc rc = check_task(r, task, err);

    if (rc == RC_OK && one->outcome == OUTCOME_HEALTHY && !rollout_silent(r, one) &&
        !r->task[task].excused)
        rc = err_set(err, RC_ROLLOUT_STATE, "%s is healthy", r->task[task].satellite);
    if (rc == RC_OK)
        r->task[task].excused = false;
    return rc;
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
        if (r->wave[action->wave].state == WAVE_ACTIVE || !action->late)
            r->wave[action->wave].state = WAVE_FAILED;
        if (action->late)
            r->deadline_ms = 0;
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
