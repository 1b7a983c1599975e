/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "agent/events.h"

static void the_same_again_counts(void **state)
{
    struct events e;
    struct report_event out[REPORT_EVENTS_MAX];

    (void)state;
    events_init(&e, 41);
    assert_true(events_add(&e, RC_BPSEC_AUTH, 1, "bundle"));
    assert_false(events_add(&e, RC_BPSEC_AUTH, 4, "bundle"));
    assert_true(events_add(&e, RC_BPSEC_AUTH, 1, "other"));
    assert_true(events_add(&e, RC_REPLAY, 1, "other"));
    assert_true(events_add(&e, RC_BPSEC_AUTH, 1, "bundle")); /* not in a row */
    assert_int_equal(events_copy(&e, out, REPORT_EVENTS_MAX), 4);
    assert_int_equal(out[0].seq, 42);
    assert_int_equal(out[0].count, 5);
    assert_int_equal(out[3].seq, 45);
    assert_false(events_add(&e, RC_BPSEC_AUTH, UINT32_MAX, "bundle")); /* stays at the top */
    assert_int_equal(events_copy(&e, out, 1), 1);
    assert_int_equal(out[0].count, UINT32_MAX);
}

static void the_newest_are_kept(void **state)
{
    struct events e;
    struct report_event out[REPORT_EVENTS_MAX];
    char what[32];

    (void)state;
    events_init(&e, 0);
    for (unsigned i = 1; i <= 3 * REPORT_EVENTS_MAX + 7; i++) {
        (void)snprintf(what, sizeof what, "n%u", i);
        assert_true(events_add(&e, RC_REPLAY, 1, what));
        uint32_t n = events_copy(&e, out, REPORT_EVENTS_MAX);
        assert_int_equal(n, i < REPORT_EVENTS_MAX ? i : REPORT_EVENTS_MAX);
        assert_int_equal(out[n - 1].seq, i);
        assert_string_equal(out[n - 1].what, what);
        for (uint32_t k = 1; k < n; k++)
            assert_int_equal(out[k].seq, out[k - 1].seq + 1);
    }
}

static void texts_are_made_printable(void **state)
{
    struct events e;
    struct report_event out[1];
    char longest[200];

    (void)state;
    events_init(&e, 0);
    assert_true(events_add(&e, RC_REPLAY, 1, "a\n\033[2J\x80z"));
    assert_int_equal(events_copy(&e, out, 1), 1);
    assert_string_equal(out[0].what, "a??[2J?z");
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    assert_true(events_add(&e, RC_REPLAY, 1, longest));
    assert_int_equal(events_copy(&e, out, 1), 1);
    assert_int_equal(strlen(out[0].what), sizeof out[0].what - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_again_counts),
        cmocka_unit_test(the_newest_are_kept),
        cmocka_unit_test(texts_are_made_printable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
