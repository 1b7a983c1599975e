/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/rounds: when what is read, with time and sizes made up.
 */
#include "tests/unit/test.h"

#include "agent/rounds.h"

#define HOUR_MS 3600000U

static const uint64_t sizes[] = { 100, 0, 50U << 20, 3000, 1U << 30, 200U << 20, 77 };
#define ITEMS (sizeof sizes / sizeof sizes[0])

static uint64_t sum(void)
{
    uint64_t all = 0;

    for (size_t i = 0; i < ITEMS; i++)
        all += sizes[i];
    return all;
}

/* Each second asked, every item comes once, no sooner than the bytes before it allow, and the round
 * ends within its time. */
static void a_round_is_spread(void **state)
{
    struct rounds r;
    uint64_t now = 5000, done = 0, last = 0;

    (void)state;
    rounds_init(&r, 24U * 3600U);
    assert_true(rounds_may_begin(&r, now));
    rounds_begin(&r, now, ITEMS, sum());
    assert_false(rounds_may_begin(&r, now));
    const uint64_t began = now;
    while (r.active) {
        assert_true(now - began <= 24ULL * HOUR_MS);
        if (rounds_due(&r, now)) {
            uint64_t earliest = (uint64_t)(24.0 * HOUR_MS * (double)done / (double)sum());

            assert_true(now - began + 60000 >= earliest);
            done += sizes[r.next];
            last = now;
            (void)rounds_read(&r, now, sizes[r.next]);
        }
        now += 1000;
    }
    assert_int_equal(done, sum());
    assert_int_equal(r.ended, 1);
    assert_true(last - began > 12ULL * HOUR_MS); /* it was not read in one go */
    assert_int_equal(rounds_age_s(&r, r.ended_ms + 61500), 61);
    assert_false(rounds_may_begin(&r, began + 24ULL * HOUR_MS - 1));
    assert_true(rounds_may_begin(&r, began + 24ULL * HOUR_MS));
}

/* Held up for half of its time, it catches up without a pause. */
static void a_late_round_catches_up(void **state)
{
    struct rounds r;
    uint64_t now = 1;

    (void)state;
    rounds_init(&r, 10);
    rounds_begin(&r, now, 10, 10U * 1024U * 1024U);
    now += 5000;
    for (int i = 0; i < 5; i++) {
        assert_true(rounds_due(&r, now));
        assert_false(rounds_read(&r, now, 1024U * 1024U));
    }
    assert_true(rounds_due(&r, now + 1000));
    assert_false(rounds_read(&r, now, 1024U * 1024U));
    assert_false(rounds_due(&r, now));
}

/* One that is asked for begins anew, waits for nothing, and the next one is an ordinary one. */
static void asked_for_it_rushes(void **state)
{
    struct rounds r;
    uint64_t now = 1000;

    (void)state;
    rounds_init(&r, 3600);
    rounds_begin(&r, now, ITEMS, sum());
    assert_false(rounds_read(&r, now, sizes[0]));
    rounds_ask(&r);
    assert_false(rounds_due(&r, now));
    assert_true(rounds_may_begin(&r, now));
    rounds_begin(&r, now, ITEMS, sum());
    for (size_t i = 0; i < ITEMS; i++) {
        assert_int_equal(r.next, i);
        assert_true(rounds_due(&r, now));
        assert_int_equal(rounds_read(&r, now, sizes[i]), i + 1 == ITEMS);
    }
    assert_int_equal(r.ended, 1);
    assert_false(rounds_may_begin(&r, now));
    assert_true(rounds_may_begin(&r, now + HOUR_MS));
    rounds_begin(&r, now + HOUR_MS, 2, 1U << 30);
    assert_false(rounds_read(&r, now + HOUR_MS, 1U << 29));
    assert_false(rounds_due(&r, now + HOUR_MS + 1000));
}

/* Nothing to read ends at once; sizes that lie, and the largest of everything, break nothing. */
static void edges(void **state)
{
    struct rounds r;

    (void)state;
    rounds_init(&r, 60);
    assert_int_equal(rounds_age_s(&r, 1234567), 0);
    rounds_begin(&r, 1000, 0, 0);
    assert_false(r.active);
    assert_int_equal(r.ended, 1);

    rounds_init(&r, ROUNDS_HOURS_MAX * 3600ULL);
    rounds_begin(&r, 1, 3, UINT64_MAX);
    assert_true(rounds_due(&r, 1));
    assert_false(rounds_read(&r, 1, UINT64_MAX));
    assert_false(rounds_read(&r, 1, UINT64_MAX)); /* more than the list had */
    assert_false(rounds_due(&r, 2));
    assert_true(rounds_due(&r, 1 + 1000ULL * r.round_s));
    assert_true(rounds_read(&r, 1 + 1000ULL * r.round_s, 0));
    assert_int_equal(rounds_age_s(&r, UINT64_MAX), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_is_spread),
        cmocka_unit_test(a_late_round_catches_up),
        cmocka_unit_test(asked_for_it_rushes),
        cmocka_unit_test(edges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
