/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_events: what satellites have told of, as it came.  The words are a satellite's,
 * made printable.
 */
#include <poll.h>
#include <stdlib.h>

#include "orchestrator/cmd.h"
#include "orchestrator/event_rows.h"
#include "orchestrator/home.h"

#define FOLLOW_MS 1000

/* Until it is interrupted, or nobody reads: what comes behind a number of the news. */
static enum rc follow(struct cli *cli, struct store *store, uint64_t told, struct err *err)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && fflush(cli->out) == 0 && poll(NULL, 0, FOLLOW_MS) == 0) {
        size_t n = EVENT_NEWS_MAX;

        while (rc == RC_OK && n == EVENT_NEWS_MAX) {
            scoped(free_ptr) struct store_event *news = NULL;

            rc = store_events_after(store, cli_arg(cli, 0), told, EVENT_NEWS_MAX, &news, &n, err);
            if (rc != RC_OK || n == 0)
                break;
            event_rows_print(cli, news, n, NULL);
            told = news[n - 1].told;
        }
    }
    return rc;
}

static int run_events(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_event *events = NULL;
    const bool following = cli_flag(cli, "follow");
    struct err err = { 0 };
    uint64_t last = 0, told = 0;
    size_t n = 0;
    enum rc rc = cli_number(cli, "last", EVENT_ROWS_DEFAULT, 1, EVENT_ROWS_MAX, &last, &err);

    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    rc = event_rows_list(home.store, cli_arg(cli, 0), (size_t)last, &events, &n, &told, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, rc == RC_NO_SATELLITE ? "berth status lists them" : NULL);
    json_t *rows = cli->json && !following ? json_array() : NULL;

    event_rows_print(cli, events, n, rows);
    if (n == 0 && !following)
        cli_say(cli, "no satellite has told of anything");
    if (!following)
        return cli_json(cli, json_pack("{s:o?}", "events", rows));
    rc = follow(cli, home.store, told, &err);
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
