/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/tle.h"

#include <math.h>

#define DAY_MS 86400000.0
#define DAYS_1950_TO_1970 7306.0 /* 1949-12-31 to 1970-01-01 */
#define MINUTES_A_DAY 1440.0
#define TWO_PI (2.0 * TLE_PI)
#define RADIANS (TWO_PI / 360.0)

/* A field: columns first..last, counted from 1 as everybody counts them. */
struct field {
    unsigned int line, first, last;
};

struct lines {
    const uint8_t *p[2];
};

static enum rc bad(const struct field *f, struct err *err)
{
    return err_set(err, RC_TLE, "line %u, columns %u to %u", f->line, f->first, f->last);
}

double tle_days(int64_t unix_ms)
{
    return (double)unix_ms / DAY_MS + DAYS_1950_TO_1970;
}

int64_t tle_unix_ms(double days)
{
    return llround((days - DAYS_1950_TO_1970) * DAY_MS);
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Blanks, then digits with at most one point, nothing behind; or the point is implied, in front of
 * the first digit.  No sign: only one field has one.  All digits make one whole number, which is
 * divided once: the nearest double. */
static bool read_number(const uint8_t *at, unsigned int n, bool implied_point, double *ret)
{
    double digits = 0;
    double unit = 1;
    bool point = implied_point;
    bool any = false;
    unsigned int i = 0;

    while (i < n && at[i] == ' ')
        i++;
    for (; i < n; i++) {
        if (at[i] == '.' && !point) {
            point = true;
        } else if (is_digit(at[i])) {
            digits = digits * 10 + (at[i] - '0');
            unit *= point ? 10 : 1;
            any = true;
        } else {
            return false;
        }
    }
    *ret = digits / unit;
    return any;
}

static enum rc get(const struct lines *l, struct field f, bool implied_point, double *ret,
                   struct err *err)
{
    const uint8_t *at = l->p[f.line - 1] + f.first - 1;

    return read_number(at, f.last - f.first + 1, implied_point, ret) ? RC_OK : bad(&f, err);
}

/* "-30915-6": sign or blank, five digits behind an implied point, and a power of ten. */
static enum rc get_power(const struct lines *l, struct field f, double *ret, struct err *err)
{
    const uint8_t *at = l->p[f.line - 1] + f.first - 1;
    unsigned int n = f.last - f.first + 1;
    bool is_signed = at[0] == '-' || at[0] == '+';
    double mantissa;

    if (!read_number(at + is_signed, n - 2 - is_signed, true, &mantissa) ||
        (at[n - 2] != '-' && at[n - 2] != '+') || !is_digit(at[n - 1]))
        return bad(&f, err);
    double power = at[n - 1] - '0';
    *ret = (at[0] == '-' ? -mantissa : mantissa) * pow(10.0, at[n - 2] == '-' ? -power : power);
    return RC_OK;
}

/* Digits count as themselves, a minus as one. */
static unsigned int checksum(const uint8_t *line)
{
    unsigned int sum = 0;

    for (unsigned int i = 0; i < TLE_LINE - 1; i++) {
        if (is_digit(line[i]))
            sum += line[i] - (unsigned int)'0';
        else if (line[i] == '-')
            sum++;
    }
    return sum % 10;
}

static enum rc take_line(struct bytes line, unsigned int number, const uint8_t **ret,
                         struct err *err)
{
    while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\r'))
        line.n--;
    if (line.n != TLE_LINE)
        return err_set(err, RC_TLE, "line %u has %zu columns, not %u", number, line.n, TLE_LINE);
    if (line.p[0] != '0' + number || line.p[1] != ' ')
        return err_set(err, RC_TLE, "line %u does not begin with '%u '", number, number);
    unsigned int sum = checksum(line.p);
    if (line.p[TLE_LINE - 1] != '0' + sum)
        return err_set(err, RC_TLE, "line %u ends in checksum %c, its columns give %u", number,
                       is_digit(line.p[TLE_LINE - 1]) ? line.p[TLE_LINE - 1] : '?', sum);
    *ret = line.p;
    return RC_OK;
}

/* Years 57 to 99 are of the last century: nothing flew before. */
static double days_since_1950(unsigned int year2, double day)
{
    unsigned int year = year2 < 57 ? 2000 + year2 : 1900 + year2;
    unsigned int leaps = (year - 1) / 4 - 1949 / 4; /* 2000 is one, 2100 is out of reach */

    return 365.0 * (year - 1950) + leaps + day;
}

static enum rc read_epoch(const struct lines *l, struct tle *ret, struct err *err)
{
    const struct field day_field = { 1, 21, 32 };
    double year, day;
    enum rc rc = get(l, (struct field){ 1, 19, 20 }, false, &year, err);

    if (rc == RC_OK)
        rc = get(l, day_field, false, &day, err);
    if (rc != RC_OK)
        return rc;
    if (day < 1 || day >= 367)
        return bad(&day_field, err);
    ret->epoch_days = days_since_1950((unsigned int)year, day);
    ret->epoch_ms = tle_unix_ms(ret->epoch_days);
    return RC_OK;
}

static enum rc read_angle(const struct lines *l, unsigned int first, double most, double *ret,
                          struct err *err)
{
    const struct field f = { 2, first, first + 7 };
    double degrees;
    enum rc rc = get(l, f, false, &degrees, err);

    if (rc != RC_OK)
        return rc;
    if (degrees > most)
        return bad(&f, err);
    *ret = degrees * RADIANS;
    return RC_OK;
}

static enum rc read_orbit(const struct lines *l, struct tle *ret, struct err *err)
{
    const struct field motion_field = { 2, 53, 63 };
    double revolutions;
    enum rc rc = read_angle(l, 9, 180, &ret->inclination, err);

    if (rc == RC_OK)
        rc = read_angle(l, 18, 360, &ret->node, err);
    if (rc == RC_OK)
        rc = get(l, (struct field){ 2, 27, 33 }, true, &ret->eccentricity, err);
    if (rc == RC_OK)
        rc = read_angle(l, 35, 360, &ret->perigee, err);
    if (rc == RC_OK)
        rc = read_angle(l, 44, 360, &ret->anomaly, err);
    if (rc == RC_OK)
        rc = get(l, motion_field, false, &revolutions, err);
    if (rc != RC_OK)
        return rc;
    if (revolutions <= 0 || revolutions > 20)
        return bad(&motion_field, err);
    ret->mean_motion = revolutions * TWO_PI / MINUTES_A_DAY;
    return RC_OK;
}

enum rc tle_parse(struct bytes line1, struct bytes line2, struct tle *ret, struct err *err)
{
    struct lines l = { { NULL, NULL } };
    struct tle tle = { 0 };
    double catalog[2];
    enum rc rc = take_line(line1, 1, &l.p[0], err);

    if (rc == RC_OK)
        rc = take_line(line2, 2, &l.p[1], err);
    for (unsigned int i = 0; rc == RC_OK && i < 2; i++)
        rc = get(&l, (struct field){ i + 1, 3, 7 }, false, &catalog[i], err);
    if (rc != RC_OK)
        return rc;
    if (catalog[0] != catalog[1])
        return err_set(err, RC_TLE, "the lines are of satellites %.0f and %.0f", catalog[0],
                       catalog[1]);
    tle.catalog = (uint32_t)catalog[0];
    rc = read_epoch(&l, &tle, err);
    if (rc == RC_OK)
        rc = get_power(&l, (struct field){ 1, 54, 61 }, &tle.bstar, err);
    if (rc == RC_OK)
        rc = read_orbit(&l, &tle, err);
    if (rc == RC_OK)
        *ret = tle;
    return rc;
}
