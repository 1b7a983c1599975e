/* SPDX-License-Identifier: Apache-2.0
 *
 * What is new among events: those that came late, those that happened again, and not those that
 * show up because newer ones were dropped.
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/event_news.h"

static struct store_event event(const char *satellite, uint64_t seq, uint32_t count, uint64_t at)
{
    struct store_event e = { .seq = seq, .count = count, .received_ms = at };

    memcpy(e.satellite, satellite, strlen(satellite) + 1);
    return e;
}

static void all_is_new_at_first(void **state)
{
    struct store_event now[] = { event("b", 1, 1, 5), event("a", 9, 1, 6) };

    (void)state;
    assert_int_equal(event_news(NULL, 0, 8, now, 2), 2);
    assert_string_equal(now[0].satellite, "b");
    assert_int_equal(event_news(NULL, 0, 8, now, 0), 0);
}

static void what_was_there_is_no_news(void **state)
{
    struct store_event before[] = { event("b", 1, 1, 5), event("a", 9, 1, 6), event("a", 1, 3, 6) };
    struct store_event now[] = { event("b", 1, 1, 5), event("a", 9, 1, 6), event("a", 1, 3, 6) };

    (void)state;
    assert_int_equal(event_news(before, 3, 8, now, 3), 0);
}

/* A lower number may come later, the same number is another satellite's, and a higher count of an
 * old one is news. */
static void what_came_is_news(void **state)
{
    struct store_event before[] = { event("b", 1, 1, 5), event("a", 9, 1, 6) };
    struct store_event now[] = { event("b", 1, 2, 5), event("a", 9, 1, 6), event("a", 8, 1, 6),
                                 event("b", 9, 1, 7) };

    (void)state;
    assert_int_equal(event_news(before, 2, 8, now, 4), 3);
    assert_true(strcmp(now[0].satellite, "b") == 0 && now[0].seq == 1 && now[0].count == 2);
    assert_true(strcmp(now[1].satellite, "a") == 0 && now[1].seq == 8);
    assert_true(strcmp(now[2].satellite, "b") == 0 && now[2].seq == 9);
}

/* The list was full: what is older than all of it was not in it, and did not just come. */
static void what_shows_up_again_is_no_news(void **state)
{
    struct store_event before[] = { event("b", 1, 1, 5), event("a", 9, 1, 6) };
    struct store_event now[] = { event("c", 4, 1, 4), event("a", 9, 1, 6) };

    (void)state;
    assert_int_equal(event_news(before, 2, 2, now, 2), 0);
    assert_int_equal(event_news(before, 2, 3, now, 2), 1);
    assert_string_equal(now[0].satellite, "c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_new_at_first),
        cmocka_unit_test(what_was_there_is_no_news),
        cmocka_unit_test(what_came_is_news),
        cmocka_unit_test(what_shows_up_again_is_no_news),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
