/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cli: what every berth command shares: options by table, help, completion, exit
 * codes, tables and JSON on stdout, errors on stderr as "what, why, the command that fixes it".
 *
 * Input is the command line of the person at the keyboard: trusted to mean what it says, checked
 * for form.  stdout carries data only; notes, questions and errors go to stderr.  Secrets never
 * come in arguments.
 */
#ifndef BERTH_ORCHESTRATOR_CLI_H
#define BERTH_ORCHESTRATOR_CLI_H

#include <stdio.h>

#include "base/bytes.h"
#include "base/err.h"
#include "orchestrator/json.h"

/* How the program ends; documented in berth(1). */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CHANGES = 3, /* plan: there is something to do; diff: the two differ */
    CLI_STALE = 4,   /* a precondition does not hold, or the plan is stale */
    CLI_DENIED = 5,  /* a signature, a grant or a trust rule refused it */
    CLI_TIMEOUT = 6,
    CLI_PAUSED = 7, /* the rollout is paused */
};

enum cli_kind {
    CLI_FLAG, /* present or not */
    CLI_TEXT, /* one value; a later one replaces an earlier one */
    CLI_PATH, /* like text; completes to file names */
    CLI_LIST, /* may be given again; each may also be followed by more values up to the next -- */
};

struct cli_option {
    const char *name; /* without the dashes */
    enum cli_kind kind;
    const char *value; /* how help calls the value; NULL for a flag */
    const char *help;
};

struct cli;
struct context;

/* How data is printed: -o FORM.  All but the first two are one tree, and errors are in it, too. */
enum cli_form {
    CLI_TABLE, /* for people, within the terminal's width */
    CLI_WIDE,  /* for people, all of it, and more columns where a command has some */
    CLI_JSON,
    CLI_YAML,
    CLI_NAME, /* what a listing calls its things, one a line */
};

/* What a form is called behind -o, and back; false: it is none. */
const char *cli_form_name(enum cli_form form);
bool cli_form_from(const char *name, enum cli_form *ret);

/* Whether a command with --watch in its options is run again every second. */
enum cli_watch {
    CLI_NO_WATCH,
    CLI_WATCH,       /* until interrupted */
    CLI_WATCH_UNTIL, /* ... or until it leaves cli->again false */
};

/* What the first positional argument of a command names, for completion. */
enum cli_names {
    CLI_NO_NAMES,
    CLI_SATELLITES,
    CLI_ROLLOUTS,
    CLI_TENANTS,
    CLI_TOKENS,
    CLI_CONTEXTS,
};

/* One command.  Arrays of them end with a row whose name is NULL. */
struct cli_command {
    const char *name;    /* words separated by one blank: "key new" */
    const char *group;   /* heading in the overview */
    const char *args;    /* positional arguments as help shows them, "" = none */
    const char *summary; /* one line, no full stop */
    const char *about;   /* a paragraph or two for --help and the man page; NULL = none */
    unsigned args_min;
    unsigned args_max;
    enum cli_names names;
    enum cli_watch watch;
    /* For -o name: the answer's list and what names its items, "satellites.id" or, of two parts,
     * "payloads.tenant/name"; "seq" when all of the answer is the list; NULL = nothing to name. */
    const char *listing;
    const struct cli_option *options; /* ends with a row whose name is NULL; NULL = none */
    int (*run)(struct cli *cli);      /* returns enum cli_exit */
};

#define CLI_VALUES_MAX 64U

/* One invocation.  Views of argv; nothing is owned. */
struct cli {
    const struct cli_command *command;
    FILE *out;  /* data */
    FILE *err;  /* notes and errors */
    bool json;  /* data only: the form is JSON, YAML or names */
    bool again; /* set by what runs: it may still change */
    enum cli_form form;
    unsigned columns; /* > 0: out goes to a terminal that is so wide, but not from here */
    /* As given by --home, $BERTH_HOME, or ".berth"; "", which nothing opens, when a ground is asked
     * over its API: that of context, NULL = none. */
    const char *home;
    const struct context *context;
    size_t n_args;
    const char *args[CLI_VALUES_MAX];
    size_t n_values;
    struct {
        const char *name;  /* of the option */
        const char *value; /* NULL for a flag */
    } values[CLI_VALUES_MAX];
};

/* What helps when a file that was named is not there. */
#define CLI_FIX_PATH "name a file that is there, as seen from this directory or in full"

/* ... and when a private key cannot be used. */
#define CLI_FIX_KEY "give the NAME.key itself, chmod 600 it, and name its passphrase's file"

/* The option that every signing command has: add it to the table. */
#define CLI_OPTION_PASSPHRASE                                                                      \
    {                                                                                              \
        "passphrase-file", CLI_PATH, "FILE",                                                       \
            "read the key's passphrase from FILE (else $BERTH_PASSPHRASE_FILE, else asked for)"    \
    }

/* ... and each that is worth looking at for a while, with a .watch. */
#define CLI_OPTION_WATCH                                                                           \
    {                                                                                              \
        "watch", CLI_FLAG, NULL, "print again every second while it may change"                    \
    }

/* The command of this name, or NULL. */
const struct cli_command *cli_find_command(const struct cli_command *const *tables,
                                           const char *name);

/* Whether an option was given. */
bool cli_flag(const struct cli *cli, const char *name);

/* The last value of an option, or NULL. */
const char *cli_value(const struct cli *cli, const char *name);

/* The i-th value of a list option, or NULL behind the last. */
const char *cli_value_at(const struct cli *cli, const char *name, size_t i);

/* The i-th positional argument, or NULL. */
const char *cli_arg(const struct cli *cli, size_t i);

/* A decimal option value between min and max; absent = fallback. */
must_check enum rc cli_number(const struct cli *cli, const char *name, uint64_t fallback,
                              uint64_t min, uint64_t max, uint64_t *ret, struct err *err);

/* Argument `at` as the number of a rollout, from 1, without sign or space.  RC_USAGE. */
must_check enum rc cli_rollout(const struct cli *cli, size_t at, uint64_t *ret, struct err *err);

/* Print an error as "berth COMMAND: what / why / fix" (or, with --json, as one object
 * {"error":{...}} on stdout) and return the exit code that fits err->rc.  fix is the command or
 * action that helps, printf-like; NULL = the
 * command's help. */
int cli_fail(struct cli *cli, const struct err *err, const char *fix, ...) printf_like(3, 4);

/* The exit code that belongs to an error code. */
enum cli_exit cli_exit_of(enum rc rc);

/* A line for people: to stderr, not printed with --json. */
void cli_note(struct cli *cli, const char *fmt, ...) printf_like(2, 3);

/* A line of data for people: to stdout, not printed with --json. */
void cli_say(struct cli *cli, const char *fmt, ...) printf_like(2, 3);

/* With -o json, yaml or name: print the value in this form.  Always gives the reference up. Returns
 * CLI_OK, or CLI_FAILED when stdout cannot be written. */
int cli_json(struct cli *cli, json_t *value);

/* The same with one more item of the command's listing, as it comes and without an end: json on a
 * line of its own, yaml as a document of its own, or its name. */
int cli_json_next(struct cli *cli, json_t *item);

/* A table with aligned columns.  Build it row by row, print it, free it.  Cells are copied; control
 * bytes in them become '?'.  On a terminal lines end where it ends, unless the form is wide.  Out
 * of memory ends in an empty table, never in a crash. */
#define CLI_COLUMNS_MAX 12U
struct cli_table;
struct cli_table *cli_table_new(const char *const *headings, size_t n);
void cli_table_row(struct cli_table *table, const char *const *cells); /* n of them, NULL = "-" */
void cli_table_print(struct cli *cli, const struct cli_table *table);
void cli_table_free(struct cli_table **table); /* scope cleaner */

/* "1.4 MiB", "312 B" into out; returns out. */
#define CLI_SIZE_CAP 24U
char *cli_size(uint64_t bytes, char out[CLI_SIZE_CAP]);

/* "12s", "4m", "3h", "2d" into out; returns out. */
char *cli_age(uint64_t ms, char out[CLI_SIZE_CAP]);

/* "2026-11-30 12:00:00Z" of a Unix time in ms into out; "-" for one outside 1970 to 9999.  Returns
 * out. */
#define CLI_TIME_CAP 24U
char *cli_time(int64_t unix_ms, char out[CLI_TIME_CAP]);

/* Get the passphrase of a key: --passphrase-file, $BERTH_PASSPHRASE_FILE, or asked for on the
 * terminal without echo (twice when a key is made).  A file's first line counts, without its line
 * end.  RC_KEY_FILE when there is none; the caller wipes buf. */
#define CLI_PASSPHRASE_CAP 1024U
must_check enum rc cli_passphrase(struct cli *cli, const char *what, bool twice, uint8_t *buf,
                                  size_t cap, struct bytes *ret, struct err *err);

/* Where a run writes, and what is to be told of it. */
struct cli_io {
    FILE *out, *err;
    unsigned columns; /* as cli->columns */
    bool again;       /* set: it may still change */
};

/* Run the program: find the command, parse, help, completion, run.  The tables are those of cmd.h.
 */
int cli_run(const struct cli_command *const *tables, int argc, char **argv, struct cli_io *io);
int cli_main(const struct cli_command *const *tables, int argc, char **argv, FILE *out, FILE *err);

#endif
