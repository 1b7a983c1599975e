/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/contact_oem.h"

#include <math.h>
#include <stdlib.h>

#define FIRST 256U
#define TURN 7.292115146706979e-5 /* of the earth, radians a second */
#define ARCSECOND (TLE_PI / 648000.0)
#define CENTURY_DAYS 36525.0
#define J2000_DAYS 18263.5 /* 2000-01-01T12:00 since 1949-12-31 */
#define NEAREST_KM 6200.0
#define FARTHEST_KM 1000000.0
#define FASTEST 20.0 /* km/s */

enum frame { FRAME_NONE, FRAME_TEME, FRAME_EARTH_FIXED, FRAME_2000 };
enum place { OUTSIDE, IN_META, IN_DATA, IN_COVARIANCE };

struct input {
    struct lines lines;
    struct oem oem;
    enum place place;
    bool seen_version, seen_center, seen_time;
    enum frame frame;
};

void oem_free(struct oem *oem)
{
    free(oem->state);
    *oem = (struct oem){ 0 };
}

/* ---- frames --------------------------------------------------------------------------------- */

/* Turn the axes by an angle around z, or y. */
static struct vec3 around_z(struct vec3 a, double angle)
{
    double c = cos(angle), s = sin(angle);

    return (struct vec3){ c * a.x + s * a.y, -s * a.x + c * a.y, a.z };
}

static struct vec3 around_y(struct vec3 a, double angle)
{
    double c = cos(angle), s = sin(angle);

    return (struct vec3){ c * a.x - s * a.z, a.y, s * a.x + c * a.z };
}

/* From the mean equator and equinox of 2000 to those of date: IAU 1976 (Lieske 1979). */
static struct vec3 precessed(struct vec3 a, double days)
{
    double t = (days - J2000_DAYS) / CENTURY_DAYS;
    double zeta = (2306.2181 + (0.30188 + 0.017998 * t) * t) * t * ARCSECOND;
    double z = (2306.2181 + (1.09468 + 0.018203 * t) * t) * t * ARCSECOND;
    double theta = (2004.3109 - (0.42665 + 0.041833 * t) * t) * t * ARCSECOND;

    return around_z(around_y(around_z(a, -zeta), theta), -z);
}

static struct oem_state to_teme(const struct oem_state *in, enum frame frame)
{
    double days = tle_days(in->at_ms);
    struct oem_state s = *in;

    if (frame == FRAME_2000) {
        s.r = precessed(in->r, days);
        s.v = precessed(in->v, days);
    } else if (frame == FRAME_EARTH_FIXED) {
        double sidereal = sgp4_sidereal(days);
        struct vec3 v = { in->v.x - TURN * in->r.y, in->v.y + TURN * in->r.x, in->v.z };

        s.r = around_z(in->r, -sidereal);
        s.v = around_z(v, -sidereal);
    }
    return s;
}

static enum frame frame_of(struct bytes word)
{
    if (lines_is(word, "TEME"))
        return FRAME_TEME;
    if (lines_is(word, "EME2000") || lines_is(word, "ICRF") || lines_is(word, "GCRF"))
        return FRAME_2000;
    if (word.n >= 4 && lines_is((struct bytes){ word.p, 4 }, "ITRF"))
        return FRAME_EARTH_FIXED;
    return FRAME_NONE;
}

/* ---- keywords ------------------------------------------------------------------------------- */

/* "KEY = value" or "KEY=value": the part behind "=", without blanks.  False if it is none. */
static bool split(const struct lines *l, struct bytes *ret_key, struct bytes *ret_value)
{
    const uint8_t *equals = memchr(l->text.p, '=', l->text.n);

    if (!equals)
        return false;
    struct bytes key = { l->text.p, (size_t)(equals - l->text.p) };
    struct bytes value = { equals + 1, l->text.n - key.n - 1 };

    while (key.n > 0 && (key.p[key.n - 1] == ' ' || key.p[key.n - 1] == '\t'))
        key.n--;
    while (value.n > 0 && (value.p[0] == ' ' || value.p[0] == '\t')) {
        value.p++;
        value.n--;
    }
    *ret_key = key;
    *ret_value = value;
    return key.n > 0 && value.n > 0;
}

static enum rc read_object(struct input *in, struct bytes value, struct err *err)
{
    char object[OEM_TEXT_CAP] = "";

    if (!bytes_to_text(value, object, sizeof object))
        return lines_fail(&in->lines, err, "OBJECT_ID: longer than %u", OEM_TEXT_CAP - 1);
    if (in->oem.object[0] != '\0' && strcmp(object, in->oem.object) != 0)
        return lines_fail(&in->lines, err, "a second object: one file, one satellite");
    memcpy(in->oem.object, object, sizeof object);
    return RC_OK;
}

static enum rc read_meta(struct input *in, struct bytes key, struct bytes value, struct err *err)
{
    if (lines_is(key, "OBJECT_ID"))
        return read_object(in, value, err);
    if (lines_is(key, "CENTER_NAME")) {
        in->seen_center = lines_is(value, "EARTH");
        if (!in->seen_center)
            return lines_fail(&in->lines, err, "CENTER_NAME: only EARTH");
    }
    if (lines_is(key, "TIME_SYSTEM")) {
        in->seen_time = lines_is(value, "UTC");
        if (!in->seen_time)
            return lines_fail(&in->lines, err, "TIME_SYSTEM: only UTC");
    }
    if (lines_is(key, "REF_FRAME")) {
        in->frame = frame_of(value);
        if (in->frame == FRAME_NONE)
            return lines_fail(&in->lines, err, "REF_FRAME: only TEME, ITRF, EME2000, ICRF, GCRF");
    }
    return RC_OK;
}

static enum rc end_meta(struct input *in, struct err *err)
{
    if (in->oem.object[0] == '\0' || !in->seen_center || !in->seen_time || in->frame == FRAME_NONE)
        return lines_fail(&in->lines, err,
                          "needs OBJECT_ID, CENTER_NAME, REF_FRAME and TIME_SYSTEM");
    in->place = IN_DATA;
    return RC_OK;
}

static enum rc read_header(struct input *in, struct bytes key, struct bytes value, struct err *err)
{
    if (!lines_is(key, "CCSDS_OEM_VERS"))
        return RC_OK; /* who made it and when */
    in->seen_version = lines_is(value, "1.0") || lines_is(value, "2.0") || lines_is(value, "3.0");
    return in->seen_version ? RC_OK : lines_fail(&in->lines, err, "CCSDS_OEM_VERS: 1.0 to 3.0");
}

/* ---- states --------------------------------------------------------------------------------- */

static enum rc keep(struct input *in, const struct oem_state *state, struct err *err)
{
    struct oem *oem = &in->oem;
    size_t cap = oem->cap == 0 ? FIRST : 2 * oem->cap;

    /* the end of one segment is often the beginning of the next */
    if (oem->n > 0 && state->at_ms == oem->state[oem->n - 1].at_ms)
        return RC_OK;
    if (oem->n > 0 && state->at_ms < oem->state[oem->n - 1].at_ms)
        return lines_fail(&in->lines, err, "earlier than the state before it");
    if (oem->n >= OEM_STATES_MAX)
        return lines_fail(&in->lines, err, "more than %u states", OEM_STATES_MAX);
    if (oem->n == oem->cap) {
        struct oem_state *grown = realloc(oem->state, cap * sizeof *grown);

        if (!grown)
            return err_set(err, RC_NO_MEMORY, "%zu states", cap);
        oem->state = grown;
        oem->cap = cap;
    }
    oem->state[oem->n++] = to_teme(state, in->frame);
    return RC_OK;
}

static double length(struct vec3 a)
{
    return sqrt(a.x * a.x + a.y * a.y + a.z * a.z);
}

static enum rc read_state(struct input *in, struct err *err)
{
    const struct lines *l = &in->lines;
    struct oem_state s = { 0 };
    double *const to[] = { &s.r.x, &s.r.y, &s.r.z, &s.v.x, &s.v.y, &s.v.z };

    if ((l->n != 7 && l->n != 10) || !lines_time(l->word[0], '-', 'T', &s.at_ms))
        return lines_fail(l, err, "expected a time, a position and a velocity");
    for (size_t i = 0; i < 6; i++)
        if (!lines_double(l->word[i + 1], to[i]))
            return lines_fail(l, err, "number %zu cannot be read", i + 1);
    if (!(length(s.r) >= NEAREST_KM && length(s.r) <= FARTHEST_KM && length(s.v) <= FASTEST))
        return lines_fail(l, err, "no orbit of the earth in km and km/s");
    return keep(in, &s, err);
}

static enum rc begin_meta(struct input *in, struct err *err)
{
    if (!in->seen_version)
        return lines_fail(&in->lines, err, "no CCSDS_OEM_VERS before META_START");
    in->place = IN_META;
    in->seen_center = in->seen_time = false;
    in->frame = FRAME_NONE;
    return RC_OK;
}

static enum rc read_line(struct input *in, struct err *err)
{
    const struct lines *l = &in->lines;
    struct bytes key, value;
    bool pair = split(l, &key, &value);

    if (lines_is(l->word[0], "COMMENT"))
        return RC_OK;
    if (in->place == IN_COVARIANCE) {
        in->place = lines_is(l->text, "COVARIANCE_STOP") ? IN_DATA : IN_COVARIANCE;
        return RC_OK;
    }
    if (in->place == IN_META && lines_is(l->text, "META_STOP"))
        return end_meta(in, err);
    if (in->place == IN_META && pair)
        return read_meta(in, key, value, err);
    if (in->place != IN_META && lines_is(l->text, "META_START"))
        return begin_meta(in, err);
    if (in->place == IN_DATA && lines_is(l->text, "COVARIANCE_START")) {
        in->place = IN_COVARIANCE;
        return RC_OK;
    }
    if (in->place == IN_DATA)
        return read_state(in, err);
    if (in->place == OUTSIDE && pair)
        return read_header(in, key, value, err);
    return lines_fail(l, err, "expected KEYWORD = VALUE");
}

enum rc oem_read(struct bytes text, const char *name, struct oem *ret, struct err *err)
{
    struct input in = { .lines = { .name = name, .left = text } };
    bool more = text.n <= OEM_BYTES_MAX;
    enum rc rc = more ? RC_OK : err_set(err, RC_TOO_LARGE, "%.60s", name);

    while (rc == RC_OK && more) {
        rc = lines_next(&in.lines, &more, err);
        if (rc == RC_OK && more)
            rc = read_line(&in, err);
    }
    if (rc == RC_OK && (in.place != IN_DATA || in.oem.n < 2))
        rc = lines_fail(&in.lines, err, "ends early: expected two states or more");
    if (rc != RC_OK) {
        oem_free(&in.oem);
        return rc;
    }
    *ret = in.oem;
    return RC_OK;
}

/* ---- between states ------------------------------------------------------------------------- */

/* One coordinate of the cubic through positions and velocities h seconds apart, at part s, and how
 * fast it changes there. */
static double cubic(const double r[2], const double v[2], double h, double s, double *ret_speed)
{
    double s2 = s * s, s3 = s2 * s;

    *ret_speed = (6 * s2 - 6 * s) / h * (r[0] - r[1]) + (3 * s2 - 4 * s + 1) * v[0] +
                 (3 * s2 - 2 * s) * v[1];
    return (2 * s3 - 3 * s2 + 1) * r[0] + (s3 - 2 * s2 + s) * h * v[0] + (3 * s2 - 2 * s3) * r[1] +
           (s3 - s2) * h * v[1];
}

static void between(const struct oem_state *a, const struct oem_state *b, double s,
                    struct vec3 *ret_r, struct vec3 *ret_v)
{
    double h = (double)(b->at_ms - a->at_ms) / 1000.0;
    struct vec3 v;

    ret_r->x = cubic((double[]){ a->r.x, b->r.x }, (double[]){ a->v.x, b->v.x }, h, s, &v.x);
    ret_r->y = cubic((double[]){ a->r.y, b->r.y }, (double[]){ a->v.y, b->v.y }, h, s, &v.y);
    ret_r->z = cubic((double[]){ a->r.z, b->r.z }, (double[]){ a->v.z, b->v.z }, h, s, &v.z);
    if (ret_v)
        *ret_v = v;
}

static enum rc at_time(const void *of, double days, struct vec3 *ret_r, struct vec3 *ret_v,
                       struct err *err)
{
    const struct oem *oem = of;
    int64_t at_ms = tle_unix_ms(days);
    size_t low = 0, high = oem->n - 1;

    if (at_ms < oem->state[0].at_ms || at_ms > oem->state[high].at_ms)
        return err_set(err, RC_ORBIT, "%.40s: the ephemeris does not cover it", oem->object);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (oem->state[middle].at_ms < at_ms)
            low = middle;
        else
            high = middle;
    }
    const struct oem_state *a = &oem->state[low], *b = &oem->state[high];

    if (b->at_ms - a->at_ms > OEM_STEP_MAX_MS)
        return err_set(err, RC_ORBIT, "%.40s: states are too far apart", oem->object);
    between(a, b, (double)(at_ms - a->at_ms) / (double)(b->at_ms - a->at_ms), ret_r, ret_v);
    return RC_OK;
}

struct sky_path oem_path(const struct oem *oem)
{
    return (struct sky_path){ .at = at_time, .of = oem };
}
