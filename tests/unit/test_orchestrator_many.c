/* SPDX-License-Identifier: Apache-2.0
 *
 * Thousands of satellites: a fleet file of so many is planned and applied, and a rollout on all of
 * them opens wave after wave, each within what the file says, until it is complete.  What takes a
 * look at every satellite for each of them does not end here.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/advance.h"
#include "orchestrator/fleet.h"
#include "orchestrator/ground.h"
#include "orchestrator/home.h"
#include "orchestrator/ingest.h"
#include "orchestrator/plan_waves.h"
#include "tests/unit/stored_order.h"

#include "tests/unit/berth_run.h" /* behind: it names an err */

#if defined(BERTH_SANITIZED)
#define SATS 400U
#else
#define SATS 5000U
#endif
#define PLANES 50U
#define FEW (SATS / 10U) /* that change by an apply: each is an order to sign */
#define CANARIES 10U
#define WAVES 4U
#define NOW 100000000ULL

static struct fleet *fleet;
static struct store *store;
static uint64_t released;

static char *name_of(uint32_t i, char ret[NAME_CAP])
{
    (void)snprintf(ret, NAME_CAP, "sat-%05u", i);
    return ret;
}

/* ---- the file ---- */

static void put_fleet(void)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    (void)fputs("fleet: aurora\nsatellites:\n", f);
    for (uint32_t i = 0; i < SATS; i++)
        (void)fprintf(f, "  - {id: sat-%05u, labels: {plane: p%u, lot: %s%s}}\n", i, i % PLANES,
                      i < FEW ? "new" : "old", i % (SATS / CANARIES) == 7 ? ", canary: yes" : "");
    (void)fputs("desired:\n  - {select: all, payloads: {acme/cam: 1.0}}\nrollout:\n  default:\n"
                "    waves: [100%]\n    first: [{n: 10, label: canary}, 5%, 25%, 100%]\n"
                "    spread: {plane: 80%}\n    fail: {pct: 5%, min: 3}\n",
                f);
    assert_int_equal(fclose(f), 0);
    put("fleet.yaml", text, 0644);
    char *all = strstr(text, "select: all");

    assert_non_null(all);
    memcpy(all, "select: lot=new, payloads: {acme/cam: 1.0}}\nrollout: {}\n",
           strlen("select: lot=new, payloads: {acme/cam: 1.0}}\nrollout: {}\n") + 1);
    put("few.yaml", text, 0644);
    free(text);
}

static void put_satellites(void)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(store_rollback) struct store *open = NULL;
    char path[PATH_MAX];

    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_begin(home.store, &open, &err), RC_OK);
    for (uint32_t i = 0; i < SATS; i++) {
        struct store_satellite row = { .node = 100 + i, .up = "u", .down = "d", .link_keys = "k" };

        (void)name_of(i, row.id);
        assert_rc(store_put_satellite(home.store, &row, &err), RC_OK);
    }
    assert_rc(store_commit(&open, &err), RC_OK);
}

static int begin_many(void **state)
{
    static const char *const words[] = {
        "key new root --role root --out keys",
        "key new op --role operator --out keys",
        "key new acme --role tenant --out keys",
        "fleet init aurora --root keys/root.key --operator keys/op.key --out root.cose",
        "grant acme --keys keys/acme.pub --quota grant.yaml",
        "build cam --level 1 --key keys/acme.key --root root.cose --out p",
        "push p",
    };

    (void)!begin(state);
    (void)setenv("BERTH_HOME", "home", 1);
    put("grant.yaml",
        "memory: 64M\ncpu: 100%\npids: 64\ndata: 16M\ntmp: 16M\nfiles: 128\nstore: 64M\n"
        "payloads: 4\nexpires: 30d\n",
        0644);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    put("cam/rootfs/bin/cam", "#!/bin/self\n", 0755);
    put("cam/payload.yaml",
        "name: cam\ntenant: acme\nversion: 1.0\nrelease: 1\nexec: [/bin/cam]\nroot: rootfs\n"
        "arch: any\nresources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
        "health: {type: alive, ready: 2s}\n",
        0644);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_berth(words[i], 0);
    put_satellites();
    put_fleet();
    return 0;
}

/* What the last program said, all of it. */
static void assert_told(const char *text)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    const size_t n = slurp("said", &bytes);

    if (!memmem(bytes, n, text, strlen(text)))
        fail_msg("did not say '%s'", text);
}

static void is_planned_and_applied(void **state)
{
    char text[96];

    (void)state;
    assert_berth("plan fleet.yaml", 3);
    print_to(text, sizeof text, ": %u satellites\n", SATS);
    assert_told(text);
    assert_told("wave 1 of 4: sat-00007");
    print_to(text, sizeof text, "fleet aurora: %u of %u satellites change", SATS, SATS);
    assert_told(text);
    assert_berth("apply few.yaml --key keys/op.key", 0);
    assert_berth("rollout status", 0);
    print_to(text, sizeof text, "sat-%05u", FEW - 1);
    assert_told(text);
    assert_berth("plan fleet.yaml", 3);
    assert_told("rollout 1 is under way on sat-00000");
}

/* ---- berth-ground, which has fewer links ---- */

#define ROUNDS 3U

/* None of them can be opened.  What it says of that goes into the file. */
static void run_rounds(void)
{
    char path[PATH_MAX];
    struct ground_options options = { .home = path, .up_budget = 1000, .up_files = 10 };
    scoped(ground_close) struct ground *ground = NULL;

    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(ground_open(&options, &ground, &err), RC_OK);
    for (uint64_t i = 1; i <= ROUNDS; i++)
        assert_rc(ground_tick(ground, i, NOW + i, &err), RC_OK);
}

static unsigned count_told(const char *text)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    const size_t n = slurp("said", &bytes);
    const uint8_t *end = bytes + n;
    unsigned times = 0;

    for (const uint8_t *at = bytes; (at = memmem(at, (size_t)(end - at), text, strlen(text))); at++)
        times++;
    return times;
}

static void tries_all_of_them_in_turn(void **state)
{
    scoped(close_fd) int out = -1, was = dup(2);

    (void)state;
    assert_true(was >= 0);
    assert_rc(fs_open(dirfd, "said", O_RDWR | O_CREAT | O_TRUNC, 0600, &out, &err), RC_OK);
    assert_int_equal(dup2(out, 2), 2);
    run_rounds();
    assert_int_equal(dup2(was, 2), 2);
    assert_int_equal(count_told("link satellite=sat-00000"), 1);
    assert_int_equal(count_told("link satellite=sat-00255"), 1);
    assert_int_equal(count_told("link satellite=sat-00399"), 1);
}

/* ---- a rollout on all of them ---- */

static void add_order(const char *satellite)
{
    struct order order = { .generation = 1, .issued_ms = 1, .n_lines = 1 };

    (void)snprintf(order.satellite, sizeof order.satellite, "%s", satellite);
    (void)snprintf(order.line[0].tenant, NAME_CAP, "acme");
    (void)snprintf(order.line[0].name, NAME_CAP, "cam");
    memset(order.line[0].manifest.b, 1, DIGEST_SIZE);
    stored_order(store, &order, (struct store_order){ .state = ORDER_HELD, .rollout = 1 });
}

/* Who is in which wave, as the file says. */
static uint32_t divide(uint32_t wave[SATS])
{
    static uint32_t which[SATS];
    struct plan_dealing dealing = { .fleet = fleet,
                                    .n_waves = fleet->policy[0].n_first,
                                    .wave = fleet->policy[0].first,
                                    .n = SATS,
                                    .which = which };
    uint32_t n = 0;

    for (uint32_t i = 0; i < SATS; i++)
        which[i] = i;
    assert_rc(plan_spread(&dealing, &fleet->policy[0], &err), RC_OK);
    assert_rc(plan_waves(&dealing, wave, &n, &err), RC_OK);
    return n;
}

static void add_rollout(const uint32_t wave[SATS])
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_rollout row = { .state = ROLLOUT_RUNNING, .fail_max = 1, .created_ms = NOW };
    uint64_t id = 0;

    (void)snprintf(row.tenant, sizeof row.tenant, "acme");
    (void)snprintf(row.name, sizeof row.name, "cam");
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(store_add_rollout(store, &row, &id, &err), RC_OK);
    for (uint32_t i = 0; i < SATS; i++) {
        struct store_satellite sat = { .node = 100 + i, .up = "u", .down = "d", .link_keys = "k" };
        struct store_wave task = {
            .rollout = id, .index = wave[i] + 1, .state = WAVE_WAITING, .generation = 1
        };

        (void)name_of(i, sat.id);
        (void)name_of(i, task.satellite);
        assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
        assert_rc(store_add_wave(store, &task, &err), RC_OK);
        add_order(sat.id);
    }
    assert_rc(store_commit(&open, &err), RC_OK);
}

/* All of a wave run what they were ordered to. */
static void report_wave(const uint32_t wave[SATS], uint32_t which)
{
    scoped(store_rollback) struct store *open = NULL;
    static struct report report, back;
    static uint8_t buf[REPORT_MAX];
    struct bytes bytes;

    assert_rc(store_begin(store, &open, &err), RC_OK);
    for (uint32_t i = 0; i < SATS; i++) {
        struct report_payload *p = &report.payload[0];

        if (wave[i] != which)
            continue;
        report = (struct report){
            .epoch = 1, .seq = 1, .time_ms = NOW, .root_version = 1, .generation = 1
        };
        (void)name_of(i, report.satellite);
        report.n_payloads = 1;
        (void)snprintf(p->tenant, NAME_CAP, "acme");
        (void)snprintf(p->name, NAME_CAP, "cam");
        (void)snprintf(p->version, VERSION_CAP, "1.0");
        memset(p->wanted.b, 1, DIGEST_SIZE);
        p->running = p->wanted;
        p->is_running = true;
        p->state = SLOT_COMMITTED;
        assert_rc(report_encode(&report, buf, sizeof buf, &bytes, &err), RC_OK);
        assert_rc(ingest_report(store, report.satellite, bytes, NOW, &back, &err), RC_OK);
    }
    assert_rc(store_commit(&open, &err), RC_OK);
}

static void count(void *arg, const struct advance_event *event)
{
    (void)arg;
    released += strcmp(event->what, "order-released") == 0;
}

/* One round of berth-ground; how many orders it released. */
static uint64_t step(void)
{
    const struct advance_log log = { .fn = count };
    scoped(view_free) struct view *view = NULL;

    released = 0;
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(advance_all(store, view, NOW, &log, &err), RC_OK);
    return released;
}

static void opens_wave_by_wave(void **state)
{
    static uint32_t wave[SATS];
    char path[PATH_MAX];
    struct store_rollout row;

    (void)state;
    print_to(path, sizeof path, "%s/fleet.yaml", dir);
    assert_rc(fleet_load(path, &fleet, &err), RC_OK);
    assert_int_equal(divide(wave), WAVES);
    print_to(path, sizeof path, "%s/many.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    add_rollout(wave);
    for (uint32_t w = 0; w < WAVES; w++) {
        uint32_t in_plane[PLANES] = { 0 }, members = 0;

        for (uint32_t i = 0; i < SATS; i++) {
            members += wave[i] == w;
            in_plane[i % PLANES] += wave[i] == w;
        }
        for (uint32_t p = 0; p < PLANES; p++)
            assert_true(in_plane[p] * 100 <= SATS / PLANES * 80);
        assert_int_equal(step(), members);
        assert_int_equal(step(), 0); /* and no more before they are healthy */
        report_wave(wave, w);
    }
    assert_int_equal(step(), 0);
    assert_rc(store_rollout(store, 1, &row, &err), RC_OK);
    assert_int_equal(row.state, ROLLOUT_COMPLETED);
    store_close(&store);
    free_ptr(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_planned_and_applied),
        cmocka_unit_test(tries_all_of_them_in_turn),
        cmocka_unit_test(opens_wave_by_wave),
    };

    return cmocka_run_group_tests_name("orchestrator/many", tests, begin_many, end);
}
