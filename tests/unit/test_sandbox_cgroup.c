/* SPDX-License-Identifier: Apache-2.0
 *
 * On the host's own cgroups, below a name of our own; needs root.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/cgroup_device.h"
#include "sandbox/cgroup_file.h"
#include "sandbox/cgroup_limits.h"

#define WAIT_MS 300000U
#define STUCK 16U
#define SWEEP_MS 8000U /* what cgroup_tree_open allows */

static struct cgroup_tree tree;
static char name[NAME_CAP];

static const struct cgroup_limits limits = {
    .tenant = "acme",
    .limits = { .memory_bytes = 16U << 20,
                .cpu_permille = 250,
                .pids = 9,
                .cpu_weight = PLAN_WEIGHT,
                .io_weight = PLAN_WEIGHT },
    .share = { .memory_bytes = 64U << 20, .cpu_permille = 1000, .pids = 40 },
};

static int setup(void **state)
{
    struct err err = { 0 };
    char text[200];

    (void)state;
    (void)snprintf(name, sizeof name, "berth-cg-%d", getpid());
    if (cgroup_tree_open(name, 0, &tree, &err) != RC_OK) {
        print_error("%s\n", err_text(&err, text, sizeof text));
        return -1;
    }
    return 0;
}

static int teardown(void **state)
{
    int parent =
        fcntl(tree.parent[tree.version == 2 ? CGROUP_UNIFIED : CGROUP_MEMORY], F_DUPFD_CLOEXEC, 3);

    (void)state;
    cgroup_tree_close(&tree, clock_mono_ms() + WAIT_MS);
    bool left = faccessat(parent, name, F_OK, 0) == 0;
    (void)close(parent);
    return left ? -1 : 0;
}

static const char *file(const struct cgroup *cg, enum cgroup_kind kind, const char *path)
{
    static char text[128];
    scoped(close_fd) int fd = openat(cg->dir[kind], path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    text[n < 0 ? 0 : n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* Into v1's directories, and into v2's, where launch would have cloned it. */
static void place(const struct cgroup *cg, pid_t pid)
{
    assert_rc(cgroup_attach(cg, pid, false, NULL), RC_OK);
}

/* A process in the group. */
static pid_t sleeper(const struct cgroup *cg)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)close_range(3, ~0U, 0); /* with them goes its copy of the lock */
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    place(cg, pid);
    return pid;
}

/* What a file of the instance's or of its tenant's directory must say. */
struct line {
    enum cgroup_kind kind;
    const char *path;
    const char *text;
};

static const struct line own_v2[] = {
    { CGROUP_UNIFIED, "memory.max", "16777216" },
    { CGROUP_UNIFIED, "memory.high", "max" },
    { CGROUP_UNIFIED, "memory.oom.group", "1" },
    { CGROUP_UNIFIED, "pids.max", "9" },
    { CGROUP_UNIFIED, "cpu.max", "25000 100000" },
    { CGROUP_UNIFIED, "cpu.weight", "100" },
    { CGROUP_UNIFIED, "cgroup.max.descendants", "0" },
    { CGROUP_UNIFIED, "../memory.max", "67108864" },
    { CGROUP_UNIFIED, "../pids.max", "40" },
    { CGROUP_UNIFIED, "../cpu.max", "100000 100000" },
    { CGROUP_UNIFIED, "../cgroup.max.depth", "1" },
    { 0 },
};

static const struct line own_v1[] = {
    { CGROUP_MEMORY, "memory.limit_in_bytes", "16777216" },
    { CGROUP_MEMORY, "memory.soft_limit_in_bytes", "9223372036854771712" },
    { CGROUP_PIDS, "pids.max", "9" },
    { CGROUP_CPU, "cpu.cfs_quota_us", "25000" },
    { CGROUP_CPU, "cpu.shares", "1024" },
    { CGROUP_UNIFIED, "cgroup.max.descendants", "0" },
    { CGROUP_MEMORY, "../memory.limit_in_bytes", "67108864" },
    { CGROUP_PIDS, "../pids.max", "40" },
    { CGROUP_CPU, "../cpu.cfs_quota_us", "100000" },
    { CGROUP_UNIFIED, "../cgroup.max.depth", "1" },
    { 0 },
};

/* What the same files say after raised_limits. */
static const struct line raised_v2[] = {
    { CGROUP_UNIFIED, "memory.max", "33554432" },
    { CGROUP_UNIFIED, "memory.high", "25165824" },
    { CGROUP_UNIFIED, "pids.max", "50" },
    { CGROUP_UNIFIED, "cpu.max", "150000 100000" },
    { CGROUP_UNIFIED, "cpu.weight", "300" },
    { CGROUP_UNIFIED, "../memory.max", "134217728" },
    { CGROUP_UNIFIED, "../pids.max", "60" },
    { CGROUP_UNIFIED, "../cpu.max", "200000 100000" },
    { 0 },
};

static const struct line raised_v1[] = {
    { CGROUP_MEMORY, "memory.limit_in_bytes", "33554432" },
    { CGROUP_MEMORY, "memory.soft_limit_in_bytes", "25165824" },
    { CGROUP_PIDS, "pids.max", "50" },
    { CGROUP_CPU, "cpu.cfs_quota_us", "150000" },
    { CGROUP_CPU, "cpu.shares", "3072" },
    { CGROUP_MEMORY, "../memory.limit_in_bytes", "134217728" },
    { CGROUP_PIDS, "../pids.max", "60" },
    { CGROUP_CPU, "../cpu.cfs_quota_us", "200000" },
    { 0 },
};

static struct cgroup_limits raised_limits(void)
{
    struct cgroup_limits l = limits;

    l.limits.memory_bytes = 32U << 20;
    l.limits.memory_high_bytes = 24U << 20;
    l.limits.cpu_permille = 1500;
    l.limits.cpu_weight = 300;
    l.limits.pids = 50;
    l.share = (struct plan_share){ .memory_bytes = 128U << 20, .cpu_permille = 2000, .pids = 60 };
    return l;
}

static void assert_lines(const struct cgroup *cg, const struct line *line)
{
    for (; line->path != NULL; line++) {
        if (cg->dir[line->kind] < 0)
            continue; /* a host without a v2 tree */
        if (strcmp(file(cg, line->kind, line->path), line->text) != 0)
            fail_msg("%s: %s, not %s", line->path, file(cg, line->kind, line->path), line->text);
    }
}

#define ASSERT_LINES(cg, name) assert_lines(cg, tree.version == 2 ? name##_v2 : name##_v1)

static void sets_every_limit(void **state)
{
    struct cgroup cg = CGROUP_INIT;

    (void)state;
    assert_rc(cgroup_make(&tree, 1, &limits, &cg, NULL), RC_OK);
    ASSERT_LINES(&cg, own);
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS)); /* twice is harmless */
}

/* Up, where the tenant's share has to grow first, and down, where it has to follow. */
static void changes_every_limit(void **state)
{
    const struct cgroup_limits raised = raised_limits();
    struct cgroup cg = CGROUP_INIT;

    (void)state;
    assert_rc(cgroup_make(&tree, 1, &limits, &cg, NULL), RC_OK);
    assert_rc(cgroup_limits_set(&tree, &cg, &raised, NULL), RC_OK);
    ASSERT_LINES(&cg, raised);
    assert_rc(cgroup_limits_set(&tree, &cg, &limits, NULL), RC_OK);
    ASSERT_LINES(&cg, own);
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
}

/* One value that the kernel does not take, behind others that it did. */
static void puts_all_back_if_one_is_refused(void **state)
{
    struct cgroup_limits bad = raised_limits();
    struct cgroup cg = CGROUP_INIT;
    struct err err = { 0 };

    (void)state;
    assert_rc(cgroup_make(&tree, 1, &limits, &cg, NULL), RC_OK);
    bad.limits.io_read_bps = 1U << 20;
    bad.n_disks = 1;
    bad.disk[0] = (struct cgroup_disk){ 4095, 255 }; /* no such disk */
    assert_rc(cgroup_limits_set(&tree, &cg, &bad, &err), RC_CGROUP);
    assert_non_null(strstr(err.what, "4095:255"));
    ASSERT_LINES(&cg, own);
    bad = raised_limits();
    bad.share.cpu_permille = 100; /* less than the instance: cpu.max of v2 would take it */
    if (tree.version == 1) {
        assert_rc(cgroup_limits_set(&tree, &cg, &bad, &err), RC_CGROUP);
        assert_non_null(strstr(err.what, "cfs_quota_us"));
        ASSERT_LINES(&cg, own);
    }
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
    assert_rc(cgroup_make(&tree, 1, &bad, &cg, NULL), tree.version == 1 ? RC_CGROUP : RC_OK);
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
}

/* The share is the tenant's: whoever came last says what it is, and it goes with the last one. */
static void tenants_have_a_group_of_their_own(void **state)
{
    const struct cgroup_limits raised = raised_limits();
    struct cgroup_limits others = limits;
    struct cgroup one = CGROUP_INIT, two = CGROUP_INIT, other = CGROUP_INIT;
    int base = tree.base[tree.version == 2 ? CGROUP_UNIFIED : CGROUP_PIDS];
    enum cgroup_kind kind = tree.version == 2 ? CGROUP_UNIFIED : CGROUP_PIDS;

    (void)state;
    others.tenant = "zenith";
    assert_rc(cgroup_make(&tree, 1, &limits, &one, NULL), RC_OK);
    assert_rc(cgroup_make(&tree, 2, &raised, &two, NULL), RC_OK);
    assert_rc(cgroup_make(&tree, 3, &others, &other, NULL), RC_OK);
    assert_string_equal(file(&one, kind, "../pids.max"), "60");
    assert_string_equal(file(&one, kind, "pids.max"), "9"); /* its own stays */
    assert_string_equal(file(&other, kind, "../pids.max"), "40");
    assert_true(cgroup_remove(&tree, &two, clock_mono_ms() + WAIT_MS));
    assert_int_equal(faccessat(base, "t-acme", F_OK, 0), 0);
    assert_true(cgroup_remove(&tree, &one, clock_mono_ms() + WAIT_MS));
    assert_int_equal(faccessat(base, "t-acme", F_OK, 0), -1);
    assert_true(cgroup_remove(&tree, &other, clock_mono_ms() + WAIT_MS));
}

/* In the group, try to open a node; 0 or the errno. */
static int opens(const struct cgroup *cg, const char *path, int flags)
{
    int ends[2], status;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char go;

        if (read(ends[0], &go, 1) != 1)
            _exit(255);
        int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);
        _exit(fd < 0 ? errno : 0);
    }
    assert_true(pid > 0);
    place(cg, pid);
    assert_int_equal(write(ends[1], "g", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(ends[0]);
    (void)close(ends[1]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void make_node(const char *dir, const char *node, unsigned int minor, char out[64])
{
    (void)snprintf(out, 64, "%s/%s", dir, node);
    assert_int_equal(mknod(out, S_IFCHR | 0666, makedev(1, minor)), 0);
}

/* Root of the host in the group, with nodes that it could have made itself: only what is granted
 * opens, and only as it is granted. */
static void filters_devices(void **state)
{
    struct cgroup_limits more = limits;
    struct cgroup few = CGROUP_INIT, many = CGROUP_INIT;
    char dir[] = "/tmp/berth-cg-XXXXXX";
    char kmsg[64], mem[64], null[64];

    (void)state;
    more.n_devices = 2;
    more.device[0] = (struct cgroup_device){ 1, 11, CGROUP_READ }; /* kmsg */
    more.device[1] = (struct cgroup_device){ 1, 3, CGROUP_READ };  /* null, which all have */
    assert_non_null(mkdtemp(dir));
    make_node(dir, "kmsg", 11, kmsg);
    make_node(dir, "mem", 1, mem);
    make_node(dir, "null", 3, null);
    assert_rc(cgroup_make(&tree, 1, &limits, &few, NULL), RC_OK);
    assert_rc(cgroup_make(&tree, 2, &more, &many, NULL), RC_OK);
    assert_int_equal(opens(&few, null, O_RDWR), 0);
    assert_int_equal(opens(&few, "/dev/urandom", O_RDONLY), 0);
    assert_int_equal(opens(&few, kmsg, O_RDONLY), EPERM);
    assert_int_equal(opens(&few, mem, O_RDONLY), EPERM);
    assert_int_equal(opens(&many, kmsg, O_RDONLY), 0);
    assert_int_equal(opens(&many, kmsg, O_WRONLY), EPERM);
    assert_int_equal(opens(&many, kmsg, O_RDWR), EPERM);
    assert_int_equal(opens(&many, null, O_RDWR), 0); /* asking for less takes nothing away */
    assert_int_equal(opens(&many, mem, O_RDONLY), EPERM);
    assert_int_equal(opens(&many, "/dev/loop-control", O_RDWR), EPERM);
    assert_true(cgroup_remove(&tree, &few, clock_mono_ms() + WAIT_MS));
    assert_true(cgroup_remove(&tree, &many, clock_mono_ms() + WAIT_MS));
    assert_int_equal(unlink(kmsg) | unlink(mem) | unlink(null) | rmdir(dir), 0);
}

/* Either wall alone: the v2 program, and v1's list. */
static void filters_devices_by_either(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    char dir[] = "/tmp/berth-cg-XXXXXX";
    char kmsg[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    make_node(dir, "kmsg", 11, kmsg);
    for (int i = 0; i < 2; i++) {
        enum cgroup_kind kind = i == 0 ? CGROUP_UNIFIED : CGROUP_DEVICES;

        if (tree.base[kind] < 0)
            continue;
        assert_int_equal(mkdirat(tree.base[kind], "alone", 0755), 0);
        cg.dir[kind] = openat(tree.base[kind], "alone", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_int_equal(opens(&cg, kmsg, O_RDONLY), 0); /* so it is the filter that refuses */
        assert_rc(cgroup_device_filter(&cg, &limits, NULL), RC_OK);
        assert_int_equal(opens(&cg, kmsg, O_RDONLY), EPERM);
        assert_int_equal(opens(&cg, "/dev/null", O_RDWR), 0);
        close_fd(&cg.dir[kind]);
        assert_int_equal(unlinkat(tree.base[kind], "alone", AT_REMOVEDIR), 0);
    }
    assert_rc(cgroup_device_filter(&cg, &limits, NULL), RC_CGROUP); /* neither: refused */
    assert_int_equal(unlink(kmsg) | rmdir(dir), 0);
}

static void counts_and_kills(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    struct wire_usage usage;
    int status;

    (void)state;
    assert_rc(cgroup_make(&tree, 2, &limits, &cg, NULL), RC_OK);
    pid_t pid = sleeper(&cg);
    cgroup_usage(&tree, &cg, &usage);
    assert_int_equal(usage.pids, 1);
    assert_int_equal(usage.oom_kills, 0);
    assert_true(cgroup_remove(
        &tree, &cg, clock_mono_ms() + WAIT_MS)); /* with a process inside: it is ended first */
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* What dies does so on its group's time: a small quota would draw it out for seconds. */
static void lets_the_killed_run_to_their_end(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    char quota[64];
    int status;

    (void)state;
    assert_rc(cgroup_make(&tree, 2, &limits, &cg, NULL), RC_OK);
    int dir = tree.version == 2 ? cg.dir[CGROUP_UNIFIED] : cg.dir[CGROUP_CPU];
    const char *file = tree.version == 2 ? "cpu.max" : "cpu.cfs_quota_us";
    pid_t pid = sleeper(&cg);
    assert_int_equal(cgroup_get(dir, file, quota, sizeof quota), 0);
    assert_true(strtol(quota, NULL, 10) > 0);
    cgroup_kill(&cg);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(cgroup_get(dir, file, quota, sizeof quota), 0);
    assert_memory_equal(quota, tree.version == 2 ? "max" : "-1\n", 3);
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
}

static void refuses_a_second_instance_of_one_name(void **state)
{
    struct cgroup first = CGROUP_INIT;
    struct cgroup second = CGROUP_INIT;

    (void)state;
    assert_rc(cgroup_make(&tree, 3, &limits, &first, NULL), RC_OK);
    assert_rc(cgroup_make(&tree, 3, &limits, &second, NULL), RC_CGROUP);
    assert_string_equal(file(&first, tree.version == 2 ? CGROUP_UNIFIED : CGROUP_PIDS, "pids.max"),
                        "9");
    assert_true(cgroup_remove(&tree, &first, clock_mono_ms() + WAIT_MS));
}

static void refuses_a_second_launcher(void **state)
{
    struct cgroup_tree again = { 0 };

    (void)state;
    assert_rc(cgroup_tree_open(name, 0, &again, NULL), RC_BUSY);
}

/* As SIGKILL leaves it: descriptors closed. */
static void abandon_tree(void)
{
    for (size_t i = 0; i < CGROUP_KINDS; i++) {
        close_fd(&tree.base[i]);
        close_fd(&tree.parent[i]);
    }
}

static void ends_what_an_earlier_one_left(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    int status;

    (void)state;
    assert_rc(cgroup_make(&tree, 4, &limits, &cg, NULL), RC_OK);
    pid_t pid = sleeper(&cg);
    for (size_t i = 0; i < CGROUP_KINDS; i++)
        close_fd(&cg.dir[i]);
    abandon_tree();
    /* the sleeper shares the lock until it has closed its copy */
    assert_rc(cgroup_tree_open(name, 10000, &tree, NULL), RC_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_rc(cgroup_make(&tree, 4, &limits, &cg, NULL), RC_OK); /* the name is free again */
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
}

/* Call for each of the groups that cannot be removed, as one with a process in an uninterruptible
 * sleep cannot: there is another group inside. */
static void each_stuck(void (*act)(int base, const char *outer, const char *inner))
{
    char outer[16], inner[24];

    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        for (unsigned i = 0; tree.base[kind] >= 0 && i < STUCK; i++) {
            (void)snprintf(outer, sizeof outer, "i%u", 100 + i);
            (void)snprintf(inner, sizeof inner, "%s/i1/in", outer);
            act(tree.base[kind], outer, inner);
        }
    }
}

static void make_stuck(int base, const char *outer, const char *inner)
{
    char middle[24];

    (void)snprintf(middle, sizeof middle, "%s/i1", outer);
    assert_int_equal(mkdirat(base, outer, 0755), 0);
    assert_int_equal(mkdirat(base, middle, 0755), 0);
    assert_int_equal(mkdirat(base, inner, 0755), 0);
}

static void free_stuck(int base, const char *outer, const char *inner)
{
    (void)outer;
    assert_int_equal(unlinkat(base, inner, AT_REMOVEDIR), 0); /* so it was not passed over */
}

/* Whoever opens the tree is waited for: leftovers that cannot end take their time together, in all
 * hierarchies, and one that can is ended. */
static void leftovers_share_one_deadline(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    int status;

    (void)state;
    assert_rc(cgroup_make(&tree, 5, &limits, &cg, NULL), RC_OK);
    pid_t pid = sleeper(&cg);
    for (size_t i = 0; i < CGROUP_KINDS; i++)
        close_fd(&cg.dir[i]);
    each_stuck(make_stuck);
    abandon_tree();

    const uint64_t began = clock_mono_ms();
    assert_rc(cgroup_tree_open(name, 10000, &tree, NULL), RC_OK);
    assert_true(clock_mono_ms() - began < STUCK * SWEEP_MS / 2);
    each_stuck(free_stuck);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* Only cgroup v1, as on a host without a v2 tree: frozen by its own controller, and killed though
 * it is. */
static void freezes_without_a_v2_tree(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    struct err err = { 0 };
    int status;

    (void)state;
    int root = open("/sys/fs/cgroup/freezer", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (tree.version == 2 || root < 0) {
        assert_rc(cgroup_freeze(&cg, true, &err), RC_CGROUP);
        close_fd(&root);
        return;
    }
    assert_int_equal(mkdirat(root, name, 0755), 0);
    cg.dir[CGROUP_FREEZER] = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cg.dir[CGROUP_PIDS] = fcntl(cg.dir[CGROUP_FREEZER], F_DUPFD_CLOEXEC, 3); /* where kill looks */
    pid_t pid = sleeper(&cg);
    assert_rc(cgroup_freeze(&cg, true, &err), RC_OK);
    assert_string_equal(file(&cg, CGROUP_FREEZER, "freezer.state"), "FROZEN");
    assert_rc(cgroup_freeze(&cg, false, &err), RC_OK);
    assert_string_equal(file(&cg, CGROUP_FREEZER, "freezer.state"), "THAWED");
    assert_rc(cgroup_freeze(&cg, true, &err), RC_OK);
    cgroup_kill(&cg);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    close_fd(&cg.dir[CGROUP_FREEZER]);
    close_fd(&cg.dir[CGROUP_PIDS]);
    assert_int_equal(unlinkat(root, name, AT_REMOVEDIR), 0);
    close_fd(&root);
}

/* A deadline that is over: no waiting, and what is inside is killed all the same. */
static void kills_when_the_time_is_over(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    int status;

    (void)state;
    assert_rc(cgroup_make(&tree, 6, &limits, &cg, NULL), RC_OK);
    pid_t pid = sleeper(&cg);
    (void)cgroup_remove(&tree, &cg, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    for (size_t i = 0; i < CGROUP_KINDS; i++)
        assert_int_equal(cg.dir[i], -1);
}

/* A host whose v2 tree carries no controllers: nothing may run there without limits. */
static void fails_closed_without_controllers(void **state)
{
    struct cgroup_tree bare = { .version = 2, .has = CGROUP_HAS_MEMORY | CGROUP_HAS_PIDS };
    struct cgroup cg = CGROUP_INIT;
    char scratch[] = "/tmp/berth-cg-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(scratch));
    for (size_t i = 0; i < CGROUP_KINDS; i++)
        bare.parent[i] = bare.base[i] = -1;
    bare.base[CGROUP_UNIFIED] = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_rc(cgroup_make(&bare, 5, &limits, &cg, NULL), RC_CGROUP);
    assert_int_equal(cg.dir[CGROUP_UNIFIED], -1);
    close_fd(&bare.base[CGROUP_UNIFIED]);
    assert_int_equal(rmdir(scratch), 0); /* and nothing is left in it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sets_every_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_every_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(puts_all_back_if_one_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(tenants_have_a_group_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_devices_by_either, setup, teardown),
        cmocka_unit_test_setup_teardown(counts_and_kills, setup, teardown),
        cmocka_unit_test_setup_teardown(lets_the_killed_run_to_their_end, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_second_instance_of_one_name, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_a_second_launcher, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_what_an_earlier_one_left, setup, teardown),
        cmocka_unit_test_setup_teardown(leftovers_share_one_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(freezes_without_a_v2_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(kills_when_the_time_is_over, setup, teardown),
        cmocka_unit_test_setup_teardown(fails_closed_without_controllers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
