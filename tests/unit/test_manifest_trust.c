/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "manifest/trust.h"
#include "tests/unit/documents.h"

/* Too big for a stack frame, and all tests run one after the other. */
static struct signed_doc one, two;

static noinline struct trust *trust_at_start(void)
{
    struct root root = doc_root();
    struct trust *trust = NULL;
    struct err err;

    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_C);
    assert_rc(trust_new(one.bytes, &trust, &err), RC_OK);
    return trust;
}

static noinline struct trust *trust_with_grant(void)
{
    struct trust *trust = trust_at_start();
    struct grant grant = doc_grant();

    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_B);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
    return trust;
}

static void test_true_path(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();
    scoped(verified_manifest_free) struct verified_manifest *vm = NULL;
    scoped(verified_order_free) struct verified_order *vo = NULL;
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();
    struct order_position position = { .satellite = "aurora-1" };
    uint8_t digest[DIGEST_SIZE];

    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    assert_rc(trust_verify_manifest(trust, one.bytes, NOW_MS, &vm, NULL), RC_OK);
    assert_string_equal(verified_manifest_get(vm)->name, "cam-north");
    assert_rc(sha256_of(one.payload, digest, NULL), RC_OK);
    assert_memory_equal(verified_manifest_digest(vm)->b, digest, sizeof digest);

    order.issued_ms = ISSUED_MS + DAY_MS / 2;
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    assert_rc(trust_verify_order(trust, one.bytes, &position, NOW_MS, &vo, NULL), RC_OK);
    assert_int_equal(verified_order_get(vo)->generation, 12);
    assert_rc(sha256_of(one.payload, digest, NULL), RC_OK);
    assert_memory_equal(verified_order_digest(vo)->b, digest, sizeof digest);
    assert_int_equal(trust_time_floor(trust), ISSUED_MS + DAY_MS / 2);
}

static int teardown(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    (void)two;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_path),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
