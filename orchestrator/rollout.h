/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/rollout: how a change spreads over a fleet: wave by wave, and not one satellite
 * further once something went wrong.  Pure: the state, what the satellites were seen to do and the
 * clock go in, one action comes out; the caller carries it out and records it.
 *
 * What was seen comes from authenticated reports only (orchestrator/verdict).  A satellite that
 * says nothing is waited for, unless the policy bounds how long; silence is never health.
 *
 * Rules, each with its test: wave k+1 opens only while every wave before holds: all its satellites
 * have decided, are silent and to be gone without, or excused, and of those that decided the share
 * that the policy asks for, and at least one, is healthy.  A rollout that is not running, not
 * approved, past its deadline or over a budget opens nothing; a wave opens once.  All open waves
 * are counted before one thing is done.  A soak counts from when the whole wave is healthy; in
 * orbits it ends when each satellite of the wave has gone around so often since then, by its own
 * period, which comes in as data.  A person may end a soak early (rollout_promote).
 */
#ifndef BERTH_ORCHESTRATOR_ROLLOUT_H
#define BERTH_ORCHESTRATOR_ROLLOUT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/limits.h"

#define ROLLOUT_WAVES_MAX 16U
#define ROLLOUT_TASKS_MAX 10000U
#define ROLLOUT_REASON_CAP 96U
#define ROLLOUT_SOAK_ORBITS_MAX 1000U
#define ROLLOUT_PERIOD_MAX_MS (31ULL * 24 * 3600 * 1000) /* of an orbit */

/* Numbers are in the store.  Zero is no state, and opens nothing. */
enum rollout_state {
    ROLLOUT_RUNNING = 1,
    ROLLOUT_PAUSED = 2,
    ROLLOUT_COMPLETED = 3,
    ROLLOUT_ABORTED = 4,
    ROLLOUT_AWAITING = 5, /* somebody has yet to approve of it */
    ROLLOUT_STATES
};

enum rollout_event {
    ROLLOUT_EV_PAUSE,
    ROLLOUT_EV_RESUME,
    ROLLOUT_EV_ABORT,
    ROLLOUT_EV_COMPLETE,
    ROLLOUT_EV_AWAIT,
    ROLLOUT_EV_START,
    ROLLOUT_EVENTS
};

/* Numbers are in the store.  Failed: it is why the rollout is paused; resuming makes it active. */
enum wave_state { WAVE_WAITING = 1, WAVE_ACTIVE = 2, WAVE_DONE = 3, WAVE_FAILED = 4, WAVE_STATES };

/* What one satellite was seen to do with its order.  Zero is "nothing yet", silence included. */
enum outcome { OUTCOME_WAITING = 0, OUTCOME_HEALTHY = 1, OUTCOME_FAILED = 2 };

struct rollout_seen {
    enum outcome outcome;
    uint32_t code;                 /* failed: the rc number in the report */
    char what[2U * NAME_CAP + 1U]; /* failed: "acme/beacon" */
    bool predicted;                /* whether its passes are known, and `missed` counts */
    uint64_t
        missed; /* passes since it was heard of last, or the rollout was made if that is later */
    uint64_t age_ms; /* how long ago that was */
};

struct rollout_wave {
    enum wave_state state;
    uint64_t healthy_ms; /* since when every satellite of it is healthy, 0 = not now */
};

struct rollout_task {
    char satellite[NAME_CAP];
    uint32_t wave;      /* below n_waves */
    bool excused;       /* a person has said that it does not count */
    uint64_t period_ms; /* of its orbit; 0 = not known, and no soak counts orbits */
};

struct rollout {
    bool approved; /* by everybody whose approval it needs, now; false opens nothing */
    enum rollout_state state;
    char reason[ROLLOUT_REASON_CAP]; /* paused, aborted: why */
    uint32_t fail_max;               /* pause at this many failed satellites; at least 1 */
    uint32_t fail_pct;               /* or at this share of those that decided, ... */
    uint32_t fail_min;               /* ... once so many have failed; both 0 = no share */
    uint32_t success_pct;            /* of a wave's that decided, so many are healthy; 0 = all */
    uint32_t silent_passes;          /* silent is who missed more passes than that, ... */
    uint64_t silent_ms;   /* ... or, where none are known, was not heard of for longer; 0 = never */
    bool silent_skip;     /* go on without who is silent; else pause */
    uint64_t deadline_ms; /* Unix time; pause once then; 0 = none */
    uint64_t soak_ms;     /* how long a wave stays healthy before it has passed, ... */
    uint32_t soak_orbits; /* ... or how often each of it goes around; one of the two is 0 */
    uint32_t n_waves;
    uint32_t n_tasks;
    struct rollout_wave wave[ROLLOUT_WAVES_MAX];
    struct rollout_task *task; /* n_tasks of them, the caller's */
};

enum rollout_verb {
    ROLLOUT_DO_NOTHING = 0,
    ROLLOUT_DO_SETTLE,   /* wave became healthy as a whole: its soak begins */
    ROLLOUT_DO_UNSETTLE, /* and no longer is */
    ROLLOUT_DO_PASS,     /* wave has soaked: it is done */
    ROLLOUT_DO_RELEASE,  /* open wave: its orders may be sent */
    ROLLOUT_DO_PAUSE,    /* with reason */
    ROLLOUT_DO_COMPLETE,
    ROLLOUT_DO_AWAIT, /* an approval that it needs is not there, or counts no longer */
    ROLLOUT_DO_START, /* everybody has approved */
};

struct rollout_action {
    enum rollout_verb verb;
    uint32_t wave;
    bool late; /* pause: for the deadline, which has served then */
    char reason[ROLLOUT_REASON_CAP];
};

/* "paused", "running", "completed", "aborted", "awaiting-approval". */
const char *rollout_state_name(enum rollout_state state);
/* "waiting", "active", "done", "failed". */
const char *wave_state_name(enum wave_state state);

/* Whether a satellite is silent, as the policy of the rollout has it. */
bool rollout_silent(const struct rollout *r, const struct rollout_seen *seen);

/* Whether the values fit together: limits, shares, every task in a wave, no empty wave, no wave
 * active before the ones ahead of it are done, periods where orbits are counted.
 * RC_ROLLOUT_STATE. */
must_check enum rc rollout_check(const struct rollout *r, struct err *err);

/* The one thing to do now.  seen has n_tasks entries in the order of r->task; an entry of a wave
 * that is not open is not looked at.  now_ms is Unix time; a clock that went back restarts a soak.
 */
struct rollout_action rollout_next(const struct rollout *r, const struct rollout_seen *seen,
                                   uint64_t now_ms);

/* Record that the action was carried out. */
void rollout_took(struct rollout *r, const struct rollout_action *action, uint64_t now_ms);

/* What a person, or rollout_took, asks for.  RC_ROLLOUT_STATE and nothing changed when it does not
 * fit the state; reason may be NULL. */
must_check enum rc rollout_enter(struct rollout *r, enum rollout_event event, const char *reason,
                                 struct err *err);

/* End the soak of the newest open wave now: it is done, and rollout_next opens the one behind it,
 * if all are healthy then, too.  seen as in rollout_next.  wave: which one is meant, from 1; 0 =
 * the newest.  RC_ROLLOUT_STATE and nothing changed when the rollout does not run, the wave is
 * another or done, or a satellite that got its order and is not excused is not healthy; silence is
 * not health. */
must_check enum rc rollout_promote(struct rollout *r, const struct rollout_seen *seen,
                                   uint32_t wave, struct err *err);

/* From now on the rollout goes on without a task, or (again) looks at it afresh: what it was seen
 * to do before counts no longer, and neither does that it was excused; the caller keeps that.  one
 * is what it was seen to do.  RC_ROLLOUT_STATE and nothing changed: the rollout has ended, the
 * task's wave is not open yet, or it is healthy and (again) not excused. */
must_check enum rc rollout_excuse(struct rollout *r, uint32_t task, const struct rollout_seen *one,
                                  struct err *err);
must_check enum rc rollout_again(struct rollout *r, uint32_t task, const struct rollout_seen *one,
                                 struct err *err);

/* How long a wave has to stay healthy: soak_ms, or until the slowest of its satellites, excused or
 * not, has gone around so often. */
uint64_t rollout_soak_ms(const struct rollout *r, uint32_t wave);

/* How many waves have been opened. */
uint32_t rollout_wave_now(const struct rollout *r);

#endif
