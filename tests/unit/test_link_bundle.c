/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "link/bundle.h"
#include "link/record.h"
#include "tests/unit/vectors.h"

/* 00-control-good-minimal with one part replaced per row.  No CRCs, so that rows stay readable;
 * what a CRC does is tested below and by tests/vectors. */
#define HEAD "9f8807000082028202018202820101" /* dst ipn:2.1, src ipn:1.1 */
#define REST "820282010182011864190e10"       /* report-to ipn:1.1, time 1, sequence 100, 3600 ms */
#define PAYLOAD "850101000041aaff"

struct row {
    const char *why;
    const char *hex;
    enum rc want; /* lenient */
    uint64_t at;  /* of the error */
};

static const struct row rows[] = {
    { "control", HEAD REST PAYLOAD, RC_OK, 0 },
    { "empty", "", RC_SHORT, 0 },
    { "definite outer array", "82", RC_BUNDLE_FORMAT, 0 },
    { "outer map", "bf", RC_BUNDLE_FORMAT, 0 },
    { "no blocks", "9fff", RC_CBOR_TAG, 1 },
    { "seven fields", "9f8707000082028202018202820101" REST PAYLOAD, RC_BUNDLE_FORMAT, 1 },
    { "twelve fields", "9f8c07000082028202018202820101" REST PAYLOAD, RC_BUNDLE_FORMAT, 1 },
    { "indefinite primary", "9f9f07000082028202018202820101", RC_CBOR_INDEFINITE, 1 },
    { "version 8", "9f8808000082028202018202820101" REST PAYLOAD, RC_BUNDLE_VERSION, 2 },
    { "version as two bytes", "9f881807000082028202018202820101" REST PAYLOAD, RC_CBOR_NOT_MINIMAL,
      2 },
    { "CRC type 3", "9f8807000382028202018202820101" REST PAYLOAD, RC_BUNDLE_CRC_TYPE, 4 },
    { "CRC type without CRC", "9f8807000182028202018202820101" REST PAYLOAD, RC_BUNDLE_CRC_TYPE,
      1 },
    { "fragment without fields", "9f8807010082028202018202820101" REST PAYLOAD, RC_BUNDLE_FRAGMENT,
      1 },
    { "fields without fragment", "9f8a07000082028202018202820101" REST "0005" PAYLOAD,
      RC_BUNDLE_FRAGMENT, 1 },
    { "fragment", "9f8a07010082028202018202820101" REST "0405" PAYLOAD, RC_OK, 0 },
    { "fragment of unknown total", "9f8a07010082028202018202820101" REST "0000" PAYLOAD, RC_OK, 0 },
    { "fragment past its total", "9f8a07010082028202018202820101" REST "0505" PAYLOAD,
      RC_BUNDLE_FRAGMENT, 27 },
    { "fragment too long",
      "9f8a07010082028202018202820101" REST "0405"
      "850101000042aaaaff",
      RC_BUNDLE_FRAGMENT, 1 },
    { "fragment, offset wraps",
      "9f8a07010082028202018202820101" REST "1bffffffffffffffff05" PAYLOAD, RC_BUNDLE_FRAGMENT,
      27 },
    { "fragment of 2^62", "9f8a07010082028202018202820101" REST "001b4000000000000000" PAYLOAD,
      RC_BUNDLE_FRAGMENT, 27 },
    { "empty fragment",
      "9f8a07010082028202018202820101" REST "0405"
      "850101000040ff",
      RC_BUNDLE_FRAGMENT, 1 },
    { "fragment that must not be one", "9f8a07050082028202018202820101" REST "0405" PAYLOAD,
      RC_BUNDLE_FLAGS, 3 },
    { "fragment of a record", "9f8a07030082028202018202820101" REST "0405" PAYLOAD, RC_BUNDLE_FLAGS,
      3 },
    { "record asks for reports",
      "9f8807194002008202820201820282010182028201018201186419"
      "0e10" PAYLOAD,
      RC_BUNDLE_FLAGS, 3 },
    { "anonymous, may be fragmented", "9f880700008202820201820100" REST PAYLOAD, RC_BUNDLE_FLAGS,
      3 },
    { "anonymous", "9f880704008202820201820100" REST PAYLOAD, RC_OK, 0 },
    { "anonymous as ipn:0.0", "9f8807040082028202018202820000" REST PAYLOAD, RC_OK, 0 },
    { "anonymous, asks for reports",
      "9f88071940040082028202018201008202820101820118641"
      "90e10" PAYLOAD,
      RC_BUNDLE_FLAGS, 3 },
    { "to ipn:0.5", "9f8807000082028200058202820101" REST PAYLOAD, RC_BUNDLE_EID, 5 },
    { "timestamp of three",
      HEAD "8202820101"
           "8301186400"
           "190e10" PAYLOAD,
      RC_CBOR_COUNT, 20 },
    { "negative lifetime",
      HEAD "8202820101"
           "82011864"
           "20" PAYLOAD,
      RC_CBOR_TYPE, 24 },
    { "no break", HEAD REST "850101000041aa", RC_SHORT, 34 },
    { "trailing byte", HEAD REST PAYLOAD "00", RC_TRAILING, 35 },
    { "second bundle behind", HEAD REST PAYLOAD HEAD REST PAYLOAD, RC_TRAILING, 35 },
    { "no payload", HEAD REST "ff", RC_BUNDLE_PAYLOAD, 28 },
    { "two payloads", HEAD REST "850101000041aa" PAYLOAD, RC_BUNDLE_PAYLOAD, 34 },
    { "block behind the payload",
      HEAD REST "850101000041aa"
                "8507020000"
                "4100ff",
      RC_BUNDLE_PAYLOAD, 34 },
    { "payload is number 2", HEAD REST "850102000041aaff", RC_BUNDLE_BLOCK_NUMBER, 29 },
    { "number 1 is no payload",
      HEAD REST "8507010000"
                "4100" PAYLOAD,
      RC_BUNDLE_BLOCK_NUMBER, 29 },
    { "block number 0",
      HEAD REST "8507000000"
                "4100" PAYLOAD,
      RC_BUNDLE_BLOCK_NUMBER, 29 },
    { "block type 0",
      HEAD REST "8500020000"
                "4100" PAYLOAD,
      RC_BUNDLE_BLOCK_TYPE, 28 },
    { "number twice",
      HEAD REST "8518c8020000"
                "4100"
                "8518c9020000"
                "4100" PAYLOAD,
      RC_BUNDLE_BLOCK_NUMBER, 35 },
    { "block of six without CRC",
      HEAD REST "8607020000"
                "4100"
                "40" PAYLOAD,
      RC_BUNDLE_CRC_TYPE, 31 },
    { "block of five with CRC type",
      HEAD REST "8507020001"
                "4100" PAYLOAD,
      RC_BUNDLE_CRC_TYPE, 31 },
    { "data as text",
      HEAD REST "8507020000"
                "6100" PAYLOAD,
      RC_CBOR_TYPE, 32 },
    { "data of indefinite length",
      HEAD REST "8507020000"
                "5f4100ff" PAYLOAD,
      RC_CBOR_INDEFINITE, 32 },
    { "data of 2^64-1",
      HEAD REST "8501010000"
                "5bffffffffffffffff"
                "ff",
      RC_SHORT, 32 },
    { "data of 4 GiB",
      HEAD REST "8501010000"
                "5affffffff"
                "ff",
      RC_SHORT, 32 },
    { "two ages",
      HEAD REST "8507020000"
                "4100"
                "8507030000"
                "4100" PAYLOAD,
      RC_BUNDLE_BLOCK_TYPE, 49 },
    { "age not a number",
      HEAD REST "8507020000"
                "4160" PAYLOAD,
      RC_CBOR_TYPE, 33 },
    { "age with more",
      HEAD REST "8507020000"
                "420000" PAYLOAD,
      RC_TRAILING, 34 },
    { "age empty",
      HEAD REST "8507020000"
                "40" PAYLOAD,
      RC_SHORT, 33 },
    { "hop limit 0",
      HEAD REST "850a020000"
                "43820000" PAYLOAD,
      RC_BUNDLE_FORMAT, 33 },
    { "hop limit 256",
      HEAD REST "850a020000"
                "4582190100"
                "00" PAYLOAD,
      RC_BUNDLE_FORMAT, 33 },
    { "hops of three",
      HEAD REST "850a020000"
                "4483010203" PAYLOAD,
      RC_CBOR_COUNT, 33 },
    { "previous node",
      HEAD REST "8506020000"
                "458202820301" PAYLOAD,
      RC_OK, 0 },
    { "previous node broken",
      HEAD REST "8506020000"
                "4182" PAYLOAD,
      RC_SHORT, 34 },
    { "BIB without targets",
      HEAD REST "850b020000"
                "4180" PAYLOAD,
      RC_BPSEC_FORMAT, 33 },
    { "BIB with 2^60 targets",
      HEAD REST "850b020000"
                "499b1000000000000000" PAYLOAD,
      RC_BPSEC_FORMAT, 33 },
    { "BCB target not a number",
      HEAD REST "850c020100"
                "428160" PAYLOAD,
      RC_BPSEC_FORMAT, 34 },
};

static void test_rows(void **state)
{
    static struct vector in;
    static struct bundle b;
    static const struct bundle zero;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *row = &rows[i];
        struct err err = { 0 };
        enum rc got;

        in.n = 0;
        vector_hex(row->hex, &in);
        memset(&b, 0x5a, sizeof b);
        got = bundle_decode(vector_bytes(&in), BUNDLE_LENIENT, &b, &err);
        if (got != row->want || err.at != row->at)
            fail_msg("%s: got %s at %llu (%s), want %s at %llu", row->why, rc_name(got),
                     (unsigned long long)err.at, err.what, rc_name(row->want),
                     (unsigned long long)row->at);
        if (got != RC_OK)
            assert_memory_equal(&b, &zero, sizeof b);
    }
}

/* An empty view may have no address. */
static void test_nothing(void **state)
{
    struct bytes nothing = { 0 };
    struct bundle_block block;
    struct record record;
    struct bundle b;

    (void)state;
    assert_rc(bundle_decode(nothing, BUNDLE_STRICT, &b, NULL), RC_SHORT);
    assert_rc(bundle_decode_primary(nothing, BUNDLE_STRICT, &b, NULL), RC_SHORT);
    assert_rc(bundle_decode_block(nothing, &block, NULL), RC_SHORT);
    assert_rc(record_decode(nothing, &record, NULL), RC_SHORT);
}

/* Every field, with every CRC type, out and in again. */
static void test_round_trip(void **state)
{
    static struct bundle in;
    static struct bundle out;
    uint8_t buf[512];
    struct bytes bytes;

    (void)state;
    for (unsigned crc = CRC_NONE; crc <= CRC_32C; crc++) {
        in = (struct bundle){
            .flags = BUNDLE_REPORT_DELIVERED | BUNDLE_STATUS_TIME,
            .crc_type = (enum crc_type)crc,
            .dst = eid_ipn(42, 1),
            .src = { .scheme = EID_DTN, .name = bytes_of("//ground/x") },
            .time_ms = 800000000000,
            .sequence = UINT64_MAX,
            .lifetime_ms = 1ULL << 40,
            .age_ms = 65536,
            .hop_limit = 255,
            .hop_count = 24,
            .previous = eid_ipn(7, 0),
            .n_blocks = 5,
            .blocks = { { .type = BLOCK_PREVIOUS_NODE, .number = 5, .crc_type = CRC_16 },
                        { .type = BLOCK_AGE, .number = 2, .crc_type = (enum crc_type)crc },
                        { .type = BLOCK_HOP_COUNT, .number = 3, .flags = BLOCK_REPLICATE },
                        { .type = 200, .number = 1ULL << 33, .data = bytes_of("what") },
                        { .type = BLOCK_PAYLOAD,
                          .number = 1,
                          .crc_type = (enum crc_type)crc,
                          .data = bytes_of("payload") } },
        };
        assert_rc(bundle_encode(&in, buf, sizeof buf, &bytes, NULL), RC_OK);
        assert_rc(bundle_decode(bytes, BUNDLE_LENIENT, &out, NULL), RC_OK);
        assert_int_equal(bundle_decode(bytes, BUNDLE_STRICT, &out, NULL),
                         crc == CRC_NONE ? RC_BUNDLE_UNPROTECTED : RC_OK);
        assert_rc(bundle_decode(bytes, BUNDLE_LENIENT, &out, NULL), RC_OK);
        assert_int_equal(out.flags, in.flags);
        assert_int_equal(out.crc_type, crc);
        assert_true(eid_equal(&out.dst, &in.dst) && eid_equal(&out.src, &in.src));
        assert_true(eid_is_null(&out.report_to));
        assert_int_equal(out.time_ms, in.time_ms);
        assert_int_equal(out.sequence, in.sequence);
        assert_int_equal(out.lifetime_ms, in.lifetime_ms);
        assert_true(out.has_age && out.has_hops && out.has_previous);
        assert_int_equal(out.age_ms, in.age_ms);
        assert_int_equal(out.hop_limit, 255);
        assert_int_equal(out.hop_count, 24);
        assert_true(eid_equal(&out.previous, &in.previous));
        assert_int_equal(out.n_blocks, 5);
        assert_int_equal(bundle_block(&out, 1ULL << 33)->type, 200);
        assert_null(bundle_block(&out, 77));
        assert_true(bytes_equal(bundle_payload(&out), bytes_of("payload")));
        for (size_t cap = 0; cap < bytes.n; cap++) {
            static uint8_t small[512];
            struct bytes untouched = { 0 };

            assert_rc(bundle_encode(&in, small, cap, &untouched, NULL), RC_NO_ROOM);
            assert_null(untouched.p);
        }
    }
}

/* One flipped bit in a bundle whose blocks all carry CRC-32C is always refused. */
static void test_crc_finds_every_bit(void **state)
{
    static struct bundle b;
    uint8_t buf[256];
    struct bytes bytes;
    size_t n;

    (void)state;
    b = (struct bundle){
        .crc_type = CRC_32C,
        .dst = eid_ipn(42, 1),
        .src = eid_ipn(1, 1),
        .time_ms = 800000000000,
        .lifetime_ms = 1000,
        .age_ms = 5,
        .n_blocks = 2,
        .blocks = { { .type = BLOCK_AGE, .number = 2, .crc_type = CRC_32C },
                    { .type = BLOCK_PAYLOAD,
                      .number = 1,
                      .crc_type = CRC_32C,
                      .data = bytes_of("payload") } },
    };
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_OK);
    n = bytes.n;
    for (size_t bit = 0; bit < n * 8; bit++) {
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (bundle_decode(bytes, BUNDLE_LENIENT, &b, NULL) == RC_OK)
            fail_msg("bit %zu of byte %zu", bit % 8, bit / 8);
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &b, NULL), RC_OK);
}

/* The longest list of blocks passes, one more does not, and neither takes long. */
static void test_block_limit(void **state)
{
    static struct bundle b;
    static uint8_t buf[65536];

    (void)state;
    for (unsigned n = BUNDLE_BLOCKS_MAX - 1; n <= 1000; n += n < BUNDLE_BLOCKS_MAX ? 1 : 984) {
        struct cbor_out w = { .p = buf, .cap = sizeof buf };
        struct vector head = { .n = 0 };
        struct bundle_block block = { .type = 200, .data = bytes_of("x") };
        struct bytes bytes;

        vector_hex(HEAD REST, &head);
        cbor_put_raw(&w, vector_bytes(&head));
        for (unsigned i = 0; i < n; i++) {
            block.number = i + 2;
            bundle_put_block(&w, &b, &block);
        }
        head.n = 0;
        vector_hex(PAYLOAD, &head);
        cbor_put_raw(&w, vector_bytes(&head));
        assert_rc(cbor_written(&w, &bytes, NULL), RC_OK);
        assert_rc(bundle_decode(bytes, BUNDLE_LENIENT, &b, NULL),
                  n < BUNDLE_BLOCKS_MAX ? RC_OK : RC_BUNDLE_TOO_MANY_BLOCKS);
    }
}

static void test_check(void **state)
{
    static const struct {
        const char *why;
        uint64_t time_ms;
        uint64_t lifetime_ms;
        uint64_t age_ms; /* 0 = none */
        uint64_t now_ms;
        enum rc want;
    } cases[] = {
        { "no clock here", 1000, 10, 0, 0, RC_OK },
        { "in time", 1000, 10, 0, 1010, RC_OK },
        { "late", 1000, 10, 0, 1011, RC_BUNDLE_EXPIRED },
        { "from the future", 1000, 10, 0, 1, RC_OK },
        { "endless lifetime never overflows", 1000, UINT64_MAX, 0, UINT64_MAX, RC_OK },
        { "old by its age", 0, 10, 11, 0, RC_BUNDLE_EXPIRED },
        { "young by its age", 0, 10, 10, UINT64_MAX, RC_OK },
        { "clock says young, age says old", 1000, 10, 11, 1001, RC_BUNDLE_EXPIRED },
    };
    struct bundle b;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        b = (struct bundle){ .time_ms = cases[i].time_ms,
                             .lifetime_ms = cases[i].lifetime_ms,
                             .has_age = cases[i].age_ms > 0,
                             .age_ms = cases[i].age_ms };
        if (bundle_check(&b, cases[i].now_ms, NULL) != cases[i].want)
            fail_msg("%s", cases[i].why);
    }
    b = (struct bundle){ .has_hops = true, .hop_limit = 3, .hop_count = 3 };
    assert_rc(bundle_check(&b, 0, NULL), RC_OK);
    b.hop_count = 4;
    assert_rc(bundle_check(&b, 0, NULL), RC_BUNDLE_HOPS);
    b = (struct bundle){ .n_blocks = 1, .blocks = { { .type = 8, .flags = BLOCK_DISCARD } } };
    assert_rc(bundle_check(&b, 0, NULL), RC_OK);
    b.blocks[0].flags |= BLOCK_DELETE_BUNDLE;
    assert_rc(bundle_check(&b, 0, NULL), RC_BUNDLE_BLOCK_UNSUPPORTED);
}

static void test_encode_refuses(void **state)
{
    static const struct bundle_block payload = { .type = BLOCK_PAYLOAD, .number = 1 };
    static const struct bundle_block age = { .type = BLOCK_AGE, .number = 2 };
    uint8_t buf[256];
    struct bytes bytes;
    struct bundle b = { .n_blocks = 0 };

    (void)state;
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_BUNDLE_PAYLOAD);
    b = (struct bundle){ .n_blocks = BUNDLE_BLOCKS_MAX + 1 };
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_BUNDLE_PAYLOAD);
    b = (struct bundle){ .n_blocks = 2, .blocks = { payload, age } };
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_BUNDLE_PAYLOAD);
    b = (struct bundle){ .n_blocks = 2, .blocks = { payload, payload } };
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_BUNDLE_BLOCK_NUMBER);
    b = (struct bundle){ .n_blocks = 2, .blocks = { age, payload } };
    b.blocks[0].number = 1;
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_BUNDLE_BLOCK_NUMBER);
    b.blocks[0].number = 0;
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_BUNDLE_BLOCK_NUMBER);
    b.blocks[0].number = 2;
    assert_rc(bundle_encode(&b, buf, sizeof buf, &bytes, NULL), RC_OK);
}

static const struct record_row {
    const char *why;
    const char *hex;
    enum rc want;
} records[] = {
    { "time before asserted",
      "8201"
      "84"
      "84"
      "8205f5",
      RC_CBOR_TYPE },
    { "received at 5, deleted",
      "8201"
      "84"
      "84"
      "82f505"
      "81f4"
      "81f4"
      "81f5"
      "09"
      "8202820201"
      "82011864",
      RC_OK },
    { "of a fragment",
      "8201"
      "86"
      "84"
      "81f5"
      "81f4"
      "81f4"
      "81f4"
      "00"
      "8202820201"
      "82011864"
      "0a14",
      RC_OK },
    { "another kind of record",
      "8202"
      "80",
      RC_BUNDLE_BLOCK_TYPE },
    { "five fields",
      "8201"
      "85"
      "84"
      "81f5"
      "81f4"
      "81f4"
      "81f4"
      "00"
      "8202820201"
      "82011864"
      "0a",
      RC_CBOR_COUNT },
    { "asserted is a number",
      "8201"
      "84"
      "84"
      "8101",
      RC_CBOR_TYPE },
    { "asserted is null",
      "8201"
      "84"
      "84"
      "81f6",
      RC_CBOR_TYPE },
    { "cut",
      "8201"
      "84"
      "84"
      "81f5",
      RC_SHORT },
    { "trailing",
      "8201"
      "84"
      "84"
      "81f5"
      "81f4"
      "81f4"
      "81f4"
      "00"
      "8202820201"
      "82011864"
      "00",
      RC_TRAILING },
};

/* Status reports (RFC 9171 section 6.1.1). */
static void test_record(void **state)
{
    static struct vector in;

    (void)state;
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        struct record r = { .reason = 99 };
        enum rc got;

        in.n = 0;
        vector_hex(records[i].hex, &in);
        got = record_decode(vector_bytes(&in), &r, NULL);
        if (got != records[i].want)
            fail_msg("%s: %s", records[i].why, rc_name(got));
        if (got != RC_OK)
            assert_int_equal(r.reason, 99);
        if (i == 1) {
            assert_true(r.items[RECORD_RECEIVED].asserted && r.items[RECORD_DELETED].asserted);
            assert_false(r.items[RECORD_FORWARDED].asserted);
            assert_int_equal(r.items[RECORD_RECEIVED].time_ms, 5);
            assert_int_equal(r.reason, 9);
            assert_int_equal(r.sequence, 100);
        }
        if (i == 2)
            assert_true(r.fragment && r.fragment_offset == 10 && r.fragment_length == 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_round_trip),     cmocka_unit_test(test_crc_finds_every_bit),
        cmocka_unit_test(test_block_limit),    cmocka_unit_test(test_check),
        cmocka_unit_test(test_encode_refuses), cmocka_unit_test(test_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
