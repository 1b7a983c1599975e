/* SPDX-License-Identifier: Apache-2.0
 *
 * base/statefile: what a scrub finds in two copies, and what it makes of it.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/statefile.h"
#include "base/sum.h"
#include "tests/unit/fault_rig.h"
#include "tests/unit/update_fixture.h"

/* What is done to a copy before the scrub. */
enum harm { LEAVE, FLIP, CUT, LOSE };

static void harm(int dir, const char *file, enum harm how)
{
    uint8_t buf[256];
    size_t n = 0;
    struct err err;

    if (how == LEAVE)
        return;
    assert_rc(fs_read_file(dir, file, buf, sizeof buf, &n, &err), RC_OK);
    if (how == LOSE) {
        assert_rc(fs_unlink(dir, file, &err), RC_OK);
        return;
    }
    buf[n / 2] ^= 0x04;
    assert_rc(fs_write_file(dir, file, (struct bytes){ buf, how == CUT ? n / 2 : n }, 0600, &err),
              RC_OK);
}

static const struct {
    const char *why;
    enum harm a, b;
    bool memory; /* the caller vouches for the content */
    enum statefile_found found;
    uint32_t damaged, repaired;
} rows[] = {
    { "both whole", LEAVE, LEAVE, false, STATEFILE_WHOLE, 0, 0 },
    { "both whole, and in memory", LEAVE, LEAVE, true, STATEFILE_WHOLE, 0, 0 },
    { "a flipped", FLIP, LEAVE, false, STATEFILE_MENDED, 1, 1 },
    { "b flipped", LEAVE, FLIP, false, STATEFILE_MENDED, 1, 1 },
    { "b cut short", LEAVE, CUT, false, STATEFILE_MENDED, 1, 1 },
    { "b gone", LEAVE, LOSE, false, STATEFILE_MENDED, 1, 1 },
    { "a gone", LOSE, LEAVE, true, STATEFILE_MENDED, 1, 1 },
    { "a flipped, and in memory", FLIP, LEAVE, true, STATEFILE_MENDED, 1, 1 },
    { "both flipped", FLIP, FLIP, false, STATEFILE_LOST, 2, 0 },
    { "one flipped, one gone", FLIP, LOSE, false, STATEFILE_LOST, 1, 0 },
    { "both flipped, and in memory", FLIP, CUT, true, STATEFILE_MENDED, 2, 2 },
    { "both gone, and in memory", LOSE, LOSE, true, STATEFILE_MENDED, 2, 2 },
    { "both gone", LOSE, LOSE, false, STATEFILE_ABSENT, 0, 0 },
};

static void scrub_mends(void **state)
{
    const struct bytes content = bytes_of("the content of a state file");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct scratch dir = scratch_new();
        struct scrubbed count = { 0 };
        struct statefile_info info = { 0 };
        enum statefile_found found = STATEFILE_LOST;
        uint8_t buf[64];
        size_t n = 0;
        struct err err;

        print_message("%s\n", rows[i].why);
        assert_rc(statefile_save_both(dir.fd, "it", content, &err), RC_OK);
        harm(dir.fd, "it.a", rows[i].a);
        harm(dir.fd, "it.b", rows[i].b);
        assert_rc(
            statefile_scrub(dir.fd, "it", rows[i].memory ? &content : NULL, &found, &count, &err),
            RC_OK);
        assert_int_equal(found, rows[i].found);
        assert_int_equal(count.damaged, rows[i].damaged);
        assert_int_equal(count.repaired, rows[i].repaired);
        assert_true(count.damaged <= count.files);

        enum rc rc = statefile_load(dir.fd, "it", buf, sizeof buf, &n, &info, &err);
        if (rows[i].found == STATEFILE_LOST) {
            assert_rc(rc, RC_STATE_DAMAGED); /* never an empty state */
        } else if (rows[i].found != STATEFILE_ABSENT) {
            assert_rc(rc, RC_OK);
            assert_true(info.twice);
            assert_true(bytes_equal((struct bytes){ buf, n }, content));
        }
        scratch_done(&dir);
    }
}

/* The first save makes one copy, and that is whole. */
static void one_copy_is_no_damage(void **state)
{
    struct scratch dir = scratch_new();
    struct scrubbed count = { 0 };
    enum statefile_found found = STATEFILE_LOST;
    struct err err;

    (void)state;
    assert_rc(statefile_save(dir.fd, "it", bytes_of("x"), &err), RC_OK);
    const struct bytes content = bytes_of("x");
    assert_rc(statefile_scrub(dir.fd, "it", &content, &found, &count, &err), RC_OK);
    assert_int_equal(found, STATEFILE_WHOLE);
    assert_int_equal(count.files, 1);
    assert_int_equal(count.damaged, 0);
    scratch_done(&dir);
}

/* A whole copy under a number of choice, as only somebody with the disk in his hands can write. */
static void put_copy(int dir, const char *file, uint64_t sequence, const char *text)
{
    uint8_t buf[64] = "BERTHST1";
    const size_t n = strlen(text), head = 20;
    struct err err;

    bytes_put_be(buf + 8, 8, sequence);
    bytes_put_be(buf + 16, 4, n);
    memcpy(buf + head, text, n);
    sum_of((struct bytes){ buf, head + n }, buf + head + n);
    assert_rc(fs_write_file(dir, file, (struct bytes){ buf, head + n + SUM_SIZE }, 0600, &err),
              RC_OK);
}

/* There is no number that nothing newer can be written behind. */
static void numbers_go_round(void **state)
{
    static const uint64_t highest[] = { UINT64_MAX,
                                        UINT64_MAX - 1,
                                        UINT64_C(1) << 63,
                                        (UINT64_C(1) << 63) - 1,
                                        (UINT64_C(1) << 63) + 1,
                                        0 };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof highest / sizeof highest[0]; i++) {
        struct scratch dir = scratch_new();
        uint64_t first = highest[i / 2];
        uint8_t buf[64];
        size_t n = 0;
        struct err err;

        put_copy(dir.fd, i % 2 ? "it.a" : "it.b", first, "0");
        put_copy(dir.fd, i % 2 ? "it.b" : "it.a", first - 1, "older");
        for (char text[2] = "1"; text[0] <= '5'; text[0]++) {
            assert_rc(statefile_load(dir.fd, "it", buf, sizeof buf, &n, NULL, &err), RC_OK);
            assert_true(n == 1 && buf[0] == text[0] - 1);
            assert_rc(statefile_save(dir.fd, "it", bytes_of(text), &err), RC_OK);
        }
        scratch_done(&dir);
    }
}

#define WHOLE_N (20U + 1U + SUM_SIZE)

/* A whole copy whose magic is another one from some place on; then the sum is made right, or not.
 */
static struct bytes copy_with_magic(uint8_t file[WHOLE_N], size_t at, uint8_t flip, bool right)
{
    static const uint8_t rest[] = { 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'x' };

    memcpy(file, "BERTHST1", 8);
    memcpy(file + 8, rest, sizeof rest);
    if (!right)
        sum_of((struct bytes){ file, WHOLE_N - SUM_SIZE }, file + WHOLE_N - SUM_SIZE);
    for (size_t i = at; i < 8; i++)
        file[i] ^= flip;
    if (right)
        sum_of((struct bytes){ file, WHOLE_N - SUM_SIZE }, file + WHOLE_N - SUM_SIZE);
    return (struct bytes){ file, WHOLE_N };
}

/* Somebody's bytes are no damage: flipped bits, a cut, zeros and ones are. */
static void foreign_bytes_are_told_from_damage(void **state)
{
    static const uint8_t zeros[64];
    static const char foreign[] = "another format";
    uint8_t ones[64], partly[64], file[5][WHOLE_N];
    const struct bytes a = bytes_of(foreign);
    const struct {
        struct bytes b; /* the other copy; NULL: it stays */
        bool foreign;
    } cases[] = {
        { { NULL, 0 }, false },
        { bytes_of("short"), true },
        { { zeros, 64 }, false },
        { { zeros, 0 }, false },
        { bytes_of("BERTHST1"), false },
        { bytes_of("BERTH"), false },
        { { ones, 64 }, false },
        { { ones, 3 }, false },
        { { partly, 64 }, false },
        { bytes_of("x"), false },
        { copy_with_magic(file[0], 7, 1, false), false }, /* a flipped bit, ... */
        { copy_with_magic(file[1], 4, 1, false), false }, /* ... or four */
        { copy_with_magic(file[2], 7, 3, true), true },   /* BERTHST2, and written so */
        { copy_with_magic(file[3], 8, 0, true), false },
        { copy_with_magic(file[4], 3, 1, false), true },
    };

    (void)state;
    memset(ones, 0xFF, sizeof ones);
    memset(partly, 0xFF, sizeof partly); /* one sector of a file was erased */
    memset(partly + 32, 'x', 32);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scratch dir = scratch_new();
        struct err err;

        assert_false(statefile_foreign(dir.fd, "it"));
        assert_rc(statefile_save_both(dir.fd, "it", bytes_of("x"), &err), RC_OK);
        assert_false(statefile_foreign(dir.fd, "it"));
        assert_rc(fs_write_file(dir.fd, "it.a", a, 0600, &err), RC_OK);
        if (cases[i].b.p)
            assert_rc(fs_write_file(dir.fd, "it.b", cases[i].b, 0600, &err), RC_OK);
        assert_int_equal(statefile_foreign(dir.fd, "it"), cases[i].foreign);
        scratch_done(&dir);
    }
}

static void expect_file(int dir, const char *name, struct bytes want)
{
    scoped(free_ptr) uint8_t *file = NULL;
    struct err err;
    size_t n = 0;

    assert_rc(fs_read_alloc(dir, name, 4096, &file, &n, &err), RC_OK);
    assert_int_equal(n, want.n);
    assert_memory_equal(file, want.p, n);
}

/* As it is, and it stays where it was; what is not there takes nothing away. */
static void bytes_are_copied_as_they_are(void **state)
{
    struct scratch dir = scratch_new();
    struct err err;

    (void)state;
    assert_rc(fs_write_file(dir.fd, "it.a", bytes_of("one"), 0600, &err), RC_OK);
    assert_rc(fs_write_file(dir.fd, "it.b", bytes_of("another"), 0600, &err), RC_OK);
    for (unsigned i = 0; i < 2; i++) {
        assert_rc(statefile_copy_bytes(dir.fd, "it", "left", &err), RC_OK);
        expect_file(dir.fd, "left.a", bytes_of("one"));
        expect_file(dir.fd, "left.b", bytes_of("another"));
        expect_file(dir.fd, "it.a", bytes_of("one"));
        assert_int_equal(unlinkat(dir.fd, "it.b", 0), i == 0 ? 0 : -1);
    }
    scratch_done(&dir);
}

/* ---- a name that nothing can be written over ----------------------------------------------------
 */

enum deed { SAVE, SAVE_BOTH, RENEW };

static const struct stuck_row {
    const char *why;
    const char *stuck;
    enum deed deed;
    int sys;    /* of a rename over it; 0 = it is a directory */
    bool other; /* the other one is damaged, too, and can be replaced */
} stuck_rows[] = {
    { "the newest, saved", "it.b", SAVE, EUCLEAN, false },
    { "the older, saved", "it.a", SAVE, EIO, false },
    { "the newest, saved in both", "it.b", SAVE_BOTH, EIO, false },
    { "the older, saved in both", "it.a", SAVE_BOTH, EUCLEAN, false },
    { "the newest, renewed", "it.b", RENEW, EUCLEAN, true },
    { "the older, renewed", "it.a", RENEW, EUCLEAN, true },
    { "a directory, saved", "it.a", SAVE, 0, false },
    { "a directory, saved in both", "it.b", SAVE_BOTH, 0, false },
};

struct stuck {
    const struct stuck_row *row;
    int dir;
};

static enum rc do_deed(int dir, enum deed deed, const char *text)
{
    struct err err;

    switch (deed) {
    case SAVE:
        return statefile_save(dir, "it", bytes_of(text), &err);
    case SAVE_BOTH:
        return statefile_save_both(dir, "it", bytes_of(text), &err);
    case RENEW:
        break;
    }
    return statefile_renew(dir, "it", bytes_of(text), &err);
}

static bool says(int dir, const char *text)
{
    uint8_t buf[64];
    size_t n = 0;
    struct err err;

    return statefile_load(dir, "it", buf, sizeof buf, &n, NULL, &err) == RC_OK &&
           n == strlen(text) && memcmp(buf, text, n) == 0;
}

/* In a child whose renames over the stuck copy fail: every save goes through, a scrub says that it
 * has not mended it. */
static int save_beside(void *arg)
{
    const struct stuck *s = arg;
    const struct bytes content = bytes_of("5");
    struct scrubbed count = { 0 };
    enum statefile_found found;
    struct err err;
    int step = 0;

    fault_arm();
    for (char text[2] = "3"; text[0] <= '5'; text[0]++, step++)
        if (do_deed(s->dir, s->row->deed, text) != RC_OK || !says(s->dir, text))
            return 1 + step;
    if (statefile_scrub(s->dir, "it", &content, &found, &count, &err) != RC_IO ||
        count.repaired != 0 || !says(s->dir, "5"))
        return 10;
    fault_disarm();
    return 0;
}

static void spoil(const struct stuck *s)
{
    if (s->row->other)
        harm(s->dir, s->row->stuck[3] == 'a' ? "it.b" : "it.a", CUT);
    if (s->row->sys != 0) {
        harm(s->dir, s->row->stuck, FLIP);
        return;
    }
    assert_int_equal(unlinkat(s->dir, s->row->stuck, 0), 0);
    assert_int_equal(mkdirat(s->dir, s->row->stuck, 0700), 0);
}

/* A bad inode is met at every look at the name.  What it holds may be had again some day: it is
 * never newer than what was saved meanwhile. */
static void a_copy_that_cannot_be_replaced(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof stuck_rows / sizeof stuck_rows[0]; i++) {
        const struct stuck_row *row = &stuck_rows[i];
        const struct fault fault = {
            .kind = FAULT_FAIL, .sys = row->sys, .lasting = true, .name = row->stuck, .n = 1
        };
        const struct fault none = { .kind = FAULT_NONE };
        struct scratch dir = scratch_new();
        struct stuck s = { row, dir.fd };
        uint8_t was[256];
        size_t n = 0;
        struct err err;

        print_message("%s\n", row->why);
        put_copy(dir.fd, "it.a", 499, "1");
        put_copy(dir.fd, "it.b", 500, "2");
        assert_rc(fs_read_file(dir.fd, row->stuck, was, sizeof was, &n, &err), RC_OK);
        spoil(&s);
        const struct fault_seen seen = fault_run(save_beside, &s, row->sys ? &fault : &none, NULL);
        assert_int_equal(seen.exit_code, 0);
        assert_true(row->sys == 0 || seen.fired > 0);

        if (row->sys == 0)
            assert_int_equal(unlinkat(dir.fd, row->stuck, AT_REMOVEDIR), 0);
        assert_rc(fs_write_file(dir.fd, row->stuck, (struct bytes){ was, n }, 0600, &err), RC_OK);
        assert_true(says(dir.fd, "5"));
        assert_rc(do_deed(dir.fd, row->deed, "6"), RC_OK);
        assert_true(says(dir.fd, "6"));
        scratch_done(&dir);
    }
}

/* One that is whole, or not there yet, is tried again: another try may do it, and to leave it as it
 * is could bring something older back. */
static int save_once(void *arg)
{
    const struct stuck *s = arg;

    fault_arm();
    enum rc rc = do_deed(s->dir, SAVE_BOTH, "3");
    fault_disarm();
    return rc == RC_IO ? 0 : 1;
}

static void a_whole_copy_is_not_passed_over(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct fault fault = {
            .kind = FAULT_FAIL, .sys = EIO, .lasting = true, .name = "it.a", .n = 1
        };
        struct scratch dir = scratch_new();
        struct stuck s = { NULL, dir.fd };

        if (i == 0) {
            put_copy(dir.fd, "it.a", 499, "1");
            put_copy(dir.fd, "it.b", 500, "2");
        }
        assert_int_equal(fault_run(save_once, &s, &fault, NULL).exit_code, 0);
        assert_rc(do_deed(dir.fd, SAVE_BOTH, "3"), RC_OK);
        assert_true(says(dir.fd, "3"));
        scratch_done(&dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_go_round),
        cmocka_unit_test(scrub_mends),
        cmocka_unit_test(one_copy_is_no_damage),
        cmocka_unit_test(foreign_bytes_are_told_from_damage),
        cmocka_unit_test(bytes_are_copied_as_they_are),
        cmocka_unit_test(a_copy_that_cannot_be_replaced),
        cmocka_unit_test(a_whole_copy_is_not_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
