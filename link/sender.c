/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sender.h"

#include <limits.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "link/sender_parts.h"

#define CHUNK_MIN_DEFAULT (32U * 1024U)
#define CHUNK_MAX_DEFAULT (64U * 1024U) /* a minute at 9,600 bit/s, shorter than a pass */
#define CHUNK_START (32U * 1024U)       /* while nothing is known of losses */
#define FRAME 1115U                     /* bytes of what a radio loses at once */
#define FLIGHT_DEFAULT_MS 1000U
#define RESEND_DEFAULT_MS 30000U
/* Chunks after which a descriptor that nobody acknowledged goes again, then after twice as many,
 * and so on. */
#define HEAD_EVERY 24U
#define STUCK_REPORTS 4U /* see struct entry, stuck */
#define ASKS 4U          /* times that the head goes and asks for a report before all goes again */
#define BACKOFF_MAX 6U   /* doublings of resend_ms */
#define LOSS_START 300U  /* of 1000 bundles, on a one-way link of which nothing is known */
#define REPAIRS_MORE 10U /* for 100 chunks, beyond what the loss needs on average */
#define LEARNT_MAX 4096U /* bundles that an estimate rests on; half fade when it is reached */

static_assert(SENDER_CHUNK_MIN == TRANSFER_CHUNK_MIN, "the same");
static_assert(SENDER_REPAIRS_MAX <= 100U * FEC_REPAIR_MAX / FEC_DATA_MAX, "so many repairs exist");

static void entry_free(struct entry **entry)
{
    struct entry *e = *entry;

    if (e == NULL)
        return;
    free(e->digests);
    free(e->sent_ms);
    free(e->missing);
    free(e);
    *entry = NULL;
}

static uint32_t within(uint32_t value, uint32_t standard, uint32_t min, uint32_t max)
{
    if (value == 0)
        value = standard;
    return value < min ? min : value > max ? max : value;
}

enum rc sender_new(const struct sender_options *options, struct sender **ret, struct err *err)
{
    struct sender *s = calloc(1, sizeof *s);
    struct sender_options *o;

    if (s == NULL)
        return err_set(err, RC_NO_MEMORY, "sender");
    o = &s->options;
    *o = *options;
    if (o->chunk_size != 0)
        o->chunk_size = within(o->chunk_size, 0, TRANSFER_CHUNK_MIN, CHUNK_MAX);
    /* What is not said gives way to what is. */
    if (o->chunk_max == 0)
        o->chunk_max = o->chunk_min > CHUNK_MAX_DEFAULT ? o->chunk_min : CHUNK_MAX_DEFAULT;
    o->chunk_max = within(o->chunk_max, 0, TRANSFER_CHUNK_MIN, CHUNK_MAX);
    o->chunk_min = within(o->chunk_min, CHUNK_MIN_DEFAULT, TRANSFER_CHUNK_MIN, o->chunk_max);
    o->repairs = within(o->repairs, 0, 0, SENDER_REPAIRS_MAX);
    o->flight_ms = o->flight_ms == 0 ? FLIGHT_DEFAULT_MS : o->flight_ms;
    o->resend_ms = o->resend_ms == 0 ? RESEND_DEFAULT_MS : o->resend_ms;
    *ret = s;
    return RC_OK;
}

void sender_free(struct sender **sender)
{
    struct sender *s = *sender;

    if (s == NULL)
        return;
    while (s->first != NULL) {
        struct entry *e = s->first;

        s->first = e->next;
        entry_free(&e);
    }
    free(s);
    *sender = NULL;
}

/* The place in the list that points at the entry with this digest, or at the final NULL. */
static struct entry **find(struct sender *s, const uint8_t digest[DIGEST_SIZE])
{
    struct entry **at = &s->first;

    while (*at != NULL && memcmp((*at)->object.digest, digest, DIGEST_SIZE) != 0)
        at = &(*at)->next;
    return at;
}

static bool listed_complete(const struct sender *s, const uint8_t digest[DIGEST_SIZE])
{
    for (uint32_t i = 0; i < s->n_complete; i++) {
        if (memcmp(s->complete[i], digest, DIGEST_SIZE) == 0)
            return true;
    }
    return false;
}

/* ---- losses -----------------------------------------------------------------------------------
 */

void sender_learn(struct sender *s, uint64_t sent, uint64_t lost, uint64_t bytes)
{
    if (sent == 0 || sent > UINT32_MAX || lost > sent || bytes / sent > BUNDLE_MAX)
        return;
    s->learnt_sent += sent;
    s->learnt_lost += lost;
    s->learnt_bytes += bytes;
    while (s->learnt_sent > LEARNT_MAX) {
        s->learnt_sent /= 2;
        s->learnt_lost /= 2;
        s->learnt_bytes /= 2;
    }
}

uint32_t sender_loss(const struct sender *s)
{
    if (s->learnt_sent == 0)
        return s->options.one_way ? LOSS_START : 0;
    return (uint32_t)(s->learnt_lost * 1000U / s->learnt_sent);
}

/* -ln(1 - loss): how many losses of frames a bundle meets on average. */
static double hits_of(double loss)
{
    double power = 1, sum = 0;

    for (unsigned k = 1; k <= 64; k++) {
        power *= loss;
        sum += power / k;
    }
    return sum;
}

/* The power of two within the bounds that wastes least, when frames are lost one by one: what a
 * bundle adds to a chunk of c bytes, and what is sent again, overhead / c + p * c / FRAME. */
static uint32_t choose_chunk_size(const struct sender *s)
{
    const struct sender_options *o = &s->options;
    uint32_t best = within(CHUNK_START, 0, o->chunk_min, o->chunk_max);
    double least = -1;

    if (o->chunk_size != 0)
        return o->chunk_size;
    if (s->learnt_sent == 0 || s->learnt_bytes == 0)
        return best;
    const double hits = hits_of((double)s->learnt_lost / (double)s->learnt_sent);
    const double p = hits * FRAME * (double)s->learnt_sent / (double)s->learnt_bytes;

    for (uint32_t c = TRANSFER_CHUNK_MIN; c <= o->chunk_max; c *= 2) {
        const double waste = (double)SENDER_OVERHEAD / c + p * c / FRAME;

        if (c >= o->chunk_min && (least < 0 || waste < least)) {
            least = waste;
            best = c;
        }
    }
    return best;
}

/* Repairs that should go with so many chunks of a group. */
static uint32_t repairs_for(const struct sender *s, uint32_t chunks)
{
    const uint32_t loss = sender_loss(s) > 900 ? 900 : sender_loss(s);
    uint32_t share = s->options.repairs;

    if (share == 0 && s->options.one_way)
        share = within(loss * 100U / (1000U - loss) + REPAIRS_MORE, 0, 0, SENDER_REPAIRS_MAX);
    return (chunks * share + 99U) / 100U;
}

/* ---- the queue --------------------------------------------------------------------------------
 */

/* Memory for an object's chunks. */
static enum rc cut(struct entry *e, uint32_t chunk_size, struct err *err)
{
    /* Doubled, so that whoever begins anew, and knows of other losses, can tell from the number of
     * chunks how the object was cut. */
    while (((uint64_t)chunk_size * CHUNKS_MAX) < e->object.size)
        chunk_size = chunk_size > CHUNK_MAX / 2 ? CHUNK_MAX : chunk_size * 2;
    e->chunk_size = chunk_size;
    e->least = CHUNKS_MAX + 1;
    e->chunks = (uint32_t)((e->object.size + chunk_size - 1) / chunk_size);
    e->digests = calloc(e->chunks, DIGEST_SIZE);
    e->sent_ms = calloc(e->chunks, sizeof *e->sent_ms);
    e->missing = calloc(e->chunks, sizeof *e->missing);
    if (e->digests == NULL || e->sent_ms == NULL || e->missing == NULL)
        return err_set(err, RC_NO_MEMORY, "object of %u chunks", e->chunks);
    for (uint32_t i = 0; i < e->chunks; i++) {
        e->sent_ms[i] = NEVER;
        e->missing[i] = true;
    }
    return RC_OK;
}

/* Read the object once: digests of its chunks, and its own against what was said. */
static enum rc measure(struct entry *e, struct err *err)
{
    scoped(sha256_free) struct sha256 *whole = NULL;
    uint32_t step = e->chunks == 0 ? (uint32_t)e->object.size : e->chunk_size;
    scoped(free_ptr) uint8_t *buf = malloc(step);
    uint8_t digest[DIGEST_SIZE];

    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk buffer");
    enum rc rc = sha256_new(&whole, err);
    for (uint64_t at = 0; rc == RC_OK && at < e->object.size; at += step) {
        uint32_t n = transfer_chunk_bytes(e->object.size, step, (uint32_t)(at / step));
        struct bytes data = { buf, n };

        rc = e->source.read(e->source.arg, at, buf, n, err);
        if (rc == RC_OK)
            rc = sha256_add(whole, data, err);
        if (rc == RC_OK && e->chunks != 0)
            rc = sha256_of(data, e->digests + at / step * DIGEST_SIZE, err);
    }
    if (rc == RC_OK)
        rc = sha256_end(whole, digest, err);
    if (rc == RC_OK && memcmp(digest, e->object.digest, DIGEST_SIZE) != 0)
        return err_set(err, RC_OBJECT_DIGEST, "object to send");
    return rc;
}

static uint32_t wheel_size(const struct entry *e)
{
    return (fec_group_size(e->chunks, 0) + FEC_REPAIR_MAX) * fec_groups(e->chunks);
}

static void begin_turns(const struct sender *s, struct entry *e)
{
    e->turned = 0;
    e->wheel = e->chunks > 0 ? s->options.wheel % wheel_size(e) : 0;
}

enum rc sender_add(struct sender *s, const struct sender_object *object,
                   struct sender_source source, struct err *err)
{
    struct entry **at = find(s, object->digest);

    if (*at != NULL && !(*at)->complete)
        return err_set(err, RC_EXISTS, "object is queued already");
    if (object->size == 0 || object->size > OBJECT_MAX)
        return err_set(err, RC_TOO_LARGE, "object of %llu bytes", (unsigned long long)object->size);
    if (object->kind < OBJECT_ROOT || object->kind > OBJECT_KIND_MAX)
        return err_set(err, RC_OBJECT_KIND, "object kind %u", object->kind);

    scoped(entry_free) struct entry *e = calloc(1, sizeof *e);

    if (e == NULL)
        return err_set(err, RC_NO_MEMORY, "queue entry");
    e->object = *object;
    e->source = source;
    e->head_ms = e->report_ms = e->turn_ms = e->cut_ms = NEVER;
    const struct trace *before = sender_trace(s, object);
    /* The same bytes are queued anew of everything but mail, which is numbered. */
    e->stale = !before && object->kind != OBJECT_MAIL && listed_complete(s, object->digest);
    enum rc rc = RC_OK;
    if (object->size > TRANSFER_INLINE_MAX)
        rc = cut(e, before ? sender_trace_chunk_size(before) : choose_chunk_size(s), err);
    if (rc == RC_OK)
        rc = measure(e, err);
    if (rc != RC_OK)
        return rc;
    for (uint32_t g = 0; e->chunks > 0 && g < fec_groups(e->chunks); g++)
        e->repairs_due[g] = (uint8_t)repairs_for(s, fec_group_size(e->chunks, g));
    begin_turns(s, e);
    if (before)
        sender_trace_apply(before, e);
    sender_remove(s, object->digest);
    for (at = &s->first; *at != NULL; at = &(*at)->next)
        continue;
    *at = e;
    e = NULL;
    return RC_OK;
}

bool sender_remove(struct sender *s, const uint8_t digest[DIGEST_SIZE])
{
    struct entry **at = find(s, digest);
    struct entry *e = *at;

    if (e == NULL)
        return false;
    *at = e->next;
    entry_free(&e);
    return true;
}

/* The satellite has begun with another cut of the object, of before this sender was started: go on
 * with that one.  False if it is none of ours, or if the last one was taken over only just now: it
 * costs reading the whole object, and who says another cut in every report would have that done
 * without end. */
static bool adopt(const struct sender *s, struct entry *e, uint32_t chunks, uint64_t now_ms)
{
    struct entry other = { .object = e->object, .source = e->source };
    uint32_t size = TRANSFER_CHUNK_MIN;
    struct err ignored;

    while (size < CHUNK_MAX && (e->object.size + size - 1) / size != chunks)
        size *= 2;
    if (e->chunks == 0 || (e->object.size + size - 1) / size != chunks)
        return false;
    if (e->cut_ms != NEVER && now_ms - e->cut_ms < s->options.resend_ms)
        return false;
    e->cut_ms = now_ms;
    if (cut(&other, size, &ignored) != RC_OK || other.chunks != chunks ||
        measure(&other, &ignored) != RC_OK) {
        free(other.digests);
        free(other.sent_ms);
        free(other.missing);
        return false;
    }
    free(e->digests);
    free(e->sent_ms);
    free(e->missing);
    e->chunk_size = other.chunk_size;
    e->chunks = other.chunks;
    e->digests = other.digests;
    e->sent_ms = other.sent_ms;
    e->missing = other.missing;
    e->least = other.least;
    memset(e->repair_next, 0, sizeof e->repair_next);
    begin_turns(s, e);
    return true;
}

/* What the ranges of a report say. */
static void take_ranges(struct entry *e, const struct transfer_status *t)
{
    uint32_t at = 0; /* chunks below are settled */

    for (uint32_t i = 0; i < t->n_missing && i < PORT_RANGES_MAX; i++) {
        const struct transfer_range *range = &t->missing[i];

        if (range->first < at || range->first >= e->chunks ||
            range->count > e->chunks - range->first)
            return;
        while (at < range->first)
            e->missing[at++] = false;
        while (at < range->first + range->count)
            e->missing[at++] = true;
    }
    while (t->more == 0 && at < e->chunks)
        e->missing[at++] = false;
    e->known = at;
}

/* The satellite lists the object as under way. */
static void take_status(const struct sender *s, struct entry *e, const struct transfer_status *t,
                        uint64_t now_ms)
{
    e->report_ms = e->active_ms = now_ms;
    e->quiet = 0;
    e->stale = false;
    e->known = 0;
    /* It knows chunks but not the descriptor, or another cut of the same object. */
    e->acknowledged = t->chunks != 0 && (t->chunks == e->chunks || adopt(s, e, t->chunks, now_ms));
    if (!e->acknowledged)
        return;
    take_ranges(e, t);

    uint32_t needed[FEC_GROUPS_MAX] = { 0 };
    uint32_t all = 0;

    for (uint32_t i = 0; i < e->chunks; i++) {
        needed[i % fec_groups(e->chunks)] += i < e->known && e->missing[i] ? 1 : 0;
        all += e->missing[i] ? 1 : 0;
    }
    const bool is_newer = now_ms > e->went_ms; /* not one of before, which is told again */

    e->stuck = all < e->least ? 0 : e->went && is_newer ? e->stuck + 1 : e->stuck;
    e->least = all < e->least ? all : e->least;
    e->went = e->went && !is_newer;
    for (uint32_t g = 0; g < fec_groups(e->chunks); g++)
        e->repairs_due[g] = (uint8_t)repairs_for(s, needed[g]);
}

/* The satellite says that it has the object. */
static void take_complete(struct entry *e, uint64_t now_ms)
{
    e->report_ms = e->active_ms = now_ms;
    e->quiet = 0;
    if (e->head_ms == NEVER)
        e->stale = true;
    e->complete = !e->stale || (e->heads >= SENDER_STALE_SENDS && now_ms > e->went_ms);
}

/* The report does not name the object. */
static void take_absent(struct entry *e, bool list_is_full, uint64_t now_ms)
{
    e->stale = false;
    if (list_is_full)
        return; /* says nothing */
    e->report_ms = e->active_ms = now_ms;
    e->quiet = 0;
    e->known = 0; /* the head goes again; its answer tells which chunks are needed */
    e->stuck = 0;
    e->least = CHUNKS_MAX + 1;
    if (!e->acknowledged)
        return;
    e->acknowledged = false;
    for (uint32_t i = 0; i < e->chunks; i++)
        e->missing[i] = true;
}

void sender_report(struct sender *s, const struct port_transfers *report, uint64_t now_ms)
{
    assert(report->n_transfers <= PORT_TRANSFERS_MAX && report->n_complete <= PORT_COMPLETE_MAX);
    s->n_complete = report->n_complete;
    memcpy(s->complete, report->complete, sizeof s->complete);
    for (struct entry *e = s->first; e != NULL; e = e->next) {
        const struct transfer_status *status = NULL;

        if (e->complete)
            continue;
        for (uint32_t i = 0; i < report->n_transfers; i++) {
            if (memcmp(report->transfer[i].object, e->object.digest, DIGEST_SIZE) == 0)
                status = &report->transfer[i];
        }
        if (listed_complete(s, e->object.digest))
            take_complete(e, now_ms);
        else if (status != NULL)
            take_status(s, e, status, now_ms);
        else
            take_absent(e, report->n_transfers == PORT_TRANSFERS_MAX, now_ms);
    }
}

/* ---- what is due ------------------------------------------------------------------------------
 */

/* What is to be sent of an object. */
struct choice {
    enum { NOTHING, HEAD, CHUNK, REPAIR } what;
    uint32_t index;  /* of a chunk; of a repair's group */
    uint32_t number; /* of a repair */
};

/* Nobody has said a word for long.  First the head asks for one; when that brings none, all goes
 * again.  A little more patience each time. */
static void wake(const struct sender *s, struct entry *e, uint64_t now_ms)
{
    const uint32_t doublings = e->quiet / ASKS < BACKOFF_MAX ? e->quiet / ASKS : BACKOFF_MAX;

    if (s->options.one_way || e->chunks == 0 || e->head_ms == NEVER || now_ms <= e->active_ms ||
        now_ms - e->active_ms < s->options.resend_ms << doublings)
        return;
    e->active_ms = now_ms;
    e->quiet++;
    e->head_ms = NEVER;
    for (uint32_t i = 0; e->quiet % ASKS == 0 && i < e->chunks; i++)
        e->sent_ms[i] = e->missing[i] ? NEVER : e->sent_ms[i];
}

void sender_hold(struct sender *s, uint64_t now_ms)
{
    for (struct entry *e = s->first; e != NULL; e = e->next) {
        if (e->complete || e->went_ms == 0 || now_ms - e->went_ms >= SENDER_HOLD_MS)
            continue;
        e->active_ms = now_ms;
        e->turn_ms = e->turn_ms == NEVER ? NEVER : now_ms;
    }
}

/* Whether only the head may go. */
static bool waits_for_answer(const struct entry *e)
{
    return (e->stale || e->object.offer) && !e->acknowledged;
}

/* The lowest chunk that is due, or else a repair. */
static struct choice body_due(const struct sender *s, const struct entry *e)
{
    if (waits_for_answer(e))
        return (struct choice){ 0 };
    for (uint32_t i = 0; i < e->chunks; i++)
        if (chunk_is_due(s, e, i))
            return (struct choice){ .what = CHUNK, .index = i };
    for (uint32_t g = 0; e->chunks > 0 && g < fec_groups(e->chunks); g++)
        if (e->repairs_due[g] > 0)
            return (struct choice){ .what = REPAIR, .index = g, .number = e->repair_next[g] };
    return (struct choice){ 0 };
}

/* A descriptor goes until it is acknowledged, less and less often between chunks. */
static bool head_is_due(const struct sender *s, const struct entry *e, uint64_t now_ms)
{
    const uint32_t doublings = e->spaced < BACKOFF_MAX * 2 ? e->spaced : BACKOFF_MAX * 2;

    if (e->head_ms == NEVER)
        return true;
    if (e->acknowledged)
        return e->stuck >= STUCK_REPORTS;
    if (is_lost(s, e, e->head_ms) || e->since >= HEAD_EVERY << doublings)
        return true;
    return (e->chunks == 0 || waits_for_answer(e)) && now_ms > e->active_ms &&
           now_ms - e->active_ms >= s->options.resend_ms;
}

/* ---- one way ----------------------------------------------------------------------------------
 */

/* A row of the wheel has a chunk or a repair of each group: first the chunks, place by place, then
 * the repairs by number. */
static struct choice wheel_at(const struct entry *e, uint32_t at)
{
    const uint32_t group = at % fec_groups(e->chunks), row = at / fec_groups(e->chunks);
    const uint32_t k = fec_group_size(e->chunks, group);

    if (row < k)
        return (struct choice){ .what = CHUNK, .index = row * fec_groups(e->chunks) + group };
    if (row - k < FEC_REPAIR_MAX)
        return (struct choice){ .what = REPAIR, .index = group, .number = row - k };
    return (struct choice){ 0 }; /* the last row has a place too many for smaller groups */
}

/* The next thing of a turn; a turn that is over waits until resend_ms after its begin. */
static struct choice turn(const struct sender *s, struct entry *e, uint64_t now_ms)
{
    if (e->chunks == 0 || waits_for_answer(e))
        return (struct choice){ .what = head_is_due(s, e, now_ms) ? HEAD : NOTHING };
    if (e->turn_ms == NEVER ||
        (e->turned >= e->chunks + repairs_for(s, e->chunks) && now_ms > e->turn_ms &&
         now_ms - e->turn_ms >= s->options.resend_ms)) {
        e->turn_ms = now_ms;
        e->turned = e->spaced = e->since = 0;
        e->head_ms = NEVER;
    }
    if (e->turned >= e->chunks + repairs_for(s, e->chunks))
        return (struct choice){ 0 };
    if (head_is_due(s, e, now_ms))
        return (struct choice){ .what = HEAD };
    while (wheel_at(e, e->wheel).what == NOTHING)
        e->wheel = (e->wheel + 1) % wheel_size(e);
    return wheel_at(e, e->wheel);
}

static struct choice choice_of(const struct sender *s, struct entry *e, uint64_t now_ms)
{
    if (s->options.one_way)
        return turn(s, e, now_ms);
    wake(s, e, now_ms);
    if (head_is_due(s, e, now_ms))
        return (struct choice){ .what = HEAD };
    return body_due(s, e);
}

/* What goes first: documents, then mail, then descriptors of packages, then the rest of them. */
static unsigned rank_of(const struct entry *e, const struct choice *c)
{
    if (e->object.kind == OBJECT_PACKAGE)
        return c->what == HEAD ? 2 : 3;
    return e->object.kind == OBJECT_MAIL ? 1 : 0;
}

/* The next object with something due: of the lowest rank, the one that was queued first. */
static struct entry *choose_own(const struct sender *s, uint64_t now_ms, struct choice *ret)
{
    struct entry *best = NULL;
    unsigned rank = UINT_MAX;

    for (struct entry *e = s->first; e != NULL && rank > 0; e = e->next) {
        if (e->complete || e->retry_ms > now_ms)
            continue;
        const struct choice c = choice_of(s, e, now_ms);

        if (c.what == NOTHING || rank_of(e, &c) >= rank)
            continue;
        rank = rank_of(e, &c);
        *ret = c;
        best = e;
    }
    return best;
}

/* About what the message comes to: fields around the data are within SENDER_OVERHEAD. */
static uint64_t message_bytes(const struct entry *e, const struct choice *c)
{
    if (c->what == CHUNK)
        return SENDER_OVERHEAD + transfer_chunk_bytes(e->object.size, e->chunk_size, c->index);
    if (c->what == REPAIR)
        return SENDER_OVERHEAD + e->chunk_size;
    return SENDER_OVERHEAD + (e->chunks > 0 ? (uint64_t)e->chunks * DIGEST_SIZE : e->object.size);
}

static uint64_t left_of(const struct entry *e)
{
    uint64_t left = e->chunks == 0 ? e->object.size : 0;

    for (uint32_t i = 0; i < e->chunks; i++)
        left += e->missing[i] ? e->chunk_size : 0;
    return left;
}

struct candidate {
    struct entry *entry;
    struct choice choice;
};

/* All that is due, in the order in which the sender itself would take it. */
static size_t list_due(const struct sender *s, uint64_t now_ms, struct candidate *list,
                       struct sender_due *due)
{
    size_t n = 0;

    for (struct entry *e = s->first; e != NULL; e = e->next) {
        struct choice c = { 0 };
        size_t at = n;

        if (!e->complete && e->retry_ms <= now_ms)
            c = choice_of(s, e, now_ms);
        if (c.what == NOTHING)
            continue;
        for (; at > 0 && rank_of(list[at - 1].entry, &list[at - 1].choice) > rank_of(e, &c); at--) {
            list[at] = list[at - 1];
            due[at] = due[at - 1];
        }
        list[at] = (struct candidate){ .entry = e, .choice = c };
        due[at] = (struct sender_due){ .kind = e->object.kind,
                                       .bytes = message_bytes(e, &c),
                                       .left = left_of(e) };
        memcpy(due[at].digest, e->object.digest, DIGEST_SIZE);
        n++;
    }
    return n;
}

static enum rc choose_ordered(const struct sender *s, uint64_t now_ms, struct entry **ret,
                              struct choice *ret_choice, struct err *err)
{
    size_t n = 0;

    for (const struct entry *e = s->first; e != NULL; e = e->next)
        n++;
    scoped(free_ptr) struct candidate *list = calloc(n + 1, sizeof *list);
    scoped(free_ptr) struct sender_due *due = calloc(n + 1, sizeof *due);

    if (list == NULL || due == NULL)
        return err_set(err, RC_NO_MEMORY, "queue of %zu objects", n);
    n = list_due(s, now_ms, list, due);
    const size_t at = n > 0 ? s->order.pick(s->order.arg, due, n) : 0;

    if (at < n) {
        *ret = list[at].entry;
        *ret_choice = list[at].choice;
    }
    return RC_OK;
}

static enum rc choose(const struct sender *s, uint64_t now_ms, struct entry **ret,
                      struct choice *ret_choice, struct err *err)
{
    if (s->order.pick != NULL)
        return choose_ordered(s, now_ms, ret, ret_choice, err);
    *ret = choose_own(s, now_ms, ret_choice);
    return RC_OK;
}

void sender_set_order(struct sender *s, const struct sender_order *order)
{
    s->order = order != NULL ? *order : (struct sender_order){ 0 };
}

/* ---- messages ---------------------------------------------------------------------------------
 */

/* Every other head names the owner: an end that does not know of owners refuses those. */
static const char *owner_of(const struct entry *e)
{
    return e->heads % 2 == 0 ? e->object.owner : "";
}

static enum rc encode_head(const struct entry *e, uint8_t *data, struct transfer_message *ret,
                           struct err *err)
{
    if (e->chunks == 0) {
        ret->type = TRANSFER_INLINE;
        ret->whole = (struct transfer_inline){ .kind = e->object.kind,
                                               .serial = e->object.serial,
                                               .data = { data, (size_t)e->object.size } };
        if (e->object.kind != OBJECT_MAIL) /* which says itself whose it is */
            memcpy(ret->whole.owner, owner_of(e), strlen(owner_of(e)));
        return e->source.read(e->source.arg, 0, data, (size_t)e->object.size, err);
    }
    ret->type = TRANSFER_DESCRIPTOR;
    ret->descriptor = (struct transfer_descriptor){
        .kind = e->object.kind,
        .serial = e->object.serial,
        .size = e->object.size,
        .chunk_size = e->chunk_size,
        .chunks = e->chunks,
        .digests = { e->digests, (size_t)e->chunks * DIGEST_SIZE },
    };
    memcpy(ret->descriptor.object, e->object.digest, DIGEST_SIZE);
    memcpy(ret->descriptor.owner, owner_of(e), strlen(owner_of(e)));
    return RC_OK;
}

static enum rc read_chunk(const struct entry *e, uint32_t chunk, uint8_t *data, uint32_t *ret_n,
                          struct err *err)
{
    *ret_n = transfer_chunk_bytes(e->object.size, e->chunk_size, chunk);
    return e->source.read(e->source.arg, (uint64_t)chunk * e->chunk_size, data, *ret_n, err);
}

/* Add up a repair in data. */
static enum rc encode_repair(const struct entry *e, const struct choice *c, uint8_t *data,
                             struct transfer_message *ret, struct err *err)
{
    const uint32_t k = fec_group_size(e->chunks, c->index);
    scoped(free_ptr) uint8_t *chunk = malloc(e->chunk_size);
    enum rc rc = RC_OK;

    if (chunk == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk of a repair");
    memset(data, 0, e->chunk_size);
    for (uint32_t place = 0; rc == RC_OK && place < k; place++) {
        uint32_t n = 0;

        rc = read_chunk(e, place * fec_groups(e->chunks) + c->index, chunk, &n, err);
        memset(chunk + n, 0, e->chunk_size - n);
        fec_add(fec_coefficient(k, c->number, place), chunk, data, e->chunk_size);
    }
    ret->type = TRANSFER_REPAIR;
    ret->repair = (struct transfer_repair){ .group = c->index,
                                            .number = c->number,
                                            .data = { data, e->chunk_size } };
    memcpy(ret->repair.object, e->object.digest, DIGEST_SIZE);
    return rc;
}

/* Make one message of an object; data is room for its bytes. */
static enum rc make(const struct entry *e, const struct choice *c, uint8_t *data,
                    struct transfer_message *ret, struct err *err)
{
    uint32_t n = 0;

    if (c->what == HEAD)
        return encode_head(e, data, ret, err);
    if (c->what == REPAIR)
        return encode_repair(e, c, data, ret, err);
    enum rc rc = read_chunk(e, c->index, data, &n, err);

    ret->type = TRANSFER_CHUNK;
    ret->chunk = (struct transfer_chunk){ .index = c->index, .data = { data, n } };
    memcpy(ret->chunk.object, e->object.digest, DIGEST_SIZE);
    return rc;
}

/* It has gone out. */
static void sent(const struct sender *s, struct entry *e, const struct choice *c, uint64_t now_ms)
{
    e->active_ms = e->went_ms = now_ms;
    if (c->what == HEAD) {
        e->spaced = e->since > 0 ? e->spaced + 1 : e->spaced;
        e->head_ms = now_ms;
        e->heads++;
        e->since = e->stuck = 0;
        return;
    }
    e->since++;
    e->went = true;
    if (s->options.one_way) {
        e->wheel = (e->wheel + 1) % wheel_size(e);
        e->turned++;
    } else if (c->what == CHUNK) {
        e->sent_ms[c->index] = now_ms;
    } else {
        e->repairs_due[c->index]--;
        e->repair_next[c->index] = (uint8_t)((c->number + 1) % FEC_REPAIR_MAX);
    }
}

enum rc sender_next(struct sender *s, uint64_t now_ms, uint64_t *budget, uint8_t *buf, size_t cap,
                    struct bytes *ret, struct err *err)
{
    struct choice c = { 0 };
    struct entry *e = NULL;
    enum rc rc = choose(s, now_ms, &e, &c, err);

    if (rc != RC_OK)
        return rc;
    if (e == NULL)
        return err_set(err, RC_NOT_FOUND, "nothing is due");

    scoped(free_ptr) uint8_t *data = malloc(CHUNK_MAX);
    struct transfer_message msg = { 0 };
    struct bytes message = { 0 };

    if (data == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk buffer");
    rc = make(e, &c, data, &msg, err);
    if (rc == RC_OK)
        rc = transfer_encode(&msg, buf, cap, &message, err);
    if (rc != RC_OK) {
        e->retry_ms = now_ms + s->options.resend_ms;
        return rc;
    }
    if (message.n + SENDER_OVERHEAD > *budget)
        return err_set(err, RC_NO_ROOM, "budget");
    *budget -= message.n + SENDER_OVERHEAD;
    sent(s, e, &c, now_ms);
    if (s->order.sent != NULL) {
        struct sender_due went = { .kind = e->object.kind, .bytes = message.n + SENDER_OVERHEAD };

        memcpy(went.digest, e->object.digest, DIGEST_SIZE);
        s->order.sent(s->order.arg, &went);
    }
    *ret = message;
    return RC_OK;
}

bool sender_at(const struct sender *s, size_t i, struct sender_progress *ret)
{
    const struct entry *e = s->first;

    while (e != NULL && i-- > 0)
        e = e->next;
    if (e == NULL)
        return false;
    *ret = (struct sender_progress){ .chunks = e->chunks == 0 ? 1 : e->chunks,
                                     .acknowledged = e->acknowledged || e->complete,
                                     .complete = e->complete };
    memcpy(ret->digest, e->object.digest, DIGEST_SIZE);
    ret->went = e->heads > 0;
    if (e->chunks == 0)
        ret->missing = e->complete ? 0 : 1;
    for (uint32_t k = 0; k < e->chunks && !e->complete; k++) {
        ret->missing += e->missing[k] ? 1 : 0;
        ret->went &= !e->missing[k] || e->sent_ms[k] != NEVER;
    }
    return true;
}
