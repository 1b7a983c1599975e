/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/undo: what it takes to be where the fleet was before a rollout.  The store's orders
 * say what was there; the answer is a fleet file that was never written, so that an undo is planned
 * and applied by the same steps as any other change, as a new generation.
 */
#ifndef BERTH_ORCHESTRATOR_UNDO_H
#define BERTH_ORCHESTRATOR_UNDO_H

#include "orchestrator/fleet.h"
#include "orchestrator/store.h"

/* Turn the fleet file that was applied last into one that undoes a rollout: of its satellites only
 * those that got the rollout's order, as ordered but for the rollout's payload.  That goes back to
 * what the newest order in force before named, unless a rollout of that version failed in the wave
 * of the satellite; then to the one before.  Without stations: an undo reserves no pass.
 *
 * Reads the store, best inside a transaction.  RC_NOT_FOUND: no such rollout.  RC_ROLLOUT_STATE:
 * none of its orders was released, or a later one has changed the payload again, or all is as it
 * was.  RC_NO_SATELLITE, RC_NO_PACKAGE: not in the file, not in the store any more.  RC_TOO_LARGE:
 * more lines than the fleet has room for, or than FLEET_WANTS_MAX other payloads.  fleet is good
 * for nothing then. */
must_check enum rc undo_fleet(struct store *store, uint64_t rollout, struct fleet *fleet,
                              struct err *err);

/* For how many wants there should be room to undo any rollout on the satellites of a file. */
uint32_t undo_wants(const struct fleet *fleet);

#endif
