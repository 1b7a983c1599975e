/* SPDX-License-Identifier: Apache-2.0
 *
 * Rekeys: what is refused, what an attacker may do with one, and that nothing opens elsewhere.
 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "manifest/trust.h"
#include "tests/unit/documents.h"

#define NUMBER 7

static uint8_t buf[DOCUMENT_MAX];
static struct signed_doc evil, good;
static struct rekey rekey;
static struct rekey_keys keys;

static void hold_keys(void)
{
    keys = (struct rekey_keys){ .n_kems = 2, .n_masters = 2 };
    memset(keys.kem[0], 0x01, sizeof keys.kem[0]); /* it is the second that fits */
    memcpy(keys.kem[1], doc_kem_seed, sizeof keys.kem[1]);
    memset(keys.master[0], 0x01, sizeof keys.master[0]);
    memcpy(keys.master[1], doc_master, sizeof keys.master[1]);
}

/* ---- values ---- */

static void v_satellite(void)
{
    rekey.satellite[0] = '-';
}

static void v_number(void)
{
    rekey.number = 0;
}

static void v_number_max(void)
{
    rekey.number = UINT64_MAX;
}

static void v_issued(void)
{
    rekey.issued_ms = 0;
}

static void v_recipient(void)
{
    rekey.recipient = (enum rekey_recipient)3;
}

static void v_nobody(void)
{
    rekey.recipient = REKEY_NOBODY;
}

static void v_nobody_named(void)
{
    rekey.entry[0] = rekey.entry[3];
    rekey.n = 1;
    rekey.recipient = REKEY_NOBODY;
    memset(rekey.sealed, 0, sizeof rekey.sealed);
}

static void v_only_new_kem(void)
{
    rekey.entry[0] = rekey.entry[3];
    rekey.n = 1;
}

static void v_key_id(void)
{
    memset(rekey.key_id, 0, sizeof rekey.key_id);
}

static void v_sealed_for_master(void)
{
    rekey.recipient = REKEY_MASTER;
}

static void v_none(void)
{
    rekey.n = 0;
}

static void v_many(void)
{
    rekey.n = REKEY_ENTRIES_MAX + 1;
}

static void v_what(void)
{
    rekey.entry[3].what = (enum rekey_what)5;
}

static void v_what_0(void)
{
    rekey.entry[0].what = (enum rekey_what)0;
}

static void v_peer(void)
{
    rekey.entry[0].peer = 0;
}

static void v_master_peer(void)
{
    rekey.entry[2].peer = 1;
}

static void v_tenant(void)
{
    rekey.entry[1].tenant[0] = '\0';
}

static void v_link_tenant(void)
{
    rekey.entry[0].tenant[0] = 'a';
}

static void v_epoch(void)
{
    rekey.entry[2].epoch = 0;
}

static void v_kem_epoch(void)
{
    rekey.entry[3].epoch = 1;
}

static void v_kem_wrapped(void)
{
    rekey.entry[3].wrapped[39] = 1;
}

static void v_unsorted(void)
{
    rekey.entry[0].peer = 2;
    rekey.entry[1] = rekey.entry[0];
    rekey.entry[1].peer = 1;
}

static void v_twice(void)
{
    rekey.entry[1] = rekey.entry[0];
    rekey.entry[1].epoch = 9;
}

static const struct {
    const char *why;
    void (*edit)(void);
    enum rc rc;
} values[] = {
    { "satellite that is no name", v_satellite, RC_NAME },
    { "number 0", v_number, RC_VALUE },
    { "number above 2^63", v_number_max, RC_VALUE },
    { "no time", v_issued, RC_VALUE },
    { "unknown recipient", v_recipient, RC_VALUE },
    { "secrets for nobody", v_nobody, RC_VALUE },
    { "nobody with a name", v_nobody_named, RC_VALUE },
    { "no secret, for somebody", v_only_new_kem, RC_VALUE },
    { "no key named", v_key_id, RC_VALUE },
    { "ciphertext beside a master key", v_sealed_for_master, RC_VALUE },
    { "no entry", v_none, RC_VALUE },
    { "too many entries", v_many, RC_VALUE },
    { "unknown kind", v_what, RC_VALUE },
    { "kind 0", v_what_0, RC_VALUE },
    { "link with node 0", v_peer, RC_VALUE },
    { "master key with a peer", v_master_peer, RC_VALUE },
    { "tenant's link without tenant", v_tenant, RC_NAME },
    { "link with a tenant", v_link_tenant, RC_NAME },
    { "epoch 0", v_epoch, RC_VALUE },
    { "KEM pair with an epoch", v_kem_epoch, RC_VALUE },
    { "KEM pair with a secret", v_kem_wrapped, RC_VALUE },
    { "unsorted", v_unsorted, RC_CBOR_ORDER },
    { "the same key twice", v_twice, RC_CBOR_ORDER },
};

static void nonsense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct bytes view = { 0 };

        rekey = doc_rekey(REKEY_KEM);
        values[i].edit();
        enum rc rc = rekey_encode(&rekey, buf, sizeof buf, &view, NULL);
        if (rc != values[i].rc)
            fail_msg("%s: %s", values[i].why, rc_name(rc));
        assert_null(view.p);
    }
}

/* ---- bytes ---- */

static size_t encoded(enum rekey_recipient recipient)
{
    struct bytes view = { 0 };

    rekey = doc_rekey(recipient);
    assert_rc(rekey_encode(&rekey, buf, sizeof buf, &view, NULL), RC_OK);
    return view.n;
}

static void what_was_written_is_read(void **state)
{
    static struct rekey got;

    (void)state;
    for (enum rekey_recipient who = REKEY_KEM; who <= REKEY_MASTER; who++) {
        size_t n = encoded(who);

        memset(&got, 0xee, sizeof got);
        assert_rc(rekey_decode((struct bytes){ buf, n }, &got, NULL), RC_OK);
        assert_memory_equal(&got, &rekey, sizeof got);
        /* Cut anywhere, or one byte longer: nothing comes out. */
        memset(&got, 0xee, sizeof got);
        for (size_t cut = 0; cut <= n + 1; cut++)
            if (cut != n && rekey_decode((struct bytes){ buf, cut }, &got, NULL) == RC_OK)
                fail_msg("%zu bytes of %zu", cut, n);
        assert_int_equal(((const uint8_t *)&got)[0], 0xee);
    }
}

/* A rekey of one link under the master key is what goes up most often. */
static void a_link_rekey_is_small(void **state)
{
    struct bytes view = { 0 };

    (void)state;
    rekey = doc_rekey(REKEY_MASTER);
    rekey.n = 1;
    assert_rc(rekey_encode(&rekey, buf, sizeof buf, &view, NULL), RC_OK);
    print_message("link rekey under the master key: %zu bytes of content\n", view.n);
    assert_true(view.n <= 110);
    rekey = doc_rekey(REKEY_KEM);
    rekey.n = 1;
    assert_rc(rekey_encode(&rekey, buf, sizeof buf, &view, NULL), RC_OK);
    print_message("link rekey under the KEM key: %zu bytes of content\n", view.n);
    assert_true(view.n <= 1240);
    rekey.n = 4;
    doc_signed(&evil, DOC_REKEY, rekey_encode, &rekey, K_OPERATOR_A, K_OPERATOR_B);
    assert_true(evil.bytes.n <= 8192); /* all kinds, two signers: one bundle */
}

static const struct {
    const char *why;
    const char *hex;
    enum rc rc;
} encodings[] = {
    { "new KEM pair, for nobody: the control",
      "a60082080101686175726f72612d310207031b0000018bcfe5680004810005818104", RC_OK },
    { "another type", "a60082070101686175726f72612d310207031b0000018bcfe5680004810005818104",
      RC_DOC_TYPE },
    { "format 2", "a60082080201686175726f72612d310207031b0000018bcfe5680004810005818104",
      RC_DOC_VERSION },
    { "nobody with more to say",
      "a60082080101686175726f72612d310207031b0000018bcfe568000482000005818104", RC_CBOR_COUNT },
    { "recipient 3", "a60082080101686175726f72612d310207031b0000018bcfe5680004810305818104",
      RC_VALUE },
    { "recipient as list of none",
      "a60082080101686175726f72612d310207031b0000018bcfe56800048005818104", RC_CBOR_COUNT },
    { "short id", "a60082080101686175726f72612d310207031b0000018bcfe568000482024101058181 04",
      RC_VALUE },
    { "entry of kind 0", "a60082080101686175726f72612d310207031b0000018bcfe5680004810005818100",
      RC_VALUE },
    { "entry of kind 5", "a60082080101686175726f72612d310207031b0000018bcfe5680004810005818105",
      RC_VALUE },
    { "master entry without secret",
      "a60082080101686175726f72612d310207031b0000018bcfe5680004810005818103", RC_CBOR_COUNT },
    { "no entries", "a60082080101686175726f72612d310207031b0000018bcfe56800048100 0580",
      RC_CBOR_COUNT },
    { "number with a tag", "a60082080101686175726f72612d3102c107031b0000018bcfe5680004810005818104",
      RC_CBOR_TAG },
    { "one key more", "a70082080101686175726f72612d310207031b0000018bcfe56800048100058181040600",
      RC_CBOR_UNKNOWN_KEY },
};

static void bytes_that_are_no_rekey_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof encodings / sizeof encodings[0]; i++) {
        char hex[200];
        size_t n = 0;

        for (const char *c = encodings[i].hex; *c; c++)
            if (*c != ' ')
                hex[n++] = *c;
        hex[n] = '\0';
        assert_true(bytes_unhex(hex, buf, n / 2));
        enum rc rc = rekey_decode((struct bytes){ buf, n / 2 }, &rekey, NULL);
        if (rc != encodings[i].rc)
            fail_msg("%s: %s", encodings[i].why, rc_name(rc));
    }
}

/* ---- opening ---- */

static void both_recipients_open_all(void **state)
{
    uint8_t want[REKEY_SECRET_SIZE];
    static const uint8_t zero[REKEY_SECRET_SIZE];

    (void)state;
    hold_keys();
    for (enum rekey_recipient who = REKEY_KEM; who <= REKEY_MASTER; who++) {
        struct rekey_opened opened = { 0 };

        rekey = doc_rekey(who);
        assert_rc(rekey_open(&rekey, &doc_mission, &keys, &opened, NULL), RC_OK);
        assert_int_equal(opened.which, 1);
        assert_int_equal(opened.n, 4);
        for (uint32_t i = 0; i < 3; i++) {
            doc_rekey_secret(i, want);
            assert_memory_equal(opened.secret[i], want, sizeof want);
        }
        assert_memory_equal(opened.secret[3], zero, sizeof zero);
        rekey_opened_wipe(&opened);
    }
}

static void w_other_mission(void)
{
}

static void w_satellite(void)
{
    memcpy(rekey.satellite, "aurora-2", 9);
}

static void w_number(void)
{
    rekey.number++;
}

static void w_peer(void)
{
    rekey.entry[0].peer = 9;
}

static void w_epoch(void)
{
    rekey.entry[0].epoch++;
}

static void w_master_epoch(void)
{
    rekey.entry[2].epoch++;
}

static void w_tenant(void)
{
    memcpy(rekey.entry[1].tenant, "acne", 5);
}

static void w_swapped(void)
{
    uint8_t first[REKEY_WRAPPED_SIZE];

    memcpy(first, rekey.entry[0].wrapped, sizeof first);
    memcpy(rekey.entry[0].wrapped, rekey.entry[1].wrapped, sizeof first);
    memcpy(rekey.entry[1].wrapped, first, sizeof first);
}

static void w_flipped(void)
{
    rekey.entry[1].wrapped[17] ^= 0x10;
}

static void w_sealed_mlkem(void)
{
    rekey.sealed[700] ^= 1;
}

static void w_sealed_x25519(void)
{
    rekey.sealed[1119] ^= 1;
}

static void w_small_order(void)
{
    memset(rekey.sealed + 1088, 0, 32);
}

static void w_unknown_kem(void)
{
    rekey.key_id[0] ^= 1;
}

static void w_other_kem_named(void)
{
    uint8_t public_half[KEM_PUBLIC_SIZE];

    assert_rc(kem_public(keys.kem[0], public_half, NULL), RC_OK);
    assert_rc(kem_id(public_half, rekey.key_id, NULL), RC_OK);
}

static void w_master_unknown(void)
{
    rekey = doc_rekey(REKEY_MASTER);
    rekey.key_id[15] ^= 1;
}

static void w_master_other(void)
{
    rekey = doc_rekey(REKEY_MASTER);
    assert_rc(rekey_master_id(keys.master[0], rekey.key_id, NULL), RC_OK);
}

static void w_no_keys(void)
{
    keys.n_kems = 0;
}

static const struct {
    const char *attack;
    void (*make)(void);
    enum rc rc;
} wraps[] = {
    { "to another mission", w_other_mission, RC_REKEY_UNWRAP },
    { "to another satellite", w_satellite, RC_REKEY_UNWRAP },
    { "under another number", w_number, RC_REKEY_UNWRAP },
    { "to another peer", w_peer, RC_REKEY_UNWRAP },
    { "under another epoch", w_epoch, RC_REKEY_UNWRAP },
    { "under another epoch, third entry", w_master_epoch, RC_REKEY_UNWRAP },
    { "to another tenant", w_tenant, RC_REKEY_UNWRAP },
    { "secrets of two entries swapped", w_swapped, RC_REKEY_UNWRAP },
    { "one bit of a wrapped key", w_flipped, RC_REKEY_UNWRAP },
    { "one bit of the ciphertext, ML-KEM", w_sealed_mlkem, RC_REKEY_UNWRAP },
    { "one bit of the ciphertext, X25519", w_sealed_x25519, RC_REKEY_UNWRAP },
    { "ciphertext with a point of small order", w_small_order, RC_REKEY_UNWRAP },
    { "wrapped for a KEM key that is not held", w_unknown_kem, RC_REKEY_RECIPIENT },
    { "wrapped for another KEM key than it says", w_other_kem_named, RC_REKEY_UNWRAP },
    { "wrapped for a master key that is not held", w_master_unknown, RC_REKEY_RECIPIENT },
    { "wrapped for another master key than it says", w_master_other, RC_REKEY_UNWRAP },
    { "no KEM key held at all", w_no_keys, RC_REKEY_RECIPIENT },
};

/* Even where the signature held, no secret opens in another place than its own. */
static void nothing_opens_elsewhere(void **state)
{
    static const struct rekey_opened nothing;

    (void)state;
    for (size_t i = 0; i < sizeof wraps / sizeof wraps[0]; i++) {
        struct rekey_opened opened = { 0 };
        struct err err;

        hold_keys();
        rekey = doc_rekey(REKEY_KEM);
        wraps[i].make();
        enum rc rc =
            rekey_open(&rekey, i == 0 ? &other_mission : &doc_mission, &keys, &opened, &err);
        if (rc != wraps[i].rc)
            fail_msg("%s: %s", wraps[i].attack, rc_name(rc));
        assert_memory_equal(&opened, &nothing, sizeof opened); /* no half of it either */
    }
}

/* ---- trust ---- */

static struct trust *new_trust(void)
{
    struct root root = doc_root();
    struct trust *t = NULL;

    root.operator_keys = doc_key_set(2, 2, K_OPERATOR_A);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(evil.bytes, &t, NULL), RC_OK);
    return t;
}

static void sign_evil(const struct mission *mission, enum doc_type type, enum doc_key a,
                      enum doc_key b)
{
    const enum doc_key who[] = { a, b };

    assert_rc(rekey_encode(&rekey, evil.payload_buf, sizeof evil.payload_buf, &evil.payload, NULL),
              RC_OK);
    doc_sign(&evil, type, mission, who, a == b ? 1 : 2);
}

static void a_good(void)
{
    rekey.number = NUMBER + 1;
    sign_evil(&doc_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_B);
}

static void a_flip(size_t back)
{
    a_good();
    evil.buf[evil.bytes.n - back] ^= 1;
}

static void a_control(void)
{
    a_good();
}

static void a_jump(void)
{
    rekey.number = INT64_MAX;
    sign_evil(&doc_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_B);
}

static void a_again(void)
{
    evil = good;
}

static void a_same_number(void)
{
    rekey.issued_ms++;
    sign_evil(&doc_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_B);
}

static void a_replay(void)
{
    rekey.number = NUMBER - 1;
    sign_evil(&doc_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_B);
}

static void a_other_satellite(void)
{
    memcpy(rekey.satellite, "aurora-2", 9);
    a_good();
}

static void a_tenant_signs(void)
{
    rekey.number++;
    sign_evil(&doc_mission, DOC_REKEY, K_ACME, K_ZENITH);
}

static void a_root_signs(void)
{
    rekey.number++;
    sign_evil(&doc_mission, DOC_REKEY, K_ROOT_A, K_ROOT_B);
}

static void a_one_of_two(void)
{
    rekey.number++;
    sign_evil(&doc_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_A);
}

static void a_other_mission(void)
{
    rekey.number++;
    sign_evil(&other_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_B);
}

static void a_signed_as_order(void)
{
    rekey.number++;
    sign_evil(&doc_mission, DOC_ORDER, K_OPERATOR_A, K_OPERATOR_B);
}

static void a_order_as_rekey(void)
{
    struct order order = doc_order();
    const enum doc_key who[] = { K_OPERATOR_A, K_OPERATOR_B };

    assert_rc(order_encode(&order, evil.payload_buf, sizeof evil.payload_buf, &evil.payload, NULL),
              RC_OK);
    doc_sign(&evil, DOC_REKEY, &doc_mission, who, 2);
}

static void a_flipped_payload(void)
{
    static const uint8_t satellite[] = "aurora-1";

    a_good();
    uint8_t *at = memmem(evil.buf, evil.bytes.n, satellite, 8);
    assert_non_null(at);
    at[300] ^= 1; /* in the ciphertext */
}

static void a_flipped_signature(void)
{
    a_flip(1);
}

static void a_truncated(void)
{
    a_good();
    evil.bytes.n--;
}

static void a_truncated_wrap(void)
{
    a_good();
    /* The last wrapped key is 39 bytes long: 0x58 0x27. */
    static const uint8_t head[] = { 0x83, 0x03, 0x03, 0x58, 0x28 };
    uint8_t *at = memmem(evil.payload_buf, evil.payload.n, head, sizeof head);
    const enum doc_key who[] = { K_OPERATOR_A, K_OPERATOR_B };

    assert_non_null(at);
    at[4] = 0x27;
    memmove(at + 44, at + 45, (size_t)(evil.payload_buf + evil.payload.n - (at + 45)));
    evil.payload.n--;
    doc_sign(&evil, DOC_REKEY, &doc_mission, who, 2);
}

static void a_far_future(void)
{
    rekey.issued_ms = ISSUED_MS + 2 * TRUST_AHEAD_MAX_MS;
    a_good();
}

static const struct {
    const char *attack;
    void (*make)(void);
    enum rc rc;
} attacks[] = {
    { "none: the control", a_control, RC_OK },
    { "number jumps to the end: taken, until the operator role begins anew", a_jump, RC_OK },
    { "the one taken, again: nothing new", a_again, RC_OK },
    { "same number, other content", a_same_number, RC_EQUIVOCATION },
    { "an older one replayed", a_replay, RC_REKEY_OLD },
    { "another satellite's", a_other_satellite, RC_ORDER_TARGET },
    { "signed by tenants", a_tenant_signs, RC_KEY_UNKNOWN },
    { "signed by the root role", a_root_signs, RC_KEY_UNKNOWN },
    { "signed by one operator of two", a_one_of_two, RC_THRESHOLD },
    { "for another mission", a_other_mission, RC_SIG_BAD },
    { "signed as an order", a_signed_as_order, RC_SIG_BAD },
    { "an order signed as a rekey", a_order_as_rekey, RC_DOC_TYPE },
    { "one bit of the ciphertext", a_flipped_payload, RC_SIG_BAD },
    { "last bit of the last signature", a_flipped_signature, RC_SIG_BAD },
    { "cut by a byte", a_truncated, RC_SHORT },
    { "a wrapped key cut by a byte", a_truncated_wrap, RC_VALUE },
    { "issued ten years ahead", a_far_future, RC_TIME_JUMP },
};

static struct digest good_digest;

static struct rekey_position a_position(void)
{
    return (struct rekey_position){
        .satellite = "aurora-1",
        .number = NUMBER,
        .digest = &good_digest,
        .issued_ms = ISSUED_MS,
    };
}

static void attacks_are_refused(void **state)
{
    struct trust *trust = new_trust();
    struct trust *none = NULL;
    const struct rekey_position position = a_position();
    struct verified_rekey *got = NULL;
    struct err err;

    (void)state;
    rekey = doc_rekey(REKEY_KEM);
    sign_evil(&doc_mission, DOC_REKEY, K_OPERATOR_A, K_OPERATOR_B);
    good = evil;
    assert_rc(sha256_of(evil.payload, good_digest.b, NULL), RC_OK);
    good.bytes.p = good.buf;
    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        uint64_t floor = trust_time_floor(trust);

        rekey = doc_rekey(REKEY_KEM);
        attacks[i].make();
        enum rc rc = trust_verify_rekey(trust, evil.bytes, &position, NOW_MS, &got, &err);
        if (rc != attacks[i].rc || (got != NULL) != (rc == RC_OK))
            fail_msg("%s: %s", attacks[i].attack, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(trust_time_floor(trust), floor);
        else
            assert_string_equal(verified_rekey_get(got)->satellite, "aurora-1");
        if (got)
            verified_rekey_free(&got);
    }
    assert_rc(trust_verify_rekey(none, good.bytes, &position, NOW_MS, &got, &err),
              RC_TRUST_MISSING);
    trust_free(&trust);
}

/* What a stolen operator key pushed to the end of the numbers is forgotten with the key. */
static void numbers_begin_anew_with_the_role(void **state)
{
    struct root root = doc_next_root();
    struct trust *trust = new_trust();
    struct rekey_position position = a_position();
    struct verified_rekey *got = NULL;
    struct root_change change = { 0 };
    struct err err;

    (void)state;
    position.number = INT64_MAX;
    root.operator_keys = doc_key_set(1, 1, K_STRANGER);
    root.operator_since_ms = root.issued_ms;
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B, K_NEXT_A, K_NEXT_B);
    assert_rc(trust_next_root(trust, evil.bytes, &change, &err), RC_OK);
    assert_true(change.operator_reset);

    rekey = doc_rekey(REKEY_KEM);
    rekey.number = 1;
    sign_evil(&doc_mission, DOC_REKEY, K_STRANGER, K_STRANGER);
    assert_rc(trust_verify_rekey(trust, evil.bytes, &position, NOW_MS, &got, &err),
              RC_ISSUED_BEFORE);
    rekey.issued_ms = root.issued_ms;
    sign_evil(&doc_mission, DOC_REKEY, K_STRANGER, K_STRANGER);
    assert_rc(trust_verify_rekey(trust, evil.bytes, &position, NOW_MS, &got, &err), RC_OK);
    assert_int_equal(verified_rekey_get(got)->number, 1);
    verified_rekey_free(&got);
    trust_free(&trust);
}

static int keys_end(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(a_link_rekey_is_small),
        cmocka_unit_test(bytes_that_are_no_rekey_are_refused),
        cmocka_unit_test(both_recipients_open_all),
        cmocka_unit_test(nothing_opens_elsewhere),
        cmocka_unit_test(attacks_are_refused),
        cmocka_unit_test(numbers_begin_anew_with_the_role),
    };

    return cmocka_run_group_tests(tests, NULL, keys_end);
}
