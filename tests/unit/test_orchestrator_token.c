/* SPDX-License-Identifier: Apache-2.0
 *
 * Staged orders and their tokens by the program: with an operator key of suite 2 behind a signer
 * (this test binary is that, too) and a safety role that co-signs; released, signed anew, judged as
 * the satellite, and signed again under a new root.
 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "link/port.h"
#include "orchestrator/advance.h"
#include "orchestrator/home.h"
#include "orchestrator/ingest.h"
#include "tests/unit/signer_program.h"
/* last: it has a global err */
#include "tests/unit/berth_run.h"

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char payload[] = "name: cam\ntenant: acme\nversion: 1.0\nrelease: 1\nfloor: 1\n"
                              "exec: [/bin/cam]\nroot: rootfs\narch: any\n"
                              "resources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
                              "health: {type: alive, ready: 2s}\n";
static const char fleet[] = "fleet: aurora\nsatellites:\n  - {id: sat-1}\ndesired:\n"
                            "  - select: all\n    payloads:\n      acme/cam: 1.0\n";

#define OP " --signer ./signer --signer-key keys/op.pub "

static int begin_fleet(void **state)
{
    char self[PATH_MAX] = "";

    (void)!begin(state);
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    assert_int_equal(symlinkat(self, dirfd, "signer"), 0);
    put("quota.yaml", quota, 0644);
    put("fleet.yaml", fleet, 0644);
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    put("cam/rootfs/bin/cam", "#!/bin/none\n", 0755);
    put("cam/payload.yaml", payload, 0644);
    assert_run("berth key new root --role root --out keys", 0);
    assert_run("berth key new next --role root --out keys", 0);
    assert_run("berth key new acme --role tenant --out keys", 0);
    assert_run("berth key new op-2 --role operator --out keys", 0);
    assert_run("berth key new safety --role operator --suite 2 --out keys", 0);
    assert_run("berth key import op --role operator --suite 2 --signer ./signer --out keys", 0);
    assert_run("berth fleet init aurora --root keys/root.key --next-root keys/next.pub --operator "
               "keys/op.pub --safety keys/safety.pub",
               0);
    assert_run("berth grant acme --safety --keys keys/acme.pub --quota quota.yaml" OP, 0);
    assert_run("berth build cam --level 1 --key keys/acme.key --root state/none --out cam.berth",
               1);
    assert_run("berth build cam --level 1 --out cam.unsigned", 0);
    assert_run("berth sign cam.unsigned --key keys/acme.key --out cam.berth", 0);
    assert_run("berth push cam.berth", 0);
    assert_run("berth provision sat-1 --node 101 --out state", 0);
    return 0;
}

static void open_home(struct home *home)
{
    char path[PATH_MAX];

    print_to(path, sizeof path, "%s/ground/home", dir);
    assert_rc(home_open(path, false, home, &err), RC_OK);
}

/* How many tokens for sat-1 stand at this; *ret_last is the newest. */
static size_t tokens(enum outgoing_state at, struct store_outgoing *ret_last)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(home_close) struct home home = HOME_NONE;
    size_t n = 0, found = 0;

    open_home(&home);
    assert_rc(store_outgoing(home.store, "sat-1", at, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        if (rows[i].kind != OBJECT_TOKEN)
            continue;
        found++;
        *ret_last = rows[i];
    }
    return found;
}

/* An order, and the token that the store keeps for it, as files. */
static void save_order(uint64_t generation, const char *to)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *envelope = NULL;
    size_t n = 0;

    open_home(&home);
    assert_rc(store_order_envelope(home.store, "sat-1", generation, &envelope, &n, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, to, (struct bytes){ envelope, n }, 0644, &err), RC_OK);
}

static void save_token(uint64_t generation, const char *to)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(close_fd) int fd = -1;
    struct store_token row;
    uint8_t buf[65536];
    uint64_t size = 0;

    open_home(&home);
    assert_rc(store_token(home.store, "sat-1", generation, &row, &err), RC_OK);
    assert_rc(home_open_object(&home, &row.object, &fd, &size, &err), RC_OK);
    assert_true(size <= sizeof buf);
    assert_rc(fs_pread_exact(fd, buf, (size_t)size, 0, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, to, (struct bytes){ buf, (size_t)size }, 0644, &err), RC_OK);
}

static void report(uint64_t generation, uint64_t staged)
{
    static struct report r;
    static uint8_t buf[REPORT_MAX];
    static uint64_t seq;
    scoped(home_close) struct home home = HOME_NONE;
    struct store_observed row = { .satellite = "sat-1", .epoch = 1, .seq = ++seq };
    struct bytes out = { 0 };

    r = (struct report){ .satellite = "sat-1", .epoch = 1, .seq = seq, .root_version = 1 };
    r.time_ms = row.received_ms = clock_unix_ms();
    r.generation = generation;
    r.staged = staged;
    assert_rc(report_encode(&r, buf, sizeof buf, &out, &err), RC_OK);
    open_home(&home);
    assert_rc(ingest_keep(home.store, &row, out, &r, &err), RC_OK);
}

static void keep_quiet(void *arg, const struct advance_event *event)
{
    (void)arg;
    (void)event;
}

/* A round of berth-ground. */
static void advance(void)
{
    const struct advance_log log = { .fn = keep_quiet };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(view_free) struct view *view = NULL;

    open_home(&home);
    assert_rc(view_load(home.store, &view, &err), RC_OK);
    assert_rc(advance_all(home.store, view, clock_unix_ms(), &log, &err), RC_OK);
}

static void tokens_are_signed_at_apply(void **state)
{
    struct store_outgoing row;

    (void)state;
    assert_run("berth apply fleet.yaml --staged" OP, 5);
    assert_said("SAFETY_MISSING");
    assert_said("--safety-key KEY");
    assert_run("berth apply fleet.yaml --staged" OP "--safety-key keys/safety.key", 0);
    assert_int_equal(tokens(0, &row), 0); /* none goes before its wave */
    save_order(1, "order-1");
    save_token(1, "token-1");
    assert_run("berth inspect token-1 --json", 0);
    assert_said("\"order384\"");
}

static void a_token_is_judged_as_on_board(void **state)
{
    static const struct {
        uint64_t generation, staged;
        int code;
        const char *says;
    } rows[] = {
        { 0, 0, 5, "TOKEN_EARLY" }, /* its order has not come */
        { 0, 1, 0, "sat-1 would accept it: token for order 1 of sat-1" },
        { 0, 2, 5, "TOKEN_TARGET" }, /* another one waits */
        { 1, 0, 0, "would accept" }, /* it did, and its order is in force */
        { 2, 0, 5, "TOKEN_TARGET" },
    };

    (void)state;
    assert_run("berth verify token-1", 2);
    assert_said("give --as");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        report(rows[i].generation, rows[i].staged);
        assert_run("berth verify token-1 --as sat-1", rows[i].code);
        assert_said(rows[i].says);
    }
    report(0, 2);
    assert_run("berth verify order-1 --as sat-1", 5);
    assert_said("ORDER_OLD"); /* below the one that waits */
    report(0, 1);
    assert_run("berth verify order-1 --as sat-1", 0);
    assert_said("order 1 for sat-1, waits for its token");
    assert_run("berth verify token-1 --as sat-1 --json", 0);
    assert_said("\"verdict\": \"accept\"");
}

static void tokens_are_signed_anew(void **state)
{
    struct store_outgoing first = { 0 }, second = { 0 }, gone = { 0 };

    (void)state;
    assert_run("berth rollout retoken 1" OP, 5);
    assert_said("SAFETY_MISSING");
    assert_run("berth rollout retoken 77" OP "--safety-key keys/safety.key", 1);
    assert_said("NOT_FOUND");
    assert_run("berth rollout retoken one" OP, 2);
    assert_run("berth rollout retoken 1 --token-life 2" OP "--safety-key keys/safety.key", 0);
    assert_said("1 tokens, good for 2 days");
    assert_int_equal(tokens(0, &first), 0); /* it is held still */
    save_token(1, "token-2");
    assert_run("berth verify token-2 --as sat-1", 0);

    advance();
    assert_int_equal(tokens(OUTGOING_QUEUED, &first), 1);

    /* Let go already: the new one goes at once, and instead of the other. */
    assert_run("berth rollout retoken 1 --token-life 3" OP "--safety-key keys/safety.key --json",
               0);
    assert_said("\"tokens\": 1");
    assert_int_equal(tokens(OUTGOING_QUEUED, &second), 1);
    assert_memory_not_equal(first.object.b, second.object.b, DIGEST_SIZE);
    assert_int_equal(tokens(OUTGOING_CANCELLED, &gone), 1);
    assert_memory_equal(first.object.b, gone.object.b, DIGEST_SIZE);
}

/* Of a tenant's orders, what the old safety role co-signed is worth nothing under the new one. */
static void the_safety_role_rotates(void **state)
{
    struct store_outgoing row;

    (void)state;
    assert_run("berth key new safety-2 --role operator --out keys", 0);
    assert_run("berth trust rotate --root keys/root.key --new-root keys/next.key --next-root "
               "keys/root.pub --safety keys/safety-2.pub",
               0);
    assert_said("0 grants and 0 orders signed again");
    assert_run("berth rollout retoken 1" OP "--safety-key keys/safety.key", 5);
    assert_int_equal(tokens(OUTGOING_QUEUED, &row), 1);
    assert_run("berth rollout retoken 1" OP "--safety-key keys/safety-2.key", 0);
    assert_int_equal(tokens(OUTGOING_QUEUED, &row), 1);
}

/* What was staged takes effect by itself under a new root, and needs the safety role for that. */
static void a_new_root_needs_the_safety_role(void **state)
{
    static const char rotate[] = "berth trust rotate --root keys/next.key --new-root keys/root.key "
                                 "--next-root keys/next.pub --operator keys/op-2.key";
    char line[512];
    struct store_outgoing row;

    (void)state;
    assert_run(rotate, 5);
    assert_said("SAFETY_MISSING");
    assert_said("--safety-key KEY");
    print_to(line, sizeof line, "%s --safety-key keys/op-2.key", rotate);
    assert_run(line, 5);
    assert_said("KEY_UNKNOWN");
    print_to(line, sizeof line, "%s --safety-key keys/safety-2.key", rotate);
    assert_run(line, 0);
    assert_said("1 grants and 1 orders signed again");
    assert_int_equal(tokens(OUTGOING_QUEUED, &row), 0); /* void under the new root */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_signed_at_apply),
        cmocka_unit_test(a_token_is_judged_as_on_board),
        cmocka_unit_test(tokens_are_signed_anew),
        cmocka_unit_test(the_safety_role_rotates),
        cmocka_unit_test(a_new_root_needs_the_safety_role),
    };

    if (argc == 4 && strcmp(argv[2], "ml-dsa-87") == 0)
        doc_keys_suite = SUITE_MLDSA87;
    signer_program(argc, argv);
    return cmocka_run_group_tests(tests, begin_fleet, end);
}
