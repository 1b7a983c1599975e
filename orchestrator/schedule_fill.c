/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/schedule_fill: which bytes ride on which contact.
 *
 * A flow is what one tenant has for one satellite in one class.  Sending takes from the job with
 * the shortest remainder, which stays the shortest while it shrinks: the order of a flow's jobs
 * never changes.  Deficits outlive a contact, so a tenant that was cut off by the end of one goes
 * on in the next where it stopped.
 */
#include "orchestrator/schedule.h"

#include <assert.h>
#include <stdlib.h>

#define BOOKINGS_FIRST 64U

struct flow {
    enum schedule_class class;
    uint32_t tenant;
    uint32_t next, end; /* in order[]: jobs not yet sent */
    uint64_t deficit;
    bool turn; /* its turn was cut off: no new quantum */
};

struct filling {
    const struct schedule_input *in;
    const struct contacts *contacts;
    struct schedule_fill *out;
    uint32_t *order;   /* jobs by satellite, class, tenant, wave, bytes, deadline, index */
    struct flow *flow; /* by satellite, class, tenant */
    uint32_t *begin;   /* of each satellite: its flows */
    uint32_t *at;      /* of each satellite and class: whose turn it is, from its first flow */
    uint64_t *sent;    /* of each job, in this contact */
    uint64_t *quota;   /* of each tenant, what is left today */
    int64_t day;
    struct err *err;
};

void schedule_fill_free(struct schedule_fill *fill)
{
    free(fill->booking);
    free(fill->left);
    free(fill->last);
    free(fill->quota);
    *fill = (struct schedule_fill){ 0 };
}

static void filling_done(struct filling *f)
{
    free(f->order);
    free(f->flow);
    free(f->begin);
    free(f->at);
    free(f->sent);
    free(f->quota);
}

/* ---- set up --------------------------------------------------------------------------------- */

#define COMPARE(x, y)                                                                              \
    if ((x) != (y))                                                                                \
    return (x) < (y) ? -1 : 1

static int compare_jobs(const void *a, const void *b, void *arg)
{
    const struct schedule_job *job = arg;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct schedule_job *x = &job[i], *y = &job[k];

    COMPARE(x->satellite, y->satellite);
    COMPARE(x->class, y->class);
    COMPARE(x->tenant, y->tenant);
    COMPARE(x->wave, y->wave);
    COMPARE(x->bytes, y->bytes);
    COMPARE(x->deadline_ms, y->deadline_ms);
    COMPARE(i, k);
    return 0;
}

static enum rc allocate(struct filling *f)
{
    size_t jobs = f->in->n_jobs + 1U, satellites = f->in->n_satellites + 1U;

    f->order = calloc(jobs, sizeof *f->order);
    f->flow = calloc(jobs, sizeof *f->flow);
    f->begin = calloc(satellites + 1, sizeof *f->begin);
    f->at = calloc(satellites * SCHEDULE_CLASSES, sizeof *f->at);
    f->sent = calloc(jobs, sizeof *f->sent);
    f->quota = calloc(f->in->n_tenants + 1U, sizeof *f->quota);
    f->out->left = calloc(jobs, sizeof *f->out->left);
    f->out->last = calloc(jobs, sizeof *f->out->last);
    f->out->quota = calloc(jobs, sizeof *f->out->quota);
    if (!f->order || !f->flow || !f->begin || !f->at || !f->sent || !f->quota || !f->out->left ||
        !f->out->last || !f->out->quota)
        return err_set(f->err, RC_NO_MEMORY, "%zu jobs", jobs);
    return RC_OK;
}

static bool same_flow(const struct schedule_job *x, const struct schedule_job *y)
{
    return x->satellite == y->satellite && x->class == y->class && x->tenant == y->tenant;
}

static void make_flows(struct filling *f)
{
    const struct schedule_job *job = f->in->job;
    uint32_t n = 0, satellite = 0;

    for (uint32_t i = 0; i < f->in->n_jobs; i++) {
        f->order[i] = i;
        f->out->left[i] = job[i].bytes;
        f->out->last[i] = SCHEDULE_NEVER;
    }
    qsort_r(f->order, f->in->n_jobs, sizeof f->order[0], compare_jobs, (void *)(uintptr_t)job);
    for (uint32_t i = 0; i < f->in->n_jobs; i++) {
        const struct schedule_job *j = &job[f->order[i]];

        if (i == 0 || !same_flow(&job[f->order[i - 1]], j)) {
            while (satellite <= j->satellite)
                f->begin[satellite++] = n;
            f->flow[n++] = (struct flow){ .class = j->class, .tenant = j->tenant, .next = i };
        }
        f->flow[n - 1].end = i + 1;
    }
    while (satellite <= f->in->n_satellites)
        f->begin[satellite++] = n;
}

/* ---- one contact ---------------------------------------------------------------------------- */

static uint64_t weight_of(const struct filling *f, const struct flow *flow)
{
    return flow->tenant == SCHEDULE_OPERATOR ? 1 : f->in->tenant[flow->tenant].weight;
}

static bool has_quota(const struct filling *f, const struct flow *flow)
{
    return flow->tenant != SCHEDULE_OPERATOR && f->in->tenant[flow->tenant].daily_bytes > 0;
}

/* What a flow may still send today. */
static uint64_t allowed(const struct filling *f, const struct flow *flow)
{
    return has_quota(f, flow) ? f->quota[flow->tenant] : UINT64_MAX;
}

/* Send at most `bytes` of the flow's first job; returns how many went. */
static uint64_t send(struct filling *f, struct flow *flow, uint64_t bytes, uint32_t contact)
{
    uint32_t job = f->order[flow->next];
    uint64_t left = f->out->left[job];
    uint64_t n = left < bytes ? left : bytes;

    f->out->left[job] -= n;
    f->sent[job] += n;
    if (has_quota(f, flow))
        f->quota[flow->tenant] -= n;
    if (f->out->left[job] == 0) {
        f->out->last[job] = contact;
        flow->next++;
    }
    return n;
}

/* Nothing more to send, or not today. */
static bool is_idle(struct filling *f, struct flow *flow)
{
    if (flow->next < flow->end && allowed(f, flow) > 0)
        return false;
    if (flow->next < flow->end)
        f->out->quota[f->order[flow->next]] = true;
    flow->deficit = 0;
    flow->turn = false;
    return true;
}

/* One turn of a flow; returns the room that is left.  A turn that the contact's end cuts off keeps
 * its deficit and goes on in the next contact. */
static uint64_t take_turn(struct filling *f, struct flow *flow, uint64_t room, uint32_t contact)
{
    if (!flow->turn)
        flow->deficit += weight_of(f, flow) * SCHEDULE_CHUNK;
    flow->turn = true;
    while (room > 0 && flow->deficit > 0 && !is_idle(f, flow)) {
        uint64_t most = flow->deficit < room ? flow->deficit : room;
        uint64_t may = allowed(f, flow);
        uint64_t n = send(f, flow, most < may ? most : may, contact);

        flow->deficit -= n;
        room -= n;
    }
    if (flow->deficit == 0 || is_idle(f, flow))
        flow->turn = false;
    return room;
}

/* All flows of one class of a satellite, [from, to), in turns. */
static uint64_t fill_class(struct filling *f, uint32_t from, uint32_t to, uint32_t *at,
                           uint64_t room, uint32_t contact)
{
    uint32_t idle = 0, n = to - from;

    while (room > 0 && idle < n) {
        struct flow *flow = &f->flow[from + *at % n];

        if (is_idle(f, flow)) {
            idle++;
            *at = (*at + 1) % n;
            continue;
        }
        idle = 0;
        room = take_turn(f, flow, room, contact);
        if (!flow->turn)
            *at = (*at + 1) % n;
    }
    return room;
}

static enum rc book(struct filling *f, uint32_t contact, uint32_t job)
{
    struct schedule_fill *out = f->out;

    if (out->n == out->cap) {
        size_t cap = out->cap == 0 ? BOOKINGS_FIRST : 2 * out->cap;
        struct schedule_booking *booking = realloc(out->booking, cap * sizeof *booking);

        if (!booking)
            return err_set(f->err, RC_NO_MEMORY, "%zu bookings", cap);
        out->booking = booking;
        out->cap = cap;
    }
    out->booking[out->n++] =
        (struct schedule_booking){ .contact = contact, .job = job, .bytes = f->sent[job] };
    f->sent[job] = 0;
    return RC_OK;
}

uint64_t schedule_allowed(const struct schedule_tenant *tenant, bool today)
{
    uint64_t used = today ? tenant->used_bytes : 0;

    return tenant->daily_bytes > used ? tenant->daily_bytes - used : 0;
}

/* A new UTC day gives every tenant its quota again. */
static void set_day(struct filling *f, int64_t at_ms)
{
    int64_t day = at_ms / SCHEDULE_DAY_MS;

    if (day == f->day)
        return;
    f->day = day;
    for (uint32_t i = 0; i < f->in->n_tenants; i++)
        f->quota[i] = schedule_allowed(&f->in->tenant[i], day == f->in->now_ms / SCHEDULE_DAY_MS);
}

/* What a contact can still take: one that is under way has a part of its time left. */
static uint64_t room_of(const struct filling *f, uint32_t index, const uint64_t *capacity)
{
    const struct contact *c = &f->contacts->at[index];
    uint64_t room = capacity ? capacity[index] : c->capacity;
    int64_t left = c->los_ms - f->in->now_ms;
    uint64_t length = (uint64_t)(c->los_ms - c->aos_ms);

    if (left <= 0 || (c->state != CONTACT_RESERVED && c->state != CONTACT_EXECUTING))
        return 0;
    if (c->aos_ms >= f->in->now_ms)
        return room;
    return room / length * (uint64_t)left + room % length * (uint64_t)left / length;
}

static enum rc fill_contact(struct filling *f, uint32_t index, uint64_t room)
{
    const struct contact *c = &f->contacts->at[index];
    uint32_t from = f->begin[c->satellite], end = f->begin[c->satellite + 1];
    uint32_t first = from < end ? f->flow[from].next : 0;
    enum rc rc = RC_OK;

    set_day(f, c->aos_ms);
    for (uint32_t i = from; i < end && room > 0;) {
        enum schedule_class class = f->flow[i].class;
        uint32_t to = i;

        while (to < end && f->flow[to].class == class)
            to++;
        room = fill_class(f, i, to, &f->at[c->satellite * SCHEDULE_CLASSES + class], room, index);
        i = to;
    }
    for (uint32_t i = first; rc == RC_OK && from < end && i < f->flow[end - 1].end; i++)
        if (f->sent[f->order[i]] > 0)
            rc = book(f, index, f->order[i]);
    return rc;
}

static int compare_bookings(const void *a, const void *b)
{
    const struct schedule_booking *x = a, *y = b;

    COMPARE(x->contact, y->contact);
    COMPARE(x->job, y->job);
    return 0;
}

enum rc schedule_fill(const struct schedule_input *in, const struct contacts *contacts,
                      const uint64_t *capacity, struct schedule_fill *ret, struct err *err)
{
    scoped(schedule_fill_free) struct schedule_fill out = { 0 };
    scoped(filling_done) struct filling f = {
        .in = in, .contacts = contacts, .out = &out, .day = INT64_MIN, .err = err
    };
    enum rc rc = schedule_check(in, contacts, err);

    if (rc == RC_OK)
        rc = allocate(&f);
    if (rc == RC_OK)
        make_flows(&f);
    for (uint32_t i = 0; rc == RC_OK && i < contacts->n; i++) {
        uint64_t room = room_of(&f, i, capacity);

        if (room > 0)
            rc = fill_contact(&f, i, room);
    }
    if (rc != RC_OK)
        return rc;
    if (out.n > 1)
        qsort(out.booking, out.n, sizeof out.booking[0], compare_bookings);
    *ret = out;
    out = (struct schedule_fill){ 0 };
    return RC_OK;
}
