/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "delta/runs.h"

static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % sides;
}

/* Sparse and dense bytes come back, whatever pieces they are read in. */
static void test_round_trip(void **state)
{
    static uint8_t plain[5000];
    static uint8_t back[5001];

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        size_t n = dice(sizeof plain + 1);
        unsigned one_in = 1 + dice(200);
        scoped(free_ptr) uint8_t *records = malloc(runs_bound(n));
        struct runs r = { 0 };
        size_t at = 0;
        size_t given = 0;
        struct err err;

        assert_non_null(records);
        for (size_t i = 0; i < n; i++)
            plain[i] = dice(one_in) ? 0 : (uint8_t)dice(256);

        size_t size = runs_write((struct bytes){ plain, n }, records);

        assert_true(size <= runs_bound(n));
        while (given < n) {
            size_t some = 1 + dice(100);
            size_t room = 1 + dice(300);
            size_t got = 0;

            if (some > size - at)
                some = size - at;

            struct bytes in = { records + at, some };

            assert_rc(
                runs_read(&r, &in, back + given, room < n - given ? room : n - given, &got, &err),
                RC_OK);
            at += some - in.n;
            given += got;
            assert_true(got > 0 || some > in.n);
        }
        assert_int_equal(at, size);
        assert_true(runs_idle(&r));
        assert_memory_equal(plain, back, n);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *why;
        uint8_t in[16];
        size_t n;
        enum rc want;
        bool idle;
    } rows[] = {
        { "nothing", { 0 }, 0, RC_OK, true },
        { "bytes only", { 0, 2, 7, 7 }, 4, RC_OK, true },
        { "zeros only", { 5, 0 }, 2, RC_OK, true },
        { "no zeros behind bytes", { 0, 1, 7, 0, 1, 7 }, 6, RC_DELTA_STREAM, false },
        { "empty record", { 0, 0 }, 2, RC_DELTA_STREAM, false },
        { "behind the last record", { 5, 0, 1 }, 3, RC_DELTA_STREAM, false },
        { "long number", { 0x85, 0x00, 0 }, 3, RC_DELTA_STREAM, false },
        { "number above 2^64",
          { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0 },
          11,
          RC_DELTA_STREAM,
          false },
        { "ends within a number", { 0x85 }, 1, RC_OK, false },
        { "ends within the bytes", { 1, 2, 7 }, 3, RC_OK, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct runs r = { 0 };
        struct bytes in = { rows[i].in, rows[i].n };
        uint8_t out[64];
        size_t n = 99;
        struct err err;
        enum rc rc = runs_read(&r, &in, out, sizeof out, &n, &err);

        if (rc != rows[i].want || (rc == RC_OK && runs_idle(&r) != rows[i].idle))
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(n, 99);
    }
}

/* A huge run of zeros is given in pieces, and never more than there is room for. */
static void test_bomb(void **state)
{
    static const uint8_t in_bytes[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0 };
    struct bytes in = { in_bytes, sizeof in_bytes };
    struct runs r = { 0 };
    uint8_t out[100];
    struct err err;

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        size_t n = 0;

        assert_rc(runs_read(&r, &in, out, sizeof out, &n, &err), RC_OK);
        assert_int_equal(n, i > 0 ? sizeof out : n);
        assert_false(runs_idle(&r));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bomb),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
