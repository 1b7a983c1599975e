/* SPDX-License-Identifier: Apache-2.0
 *
 * Fleet files: what a good one means, and that each bad one is refused with its line.
 */
#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/fleet.h"

static const char good[] =
    "fleet: aurora\n"
    "satellites:\n"
    "  - {id: aurora-1, labels: {canary: yes, plane: a}}\n"
    "  - {id: aurora-2, labels: {plane: b}, capacity: {memory: 512M, cpu: 1.5, "
    "data: 2G, store: 4G, pids: 400, payloads: 20}}\n"
    "  - id: aurora-3\n"
    "desired:\n"
    "  - select: all\n"
    "    payloads:\n"
    "      acme/beacon: 1.0.0\n"
    "  - select: plane=b\n"
    "    payloads: {zeta/weather: {version: 2.0, hold: true}}\n"
    "  - select: canary\n"
    "    payloads: {luna/catalog: {hold: true}}\n"
    "rollout:\n"
    "  default: {waves: [{n: 1, label: canary}, 50%, 100%], fail: 2, spread: {plane: 50%, canary: "
    "1}}\n"
    "  acme/beacon: {soak: 5s, first: [{label: plane=b}, 100%]}\n"
    "  acme/cam: {soak: 3 orbits}\n"
    "  acme/one: {soak: 1 orbit}\n"
    "  acme/none: {soak: 0 orbits}\n"
    "  acme/most: {soak: '1000 orbits'}\n";

static enum rc read_text(const char *text, struct fleet **ret, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    enum rc rc = yaml_parse(bytes_of(text), "fleet.yaml", &doc, err);

    return rc == RC_OK ? fleet_read(doc, "some/where/fleet.yaml", ret, err) : rc;
}

static void reads_a_good_file(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    (void)state;
    assert_rc(read_text(good, &fleet, &err), RC_OK);
    assert_string_equal(fleet->name, "aurora");
    assert_string_equal(fleet->source, "fleet.yaml");
    assert_int_equal(fleet->n_satellites, 3);
    assert_string_equal(fleet->satellite[1].id, "aurora-2");
    assert_int_equal(fleet->satellite[0].n_labels, 2);
    assert_int_equal(fleet->satellite[2].n_labels, 0);
    assert_int_equal(fleet->satellite[0].capacity.memory_bytes, 0); /* not said */
    assert_int_equal(fleet->satellite[1].capacity.memory_bytes, 512U << 20);
    assert_int_equal(fleet->satellite[1].capacity.cpu_permille, 1500);
    assert_int_equal(fleet->satellite[1].capacity.data_bytes, UINT64_C(2) << 30);
    assert_int_equal(fleet->satellite[1].capacity.store_bytes, UINT64_C(4) << 30);
    assert_int_equal(fleet->satellite[1].capacity.pids, 400);
    assert_int_equal(fleet->satellite[1].capacity.payloads, 20);
    assert_int_equal(fleet->n_wants, 3);
    assert_string_equal(fleet->want[0].tenant, "acme");
    assert_string_equal(fleet->want[0].version, "1.0.0");
    assert_int_equal(fleet->want[0].line, 9);
    assert_string_equal(fleet->want[0].select.key, "");
    assert_string_equal(fleet->want[1].select.value, "b");
    assert_string_equal(fleet->want[1].version, "2.0");
    assert_true(fleet->want[1].hold);
    assert_true(fleet->want[2].hold);

    const struct fleet_policy *policy = fleet_policy_of(fleet, "zeta", "weather");

    assert_int_equal(policy->n_waves, 3);
    assert_int_equal(policy->wave[0].n, 1);
    assert_string_equal(policy->wave[0].label.key, "canary");
    assert_int_equal(policy->wave[1].percent, 50);
    assert_int_equal(policy->fail_max, 2);
    policy = fleet_policy_of(fleet, "acme", "beacon");
    assert_int_equal(policy->soak_ms, 5000);
    assert_int_equal(policy->soak_orbits, 0);
    assert_int_equal(fleet_policy_of(fleet, "acme", "cam")->soak_orbits, 3);
    assert_int_equal(fleet_policy_of(fleet, "acme", "cam")->soak_ms, 0);
    assert_int_equal(fleet_policy_of(fleet, "acme", "one")->soak_orbits, 1);
    assert_int_equal(fleet_policy_of(fleet, "acme", "none")->soak_orbits, 0);
    assert_int_equal(fleet_policy_of(fleet, "acme", "most")->soak_orbits, 1000);
    assert_int_equal(policy->n_first, 2);
    assert_string_equal(policy->first[0].label.value, "b");
    assert_int_equal(policy->n_waves, 2); /* the built-in ones: a canary, then all */
    assert_int_equal(policy->fail_max, 1);
}

#define LINE1 "1 28057U 03049A   06177.78615833  .00000060  00000-0  35940-4 0  1836"
#define LINE2 "2 28057  98.4283 247.6961 0000884  88.1964 271.9322 14.35478080140550"

static const char with_sky[] =
    "fleet: aurora\n"
    "stations:\n"
    "  - {id: kiruna, lat: 67.857128, lon: 20.96, height: 402, mask: 5.5, antennas: 2, turn: 3m}\n"
    "  - {id: troll, lat: -72.01, lon: 2.53, node: 7}\n"
    "links:\n"
    "  uhf: {rate: 9600, setup: 20s, overhead: 5%, goodput: 62.5%, steps: [{from: 30, rate: 19200},"
    " {from: 60.5, rate: 0}]}\n"
    "  s-band: {rate: 256000}\n"
    "tenants: {acme: {share: 2, uplink: 2M}, zeta: {}, luna: {quota: {uplink: 3M/day, cpu: 25%},"
    " teams: {a: {memory: 64M, uplink: 1M/day}, a/b: {memory: 64M, logs: 64K/pass, store: 1}}}}\n"
    "satellites:\n"
    "  - id: aurora-1\n"
    "    link: uhf\n"
    "    orbit: {tle: ['" LINE1 "', '" LINE2 "']}\n"
    "  - {id: aurora-2, link: s-band, orbit: {tle: sats/a2.tle}, labels: {canary: yes}}\n"
    "  - {id: aurora-3, link: s-band, orbit: {oem: 'sats/a 3.oem'}}\n"
    "  - {id: aurora-4, link: s-band, orbit: {contacts: plan.ionrc}, node: 104}\n"
    "  - {id: aurora-5}\n"
    "desired: []\n"
    "rollout:\n"
    "  default: {deadline: 3d}\n"
    "  acme/cam: {fail: {pct: 20%, min: 3}, success: 75%, silent: {passes: 4, action: skip}}\n"
    "  acme/log: {fail: {pct: 5%}, silent: {after: 12h, passes: 2}}\n";

static void reads_the_sky(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err = { 0 };
    const double degree = 3.14159265358979323846 / 180;

    (void)state;
    assert_rc(read_text(with_sky, &fleet, &err), RC_OK);
    assert_int_equal(fleet->n_stations, 2);
    const struct contact_station *s = &fleet->station[0].station;

    assert_string_equal(s->id, "kiruna");
    assert_true(fabs(s->place.latitude - 67.857128 * degree) < 1e-12);
    assert_true(fabs(s->place.height_km - 0.402) < 1e-12);
    assert_true(fabs(s->place.mask - 5.5 * degree) < 1e-12);
    assert_int_equal(s->antennas, 2);
    assert_int_equal(s->turn_ms, 180000);
    s = &fleet->station[1].station;
    assert_true(fabs(s->place.latitude + 72.01 * degree) < 1e-12);
    assert_true(fabs(s->place.mask - 10 * degree) < 1e-12); /* unless said */
    assert_int_equal(s->antennas, 1);
    assert_int_equal(s->node, 7);

    const struct contact_link *l = &fleet->link[0].link;

    assert_int_equal(l->rate, 9600);
    assert_int_equal(l->setup_ms, 20000);
    assert_int_equal(l->overhead_ppm, 50000);
    assert_int_equal(l->goodput_ppm, 625000);
    assert_int_equal(l->n_steps, 2);
    assert_true(fabs(l->step[1].from - 60.5 * degree) < 1e-12);
    assert_int_equal(l->step[1].rate, 0);
    assert_int_equal(fleet->n_tenants, 3);
    assert_int_equal(fleet->tenant[2].uplink_bytes, 3U << 20); /* of its quota */
    assert_int_equal(fleet->n_quotas, 3);
    assert_int_equal(fleet->quota[0].most[FLEET_CPU], 250);
    assert_int_equal(fleet->quota[0].most[FLEET_MEMORY], 0);
    assert_string_equal(fleet->quota[2].team, "a/b");
    assert_int_equal(fleet->quota[2].most[FLEET_LOGS], 65536);
    assert_int_equal(fleet->quota[2].most[FLEET_STORE], 1);
    assert_ptr_equal(fleet_quota_of(fleet, "luna", "a", FLEET_UPLINK), &fleet->quota[1]);
    assert_null(fleet_quota_of(fleet, "luna", "a/b", FLEET_UPLINK));
    assert_null(fleet_quota_of(fleet, "acme", "", FLEET_UPLINK));
    assert_int_equal(fleet->tenant[0].share, 2);
    assert_int_equal(fleet->tenant[0].uplink_bytes, 2U << 20);
    assert_int_equal(fleet->tenant[1].share, 1);
    assert_int_equal(fleet->tenant[1].uplink_bytes, 0);

    static const enum fleet_orbit orbits[] = { FLEET_TLE, FLEET_TLE_FILE, FLEET_OEM, FLEET_CONTACTS,
                                               FLEET_NO_ORBIT };
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(fleet->satellite[i].orbit, orbits[i]);
    assert_string_equal(fleet->satellite[0].line2, LINE2);
    assert_string_equal(fleet->satellite[2].file, "sats/a 3.oem");
    assert_int_equal(fleet->satellite[2].link, 1);
    assert_int_equal(fleet->satellite[3].node, 104);
    assert_true(fleet_policy_of(fleet, "x", "y")->deadline_ms == 3ULL * 24 * 3600 * 1000);
    const struct fleet_policy *p = fleet_policy_of(fleet, "acme", "cam");

    assert_int_equal(p->fail_max, FLEET_FAIL_MAX);
    assert_int_equal(p->fail_pct, 20);
    assert_int_equal(p->fail_min, 3);
    assert_int_equal(p->success_pct, 75);
    assert_int_equal(p->silent_passes, 4);
    assert_true(p->silent_skip);
    assert_true(p->silent_ms == 0);
    p = fleet_policy_of(fleet, "acme", "log");
    assert_int_equal(p->fail_min, 1);
    assert_int_equal(p->success_pct, 0);
    assert_false(p->silent_skip);
    assert_true(p->silent_ms == 12ULL * 3600 * 1000);
}

static void forget_lines(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        fleet->satellite[i].line = 0;
    for (uint32_t i = 0; i < fleet->n_wants; i++)
        fleet->want[i].line = 0;
    for (uint32_t i = 0; i < fleet->n_stations; i++)
        fleet->station[i].line = 0;
    for (uint32_t i = 0; i < fleet->n_policies; i++)
        for (uint32_t k = 0; k < fleet->policy[i].n_spread; k++)
            fleet->policy[i].spread[k].line = 0;
    for (uint32_t i = 0; i < fleet->n_quotas; i++)
        memset(fleet->quota[i].line, 0, sizeof fleet->quota[i].line);
}

/* What is exported is read as the very same fleet. */
static void exports_what_it_read(void **state)
{
    const char *const texts[] = { good, with_sky };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        scoped(free_ptr) struct fleet *fleet = NULL, *again = NULL;
        struct err err = { 0 };

        assert_rc(read_text(texts[i], &fleet, &err), RC_OK);
        json_t *doc = fleet_export(fleet);
        char *text = json_dumps(doc, JSON_INDENT(1));

        assert_non_null(text);
        if (read_text(text, &again, &err) != RC_OK)
            fail_msg("%s in\n%s", err.what, text);
        forget_lines(fleet);
        forget_lines(again);
        assert_memory_equal(fleet->satellite, again->satellite,
                            fleet->n_satellites * sizeof *fleet->satellite);
        assert_memory_equal(fleet->want, again->want, fleet->n_wants * sizeof *fleet->want);
        again->satellite = fleet->satellite;
        again->want = fleet->want;
        assert_memory_equal(fleet, again, sizeof *fleet);
        free(text);
        json_decref(doc);
    }
}

/* n satellites, of which the last one may be called as the first one is; the caller frees it. */
static char *many(uint32_t n, bool twice)
{
    const size_t cap = 64 + (size_t)n * 24;
    char *text = malloc(cap);
    int at = text ? snprintf(text, cap, "fleet: a\ndesired: []\nsatellites:\n") : -1;

    assert_true(at > 0);
    for (uint32_t i = 0; i < n; i++)
        at += snprintf(text + at, cap - (size_t)at, "- {id: sat-%05u}\n",
                       twice && i + 1 == n ? 0 : i);
    assert_true((size_t)at < cap);
    return text;
}

static void holds_so_many_and_no_more(void **state)
{
    static const struct {
        uint32_t n;
        bool twice;
        const char *says;
    } rows[] = {
        { FLEET_SATELLITES_MAX, false, NULL },
        { FLEET_SATELLITES_MAX, true, "fleet.yaml:10003:3: sat-00000 is listed twice (line 4)" },
        { FLEET_SATELLITES_MAX + 1, false, "fleet.yaml:4:1: more than 10000 satellites" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(free_ptr) char *text = many(rows[i].n, rows[i].twice);
        scoped(free_ptr) struct fleet *fleet = NULL;
        struct err err = { 0 };

        assert_rc(read_text(text, &fleet, &err), rows[i].says ? RC_YAML : RC_OK);
        if (rows[i].says)
            assert_string_equal(err.what, rows[i].says);
        else
            assert_string_equal(fleet->satellite[rows[i].n - 1].id, "sat-09999");
    }
}

/* Of entries that say nothing, too: each is held against every satellite. */
static void asks_for_so_much_and_no_more(void **state)
{
    (void)state;
    for (uint32_t n = FLEET_WANTS_MAX; n <= FLEET_WANTS_MAX + 1; n++) {
        scoped(free_ptr) char *text = calloc(1, 64 + (size_t)n * 40);
        scoped(free_ptr) struct fleet *fleet = NULL;
        struct err err = { 0 };

        assert_non_null(text);
        int at = snprintf(text, 64, "fleet: a\nsatellites: [{id: s}]\ndesired:\n");

        for (uint32_t i = 0; i < n; i++)
            at += snprintf(text + at, 40, "- {select: all, payloads: {}}\n");
        assert_rc(read_text(text, &fleet, &err), n > FLEET_WANTS_MAX ? RC_YAML : RC_OK);
        if (n > FLEET_WANTS_MAX)
            assert_string_equal(err.what, "fleet.yaml:4:1: more than 512 entries of 'desired'");
    }
}

#define SKY "fleet: a\ndesired: []\nstations:\n  - {id: k, lat: 1, lon: 2}\nlinks: {l: {rate: 1}}\n"

#define QUOTA "fleet: a\ntenants:\n  {acme: {quota: {"

static void refuses_a_bad_sky(void **state)
{
    static const struct {
        const char *text;
        const char *where, *says;
    } rows[] = {
        { "stations: [{id: k, lon: 2}]", "fleet.yaml:1:", "'lat' is missing: degrees north" },
        { "stations: [{id: k, lat: 91, lon: 2}]", "fleet.yaml:1:", "'lat' wants degrees north" },
        { "stations: [{id: k, lat: 9%, lon: 2}]", "fleet.yaml:1:", "'lat' wants degrees north" },
        { "stations: [{id: k, lat: --9, lon: 2}]", "fleet.yaml:1:", "'lat' wants degrees north" },
        { "stations: [{id: k, lat: 1, lon: 400}]", "fleet.yaml:1:", "'lon' wants degrees east" },
        { "stations: [{id: k, lat: 1, lon: 2, mask: -1}]", "fleet.yaml:1:", "elevation, 0 to 89" },
        { "stations: [{id: k, lat: 1, lon: 2, height: 20000}]", "fleet.yaml:1:", "metres" },
        { "stations: [{id: k, lat: 1, lon: 2, antennas: 0}]", "fleet.yaml:1:", "antennas" },
        { "stations: [{id: k, lat: 1, lon: 2, turn: 2h}]", "fleet.yaml:1:", "turn" },
        { "stations: [{id: k, lat: 1, lon: 2, tern: 2s}]", "fleet.yaml:1:", "did you mean 'turn'" },
        { "stations: [{id: K, lat: 1, lon: 2}]", "fleet.yaml:1:", "id: lower-case" },
        { "stations:\n  - {id: k, lat: 1, lon: 2}\n  - {id: k, lat: 1, lon: 2}",
          "fleet.yaml:3:", "k is listed twice (line 2)" },
        { "stations:\n  - {id: k, lat: 1, lon: 2, node: 5}\n  - {id: m, lat: 1, lon: 2, node: 5}",
          "fleet.yaml:3:", "node is that of k" },
        { "links: {l: {}}", "fleet.yaml:1:", "'rate' is missing" },
        { "links: {l: {rate: 0}}", "fleet.yaml:1:", "rate" },
        { "links: {l: {rate: 1, overhead: 100%}}", "fleet.yaml:1:", "overhead" },
        { "links: {l: {rate: 1, goodput: 0}}", "fleet.yaml:1:", "goodput" },
        { "links: {l: {rate: 1, steps: [{from: 9, rate: 1}, {from: 9, rate: 2}]}}",
          "fleet.yaml:1:", "steps must rise" },
        { "tenants: {acme: {share: 0}}", "fleet.yaml:1:", "share" },
        { "tenants: {acme: {uplinks: 1M}}", "fleet.yaml:1:", "did you mean 'uplink'" },
        { QUOTA "uplink: 2M}}}", "fleet.yaml:3:", "'uplink' wants a size a day such as 2M/day" },
        { QUOTA "logs: 2K/day}}}", "fleet.yaml:3:", "'logs' wants a size a pass" },
        { QUOTA "logs: /pass}}}", "fleet.yaml:3:", "'logs' wants a size a pass" },
        { QUOTA "memory: 0}}}", "fleet.yaml:3:", "'memory' wants a size such as 64M, more than 0" },
        { QUOTA "memory: [1, 2]}}}", "fleet.yaml:3:", "" },
        { QUOTA "memory: 9999999999G}}}", "fleet.yaml:3:", "'memory' wants" },
        { QUOTA "cpu: -1}}}", "fleet.yaml:3:", "'cpu' wants a share" },
        { QUOTA "disk: 1M}}}", "fleet.yaml:3:", "unknown key 'disk'" },
        { QUOTA "}}}", "fleet.yaml:3:", "bounds nothing" },
        { QUOTA "uplink: 2M/day}, uplink: 1M}}", "fleet.yaml:3:", "leave one out" },
        { "tenants: {acme: {teams: {A: {memory: 1M}}}}", "fleet.yaml:1:", "team: names of" },
        { "tenants: {acme: {teams: {a: 1M}}}", "fleet.yaml:1:", "expected a quota" },
        { "tenants:\n  acme:\n    quota: {memory: 100M}\n    teams:\n      a: {memory: 60M}\n"
          "      b: {memory: 41M}",
          "fleet.yaml:6:", "memory: teams have 101.0 MiB of acme 100.0 MiB" },
        { "tenants:\n  acme:\n    quota: {cpu: 1}\n    teams:\n      a: {memory: 60M}\n"
          "      a/b: {cpu: 1.1}",
          "fleet.yaml:6:", "cpu: teams have 1.100 of acme 1.000" },
        { "tenants:\n  acme:\n    teams:\n      a/b: {store: 2M}\n      a: {store: 1M}",
          "fleet.yaml:4:", "store: teams have 2.0 MiB of a 1.0 MiB" },
        { SKY "satellites:\n  - {id: s, orbit: {}}", "fleet.yaml:7:", "one of tle, oem" },
        { SKY "satellites:\n  - {id: s, orbit: {oem: a, tle: b}}", "fleet.yaml:7:", "one of tle" },
        { SKY "satellites:\n  - {id: s, orbit: {tle: [x]}}", "fleet.yaml:7:", "the two lines" },
        { SKY "satellites:\n  - {id: s, orbit: {tle: ['" LINE2 "', '" LINE2 "']}}",
          "fleet.yaml:7:", "copy both lines as they were published" },
        { SKY "satellites:\n  - {id: s, orbit: {oem: ''}}", "fleet.yaml:7:", "a file's name" },
        { SKY "satellites:\n  - {id: s, orbit: {contacts: p}}",
          "fleet.yaml:7:", "'node' is missing" },
        { SKY "satellites:\n  - {id: s, link: m, orbit: {oem: p}}",
          "fleet.yaml:7:", "link m is not listed under 'links'" },
        { SKY "satellites:\n  - {id: s, link: l}", "fleet.yaml:7:", "a link without 'orbit'" },
        { "links: {l: {rate: 1}}\nsatellites:\n  - {id: s, orbit: {oem: p}}",
          "fleet.yaml:3:", "of no use without 'stations' or a soak" },
        { "fleet: a\ndesired: []\nsatellites:\n  - {id: q}\n  - {id: s, orbit: {oem: p}}\n"
          "rollout: {default: {soak: 0 orbits}}",
          "fleet.yaml:5:", "of no use without 'stations' or a soak" },
        { "fleet: a\ndesired: []\nsatellites:\n  - {id: s, link: l, orbit: {oem: p}}\n"
          "rollout: {default: {soak: 2 orbits}}",
          "fleet.yaml:4:", "link l is not listed" },
        { "stations: [{id: k, lat: 1, lon: 2}]\nsatellites:\n  - {id: s, orbit: {oem: p}}",
          "fleet.yaml:3:", "'link' is missing" },
        { "rollout: {default: {deadline: 32d}}\nsatellites: [{id: s}]\nfleet: a\ndesired: []",
          "fleet.yaml:1:", "deadline" },
#define POLICY(text) "rollout: {default: {" text "}}\nsatellites: [{id: s}]\nfleet: a\ndesired: []"
        { POLICY("fail: {min: 2}"), "fleet.yaml:1:", "fail needs pct" },
        { POLICY("fail: {pct: 10}"), "fleet.yaml:1:", "expected 1% to 100%" },
        { POLICY("fail: {pct: 101%}"), "fleet.yaml:1:", "expected 1% to 100%" },
        { POLICY("fail: {pct: 10%, min: 0}"), "fleet.yaml:1:", "min" },
        { POLICY("fail: {pct: 10%, max: 2}"), "fleet.yaml:1:", "max" },
        { POLICY("fail: [2]"), "fleet.yaml:1:", "" },
        { POLICY("success: 0%"), "fleet.yaml:1:", "success: expected 1% to 100%" },
        { POLICY("success: 90%"), "fleet.yaml:1:", "say fail, too" },
        { POLICY("silent: {}"), "fleet.yaml:1:", "silent needs passes" },
        { POLICY("silent: {action: skip}"), "fleet.yaml:1:", "silent needs passes" },
        { POLICY("silent: {passes: 0}"), "fleet.yaml:1:", "passes" },
        { POLICY("silent: {passes: 101}"), "fleet.yaml:1:", "passes" },
        { POLICY("silent: {after: 3}"), "fleet.yaml:1:", "after" },
        { POLICY("silent: {passes: 3, action: abort}"), "fleet.yaml:1:", "neither pause nor skip" },
        { POLICY("silent: 3"), "fleet.yaml:1:", "silent" },
        { POLICY("spread: {plain: 1}"), "fleet.yaml:1:", "no satellite of this file has label" },
        { POLICY("spread: {id: 1}"), "fleet.yaml:1:", "no satellite of this file has label" },
        { POLICY("spread: [plane]"), "fleet.yaml:1:", "spread" },
#define SPREAD(text)                                                                               \
    "rollout: {default: {spread: {plane: " text "}}}\nsatellites: [{id: s, labels: {plane: a}}]\n" \
    "fleet: a\ndesired: []"
        { SPREAD("0"), "fleet.yaml:1:", "plane" },
        { SPREAD("0%"), "fleet.yaml:1:", "spread: expected 1% to 100%" },
        { SPREAD("10001"), "fleet.yaml:1:", "plane" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fleet *fleet = NULL;
        struct err err = { 0 };
        char text[1024];

        (void)snprintf(text, sizeof text, "%s%s", rows[i].text,
                       strstr(rows[i].text, "fleet:") ? "\n" : "\nfleet: a\ndesired: []\n");
        enum rc rc = read_text(text, &fleet, &err);

        if (rc != RC_YAML || fleet ||
            strncmp(err.what, rows[i].where, strlen(rows[i].where)) != 0 ||
            !strstr(err.what, rows[i].says))
            fail_msg("row %zu: %s, \"%s\"", i, rc_name(rc), err.what);
    }
}

static void conditions(void **state)
{
    static const struct {
        const char *key, *value;
        bool want[3];
    } rows[] = {
        { "", "", { true, true, true } },          { "canary", "", { true, false, false } },
        { "plane", "b", { false, true, false } },  { "id", "aurora-3", { false, false, true } },
        { "plane", "c", { false, false, false } },
    };
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    (void)state;
    assert_rc(read_text(good, &fleet, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t s = 0; s < 3; s++) {
            struct fleet_label condition = { 0 };

            (void)snprintf(condition.key, sizeof condition.key, "%s", rows[i].key);
            (void)snprintf(condition.value, sizeof condition.value, "%s", rows[i].value);
            assert_int_equal(fleet_matches(&fleet->satellite[s], &condition), rows[i].want[s]);
        }
}

static void built_in_policy_is_a_canary(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err;

    (void)state;
    assert_rc(read_text("fleet: a\nsatellites: [{id: s}]\ndesired: []\n", &fleet, &err), RC_OK);
    const struct fleet_policy *policy = fleet_policy_of(fleet, "x", "y");

    assert_int_equal(policy->wave[0].n, 1);
    assert_int_equal(policy->wave[policy->n_waves - 1].percent, 100);
    assert_int_equal(policy->n_first, 1);
    assert_int_equal(policy->first[0].percent, 100);
}

#define HEAD "fleet: a\nsatellites: [{id: s}]\n"

static void refuses(void **state)
{
    static const struct {
        const char *text;
        const char *where; /* start of the message */
        const char *says;  /* part of it */
    } rows[] = {
        { "", "fleet.yaml:", "fleet" },
        { "fleet: A\nsatellites: [{id: s}]\ndesired: []\n", "fleet.yaml:1:", "lower-case" },
        { "fleet: a\nsatellites: []\ndesired: []\n", "fleet.yaml:2:", "no satellites" },
        { "fleet: a\nsatellites: [{id: s}, {id: s}]\ndesired: []\n", "fleet.yaml:2:", "twice" },
        { "fleet: a\nsatellites: [{id: S!}]\ndesired: []\n", "fleet.yaml:2:", "id" },
        { "fleet: a\nsatellites:\n  - {id: s, labls: {}}\ndesired: []\n",
          "fleet.yaml:3:", "labls" },
        { "fleet: a\nsatellites:\n  - {id: s, labels: {id: x}}\ndesired: []\n",
          "fleet.yaml:3:", "label" },
        { "fleet: a\nsatellites:\n  - {id: s, capacity: {memry: 1M}}\ndesired: []\n",
          "fleet.yaml:3:", "memry" },
        { "fleet: a\nsatellites:\n  - {id: s, capacity: {memory: 0}}\ndesired: []\n",
          "fleet.yaml:3:", "memory" },
        { "fleet: a\nsatellites:\n  - {id: s, capacity: {payloads: 65}}\ndesired: []\n",
          "fleet.yaml:3:", "payloads" },
        { HEAD "desred: []\n", "fleet.yaml:3:", "desred" },
        { HEAD "desired:\n  - payloads: {t/p: 1}\n", "fleet.yaml:4:", "select" },
        { HEAD "desired:\n  - select: plane=z\n    payloads: {t/p: 1}\n",
          "fleet.yaml:4:", "selects no satellite" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      tp: 1\n",
          "fleet.yaml:6:", "tenant/payload" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      t/p: ../1\n",
          "fleet.yaml:6:", "version" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      t/p: {hold: false}\n",
          "fleet.yaml:6:", "version" },
        { HEAD "desired:\n  - select: all\n    payloads:\n      t/p: {version: 1, digest: ab}\n",
          "fleet.yaml:6:", "digest" },
        { HEAD "desired: []\nrollout:\n  t: {}\n", "fleet.yaml:5:", "tenant/payload" },
        { HEAD "desired: []\nrollout:\n  default: {waves: []}\n", "fleet.yaml:5:", "100%" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [50%]}\n", "fleet.yaml:5:", "100%" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [50%, 25%, 100%]}\n",
          "fleet.yaml:5:", "rise" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [{}, 100%]}\n",
          "fleet.yaml:5:", "needs n" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [{n: 0}, 100%]}\n",
          "fleet.yaml:5:", "n" },
        { HEAD "desired: []\nrollout:\n  default: {waves: [101%]}\n", "fleet.yaml:5:", "%" },
        { HEAD "desired: []\nrollout:\n  default: {fail: 0}\n", "fleet.yaml:5:", "fail" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 5}\n", "fleet.yaml:5:", "3 orbits" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 5orbits}\n", "fleet.yaml:5:", "soak" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 1.5 orbits}\n", "fleet.yaml:5:", "soak" },
        { HEAD "desired: []\nrollout:\n  default: {soak: -1 orbits}\n", "fleet.yaml:5:", "soak" },
        { HEAD "desired: []\nrollout:\n  default: {soak: orbits}\n", "fleet.yaml:5:", "soak" },
        { HEAD "desired: []\nrollout:\n  default: {soak: [3 orbits]}\n", "fleet.yaml:5:", "soak" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 1001 orbits}\n",
          "fleet.yaml:5:", "must be 0 to 1000 orbits" },
        { HEAD "desired: []\nrollout:\n  default: {soak: 5s, soakk: 1}\n",
          "fleet.yaml:5:", "soakk" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fleet *fleet = NULL;
        struct err err = { 0 };
        enum rc rc = read_text(rows[i].text, &fleet, &err);

        if (rc != RC_YAML || fleet ||
            strncmp(err.what, rows[i].where, strlen(rows[i].where)) != 0 ||
            !strstr(err.what, rows[i].says))
            fail_msg("row %zu: %s, \"%s\"", i, rc_name(rc), err.what);
    }
}

static void the_example_is_good(void **state)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err = { 0 };

    (void)state;
    assert_rc(fleet_load("examples/fleets/aurora.yaml", &fleet, &err), RC_OK);
    assert_int_equal(fleet->n_satellites, 3);
    assert_int_equal(fleet->n_wants, 3);
    free_ptr(&fleet);
    assert_rc(fleet_load("examples/fleets/aurora-sky.yaml", &fleet, &err), RC_OK);
    assert_int_equal(fleet->n_stations, 3);
    assert_int_equal(fleet->satellite[0].orbit, FLEET_TLE);
    assert_int_equal(fleet->satellite[1].orbit, FLEET_CONTACTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_good_file),
        cmocka_unit_test(reads_the_sky),
        cmocka_unit_test(exports_what_it_read),
        cmocka_unit_test(holds_so_many_and_no_more),
        cmocka_unit_test(asks_for_so_much_and_no_more),
        cmocka_unit_test(refuses_a_bad_sky),
        cmocka_unit_test(conditions),
        cmocka_unit_test(built_in_policy_is_a_canary),
        cmocka_unit_test(refuses),
        cmocka_unit_test(the_example_is_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
