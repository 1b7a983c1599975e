/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/event_rows.h"

#include <inttypes.h>

#include "base/name.h"
#include "orchestrator/screen.h"

enum rc event_rows_list(struct store *store, const char *satellite, size_t last,
                        struct store_event **ret, size_t *ret_n, uint64_t *ret_told,
                        struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_satellite row;
    enum rc rc = store_begin_read(store, &open, err);

    if (rc == RC_OK && satellite)
        rc = store_satellite(store, satellite, &row, err);
    if (rc == RC_OK)
        rc = store_news(store, ret_told, err);
    return rc == RC_OK ? store_events(store, satellite, last, ret, ret_n, err) : rc;
}

json_t *event_row_json(const struct store_event *e)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "satellite", e->satellite, "seq",
                     json_uint(e->seq), "code", json_uint(e->code), "name",
                     rc_name(rc_from_number(e->code)), "count", json_uint(e->count), "what",
                     json_safe(e->what), "received_ms", json_uint(e->received_ms));
}

static bool take_number(const json_t *row, const char *key, uint64_t most, uint64_t *ret)
{
    const json_t *value = json_object_get(row, key);
    const json_int_t n = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || (uint64_t)n > most)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static bool take_text(const json_t *row, const char *key, char *out, size_t cap)
{
    const json_t *value = json_object_get(row, key);
    const char *text = json_string_value(value);

    if (!text || json_string_length(value) != strlen(text) || strlen(text) >= cap ||
        !text_printable(text))
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

enum rc event_row_read(const json_t *row, struct store_event *ret, struct err *err)
{
    struct store_event e = { .told = 0 };
    uint64_t code = 0, count = 0;

    if (!take_text(row, "satellite", e.satellite, sizeof e.satellite) || !name_valid(e.satellite) ||
        !take_text(row, "what", e.what, sizeof e.what) ||
        !take_number(row, "seq", INT64_MAX, &e.seq) ||
        !take_number(row, "code", UINT32_MAX, &code) ||
        !take_number(row, "count", UINT32_MAX, &count) ||
        !take_number(row, "received_ms", INT64_MAX, &e.received_ms))
        return err_set(err, RC_VALUE, "event");
    e.code = (uint32_t)code;
    e.count = (uint32_t)count;
    *ret = e;
    return RC_OK;
}

static void say(struct cli *cli, const struct store_event *e)
{
    char time[CLI_TIME_CAP], what[sizeof e->what];

    (void)cli_time(e->received_ms < INT64_MAX ? (int64_t)e->received_ms : INT64_MAX, time);
    cli_say(cli, "%s %s %" PRIu64 " %s (%u times) %s: %s", time, e->satellite, e->seq,
            rc_name(rc_from_number(e->code)), e->count, screen_safe(e->what, what, sizeof what),
            rc_text(rc_from_number(e->code)));
}

void event_rows_print(struct cli *cli, const struct store_event *events, size_t n, json_t *rows)
{
    for (size_t i = 0; events && i < n; i++) {
        if (rows)
            (void)json_array_append_new(rows, event_row_json(&events[i]));
        else if (cli->json)
            (void)cli_json_next(cli, event_row_json(&events[i]));
        else
            say(cli, &events[i]);
    }
}
