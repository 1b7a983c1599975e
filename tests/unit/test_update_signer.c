/* SPDX-License-Identifier: Apache-2.0
 *
 * A key behind a program, well-behaved and not.  The program is this test binary itself.
 */
#include "tests/unit/test.h"

#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/unit/signer_program.h"
#include "update/signer.h"

static char self[PATH_MAX];
static struct err err;

static struct signer signer(const char *name)
{
    return (struct signer){ .program = self, .name = name, .timeout_ms = 20000 };
}

static void public_halves_are_asked_for(void **state)
{
    const struct public_key *want = sign_key_public(doc_key(K_OPERATOR_A));
    struct public_key *got = calloc(1, sizeof *got);
    struct signer good = signer("good"), less = signer("short"), none = signer("good");

    (void)state;
    assert_non_null(got);
    assert_rc(signer_public(&good, SUITE_ED25519_MLDSA65, NULL, got, &err), RC_OK);
    assert_memory_equal(got->id, want->id, KEY_ID_SIZE);
    memset(got, 0xa5, sizeof *got);
    assert_rc(signer_public(&less, SUITE_ED25519_MLDSA65, NULL, got, &err), RC_SIGNER);
    none.program = "/nonexistent/signer";
    assert_rc(signer_public(&none, SUITE_ED25519_MLDSA65, NULL, got, &err), RC_SIGNER);
    assert_non_null(strstr(err.what, "cannot be started"));
    assert_int_equal(got->halves[0], 0xa5);
    free(got);
}

static void what_it_prints_is_used_only_if_good(void **state)
{
    static const struct {
        const char *name;
        enum rc rc;
    } rows[] = {
        { "good", RC_OK },      { "other", RC_SIG_BAD }, { "short", RC_SIGNER },
        { "long", RC_SIGNER },  { "flood", RC_SIGNER },  { "silent", RC_SIGNER },
        { "fails", RC_SIGNER }, { "killed", RC_SIGNER }, { "slow", RC_TIMEOUT },
    };
    static uint8_t payload[DOCUMENT_MAX], buf[DOCUMENT_MAX];
    struct grant *grant = malloc(sizeof *grant);
    struct bytes in = { 0 };

    (void)state;
    assert_non_null(grant);
    *grant = doc_grant();
    assert_rc(grant_encode(grant, payload, sizeof payload, &in, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(sign_key_free) struct sign_key *key = NULL;
        const struct sign_key *one;
        struct signer s = signer(rows[i].name);
        struct bytes out = { 0 };
        enum rc rc;

        if (rows[i].rc == RC_TIMEOUT)
            s.timeout_ms = 50;
        assert_rc(signer_key(&s, sign_key_public(doc_key(K_OPERATOR_A)), NULL, &key, &err), RC_OK);
        one = key;
        rc = sign_document(DOC_GRANT, &doc_mission, in, &one, 1, buf, sizeof buf, &out, &err);
        if (rc != rows[i].rc)
            fail_msg("%s: %s %s", rows[i].name, rc_name(rc), err.what);
        assert_true((rc == RC_OK) == (out.n > 0));
        if (rc == RC_OK) {
            struct key_set keys = doc_key_set(1, 1, K_OPERATOR_A);
            struct envelope envelope;

            assert_rc(envelope_open(out, &envelope, &err), RC_OK);
            assert_rc(envelope_verify(&envelope, DOC_GRANT, &doc_mission, &keys, &err), RC_OK);
        }
        /* Nothing that was started is left. */
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
    free(grant);
}

static void it_has_nothing_to_seal(void **state)
{
    scoped(sign_key_free) struct sign_key *key = NULL;
    struct signer s = signer("good");
    struct sign_sealed sealed;

    (void)state;
    assert_rc(signer_key(&s, sign_key_public(doc_key(K_OPERATOR_A)), NULL, &key, &err), RC_OK);
    assert_rc(sign_key_seal(key, bytes_of("pw"), bytes_of(""), &sealed, &err), RC_KEY_FILE);
}

/* A token that knows only Ed25519, and a key file for the other half. */
static void half_may_come_from_a_key_of_ours(void **state)
{
    static uint8_t payload[DOCUMENT_MAX], buf[DOCUMENT_MAX];
    struct public_key *mixed = calloc(1, sizeof *mixed);
    struct grant *grant = malloc(sizeof *grant);
    struct key_set *keys = calloc(1, sizeof *keys);
    const uint8_t seeds[SIGN_SEEDS_SIZE] = { 7 };
    struct signer s = signer("good");
    struct bytes in = { 0 };

    (void)state;
    assert_true(mixed && grant && keys);
    *grant = doc_grant();
    assert_rc(grant_encode(grant, payload, sizeof payload, &in, &err), RC_OK);
    for (unsigned i = 0; i < 2; i++) { /* the right file, then another one */
        scoped(sign_key_free) struct sign_key *rest = NULL, *key = NULL, *nested = NULL;
        const uint8_t other[SIGN_SEEDS_SIZE] = { [SIGN_SEEDS_SIZE - 1] = 8 };
        const struct sign_key *one;
        struct envelope envelope;
        struct bytes out = { 0 };

        assert_rc(sign_key_from_seeds(SUITE_ED25519_MLDSA65, i == 0 ? seeds : other, &rest, &err),
                  RC_OK);
        if (i == 0)
            assert_rc(signer_public(&s, SUITE_ED25519_MLDSA65, sign_key_public(rest), mixed, &err),
                      RC_OK);
        assert_rc(signer_key(&s, mixed, &rest, &key, &err), RC_OK);
        assert_null(rest);
        one = key;
        assert_rc(sign_document(DOC_GRANT, &doc_mission, in, &one, 1, buf, sizeof buf, &out, &err),
                  i == 0 ? RC_OK : RC_SIG_BAD);
        assert_rc(signer_key(&s, mixed, &key, &nested, &err), RC_KEY_FILE);
        if (i > 0)
            continue;
        *keys = (struct key_set){ .threshold = 1, .n = 1, .key = { *mixed } };
        assert_rc(envelope_open(out, &envelope, &err), RC_OK);
        assert_rc(envelope_verify(&envelope, DOC_GRANT, &doc_mission, keys, &err), RC_OK);
    }
    free(mixed);
    free(grant);
    free(keys);
}

static int end(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_halves_are_asked_for),
        cmocka_unit_test(what_it_prints_is_used_only_if_good),
        cmocka_unit_test(it_has_nothing_to_seal),
        cmocka_unit_test(half_may_come_from_a_key_of_ours),
    };

    signer_program(argc, argv);
    if (readlink("/proc/self/exe", self, sizeof self - 1) <= 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, end);
}
