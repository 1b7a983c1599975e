/* SPDX-License-Identifier: Apache-2.0
 *
 * The trust commands by their program: revocations of all kinds, in advance, and what the ground
 * refuses because of them; what a new satellite gets; and every type of document carried across an
 * air gap to two signers, in either order.
 */
#include "tests/unit/test.h"

#include "base/statefile.h"
#include "link/port.h"
#include "manifest/config.h"
#include "orchestrator/home.h"
#include "tests/unit/berth_run.h"

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char half[] = "memory: 32M\ncpu: 25%\npids: 16\ndata: 8M\ntmp: 8M\nfiles: 32\n"
                           "store: 32M\npayloads: 1\nexpires: 10d\n";
static const char payload[] = "name: cam\ntenant: acme\nversion: %u.0\nrelease: %u\nfloor: 1\n"
                              "exec: [/bin/cam]\nroot: rootfs\narch: any\n"
                              "resources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
                              "health: {type: alive, ready: 2s}\n";
static const char fleet[] = "fleet: aurora\nsatellites:\n  - {id: sat-1}\ndesired:\n"
                            "  - select: all\n    payloads:\n      acme/cam: %u.0\n";
static const char empty[] = "fleet: aurora\nsatellites:\n  - {id: sat-1}\ndesired: []\n";

#define ROOTS " --root keys/root-1.key keys/root-2.key "
#define OPS " --key keys/op-1.key keys/op-2.key "

static void build(unsigned version)
{
    char text[1024];

    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    print_to(text, sizeof text, "#!/bin/none %u\n", version);
    put("cam/rootfs/bin/cam", text, 0755);
    print_to(text, sizeof text, payload, version, version);
    put("cam/payload.yaml", text, 0644);
    print_to(text, sizeof text, "berth build cam --level 1 --out cam-%u.unsigned", version);
    assert_run(text, 0);
    print_to(text, sizeof text,
             "berth sign cam-%u.unsigned --key keys/acme-1.key --key keys/acme-2.key", version);
    assert_run(text, 0);
    print_to(text, sizeof text, "berth push cam-%u.berth", version);
    assert_run(text, 0);
}

/* Two of two everywhere. */
static int begin_fleet(void **state)
{
    static const char *const names[][2] = {
        { "root-1", "root" },   { "root-2", "root" },   { "next-1", "root" },
        { "next-2", "root" },   { "op-1", "operator" }, { "op-2", "operator" },
        { "acme-1", "tenant" }, { "acme-2", "tenant" }, { "zeta", "tenant" },
        { "cams-1", "tenant" },
    };
    char line[128];

    (void)!begin(state);
    put("quota.yaml", quota, 0644);
    put("half.yaml", half, 0644);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        print_to(line, sizeof line, "berth key new %s --role %s --out keys", names[i][0],
                 names[i][1]);
        assert_run(line, 0);
    }
    assert_run("berth fleet init aurora" ROOTS "--operator keys/op-1.pub keys/op-2.pub --next-root "
               "keys/next-1.pub keys/next-2.pub",
               0);
    assert_run("berth grant acme --keys keys/acme-1.pub keys/acme-2.pub --quota quota.yaml" OPS, 0);
    assert_run("berth grant zeta --keys keys/zeta.pub --quota quota.yaml" OPS, 0);
    assert_run("berth provision sat-1 --node 101 --out state1", 0);
    for (unsigned i = 1; i <= 3; i++)
        build(i);
    return 0;
}

static void open_home(struct home *home)
{
    scoped(close_fd) int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(fchdir(dirfd), 0);
    assert_rc(home_open("ground/home", false, home, &err), RC_OK);
    assert_int_equal(fchdir(here), 0);
}

static size_t queued(const char *satellite, unsigned kind, enum outgoing_state state)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(home_close) struct home home = HOME_NONE;
    size_t n = 0, found = 0;

    open_home(&home);
    assert_rc(store_outgoing(home.store, satellite, state, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        found += rows[i].kind == kind;
    return found;
}

/* As if a report had shown it. */
static void arrive(const char *satellite)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(home_close) struct home home = HOME_NONE;
    size_t n = 0;

    open_home(&home);
    assert_rc(store_outgoing(home.store, satellite, OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        rows[i].state = OUTGOING_COMPLETE;
        assert_rc(store_update_outgoing(home.store, &rows[i], &err), RC_OK);
    }
}

static void manifest_of(const char *version, char hex[2 * DIGEST_SIZE + 1])
{
    scoped(home_close) struct home home = HOME_NONE;
    struct store_package row = { 0 };

    open_home(&home);
    assert_rc(store_package(home.store, "acme", "cam", version, &row, &err), RC_OK);
    (void)bytes_hex((struct bytes){ row.manifest.b, sizeof row.manifest.b }, hex);
}

/* The id of a key as `berth key show` prints it. */
static void id_of(const char *key, char hex[2 * KEY_ID_SIZE + 1])
{
    char line[128];
    const char *at;

    print_to(line, sizeof line, "berth key show keys/%s.pub --json", key);
    assert_run(line, 0);
    at = strstr(said, "\"id\": \"");
    assert_non_null(at);
    assert_true(strlen(at) > 7 + 2 * KEY_ID_SIZE);
    memcpy(hex, at + 7, 2 * KEY_ID_SIZE);
    hex[2 * KEY_ID_SIZE] = '\0';
}

static void want(unsigned version)
{
    char text[256];

    print_to(text, sizeof text, fleet, version);
    put("fleet.yaml", text, 0644);
}

/* ---- revocations ---- */

static void mistakes_are_named(void **state)
{
    static const char hex[] = "00112233445566778899aabbccddeeff";
    static const struct {
        const char *args;
        int code;
        const char *says, *fix;
    } rows[] = {
        { "--policy stop" ROOTS, 2, "what?", "berth trust revoke --key ID" },
        { "--key %s" ROOTS, 2, "its policy must be", "--policy stop" },
        { "--key %s:never" ROOTS, 2, "its policy must be", "--policy stop" },
        { "--key %.8s:stop" ROOTS, 2, "32 hex digits", "--policy stop" },
        { "--manifest %s:stop" ROOTS, 2, "64 hex digits", "--policy stop" },
        { "--grant nobody:stop" ROOTS, 5, "GRANT_MISSING", "berth grant TENANT" },
        { "--key %s:stop --root keys/root-1.key", 5, "THRESHOLD", "berth trust status" },
        { "--key %s:stop --root keys/op-1.key keys/op-2.key", 5, "KEY_UNKNOWN",
          "berth trust status" },
        { "--key %s:stop --root keys/root-1.pub", 5, "KEY_FILE", "NAME.key" },
        { "--key %s:stop --attach nowhere", 1, "NOT_FOUND", "a file that is there" },
        { "--add nothing.cose", 1, "NOT_FOUND", "a file that is there" },
        { "--add cam-1.berth", 5, "DOC_TYPE", "berth inspect FILE" },
    };
    char line[512], args[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *cut = strstr(rows[i].args, "%.8s");
        const char *full = strstr(rows[i].args, "%s");

        if (cut || full) {
            const char *at = cut ? cut : full;

            print_to(args, sizeof args, "%.*s%.*s%s", (int)(at - rows[i].args), rows[i].args,
                     cut ? 8 : 32, hex, at + (cut ? 4 : 2));
        } else {
            print_to(args, sizeof args, "%s", rows[i].args);
        }
        print_to(line, sizeof line, "berth trust revoke %s", args);
        assert_run(line, rows[i].code);
        assert_said(rows[i].says);
        assert_said(rows[i].fix);
        print_to(line, sizeof line, "berth trust revoke --json %s", args);
        assert_run(line, rows[i].code);
        assert_said("\"code_name\"");
        assert_said("\"fix\"");
    }
    assert_int_equal(queued("sat-1", OBJECT_REVOCATION, 0), 0);
}

static void more_than_fits_is_refused(void **state)
{
    char line[1024] = "berth trust revoke --policy stop" ROOTS "--key";

    (void)state;
    for (unsigned i = 0; i < REVOCATION_ENTRIES_MAX + 1; i++) {
        size_t n = strlen(line);

        print_to(line + n, sizeof line - n, " %032x", i + 1);
    }
    assert_run(line, 1);
    assert_said("more than 16 entries");
    assert_said("a second revocation");
    line[strlen(line) - 33] = '\0';
    print_to(line + strlen(line), sizeof line - strlen(line), " --out most.cose");
    assert_run(line, 0); /* 16 entries and two signers of suite 1 */
    assert_said("16 entries");
    assert_run("berth verify most.cose", 0);
    assert_int_equal(queued("sat-1", OBJECT_REVOCATION, 0), 0);
}

static void one_call_takes_back_several_things(void **state)
{
    char line[512], key[2 * KEY_ID_SIZE + 1], manifest[2 * DIGEST_SIZE + 1];

    (void)state;
    want(1);
    assert_run("berth plan fleet.yaml", 3);
    id_of("zeta", key);
    manifest_of("1.0", manifest);
    print_to(line, sizeof line,
             "berth trust revoke --key %s:stop --manifest %s:rollback --grant zeta --policy "
             "keep" ROOTS "--json",
             key, manifest);
    assert_run(line, 0);
    assert_said("\"number\": 1");
    assert_said("\"entries\": 3");
    assert_said("\"satellites\": 1");
    assert_int_equal(queued("sat-1", OBJECT_REVOCATION, OUTGOING_QUEUED), 1);
    assert_run("berth trust status", 0);
    assert_said("revoked: grant zeta up to epoch 1: keep");
    print_to(line, sizeof line, "revoked: manifest %s: rollback", manifest);
    assert_said(line);
    print_to(line, sizeof line, "revoked: key %s: stop", key);
    assert_said(line);
    assert_run("berth trust status --json", 0);
    assert_said("\"revocation\": 1");
    assert_said("\"policy\": \"rollback\"");
}

/* What a satellite would refuse is refused here first, with the same code. */
static void the_ground_refuses_what_is_revoked(void **state)
{
    (void)state;
    assert_run("berth verify cam-1.berth", 5);
    assert_said("MANIFEST_REVOKED");
    assert_run("berth push cam-1.berth", 5);
    assert_said("MANIFEST_REVOKED");
    assert_run("berth plan fleet.yaml", 5);
    assert_said("acme/cam 1.0");
    assert_said("MANIFEST_REVOKED");
    assert_said("name another version");
    assert_run("berth apply fleet.yaml" OPS, 5);
    assert_said("MANIFEST_REVOKED");
    want(2);
    assert_run("berth plan fleet.yaml", 3);
}

/* A satellite that the revocation has not reached would still take it, and is said to. */
static void verify_as_knows_what_has_arrived(void **state)
{
    (void)state;
    assert_run("berth verify cam-1.berth --as sat-1", 0);
    assert_said("judged without 1 trust documents");
    arrive("sat-1");
    assert_run("berth verify cam-1.berth --as sat-1", 5);
    assert_said("MANIFEST_REVOKED");
    assert_run("berth verify cam-2.berth --as sat-1", 0);
}

static void a_new_satellite_gets_what_is_revoked(void **state)
{
    static uint8_t buf[REVOKED_FILE_MAX];
    scoped(close_fd) int trust = -1;
    struct revoked_set set = { 0 };
    struct statefile_info info = { 0 };
    size_t n = 0;

    (void)state;
    assert_run("berth provision sat-2 --node 102 --out state2", 0);
    assert_rc(fs_open_dir(dirfd, "state2/" TRUST_DIR, 0700, &trust, &err), RC_OK);
    assert_rc(statefile_load(trust, TRUST_REVOKED_FILE, buf, sizeof buf, &n, &info, &err), RC_OK);
    assert_true(info.twice);
    assert_rc(revoked_set_decode((struct bytes){ buf, n }, &set, &err), RC_OK);
    assert_int_equal(set.n, 3);
    assert_int_equal(set.number, 1);
    assert_int_equal(set.root_version, 1);
    assert_int_equal(queued("sat-2", OBJECT_REVOCATION, 0), 0);
    assert_run("berth verify cam-1.berth --as sat-2", 5);
    assert_said("MANIFEST_REVOKED");
    assert_false(exists("state1/" TRUST_DIR "/revoked.a"));
}

static void one_from_the_safe_is_sent_later(void **state)
{
    char line[256], key[2 * KEY_ID_SIZE + 1];

    (void)state;
    id_of("acme-2", key);
    print_to(line, sizeof line,
             "berth trust revoke --key %s:stop --number 1000 --out safe.cose" ROOTS, key);
    assert_run(line, 0);
    assert_said("in safe.cose and nowhere else");
    assert_int_equal(queued("sat-2", OBJECT_REVOCATION, 0), 0);
    assert_run("berth verify cam-2.berth", 0);
    assert_run("berth inspect safe.cose", 0);
    assert_said("1000");

    /* Another one in between does not spend it. */
    assert_run("berth trust revoke --nothing" ROOTS, 0);
    assert_said("revocation 2, 0 entries");
    assert_run("berth verify safe.cose", 0);
    assert_run("berth trust revoke --add safe.cose", 0);
    assert_said("revocation 1000");
    assert_int_equal(queued("sat-2", OBJECT_REVOCATION, OUTGOING_QUEUED), 2);
    assert_run("berth verify cam-2.berth", 5);
    assert_run("berth trust revoke --add safe.cose", 0); /* the same again changes nothing */
    assert_int_equal(queued("sat-2", OBJECT_REVOCATION, OUTGOING_QUEUED), 2);

    /* The next number follows; what is below it is a replay. */
    print_to(line, sizeof line, "berth trust revoke --key %s:keep --number 7 --out old.cose" ROOTS,
             key);
    assert_run(line, 5);
    assert_said("VERSION_OLD");
    assert_said("with a higher --number");
    assert_run("berth trust revoke --nothing" ROOTS, 0);
    assert_said("revocation 1001");
    assert_run("berth trust revoke --add safe.cose", 5);
    assert_said("VERSION_OLD");
    assert_run("berth grant acme --keys keys/acme-1.pub keys/cams-1.pub --quota quota.yaml" OPS, 0);
}

/* ---- across the air gap ---- */

struct crossing {
    const char *what;
    const char *ask;
    const char *request[2]; /* files that it writes, without the suffix */
    const char *signer[2];  /* in the order in which they sign */
    const char *with_one;   /* after the first has signed: NULL = as `take` */
    int code;               /* of that */
    const char *refuses;    /* what it says */
    const char *take[2];    /* after the second */
    const char *says;
};

#define SIGS(file, one, two) file "." one ".sig " file "." two ".sig "

static const struct crossing crossings[] = {
    { .what = "grant",
      .ask = "berth grant zeta --keys keys/zeta.pub --quota quota.yaml --request gap/1",
      .request = { "gap/1/grant-zeta" },
      .signer = { "op-1", "op-2" },
      .take = { "berth grant zeta --attach gap/1" },
      .says = "epoch 2" },
    { .what = "grant, the other way round",
      .ask = "berth grant zeta --keys keys/zeta.pub --quota quota.yaml --request gap/2",
      .request = { "gap/2/grant-zeta" },
      .signer = { "op-2", "op-1" },
      .take = { "berth grant zeta --attach gap/2" },
      .says = "epoch 3" },
    { .what = "revocation",
      .ask = "berth trust revoke --grant zeta:stop --request gap/3",
      .request = { "gap/3/revocation" },
      .signer = { "root-1", "root-2" },
      .take = { "berth trust revoke --attach gap/3" },
      .says = "queued for 2" },
    { .what = "revocation, the other way round",
      .ask = "berth trust revoke --nothing --request gap/4",
      .request = { "gap/4/revocation" },
      .signer = { "root-2", "root-1" },
      .take = { "berth trust revoke --attach gap/4" },
      .says = "queued for 2" },
    { .what = "revocation, put together by hand, for the safe",
      .ask = "berth trust revoke --nothing --number 5000 --request gap/5",
      .request = { "gap/5/revocation" },
      .signer = { "root-2", "root-1" },
      .with_one = "berth sign gap/5/revocation.request --attach gap/5/revocation.root-2.sig --out "
                  "gap/5/r.cose",
      .refuses = "1 of 2 keys have signed, 2 needed: not complete yet",
      .take = { "berth sign gap/5/r.cose --attach gap/5/revocation.root-1.sig",
                "berth trust revoke --add gap/5/r.cose" },
      .says = "revocation 5000" },
    { .what = "manifest",
      .ask = "berth sign cam-4.unsigned --request --out gap/cam-4.request",
      .request = { "gap/cam-4" },
      .signer = { "cams-1", "acme-1" },
      .with_one = "berth sign cam-4.unsigned --attach gap/cam-4.cams-1.sig --out gap/one.berth",
      .refuses = "not complete yet",
      .take = { "berth sign cam-4.unsigned --out cam-4.berth --attach " SIGS("gap/cam-4", "acme-1",
                                                                             "cams-1"),
                "berth push cam-4.berth" },
      .says = "cam" },
    { .what = "order",
      .ask = "berth apply fleet.yaml --request gap/6",
      .request = { "gap/6/order-sat-1" },
      .signer = { "op-2", "op-1" },
      .take = { "berth apply fleet.yaml --attach gap/6" },
      .says = "rollout 1" },
    { .what = "staged order and its token",
      .ask = "berth apply fleet.yaml --staged --supersede --request gap/7",
      .request = { "gap/7/order-sat-1", "gap/7/token-sat-1" },
      .signer = { "op-1", "op-2" },
      .take = { "berth apply fleet.yaml --staged --supersede --attach gap/7" },
      .says = "rollout 2" },
    { .what = "rekey",
      .ask = "berth trust rekey sat-1 --kem --request gap/8",
      .request = { "gap/8/rekey-sat-1" },
      .signer = { "op-2", "op-1" },
      .take = { "berth trust rekey sat-1 --attach gap/8" },
      .says = "rekey 1 for sat-1" },
    { .what = "delegation",
      .ask =
          "berth trust delegate acme flight --keys keys/zeta.pub --quota half.yaml --request gap/9",
      .request = { "gap/9/delegation-acme+flight" },
      .signer = { "acme-1", "cams-1" },
      .with_one = "berth sign gap/9/delegation-acme+flight.request --attach "
                  "gap/9/delegation-acme+flight.acme-1.sig --out "
                  "gap/9/d.cose",
      .refuses = "1 of 2 keys have signed",
      .take = { "berth sign gap/9/d.cose --attach gap/9/delegation-acme+flight.cams-1.sig",
                "berth trust delegate --add gap/9/d.cose" },
      .says = "queued for 2 satellites" },
};

static void sign_all(const struct crossing *c, size_t signer)
{
    char line[512];

    for (size_t i = 0; i < 2 && c->request[i]; i++) {
        print_to(line, sizeof line, "berth sign %s.request --key keys/%s.key --yes --out %s.%s.sig",
                 c->request[i], c->signer[signer], c->request[i], c->signer[signer]);
        assert_run(line, 0);
    }
}

/* Every type of document: asked for, signed by two who do not meet, refused with one signature and
 * taken with both, whoever signed first. */
static void every_document_crosses_the_air_gap(void **state)
{
    char line[1024];

    (void)state;
    put("cam/rootfs/bin/cam", "#!/bin/none 4\n", 0755);
    print_to(line, sizeof line, payload, 4U, 4U);
    put("cam/payload.yaml", line, 0644);
    assert_run("berth build cam --level 1 --out cam-4.unsigned", 0);
    want(4);
    assert_rc(fs_make_dirs(dirfd, "gap", 0755, &err), RC_OK);
    for (size_t i = 0; i < sizeof crossings / sizeof crossings[0]; i++) {
        const struct crossing *c = &crossings[i];

        print_message("%s\n", c->what);
        assert_run(c->ask, 0);
        sign_all(c, 0);
        assert_run(c->with_one ? c->with_one : c->take[0], c->with_one ? c->code : 5);
        assert_said(c->refuses ? c->refuses : "THRESHOLD");
        sign_all(c, 1);
        for (size_t k = 0; k < 2 && c->take[k]; k++)
            assert_run(c->take[k], 0);
        assert_said(c->says);
    }
}

/* An order that waits for its wave goes when the file asks for what is in force, here nothing. */
static void an_empty_file_ends_what_is_held(void **state)
{
    (void)state;
    put("fleet.yaml", empty, 0644);
    assert_run("berth plan fleet.yaml", 3);
    assert_said("the order that is held for it goes");
    assert_run("berth apply fleet.yaml" OPS, 4);
    assert_said("is under way on sat-1");
    assert_run("berth apply fleet.yaml --supersede" OPS, 0);
    assert_said("aborted, superseded");
    assert_run("berth plan fleet.yaml", 0);
    assert_said("all 1 satellites are ordered to run what the file says");
    want(4);
    assert_run("berth apply fleet.yaml" OPS, 0);
}

/* The next root, with new operator keys: the root by four keys of two sets, and everything that the
 * operator had signed by its new keys. */
static void the_root_rotates_across_the_air_gap(void **state)
{
    static const char *const requests[] = { "root", "grant-acme", "grant-zeta", "order-sat-1" };
    static const char ask[] =
        "berth trust rotate --new-root keys/next-1.pub keys/next-2.pub --next-root keys/root-1.pub "
        "keys/root-2.pub --operator keys/new-op-1.pub keys/new-op-2.pub --request gap/root";
    char line[512];

    (void)state;
    assert_run("berth key new new-op-1 --role operator --out keys", 0);
    assert_run("berth key new new-op-2 --role operator --out keys", 0);
    assert_run(ask, 0);
    assert_said("root 2, and 2 grants and 1 orders under it");
    assert_said("2 of the 2 keys of root 1 must sign it, and 2 of 2 new ones");
    assert_run("berth trust status", 0);
    assert_said("root 1: 2 of 2");

    assert_run("ls gap/root", 0);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        assert_said(requests[i]);
    assert_run("berth sign gap/root/root.request --key keys/next-2.key --key keys/root-1.key --yes",
               0);
    assert_run("berth trust rotate --attach gap/root", 5);
    assert_said("THRESHOLD");
    assert_run("berth sign gap/root/root.request --key keys/next-1.key --yes", 0);
    assert_run("berth trust rotate --attach gap/root", 5); /* one of the old keys is no rotation */
    assert_said("too few of them sign");
    assert_said("--recover");
    assert_run("berth sign gap/root/root.request --key keys/root-2.key --yes", 0);
    assert_run("berth trust rotate --attach gap/root", 5); /* and who signs the grants? */
    assert_said("no signature over this grant");

    for (size_t i = 0; i < 2; i++) {
        static const char *const keys[] = { "new-op-2", "new-op-1" };

        for (size_t k = 1; k < sizeof requests / sizeof requests[0]; k++) {
            const char *file = requests[k];
            char name[64];

            print_to(name, sizeof name, "%s", file);
            if (k == 3) { /* its generation is in its name */
                assert_run("ls gap/root", 0);
                print_to(name, sizeof name, "%.*s", (int)strcspn(strstr(said, file), "."),
                         strstr(said, file));
            }
            print_to(line, sizeof line, "berth sign gap/root/%s.request --key keys/%s.key --yes",
                     name, keys[i]);
            assert_run(line, 0);
        }
    }
    assert_run("berth trust rotate --attach gap/root", 0);
    assert_said("root 2 queued for 2 satellites; 2 grants and 1 orders signed again");
    assert_run("berth trust rotate --attach gap/root", 5);
    assert_said("VERSION_OLD");
    assert_run("berth grant zeta --keys keys/zeta.pub --quota quota.yaml" OPS, 5);
    assert_said("KEY_UNKNOWN");
    assert_run("berth grant zeta --keys keys/zeta.pub --quota quota.yaml --key keys/new-op-1.key "
               "keys/new-op-2.key",
               0);
}

/* sat-1 has root 1 by its report that never came: provisioned before the rotation. */
static void verify_as_uses_the_root_that_is_there(void **state)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *envelope = NULL;
    size_t n = 0;

    (void)state;
    open_home(&home);
    assert_rc(store_document(home.store, DOC_GRANT, "zeta", &envelope, &n, &err), RC_OK);
    assert_rc(fs_write_file(dirfd, "zeta.cose", (struct bytes){ envelope, n }, 0644, &err), RC_OK);
    assert_run("berth verify zeta.cose", 0);
    assert_run("berth verify zeta.cose --as sat-1", 5);
    assert_said("root version 1");
    assert_said("KEY_UNKNOWN");
    assert_run("berth provision sat-3 --node 103 --out state3", 0);
    assert_run("berth verify zeta.cose --as sat-3", 0);
    assert_said("root version 2");
}

/* What was on its way to a satellite that begins anew is in its state already. */
static void a_replaced_satellite_begins_with_all_of_it(void **state)
{
    (void)state;
    assert_true(queued("sat-1", OBJECT_ROOT, OUTGOING_QUEUED) > 0);
    assert_run("berth provision sat-1 --node 101 --replace --out state1-again", 0);
    assert_int_equal(queued("sat-1", OBJECT_ROOT, OUTGOING_QUEUED), 0);
    assert_int_equal(queued("sat-1", OBJECT_GRANT, OUTGOING_QUEUED), 0);
    assert_int_equal(queued("sat-1", OBJECT_REVOCATION, OUTGOING_QUEUED), 0);
    assert_true(exists("state1-again/" TRUST_DIR "/revoked.a"));
    assert_true(exists("state1-again/" TRUST_DIR "/team-acme+flight.cose"));
    assert_run("berth verify zeta.cose --as sat-1", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(more_than_fits_is_refused),
        cmocka_unit_test(one_call_takes_back_several_things),
        cmocka_unit_test(the_ground_refuses_what_is_revoked),
        cmocka_unit_test(verify_as_knows_what_has_arrived),
        cmocka_unit_test(a_new_satellite_gets_what_is_revoked),
        cmocka_unit_test(one_from_the_safe_is_sent_later),
        cmocka_unit_test(every_document_crosses_the_air_gap),
        cmocka_unit_test(an_empty_file_ends_what_is_held),
        cmocka_unit_test(the_root_rotates_across_the_air_gap),
        cmocka_unit_test(verify_as_uses_the_root_that_is_there),
        cmocka_unit_test(a_replaced_satellite_begins_with_all_of_it),
    };

    return cmocka_run_group_tests(tests, begin_fleet, end);
}
