/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding hostile bytes: each row edits the encoding of a good document in one place.  Whatever is
 * accepted must be the one encoding of what was read.
 */
#include "tests/unit/test.h"

#include "tests/unit/documents.h"

static uint8_t buf_a[DOCUMENT_MAX], buf_b[DOCUMENT_MAX];

/* One kind of document, without its C type. */
struct kind {
    const char *name;
    size_t size;
    enum rc (*decode)(struct bytes in, void *ret);
    enum rc (*encode)(const void *doc, uint8_t *buf, size_t cap, struct bytes *ret);
    void (*good)(void *ret);
};

#define KIND(type, fill)                                                                           \
    static enum rc type##_in(struct bytes in, void *ret)                                           \
    {                                                                                              \
        return type##_decode(in, ret, NULL);                                                       \
    }                                                                                              \
    static enum rc type##_out(const void *doc, uint8_t *buf, size_t cap, struct bytes *ret)        \
    {                                                                                              \
        return type##_encode(doc, buf, cap, ret, NULL);                                            \
    }                                                                                              \
    static noinline void type##_good(void *ret)                                                    \
    {                                                                                              \
        struct type *doc = ret;                                                                    \
        fill;                                                                                      \
    }                                                                                              \
    static const struct kind type##_kind = { #type, sizeof(struct type), type##_in, type##_out,    \
                                             type##_good };

/* clang-format off */
KIND(root, *doc = doc_root())
KIND(grant, *doc = doc_grant())
KIND(manifest, *doc = doc_manifest())
KIND(order, *doc = doc_order())
KIND(report, doc_report(doc))
KIND(revocation, *doc = doc_revocation())
KIND(token, *doc = doc_token())
KIND(delegation, *doc = doc_delegation())
KIND(rekey, *doc = doc_rekey(REKEY_KEM))
/* clang-format on */

/* The same types with everything in them that may be left out. */
static noinline void full_root(void *ret)
{
    struct root *doc = ret;

    *doc = doc_root();
    doc->safety_keys = doc_key_set(1, 2, K_SAFETY_A);
}

static noinline void full_grant(void *ret)
{
    struct grant *doc = ret;

    *doc = doc_grant();
    doc->needs_safety = true;
    doc->agent = true;
    memcpy(doc->tenant, AGENT_TENANT, sizeof AGENT_TENANT);
    doc->teams_since_ms = doc->issued_ms;
}

static noinline void full_manifest(void *ret)
{
    struct manifest *doc = ret;

    *doc = doc_manifest();
    memset(&doc->index, 0x79, sizeof doc->index);
    memset(&doc->index384, 0x7a, sizeof doc->index384);
    memset(&doc->sbom, 0x7b, sizeof doc->sbom);
    memset(&doc->provenance, 0x7c, sizeof doc->provenance);
    doc->snapshot = true;
    doc->limits.inbox_bytes = 1U << 20;
    doc->sealed = true;
}

static noinline void full_order(void *ret)
{
    struct order *doc = ret;

    *doc = doc_order();
    doc->staged = true;
}

static noinline void full_report(void *ret)
{
    struct report *doc = ret;

    doc_report(doc);
    doc->staged = 13;
    doc_report_keys(&doc->keys);
    doc_report_agent(&doc->agent);
}

static const struct kind full_root_kind = { "root", sizeof(struct root), root_in, root_out,
                                            full_root };
static const struct kind full_grant_kind = { "grant", sizeof(struct grant), grant_in, grant_out,
                                             full_grant };
static const struct kind full_manifest_kind = { "manifest", sizeof(struct manifest), manifest_in,
                                                manifest_out, full_manifest };
static const struct kind full_order_kind = { "order", sizeof(struct order), order_in, order_out,
                                             full_order };
static const struct kind full_report_kind = { "report", sizeof(struct report), report_in,
                                              report_out, full_report };

static const struct kind *const kinds[] = { &root_kind,       &grant_kind,        &manifest_kind,
                                            &order_kind,      &report_kind,       &revocation_kind,
                                            &token_kind,      &full_root_kind,    &full_grant_kind,
                                            &full_order_kind, &full_report_kind,  &delegation_kind,
                                            &rekey_kind,      &full_manifest_kind };

/* The good document's bytes, in buf_a. */
static struct bytes good_bytes(const struct kind *kind)
{
    scoped(free_ptr) void *doc = calloc(1, kind->size);
    struct bytes view;

    assert_non_null(doc);
    kind->good(doc);
    assert_rc(kind->encode(doc, buf_a, sizeof buf_a, &view), RC_OK);
    return view;
}

/* Decode; on refusal nothing was written, on acceptance encoding gives the same bytes back. */
static enum rc decode_strictly(const struct kind *kind, struct bytes in)
{
    scoped(free_ptr) uint8_t *doc = malloc(kind->size);
    struct bytes again;

    assert_non_null(doc);
    memset(doc, 0xa5, kind->size);

    enum rc rc = kind->decode(in, doc);
    if (rc == RC_OK) {
        assert_rc(kind->encode(doc, buf_b, sizeof buf_b, &again), RC_OK);
        assert_true(bytes_equal(in, again));
        return rc;
    }
    for (size_t i = 0; i < kind->size; i++)
        assert_int_equal(doc[i], 0xa5);
    return rc;
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct bytes good = good_bytes(kinds[k]);
        size_t step = good.n > 2000 ? 37 : 1;

        for (size_t n = 0; n < good.n; n += step)
            assert_int_not_equal(decode_strictly(kinds[k], (struct bytes){ good.p, n }), RC_OK);
        assert_rc(decode_strictly(kinds[k], good), RC_OK);
        buf_a[good.n] = 0;
        assert_rc(decode_strictly(kinds[k], (struct bytes){ good.p, good.n + 1 }), RC_TRAILING);
    }
}

static void test_every_accepted_byte_string_has_one_meaning(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct bytes good = good_bytes(kinds[k]);
        size_t step = good.n > 2000 ? 997 : 1;

        for (size_t bit = 0; bit < good.n * 8; bit += step) {
            buf_a[bit / 8] ^= (uint8_t)(1U << bit % 8);
            (void)decode_strictly(kinds[k], good);
            buf_a[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        assert_rc(decode_strictly(kinds[k], good), RC_OK);
    }
}

/* In the document of that kind, the first `find` becomes `put`; both are hex. */
struct edit {
    const char *why;
    const struct kind *kind;
    const char *find;
    const char *put;
    enum rc rc;
};

/* clang-format off */
static const struct edit edits[] = {
    { "another type of document", &order_kind, "00820401", "00820301", RC_DOC_TYPE },
    { "another format", &order_kind, "00820401", "00820402", RC_DOC_VERSION },
    { "no type", &order_kind, "a600820401", "a5", RC_CBOR_MISSING },
    { "a field missing", &order_kind, "a6008204010168", "a50082040168", RC_CBOR_TYPE },
    { "satellite missing", &order_kind, "a600820401016861" "75726f72612d31", "a500820401", RC_CBOR_MISSING },
    { "unknown key at the end", &manifest_kind, "ac00820301", "ad00820301", RC_SHORT },
    { "map of indefinite length", &order_kind, "a600", "bf00", RC_CBOR_INDEFINITE },
    { "array instead of a map", &order_kind, "a600", "8600", RC_CBOR_TYPE },
    { "map that announces 2^28 pairs", &order_kind, "a600", "ba1000000000", RC_CBOR_COUNT },
    { "number not in its shortest form", &order_kind, "020c03", "02180c03", RC_CBOR_NOT_MINIMAL },
    { "key not in its shortest form", &order_kind, "020c03", "18020c03", RC_CBOR_NOT_MINIMAL },
    { "key twice", &order_kind, "020c03", "010c03", RC_CBOR_DUPLICATE },
    { "keys out of order", &order_kind, "020c03", "000c03", RC_CBOR_ORDER },
    { "negative generation", &order_kind, "020c03", "022b03", RC_CBOR_TYPE },
    { "generation as a float", &order_kind, "020c03", "02f94a0003", RC_CBOR_TYPE },
    { "generation with a tag", &order_kind, "020c03", "02c10c03", RC_CBOR_TAG },
    { "generation null", &order_kind, "020c03", "02f603", RC_CBOR_TYPE },
    { "generation zero", &order_kind, "020c03", "020003", RC_VALUE },
    { "generation 2^63", &order_kind, "020c03", "021b800000000000000003", RC_VALUE },
    { "satellite as bytes", &order_kind, "0168617572", "0148617572", RC_CBOR_TYPE },
    { "satellite with a NUL", &order_kind, "0168617572", "0168610072", RC_VALUE },
    { "satellite not UTF-8", &order_kind, "0168617572", "016861ff72", RC_CBOR_UTF8 },
    { "satellite with a capital", &order_kind, "0168617572", "0168417572", RC_NAME },
    { "line of two", &order_kind, "82836461636d65", "82826461636d65", RC_CBOR_COUNT },
    { "lines announced, not there", &order_kind, "82836461636d65", "83836461636d65", RC_SHORT },
    { "65 lines", &order_kind, "82836461636d65", "9841836461636d65", RC_CBOR_COUNT },
    { "short digest", &manifest_kind, "06845820", "0684581f", RC_VALUE },
    { "tenant too long", &manifest_kind, "016461636d65", "0178216161616161616161616161616161616161616161616161616161616161616161", RC_TOO_LARGE },
    { "no arguments", &manifest_kind, "0882682f62696e2f63616d662d2d66617374", "0880", RC_CBOR_COUNT },
    { "unknown health check", &manifest_kind, "0b8401", "0b8409", RC_VALUE },
    { "threshold zero", &grant_kind, "05820181", "05820081", RC_THRESHOLD_INVALID },
    { "threshold above the number of keys", &grant_kind, "05820181", "05820281", RC_THRESHOLD_INVALID },
    { "no keys", &grant_kind, "05820181", "05820180", RC_CBOR_COUNT },
    { "unknown suite", &grant_kind, "0582018183015820", "0582018183035820", RC_SUITE_UNKNOWN },
    { "halves of another suite", &grant_kind, "0582018183015820", "0582018183025820", RC_CBOR_COUNT },
    { "key of the wrong size", &grant_kind, "0582018183015820", "058201818301581f", RC_VALUE },
    { "root threshold zero", &root_kind, "05820283", "05820083", RC_THRESHOLD_INVALID },
    { "operator threshold above the number of keys", &root_kind, "06820182", "06820382", RC_THRESHOLD_INVALID },
    { "unknown state", &report_kind, "6963616d2d6e6f72746809", "6963616d2d6e6f7274680a", RC_VALUE },
    { "index that is none", &full_manifest_kind, "0c8258207979797979797979797979797979797979797979797979797979797979797979", "0c8258200000000000000000000000000000000000000000000000000000000000000000", RC_VALUE },
    { "index of no digests", &full_manifest_kind, "0c825820", "0c805820", RC_CBOR_COUNT },
    { "bill of materials that is none", &full_manifest_kind, "0e58207b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b7b", "0e58200000000000000000000000000000000000000000000000000000000000000000", RC_VALUE },
    { "provenance that is none", &full_manifest_kind, "0f58207c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c7c", "0f58200000000000000000000000000000000000000000000000000000000000000000", RC_VALUE },
    { "staged order that is not", &full_order_kind, "0601", "0600", RC_VALUE },
    { "snapshot that nobody asks for", &full_manifest_kind, "0df5", "0df4", RC_VALUE },
    { "sealing that nobody asks for", &full_manifest_kind, "12f5", "12f4", RC_VALUE },
    { "unknown mode", &full_order_kind, "0601", "0602", RC_VALUE },
    { "grant that says it needs no safety", &full_grant_kind, "0af5", "0af4", RC_VALUE },
    { "grant that says it is not the agent's", &full_grant_kind, "0cf5", "0cf4", RC_VALUE },
    { "another tenant's grant for the agent", &full_grant_kind, "65626572746802", "65626572746902", RC_VALUE },
    { "agent without a version", &full_report_kind, "0f8565302e312e30", "0f8560", RC_VALUE },
    { "agent failed without a code", &full_report_kind, "555518f5", "555500", RC_VALUE },
    { "safety role without keys", &full_root_kind, "09820182", "09820180", RC_CBOR_COUNT },
    { "safety threshold zero", &full_root_kind, "09820182", "09820082", RC_THRESHOLD_INVALID },
    { "safety threshold above the number of keys", &full_root_kind, "09820182", "09820382", RC_THRESHOLD_INVALID },
    { "order zero waits", &full_report_kind, "0c0d", "0c00", RC_VALUE },
    { "token that never expires", &token_kind, "051b0000018be9a53400", "0500", RC_VALUE },
    { "token that expires before it is issued", &token_kind, "051b0000018be9a53400", "051b0000008be9a53400", RC_VALUE },
    { "token of generation zero", &token_kind, "020c03", "020003", RC_VALUE },
    { "token for no order", &token_kind, "035820", "03581f", RC_VALUE },
    { "no key epoch of the master", &full_report_kind, "0782025088", "0782005088", RC_VALUE },
    { "master without id", &full_report_kind, "0782025088", "0781025088", RC_CBOR_COUNT },
    { "half a KEM key", &full_report_kind, "5904c09999", "5904bf9999", RC_VALUE },
    { "keys of node 0", &full_report_kind, "8301600283", "8300600283", RC_VALUE },
    { "the link's first key told", &full_report_kind, "8301600283", "8301600183", RC_VALUE },
    { "links unsorted", &full_report_kind, "8301600283", "8302600283", RC_CBOR_ORDER },
    { "keys without a word", &full_report_kind, "0b840782025088", "0b800782025088", RC_CBOR_COUNT },
    { "rekey of kind 5", &rekey_kind, "8104", "8105", RC_VALUE },
    { "rekey with an empty entry", &rekey_kind, "8104", "8004", RC_CBOR_COUNT },
    { "wrapped key of 39 bytes", &rekey_kind, "8303035828", "8303035827", RC_VALUE },
    { "ciphertext of 1119 bytes", &rekey_kind, "590460", "59045f", RC_VALUE },
    { "recipient of four parts", &rekey_kind, "04830150", "04840150", RC_CBOR_COUNT },
    { "odd number of range bounds", &report_kind, "8400020401", "83000204", RC_CBOR_COUNT },
};
/* clang-format on */

static size_t find_hex(struct bytes in, const char *hex)
{
    uint8_t want[128];
    size_t n = strlen(hex) / 2;

    assert_true(n <= sizeof want && bytes_unhex(hex, want, n));
    for (size_t i = 0; i + n <= in.n; i++) {
        if (memcmp(in.p + i, want, n) == 0)
            return i;
    }
    fail_msg("%s is not in the document", hex);
    return 0;
}

static void test_edits(void **state)
{
    (void)state;
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        const struct edit *e = &edits[i];
        struct bytes good = good_bytes(e->kind);
        size_t at = find_hex(good, e->find);
        size_t cut = strlen(e->find) / 2, put = strlen(e->put) / 2;

        memmove(buf_a + at + put, buf_a + at + cut, good.n - at - cut);
        assert_true(bytes_unhex(e->put, buf_a + at, put));
        enum rc rc = decode_strictly(e->kind, (struct bytes){ buf_a, good.n - cut + put });
        if (rc != e->rc)
            print_error("%s: got %s, want %s\n", e->why, rc_name(rc), rc_name(e->rc));
        wrong += rc != e->rc;
    }
    assert_int_equal(wrong, 0);
}

static void test_unknown_key_is_refused(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        struct bytes good = good_bytes(kinds[k]);

        buf_a[0]++; /* one pair more */
        buf_a[good.n] = 0x17;
        buf_a[good.n + 1] = 0xf5;
        assert_rc(decode_strictly(kinds[k], (struct bytes){ buf_a, good.n + 2 }),
                  RC_CBOR_UNKNOWN_KEY);
    }
}

static void test_names_of_numbers(void **state)
{
    (void)state;
    enum doc_type type = DOC_ROOT;
    struct bytes good = good_bytes(&order_kind);

    assert_rc(doc_peek_type(good, &type, NULL), RC_OK);
    assert_int_equal(type, DOC_ORDER);
    assert_string_equal(doc_type_name(type), "order");
    assert_string_equal(doc_type_name((enum doc_type)99), "?");
    assert_string_equal(slot_state_name(SLOT_ROLLED_BACK), "rolled-back");
    assert_string_equal(slot_state_name(SLOT_STATES), "?");
    buf_a[3] = 0x17; /* 23 */
    assert_rc(doc_peek_type(good, &type, NULL), RC_DOC_TYPE);
    assert_rc(doc_peek_type((struct bytes){ 0 }, &type, NULL), RC_SHORT);
    assert_int_equal(type, DOC_ORDER);
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
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_accepted_byte_string_has_one_meaning),
        cmocka_unit_test(test_edits),
        cmocka_unit_test(test_unknown_key_is_refused),
        cmocka_unit_test(test_names_of_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
