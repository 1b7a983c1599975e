/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/sending.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "orchestrator/dispatch.h"
#include "orchestrator/sending_waves.h"
#include "orchestrator/settle.h"
#include "orchestrator/sorted.h"
#include "orchestrator/timetable.h"

#define MAKE_MIN_MS 10000  /* queues change often: reserve anew no more often than this, ... */
#define MAKE_MAX_MS 300000 /* ... and at least so often */
#define SETTLE_MS 10000    /* look so often for what passes have come to */
#define FORGET_MS 3600000  /* ... and for old ones */
#define USED "uplink-day/" /* setting: "DAY BYTES" that a tenant has used */

/* An object of the queue. */
struct item {
    struct digest object;
    char owner[NAME_CAP];
    uint64_t size;
    enum schedule_class class;
    uint32_t tenant;
    uint32_t wave;
};

/* One satellite. */
struct lane {
    char id[NAME_CAP];
    struct sending *of;
    uint32_t number; /* of the timetable */
    bool has_pass;   /* that it is handed to */
    bool unkept;     /* the pass has changed since it was kept */
    bool queued;     /* something is for it, in this round of the queue */
    struct store_pass pass;
    uint64_t room; /* bytes, in this round */
    struct dispatch_turns turns;
    size_t n;
    struct item *item; /* by object */
    size_t cap;
    struct dispatch_item *due; /* room for what a sender asks about */
};

struct sending {
    struct timetable *timetable;
    struct shares shares;
    bool unkept; /* tenants have used more since it was kept */
    bool resumed;
    bool stale; /* the queue has changed since passes were reserved */
    int64_t day, made_ms, settled_ms, forgot_ms;
    size_t n;
    struct lane **lane; /* by satellite */
};

static void lane_free(struct lane *lane)
{
    free(lane->item);
    free(lane->due);
    free(lane);
}

void sending_free(struct sending **sending)
{
    struct sending *s = *sending;

    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        lane_free(s->lane[i]);
    free(s->lane);
    timetable_free(&s->timetable);
    free(s);
    *sending = NULL;
}

enum rc sending_new(struct sending **ret, struct err *err)
{
    scoped(sending_free) struct sending *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, RC_NO_MEMORY, "sending");
    enum rc rc = timetable_new(&s->timetable, err);

    if (rc != RC_OK)
        return rc;
    *ret = s;
    s = NULL;
    return RC_OK;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static const char *lane_id(const void *lanes, size_t i)
{
    struct lane *const *lane = lanes;

    return lane[i]->id;
}

/* Where the lane of a satellite is among the sorted ones, or would be. */
static size_t place_of(const struct sending *s, const char *id)
{
    return sorted_place(s->lane, s->n, lane_id, id);
}

static struct lane *lane_at(const struct sending *s, size_t at, const char *id)
{
    return at < s->n && strcmp(s->lane[at]->id, id) == 0 ? s->lane[at] : NULL;
}

static struct lane *find_lane(const struct sending *s, const char *id)
{
    return lane_at(s, place_of(s, id), id);
}

static enum rc lane_of(struct sending *s, const char *id, struct lane **ret, struct err *err)
{
    const size_t at = place_of(s, id);

    *ret = lane_at(s, at, id);
    if (*ret)
        return RC_OK;
    struct lane **grown = realloc(s->lane, (s->n + 1) * sizeof(struct lane *));

    if (grown)
        s->lane = grown;
    *ret = grown ? calloc(1, sizeof **ret) : NULL;
    if (!*ret)
        return err_set(err, RC_NO_MEMORY, "lane");
    (void)snprintf((*ret)->id, NAME_CAP, "%s", id);
    (*ret)->of = s;
    (*ret)->number = timetable_number(s->timetable, id);
    memmove(&s->lane[at + 1], &s->lane[at], (s->n - at) * sizeof(struct lane *));
    s->lane[at] = *ret;
    s->n++;
    return RC_OK;
}

static int compare_items(const void *a, const void *b)
{
    return memcmp(((const struct item *)a)->object.b, ((const struct item *)b)->object.b,
                  DIGEST_SIZE);
}

static struct item *find_item(const struct lane *lane, const uint8_t object[DIGEST_SIZE])
{
    struct item key;

    memcpy(key.object.b, object, DIGEST_SIZE);
    return lane->n > 0 ? bsearch(&key, lane->item, lane->n, sizeof key, compare_items) : NULL;
}

/* ---- a tenant's day ------------------------------------------------------------------------- */

static enum rc load_used(struct sending *s, struct store *store, uint32_t tenant, struct err *err)
{
    char key[sizeof USED + NAME_CAP], value[64], *end = NULL;
    enum rc rc;

    (void)snprintf(key, sizeof key, USED "%s", s->shares.id[tenant]);
    rc = store_get(store, key, value, sizeof value, err);
    s->shares.tenant[tenant].used_bytes = 0;
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK && strtoll(value, &end, 10) == s->day && *end == ' ')
        s->shares.tenant[tenant].used_bytes = strtoull(end + 1, NULL, 10);
    return rc;
}

static enum rc keep_used(const struct sending *s, struct store *store, uint32_t tenant,
                         struct err *err)
{
    char key[sizeof USED + NAME_CAP], value[64];

    (void)snprintf(key, sizeof key, USED "%s", s->shares.id[tenant]);
    (void)snprintf(value, sizeof value, "%lld %llu", (long long)s->day,
                   (unsigned long long)s->shares.tenant[tenant].used_bytes);
    return store_set(store, key, value, err);
}

/* Number the tenants of what is queued; who is met first has used today what the store says. */
static enum rc number_tenants(struct sending *s, struct store *store, struct err *err)
{
    const struct fleet *fleet = timetable_fleet(s->timetable);
    const uint32_t known = s->shares.n;
    enum rc rc = RC_OK;

    for (size_t i = 0; fleet && i < s->n; i++)
        for (size_t k = 0; k < s->lane[i]->n; k++)
            s->lane[i]->item[k].tenant = shares_of(&s->shares, fleet, s->lane[i]->item[k].owner);
    for (uint32_t i = known; rc == RC_OK && i < s->shares.n; i++)
        rc = load_used(s, store, i, err);
    return rc;
}

/* Tenants by another fleet file: nobody's turn is anybody's any more. */
static enum rc number_anew(struct sending *s, struct store *store, struct err *err)
{
    s->shares = (struct shares){ 0 };
    for (size_t i = 0; i < s->n; i++) {
        s->lane[i]->number = timetable_number(s->timetable, s->lane[i]->id);
        s->lane[i]->turns = (struct dispatch_turns){ 0 };
    }
    return number_tenants(s, store, err);
}

/* A new UTC day: nobody has used anything of it. */
static void begin_day(struct sending *s, int64_t day)
{
    for (uint32_t i = 0; i < s->shares.n && s->day != day; i++)
        s->shares.tenant[i].used_bytes = 0;
    s->day = day;
}

/* ---- the queue ------------------------------------------------------------------------------ */

static enum schedule_class class_of(const struct store_outgoing *row, const struct sending_wave *w)
{
    if (row->class <= CLASS_ORDER)
        return SCHEDULE_TRUST;
    return w->is_canary ? SCHEDULE_CANARY : SCHEDULE_ROLLOUT;
}

/* Rows of one satellite, at least one. */
static enum rc queue_lane(struct sending *s, const struct sending_waves *waves,
                          const struct view *view, const struct store_outgoing *rows, size_t n,
                          const struct sending_owner *owner, struct err *err)
{
    struct lane *lane = NULL;
    enum rc rc = lane_of(s, rows[0].satellite, &lane, err);
    struct item *list = rc == RC_OK ? calloc(n, sizeof *list) : NULL;

    if (rc == RC_OK && !list)
        rc = err_set(err, RC_NO_MEMORY, "queue of %s", lane->id);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        const struct item *known = find_item(lane, rows[i].object.b);
        const struct sending_wave wave = sending_wave_of(waves, view, &rows[i]);
        struct item *item = &list[i];

        *item = (struct item){ .object = rows[i].object,
                               .size = rows[i].size,
                               .class = class_of(&rows[i], &wave),
                               .tenant = SCHEDULE_OPERATOR,
                               .wave = wave.index };
        if (known)
            memcpy(item->owner, known->owner, sizeof item->owner);
        else
            owner->fn(owner->arg, &rows[i], item->owner);
    }
    qsort(list, n, sizeof list[0], compare_items);
    free(lane->item);
    lane->item = list;
    lane->n = n;
    lane->queued = true;
    return RC_OK;
}

enum rc sending_queue(struct sending *s, struct store *store, const struct view *view,
                      const struct store_outgoing *rows, size_t n,
                      const struct sending_owner *owner, struct err *err)
{
    scoped(sending_waves_done) struct sending_waves waves = { 0 };
    struct lane *lane = NULL;
    enum rc rc = sending_waves_load(store, &waves, err);

    for (size_t i = 0; rc == RC_OK && i < view->n; i++) /* passes are told of all of them */
        rc = lane_of(s, view->satellite[i].row.id, &lane, err);

    for (size_t i = 0; i < s->n; i++)
        s->lane[i]->queued = false;
    for (size_t i = 0, to = 0; rc == RC_OK && i < n; i = to) {
        for (to = i; to < n && strcmp(rows[to].satellite, rows[i].satellite) == 0;)
            to++;
        rc = queue_lane(s, &waves, view, rows + i, to - i, owner, err);
    }
    for (size_t i = 0; rc == RC_OK && i < s->n; i++)
        if (!s->lane[i]->queued)
            s->lane[i]->n = 0;
    s->stale = true;
    return rc == RC_OK ? number_tenants(s, store, err) : rc;
}

/* ---- reserve -------------------------------------------------------------------------------- */

/* What is queued for satellites that are governed, whole: what of it is on board already makes a
 * pass of two days hence no better. */
static enum rc list_jobs(const struct sending *s, struct schedule_job **ret, uint32_t *ret_n,
                         struct err *err)
{
    size_t sum = 0;
    uint32_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += s->lane[i]->n;
    struct schedule_job *job = sum < UINT32_MAX ? calloc(sum + 1, sizeof *job) : NULL;

    if (!job)
        return err_set(err, RC_NO_MEMORY, "%zu objects", sum);
    for (size_t i = 0; i < s->n; i++) {
        const struct lane *lane = s->lane[i];

        for (size_t k = 0; lane->number != TIMETABLE_NONE && k < lane->n; k++)
            job[n++] = (struct schedule_job){ .satellite = lane->number,
                                              .tenant = lane->item[k].tenant,
                                              .class = lane->item[k].class,
                                              .wave = lane->item[k].wave,
                                              .bytes = lane->item[k].size,
                                              .deadline_ms = INT64_MAX };
    }
    *ret = job;
    *ret_n = n;
    return RC_OK;
}

static bool is_due(int64_t last_ms, int64_t now_ms, int64_t every_ms)
{
    return now_ms < last_ms || now_ms - last_ms >= every_ms;
}

static enum rc make(struct sending *s, struct store *store, int64_t now_ms, struct err *err)
{
    scoped(free_ptr) struct schedule_job *job = NULL;
    uint32_t n = 0;
    enum rc rc = list_jobs(s, &job, &n, err);

    if (rc == RC_OK)
        rc = timetable_make(s->timetable, store, &s->shares, job, n, now_ms, err);
    if (rc != RC_OK)
        return rc;
    s->made_ms = now_ms;
    s->stale = false;
    return RC_OK;
}

/* ---- passes --------------------------------------------------------------------------------- */

/* Passes that were under way when the program ended. */
static enum rc resume(struct sending *s, struct store *store, int64_t now_ms, struct err *err)
{
    scoped(free_ptr) struct store_pass *rows = NULL;
    size_t n = 0;
    enum rc rc = store_passes(store, (uint64_t)now_ms, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct lane *lane = NULL;

        if (rows[i].state != CONTACT_RESERVED && rows[i].state != CONTACT_EXECUTING)
            continue;
        rc = lane_of(s, rows[i].satellite, &lane, err);
        if (rc != RC_OK || lane->has_pass)
            continue;
        lane->pass = rows[i];
        lane->has_pass = true;
    }
    s->resumed = rc == RC_OK;
    return rc;
}

static void move_pass(struct sending *s, struct lane *lane, int64_t now_ms)
{
    struct store_pass *p = &lane->pass;

    if (lane->has_pass && now_ms >= (int64_t)p->los_ms && !lane->unkept)
        lane->has_pass = false;
    if (!lane->has_pass && lane->number != TIMETABLE_NONE &&
        timetable_pass(s->timetable, lane->number, now_ms, p)) {
        p->state = CONTACT_RESERVED;
        lane->has_pass = lane->unkept = true;
        log_event(LOG_LEVEL_INFO, "pass satellite=%s station=%s begins_ms=%llu bytes=%llu of=%llu",
                  lane->id, p->station, (unsigned long long)p->aos_ms,
                  (unsigned long long)p->planned, (unsigned long long)p->capacity);
    }
    if (lane->has_pass && p->state == CONTACT_RESERVED && now_ms >= (int64_t)p->aos_ms) {
        p->state = CONTACT_EXECUTING;
        lane->unkept = true;
    }
}

/* What passes have come to, and those that nobody wants to know of any more. */
static enum rc settle(struct sending *s, struct store *store, int64_t now_ms, bool *ret_changed,
                      struct err *err)
{
    enum rc rc = RC_OK;

    if (is_due(s->settled_ms, now_ms, SETTLE_MS)) {
        rc = settle_passes(store, now_ms, ret_changed, err);
        s->settled_ms = now_ms;
    }
    if (rc == RC_OK && is_due(s->forgot_ms, now_ms, FORGET_MS) &&
        now_ms > (int64_t)STORE_PASSES_MS) {
        rc = store_forget_passes(store, (uint64_t)now_ms - STORE_PASSES_MS, err);
        s->forgot_ms = now_ms;
    }
    return rc;
}

enum rc sending_tick(struct sending *s, const struct home *home, int64_t now_ms, bool *ret_settled,
                     struct err *err)
{
    bool changed = false;
    enum rc rc = timetable_look(s->timetable, home, now_ms, &changed, err);

    begin_day(s, now_ms / SCHEDULE_DAY_MS);
    if (rc == RC_OK && changed)
        rc = number_anew(s, home->store, err);
    if (!timetable_fleet(s->timetable) && !s->resumed)
        return rc; /* there never was a pass, and none is to come */
    if (rc == RC_OK && !s->resumed)
        rc = resume(s, home->store, now_ms, err);
    if (rc == RC_OK && (changed || (s->stale && is_due(s->made_ms, now_ms, MAKE_MIN_MS)) ||
                        is_due(s->made_ms, now_ms, MAKE_MAX_MS)))
        rc = make(s, home->store, now_ms, err);
    for (size_t i = 0; rc == RC_OK && i < s->n; i++)
        move_pass(s, s->lane[i], now_ms);
    if (rc == RC_OK)
        rc = sending_keep(s, home->store, err);
    return rc == RC_OK ? settle(s, home->store, now_ms, ret_settled, err) : rc;
}

enum rc sending_keep(struct sending *s, struct store *store, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    bool any = s->unkept;
    enum rc rc = RC_OK;

    for (size_t i = 0; i < s->n && !any; i++)
        any = s->lane[i]->unkept;
    if (!any)
        return RC_OK;
    rc = store_join(store, &open, err);
    for (size_t i = 0; rc == RC_OK && i < s->n; i++)
        if (s->lane[i]->unkept)
            rc = store_put_pass(store, &s->lane[i]->pass, err);
    for (uint32_t i = 0; rc == RC_OK && s->unkept && i < s->shares.n; i++)
        if (s->shares.tenant[i].daily_bytes > 0)
            rc = keep_used(s, store, i, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < s->n; i++)
        s->lane[i]->unkept = false;
    s->unkept = false;
    return RC_OK;
}

/* ---- senders -------------------------------------------------------------------------------- */

/* What the sender asks about, as the core sees it.  Something that is in no queue any more goes
 * last, as the operator's. */
static struct dispatch_item item_of(const struct lane *lane, const struct sender_due *due)
{
    const struct item *item = find_item(lane, due->digest);
    struct dispatch_item ret = { .class = SCHEDULE_PREFETCH,
                                 .tenant = SCHEDULE_OPERATOR,
                                 .left = due->left,
                                 .next = due->bytes };

    if (item) {
        ret.class = item->class;
        ret.tenant = item->tenant;
        ret.wave = item->wave;
    }
    return ret;
}

static size_t pick(void *arg, const struct sender_due *due, size_t n)
{
    struct lane *lane = arg;

    if (n > lane->cap) {
        struct dispatch_item *grown = realloc(lane->due, n * sizeof *grown);

        if (!grown) /* next round, then */
            return n;
        lane->due = grown;
        lane->cap = n;
    }
    for (size_t i = 0; i < n; i++)
        lane->due[i] = item_of(lane, &due[i]);
    return dispatch_pick(&lane->turns, &lane->of->shares, lane->due, n, lane->room);
}

static void sent(void *arg, const struct sender_due *due)
{
    struct lane *lane = arg;
    const struct dispatch_item item = item_of(lane, due);

    dispatch_sent(&lane->turns, &lane->of->shares, &item, due->bytes);
    lane->room -= lane->room < due->bytes ? lane->room : due->bytes;
    lane->pass.sent += due->bytes;
    lane->unkept = lane->of->unkept = true;
}

static struct dispatch_pass pass_now(const struct lane *lane)
{
    return (struct dispatch_pass){ .aos_ms = (int64_t)lane->pass.aos_ms,
                                   .los_ms = (int64_t)lane->pass.los_ms,
                                   .capacity = lane->pass.capacity,
                                   .sent = lane->pass.sent };
}

/* lane may be NULL. */
static enum sending_gate gate_of(const struct lane *lane, int64_t now_ms)
{
    if (!lane || (lane->number == TIMETABLE_NONE && !lane->has_pass))
        return SENDING_FREE;
    const struct dispatch_pass pass = pass_now(lane);

    if (!lane->has_pass || !dispatch_is_open(&pass, now_ms))
        return SENDING_CLOSED;
    return now_ms < pass.aos_ms ? SENDING_EARLY : SENDING_OPEN;
}

enum sending_gate sending_look(const struct sending *s, const char *satellite, int64_t now_ms)
{
    return gate_of(find_lane(s, satellite), now_ms);
}

enum sending_gate sending_gate(struct sending *s, const char *satellite, struct sender *sender,
                               int64_t now_ms, uint64_t files_left)
{
    struct lane *lane = find_lane(s, satellite);
    const enum sending_gate gate = gate_of(lane, now_ms);

    if (gate == SENDING_FREE)
        sender_set_order(sender, NULL);
    if (gate == SENDING_FREE || gate == SENDING_CLOSED)
        return gate;
    const struct dispatch_pass pass = pass_now(lane);
    const struct sender_order order = { .pick = pick, .sent = sent, .arg = lane };

    lane->room = dispatch_room(&pass, now_ms, files_left);
    sender_set_order(sender, &order);
    return gate;
}
