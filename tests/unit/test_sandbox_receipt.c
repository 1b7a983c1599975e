/* SPDX-License-Identifier: Apache-2.0
 *
 * Launch receipts: what they say of a payload that runs as planned, and that each thing of it that
 * is changed from outside, as a fault or an intruder would, is found by the audit and ends the
 * payload with a code of its own.  What a payload does to itself is no drift.
 */
#include "tests/unit/test.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sandbox/receipt.h"
#include "tests/unit/sandbox_rig.h"

static const char *const polite[] = { "/bin/probe", "polite", NULL };
static struct rig rig;
static struct rig_run run;

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return -1;
    }
    rig_open(&rig, "receipt");
    rig_slot(&rig, "slot", "sandbox_hog");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return rig_end(&rig) == 0 && rig_remove(&rig) ? 0 : -1;
}

static void start(void)
{
    struct plan plan = rig_plan(&rig, polite, 0);
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char text[64] = "";

    rig_launch(&rig, &plan, root, -1, &run);
    if (!run.started)
        fail_msg("%s at %s: %s", rc_name((enum rc)run.first.failed.rc), run.first.failed.step,
                 run.first.failed.what);
    assert_true(rig_wait(run.fds.fd[WIRE_FD_NOTIFY]));
    assert_true(recv(run.fds.fd[WIRE_FD_NOTIFY], text, sizeof text - 1, 0) > 0);
    assert_string_equal(text, "READY=1");
}

static struct wire_audited audit(void)
{
    const struct wire_audit m = { .head = wire_head(WIRE_AUDIT, run.id) };
    union wire_message got;
    struct wire_fds none;

    assert_rc(wire_send(rig.sock, &m.head, NULL, 0, NULL), RC_OK);
    rig_recv(&rig, &got, &none);
    assert_int_equal(got.head.type, WIRE_AUDITED);
    assert_int_equal(got.head.instance, run.id);
    return got.audited;
}

/* ---- changes from outside ------------------------------------------------------------------- */

static pid_t payload(void)
{
    return run.first.launched.pid;
}

static void let_cores_be_written(void)
{
    const struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

    assert_int_equal(prlimit(payload(), RLIMIT_CORE, &none, NULL), 0);
}

/* Out of its memory limit, or out of the group that it is tracked in. */
static void leave_group(void)
{
    static const char *const roots[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup" };
    char path[128];

    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/cgroup.procs", roots[i]);
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
            continue;
        assert_true(dprintf(fd, "%d", payload()) > 0);
        (void)close(fd);
        return;
    }
    fail_msg("no group to move it to");
}

/* As somebody who has got into its namespaces. */
static void in_its_mounts(void (*change)(void))
{
    char path[40];
    int status = -1;
    pid_t pid;

    (void)snprintf(path, sizeof path, "/proc/%d/ns/mnt", payload());
    scoped(close_fd) int ns = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(ns >= 0);
    pid = fork();
    if (pid == 0) {
        if (setns(ns, CLONE_NEWNS) != 0)
            _exit(1);
        change();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void mount_another(void)
{
    if (mount("none", "/tmp", "tmpfs", 0, NULL) != 0)
        _exit(2);
}

static void make_writable(void)
{
    const struct mount_attr attr = { .attr_clr = MOUNT_ATTR_RDONLY };

    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0U, &attr, sizeof attr) != 0)
        _exit(2);
}

static void add_mount(void)
{
    in_its_mounts(mount_another);
}

static void unlock_root(void)
{
    in_its_mounts(make_writable);
}

static const struct {
    const char *why;
    void (*change)(void);
    const char *what;
} drifts[] = {
    { "a core limit of 0, with which the host's handler runs", let_cores_be_written,
      "resource limits" },
    { "another control group", leave_group, "control groups" },
    { "one more mount", add_mount, "mounts" },
    { "a root that can be written", unlock_root, "mounts" },
};

static void ends_what_has_drifted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof drifts / sizeof drifts[0]; i++) {
        start();
        assert_int_equal(audit().rc, RC_OK);
        drifts[i].change();
        struct wire_audited a = audit();
        if (a.rc != RC_DRIFT || strcmp(a.what, drifts[i].what) != 0)
            fail_msg("%s: %s %s", drifts[i].why, rc_name((enum rc)a.rc), a.what);
        assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_DRIFT);
    }
}

/* ---- comparing, without a kernel ------------------------------------------------------------ */

struct difference {
    const char *what; /* NULL = none */
    size_t offset;
    size_t size;
    uint64_t value;
};

#define DIFFERENCE(what, member, value)                                                            \
    {                                                                                              \
        what, offsetof(struct wire_receipt, member), sizeof((struct wire_receipt *)NULL)->member,  \
            value                                                                                  \
    }

static const struct difference differences[] = {
    { NULL, 0, 0, 0 },
    DIFFERENCE("capabilities", caps[0], 1),
    DIFFERENCE("capabilities", caps[3], 1),
    DIFFERENCE("capabilities", caps[4], 1ULL << 40),
    DIFFERENCE("resource limits", limit_max[RLIMIT_NOFILE], 65),
    DIFFERENCE("resource limits", limit_max[RLIMIT_CORE], 0),
    DIFFERENCE(NULL, limit_max[RLIMIT_NOFILE], 63),
    DIFFERENCE("ids", uid[2], 1),
    DIFFERENCE("ids", gid[0], 1),
    DIFFERENCE("ids", map[1], 1),
    DIFFERENCE("no_new_privs", no_new_privs, 0),
    DIFFERENCE("seccomp", seccomp_mode, 0),
    DIFFERENCE("seccomp", seccomp_mode, 1),
    DIFFERENCE(NULL, seccomp_mode, 3), /* being killed */
    DIFFERENCE("seccomp", seccomp_filters, 1),
    DIFFERENCE(NULL, seccomp_filters, 3), /* one more by itself */
    DIFFERENCE("mounts", n_mounts, 6),
    DIFFERENCE("mounts", mounts[31], 1),
    DIFFERENCE("namespaces", ns[NS_TIME], 1),
    DIFFERENCE("control groups", groups[0], 1),
    DIFFERENCE(NULL, descriptors, 9), /* it opens files */
    DIFFERENCE(NULL, gone, 1),
};

static void compares_each_part(void **state)
{
    struct wire_receipt then = { .no_new_privs = 1, .seccomp_mode = 2, .seccomp_filters = 2 };

    (void)state;
    for (size_t i = 0; i < WIRE_RECEIPT_LIMITS; i++)
        then.limit_max[i] = i == RLIMIT_CORE ? 1 : 64;
    for (size_t i = 0; i < sizeof differences / sizeof differences[0]; i++) {
        const struct difference *d = &differences[i];
        struct wire_receipt now = then;
        struct err err = { 0 };

        memcpy((uint8_t *)&now + d->offset, &d->value, d->size);
        enum rc rc = receipt_compare(&then, &now, &err);
        if (rc != (d->what == NULL ? RC_OK : RC_DRIFT) ||
            (d->what != NULL && strcmp(err.what, d->what) != 0))
            fail_msg("row %zu: %s %s", i, rc_name(rc), err.what);
    }
}

/* ---- receipts ------------------------------------------------------------------------------- */

/* The same plan gives the same digest, whoever else ran before; another limit gives another. */
static void digests_what_matters(void **state)
{
    struct wire_receipt r[2];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        start();
        r[i] = run.first.launched.receipt;
        rig_stop(&rig, &run, 20000);
        assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_EXITED);
    }
    assert_memory_equal(r[0].digest, r[1].digest, sizeof r[0].digest);
    assert_memory_not_equal(r[0].ns, r[1].ns, sizeof r[0].ns);
    assert_memory_not_equal(r[0].groups, r[1].groups, sizeof r[0].groups);

    struct plan plan = rig_plan(&rig, polite, 0);
    scoped(close_fd) int root = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    plan.limits.open_files = 32;
    rig_launch(&rig, &plan, root, -1, &run);
    assert_true(run.started);
    assert_memory_not_equal(run.first.launched.receipt.digest, r[0].digest, sizeof r[0].digest);
    rig_stop(&rig, &run, 0);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_KILLED);
}

/* Every namespace is another than this process's. */
static void tells_of_namespaces(void **state)
{
    static const char *const names[NS_KINDS] = { "user", "mnt", "pid",    "net",
                                                 "ipc",  "uts", "cgroup", "time" };

    (void)state;
    start();
    for (size_t i = 0; i < NS_KINDS; i++) {
        char path[40];
        char ours[64] = "";
        char theirs[64];

        (void)snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
        assert_true(readlink(path, ours, sizeof ours - 1) > 0);
        (void)snprintf(theirs, sizeof theirs, "%s:[%llu]", names[i],
                       (unsigned long long)run.first.launched.receipt.ns[i]);
        assert_string_not_equal(ours, theirs);
        (void)snprintf(path, sizeof path, "/proc/%d/ns/%s", payload(), names[i]);
        assert_true(readlink(path, ours, sizeof ours - 1) > 0);
        assert_string_equal(ours, theirs);
    }
    rig_stop(&rig, &run, 20000);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_EXITED);
}

/* Lowering what it has is a payload's own business. */
static void lets_a_payload_lower_its_limits(void **state)
{
    const struct rlimit less = { .rlim_cur = 16, .rlim_max = 16 };

    (void)state;
    start();
    assert_int_equal(prlimit(payload(), RLIMIT_NOFILE, &less, NULL), 0);
    assert_int_equal(audit().rc, RC_OK);
    rig_stop(&rig, &run, 20000);
    assert_rc((enum rc)rig_exited(&rig, &run).rc, RC_EXITED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_each_part),
        cmocka_unit_test_setup_teardown(digests_what_matters, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_of_namespaces, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_what_has_drifted, setup, teardown),
        cmocka_unit_test_setup_teardown(lets_a_payload_lower_its_limits, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
