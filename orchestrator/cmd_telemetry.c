/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_telemetry: what a payload has put on its bus.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/mail.h"
#include "orchestrator/telemetry.h"

#define HOURS_MAX (24U * 3660U)
#define VALUE_CAP (2U * TELEMETRY_VALUE_MAX + 3U)

struct listing {
    struct cli_table *table;
    json_t *rows;
    uint64_t since_ms;
    uint64_t instance, next; /* that the next batch continues; 0 = none came yet */
    uint64_t dropped;
};

/* Printable ASCII as it is, anything else in hex: a terminal reads it. */
static const char *value_text(const struct telemetry_sample *s, char out[VALUE_CAP])
{
    char hex[2 * TELEMETRY_VALUE_MAX + 1];

    if (mail_text_ok((const char *)s->value, s->n) ||
        (s->n > MAIL_TEXT_MAX && mail_text_ok((const char *)s->value, MAIL_TEXT_MAX) &&
         mail_text_ok((const char *)s->value + MAIL_TEXT_MAX, s->n - MAIL_TEXT_MAX)))
        (void)snprintf(out, VALUE_CAP, "%.*s", (int)s->n, (const char *)s->value);
    else
        (void)snprintf(out, VALUE_CAP, "0x%s", bytes_hex((struct bytes){ s->value, s->n }, hex));
    return out;
}

static void show_sample(const struct listing *l, const struct telemetry_batch *b, uint32_t i)
{
    const struct telemetry_sample *s = &b->sample[i];
    char time[CLI_TIME_CAP], number[24], value[VALUE_CAP];

    (void)snprintf(number, sizeof number, "%" PRIu64, b->first + i);
    const char *cells[] = { cli_time(s->time_ms < INT64_MAX ? (int64_t)s->time_ms : INT64_MAX,
                                     time),
                            number, s->key, value_text(s, value) };

    cli_table_row(l->table, cells);
    (void)json_array_append_new(
        l->rows, json_pack("{s:o, s:o, s:o, s:o, s:o}", "time_ms", json_uint(s->time_ms),
                           "instance", json_uint(b->instance), "number", json_uint(b->first + i),
                           "key", json_safe(s->key), "value", json_safe(value)));
}

/* Numbers that are missing were dropped; at a new start nobody knows how many were, at the end of
 * the one before. */
static bool on_batch(void *arg, const struct telemetry_batch *b)
{
    struct listing *l = arg;
    const uint64_t next = b->instance == l->instance ? l->next : 1;

    if (b->first > next && b->sample[0].time_ms >= l->since_ms) {
        char text[40];
        const char *cells[] = { "-", NULL, "(dropped)", text };

        (void)snprintf(text, sizeof text, "%" PRIu64 " before the next", b->first - next);
        cli_table_row(l->table, cells);
        l->dropped += b->first - next;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->sample[i].time_ms >= l->since_ms)
            show_sample(l, b, i);
    }
    l->instance = b->instance;
    l->next = b->first + b->n;
    return true;
}

static int run_telemetry(struct cli *cli)
{
    static const char *const headings[] = { "TIME", "NUMBER", "KEY", "VALUE" };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 4);
    struct listing l = { .table = table, .rows = json_array() };
    const uint64_t now = clock_unix_ms();
    char satellite[NAME_CAP] = "";
    struct mail m = { .size = 0 };
    uint64_t hours = 0;
    struct err err = { 0 };
    enum rc rc = mail_parse_to(cli_arg(cli, 0), &m, satellite, &err);

    if (rc == RC_OK)
        rc = cli_number(cli, "since-hours", 0, 1, HOURS_MAX, &hours, &err);
    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (hours > 0)
        l.since_ms = now > hours * 3600000U ? now - hours * 3600000U : 0;
    if (rc == RC_OK)
        rc = telemetry_list(&home, m.tenant, satellite, m.payload, on_batch, &l, &err);
    if (rc != RC_OK) {
        json_decref(l.rows);
        return cli_fail(cli, &err, "PUT /v1/telemetry/KEY on the bus of a payload with an outbox");
    }
    cli_table_print(cli, table);
    cli_say(cli, "%" PRIu64 " dropped", l.dropped);
    return cli_json(cli,
                    json_pack("{s:o, s:o}", "samples", l.rows, "dropped", json_uint(l.dropped)));
}

static const struct cli_option options[] = {
    { "since-hours", CLI_TEXT, "N", "only of the last N hours, by the satellite's clock" },
    { 0 },
};

const struct cli_command cmd_telemetry[] = {
    { .name = "telemetry",
      .group = "Mail",
      .args = "TENANT/PAYLOAD@SAT",
      .summary = "Show what a payload has put on its bus",
      .about =
          "In the order in which it was put.  It comes down in batches, behind all other mail and "
          "within the bytes of the outbox's day; what found no room on board is counted as "
          "dropped.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run_telemetry },
    { 0 },
};
