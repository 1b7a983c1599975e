/* SPDX-License-Identifier: Apache-2.0
 *
 * What an undo asks for, from histories of orders: each row is what acme/beacon was on one
 * satellite, order by order, and what it is to be.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "orchestrator/undo.h"
#include "tests/unit/stored_order.h"

static char dir[64];
static struct store *store;
static struct err err;

static void add_satellite(const char *id, uint64_t node)
{
    struct store_satellite row = { .node = node, .up = "up", .down = "down", .link_keys = "k" };

    (void)snprintf(row.id, sizeof row.id, "%s", id);
    assert_rc(store_put_satellite(store, &row, &err), RC_OK);
}

/* acme/beacon 1 to 4; of the manifest each byte is the version's number. */
static void add_package(uint8_t version)
{
    struct store_package row = { .tenant = "acme", .name = "beacon", .size = 9 };

    (void)snprintf(row.version, sizeof row.version, "%u", version);
    memset(row.manifest.b, version, DIGEST_SIZE);
    memset(row.object.b, 0x40 + version, DIGEST_SIZE);
    assert_rc(store_put_package(store, &row, &err), RC_OK);
}

static int set_up(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-undo-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    add_satellite("sat-1", 101);
    add_satellite("sat-2", 102);
    for (uint8_t v = 1; v <= 4; v++)
        add_package(v);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&store);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

/* acme/camera is on board all the time; acme/beacon at a version, 0 = not. */
static void add_order(const char *sat, uint64_t generation, uint8_t version, enum order_state state)
{
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);

    assert_non_null(order);
    order->generation = generation;
    order->issued_ms = 1;
    (void)snprintf(order->satellite, sizeof order->satellite, "%s", sat);
    for (int i = version == 0; i < 2; i++) {
        struct order_line *line = &order->line[order->n_lines++];

        (void)snprintf(line->tenant, sizeof line->tenant, "acme");
        (void)snprintf(line->name, sizeof line->name, "%s", i ? "camera" : "beacon");
        memset(line->manifest.b, i ? 0x77 : version, DIGEST_SIZE);
    }
    stored_order(store, order, (struct store_order){ .state = state, .rollout = generation });
}

/* Of acme/beacon to a version, with one wave of one satellite. */
static uint64_t add_rollout(const char *sat, uint64_t generation, uint8_t to, enum wave_state wave)
{
    struct store_rollout row = {
        .tenant = "acme", .name = "beacon", .state = ROLLOUT_COMPLETED, .fail_max = 1
    };
    struct store_wave member = { .index = 1, .state = wave, .generation = generation };

    memset(row.to_manifest.b, to, DIGEST_SIZE);
    (void)snprintf(member.satellite, sizeof member.satellite, "%s", sat);
    assert_rc(store_add_rollout(store, &row, &member.rollout, &err), RC_OK);
    assert_rc(store_add_wave(store, &member, &err), RC_OK);
    return member.rollout;
}

#define STEPS 4U

struct history {
    const char *why;
    uint8_t version[STEPS];        /* 0 = not on board */
    enum order_state state[STEPS]; /* 0 = there are no more */
    enum wave_state wave[STEPS];   /* of the rollout that made the order; 0 = none did */
    uint32_t undo;                 /* which of them, from 1 */
    enum rc rc;
    uint8_t to;
};

#define A ORDER_ACKED
#define R ORDER_RELEASED
#define S ORDER_SUPERSEDED
#define C ORDER_CANCELLED
#define H ORDER_HELD
#define D WAVE_DONE
#define F WAVE_FAILED

/* clang-format off */
static const struct history histories[] = {
    { "to the version before", { 1, 2 }, { A, A }, { D, D }, 2, RC_OK, 1 },
    { "that is on its way", { 1, 2 }, { A, R }, { D, WAVE_ACTIVE }, 2, RC_OK, 1 },
    { "where it was not before", { 0, 2 }, { A, A }, { 0, D }, 2, RC_OK, 0 },
    { "of the first order of all", { 2 }, { A }, { D }, 1, RC_OK, 0 },
    { "that removed it", { 2, 0 }, { A, A }, { D, D }, 2, RC_OK, 2 },
    { "past an order that never was in force", { 1, 3, 2 }, { A, S, A }, { D, D, D }, 3, RC_OK, 1 },
    { "past one that was cancelled", { 1, 3, 2 }, { A, C, A }, { D, D, D }, 3, RC_OK, 1 },
    { "past one that failed there", { 1, 3, 2 }, { A, A, A }, { D, F, D }, 3, RC_OK, 1 },
    { "past two", { 1, 3, 4, 2 }, { A, A, A, A }, { D, F, F, D }, 4, RC_OK, 1 },
    { "of one that failed there", { 1, 2 }, { A, A }, { D, F }, 2, RC_OK, 1 },
    { "with another change since", { 1, 2, 2 }, { A, A, A }, { D, D, 0 }, 2, RC_OK, 1 },
    { "was changed again", { 1, 2, 3 }, { A, A, A }, { D, D, D }, 2, RC_ROLLOUT_STATE, 0 },
    { "was removed again", { 1, 2, 0 }, { A, A, A }, { D, D, D }, 2, RC_ROLLOUT_STATE, 0 },
    { "was undone", { 1, 2, 1 }, { A, A, A }, { D, D, D }, 2, RC_ROLLOUT_STATE, 0 },
    { "never got it", { 1, 2 }, { A, H }, { D, WAVE_WAITING }, 2, RC_ROLLOUT_STATE, 0 },
    { "and never will", { 1, 2 }, { A, C }, { D, WAVE_WAITING }, 2, RC_ROLLOUT_STATE, 0 },
    { "to what is not in the store", { 9, 2 }, { A, A }, { D, D }, 2, RC_NO_PACKAGE, 0 },
};
/* clang-format on */

static struct fleet *fleet_of(uint32_t n)
{
    struct fleet *fleet = fleet_new(n, n + FLEET_WANTS_MAX);

    assert_non_null(fleet);
    fleet->n_satellites = n;
    fleet->n_stations = fleet->n_links = fleet->n_wants = 1;
    for (uint32_t i = 0; i < n; i++) {
        (void)snprintf(fleet->satellite[i].id, NAME_CAP, "sat-%u", n - i);
        fleet->satellite[i].orbit = FLEET_TLE;
    }
    return fleet;
}

/* One satellite, with its camera as it is and the beacon at a version. */
static void assert_asks(const struct history *h, const struct fleet *fleet)
{
    char version[4];

    (void)snprintf(version, sizeof version, "%u", h->to);
    if (fleet->n_satellites != 1 || strcmp(fleet->satellite[0].id, "sat-1") != 0 ||
        fleet->satellite[0].orbit != FLEET_NO_ORBIT || fleet->n_stations || fleet->n_links)
        fail_msg("%s: satellites", h->why);
    if (fleet->n_wants != 1U + (h->to > 0) || !fleet->want[0].hold ||
        strcmp(fleet->want[0].name, "camera") != 0)
        fail_msg("%s: %u lines", h->why, fleet->n_wants);
    const struct fleet_want *want = &fleet->want[1];

    if (h->to > 0 && (want->hold || !want->has_digest || want->manifest.b[0] != h->to ||
                      strcmp(want->name, "beacon") != 0 || strcmp(want->version, version) != 0 ||
                      !fleet_matches(&fleet->satellite[0], &want->select)))
        fail_msg("%s: %s %s", h->why, want->name, want->version);
}

static void goes_back(void **state)
{
    for (size_t i = 0; i < sizeof histories / sizeof histories[0]; i++) {
        const struct history *h = &histories[i];
        scoped(free_ptr) struct fleet *fleet = fleet_of(2);
        uint64_t id[STEPS] = { 0 };

        for (uint32_t k = 0; k < STEPS && h->state[k]; k++) {
            add_order("sat-1", k + 1, h->version[k], h->state[k]);
            if (h->wave[k])
                id[k] = add_rollout("sat-1", k + 1, h->version[k], h->wave[k]);
        }
        enum rc rc = undo_fleet(store, id[h->undo - 1], fleet, &err);

        if (rc != h->rc)
            fail_msg("%s: %s: %s", h->why, rc_name(rc), err.what);
        if (rc == RC_OK)
            assert_asks(h, fleet);
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

/* Another satellite's failure says nothing about this one. */
static void only_its_own_failures_count(void **state)
{
    scoped(free_ptr) struct fleet *fleet = fleet_of(2);

    (void)state;
    for (uint64_t g = 1; g <= 3; g++) {
        add_order("sat-1", g, (uint8_t)g, ORDER_ACKED);
        add_order("sat-2", g, (uint8_t)g, ORDER_ACKED);
    }
    (void)add_rollout("sat-2", 2, 2, WAVE_FAILED);
    assert_rc(undo_fleet(store, add_rollout("sat-1", 3, 3, WAVE_DONE), fleet, &err), RC_OK);
    assert_int_equal(fleet->n_wants, 2);
    assert_int_equal(fleet->want[1].manifest.b[0], 2);
}

/* It looks for no passes; but its soak may count orbits, by the periods that were found before. */
static void keeps_periods_and_no_sky(void **state)
{
    scoped(free_ptr) struct fleet *fleet = fleet_of(2);

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        fleet->satellite[i].orbit = FLEET_OEM;
        fleet->satellite[i].period_ms = fleet->satellite[i].id[4] == '2' ? 5700001 : 5700000;
    }
    fleet->n_stations = 1;
    add_order("sat-2", 1, 1, ORDER_ACKED);
    add_order("sat-2", 2, 2, ORDER_ACKED);
    assert_rc(undo_fleet(store, add_rollout("sat-2", 2, 2, WAVE_DONE), fleet, &err), RC_OK);
    assert_int_equal(fleet->n_satellites, 1);
    assert_string_equal(fleet->satellite[0].id, "sat-2");
    assert_int_equal(fleet->satellite[0].period_ms, 5700001);
    assert_int_equal(fleet->satellite[0].orbit, FLEET_NO_ORBIT);
    assert_int_equal(fleet->n_stations, 0);
}

static void refuses_what_it_does_not_know(void **state)
{
    scoped(free_ptr) struct fleet *fleet = fleet_of(1);

    (void)state;
    assert_rc(undo_fleet(store, 77, fleet, &err), RC_NOT_FOUND);
    add_order("sat-2", 1, 1, ORDER_ACKED);
    add_order("sat-2", 2, 2, ORDER_ACKED);
    assert_rc(undo_fleet(store, add_rollout("sat-2", 2, 2, WAVE_DONE), fleet, &err),
              RC_NO_SATELLITE);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(goes_back),
        ROW(only_its_own_failures_count),
        ROW(keeps_periods_and_no_sky),
        ROW(refuses_what_it_does_not_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
