/* SPDX-License-Identifier: Apache-2.0
 *
 * Logs in the home: chunks that came twice, overlap, or came in any order are told once, in order,
 * and what is missing with its count and reason; and what `berth logs` prints of them.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/logs.h"
#include "orchestrator/since.h"

static char path[48];
static struct home home;
static struct err err;

static int setup(void **state)
{
    (void)state;
    home = (struct home)HOME_NONE;
    memcpy(path, "/tmp/berth-olog-XXXXXX", sizeof "/tmp/berth-olog-XXXXXX");
    assert_non_null(mkdtemp(path));
    home.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close_fd(&home.dirfd);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

/* ---- making chunks ----------------------------------------------------------------------------
 */

static struct logs_writer w;

/* Lines are "l" and their number: 4 bytes with two digits. */
static void line(uint64_t number)
{
    char text[24];
    struct logs_record r = { .number = number,
                             .offset = (number - 10) * 4,
                             .time_ms = number * 1000,
                             .stream = number % 2 == 0 ? LOGS_OUT : LOGS_ERR };

    (void)snprintf(text, sizeof text, "l%02u", (unsigned)number);
    r.text = bytes_of(text);
    assert_true(logs_add(&w, &r));
}

static void gap(uint64_t first, uint64_t lines, enum logs_why why)
{
    const struct logs_record r = { .number = first,
                                   .offset = (first - 10) * 4,
                                   .time_ms = first * 1000,
                                   .stream = LOGS_GAP,
                                   .why = why,
                                   .lines = lines,
                                   .bytes = 4 * lines };

    assert_true(logs_add(&w, &r));
}

static enum rc come(void)
{
    static uint8_t buf[LOGS_BYTES_MAX];
    struct mail head = { .direction = MAIL_LOGS, .node = 7, .tenant = "acme", .payload = "cam" };
    struct bytes content = { 0 };
    scoped(close_fd) int fd = -1;

    assert_rc(logs_end(&w, buf, &content, &err), RC_OK);
    head.size = (uint32_t)content.n;
    assert_rc(fs_sealed("test", content, &fd, &err), RC_OK);
    return logs_keep(&home, "aurora-1", &head, fd, &err);
}

static void lines(uint64_t instance, uint64_t first, uint64_t last)
{
    logs_begin(&w, instance, LOGS_PLAIN_MAX);
    for (uint64_t i = first; i <= last; i++)
        line(i);
    assert_rc(come(), RC_OK);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

struct seen {
    char text[4096]; /* "7:10 7:11 7:(12+3 too fast 12)" */
    uint32_t most;   /* 0 = all */
};

static bool on_told(void *arg, const struct logs_told *t)
{
    struct seen *s = arg;
    const struct logs_record *r = &t->record;
    const size_t n = strlen(s->text);

    /* What has no time, or came at none, would be left out of all that is listed since one. */
    assert_true(t->came_ms > 0);
    assert_true(r->time_ms >= 10000);
    if (r->stream == LOGS_GAP)
        (void)snprintf(s->text + n, sizeof s->text - n, " %u:(%u+%u %s %u)", (unsigned)t->instance,
                       (unsigned)r->number, (unsigned)r->lines, logs_why_text(r->why),
                       (unsigned)r->bytes);
    else
        (void)snprintf(s->text + n, sizeof s->text - n, " %u:%.*s", (unsigned)t->instance,
                       (int)(r->text.n % 64), (const char *)r->text.p);
    return s->most == 0 || --s->most > 0;
}

static void assert_log(uint64_t instance, uint64_t number, const char *want)
{
    static struct seen seen;
    const struct logs_cursor after = { instance, number };

    memset(&seen, 0, sizeof seen);
    assert_rc(logs_list(&home, "acme", "aurora-1", "cam", &after, on_told, &seen, &err), RC_OK);
    assert_string_equal(seen.text, want);
}

static void nothing_has_come(void **state)
{
    struct seen seen = { .most = 0 };
    const struct logs_cursor after = { 0 };

    (void)state;
    assert_rc(logs_list(&home, "acme", "aurora-1", "cam", &after, on_told, &seen, &err),
              RC_NOT_FOUND);
}

/* Twice, overlapping, the later ones first. */
static void lines_are_told_once(void **state)
{
    (void)state;
    lines(7, 13, 16);
    lines(7, 10, 12);
    lines(7, 10, 12);
    lines(7, 11, 14);
    lines(7, 15, 15);
    assert_log(0, 0, " 7:l10 7:l11 7:l12 7:l13 7:l14 7:l15 7:l16");
    assert_log(7, 14, " 7:l15 7:l16");
    assert_log(7, 16, "");
    assert_log(8, 1, "");
}

/* With the reason of whoever has one, and without where none has. */
static void gaps_are_told(void **state)
{
    (void)state;
    lines(7, 10, 11);
    lines(7, 14, 14);
    logs_begin(&w, 7, LOGS_PLAIN_MAX);
    line(15);
    gap(16, 4, LOGS_RATE);
    line(20);
    gap(21, 10, LOGS_RING);
    line(31);
    assert_rc(come(), RC_OK);
    assert_log(0, 0,
               " 7:l10 7:l11 7:(12+2 not here 8) 7:l14 7:l15 7:(16+4 too fast 16) 7:l20 "
               "7:(21+10 ring full 40) 7:l31");
    assert_log(7, 15, " 7:(16+4 too fast 16) 7:l20 7:(21+10 ring full 40) 7:l31");
    lines(7, 25, 26); /* that were asked for before they were overwritten */
    assert_log(7, 20, " 7:(21+4 ring full 16) 7:l25 7:l26 7:(27+4 ring full 16) 7:l31");
    lines(7, 12, 13);
    assert_log(7, 9,
               " 7:l10 7:l11 7:l12 7:l13 7:l14 7:l15 7:(16+4 too fast 16) 7:l20 "
               "7:(21+4 ring full 16) 7:l25 7:l26 7:(27+4 ring full 16) 7:l31");
}

/* A chunk that ends in a gap, two reasons that meet, and the next start from its first line on. */
static void runs_end(void **state)
{
    (void)state;
    logs_begin(&w, 7, LOGS_PLAIN_MAX);
    line(10);
    gap(11, 2, LOGS_RATE);
    gap(13, 3, LOGS_HOUR);
    assert_rc(come(), RC_OK);
    assert_log(0, 0, " 7:l10 7:(11+2 too fast 8) 7:(13+3 hour used up 12)");
    lines(9, 12, 13);
    assert_log(0, 0,
               " 7:l10 7:(11+2 too fast 8) 7:(13+3 hour used up 12) "
               "9:(1+11 not here 8) 9:l12 9:l13");
}

/* More chunks at one place than are looked at together, as only a satellite in wrong hands makes
 * them: no line twice, and none out of order. */
static void many_overlap(void **state)
{
    (void)state;
    for (uint64_t last = 12; last < 40; last++)
        lines(7, 10, last);
    assert_log(7, 36, " 7:l37 7:l38 7:l39");
}

static void bad_chunks_are_refused(void **state)
{
    struct mail head = { .direction = MAIL_LOGS, .tenant = "acme", .payload = "cam", .size = 3 };
    scoped(close_fd) int fd = -1;

    (void)state;
    assert_rc(fs_sealed("test", bytes_of("\x84\x01\x00"), &fd, &err), RC_OK);
    assert_int_not_equal(logs_keep(&home, "aurora-1", &head, fd, &err), RC_OK);
    head.size = LOGS_BYTES_MAX + 1;
    assert_rc(logs_keep(&home, "aurora-1", &head, fd, &err), RC_MAIL_FORMAT);
    nothing_has_come(state);
}

/* What is damaged on the disk of the ground shows as missing. */
static void a_damaged_chunk_is_a_gap(void **state)
{
    (void)state;
    lines(7, 10, 11);
    lines(7, 12, 13);
    lines(7, 14, 14);
    assert_rc(fs_write_file(home.dirfd,
                            "mail/.logs/acme/aurora-1/cam/"
                            "0000000000000007-000000000000000c-000000000000000d",
                            bytes_of("junk"), 0600, &err),
              RC_OK);
    assert_log(0, 0, " 7:l10 7:l11 7:(12+2 not here 8) 7:l14");
}

/* ---- since when -------------------------------------------------------------------------------
 */

/* What is printed says which bytes they were, and none of them is for a terminal. */
static void text_is_printable(void **state)
{
    static const struct {
        struct bytes text;
        const char *want;
    } rows[] = {
        { { (const uint8_t *)"", 0 }, "" },
        { { (const uint8_t *)"plain\ttext ~", 12 }, "plain\ttext ~" },
        { { (const uint8_t *)"\033[2J\x7f\xff\0", 7 }, "\\x1b[2J\\x7f\\xff\\x00" },
        { { (const uint8_t *)"C:\\new \\", 8 }, "C:\\new \\" },
        { { (const uint8_t *)"\\x41", 4 }, "\\x5cx41" },
        { { (const uint8_t *)"\\\\x41", 5 }, "\\\\x5cx41" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *got = logs_printable(rows[i].text);

        assert_non_null(got);
        assert_string_equal(got, rows[i].want);
        free(got);
    }
}

static void times_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t at_ms; /* 0 = refused */
    } rows[] = {
        { "2h", 10000000000 - 7200000 },
        { "90s", 10000000000 - 90000 },
        { "1970-01-02", 86400000 },
        { "1970-01-01T00:01:00Z", 60000 },
        { "1970-01-01 00:01:00Z", 60000 },
        { "pass-2", 0 }, /* not without a store */
        { "", 0 },
        { "yesterday", 0 },
        { "1970-01-01T00:01:00", 0 },
        { "-2h", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t at = 0;

        assert_rc(since_parse(NULL, NULL, rows[i].text, 10000000000, NULL, &at, &err),
                  rows[i].at_ms != 0 ? RC_OK : RC_USAGE);
        assert_int_equal(at, rows[i].at_ms);
    }
}

static void options_that_are_times_are_read(void **state)
{
    static const struct {
        const char *text;
        int sign;
        int64_t at_ms; /* -1: refused */
    } rows[] = {
        { "2h", 1, 10000000000 + 7200000 },
        { "2h", -1, 10000000000 - 7200000 },
        { "31d", 1, 10000000000 + SINCE_FAR_MS },
        { "1970-01-01T00:01:00Z", 1, 60000 },
        { "2099-01-01T00:01:00Z", -1, 4070908860000 },
        { "32d", 1, -1 },
        { "1970-01-01", 1, -1 },
        { "", 1, -1 },
        { "-2h", 1, -1 },
        { "pass-2", 1, -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t at = -1;

        assert_rc(since_option("from", rows[i].text, 10000000000, rows[i].sign, &at, &err),
                  rows[i].at_ms >= 0 ? RC_OK : RC_USAGE);
        assert_int_equal(at, rows[i].at_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_has_come, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_are_told_once, setup, teardown),
        cmocka_unit_test_setup_teardown(gaps_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_end, setup, teardown),
        cmocka_unit_test_setup_teardown(many_overlap, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_chunks_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_chunk_is_a_gap, setup, teardown),
        cmocka_unit_test(text_is_printable),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(options_that_are_times_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
