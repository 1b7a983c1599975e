/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "link/sender_parts.h"

/* Of one object.  Times of single chunks are not kept: all of them count as sent when the last
 * message was, so that a report is believed about none of them too early. */
struct trace {
    uint8_t digest[DIGEST_SIZE];
    uint64_t serial;
    uint64_t size;
    uint64_t head_ms;
    uint64_t went_ms;
    uint32_t chunk_size, chunks;
    uint32_t heads, since, spaced;
    uint32_t stuck, least;
    bool went, stale;
    bool unjudged; /* chunks went since the last report */
    uint8_t repairs_due[FEC_GROUPS_MAX];
    uint8_t repair_next[FEC_GROUPS_MAX];
    uint8_t *gone; /* a bit per chunk, owned: it is not due any more */
};

struct sender_memory {
    size_t n;
    struct trace trace[];
};

void sender_memory_free(struct sender_memory **memory)
{
    for (size_t i = 0; *memory != NULL && i < (*memory)->n; i++)
        free((*memory)->trace[i].gone);
    free(*memory);
    *memory = NULL;
}

static const struct trace *find(const struct sender_memory *m, const uint8_t digest[DIGEST_SIZE])
{
    for (size_t i = 0; m != NULL && i < m->n; i++)
        if (memcmp(m->trace[i].digest, digest, DIGEST_SIZE) == 0)
            return &m->trace[i];
    return NULL;
}

bool sender_memory_went(const struct sender_memory *memory, const uint8_t digest[DIGEST_SIZE])
{
    const struct trace *t = find(memory, digest);

    return t != NULL && t->went;
}

void sender_recall(struct sender *s, const struct sender_memory *memory)
{
    s->memory = memory;
}

/* ---- keeping ----------------------------------------------------------------------------------
 */

static enum rc keep(const struct sender *s, const struct entry *e, struct trace *ret,
                    struct err *err)
{
    *ret = (struct trace){ .serial = e->object.serial,
                           .size = e->object.size,
                           .head_ms = e->head_ms,
                           .went_ms = e->went_ms,
                           .chunk_size = e->chunk_size,
                           .chunks = e->chunks,
                           .heads = e->heads,
                           .since = e->since,
                           .spaced = e->spaced,
                           .stuck = e->stuck,
                           .least = e->least,
                           .unjudged = e->went,
                           .went = e->heads > 0 && !e->stale,
                           .stale = e->stale };
    memcpy(ret->digest, e->object.digest, DIGEST_SIZE);
    memcpy(ret->repairs_due, e->repairs_due, sizeof ret->repairs_due);
    memcpy(ret->repair_next, e->repair_next, sizeof ret->repair_next);
    ret->gone = calloc(e->chunks / 8 + 1, 1);
    if (ret->gone == NULL)
        return err_set(err, RC_NO_MEMORY, "object of %u chunks", e->chunks);
    for (uint32_t i = 0; i < e->chunks; i++) {
        if (!chunk_is_due(s, e, i))
            ret->gone[i / 8] |= (uint8_t)(1U << i % 8);
        ret->went &= !e->missing[i] || e->sent_ms[i] != NEVER;
    }
    return RC_OK;
}

enum rc sender_remember(const struct sender *s, struct sender_memory **ret, struct err *err)
{
    size_t n = 0;

    for (const struct entry *e = s->first; e != NULL; e = e->next)
        n++;
    scoped(sender_memory_free) struct sender_memory *m =
        calloc(1, sizeof *m + n * sizeof m->trace[0]);
    enum rc rc = RC_OK;

    if (m == NULL)
        return err_set(err, RC_NO_MEMORY, "queue of %zu objects", n);
    for (const struct entry *e = s->first; rc == RC_OK && e != NULL; e = e->next) {
        if (s->options.one_way || e->complete || e->went_ms == 0)
            continue;
        rc = keep(s, e, &m->trace[m->n], err);
        m->n += rc == RC_OK;
    }
    if (rc != RC_OK)
        return rc;
    *ret = m;
    m = NULL;
    return RC_OK;
}

static bool has_rest(const struct entry *e)
{
    bool ret = e->head_ms == NEVER && e->heads == 0;

    if (e->complete || e->stale || (e->object.offer && !e->acknowledged))
        return false;
    for (uint32_t i = 0; i < e->chunks && !ret; i++)
        ret = e->missing[i] && e->sent_ms[i] == NEVER;
    return ret;
}

bool sender_has_rest(const struct sender *s)
{
    bool ret = false;

    for (const struct entry *e = s->first; e != NULL && !ret && !s->options.one_way; e = e->next)
        ret = has_rest(e);
    return ret;
}

/* ---- going on ---------------------------------------------------------------------------------
 */

const struct trace *sender_trace(const struct sender *s, const struct sender_object *object)
{
    const struct trace *t = s->options.one_way ? NULL : find(s->memory, object->digest);

    if (t == NULL || t->serial != object->serial || t->size != object->size)
        return NULL;
    return t;
}

uint32_t sender_trace_chunk_size(const struct trace *t)
{
    return t->chunk_size;
}

void sender_trace_apply(const struct trace *t, struct entry *e)
{
    assert(e->chunks == t->chunks);
    e->head_ms = t->head_ms;
    e->went_ms = e->active_ms = t->went_ms;
    e->stale = t->stale;
    e->heads = t->heads;
    e->since = t->since;
    e->spaced = t->spaced;
    e->stuck = t->stuck;
    e->least = t->least;
    e->went = t->unjudged;
    memcpy(e->repairs_due, t->repairs_due, sizeof e->repairs_due);
    memcpy(e->repair_next, t->repair_next, sizeof e->repair_next);
    for (uint32_t i = 0; i < e->chunks; i++)
        if ((t->gone[i / 8] & 1U << i % 8) != 0)
            e->sent_ms[i] = t->went_ms;
}
