/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth program, from keys to a provisioned satellite, with what goes wrong on the way.
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

#include "base/fs.h"
#include "link/port.h"
#include "link/state.h"
#include "manifest/config.h"
#include "manifest/trust.h"
#include "orchestrator/store.h"
#include "tests/unit/berth_run.h"

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char payload[] = "name: cam\ntenant: acme\nversion: 1.0\nrelease: 1\n"
                              "exec: [/bin/cam, -v]\nenv: {TZ: UTC}\nroot: rootfs\n"
                              "copy:\n  - {from: /bin/true, to: /bin/self, libs: auto}\n"
                              "resources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
                              "health: {type: notify, ready: 2s}\n";

/* Write a copy of a file with one byte changed. */
static void damage(const char *from, const char *to, size_t at_from_end)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    size_t n = slurp(from, &bytes);

    bytes[n - 1 - at_from_end] ^= 1;
    assert_rc(fs_write_file(dirfd, to, (struct bytes){ .p = bytes, .n = n }, 0644, &err), RC_OK);
}

static int set_up(void **state)
{
    (void)begin(state);
    put("pw2", "battery staple\n", 0600);
    put("quota.yaml", quota, 0644);
    (void)setenv("BERTH_HOME", "home", 1);
    return 0;
}

/* Read from the terminal until text has come. */
static void wait_for(int tty, const char *text)
{
    size_t n = 0;

    said[0] = '\0';
    while (!strstr(said, text)) {
        ssize_t got = read(tty, said + n, sizeof said - 1 - n);

        if (got <= 0)
            fail_msg("terminal said '%s', not '%s'", said, text);
        n += (size_t)got;
        said[n] = '\0';
    }
}

/* Answer both questions on a terminal of its own; the exit code. */
static int berth_on_terminal(const char *line, const char *first, const char *second)
{
    int tty = -1, status = 0;
    pid_t pid = forkpty(&tty, NULL, NULL, NULL);

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)unsetenv("BERTH_PASSPHRASE_FILE");
        become(line);
    }
    wait_for(tty, "Passphrase of typed: ");
    assert_int_equal(write(tty, first, strlen(first)), (ssize_t)strlen(first));
    wait_for(tty, "The same again: ");
    assert_null(strstr(said, "swordfish"));
    assert_int_equal(write(tty, second, strlen(second)), (ssize_t)strlen(second));
    wait_for(tty, "typed"); /* the last line names the key, whatever came of it */
    assert_null(strstr(said, "swordfish"));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)close(tty);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 200;
}

static void passphrases_are_asked_for_without_echo(void **state)
{
    static const char line[] = "berth key new typed --role tenant --out typed";

    (void)state;
    assert_int_equal(berth_on_terminal(line, "swordfish\n", "swordfihs\n"), 5);
    assert_int_equal(faccessat(dirfd, "typed/typed.key", F_OK, 0), -1);
    assert_int_equal(berth_on_terminal(line, "swordfish\n", "\003"), 5);
    assert_int_equal(berth_on_terminal(line, "zz\025swordfx\177ish\n", "swordfish\n"), 0);
    assert_int_equal(faccessat(dirfd, "typed/typed.key", F_OK, 0), 0);
}

static void keys_and_fleet(void **state)
{
    (void)state;
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new next --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 0);
    assert_berth("key new evil --role tenant --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 4);
    assert_said("EXISTS");
    assert_berth("key new ../up --role tenant --out keys", 1);
    assert_berth("key new x --role admiral --out keys", 2);
    assert_berth("key new x --role root --out keys --passphrase-file none", 5);
    assert_berth("key show keys/acme.pub --json", 0);

    assert_berth("push nothing.berth", 1);
    assert_said("fix: berth fleet init");
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key "
                 "--passphrase-file pw2",
                 5);
    assert_said("KEY_FILE");
    assert_berth("fleet init aurora --root keys/root.pub --operator keys/op.key", 5);
    assert_said("THRESHOLD");
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key "
                 "--next-root keys/next.pub",
                 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key", 4);
}

static void grants(void **state)
{
    (void)state;
    put("bad-quota.yaml", "memry: 64M\n", 0644);
    assert_berth("grant acme --keys keys/acme.pub --quota bad-quota.yaml", 1);
    assert_said("bad-quota.yaml:1:1: unknown key 'memry', did you mean 'memory'?");
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml --key keys/evil.key", 5);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml --out acme.cose", 0);
    assert_said("epoch 1");
    assert_berth("inspect acme.cose --json", 0);
    assert_said("\"tenant\": \"acme\"");
}

static void init_makes_what_builds(void **state)
{
    (void)state;
    assert_berth("init hello --lang sh --tenant acme", 0);
    assert_berth("init hello --lang sh", 4);
    assert_berth("init other --lang cobol", 2);
    if (access("/bin/busybox", X_OK) == 0)
        assert_berth("build hello --level 1", 0);
    assert_berth("init prog --lang c", 0);
    assert_berth("build prog", 1); /* not compiled yet */
    assert_said("build/prog");
}

static void builds_are_reproducible(void **state)
{
    scoped(free_ptr) uint8_t *a = NULL, *b = NULL;
    size_t n;

    (void)state;
    assert_rc(fs_make_dirs(dirfd, "cam/rootfs/bin", 0755, &err), RC_OK);
    put("cam/rootfs/bin/cam", "#!/bin/self\n", 0755);
    put("cam/payload.yaml", payload, 0644);
    assert_berth("build cam --level 1", 0);
    n = slurp("cam/cam-1.0.unsigned", &a);
    assert_berth("build cam --level 1 --out again.unsigned", 0);
    assert_int_equal(slurp("again.unsigned", &b), n);
    assert_memory_equal(a, b, n);
    assert_berth("inspect cam/cam-1.0.unsigned", 0);
    assert_said("unsigned package");
}

static void attached_files_are_named_by_digest(void **state)
{
    (void)state;
    put("cam/cam.spdx.json", "bill\n", 0644);
    assert_berth("build cam --level 1 --sbom cam/cam.spdx.json --provenance cam/payload.yaml --out "
                 "attached.unsigned",
                 0);
    assert_berth("inspect attached.unsigned", 0);
    assert_said(
        "sbom             e3e9c51a59cf84a866b33d92fcf18b4c70e3e31a4a3d87a67650a69bacdd52f1");
    assert_said("provenance ");
    assert_berth("build cam --level 1 --sbom none.json --out none.unsigned", 1);
    assert_said("none.json");
    assert_berth("inspect cam/cam-1.0.unsigned", 0);
    assert_null(strstr(said, "sbom"));
}

static void mistakes_in_payload_yaml_are_named(void **state)
{
    static const struct {
        const char *from, *to, *says;
    } rows[] = {
        { "tenant:", "tennant:",
          "payload.yaml:2:1: unknown key 'tennant', did you mean 'tenant'?" },
        { "/bin/cam", "bin/cam", "'exec' must begin with an absolute path" },
        { "memory: 16M", "memory: lots", "'memory' wants a size such as 64M" },
        { "root: rootfs", "root: ../up", "'root' must name a directory below this one" },
        { "type: notify", "type: hope", "'type' must be notify or alive" },
        { "version: 1.0", "version: ../1", "'version' must be" },
        { "/bin/cam, -v", "/bin/nothing", "ENTRY_POINT" },
        { "/bin/true", "/no/such/file", "NOT_FOUND" },
    };
    char text[1024];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *at = strstr(payload, rows[i].from);

        assert_non_null(at);
        (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - payload), payload, rows[i].to,
                       at + strlen(rows[i].from));
        put("cam/payload.yaml", text, 0644);
        assert_berth("build cam --level 1 --out bad.unsigned", 1);
        assert_said(rows[i].says);
        assert_int_equal(faccessat(dirfd, "bad.unsigned", F_OK, 0), -1);
    }
    put("cam/payload.yaml", payload, 0644);
}

static void signing(void **state)
{
    (void)state;
    assert_berth("sign cam/cam-1.0.unsigned --key keys/acme.key --passphrase-file pw2", 5);
    assert_said("KEY_FILE");
    assert_berth("sign cam/cam-1.0.unsigned --home nowhere --key keys/acme.key", 2);
    assert_berth("sign keys/acme.pub --key keys/acme.key", 1);
    assert_said("PACKAGE_FORMAT");
    damage("cam/cam-1.0.unsigned", "damaged.unsigned", 3);
    assert_berth("sign damaged.unsigned --key keys/acme.key", 5);
    assert_said("DIGEST_MISMATCH");
    assert_int_equal(faccessat(dirfd, "damaged.berth", F_OK, 0), -1);
    assert_berth("sign cam/cam-1.0.unsigned --key keys/acme.key", 0);
    assert_berth("sign cam/cam-1.0.unsigned --key keys/evil.key --out evil.berth", 0);
    assert_berth("sign cam/cam-1.0.unsigned --key keys/acme.key --out other-mission.berth "
                 "--mission 00112233445566778899aabbccddeeff",
                 0);
    assert_berth("inspect cam/cam-1.0.berth --json", 0);
    assert_said("\"kind\": \"package\"");
    assert_said("\"TZ=UTC\"");
    assert_berth("sign cam/cam-1.0.berth --key keys/acme.key", 5);
    assert_said("KEY_DUPLICATE");
    assert_berth("sign cam/cam-1.0.berth --key keys/evil.key --out both.berth", 0);
    assert_berth("verify both.berth", 0); /* an unknown signer more does no harm */
    assert_berth("build cam --level 1 --key keys/acme.key --out direct.berth", 0);
    assert_int_equal(faccessat(dirfd, "direct.berth.unsigned", F_OK, 0), -1);
    assert_berth("verify direct.berth", 0);
}

static void what_satellites_refuse_is_refused_here(void **state)
{
    static const struct {
        const char *file;
        int code;
        const char *name;
    } rows[] = {
        { "evil.berth", 5, "KEY_UNKNOWN" },
        { "evil.berth", 5, ": evil.berth: " },
        { "other-mission.berth", 5, "SIG_BAD" },
        { "content.berth", 5, "DIGEST_MISMATCH" },
        { "envelope.berth", 5, "" },
        { "cam/cam-1.0.unsigned", 1, "PACKAGE_FORMAT" },
        { "pw", 1, "PACKAGE_FORMAT" },
        { "none.berth", 1, "NOT_FOUND" },
        { "keys", 1, "" },
    };
    scoped(free_ptr) uint8_t *bytes = NULL;
    size_t n = slurp("cam/cam-1.0.berth", &bytes);
    char line[128];

    (void)state;
    damage("cam/cam-1.0.berth", "content.berth", 3);
    damage("cam/cam-1.0.berth", "envelope.berth", n - 600);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        (void)snprintf(line, sizeof line, "verify %s", rows[i].file);
        assert_berth(line, rows[i].code);
        assert_said(rows[i].name);
        (void)snprintf(line, sizeof line, "push %s", rows[i].file);
        assert_berth(line, rows[i].code);
        assert_said(rows[i].name);
    }
}

static void pushing(void **state)
{
    scoped(store_close) struct store *store = NULL;
    struct store_package row;
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    char path[128];

    (void)state;
    assert_berth("push cam/cam-1.0.berth --json", 0);
    assert_berth("push cam/cam-1.0.berth", 0);
    put("cam/rootfs/bin/cam", "#!/bin/self -x\n", 0755);
    assert_berth("build cam --level 1 --key keys/acme.key --out changed.berth", 0);
    assert_berth("push changed.berth", 5);
    assert_said("EQUIVOCATION");
    (void)snprintf(path, sizeof path, "%s/home/store.sqlite", dir);
    assert_rc(store_open(path, false, &store, &err), RC_OK);
    assert_rc(store_package(store, "acme", "cam", "1.0", &row, &err), RC_OK);
    (void)snprintf(path, sizeof path, "home/%.100s", row.path);
    assert_int_equal(faccessat(dirfd, path, R_OK, 0), 0);
    assert_rc(store_audit_check(store, &walk, &err), RC_OK);
    assert_int_equal(walk.entries, 4); /* fleet-init, grant, push, push */
    assert_int_equal(walk.n_signed, 4);
}

static void tenant_without_home(void **state)
{
    (void)state;
    assert_berth("verify cam/cam-1.0.berth --home none", 5);
    assert_said("TRUST_MISSING");
    assert_berth("provision sat-0 --node 99 --out state0", 0);
    assert_berth("verify cam/cam-1.0.berth --home none --root state0/trust/root.cose", 5);
    assert_said("GRANT_MISSING");
    assert_berth("verify cam/cam-1.0.berth --home none --root state0/trust/root.cose "
                 "--grant acme.cose",
                 0);
    assert_berth("sign cam/cam-1.0.unsigned --home none --root state0/trust/root.cose "
                 "--key keys/acme.key --out rooted.berth",
                 0);
    assert_berth("verify rooted.berth", 0);
}

static void provisioning(void **state)
{
    scoped(free_ptr) uint8_t *root = NULL, *config = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(close_fd) int board = -1, ground = -1;
    struct link_state up = { 0 }, down = { 0 };
    struct agent_config got;
    size_t n;

    (void)state;
    assert_berth("provision sat-1 --node 101", 2);
    assert_berth("provision sat-1 --node 1 --out state1", 2);
    assert_berth("provision SAT --node 101 --out state1", 1);
    assert_berth("provision sat-1 --node 101 --up a/up --down a/down --out state1 "
                 "--labels plane=b lot=1",
                 0);
    assert_berth("provision sat-1 --node 102 --out state2", 4);
    assert_berth("provision sat-2 --node 102 --out state1", 4);
    assert_int_equal(renameat(dirfd, "state1/config.cbor", dirfd, "state1/config.a"),
                     0); /* a lost one is no new */
    assert_berth("provision sat-2 --node 102 --out state1", 4);
    assert_int_equal(renameat(dirfd, "state1/config.a", dirfd, "state1/config.cbor"), 0);
    assert_berth("provision sat-2 --node 101 --out state2", 4);
    assert_said("node 101 is sat-1");
    n = slurp("state1/config.cbor", &config);
    assert_rc(config_decode((struct bytes){ .p = config, .n = n }, &got, &err), RC_OK);
    assert_string_equal(got.satellite, "sat-1");
    assert_int_equal(got.node, 101);
    n = slurp("state1/trust/root.cose", &root);
    assert_rc(trust_new((struct bytes){ .p = root, .n = n }, &trust, &err), RC_OK);
    assert_memory_equal(&trust_root(trust)->mission, &got.mission, sizeof got.mission);
    assert_int_equal(faccessat(dirfd, "state1/trust/grant-acme.cose", R_OK, 0), 0);
    assert_rc(fs_open_dir(dirfd, "state1/link", 0700, &board, &err), RC_OK);
    assert_rc(fs_open_dir(dirfd, "home/sats/sat-1/link", 0700, &ground, &err), RC_OK);
    assert_rc(link_state_open(board, LINK_SIDE_SATELLITE, &down, &err), RC_OK);
    assert_rc(link_state_open(ground, LINK_SIDE_GROUND, &up, &err), RC_OK);
    assert_memory_equal(up.ring->key[0].keys.secret, down.ring->key[0].keys.secret,
                        LINK_SECRET_SIZE);
    link_state_done(&up);
    link_state_done(&down);

    /* Again: other keys, the same place in the fleet. */
    assert_berth("provision sat-9 --node 109 --out state9 --replace", 4);
    assert_berth("provision sat-1 --node 101 --out state1 --replace", 4);
    assert_int_equal(faccessat(dirfd, "home/sats/sat-1/link", F_OK, 0), 0);
    assert_berth("provision sat-1 --node 101 --out state1b --replace", 0);
    assert_said("a/up");
    assert_int_equal(faccessat(dirfd, "state1b/link", F_OK, 0), 0);
    assert_int_equal(faccessat(dirfd, "home/sats/sat-1/link", F_OK, 0), -1);
}

static void raw_uplink_and_new_grants_are_queued(void **state)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(store_close) struct store *store = NULL;
    char path[128];
    size_t n = 0;

    (void)state;
    assert_berth("uplink sat-9 evil.berth --kind package", 4);
    assert_berth("uplink sat-1 evil.berth --kind report", 2);
    assert_berth("uplink sat-1 evil.berth --kind package", 0);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml", 0);
    assert_said("epoch 2");
    (void)snprintf(path, sizeof path, "%s/home/store.sqlite", dir);
    assert_rc(store_open(path, false, &store, &err), RC_OK);
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(rows[0].class, CLASS_TRUST);
    assert_int_equal(rows[1].class, CLASS_RAW);
}

#define ROTATE "trust rotate --new-root keys/next.key --next-root keys/third.pub "

static uint32_t queued(enum outgoing_state state, uint32_t kind)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(store_close) struct store *store = NULL;
    char path[128];
    uint32_t found = 0;
    size_t n = 0;

    (void)snprintf(path, sizeof path, "%s/home/store.sqlite", dir);
    assert_rc(store_open(path, false, &store, &err), RC_OK);
    assert_rc(store_outgoing(store, "sat-1", state, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        found += rows[i].kind == kind && rows[i].class != CLASS_RAW;
    return found;
}

static void the_root_rotates(void **state)
{
    (void)state;
    assert_berth("key new op2 --role operator --out keys", 0);
    assert_berth("key new third --role root --out keys", 0);
    assert_berth("trust status sat-9", 4);
    assert_berth(ROTATE, 2); /* neither old keys nor --recover */
    assert_berth("trust rotate --root keys/root.key --new-root keys/third.key "
                 "--next-root keys/third.pub",
                 5);
    assert_said("ROOT_COMMITMENT");
    assert_berth(ROTATE "--root keys/third.key", 5); /* not a key of this root */
    assert_said("KEY_UNKNOWN");
    assert_berth("trust rotate --recover --new-root keys/next.pub --next-root keys/third.pub", 5);
    assert_berth(ROTATE "--root keys/root.key --operator keys/op2.pub", 5); /* who signs grants? */
    assert_berth("trust status", 0);
    assert_said("root 1: 1 of 1 root keys");
    assert_int_equal(queued(OUTGOING_QUEUED, OBJECT_ROOT), 0);

    assert_berth(ROTATE "--root keys/root.key --operator keys/op2.key", 0);
    assert_said("root 2 queued for 2 satellites; 1 grants and 0 orders signed again");
    assert_int_equal(queued(OUTGOING_QUEUED, OBJECT_ROOT), 1);
    assert_int_equal(queued(OUTGOING_QUEUED, OBJECT_GRANT), 1);
    assert_int_equal(queued(OUTGOING_CANCELLED, OBJECT_GRANT), 1);
    assert_berth("trust status sat-1 --json", 0);
    assert_said("\"root_version\": 2");
    assert_said("\"epoch\": 3");
    assert_said("\"behind\": true");
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml --key keys/op.key", 5);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml", 0); /* op2, remembered */

    assert_berth("trust rotate --recover --new-root keys/third.key --next-root keys/root.pub "
                 "--json",
                 0);
    assert_said("\"recovered\": true");
    assert_int_equal(queued(OUTGOING_QUEUED, OBJECT_ROOT), 2);
    assert_berth("provision sat-3 --node 103 --out state3", 0);
    assert_berth("trust status sat-3 --json", 0);
    assert_said("\"behind\": false");
}

/* Who asks about one satellite is not told about, and does not wait for, what another was ordered:
 * an order of sat-3 that cannot be read stops those who look at the fleet, and nobody else. */
static void one_satellite_is_read_alone(void **state)
{
    const struct store_order order = { .satellite = "sat-3",
                                       .generation = 9,
                                       .state = ORDER_RELEASED };
    scoped(store_close) struct store *store = NULL;
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof path, "%s/home/store.sqlite", dir);
    assert_rc(store_open(path, false, &store, &err), RC_OK);
    assert_rc(store_add_order(store, &order, bytes_of("no order"), &err), RC_OK);
    assert_berth("status", 1);
    assert_berth("trust status", 1);
    assert_berth("ps sat-3", 1);
    assert_berth("trust status sat-3", 1);
    assert_berth("ps sat-1", 0);
    assert_said("sat-1: order 0 in force");
    assert_berth("trust status sat-1 --json", 0);
    assert_said("\"id\": \"sat-1\"");
    assert_berth("events sat-3", 0);
    for (size_t i = 0; i < 3; i++) {
        static const char *const words[] = { "ps sat-9", "trust status sat-9", "events sat-9" };

        assert_berth(words[i], 4);
        assert_said("NO_SATELLITE");
        assert_said("berth status lists the");
    }
}

static void unknown_files_are_not_described(void **state)
{
    (void)state;
    assert_berth("inspect pw", 1);
    assert_berth("inspect quota.yaml --json", 1);
    assert_said("\"error\"");
    assert_berth("inspect /dev/zero", 1);
    assert_said("NOT_REGULAR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_fleet),
        cmocka_unit_test(passphrases_are_asked_for_without_echo),
        cmocka_unit_test(grants),
        cmocka_unit_test(init_makes_what_builds),
        cmocka_unit_test(builds_are_reproducible),
        cmocka_unit_test(attached_files_are_named_by_digest),
        cmocka_unit_test(mistakes_in_payload_yaml_are_named),
        cmocka_unit_test(signing),
        cmocka_unit_test(what_satellites_refuse_is_refused_here),
        cmocka_unit_test(pushing),
        cmocka_unit_test(tenant_without_home),
        cmocka_unit_test(provisioning),
        cmocka_unit_test(raw_uplink_and_new_grants_are_queued),
        cmocka_unit_test(the_root_rotates),
        cmocka_unit_test(one_satellite_is_read_alone),
        cmocka_unit_test(unknown_files_are_not_described),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
