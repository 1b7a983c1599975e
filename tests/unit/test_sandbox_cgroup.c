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
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/cgroup.h"

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
    cgroup_tree_close(&tree);
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
    assert_rc(cgroup_attach(cg, pid, NULL), RC_OK);
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
    assert_true(cgroup_remove(&tree, &cg));
    assert_true(cgroup_remove(&tree, &cg)); /* twice is harmless */
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
    assert_true(cgroup_remove(&tree, &cg)); /* with a process inside: it is ended first */
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
    assert_true(cgroup_remove(&tree, &first));
}

static void refuses_a_second_launcher(void **state)
{
    struct cgroup_tree again = { 0 };

    (void)state;
    assert_rc(cgroup_tree_open(name, 0, &again, NULL), RC_BUSY);
}

static void ends_what_an_earlier_one_left(void **state)
{
    struct cgroup cg = CGROUP_INIT;
    int status;

    (void)state;
    assert_rc(cgroup_make(&tree, 4, &limits, &cg, NULL), RC_OK);
    pid_t pid = sleeper(&cg);
    for (size_t i = 0; i < CGROUP_KINDS; i++) { /* as SIGKILL leaves it: descriptors closed */
        close_fd(&cg.dir[i]);
        close_fd(&tree.base[i]);
        close_fd(&tree.parent[i]);
    }
    /* the sleeper shares the lock until it has closed its copy */
    assert_rc(cgroup_tree_open(name, 10000, &tree, NULL), RC_OK);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_rc(cgroup_make(&tree, 4, &limits, &cg, NULL), RC_OK); /* the name is free again */
    assert_true(cgroup_remove(&tree, &cg));
}

/* A host whose v2 tree carries no controllers: nothing may run there without limits. */
static void fails_closed_without_controllers(void **state)
{
    struct cgroup_tree bare = { .version = 2 };
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
        cmocka_unit_test_setup_teardown(fails_closed_without_controllers, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
