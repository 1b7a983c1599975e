/* SPDX-License-Identifier: Apache-2.0
 *
 * The walls of a sandbox: each one made missing on berth-launch, by a filter that fails the call
 * that it is made of or by a view of the host that lacks it.  Then nothing is launched, and the
 * refusal names the wall; with the wall waived a payload starts, and its receipt says so.
 */
#include "tests/unit/test.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/walls.h"
#include "tests/unit/sandbox_rig.h"

#define ANY (-1)

/* What berth-launch finds missing. */
struct lack {
    long call; /* fails with error if the lower half of argument arg, masked, has the value */
    int arg;   /* or ANY: it always fails */
    uint32_t mask, value;
    int error;
    const char *path; /* not NULL: this is hidden behind an empty file system, or read-only */
    bool read_only;
};

static const char *const good[] = { "/bin/probe", "exit", "5", NULL };
static struct rig rig;
static struct rig_run run;

/* ---- making walls missing ------------------------------------------------------------------- */

static void fail_call(const struct lack *l)
{
    const uint32_t arg = (uint32_t)offsetof(struct seccomp_data, args) + 8U * (uint32_t)l->arg;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)l->call, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, l->arg == ANY ? 0 : arg),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, l->arg == ANY ? 0 : l->mask),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, l->arg == ANY ? 0 : l->value, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)l->error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof code / sizeof code[0], .filter = code };

    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &program) != 0)
        rig_die("filter");
}

/* In a mount namespace of our own: nothing of the host changes. */
static void hide_path(const struct lack *l)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        rig_die("mount namespace");
    if (!l->read_only && mount("none", l->path, "tmpfs", 0, NULL) != 0)
        rig_die(l->path);
    if (l->read_only && (mount(l->path, l->path, NULL, MS_BIND, NULL) != 0 ||
                         mount(NULL, l->path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0))
        rig_die(l->path);
}

/* Back to where everything is to be seen. */
static void show_all(int namespace, int cwd)
{
    assert_int_equal(setns(namespace, CLONE_NEWNS), 0);
    assert_int_equal(fchdir(cwd), 0);
}

static void make_missing(void *arg)
{
    fail_call(arg);
}

/* ---- one launcher --------------------------------------------------------------------------- */

static void open_rig(struct lack *lack, const char *waive, const char *require)
{
    const struct rig_options options = {
        .waive = waive,
        .require = require,
        .before = lack != NULL && lack->path == NULL ? make_missing : NULL,
        .arg = lack,
    };

    rig_open_with(&rig, "walls", &options);
    rig_slot(&rig, "slot", "sandbox_hog");
}

static void close_rig(void)
{
    assert_int_equal(rig_end(&rig), 0);
    assert_true(rig_remove(&rig));
}

static void launch(void)
{
    struct plan plan = rig_plan(&rig, good, 0);
    scoped(close_fd) int slot = open(rig_path(&rig, "slot"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    rig_launch(&rig, &plan, slot, -1, &run);
}

static void assert_refused(const char *wall)
{
    const size_t n = strlen(wall);

    assert_rc((enum rc)rig.walls.refused_rc, RC_LAYER_MISSING);
    assert_memory_equal(rig.walls.refused_what, wall, n);
    for (int i = 0; i < 2; i++) { /* each time, not only the first */
        launch();
        if (run.started || run.first.failed.rc != RC_LAYER_MISSING ||
            strncmp(run.first.failed.what, wall, n) != 0 ||
            strcmp(run.first.failed.step, "walls") != 0)
            fail_msg("%s: %s %s", wall, run.started ? "started" : "refused",
                     run.started ? "" : run.first.failed.what);
    }
}

static void assert_starts(uint64_t missing, uint64_t waived)
{
    const struct wire_walls_seen *seen = &run.first.launched.receipt.walls;

    assert_rc((enum rc)rig.walls.refused_rc, RC_OK);
    launch();
    if (!run.started)
        fail_msg("%s at %s: %s, errno %d", rc_name((enum rc)run.first.failed.rc),
                 run.first.failed.step, run.first.failed.what, run.first.failed.sys);
    assert_memory_equal(seen, &rig.walls.seen, sizeof *seen);
    assert_int_equal(seen->missing & missing, missing);
    assert_int_equal(seen->waived, waived);
    struct wire_exited e = rig_exited(&rig, &run);
    assert_rc((enum rc)e.rc, RC_EXITED);
    assert_int_equal(e.status, 5);
}

/* ---- tests ---------------------------------------------------------------------------------- */

struct row {
    enum wall wall;
    struct lack lack;
    uint64_t also; /* what goes with it */
};

#define BIT(name) (1ULL << WALL_##name)
#define CALL(nr, error)                                                                            \
    {                                                                                              \
        SYS_##nr, ANY, 0, 0, error, NULL, false                                                    \
    }
#define CALL_IF(nr, arg, mask, value, error)                                                       \
    {                                                                                              \
        SYS_##nr, arg, mask, value, error, NULL, false                                             \
    }
#define UNSHARE(flag) CALL_IF(unshare, 0, flag, flag, EINVAL)
#define PRCTL(option) CALL_IF(prctl, 0, UINT32_MAX, option, EPERM)
#define HIDDEN(path)                                                                               \
    {                                                                                              \
        0, ANY, 0, 0, 0, path, false                                                               \
    }
#define READ_ONLY(path)                                                                            \
    {                                                                                              \
        0, ANY, 0, 0, 0, path, true                                                                \
    }

static struct row rows[] = {
    { WALL_USER_NAMESPACE, UNSHARE(CLONE_NEWUSER), BIT(NO_NESTED_NAMESPACES) },
    { WALL_MOUNT_NAMESPACE, UNSHARE(CLONE_NEWNS), BIT(DETACHED_MOUNTS) },
    { WALL_PID_NAMESPACE, UNSHARE(CLONE_NEWPID), 0 },
    { WALL_NET_NAMESPACE, UNSHARE(CLONE_NEWNET), 0 },
    { WALL_IPC_NAMESPACE, UNSHARE(CLONE_NEWIPC), 0 },
    { WALL_UTS_NAMESPACE, UNSHARE(CLONE_NEWUTS), 0 },
    { WALL_CGROUP_NAMESPACE, UNSHARE(CLONE_NEWCGROUP), 0 },
    { WALL_TIME_NAMESPACE, UNSHARE(0x80U), 0 },
    { WALL_DETACHED_MOUNTS, CALL(open_tree, ENOSYS), 0 },
    { WALL_DETACHED_MOUNTS, CALL(fsopen, ENOSYS), BIT(IDMAPPED_MOUNTS) | BIT(PROC_SUBSET) },
    { WALL_BENEATH_LOOKUP, CALL(openat2, ENOSYS), 0 },
    { WALL_PIDFD, CALL(clone3, ENOSYS), BIT(CLONE_INTO_CGROUP) | BIT(CGROUP_KILL) },
    { WALL_PIDFD, CALL(pidfd_send_signal, ENOSYS), 0 },
    { WALL_CLOSE_RANGE, CALL(close_range, ENOSYS), 0 },
    { WALL_EXEC_BY_DESCRIPTOR, CALL(execveat, ENOSYS), 0 },
    { WALL_NO_NEW_PRIVS, PRCTL(PR_SET_NO_NEW_PRIVS), BIT(SECCOMP) | BIT(LANDLOCK) },
    { WALL_SECCOMP, CALL(seccomp, ENOSYS), 0 },
    { WALL_LANDLOCK, CALL(landlock_create_ruleset, ENOSYS), BIT(LANDLOCK_SCOPE) },
    { WALL_LANDLOCK, CALL(landlock_restrict_self, EPERM), BIT(LANDLOCK_SCOPE) },
    { WALL_BOUNDING_SET, PRCTL(PR_CAPBSET_DROP), 0 },
    { WALL_SECUREBITS, PRCTL(PR_SET_SECUREBITS), 0 },
    { WALL_NO_NESTED_NAMESPACES, READ_ONLY("/proc/sys"), 0 },
    { WALL_SESSION_KEYRING, CALL(keyctl, EPERM), 0 },
};

static struct row v1_rows[] = {
    { WALL_MEMORY_CONTROLLER, HIDDEN("/sys/fs/cgroup/memory"), 0 },
    { WALL_PIDS_CONTROLLER, HIDDEN("/sys/fs/cgroup/pids"), 0 },
    { WALL_CPU_CONTROLLER, HIDDEN("/sys/fs/cgroup/cpu"), 0 },
    { WALL_CLONE_INTO_CGROUP, HIDDEN("/sys/fs/cgroup/unified"), BIT(CGROUP_KILL) },
};

static void try_row(struct row *row)
{
    scoped(close_fd) int namespace = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    const char *name = wall_name(row->wall);
    const uint64_t bit = wall_bit(row->wall);
    char all[WALLS_TEXT_CAP];

    (void)walls_list(bit | row->also, all);
    if (row->lack.path != NULL)
        hide_path(&row->lack);
    open_rig(&row->lack, NULL, NULL);
    if ((rig.walls.seen.missing & (bit | row->also)) != (bit | row->also))
        fail_msg("%s stands", name);
    assert_int_equal(rig.walls.seen.waived, 0);
    if (wall_kind(row->wall) == WALL_KIND_OPTIONAL)
        assert_starts(bit, 0);
    else
        assert_refused(name);
    close_rig();
    if (row->lack
            .read_only) { /* with a part of /proc covered the kernel lets nobody mount another */
        show_all(namespace, cwd);
        return;
    }

    open_rig(&row->lack, all, wall_kind(row->wall) == WALL_KIND_OPTIONAL ? name : NULL);
    if (wall_kind(row->wall) == WALL_KIND_BASIS)
        assert_refused(name);
    else
        assert_starts(bit, rig.walls.seen.missing & (bit | row->also) & rig.walls.seen.waived);
    if (wall_kind(row->wall) != WALL_KIND_BASIS)
        assert_int_equal(rig.walls.seen.waived & bit, bit);
    close_rig();
    if (row->lack.path != NULL)
        show_all(namespace, cwd);
}

static void refuses_without_a_wall(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        try_row(&rows[i]);
}

static void refuses_without_a_controller(void **state)
{
    (void)state;
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        skip(); /* v2: they cannot be hidden one by one */
    for (size_t i = 0; i < sizeof v1_rows / sizeof v1_rows[0]; i++)
        try_row(&v1_rows[i]);
}

static void starts_with_every_wall(void **state)
{
    (void)state;
    open_rig(NULL, NULL, NULL);
    assert_int_equal(rig.walls.seen.standing | rig.walls.seen.missing, walls_all());
    for (unsigned int i = 0; i < WALLS_MAX; i++) {
        if (wall_name(i) != NULL && wall_kind(i) != WALL_KIND_OPTIONAL)
            assert_true((rig.walls.seen.standing >> i & 1) != 0);
    }
    assert_starts(0, 0);
    close_rig();
}

/* What stands is used, waived or not. */
static void waives_nothing_that_stands(void **state)
{
    (void)state;
    open_rig(NULL, "seccomp,net-namespace,no-such-wall,pid-namespace", NULL);
    assert_int_equal(rig.walls.seen.waived, 0);
    assert_starts(0, 0);
    assert_int_equal(run.first.launched.receipt.seccomp_mode, 2);
    close_rig();
}

static void refuses_a_wall_that_it_does_not_know(void **state)
{
    (void)state;
    open_rig(NULL, NULL, "landlock,moat");
    assert_refused("moat");
    close_rig();
}

static void refuses_what_is_required_here(void **state)
{
    struct lack lack = UNSHARE(0x80U);

    (void)state;
    open_rig(&lack, NULL, "time-namespace");
    assert_refused("time-namespace");
    close_rig();
}

static void reads_lists_of_names(void **state)
{
    struct wall_policy p = { .waive = 0 };
    char passed_over[WALL_NAME_CAP];
    char text[WALLS_TEXT_CAP];

    (void)state;
    wall_policy_waive(&p, "seccomp,landlock", passed_over);
    assert_string_equal(passed_over, "");
    assert_int_equal(p.waive, BIT(SECCOMP) | BIT(LANDLOCK));
    wall_policy_waive(&p, "pid-namespace,,x", passed_over); /* nobody can do without */
    assert_string_equal(passed_over, "pid-namespace");
    wall_policy_waive(&p, "", passed_over);
    assert_string_equal(passed_over, "?");
    wall_policy_waive(&p, "seccomp-and-a-name-longer-than-any-wall-has", passed_over);
    assert_int_equal(strlen(passed_over), WALL_NAME_CAP - 1);
    assert_int_equal(p.waive, BIT(SECCOMP) | BIT(LANDLOCK));
    wall_policy_require(&p, "time-namespace");
    assert_string_equal(p.unknown, "");
    wall_policy_require(&p, "time-namespace,");
    assert_string_equal(p.unknown, "?");
    assert_int_equal(p.require, BIT(TIME_NAMESPACE));
    assert_string_equal(walls_list(0, text), "-");
    assert_string_equal(walls_list(BIT(SECCOMP) | BIT(LANDLOCK), text), "seccomp,landlock");
    assert_true(strlen(walls_list(UINT64_MAX, text)) < WALLS_TEXT_CAP - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lists_of_names),
        cmocka_unit_test(starts_with_every_wall),
        cmocka_unit_test(waives_nothing_that_stands),
        cmocka_unit_test(refuses_without_a_wall),
        cmocka_unit_test(refuses_without_a_controller),
        cmocka_unit_test(refuses_a_wall_that_it_does_not_know),
        cmocka_unit_test(refuses_what_is_required_here),
    };

    if (geteuid() != 0) {
        print_error("the sandbox tests need root\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
