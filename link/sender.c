/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sender.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "link/transfer.h"

#define CHUNK_DEFAULT (16U * 1024U)
#define CHUNK_STEP 1024U
#define FLIGHT_DEFAULT_MS 1000U
#define RESEND_DEFAULT_MS 30000U
#define HEAD_EVERY 24U /* chunks after which a descriptor that nobody acknowledged goes again */
#define STALE_SENDS 3U /* see struct entry, stale */
#define NEVER UINT64_MAX

/* A queued object.  "Head" is its first message: the descriptor, or the whole object. */
struct entry {
    struct entry *next;
    struct sender_object object;
    struct sender_source source;
    uint32_t chunk_size;
    uint32_t chunks;    /* 0 = goes whole */
    uint8_t *digests;   /* DIGEST_SIZE per chunk, owned */
    uint64_t *sent_ms;  /* per chunk, owned */
    bool *missing;      /* per chunk, owned: not known to have arrived */
    uint64_t head_ms;   /* when the head was sent last */
    uint32_t heads;     /* how often */
    uint32_t since;     /* chunks sent since then */
    uint64_t report_ms; /* when a report last spoke of this object */
    uint32_t known;     /* chunks below this one are covered by that report */
    uint64_t retry_ms;  /* the source failed: not before */
    bool acknowledged;
    bool complete;
    /* The satellite says "complete" since before anything was sent: that may be about an earlier
     * queueing of the same bytes.  Only the head is sent then, and the word is taken when the
     * satellite still says so after STALE_SENDS of them. */
    bool stale;
};

struct sender {
    uint32_t chunk_size;
    uint64_t flight_ms;
    uint64_t resend_ms;
    struct entry *first; /* in the order of queueing */
    uint32_t n_complete; /* of the latest report */
    uint8_t complete[PORT_COMPLETE_MAX][DIGEST_SIZE];
};

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

enum rc sender_new(const struct sender_options *options, struct sender **ret, struct err *err)
{
    struct sender *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(err, RC_NO_MEMORY, "sender");
    s->chunk_size = options->chunk_size == 0 ? CHUNK_DEFAULT : options->chunk_size;
    if (s->chunk_size < TRANSFER_CHUNK_MIN)
        s->chunk_size = TRANSFER_CHUNK_MIN;
    if (s->chunk_size > CHUNK_MAX)
        s->chunk_size = CHUNK_MAX;
    s->flight_ms = options->flight_ms == 0 ? FLIGHT_DEFAULT_MS : options->flight_ms;
    s->resend_ms = options->resend_ms == 0 ? RESEND_DEFAULT_MS : options->resend_ms;
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

/* Memory for an object's chunks. */
static enum rc cut(struct entry *e, uint32_t chunk_size, struct err *err)
{
    uint64_t least = (e->object.size + CHUNKS_MAX - 1) / CHUNKS_MAX;

    if (chunk_size < least)
        chunk_size = (uint32_t)((least + CHUNK_STEP - 1) / CHUNK_STEP * CHUNK_STEP);
    e->chunk_size = chunk_size;
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
    e->head_ms = e->report_ms = NEVER;
    e->stale = listed_complete(s, object->digest);
    enum rc rc = RC_OK;
    if (object->size > TRANSFER_INLINE_MAX)
        rc = cut(e, s->chunk_size, err);
    if (rc == RC_OK)
        rc = measure(e, err);
    if (rc != RC_OK)
        return rc;
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

/* The satellite lists the object as under way. */
static void take_status(struct entry *e, const struct transfer_status *t, uint64_t now_ms)
{
    e->report_ms = now_ms;
    e->stale = false;
    /* It knows chunks but not the descriptor, or another cut of the same object. */
    e->acknowledged = t->chunks != 0 && t->chunks == e->chunks;
    e->known = 0;
    if (!e->acknowledged)
        return;

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

/* The satellite says that it has the object. */
static void take_complete(struct entry *e, uint64_t now_ms)
{
    e->report_ms = now_ms;
    if (e->head_ms == NEVER)
        e->stale = true;
    e->complete = !e->stale || e->heads >= STALE_SENDS;
}

/* The report does not name the object. */
static void take_absent(struct entry *e, bool list_is_full, uint64_t now_ms)
{
    e->stale = false;
    if (list_is_full)
        return; /* says nothing */
    e->report_ms = now_ms;
    e->known = 0; /* the head goes again; its answer tells which chunks are needed */
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
            take_status(e, status, now_ms);
        else
            take_absent(e, report->n_transfers == PORT_TRANSFERS_MAX, now_ms);
    }
}

/* Whether something that is not known to have arrived should go (again). */
static bool is_due(const struct sender *s, const struct entry *e, uint64_t sent_ms, bool known,
                   uint64_t now_ms)
{
    if (sent_ms == NEVER)
        return true;
    if (known && e->report_ms != NEVER && e->report_ms > sent_ms &&
        e->report_ms - sent_ms > s->flight_ms)
        return true;
    return now_ms > sent_ms && now_ms - sent_ms >= s->resend_ms;
}

/* The lowest chunk that is due, or e->chunks. */
static uint32_t chunk_due(const struct sender *s, const struct entry *e, uint64_t now_ms)
{
    uint32_t i = 0;

    if (e->stale && !e->acknowledged)
        return e->chunks;
    while (i < e->chunks && !(e->missing[i] && is_due(s, e, e->sent_ms[i], i < e->known, now_ms)))
        i++;
    return i;
}

/* A descriptor goes until it is acknowledged; afterwards again, but rarely, before chunks that
 * still do not get through: the one over there may be another. */
static bool head_is_due(const struct sender *s, const struct entry *e, uint64_t now_ms)
{
    if (e->acknowledged)
        return is_due(s, e, e->head_ms, false, now_ms) && chunk_due(s, e, now_ms) < e->chunks;
    return is_due(s, e, e->head_ms, true, now_ms) || e->since >= HEAD_EVERY;
}

/* The next object with something due, documents first; *ret_chunk is the chunk or HEAD for the
 * head. */
#define HEAD UINT32_MAX
static struct entry *choose(const struct sender *s, uint64_t now_ms, uint32_t *ret_chunk)
{
    for (int packages = 0; packages < 2; packages++) {
        for (struct entry *e = s->first; e != NULL; e = e->next) {
            if (e->complete || (e->object.kind == OBJECT_PACKAGE) != packages ||
                e->retry_ms > now_ms)
                continue;
            *ret_chunk = head_is_due(s, e, now_ms) ? HEAD : chunk_due(s, e, now_ms);
            if (*ret_chunk == HEAD || *ret_chunk < e->chunks)
                return e;
        }
    }
    return NULL;
}

/* Encode one message of an object; data is room for its bytes. */
static enum rc encode(const struct entry *e, uint32_t chunk, uint8_t *data, uint8_t *buf,
                      size_t cap, struct bytes *ret, struct err *err)
{
    struct transfer_message msg = { 0 };
    bool whole = chunk == HEAD && e->chunks == 0;
    enum rc rc = RC_OK;

    if (whole) {
        msg.type = TRANSFER_INLINE;
        msg.whole = (struct transfer_inline){ .kind = e->object.kind,
                                              .serial = e->object.serial,
                                              .data = { data, (size_t)e->object.size } };
        rc = e->source.read(e->source.arg, 0, data, (size_t)e->object.size, err);
    } else if (chunk == HEAD) {
        msg.type = TRANSFER_DESCRIPTOR;
        msg.descriptor = (struct transfer_descriptor){ .kind = e->object.kind,
                                                       .serial = e->object.serial,
                                                       .size = e->object.size,
                                                       .chunk_size = e->chunk_size,
                                                       .chunks = e->chunks,
                                                       .digests = { e->digests, (size_t)e->chunks *
                                                                                    DIGEST_SIZE } };
        memcpy(msg.descriptor.object, e->object.digest, DIGEST_SIZE);
    } else {
        uint32_t n = transfer_chunk_bytes(e->object.size, e->chunk_size, chunk);

        msg.type = TRANSFER_CHUNK;
        msg.chunk = (struct transfer_chunk){ .index = chunk, .data = { data, n } };
        memcpy(msg.chunk.object, e->object.digest, DIGEST_SIZE);
        rc = e->source.read(e->source.arg, (uint64_t)chunk * e->chunk_size, data, n, err);
    }
    return rc == RC_OK ? transfer_encode(&msg, buf, cap, ret, err) : rc;
}

enum rc sender_next(struct sender *s, uint64_t now_ms, uint64_t *budget, uint8_t *buf, size_t cap,
                    struct bytes *ret, struct err *err)
{
    uint32_t chunk = 0;
    struct entry *e = choose(s, now_ms, &chunk);

    if (e == NULL)
        return err_set(err, RC_NOT_FOUND, "nothing is due");

    scoped(free_ptr) uint8_t *data = malloc(CHUNK_MAX);
    struct bytes message = { 0 };

    if (data == NULL)
        return err_set(err, RC_NO_MEMORY, "chunk buffer");
    enum rc rc = encode(e, chunk, data, buf, cap, &message, err);
    if (rc != RC_OK) {
        e->retry_ms = now_ms + s->resend_ms;
        return rc;
    }
    if (message.n + SENDER_OVERHEAD > *budget)
        return err_set(err, RC_NO_ROOM, "budget");
    *budget -= message.n + SENDER_OVERHEAD;
    if (chunk == HEAD) {
        e->head_ms = now_ms;
        e->heads++;
        e->since = 0;
    } else {
        e->sent_ms[chunk] = now_ms;
        e->since++;
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
    if (e->chunks == 0)
        ret->missing = e->complete ? 0 : 1;
    for (uint32_t k = 0; k < e->chunks && !e->complete; k++)
        ret->missing += e->missing[k] ? 1 : 0;
    return true;
}
