/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_ps: desired beside observed for one satellite.  What is printed of a report is
 * what the satellite said, made printable.
 */
#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/drift.h"
#include "orchestrator/home.h"
#include "orchestrator/refused.h"
#include "orchestrator/screen.h"
#include "orchestrator/standing.h"
#include "orchestrator/witness_print.h"

#define EVENTS_PRINTED 5U

/* What reading everything again has found, for people. */
static void print_scrub(struct cli *cli, const struct report_scrub *s)
{
    char age[32];

    if (s->rounds == 0 && s->damaged == 0)
        return;
    cli_say(cli,
            "  scrub: %u rounds, the last %s ago; %u files damaged, %u repaired, %u asked again",
            s->rounds, s->rounds > 0 ? cli_age((uint64_t)s->age_s * 1000U, age) : "never",
            s->damaged, s->repaired, s->asked);
    if (s->n_wanted > 0)
        cli_say(cli, "  %u packages are needed again to repair slots", s->n_wanted);
}

/* What the link has brought, for people. */
static void print_traffic(struct cli *cli, const struct report_traffic *t)
{
    char in[CLI_SIZE_CAP], useful[CLI_SIZE_CAP], repeated[CLI_SIZE_CAP], out[CLI_SIZE_CAP];
    const struct report_bytes *rows[] = { &t->contact, &t->all };

    for (size_t i = 0; i < 2 && t->all.in > 0; i++)
        cli_say(cli, "  link, %s: %s up, %u %% useful (%s), %s repeated, %s down",
                i == 0 ? "last contact" : "since its start", cli_size(rows[i]->in, in),
                rows[i]->in > 0 ? (unsigned)(rows[i]->useful * 100U / rows[i]->in) : 0,
                cli_size(rows[i]->useful, useful), cli_size(rows[i]->repeated, repeated),
                cli_size(rows[i]->out, out));
}

/* "  store of acme: 12 of 64 MiB; slots 10 MiB in 120 files, kept 2 MiB in 1" and so on. */
static void print_usage(struct cli *cli, const struct report *seen)
{
    for (uint32_t i = 0; i < seen->n_usage; i++) {
        const struct report_usage *u = &seen->usage[i];
        uint64_t sum = 0;
        char parts[320] = "";
        size_t n = 0;

        for (int k = 0; k < USE_KINDS; k++) {
            if (k != USE_WAITING && k != USE_DATA)
                sum += u->use[k].kib;
            if (u->use[k].kib > 0 || u->use[k].files > 0)
                n += (size_t)snprintf(parts + n, sizeof parts - n, "%s%s %u KiB in %u files",
                                      n > 0 ? ", " : "; ", report_use_name((enum report_use)k),
                                      u->use[k].kib, u->use[k].files);
        }
        cli_say(cli, "  store of %s: %llu of %u KiB%s", u->tenant, (unsigned long long)sum,
                u->store_kib, parts);
    }
}

/* "receiving 62 %" while its package is under way, "rolled-back HEALTH_TIMEOUT", "committed". */
static void state_text(const struct view *view, const struct report *report,
                       const struct standing_line *line, const struct standing_told *told,
                       char *out, size_t cap)
{
    char reason[STANDING_REASON_CAP];

    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;

    if (!line->seen) {
        (void)snprintf(out, cap, "%s", report ? "not reported" : "no report yet");
        return;
    }
    (void)standing_reason(told, line, reason, sizeof reason);
    (void)snprintf(out, cap, "%s%s%s%s", slot_state_name(line->seen->state),
                   reason[0] != '\0' ? " " : "", reason,
                   ride_failed(line->seen) ? ", full follows" : "");
    for (uint32_t i = 0; package && report && i < report->n_transfers; i++) {
        const struct report_transfer *t = &report->transfer[i];
        uint64_t missing = 0;

        if (!view_brings(view, package, &t->object) || t->chunks == 0)
            continue;
        for (uint32_t k = 0; k < t->n_missing; k++)
            missing += t->missing[k].count;
        if (!t->more && missing <= t->chunks)
            (void)snprintf(out, cap, "receiving %s%u %%",
                           digest_same(&t->object, &package->object) ? "" : "delta ",
                           (unsigned)(100U * (t->chunks - missing) / t->chunks));
    }
}

static void add_payload(struct cli_table *table, const struct view *view,
                        const struct report *report, const struct standing_line *line,
                        const struct standing_told *told)
{
    char payload[2U * NAME_CAP + 1U];
    char state[64 + STANDING_REASON_CAP];
    char memory[CLI_SIZE_CAP] = "";
    char restarts[12] = "";
    const char *const cells[] = { payload,
                                  line->want ? standing_version(view, line) : "(stop)",
                                  line->seen && line->seen->is_running ? line->seen->version : "",
                                  state,
                                  restarts,
                                  memory };

    (void)snprintf(payload, sizeof payload, "%s/%s", line->tenant, line->name);
    state_text(view, report, line, told, state, sizeof state);
    if (line->seen && line->seen->is_running) {
        (void)snprintf(restarts, sizeof restarts, "%u", line->seen->restarts);
        (void)cli_size((uint64_t)line->seen->memory_kib * 1024U, memory);
    }
    cli_table_row(table, cells);
}

static void print_payloads(struct cli *cli, struct store *store, const struct view *view,
                           const struct view_satellite *sat, const struct report *report)
{
    static const char *const headings[] = { "PAYLOAD", "WANT",     "RUNNING",
                                            "STATE",   "RESTARTS", "MEMORY" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);
    scoped(standing_told_free) struct standing_told told = standing_told_by(store, sat->row.id);
    scoped(free_ptr) struct standing_line *lines = NULL;
    size_t n = standing_lines(sat, &lines);

    for (size_t i = 0; i < n; i++)
        add_payload(table, view, report, &lines[i], &told);
    if (n > 0)
        cli_table_print(cli, table);
}

/* Where only the full package works. */
static void print_refused(struct cli *cli, const struct view *view,
                          const struct view_satellite *sat)
{
    scoped(free_ptr) struct standing_line *lines = NULL;
    size_t n = standing_lines(sat, &lines);

    for (size_t i = 0; i < n; i++) {
        uint32_t code = standing_refused(view, sat, &lines[i]);

        if (code != 0)
            cli_say(cli, "  %s/%s %s: a delta did not work there (%s): the full package goes",
                    lines[i].tenant, lines[i].name, standing_version(view, &lines[i]),
                    rc_name(rc_from_number(code)));
    }
}

static void print_events(struct cli *cli, struct store *store, const char *id)
{
    scoped(free_ptr) struct store_event *events = NULL;
    size_t n = 0;

    if (store_events(store, id, EVENTS_PRINTED, &events, &n, NULL) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        char what[sizeof events[i].what];

        cli_say(cli, "  event %llu: %s %s (%u times): %s", (unsigned long long)events[i].seq,
                screen_safe(events[i].what, what, sizeof what),
                rc_name(rc_from_number(events[i].code)), events[i].count,
                rc_text(rc_from_number(events[i].code)));
    }
}

/* "agent 0.2.0, on trial; the one before it failed: AGENT_DIED" */
static void print_agent(struct cli *cli, const struct report *seen)
{
    const struct report_agent *agent = seen ? &seen->agent : NULL;

    if (!agent || agent->version[0] == '\0')
        return;
    cli_say(cli, "  agent %s%s%s%s%s", agent->version,
            digest_is_none(&agent->running) ? ", as launched" : ", updated",
            agent->trial ? ", on trial" : "",
            agent->code ? "; the last that was tried failed: " : "",
            agent->code ? rc_name(rc_from_number(agent->code)) : "");
}

/* The one that was asked for, and the alarm of the audit log: of that every satellite is a witness,
 * and whoever looks at one is told. */
static enum rc look_at(struct store *store, const char *id, struct view **ret,
                       struct witness_alarm *ret_alarm, struct err *err)
{
    scoped(view_free) struct view *fleet = NULL;
    enum rc rc = view_load_asked(store, id, ret, err);

    if (rc == RC_OK)
        rc = view_load_seen(store, &fleet, err);
    return rc == RC_OK ? witness_fleet(store, fleet, ret_alarm, err) : rc;
}

static int run_ps(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(view_free) struct view *view = NULL;
    scoped(free_ptr) struct report *report = NULL;
    scoped(store_rollback) struct store *open = NULL;
    uint64_t now_ms = clock_unix_ms();
    struct witness_alarm lost = { 0 };
    struct err err = { 0 };
    char age[CLI_SIZE_CAP] = "never";

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (store_begin_read(home.store, &open, &err) != RC_OK ||
        look_at(home.store, cli_arg(cli, 0), &view, &lost, &err) != RC_OK)
        return cli_fail(cli, &err, err.rc == RC_NO_SATELLITE ? "berth status lists them" : NULL);
    const struct view_satellite *sat = &view->satellite[0];

    if (view_report(home.store, sat, &report, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    if (sat->seen)
        (void)cli_age(view_age_ms(sat, now_ms), age);
    cli_say(cli, "%s: order %llu in force, %llu wanted, last report %s%s", sat->row.id,
            (unsigned long long)(sat->seen ? sat->seen->generation : 0),
            (unsigned long long)sat->order.generation, age, sat->seen ? " ago" : "");
    if (sat->seen && sat->seen->staged > 0)
        cli_say(cli, "  order %llu waits there for its token",
                (unsigned long long)sat->seen->staged);
    char alarm[STANDING_ALARM_CAP];
    standing_alarm(sat->seen, alarm);
    if (alarm[0] != '\0')
        cli_say(cli, "  %s", alarm);
    if (sat->seen && sat->seen->passes_order > 0)
        cli_say(cli, "  no new order for %u passes, no new document for %u",
                sat->seen->passes_order, sat->seen->passes_document);
    witness_print(cli, &lost);
    print_agent(cli, report);
    if (report) {
        print_scrub(cli, &report->scrub);
        print_traffic(cli, &report->traffic);
        print_usage(cli, report);
        refused_print(cli, report);
        confinement_print(cli, report, cli_flag(cli, "wide") || cli->form == CLI_WIDE);
    }
    if (!cli->json) {
        if (drift_print(cli, home.store, view, sat, &err) != RC_OK)
            return cli_fail(cli, &err, NULL);
        print_payloads(cli, home.store, view, sat, report);
        print_refused(cli, view, sat);
        print_events(cli, home.store, sat->row.id);
    }
    return cli_json(cli, standing_json(home.store, view, sat, now_ms, VIEW_SILENT_MS));
}

static const struct cli_option ps_options[] = {
    { "wide", CLI_FLAG, NULL, "with the receipt of each payload's start, as -o wide" },
    CLI_OPTION_WATCH,
    { 0 },
};

const struct cli_command cmd_ps[] = {
    { .name = "ps",
      .group = "Operate",
      .args = "SATELLITE",
      .names = CLI_SATELLITES,
      .summary = "What one satellite runs, and its newest events",
      .args_min = 1,
      .args_max = 1,
      .about =
          "Walls are those that stand around every payload there; what is missing is named.  A\n"
          "receipt (--wide, --json) is the same at every start of a version as long as agent and\n"
          "walls are: where it is not, the audit log says receipt-changed.",
      .watch = CLI_WATCH,
      .listing = "payloads.tenant/name",
      .options = ps_options,
      .run = run_ps },
    { 0 },
};
