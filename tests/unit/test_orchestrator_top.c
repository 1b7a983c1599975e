/* SPDX-License-Identifier: Apache-2.0
 *
 * What payloads take: out of the last report, the queue and what came, in the order that was asked
 * for, and with its age.
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

#define AGE_MS (2401ULL * 3600 * 1000) /* of reports: a hundred days and an hour */

static char dir[64];
static struct err err;

static void report(struct home *home, const char *sat, const uint32_t cpu[2],
                   const uint32_t memory[2], uint32_t restarts)
{
    static uint8_t buf[REPORT_MAX];
    static struct report r, back;
    struct bytes out;

    doc_report(&r);
    (void)snprintf(r.satellite, sizeof r.satellite, "%s", sat);
    r.n_payloads = 2;
    r.payload[1] = r.payload[0];
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(r.payload[i].tenant, sizeof r.payload[i].tenant, "%s",
                       i == 0 ? "acme" : "zenith");
        (void)snprintf(r.payload[i].name, sizeof r.payload[i].name, "cam");
        r.payload[i].is_running = true;
        r.payload[i].cpu_ms = cpu[i];
        r.payload[i].memory_kib = memory[i];
        r.payload[i].restarts = restarts;
    }
    assert_rc(report_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(home->store, sat, out, clock_unix_ms() - AGE_MS, &back, &err), RC_OK);
}

/* A package of acme/cam, of which so many bytes went to a satellite; and an order, which is
 * nobody's.
 */
static void sent(struct home *home, const char *sat, uint64_t bytes)
{
    struct store_package package = { .tenant = "acme", .name = "cam", .version = "1", .size = 9 };
    struct store_outgoing row = { .kind = 4, .class = CLASS_PACKAGE, .path = "objects/x" };
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;

    memset(package.object.b, 7, sizeof package.object.b);
    memset(package.manifest.b, 8, sizeof package.manifest.b);
    assert_rc(store_put_package(home->store, &package, &err), RC_OK);
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", sat);
    row.object = package.object;
    assert_rc(store_queue(home->store, &row, false, &err), RC_OK);
    row.object.b[0] = 1;
    row.kind = 3;
    row.class = CLASS_ORDER;
    assert_rc(store_queue(home->store, &row, false, &err), RC_OK);
    assert_rc(store_outgoing(home->store, sat, 0, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        rows[i].sent_bytes = bytes;
        assert_rc(store_update_outgoing(home->store, &rows[i], &err), RC_OK);
    }
}

static void came(struct home *home, const char *path, const char *name, const char *text)
{
    char file[256];

    assert_rc(fs_make_dirs(home->dirfd, path, 0700, &err), RC_OK);
    (void)snprintf(file, sizeof file, "%s/%s", path, name);
    assert_rc(fs_write_file(home->dirfd, file, bytes_of(text), 0600, &err), RC_OK);
}

static int make_home(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    static const char *const ids[] = { "aurora-1", "aurora-2", "aurora-3" };

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-top-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_rc(home_open(dir, true, &home, &err), RC_OK);
    for (uint64_t i = 0; i < 3; i++) {
        struct store_satellite sat = { .node = 101 + i, .up = "/u", .down = "/d" };

        (void)snprintf(sat.id, sizeof sat.id, "%s", ids[i]);
        assert_rc(store_put_satellite(home.store, &sat, &err), RC_OK);
    }
    report(&home, "aurora-1", (const uint32_t[]){ 1250, 90 }, (const uint32_t[]){ 512, 8192 }, 0);
    report(&home, "aurora-2", (const uint32_t[]){ 1250, UINT32_MAX }, (const uint32_t[]){ 1, 2 },
           3);
    sent(&home, "aurora-2", 4096);
    came(&home, "mail/acme/aurora-1/cam", "1-a", "12345");
    came(&home, "mail/acme/aurora-1/cam", "2-b", "123");
    came(&home, "mail/.logs/zenith/aurora-2/cam", "1-1-1", "123456789");
    return 0;
}

static int drop_home(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

/* What `berth top` prints with these words behind it. */
static char *top(int code, const char *words)
{
    char copy[128], *rest = copy, name[] = "berth", home[] = "--home", verb[] = "top";
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

static void check_order(const char *words, const char *const expected[4])
{
    scoped(free_ptr) char *out = top(CLI_OK, words);
    const char *at = out;

    for (int i = 0; i < 4; i++) {
        const size_t n = strlen(expected[i]);

        assert_int_equal(strncmp(at, expected[i], n), 0);
        assert_int_equal(at[n], '\n');
        at += n + 1;
    }
    assert_string_equal(at, "");
}

#define A1 "acme/cam@aurora-1"
#define Z1 "zenith/cam@aurora-1"
#define A2 "acme/cam@aurora-2"
#define Z2 "zenith/cam@aurora-2"

static void rows_come_in_the_order_that_is_asked_for(void **state)
{
    (void)state;
    check_order("-o name", (const char *const[]){ A1, Z1, A2, Z2 });
    check_order("-o name --sort cpu", (const char *const[]){ Z2, A1, A2, Z1 });
    check_order("-o name --sort memory", (const char *const[]){ Z1, A1, Z2, A2 });
    check_order("-o name --sort restarts", (const char *const[]){ A2, Z2, A1, Z1 });
    check_order("-o name --sort up", (const char *const[]){ A2, A1, Z1, Z2 });
    check_order("-o name --sort down", (const char *const[]){ A1, Z1, A2, Z2 });
    check_order("-o name --sort logs", (const char *const[]){ Z2, A1, Z1, A2 });
    check_order("-o name --sort age", (const char *const[]){ A1, Z1, A2, Z2 });
    free(top(CLI_USAGE, "--sort size"));
    free(top(CLI_STALE, "aurora-9"));
}

static const json_t *row_of(const json_t *list, const char *name)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(list, i), "name")), name) == 0)
            return json_array_get(list, i);
    fail_msg("%s is not there", name);
    return NULL;
}

static void check_number(const json_t *row, const char *name, uint64_t expected)
{
    assert_int_equal(json_integer_value(json_object_get(row, name)), expected);
}

static void each_figure_is_where_it_belongs(void **state)
{
    scoped(free_ptr) char *out = top(CLI_OK, "--json");
    json_t *answer = json_loads(out, 0, NULL);
    const json_t *list = json_object_get(answer, "payloads"), *row;

    (void)state;
    assert_int_equal(json_array_size(list), 4);
    row = row_of(list, A1);
    check_number(row, "cpu_ms", 1250);
    check_number(row, "memory_kib", 512);
    check_number(row, "up_bytes", 0);
    check_number(row, "down_bytes", 8);
    check_number(row, "log_bytes", 0);
    row = row_of(list, A2);
    check_number(row, "restarts", 3);
    check_number(row, "up_bytes", 4096); /* without the order */
    check_number(row, "down_bytes", 0);
    row = row_of(list, Z2);
    check_number(row, "cpu_ms", UINT32_MAX);
    check_number(row, "up_bytes", 0);
    check_number(row, "log_bytes", 9);
    assert_true(json_integer_value(json_object_get(row, "report_age_ms")) >= (json_int_t)AGE_MS);
    json_decref(answer);
}

static void the_table_tells_people(void **state)
{
    scoped(free_ptr) char *all = top(CLI_OK, "");
    scoped(free_ptr) char *one = top(CLI_OK, "aurora-2");
    scoped(free_ptr) char *none = top(CLI_OK, "aurora-3");

    (void)state;
    assert_non_null(strstr(all, "aurora-1"));
    assert_non_null(strstr(all, "1.2s"));
    assert_non_null(strstr(all, "49d")); /* 2^32 ms */
    assert_non_null(strstr(all, "8.0 MiB"));
    assert_non_null(strstr(all, "100d")); /* of the report */
    assert_null(strstr(one, "aurora-1"));
    assert_non_null(strstr(one, "4.0 KiB"));
    assert_non_null(strstr(none, "no satellite has reported"));
    for (const char *at = all; *at; at += strcspn(at, "\n") + 1)
        assert_true(strcspn(at, "\n") <= 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_the_order_that_is_asked_for),
        cmocka_unit_test(each_figure_is_where_it_belongs),
        cmocka_unit_test(the_table_tells_people),
    };

    return cmocka_run_group_tests_name("orchestrator/top", tests, make_home, drop_home);
}
