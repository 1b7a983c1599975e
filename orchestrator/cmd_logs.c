/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_logs: what payloads have printed, and asking for more of it.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/cmd_mail.h"
#include "orchestrator/logs.h"
#include "orchestrator/mail.h"
#include "orchestrator/since.h"
#include "orchestrator/yaml_units.h"

#define LAST_MAX 100000U
#define LAST_DEFAULT 1000U
#define FOLLOW_MS 1000
#define REQUEST_DEFAULT (64U * 1024U)
#define REQUEST_HOURS 48U

/* What is printed, in order; only the last ones are kept until they are. */
struct line {
    uint64_t instance;
    struct logs_record r;
    uint64_t came_ms;
    char *text; /* owned; NULL for a gap */
};

struct listing {
    struct cli *cli;
    uint64_t since_ms; /* by when it came */
    uint64_t from_ms;  /* by the satellite's clock */
    const char *grep;
    bool oldest; /* the first `most`, and not the last */
    uint64_t most;
    struct line *line; /* the last ones: a ring of `most` */
    uint64_t n;        /* ever */
    struct logs_cursor cursor;
    uint64_t gap_lines, gap_bytes;
};

static const char *stream_name(enum logs_stream stream)
{
    return stream == LOGS_OUT ? "stdout" : stream == LOGS_ERR ? "stderr" : "note";
}

static bool is_wanted(const struct listing *l, const struct logs_told *t)
{
    const struct bytes text = t->record.text;

    if (t->came_ms < l->since_ms || t->record.time_ms < l->from_ms)
        return false;
    return !l->grep || (text.n > 0 && memmem(text.p, text.n, l->grep, strlen(l->grep)));
}

static bool on_told(void *arg, const struct logs_told *t)
{
    struct listing *l = arg;

    if (l->oldest && l->n == l->most)
        return false;
    l->cursor = (struct logs_cursor){ t->instance, t->record.number + t->record.lines - 1 };
    if (!is_wanted(l, t))
        return true;
    struct line *line = &l->line[l->n++ % l->most];

    free(line->text);
    *line = (struct line){ t->instance, t->record, t->came_ms, NULL };
    line->r.text = (struct bytes){ 0 };
    if (t->record.stream != LOGS_GAP)
        line->text = logs_printable(t->record.text);
    return true;
}

static void free_lines(struct listing *l)
{
    for (uint64_t i = 0; l->line && i < l->most; i++)
        free(l->line[i].text);
    free(l->line);
    l->line = NULL;
}

/* ---- printing ---------------------------------------------------------------------------------
 */

/* "1,204" into out. */
static const char *grouped(uint64_t n, char out[32])
{
    char digits[24];
    const int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    size_t at = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

static void say_line(const struct listing *l, const struct line *line)
{
    char time[CLI_TIME_CAP], lines[32], bytes[32];
    const struct logs_record *r = &line->r;

    if (r->stream == LOGS_GAP) {
        cli_say(l->cli, "-- %s bytes dropped here, %s line%s: %s --", grouped(r->bytes, bytes),
                grouped(r->lines, lines), r->lines == 1 ? "" : "s", logs_why_text(r->why));
        return;
    }
    (void)cli_time(r->time_ms < INT64_MAX ? (int64_t)r->time_ms : INT64_MAX, time);
    if (r->stream == LOGS_NOTE)
        cli_say(l->cli, "%s --- %s, run %" PRIu64 " ---", time, line->text ? line->text : "",
                line->instance);
    else
        cli_say(l->cli, "%s %s %s%s", time, r->stream == LOGS_ERR ? "err" : "out",
                line->text ? line->text : "", r->more ? " \\" : "");
}

static json_t *line_json(const struct line *line)
{
    const struct logs_record *r = &line->r;

    if (r->stream == LOGS_GAP)
        return json_pack("{s:o, s:o, s:s, s:o, s:o, s:s}", "instance", json_uint(line->instance),
                         "number", json_uint(r->number), "stream", "gap", "lines",
                         json_uint(r->lines), "bytes", json_uint(r->bytes), "why",
                         logs_why_text(r->why));
    return json_pack("{s:o, s:o, s:s, s:o, s:b, s:o}", "instance", json_uint(line->instance),
                     "number", json_uint(r->number), "stream", stream_name(r->stream), "time_ms",
                     json_uint(r->time_ms), "more", (int)r->more, "text",
                     json_safe(line->text ? line->text : ""));
}

/* What was listed, the oldest first; with --json into rows, or each on a line of its own. */
static void print(struct listing *l, json_t *rows)
{
    const uint64_t kept = l->n < l->most ? l->n : l->most;

    for (uint64_t i = l->n - kept; i < l->n; i++) {
        const struct line *line = &l->line[i % l->most];

        if (line->r.stream == LOGS_GAP) {
            l->gap_lines += line->r.lines;
            l->gap_bytes += line->r.bytes;
        }
        if (rows)
            (void)json_array_append_new(rows, line_json(line));
        else if (l->cli->json)
            (void)cli_json_next(l->cli, line_json(line));
        else
            say_line(l, line);
    }
    l->n = 0;
}

/* ---- berth logs -------------------------------------------------------------------------------
 */

static enum rc parse_cursor(const char *text, struct logs_cursor *ret, struct err *err)
{
    char *end = NULL;

    if (!text)
        return RC_OK;
    ret->instance = strtoull(text, &end, 10);
    if (end == text || *end != '-' || strspn(end + 1, "0123456789") != strlen(end + 1) ||
        end[1] == '\0' || text[0] == '-')
        return err_set(err, RC_USAGE, "--cursor %.40s is none that was given out", text);
    ret->number = strtoull(end + 1, NULL, 10);
    return RC_OK;
}

static enum rc read_options(struct cli *cli, const struct home *home, const char *satellite,
                            struct listing *l, struct err *err)
{
    const char *since = cli_value(cli, "since");
    enum rc rc = parse_cursor(cli_value(cli, "cursor"), &l->cursor, err);

    l->oldest = cli_value(cli, "cursor") != NULL;
    l->grep = cli_value(cli, "grep");
    if (rc == RC_OK)
        rc = cli_number(cli, "last", LAST_DEFAULT, 1, LAST_MAX, &l->most, err);
    if (rc == RC_OK && since)
        rc = since_parse(home->store, satellite, since, clock_unix_ms(), &l->since_ms, &l->from_ms,
                         err);
    if (rc != RC_OK)
        return rc;
    l->line = calloc(l->most, sizeof *l->line);
    return l->line ? RC_OK : err_set(err, RC_NO_MEMORY, "logs");
}

static enum rc list(const struct home *home, const struct mail *m, const char *satellite,
                    struct listing *l, struct err *err)
{
    const struct logs_cursor after = l->cursor;

    return logs_list(home, m->tenant, satellite, m->payload, &after, on_told, l, err);
}

/* Until it is interrupted, or nobody reads. */
static void follow(const struct home *home, const struct mail *m, const char *satellite,
                   struct listing *l)
{
    struct err ignored;

    while (fflush(l->cli->out) == 0 && poll(NULL, 0, FOLLOW_MS) == 0) {
        (void)!list(home, m, satellite, l, &ignored);
        print(l, NULL);
    }
}

static int show(struct cli *cli, const struct mail *m, const char *satellite)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_lines) struct listing l = { .cli = cli };
    const bool following = cli_flag(cli, "follow");
    struct err err = { 0 };
    char next[48];
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = read_options(cli, &home, satellite, &l, &err);
    if (rc == RC_OK)
        rc = list(&home, m, satellite, &l, &err);
    if (rc == RC_NOT_FOUND && following)
        rc = RC_OK;
    if (rc != RC_OK)
        return cli_fail(cli, &err,
                        rc == RC_NOT_FOUND
                            ? "logs in its resources and its grant, or berth logs %s --request"
                            : "berth logs %s --last 100",
                        cli_arg(cli, 0));
    const bool none = l.n == 0 && l.grep;
    json_t *rows = cli->json && !following ? json_array() : NULL;

    print(&l, rows);
    if (following) {
        follow(&home, m, satellite, &l);
        return CLI_OK;
    }
    (void)snprintf(next, sizeof next, "%" PRIu64 "-%" PRIu64, l.cursor.instance, l.cursor.number);
    const int exit = cli_json(cli, json_pack("{s:o?, s:s, s:o, s:o}", "lines", rows, "next", next,
                                             "dropped_lines", json_uint(l.gap_lines),
                                             "dropped_bytes", json_uint(l.gap_bytes)));

    return none ? CLI_FAILED : exit;
}

/* ---- asking for more --------------------------------------------------------------------------
 */

static const char *request_fix(enum rc rc)
{
    return rc == RC_MAIL_SEALED
               ? "its own ground: a payload whose mail is sealed sends its log as mail"
               : "berth logs TENANT/PAYLOAD@SAT --request --max 64K";
}

static enum rc read_request(struct cli *cli, struct logs_request *q, struct err *err)
{
    const char *max = cli_value(cli, "max"), *since = cli_value(cli, "since");
    struct logs_cursor from = { 0 };
    enum rc rc = parse_cursor(cli_value(cli, "cursor"), &from, err);

    q->bytes = REQUEST_DEFAULT;
    q->newest = cli_flag(cli, "newest");
    if (rc == RC_OK && max &&
        (!yaml_unit_parse(YAML_UNIT_SIZE, max, &q->bytes) || q->bytes == 0 ||
         q->bytes > LOGS_NUMBER_MAX))
        rc = err_set(err, RC_USAGE, "--max %.40s is no %s", max, yaml_unit_help(YAML_UNIT_SIZE));
    if (rc == RC_OK && since)
        rc = since_parse(NULL, NULL, since, clock_unix_ms(), NULL, &q->since_ms, err);
    if (from.instance != 0 && from.number < LOGS_NUMBER_MAX) {
        q->instance = from.instance;
        q->number = from.number + 1;
    }
    return rc;
}

static int ask(struct cli *cli, struct mail *m, const char *satellite)
{
    scoped(close_fd) int fd = -1;
    uint8_t buf[LOGS_REQUEST_MAX];
    struct bytes content = { 0 };
    struct logs_request q = { .newest = false };
    struct err err = { 0 };
    enum rc rc = read_request(cli, &q, &err);

    if (rc == RC_OK)
        rc = logs_request_encode(&q, buf, &content, &err);
    if (rc == RC_OK)
        rc = fs_sealed("log request", content, &fd, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", request_fix(rc));
    m->direction = MAIL_LOGS_REQUEST;
    m->size = (uint32_t)content.n;
    (void)snprintf(m->name, sizeof m->name, "log");
    return cmd_mail_queue(cli, m, satellite, fd, REQUEST_HOURS, request_fix);
}

static int run_logs(struct cli *cli)
{
    char satellite[NAME_CAP] = "";
    struct mail m = { .size = 0 };
    struct err err = { 0 };

    if (mail_parse_to(cli_arg(cli, 0), &m, satellite, &err) != RC_OK)
        return cli_fail(cli, &err, "berth logs acme/cam@aurora-1");
    return cli_flag(cli, "request") ? ask(cli, &m, satellite) : show(cli, &m, satellite);
}

static const struct cli_option options[] = {
    { "since", CLI_TEXT, "WHEN",
      "only what came since pass-N (N passes ago), or was printed since 2h ago or a UTC time" },
    { "last", CLI_TEXT, "N", "only the last N lines (default 1000); with --cursor the first" },
    { "grep", CLI_TEXT, "TEXT", "only lines with this in them; exit code 1 if there is none" },
    { "cursor", CLI_TEXT, "PLACE", "only what is behind the \"next\" of an earlier answer" },
    { "follow", CLI_FLAG, NULL, "go on printing what comes, until interrupted" },
    { "request", CLI_FLAG, NULL, "ask the satellite for more, within the grant's logs" },
    { "max", CLI_TEXT, "SIZE", "with --request: so much of it at most (default 64K)" },
    { "newest", CLI_FLAG, NULL, "with --request: the last of it, and not the first" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_logs[] = {
    { .name = "logs",
      .group = "Mail",
      .args = "TENANT/PAYLOAD@SAT",
      .summary = "Show what a payload has printed",
      .about =
          "In the order in which it was printed, by the satellite's clock, with every gap: how "
          "much is missing, and why.  Too fast: more in a second than is kept.  Hour used up: "
          "log-per-hour of its manifest.  Ring full: overwritten on board before it came down. "
          "Disk: could not be kept, or not be read.  Not here: not told; it may still come.  "
          "What is no printable ASCII is shown as \\xNN, and a backslash before an x as \\x5c.\n\n"
          "Logs come down unasked within `logs` of the payload's manifest, behind all other "
          "mail.  --request asks for more, within `logs` of the tenant's grant for the day; "
          "--cursor and --since then say from where.",
      .args_min = 1,
      .args_max = 1,
      .listing = "lines.number",
      .options = options,
      .run = run_logs },
    { 0 },
};
