/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/dispatch: what may be handed to a satellite's link now, and what of it next.  Pure:
 * where schedule_fill says what a contact will carry, this is the same rule, message by message,
 * with what is really queued when the contact comes.
 *
 * A pass is handed to from DISPATCH_LEAD_MS before it begins, so that its station has the bytes
 * when it does, up to what the pass is expected to carry.  While it lasts more follows whenever
 * the link has nearly nothing left: a pass that goes better than expected is used, and one that
 * does not leaves little behind.  Outside of passes nothing goes.
 *
 * Classes go one after the other, and the first may go beyond what is expected.  Within a class
 * tenants take turns by deficit round robin on bytes, within a tenant the earliest wave and in it
 * the shortest remainder goes first.  Two tenants that both always have something get bytes by
 * their weights, to within one turn and one message.
 */
#ifndef BERTH_ORCHESTRATOR_DISPATCH_H
#define BERTH_ORCHESTRATOR_DISPATCH_H

#include "orchestrator/schedule.h"
#include "orchestrator/shares.h"

#define DISPATCH_LEAD_MS SCHEDULE_FROZEN_MS /* no station takes it later */
#define DISPATCH_MORE_PART 8U               /* of the expected bytes follow at a time ... */
#define DISPATCH_MORE_MIN 131072U           /* ... and at least so many: a message is up to half */
#define DISPATCH_DRAINED_FILES 2U           /* with so few files left the link is nearly idle */

struct dispatch_pass {
    int64_t aos_ms, los_ms; /* Unix time */
    uint64_t capacity;      /* bytes that are expected to arrive */
    uint64_t sent;          /* handed to the link for it so far */
};

/* Whether a reserved pass is handed to at this time. */
bool dispatch_is_open(const struct dispatch_pass *pass, int64_t now_ms);

/* Bytes that may be handed over now; files_left wait in the uplink.  0 when it is not open. */
uint64_t dispatch_room(const struct dispatch_pass *pass, int64_t now_ms, uint64_t files_left);

/* Something that could go now. */
struct dispatch_item {
    enum schedule_class class;
    uint32_t tenant; /* index, or SCHEDULE_OPERATOR */
    uint32_t wave;
    uint64_t left; /* bytes of the object that are still to go */
    uint64_t next; /* of its next message */
};

/* Whose turn it is on one satellite's link.  Zeroed = nobody has had one.  Outlives passes, so a
 * tenant that was cut off goes on where it stopped. */
struct dispatch_turns {
    uint64_t deficit[SCHEDULE_CLASSES][SHARES_MAX + 1]; /* the last one is the operator's */
    uint32_t at[SCHEDULE_CLASSES];
    bool turn[SCHEDULE_CLASSES]; /* the one at `at` has got its bytes for this turn */
};

/* The item whose message goes next; n = none: there is no room, or every tenant that has something
 * has used up its day.  Asked again without dispatch_sent it says the same. */
size_t dispatch_pick(struct dispatch_turns *turns, const struct shares *shares,
                     const struct dispatch_item *item, size_t n, uint64_t room);

/* The message of that item has gone: so many bytes of its tenant's turn, and of its day. */
void dispatch_sent(struct dispatch_turns *turns, struct shares *shares,
                   const struct dispatch_item *item, uint64_t bytes);

#endif
