/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth program and teams: a tenant delegates offline, at once and across an air gap, the
 * operator adds what was signed, packages of teams are pushed and planned, and verify --as says
 * what a satellite would; so it does for a rekey.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/home.h"
#include "tests/unit/berth_run.h"

static const char quota[] = "memory: 64M\ncpu: 100%\npids: 64\ndata: 16M\ntmp: 16M\nfiles: 128\n"
                            "store: 64M\npayloads: 4\nexpires: 30d\n";
static const char flight_quota[] =
    "prefix: cam\nmemory: 32M\ncpu: 50%\npids: 16\ndata: 8M\ntmp: 8M\nfiles: 64\n"
    "store: 16M\npayloads: 2\nexpires: 20d\n";
static const char cam_quota[] =
    "prefix: cam-a\nmemory: 20M\ncpu: 50%\npids: 8\ndata: 8M\ntmp: 8M\nfiles: 32\n"
    "store: 16M\npayloads: 2\nexpires: 10d\n";

static int set_up(void **state)
{
    (void)begin(state);
    put("quota.yaml", quota, 0644);
    put("flight.yaml", flight_quota, 0644);
    put("cam.yaml", cam_quota, 0644);
    assert_rc(fs_make_dirs(dirfd, "p/rootfs/bin", 0755, &err), RC_OK);
    put("p/rootfs/bin/cam", "#!/bin/self\n", 0755);
    (void)unsetenv("BERTH_HOME");
    return 0;
}

/* Everything that is on its way to sat-1 has arrived there. */
static void arrive(void)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    char path[PATH_MAX];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_outgoing(home.store, "sat-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        rows[i].state = OUTGOING_COMPLETE;
        assert_rc(store_update_outgoing(home.store, &rows[i], &err), RC_OK);
    }
}

static void delegate(const char *words, int want)
{
    char line[512];

    (void)snprintf(line, sizeof line, "trust delegate acme %s --root root.cose", words);
    assert_berth(line, want);
}

/* A package of acme's, signed by a key. */
static void build(const char *name, const char *team, const char *memory, const char *key)
{
    char text[512], line[256];

    (void)snprintf(text, sizeof text,
                   "name: %s\ntenant: acme\n%s%s%sversion: 1.0\nrelease: 1\nfloor: 1\n"
                   "exec: [/bin/cam]\nroot: rootfs\narch: any\n"
                   "resources: {memory: %s, cpu: 0.1, pids: 4, tmp: 1M, files: 16}\n"
                   "health: {type: alive, ready: 2s}\n",
                   name, team ? "team: " : "", team ? team : "", team ? "\n" : "", memory);
    put("p/payload.yaml", text, 0644);
    (void)snprintf(line, sizeof line,
                   "build p --level 1 --key keys/%s.key --root root.cose --out %s.berth", key,
                   name);
    assert_berth(line, 0);
}

static void want_on(const char *satellite, const char *payloads)
{
    char text[512];

    (void)snprintf(text, sizeof text,
                   "fleet: aurora\nsatellites:\n  - {id: sat-1%s}\ndesired:\n"
                   "  - select: all\n    payloads:\n%s",
                   satellite, payloads);
    put("fleet.yaml", text, 0644);
}

static void want(const char *payloads)
{
    want_on("", payloads);
}

static void a_fleet(void **state)
{
    static const char *const keys[][2] = { { "root", "root" },     { "next", "root" },
                                           { "op", "operator" },   { "acme", "tenant" },
                                           { "flight", "tenant" }, { "cam", "tenant" },
                                           { "cam-2", "tenant" },  { "stranger", "tenant" } };
    char line[128];

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        (void)snprintf(line, sizeof line, "key new %s --role %s --out keys", keys[i][0],
                       keys[i][1]);
        assert_berth(line, 0);
    }
    (void)setenv("BERTH_HOME", "home", 1);
    assert_berth("fleet init aurora --root keys/root.key --next-root keys/next.pub --operator "
                 "keys/op.key --out root.cose",
                 0);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml --key keys/op.key", 0);
    assert_berth("provision sat-1 --node 7 --out state", 0);
}

static void made_offline_and_added(void **state)
{
    (void)state;
    (void)setenv("BERTH_HOME", "nowhere", 1); /* the tenant's machine has none */
    delegate("flight --keys keys/flight.pub --quota flight.yaml --epoch 5 --key keys/acme.key "
             "--out flight.cose",
             0);
    assert_said("delegation to acme/flight, epoch 5");
    delegate("flight/cam --keys keys/cam.pub --quota cam.yaml --epoch 3 --key keys/flight.key "
             "--out cam.cose",
             0);
    delegate("flight --keys keys/flight.pub --key keys/acme.key --out no.cose", 2);
    assert_said("--quota");
    delegate("flight --keys keys/flight.pub --quota flight.yaml --policy stop --key keys/acme.key "
             "--out no.cose",
             2);
    assert_said("--policy goes with --withdraw");
    delegate("flight --keys keys/flight.pub --withdraw --policy stop --key keys/acme.key --out "
             "no.cose",
             2);
    assert_said("--withdraw takes no keys");
    delegate("Flight --keys keys/flight.pub --quota flight.yaml --key keys/acme.key --out no.cose",
             2);
    (void)setenv("BERTH_HOME", "home", 1);
    assert_berth("trust delegate --add cam.cose", 5); /* its parent comes first */
    assert_said("DELEGATION_MISSING");
    assert_berth("verify flight.cose --as sat-1", 0);
    assert_said("acme/flight");
    assert_berth("trust delegate --add flight.cose", 0);
    assert_said("epoch 5, queued for 1 satellites");
    assert_berth("trust delegate --add cam.cose", 0);
    arrive();
    delegate("flight/wide --keys keys/cam-2.pub --quota quota.yaml --epoch 4 --key keys/flight.key "
             "--out wide.cose",
             0);
    assert_berth("trust delegate --add wide.cose", 5);
    assert_berth("verify wide.cose --as sat-1", 5);
    delegate("flight --keys keys/flight.pub --quota flight.yaml --epoch 4 --key keys/acme.key "
             "--out old.cose",
             0);
    assert_berth("trust delegate --add old.cose", 5);
    assert_said("DELEGATION_OLD");
    delegate("flight/own --keys keys/flight.pub --quota cam.yaml --key keys/flight.key --out "
             "own.cose",
             0);
    assert_berth("verify own.cose --as sat-1", 5);
    assert_said("KEY_DUPLICATE");
}

/* Two files, from the tenant's machine to the key and back. */
static void signed_across_the_air_gap(void **state)
{
    (void)state;
    delegate("flight/cam --keys keys/cam.pub keys/cam-2.pub --threshold 1 --quota cam.yaml "
             "--epoch 9 --request stick",
             0);
    delegate("flight --keys keys/flight.pub --quota flight.yaml --request stick", 0);
    assert_said("stick/delegation-acme+flight.request"); /* beside the other, not over it */
    assert_berth("sign stick/delegation-acme+flight+cam.request --key keys/flight.key --yes --out "
                 "stick/1.sig",
                 0);
    assert_berth("sign stick/delegation-acme+flight+cam.request --attach stick/1.sig --out "
                 "again.cose",
                 0);
    assert_berth("trust delegate --add again.cose", 0);
    arrive();
    assert_berth("trust status", 0);
    assert_said("team acme/flight epoch 5, in force");
    assert_said("team acme/flight/cam epoch 9, in force");
}

static void packages_of_teams(void **state)
{
    (void)state;
    build("cam-a", "flight/cam", "16M", "cam-2");
    assert_berth("verify cam-a.berth --as sat-1", 0);
    assert_berth("push cam-a.berth", 0);
    build("cam-b", "flight", "12M", "flight");
    assert_berth("push cam-b.berth", 0);
    build("cam-c", "flight", "20M", "flight");
    assert_berth("push cam-c.berth", 0);
    build("log", "flight", "2M", "flight"); /* not below its prefix */
    assert_berth("push log.berth", 5);
    assert_said("NAME_NOT_GRANTED");
    build("cam-d", "flight", "33M", "flight");
    assert_berth("push cam-d.berth", 5);
    assert_said("DELEGATION_EXCEEDED");
    build("cam-e", "flight", "2M", "cam"); /* by somebody else's key */
    assert_berth("push cam-e.berth", 5);
    assert_berth("verify cam-e.berth --as sat-1", 5);
    build("free", NULL, "16M", "acme");
    assert_berth("push free.berth", 0);
}

/* The sum over a team and its teams, as on board. */
static void plans_know_the_shares(void **state)
{
    (void)state;
    want("      acme/cam-a: 1.0\n      acme/cam-c: 1.0\n");
    assert_berth("plan fleet.yaml", 5);
    assert_said("DELEGATION_EXCEEDED");
    assert_berth("apply fleet.yaml --key keys/op.key", 5);
    assert_said("DELEGATION_EXCEEDED");
    want("      acme/cam-a: 1.0\n      acme/cam-b: 1.0\n      acme/free: 1.0\n");
    assert_berth("plan fleet.yaml", 3);
    assert_berth("apply fleet.yaml --key keys/op.key", 0);
    want(
        "      acme/cam-a: 1.0\n      acme/cam-b: 1.0\n      acme/cam-c: 1.0\n"); /* three of two */
    assert_berth("plan fleet.yaml", 5);
    assert_berth("trust status --json", 0);
    assert_said("\"teams\"");
    assert_said("\"standing\"");
}

/* What a satellite has is not given away twice, whoever may have it. */
static void plans_know_the_capacity(void **state)
{
    static const char payloads[] = "      acme/cam-a: 1.0\n      acme/cam-b: 1.0\n";
    static const struct {
        const char *capacity;
        const char *says; /* NULL: it fits */
    } rows[] = {
        { ", capacity: {memory: 28M}", NULL },
        { ", capacity: {memory: 27M}", "memory: 29360128 ordered, capacity 28311552" },
        { ", capacity: {payloads: 2}", NULL },
        { ", capacity: {payloads: 1}", "payloads: 2 ordered, capacity 1" },
        { ", capacity: {cpu: 0.001}", "thousandths of a cpu" },
        { ", capacity: {pids: 1}", "pids" },
        { ", capacity: {store: 64}", "store" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        want_on(rows[i].capacity, payloads);
        assert_berth("plan fleet.yaml", rows[i].says ? 1 : 3);
        if (!rows[i].says)
            continue;
        assert_said(rows[i].says);
        assert_berth("apply fleet.yaml --key keys/op.key", 1);
        assert_said(rows[i].says);
    }
}

static void withdrawn_and_anew(void **state)
{
    (void)state;
    delegate("flight --withdraw --epoch 20 --key keys/acme.key --out end.cose", 2);
    assert_said("--policy");
    delegate("flight --withdraw --policy stop --epoch 20 --key keys/acme.key --out end.cose", 0);
    assert_berth("verify end.cose --as sat-1", 0);
    assert_berth("trust delegate --add end.cose", 0);
    assert_said("withdrawn");
    arrive();
    assert_berth("verify flight.cose --as sat-1", 5);
    assert_said("DELEGATION_OLD");
    assert_berth("verify cam-a.berth --as sat-1", 5);
    assert_said("DELEGATION_WITHDRAWN");
    assert_berth("trust status", 0);
    assert_said("withdrawn");
    build("cam-b2", "flight", "2M", "flight");
    assert_berth("push cam-b2.berth", 5);
    delegate("flight --keys keys/flight.pub --quota flight.yaml --epoch 21 --key keys/acme.key "
             "--out next.cose",
             0);
    assert_berth("trust delegate --add next.cose", 1); /* what it had passed on must end */
    delegate("flight --keys keys/flight.pub --quota flight.yaml --epoch 21 --anew --key "
             "keys/acme.key --out next.cose",
             0);
    assert_berth("trust delegate --add next.cose", 0);
    assert_berth("trust delegate --add again.cose", 5); /* signed before */
    assert_said("ISSUED_BEFORE");
    assert_berth("push cam-b2.berth", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fleet),
        cmocka_unit_test(made_offline_and_added),
        cmocka_unit_test(signed_across_the_air_gap),
        cmocka_unit_test(packages_of_teams),
        cmocka_unit_test(plans_know_the_capacity),
        cmocka_unit_test(plans_know_the_shares),
        cmocka_unit_test(withdrawn_and_anew),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
