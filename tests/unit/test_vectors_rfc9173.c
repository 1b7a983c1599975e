/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 9173 appendix A, both ways: the printed bytes are built from their parts, and the printed
 * bundles open to the printed plaintexts.
 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "link/bpsec.h"
#include "tests/unit/vectors.h"

#define BLOCKS 4U

/* A bundle in the making, and the room its views point into. */
struct build {
    struct bundle b;
    uint8_t primary[64];
    uint8_t data[BLOCKS][256]; /* by place in b.blocks */
    uint8_t results[BLOCKS][2][BPSEC_MAC_MAX];
    struct vector iv;
    uint8_t wrapped[24];
};

static struct bytes secret(const char *name)
{
    static struct vector rooms[8];
    static unsigned next;
    struct vector *v = &rooms[next++ % 8];

    vector_secret(name, v);
    return vector_bytes(v);
}

static void assert_file(const char *name, struct bytes got)
{
    static struct vector v;
    char path[64];

    (void)snprintf(path, sizeof path, "rfc9173/%s", name);
    vector_load(path, &v);
    if (!bytes_equal(vector_bytes(&v), got))
        fail_msg("%s differs", name);
}

/* Primary block of A.1.1.1, and the payload of A.1.1.2 as the last of n blocks. */
static void begin(struct build *s, size_t n)
{
    static const char text[] = "Ready to generate a 32-byte payload";
    struct cbor_out w = { .p = s->primary, .cap = sizeof s->primary };
    struct bytes primary;

    *s = (struct build){
        .b = { .dst = eid_ipn(1, 2),
               .src = eid_ipn(2, 1),
               .report_to = eid_ipn(2, 1),
               .sequence = 40,
               .lifetime_ms = 1000000,
               .n_blocks = n },
    };
    bundle_put_primary(&w, &s->b);
    assert_rc(cbor_written(&w, &primary, NULL), RC_OK);
    assert_file("a1-primary-block.hex", primary);
    s->b.primary = primary;
    memcpy(s->data[n - 1], text, sizeof text - 1);
    s->b.blocks[n - 1] = (struct bundle_block){
        .type = BLOCK_PAYLOAD, .number = 1, .data = { .p = s->data[n - 1], .n = sizeof text - 1 }
    };
    vector_secret("a2.iv", &s->iv);
}

static void block_is(const struct build *s, size_t i, const char *name)
{
    uint8_t out[256];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct bytes got;

    bundle_put_block(&w, &s->b, &s->b.blocks[i]);
    assert_rc(cbor_written(&w, &got, NULL), RC_OK);
    assert_file(name, got);
}

static void bundle_is(const struct build *s, const char *name)
{
    uint8_t out[512];
    struct bytes got;

    assert_rc(bundle_encode(&s->b, out, sizeof out, &got, NULL), RC_OK);
    assert_file(name, got);
}

/* Compute the MACs of asb and make it block i, bundle block number number. */
static void sign(struct build *s, size_t i, uint64_t number, struct bpsec_asb *asb)
{
    struct cbor_out w = { .p = s->data[i], .cap = sizeof s->data[i] };
    struct bundle_block *block = &s->b.blocks[i];

    *block = (struct bundle_block){ .type = BLOCK_BIB, .number = number };
    for (size_t k = 0; k < asb->n_targets; k++) {
        assert_rc(bpsec_mac(&s->b, block, asb, asb->targets[k], secret("hmac_key"),
                            s->results[i][k], &asb->results[k].n, NULL),
                  RC_OK);
        asb->results[k].p = s->results[i][k];
    }
    bpsec_asb_put(&w, asb);
    assert_rc(cbor_written(&w, &block->data, NULL), RC_OK);
}

static size_t place(const struct build *s, uint64_t number)
{
    const struct bundle_block *block = bundle_block(&s->b, number);

    assert_non_null(block);
    return (size_t)(block - s->b.blocks);
}

/* Encrypt the targets of asb in place and make it block i. */
static void encrypt(struct build *s, size_t i, uint64_t number, const char *key,
                    struct bpsec_asb *asb)
{
    struct cbor_out w = { .p = s->data[i], .cap = sizeof s->data[i] };
    struct bundle_block *block = &s->b.blocks[i];

    *block = (struct bundle_block){ .type = BLOCK_BCB, .number = number, .flags = BLOCK_REPLICATE };
    asb->iv = vector_bytes(&s->iv);
    for (size_t k = 0; k < asb->n_targets; k++) {
        size_t at = place(s, asb->targets[k]);

        assert_rc(bpsec_encrypt(&s->b, block, asb, asb->targets[k], secret(key),
                                s->b.blocks[at].data, s->data[at], s->results[i][k], NULL),
                  RC_OK);
        asb->results[k] = (struct bytes){ .p = s->results[i][k], .n = GCM_TAG_SIZE };
    }
    bpsec_asb_put(&w, asb);
    assert_rc(cbor_written(&w, &block->data, NULL), RC_OK);
}

static struct bpsec_asb asb_of(enum bpsec_context context, enum bpsec_variant variant,
                               unsigned scope)
{
    return (struct bpsec_asb){ .n_targets = 1,
                               .targets = { 1 },
                               .context = context,
                               .source = eid_ipn(2, 1),
                               .has_variant = true,
                               .has_scope = true,
                               .variant = variant,
                               .scope = scope };
}

/* A.1: BIB-HMAC-SHA2 512 over the payload. */
static void test_a1(void **state)
{
    static struct build s;
    struct bpsec_asb bib = asb_of(BPSEC_BIB_HMAC, BPSEC_HMAC_512, 0);

    (void)state;
    begin(&s, 1);
    bundle_is(&s, "a1-original-bundle.hex");
    block_is(&s, 0, "a1-payload-block.hex");
    begin(&s, 2);
    sign(&s, 0, 2, &bib);
    assert_true(bytes_equal(bib.results[0], secret("a1.mac")));
    assert_file("a1-bib-asb.hex", s.b.blocks[0].data);
    block_is(&s, 0, "a1-bib-block.hex");
    bundle_is(&s, "a1-final-bundle.hex");
}

/* A.2: BCB-AES-GCM 128 over the payload, with a wrapped key. */
static void test_a2(void **state)
{
    static struct build s;
    struct bpsec_asb bcb = asb_of(BPSEC_BCB_GCM, BPSEC_A128GCM, 0);

    (void)state;
    begin(&s, 2);
    assert_rc(crypto_wrap(secret("a2.kek"), secret("a2.cek"), s.wrapped, NULL), RC_OK);
    bcb.wrapped_key = (struct bytes){ .p = s.wrapped, .n = sizeof s.wrapped };
    assert_true(bytes_equal(bcb.wrapped_key, secret("a2.wrapped")));
    encrypt(&s, 0, 2, "a2.cek", &bcb);
    assert_true(bytes_equal(bcb.results[0], secret("a2.tag")));
    assert_true(bytes_equal(s.b.blocks[1].data, secret("a2.ciphertext")));
    assert_file("a2-bcb-asb.hex", s.b.blocks[0].data);
    block_is(&s, 0, "a2-bcb-block.hex");
    bundle_is(&s, "a2-final-bundle.hex");
}

/* A.3: a BIB of a waypoint over primary block and bundle age, and a BCB over the payload. */
static void test_a3(void **state)
{
    static struct build s;
    struct bpsec_asb bib = asb_of(BPSEC_BIB_HMAC, BPSEC_HMAC_256, 0);
    struct bpsec_asb bcb = asb_of(BPSEC_BCB_GCM, BPSEC_A128GCM, 0);

    (void)state;
    begin(&s, 2);
    s.b.age_ms = 300;
    s.b.blocks[0] = (struct bundle_block){ .type = BLOCK_AGE, .number = 2 };
    block_is(&s, 0, "a3-bundle-age-block.hex");
    bundle_is(&s, "a3-original-bundle.hex");

    begin(&s, 4);
    memcpy(s.data[2], "\x19\x01\x2c", 3);
    s.b.blocks[2] =
        (struct bundle_block){ .type = BLOCK_AGE, .number = 2, .data = { .p = s.data[2], .n = 3 } };
    bib.n_targets = 2;
    bib.targets[0] = 0;
    bib.targets[1] = 2;
    bib.source = eid_ipn(3, 0);
    sign(&s, 0, 3, &bib);
    assert_true(bytes_equal(bib.results[0], secret("a3.mac.primary")));
    assert_true(bytes_equal(bib.results[1], secret("a3.mac.age")));
    encrypt(&s, 1, 4, "a2.cek", &bcb);
    assert_file("a3-bib-asb.hex", s.b.blocks[0].data);
    block_is(&s, 0, "a3-bib-block.hex");
    assert_file("a3-bcb-asb.hex", s.b.blocks[1].data);
    block_is(&s, 1, "a3-bcb-block.hex");
    bundle_is(&s, "a3-final-bundle.hex");
}

/* A.4: BIB and BCB with full scope; the BCB hides the BIB too.  It uses one IV twice, which is why
 * nothing outside this test may do it. */
static void test_a4(void **state)
{
    static struct build s;
    struct bpsec_asb bib = asb_of(BPSEC_BIB_HMAC, BPSEC_HMAC_384, BPSEC_SCOPE_ALL);
    struct bpsec_asb bcb = asb_of(BPSEC_BCB_GCM, BPSEC_A256GCM, BPSEC_SCOPE_ALL);

    (void)state;
    begin(&s, 3);
    sign(&s, 0, 3, &bib);
    assert_true(bytes_equal(bib.results[0], secret("a4.bib.mac")));
    assert_file("a4-bib-asb.hex", s.b.blocks[0].data);
    block_is(&s, 0, "a4-bib-block.hex");
    bcb.n_targets = 2;
    bcb.targets[0] = 3;
    bcb.targets[1] = 1;
    encrypt(&s, 1, 2, "a4.aes_key", &bcb);
    assert_true(bytes_equal(bcb.results[0], secret("a4.tag.bib")));
    assert_true(bytes_equal(bcb.results[1], secret("a4.tag.payload")));
    assert_file("a4-bcb-asb.hex", s.b.blocks[1].data);
    block_is(&s, 1, "a4-bcb-block.hex");
    bundle_is(&s, "a4-final-bundle.hex");
}

/* With arg, keys of the right length that are not the right ones. */
static enum rc find_key(void *arg, const struct bpsec_asb *asb, struct bytes *ret, struct err *err)
{
    static const uint8_t zero[32];

    (void)err;
    if (asb->context == BPSEC_BIB_HMAC)
        *ret = secret(arg ? "a2.cek" : "hmac_key");
    else if (asb->wrapped_key.n > 0)
        *ret = secret(arg ? "a2.cek" : "a2.kek");
    else if (asb->variant == BPSEC_A128GCM)
        *ret = secret(arg ? "hmac_key" : "a2.cek");
    else
        *ret = arg ? (struct bytes){ .p = zero, .n = sizeof zero } : secret("a4.aes_key");
    return RC_OK;
}

static const char *const finals[] = { "rfc9173/a1-final-bundle.hex", "rfc9173/a2-final-bundle.hex",
                                      "rfc9173/a3-final-bundle.hex",
                                      "rfc9173/a4-final-bundle.hex" };

static void test_open(void **state)
{
    static struct vector v;
    struct bpsec_keyring keys = { .find = find_key };
    struct bundle b;

    (void)state;
    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++) {
        vector_load(finals[i], &v);
        assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
        assert_rc(bpsec_process(v.p, &b, &keys, NULL), RC_OK);
        assert_file("a1-payload-plaintext.hex", bundle_payload(&b));
        if (i == 2)
            assert_int_equal(b.age_ms, 300);
        if (i == 3)
            assert_file("a4-bib-asb.hex", bundle_block(&b, 3)->data);
    }
}

static bool holds(const struct vector *v, struct bytes part)
{
    for (size_t i = 0; i + part.n <= v->n; i++) {
        if (memcmp(v->p + i, part.p, part.n) == 0)
            return true;
    }
    return false;
}

static bool has_bcb(const struct bundle *b)
{
    for (size_t i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].type == BLOCK_BCB)
            return true;
    }
    return false;
}

/* Each bit of a bundle that encrypts, flipped: what is protected never opens, and a failure leaves
 * no plaintext.  Bits that the scope does not cover may change and open; the payload is then right.
 */
static unsigned refuse_flipped(const char *file)
{
    static struct vector v;
    struct bytes part = bytes_of("generate a 32");
    struct bpsec_keyring keys = { .find = find_key };
    struct bundle b;
    unsigned refused = 0;
    size_t bits;

    vector_load(file, &v);
    bits = v.n * 8;
    for (size_t bit = 0; bit < bits; bit++) {
        enum rc rc;

        vector_load(file, &v);
        v.p[bit / 8] ^= (uint8_t)(1U << bit % 8);
        rc = bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL);
        if (rc == RC_OK)
            rc = bpsec_process(v.p, &b, &keys, NULL);
        if (rc == RC_OK && has_bcb(&b)) {
            assert_file("a1-payload-plaintext.hex", bundle_payload(&b));
            continue;
        }
        assert_false(holds(&v, part));
        if (rc == RC_OK)
            continue; /* no BCB any more: that there must be one is for a policy to say (T19) */
        assert_int_equal(b.n_blocks, 0);
        refused++;
    }
    print_message("%s: %u of %zu refused\n", file, refused, bits);
    return refused;
}

/* A.2 has a wrapped key, and scope 0: its primary block may change. */
static void test_open_flipped(void **state)
{
    (void)state;
    assert_true(refuse_flipped(finals[1]) > 1000);
    assert_true(refuse_flipped(finals[3]) > 1750);
}

static void test_wrong_keys(void **state)
{
    static struct vector v;
    int wrong = 1;
    struct bpsec_keyring keys = { .find = find_key, .arg = &wrong };
    struct bundle b;

    (void)state;
    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++) {
        vector_load(finals[i], &v);
        assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
        assert_rc(bpsec_process(v.p, &b, &keys, NULL), RC_BPSEC_AUTH);
        assert_int_equal(b.n_blocks, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a1),         cmocka_unit_test(test_a2),
        cmocka_unit_test(test_a3),         cmocka_unit_test(test_a4),
        cmocka_unit_test(test_open),       cmocka_unit_test(test_open_flipped),
        cmocka_unit_test(test_wrong_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
