/* SPDX-License-Identifier: Apache-2.0
 *
 * Two-line elements and where they say a satellite is: the published verification cases, and sets
 * that are not ones.
 */
#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sgp4.h"

#define CASES "tests/vectors/sgp4/aiaa-2006-6753.txt"
#define KM 5e-6   /* the cases are printed to eight digits, and reach to 10^5 km */
#define KM_S 2e-9 /* and to nine */

static struct bytes line_of(const char *text)
{
    return (struct bytes){ .p = (const uint8_t *)text, .n = strcspn(text, "\n") };
}

static double worst_of(const struct vec3 *a, const double b[3])
{
    return fmax(fabs(a->x - b[0]), fmax(fabs(a->y - b[1]), fabs(a->z - b[2])));
}

struct run {
    struct sgp4 orbit;
    unsigned int sets, rows, ends;
    double km, km_s; /* the largest differences */
};

static void check_row(struct run *run, const char *line)
{
    double v[7];
    char *at = (char *)(uintptr_t)line;
    struct vec3 position, velocity;
    struct err err = { 0 };

    for (int i = 0; i < 7; i++)
        v[i] = strtod(at, &at);
    assert_int_equal(sgp4_at(&run->orbit, v[0], &position, &velocity, &err), RC_OK);
    run->km = fmax(run->km, worst_of(&position, v + 1));
    run->km_s = fmax(run->km_s, worst_of(&velocity, v + 4));
    run->rows++;
}

static void check_end(struct run *run, const char *line)
{
    struct vec3 position;
    struct err err = { 0 };

    assert_int_equal(sgp4_at(&run->orbit, strtod(line + 4, NULL), &position, NULL, &err), RC_ORBIT);
    run->ends++;
}

static void published_cases(void **state)
{
    FILE *f = fopen(CASES, "re");
    char line[256], first[256] = "";
    struct run run = { 0 };
    struct tle tle;
    struct err err = { 0 };

    (void)state;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "1 ", 2) == 0 && strlen(line) == TLE_LINE + 1) {
            memcpy(first, line, sizeof first);
        } else if (strncmp(line, "2 ", 2) == 0) {
            assert_int_equal(tle_parse(line_of(first), line_of(line), &tle, &err), RC_OK);
            assert_int_equal(sgp4_init(&tle, &run.orbit, &err), RC_OK);
            run.sets++;
        } else if (strncmp(line, "end ", 4) == 0) {
            check_end(&run, line);
        } else if (line[0] != '#') {
            check_row(&run, line);
        }
    }
    (void)fclose(f);
    print_message("%u sets, %u positions, %u ends; largest differences %.1e km, %.1e km/s\n",
                  run.sets, run.rows, run.ends, run.km, run.km_s);
    assert_int_equal(run.sets, 33);
    assert_int_equal(run.rows, 666);
    assert_int_equal(run.ends, 7);
    assert_true(run.km <= KM);
    assert_true(run.km_s <= KM_S);
}

/* ---- sets that are not ones ----------------------------------------------------------------- */

#define ONE "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836"
#define TWO "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550"

static enum rc parse(const char *one, const char *two, struct tle *ret)
{
    struct err err = { 0 };

    return tle_parse((struct bytes){ (const uint8_t *)one, strlen(one) },
                     (struct bytes){ (const uint8_t *)two, strlen(two) }, ret, &err);
}

/* Put text at a column (from 1) of a line, and the checksum right. */
static void change(char line[TLE_LINE + 1], unsigned int column, const char *text)
{
    unsigned int sum = 0;

    memcpy(line + column - 1, text, strlen(text));
    for (unsigned int i = 0; i < TLE_LINE - 1; i++)
        sum += line[i] >= '0' && line[i] <= '9' ? (unsigned int)(line[i] - '0') : line[i] == '-';
    line[TLE_LINE - 1] = (char)('0' + sum % 10);
}

static void reads_the_fields(void **state)
{
    struct tle t;

    (void)state;
    assert_rc(parse(ONE, TWO, &t), RC_OK);
    assert_int_equal(t.catalog, 28057);
    assert_int_equal(t.epoch_ms, 1151347924080LL); /* 2006-06-26T18:52:04.080Z */
    assert_true(fabs(t.bstar - 0.35940e-4) < 1e-15);
    assert_true(fabs(t.eccentricity - 0.0000884) < 1e-15);
    assert_true(fabs(t.inclination * 180 / 3.14159265358979323846 - 98.4283) < 1e-9);
    assert_rc(parse(ONE "  \r", TWO " ", &t), RC_OK);
}

/* Every single digit that is changed breaks the checksum of its line. */
static void any_changed_digit_is_seen(void **state)
{
    struct tle t;

    (void)state;
    for (unsigned int i = 0; i < TLE_LINE; i++) {
        char one[] = ONE, two[] = TWO;

        if (one[i] >= '0' && one[i] <= '9') {
            one[i] = one[i] == '9' ? '0' : (char)(one[i] + 1);
            assert_rc(parse(one, TWO, &t), RC_TLE);
        }
        if (two[i] >= '0' && two[i] <= '9') {
            two[i] = two[i] == '9' ? '0' : (char)(two[i] + 1);
            assert_rc(parse(ONE, two, &t), RC_TLE);
        }
    }
}

static void refuses_what_is_no_set(void **state)
{
    static const struct {
        unsigned int line, column;
        const char *text;
    } bad[] = {
        { 1, 1, "3" },
        { 1, 2, "0" },
        { 1, 3, "28058" },
        { 1, 3, "2805A" },
        { 1, 3, "-8057" },
        { 1, 19, "0A" },
        { 1, 19, "-6" },
        { 1, 19, "+6" },
        { 1, 19, "-5001.78615833" },
        { 1, 21, "-77.78615833" },
        { 1, 21, "+77.78615833" },
        { 1, 21, "000.5000" },
        { 1, 21, "367.0000" },
        { 1, 21, "17.7.615" },
        { 1, 54, " 35940 4" },
        { 1, 54, " 3594A-4" },
        { 1, 54, "--5940-4" },
        { 1, 54, " 35940-x" },
        { 2, 1, "1" },
        { 2, 9, "180.0001" },
        { 2, 9, "-10.0000" },
        { 2, 18, "360.0001" },
        { 2, 18, "        " },
        { 2, 27, "00.0884" },
        { 2, 27, "-000884" },
        { 2, 18, "-47.6961" },
        { 2, 53, "+4.35478080" },
        { 2, 35, "nan     " },
        { 2, 44, "0x1.8p1 " },
        { 2, 53, "00.00000000" },
        { 2, 53, "99.00000000" },
    };
    struct tle t = { .catalog = 7 };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char one[] = ONE, two[] = TWO;

        change(bad[i].line == 1 ? one : two, bad[i].column, bad[i].text);
        assert_rc(parse(one, two, &t), RC_TLE);
    }
    assert_rc(parse("", "", &t), RC_TLE);
    assert_rc(parse(ONE, "2 28057", &t), RC_TLE);
    assert_rc(parse(TWO, ONE, &t), RC_TLE);
    assert_rc(parse(ONE "x", TWO, &t), RC_TLE);
    assert_int_equal(t.catalog, 7);
}

/* The signs of the drag term are the only ones that are read. */
static void reads_the_sign_of_drag(void **state)
{
    static const struct {
        const char *text;
        double bstar;
    } good[] = { { " 35940-4", 0.3594e-4 }, { "+35940-4", 0.3594e-4 }, { "-35940+1", -3.594 } };
    struct tle t;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char one[] = ONE;

        change(one, 54, good[i].text);
        assert_rc(parse(one, TWO, &t), RC_OK);
        assert_true(fabs(t.bstar - good[i].bstar) < 1e-15);
    }
}

/* A stationary satellite is followed in steps from the epoch on: not for ever.  A near one is not
 * followed at all. */
static void a_resonance_is_not_followed_for_ever(void **state)
{
    const double most = SGP4_RESONANT_MINUTES_MAX;
    const double far[] = { most + 1.0, -most - 1.0, 3.6e7, INFINITY, -INFINITY, NAN };
    struct err err = { 0 };
    struct vec3 r;
    struct sgp4 orbit;
    struct tle t;

    (void)state;
    assert_rc(parse("1 25954U 99060A   04039.68057285 -.00000108  00000-0  00000-0 0  6847",
                    "2 25954   0.0004 243.8136 0001765  15.5294  22.7134  1.00271289 15615", &t),
              RC_OK);
    assert_rc(sgp4_init(&t, &orbit, &err), RC_OK);
    assert_int_equal(orbit.deep.resonance, SGP4_RESONANCE_DAY);
    assert_rc(sgp4_at(&orbit, most, &r, NULL, &err), RC_OK);
    assert_rc(sgp4_at(&orbit, -most, &r, NULL, &err), RC_OK);
    for (size_t i = 0; i < sizeof far / sizeof far[0]; i++)
        assert_rc(sgp4_at(&orbit, far[i], &r, NULL, &err), RC_ORBIT);
    assert_rc(parse(ONE, TWO, &t), RC_OK);
    assert_rc(sgp4_init(&t, &orbit, &err), RC_OK);
    assert_rc(sgp4_at(&orbit, 1e7, &r, NULL, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_cases),
        cmocka_unit_test(reads_the_fields),
        cmocka_unit_test(any_changed_digit_is_seen),
        cmocka_unit_test(refuses_what_is_no_set),
        cmocka_unit_test(reads_the_sign_of_drag),
        cmocka_unit_test(a_resonance_is_not_followed_for_ever),
    };

    return cmocka_run_group_tests_name("orchestrator/sgp4", tests, NULL, NULL);
}
