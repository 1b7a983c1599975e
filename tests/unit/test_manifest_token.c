/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens: how small they are, and what the safety role of a root must not be.  Hostile bytes are
 * tests/unit/test_manifest_decode.c's, who may be believed is test_trust_attacks.c's.
 */
#include "tests/unit/test.h"

#include "manifest/token.h"
#include "tests/unit/documents.h"

static uint8_t buf[DOCUMENT_MAX];

/* Every field at its longest. */
static void test_content_is_small(void **state)
{
    (void)state;
    struct token t = { .generation = INT64_MAX,
                       .issued_ms = INT64_MAX - 1,
                       .expires_ms = INT64_MAX };
    struct token back = { 0 };
    struct bytes out;

    memset(t.satellite, 'z', NAME_MAX_LEN);
    memset(&t.order, 0xff, sizeof t.order);
    memset(&t.order384, 0xff, sizeof t.order384);
    assert_rc(token_encode(&t, buf, sizeof buf, &out, NULL), RC_OK);
    assert_true(out.n <= TOKEN_MAX);
    assert_rc(token_decode(out, &back, NULL), RC_OK);
    assert_memory_equal(&back, &t, sizeof t);
}

static void t_satellite(struct token *t)
{
    t->satellite[0] = '-';
}

static void t_generation(struct token *t)
{
    t->generation = 0;
}

static void t_generation_top(struct token *t)
{
    t->generation = 1ULL << 63;
}

static void t_order(struct token *t)
{
    memset(&t->order, 0, sizeof t->order);
}

static void t_issued(struct token *t)
{
    t->issued_ms = 0;
}

static void t_never(struct token *t)
{
    t->expires_ms = 0;
}

static void t_at_once(struct token *t)
{
    t->expires_ms = t->issued_ms;
}

static void t_expires_top(struct token *t)
{
    t->expires_ms = 1ULL << 63;
}

static const struct {
    void (*edit)(struct token *t);
    enum rc rc;
} bad[] = {
    { t_satellite, RC_NAME },       { t_generation, RC_VALUE },  { t_generation_top, RC_VALUE },
    { t_order, RC_DIGEST_MISSING }, { t_issued, RC_VALUE },      { t_never, RC_VALUE },
    { t_at_once, RC_VALUE },        { t_expires_top, RC_VALUE },
};

static void test_nonsense_is_not_encoded(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct token t = doc_token();
        struct bytes out;

        bad[i].edit(&t);
        assert_rc(token_encode(&t, buf, sizeof buf, &out, NULL), bad[i].rc);
    }
}

/* Two roles are two people. */
static void test_no_key_is_in_both_roles(void **state)
{
    (void)state;
    struct root root = doc_root();

    root.safety_keys = doc_key_set(1, 2, K_SAFETY_A);
    assert_rc(root_check(&root, NULL), RC_OK);
    root.safety_keys.key[1] = *sign_key_public(doc_key(K_OPERATOR_B));
    assert_rc(root_check(&root, NULL), RC_KEY_DUPLICATE);
}

/* An envelope has room for so many. */
static void test_all_signers_fit(void **state)
{
    (void)state;
    struct root root = doc_root();

    root.safety_keys = doc_key_set(2, 2, K_SAFETY_A);
    root.operator_keys = doc_key_set(7, 7, K_ROOT_A);
    assert_rc(root_check(&root, NULL), RC_THRESHOLD_INVALID);
    root.operator_keys.threshold = 6;
    assert_rc(root_check(&root, NULL), RC_OK);
}

static int teardown(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_is_small),
        cmocka_unit_test(test_nonsense_is_not_encoded),
        cmocka_unit_test(test_no_key_is_in_both_roles),
        cmocka_unit_test(test_all_signers_fit),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
