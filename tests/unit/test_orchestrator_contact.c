/* SPDX-License-Identifier: Apache-2.0
 *
 * The contact plan: states, what a pass is worth by hand, what is learnt of it, contacts of paths
 * and of other people's plans.
 */
#include "tests/unit/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/contact_find.h"

#define RADIANS (TLE_PI / 180.0)
#define MINUTE 60000LL
#define HOUR (60 * MINUTE)

/* ---- states --------------------------------------------------------------------------------- */

static void every_state_and_event(void **state)
{
    static const int want[CONTACT_STATES][CONTACT_EVENTS] = {
        /* reserve, release, begin, hear, miss; -1 = refused */
        [CONTACT_PREDICTED] = { CONTACT_RESERVED, -1, -1, -1, -1 },
        [CONTACT_RESERVED] = { -1, CONTACT_PREDICTED, CONTACT_EXECUTING, -1, CONTACT_FAILED },
        [CONTACT_EXECUTING] = { -1, -1, -1, CONTACT_DONE, CONTACT_FAILED },
        [CONTACT_DONE] = { -1, -1, -1, -1, -1 },
        [CONTACT_FAILED] = { -1, -1, -1, -1, -1 },
    };

    (void)state;
    for (int s = 0; s < CONTACT_STATES; s++)
        for (int e = 0; e < CONTACT_EVENTS; e++) {
            struct contact c = { .state = (enum contact_state)s };
            struct err err = { 0 };
            enum rc rc = contact_move(&c, (enum contact_event)e, &err);

            assert_int_equal(rc, want[s][e] < 0 ? RC_TRANSITION : RC_OK);
            assert_int_equal(c.state, want[s][e] < 0 ? s : want[s][e]);
        }
    assert_string_equal(contact_state_text(CONTACT_EXECUTING), "executing");
    assert_string_equal(contact_state_text((enum contact_state)99), "?");
}

static void time_moves_it(void **state)
{
    struct contact c = { .state = CONTACT_RESERVED, .aos_ms = 1000, .los_ms = 2000 };
    struct contact idle = { .aos_ms = 1000, .los_ms = 2000 };

    (void)state;
    contact_clock(&c, 999, 500);
    assert_int_equal(c.state, CONTACT_RESERVED);
    contact_clock(&c, 1000, 500);
    assert_int_equal(c.state, CONTACT_EXECUTING);
    contact_clock(&c, 2499, 500);
    assert_int_equal(c.state, CONTACT_EXECUTING);
    contact_clock(&c, 2500, 500);
    assert_int_equal(c.state, CONTACT_FAILED);
    contact_clock(&idle, 9000, 500); /* nobody reserved it: nothing failed */
    assert_int_equal(idle.state, CONTACT_PREDICTED);
}

/* ---- the list ------------------------------------------------------------------------------- */

static void long_ones_are_cut(void **state)
{
    scoped(contacts_free) struct contacts list = { 0 };
    struct contact c = {
        .aos_ms = 7, .los_ms = 7 + 3 * CONTACT_LONGEST_MS + 1, .room = 1003, .capacity = 14
    };
    struct err err = { 0 };
    uint64_t room = 0, capacity = 0;

    (void)state;
    assert_rc(contacts_add(&list, &c, &err), RC_OK);
    assert_int_equal(list.n, 4);
    assert_int_equal(list.at[0].aos_ms, c.aos_ms);
    assert_int_equal(list.at[3].los_ms, c.los_ms);
    for (size_t i = 0; i < list.n; i++) {
        assert_in_range(list.at[i].los_ms - list.at[i].aos_ms, 1, CONTACT_LONGEST_MS);
        if (i > 0)
            assert_int_equal(list.at[i].aos_ms, list.at[i - 1].los_ms);
        room += list.at[i].room;
        capacity += list.at[i].capacity;
    }
    assert_int_equal(room, c.room);
    assert_int_equal(capacity, c.capacity);
    c.los_ms = c.aos_ms;
    assert_rc(contacts_add(&list, &c, &err), RC_VALUE);
    c.aos_ms = INT64_MIN;
    c.los_ms = INT64_MAX;
    assert_rc(contacts_add(&list, &c, &err), RC_VALUE);
    assert_int_equal(list.n, 4);
}

static void order_is_total(void **state)
{
    const struct contact sorted[] = {
        { .aos_ms = 1, .los_ms = 9, .station = 0, .satellite = 5 },
        { .aos_ms = 1, .los_ms = 9, .station = 1, .satellite = 2 },
        { .aos_ms = 1, .los_ms = 9, .station = 1, .satellite = 3 },
        { .aos_ms = 1, .los_ms = 10, .station = 1, .satellite = 3 },
        { .aos_ms = 2, .los_ms = 3, .station = 0, .satellite = 0 },
    };
    scoped(contacts_free) struct contacts list = { 0 };
    struct err err = { 0 };

    (void)state;
    for (size_t i = 5; i-- > 0;)
        assert_rc(contacts_add(&list, &sorted[i], &err), RC_OK);
    contacts_sort(&list);
    for (size_t i = 0; i < 5; i++)
        assert_memory_equal(&list.at[i], &sorted[i], sizeof sorted[i]);
}

/* ---- room ----------------------------------------------------------------------------------- */

/* A hill: up by one degree in ten seconds from 5 degrees, down the same way. */
static double hill(void *arg, int64_t time_ms)
{
    const int64_t *top = arg;
    double off = fabs((double)(time_ms - *top)) / 10000.0;

    return (45.0 - off) * RADIANS;
}

static void room_by_hand(void **state)
{
    int64_t top = 400000; /* 400 s up, 400 s down */
    const struct contact_view view = { hill, &top };
    const struct sky_pass pass = { .aos_ms = 0, .los_ms = 800000, .top_ms = top };
    struct contact_link link = { .rate = 8000, .goodput_ppm = CONTACT_PPM };

    (void)state;
    assert_int_equal(contact_room(&link, &pass, NULL), 800000); /* 1000 bytes/s, 800 s */
    link.setup_ms = 50000;
    assert_int_equal(contact_room(&link, &pass, NULL), 750000);
    link.overhead_ppm = 100000;
    assert_int_equal(contact_room(&link, &pass, NULL), 675000);
    /* from 25 degrees, 200 s on either side of the top, twice the rate: 400 more seconds of 1000 */
    link.overhead_ppm = 0;
    link.n_steps = 1;
    link.step[0] = (struct contact_step){ 25 * RADIANS, 16000 };
    assert_in_range(contact_room(&link, &pass, &view), 1150000 - 2000, 1150000);
    /* and from 44.5 degrees, for 10 s, nothing: the antenna cannot follow */
    link.n_steps = 2;
    link.step[1] = (struct contact_step){ 44.5 * RADIANS, 0 };
    assert_in_range(contact_room(&link, &pass, &view), 1130000 - 4000, 1130000 + 4000);
    /* never that high */
    link.n_steps = 1;
    link.step[0].from = 60 * RADIANS;
    assert_int_equal(contact_room(&link, &pass, &view), 750000);
    /* over before it is set up */
    link.setup_ms = CONTACT_SETUP_MAX_MS;
    const struct sky_pass brief = { .aos_ms = 0, .los_ms = CONTACT_SETUP_MAX_MS, .top_ms = 5 };

    assert_int_equal(contact_room(&link, &brief, &view), 0);
    /* the largest there is */
    const struct sky_pass month = { .aos_ms = 0, .los_ms = SKY_SPAN_MAX_MS };

    link = (struct contact_link){ .rate = CONTACT_RATE_MAX };
    assert_true(contact_room(&link, &month, NULL) ==
                CONTACT_RATE_MAX / 8 * (uint64_t)(SKY_SPAN_MAX_MS / 1000));
    assert_true(contact_expect(UINT64_MAX, CONTACT_PPM) == UINT64_MAX);
    assert_int_equal(contact_expect(1000001, 500000), 500000);
}

/* ---- goodput -------------------------------------------------------------------------------- */

static void learns_as_rfc_6298(void **state)
{
    const struct contact_link link = { .goodput_ppm = 800000 };
    struct contact_goodput g = contact_prior(&link);

    (void)state;
    assert_int_equal(g.mean_ppm, 800000);
    assert_int_equal(g.deviation_ppm, 200000);
    /* a full contact, of which 0.4 arrived: mean -= 0.4/8, deviation += (0.4 - 0.2)/4 */
    contact_learn(&g, 1000, 1000, 400);
    assert_int_equal(g.mean_ppm, 750000);
    assert_int_equal(g.deviation_ppm, 250000);
    assert_int_equal(g.contacts, 1);
    /* half full, all arrived: mean += 0.25/16, deviation += 0 */
    contact_learn(&g, 1000, 500, 500);
    assert_int_equal(g.mean_ppm, 765625);
    assert_int_equal(g.deviation_ppm, 250000);
    /* nothing offered, no room: nothing learnt */
    contact_learn(&g, 1000, 0, 5);
    contact_learn(&g, 0, 10, 5);
    assert_int_equal(g.mean_ppm, 765625);
    assert_int_equal(g.contacts, 2);
}

static void learning_is_bounded(void **state)
{
    static const uint64_t hostile[] = {
        0, 1, 1000, UINT64_MAX / CONTACT_PPM, UINT64_MAX - 1, UINT64_MAX
    };
    struct contact_goodput g = { .mean_ppm = 700000, .deviation_ppm = 100000 };

    (void)state;
    for (size_t room = 0; room < 6; room++)
        for (size_t offered = 0; offered < 6; offered++)
            for (size_t arrived = 0; arrived < 6; arrived++) {
                uint32_t before = g.mean_ppm;

                contact_learn(&g, hostile[room], hostile[offered], hostile[arrived]);
                assert_in_range(g.mean_ppm, CONTACT_GOODPUT_MIN, CONTACT_PPM);
                assert_in_range(g.deviation_ppm, 0, CONTACT_PPM);
                assert_true(labs((long)g.mean_ppm - (long)before) <= CONTACT_PPM / 8);
            }
    for (int i = 0; i < 200; i++) /* it never gives up */
        contact_learn(&g, 1000, 1000, 0);
    assert_int_equal(g.mean_ppm, CONTACT_GOODPUT_MIN);
    for (int i = 0; i < 200; i++) /* and comes back */
        contact_learn(&g, 1000, 1000, 1000);
    assert_true(g.mean_ppm > 990000 && g.deviation_ppm < 10000);
}

/* ---- found and imported --------------------------------------------------------------------- */

static const char *const lines[2] = {
    "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836",
    "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550"
};

static const struct contact_station stations[2] = {
    { .id = "svalbard",
      .place = { 78.23 * RADIANS, 15.39 * RADIANS, 0.45, 5 * RADIANS },
      .node = 1,
      .antennas = 1 },
    { .id = "kiruna",
      .place = { 67.86 * RADIANS, 20.96 * RADIANS, 0.40, 10 * RADIANS },
      .node = 2,
      .antennas = 1 },
};

static struct contact_goodput half_of_kiruna(void *arg, uint32_t station, uint32_t satellite)
{
    (void)arg;
    assert_int_equal(satellite, 7);
    return (struct contact_goodput){ .mean_ppm = station == 1 ? 500000 : CONTACT_PPM };
}

struct sum {
    uint32_t n[2];
    int64_t ms[2];
};

static bool add_pass(void *arg, const struct sky_pass *pass)
{
    struct sum *sum = arg;

    sum->n[pass->station]++;
    sum->ms[pass->station] += pass->los_ms - pass->aos_ms;
    return true;
}

/* Every pass is a contact of rate times its length, and twice of that where it is high. */
static void finds_what_the_sky_gives(void **state)
{
    struct contact_link link = { .rate = 8000, .goodput_ppm = CONTACT_PPM };
    struct contact_search s = { .station = stations,
                                .n_stations = 2,
                                .satellite = 7,
                                .link = &link,
                                .goodput = half_of_kiruna };
    scoped(contacts_free) struct contacts list = { 0 }, high = { 0 };
    scoped(sky_free) struct sky *sky = NULL;
    struct sum sum = { 0 }, found = { 0 };
    struct tle tle;
    struct sgp4 orbit;
    struct err err = { 0 };

    (void)state;
    assert_rc(tle_parse(bytes_of(lines[0]), bytes_of(lines[1]), &tle, &err), RC_OK);
    assert_rc(sgp4_init(&tle, &orbit, &err), RC_OK);
    struct sky_path path = sky_path_of(&orbit);

    assert_rc(contact_sky(stations, 2, tle.epoch_ms, tle.epoch_ms + 24 * HOUR, &sky, &err), RC_OK);
    assert_rc(sky_passes(sky, &orbit, add_pass, &sum, &err), RC_OK);
    assert_rc(contact_find(&s, sky, &path, &list, &err), RC_OK);
    for (size_t i = 0; i < list.n; i++) {
        const struct contact *c = &list.at[i];

        found.n[c->station]++;
        found.ms[c->station] += c->los_ms - c->aos_ms;
        assert_int_equal(c->satellite, 7);
        assert_int_equal(c->room, (uint64_t)(c->los_ms - c->aos_ms));
        assert_int_equal(c->capacity, c->station == 1 ? c->room / 2 : c->room);
        assert_int_equal(c->state, CONTACT_PREDICTED);
    }
    assert_memory_equal(&found, &sum, sizeof sum);
    assert_true(sum.n[0] >= 10 && sum.n[1] >= 4);

    link.n_steps = 1;
    link.step[0] = (struct contact_step){ 30 * RADIANS, 16000 };
    assert_rc(contact_find(&s, sky, &path, &high, &err), RC_OK);
    assert_int_equal(high.n, list.n);
    for (size_t i = 0; i < list.n; i++)
        if (list.at[i].top > 31 * RADIANS)
            assert_in_range(high.at[i].room, list.at[i].room + 1, 2 * list.at[i].room - 1);
        else if (list.at[i].top < 30 * RADIANS)
            assert_int_equal(high.at[i].room, list.at[i].room);
}

static void imports_what_is_ours(void **state)
{
    static const char text[] = "a contact +0 +600 1 101 1000\n"
                               "a contact +0 +600 101 1 9999\n" /* downlink */
                               "a contact +0 +600 9 101 9999\n" /* a station of others */
                               "a contact +0 +600 2 102 9999\n" /* a satellite of others */
                               "a contact +500 +1500 2 101 1000 0.5\n"
                               "a contact +2000 +2600 1 101 1000\n"; /* behind the span */
    const struct contact_link link = {
        .rate = 1, .setup_ms = 100000, .overhead_ppm = 100000, .goodput_ppm = 500000
    };
    const struct contact_search s = {
        .station = stations, .n_stations = 2, .satellite = 3, .node = 101, .link = &link
    };
    scoped(contact_ion_free) struct contact_ion plan = { 0 };
    scoped(contacts_free) struct contacts list = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(contact_ion_read(bytes_of(text), "p", 0, &plan, &err), RC_OK);
    assert_rc(contact_import(&s, &plan, 100000, 1000000, &list, &err), RC_OK);
    assert_int_equal(list.n, 2);
    assert_int_equal(list.at[0].aos_ms, 100000); /* cut to the span */
    assert_int_equal(list.at[0].room, 360000);   /* 500 s - 100 s set-up, 1000 bytes/s, 90 % */
    assert_int_equal(list.at[0].capacity, 180000);
    assert_int_equal(list.at[1].station, 1);
    assert_int_equal(list.at[1].los_ms, 1000000);
    assert_int_equal(list.at[1].capacity, 90000); /* confidence */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_state_and_event), cmocka_unit_test(time_moves_it),
        cmocka_unit_test(long_ones_are_cut),     cmocka_unit_test(order_is_total),
        cmocka_unit_test(room_by_hand),          cmocka_unit_test(learns_as_rfc_6298),
        cmocka_unit_test(learning_is_bounded),   cmocka_unit_test(finds_what_the_sky_gives),
        cmocka_unit_test(imports_what_is_ours),
    };

    return cmocka_run_group_tests_name("orchestrator/contact", tests, NULL, NULL);
}
