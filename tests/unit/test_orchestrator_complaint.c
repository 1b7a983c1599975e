/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/complaint: a failure of each round is a line of the log, not a line of each round.
 */
#include "tests/unit/test.h"

#include "orchestrator/complaint.h"

static struct err why(enum rc rc, int sys, const char *what)
{
    struct err ret = { 0 };

    (void)err_set(&ret, rc, "%s", what);
    ret.sys = sys;
    return ret;
}

static void once_and_when_it_changes(void **state)
{
    const struct err rows[] = {
        why(RC_ORDER_OLD, 0, "sat-1"), why(RC_ORDER_OLD, 0, "sat-2"), why(RC_STORE, 0, "sat-2"),
        why(RC_STORE, 5, "sat-2"),     why(RC_ORDER_OLD, 0, "sat-1"),
    };
    struct complaint c = { 0 };
    uint64_t now_ms = 5;

    (void)state;
    assert_false(complaint_over(&c));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(complaint_due(&c, &rows[i], now_ms));
        for (unsigned k = 0; k < 100; k++)
            assert_false(complaint_due(&c, &rows[i], now_ms += 500));
    }
    assert_int_equal(c.times, 505);
}

static void again_after_long_and_when_it_was_over(void **state)
{
    const struct err one = why(RC_STORE, 0, "x");
    struct complaint c = { 0 };
    unsigned said = 0;

    (void)state;
    for (uint64_t ms = 1000; ms < 1000 + 3 * COMPLAINT_AGAIN_MS; ms += 1000)
        said += complaint_due(&c, &one, ms);
    assert_int_equal(said, 3);
    assert_true(complaint_over(&c));
    assert_false(complaint_over(&c));
    assert_int_equal(c.times, 0);
    assert_true(complaint_due(&c, &one, 1001 + 3 * COMPLAINT_AGAIN_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_and_when_it_changes),
        cmocka_unit_test(again_after_long_and_when_it_was_over),
    };

    return cmocka_run_group_tests_name("orchestrator/complaint", tests, NULL, NULL);
}
