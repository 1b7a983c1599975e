/* SPDX-License-Identifier: Apache-2.0
 *
 * Refused system calls: whose they are, what a report says of them, and the real berthd with a
 * payload that makes some and one that makes nothing else.  The latter needs root.
 */
#include "tests/unit/test.h"

#include <linux/audit.h>

#include "agent/refused.h"
#include "base/walls.h"
#include "sandbox/calls.h"
#include "sandbox/plan.h"
#include "tests/unit/agent_sky.h"

/* ---- pure ----------------------------------------------------------------------------------- */

struct all {
    struct table table;
    struct refused refused;
    struct report report, back;
    uint8_t buf[REPORT_MAX];
};

static void add_unit(struct table *t, uint32_t index, const char *tenant, unsigned int number)
{
    struct unit_record *u = &t->unit[t->n_units++].kept;

    (void)snprintf(u->tenant, sizeof u->tenant, "%s", tenant);
    (void)snprintf(u->name, sizeof u->name, "payload-%02u", number);
    u->index = index;
}

static struct denied_record record(uint32_t index, enum call call)
{
    return (struct denied_record){ .uid = PLAN_UID_BASE + index * PLAN_UID_COUNT + PLAN_UID,
                                   .arch = calls_audit_arch(CALLS_NATIVE),
                                   .nr = (uint32_t)call_nr(call, CALLS_NATIVE) };
}

static void finds_whose_it_is(void **state)
{
    scoped(free_ptr) struct all *a = calloc(1, sizeof *a);
    struct denied_record r = record(7, CALL_mount);
    bool first;

    (void)state;
    add_unit(&a->table, 3, "acme", 1);
    add_unit(&a->table, 7, "zenith", 1);
    assert_string_equal(refused_count(&a->refused, &a->table, &r, &first)->tenant, "zenith");
    assert_true(first);
    assert_non_null(refused_count(&a->refused, &a->table, &r, &first));
    assert_false(first);

    /* The whole range is its own, and nothing beside it. */
    r.uid = PLAN_UID_BASE + 7 * PLAN_UID_COUNT;
    assert_string_equal(refused_count(&a->refused, &a->table, &r, &first)->tenant, "zenith");
    r.uid = PLAN_UID_BASE + 8 * PLAN_UID_COUNT - 1;
    assert_string_equal(refused_count(&a->refused, &a->table, &r, &first)->tenant, "zenith");
    const uint32_t strangers[] = { 0,
                                   1000,
                                   PLAN_UID_BASE - 1,
                                   PLAN_UID_BASE + 8 * PLAN_UID_COUNT,
                                   PLAN_UID_BASE + PLAN_SLOTS * PLAN_UID_COUNT,
                                   UINT32_MAX };
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        r.uid = strangers[i];
        assert_null(refused_count(&a->refused, &a->table, &r, &first));
    }
    refused_report(&a->refused, &a->report);
    assert_int_equal(a->report.n_denied, 1);
    assert_int_equal(a->report.denied[0].total, 4);

    /* Another payload in the same range begins at nothing. */
    (void)snprintf(a->table.unit[1].kept.name, NAME_CAP, "another");
    r.uid = PLAN_UID_BASE + 7 * PLAN_UID_COUNT;
    assert_int_equal(refused_count(&a->refused, &a->table, &r, &first)->denied.total, 1);
    assert_true(first);
}

/* More payloads than a report has places for, and calls than it names: those with the most. */
static void reports_the_most(void **state)
{
    scoped(free_ptr) struct all *a = calloc(1, sizeof *a);
    static const enum call calls[] = { CALL_mount,  CALL_mount, CALL_bpf,
                                       CALL_ptrace, CALL_setns, CALL_unshare };
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        add_unit(&a->table, UNITS_MAX - i, i < 20 ? "acme" : "zenith", i);
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        for (uint32_t times = 0; times < 6 * (i + 1); times++) {
            struct denied_record r = record(a->table.unit[i].kept.index, calls[times % 6]);
            bool first;

            assert_non_null(refused_count(&a->refused, &a->table, &r, &first));
        }
    }
    (void)snprintf(a->report.satellite, sizeof a->report.satellite, "aurora-1");
    a->refused.missed = 5;
    refused_report(&a->refused, &a->report);
    assert_int_equal(a->report.n_denied, REPORT_DENIED_MAX);
    for (uint32_t i = 0; i < REPORT_DENIED_MAX; i++) {
        uint32_t unit = UNITS_MAX - REPORT_DENIED_MAX + i;

        assert_int_equal(a->report.denied[i].total, 6 * (unit + 1));
        assert_string_equal(a->report.denied[i].name, a->table.unit[unit].kept.name);
        assert_int_equal(a->report.denied[i].n, REPORT_DENIED_CALLS);
        assert_string_equal(a->report.denied[i].call[0].name, "mount");
    }
    assert_rc(report_encode(&a->report, a->buf, sizeof a->buf, &out, &err), RC_OK);
    assert_rc(report_decode(out, &a->back, &err), RC_OK);
    assert_memory_equal(a->report.denied, a->back.denied, sizeof a->back.denied);
    assert_int_equal(a->back.denied_missed, 5);
}

/* ---- berthd --------------------------------------------------------------------------------- */

static bool says_refused(const struct report *r, const void *arg)
{
    (void)arg;
    return r->n_denied == 1 && r->denied[0].n == 2;
}

/* The same report tells of the walls, and that the payload is what it was made. */
static void assert_confined(void)
{
    static const uint8_t none[REPORT_RECEIPT_SIZE];
    const struct report_walls *walls = &sky->report.walls;

    assert_int_equal(walls->standing | walls->missing, walls_all());
    assert_int_equal(walls->waived, 0);
    assert_in_range(walls->cgroup, 1, 2);
    assert_true(sky->report.payload[0].is_running);
    assert_memory_not_equal(sky->report.payload[0].receipt, none, sizeof none);
}

static void tells_what_was_refused(void **state)
{
    const struct version v1 = {
        .version = "1.0", .how = "refused", .release = 1, .signer = K_ACME
    };

    (void)state;
    start_berthd();
    struct digest one = send_version(&v1);
    send_order(1, &one);
    await_standing(SLOT_COMMITTED, &one);
    await("refused calls", says_refused, NULL);
    const struct report_denied *d = &sky->report.denied[0];
    assert_string_equal(d->tenant, "acme");
    assert_string_equal(d->name, "cam-north");
    assert_true(d->total >= 4); /* it may have started more than once */
    assert_string_equal(d->call[0].name, "bpf");
    assert_string_equal(d->call[1].name, "umount2");
    assert_int_equal(d->call[0].count, 3 * d->call[1].count);
    assert_confined();
    end_berthd(SIGTERM, 0);
}

static bool says_missed(const struct report *r, const void *arg)
{
    (void)arg;
    return r->denied_missed > 0 && r->n_denied == 1;
}

/* However many it makes, so many are read in a second and no more. */
static void a_storm_is_read_slowly(void **state)
{
    const struct version v1 = { .version = "1.0", .how = "storm", .release = 1, .signer = K_ACME };

    (void)state;
    uint64_t began = clock_mono_ms();
    start_berthd();
    struct digest one = send_version(&v1);
    send_order(1, &one);
    await("missed", says_missed, NULL);
    uint64_t took_s = (clock_mono_ms() - began) / 1000U;
    print_message("%u refused calls read in %llu s, %u times more were missed\n",
                  sky->report.denied[0].total, (unsigned long long)took_s,
                  sky->report.denied_missed);
    assert_string_equal(sky->report.denied[0].call[0].name, "umount2");
    assert_in_range(sky->report.denied[0].total, 1, (took_s + 2) * REFUSED_PER_TICK);
    assert_int_equal(sky->report.denied[0].total, sky->report.denied[0].call[0].count);
    end_berthd(SIGTERM, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_whose_it_is),
        cmocka_unit_test(reports_the_most),
        cmocka_unit_test_setup_teardown(tells_what_was_refused, sky_open, sky_close),
        cmocka_unit_test_setup_teardown(a_storm_is_read_slowly, sky_open, sky_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
