/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/output.h"
#include "base/fs.h"

struct fixture {
    char path[32];
    int dir;
    int pipe[2];
    struct output output;
};

static struct fixture fixture_new(void)
{
    struct fixture f = { .path = "/tmp/berth-output-XXXXXX" };

    assert_non_null(mkdtemp(f.path));
    f.dir = open(f.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(pipe2(f.pipe, O_NONBLOCK | O_CLOEXEC), 0);
    output_open(&f.output, f.dir, "acme", "cam", 1U << 20);
    return f;
}

static void fixture_done(struct fixture *f)
{
    output_close(&f->output);
    close_fd(&f->pipe[0]);
    close_fd(&f->pipe[1]);
    (void)unlinkat(f->dir, "acme.cam.log", 0);
    (void)unlinkat(f->dir, "acme.cam.log.old", 0);
    close_fd(&f->dir);
    (void)rmdir(f->path);
}

static size_t size_of(const struct fixture *f, const char *name)
{
    struct stat st = { 0 };

    return fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (size_t)st.st_size : 0;
}

static void lines_are_kept_and_cleaned(void **state)
{
    struct fixture f = fixture_new();
    uint8_t text[64] = { 0 };
    struct err err = { 0 };
    size_t n = 0;

    (void)state;
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_TIMEOUT);
    assert_int_equal(write(f.pipe[1], "one\n\033[2J\ttwo\r\n", 14), 14);
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_OK);
    assert_rc(fs_read_file(f.dir, "acme.cam.log", text, sizeof text - 1, &n, &err), RC_OK);
    assert_string_equal((char *)text, "one\n?[2J\ttwo?\n");
    close_fd(&f.pipe[1]);
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_SHORT);
    fixture_done(&f);
}

/* A payload that prints without end: so much a second is kept, some more is dropped, the rest waits
 * in the pipe; and two files is all it ever gets. */
static void floods_are_bounded(void **state)
{
    static const uint8_t page[4096] = { 'x' };
    struct fixture f = fixture_new();
    struct err err = { 0 };
    enum rc rc = RC_OK;

    (void)state;
    for (unsigned second = 0; second < 3 * OUTPUT_FILE_MAX / OUTPUT_WRITE_MAX; second++) {
        size_t pumped = 0;

        for (rc = RC_OK; rc != RC_BUSY; pumped++) {
            while (write(f.pipe[1], page, sizeof page) > 0)
                continue;
            rc = output_pump(&f.output, f.pipe[0], &err);
            assert_true(rc == RC_OK || rc == RC_BUSY);
        }
        assert_true((pumped - 1) * sizeof page <= OUTPUT_READ_MAX);
        assert_true(size_of(&f, "acme.cam.log") <= OUTPUT_FILE_MAX);
        assert_true(size_of(&f, "acme.cam.log.old") <= OUTPUT_FILE_MAX);
        output_tick(&f.output);
    }
    assert_int_equal(size_of(&f, "acme.cam.log.old"), OUTPUT_FILE_MAX);
    fixture_done(&f);
}

/* What an hour may have is used up in a second, and comes again with the next one. */
static void hours_are_bounded(void **state)
{
    struct fixture f = fixture_new();
    struct err err = { 0 };

    (void)state;
    output_close(&f.output);
    output_open(&f.output, f.dir, "acme", "cam", 10);
    for (uint32_t tick = 0; tick < 2 * OUTPUT_HOUR_TICKS; tick++) {
        assert_int_equal(write(f.pipe[1], "line\n", 5), 5);
        assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_OK);
        output_tick(&f.output);
        assert_int_equal(size_of(&f, "acme.cam.log"), tick < 1                       ? 5
                                                      : tick < OUTPUT_HOUR_TICKS     ? 10
                                                      : tick < OUTPUT_HOUR_TICKS + 1 ? 15
                                                                                     : 20);
    }
    fixture_done(&f);
}

/* Nothing can be kept: the payload is read all the same. */
static void without_a_file_it_is_dropped(void **state)
{
    struct fixture f = fixture_new();
    struct err err = { 0 };

    (void)state;
    output_close(&f.output);
    output_open(&f.output, -1, "acme", "cam", 1U << 20);
    assert_int_equal(f.output.fd, -1);
    assert_int_equal(write(f.pipe[1], "one\n", 4), 4);
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_OK);
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_TIMEOUT);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept_and_cleaned),
        cmocka_unit_test(floods_are_bounded),
        cmocka_unit_test(hours_are_bounded),
        cmocka_unit_test(without_a_file_it_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
