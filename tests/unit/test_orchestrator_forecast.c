/* SPDX-License-Identifier: Apache-2.0
 *
 * Forecasts: by hand where nothing is uncertain, by their rules where something is.
 */
#include "tests/unit/test.h"

#include <math.h>
#include <string.h>

#include "orchestrator/forecast.h"

#define MINUTE 60000LL
#define START 1796040000000LL

static struct contact_goodput known = { .mean_ppm = CONTACT_PPM };

static struct contact_goodput goodput(void *arg, uint32_t station, uint32_t satellite)
{
    (void)arg;
    (void)station;
    (void)satellite;
    return known;
}

static const struct contact_station one = { .antennas = 2 };
static const struct schedule_tenant tenant = { .weight = 1 };

static const uint64_t soaks[] = { 5 * MINUTE, 500 * MINUTE }; /* of each wave */

struct world {
    struct contacts contacts;
    struct schedule_input schedule;
    struct forecast_input in;
};

static void pass(struct world *w, uint32_t satellite, int64_t minute, uint64_t bytes)
{
    const struct contact c = { .satellite = satellite,
                               .aos_ms = START + minute * MINUTE,
                               .los_ms = START + (minute + 10) * MINUTE,
                               .room = bytes,
                               .capacity = bytes };
    struct err err = { 0 };

    assert_rc(contacts_add(&w->contacts, &c, &err), RC_OK);
}

static void make(struct world *w, const struct schedule_job *job, uint32_t n, const bool *ours,
                 const uint32_t *wave, uint32_t n_satellites)
{
    struct err err = { 0 };

    contacts_sort(&w->contacts);
    w->schedule = (struct schedule_input){ .now_ms = START,
                                           .station = &one,
                                           .n_stations = 1,
                                           .n_satellites = n_satellites,
                                           .tenant = &tenant,
                                           .n_tenants = 1,
                                           .job = job,
                                           .n_jobs = n };
    w->in = (struct forecast_input){ .schedule = &w->schedule,
                                     .contacts = &w->contacts,
                                     .goodput = goodput,
                                     .wave = wave,
                                     .ours = ours,
                                     .n_waves = 2,
                                     .soak_ms = soaks,
                                     .seed = 7 };
    assert_rc(schedule_antennas(&w->schedule, &w->contacts, &err), RC_OK);
}

static int64_t at(int64_t minute)
{
    return START + minute * MINUTE;
}

/* Satellite 0 is the canary: 150 bytes over two passes, heard in the third; then, after the soak,
 * satellite 1 gets its order in the pass at 320 and is heard in the one at 420. */
static void walks_through_waves(void **state)
{
    const struct schedule_job job[] = {
        { .satellite = 0, .bytes = 150, .class = SCHEDULE_CANARY, .deadline_ms = INT64_MAX },
        { .satellite = 1, .bytes = 90, .class = SCHEDULE_ROLLOUT, .deadline_ms = at(400) },
    };
    static const bool ours[] = { true, true };
    static const uint32_t wave[] = { 0, 1, FORECAST_NO_WAVE };
    struct world w = { 0 };
    scoped(forecast_free) struct forecast f = { 0 };
    struct err err = { 0 };

    (void)state;
    known = (struct contact_goodput){ .mean_ppm = CONTACT_PPM };
    for (int64_t i = 0; i < 3; i++)
        pass(&w, 0, 100 + 100 * i, 100);
    for (int64_t i = 0; i < 5; i++)
        pass(&w, 1, 120 + 100 * i, 100);
    make(&w, job, 2, ours, wave, 3);
    assert_rc(forecast_make(&w.in, &f, &err), RC_OK);
    assert_int_equal(f.satellite[0].bytes, 150);
    assert_int_equal(f.satellite[0].n_contacts, 2);
    assert_int_equal(f.satellite[0].on_board.p50_ms, at(210));
    assert_int_equal(f.satellite[0].healthy.p90_ms, at(310));
    assert_int_equal(f.satellite[0].why, FORECAST_FITS);
    assert_int_equal(f.wave[0].p50_ms, at(310));
    assert_int_equal(f.satellite[1].on_board.p90_ms, at(130));
    assert_int_equal(f.satellite[1].healthy.p50_ms, at(430));
    assert_int_equal(f.wave[1].p90_ms, at(430));
    assert_int_equal(f.satellite[1].why, FORECAST_DEADLINE);
    assert_int_equal(w.contacts.at[f.satellite[1].first].aos_ms, at(120));
    contacts_free(&w.contacts);
}

static void says_why_not(void **state)
{
    const struct schedule_job job[] = {
        { .satellite = 0, .bytes = 150, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .satellite = 1, .bytes = 90, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .satellite = 2, .bytes = 90, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .satellite = 1,
          .bytes = 50,
          .class = SCHEDULE_TRUST,
          .tenant = SCHEDULE_OPERATOR,
          .deadline_ms = INT64_MAX },
    };
    static const bool ours[] = { true, true, true, false };
    static const uint32_t wave[] = { 0, 0, 0 };
    struct world w = { 0 };
    scoped(forecast_free) struct forecast f = { 0 };
    struct err err = { 0 };

    (void)state;
    known = (struct contact_goodput){ .mean_ppm = CONTACT_PPM };
    pass(&w, 0, 100, 100);
    pass(&w, 1, 120, 100); /* 50 of them go to what waited before */
    pass(&w, 1, 220, 100);
    make(&w, job, 4, ours, wave, 3);
    w.in.n_waves = 1;
    assert_rc(forecast_make(&w.in, &f, &err), RC_OK);
    assert_int_equal(f.satellite[0].why, FORECAST_NO_ROOM);
    assert_int_equal(f.satellite[0].left, 50);
    assert_int_equal(f.satellite[1].why, FORECAST_NOT_HEARD);
    assert_int_equal(f.satellite[1].bytes, 90);
    assert_int_equal(f.satellite[1].on_board.p50_ms, at(230));
    assert_int_equal(f.satellite[2].why, FORECAST_NO_CONTACT);
    assert_int_equal(f.wave[0].p50_ms, FORECAST_NOT);
    assert_string_equal(forecast_why_text(FORECAST_DEADLINE), "no pass before the deadline");
    forecast_free(&f);

    const struct schedule_tenant poor = { .weight = 1, .daily_bytes = 20 };

    w.schedule.tenant = &poor;
    assert_rc(forecast_make(&w.in, &f, &err), RC_OK);
    assert_int_equal(f.satellite[0].why, FORECAST_QUOTA);
    contacts_free(&w.contacts);
}

/* Mean and deviation of many draws are those asked for; nothing leaves 0..1. */
static void draws_are_as_learnt(void **state)
{
    const struct contact_goodput g = { .mean_ppm = 600000, .deviation_ppm = 80000 };
    const struct contact_goodput wild = { .mean_ppm = 900000, .deviation_ppm = CONTACT_PPM };
    uint64_t seed = 1, again = 1;
    double sum = 0, off = 0;
    uint32_t edges = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint32_t x = forecast_draw(&g, &seed);

        sum += x;
        off += fabs((double)x - 600000);
    }
    assert_true(fabs(sum / 100000 - 600000) < 1500);
    assert_true(fabs(off / 100000 - 80000) < 1500);
    assert_true(forecast_draw(&g, &again) == forecast_draw(&g, &(uint64_t){ 1 }));
    for (int i = 0; i < 1000; i++) {
        uint32_t x = forecast_draw(&wild, &seed);

        assert_in_range(x, 0, CONTACT_PPM);
        edges += x == 0 || x == CONTACT_PPM;
    }
    assert_true(edges > 100);
}

/* With doubt P90 is not before P50, more doubt does not make P90 earlier, and one seed gives one
 * forecast. */
static void doubt_costs_time(void **state)
{
    const struct schedule_job job[] = {
        { .satellite = 0, .bytes = 1000, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
    };
    static const bool ours[] = { true };
    static const uint32_t wave[] = { 0 };
    struct world w = { 0 };
    int64_t before = 0;
    struct err err = { 0 };

    (void)state;
    for (int64_t i = 0; i < 40; i++)
        pass(&w, 0, 100 + 50 * i, 105);
    make(&w, job, 1, ours, wave, 1);
    w.in.n_waves = 1;
    for (uint32_t deviation = 0; deviation <= 200000; deviation += 100000) {
        scoped(forecast_free) struct forecast f = { 0 }, g = { 0 };

        known = (struct contact_goodput){ .mean_ppm = 700000, .deviation_ppm = deviation };
        assert_rc(forecast_make(&w.in, &f, &err), RC_OK);
        assert_rc(forecast_make(&w.in, &g, &err), RC_OK);
        assert_memory_equal(f.wave, g.wave, sizeof f.wave[0]);
        assert_memory_equal(f.satellite, g.satellite, sizeof f.satellite[0]);
        assert_true(f.wave[0].p90_ms >= f.wave[0].p50_ms);
        assert_true(f.satellite[0].on_board.p90_ms >= before);
        if (deviation == 0)
            assert_int_equal(f.satellite[0].on_board.p90_ms, at(100 + 50 * 9 + 10));
        if (deviation == 200000)
            assert_true(f.satellite[0].on_board.p90_ms > at(100 + 50 * 9 + 10));
        before = f.satellite[0].on_board.p90_ms;
    }
    contacts_free(&w.contacts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_through_waves),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(draws_are_as_learnt),
        cmocka_unit_test(doubt_costs_time),
    };

    return cmocka_run_group_tests_name("orchestrator/forecast", tests, NULL, NULL);
}
