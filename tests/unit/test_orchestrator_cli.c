/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/cli.h"
#include "orchestrator/cli_help.h"
#include "orchestrator/labels.h"
#include "orchestrator/suggest.h"

static struct err err;
static char seen[512]; /* what the last command was given */
static char *out_text, *err_text_buf;

static int run_echo(struct cli *cli)
{
    size_t n = 0;

    n += (size_t)snprintf(seen + n, sizeof seen - n, "home=%s json=%d", cli->home, cli->json);
    for (size_t i = 0; i < cli->n_args; i++)
        n += (size_t)snprintf(seen + n, sizeof seen - n, " arg=%s", cli_arg(cli, i));
    for (size_t i = 0; cli_value_at(cli, "key", i); i++)
        n += (size_t)snprintf(seen + n, sizeof seen - n, " key=%s", cli_value_at(cli, "key", i));
    if (cli_value(cli, "role"))
        n += (size_t)snprintf(seen + n, sizeof seen - n, " role=%s", cli_value(cli, "role"));
    if (cli_flag(cli, "force"))
        (void)snprintf(seen + n, sizeof seen - n, " force");
    cli_note(cli, "note");
    cli_say(cli, "data");
    return cli_json(cli, json_pack("{s:i}", "answer", 42));
}

static int run_denied(struct cli *cli)
{
    struct err denied;

    (void)!err_set(&denied, RC_SIG_BAD, "cam.berth\n\x1b[31m");
    return cli_fail(cli, &denied, "berth %s", "sign");
}

static const struct cli_option options[] = {
    { "key", CLI_LIST, "KEY", "keys" },
    { "role", CLI_TEXT, "ROLE", "a role" },
    { "force", CLI_FLAG, NULL, "force" },
    { 0 },
};
static const struct cli_command first[] = {
    { .name = "key new",
      .group = "Keys",
      .args = "NAME",
      .summary = "make a key",
      .about = "Long text.",
      .args_min = 1,
      .args_max = 2,
      .options = options,
      .run = run_echo },
    { .name = "key", .group = "Keys", .args = "", .summary = "keys", .run = run_echo },
    { 0 },
};
static const struct cli_command second[] = {
    { .name = "denied", .group = "Else", .args = "", .summary = "fails", .run = run_denied },
    { 0 },
};
static const struct cli_command *const tables[] = { first, second, NULL };

/* Run a command line, split at blanks; returns the exit code and keeps what was printed. */
static int run(const char *line)
{
    char copy[256], *rest = NULL, *argv[32] = { NULL };
    int argc = 0, code;
    size_t n_out = 0, n_err = 0;
    FILE *out, *errors;

    free(out_text);
    free(err_text_buf);
    out = open_memstream(&out_text, &n_out);
    errors = open_memstream(&err_text_buf, &n_err);
    seen[0] = '\0';
    (void)snprintf(copy, sizeof copy, "berth %s", line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    code = cli_main(tables, argc, argv, out, errors);
    (void)fclose(out);
    (void)fclose(errors);
    return code;
}

static void parsing(void **state)
{
    static const struct {
        const char *line;
        int code;
        const char *seen; /* "" = the command did not run */
    } rows[] = {
        { "key new a", 0, "home=.berth json=0 arg=a" },
        { "key new a --home /h --json", 0, "home=/h json=1 arg=a" },
        { "--home /h --json key new a", 0, "home=/h json=1 arg=a" },
        { "--home=/h key new --role=r a", 0, "home=/h json=0 arg=a role=r" },
        { "key new --key k1 k2 --force a", 0, "home=.berth json=0 arg=a key=k1 key=k2 force" },
        { "key new --key=k1 a --key k2", 0, "home=.berth json=0 arg=a key=k1 key=k2" },
        { "key new --role r --role s a", 0, "home=.berth json=0 arg=a role=s" },
        { "key new -- --a -b", 0, "home=.berth json=0 arg=--a arg=-b" },
        { "key new -", 0, "home=.berth json=0 arg=-" },
        { "key", 0, "home=.berth json=0" },
        { "key new", CLI_USAGE, "" },
        { "key new a b c", CLI_USAGE, "" },
        { "key new a --role", CLI_USAGE, "" },
        { "key new a --rloe x", CLI_USAGE, "" },
        { "key new a --force=yes", CLI_USAGE, "" },
        { "key new a -f", CLI_USAGE, "" },
        { "key new a --", 0, "home=.berth json=0 arg=a" },
        { "new key", CLI_USAGE, "" },
        { "--role x key new a", CLI_USAGE, "" },
        { "denied", CLI_DENIED, "" },
        { "", CLI_USAGE, "" },
        { "--help", 0, "" },
        { "key new --help", 0, "" },
    };

    (void)state;
    (void)unsetenv("BERTH_HOME");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int code = run(rows[i].line);

        if (code != rows[i].code || strcmp(seen, rows[i].seen) != 0)
            fail_msg("'%s': exit %d, saw '%s'", rows[i].line, code, seen);
    }
    (void)setenv("BERTH_HOME", "/from/env", 1);
    assert_int_equal(run("key"), 0);
    assert_string_equal(seen, "home=/from/env json=0");
    (void)unsetenv("BERTH_HOME");
}

static void data_and_notes_are_apart(void **state)
{
    (void)state;
    assert_int_equal(run("key"), 0);
    assert_string_equal(out_text, "data\n");
    assert_string_equal(err_text_buf, "note\n");
    assert_int_equal(run("key --json"), 0);
    assert_string_equal(out_text, "{\n  \"answer\": 42\n}\n");
    assert_string_equal(err_text_buf, "");
}

static void errors_say_what_why_and_fix(void **state)
{
    (void)state;
    assert_int_equal(run("denied"), CLI_DENIED);
    assert_string_equal(out_text, "");
    assert_string_equal(err_text_buf, "berth denied: cam.berth??[31m\n"
                                      "  why: signature does not match (SIG_BAD 57)\n"
                                      "  fix: berth sign\n");
    assert_int_equal(run("denied --json"), CLI_DENIED);
    assert_non_null(strstr(out_text, "\"code_name\": \"SIG_BAD\""));
    assert_non_null(strstr(out_text, "\"exit\": 5"));
    assert_string_equal(err_text_buf, "");
    assert_int_equal(run("denide"), CLI_USAGE);
    assert_non_null(strstr(err_text_buf, "fix: berth denied"));
    assert_int_equal(run("key new a --rloe x"), CLI_USAGE);
    assert_non_null(strstr(err_text_buf, "did you mean --role?"));
}

static void exit_codes(void **state)
{
    static const struct {
        enum rc rc;
        int code;
    } rows[] = {
        { RC_OK, 0 },
        { RC_IO, 1 },
        { RC_YAML, 1 },
        { RC_ARCHIVE_PATH, 1 },
        { RC_USAGE, 2 },
        { RC_PLAN_STALE, 4 },
        { RC_NO_PACKAGE, 4 },
        { RC_KEY_UNKNOWN, 5 },
        { RC_KEY_FILE, 5 },
        { RC_TRUST_MISSING, 5 },
        { RC_DIGEST_MISMATCH, 5 },
        { RC_GRANT_EXCEEDED, 5 },
        { RC_TIMEOUT, 6 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(cli_exit_of(rows[i].rc), rows[i].code);
}

static void help_shows_what_the_table_says(void **state)
{
    (void)state;
    assert_int_equal(run("--help"), 0);
    assert_non_null(strstr(out_text, "\nKeys\n  key new "));
    assert_non_null(strstr(out_text, "\nElse\n  denied "));
    assert_int_equal(run("help key new"), 0);
    assert_non_null(strstr(out_text, "usage: berth key new NAME"));
    assert_non_null(strstr(out_text, "--key KEY..."));
    assert_non_null(strstr(out_text, "--home DIR"));
    assert_int_equal(run("__man"), 0);
    assert_non_null(strstr(out_text, ".SS berth key new NAME"));
    assert_non_null(strstr(out_text, "\\-\\-role"));
}

static void completion(void **state)
{
    static const struct {
        const char *line, *out;
    } rows[] = {
        { "__complete k", "key\n" },
        { "__complete d", "denied\n" },
        { "__complete key n", "new\n" },
        { "__complete key new --r", "--role\n" },
        { "__complete key new --h", "--home\n--help\n" },
        { "__complete x", "" },
        { "__complete", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(run(rows[i].line), 0);
        assert_string_equal(out_text, rows[i].out);
    }
    static const char *const shells[] = { "bash", "zsh", "fish" };

    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        char line[32];

        (void)snprintf(line, sizeof line, "completion %s", shells[i]);
        assert_int_equal(run(line), 0);
        assert_non_null(strstr(out_text, "berth __complete"));
    }
    assert_int_not_equal(run("completion csh"), 0);
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        enum rc rc;
        uint64_t value;
    } rows[] = {
        { "2", RC_OK, 2 },      { "9", RC_OK, 9 },
        { "1", RC_USAGE, 77 },  { "10", RC_USAGE, 77 },
        { "", RC_USAGE, 77 },   { "-2", RC_USAGE, 77 },
        { "2x", RC_USAGE, 77 }, { "0x2", RC_USAGE, 77 },
        { " 2", RC_USAGE, 77 }, { "18446744073709551618", RC_USAGE, 77 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cli cli = { .n_values = 1, .values = { { "n", rows[i].text } } };
        uint64_t value = 77;

        assert_rc(cli_number(&cli, "n", 5, 2, 9, &value, &err), rows[i].rc);
        assert_int_equal(value, rows[i].value);
        assert_rc(cli_number(&cli, "other", 5, 2, 9, &value, &err), RC_OK);
        assert_int_equal(value, 5);
    }
}

static void tables_are_aligned(void **state)
{
    static const char *const head[] = { "A", "LONG", "C" };
    static const char *const row[] = { "wide cell", NULL, "x\ny" };
    struct cli_table *table = cli_table_new(head, 3);
    struct cli cli = { 0 };
    char *text = NULL;
    size_t n = 0;

    (void)state;
    cli.out = open_memstream(&text, &n);
    cli_table_row(table, row);
    cli_table_print(&cli, table);
    cli_table_free(&table);
    assert_null(table);
    (void)fclose(cli.out);
    assert_string_equal(text, "A          LONG  C\nwide cell  -     x?y\n");
    free(text);
}

static void sizes_and_ages(void **state)
{
    char text[CLI_SIZE_CAP];

    (void)state;
    assert_string_equal(cli_size(0, text), "0 B");
    assert_string_equal(cli_size(1023, text), "1023 B");
    assert_string_equal(cli_size(1536, text), "1.5 KiB");
    assert_string_equal(cli_size(UINT64_MAX, text), "16777216.0 TiB");
    assert_string_equal(cli_age(119999, text), "119s");
    assert_string_equal(cli_age(120000, text), "2m");
    assert_string_equal(cli_age(UINT64_C(86400000) * 3, text), "3d");
}

static void passphrase_comes_from_a_file(void **state)
{
    static const struct {
        const char *content;
        enum rc rc;
        const char *passphrase;
    } rows[] = {
        { "secret\n", RC_OK, "secret" },       { "secret", RC_OK, "secret" },
        { "secret\r\nmore", RC_OK, "secret" }, { "", RC_KEY_FILE, NULL },
        { "\nsecret", RC_KEY_FILE, NULL },
    };
    char path[] = "/tmp/berth-cli-XXXXXX";
    int fd = mkstemp(path);
    struct cli cli = { .err = stderr, .n_values = 1, .values = { { "passphrase-file", path } } };
    struct bytes got = { 0 };
    uint8_t buf[CLI_PASSPHRASE_CAP];

    (void)state;
    assert_true(fd >= 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = strlen(rows[i].content);

        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, rows[i].content, n, 0), (ssize_t)n);
        assert_rc(cli_passphrase(&cli, "k", false, buf, sizeof buf, &got, &err), rows[i].rc);
        if (rows[i].rc == RC_OK)
            assert_true(bytes_equal(got, bytes_of(rows[i].passphrase)));
    }
    assert_rc(cli_passphrase(&cli, "k", false, buf, 3, &got, &err), RC_KEY_FILE);
    (void)close(fd);
    (void)unlink(path);
    assert_rc(cli_passphrase(&cli, "k", false, buf, sizeof buf, &got, &err), RC_KEY_FILE);
}

static void labels(void **state)
{
    static const struct {
        const char *one, *two;
        enum rc rc;
        const char *out;
    } rows[] = {
        { "plane=b", "lot=1", RC_OK, "lot=1,plane=b" },
        { "plane=b,lot=1", "a=2", RC_OK, "a=2,lot=1,plane=b" },
        { "ab=1", "a=2", RC_OK, "a=2,ab=1" },
        { "a=1", "a=2", RC_USAGE, NULL },
        { "a", "b=1", RC_USAGE, NULL },
        { "=1", "b=1", RC_USAGE, NULL },
        { "a=", "b=1", RC_USAGE, NULL },
        { "A=1", "b=1", RC_USAGE, NULL },
        { "a=x y", "b=1", RC_USAGE, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cli cli = { .n_values = 2,
                           .values = { { "labels", rows[i].one }, { "labels", rows[i].two } } };
        char out[64];

        assert_rc(labels_join(&cli, "labels", out, sizeof out, &err), rows[i].rc);
        if (rows[i].out)
            assert_string_equal(out, rows[i].out);
    }
}

static void suggestions(void **state)
{
    static const char *const words[] = { "version", "resources", "root", NULL };

    (void)state;
    assert_string_equal(suggest_nearest("verison", words), "version");
    assert_string_equal(suggest_nearest("resorces", words), "resources");
    assert_string_equal(suggest_nearest("rot", words), "root");
    assert_null(suggest_nearest("banana", words));
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("ab", "ba"), 1);
    assert_int_equal(suggest_distance("", "abc"), 3);
}

static int drop_texts(void **state)
{
    (void)state;
    free(out_text);
    free(err_text_buf);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsing),
        cmocka_unit_test(data_and_notes_are_apart),
        cmocka_unit_test(errors_say_what_why_and_fix),
        cmocka_unit_test(exit_codes),
        cmocka_unit_test(help_shows_what_the_table_says),
        cmocka_unit_test(completion),
        cmocka_unit_test(numbers),
        cmocka_unit_test(tables_are_aligned),
        cmocka_unit_test(sizes_and_ages),
        cmocka_unit_test(passphrase_comes_from_a_file),
        cmocka_unit_test(labels),
        cmocka_unit_test(suggestions),
    };

    return cmocka_run_group_tests(tests, NULL, drop_texts);
}
