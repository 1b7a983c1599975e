/* SPDX-License-Identifier: Apache-2.0
 *
 * berth drift: names what runs and was never ordered, beside what is wanted, and ends with 3.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/ingest.h"
#include "tests/unit/documents.h"

static char dir[64];
static struct err err;

static void add_satellite(struct home *home, const char *id, uint64_t node, uint8_t ordered)
{
    static struct signed_doc doc;
    struct store_satellite sat = { .node = node, .up = "/u", .down = "/d" };
    struct store_order row = { .generation = 12, .state = ORDER_RELEASED, .created_ms = 1 };
    struct order order = doc_order();

    (void)snprintf(sat.id, sizeof sat.id, "%s", id);
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", id);
    assert_rc(store_put_satellite(home->store, &sat, &err), RC_OK);
    order.generation = 12;
    order.n_lines = 1;
    memset(&order.line[0].manifest, ordered, sizeof order.line[0].manifest);
    doc_signed(&doc, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    row.object.b[0] = row.payload.b[0] = (uint8_t)node;
    assert_rc(store_add_order(home->store, &row, doc.bytes, &err), RC_OK);
}

static void reports(const char *id, uint64_t seq, uint8_t running)
{
    scoped(home_close) struct home home = HOME_NONE;
    static uint8_t buf[REPORT_MAX];
    static struct report r, back;
    struct bytes out;

    assert_rc(home_open(dir, false, &home, &err), RC_OK);
    doc_report(&r);
    (void)snprintf(r.satellite, sizeof r.satellite, "%s", id);
    r.seq = seq;
    r.payload[0].is_running = true;
    memset(&r.payload[0].running, running, sizeof r.payload[0].running);
    assert_rc(report_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(home.store, id, out, clock_unix_ms(), &back, &err), RC_OK);
}

static int make_home(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct store_package package = { .tenant = "acme", .name = "cam-north", .version = "7.7" };

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-drift-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    memset(package.manifest.b, 3, sizeof package.manifest.b);
    memset(package.object.b, 9, sizeof package.object.b);
    assert_rc(store_put_package(home.store, &package, &err), RC_OK);
    add_satellite(&home, "aurora-1", 101, 3);
    add_satellite(&home, "aurora-2", 102, 3);
    return 0;
}

static int drop_home(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

/* What `berth drift` prints with these words behind it. */
static char *drift(int code, const char *words)
{
    char copy[128], *rest = copy, name[] = "berth", home[] = "--home", verb[] = "drift";
    char *argv[16] = { name, home, dir, verb };
    char *out = NULL, *why = NULL;
    size_t n = 0, m = 0;
    int argc = 4;
    struct cli_io io = { .out = open_memstream(&out, &n), .err = open_memstream(&why, &m) };

    (void)snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    assert_int_equal(cli_run(cmd_tables, argc, argv, &io), code);
    (void)fclose(io.out);
    (void)fclose(io.err);
    free(why);
    return out;
}

static void assert_says(int code, const char *words, const char *text)
{
    scoped(free_ptr) char *out = drift(code, words);

    if (!strstr(out, text))
        fail_msg("'%s' is not in: %s", text, out);
}

static void names_what_nobody_ordered(void **state)
{
    (void)state;
    assert_says(CLI_OK, "", "nothing runs that no order named");
    reports("aurora-1", 100, 3);
    reports("aurora-2", 100, 3);
    assert_says(CLI_OK, "", "nothing runs that no order named");
    assert_says(CLI_OK, "--json", "\"drifted\": []");
    reports("aurora-2", 101, 4);
    assert_says(CLI_CHANGES, "", "0404040404040404");
    assert_says(CLI_CHANGES, "", "7.7"); /* that is wanted */
    assert_says(CLI_CHANGES, "aurora-2 --json", "\"satellite\": \"aurora-2\"");
    assert_says(CLI_CHANGES, "--json", "\"want_version\": \"7.7\"");
    assert_says(CLI_OK, "aurora-1", "nothing runs that no order named");
    scoped(free_ptr) char *names = drift(CLI_CHANGES, "-o name");

    assert_string_equal(names, "acme/cam-north@aurora-2\n");
    free(drift(CLI_STALE, "aurora-9"));
    reports("aurora-2", 102, 3);
    assert_says(CLI_OK, "", "nothing runs that no order named");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_what_nobody_ordered, make_home, drop_home),
    };

    return cmocka_run_group_tests_name("orchestrator/drift_cmd", tests, NULL, NULL);
}
