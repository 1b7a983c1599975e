/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/aside.h"
#include "base/fs.h"

static char top[64];
static int dir = -1;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/tmp/berth-test-XXXXXX");
    assert_non_null(mkdtemp(top));
    dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(dir >= 0);
    return 0;
}

static int teardown(void **state)
{
    struct err err;

    (void)state;
    close_fd(&dir);
    assert_rc(fs_remove_tree(AT_FDCWD, top, &err), RC_OK);
    return 0;
}

static struct digest digest_of(unsigned i)
{
    struct digest d;

    memset(d.b, (int)i, sizeof d.b);
    return d;
}

static int object(size_t n)
{
    int fd = openat(dir, "object", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)n), 0);
    return fd;
}

static bool count(void *arg, const char *name)
{
    (void)name;
    (*(unsigned *)arg)++;
    return true;
}

static unsigned kept(void)
{
    unsigned n = 0;
    struct err err;

    assert_rc(fs_list(dir, ASIDE_DIR, 1000, count, &n, NULL, &err), RC_OK);
    return n;
}

/* The newest few stay, under names that say what and why. */
static void keeps_the_newest(void **state)
{
    scoped(close_fd) int fd = object(5);
    struct stat st;
    struct err err;

    (void)state;
    for (unsigned i = 1; i <= ASIDE_FILES_MAX + 9; i++) {
        const struct digest d = digest_of(i);

        assert_rc(aside_keep(dir, fd, &d, i, RC_SIG_BAD, &err), RC_OK);
        assert_int_equal(kept(), i < ASIDE_FILES_MAX ? i : ASIDE_FILES_MAX);
    }
    assert_int_equal(fstatat(dir, ASIDE_DIR "/0000000000000019-1919191919191919.SIG_BAD", &st, 0),
                     0);
    assert_int_equal(st.st_size, 5);
    assert_int_equal(fstatat(dir, ASIDE_DIR "/0000000000000009-0909090909090909.SIG_BAD", &st, 0),
                     -1);
}

/* A flood of one object takes one place, and a huge one little room. */
static void is_bounded(void **state)
{
    scoped(close_fd) int fd = object(10U << 20);
    const struct digest d = digest_of(7);
    struct stat st;
    struct err err;

    (void)state;
    for (unsigned i = 1; i <= 100; i++)
        assert_rc(aside_keep(dir, fd, &d, i, RC_ARCHIVE_PATH, &err), RC_OK);
    assert_int_equal(kept(), 1);
    assert_int_equal(
        fstatat(dir, ASIDE_DIR "/0000000000000001-0707070707070707.ARCHIVE_PATH", &st, 0), 0);
    assert_int_equal(st.st_size, ASIDE_BYTES_MAX);
    assert_int_equal(st.st_mode & 0777U, 0600);
}

#define each(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(keeps_the_newest),
        each(is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
