/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth program from keys to an order that a satellite would take, in each suite and with
 * both suites in every role: made, signed at once and across an air gap, pushed, provisioned,
 * applied, verified as the satellite, and a version revoked.
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

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char payload[] = "name: cam\ntenant: acme\nversion: 1.0\nrelease: 1\nfloor: 1\n"
                              "exec: [/bin/cam]\nroot: rootfs\narch: any\n"
                              "resources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
                              "health: {type: alive, ready: 2s}\n";
static const char fleet[] = "fleet: aurora\nsatellites:\n  - {id: sat-1}\ndesired:\n"
                            "  - select: all\n    payloads:\n      acme/cam: 1.0\n";

static int set_up(void **state)
{
    (void)begin(state);
    put("quota.yaml", quota, 0644);
    put("fleet.yaml", fleet, 0644);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    put("cam/rootfs/bin/cam", "#!/bin/self\n", 0755);
    put("cam/payload.yaml", payload, 0644);
    (void)unsetenv("BERTH_HOME");
    return 0;
}

/* Two keys of each role; ours are the first of these suites, theirs the second. */
static void make_keys(const char *ours, const char *theirs)
{
    static const char *const keys[][2] = {
        { "root", "root" }, { "next", "root" }, { "op", "operator" }, { "acme", "tenant" }
    };
    char line[128];

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        for (unsigned k = 1; k <= 2; k++) {
            (void)snprintf(line, sizeof line, "key new %s-%u --role %s --suite %s --out keys",
                           keys[i][0], k, keys[i][1], k == 1 ? ours : theirs);
            assert_berth(line, 0);
        }
    }
}

/* The newest order of sat-1, out of the store. */
static void save_order(const char *to)
{
    struct store_order_filter filter = { .satellite = "sat-1" };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_order *rows = NULL;
    scoped(close_fd) int fd = -1;
    uint8_t buf[65536];
    char path[PATH_MAX];
    uint64_t size = 0;
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s/%s", dir, getenv("BERTH_HOME"));
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_orders(home.store, &filter, &rows, &n, &err), RC_OK);
    assert_true(n > 0);
    assert_rc(home_open_object(&home, &rows[n - 1].object, &fd, &size, &err), RC_OK);
    assert_true(size <= sizeof buf);
    assert_rc(fs_pread_exact(fd, buf, (size_t)size, 0, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, to, (struct bytes){ buf, (size_t)size }, 0644, &err), RC_OK);
}

/* One signer at the keyboard, the other across the air gap. */
static void sign_here_and_there(void)
{
    assert_berth("build cam --level 1 --out cam.unsigned", 0);
    assert_berth("sign cam.unsigned --key keys/acme-2.key --out cam.berth", 0);
    assert_berth("push cam.berth", 5);
    assert_said("THRESHOLD");
    assert_berth("sign cam.berth --request --out cam.request", 0);
    assert_berth("sign cam.request --key keys/acme-1.key --yes --out cam.1.sig", 0);
    assert_berth("inspect cam.1.sig", 0);
    assert_berth("sign cam.berth --attach cam.1.sig", 0);
    assert_berth("verify cam.berth", 0);
    assert_berth("push cam.berth", 0);
}

/* The entry of an apply: why, by which plan, and both who signed the order. */
static void audited(void)
{
    const char *at;

    assert_berth("audit log --last 1 --json", 0);
    assert_said("\"action\": \"apply\"");
    assert_said("\"why\": \"release-12\"");
    assert_null(strstr(said, "\"plan\": null"));
    at = strstr(said, "\"approvals\": [");
    assert_non_null(at);
    assert_non_null(strchr(at, ','));
    assert_true(strchr(at, ',') < strchr(at, ']'));
    assert_null(strstr(said, "\"signer\": null"));
    assert_berth("audit verify", 0);
}

static void whole_path(const char *home, bool needs_384)
{
    (void)setenv("BERTH_HOME", home, 1);
    assert_berth("fleet init aurora --root keys/root-1.key keys/root-2.key --root-threshold 2 "
                 "--operator keys/op-1.key keys/op-2.key --operator-threshold 2 "
                 "--next-root keys/next-1.pub keys/next-2.pub --out root.cose",
                 0);
    assert_berth("verify root.cose", 0);
    assert_berth("inspect root.cose --json", 0);
    assert_int_equal(strstr(said, "next_keys384") != NULL, needs_384);
    assert_berth("grant acme --keys keys/acme-1.pub keys/acme-2.pub --threshold 2 --quota "
                 "quota.yaml --key keys/op-1.key keys/op-2.key --out grant.cose",
                 0);
    sign_here_and_there();
    assert_berth("provision sat-1 --node 101 --out state", 0);
    assert_berth("apply fleet.yaml --key keys/op-2.key keys/op-1.key --why release-12", 0);
    audited();
    save_order("order.cose");
    assert_berth("inspect order.cose --json", 0);
    assert_int_equal(strstr(said, "manifest384") != NULL, needs_384);
    assert_berth("verify root.cose --as sat-1", 0);
    assert_berth("verify grant.cose --as sat-1", 0);
    assert_berth("verify cam.berth --as sat-1", 0);
    assert_berth("verify order.cose --as sat-1", 0);
    assert_said("would accept");
}

/* Take the version back, with both digests where they are asked for. */
static void take_back(bool needs_384)
{
    char line[256], hex[2 * DIGEST_SIZE + 1];
    const char *at;

    assert_berth("inspect order.cose --json", 0);
    at = strstr(said, "\"manifest\": \"");
    assert_non_null(at);
    memcpy(hex, at + strlen("\"manifest\": \""), sizeof hex - 1);
    hex[sizeof hex - 1] = '\0';
    (void)snprintf(line, sizeof line,
                   "trust revoke --manifest %s --policy stop --root keys/root-1.key "
                   "keys/root-2.key --out revocation.cose",
                   hex);
    assert_berth(line, 0);
    assert_berth("inspect revocation.cose --json", 0);
    assert_int_equal(strstr(said, "manifest384") != NULL, needs_384);
    assert_berth("verify revocation.cose --as sat-1", 0);
}

static void clear(void)
{
    assert_rc(fs_remove_tree(dirfd, "keys", &err), RC_OK);
    assert_rc(fs_remove_tree(dirfd, "state", &err), RC_OK);
}

static void suite_1(void **state)
{
    (void)state;
    make_keys("1", "hybrid");
    assert_berth("key show keys/op-1.pub", 0);
    assert_said("Ed25519 + ML-DSA-65");
    whole_path("home-1", false);
    take_back(false);
    clear();
}

static void suite_2(void **state)
{
    (void)state;
    make_keys("2", "cnsa");
    assert_berth("key show keys/op-1.pub --json", 0);
    assert_said("\"suite\": 2");
    assert_berth("key new x --role root --suite 3 --out keys", 2);
    whole_path("home-2", true);
    assert_berth("inspect root.cose", 0);
    assert_said("ML-DSA-87");
    take_back(true);
    clear();
}

static void suites_mixed(void **state)
{
    (void)state;
    make_keys("1", "2");
    whole_path("home-3", true);
    assert_berth("inspect root.cose", 0);
    assert_said("Ed25519 + ML-DSA-65");
    assert_said("ML-DSA-87");
    take_back(true);
    clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(suite_1),
        cmocka_unit_test(suite_2),
        cmocka_unit_test(suites_mixed),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
