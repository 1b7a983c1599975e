/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/tle: two-line element sets, as NORAD publishes them: mean elements of an orbit for
 * orchestrator/sgp4 and for nothing else.
 *
 * The fields lie in fixed columns; both lines are ASCII and carry a checksum.  Whoever changes a
 * digit moves a satellite by minutes, so nothing is guessed: a column that should be a digit, a
 * point or a blank and is not, or a wrong checksum, refuses the set.
 */
#ifndef BERTH_ORCHESTRATOR_TLE_H
#define BERTH_ORCHESTRATOR_TLE_H

#include "base/bytes.h"
#include "base/err.h"

#define TLE_LINE 69U /* columns of each line */
#define TLE_PI 3.14159265358979323846

/* Days since 1949-12-31T00:00Z (Julian date 2433281.5) of a Unix time, and back. */
double tle_days(int64_t unix_ms);
int64_t tle_unix_ms(double days);

struct tle {
    uint32_t catalog;   /* number in the satellite catalogue, up to 99999 */
    int64_t epoch_ms;   /* Unix time, rounded; for display and age */
    double epoch_days;  /* the same as days since 1949-12-31T00:00Z (Julian date 2433281.5) */
    double bstar;       /* drag term, 1 / earth radii */
    double inclination; /* radians, as all angles */
    double node;        /* right ascension of the ascending node */
    double eccentricity;
    double perigee;     /* argument of perigee */
    double anomaly;     /* mean anomaly */
    double mean_motion; /* radians a minute, as published (Kozai) */
};

/* Parse a set.  Lines may end in blanks or CR and have nothing else behind column 69.  RC_TLE with
 * line and column. */
must_check enum rc tle_parse(struct bytes line1, struct bytes line2, struct tle *ret,
                             struct err *err);

#endif
