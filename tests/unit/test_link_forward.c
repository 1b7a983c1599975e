/* SPDX-License-Identifier: Apache-2.0
 *
 * link/forward and link/record: what goes on to the next node, and what is told about it.
 */
#include "tests/unit/test.h"

#include "link/forward.h"
#include "link/record.h"
#include "tests/unit/vectors.h"

#define DWELL 1000U

static const struct bundle_hop hop = {
    .self = { .scheme = EID_IPN, .node = 77 },
    .dwell_ms = DWELL,
};

static struct bundle_block opaque(uint64_t number, uint64_t flags)
{
    return (struct bundle_block){ .type = 192,
                                  .number = number,
                                  .flags = flags,
                                  .crc_type = CRC_16,
                                  .data = bytes_of("\x18\xff what nobody knows") };
}

/* A bundle with a clock, an unknown block with these flags as number 9, and a payload. */
static struct bundle with_unknown(uint64_t flags)
{
    return (struct bundle){ .crc_type = CRC_32C,
                            .dst = eid_ipn(42, 1),
                            .src = eid_ipn(1, 1),
                            .report_to = eid_ipn(1, 5),
                            .time_ms = 800000000000,
                            .lifetime_ms = 5000,
                            .n_blocks = 2,
                            .blocks = { opaque(9, flags),
                                        { .type = BLOCK_PAYLOAD,
                                          .number = 1,
                                          .crc_type = CRC_32C,
                                          .data = bytes_of("payload") } } };
}

/* Encode and decode, so that the bundle is what a node receives. */
static void received(const struct bundle *in, uint8_t buf[1024], struct bundle *ret)
{
    struct bytes bytes = { 0 };

    assert_rc(bundle_encode(in, buf, 1024, &bytes, NULL), RC_OK);
    assert_rc(bundle_decode(bytes, BUNDLE_STRICT, ret, NULL), RC_OK);
}

static bool contains(struct bytes whole, struct bytes part)
{
    return memmem(whole.p, whole.n, part.p, part.n) != NULL;
}

static struct bytes encoded(const struct bundle_block *block, uint8_t buf[256])
{
    static const struct bundle none;
    struct cbor_out w = { .p = buf, .cap = 256 };
    struct bytes bytes = { 0 };

    bundle_put_block(&w, &none, block);
    assert_rc(cbor_written(&w, &bytes, NULL), RC_OK);
    return bytes;
}

/* T17: unknown blocks that ask for the bundle's end, for their own end, or for nothing. */
static void test_unknown_blocks(void **state)
{
    static const struct {
        uint64_t flags;
        enum rc want;
        bool kept;
    } rows[] = {
        { 0, RC_OK, true },
        { BLOCK_REPLICATE, RC_OK, true },
        { BLOCK_REPORT, RC_OK, true },
        { 0xe8, RC_OK, true }, /* flags that nobody knows */
        { BLOCK_DISCARD, RC_OK, false },
        { BLOCK_DISCARD | BLOCK_REPORT | BLOCK_REPLICATE, RC_OK, false },
        { BLOCK_DELETE_BUNDLE, RC_BUNDLE_BLOCK_UNSUPPORTED, false },
        { BLOCK_DELETE_BUNDLE | BLOCK_DISCARD, RC_BUNDLE_BLOCK_UNSUPPORTED, false },
    };
    static struct bundle in, b, next;
    uint8_t buf[1024], out[1024], block[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes bytes = { 0 };
        struct err err = { 0 };

        in = with_unknown(rows[i].flags);
        received(&in, buf, &b);
        assert_rc(bundle_forward(&b, &hop, out, sizeof out, &bytes, &err), rows[i].want);
        if (rows[i].want != RC_OK) {
            assert_true(err.at > 0 && err.at < b.raw.n);
            continue;
        }
        assert_int_equal(contains(bytes, encoded(&in.blocks[0], block)), rows[i].kept);
        assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &next, NULL), RC_OK);
        assert_true(bytes_equal(next.primary, b.primary));
        assert_int_equal(next.n_blocks, rows[i].kept ? 3 : 2);
        assert_true(next.has_previous && eid_equal(&next.previous, &hop.self));
        assert_int_equal(bundle_block(&next, 2)->type, BLOCK_PREVIOUS_NODE);
    }
}

/* Age, hop count and previous node are brought up to date where they stand. */
static void test_extension_blocks(void **state)
{
    static const struct bundle_hop source = { .dwell_ms = 1 };
    static struct bundle in, b, next;
    uint8_t buf[1024], out[1024];
    struct bytes bytes = { 0 };

    (void)state;
    in = with_unknown(0);
    in.blocks[0] = (struct bundle_block){ .type = BLOCK_HOP_COUNT, .number = 3 };
    in.blocks[3] = in.blocks[1];
    in.blocks[1] = (struct bundle_block){ .type = BLOCK_AGE, .number = 2, .crc_type = CRC_32C };
    in.blocks[2] = (struct bundle_block){ .type = BLOCK_PREVIOUS_NODE, .number = 8 };
    in.n_blocks = 4;
    in.hop_limit = 3;
    in.hop_count = 2;
    in.age_ms = 4000;
    in.previous = eid_ipn(5, 0);
    received(&in, buf, &b);
    assert_rc(bundle_forward(&b, &hop, out, sizeof out, &bytes, NULL), RC_OK);
    assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &next, NULL), RC_OK);
    assert_int_equal(next.n_blocks, 4);
    assert_int_equal(next.age_ms, 4000 + DWELL);
    assert_int_equal(next.hop_count, 3);
    assert_true(eid_equal(&next.previous, &hop.self));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(next.blocks[i].type, b.blocks[i].type);
        assert_int_equal(next.blocks[i].number, b.blocks[i].number);
        assert_int_equal(next.blocks[i].crc_type, b.blocks[i].crc_type);
    }
    /* One hop and one millisecond more are too many. */
    memcpy(buf, bytes.p, bytes.n);
    assert_rc(bundle_decode((struct bytes){ buf, bytes.n }, BUNDLE_STRICT, &b, NULL), RC_OK);
    assert_rc(
        bundle_forward(&b, &(struct bundle_hop){ .dwell_ms = 1 }, out, sizeof out, &bytes, NULL),
        RC_BUNDLE_EXPIRED);
    assert_rc(bundle_forward(&b, &(struct bundle_hop){ .dwell_ms = UINT64_MAX }, out, sizeof out,
                             &bytes, NULL),
              RC_BUNDLE_EXPIRED);
    assert_rc(
        bundle_forward(&b, &(struct bundle_hop){ .dwell_ms = 0 }, out, sizeof out, &bytes, NULL),
        RC_BUNDLE_HOPS);
    /* The source itself names no previous node. */
    in.hop_count = 0;
    received(&in, buf, &b);
    assert_rc(bundle_forward(&b, &source, out, sizeof out, &bytes, NULL), RC_OK);
    assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &next, NULL), RC_OK);
    assert_false(next.has_previous);
    assert_int_equal(next.n_blocks, 3);
}

/* The number of an added block is free, and there must be room for it. */
static void test_full_bundle(void **state)
{
    static struct bundle in, b, next;
    uint8_t buf[1024], out[1024];
    struct bytes bytes = { 0 };

    (void)state;
    in = with_unknown(0);
    in.blocks[BUNDLE_BLOCKS_MAX - 1] = in.blocks[1];
    for (size_t i = 0; i + 1 < BUNDLE_BLOCKS_MAX; i++)
        in.blocks[i] = opaque(i + 2, 0);
    in.n_blocks = BUNDLE_BLOCKS_MAX;
    received(&in, buf, &b);
    assert_rc(bundle_forward(&b, &hop, out, sizeof out, &bytes, NULL), RC_BUNDLE_TOO_MANY_BLOCKS);
    in.blocks[5].flags = BLOCK_DISCARD;
    received(&in, buf, &b);
    assert_rc(bundle_forward(&b, &hop, out, sizeof out, &bytes, NULL), RC_OK);
    assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &next, NULL), RC_OK);
    assert_int_equal(next.blocks[0].number, BUNDLE_BLOCKS_MAX + 1);
    for (size_t cap = 0; cap < bytes.n; cap++) {
        struct bytes untouched = { 0 };

        assert_rc(bundle_forward(&b, &hop, out, cap, &untouched, NULL), RC_NO_ROOM);
        assert_null(untouched.p);
    }
}

/* What other implementations wrote goes on and stays what it was; a secured block does not change.
 */
static void test_vectors(void **state)
{
    static const struct {
        const char *file;
        enum rc want;
    } rows[] = {
        { "bundles-valid/bplib-5-ext-blocks-crc16.hex", RC_OK },
        { "bundles-valid/bsl-private-ext-block-192.hex", RC_OK },
        { "bundles-valid/hdtn-dtnme-ping-request-crc32c.hex", RC_OK },
        { "bundles-valid/bsl-cose-baseline-crc32c-dtn.hex", RC_OK },
        { "bundles-valid/ext-elixir-hop-prevnode-crc32c.hex", RC_OK },
        { "rfc9173/a1-final-bundle.hex", RC_OK },
        { "rfc9173/a2-final-bundle.hex", RC_OK },
        { "rfc9173/a3-final-bundle.hex", RC_BPSEC_TARGET }, /* its BIB covers the age */
        { "rfc9173/a4-final-bundle.hex", RC_OK },
    };
    static struct vector v;
    static struct bundle b, next;
    uint8_t out[2048], block[256];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes bytes = { 0 };

        vector_load(rows[i].file, &v);
        assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
        if (bundle_forward(&b, &hop, out, sizeof out, &bytes, NULL) != rows[i].want)
            fail_msg("%s", rows[i].file);
        if (rows[i].want != RC_OK)
            continue;
        assert_rc(bundle_decode(bytes, BUNDLE_LENIENT, &next, NULL), RC_OK);
        assert_true(bytes_equal(next.primary, b.primary));
        for (size_t k = 0; k < b.n_blocks; k++) {
            const struct bundle_block *was = &b.blocks[k];

            if (was->type != BLOCK_AGE && was->type != BLOCK_HOP_COUNT &&
                was->type != BLOCK_PREVIOUS_NODE)
                assert_true(contains(bytes, encoded(was, block)));
        }
    }
}

/* ---- status reports ---- */

static void test_report_made(void **state)
{
    static const enum record_reason reasons[] = { RECORD_NO_REASON, RECORD_EXPIRED,
                                                  RECORD_HOP_LIMIT, RECORD_BLOCK_UNSUPPORTED };
    static struct bundle in, b, got;
    uint8_t buf[1024], out[1024];

    (void)state;
    for (unsigned n = 0; n < 32; n++) {
        struct record_message message = { .self = eid_ipn(77, 0),
                                          .time_ms = n & 8 ? 0 : 800000000100,
                                          .sequence = 3,
                                          .lifetime_ms = 60000 };
        enum record_event event = (enum record_event)(n % RECORD_EVENTS);
        struct record record, again = { 0 };
        struct bytes bytes = { 0 };

        in = with_unknown(0);
        in.flags = n & 4 ? BUNDLE_STATUS_TIME : 0;
        if (n & 16) {
            in.flags |= BUNDLE_FRAGMENT;
            in.fragment_offset = 100;
            in.fragment_total = 1000;
        }
        received(&in, buf, &b);
        record = record_about(&b, event, reasons[event], 800000000200);
        assert_rc(record_encode(&record, &b.report_to, &message, out, sizeof out, &bytes, NULL),
                  RC_OK);
        assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &got, NULL), RC_OK);
        assert_true((got.flags & BUNDLE_ADMIN) && !(got.flags & BUNDLE_REPORT_ANY));
        assert_true(eid_equal(&got.dst, &in.report_to) && eid_equal(&got.src, &message.self));
        assert_rc(record_decode(bundle_payload(&got), &again, NULL), RC_OK);
        for (unsigned k = 0; k < RECORD_EVENTS; k++) {
            assert_int_equal(again.items[k].asserted, k == event);
            assert_int_equal(again.items[k].has_time, k == event && (n & 4));
            assert_int_equal(again.items[k].time_ms, k == event && (n & 4) ? 800000000200 : 0);
        }
        assert_int_equal(again.reason, reasons[event]);
        assert_true(eid_equal(&again.source, &in.src));
        assert_int_equal(again.time_ms, in.time_ms);
        assert_int_equal(again.fragment, (n & 16) != 0);
        assert_int_equal(again.fragment_offset, n & 16 ? 100 : 0);
        assert_int_equal(again.fragment_length, n & 16 ? 7 : 0);
    }
}

/* A report is made for whom it is due, never about a report, and never without end. */
static void test_report_wanted(void **state)
{
    static const struct {
        const char *why;
        uint64_t flags;
        uint64_t block_flags;
        enum record_event event;
        enum record_reason reason;
        bool authentic;
        bool source;
        bool report_to;
        bool want;
    } rows[] = {
        { "received", 0x4000, 0, RECORD_RECEIVED, 0, true, true, true, true },
        { "forwarded", 0x10000, 0, RECORD_FORWARDED, 0, true, true, true, true },
        { "delivered", 0x20000, 0, RECORD_DELIVERED, 0, true, true, true, true },
        { "deleted", 0x40000, 0, RECORD_DELETED, 9, true, true, true, true },
        { "not asked for", 0x4000, 0, RECORD_DELIVERED, 0, true, true, true, false },
        { "not authentic", 0x4000, 0, RECORD_RECEIVED, 0, false, true, true, false },
        { "about a record", 0x4002, 0, RECORD_RECEIVED, 0, true, true, true, false },
        { "anonymous", 0x4000, 0, RECORD_RECEIVED, 0, true, false, true, false },
        { "to nobody", 0x4000, 0, RECORD_RECEIVED, 0, true, true, false, false },
        { "unknown block asks", 0, 0x2, RECORD_RECEIVED, 11, true, true, true, true },
        { "unknown block does not ask", 0, 0x1, RECORD_RECEIVED, 11, true, true, true, false },
        { "unknown block, not authentic", 0, 0x2, RECORD_RECEIVED, 11, false, true, true, false },
        { "unknown block, record", 0x2, 0x2, RECORD_RECEIVED, 11, true, true, true, false },
        { "unknown block, other event", 0, 0x2, RECORD_DELIVERED, 0, true, true, true, false },
    };
    struct record_gate none = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct record_gate gate = { .max = 1, .period_ms = 1000 };
        struct bundle b = with_unknown(rows[i].block_flags);

        b.flags = rows[i].flags;
        if (!rows[i].source)
            b.src = (struct eid){ 0 };
        if (!rows[i].report_to)
            b.report_to = (struct eid){ 0 };
        if (record_wanted(&gate, &b, rows[i].event, rows[i].reason, rows[i].authentic, 5) !=
            rows[i].want)
            fail_msg("%s", rows[i].why);
        assert_int_equal(gate.made, rows[i].want);
        assert_false(record_wanted(&none, &b, rows[i].event, rows[i].reason, rows[i].authentic, 5));
    }
}

static void test_report_rate(void **state)
{
    struct record_gate gate = { .max = 10, .period_ms = 1000 };
    struct bundle b = with_unknown(0);
    unsigned made = 0;

    (void)state;
    b.flags = BUNDLE_REPORT_RECEIVED;
    for (uint64_t now = 0; now < 100000; now++)
        made += record_wanted(&gate, &b, RECORD_RECEIVED, RECORD_NO_REASON, true, now);
    assert_int_equal(made, 10 * 100);
    assert_int_equal(gate.withheld, 100000 - made);
}

static void test_reasons(void **state)
{
    (void)state;
    assert_int_equal(record_reason_of(RC_OK), 0);
    assert_int_equal(record_reason_of(RC_BUNDLE_EXPIRED), 1);
    assert_int_equal(record_reason_of(RC_BUNDLE_HOPS), 9);
    assert_int_equal(record_reason_of(RC_BUNDLE_BLOCK_UNSUPPORTED), 11);
    assert_int_equal(record_reason_of(RC_BPSEC_MISSING), 12);
    assert_int_equal(record_reason_of(RC_BPSEC_AUTH), 15);
    assert_int_equal(record_reason_of(RC_BUNDLE_CRC), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_blocks), cmocka_unit_test(test_extension_blocks),
        cmocka_unit_test(test_full_bundle),    cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_report_made),    cmocka_unit_test(test_report_wanted),
        cmocka_unit_test(test_report_rate),    cmocka_unit_test(test_reasons),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
