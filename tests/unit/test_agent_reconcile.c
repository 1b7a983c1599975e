/* SPDX-License-Identifier: Apache-2.0
 *
 * The reconcile core against scripted courses, and against a random world over thousands of seeds.
 */
#include "tests/unit/test.h"

#include "base/name.h"
#include <stdlib.h>
#include <string.h>

#include "agent/reconcile.h"

#define READY_MS 500U
#define SOAK_MS 1000U
#define WATCHDOG_MS 400U

/* ---- a world of one table ----------------------------------------------------------------------
 */

struct world {
    struct table t;
    uint64_t now;
    enum health_type health;
    uint32_t watchdog_ms;
    uint8_t not_installed[256]; /* by first byte of the digest */
    enum rc refused[256];
    uint64_t floor[256];
    uint8_t snapshot[256];     /* asks for one */
    uint8_t live[256];         /* differs from any other in its limits only */
    struct resources limits;   /* of every version */
    const struct grant *grant; /* NULL = as much as they like */
    uint32_t commits, notes, starts, copies, restores, relimits;
    enum rc last_note;
    enum rc restore_rc; /* how restoring ends */
};

static struct digest version(uint8_t n)
{
    struct digest d = { { n, 0xaa } };

    return d;
}

static enum rc admit(void *arg, const struct unit_record *unit, const struct digest *manifest,
                     struct admission *ret)
{
    struct world *w = arg;
    uint8_t n = manifest->b[0];

    if (w->not_installed[n])
        return RC_NOT_FOUND;
    if (w->refused[n] != RC_OK)
        return w->refused[n];
    struct authority may = { 0 };
    enum rc rc = RC_OK;

    if (w->grant) {
        may = grant_authority(w->grant);
        rc = reconcile_share(&w->t, unit, &w->limits, &may);
    }
    if (rc != RC_OK)
        return rc;
    *ret = (struct admission){
        .health = { .type = w->health,
                    .ready_ms = READY_MS,
                    .soak_ms = SOAK_MS,
                    .watchdog_ms = w->watchdog_ms },
        .floor = w->floor[n],
        .limits = w->limits,
        .snapshot = w->snapshot[n],
    };
    return RC_OK;
}

static bool live(void *arg, const struct unit_record *unit, const struct digest *running,
                 const struct digest *wanted)
{
    const struct world *w = arg;

    (void)unit;
    assert_false(digest_same(running, wanted));
    return w->live[wanted->b[0]] != 0;
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->now = 1000;
    w->health = HEALTH_NOTIFY;
    w->t.next_instance = 1;
    return w;
}

static void step(struct world *w)
{
    const struct reconcile_ask ask = { .admit = admit, .live = live, .arg = w };

    reconcile_step(&w->t, w->now, &ask);
    for (uint32_t i = 0; i < w->t.n_actions; i++) {
        const struct action *a = &w->t.action[i];

        w->starts += a->type == ACTION_START;
        w->commits += a->type == ACTION_COMMIT;
        w->copies += a->type == ACTION_SNAPSHOT;
        w->relimits += a->type == ACTION_RELIMIT;
        if (a->type == ACTION_RESTORE) {
            w->restores++;
            reconcile_restored(&w->t, a->unit, w->restore_rc, w->now);
        }
        if (a->type == ACTION_NOTE) {
            w->notes++;
            w->last_note = a->code;
        }
    }
    reconcile_reset(&w->t);
}

static void order_add(struct order *o, const char *name, uint8_t v)
{
    struct order_line *line = &o->line[o->n_lines++];

    memcpy(line->tenant, "acme", 5);
    (void)snprintf(line->name, sizeof line->name, "%s", name);
    line->manifest = version(v);
}

static struct unit *order_cam(struct world *w, uint8_t v)
{
    struct order *o = calloc(1, sizeof *o);

    assert_non_null(o);
    if (v)
        order_add(o, "cam", v);
    assert_int_equal(reconcile_order(&w->t, o), 0);
    free(o);
    step(w);
    return reconcile_find(&w->t, "acme", "cam");
}

static void launched(struct world *w, struct unit *u)
{
    assert_int_equal(u->run.phase, RUN_STARTING);
    reconcile_launched(&w->t, u->run.instance, w->now);
    step(w);
}

static void pass(struct world *w, uint64_t ms)
{
    w->now += ms;
    step(w);
}

static void exited(struct world *w, struct unit *u, enum rc code)
{
    reconcile_exited(&w->t, u->run.instance, code, w->now);
    step(w);
}

static struct unit *committed(struct world *w, uint8_t v)
{
    struct unit *u = order_cam(w, v);

    if (u->run.phase == RUN_STOPPING)
        exited(w, u, RC_KILLED);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    return u;
}

#define assert_runs(u, v)                                                                          \
    do {                                                                                           \
        assert_int_not_equal((u)->run.phase, RUN_NONE);                                            \
        assert_int_equal((u)->run.manifest.b[0], v);                                               \
    } while (0)

/* ---- scripted ----------------------------------------------------------------------------------
 */

static void first_install_commits(void **state)
{
    struct world *w = world_new();
    struct unit *u;

    (void)state;
    w->not_installed[1] = 1;
    u = order_cam(w, 1);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    assert_int_equal(u->run.phase, RUN_NONE);
    struct digest v1 = version(1);
    reconcile_package(&w->t, "acme", "cam", &v1, SLOT_EV_STAGE, RC_OK);
    reconcile_package(&w->t, "acme", "cam", &v1, SLOT_EV_VERIFY, RC_OK);
    w->not_installed[1] = 0;
    reconcile_package(&w->t, "acme", "cam", &v1, SLOT_EV_INSTALL, RC_OK);
    step(w);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS - 1);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    pass(w, 1);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(w->commits, 1);
    assert_int_equal(w->notes, 0);
    assert_int_equal(w->t.wake_ms, UINT64_MAX);
    free(w);
}

/* A delta that did not work leaves its code in the line of the version that still waits, over steps
 * and other payloads' fates, until something else becomes of that version. */
static void a_delta_that_failed_is_told_until_the_package_comes(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);
    struct digest v1 = version(1);
    struct digest v2 = version(2);

    (void)state;
    w->not_installed[2] = 1;
    order_cam(w, 2);
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_STAGE, RC_OK);
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_VERIFY, RC_OK);
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_LOSE, RC_DELTA_BASE);
    pass(w, 1000000);
    reconcile_reconsider(&w->t);
    pass(w, 1000000);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    assert_int_equal(u->kept.code, RC_DELTA_BASE);
    assert_int_equal(u->kept.n_failed, 0);
    assert_runs(u, 1);

    /* The order that named it came while it was being tried. */
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_LOSE, RC_DELTA_RANGE);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    assert_int_equal(u->kept.code, RC_DELTA_RANGE);

    /* One for a version that nobody waits for says nothing. */
    reconcile_package(&w->t, "acme", "cam", &v1, SLOT_EV_LOSE, RC_DELTA_BOMB);
    assert_int_equal(u->kept.code, RC_DELTA_RANGE);

    /* Another order, and back. */
    order_cam(w, 3);
    assert_int_equal(u->kept.code, RC_OK);
    order_cam(w, 2);
    assert_int_equal(u->kept.code, RC_OK);
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_LOSE, RC_SLOT_DAMAGED);

    /* The full package. */
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_STAGE, RC_OK);
    assert_int_equal(u->kept.code, RC_OK);
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_VERIFY, RC_OK);
    w->not_installed[2] = 0;
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_INSTALL, RC_OK);
    step(w);
    if (u->run.phase == RUN_STOPPING)
        exited(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_TRIAL);

    /* On trial, and then for good: what a delta of it does is no business of its run. */
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_LOSE, RC_DELTA_BASE);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS);
    reconcile_package(&w->t, "acme", "cam", &v2, SLOT_EV_LOSE, RC_DELTA_BASE);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.code, RC_OK);
    free(w);
}

static void silent_first_install_fails(void **state)
{
    struct world *w = world_new();
    struct unit *u = order_cam(w, 1);

    (void)state;
    launched(w, u);
    assert_int_equal(w->t.wake_ms, w->now + READY_MS);
    pass(w, READY_MS);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    exited(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_FAILED);
    assert_int_equal(u->kept.code, RC_HEALTH_TIMEOUT);
    pass(w, 1000000);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_int_equal(w->starts, 1);
    free(w);
}

static void silent_update_rolls_back(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 2);

    (void)state;
    order_cam(w, 3);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    assert_runs(u, 2);
    exited(w, u, RC_EXITED);
    assert_runs(u, 3);
    launched(w, u);
    pass(w, READY_MS);
    exited(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.code, RC_HEALTH_TIMEOUT);
    assert_runs(u, 2);
    assert_int_equal(w->last_note, RC_ROLLED_BACK);

    /* The same order again changes nothing; another one with the old version settles it. */
    order_cam(w, 3);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    uint64_t instance = u->run.instance;
    order_cam(w, 2);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->run.instance, instance);

    /* And the failed one is not tried again. */
    order_cam(w, 3);
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_FAILED_BEFORE);
    assert_int_equal(u->run.instance, instance);
    free(w);
}

static void every_end_of_a_trial(void **state)
{
    static const enum rc ends[] = { RC_EXITED, RC_KILLED, RC_OOM, RC_SECCOMP };

    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct world *w = world_new();
        struct unit *u = committed(w, 1);

        order_cam(w, 2);
        exited(w, u, RC_EXITED);
        launched(w, u);
        reconcile_ready(&w->t, u->run.instance, w->now);
        pass(w, SOAK_MS / 2);
        exited(w, u, ends[i]);
        assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
        assert_int_equal(u->kept.code, ends[i]);
        assert_runs(u, 1);
        free(w);
    }
}

static void watchdog_is_kept(void **state)
{
    struct world *w = world_new();
    struct unit *u;

    (void)state;
    w->watchdog_ms = WATCHDOG_MS;
    u = order_cam(w, 1);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    for (int i = 0; i < 10; i++) {
        pass(w, WATCHDOG_MS);
        reconcile_beat(&w->t, u->run.instance, w->now);
    }
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    pass(w, WATCHDOG_MS + 1);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    exited(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.code, RC_WATCHDOG);
    free(w);
}

/* What stands still cannot say that it is alive, and does not prove anything. */
static void nothing_is_late_while_frozen(void **state)
{
    struct world *w = world_new();
    struct unit *u;

    (void)state;
    w->watchdog_ms = WATCHDOG_MS;
    u = order_cam(w, 1);
    launched(w, u);
    reconcile_freeze(&w->t, u->run.instance, true, w->now);
    pass(w, 10 * READY_MS);
    assert_int_equal(u->run.phase, RUN_UP); /* not late with being ready */
    reconcile_freeze(&w->t, u->run.instance, false, w->now);
    pass(w, READY_MS - 1);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, WATCHDOG_MS);
    reconcile_freeze(&w->t, u->run.instance, true, w->now);
    reconcile_freeze(&w->t, u->run.instance, true, w->now + 1); /* twice is once */
    pass(w, 10 * SOAK_MS);
    assert_int_equal(u->run.phase, RUN_READY);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    reconcile_beat(&w->t, u->run.instance, w->now); /* on its way when it was frozen */
    reconcile_freeze(&w->t, u->run.instance, false, w->now);
    reconcile_freeze(&w->t, u->run.instance, false, w->now);
    pass(w, WATCHDOG_MS);
    assert_int_equal(u->run.phase, RUN_READY);
    pass(w, 1);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    assert_int_equal(u->run.verdict, RC_WATCHDOG);
    reconcile_freeze(&w->t, u->run.instance, true, w->now); /* too late for that */
    assert_int_equal(u->run.frozen_ms, 0);
    free(w);
}

/* A version that differs in its limits only: no stop, no start, no trial. */
static void limits_change_as_it_runs(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);
    const uint64_t instance = u->run.instance;

    (void)state;
    w->live[2] = 1;
    w->floor[2] = 7;
    w->limits.memory_bytes = 50;
    u->run.limits.memory_bytes = 80;
    order_cam(w, 2);
    pass(w, 1);
    assert_int_equal(w->relimits, 1); /* asked once */
    assert_int_equal(u->run.phase, RUN_READY);
    assert_runs(u, 1);
    assert_int_equal(u->run.limits.memory_bytes, 80); /* as long as it may still have them */
    const uint32_t starts = w->starts, commits = w->commits;
    reconcile_relimited(&w->t, instance + 1, RC_OK, w->now); /* a stranger's */
    assert_runs(u, 1);
    reconcile_relimited(&w->t, instance, RC_OK, w->now);
    step(w);
    assert_runs(u, 2);
    assert_int_equal(u->run.instance, instance);
    assert_int_equal(u->run.limits.memory_bytes, 50);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.floor, 7);
    assert_int_equal(u->kept.good.b[0], 2);
    assert_int_equal(u->kept.previous.b[0], 1);
    assert_int_equal(w->commits, commits + 1);
    pass(w, 10 * SOAK_MS);
    assert_int_equal(w->starts, starts);
    assert_int_equal(u->run.phase, RUN_READY);
    reconcile_relimited(&w->t, instance, RC_CGROUP, w->now); /* nobody asked */
    assert_runs(u, 2);

    /* it runs from the files of version 1: a third one is started, so that those may go */
    w->live[3] = 2;
    order_cam(w, 3);
    pass(w, 1);
    assert_int_equal(w->relimits, 1);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    free(w);
}

/* What cannot be changed as it runs takes a new start and a trial, as any other version. */
static void limits_that_do_not_change_take_a_start(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    w->live[2] = w->live[3] = 1;
    order_cam(w, 2);
    assert_int_equal(w->relimits, 1);
    reconcile_relimited(&w->t, u->run.instance, RC_CGROUP, w->now);
    step(w);
    assert_int_equal(w->last_note, RC_CGROUP);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    exited(w, u, RC_EXITED);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    assert_runs(u, 2);
    order_cam(w, 3); /* from a trial there is no going on: it has not proven itself */
    assert_int_equal(w->relimits, 1);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    free(w);
}

/* Ordered back before the answer: what was given meanwhile is no commit. */
static void limits_ordered_away_are_not_committed(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    w->live[2] = 1;
    order_cam(w, 2);
    order_cam(w, 1);
    const uint32_t commits = w->commits;
    reconcile_relimited(&w->t, u->run.instance, RC_OK, w->now);
    step(w);
    assert_int_equal(w->commits, commits);
    assert_int_equal(u->kept.good.b[0], 1);
    assert_int_equal(u->run.phase, RUN_STOPPING); /* it runs as 2, and 1 is wanted */
    exited(w, u, RC_EXITED);
    assert_runs(u, 1);
    free(w);
}

static void silence_about_limits_is_noticed(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    w->live[2] = 1;
    order_cam(w, 2);
    pass(w, RECONCILE_ANSWER_MS - 1);
    assert_false(w->t.stuck);
    pass(w, 1);
    assert_true(w->t.stuck);
    assert_runs(u, 1);
    free(w);
}

static void alive_is_enough_where_asked(void **state)
{
    struct world *w = world_new();
    struct unit *u;

    (void)state;
    w->health = HEALTH_ALIVE;
    u = order_cam(w, 1);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now); /* means nothing here */
    assert_int_equal(u->run.phase, RUN_UP);
    pass(w, READY_MS);
    assert_int_equal(u->run.phase, RUN_READY);
    pass(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    free(w);
}

static void restarts_back_off_and_decay(void **state)
{
    static const uint64_t waits[] = { 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000 };
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        exited(w, u, RC_OOM);
        assert_int_equal(u->kept.state, SLOT_COMMITTED);
        assert_int_equal(u->kept.code, RC_OOM);
        pass(w, waits[i] - 1);
        assert_int_equal(u->run.phase, RUN_NONE);
        pass(w, 1);
        launched(w, u);
        reconcile_ready(&w->t, u->run.instance, w->now);
    }
    assert_int_equal(u->restarts, 8);
    pass(w, 4 * RECONCILE_HEALTHY_MS);
    exited(w, u, RC_EXITED);
    assert_int_equal(w->t.wake_ms, w->now + RECONCILE_BACKOFF_MIN_MS);
    free(w);
}

static void crash_loop_returns_to_previous(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    committed(w, 2);
    for (uint32_t i = 0; i < RECONCILE_LOOP_MAX; i++) {
        assert_runs(u, 2);
        exited(w, u, RC_KILLED);
        if (u->run.phase == RUN_NONE)
            pass(w, RECONCILE_BACKOFF_MAX_MS);
        launched(w, u);
    }
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.code, RC_CRASH_LOOP);
    assert_runs(u, 1);
    free(w);
}

/* An agent that dies in every trial must not try for ever. */
static void trials_are_counted_over_restarts(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    order_cam(w, 2);
    exited(w, u, RC_EXITED);
    for (uint32_t i = 0; i < RECONCILE_TRIALS_MAX; i++) {
        assert_runs(u, 2);
        assert_int_equal(u->kept.trials, i + 1);
        u->run = (struct run){ 0 }; /* what is left after SIGKILL: the record */
        step(w);
    }
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.code, RC_CRASH_LOOP);
    assert_runs(u, 1);
    free(w);
}

static void machine_faults_are_tried_again(void **state)
{
    struct world *w = world_new();
    struct unit *u = order_cam(w, 1);

    (void)state;
    reconcile_launch_failed(&w->t, u->run.instance, RC_CGROUP, w->now);
    step(w);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    pass(w, 1000);
    reconcile_launch_failed(&w->t, u->run.instance, RC_LAUNCH_EXEC, w->now);
    step(w);
    assert_int_equal(u->kept.state, SLOT_FAILED);
    assert_int_equal(u->kept.code, RC_LAUNCH_EXEC);
    free(w);
}

/* A full disk for some seconds is no reason to refuse a version for ever. */
static void machine_faults_are_not_remembered(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    order_cam(w, 2);
    exited(w, u, RC_KILLED);
    for (uint32_t i = 0; i < RECONCILE_TRIALS_MAX; i++) {
        assert_int_equal(u->kept.state, SLOT_TRIAL);
        reconcile_launch_failed(&w->t, u->run.instance, RC_NO_SPACE, w->now);
        pass(w, RECONCILE_BACKOFF_MAX_MS);
    }
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_NO_SPACE);
    assert_int_equal(u->run.manifest.b[0], 1);
    assert_int_equal(u->kept.n_failed, 0);

    launched(w, u);
    order_cam(w, 2); /* the next order may name it again */
    assert_int_equal(u->run.phase, RUN_STOPPING);
    exited(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    free(w);
}

static void refusal_before_the_old_one_stops(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);
    uint64_t instance = u->run.instance;

    (void)state;
    w->refused[2] = RC_GRANT_EXCEEDED;
    order_cam(w, 2);
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_GRANT_EXCEEDED);
    assert_int_equal(u->run.instance, instance);
    assert_int_equal(u->run.phase, RUN_READY);
    w->refused[2] = RC_OK;
    reconcile_reconsider(&w->t);
    step(w);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    exited(w, u, RC_EXITED);
    assert_runs(u, 2);
    free(w);
}

/* ---- how trials end, and what of it lasts (one row per rule) ---- */

enum course {
    COURSE_CRASH,       /* exits before it is ready */
    COURSE_HANG,        /* ready, then silent to its watchdog */
    COURSE_NEVER_READY, /* runs, and says nothing */
    COURSE_DIES_LATER,  /* ready, and ends within the soak time */
    COURSE_NO_START,    /* its program cannot be executed */
    COURSES
};

static const struct {
    const char *why;
    enum rc code;
    uint64_t budget_ms; /* from its start until the version before it is started again */
} course_rows[COURSES] = {
    [COURSE_CRASH] = { "crash", RC_EXITED, 0 },
    [COURSE_HANG] = { "hang", RC_WATCHDOG, WATCHDOG_MS + 1 },
    [COURSE_NEVER_READY] = { "never ready", RC_HEALTH_TIMEOUT, READY_MS },
    [COURSE_DIES_LATER] = { "ready, then dies", RC_OOM, SOAK_MS - 1 },
    [COURSE_NO_START] = { "cannot be executed", RC_LAUNCH_EXEC, 0 },
};

/* Version 2 is STARTING; the world acts, and only when the table wants to be woken. */
static void run_course(struct world *w, struct unit *u, enum course course)
{
    if (course == COURSE_NO_START) {
        reconcile_launch_failed(&w->t, u->run.instance, RC_LAUNCH_EXEC, w->now);
        step(w);
        return;
    }
    launched(w, u);
    if (course == COURSE_HANG || course == COURSE_DIES_LATER) {
        reconcile_ready(&w->t, u->run.instance, w->now);
        step(w);
    }
    if (course == COURSE_HANG || course == COURSE_NEVER_READY) {
        assert_true(w->t.wake_ms > w->now && w->t.wake_ms != UINT64_MAX);
        pass(w, w->t.wake_ms - w->now);
        assert_int_equal(u->run.phase, RUN_STOPPING);
    }
    if (course == COURSE_DIES_LATER) {
        w->now += SOAK_MS - 1;
        reconcile_beat(&w->t, u->run.instance, w->now);
    }
    exited(w, u, course == COURSE_DIES_LATER ? RC_OOM : RC_EXITED);
}

/* The copy of the data has been made. */
static void copied(struct world *w, struct unit *u, enum rc rc)
{
    assert_int_equal(u->run.phase, RUN_COPYING);
    reconcile_copied(&w->t, u->run.instance, rc);
    step(w);
}

/* Whatever the end: back once and within its time, not tried again however often it is ordered, the
 * floor as it was, the version before it in place; with and without a snapshot. */
static void every_bad_trial_rolls_back_once(void **state)
{
    (void)state;
    for (enum course course = 0; course < COURSES; course++)
        for (uint8_t snapshot = 0; snapshot < 2; snapshot++) {
            struct world *w = world_new();

            w->floor[1] = 1;
            w->floor[2] = 9;
            w->snapshot[2] = snapshot;
            struct unit *u = committed(w, 1);
            w->watchdog_ms = course == COURSE_HANG ? WATCHDOG_MS : 0;
            order_cam(w, 2);
            exited(w, u, RC_EXITED);
            if (snapshot)
                copied(w, u, RC_OK);
            const uint64_t began = w->now;
            const uint32_t starts = w->starts;
            run_course(w, u, course);
            if (snapshot)
                step(w); /* one round for the data */

            if (u->kept.state != SLOT_ROLLED_BACK ||
                u->kept.code != (uint32_t)course_rows[course].code)
                fail_msg("%s: state %s, code %u", course_rows[course].why,
                         slot_state_name(u->kept.state), u->kept.code);
            assert_int_equal(u->run.phase, RUN_STARTING);
            assert_runs(u, 1);
            assert_true(w->now - began <= course_rows[course].budget_ms);
            assert_int_equal(u->kept.floor, 1);
            assert_int_equal(w->restores, snapshot);
            assert_int_equal(w->copies, snapshot);
            launched(w, u);
            reconcile_ready(&w->t, u->run.instance, w->now);
            for (int i = 0; i < 5; i++) {
                order_cam(w, i % 2 ? 2 : 1);
                w->watchdog_ms = 0;
                reconcile_beat(&w->t, u->run.instance, w->now);
                reconcile_reconsider(&w->t);
                step(w);
            }
            assert_int_equal(w->starts, starts + 1); /* of version 1, and no more */
            free(w);
        }
}

/* The floor rises when a version commits, not before, and not at all if it never does. */
static void floor_rises_at_commit_only(void **state)
{
    struct world *w = world_new();
    struct unit *u = NULL;

    (void)state;
    w->floor[1] = 3;
    w->floor[2] = 7;
    u = order_cam(w, 1);
    assert_int_equal(u->kept.floor, 0);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS - 1);
    assert_int_equal(u->kept.floor, 0);
    pass(w, 1);
    assert_int_equal(u->kept.floor, 3);
    order_cam(w, 2);
    exited(w, u, RC_EXITED);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    step(w);
    assert_int_equal(u->kept.floor, 3);
    pass(w, SOAK_MS);
    assert_int_equal(u->kept.floor, 7);
    free(w);
}

/* What may be returned to is kept, through trial and rollback, however the trial is told to end. */
static void rollback_target_is_kept(void **state)
{
    const struct digest v1 = version(1), v2 = version(2);
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    order_cam(w, 2);
    assert_true(reconcile_needs(&w->t, "acme", "cam", &v1));
    exited(w, u, RC_EXITED);
    assert_true(reconcile_needs(&w->t, "acme", "cam", &v1));
    launched(w, u);
    order_cam(w, 0); /* not ordered at all, in its trial */
    assert_true(reconcile_needs(&w->t, "acme", "cam", &v1));
    exited(w, u, RC_KILLED);
    order_cam(w, 2);
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_true(reconcile_needs(&w->t, "acme", "cam", &v1)); /* a crash loop may yet want it */
    assert_true(reconcile_needs(&w->t, "acme", "cam", &v2));
    free(w);
}

/* ---- snapshots ---- */

static void revoke_version(struct world *w, uint8_t n, enum revoke_policy policy);

/* Version 1 runs on its data, version 2 asks for a snapshot and is about to be tried. */
static struct unit *snapshot_trial(struct world *w)
{
    struct unit *u = committed(w, 1);

    w->snapshot[2] = 1;
    order_cam(w, 2);
    exited(w, u, RC_EXITED);
    assert_int_equal(u->run.phase, RUN_COPYING);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    assert_true(digest_is_none(&u->kept.snapshot));
    return u;
}

static void snapshot_comes_before_the_trial_and_goes_at_commit(void **state)
{
    const struct digest v2 = version(2);
    struct world *w = world_new();
    struct unit *u = snapshot_trial(w);

    (void)state;
    pass(w, 3600000); /* as long as it takes */
    assert_int_equal(u->run.phase, RUN_COPYING);
    assert_false(w->t.stuck);
    copied(w, u, RC_OK);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    assert_true(digest_same(&u->kept.snapshot, &v2));
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_true(digest_is_none(&u->kept.snapshot));
    assert_int_equal(w->restores, 0);
    exited(w, u, RC_EXITED); /* and what is committed asks for none */
    pass(w, RECONCILE_BACKOFF_MIN_MS);
    assert_int_equal(u->run.phase, RUN_STARTING);
    assert_int_equal(w->copies, 1);
    free(w);
}

static void no_snapshot_no_trial(void **state)
{
    struct world *w = world_new();
    struct unit *u = snapshot_trial(w);

    (void)state;
    copied(w, u, RC_SNAPSHOT);
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_SNAPSHOT);
    assert_int_equal(u->run.phase, RUN_STARTING);
    assert_runs(u, 1);
    assert_int_equal(u->kept.n_failed, 0); /* it may be ordered again */
    assert_int_equal(w->restores, 0);
    free(w);
}

/* However often the agent is killed, the snapshot is the one from before the first start. */
static void restarts_keep_the_first_snapshot(void **state)
{
    struct world *w = world_new();
    struct unit *u = snapshot_trial(w);

    (void)state;
    copied(w, u, RC_OK);
    for (uint32_t i = 0; i < RECONCILE_TRIALS_MAX; i++) {
        assert_runs(u, 2);
        assert_int_equal(w->copies, 1);
        u->run = (struct run){ 0 };
        step(w);
    }
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    step(w);
    assert_int_equal(w->restores, 1);
    step(w);
    assert_runs(u, 1);
    free(w);
}

static void data_that_cannot_be_restored_is_not_run_on(void **state)
{
    struct world *w = world_new();
    struct unit *u = snapshot_trial(w);

    (void)state;
    copied(w, u, RC_OK);
    launched(w, u);
    w->restore_rc = RC_SNAPSHOT;
    exited(w, u, RC_EXITED);
    for (int i = 0; i < 3; i++) {
        pass(w, RECONCILE_BACKOFF_MAX_MS);
        assert_int_equal(u->run.phase, RUN_NONE);
    }
    assert_int_equal(w->restores, 4);
    assert_int_not_equal(w->t.wake_ms, UINT64_MAX);
    w->restore_rc = RC_OK;
    pass(w, RECONCILE_BACKOFF_MAX_MS);
    step(w);
    assert_runs(u, 1);
    free(w);
}

/* Ends of a trial that are no rollback, and still are not a commit. */
static void any_end_but_a_commit_restores(void **state)
{
    (void)state;
    for (uint8_t next = 0; next < 5; next++) {
        struct world *w = world_new();
        struct unit *u = snapshot_trial(w);

        copied(w, u, RC_OK);
        launched(w, u);
        if (next < 2)
            order_cam(w, next); /* nothing, or version 1 */
        if (next == 2) {
            w->not_installed[3] = 1;
            order_cam(w, 3);
        }
        if (next == 3)
            revoke_version(w, 2, REVOKE_STOP);
        if (next == 4)
            revoke_version(w, 2, REVOKE_ROLLBACK);
        step(w);
        exited(w, u, RC_KILLED);
        step(w);
        assert_int_equal(w->restores, 1);
        assert_true(digest_is_none(&u->kept.snapshot));
        if (next == 1 || next == 2 || next == 4)
            assert_runs(u, 1);
        else
            assert_int_equal(u->run.phase, RUN_NONE);
        free(w);
    }
}

static void ordered_away_while_copying(void **state)
{
    struct world *w = world_new();
    struct unit *u = snapshot_trial(w);

    (void)state;
    order_cam(w, 1);
    assert_int_equal(u->run.phase, RUN_COPYING);
    copied(w, u, RC_OK);
    assert_true(digest_is_none(&u->kept.snapshot));
    assert_runs(u, 1);
    launched(w, u);

    order_cam(w, 2); /* and back, while it is at it: copied anew */
    exited(w, u, RC_EXITED);
    order_cam(w, 0);
    order_cam(w, 2);
    assert_int_equal(u->run.phase, RUN_COPYING);
    copied(w, u, RC_OK);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    assert_runs(u, 2);
    free(w);
}

/* ---- revocations ---- */

/* Version n is revoked with this policy; of all others nothing is said. */
struct verdict {
    uint8_t n;
    enum revoke_policy policy;
};

static enum revoke_policy judge_by(void *arg, const struct unit_record *unit,
                                   const struct digest *manifest)
{
    const struct verdict *v = arg;

    (void)unit;
    return manifest->b[0] == v->n ? v->policy : REVOKE_NONE;
}

static void revoke_version(struct world *w, uint8_t n, enum revoke_policy policy)
{
    struct verdict v = { n, policy };
    const struct reconcile_judge judge = { .version = judge_by, .arg = &v };

    reconcile_revoke(&w->t, &judge);
    if (policy >= REVOKE_ROLLBACK)
        w->refused[n] = RC_MANIFEST_REVOKED;
}

static const struct {
    const char *why;
    uint8_t revoked;
    enum revoke_policy policy;
    enum slot_state state;
    uint8_t runs; /* 0 = nothing */
} revoke_rows[] = {
    { "keep what runs", 2, REVOKE_KEEP, SLOT_COMMITTED, 2 },
    { "stop what runs", 2, REVOKE_STOP, SLOT_FAILED, 0 },
    { "roll back what runs", 2, REVOKE_ROLLBACK, SLOT_ROLLED_BACK, 1 },
    { "stop what ran before", 1, REVOKE_STOP, SLOT_COMMITTED, 2 },
    { "roll back what ran before", 1, REVOKE_ROLLBACK, SLOT_COMMITTED, 2 },
};

/* Version 1 committed, then 2; one is revoked, twice, and once more after a restart. */
static void revoked_versions_end_by_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof revoke_rows / sizeof revoke_rows[0]; i++) {
        struct world *w = world_new();
        (void)committed(w, 1);
        struct unit *u = committed(w, 2);
        uint32_t notes = 0;

        for (unsigned k = 0; k < 3; k++) {
            revoke_version(w, revoke_rows[i].revoked, revoke_rows[i].policy);
            step(w);
            if (u->run.phase == RUN_STOPPING)
                exited(w, u, RC_KILLED);
            if (u->run.phase == RUN_STARTING)
                launched(w, u);
            if (k == 0)
                notes = w->notes;
        }
        struct digest runs = version(revoke_rows[i].runs);
        bool right = revoke_rows[i].runs == 0
                         ? u->run.phase == RUN_NONE
                         : u->run.phase != RUN_NONE && digest_same(&u->run.manifest, &runs);
        if (!right || u->kept.state != revoke_rows[i].state || w->notes != notes)
            fail_msg("%s: state %s, notes %u then %u", revoke_rows[i].why,
                     slot_state_name(u->kept.state), notes, w->notes);
        free(w);
    }
}

/* Rolled back to a version that is revoked in its turn: nothing is left to run. */
static void revoked_one_after_the_other(void **state)
{
    struct world *w = world_new();

    (void)state;
    (void)committed(w, 1);
    struct unit *u = committed(w, 2);
    revoke_version(w, 2, REVOKE_ROLLBACK);
    step(w);
    exited(w, u, RC_KILLED);
    step(w);
    launched(w, u);
    revoke_version(w, 1, REVOKE_ROLLBACK);
    step(w);
    exited(w, u, RC_KILLED);
    step(w);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_int_equal(u->kept.state, SLOT_FAILED);
    assert_true(digest_is_none(&u->kept.good));
    free(w);
}

/* A trial that is to stop does not fall back; ordered again, it is not tried again. */
static void revoked_in_its_trial(void **state)
{
    struct world *w = world_new();

    (void)state;
    struct unit *u = committed(w, 1);
    u = order_cam(w, 2);
    step(w);
    exited(w, u, RC_KILLED);
    step(w);
    launched(w, u);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    revoke_version(w, 2, REVOKE_STOP);
    step(w);
    exited(w, u, RC_KILLED);
    step(w);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_int_equal(u->kept.code, RC_MANIFEST_REVOKED);
    u = order_cam(w, 1); /* the older one, by name: it may */
    step(w);
    assert_int_equal(u->run.phase, RUN_STARTING);
    u = order_cam(w, 2);
    step(w);
    assert_int_not_equal(u->kept.state, SLOT_TRIAL);
    free(w);
}

static void revoked_orders(void **state)
{
    static const struct {
        enum revoke_policy policy;
        uint8_t wants; /* 0 = nothing */
    } rows[] = { { REVOKE_KEEP, 2 }, { REVOKE_ROLLBACK, 1 }, { REVOKE_STOP, 0 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = world_new();
        struct verdict nothing = { 0, REVOKE_NONE };
        struct order *o = calloc(1, sizeof *o);
        const struct reconcile_judge judge = {
            .version = judge_by, .arg = &nothing, .order = o, .order_policy = rows[i].policy
        };

        assert_non_null(o);
        order_add(o, "cam", 2);
        (void)committed(w, 1);
        struct unit *u = committed(w, 2);
        for (unsigned k = 0; k < 3; k++)
            reconcile_revoke(&w->t, &judge);
        struct digest want = version(rows[i].wants);
        assert_true(rows[i].wants ? digest_same(&u->kept.wanted, &want)
                                  : digest_is_none(&u->kept.wanted));
        free(o);
        free(w);
    }
}

static void what_is_not_ordered_stops(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    order_cam(w, 0);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    assert_int_equal(u->kept.state, SLOT_ABSENT);
    exited(w, u, RC_KILLED);
    pass(w, 1000000);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_true(reconcile_forget(&w->t, 0));
    assert_null(reconcile_find(&w->t, "acme", "cam"));
    free(w);
}

static void lost_slot_waits_for_its_package(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    exited(w, u, RC_KILLED);
    w->not_installed[1] = 1;
    pass(w, 2000);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    pass(w, RECONCILE_BACKOFF_MAX_MS);
    w->not_installed[1] = 0;
    pass(w, RECONCILE_BACKOFF_MAX_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_runs(u, 1);
    free(w);
}

static void lost_grant_stops_what_runs(void **state)
{
    struct world *w = world_new();
    struct unit *u = committed(w, 1);

    (void)state;
    w->refused[1] = RC_KEY_UNKNOWN;
    reconcile_deny(&w->t, u, RC_KEY_UNKNOWN, w->now);
    step(w);
    exited(w, u, RC_EXITED);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.code, RC_KEY_UNKNOWN);
    uint32_t notes = w->notes;
    pass(w, RECONCILE_BACKOFF_MAX_MS);
    assert_int_equal(w->notes, notes);
    w->refused[1] = RC_OK;
    reconcile_reconsider(&w->t);
    step(w);
    assert_runs(u, 1);
    free(w);
}

/* What could not be looked at just now (no descriptors, no memory) is looked at again, and is not
 * held against the version. */
static void passing_trouble_refuses_nothing(void **state)
{
    struct world *w = world_new();

    (void)state;
    w->refused[1] = RC_IO;
    struct unit *u = order_cam(w, 1);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    assert_int_equal(w->starts, 0);
    assert_true(w->t.wake_ms <= w->now + RECONCILE_BACKOFF_MIN_MS);
    pass(w, RECONCILE_BACKOFF_MIN_MS);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    w->refused[1] = RC_OK;
    pass(w, RECONCILE_BACKOFF_MIN_MS);
    assert_int_equal(w->starts, 1);
    assert_int_equal(u->kept.state, SLOT_TRIAL);

    /* Between two starts of a trial as well. */
    launched(w, u);
    w->refused[1] = RC_NO_MEMORY;
    u->kept.trials = 1;
    reconcile_deny(&w->t, u, RC_EXPIRED, w->now);
    step(w);
    exited(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    w->refused[1] = RC_OK;
    pass(w, RECONCILE_BACKOFF_MIN_MS);
    assert_int_equal(w->starts, 2);

    /* What runs is not stopped for one that nobody knows whether it may. */
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS);
    w->refused[2] = RC_IO;
    (void)order_cam(w, 2);
    assert_int_equal(u->run.phase, RUN_READY);
    w->refused[2] = RC_OK;
    pass(w, RECONCILE_BACKOFF_MIN_MS);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    free(w);
}

/* Commit the ordered version of cam, from its start on. */
static void runs_well(struct world *w, struct unit *u)
{
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    pass(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
}

/* The slot of what committed last is lost: the version before it runs, once it is known to be
 * whole, and the lost one is tried again when it has come again. */
static void a_lost_slot_gives_way(void **state)
{
    struct world *w = world_new();

    (void)state;
    struct unit *u = order_cam(w, 1);
    runs_well(w, u);
    (void)order_cam(w, 2);
    exited(w, u, RC_KILLED);
    runs_well(w, u);

    w->not_installed[2] = true;
    w->refused[1] = RC_BUSY;
    uint32_t starts = w->starts;
    exited(w, u, RC_EXITED);
    pass(w, RECONCILE_BACKOFF_MIN_MS);
    pass(w, 1);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    assert_int_equal(w->starts, starts);
    assert_int_equal(u->kept.good.b[0], 2);
    w->refused[1] = RC_OK;
    step(w);
    pass(w, 1);
    assert_runs(u, 1);
    assert_int_equal(w->last_note, RC_ROLLED_BACK);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    launched(w, u);

    w->not_installed[2] = false;
    step(w);
    exited(w, u, RC_KILLED);
    assert_runs(u, 2);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    runs_well(w, u);
    assert_int_equal(u->kept.good.b[0], 2);
    assert_int_equal(u->kept.previous.b[0], 1);

    /* Nothing to fall back to: it waits. */
    w->not_installed[1] = w->not_installed[2] = true;
    starts = w->starts;
    exited(w, u, RC_EXITED);
    pass(w, RECONCILE_BACKOFF_MAX_MS);
    assert_int_equal(w->starts, starts);
    assert_int_equal(u->kept.good.b[0], 2);
    free(w);
}

static void order_two(struct world *w)
{
    struct order *o = calloc(1, sizeof *o);

    assert_non_null(o);
    order_add(o, "cam", 1);
    order_add(o, "radio", 2);
    assert_int_equal(reconcile_order(&w->t, o), 0);
    free(o);
    step(w);
}

/* Two that are asked for in the same step, as after every start of the agent: what the first one
 * was given counts before berth-launch has heard of it. */
static void tenants_share_their_grant(void **state)
{
    const struct grant grants[] = {
        { .tenant = "acme", .payloads_max = 2, .total = { .memory_bytes = 100 } },
        { .tenant = "acme", .payloads_max = 1, .total = { .memory_bytes = 200 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof grants / sizeof grants[0]; i++) {
        struct world *w = world_new();

        w->grant = &grants[i];
        w->limits = (struct resources){ .memory_bytes = 60 };
        order_two(w);
        struct unit *cam = reconcile_find(&w->t, "acme", "cam");
        struct unit *radio = reconcile_find(&w->t, "acme", "radio");
        assert_int_equal(w->starts, 1);
        assert_int_equal(cam->run.phase, RUN_STARTING);
        assert_int_equal(radio->kept.state, SLOT_REFUSED);
        assert_int_equal(radio->kept.code, RC_GRANT_EXCEEDED);

        /* The share of one that is not ordered any more is waited for, then taken. */
        launched(w, cam);
        struct order *o = calloc(1, sizeof *o);
        assert_non_null(o);
        order_add(o, "radio", 2);
        assert_int_equal(reconcile_order(&w->t, o), 0);
        free(o);
        step(w);
        assert_int_equal(radio->kept.state, SLOT_INSTALLED);
        assert_int_equal(w->starts, 1);
        exited(w, cam, RC_KILLED);
        assert_int_equal(w->starts, 2);
        assert_int_equal(radio->run.phase, RUN_STARTING);
        free(w);
    }
}

static void silence_of_the_launcher_is_noticed(void **state)
{
    struct world *w = world_new();

    (void)state;
    order_cam(w, 1);
    assert_int_equal(w->t.wake_ms, w->now + RECONCILE_ANSWER_MS);
    pass(w, RECONCILE_ANSWER_MS - 1);
    assert_false(w->t.stuck);
    pass(w, 1);
    assert_true(w->t.stuck);
    free(w);
}

static void ids_are_unique(void **state)
{
    struct world *w = world_new();
    struct order *o = calloc(1, sizeof *o);
    uint8_t seen[UNITS_MAX] = { 0 };

    (void)state;
    assert_non_null(o);
    for (int round = 0; round < 3; round++) {
        *o = (struct order){ 0 };
        for (int i = 0; i < (int)PAYLOADS_MAX; i++) {
            char name[NAME_CAP];

            (void)snprintf(name, sizeof name, "p%d-%02d", round, i);
            order_add(o, name, 1);
        }
        assert_int_equal(reconcile_order(&w->t, o), round < 2 ? 0 : PAYLOADS_MAX);
        reconcile_reset(&w->t);
    }
    assert_int_equal(w->t.n_units, UNITS_MAX);
    for (uint32_t i = 0; i < w->t.n_units; i++) {
        assert_true(w->t.unit[i].kept.index < UNITS_MAX);
        assert_false(seen[w->t.unit[i].kept.index]++);
    }
    free(o);
    free(w);
}

/* ---- random ------------------------------------------------------------------------------------
 */

/* What berth-launch would know: which instances exist. */
#define LIVE_MAX 8U
struct live {
    bool used, up, dying;
    uint64_t instance;
    uint32_t unit;
    uint8_t version;
};

struct chaos {
    struct world *w;
    uint64_t rng;
    struct live live[LIVE_MAX];
    uint8_t ordered[3];
    bool failed[3][256];
    uint8_t good[3];     /* committed last */
    uint8_t touched[3];  /* by whom the data was written to last, if it asked for a snapshot */
    uint64_t copying[3]; /* instance, 0 = none */
    uint8_t last_good[3];
};

static uint32_t roll(struct chaos *c, uint32_t n)
{
    c->rng ^= c->rng << 13;
    c->rng ^= c->rng >> 7;
    c->rng ^= c->rng << 17;
    return (uint32_t)(c->rng >> 33) % n;
}

static uint32_t unit_no(const struct chaos *c, uint32_t i)
{
    return (uint32_t)(c->w->t.unit[i].kept.name[0] - 'a');
}

static void on_start(struct chaos *c, const struct action *a)
{
    uint32_t p = unit_no(c, a->unit);
    uint8_t v = a->manifest.b[0];
    struct live *slot = NULL;

    for (uint32_t i = 0; i < LIVE_MAX; i++) {
        if (!c->live[i].used)
            slot = &c->live[i];
        else
            assert_false(c->live[i].unit == p); /* one version at a time */
    }
    assert_non_null(slot);
    assert_int_not_equal(c->ordered[p], 0); /* nothing starts that is not ordered at all */
    assert_true(v == c->ordered[p] || v == c->good[p]);
    assert_false(c->failed[p][v]);
    assert_int_equal(c->copying[p], 0);
    if (v != c->good[p]) /* what asks for a snapshot has one */
        assert_int_equal(c->w->t.unit[a->unit].kept.snapshot.b[0], c->w->snapshot[v] ? v : 0);
    assert_true(c->touched[p] == 0 || c->touched[p] == v); /* nobody else's leavings */
    if (c->w->snapshot[v] && v != c->good[p])
        c->touched[p] = v;
    *slot = (struct live){ .used = true, .instance = a->instance, .unit = p, .version = v };
}

static void on_action(struct chaos *c, const struct action *a)
{
    uint32_t p = unit_no(c, a->unit);
    const struct unit_record *r = &c->w->t.unit[a->unit].kept;

    if (a->type == ACTION_START)
        on_start(c, a);
    if (a->type == ACTION_COMMIT) {
        if (c->good[p] != a->manifest.b[0])
            c->last_good[p] = c->good[p];
        c->good[p] = a->manifest.b[0];
        c->touched[p] = 0;
    }
    if (a->type == ACTION_SNAPSHOT) {
        assert_int_equal(c->copying[p], 0);
        assert_int_equal(c->touched[p], 0); /* of nothing but what committed */
        c->copying[p] = a->instance;
    }
    if (a->type == ACTION_RESTORE) {
        bool works = roll(c, 3) > 0;

        for (uint32_t i = 0; i < LIVE_MAX; i++)
            assert_false(c->live[i].used && c->live[i].unit == p);
        if (works)
            c->touched[p] = 0;
        reconcile_restored(&c->w->t, a->unit, works ? RC_OK : RC_SNAPSHOT, c->w->now);
    }
    for (uint32_t i = 0; a->type == ACTION_STOP && i < LIVE_MAX; i++)
        if (c->live[i].used && c->live[i].instance == a->instance) {
            assert_true(c->live[i].up);
            c->live[i].dying = true;
        }
    if (a->type == ACTION_NOTE && a->code == RC_ROLLED_BACK && r->good.b[0] != c->good[p]) {
        assert_int_equal(r->good.b[0], c->last_good[p]); /* out of a crash loop */
        c->good[p] = r->good.b[0];
    }
    for (uint32_t i = 0; i < r->n_failed; i++)
        c->failed[p][r->failed[i].manifest.b[0]] = true;
}

static uint32_t chaos_step(struct chaos *c)
{
    const struct reconcile_ask ask = { .admit = admit, .arg = c->w };
    uint32_t moves = 0;

    reconcile_step(&c->w->t, c->w->now, &ask);
    for (uint32_t i = 0; i < c->w->t.n_actions; i++) {
        on_action(c, &c->w->t.action[i]);
        moves += c->w->t.action[i].type != ACTION_NOTE;
    }
    reconcile_reset(&c->w->t);
    assert_false(c->w->t.stuck);
    return moves;
}

static void reorder(struct chaos *c)
{
    struct order *o = calloc(1, sizeof *o);
    char name[2] = "a";

    assert_non_null(o);
    for (uint32_t p = 0; p < 3; p++) {
        c->ordered[p] = roll(c, 4) == 0 ? c->ordered[p] : (uint8_t)roll(c, 7);
        name[0] = (char)('a' + p);
        if (c->ordered[p])
            order_add(o, name, c->ordered[p]);
    }
    assert_int_equal(reconcile_order(&c->w->t, o), 0);
    free(o);
}

static void finish(struct chaos *c, struct live *l, enum rc code)
{
    l->used = false;
    if (l->up)
        reconcile_exited(&c->w->t, l->instance, code, c->w->now);
    else
        reconcile_launch_failed(&c->w->t, l->instance, code, c->w->now);
}

static void restart_agent(struct chaos *c)
{
    struct table *t = &c->w->t;

    for (uint32_t i = 0; i < t->n_units; i++) {
        struct unit_record kept = t->unit[i].kept;
        t->unit[i] = (struct unit){ .kept = kept };
    }
    t->next_instance = (t->next_instance | 0xffffU) + 1;
    memset(c->live, 0, sizeof c->live);
    memset(c->copying, 0, sizeof c->copying);
}

static void end_copies(struct chaos *c, uint32_t odds)
{
    for (uint32_t p = 0; p < 3; p++) {
        if (c->copying[p] == 0 || roll(c, odds) > 0)
            continue;
        uint64_t instance = c->copying[p];

        c->copying[p] = 0;
        reconcile_copied(&c->w->t, instance, odds == 1 || roll(c, 4) > 0 ? RC_OK : RC_SNAPSHOT);
    }
}

static void disturb(struct chaos *c)
{
    static const enum rc ends[] = { RC_EXITED, RC_KILLED, RC_OOM, RC_SECCOMP, RC_CGROUP };
    static const enum rc whims[] = { RC_OK, RC_OK, RC_GRANT_EXCEEDED, RC_BUSY, RC_EXPIRED };
    struct live *l = &c->live[roll(c, LIVE_MAX)];
    uint64_t stray = l->instance + roll(c, 2);

    switch (roll(c, 12)) {
    case 0:
        reorder(c);
        break;
    case 1:
        c->w->not_installed[roll(c, 7)] ^= 1;
        break;
    case 2:
        c->w->refused[roll(c, 7)] = whims[roll(c, 5)];
        reconcile_reconsider(&c->w->t);
        break;
    case 3:
        if (roll(c, 8) == 0)
            restart_agent(c);
        break;
    case 4:
        if (l->used)
            finish(c, l, ends[roll(c, 5)]);
        break;
    case 5: /* messages for instances that may not exist */
        reconcile_ready(&c->w->t, stray, c->w->now);
        reconcile_beat(&c->w->t, stray, c->w->now);
        break;
    case 6: {
        struct digest d = version((uint8_t)roll(c, 7));
        static const enum slot_event events[] = { SLOT_EV_STAGE, SLOT_EV_VERIFY, SLOT_EV_INSTALL,
                                                  SLOT_EV_REFUSE };
        reconcile_package(&c->w->t, "acme", roll(c, 2) ? "a" : "b", &d, events[roll(c, 4)],
                          RC_ARCHIVE_PATH);
        break;
    }
    default: /* the ordinary course */
        if (l->used && !l->up) {
            l->up = true;
            reconcile_launched(&c->w->t, l->instance, c->w->now);
        } else if (l->used && l->dying) {
            finish(c, l, RC_KILLED);
        } else if (l->used && roll(c, 3)) {
            reconcile_ready(&c->w->t, l->instance, c->w->now);
            reconcile_beat(&c->w->t, l->instance, c->w->now);
        }
        break;
    }
    end_copies(c, 5);
    c->w->now += roll(c, 300);
}

/* From here on the world is kind: everything is installed, allowed and healthy. */
static void calm(struct chaos *c)
{
    uint32_t idle = 0;

    memset(c->w->not_installed, 0, sizeof c->w->not_installed);
    memset(c->w->refused, 0, sizeof c->w->refused);
    c->w->watchdog_ms = 0;
    for (uint32_t i = 0; i < c->w->t.n_units; i++) { /* an install under way ends somehow */
        const struct unit_record *r = &c->w->t.unit[i].kept;
        const struct digest wanted = r->wanted;

        if (r->state == SLOT_STAGED || r->state == SLOT_VERIFIED)
            reconcile_package(&c->w->t, r->tenant, r->name, &wanted, SLOT_EV_LOSE, RC_OK);
    }
    reconcile_reconsider(&c->w->t);
    for (uint32_t round = 0; idle < 50; round++) {
        assert_true(round < 5000); /* converges */
        for (uint32_t i = 0; i < LIVE_MAX; i++) {
            struct live *l = &c->live[i];

            if (l->used && !l->up) {
                l->up = true;
                reconcile_launched(&c->w->t, l->instance, c->w->now);
                reconcile_ready(&c->w->t, l->instance, c->w->now);
            } else if (l->used && l->dying) {
                finish(c, l, RC_KILLED);
            }
            if (l->used)
                reconcile_beat(&c->w->t, l->instance, c->w->now);
        }
        end_copies(c, 1);
        idle = chaos_step(c) == 0 ? idle + 1 : 0;
        c->w->now += 2000;
    }
}

static void check_calm(struct chaos *c)
{
    for (uint32_t p = 0; p < 3; p++) {
        char name[2] = { (char)('a' + p), 0 };
        const struct unit *u = reconcile_find(&c->w->t, "acme", name);

        if (!u)
            continue;
        uint8_t want = c->ordered[p];
        if (want && c->failed[p][want])
            want = c->good[p];
        if (want == 0) {
            assert_int_equal(u->run.phase, RUN_NONE);
            continue;
        }
        assert_int_equal(u->run.phase, RUN_READY);
        assert_int_equal(u->run.manifest.b[0], want);
        assert_int_equal(u->kept.state == SLOT_COMMITTED, want == c->ordered[p]);
    }
}

static void random_worlds_converge(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        struct chaos c = { .w = world_new(), .rng = seed * 0x9e3779b97f4a7c15U };

        c.w->watchdog_ms = seed % 3 == 0 ? WATCHDOG_MS : 0;
        c.w->health = seed % 5 == 0 ? HEALTH_ALIVE : HEALTH_NOTIFY;
        c.w->snapshot[2] = c.w->snapshot[3] = seed % 2;
        c.w->snapshot[5] = seed % 7 == 0;
        for (int i = 0; i < 200; i++) {
            disturb(&c);
            chaos_step(&c);
        }
        calm(&c);
        check_calm(&c);
        free(c.w);
    }
}

/* ---- sums at every level ---- */

#define TREE 6U

/* A tenant and some teams, each with limits of its own, and who is above whom. */
struct tree {
    char team[TREE][TEAM_CAP];
    struct resources total[TREE];
    uint32_t payloads_max[TREE];
};

static struct tree random_tree(unsigned *seed)
{
    struct tree t = { 0 };

    for (uint32_t i = 0; i < TREE; i++) {
        uint32_t above = i > 0 ? (uint32_t)rand_r(seed) % i : 0;

        while (team_depth(t.team[above]) == TEAM_DEPTH_MAX)
            above = 0;
        if (i > 0)
            (void)snprintf(t.team[i], sizeof t.team[i], "%.120s%st%u", t.team[above],
                           above > 0 ? "/" : "", i);
        t.total[i] = (struct resources){ .memory_bytes = 1 + (uint64_t)(rand_r(seed) % 40),
                                         .data_bytes = 1 + (uint64_t)(rand_r(seed) % 40),
                                         .tmp_bytes = 40,
                                         .cpu_permille = 1 + (uint32_t)(rand_r(seed) % 40),
                                         .pids = 40,
                                         .open_files = 40 };
        t.payloads_max[i] = 1 + (uint32_t)(rand_r(seed) % 6);
    }
    return t;
}

static struct authority level(const struct tree *t, uint32_t i)
{
    return (struct authority){ .tenant = "acme",
                               .team = t->team[i],
                               .prefix = "",
                               .total = &t->total[i],
                               .payloads_max = t->payloads_max[i] };
}

/* As the agent does: every level above a payload is asked. */
static bool all_agree(const struct table *t, const struct tree *tree, const struct unit *u,
                      const char *team, const struct resources *want)
{
    for (uint32_t i = 0; i < TREE; i++) {
        const struct authority may = level(tree, i);

        if (team_within(tree->team[i], team) && reconcile_share(t, &u->kept, want, &may) != RC_OK)
            return false;
    }
    return true;
}

static void check_sums(const struct table *t, const struct tree *tree)
{
    for (uint32_t i = 0; i < TREE; i++) {
        uint64_t memory = 0, data = 0, cpu = 0;
        uint32_t n = 0;

        for (uint32_t k = 0; k < t->n_units; k++) {
            const struct unit *u = &t->unit[k];

            if (u->run.phase == RUN_NONE || !team_within(tree->team[i], u->run.team))
                continue;
            memory += u->run.limits.memory_bytes;
            data += u->run.limits.data_bytes;
            cpu += u->run.limits.cpu_permille;
            n++;
        }
        assert_true(memory <= tree->total[i].memory_bytes && data <= tree->total[i].data_bytes);
        assert_true(cpu <= tree->total[i].cpu_permille && n <= tree->payloads_max[i]);
    }
}

/* Random teams of teams, random starts and ends: nobody ever has more than anybody above allows. */
static void no_level_is_ever_exceeded(void **state)
{
    scoped(free_ptr) struct table *t = calloc(1, sizeof *t);
    unsigned seed = 20261121;
    uint32_t started = 0, refused = 0;

    (void)state;
    assert_non_null(t);
    for (uint32_t round = 0; round < 200; round++) {
        const struct tree tree = random_tree(&seed);

        *t = (struct table){ 0 };
        for (uint32_t i = 0; i < 12; i++) {
            char name[NAME_CAP];

            (void)snprintf(name, sizeof name, "p%u", i);
            assert_true(reconcile_adopt(t, "acme", name, i));
        }
        for (uint32_t k = 0; k < 100; k++) {
            struct unit *u = &t->unit[(uint32_t)rand_r(&seed) % t->n_units];
            const char *team = tree.team[(uint32_t)rand_r(&seed) % TREE];
            const struct resources want = { .memory_bytes = (uint64_t)(rand_r(&seed) % 12),
                                            .data_bytes = (uint64_t)(rand_r(&seed) % 12),
                                            .cpu_permille = (uint32_t)(rand_r(&seed) % 12) };

            if (u->run.phase != RUN_NONE) {
                u->run.phase = RUN_NONE;
                continue;
            }
            if (!all_agree(t, &tree, u, team, &want)) {
                refused++;
                continue;
            }
            u->run = (struct run){ .phase = RUN_UP, .limits = want };
            memcpy(u->run.team, team, sizeof u->run.team);
            started++;
            check_sums(t, &tree);
        }
    }
    print_message("%u starts, %u refused\n", started, refused);
    assert_true(started > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_level_is_ever_exceeded),
        cmocka_unit_test(first_install_commits),
        cmocka_unit_test(a_delta_that_failed_is_told_until_the_package_comes),
        cmocka_unit_test(silent_first_install_fails),
        cmocka_unit_test(silent_update_rolls_back),
        cmocka_unit_test(every_end_of_a_trial),
        cmocka_unit_test(watchdog_is_kept),
        cmocka_unit_test(nothing_is_late_while_frozen),
        cmocka_unit_test(limits_change_as_it_runs),
        cmocka_unit_test(limits_that_do_not_change_take_a_start),
        cmocka_unit_test(limits_ordered_away_are_not_committed),
        cmocka_unit_test(silence_about_limits_is_noticed),
        cmocka_unit_test(alive_is_enough_where_asked),
        cmocka_unit_test(restarts_back_off_and_decay),
        cmocka_unit_test(crash_loop_returns_to_previous),
        cmocka_unit_test(trials_are_counted_over_restarts),
        cmocka_unit_test(machine_faults_are_tried_again),
        cmocka_unit_test(machine_faults_are_not_remembered),
        cmocka_unit_test(refusal_before_the_old_one_stops),
        cmocka_unit_test(every_bad_trial_rolls_back_once),
        cmocka_unit_test(floor_rises_at_commit_only),
        cmocka_unit_test(rollback_target_is_kept),
        cmocka_unit_test(snapshot_comes_before_the_trial_and_goes_at_commit),
        cmocka_unit_test(no_snapshot_no_trial),
        cmocka_unit_test(restarts_keep_the_first_snapshot),
        cmocka_unit_test(data_that_cannot_be_restored_is_not_run_on),
        cmocka_unit_test(any_end_but_a_commit_restores),
        cmocka_unit_test(ordered_away_while_copying),
        cmocka_unit_test(revoked_versions_end_by_policy),
        cmocka_unit_test(revoked_one_after_the_other),
        cmocka_unit_test(revoked_in_its_trial),
        cmocka_unit_test(revoked_orders),
        cmocka_unit_test(what_is_not_ordered_stops),
        cmocka_unit_test(lost_slot_waits_for_its_package),
        cmocka_unit_test(lost_grant_stops_what_runs),
        cmocka_unit_test(passing_trouble_refuses_nothing),
        cmocka_unit_test(a_lost_slot_gives_way),
        cmocka_unit_test(tenants_share_their_grant),
        cmocka_unit_test(silence_of_the_launcher_is_noticed),
        cmocka_unit_test(ids_are_unique),
        cmocka_unit_test(random_worlds_converge),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
