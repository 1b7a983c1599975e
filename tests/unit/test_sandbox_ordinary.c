/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandbox as somebody who is not root builds it: the same attacks must fail in it, what is said
 * of its walls must be so, what is missing must stay within what stands in for it, and nothing of
 * it is left, however it ends.
 */
#include "tests/unit/escape_table.h"

#include "tests/unit/delegated.h"
#include "tests/unit/ordinary_rig.h"

#include <sched.h>
#include <sys/syscall.h>

#define BUSYBOX "/bin/busybox"

static char escape_path[PATH_MAX + 32];
static char hog_path[PATH_MAX + 32];
static uint64_t *shared; /* with the process that is nobody */

static struct wire_exited run(struct ordinary *o, const char *const *args, bool mail)
{
    struct plan plan = ordinary_plan(args, mail);

    ordinary_start(o, &plan);
    return ordinary_end(o);
}

/* ---- what it is ------------------------------------------------------------------------------ */

static void what_it_is(void)
{
    static const char script[] =
        "cat /proc/self/status /proc/self/limits /proc/self/mountinfo /proc/self/uid_map; id -u; "
        "hostname; for n in user mnt pid net ipc uts cgroup time; do readlink /proc/self/ns/$n; "
        "done; echo kept >/data/a; echo out >/outbox/b; echo x >/inbox/c; echo t >/tmp/d; "
        "echo n >/dev/null && ls /dev /proc";
    static const char *const args[] = { "/bin/busybox", "sh", "/bin/script", NULL };
    static const char *const has[] = { "CapEff:\t0000000000000000",
                                       "CapBnd:\t0000000000000000",
                                       "NoNewPrivs:\t1",
                                       "Seccomp:\t2",
                                       "/proc ro",
                                       "\n1000\nprobe\nuser:[",
                                       "      1000      65534          1\n" };
    static const char *const kinds[] = {
        "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"
    };
    struct ordinary *o = ordinary_new(BUSYBOX, script, NULL);
    struct wire_exited e = run(o, args, true);

    for (size_t i = 0; i < sizeof has / sizeof has[0]; i++) {
        if (i == 4) /* how procfs is mounted is another row's */
            continue;
        if (strstr(o->out, has[i]) == NULL)
            (void)fprintf(stderr, "no %s in:\n%s\n", has[i], o->out);
        CHECK(strstr(o->out, has[i]) != NULL);
    }
    CHECK(e.rc == RC_EXITED && e.status == 0);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        char path[64];
        char ours[64];

        (void)snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
        ssize_t n = readlink(path, ours, sizeof ours - 1);
        CHECK(n > 0);
        ours[n] = '\0';
        CHECK(strstr(o->out, ours) == NULL); /* every wall of a namespace stands */
    }
    CHECK(walls_stand(&o->launcher.walls, WALL_SECCOMP));
    CHECK(walls_stand(&o->launcher.walls, WALL_LANDLOCK) == (landlock_abi() > 0));
    CHECK(!walls_stand(&o->launcher.walls, WALL_IDMAPPED_MOUNTS));
    CHECK(!walls_stand(&o->launcher.walls, WALL_MEMORY_CONTROLLER));
    CHECK(strstr(o->out, "subset=pid") != NULL ||
          !walls_stand(&o->launcher.walls, WALL_PROC_SUBSET));
    /* What it wrote is where it is looked for from outside. */
    CHECK(faccessat(o->self.data, "a", F_OK, 0) == 0);
    CHECK(faccessat(o->self.mail, "out/b", F_OK, 0) == 0);
    CHECK(faccessat(o->self.mail, "in/c", F_OK, 0) == 0);
}

static void tells_the_truth(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(what_it_is), 0);
}

/* ---- attacks --------------------------------------------------------------------------------- */

/* How they end where the slot's files are the user's own, and where there is nothing to begin with.
 */
static const struct {
    const char *name;
    const char *want;
} otherwise[] = {
    { "own-exe-write", "ETXTBSY|EACCES" },
    { "own-exe-by-descriptor", "ETXTBSY" }, /* its own file, in use, on a read-only mount */
    { "write-program", "ETXTBSY" },
    { "exec-filecap", "ECHILD" }, /* not there: nobody can make it */
    { "packed-block-device", "ENOENT" },
    { "packed-dev-mem", "ENOENT" },
};

static bool ends_as_it_must(const struct row *row)
{
    for (size_t i = 0; i < sizeof otherwise / sizeof otherwise[0]; i++) {
        if (strcmp(otherwise[i].name, row->name) == 0)
            return table_has(otherwise[i].want, row->got[COLUMN_USER]);
    }
    return table_check(row, COLUMN_USER);
}

static void attack(void)
{
    char host[32];
    char victim[32];
    const char *const args[] = { "/bin/probe",
                                 "all",
                                 host,
                                 victim,
                                 "uid=0",
                                 "abstract=berth-none",
                                 "path=/run/berth-none",
                                 "secret=/etc/hostname",
                                 "data=/data",
                                 NULL };
    struct ordinary *o = ordinary_new(escape_path, NULL, NULL);

    ordinary_copy(open(escape_path, O_RDONLY | O_CLOEXEC), o->slot, "bin/setuid");
    CHECK(fchmodat(o->slot, "bin/setuid", 06755, 0) == 0);
    /* Processes of the host that are nobody's, too, and that it could signal if it saw them. */
    (void)snprintf(host, sizeof host, "host=%d", getpid());
    (void)snprintf(victim, sizeof victim, "victim=%d", getpid());
    struct plan plan = ordinary_plan(args, false);
    unsigned int wrong = 0;

    plan.limits.memory_bytes = 64U << 20;
    ordinary_start(o, &plan);
    struct wire_exited e = ordinary_end(o);
    if (e.rc != RC_EXITED || e.status != 0)
        (void)fprintf(stderr, "%s %d\n%s\n", rc_name((enum rc)e.rc), e.status, o->out);
    CHECK(e.rc == RC_EXITED && e.status == 0);
    table_take(o->out, COLUMN_USER);
    for (size_t i = 0; i < TABLE_ROWS; i++)
        wrong += ends_as_it_must(&table[i]) ? 0 : 1;
    CHECK(wrong == 0);
}

static void attacks_fail_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(attack), 0);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void take_all(void)
{
    static const char script[] =
        "ulimit -d; mkfifo /tmp/fifo; i=0; while [ $i -lt 40 ]; do i=$((i+1)); "
        "{ read x </tmp/fifo; } & echo n$i.; done; echo made";
    static const char *const args[] = { "/bin/busybox", "sh", "/bin/script", NULL };
    struct ordinary *o = ordinary_new(BUSYBOX, script, NULL);
    struct plan plan = ordinary_plan(args, false);

    plan.limits.pids = 8;
    ordinary_start(o, &plan);
    struct wire_exited e = ordinary_end(o);
    CHECK(e.rc == RC_EXITED && e.status != 0);
    CHECK(strncmp(o->out, "32768\n", 6) == 0); /* KiB */
    /* Process 1 and the shell are two of the eight. */
    CHECK(strstr(o->out, "n6.") != NULL && strstr(o->out, "n7.") == NULL);
    CHECK(strstr(o->out, "made") == NULL && strstr(o->out, "fork") != NULL);
}

static void what_stands_in_holds(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(take_all), 0);
}

/* As <linux/sched/types.h> has it, which cannot be included beside <sched.h>. */
struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

/* It says that it needs little, and nothing holds it to that. */
static void say_little(void)
{
    static const char *const args[] = { "/bin/probe", "slice", NULL };
    struct attr attr = { 0 };
    char wanted[64];
    struct ordinary *o = ordinary_new(hog_path, NULL, NULL);
    struct plan plan = ordinary_plan(args, false);

    CHECK(!walls_stand(&o->launcher.walls, WALL_CPU_CONTROLLER));
    CHECK(syscall(SYS_sched_getattr, 0, &attr, (unsigned int)sizeof attr, 0U) == 0);
    plan.limits.cpu_permille = PLAN_CPU_MIN;
    ordinary_start(o, &plan);
    struct wire_exited e = ordinary_end(o);
    CHECK(e.rc == RC_EXITED && e.status == 0);
    (void)snprintf(wanted, sizeof wanted, "slice %llu ", (unsigned long long)attr.runtime);
    if (strncmp(o->out, wanted, strlen(wanted)) != 0)
        (void)fprintf(stderr, "%s, not %s\n", o->out, wanted);
    CHECK(strncmp(o->out, wanted, strlen(wanted)) == 0);
}

static void no_quota_no_shorter_slice(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(say_little), 0);
}

static void fill_memory(void)
{
    static const char *const args[] = { "/bin/busybox", "dd",     "if=/dev/zero",
                                        "of=/dev/null", "bs=64M", NULL };
    struct ordinary *o = ordinary_new(BUSYBOX, NULL, "try");
    struct plan plan = ordinary_plan(args, false);
    CHECK(walls_stand(&o->launcher.walls, WALL_MEMORY_CONTROLLER));
    CHECK(walls_stand(&o->launcher.walls, WALL_PIDS_CONTROLLER));
    CHECK(walls_stand(&o->launcher.walls, WALL_CPU_CONTROLLER));
    ordinary_start(o, &plan);
    struct wire_exited e = ordinary_end(o);
    if (e.rc != RC_OOM)
        (void)fprintf(stderr, "%s %d\n%s\n", rc_name((enum rc)e.rc), e.status, o->out);
    CHECK(e.rc == RC_OOM);
    CHECK(e.usage.memory_peak_bytes > 0 && e.usage.memory_peak_bytes <= plan.limits.memory_bytes);
    cgroup_tree_close_own(&o->launcher.tree, clock_mono_ms() + RIG_WAIT_MS);
}

static void delegated_groups_are_used(void **state)
{
    int status = -1;

    (void)state;
    assert_true(delegated_give(true));
    pid_t pid = fork();
    if (pid == 0) {
        CHECK(delegated_enter_of(getppid()));
        become_nobody();
        fill_memory();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(delegated_give(false)); /* refused, if anything is left in them */
    assert_int_equal(status, 0);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void run_and_say(void)
{
    static const char script[] = "echo up; sleep 1000 & wait";
    static const char *const args[] = { "/bin/busybox", "sh", "/bin/script", NULL };
    struct ordinary *o = ordinary_new(BUSYBOX, script, NULL);
    struct plan plan = ordinary_plan(args, false);
    struct pollfd p = { .events = POLLIN };

    ordinary_start(o, &plan);
    p.fd = o->result.fds.fd[WIRE_FD_OUTPUT];
    CHECK(poll(&p, 1, RIG_WAIT_MS) == 1);
    shared[0] = (uint64_t)o->instance.pid;
    shared[1] = (uint64_t)o->instance.payload;
    (void)kill(getpid(), SIGKILL);
}

/* Whoever is killed takes all of it along. */
static void nothing_is_left(void **state)
{
    (void)state;
    int status = as_nobody(run_and_say);

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (int i = 0; i < 2; i++) {
        scoped(close_fd) int fd = (int)syscall(SYS_pidfd_open, (pid_t)shared[i], 0U);

        assert_true(fd < 0 || rig_wait(fd));
    }
}

static void stand_still(void)
{
    static const char script[] = "echo up; i=0; while :; do i=$((i+1)); done & wait";
    static const char *const args[] = { "/bin/busybox", "sh", "/bin/script", NULL };
    struct ordinary *o = ordinary_new(BUSYBOX, script, NULL);
    struct plan plan = ordinary_plan(args, false);
    struct pollfd p = { .events = POLLIN };
    struct err err = { 0 };
    char path[48];
    char text[512];

    ordinary_start(o, &plan);
    p.fd = o->result.fds.fd[WIRE_FD_OUTPUT];
    CHECK(poll(&p, 1, RIG_WAIT_MS) == 1);
    (void)snprintf(path, sizeof path, "/proc/%d/stat", o->instance.payload);
    for (int round = 0; round < 2; round++) {
        CHECK_RC(ordinary_stand_still(&o->instance, true, &err), RC_OK, &err);
        cgroup_get(AT_FDCWD, path, text, sizeof text);
        CHECK(strstr(text, ") T ") != NULL);
        CHECK_RC(ordinary_stand_still(&o->instance, false, &err), RC_OK, &err);
        cgroup_get(AT_FDCWD, path, text, sizeof text);
        CHECK(strstr(text, ") T ") == NULL);
    }
    launch_kill(&o->instance);
    CHECK(ordinary_end(o).rc == RC_KILLED);
}

static void stands_still_without_freezer(void **state)
{
    (void)state;
    assert_int_equal(as_nobody(stand_still), 0);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refused(void)
{
    struct err err = { 0 };

    CHECK_RC(ordinary_enter(&err), RC_LAYER_MISSING, &err);
    CHECK(strcmp(err.what, "user-namespace") == 0);
    CHECK(strstr(ordinary_advice(), "user.max_user_namespaces") != NULL);
}

/* In a namespace of root's whose setting is the test's own. */
static void says_what_forbids_it(void **state)
{
    int status = -1;
    int go[2];
    pid_t pid;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go), 0);
    pid = fork();
    if (pid == 0) {
        char byte;

        CHECK(unshare(CLONE_NEWUSER) == 0);
        CHECK(write(go[1], "u", 1) == 1);
        CHECK(read(go[1], &byte, 1) == 1); /* the ids are mapped */
        CHECK(kernfile_put(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0") == 0);
        become_nobody();
        refused();
        _exit(0);
    }
    char byte;
    char path[64];
    assert_int_equal(read(go[0], &byte, 1), 1);
    (void)snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    assert_int_equal(kernfile_put(AT_FDCWD, path, "0 0 65535"), 0);
    (void)snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    assert_int_equal(kernfile_put(AT_FDCWD, path, "0 0 65535"), 0);
    assert_int_equal(write(go[0], "m", 1), 1);
    close_fd(&go[1]);
    close_fd(&go[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void root_needs_none_of_it(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_rc(ordinary_enter(&err), RC_CONFINE);
}

static int setup(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_error("becoming nobody needs root\n");
        return -1;
    }
    char top[PATH_MAX];
    if (realpath(rig_build(), top) == NULL)
        return -1;
    (void)snprintf(escape_path, sizeof escape_path, "%s/tests/probe/escape", top);
    (void)snprintf(hog_path, sizeof hog_path, "%s/tests/probe/sandbox_hog", top);
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_truth),
        cmocka_unit_test(attacks_fail_all_the_same),
        cmocka_unit_test(no_quota_no_shorter_slice),
        cmocka_unit_test(what_stands_in_holds),
        cmocka_unit_test(delegated_groups_are_used),
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(stands_still_without_freezer),
        cmocka_unit_test(says_what_forbids_it),
        cmocka_unit_test(root_needs_none_of_it),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
