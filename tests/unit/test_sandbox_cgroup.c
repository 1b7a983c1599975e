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
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/cgroup.h"

#define WAIT_MS 300000U
#define STUCK 16U
#define SWEEP_MS 8000U /* what cgroup_tree_open allows */

static struct cgroup_tree tree;
static char name[NAME_CAP];

static const struct plan_limits limits = { .memory_bytes = 16U << 20,
                                           .cpu_permille = 250,
                                           .pids = 9 };

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

/* A process in the group: attached to v1's, and put into v2's, where launch would have cloned it.
 */
static pid_t sleeper(const struct cgroup *cg)
{
    pid_t pid = fork();

    if (pid == 0) {
        (void)close_range(3, ~0U, 0); /* with them goes its copy of the lock */
        for (;;)
            pause();
    }
    assert_true(pid > 0);
    assert_rc(cgroup_attach(cg, pid, false, NULL), RC_OK);
    if (cgroup_clone_fd(cg) >= 0) {
        scoped(close_fd) int fd = openat(cgroup_clone_fd(cg), "cgroup.procs", O_WRONLY | O_CLOEXEC);

        assert_true(dprintf(fd, "%d", pid) > 0);
    }
    return pid;
}

static void sets_every_limit(void **state)
{
    struct cgroup cg = CGROUP_INIT;

    (void)state;
    assert_rc(cgroup_make(&tree, 1, &limits, &cg, NULL), RC_OK);
    if (tree.version == 2) {
        assert_string_equal(file(&cg, CGROUP_UNIFIED, "memory.max"), "16777216");
        assert_string_equal(file(&cg, CGROUP_UNIFIED, "memory.oom.group"), "1");
        assert_string_equal(file(&cg, CGROUP_UNIFIED, "pids.max"), "9");
        assert_string_equal(file(&cg, CGROUP_UNIFIED, "cpu.max"), "25000 100000");
    } else {
        assert_string_equal(file(&cg, CGROUP_MEMORY, "memory.limit_in_bytes"), "16777216");
        assert_string_equal(file(&cg, CGROUP_PIDS, "pids.max"), "9");
        assert_string_equal(file(&cg, CGROUP_CPU, "cpu.cfs_quota_us"), "25000");
    }
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS));
    assert_true(cgroup_remove(&tree, &cg, clock_mono_ms() + WAIT_MS)); /* twice is harmless */
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
            (void)snprintf(inner, sizeof inner, "%s/in", outer);
            act(tree.base[kind], outer, inner);
        }
    }
}

static void make_stuck(int base, const char *outer, const char *inner)
{
    assert_int_equal(mkdirat(base, outer, 0755), 0);
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
        cmocka_unit_test_setup_teardown(counts_and_kills, setup, teardown),
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
