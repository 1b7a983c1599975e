/* SPDX-License-Identifier: Apache-2.0
 *
 * -o table, wide, json, yaml and name: one answer in every form.
 */
#include "tests/unit/test.h"

#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "orchestrator/cli.h"
#include "orchestrator/yaml.h"
#include "orchestrator/yaml_emit.h"

static int turns;

/* A listing of three things, of which names are odd. */
static json_t *answer(void)
{
    return json_pack("{s:[{s:s,s:s,s:i},{s:s,s:s,s:i}], s:n, s:[], s:{}, s:b}", "things", "name",
                     "one", "team", "a", "count", 1, "name", "2", "team", "b", "count", -2, "none",
                     "list", "map", "flag", 1);
}

static int run_list(struct cli *cli)
{
    static const char *const head[] = { "NAME", "WHAT" };
    static const char *const row[] = { "one", "12345678901234567890" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(head, 2);

    cli_table_row(table, row);
    cli_table_print(cli, table);
    cli->again = ++turns < 3;
    return cli_json(cli, answer());
}

static int run_bad(struct cli *cli)
{
    struct err err;

    (void)!err_set(&err, RC_NOT_FOUND, "it");
    return cli_fail(cli, &err, "look again");
}

static const struct cli_option options[] = {
    CLI_OPTION_WATCH,
    { 0 },
};
static const struct cli_command commands[] = {
    { .name = "list",
      .group = "G",
      .args = "",
      .summary = "s",
      .watch = CLI_WATCH_UNTIL,
      .listing = "things.team/name",
      .options = options,
      .run = run_list },
    { .name = "bad", .group = "G", .args = "", .summary = "s", .run = run_bad },
    { 0 },
};
static const struct cli_command *const tables[] = { commands, NULL };
static char *out_text, *errors_text;

static int run(const char *line)
{
    char copy[128], *rest = NULL, *argv[16] = { NULL };
    size_t n = 0;
    int argc = 0;

    free(out_text);
    free(errors_text);
    FILE *out = open_memstream(&out_text, &n), *errors = open_memstream(&errors_text, &n);

    (void)snprintf(copy, sizeof copy, "berth %s", line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    int code = cli_main(tables, argc, argv, out, errors);

    (void)fclose(out);
    (void)fclose(errors);
    return code;
}

static const char yaml[] = "things:\n"
                           "- name: one\n"
                           "  team: a\n"
                           "  count: 1\n"
                           "- name: \"2\"\n"
                           "  team: b\n"
                           "  count: -2\n"
                           "none: null\n"
                           "list: []\n"
                           "map: {}\n"
                           "flag: true\n";

static void each_form(void **state)
{
    static const char text[] = "NAME  WHAT\none   12345678901234567890\n";
    char *json = NULL;

    (void)state;
    for (const char *const *line =
             (const char *const[]){ "list", "list -o table", "list --output=wide", NULL };
         *line; line++) {
        assert_int_equal(run(*line), CLI_OK);
        assert_string_equal(out_text, text);
    }
    assert_int_equal(run("list --json"), CLI_OK);
    json = strdup(out_text);
    assert_int_equal(run("list -o json"), CLI_OK);
    assert_string_equal(out_text, json);
    assert_int_equal(run("list --json -o json"), CLI_OK);
    assert_string_equal(out_text, json);
    free(json);
    assert_int_equal(run("list -o yaml"), CLI_OK);
    assert_string_equal(out_text, yaml);
    assert_int_equal(run("list -o name"), CLI_OK);
    assert_string_equal(out_text, "a/one\nb/2\n");
}

static void what_is_no_form(void **state)
{
    static const char *const lines[] = { "list -o", "list -o xml", "list -o yaml --json",
                                         "bad -o name", "list -x" };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_int_equal(run(lines[i]), CLI_USAGE);
}

static void errors_are_in_the_form(void **state)
{
    (void)state;
    assert_int_equal(run("bad -o yaml"), CLI_FAILED);
    assert_string_equal(errors_text, "");
    assert_memory_equal(out_text, "error:\n  what: it\n", 18);
    assert_int_equal(run("bad -o json"), CLI_FAILED);
    assert_memory_equal(out_text, "{\n  \"error\":", 12);
    assert_int_equal(run("bad -o wide"), CLI_FAILED);
    assert_memory_equal(errors_text, "berth bad: it\n", 14);
}

static void watching_ends(void **state)
{
    (void)state;
    turns = 0;
    assert_int_equal(run("list -w -o name"), CLI_OK);
    assert_string_equal(out_text, "a/one\nb/2\na/one\nb/2\na/one\nb/2\n");
}

/* Whether a scalar of YAML is what is in JSON. */
static void same_scalar(const struct yaml_node *node, const json_t *value)
{
    char number[32];

    assert_int_equal(node->type, YAML_SCALAR);
    if (json_is_string(value)) {
        assert_string_equal(node->text, json_string_value(value));
        return;
    }
    (void)snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
    assert_string_equal(node->text, json_is_integer(value) ? number
                                    : json_is_true(value)  ? "true"
                                                           : "null");
    assert_false(node->quoted);
}

/* Read back what is odd by the strict reader of fleet files. */
static void texts_stay_texts(void **state)
{
    static const struct {
        const char *text;
        bool quoted;
    } rows[] = {
        { "aurora-1", false },  { "acme/cam@aurora-1", false },
        { "1.0.0", true },      { "0x1f", true },
        { "", true },           { "true", true },
        { "No", true },         { "null", true },
        { "NaN", true },        { "-", true },
        { "~", true },          { "a: b", true },
        { "a #b", true },       { " a", true },
        { "a\nb", true },       { "\"'\\", true },
        { "2026-11-30", true }, { "é", true },
    };
    scoped(yaml_close) struct yaml *doc = NULL;
    json_t *list = json_array();
    char *text = NULL;
    size_t n = 0, i = 0;
    struct err err = { 0 };
    FILE *out = open_memstream(&text, &n);

    (void)state;
    for (i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(json_array_append_new(list, json_string(rows[i].text)), 0);
    assert_true(yaml_emit(list, out));
    (void)fclose(out);
    assert_int_equal(yaml_parse((struct bytes){ (const uint8_t *)text, n }, "t", &doc, &err),
                     RC_OK);
    struct yaml_in r = yaml_read(doc);
    const struct yaml_node *node = yaml_first(&r, yaml_root(&r));

    for (i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_non_null(node);
        same_scalar(node, json_array_get(list, i));
        assert_int_equal(node->quoted, rows[i].quoted);
        node = yaml_next(&r, node);
    }
    assert_null(node);
    json_decref(list);
    free(text);
}

static void too_deep_is_refused(void **state)
{
    json_t *value = json_integer(1);
    FILE *out = fopen("/dev/null", "we");

    (void)state;
    assert_non_null(out);
    for (unsigned i = 0; i < YAML_EMIT_DEPTH; i++)
        value = json_pack("[o]", value);
    assert_true(yaml_emit(value, out));
    value = json_pack("[o]", value);
    assert_false(yaml_emit(value, out));
    assert_false(yaml_emit(NULL, out));
    json_decref(value);
    (void)fclose(out);
    out = fopen("/dev/full", "we");
    value = json_string("x");
    assert_false(yaml_emit(value, out));
    json_decref(value);
    (void)fclose(out);
}

/* On a terminal of 20 columns. */
static void lines_end_where_the_terminal_does(void **state)
{
    static const struct {
        enum cli_form form;
        const char *text;
    } rows[] = {
        { CLI_TABLE, "NAME  WHAT\r\none   1234567890123…\r\n" },
        { CLI_WIDE, "NAME  WHAT\r\none   12345678901234567890\r\n" },
    };
    struct winsize size = { .ws_row = 24, .ws_col = 20 };

    (void)state;
    assert_int_equal(setenv("TERM", "xterm", 1), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cli cli = { .form = rows[i].form, .command = commands };
        char text[128];
        size_t n = 0;
        int master = -1, slave = -1;

        assert_int_equal(openpty(&master, &slave, NULL, NULL, &size), 0);
        cli.out = fdopen(slave, "w");
        assert_int_equal(run_list(&cli), CLI_OK);
        assert_int_equal(fflush(cli.out), 0);
        while (n < strlen(rows[i].text)) {
            ssize_t got = read(master, text + n, sizeof text - n);

            assert_true(got > 0);
            n += (size_t)got;
        }
        text[n] = '\0';
        assert_string_equal(text, rows[i].text);
        (void)fclose(cli.out);
        (void)close(master);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form),
        cmocka_unit_test(what_is_no_form),
        cmocka_unit_test(errors_are_in_the_form),
        cmocka_unit_test(watching_ends),
        cmocka_unit_test(texts_stay_texts),
        cmocka_unit_test(too_deep_is_refused),
        cmocka_unit_test(lines_end_where_the_terminal_does),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    free(out_text);
    free(errors_text);
    return failed;
}
