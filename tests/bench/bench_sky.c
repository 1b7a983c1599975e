/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_sky: what a contact plan costs to predict, ten thousand satellites over ten
 * stations for a day, and then to schedule on forty antennas.  CPU time of one thread, so that
 * other work on the machine hardly counts.
 */
#include <math.h>

#include "orchestrator/schedule.h"
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

static void contact_plan(FILE *out)
{
    struct sky_station station[STATIONS];
    struct sky *sky = NULL;
    struct sum sum = { 0 };
    struct err err = { 0 };
    double began = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    for (uint32_t i = 0; i < STATIONS; i++)
        station[i] = (struct sky_station){ .latitude = (78.0 - 15.0 * i) * RADIANS,
                                           .longitude = 36.0 * i * RADIANS,
                                           .mask = 2 * RADIANS };
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
    contact_plan(out);
    must(fclose(out) == 0, argv[1]);
    return 0;
}
