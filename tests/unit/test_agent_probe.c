/* SPDX-License-Identifier: Apache-2.0
 *
 * Who goes on looking at a directory that a start could not use: when that ends, and with whom.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "agent/place.h"
#include "agent/probe.h"
#include "base/clock.h"
#include "tests/unit/bad_block.h"
#include "tests/unit/update_fixture.h"

#define USER 64502U
#define WAIT_MS 300000

/* The state directory, in which there is a file in the place of "link". */
struct rig {
    struct scratch dir;
    char outside[128]; /* a path that is not beneath it, of a directory that is not there */
};

static struct rig rig_new(void)
{
    struct rig r = { .dir = scratch_new() };

    assert_int_equal(fchmod(r.dir.fd, 0755), 0);
    put_file(r.dir.fd, "link", "", 0600);
    (void)snprintf(r.outside, sizeof r.outside, "%s/elsewhere", r.dir.path);
    return r;
}

static struct probe_plan plan_of(const struct rig *r)
{
    return (struct probe_plan){ .state_dir = r->dir.fd,
                                .n = 2,
                                .place = { { .path = "data" }, { .path = "link" } },
                                .uid = USER,
                                .gid = USER,
                                .every_ms = 10 };
}

static int start(const struct probe_plan *plan)
{
    struct err err = { 0 };
    int fd = -1;

    assert_rc(probe_start(plan, &fd, &err), RC_OK);
    return fd;
}

/* What it says next. */
static enum rc await(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct err err = { 0 };

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return probe_read(fd, &err);
}

/* A child of that process; 0 = it has none. */
static pid_t child_of(pid_t parent)
{
    DIR *proc = opendir("/proc");
    pid_t found = 0;

    assert_non_null(proc);
    for (const struct dirent *e = readdir(proc); e && found == 0; e = readdir(proc)) {
        char path[300], text[512];

        (void)snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
        scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

        if (n <= 0)
            continue;
        text[n] = 0;
        const char *after = strrchr(text, ')');
        if (after && strlen(after) > 4 && strtol(after + 4, NULL, 10) == parent)
            found = (pid_t)strtol(e->d_name, NULL, 10);
    }
    (void)closedir(proc);
    return found;
}

static pid_t await_child_of(pid_t parent)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    pid_t pid = child_of(parent);

    for (; pid == 0; pid = child_of(parent))
        assert_true(clock_mono_ms() < until);
    return pid;
}

/* ... when that one has died, and been waited for. */
static void await_other_child_of(pid_t parent, pid_t old)
{
    const uint64_t until = clock_mono_ms() + WAIT_MS;

    for (pid_t pid = old; pid == old || pid == 0; pid = child_of(parent))
        assert_true(clock_mono_ms() < until);
}

/* The one that waits; who looks ends with us at the latest. */
static void end(int *fd)
{
    pid_t pid = child_of(getpid());

    close_fd(fd);
    assert_true(pid > 0);
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Made aside, so that nobody sees it half-made. */
static void make(const struct rig *r, const char *name, uid_t owner, mode_t mode)
{
    assert_int_equal(mkdirat(r->dir.fd, "new", mode), 0);
    assert_int_equal(fchownat(r->dir.fd, "new", owner, owner, 0), 0);
    assert_int_equal(renameat(r->dir.fd, "new", r->dir.fd, name), 0);
}

/* A file in its place is none, one of another user is none of ours; the first that can be used is
 * told, whatever the others are, and again and again, for as long as that is so. */
static void one_that_can_be_used_is_told(void **state)
{
    struct rig r = rig_new();
    const struct probe_plan plan = plan_of(&r);
    struct err err = { 0 };
    int fd = -1;

    (void)state;
    make(&r, "data", USER + 1, 0700);
    fd = start(&plan);
    /* It can have said nothing: nothing that it could use has been there. */
    assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 200), 0);
    assert_rc(probe_read(fd, &err), RC_NOT_FOUND);
    assert_int_equal(unlinkat(r.dir.fd, "link", 0), 0);
    make(&r, "link", USER, 0700);
    for (int i = 0; i < 3; i++)
        assert_rc(await(fd), RC_OK);
    end(&fd);
    scratch_done(&r.dir);
}

static void a_path_outside_is_found(void **state)
{
    struct rig r = rig_new();
    struct probe_plan plan = plan_of(&r);
    int fd = -1;

    (void)state;
    plan.place[plan.n++] = (struct probe_place){ .path = r.outside, .outside = true };
    fd = start(&plan);
    make(&r, "elsewhere", USER, 0700);
    assert_rc(await(fd), RC_OK);
    end(&fd);
    scratch_done(&r.dir);
}

/* Of a directory of others the first name is read and no more, at a start and by whoever looks on:
 * what lies behind it makes it no directory that cannot be used. */
static void one_name_of_a_path_outside_is_read(void **state)
{
    struct rig r = rig_new();
    struct probe_plan plan = plan_of(&r);
    struct err err = { 0 };
    bool bad = true;
    int fd = -1;

    (void)state;
    make(&r, "elsewhere", USER, 0700);
    put_file(r.dir.fd, "elsewhere/a", "", 0600);
    put_file(r.dir.fd, "elsewhere/b", "", 0600);
    assert_true(bad_block_at(r.dir.fd, "elsewhere", 1));
    assert_rc(place_open_outside(r.dir.fd, PLACE_UPLINK, r.outside, &fd, &bad, &err), RC_OK);
    assert_false(bad);
    close_fd(&fd);
    plan.place[plan.n++] = (struct probe_place){ .path = r.outside, .outside = true };
    fd = start(&plan); /* a child of this process, to which the block is as bad */
    assert_rc(await(fd), RC_OK);
    end(&fd);

    bad_block.names = 0;
    assert_rc(place_open_outside(r.dir.fd, PLACE_UPLINK, r.outside, &fd, &bad, &err), RC_OK);
    assert_true(bad);
    close_fd(&fd);
    assert_int_equal(faccessat(r.dir.fd, "uplink" PLACE_SPARE, F_OK, 0), 0);
    bad_block.on = false;
    scratch_done(&r.dir);
}

/* Whoever looks can be killed, and somebody else looks, as often as that is; without the one that
 * waits nobody is replaced, but who looks goes on. */
static void the_dead_are_replaced(void **state)
{
    struct rig r = rig_new();
    const struct probe_plan plan = plan_of(&r);
    scoped(close_fd) int fd = start(&plan);
    pid_t waits = child_of(getpid()), looks = 0;
    struct err err = { 0 };

    (void)state;
    assert_true(waits > 0);
    for (int i = 0; i < 3; i++) {
        looks = await_child_of(waits);
        assert_int_equal(kill(looks, SIGKILL), 0);
        await_other_child_of(waits, looks);
    }
    assert_rc(probe_read(fd, &err), RC_NOT_FOUND);
    looks = await_child_of(waits);
    assert_int_equal(kill(waits, SIGKILL), 0);
    assert_int_equal(waitpid(waits, NULL, 0), waits);
    make(&r, "data", USER, 0700);
    assert_rc(await(fd), RC_OK);
    assert_int_equal(kill(looks, SIGKILL), 0);
    while (await(fd) == RC_OK) /* what it said before */
        ;
    assert_rc(probe_read(fd, &err), RC_IO);
    scratch_done(&r.dir);
}

static void never_as_root(void **state)
{
    struct rig r = rig_new();
    struct probe_plan plan = plan_of(&r);
    scoped(close_fd) int fd = -1;

    (void)state;
    plan.uid = 0;
    fd = start(&plan);
    assert_rc(await(fd), RC_IO);
    assert_true(waitpid(-1, NULL, 0) > 0);
    scratch_done(&r.dir);
}

/* As berthd does: start it as root, then be a user, and another than it is. */
_Noreturn static void be_parent(const struct probe_plan *plan, int told)
{
    struct err err = { 0 };
    int fd = -1;

    if (probe_start(plan, &fd, &err) != RC_OK || setresuid(USER + 1, USER + 1, USER + 1) != 0 ||
        poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, WAIT_MS) != 1 ||
        probe_read(fd, &err) != RC_OK || /* so it has come to looking */
        write(told, "x", 1) != 1)
        _exit(1);
    for (;;)
        (void)pause();
}

/* It holds nothing of whoever started it, and ends with that, which has no right to signal it. */
static void it_ends_with_its_parent(void **state)
{
    struct rig r = rig_new();
    const struct probe_plan plan = plan_of(&r);
    int ends[2], status = 0;
    char byte = 0;

    (void)state;
    make(&r, "data", USER, 0700);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* Whose parent dies is given to us. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid_t parent = fork();
    if (parent == 0)
        be_parent(&plan, ends[1]);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    pid_t child = child_of(parent);
    assert_true(child > 0);
    scoped(close_fd) int pidfd = pidfd_open(child, 0);
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    /* Without the parent nobody has the other end. */
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
    assert_int_equal(poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, WAIT_MS), 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 0), 0);
    scratch_done(&r.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_can_be_used_is_told),
        cmocka_unit_test(a_path_outside_is_found),
        cmocka_unit_test(one_name_of_a_path_outside_is_read),
        cmocka_unit_test(the_dead_are_replaced),
        cmocka_unit_test(never_as_root),
        cmocka_unit_test(it_ends_with_its_parent),
    };

    if (geteuid() != 0) {
        print_message("needs root\n");
        return 0;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* as berthd does: no other end of it is looked for */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
