/* SPDX-License-Identifier: Apache-2.0
 *
 * What is remembered of what was signed here: one form, durable, and never forgotten by accident.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/signed.h"

static const struct mission mission = { "berth-test-fleet" }, other = { "other-test-fleet" };
static struct digest server, second;
static char dir[] = "/tmp/test-signed-XXXXXX";
static struct err err;

static struct order order_of(const char *satellite, uint64_t generation, int byte)
{
    struct order o = { .generation = generation,
                       .issued_ms = 1800000000000,
                       .n_lines = 2,
                       .line = { { .tenant = "acme", .name = "cam" },
                                 { .tenant = "acme", .name = "db" } } };

    (void)snprintf(o.satellite, sizeof o.satellite, "%s", satellite);
    memset(&o.line[0].manifest, byte, DIGEST_SIZE);
    memset(&o.line[1].manifest, 0x77, DIGEST_SIZE);
    return o;
}

static int begin(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(setenv("XDG_CONFIG_HOME", dir, 1), 0);
    assert_rc(signed_server("https://a", &server, &err), RC_OK);
    assert_rc(signed_server("https://b", &second, &err), RC_OK);
    return 0;
}

static int end(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    assert_rc(fs_remove_tree(tmp, dir + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

/* An order that is looked at now. */
static struct signed_next seen(int dirfd, const struct order *o)
{
    struct signed_before *before = calloc(1, sizeof *before);
    struct signed_next next = { .order = o };

    assert_non_null(before);
    if (signed_load(dirfd, &mission, o->satellite, before, &err) == RC_OK) {
        next.generation = before->generation;
        next.content = before->content;
    }
    free(before);
    return next;
}

static enum rc note(int dirfd, const struct order *o, const struct digest *by)
{
    const struct signed_next one = seen(dirfd, o);

    return signed_note(dirfd, &mission, &one, 1, by, false, &err);
}

static void what_is_noted_is_remembered(void **state)
{
    struct signed_before *before = malloc(sizeof *before);
    struct order o = order_of("aurora-1", 3, 1), p = order_of("aurora-2", 9, 2);
    scoped(close_fd) int fd = -1;
    struct stat st;

    (void)state;
    assert_non_null(before);
    assert_rc(signed_open(&mission, &fd, &err), RC_OK);
    assert_rc(signed_load(fd, &mission, "aurora-1", before, &err), RC_OK);
    assert_int_equal(before->generation, 0);
    const struct signed_next both[] = { seen(fd, &o), seen(fd, &p) };
    assert_rc(signed_note(fd, &mission, both, 2, &server, false, &err), RC_OK);
    assert_int_equal(fstatat(fd, "aurora-1.a", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777U, 0600);
    assert_int_equal(fstatat(fd, "aurora-1.b", &st, 0), 0);
    assert_rc(signed_load(fd, &mission, "aurora-2", before, &err), RC_OK);
    assert_int_equal(before->generation, 9);
    assert_int_equal(before->n_newest, 2);
    /* the same once more, for the same server only */
    o.issued_ms++;
    assert_rc(note(fd, &o, &server), RC_OK);
    assert_rc(note(fd, &o, &second), RC_LOOK_GENERATION);
    o.line[0].manifest.b[0] = 5;
    assert_rc(note(fd, &o, &server), RC_LOOK_GENERATION);
    o.generation = 2;
    assert_rc(note(fd, &o, &server), RC_LOOK_GENERATION);
    o.generation = 4;
    assert_rc(note(fd, &o, &second), RC_OK);
    assert_rc(signed_load(fd, &mission, "aurora-1", before, &err), RC_OK);
    assert_int_equal(before->generation, 4);
    assert_int_equal(before->n_lines, 3);
    assert_int_equal(before->n_newest, 2);
    free(before);
}

/* All of a plan or nothing of it. */
static void one_that_is_refused_keeps_all_out(void **state)
{
    struct signed_before *before = malloc(sizeof *before);
    struct order o = order_of("aurora-1", 30, 1), p = order_of("aurora-2", 1, 2);
    scoped(close_fd) int fd = -1;

    (void)state;
    assert_non_null(before);
    assert_rc(signed_open(&mission, &fd, &err), RC_OK);
    const struct signed_next both[] = { seen(fd, &o), seen(fd, &p) };
    assert_rc(signed_note(fd, &mission, both, 2, &server, false, &err), RC_LOOK_GENERATION);
    assert_rc(signed_load(fd, &mission, "aurora-1", before, &err), RC_OK);
    assert_true(before->generation < 30);
    free(before);
}

/* Somebody thinks about an answer, and a second run signs meanwhile: what the first has found, such
 * as what an undo leaves as it is, is no longer so. */
static void what_was_signed_meanwhile_is_looked_at_again(void **state)
{
    struct signed_before *before = malloc(sizeof *before);
    struct order first = order_of("aurora-7", 2, 1), second_run = order_of("aurora-7", 1, 2);
    scoped(close_fd) int fd = -1;

    (void)state;
    assert_non_null(before);
    assert_rc(signed_open(&mission, &fd, &err), RC_OK);
    struct signed_next next = seen(fd, &first);

    assert_rc(note(fd, &second_run, &server), RC_OK);
    assert_rc(signed_note(fd, &mission, &next, 1, &server, false, &err), RC_BUSY);
    assert_rc(signed_load(fd, &mission, "aurora-7", before, &err), RC_OK);
    assert_int_equal(before->generation, 1);
    next = seen(fd, &first);
    assert_rc(signed_note(fd, &mission, &next, 1, &server, false, &err), RC_OK);
    /* the same generation, of another content */
    next = seen(fd, &first);
    next.content.b[0] ^= 1;
    assert_rc(signed_note(fd, &mission, &next, 1, &server, true, &err), RC_BUSY);
    free(before);
}

static void missions_are_apart(void **state)
{
    struct signed_before *before = malloc(sizeof *before);
    scoped(close_fd) int fd = -1;

    (void)state;
    assert_non_null(before);
    assert_rc(signed_open(&other, &fd, &err), RC_OK);
    assert_rc(signed_load(fd, &other, "aurora-2", before, &err), RC_OK);
    assert_int_equal(before->generation, 0);
    free(before);
}

static void spoil(int fd, const char *name)
{
    scoped(close_fd) int f = openat(fd, name, O_WRONLY);

    assert_true(f >= 0);
    assert_int_equal(pwrite(f, "xxxx", 4, 60), 4);
}

/* Damage, another's file, open doors: an error, never "nothing was signed". */
static void what_is_damaged_is_no_beginning(void **state)
{
    struct signed_before *before = calloc(1, sizeof *before);
    struct order o = order_of("aurora-4", 7, 1);
    scoped(close_fd) int fd = -1;
    scoped(close_fd) int reopened = -1;

    (void)state;
    assert_non_null(before);
    assert_rc(signed_open(&mission, &fd, &err), RC_OK);
    assert_rc(note(fd, &o, &server), RC_OK);
    spoil(fd, "aurora-4.a"); /* one copy is enough, and is not an older one */
    assert_rc(signed_load(fd, &mission, "aurora-4", before, &err), RC_OK);
    assert_int_equal(before->generation, 7);
    spoil(fd, "aurora-4.b");
    before->generation = 99;
    assert_rc(signed_load(fd, &mission, "aurora-4", before, &err), RC_STATE_DAMAGED);
    assert_int_equal(before->generation, 99);
    o.generation = 8;
    assert_rc(note(fd, &o, &server), RC_STATE_DAMAGED);
    assert_int_equal(renameat(fd, "aurora-2.a", fd, "aurora-5.a"), 0); /* another satellite's */
    assert_rc(signed_load(fd, &mission, "aurora-5", before, &err), RC_SIGNED);
    assert_rc(signed_load(fd, &mission, "../aurora-1", before, &err), RC_NAME);
    assert_int_equal(fchmod(fd, 0750), 0);
    assert_rc(signed_open(&mission, &reopened, &err), RC_SIGNED);
    assert_int_equal(fchmod(fd, 0700), 0);
    free(before);
}

static void files_have_one_form(void **state)
{
    struct signed_before *before = calloc(1, sizeof *before), *got = calloc(1, sizeof *got);
    uint8_t *buf = malloc(SIGNED_FILE_MAX), *again = malloc(SIGNED_FILE_MAX);
    struct order o = order_of("aurora-1", 3, 1);
    struct bytes file = { 0 }, second_file = { 0 };

    (void)state;
    assert_true(before && got && buf && again);
    for (int i = 1; i < 300; i++) { /* more than there is room for: the oldest goes */
        o = order_of("aurora-1", (uint64_t)i, i % 251 + 1);
        o.line[0].manifest.b[1] = (uint8_t)(i / 251);
        assert_rc(signed_add(before, &o, &server, &err), RC_OK);
    }
    assert_int_equal(before->n_lines, SIGNED_LINES_MAX);
    assert_true(signed_names(before, "acme", "cam", &o.line[0].manifest, true));
    assert_rc(signed_encode(before, &mission, buf, SIGNED_FILE_MAX, &file, &err), RC_OK);
    assert_rc(signed_decode(file, &mission, got, &err), RC_OK);
    assert_rc(signed_encode(got, &mission, again, SIGNED_FILE_MAX, &second_file, &err), RC_OK);
    assert_true(bytes_equal(file, second_file));
    assert_rc(signed_decode(file, &other, got, &err), RC_MISSION);
    got->generation = 77;
    for (size_t n = 0; n < file.n; n += n < 400 ? 1 : 97) {
        assert_int_not_equal(signed_decode((struct bytes){ buf, n }, &mission, got, &err), RC_OK);
        assert_int_equal(got->generation, 77);
    }
    free(before);
    free(got);
    free(buf);
    free(again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_noted_is_remembered),
        cmocka_unit_test(one_that_is_refused_keeps_all_out),
        cmocka_unit_test(what_was_signed_meanwhile_is_looked_at_again),
        cmocka_unit_test(missions_are_apart),
        cmocka_unit_test(what_is_damaged_is_no_beginning),
        cmocka_unit_test(files_have_one_form),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
