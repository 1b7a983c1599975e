/* SPDX-License-Identifier: Apache-2.0
 *
 * What has brought down other implementations, as far as one bundle can show it: each row is one
 * such input and the one code that it ends with here.  docs/attacks.md says where the rest is
 * tested.  And the work that any input makes, counted: heads read and bytes that go into CRCs.
 */
#include "tests/unit/test.h"

#include "link/crc.h"

/* The decoder itself, counting. */
static uint64_t heads;
static uint64_t summed;

static uint16_t counted_crc16(uint16_t crc, struct bytes data)
{
    summed += data.n;
    return crc16_x25(crc, data);
}

static uint32_t counted_crc32c(uint32_t crc, struct bytes data)
{
    summed += data.n;
    return crc32c(crc, data);
}

#define CURSOR_STEP() (heads++)
#define crc16_x25 counted_crc16
#define crc32c counted_crc32c
#include "link/bundle.c"
#undef crc16_x25
#undef crc32c
#include "link/asb.c"
#include "link/eid.c"

#include "link/bpsec.h"
#include "link/record.h"
#include "tests/unit/link_fixture.h"
#include "tests/unit/vectors.h"

#define HEAD "9f8807000082028202018202820101" /* dst ipn:2.1, src ipn:1.1, no CRC */
#define REST "820282010182011864190e10"       /* report-to ipn:1.1, time 1, 3600 s */
#define PAYLOAD "850101000041aaff"

/* How far a row gets, and where it must end. */
enum stage { FORM, CHECKED, SECURITY, RECORD, FINE };

struct row {
    unsigned t; /* number in docs/attacks.md */
    const char *what;
    const char *bytes; /* hex, or a file of tests/vectors */
    enum bundle_level level;
    enum stage stage;
    enum rc want;
};

#define S BUNDLE_STRICT
#define L BUNDLE_LENIENT
#define D "derived-hostile/"

/* clang-format off */
static const struct row rows[] = {
    { 1, "no blocks", "9fff", L, FORM, RC_CBOR_TAG },
    { 2, "empty", D "01-empty-input.hex", S, FORM, RC_SHORT },
    { 3, "no break", D "03-missing-break.hex", S, FORM, RC_SHORT },
    { 4, "trailing byte", D "04-trailing-byte.hex", S, FORM, RC_TRAILING },
    { 5, "two bundles", HEAD REST PAYLOAD HEAD REST PAYLOAD, L, FORM, RC_TRAILING },
    { 6, "payload of 2^64-1", D "19-bstr-length-2e64-minus-1.hex", S, FORM, RC_SHORT },
    { 6, "payload of 4 GiB", HEAD REST "8501010000" "5affffffff" "ff", L, FORM, RC_SHORT },
    { 6, "payload of 1 GiB", HEAD REST "8501010000" "5a40000000" "ff", L, FORM, RC_SHORT },
    { 6, "text of 2^61 in an EID", "9f88070000" "82017b2000000000000000" "2f2f", L, FORM, RC_SHORT },
    { 6, "text of 2^61, published", "bundles-invalid/dtn7go-fuzz-text-len-2e61.hex", S, FORM, RC_BUNDLE_CRC_TYPE },
    { 6, "bytes of 2^61, published", "bundles-invalid/dtn7go-fuzz-bytes-len-2e61.hex", S, FORM, RC_BUNDLE_FRAGMENT },
    { 7, "200 arrays in an EID", D "22-nested-arrays-depth-200-as-eid.hex", S, FORM, RC_CBOR_COUNT },
    { 8, "1000 blocks", D "58-1000-extension-blocks.hex", S, FORM, RC_BUNDLE_TOO_MANY_BLOCKS },
    { 9, "number twice", D "36-duplicate-block-number.hex", S, FORM, RC_BUNDLE_BLOCK_NUMBER },
    { 9, "number 0", "bundles-invalid/bsl-block-number-0.hex", L, FORM, RC_BUNDLE_BLOCK_NUMBER },
    { 9, "payload is number 2", "bundles-invalid/bsl-payload-number-2.hex", L, FORM, RC_BUNDLE_BLOCK_NUMBER },
    { 9, "payload is number 33", "issue-threads/payload-block-number-33.hex", S, FORM, RC_BUNDLE_BLOCK_NUMBER },
    { 9, "payload not last", "issue-threads/payload-before-age.hex", S, FORM, RC_BUNDLE_PAYLOAD },
    { 9, "two payloads", D "37-two-payload-blocks.hex", S, FORM, RC_BUNDLE_PAYLOAD },
    { 9, "no payload", "bundles-invalid/bsl-only-primary.hex", L, FORM, RC_BUNDLE_PAYLOAD },
    { 10, "bit of the payload", D "12-payload-crc32c-payload-bit-flip.hex", S, FORM, RC_BUNDLE_CRC },
    { 10, "CRC of an extension block", D "42-unknown-crc-covered-block-bad-crc.hex", S, FORM, RC_BUNDLE_CRC },
    { 10, "CRC of the primary block", "bundles-invalid/bplib-dtn-none-reportto-stale-crc16.hex", S, FORM, RC_BUNDLE_CRC },
    { 10, "CRC-16 in four bytes", D "13-crc16-in-4-byte-string.hex", S, FORM, RC_BUNDLE_CRC_TYPE },
    { 10, "CRC type 3", D "10-crc-type-3.hex", S, FORM, RC_BUNDLE_CRC_TYPE },
    { 10, "CRC type 25", "issue-threads/crc-type-25.hex", S, FORM, RC_BUNDLE_CRC_TYPE },
    { 11, "length not shortest", D "15-nonshortest-payload-length.hex", S, FORM, RC_CBOR_NOT_MINIMAL },
    { 11, "tag in front", D "21-tagged-outer-array.hex", S, FORM, RC_BUNDLE_FORMAT },
    { 11, "version is a float", D "24-float-version.hex", S, FORM, RC_CBOR_TAG },
    { 11, "additional information 28", "9f881c", S, FORM, RC_CBOR_RESERVED },
    { 11, "additional information 30", HEAD "9e", S, FORM, RC_CBOR_RESERVED },
    { 11, "indefinite payload", D "16-indefinite-payload-bstr.hex", S, FORM, RC_CBOR_INDEFINITE },
    { 12, "no clock, no age", D "28-time-zero-no-age-block.hex", S, FORM, RC_BUNDLE_TIME },
    { 12, "two ages", D "31-two-age-blocks.hex", S, FORM, RC_BUNDLE_BLOCK_TYPE },
    { 12, "older than it may be", D "30-age-exceeds-lifetime.hex", S, CHECKED, RC_BUNDLE_EXPIRED },
    { 12, "lifetime without end", D "26-lifetime-2e64-minus-1.hex", S, FINE, RC_OK },
    { 13, "hop limit 0", D "33-hop-limit-0.hex", S, FORM, RC_BUNDLE_FORMAT },
    { 13, "hop limit 256", HEAD REST "850a020000" "4582190100" "00" PAYLOAD, L, FORM, RC_BUNDLE_FORMAT },
    { 13, "hops above the limit", D "34-hop-count-exceeds-limit.hex", S, CHECKED, RC_BUNDLE_HOPS },
    { 14, "offset beyond the total", D "45-fragment-offset-beyond-total.hex", S, FORM, RC_BUNDLE_FRAGMENT },
    { 14, "total of 2^62", D "46-fragment-total-huge.hex", S, FORM, RC_BUNDLE_FRAGMENT },
    { 14, "offset wraps", "9f8a07010082028202018202820101" REST "1bffffffffffffffff05" PAYLOAD, L, FORM, RC_BUNDLE_FRAGMENT },
    { 14, "empty", D "49-zero-length-fragment.hex", S, FORM, RC_BUNDLE_FRAGMENT },
    { 14, "fragment that must not be", D "48-fragment-flag-and-must-not-fragment.hex", S, FORM, RC_BUNDLE_FLAGS },
    { 14, "fragment of a record", "9f8a07030082028202018202820101" REST "0405" PAYLOAD, L, FORM, RC_BUNDLE_FLAGS },
    { 15, "allocator above 32 bits", D "51-eid-ipn-3elem-allocator-over-32bit.hex", S, FORM, RC_BUNDLE_EID },
    { 15, "four elements", "9f88070000" "82028401010101", L, FORM, RC_BUNDLE_EID },
    { 15, "to ipn:0.7", D "52-eid-ipn-null-node-nonzero-service.hex", L, FORM, RC_BUNDLE_EID },
    { 16, "NUL in a name", D "54-eid-dtn-embedded-nul.hex", L, FORM, RC_BUNDLE_EID },
    { 16, "not UTF-8", D "55-eid-dtn-invalid-utf8.hex", L, FORM, RC_BUNDLE_EID },
    { 16, "path in a name", "9f88070000" "82016a2f2f612f2e2e2f657463", L, FORM, RC_BUNDLE_EID },
    { 16, "a name of 1 MiB", "9f88070000" "82017a00100000" "2f2f61", L, FORM, RC_SHORT },
    { 17, "unknown block deletes", D "39-unknown-block-delete-bundle-flag.hex", S, CHECKED, RC_BUNDLE_BLOCK_UNSUPPORTED },
    { 17, "unknown block goes", D "40-unknown-block-discard-flag.hex", S, FINE, RC_OK },
    { 17, "unknown block flags", "issue-threads/reserved-block-flags-f9.hex", S, FINE, RC_OK },
    { 18, "MAC of 0 bytes", D "72-bib-mac-truncated-to-0-bytes.hex", L, CHECKED, RC_BPSEC_FORMAT },
    { 18, "MAC of 1 byte", D "73-bib-mac-truncated-to-1-byte.hex", L, CHECKED, RC_BPSEC_FORMAT },
    { 18, "variant 9", D "75-bib-unknown-variant-9.hex", L, CHECKED, RC_BPSEC_CONTEXT },
    { 18, "context 99", D "76-bib-unknown-context-99.hex", L, SECURITY, RC_BPSEC_CONTEXT },
    { 18, "MAC with one bit changed", D "70-bib-mac-bit-flip.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 18, "block flags changed", "bundles-invalid/pics-26-1-tampered-block-flags-must-fail.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 19, "another primary block, scope 0", D "85-bib-primary-changed-scope-0-target-1.hex", L, SECURITY, RC_OK },
    { 20, "BCB over the primary block", D "87-bcb-targets-primary.hex", L, CHECKED, RC_BPSEC_TARGET },
    { 20, "BCB over itself", D "88-bcb-targets-itself.hex", L, CHECKED, RC_BPSEC_TARGET },
    { 20, "more results than targets", D "90-asb-target-count-vs-results.hex", L, CHECKED, RC_BPSEC_FORMAT },
    { 20, "BIB split after it was made", "bundles-invalid/pics-21-1-bib-split-on-partial-encrypt-1.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 21, "tag", D "78-bcb-tag-bit-flip.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 21, "ciphertext", D "79-bcb-ciphertext-bit-flip.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 21, "IV", D "81-bcb-iv-bit-flip.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 21, "scope flags", D "82-bcb-scope-flag-changed-0-to-7.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 21, "lifetime", D "84-bcb-primary-lifetime-changed-scope-7.hex", L, SECURITY, RC_BPSEC_AUTH },
    { 22, "parameters without their flag", D "91-asb-params-flag-0-with-params.hex", L, CHECKED, RC_BPSEC_FORMAT },
    { 23, "record cut", D "60-status-report-truncated.hex", S, RECORD, RC_SHORT },
    { 23, "record asks for reports", "9f8807194002008202820201820282010182028201018201186419" "0e10" PAYLOAD, L, FORM, RC_BUNDLE_FLAGS },
    { 23, "anonymous, asks for reports", D "43-dtn-none-source-with-report-flags.hex", S, FORM, RC_BUNDLE_FLAGS },
    { 24, "draft 16", "bundles-invalid/bpbis16-draft-old-encoding.hex", S, FORM, RC_BUNDLE_EID },
    { 24, "draft 13", "bundles-invalid/upcn-bpbis13-draft-old-encoding.hex", S, FORM, RC_BUNDLE_EID },
    { 24, "draft, random", "bundles-invalid/bp7rs-bpbis-rnd-bundle.hex", S, FORM, RC_BUNDLE_EID },
    { 24, "draft, data as an array", "bundles-invalid/bp7rs-doc-array-block-data.hex", L, FORM, RC_CBOR_TYPE },
    { 24, "version 6", D "06-version-6.hex", S, FORM, RC_BUNDLE_VERSION },
};
/* clang-format on */

static struct vector key_hmac, key_a128, key_a256, key_kek;

static enum rc find_key(void *arg, const struct bpsec_asb *asb, struct bytes *ret, struct err *err)
{
    (void)arg;
    (void)err;
    if (asb->context == BPSEC_BIB_HMAC)
        *ret = vector_bytes(&key_hmac);
    else if (asb->wrapped_key.n > 0)
        *ret = vector_bytes(&key_kek);
    else
        *ret = vector_bytes(asb->variant == BPSEC_A128GCM ? &key_a128 : &key_a256);
    return RC_OK;
}

static void load_row(const struct row *row, struct vector *v)
{
    v->n = 0;
    if (strstr(row->bytes, ".hex"))
        vector_load(row->bytes, v);
    else
        vector_hex(row->bytes, v);
}

/* Through the stages until one refuses; *ret tells which. */
static enum rc take(struct vector *v, enum bundle_level level, enum stage *ret, struct err *err)
{
    static const struct bpsec_keyring keys = { .find = find_key };
    static struct bundle b;
    struct record record;
    bool secured = false;
    enum rc rc = bundle_decode(vector_bytes(v), level, &b, err);

    *ret = FORM;
    if (rc != RC_OK)
        return rc;
    *ret = CHECKED;
    rc = bpsec_check(&b, level, err);
    if (rc == RC_OK)
        rc = bundle_check(&b, 0, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < b.n_blocks; i++)
        secured |= b.blocks[i].type == BLOCK_BIB || b.blocks[i].type == BLOCK_BCB;
    *ret = secured ? SECURITY : RECORD;
    if (secured)
        return bpsec_process(v->p, &b, &keys, err);
    if (b.flags & BUNDLE_ADMIN)
        return record_decode(bundle_payload(&b), &record, err);
    *ret = FINE;
    return RC_OK;
}

static void test_rows(void **state)
{
    static struct vector v;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = { 0 };
        enum stage stage = FINE;
        enum rc rc;

        load_row(&rows[i], &v);
        rc = take(&v, rows[i].level, &stage, &err);
        if (rc != rows[i].want || stage != rows[i].stage)
            fail_msg("T%u %s: %s at stage %u", rows[i].t, rows[i].what, rc_name(rc), stage);
        /* A refusal says what it was, and where: somewhere in the input, or where more should be.
         */
        if (rc != RC_OK && (err.rc != rc || err.what[0] == '\0' || err.at > v.n))
            fail_msg("T%u %s: \"%s\" at %llu", rows[i].t, rows[i].what, err.what,
                     (unsigned long long)err.at);
    }
    print_message("%zu rows\n", sizeof rows / sizeof rows[0]);
}

/* Refusals that concern a block name an offset inside of the bundle, never 0. */
static void test_offsets(void **state)
{
    static struct vector v;
    unsigned named = 0;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err = { 0 };
        enum stage stage = FINE;

        load_row(&rows[i], &v);
        if (v.n < 3 || take(&v, rows[i].level, &stage, &err) == RC_OK || stage == RECORD)
            continue;
        if (err.at == 0 && v.p[0] == 0x9f)
            fail_msg("T%u %s: no offset", rows[i].t, rows[i].what);
        named++;
    }
    assert_true(named > 60);
}

/* ---- counted work ---- */

/* The bound of docs/wire/link.md. */
static void assert_bounded(struct bytes in, const char *what)
{
    static struct bundle b;

    heads = 0;
    summed = 0;
    (void)!bundle_decode(in, BUNDLE_LENIENT, &b, NULL);
    if (heads > in.n + BUNDLE_BLOCKS_MAX || summed > in.n)
        fail_msg("%s: %llu heads and %llu bytes in CRCs for %zu bytes", what,
                 (unsigned long long)heads, (unsigned long long)summed, in.n);
}

static void test_work_of_rows(void **state)
{
    static struct vector v;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        load_row(&rows[i], &v);
        assert_bounded(vector_bytes(&v), rows[i].what);
    }
}

/* Inputs made to make work: nothing but heads, targets without end, one block after another. */
static void test_work_of_the_worst(void **state)
{
    static uint8_t buf[65536];
    static const uint8_t fill[] = { 0x00, 0x80, 0x81, 0x82, 0x85, 0x9f, 0xff, 0x18, 0x40 };
    struct vector head = { .n = 0 };
    uint64_t random = 42;

    (void)state;
    vector_hex(HEAD REST, &head);
    for (size_t i = 0; i < sizeof fill; i++) {
        memset(buf, fill[i], sizeof buf);
        assert_bounded((struct bytes){ .p = buf, .n = sizeof buf }, "one byte again and again");
        memcpy(buf, head.p, head.n);
        assert_bounded((struct bytes){ .p = buf, .n = sizeof buf }, "the same behind a primary");
    }
    for (unsigned round = 0; round < 20000; round++) {
        struct cbor_out w = { .p = buf, .cap = sizeof buf };
        struct bundle_block block = { .flags = 1 };
        uint8_t data[64];

        cbor_put_raw(&w, vector_bytes(&head));
        for (unsigned n = 0; n < 15; n++) {
            block.type = 5 + link_random(&random) % 9;
            block.number = n + 2;
            block.crc_type = (enum crc_type)(link_random(&random) % 3);
            for (size_t k = 0; k < sizeof data; k++)
                data[k] = (uint8_t)(link_random(&random) % 25);
            data[0] = (uint8_t)(0x80 | link_random(&random) % 17);
            block.data = (struct bytes){ .p = data, .n = 1 + link_random(&random) % 63 };
            bundle_put_block(&w, NULL, &block);
        }
        block = (struct bundle_block){ .type = 1, .number = 1, .data = { .p = data, .n = 9 } };
        bundle_put_block(&w, NULL, &block);
        buf[w.n] = 0xff;
        assert_bounded((struct bytes){ .p = buf, .n = w.n + 1 }, "blocks of heads");
    }
}

/* A million tiny bundles, each another one: the work is the same for each, and no more. */
static void test_a_million(void **state)
{
    static struct vector v;
    static struct bundle b;
    uint64_t taken = 0, per_bundle;

    (void)state;
    vector_hex(HEAD "8202820101"
                    "82011a00000000" /* sequence number, to be filled in */
                    "190e10" PAYLOAD,
               &v);
    bytes_put_be(v.p + 23, 4, 0x01000000); /* four bytes are its shortest form */
    heads = 0;
    assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
    per_bundle = heads;
    heads = 0;
    summed = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        bytes_put_be(v.p + 23, 4, 0x01000000 + i);
        taken += bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL) == RC_OK &&
                 b.sequence == 0x01000000 + i;
    }
    assert_int_equal(taken, 1000000);
    assert_int_equal(heads, per_bundle * 1000000);
    assert_int_equal(summed, 0);
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
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_offsets),
        cmocka_unit_test(test_work_of_rows), cmocka_unit_test(test_work_of_the_worst),
        cmocka_unit_test(test_a_million),
    };

    return cmocka_run_group_tests(tests, load_keys, NULL);
}
