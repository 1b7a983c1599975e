/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/planning_sky.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/reserved.h"

void planning_sky_done(struct planning_sky *sky)
{
    learnt_done(&sky->learnt);
    outlook_free(&sky->outlook);
    free_ptr(&sky->taken);
    free_ptr(&sky->job);
    free_ptr(&sky->ours);
    free(sky->version);
    quota_book_free(&sky->book);
    free_ptr(&sky->wave);
    free_ptr(&sky->held);
    forecast_free(&sky->forecast);
}

/* ---- what there is to send ------------------------------------------------------------------ */

/* The index of a tenant, whose use of this day is known when it is met first. */
static uint32_t tenant_of(struct planning_sky *sky, const char *id)
{
    const uint32_t n = sky->shares.n;
    const uint32_t index = shares_of(&sky->shares, sky->p->fleet, id);

    if (sky->shares.n > n)
        sky->shares.tenant[index].used_bytes = quota_book_sent(sky->book, id);
    return index;
}

/* When the change must be done: its policy's deadline from now on. */
static int64_t deadline_of(const struct planning *p, int64_t now_ms, const struct plan_change *c)
{
    uint64_t ms = fleet_policy_of(p->fleet, c->tenant, c->name)->deadline_ms;

    return ms == 0 ? INT64_MAX : now_ms + (int64_t)ms;
}

static void add_job(struct planning_sky *sky, struct schedule_job job, bool ours,
                    const struct digest *version)
{
    sky->ours[sky->n_jobs] = ours;
    sky->version[sky->n_jobs] = version;
    sky->job[sky->n_jobs++] = job;
}

static void add_change(struct planning_sky *sky, const struct plan_change *c)
{
    uint32_t wave = sky->p->plan->satellite[c->satellite].wave;
    bool canary = wave == 0 && sky->p->plan->n_waves > 1;

    add_job(sky,
            (struct schedule_job){ .satellite = c->satellite,
                                   .tenant = tenant_of(sky, c->tenant),
                                   .class = canary ? SCHEDULE_CANARY : SCHEDULE_ROLLOUT,
                                   .wave = wave,
                                   .bytes = c->bytes,
                                   .deadline_ms = deadline_of(sky->p, sky->now_ms, c) },
            true, &c->to_manifest);
}

/* Whether the plan sends this object to that satellite itself. */
static bool is_in_plan(const struct planning_sky *sky, uint32_t satellite,
                       const struct store_outgoing *row)
{
    const struct plan *plan = sky->p->plan;
    const struct plan_satellite *sat = &plan->satellite[satellite];

    for (uint32_t i = sat->first; i < sat->first + sat->n; i++)
        if (plan->change[i].bytes > 0 && digest_same(&plan->change[i].ride.object, &row->object))
            return true;
    return false;
}

/* What waits already, of any rollout. */
static void add_waiting(struct planning_sky *sky, const struct names *ids,
                        const struct store_outgoing *row)
{
    const struct store_package *package = view_carried(sky->p->view, &row->object);
    const uint32_t i = names_find(ids, row->satellite);

    if (i == NAMES_NONE || is_in_plan(sky, i, row))
        return;
    add_job(sky,
            (struct schedule_job){ .satellite = i,
                                   .tenant = tenant_of(sky, package ? package->tenant : ""),
                                   .class = row->class <= CLASS_ORDER ? SCHEDULE_TRUST
                                                                      : SCHEDULE_ROLLOUT,
                                   .bytes = row->size,
                                   .deadline_ms = INT64_MAX },
            false, package ? &package->manifest : NULL);
}

static enum rc make_jobs(struct planning_sky *sky, struct store *store, struct err *err)
{
    const struct plan *plan = sky->p->plan;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(names_done) struct names ids = { 0 };
    size_t n = 0;
    enum rc rc = store_outgoing(store, NULL, OUTGOING_QUEUED, &rows, &n, err);

    if (rc == RC_OK)
        rc = fleet_ids(sky->p->fleet, &ids, err);
    if (rc != RC_OK)
        return rc;
    size_t cap = n + plan->n_changes + plan->n_satellites + 1U;

    sky->job = calloc(cap, sizeof *sky->job);
    sky->ours = calloc(cap, sizeof *sky->ours);
    sky->version = calloc(cap, sizeof(const struct digest *));
    sky->wave = calloc(plan->n_satellites + 1U, sizeof *sky->wave);
    sky->held = calloc(sky->p->fleet->n_satellites + 1U, sizeof *sky->held);
    if (!sky->job || !sky->ours || !sky->version || !sky->wave || !sky->held)
        return err_set(err, RC_NO_MEMORY, "plan");
    for (uint32_t i = 0; i < plan->n_satellites; i++) {
        sky->wave[i] = plan->satellite[i].changes ? plan->satellite[i].wave : FORECAST_NO_WAVE;
        if (plan->satellite[i].changes)
            add_job(sky,
                    (struct schedule_job){ .satellite = i,
                                           .tenant = SCHEDULE_OPERATOR,
                                           .class = SCHEDULE_TRUST,
                                           .wave = plan->satellite[i].wave,
                                           .bytes = PLANNING_ORDER_BYTES,
                                           .deadline_ms = INT64_MAX },
                    true, NULL);
    }
    for (uint32_t i = 0; i < plan->n_changes; i++)
        add_change(sky, &plan->change[i]);
    for (size_t i = 0; i < n; i++)
        add_waiting(sky, &ids, &rows[i]);
    return RC_OK;
}

/* ---- the forecast --------------------------------------------------------------------------- */

static int64_t horizon(const struct planning *p, int64_t now_ms)
{
    int64_t until = now_ms + PLANNING_HORIZON_MS;

    for (uint32_t i = 0; i < p->plan->n_changes; i++) {
        int64_t deadline = deadline_of(p, now_ms, &p->plan->change[i]);

        if (deadline != INT64_MAX && deadline > until)
            until = deadline;
    }
    return until;
}

/* Of each satellite the tenant whose quota holds its first job back, in one pass over all jobs. */
static void find_held(struct planning_sky *sky)
{
    for (uint32_t i = 0; i < sky->p->fleet->n_satellites; i++)
        sky->held[i] = UINT32_MAX;
    for (uint32_t i = sky->n_jobs; i-- > 0;)
        if (sky->ours[i] && sky->forecast.fill.quota[i] && sky->forecast.fill.left[i] > 0 &&
            sky->job[i].tenant < sky->shares.n)
            sky->held[sky->job[i].satellite] = sky->job[i].tenant;
}

static enum rc draw(struct planning_sky *sky, struct err *err)
{
    const struct planning *p = sky->p;
    uint64_t soak_ms[ROLLOUT_WAVES_MAX] = { 0 };
    const struct schedule_input schedule = { .now_ms = sky->now_ms,
                                             .station = sky->outlook->station,
                                             .n_stations = p->fleet->n_stations,
                                             .n_satellites = p->fleet->n_satellites,
                                             .tenant = sky->shares.tenant,
                                             .n_tenants = sky->shares.n,
                                             .job = sky->job,
                                             .n_jobs = sky->n_jobs,
                                             .taken = sky->taken,
                                             .n_taken = sky->n_taken };
    const struct forecast_input in = { .schedule = &schedule,
                                       .contacts = &sky->outlook->contacts,
                                       .goodput = learnt_goodput,
                                       .arg = &sky->learnt,
                                       .wave = sky->wave,
                                       .ours = sky->ours,
                                       .n_waves = p->plan->n_waves,
                                       .soak_ms = soak_ms,
                                       .seed = bytes_get_be(p->plan->hash.b, 8) };
    for (uint32_t i = 0; i < p->plan->n_waves; i++)
        soak_ms[i] = plan_soak_ms(p->plan, p->fleet, i);
    enum rc rc = schedule_antennas(&schedule, &sky->outlook->contacts, err);

    if (rc == RC_OK)
        rc = forecast_make(&in, &sky->forecast, err);
    if (rc == RC_OK)
        find_held(sky);
    return rc;
}

static bool needs_sky(const struct planning *p)
{
    return p->fleet->n_stations > 0 && p->plan->n_changed > 0;
}

enum rc planning_sky_look(const struct planning *p, struct store *store, int64_t now_ms,
                          struct planning_sky *ret, struct err *err)
{
    scoped(learnt_done) struct learnt learnt = { 0 };
    scoped(outlook_free) struct outlook *outlook = NULL;

    if (!needs_sky(p))
        return RC_OK;
    const struct outlook_input in = { .fleet = p->fleet,
                                      .path = p->path,
                                      .from_ms = now_ms,
                                      .to_ms = horizon(p, now_ms),
                                      .reference_ms = now_ms,
                                      .goodput = learnt_goodput,
                                      .arg = &learnt };
    enum rc rc = learnt_load(p->fleet, p->path, store, now_ms, &learnt, err);

    if (rc == RC_OK)
        rc = outlook_make(&in, &outlook, err);
    if (rc == RC_OK)
        rc = plan_cover(p->plan, &outlook->files, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct planning_sky){
        .now_ms = now_ms, .until_ms = in.to_ms, .learnt = learnt, .outlook = outlook
    };
    learnt = (struct learnt){ 0 };
    outlook = NULL;
    return RC_OK;
}

enum rc planning_sky_make(const struct planning *p, struct store *store, struct planning_sky *sky,
                          struct err *err)
{
    sky->p = p;
    if (!needs_sky(p)) {
        outlook_free(&sky->outlook);
        return RC_OK;
    }
    if (!sky->outlook || sky->until_ms != horizon(p, sky->now_ms))
        return err_set(err, RC_PLAN_STALE, "the store has changed while passes were looked for");
    enum rc rc = plan_cover(p->plan, &sky->outlook->files, err);

    if (rc == RC_OK)
        rc = reserved_load(p->fleet, store, sky->now_ms, &sky->outlook->contacts, &sky->taken,
                           &sky->n_taken, err);
    if (rc == RC_OK)
        rc = quota_book_load(store, p->view, (uint64_t)sky->now_ms, &sky->book, err);
    if (rc == RC_OK)
        rc = make_jobs(sky, store, err);
    return rc == RC_OK ? draw(sky, err) : rc;
}

enum rc planning_sky_keep(const struct planning_sky *sky, struct store *store, struct err *err)
{
    return sky->outlook
               ? reserved_keep(sky->p->fleet, &sky->outlook->contacts, store, sky->now_ms, err)
               : RC_OK;
}

/* ---- for people ----------------------------------------------------------------------------- */

/* "12-01 04:10", or "-" when it is not within the horizon. */
#define SHORT_CAP 12U
static char *short_time(int64_t ms, char out[SHORT_CAP])
{
    char text[CLI_TIME_CAP];

    (void)snprintf(out, SHORT_CAP, "%.11s", ms == FORECAST_NOT ? "-" : cli_time(ms, text) + 5);
    return out;
}

static const struct contact *contact_of(const struct planning_sky *sky, uint32_t index)
{
    return index == SCHEDULE_NEVER ? NULL : &sky->outlook->contacts.at[index];
}

static const char *station_of(const struct planning_sky *sky, const struct contact *c)
{
    return sky->p->fleet->station[c->station].station.id;
}

static void print_satellites(struct cli *cli, const struct planning_sky *sky)
{
    static const char *const headings[] = { "SATELLITE",   "SEND",         "PASSES",
                                            "FIRST (UTC)", "ON BOARD P50", "HEALTHY P50",
                                            "P90 (UTC)" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 7);

    for (uint32_t i = 0; i < sky->p->plan->n_satellites; i++) {
        const struct forecast_satellite *f = &sky->forecast.satellite[i];
        const struct contact *first = contact_of(sky, f->first);
        char send[CLI_SIZE_CAP], passes[16], begins[SHORT_CAP], bytes[SHORT_CAP], p50[SHORT_CAP],
            p90[SHORT_CAP];
        const char *const cells[] = {
            sky->p->fleet->satellite[i].id, send, passes, begins, bytes, p50, p90
        };

        if (!sky->p->plan->satellite[i].changes)
            continue;
        (void)cli_size(sky->p->plan->satellite[i].bytes, send);
        (void)snprintf(passes, sizeof passes, "%u", f->n_contacts);
        (void)short_time(first ? first->aos_ms : FORECAST_NOT, begins);
        (void)short_time(f->on_board.p50_ms, bytes);
        (void)short_time(f->healthy.p50_ms, p50);
        (void)short_time(f->healthy.p90_ms, p90);
        cli_table_row(table, cells);
    }
    cli_table_print(cli, table);
}

/* "aurora-1 rides kiruna 11-30 17:25, svalbard 11-30 19:34 and 3 more", for those that ride more
 * than the table tells. */
static void print_rides(struct cli *cli, const struct planning_sky *sky)
{
    for (uint32_t i = 0; i < sky->p->plan->n_satellites; i++) {
        const struct forecast_satellite *f = &sky->forecast.satellite[i];
        const struct contact *first = contact_of(sky, f->first), *last = contact_of(sky, f->last);
        char from[SHORT_CAP], to[SHORT_CAP];

        if (!first || !last)
            continue;
        if (f->n_contacts == 1)
            cli_say(cli, "%s rides 1 pass: %s %s", sky->p->fleet->satellite[i].id,
                    station_of(sky, first), short_time(first->aos_ms, from));
        else
            cli_say(cli, "%s rides %u passes: %s %s to %s %s", sky->p->fleet->satellite[i].id,
                    f->n_contacts, station_of(sky, first), short_time(first->aos_ms, from),
                    station_of(sky, last), short_time(last->aos_ms, to));
    }
}

static void print_waves(struct cli *cli, const struct planning_sky *sky)
{
    for (uint32_t w = 0; w < sky->p->plan->n_waves; w++) {
        const struct forecast_odds *odds = &sky->forecast.wave[w];
        char p50[SHORT_CAP], p90[SHORT_CAP];

        if (odds->p50_ms == FORECAST_NOT)
            cli_say(cli, "wave %u of %u: not done within the passes that are known", w + 1,
                    sky->p->plan->n_waves);
        else
            cli_say(cli, "wave %u of %u: healthy at P50 %sZ, P90 %s%s", w + 1,
                    sky->p->plan->n_waves, short_time(odds->p50_ms, p50),
                    short_time(odds->p90_ms, p90), odds->p90_ms == FORECAST_NOT ? "" : "Z");
    }
}

/* Whose quota holds a satellite's bytes back. */
static const char *held_tenant(const struct planning_sky *sky, uint32_t satellite)
{
    const uint32_t tenant = sky->held[satellite];

    return tenant < sky->shares.n ? sky->shares.id[tenant] : "a tenant";
}

/* What cannot be done, in words; false if all can. */
static bool trouble_of(const struct planning_sky *sky, uint32_t satellite,
                       char out[OUTLOOK_NOTE_CAP])
{
    const struct forecast_satellite *f = &sky->forecast.satellite[satellite];
    const char *note = sky->outlook->note[satellite];

    if (!sky->p->plan->satellite[satellite].changes || f->why == FORECAST_FITS)
        return false;
    if (f->why == FORECAST_QUOTA)
        (void)snprintf(out, OUTLOOK_NOTE_CAP, "%s's uplink quota of the day holds it back",
                       held_tenant(sky, satellite));
    else
        (void)snprintf(out, OUTLOOK_NOTE_CAP, "%s",
                       f->why == FORECAST_NO_CONTACT && note[0] ? note : forecast_why_text(f->why));
    return true;
}

/* Bytes of packages that find no pass; the order, which rides first, is not counted. */
static uint64_t left_of(const struct planning_sky *sky, uint32_t satellite)
{
    uint64_t left = sky->forecast.satellite[satellite].left;
    uint64_t bytes = sky->p->plan->satellite[satellite].bytes;

    return left < bytes ? left : bytes;
}

static void print_troubles(struct cli *cli, const struct planning_sky *sky)
{
    for (uint32_t i = 0; i < sky->p->plan->n_satellites; i++) {
        const char *id = sky->p->fleet->satellite[i].id;
        char trouble[OUTLOOK_NOTE_CAP] = "", left[CLI_SIZE_CAP];

        if (trouble_of(sky, i, trouble) && left_of(sky, i) > 0)
            cli_say(cli, "%s: %s left: %s", id, cli_size(left_of(sky, i), left), trouble);
        else if (trouble[0])
            cli_say(cli, "%s: %s", id, trouble);
        if (sky->outlook->note[i][0] && strcmp(trouble, sky->outlook->note[i]) != 0 &&
            sky->p->plan->satellite[i].changes)
            cli_note(cli, "note: %s: %s", id, sky->outlook->note[i]);
    }
}

void planning_sky_print(struct cli *cli, const struct planning_sky *sky)
{
    char until[CLI_TIME_CAP];

    if (!sky->outlook)
        return;
    cli_say(cli, "passes until %s, %u draws of their goodput:", cli_time(sky->until_ms, until),
            FORECAST_DRAWS);
    print_satellites(cli, sky);
    print_rides(cli, sky);
    print_waves(cli, sky);
    print_troubles(cli, sky);
}

/* ---- for programs --------------------------------------------------------------------------- */

static json_t *time_json(int64_t ms)
{
    return ms == FORECAST_NOT ? json_null() : json_integer(ms);
}

static json_t *odds_json(const struct forecast_odds *odds)
{
    return json_pack("{s:o, s:o}", "p50_ms", time_json(odds->p50_ms), "p90_ms",
                     time_json(odds->p90_ms));
}

/* The passes that a satellite's bytes ride, with what each carries of the plan. */
static json_t *rides_json(const struct planning_sky *sky, uint32_t satellite)
{
    const struct schedule_fill *fill = &sky->forecast.fill;
    json_t *list = json_array();

    for (size_t i = 0; i < fill->n;) {
        const struct contact *c = contact_of(sky, fill->booking[i].contact);
        uint32_t contact = fill->booking[i].contact;
        uint64_t bytes = 0;

        for (; i < fill->n && fill->booking[i].contact == contact; i++)
            bytes += sky->ours[fill->booking[i].job] ? fill->booking[i].bytes : 0;
        if (c->satellite == satellite && bytes > 0)
            (void)json_array_append_new(
                list, json_pack("{s:s, s:I, s:I, s:i, s:o, s:o}", "station", station_of(sky, c),
                                "begins_ms", (json_int_t)c->aos_ms, "ends_ms",
                                (json_int_t)c->los_ms, "antenna", (int)c->antenna + 1, "bytes",
                                json_uint(bytes), "capacity", json_uint(c->capacity)));
    }
    return list;
}

static json_t *satellite_json(const struct planning_sky *sky, uint32_t i)
{
    const struct forecast_satellite *f = &sky->forecast.satellite[i];
    char trouble[OUTLOOK_NOTE_CAP];
    bool cannot = trouble_of(sky, i, trouble);

    return json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "satellite",
                     sky->p->fleet->satellite[i].id, "wave",
                     (int)sky->p->plan->satellite[i].wave + 1, "bytes",
                     json_uint(sky->p->plan->satellite[i].bytes), "left", json_uint(f->left),
                     "passes", rides_json(sky, i), "on_board", odds_json(&f->on_board), "healthy",
                     odds_json(&f->healthy), "cannot", cannot ? json_safe(trouble) : json_null(),
                     "note", json_safe(sky->outlook->note[i]));
}

json_t *planning_sky_json(const struct planning_sky *sky)
{
    json_t *satellites = json_array(), *waves = json_array();

    for (uint32_t i = 0; sky->outlook && i < sky->p->plan->n_satellites; i++)
        if (sky->p->plan->satellite[i].changes)
            (void)json_array_append_new(satellites, satellite_json(sky, i));
    for (uint32_t i = 0; sky->outlook && i < sky->p->plan->n_waves; i++)
        (void)json_array_append_new(waves, odds_json(&sky->forecast.wave[i]));
    if (!sky->outlook) {
        json_decref(satellites);
        json_decref(waves);
        return json_null();
    }
    return json_pack("{s:I, s:I, s:i, s:o, s:o}", "from_ms", (json_int_t)sky->now_ms, "until_ms",
                     (json_int_t)sky->until_ms, "draws", (int)FORECAST_DRAWS, "satellites",
                     satellites, "waves", waves);
}
