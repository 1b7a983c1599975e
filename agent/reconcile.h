/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/reconcile: what should run, what does run, and the next steps from one to the other.
 *
 * A pure core: time is an argument, the world comes in as events, what to do goes out as actions,
 * and whether a version may start is asked through one callback.  So the same code runs under
 * berthd, under the simulator and under a test that throws random events at it.  Inputs are what
 * the agent verified (an order) or saw itself (exits, notify messages); a payload can time its
 * notify messages as it likes, and nothing else.
 *
 * Whatever the events, these hold (tests/unit/test_agent_reconcile.c):
 *   at most one version of a payload runs; it is the ordered one or the one that committed last;
 *   a version that failed is not started again; when events stop, so do the actions;
 *   a one-shot payload does not run again once its success is recorded, nothing runs outside of its
 * modes, is restarted beyond its budget, or starts before what it needs is ready;
 *   a version that asked for a snapshot is not tried without one, and nothing else runs on data
 * that it has touched and not committed.
 */
#ifndef BERTH_AGENT_RECONCILE_H
#define BERTH_AGENT_RECONCILE_H

#include "agent/life.h"
#include "agent/slot.h"
#include "agent/state.h"
#include "manifest/delegation.h"
#include "manifest/revocation.h"

#define RECONCILE_GRACE_MS 2000U        /* from SIGTERM to SIGKILL */
#define RECONCILE_BACKOFF_MIN_MS 1000U  /* before something is tried again soon, ... */
#define RECONCILE_BACKOFF_MAX_MS 60000U /* ... or when nobody knows when */
#define RECONCILE_HEALTHY_MS 60000U     /* of running well halve the number of failures */
#define RECONCILE_TRIALS_MAX 3U         /* starts of a version that never got to a verdict */
#define RECONCILE_LOOP_MAX 10U          /* failures in a row of a committed version: a crash loop */
#define RECONCILE_ANSWER_MS 30000U      /* berth-launch answers by then, or is beyond help */
#define RECONCILE_ACTIONS_MAX (4U * UNITS_MAX)

enum run_phase {
    RUN_NONE = 0,
    RUN_COPYING,  /* nothing runs: the data is being copied, for the trial that follows */
    RUN_STARTING, /* launch asked for */
    RUN_UP,       /* exec'd */
    RUN_READY,    /* said so, or survived ready_ms */
    RUN_STOPPING, /* stop asked for */
};

/* A version that differs from the one that runs in limits only. */
struct relimit {
    struct digest manifest; /* none = nothing is asked for */
    uint64_t asked_ms;
    uint64_t floor;
    struct life life;
    struct resources limits; /* of it, and */
    struct resources before; /* of the one that runs */
};

/* The running instance of a payload. */
struct run {
    enum run_phase phase;
    uint64_t instance;
    struct digest manifest;
    struct health health;
    uint64_t floor;          /* that its commit sets */
    char team[TEAM_CAP];     /* whose keys signed it, "" = the tenant's */
    struct resources limits; /* its part of what the tenant may have, from asking until the end */
    uint64_t since_ms;       /* of the phase */
    uint64_t beat_ms;        /* last WATCHDOG=1, or ready */
    uint64_t healthy_ms;     /* since when the failures decay */
    uint64_t frozen_ms;      /* since when nothing of it runs, 0 = it runs */
    struct relimit next;     /* other limits that were asked for as it runs */
    struct digest not_live;  /* the version that could not have them so: it is started anew */
    struct life life;
    uint64_t counted_ms; /* until when its running is counted in unit.orbit_ms */
    bool mode_frozen;    /* it was told to stand still, for the mode */
    bool relimited;      /* its root is the slot of the version before: once is enough */
    bool after_lost;     /* it was told that what it needs is not ready any more */
    enum rc verdict;     /* why it is being stopped; RC_OK = because something else should run */
};

struct unit {
    struct unit_record kept;   /* survives the agent */
    struct digest vouched_for; /* the version that kept.vouched was made for (agent/recorded) */
    struct run run;
    uint32_t failures; /* in a row, decaying */
    uint32_t restarts; /* of this version, for the report */
    uint64_t not_before_ms;
    enum rc denied; /* last answer of admit for what should run, so that it is told once */
    struct {
        struct digest manifest;
        struct life life;
    } known[2];             /* what admit said of the wanted version and of the good one */
    struct restarts recent; /* of the version that runs, or ran last */
    bool spent;             /* ... and there may be no more */
    bool due;               /* what its schedule waits for has happened */
    uint64_t next_ms;       /* when it is due by time; 0 = at once */
    uint64_t orbit_ms;      /* of running in this orbit */
    struct digest rested;   /* a version that does not start again by itself in this life */
    enum rc told_rests;
    enum rc rests; /* why what should run does not (agent/gate); RC_OK = it may */
};

/* What admit says of a version that may start. */
struct admission {
    struct health health;
    uint64_t floor;
    char team[TEAM_CAP];
    struct resources limits;
    struct life life;
    bool snapshot; /* it wants one before its trial */
};

/* Asked before a version is started.  RC_OK fills *ret.  RC_NOT_FOUND: not installed.  RC_BUSY: not
 * before something that is ending has ended.  Else the reason why it must not run.  Must not change
 * what reconcile works on. */
struct reconcile_ask {
    enum rc (*admit)(void *arg, const struct unit_record *unit, const struct digest *manifest,
                     struct admission *ret);
    /* Whether two versions of a unit differ in nothing but limits that can be changed as it runs;
     * NULL = never. */
    bool (*live)(void *arg, const struct unit_record *unit, const struct digest *running,
                 const struct digest *wanted);
    void *arg;
};

enum action_type {
    ACTION_START,    /* launch manifest as instance */
    ACTION_STOP,     /* stop instance within RECONCILE_GRACE_MS */
    ACTION_COMMIT,   /* manifest has proven itself: for the log, and to collect what is not needed,
                        a snapshot among it */
    ACTION_NOTE,     /* code happened to manifest: an event for the report */
    ACTION_SNAPSHOT, /* copy the data for the trial of manifest, as instance; then
                        reconcile_copied */
    ACTION_RESTORE,  /* the snapshot is the data again; then reconcile_restored */
    ACTION_RELIMIT,  /* give instance the limits of manifest as it runs; then
                        reconcile_relimited */
    ACTION_FREEZE,   /* instance is to stand still; reconcile_freeze says that it does */
    ACTION_THAW,     /* and to go on */
    ACTION_SWITCH,   /* the agent itself is to be manifest; none = the programs of the launch */
};

struct action {
    enum action_type type;
    uint32_t unit; /* index in the table */
    enum rc code;
    uint64_t instance;
    struct digest manifest;
};

/* Which agent this is: of the unit AGENT_TENANT/AGENT_NAME, which is never launched.  Its versions
 * take turns by ACTION_SWITCH, over a start of the agent. */
struct own_agent {
    struct digest running; /* none = the programs of the launch */
    bool trial;            /* it has not proven itself: nothing else begins a trial meanwhile */
    struct digest failed;  /* the one that failed last; none = none */
    enum rc code;          /* why; RC_SLOT_DAMAGED says nothing about the version */
};

struct table {
    struct own_agent own;
    enum mode mode;         /* MODE_NOMINAL or MODE_SAFE; reconcile_resume sets it */
    uint64_t next_instance; /* unique over starts of the agent: epoch in the upper half */
    bool changed;           /* a record changed: save before acting */
    bool stuck;             /* berth-launch owes an answer for too long: start again */
    uint64_t wake_ms;       /* when to step again if nothing happens before; UINT64_MAX = never */
    uint32_t n_actions;
    struct action action[RECONCILE_ACTIONS_MAX];
    uint32_t n_units;
    struct unit unit[UNITS_MAX]; /* sorted by tenant, then name */
};

/* Make the table fit an order, or nothing ordered (NULL).  What is not named has no wanted version
 * any more.  Returns how many lines found no room or no id range. */
uint32_t reconcile_order(struct table *t, const struct order *order);

/* Add a unit that is known to own this id range.  False if there is no room or the range is taken.
 */
bool reconcile_adopt(struct table *t, const char *tenant, const char *name, uint32_t index);

/* Drop unit i, which owns nothing on disk any more, and so its id range.  False if it is ordered or
 * runs.  No actions may be pending. */
bool reconcile_forget(struct table *t, uint32_t i);

/* What the revocations say: of a version of a unit, through the callback; of the order that is in
 * force (NULL = none).  REVOKE_KEEP changes nothing here: admit lets a committed version go on. */
struct reconcile_judge {
    enum revoke_policy (*version)(void *arg, const struct unit_record *unit,
                                  const struct digest *manifest);
    void *arg;
    const struct order *order;
    enum revoke_policy order_policy;
};

/* Make the records fit what has been revoked.  A version is remembered as failed; the payload stops
 * or, by REVOKE_ROLLBACK, returns to what committed before.  What a revoked order names is no
 * longer wanted, or the version before is.  The same again changes nothing. */
void reconcile_revoke(struct table *t, const struct reconcile_judge *judge);

/* The unit of a payload, or NULL. */
struct unit *reconcile_find(struct table *t, const char *tenant, const char *name);
struct unit *reconcile_find_instance(struct table *t, uint64_t instance);

/* What became of a package: SLOT_EV_STAGE, VERIFY, INSTALL, REFUSE (with code) or LOSE (with the
 * code of a delta that did not work, which stays in the record until the version goes on).  Passed
 * over if no order names this version, or its state has no use for the event. */
void reconcile_package(struct table *t, const char *tenant, const char *name,
                       const struct digest *manifest, enum slot_event event, enum rc code);

/* Something that refusals and admissions rest on has changed (a grant, another payload's end). */
void reconcile_reconsider(struct table *t);

/* Whether a unit may have these limits beside what the other payloads of a tenant, or of a team and
 * its teams, have, down to the one that was asked for a moment ago.  RC_BUSY: not before something
 * that is ending has ended.  RC_GRANT_EXCEEDED; of a team RC_DELEGATION_EXCEEDED. */
enum rc reconcile_share(const struct table *t, const struct unit_record *unit,
                        const struct resources *limits, const struct authority *may);

/* The payload was told that it may not run any longer: it stops, and admit decides what follows. */
void reconcile_deny(struct table *t, struct unit *u, enum rc code, uint64_t now_ms);

/* What berth-launch and the payload say.  Unknown or stale instances are passed over. */
void reconcile_launched(struct table *t, uint64_t instance, uint64_t now_ms);
void reconcile_launch_failed(struct table *t, uint64_t instance, enum rc code, uint64_t now_ms);
/* code: RC_OK is exit code 0. */
void reconcile_exited(struct table *t, uint64_t instance, enum rc code, uint64_t now_ms);
void reconcile_ready(struct table *t, uint64_t instance, uint64_t now_ms);
void reconcile_beat(struct table *t, uint64_t instance, uint64_t now_ms);

/* What became of ACTION_RELIMIT.  RC_OK: the limits are in force and were read back, so the version
 * that they are of runs, and is committed: there is nothing else to try about it.  Else all is as
 * it was, and the version is started as any other. */
void reconcile_relimited(struct table *t, uint64_t instance, enum rc code, uint64_t now_ms);

/* What the platform says goes on: modes, passes, orbit events. */
void reconcile_input(struct table *t, const struct input *input);

/* After a start of the agent, with the records in place: what was spent of budgets counts from now
 * on, since nobody knows when it was. */
void reconcile_resume(struct table *t, bool safe, uint64_t now_ms);

/* Whether a unit is on a trial that ends soon by itself: what the agent waits for before it ends.
 * One that stands still, or runs until its work is done, is no reason to wait. */
bool reconcile_trial_ends(const struct unit *u, uint64_t now_ms);

/* The instance is to stand still, or to go on.  While it stands still it is not late for anything,
 * and the time does not count for its trial. */
void reconcile_freeze(struct table *t, uint64_t instance, bool frozen, uint64_t now_ms);

/* It could not be made to stand still: it runs, and is stopped where it was to be frozen. */
void reconcile_freeze_failed(struct table *t, uint64_t instance, uint64_t now_ms);

/* The copy that ACTION_SNAPSHOT asked for has ended.  RC_OK: it is durable, and the record of it is
 * to be saved before anything runs. */
void reconcile_copied(struct table *t, uint64_t instance, enum rc code);

/* ACTION_RESTORE has been carried out for unit i, or could not be: then again later. */
void reconcile_restored(struct table *t, uint32_t i, enum rc code, uint64_t now_ms);

/* Decide.  Actions collected since the last reset are in t->action; the caller saves the records if
 * t->changed and clears it, carries the actions out in order, and calls reconcile_reset. */
void reconcile_step(struct table *t, uint64_t now_ms, const struct reconcile_ask *ask);
void reconcile_reset(struct table *t);

/* Stop everything, for a clean end of the agent: no starts from here on. */
void reconcile_shutdown(struct table *t, uint64_t now_ms);

/* Whether an installed version must be kept: wanted, good or previous of its unit. */
bool reconcile_needs(const struct table *t, const char *tenant, const char *name,
                     const struct digest *manifest);

/* Whether the version is remembered as failed; its code, or RC_OK. */
enum rc reconcile_failed(const struct table *t, const char *tenant, const char *name,
                         const struct digest *manifest);

#endif
