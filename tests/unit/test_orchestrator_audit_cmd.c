/* SPDX-License-Identifier: Apache-2.0
 *
 * berth audit, and what the commands that change something leave in the log: signed by an operator
 * where one is at hand, with a why, and whole over a rotation of the operators' keys.
 */
#include "tests/unit/store_rig.h"
#include "tests/unit/test.h"

#include "orchestrator/store.h"
#include "tests/unit/berth_run.h"

static const char quota[] = "memory: 64M\ncpu: 0.5\npids: 16\nfiles: 64\ndata: 8M\ntmp: 4M\n"
                            "store: 16M\npayloads: 2\nprefix: \"\"\n";

static int set_up(void **state)
{
    (void)begin(state);
    put("quota.yaml", quota, 0644);
    (void)setenv("BERTH_HOME", "home", 1);
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new next --role root --out keys", 0);
    assert_berth("key new after --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("key new op2 --role operator --out keys", 0);
    assert_berth("key new acme --role tenant --out keys", 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key "
                 "--next-root keys/next.pub --why first",
                 0);
    return 0;
}

static void sql(const char *text)
{
    char path[128];

    print_to(path, sizeof path, "%s/home/store.sqlite", dir);
    assert_true(store_rig_unguard(path));
    assert_true(store_rig_sql(path, text));
}

/* The id of a key's public half, as the log shows it, is what `key show` says. */
static void key_id(const char *name, char out[33])
{
    char words[64];

    print_to(words, sizeof words, "key show keys/%s.pub --json", name);
    assert_berth(words, 0);
    const char *at = strstr(said, "\"id\"");

    assert_non_null(at);
    at = strchr(strchr(at, ':'), '"') + 1;
    (void)snprintf(out, 33, "%.32s", at);
}

static void each_change_is_an_entry(void **state)
{
    char op[33], want[64];

    (void)state;
    key_id("op", op);
    assert_berth("grant acme --keys keys/acme.pub --quota quota.yaml --why ticket-7", 0);
    assert_berth("provision sat-1 --node 11 --out state1", 0);
    put("junk", "junk", 0644);
    assert_berth("uplink sat-1 junk --kind package --why repair", 0);
    assert_berth("mail send acme/cam@sat-1 junk", 0);
    assert_berth("link send sat-1", 0);
    assert_berth("audit log --json", 0);
    assert_said("\"action\": \"fleet-init\"");
    assert_said("\"why\": \"first\"");
    assert_said("\"action\": \"grant\"");
    assert_said("\"why\": \"ticket-7\"");
    assert_said("\"action\": \"provision\"");
    assert_said("\"action\": \"uplink\"");
    assert_said("\"action\": \"mail-send\"");
    assert_said("\"action\": \"link-send\"");
    assert_null(strstr(said, "\"signer\": null"));
    print_to(want, sizeof want, "\"signer\": \"%s\"", op);
    assert_said(want);
    assert_berth("audit verify", 0);
    assert_said("whole: 6 entries");
    assert_said("6 of them signed");
    assert_berth("audit log --last 1", 0);
    assert_said("link-send");
    assert_null(strstr(said, "fleet-init"));
}

static void a_why_is_bounded(void **state)
{
    char line[1024], why[320];

    (void)state;
    memset(why, 'x', sizeof why - 1);
    why[257] = '\0';
    print_to(line, sizeof line, "uplink sat-1 junk --kind package --why %s", why);
    assert_berth(line, 2);
    assert_said("at most 256 bytes");
    assert_berth("uplink sat-1 junk --kind package --why a\033[2J", 2);
    assert_berth("uplink sat-1 junk --kind package --why \xff\xfe", 2);
    assert_berth("audit verify", 0);
    assert_said("whole: 6 entries");
}

/* Nobody is kept from a change that needs no key, but it is told, and made good later. */
static void without_a_key_the_entry_is_bare(void **state)
{
    (void)state;
    (void)unsetenv("BERTH_PASSPHRASE_FILE");
    assert_berth("uplink sat-1 junk --kind package", 0);
    assert_said("no operator key signs");
    assert_berth("uplink sat-1 junk --kind package --as keys/op.key", 5);
    assert_berth("audit sign", 5);
    assert_berth("audit verify", 0);
    assert_said("whole: 7 entries");
    assert_said("no signature vouches for what is behind entry 6");
    (void)setenv("BERTH_PASSPHRASE_FILE", "pw", 1);
    assert_berth("uplink sat-1 junk --kind package --as keys/acme.key", 0); /* no operator's */
    assert_berth("audit verify", 0);
    assert_said("no signature vouches for what is behind entry 6");
    assert_berth("audit sign --why checked", 0);
    assert_said("entry 9 vouches for all before it");
    assert_berth("audit verify", 0);
    assert_null(strstr(said, "no signature"));
}

static void old_keys_vouch_for_old_entries(void **state)
{
    char op2[33], want[64];

    (void)state;
    key_id("op2", op2);
    assert_berth("trust rotate --root keys/root.key --new-root keys/next.key --next-root "
                 "keys/after.pub --operator keys/op2.key --why op-left",
                 0);
    assert_berth("audit log --last 1 --json", 0);
    assert_said("\"action\": \"rotate\"");
    assert_said("\"root_version\": 2");
    print_to(want, sizeof want, "\"signer\": \"%s\"", op2);
    assert_said(want);
    assert_berth("audit verify", 0);
    assert_said("whole: 10 entries");
    assert_berth("uplink sat-1 junk --kind package --as keys/op.key", 0);
    assert_berth("audit log --last 1 --json", 0);
    assert_said("\"signer\": null");
    assert_berth("audit sign", 0);
}

static void an_export_is_checked_anywhere(void **state)
{
    scoped(free_ptr) uint8_t *bytes = NULL;

    (void)state;
    assert_berth("audit export log.cbor", 0);
    assert_berth("audit verify log.cbor --home nowhere", 0);
    assert_said("whole: 12 entries");
    assert_berth("audit verify log.cbor --home nowhere --root state1/trust/root.cose", 0);
    assert_berth("fleet init other --root keys/after.key --operator keys/op.key --home other "
                 "--out other.cose",
                 0);
    assert_berth("audit verify log.cbor --home nowhere --root other.cose", 1);
    assert_said("AUDIT_BROKEN");
    size_t n = slurp("log.cbor", &bytes);

    assert_rc(fs_write_file(dirfd, "cut.cbor", (struct bytes){ bytes, n - 100 }, 0644, &err),
              RC_OK);
    assert_berth("audit verify cut.cbor", 1);
    assert_said("what is behind entry 11 is cut off or damaged");
    bytes[n - 4000] ^= 1;
    assert_rc(fs_write_file(dirfd, "bad.cbor", (struct bytes){ bytes, n }, 0644, &err), RC_OK);
    assert_berth("audit verify bad.cbor", 1);
    assert_said("AUDIT_BROKEN");
    assert_berth("audit verify keys/op.pub", 1);
    assert_said("not an audit file");
    assert_berth("audit verify nothing.cbor", 1);
}

static void a_changed_store_is_named(void **state)
{
    (void)state;
    sql("DELETE FROM audit WHERE seq = 4");
    assert_berth("audit verify", 1);
    assert_said("entry 4 is missing");
    assert_berth("audit verify --json", 1);
    assert_said("AUDIT_BROKEN");
    assert_berth("audit export gap.cbor", 0);
    assert_berth("audit verify gap.cbor", 1);
    assert_said("entry 4 is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_is_an_entry),
        cmocka_unit_test(a_why_is_bounded),
        cmocka_unit_test(without_a_key_the_entry_is_bare),
        cmocka_unit_test(old_keys_vouch_for_old_entries),
        cmocka_unit_test(an_export_is_checked_anywhere),
        cmocka_unit_test(a_changed_store_is_named),
    };

    return cmocka_run_group_tests(tests, set_up, end);
}
