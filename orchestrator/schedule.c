/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/schedule: antennas.  What a contact is filled with is schedule_fill.c's.
 */
#include "orchestrator/schedule.h"

#include <assert.h>
#include <stdlib.h>

#define LANE_FIRST 16U

/* Times in which an antenna, or a satellite, is taken; by beginning. */
struct busy {
    int64_t from_ms, to_ms;
    uint32_t satellite;
};

struct lane {
    uint32_t n, cap;
    struct busy *busy;
};

struct work {
    const struct schedule_input *in;
    struct contacts *contacts;
    uint32_t n_antennas;  /* of all stations */
    uint32_t *first;      /* of each station: its first antenna's lane */
    struct lane *antenna; /* lanes */
    struct lane *satellite;
    uint32_t *begin; /* of each satellite: its contacts in list, in the order of time */
    uint32_t *list;
    uint64_t *free_bytes; /* of each contact: capacity that no job has claimed */
    uint64_t *open_bytes; /* of each satellite: of jobs that found no contacts */
    uint32_t *order;      /* jobs, the most urgent first */
    uint32_t *taken;      /* contacts that the job at hand reserved */
    uint32_t n_taken;
    struct err *err;
};

static void work_done(struct work *w)
{
    for (uint32_t i = 0; w->antenna && i < w->n_antennas; i++)
        free(w->antenna[i].busy);
    for (uint32_t i = 0; w->satellite && i < w->in->n_satellites; i++)
        free(w->satellite[i].busy);
    free(w->first);
    free(w->antenna);
    free(w->satellite);
    free(w->begin);
    free(w->list);
    free(w->free_bytes);
    free(w->open_bytes);
    free(w->order);
    free(w->taken);
}

enum rc schedule_check(const struct schedule_input *in, const struct contacts *contacts,
                       struct err *err)
{
    if (contacts->n > CONTACTS_MAX || in->n_stations > SKY_STATIONS_MAX)
        return err_set(err, RC_VALUE, "%zu contacts of %u stations", contacts->n, in->n_stations);
    for (uint32_t i = 0; i < in->n_stations; i++)
        if (in->station[i].antennas == 0 || in->station[i].antennas > CONTACT_ANTENNAS_MAX ||
            in->station[i].turn_ms > CONTACT_TURN_MAX_MS)
            return err_set(err, RC_VALUE, "station %u: antennas or turn-around", i);
    for (uint32_t i = 0; i < in->n_tenants; i++)
        if (in->tenant[i].weight == 0 || in->tenant[i].weight > SCHEDULE_WEIGHT_MAX)
            return err_set(err, RC_VALUE, "tenant %u: weight", i);
    for (uint32_t i = 0; i < in->n_jobs; i++)
        if (in->job[i].satellite >= in->n_satellites ||
            (in->job[i].tenant >= in->n_tenants && in->job[i].tenant != SCHEDULE_OPERATOR) ||
            in->job[i].class >= SCHEDULE_CLASSES)
            return err_set(err, RC_VALUE, "job %u", i);
    for (size_t i = 0; i < in->n_taken; i++) {
        const struct schedule_taken *t = &in->taken[i];

        if (t->station >= in->n_stations || t->antenna >= in->station[t->station].antennas ||
            t->to_ms <= t->from_ms || t->to_ms - t->from_ms > CONTACT_LONGEST_MS)
            return err_set(err, RC_VALUE, "taken time %zu", i);
    }
    for (size_t i = 0; i < contacts->n; i++) {
        const struct contact *c = &contacts->at[i];

        if (c->station >= in->n_stations || c->satellite >= in->n_satellites ||
            c->los_ms <= c->aos_ms || c->los_ms - c->aos_ms > CONTACT_LONGEST_MS ||
            (i > 0 && c->aos_ms < c[-1].aos_ms))
            return err_set(err, RC_VALUE, "contact %zu", i);
    }
    return RC_OK;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

/* The first entry that does not begin before a time. */
static uint32_t place_in(const struct lane *lane, int64_t from_ms)
{
    uint32_t low = 0, high = lane->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (lane->busy[middle].from_ms < from_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A satellite that goes on without a gap needs no turn-around. */
static bool has_gap(const struct busy *a, int64_t from_ms, uint32_t satellite, int64_t turn_ms)
{
    if (a->to_ms == from_ms && a->satellite == satellite)
        return true;
    return from_ms - a->to_ms >= turn_ms;
}

/* Whatever is frozen may overlap, so more than the two neighbours are looked at: as far as a
 * contact reaches. */
static bool fits(const struct lane *lane, const struct contact *c, int64_t turn_ms)
{
    const struct busy own = { c->aos_ms, c->los_ms, c->satellite };
    uint32_t at = place_in(lane, c->aos_ms);

    for (uint32_t i = at;
         i > 0 && lane->busy[i - 1].from_ms > c->aos_ms - CONTACT_LONGEST_MS - turn_ms; i--)
        if (!has_gap(&lane->busy[i - 1], c->aos_ms, c->satellite, turn_ms))
            return false;
    for (uint32_t i = at; i < lane->n && lane->busy[i].from_ms < c->los_ms + turn_ms; i++)
        if (!has_gap(&own, lane->busy[i].from_ms, lane->busy[i].satellite, turn_ms))
            return false;
    return true;
}

static enum rc lane_add(struct lane *lane, struct busy own, struct err *err)
{
    uint32_t i = place_in(lane, own.from_ms);

    if (lane->n == lane->cap) {
        uint32_t cap = lane->cap == 0 ? LANE_FIRST : 2 * lane->cap;
        struct busy *busy = realloc(lane->busy, cap * sizeof *busy);

        if (!busy)
            return err_set(err, RC_NO_MEMORY, "%u times", cap);
        lane->busy = busy;
        lane->cap = cap;
    }
    memmove(&lane->busy[i + 1], &lane->busy[i], (lane->n - i) * sizeof lane->busy[0]);
    lane->busy[i] = own;
    lane->n++;
    return RC_OK;
}

static void lane_remove(struct lane *lane, const struct contact *c)
{
    uint32_t i = place_in(lane, c->aos_ms);

    assert(i < lane->n && lane->busy[i].from_ms == c->aos_ms);
    lane->n--;
    memmove(&lane->busy[i], &lane->busy[i + 1], (lane->n - i) * sizeof lane->busy[0]);
}

static struct lane *antenna_of(const struct work *w, const struct contact *c)
{
    return &w->antenna[w->first[c->station] + c->antenna];
}

/* Put a contact on its antenna, whether it fits or not. */
static enum rc occupy(struct work *w, const struct contact *c)
{
    const struct busy own = { c->aos_ms, c->los_ms, c->satellite };
    enum rc rc = lane_add(antenna_of(w, c), own, w->err);

    return rc == RC_OK ? lane_add(&w->satellite[c->satellite], own, w->err) : rc;
}

/* Whose it is does not matter: it is none of the satellites here. */
static enum rc occupy_taken(struct work *w)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < w->in->n_taken; i++) {
        const struct schedule_taken *t = &w->in->taken[i];

        rc = lane_add(&w->antenna[w->first[t->station] + t->antenna],
                      (struct busy){ t->from_ms, t->to_ms, UINT32_MAX }, w->err);
    }
    return rc;
}

/* Reserve a contact on the first antenna that is free; false in *ret if none is. */
static enum rc reserve(struct work *w, struct contact *c, bool *ret)
{
    const struct contact_station *station = &w->in->station[c->station];

    *ret = false;
    if (!fits(&w->satellite[c->satellite], c, 0))
        return RC_OK;
    for (c->antenna = 0; c->antenna < station->antennas; c->antenna++) {
        if (!fits(antenna_of(w, c), c, station->turn_ms))
            continue;
        *ret = true;
        enum rc rc = contact_move(c, CONTACT_RESERVE, w->err);

        return rc == RC_OK ? occupy(w, c) : rc;
    }
    c->antenna = 0;
    return RC_OK;
}

static void give_back(struct work *w, struct contact *c)
{
    lane_remove(antenna_of(w, c), c);
    lane_remove(&w->satellite[c->satellite], c);
    c->antenna = 0;
    (void)!contact_move(c, CONTACT_RELEASE, NULL);
}

/* ---- set up --------------------------------------------------------------------------------- */

static bool is_frozen(const struct work *w, const struct contact *c)
{
    return c->aos_ms < w->in->now_ms + SCHEDULE_FROZEN_MS;
}

/* Contacts of each satellite, by time. */
static void sort_by_satellite(struct work *w)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < w->contacts->n; i++)
        w->begin[w->contacts->at[i].satellite]++;
    for (uint32_t s = 0; s <= w->in->n_satellites; s++) {
        uint32_t n = w->begin[s];

        w->begin[s] = sum;
        sum += n;
    }
    for (size_t i = 0; i < w->contacts->n; i++)
        w->list[w->begin[w->contacts->at[i].satellite]++] = (uint32_t)i;
    for (uint32_t s = w->in->n_satellites; s > 0; s--)
        w->begin[s] = w->begin[s - 1];
    w->begin[0] = 0;
}

static int compare_jobs(const void *a, const void *b, void *arg)
{
    const struct schedule_job *job = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct schedule_job *x = &job[i], *y = &job[k];

    if (x->class != y->class)
        return x->class < y->class ? -1 : 1;
    if (x->wave != y->wave)
        return x->wave < y->wave ? -1 : 1;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    if (x->deadline_ms != y->deadline_ms)
        return x->deadline_ms < y->deadline_ms ? -1 : 1;
    return i < k ? -1 : i > k;
}

static enum rc allocate(struct work *w)
{
    size_t n = w->contacts->n + 1, s = w->in->n_satellites + 1U, j = w->in->n_jobs + 1U;

    w->first = calloc(w->in->n_stations + 1U, sizeof *w->first);
    for (uint32_t i = 0; w->first && i < w->in->n_stations; i++) {
        w->first[i] = w->n_antennas;
        w->n_antennas += w->in->station[i].antennas;
    }
    w->antenna = calloc(w->n_antennas + 1U, sizeof *w->antenna);
    w->satellite = calloc(s, sizeof *w->satellite);
    w->begin = calloc(s + 1, sizeof *w->begin);
    w->list = calloc(n, sizeof *w->list);
    w->free_bytes = calloc(n, sizeof *w->free_bytes);
    w->open_bytes = calloc(s, sizeof *w->open_bytes);
    w->order = calloc(j, sizeof *w->order);
    w->taken = calloc(n, sizeof *w->taken);
    if (!w->first || !w->antenna || !w->satellite || !w->begin || !w->list || !w->free_bytes ||
        !w->open_bytes || !w->order || !w->taken)
        return err_set(w->err, RC_NO_MEMORY, "%zu contacts", n);
    return RC_OK;
}

/* Release what may still be changed; what may not keeps its antenna. */
static enum rc begin_anew(struct work *w)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < w->contacts->n; i++) {
        struct contact *c = &w->contacts->at[i];

        if (c->state == CONTACT_RESERVED && !is_frozen(w, c))
            rc = contact_move(c, CONTACT_RELEASE, w->err);
        if (c->state == CONTACT_PREDICTED)
            c->antenna = 0;
        else if (c->antenna >= w->in->station[c->station].antennas)
            rc = err_set(w->err, RC_VALUE, "contact %zu: no such antenna", i);
        else
            rc = occupy(w, c);
        if (c->state == CONTACT_RESERVED || c->state == CONTACT_EXECUTING)
            w->free_bytes[i] = c->capacity;
    }
    return rc;
}

/* ---- by job --------------------------------------------------------------------------------- */

/* Claim what a contact of the job's satellite has, reserving it if it is not; at most `need`. */
static enum rc claim(struct work *w, uint32_t index, uint64_t *need)
{
    struct contact *c = &w->contacts->at[index];
    bool reserved = c->state == CONTACT_RESERVED || c->state == CONTACT_EXECUTING;

    if (!reserved && c->state == CONTACT_PREDICTED && !is_frozen(w, c) && c->capacity > 0) {
        enum rc rc = reserve(w, c, &reserved);

        if (rc != RC_OK)
            return rc;
        if (reserved) {
            w->taken[w->n_taken++] = index;
            w->free_bytes[index] = c->capacity;
        }
    }
    uint64_t bytes = *need < w->free_bytes[index] ? *need : w->free_bytes[index];

    if (reserved) {
        w->free_bytes[index] -= bytes;
        *need -= bytes;
    }
    return RC_OK;
}

/* Bytes that contacts of others' jobs, reserved before, gave to this one are not counted back: they
 * are its own anyway, since bytes go to one satellite. */
static enum rc take_job(struct work *w, const struct schedule_job *job)
{
    uint64_t need = job->bytes;
    enum rc rc = RC_OK;

    w->n_taken = 0;
    for (uint32_t i = w->begin[job->satellite];
         rc == RC_OK && need > 0 && i < w->begin[job->satellite + 1]; i++) {
        const struct contact *c = &w->contacts->at[w->list[i]];

        if (c->los_ms <= job->deadline_ms && c->los_ms > w->in->now_ms)
            rc = claim(w, w->list[i], &need);
    }
    if (rc != RC_OK || need == 0)
        return rc;
    for (uint32_t i = 0; i < w->n_taken; i++) {
        uint32_t index = w->taken[i];
        struct contact *c = &w->contacts->at[index];

        need += c->capacity - w->free_bytes[index];
        w->free_bytes[index] = 0;
        give_back(w, c);
    }
    w->open_bytes[job->satellite] += need;
    return RC_OK;
}

/* ---- backfill ------------------------------------------------------------------------------- */

/* Deal what is left, by time: to satellites with open bytes, or to all. */
static enum rc backfill(struct work *w, bool all)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < w->contacts->n; i++) {
        struct contact *c = &w->contacts->at[i];
        uint64_t *open = &w->open_bytes[c->satellite];
        bool reserved = false;

        if (c->state != CONTACT_PREDICTED || is_frozen(w, c) || (!all && *open == 0))
            continue;
        rc = reserve(w, c, &reserved);
        if (reserved && !all)
            *open -= *open < c->capacity ? *open : c->capacity;
    }
    return rc;
}

enum rc schedule_antennas(const struct schedule_input *in, struct contacts *contacts,
                          struct err *err)
{
    scoped(work_done) struct work w = { .in = in, .contacts = contacts, .err = err };
    enum rc rc = schedule_check(in, contacts, err);

    if (rc == RC_OK)
        rc = allocate(&w);
    if (rc == RC_OK) {
        sort_by_satellite(&w);
        rc = occupy_taken(&w);
    }
    if (rc == RC_OK)
        rc = begin_anew(&w);
    for (uint32_t i = 0; rc == RC_OK && i < in->n_jobs; i++)
        w.order[i] = i;
    if (rc == RC_OK)
        qsort_r(w.order, in->n_jobs, sizeof w.order[0], compare_jobs, (void *)(uintptr_t)in->job);
    for (uint32_t i = 0; rc == RC_OK && i < in->n_jobs; i++)
        rc = take_job(&w, &in->job[w.order[i]]);
    if (rc == RC_OK)
        rc = backfill(&w, false);
    return rc == RC_OK ? backfill(&w, true) : rc;
}
