/* SPDX-License-Identifier: Apache-2.0
 *
 * Drift: what runs is looked for in every order that a satellite ever had, the newest first.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/drift.h"
#include "orchestrator/ingest.h"
#include "tests/unit/documents.h"

static char dir[64], path[96];
static struct store *store;
static struct err err;

static void add_order(uint64_t generation, uint8_t fill, enum order_state state)
{
    static struct signed_doc doc;
    struct order order = doc_order();
    struct store_order row = {
        .satellite = "aurora-1", .generation = generation, .state = state, .created_ms = 1
    };

    order.generation = generation;
    order.n_lines = 1;
    memset(&order.line[0].manifest, fill, sizeof order.line[0].manifest);
    doc_signed(&doc, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    row.object.b[0] = row.payload.b[0] = fill;
    assert_rc(store_add_order(store, &row, doc.bytes, &err), RC_OK);
}

static int open_store(void **state)
{
    const struct store_satellite sat = {
        .id = "aurora-1", .node = 101, .up = "/u", .down = "/d", .link_keys = "/k"
    };

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-drift-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    add_order(10, 1, ORDER_SUPERSEDED);
    add_order(11, 2, ORDER_ACKED);
    add_order(12, 3, ORDER_RELEASED);
    return 0;
}

static int close_store(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    store_close(&store);
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

/* A report of acme/cam-north that runs this; how many have drifted. */
static uint32_t drifted(uint64_t seq, uint8_t running, bool runs)
{
    scoped(view_free) struct view *view = NULL;
    static uint8_t buf[REPORT_MAX];
    static struct report r, back;
    uint32_t at[DRIFT_MAX], n = 9;
    struct bytes out;

    doc_report(&r);
    r.seq = seq;
    r.payload[0].is_running = runs;
    memset(&r.payload[0].running, running, sizeof r.payload[0].running);
    assert_rc(report_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(store, "aurora-1", out, NOW_MS, &back, &err), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(drift_find(store, &view->satellite[0], at, &n, &err), RC_OK);
    assert_int_equal(drift_has(&view->satellite[0], at, n, &view->satellite[0].seen->payload[0]),
                     n == 1);
    return n;
}

static void any_order_that_ever_was_names_it(void **state)
{
    (void)state;
    assert_int_equal(drifted(100, 3, true), 0);
    assert_int_equal(drifted(101, 2, true), 0);
    assert_int_equal(drifted(102, 1, true), 0);
    assert_int_equal(drifted(103, 4, true), 1);
    assert_int_equal(drifted(104, 1, true), 0);
}

/* Of many payloads in one report each is held against every order: the oldest one names the second
 * of three, and of the others the digest alone. */
static void all_payloads_of_a_report(void **state)
{
    scoped(view_free) struct view *view = NULL;
    static uint8_t buf[REPORT_MAX];
    static struct report r, back;
    static const char *const name[] = { "cam-east", "cam-north", "cam-south" };
    uint32_t at[DRIFT_MAX], n = 9;
    struct bytes out;

    (void)state;
    doc_report(&r);
    r.n_payloads = 3;
    for (uint32_t i = 0; i < 3; i++) {
        r.payload[i] = r.payload[0];
        (void)snprintf(r.payload[i].name, sizeof r.payload[i].name, "%s", name[i]);
        r.payload[i].is_running = true;
        memset(&r.payload[i].running, 1, sizeof r.payload[i].running);
    }
    assert_rc(report_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(store, "aurora-1", out, NOW_MS, &back, &err), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(drift_find(store, &view->satellite[0], at, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(at[0], 0);
    assert_int_equal(at[1], 2);
}

static void who_reported_nothing_has_not_drifted(void **state)
{
    scoped(view_free) struct view *view = NULL;
    uint32_t at[DRIFT_MAX], n = 9;

    (void)state;
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(drift_find(store, &view->satellite[0], at, &n, &err), RC_OK);
    assert_int_equal(n, 0);
}

static int end(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_order_that_ever_was_names_it, open_store, close_store),
        cmocka_unit_test_setup_teardown(all_payloads_of_a_report, open_store, close_store),
        cmocka_unit_test_setup_teardown(who_reported_nothing_has_not_drifted, open_store,
                                        close_store),
    };

    return cmocka_run_group_tests(tests, NULL, end);
}
