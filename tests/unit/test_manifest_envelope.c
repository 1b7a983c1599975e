/* SPDX-License-Identifier: Apache-2.0
 *
 * Envelopes under attack: every bit flipped, halves stripped, swapped, doubled and moved, other
 * types, missions and algorithms.  The payload here is an order, but nothing reads it.
 */
#include "tests/unit/test.h"

#include "base/cbor.h"
#include "base/crypto.h"
#include "tests/unit/documents.h"

static struct signed_doc one, two;
static uint8_t scratch[DOCUMENT_MAX + 1];

/* The parts of an envelope, to be rearranged. */
static struct envelope parts;

static void sign_order(struct signed_doc *ret, uint64_t generation, const enum doc_key *who,
                       size_t n)
{
    struct order order = doc_order();
    struct err err;

    order.generation = generation;
    doc_must(order_encode(&order, ret->payload_buf, sizeof ret->payload_buf, &ret->payload, &err),
             &err);
    doc_sign(ret, DOC_ORDER, &doc_mission, who, n);
}

#define signed_by(ret, generation, ...)                                                            \
    do {                                                                                           \
        const enum doc_key who_[] = { __VA_ARGS__ };                                               \
        sign_order(ret, generation, who_, sizeof who_ / sizeof who_[0]);                           \
    } while (0)

static enum rc verify_bytes(struct bytes in, const struct key_set *keys)
{
    struct envelope e;
    struct err err;

    enum rc rc = envelope_open(in, &e, &err);
    return rc == RC_OK ? envelope_verify(&e, DOC_ORDER, &doc_mission, keys, &err) : rc;
}

/* Write the rearranged parts as an envelope, and verify that. */
static enum rc verify_parts(const struct key_set *keys)
{
    struct bytes view;

    assert_rc(envelope_encode(&parts, scratch, sizeof scratch, &view, NULL), RC_OK);
    return verify_bytes(view, keys);
}

static void test_good(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(2, 3, K_ROOT_A);
    struct envelope e;
    struct bytes again;

    signed_by(&one, 1, K_ROOT_B, K_ROOT_C);
    assert_rc(verify_bytes(one.bytes, &keys), RC_OK);
    assert_rc(envelope_open(one.bytes, &e, NULL), RC_OK);
    assert_int_equal(e.n, 4);
    assert_int_equal(e.signature[0].algorithm, COSE_ALG_ED25519);
    assert_int_equal(e.signature[1].algorithm, COSE_ALG_MLDSA65);
    assert_true(bytes_equal(e.payload, one.payload));
    assert_rc(envelope_encode(&e, scratch, sizeof scratch, &again, NULL), RC_OK);
    assert_true(bytes_equal(again, one.bytes));
}

static void test_every_bit_counts(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(1, 2, K_OPERATOR_A);
    struct bytes in;

    signed_by(&one, 1, K_OPERATOR_A);
    memcpy(scratch, one.bytes.p, one.bytes.n);
    in = (struct bytes){ scratch, one.bytes.n };
    /* Of the long signature every seventh bit: each takes a verification. */
    for (size_t bit = 0;
         bit<in.n * 8; bit += bit / 8 + MLDSA65_SIGNATURE_SIZE> in.n && bit / 8 + 64 < in.n ? 7
                                                                                            : 1) {
        scratch[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (verify_bytes(in, &keys) == RC_OK)
            fail_msg("bit %zu of byte %zu does not matter", bit % 8, bit / 8);
        scratch[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_rc(verify_bytes(in, &keys), RC_OK);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct envelope e, before;

    signed_by(&one, 1, K_OPERATOR_A);
    memset(&e, 0x5a, sizeof e);
    before = e;
    for (size_t n = 0; n < one.bytes.n; n++) {
        assert_int_not_equal(envelope_open((struct bytes){ one.buf, n }, &e, NULL), RC_OK);
        assert_memory_equal(&e, &before, sizeof e);
    }
    memcpy(scratch, one.bytes.p, one.bytes.n);
    scratch[one.bytes.n] = 0;
    assert_rc(envelope_open((struct bytes){ scratch, one.bytes.n + 1 }, &e, NULL), RC_TRAILING);
    assert_rc(envelope_open((struct bytes){ scratch, sizeof scratch }, &e, NULL), RC_TOO_LARGE);
    assert_memory_equal(&e, &before, sizeof e);
}

/* ---- what a thief can rearrange: one is signed by A, two is another order signed by A ---- */

static void other_parts(struct envelope *ret)
{
    assert_rc(envelope_open(two.bytes, ret, NULL), RC_OK);
}

static void strip_ed25519(void)
{
    parts.signature[0] = parts.signature[1];
    parts.n = 1;
}

static void strip_mldsa65(void)
{
    parts.n = 1;
}

static void move_ed25519(void)
{
    struct envelope other;

    other_parts(&other);
    parts.signature[0] = other.signature[0];
}

static void move_mldsa65(void)
{
    struct envelope other;

    other_parts(&other);
    parts.signature[1] = other.signature[1];
}

static void move_payload(void)
{
    struct envelope other;

    other_parts(&other);
    parts.payload = other.payload;
}

static void same_entry_twice(void)
{
    parts.signature[2] = parts.signature[0];
    parts.n = 3;
}

static void same_key_twice(void)
{
    parts.signature[2] = parts.signature[0];
    parts.signature[3] = parts.signature[1];
    parts.n = 4;
}

static void half_instead_of_the_other(void)
{
    parts.signature[1] = parts.signature[0];
}

static void swap_signatures(void)
{
    struct bytes s = parts.signature[0].signature;

    parts.signature[0].signature = parts.signature[1].signature;
    parts.signature[1].signature = s;
}

static void claim_other_algorithm(void)
{
    struct bytes h = parts.signature[0].protected_header;

    parts.signature[0].protected_header = parts.signature[1].protected_header;
    parts.signature[1].protected_header = h;
}

static uint8_t header_buf[64];

static void claim_algorithm(int64_t algorithm)
{
    assert_rc(envelope_entry_header(algorithm, header_buf, sizeof header_buf,
                                    &parts.signature[1].protected_header, NULL),
              RC_OK);
}

static void claim_es256(void)
{
    claim_algorithm(-7);
}

static void claim_mldsa44(void)
{
    claim_algorithm(-48);
}

static void claim_eddsa(void)
{
    claim_algorithm(-8); /* the old, polymorphic number of Ed25519 */
}

static void other_suite(void)
{
    assert_rc(envelope_body_header(2, header_buf, sizeof header_buf, &parts.protected_header, NULL),
              RC_OK);
}

static void no_suite(void)
{
    header_buf[0] = 0xa0;
    parts.protected_header = (struct bytes){ header_buf, 1 };
}

static uint8_t longer[MLDSA65_SIGNATURE_SIZE];

static void longer_ed25519(void)
{
    memcpy(longer, parts.signature[0].signature.p, ED25519_SIGNATURE_SIZE);
    longer[ED25519_SIGNATURE_SIZE] = 0;
    parts.signature[0].signature = (struct bytes){ longer, ED25519_SIGNATURE_SIZE + 1 };
}

static void shorter_ed25519(void)
{
    parts.signature[0].signature.n--;
}

static void shorter_mldsa65(void)
{
    parts.signature[1].signature.n--;
}

static void zero_ed25519(void)
{
    memset(longer, 0, sizeof longer);
    parts.signature[0].signature = (struct bytes){ longer, ED25519_SIGNATURE_SIZE };
}

static void zero_mldsa65(void)
{
    memset(longer, 0, sizeof longer);
    parts.signature[1].signature = (struct bytes){ longer, sizeof longer };
}

/* S + L is the same number to a verifier that does not ask for the smallest (RFC 8032 section
 * 5.1.7). */
static void ed25519_s_plus_l(void)
{
    static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                       0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                       0,    0,    0,    0,    0,    0,    0,    0,
                                       0,    0,    0,    0,    0,    0,    0,    0x10 };
    unsigned carry = 0;

    memcpy(longer, parts.signature[0].signature.p, ED25519_SIGNATURE_SIZE);
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)longer[32 + i] + order[i];
        longer[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    parts.signature[0].signature = (struct bytes){ longer, ED25519_SIGNATURE_SIZE };
}

static void stranger_in_front(void)
{
    static uint8_t id[KEY_ID_SIZE] = { 1 };

    parts.signature[2] = parts.signature[1];
    parts.signature[1] = parts.signature[0];
    parts.signature[0].key_id = (struct bytes){ id, sizeof id };
    parts.n = 3;
}

static void nothing(void)
{
}

static const struct {
    const char *why;
    void (*attack)(void);
    enum rc rc;
} attacks[] = {
    { "left alone", nothing, RC_OK },
    { "Ed25519 half stripped", strip_ed25519, RC_SIG_MISSING_HALF },
    { "ML-DSA-65 half stripped", strip_mldsa65, RC_SIG_MISSING_HALF },
    { "Ed25519 half of another order", move_ed25519, RC_SIG_BAD },
    { "ML-DSA-65 half of another order", move_mldsa65, RC_SIG_BAD },
    { "signatures on another payload", move_payload, RC_SIG_BAD },
    { "one entry twice", same_entry_twice, RC_KEY_DUPLICATE },
    { "one key twice", same_key_twice, RC_KEY_DUPLICATE },
    { "one half in place of the other", half_instead_of_the_other, RC_KEY_DUPLICATE },
    { "signatures swapped", swap_signatures, RC_SIG_BAD },
    { "algorithms swapped", claim_other_algorithm, RC_SIG_BAD },
    { "ES256 claimed", claim_es256, RC_ALGORITHM },
    { "ML-DSA-44 claimed", claim_mldsa44, RC_ALGORITHM },
    { "EdDSA of the old number claimed", claim_eddsa, RC_ALGORITHM },
    { "another suite named", other_suite, RC_SUITE_UNKNOWN },
    { "no suite named", no_suite, RC_SUITE_UNKNOWN },
    { "byte after the Ed25519 signature", longer_ed25519, RC_SIG_BAD },
    { "Ed25519 signature cut", shorter_ed25519, RC_SIG_BAD },
    { "ML-DSA-65 signature cut", shorter_mldsa65, RC_SIG_BAD },
    { "Ed25519 signature of zeros", zero_ed25519, RC_SIG_BAD },
    { "ML-DSA-65 signature of zeros", zero_mldsa65, RC_SIG_BAD },
    { "Ed25519 S not canonical", ed25519_s_plus_l, RC_SIG_BAD },
    { "entry of an unknown key beside good ones", stranger_in_front, RC_OK },
};

static void test_rearrangements(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(1, 2, K_OPERATOR_A);
    unsigned wrong = 0;

    signed_by(&one, 1, K_OPERATOR_A);
    signed_by(&two, 2, K_OPERATOR_A);
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        assert_rc(envelope_open(one.bytes, &parts, NULL), RC_OK);
        attacks[i].attack();
        enum rc rc = verify_parts(&keys);
        if (rc != attacks[i].rc)
            print_error("%s: got %s\n", attacks[i].why, rc_name(rc));
        wrong += rc != attacks[i].rc;
    }
    assert_int_equal(wrong, 0);
}

/* ---- form ---- */

/* clang-format off */
static const struct {
    const char *why;
    const char *hex;
    enum rc rc;
} forms[] = {
    { "nothing", "", RC_SHORT },
    { "four parts of which the last is a map", "8441a0a04101a0", RC_CBOR_TYPE },
    { "empty list of signatures", "8441a0a0410180", RC_CBOR_COUNT },
    { "three parts", "8341a0a04101", RC_CBOR_COUNT },
    { "tagged (98)", "d8628441a0a0410180", RC_CBOR_TAG },
    { "payload detached", "8441a0a0f680", RC_CBOR_TYPE },
    { "payload empty", "8441a0a04080", RC_VALUE },
    { "unprotected header of the body", "8441a0a10101410180", RC_CBOR_COUNT },
    { "2^28 signatures announced", "8441a0a041019a10000000", RC_CBOR_COUNT },
    { "no key id", "8441a0a04101818343a10132a04101", RC_ENVELOPE },
    { "key id of 8 bytes", "8441a0a04101818343a10132a104480000000000000000" "4101", RC_VALUE },
    { "another unprotected header", "8441a0a04101818343a10132a1055000000000000000000000000000000000" "4101", RC_ENVELOPE },
    { "empty signature", "8441a0a04101818343a10132a1045000000000000000000000000000000000" "40", RC_VALUE },
    { "no algorithm", "8441a0a04101818341a0a1045000000000000000000000000000000000" "4101", RC_ENVELOPE },
    { "algorithm as text", "8441a0a04101818344a1016161a1045000000000000000000000000000000000" "4101", RC_CBOR_TYPE },
    { "bytes after the entry header", "8441a0a04101818344a1013200a1045000000000000000000000000000000000" "4101", RC_TRAILING },
    { "well-formed, of nobody", "8441a0a04101818343a10132a1045000000000000000000000000000000000" "4101", RC_KEY_UNKNOWN },
};
/* clang-format on */

static void test_forms(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(1, 1, K_OPERATOR_A);
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        size_t n = strlen(forms[i].hex) / 2;

        assert_true(bytes_unhex(forms[i].hex, scratch, n));
        enum rc rc = verify_bytes((struct bytes){ scratch, n }, &keys);
        if (rc != forms[i].rc)
            print_error("%s: got %s\n", forms[i].why, rc_name(rc));
        wrong += rc != forms[i].rc;
    }
    assert_int_equal(wrong, 0);
}

/* ---- who, what, where ---- */

static void test_thresholds(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(2, 3, K_ROOT_A);

    signed_by(&one, 1, K_ROOT_A);
    assert_rc(verify_bytes(one.bytes, &keys), RC_THRESHOLD);
    signed_by(&one, 1, K_ROOT_A, K_STRANGER);
    assert_rc(verify_bytes(one.bytes, &keys), RC_THRESHOLD);
    signed_by(&one, 1, K_STRANGER);
    assert_rc(verify_bytes(one.bytes, &keys), RC_KEY_UNKNOWN);
    signed_by(&one, 1, K_STRANGER, K_ROOT_C, K_ROOT_A);
    assert_rc(verify_bytes(one.bytes, &keys), RC_OK);
    keys.threshold = 0;
    assert_rc(verify_bytes(one.bytes, &keys), RC_THRESHOLD_INVALID);
    keys.threshold = 4;
    assert_rc(verify_bytes(one.bytes, &keys), RC_THRESHOLD_INVALID);
    keys.n = 0;
    assert_rc(verify_bytes(one.bytes, &keys), RC_THRESHOLD_INVALID);
    keys = doc_key_set(2, 3, K_ROOT_A);
    keys.key[1] = keys.key[0];
    assert_rc(verify_bytes(one.bytes, &keys), RC_KEY_DUPLICATE);
}

/* A key whose id is right and whose halves are another's: only possible by a broken key store. */
static void test_key_record_decides(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(1, 1, K_OPERATOR_A);
    struct public_key other = *sign_key_public(doc_key(K_OPERATOR_B));

    signed_by(&one, 1, K_OPERATOR_A);
    memcpy(doc_half(&keys.key[0], 1), public_half(&other, 1).p, MLDSA65_PUBLIC_SIZE);
    assert_rc(verify_bytes(one.bytes, &keys), RC_SIG_BAD);
    keys = doc_key_set(1, 1, K_OPERATOR_A);
    memcpy(doc_half(&keys.key[0], 0), public_half(&other, 0).p, ED25519_PUBLIC_SIZE);
    assert_rc(verify_bytes(one.bytes, &keys), RC_SIG_BAD);
    memset(doc_half(&keys.key[0], 0), 0, ED25519_PUBLIC_SIZE); /* a point of small order */
    assert_rc(verify_bytes(one.bytes, &keys), RC_SIG_BAD);
    keys.key[0].suite = (enum suite)3;
    assert_rc(verify_bytes(one.bytes, &keys), RC_SUITE_UNKNOWN);
}

static void test_other_types_and_missions(void **state)
{
    (void)state;
    struct key_set keys = doc_key_set(1, 1, K_OPERATOR_A);
    struct envelope e;

    signed_by(&one, 1, K_OPERATOR_A);
    assert_rc(envelope_open(one.bytes, &e, NULL), RC_OK);
    for (unsigned type = 0; type <= DOC_REPORT + 1; type++)
        assert_rc(envelope_verify(&e, (enum doc_type)type, &doc_mission, &keys, NULL),
                  type == DOC_ORDER ? RC_OK : RC_SIG_BAD);
    assert_rc(envelope_verify(&e, DOC_ORDER, &other_mission, &keys, NULL), RC_SIG_BAD);
}

/* The bytes that are signed, written down by hand from RFC 9052 section 4.4. */
static void test_bytes_to_sign(void **state)
{
    (void)state;
    uint8_t body[64], entry[64], message[256], want[256];
    struct bytes b, e, got;
    static const char hex[] = "85695369676e6174757265"
                              "4ea202813a000100003a0001000001"
                              "44a1013830"
                              "581a84656265727468040150"
                              "62657274682d746573742d666c656574"
                              "43010203";

    assert_rc(envelope_body_header(ENVELOPE_PROFILE, body, sizeof body, &b, NULL), RC_OK);
    assert_rc(envelope_entry_header(COSE_ALG_MLDSA65, entry, sizeof entry, &e, NULL), RC_OK);
    parts = (struct envelope){ .protected_header = b, .payload = bytes_of("\1\2\3") };
    assert_rc(
        envelope_to_sign(DOC_ORDER, &doc_mission, &parts, e, message, sizeof message, &got, NULL),
        RC_OK);
    assert_true(bytes_unhex(hex, want, strlen(hex) / 2));
    assert_int_equal(got.n, strlen(hex) / 2);
    assert_memory_equal(got.p, want, got.n);
    assert_rc(envelope_to_sign(DOC_ORDER, &doc_mission, &parts, e, message, 16, &got, NULL),
              RC_NO_ROOM);
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
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_rearrangements),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_thresholds),
        cmocka_unit_test(test_key_record_decides),
        cmocka_unit_test(test_other_types_and_missions),
        cmocka_unit_test(test_bytes_to_sign),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
