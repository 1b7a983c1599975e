/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "link/bpsec.h"
#include "link/counter.h"
#include "link/seal.h"
#include "tests/unit/vectors.h"

#define PAYLOAD_MAX 300U

/* One sealed bundle, and what went into it. */
struct sealed {
    uint8_t p[PAYLOAD_MAX + LINK_OVERHEAD_MAX];
    size_t n;
    uint8_t payload[PAYLOAD_MAX];
    size_t n_payload;
};

static struct link_keys test_keys(uint8_t seed)
{
    struct link_keys keys;

    memset(keys.mac, seed, sizeof keys.mac);
    memset(keys.aead, seed + 1, sizeof keys.aead);
    return keys;
}

static struct link_message message_of(const struct sealed *s)
{
    return (struct link_message){
        .src = eid_ipn(1, 1),
        .dst = eid_ipn(42, 1),
        .time_ms = 800000000000,
        .sequence = 7,
        .lifetime_ms = 86400000,
        .key = 1,
        .counter = 0x0405060708,
        .salt = 0x11121314151617,
        .payload = { .p = s->payload, .n = s->n_payload },
    };
}

static void seal(struct sealed *s, size_t n_payload, bool clock)
{
    struct link_keys keys = test_keys(3);
    struct link_message m;

    s->n_payload = n_payload;
    for (size_t i = 0; i < n_payload; i++)
        s->payload[i] = (uint8_t)(i * 7 + 1);
    m = message_of(s);
    if (!clock) {
        m.time_ms = 0;
        m.age_ms = 1234;
    }
    assert_rc(link_seal(&m, &keys, s->p, sizeof s->p, &s->n, NULL), RC_OK);
}

/* Knows ipn:1.x only, and of it the keys 1 and 2. */
static enum rc find_keys(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                         struct err *err)
{
    unsigned *asked = arg;

    if (asked)
        (*asked)++;
    if (src->scheme != EID_IPN || src->node != 1 || number == 0 || number > 2)
        return err_set(err, RC_BPSEC_KEY, "source");
    *ret = test_keys(number == 1 ? 3 : 5);
    return RC_OK;
}

static const struct link_finder keyring = { .find = find_keys };

static enum rc open_copy(const struct sealed *s, uint8_t *buf, struct link_opened *ret)
{
    memcpy(buf, s->p, s->n);
    return link_open(buf, s->n, &keyring, ret, NULL);
}

static void test_round_trip(void **state)
{
    static const size_t sizes[] = { 0, 1, 23, 24, 255, 256, PAYLOAD_MAX };
    static struct sealed s;
    static uint8_t buf[sizeof s.p];

    (void)state;
    for (size_t i = 0; i < 2 * (sizeof sizes / sizeof sizes[0]); i++) {
        struct link_opened o = { 0 };
        bool clock = i % 2 == 0;
        struct eid src = eid_ipn(1, 1);
        struct eid dst = eid_ipn(42, 1);

        seal(&s, sizes[i / 2], clock);
        assert_true(s.n <= s.n_payload + LINK_OVERHEAD_MAX);
        assert_rc(open_copy(&s, buf, &o), RC_OK);
        assert_true(eid_equal(&o.src, &src));
        assert_true(eid_equal(&o.dst, &dst));
        assert_int_equal(o.time_ms, clock ? 800000000000 : 0);
        assert_int_equal(o.sequence, 7);
        assert_int_equal(o.lifetime_ms, 86400000);
        assert_int_equal(o.counter, 0x0405060708);
        assert_int_equal(o.payload.n, s.n_payload);
        assert_memory_equal(o.payload.p, s.payload, s.n_payload);
        assert_true(o.payload.p >= buf && o.payload.p + o.payload.n <= buf + s.n);
    }
}

/* The policy of the link, read back with the general decoder. */
static void test_sealed_form(void **state)
{
    static struct sealed s;
    struct bundle b;
    struct bpsec_asb asb;

    (void)state;
    seal(&s, 100, true);
    assert_rc(bundle_decode((struct bytes){ .p = s.p, .n = s.n }, BUNDLE_STRICT, &b, NULL), RC_OK);
    assert_rc(bpsec_check(&b, BUNDLE_STRICT, NULL), RC_OK);
    assert_int_equal(b.crc_type, CRC_NONE);
    assert_int_equal(b.n_blocks, 3);
    assert_int_equal(b.blocks[0].type, BLOCK_BIB);
    assert_rc(bpsec_asb_decode(b.blocks[0].data, BLOCK_BIB, BUNDLE_STRICT, &asb, NULL), RC_OK);
    assert_int_equal(asb.context, BPSEC_BIB_HMAC);
    assert_int_equal(asb.n_targets, 1);
    assert_int_equal(asb.targets[0], 0);
    assert_int_equal(asb.variant, BPSEC_HMAC_384);
    assert_int_equal(asb.scope, BPSEC_SCOPE_ALL);
    assert_int_equal(b.blocks[1].type, BLOCK_BCB);
    assert_rc(bpsec_asb_decode(b.blocks[1].data, BLOCK_BCB, BUNDLE_STRICT, &asb, NULL), RC_OK);
    assert_int_equal(asb.context, BPSEC_BCB_GCM);
    assert_int_equal(asb.n_targets, 1);
    assert_int_equal(asb.targets[0], 1);
    assert_int_equal(asb.variant, BPSEC_A256GCM);
    assert_int_equal(asb.scope, BPSEC_SCOPE_ALL);
    assert_memory_equal(asb.iv.p, "\x11\x12\x13\x14\x15\x16\x17\4\5\6\7\10", GCM_IV_SIZE);
    assert_memory_not_equal(bundle_payload(&b).p, s.payload, 100);
}

/* Whatever single bit changes anywhere outside the unauthenticated age block: never opened, and no
 * plaintext stays behind. */
static void test_every_bit(void **state)
{
    static struct sealed s;
    static uint8_t buf[sizeof s.p];
    unsigned refused = 0;

    (void)state;
    seal(&s, 64, true);
    for (size_t bit = 0; bit < s.n * 8; bit++) {
        static const struct link_opened marker = { .counter = 99 };
        struct link_opened o = marker;

        memcpy(buf, s.p, s.n);
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (link_open(buf, s.n, &keyring, &o, NULL) == RC_OK)
            fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
        refused++;
        assert_memory_equal(&o, &marker, sizeof o);
        for (size_t i = 0; i + 16 <= s.n; i++)
            assert_memory_not_equal(buf + i, s.payload + 8, 16);
    }
    print_message("%u single-bit changes refused\n", refused);
    assert_int_equal(refused, s.n * 8);
}

static void test_every_cut(void **state)
{
    static struct sealed s;
    static uint8_t buf[sizeof s.p];

    (void)state;
    seal(&s, 64, false);
    for (size_t n = 0; n < s.n; n++) {
        struct link_opened o;

        memcpy(buf, s.p, n);
        assert_int_not_equal(link_open(buf, n, &keyring, &o, NULL), RC_OK);
    }
}

/* Bundles made by someone who knows no key, or breaks the policy with one. */
enum change {
    NO_BIB,
    NO_BIB_BUT_CRC,
    NO_BCB,
    TWO_BIBS,
    BIB_OVER_PAYLOAD_TOO,
    BIB_ONLY_OVER_PAYLOAD,
    SCOPE_0,
    HMAC_256,
    TAG_APPENDED,
    OTHER_SECURITY_SOURCE,
    ANOTHER_KEY,
    KEY_NOT_HELD,
    KEY_NUMBER_0,
    TWO_KEYS,
    FRAGMENT,
    UNKNOWN_SOURCE,
    NULL_SOURCE,
    DTN_SOURCE,
    UNKNOWN_BLOCK,
    UNKNOWN_BLOCK_DELETES,
    TOO_OLD,
};

/* A decoded sealed bundle with room for changed security blocks. */
struct forged {
    struct bundle b;
    uint8_t asb[2][400];
};

/* asb may consist of views of the block that it replaces. */
static void put_asb(struct forged *f, size_t i, const struct bpsec_asb *asb)
{
    uint8_t room[sizeof f->asb[i]];
    struct cbor_out w = { .p = room, .cap = sizeof room };

    bpsec_asb_put(&w, asb);
    assert_false(w.full);
    memcpy(f->asb[i], room, w.n);
    f->b.blocks[i].data = (struct bytes){ .p = f->asb[i], .n = w.n };
}

static void drop_block(struct bundle *b, size_t i)
{
    memmove(&b->blocks[i], &b->blocks[i + 1], (b->n_blocks - i - 1) * sizeof b->blocks[0]);
    b->n_blocks--;
}

static void add_block(struct bundle *b, struct bundle_block block)
{
    memmove(&b->blocks[1], &b->blocks[0], b->n_blocks * sizeof b->blocks[0]);
    b->blocks[0] = block;
    b->n_blocks++;
}

static void change_asbs(struct forged *f, enum change change)
{
    static const uint8_t mac[48] = { 1 };
    struct bpsec_asb bib;
    struct bpsec_asb bcb;

    assert_rc(bpsec_asb_decode(f->b.blocks[0].data, BLOCK_BIB, BUNDLE_STRICT, &bib, NULL), RC_OK);
    assert_rc(bpsec_asb_decode(f->b.blocks[1].data, BLOCK_BCB, BUNDLE_STRICT, &bcb, NULL), RC_OK);
    if (change == BIB_OVER_PAYLOAD_TOO) {
        bib.targets[bib.n_targets] = 1;
        bib.results[bib.n_targets++] = (struct bytes){ .p = mac, .n = sizeof mac };
    } else if (change == BIB_ONLY_OVER_PAYLOAD) {
        bib.targets[0] = 1;
        f->b.crc_type = CRC_32C;
    } else if (change == SCOPE_0) {
        bib.scope = 0;
    } else if (change == HMAC_256) {
        bib.variant = BPSEC_HMAC_256;
        bib.results[0].n = 32;
    } else if (change == TAG_APPENDED) {
        bcb.results[0].n = 0;
    } else if (change == OTHER_SECURITY_SOURCE) {
        bib.source = eid_ipn(2, 1);
    } else if (change == ANOTHER_KEY || change == KEY_NOT_HELD || change == KEY_NUMBER_0) {
        bib.source.service = change == ANOTHER_KEY ? 2 : change == KEY_NOT_HELD ? 3 : 0;
        bcb.source = bib.source;
    } else if (change == TWO_KEYS) {
        bcb.source.service = 2;
    }
    put_asb(f, 0, &bib);
    put_asb(f, 1, &bcb);
}

static void change_bundle(struct forged *f, enum change change)
{
    static const uint8_t data[1] = { 0 };
    struct bundle *b = &f->b;
    struct bundle_block extra = { .type = 200, .number = 9, .data = { .p = data, .n = 1 } };

    if (change == NO_BIB || change == NO_BIB_BUT_CRC) {
        drop_block(b, 0);
        b->crc_type = change == NO_BIB_BUT_CRC ? CRC_32C : CRC_NONE;
    } else if (change == NO_BCB) {
        drop_block(b, 1);
    } else if (change == TWO_BIBS) {
        extra = b->blocks[0];
        extra.number = 9;
        add_block(b, extra);
    } else if (change == FRAGMENT) {
        b->flags = BUNDLE_FRAGMENT;
        b->fragment_total = 4096;
    } else if (change == UNKNOWN_SOURCE) {
        b->src = eid_ipn(5, 1);
    } else if (change == NULL_SOURCE) {
        b->src = (struct eid){ .scheme = EID_NONE };
    } else if (change == DTN_SOURCE) {
        b->src = (struct eid){ .scheme = EID_DTN, .name = bytes_of("//ground/1") };
    } else if (change == UNKNOWN_BLOCK || change == UNKNOWN_BLOCK_DELETES) {
        extra.flags = change == UNKNOWN_BLOCK ? 0 : BLOCK_DELETE_BUNDLE;
        add_block(b, extra);
    } else if (change == TOO_OLD) {
        add_block(b, (struct bundle_block){ .type = BLOCK_AGE, .number = 9 });
        b->age_ms = b->lifetime_ms + 1;
    }
}

/* The security source follows the bundle's source where that is what is changed. */
static void follow_source(struct forged *f)
{
    struct bpsec_asb bib;
    struct bpsec_asb bcb;

    assert_rc(bpsec_asb_decode(f->b.blocks[0].data, BLOCK_BIB, BUNDLE_STRICT, &bib, NULL), RC_OK);
    assert_rc(bpsec_asb_decode(f->b.blocks[1].data, BLOCK_BCB, BUNDLE_STRICT, &bcb, NULL), RC_OK);
    bib.source = f->b.src;
    bcb.source = f->b.src;
    put_asb(f, 0, &bib);
    put_asb(f, 1, &bcb);
}

static void test_policy(void **state)
{
    static const struct {
        enum change change;
        enum rc want;
    } rows[] = {
        { NO_BIB, RC_BPSEC_MISSING },
        { NO_BIB_BUT_CRC, RC_BPSEC_MISSING },
        { NO_BCB, RC_BPSEC_MISSING },
        { TWO_BIBS, RC_BPSEC_TARGET },
        { BIB_OVER_PAYLOAD_TOO, RC_BPSEC_TARGET },
        { BIB_ONLY_OVER_PAYLOAD, RC_BPSEC_MISSING },
        { SCOPE_0, RC_BPSEC_CONTEXT },
        { HMAC_256, RC_BPSEC_CONTEXT },
        { TAG_APPENDED, RC_BPSEC_CONTEXT },
        { OTHER_SECURITY_SOURCE, RC_BPSEC_CONTEXT },
        { ANOTHER_KEY, RC_BPSEC_AUTH }, /* a lie about the key is a MAC that does not match */
        { KEY_NOT_HELD, RC_BPSEC_KEY },
        { KEY_NUMBER_0, RC_BPSEC_CONTEXT },
        { TWO_KEYS, RC_BPSEC_CONTEXT },
        { FRAGMENT, RC_BUNDLE_FRAGMENT },
        { UNKNOWN_SOURCE, RC_BPSEC_KEY },
        { NULL_SOURCE, RC_BUNDLE_SOURCE },
        { DTN_SOURCE, RC_BUNDLE_SOURCE },
        { UNKNOWN_BLOCK, RC_OK },
        { UNKNOWN_BLOCK_DELETES, RC_BUNDLE_BLOCK_UNSUPPORTED },
        { TOO_OLD, RC_BUNDLE_EXPIRED },
    };
    static struct sealed s;
    static struct forged f;
    static uint8_t buf[sizeof s.p + 512];

    (void)state;
    seal(&s, 64, true);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_opened o;
        struct bytes out;
        struct err err = { 0 };
        enum rc got;

        assert_rc(bundle_decode((struct bytes){ .p = s.p, .n = s.n }, BUNDLE_STRICT, &f.b, NULL),
                  RC_OK);
        change_asbs(&f, rows[i].change);
        if (rows[i].change == UNKNOWN_SOURCE || rows[i].change == NULL_SOURCE ||
            rows[i].change == DTN_SOURCE) {
            change_bundle(&f, rows[i].change);
            follow_source(&f);
        } else {
            change_bundle(&f, rows[i].change);
        }
        assert_rc(bundle_encode(&f.b, buf, sizeof buf, &out, NULL), RC_OK);
        got = link_open(buf, out.n, &keyring, &o, &err);
        if (got != rows[i].want)
            fail_msg("row %zu: got %s (%s), want %s", i, rc_name(got), err.what,
                     rc_name(rows[i].want));
    }
}

/* A valid payload under another primary block, signed by nobody. */
static void test_moved_payload(void **state)
{
    static struct sealed s;
    static uint8_t buf[sizeof s.p + 512];
    struct bundle b;
    struct bytes out;
    struct link_opened o;
    unsigned asked = 0;
    struct link_finder counting = { .find = find_keys, .arg = &asked };

    (void)state;
    seal(&s, 64, true);
    assert_rc(bundle_decode((struct bytes){ .p = s.p, .n = s.n }, BUNDLE_STRICT, &b, NULL), RC_OK);
    b.dst = eid_ipn(43, 1);
    assert_rc(bundle_encode(&b, buf, sizeof buf, &out, NULL), RC_OK);
    assert_rc(link_open(buf, out.n, &counting, &o, NULL), RC_BPSEC_AUTH);
    assert_int_equal(asked, 1);
}

/* A node on the way gives targets a CRC and puts blocks of its own in front, as ION does: that is
 * no harm, and hides none. */
static void test_crcs_of_the_way(void **state)
{
    static const enum crc_type types[] = { CRC_NONE, CRC_16, CRC_32C };
    static const uint8_t hops[] = { 0x82, 0x18, 0x20, 0x01 };
    static struct sealed s;
    static uint8_t buf[sizeof s.p + 512], bad[sizeof buf];
    struct link_opened o;

    (void)state;
    seal(&s, 64, false);
    for (size_t i = 0; i < 9; i++) {
        struct bundle b;
        struct bytes out;

        assert_rc(bundle_decode((struct bytes){ .p = s.p, .n = s.n }, BUNDLE_STRICT, &b, NULL),
                  RC_OK);
        b.crc_type = types[i % 3];
        b.blocks[b.n_blocks - 1].crc_type = types[i / 3];
        add_block(&b, (struct bundle_block){ .type = BLOCK_HOP_COUNT,
                                             .number = 9,
                                             .crc_type = CRC_16,
                                             .data = { .p = hops, .n = sizeof hops } });
        assert_rc(bundle_encode(&b, buf, sizeof buf, &out, NULL), RC_OK);
        memcpy(bad, buf, out.n);
        assert_rc(link_open(buf, out.n, &keyring, &o, NULL), RC_OK);
        assert_int_equal(o.payload.n, s.n_payload);
        assert_memory_equal(o.payload.p, s.payload, s.n_payload);

        /* another destination, and the CRC put right: the MAC says no */
        b.dst = eid_ipn(43, 1);
        assert_rc(bundle_encode(&b, buf, sizeof buf, &out, NULL), RC_OK);
        assert_rc(link_open(buf, out.n, &keyring, &o, NULL), RC_BPSEC_AUTH);
        /* and a CRC that is wrong is one */
        bad[out.n - 3] ^= 1;
        assert_int_not_equal(link_open(bad, out.n, &keyring, &o, NULL), RC_OK);
    }
}

/* RFC 9173 allows IVs of 8 to 16 bytes; the link has agreed on 12, whatever the tag says. */
static void test_iv_of_another_size(void **state)
{
    static struct sealed s;
    static uint8_t buf[sizeof s.p];
    static struct forged f;
    struct link_keys keys = test_keys(3);
    struct bytes key = { .p = keys.aead, .n = sizeof keys.aead };
    uint8_t iv[17] = { 1, 2, 3 }, tag[GCM_TAG_SIZE], sealed[64];
    struct bpsec_asb asb;
    struct link_opened o;
    struct bytes out;

    (void)state;
    seal(&s, sizeof sealed, true);
    for (size_t n = GCM_IV_MIN - 1; n <= GCM_IV_MAX + 1; n++) {
        struct bpsec_asb again;
        enum rc want = n < GCM_IV_MIN || n > GCM_IV_MAX ? RC_BPSEC_CONTEXT : RC_OK;

        assert_rc(bundle_decode((struct bytes){ .p = s.p, .n = s.n }, BUNDLE_STRICT, &f.b, NULL),
                  RC_OK);
        assert_rc(bpsec_asb_decode(f.b.blocks[1].data, BLOCK_BCB, BUNDLE_STRICT, &asb, NULL),
                  RC_OK);
        asb.iv = (struct bytes){ .p = iv, .n = n };
        assert_rc(bpsec_encrypt(&f.b, &f.b.blocks[1], &asb, 1, key, message_of(&s).payload, sealed,
                                tag, NULL),
                  want);
        asb.results[0] = (struct bytes){ .p = tag, .n = sizeof tag };
        put_asb(&f, 1, &asb);
        assert_rc(bpsec_asb_decode(f.b.blocks[1].data, BLOCK_BCB, BUNDLE_STRICT, &again, NULL),
                  want);
        if (want != RC_OK)
            continue;
        f.b.blocks[2].data = (struct bytes){ .p = sealed, .n = sizeof sealed };
        assert_rc(bundle_encode(&f.b, buf, sizeof buf, &out, NULL), RC_OK);
        assert_rc(link_open(buf, out.n, &keyring, &o, NULL),
                  n == GCM_IV_SIZE ? RC_OK : RC_BPSEC_CONTEXT);
    }
}

/* Nobody adds security to a fragment, or can check that of the whole (RFC 9172 section 5.1). */
static void test_fragment(void **state)
{
    static struct vector v;
    static const struct bpsec_keyring none = { .find = NULL };
    static const struct bpsec_asb asb = { .n_targets = 1,
                                          .targets = { 1 },
                                          .variant = BPSEC_A256GCM,
                                          .iv = { .p = (const uint8_t *)"123456789012", .n = 12 } };
    struct bpsec_asb mac = asb;
    uint8_t out[BPSEC_MAC_MAX];
    uint8_t tag[GCM_TAG_SIZE];
    struct bytes key = { .p = v.p, .n = 32 };
    struct bundle b;
    size_t n = 0;

    (void)state;
    vector_load("bundles-valid/fragment-pics-56-1-cannot-add-bcb-to-fragment.hex", &v);
    assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
    mac.variant = BPSEC_HMAC_384;
    assert_rc(bpsec_mac(&b, &b.blocks[0], &mac, 1, key, out, &n, NULL), RC_BUNDLE_FRAGMENT);
    assert_rc(bpsec_encrypt(&b, &b.blocks[0], &asb, 1, key, (struct bytes){ 0 }, out, tag, NULL),
              RC_BUNDLE_FRAGMENT);
    assert_rc(bpsec_process(v.p, &b, &none, NULL), RC_BUNDLE_FRAGMENT);
    assert_int_equal(b.n_blocks, 0);
}

static void test_seal_room(void **state)
{
    static struct sealed s;
    static uint8_t buf[sizeof s.p];
    struct link_keys keys = test_keys(3);
    struct link_message m;
    size_t n = 0;

    (void)state;
    seal(&s, 64, true);
    m = message_of(&s);
    for (size_t cap = 0; cap < s.n; cap++) {
        memset(buf, 0xee, sizeof buf);
        assert_rc(link_seal(&m, &keys, buf, cap, &n, NULL), RC_NO_ROOM);
        assert_int_equal(n, 0);
        for (size_t i = cap; i < s.n; i++)
            assert_int_equal(buf[i], 0xee);
    }
    assert_rc(link_seal(&m, &keys, buf, s.n, &n, NULL), RC_OK);
    assert_int_equal(n, s.n);
    assert_memory_equal(buf, s.p, s.n);

    m.counter = COUNTER_MAX + 1;
    assert_rc(link_seal(&m, &keys, buf, sizeof buf, &n, NULL), RC_COUNTER);
    m.counter = 0;
    assert_rc(link_seal(&m, &keys, buf, sizeof buf, &n, NULL), RC_COUNTER);
    m.counter = 1;
    m.src = (struct eid){ .scheme = EID_NONE };
    assert_rc(link_seal(&m, &keys, buf, sizeof buf, &n, NULL), RC_BUNDLE_EID);
    m.src = eid_ipn(1, 1);
    m.src.node = 1ULL << 32 | 1;
    assert_rc(link_seal(&m, &keys, buf, sizeof buf, &n, NULL), RC_BUNDLE_EID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),      cmocka_unit_test(test_sealed_form),
        cmocka_unit_test(test_every_bit),       cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_policy),          cmocka_unit_test(test_moved_payload),
        cmocka_unit_test(test_crcs_of_the_way), cmocka_unit_test(test_iv_of_another_size),
        cmocka_unit_test(test_seal_room),       cmocka_unit_test(test_fragment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
