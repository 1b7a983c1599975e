/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/check: before a version starts for the first time since it was installed or the agent
 * began, its files are read again (update/check).  One slot at a time, in a process of its own;
 * what runs goes on meanwhile.  A slot whose files differ is told (SLOT_DAMAGED) and repaired from
 * its kept package (agent/repair); if that cannot be, it is removed: the version is as good as not
 * there, and its package may come again.
 */
#ifndef BERTH_AGENT_CHECK_H
#define BERTH_AGENT_CHECK_H

#include "agent/agent.h"

/* RC_OK: read since, and whole; or nothing to hold it against, in a version without an index.
 * RC_BUSY: being read or repaired, or another one is; agent_step is called when that has ended.
 * RC_SLOT_DAMAGED: it was, could not be repaired, and is gone. */
must_check enum rc check_slot(struct agent *a, const struct slot_id *id, const struct manifest *m,
                              int root);

/* It has been installed anew. */
void check_forget(struct agent *a, const struct slot_id *id);

/* Give up a job that takes too long; called every second. */
void check_tick(struct agent *a, uint64_t now_ms);

#endif
