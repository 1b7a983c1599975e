/* SPDX-License-Identifier: Apache-2.0
 *
 * Reservations that are found again: by station, satellite and time, give or take a minute.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/reserved.h"
#include "orchestrator/schedule.h"

#define MINUTE 60000LL
#define START 1796040000000LL

static struct fleet *fleet;

static int set_up(void **state)
{
    (void)state;
    fleet = calloc(1, sizeof *fleet);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_them_again),
        cmocka_unit_test(near_ones_carry_on),
    };

    return cmocka_run_group_tests_name("orchestrator/reserved", tests, set_up, tear_down);
}
