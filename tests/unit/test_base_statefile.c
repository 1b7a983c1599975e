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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_go_round),
        cmocka_unit_test(scrub_mends),
        cmocka_unit_test(one_copy_is_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
