/* SPDX-License-Identifier: Apache-2.0
 *
 * link/role: carry, verify and accept, by the table of rules, on the bundles of RFC 9173 appendix A
 * and of the CCSDS conformance set.
 */
#include "tests/unit/test.h"

#include "link/forward.h"
#include "link/role.h"
#include "tests/unit/vectors.h"

#define ANY BPSEC_ANY_TYPE
#define RULES(...)                                                                                 \
    {                                                                                              \
        .rules = (const struct bpsec_rule[]){ __VA_ARGS__ },                                       \
        .n = sizeof((const struct bpsec_rule[]){ __VA_ARGS__ }) / sizeof(struct bpsec_rule)        \
    }

static struct vector key_hmac, key_a128, key_a256, key_kek;
static unsigned asked; /* for keys */

struct keys {
    bool wrong_gcm; /* give a key that fits and is another */
    bool wrong_mac;
};

static enum rc find_key(void *arg, const struct bpsec_asb *asb, struct bytes *ret, struct err *err)
{
    static const uint8_t other[32] = { 9 };
    const struct keys *keys = arg;
    bool wrong = keys && (asb->context == BPSEC_BIB_HMAC ? keys->wrong_mac : keys->wrong_gcm);

    (void)err;
    asked++;
    if (asb->context == BPSEC_BIB_HMAC)
        *ret = vector_bytes(&key_hmac);
    else if (asb->wrapped_key.n > 0)
        *ret = vector_bytes(&key_kek);
    else
        *ret = vector_bytes(asb->variant == BPSEC_A128GCM ? &key_a128 : &key_a256);
    if (wrong)
        ret->p = other;
    return RC_OK;
}

/* A bundle of the vectors, as it came and as it is worked on. */
struct received {
    struct vector was;
    struct vector v;
    struct bundle b;
};

static void load(struct received *r, const char *file)
{
    vector_load(file, &r->v);
    r->was = r->v;
    assert_rc(bundle_decode(vector_bytes(&r->v), BUNDLE_LENIENT, &r->b, NULL), RC_OK);
}

static enum rc apply(struct received *r, const struct bpsec_policy *policy, const char *tenant,
                     struct keys *wrong, struct err *err)
{
    static uint8_t room[1024];
    const struct bpsec_keyring keys = { .find = find_key, .arg = wrong };
    const struct bpsec_work work = { .buf = r->v.p,
                                     .bundle = &r->b,
                                     .keys = &keys,
                                     .policy = policy,
                                     .tenant = tenant,
                                     .room = room,
                                     .room_n = sizeof room };

    asked = 0;
    return bpsec_apply(&work, err);
}

static void assert_encodes(const struct bundle *b, struct bytes want)
{
    static uint8_t out[VECTOR_MAX];
    struct bytes got = { 0 };

    assert_rc(bundle_encode(b, out, sizeof out, &got, NULL), RC_OK);
    assert_true(bytes_equal(got, want));
}

static const char *const verifying[] = {
    "rfc9173/a1-final-bundle.hex",
    "rfc9173/a2-final-bundle.hex",
    "rfc9173/a3-final-bundle.hex",
    "rfc9173/a4-final-bundle.hex",
    "bundles-valid/pics-1-1-duplicate-bcb-on-payload-must-fail.hex",
    "bundles-valid/pics-1-2-duplicate-bib-on-payload-must-fail.hex",
    "bundles-valid/pics-2-1-source-sign-payload-and-bundle-age-1.hex",
    "bundles-valid/pics-2-3-source-encrypt-payload-and-bundle-age-1.hex",
    "bundles-valid/pics-2-5-source-sign-then-encrypt-both-1.hex",
    "bundles-valid/pics-2-7-source-interleaved-sign-encrypt-1.hex",
    "bundles-valid/pics-36-1-payload-decrypt-wrong-key-must-discard.hex",
    "bundles-valid/pics-37-1-non-payload-decrypt-wrong-key-removes-target.hex",
    "bundles-valid/pics-47-1-bib-not-processed-when-target-encrypted.hex",
};
#define VERIFYING (sizeof verifying / sizeof verifying[0])

/* No rule, no bundle; and the offset tells which block it was. */
static void test_fail_closed(void **state)
{
    static struct received r;
    static const struct bpsec_policy none = { .n = 0 };
    const struct bpsec_policy zero = RULES({ .service = ANY, .target_type = ANY });
    static const struct bundle empty;

    (void)state;
    for (size_t i = 0; i < VERIFYING; i++) {
        struct err err = { 0 };

        load(&r, verifying[i]);
        assert_rc(apply(&r, &none, NULL, NULL, &err), RC_BPSEC_POLICY);
        assert_true(err.at > 0 && err.at < r.was.n);
        assert_int_equal(asked, 0);
        assert_memory_equal(&r.b, &empty, sizeof empty);
        load(&r, verifying[i]);
        assert_rc(apply(&r, &zero, NULL, NULL, NULL), RC_BPSEC_POLICY);
    }
}

/* Who carries a bundle needs no key and changes nothing; nor does who verifies it. */
static void test_forward_and_verify(void **state)
{
    const struct bpsec_policy carry =
        RULES({ .service = ANY, .target_type = ANY, .role = BPSEC_FORWARD });
    const struct bpsec_policy check =
        RULES({ .service = ANY, .target_type = ANY, .role = BPSEC_VERIFY });
    static struct received r;

    (void)state;
    for (size_t i = 0; i < VERIFYING; i++) {
        load(&r, verifying[i]);
        assert_rc(apply(&r, &carry, NULL, NULL, NULL), RC_OK);
        assert_int_equal(asked, 0);
        assert_encodes(&r.b, vector_bytes(&r.was));
        assert_rc(apply(&r, &check, NULL, NULL, NULL), RC_OK);
        assert_true(asked > 0);
        assert_true(bytes_equal(vector_bytes(&r.v), vector_bytes(&r.was)));
        assert_encodes(&r.b, vector_bytes(&r.was));
        load(&r, verifying[i]);
        assert_rc(apply(&r, &check, NULL, &(struct keys){ true, true }, NULL), RC_BPSEC_AUTH);
        assert_int_equal(r.b.n_blocks, 0);
    }
}

/* Accepted, a bundle is what it was before anybody secured it. */
static void test_accept(void **state)
{
    const struct bpsec_policy take =
        RULES({ .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT });
    static struct received r, original;

    (void)state;
    load(&original, "rfc9173/a1-original-bundle.hex");
    for (size_t i = 0; i < VERIFYING; i++) {
        load(&r, verifying[i]);
        assert_rc(apply(&r, &take, NULL, NULL, NULL), RC_OK);
        for (size_t k = 0; k < r.b.n_blocks; k++)
            assert_true(r.b.blocks[k].type != BLOCK_BIB && r.b.blocks[k].type != BLOCK_BCB);
        if (i == 0 || i == 1 || i == 3)
            assert_encodes(&r.b, vector_bytes(&original.v));
        if (i != 2)
            continue;
        /* The BIB was what protected the primary block of A.3. */
        assert_int_equal(r.b.crc_type, CRC_32C);
        assert_int_equal(r.b.age_ms, 300);
    }
}

/* One target of two is accepted: the other one's operation stays and verifies. */
static void test_accept_one_target(void **state)
{
    const struct bpsec_policy age =
        RULES({ .service = BLOCK_BIB, .target_type = BLOCK_AGE, .role = BPSEC_ACCEPT },
              { .service = ANY, .target_type = ANY, .role = BPSEC_FORWARD });
    const struct bpsec_policy check =
        RULES({ .service = ANY, .target_type = ANY, .role = BPSEC_VERIFY });
    static struct received r;
    const struct bundle_hop hop = { .self = eid_ipn(77, 0), .dwell_ms = 7 };
    struct bpsec_asb asb = { 0 };
    uint8_t out[512];
    struct bytes bytes = { 0 };

    (void)state;
    load(&r, "rfc9173/a3-final-bundle.hex");
    assert_rc(bundle_forward(&r.b, &hop, out, sizeof out, &bytes, NULL), RC_BPSEC_TARGET);
    assert_rc(apply(&r, &age, NULL, NULL, NULL), RC_OK);
    assert_int_equal(r.b.crc_type, CRC_NONE);
    assert_rc(bpsec_asb_decode(bundle_block(&r.b, 3)->data, BLOCK_BIB, BUNDLE_STRICT, &asb, NULL),
              RC_OK);
    assert_int_equal(asb.n_targets, 1);
    assert_int_equal(asb.targets[0], 0);
    /* Now the age may change on the way, and the next node still verifies the rest. */
    assert_rc(bundle_forward(&r.b, &hop, out, sizeof out, &bytes, NULL), RC_OK);
    memcpy(r.v.p, bytes.p, bytes.n);
    r.v.n = bytes.n;
    assert_rc(bundle_decode(vector_bytes(&r.v), BUNDLE_STRICT, &r.b, NULL), RC_OK);
    assert_int_equal(r.b.age_ms, 307);
    assert_rc(apply(&r, &check, NULL, NULL, NULL), RC_OK);
}

/* Rows of the table by source, target, tenant, scope, variant and presence. */
static void test_rules(void **state)
{
    static const struct eid two = { .scheme = EID_IPN, .node = 2, .service = 1 };
    static const struct eid three = { .scheme = EID_IPN, .node = 3, .service = 0 };
    static const struct bpsec_rule accept_all = { .service = ANY,
                                                  .target_type = ANY,
                                                  .role = BPSEC_ACCEPT };
    static const struct {
        const char *why;
        const char *file;
        struct bpsec_rule rule; /* before one that accepts everything, unless alone */
        bool alone;
        const char *tenant;
        enum rc want;
    } rows[] = {
        { "of another source",
          "rfc9173/a1-final-bundle.hex",
          { .source = &three, .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT },
          true,
          NULL,
          RC_BPSEC_POLICY },
        { "of this source",
          "rfc9173/a1-final-bundle.hex",
          { .source = &two, .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT },
          true,
          NULL,
          RC_OK },
        { "another service",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BCB, .target_type = ANY, .role = BPSEC_ACCEPT },
          true,
          NULL,
          RC_BPSEC_POLICY },
        { "another target",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB, .target_type = BPSEC_PRIMARY, .role = BPSEC_ACCEPT },
          true,
          NULL,
          RC_BPSEC_POLICY },
        { "another tenant",
          "rfc9173/a1-final-bundle.hex",
          { .tenant = "acme", .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT },
          true,
          "other",
          RC_BPSEC_POLICY },
        { "no tenant",
          "rfc9173/a1-final-bundle.hex",
          { .tenant = "acme", .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT },
          true,
          NULL,
          RC_BPSEC_POLICY },
        { "this tenant",
          "rfc9173/a1-final-bundle.hex",
          { .tenant = "acme", .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT },
          true,
          "acme",
          RC_OK },
        { "refused by a rule",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB, .target_type = BLOCK_PAYLOAD, .role = BPSEC_REFUSE },
          false,
          NULL,
          RC_BPSEC_POLICY },
        { "scope 0 where all is wanted",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB, .target_type = BLOCK_PAYLOAD, .role = BPSEC_ACCEPT, .scope = 7 },
          false,
          NULL,
          RC_BPSEC_POLICY },
        { "payload under another primary block (T19)",
          "derived-hostile/85-bib-primary-changed-scope-0-target-1.hex",
          { .service = BLOCK_BIB, .target_type = BLOCK_PAYLOAD, .role = BPSEC_ACCEPT, .scope = 7 },
          false,
          NULL,
          RC_BPSEC_POLICY },
        { "scope 7",
          "rfc9173/a4-final-bundle.hex",
          { .service = BLOCK_BIB, .target_type = BLOCK_PAYLOAD, .role = BPSEC_ACCEPT, .scope = 7 },
          false,
          NULL,
          RC_OK },
        { "variant 7 is not among these",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = ANY,
            .role = BPSEC_ACCEPT,
            .variants = 1U << BPSEC_HMAC_384 | 1U << BPSEC_HMAC_256 },
          false,
          NULL,
          RC_BPSEC_POLICY },
        { "variant 7 is",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = ANY,
            .role = BPSEC_ACCEPT,
            .variants = 1U << BPSEC_HMAC_512 },
          false,
          NULL,
          RC_OK },
        { "BIB stripped (T19)",
          "rfc9173/a1-original-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = BLOCK_PAYLOAD,
            .role = BPSEC_ACCEPT,
            .required = true },
          false,
          NULL,
          RC_BPSEC_MISSING },
        { "not required of this tenant",
          "rfc9173/a1-original-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = BLOCK_PAYLOAD,
            .role = BPSEC_ACCEPT,
            .required = true,
            .tenant = "acme" },
          false,
          "other",
          RC_OK },
        { "required and there",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = BLOCK_PAYLOAD,
            .role = BPSEC_ACCEPT,
            .required = true },
          false,
          NULL,
          RC_OK },
        { "required of the primary block",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = BPSEC_PRIMARY,
            .role = BPSEC_ACCEPT,
            .required = true },
          false,
          NULL,
          RC_BPSEC_MISSING },
        { "required of the primary block, there",
          "rfc9173/a3-final-bundle.hex",
          { .service = BLOCK_BIB,
            .target_type = BPSEC_PRIMARY,
            .role = BPSEC_ACCEPT,
            .required = true },
          false,
          NULL,
          RC_OK },
        { "required from another source",
          "rfc9173/a3-final-bundle.hex",
          { .source = &two,
            .service = BLOCK_BIB,
            .target_type = BPSEC_PRIMARY,
            .role = BPSEC_ACCEPT,
            .required = true },
          false,
          NULL,
          RC_BPSEC_MISSING },
        { "required of every block",
          "rfc9173/a3-final-bundle.hex",
          { .service = BLOCK_BIB, .target_type = ANY, .role = BPSEC_ACCEPT, .required = true },
          false,
          NULL,
          RC_BPSEC_MISSING },
        { "encryption required",
          "rfc9173/a1-final-bundle.hex",
          { .service = BLOCK_BCB,
            .target_type = BLOCK_PAYLOAD,
            .role = BPSEC_ACCEPT,
            .required = true },
          false,
          NULL,
          RC_BPSEC_MISSING },
        { "required, and hidden in what is only carried",
          "rfc9173/a4-final-bundle.hex",
          { .service = BLOCK_BCB, .target_type = ANY, .role = BPSEC_FORWARD },
          false,
          NULL,
          RC_OK },
    };
    static struct received r;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct bpsec_rule rules[2] = { rows[i].rule, accept_all };
        const struct bpsec_policy policy = { .rules = rules, .n = rows[i].alone ? 1 : 2 };
        enum rc rc;

        load(&r, rows[i].file);
        rc = apply(&r, &policy, rows[i].tenant, NULL, NULL);
        if (rc != rows[i].want)
            fail_msg("%s: %s", rows[i].why, rc_name(rc));
    }
}

/* A BIB whose target stays encrypted is not looked at, and counts for nothing (PICS 47). */
static void test_hidden(void **state)
{
    const struct bpsec_policy carry =
        RULES({ .service = BLOCK_BCB, .target_type = ANY, .role = BPSEC_FORWARD },
              { .service = BLOCK_BIB, .target_type = ANY, .role = BPSEC_VERIFY });
    const struct bpsec_policy demand =
        RULES({ .service = BLOCK_BCB, .target_type = ANY, .role = BPSEC_FORWARD },
              { .service = BLOCK_BIB,
                .target_type = BLOCK_PAYLOAD,
                .role = BPSEC_VERIFY,
                .required = true });
    static struct received r;

    (void)state;
    load(&r, "rfc9173/a4-final-bundle.hex");
    assert_rc(apply(&r, &carry, NULL, &(struct keys){ true, true }, NULL), RC_OK);
    assert_int_equal(asked, 0);
    assert_encodes(&r.b, vector_bytes(&r.was));
    assert_rc(apply(&r, &demand, NULL, NULL, NULL), RC_BPSEC_MISSING);
}

/* What fails takes its target with it where a rule says so, and the payload always the bundle (PICS
 * 36 and 37). */
static void test_drop(void **state)
{
    const struct bpsec_policy drop =
        RULES({ .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT, .drop = true });
    static struct received r;
    struct keys wrong = { .wrong_gcm = true };
    uint64_t dropped = 0;
    size_t before;

    (void)state;
    load(&r, "bundles-valid/pics-36-1-payload-decrypt-wrong-key-must-discard.hex");
    assert_rc(apply(&r, &drop, NULL, &wrong, NULL), RC_BPSEC_AUTH);
    assert_int_equal(r.b.n_blocks, 0);
    load(&r, "bundles-valid/pics-37-1-non-payload-decrypt-wrong-key-removes-target.hex");
    before = r.b.n_blocks;
    for (size_t i = 0; i < before; i++) {
        struct bpsec_asb asb = { 0 };

        if (r.b.blocks[i].type != BLOCK_BCB)
            continue;
        assert_rc(bpsec_asb_of(&r.b, &r.b.blocks[i], BUNDLE_LENIENT, &asb, NULL), RC_OK);
        dropped = asb.targets[0];
    }
    assert_true(dropped > 1);
    assert_rc(apply(&r, &drop, NULL, &wrong, NULL), RC_OK);
    assert_int_equal(r.b.n_blocks, before - 2); /* the target and its BCB */
    assert_null(bundle_block(&r.b, dropped));
    /* The same of a BIB over two targets, one of which is the primary block. */
    load(&r, "rfc9173/a3-final-bundle.hex");
    assert_rc(apply(&r, &drop, NULL, &(struct keys){ .wrong_mac = true }, NULL), RC_BPSEC_AUTH);
}

/* A failure late leaves nothing of what was decrypted before. */
static void test_wiped(void **state)
{
    const struct bpsec_policy take =
        RULES({ .service = ANY, .target_type = ANY, .role = BPSEC_ACCEPT });
    static struct received r;
    struct bytes part = bytes_of("generate a 32");

    (void)state;
    load(&r, "rfc9173/a4-final-bundle.hex");
    assert_rc(apply(&r, &take, NULL, &(struct keys){ .wrong_mac = true }, NULL), RC_BPSEC_AUTH);
    assert_null(memmem(r.v.p, r.v.n, part.p, part.n));
    load(&r, "rfc9173/a4-final-bundle.hex");
    assert_rc(apply(&r, &take, NULL, NULL, NULL), RC_OK);
    assert_non_null(memmem(r.v.p, r.v.n, part.p, part.n));
}

static void test_fragment_and_room(void **state)
{
    const struct bpsec_policy age =
        RULES({ .service = BLOCK_BIB, .target_type = BLOCK_AGE, .role = BPSEC_ACCEPT },
              { .service = ANY, .target_type = ANY, .role = BPSEC_FORWARD });
    static struct received r;
    const struct bpsec_keyring keys = { .find = find_key };
    uint8_t room[8];
    struct bpsec_work work = { .keys = &keys, .policy = &age, .room = room, .room_n = sizeof room };

    (void)state;
    load(&r, "bundles-valid/fragment-pics-56-1-cannot-add-bcb-to-fragment.hex");
    assert_rc(apply(&r, &age, NULL, NULL, NULL), RC_BUNDLE_FRAGMENT);
    load(&r, "rfc9173/a3-final-bundle.hex");
    work.buf = r.v.p;
    work.bundle = &r.b;
    assert_rc(bpsec_apply(&work, NULL), RC_NO_ROOM);
    assert_int_equal(r.b.n_blocks, 0);
}

static int load_keys(void **state)
{
    (void)state;
    vector_secret("hmac_key", &key_hmac);
    vector_secret("a2.cek", &key_a128);
    vector_secret("a4.aes_key", &key_a256);
    vector_secret("a2.kek", &key_kek);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_closed),
        cmocka_unit_test(test_forward_and_verify),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_accept_one_target),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_wiped),
        cmocka_unit_test(test_fragment_and_room),
    };

    return cmocka_run_group_tests(tests, load_keys, NULL);
}
