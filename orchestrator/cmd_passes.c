/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_passes: the contacts of the fleet's satellites, and what they are worth.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/learnt.h"
#include "orchestrator/outlook.h"
#include "orchestrator/reserved.h"
#include "orchestrator/schedule.h"
#include "orchestrator/since.h"

#define SPAN_MS 86400000LL
#define ROWS_MAX 10000U
#define DEGREES (180.0 / TLE_PI)

struct passes {
    struct cli *cli;
    struct fleet *fleet;
    struct outlook *outlook;
    struct learnt learnt;
    struct store_reserved *reserved; /* what apply kept, of contacts that are not over; owned */
    size_t n_reserved;
    struct store_pass *told; /* what became of passes; by beginning; owned */
    size_t n_told;
    char path[HOME_PATH_CAP]; /* of the fleet file */
    int64_t now_ms, from_ms, to_ms;
};

static enum rc read_time(const struct passes *p, const char *name, int sign, int64_t fallback,
                         int64_t *ret, struct err *err)
{
    const char *text = cli_value(p->cli, name);

    *ret = fallback;
    return text ? since_option(name, text, p->now_ms, sign, ret, err) : RC_OK;
}

static enum rc read_span(struct passes *p, struct err *err)
{
    enum rc rc = read_time(p, "since", -1, p->now_ms, &p->from_ms, err);

    if (rc == RC_OK)
        rc = read_time(p, "until", 1, p->from_ms + SPAN_MS, &p->to_ms, err);
    if (rc == RC_OK && (p->to_ms <= p->from_ms || p->to_ms - p->from_ms > SKY_SPAN_MAX_MS))
        return err_set(err, RC_USAGE, "--until: not after --since, or more than 31 days");
    return rc;
}

/* The fleet file that was named, or the one that was applied last. */
static enum rc find_file(struct passes *p, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    const char *given = cli_value(p->cli, "fleet");

    if (given) {
        if (snprintf(p->path, sizeof p->path, "%s", given) >= (int)sizeof p->path)
            return err_set(err, RC_NAME, "--fleet");
        return RC_OK;
    }
    enum rc rc = home_open(p->cli->home, false, &home, err);

    return rc == RC_OK ? store_get(home.store, HOME_FLEET_FILE, p->path, sizeof p->path, err) : rc;
}

/* What the home has heard and reserved; with --fleet there need not be one. */
static enum rc learn(struct passes *p, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct err none = { 0 };

    p->learnt.fleet = p->fleet;
    if (home_open(p->cli->home, false, &home, &none) != RC_OK)
        return RC_OK;
    const uint64_t since = p->from_ms > 0 ? (uint64_t)p->from_ms : 0;
    enum rc rc = store_reserved(home.store, (uint64_t)p->now_ms, &p->reserved, &p->n_reserved, err);

    if (rc == RC_OK)
        rc = store_passes(home.store, since, &p->told, &p->n_told, err);
    return rc == RC_OK ? learnt_load(p->fleet, p->path, home.store, p->now_ms, &p->learnt, err)
                       : rc;
}

static void passes_done(struct passes *p)
{
    learnt_done(&p->learnt);
    free_ptr(&p->reserved);
    free_ptr(&p->told);
}

/* What berth-ground tells of a contact; NULL = it has not been handed to. */
static const struct store_pass *told_of(const struct passes *p, const struct contact *c)
{
    for (size_t i = 0; i < p->n_told; i++) {
        const struct store_pass *t = &p->told[i];

        if ((int64_t)t->aos_ms > c->aos_ms + RESERVED_DRIFT_MS)
            break;
        if ((int64_t)t->los_ms > c->aos_ms && (int64_t)t->aos_ms < c->los_ms &&
            strcmp(t->satellite, p->fleet->satellite[c->satellite].id) == 0 &&
            strcmp(t->station, p->fleet->station[c->station].station.id) == 0)
            return t;
    }
    return NULL;
}

/* Contacts take the states that were recorded. */
static void take_told(const struct passes *p)
{
    struct contacts *list = &p->outlook->contacts;

    for (size_t i = 0; p->n_told > 0 && i < list->n; i++) {
        const struct store_pass *t = told_of(p, &list->at[i]);

        if (!t || t->state >= CONTACT_STATES)
            continue;
        list->at[i].state = (enum contact_state)t->state;
        list->at[i].antenna = t->antenna;
        contact_clock(&list->at[i], p->now_ms, INT64_MAX);
    }
}

/* What was reserved when a plan was applied, instead of what could be. */
static void recall(struct passes *p)
{
    struct contacts *list = &p->outlook->contacts;

    for (size_t i = 0; i < list->n; i++)
        if (list->at[i].los_ms > p->now_ms && list->at[i].state == CONTACT_RESERVED)
            (void)!contact_move(&list->at[i], CONTACT_RELEASE, NULL);
    reserved_recall(p->fleet, p->reserved, p->n_reserved, p->now_ms, list);
}

/* Every contact of the span may be had, but for the antennas that satellites of other files have:
 * it is a list, not a change. */
static enum rc schedule(struct passes *p, struct err *err)
{
    scoped(free_ptr) struct schedule_taken *taken = calloc(p->n_reserved + 1, sizeof *taken);

    if (!taken)
        return err_set(err, RC_NO_MEMORY, "%zu reservations", p->n_reserved);
    const struct schedule_input in = {
        .now_ms = p->from_ms - SCHEDULE_FROZEN_MS,
        .station = p->outlook->station,
        .n_stations = p->fleet->n_stations,
        .n_satellites = p->fleet->n_satellites,
        .taken = taken,
        .n_taken = reserved_others(p->fleet, p->reserved, p->n_reserved, taken),
    };
    const bool applied = p->n_reserved > in.n_taken;
    enum rc rc = schedule_antennas(&in, &p->outlook->contacts, err);

    if (rc == RC_OK && applied)
        recall(p);
    if (rc == RC_OK)
        rc = goodput_settle(&p->outlook->contacts, p->learnt.heard, p->learnt.n_heard,
                            p->fleet->n_satellites, p->now_ms, err);
    if (rc == RC_OK)
        take_told(p);
    return rc;
}

/* ---- output --------------------------------------------------------------------------------- */

/* One that is over, and of which nothing is known, is past. */
static const char *state_of(const struct passes *p, const struct contact *c)
{
    if (c->los_ms <= p->now_ms && c->state <= CONTACT_RESERVED)
        return "past";
    return contact_state_text(c->state);
}

static void put_state(const struct passes *p, const struct contact *c, char *out, size_t cap)
{
    if (c->state == CONTACT_PREDICTED && c->los_ms > p->now_ms)
        (void)snprintf(out, cap, "not reserved");
    else if (c->state == CONTACT_PREDICTED || c->los_ms <= p->now_ms)
        (void)snprintf(out, cap, "%s", state_of(p, c));
    else
        (void)snprintf(out, cap, "%s, %u", state_of(p, c), c->antenna + 1);
}

/* At most 999. */
static unsigned percent(uint64_t part, uint64_t whole)
{
    const double p = 100 * (double)part / (double)whole;

    return p < 999 ? (unsigned)p : 999U;
}

/* "95/88%": of the bytes that are expected to arrive, what was planned and what was handed over. */
#define FILL_CAP 32U
static void put_fill(const struct passes *p, const struct contact *c, char out[FILL_CAP])
{
    const struct store_pass *t = told_of(p, c);

    if (t && t->capacity > 0)
        (void)snprintf(out, FILL_CAP, "%u/%u%%", percent(t->planned, t->capacity),
                       percent(t->sent, t->capacity));
    else
        (void)snprintf(out, FILL_CAP, "-");
}

static void put_top(const struct contact *c, char out[FILL_CAP])
{
    (void)snprintf(out, FILL_CAP, "-");
    if (c->top > 0)
        (void)snprintf(out, FILL_CAP, "%d", (int)(c->top * DEGREES));
}

/* As soon as passes have been handed to, what they carry matters more than how high they go. */
static void print_rows(const struct passes *p)
{
    const bool fills = p->n_told > 0;
    const char *const headings[] = { "BEGINS (UTC)",         "LASTS", "STATION", "SATELLITE",
                                     fills ? "FILL" : "TOP", "BYTES", "STATE" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 7);
    const struct contacts *list = &p->outlook->contacts;

    for (size_t i = 0; i < list->n && i < ROWS_MAX; i++) {
        const struct contact *c = &list->at[i];
        char begins[CLI_TIME_CAP], lasts[32], fill[FILL_CAP], size[CLI_SIZE_CAP], state[32];
        int64_t seconds = (c->los_ms - c->aos_ms) / 1000;
        const char *const cells[] = { begins,
                                      lasts,
                                      p->fleet->station[c->station].station.id,
                                      p->fleet->satellite[c->satellite].id,
                                      fill,
                                      size,
                                      state };

        (void)cli_time(c->aos_ms, begins);
        (void)snprintf(lasts, sizeof lasts, "%lld:%02lld", (long long)(seconds / 60),
                       (long long)(seconds % 60));
        if (fills)
            put_fill(p, c, fill);
        else
            put_top(c, fill);
        (void)cli_size(c->capacity, size);
        put_state(p, c, state, sizeof state);
        cli_table_row(table, cells);
    }
    cli_table_print(p->cli, table);
    if (list->n > ROWS_MAX)
        cli_note(p->cli, "note: %zu more; name a satellite or a shorter time", list->n - ROWS_MAX);
}

static void print_notes(const struct passes *p)
{
    for (uint32_t i = 0; i < p->fleet->n_satellites; i++)
        if (p->outlook->note[i][0])
            cli_note(p->cli, "note: %s: %s", p->fleet->satellite[i].id, p->outlook->note[i]);
}

static json_t *contact_json(const struct passes *p, const struct contact *c)
{
    char begins[CLI_TIME_CAP], ends[CLI_TIME_CAP];
    const struct contact_goodput g =
        learnt_goodput((void *)(uintptr_t)&p->learnt, c->station, c->satellite);

    const struct store_pass *t = told_of(p, c);

    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:I, s:f, s:o, s:o, s:f, s:i, s:s, s:o, s:o, s:o, s:o}",
        "station", p->fleet->station[c->station].station.id, "satellite",
        p->fleet->satellite[c->satellite].id, "begins", cli_time(c->aos_ms, begins), "ends",
        cli_time(c->los_ms, ends), "begins_ms", (json_int_t)c->aos_ms, "ends_ms",
        (json_int_t)c->los_ms, "top_degrees", c->top * DEGREES, "room", json_uint(c->room), "bytes",
        json_uint(c->capacity), "goodput", g.mean_ppm / 1e6, "learnt_from",
        (int)(g.contacts < INT32_MAX ? g.contacts : INT32_MAX), "state", state_of(p, c), "antenna",
        c->state == CONTACT_PREDICTED ? json_null() : json_uint(c->antenna + 1U), "planned",
        t ? json_uint(t->planned) : json_null(), "sent", t ? json_uint(t->sent) : json_null(),
        "arrived", t ? json_uint(t->arrived) : json_null());
}

static json_t *passes_json(const struct passes *p)
{
    json_t *list = json_array(), *notes = json_object();

    for (size_t i = 0; i < p->outlook->contacts.n; i++)
        (void)json_array_append_new(list, contact_json(p, &p->outlook->contacts.at[i]));
    for (uint32_t i = 0; i < p->fleet->n_satellites; i++)
        if (p->outlook->note[i][0])
            (void)json_object_set_new(notes, p->fleet->satellite[i].id,
                                      json_safe(p->outlook->note[i]));
    return json_pack("{s:s, s:o, s:o}", "fleet", p->fleet->name, "passes", list, "notes", notes);
}

/* ---- the command ---------------------------------------------------------------------------- */

static enum rc check_satellite(const struct passes *p, struct err *err)
{
    const char *id = cli_arg(p->cli, 0);

    for (uint32_t i = 0; i < p->fleet->n_satellites; i++)
        if (!id || strcmp(p->fleet->satellite[i].id, id) == 0)
            return RC_OK;
    return err_set(err, RC_NO_SATELLITE, "%.32s is not in %.50s", id, p->fleet->source);
}

static int fail(const struct passes *p, const struct err *err)
{
    switch ((int)err->rc) {
    case RC_NOT_FOUND:
        return cli_fail(p->cli, err,
                        p->path[0] ? CLI_FIX_PATH
                                   : "berth passes --fleet FLEET.yaml, or berth apply first");
    case RC_NO_SATELLITE:
        return cli_fail(p->cli, err, "name one of the satellites that the file lists");
    case RC_TLE:
    case RC_CONTACTS:
        return cli_fail(p->cli, err, "correct that file; docs/wire/contacts.md says what is read");
    case RC_YAML:
        return cli_fail(p->cli, err, "correct the line; docs/guide/operator.md lists every key");
    default:
        return cli_fail(p->cli, err, NULL);
    }
}

static int run(struct cli *cli)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(outlook_free) struct outlook *outlook = NULL;
    scoped(passes_done) struct passes p = { .cli = cli, .now_ms = (int64_t)clock_unix_ms() };
    struct err err = { 0 };

    if (read_span(&p, &err) != RC_OK)
        return cli_fail(cli, &err, "berth passes --help");
    if (find_file(&p, &err) != RC_OK || fleet_load(p.path, &fleet, &err) != RC_OK)
        return fail(&p, &err);
    p.fleet = fleet;
    if (fleet->n_stations == 0) {
        (void)err_set(&err, RC_YAML, "%s: no 'stations'", fleet->source);
        return cli_fail(cli, &err, "add stations, links and orbits: docs/guide/operator.md");
    }
    const struct outlook_input in = { .fleet = fleet,
                                      .path = p.path,
                                      .satellite = cli_arg(cli, 0),
                                      .from_ms = p.from_ms,
                                      .to_ms = p.to_ms,
                                      .reference_ms = p.now_ms,
                                      .goodput = learnt_goodput,
                                      .arg = &p.learnt };

    if (check_satellite(&p, &err) != RC_OK || learn(&p, &err) != RC_OK ||
        outlook_make(&in, &outlook, &err) != RC_OK)
        return fail(&p, &err);
    p.outlook = outlook;
    if (schedule(&p, &err) != RC_OK)
        return fail(&p, &err);
    if (outlook->contacts.n > 0)
        print_rows(&p);
    else
        cli_say(cli, "no passes in this time");
    print_notes(&p);
    return cli_json(cli, passes_json(&p));
}

static const struct cli_option options[] = {
    { "fleet", CLI_PATH, "FILE", "the fleet file (else the one that was applied last)" },
    { "since", CLI_TEXT, "TIME",
      "begin here: 2026-11-30T12:00:00Z, or 6h for six hours ago (now)" },
    { "until", CLI_TEXT, "TIME", "end here, or so long from now (a day after the beginning)" },
    { 0 },
};

const struct cli_command cmd_passes[] = {
    { .name = "passes",
      .group = "Operate",
      .args = "[SAT]",
      .names = CLI_SATELLITES,
      .summary = "List when stations can talk to satellites, and what that is worth",
      .about =
          "Finds the contacts of the fleet file's satellites from elements, ephemerides or\n"
          "contact plans, gives each an antenna that is free, and says how many bytes are\n"
          "expected to arrive.  Times are UTC; TOP is the highest elevation in degrees.  Where\n"
          "passes have been handed to, FILL says what was planned for one, and what was given\n"
          "to the link, in parts of BYTES.",
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
