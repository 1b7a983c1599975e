/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/output.h"
#include "base/fs.h"

#define NOW_MS 1000U

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
    output_open(&f.output, f.dir, "acme", "cam", 7, NULL, NOW_MS);
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

static enum rc pump(struct fixture *f, struct err *err)
{
    return output_pump(&f->output, f->pipe[0], LOGS_OUT, NOW_MS, err);
}

/* What has been kept. */
static const char *kept(const struct fixture *f)
{
    static uint8_t text[OUTPUT_FILE_MAX + 1];
    struct err err = { 0 };
    size_t n = 0;

    assert_rc(fs_read_file(f->dir, "acme.cam.log", text, sizeof text - 1, &n, &err), RC_OK);
    text[n] = '\0';
    return (const char *)text;
}

static size_t size_of(const struct fixture *f, const char *name)
{
    struct stat st = { 0 };

    return fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (size_t)st.st_size : 0;
}

static void write_to(const struct fixture *f, const char *text)
{
    assert_int_equal(write(f->pipe[1], text, strlen(text)), (ssize_t)strlen(text));
}

static void lines_are_kept_and_cleaned(void **state)
{
    struct fixture f = fixture_new();
    struct err err = { 0 };

    (void)state;
    assert_rc(pump(&f, &err), RC_TIMEOUT);
    output_note(&f.output, "started 1.0", NOW_MS);
    write_to(&f, "one\n\033[2J\ttwo\r\n");
    assert_rc(pump(&f, &err), RC_OK);
    write_to(&f, "broken\n");
    assert_rc(output_pump(&f.output, f.pipe[0], LOGS_ERR, NOW_MS + 5, &err), RC_OK);
    assert_string_equal(kept(&f), "7.1.0 1000 n started 1.0\n"
                                  "7.2.12 1000 o one\n"
                                  "7.3.16 1000 o ?[2J\ttwo?\n"
                                  "7.4.26 1005 e broken\n");
    close_fd(&f.pipe[1]);
    assert_rc(pump(&f, &err), RC_SHORT);
    fixture_done(&f);
}

/* A line that does not end, and one that is longer than any: pieces, which say that they go on. */
static void pieces_are_kept(void **state)
{
    struct fixture f = fixture_new();
    char line[LOGS_TEXT_MAX + 4];
    struct err err = { 0 };

    (void)state;
    write_to(&f, "ready? ");
    assert_rc(pump(&f, &err), RC_OK);
    output_tick(&f.output, NOW_MS);
    assert_int_equal(size_of(&f, "acme.cam.log"), 0); /* something may follow */
    output_tick(&f.output, NOW_MS);
    write_to(&f, "yes\n");
    assert_rc(pump(&f, &err), RC_OK);
    assert_string_equal(kept(&f), "7.1.0 1000 O ready? \n7.2.7 1000 o yes\n");
    memset(line, 'x', sizeof line);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    write_to(&f, line);
    write_to(&f, "last");
    assert_rc(pump(&f, &err), RC_OK);
    output_note(&f.output, "ended EXITED 0", NOW_MS);
    assert_non_null(strstr(kept(&f), "\n7.3.11 1000 O xxx"));
    assert_non_null(
        strstr(kept(&f), "x\n7.4.1035 1000 o xx\n7.5.1038 1000 O last\n7.6.1042 1000 n "));
    fixture_done(&f);
}

/* What the power cut off in the middle does not spoil what follows. */
static void a_torn_end_is_ended(void **state)
{
    struct fixture f = fixture_new();
    struct err err = { 0 };

    (void)state;
    output_close(&f.output);
    assert_rc(fs_write_file(f.dir, "acme.cam.log", bytes_of("7.1.0 10"), 0600, &err), RC_OK);
    output_open(&f.output, f.dir, "acme", "cam", 8, NULL, NOW_MS);
    output_note(&f.output, "started", NOW_MS);
    assert_string_equal(kept(&f), "7.1.0 10\n8.1.0 1000 n started\n");
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
            rc = pump(&f, &err);
            assert_true(rc == RC_OK || rc == RC_BUSY);
        }
        assert_true((pumped - 1) * sizeof page <= OUTPUT_READ_MAX);
        assert_true(size_of(&f, "acme.cam.log") <= OUTPUT_FILE_MAX);
        assert_true(size_of(&f, "acme.cam.log.old") <= OUTPUT_FILE_MAX);
        output_tick(&f.output, NOW_MS);
    }
    assert_true(size_of(&f, "acme.cam.log.old") > OUTPUT_FILE_MAX - 2048);
    fixture_done(&f);
}

static enum rc print(struct fixture *f, const char *text)
{
    struct err err = { 0 };

    write_to(f, text);
    return pump(f, &err);
}

/* An hour's worth and no more, and the file says how much is missing where, and why; what the hour
 * gives back, evenly, is kept again. */
static void an_hour_has_its_budget(void **state)
{
    struct output_budget table[2] = { 0 };
    struct fixture f = fixture_new();

    (void)state;
    f.output.budget = output_budget_find(table, 2, "acme", "cam", 1800);
    for (unsigned i = 0; i < 40; i++)
        assert_rc(print(&f, "0123456789012345678901234567890123456789012345678\n"), RC_OK);
    const size_t full = size_of(&f, "acme.cam.log");

    assert_true(full <= 1800 && full > 1700);
    for (unsigned second = 0; second < 300; second++) {
        output_tick(&f.output, NOW_MS);
        output_budget_tick(table, 2);
    }
    assert_rc(print(&f, "again\n"), RC_OK);
    /* 27 lines of 50 bytes and their heads are 1,777 bytes */
    assert_non_null(strstr(kept(&f), "\n7.28.1350 1000 ~ 2 13 650\n7.41.2000 1000 o again\n"));
    assert_true(size_of(&f, "acme.cam.log") <= 1800 + 150);
    fixture_done(&f);
}

/* The agent's words are kept all the same, and what is not told yet is told at the end. */
static void the_end_tells_what_is_missing(void **state)
{
    struct output_budget table[2] = { 0 };
    struct fixture f = fixture_new();

    (void)state;
    f.output.budget = output_budget_find(table, 2, "acme", "cam", 10);
    assert_rc(print(&f, "one\ntwo\n"), RC_OK);
    output_note(&f.output, "ended EXITED 0", NOW_MS);
    assert_string_equal(kept(&f), "7.1.0 1000 ~ 2 2 8\n7.3.8 1000 n ended EXITED 0\n");
    assert_rc(print(&f, "three\n"), RC_OK);
    output_close(&f.output);
    assert_non_null(strstr(kept(&f), "\n7.4.23 1000 ~ 2 1 6\n"));
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
    output_open(&f.output, -1, "acme", "cam", 7, NULL, NOW_MS);
    assert_int_equal(f.output.fd, -1);
    assert_int_equal(write(f.pipe[1], "one\n", 4), 4);
    assert_rc(pump(&f, &err), RC_OK);
    assert_rc(pump(&f, &err), RC_TIMEOUT);
    fixture_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_kept_and_cleaned),
        cmocka_unit_test(pieces_are_kept),
        cmocka_unit_test(a_torn_end_is_ended),
        cmocka_unit_test(floods_are_bounded),
        cmocka_unit_test(an_hour_has_its_budget),
        cmocka_unit_test(the_end_tells_what_is_missing),
        cmocka_unit_test(a_budget_outlives_a_start),
        cmocka_unit_test(without_a_file_it_is_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
