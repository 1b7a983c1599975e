/* SPDX-License-Identifier: Apache-2.0
 *
 * The key ceremony of docs/guide/key-ceremony.md, performed: a root of three keys of which two must
 * sign, with paper backup, the next root committed to, operator keys offline, and every document
 * carried across an air gap.  "safe" is the offline machine, "ground" the online one, and files go
 * between them on "stick" only.  After it, verify --as against what a satellite reported.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <limits.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "link/port.h"
#include "manifest/trust.h"
#include "orchestrator/home.h"
#include "orchestrator/ingest.h"
#include "tests/unit/berth_run.h"

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char payload[] = "name: cam\ntenant: acme\nversion: %u.0\nrelease: %u\nfloor: %u\n"
                              "exec: [/bin/cam]\nroot: rootfs\narch: any\n"
                              "resources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
                              "health: {type: alive, ready: 2s}\n";
static const char fleet[] = "fleet: aurora\nsatellites:\n  - {id: sat-1}\ndesired:\n"
                            "  - select: all\n    payloads:\n      acme/cam: %u.0\n";

/* Sign a request on a terminal, answering the question; the exit code. */
static int sign_on_terminal(const char *line, const char *says, const char *reply)
{
    char *argv[16] = { NULL }, copy[256], *rest = NULL;
    size_t n = 0;
    int tty = -1;
    pid_t pid = forkpty(&tty, NULL, NULL, NULL);

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)snprintf(copy, sizeof copy, "%s", line);
        for (char *w = strtok_r(copy, " ", &rest); w && n < 15; w = strtok_r(NULL, " ", &rest))
            argv[n++] = w;
        if (fchdir(dirfd) == 0)
            (void)execv(program, argv);
        _exit(98);
    }
    n = 0;
    said[0] = '\0';
    while (!strstr(said, "Type yes: ")) {
        ssize_t got = read(tty, said + n, sizeof said - 1 - n);

        if (got <= 0)
            fail_msg("terminal said '%s'", said);
        n += (size_t)got;
        said[n] = '\0';
    }
    assert_said(says);
    assert_int_equal(write(tty, reply, strlen(reply)), (ssize_t)strlen(reply));
    while (read(tty, said, sizeof said - 1) > 0)
        continue;
    (void)close(tty);
    return exit_of(pid);
}

static int begin_ceremony(void **state)
{
    (void)!begin(state);
    put("quota.yaml", quota, 0644);
    return 0;
}

/* ---- the ceremony ---- */

static void keys_are_made_offline(void **state)
{
    static const char *const keys[][2] = {
        { "root-1", "root" },   { "root-2", "root" },   { "root-3", "root" },
        { "next-1", "root" },   { "next-2", "root" },   { "next-3", "root" },
        { "op-1", "operator" }, { "op-2", "operator" }, { "acme", "tenant" },
    };
    char line[128];

    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        (void)snprintf(line, sizeof line, "berth key new %s --role %s --out safe", keys[i][0],
                       keys[i][1]);
        assert_run(line, 0);
        (void)snprintf(line, sizeof line, "cp safe/%s.pub stick", keys[i][0]);
        assert_run(line, 0);
    }
}

/* base64 -d PAPER >KEY, as typed in or scanned. */
static void restore(const char *paper, const char *key)
{
    scoped(close_fd) int in = -1, out = -1;
    pid_t pid;

    assert_rc(fs_open(dirfd, paper, O_RDONLY, 0, &in, &err), RC_OK);
    assert_rc(fs_open(dirfd, key, O_WRONLY | O_CREAT | O_EXCL, 0600, &out, &err), RC_OK);
    pid = fork();
    if (pid == 0)
        child("base64 -d", in, out);
    assert_int_equal(exit_of(pid), 0);
}

/* On paper, and back from it: the same key, as private as before. */
static void paper_brings_a_key_back(void **state)
{
    scoped(free_ptr) uint8_t *before = NULL, *after = NULL, *paper = NULL;
    size_t n = slurp("safe/root-3.key", &before), printed;

    (void)state;
    assert_run("base64 -w 76 safe/root-3.key", 0);
    put("paper.txt", said, 0600);
    printed = slurp("paper.txt", &paper);
    assert_true(printed < 4096); /* one page */
    assert_rc(fs_unlink(dirfd, "safe/root-3.key", &err), RC_OK);
    restore("paper.txt", "safe/root-3.key");
    assert_int_equal(slurp("safe/root-3.key", &after), n);
    assert_memory_equal(before, after, n);
    /* A key file that others can read is refused until it is private again. */
    assert_int_equal(fchmodat(dirfd, "safe/root-3.key", 0644, 0), 0);
    assert_run(
        "berth fleet init x --home ground/x --root safe/root-3.key --operator stick/op-1.pub", 5);
    assert_said("open to group or others");
    assert_false(exists("ground/x"));
    assert_int_equal(fchmodat(dirfd, "safe/root-3.key", 0600, 0), 0);
}

static void the_root_is_signed_by_two_of_three(void **state)
{
    (void)state;
    assert_run("berth fleet init aurora --root stick/root-1.pub stick/root-2.pub stick/root-3.pub "
               "--root-threshold 2 --operator stick/op-1.pub stick/op-2.pub "
               "--operator-threshold 1 --next-root stick/next-1.pub stick/next-2.pub "
               "stick/next-3.pub --request stick",
               0);
    assert_said("2 of 3 root keys must sign it");
    assert_false(exists("ground/home"));
    assert_run("berth inspect stick/root.request", 0);
    assert_said("TRUST ROOT, version 1");
    assert_said("any 2 of 3 must sign");
    assert_run("berth fleet init aurora --attach stick", 5);
    assert_said("THRESHOLD");

    /* Nobody there to say yes; somebody says no; somebody says yes. */
    assert_run("berth sign stick/root.request --key safe/root-3.key", 1);
    assert_said("NOT_CONFIRMED");
    assert_int_not_equal(sign_on_terminal("berth sign stick/root.request --key safe/root-3.key "
                                          "--out stick/root.3.sig",
                                          "TRUST ROOT", "no\n"),
                         0);
    assert_false(exists("stick/root.3.sig"));
    assert_int_equal(sign_on_terminal("berth sign stick/root.request --key safe/root-3.key "
                                      "--out stick/root.3.sig",
                                      "TRUST ROOT", "yes\n"),
                     0);
    assert_true(exists("stick/root.3.sig"));

    assert_run("berth sign stick/root.request --attach stick/root.3.sig --out ground/root.cose", 0);
    assert_said("1 of 3 keys have signed, 2 needed: not complete yet");
    assert_run("berth fleet init aurora --attach stick", 5);
    assert_said("1 of 2");
    assert_false(exists("ground/home"));
    assert_run("berth sign stick/root.request --key safe/root-1.key --yes --out stick/root.1.sig",
               0);
    assert_said("Who holds its keys decides");
    assert_run("berth sign ground/root.cose --attach stick/root.1.sig", 0);
    assert_said("2 of 3 keys have signed, 2 needed: complete");
    assert_run("berth sign ground/root.cose --attach stick/root.1.sig", 5);
    assert_said("KEY_DUPLICATE");
    assert_run("berth fleet init aurora --attach stick --out ground/given.cose", 0);
    assert_run("berth verify ground/root.cose", 0);
    assert_run("berth verify ground/given.cose --root ground/root.cose", 0);
}

static void the_grant_is_signed_offline(void **state)
{
    (void)state;
    assert_run("berth grant acme --keys stick/acme.pub --quota quota.yaml --request stick", 0);
    assert_run("berth sign stick/grant-acme.request --key safe/op-2.key --yes", 0);
    assert_said("tenant acme may have payloads");
    assert_run("berth grant zenith --attach stick", 1);
    assert_run("berth grant acme --attach stick --out ground/acme.cose", 0);
    assert_said("epoch 1");
    assert_run("berth grant acme --keys stick/acme.pub --quota quota.yaml --request stick/again",
               0);
    assert_run("berth sign stick/again/grant-acme.request --key safe/acme.key --yes", 0);
    assert_run("berth grant acme --attach stick/again", 5); /* not an operator */
    assert_said("KEY_UNKNOWN");
    assert_run("berth sign stick/again/grant-acme.request --attach stick/root.1.sig", 5);
    assert_said("DOC_TYPE");
    assert_run("berth inspect stick/root.1.sig", 0);
    assert_said("SIGNATURE over a root");
}

static void build(unsigned version, unsigned floor)
{
    char text[1024], line[256];

    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    (void)snprintf(text, sizeof text, "#!/bin/none %u\n", version);
    put("cam/rootfs/bin/cam", text, 0755);
    (void)snprintf(text, sizeof text, payload, version, version, floor);
    put("cam/payload.yaml", text, 0644);
    (void)snprintf(line, sizeof line, "berth build cam --level 1 --out stick/cam-%u.unsigned",
                   version);
    assert_run(line, 0);
    (void)snprintf(line, sizeof line, "berth sign stick/cam-%u.unsigned --request --note release",
                   version);
    assert_run(line, 0);
    (void)snprintf(line, sizeof line,
                   "berth sign stick/cam-%u.request --key safe/acme.key --yes "
                   "--out stick/cam-%u.sig",
                   version, version);
    assert_run(line, 0);
    assert_said("the asker says   \"release\"");
    (void)snprintf(line, sizeof line, "berth sign stick/cam-%u.unsigned --attach stick/cam-%u.sig",
                   version, version);
    assert_run(line, 0);
    assert_said("1 of 1 keys have signed, 1 needed: complete");
    (void)snprintf(line, sizeof line, "berth push stick/cam-%u.berth", version);
    assert_run(line, 0);
}

static void packages_are_signed_offline(void **state)
{
    (void)state;
    build(1, 1);
    build(2, 2);
    build(3, 2);
    assert_run("berth sign stick/cam-1.unsigned --attach stick/cam-2.sig --out no.berth", 5);
    assert_said("DIGEST_MISMATCH");
    assert_run("berth sign stick/cam-2.unsigned --request --out stick/other.request --mission "
               "00112233445566778899aabbccddeeff",
               0);
    assert_run("berth sign stick/other.request --attach stick/cam-2.sig --out no.cose", 5);
    assert_said("MISSION");
    assert_false(exists("no.berth") || exists("no.cose"));
}

static void apply(unsigned version)
{
    char text[256], line[128];

    (void)snprintf(text, sizeof text, fleet, version);
    put("fleet.yaml", text, 0644);
    (void)snprintf(line, sizeof line, "berth apply fleet.yaml --supersede --request stick/%u",
                   version);
    assert_run(line, 0);
    (void)snprintf(line, sizeof line,
                   "berth sign stick/%u/order-sat-1.request --key safe/op-1.key "
                   "--yes",
                   version);
    assert_run(line, 0);
    assert_said("satellite sat-1 runs exactly these 1 payloads");
    (void)snprintf(line, sizeof line, "berth apply fleet.yaml --supersede --attach stick/%u",
                   version);
    assert_run(line, 0);
}

static void orders_are_signed_offline(void **state)
{
    (void)state;
    assert_run("berth provision sat-1 --node 101 --out state", 0);
    apply(1);
    apply(2);
    /* Signed for what the plan no longer asks for. */
    assert_run("berth apply fleet.yaml --supersede --attach stick/1", 4);
    assert_said("PLAN_STALE");
    apply(3);
}

/* ---- what would the satellite say ---- */

static void save_order(const struct home *home, uint64_t generation, const char *path)
{
    scoped(free_ptr) uint8_t *envelope = NULL;
    size_t n = 0;

    assert_rc(store_order_envelope(home->store, "sat-1", generation, &envelope, &n, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, path, (struct bytes){ envelope, n }, 0644, &err), RC_OK);
}

/* A report as if sat-1 ran version 2 by order 2. */
static void report(const struct home *home, enum slot_state state)
{
    static uint8_t buf[REPORT_MAX];
    static uint64_t seq;
    struct report *r = calloc(1, sizeof *r);
    struct store_observed row = { .satellite = "sat-1", .epoch = 1, .seq = ++seq };
    struct store_package two, three;
    struct bytes out = { 0 };

    assert_non_null(r);
    assert_rc(store_package(home->store, "acme", "cam", "2.0", &two, &err), RC_OK);
    assert_rc(store_package(home->store, "acme", "cam", "3.0", &three, &err), RC_OK);
    memcpy(r->satellite, "sat-1", 6);
    r->epoch = 1;
    r->seq = seq;
    r->time_ms = row.received_ms = clock_unix_ms();
    r->root_version = 1;
    r->generation = 2;
    r->n_payloads = 1;
    memcpy(r->payload[0].tenant, "acme", 5);
    memcpy(r->payload[0].name, "cam", 4);
    memcpy(r->payload[0].version, "2.0", 4);
    r->payload[0].state = state;
    r->payload[0].is_running = true;
    r->payload[0].running = two.manifest;
    r->payload[0].wanted = state == SLOT_COMMITTED ? two.manifest : three.manifest;
    assert_rc(report_encode(r, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_keep(home->store, &row, out, r, &err), RC_OK);
    free(r);
}

static void verify_as_a_satellite(void **state)
{
    static const struct {
        const char *file;
        int code;
        const char *says;
    } rows[] = {
        { "order-1", 5, "ORDER_OLD" },
        { "order-2", 0, "sat-1 would accept it: order 2 for sat-1" },
        { "order-3", 0, "sat-1 would accept it: order 3 for sat-1" },
        { "stick/cam-1.berth", 5, "FLOOR" },
        { "stick/cam-2.berth", 0, "sat-1 would accept it: package acme/cam 2.0" },
        { "stick/cam-3.berth", 0, "would accept" },
        { "ground/root.cose", 0, "trust root, version 1" },
        { "ground/acme.cose", 0, "grant for acme, epoch 1" },
        { "stick/root.request", 1, "PACKAGE_FORMAT" },
    };
    scoped(home_close) struct home home = HOME_NONE;
    char path[PATH_MAX], line[128];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/ground/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    save_order(&home, 1, "order-1");
    save_order(&home, 2, "order-2");
    save_order(&home, 3, "order-3");
    assert_run("berth verify order-1 --as sat-1", 0); /* it has not reported: nothing in force */
    assert_said("has not reported yet");
    report(&home, SLOT_COMMITTED);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(line, sizeof line, "berth verify %s --as sat-1", rows[i].file);
        assert_run(line, rows[i].code);
        assert_said(rows[i].says);
    }
    assert_run("berth verify order-1 --as sat-1 --json", 5);
    assert_said("\"verdict\": \"refuse\"");
    assert_said("\"code_name\": \"ORDER_OLD\"");
    assert_run("berth verify order-3 --as sat-1 --json", 0);
    assert_said("\"verdict\": \"accept\"");
    assert_run("berth verify order-3 --as sat-9", 4);
    assert_run("berth verify order-3", 2);
    report(&home, SLOT_ROLLED_BACK); /* from version 3 */
    assert_run("berth verify order-3 --as sat-1", 1);
    assert_said("FAILED_BEFORE");
}

/* ---- an operator key whose Ed25519 half is in a token ---- */

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

static void a_token_holds_half_of_a_key(void **state)
{
    char text[PATH_MAX + 64];
    size_t base = strlen(program) - strlen("/berth");

    (void)state;
    if (access(SOFTHSM, R_OK) != 0)
        skip(); /* tools/deps check installs it */
    (void)snprintf(text, sizeof text, "cp %.*s/examples/signers/pkcs11 signer", (int)base, program);
    assert_run(text, 0);
    (void)snprintf(text, sizeof text, "directories.tokendir = %s/tokens\n", dir);
    assert_rc(fs_make_dirs(dirfd, "tokens", 0700, &err), RC_OK);
    put("softhsm.conf", text, 0644);
    (void)snprintf(text, sizeof text, "%s/softhsm.conf", dir);
    (void)setenv("SOFTHSM2_CONF", text, 1);
    (void)setenv("PKCS11_MODULE", SOFTHSM, 1);
    (void)setenv("PKCS11_PIN", "1234", 1);
    assert_run("softhsm2-util --init-token --free --label ops --pin 1234 --so-pin 5678", 0);
    assert_run("pkcs11-tool --module " SOFTHSM " --login --pin 1234 --keypairgen "
               "--key-type EC:edwards25519 --label op-hsm --id 01",
               0);

    assert_run("berth key new op-hsm-rest --role operator --out safe", 0);
    assert_run("berth key import op-hsm --role operator --signer ./signer --signer-rest "
               "safe/op-hsm-rest.key --out stick",
               0);
    assert_run("berth fleet init two --home ground/two --root safe/root-1.key --operator "
               "stick/op-hsm.pub",
               0);
    assert_run("berth grant acme --home ground/two --keys stick/acme.pub --quota quota.yaml "
               "--signer ./signer --signer-key stick/op-hsm.pub --signer-rest safe/op-hsm-rest.key",
               0);
    assert_said("epoch 1");
    /* Neither half alone is worth anything. */
    assert_run("berth grant acme --home ground/two --keys stick/acme.pub --quota quota.yaml --key "
               "safe/op-hsm-rest.key",
               5);
    assert_run("berth grant acme --home ground/two --keys stick/acme.pub --quota quota.yaml "
               "--signer ./signer --signer-key stick/op-hsm.pub --signer-rest safe/op-1.key",
               5);
    assert_said("SIG_BAD");
    assert_run("berth grant acme --home ground/two --keys stick/acme.pub --quota quota.yaml "
               "--signer ./signer --signer-key stick/op-hsm.pub",
               1); /* the token knows no ML-DSA */
    assert_said("SIGNER");
    (void)setenv("PKCS11_PIN", "0000", 1);
    assert_run("berth grant acme --home ground/two --keys stick/acme.pub --quota quota.yaml "
               "--signer ./signer --signer-key stick/op-hsm.pub --signer-rest safe/op-hsm-rest.key",
               1);
    assert_said("SIGNER");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_made_offline),
        cmocka_unit_test(paper_brings_a_key_back),
        cmocka_unit_test(the_root_is_signed_by_two_of_three),
        cmocka_unit_test(the_grant_is_signed_offline),
        cmocka_unit_test(packages_are_signed_offline),
        cmocka_unit_test(orders_are_signed_offline),
        cmocka_unit_test(verify_as_a_satellite),
        cmocka_unit_test(a_token_holds_half_of_a_key),
    };

    return cmocka_run_group_tests(tests, begin_ceremony, end);
}
