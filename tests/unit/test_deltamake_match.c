/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "deltamake/match.h"

static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % sides;
}

/* The longest match, by looking everywhere. */
static size_t longest(struct bytes text, struct bytes pattern)
{
    size_t best = 0;

    for (size_t i = 0; i < text.n; i++) {
        size_t n = suffix_common((struct bytes){ text.p + i, text.n - i }, pattern);

        if (n > best)
            best = n;
    }
    return best;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Of all places where the hit's bytes are, none is nearer; only where there are few. */
static void check_nearest(struct bytes text, struct suffix_hit hit, uint64_t near)
{
    uint64_t best = UINT64_MAX;
    unsigned places = 0;

    for (size_t i = 0; hit.n >= 2 && i + hit.n <= text.n; i++)
        if (memcmp(text.p + i, text.p + hit.at, hit.n) == 0) {
            places++;
            best = apart(i, near) < best ? apart(i, near) : best;
        }
    if (places > 0 && places <= 32)
        assert_int_equal(apart(hit.at, near), best);
}

static void test_suffix_find(void **state)
{
    static uint8_t text[3000];
    static uint8_t pattern[64];
    struct err err;

    (void)state;
    for (unsigned letters = 1; letters <= 256; letters *= 4)
        for (size_t n = 0; n < sizeof text; n = n * 3 + 1) {
            struct suffix s = { .order = NULL };

            for (size_t i = 0; i < n; i++)
                text[i] = (uint8_t)dice(letters);
            assert_rc(suffix_init((struct bytes){ text, n }, &s, &err), RC_OK);
            for (unsigned k = 0; k < 100; k++) {
                size_t m = 1 + dice(sizeof pattern);
                struct bytes p = { pattern, m };

                for (size_t i = 0; i < m; i++)
                    pattern[i] = (uint8_t)dice(letters);

                uint64_t near = dice(sizeof text);
                struct suffix_hit hit = suffix_find(&s, p, near);
                size_t want = longest((struct bytes){ text, n }, p);

                assert_int_equal(hit.n, want < 2 ? 0 : want);
                assert_memory_equal(text + hit.at, pattern, hit.n);
                check_nearest((struct bytes){ text, n }, hit, near);
            }
            suffix_done(&s);
        }
}

static void test_common(void **state)
{
    uint8_t a[40] = { 0 };
    uint8_t b[40] = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] = 1;
        assert_int_equal(suffix_common((struct bytes){ a, sizeof a }, (struct bytes){ b, 40 }), i);
        assert_int_equal(suffix_common((struct bytes){ a, i }, (struct bytes){ b, 40 }), i);
        b[i] = 0;
    }
}

/* Matches of files[1] among copies of parts of files[0] and files[2]: in order, disjoint, each
 * within one old file. */
static void test_matches_stay_in_files(void **state)
{
    static uint8_t bytes[3][20000];
    struct bytes old[] = { { bytes[0], 20000 }, { bytes[1], 777 }, { bytes[2], 5000 } };
    struct text text;
    struct suffix suffix;
    struct err err;

    (void)state;
    for (unsigned f = 0; f < 3; f++)
        for (size_t i = 0; i < sizeof bytes[f]; i++)
            bytes[f][i] = (uint8_t)dice(f == 1 ? 2 : 256);
    assert_rc(text_init(old, 3, false, 1 << 20, &text, &err), RC_OK);
    assert_rc(suffix_init((struct bytes){ text.bytes, text.n }, &suffix, &err), RC_OK);
    for (unsigned round = 0; round < 50; round++) {
        static uint8_t new[30000];
        size_t n = 0;
        size_t at = 0;

        while (n < 25000) {
            size_t len = 1 + dice(4000);
            const struct bytes *from = &old[dice(3)];
            size_t start = dice((uint32_t)from->n);

            len = len < from->n - start ? len : from->n - start;
            memcpy(new + n, from->p + start, len);
            n += len;
        }

        struct match_source source = { .old = &text, .suffix = &suffix, .home = &text.runs[0] };
        struct match_list list = { .m = NULL };
        size_t covered = 0;

        assert_rc(match_find(&source, (struct bytes){ new, n }, false, &list, &err), RC_OK);
        for (uint32_t i = 0; i < list.n; i++) {
            const struct predict_match *m = &list.m[i];
            uint64_t end = m->from < 20000 ? 20000 : m->from < 20777 ? 20777 : 25777;

            assert_true(m->at >= at && m->size > 0 && m->at + m->size <= n);
            assert_true(m->from + m->size <= end);
            assert_int_equal(m->shift, 0);
            at = m->at + m->size;
            covered += m->size;
        }
        assert_in_range(covered, n - n / 10, n);
        match_list_done(&list);
    }
    suffix_done(&suffix);
    text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_common),
        cmocka_unit_test(test_suffix_find),
        cmocka_unit_test(test_matches_stay_in_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
