/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/describe.h"
#include "orchestrator/words.h"
#include "tests/unit/documents.h"
#include "tests/unit/vectors.h"

static uint8_t buf[DOCUMENT_MAX];
static struct err err;

/* Describe what was encoded; its kind must be the wanted one. */
static json_t *described(struct bytes in, const char *kind)
{
    json_t *value = describe_document(in, &err);

    if (!value)
        fail_msg("%s: %s %s", kind, rc_name(err.rc), err.what);
    assert_string_equal(json_string_value(json_object_get(value, "kind")), kind);
    return value;
}

static const char *text_of(json_t *value, const char *key)
{
    return json_string_value(json_object_get(value, key));
}

static void every_type_is_recognized(void **state)
{
    struct root *root = malloc(sizeof *root);
    struct grant *grant = malloc(sizeof *grant);
    struct manifest *manifest = malloc(sizeof *manifest);
    struct order *order = malloc(sizeof *order);
    struct bytes in = { 0 };
    json_t *value;

    (void)state;
    *root = doc_root();
    *grant = doc_grant();
    *manifest = doc_manifest();
    *order = doc_order();

    assert_rc(root_encode(root, buf, sizeof buf, &in, &err), RC_OK);
    value = described(in, "root");
    assert_int_equal(json_integer_value(json_object_get(value, "version")), 1);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(value, "root_keys"), "threshold")), 2);
    json_decref(value);

    assert_rc(grant_encode(grant, buf, sizeof buf, &in, &err), RC_OK);
    value = described(in, "grant");
    assert_string_equal(text_of(value, "tenant"), "acme");
    json_decref(value);

    assert_rc(manifest_encode(manifest, buf, sizeof buf, &in, &err), RC_OK);
    value = described(in, "manifest");
    assert_string_equal(text_of(value, "version"), manifest->version);
    assert_int_equal(json_array_size(json_object_get(value, "exec")), manifest->n_args);
    json_decref(value);

    assert_rc(order_encode(order, buf, sizeof buf, &in, &err), RC_OK);
    value = described(in, "order");
    assert_int_equal(json_array_size(json_object_get(value, "lines")), order->n_lines);
    json_decref(value);
    free(root);
    free(grant);
    free(manifest);
    free(order);
    doc_keys_free();
}

static void revocations_say_what_they_take(void **state)
{
    struct revocation *doc = calloc(1, sizeof *doc);
    struct bytes in = { 0 };
    json_t *value, *entry;
    char *words;

    (void)state;
    assert_non_null(doc);
    doc->number = 3;
    doc->issued_ms = ISSUED_MS;
    doc->n = 2;
    doc->entry[0] = (struct revoked){ .kind = REVOKED_KEY, .policy = REVOKE_STOP, .key = { 1 } };
    doc->entry[1] = (struct revoked){ .kind = REVOKED_GRANT, .policy = REVOKE_KEEP, .epoch = 4 };
    memcpy(doc->entry[1].tenant, "acme", 5);
    assert_rc(revocation_encode(doc, buf, sizeof buf, &in, &err), RC_OK);
    value = described(in, "revocation");
    entry = json_array_get(json_object_get(value, "revoked"), 1);
    assert_string_equal(text_of(entry, "grants_of"), "acme");
    assert_string_equal(text_of(entry, "then"), "keep");
    words = words_of(value);
    assert_non_null(words);
    assert_non_null(strstr(words, "REVOCATION, number 3: 2 entries"));
    assert_non_null(strstr(words, "2023-11-14 22:13:20 UTC"));
    free(words);
    json_decref(value);
    free(doc);
}

static void reports_are_shown_with_names(void **state)
{
    struct report *report = calloc(1, sizeof *report);
    struct bytes in = { 0 };
    json_t *value, *event;

    (void)state;
    assert_non_null(report);
    memcpy(report->satellite, "sat-1", 6);
    report->epoch = 2;
    report->seq = 7;
    report->time_ms = 1;
    report->root_version = 1;
    report->n_events = 1;
    report->event[0] = (struct report_event){ .seq = 1, .code = RC_REPLAY, .count = 3 };
    memcpy(report->event[0].what, "bundle", 7);
    assert_rc(report_encode(report, buf, sizeof buf, &in, &err), RC_OK);
    value = described(in, "report");
    event = json_array_get(json_object_get(value, "events"), 0);
    assert_string_equal(text_of(event, "name"), "REPLAY");
    assert_string_equal(text_of(event, "what"), "bundle");
    json_decref(value);
    free(report);
}

static void what_is_no_document_is_refused(void **state)
{
    static const struct {
        const char *why;
        const uint8_t bytes[4];
        size_t n;
    } rows[] = {
        { "nothing", { 0 }, 0 },
        { "an empty map", { 0xa0 }, 1 },
        { "a number", { 0x01 }, 1 },
        { "cut short", { 0xa1, 0x01 }, 2 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *value =
            describe_document((struct bytes){ .p = rows[i].bytes, .n = rows[i].n }, &err);

        if (value)
            fail_msg("%s: described", rows[i].why);
        assert_int_equal(err.rc, RC_DOC_TYPE);
    }
}

static void bundles_show_their_blocks(void **state)
{
    struct bundle *bundle = calloc(1, sizeof *bundle);
    struct vector *v = calloc(1, sizeof *v);
    json_t *value;

    (void)state;
    vector_load("bundles-valid/bplib-5-ext-blocks-crc16.hex", v);
    assert_rc(bundle_decode((struct bytes){ .p = v->p, .n = v->n }, BUNDLE_STRICT, bundle, &err),
              RC_OK);
    value = describe_bundle(bundle);
    assert_string_equal(text_of(value, "kind"), "bundle");
    assert_int_equal(json_array_size(json_object_get(value, "blocks")), bundle->n_blocks);
    assert_non_null(strstr(text_of(value, "source"), "ipn:"));
    json_decref(value);
    free(bundle);
    free(v);
}

static void hostile_text_is_cleaned(void **state)
{
    json_t *value = json_safe("a\x1b[31m\xff\"b");

    (void)state;
    assert_string_equal(json_string_value(value), "a?[31m?\"b");
    json_decref(value);
    value = json_uint(UINT64_MAX);
    assert_int_equal(json_integer_value(value), INT64_MAX);
    json_decref(value);
    value = json_digest(&(struct digest){ 0 });
    assert_true(json_is_null(value));
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_recognized),
        cmocka_unit_test(revocations_say_what_they_take),
        cmocka_unit_test(reports_are_shown_with_names),
        cmocka_unit_test(what_is_no_document_is_refused),
        cmocka_unit_test(bundles_show_their_blocks),
        cmocka_unit_test(hostile_text_is_cleaned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
