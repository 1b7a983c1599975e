/* SPDX-License-Identifier: Apache-2.0
 *
 * Our documents against those of tests/vectors/documents/make.py, byte for byte: an independent
 * CBOR encoder and an independent Ed25519.
 */
#include "tests/unit/test.h"

#include <fcntl.h>

#include "base/fs.h"
#include "tests/unit/documents.h"

static uint8_t want_buf[4096];
static struct signed_doc one;
static struct report report;

static struct bytes vector(const char *name)
{
    char path[128];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "tests/vectors/documents/%s", name);
    assert_rc(fs_read_file(AT_FDCWD, path, want_buf, sizeof want_buf, &n, NULL), RC_OK);
    assert_true(n > 0);
    return (struct bytes){ want_buf, n };
}

static void test_documents(void **state)
{
    (void)state;
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();

    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    assert_true(bytes_equal(one.payload, vector("manifest.cbor")));
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    assert_true(bytes_equal(one.payload, vector("order.cbor")));
    doc_report(&report);
    assert_rc(report_encode(&report, one.buf, sizeof one.buf, &one.bytes, NULL), RC_OK);
    assert_true(bytes_equal(one.bytes, vector("report.cbor")));
}

static void test_signature(void **state)
{
    (void)state;
    struct order order = doc_order();
    struct envelope e;
    uint8_t message[512];
    struct bytes got;

    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    assert_rc(envelope_open(one.bytes, &e, NULL), RC_OK);
    assert_rc(envelope_to_sign(DOC_ORDER, &doc_mission, &e, e.signature[0].protected_header,
                               message, sizeof message, &got, NULL),
              RC_OK);
    assert_true(bytes_equal(got, vector("order.to-sign")));
    assert_true(bytes_equal(e.signature[0].signature, vector("order.ed25519")));
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
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_signature),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
