/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes of satellites over stations: against the theory looked at every ten seconds, and against
 * geometry that anybody can do by hand.
 */
#include "tests/unit/test.h"

#include <math.h>
#include <string.h>

#include "orchestrator/sky.h"

#define RADIANS (3.14159265358979323846 / 180.0)
#define STATIONS 5U
#define PASSES_MAX 512U
#define HOUR_MS 3600000LL
#define LOOK_MS 10000

/* CBERS 2 (sun-synchronous), NAVSTAR 53, MOLNIYA 1-83 and AMC-4 (stationary) of the verification
 * cases: what a fleet may be made of. */
static const char *const orbits[][2] = {
    { "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836",
      "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550" },
    { "1 28129U 03058A   06175.57071136 -.00000104  00000-0  10000-3 0   459",
      "2 28129  54.7298 324.8098 0048506 266.2640  93.1663  2.00562768 18443" },
    { "1 21897U 92011A   06176.02341244 -.00001273  00000-0 -13525-3 0  3044",
      "2 21897  62.1749 198.0096 7421690 253.0462  20.1561  2.01269994104880" },
    { "1 25954U 99060A   04039.68057285 -.00000108  00000-0  00000-0 0  6847",
      "2 25954   0.0004 243.8136 0001765  15.5294  22.7134  1.00271289 15615" },
};
#define ORBITS (sizeof orbits / sizeof orbits[0])

static const struct sky_station stations[STATIONS] = {
    { 78.23 * RADIANS, 15.39 * RADIANS, 0.45, 5 * RADIANS },  /* sees every pass of a polar orbit */
    { 67.86 * RADIANS, 20.96 * RADIANS, 0.40, 10 * RADIANS }, /* */
    { -72.01 * RADIANS, 2.53 * RADIANS, 1.30, 5 * RADIANS },  /* */
    { 0.0, -52.8 * RADIANS, 0.0, 0.0 },                       /* on the equator, no mask */
    { -25.9 * RADIANS, 27.7 * RADIANS, 1.4, 60 * RADIANS },   /* a narrow cone: short passes */
};

static void orbit_of(size_t i, struct sgp4 *ret, int64_t *ret_epoch_ms)
{
    struct tle tle;
    struct err err = { 0 };
    struct bytes one = { (const uint8_t *)orbits[i][0], strlen(orbits[i][0]) };
    struct bytes two = { (const uint8_t *)orbits[i][1], strlen(orbits[i][1]) };

    assert_rc(tle_parse(one, two, &tle, &err), RC_OK);
    assert_rc(sgp4_init(&tle, ret, &err), RC_OK);
    *ret_epoch_ms = tle.epoch_ms;
}

struct found {
    struct sky_pass pass[PASSES_MAX];
    uint32_t n, most;
};

static bool keep(void *arg, const struct sky_pass *pass)
{
    struct found *f = arg;

    assert_true(f->n < PASSES_MAX);
    f->pass[f->n++] = *pass;
    return f->n != f->most;
}

static double look(uint32_t station, const struct sgp4 *orbit, int64_t at_ms)
{
    struct err err = { 0 };
    double elevation;

    assert_rc(sky_look(&stations[station], orbit, at_ms, &elevation, NULL, &err), RC_OK);
    return elevation;
}

static const struct sky_pass *pass_at(const struct found *f, uint32_t station, int64_t at_ms)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->pass[i].station == station && at_ms >= f->pass[i].aos_ms &&
            at_ms <= f->pass[i].los_ms)
            return &f->pass[i];
    return NULL;
}

/* Every look finds the satellite above the mask exactly when a pass says so, and never above the
 * pass's top; within two seconds of AOS and LOS both answers are right. */
static void check_looks(const struct found *f, uint32_t station, const struct sgp4 *orbit,
                        int64_t from_ms, int64_t to_ms)
{
    for (int64_t t = from_ms; t < to_ms; t += LOOK_MS) {
        double elevation = look(station, orbit, t);
        const struct sky_pass *p = pass_at(f, station, t);
        bool up = elevation >= stations[station].mask;

        if (up != (p != NULL) && pass_at(f, station, t - 2000) == pass_at(f, station, t + 2000))
            fail_msg("station %u at %lld: elevation %.3f, %s", station, (long long)t,
                     elevation / RADIANS, p ? "in a pass" : "in no pass");
        if (p)
            assert_true(elevation <= p->top + 1e-4);
    }
}

static void passes_are_what_looks_say(void **state)
{
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < ORBITS; i++) {
        static struct found f;
        struct sky *sky = NULL;
        struct sgp4 orbit;
        int64_t from;

        f = (struct found){ 0 };
        orbit_of(i, &orbit, &from);
        assert_rc(sky_new(stations, STATIONS, from, from + 24 * HOUR_MS, &sky, &err), RC_OK);
        assert_rc(sky_passes(sky, &orbit, keep, &f, &err), RC_OK);
        assert_true(f.n > 0);
        for (uint32_t k = 0; k < STATIONS; k++)
            check_looks(&f, k, &orbit, from, from + 24 * HOUR_MS);
        sky_free(&sky);
    }
}

/* The elevation at AOS and LOS is the mask, at the top it is the top. */
static void edges_lie_on_the_mask(void **state)
{
    static struct found f;
    struct sky *sky = NULL;
    struct sgp4 orbit;
    struct err err = { 0 };
    int64_t from;

    (void)state;
    f = (struct found){ 0 };
    orbit_of(0, &orbit, &from);
    assert_rc(sky_new(stations, STATIONS, from, from + 72 * HOUR_MS, &sky, &err), RC_OK);
    assert_rc(sky_passes(sky, &orbit, keep, &f, &err), RC_OK);
    assert_in_range(f.n, 60, 140); /* 14.35 revolutions a day; the polar ones see nearly all */
    for (uint32_t i = 0; i < f.n; i++) {
        const struct sky_pass *p = &f.pass[i];
        double mask = stations[p->station].mask;

        assert_in_range(p->los_ms - p->aos_ms, 1, 17 * 60000);
        if (p->aos_ms > from)
            assert_true(fabs(look(p->station, &orbit, p->aos_ms) - mask) < 2e-5);
        if (p->los_ms < from + 72 * HOUR_MS)
            assert_true(fabs(look(p->station, &orbit, p->los_ms) - mask) < 2e-5);
        assert_true(fabs(look(p->station, &orbit, p->top_ms) - p->top) < 1e-4);
    }
    sky_free(&sky);
}

/* A stationary satellite, from 40 degrees beside the meridian below it: the plane triangle of the
 * earth's centre, the station and the satellite gives the elevation, and it never sets. */
static void stationary_by_hand(void **state)
{
    struct found f = { 0 };
    struct sgp4 orbit;
    struct sky *sky = NULL;
    struct err err = { 0 };
    struct sky_station below = { 0, 0, 0, 0 };
    double elevation, range;
    int64_t from;
    double best = -2;

    (void)state;
    orbit_of(3, &orbit, &from);
    /* find the meridian below it */
    for (int i = 0; i < 3600; i++) {
        struct sky_station s = { 0, (i - 1800) * 0.1 * RADIANS, 0, 0 };

        assert_rc(sky_look(&s, &orbit, from, &elevation, NULL, &err), RC_OK);
        if (elevation > best) {
            best = elevation;
            below = s;
        }
    }
    assert_true(best > 89 * RADIANS);
    assert_true(fabs(below.longitude / RADIANS + 135.0) < 35); /* AMC-4 stood over the Americas */

    double apart = 40 * RADIANS;
    double ratio = 6378.137 / 42164.2;
    struct sky_station away = { 0, below.longitude + apart, 0, 10 * RADIANS };
    double by_hand = atan2(cos(apart) - ratio, sin(apart));
    assert_rc(sky_look(&away, &orbit, from, &elevation, &range, &err), RC_OK);
    assert_true(fabs(elevation - by_hand) < 0.1 * RADIANS);
    assert_true(range > 35786 && range < 42164);

    assert_rc(sky_new(&away, 1, from, from + 24 * HOUR_MS, &sky, &err), RC_OK);
    assert_rc(sky_passes(sky, &orbit, keep, &f, &err), RC_OK);
    assert_int_equal(f.n, 1);
    assert_int_equal(f.pass[0].aos_ms, from);
    assert_int_equal(f.pass[0].los_ms, from + 24 * HOUR_MS);
    sky_free(&sky);
}

static void stops_when_told(void **state)
{
    static struct found f;
    struct sky *sky = NULL;
    struct sgp4 orbit;
    struct err err = { 0 };
    int64_t from;

    (void)state;
    f = (struct found){ .most = 3 };
    orbit_of(0, &orbit, &from);
    assert_rc(sky_new(stations, STATIONS, from, from + 24 * HOUR_MS, &sky, &err), RC_OK);
    assert_rc(sky_passes(sky, &orbit, keep, &f, &err), RC_OK);
    assert_int_equal(f.n, 3);
    sky_free(&sky);
}

static void refuses_what_is_no_span_or_station(void **state)
{
    const struct sky_station bad[] = { { 91 * RADIANS, 0, 0, 0 }, { 0, 7, 0, 0 },  { 0, 0, 400, 0 },
                                       { 0, 0, 0, 90 * RADIANS }, { 0, 0, 0, -1 }, { NAN, 0, 0, 0 },
                                       { 0, 0, NAN, 0 } };
    struct sky *sky = NULL;
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_rc(sky_new(&bad[i], 1, 0, HOUR_MS, &sky, &err), RC_ORBIT);
    assert_rc(sky_new(stations, 0, 0, HOUR_MS, &sky, &err), RC_ORBIT);
    assert_rc(sky_new(stations, SKY_STATIONS_MAX + 1, 0, HOUR_MS, &sky, &err), RC_ORBIT);
    assert_rc(sky_new(stations, 1, HOUR_MS, HOUR_MS, &sky, &err), RC_ORBIT);
    assert_rc(sky_new(stations, 1, 0, SKY_SPAN_MAX_MS + 1, &sky, &err), RC_ORBIT);
    assert_null(sky);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_are_what_looks_say),
        cmocka_unit_test(edges_lie_on_the_mask),
        cmocka_unit_test(stationary_by_hand),
        cmocka_unit_test(stops_when_told),
        cmocka_unit_test(refuses_what_is_no_span_or_station),
    };

    return cmocka_run_group_tests_name("orchestrator/sky", tests, NULL, NULL);
}
