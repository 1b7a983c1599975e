/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/cli_help.h"

#include "base/version.h"
#include "orchestrator/cli_names.h"

const struct cli_option cli_common_options[] = {
    { "home", CLI_PATH, "DIR", "the ground's home directory (else $BERTH_HOME, else .berth)" },
    { "context", CLI_TEXT, "NAME",
      "ask this ground over its API (else $BERTH_CONTEXT, or the one in use)" },
    { "output", CLI_TEXT, "FORM",
      "also -o: table; wide, with nothing cut off; json, yaml: data and errors; name, of "
      "listings" },
    { "json", CLI_FLAG, NULL, "the same as --output json" },
    { "help", CLI_FLAG, NULL, "this text" },
    { 0 },
};

static const char *const exits[] = {
    [CLI_OK] = "done",
    [CLI_FAILED] = "failed",
    [CLI_USAGE] = "wrong usage",
    [CLI_CHANGES] = "the plan has changes",
    [CLI_STALE] = "a precondition does not hold or the plan is stale",
    [CLI_DENIED] = "denied by a signature, grant or trust rule",
    [CLI_TIMEOUT] = "timeout",
    [CLI_PAUSED] = "the rollout is paused",
};

static void print_exits(FILE *out)
{
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        (void)fprintf(out, "%s%zu %s", i == 0 ? "Exit codes: " : ", ", i, exits[i]);
    (void)fputs(".\n", out);
}

static const struct cli_option *find_in(const struct cli_option *options, const char *name)
{
    for (; options && options->name; options++) {
        if (strcmp(options->name, name) == 0)
            return options;
    }
    return NULL;
}

const struct cli_option *cli_find_option(const struct cli_command *command, const char *name)
{
    const struct cli_option *own = command ? find_in(command->options, name) : NULL;

    return own ? own : find_in(cli_common_options, name);
}

const struct cli_command *cli_next_command(const struct cli_command *const *tables, size_t *at)
{
    size_t skip = *at;

    for (; *tables; tables++) {
        for (const struct cli_command *command = *tables; command->name; command++) {
            if (skip == 0) {
                (*at)++;
                return command;
            }
            skip--;
        }
    }
    return NULL;
}

const struct cli_command *cli_find_command(const struct cli_command *const *tables,
                                           const char *name)
{
    const struct cli_command *command;
    size_t at = 0;

    while ((command = cli_next_command(tables, &at)) != NULL)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

/* How many words the name has if all of them are the first words of the list, else 0. */
static size_t words_matched(const char *name, size_t n, char *const *words)
{
    size_t used = 0;

    while (*name != '\0') {
        size_t len = strcspn(name, " ");

        if (used == n || strlen(words[used]) != len || strncmp(words[used], name, len) != 0)
            return 0;
        used++;
        name += len + (name[len] == ' ');
    }
    return used;
}

size_t cli_match_command(const struct cli_command *const *tables, size_t n, char *const *words,
                         const struct cli_command **ret)
{
    const struct cli_command *command;
    size_t best = 0, at = 0;

    *ret = NULL;
    while ((command = cli_next_command(tables, &at)) != NULL) {
        size_t used = words_matched(command->name, n, words);

        if (used > best) {
            best = used;
            *ret = command;
        }
    }
    return best;
}

/* ---- help ---- */

static bool seen_group(const struct cli_command *const *tables, const char *group, size_t before)
{
    const struct cli_command *command;
    size_t at = 0;

    while (at + 1 < before && (command = cli_next_command(tables, &at)) != NULL) {
        if (strcmp(command->group, group) == 0)
            return true;
    }
    return false;
}

static void print_group(const struct cli_command *const *tables, const char *group, FILE *out)
{
    const struct cli_command *command;
    size_t at = 0;

    (void)fprintf(out, "\n%s\n", group);
    while ((command = cli_next_command(tables, &at)) != NULL) {
        if (strcmp(command->group, group) == 0)
            (void)fprintf(out, "  %-18s %s\n", command->name, command->summary);
    }
}

void cli_help_overview(const struct cli_command *const *tables, FILE *out)
{
    const struct cli_command *command;
    size_t at = 0;

    (void)fprintf(out, "usage: berth COMMAND [OPTIONS] [ARGUMENTS]\n"
                       "Runs tenants' payloads on a fleet of satellites: pack, sign, roll out, see "
                       "what runs.\n");
    while ((command = cli_next_command(tables, &at)) != NULL) {
        if (!seen_group(tables, command->group, at))
            print_group(tables, command->group, out);
    }
    (void)fprintf(out, "\n`berth COMMAND --help` tells more about one.\n");
    print_exits(out);
}

static void print_options(const struct cli_option *options, FILE *out)
{
    char left[64];

    for (; options && options->name; options++) {
        (void)snprintf(left, sizeof left, "--%s%s%s%s", options->name, options->value ? " " : "",
                       options->value ? options->value : "",
                       options->kind == CLI_LIST ? "..." : "");
        (void)fprintf(out, "  %-26s %s\n", left, options->help);
    }
}

void cli_help_command(const struct cli_command *command, FILE *out)
{
    (void)fprintf(out, "usage: berth %s%s%s [OPTIONS]\n%s.\n", command->name,
                  command->args[0] != '\0' ? " " : "", command->args, command->summary);
    if (command->about)
        (void)fprintf(out, "\n%s\n", command->about);
    (void)fprintf(out, "\noptions:\n");
    print_options(command->options, out);
    print_options(cli_common_options, out);
    (void)fputc('\n', out);
    print_exits(out);
}

/* ---- man page ---- */

/* roff takes a leading dot or quote as a request, and '-' as a hyphen. */
static void print_roff(const char *text, FILE *out)
{
    bool line_start = true;

    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            (void)fputs("\\&", out);
        if (*text == '-' || *text == '\\')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
        line_start = *text == '\n';
    }
}

static void print_roff_options(const struct cli_option *options, FILE *out)
{
    for (; options && options->name; options++) {
        (void)fprintf(out, ".TP\n.B ");
        print_roff("--", out);
        print_roff(options->name, out);
        if (options->value) {
            (void)fprintf(out, " \\fI");
            print_roff(options->value, out);
            (void)fprintf(out, "\\fR%s", options->kind == CLI_LIST ? "..." : "");
        }
        (void)fputc('\n', out);
        print_roff(options->help, out);
        (void)fputc('\n', out);
    }
}

static void print_roff_command(const struct cli_command *command, FILE *out)
{
    (void)fprintf(out, ".SS berth ");
    print_roff(command->name, out);
    (void)fputs(command->args[0] != '\0' ? " " : "", out);
    print_roff(command->args, out);
    (void)fputc('\n', out);
    print_roff(command->summary, out);
    (void)fprintf(out, ".\n");
    if (command->about) {
        (void)fprintf(out, ".PP\n");
        print_roff(command->about, out);
        (void)fputc('\n', out);
    }
    print_roff_options(command->options, out);
}

void cli_help_man(const struct cli_command *const *tables, FILE *out)
{
    static const struct {
        const char *name, *text;
    } variables[] = {
        { "BERTH_HOME", "The home directory when there is no --home." },
        { "BERTH_COLUMNS", "How wide tables may be where the output is no terminal, up to 9999." },
        { "BERTH_PASSPHRASE_FILE", "File whose first line is the passphrase of private keys." },
        { "BERTH_CONTEXT", "The ground that is asked when there is no --context and no --home." },
    };
    const struct cli_command *command;
    size_t at = 0;

    (void)fprintf(out,
                  ".\\\" Made by `berth __man` from the command tables.\n"
                  ".TH BERTH 1 \"\" \"berth %s\" \"Berth\"\n"
                  ".SH NAME\nberth \\- pack, sign and roll out payloads on a fleet of "
                  "satellites\n.SH SYNOPSIS\n.B berth\n.I COMMAND\n"
                  "[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n.SH OPTIONS OF ALL COMMANDS\n",
                  BERTH_VERSION);
    print_roff_options(cli_common_options, out);
    (void)fprintf(out, ".SH COMMANDS\n");
    while ((command = cli_next_command(tables, &at)) != NULL)
        print_roff_command(command, out);
    (void)fprintf(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++)
        (void)fprintf(out, ".TP\n.B %zu\n%s\n", i, exits[i]);
    (void)fprintf(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        (void)fprintf(out, ".TP\n.B %s\n", variables[i].name);
        print_roff(variables[i].text, out);
        (void)fputc('\n', out);
    }
}

/* ---- completion ---- */

static const char bash_script[] =
    "_berth()\n"
    "{\n"
    "    local IFS=$'\\n'\n"
    "    COMPREPLY=( $(berth __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null) )\n"
    "}\n"
    "complete -o default -F _berth berth\n";

static const char zsh_script[] =
    "#compdef berth\n"
    "_berth() {\n"
    "    local -a found\n"
    "    found=(${(f)\"$(berth __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
    "    if (( ${#found} )); then compadd -- \"${found[@]}\"; else _files; fi\n"
    "}\n"
    "if [[ $funcstack[1] == _berth ]]; then _berth \"$@\"; else compdef _berth berth; fi\n";

static const char fish_script[] = "function __berth_complete\n"
                                  "    set -l words (commandline -opc) (commandline -ct)\n"
                                  "    set -l found (berth __complete $words[2..-1] 2>/dev/null)\n"
                                  "    if count $found >/dev/null\n"
                                  "        printf '%s\\n' $found\n"
                                  "    else\n"
                                  "        __fish_complete_path (commandline -ct)\n"
                                  "    end\n"
                                  "end\n"
                                  "complete -c berth -f -a '(__berth_complete)'\n";

bool cli_completion(const char *shell, FILE *out)
{
    static const struct {
        const char *shell, *script;
    } rows[] = { { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].shell, shell) != 0)
            continue;
        (void)fputs(rows[i].script, out);
        return true;
    }
    return false;
}

static void complete_options(const struct cli_option *options, const char *typed, FILE *out)
{
    for (; options && options->name; options++) {
        if (strncmp(options->name, typed + 2, strlen(typed) - 2) == 0)
            (void)fprintf(out, "--%s\n", options->name);
    }
}

/* Whether this word would be printed for an earlier command already. */
static bool printed_before(const struct cli_command *const *tables, size_t before, size_t offset,
                           const char *name, size_t len)
{
    const struct cli_command *command;
    size_t at = 0;

    while (at + 1 < before && (command = cli_next_command(tables, &at)) != NULL) {
        if (strncmp(command->name, name, offset + len) == 0 &&
            (command->name[offset + len] == '\0' || command->name[offset + len] == ' '))
            return true;
    }
    return false;
}

/* The next word of every command whose first words are there already. */
static void complete_names(const struct cli_command *const *tables, size_t n, char *const *words,
                           FILE *out)
{
    const struct cli_command *command;
    const char *typed = words[n - 1];
    size_t at = 0;

    while ((command = cli_next_command(tables, &at)) != NULL) {
        const char *rest = command->name;
        size_t i = 0, len = strcspn(rest, " ");

        while (i + 1 < n && rest[len] == ' ' && strlen(words[i]) == len &&
               strncmp(rest, words[i], len) == 0) {
            rest += len + 1;
            len = strcspn(rest, " ");
            i++;
        }
        if (i + 1 == n && strncmp(rest, typed, strlen(typed)) == 0 &&
            !printed_before(tables, at, (size_t)(rest - command->name), command->name, len))
            (void)fprintf(out, "%.*s\n", (int)len, rest);
    }
}

/* Positional words between the command and the one being typed; *home gets the value of --home. */
static size_t count_args(const struct cli_command *command, size_t n, char *const *words,
                         const char **home)
{
    size_t args = 0;

    for (size_t i = 0; i < n; i++) {
        const struct cli_option *option;

        if (strncmp(words[i], "--", 2) != 0) {
            args++;
            continue;
        }
        option = strchr(words[i], '=') ? NULL : cli_find_option(command, words[i] + 2);
        if (strncmp(words[i], "--home=", 7) == 0)
            *home = words[i] + 7;
        if (option && option->kind != CLI_FLAG && i + 1 < n) {
            i++;
            if (strcmp(option->name, "home") == 0)
                *home = words[i];
        }
    }
    return args;
}

void cli_complete(const struct cli_command *const *tables, size_t n, char *const *words,
                  const char *home_default, FILE *out)
{
    const struct cli_command *command = NULL;
    const char *home = home_default;
    size_t used;

    if (n == 0)
        return;
    used = cli_match_command(tables, n - 1, words, &command);
    if (strncmp(words[n - 1], "--", 2) == 0) {
        complete_options(command ? command->options : NULL, words[n - 1], out);
        complete_options(cli_common_options, words[n - 1], out);
        return;
    }
    if (n > 1 && strcmp(words[n - 2], "--context") == 0) {
        cli_names_print(CLI_CONTEXTS, home, words[n - 1], out);
        return;
    }
    complete_names(tables, n, words, out);
    if (command && count_args(command, n - 1 - used, words + used, &home) == 0)
        cli_names_print(command->names, home, words[n - 1], out);
}
