/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "agent/proof.h"
#include "base/fs.h"

static int open_built(const char *name)
{
    const char *build = getenv("BERTH_BUILD");
    char path[PATH_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", build ? build : "build/release", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

/* A program that ends when it is killed, and not before: what it does stands in a file beside it.
 */
struct hanging {
    char dir[32];
    int program;
};

static struct hanging make_hanging(void)
{
    struct hanging h = { .dir = "/tmp/berth-proof-XXXXXX", .program = -1 };
    struct err err = { 0 };

    assert_non_null(mkdtemp(h.dir));
    scoped(close_fd) int dir = open(h.dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    scoped(close_fd) int from = open_built("tests/probe/agent_broken");
    scoped(close_fd) int to = openat(dir, "program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_true(to >= 0);
    while (sendfile(to, from, NULL, 1U << 20) > 0)
        ;
    assert_rc(fs_write_file(dir, "broken", bytes_of("hang"), 0644, &err), RC_OK);
    close_fd(&to);
    h.program = openat(dir, "program", O_RDONLY | O_CLOEXEC);
    assert_true(h.program >= 0);
    return h;
}

static void remove_hanging(struct hanging *h)
{
    close_fd(&h->program);
    scoped(close_fd) int dir = open(h->dir, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
    assert_int_equal(unlinkat(dir, "program", 0), 0);
    assert_int_equal(unlinkat(dir, "broken", 0), 0);
    assert_int_equal(rmdir(h->dir), 0);
}

/* Steps by `step_ms` of a clock of its own, until it is known; between two of them a child that was
 * started ends by itself, unless it is said to hang. */
static enum rc until_known(struct proof *p, int program, uint64_t step_ms, bool hangs,
                           struct err *err)
{
    enum rc rc = RC_BUSY;

    for (uint64_t now = 1; rc == RC_BUSY; now += step_ms) {
        bool killed = p->busy && now >= p->until_ms;

        rc = proof_step(p, program, now, err);
        if (p->busy && (!hangs || killed)) {
            struct pollfd ended = { .fd = p->job.pidfd, .events = POLLIN };

            assert_int_equal(poll(&ended, 1, 300000), 1);
        }
    }
    return rc;
}

static void the_real_one(void **state)
{
    struct proof p = { 0 };
    struct err err = { 0 };

    (void)state;
    scoped(close_fd) int program = open_built("berth-unpack");
    assert_rc(until_known(&p, program, 1000, false, &err), RC_OK);
    assert_true(p.good);
    assert_int_equal(p.tries, 0);
    /* It is not asked twice. */
    assert_rc(proof_step(&p, -1, 0, &err), RC_OK);
    assert_false(p.busy);
}

static void one_that_says_nothing(void **state)
{
    struct proof p = { 0 };
    struct err err = { 0 };

    (void)state;
    scoped(close_fd) int program = open("/bin/false", O_RDONLY | O_CLOEXEC);
    assert_true(program >= 0);
    assert_rc(until_known(&p, program, 1000, false, &err), RC_UNPACK_FAILED);
    assert_int_equal(p.tries, PROOF_TRIES_MAX);
    assert_false(p.busy);
    /* And not asked again. */
    assert_rc(proof_step(&p, program, UINT64_MAX / 2, &err), RC_UNPACK_FAILED);
    assert_false(p.busy);
}

static void none_that_could_be_started(void **state)
{
    struct proof p = { 0 };
    struct err err = { 0 };

    (void)state;
    scoped(close_fd) int program = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    assert_true(program >= 0);
    assert_rc(until_known(&p, program, 1000, false, &err), RC_UNPACK_FAILED);
    assert_false(p.good);
}

/* A failure that passes costs a try, and no more. */
static void one_that_works_in_the_end(void **state)
{
    struct proof p = { 0 };
    struct err err = { 0 };

    (void)state;
    scoped(close_fd) int program = open_built("berth-unpack");
    p.tries = PROOF_TRIES_MAX - 1;
    assert_rc(until_known(&p, program, 1000, false, &err), RC_OK);
}

static void one_that_hangs(void **state)
{
    struct hanging h = make_hanging();
    struct proof p = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(until_known(&p, h.program, 20000, true, &err), RC_UNPACK_FAILED);
    assert_int_equal(p.tries, PROOF_TRIES_MAX);
    remove_hanging(&h);
}

static void stopped_in_between(void **state)
{
    struct hanging h = make_hanging();
    struct proof p = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(proof_step(&p, h.program, 1, &err), RC_BUSY);
    assert_true(p.busy);
    proof_stop(&p);
    assert_false(p.busy);
    proof_stop(&p);
    remove_hanging(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_real_one),
        cmocka_unit_test(one_that_says_nothing),
        cmocka_unit_test(none_that_could_be_started),
        cmocka_unit_test(one_that_works_in_the_end),
        cmocka_unit_test(one_that_hangs),
        cmocka_unit_test(stopped_in_between),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
