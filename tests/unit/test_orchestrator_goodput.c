/* SPDX-License-Identifier: Apache-2.0
 *
 * What is learnt of links: which counters count for which contact, by hand; and how the store keeps
 * them.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/goodput.h"
#include "orchestrator/store.h"

#define MINUTE 60000LL
#define PRIOR 800000U

static struct contacts past;
static struct contact_goodput table[2 * 2];
static struct err err;

static void pass(uint32_t station, uint32_t satellite, int64_t minute, enum contact_state state)
{
    const struct contact c = { .station = station,
                               .satellite = satellite,
                               .aos_ms = minute * MINUTE,
                               .los_ms = (minute + 10) * MINUTE,
                               .room = 1000,
                               .capacity = 800,
                               .state = state };

    assert_rc(contacts_add(&past, &c, &err), RC_OK);
}

static void learn(const struct goodput_heard *heard, size_t n)
{
    for (size_t i = 0; i < 4; i++)
        table[i] = (struct contact_goodput){ .mean_ppm = PRIOR };
    contacts_sort(&past);
    assert_rc(goodput_learn(&past, heard, n, table, 2, &err), RC_OK);
}

static int set_up(void **state)
{
    (void)state;
    pass(0, 0, 100, CONTACT_RESERVED);
    pass(1, 0, 105, CONTACT_PREDICTED); /* it was with the other station */
    pass(1, 1, 102, CONTACT_DONE);
    pass(1, 0, 200, CONTACT_RESERVED);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    contacts_free(&past);
    return 0;
}

/* One eighth of the way from 0.8 to 0.4 is 0.75. */
static void a_full_contact_teaches(void **state)
{
    const struct goodput_heard heard[] = {
        { .satellite = 0, .received_ms = 101 * MINUTE, .arrived = 150, .waiting = true },
        { .satellite = 0, .received_ms = 109 * MINUTE, .arrived = 250, .waiting = true },
    };

    (void)state;
    learn(heard, 2);
    assert_int_equal(table[0 * 2 + 0].mean_ppm, 750000);
    assert_int_equal(table[0 * 2 + 0].contacts, 1);
    for (size_t i = 1; i < 4; i++)
        assert_int_equal(table[i].mean_ppm, PRIOR);
}

static void an_empty_queue_teaches_nothing(void **state)
{
    const struct goodput_heard heard[] = {
        { .satellite = 0, .received_ms = 101 * MINUTE, .arrived = 100, .waiting = true },
        { .satellite = 0, .received_ms = 109 * MINUTE, .arrived = 50, .waiting = false },
    };

    (void)state;
    learn(heard, 2);
    assert_int_equal(table[0].contacts, 0);
}

static void time_tells_the_contact(void **state)
{
    const struct goodput_heard heard[] = {
        /* before any, too long after, of a satellite without a contact then, and in the grace */
        { .satellite = 0, .received_ms = 99 * MINUTE, .arrived = 1, .waiting = true },
        { .satellite = 0, .received_ms = 120 * MINUTE, .arrived = 2, .waiting = true },
        { .satellite = 1, .received_ms = 201 * MINUTE, .arrived = 3, .waiting = true },
        { .satellite = 1, .received_ms = 121 * MINUTE, .arrived = UINT64_MAX, .waiting = true },
        { .satellite = 1, .received_ms = 103 * MINUTE, .arrived = UINT64_MAX, .waiting = true },
        { .satellite = 0, .received_ms = 210 * MINUTE + 1, .arrived = 0, .waiting = true },
    };

    (void)state;
    learn(heard, 6);
    assert_int_equal(table[0 * 2 + 0].contacts, 0);
    assert_int_equal(table[1 * 2 + 1].mean_ppm, 825000); /* all of it, however much is claimed */
    assert_int_equal(table[1 * 2 + 0].mean_ppm, 700000);
    learn(heard, 0);
    assert_int_equal(table[3].contacts, 0);
}

/* Done where something was told, failed where not, executing while it lasts; before the first word
 * nothing is known. */
static void contacts_settle(void **state)
{
    const struct goodput_heard heard[] = {
        { .satellite = 0, .received_ms = 104 * MINUTE },
        { .satellite = 0, .received_ms = 111 * MINUTE }, /* in its grace */
        { .satellite = 0, .received_ms = 320 * MINUTE },
    };
    static const struct {
        uint32_t satellite;
        int64_t minute;
        enum contact_state before, after;
    } rows[] = {
        { 0, 50, CONTACT_RESERVED, CONTACT_RESERVED },    /* before the first word */
        { 0, 100, CONTACT_RESERVED, CONTACT_DONE },       /* */
        { 0, 200, CONTACT_RESERVED, CONTACT_FAILED },     /* nothing told */
        { 0, 250, CONTACT_PREDICTED, CONTACT_PREDICTED }, /* */
        { 0, 320, CONTACT_RESERVED, CONTACT_DONE },       /* under way, and heard of */
        { 1, 100, CONTACT_RESERVED, CONTACT_RESERVED },   /* never a word */
        { 1, 321, CONTACT_RESERVED, CONTACT_EXECUTING },  /* under way */
        { 1, 400, CONTACT_RESERVED, CONTACT_RESERVED },   /* to come */
    };

    (void)state;
    for (size_t i = 0; i < 8; i++)
        pass(0, rows[i].satellite, rows[i].minute, rows[i].before);
    contacts_sort(&past);
    assert_rc(goodput_settle(&past, heard, 3, 2, 325 * MINUTE, &err), RC_OK);
    for (size_t i = 0; i < 8; i++)
        for (size_t k = 0; k < past.n; k++)
            if (past.at[k].satellite == rows[i].satellite &&
                past.at[k].aos_ms == rows[i].minute * MINUTE && past.at[k].state != rows[i].after)
                fail_msg("row %zu: %s", i, contact_state_text(past.at[k].state));
}

/* ---- the store ------------------------------------------------------------------------------ */

static struct store_heard row(uint64_t epoch, uint64_t contact, uint64_t received, uint64_t arrived)
{
    return (struct store_heard){ .satellite = "sat-1",
                                 .epoch = epoch,
                                 .contact = contact,
                                 .received_ms = received,
                                 .arrived = arrived,
                                 .waiting = 1 };
}

static void the_store_keeps_contacts(void **state)
{
    char dir[] = "/tmp/berth-heard-XXXXXX", path[64];
    scoped(store_close) struct store *store = NULL;
    scoped(free_ptr) struct store_heard *rows = NULL, *kept = NULL;
    const struct store_satellite sat = { .id = "sat-1", .node = 1 };
    size_t n = 0;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    struct store_heard told[] = { row(1, 1, 100, 10), row(1, 1, 200, 30), row(1, 2, 300, 5),
                                  row(1, 2, 400, 4), row(2, 2, 500, 6) };

    told[1].waiting = 0;
    for (size_t i = 0; i < 5; i++)
        assert_rc(store_put_heard(store, &told[i], &err), RC_OK);
    assert_rc(store_heard(store, "sat-1", &rows, &n, &err), RC_OK);
    assert_int_equal(n, 4); /* the second raised the first; the fourth fell, so it is another */
    assert_int_equal(rows[0].received_ms, 100);
    assert_int_equal(rows[0].arrived, 30);
    assert_int_equal(rows[0].waiting, 0);
    assert_int_equal(rows[2].arrived, 4);
    for (uint64_t i = 0; i < 2 * STORE_HEARD_MAX; i++) {
        struct store_heard next = row(3, i, 1000 + i, i);

        assert_rc(store_put_heard(store, &next, &err), RC_OK);
    }
    assert_rc(store_heard(store, NULL, &kept, &n, &err), RC_OK);
    assert_int_equal(n, STORE_HEARD_MAX);
    assert_int_equal(kept[0].received_ms, 1000 + STORE_HEARD_MAX);
    assert_rc(store_forget_heard(store, "sat-1", &err), RC_OK);
    free_ptr(&kept);
    assert_rc(store_heard(store, NULL, &kept, &n, &err), RC_OK);
    assert_int_equal(n, 0);
    store_close(&store);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_contact_teaches, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_queue_teaches_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(time_tells_the_contact, set_up, tear_down),
        cmocka_unit_test_teardown(contacts_settle, tear_down),
        cmocka_unit_test(the_store_keeps_contacts),
    };

    return cmocka_run_group_tests_name("orchestrator/goodput", tests, NULL, NULL);
}
