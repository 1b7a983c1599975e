/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "agent/slot.h"
#include "base/bytes.h"

/* The table once more, written down independently: rows are states, columns events in the order of
 * enum slot_event; '-' is refused, else the digit of the state that follows. */
static const struct {
    enum slot_state from;
    const char *to;
} rows[SLOT_STATES] = {
    /*                    OSSVIFKSCRFRLRR
     *                    ruteninoteaooee  order supersede stage verify install find known start
     *                                     commit refuse fail rollback lose reconsider revoke */
    { SLOT_ABSENT, "10-------------" },    { SLOT_RECEIVING, "-02--4---7--1-8" },
    { SLOT_STAGED, "-0-3-----7--1-8" },    { SLOT_VERIFIED, "-0--4----7--1-8" },
    { SLOT_INSTALLED, "-0----65-7--1-8" }, { SLOT_TRIAL, "-0-----567891-8" },
    { SLOT_COMMITTED, "-0---------91-8" }, { SLOT_REFUSED, "-0-----------18" },
    { SLOT_FAILED, "-0------------8" },    { SLOT_ROLLED_BACK, "-0------------8" },
};

static void every_pair(void **state)
{
    (void)state;
    for (enum slot_state from = 0; from < SLOT_STATES; from++) {
        assert_int_equal(rows[from].from, from);
        assert_int_equal(strlen(rows[from].to), SLOT_EVENTS);
        for (enum slot_event event = 0; event < SLOT_EVENTS; event++) {
            char want = rows[from].to[event];
            enum slot_state to = SLOT_STATES;
            enum rc rc = slot_next(from, event, &to);

            if (want == '-') {
                assert_rc(rc, RC_TRANSITION);
                assert_int_equal(to, SLOT_STATES);
            } else {
                assert_rc(rc, RC_OK);
                assert_int_equal(to, want - '0');
            }
        }
    }
}

/* No event takes a version from "failed" or "rolled back" to anything that runs; only another order
 * does. */
static void failure_is_final(void **state)
{
    (void)state;
    for (enum slot_event event = 0; event < SLOT_EVENTS; event++) {
        enum slot_state to = SLOT_STATES;

        const enum slot_state end = event == SLOT_EV_REVOKE ? SLOT_FAILED : SLOT_ABSENT;

        if (slot_next(SLOT_FAILED, event, &to) == RC_OK)
            assert_int_equal(to, end);
        if (slot_next(SLOT_ROLLED_BACK, event, &to) == RC_OK)
            assert_int_equal(to, end);
    }
}

static char *slurp(const char *path)
{
    FILE *in = fopen(path, "r");
    char *text = calloc(1, 65536);

    assert_non_null(in);
    assert_non_null(text);
    (void)!fread(text, 1, 65535, in);
    (void)fclose(in);
    return text;
}

static void drawing_matches(void **state)
{
    scoped(free_ptr) char *printed = NULL;
    scoped(free_ptr) char *kept = slurp("docs/states.dot");
    size_t n = 0;
    FILE *out = open_memstream(&printed, &n);

    (void)state;
    assert_non_null(out);
    slot_print_dot(out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(printed, kept);
}

static void names(void **state)
{
    (void)state;
    for (enum slot_event event = 0; event < SLOT_EVENTS; event++)
        assert_string_not_equal(slot_event_name(event), "?");
    assert_string_equal(slot_event_name(SLOT_EVENTS), "?");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(failure_is_final),
        cmocka_unit_test(drawing_matches),
        cmocka_unit_test(names),
    };

    if (argc == 2 && strcmp(argv[1], "--print") == 0) { /* > docs/states.dot */
        slot_print_dot(stdout);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
