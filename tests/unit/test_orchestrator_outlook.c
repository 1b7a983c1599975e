/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of element sets, and what is said of elements and ephemerides that do not fit the time.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "orchestrator/outlook.h"
#include "orchestrator/period.h"

#define ONE "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836\n"
#define TWO "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550\n"
#define OTHER                                                                                      \
    "1 25954U 99060A   04039.68057285 -.00000108  00000-0  00000-0 0  6847\n"                      \
    "2 25954   0.0004 243.8136 0001765  15.5294  22.7134  1.00271289 15615\n"
/* a day later, with its checksum */
#define ONE_LATER "1 28057U 03049A   06178.78615833  .00000060  00000-0  35940-4 0  1837\n"

static void files_of_elements(void **state)
{
    static const struct {
        const char *text;
        const char *says; /* NULL = good */
    } rows[] = {
        { ONE TWO, NULL },
        { "CBERS 2\n" ONE TWO "\n\nCBERS 2\r\n" ONE TWO, NULL },
        { "# from the catalogue\n0 CBERS 2\n" ONE TWO "trailing words\n", NULL },
        { "", "t.tle:0: no element set" },
        { ONE, "t.tle:1: no element set" },
        { TWO, "t.tle:1: no line 1 above" },
        { ONE "CBERS\n" TWO, "t.tle:3: no line 1 above" },
        { ONE TWO TWO, NULL }, /* line 1 is still above */
        { ONE TWO OTHER, "t.tle:4: a second satellite, 25954: one file for each" },
        { "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1835\n" TWO,
          "t.tle:2: line 1 ends in checksum 5, its columns give 6" },
        { ONE "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.3547808014055\xb0\n",
          "t.tle:2: byte 69 is no printable ASCII" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tle tle = { .catalog = 7 };
        struct err err = { 0 };
        enum rc rc = outlook_tle(bytes_of(rows[i].text), "a/t.tle", &tle, &err);

        if ((rc == RC_OK) != (rows[i].says == NULL) ||
            (rows[i].says && !strstr(err.what, rows[i].says)))
            fail_msg("row %zu: %s %s", i, rc_name(rc), err.what);
        assert_int_equal(tle.catalog, rc == RC_OK ? 28057 : 7);
    }
}

static void the_last_set_counts(void **state)
{
    struct tle early, late;
    struct err err = { 0 };

    (void)state;
    assert_rc(outlook_tle(bytes_of(ONE_LATER TWO ONE TWO), "t", &early, &err), RC_OK);
    assert_rc(outlook_tle(bytes_of(ONE TWO ONE_LATER TWO), "t", &late, &err), RC_OK);
    assert_int_equal(late.epoch_ms - early.epoch_ms, 86400000);
}

/* The notes of a satellite whose elements are old, one whose are of no use, and one without. */
static void notes_say_what_is_odd(void **state)
{
    static const char text[] =
        "fleet: a\nstations: [{id: k, lat: 78, lon: 15}]\nlinks: {l: {rate: 9600}}\nsatellites:\n"
        "  - {id: s, orbit: {tle: ['1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 "
        "0  "
        "1836', '2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550']}}\n"
        "  - {id: t}\ndesired: []\n";
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(outlook_free) struct outlook *fresh = NULL, *old = NULL;
    struct outlook_input in = { .path = "f.yaml", .from_ms = 1151366400000, .reference_ms = 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(yaml_parse(bytes_of(text), "f.yaml", &doc, &err), RC_OK);
    assert_rc(fleet_read(doc, "f.yaml", &fleet, &err), RC_OK);
    in.fleet = fleet;
    in.to_ms = in.from_ms + 86400000;
    assert_rc(outlook_make(&in, &fresh, &err), RC_OK);
    assert_string_equal(fresh->note[0], "");
    assert_string_equal(fresh->note[1], "no orbit in the fleet file");
    assert_in_range(fresh->contacts.n, 10, 15);
    for (size_t i = 1; i < fresh->contacts.n; i++)
        assert_true(fresh->contacts.at[i - 1].aos_ms <= fresh->contacts.at[i].aos_ms);
    in.from_ms += 20LL * 86400000;
    in.to_ms += 20LL * 86400000;
    in.satellite = "s";
    assert_rc(outlook_make(&in, &old, &err), RC_OK);
    assert_non_null(strstr(old->note[0], "elements are 20 days old"));
    assert_string_equal(old->note[1], ""); /* not asked for */
    in.to_ms = in.from_ms + SKY_SPAN_MAX_MS + 1;
    outlook_free(&old);
    assert_rc(outlook_make(&in, &old, &err), RC_ORBIT);
}

/* 14.35478080 times a day; once in a stellar day; and what is no closed orbit. */
static void periods(void **state)
{
    static const char text[] = "fleet: a\nstations: [{id: k, lat: 78, lon: 15}]\n"
                               "links: {l: {rate: 9600}}\nsatellites:\n"
                               "  - {id: s, orbit: {tle: ['1 28057U 03049A   06177.78615833  "
                               ".00000060  00000-0  35940-4 0  1836', '2 28057  98.4283 247.6961 "
                               "0000884  88.1964 271.9322 14.35478080140550']}}\n"
                               "  - {id: t}\n  - {id: u, orbit: {tle: none.tle}}\n"
                               "desired: []\nrollout: {default: {soak: %s}}\n";
    struct oem_state states[] = {
        { .r = { 7000, 0, 0 }, .v = { 0, 7.546054, 0 } }, /* a circle: 5828.5 s */
        { .r = { 0, 42164.2, 0 }, .v = { -3.0746692, 0, 0 } },
        { .r = { 7000, 0, 0 }, .v = { 0, 0, 10.8 } }, /* beyond the speed of escape */
    };
    struct oem oem = { .n = 1, .state = states };
    struct err err = { 0 };
    struct tle tle;

    (void)state;
    assert_rc(outlook_tle(bytes_of(ONE TWO), "t", &tle, &err), RC_OK);
    assert_int_equal(period_of_tle(&tle), 6018901);
    assert_in_range(period_of_oem(&oem), 5828400, 5828600);
    oem.n = 2; /* the longest of its states */
    assert_in_range(period_of_oem(&oem), 86163000, 86166000);
    oem.n = 3;
    assert_int_equal(period_of_oem(&oem), 0);
    tle.mean_motion = 1e-9;
    assert_int_equal(period_of_tle(&tle), 0);
    /* files are read where a soak counts orbits, and only there */
    for (int counts = 0; counts < 2; counts++) {
        scoped(yaml_close) struct yaml *doc = NULL;
        scoped(free_ptr) struct fleet *fleet = NULL;
        char whole[sizeof text + 16];

        (void)snprintf(whole, sizeof whole, text, counts ? "2 orbits" : "2h");
        assert_rc(yaml_parse(bytes_of(whole), "f.yaml", &doc, &err), RC_OK);
        assert_rc(fleet_read(doc, "f.yaml", &fleet, &err), RC_OK);
        assert_rc(period_find(fleet, "/nowhere/f.yaml", &err), counts ? RC_NOT_FOUND : RC_OK);
        assert_int_equal(fleet->satellite[0].period_ms, counts ? 6018901 : 0);
        assert_int_equal(fleet->satellite[1].period_ms, 0);
        if (counts)
            assert_string_equal(err.what, "f.yaml:7: u: none.tle");
    }
}

/* Without stations an orbit is there for what counts orbits, and for nothing else; a file that many
 * name is one. */
static void periods_without_stations(void **state)
{
    static const char text[] = "fleet: a\nsatellites:\n  - {id: s, orbit: {tle: %s/one.tle}}\n"
                               "  - {id: t}\n  - {id: u, orbit: {tle: %s/one.tle}}\n"
                               "desired: []\nrollout: {default: {soak: 2 orbits}}\n";
    char dir[] = "/tmp/berth-outlook-XXXXXX", path[64], whole[512];
    scoped(yaml_close) struct yaml *doc = NULL, *again = NULL;
    scoped(free_ptr) struct fleet *fleet = NULL, *same = NULL;
    struct err err = { 0 };

    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/one.tle", dir);
    assert_rc(fs_write_file(AT_FDCWD, path, bytes_of(ONE TWO), 0600, &err), RC_OK);
    (void)snprintf(whole, sizeof whole, text, dir, dir);
    assert_rc(yaml_parse(bytes_of(whole), "f.yaml", &doc, &err), RC_OK);
    assert_rc(fleet_read(doc, "f.yaml", &fleet, &err), RC_OK);
    assert_rc(period_find(fleet, "f.yaml", &err), RC_OK);
    assert_int_equal(fleet->satellite[0].period_ms, 6018901);
    assert_int_equal(fleet->satellite[1].period_ms, 0);
    assert_int_equal(fleet->satellite[2].period_ms, 6018901);

    json_t *out = fleet_export(fleet);
    scoped(free_ptr) char *json = json_dumps(out, 0);

    json_decref(out);
    assert_non_null(json);
    assert_null(strstr(json, "\"link\""));
    assert_rc(yaml_parse(bytes_of(json), "f.json", &again, &err), RC_OK);
    assert_rc(fleet_read(again, "f.json", &same, &err), RC_OK);
    assert_int_equal(same->satellite[2].orbit, FLEET_TLE_FILE);
    assert_rc(fs_remove_tree(AT_FDCWD, dir, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_elements),        cmocka_unit_test(the_last_set_counts),
        cmocka_unit_test(notes_say_what_is_odd),    cmocka_unit_test(periods),
        cmocka_unit_test(periods_without_stations),
    };

    return cmocka_run_group_tests_name("orchestrator/outlook", tests, NULL, NULL);
}
