/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/copying: snapshots of data, taken and brought back for the decisions of agent/reconcile.
 *
 * A copy is made by a process of its own, so that neither the agent's loop nor another payload
 * waits for it; it can do what berthd can and ends with it.  What a snapshot takes counts against
 * the store of its tenant, and of its team.
 */
#ifndef BERTH_AGENT_COPYING_H
#define BERTH_AGENT_COPYING_H

#include "agent/agent.h"

/* Whether this version is to be tried only with a snapshot. */
bool copying_wanted(const struct agent *a, const struct unit_record *unit, const struct manifest *m,
                    const struct digest *manifest);

/* Whether there is room for one, before anything is stopped.  RC_STORE_QUOTA; RC_SNAPSHOT: the disk
 * is too full. */
must_check enum rc copying_room(struct agent *a, const struct unit_record *unit,
                                const struct manifest *m, struct err *err);

/* Whether a trial may start now: its snapshot is there, and the record of it is on disk. */
must_check enum rc copying_ready(const struct agent *a, const struct unit_record *unit,
                                 struct err *err);

/* Carry out ACTION_SNAPSHOT and ACTION_RESTORE; the table is told. */
void copying_begin(struct agent *a, const struct action *action);
void copying_restore(struct agent *a, const struct action *action);

/* A version has committed, and that is saved: its snapshot goes. */
void copying_drop(struct agent *a, const struct unit_record *unit);

/* At start: remove what a cut has left. */
void copying_sweep(struct agent *a);

/* Give up what takes too long; called every second. */
void copying_tick(struct agent *a, uint64_t now_ms);

/* End all of them, for good. */
void copying_end(struct agent *a);

#endif
