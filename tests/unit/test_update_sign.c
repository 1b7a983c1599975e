/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "tests/unit/documents.h"

static struct signed_doc one;
static uint8_t other[DOCUMENT_MAX];

static const uint8_t sentinel[1] = { 0x5a };

/* The view that a refused call must leave alone. */
static struct bytes untouched(void)
{
    return (struct bytes){ sentinel, sizeof sentinel };
}

#define assert_untouched(view) assert_true((view).p == sentinel && (view).n == sizeof sentinel)

static enum rc verify(struct bytes in, const struct key_set *keys)
{
    struct envelope e;

    enum rc rc = envelope_open(in, &e, NULL);
    return rc == RC_OK ? envelope_verify(&e, DOC_ORDER, &doc_mission, keys, NULL) : rc;
}

static void sign_order(const enum doc_key *who, size_t n)
{
    struct order order = doc_order();

    assert_rc(order_encode(&order, one.payload_buf, sizeof one.payload_buf, &one.payload, NULL),
              RC_OK);
    doc_sign(&one, DOC_ORDER, &doc_mission, who, n);
}

static void test_seeds_decide(void **state)
{
    (void)state;
    uint8_t seeds[SIGN_SEEDS_SIZE] = { 1, 2, 3 };
    scoped(sign_key_free) struct sign_key *a = NULL;
    scoped(sign_key_free) struct sign_key *b = NULL;
    scoped(sign_key_free) struct sign_key *c = NULL;
    uint8_t id[KEY_ID_SIZE];

    assert_rc(sign_key_from_seeds(SUITE_ED25519_MLDSA65, seeds, &a, NULL), RC_OK);
    assert_rc(sign_key_from_seeds(SUITE_ED25519_MLDSA65, seeds, &b, NULL), RC_OK);
    assert_memory_equal(sign_key_public(a), sign_key_public(b), sizeof(struct public_key));
    assert_rc(public_key_id(sign_key_public(a), id, NULL), RC_OK);
    assert_memory_equal(sign_key_public(a)->id, id, sizeof id);
    seeds[SIGN_SEEDS_SIZE - 1] = 1; /* of the ML-DSA half */
    assert_rc(sign_key_from_seeds(SUITE_ED25519_MLDSA65, seeds, &c, NULL), RC_OK);
    assert_memory_equal(public_half(sign_key_public(a), 0).p, public_half(sign_key_public(c), 0).p,
                        32);
    assert_memory_not_equal(public_half(sign_key_public(a), 1).p,
                            public_half(sign_key_public(c), 1).p, 1952);
    assert_memory_not_equal(sign_key_public(a)->id, sign_key_public(c)->id, KEY_ID_SIZE);
}

/* RFC 8032 section 7.1, test 1: the first half is plain Ed25519. */
static void test_ed25519_half_is_rfc_8032(void **state)
{
    (void)state;
    uint8_t seeds[SIGN_SEEDS_SIZE] = { 0 };
    uint8_t want[32];
    scoped(sign_key_free) struct sign_key *key = NULL;

    assert_true(
        bytes_unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seeds, 32));
    assert_true(
        bytes_unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", want, 32));
    assert_rc(sign_key_from_seeds(SUITE_ED25519_MLDSA65, seeds, &key, NULL), RC_OK);
    assert_memory_equal(public_half(sign_key_public(key), 0).p, want, 32);
}

static void test_new_keys_differ(void **state)
{
    (void)state;
    scoped(sign_key_free) struct sign_key *a = NULL;
    scoped(sign_key_free) struct sign_key *b = NULL;

    assert_rc(sign_key_new(SUITE_ED25519_MLDSA65, &a, NULL), RC_OK);
    assert_rc(sign_key_new(SUITE_ED25519_MLDSA65, &b, NULL), RC_OK);
    assert_memory_not_equal(public_half(sign_key_public(a), 0).p,
                            public_half(sign_key_public(b), 0).p, 32);
    assert_memory_not_equal(public_half(sign_key_public(a), 1).p,
                            public_half(sign_key_public(b), 1).p, 1952);
}

static void test_signs_what_verifies(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(2, 2, K_OPERATOR_A);
    const enum doc_key both[] = { K_OPERATOR_A, K_OPERATOR_B };

    sign_order(both, 2);
    assert_rc(verify(one.bytes, &keys), RC_OK);
    sign_order(both, 1);
    assert_rc(verify(one.bytes, &keys), RC_THRESHOLD);
}

static void test_attach_reaches_the_threshold(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(3, 3, K_ROOT_A);
    const enum doc_key first = K_ROOT_B;
    const struct sign_key *rest[] = { doc_key(K_ROOT_C), doc_key(K_ROOT_A) };
    struct bytes more;
    struct envelope before, after;

    sign_order(&first, 1);
    assert_rc(
        sign_attach(DOC_ORDER, &doc_mission, one.bytes, rest, 2, other, sizeof other, &more, NULL),
        RC_OK);
    assert_rc(verify(more, &keys), RC_OK);
    assert_rc(envelope_open(one.bytes, &before, NULL), RC_OK);
    assert_rc(envelope_open(more, &after, NULL), RC_OK);
    assert_int_equal(after.n, 6);
    assert_true(bytes_equal(after.payload, before.payload));
    assert_true(bytes_equal(after.signature[1].signature, before.signature[1].signature));
}

static void test_attach_refuses(void **state)
{
    (void)state;
    const enum doc_key first = K_ROOT_A;
    const struct sign_key *again[] = { doc_key(K_ROOT_B), doc_key(K_ROOT_A) };
    struct bytes view = untouched();

    sign_order(&first, 1);
    assert_rc(
        sign_attach(DOC_ORDER, &doc_mission, one.bytes, again, 2, other, sizeof other, &view, NULL),
        RC_KEY_DUPLICATE);
    assert_rc(
        sign_attach(DOC_ORDER, &doc_mission, one.bytes, again, 0, other, sizeof other, &view, NULL),
        RC_THRESHOLD);
    assert_rc(sign_attach(DOC_ORDER, &doc_mission, one.bytes, again, 1, other, 100, &view, NULL),
              RC_NO_ROOM);
    assert_rc(sign_attach(DOC_ORDER, &doc_mission, one.payload, again, 1, other, sizeof other,
                          &view, NULL),
              RC_CBOR_TYPE);
    assert_untouched(view);
}

/* Attached as another type: the envelope is well-formed, and refused. */
static void test_attach_of_another_type(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(2, 2, K_ROOT_A);
    const enum doc_key first = K_ROOT_A;
    const struct sign_key *again[] = { doc_key(K_ROOT_B) };
    struct bytes view;

    sign_order(&first, 1);
    assert_rc(
        sign_attach(DOC_GRANT, &doc_mission, one.bytes, again, 1, other, sizeof other, &view, NULL),
        RC_OK);
    assert_rc(verify(view, &keys), RC_SIG_BAD);
}

static void test_sign_refuses(void **state)
{
    (void)state;
    const struct sign_key *keys[SIGNERS_MAX + 1];
    struct bytes view = untouched(), payload = bytes_of("x");

    for (size_t i = 0; i <= SIGNERS_MAX; i++)
        keys[i] = doc_key((enum doc_key)i);
    assert_rc(sign_document(DOC_ORDER, &doc_mission, (struct bytes){ 0 }, keys, 1, other,
                            sizeof other, &view, NULL),
              RC_TOO_LARGE);
    assert_rc(
        sign_document(DOC_ORDER, &doc_mission, payload, keys, 0, other, sizeof other, &view, NULL),
        RC_THRESHOLD);
    assert_rc(sign_document(DOC_ORDER, &doc_mission, payload, keys, SIGNERS_MAX + 1, other,
                            sizeof other, &view, NULL),
              RC_TOO_LARGE);
    assert_rc(sign_document(DOC_ORDER, &doc_mission, payload, keys, 1, other, 64, &view, NULL),
              RC_NO_ROOM);
    assert_untouched(view);
    assert_rc(sign_document(DOC_ORDER, &doc_mission, payload, keys, SIGNERS_MAX, other,
                            sizeof other, &view, NULL),
              RC_OK);
}

static void test_biggest_root_fits(void **state)
{
    (void)state;
    static struct root root;
    enum doc_key who[DOC_KEYS];
    struct err err;

    root = doc_root();
    root.root_keys = doc_key_set(SIGNERS_MAX, ROLE_KEYS_MAX, K_ROOT_A);
    root.operator_keys = doc_key_set(SIGNERS_MAX, ROLE_KEYS_MAX, K_ROOT_B);
    for (unsigned i = 0; i < SIGNERS_MAX; i++)
        who[i] = (enum doc_key)i;
    assert_rc(root_encode(&root, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
              RC_OK);
    doc_sign(&one, DOC_ROOT, &doc_mission, who, SIGNERS_MAX);
    assert_true(one.bytes.n < DOCUMENT_MAX);
}

static void test_sealing(void **state)
{
    (void)state;
    struct sign_key *key = doc_key(K_ACME);
    scoped(sign_key_free) struct sign_key *back = NULL;
    struct sign_sealed sealed, again;
    struct bytes pass = bytes_of("open sesame"), ad = bytes_of("acme");

    assert_rc(sign_key_seal(key, pass, ad, &sealed, NULL), RC_OK);
    assert_rc(sign_key_seal(key, pass, ad, &again, NULL), RC_OK);
    assert_memory_not_equal(sealed.box, again.box, sizeof sealed.box);
    assert_rc(sign_key_open(SUITE_ED25519_MLDSA65, &sealed, pass, ad, &back, NULL), RC_OK);
    assert_memory_equal(sign_key_public(back), sign_key_public(key), sizeof(struct public_key));
    sign_key_free(&back);
    assert_rc(
        sign_key_open(SUITE_ED25519_MLDSA65, &sealed, bytes_of("open sesamf"), ad, &back, NULL),
        RC_KEY_FILE);
    assert_rc(sign_key_open(SUITE_ED25519_MLDSA65, &sealed, (struct bytes){ 0 }, ad, &back, NULL),
              RC_KEY_FILE);
    assert_rc(sign_key_open(SUITE_ED25519_MLDSA65, &sealed, pass, bytes_of("acmf"), &back, NULL),
              RC_KEY_FILE);
    sealed.box[SIGN_BOX_SIZE - 1] ^= 1;
    assert_rc(sign_key_open(SUITE_ED25519_MLDSA65, &sealed, pass, ad, &back, NULL), RC_KEY_FILE);
    assert_null(back);
    again = sealed;
    assert_rc(sign_key_seal(key, (struct bytes){ 0 }, ad, &sealed, NULL), RC_KEY_FILE);
    assert_memory_equal(&sealed, &again, sizeof sealed);
}

/* The largest root in suite 2 that docs/wire/documents.md promises room for; a fuller one is not
 * handed out. */
static void test_room_for_the_largest_keys(void **state)
{
    (void)state;
    const enum doc_key six[] = { K_ROOT_A, K_ROOT_B, K_ROOT_C, K_NEXT_A, K_NEXT_B, K_OPERATOR_A };
    const struct sign_key *keys[8];
    struct key_set next;
    struct bytes view;

    doc_keys_free();
    doc_keys_suite = SUITE_MLDSA87;
    struct root root = doc_root();
    root.root_keys = doc_key_set(3, 5, K_ROOT_A);
    root.operator_keys = doc_key_set(3, 5, K_OPERATOR_A);
    next = doc_key_set(3, 5, K_NEXT_A);
    assert_rc(root_commit(&root, &next, NULL), RC_OK);
    assert_rc(root_encode(&root, one.payload_buf, sizeof one.payload_buf, &one.payload, NULL),
              RC_OK);
    doc_sign(&one, DOC_ROOT, &doc_mission, six, 6);
    root.root_keys = doc_key_set(3, 8, K_ROOT_A);
    root.operator_keys = doc_key_set(3, 8, K_NEXT_A);
    assert_rc(root_encode(&root, one.payload_buf, sizeof one.payload_buf, &one.payload, NULL),
              RC_OK);
    for (size_t i = 0; i < 8; i++)
        keys[i] = doc_key((enum doc_key)(K_ROOT_A + i));
    assert_int_not_equal(sign_document(DOC_ROOT, &doc_mission, one.payload, keys, 8, other,
                                       sizeof other, &view, NULL),
                         RC_OK);
    doc_keys_free();
    doc_keys_suite = SUITE_ED25519_MLDSA65;
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
        cmocka_unit_test(test_seeds_decide),
        cmocka_unit_test(test_ed25519_half_is_rfc_8032),
        cmocka_unit_test(test_new_keys_differ),
        cmocka_unit_test(test_signs_what_verifies),
        cmocka_unit_test(test_attach_reaches_the_threshold),
        cmocka_unit_test(test_attach_refuses),
        cmocka_unit_test(test_attach_of_another_type),
        cmocka_unit_test(test_sign_refuses),
        cmocka_unit_test(test_biggest_root_fits),
        cmocka_unit_test(test_sealing),
        cmocka_unit_test(test_room_for_the_largest_keys),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
