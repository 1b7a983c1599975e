/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes and plans over a sky, by the program: from a fleet file with contact plans, elements and
 * an ephemeris to the passes that a release rides, and what is said of files that are wrong.
 */
#include "tests/unit/test.h"

#include <jansson.h>
#include <time.h>

#include "base/clock.h"
#include "orchestrator/home.h"
#include "orchestrator/planning_sky.h"
/* last: it has a global err */
#include "tests/unit/berth_run.h"

#define LINE1 "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836"
#define LINE2 "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550"

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char payload[] = "name: cam\ntenant: acme\nversion: 1.0\nrelease: 1\n"
                              "exec: [/bin/cam]\nroot: rootfs\narch: any\n"
                              "resources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
                              "health: {type: alive, ready: 2s}\n";

/* One station, node 50.  sat-1 is the canary with a pass every hour, sat-2 has one far too short,
 * sat-3 has none, sat-4 no orbit. */
static const char fleet[] =
    "fleet: aurora\n"
    "stations: [{id: kiruna, lat: 67.86, lon: 20.96, node: 50, antennas: 2}]\n"
    "links: {uhf: {rate: 9600, overhead: 0, goodput: 100%%}}\n"
    "tenants: {acme: {uplink: %s}}\n"
    "satellites:\n"
    "  - {id: sat-1, labels: {canary: yes}, orbit: {contacts: sky/plan.ionrc}, node: 101}\n"
    "  - {id: sat-2, orbit: {contacts: sky/plan.ionrc}, node: 102}\n"
    "  - {id: sat-3, orbit: {contacts: sky/plan.ionrc}, node: 103}\n"
    "  - {id: sat-4}\n"
    "rollout: {default: {waves: [{n: 1, label: canary}, 100%%], first: [{n: 1, label: canary}, "
    "100%%], deadline: %s}}\n"
    "desired:\n  - {select: all, payloads: {acme/cam: 1.0}}\n";

static void put_fleet(const char *uplink, const char *deadline)
{
    char text[2048];

    print_to(text, sizeof text, fleet, uplink, deadline);
    put("fleet.yaml", text, 0644);
}

/* Content that does not compress to nothing: some 20 kB. */
static void put_program(void)
{
    static uint8_t noise[20000];
    uint64_t z = 1;

    for (size_t i = 0; i < sizeof noise; i++) {
        z = z * 6364136223846793005U + 1442695040888963407U;
        noise[i] = (uint8_t)(z >> 56);
    }
    assert_rc(fs_write_file(dirfd, "cam/rootfs/bin/cam", (struct bytes){ noise, sizeof noise },
                            0755, &err),
              RC_OK);
}

static int begin_fleet(void **state)
{
    char words[128];

    (void)!begin(state);
    (void)setenv("BERTH_HOME", "home", 1);
    put("quota.yaml", quota, 0644);
    put_fleet("1G", "2d");
    assert_rc(fs_make_dirs(dirfd, "sky", 0755, &err), RC_OK);
    put("sky/plan.ionrc",
        "a contact +3600 +3700 50 101 100\na contact +7200 +7300 50 101 100\n"
        "a contact +10800 +10900 50 101 1000\na contact +14400 +14500 50 101 1000\n"
        "a contact +18000 +18001 50 102 100\na contact +1 +2 7 103 100\n",
        0644);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    put_program();
    put("cam/payload.yaml", payload, 0644);
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key", 0);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml", 0);
    assert_berth("build cam --level 1 --out cam.unsigned", 0);
    assert_berth("sign cam.unsigned --key keys/acme.key --out cam.berth", 0);
    assert_berth("push cam.berth", 0);
    for (int i = 1; i <= 4; i++) {
        print_to(words, sizeof words, "provision sat-%d --node 10%d --out state-%d", i, i, i);
        assert_berth(words, 0);
    }
    return 0;
}

/* What the last run said, from its first brace. */
static json_t *said_json(void)
{
    const char *from = strchr(said, '{');
    json_error_t why;

    assert_non_null(from);
    json_t *doc = json_loads(from, JSON_DISABLE_EOF_CHECK, &why);

    if (!doc)
        fail_msg("%s in %s", why.text, said);
    return doc;
}

static json_int_t number(const json_t *at, const char *key)
{
    const json_t *value = json_object_get(at, key);

    if (!json_is_integer(value))
        fail_msg("no number %s", key);
    return json_integer_value(value);
}

static void no_line_is_wider_than_80(void)
{
    for (const char *at = said; *at;) {
        size_t n = strcspn(at, "\n");

        if (n > 80)
            fail_msg("%zu columns: %.*s", n, (int)n, at);
        at += n + (at[n] == '\n');
    }
}

static void plans_name_passes(void **state)
{
    (void)state;
    assert_berth("plan fleet.yaml", 3);
    no_line_is_wider_than_80();
    assert_said("passes until ");
    assert_said("sat-1 rides 3 passes: kiruna ");
    assert_said("wave 1 of 2: healthy at P50 ");
    assert_said("wave 2 of 2: not done within the passes that are known");
    assert_said("left: the passes that are known do not carry all of it");
    assert_said("no contact from a station to node 103 in its plan");
    assert_said("left: no orbit in the fleet file");
}

/* The passes carry the plan's bytes, none more than it can; the canary is healthy at the end of the
 * fourth contact, to the second. */
static void plans_in_json(void **state)
{
    json_int_t now = (json_int_t)clock_unix_ms(), sum = 0, before = 0;
    size_t i;
    json_t *pass;

    (void)state;
    assert_berth("plan fleet.yaml --json", 3);
    json_t *doc = said_json();
    const json_t *sky = json_object_get(doc, "sky");
    const json_t *sat = json_array_get(json_object_get(sky, "satellites"), 0);
    const json_t *passes = json_object_get(sat, "passes");

    assert_int_equal(number(sky, "draws"), 200);
    assert_int_equal(json_array_size(json_object_get(sky, "satellites")), 4);
    assert_int_equal(json_array_size(passes), 3);
    json_array_foreach(passes, i, pass)
    {
        assert_true(number(pass, "bytes") <= number(pass, "capacity"));
        assert_true(number(pass, "begins_ms") > before);
        before = number(pass, "begins_ms");
        sum += number(pass, "bytes");
    }
    assert_true(sum == number(sat, "bytes") + 8192); /* and the order */
    json_int_t from = number(sky, "from_ms");

    assert_true(from >= now && number(sky, "until_ms") == from + 48 * 3600 * 1000);
    assert_true(number(json_object_get(sat, "on_board"), "p50_ms") == from + 10900000);
    assert_true(number(json_object_get(sat, "healthy"), "p90_ms") == from + 14500000);
    assert_true(json_is_null(json_object_get(sat, "cannot")));
    const json_t *wave = json_array_get(json_object_get(sky, "waves"), 1);

    assert_true(json_is_null(json_object_get(wave, "p50_ms")));
    json_decref(doc);
}

static void plans_say_what_cannot_be(void **state)
{
    (void)state;
    put_fleet("1G", "4h"); /* the contact in which it would be heard ends a minute too late */
    assert_berth("plan fleet.yaml", 3);
    assert_said("sat-1: no pass before the deadline");
    put_fleet("2K", "2d");
    assert_berth("plan fleet.yaml", 3);
    assert_said("acme's uplink quota of the day holds it back");
    put_fleet("1G", "2d");
}

static void plans_refuse_bad_files(void **state)
{
    (void)state;
    put("bad.yaml",
        "fleet: aurora\nstations: [{id: k, lat: 1, lon: 2}]\nlinks: {l: {rate: 9600}}\n"
        "satellites:\n  - {id: sat-1, orbit: {contacts: none.ionrc}, node: 101}\n"
        "desired:\n  - {select: all, payloads: {acme/cam: 1.0}}\n",
        0644);
    assert_berth("plan bad.yaml", 1);
    assert_said("bad.yaml:5: sat-1: none.ionrc");
    put("none.ionrc", "a contact +1 +2 x 101 5\n", 0644);
    assert_berth("plan bad.yaml", 1);
    assert_said("none.ionrc:1: expected two node numbers");
    assert_said("docs/wire/contacts.md");
}

static void passes_by_contact_plan(void **state)
{
    (void)state;
    assert_berth("passes", 1);
    assert_said("--fleet FLEET.yaml, or berth apply first");
    assert_berth("passes --fleet fleet.yaml", 0);
    no_line_is_wider_than_80();
    assert_said("BEGINS (UTC)");
    assert_said("1:40");
    assert_said("reserved, 1");
    assert_said("note: sat-4: no orbit in the fleet file");
    assert_berth("passes sat-9 --fleet fleet.yaml", 4);
    assert_said("NO_SATELLITE");
    assert_berth("passes --fleet fleet.yaml --until 30m", 0);
    assert_said("no passes in this time");
    assert_berth("passes --fleet fleet.yaml --until soon", 2);
    assert_berth("passes --fleet fleet.yaml --until 40d", 2);
    assert_berth(
        "passes --fleet fleet.yaml --since 2026-01-02T00:00:00Z --until 2026-01-01T00:00:00Z", 2);
    /* what was applied is found again, from anywhere */
    assert_berth("apply fleet.yaml --key keys/op.key --no-deltas", 0);
    assert_berth("passes sat-1 --json", 0);
    json_t *doc = said_json();

    assert_int_equal(json_array_size(json_object_get(doc, "passes")), 4);
    assert_int_equal(number(json_array_get(json_object_get(doc, "passes"), 2), "bytes"), 100000);
    json_decref(doc);
}

/* A contact of an hour ago that was full, of which four tenths arrived: what is expected of the
 * next one is an eighth of the way from all to four tenths. */
static void passes_learn_from_reports(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    int64_t now = (int64_t)clock_unix_ms();
    time_t past = (time_t)(now / 1000 - 3600);
    struct store_heard heard = { .satellite = "sat-1",
                                 .epoch = 1,
                                 .contact = 1,
                                 .waiting = 1,
                                 .received_ms = (uint64_t)now - 3550000,
                                 .arrived = 40000 };
    char path[PATH_MAX], text[256], at[32];
    struct tm tm;

    (void)state;
    assert_non_null(gmtime_r(&past, &tm));
    assert_true(strftime(at, sizeof at, "%Y/%m/%d-%H:%M:%S", &tm) > 0);
    print_to(text, sizeof text,
             "@ %s\na contact +0 +100 50 101 1000\na contact +7200 +7300 50 101 1000\n", at);
    put("sky/plan.ionrc", text, 0644);
    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_put_heard(home.store, &heard, &err), RC_OK);
    assert_berth("passes sat-1 --fleet fleet.yaml --json", 0);
    json_t *doc = said_json();
    const json_t *pass = json_array_get(json_object_get(doc, "passes"), 0);

    assert_int_equal(number(pass, "room"), 100000);
    assert_int_equal(number(pass, "bytes"), 92500);
    assert_int_equal(number(pass, "learnt_from"), 1);
    json_decref(doc);
    assert_berth("passes sat-1 --fleet fleet.yaml --since 2h --until 1s", 0);
    assert_said("done");
    assert_berth("passes sat-1 --fleet fleet.yaml --since 2h --until 1s --json", 0);
    doc = said_json();
    pass = json_array_get(json_object_get(doc, "passes"), 0);
    assert_string_equal(json_string_value(json_object_get(pass, "state")), "done");
    json_decref(doc);
    heard = (struct store_heard){ .satellite = "sat-1", .received_ms = (uint64_t)now - 3400000 };
    assert_rc(store_put_heard(home.store, &heard, &err), RC_OK);
    assert_berth("passes sat-1 --fleet fleet.yaml --json", 0); /* a mark teaches nothing */
    doc = said_json();
    pass = json_array_get(json_object_get(doc, "passes"), 0);
    assert_int_equal(number(pass, "bytes"), 92500);
    assert_int_equal(number(pass, "learnt_from"), 1);
    json_decref(doc);
}

/* A pass that begins in five minutes is not planned with, unless it was reserved before: then it
 * stays, and carries what there is. */
static void what_was_reserved_stays(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_reserved *rows = NULL;
    uint64_t now = clock_unix_ms();
    struct store_reserved row = { .station = "kiruna",
                                  .satellite = "sat-2",
                                  .antenna = 1,
                                  .aos_ms = now + 310000,
                                  .los_ms = now + 390000 };
    char path[PATH_MAX];
    size_t n = 0;

    (void)state;
    put("sky/plan.ionrc", "a contact +300 +400 50 102 1000\na contact +7200 +7300 50 102 1000\n",
        0644);
    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_reserved(home.store, now, &rows, &n, &err), RC_OK);
    assert_true(n >= 4); /* apply kept them */
    assert_rc(store_drop_reserved(home.store, NULL, 0, &err), RC_OK);
    put_fleet("1G", "1d");
    assert_berth("passes sat-2 --json", 0);
    assert_said("\"reserved\"");
    assert_rc(store_put_reserved(home.store, &row, &err), RC_OK);
    assert_berth("passes sat-2 --json", 0);
    json_t *doc = said_json();
    const json_t *passes = json_object_get(doc, "passes");

    assert_string_equal(json_string_value(json_object_get(json_array_get(passes, 0), "state")),
                        "reserved");
    assert_int_equal(number(json_array_get(passes, 0), "antenna"), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(passes, 1), "state")),
                        "predicted");
    json_decref(doc);
}

/* The hash that plan prints. */
static void plan_hash(char out[PLAN_HASH_CAP])
{
    assert_berth("plan fleet.yaml", 3);
    const char *at = strstr(said, "PLAN ");

    assert_non_null(at);
    print_to(out, PLAN_HASH_CAP, "%.16s", at + 5);
}

/* It covers what the passes are found from, and not the clock: planned again it is the same. */
static void the_hash_covers_the_sky(void **state)
{
    static const char other[] = "a contact +3600 +3700 50 101 100\n";
    char first[PLAN_HASH_CAP], again[PLAN_HASH_CAP], words[128];

    (void)state;
    plan_hash(first);
    plan_hash(again);
    assert_string_equal(first, again);
    assert_int_equal(renameat(dirfd, "sky/plan.ionrc", dirfd, "sky/away"), 0);
    put("sky/plan.ionrc", other, 0644);
    plan_hash(again);
    assert_string_not_equal(first, again);
    print_to(words, sizeof words, "apply fleet.yaml --plan %s --key keys/op.key", first);
    assert_berth(words, 4);
    assert_said("PLAN_STALE");
    assert_int_equal(renameat(dirfd, "sky/away", dirfd, "sky/plan.ionrc"), 0);
    plan_hash(again);
    assert_string_equal(first, again);
}

/* Passes are found before the store is locked: what follows reads no file of orbits.  A store that
 * has moved on so far that other passes are needed makes the plan stale. */
static void passes_are_found_before_the_lock(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct fleet *file = NULL;
    scoped(planning_done) struct planning p = { 0 };
    scoped(planning_sky_done) struct planning_sky sky = { 0 }, none = { 0 };
    scoped(store_rollback) struct store *open = NULL;
    char path[PATH_MAX], at[PATH_MAX];

    (void)state;
    print_to(path, sizeof path, "%s/fleet.yaml", dir);
    print_to(at, sizeof at, "%s/home", dir);
    assert_rc(home_open(at, false, &home, &err), RC_OK);
    assert_rc(fleet_load(path, &file, &err), RC_OK);
    assert_rc(planning_make(home.store, file, path, &p, &err), RC_OK);
    assert_rc(planning_sky_look(&p, home.store, (int64_t)clock_unix_ms(), &sky, &err), RC_OK);
    assert_int_equal(renameat(dirfd, "sky/plan.ionrc", dirfd, "sky/away"), 0);
    assert_rc(store_begin(home.store, &open, &err), RC_OK);
    assert_rc(planning_sky_make(&p, home.store, &none, &err), RC_PLAN_STALE);
    file->policy[0].deadline_ms += 4 * 86400000ULL;
    assert_rc(planning_sky_make(&p, home.store, &sky, &err), RC_PLAN_STALE);
    file->policy[0].deadline_ms -= 4 * 86400000ULL;
    assert_rc(planning_sky_make(&p, home.store, &sky, &err), RC_OK);
    assert_int_equal(sky.forecast.satellite[0].n_contacts, 3);
    assert_rc(planning_sky_keep(&sky, home.store, &err), RC_OK);
    assert_int_equal(renameat(dirfd, "sky/away", dirfd, "sky/plan.ionrc"), 0);
}

/* The same satellite by two lines in the file, by a file with two sets, and by an ephemeris that
 * covers nothing of the time. */
static void passes_by_elements(void **state)
{
    static const char sky[] = "fleet: aurora\nstations: [{id: k, lat: 78.2, lon: 15.4}]\n"
                              "links: {l: {rate: 9600}}\nsatellites:\n"
                              "  - {id: one, orbit: {tle: ['" LINE1 "', '" LINE2 "']}}\n"
                              "  - {id: two, orbit: {tle: sky/two.tle}}\n"
                              "  - {id: three, orbit: {oem: sky/three.oem}}\ndesired: []\n";
    const char span[] = "--since 2006-06-27T00:00:00Z --until 2006-06-28T00:00:00Z";
    char words[256];

    (void)state;
    put("by-elements.yaml", sky, 0644);
    put("sky/two.tle", "CBERS 2\n" LINE1 "\n" LINE2 "\nCBERS 2\n" LINE1 "\r\n" LINE2 "\r\n", 0644);
    put("sky/three.oem",
        "CCSDS_OEM_VERS = 2.0\nMETA_START\nOBJECT_ID = A\nCENTER_NAME = EARTH\nREF_FRAME = TEME\n"
        "TIME_SYSTEM = UTC\nMETA_STOP\n2026-11-30T00:00:00 7000 0 0 0 7.5 0\n"
        "2026-11-30T00:01:00 6985 450 0 -0.48 7.48 0\n",
        0644);
    print_to(words, sizeof words, "passes one --fleet by-elements.yaml %s --json", span);
    assert_berth(words, 0);
    json_t *one = said_json();

    print_to(words, sizeof words, "passes two --fleet by-elements.yaml %s --json", span);
    assert_berth(words, 0);
    json_t *two = said_json();
    size_t n = json_array_size(json_object_get(one, "passes"));

    assert_in_range(n, 10, 15);
    assert_int_equal(json_array_size(json_object_get(two, "passes")), n);
    for (size_t i = 0; i < n; i++)
        assert_true(number(json_array_get(json_object_get(one, "passes"), i), "begins_ms") ==
                    number(json_array_get(json_object_get(two, "passes"), i), "begins_ms"));
    json_decref(one);
    json_decref(two);
    print_to(words, sizeof words, "passes --fleet by-elements.yaml %s", span);
    assert_berth(words, 0);
    assert_said("note: three: the ephemeris does not cover this time");
    assert_berth("passes two --fleet by-elements.yaml", 0);
    assert_said("days old: passes may be wrong");
    put("sky/two.tle", LINE2 "\n", 0644);
    assert_berth("passes two --fleet by-elements.yaml", 1);
    assert_said("two.tle:1: no line 1 above");
}

/* A soak of two orbits: refused for who has none, with what to do; else it is told in the plan,
 * kept with the rollout by each satellite's own period, and told again by its status. */
static void soaks_in_orbits(void **state)
{
    static const char text[] =
        "fleet: aurora\nstations: [{id: k, lat: 78.2, lon: 15.4}]\nlinks: {l: {rate: 9600}}\n"
        "rollout: {default: {first: [{n: 1}, 100%%], soak: 2 orbits}}\n"
        "desired: [{select: all, payloads: {acme/cam: 1.0}}]\n"
        "satellites:\n  - {id: sat-1, orbit: {tle: ['" LINE1 "', '" LINE2 "']}}\n"
        "  - {id: sat-2%s}\n";
    char file[2048];

    (void)state;
    print_to(file, sizeof file, text, "");
    put("soak.yaml", file, 0644);
    assert_berth("plan soak.yaml", 1);
    assert_said("soak.yaml:8: sat-2: no 'orbit', for soak: 2 orbits");
    assert_said("fix: give it orbit: {tle: FILE} or {oem: FILE}, or say its soak as a time: soak: "
                "5h");
    assert_berth("apply soak.yaml --key keys/op.key --supersede", 1);
    assert_said("SOAK_ORBIT");
    print_to(file, sizeof file, text, ", orbit: {oem: sky/three.oem}");
    put("soak.yaml", file, 0644);
    assert_berth("plan soak.yaml", 3);
    assert_said("), then soaks 3h");
    assert_berth("plan soak.yaml --json", 3);
    json_t *doc = said_json();
    const json_t *soaks = json_object_get(doc, "soaks_ms");

    assert_int_equal(json_array_size(soaks), 2);
    assert_true(json_integer_value(json_array_get(soaks, 0)) == 2 * 6018901);
    json_int_t second = json_integer_value(json_array_get(soaks, 1));

    assert_in_range(second, 2 * 5723000, 2 * 5724000);
    json_decref(doc);
    assert_berth("apply soak.yaml --key keys/op.key --supersede", 0);
    assert_berth("rollout status 2 --json", 0);
    doc = said_json();
    const json_t *rollout = json_array_get(json_object_get(doc, "rollouts"), 0);
    const json_t *waves = json_object_get(rollout, "waves");

    assert_int_equal(number(rollout, "soak_orbits"), 2);
    assert_true(number(json_array_get(waves, 0), "soak_ms") == 2 * 6018901);
    assert_true(number(json_array_get(waves, 1), "soak_ms") == second);
    assert_true(json_is_null(json_object_get(json_array_get(waves, 0), "soaks_until_ms")));
    json_decref(doc);
    assert_berth("rollout forecast 2", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_name_passes),
        cmocka_unit_test(plans_in_json),
        cmocka_unit_test(the_hash_covers_the_sky),
        cmocka_unit_test(passes_are_found_before_the_lock),
        cmocka_unit_test(plans_say_what_cannot_be),
        cmocka_unit_test(plans_refuse_bad_files),
        cmocka_unit_test(passes_by_contact_plan),
        cmocka_unit_test(passes_learn_from_reports),
        cmocka_unit_test(what_was_reserved_stays),
        cmocka_unit_test(passes_by_elements),
        cmocka_unit_test(soaks_in_orbits),
    };

    return cmocka_run_group_tests_name("orchestrator/passes", tests, begin_fleet, end);
}
