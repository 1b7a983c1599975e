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
    output_open(&f.output, f.dir, "acme", "cam", NULL);
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

static enum rc print(struct fixture *f, const char *text)
{
    struct err err = { 0 };

    assert_int_equal(write(f->pipe[1], text, strlen(text)), (ssize_t)strlen(text));
    return output_pump(&f->output, f->pipe[0], &err);
}

/* An hour's worth and no more, and the file says how much is missing where; what the hour gives
 * back, evenly, is kept again. */
static void an_hour_has_its_budget(void **state)
{
    static uint8_t text[8192];
    struct output_budget table[2] = { 0 };
    struct fixture f = fixture_new();
    struct err err = { 0 };
    size_t n = 0;

    (void)state;
    f.output.budget = output_budget_find(table, 2, "acme", "cam", 1800);
    for (unsigned i = 0; i < 40; i++)
        assert_rc(print(&f, "0123456789012345678901234567890123456789012345678\n"), RC_OK);
    assert_int_equal(size_of(&f, "acme.cam.log"), 1800);
    for (unsigned second = 0; second < 300; second++) {
        output_tick(&f.output);
        output_budget_tick(table, 2);
    }
    assert_rc(print(&f, "again\n"), RC_OK);
    assert_rc(fs_read_file(f.dir, "acme.cam.log", text, sizeof text - 1, &n, &err), RC_OK);
    text[n] = '\0';
    assert_non_null(strstr((char *)text, "\n[200 bytes were dropped here]\nagain\n"));
    assert_true(n <= 1800 + 150);
    fixture_done(&f);
}

/* Ending and starting brings nothing back; a place is given away only by who does not run. */
static void a_budget_outlives_a_start(void **state)
{
    struct output_budget table[2] = { 0 };
    struct output_budget *cam = output_budget_find(table, 2, "acme", "cam", 100);

    (void)state;
    assert_int_equal(output_budget_take(cam, 70), 70);
    output_budget_leave(cam);
    cam = output_budget_find(table, 2, "acme", "cam", 100);
    assert_int_equal(output_budget_take(cam, 70), 30);
    assert_int_equal(output_budget_take(cam, 70), 0);

    struct output_budget *ais = output_budget_find(table, 2, "zeta", "cam", 100);
    assert_ptr_not_equal(ais, cam);
    assert_int_equal(output_budget_take(ais, 10), 10);
    output_budget_leave(ais);
    assert_ptr_equal(output_budget_find(table, 2, "luna", "cam", 100), ais);
    assert_int_equal(output_budget_take(ais, 100), 100);

    /* a smaller limit holds at once, and a second gives a part of an hour */
    output_budget_leave(cam);
    cam = output_budget_find(table, 2, "acme", "cam", OUTPUT_HOUR_S);
    output_budget_tick(table, 2);
    output_budget_tick(table, 2);
    assert_int_equal(output_budget_take(cam, 100), 2);
    for (unsigned i = 0; i < 2 * OUTPUT_HOUR_S; i++)
        output_budget_tick(table, 2);
    assert_int_equal(output_budget_take(cam, 10000), OUTPUT_HOUR_S);
}

/* Nothing can be kept: the payload is read all the same. */
static void without_a_file_it_is_dropped(void **state)
{
    struct fixture f = fixture_new();
    struct err err = { 0 };

    (void)state;
    output_close(&f.output);
    output_open(&f.output, -1, "acme", "cam", NULL);
    assert_int_equal(f.output.fd, -1);
    assert_int_equal(write(f.pipe[1], "one\n", 4), 4);
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_OK);
    assert_rc(output_pump(&f.output, f.pipe[0], &err), RC_TIMEOUT);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept_and_cleaned),   cmocka_unit_test(floods_are_bounded),
        cmocka_unit_test(an_hour_has_its_budget),       cmocka_unit_test(a_budget_outlives_a_start),
        cmocka_unit_test(without_a_file_it_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
