/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sender_parts: what link/sender keeps of an object, for the files that are the sender.
 */
#ifndef BERTH_LINK_SENDER_PARTS_H
#define BERTH_LINK_SENDER_PARTS_H

#include "link/sender.h"
#include "link/transfer.h"

#define NEVER UINT64_MAX

/* A queued object.  "Head" is its first message: the descriptor, or the whole object. */
struct entry {
    struct entry *next;
    struct sender_object object;
    struct sender_source source;
    uint32_t chunk_size;
    uint32_t chunks;   /* 0 = goes whole */
    uint8_t *digests;  /* DIGEST_SIZE per chunk, owned */
    uint64_t *sent_ms; /* per chunk, owned */
    bool *missing;     /* per chunk, owned: not known to have arrived */
    uint64_t head_ms;  /* when the head was sent last */
    uint32_t heads;    /* how often */
    uint32_t since;    /* chunks and repairs sent since then */
    uint32_t spaced;   /* heads sent in a row between chunks */
    uint64_t
        active_ms;    /* when anything of it was sent last, or a report spoke of it, or it waited */
    uint64_t went_ms; /* when anything of it was sent last */
    uint32_t quiet;   /* how often resend_ms has run out since a report */
    uint64_t report_ms; /* when a report last spoke of this object */
    uint32_t known;     /* chunks below this one are covered by that report */
    uint64_t retry_ms;  /* the source failed: not before */
    uint64_t cut_ms;    /* when another cut was taken over last, or that was tried */
    bool acknowledged;
    bool complete;
    /* Reports in a row after which no less was missing, although chunks went in between.  The
     * descriptor over there may be another. */
    uint32_t stuck;
    uint32_t least; /* chunks that were missing, at the best */
    bool went;      /* chunks, since the last report */
    /* The satellite says "complete" since before anything was sent: that may be about an earlier
     * queueing of the same bytes.  Only the head is sent then, and the word is taken when the
     * satellite still says so after SENDER_STALE_SENDS of them. */
    bool stale;
    /* Repairs: what is due after the chunks that are, and which number comes next. */
    uint8_t repairs_due[FEC_GROUPS_MAX];
    uint8_t repair_next[FEC_GROUPS_MAX];
    /* One-way: the place on the wheel of all chunks and repairs, and how far the turn is. */
    uint32_t wheel;
    uint32_t turned;
    uint64_t turn_ms; /* when the turn began */
};

struct sender {
    struct sender_options options; /* no zeros left, but for chunk_size and repairs */
    struct entry *first;           /* in the order of queueing */
    uint32_t n_complete;           /* of the latest report */
    uint8_t complete[PORT_COMPLETE_MAX][DIGEST_SIZE];
    uint64_t learnt_sent, learnt_lost, learnt_bytes;
    struct sender_order order; /* pick NULL = its own */
    const struct sender_memory *memory;
};

/* Whether a report shows that what was sent then did not arrive. */
static inline bool is_lost(const struct sender *s, const struct entry *e, uint64_t sent_ms)
{
    return sent_ms != NEVER && e->report_ms != NEVER && e->report_ms > sent_ms &&
           e->report_ms - sent_ms > s->options.flight_ms;
}

/* Whether a chunk is to go: it never went, or a report shows that it did not arrive. */
static inline bool chunk_is_due(const struct sender *s, const struct entry *e, uint32_t i)
{
    return e->missing[i] &&
           (e->sent_ms[i] == NEVER || (i < e->known && is_lost(s, e, e->sent_ms[i])));
}

/* What went of an object of this sender before, or NULL: sender_add cuts it likewise. */
struct trace;
const struct trace *sender_trace(const struct sender *s, const struct sender_object *object);

/* The size of its chunks; 0 = it went whole. */
uint32_t sender_trace_chunk_size(const struct trace *trace);

/* Go on where it was, once it is cut. */
void sender_trace_apply(const struct trace *trace, struct entry *e);

#endif
