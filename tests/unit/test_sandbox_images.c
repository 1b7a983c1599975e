/* SPDX-License-Identifier: Apache-2.0
 *
 * Escapes that begin before the payload does: what an image may look like, what happens to it on
 * the way, which descriptors and counts the payload finds, and what is left of it and of a launcher
 * that was killed at any moment.  The numbers are the lines of docs/attacks.md.  Needs root.
 */
#include "tests/unit/escape_host.h"

#include <sys/ptrace.h>
#include <sys/user.h>

#define STEPS 24U /* moments of a launch at which somebody is killed */

static struct rig rig;
static struct rig_run run;

/* ---- running one ----------------------------------------------------------------------------- */

static int open_slot(const char *name)
{
    int fd = open(rig_path(&rig, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void launch(const char *slot, const struct plan *plan, int image)
{
    scoped(close_fd) int root = open_slot(slot);

    rig_launch(&rig, plan, root, image, &run);
}

static void must_start(void)
{
    if (!run.started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)run.first.failed.rc),
                 run.first.failed.step, run.first.failed.what, run.first.failed.sys);
}

static size_t payloads(void)
{
    const uint32_t low = PLAN_UID_BASE + rig.slot * PLAN_UID_COUNT;

    return host_processes(low, low + RIG_SLOTS * PLAN_UID_COUNT);
}

/* Until nothing of ours lives any more: what was killed needs a moment. */
static void await_no_payloads(const char *after)
{
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;

    while (payloads() > 0) {
        if (clock_mono_ms() > until)
            fail_msg("%s: something of it lives on", after);
        (void)poll(NULL, 0, 5);
    }
}

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the escapes need root\n");
        return -1;
    }
    rig_open(&rig, "images");
    rig_slot(&rig, "slot", "sandbox_hog");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(rig_end(&rig), 0);
    assert_int_equal(payloads(), 0);
    return rig_remove(&rig) ? 0 : -1;
}

/* ---- 3: mount points that are links ---------------------------------------------------------- */

static size_t entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    assert_int_equal(closedir(dir), 0);
    return n - 2;
}

/* A link out of the image, one into it, and a file where a directory should be. */
static void links_lead_nowhere(void **state)
{
    static const char *const points[] = { "proc", "dev", "tmp", "run", "data" };
    static const char *const args[] = { "/bin/probe", "exit", "0", NULL };
    struct plan plan = rig_plan(&rig, args, 4U << 20);
    char outside[300], path[400];

    (void)state;
    (void)snprintf(outside, sizeof outside, "%s", rig_path(&rig, "outside"));
    assert_int_equal(mkdir(outside, 0777), 0);
    scoped(close_fd) int image = rig_image(&rig, "data.img", 4U << 20);
    for (size_t i = 0; i < sizeof points / sizeof points[0] * 3; i++) {
        char name[16];
        const char *point = points[i / 3];

        (void)snprintf(name, sizeof name, "link%zu", i);
        rig_slot(&rig, name, "sandbox_hog");
        (void)snprintf(path, sizeof path, "%s/%s", rig_path(&rig, name), point);
        assert_int_equal(rmdir(path), 0);
        if (i % 3 == 0)
            assert_int_equal(symlink(outside, path), 0);
        else if (i % 3 == 1)
            assert_int_equal(symlink("bin", path), 0);
        else
            rig_copy("/proc/self/comm", path, 0644);
        launch(name, &plan, image);
        if (run.started || run.first.failed.rc != RC_LAUNCH_STEP ||
            strcmp(run.first.failed.step, "tree") != 0)
            fail_msg("%s %zu: %s", point, i % 3, run.started ? "started" : run.first.failed.step);
        assert_int_equal(entries(outside), 0);
        assert_int_equal(payloads(), 0);
    }
}

/* ---- 13: who runs the program ---------------------------------------------------------------- */

static void write_file(const char *slot, const char *name, const void *bytes, size_t n)
{
    char path[300];

    (void)snprintf(path, sizeof path, "%s/bin/%s", rig_path(&rig, slot), name);
    scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && fchmod(fd, 0755) == 0);
}

/* A program of the host that is not static, with another interpreter: the old one's name is long
 * enough for ours. */
static void write_elf(const char *name, const char *interpreter)
{
    static char bytes[1 << 20];
    scoped(close_fd) int fd = open("/bin/true", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    char *at = n < 0 ? NULL : memmem(bytes, (size_t)n, "/lib", 4);

    assert_non_null(at);
    assert_non_null(strstr(at, "ld-linux"));
    assert_true(strlen(at) >= strlen(interpreter));
    memcpy(at, interpreter, strlen(interpreter) + 1);
    write_file("slot", name, bytes, (size_t)n);
}

/* At that moment /proc/self/exe is berth-launch: none of these may run it. */
static void interpreters_are_the_images(void **state)
{
    static const char *const scripts[] = { "/proc/self/exe", "/proc/1/exe", "/proc/self/fd/3",
                                           "/proc/self/root/bin/probe", "/tmp/x" };
    static const char *const elves[] = { "/proc/self/exe", "/proc/1/exe", "/dev/fd/3" };
    static const char *const args[] = { "/bin/odd", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    char text[64];

    (void)state;
    for (size_t i = 0; i < 8; i++) {
        if (i < 5) {
            int n = snprintf(text, sizeof text, "#!%s\n", scripts[i]);

            write_file("slot", "odd", text, (size_t)n);
        } else {
            write_elf("odd", elves[i - 5]);
        }
        launch("slot", &plan, -1);
        if (run.started) {
            /* What is inside of the image may run. */
            struct wire_exited e = rig_exited(&rig, &run);

            assert_null(strstr(run.out, "berth-launch"));
            if (i != 3 || e.rc != RC_EXITED)
                fail_msg("row %zu started", i);
        } else {
            assert_rc((enum rc)run.first.failed.rc, RC_LAUNCH_EXEC);
        }
    }
    (void)unlink(rig_path(&rig, "slot/bin/odd"));
}

/* ---- 12: another image in the place of the one that was verified ----------------------------- */

static void the_verified_one_runs(void **state)
{
    static const char *const args[] = { "/bin/probe", "exit", "7", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    rig_slot(&rig, "good", "sandbox_hog");
    rig_slot(&rig, "evil", "escape"); /* would exit with 2 */
    scoped(close_fd) int root = open_slot("good");
    assert_int_equal(rename(rig_path(&rig, "good"), rig_path(&rig, "old")), 0);
    assert_int_equal(rename(rig_path(&rig, "evil"), rig_path(&rig, "good")), 0);
    rig_launch(&rig, &plan, root, -1, &run);
    must_start();
    assert_int_equal(rig_exited(&rig, &run).status, 7);
}

/* ---- 46: what a payload has open, and its process 1 ------------------------------------------ */

/* Every descriptor: pipes and /dev/null, no file and no directory, and the socket of what it has
 * just said.  How many. */
static size_t look_at_descriptors(pid_t pid)
{
    char path[64], target[256];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    const struct dirent *e;
    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        ssize_t got = readlinkat(dirfd(dir), e->d_name, target, sizeof target - 1);
        if (got < 0)
            continue; /* closed meanwhile */
        target[got] = '\0';
        n++;
        if (strncmp(target, "pipe:", 5) != 0 && strncmp(target, "socket:", 7) != 0 &&
            strcmp(target, "/dev/null") != 0)
            fail_msg("process %d has %s open", pid, target);
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    int ppid = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    host_read(path, text, sizeof text);
    const char *at = strrchr(text, ')');
    assert_true(at != NULL && sscanf(at, ") %*c %d", &ppid) == 1);
    return ppid;
}

static bool ready(void)
{
    char text[64] = "";
    int fd = run.fds.fd[WIRE_FD_NOTIFY];

    return rig_wait(fd) && recv(fd, text, sizeof text - 1, 0) > 0 && strcmp(text, "READY=1") == 0;
}

static void three_descriptors(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;

    (void)state;
    launch("slot", &plan, -1);
    must_start();
    assert_true(ready());
    while (look_at_descriptors(run.first.launched.pid) != 3)
        assert_true(clock_mono_ms() < until); /* until it has closed that socket */
    assert_int_equal(look_at_descriptors(parent_of(run.first.launched.pid)), 1);
    rig_stop(&rig, &run, 20000);
    assert_int_equal(rig_exited(&rig, &run).status, 7);
}

/* ---- 33, 57: what is set in the sandbox's own namespaces ------------------------------------- */

/* As a process of these namespaces reads it: 0 when it is as wanted. */
static int look_from_inside(int pidfd, const char *file, long want)
{
    char text[32];
    int status = 1;
    pid_t pid = fork();

    if (pid == 0) {
        if (setns(pidfd, CLONE_NEWUSER | CLONE_NEWPID) != 0)
            _exit(3);
        pid = fork();
        if (pid == 0) {
            host_read(file, text, sizeof text);
            _exit(text[0] != '\0' && strtol(text, NULL, 10) == want ? 0 : 4);
        }
        _exit(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                              : 5);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 6;
}

static void counts_are_shares(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    char text[32];
    long all;

    (void)state;
    host_read("/proc/sys/user/max_inotify_instances", text, sizeof text);
    all = strtol(text, NULL, 10);
    launch("slot", &plan, -1);
    must_start();
    assert_true(ready());
    int pidfd = run.fds.fd[WIRE_FD_PIDFD];
    long share = all / 128 < 2 ? 2 : all / 128 > 32 ? 32 : all / 128;
    assert_int_equal(look_from_inside(pidfd, "/proc/sys/user/max_inotify_instances", share), 0);
    assert_int_equal(look_from_inside(pidfd, "/proc/sys/user/max_user_namespaces", 0), 0);
    if (access("/proc/sys/vm/memfd_noexec", F_OK) == 0)
        assert_int_equal(look_from_inside(pidfd, "/proc/sys/vm/memfd_noexec", 2), 0);
    rig_stop(&rig, &run, 20000);
    assert_int_equal(rig_exited(&rig, &run).status, 7);
}

/* ---- 51, 61: what is left of many ------------------------------------------------------------ */

/* Memory of everything below the launcher's control group, whichever kind the host has. */
static long tree_memory(void)
{
    char path[200], text[32];

    (void)snprintf(path, sizeof path, "/sys/fs/cgroup/memory/%s/memory.usage_in_bytes", rig.cgroup);
    host_read(path, text, sizeof text);
    if (text[0] == '\0') {
        (void)snprintf(path, sizeof path, "/sys/fs/cgroup/%s/memory.current", rig.cgroup);
        host_read(path, text, sizeof text);
    }
    return strtol(text, NULL, 10);
}

static void nothing_adds_up(void **state)
{
    static const char *const args[] = { "/bin/probe", "fill", "/tmp/x", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    uint64_t until = clock_mono_ms() + RIG_WAIT_MS;

    (void)state;
    for (unsigned int i = 0; i < 20; i++) {
        rig_range(&rig, &plan, i % RIG_SLOTS);
        launch("slot", &plan, -1);
        must_start();
        assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_EXITED);
        assert_memory_equal(run.out, "fill 28 4", 9); /* ENOSPC after 4 MiB, each time */
    }
    while (tree_memory() > 8 << 20) { /* of 80 that were written */
        if (clock_mono_ms() > until)
            fail_msg("%ld bytes are still charged", tree_memory());
        (void)poll(NULL, 0, 20);
    }
}

/* ---- 14, 62: killed at every step ------------------------------------------------------------ */

enum whom { NOBODY, LAUNCHER, CHILD };

/* The launcher has stems as well, which have no second number, in a namespace of their own. */
static bool is_process_one(long pid)
{
    char path[64], text[4096];
    int outer = 0;
    int inner = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/status", pid);
    host_read(path, text, sizeof text);
    const char *at = strstr(text, "\nNSpid:");
    return at != NULL && sscanf(at, " NSpid: %d %d", &outer, &inner) == 2 && inner == 1;
}

/* Process 1 of the sandbox under way, if there is one by now. */
static bool kill_child(void)
{
    char path[64], text[256];

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", rig.launch, rig.launch);
    host_read(path, text, sizeof text);
    for (char *at = text, *end = NULL;; at = end) {
        long pid = strtol(at, &end, 10);

        if (end == at)
            return false;
        if (is_process_one(pid)) {
            assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
            return true;
        }
    }
}

/* Send LAUNCH and let the launcher make `at` system calls; then kill it, or its newest child.  The
 * number of calls until it waits for the next message, or 0 when somebody was killed. */
static unsigned int launch_traced(const struct plan *plan, enum whom whom, unsigned int at)
{
    struct wire_launch m = { .head = wire_head(WIRE_LAUNCH, rig.next_id++), .plan = *plan };
    scoped(close_fd) int root = open_slot("slot");
    struct pollfd answer = { .fd = rig.sock, .events = POLLIN };
    struct err err = { 0 };
    unsigned int calls = 0;
    int status;

    assert_int_equal(ptrace(PTRACE_SEIZE, rig.launch, 0, PTRACE_O_TRACESYSGOOD), 0);
    assert_int_equal(ptrace(PTRACE_INTERRUPT, rig.launch, 0, 0), 0);
    assert_int_equal(waitpid(rig.launch, &status, __WALL), rig.launch);
    assert_rc(wire_send(rig.sock, &m.head, &root, 1, &err), RC_OK);
    for (bool inside = false; poll(&answer, 1, 0) == 0;) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, rig.launch, 0, 0), 0);
        assert_int_equal(waitpid(rig.launch, &status, __WALL), rig.launch);
        assert_true(WIFSTOPPED(status));
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        inside = !inside;
        calls += inside ? 1 : 0;
        if (whom == LAUNCHER && calls == at) {
            assert_int_equal(kill(rig.launch, SIGKILL), 0);
            assert_int_equal(waitpid(rig.launch, &status, __WALL), rig.launch);
            return 0;
        }
        if (whom == CHILD && calls >= at && kill_child())
            whom = NOBODY;
    }
    assert_int_equal(ptrace(PTRACE_DETACH, rig.launch, 0, 0), 0);
    return calls;
}

/* A launcher that ends leaves nothing that lives, and nothing that the next one does not clean up:
 * no process is ever outside of a control group when it could run on. */
static void killed_at_every_step(void **state)
{
    static const char *const args[] = { "/bin/probe", "deaf", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    union wire_message answer;
    struct wire_fds fds = WIRE_FDS_INIT;

    (void)state;
    unsigned int calls = launch_traced(&plan, NOBODY, 0);
    rig_recv(&rig, &answer, &fds);
    assert_int_equal(answer.head.type, WIRE_LAUNCHED);
    wire_fds_close(&fds);
    assert_in_range(calls, 20, 2000);
    print_message("a launch is %u system calls\n", calls);
    for (unsigned int at = 1; at <= calls; at += 1 + calls / STEPS) {
        char where[32];

        (void)launch_traced(&plan, LAUNCHER, at);
        (void)snprintf(where, sizeof where, "killed at call %u", at);
        await_no_payloads(where);
        (void)close(rig.sock);
        rig_start(&rig); /* sweeps what was left in control groups */
    }
}

/* The child is ended while the launcher works on it: its number is nobody else's until the launcher
 * has reaped it, so no map, no limit and no signal reaches a stranger. */
static void child_killed_at_every_step(void **state)
{
    static const char *const args[] = { "/bin/probe", "exit", "0", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    union wire_message answer;
    struct wire_fds fds = WIRE_FDS_INIT;
    unsigned int failed = 0;

    (void)state;
    unsigned int calls = launch_traced(&plan, NOBODY, 0);
    rig_recv(&rig, &answer, &fds);
    wire_fds_close(&fds);
    rig_recv(&rig, &answer, &fds);
    assert_int_equal(answer.head.type, WIRE_EXITED);
    for (unsigned int at = 1; at <= calls; at += 1 + calls / STEPS) {
        (void)launch_traced(&plan, CHILD, at);
        rig_recv(&rig, &answer, &fds);
        if (answer.head.type == WIRE_LAUNCHED) { /* too late to stop the start */
            wire_fds_close(&fds);
            rig_recv(&rig, &answer, &fds);
            assert_int_equal(answer.head.type, WIRE_EXITED);
        } else {
            assert_int_equal(answer.head.type, WIRE_LAUNCH_FAILED);
            failed++;
        }
        await_no_payloads("a child that was killed");
    }
    assert_in_range(failed, 5, STEPS + 1);
    launch("slot", &plan, -1);
    must_start();
    assert_int_equal(rig_exited(&rig, &run).status, 0);
}

/* ---- 63: the agent goes, the payload runs ---------------------------------------------------- */

/* The policy is kill: what nobody supervises does not run.  The launcher ends with its socket, and
 * everything with the launcher (test_sandbox_launch has the same for SIGKILL). */
static void without_an_agent_nothing_runs(void **state)
{
    static const char *const args[] = { "/bin/probe", "deaf", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    int status;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        rig_range(&rig, &plan, i);
        launch("slot", &plan, -1);
        must_start();
        assert_true(ready());
        wire_fds_close(&run.fds);
    }
    assert_int_equal(payloads(), 12);
    (void)close(rig.sock);
    assert_int_equal(waitpid(rig.launch, &status, 0), rig.launch);
    assert_int_equal(status, 0);
    assert_int_equal(payloads(), 0);
    rig_start(&rig); /* for the teardown */
}

/* Not a teardown of the group: cmocka does not count what fails there. */
static void leaves_nothing(void **state)
{
    assert_int_equal(teardown(state), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_lead_nowhere),
        cmocka_unit_test(interpreters_are_the_images),
        cmocka_unit_test(the_verified_one_runs),
        cmocka_unit_test(three_descriptors),
        cmocka_unit_test(counts_are_shares),
        cmocka_unit_test(nothing_adds_up),
        cmocka_unit_test(child_killed_at_every_step),
        cmocka_unit_test(killed_at_every_step),
        cmocka_unit_test(without_an_agent_nothing_runs),
        cmocka_unit_test(leaves_nothing),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
