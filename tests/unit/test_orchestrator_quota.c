/* SPDX-License-Identifier: Apache-2.0
 *
 * Quotas of the fleet file on a real store: plan and apply refuse what is more than they leave, by
 * satellite and by day, for tenants and their teams; quota and packages tell what is used.
 */
#include "tests/unit/test.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/fleet_parts.h"
#include "orchestrator/home.h"
#include "orchestrator/json.h"
#include "tests/unit/berth_run.h"

static const char grant[] =
    "logs: 1M\nmemory: 64M\ncpu: 100%\npids: 64\ndata: 16M\ntmp: 16M\nfiles: 128\n"
    "store: 64M\npayloads: 4\nexpires: 30d\n";

#define BUILD                                                                                      \
    "name: %s\ntenant: acme\n%sversion: %s\nrelease: %s\nexec: [/bin/cam]\nroot: rootfs\n"         \
    "arch: any\nresources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16, logs: 4K%s}\n"    \
    "health: {type: alive, ready: 2s}\n"

static void build(const char *name, const char *team, const char *version, const char *release)
{
    char text[512];

    print_to(text, sizeof text, BUILD, name, team, version, release,
             team[0] ? ", logs-per-pass: 1K" : ""); /* the other's whole day may come in one */
    put("cam/payload.yaml", text, 0644);
    assert_berth(team[0] ? "build cam --level 1 --key keys/flight.key --root root.cose --out p"
                         : "build cam --level 1 --key keys/acme.key --root root.cose --out p",
                 0);
    assert_berth("push p", 0);
}

static int begin_fleet(void **state)
{
    static const char *const words[] = {
        "key new root --role root --out keys",
        "key new op --role operator --out keys",
        "key new acme --role tenant --out keys",
        "key new flight --role tenant --out keys",
        "fleet init aurora --root keys/root.key --operator keys/op.key --out root.cose",
        "grant acme --keys keys/acme.pub --quota grant.yaml",
        "trust delegate acme flight --keys keys/flight.pub --quota team.yaml --root root.cose "
        "--key keys/acme.key --out flight.cose",
        "trust delegate --add flight.cose",
        "provision sat-1 --node 101 --out state-1",
        "provision sat-2 --node 102 --out state-2",
    };

    (void)!begin(state);
    (void)setenv("BERTH_HOME", "home", 1);
    put("grant.yaml", grant, 0644);
    put("team.yaml",
        "prefix: pic\nlogs: 64K\nmemory: 32M\ncpu: 50%\npids: 16\ndata: 8M\ntmp: 8M\nfiles: "
        "64\nstore: 16M\n"
        "payloads: 2\nexpires: 20d\n",
        0644);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    put("cam/rootfs/bin/cam", "#!/bin/self\n", 0755);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_berth(words[i], 0);
    build("cam", "", "1.0", "1");
    build("cam", "", "2.0", "2");
    build("pic", "team: flight\n", "1.0", "1");
    return 0;
}

static void put_fleet(const char *tenant)
{
    char text[1024];

    print_to(text, sizeof text,
             "fleet: aurora\ntenants:\n  acme: {%s}\nsatellites: [{id: sat-1}, {id: sat-2}]\n"
             "desired:\n  - {select: all, payloads: {acme/cam: 1.0}}\n"
             "  - {select: id=sat-2, payloads: {acme/pic: 1.0}}\n",
             tenant);
    put("fleet.yaml", text, 0644);
}

static json_t *said_json(void)
{
    const char *from = strchr(said, '{');
    json_t *doc = from ? json_loads(from, JSON_DISABLE_EOF_CHECK, NULL) : NULL;

    assert_non_null(doc);
    return doc;
}

static void plans_keep_to_quotas(void **state)
{
    static const struct {
        const char *tenant;
        const char *says; /* NULL: within */
    } rows[] = {
        { "quota: {memory: 32M, cpu: 0.5, store: 1G, uplink: 1M/day, logs: 5K/pass}", NULL },
        { "quota: {logs: 4K/pass}",
          "fleet.yaml:3: logs: acme: 5.0 KiB/pass on sat-2, of 4.0 KiB/pass" },
        { "teams: {flight: {logs: 1K/pass}}", NULL },
        { "teams: {flight: {logs: 512/pass}}",
          "fleet.yaml:3: logs: acme/flight: 1.0 KiB/pass on sat-2, of 512 B/pass" },
        { "quota: {memory: 31M}", "fleet.yaml:3: memory: acme: 32.0 MiB on sat-2, of 31.0 MiB" },
        { "quota: {cpu: 0.4}", "fleet.yaml:3: cpu: acme: 0.500 on sat-2, of 0.400" },
        { "quota: {store: 10}", "fleet.yaml:3: store: acme: " },
        { "quota: {uplink: 10/day}", "fleet.yaml:3: uplink: acme: " },
        { "quota: {memory: 32M}, teams: {flight: {memory: 16M}}", NULL },
        { "teams: {flight: {memory: 15M}}",
          "fleet.yaml:3: memory: acme/flight: 16.0 MiB on sat-2, of 15.0 MiB" },
        { "teams: {flight: {uplink: 9/day}}", "fleet.yaml:3: uplink: acme/flight: " },
        { "teams: {other: {memory: 1, uplink: 1/day}}", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        put_fleet(rows[i].tenant);
        assert_berth("plan fleet.yaml", rows[i].says ? 1 : 3);
        assert_said(rows[i].says ? "OVER" : "QUOTA OF");
        if (!rows[i].says)
            continue;
        assert_said(rows[i].says);
        assert_said("berth quota");
        assert_berth("apply fleet.yaml --key keys/op.key", 1);
        assert_said(rows[i].says);
        assert_berth("plan fleet.yaml --json", 1);
        assert_said("\"QUOTA\"");
    }
}

static void plans_tell_each_verdict(void **state)
{
    (void)state;
    put_fleet("quota: {memory: 48M, uplink: 1M/day}");
    assert_berth("plan fleet.yaml --json", 3);
    json_t *doc = said_json();
    const json_t *quotas = json_object_get(doc, "quotas"), *v = json_array_get(quotas, 1);

    assert_int_equal(json_array_size(quotas), 3);
    assert_string_equal(json_string_value(json_object_get(v, "satellite")), "sat-2");
    assert_int_equal(json_integer_value(json_object_get(v, "asked")), 32 << 20);
    assert_int_equal(json_integer_value(json_object_get(v, "left")), 16 << 20);
    assert_int_equal(json_integer_value(json_object_get(v, "wave")), 1);
    assert_false(json_is_true(json_object_get(v, "over")));
    v = json_array_get(quotas, 2);
    assert_string_equal(json_string_value(json_object_get(v, "what")), "uplink");
    assert_int_equal(json_integer_value(json_object_get(v, "asked")),
                     json_integer_value(json_object_get(doc, "bytes")));
    json_decref(doc);
}

/* All that waits has gone up, today or a day before. */
static uint64_t arrive(uint64_t now_ms)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    char path[4096];
    uint64_t sum = 0;
    size_t n = 0;

    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_outgoing(home.store, NULL, 0, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        rows[i].state = OUTGOING_COMPLETE;
        rows[i].sent_ms = now_ms;
        sum += rows[i].class == CLASS_PACKAGE ? rows[i].size : 0;
        assert_rc(store_update_outgoing(home.store, &rows[i], &err), RC_OK);
    }
    return sum;
}

static const json_t *first_tenant(json_t **ret)
{
    assert_berth("quota acme --json", 0);
    *ret = said_json();
    return json_array_get(json_object_get(*ret, "tenants"), 0);
}

static uint64_t amount(const json_t *tenant, const char *part, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(json_object_get(tenant, part), name));
}

static void used_and_left(void **state)
{
    (void)state;
    assert_berth("quota", 0); /* nothing was applied: the grant's bounds */
    assert_said("64.0 MiB");
    put_fleet("share: 3, quota: {memory: 48M, uplink: 1M/day}, teams: {flight: {store: 9M}}");
    assert_berth("apply fleet.yaml --key keys/op.key", 0);
    char ground[PATH_MAX + 16];

    print_to(ground, sizeof ground, "%s-ground --once", program);
    assert_run(ground, 0);
    json_t *doc = NULL;
    const json_t *tenant = first_tenant(&doc);
    const uint64_t waits = amount(tenant, "uplink", "waiting");

    assert_true(waits > 0);
    assert_int_equal(amount(tenant, "uplink", "sent"), 0);
    assert_int_equal(amount(tenant, "uplink", "left"), 1 << 20);
    assert_int_equal(amount(tenant, "quota", "memory"), 48 << 20);
    assert_int_equal(amount(tenant, "quota", "store"), 64 << 20); /* of the grant */
    assert_int_equal(json_integer_value(json_object_get(tenant, "share")), 3);
    const json_t *sat = json_array_get(json_object_get(tenant, "satellites"), 1);

    assert_string_equal(json_string_value(json_object_get(sat, "id")), "sat-2");
    assert_int_equal(amount(sat, "used", "memory"), 32 << 20);
    assert_int_equal(json_array_size(json_object_get(sat, "payloads")), 2);
    const json_t *team = json_array_get(json_object_get(tenant, "teams"), 0);

    assert_string_equal(json_string_value(json_object_get(team, "team")), "flight");
    assert_int_equal(json_array_size(json_object_get(team, "satellites")), 1);
    json_decref(doc);

    assert_int_equal(arrive(clock_unix_ms()), waits);
    tenant = first_tenant(&doc);
    assert_int_equal(amount(tenant, "uplink", "sent"), waits);
    assert_int_equal(amount(tenant, "uplink", "waiting"), 0);
    assert_int_equal(amount(tenant, "uplink", "left"), (1 << 20) - waits);
    json_decref(doc);
    (void)arrive(clock_unix_ms() - 2 * 24 * 3600 * 1000ULL); /* not of today */
    tenant = first_tenant(&doc);
    assert_int_equal(amount(tenant, "uplink", "sent"), 0);
    json_decref(doc);
    assert_berth("quota acme", 0);
    assert_said("acme/flight");
    assert_said("sat-1");
    assert_berth("quota luna", 1);
    assert_said("NOT_FOUND");
    assert_berth("quota ../x", 1);
}

static void packages_where_they_are(void **state)
{
    (void)state;
    assert_berth("packages", 0);
    assert_said("acme/pic");
    assert_berth("packages acme --json", 0);
    json_t *doc = said_json();
    const json_t *cam = json_array_get(json_object_get(doc, "packages"), 0);
    const json_t *one = json_array_get(json_object_get(cam, "versions"), 0);
    const json_t *delta = json_array_get(json_object_get(cam, "deltas"), 0);

    assert_int_equal(json_array_size(json_object_get(doc, "packages")), 2);
    assert_string_equal(json_string_value(json_object_get(cam, "payload")), "acme/cam");
    assert_int_equal(json_array_size(json_object_get(one, "ordered_on")), 2);
    assert_int_equal(json_array_size(json_object_get(one, "runs_on")), 0);
    assert_int_equal(json_array_size(json_object_get(cam, "deltas")), 2);
    assert_string_equal(json_string_value(json_object_get(delta, "to")), "2.0");
    assert_string_equal(json_string_value(json_object_get(delta, "state")), "not-made");
    assert_true(json_is_null(json_object_get(delta, "bytes")));
    json_decref(doc);
    assert_berth("packages luna --json", 0);
    doc = said_json();
    assert_int_equal(json_array_size(json_object_get(doc, "packages")), 0);
    json_decref(doc);
}

/* The lines of the template, and of each the example that it belongs to: lines with one sign that
 * follow each other; 0 = none. */
#define LINES_MAX 128U
struct template
{
    char *text;
    size_t n, examples;
    char *line[LINES_MAX];
    size_t example[LINES_MAX];
};

static void read_template(struct template *t)
{
    scoped(free_ptr) uint8_t *content = NULL;
    bool within = false;
    size_t n = 0;

    assert_rc(fs_read_alloc(dirfd, "new.yaml", 65536, &content, &n, &err), RC_OK);
    t->text = strndup((const char *)content, n);
    assert_non_null(t->text);
    char *rest = t->text;

    for (char *line; (line = strsep(&rest, "\n"));) {
        const bool is = line[0] == '#' && line[1] != '#';

        assert_true(t->n < LINES_MAX);
        t->examples += is && !within;
        t->example[t->n] = is ? t->examples : 0;
        t->line[t->n++] = line;
        within = is;
    }
}

/* Whether the text has the key, as a key. */
static bool has_key(const char *text, const char *key)
{
    const size_t n = strlen(key);

    for (const char *at = strstr(text, key); at; at = strstr(at + 1, key))
        if (at[n] == ':' && at > text && !isalnum((unsigned char)at[-1]))
            return true;
    return strncmp(text, key, n) == 0 && text[n] == ':';
}

/* Nobody has to look elsewhere for what a fleet file can say. */
static void a_template_with_every_key(void **state)
{
    scoped(free_ptr) uint8_t *content = NULL;
    size_t n = 0;

    (void)state;
    assert_berth("init fleet every.yaml", 0);
    assert_rc(fs_read_alloc(dirfd, "every.yaml", 65536, &content, &n, &err), RC_OK);
    scoped(free_ptr) char *text = strndup((const char *)content, n);

    assert_non_null(text);
    for (size_t map = 0; map < FLEET_MAPS; map++)
        for (const char *const *key = fleet_keys[map]; *key; key++)
            if (!has_key(text, *key))
                fail_msg("berth init fleet says nothing of '%s'", *key);
    assert_false(has_key(text, "soaks") || has_key(text, "oa"));
}

/* The template with some of its examples put to use. */
static void put_used(const struct template *t, const bool *use)
{
    char out[16384];
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s\n",
                              t->line[i] + (t->example[i] > 0 && use[t->example[i]]));
    assert_true(n < sizeof out);
    put("used.yaml", out, 0644);
}

/* It plans as it is; so does each example, alone beside stations and links, and all of them do. */
static void a_template_that_is_good(void **state)
{
    struct template t = { 0 };
    bool use[LINES_MAX] = { false };

    (void)state;
    assert_berth("init fleet new.yaml", 0);
    assert_berth("init fleet new.yaml", 4);
    assert_said("berth init fleet OTHER.yaml");
    assert_berth("plan new.yaml --json", 3); /* it ends what was ordered before */
    assert_said("\"fleet\": \"aurora\"");
    assert_said("sat-2");
    read_template(&t);
    assert_int_equal(t.examples, 5);
    for (size_t i = 1; i <= t.examples; i++) {
        memset(use, 0, sizeof use);
        use[1] = use[i] = true;
        put_used(&t, use);
        assert_berth("fleet export used.yaml", i >= 4 ? 1 : 0);
        if (i >= 4) /* want labels of one's own */
            assert_said(i == 4 ? "selects no satellite" : "has label 'plane'");
    }
    memset(use, 1, sizeof use);
    for (size_t i = 0; i < t.n; i++) {
        char *select = strstr(t.line[i], "label=value");

        if (select)
            memcpy(select, "plane=a    ", 11);
    }
    put_used(&t, use);
    assert_berth("fleet export used.yaml", 0);
    static const char *const parts[] = { "stations", "links",   "tenants", "teams",    "tle",
                                         "rollout",  "soak",    "hold",    "capacity", "spread",
                                         "silent",   "approve", "success" };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        assert_said(parts[i]);
    free(t.text);
}

/* A fleet file may be JSON, and is then read just as strictly. */
static void json_is_a_fleet_file_too(void **state)
{
    (void)state;
    put_fleet("quota: {memory: 48M, uplink: 1M/day}, teams: {flight: {memory: 16M}}");
    assert_berth("fleet export fleet.yaml", 0);
    put("fleet.json", said, 0644);
    assert_berth("plan fleet.json --json", 0);
    assert_berth("fleet export fleet.json", 0);
    put("again.json", said, 0644);
    assert_run("cmp fleet.json again.json", 0);
    put("bad.json", "{\"fleet\": \"a\", \"fleet\": \"b\"}", 0644);
    assert_berth("plan bad.json", 1);
    assert_said("bad.json:1:");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_keep_to_quotas),
        cmocka_unit_test(plans_tell_each_verdict),
        cmocka_unit_test(used_and_left),
        cmocka_unit_test(packages_where_they_are),
        cmocka_unit_test(a_template_that_is_good),
        cmocka_unit_test(a_template_with_every_key),
        cmocka_unit_test(json_is_a_fleet_file_too),
    };

    return cmocka_run_group_tests(tests, begin_fleet, end);
}
