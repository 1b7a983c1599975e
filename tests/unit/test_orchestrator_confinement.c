/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ground makes of walls and receipts in reports: what it shows, when it raises an alarm,
 * and what it writes down when a receipt is another than before.
 */
#include "tests/unit/test.h"

#include <fcntl.h>

#include "base/fs.h"
#include "base/walls.h"
#include "orchestrator/confinement.h"
#include "orchestrator/ingest.h"
#include "tests/unit/documents.h"

static char dir[64];
static struct store *store;
static struct report doc, heard;
static struct err err;

static int set_up(void **state)
{
    const struct store_satellite row = {
        .id = "aurora-1", .node = 101, .up = "up", .down = "down", .link_keys = "k"
    };
    char path[128];

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-confinement-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &row, &err), RC_OK);
    doc_report(&doc);
    doc_report_agent(&doc.agent);
    memset(&doc.payload[0].running, 0x33, sizeof doc.payload[0].running);
    doc_report_walls(&doc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&store);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

static uint64_t now_ms = NOW_MS;

static void hear(void)
{
    static uint8_t buf[REPORT_MAX];
    struct bytes bytes;

    doc.seq++;
    assert_rc(report_encode(&doc, buf, sizeof buf, &bytes, &err), RC_OK);
    assert_rc(ingest_report(store, doc.satellite, bytes, now_ms, &heard, &err), RC_OK);
}

/* The newest entry of the audit log says this, or there is none (NULL). */
static void assert_written(size_t n, const char *action, const char *detail)
{
    struct store_audit *list = NULL;
    size_t got = 0;

    assert_rc(store_audit_list(store, 10, &list, &got, &err), RC_OK);
    assert_int_equal(got, n);
    if (n > 0) {
        assert_string_equal(list[n - 1].entry.who, "berth-ground");
        assert_string_equal(list[n - 1].entry.action, action);
        assert_string_equal(list[n - 1].entry.what, detail);
    }
    free(list);
}

static void writes_down_another_receipt(void **state)
{
    (void)state;
    hear();
    hear();
    assert_written(0, NULL, NULL);
    doc.payload[0].receipt[7] = 0xbb;
    hear();
    assert_written(1, "receipt-changed",
                   "aurora-1 acme/cam-north: aaaaaaaaaaaaaabb, was aaaaaaaaaaaaaaaa");
    hear(); /* once */
    assert_written(1, "receipt-changed",
                   "aurora-1 acme/cam-north: aaaaaaaaaaaaaabb, was aaaaaaaaaaaaaaaa");
}

static void no_receipt(void)
{
    memset(doc.payload[0].receipt, 0, REPORT_RECEIPT_SIZE);
}

static void another_version(void)
{
    doc.payload[0].running.b[0]++;
    doc.payload[0].receipt[0]++;
}

static void another_agent(void)
{
    doc.agent.running.b[0]++;
    doc.payload[0].receipt[0]++;
}

static void another_payload(void)
{
    memcpy(doc.payload[0].name, "gps", 4);
    doc.payload[0].receipt[0]++;
}

static void nothing_said(void)
{
    no_receipt();
    memset(&doc.walls, 0, sizeof doc.walls);
}

/* Where there is a reason for it, it is no news. */
static void knows_what_changes_it(void **state)
{
    static void (*const changes[])(void) = { no_receipt, another_version, another_agent,
                                             another_payload, nothing_said };

    (void)state;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        doc_report_walls(&doc);
        doc.payload[0].running.b[1]++;
        hear();
        changes[i]();
        hear();
        assert_written(0, NULL, NULL);
    }
}

static void writes_down_other_walls(void **state)
{
    (void)state;
    hear();
    doc.walls.standing |= 0x80;
    doc.walls.missing = 0x10;
    doc.payload[0].receipt[0]++; /* walls are part of it */
    hear();
    assert_written(1, "walls-changed", "aurora-1: missing ipc-namespace, waived ipc-namespace");
}

/* A satellite that tells of another receipt or other walls with every report fills no log. */
static void an_hour_has_so_many_entries(void **state)
{
    (void)state;
    now_ms = NOW_MS / 3600000 * 3600000;
    hear();
    for (unsigned i = 0; i < CONFINEMENT_ENTRIES_MAX / 2 + 20; i++) {
        doc.payload[0].receipt[7] ^= 1;
        hear();
        doc.walls.landlock ^= 1;
        hear();
    }
    struct store_audit *list = NULL;
    size_t n = 0;

    assert_rc(store_audit_list(store, 100, &list, &n, &err), RC_OK);
    assert_int_equal(n, CONFINEMENT_ENTRIES_MAX);
    free(list);
    now_ms += 3599999;
    hear();
    assert_rc(store_audit_list(store, 100, &list, &n, &err), RC_OK);
    assert_int_equal(n, CONFINEMENT_ENTRIES_MAX);
    free(list);
    now_ms += 1;
    hear(); /* nothing new: but another hour */
    hear();
    assert_rc(store_audit_list(store, 100, &list, &n, &err), RC_OK);
    assert_int_equal(n, CONFINEMENT_ENTRIES_MAX + 1);
    assert_string_equal(list[n - 1].entry.action, "changes-left-out");
    assert_string_equal(list[n - 1].entry.what,
                        "aurora-1: 40 more changes of walls and receipts in one hour");
    free(list);
    doc.payload[0].receipt[7] ^= 1;
    hear();
    assert_rc(store_audit_list(store, 100, &list, &n, &err), RC_OK);
    assert_int_equal(n, CONFINEMENT_ENTRIES_MAX + 2);
    assert_string_equal(list[n - 1].entry.action, "receipt-changed");
    free(list);
    now_ms = NOW_MS;
}

static void alarm_of(const struct report *report, char out[CONFINEMENT_ALARM_CAP])
{
    const struct sight sight = sight_of(report);

    confinement_alarm(&sight, out);
}

static void raises_alarms(void **state)
{
    char text[CONFINEMENT_ALARM_CAP];

    (void)state;
    alarm_of(&doc, text); /* one is waived, one is optional */
    assert_string_equal(text, "");
    doc.walls.waived = 0;
    alarm_of(&doc, text);
    assert_string_equal(text, "ALARM WALLS: nothing is launched without ipc-namespace");
    doc.event[1].code = RC_DRIFT;
    (void)snprintf(doc.event[1].what, sizeof doc.event[1].what, "acme/cam-north: mounts");
    alarm_of(&doc, text);
    assert_string_equal(text, "ALARM DRIFT: acme/cam-north: mounts");
}

static void shows_names_and_receipts(void **state)
{
    (void)state;
    doc.walls.missing |= 1ULL << 62; /* of an agent that knows more than we do */
    json_t *got = confinement_json(&doc);
    json_t *want = json_pack("{s:[s,s,s], s:[s], s:i, s:i, s:[{s:s, s:s, s:s}]}", "missing",
                             "ipc-namespace", "time-namespace", "wall-62", "waived",
                             "ipc-namespace", "landlock", 7, "cgroup", 1, "receipts", "tenant",
                             "acme", "name", "cam-north", "receipt", "aaaaaaaaaaaaaaaa");

    assert_int_equal(json_array_size(json_object_get(got, "standing")), 30);
    assert_int_equal(json_object_del(got, "standing"), 0);
    assert_true(json_equal(got, want));
    json_decref(got);
    json_decref(want);
    nothing_said();
    got = confinement_json(&doc);
    assert_true(json_is_null(got));
    json_decref(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_down_another_receipt, set_up, tear_down),
        cmocka_unit_test_setup_teardown(knows_what_changes_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_down_other_walls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_hour_has_so_many_entries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(raises_alarms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shows_names_and_receipts, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
