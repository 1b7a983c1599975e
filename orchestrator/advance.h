/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/advance: carries out in the store what orchestrator/rollout decides.  Each rollout
 * moves in one transaction, orders are released together in some; after a crash at any point the
 * next call goes on from what was committed.
 */
#ifndef BERTH_ORCHESTRATOR_ADVANCE_H
#define BERTH_ORCHESTRATOR_ADVANCE_H

#include "orchestrator/rollout.h"
#include "orchestrator/view.h"

/* What happened, for the log. */
struct advance_event {
    uint64_t rollout;   /* 0 when it is about an order */
    const char *what;   /* "wave-open", "wave-done", "paused", "completed", "order-released" */
    const char *detail; /* the reason, or the satellite; "" = none */
    uint64_t number;    /* wave from 1, or generation; 0 = none */
};

struct advance_log {
    void (*fn)(void *arg, const struct advance_event *event);
    void *arg;
};

/* What the store keeps of a task beside struct rollout_task. */
struct advance_task {
    uint64_t generation;                             /* of its order */
    uint64_t retried_ms, retried_epoch, retried_seq; /* as in struct store_wave */
};

/* One rollout as the store has it.  All zero is none; it owns the tasks of both kinds. */
struct advance_rollout {
    struct store_rollout row;
    struct rollout is;
    struct advance_task *task; /* is.n_tasks of them */
};

/* Read one rollout with its waves, and what there is of each of its tasks.  Approvals are not
 * looked at: what has them is not approved.  End with advance_done (scope cleaner). */
must_check enum rc advance_read(struct store *store, uint64_t id, struct advance_rollout *ret,
                                struct err *err);
void advance_done(struct advance_rollout *rollout);

/* Move every running rollout as far as the view allows, then release the held orders that may go:
 * they are queued for the link, and what they replace is withdrawn from it.  A rollout or an order
 * that is broken in the store keeps no other one; what was wrong with one of them comes back when
 * the others have gone.  Not inside a transaction. */
must_check enum rc advance_all(struct store *store, const struct view *view, uint64_t now_ms,
                               const struct advance_log *log, struct err *err);

/* Whether it is so for every rollout and order, and takes time to find out for each. */
bool advance_ends_round(enum rc rc);

/* Pause, resume or abort on a person's word, with an entry in the audit log.  Aborting cancels the
 * orders that were not released, withdraws their packages from the link, and aborts every rollout
 * that waits for one of those orders.  Inside a transaction. */
must_check enum rc advance_enter(struct store *store, uint64_t id, enum rollout_event event,
                                 const char *reason, uint64_t now_ms, struct err *err);

/* End the soak of the newest open wave on a person's word, judged by what the satellites reported
 * last, with an entry in the audit log.  Nothing is released from here: the next advance_all opens
 * the wave behind it.  wave: rollout_promote.  Inside a transaction. */
must_check enum rc advance_promote(struct store *store, uint64_t id, uint32_t wave, uint64_t now_ms,
                                   struct err *err);

/* Go on without a satellite whose wave is open, or look at it afresh, with an entry in the audit
 * log; by what it reported last (rollout_excuse, rollout_again).  Where the policy names approvals
 * the first counts once everybody has given one of it (approvals_give), and the same again is
 * RC_OK; the second forgets them.  To look afresh: what it reported and missed before is nothing;
 * an order or token that has not arrived goes up again.  satellite NULL: each that failed, is
 * silent or is gone without.  RC_NOT_FOUND: it is not part of the rollout.  RC_ROLLOUT_STATE.
 * Inside a transaction. */
must_check enum rc advance_excuse(struct store *store, uint64_t id, const char *satellite,
                                  uint64_t now_ms, struct err *err);
must_check enum rc advance_again(struct store *store, uint64_t id, const char *satellite,
                                 uint64_t now_ms, struct err *err);

#endif
