/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cli_print: what commands print: errors, notes, tables, JSON, sizes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include "orchestrator/cli.h"
#include "orchestrator/home.h"
#include "orchestrator/screen.h"
#include "orchestrator/yaml_emit.h"

/* Codes whose exit is not that of their range. */
static const struct {
    enum rc rc;
    enum cli_exit exit;
} exits[] = {
    { RC_API_AUTH, CLI_DENIED },
    { RC_API_ROLE, CLI_DENIED },
    { RC_OK, CLI_OK },
    { RC_CONTEXT_LOCAL, CLI_STALE },
    { RC_USAGE, CLI_USAGE },
    { RC_TIMEOUT, CLI_TIMEOUT },
    { RC_PLAN_STALE, CLI_STALE },
    { RC_NO_SATELLITE, CLI_STALE },
    { RC_NO_PACKAGE, CLI_STALE },
    { RC_ROLLOUT_STATE, CLI_STALE },
    { RC_EXISTS, CLI_STALE },
    { RC_HOME_OPEN, CLI_DENIED },
    { RC_LOOK_ORDER, CLI_DENIED },
    { RC_LOOK_GENERATION, CLI_DENIED },
    { RC_LOOK_TIME, CLI_DENIED },
    { RC_LOOK_TOKEN, CLI_DENIED },
    { RC_SIGNED, CLI_DENIED },
};

enum cli_exit cli_exit_of(enum rc rc)
{
    for (size_t i = 0; i < sizeof exits / sizeof exits[0]; i++) {
        if (exits[i].rc == rc)
            return exits[i].exit;
    }
    /* Documents, trust and keys: somebody was not allowed to do this. */
    return (unsigned)rc >= RC_ENVELOPE && (unsigned)rc < RC_PACKAGE_FORMAT ? CLI_DENIED
                                                                           : CLI_FAILED;
}

static const char *command_name(const struct cli *cli)
{
    return cli->command ? cli->command->name : "";
}

static void print_json_error(struct cli *cli, const struct err *err, const char *fix)
{
    json_t *error =
        json_pack("{s:o, s:i, s:s, s:s, s:o, s:o}", "what", json_safe(err->what), "code",
                  (int)err->rc, "code_name", rc_name(err->rc), "why", rc_text(err->rc), "fix",
                  json_safe(fix), "exit", json_integer(cli_exit_of(err->rc)));

    (void)cli_json(cli, json_pack("{s:o}", "error", error));
}

static void print_text_error(struct cli *cli, const struct err *err, const char *fix)
{
    const char *space = command_name(cli)[0] != '\0' ? " " : "";
    char system[64] = "";

    if (err->sys != 0)
        (void)snprintf(system, sizeof system, ": %s", strerrordesc_np(err->sys));
    (void)fprintf(cli->err, "berth%s%s: %s\n", space, command_name(cli),
                  err->what[0] != '\0' ? err->what : rc_text(err->rc));
    (void)fprintf(cli->err, "  why: %s (%s %d)%s\n", rc_text(err->rc), rc_name(err->rc),
                  (int)err->rc, system);
    (void)fprintf(cli->err, "  fix: %s\n", fix);
}

int cli_fail(struct cli *cli, const struct err *err, const char *fix, ...)
{
    char text[1024];
    va_list args;

    if (fix) {
        va_start(args, fix);
        (void)vsnprintf(text, sizeof text, fix, args);
        va_end(args);
    } else {
        (void)snprintf(text, sizeof text, "berth %s%s--help", command_name(cli),
                       cli->command ? " " : "");
    }
    /* Whatever was wanted: it is not what is wrong, and beginning a new fleet would be the worst.
     */
    if (err->rc == RC_BUSY)
        (void)snprintf(
            text, sizeof text, "%s",
            strcmp(err->what, "ground.lock") == 0
                ? "wait for the other berth link command, or stop berth-ground: it does this "
                  "by itself"
                : "try again: another berth command is writing");
    if (err->rc == RC_HOME_OPEN)
        (void)snprintf(text, sizeof text, "chmod go-w %s, once you know who has been writing there",
                       cli->home);
    if (err->rc == RC_STORE && strncmp(err->what, "store", 5) == 0)
        (void)snprintf(text, sizeof text, "%s",
                       strncmp(err->what, STORE_REMOTE, strlen(STORE_REMOTE)) == 0
                           ? "begin nothing new; see that the database of " HOME_STORE_FILE
                             " in the home answers: operator guide, \"The store in PostgreSQL\""
                           : "begin nothing new; put back a copy of store.sqlite: operator guide, "
                             "\"Copies of the store\"");
    if (err->rc == RC_CONTEXT_LOCAL)
        (void)snprintf(text, sizeof text,
                       "name a home of this machine, --home DIR, or run it where the ground is");
    if (cli->json && cli->form != CLI_NAME)
        print_json_error(cli, err, text);
    else
        print_text_error(cli, err, text);
    return (int)cli_exit_of(err->rc);
}

void cli_note(struct cli *cli, const char *fmt, ...)
{
    va_list args;

    if (cli->json)
        return;
    va_start(args, fmt);
    (void)vfprintf(cli->err, fmt, args);
    va_end(args);
    (void)fputc('\n', cli->err);
}

void cli_say(struct cli *cli, const char *fmt, ...)
{
    va_list args;

    if (cli->json)
        return;
    va_start(args, fmt);
    (void)vfprintf(cli->out, fmt, args);
    va_end(args);
    (void)fputc('\n', cli->out);
}

static void put_part(FILE *out, const json_t *item, const char *key, size_t n)
{
    const json_t *part = json_object_getn(item, key, n);

    if (!part) /* of a list that tells of different things */
        part = json_object_get(item, "object");
    if (json_is_integer(part))
        (void)fprintf(out, "%lld", (long long)json_integer_value(part));
    else
        (void)fputs(json_is_string(part) ? json_string_value(part) : "-", out);
}

/* One line for each item of the listing: what it is called. */
static bool print_names(struct cli *cli, const json_t *value)
{
    const char *listing = cli->command->listing;
    const char *dot = strchr(listing, '.');
    const json_t *list = dot ? json_object_getn(value, listing, (size_t)(dot - listing)) : value;
    const char *key = dot ? dot + 1 : listing;
    const size_t n = json_array_size(list);

    for (size_t i = 0; i < n; i++) {
        put_part(cli->out, json_array_get(list, i), key, strcspn(key, "/"));
        for (const char *part = strchr(key, '/'); part; part = strchr(part + 1, '/')) {
            (void)fputc('/', cli->out);
            put_part(cli->out, json_array_get(list, i), part + 1, strcspn(part + 1, "/"));
        }
        (void)fputc('\n', cli->out);
    }
    return value && fflush(cli->out) == 0;
}

static bool print_json(struct cli *cli, const json_t *value, size_t indent)
{
    return value &&
           json_dumpf(value, cli->out, JSON_INDENT(indent) | JSON_REAL_PRECISION(15)) == 0 &&
           fputc('\n', cli->out) != EOF && fflush(cli->out) == 0;
}

int cli_json(struct cli *cli, json_t *value)
{
    bool done = true;

    if (cli->json && cli->form == CLI_YAML)
        done = yaml_emit(value, cli->out);
    else if (cli->json && cli->form == CLI_NAME)
        done = print_names(cli, value);
    else if (cli->json)
        done = print_json(cli, value, 2);
    json_decref(value);
    return done ? CLI_OK : CLI_FAILED;
}

int cli_json_next(struct cli *cli, json_t *item)
{
    const char *listing = cli->command->listing;
    const size_t key = strcspn(listing, ".");
    bool done = true;

    if (cli->json && cli->form == CLI_YAML) {
        done = fputs("---\n", cli->out) != EOF && yaml_emit(item, cli->out);
    } else if (cli->json && cli->form == CLI_NAME) {
        json_t *list = json_object();

        done = json_object_setn_new(list, listing, key, json_pack("[O]", item)) == 0 &&
               print_names(cli, list);
        json_decref(list);
    } else if (cli->json) {
        done = print_json(cli, item, 0);
    }
    json_decref(item);
    return done ? CLI_OK : CLI_FAILED;
}

/* ---- tables ---- */

struct cli_table {
    size_t columns;
    size_t rows; /* the headings are row 0 */
    size_t cap;
    char **cells; /* rows * columns, row by row */
    bool failed;
};

static char *clean_copy(const char *text)
{
    char *copy = strdup(text && text[0] != '\0' ? text : "-");

    for (char *p = copy; p && *p; p++) {
        if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
            *p = '?';
    }
    return copy;
}

struct cli_table *cli_table_new(const char *const *headings, size_t n)
{
    struct cli_table *table = calloc(1, sizeof *table);

    if (table) {
        table->columns = n < CLI_COLUMNS_MAX ? n : CLI_COLUMNS_MAX;
        cli_table_row(table, headings);
    }
    return table;
}

void cli_table_row(struct cli_table *table, const char *const *cells)
{
    if (!table || table->failed)
        return;
    if (table->rows == table->cap) {
        size_t cap = table->cap == 0 ? 16 : 2 * table->cap;
        char **grown = reallocarray(table->cells, cap * table->columns, sizeof *grown);

        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->cap = cap;
    }
    for (size_t c = 0; c < table->columns; c++) {
        char *copy = clean_copy(cells[c]);

        table->cells[table->rows * table->columns + c] = copy;
        table->failed = table->failed || !copy;
    }
    table->rows++;
}

/* Characters on screen: UTF-8 continuation bytes take no place. */
static size_t shown_width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0U) != 0x80U;
    return n;
}

/* Print a cell's beginning of at most room characters; what is cut off shows as such. */
static void put_cell(FILE *out, const char *text, size_t room)
{
    size_t n = 0;

    if (shown_width(text) <= room) {
        (void)fputs(text, out);
        return;
    }
    for (; *text && n < room; text++) {
        n += ((unsigned char)text[1] & 0xc0U) != 0x80U;
        if (n < room)
            (void)fputc(*text, out);
    }
    if (room > 0)
        (void)fputs("…", out);
}

static void put_row(struct cli *cli, char *const *cells, const size_t *width, size_t columns)
{
    const size_t screen = cli->form == CLI_WIDE ? 0 : screen_width(cli);
    size_t left = screen > 0 ? screen : SIZE_MAX;

    for (size_t c = 0; c < columns; c++) {
        const size_t shown = shown_width(cells[c]);
        const size_t pad = c + 1 < columns ? width[c] - shown + 2 : 0;

        put_cell(cli->out, cells[c], left);
        left -= shown < left ? shown : left;
        (void)fprintf(cli->out, "%*s", (int)(pad < left ? pad : left), "");
        left -= pad < left ? pad : left;
    }
    (void)fputc('\n', cli->out);
}

void cli_table_print(struct cli *cli, const struct cli_table *table)
{
    size_t width[CLI_COLUMNS_MAX] = { 0 };

    if (!table || table->failed || cli->json)
        return;
    for (size_t i = 0; i < table->rows * table->columns; i++) {
        size_t n = shown_width(table->cells[i]);

        if (n > width[i % table->columns])
            width[i % table->columns] = n;
    }
    for (size_t row = 0; row < table->rows; row++)
        put_row(cli, &table->cells[row * table->columns], width, table->columns);
}

void cli_table_free(struct cli_table **table)
{
    if (*table) {
        for (size_t i = 0; i < (*table)->rows * (*table)->columns; i++)
            free((*table)->cells[i]);
        free((*table)->cells);
        free(*table);
    }
    *table = NULL;
}

char *cli_size(uint64_t bytes, char out[CLI_SIZE_CAP])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 1024.0 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024.0;
        unit++;
    }
    (void)snprintf(out, CLI_SIZE_CAP, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

char *cli_time(int64_t unix_ms, char out[CLI_TIME_CAP])
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;

    if (unix_ms < 0 || !gmtime_r(&seconds, &tm) ||
        strftime(out, CLI_TIME_CAP, "%Y-%m-%d %H:%M:%SZ", &tm) == 0)
        (void)snprintf(out, CLI_TIME_CAP, "-");
    return out;
}

char *cli_age(uint64_t ms, char out[CLI_SIZE_CAP])
{
    uint64_t s = ms / 1000;

    if (s < 120)
        (void)snprintf(out, CLI_SIZE_CAP, "%" PRIu64 "s", s);
    else if (s < UINT64_C(2) * 3600)
        (void)snprintf(out, CLI_SIZE_CAP, "%" PRIu64 "m", s / 60);
    else if (s < UINT64_C(2) * 86400)
        (void)snprintf(out, CLI_SIZE_CAP, "%" PRIu64 "h", s / 3600);
    else
        (void)snprintf(out, CLI_SIZE_CAP, "%" PRIu64 "d", s / 86400);
    return out;
}
