/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sky.h"

#include <math.h>
#include <stdlib.h>

#define STEP_MS 120000
#define STEP_S 120.0
#define EARTH_KM 6378.137 /* WGS-84 */
#define FLATTENING (1.0 / 298.257223563)
#define PI TLE_PI
#define TURN 7.292115146706979e-5 /* radians a second */
/* Further below the mask than this (in the elevation's sine) at both ends of a step, no satellite
 * comes up and goes down within it. */
#define FAR_BELOW 0.35
#define REFINE 40

/* A station in the inertial frame at one time: where it is, which way is up. */
struct place {
    struct vec3 at, up;
};

struct sky {
    int64_t from_ms, to_ms;
    uint32_t n_stations;
    uint32_t n_steps; /* of positions: one more than of intervals */
    struct sky_station station[SKY_STATIONS_MAX];
    struct place place[]; /* [step][station] */
};

static double dot(struct vec3 a, struct vec3 b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static struct vec3 minus(struct vec3 a, struct vec3 b)
{
    return (struct vec3){ a.x - b.x, a.y - b.y, a.z - b.z };
}

static struct place place_of(const struct sky_station *s, double sidereal)
{
    double sin_l = sin(s->latitude), cos_l = cos(s->latitude);
    double e2 = FLATTENING * (2.0 - FLATTENING);
    double n = EARTH_KM / sqrt(1.0 - e2 * sin_l * sin_l);
    double sin_h = sin(s->longitude + sidereal), cos_h = cos(s->longitude + sidereal);
    double across = (n + s->height_km) * cos_l;

    return (struct place){
        .at = { across * cos_h, across * sin_h, (n * (1.0 - e2) + s->height_km) * sin_l },
        .up = { cos_l * cos_h, cos_l * sin_h, sin_l },
    };
}

static bool is_on_earth(const struct sky_station *s)
{
    return fabs(s->latitude) <= PI / 2 && fabs(s->longitude) <= 2 * PI &&
           fabs(s->height_km) <= 100 && s->mask >= 0 && s->mask < PI / 2;
}

enum rc sky_new(const struct sky_station *stations, uint32_t n, int64_t from_ms, int64_t to_ms,
                struct sky **ret, struct err *err)
{
    if (n == 0 || n > SKY_STATIONS_MAX || to_ms <= from_ms || to_ms - from_ms > SKY_SPAN_MAX_MS)
        return err_set(err, RC_ORBIT, "%u stations, %lld ms", n, (long long)(to_ms - from_ms));
    for (uint32_t i = 0; i < n; i++) {
        if (!is_on_earth(&stations[i]))
            return err_set(err, RC_ORBIT, "station %u: latitude, longitude, height or mask", i);
    }

    uint32_t steps = (uint32_t)((to_ms - from_ms + STEP_MS - 1) / STEP_MS) + 1;
    struct sky *sky = malloc(sizeof *sky + (size_t)steps * n * sizeof sky->place[0]);
    if (!sky)
        return err_set(err, RC_NO_MEMORY, "%u steps of %u stations", steps, n);
    sky->from_ms = from_ms;
    sky->to_ms = from_ms + (int64_t)(steps - 1) * STEP_MS;
    sky->n_stations = n;
    sky->n_steps = steps;
    memcpy(sky->station, stations, n * sizeof stations[0]);
    for (uint32_t k = 0; k < steps; k++) {
        double sidereal = sgp4_sidereal(tle_days(from_ms + (int64_t)k * STEP_MS));

        for (uint32_t i = 0; i < n; i++)
            sky->place[(size_t)k * n + i] = place_of(&stations[i], sidereal);
    }
    *ret = sky;
    return RC_OK;
}

void sky_free(struct sky **sky)
{
    free(*sky);
    *sky = NULL;
}

/* ---- one step of one station ---------------------------------------------------------------- */

/* The satellite at both ends of a step. */
struct leg {
    struct vec3 r[2], v[2];
};

/* Cubic through positions and velocities; s from 0 to 1. */
static double hermite(double r0, double v0, double r1, double v1, double s)
{
    double s2 = s * s, s3 = s2 * s;

    return (2 * s3 - 3 * s2 + 1) * r0 + (s3 - 2 * s2 + s) * STEP_S * v0 + (3 * s2 - 2 * s3) * r1 +
           (s3 - s2) * STEP_S * v1;
}

static struct vec3 between(const struct leg *leg, double s)
{
    return (struct vec3){ hermite(leg->r[0].x, leg->v[0].x, leg->r[1].x, leg->v[1].x, s),
                          hermite(leg->r[0].y, leg->v[0].y, leg->r[1].y, leg->v[1].y, s),
                          hermite(leg->r[0].z, leg->v[0].z, leg->r[1].z, leg->v[1].z, s) };
}

/* The station turns with the earth. */
static struct vec3 turned(struct vec3 a, double angle)
{
    double c = cos(angle), s = sin(angle);

    return (struct vec3){ a.x * c - a.y * s, a.x * s + a.y * c, a.z };
}

static double sine_of_elevation(const struct place *p, struct vec3 r)
{
    struct vec3 d = minus(r, p->at);

    return dot(d, p->up) / sqrt(dot(d, d));
}

/* Sine of the elevation at a part of the step that began at p. */
static double height_at(const struct place *p, const struct leg *leg, double s)
{
    double angle = TURN * STEP_S * s;
    struct place now = { turned(p->at, angle), turned(p->up, angle) };

    return sine_of_elevation(&now, between(leg, s));
}

/* Whether the elevation rises at one end of a step. */
static bool is_rising(const struct place *p, struct vec3 r, struct vec3 v)
{
    struct vec3 d = minus(r, p->at);
    struct vec3 station_v = { -TURN * p->at.y, TURN * p->at.x, 0 };
    struct vec3 up_v = { -TURN * p->up.y, TURN * p->up.x, 0 };
    struct vec3 d_v = minus(v, station_v);
    double range2 = dot(d, d);

    return (dot(d_v, p->up) + dot(d, up_v)) * range2 > dot(d, p->up) * dot(d, d_v);
}

/* Where the elevation passes the mask: one end is below, the other is not. */
static double crossing(const struct place *p, const struct leg *leg, double below, double above,
                       double mask)
{
    for (int i = 0; i < REFINE && fabs(above - below) * STEP_S > 0.0005; i++) {
        double s = 0.5 * (below + above);

        if (height_at(p, leg, s) < mask)
            below = s;
        else
            above = s;
    }
    return above;
}

/* The highest point between two parts of a step; the elevation has one hill there. */
static double summit(const struct place *p, const struct leg *leg, double a, double b)
{
    for (int i = 0; i < REFINE && (b - a) * STEP_S > 0.002; i++) {
        double third = (b - a) / 3.0;

        if (height_at(p, leg, a + third) < height_at(p, leg, b - third))
            a += third;
        else
            b -= third;
    }
    return 0.5 * (a + b);
}

/* ---- passes of one satellite ---------------------------------------------------------------- */

/* What is known of a station's pass so far. */
struct open_pass {
    bool is_open;
    double height; /* sine of the elevation at the step's beginning */
    double top;    /* highest sine yet */
    struct sky_pass pass;
};

struct search {
    const struct sky *sky;
    bool (*fn)(void *arg, const struct sky_pass *pass);
    void *arg;
    bool stopped;
    struct open_pass open[SKY_STATIONS_MAX];
};

static int64_t time_of(const struct sky *sky, uint32_t step, double s)
{
    return sky->from_ms + (int64_t)step * STEP_MS + llround(s * STEP_MS);
}

static void begin(struct open_pass *o, uint32_t station, int64_t at_ms, double height)
{
    o->is_open = true;
    o->top = height;
    o->pass = (struct sky_pass){ .station = station, .aos_ms = at_ms, .top_ms = at_ms };
}

static void higher(struct open_pass *o, double height, int64_t at_ms)
{
    if (o->is_open && height > o->top) {
        o->top = height;
        o->pass.top_ms = at_ms;
    }
}

/* A pass that began and ended in the same millisecond is none. */
static void finish(struct search *s, struct open_pass *o, int64_t at_ms)
{
    o->is_open = false;
    o->pass.los_ms = at_ms;
    o->pass.top = asin(o->top);
    if (o->pass.los_ms > o->pass.aos_ms && !s->stopped)
        s->stopped = !s->fn(s->arg, &o->pass);
}

/* Follow one station from the beginning of a step to its end. */
static void follow(struct search *s, uint32_t step, uint32_t station, const struct leg *leg)
{
    const struct sky *sky = s->sky;
    const struct place *p = &sky->place[(size_t)step * sky->n_stations + station];
    const struct place *q = p + sky->n_stations;
    struct open_pass *o = &s->open[station];
    double mask = sin(sky->station[station].mask);
    double before = o->height;
    double after = sine_of_elevation(q, leg->r[1]);

    o->height = after;
    if (before < mask - FAR_BELOW && after < mask - FAR_BELOW)
        return;
    bool is_hill = is_rising(p, leg->r[0], leg->v[0]) && !is_rising(q, leg->r[1], leg->v[1]);
    double peak = is_hill ? summit(p, leg, 0, 1) : 1;
    double peak_height = is_hill ? height_at(p, leg, peak) : after;

    if (before < mask && peak_height >= mask)
        begin(o, station, time_of(sky, step, crossing(p, leg, 0, peak, mask)), mask);
    higher(o, peak_height, time_of(sky, step, peak));
    higher(o, after, time_of(sky, step, 1));
    if (o->is_open && after < mask)
        finish(s, o,
               time_of(sky, step, crossing(p, leg, 1, before < mask || is_hill ? peak : 0, mask)));
}

static void begin_all(struct search *s, struct vec3 r)
{
    const struct sky *sky = s->sky;

    for (uint32_t i = 0; i < sky->n_stations; i++) {
        s->open[i].height = sine_of_elevation(&sky->place[i], r);
        if (s->open[i].height >= sin(sky->station[i].mask))
            begin(&s->open[i], i, sky->from_ms, s->open[i].height);
    }
}

static enum rc at_time(const void *of, double days, struct vec3 *ret_r, struct vec3 *ret_v,
                       struct err *err)
{
    const struct sgp4 *orbit = of;

    return sgp4_at(orbit, (days - orbit->epoch_days) * 1440.0, ret_r, ret_v, err);
}

struct sky_path sky_path_of(const struct sgp4 *orbit)
{
    return (struct sky_path){ .at = at_time, .of = orbit };
}

enum rc sky_passes(const struct sky *sky, const struct sgp4 *orbit,
                   bool (*fn)(void *arg, const struct sky_pass *pass), void *arg, struct err *err)
{
    const struct sky_path path = sky_path_of(orbit);

    return sky_passes_on(sky, &path, fn, arg, err);
}

static enum rc at_step(const struct sky *sky, const struct sky_path *path, uint32_t step,
                       struct vec3 *r, struct vec3 *v, struct err *err)
{
    return path->at(path->of, tle_days(sky->from_ms) + step * (STEP_S / 86400.0), r, v, err);
}

enum rc sky_passes_on(const struct sky *sky, const struct sky_path *path,
                      bool (*fn)(void *arg, const struct sky_pass *pass), void *arg,
                      struct err *err)
{
    struct search s = { .sky = sky, .fn = fn, .arg = arg };
    struct leg leg = { 0 };
    enum rc rc = at_step(sky, path, 0, &leg.r[1], &leg.v[1], err);

    if (rc == RC_OK)
        begin_all(&s, leg.r[1]);
    for (uint32_t k = 0; rc == RC_OK && k + 1 < sky->n_steps && !s.stopped; k++) {
        leg.r[0] = leg.r[1];
        leg.v[0] = leg.v[1];
        rc = at_step(sky, path, k + 1, &leg.r[1], &leg.v[1], err);
        for (uint32_t i = 0; rc == RC_OK && i < sky->n_stations; i++)
            follow(&s, k, i, &leg);
    }
    for (uint32_t i = 0; rc == RC_OK && i < sky->n_stations; i++) {
        if (s.open[i].is_open)
            finish(&s, &s.open[i], sky->to_ms);
    }
    return rc;
}

/* The line from a station to a path's satellite, and the station. */
static enum rc look(const struct sky_station *station, const struct sky_path *path, int64_t time_ms,
                    struct place *ret_place, struct vec3 *ret_r, struct err *err)
{
    double days = tle_days(time_ms);

    *ret_place = place_of(station, sgp4_sidereal(days));
    return path->at(path->of, days, ret_r, NULL, err);
}

enum rc sky_elevation(const struct sky_station *station, const struct sky_path *path,
                      int64_t time_ms, double *ret, struct err *err)
{
    struct place p;
    struct vec3 r;
    enum rc rc = look(station, path, time_ms, &p, &r, err);

    if (rc == RC_OK)
        *ret = asin(sine_of_elevation(&p, r));
    return rc;
}

enum rc sky_look(const struct sky_station *station, const struct sgp4 *orbit, int64_t time_ms,
                 double *ret_elevation, double *ret_range_km, struct err *err)
{
    const struct sky_path path = sky_path_of(orbit);
    struct place p;
    struct vec3 r;
    enum rc rc = look(station, &path, time_ms, &p, &r, err);

    if (rc != RC_OK)
        return rc;
    struct vec3 d = minus(r, p.at);
    *ret_elevation = asin(sine_of_elevation(&p, r));
    if (ret_range_km)
        *ret_range_km = sqrt(dot(d, d));
    return RC_OK;
}
