/* SPDX-License-Identifier: Apache-2.0
 *
 * Stems of a real berth-launch (sandbox/stem): what they bring into a sandbox from those before it,
 * and what becomes of a launcher whose stems are stopped, cannot end, or are killed: before they
 * have an order, with it, and at each call that they make of it.  Needs root.
 */
#include "tests/unit/test.h"

#include <sys/syscall.h>

#include "base/walls.h"
#include "sandbox/stem.h"
#include "tests/unit/launch_trace.h"
#include "tests/unit/sandbox_left.h"

/* Built up at run time: the test's own memory and the launcher's program have it nowhere whole. */
#define MARK_HALF "-tenant-secret-of-"
#define CALLS_BOUND 1000U /* more than a stem makes */

static struct rig rig;
static struct trace trace;
static struct rig_run run;
static struct plan plan;

static int setup(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };

    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "stem");
    rig_slot(&rig, "slot", "sandbox_hog");
    plan = rig_plan(&rig, args, 0);
    return 0;
}

static int teardown(void **state)
{
    int status = rig_end(&rig);

    (void)state;
    if (status != 0) {
        print_error("berth-launch ended with %d\n", status);
        return -1;
    }
    assert_int_equal(left_cgroups(&rig), 0);
    assert_int_equal(left_processes(&rig), 0);
    return rig_remove(&rig) ? 0 : -1;
}

static void try_start(void)
{
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(root >= 0);
    rig_launch(&rig, &plan, root, -1, &run);
}

static void start(void)
{
    try_start();
    if (!run.started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)run.first.failed.rc),
                 run.first.failed.step, run.first.failed.what, run.first.failed.sys);
}

static void stop(void)
{
    rig_stop(&rig, &run, 0);
    (void)rig_exited(&rig, &run);
}

/* ---- looking at processes ------------------------------------------------------------------- */

static FILE *proc(pid_t pid, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    return fopen(path, "re");
}

/* -1: there is no such process. */
static pid_t parent_of(pid_t pid)
{
    FILE *f = proc(pid, "status");
    char line[256];
    pid_t parent = -1;

    while (f != NULL && parent < 0 && fgets(line, sizeof line, f) != NULL)
        (void)sscanf(line, "PPid: %d", &parent);
    if (f != NULL)
        (void)fclose(f);
    return parent;
}

/* The call that a process is in, with its second argument; -1: in none. */
static long waits_in(pid_t pid, unsigned long *ret_second)
{
    FILE *f = proc(pid, "syscall");
    unsigned long first = 0;
    long nr = -1;

    if (f != NULL) {
        (void)!fscanf(f, "%ld %lx %lx", &nr, &first, ret_second);
        (void)fclose(f);
    }
    return nr;
}

static bool waits_for_order(pid_t pid)
{
    unsigned long second = 0;

    return waits_in(pid, &second) == SYS_recvmsg;
}

/* Children of the launcher's that wait for an order. */
static size_t find_stems(pid_t ret[STEMS_READY])
{
    DIR *dir = opendir("/proc");
    size_t n = 0;

    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

        if (pid > 0 && n < STEMS_READY && parent_of(pid) == rig.launch && waits_for_order(pid))
            ret[n++] = pid;
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

/* One or more. */
static size_t await_some(pid_t ret[STEMS_READY])
{
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;
    size_t n = 0;

    while ((n = find_stems(ret)) == 0) {
        if (clock_mono_ms() > until)
            fail_msg("the launcher makes no stems");
        (void)sched_yield();
    }
    return n;
}

/* All that a new launcher keeps; they stay until a start takes them. */
static void await_stems(pid_t ret[STEMS_READY])
{
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;

    while (find_stems(ret) < STEMS_READY) {
        if (clock_mono_ms() > until)
            fail_msg("the launcher makes no stems");
        (void)sched_yield();
    }
}

struct map {
    unsigned long begin, end;
    char mode[5];
};

/* Where a text lies in the memory of a process, and how much of it is shared with others. */
static bool remembers(pid_t pid, const char *text, size_t *ret_shared)
{
    static char part[1U << 16];
    const size_t len = strlen(text);
    char path[64];
    char line[512];
    FILE *maps = proc(pid, "maps");
    bool found = false;

    (void)snprintf(path, sizeof path, "/proc/%d/mem", pid);
    scoped(close_fd) int mem = open(path, O_RDONLY | O_CLOEXEC);
    assert_non_null(maps);
    assert_true(mem >= 0);
    *ret_shared = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        struct map m;

        assert_int_equal(sscanf(line, "%lx-%lx %4s", &m.begin, &m.end, m.mode), 3);
        *ret_shared += m.mode[3] == 's';
        if (m.mode[1] != 'w' || m.end - m.begin > RIG_MAPPING_MAX)
            continue;
        for (unsigned long at = m.begin; at < m.end; at += sizeof part - len) {
            ssize_t n = pread(mem, part, sizeof part, (off_t)at);

            found = found || (n > 0 && memmem(part, (size_t)n, text, len) != NULL);
        }
    }
    (void)fclose(maps);
    return found;
}

/* ---- tests ---------------------------------------------------------------------------------- */

/* Process 1 stays in the sandbox with the memory of its stem, and that was the launcher's. */
static void brings_nothing_of_another(void **state)
{
    pid_t stems[STEMS_READY];
    char mark[64];
    size_t shared = 0;

    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* the memory is the sanitizer's, and not as it flies */
#endif
    (void)snprintf(mark, sizeof mark, "%d%s%d", getpid(), MARK_HALF, getppid());
    (void)snprintf(plan.env[plan.n_env++], PAYLOAD_ARG_CAP, "KEY=%s", mark);
    start();
    assert_true(remembers(parent_of((pid_t)run.first.launched.pid), mark, &shared));
    stop();
    memset(plan.env[--plan.n_env], 0, PAYLOAD_ARG_CAP);

    for (size_t i = 0; i <= 2 * STEMS_READY; i++) { /* those made before, and all made since */
        const size_t n = await_some(stems);

        for (size_t k = 0; k < n; k++)
            assert_false(remembers(stems[k], mark, &shared));
        start();
        assert_false(remembers(parent_of((pid_t)run.first.launched.pid), mark, &shared));
        assert_int_equal(shared, 0); /* neither with the launcher nor with another's process 1 */
        stop();
    }
}

static void starts_without_the_killed(void **state)
{
    pid_t stems[STEMS_READY];

    (void)state;
    await_stems(stems);
    for (size_t i = 0; i < STEMS_READY; i++)
        assert_int_equal(kill(stems[i], SIGKILL), 0);
    while (find_stems(stems) > 0) /* one that is about to end would take its order along */
        (void)sched_yield();
    start();
    stop();
}

/* Without waiting for the answer. */
static void ask(void)
{
    const struct wire_launch m = { .head = wire_head(WIRE_LAUNCH, rig.next_id), .plan = plan };
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(root >= 0);
    run.id = rig.next_id++;
    run.n_out = 0;
    run.fds = WIRE_FDS_INIT;
    assert_rc(wire_send(rig.sock, &m.head, &root, 1, NULL), RC_OK);
}

/* The launcher waits for one thing, within the time of a start: what comes of its order. */
static void await_order_given(void)
{
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;
    unsigned long fds = 0;

    while (waits_in(rig.launch, &fds) != SYS_poll || fds != 1) {
        if (clock_mono_ms() > until)
            fail_msg("the launcher gives no order");
        (void)sched_yield();
    }
}

/* One dies with the order that it has not read yet, and the other one, which is next, as well. */
static void starts_when_they_die_with_the_order(void **state)
{
    pid_t stems[STEMS_READY];

    (void)state;
    await_stems(stems);
    for (size_t i = 0; i < STEMS_READY; i++)
        assert_int_equal(kill(stems[i], SIGSTOP), 0);
    ask();
    await_order_given();
    for (size_t i = 0; i < STEMS_READY; i++)
        assert_int_equal(kill(stems[i], SIGKILL), 0);
    rig_recv(&rig, &run.first, &run.fds);
    assert_int_equal(run.first.head.type, WIRE_LAUNCHED);
    stop();
}

/* ---- at each call --------------------------------------------------------------------------- */

static size_t descriptors;

/* A start of which one stem is killed at its n-th call, from 0 on, and the next one at its
 * again-th. */
static void start_killing(size_t n, size_t again)
{
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    trace.role = TRACE_STEM;
    trace.n = n;
    trace.again = again;
    assert_true(trace_launch(&trace, &rig, &plan, &root, 1, &run));
}

/* Whether it started or not, nothing of it stays behind, and nothing of the stems. */
static void end_and_look(void)
{
    if (run.started)
        assert_rc((enum rc)trace_stop(&trace, &rig, &run).rc, RC_KILLED);
    else
        wire_fds_close(&run.fds);
    assert_int_equal(left_processes(&rig), 0);
    assert_int_equal(trace_descriptors(&rig), descriptors);
}

static void follow(void)
{
    trace_begin(&trace, rig.launch);
    trace_settle(&trace);
    descriptors = trace_descriptors(&rig);
    for (size_t i = 0; i < STEMS_READY; i++) { /* those made before it was followed */
        start_killing(0, 0);
        assert_true(run.started);
        end_and_look();
    }
}

/* Where one dies, the next one does it: whole, as the launcher has seen for itself. */
static void starts_wherever_one_dies(void **state)
{
    size_t n = 1;

    (void)state;
    follow();
    for (; n < CALLS_BOUND; n++) {
        start_killing(n, 0);
        if (!run.started)
            fail_msg("killed at call %zu (%ld): %s, %s", n, trace.nr, run.first.failed.step,
                     run.first.failed.what);
        bool fired = trace.fired == 1;

        end_and_look();
        if (!fired)
            break;
    }
    trace_end(&trace);
    /* groups and clone, at least; with v2 process 1 is cloned into its group */
    assert_in_range(n - 1, rig.walls.seen.cgroup_version == 2 ? 2 : 3, CALLS_BOUND - 2);
    print_message("killed at each of %zu calls\n", n - 1);
}

/* When that dies, too, the start is refused, and says so; the next one works. */
static void refuses_when_the_next_dies(void **state)
{
    const size_t middle = 2;
    size_t n = 1;

    (void)state;
    follow();
    for (; n < CALLS_BOUND; n++) {
        start_killing(middle, n);
        bool both = trace.fired == 2;

        if (both && (run.started || run.first.failed.rc != RC_LAUNCH_STEP ||
                     strcmp(run.first.failed.step, "clone") != 0 ||
                     strstr(run.first.failed.what, "stem") == NULL))
            fail_msg("the second killed at call %zu (%ld): %s", n, trace.nr,
                     run.started ? "started" : run.first.failed.what);
        if (!both)
            assert_true(run.started);
        end_and_look();
        if (!both)
            break;
        start_killing(0, 0);
        assert_true(run.started);
        end_and_look();
    }
    trace_end(&trace);
    assert_in_range(n - 1, 6, CALLS_BOUND - 2); /* its own beginning besides */
    print_message("the second killed at each of %zu calls\n", n - 1);
}

/* ---- held ----------------------------------------------------------------------------------- */

/* Held where not even SIGKILL ends it: by a freezer of v1.  Elsewhere it is stopped, no more. */
static bool freeze(const pid_t stems[STEMS_READY], char dir[128])
{
    char path[200];
    char pid[16];

    (void)snprintf(dir, 128, "/sys/fs/cgroup/freezer/%s-held", rig.cgroup);
    if (access("/sys/fs/cgroup/freezer/tasks", W_OK) != 0) {
        for (size_t i = 0; i < STEMS_READY; i++)
            assert_int_equal(kill(stems[i], SIGSTOP), 0);
        return false;
    }
    assert_int_equal(mkdir(dir, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/cgroup.procs", dir);
    for (size_t i = 0; i < STEMS_READY; i++) {
        (void)snprintf(pid, sizeof pid, "%d", stems[i]);
        rig_write(path, pid);
    }
    (void)snprintf(path, sizeof path, "%s/freezer.state", dir);
    rig_write(path, "FROZEN");
    return true;
}

/* What is to end, does now; what waits for an order still, goes on. */
static void thaw(const pid_t stems[STEMS_READY], const char *dir)
{
    char path[200];
    char pid[16];
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;

    (void)snprintf(path, sizeof path, "%s/freezer.state", dir);
    rig_write(path, "THAWED");
    scoped(close_fd) int out = open("/sys/fs/cgroup/freezer/cgroup.procs", O_WRONLY | O_CLOEXEC);
    for (size_t i = 0; i < STEMS_READY; i++) {
        int n = snprintf(pid, sizeof pid, "%d", stems[i]);

        assert_true(write(out, pid, (size_t)n) == n || errno == ESRCH);
    }
    while (rmdir(dir) != 0) {
        if (errno != EBUSY || clock_mono_ms() > until)
            fail_msg("%s stays", dir);
        (void)sched_yield();
    }
}

/* Each may lose one start, and no more: the launcher has others to serve. */
static void does_not_wait_for_the_held(void **state)
{
    pid_t stems[STEMS_READY];
    char dir[128];

    (void)state;
    await_stems(stems);
    bool frozen = freeze(stems, dir);
    for (size_t i = 0; i <= STEMS_READY; i++) {
        try_start();
        if (run.started)
            break;
        assert_rc((enum rc)run.first.failed.rc, RC_TIMEOUT);
        assert_string_equal(run.first.failed.step, "clone");
        assert_int_equal(left_processes(&rig), 0);
    }
    assert_true(run.started && run.id > 1); /* by one that was made since; the first was held */
    stop();
    if (frozen)
        thaw(stems, dir);
    for (size_t i = 0; !frozen && i < STEMS_READY; i++)
        (void)kill(stems[i], SIGCONT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(brings_nothing_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(starts_without_the_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(starts_when_they_die_with_the_order, setup, teardown),
        cmocka_unit_test_setup_teardown(starts_wherever_one_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_when_the_next_dies, setup, teardown),
        cmocka_unit_test_setup_teardown(does_not_wait_for_the_held, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
