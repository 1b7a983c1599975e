/* SPDX-License-Identifier: Apache-2.0
 *
 * The manual page and completion say all that the command tables say: every command, every
 * argument, every option.  What roff and the shells make of them is tests/e2e/man and
 * tests/e2e/completion.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli_help.h"
#include "orchestrator/cmd.h"

static char *page;
static size_t page_n;

static int print_page(void **state)
{
    FILE *out = open_memstream(&page, &page_n);

    (void)state;
    assert_non_null(out);
    cli_help_man(cmd_tables, out);
    assert_int_equal(fclose(out), 0);
    return 0;
}

static int drop_page(void **state)
{
    (void)state;
    free(page);
    page = NULL;
    return 0;
}

/* As roff is to show it: '-' and '\' are themselves. */
static const char *roff(const char *text, char *out, size_t cap)
{
    size_t n = 0;

    for (; *text; text++) {
        assert_true(n + 3 < cap);
        if (*text == '-' || *text == '\\')
            out[n++] = '\\';
        out[n++] = *text;
    }
    out[n] = '\0';
    return out;
}

/* The part of the page that is about a heading, to the next one of its kind. */
static char *section(const char *heading, const char *next)
{
    const char *from = strstr(page, heading);

    assert_non_null(from);
    const char *to = strstr(from + strlen(heading), next);

    assert_null(strstr(from + strlen(heading), heading)); /* each once */
    return strndup(from, to ? (size_t)(to - from) : strlen(from));
}

static void check_options(const char *part, const struct cli_option *options)
{
    char line[512], text[128], value[128], help[1024];

    for (; options && options->name; options++) {
        const char *after = !options->value ? "" : options->kind == CLI_LIST ? "\\fR..." : "\\fR";

        (void)snprintf(line, sizeof line, "\n.TP\n.B \\-\\-%s%s%s%s\n",
                       roff(options->name, text, sizeof text), options->value ? " \\fI" : "",
                       roff(options->value ? options->value : "", value, sizeof value), after);
        const char *at = strstr(part, line);

        if (!at)
            fail_msg("no '%s' in:\n%s", line, part);
        assert_ptr_equal(strstr(at, roff(options->help, help, sizeof help)), at + strlen(line));
    }
}

static void the_page_has_every_command_and_option(void **state)
{
    const struct cli_command *c;
    char heading[256], text[256];
    size_t at = 0, n = 0;

    (void)state;
    scoped(free_ptr) char *common = section(".SH OPTIONS OF ALL COMMANDS\n", ".SH ");

    check_options(common, cli_common_options);
    while ((c = cli_next_command(cmd_tables, &at)) != NULL) {
        char args[128];

        (void)snprintf(heading, sizeof heading, "\n.SS berth %s%s%s\n",
                       roff(c->name, text, sizeof text), c->args[0] != '\0' ? " " : "",
                       roff(c->args, args, sizeof args));
        scoped(free_ptr) char *part = section(heading, "\n.S");
        char summary[512];

        assert_non_null(strstr(part, roff(c->summary, summary, sizeof summary)));
        check_options(part, c->options);
        n++;
    }
    assert_true(n > 60);
}

/* What is typed so far, in words, and what may come. */
static char *complete(char *line)
{
    char *words[16], *rest = line, *out = NULL;
    size_t n = 0, size = 0;

    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        assert_true(n < 16);
        words[n++] = word;
    }
    FILE *f = open_memstream(&out, &size);

    assert_non_null(f);
    cli_complete(cmd_tables, n, words, "/nowhere", f);
    assert_int_equal(fclose(f), 0);
    return out;
}

static void assert_offers(const char *offers, const char *what)
{
    const size_t n = strlen(what);

    for (const char *at = offers; *at; at += strcspn(at, "\n") + 1)
        if (strncmp(at, what, n) == 0 && at[n] == '\n')
            return;
    fail_msg("'%s' is not among:\n%s", what, offers);
}

static void completion_offers_every_command_and_option(void **state)
{
    const struct cli_command *c;
    size_t at = 0, n = 0;

    (void)state;
    while ((c = cli_next_command(cmd_tables, &at)) != NULL) {
        char line[128], option[64];
        const char *last = strrchr(c->name, ' ');

        /* all but its last letter */
        (void)snprintf(line, sizeof line, "%s", c->name);
        line[strlen(line) - 1] = '\0';
        scoped(free_ptr) char *names = complete(line);

        assert_offers(names, last ? last + 1 : c->name);
        (void)snprintf(line, sizeof line, "%s --", c->name);
        scoped(free_ptr) char *options = complete(line);

        for (const struct cli_option *o = c->options; o && o->name; o++, n++) {
            (void)snprintf(option, sizeof option, "--%s", o->name);
            assert_offers(options, option);
        }
        for (const struct cli_option *o = cli_common_options; o->name; o++) {
            (void)snprintf(option, sizeof option, "--%s", o->name);
            assert_offers(options, option);
        }
    }
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_page_has_every_command_and_option, print_page,
                                        drop_page),
        cmocka_unit_test(completion_offers_every_command_and_option),
    };

    return cmocka_run_group_tests_name("orchestrator/man", tests, NULL, NULL);
}
