/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_sky: what a contact plan costs to predict, ten thousand satellites over ten
 * stations for a day, and then to schedule on forty antennas; and the odds of a plan for the
 * largest fleet that a file can hold.  CPU time of one thread, so that other work on the machine
 * hardly counts.
 */
#include <math.h>

#include "orchestrator/forecast.h"
#include "orchestrator/sky.h"
#include "tests/bench/bench.h"

#define SATELLITES 10000U
#define STATIONS 10U
#define DAY_MS 86400000LL
#define START_MS 1767225600000LL /* 2026-01-01 */
#define START_DAYS (7306.0 + 1767225600.0 / 86400.0)
#define RADIANS (3.14159265358979323846 / 180.0)
#define CALLS 2000000U
#define ANTENNAS 4U
#define FLEET 256U
#define TENANTS 4U
#define DELTA_BYTES 100000U
#define CONTACT_BYTES_S 960U /* 9.6 kbit/s, 0.8 of it */

static void row(FILE *out, const char *figure, double value, const char *unit, double aim)
{
    (void)printf("%-52s %12.2f %-4s aim %g\n", figure, value, unit, aim);
    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"peer\":null,"
                  "\"peer_value\":null,\"ratio\":null,\"aim\":%g}\n",
                  figure, value, unit, aim);
}

/* A constellation: planes, heights and phases spread evenly. */
static void orbit_of(uint32_t i, struct sgp4 *ret)
{
    struct err err = { 0 };
    const struct tle tle = { .catalog = i,
                             .epoch_days = START_DAYS - 0.25 * (i % 8),
                             .bstar = 1e-5,
                             .inclination = (i % 3 == 0 ? 97.6 : 53.0) * RADIANS,
                             .node = (i % 100) * 3.6 * RADIANS,
                             .eccentricity = 0.0008,
                             .perigee = 1.0,
                             .anomaly = (i / 100) * 3.6 * RADIANS,
                             .mean_motion =
                                 (14.6 + 0.0008 * (i % 1000)) * 2 * 3.14159265358979323846 / 1440 };

    must_rc(sgp4_init(&tle, ret, &err), &err);
}

struct sum {
    uint64_t passes;
    double seconds;
    uint32_t satellite;
    struct contacts contacts;
};

static bool add(void *arg, const struct sky_pass *pass)
{
    struct sum *sum = arg;
    uint64_t bytes = (uint64_t)(pass->los_ms - pass->aos_ms) * CONTACT_BYTES_S / 1000;
    const struct contact c = { .station = pass->station,
                               .satellite = sum->satellite,
                               .aos_ms = pass->aos_ms,
                               .los_ms = pass->los_ms,
                               .room = bytes,
                               .capacity = bytes };
    struct err err = { 0 };

    sum->passes++;
    sum->seconds += (double)(pass->los_ms - pass->aos_ms) / 1000.0;
    must_rc(contacts_add(&sum->contacts, &c, &err), &err);
    return true;
}

static struct sky_station station_of(uint32_t i)
{
    return (struct sky_station){ .latitude = (78.0 - 15.0 * i) * RADIANS,
                                 .longitude = 36.0 * i * RADIANS,
                                 .mask = 2 * RADIANS };
}

static double hours_of(int64_t ms)
{
    return ms == FORECAST_NOT ? INFINITY : (double)(ms - START_MS) / 3600000.0;
}

/* A delta of 100 kB and a token for every satellite; a tenth of them is the canary. */
static void schedule(FILE *out, struct contacts *contacts)
{
    struct contact_station station[STATIONS];
    static const struct schedule_tenant tenant[TENANTS] = {
        { 1, 0 }, { 2, 0 }, { 1, 0 }, { 4, 0 }
    };
    static struct schedule_job job[2 * SATELLITES];
    struct schedule_input in = { .now_ms = START_MS,
                                 .station = station,
                                 .n_stations = STATIONS,
                                 .n_satellites = SATELLITES,
                                 .tenant = tenant,
                                 .n_tenants = TENANTS,
                                 .job = job,
                                 .n_jobs = 2 * SATELLITES };
    struct schedule_fill fill = { 0 };
    struct err err = { 0 };
    uint32_t done = 0, held = 0;

    for (uint32_t i = 0; i < STATIONS; i++)
        station[i] = (struct contact_station){ .antennas = ANTENNAS, .turn_ms = 180000 };
    for (uint32_t i = 0; i < SATELLITES; i++) {
        job[2 * i] = (struct schedule_job){ .satellite = i,
                                            .tenant = i % TENANTS,
                                            .class = i % 10 ? SCHEDULE_ROLLOUT : SCHEDULE_CANARY,
                                            .bytes = DELTA_BYTES,
                                            .deadline_ms = INT64_MAX };
        job[2 * i + 1] = (struct schedule_job){
            .satellite = i, .tenant = SCHEDULE_OPERATOR, .bytes = 300, .deadline_ms = INT64_MAX
        };
    }
    double began = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    must_rc(schedule_antennas(&in, contacts, &err), &err);
    must_rc(schedule_fill(&in, contacts, NULL, &fill, &err), &err);
    row(out, "scheduling these passes on 40 antennas", bench_s(CLOCK_PROCESS_CPUTIME_ID) - began,
        "s", 0.5);
    for (uint32_t i = 0; i < SATELLITES; i++)
        done += fill.left[2 * i] == 0;
    for (size_t i = 0; i < contacts->n; i++)
        held += contacts->at[i].state == CONTACT_RESERVED;
    (void)printf("  %u contacts reserved, %zu bookings, %u satellites get all of theirs\n", held,
                 fill.n, done);
    schedule_fill_free(&fill);
}

static struct contact_goodput goodput(void *arg, uint32_t station, uint32_t satellite)
{
    (void)arg;
    (void)station;
    (void)satellite;
    return (struct contact_goodput){ .mean_ppm = 700000, .deviation_ppm = 150000 };
}

/* FLEET satellites for two days, four waves, a delta each: FORECAST_DRAWS draws. */
static void odds(FILE *out)
{
    struct contact_station station[STATIONS];
    struct sky_station place[STATIONS];
    static const struct schedule_tenant tenant = { 1, 0 };
    static struct schedule_job job[FLEET];
    static uint32_t wave[FLEET];
    static bool ours[FLEET];
    static const uint64_t soak_ms[] = { 600000, 600000, 600000, 600000 };
    struct schedule_input in = { .now_ms = START_MS,
                                 .station = station,
                                 .n_stations = STATIONS,
                                 .n_satellites = FLEET,
                                 .tenant = &tenant,
                                 .n_tenants = 1,
                                 .job = job,
                                 .n_jobs = FLEET };
    struct sum sum = { 0 };
    const struct forecast_input f = { .schedule = &in,
                                      .contacts = &sum.contacts,
                                      .goodput = goodput,
                                      .wave = wave,
                                      .ours = ours,
                                      .n_waves = 4,
                                      .soak_ms = soak_ms,
                                      .seed = 1 };
    struct forecast forecast = { 0 };
    struct sky *sky = NULL;
    struct err err = { 0 };

    for (uint32_t i = 0; i < STATIONS; i++) {
        place[i] = station_of(i);
        station[i] = (struct contact_station){ .antennas = ANTENNAS, .turn_ms = 180000 };
    }
    must_rc(sky_new(place, STATIONS, START_MS, START_MS + 2 * DAY_MS, &sky, &err), &err);
    for (uint32_t i = 0; i < FLEET; i++) {
        struct sgp4 orbit;

        orbit_of(i, &orbit);
        sum.satellite = i;
        must_rc(sky_passes(sky, &orbit, add, &sum, &err), &err);
        job[i] = (struct schedule_job){ .satellite = i,
                                        .class = SCHEDULE_ROLLOUT,
                                        .bytes = DELTA_BYTES,
                                        .deadline_ms = INT64_MAX };
        wave[i] = i * 4 / FLEET;
        ours[i] = true;
    }
    sky_free(&sky);
    contacts_sort(&sum.contacts);
    must_rc(schedule_antennas(&in, &sum.contacts, &err), &err);
    double began = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    must_rc(forecast_make(&f, &forecast, &err), &err);
    row(out, "P50 and P90 of a plan, 256 satellites, two days",
        bench_s(CLOCK_PROCESS_CPUTIME_ID) - began, "s", 1);
    (void)printf("  %zu contacts, the last wave is done after %.1f h at P50, %.1f h at P90\n",
                 sum.contacts.n, hours_of(forecast.wave[3].p50_ms),
                 hours_of(forecast.wave[3].p90_ms));
    forecast_free(&forecast);
    contacts_free(&sum.contacts);
}

static void contact_plan(FILE *out)
{
    struct sky_station station[STATIONS];
    struct sky *sky = NULL;
    struct sum sum = { 0 };
    struct err err = { 0 };
    double began = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    for (uint32_t i = 0; i < STATIONS; i++)
        station[i] = station_of(i);
    must_rc(sky_new(station, STATIONS, START_MS, START_MS + DAY_MS, &sky, &err), &err);
    for (uint32_t i = 0; i < SATELLITES; i++) {
        struct sgp4 orbit;

        orbit_of(i, &orbit);
        sum.satellite = i;
        must_rc(sky_passes(sky, &orbit, add, &sum, &err), &err);
    }
    sky_free(&sky);
    contacts_sort(&sum.contacts);
    row(out, "contact plan, 10k satellites x 10 stations x 24 h",
        bench_s(CLOCK_PROCESS_CPUTIME_ID) - began, "s", 10);
    (void)printf("  %llu passes, mean %.0f s\n", (unsigned long long)sum.passes,
                 sum.seconds / (double)sum.passes);
    schedule(out, &sum.contacts);
    contacts_free(&sum.contacts);
}

static void one_position(FILE *out)
{
    struct sgp4 orbit;
    struct vec3 r, v;
    struct err err = { 0 };
    double sink = 0;

    orbit_of(1, &orbit);
    double began = bench_s(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t i = 0; i < CALLS; i++) {
        must_rc(sgp4_at(&orbit, i * 0.001, &r, &v, &err), &err);
        sink += r.x + v.x;
    }
    must(isfinite(sink), "positions");
    row(out, "SGP4, one position and velocity",
        (bench_s(CLOCK_PROCESS_CPUTIME_ID) - began) * 1e9 / CALLS, "ns", 1000);
}

int main(int argc, char **argv)
{
    must(argc == 2, "usage: bench_sky FILE");
    FILE *out = fopen(argv[1], "we");

    must(out != NULL, argv[1]);
    one_position(out);
    odds(out);
    contact_plan(out);
    must(fclose(out) == 0, argv[1]);
    return 0;
}
