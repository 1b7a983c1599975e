/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli.h"

#include <stdlib.h>

#include "base/version.h"
#include "orchestrator/cli_help.h"
#include "orchestrator/context.h"
#include "orchestrator/remote.h"
#include "orchestrator/screen.h"
#include "orchestrator/suggest.h"

#define HOME_DEFAULT ".berth"
#define NAMES_MAX 128U

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_value_at(cli, name, 0) != NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    const char *last = NULL;

    for (size_t i = 0; i < cli->n_values; i++) {
        if (strcmp(cli->values[i].name, name) == 0)
            last = cli->values[i].value;
    }
    return last;
}

const char *cli_value_at(const struct cli *cli, const char *name, size_t i)
{
    for (size_t v = 0; v < cli->n_values; v++) {
        if (strcmp(cli->values[v].name, name) == 0 && i-- == 0)
            return cli->values[v].value ? cli->values[v].value : "";
    }
    return NULL;
}

const char *cli_arg(const struct cli *cli, size_t i)
{
    return i < cli->n_args ? cli->args[i] : NULL;
}

enum rc cli_rollout(const struct cli *cli, size_t at, uint64_t *ret, struct err *err)
{
    const char *text = cli_arg(cli, at);
    char *end = NULL;
    unsigned long long value =
        text && text[0] >= '1' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;

    if (value == 0 || *end != '\0' || value > INT64_MAX)
        return err_set(err, RC_USAGE, "'%.40s' is not the number of a rollout", text ? text : "");
    *ret = value;
    return RC_OK;
}

enum rc cli_number(const struct cli *cli, const char *name, uint64_t fallback, uint64_t min,
                   uint64_t max, uint64_t *ret, struct err *err)
{
    const char *text = cli_value(cli, name);
    uint64_t value = 0;

    if (!text) {
        *ret = fallback;
        return RC_OK;
    }
    if (*text == '\0')
        return err_set(err, RC_USAGE, "--%s wants a number", name);
    for (const char *p = text; *p; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';

        if (digit > 9 || __builtin_mul_overflow(value, 10U, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return err_set(err, RC_USAGE, "--%s wants a number, not '%s'", name, text);
    }
    if (value < min || value > max)
        return err_set(err, RC_USAGE, "--%s must be %llu to %llu", name, (unsigned long long)min,
                       (unsigned long long)max);
    *ret = value;
    return RC_OK;
}

/* ---- parsing ---- */

static enum rc add_value(struct cli *cli, const char *name, const char *value, struct err *err)
{
    if (cli->n_values == CLI_VALUES_MAX)
        return err_set(err, RC_USAGE, "too many options");
    cli->values[cli->n_values].name = name;
    cli->values[cli->n_values++].value = value;
    return RC_OK;
}

static enum rc unknown_option(const struct cli *cli, const char *name, struct err *err)
{
    const char *names[NAMES_MAX];
    const char *nearest;
    size_t n = 0;

    for (const struct cli_option *o = cli->command ? cli->command->options : NULL;
         o && o->name && n < NAMES_MAX - 8; o++)
        names[n++] = o->name;
    for (const struct cli_option *o = cli_common_options; o->name; o++)
        names[n++] = o->name;
    names[n] = NULL;
    nearest = suggest_nearest(name, names);
    if (nearest)
        return err_set(err, RC_USAGE, "unknown option --%s, did you mean --%s?", name, nearest);
    return err_set(err, RC_USAGE, "unknown option --%s", name);
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

static const char *long_form(const char *word)
{
    if (strcmp(word, "-h") == 0)
        return "--help";
    return strcmp(word, "-o") == 0 ? "--output" : strcmp(word, "-w") == 0 ? "--watch" : word;
}

/* argv[*at] is an option: take it and its values, and move *at behind them. */
static enum rc parse_option(struct cli *cli, size_t n, char *const *words, size_t *at,
                            struct err *err)
{
    const char *word = long_form(words[*at]);
    char name[40];
    size_t len = strcspn(word, "=");
    const struct cli_option *option;
    const char *value = NULL;
    enum rc rc;

    if (word[1] != '-' || len < 3 || len - 2 >= sizeof name)
        return err_set(err, RC_USAGE, "unknown option %s", word);
    (void)snprintf(name, sizeof name, "%.*s", (int)(len - 2), word + 2);
    option = cli_find_option(cli->command, name);
    if (!option)
        return unknown_option(cli, name, err);
    (*at)++;
    if (option->kind == CLI_FLAG)
        return word[len] == '=' ? err_set(err, RC_USAGE, "--%s takes no value", name)
                                : add_value(cli, option->name, NULL, err);
    if (word[len] == '=')
        value = word + len + 1;
    else if (*at < n)
        value = words[(*at)++];
    if (!value)
        return err_set(err, RC_USAGE, "--%s wants a value: %s", name, option->value);
    rc = add_value(cli, option->name, value, err);
    while (rc == RC_OK && option->kind == CLI_LIST && word[len] != '=' && *at < n &&
           !is_option(words[*at]))
        rc = add_value(cli, option->name, words[(*at)++], err);
    return rc;
}

static enum rc add_arg(struct cli *cli, const char *word, struct err *err)
{
    if (cli->n_args == CLI_VALUES_MAX)
        return err_set(err, RC_USAGE, "too many arguments");
    cli->args[cli->n_args++] = word;
    return RC_OK;
}

static enum rc parse(struct cli *cli, size_t n, char *const *words, struct err *err)
{
    bool only_args = false;
    enum rc rc = RC_OK;
    size_t at = 0;

    while (at < n && rc == RC_OK) {
        if (!only_args && strcmp(words[at], "--") == 0) {
            only_args = true;
            at++;
        } else if (!only_args && is_option(words[at])) {
            rc = parse_option(cli, n, words, &at, err);
        } else {
            rc = add_arg(cli, words[at++], err);
        }
    }
    return rc;
}

static enum rc check_counts(const struct cli *cli, struct err *err)
{
    const struct cli_command *command = cli->command;

    if (cli->n_args < command->args_min)
        return err_set(err, RC_USAGE, "an argument is missing: %s", command->args);
    if (cli->n_args > command->args_max)
        return err_set(err, RC_USAGE, "unexpected argument '%s'", cli->args[command->args_max]);
    return RC_OK;
}

/* What asks for signatures does not take any at the same time. */
static enum rc check_halves(const struct cli *cli, struct err *err)
{
    if ((cli_value(cli, "request") || cli_flag(cli, "request")) && cli_value(cli, "attach"))
        return err_set(err, RC_USAGE, "--request and --attach are two steps: give one of them");
    return RC_OK;
}

/* ---- dispatch ---- */

static int unknown_command(struct cli *cli, const struct cli_command *const *tables,
                           const char *word)
{
    const char *names[NAMES_MAX];
    const struct cli_command *command;
    const char *nearest;
    size_t n = 0, at = 0;
    struct err err;

    cli->json = cli_flag(cli, "json");
    while (n + 1 < NAMES_MAX && (command = cli_next_command(tables, &at)) != NULL)
        names[n++] = command->name;
    names[n] = NULL;
    nearest = suggest_nearest(word, names);
    (void)!err_set(&err, RC_USAGE, "unknown command '%s'", word);
    if (nearest)
        return cli_fail(cli, &err, "berth %s", nearest);
    return cli_fail(cli, &err, "berth --help");
}

/* Common options may stand before the command: take them there.  Returns how many words. */
static size_t parse_leading(struct cli *cli, size_t n, char *const *words, enum rc *ret_rc,
                            struct err *err)
{
    size_t at = 0;

    while (at < n && is_option(words[at]) && *ret_rc == RC_OK)
        *ret_rc = parse_option(cli, n, words, &at, err);
    return at;
}

static const char *home_default(void)
{
    const char *env = getenv("BERTH_HOME");

    return env && env[0] != '\0' ? env : HOME_DEFAULT;
}

static const char *const form_names[] = { [CLI_TABLE] = "table",
                                          [CLI_WIDE] = "wide",
                                          [CLI_JSON] = "json",
                                          [CLI_YAML] = "yaml",
                                          [CLI_NAME] = "name" };

const char *cli_form_name(enum cli_form form)
{
    return form_names[form];
}

bool cli_form_from(const char *name, enum cli_form *ret)
{
    for (size_t i = 0; i < sizeof form_names / sizeof form_names[0]; i++) {
        if (strcmp(name, form_names[i]) == 0) {
            *ret = (enum cli_form)i;
            return true;
        }
    }
    return false;
}

/* --output and its alias.  When they are wrong what is said about it goes to people. */
static enum rc take_form(struct cli *cli, struct err *err)
{
    const char *output = cli_value(cli, "output");
    const bool json = cli_flag(cli, "json");
    enum cli_form form = json ? CLI_JSON : CLI_TABLE;

    cli->json = json;
    if (output && !cli_form_from(output, &form))
        return err_set(err, RC_USAGE, "--output is table, wide, json, yaml or name, not '%.20s'",
                       output);
    if (json && form != CLI_JSON)
        return err_set(err, RC_USAGE, "--json and --output %s: give one of them", output);
    if (form == CLI_NAME && !cli->command->listing)
        return err_set(err, RC_USAGE, "berth %s lists nothing that has a name", cli->command->name);
    cli->form = form;
    cli->json = form >= CLI_JSON;
    return RC_OK;
}

/* Which ground it is about: a home of this machine, or one that is asked.  What needs no ground
 * runs all the same. */
static enum rc take_ground(struct cli *cli, struct context *context, struct err *err)
{
    const char *home = cli_value(cli, "home"), *named = cli_value(cli, "context");
    const bool asks = remote_knows(cli->command->name);
    bool any = false;
    enum rc rc = context_choose(named, home, context, &any, err);

    cli->home = home ? home : any || rc != RC_OK ? "" : home_default();
    if (any && !asks && named)
        return err_set(err, RC_CONTEXT_LOCAL, "berth %s", cli->command->name);
    if (any && asks)
        cli->context = context;
    return rc != RC_OK && (asks || named) ? rc : RC_OK;
}

/* Once, or again every second while it may change and somebody looks. */
static int run_watching(struct cli *cli)
{
    const bool watches = cli->command->watch != CLI_NO_WATCH && cli_flag(cli, "watch");
    int code = CLI_OK;

    do {
        if (watches)
            screen_clear(cli);
        cli->again = cli->command->watch == CLI_WATCH;
        code = cli->context ? remote_run(cli) : cli->command->run(cli);
    } while (watches && cli->again && (code == CLI_OK || code == CLI_PAUSED) && screen_wait(cli));
    return code;
}

static int run_with(struct cli *cli, size_t n, char *const *words, struct context *context)
{
    struct err err = { 0 };
    enum rc rc = parse(cli, n, words, &err);

    if (rc == RC_OK)
        rc = take_form(cli, &err);
    if (rc == RC_OK && !cli_flag(cli, "help"))
        rc = take_ground(cli, context, &err);
    if (cli_flag(cli, "help")) {
        cli_help_command(cli->command, cli->out);
        return CLI_OK;
    }
    if (rc == RC_OK)
        rc = check_counts(cli, &err);
    if (rc == RC_OK)
        rc = check_halves(cli, &err);
    if (rc == RC_CONTEXT || rc == RC_CONTEXT_LOCAL)
        return cli_fail(cli, &err,
                        "berth context list; or name a home of this machine: --home DIR");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth %s --help", cli->command->name);
    return run_watching(cli);
}

static int run_command(struct cli *cli, size_t n, char *const *words)
{
    struct context context;
    int code = run_with(cli, n, words, &context);

    cli->context = NULL; /* it ends here */
    return code;
}

/* Words that are no commands of a table. */
static bool run_builtin(const struct cli_command *const *tables, size_t n, char *const *words,
                        FILE *out)
{
    const struct cli_command *command = NULL;

    if (n == 0 || strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        cli_help_overview(tables, out);
    } else if (strcmp(words[0], "--version") == 0) {
        (void)fprintf(out, "berth %s\n", BERTH_VERSION);
    } else if (strcmp(words[0], "help") == 0) {
        if (cli_match_command(tables, n - 1, words + 1, &command) > 0)
            cli_help_command(command, out);
        else
            cli_help_overview(tables, out);
    } else if (n == 2 && strcmp(words[0], "completion") == 0) {
        return cli_completion(words[1], out);
    } else if (strcmp(words[0], "__complete") == 0) {
        cli_complete(tables, n - 1, words + 1, home_default(), out);
    } else if (n == 1 && strcmp(words[0], "__man") == 0) {
        cli_help_man(tables, out);
    } else {
        return false;
    }
    return true;
}

int cli_run(const struct cli_command *const *tables, int argc, char **argv, struct cli_io *io)
{
    struct cli cli = { .out = io->out, .err = io->err, .columns = io->columns };
    size_t n = argc > 1 ? (size_t)argc - 1 : 0, used;
    char *const *words = argv + 1;
    struct err failed = { 0 };
    enum rc rc = RC_OK;
    int code;

    if (run_builtin(tables, n, words, io->out))
        return n == 0 ? CLI_USAGE : CLI_OK;
    used = parse_leading(&cli, n, words, &rc, &failed);
    n -= used;
    words += used;
    if (rc != RC_OK)
        return cli_fail(&cli, &failed, "berth --help");
    used = cli_match_command(tables, n, words, &cli.command);
    if (used == 0)
        return unknown_command(&cli, tables, n > 0 ? words[0] : "");
    code = run_command(&cli, n - used, words + used);
    /* Data that could not be written (a full disk, a closed pipe) was not delivered. */
    if (fflush(io->out) != 0 && code == CLI_OK)
        code = CLI_FAILED;
    io->again = cli.again;
    return code;
}

/* How wide whoever reads this through something else has it, by the environment; 0 = unsaid. */
static unsigned columns_said(void)
{
    const char *said = getenv("BERTH_COLUMNS");
    const size_t n = said ? strlen(said) : 0;

    return n > 0 && n <= 4 && strspn(said, "0123456789") == n ? (unsigned)strtoul(said, NULL, 10)
                                                              : 0;
}

int cli_main(const struct cli_command *const *tables, int argc, char **argv, FILE *out, FILE *err)
{
    struct cli_io io = { .out = out, .err = err, .columns = columns_said() };

    return cli_run(tables, argc, argv, &io);
}
