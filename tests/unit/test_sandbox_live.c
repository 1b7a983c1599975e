/* SPDX-License-Identifier: Apache-2.0
 *
 * What is changed about a payload that runs: whether it stands still, and its limits.  The real
 * berth-launch with real probes, so it needs root.
 */
#include "tests/unit/test.h"

#include "tests/unit/sandbox_rig.h"

static struct rig rig;
static struct rig_run run;

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "live");
    rig_slot(&rig, "slot", "sandbox_hog");
    return 0;
}

static int teardown(void **state)
{
    int status = rig_end(&rig);

    (void)state;
    return status == 0 && rig_remove(&rig) ? 0 : -1;
}

static void start(const char *what, const char *arg)
{
    const char *const args[] = { "/bin/probe", what, arg, NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    scoped(close_fd) int slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(slot >= 0);
    rig_launch(&rig, &plan, slot, -1, &run);
    if (!run.started)
        fail_msg("%s: %s", run.first.failed.step, run.first.failed.what);
}

static void await_ready(void)
{
    char text[64];

    assert_true(rig_wait(run.fds.fd[WIRE_FD_NOTIFY]));
    assert_true(recv(run.fds.fd[WIRE_FD_NOTIFY], text, sizeof text, 0) > 0);
}

static struct wire_usage usage(void)
{
    const struct wire_stat m = { .head = wire_head(WIRE_STAT, run.id) };
    union wire_message got;
    struct wire_fds none;

    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    rig_recv(&rig, &got, &none);
    assert_int_equal(got.head.type, WIRE_STATS);
    return got.stats.usage;
}

static void freeze(enum wire_type how)
{
    const struct wire_freeze m = { .head = wire_head(how, run.id) };
    union wire_message got = { 0 };
    struct wire_fds none;

    do { /* a machine that is busy may need more than one look */
        assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
        rig_recv(&rig, &got, &none);
        assert_int_equal(got.head.type, WIRE_FROZEN);
        assert_int_equal(got.head.instance, run.id);
        assert_int_equal(got.frozen.frozen, how == WIRE_FREEZE ? 1 : 0);
    } while (got.frozen.rc == RC_TIMEOUT);
    assert_rc((enum rc)got.frozen.rc, RC_OK);
}

/* Until it has used more processor time than so much. */
static uint64_t await_cpu(uint64_t more_than_us)
{
    const uint64_t until = clock_mono_ms() + RIG_WAIT_MS;
    uint64_t used;

    do {
        used = usage().cpu_us;
    } while (used <= more_than_us && clock_mono_ms() < until);
    assert_true(used > more_than_us);
    return used;
}

static void stands_still_and_goes_on(void **state)
{
    (void)state;
    start("spin", NULL);
    (void)await_cpu(0);
    freeze(WIRE_FREEZE);
    freeze(WIRE_FREEZE); /* twice is the same */
    const uint64_t used = usage().cpu_us;
    for (int i = 0; i < 200; i++) /* round trips, in which it would have used some */
        assert_int_equal(usage().cpu_us, used);
    freeze(WIRE_THAW);
    freeze(WIRE_THAW);
    (void)await_cpu(used);
    rig_stop(&rig, &run, 0);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_KILLED);
}

static void is_stopped_politely_while_frozen(void **state)
{
    (void)state;
    start("polite", NULL);
    await_ready();
    freeze(WIRE_FREEZE);
    rig_stop(&rig, &run, RIG_WAIT_MS);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED); /* so it heard SIGTERM and had time to do as it liked */
    assert_int_equal(e.status, 7);
}

static void is_killed_while_frozen(void **state)
{
    (void)state;
    start("deaf", NULL);
    await_ready();
    freeze(WIRE_FREEZE);
    rig_stop(&rig, &run, 0);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_KILLED);
    assert_int_equal(e.status, SIGKILL);
}

static void ends_with_berthd_while_frozen(void **state)
{
    (void)state;
    start("deaf", NULL);
    await_ready();
    freeze(WIRE_FREEZE);
    wire_fds_close(&run.fds); /* and the teardown sees the launcher end with nothing left */
}

static void is_not_answered_for_a_stranger(void **state)
{
    struct wire_freeze m = { .head = wire_head(WIRE_FREEZE, 4711) };

    (void)state;
    start("polite", NULL);
    await_ready();
    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    assert_in_range(usage().pids, 2, 32); /* the first answer is of the question after it */
    rig_stop(&rig, &run, 0);
    (void)rig_exited(&rig, &run);
}

static struct wire_limited relimit(const struct plan_limits *limits, const struct plan_share *share)
{
    const struct wire_limits m = { .head = wire_head(WIRE_LIMITS, run.id),
                                   .limits = *limits,
                                   .share = *share };
    union wire_message got = { 0 };
    struct wire_fds none;

    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    rig_recv(&rig, &got, &none);
    assert_int_equal(got.head.type, WIRE_LIMITED);
    assert_int_equal(got.head.instance, run.id);
    return got.limited;
}

static void await_pids(uint32_t want)
{
    const uint64_t until = clock_mono_ms() + RIG_WAIT_MS;

    while (usage().pids != want && clock_mono_ms() < until)
        continue;
    assert_int_equal(usage().pids, want);
}

/* What forks for ever gets as far as each new limit lets it. */
static void grows_and_shrinks_as_it_runs(void **state)
{
    static const char *const args[] = { "/bin/probe", "forks", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    start("forks", NULL);
    await_pids(32);
    plan.limits.pids = 48;
    plan.limits.cpu_permille = 2000;
    plan.limits.cpu_weight = 50;
    assert_rc((enum rc)relimit(&plan.limits, &plan.share).rc, RC_OK);
    await_pids(48);
    plan.limits.pids = 40; /* what is there stays, more does not come */
    assert_rc((enum rc)relimit(&plan.limits, &plan.share).rc, RC_OK);
    assert_in_range(usage().pids, 41, 48);
    rig_stop(&rig, &run, 0);
    (void)rig_exited(&rig, &run);
}

/* Below what it has in use there is no going, and it does not die of the attempt. */
static void refuses_less_memory_than_is_used(void **state)
{
    static const char *const args[] = { "/bin/probe", "hold", "24", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    start("hold", "24");
    await_ready();
    const struct plan_limits before = plan.limits;
    plan.limits.memory_bytes = 8U << 20;
    plan.limits.pids = 99;
    struct wire_limited said = relimit(&plan.limits, &plan.share);
    assert_rc((enum rc)said.rc, RC_CGROUP);
    assert_int_equal(said.sys, EBUSY);
    assert_true(usage().memory_bytes > 24U << 20); /* it lives */
    assert_int_equal(usage().oom_kills, 0);
    assert_rc((enum rc)relimit(&before, &plan.share).rc, RC_OK);
    plan.limits = before;
    plan.limits.memory_bytes = 28U << 20;
    assert_rc((enum rc)relimit(&plan.limits, &plan.share).rc, RC_OK);
    rig_stop(&rig, &run, 0);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_KILLED);
}

struct bad_limits {
    const char *why;
    void (*change)(struct plan_limits *l, struct plan_share *s);
};

#define BAD(fn, statement)                                                                         \
    static void fn(struct plan_limits *l, struct plan_share *s)                                    \
    {                                                                                              \
        (void)l;                                                                                   \
        (void)s;                                                                                   \
        statement;                                                                                 \
    }

BAD(no_memory, l->memory_bytes = 0)
BAD(all_memory, l->memory_bytes = UINT64_MAX; s->memory_bytes = UINT64_MAX)
BAD(no_pids, l->pids = 0)
BAD(above_share, s->pids = l->pids - 1)
BAD(other_tmp, l->tmp_bytes *= 2)
BAD(other_files, l->open_files++)
BAD(some_data, l->data_bytes = 8U << 20)
BAD(no_weight, l->cpu_weight = 0)

static const struct bad_limits bad[] = {
    { "no memory", no_memory },
    { "all memory", all_memory },
    { "no processes", no_pids },
    { "more than the tenant", above_share },
    { "another /tmp", other_tmp },
    { "other descriptors", other_files },
    { "data where there is none", some_data },
    { "no weight", no_weight },
};

static void refuses_what_are_no_limits(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };
    const struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    start("polite", NULL);
    await_ready();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct plan_limits l = plan.limits;
        struct plan_share s = plan.share;

        bad[i].change(&l, &s);
        if (relimit(&l, &s).rc != RC_PLAN_LIMIT)
            fail_msg("%s was taken", bad[i].why);
    }
    rig_stop(&rig, &run, 0);
    (void)rig_exited(&rig, &run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stands_still_and_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(is_stopped_politely_while_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(is_killed_while_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_with_berthd_while_frozen, setup, teardown),
        cmocka_unit_test_setup_teardown(is_not_answered_for_a_stranger, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_and_shrinks_as_it_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_less_memory_than_is_used, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_are_no_limits, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
