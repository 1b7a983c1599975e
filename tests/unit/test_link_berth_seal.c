/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth-seal program: a tenant's first hour with it, and what it says when something is
 * wrong: a code, and the command that mends it.
 */
#include "tests/unit/test.h"

#include "tests/unit/berth_run.h"

#define KEYGEN "berth-seal keygen --tenant acme --payload cam --satellite 42 "

static int begin_seal(void **state)
{
    char path[PATH_MAX + 32];

    (void)begin(state);
    print_to(path, sizeof path, "%s", program);
    *strrchr(path, '/') = '\0';
    (void)setenv("PATH", path, 1);
    return 0;
}

static void assert_holds(const char *path, const char *text)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    const size_t n = slurp(path, &bytes);

    assert_true(bytes_equal((struct bytes){ bytes, n }, bytes_of(text)));
}

/* Exit code, and both a code's name and a fix are said. */
#define assert_refused(line, code, name)                                                           \
    do {                                                                                           \
        assert_run(line, code);                                                                    \
        assert_said("(" name " ");                                                                 \
        assert_said("  fix: ");                                                                    \
    } while (0)

static void a_first_hour(void **state)
{
    (void)state;
    assert_run(KEYGEN "ground-keys cam.key", 0);
    assert_said("made epoch 1 of acme/cam, satellite 42");
    assert_run("berth-seal show cam.key", 0);
    assert_said("for the payload's end of acme/cam, satellite 42, ground 1: epoch 1");
    assert_run("berth-seal install cam.key cam-keys", 0);
    assert_run("berth-seal install cam.key cam-keys", 0);
    assert_said("has already");

    put("in", "hello, cam", 0600);
    assert_run("berth-seal seal ground-keys in up", 0);
    assert_run("berth-seal show --json up", 0);
    assert_said("\"kind\":\"message\",\"authentic\":null");
    assert_run("berth-seal open cam-keys up out", 0);
    assert_holds("out", "hello, cam");
    assert_refused("berth-seal open cam-keys up out2", 5, "REPLAY");
    assert_false(exists("out2"));

    assert_run("berth-seal seal cam-keys in down", 0);
    assert_run("berth-seal open --json ground-keys down answer", 0);
    assert_said("{\"kind\":\"opened\",\"epoch\":1,\"counter\":1,");
    assert_holds("answer", "hello, cam");
}

static void keys_change(void **state)
{
    (void)state;
    assert_run("berth-seal seal ground-keys in early", 0);
    assert_run("berth-seal seal cam-keys in late", 0);
    assert_run("berth-seal rotate --grace-hours 0 ground-keys next.key", 0);
    assert_said("made epoch 2");
    assert_refused("berth-seal rotate ground-keys more.key", 1, "BUSY");
    assert_false(exists("more.key"));
    assert_run("berth-seal seal ground-keys in still", 0); /* under the old one, until it is seen */
    assert_run("berth-seal open cam-keys still still.out", 0);
    assert_run("berth-seal install next.key cam-keys", 0);
    assert_run("berth-seal seal cam-keys in new", 0);
    assert_run("berth-seal open ground-keys new new.out", 0);
    assert_run("berth-seal show ground-keys", 0);
    assert_said("epoch 2");
    assert_refused("berth-seal open ground-keys late late.out", 5, "BPSEC_KEY");
    assert_run("berth-seal open cam-keys early early.out", 0); /* 30 days there */
    assert_refused("berth-seal install cam.key cam-keys", 5, "REKEY_OLD");
}

/* The next one gets lost, and both ends make one anew at a time; one of them gives way. */
static void a_lost_key_is_made_anew(void **state)
{
    (void)state;
    assert_run(KEYGEN "kennel-keys dog.key", 0);
    assert_run("berth-seal install dog.key dog-keys", 0);
    assert_run("berth-seal rotate dog-keys dog-2.key", 0);
    assert_run("berth-seal rotate --anew dog-keys dog-4.key", 0);
    assert_said("made epoch 4");
    assert_run("berth-seal rotate kennel-keys ground-2.key", 0);
    assert_run("berth-seal rotate --anew kennel-keys ground-4.key", 0);
    assert_refused("berth-seal install ground-4.key dog-keys", 5, "EQUIVOCATION");
    assert_refused("berth-seal install dog-4.key kennel-keys", 5, "EQUIVOCATION");
    assert_run("berth-seal rotate --anew kennel-keys ground-6.key", 0);
    assert_run("berth-seal install ground-6.key dog-keys", 0);
    assert_run("berth-seal seal dog-keys in sixth", 0);
    assert_run("berth-seal open kennel-keys sixth sixth.out", 0);
    assert_run("berth-seal seal kennel-keys in seventh", 0);
    assert_run("berth-seal open dog-keys seventh seventh.out", 0);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    assert_run(KEYGEN "other-keys other.key", 0);
    assert_run("berth-seal seal other-keys in theirs", 0);
    assert_refused("berth-seal open cam-keys theirs x", 5, "BPSEC_AUTH");
    assert_run("berth-seal seal ground-keys in mine", 0);
    assert_refused("berth-seal open ground-keys mine x", 5, "SEAL_KEY");
    assert_refused("berth-seal open cam-keys in x", 1, "BUNDLE_FORMAT");
    assert_refused("berth-seal open cam-keys mine out", 4, "EXISTS");
    assert_run("berth-seal open cam-keys mine another", 0); /* and was not lost by that */
    assert_refused("berth-seal install other.key ground-keys", 5, "SEAL_KEY");
    assert_refused("berth-seal install other.key cam-keys", 5, "REKEY_OLD");
    assert_refused(KEYGEN "ground-keys again.key", 4, "EXISTS");
    assert_false(exists("again.key"));
    assert_refused("berth-seal seal nowhere in x", 1, "NOT_FOUND");
    assert_refused("berth-seal seal ground-keys missing x", 1, "IO");
    assert_refused("berth-seal keygen a b", 2, "USAGE");
    assert_refused("berth-seal keygen --tenant A --payload cam --satellite 1 a b", 1, "NAME");
    assert_refused("berth-seal keygen --satellite 0 a b", 2, "USAGE");
    assert_refused("berth-seal frobnicate", 2, "USAGE");
    assert_refused("berth-seal", 2, "USAGE");
    assert_refused("berth-seal show --no-such x", 2, "USAGE");
    assert_run("berth-seal open --json ground-keys in x", 1);
    assert_said("\"code_name\":\"BUNDLE_FORMAT\"");
    assert_said("\"fix\":\"");
    assert_false(exists("x"));
}

static void keys_are_kept_to_oneself(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(fstatat(dirfd, "cam.key", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fstatat(dirfd, "cam-keys", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(fchmodat(dirfd, "other.key", 0640, 0), 0);
    assert_refused("berth-seal install other.key x", 5, "KEY_FILE");
    assert_said("chmod -R go=");
    assert_refused("berth-seal show other.key", 5, "KEY_FILE");
    assert_int_equal(fchmodat(dirfd, "cam-keys", 0710, 0), 0);
    assert_refused("berth-seal seal cam-keys in x", 5, "KEY_FILE");
    assert_int_equal(fchmodat(dirfd, "cam-keys", 0700, 0), 0);

    /* Nothing that is said has the secret in it. */
    scoped(free_ptr) uint8_t *file = NULL;
    const size_t n = slurp("cam.key", &file);
    char hex[65];

    assert_true(n > 42);
    (void)bytes_hex((struct bytes){ file + n - 41, 32 }, hex); /* behind it is the id */
    assert_run("berth-seal show --json cam.key", 0);
    assert_null(strstr(said, hex));
    assert_run("berth-seal show --json cam-keys", 0);
    assert_null(strstr(said, hex));
    assert_null(memmem(said, strlen(said), file + n - 41, 32));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_hour),
        cmocka_unit_test(keys_change),
        cmocka_unit_test(a_lost_key_is_made_anew),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(keys_are_kept_to_oneself),
    };

    return cmocka_run_group_tests(tests, begin_seal, end);
}
