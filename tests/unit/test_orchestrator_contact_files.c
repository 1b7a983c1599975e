/* SPDX-License-Identifier: Apache-2.0
 *
 * Contact plans of ION and ephemerides of CCSDS: what good ones mean, and that each bad one is
 * refused with its line.
 */
#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/contact_ion.h"
#include "orchestrator/contact_oem.h"

#define RADIANS (TLE_PI / 180.0)
#define HOUR 3600000LL
#define DAY (24 * HOUR)

/* ---- times ---------------------------------------------------------------------------------- */

static void times(void **state)
{
    static const struct {
        const char *text;
        char day, clock;
        int64_t want; /* -1 = refused */
    } rows[] = {
        { "1970/01/01-00:00:00", '/', '-', 0 },
        { "2000/02/29-23:59:59", '/', '-', 951868799000 },
        { "2026/11/30-12:00:00", '/', '-', 1796040000000 },
        { "2026-11-30T12:00:00", '-', 'T', 1796040000000 },
        { "2026-334T12:00:00.25Z", '-', 'T', 1796040000250 },
        { "2026-11-30T11:59:60.1239999", '-', 'T', 1796040000123 },
        { "2199-12-31T23:59:59.999", '-', 'T', 7258118399999 },
        { "1969/12/31-00:00:00", '/', '-', -1 },
        { "2200/01/01-00:00:00", '/', '-', -1 },
        { "2100/02/29-00:00:00", '/', '-', -1 },
        { "2026/00/10-00:00:00", '/', '-', -1 },
        { "2026/13/10-00:00:00", '/', '-', -1 },
        { "2026/11/30-24:00:00", '/', '-', -1 },
        { "2026/11/30-00:60:00", '/', '-', -1 },
        { "2026/11/30-00:00:61", '/', '-', -1 },
        { "2026/11/30-00:00:00Z", '/', '-', -1 },
        { "2026/334-00:00:00", '/', '-', -1 },
        { "2026-366T00:00:00", '-', 'T', -1 },
        { "2026-000T00:00:00", '-', 'T', -1 },
        { "2026-11-30T00:00:00.", '-', 'T', -1 },
        { "2026-11-30T00:00:00.5+01:00", '-', 'T', -1 },
        { "2026-11-30", '-', 'T', -1 },
        { "", '-', 'T', -1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t got = -1;
        bool good = lines_time(bytes_of(rows[i].text), rows[i].day, rows[i].clock, &got);

        if (good != (rows[i].want >= 0) || got != rows[i].want)
            fail_msg("%s: %lld", rows[i].text, (long long)got);
    }
}

static void numbers(void **state)
{
    static const char *const bad[] = { "",    "inf", "nan", "0x1", "1e999", "1.2.3",
                                       "1 2", "--1", "e",   "1e",  "+",     "." };
    double value = 5;
    uint64_t whole = 5;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (lines_double(bytes_of(bad[i]), &value))
            fail_msg("%s", bad[i]);
    assert_true(value == 5);
    assert_true(lines_double(bytes_of("-1.5e-3"), &value) && value == -0.0015);
    assert_false(lines_uint(bytes_of("18446744073709551616"), UINT64_MAX, &whole));
    assert_false(lines_uint(bytes_of("11"), 10, &whole));
    assert_true(lines_uint(bytes_of("18446744073709551615"), UINT64_MAX, &whole));
    assert_true(whole == UINT64_MAX);
}

/* ---- ION ------------------------------------------------------------------------------------ */

static void reads_an_ion_plan(void **state)
{
    static const char text[] =
        "# remarks may have as many words as they like, more than twelve: a b c\n"
        "1 50 node.ionconfig\r\n"
        "s\n"
        "\n"
        "a contact +1 +2 1 2 3\n"
        "@ 2026/11/30-12:00:00\n"
        "  a\tcontact  +600 +1200 1 101 1200 0.75  \n"
        "a contact 2026/11/30-13:00:00 2026/11/30-13:10:00 101 1 9600\n"
        "a range +0 +86400 1 101 2\n"
        "a range +100 +200 1 101 3\n"
        "m horizon +0";
    scoped(contact_ion_free) struct contact_ion plan = { 0 };
    struct err err = { 0 };
    int64_t at = 1796040000000;

    (void)state;
    assert_rc(contact_ion_read(bytes_of(text), "x/plan.ionrc", 500, &plan, &err), RC_OK);
    assert_int_equal(plan.n_contacts, 3);
    assert_int_equal(plan.n_ranges, 2);
    assert_int_equal(plan.contact[0].from_ms, 1500); /* the caller's reference */
    assert_int_equal(plan.contact[1].from_ms, at + 600000);
    assert_int_equal(plan.contact[1].to_ms, at + 1200000);
    assert_int_equal(plan.contact[1].from, 1);
    assert_int_equal(plan.contact[1].to, 101);
    assert_int_equal(plan.contact[1].rate, 1200);
    assert_int_equal(plan.contact[1].confidence_ppm, 750000);
    assert_int_equal(plan.contact[1].line, 7);
    assert_int_equal(plan.contact[2].from_ms, at + HOUR);
    assert_int_equal(plan.contact[2].confidence_ppm, 1000000);
    assert_int_equal(contact_ion_light(&plan, 1, 101, at), 2000);
    assert_int_equal(contact_ion_light(&plan, 101, 1, at + 150000), 3000);
    assert_int_equal(contact_ion_light(&plan, 1, 101, at - 1), 0);
    assert_int_equal(contact_ion_light(&plan, 1, 7, at), 0);
}

struct bad {
    const char *text, *what;
};

static void refuses_bad_ion_plans(void **state)
{
    static const struct bad rows[] = {
        { "a contact +1 +2 1 2\n", "plan.ionrc:1: expected a contact START END" },
        { "\n\na contact +1 +2 1 2 3 0.5 x\n", "plan.ionrc:3: expected a contact" },
        { "a contact 1 +2 1 2 3\n", "plan.ionrc:1: start: expected +SECONDS" },
        { "a contact +1 +-2 1 2 3\n", "plan.ionrc:1: end: expected +SECONDS" },
        { "a contact + +2 1 2 3\n", "plan.ionrc:1: start: expected +SECONDS" },
        { "a contact +99999999999 +2 1 2 3\n", "plan.ionrc:1: start: expected +SECONDS" },
        { "a contact +2 +2 1 2 3\n", "plan.ionrc:1: ends before it starts" },
        { "a contact +2 +2678403 1 2 3\n", "plan.ionrc:1: ends before it starts" },
        { "a contact +1 +2 0 2 3\n", "plan.ionrc:1: expected two node numbers" },
        { "a contact +1 +2 1 -2 3\n", "plan.ionrc:1: expected two node numbers" },
        { "a contact +1 +2 1 2 125000000001\n", "plan.ionrc:1: rate: expected bytes a second" },
        { "a contact +1 +2 1 2 3 1.5\n", "plan.ionrc:1: confidence: expected 0 to 1" },
        { "a range +1 +2 1 2\n", "plan.ionrc:1: expected a range" },
        { "a range +1 +2 1 2 0.5\n", "plan.ionrc:1: range: expected whole light seconds" },
        { "d contact +1 1 2\n", "plan.ionrc:1: expected a contact, a range" },
        { "a contacts +1 +2 1 2 3\n", "plan.ionrc:1: expected a contact, a range" },
        { "@ yesterday\n", "plan.ionrc:1: reference time: expected" },
        { "a contact \x01\n", "plan.ionrc:1: byte 11 is no printable ASCII" },
        { "a contact \xc3\xa4\n", "plan.ionrc:1: byte 11 is no printable ASCII" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct contact_ion plan = { 0 };
        struct err err = { 0 };

        assert_rc(contact_ion_read(bytes_of(rows[i].text), "x/plan.ionrc", 0, &plan, &err),
                  RC_CONTACTS);
        if (strncmp(err.what, rows[i].what, strlen(rows[i].what)) != 0)
            fail_msg("%s: %s", rows[i].what, err.what);
        assert_null(plan.contact);
    }
}

static void bounds_lines_and_files(void **state)
{
    size_t n = CONTACT_ION_BYTES_MAX + 1;
    char *text = malloc(n);
    struct contact_ion plan = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_non_null(text);
    memset(text, '#', n);
    assert_rc(contact_ion_read((struct bytes){ (uint8_t *)text, n }, "p", 0, &plan, &err),
              RC_TOO_LARGE);
    assert_rc(
        contact_ion_read((struct bytes){ (uint8_t *)text, LINES_MAX + 1 }, "p", 0, &plan, &err),
        RC_CONTACTS);
    assert_string_equal(err.what, "p:1: longer than 512 characters");
    assert_rc(contact_ion_read((struct bytes){ (uint8_t *)text, LINES_MAX }, "p", 0, &plan, &err),
              RC_OK);
    free(text);
}

/* ---- OEM ------------------------------------------------------------------------------------ */

static const char head[] = "CCSDS_OEM_VERS = 2.0\n"
                           "CREATION_DATE = 2026-11-30T00:00:00\nORIGINATOR=AURORA\n\n"
                           "META_START\nOBJECT_NAME = AURORA 1\nOBJECT_ID = 2026-001A\n"
                           "CENTER_NAME = EARTH\nREF_FRAME = %s\nTIME_SYSTEM = UTC\n"
                           "META_STOP\nCOMMENT what follows was made from elements\n";

static const char *const elements[2] = {
    "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836",
    "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550"
};

static void orbit_of(struct sgp4 *ret, int64_t *ret_epoch_ms)
{
    struct tle tle;
    struct err err = { 0 };

    assert_rc(tle_parse(bytes_of(elements[0]), bytes_of(elements[1]), &tle, &err), RC_OK);
    assert_rc(sgp4_init(&tle, ret, &err), RC_OK);
    *ret_epoch_ms = tle.epoch_ms / 60000 * 60000;
}

/* Into the frame that turns with the earth, from first principles. */
static void fix_to_earth(int64_t at_ms, struct vec3 *r, struct vec3 *v)
{
    const double turn = 7.292115146706979e-5;
    double g = sgp4_sidereal(tle_days(at_ms)), c = cos(g), s = sin(g);
    struct vec3 fr = { c * r->x + s * r->y, c * r->y - s * r->x, r->z };
    struct vec3 fv = { c * v->x + s * v->y + turn * fr.y, c * v->y - s * v->x - turn * fr.x, v->z };

    *r = fr;
    *v = fv;
}

/* An ephemeris of a day and a bit, one state a minute. */
static char *make_oem(const struct sgp4 *orbit, int64_t from_ms, const char *frame)
{
    size_t cap = 400000, n = 0;
    char *text = malloc(cap);

    assert_non_null(text);
    n = (size_t)snprintf(text, cap, head, frame);
    for (int64_t t = from_ms; t <= from_ms + DAY + HOUR; t += 60000) {
        struct vec3 r, v;
        struct err err = { 0 };
        int64_t day = (t - from_ms / DAY * DAY) / DAY, left = t % DAY;

        assert_rc(sgp4_at(orbit, (tle_days(t) - orbit->epoch_days) * 1440.0, &r, &v, &err), RC_OK);
        if (frame[0] == 'I')
            fix_to_earth(t, &r, &v);
        n += (size_t)snprintf(text + n, cap - n,
                              "2006-%03dT%02d:%02d:%02d.000 %.9f %.9f %.9f %.12f %.12f %.12f\n",
                              177 + (int)day, (int)(left / HOUR), (int)(left / 60000 % 60),
                              (int)(left / 1000 % 60), r.x, r.y, r.z, v.x, v.y, v.z);
        assert_true(n < cap);
    }
    return text;
}

struct found {
    uint32_t n;
    struct sky_pass pass[64];
};

static bool keep(void *arg, const struct sky_pass *pass)
{
    struct found *f = arg;

    assert_true(f->n < 64);
    f->pass[f->n++] = *pass;
    return true;
}

/* Passes by an ephemeris made from elements are the passes by the elements, to a tenth of a second,
 * in the elements' own frame and in one that turns with the earth. */
static void passes_by_an_ephemeris(void **state)
{
    static const struct sky_station station = { 78.23 * RADIANS, 15.39 * RADIANS, 0.45, 0.1 };
    static const char *const frames[] = { "TEME", "ITRF2000" };
    struct sky *sky = NULL;
    struct sgp4 orbit;
    struct found want = { 0 };
    struct err err = { 0 };
    int64_t from;

    (void)state;
    orbit_of(&orbit, &from);
    assert_rc(sky_new(&station, 1, from, from + DAY, &sky, &err), RC_OK);
    assert_rc(sky_passes(sky, &orbit, keep, &want, &err), RC_OK);
    assert_in_range(want.n, 10, 15);
    for (size_t i = 0; i < 2; i++) {
        char *text = make_oem(&orbit, from, frames[i]);
        struct oem oem = { 0 };
        struct found got = { 0 };

        assert_rc(oem_read(bytes_of(text), "a.oem", &oem, &err), RC_OK);
        assert_string_equal(oem.object, "2026-001A");
        struct sky_path path = oem_path(&oem);

        assert_rc(sky_passes_on(sky, &path, keep, &got, &err), RC_OK);
        assert_int_equal(got.n, want.n);
        for (uint32_t k = 0; k < got.n; k++) {
            assert_true(llabs(got.pass[k].aos_ms - want.pass[k].aos_ms) < 100);
            assert_true(llabs(got.pass[k].los_ms - want.pass[k].los_ms) < 100);
            assert_true(fabs(got.pass[k].top - want.pass[k].top) < 1e-4);
        }
        oem_free(&oem);
        free(text);
    }
    sky_free(&sky);
}

/* The vernal equinox of 2000 lies where the precession in right ascension (46.12" a year) and
 * declination (20.04" a year) has taken it by the end of November 2026. */
static void frames_of_2000_are_turned(void **state)
{
    static const char text[] = "2026-11-30T00:00:00 7000 0 0 0 7.5 0\n"
                               "2026-11-30T00:01:00 6985 450 0 -0.48 7.48 0\n";
    char all[1024];
    struct oem oem = { 0 };
    struct err err = { 0 };
    double years = 26.91;

    (void)state;
    int n = snprintf(all, sizeof all, head, "EME2000");

    assert_true(n > 0 && (size_t)snprintf(all + n, sizeof all - (size_t)n, "%s", text) < 200);
    assert_rc(oem_read(bytes_of(all), "a.oem", &oem, &err), RC_OK);
    struct vec3 r = oem.state[0].r;

    assert_true(fabs(atan2(r.y, r.x) / RADIANS * 3600 - 46.124 * years) < 2);
    assert_true(fabs(asin(r.z / 7000) / RADIANS * 3600 - 20.043 * years) < 2);
    oem_free(&oem);
}

static void covers_what_it_covers(void **state)
{
    static const char text[] =
        "2026-11-30T00:00:00 7000 0 0 0 7.5 0\n"
        "2026-11-30T00:01:00 6985 450 0 -0.48 7.48 0 0 0 0\n"
        "COVARIANCE_START\nEPOCH = 2026-11-30T00:00:00\n1e-6\n1 2\nCOVARIANCE_STOP\n"
        "META_START\nOBJECT_ID = 2026-001A\nCENTER_NAME=EARTH\nREF_FRAME=TEME\n"
        "TIME_SYSTEM=UTC\nMETA_STOP\n"
        "2026-11-30T00:01:00 6985 450 0 -0.48 7.48 0\n"
        "2026-11-30T02:00:00 6985 450 0 -0.48 7.48 0\n";
    char all[1024];
    struct oem oem = { 0 };
    struct vec3 r, v;
    struct err err = { 0 };
    int64_t at = 1795996800000;

    (void)state;
    int n = snprintf(all, sizeof all, head, "TEME");

    (void)snprintf(all + n, sizeof all - (size_t)n, "%s", text);
    assert_rc(oem_read(bytes_of(all), "a.oem", &oem, &err), RC_OK);
    assert_int_equal(oem.n, 3); /* the state at the border of two segments counts once */
    struct sky_path path = oem_path(&oem);

    assert_rc(path.at(path.of, tle_days(at), &r, &v, &err), RC_OK);
    assert_true(fabs(r.x - 7000) < 1e-6 && fabs(v.y - 7.5) < 1e-6);
    assert_rc(path.at(path.of, tle_days(at + 60000), &r, NULL, &err), RC_OK);
    assert_true(fabs(r.y - 450) < 1e-6);
    assert_rc(path.at(path.of, tle_days(at + 30000), &r, &v, &err), RC_OK);
    assert_true(fabs(r.y - 225) < 1);
    assert_rc(path.at(path.of, tle_days(at - 1), &r, &v, &err), RC_ORBIT);
    assert_rc(path.at(path.of, tle_days(at + 3 * HOUR), &r, &v, &err), RC_ORBIT);
    assert_rc(path.at(path.of, tle_days(at + HOUR), &r, &v, &err), RC_ORBIT); /* a gap */
    oem_free(&oem);
}

#define VERSION "CCSDS_OEM_VERS = 2.0\n"
#define META                                                                                       \
    VERSION                                                                                        \
    "META_START\nOBJECT_ID = A\nCENTER_NAME = EARTH\nREF_FRAME = TEME\nTIME_SYSTEM = UTC\n"        \
    "META_STOP\n"
#define STATE "2026-11-30T00:00:00 7000 0 0 0 7.5 0\n"

static void refuses_bad_ephemerides(void **state)
{
    static const struct bad rows[] = {
        { "", "a.oem:0: ends early" },
        { META STATE, "a.oem:8: ends early" },
        { "CCSDS_OEM_VERS = 9.0\n", "a.oem:1: CCSDS_OEM_VERS: 1.0 to 3.0" },
        { "hello\n", "a.oem:1: expected KEYWORD = VALUE" },
        { "META_START\n", "a.oem:1: no CCSDS_OEM_VERS" },
        { VERSION "META_START\nCENTER_NAME = MARS\n", "a.oem:3: CENTER_NAME: only EARTH" },
        { VERSION "META_START\nTIME_SYSTEM = GPS\n", "a.oem:3: TIME_SYSTEM: only UTC" },
        { VERSION "META_START\nREF_FRAME = MOON\n", "a.oem:3: REF_FRAME: only TEME" },
        { VERSION "META_START\nMETA_STOP\n", "a.oem:3: needs OBJECT_ID" },
        { VERSION "META_START\nOBJECT_ID =\n", "a.oem:3: expected KEYWORD = VALUE" },
        { META "2026-11-30T00:00:00 7000 0 0 0 7.5\n", "a.oem:8: expected a time" },
        { META "2026/11/30-00:00:00 7000 0 0 0 7.5 0\n", "a.oem:8: expected a time" },
        { META "2026-11-30T00:00:00 7000 0 x 0 7.5 0\n", "a.oem:8: number 3 cannot be read" },
        { META "2026-11-30T00:00:00 7000000 0 0 0 7500 0\n", "a.oem:8: no orbit of the earth" },
        { META "2026-11-30T00:00:00 0 0 0 0 0 0\n", "a.oem:8: no orbit of the earth" },
        { META STATE "2026-11-29T00:00:00 7000 0 0 0 7.5 0\n", "a.oem:9: earlier than" },
        { META STATE "META_START\nOBJECT_ID = B\n", "a.oem:10: a second object" },
        { META STATE "COVARIANCE_START\n", "a.oem:9: ends early" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct oem oem = { 0 };
        struct err err = { 0 };

        assert_rc(oem_read(bytes_of(rows[i].text), "x/a.oem", &oem, &err), RC_CONTACTS);
        if (strncmp(err.what, rows[i].what, strlen(rows[i].what)) != 0)
            fail_msg("%s: %s", rows[i].what, err.what);
        assert_null(oem.state);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(numbers),
        cmocka_unit_test(reads_an_ion_plan),
        cmocka_unit_test(refuses_bad_ion_plans),
        cmocka_unit_test(bounds_lines_and_files),
        cmocka_unit_test(passes_by_an_ephemeris),
        cmocka_unit_test(frames_of_2000_are_turned),
        cmocka_unit_test(covers_what_it_covers),
        cmocka_unit_test(refuses_bad_ephemerides),
    };

    return cmocka_run_group_tests_name("orchestrator/contact_files", tests, NULL, NULL);
}
