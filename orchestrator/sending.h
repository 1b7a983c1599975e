/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sending: lets berth-ground send by the schedule: which satellites are governed by a
 * timetable, which pass each is handed to now, in what order its sender goes, and what passes have
 * come to.
 *
 * A satellite of which no contact is known is not governed: its sender goes as it would by itself,
 * always.  Where a pass has got to, and what tenants have used of their day, is in the store before
 * the next round: a program that was killed goes on with the same pass, and at worst hands over one
 * round's bytes beyond it.
 */
#ifndef BERTH_ORCHESTRATOR_SENDING_H
#define BERTH_ORCHESTRATOR_SENDING_H

#include "link/sender.h"
#include "orchestrator/home.h"
#include "orchestrator/view.h"

struct sending;

must_check enum rc sending_new(struct sending **ret, struct err *err);
void sending_free(struct sending **sending); /* scope cleaner */

/* Whose an object of the queue is: "" = the operator's.  Asked once for each. */
struct sending_owner {
    void (*fn)(void *arg, const struct store_outgoing *row, char ret[NAME_CAP]);
    void *arg;
};

/* The queue is now these rows, of any satellite. */
must_check enum rc sending_queue(struct sending *sending, struct store *store,
                                 const struct view *view, const struct store_outgoing *rows,
                                 size_t n, const struct sending_owner *owner, struct err *err);

/* What the time brings: files are read again, passes reserved, begun and ended; what changed is
 * kept.  *ret_settled is set when a pass has come to an end, and else left alone.  Once a round,
 * before sending_gate. */
must_check enum rc sending_tick(struct sending *sending, const struct home *home, int64_t now_ms,
                                bool *ret_settled, struct err *err);

enum sending_gate {
    SENDING_FREE,   /* not governed */
    SENDING_CLOSED, /* nothing is to be handed over now */
    SENDING_EARLY,  /* a pass is handed to that has not begun: nobody can answer yet */
    SENDING_OPEN,   /* a pass is under way */
};

/* What sending_gate would say, when nobody has the sender at hand. */
enum sending_gate sending_look(const struct sending *sending, const char *satellite,
                               int64_t now_ms);

/* Make a satellite's sender go by the schedule for this round.  files_left wait in its uplink.  The
 * sender calls back into sending whenever it is used until it is gated again or freed. */
enum sending_gate sending_gate(struct sending *sending, const char *satellite,
                               struct sender *sender, int64_t now_ms, uint64_t files_left);

/* Keep what was handed over in this round. */
must_check enum rc sending_keep(struct sending *sending, struct store *store, struct err *err);

#endif
