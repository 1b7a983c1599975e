/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/standing.h"

#include <stdlib.h>

#include "orchestrator/describe.h"
#include "orchestrator/drift.h"
#include "orchestrator/refused.h"
#include "orchestrator/screen.h"

#define EVENTS_SHOWN 64U
#define FROZEN_PASSES 100U /* what berthd calls frozen unless it is told otherwise */

size_t standing_lines(const struct view_satellite *sat, struct standing_line **ret)
{
    const struct want *want = view_want(sat);
    size_t most = (want ? want->n_lines : 0) + (sat->seen ? sat->seen->n_payloads : 0);
    struct standing_line *lines = calloc(most + 1, sizeof *lines);
    size_t n = 0;

    for (uint32_t i = 0; lines && want && i < want->n_lines; i++) {
        const struct order_line *line = &want->line[i];

        lines[n++] =
            (struct standing_line){ .tenant = line->tenant,
                                    .name = line->name,
                                    .want = line,
                                    .seen = verdict_payload(sat->seen, line->tenant, line->name) };
    }
    for (uint32_t i = 0; lines && sat->seen && i < sat->seen->n_payloads; i++) {
        const struct report_payload *p = &sat->seen->payload[i];

        if (!verdict_order_line(want, p->tenant, p->name))
            lines[n++] = (struct standing_line){ .tenant = p->tenant, .name = p->name, .seen = p };
    }
    *ret = lines;
    return n;
}

const char *standing_version(const struct view *view, const struct standing_line *line)
{
    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;

    if (package)
        return package->version;
    return line->want ? "?" : "";
}

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

void standing_alarm(const struct sight *seen, char out[STANDING_ALARM_CAP])
{
    out[0] = '\0';
    if (seen && seen->lost != 0)
        (void)snprintf(out, STANDING_ALARM_CAP, "ALARM %s", lost_text(seen->lost));
    else if (seen && seen->passes_order >= FROZEN_PASSES)
        (void)snprintf(out, STANDING_ALARM_CAP, "FROZEN: no new order for %u passes",
                       seen->passes_order);
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

uint32_t standing_refused(const struct view *view, const struct view_satellite *sat,
                          const struct standing_line *line)
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
                                             const struct standing_line *line)
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
static const char *sent_as(const struct view *view, const struct standing_line *line,
                           const struct store_outgoing *row)
{
    const struct store_package *package =
        line->want ? view_package(view, &line->want->manifest) : NULL;

    if (!row || !package)
        return "";
    return digest_same(&row->object, &package->object) ? "full" : "delta";
}

void standing_told_free(struct standing_told *told)
{
    free(told->events);
}

struct standing_told standing_told_by(struct store *store, const char *id)
{
    struct standing_told ret = { 0 };

    if (store_events(store, id, EVENTS_SHOWN, &ret.events, &ret.n, NULL) != RC_OK)
        ret.n = 0;
    return ret;
}

/* What a payload was refused, as the satellite told it last: with the code that its line has or, of
 * a version that it could not take yet and so has none of, with whichever.  NULL = nothing. */
static const struct store_event *refusal_of(const struct standing_told *told,
                                            const struct standing_line *line)
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

const char *standing_reason(const struct standing_told *told, const struct standing_line *line,
                            char *out, size_t cap)
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
                            const struct standing_line *line, const struct sent *sent,
                            const struct standing_told *told)
{
    static const struct report_payload none;
    const struct report_payload *seen = line->seen ? line->seen : &none;
    uint32_t refused = standing_refused(view, sat, line);
    const struct store_outgoing *row = sent_for(sent, view, line);
    char reason[STANDING_REASON_CAP];

    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:i, s:s, s:o, s:b, s:i, s:i, s:s, s:s, s:o}",
        "tenant", json_safe(line->tenant), "name", json_safe(line->name), "want_version",
        json_safe(standing_version(view, line)), "want_digest",
        line->want ? json_digest(&line->want->manifest) : json_null(), "observed_version",
        json_safe(seen->version), "observed_digest", json_digest(&seen->running), "state",
        slot_state_name(seen->state), "code", (int)seen->code, "code_name",
        rc_name(rc_from_number(seen->code)), "reason",
        json_safe(standing_reason(told, line, reason, sizeof reason)), "running", seen->is_running,
        "restarts", (int)(seen->restarts & INT32_MAX), "memory_kib",
        (int)(seen->memory_kib & INT32_MAX), "delta_refused",
        refused ? rc_name(rc_from_number(refused)) : "", "sent_as", sent_as(view, line, row),
        "sent_bytes", json_uint(row ? row->size : 0));
}

static json_t *events_json(const struct standing_told *told)
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

json_t *standing_json(struct store *store, const struct view *view,
                      const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms)
{
    scoped(free_ptr) struct standing_line *lines = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(standing_told_free) struct standing_told told = standing_told_by(store, sat->row.id);
    scoped(free_ptr) struct report *report = NULL;
    struct sent sent = { 0 };
    json_t *payloads = json_array();
    uint32_t drifted[DRIFT_MAX], n_drifted = 0;
    size_t n = standing_lines(sat, &lines);
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
    char alarm[STANDING_ALARM_CAP];

    standing_alarm(sat->seen, alarm);
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
