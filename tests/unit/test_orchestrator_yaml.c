/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/yaml.h"
#include "orchestrator/yaml_units.h"

static struct err err;

static void refused_texts(void **state)
{
    static const struct {
        const char *why, *text, *says;
    } rows[] = {
        { "duplicate key", "a: 1\nb: 2\na: 3\n", "t.yaml:3:1: key 'a' appears twice" },
        { "anchor", "a: &x 1\n", "t.yaml:1:4: anchors and tags are not supported" },
        { "anchored list", "a: &x [1]\n", "anchors and tags" },
        { "alias", "a: *x\n", "aliases are not supported" },
        { "tag", "a: !!int 1\n", "anchors and tags" },
        { "tagged map", "a: !x {b: 1}\n", "anchors and tags" },
        { "merge key", "a: {<<: 1}\n", "merge keys" },
        { "second document", "a: 1\n---\nb: 1\n", "t.yaml:2:1: a second document" },
        { "map as key", "{a: 1}: 2\n", "a key must be plain text" },
        { "too deep", "[[[[[[[[[[[[[1]]]]]]]]]]]]]", "nested too deep" },
        { "unclosed", "a: [1, 2\n", "t.yaml:2:1:" },
        { "tab", "a:\n\t- 1\n", "t.yaml:2:" },
        { "NUL in text", "a: \"x\\0y\"\n", "text contains a NUL" },
        { "not UTF-8", "a: \xff\xfe\n", "t.yaml:" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct yaml *doc = NULL;

        memset(&err, 0, sizeof err);
        if (yaml_parse(bytes_of(rows[i].text), "/some/where/t.yaml", &doc, &err) != RC_YAML)
            fail_msg("%s: not refused", rows[i].why);
        assert_null(doc);
        if (!strstr(err.what, rows[i].says))
            fail_msg("%s: says '%s', not '%s'", rows[i].why, err.what, rows[i].says);
    }
}

static void too_much_is_refused(void **state)
{
    char *text = malloc(YAML_BYTES_MAX + 1);
    struct yaml *doc = NULL;

    (void)state;
    assert_non_null(text);
    memset(text, '#', YAML_BYTES_MAX + 1);
    assert_rc(yaml_parse((struct bytes){ .p = (uint8_t *)text, .n = YAML_BYTES_MAX + 1 }, "t", &doc,
                         &err),
              RC_TOO_LARGE);
    for (size_t i = 0; i < 3 * (size_t)YAML_NODES_MAX; i += 3)
        memcpy(text + i, "-  ", 3);
    for (size_t i = 2; i < 3 * (size_t)YAML_NODES_MAX; i += 3)
        text[i] = '\n';
    assert_rc(yaml_parse((struct bytes){ .p = (uint8_t *)text, .n = 3 * (size_t)YAML_NODES_MAX },
                         "t", &doc, &err),
              RC_YAML);
    assert_non_null(strstr(err.what, "too many entries"));
    assert_null(doc);
    free(text);
}

#define KEYS 1024 /* of one map: looking for a key is a walk */

static void a_map_has_so_many_keys(void **state)
{
    (void)state;
    for (int n = KEYS; n <= KEYS + 1; n++) {
        char *text = calloc((size_t)n, 16);
        struct yaml *doc = NULL;
        int at = 0;

        assert_non_null(text);
        for (int i = 0; i < n; i++)
            at += snprintf(text + at, 16, "k%d: 1\n", i);
        assert_rc(yaml_parse(bytes_of(text), "t", &doc, &err), n > KEYS ? RC_YAML : RC_OK);
        if (n > KEYS)
            assert_string_equal(err.what, "t:1025:1: too many keys");
        yaml_close(&doc);
        free(text);
    }
}

static void empty_is_an_empty_map(void **state)
{
    static const char *const texts[] = { "", "# nothing\n", "---\n", "---\n...\n" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        scoped(yaml_close) struct yaml *doc = NULL;
        struct yaml_in r;

        assert_rc(yaml_parse(bytes_of(texts[i]), "t", &doc, &err), RC_OK);
        r = yaml_read(doc);
        assert_int_equal(yaml_root(&r)->type, YAML_MAP);
        assert_null(yaml_first(&r, yaml_root(&r)));
    }
}

static const char sample[] = "name: cam\n"
                             "pids: 16\n"
                             "memory: 64M\n"
                             "ready: 5s\n"
                             "cpu: 0.5\n"
                             "loss: 20%\n"
                             "on: true\n"
                             "quoted: \"\"\n"
                             "list:\n"
                             "  - one\n"
                             "  - {k: v}\n"
                             "map: {a: 1, b: 2}\n";

static void values(void **state)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    const struct yaml_node *top, *item;
    char text[16];
    struct yaml_in r;

    (void)state;
    assert_rc(yaml_parse(bytes_of(sample), "t", &doc, &err), RC_OK);
    r = yaml_read(doc);
    top = yaml_root(&r);
    yaml_text(&r, top, "name", NULL, text, sizeof text);
    assert_string_equal(text, "cam");
    yaml_text(&r, top, "none", "dflt", text, sizeof text);
    assert_string_equal(text, "dflt");
    yaml_text(&r, top, "quoted", NULL, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(yaml_uint(&r, top, "pids", YAML_NEEDED, 1, 64), 16);
    assert_int_equal(yaml_uint(&r, top, "none", 7, 1, 64), 7);
    assert_int_equal(yaml_size(&r, top, "memory", YAML_NEEDED, 0, UINT64_MAX), 64U << 20);
    assert_int_equal(yaml_time(&r, top, "ready", YAML_NEEDED, 0, UINT64_MAX), 5000);
    assert_int_equal(yaml_share(&r, top, "cpu", YAML_NEEDED, 0, UINT64_MAX), 500);
    assert_int_equal(yaml_fraction(&r, top, "loss", YAML_NEEDED, 0, 1000000), 200000);
    assert_true(yaml_bool(&r, top, "on", false));
    assert_true(yaml_bool(&r, top, "none", true));
    item = yaml_first(&r, yaml_list(&r, top, "list", true));
    yaml_scalar(&r, item, text, sizeof text);
    assert_string_equal(text, "one");
    item = yaml_next(&r, item);
    assert_int_equal(item->type, YAML_MAP);
    assert_string_equal(yaml_first(&r, item)->key, "k");
    assert_null(yaml_next(&r, item));
    assert_int_equal(yaml_map(&r, top, "map", true)->children, 2);
    assert_null(yaml_map(&r, top, "none", false));
    assert_rc(yaml_done(&r, &err), RC_OK);
}

/* Each reads one thing that is wrong. */
static void read_unknown(struct yaml_in *r, const struct yaml_node *top)
{
    static const char *const keys[] = { "name",   "pids", "memory", "ready", "cpu", "loss",
                                        "quotes", "on",   "list",   "map",   NULL };
    yaml_keys(r, top, keys);
}
static void read_missing(struct yaml_in *r, const struct yaml_node *top)
{
    char text[8];

    yaml_text(r, top, "version", NULL, text, sizeof text);
    assert_string_equal(text, "");
}
static void read_too_long(struct yaml_in *r, const struct yaml_node *top)
{
    char text[3];

    yaml_text(r, top, "name", NULL, text, sizeof text);
    assert_string_equal(text, "");
}
static void read_range(struct yaml_in *r, const struct yaml_node *top)
{
    assert_int_equal(yaml_uint(r, top, "pids", YAML_NEEDED, 1, 8), 0);
}
static void read_unit(struct yaml_in *r, const struct yaml_node *top)
{
    assert_int_equal(yaml_time(r, top, "pids", YAML_NEEDED, 1, 8), 0);
}
static void read_no_map(struct yaml_in *r, const struct yaml_node *top)
{
    assert_null(yaml_map(r, top, "list", true));
}
static void read_no_bool(struct yaml_in *r, const struct yaml_node *top)
{
    assert_false(yaml_bool(r, top, "name", true));
}
static void read_no_scalar(struct yaml_in *r, const struct yaml_node *top)
{
    char text[8];

    yaml_text(r, top, "map", NULL, text, sizeof text);
}

static void reading_names_line_and_column(void **state)
{
    static const struct {
        void (*read)(struct yaml_in *r, const struct yaml_node *top);
        const char *says;
    } rows[] = {
        { read_unknown, "t:8:1: unknown key 'quoted', did you mean 'quotes'?" },
        { read_missing, "t:1:1: 'version' is missing" },
        { read_too_long, "t:1:7: longer than 2 characters" },
        { read_range, "t:2:7: 'pids' must be 1 to 8" },
        { read_unit, "t:2:7: 'pids' wants a time such as 5s" },
        { read_no_map, "t:10:3: 'list' wants keys" },
        { read_no_bool, "t:1:7: 'name' wants true or false" },
        { read_no_scalar, "t:12:6: plain text is expected here" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(yaml_close) struct yaml *doc = NULL;
        struct yaml_in r;

        assert_rc(yaml_parse(bytes_of(sample), "t", &doc, &err), RC_OK);
        r = yaml_read(doc);
        rows[i].read(&r, yaml_root(&r));
        read_missing(&r, yaml_root(&r)); /* the first failure stays */
        assert_rc(yaml_done(&r, &err), RC_YAML);
        assert_string_equal(err.what, rows[i].says);
    }
}

static void units(void **state)
{
    static const struct {
        enum yaml_unit unit;
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        { YAML_UNIT_NONE, "0", true, 0 },
        { YAML_UNIT_NONE, "18446744073709551615", true, UINT64_MAX },
        { YAML_UNIT_NONE, "18446744073709551616", false, 0 },
        { YAML_UNIT_NONE, "1.5", false, 0 },
        { YAML_UNIT_NONE, "-1", false, 0 },
        { YAML_UNIT_NONE, "0x10", false, 0 },
        { YAML_UNIT_NONE, "", false, 0 },
        { YAML_UNIT_SIZE, "1.5K", true, 1536 },
        { YAML_UNIT_SIZE, "10", true, 10 },
        { YAML_UNIT_SIZE, "10B", true, 10 },
        { YAML_UNIT_SIZE, "2G", true, UINT64_C(2) << 30 },
        { YAML_UNIT_SIZE, "0.3K", false, 0 },
        { YAML_UNIT_SIZE, "1Q", false, 0 },
        { YAML_UNIT_SIZE, "1 M", false, 0 },
        { YAML_UNIT_SIZE, "99999999999999G", false, 0 },
        { YAML_UNIT_TIME, "200ms", true, 200 },
        { YAML_UNIT_TIME, "1.5s", true, 1500 },
        { YAML_UNIT_TIME, "2m", true, 120000 },
        { YAML_UNIT_TIME, "1h", true, 3600000 },
        { YAML_UNIT_TIME, "0", true, 0 },
        { YAML_UNIT_TIME, "5", false, 0 },
        { YAML_UNIT_TIME, "0.5ms", false, 0 },
        { YAML_UNIT_SHARE, "1", true, 1000 },
        { YAML_UNIT_SHARE, "0.25", true, 250 },
        { YAML_UNIT_SHARE, "50%", true, 500 },
        { YAML_UNIT_SHARE, "75m", true, 75 },
        { YAML_UNIT_SHARE, ".5", false, 0 },
        { YAML_UNIT_SHARE, "5.", false, 0 },
        { YAML_UNIT_FRACTION, "0.000001", true, 1 },
        { YAML_UNIT_FRACTION, "0.0000001", false, 0 },
        { YAML_UNIT_FRACTION, "12.5%", true, 125000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 77;
        bool ok = yaml_unit_parse(rows[i].unit, rows[i].text, &value);

        if (ok != rows[i].ok || value != (ok ? rows[i].value : 77))
            fail_msg("'%s': %d, %llu", rows[i].text, ok, (unsigned long long)value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_texts),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(a_map_has_so_many_keys),
        cmocka_unit_test(empty_is_an_empty_map),
        cmocka_unit_test(values),
        cmocka_unit_test(reading_names_line_and_column),
        cmocka_unit_test(units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
