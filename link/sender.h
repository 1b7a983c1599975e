/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sender: the ground's end of a transfer, for one satellite: which message to send next.
 *
 * A pure core: time comes in as an argument, object bytes through a callback, what the satellite
 * still misses through its reports; what goes out is encoded messages to seal.  It holds nothing
 * that must survive a restart: a new sender starts by sending again and is corrected by the first
 * report, unless it is given what the one before it kept in mind.  Small objects go whole in one
 * message, larger ones as a descriptor and chunks.  All documents go before mail, and mail before
 * any package, each class in the order in which it was queued.
 *
 * With a way back every chunk goes once, then what reports say is missing.  When no report comes,
 * the descriptor goes again and asks for one; only then everything does, less and less often.  On a
 * one-way link chunks and repairs of the erasure code go round and round, each turn with others.
 */
#ifndef BERTH_LINK_SENDER_H
#define BERTH_LINK_SENDER_H

#include "link/port.h"

/* Heads of an object that was queued again before a "complete" that is older than that is taken for
 * an answer: where a third is lost, all of them are in 1 of 700 times. */
#define SENDER_STALE_SENDS 6U

#define SENDER_OVERHEAD                                                                            \
    256U /* bytes that a bundle adds to a message, as counted against a budget */

#define SENDER_REPAIRS_MAX 100U
#define SENDER_CHUNK_MIN 256U /* TRANSFER_CHUNK_MIN */

struct sender;

struct sender_options {
    uint32_t
        chunk_size; /* bytes, of every object; 0 = by the loss that sender_learn tells, within: */
    uint32_t chunk_min; /* 0 = 32 KiB */
    uint32_t chunk_max; /* 0 = 64 KiB; larger all the same for an object of too many chunks */
    bool one_way;       /* no reports are to be expected */
    uint32_t repairs;   /* for 100 chunks that go; 0 = none, on a one-way link as many as the loss
                           needs; at most SENDER_REPAIRS_MAX */
    uint64_t flight_ms; /* what was sent this recently may still be on the way when a report says
                           that it is missing; 0 = 1000 */
    uint64_t resend_ms; /* send again what no report acknowledged for so long, and on a one-way link
                           begin the next turn; 0 = 30000 */
    uint32_t wheel;     /* one-way: where turns begin; any number */
};

/* Where an object's bytes come from: read exactly n bytes at offset. */
struct sender_source {
    enum rc (*read)(void *arg, uint64_t offset, uint8_t *buf, size_t n, struct err *err);
    void *arg;
};

struct sender_object {
    uint8_t digest[DIGEST_SIZE];
    enum object_kind kind;
    uint64_t size;
    uint64_t serial;      /* higher every time the same object is queued anew (a row id, a time) */
    char owner[NAME_CAP]; /* tenant that it is told to count for there; "" = nobody is named */
    bool offer; /* the satellite may have most of it: nothing but the descriptor goes until a
                   report says what is missing */
};

/* An object of which something is due: what would go next. */
struct sender_due {
    uint8_t digest[DIGEST_SIZE];
    enum object_kind kind;
    uint64_t bytes; /* of that message, with SENDER_OVERHEAD; sent tells what it came to */
    uint64_t left;  /* of the object, as far as the satellite is believed to miss them; sent: 0 */
};

/* Who says which object goes next, in place of the order that is told above. */
struct sender_order {
    /* An index of the list, which is as the sender itself would take them; n = none of these now.
     */
    size_t (*pick)(void *arg, const struct sender_due *due, size_t n);
    void (*sent)(void *arg, const struct sender_due *due);
    void *arg;
};

/* How far an object is. */
struct sender_progress {
    uint8_t digest[DIGEST_SIZE];
    uint32_t chunks;   /* 1 for an object that goes whole */
    uint32_t missing;  /* chunks that the satellite is believed to miss */
    bool acknowledged; /* the satellite has shown that it knows the object */
    bool complete;
    bool went; /* every part that is missing was sent once */
};

must_check enum rc sender_new(const struct sender_options *options, struct sender **ret,
                              struct err *err);
void sender_free(struct sender **sender); /* scope cleaner */

/* Queue an object.  Reads it once to make the chunk digests and checks the object's own
 * (RC_OBJECT_DIGEST).  RC_EXISTS if it is queued and not complete. source must stay usable until
 * the object is complete or removed. */
must_check enum rc sender_add(struct sender *sender, const struct sender_object *object,
                              struct sender_source source, struct err *err);

/* Forget an object, queued or complete.  False if there is none. */
bool sender_remove(struct sender *sender, const uint8_t digest[DIGEST_SIZE]);

/* From now on; NULL = the sender's own order.  What arg points at must live as long. */
void sender_set_order(struct sender *sender, const struct sender_order *order);

/* What an authentic report says: transfers under way and complete objects.  Ranges beyond an object
 * are ignored. */
void sender_report(struct sender *sender, const struct port_transfers *report, uint64_t now_ms);

/* What became of bundles lately: of sent, of bytes in all, lost did not arrive.  Later objects are
 * cut by it, and it sets the share of repairs on a one-way link.  Older word fades. */
void sender_learn(struct sender *sender, uint64_t sent, uint64_t lost, uint64_t bytes);

/* How many of 1000 bundles are lost, as far as is known. */
uint32_t sender_loss(const struct sender *sender);

/* What was sent still waits for whoever carries it: nothing of it is late, and no turn begins.  Not
 * believed for longer than SENDER_HOLD_MS after the last message. */
#define SENDER_HOLD_MS (UINT64_C(24) * 3600U * 1000U)
void sender_hold(struct sender *sender, uint64_t now_ms);

/* The next message that is due, encoded into buf of cap >= TRANSFER_MESSAGE_MAX bytes.  *budget is
 * lowered by its size and SENDER_OVERHEAD.  RC_NOT_FOUND: nothing is due now, or nothing that the
 * order lets go; RC_NO_ROOM: the next message does not fit into the budget; another code: the
 * source failed, and the object waits for resend_ms. */
must_check enum rc sender_next(struct sender *sender, uint64_t now_ms, uint64_t *budget,
                               uint8_t *buf, size_t cap, struct bytes *ret, struct err *err);

/* What went of the objects of a sender that comes to its end, and must not go again from the
 * beginning with the next one.  It needs some 200 bytes for each object of which something went,
 * and a bit for each chunk. */
struct sender_memory;

/* Keep that in mind; nothing of a one-way link, where turns begin anywhere.  *ret is the caller's.
 */
must_check enum rc sender_remember(const struct sender *sender, struct sender_memory **ret,
                                   struct err *err);
void sender_memory_free(struct sender_memory **memory); /* scope cleaner */

/* Whether every part of an object went, that the satellite was not known to have. */
bool sender_memory_went(const struct sender_memory *memory, const uint8_t digest[DIGEST_SIZE]);

/* Whether parts of an object are to go that never went: not those that wait for the satellite's
 * answer, and nothing of a one-way link. */
bool sender_has_rest(const struct sender *sender);

/* Objects that are added from now on are cut as they were, and go on where they were, unless they
 * were queued anew (serial).  Times are of the same clock.  NULL = nothing went; memory must live
 * as long as objects are added. */
void sender_recall(struct sender *sender, const struct sender_memory *memory);

/* The i-th object in the queue, complete ones included; false behind the last. */
bool sender_at(const struct sender *sender, size_t i, struct sender_progress *ret);

#endif
