/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_status: desired beside observed, for the whole fleet (status) and for one
 * satellite (ps).  What is printed of a report is what a satellite said, made printable.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/confinement.h"
#include "orchestrator/describe.h"
#include "orchestrator/drift.h"
#include "orchestrator/home.h"
#include "orchestrator/refused.h"
#include "orchestrator/screen.h"
#include "orchestrator/view.h"
#include "orchestrator/witness_print.h"

#define EVENTS_SHOWN 64U
#define EVENTS_PRINTED 5U
#define REASON_CAP 128U /* of a code and an event */

/* One payload of one satellite, ordered or seen or both. */
struct line {
    const char *tenant;
    const char *name;
    const struct order_line *want;     /* NULL = not ordered */
    const struct report_payload *seen; /* NULL = not reported */
};

/* All lines of a satellite; the caller frees *ret. */
static size_t lines_of(const struct view_satellite *sat, struct line **ret)
{
    const struct want *want = view_want(sat);
    size_t most = (want ? want->n_lines : 0) + (sat->seen ? sat->seen->n_payloads : 0);
    struct line *lines = calloc(most + 1, sizeof *lines);
    size_t n = 0;

    for (uint32_t i = 0; lines && want && i < want->n_lines; i++) {
        const struct order_line *line = &want->line[i];

        lines[n++] = (struct line){ .tenant = line->tenant,
                                    .name = line->name,
                                    .want = line,
                                    .seen = verdict_payload(sat->seen, line->tenant, line->name) };
    }
    for (uint32_t i = 0; lines && sat->seen && i < sat->seen->n_payloads; i++) {
        const struct report_payload *p = &sat->seen->payload[i];

        if (!verdict_order_line(want, p->tenant, p->name))
            lines[n++] = (struct line){ .tenant = p->tenant, .name = p->name, .seen = p };
    }
    *ret = lines;
    return n;
}

static const char *want_version(const struct view *view, const struct line *line)
{
    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;

    if (package)
        return package->version;
    return line->want ? "?" : "";
}

/* ---- alarms -----------------------------------------------------------------------------------
 */

#define ALARM_CAP CONFINEMENT_ALARM_CAP
#define FROZEN_PASSES 100U /* what berthd calls frozen unless it is told otherwise */

/* What a satellite has lost, and what that means; "" if it has all. */
static const char *lost_text(uint32_t lost)
{
    if (lost & LOST_ROOT)
        return "SAFE_MODE: trust root lost, what ran goes on, nothing new is taken";
    if (lost & LOST_STATE)
        return "STATE_DAMAGED: state lost, nothing new is taken";
    if (lost & LOST_GRANT)
        return "SAFE_MODE: a grant lost, its tenant runs what it ran";
    return lost & LOST_TEAM ? "SAFE_MODE: a delegation lost, its team runs what it ran" : "";
}

/* "" if all is well. */
static void alarm_text(const struct sight *seen, char out[ALARM_CAP])
{
    out[0] = '\0';
    if (seen && seen->lost != 0)
        (void)snprintf(out, ALARM_CAP, "ALARM %s", lost_text(seen->lost));
    else if (seen && seen->passes_order >= FROZEN_PASSES)
        (void)snprintf(out, ALARM_CAP, "FROZEN: no new order for %u passes", seen->passes_order);
    else if (seen)
        confinement_alarm(seen, out);
}

static json_t *lost_json(const struct sight *seen)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = { { LOST_ROOT, "root" },
                  { LOST_GRANT, "grant" },
                  { LOST_STATE, "state" },
                  { LOST_TEAM, "team" } };
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (seen && (seen->lost & names[i].bit) != 0)
            (void)json_array_append_new(list, json_string(names[i].name));
    return list;
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

/* The code with which a delta to the wanted version did not work there; 0 = none did. */
static uint32_t delta_refused(const struct view *view, const struct view_satellite *sat,
                              const struct line *line)
{
    const struct store_full_only *row =
        line->want ? view_full_only(view, sat->row.id, &line->want->manifest) : NULL;

    return row ? row->code : 0;
}

/* What goes, or went, to a satellite for the versions that it is to run. */
struct sent {
    struct store_outgoing *rows;
    size_t n;
};

/* The newest object of the line's version that was not taken back; NULL = none. */
static const struct store_outgoing *sent_for(const struct sent *sent, const struct view *view,
                                             const struct line *line)
{
    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;
    const struct store_outgoing *newest = NULL;

    for (size_t i = 0; package && i < sent->n; i++) {
        const struct store_outgoing *row = &sent->rows[i];

        if (row->class == CLASS_PACKAGE && row->state != OUTGOING_CANCELLED &&
            view_brings(view, package, &row->object) &&
            (!newest || row->queued_ms >= newest->queued_ms))
            newest = row;
    }
    return newest;
}

/* How it goes, "" = not at all. */
static const char *sent_as(const struct view *view, const struct line *line,
                           const struct store_outgoing *row)
{
    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;

    if (!row || !package)
        return "";
    return digest_same(&row->object, &package->object) ? "full" : "delta";
}

/* What came down of a satellite's events; oldest first. */
struct told {
    struct store_event *events;
    size_t n;
};

static void told_free(struct told *told)
{
    free(told->events);
}

static struct told told_by(struct store *store, const char *id)
{
    struct told ret = { 0 };

    if (store_events(store, id, EVENTS_SHOWN, &ret.events, &ret.n, NULL) != RC_OK)
        ret.n = 0;
    return ret;
}

/* What a payload was refused, as the satellite told it last: with the code that its line has or, of
 * a version that it could not take yet and so has none of, with whichever.  NULL = nothing. */
static const struct store_event *refusal_of(const struct told *told, const struct line *line)
{
    char name[2U * NAME_CAP + 2U];
    size_t size = (size_t)snprintf(name, sizeof name, "%s/%s: ", line->tenant, line->name);

    if (!line->seen || (line->seen->code == 0 && line->seen->state != SLOT_RECEIVING))
        return NULL;
    for (size_t i = told->n; i-- > 0;) {
        const struct store_event *event = &told->events[i];

        if ((line->seen->code == 0 || event->code == line->seen->code) &&
            strncmp(event->what, name, size) == 0)
            return event;
    }
    return NULL;
}

/* "GRANT_EXCEEDED: inner-root", or the code alone. */
static const char *reason_text(const struct told *told, const struct line *line, char *out,
                               size_t cap)
{
    const struct store_event *event = refusal_of(told, line);
    uint32_t code = event ? event->code : line->seen ? line->seen->code : 0;
    char what[sizeof event->what] = "";

    if (event)
        (void)screen_safe(strchr(event->what, ' '), what, sizeof what);
    (void)snprintf(out, cap, "%s%s%s", code ? rc_name(rc_from_number(code)) : "", event ? ":" : "",
                   what);
    return out;
}

static json_t *payload_json(const struct view *view, const struct view_satellite *sat,
                            const struct line *line, const struct sent *sent,
                            const struct told *told)
{
    static const struct report_payload none;
    const struct report_payload *seen = line->seen ? line->seen : &none;
    uint32_t refused = delta_refused(view, sat, line);
    const struct store_outgoing *row = sent_for(sent, view, line);
    char reason[REASON_CAP];

    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i, s:s, s:o, s:b, s:i, s:i, s:s, s:s, s:o}",
        "tenant", json_safe(line->tenant), "name", json_safe(line->name), "want_version",
        json_safe(want_version(view, line)), "want_digest",
        line->want ? json_digest(&line->want->manifest) : json_null(), "observed_version",
        json_safe(seen->version), "observed_digest", json_digest(&seen->running), "state",
        slot_state_name(seen->state), "code", (int)seen->code, "code_name",
        rc_name(rc_from_number(seen->code)), "reason",
        json_safe(reason_text(told, line, reason, sizeof reason)), "running", seen->is_running,
        "restarts", (int)(seen->restarts & INT32_MAX), "memory_kib",
        (int)(seen->memory_kib & INT32_MAX), "delta_refused",
        refused ? rc_name(rc_from_number(refused)) : "", "sent_as", sent_as(view, line, row),
        "sent_bytes", json_uint(row ? row->size : 0));
}

static json_t *events_json(const struct told *told)
{
    const struct store_event *events = told->events;
    json_t *list = json_array();

    for (size_t i = 0; i < told->n; i++)
        (void)json_array_append_new(
            list,
            json_pack("{s:o, s:i, s:s, s:i, s:o}", "seq", json_uint(events[i].seq), "code",
                      (int)events[i].code, "name", rc_name(rc_from_number(events[i].code)), "count",
                      (int)(events[i].count & INT32_MAX), "what", json_safe(events[i].what)));
    return list;
}

static json_t *satellite_json(struct store *store, const struct view *view,
                              const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms)
{
    scoped(free_ptr) struct line *lines = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(told_free) struct told told = told_by(store, sat->row.id);
    scoped(free_ptr) struct report *report = NULL;
    struct sent sent = { 0 };
    json_t *payloads = json_array();
    uint32_t drifted[DRIFT_MAX], n_drifted = 0;
    size_t n = lines_of(sat, &lines);
    uint64_t age = view_age_ms(sat, now_ms);

    if (view_report(store, sat, &report, NULL) != RC_OK)
        report = NULL;
    if (store_outgoing(store, sat->row.id, 0, &rows, &sent.n, NULL) != RC_OK)
        sent.n = 0;
    sent.rows = rows;
    if (drift_find(store, sat, drifted, &n_drifted, NULL) != RC_OK)
        n_drifted = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *row = payload_json(view, sat, &lines[i], &sent, &told);

        (void)json_object_set_new(row, "drifted",
                                  json_boolean(drift_has(sat, drifted, n_drifted, lines[i].seen)));
        (void)json_array_append_new(payloads, row);
    }
    char alarm[ALARM_CAP];

    alarm_text(sat->seen, alarm);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:o, s:o, s:o, s:o}",
        "id", sat->row.id, "alarm", alarm, "verdict",
        verdict_name(view_verdict(sat, now_ms, silent_ms)), "root_version",
        json_uint(sat->seen ? sat->seen->root_version : 0), "generation_wanted",
        json_uint(sat->order.generation), "generation_observed",
        json_uint(sat->seen ? sat->seen->generation : 0), "report_age_ms",
        sat->seen ? json_uint(age) : json_null(), "lost", lost_json(sat->seen),
        "passes_since_order", json_uint(sat->seen ? sat->seen->passes_order : 0),
        "passes_since_document", json_uint(sat->seen ? sat->seen->passes_document : 0), "rekey",
        json_uint(report ? report->keys.rekey : 0), "generation_staged",
        json_uint(sat->seen ? sat->seen->staged : 0), "agent",
        report ? describe_agent(&report->agent) : json_null(), "payloads", payloads, "events",
        events_json(&told), "scrub", report ? describe_scrub(&report->scrub) : json_null(), "link",
        report ? describe_traffic(&report->traffic) : json_null(), "usage",
        report ? describe_usage(report) : json_null(), "refused_calls",
        report ? refused_json(report) : json_null(), "confinement",
        report ? confinement_json(report) : json_null(), "labels", json_safe(sat->row.labels));
}

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

/* ---- tables -----------------------------------------------------------------------------------
 */

/* "receiving 62 %" while its package is under way, "rolled-back HEALTH_TIMEOUT", "committed". */
static void state_text(const struct view *view, const struct report *report,
                       const struct line *line, const struct told *told, char *out, size_t cap)
{
    char reason[REASON_CAP];

    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;

    if (!line->seen) {
        (void)snprintf(out, cap, "%s", report ? "not reported" : "no report yet");
        return;
    }
    (void)reason_text(told, line, reason, sizeof reason);
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
                        const struct report *report, const struct line *line,
                        const struct told *told)
{
    char payload[2U * NAME_CAP + 1U];
    char state[64 + REASON_CAP];
    char memory[CLI_SIZE_CAP] = "";
    char restarts[12] = "";
    const char *const cells[] = { payload,
                                  line->want ? want_version(view, line) : "(stop)",
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
    scoped(told_free) struct told told = told_by(store, sat->row.id);
    scoped(free_ptr) struct line *lines = NULL;
    size_t n = lines_of(sat, &lines);

    for (size_t i = 0; i < n; i++)
        add_payload(table, view, report, &lines[i], &told);
    if (n > 0)
        cli_table_print(cli, table);
}

/* Where only the full package works. */
static void print_refused(struct cli *cli, const struct view *view,
                          const struct view_satellite *sat)
{
    scoped(free_ptr) struct line *lines = NULL;
    size_t n = lines_of(sat, &lines);

    for (size_t i = 0; i < n; i++) {
        uint32_t code = delta_refused(view, sat, &lines[i]);

        if (code != 0)
            cli_say(cli, "  %s/%s %s: a delta did not work there (%s): the full package goes",
                    lines[i].tenant, lines[i].name, want_version(view, &lines[i]),
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
    char problem[ALARM_CAP] = "";
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
    alarm_text(sat->seen, problem);
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

/* ---- commands ---------------------------------------------------------------------------------
 */

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
            list, satellite_json(store, view, &view->satellite[i], now_ms, silent_ms));
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
    char alarm[ALARM_CAP];
    alarm_text(sat->seen, alarm);
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
    return cli_json(cli, satellite_json(home.store, view, sat, now_ms, VIEW_SILENT_MS));
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
