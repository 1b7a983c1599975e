/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads that the kernel ends for their memory while they are set up, or while the launcher is
 * still looking at them: at whichever of its calls it finds them dead and not buried, or gone, the
 * reason is told that ended them, and never the step that could not be taken any more.  Needs root.
 */
#include "tests/unit/test.h"

#include "tests/unit/launch_trace.h"
#include "tests/unit/sandbox_left.h"

#define CALLS_BOUND 500U /* more than the launcher makes behind an exec */
#define CALLS_FEWEST 20U /* to look at a payload at all */
#define CALLS_APART 8U   /* of process 1, where its memory is taken away */
#define STEMS_BOUND 8U   /* more than wait */
#define TRIES 5U         /* a payload that ends early is looked at with fewer calls */

static const char *const args[] = { "/bin/probe", "memory", NULL };
static struct rig rig;
static struct rig_run run;
static struct trace trace;
static struct plan plan;
static int slot = -1;

/* Ask for a payload, and follow until all of it has gone.  What was told of its end. */
static enum rc start_and_end(void)
{
    const struct wire_launch m = { .head = wire_head(WIRE_LAUNCH, rig.next_id), .plan = plan };
    union wire_message got;
    struct wire_fds none;

    trace.calls = trace.fired = 0;
    trace.execs = false;
    trace.init = trace.program = 0;
    run.id = rig.next_id++;
    run.fds = WIRE_FDS_INIT;
    assert_rc(wire_send(rig.sock, &m.head, &slot, 1, NULL), RC_OK);
    trace_until(&trace, 1);
    assert_false(trace.ended);
    rig_recv(&rig, &run.first, &run.fds);
    run.started = run.first.head.type == WIRE_LAUNCHED;
    wire_fds_close(&run.fds);
    if (!run.started)
        return (enum rc)run.first.failed.rc;
    if (trace.answers == 1)
        trace_until(&trace, 1);
    rig_recv(&rig, &got, &none);
    assert_int_equal(got.head.type, WIRE_EXITED);
    return (enum rc)got.exited.rc;
}

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "gone");
    rig_slot(&rig, "slot", "sandbox_hog");
    slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    plan = rig_plan(&rig, args, 0);
    trace_begin(&trace, rig.launch);
    trace_settle(&trace);
    /* Not before: stems that were made before it is followed are not. */
    for (size_t i = 0; i < STEMS_BOUND && !trace.execs; i++)
        assert_rc(start_and_end(), RC_OOM);
    return trace.execs ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    close_fd(&slot);
    trace_end(&trace);
    return rig_end(&rig) == 0 && rig_remove(&rig) ? 0 : -1;
}

/* At each call of the launcher behind the program's exec. */
static void tells_at_each_call(enum trace_role until)
{
    size_t n = 1;
    size_t started = 0;
    size_t in_vain = 0;

    trace.role = TRACE_LAUNCHER;
    trace.until = until;
    while (in_vain < TRIES && n < CALLS_BOUND) {
        trace.n = n;
        enum rc rc = start_and_end();

        if (rc != RC_OOM)
            fail_msg("call %zu (%ld): %s, %s: %s", n, trace.nr, rc_name(rc),
                     run.started ? "started" : run.first.failed.step,
                     run.started ? "" : run.first.failed.what);
        started += run.started;
        assert_int_equal(left_processes(&rig), 0);
        n += trace.fired > 0;
        in_vain = trace.fired > 0 ? 0 : in_vain + 1;
    }
    trace.until = TRACE_LAUNCHER;
    print_message("%zu calls, %zu started\n", n - 1, started);
    assert_in_range(n, CALLS_FEWEST, CALLS_BOUND - 1);
    assert_true(started > 0);
}

static void tells_of_the_dead(void **state)
{
    (void)state;
    tells_at_each_call(TRACE_PAYLOAD);
}

static void tells_of_those_that_have_gone(void **state)
{
    (void)state;
    tells_at_each_call(TRACE_INIT);
}

/* Leave the group of a process no more memory than it has now, or (v2, which takes that) less. */
static void squeeze(pid_t pid)
{
    bool v2 = rig.walls.seen.cgroup_version == 2;
    char path[400];
    char *group = NULL;
    char text[32] = "4096";
    char line[300];

    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    while (group == NULL && fgets(line, sizeof line, f) != NULL)
        group = strstr(line, v2 ? "0::/" : ":memory:/");
    assert_non_null(group);
    group = strchr(group, '/');
    group[strcspn(group, "\n")] = '\0';
    (void)fclose(f);
    assert_non_null(strstr(group, rig.cgroup));
    if (!v2) {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/memory%s/memory.usage_in_bytes", group);
        scoped(close_fd) int usage = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = read(usage, text, sizeof text - 1);
        assert_true(n > 0);
        text[n] = '\0';
    }
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/%s", v2 ? "" : "/memory", group,
                   v2 ? "memory.max" : "memory.limit_in_bytes");
    scoped(close_fd) int limit = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(limit, text, strlen(text)), (ssize_t)strlen(text));
}

/* v2 ends it there, v1 where it wants the next piece. */
static void tells_of_what_was_set_up(void **state)
{
    size_t refused = 0;
    size_t n = 1;

    (void)state;
    trace.role = TRACE_INIT;
    trace.meanwhile = squeeze;
    for (;; n += CALLS_APART) {
        trace.n = n;
        enum rc rc = start_and_end();

        if (rc != RC_OOM)
            fail_msg("call %zu: %s, %s: %s", n, rc_name(rc),
                     run.started ? "started" : run.first.failed.step,
                     run.started ? "" : run.first.failed.what);
        assert_int_equal(left_processes(&rig), 0);
        if (trace.fired == 0)
            break;
        refused += !run.started;
    }
    trace.meanwhile = NULL;
    print_message("%zu calls, %zu refused\n", n, refused);
    assert_in_range(n, CALLS_FEWEST, CALLS_BOUND);
    if (rig.walls.seen.cgroup_version == 2)
        assert_int_equal(refused, (n - 1) / CALLS_APART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_of_the_dead),
        cmocka_unit_test(tells_of_those_that_have_gone),
        cmocka_unit_test(tells_of_what_was_set_up),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
