/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sgp4: where a satellite is, from its two-line elements: the analytic theory that
 * the elements are made for (Hoots and Roehrich, Spacetrack Report 3; Vallado, Crawford, Hujsak and
 * Kelso, AIAA 2006-6753, whose verification cases are the test).  Near-earth orbits, and with the
 * lunar, solar and resonance terms of deep-space ones (periods from 225 minutes).
 *
 * Pure: nothing is kept between calls, so one element set may be asked from several threads and in
 * any order of times.
 */
#ifndef BERTH_ORCHESTRATOR_SGP4_H
#define BERTH_ORCHESTRATOR_SGP4_H

#include "orchestrator/tle.h"

/* Two years: a resonance is followed in steps from the epoch on, and elements that old tell nothing
 * of one. */
#define SGP4_RESONANT_MINUTES_MAX (2.0 * 366.0 * 1440.0)

struct vec3 {
    double x, y, z;
};

/* Which resonance with the earth's rotation an orbit has. */
enum sgp4_resonance {
    SGP4_RESONANCE_NONE = 0,
    SGP4_RESONANCE_DAY = 1,  /* about one revolution a day */
    SGP4_RESONANCE_HALF = 2, /* about two, and eccentric */
};

/* Periodic terms of one of the two bodies, moon or sun; e, i, l, g (perigee), h (node). */
struct sgp4_body {
    double mean;   /* its mean longitude at the epoch, radians */
    double motion; /* of it, radians a minute */
    double eccentricity;
    double e2, e3, i2, i3, l2, l3, l4, g2, g3, g4, h2, h3;
};

/* What the lunar, solar and resonance theory adds. */
struct sgp4_deep {
    struct sgp4_body sun, moon;
    double e_dot, i_dot, m_dot, argp_dot, node_dot; /* secular, a minute */
    enum sgp4_resonance resonance;
    double lambda, factor;                         /* of the resonance at the epoch */
    double d1, d2, d3;                             /* of SGP4_RESONANCE_DAY */
    double d22[2], d32[2], d44[2], d52[2], d54[2]; /* of SGP4_RESONANCE_HALF */
};

/* An orbit, ready to be asked.  Lengths in earth radii, angles in radians, times in minutes. */
struct sgp4 {
    double epoch_days;                     /* as in struct tle */
    double no, e, i, node, argp, m, bstar; /* no: mean motion without Kozai's term */
    double sidereal;                       /* Greenwich sidereal time at the epoch */
    double m_dot, argp_dot, node_dot;      /* by the earth's flattening */
    double aycof, xlcof;                   /* long-period terms */
    double eta, delta_mo, sin_mo;          /* of the drag */
    double cc1, cc4, cc5, d2, d3, d4;
    double omgcof, xmcof, nodecf, t2cof, t3cof, t4cof, t5cof;
    bool simple; /* perigee below 220 km, or deep space: fewer drag terms */
    bool is_deep;
    struct sgp4_deep deep;
};

/* Elements that are moved along; for sgp4.c and sgp4_deep.c. */
struct sgp4_mean {
    double n, e, i, node, argp, m;
};

/* RC_ORBIT: the elements describe no orbit that the theory covers. */
must_check enum rc sgp4_init(const struct tle *tle, struct sgp4 *ret, struct err *err);

/* Position (km) and velocity (km/s; NULL = not wanted) in the true-equator, mean-equinox frame of
 * date, `minutes` after the epoch.  RC_ORBIT: the elements are not good for that time (of an
 * orbit in resonance more than SGP4_RESONANT_MINUTES_MAX from it), or the satellite has come down.
 */
must_check enum rc sgp4_at(const struct sgp4 *s, double minutes, struct vec3 *ret_position,
                           struct vec3 *ret_velocity, struct err *err);

/* Greenwich mean sidereal time, 0 to 2 pi, at days since 1949-12-31T00:00Z (UT1 taken for UTC). */
double sgp4_sidereal(double days);

/* Root of the earth's gravitational constant (WGS-72), in earth radii and minutes. */
double sgp4_root_mu(void);

/* For sgp4.c: sgp4_deep.c's part. */
void sgp4_deep_init(struct sgp4 *s, double pi_dot);
void sgp4_deep_secular(const struct sgp4 *s, double minutes, struct sgp4_mean *mean);
void sgp4_deep_periodic(const struct sgp4 *s, double minutes, struct sgp4_mean *mean);

#endif
