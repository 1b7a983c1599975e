/* SPDX-License-Identifier: Apache-2.0
 *
 * Scratch directories go away: when they are closed, and when their program was killed.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/scratch.h"
#include "tests/unit/update_fixture.h"
#include "tests/unit/update_kill.h"

static struct scratch top;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    top = scratch_new();
    assert_int_equal(setenv("TMPDIR", top.path, 1), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(&top);
    return unsetenv("TMPDIR");
}

static void fill(int dirfd)
{
    assert_int_equal(mkdirat(dirfd, "tree", 0700), 0);
    assert_rc(fs_write_file(dirfd, "tree/file", bytes_of("x"), 0600, &err), RC_OK);
}

static void closed_it_is_gone(void **state)
{
    struct scratch_dir a = SCRATCH_NONE, b = SCRATCH_NONE;
    struct stat st;

    (void)state;
    assert_rc(scratch_open(&a, &err), RC_OK);
    assert_rc(scratch_open(&b, &err), RC_OK); /* and leaves what is in use */
    assert_int_equal(entries_in(top.fd, "."), 2);
    assert_int_equal(entries_in(a.fd, "."), 0);
    assert_int_equal(stat(a.path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    fill(a.fd);
    scratch_close(&a);
    assert_int_equal(entries_in(top.fd, "."), 1);
    scratch_close(&b);
    scratch_close(&b);
    assert_int_equal(entries_in(top.fd, "."), 0);
}

static int use_one(void *arg)
{
    scoped(scratch_close) struct scratch_dir dir = SCRATCH_NONE;

    (void)arg;
    if (scratch_open(&dir, &err) != RC_OK)
        return 1;
    fill(dir.fd);
    return 0;
}

/* Killed at each system call that changes a file. */
static void killed_anywhere_the_next_one_removes_it(void **state)
{
    bool ended = false;
    size_t left = 0;

    (void)state;
    for (size_t n = 1; !ended; n++) {
        int code = -1;

        ended = !kill_at(n, use_one, NULL, NULL, &code);
        if (ended)
            assert_int_equal(code, 0);
        left += entries_in(top.fd, ".") > 0;

        scoped(scratch_close) struct scratch_dir next = SCRATCH_NONE;

        assert_rc(scratch_open(&next, &err), RC_OK);
        assert_int_equal(entries_in(top.fd, "."), 1);
    }
    assert_true(left > 3);
    assert_int_equal(entries_in(top.fd, "."), 0);
}

/* What only looks like one is left alone. */
static void others_stay(void **state)
{
    struct scratch_dir dir = SCRATCH_NONE;

    (void)state;
    assert_int_equal(mkdirat(top.fd, "berth-scratch-1234567", 0700), 0);
    assert_int_equal(mkdirat(top.fd, "berth-scratch-open12", 0755), 0);
    assert_int_equal(mkdirat(top.fd, "berth-123456", 0700), 0);
    assert_int_equal(symlinkat("berth-123456", top.fd, "berth-scratch-symlnk"), 0);
    assert_rc(fs_write_file(top.fd, "berth-scratch-filexx", bytes_of("x"), 0700, &err), RC_OK);
    assert_int_equal(mkdirat(top.fd, "berth-scratch-others", 0700), 0);
    if (geteuid() == 0)
        assert_int_equal(fchownat(top.fd, "berth-scratch-others", 12345, 12345, 0), 0);
    else
        assert_int_equal(unlinkat(top.fd, "berth-scratch-others", AT_REMOVEDIR), 0);
    assert_rc(scratch_open(&dir, &err), RC_OK);
    scratch_close(&dir);
    assert_int_equal(entries_in(top.fd, "."), geteuid() == 0 ? 6 : 5);
}

static void no_place_to_be(void **state)
{
    struct scratch_dir dir = SCRATCH_NONE;
    char gone[128];

    (void)state;
    (void)snprintf(gone, sizeof gone, "%s/none", top.path);
    assert_int_equal(setenv("TMPDIR", gone, 1), 0);
    assert_rc(scratch_open(&dir, &err), RC_NOT_FOUND);
    scratch_close(&dir);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(closed_it_is_gone),
        ROW(killed_anywhere_the_next_one_removes_it),
        ROW(others_stay),
        ROW(no_place_to_be),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
