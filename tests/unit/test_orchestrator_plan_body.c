/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies that carry files: what is in them, and that none of the others becomes anything.
 */
#include "tests/unit/test.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/plan_body.h"

static struct plan_body body;
static struct err err;

static enum rc read_text(enum plan_body_kind kind, const char *text)
{
    memset(&body, 0, sizeof body);
    return plan_body_read(kind, bytes_of(text), &body, &err);
}

static void takes_files_and_options(void **state)
{
    (void)state;
    assert_rc(
        read_text(PLAN_ASK,
                  "{\"fleet\": \"b.yaml\", \"files\": [{\"bytes\": \"\", \"name\": \"a-1.tle\"},"
                  "{\"name\": \"b.yaml\", \"bytes\": \"Zm9v\"}], \"staged\": true, "
                  "\"token_life\": 3650, \"deltas\": false, \"rate\": 1, \"pass\": 86400, "
                  "\"columns\": 0}"),
        RC_OK);
    assert_int_equal(body.n, 2);
    assert_string_equal(body.file[0].name, "a-1.tle");
    assert_int_equal(body.file[0].n, 0);
    assert_int_equal(body.file[1].n, 3);
    assert_memory_equal(body.file[1].bytes, "foo", 3);
    assert_string_equal(body.fleet, "b.yaml");
    assert_true(body.staged && !body.deltas && !body.supersede);
    assert_int_equal(body.token_life, 3650);
    assert_int_equal(body.rate, 1);
    assert_int_equal(body.pass, 86400);
    assert_int_equal(body.columns, 0);
    plan_body_done(&body);

    assert_rc(read_text(PLAN_UNDO, ""), RC_OK);
    assert_true(body.deltas && body.columns == -1 && !body.staged && body.n == 0);
    plan_body_done(&body);
    assert_rc(read_text(PLAN_UNDO, "{\"staged\": true}"), RC_OK);
    assert_true(body.staged);
    plan_body_done(&body);

    assert_rc(read_text(PLAN_GIVE,
                        "{\"signatures\": [{\"name\": \"order-a\", \"bytes\": \"AA==\"}, "
                        "{\"name\": \"order-a\", \"bytes\": \"AQ==\"}], \"why\": \"ticket 7\", "
                        "\"supersede\": true, \"despite_failure\": true}"),
              RC_OK);
    assert_int_equal(body.n, 2); /* two keys' */
    assert_true(body.supersede && body.despite_failure);
    assert_string_equal(body.why, "ticket 7");
    plan_body_done(&body);
    assert_rc(read_text(PLAN_GIVE, "{\"signatures\": []}"), RC_OK);
    plan_body_done(&body);

    assert_rc(read_text(PLAN_DELEGATION, "{\"bytes\": \"Zm9v\"}"), RC_OK);
    assert_int_equal(body.n, 1);
    assert_int_equal(body.file[0].n, 3);
    plan_body_done(&body);
}

#define F(name) "{\"files\": [{\"name\": \"" name "\", \"bytes\": \"\"}], \"fleet\": \"" name "\"}"
#define WITH(more) "{\"files\": [{\"name\": \"f\", \"bytes\": \"\"}], \"fleet\": \"f\", " more "}"

static const struct {
    enum plan_body_kind kind;
    const char *text;
} bad[] = {
    { PLAN_ASK, "" },
    { PLAN_ASK, "{}" },
    { PLAN_ASK, "[]" },
    { PLAN_ASK, "null" },
    { PLAN_ASK, "{\"files\": []" },
    { PLAN_ASK, "{\"files\": [], \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": {}, \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": \"\"}]}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": \"\"}], \"fleet\": \"g\"}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": \"\"}], \"fleet\": 7}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\"}], \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": 7}], \"fleet\": \"f\"}" },
    { PLAN_ASK,
      "{\"files\": [{\"name\": \"f\", \"bytes\": \"\", \"mode\": 7}], \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": \"Zg\"}], \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": \"Zg==\\n\"}], \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": [\"f\"], \"fleet\": \"f\"}" },
    { PLAN_ASK, "{\"files\": [{\"name\": \"f\", \"bytes\": \"\"}, {\"name\": \"f\", \"bytes\": "
                "\"\"}], \"fleet\": \"f\"}" },
    { PLAN_ASK, F("") },
    { PLAN_ASK, F(".") },
    { PLAN_ASK, F("..") },
    { PLAN_ASK, F(".fleet") },
    { PLAN_ASK, F("-f") },
    { PLAN_ASK, F("../fleet.yaml") },
    { PLAN_ASK, F("/etc/passwd") },
    { PLAN_ASK, F("a/b") },
    { PLAN_ASK, F("a\\\\b") },
    { PLAN_ASK, F("a\\u0000b") },
    { PLAN_ASK, F("a b") },
    { PLAN_ASK, F("a\\nb") },
    { PLAN_ASK, F("\\u00e4") },
    { PLAN_ASK, F("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa") },
    { PLAN_ASK, WITH("\"staged\": 1") },
    { PLAN_ASK, WITH("\"staged\": null") },
    { PLAN_ASK, WITH("\"fleet\": \"f\"") },
    { PLAN_ASK, WITH("\"token_life\": 0") },
    { PLAN_ASK, WITH("\"token_life\": 3651") },
    { PLAN_ASK, WITH("\"token_life\": 1.5") },
    { PLAN_ASK, WITH("\"token_life\": \"1\"") },
    { PLAN_ASK, WITH("\"rate\": -1") },
    { PLAN_ASK, WITH("\"pass\": 99999999999999999999999999") },
    { PLAN_ASK, WITH("\"columns\": 10000") },
    { PLAN_ASK, WITH("\"why\": \"x\"") },
    { PLAN_ASK, WITH("\"supersede\": true") },
    { PLAN_ASK, WITH("\"home\": \"/\"") },
    { PLAN_ASK, WITH("\"staged\": [[[[[true]]]]]") },
    { PLAN_UNDO, F("f") },
    { PLAN_UNDO, " " },
    { PLAN_GIVE, "" },
    { PLAN_GIVE, "{}" },
    { PLAN_GIVE, "{\"signatures\": [], \"why\": \"\"}" },
    { PLAN_GIVE, "{\"signatures\": [], \"why\": \"a\\nb\"}" },
    { PLAN_GIVE, "{\"signatures\": [], \"why\": 7}" },
    { PLAN_GIVE, "{\"signatures\": [], \"key\": \"\"}" },
    { PLAN_GIVE, "{\"signatures\": [{\"name\": \"../order-a\", \"bytes\": \"\"}]}" },
    { PLAN_DELEGATION, "{}" },
    { PLAN_DELEGATION, "{\"bytes\": 7}" },
    { PLAN_DELEGATION, "{\"bytes\": \"\", \"name\": \"x\"}" },
};

static void refuses_whatever_is_not_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct plan_body none = { 0 };
        enum rc rc = read_text(bad[i].kind, bad[i].text);

        if (rc != RC_API_REQUEST)
            fail_msg("%s: %s", bad[i].text, rc_name(rc));
        assert_memory_equal(&body, &none, sizeof none); /* nothing came of it */
    }
}

/* A body made of `head`, n items and `tail`; '#' in an item is its number, and then commas stand
 * between them. */
static struct bytes repeat(const char *head, const char *item, size_t n, const char *tail)
{
    const size_t cap = strlen(head) + n * (strlen(item) + 16) + strlen(tail) + 1;
    const char *mark = strchr(item, '#');
    char *text = malloc(cap);
    size_t at = strlen(head);

    assert_non_null(text);
    memcpy(text, head, at);
    for (size_t i = 0; i < n && mark; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s%.*s%zu%s", i > 0 ? "," : "",
                               (int)(mark - item), item, i, mark + 1);
    for (size_t i = 0; i < n && !mark; i++)
        at += (size_t)snprintf(text + at, cap - at, "%s", item);
    memcpy(text + at, tail, strlen(tail));
    return (struct bytes){ .p = (uint8_t *)text, .n = at + strlen(tail) };
}

static enum rc read_repeated(enum plan_body_kind kind, struct bytes in)
{
    memset(&body, 0, sizeof body);
    enum rc rc = plan_body_read(kind, in, &body, &err);

    free((void *)(uintptr_t)in.p);
    return rc;
}

static void counts_files(void **state)
{
    static const char head[] = "{\"fleet\": \"f0\", \"files\": [", tail[] = "]}";
    static const char part[] = "{\"name\": \"f#\", \"bytes\": \"\"}";

    (void)state;
    assert_rc(read_repeated(PLAN_ASK, repeat(head, part, PLAN_FILES_MAX, tail)), RC_OK);
    assert_int_equal(body.n, PLAN_FILES_MAX);
    plan_body_done(&body);
    assert_rc(read_repeated(PLAN_ASK, repeat(head, part, PLAN_FILES_MAX + 1, tail)),
              RC_API_REQUEST);
    assert_rc(read_repeated(PLAN_ASK, repeat(head, part, 1000, tail)), RC_API_REQUEST);
    assert_int_equal(body.n, 0);
}

/* As many signatures as a body has room for, and one more; and what they become is little more than
 * the body. */
static void counts_signatures(void **state)
{
    static const char head[] = "{\"more\": true, \"signatures\": [", tail[] = "]}";
    static const char part[] = "{\"name\": \"order-s-#\", \"bytes\": \"AAAA\"}";

    (void)state;
    assert_rc(read_repeated(PLAN_GIVE, repeat(head, part, PLAN_SIGNATURES_MAX, tail)), RC_OK);
    assert_int_equal(body.n, PLAN_SIGNATURES_MAX);
    assert_true(body.more);
    plan_body_done(&body);
    assert_rc(read_repeated(PLAN_GIVE, repeat(head, part, PLAN_SIGNATURES_MAX + 1, tail)),
              RC_API_REQUEST);
    assert_rc(read_repeated(PLAN_GIVE, repeat(head, "[[],#]", 4 * PLAN_SIGNATURES_MAX, tail)),
              RC_API_REQUEST);
    assert_string_equal(err.what, "more values than any such body has");
    assert_rc(read_text(PLAN_ASK, WITH("\"more\": true")), RC_API_REQUEST);
    assert_rc(read_text(PLAN_GIVE, "{\"signatures\": [], \"more\": 1}"), RC_API_REQUEST);
}

/* What would become gigabytes is not read at all. */
static void counts_values_before_it_reads_them(void **state)
{
    static const char *const heads[] = { "{\"files\": [", "{\"files\": [[" };
    static const char *const parts[] = { "0,", "{}," };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct bytes in = repeat(heads[i], parts[i], 2000000, "0]");
        const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

        memset(&body, 0, sizeof body);
        assert_rc(plan_body_read(PLAN_ASK, in, &body, &err), RC_API_REQUEST);
        assert_string_equal(err.what, "more values than any such body has");
        assert_true(mallinfo2().uordblks + mallinfo2().hblkhd <= before + 4096);
        free((void *)(uintptr_t)in.p);
    }
}

/* One file of n bytes, all zero. */
static struct bytes one_file(size_t n)
{
    static const char head[] = "{\"fleet\": \"f\", \"files\": [{\"name\": \"f\", \"bytes\": \"";
    static const char tail[] = "\"}]}";
    const size_t len = (n + 2) / 3 * 4;
    char *text = malloc(sizeof head + len + sizeof tail);

    assert_non_null(text);
    memcpy(text, head, sizeof head - 1);
    memset(text + sizeof head - 1, 'A', len);
    for (size_t pad = (3 - n % 3) % 3; pad > 0; pad--)
        text[sizeof head - 1 + len - pad] = '=';
    memcpy(text + sizeof head - 1 + len, tail, sizeof tail - 1);
    return (struct bytes){ .p = (uint8_t *)text, .n = sizeof head - 1 + len + sizeof tail - 1 };
}

static void counts_bytes(void **state)
{
    static const uint8_t zeros[PLAN_ASK_MAX + 1];

    (void)state;
    assert_rc(read_repeated(PLAN_ASK, one_file(PLAN_FILES_BYTES)), RC_OK);
    assert_int_equal(body.file[0].n, PLAN_FILES_BYTES);
    plan_body_done(&body);
    for (size_t more = 1; more <= 4; more++)
        assert_rc(read_repeated(PLAN_ASK, one_file(PLAN_FILES_BYTES + more)), RC_TOO_LARGE);
    for (unsigned kind = 0; kind <= PLAN_DELEGATION; kind++) {
        const size_t max = plan_body_max((enum plan_body_kind)kind);

        assert_true(max <= PLAN_ASK_MAX);
        assert_rc(plan_body_read((enum plan_body_kind)kind, (struct bytes){ zeros, max + 1 }, &body,
                                 &err),
                  RC_TOO_LARGE);
    }
    /* a signature, and a document */
    assert_rc(read_repeated(PLAN_GIVE, repeat("{\"signatures\": [{\"name\": \"a\", \"bytes\": \"",
                                              "AAAA", SIGNATURE_FILE_MAX / 3 + 1, "\"}]}")),
              RC_TOO_LARGE);
    assert_rc(read_repeated(PLAN_DELEGATION,
                            repeat("{\"bytes\": \"", "AAAA", DOCUMENT_MAX / 3 + 1, "\"}")),
              RC_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_files_and_options),
        cmocka_unit_test(refuses_whatever_is_not_known),
        cmocka_unit_test(counts_files),
        cmocka_unit_test(counts_signatures),
        cmocka_unit_test(counts_values_before_it_reads_them),
        cmocka_unit_test(counts_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
