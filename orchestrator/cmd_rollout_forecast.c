/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_rollout_forecast: what a rollout that is under way still has to send, over which
 * passes it goes, and when its waves are likely done: a plan's forecast, of what is left.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/planning_sky.h"
#include "orchestrator/reserved.h"
#include "orchestrator/since.h"

struct rest {
    const struct view *view;
    const struct fleet *fleet;
    struct names ids; /* numbered as the satellites of the file are */
    const struct store_rollout *row;
    int64_t now_ms;
    struct outlook *outlook;
    struct learnt learnt;
    struct forecast forecast;
    struct schedule_tenant tenant; /* whose rollout it is */
    uint32_t n_jobs;
    struct schedule_job *job;
    bool *ours;
    uint32_t *wave;                       /* of each satellite of the file, from 0 among the left */
    uint32_t number[ROLLOUT_WAVES_MAX];   /* of each wave that is left, as people know it */
    uint64_t bytes_of[ROLLOUT_WAVES_MAX]; /* to send */
    uint64_t soak_ms[ROLLOUT_WAVES_MAX];
    uint32_t n_waves;
    uint64_t bytes;
};

static void done(struct rest *r)
{
    forecast_free(&r->forecast);
    learnt_done(&r->learnt);
    outlook_free(&r->outlook);
    free_ptr(&r->job);
    free_ptr(&r->ours);
    free_ptr(&r->wave);
    names_done(&r->ids);
}

/* ---- what is left --------------------------------------------------------------------------- */

/* Whether the satellite says that it runs what the rollout brings, or that it is gone. */
static bool is_there(const struct view_satellite *sat, const struct store_rollout *row)
{
    static const struct digest none;
    const struct report_payload *p = verdict_payload(sat->seen, row->tenant, row->name);

    if (digest_same(&row->to_manifest, &none))
        return sat->seen && (!p || !p->is_running);
    return p && p->state == SLOT_COMMITTED && digest_same(&p->running, &row->to_manifest);
}

static void add_job(struct rest *r, struct schedule_job job, bool ours)
{
    job.deadline_ms = INT64_MAX;
    if (ours) {
        r->bytes_of[job.wave] += job.bytes;
        r->bytes += job.bytes;
    }
    r->ours[r->n_jobs] = ours;
    r->job[r->n_jobs++] = job;
}

/* The order, and the object that brings the version, if they are not on board. */
static void add_satellite(struct rest *r, uint32_t index, const struct view_satellite *sat,
                          const struct store_wave *wave)
{
    const struct store_package *package = view_package(r->view, &r->row->to_manifest);
    const struct ride ride = package ? view_ride(r->view, sat, package) : (struct ride){ 0 };
    const uint32_t at = r->n_waves - 1;

    r->wave[index] = at;
    if (!sat->seen || sat->seen->generation < wave->generation)
        add_job(r,
                (struct schedule_job){ .satellite = index,
                                       .tenant = SCHEDULE_OPERATOR,
                                       .class = SCHEDULE_TRUST,
                                       .wave = at,
                                       .bytes = PLANNING_ORDER_BYTES },
                true);
    if (package && (ride.kind == RIDE_FULL || ride.kind == RIDE_DELTA || ride.kind == RIDE_WAIT))
        add_job(
            r,
            (struct schedule_job){ .satellite = index,
                                   .tenant = 0,
                                   .class = wave->index == 1 ? SCHEDULE_CANARY : SCHEDULE_ROLLOUT,
                                   .wave = at,
                                   .bytes = ride.size ? ride.size : package->size },
            true);
}

static bool is_over(const struct store_wave *wave)
{
    return wave->state == WAVE_DONE || wave->state == WAVE_FAILED;
}

static void add_waves(struct rest *r, const struct store_wave *waves, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t index = names_find(&r->ids, waves[i].satellite);
        const struct view_satellite *sat = view_find(r->view, waves[i].satellite);

        if (is_over(&waves[i]) || !sat || index == NAMES_NONE || is_there(sat, r->row))
            continue;
        if (r->n_waves == 0 || r->number[r->n_waves - 1] != waves[i].index) {
            if (r->n_waves == ROLLOUT_WAVES_MAX)
                return;
            r->number[r->n_waves++] = waves[i].index;
        }
        add_satellite(r, index, sat, &waves[i]);
    }
}

/* Each as long as its slowest satellite takes, of those that are there already, too. */
static void add_soaks(struct rest *r, const struct store_wave *waves, size_t n)
{
    for (uint32_t w = 0; w < r->n_waves; w++) {
        uint64_t slowest = 0;

        for (size_t i = 0; i < n; i++)
            if (waves[i].index == r->number[w] && waves[i].period_ms > slowest)
                slowest = waves[i].period_ms;
        r->soak_ms[w] = r->row->soak_ms + r->row->soak_orbits * slowest;
    }
}

/* What waits in the queues for another reason goes beside it. */
static void add_others(struct rest *r, const struct store_outgoing *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t index = names_find(&r->ids, rows[i].satellite);
        const struct store_package *package = view_carried(r->view, &rows[i].object);

        if (index == NAMES_NONE ||
            (package && digest_same(&package->manifest, &r->row->to_manifest)) ||
            (rows[i].class == CLASS_ORDER && r->wave[index] != FORECAST_NO_WAVE))
            continue;
        add_job(r,
                (struct schedule_job){ .satellite = index,
                                       .tenant = SCHEDULE_OPERATOR,
                                       .class = rows[i].class <= CLASS_ORDER ? SCHEDULE_TRUST
                                                                             : SCHEDULE_ROLLOUT,
                                       .bytes = rows[i].size },
                false);
    }
}

static enum rc find_rest(struct rest *r, struct store *store, struct err *err)
{
    scoped(quota_book_free) struct quota_book *book = NULL;
    scoped(free_ptr) struct store_wave *waves = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n_waves = 0, n = 0;
    enum rc rc = store_waves(store, r->row->id, &waves, &n_waves, err);

    if (rc == RC_OK)
        rc = store_outgoing(store, NULL, OUTGOING_QUEUED, &rows, &n, err);
    if (rc == RC_OK)
        rc = quota_book_load(store, r->view, (uint64_t)r->now_ms, &book, err);
    if (rc == RC_OK)
        rc = fleet_ids(r->fleet, &r->ids, err);
    if (rc != RC_OK)
        return rc;
    r->job = calloc(2U * n_waves + n + 1U, sizeof *r->job);
    r->ours = calloc(2U * n_waves + n + 1U, sizeof *r->ours);
    r->wave = calloc(r->fleet->n_satellites + 1U, sizeof *r->wave);
    if (!r->job || !r->ours || !r->wave)
        return err_set(err, RC_NO_MEMORY, "forecast");
    r->tenant = (struct schedule_tenant){ .weight = 1 };
    for (uint32_t i = 0; i < r->fleet->n_tenants; i++)
        if (strcmp(r->fleet->tenant[i].id, r->row->tenant) == 0)
            r->tenant =
                (struct schedule_tenant){ .weight = r->fleet->tenant[i].share,
                                          .daily_bytes = r->fleet->tenant[i].uplink_bytes,
                                          .used_bytes = quota_book_sent(book, r->row->tenant) };
    for (uint32_t i = 0; i < r->fleet->n_satellites; i++)
        r->wave[i] = FORECAST_NO_WAVE;
    add_waves(r, waves, n_waves);
    add_soaks(r, waves, n_waves);
    add_others(r, rows, n);
    return RC_OK;
}

/* ---- the forecast --------------------------------------------------------------------------- */

static enum rc draw(struct rest *r, struct store *store, const char *path, struct err *err)
{
    scoped(free_ptr) struct schedule_taken *taken = NULL;
    size_t n_taken = 0;
    const struct outlook_input look = { .fleet = r->fleet,
                                        .path = path,
                                        .from_ms = r->now_ms,
                                        .to_ms = r->now_ms + PLANNING_HORIZON_MS,
                                        .reference_ms = r->now_ms,
                                        .goodput = learnt_goodput,
                                        .arg = &r->learnt };
    enum rc rc = learnt_load(r->fleet, path, store, r->now_ms, &r->learnt, err);

    if (rc == RC_OK)
        rc = outlook_make(&look, &r->outlook, err);
    if (rc == RC_OK)
        rc =
            reserved_load(r->fleet, store, r->now_ms, &r->outlook->contacts, &taken, &n_taken, err);
    if (rc != RC_OK)
        return rc;
    const struct schedule_input schedule = { .now_ms = r->now_ms,
                                             .station = r->outlook->station,
                                             .n_stations = r->fleet->n_stations,
                                             .n_satellites = r->fleet->n_satellites,
                                             .tenant = &r->tenant,
                                             .n_tenants = 1,
                                             .job = r->job,
                                             .n_jobs = r->n_jobs,
                                             .taken = taken,
                                             .n_taken = n_taken };
    const struct forecast_input in = { .schedule = &schedule,
                                       .contacts = &r->outlook->contacts,
                                       .goodput = learnt_goodput,
                                       .arg = &r->learnt,
                                       .wave = r->wave,
                                       .ours = r->ours,
                                       .n_waves = r->n_waves,
                                       .soak_ms = r->soak_ms,
                                       .seed = r->row->id };

    rc = schedule_antennas(&schedule, &r->outlook->contacts, err);
    return rc == RC_OK ? forecast_make(&in, &r->forecast, err) : rc;
}

/* ---- output --------------------------------------------------------------------------------- */

/* What of the rollout one contact carries. */
struct step {
    int64_t at_ms;
    const struct contact *contact;
    uint64_t bytes;
};

static int by_time(const void *a, const void *b)
{
    const struct step *x = a, *y = b;

    return (x->at_ms > y->at_ms) - (x->at_ms < y->at_ms);
}

static json_t *steps_json(const struct rest *r)
{
    const struct schedule_fill *fill = &r->forecast.fill;
    scoped(free_ptr) struct step *steps = calloc(fill->n + 1, sizeof *steps);
    json_t *list = json_array();
    uint64_t left = r->bytes;
    size_t n = 0;

    for (size_t i = 0; steps && i < fill->n;) {
        const uint32_t contact = fill->booking[i].contact;
        struct step step = { .contact = &r->outlook->contacts.at[contact] };

        step.at_ms = step.contact->los_ms;
        for (; i < fill->n && fill->booking[i].contact == contact; i++)
            step.bytes += r->ours[fill->booking[i].job] ? fill->booking[i].bytes : 0;
        if (step.bytes > 0)
            steps[n++] = step;
    }
    if (n > 0)
        qsort(steps, n, sizeof *steps, by_time);
    for (size_t i = 0; i < n; i++) {
        const struct contact *c = steps[i].contact;

        left -= steps[i].bytes < left ? steps[i].bytes : left;
        (void)json_array_append_new(
            list, json_pack("{s:I, s:s, s:s, s:o, s:o}", "at_ms", (json_int_t)steps[i].at_ms,
                            "station", r->fleet->station[c->station].station.id, "satellite",
                            r->fleet->satellite[c->satellite].id, "bytes",
                            json_uint(steps[i].bytes), "left", json_uint(left)));
    }
    return list;
}

static json_t *time_json(int64_t ms)
{
    return ms == FORECAST_NOT ? json_null() : json_integer(ms);
}

static int show(struct cli *cli, const struct rest *r)
{
    static const char *const headings[] = { "WAVE", "LEFT TO SEND", "HEALTHY P50 (UTC)",
                                            "P90 (UTC)" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 4);
    json_t *waves = json_array();

    for (uint32_t i = 0; i < r->n_waves; i++) {
        const struct forecast_odds *odds = &r->forecast.wave[i];
        char number[16], size[CLI_SIZE_CAP], p50[CLI_TIME_CAP], p90[CLI_TIME_CAP];
        const char *const cells[] = {
            number, size, odds->p50_ms == FORECAST_NOT ? "-" : cli_time(odds->p50_ms, p50),
            odds->p90_ms == FORECAST_NOT ? "-" : cli_time(odds->p90_ms, p90)
        };

        (void)snprintf(number, sizeof number, "%u", r->number[i]);
        (void)cli_size(r->bytes_of[i], size);
        cli_table_row(table, cells);
        (void)json_array_append_new(
            waves, json_pack("{s:i, s:o, s:o, s:o}", "index", (int)r->number[i], "bytes",
                             json_uint(r->bytes_of[i]), "p50_ms", time_json(odds->p50_ms), "p90_ms",
                             time_json(odds->p90_ms)));
    }
    if (r->n_waves == 0)
        cli_say(cli, "rollout %llu: nothing is left to send", (unsigned long long)r->row->id);
    else
        cli_table_print(cli, table);
    return cli_json(cli,
                    json_pack("{s:o, s:I, s:I, s:i, s:o, s:o, s:o}", "rollout",
                              json_uint(r->row->id), "from_ms", (json_int_t)r->now_ms, "until_ms",
                              (json_int_t)(r->now_ms + PLANNING_HORIZON_MS), "draws",
                              (int)FORECAST_DRAWS, "bytes", json_uint(r->bytes), "waves", waves,
                              "steps", r->outlook ? steps_json(r) : json_array()));
}

static enum rc make(struct rest *r, struct store *store, const char *path, struct err *err)
{
    enum rc rc = find_rest(r, store, err);

    if (rc == RC_OK && r->fleet->n_stations == 0)
        return err_set(err, RC_NOT_FOUND, "stations in %.64s", r->fleet->source);
    return rc == RC_OK && r->n_waves > 0 ? draw(r, store, path, err) : rc;
}

/* The time that it is made as of: two who ask for the same one get the same answer. */
static enum rc read_from(const struct cli *cli, int64_t *ret, struct err *err)
{
    const int64_t now_ms = (int64_t)clock_unix_ms();
    const char *text = cli_value(cli, "from");

    *ret = now_ms;
    enum rc rc = text ? since_option("from", text, now_ms, 1, ret, err) : RC_OK;

    if (rc == RC_OK && (*ret < 0 || *ret < now_ms - SINCE_FAR_MS || *ret > now_ms + SINCE_FAR_MS))
        return err_set(err, RC_USAGE, "--from %.30s: more than 31 days from now", text);
    return rc;
}

static int run(struct cli *cli)
{
    scoped(done) struct rest rest = { 0 };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(view_free) struct view *view = NULL;
    struct store_rollout row;
    char path[STORE_PATH_CAP];
    struct err err = { 0 };
    uint64_t id = 0;

    if (cli_rollout(cli, 0, &id, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list shows the numbers");
    if (read_from(cli, &rest.now_ms, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (store_rollout(home.store, id, &row, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list shows the numbers");
    if (store_get(home.store, HOME_FLEET_FILE, path, sizeof path, &err) != RC_OK ||
        fleet_load(path, &fleet, &err) != RC_OK)
        return cli_fail(cli, &err, "berth plan FLEET.yaml: the file that was applied is not there");
    if (view_load(home.store, &view, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    rest.view = view;
    rest.fleet = fleet;
    rest.row = &row;
    if (make(&rest, home.store, path, &err) != RC_OK)
        return cli_fail(cli, &err, "docs/guide/operator.md: stations, links and orbits");
    return show(cli, &rest);
}

static const struct cli_option options[] = {
    { "from", CLI_TEXT, "TIME",
      "as if it were then: 2026-11-30T12:00:00Z, or 6h for in six hours (now)" },
    { 0 },
};

const struct cli_command cmd_rollout_forecast[] = {
    { .name = "rollout forecast",
      .group = "Operate",
      .args = "ID",
      .summary = "Show what a rollout still has to send, and when its waves are likely done",
      .about = "The forecast of a plan, made of what is left: orders and objects that are not on "
               "board,\n"
               "over the passes of the next two days, beside what waits for other reasons.",
      .args_min = 1,
      .args_max = 1,
      .names = CLI_ROLLOUTS,
      .options = options,
      .run = run },
    { 0 },
};
