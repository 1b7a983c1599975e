/* SPDX-License-Identifier: Apache-2.0
 *
 * The witness in orbit: the head of the ground's log in orders and reports, and a ground that was
 * rolled back or written anew.  What a satellite keeps of it is test_agent_witness.c's.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/ingest.h"
#include "orchestrator/witness.h"
#include "tests/unit/documents.h"

static struct err err;
static uint8_t buf[DOCUMENT_MAX];

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(d.b, fill, sizeof d.b);
    return d;
}

static struct witness seen(uint64_t seq, uint8_t fill)
{
    return (struct witness){ .seq = seq, .head = digest_of(fill) };
}

/* ---- on the wire ---- */

static void orders_bring_it_and_reports_take_it_back(void **state)
{
    static struct report report, report_back;
    struct order order = doc_order(), back;
    struct bytes plain, out;

    (void)state;
    assert_rc(order_encode(&order, buf, sizeof buf, &plain, &err), RC_OK);
    size_t before = plain.n;

    order.witness = seen(300, 7);
    assert_rc(order_encode(&order, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(order_decode(out, &back, &err), RC_OK);
    assert_memory_equal(&back, &order, sizeof order);
    assert_int_equal(out.n - before, 39);

    doc_report(&report);
    assert_rc(report_encode(&report, buf, sizeof buf, &plain, &err), RC_OK);
    before = plain.n;
    report.keeps_witness = true;
    assert_rc(report_encode(&report, buf, sizeof buf, &out, &err), RC_OK);
    assert_int_equal(out.n - before, 2);
    assert_rc(report_decode(out, &report_back, &err), RC_OK);
    assert_true(report_back.keeps_witness);
    assert_int_equal(report_back.witness.seq, 0);
    report.witness = seen(300, 7);
    assert_rc(report_encode(&report, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(report_decode(out, &report_back, &err), RC_OK);
    assert_memory_equal(&report_back.witness, &report.witness, sizeof report.witness);
}

static void half_a_witness_is_none(void **state)
{
    static struct report report;
    struct order order = doc_order();
    struct bytes out;

    (void)state;
    order.witness = (struct witness){ .seq = 4 };
    assert_rc(order_encode(&order, buf, sizeof buf, &out, &err), RC_VALUE);
    order.witness = (struct witness){ .head = digest_of(1) };
    assert_rc(order_encode(&order, buf, sizeof buf, &out, &err), RC_VALUE);
    order.witness = seen(1ULL << 63, 1);
    assert_rc(order_encode(&order, buf, sizeof buf, &out, &err), RC_VALUE);
    doc_report(&report);
    report.witness = seen(4, 4);
    assert_rc(report_encode(&report, buf, sizeof buf, &out, &err), RC_VALUE);
}

/* ---- the ground ---- */

static char dir[64], path[96];

static int make_dir(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-witness-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    return 0;
}

static int remove_dir(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

static void what_a_head_says(void **state)
{
    const struct digest a = digest_of(1), b = digest_of(2);
    const struct {
        struct witness seen;
        uint64_t head;
        const struct digest *held;
        bool lost;
        enum witness_state want;
    } rows[] = {
        { { 0 }, 9, NULL, false, WITNESS_NONE },
        { seen(9, 1), 9, &a, false, WITNESS_GOOD },
        { seen(3, 1), 9, &a, false, WITNESS_GOOD },
        { seen(3, 1), 9, &a, true, WITNESS_GOOD },
        { seen(3, 1), 9, &b, false, WITNESS_OTHER },
        { seen(3, 1), 9, &b, true, WITNESS_GIVEN_UP },
        { seen(3, 1), 9, NULL, false, WITNESS_OTHER }, /* a hole */
        { seen(10, 1), 9, NULL, false, WITNESS_AHEAD },
        { seen(10, 1), 20, NULL, true, WITNESS_GIVEN_UP },
        { seen(1, 1), 0, NULL, false, WITNESS_AHEAD },
        { seen(9 + WITNESS_AHEAD_MAX, 1), 9, NULL, false, WITNESS_AHEAD },
        { seen(10 + WITNESS_AHEAD_MAX, 1), 9, NULL, false, WITNESS_ABSURD },
        { seen(INT64_MAX, 1), 9, NULL, false, WITNESS_ABSURD },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum witness_state got =
            witness_judge(&rows[i].seen, rows[i].head, rows[i].held, rows[i].lost);

        if (got != rows[i].want)
            fail_msg("row %zu: %d, want %d", i, (int)got, (int)rows[i].want);
        assert_int_equal(witness_alarms(got), got == WITNESS_AHEAD || got == WITNESS_OTHER);
    }
}

static struct store *store;

static int open_store(void **state)
{
    (void)make_dir(state);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    for (uint32_t i = 1; i <= 3; i++) {
        struct store_satellite sat = {
            .node = 100 + i, .up = "/u", .down = "/d", .link_keys = "/k"
        };

        (void)snprintf(sat.id, sizeof sat.id, "sat-%u", i);
        assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    }
    for (uint64_t i = 1; i <= 5; i++)
        assert_rc(store_audit(store, "op", "push", i, &err, "x"), RC_OK);
    return 0;
}

static int close_store(void **state)
{
    store_close(&store);
    return remove_dir(state);
}

static void report(const char *sat, uint64_t seq, const struct witness *w)
{
    static struct report r, back;
    struct bytes out;

    doc_report(&r);
    (void)snprintf(r.satellite, sizeof r.satellite, "%s", sat);
    r.seq = seq;
    r.keeps_witness = w != NULL;
    if (w)
        r.witness = *w;
    assert_rc(report_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(store, sat, out, NOW_MS, &back, &err), RC_OK);
}

/* The same by all that is known and by what was reported alone. */
static struct witness_alarm look(void)
{
    scoped(view_free) struct view *view = NULL, *seen = NULL;
    struct witness_alarm alarm = { 0 }, again = { 0 };

    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(witness_fleet(store, view, &alarm, &err), RC_OK);
    assert_rc(view_load_seen(store, &seen, &err), RC_OK);
    assert_int_equal(seen->n, view->n);
    assert_rc(witness_fleet(store, seen, &again, &err), RC_OK);
    assert_memory_equal(&alarm, &again, sizeof alarm);
    return alarm;
}

static void a_rolled_back_store_is_found_and_given_up(void **state)
{
    struct store_audit_by by = { .why = "restored" };
    struct witness w = { 0 };
    struct witness_alarm alarm;

    (void)state;
    report("sat-1", 1, NULL); /* an agent that keeps none */
    assert_rc(store_audit_hash(store, 4, &w.head, &(bool){ false }, &err), RC_OK);
    w.seq = 4;
    report("sat-2", 1, &w);
    report("sat-3", 1, &(struct witness){ 0 });
    assert_int_equal(look().satellites, 0);

    report("sat-3", 2, &(struct witness[]){ seen(8, 8) }[0]); /* ahead */
    alarm = look();
    assert_int_equal(alarm.satellites, 1);
    assert_string_equal(alarm.satellite, "sat-3");
    assert_rc(witness_refuse(&alarm, &err), RC_AUDIT_LOST);
    assert_non_null(strstr(err.what, "sat-3 has seen entry 8, the log ends with 5"));
    report("sat-1", 2, &(struct witness[]){ seen(5, 3) }[0]); /* another story */
    alarm = look();
    assert_int_equal(alarm.satellites, 2);
    assert_int_equal(alarm.first, 5);
    assert_int_equal(alarm.last, 8);

    by.lost = (struct audit_lost){ alarm.first, alarm.last };
    store_audit_by(store, &by);
    assert_rc(store_audit(store, "op", "accept-loss", 9, &err, "x"), RC_OK);
    store_audit_by(store, NULL);
    alarm = look();
    assert_int_equal(alarm.satellites, 0);
    assert_int_equal(alarm.head, 9);
    assert_rc(witness_refuse(&alarm, &err), RC_OK);
    report("sat-2", 2, &(struct witness[]){ seen(10, 1) }[0]);
    assert_int_equal(look().satellites, 1);
}

/* After a store was put back: what one satellite claims behind the log's end is given up with all
 * before it, so the next that reports stops nothing; what the log has goes number by number. */
static void what_was_put_back_stops_once(void **state)
{
    scoped(view_free) struct view *view = NULL;
    scoped(free_ptr) enum witness_state *states = NULL;
    struct store_audit_by by = { .why = "restored" };
    const char *satellite = "";
    uint64_t below = UINT64_MAX;

    (void)state;
    report("sat-1", 1, &(struct witness[]){ seen(150, 1) }[0]);
    report("sat-2", 1, &(struct witness[]){ seen(3, 7) }[0]);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(witness_states(store, view, &states, &err), RC_OK);
    store_audit_by(store, &by);
    for (unsigned i = 0; witness_lost(view, states, 5, below, &by.lost, &satellite); i++) {
        assert_int_equal(by.lost.first, i == 0 ? 6 : 3);
        assert_int_equal(by.lost.last, i == 0 ? 150 : 3);
        assert_string_equal(satellite, i == 0 ? "sat-1" : "sat-2");
        below = by.lost.first;
        assert_rc(store_audit(store, "op", "accept-loss", 9, &err, "x"), RC_OK);
    }
    by.lost = (struct audit_lost){ 0, 0 };
    assert_int_equal(below, 3);
    assert_int_equal(look().satellites, 0);
    /* those that come later have seen some of it, too */
    report("sat-3", 1, &(struct witness[]){ seen(140, 1) }[0]);
    report("sat-1", 2, &(struct witness[]){ seen(6, 1) }[0]);
    assert_int_equal(look().satellites, 0);
    report("sat-1", 3, &(struct witness[]){ seen(4, 1) }[0]); /* nobody gave this up */
    assert_int_equal(look().satellites, 1);
    store_audit_by(store, NULL);
}

/* A satellite that says nonsense must not stop the fleet. */
static void one_that_lies_stops_nothing(void **state)
{
    (void)state;
    report("sat-1", 1, &(struct witness[]){ seen(INT64_MAX, 1) }[0]);
    assert_int_equal(look().satellites, 0);
}

/* sat-2 has seen entry 4 as the log has it: whoever tells another entry up to there is the one who
 * lies, whatever number it names; behind it nobody can say so. */
static void one_that_is_contradicted_stops_nothing(void **state)
{
    struct witness w = { .seq = 4 };
    struct witness_alarm alarm;

    (void)state;
    assert_rc(store_audit_hash(store, 4, &w.head, &(bool){ false }, &err), RC_OK);
    report("sat-2", 1, &w);
    for (uint64_t seq = 1; seq <= 4; seq++) {
        report("sat-1", seq, &(struct witness[]){ seen(seq, 9) }[0]);
        alarm = look();
        assert_int_equal(alarm.satellites, 0);
        assert_int_equal(alarm.accused, 1);
        assert_int_equal(alarm.accused_seq, seq);
        assert_string_equal(alarm.accuses, "sat-1");
        assert_rc(witness_refuse(&alarm, &err), RC_OK);
        assert_rc(witness_accuse(&alarm, &err), RC_AUDIT_LOST);
    }
    report("sat-1", 5, &(struct witness[]){ seen(5, 9) }[0]);
    alarm = look();
    assert_int_equal(alarm.satellites, 1);
    assert_int_equal(alarm.accused, 0);
    assert_rc(witness_accuse(&alarm, &err), RC_OK);
}

/* Numbers far apart, one seen twice: each is held against the log's own record of that number. */
static void records_are_told_apart(void **state)
{
    scoped(free_ptr) enum witness_state *states = NULL;
    scoped(view_free) struct view *view = NULL;
    struct witness low = { .seq = 3 }, high = { .seq = 3 + 256 }, wrong = { .seq = 3 };
    struct store *open = NULL;
    bool lost = false;

    (void)state;
    assert_rc(store_begin(store, &open, &err), RC_OK);
    for (uint64_t i = 6; i <= high.seq; i++)
        assert_rc(store_audit(store, "op", "push", i, &err, "x"), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    assert_rc(store_audit_hash(store, low.seq, &low.head, &lost, &err), RC_OK);
    assert_rc(store_audit_hash(store, high.seq, &high.head, &lost, &err), RC_OK);
    wrong.head = high.head;
    report("sat-1", 1, &low);
    report("sat-2", 1, &high);
    report("sat-3", 1, &wrong);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(witness_states(store, view, &states, &err), RC_OK);
    assert_int_equal(view->n, 3);
    assert_int_equal(states[0], WITNESS_GOOD);
    assert_int_equal(states[1], WITNESS_GOOD);
    assert_int_equal(states[2], WITNESS_ACCUSED);
}

/* What cannot be refuted stops the fleet until an operator has named the satellite: then it may
 * claim what it likes, and another's claim still counts. */
static void one_that_is_ignored_stops_nothing(void **state)
{
    (void)state;
    report("sat-1", 1, &(struct witness[]){ seen(5 + WITNESS_AHEAD_MAX, 1) }[0]);
    assert_int_equal(look().satellites, 1);
    assert_rc(witness_ignore(store, "sat-1", &err), RC_OK);
    assert_int_equal(look().satellites, 0);
    report("sat-1", 2, &(struct witness[]){ seen(77, 1) }[0]);
    assert_int_equal(look().satellites, 0);
    assert_int_equal(look().accused, 0);
    report("sat-3", 1, &(struct witness[]){ seen(78, 1) }[0]);
    assert_int_equal(look().satellites, 1);
    assert_string_equal(look().satellite, "sat-3");
}

static void only_who_keeps_it_gets_it(void **state)
{
    struct sight r = { 0 };
    struct digest head;
    struct witness w;
    uint64_t seq = 0;

    (void)state;
    assert_rc(witness_for(store, NULL, &w, &err), RC_OK);
    assert_int_equal(w.seq, 0);
    assert_rc(witness_for(store, &r, &w, &err), RC_OK);
    assert_int_equal(w.seq, 0);
    r.keeps_witness = true;
    assert_rc(witness_for(store, &r, &w, &err), RC_OK);
    assert_rc(store_audit_head(store, &seq, &head, &err), RC_OK);
    assert_int_equal(w.seq, seq);
    assert_memory_equal(&w.head, &head, sizeof head);
}

int main(void)
{
#define STORE(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_bring_it_and_reports_take_it_back),
        cmocka_unit_test(half_a_witness_is_none),
        cmocka_unit_test(what_a_head_says),
        STORE(a_rolled_back_store_is_found_and_given_up),
        STORE(what_was_put_back_stops_once),
        STORE(one_that_lies_stops_nothing),
        STORE(one_that_is_contradicted_stops_nothing),
        STORE(records_are_told_apart),
        STORE(one_that_is_ignored_stops_nothing),
        STORE(only_who_keeps_it_gets_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
