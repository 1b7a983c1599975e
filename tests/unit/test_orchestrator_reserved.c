/* SPDX-License-Identifier: Apache-2.0
 *
 * Reservations that are found again: by station, satellite and time, give or take a minute.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/reserved.h"
#include "orchestrator/schedule.h"

#define MINUTE 60000LL
#define START 1796040000000LL

static struct fleet *fleet;

static int set_up(void **state)
{
    (void)state;
    fleet = fleet_new(2, 0);
    assert_non_null(fleet);
    fleet->n_stations = fleet->n_satellites = 2;
    for (unsigned int i = 0; i < 2; i++) {
        (void)snprintf(fleet->station[i].station.id, NAME_CAP, "k-%u", i);
        (void)snprintf(fleet->satellite[i].id, NAME_CAP, "s-%u", i);
        fleet->station[i].station.antennas = 2;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(fleet);
    return 0;
}

static struct store_reserved row(const char *station, const char *satellite, int64_t at,
                                 uint32_t antenna)
{
    struct store_reserved r = { .aos_ms = (uint64_t)(START + at),
                                .los_ms = (uint64_t)(START + at + 10 * MINUTE),
                                .antenna = antenna };

    (void)snprintf(r.station, sizeof r.station, "%s", station);
    (void)snprintf(r.satellite, sizeof r.satellite, "%s", satellite);
    return r;
}

static void add(struct contacts *list, uint32_t station, uint32_t satellite, int64_t at)
{
    const struct contact c = { .station = station,
                               .satellite = satellite,
                               .aos_ms = START + at,
                               .los_ms = START + at + 10 * MINUTE,
                               .room = 100,
                               .capacity = 100 };
    struct err err = { 0 };

    assert_rc(contacts_add(list, &c, &err), RC_OK);
}

static void finds_them_again(void **state)
{
    scoped(contacts_free) struct contacts c = { 0 };
    const struct store_reserved rows[] = {
        row("k-0", "s-0", 5 * MINUTE + 30000, 1), /* moved by half a minute */
        row("k-0", "s-1", 20 * MINUTE, 0),        /* moved by three minutes: another one */
        row("k-1", "s-0", 40 * MINUTE, 2),        /* no such antenna */
        row("k-1", "s-9", 60 * MINUTE, 0),        /* no such satellite */
        row("k-1", "s-1", -3 * MINUTE, 1),        /* under way: the contact begins with the span */
        row("k-0", "s-0", 5 * MINUTE + 40000, 0), /* it is taken already */
    };

    (void)state;
    add(&c, 1, 1, 0);
    add(&c, 0, 0, 5 * MINUTE);
    add(&c, 0, 1, 23 * MINUTE);
    add(&c, 1, 0, 40 * MINUTE);
    add(&c, 1, 1, 60 * MINUTE);
    reserved_recall(fleet, rows, 6, START, &c);
    assert_int_equal(c.at[0].state, CONTACT_EXECUTING);
    assert_int_equal(c.at[0].antenna, 1);
    assert_int_equal(c.at[1].state, CONTACT_RESERVED);
    assert_int_equal(c.at[1].antenna, 1);
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(c.at[i].state, CONTACT_PREDICTED);
}

/* The near one stays reserved through a new schedule and carries bytes; unreserved it would not. */
static void near_ones_carry_on(void **state)
{
    static const struct schedule_tenant tenant = { .weight = 1 };
    const struct schedule_job job = { .bytes = 50,
                                      .class = SCHEDULE_ROLLOUT,
                                      .deadline_ms = INT64_MAX };
    const struct store_reserved near = row("k-0", "s-0", 5 * MINUTE, 1);
    struct contact_station station[2];
    const struct schedule_input in = { .now_ms = START,
                                       .station = station,
                                       .n_stations = 2,
                                       .n_satellites = 2,
                                       .tenant = &tenant,
                                       .n_tenants = 1,
                                       .job = &job,
                                       .n_jobs = 1 };

    (void)state;
    for (int i = 0; i < 2; i++)
        station[i] = fleet->station[i].station;
    for (size_t n = 0; n < 2; n++) {
        scoped(contacts_free) struct contacts c = { 0 };
        scoped(schedule_fill_free) struct schedule_fill fill = { 0 };
        struct err err = { 0 };

        add(&c, 0, 0, 5 * MINUTE);
        reserved_recall(fleet, &near, n, START, &c);
        assert_rc(schedule_antennas(&in, &c, &err), RC_OK);
        assert_rc(schedule_fill(&in, &c, NULL, &fill, &err), RC_OK);
        assert_int_equal(fill.left[0], n == 1 ? 0 : 50);
    }
}

/* Two satellites of another file have an antenna each of k-1, so the one of this file that sees it
 * then gets none there, and none within the turn-around. */
static void others_keep_their_antennas(void **state)
{
    struct store_reserved rows[] = {
        row("k-1", "other-0", 5 * MINUTE, 0),  row("k-1", "other-1", 4 * MINUTE, 1),
        row("k-9", "other-0", 20 * MINUTE, 0), /* none of our stations */
        row("k-1", "s-0", 60 * MINUTE, 0),     /* our own: not another's */
        row("k-1", "other-0", 6 * MINUTE, 2),  /* no such antenna here */
        row("k-1", "other-2", 7 * MINUTE, 0),  /* ends before it begins */
    };
    struct schedule_taken taken[6];
    struct contact_station station[2];
    struct schedule_input in = { .now_ms = START - 60 * MINUTE,
                                 .station = station,
                                 .n_stations = 2,
                                 .n_satellites = 2,
                                 .taken = taken };
    struct err err = { 0 };

    (void)state;
    rows[5].los_ms = rows[5].aos_ms - 1;
    for (int i = 0; i < 2; i++)
        station[i] = fleet->station[i].station;
    station[1].turn_ms = 2 * MINUTE;
    assert_int_equal(reserved_others(fleet, rows, 6, taken), 2);
    for (size_t n = 0; n <= 2; n++) {
        scoped(contacts_free) struct contacts c = { 0 };

        add(&c, 1, 0, 0);
        add(&c, 1, 1, 16 * MINUTE); /* a minute after the one ends, two after the other */
        in.n_taken = n;
        assert_rc(schedule_antennas(&in, &c, &err), RC_OK);
        assert_int_equal(c.at[0].state, n == 2 ? CONTACT_PREDICTED : CONTACT_RESERVED);
        assert_int_equal(c.at[1].state, CONTACT_RESERVED);
        assert_int_equal(c.at[1].antenna, n == 0 ? 0 : 1);
    }
    taken[1].antenna = 2;
    struct contacts none = { 0 };
    assert_rc(schedule_antennas(&in, &none, &err), RC_VALUE);
}

/* One file is applied, then another with the same station: the first keeps what it has. */
static void another_file_takes_nothing_away(void **state)
{
    char dir[] = "/tmp/berth-reserved-XXXXXX", path[64];
    scoped(store_close) struct store *store = NULL;
    scoped(free_ptr) struct store_reserved *rows = NULL;
    scoped(free_ptr) struct schedule_taken *taken = NULL;
    const struct store_reserved of[] = { row("k-0", "other-0", 5 * MINUTE, 1),
                                         row("k-0", "s-0", 30 * MINUTE, 0), /* not seen any more */
                                         row("k-0", "other-0", -20 * MINUTE, 1) /* over */ };
    scoped(contacts_free) struct contacts c = { 0 };
    struct err err = { 0 };
    size_t n = 0;

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/s.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    for (size_t i = 0; i < 3; i++)
        assert_rc(store_put_reserved(store, &of[i], &err), RC_OK);
    add(&c, 0, 1, 5 * MINUTE);
    assert_rc(reserved_load(fleet, store, START, &c, &taken, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(taken[0].antenna, 1);
    assert_rc(contact_move(&c.at[0], CONTACT_RESERVE, &err), RC_OK);
    assert_rc(reserved_keep(fleet, &c, store, START, &err), RC_OK);
    assert_rc(store_reserved(store, 0, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].satellite, "other-0");
    assert_string_equal(rows[1].satellite, "s-1");
    store_close(&store);
    (void)unlink(path);
    (void)rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_them_again),
        cmocka_unit_test(near_ones_carry_on),
        cmocka_unit_test(others_keep_their_antennas),
        cmocka_unit_test(another_file_takes_nothing_away),
    };

    return cmocka_run_group_tests_name("orchestrator/reserved", tests, set_up, tear_down);
}
