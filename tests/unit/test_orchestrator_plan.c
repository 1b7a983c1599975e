/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: the difference, the waves, the bytes and the hash, from values alone.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/plan.h"

#define SATS 3U

static struct fleet *fleet;
static struct plan_base base[SATS];
static struct order_line lines[SATS]; /* what runs where */
static struct report seen;
static struct sight sight;
static struct store_package packages[4];
static struct plan_input in;

static void make_package(struct store_package *p, const char *name, const char *version,
                         uint8_t digest)
{
    *p = (struct store_package){ .size = 1000U * digest };
    (void)snprintf(p->tenant, sizeof p->tenant, "acme");
    (void)snprintf(p->name, sizeof p->name, "%s", name);
    (void)snprintf(p->version, sizeof p->version, "%s", version);
    memset(p->manifest.b, digest, DIGEST_SIZE);
    memset(p->object.b, 0x80 | digest, DIGEST_SIZE);
}

static void want(uint32_t i, const char *name, const char *version)
{
    struct fleet_want *w = &fleet->want[i];

    *w = (struct fleet_want){ .line = 10 + i };
    (void)snprintf(w->tenant, sizeof w->tenant, "acme");
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    (void)snprintf(w->version, sizeof w->version, "%s", version);
    if (fleet->n_wants <= i)
        fleet->n_wants = i + 1;
}

static void runs(uint32_t sat, uint64_t generation, uint8_t digest)
{
    struct order_line *line = &lines[sat];

    base[sat].newest = generation;
    base[sat].order = (struct want){ .generation = generation, .n_lines = 1, .line = line };
    *line = (struct order_line){ .tenant = "acme", .name = "beacon" };
    memset(line->manifest.b, digest, DIGEST_SIZE);
}

/* What a test lets a version ride as, instead of its full package. */
static struct ride deltas[SATS];

static struct ride ride_of(void *arg, uint32_t satellite, const struct store_package *package)
{
    (void)arg;
    if (deltas[satellite].kind != 0)
        return deltas[satellite];
    return (struct ride){
        .kind = RIDE_FULL, .why = RIDE_NO_REPORT, .object = package->object, .size = package->size
    };
}

/* Full packages, and the deltas above. */
static bool brings(void *arg, const struct store_package *package, const struct digest *object)
{
    (void)arg;
    for (uint32_t i = 0; i < SATS; i++)
        if (deltas[i].kind == RIDE_DELTA && digest_same(&deltas[i].object, object))
            return true;
    return digest_same(&package->object, object);
}

/* Three satellites, the second one is the canary; beacon 1 and 2 and a camera; beacon 1 is wanted.
 */
static int set_up(void **state)
{
    (void)state;
    fleet = fleet_new(SATS, FLEET_WANTS_MAX);
    assert_non_null(fleet);
    (void)snprintf(fleet->name, sizeof fleet->name, "aurora");
    (void)snprintf(fleet->source, sizeof fleet->source, "f.yaml");
    fleet->n_satellites = SATS;
    memset(base, 0, sizeof base);
    for (uint32_t i = 0; i < SATS; i++) {
        struct fleet_satellite *sat = &fleet->satellite[i];

        (void)snprintf(sat->id, sizeof sat->id, "sat-%u", i + 1);
        sat->line = 3 + i;
        base[i].known = true;
    }
    fleet->satellite[1].n_labels = 1;
    (void)snprintf(fleet->satellite[1].label[0].key, NAME_CAP, "canary");
    (void)snprintf(fleet->satellite[1].label[0].value, NAME_CAP, "yes");
    make_package(&packages[0], "beacon", "1.0.0", 1);
    make_package(&packages[1], "beacon", "2.0.0", 2);
    make_package(&packages[2], "camera", "1.0.0", 3);
    want(0, "beacon", "1.0.0");
    seen = (struct report){ 0 };
    memset(deltas, 0, sizeof deltas);
    in = (struct plan_input){ .fleet = fleet,
                              .packages = packages,
                              .n_packages = 3,
                              .ride = ride_of,
                              .brings = brings,
                              .base = base };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(fleet);
    fleet = NULL;
    return 0;
}

static struct plan *plan_it(void)
{
    struct plan *plan = NULL;
    struct err err = { 0 };

    assert_rc(plan_compute(&in, &plan, &err), RC_OK);
    return plan;
}

static void first_deployment_is_one_wave(void **state)
{
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->n_changed, 3);
    assert_int_equal(plan->n_waves, 1);
    assert_int_equal(plan->n_changes, 3);
    assert_int_equal(plan->n_rollouts, 1);
    assert_int_equal(plan->bytes, 3000);
    assert_int_equal(plan->change[0].verb, PLAN_ADD);
    assert_string_equal(plan->change[0].from, "");
    assert_string_equal(plan->change[0].to, "1.0.0");
    assert_int_equal(plan->satellite[0].order.generation, 1);
    assert_int_equal(plan->satellite[0].order.n_lines, 1);
}

static void nothing_to_do(void **state)
{
    for (uint32_t i = 0; i < SATS; i++)
        runs(i, 4, 1);
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->n_changed, 0);
    assert_int_equal(plan->n_waves, 0);
    assert_int_equal(plan->n_rollouts, 0);
}

/* The file asks for what is in force: what is held for another one goes, and nothing is signed. */
static void a_held_order_is_withdrawn(void **state)
{
    struct digest before;

    (void)state;
    for (uint32_t i = 0; i < SATS; i++)
        runs(i, 4, 1);
    {
        scoped(plan_free) struct plan *plan = plan_it();

        assert_int_equal(plan->n_withdrawn, 0);
        before = plan->hash;
    }
    base[1].held = true;
    scoped(plan_free) struct plan *plan = plan_it();

    assert_int_equal(plan->n_changed, 0);
    assert_int_equal(plan->n_withdrawn, 1);
    assert_true(plan->satellite[1].withdraws);
    assert_int_equal(plan->satellite[1].order.generation, 0);
    assert_false(digest_same(&plan->hash, &before));
    want(0, "beacon", "2.0.0"); /* what changes replaces it by itself */
    scoped(plan_free) struct plan *other = plan_it();

    assert_int_equal(other->n_changed, SATS);
    assert_int_equal(other->n_withdrawn, 0);
}

static void change_begins_with_the_canary(void **state)
{
    for (uint32_t i = 0; i < SATS; i++)
        runs(i, 4 + i, 1);
    base[2].newest = 9; /* an order that was made and never released */
    want(0, "beacon", "2.0.0");
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->n_waves, 2);
    assert_int_equal(plan->satellite[0].wave, 1);
    assert_int_equal(plan->satellite[1].wave, 0);
    assert_int_equal(plan->satellite[2].wave, 1);
    assert_int_equal(plan->satellite[0].order.generation, 5);
    assert_int_equal(plan->satellite[2].order.generation, 10);
    assert_int_equal(plan->change[0].verb, PLAN_CHANGE);
    assert_string_equal(plan->rollout[0].from, "1.0.0");
    assert_string_equal(plan->rollout[0].to, "2.0.0");
    assert_int_equal(plan->rollout[0].fail_max, 1);
}

/* Two changes share the satellites' orders, so they share the waves of the more careful one. */
static void most_careful_policy_counts(void **state)
{
    for (uint32_t i = 0; i < SATS; i++)
        runs(i, 4, 1);
    want(0, "beacon", "2.0.0");
    want(1, "camera", "1.0.0");
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->n_rollouts, 2);
    assert_int_equal(plan->n_waves, 2);
    assert_int_equal(plan->n_changes, 6);
    assert_int_equal(plan->satellite[0].order.n_lines, 2);
    assert_string_equal(plan->satellite[0].order.line[1].name, "camera");
}

static void sorts_the_order(void **state)
{
    want(0, "camera", "1.0.0");
    want(1, "beacon", "1.0.0");
    scoped(plan_free) struct plan *plan = plan_it();
    const struct want *made = &plan->satellite[0].order;
    struct order order = { .satellite = "sat-1", .generation = made->generation, .issued_ms = 1 };
    struct err err;

    (void)state;
    assert_string_equal(made->line[0].name, "beacon");
    assert_string_equal(made->line[1].name, "camera");
    order.n_lines = made->n_lines;
    memcpy(order.line, made->line, made->n_lines * sizeof *made->line);
    assert_rc(order_check(&order, &err), RC_OK);
}

static void removes_what_is_not_named(void **state)
{
    runs(0, 4, 1);
    fleet->n_wants = 0;
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->n_changed, 1);
    assert_int_equal(plan->change[0].verb, PLAN_REMOVE);
    assert_string_equal(plan->change[0].from, "1.0.0");
    assert_int_equal(plan->satellite[0].order.n_lines, 0);
    assert_int_equal(plan->bytes, 0);
}

static void hold_keeps_what_runs(void **state)
{
    runs(0, 4, 2);
    fleet->want[0].hold = true;
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->n_changed, 0);
}

static void observed_bytes_are_not_sent(void **state)
{
    seen.n_objects = 1;
    seen.object[0] = packages[0].object;
    sight = sight_of(&seen);
    base[0].seen = &sight;
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->change[0].bytes, 0);
    assert_int_equal(plan->change[1].bytes, 1000);
    assert_int_equal(plan->bytes, 2000);
}

/* From beacon 1 to beacon 2. */
static struct ride delta_ride(void)
{
    struct ride ride = { .kind = RIDE_DELTA, .why = RIDE_SMALLEST, .size = 70 };

    ride.base = packages[0].manifest;
    memset(ride.object.b, 0xd1, DIGEST_SIZE);
    return ride;
}

static void deltas_count_as_what_they_are(void **state)
{
    want(0, "beacon", "2.0.0");
    deltas[1] = delta_ride();
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->change[0].ride.kind, RIDE_FULL);
    assert_int_equal(plan->change[0].bytes, 2000);
    assert_string_equal(plan->change[0].ride_from, "");
    assert_int_equal(plan->change[1].ride.kind, RIDE_DELTA);
    assert_int_equal(plan->change[1].bytes, 70);
    assert_int_equal(plan->change[1].full_bytes, 2000);
    assert_string_equal(plan->change[1].ride_from, "1.0.0");
    assert_int_equal(plan->satellite[1].bytes, 70);
    assert_int_equal(plan->satellite[1].full_bytes, 2000);
    assert_int_equal(plan->bytes, 4070);
    assert_int_equal(plan->full_bytes, 6000);
}

/* While it is being made, a plan says what the full package would cost. */
static void a_delta_in_the_making_is_counted_in_full(void **state)
{
    want(0, "beacon", "2.0.0");
    deltas[1] = delta_ride();
    deltas[1].kind = RIDE_WAIT;
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->change[1].ride.kind, RIDE_WAIT);
    assert_int_equal(plan->change[1].bytes, 2000);
}

static void a_delta_that_arrived_is_on_board_unless_it_failed(void **state)
{
    struct digest object = delta_ride().object;

    (void)state;
    want(0, "beacon", "2.0.0");
    deltas[1] = delta_ride();
    seen.n_objects = 1;
    seen.object[0] = object;
    sight = sight_of(&seen);
    base[1].seen = &sight;

    scoped(plan_free) struct plan *plan = plan_it();

    assert_int_equal(plan->change[1].bytes, 0);
    assert_int_equal(plan->change[1].ride.kind, 0);
    deltas[0] = delta_ride(); /* so that the object is still known as one that brings it */
    deltas[1] = (struct ride){ .kind = RIDE_FULL, .why = RIDE_REFUSED, .refused = RC_DELTA_BASE };
    scoped(plan_free) struct plan *after = plan_it();

    assert_int_equal(after->change[1].bytes, 2000);
}

static void running_package_is_on_board(void **state)
{
    seen.n_payloads = 1;
    seen.payload[0].is_running = true;
    seen.payload[0].running = packages[0].manifest;
    sight = sight_of(&seen);
    base[0].seen = &sight;
    scoped(plan_free) struct plan *plan = plan_it();

    (void)state;
    assert_int_equal(plan->change[0].bytes, 0);
}

static void refuses(void **state)
{
    static const struct {
        const char *why;
        enum rc rc;
        const char *what;
    } rows[] = {
        { "unknown satellite", RC_NO_SATELLITE, "f.yaml:5: sat-3" },
        { "unknown package", RC_NO_PACKAGE, "f.yaml:10: acme/beacon 7" },
        { "other digest", RC_DIGEST_MISMATCH, "f.yaml:10: acme/beacon 1.0.0" },
        { "given twice", RC_YAML, "f.yaml:11: acme/beacon is given twice for sat-1" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan *plan = NULL;
        struct err err = { 0 };

        (void)tear_down(NULL);
        (void)set_up(NULL);
        if (i == 0)
            base[2].known = false;
        if (i == 1)
            want(0, "beacon", "7");
        if (i == 2)
            fleet->want[0].has_digest = true;
        if (i == 3)
            want(1, "beacon", "2.0.0");
        assert_rc(plan_compute(&in, &plan, &err), rows[i].rc);
        assert_string_equal(err.what, rows[i].what);
        assert_null(plan);
    }
    (void)state;
}

static void change_policy(int change)
{
    struct fleet_policy *p = &fleet->policy[0];

    if (change == 14)
        p->fail_pct++;
    if (change == 15)
        p->fail_min++;
    if (change == 16)
        p->success_pct++;
    if (change == 17)
        p->silent_passes++;
    if (change == 18)
        p->silent_ms++;
    if (change == 19)
        p->silent_skip = true;
    if (change == 20)
        p->soak_orbits++;
    if (change == 21)
        fleet->satellite[1].period_ms++;
}

/* What the passes are found from, how it is to spread, and what is sent: each alone gives another
 * hash.  What is sent is not in the basis. */
static void hash_binds_sky_and_bytes(void **state)
{
    (void)state;
    want(0, "beacon", "2.0.0");
    fleet->n_stations = fleet->n_links = fleet->n_tenants = fleet->n_policies = 1;
    fleet->policy[0].n_waves = fleet->policy[0].n_first = 1;
    fleet->policy[0].wave[0].percent = fleet->policy[0].first[0].percent = 100;
    for (uint32_t i = 0; i < SATS; i++)
        fleet->satellite[i].period_ms = 1000;
    for (int change = 0; change <= 21; change++) {
        scoped(plan_free) struct plan *before = plan_it();
        struct digest files = { .b = { 1 } };
        struct err err = { 0 };

        if (change == 1)
            fleet->station[0].latitude++;
        if (change == 2)
            fleet->station[0].station.turn_ms++;
        if (change == 3)
            fleet->station[0].station.antennas++;
        if (change == 4)
            fleet->link[0].link.rate++;
        if (change == 5)
            fleet->satellite[1].line1[0] = 'x';
        if (change == 6)
            fleet->satellite[1].orbit = FLEET_OEM;
        if (change == 7)
            fleet->satellite[1].node++;
        if (change == 8)
            fleet->tenant[0].share++;
        if (change == 9)
            fleet->tenant[0].uplink_bytes++;
        if (change == 10)
            fleet->policy[0].deadline_ms++;
        change_policy(change);
        if (change == 11)
            deltas[1] = delta_ride();
        if (change == 12)
            deltas[1].size++;
        scoped(plan_free) struct plan *after = plan_it();

        if (change == 13) {
            assert_rc(plan_cover(after, &files, &err), RC_OK);
            assert_rc(plan_cover(before, &files, &err), RC_OK);
            assert_true(digest_same(&before->hash, &after->hash));
            files.b[0]++;
            assert_rc(plan_cover(after, &files, &err), RC_OK);
        }
        if (digest_same(&before->hash, &after->hash) != (change == 0) ||
            digest_same(&before->basis, &after->basis) !=
                (change == 0 || change == 11 || change == 12))
            fail_msg("change %d", change);
    }
}

/* Each wave as long as the slowest of its satellites goes around so often, of the rollout that
 * takes longest; and who has no period is named, with the line that can be put right. */
static void soaks_in_orbits(void **state)
{
    static const struct {
        enum fleet_orbit orbit;
        const char *says;
    } rows[] = {
        { FLEET_NO_ORBIT, "f.yaml:5: sat-3: no 'orbit', for soak: 3 orbits" },
        { FLEET_CONTACTS, "f.yaml:5: sat-3: 'contacts' tell no period, for soak: 3 orbits" },
        { FLEET_OEM, "f.yaml:5: sat-3: 'orbit' is not closed, for soak: 3 orbits" },
    };
    struct fleet_policy *p = &fleet->policy[0];

    (void)state;
    for (uint32_t i = 0; i < SATS; i++)
        runs(i, 4, 1);
    want(0, "beacon", "2.0.0");
    want(1, "camera", "1.0.0");
    fleet->n_policies = 2;
    p[0] = p[1] = (struct fleet_policy){ .n_waves = 2,
                                         .wave = { { .n = 1 }, { .percent = 100 } },
                                         .n_first = 1,
                                         .first = { { .percent = 100 } },
                                         .fail_max = 1 };
    (void)snprintf(p[1].tenant, NAME_CAP, "acme");
    (void)snprintf(p[1].name, NAME_CAP, "beacon");
    p[0].soak_ms = 271;
    p[1].soak_orbits = 3;
    fleet->satellite[0].period_ms = 90;
    fleet->satellite[1].period_ms = 80;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct plan *none = NULL;
        struct err err = { 0 };

        fleet->satellite[2].orbit = rows[i].orbit;
        assert_rc(plan_compute(&in, &none, &err), RC_SOAK_ORBIT);
        assert_string_equal(err.what, rows[i].says);
    }
    fleet->satellite[2].period_ms = 91;
    scoped(plan_free) struct plan *plan = plan_it();

    assert_int_equal(plan->n_waves, 2);
    assert_int_equal(plan_soak_ms(plan, fleet, 0), 271); /* 3 * 90 is less */
    assert_int_equal(plan_soak_ms(plan, fleet, 1), 273);
    assert_int_equal(plan_soak_ms(plan, fleet, 2), 0);
    want(0, "beacon", "1.0.0"); /* what does not change needs no period */
    fleet->satellite[2].period_ms = 0;
    scoped(plan_free) struct plan *other = plan_it();

    assert_int_equal(other->n_rollouts, 1);
}

/* Whatever the plan was made from is in the hash. */
static void hash_binds_the_base(void **state)
{
    char first[PLAN_HASH_CAP];
    char again[PLAN_HASH_CAP];

    for (uint32_t i = 0; i < SATS; i++)
        runs(i, 4, 1);
    want(0, "beacon", "2.0.0");
    (void)state;
    for (int change = 0; change <= 7; change++) {
        scoped(plan_free) struct plan *before = plan_it();

        (void)plan_hash_text(before, first);
        assert_true(plan_hash_matches(before, first));
        assert_false(plan_hash_matches(before, "0123"));
        if (change == 1)
            base[0].newest = 5;
        if (change == 2)
            base[0].order.generation = 3;
        if (change == 3)
            lines[0].manifest.b[0] ^= 1;
        if (change == 4)
            in.rollouts++;
        if (change == 5)
            want(0, "beacon", "1.0.0");
        if (change == 6)
            fleet->satellite[0].n_labels = 1, fleet->satellite[0].label[0].key[0] = 'x';
        if (change == 7)
            fleet->name[0] = 'b';
        scoped(plan_free) struct plan *after = plan_it();

        (void)plan_hash_text(after, again);
        /* A label that moves nobody changes nothing. */
        if ((strcmp(first, again) == 0) != (change == 0 || change == 6))
            fail_msg("change %d: %s, %s", change, first, again);
        assert_int_equal(plan_hash_matches(after, first), change == 0 || change == 6);
    }
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(first_deployment_is_one_wave),
        ROW(nothing_to_do),
        ROW(a_held_order_is_withdrawn),
        ROW(change_begins_with_the_canary),
        ROW(most_careful_policy_counts),
        ROW(sorts_the_order),
        ROW(removes_what_is_not_named),
        ROW(hold_keeps_what_runs),
        ROW(observed_bytes_are_not_sent),
        ROW(deltas_count_as_what_they_are),
        ROW(a_delta_in_the_making_is_counted_in_full),
        ROW(a_delta_that_arrived_is_on_board_unless_it_failed),
        ROW(running_package_is_on_board),
        ROW(refuses),
        ROW(soaks_in_orbits),
        ROW(hash_binds_the_base),
        ROW(hash_binds_sky_and_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
