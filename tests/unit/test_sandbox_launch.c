/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth-launch with real probes.  Needs root and fails without it: a sandbox that was not
 * tried is not tested.  Every test uses one launcher of its own, and ends by checking that nothing
 * of it is left on the host.
 */
#include "tests/unit/test.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "base/walls.h"
#include "sandbox/network.h"
#include "sandbox/seccomp.h"
#include "sandbox/slice.h"
#include "sandbox/walls.h"
#include "tests/unit/sandbox_left.h"

static struct rig rig;
static struct rig_run run;
static struct rig_run other;

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "launch");
    return 0;
}

static void assert_nothing_left(void)
{
    assert_int_equal(left_cgroups(&rig), 0);
    assert_int_equal(left_processes(&rig), 0);
    assert_int_equal(left_loops(&rig), 0);
    assert_false(left_mention("/proc/self/mountinfo", rig.dir));
}

static int teardown(void **state)
{
    int status = rig_end(&rig);

    (void)state;
    if (status != 0) {
        print_error("berth-launch ended with %d\n", status);
        return -1;
    }
    assert_nothing_left();
    return rig_remove(&rig) ? 0 : -1;
}

/* ---- running one probe ---------------------------------------------------------------------- */

static int slot(const char *name)
{
    int fd = open(rig_path(&rig, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static void start(struct rig_run *r, const struct plan *plan, int image)
{
    scoped(close_fd) int root = slot("slot");

    rig_launch(&rig, plan, root, image, r);
    if (!r->started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)r->first.failed.rc),
                 r->first.failed.step, r->first.failed.what, r->first.failed.sys);
}

static struct wire_exited run_probe(const char *probe, const char *const *args)
{
    struct plan plan = rig_plan(&rig, args, 0);

    rig_slot(&rig, "slot", probe);
    start(&run, &plan, -1);
    return rig_exited(&rig, &run);
}

/* The value behind "name " at the start of a line of the output; NULL when there is none. */
static const char *value(const struct rig_run *r, const char *name)
{
    static char text[64];
    size_t n = strlen(name);

    for (const char *at = r->out; at != NULL; at = strchr(at, '\n')) {
        at += at != r->out;
        if (strncmp(at, name, n) == 0 && at[n] == ' ') {
            size_t len = strcspn(at + n + 1, "\n");

            assert_true(len < sizeof text);
            memcpy(text, at + n + 1, len);
            text[len] = '\0';
            return text;
        }
    }
    return NULL;
}

struct expected {
    const char *name;
    const char *value;
};

static void assert_values(const struct rig_run *r, const struct expected *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = value(r, rows[i].name);

        if (got == NULL || strcmp(got, rows[i].value) != 0)
            fail_msg("%s: got %s, want %s", rows[i].name, got == NULL ? "nothing" : got,
                     rows[i].value);
    }
}

#define ASSERT_VALUES(r, rows) assert_values(r, rows, sizeof(rows) / sizeof(rows)[0])

static uint64_t memory_of(const struct rig_run *r)
{
    struct wire_stat m = { .head = wire_head(WIRE_STAT, r->id) };
    union wire_message got;
    struct wire_fds none;

    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    rig_recv(&rig, &got, &none);
    assert_int_equal(got.head.type, WIRE_STATS);
    assert_int_equal(got.head.instance, r->id);
    assert_in_range(got.stats.usage.pids, 2, 32);
    return got.stats.usage.memory_bytes;
}

/* Wait for a datagram at the notify socket; returns whether it is READY=1. */
static bool ready(const struct rig_run *r)
{
    char text[64] = "";
    int fd = r->fds.fd[WIRE_FD_NOTIFY];

    return rig_wait(fd) && recv(fd, text, sizeof text - 1, 0) > 0 && strcmp(text, "READY=1") == 0;
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void reports_how_it_ended(void **state)
{
    struct {
        const char *args[4];
        uint32_t rc;
        int32_t status;
    } rows[] = {
        { { "/bin/probe", NULL }, RC_EXITED, 0 },
        { { "/bin/probe", "exit", "3", NULL }, RC_EXITED, 3 },
        { { "/bin/probe", "abort", NULL }, RC_KILLED, SIGABRT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_exited e = run_probe("sandbox_hog", rows[i].args);

        assert_rc((enum rc)e.rc, (enum rc)rows[i].rc);
        assert_int_equal(e.status, rows[i].status);
        assert_true(e.usage.memory_peak_bytes > 0);
        assert_int_equal(e.usage.oom_kills, 0);
    }
}

static void hands_over_a_receipt(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    rig_range(&rig, &plan, 5);
    rig_slot(&rig, "slot", "sandbox_hog");
    start(&run, &plan, -1);
    const struct wire_receipt *r = &run.first.launched.receipt;
    for (size_t i = 0; i < sizeof r->caps / sizeof r->caps[0]; i++)
        assert_int_equal(r->caps[i], 0);
    assert_int_equal(r->no_new_privs, 1);
    assert_int_equal(r->seccomp_mode, 2);
    assert_int_equal(r->seccomp_filters, SECCOMP_PAYLOAD_FILTERS);
    assert_int_equal(r->uid[0], plan.uid_base + PLAN_UID);
    assert_int_equal(r->gid[3], plan.uid_base + PLAN_UID);
    assert_int_equal(r->n_mounts, plan.n_ops);
    assert_int_equal(r->limit_max[RLIMIT_NOFILE], 64);
    assert_int_equal(r->limit_max[RLIMIT_CORE], 1);
    assert_int_equal(r->descriptors, 5); /* standard ones, and two that exec closes */
    assert_int_equal(r->gone, 0);
    assert_in_range(r->walls.landlock_abi, 1, 100);
    assert_int_equal(r->walls.standing | r->walls.missing, walls_all());
    assert_int_equal(r->walls.waived, 0);
    assert_true(run.first.launched.pid > 0);
    assert_true(ready(&run));
    assert_in_range(memory_of(&run), 4096, plan.limits.memory_bytes);

    rig_stop(&rig, &run, 20000);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 7);
}

static const struct expected refused_calls[] = {
    { "getpid", "0" },
    { "mount", "1" },
    { "umount2", "1" },
    { "pivot_root", "1" },
    { "chroot", "1" },
    { "fsopen", "1" },
    { "open_tree", "1" },
    { "move_mount", "1" },
    { "mount_setattr", "1" },
    { "unshare-user", "1" },
    { "clone-user", "1" },
    { "clone3", "38" },
    { "setns", "1" },
    { "ptrace", "1" },
    { "process_vm_readv", "1" },
    { "keyctl", "1" },
    { "add_key", "1" },
    { "bpf", "1" },
    { "perf_event_open", "1" },
    { "userfaultfd", "1" },
    { "io_uring_setup", "1" },
    { "memfd_create", "1" },
    { "splice", "1" },
    { "vmsplice", "1" },
    { "open_by_handle_at", "1" },
    { "mknod-block", "1" },
    { "mknod-char", "1" },
    { "setgroups", "1" },
    { "setuid-0", "1" },
    { "setresuid-other", "1" },
    { "setuid-host-root", "22" },
    { "capset", "1" },
    { "socket-inet", "1" },
    { "socket-netlink", "1" },
    { "socket-packet", "1" },
    { "socket-vsock", "1" },
    { "socket-alg", "1" },
    { "socket-inet-high", "1" },
    { "socket-unix", "0" },
    { "ioctl-tiocsti", "1" },
    { "ioctl-tiocsti-high", "1" },
    { "personality-exec", "1" },
    { "prctl-mm", "1" },
    { "sched_setscheduler", "1" },
    { "shmget", "38" },
    { "mq_open", "38" },
    { "pidfd_getfd", "1" },
    { "core-limit", "1" },
    { "core-limit-init", "1" },
    { "core-limit-high", "1" },
    { "core-limit-old", "1" },
    { "core-limit-ask", "0" },
    { "file-limit", "0" },
    { "kill-init", "0" }, /* sent, and without effect */
    { "sethostname", "1" },
    { "unknown", "38" },
};

static void refuses_system_calls(void **state)
{
    static const char *const args[] = { "/bin/probe", NULL };

    (void)state;
    struct wire_exited e = run_probe("sandbox_syscalls", args);
    assert_rc((enum rc)e.rc, RC_EXITED);
    ASSERT_VALUES(&run, refused_calls);
}

/* How the 32-bit entry ends a process that nothing confines: not at all, or by SIGSEGV on a machine
 * whose kernel or hypervisor does not offer it.  Then there is nothing left to refuse. */
static int int80_ends(void)
{
#if defined(__x86_64__)
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        long ret;

        (void)signal(SIGSEGV, SIG_DFL);
        __asm__ volatile("int $0x80" : "=a"(ret) : "a"(20L) : "memory");
        _exit(ret > 0 ? 0 : 1);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
#else
    return 0;
#endif
}

static void kills_on_tampering(void **state)
{
    static const char *const calls[] = { "reboot", "init_module", "settimeofday", "kexec_load",
                                         "int80" };
    const int native = int80_ends();

    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        const char *const args[] = { "/bin/probe", calls[i], NULL };
        struct wire_exited e = run_probe("sandbox_syscalls", args);
        bool absent = native == SIGSEGV && strcmp(calls[i], "int80") == 0;

        if (absent && e.rc == RC_KILLED && e.status == SIGSEGV && run.n_out == 0)
            print_message("int80: this machine has no 32-bit entry\n");
        else if (e.rc != RC_SECCOMP || e.status != SIGSYS || run.n_out != 0)
            fail_msg("%s: %s, status %d, said %s", calls[i], rc_name((enum rc)e.rc), e.status,
                     run.out);
    }
}

static const struct expected host_views[] = {
    { "read-shadow", "2" },
    { "read-dotdot", "2" },
    { "read-proc-root", "2" },
    { "read-proc-mem", "2" },
    { "read-proc-environ", "2" },
    { "read-proc-cmdline", "2" },
    { "read-proc-keys", "2" },
    { "write-core-pattern", "2" },
    { "write-sysrq", "2" },
    { "write-oom-score", "13" },
    { "write-uid-map", "13" },
    { "write-stdout", "0" },
    { "oom-score", "500" },
    { "read-sys", "2" },
    { "read-cgroup", "2" },
    { "write-self-exe", "13" },
    { "write-program", "13" },
    { "create-in-root", "30" },
    { "create-in-bin", "30" },
    { "create-in-dev", "30" },
    { "open-vda", "2" },
    { "open-loop", "2" },
    { "open-mem", "2" },
    { "open-tty", "2" },
    { "open-null", "0" },
    { "open-urandom", "0" },
    { "create-in-tmp", "0" },
    { "create-in-run", "0" },
    { "packed-device", "13" },
    { "pid-low", "1" },
    { "core", "1" },
    { "files", "64" },
    { "hostname", "probe" },
    { "cwd", "/" },
    { "descriptors", "4" },
    { "processes", "1" },
    { "dev-nodes", "9" }, /* five nodes, four links into /proc/self/fd */
    { "setuid-bit", "1" },
    { "notify-socket", "/run/notify" },
    { "leaked", "0" },
    { "kill-host", "3" },
    { "abstract-socket", "111" },
    { "exec-tmp", "13" },
};

static int listen_abstract(const char *name)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(a.sun_path + 1, name, strlen(name));
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
                     0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static const struct expected as_user[] = { { "uid", "1000" }, { "gid", "1000" } };
static const struct expected as_root[] = { { "uid", "0" }, { "gid", "0" } };

/* uid 0 of its own range sees and may no more than any other user of it. */
static void look_at_host(bool inner_root)
{
    char pid[16], name[48];
    const char *const args[] = { "/bin/probe", pid, name, NULL };
    struct plan plan;
    char path[300];

    (void)snprintf(pid, sizeof pid, "%d", getpid());
    (void)snprintf(name, sizeof name, "berth-test-abstract-%d", getpid());
    scoped(close_fd) int sock = listen_abstract(name);
    plan = rig_plan(&rig, args, 0);
    plan.inner_root = inner_root ? 1 : 0;
    rig_slot(&rig, "slot", "sandbox_escape");
    /* What no unpacker lets through, in the slot all the same. */
    (void)snprintf(path, sizeof path, "%s/bin/device", rig_path(&rig, "slot"));
    assert_true(mknod(path, S_IFBLK | 0666, makedev(7, 0)) == 0 || errno == EEXIST);
    (void)snprintf(path, sizeof path, "%s/bin/setuid", rig_path(&rig, "slot"));
    rig_copy("/bin/true", path, 04755);
    start(&run, &plan, -1);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    ASSERT_VALUES(&run, host_views);
    if (inner_root)
        ASSERT_VALUES(&run, as_root);
    else
        ASSERT_VALUES(&run, as_user);
}

static void hides_the_host(void **state)
{
    (void)state;
    look_at_host(false);
    look_at_host(true);
}

static void stops_a_memory_bomb_alone(void **state)
{
    static const char *const good[] = { "/bin/probe", "polite", NULL };
    static const char *const bombs[] = { "memory", "memory-child" };
    struct plan plan = rig_plan(&rig, good, 0);

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    start(&other, &plan, -1);
    assert_true(ready(&other));
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        const char *const args[] = { "/bin/probe", bombs[i], NULL };

        plan = rig_plan(&rig, args, 0);
        rig_range(&rig, &plan, 1);
        start(&run, &plan, -1);
        struct wire_exited e = rig_exited(&rig, &run);
        assert_rc((enum rc)e.rc, RC_OOM);
        assert_int_equal(e.status, SIGKILL);
        assert_in_range(e.usage.memory_peak_bytes, plan.limits.memory_bytes / 2,
                        plan.limits.memory_bytes);
    }
    assert_true(memory_of(&other) > 0);
    rig_stop(&rig, &other, 20000);
    assert_rc((enum rc)rig_exited(&rig, &other).rc, RC_EXITED);
}

static void stops_a_fork_bomb(void **state)
{
    static const char *const args[] = { "/bin/probe", "forks", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    plan.limits.memory_bytes = 256U << 20;
    rig_slot(&rig, "slot", "sandbox_hog");
    start(&run, &plan, -1);
    assert_true(rig_wait(run.fds.fd[WIRE_FD_OUTPUT]));
    rig_stop(&rig, &run, 0); /* nobody in there would ever end by himself */
    struct wire_exited e = rig_exited(&rig, &run);
    assert_true(e.rc == RC_KILLED || e.rc == RC_OOM);
    assert_string_equal(value(&run, "forks"), "30 11"); /* 32 with reaper and payload; EAGAIN */
    assert_int_equal(left_processes(&rig), 0);
}

static void stops_what_does_not_listen(void **state)
{
    static const char *const args[] = { "/bin/probe", "deaf", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    start(&run, &plan, -1);
    assert_true(ready(&run));
    rig_stop(&rig, &run, 50);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_KILLED);
    assert_int_equal(e.status, SIGKILL);
    assert_int_equal(left_processes(&rig), 0);
}

static void bounds_memory_file_systems(void **state)
{
    struct {
        const char *args[4];
        const char *name;
        const char *value;
    } rows[] = {
        { { "/bin/probe", "fill", "/tmp/x", NULL }, "fill", "28 4" }, /* ENOSPC at 4 MiB */
        { { "/bin/probe", "fill", "/run/x", NULL }, "fill", "28 0" }, /* less than one */
        { { "/bin/probe", "files", "/run", NULL }, "files", NULL },
        { { "/bin/probe", "files", "/tmp", NULL }, "files", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct wire_exited e = run_probe("sandbox_hog", rows[i].args);

        assert_rc((enum rc)e.rc, RC_EXITED);
        const char *got = value(&run, rows[i].name);
        assert_non_null(got);
        if (rows[i].value != NULL)
            assert_string_equal(got, rows[i].value);
        else
            assert_memory_equal(got, "28 ", 3);
    }
}

static void keeps_data_and_bounds_it(void **state)
{
    static const char *const keep[] = { "/bin/probe", "keep", "/data/x", "hello", NULL };
    static const char *const fill[] = { "/bin/probe", "fill", "/data/y", NULL };
    struct plan plan = rig_plan(&rig, keep, 8U << 20);
    int image;

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    image = rig_image(&rig, "data.img", 8U << 20);
    start(&run, &plan, image);
    assert_int_equal(rig_exited(&rig, &run).status, 3); /* written */

    /* Another range of ids, the same files: nothing on disk has to change. */
    rig_range(&rig, &plan, 2);
    start(&run, &plan, image);
    assert_int_equal(rig_exited(&rig, &run).status, 0); /* found */

    plan = rig_plan(&rig, fill, 8U << 20);
    start(&run, &plan, image);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_memory_equal(value(&run, "fill"), "28 ", 3);
    close_fd(&image);
}

/* One limit that is not there unless it is asked for. */
static struct wire_exited run_with(const char *const *args, void (*ask)(struct plan_limits *l))
{
    struct plan plan = rig_plan(&rig, args, 0);

    rig_slot(&rig, "slot", "sandbox_hog");
    ask(&plan.limits);
    plan_fill_ops(&plan);
    start(&run, &plan, -1);
    return rig_exited(&rig, &run);
}

static void ask_shm(struct plan_limits *l)
{
    l->shm_bytes = 2U << 20;
}

static void ask_files(struct plan_limits *l)
{
    l->tmp_files = 5;
}

static void ask_file(struct plan_limits *l)
{
    l->file_bytes = 1U << 20;
}

static void gives_shared_memory_and_bounds_it(void **state)
{
    static const char *const fill[] = { "/bin/probe", "fill", "/dev/shm/x", NULL };
    static const char *const files[] = { "/bin/probe", "files", "/dev/shm", NULL };
    static const char *const size[] = { "/bin/probe", "size", "/dev/shm", NULL };

    (void)state;
    assert_rc((enum rc)run_with(fill, ask_shm).rc, RC_EXITED);
    assert_string_equal(value(&run, "fill"), "28 2"); /* ENOSPC at 2 MiB */
    assert_rc((enum rc)run_with(files, ask_shm).rc, RC_EXITED);
    assert_string_equal(value(&run, "files"), "28 511"); /* one for 4 KiB, and itself */
    assert_rc((enum rc)run_probe("sandbox_hog", size).rc, RC_EXITED);
    assert_string_equal(value(&run, "size"), "-2"); /* who has not asked has none */
}

static void bounds_files(void **state)
{
    static const char *const files[] = { "/bin/probe", "files", "/tmp", NULL };
    static const char *const fill[] = { "/bin/probe", "fill", "/tmp/x", NULL };

    (void)state;
    assert_rc((enum rc)run_with(files, ask_files).rc, RC_EXITED);
    assert_string_equal(value(&run, "files"), "28 5");
    struct wire_exited e = run_with(fill, ask_file);
    assert_rc((enum rc)e.rc, RC_KILLED);
    assert_int_equal(e.status, SIGXFSZ);
    assert_int_equal(run.first.launched.receipt.limit_max[RLIMIT_FSIZE], 1U << 20);
}

/* Abort in /data under a limit for core dumps, and say how much is there then; pages that were
 * never used are holes. */
static const char *core_of(uint64_t core_bytes)
{
    static const char *const die[] = { "/bin/probe", "crash", "/data", NULL };
    static const char *const size[] = { "/bin/probe", "size", "/data/core", NULL };
    struct plan plan = rig_plan(&rig, die, 8U << 20);
    scoped(close_fd) int image = rig_image(&rig, "core.img", 8U << 20);

    rig_slot(&rig, "slot", "sandbox_hog");
    plan.limits.core_bytes = core_bytes;
    start(&run, &plan, image);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_KILLED);
    assert_int_equal(e.status, SIGABRT);
    plan = rig_plan(&rig, size, 8U << 20);
    start(&run, &plan, image);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_EXITED);
    return value(&run, "size");
}

/* In its own data, as large as it may be, and never without having been asked for.  Where the host
 * would start a handler for it, or put it elsewhere, it cannot be had. */
static void leaves_a_core_where_it_may(void **state)
{
    static const char *const die[] = { "/bin/probe", "abort", NULL };
    struct plan plan = rig_plan(&rig, die, 8U << 20);
    struct err err = { 0 };

    (void)state;
    assert_string_equal(core_of(0), "-2");
    if (walls_check_core(&err) == RC_OK && !left_mention("/proc/sys/kernel/core_pattern", "core\n"))
        skip(); /* some other plain name */
    if (err.rc == RC_OK) {
        long size = strtol(core_of(65536), NULL, 10);

        assert_in_range(size, 4096, 65536);
        return;
    }
    scoped(close_fd) int image = rig_image(&rig, "core.img", 8U << 20);
    scoped(close_fd) int root = slot("slot");
    plan.limits.core_bytes = 65536;
    rig_launch(&rig, &plan, root, image, &run);
    assert_false(run.started);
    assert_rc((enum rc)run.first.failed.rc, RC_NOT_BUILT);
}

static struct plan mail_plan(const char *const *args)
{
    struct plan plan = rig_plan(&rig, args, 0);

    plan.has_mail = 1;
    plan.limits.inbox_bytes = plan.limits.outbox_bytes = 1U << 20;
    plan_fill_ops(&plan);
    return plan;
}

static void start_with_mail(const char *const *args, int image)
{
    const struct plan plan = mail_plan(args);
    scoped(close_fd) int root = slot("slot");

    rig_launch_with(&rig, &plan, root, (const int[2]){ image, -1 }, &run);
    if (!run.started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)run.first.failed.rc),
                 run.first.failed.step, run.first.failed.what, run.first.failed.sys);
    assert_int_equal(run.fds.n, 5);
}

/* As whoever carries mail does: when the pidfd says so, let go of the view. */
static struct wire_exited end_with_mail(void)
{
    assert_true(rig_wait(run.fds.fd[WIRE_FD_PIDFD]));
    close_fd(&run.fds.fd[WIRE_FD_MAIL]);
    return rig_exited(&rig, &run);
}

/* Who carries mail puts a file where the payload will find it.  Its errno. */
static int deliver(int view, uid_t uid)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        int fd = setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0
                     ? openat(view, "in/letter", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
                     : -1;
        int why = fd < 0 ? errno : 0;

        if (fd >= 0 && write(fd, "hello", 5) != 5)
            why = errno;
        _exit(why);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void carries_mail_in_an_image_of_its_own(void **state)
{
    static const char *const leave[] = { "/bin/probe", "keep", "/outbox/x", "hello", NULL };
    static const char *const find[] = { "/bin/probe", "keep", "/inbox/letter", "hello", NULL };
    static const char *const fill[] = { "/bin/probe", "fill", "/outbox/y", NULL };
    static const char *const files[] = { "/bin/probe", "files", "/outbox", NULL };
    scoped(close_fd) int image = -1;
    struct stat st;

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    image = rig_image(&rig, "mail.img", plan_mail_image(1U << 20, 1U << 20));
    start_with_mail(leave, image);
    assert_true(rig_wait(run.fds.fd[WIRE_FD_PIDFD]));
    assert_int_equal(fstatat(run.fds.fd[WIRE_FD_MAIL], "out/x", &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(st.st_uid, RIG_MAIL_UID); /* the payload's is the carrier's, and ... */
    assert_int_equal(deliver(run.fds.fd[WIRE_FD_MAIL], RIG_MAIL_UID + 1), EACCES); /* no other's */
    assert_int_equal(deliver(run.fds.fd[WIRE_FD_MAIL], RIG_MAIL_UID), 0);
    assert_int_equal(left_loops(&rig), 1);
    assert_int_equal(end_with_mail().status, 3);
    assert_int_equal(left_loops(&rig), 0); /* before EXITED is told */

    start_with_mail(find, image);
    assert_int_equal(end_with_mail().status, 0);

    /* Nothing of the host's is used up. */
    start_with_mail(fill, image);
    assert_rc((enum rc)end_with_mail().rc, RC_EXITED);
    assert_memory_equal(value(&run, "fill"), "28 ", 3);
    start_with_mail(files, image);
    assert_rc((enum rc)end_with_mail().rc, RC_EXITED);
    assert_memory_equal(value(&run, "files"), "28 ", 3);
}

/* A view that is never let go of holds up its own image, and for a bounded time. */
static void waits_for_a_view_and_not_for_ever(void **state)
{
    static const char *const args[] = { "/bin/probe", "exit", "0", NULL };
    scoped(close_fd) int image = -1;
    scoped(close_fd) int root = -1;

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    image = rig_image(&rig, "mail.img", plan_mail_image(1U << 20, 1U << 20));
    root = slot("slot");
    start_with_mail(args, image);
    scoped(close_fd) int view = take_fd(&run.fds.fd[WIRE_FD_MAIL]);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_EXITED);

    const struct plan plan = mail_plan(args);
    close_fd(&image); /* a lock is of what was opened once */
    image = open(rig_path(&rig, "mail.img"), O_RDWR | O_CLOEXEC);
    rig_launch_with(&rig, &plan, root, (const int[2]){ image, -1 }, &run);
    assert_false(run.started);
    assert_rc((enum rc)run.first.failed.rc, RC_BUSY);
    close_fd(&view);
    start_with_mail(args, image);
    assert_int_equal(end_with_mail().status, 0);
}

/* What is exec'd is a descriptor of a file of the slot itself; links and scripts lead to one. */
static void runs_files_of_the_slot_only(void **state)
{
    const struct {
        const char *target; /* of the link /bin/x; NULL: it is a script */
        uint32_t rc;
        int status;
    } rows[] = {
        { "probe", RC_KILLED, SIGABRT },
        { "/bin/probe", RC_KILLED, SIGABRT },
        { "../../bin/probe", RC_KILLED, SIGABRT },
        { NULL, RC_KILLED, SIGABRT },
        { "/proc/self/exe", RC_LAUNCH_EXEC, ELOOP },
        { "/dev/null", RC_LAUNCH_EXEC, EXDEV },
        { "/tmp/x", RC_LAUNCH_EXEC, EXDEV },
        { "/none", RC_LAUNCH_EXEC, ENOENT },
    };
    static const char *const args[] = { "/bin/x", "abort", NULL };

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan plan = rig_plan(&rig, args, 0);
        scoped(close_fd) int root = slot("slot");
        const char *path = rig_path(&rig, "slot/bin/x");

        (void)unlink(path);
        if (rows[i].target != NULL) {
            assert_int_equal(symlink(rows[i].target, path), 0);
        } else {
            scoped(close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
            assert_int_equal(dprintf(fd, "#!/bin/probe abort\n"), 19);
            assert_int_equal(fchmod(fd, 0755), 0);
        }
        rig_launch(&rig, &plan, root, -1, &run);
        bool refused = rows[i].rc == RC_LAUNCH_EXEC;
        if (run.started == refused || (refused && (run.first.failed.rc != rows[i].rc ||
                                                   strcmp(run.first.failed.step, "exec") != 0)))
            fail_msg("row %zu: %s, errno %d", i, run.started ? "started" : run.first.failed.what,
                     run.started ? 0 : run.first.failed.sys);
        if (refused && run.first.failed.sys != rows[i].status && rows[i].status != ELOOP)
            fail_msg("row %zu: errno %d", i, run.first.failed.sys);
        if (refused)
            continue;
        struct wire_exited e = rig_exited(&rig, &run);
        assert_rc((enum rc)e.rc, (enum rc)rows[i].rc);
        assert_int_equal(e.status, rows[i].status);
    }
}

static void reaps_orphans(void **state)
{
    static const char *const args[] = { "/bin/probe", "orphans", NULL };

    (void)state;
    struct wire_exited e = run_probe("sandbox_hog", args);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 0); /* 200 of them did not fill the 32 places */
}

/* More than are ready beforehand, at once: no two share one, and none has the host's. */
static void gives_each_its_own_network(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };
    static struct rig_run many[NETWORK_READY + 2U];
    const size_t n = sizeof many / sizeof many[0];
    uint64_t seen[NETWORK_READY + 3U];
    struct plan plan = rig_plan(&rig, args, 0);
    struct stat own;

    (void)state;
    assert_int_equal(stat("/proc/self/ns/net", &own), 0);
    seen[n] = own.st_ino;
    rig_slot(&rig, "slot", "sandbox_hog");
    for (uint32_t i = 0; i < n; i++) {
        rig_range(&rig, &plan, i);
        start(&many[i], &plan, -1);
        seen[i] = many[i].first.launched.receipt.ns[NS_NET];
        assert_int_not_equal(seen[i], 0);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k <= n; k++)
            assert_int_not_equal(seen[i], seen[k]);
    }
    for (size_t i = 0; i < n; i++) {
        rig_stop(&rig, &many[i], 0);
        (void)rig_exited(&rig, &many[i]);
    }
}

/* Two payloads and two buses: each has the one that it was started with, and no name for others. */
static void gives_each_its_own_bus(void **state)
{
    static const char *const args[] = { "/bin/probe", "echo", NULL };
    struct plan plan = rig_plan(&rig, args, 0);
    struct rig_run *const runs[] = { &run, &other };
    static const char *const answers[] = { "first", "second" };

    (void)state;
    rig_slot(&rig, "slot", "bus_client");
    for (uint32_t i = 0; i < 2; i++) {
        rig_range(&rig, &plan, i);
        start(runs[i], &plan, -1);
    }
    for (uint32_t i = 0; i < 2; i++) {
        char hello[8] = "";

        assert_true(rig_wait(runs[i]->fds.fd[WIRE_FD_BUS]));
        scoped(close_fd) int sock = accept4(runs[i]->fds.fd[WIRE_FD_BUS], NULL, NULL, SOCK_CLOEXEC);
        assert_true(sock >= 0);
        assert_true(rig_wait(sock));
        assert_int_equal(read(sock, hello, sizeof hello), 5);
        assert_memory_equal(hello, "hello", 5);
        assert_int_equal(write(sock, answers[i], strlen(answers[i])), strlen(answers[i]));
        (void)rig_exited(&rig, runs[i]); /* before the next one may end */
    }
    assert_string_equal(run.out, "answer first\n");
    assert_string_equal(other.out, "answer second\n");
}

static void bounds_the_processor(void **state)
{
    static const char *const args[] = { "/bin/probe", "spin", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    plan.limits.cpu_permille = 100;
    rig_slot(&rig, "slot", "sandbox_hog");
    uint64_t began = clock_mono_ms();
    start(&run, &plan, -1);
    struct pollfd p = { .fd = run.fds.fd[WIRE_FD_PIDFD], .events = POLLIN };
    assert_int_equal(poll(&p, 1, 1000), 0); /* a second of its life */
    rig_stop(&rig, &run, 0);
    struct wire_exited e = rig_exited(&rig, &run);
    uint64_t lived_ms = clock_mono_ms() - began;
    assert_in_range(e.usage.cpu_us, 1, lived_ms * 1000 / 4); /* a tenth, and a margin */
}

/* As <linux/sched/types.h> has it, which cannot be included beside <sched.h>. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* What the kernel makes of a slice: 0 where it knows none. */
static uint64_t slice_taken(uint32_t ns)
{
    struct attr attr = { 0 };
    int status = -1;
    int got[2];

    assert_int_equal(pipe2(got, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (slice_take(ns) != 0 ||
            syscall(SYS_sched_getattr, 0, &attr, (unsigned int)sizeof attr, 0U) != 0 ||
            write(got[1], &attr, sizeof attr) != sizeof attr)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(got[0], &attr, sizeof attr), sizeof attr);
    (void)close(got[0]);
    (void)close(got[1]);
    assert_int_equal(attr.policy, SCHED_OTHER);
    assert_int_equal(attr.nice, getpriority(PRIO_PROCESS, 0));
    return attr.runtime;
}

/* Who may use less of a processor gets it sooner. */
static void gives_slices_by_the_limit(void **state)
{
    static const char *const args[] = { "/bin/probe", "slice", NULL };
    static const struct {
        uint32_t permille, ns;
    } rows[] = { { 1, SLICE_NS_MIN },    { 25, SLICE_NS_MIN },        { 26, 104000 },
                 { 250, 1000000 },       { 1000, 4000000 },           { 1999, 7996000 },
                 { 2000, SLICE_NS_MAX }, { UINT32_MAX, SLICE_NS_MAX } };
    uint64_t known = slice_taken(300000);
    char wanted[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(slice_for(rows[i].permille), rows[i].ns);
    assert_true(known == 300000 || known == 0);
    rig_slot(&rig, "slot", "sandbox_hog");
    for (uint32_t permille = 250; permille <= 1000; permille += 750) {
        struct plan plan = rig_plan(&rig, args, 0);

        plan.limits.cpu_permille = permille;
        start(&run, &plan, -1);
        assert_int_equal(rig_exited(&rig, &run).status, 0);
        (void)snprintf(wanted, sizeof wanted, "slice %u %d\n", known != 0 ? slice_for(permille) : 0,
                       EPERM);
        assert_string_equal(run.out, wanted);
    }
}

static void does_not_wait_for_a_flood(void **state)
{
    static const char *const flood[] = { "/bin/probe", "flood", NULL };
    static const char *const good[] = { "/bin/probe", "exit", "0", NULL };
    struct plan plan = rig_plan(&rig, flood, 0);

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    start(&other, &plan, -1); /* nobody reads it: it blocks itself and no one else */
    plan = rig_plan(&rig, good, 0);
    rig_range(&rig, &plan, 1);
    start(&run, &plan, -1);
    assert_int_equal(rig_exited(&rig, &run).status, 0);
    rig_stop(&rig, &other, 0);
    assert_rc((enum rc)rig_exited(&rig, &other).rc, RC_KILLED);
}

/* ---- refusals ------------------------------------------------------------------------------- */

static void no_program(struct plan *p)
{
    memcpy(p->args[0], "/bin/none", 10);
}

static void no_executable(struct plan *p)
{
    memcpy(p->args[0], "/bin/text", 10);
}

static void bad_plan(struct plan *p)
{
    p->uid_base = 0;
}

static void nothing(struct plan *p)
{
    (void)p;
}

struct refusal {
    const char *why;
    void (*change)(struct plan *p);
    const char *link;    /* mount point that becomes a link, or NULL */
    const char *missing; /* mount point that is not there, or NULL */
    uint64_t data;
    uint64_t image; /* size of a zero file instead of an image, 0 = none */
    uint32_t rc;
    const char *step;
};

static const struct refusal refusals[] = {
    { "no such program", no_program, NULL, NULL, 0, 0, RC_LAUNCH_EXEC, "exec" },
    { "not a program", no_executable, NULL, NULL, 0, 0, RC_LAUNCH_EXEC, "exec" },
    { "ids of the host", bad_plan, NULL, NULL, 0, 0, RC_LAUNCH_REQUEST, "plan" },
    { "/dev is a link (CVE-2026-41579)", nothing, "dev", NULL, 0, 0, RC_LAUNCH_STEP, "tree" },
    { "/proc is a link", nothing, "proc", NULL, 0, 0, RC_LAUNCH_STEP, "tree" },
    { "/tmp is a link", nothing, "tmp", NULL, 0, 0, RC_LAUNCH_STEP, "tree" },
    { "/run is missing", nothing, NULL, "run", 0, 0, RC_LAUNCH_STEP, "tree" },
    { "image is not one", nothing, NULL, NULL, 4U << 20, 4U << 20, RC_DATA_IMAGE, "data" },
    { "image is too large", nothing, NULL, NULL, 4U << 20, 6U << 20, RC_DATA_IMAGE, "data" },
};

static void refuse_one(const struct refusal *row)
{
    static const char *const args[] = { "/bin/probe", NULL };
    struct plan plan = rig_plan(&rig, args, row->data);
    char name[24];
    char path[300];
    scoped(close_fd) int image = -1;

    (void)snprintf(name, sizeof name, "r%zu", (size_t)(row - refusals));
    rig_slot(&rig, name, "sandbox_hog");
    (void)snprintf(path, sizeof path, "%s/bin/text", rig_path(&rig, name));
    rig_copy("/proc/self/comm", path, 0644);
    if (row->link != NULL || row->missing != NULL) {
        (void)snprintf(path, sizeof path, "%s/%s", rig_path(&rig, name),
                       row->link != NULL ? row->link : row->missing);
        assert_int_equal(rmdir(path), 0);
    }
    if (row->link != NULL)
        assert_int_equal(symlink("/data", path), 0);
    if (row->image != 0) {
        image = open(rig_path(&rig, "zero"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_int_equal(ftruncate(image, (off_t)row->image), 0);
    }
    row->change(&plan);

    scoped(close_fd) int root = slot(name);
    rig_launch(&rig, &plan, root, image, &run);
    if (run.started || run.first.failed.rc != row->rc ||
        strcmp(run.first.failed.step, row->step) != 0)
        fail_msg("%s: %s at %s", row->why,
                 run.started ? "started" : rc_name((enum rc)run.first.failed.rc),
                 run.started ? "-" : run.first.failed.step);
}

static void refuses_and_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        refuse_one(&refusals[i]);
        assert_int_equal(left_processes(&rig), 0);
        assert_int_equal(left_loops(&rig), 0);
    }
}

/* A descriptor of any directory is easy to get; only a slot becomes a root. */
static void refuses_what_is_no_slot(void **state)
{
    static const char *const args[] = { "/bin/probe", NULL };
    static const char *const places[] = { "/", "/tmp", NULL /* all slots together */, "deep" };
    struct plan plan = rig_plan(&rig, args, 0);

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    (void)mkdir(rig_path(&rig, "a"), 0755);
    (void)mkdir(rig_path(&rig, "a/b"), 0755);
    (void)mkdir(rig_path(&rig, "a/b/c"), 0755);
    (void)mkdir(rig_path(&rig, "a/b/c/d"), 0755);
    rig_slot(&rig, "a/b/c/d/deep", "sandbox_hog");
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *path = places[i] == NULL ? rig.dir : places[i];

        if (path[0] != '/')
            path = rig_path(&rig, "a/b/c/d/deep");
        scoped(close_fd) int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

        assert_true(root >= 0);
        rig_launch(&rig, &plan, root, -1, &run);
        assert_false(run.started);
        assert_rc((enum rc)run.first.failed.rc, RC_LAUNCH_REQUEST);
        assert_string_equal(run.first.failed.step, "mounts");
    }
}

static void refuses_an_image_in_use(void **state)
{
    static const char *const args[] = { "/bin/probe", "polite", NULL };
    struct plan plan = rig_plan(&rig, args, 8U << 20);
    scoped(close_fd) int image = -1;
    scoped(close_fd) int again = -1;

    (void)state;
    rig_slot(&rig, "slot", "sandbox_hog");
    image = rig_image(&rig, "shared.img", 8U << 20);
    again = open(rig_path(&rig, "shared.img"), O_RDWR | O_CLOEXEC);
    start(&other, &plan, image);
    assert_true(ready(&other));

    scoped(close_fd) int root = slot("slot");
    rig_launch(&rig, &plan, root, again, &run);
    assert_false(run.started);
    assert_rc((enum rc)run.first.failed.rc, RC_BUSY);
    rig_stop(&rig, &other, 20000);
    assert_int_equal(rig_exited(&rig, &other).status, 7);
}

/* ---- the end of berthd and of berth-launch -------------------------------------------------- */

/* Three that do not listen; run is the last of them. */
static void start_three(void)
{
    static const char *const args[] = { "/bin/probe", "deaf", NULL };
    struct plan plan = rig_plan(&rig, args, 0);

    rig_slot(&rig, "slot", "sandbox_hog");
    run.fds = WIRE_FDS_INIT;
    for (uint32_t i = 0; i < 3; i++) {
        rig_range(&rig, &plan, i);
        wire_fds_close(&run.fds);
        start(&run, &plan, -1);
        assert_true(ready(&run));
    }
    assert_int_equal(left_processes(&rig), 12); /* reaper, payload and two children each */
}

static void ends_with_berthd(void **state)
{
    (void)state;
    start_three();
    wire_fds_close(&run.fds);
    /* teardown closes the socket, and finds nothing left */
}

static void ends_on_a_forged_message(void **state)
{
    const uint64_t forged[3] = { 77, 77, 77 };
    int status;

    (void)state;
    start_three();
    assert_int_equal(send(rig.sock, forged, sizeof forged, MSG_NOSIGNAL), sizeof forged);
    assert_int_equal(waitpid(rig.launch, &status, 0), rig.launch);
    assert_int_equal(status, 0);
    wire_fds_close(&run.fds);
    assert_nothing_left();
    (void)close(rig.sock);
    rig_start(&rig); /* for teardown */
}

static void next_one_cleans_up_after_sigkill(void **state)
{
    static const char *const deaf[] = { "/bin/probe", "deaf", NULL };
    static const char *const keep[] = { "/bin/probe", "keep", "/data/x", "hello", NULL };
    struct plan plan = rig_plan(&rig, deaf, 8U << 20);
    struct pollfd gone;
    int image;
    int status;

    (void)state;
    start_three();
    wire_fds_close(&run.fds);
    rig_range(&rig, &plan, 3);
    image = rig_image(&rig, "data.img", 8U << 20);
    start(&run, &plan, image);
    assert_true(ready(&run));
    close_fd(&image);
    gone = (struct pollfd){ .fd = run.fds.fd[WIRE_FD_PIDFD], .events = POLLIN };
    assert_int_equal(kill(rig.launch, SIGKILL), 0);
    assert_int_equal(waitpid(rig.launch, &status, 0), rig.launch);
    assert_int_equal(poll(&gone, 1, RIG_WAIT_MS), 1); /* they die with their launcher */
    wire_fds_close(&run.fds);
    (void)close(rig.sock);

    /* The image is free again, and whole. */
    rig_start(&rig);
    plan = rig_plan(&rig, keep, 8U << 20);
    image = open(rig_path(&rig, "data.img"), O_RDWR | O_CLOEXEC);
    start(&run, &plan, image);
    assert_int_equal(rig_exited(&rig, &run).status, 3);
    close_fd(&image);
    assert_int_equal(left_processes(&rig), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reports_how_it_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(hands_over_a_receipt, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_system_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(kills_on_tampering, setup, teardown),
        cmocka_unit_test_setup_teardown(hides_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_a_memory_bomb_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_a_fork_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(stops_what_does_not_listen, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_memory_file_systems, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_shared_memory_and_bounds_it, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_files, setup, teardown),
        cmocka_unit_test_setup_teardown(leaves_a_core_where_it_may, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_data_and_bounds_it, setup, teardown),
        cmocka_unit_test_setup_teardown(carries_mail_in_an_image_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_a_view_and_not_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_files_of_the_slot_only, setup, teardown),
        cmocka_unit_test_setup_teardown(reaps_orphans, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_each_its_own_network, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_each_its_own_bus, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_the_processor, setup, teardown),
        cmocka_unit_test_setup_teardown(gives_slices_by_the_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(does_not_wait_for_a_flood, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_and_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_slot, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_an_image_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_with_berthd, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_on_a_forged_message, setup, teardown),
        cmocka_unit_test_setup_teardown(next_one_cleans_up_after_sigkill, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
