/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "link/eid.h"
#include "tests/unit/vectors.h"

struct row {
    const char *why;
    const char *hex;
    enum rc strict;
    enum rc lenient;
    const char *text; /* when it decodes */
};

static const struct row rows[] = {
    { "null", "820100", RC_OK, RC_OK, "dtn:none" },
    { "ipn null", "8202820000", RC_OK, RC_OK, "ipn:0.0" },
    { "ipn null, three elements", "820283000000", RC_OK, RC_OK, "ipn:0.0" },
    { "ipn", "82028217182a", RC_OK, RC_OK, "ipn:23.42" },
    { "ipn, default allocator written out", "82028300182a01", RC_OK, RC_OK, "ipn:42.1" },
    { "ipn, allocator", "8202830b0a0a", RC_OK, RC_OK, "ipn:11.10.10" },
    { "ipn, largest", "8202831affffffff1affffffff1bffffffffffffffff", RC_OK, RC_OK,
      "ipn:4294967295.4294967295.18446744073709551615" },
    { "ipn, largest, two elements", "8202821bffffffffffffffff1bffffffffffffffff", RC_OK, RC_OK,
      "ipn:4294967295.4294967295.18446744073709551615" },
    { "dtn", "82016e2f2f6e6f64656e616d652f737663", RC_OK, RC_OK, "dtn://nodename/svc" },
    { "dtn, old form", "82016568692f686f", RC_BUNDLE_EID, RC_OK, "dtn:hi/ho" },
    { "ipn:0.7", "8202820007", RC_BUNDLE_EID, RC_OK, "ipn:0.7" },
    { "ipn:0.0.7", "820283000007", RC_BUNDLE_EID, RC_OK, "ipn:0.7" },
    { "empty input", "", RC_SHORT, RC_SHORT, NULL },
    { "scheme 0", "8200f6", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "scheme 3", "820300", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "scheme 65536", "821a00010000a2", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "one element", "8101", RC_CBOR_COUNT, RC_CBOR_COUNT, NULL },
    { "three elements", "83010000", RC_CBOR_COUNT, RC_CBOR_COUNT, NULL },
    { "indefinite", "9f0100ff", RC_CBOR_INDEFINITE, RC_CBOR_INDEFINITE, NULL },
    { "dtn:1", "820101", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn as bytes",
      "820142"
      "2f2f",
      RC_CBOR_TYPE, RC_CBOR_TYPE, NULL },
    { "dtn empty", "820160", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn only slashes", "8201622f2f", RC_BUNDLE_EID, RC_OK, "dtn://" },
    { "dtn with NUL", "8201652f2f610062", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn with space", "8201652f2f612062", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn not ASCII", "8201652f2f61c3a4", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn with DEL", "8201652f2f617f62", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn with ..", "82016a2f2f612f2e2e2f657463", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn ending in .", "8201652f2f612f2e", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "dtn with ...", "8201672f2f612f2e2e2e", RC_OK, RC_OK, "dtn://a/..." },
    { "dtn claims 2^61",
      "82017b2000000000000000"
      "2f2f",
      RC_SHORT, RC_SHORT, NULL },
    { "dtn claims 2^64-1",
      "82017bffffffffffffffff"
      "2f2f",
      RC_SHORT, RC_SHORT, NULL },
    { "ipn, one element", "82028101", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "ipn, four elements", "82028401010101", RC_BUNDLE_EID, RC_BUNDLE_EID, NULL },
    { "ipn, allocator above 32 bits", "8202831b00000001000000000101", RC_BUNDLE_EID, RC_BUNDLE_EID,
      NULL },
    { "ipn, node above 32 bits", "820283011b000000010000000001", RC_BUNDLE_EID, RC_BUNDLE_EID,
      NULL },
    { "ipn, negative", "8202822001", RC_CBOR_TYPE, RC_CBOR_TYPE, NULL },
    { "ipn, not shortest", "820282180101", RC_CBOR_NOT_MINIMAL, RC_CBOR_NOT_MINIMAL, NULL },
    { "ipn, float", "820282f9000001", RC_CBOR_TAG, RC_CBOR_TAG, NULL },
    { "trailing byte", "82010000", RC_TRAILING, RC_TRAILING, NULL },
    { "cut", "820282", RC_SHORT, RC_SHORT, NULL },
    { "reserved head", "8202821c01", RC_CBOR_RESERVED, RC_CBOR_RESERVED, NULL },
};

static void check_row(const struct row *row, enum bundle_level level, enum rc want)
{
    static struct vector in;
    static const struct eid marker = { .scheme = EID_IPN, .node = 77, .service = 78 };
    struct eid eid = marker;
    uint8_t again[EID_WIRE_MAX];
    struct cbor_out w = { .p = again, .cap = sizeof again };
    char text[EID_TEXT_CAP];
    enum rc got;

    in.n = 0;
    vector_hex(row->hex, &in);
    got = eid_decode(vector_bytes(&in), level, &eid, NULL);
    if (got != want)
        fail_msg("%s: got %s, want %s", row->why, rc_name(got), rc_name(want));
    if (want != RC_OK) {
        assert_memory_equal(&eid, &marker, sizeof eid);
        return;
    }
    assert_string_equal(eid_text(&eid, text, sizeof text), row->text);
    eid_put(&w, &eid);
    assert_int_equal(w.n, in.n);
    assert_memory_equal(again, in.p, in.n);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i], BUNDLE_STRICT, rows[i].strict);
        check_row(&rows[i], BUNDLE_LENIENT, rows[i].lenient);
    }
}

static struct eid decoded(const char *hex, struct vector *in)
{
    struct eid eid = { 0 };

    in->n = 0;
    vector_hex(hex, in);
    assert_rc(eid_decode(vector_bytes(in), BUNDLE_LENIENT, &eid, NULL), RC_OK);
    return eid;
}

static void test_equal(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool equal;
    } pairs[] = {
        { "8202820b0a", "820283000b0a", true }, /* default allocator, written or not */
        { "8202821b0000000b0000000a0a", "8202830b0a0a", true },
        { "8202820b0a", "8202820b0b", false },
        { "8202820b0a", "8202820c0a", false },
        { "8202820b0a", "8202830b0b0a", false },
        { "820100", "8202820000", true },
        { "820100", "8202820007", true },
        { "820100", "8202820100", false },
        { "8201652f2f612f62", "8201652f2f612f62", true },
        { "8201652f2f612f62", "8201652f2f612f63", false },
        { "8201652f2f612f62", "8202820100", false },
    };
    static struct vector va;
    static struct vector vb;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        struct eid a = decoded(pairs[i].a, &va);
        struct eid b = decoded(pairs[i].b, &vb);

        assert_int_equal(eid_equal(&a, &b), pairs[i].equal);
        assert_int_equal(eid_equal(&b, &a), pairs[i].equal);
    }
}

/* The longest name decodes and prints whole; one byte more is refused. */
static void test_longest_name(void **state)
{
    uint8_t in[EID_WIRE_MAX + 8] = { 0x82, 0x01, 0x78 };
    char text[EID_TEXT_CAP];
    char small[8];
    struct eid eid = { 0 };

    (void)state;
    memset(in + 4, 'a', sizeof in - 4);
    in[4] = in[5] = '/';
    in[3] = EID_DTN_MAX;
    assert_rc(
        eid_decode((struct bytes){ .p = in, .n = 4 + EID_DTN_MAX }, BUNDLE_STRICT, &eid, NULL),
        RC_OK);
    assert_int_equal(strlen(eid_text(&eid, text, sizeof text)), 4 + EID_DTN_MAX);
    assert_string_equal(eid_text(&eid, small, sizeof small), "dtn://a");
    assert_string_equal(eid_text(&eid, small, 1), "");

    memmove(in + 5, in + 4, EID_DTN_MAX);
    in[2] = 0x79;
    in[3] = 0x01;
    in[4] = 0x00;
    assert_rc(
        eid_decode((struct bytes){ .p = in, .n = 5 + EID_DTN_MAX + 1 }, BUNDLE_LENIENT, &eid, NULL),
        RC_BUNDLE_EID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_longest_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
