/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/report.h"
#include "base/bytes.h"
#include "tests/unit/documents.h"

static struct digest digest(uint8_t n)
{
    struct digest d = { { n } };

    return d;
}

/* All that a report may be made of, zero at first. */
struct parts {
    struct table table;
    struct usage usage[UNITS_MAX];
    struct events events;
    struct port_transfers transfers;
    struct report report, back;
    uint8_t buf[REPORT_MAX];
};

static struct report_parts view(struct parts *p)
{
    return (struct report_parts){
        .satellite = "aurora-1",
        .epoch = 3,
        .seq = 9,
        .time_ms = 1800000000000,
        .root_version = 1,
        .generation = 4,
        .table = &p->table,
        .usage = p->usage,
        .events = &p->events,
        .transfers = &p->transfers,
    };
}

static void add_unit(struct parts *p, unsigned i, const char *prefix)
{
    struct unit *u = &p->table.unit[p->table.n_units];

    (void)snprintf(u->kept.tenant, sizeof u->kept.tenant, "%s", prefix);
    (void)snprintf(u->kept.name, sizeof u->kept.name, "payload-%024u", i);
    u->kept.index = p->table.n_units++;
    u->kept.wanted = digest((uint8_t)(i + 1));
    u->kept.state = SLOT_COMMITTED;
    u->kept.good = u->kept.wanted;
}

static void says_what_runs(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    events_init(&p->events, 0);
    (void)events_add(&p->events, RC_HEALTH_TIMEOUT, 1, "acme/cam");
    add_unit(p, 0, "acme");
    add_unit(p, 1, "acme");
    p->table.unit[0].kept.state = SLOT_ROLLED_BACK;
    p->table.unit[0].kept.code = RC_HEALTH_TIMEOUT;
    p->table.unit[0].run = (struct run){ .phase = RUN_READY, .manifest = digest(77) };
    p->table.unit[0].restarts = 2;
    p->usage[0] = (struct usage){ .version = "1.9", .memory_kib = 512, .cpu_ms = 8 };
    p->table.unit[1].run.phase = RUN_NONE;
    p->table.unit[1].rests = RC_RESTS;

    struct report_parts parts = view(p);
    report_build(&parts, &p->report);
    assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
    assert_rc(report_decode(out, &p->back, &err), RC_OK);
    assert_string_equal(p->back.satellite, "aurora-1");
    assert_int_equal(p->back.n_payloads, 2);
    assert_int_equal(p->back.payload[0].state, SLOT_ROLLED_BACK);
    assert_int_equal(p->back.payload[0].code, RC_HEALTH_TIMEOUT);
    assert_true(p->back.payload[0].is_running);
    assert_int_equal(p->back.payload[0].running.b[0], 77);
    assert_int_equal(p->back.payload[0].wanted.b[0], 1);
    assert_string_equal(p->back.payload[0].version, "1.9");
    assert_int_equal(p->back.payload[0].restarts, 2);
    assert_false(p->back.payload[1].is_running);
    assert_int_equal(p->back.payload[1].code, RC_RESTS);
    assert_int_equal(p->back.n_events, 1);
}

/* What is not ordered is told as long as it runs, and never crowds out what is ordered. */
static void ordered_come_first(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        add_unit(p, i, "aaa");
        p->table.unit[i].kept.wanted = digest(0);
        p->table.unit[i].kept.state = SLOT_ABSENT;
        p->table.unit[i].run.phase = i < 30 ? RUN_STOPPING : RUN_NONE;
    }
    for (unsigned i = 0; i < 50; i++)
        add_unit(p, i, "bbb");

    struct report_parts parts = view(p);
    report_build(&parts, &p->report);
    assert_int_equal(p->report.n_payloads, PAYLOADS_MAX);
    unsigned ordered = 0;
    for (uint32_t i = 0; i < p->report.n_payloads; i++)
        ordered += p->report.payload[i].state == SLOT_COMMITTED;
    assert_int_equal(ordered, 50);
}

static void fill_transfers(struct port_transfers *t)
{
    t->n_transfers = PORT_TRANSFERS_MAX;
    for (uint32_t i = 0; i < PORT_TRANSFERS_MAX; i++) {
        struct transfer_status *s = &t->transfer[i];

        s->object[0] = (uint8_t)(i + 1);
        s->chunks = CHUNKS_MAX;
        s->n_missing = PORT_RANGES_MAX;
        s->more = 1;
        for (uint32_t k = 0; k < PORT_RANGES_MAX; k++)
            s->missing[k] = (struct transfer_range){ 1000 + k * 36, 18 };
    }
    t->n_complete = PORT_COMPLETE_MAX;
    for (uint32_t i = 0; i < PORT_COMPLETE_MAX; i++)
        t->complete[i][0] = (uint8_t)(i + 1);
}

/* The fullest satellite still reports all its payloads, and the newest of the rest. */
static void fullest_fits(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct bytes out = { 0 };
    struct err err = { 0 };
    char what[64];

    (void)state;
    for (unsigned i = 0; i < PAYLOADS_MAX; i++) {
        add_unit(p, i, "tenant-with-the-longest-of-names");
        p->table.unit[i].run = (struct run){ .phase = RUN_READY, .manifest = digest(9) };
        p->table.unit[i].restarts = UINT32_MAX;
        p->table.unit[i].kept.code = RC_CRASH_LOOP;
        p->usage[i].memory_kib = p->usage[i].cpu_ms = UINT32_MAX;
        (void)snprintf(p->usage[i].version, sizeof p->usage[i].version, "%032u", i);
    }
    events_init(&p->events, 1ULL << 40);
    for (unsigned i = 0; i < REPORT_EVENTS_MAX; i++) {
        (void)snprintf(what, sizeof what, "%060u", i);
        assert_true(events_add(&p->events, RC_BUNDLE_BLOCK_UNSUPPORTED, 1, what));
    }
    fill_transfers(&p->transfers);

    struct report_parts parts = view(p);
    doc_report_agent(&parts.agent);
    report_build(&parts, &p->report);
    assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
    assert_true(out.n <= REPORT_MAX);
    assert_rc(report_decode(out, &p->back, &err), RC_OK);
    assert_int_equal(p->back.n_payloads, PAYLOADS_MAX);
    assert_string_equal(p->back.agent.version, parts.agent.version);
    if (p->back.n_events > 0)
        assert_int_equal(p->back.event[p->back.n_events - 1].seq, p->events.seq);
    assert_true(p->back.n_events + p->back.n_transfers + p->back.n_objects > 0);
}

static void fill_usage(struct report *r)
{
    r->n_usage = TENANTS_MAX;
    for (uint32_t i = 0; i < TENANTS_MAX; i++) {
        (void)snprintf(r->usage[i].tenant, sizeof r->usage[i].tenant,
                       "tenant-with-the-longest-of-na-%02u", i);
        r->usage[i].store_kib = UINT32_MAX;
        for (size_t k = 0; k < USE_KINDS; k++)
            r->usage[i].use[k].kib = r->usage[i].use[k].files = UINT32_MAX;
    }
}

static void fill_scrub(struct report_scrub *s)
{
    *s = (struct report_scrub){ .rounds = UINT32_MAX,
                                .age_s = UINT32_MAX,
                                .files = UINT32_MAX,
                                .kib = UINT32_MAX,
                                .damaged = UINT32_MAX,
                                .repaired = UINT32_MAX,
                                .asked = UINT32_MAX,
                                .n_wanted = REPORT_WANTED_MAX };
    for (uint32_t i = 0; i < REPORT_WANTED_MAX; i++)
        s->wanted[i] = digest((uint8_t)(i + 1));
}

static void fill_links(struct report_keys *k)
{
    doc_report_keys(k);
    k->n_links = REPORT_LINKS_MAX;
    for (uint32_t i = 0; i < REPORT_LINKS_MAX; i++) {
        k->link[i] =
            (struct report_link){ .peer = UINT32_MAX - REPORT_LINKS_MAX + i, .epoch = UINT32_MAX };
        (void)snprintf(k->link[i].tenant, sizeof k->link[i].tenant,
                       "tenant-with-the-longest-of-names");
    }
}

/* All that a report can say at its longest: payloads, agent and what is needed for repairs are
 * never left out. */
static void fullest_of_all_fits(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    for (unsigned i = 0; i < PAYLOADS_MAX; i++) {
        add_unit(p, i, "tenant-with-the-longest-of-names");
        p->table.unit[i].run = (struct run){ .phase = RUN_READY, .manifest = digest(9) };
        p->table.unit[i].restarts = UINT32_MAX;
        p->table.unit[i].kept.code = RC_CRASH_LOOP;
        p->usage[i].memory_kib = p->usage[i].cpu_ms = UINT32_MAX;
        (void)snprintf(p->usage[i].version, sizeof p->usage[i].version, "%032u", i);
    }
    events_init(&p->events, 1ULL << 40);
    fill_transfers(&p->transfers);
    struct report_parts parts = view(p);
    parts.epoch = parts.seq = parts.time_ms = parts.generation = parts.staged = INT64_MAX;
    parts.lost = LOST_ALL;
    parts.passes_order = parts.passes_document = UINT32_MAX;
    doc_report_agent(&parts.agent);
    report_build(&parts, &p->report);
    fill_scrub(&p->report.scrub);
    fill_usage(&p->report);
    fill_links(&p->report.keys);
    p->report.traffic = (struct report_traffic){ INT64_MAX,
                                                 { INT64_MAX, INT64_MAX, 0, INT64_MAX },
                                                 { INT64_MAX, INT64_MAX, 0, INT64_MAX },
                                                 UINT32_MAX,
                                                 INT64_MAX,
                                                 INT64_MAX };

    assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
    assert_true(out.n <= REPORT_MAX);
    assert_rc(report_decode(out, &p->back, &err), RC_OK);
    assert_int_equal(p->back.n_payloads, PAYLOADS_MAX);
    assert_int_equal(p->back.scrub.n_wanted, REPORT_WANTED_MAX);
    assert_int_equal(p->back.scrub.damaged, UINT32_MAX);
    assert_string_equal(p->back.agent.version, parts.agent.version);
    assert_true(p->back.n_usage == 0 || p->back.n_usage == TENANTS_MAX);
}

/* Eight payloads of each of four tenants: what they take is told beside everything else. */
static void usage_is_told(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        add_unit(p, i, "acme");
    struct report_parts parts = view(p);
    report_build(&parts, &p->report);
    fill_scrub(&p->report.scrub);
    fill_usage(&p->report);
    assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
    assert_rc(report_decode(out, &p->back, &err), RC_OK);
    assert_int_equal(p->back.n_usage, TENANTS_MAX);
    assert_memory_equal(p->back.usage, p->report.usage, sizeof p->back.usage);
}

/* Who found no room in the spool; who did is left out. */
static void the_spool_is_told(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    add_unit(p, 0, "acme");
    p->transfers.spool.n = 3;
    p->transfers.spool.tenant[0] = (struct port_spool_tenant){ .count = { 1 } };
    p->transfers.spool.tenant[1] = (struct port_spool_tenant){ .name = "acme", .objects = 1 };
    p->transfers.spool.tenant[2] = (struct port_spool_tenant){
        .name = "bee", .objects = 2, .kib = 9, .count = { 0, 4, 5, 6 }
    };
    struct report_parts parts = view(p);
    report_build(&parts, &p->report);
    assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
    assert_rc(report_decode(out, &p->back, &err), RC_OK);
    assert_int_equal(p->back.n_spool, 2);
    assert_string_equal(p->back.spool[0].tenant, "");
    assert_int_equal(p->back.spool[0].count[SPOOL_REFUSED_ROOM], 1);
    assert_string_equal(p->back.spool[1].tenant, "bee");
    assert_int_equal(p->back.spool[1].kib, 9);
    assert_int_equal(p->back.spool[1].count[SPOOL_DROPPED_ROOM], 6);
}

/* Nonsense from berth-link must not silence the satellite. */
static void nonsense_transfers_are_left_out(void **state)
{
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    add_unit(p, 0, "acme");
    fill_transfers(&p->transfers);
    p->transfers.transfer[3].missing[4].first = 0; /* falls back */
    struct report_parts parts = view(p);
    report_build(&parts, &p->report);
    assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
    assert_rc(report_decode(out, &p->back, &err), RC_OK);
    assert_int_equal(p->back.n_payloads, 1);
    assert_int_equal(p->back.n_transfers, 0);
}

/* What is lost, and the passes, are there when there is something to say, in one encoding. */
static void says_what_is_lost(void **state)
{
    static const uint32_t values[][3] = { { 0, 0, 0 },
                                          { LOST_ROOT, 0, 0 },
                                          { 0, 7, 7 },
                                          { LOST_ALL, UINT32_MAX, 0 },
                                          { LOST_GRANT, 1, 1 } };
    scoped(free_ptr) struct parts *p = calloc(1, sizeof *p);
    struct err err = { 0 };
    size_t plain = 0;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct report_parts parts = view(p);
        struct bytes out = { 0 };

        parts.lost = values[i][0];
        parts.passes_order = values[i][1];
        parts.passes_document = values[i][2];
        report_build(&parts, &p->report);
        assert_rc(report_fit(&p->report, p->buf, &out, &err), RC_OK);
        assert_rc(report_decode(out, &p->back, &err), RC_OK);
        assert_int_equal(p->back.lost, values[i][0]);
        assert_int_equal(p->back.passes_order, values[i][1]);
        assert_int_equal(p->back.passes_document, values[i][2]);
        if (i == 0)
            plain = out.n;
        else
            assert_true(out.n > plain);
        for (size_t at = plain - 1; i > 0 && at < out.n; at++) /* cut short it is nothing */
            assert_int_not_equal(report_decode((struct bytes){ p->buf, at }, &p->back, &err),
                                 RC_OK);
        if (i == 1) {              /* a zero that is spelled out */
            p->buf[out.n - 3] = 0; /* behind it is the witness: there is none */
            assert_rc(report_decode(out, &p->back, &err), RC_VALUE);
            p->buf[out.n - 3] = LOST_ALL + 1;
            assert_rc(report_decode(out, &p->back, &err), RC_VALUE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_runs),      cmocka_unit_test(says_what_is_lost),
        cmocka_unit_test(ordered_come_first),  cmocka_unit_test(fullest_fits),
        cmocka_unit_test(fullest_of_all_fits), cmocka_unit_test(usage_is_told),
        cmocka_unit_test(the_spool_is_told),   cmocka_unit_test(nonsense_transfers_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
