/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_status: desired beside observed for the whole fleet.  What is printed of a
 * report is what a satellite said, made printable.
 */
#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/drift.h"
#include "orchestrator/home.h"
#include "orchestrator/screen.h"
#include "orchestrator/standing.h"
#include "orchestrator/witness_print.h"

static enum screen_mark verdict_mark(enum verdict verdict)
{
    static const enum screen_mark marks[VERDICTS] = {
        [VERDICT_UNKNOWN] = MARK_UNKNOWN,
        [VERDICT_PENDING] = MARK_BUSY,
        [VERDICT_SILENT] = MARK_UNKNOWN,
        [VERDICT_SYNCED] = MARK_GOOD,
    };

    return marks[verdict];
}

static void add_satellite(struct cli *cli, struct cli_table *table,
                          const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms)
{
    const struct want *want = view_want(sat);
    uint64_t age_ms = view_age_ms(sat, now_ms);
    char verdict[24];
    char order[72];
    char waits[24] = "";
    char synced[24];
    char age[CLI_SIZE_CAP] = "";
    char problem[STANDING_ALARM_CAP] = "";
    uint32_t ok = 0;
    const char *const cells[] = { sat->row.id, verdict, order, synced, age, problem };

    enum verdict is = view_verdict(sat, now_ms, silent_ms);

    (void)screen_word(cli, verdict_mark(is), verdict_name(is), verdict, sizeof verdict);
    if (sat->seen && sat->seen->staged > 0)
        (void)snprintf(waits, sizeof waits, "+%llu", (unsigned long long)sat->seen->staged);
    (void)snprintf(order, sizeof order, "%llu/%llu%s",
                   (unsigned long long)(sat->seen ? sat->seen->generation : 0),
                   (unsigned long long)sat->order.generation, waits);
    for (uint32_t i = 0; want && i < want->n_lines; i++)
        ok += verdict_line_synced(
            &want->line[i], verdict_payload(sat->seen, want->line[i].tenant, want->line[i].name));
    (void)snprintf(synced, sizeof synced, "%u/%u", ok, want ? want->n_lines : 0);
    if (sat->seen)
        (void)cli_age(age_ms, age);
    standing_alarm(sat->seen, problem);
    for (uint32_t i = 0; sat->seen && i < sat->seen->n_payloads; i++) {
        const struct report_payload *p = &sat->seen->payload[i];

        if (p->code != 0 && problem[0] == '\0')
            (void)snprintf(problem, sizeof problem, "%s/%s %s %s%s", p->tenant, p->name,
                           slot_state_name(p->state), rc_name(rc_from_number(p->code)),
                           ride_failed(p) ? ", full follows" : "");
    }
    cli_table_row(table, cells);
}

static void print_fleet(struct cli *cli, const struct view *view, uint64_t now_ms,
                        uint64_t silent_ms)
{
    static const char *const headings[] = { "SATELLITE", "VERDICT", "ORDER",
                                            "PAYLOADS",  "SEEN",    "PROBLEM" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);

    for (size_t i = 0; i < view->n; i++)
        add_satellite(cli, table, &view->satellite[i], now_ms, silent_ms);
    cli_table_print(cli, table);
}

static int status_once(struct cli *cli, struct store *store, uint64_t silent_ms, struct err *err)
{
    scoped(view_free) struct view *view = NULL;
    scoped(store_rollback) struct store *open = NULL; /* all of it is of one moment */
    struct witness_alarm alarm = { 0 };
    uint64_t now_ms = clock_unix_ms();

    if (store_begin_read(store, &open, err) != RC_OK || view_load(store, &view, err) != RC_OK ||
        witness_fleet(store, view, &alarm, err) != RC_OK)
        return cli_fail(cli, err, NULL);
    witness_print(cli, &alarm);
    if (!cli->json && drift_print(cli, store, view, NULL, err) != RC_OK)
        return cli_fail(cli, err, NULL);
    if (!cli->json) {
        print_fleet(cli, view, now_ms, silent_ms);
        return CLI_OK;
    }
    json_t *list = json_array();

    for (size_t i = 0; i < view->n; i++)
        (void)json_array_append_new(
            list, standing_json(store, view, &view->satellite[i], now_ms, silent_ms));
    return cli_json(cli,
                    json_pack("{s:o, s:o, s:o}", "satellites", list, "audit_alarm",
                              witness_json(&alarm), "audit_accused", witness_accused_json(&alarm)));
}

static int run_status(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct err err = { 0 };
    uint64_t silent_s = 0;

    if (cli_number(cli, "silent-after", VIEW_SILENT_MS / 1000, 1, UINT32_MAX, &silent_s, &err) !=
        RC_OK)
        return cli_fail(cli, &err, NULL);
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    return status_once(cli, home.store, silent_s * 1000, &err);
}

static const struct cli_option status_options[] = {
    CLI_OPTION_WATCH,
    { "silent-after", CLI_TEXT, "SECONDS", "longest expected gap between reports (600)" },
    { 0 },
};

const struct cli_command cmd_status[] = {
    { .name = "status",
      .group = "Operate",
      .args = "",
      .summary = "Desired beside observed, one line per satellite",
      .about = "synced: runs exactly what its newest order names, all of it committed.  pending:\n"
               "not there yet, or failed.  silent: no report for --silent-after; says nothing\n"
               "about its state.  unknown: never heard of.  ORDER is in force/wanted.",
      .watch = CLI_WATCH,
      .listing = "satellites.id",
      .options = status_options,
      .run = run_status },
    { 0 },
};
