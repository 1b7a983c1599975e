/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "orchestrator/store.h"
#include "orchestrator/store_schema.h"
#include "tests/unit/store_rig.h"

static char dir[64];
static char path[96];
static struct store *store;
static struct err err;

static int setup(void **state)
{
    struct store_satellite sat = { .id = "sat-1",
                                   .node = 101,
                                   .up = "/u",
                                   .down = "/d",
                                   .link_keys = "/k",
                                   .labels = "lot=1",
                                   .added_ms = 5 };

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-store-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    return 0;
}

/* fs_* resolve beneath a descriptor, so an absolute path is cut in two. */
static enum rc test_remove_dir(const char *absolute)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fs_remove_tree(tmp, absolute + strlen("/tmp/"), &err);
}

static int teardown(void **state)
{
    (void)state;
    store_close(&store);
    assert_rc(test_remove_dir(dir), RC_OK);
    return 0;
}

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(d.b, fill, sizeof d.b);
    return d;
}

static void missing_file_is_not_made(void **state)
{
    struct store *other = NULL;
    char gone[128];

    (void)state;
    (void)snprintf(gone, sizeof gone, "%s/none.sqlite", dir);
    assert_rc(store_open(gone, false, &other, &err), RC_STORE);
    assert_null(other);
}

static void another_schema_is_refused(void **state)
{
    const uint64_t ours = store_schema_number();
    const struct {
        uint64_t number;
        const char *made_by, *use;
    } rows[] = {
        { SCHEMA_OLDEST - 1, "an older", "a new home" },
        { ours + 1, "a newer", "that one" },
    };
    struct store *other = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char says[96];

        (void)snprintf(says, sizeof says, "%s berth (schema %llu, not %llu): use %s",
                       rows[i].made_by, (unsigned long long)rows[i].number,
                       (unsigned long long)ours, rows[i].use);
        assert_true(store_rig_number(path, rows[i].number));
        assert_rc(store_open(path, true, &other, &err), RC_STORE);
        assert_null(other);
        assert_non_null(strstr(err.what, says));
    }
}

static void each_step_makes_the_next_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < store_schema_n; i++)
        assert_int_equal(store_schema[i].number, SCHEMA_OLDEST + i);
}

static void the_schema_before_is_brought_up_to_date(void **state)
{
#define WITHOUT(table, column) "ALTER TABLE " table " DROP COLUMN " column ";"
#define NO_17 "DROP INDEX event_told; DROP TABLE news;" WITHOUT("event", "told")
#define NO_16 NO_17 WITHOUT("rollout", "soak_orbits") WITHOUT("wave", "period_ms")
#define NO_14 NO_16 "DROP INDEX order_state; DROP TABLE order_body;" WITHOUT("observed", "sight")
#define NO_13 NO_14 "DROP TABLE once;"
#define NO_11                                                                                      \
    NO_13 "DROP TABLE approval;" WITHOUT("wave", "retried_ms") WITHOUT("wave", "retried_epoch")    \
        WITHOUT("wave", "retried_seq") WITHOUT("wave", "excused") WITHOUT("rollout", "plan")       \
            WITHOUT("rollout", "approve") WITHOUT("rollout", "fail_pct")                           \
                WITHOUT("rollout", "fail_min") WITHOUT("rollout", "success_pct")                   \
                    WITHOUT("rollout", "silent_passes") WITHOUT("rollout", "silent_ms")            \
                        WITHOUT("rollout", "silent_skip") WITHOUT("rollout", "deadline_ms")
/* What was added since schema 8; the newest first. */
#define SINCE_8 NO_11 "DROP TABLE lease; DROP TABLE pass; "
#define NO_RECORDS                                                                                 \
    SINCE_8 "DROP TABLE reserved; DROP TABLE heard; DROP TABLE audit; DROP TABLE "                 \
            "audit_head; ALTER TABLE "                                                             \
            "audit_before RENAME "                                                                 \
            "TO audit;"
    static const struct {
        const char *sql;
        unsigned number;
    } back[] = {
        { NO_17, 16 },
        { NO_16, 15 },
        { NO_14, 13 },
        { NO_13, 12 },
        { NO_11, 10 },
        { NO_11 "DROP TABLE lease;", 9 },
        { SINCE_8, 8 },
        { SINCE_8 "DROP TABLE reserved;", 7 },
        { SINCE_8 "DROP TABLE reserved; DROP TABLE heard; ", 6 },
        { NO_RECORDS, 5 },
        { NO_RECORDS "DROP TABLE delta_failed; DROP TABLE base_changed; ", 4 },
        { NO_RECORDS "DROP TABLE delta_failed; DROP TABLE base_changed; DROP TABLE delta; DROP "
                     "TABLE full_only; "
                     "DROP INDEX "
                     "outgoing_object; ",
          3 },
    };

    (void)state;
    struct store_rollout row = { .tenant = "acme", .name = "cam", .state = 2, .fail_max = 3 };
    struct store_wave wave = { .index = 1, .satellite = "sat-1", .state = 2, .generation = 7 };

    assert_rc(store_set(store, "fleet", "aurora", &err), RC_OK);
    assert_rc(store_add_rollout(store, &row, &wave.rollout, &err), RC_OK);
    assert_rc(
        store_put_satellite(store, &(struct store_satellite){ .id = "sat-1", .node = 9 }, &err),
        RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_OK);
    store_close(&store);
    for (size_t i = 0; i < sizeof back / sizeof back[0]; i++) {
        scoped(store_close) struct store *other = NULL;
        scoped(store_close) struct store *third = NULL;
        scoped(free_ptr) struct store_delta *rows = NULL;
        struct store_delta_failed failed;
        const struct digest none = { .b = { 0 } };
        char value[16];
        size_t n = 9;

        assert_true(store_rig_sql(path, back[i].sql));
        assert_true(store_rig_number(path, back[i].number));
        assert_rc(store_open(path, false, &other, &err), RC_OK);
        assert_rc(store_open(path, false, &third, &err), RC_OK);
        assert_rc(store_get(other, "fleet", value, sizeof value, &err), RC_OK);
        assert_string_equal(value, "aurora");
        scoped(free_ptr) struct store_wave *waves = NULL;
        uint64_t next = 0;

        assert_rc(store_rollout(other, wave.rollout, &row, &err), RC_OK);
        assert_int_equal(row.fail_max, 3);
        assert_true(digest_is_none(&row.plan) && row.approve == 0);
        assert_rc(store_waves(other, wave.rollout, &waves, &n, &err), RC_OK);
        assert_true(n == 1 && waves[0].generation == 7 && waves[0].period_ms == 0);
        assert_int_equal(row.soak_orbits, 0);
        assert_rc(store_add_rollout(other, &row, &next, &err), RC_OK);
        assert_int_equal(next, wave.rollout + i + 1); /* no number comes twice */
        assert_rc(store_deltas(other, &rows, &n, &err), RC_OK);
        assert_int_equal(n, 0);
        assert_rc(store_delta_failed(other, &none, &none, &failed, &err), RC_NOT_FOUND);
    }
}

static struct store_delta delta_row(uint8_t base, uint8_t manifest, uint64_t used_ms)
{
    return (struct store_delta){ .base = digest_of(base),
                                 .manifest = digest_of(manifest),
                                 .state = DELTA_READY,
                                 .object = digest_of((uint8_t)(base + manifest)),
                                 .size = 100U + base,
                                 .memory = 4096,
                                 .made_ms = 5,
                                 .used_ms = used_ms };
}

static void deltas(void **state)
{
    struct store_delta a = delta_row(1, 2, 30), b = delta_row(2, 3, 20), got;
    scoped(free_ptr) struct store_delta *rows = NULL;
    scoped(free_ptr) struct store_delta *later = NULL;
    size_t n = 0;

    (void)state;
    assert_rc(store_put_delta(store, &a, &err), RC_OK);
    assert_rc(store_put_delta(store, &b, &err), RC_OK);
    assert_rc(store_delta(store, &a.base, &a.manifest, &got, &err), RC_OK);
    assert_memory_equal(&got, &a, sizeof a);
    assert_rc(store_delta(store, &a.manifest, &a.base, &got, &err), RC_NOT_FOUND);
    assert_rc(store_deltas(store, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(&rows[0], &b, sizeof b); /* unused for longer */
    assert_rc(store_use_delta(store, &b, 40, &err), RC_OK);
    a.state = DELTA_DROPPED;
    assert_rc(store_put_delta(store, &a, &err), RC_OK);
    assert_rc(store_deltas(store, &later, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(&later[0], &a, sizeof a);
    assert_int_equal(later[1].used_ms, 40);
    assert_int_equal(later[1].made_ms, 5);
}

static void where_only_the_full_package_works(void **state)
{
    struct store_full_only stranger = { .satellite = "sat-9", .manifest = digest_of(1) };
    struct store_full_only row = {
        .satellite = "sat-1", .manifest = digest_of(1), .code = RC_DELTA_BASE, .at_ms = 7
    };
    scoped(free_ptr) struct store_full_only *rows = NULL;
    scoped(free_ptr) struct store_full_only *none = NULL;
    size_t n = 0;

    (void)state;
    assert_rc(store_put_full_only(store, &stranger, &err), RC_EXISTS); /* no such satellite */
    assert_rc(store_put_full_only(store, &row, &err), RC_OK);
    row.code = RC_DELTA_STREAM;
    assert_rc(store_put_full_only(store, &row, &err), RC_OK);
    assert_rc(store_full_only(store, "sat-1", &rows, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].code, RC_DELTA_BASE);
    assert_rc(store_forget_observed(store, "sat-1", &err), RC_OK);
    assert_rc(store_full_only(store, NULL, &none, &n, &err), RC_OK);
    assert_int_equal(n, 0);
}

static void settings(void **state)
{
    char value[16] = "same";

    (void)state;
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_NOT_FOUND);
    assert_string_equal(value, "same");
    assert_rc(store_set(store, "fleet", "aurora", &err), RC_OK);
    assert_rc(store_set(store, "fleet", "borealis", &err), RC_OK);
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "borealis");
    assert_rc(store_get(store, "fleet", value, 4, &err), RC_STORE);
}

static void satellites(void **state)
{
    scoped(free_ptr) struct store_satellite *rows = NULL;
    struct store_satellite sat = { .id = "sat-0", .node = 101 };
    size_t n = 0;

    (void)state;
    assert_rc(store_put_satellite(store, &sat, &err), RC_EXISTS); /* node of sat-1 */
    sat.node = 100;
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    assert_rc(store_satellites(store, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].id, "sat-0");
    assert_string_equal(rows[1].labels, "lot=1");
    assert_int_equal(rows[1].added_ms, 5);
    assert_rc(store_satellite(store, "sat-9", &sat, &err), RC_NO_SATELLITE);
    assert_string_equal(sat.id, "sat-0");
    assert_rc(store_satellite(store, "sat-1", &sat, &err), RC_OK);
    assert_string_equal(sat.link_keys, "/k");
}

static void documents_do_not_equivocate(void **state)
{
    scoped(free_ptr) struct store_name *names = NULL;
    scoped(free_ptr) uint8_t *got = NULL;
    size_t n = 0;

    (void)state;
    assert_rc(store_put_document(store, DOC_GRANT, "acme", 1, bytes_of("one"), 1, &err), RC_OK);
    assert_rc(store_put_document(store, DOC_GRANT, "acme", 1, bytes_of("one"), 2, &err), RC_OK);
    assert_rc(store_put_document(store, DOC_GRANT, "acme", 1, bytes_of("two"), 2, &err),
              RC_EQUIVOCATION);
    assert_rc(store_put_document(store, DOC_GRANT, "acme", 2, bytes_of("three"), 3, &err), RC_OK);
    assert_rc(store_document(store, DOC_GRANT, "acme", &got, &n, &err), RC_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(got, "three", 5);
    assert_rc(store_documents(store, DOC_GRANT, &names, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(names[0].version, 2);
    assert_rc(store_document(store, DOC_ROOT, "root", &got, &n, &err), RC_NOT_FOUND);
}

static void packages(void **state)
{
    struct store_package row = { .tenant = "acme",
                                 .name = "cam",
                                 .version = "1.0",
                                 .release = 1,
                                 .manifest = digest_of(1),
                                 .object = digest_of(2),
                                 .size = 99,
                                 .path = "objects/02" };
    struct store_package got = { 0 };

    (void)state;
    assert_rc(store_put_package(store, &row, &err), RC_OK);
    assert_rc(store_put_package(store, &row, &err), RC_OK);
    row.manifest = digest_of(3);
    assert_rc(store_put_package(store, &row, &err), RC_EQUIVOCATION);
    assert_rc(store_package(store, "acme", "cam", "2.0", &got, &err), RC_NO_PACKAGE);
    row.manifest = digest_of(1);
    assert_rc(store_package_by_manifest(store, &row.manifest, &got, &err), RC_OK);
    assert_memory_equal(&got, &row, sizeof got);
}

static void generations_only_rise(void **state)
{
    struct store_order order = { .satellite = "sat-1", .generation = 3, .state = ORDER_HELD };
    struct store_order_filter filter = { .state = ORDER_HELD };
    scoped(free_ptr) struct store_order *rows = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct store_order newest;
    size_t n = 0;

    (void)state;
    assert_rc(store_newest_order(store, "sat-1", &newest, &err), RC_NOT_FOUND);
    assert_rc(store_add_order(store, &order, bytes_of("e3"), &err), RC_OK);
    assert_rc(store_add_order(store, &order, bytes_of("x"), &err), RC_ORDER_OLD);
    order.generation = 2;
    assert_rc(store_add_order(store, &order, bytes_of("x"), &err), RC_ORDER_OLD);
    order.generation = 4;
    order.rollout = 8;
    assert_rc(store_add_order(store, &order, bytes_of("e4"), &err), RC_OK);
    assert_rc(store_set_order_state(store, "sat-1", 3, ORDER_RELEASED, 77, &err), RC_OK);
    assert_rc(store_set_order_state(store, "sat-1", 9, ORDER_RELEASED, 77, &err), RC_NOT_FOUND);
    assert_rc(store_orders(store, &filter, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].generation, 4);
    assert_int_equal(rows[0].rollout, 8);
    assert_rc(store_newest_order(store, "sat-1", &newest, &err), RC_OK);
    assert_int_equal(newest.generation, 4);
    assert_rc(store_order_envelope(store, "sat-1", 3, &envelope, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(envelope, "e3", 2);
    memcpy(order.satellite, "sat-7", 6);
    order.generation = 5;
    assert_rc(store_add_order(store, &order, bytes_of("x"), &err), RC_EXISTS); /* foreign key */
}

static void outgoing_is_sent_once(void **state)
{
    struct store_outgoing row = { .satellite = "sat-1",
                                  .object = digest_of(9),
                                  .kind = 4,
                                  .class = CLASS_PACKAGE,
                                  .size = 1000,
                                  .path = "objects/09",
                                  .queued_ms = 10 };
    struct store_outgoing *got = NULL;
    size_t n = 0;

    (void)state;
    assert_rc(store_queue(store, &row, false, &err), RC_OK);
    row.state = OUTGOING_COMPLETE;
    row.sent_bytes = 500;
    assert_rc(store_update_outgoing(store, &row, &err), RC_OK);
    assert_rc(store_queue(store, &row, false, &err), RC_OK); /* complete: stays so */
    assert_rc(store_outgoing(store, "sat-1", 0, &got, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(got[0].state, OUTGOING_COMPLETE);
    assert_int_equal(got[0].sent_bytes, 500);
    free(got);
    assert_rc(store_queue(store, &row, true, &err), RC_OK);
    assert_rc(store_outgoing(store, NULL, OUTGOING_QUEUED, &got, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    free(got);
}

static void assert_pending(struct store_pending expected)
{
    struct store_pending is = { .root_version = 99 };

    assert_rc(store_pending(store, "sat-1", &is, &err), RC_OK);
    assert_int_equal(is.queued, expected.queued);
    assert_int_equal(is.rides, expected.rides);
    assert_int_equal(is.released, expected.released);
    assert_int_equal(is.root_version, expected.root_version);
}

/* Of this satellite, in these states, and of no other. */
static void what_a_report_has_to_do_with_is_told_at_once(void **state)
{
    struct store_order order = { .satellite = "sat-2", .generation = 3, .state = ORDER_RELEASED };
    struct store_outgoing out = { .satellite = "sat-2", .object = digest_of(3), .path = "o" };
    struct store_delta delta = delta_row(1, 2, 30);

    (void)state;
    out.class = CLASS_PACKAGE;
    assert_rc(
        store_put_satellite(store, &(struct store_satellite){ .id = "sat-2", .node = 2 }, &err),
        RC_OK);
    assert_rc(store_put_delta(store, &delta, &err), RC_OK);
    assert_rc(store_add_order(store, &order, bytes_of("e"), &err), RC_OK);
    assert_rc(store_queue(store, &out, false, &err), RC_OK);
    assert_rc(store_put_document(store, DOC_GRANT, "root", 7, bytes_of("g"), 1, &err), RC_OK);
    assert_pending((struct store_pending){ .root_version = 0 });
    assert_rc(store_put_document(store, DOC_ROOT, "root", 1, bytes_of("r"), 1, &err), RC_OK);
    assert_rc(store_put_document(store, DOC_ROOT, "root", 2, bytes_of("s"), 1, &err), RC_OK);
    memcpy(out.satellite, "sat-1", 6);
    assert_rc(store_queue(store, &out, false, &err), RC_OK);
    assert_pending((struct store_pending){ .queued = true, .rides = true, .root_version = 2 });
    out.state = OUTGOING_COMPLETE;
    assert_rc(store_update_outgoing(store, &out, &err), RC_OK);
    assert_pending((struct store_pending){ .rides = true, .root_version = 2 });
    delta.state = DELTA_NO_GAIN;
    assert_rc(store_put_delta(store, &delta, &err), RC_OK);
    memcpy(order.satellite, "sat-1", 6);
    assert_rc(store_add_order(store, &order, bytes_of("e"), &err), RC_OK);
    assert_pending((struct store_pending){ .released = true, .root_version = 2 });
    assert_rc(store_set_order_state(store, "sat-1", 3, ORDER_ACKED, 7, &err), RC_OK);
    assert_pending((struct store_pending){ .root_version = 2 });
}

static void reports_only_get_newer(void **state)
{
    static const struct {
        uint64_t epoch, seq;
        enum rc rc;
    } rows[] = {
        { 2, 5, RC_OK },         { 2, 5, RC_REPORT_OLD }, { 2, 4, RC_REPORT_OLD },
        { 1, 9, RC_REPORT_OLD }, { 2, 6, RC_OK },         { 3, 0, RC_OK },
    };
    struct store_observed row = { .satellite = "sat-1", .received_ms = 1 };
    scoped(free_ptr) uint8_t *report = NULL;
    size_t n = 0;

    (void)state;
    assert_rc(store_report(store, "sat-1", &row, &report, &n, &err), RC_NOT_FOUND);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row.epoch = rows[i].epoch;
        row.seq = rows[i].seq;
        assert_rc(store_put_report(store, &row, bytes_of("cbor"), (struct bytes){ 0 }, &err),
                  rows[i].rc);
    }
    assert_rc(store_report(store, "sat-1", &row, &report, &n, &err), RC_OK);
    assert_int_equal(row.epoch, 3);
    assert_int_equal(n, 4);
}

static void events_are_merged(void **state)
{
    struct store_event row = { .satellite = "sat-1", .code = 164, .what = "bundle" };
    scoped(free_ptr) struct store_event *got = NULL;
    size_t n = 0;

    (void)state;
    for (uint64_t seq = 1; seq <= 5; seq++) {
        row.seq = seq;
        row.count = (uint32_t)seq;
        row.received_ms = 100 * seq;
        assert_rc(store_put_event(store, &row, &err), RC_OK);
    }
    row.count = 2; /* an older view of event 5 changes nothing */
    assert_rc(store_put_event(store, &row, &err), RC_OK);
    assert_rc(store_events(store, "sat-1", 2, &got, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(got[0].seq, 4);
    assert_int_equal(got[1].count, 5);
}

/* What is new or counted higher has the next number, whatever was forgotten meanwhile. */
static void news_are_numbered(void **state)
{
    struct store_event row = { .satellite = "sat-1", .code = 164, .what = "x", .received_ms = 900 };
    scoped(free_ptr) struct store_event *all = NULL, *one = NULL, *late = NULL;
    uint64_t told = 9;
    size_t n = 0;

    (void)state;
    assert_rc(
        store_put_satellite(store, &(struct store_satellite){ .id = "sat-2", .node = 2 }, &err),
        RC_OK);
    assert_rc(store_news(store, &told, &err), RC_OK);
    assert_int_equal(told, 0);
    for (uint64_t seq = 3; seq > 0; seq--) {
        row.seq = seq;
        row.received_ms += 100 * (seq % 2); /* neither the time nor the number is the order */
        assert_rc(store_put_event(store, &row, &err), RC_OK);
        assert_rc(store_put_event(store, &row, &err), RC_OK); /* told already */
    }
    row = (struct store_event){ .satellite = "sat-2", .seq = 1, .count = 1 };
    assert_rc(store_put_event(store, &row, &err), RC_OK);
    row = (struct store_event){ .satellite = "sat-1", .seq = 3, .count = 7 };
    assert_rc(store_put_event(store, &row, &err), RC_OK);
    assert_rc(store_events_after(store, NULL, 1, 9, &all, &n, &err), RC_OK);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(all[i].told, i + 2);
    assert_true(all[3].seq == 3 && all[3].count == 7 && all[3].received_ms == 1000);
    assert_rc(store_events_after(store, "sat-1", 0, 2, &one, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_true(one[0].seq == 2 && one[1].seq == 1);
    assert_rc(store_trim_events(store, "sat-1", 0, &err), RC_OK);
    assert_rc(store_trim_events(store, "sat-2", 0, &err), RC_OK);
    assert_rc(store_news(store, &told, &err), RC_OK);
    assert_int_equal(told, 5);
    assert_rc(store_put_event(store, &row, &err), RC_OK);
    assert_rc(store_events_after(store, NULL, told, 9, &late, &n, &err), RC_OK);
    assert_true(n == 1 && late[0].told == 6);
}

static void rollouts_and_waves(void **state)
{
    struct store_rollout row = { .fail_max = 2,
                                 .soak_ms = 5000,
                                 .soak_orbits = 3,
                                 .tenant = "acme",
                                 .name = "cam",
                                 .from = "1",
                                 .to = "2",
                                 .state = ROLLOUT_RUNNING,
                                 .wave = 1,
                                 .created_ms = 50 };
    struct store_wave wave = {
        .index = 1, .satellite = "sat-1", .state = WAVE_WAITING, .period_ms = 5700000
    };
    scoped(free_ptr) struct store_rollout *rollouts = NULL;
    scoped(free_ptr) struct store_wave *waves = NULL;
    struct store_rollout got;
    uint64_t id = 0;
    size_t n = 0;

    (void)state;
    assert_rc(store_add_rollout(store, &row, &id, &err), RC_OK);
    assert_int_equal(id, 1);
    wave.rollout = id;
    assert_rc(store_add_wave(store, &wave, &err), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_EXISTS);
    assert_rc(store_set_wave_state(store, id, 1, WAVE_FAILED, 77, &err), RC_OK);
    assert_rc(store_set_wave_state(store, id, 2, WAVE_FAILED, 77, &err), RC_NOT_FOUND);
    assert_rc(store_waves(store, id, &waves, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(waves[0].state, WAVE_FAILED);
    assert_int_equal(waves[0].healthy_ms, 77);
    assert_int_equal(waves[0].period_ms, 5700000);
    assert_rc(store_rollout(store, id, &got, &err), RC_OK);
    assert_int_equal(got.fail_max, 2);
    assert_int_equal(got.soak_ms, 5000);
    assert_int_equal(got.soak_orbits, 3);
    got.state = ROLLOUT_PAUSED;
    (void)snprintf(got.reason, sizeof got.reason, "sat-1: HEALTH_TIMEOUT");
    assert_rc(store_update_rollout(store, &got, &err), RC_OK);
    assert_rc(store_rollouts(store, ROLLOUT_PAUSED, &rollouts, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_string_equal(rollouts[0].reason, "sat-1: HEALTH_TIMEOUT");
    assert_rc(store_rollout(store, 77, &got, &err), RC_NOT_FOUND);
}

static void abandoned_transaction_leaves_nothing(void **state)
{
    char value[8];

    (void)state;
    {
        scoped(store_rollback) struct store *open = NULL;

        assert_rc(store_begin(store, &open, &err), RC_OK);
        assert_rc(store_set(store, "fleet", "x", &err), RC_OK);
        assert_rc(store_audit(store, "me", "apply", 1, &err, "one"), RC_OK); /* joins */
    }
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_NOT_FOUND);
    {
        scoped(store_rollback) struct store *open = NULL;

        assert_rc(store_begin(store, &open, &err), RC_OK);
        assert_rc(store_set(store, "fleet", "y", &err), RC_OK);
        assert_rc(store_commit(&open, &err), RC_OK);
    }
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
}

/* Parts of a transaction: one is undone, with a statement in it that failed, and the others stay.
 */
static void a_part_is_undone_alone(void **state)
{
    static const char *const keys[] = { "a", "b", "c" };
    scoped(store_rollback) struct store *open = NULL;
    char value[8];

    (void)state;
    assert_rc(store_begin(store, &open, &err), RC_OK);
    for (size_t i = 0; i < 3; i++) {
        scoped(store_undo) struct store *mark = NULL;
        const struct store_wave nobodys = { .rollout = 77, .index = 1, .satellite = "sat-9" };

        assert_rc(store_mark(store, &mark, &err), RC_OK);
        assert_rc(store_set(store, keys[i], "1", &err), RC_OK);
        assert_rc(store_add_wave(store, &nobodys, &err), RC_EXISTS);
        assert_rc(store_set(store, keys[i], "2", &err), RC_OK);
        if (i != 1)
            assert_rc(store_pass_mark(&mark, &err), RC_OK);
    }
    assert_rc(store_set(store, "d", "2", &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    assert_rc(store_get(store, "a", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "2");
    assert_rc(store_get(store, "b", value, sizeof value, &err), RC_NOT_FOUND);
    assert_rc(store_get(store, "c", value, sizeof value, &err), RC_OK);
    assert_rc(store_get(store, "d", value, sizeof value, &err), RC_OK);
}

/* Parts without a statement, or whose first one fails, leave the others alone. */
static void a_part_may_be_empty_or_fail_at_once(void **state)
{
    const struct store_wave nobodys = { .rollout = 77, .index = 1, .satellite = "sat-9" };
    scoped(store_rollback) struct store *open = NULL;
    char value[8];

    (void)state;
    assert_rc(store_begin(store, &open, &err), RC_OK);
    for (size_t i = 0; i < 40; i++) {
        scoped(store_undo) struct store *mark = NULL;

        assert_rc(store_mark(store, &mark, &err), RC_OK);
        if (i == 10)
            assert_rc(store_set(store, "a", "1", &err), RC_OK);
        if (i == 11 || i == 30)
            assert_rc(store_add_wave(store, &nobodys, &err), RC_EXISTS);
        if (i == 31)
            assert_rc(store_set(store, "b", "1", &err), RC_OK);
        if (i < 11 || i > 31)
            assert_rc(store_pass_mark(&mark, &err), RC_OK);
    }
    assert_rc(store_commit(&open, &err), RC_OK);
    assert_rc(store_get(store, "a", value, sizeof value, &err), RC_OK);
    assert_rc(store_get(store, "b", value, sizeof value, &err), RC_NOT_FOUND);
}

/* Whoever asked may go on: what the statement did is undone, and nothing else. */
static void failed_statement_undoes_itself_only(void **state)
{
    struct store_rollout row = { .fail_max = 2,
                                 .tenant = "acme",
                                 .name = "cam",
                                 .from = "1",
                                 .to = "2",
                                 .state = ROLLOUT_RUNNING,
                                 .wave = 1,
                                 .created_ms = 50 };
    struct store_wave wave = { .index = 1, .satellite = "sat-1", .state = WAVE_WAITING };
    struct store_wave nobodys = { .rollout = 77, .index = 1, .satellite = "sat-9" };
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct store_wave *waves = NULL;
    char value[8];
    size_t n = 0;

    (void)state;
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(store_add_rollout(store, &row, &wave.rollout, &err), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_EXISTS);
    assert_rc(store_add_wave(store, &wave, &err), RC_EXISTS); /* right behind one that failed */
    assert_rc(store_set(store, "fleet", "x", &err), RC_OK);
    assert_rc(store_add_wave(store, &nobodys, &err), RC_EXISTS); /* a foreign key */
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    wave.index = 2;
    assert_rc(store_add_wave(store, &wave, &err), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_EXISTS);
    assert_rc(store_audit(store, "me", "apply", 1, &err, "one"), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_EXISTS);
    assert_rc(store_commit(&open, &err), RC_OK); /* right behind one that failed */
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "x");
    assert_rc(store_waves(store, wave.rollout, &waves, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    /* none of it ends up outside of the transaction */
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(store_set(store, "fleet", "y", &err), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_EXISTS);
    assert_rc(store_set(store, "fleet", "z", &err), RC_OK);
    store_rollback(&open);
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "x");
}

/* What a command shows is of one moment, also while the daemon writes. */
static void reading_is_of_one_moment(void **state)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store *other = NULL;
    char value[32];

    (void)state;
    assert_rc(store_open(path, false, &other, &err), RC_OK);
    assert_rc(store_set(store, "fleet", "before", &err), RC_OK);
    assert_rc(store_begin_read(store, &open, &err), RC_OK);
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    assert_rc(store_set(other, "fleet", "after", &err), RC_OK); /* a reader stops no writer */
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "before");
    store_rollback(&open);
    assert_rc(store_get(store, "fleet", value, sizeof value, &err), RC_OK);
    assert_string_equal(value, "after");
    store_close(&other);
}

static void others_changes_are_seen(void **state)
{
    scoped(store_close) struct store *other = NULL;
    uint64_t before = 0, own = 0, after = 0;

    (void)state;
    assert_rc(store_open(path, false, &other, &err), RC_OK);
    assert_rc(store_watch(store, &before, &err), RC_OK);
    assert_rc(store_set(store, "a", "1", &err), RC_OK);
    assert_rc(store_watch(store, &own, &err), RC_OK);
    assert_int_equal(own, before);
    assert_rc(store_set(other, "a", "2", &err), RC_OK);
    assert_rc(store_watch(store, &after, &err), RC_OK);
    assert_int_not_equal(after, before);
}

static void audit_is_a_chain(void **state)
{
    scoped(free_ptr) struct store_audit *rows = NULL;
    scoped(audit_walk_done) struct audit_walk walk = { 0 }, none = { 0 };
    struct digest head = { 0 };
    uint64_t seq = 0;
    size_t n = 0;

    (void)state;
    for (unsigned i = 1; i <= 3; i++)
        assert_rc(store_audit(store, "op", "apply", i, &err, "plan %u", i), RC_OK);
    assert_rc(store_audit_check(store, &walk, &err), RC_OK);
    assert_int_equal(walk.entries, 3);
    assert_int_equal(walk.n_signed, 0);
    assert_rc(store_audit_head(store, &seq, &head, &err), RC_OK);
    assert_int_equal(seq, 3);
    assert_rc(store_audit_list(store, 2, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[1].entry.seq, 3);
    assert_string_equal(rows[0].entry.what, "plan 2");
    assert_memory_equal(&rows[1].hash, &head, sizeof head);
    assert_memory_equal(&walk.head, &head, sizeof head);

    assert_false(store_rig_sql(path, "DELETE FROM audit WHERE seq = 2"));
    /* Whoever drops the triggers first is found out by the hashes. */
    assert_true(store_rig_unguard(path));
    assert_true(store_rig_sql(path, "UPDATE audit SET record = (SELECT record FROM audit WHERE "
                                    "seq = 1) WHERE seq = 2"));
    assert_rc(store_audit_check(store, &none, &err), RC_AUDIT_BROKEN);
    assert_non_null(strstr(err.what, "behind entry 1 stands entry 1"));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(missing_file_is_not_made),
        ROW(another_schema_is_refused),
        ROW(each_step_makes_the_next_number),
        ROW(the_schema_before_is_brought_up_to_date),
        ROW(deltas),
        ROW(where_only_the_full_package_works),
        ROW(settings),
        ROW(satellites),
        ROW(documents_do_not_equivocate),
        ROW(packages),
        ROW(generations_only_rise),
        ROW(outgoing_is_sent_once),
        ROW(what_a_report_has_to_do_with_is_told_at_once),
        ROW(reports_only_get_newer),
        ROW(events_are_merged),
        ROW(news_are_numbered),
        ROW(rollouts_and_waves),
        ROW(abandoned_transaction_leaves_nothing),
        ROW(failed_statement_undoes_itself_only),
        ROW(a_part_is_undone_alone),
        ROW(a_part_may_be_empty_or_fail_at_once),
        ROW(reading_is_of_one_moment),
        ROW(others_changes_are_seen),
        ROW(audit_is_a_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
