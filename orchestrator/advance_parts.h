/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/advance_parts: what advance.c and advance_ask.c share.
 */
#ifndef BERTH_ORCHESTRATOR_ADVANCE_PARTS_H
#define BERTH_ORCHESTRATOR_ADVANCE_PARTS_H

#include "orchestrator/advance.h"

/* Write back what rollout functions may have changed of the rollout and its waves; before: as it
 * was, of which the tasks are not looked at. */
must_check enum rc advance_write(struct store *store, struct advance_rollout *rollout,
                                 const struct rollout *before, uint64_t now_ms, struct err *err);

/* What people signed: whether the rollout is approved of, and which of its satellites it may really
 * go on without. */
must_check enum rc advance_approvals(struct store *store, struct advance_rollout *rollout,
                                     uint64_t now_ms, struct err *err);

/* What the satellites of a rollout were seen to do, one for each of its tasks; the caller frees
 * *ret, of which any older one is freed. */
must_check enum rc advance_look(const struct view *view, const struct advance_rollout *rollout,
                                uint64_t now_ms, struct rollout_seen **ret, struct err *err);

/* An object need not arrive any more. */
must_check enum rc advance_withdraw(struct store *store, const char *satellite,
                                    const struct digest *object, struct err *err);

/* Queue an order that is let go, or the token of one that was sent before.  *ret_expired: there is
 * no token that is good, nothing was queued, and somebody has to sign another. */
must_check enum rc advance_queue(struct store *store, const struct store_order *order,
                                 uint64_t now_ms, bool *ret_expired, struct err *err);

#endif
