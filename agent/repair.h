/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/repair: slots whose files, or whose kept package, a flipped bit has damaged.
 *
 * A damaged slot is unpacked anew from its kept package, beside the old one, and takes its place by
 * one exchange.  What runs from it is not stopped: it goes on from the old tree, which stays until
 * its run ends, and the next start is from the new one.  A package that is damaged itself is asked
 * for again: every report names its manifest until it has come, and berth-link is handed the
 * damaged copy, so that only the chunks that are wrong go over the link.  The same without a kept
 * package, or when it does not verify any more.  A repair that fails for a reason that may pass is
 * tried again first.  What the ground sends may be refused as well: when it was asked three times
 * it is asked less and less often, and told so (REPAIR_REFUSED).
 *
 * A damaged slot is not started, and not removed either: something to exchange it with must be
 * there first.  Nothing here changes a record of the state: after a restart the next round finds
 * the same damage again.
 */
#ifndef BERTH_AGENT_REPAIR_H
#define BERTH_AGENT_REPAIR_H

#include "agent/agent.h"

#define REPAIR_TRIES_MAX 3U                 /* from what is on board, before the ground is asked */
#define REPAIR_TRY_MS 5000U                 /* before the next; doubles */
#define REPAIR_ASKS_MAX 3U                  /* of the ground, before it is asked less often */
#define REPAIR_ASK_MIN_MS (3600ULL * 1000U) /* doubles */
#define REPAIR_ASK_MAX_MS (24ULL * 3600U * 1000U)

/* How long to wait before the ground is asked for the n-th time (from 1).  Pure. */
uint64_t repair_wait_ms(uint32_t asks);

/* Files of the slot are damaged (why), or its envelope: told, and repaired if that can be done. */
void repair_slot(struct agent *a, const struct slot_id *id, const struct err *why);

/* The package that is kept for it is damaged: told, and asked for. */
void repair_package(struct agent *a, const struct slot_id *id, const struct digest *object);

/* Whether the slot is damaged and its repair on board is under way. */
bool repair_pending(const struct agent *a, const struct slot_id *id);

/* Whether the slot is damaged: its package is to be unpacked although the slot is there. */
bool repair_wanted(const struct agent *a, const struct slot_id *id);

/* A kept package that is to be read now, before a slot is repaired from it; false: none. */
bool repair_next(const struct agent *a, uint64_t now_ms, struct slot_id *ret,
                 struct digest *ret_object);

/* It has been read.  RC_OK: it is whole, and is queued to be unpacked. */
void repair_read(struct agent *a, const struct slot_id *id, enum rc rc);

/* Its package is about to be unpacked: nobody need send it. */
void repair_begun(struct agent *a, const struct slot_id *id, const struct digest *object);

/* A package of this version was refused before anything could be made of it. */
void repair_refused(struct agent *a, const struct digest *manifest);

/* The slot has been unpacked and put in place, or could not be (why). */
void repair_ended(struct agent *a, const struct slot_id *id, const struct err *why);

/* A whole package of the slot is kept now. */
void repair_kept(struct agent *a, const struct slot_id *id);

/* The slot has been removed. */
void repair_forget(struct agent *a, const struct slot_id *id);

/* Whether something runs from the slot now; if so its tree, which is about to be set aside
 * (slot_exchange), is removed when that has ended. */
bool repair_runs_from(struct agent *a, const struct slot_id *id);

/* Move on; called every second. */
void repair_tick(struct agent *a);

/* The manifests whose packages are asked for now. */
void repair_report(const struct agent *a, uint64_t now_ms, struct report_scrub *ret);

#endif
