/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sky: when a satellite is above a station's mask.  Pure: elements, stations and a
 * span of time in, passes out.
 *
 * Positions come from orchestrator/sgp4 every two minutes and are joined by the cubic through
 * positions and velocities, which for a low orbit is metres from the theory (a few milliseconds of
 * AOS); what elements are wrong by after a day is a thousand times that.  The earth is the WGS-84
 * ellipsoid; polar motion, UT1-UTC, refraction and light time are left out: seconds at most, and
 * nobody schedules to the second.
 */
#ifndef BERTH_ORCHESTRATOR_SKY_H
#define BERTH_ORCHESTRATOR_SKY_H

#include "orchestrator/sgp4.h"

#define SKY_STATIONS_MAX 64U
#define SKY_SPAN_MAX_MS (31LL * 24 * 3600 * 1000)

struct sky_station {
    double latitude;  /* geodetic, radians, north positive */
    double longitude; /* radians, east positive */
    double height_km; /* above the ellipsoid */
    double mask;      /* lowest elevation that is worked with, radians */
};

struct sky_pass {
    uint32_t station; /* index */
    int64_t aos_ms;   /* Unix time; the span's start if it was above the mask then */
    int64_t los_ms;   /* the span's end if it still is */
    int64_t top_ms;   /* time of the highest elevation within it */
    double top;       /* that elevation, radians */
};

/* Stations in the inertial frame at every step of a span: made once, for any number of
 * satellites. */
struct sky;

/* The span's length is rounded up to whole two minutes.  At most SKY_STATIONS_MAX stations and
 * SKY_SPAN_MAX_MS.  RC_ORBIT: outside, or a station that is on no earth. RC_NO_MEMORY. */
must_check enum rc sky_new(const struct sky_station *stations, uint32_t n, int64_t from_ms,
                           int64_t to_ms, struct sky **ret, struct err *err);
void sky_free(struct sky **sky);

/* Call fn for every pass of one satellite, per station in the order of time, until it returns
 * false.  RC_ORBIT: the elements are not good for the whole span; what was found before is told. */
must_check enum rc sky_passes(const struct sky *sky, const struct sgp4 *orbit,
                              bool (*fn)(void *arg, const struct sky_pass *pass), void *arg,
                              struct err *err);

/* Anything that has positions: like sgp4_at, at days since 1949-12-31T00:00Z. */
struct sky_path {
    enum rc (*at)(const void *of, double days, struct vec3 *ret_position, struct vec3 *ret_velocity,
                  struct err *err);
    const void *of;
};

/* The path of elements; a view of them. */
struct sky_path sky_path_of(const struct sgp4 *orbit);

/* sky_passes of a path.  The codes of its at. */
must_check enum rc sky_passes_on(const struct sky *sky, const struct sky_path *path,
                                 bool (*fn)(void *arg, const struct sky_pass *pass), void *arg,
                                 struct err *err);

/* Elevation of a path's satellite from a station (radians).  The codes of its at. */
must_check enum rc sky_elevation(const struct sky_station *station, const struct sky_path *path,
                                 int64_t time_ms, double *ret, struct err *err);

/* Elevation (radians) and range (km; NULL = not wanted) of a satellite from a station, straight
 * from the theory.  RC_ORBIT. */
must_check enum rc sky_look(const struct sky_station *station, const struct sgp4 *orbit,
                            int64_t time_ms, double *ret_elevation, double *ret_range_km,
                            struct err *err);

#endif
