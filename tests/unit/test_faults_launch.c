/* SPDX-License-Identifier: Apache-2.0
 *
 * Every system call of a launch that fails, and every one that its two processes are killed at: the
 * launch is refused with the step, the errno and the code of the step, or it is whole, as its
 * receipt shows.  Each time nothing is left, and the next launch works.
 *
 * The launch has all that a payload can have: an image of data and one of mail, a device, a sysfs
 * directory, a network with a rate, rates of disks.  Needs root.
 */
#include "tests/unit/test.h"

#include <dirent.h>

#include "sandbox/calls.h"
#include "tests/unit/launch_trace.h"
#include "tests/unit/sandbox_left.h"

#define IMAGE_BYTES (4U << 20)
#define CALLS_BOUND 2000U /* more than any role makes */
#define WORKS_EACH 8U     /* faults, and then a launch without one */

static struct rig rig;
static struct rig_run run;
static struct trace trace;
static struct plan plan;
static struct wire_receipt whole; /* of a launch without a fault */
static size_t descriptors;        /* of the launcher, between launches */
static int slot = -1, data = -1, mail = -1;

/* ---- steps ------------------------------------------------------------------------------------
 */

/* What a step that fails says, besides the errno; seen: it was made to. */
static struct {
    const char *step;
    enum rc rc;
    size_t seen;
} steps[] = {
    /* of the launcher */
    { "plan", RC_LAUNCH_STEP, 0 },
    { "mounts", RC_LAUNCH_STEP, 0 },
    { "data", RC_DATA_IMAGE, 0 },
    { "mail", RC_DATA_IMAGE, 0 },
    { "cgroup", RC_CGROUP, 0 },
    { "channels", RC_LAUNCH_STEP, 0 },
    { "clone", RC_LAUNCH_STEP, 0 },
    { "oom-score", RC_LAUNCH_STEP, 0 },
    { "id-map", RC_LAUNCH_STEP, 0 },
    { "network", RC_LAUNCH_STEP, 0 },
    { "data-ids", RC_DATA_IMAGE, 0 },
    { "data-ids", RC_LAUNCH_STEP, 0 },
    { "release", RC_LAUNCH_STEP, 0 },
    { "confirm", RC_LAUNCH_STEP, 0 },
    { "receipt", RC_LAUNCH_STEP, 0 },
    { "pidfd", RC_LAUNCH_STEP, 0 },
    /* of the stem; its "clone" is above */
    { "cgroup-attach", RC_LAUNCH_STEP, 0 },
    /* of process 1 */
    { "channel", RC_LAUNCH_STEP, 0 },
    { "wait", RC_LAUNCH_STEP, 0 },
    { "memfd-exec", RC_LAUNCH_STEP, 0 },
    { "inner-root", RC_LAUNCH_STEP, 0 },
    { "user-counts", RC_LAUNCH_STEP, 0 },
    { "cgroup-namespace", RC_LAUNCH_STEP, 0 },
    { "forbid-namespaces", RC_LAUNCH_STEP, 0 },
    { "root", RC_LAUNCH_STEP, 0 },
    { "tree", RC_LAUNCH_STEP, 0 },
    { "pivot", RC_LAUNCH_STEP, 0 },
    { "notify", RC_LAUNCH_STEP, 0 },
    { "bus", RC_LAUNCH_STEP, 0 },
    { "hostname", RC_LAUNCH_STEP, 0 },
    { "session", RC_LAUNCH_STEP, 0 },
    { "keyring", RC_LAUNCH_STEP, 0 },
    { "rlimits", RC_LAUNCH_STEP, 0 },
    { "slice", RC_LAUNCH_STEP, 0 },
    { "bounding-set", RC_LAUNCH_STEP, 0 },
    { "securebits", RC_LAUNCH_STEP, 0 },
    { "user", RC_LAUNCH_STEP, 0 },
    { "no-new-privs", RC_LAUNCH_STEP, 0 },
    { "die-with-launcher", RC_LAUNCH_STEP, 0 },
    { "landlock", RC_LAUNCH_STEP, 0 },
    { "fork", RC_LAUNCH_STEP, 0 },
    { "reaper", RC_LAUNCH_STEP, 0 },
    /* of the payload's process */
    { "stdio", RC_LAUNCH_STEP, 0 },
    { "descriptors", RC_LAUNCH_STEP, 0 },
    { "signals", RC_LAUNCH_STEP, 0 },
    { "directory", RC_LAUNCH_STEP, 0 },
    { "seen", RC_LAUNCH_STEP, 0 },
    { "seccomp", RC_LAUNCH_STEP, 0 },
    { "hidden", RC_LAUNCH_STEP, 0 },
    { "exec", RC_LAUNCH_EXEC, 0 },
    { "exec", RC_LAUNCH_STEP, 0 }, /* the launcher, which waits for it */
};

#define STEPS (sizeof steps / sizeof steps[0])

static const char *const roles[TRACE_ROLES] = { "launcher", "stem", "process 1", "payload" };

static const char *fault_text(void)
{
    static char text[160];
    enum call call = CALLS_N;
    bool known = call_find(CALLS_NATIVE, (uint32_t)trace.nr, &call);

    (void)snprintf(text, sizeof text, "%s, call %zu: %s(%llx, %llx, %llx), errno %d",
                   roles[trace.role], trace.n, known ? call_name(call) : "?",
                   (unsigned long long)trace.arg[0], (unsigned long long)trace.arg[1],
                   (unsigned long long)trace.arg[2], trace.sys);
    return text;
}

/* ---- one launch -------------------------------------------------------------------------------
 */

static bool launch(void)
{
    const int fds[] = { slot, data, mail };

    return trace_launch(&trace, &rig, &plan, fds, 3, &run);
}

static void end(void)
{
    assert_rc((enum rc)trace_stop(&trace, &rig, &run).rc, RC_KILLED);
}

/* The part of a receipt that is the same at every start. */
static bool same_receipt(const struct wire_receipt *a, const struct wire_receipt *b)
{
    return memcmp(a, b, offsetof(struct wire_receipt, ns)) == 0;
}

static void assert_nothing_left(void)
{
    char path[128];

    assert_int_equal(left_processes(&rig), 0);
    assert_int_equal(left_loops(&rig), 0);
    assert_int_equal(trace_descriptors(&rig), descriptors);
    for (size_t i = 0; i < 2; i++) { /* the tenant's, where it is made first and last */
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s/t-acme", i == 0 ? "" : "/memory",
                       rig.cgroup);
        assert_int_not_equal(access(path, F_OK), 0);
    }
}

static void assert_works(void)
{
    trace.n = 0;
    assert_true(launch());
    if (!run.started)
        fail_msg("after %s: %s, errno %d, %s", fault_text(), run.first.failed.step,
                 run.first.failed.sys, run.first.failed.what);
    end();
    assert_nothing_left();
}

/* ---- faults -----------------------------------------------------------------------------------
 */

/* A value that cannot be read makes limits come in the wrong order, which the kernel refuses. */
static bool follows(const struct wire_launch_failed *m)
{
    return strcmp(m->step, "cgroup") == 0 && m->sys == EINVAL;
}

static void assert_refused(void)
{
    const struct wire_launch_failed *m = &run.first.failed;
    size_t i = 0;

    while (i < STEPS && (strcmp(m->step, steps[i].step) != 0 || m->rc != (uint32_t)steps[i].rc))
        i++;
    if (i == STEPS || (m->sys != trace.sys && !follows(m)))
        fail_msg("%s: %s at %s, errno %d, %s", fault_text(), rc_name((enum rc)m->rc), m->step,
                 m->sys, m->what);
    steps[i].seen++;
}

/* What a launch may do without: whether the payload still lives is asked after all was seen; a stem
 * that does not take its order, or ends without a word, is not the only one; a page that stays
 * mapped is lost, no more; umask cannot fail; and process 1 waits again.
 */
static bool may_pass(void)
{
    static const struct {
        enum trace_role role;
        long nr;
    } rows[] = {
        { TRACE_LAUNCHER, SYS_poll },        { TRACE_LAUNCHER, SYS_sendmsg },
        { TRACE_LAUNCHER, SYS_munmap },      { TRACE_INIT, SYS_umask },
        { TRACE_INIT, SYS_rt_sigtimedwait }, { TRACE_STEM, SYS_recvmsg },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].role == trace.role && rows[i].nr == trace.nr)
            return true;
    }
    return false;
}

/* A launcher that cannot go back to its own network ends: the next one finds all swept up. */
static void start_again(void)
{
    if (trace.nr != SYS_setns)
        fail_msg("%s: ended the launcher", fault_text());
    (void)close(rig.sock);
    wire_fds_close(&run.fds);
    const struct trace was = trace;
    rig_start(&rig);
    trace_begin(&trace, rig.launch);
    trace.role = was.role;
    trace.sys = was.sys;
    trace.strayed = was.strayed;
    trace_settle(&trace);
    descriptors = trace_descriptors(&rig);
}

/* Make the n-th call of the role fail, or be the last one.  False: there are not so many. */
static bool one_fault(size_t n)
{
    trace.n = n;
    bool answered = launch();

    if (trace.fired == 0) {
        assert_true(answered && run.started);
        end();
        return false;
    }
    if (!answered) {
        start_again();
    } else if (!run.started && trace.sys != 0) {
        assert_refused();
    } else if (!run.started && trace.role == TRACE_STEM) {
        fail_msg("%s: killed, and no other stem did it", fault_text());
    } else if (run.started) {
        if (trace.sys != 0 && (!may_pass() || !same_receipt(&run.first.launched.receipt, &whole)))
            fail_msg("%s: passed over", fault_text());
        end();
    }
    assert_nothing_left();
    if (trace.strayed != 0)
        fail_msg("%s: the stem goes on where process 1 has been", fault_text());
    if (n % WORKS_EACH == 0) /* the next one comes as far as this one at least */
        assert_works();
    return true;
}

/* All calls of one role, one after the other.  How many there were. */
static size_t each_call(enum trace_role role, int sys)
{
    size_t n = 1;

    trace.role = role;
    trace.sys = sys;
    while (one_fault(n)) {
        if (++n == CALLS_BOUND)
            fail_msg("%s does not come to an end", roles[role]);
    }
    assert_works();
    return n - 1;
}

static void fails_whole_and_with_its_step(void **state)
{
    (void)state;
    for (enum trace_role role = 0; role < TRACE_ROLES; role++)
        print_message("%s: %zu calls\n", roles[role], each_call(role, EIO));
    for (size_t i = 0; i < STEPS; i++) {
        if (steps[i].seen == 0)
            fail_msg("%s was never made to fail", steps[i].step);
    }
}

/* The kernel shows the payload a moment after it says that it has exec'd: then the launcher looks
 * again.  What it may not see before the exec refuses the start. */
static void looks_until_it_may(void **state)
{
    size_t n = 0;
    size_t started = 0;

    (void)state;
    trace.role = TRACE_LAUNCHER;
    trace.sys = EACCES;
    trace.only = SYS_readlinkat;
    do {
        trace.execs = false;
        trace.n = ++n;
        assert_true(launch());
        started += run.started && trace.fired > 0;
        if (run.started) {
            end();
        } else {
            assert_int_equal(run.first.failed.sys, EACCES);
            assert_false(trace.execs);
        }
        assert_nothing_left();
    } while (trace.fired > 0 && n < CALLS_BOUND);
    trace.only = 0;
    assert_int_equal(started, NS_KINDS); /* its namespaces, once more */
    assert_in_range(n - 1, 2 * NS_KINDS, CALLS_BOUND);
}

/* Power does not fail for one process alone, but the kernel may run out of memory, or a filter be
 * wrong: at whichever call they end, the launcher is left with nothing of theirs. */
static void outlives_their_ends(void **state)
{
    (void)state;
    for (enum trace_role role = TRACE_STEM; role < TRACE_ROLES; role++)
        print_message("%s: killed at %zu calls\n", roles[role], each_call(role, 0));
}

/* ---- set-up -----------------------------------------------------------------------------------
 */

static void fill_plan(void)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };

    plan = rig_plan(&rig, args, IMAGE_BYTES);
    plan.limits.inbox_bytes = plan.limits.outbox_bytes = 1U << 20;
    plan.limits.io_read_bps = plan.limits.io_write_bps = 64U << 20;
    plan.limits.shm_bytes = plan.limits.file_bytes = plan.limits.core_bytes = 1U << 20;
    plan.has_mail = 1;
    plan.network = PLAN_NETWORK_PRIVATE;
    plan.net_bps = 1U << 20;
    plan.n_devices = 2;
    (void)snprintf(plan.device[0], NAME_CAP, "hole");
    (void)snprintf(plan.device[1], NAME_CAP, "block");
    plan_fill_ops(&plan);
}

static int setup(void **state)
{
    const struct rig_options options = { .devices =
                                             "device hole /dev/zero rw\nsysfs block /sys/block\n" };

    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open_with(&rig, "faults", &options);
    rig_slot(&rig, "slot", "sandbox_hog");
    slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    data = rig_image(&rig, "data.img", IMAGE_BYTES);
    mail = rig_image(&rig, "mail.img", plan_mail_image(1U << 20, 1U << 20));
    fill_plan();
    trace_begin(&trace, rig.launch);
    trace_settle(&trace);
    descriptors = trace_descriptors(&rig);
    assert_works();
    whole = run.first.launched.receipt;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_fd(&slot);
    close_fd(&data);
    close_fd(&mail);
    trace_end(&trace);
    return rig_end(&rig) == 0 && rig_remove(&rig) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fails_whole_and_with_its_step),
        cmocka_unit_test(looks_until_it_may),
        cmocka_unit_test(outlives_their_ends),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
