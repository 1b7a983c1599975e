/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_events: what satellites have told of, as it came.  The words are a satellite's,
 * made printable.
 */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>

#include "orchestrator/cmd.h"
#include "orchestrator/event_news.h"
#include "orchestrator/home.h"
#include "orchestrator/screen.h"

#define LAST_MAX 4096U /* and so many are compared when following */
#define LAST_DEFAULT 100U
#define FOLLOW_MS 1000

static json_t *event_json(const struct store_event *e)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "satellite", e->satellite, "seq",
                     json_uint(e->seq), "code", json_uint(e->code), "name",
                     rc_name(rc_from_number(e->code)), "count", json_uint(e->count), "what",
                     json_safe(e->what), "received_ms", json_uint(e->received_ms));
}

static void say(struct cli *cli, const struct store_event *e)
{
    char time[CLI_TIME_CAP], what[sizeof e->what];

    (void)cli_time(e->received_ms < INT64_MAX ? (int64_t)e->received_ms : INT64_MAX, time);
    cli_say(cli, "%s %s %" PRIu64 " %s (%u times) %s: %s", time, e->satellite, e->seq,
            rc_name(rc_from_number(e->code)), e->count, screen_safe(e->what, what, sizeof what),
            rc_text(rc_from_number(e->code)));
}

/* With --json into rows, or each as a value of its own. */
static void print(struct cli *cli, const struct store_event *events, size_t n, json_t *rows)
{
    for (size_t i = 0; events && i < n; i++) {
        if (rows)
            (void)json_array_append_new(rows, event_json(&events[i]));
        else if (cli->json)
            (void)cli_json_next(cli, event_json(&events[i]));
        else
            say(cli, &events[i]);
    }
}

/* Until it is interrupted, or nobody reads.  Takes the list that was printed. */
static enum rc follow(struct cli *cli, struct store *store, struct store_event *first,
                      size_t n_first, struct err *err)
{
    const char *satellite = cli_arg(cli, 0);
    struct store_event *before = first;
    size_t n_before = n_first;
    enum rc rc = RC_OK;

    while (fflush(cli->out) == 0 && poll(NULL, 0, FOLLOW_MS) == 0) {
        struct store_event *now = NULL, *news = NULL;
        size_t n = 0;

        rc = store_events(store, satellite, LAST_MAX, &now, &n, err);
        if (rc == RC_OK && n > 0 && !(news = malloc(n * sizeof *news)))
            rc = err_set(err, RC_NO_MEMORY, "events");
        if (rc != RC_OK) {
            free(now);
            break;
        }
        if (n > 0)
            memcpy(news, now, n * sizeof *news);
        print(cli, news, event_news(before, n_before, LAST_MAX, news, n), NULL);
        free(news);
        free(before);
        before = now;
        n_before = n;
    }
    free(before);
    return rc;
}

/* The satellite of the argument is one of the fleet. */
static enum rc check_satellite(struct cli *cli, struct store *store, struct err *err)
{
    struct store_satellite row;

    return cli_arg(cli, 0) ? store_satellite(store, cli_arg(cli, 0), &row, err) : RC_OK;
}

static int run_events(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    const bool following = cli_flag(cli, "follow");
    struct store_event *events = NULL;
    struct err err = { 0 };
    uint64_t last = 0;
    size_t n = 0;
    enum rc rc = cli_number(cli, "last", LAST_DEFAULT, 1, LAST_MAX, &last, &err);

    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    rc = check_satellite(cli, home.store, &err);
    if (rc == RC_OK)
        rc = store_events(home.store, cli_arg(cli, 0), LAST_MAX, &events, &n, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, rc == RC_NO_SATELLITE ? "berth status lists them" : NULL);
    const size_t from = n > last ? n - (size_t)last : 0;
    json_t *rows = cli->json && !following ? json_array() : NULL;

    if (n > 0)
        print(cli, events + from, n - from, rows);
    else if (!following)
        cli_say(cli, "no satellite has told of anything");
    if (!following) {
        free(events);
        return cli_json(cli, json_pack("{s:o?}", "events", rows));
    }
    rc = follow(cli, home.store, events, n, &err);
    return rc == RC_OK ? CLI_OK : cli_fail(cli, &err, NULL);
}

static const struct cli_option options[] = {
    { "last", CLI_TEXT, "N", "only the last N that came (100)" },
    { "follow", CLI_FLAG, NULL, "go on printing what comes, until interrupted" },
    { 0 },
};

const struct cli_command cmd_events[] = {
    { .name = "events",
      .group = "Operate",
      .args = "[SATELLITE]",
      .names = CLI_SATELLITES,
      .summary = "What satellites have told of: refusals, failures, repairs",
      .about = "In the order in which they came, with the time at which they came.  The number is\n"
               "the satellite's; what happened again in a row is one event with a higher count,\n"
               "and is printed again by --follow.  berth explain CODE says more.",
      .args_max = 1,
      .listing = "events.satellite/seq",
      .options = options,
      .run = run_events },
    { 0 },
};
