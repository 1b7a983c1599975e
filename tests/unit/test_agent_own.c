/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent as a unit of its own table: what the core decides about it, over starts of the agent,
 * and the record that its decisions are written into, killed at every call that changes a file.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "agent/own.h"
#include "base/fs.h"
#include "base/statefile.h"
#include "tests/unit/update_fixture.h"
#include "tests/unit/update_kill.h"

/* ---- the core -----------------------------------------------------------------------------------
 */

struct world {
    struct table t;
    uint64_t now;
    enum rc admit[256]; /* by first byte of the digest */
    uint64_t floor[256];
    uint32_t switches, commits, starts;
    struct digest to; /* of the last switch */
};

static struct digest version(uint8_t n)
{
    struct digest d = { { n, 0xaa } };

    return d;
}

static enum rc admit(void *arg, const struct unit_record *unit, const struct digest *manifest,
                     struct admission *ret)
{
    const struct world *w = arg;

    (void)unit;
    if (w->admit[manifest->b[0]] != RC_OK)
        return w->admit[manifest->b[0]];
    *ret =
        (struct admission){ .health = { .type = HEALTH_NOTIFY, .ready_ms = 500, .soak_ms = 1000 },
                            .floor = w->floor[manifest->b[0]] };
    return RC_OK;
}

static struct world *world_new(void)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->now = 1000;
    w->t.next_instance = 1;
    return w;
}

static void step(struct world *w)
{
    const struct reconcile_ask ask = { .admit = admit, .arg = w };

    for (unsigned round = 0; round < 4; round++) {
        reconcile_step(&w->t, w->now, &ask);
        for (uint32_t i = 0; i < w->t.n_actions; i++) {
            const struct action *a = &w->t.action[i];

            w->starts += a->type == ACTION_START;
            w->commits += a->type == ACTION_COMMIT;
            if (a->type == ACTION_SWITCH) {
                w->switches++;
                w->to = a->manifest;
            }
        }
        reconcile_reset(&w->t);
    }
}

/* Order the agent, or (0) only the payload acme/cam, or both. */
static struct unit *order(struct world *w, uint8_t agent, uint8_t cam)
{
    scoped(free_ptr) struct order *o = calloc(1, sizeof *o);

    if (cam) {
        struct order_line *line = &o->line[o->n_lines++];

        memcpy(line->tenant, "acme", 5);
        memcpy(line->name, "cam", 4);
        line->manifest = version(cam);
    }
    if (agent) {
        struct order_line *line = &o->line[o->n_lines++];

        memcpy(line->tenant, AGENT_TENANT, sizeof AGENT_TENANT);
        memcpy(line->name, AGENT_NAME, sizeof AGENT_NAME);
        line->manifest = version(agent);
    }
    assert_int_equal(reconcile_order(&w->t, o), 0);
    step(w);
    return reconcile_find(&w->t, AGENT_TENANT, AGENT_NAME);
}

/* The agent ends and another one starts: what runs is gone, the records stay. */
static void restart(struct world *w, uint8_t running, bool trial)
{
    for (uint32_t i = 0; i < w->t.n_units; i++) {
        const struct unit_record kept = w->t.unit[i].kept;

        w->t.unit[i] = (struct unit){ .kept = kept };
    }
    w->t.own.running = running ? version(running) : (struct digest){ 0 };
    w->t.own.trial = trial;
    w->now += 10;
    step(w);
}

static void failed(struct world *w, uint8_t which, enum rc code)
{
    w->t.own.failed = version(which);
    w->t.own.code = code;
}

static void good_course(void **state)
{
    struct world *w = world_new();
    struct unit *u = order(w, 1, 0);

    (void)state;
    w->floor[1] = 7;
    assert_int_equal(w->switches, 1);
    assert_int_equal(w->to.b[0], 1);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    step(w);
    assert_int_equal(w->switches, 1); /* asked once */
    restart(w, 1, true);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    assert_int_equal(u->kept.floor, 0);
    w->t.own.trial = false;
    w->admit[1] = RC_BUSY; /* its files are being read */
    step(w);
    assert_int_equal(u->kept.state, SLOT_TRIAL);
    w->admit[1] = RC_OK;
    step(w);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.floor, 7);
    assert_int_equal(u->kept.good.b[0], 1);
    restart(w, 1, false);
    assert_int_equal(w->switches, 1);
    assert_int_equal(w->commits, 1);
    assert_int_equal(w->starts, 0); /* never in a sandbox */
    free(w);
}

/* Committed version 1, version 2 ordered and switched to. */
static struct unit *second(struct world *w)
{
    struct unit *u = order(w, 1, 0);

    restart(w, 1, true);
    w->t.own.trial = false;
    step(w);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    u = order(w, 2, 0);
    assert_int_equal(w->switches, 2);
    assert_int_equal(w->to.b[0], 2);
    return u;
}

static void bad_course(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    failed(w, 2, RC_AGENT_DIED);
    restart(w, 1, false);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.code, RC_AGENT_DIED);
    assert_int_equal(w->switches, 2);
    u = order(w, 1, 0); /* back to what is good: nothing to do */
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    u = order(w, 2, 0); /* and never again */
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_FAILED_BEFORE);
    w->now += RECONCILE_BACKOFF_MAX_MS;
    step(w);
    assert_int_equal(w->switches, 2);
    free(w);
}

/* A cut between the table and the record: asked again, but not for ever. */
static void switch_that_did_not_happen(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    for (uint32_t i = 1; i < RECONCILE_TRIALS_MAX; i++) {
        restart(w, 1, false);
        assert_int_equal(w->switches, 2 + i);
    }
    restart(w, 1, false);
    assert_int_equal(w->switches, 1 + RECONCILE_TRIALS_MAX);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.code, RC_CRASH_LOOP);
    free(w);
}

/* The record says committed, the table does not yet. */
static void record_is_the_truth(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    restart(w, 2, false);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(u->kept.good.b[0], 2);
    assert_int_equal(u->kept.previous.b[0], 1);
    free(w);
}

/* Committed, and then it never got well: berth-boot has gone back. */
static void committed_fails_later(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    restart(w, 2, false);
    failed(w, 2, RC_CRASH_LOOP);
    restart(w, 1, false);
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_FAILED_BEFORE);
    assert_int_equal(u->kept.good.b[0], 1);
    assert_int_equal(w->switches, 2);
    free(w);
}

/* Its slot was damaged or gone: not its fault, and it is tried again when it is there again. */
static void slot_comes_back(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    restart(w, 2, false);
    failed(w, 2, RC_SLOT_DAMAGED);
    w->admit[2] = RC_NOT_FOUND;
    restart(w, 1, false);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    assert_int_equal(w->switches, 2);
    w->admit[2] = RC_OK;
    w->now += RECONCILE_BACKOFF_MAX_MS;
    reconcile_package(&w->t, AGENT_TENANT, AGENT_NAME, &u->kept.wanted, SLOT_EV_STAGE, RC_OK);
    reconcile_package(&w->t, AGENT_TENANT, AGENT_NAME, &u->kept.wanted, SLOT_EV_VERIFY, RC_OK);
    reconcile_package(&w->t, AGENT_TENANT, AGENT_NAME, &u->kept.wanted, SLOT_EV_INSTALL, RC_OK);
    step(w);
    assert_int_equal(w->switches, 3);
    assert_int_equal(w->to.b[0], 2);
    free(w);
}

/* It never got well, and then its files turn out not to be those that were signed: what was held
 * against it is void, in whatever order a cut lets that be known, and once only. */
static void crash_loop_of_a_damaged_slot(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    restart(w, 2, false);
    failed(w, 2, RC_CRASH_LOOP);
    restart(w, 1, false);
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.n_failed, 1);
    failed(w, 2, RC_SLOT_DAMAGED);
    w->admit[2] = RC_NOT_FOUND; /* while it is repaired */
    step(w);
    assert_int_equal(u->kept.state, SLOT_RECEIVING);
    assert_int_equal(u->kept.n_failed, 0);
    assert_int_equal(w->switches, 2);
    w->admit[2] = RC_OK;
    w->now += RECONCILE_BACKOFF_MAX_MS;
    step(w);
    assert_int_equal(w->switches, 3);
    assert_int_equal(w->to.b[0], 2);
    failed(w, 2, RC_AGENT_DIED); /* on trial its files are whole */
    restart(w, 1, false);
    assert_int_equal(u->kept.state, SLOT_ROLLED_BACK);
    assert_int_equal(u->kept.n_failed, 1);
    failed(w, 2, RC_SLOT_DAMAGED);
    step(w);
    assert_int_equal(u->kept.n_failed, 1);
    free(w);
}

/* The boot record was lost: the programs of the launch run, and go to what is ordered. */
static void lost_record(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    restart(w, 2, false);
    restart(w, 0, false);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    assert_int_equal(w->switches, 3);
    assert_int_equal(w->to.b[0], 2);
    restart(w, 2, true);
    w->t.own.trial = false;
    step(w);
    assert_int_equal(u->kept.state, SLOT_COMMITTED);
    free(w);
}

/* No order names an agent: the one that runs goes on. */
static void not_ordered_goes_on(void **state)
{
    struct world *w = world_new();
    struct unit *u = second(w);

    (void)state;
    restart(w, 2, false);
    u = order(w, 0, 5);
    assert_int_equal(u->kept.state, SLOT_ABSENT);
    assert_int_equal(w->switches, 2);
    assert_true(reconcile_needs(&w->t, AGENT_TENANT, AGENT_NAME, &u->kept.good));
    free(w);
}

static void one_trial_at_a_time(void **state)
{
    struct world *w = world_new();
    struct unit *cam, *u;

    (void)state;
    (void)order(w, 0, 5);
    cam = reconcile_find(&w->t, "acme", "cam");
    assert_int_equal(cam->kept.state, SLOT_TRIAL);
    reconcile_launched(&w->t, cam->run.instance, w->now);
    u = order(w, 1, 5); /* now the agent is on the first place or the second: find them again */
    cam = reconcile_find(&w->t, "acme", "cam");
    assert_int_equal(w->switches, 0);
    assert_int_equal(u->kept.state, SLOT_INSTALLED);
    reconcile_ready(&w->t, cam->run.instance, w->now);
    w->now += 1000;
    step(w);
    assert_int_equal(cam->kept.state, SLOT_COMMITTED);
    assert_int_equal(w->switches, 1);

    /* And while the agent is on trial, the version that committed runs, not the one that is new. */
    restart(w, 1, true);
    (void)order(w, 1, 6);
    cam = reconcile_find(&w->t, "acme", "cam");
    assert_int_equal(cam->kept.state, SLOT_INSTALLED);
    assert_int_equal(cam->run.manifest.b[0], 5);
    assert_int_equal(cam->run.phase, RUN_STARTING);
    assert_int_equal(cam->kept.trials, 0);
    reconcile_launched(&w->t, cam->run.instance, w->now);
    w->t.own.trial = false;
    step(w);
    assert_int_equal(cam->run.phase, RUN_STOPPING); /* now its turn */
    reconcile_exited(&w->t, cam->run.instance, RC_EXITED, w->now);
    step(w);
    assert_int_equal(cam->run.manifest.b[0], 6);
    assert_int_equal(cam->kept.state, SLOT_TRIAL);
    free(w);
}

static enum revoke_policy judge_two(void *arg, const struct unit_record *unit,
                                    const struct digest *manifest)
{
    (void)arg;
    (void)unit;
    return manifest->b[0] == 2 ? REVOKE_STOP : REVOKE_NONE;
}

static void revoked_is_left(void **state)
{
    const struct reconcile_judge judge = { .version = judge_two };
    struct world *w = world_new();

    (void)state;
    (void)second(w);
    restart(w, 2, false);
    reconcile_revoke(&w->t, &judge);
    w->now += RECONCILE_BACKOFF_MAX_MS;
    step(w);
    assert_int_equal(w->switches, 3);
    assert_true(digest_is_none(&w->to));
    restart(w, 0, false);
    assert_int_equal(w->switches, 3);
    free(w);
}

static void refused_if_not_booted(void **state)
{
    struct world *w = world_new();

    (void)state;
    w->admit[1] = RC_AGENT_UNBOOTED;
    struct unit *u = order(w, 1, 0);
    assert_int_equal(u->kept.state, SLOT_REFUSED);
    assert_int_equal(u->kept.code, RC_AGENT_UNBOOTED);
    assert_int_equal(w->switches, 0);
    free(w);
}

/* ---- the record ---------------------------------------------------------------------------------
 */

struct rig {
    struct scratch dir;
    struct agent *a;
};

static struct rig rig_new(void)
{
    struct rig r = { .dir = scratch_new(), .a = calloc(1, sizeof *r.a) };

    assert_non_null(r.a);
    r.a->state_dir = r.dir.fd;
    r.a->own.booted = true;
    r.a->own.anew_fd = -1;
    r.a->own.terms = (struct boot_terms){ .trial_s = 60 };
    return r;
}

static void rig_done(struct rig *r)
{
    free(r->a);
    scratch_done(&r->dir);
}

static struct boot_record load(const struct rig *r)
{
    struct boot_record record;
    struct err err;

    assert_rc(boot_load(r->dir.fd, &record, &err), RC_OK);
    return record;
}

static int do_switch(void *arg)
{
    const struct rig *r = arg;
    const struct action action = { .type = ACTION_SWITCH, .manifest = version(1) };

    own_switch(r->a, &action);
    return r->a->stopping ? r->a->own.exit_code : 1;
}

/* Killed anywhere, the record names a candidate with all its starts, or nobody; and with one there
 * is the state to go back to. */
static void switch_killed_anywhere(void **state)
{
    bool killed = true;
    size_t n = 1, before = 0;

    (void)state;
    for (; killed; n++) {
        struct rig r = rig_new();
        struct state kept;
        struct err err;
        int code = 0;

        killed = kill_at(n, do_switch, &r, NULL, &code);
        struct boot_record record = load(&r);
        bool chosen = !boot_id_none(&record.candidate);

        before += !chosen;
        assert_true(killed || (code == BOOT_EXIT_SWITCH && chosen));
        assert_true(!chosen || (record.tries == BOOT_TRIES && record.format == STATE_FORMAT));
        assert_true(!chosen || state_load_kept(r.dir.fd, &kept, &err) == RC_OK);
        assert_true(boot_id_none(&record.current));
        rig_done(&r);
    }
    assert_true(before > 5 && before < n - 5); /* it was killed on both sides */
}

static struct rig rig_on_trial(void)
{
    struct rig r = rig_new();
    struct err err = { 0 };
    const struct digest id = version(1);

    assert_int_equal(do_switch(&r), BOOT_EXIT_SWITCH);
    free(r.a);
    r.a = calloc(1, sizeof *r.a);
    assert_non_null(r.a);
    r.a->state_dir = r.dir.fd;
    r.a->own.booted = true;
    r.a->own.terms = (struct boot_terms){ .trial_s = 60 };
    memcpy(r.a->own.id.b, id.b, sizeof id.b);
    assert_rc(own_load(r.a, &err), RC_OK);
    r.a->own.proof.good = true; /* what is without one: an_agent_that_cannot_unpack */
    assert_true(r.a->own.trial && r.a->table.own.trial);
    r.a->own.since_ms = 1000;
    return r;
}

static int do_commit(void *arg)
{
    const struct rig *r = arg;

    r->a->heard = true;
    own_tick(r->a, 1000 + 3000);
    return r->a->own.trial ? 1 : 0;
}

static void commit_killed_anywhere(void **state)
{
    bool killed = true;
    size_t n = 1, before = 0;

    (void)state;
    for (; killed; n++) {
        struct rig r = rig_on_trial();
        int code = 0;

        killed = kill_at(n, do_commit, &r, NULL, &code);
        struct boot_record record = load(&r);
        bool committed = !boot_id_none(&record.current);

        before += !committed;
        assert_true(committed == boot_id_none(&record.candidate));
        assert_true(killed || (code == 0 && committed));
        assert_true(boot_id_none(&record.failed));
        rig_done(&r);
    }
    assert_true(before > 3 && before < n - 3);
}

#define UNSURE 2 /* in force on the disk that failed, and still on trial */

/* The disk fails in a commit, and is well again a second later: it is committed, in memory as on
 * disk, and nothing is done twice. */
static int do_commit_again(void *arg)
{
    const struct rig *r = arg;
    const struct boot_record *record = &r->a->own.record;

    fault_arm();
    (void)do_commit(arg);
    fault_disarm();
    struct boot_record found = load(r);
    bool in_force = memcmp(&found, record, sizeof found) == 0;
    bool unsure = r->a->own.trial && boot_id_none(&found.candidate);
    own_tick(r->a, 1000 + 4000);
    own_tick(r->a, 1000 + 5000);
    found = load(r);
    return in_force && memcmp(&found, record, sizeof found) == 0 && !r->a->own.trial &&
                   !r->a->stopping && !r->a->table.own.trial && !boot_id_none(&record->current)
               ? (unsure ? UNSURE : 0)
               : 1;
}

static void failed_saves_are_read_again(void **state)
{
    struct fault fault = { .kind = FAULT_FAIL, .sys = EIO, .n = 1 };
    size_t failed = 0;

    (void)state;
    for (bool met = true; met; fault.n++) {
        struct rig r = rig_on_trial();
        struct fault_seen seen = fault_run(do_commit_again, &r, &fault, NULL);

        met = seen.at.nr != 0;
        failed += met;
        if (seen.exit_code != 0)
            fail_msg("call %zu, %s: ended with %d", fault.n, fault_call_name(seen.at.nr),
                     seen.exit_code);
        rig_done(&r);
    }
    assert_true(failed > 6); /* both copies, each written, synced, renamed, synced */
}

/* From some call on nothing can be synced.  A commit that is read back, but not known to stay, is
 * no end of the trial, and does not stand in the way of the one that is. */
static void commits_not_synced_are_made_sure(void **state)
{
    struct fault fault = {
        .kind = FAULT_FAIL, .sys = EIO, .calls = CALLS_SYNC, .lasting = true, .n = 1
    };
    size_t failed = 0, unsure = 0;

    (void)state;
    for (bool met = true; met; fault.n++) {
        struct rig r = rig_on_trial();
        struct fault_seen seen = fault_run(do_commit_again, &r, &fault, NULL);

        met = seen.at.nr != 0;
        failed += met;
        unsure += seen.exit_code == UNSURE;
        if (seen.exit_code != 0 && seen.exit_code != UNSURE)
            fail_msg("from sync %zu on: ended with %d", fault.n, seen.exit_code);
        rig_done(&r);
    }
    assert_true(failed > 3); /* both copies, each a file and its directory */
    assert_true(unsure > 0);
}

/* When a trial ends, and how.  60 s of trial: a bundle counts after 3. */
static void when_a_trial_ends(void **state)
{
    static const struct {
        const char *why;
        enum boot_policy policy;
        bool heard;
        uint32_t ran; /* of which none runs */
        uint64_t after_ms;
        char end; /* 't' on trial, 'c' committed, 'g' gives up */
    } rows[] = {
        { "nothing yet", BOOT_EITHER, false, 0, 59000, 't' },
        { "well for so long", BOOT_EITHER, false, 0, 60000, 'c' },
        { "a bundle at once", BOOT_EITHER, true, 0, 2900, 't' },
        { "a bundle", BOOT_EITHER, true, 0, 3000, 'c' },
        { "a bundle, payloads or not", BOOT_EITHER, true, 1, 3000, 'c' },
        { "a payload is missing", BOOT_EITHER, false, 1, 119000, 't' },
        { "a payload stays missing", BOOT_EITHER, false, 1, 121000, 'g' },
        { "well, but no bundle", BOOT_BUNDLE, false, 0, 60000, 't' },
        { "no bundle in time", BOOT_BUNDLE, false, 0, 61000, 'g' },
        { "a bundle where only that counts", BOOT_BUNDLE, true, 1, 3000, 'c' },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig r = rig_on_trial();

        r.a->own.terms.policy = rows[i].policy;
        r.a->own.record.ran = rows[i].ran;
        r.a->heard = rows[i].heard;
        for (uint64_t t = 0; t <= rows[i].after_ms && r.a->own.trial && !r.a->stopping; t += 100)
            own_tick(r.a, 1000 + t);
        char end = !r.a->own.trial ? 'c' : r.a->stopping ? 'g' : 't';
        struct boot_record record = load(&r);
        if (end != rows[i].end)
            fail_msg("%s: ended '%c'", rows[i].why, end);
        assert_int_equal(boot_id_none(&record.candidate), end == 'c');
        assert_int_equal(record.tries, end == 't' ? BOOT_TRIES : 0);
        assert_int_equal(record.reason, end == 'g' ? RC_HEALTH_TIMEOUT : 0);
        assert_int_equal(r.a->own.exit_code, end == 'g' ? BOOT_EXIT_GIVE_UP : 0);
        rig_done(&r);
    }
}

/* Heard and well as it is, it would be the last. */
static void an_agent_that_cannot_unpack(void **state)
{
    struct rig r = rig_on_trial();

    (void)state;
    r.a->own.terms.policy = BOOT_EITHER;
    r.a->heard = true;
    r.a->own.proof = (struct proof){ 0 };
    r.a->unpack_program = open("/dev/null", O_RDONLY | O_CLOEXEC); /* not to be executed */
    assert_true(r.a->unpack_program >= 0);
    for (uint64_t t = 1000; !r.a->stopping; t += 1000) {
        own_tick(r.a, t);
        assert_true(r.a->own.trial);
        assert_true(t < 60000);
        if (r.a->own.proof.busy) {
            struct pollfd ended = { .fd = r.a->own.proof.job.pidfd, .events = POLLIN };

            assert_int_equal(poll(&ended, 1, 300000), 1);
        }
    }
    struct boot_record record = load(&r);
    assert_int_equal(record.tries, 0);
    assert_int_equal(record.reason, RC_UNPACK_FAILED);
    assert_int_equal(r.a->own.exit_code, BOOT_EXIT_GIVE_UP);
    close_fd(&r.a->unpack_program);
    rig_done(&r);
}

/* An agent that cannot write the state as it was found ends before it has touched it. */
static void other_format_is_refused(void **state)
{
    struct rig r = rig_on_trial();
    struct boot_record record = load(&r);
    struct err err;

    (void)state;
    record.format = STATE_FORMAT + 1;
    assert_rc(boot_save(r.dir.fd, &record, &err), RC_OK);
    assert_rc(own_load(r.a, &err), RC_AGENT_FORMAT);
    record = load(&r);
    assert_int_equal(record.tries, 0);
    assert_int_equal(record.reason, RC_AGENT_FORMAT);
    rig_done(&r);
}

static struct rig rig_current(uint32_t starts)
{
    struct rig r = rig_new();
    const struct digest id = version(1);
    struct boot_record record = { .starts = starts };
    struct err err;

    memcpy(record.current.b, id.b, sizeof id.b);
    memcpy(r.a->own.id.b, id.b, sizeof id.b);
    assert_rc(boot_save(r.dir.fd, &record, &err), RC_OK);
    assert_rc(own_load(r.a, &err), RC_OK);
    assert_false(r.a->own.trial);
    r.a->own.since_ms = 1000;
    return r;
}

static int do_load(void *arg)
{
    const struct rig *r = arg;
    struct err err = { 0 };

    fault_arm();
    enum rc rc = own_load(r->a, &err);
    fault_disarm();
    if (r->a->own.damaged)
        return 1;
    return rc == RC_OK && r->a->own.record.starts != 4 ? 2 : (int)rc;
}

/* Without memory for its record it does not take itself for the agent of nobody. */
static void want_of_memory_is_no_damage(void **state)
{
    struct fault fault = { .kind = FAULT_FAIL, .sys = ENOMEM, .calls = CALLS_READ, .n = 1 };
    struct rig r = rig_current(4);

    (void)state;
    fault.under = r.dir.path;
    for (; fault.n <= 2; fault.n++) {
        struct fault_seen seen = fault_run(do_load, &r, &fault, NULL);

        assert_int_equal(seen.fired, 1);
        assert_int_equal(seen.exit_code, RC_OK);
    }
    fault.n = 1;
    fault.lasting = true;
    assert_int_equal(fault_run(do_load, &r, &fault, NULL).exit_code, RC_IO);
    rig_done(&r);
}

/* The count of starts of the current agent is cleared once it is well, and not before: at once if
 * somebody was heard, whatever the policy of trials is. */
static void starts_are_cleared(void **state)
{
    static const struct {
        uint32_t trial_s;
        bool heard;
        uint64_t not_yet_ms, then_ms;
    } rows[] = {
        { 60, false, 59900, 60000 },      { 60, true, 2900, 3000 },
        { 86400, false, 599900, 600000 }, { 86400, true, 599900, 600000 },
        { 6000, true, 299900, 300000 },
    };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        struct rig r = rig_current(4);

        r.a->own.terms.policy = i % 2 ? BOOT_EITHER : BOOT_BUNDLE;
        r.a->own.terms.trial_s = rows[i / 2].trial_s;
        r.a->heard = rows[i / 2].heard;
        own_tick(r.a, 1000);
        own_tick(r.a, 1000 + rows[i / 2].not_yet_ms);
        assert_int_equal(load(&r).starts, 4);
        own_tick(r.a, 1000 + rows[i / 2].then_ms);
        assert_int_equal(load(&r).starts, 0);
        rig_done(&r);
    }
}

/* Without the keys of the link nobody has shown that it could be replaced: the starts go on
 * counting, and a trial is not committed for being up.  But a start that was well in all else is
 * given back, and once only. */
static void the_deaf_are_not_well(void **state)
{
    struct rig r = rig_current(4);

    (void)state;
    r.a->shut_places = 1U << PLACE_LINK;
    r.a->own.terms.trial_s = 60;
    for (uint64_t t = 0; t < 60000; t += 1000)
        own_tick(r.a, 1000 + t);
    assert_int_equal(load(&r).starts, 4);
    for (uint64_t t = 60000; t <= 600000; t += 1000)
        own_tick(r.a, 1000 + t);
    assert_int_equal(load(&r).starts, 3);
    assert_false(r.a->stopping);
    own_stopped(r.a);
    assert_int_equal(load(&r).starts, 3);
    rig_done(&r);

    r = rig_current(4); /* it ends because they are there again, and early */
    r.a->shut_places = 1U << PLACE_LINK;
    own_tick(r.a, 1000);
    own_stopped(r.a);
    assert_int_equal(load(&r).starts, 3);
    rig_done(&r);

    r = rig_on_trial();
    r.a->own.terms.policy = BOOT_EITHER;
    r.a->shut_places = 1U << PLACE_LINK;
    for (uint64_t t = 0; t <= 60000; t += 1000)
        own_tick(r.a, 1000 + t);
    assert_true(r.a->own.trial);
    rig_done(&r);

    r = rig_current(4); /* nobody is deaf for another directory */
    r.a->shut_places = ~(1U << PLACE_LINK);
    r.a->own.terms.trial_s = 60;
    own_tick(r.a, 1000);
    own_tick(r.a, 61000);
    assert_int_equal(load(&r).starts, 0);
    rig_done(&r);
}

/* The power is cut each orbit, for longer than there are starts: who runs for long enough is never
 * given up, and who does not is. */
static void power_cuts_do_not_condemn_the_deaf(void **state)
{
    static const uint64_t runs_ms[] = { 61000, 59000 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct rig r = rig_current(0);
        struct boot_record record = load(&r);
        const struct boot_id id = r.a->own.id;
        struct boot_id who = id;
        struct err err = { 0 };
        uint32_t orbits = 0;

        for (; orbits < 2 * BOOT_STARTS_MAX; orbits++) {
            assert_rc(boot_next(&record, BOOT_EV_START, NULL, &who), RC_OK);
            if (!boot_id_same(&who, &id))
                break;
            assert_rc(boot_save(r.dir.fd, &record, &err), RC_OK);
            r.a->own = (struct own){ .booted = true, .id = id, .terms = { .trial_s = 60 } };
            r.a->shut_places = 1U << PLACE_LINK;
            assert_rc(own_load(r.a, &err), RC_OK);
            for (uint64_t t = 0; t <= runs_ms[i]; t += 1000)
                own_tick(r.a, 1000 + t);
            record = load(&r);
        }
        assert_int_equal(orbits, i == 0 ? 2 * BOOT_STARTS_MAX : BOOT_STARTS_MAX);
        assert_int_equal(record.code, i == 0 ? RC_OK : RC_CRASH_LOOP);
        rig_done(&r);
    }
}

/* Who was asked to end has not failed; who has given up has. */
static void a_stop_is_no_failure(void **state)
{
    struct rig r = rig_current(4);
    const struct boot_news gone = { .code = RC_HEALTH_TIMEOUT };
    struct boot_record record;
    struct boot_id who;
    struct err err;

    (void)state;
    own_stopped(r.a);
    assert_int_equal(load(&r).starts, 3);
    rig_done(&r);

    r = rig_current(0); /* it is well: nothing is written */
    own_stopped(r.a);
    assert_int_equal(load(&r).starts, 0);
    rig_done(&r);

    r = rig_on_trial();
    assert_rc(boot_next(&r.a->own.record, BOOT_EV_START, &gone, &who), RC_OK);
    assert_int_equal(r.a->own.record.tries, BOOT_TRIES - 1);
    own_stopped(r.a);
    assert_int_equal(load(&r).tries, BOOT_TRIES);
    record = load(&r);
    assert_rc(boot_next(&record, BOOT_EV_GIVE_UP, &gone, NULL), RC_OK);
    assert_rc(boot_save(r.dir.fd, &record, &err), RC_OK);
    r.a->own.record = record;
    own_stopped(r.a);
    assert_int_equal(load(&r).tries, 0);
    rig_done(&r);

    r = rig_new(); /* of the launch: there is no count */
    own_stopped(r.a);
    assert_rc(boot_load(r.dir.fd, &record, &err), RC_OK);
    assert_int_equal(record.starts, 0);
    rig_done(&r);
}

/* What a start lacks can be used: that ends the agent, if no trial loses by it, and the later the
 * oftener it has. */
static void when_it_starts_anew(void **state)
{
    static const struct {
        const char *why;
        uint32_t anew;
        uint64_t after_ms;
        bool trial, deaf;
        uint32_t tries;
        enum slot_state slot;
        enum run_phase phase;
        bool ends;
    } rows[] = {
        { "too early", 0, 59999, .slot = SLOT_COMMITTED, .phase = RUN_READY },
        { "a minute", 0, 60000, .slot = SLOT_COMMITTED, .phase = RUN_READY, .ends = true },
        { "the second time", 1, 119999 },
        { "the second time, late", 1, 120000, .ends = true },
        { "uncounted", OWN_ANEW_UNKNOWN, 3839999 },
        { "uncounted, late", OWN_ANEW_UNKNOWN, 3840000, .ends = true },
        { "very often", 255, OWN_ANEW_MAX_MS - 1 },
        { "very often, late", 255, OWN_ANEW_MAX_MS, .ends = true },
        { "a payload on trial", 0, 60000, .slot = SLOT_TRIAL, .phase = RUN_READY },
        { "... that is started", 0, 60000, .slot = SLOT_TRIAL, .phase = RUN_STARTING },
        { "... that does not run", 0, 60000, .slot = SLOT_TRIAL, .ends = true },
        { "on trial", 0, 60000, .trial = true, .tries = 2 },
        { "on trial, deaf", 0, 60000, .trial = true, .deaf = true, .tries = 1, .ends = true },
        { "on its last trial, deaf", 0, 60000, .trial = true, .deaf = true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig r = rig_new();
        uint8_t counted = 0;

        put_file(r.dir.fd, "count", "", 0600);
        r.a->own.anew_fd = openat(r.dir.fd, "count", O_RDWR | O_CLOEXEC);
        assert_true(r.a->own.anew_fd >= 0);
        r.a->own.begun_ms = 5000;
        r.a->own.anew = rows[i].anew;
        r.a->own.trial = rows[i].trial;
        r.a->own.record.tries = rows[i].tries;
        r.a->shut_places = rows[i].deaf ? 1U << PLACE_LINK : 0;
        r.a->table.n_units = 1;
        r.a->table.unit[0].kept.state = rows[i].slot;
        r.a->table.unit[0].run.phase = rows[i].phase;
        own_start_anew(r.a, 5000 + rows[i].after_ms);
        if (r.a->stopping != rows[i].ends)
            fail_msg("%s: %s", rows[i].why, rows[i].ends ? "goes on" : "ends");
        assert_int_equal(r.a->own.exit_code, 0);
        assert_int_equal(pread(r.a->own.anew_fd, &counted, 1, 0), rows[i].ends ? 1 : 0);
        if (rows[i].ends)
            assert_int_equal(counted, rows[i].anew < 255 ? rows[i].anew + 1 : 255);
        (void)close(r.a->own.anew_fd);
        rig_done(&r);
    }
}

/* Only the one that failed, and only if it never got well. */
static void damage_is_an_excuse(void **state)
{
    struct rig r = rig_current(1);
    struct slot_id id = { .tenant = AGENT_TENANT, .payload = AGENT_NAME, .manifest = version(1) };
    const struct digest two = version(2);
    struct err err;

    (void)state;
    memcpy(r.a->own.record.failed.b, two.b, sizeof two.b);
    r.a->own.record.code = RC_CRASH_LOOP;
    assert_rc(boot_save(r.dir.fd, &r.a->own.record, &err), RC_OK);
    own_excuse(r.a, &id);
    id.manifest = two;
    memcpy(id.payload, "other", sizeof "other");
    own_excuse(r.a, &id);
    assert_int_equal(load(&r).code, RC_CRASH_LOOP);
    memcpy(id.payload, AGENT_NAME, sizeof AGENT_NAME);
    own_excuse(r.a, &id);
    assert_int_equal(load(&r).code, RC_SLOT_DAMAGED);
    assert_int_equal(load(&r).starts, 1);
    assert_int_equal(r.a->table.own.code, RC_SLOT_DAMAGED);
    assert_true(digest_same(&r.a->table.own.failed, &two));
    r.a->own.record.code = RC_AGENT_DIED;
    assert_rc(boot_save(r.dir.fd, &r.a->own.record, &err), RC_OK);
    own_excuse(r.a, &id);
    assert_int_equal(load(&r).code, RC_AGENT_DIED);
    rig_done(&r);
}

static void needed_slots(void **state)
{
    struct rig r = rig_on_trial();
    struct slot_id id = { .tenant = AGENT_TENANT, .payload = AGENT_NAME, .manifest = version(1) };

    (void)state;
    assert_true(own_needs(r.a, &id));
    id.manifest = version(2);
    assert_false(own_needs(r.a, &id));
    memcpy(r.a->own.record.previous.b, id.manifest.b, sizeof id.manifest.b);
    assert_true(own_needs(r.a, &id));
    memcpy(id.payload, "other", sizeof "other");
    assert_false(own_needs(r.a, &id));
    rig_done(&r);
}

/* Only from the directory that berth-boot names. */
static void claims_are_checked(void **state)
{
    struct rig r = rig_new();
    scoped(close_fd) int bin = -1, other = -1;
    char path[BOOT_PATH_CAP], name[BOOT_NAME_CAP];
    const struct boot_id id = { { 1, 0xaa } };
    struct err err;

    (void)state;
    boot_path(&id, path);
    boot_name(&id, name);
    assert_rc(fs_make_dirs(r.dir.fd, path, 0755, &err), RC_OK);
    assert_rc(fs_open(r.dir.fd, path, O_RDONLY | O_DIRECTORY, 0, &bin, &err), RC_OK);
    assert_rc(fs_open(r.dir.fd, "slots", O_RDONLY | O_DIRECTORY, 0, &other, &err), RC_OK);
    r.a->own.booted = false;
    own_claim(r.a, bin, NULL);
    assert_false(r.a->own.booted);
    own_claim(r.a, other, name);
    assert_false(r.a->own.booted);
    own_claim(r.a, bin, "../../bin");
    assert_false(r.a->own.booted);
    own_claim(r.a, bin, name);
    assert_true(r.a->own.booted && boot_id_same(&r.a->own.id, &id));
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_course),
        cmocka_unit_test(bad_course),
        cmocka_unit_test(switch_that_did_not_happen),
        cmocka_unit_test(record_is_the_truth),
        cmocka_unit_test(committed_fails_later),
        cmocka_unit_test(slot_comes_back),
        cmocka_unit_test(crash_loop_of_a_damaged_slot),
        cmocka_unit_test(lost_record),
        cmocka_unit_test(not_ordered_goes_on),
        cmocka_unit_test(one_trial_at_a_time),
        cmocka_unit_test(revoked_is_left),
        cmocka_unit_test(refused_if_not_booted),
        cmocka_unit_test(switch_killed_anywhere),
        cmocka_unit_test(commit_killed_anywhere),
        cmocka_unit_test(failed_saves_are_read_again),
        cmocka_unit_test(commits_not_synced_are_made_sure),
        cmocka_unit_test(when_a_trial_ends),
        cmocka_unit_test(an_agent_that_cannot_unpack),
        cmocka_unit_test(other_format_is_refused),
        cmocka_unit_test(want_of_memory_is_no_damage),
        cmocka_unit_test(starts_are_cleared),
        cmocka_unit_test(the_deaf_are_not_well),
        cmocka_unit_test(power_cuts_do_not_condemn_the_deaf),
        cmocka_unit_test(a_stop_is_no_failure),
        cmocka_unit_test(when_it_starts_anew),
        cmocka_unit_test(damage_is_an_excuse),
        cmocka_unit_test(needed_slots),
        cmocka_unit_test(claims_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
