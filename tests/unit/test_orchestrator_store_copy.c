/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "orchestrator/store_copy.h"
#include "tests/unit/store_rig.h"

static char dir[64], path[96], other_path[96];
static struct store *store;
static struct err err;

static int setup(void **state)
{
    struct store_satellite sat = { .id = "sat-1", .node = 101, .up = "/u", .down = "/d" };
    struct store_rollout rollout = {
        .tenant = "acme", .name = "cam", .state = ROLLOUT_RUNNING, .wave = 1, .fail_max = 1
    };
    uint64_t id = 0;

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-copy-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/one.sqlite", dir);
    (void)snprintf(other_path, sizeof other_path, "%s/two.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    assert_rc(store_put_document(store, DOC_GRANT, "b", 1, bytes_of("grant b"), 7, &err), RC_OK);
    assert_rc(store_put_document(store, DOC_GRANT, "a", 1, bytes_of("grant a"), 8, &err), RC_OK);
    assert_rc(store_add_rollout(store, &rollout, &id, &err), RC_OK);
    for (unsigned i = 1; i <= 5; i++)
        assert_rc(store_audit(store, "op", "push", i, &err, "number %u", i), RC_OK);
    return 0;
}

static int teardown(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    store_close(&store);
    assert_rc(fs_remove_tree(tmp, dir + strlen("/tmp/"), &err), RC_OK);
    return 0;
}

/* The order of documents, ids that go on, and the log with its head come along. */
static void a_copy_is_the_same(void **state)
{
    scoped(store_close) struct store *other = NULL;
    scoped(free_ptr) struct store_entry *entries = NULL;
    scoped(audit_walk_done) struct audit_walk was = { 0 }, is = { 0 };
    struct store_rollout rollout = { .tenant = "acme", .name = "gps", .state = ROLLOUT_RUNNING };
    struct store_heard heard = { .satellite = "sat-1", .contact = 1, .received_ms = 9 };
    uint64_t rows = 0, id = 0;
    size_t n = 0;

    (void)state;
    assert_rc(store_put_heard(store, &heard, &err), RC_OK);
    assert_rc(store_open(other_path, true, &other, &err), RC_OK);
    assert_rc(store_copy(store, other, &rows, &err), RC_OK);
    assert_int_equal(rows, 1 + 2 + 1 + 5 + 1 + 1); /* the head of the log, and what was heard */
    assert_rc(store_check(other, &err), RC_OK);
    assert_rc(store_audit_check(store, &was, &err), RC_OK);
    assert_rc(store_audit_check(other, &is, &err), RC_OK);
    assert_int_equal(is.entries, 5);
    assert_memory_equal(&is.head, &was.head, sizeof is.head);
    assert_rc(store_history(other, &entries, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_string_equal(entries[0].name, "b");
    assert_string_equal(entries[1].name, "a");
    assert_rc(store_add_rollout(other, &rollout, &id, &err), RC_OK);
    assert_int_equal(id, 2);
    heard.contact = 2;
    assert_rc(store_put_heard(other, &heard, &err), RC_OK); /* under an id of its own */
    assert_rc(store_audit(other, "op", "push", 6, &err, "goes on"), RC_OK);
}

static void only_into_an_empty_one(void **state)
{
    scoped(store_close) struct store *other = NULL;
    scoped(free_ptr) struct store_satellite *rows = NULL;
    uint64_t copied = 77;
    size_t n = 9;

    (void)state;
    assert_rc(store_open(other_path, true, &other, &err), RC_OK);
    assert_rc(store_audit(other, "op", "push", 1, &err, "its own"), RC_OK);
    assert_rc(store_copy(store, other, &copied, &err), RC_EXISTS);
    assert_int_equal(copied, 77);
    assert_rc(store_satellites(other, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 0); /* what was copied before that is gone again */
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    assert_rc(store_check(store, &err), RC_OK);
    assert_true(store_rig_sql(path, "ALTER TABLE heard DROP COLUMN waiting"));
    assert_rc(store_check(store, &err), RC_STORE);
    assert_non_null(strstr(err.what, "table heard has no column waiting"));
    assert_true(store_rig_sql(path, "DROP TABLE heard"));
    assert_rc(store_check(store, &err), RC_STORE);
    assert_non_null(strstr(err.what, "table heard is missing"));
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(a_copy_is_the_same),
        ROW(only_into_an_empty_one),
        ROW(what_is_missing_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
