/* SPDX-License-Identifier: Apache-2.0
 *
 * How payloads live: one-shot and scheduled ones, restarts and their budget, modes, dependencies,
 * time of running; by script, and against a random world over many seeds.
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "agent/gate.h"

#define READY_MS 500U
#define SOAK_MS 1000U
#define VERSIONS 8U

struct world {
    struct table t;
    uint64_t now;
    struct life life[VERSIONS]; /* by first byte of the digest */
    enum health_type health;
    uint32_t starts, commits, freezes, thaws, notes[512];
    uint32_t started[VERSIONS];
    uint8_t reading; /* this version's files are being read */
};

static struct digest version(uint8_t n)
{
    return (struct digest){ { n, 0xaa } };
}

static enum rc admit(void *arg, const struct unit_record *unit, const struct digest *manifest,
                     struct admission *ret)
{
    struct world *w = arg;

    (void)unit;
    *ret = (struct admission){
        .health = { .type = w->health, .ready_ms = READY_MS, .soak_ms = SOAK_MS },
        .life = w->life[manifest->b[0]],
    };
    return manifest->b[0] == w->reading ? RC_BUSY : RC_OK;
}

static void take_action(struct world *w, const struct action *a)
{
    w->starts += a->type == ACTION_START;
    w->started[a->manifest.b[0]] += a->type == ACTION_START;
    w->commits += a->type == ACTION_COMMIT;
    if (a->type == ACTION_NOTE)
        w->notes[a->code]++;
    if (a->type == ACTION_FREEZE || a->type == ACTION_THAW) {
        w->freezes += a->type == ACTION_FREEZE;
        w->thaws += a->type == ACTION_THAW;
        reconcile_freeze(&w->t, a->instance, a->type == ACTION_FREEZE, w->now);
    }
}

static void step(struct world *w)
{
    const struct reconcile_ask ask = { .admit = admit, .arg = w };

    reconcile_step(&w->t, w->now, &ask);
    for (uint32_t i = 0; i < w->t.n_actions; i++)
        take_action(w, &w->t.action[i]);
    reconcile_reset(&w->t);
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

/* Order payloads: names and versions, up to a NULL. */
static void order(struct world *w, const char *a, uint8_t va, const char *b, uint8_t vb)
{
    struct order *o = calloc(1, sizeof *o);
    const char *names[] = { a, b };
    const uint8_t versions[] = { va, vb };

    assert_non_null(o);
    for (uint32_t i = 0; i < 2 && names[i]; i++) {
        struct order_line *line = &o->line[o->n_lines++];

        memcpy(line->tenant, "acme", 5);
        (void)snprintf(line->name, sizeof line->name, "%s", names[i]);
        line->manifest = version(versions[i]);
    }
    assert_int_equal(reconcile_order(&w->t, o), 0);
    free(o);
    step(w);
}

static struct unit *unit_of(struct world *w, const char *name)
{
    struct unit *u = reconcile_find(&w->t, "acme", name);

    assert_non_null(u);
    return u;
}

static void pass_time(struct world *w, uint64_t ms)
{
    w->now += ms;
    step(w);
}

static void launched(struct world *w, struct unit *u)
{
    assert_int_equal(u->run.phase, RUN_STARTING);
    reconcile_launched(&w->t, u->run.instance, w->now);
    step(w);
}

static void ready(struct world *w, struct unit *u)
{
    launched(w, u);
    reconcile_ready(&w->t, u->run.instance, w->now);
    step(w);
    assert_int_equal(u->run.phase, RUN_READY);
}

static void ended(struct world *w, struct unit *u, enum rc code)
{
    assert_int_not_equal(u->run.phase, RUN_NONE);
    reconcile_exited(&w->t, u->run.instance, code, w->now);
    step(w);
}

static void input(struct world *w, enum input_kind kind, const char *name, bool safe)
{
    struct input in = { .kind = kind, .safe = safe };

    (void)snprintf(in.name, sizeof in.name, "%s", name);
    reconcile_input(&w->t, &in);
    step(w);
}

/* ---- one-shot ---- */

static void a_oneshot_commits_by_ending_well_and_never_runs_again(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    w->life[1].kind = KIND_ONESHOT;
    order(w, "job", 1, NULL, 0);
    u = unit_of(w, "job");
    ready(w, u);
    pass_time(w, 100 * SOAK_MS); /* only its end commits it */
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    w->t.changed = false;
    ended(w, u, RC_OK);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_true(w->t.changed);
    assert_int_equal(u->kept.done.b[0], 1);
    assert_int_equal(u->rests, RC_DONE);
    pass_time(w, 1000000);
    reconcile_reconsider(&w->t);
    pass_time(w, 1000000);
    assert_int_equal(w->starts, 1);

    /* nor under the next agent, which knows the record only; nor after another version */
    const struct unit_record kept = u->kept;
    memset(&w->t.unit[0], 0, sizeof w->t.unit[0]);
    w->t.unit[0].kept = kept;
    reconcile_resume(&w->t, false, w->now);
    pass_time(w, 1000);
    assert_int_equal(w->starts, 1);
    order(w, "job", 2, NULL, 0);
    ready(w, u);
    pass_time(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    order(w, "job", 1, NULL, 0);
    ended(w, u, RC_KILLED);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(w->started[1], 1);
    free(w);
}

static void a_oneshot_that_fails(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    w->life[1].kind = w->life[2].kind = KIND_ONESHOT;
    order(w, "job", 1, NULL, 0);
    u = unit_of(w, "job");
    launched(w, u);
    ended(w, u, RC_OK); /* never ready, so it ended too early */
    assert_int_equal(u->kept.state, SLOT_FAILED);
    assert_int_equal(u->kept.code, RC_EXITED);
    w->health = HEALTH_ALIVE; /* here the end is all that counts */
    order(w, "job", 2, NULL, 0);
    launched(w, u);
    ended(w, u, RC_OK);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    order(w, "job", 3, NULL, 0);
    launched(w, u);
    ended(w, u, RC_OK); /* a service may not end */
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->run.phase, RUN_NONE); /* and what it goes back to has done its work */
    free(w);
}

/* ---- schedules ---- */

static void a_schedule_starts_it(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    w->life[1].kind = KIND_SCHEDULED;
    w->life[1].schedule = (struct schedule){ .at_aos = true, .event = "node" };
    order(w, "job", 1, NULL, 0);
    u = unit_of(w, "job");
    assert_int_equal(u->rests, RC_RESTS);
    assert_int_equal(w->t.wake_ms, UINT64_MAX);
    input(w, INPUT_LOS, "", false);
    input(w, INPUT_EVENT, "another", false);
    assert_int_equal(u->run.phase, RUN_NONE);
    input(w, INPUT_AOS, "station", false);
    ready(w, u);
    ended(w, u, RC_OK);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    pass_time(w, 1000000);
    assert_int_equal(w->starts, 1);
    input(w, INPUT_EVENT, "node", false);
    ready(w, u);
    input(w, INPUT_AOS, "station", false); /* while it runs: missed */
    ended(w, u, RC_OOM);                   /* a failure waits for the next time */
    assert_int_equal(u->kept.code, RC_OOM);
    pass_time(w, 1000000);
    assert_int_equal(w->starts, 2);
    input(w, INPUT_AOS, "station", false);
    ready(w, u);
    ended(w, u, RC_OK);
    assert_int_equal(u->kept.code, RC_OK);
    assert_int_equal(w->starts, 3);

    /* by time: at once, and then from start to start */
    w->life[2].kind = KIND_SCHEDULED;
    w->life[2].schedule.every_s = 10;
    w->life[2].restart.policy = RESTART_ON_FAILURE;
    order(w, "job", 2, NULL, 0);
    uint64_t began = w->now;
    ready(w, u);
    ended(w, u, RC_OK);
    assert_int_equal(w->t.wake_ms, began + 10000);
    pass_time(w, 9999);
    assert_int_equal(u->run.phase, RUN_NONE);
    pass_time(w, 1);
    ready(w, u);
    ended(w, u, RC_KILLED); /* this one is tried again */
    assert_int_equal(w->t.wake_ms, w->now + LIFE_BACKOFF_MS);
    pass_time(w, LIFE_BACKOFF_MS);
    ready(w, u);
    free(w);
}

/* What ran before goes on until the new version is due. */
static void an_update_waits_for_its_schedule(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    order(w, "cam", 1, NULL, 0);
    u = unit_of(w, "cam");
    ready(w, u);
    pass_time(w, SOAK_MS);
    w->life[2].kind = KIND_SCHEDULED;
    w->life[2].schedule.at_los = true;
    order(w, "cam", 2, NULL, 0);
    pass_time(w, 100000);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    assert_int_equal(u->run.phase, RUN_READY);
    assert_int_equal(u->run.manifest.b[0], 1);
    input(w, INPUT_LOS, "", false);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    ended(w, u, RC_KILLED);
    assert_int_equal(u->run.manifest.b[0], 2);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    free(w);
}

/* ---- restarts ---- */

static void policies(void **state)
{
    static const struct {
        enum restart_policy policy;
        enum rc end;
        bool again;
    } rows[] = {
        { RESTART_ALWAYS, RC_OK, true },      { RESTART_ALWAYS, RC_SECCOMP, true },
        { RESTART_ON_FAILURE, RC_OK, false }, { RESTART_ON_FAILURE, RC_OOM, true },
        { RESTART_NEVER, RC_OK, false },      { RESTART_NEVER, RC_KILLED, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world *w = world_new();
        struct unit *u;

        w->life[1].restart.policy = rows[i].policy;
        order(w, "cam", 1, NULL, 0);
        u = unit_of(w, "cam");
        ready(w, u);
        pass_time(w, SOAK_MS);
        ended(w, u, rows[i].end);
        pass_time(w, 100 * LIFE_BACKOFF_MAX_MS);
        assert_int_equal(u->run.phase == RUN_STARTING, rows[i].again);
        assert_int_equal(u->kept.state, SLOT_COMMITTED);
        if (!rows[i].again)
            assert_int_equal(u->rests, RC_DONE);
        if (rows[i].end != RC_OK)
            assert_int_equal(u->kept.code, rows[i].end);
        free(w);
    }
}

static void backoff(void **state)
{
    static const struct restart rules[] = { { 0 },
                                            { .backoff_ms = 3000, .backoff_max_ms = 5000 },
                                            { .backoff_ms = 1 },
                                            { .backoff_ms = 120000 },
                                            { .backoff_max_ms = 500 } };

    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        uint64_t least = rules[i].backoff_ms > 1000 ? rules[i].backoff_ms : LIFE_BACKOFF_MS;
        uint64_t most = rules[i].backoff_max_ms ? rules[i].backoff_max_ms : LIFE_BACKOFF_MAX_MS;
        uint64_t before = 0;

        assert_int_equal(life_backoff_ms(&rules[i], 1), least);
        for (uint32_t n = 1; n < 100; n++) {
            uint64_t ms = life_backoff_ms(&rules[i], n);

            assert_true(ms >= before && ms <= (most > least ? most : least));
            before = ms;
        }
        assert_int_equal(life_backoff_ms(&rules[i], UINT32_MAX), most > least ? most : least);
    }
}

static struct unit *spend(struct world *w, uint8_t v)
{
    struct unit *u;

    w->life[v].restart = (struct restart){ .budget = 3, .window_s = 100, .backoff_max_ms = 1000 };
    order(w, "cam", v, NULL, 0);
    u = unit_of(w, "cam");
    if (u->run.phase == RUN_STOPPING)
        ended(w, u, RC_KILLED);
    ready(w, u);
    pass_time(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    for (uint32_t i = 0; i < 3; i++) {
        ended(w, u, RC_OOM);
        assert_int_equal(u->kept.spent, i + 1);
        pass_time(w, 1000);
        ready(w, u);
    }
    return u;
}

static void a_budget_ends(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u = spend(w, 1);

    ended(w, u, RC_OOM);
    assert_int_equal(u->kept.state, SLOT_FAILED);
    assert_int_equal(u->kept.code, RC_CRASH_LOOP);
    assert_int_equal(w->notes[RC_CRASH_LOOP], 1);
    pass_time(w, 1000000);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_rc(state_check(&(struct state){ .n_units = 1, .unit = { u->kept } }, NULL), RC_OK);
    order(w, NULL, 0, NULL, 0);
    order(w, "cam", 1, NULL, 0);
    assert_int_equal(u->kept.code, RC_FAILED_BEFORE);

    /* with one to go back to */
    order(w, "cam", 2, NULL, 0);
    ready(w, u);
    pass_time(w, SOAK_MS);
    u = spend(w, 3);
    ended(w, u, RC_OOM);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.code, RC_CRASH_LOOP);
    assert_int_equal(u->run.manifest.b[0], 2);
    free(w);
}

/* Whether the version before may run is not known at once after a start of the agent: that is no
 * reason to have none. */
static void a_budget_waits_for_the_version_before(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    order(w, "cam", 2, NULL, 0);
    u = unit_of(w, "cam");
    ready(w, u);
    pass_time(w, SOAK_MS);
    u = spend(w, 3);
    w->reading = 2;
    ended(w, u, RC_OOM);
    pass_time(w, 10000);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.previous.b[0], 2);
    w->reading = 0;
    pass_time(w, 10000);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->run.manifest.b[0], 2);
    free(w);
}

static void a_budget_comes_back_and_survives_the_agent(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u = spend(w, 1);

    pass_time(w, 100000); /* the window is over */
    assert_int_equal(u->kept.spent, 0);
    ended(w, u, RC_OOM);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.spent, 1);
    free(w);

    w = world_new();
    u = spend(w, 1);
    struct unit_record kept = u->kept;
    memset(&w->t.unit[0], 0, sizeof w->t.unit[0]);
    w->t.unit[0].kept = kept;
    reconcile_resume(&w->t, false, w->now);
    step(w);
    ready(w, u);
    ended(w, u, RC_OOM); /* the one too many, whoever counted the others */
    assert_int_equal(u->kept.state, SLOT_FAILED);
    free(w);
}

/* ---- modes ---- */

static void modes(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *cam, *safe;

    w->life[2].modes = MODE_SAFE;
    order(w, "cam", 1, "safe", 2);
    cam = unit_of(w, "cam");
    safe = unit_of(w, "safe");
    assert_int_equal(safe->rests, RC_OUT_OF_MODE);
    ready(w, cam);
    uint32_t trials = cam->kept.trials;
    for (uint32_t i = 0; i < 2 * RECONCILE_TRIALS_MAX; i++) { /* no fault of a trial */
        input(w, INPUT_MODE, "", true);
        assert_true(w->t.changed);
        assert_int_equal(cam->run.phase, RUN_STOPPING);
        ended(w, cam, RC_KILLED);
        assert_int_equal(cam->run.phase, RUN_NONE);
        input(w, INPUT_MODE, "", false);
        if (safe->run.phase == RUN_STARTING)
            launched(w, safe);
        ended(w, safe, RC_KILLED);
        ready(w, cam);
        assert_int_equal(cam->kept.trials, trials);
    }
    assert_int_equal(cam->kept.state, SLOT_TRIAL);
    assert_int_equal(cam->failures, 0);
    free(w);
}

static void freezing(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    w->life[1].freeze = true;
    order(w, "cam", 1, NULL, 0);
    u = unit_of(w, "cam");
    ready(w, u);
    input(w, INPUT_MODE, "", true);
    pass_time(w, 10 * SOAK_MS);
    assert_int_equal(w->freezes, 1);
    assert_int_equal(u->run.phase, RUN_READY);
    assert_int_equal(u->kept.state, SLOT_TRIAL); /* standing still proves nothing */
    input(w, INPUT_MODE, "", false);
    assert_int_equal(w->thaws, 1);
    pass_time(w, SOAK_MS);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(w->starts, 1);

    /* what cannot be frozen is stopped for the mode, at no fault of its own */
    input(w, INPUT_MODE, "", true);
    reconcile_freeze_failed(&w->t, u->run.instance, w->now);
    pass_time(w, 10);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    ended(w, u, RC_KILLED);
    pass_time(w, 10 * SOAK_MS);
    assert_int_equal(u->run.phase, RUN_NONE);
    assert_int_equal(u->rests, RC_OUT_OF_MODE);
    assert_int_equal(u->failures, 0);
    free(w);
}

/* ---- dependencies ---- */

static void after(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *db, *web;

    w->life[2].n_after = 1;
    memcpy(w->life[2].after[0], "db", 3);
    order(w, "db", 1, "web", 2);
    db = unit_of(w, "db");
    web = unit_of(w, "web");
    launched(w, db);
    pass_time(w, 100);
    assert_int_equal(web->run.phase, RUN_NONE);
    assert_int_equal(web->rests, RC_AFTER);
    assert_int_equal(w->notes[RC_AFTER], 1); /* once */
    reconcile_ready(&w->t, db->run.instance, w->now);
    step(w);
    ready(w, web);
    pass_time(w, SOAK_MS);
    ended(w, db, RC_KILLED);
    assert_int_equal(w->notes[RC_AFTER], 2); /* told, and not stopped */
    pass_time(w, 10);
    assert_int_equal(w->notes[RC_AFTER], 2);
    assert_int_equal(web->run.phase, RUN_READY);
    free(w);

    /* a circle */
    w = world_new();
    w->life[1].n_after = w->life[2].n_after = 1;
    memcpy(w->life[1].after[0], "web", 4);
    memcpy(w->life[2].after[0], "db", 3);
    order(w, "db", 1, "web", 2);
    pass_time(w, 1);
    assert_int_equal(unit_of(w, "db")->rests, RC_AFTER_CYCLE);
    assert_int_equal(unit_of(w, "web")->rests, RC_AFTER_CYCLE);
    assert_int_equal(w->starts, 0);
    free(w);

    /* one that has done its work will do; one that nobody ordered never does */
    w = world_new();
    w->life[1].kind = KIND_ONESHOT;
    w->life[2].n_after = 1;
    memcpy(w->life[2].after[0], "db", 3);
    order(w, "db", 1, "web", 2);
    ready(w, unit_of(w, "db"));
    ended(w, unit_of(w, "db"), RC_OK);
    assert_int_equal(unit_of(w, "web")->run.phase, RUN_STARTING);
    free(w);
    w = world_new();
    w->life[2].n_after = 1;
    memcpy(w->life[2].after[0], "db", 3);
    order(w, "web", 2, NULL, 0);
    pass_time(w, 1000000);
    assert_int_equal(unit_of(w, "web")->rests, RC_AFTER);
    free(w);
}

/* ---- time of running ---- */

static void run_time(void **state)
{
    (void)state;
    struct world *w = world_new();
    struct unit *u;

    w->life[1].run_s_orbit = 10;
    order(w, "cam", 1, NULL, 0);
    u = unit_of(w, "cam");
    pass_time(w, 5000); /* not yet launched */
    ready(w, u);
    pass_time(w, 4000);
    assert_int_equal(w->t.wake_ms, w->now + 6000);
    ended(w, u, RC_OOM); /* committed by now; what it ran counts on */
    pass_time(w, 3000);
    ready(w, u);
    pass_time(w, 5999);
    assert_int_equal(u->run.phase, RUN_READY);
    pass_time(w, 1);
    assert_int_equal(u->run.phase, RUN_STOPPING);
    ended(w, u, RC_KILLED);
    assert_int_equal(u->rests, RC_RUN_TIME);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    pass_time(w, 1000000);
    assert_int_equal(u->run.phase, RUN_NONE);
    input(w, INPUT_EVENT, LIFE_ORBIT_EVENT, false);
    ready(w, u);
    free(w);
}

/* ---- anything at all ---- */

#define CREW 4U /* payloads; payload i runs version i + 1 */
static const char *const crew[CREW] = { "a", "b", "c", "d" };

struct history {
    bool done[VERSIONS];
    uint32_t n_starts[VERSIONS];
    uint64_t restarted_ms[VERSIONS][64]; /* after failures, by itself */
    uint32_t n_restarts[VERSIONS];
};

static struct life random_life(unsigned *seed, uint32_t self)
{
    struct life l = { .kind = (enum payload_kind)(rand_r(seed) % KINDS),
                      .modes = (uint32_t)(rand_r(seed) % 4),
                      .restart = { .policy = (enum restart_policy)(rand_r(seed) % 3),
                                   .backoff_ms = (uint32_t)(rand_r(seed) % 3) * 500U } };

    if (rand_r(seed) % 2) {
        l.restart.budget = 1 + (uint32_t)(rand_r(seed) % 4);
        l.restart.window_s = LIFE_WINDOW_KEPT_S;
    }
    if (l.kind == KIND_SCHEDULED) {
        l.schedule = (struct schedule){ .every_s = (uint32_t)(rand_r(seed) % 2) * 7U,
                                        .at_aos = rand_r(seed) % 2 };
        l.schedule.at_los = l.schedule.every_s == 0 && !l.schedule.at_aos;
    }
    l.freeze = l.kind == KIND_SERVICE && rand_r(seed) % 2;
    if (rand_r(seed) % 3 == 0) {
        l.n_after = 1;
        memcpy(l.after[0], crew[(self + 1 + (uint32_t)rand_r(seed) % 3) % CREW], 2);
    }
    if (rand_r(seed) % 4 == 0)
        l.run_s_orbit = 15;
    return l;
}

/* What must hold of each start, at the moment it is asked for. */
static void check_start(struct world *w, struct history *h, const struct action *a)
{
    const struct unit *u = &w->t.unit[a->unit];
    uint8_t v = a->manifest.b[0];
    const struct life *l = &w->life[v];

    assert_true(life_in_mode(l, w->t.mode));
    assert_false(l->kind == KIND_ONESHOT && h->done[v]);
    assert_true(gate_after_ready(&w->t, u, l));
    if (l->run_s_orbit != 0)
        assert_true(u->orbit_ms < l->run_s_orbit * 1000ULL);
    h->n_starts[v]++;
}

static void check_budget(const struct world *w, struct history *h, uint8_t v)
{
    const struct restart *r = &w->life[v].restart;
    uint32_t n = 0;

    if (r->budget == 0)
        return;
    for (uint32_t i = 0; i < h->n_restarts[v] && i < 64; i++)
        n += w->now - h->restarted_ms[v][i] < r->window_s * 1000ULL;
    assert_true(n <= r->budget);
}

static void random_step(struct world *w, struct history *h)
{
    const struct reconcile_ask ask = { .admit = admit, .arg = w };

    for (uint32_t round = 0; round < 50; round++) {
        reconcile_step(&w->t, w->now, &ask);
        if (w->t.n_actions == 0)
            return;
        for (uint32_t i = 0; i < w->t.n_actions; i++) {
            if (w->t.action[i].type == ACTION_START)
                check_start(w, h, &w->t.action[i]);
            take_action(w, &w->t.action[i]);
        }
        reconcile_reset(&w->t);
    }
    fail_msg("it never comes to rest");
}

static void random_end(struct world *w, struct history *h, struct unit *u, unsigned *seed)
{
    static const enum rc ends[] = { RC_OK, RC_OK, RC_EXITED, RC_OOM, RC_SECCOMP, RC_KILLED };
    enum rc code = ends[(unsigned)rand_r(seed) % 6];
    uint8_t v = u->run.manifest.b[0];
    bool was_done = digest_same(&u->kept.done, &u->run.manifest);

    w->now++; /* so that a restart is told by its time */
    reconcile_exited(&w->t, u->run.instance, code, w->now);
    if (!was_done && digest_same(&u->kept.done, &u->run.manifest))
        h->done[v] = true;
    if (u->recent.n > 0 && u->recent.at_ms[u->recent.n - 1] == w->now) {
        h->restarted_ms[v][h->n_restarts[v] % 64] = w->now;
        h->n_restarts[v]++;
    }
    check_budget(w, h, v);
}

static void random_event(struct world *w, struct history *h, unsigned *seed)
{
    struct unit *u = &w->t.unit[(uint32_t)rand_r(seed) % w->t.n_units];
    uint64_t instance = u->run.instance;

    switch (rand_r(seed) % 9) {
    case 0:
    case 1:
        reconcile_launched(&w->t, instance, w->now);
        break;
    case 2:
    case 3:
        reconcile_ready(&w->t, instance, w->now);
        break;
    case 4:
        if (u->run.phase == RUN_UP || u->run.phase == RUN_READY || u->run.phase == RUN_STOPPING)
            random_end(w, h, u, seed);
        break;
    case 5:
        if (rand_r(seed) % 4 == 0)
            input(w, INPUT_MODE, "", w->t.mode != MODE_SAFE);
        break;
    case 6:
        input(w, rand_r(seed) % 2 ? INPUT_AOS : INPUT_LOS, "x", false);
        break;
    case 7:
        if (rand_r(seed) % 8 == 0)
            input(w, INPUT_EVENT, LIFE_ORBIT_EVENT, false);
        break;
    default:
        w->now += (uint64_t)rand_r(seed) % 3000;
        break;
    }
}

/* Nothing runs for long where it may not: it was told to stop, or to stand still. */
static void check_running(const struct world *w)
{
    for (uint32_t i = 0; i < w->t.n_units; i++) {
        const struct unit *u = &w->t.unit[i];

        if (u->run.phase != RUN_UP && u->run.phase != RUN_READY)
            continue;
        if (!life_in_mode(&u->run.life, w->t.mode))
            assert_true(u->run.life.freeze && u->run.frozen_ms != 0);
        else
            assert_int_equal(u->run.frozen_ms, 0);
    }
}

/* The agent starts again: what ran is gone, the records are there. */
static void random_restart(struct world *w)
{
    struct unit_record kept[CREW];

    for (uint32_t i = 0; i < w->t.n_units; i++)
        kept[i] = w->t.unit[i].kept;
    for (uint32_t i = 0; i < w->t.n_units; i++) {
        memset(&w->t.unit[i], 0, sizeof w->t.unit[i]);
        w->t.unit[i].kept = kept[i];
    }
    reconcile_resume(&w->t, w->t.mode == MODE_SAFE, w->now);
}

static void anything(void **state)
{
    uint32_t starts = 0, done = 0, spent = 0;

    (void)state;
    for (unsigned s = 0; s < 5000; s++) {
        struct world *w = world_new();
        struct history *h = calloc(1, sizeof *h);
        struct order *o = calloc(1, sizeof *o);
        unsigned seed = s;

        assert_true(h && o);
        w->health = s % 2 ? HEALTH_NOTIFY : HEALTH_ALIVE;
        for (uint32_t i = 0; i < CREW; i++) {
            struct order_line *line = &o->line[o->n_lines++];

            w->life[i + 1] = random_life(&seed, i);
            memcpy(line->tenant, "acme", 5);
            memcpy(line->name, crew[i], 2);
            line->manifest = version((uint8_t)(i + 1));
        }
        assert_int_equal(reconcile_order(&w->t, o), 0);
        for (uint32_t k = 0; k < 300; k++) {
            random_step(w, h);
            check_running(w);
            random_event(w, h, &seed);
            if (rand_r(&seed) % 100 == 0)
                random_restart(w);
            assert_false(w->t.stuck && w->t.n_units == 0);
        }
        for (uint32_t v = 1; v <= CREW; v++) {
            starts += h->n_starts[v];
            done += h->done[v];
            spent += h->n_restarts[v];
        }
        free(o);
        free(h);
        free(w);
    }
    print_message("%u starts, %u done, %u restarts of a budget\n", starts, done, spent);
    assert_true(starts > 1000 && done > 100 && spent > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_oneshot_commits_by_ending_well_and_never_runs_again),
        cmocka_unit_test(a_oneshot_that_fails),
        cmocka_unit_test(a_schedule_starts_it),
        cmocka_unit_test(an_update_waits_for_its_schedule),
        cmocka_unit_test(policies),
        cmocka_unit_test(backoff),
        cmocka_unit_test(a_budget_ends),
        cmocka_unit_test(a_budget_waits_for_the_version_before),
        cmocka_unit_test(a_budget_comes_back_and_survives_the_agent),
        cmocka_unit_test(modes),
        cmocka_unit_test(freezing),
        cmocka_unit_test(after),
        cmocka_unit_test(run_time),
        cmocka_unit_test(anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
