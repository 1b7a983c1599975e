/* SPDX-License-Identifier: Apache-2.0
 *
 * The two files of an air gap: one form each, and a signature goes only where it belongs.
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/request.h"
#include "tests/unit/documents.h"

static uint8_t root_cbor[DOCUMENT_MAX], grant_cbor[DOCUMENT_MAX], other_cbor[DOCUMENT_MAX];
static struct request root_request, grant_request, other_grant;
static struct err err;

static int begin(void **state)
{
    struct root *root = malloc(sizeof *root);
    struct grant *grant = malloc(sizeof *grant);

    (void)state;
    assert_non_null(root);
    assert_non_null(grant);
    *root = doc_root();
    *grant = doc_grant();
    root_request = (struct request){ .type = DOC_ROOT, .mission = doc_mission };
    grant_request = (struct request){ .type = DOC_GRANT, .mission = doc_mission, .note = "ticket" };
    other_grant = grant_request;
    assert_rc(root_encode(root, root_cbor, sizeof root_cbor, &root_request.payload, &err), RC_OK);
    assert_rc(grant_encode(grant, grant_cbor, sizeof grant_cbor, &grant_request.payload, &err),
              RC_OK);
    grant->epoch++;
    assert_rc(grant_encode(grant, other_cbor, sizeof other_cbor, &other_grant.payload, &err),
              RC_OK);
    free(root);
    free(grant);
    return 0;
}

static int end(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

/* The bytes of a signature file. */
static struct bytes sign(const struct request *request, enum doc_key which, uint8_t *buf)
{
    static uint8_t envelope[DOCUMENT_MAX];
    const struct sign_key *key = doc_key(which);
    struct bytes signed_one = { 0 }, file = { 0 };

    assert_rc(sign_document(request->type, &request->mission, request->payload, &key, 1, envelope,
                            sizeof envelope, &signed_one, &err),
              RC_OK);
    assert_rc(request_signature_encode(request, sign_key_public(key), signed_one, buf,
                                       SIGNATURE_FILE_MAX, &file, &err),
              RC_OK);
    return file;
}

static void requests_have_one_form(void **state)
{
    static uint8_t buf[REQUEST_FILE_MAX], again[REQUEST_FILE_MAX];
    struct request got;
    struct bytes file = { 0 }, second = { 0 };

    (void)state;
    assert_rc(request_encode(&grant_request, buf, sizeof buf, &file, &err), RC_OK);
    assert_true(request_is(file));
    assert_false(request_signature_is(file));
    assert_rc(request_decode(file, &got, &err), RC_OK);
    assert_string_equal(got.note, "ticket");
    assert_rc(request_encode(&got, again, sizeof again, &second, &err), RC_OK);
    assert_true(bytes_equal(file, second));
    for (size_t n = 0; n < file.n; n++) { /* cut anywhere */
        memset(&got, 0xa5, sizeof got);
        assert_int_not_equal(request_decode((struct bytes){ file.p, n }, &got, &err), RC_OK);
        assert_int_equal(got.note[0], (char)0xa5);
    }
    buf[file.n] = 0;
    assert_rc(request_decode((struct bytes){ buf, file.n + 1 }, &got, &err), RC_TRAILING);
}

static void requests_say_what_they_hold(void **state)
{
    static uint8_t buf[REQUEST_FILE_MAX];
    struct request r = grant_request;
    struct bytes file = { 0 };

    (void)state;
    r.type = DOC_ORDER;
    assert_rc(request_encode(&r, buf, sizeof buf, &file, &err), RC_DOC_TYPE);
    r = root_request;
    r.mission = other_mission;
    assert_rc(request_encode(&r, buf, sizeof buf, &file, &err), RC_MISSION);
    r = grant_request;
    memcpy(r.note, "\x1b[2J", 5);
    assert_rc(request_encode(&r, buf, sizeof buf, &file, &err), RC_VALUE);
    r = grant_request;
    r.payload.n = 0;
    assert_rc(request_encode(&r, buf, sizeof buf, &file, &err), RC_TOO_LARGE);
    assert_int_equal(file.n, 0);
}

static void signers_come_in_any_order(void **state)
{
    static const enum doc_key orders[][2] = { { K_ROOT_A, K_ROOT_C }, { K_ROOT_C, K_ROOT_A } };
    static uint8_t files[2][SIGNATURE_FILE_MAX], buf[2][DOCUMENT_MAX];
    struct request_signature *s = malloc(sizeof *s);
    struct root *root = malloc(sizeof *root);

    (void)state;
    assert_non_null(s);
    assert_non_null(root);
    assert_rc(root_decode(root_request.payload, root, &err), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        struct bytes envelope = { 0 };
        struct envelope opened;

        for (size_t k = 0; k < 2; k++) {
            struct bytes file = sign(&root_request, orders[i][k], files[k]);

            assert_true(request_signature_is(file));
            assert_rc(request_signature_decode(file, s, &err), RC_OK);
            assert_rc(
                request_attach(&root_request, envelope, s, buf[k], DOCUMENT_MAX, &envelope, &err),
                RC_OK);
            assert_int_equal(request_signed(envelope, &root->root_keys), k + 1);
        }
        assert_rc(envelope_open(envelope, &opened, &err), RC_OK);
        assert_rc(envelope_verify(&opened, DOC_ROOT, &doc_mission, &root->root_keys, &err), RC_OK);
    }
    free(s);
    free(root);
}

static void signatures_go_only_where_they_belong(void **state)
{
    struct request elsewhere = grant_request, as_root = root_request;
    const struct {
        const char *why;
        const struct request *signed_over, *attached_to;
        enum rc rc;
    } rows[] = {
        { "another type", &as_root, &grant_request, RC_DOC_TYPE },
        { "another mission", &elsewhere, &grant_request, RC_MISSION },
        { "another payload", &other_grant, &grant_request, RC_DIGEST_MISMATCH },
        { "its own", &grant_request, &grant_request, RC_OK },
    };
    static uint8_t file[SIGNATURE_FILE_MAX], buf[DOCUMENT_MAX];
    struct request_signature *s = malloc(sizeof *s);

    (void)state;
    assert_non_null(s);
    elsewhere.mission = other_mission;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes out = { 0 };
        enum rc rc;

        assert_rc(request_signature_decode(sign(rows[i].signed_over, K_OPERATOR_A, file), s, &err),
                  RC_OK);
        rc = request_attach(rows[i].attached_to, (struct bytes){ 0 }, s, buf, sizeof buf, &out,
                            &err);
        if (rc != rows[i].rc)
            fail_msg("%s: %s %s", rows[i].why, rc_name(rc), err.what);
        assert_true((rc == RC_OK) == (out.n > 0));
    }
    free(s);
}

/* What claims to be over this grant, but is not what the key made. */
static void lies_are_found_by_the_verifier(void **state)
{
    static uint8_t file[SIGNATURE_FILE_MAX], other[SIGNATURE_FILE_MAX], buf[2][DOCUMENT_MAX];
    struct request_signature *s = malloc(sizeof *s), *lie = malloc(sizeof *lie);
    struct bytes out = { 0 }, more = { 0 };
    struct request_signature *wrong = malloc(sizeof *wrong);

    (void)state;
    assert_non_null(s);
    assert_non_null(lie);
    assert_non_null(wrong);
    assert_rc(request_signature_decode(sign(&grant_request, K_OPERATOR_A, file), s, &err), RC_OK);
    assert_rc(request_signature_decode(sign(&other_grant, K_OPERATOR_A, other), wrong, &err),
              RC_OK);
    *lie = *wrong; /* a good signature over another grant, relabelled */
    lie->payload = s->payload;
    assert_rc(request_attach(&grant_request, out, lie, buf[0], DOCUMENT_MAX, &more, &err),
              RC_SIG_BAD);
    *lie = *s; /* one half of another document's */
    lie->half[1] = wrong->half[1];
    assert_rc(request_attach(&grant_request, out, lie, buf[0], DOCUMENT_MAX, &more, &err),
              RC_SIG_BAD);
    *lie = *s;
    lie->n = 1;
    assert_rc(request_attach(&grant_request, out, lie, buf[0], DOCUMENT_MAX, &more, &err),
              RC_SIG_MISSING_HALF);
    *lie = *s;
    lie->half[1] = lie->half[0];
    assert_rc(request_attach(&grant_request, out, lie, buf[0], DOCUMENT_MAX, &more, &err),
              RC_KEY_DUPLICATE);
    *lie = *s;
    lie->key = *sign_key_public(doc_key(K_OPERATOR_B));
    assert_rc(request_attach(&grant_request, out, lie, buf[0], DOCUMENT_MAX, &more, &err),
              RC_SIG_BAD);
    *lie = *s;
    lie->half[0].algorithm = -7;
    assert_rc(request_attach(&grant_request, out, lie, buf[0], DOCUMENT_MAX, &more, &err),
              RC_ALGORITHM);
    assert_int_equal(more.n, 0);
    assert_rc(request_attach(&grant_request, out, s, buf[0], DOCUMENT_MAX, &out, &err), RC_OK);
    assert_rc(request_attach(&grant_request, out, s, buf[1], DOCUMENT_MAX, &more, &err),
              RC_KEY_DUPLICATE); /* twice counts once */
    assert_rc(request_attach(&other_grant, out, wrong, buf[1], DOCUMENT_MAX, &more, &err),
              RC_DIGEST_MISMATCH); /* the envelope is around another document */
    free(s);
    free(lie);
    free(wrong);
}

/* A flipped bit anywhere in a signature file: refused, or it was in nothing that is signed. */
static void flipped_bits_are_found(void **state)
{
    static uint8_t file[SIGNATURE_FILE_MAX], buf[DOCUMENT_MAX];
    struct request_signature *s = malloc(sizeof *s);
    struct bytes in = sign(&grant_request, K_OPERATOR_A, file);

    (void)state;
    assert_non_null(s);
    for (size_t i = 0; i < in.n; i += i < 120 ? 1 : 97) {
        struct bytes out = { 0 };
        size_t at = (size_t)(in.p - file) + i;

        file[at] ^= 0x10;
        if (request_signature_decode(in, s, &err) == RC_OK &&
            request_attach(&grant_request, out, s, buf, sizeof buf, &out, &err) == RC_OK)
            fail_msg("byte %zu may be flipped", i);
        file[at] ^= 0x10;
    }
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_have_one_form),
        cmocka_unit_test(requests_say_what_they_hold),
        cmocka_unit_test(signers_come_in_any_order),
        cmocka_unit_test(signatures_go_only_where_they_belong),
        cmocka_unit_test(lies_are_found_by_the_verifier),
        cmocka_unit_test(flipped_bits_are_found),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
