/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/forecast.h"

#include <stdlib.h>

#define UNIFORMS 12U     /* their sum, less 6, has variance 1 (Irwin and Hall) */
#define SIGMA_PART 12533 /* standard over mean deviation of a normal distribution, / 10000 */
#define UNIT 65536

struct work {
    const struct forecast_input *in;
    uint64_t *capacity; /* of each contact, in this draw */
    int64_t *bytes_ms;  /* of each satellite, in this draw */
    int64_t *on_board;  /* [satellite][draw] */
    int64_t *healthy;   /* [satellite][draw] */
    int64_t *waves;     /* [wave][draw] */
    uint32_t *next;     /* of each contact: the satellite's next one; SCHEDULE_NEVER = none */
    uint32_t *first;    /* of each satellite: its first one */
    struct err *err;
};

static void work_done(struct work *w)
{
    free(w->capacity);
    free(w->bytes_ms);
    free(w->on_board);
    free(w->healthy);
    free(w->waves);
    free(w->next);
    free(w->first);
}

void forecast_free(struct forecast *forecast)
{
    free(forecast->satellite);
    free(forecast->wave);
    schedule_fill_free(&forecast->fill);
    *forecast = (struct forecast){ 0 };
}

const char *forecast_why_text(enum forecast_why why)
{
    static const char *const text[FORECAST_WHYS] = {
        "fits",
        "no pass is left for it",
        "a tenant's uplink quota of the day holds it back",
        "the passes that are known do not carry all of it",
        "no pass is left to hear that it is healthy",
        "no pass before the deadline"
    };

    return why < FORECAST_WHYS ? text[why] : "?";
}

/* ---- draws ---------------------------------------------------------------------------------- */

static uint64_t random_next(uint64_t *seed) /* splitmix64, Steele, Lea and Flood 2014 */
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint32_t forecast_draw(const struct contact_goodput *g, uint64_t *seed)
{
    int64_t sum = -(int64_t)(UNIFORMS / 2) * UNIT;
    uint64_t bits = 0;

    for (uint32_t i = 0; i < UNIFORMS; i++) {
        bits = i % 4 == 0 ? random_next(seed) : bits >> 16;
        sum += (int64_t)(bits & (UNIT - 1));
    }
    int64_t value = g->mean_ppm + (int64_t)g->deviation_ppm * SIGMA_PART / 10000 * sum / UNIT;

    if (value < 0)
        return 0;
    return value > CONTACT_PPM ? CONTACT_PPM : (uint32_t)value;
}

/* What every contact carries this time: its expectation, by the goodput drawn over the mean. */
static void draw_capacities(struct work *w, uint64_t *seed)
{
    for (size_t i = 0; i < w->in->contacts->n; i++) {
        const struct contact *c = &w->in->contacts->at[i];
        struct contact_goodput g = w->in->goodput(w->in->arg, c->station, c->satellite);
        uint64_t all = c->capacity / g.mean_ppm * CONTACT_PPM +
                       c->capacity % g.mean_ppm * CONTACT_PPM / g.mean_ppm;

        w->capacity[i] = contact_expect(all, forecast_draw(&g, seed));
    }
}

/* ---- one walk through the waves ------------------------------------------------------------- */

static bool is_held(const struct contact *c)
{
    return c->state == CONTACT_RESERVED || c->state == CONTACT_EXECUTING;
}

/* Each satellite's contacts as a chain, by time. */
static void chain(struct work *w)
{
    const struct schedule_input *in = w->in->schedule;

    for (uint32_t s = 0; s < in->n_satellites; s++)
        w->first[s] = SCHEDULE_NEVER;
    for (size_t i = w->in->contacts->n; i-- > 0;) {
        const struct contact *c = &w->in->contacts->at[i];

        w->next[i] = SCHEDULE_NEVER;
        if (!is_held(c) || c->los_ms <= in->now_ms)
            continue;
        w->next[i] = w->first[c->satellite];
        w->first[c->satellite] = (uint32_t)i;
    }
}

/* The satellite's first contact that carries anything and begins at or after a time. */
static uint32_t contact_after(const struct work *w, uint32_t satellite, int64_t from_ms)
{
    uint32_t i = w->first[satellite];

    while (i != SCHEDULE_NEVER && (w->in->contacts->at[i].aos_ms < from_ms || w->capacity[i] == 0))
        i = w->next[i];
    return i;
}

static int64_t end_of(const struct work *w, uint32_t contact)
{
    return contact == SCHEDULE_NEVER ? FORECAST_NOT : w->in->contacts->at[contact].los_ms;
}

/* When all bytes of the plan are on each satellite. */
static void find_bytes(struct work *w, const struct schedule_fill *fill)
{
    const struct schedule_input *in = w->in->schedule;

    for (uint32_t s = 0; s < in->n_satellites; s++)
        w->bytes_ms[s] = in->now_ms;
    for (uint32_t i = 0; i < in->n_jobs; i++) {
        int64_t *at = &w->bytes_ms[in->job[i].satellite];
        int64_t end = in->job[i].bytes == 0 ? in->now_ms : end_of(w, fill->last[i]);

        if (w->in->ours[i] && end > *at)
            *at = end;
    }
}

/* When a satellite is known to be healthy, if its wave opens at a time. */
static int64_t healthy_at(const struct work *w, uint32_t satellite, int64_t open_ms)
{
    int64_t order =
        open_ms == FORECAST_NOT ? FORECAST_NOT : end_of(w, contact_after(w, satellite, open_ms));
    int64_t runs = order > w->bytes_ms[satellite] ? order : w->bytes_ms[satellite];

    return runs == FORECAST_NOT ? runs : end_of(w, contact_after(w, satellite, runs));
}

static void walk(struct work *w, uint32_t draw)
{
    const struct schedule_input *in = w->in->schedule;
    int64_t open = in->now_ms;

    for (uint32_t wave = 0; wave < w->in->n_waves; wave++) {
        int64_t done = open;

        for (uint32_t s = 0; s < in->n_satellites; s++) {
            if (w->in->wave[s] != wave)
                continue;
            int64_t at = healthy_at(w, s, open);

            w->on_board[s * FORECAST_DRAWS + draw] = w->bytes_ms[s];
            w->healthy[s * FORECAST_DRAWS + draw] = at;
            done = at > done ? at : done;
        }
        w->waves[wave * FORECAST_DRAWS + draw] = done;
        open = done == FORECAST_NOT ? done : done + (int64_t)w->in->soak_ms[wave];
    }
}

/* ---- odds ----------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static struct forecast_odds odds_of(int64_t *draws)
{
    qsort(draws, FORECAST_DRAWS, sizeof draws[0], compare_times);
    return (struct forecast_odds){ draws[FORECAST_P50 - 1], draws[FORECAST_P90 - 1] };
}

/* The passes that carry the plan's bytes if all goes as expected. */
static void find_rides(const struct forecast_input *in, struct forecast *f)
{
    const struct schedule_job *job = in->schedule->job;

    for (uint32_t s = 0; s < in->schedule->n_satellites; s++)
        f->satellite[s].first = f->satellite[s].last = SCHEDULE_NEVER;
    for (uint32_t i = 0; i < in->schedule->n_jobs; i++) {
        f->satellite[job[i].satellite].bytes += in->ours[i] ? job[i].bytes : 0;
        f->satellite[job[i].satellite].left += in->ours[i] ? f->fill.left[i] : 0;
    }
    for (size_t i = 0; i < f->fill.n; i++) {
        const struct schedule_booking *b = &f->fill.booking[i];
        struct forecast_satellite *s = &f->satellite[job[b->job].satellite];

        if (!in->ours[b->job] || s->last == b->contact)
            continue;
        if (s->first == SCHEDULE_NEVER)
            s->first = b->contact;
        s->last = b->contact;
        s->n_contacts++;
    }
}

static enum forecast_why why_of(const struct work *w, const struct forecast *f, uint32_t satellite)
{
    const struct schedule_input *in = w->in->schedule;
    const struct forecast_satellite *s = &f->satellite[satellite];
    int64_t deadline = INT64_MAX;
    bool quota = false;

    for (uint32_t i = 0; i < in->n_jobs; i++) {
        if (in->job[i].satellite != satellite || !w->in->ours[i])
            continue;
        quota = quota || (f->fill.quota[i] && f->fill.left[i] > 0);
        deadline = in->job[i].deadline_ms < deadline ? in->job[i].deadline_ms : deadline;
    }
    if (w->first[satellite] == SCHEDULE_NEVER)
        return FORECAST_NO_CONTACT;
    if (quota)
        return FORECAST_QUOTA;
    if (s->left > 0 || s->on_board.p50_ms == FORECAST_NOT)
        return FORECAST_NO_ROOM;
    if (s->healthy.p50_ms == FORECAST_NOT)
        return FORECAST_NOT_HEARD;
    return s->healthy.p50_ms > deadline ? FORECAST_DEADLINE : FORECAST_FITS;
}

static void set_odds(struct work *w, struct forecast *f)
{
    const struct schedule_input *in = w->in->schedule;

    for (uint32_t s = 0; s < in->n_satellites; s++) {
        if (w->in->wave[s] >= w->in->n_waves)
            continue;
        f->satellite[s].on_board = odds_of(&w->on_board[s * FORECAST_DRAWS]);
        f->satellite[s].healthy = odds_of(&w->healthy[s * FORECAST_DRAWS]);
        f->satellite[s].why = why_of(w, f, s);
    }
    for (uint32_t i = 0; i < w->in->n_waves; i++)
        f->wave[i] = odds_of(&w->waves[i * FORECAST_DRAWS]);
}

static enum rc allocate(struct work *w, struct forecast *f)
{
    size_t contacts = w->in->contacts->n + 1, satellites = w->in->schedule->n_satellites + 1U;
    size_t waves = w->in->n_waves + 1U;

    w->capacity = calloc(contacts, sizeof *w->capacity);
    w->next = calloc(contacts, sizeof *w->next);
    w->first = calloc(satellites, sizeof *w->first);
    w->bytes_ms = calloc(satellites, sizeof *w->bytes_ms);
    w->on_board = calloc(satellites * FORECAST_DRAWS, sizeof *w->on_board);
    w->healthy = calloc(satellites * FORECAST_DRAWS, sizeof *w->healthy);
    w->waves = calloc(waves * FORECAST_DRAWS, sizeof *w->waves);
    f->satellite = calloc(satellites, sizeof *f->satellite);
    f->wave = calloc(waves, sizeof *f->wave);
    if (!w->capacity || !w->next || !w->first || !w->bytes_ms || !w->on_board || !w->healthy ||
        !w->waves || !f->satellite || !f->wave)
        return err_set(w->err, RC_NO_MEMORY, "forecast");
    return RC_OK;
}

enum rc forecast_make(const struct forecast_input *in, struct forecast *ret, struct err *err)
{
    scoped(work_done) struct work w = { .in = in, .err = err };
    scoped(forecast_free) struct forecast f = { 0 };
    uint64_t seed = in->seed;
    enum rc rc = schedule_fill(in->schedule, in->contacts, NULL, &f.fill, err);

    if (rc == RC_OK)
        rc = allocate(&w, &f);
    if (rc != RC_OK)
        return rc;
    chain(&w);
    for (uint32_t draw = 0; rc == RC_OK && draw < FORECAST_DRAWS; draw++) {
        scoped(schedule_fill_free) struct schedule_fill fill = { 0 };

        draw_capacities(&w, &seed);
        rc = schedule_fill(in->schedule, in->contacts, w.capacity, &fill, err);
        if (rc == RC_OK) {
            find_bytes(&w, &fill);
            walk(&w, draw);
        }
    }
    if (rc != RC_OK)
        return rc;
    find_rides(in, &f);
    set_odds(&w, &f);
    *ret = f;
    f = (struct forecast){ 0 };
    return RC_OK;
}
