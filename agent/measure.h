/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/measure: what a slot takes of the disk, and who signed it.
 *
 * A slot does not change: it is made elsewhere and moved into place, and what takes its place is
 * another directory.  So what has been found of one holds for as long as its directory is the same
 * and unchanged, and an account that is asked for every minute reads nothing again.  Nothing that
 * depends on today's trust is remembered.
 */
#ifndef BERTH_AGENT_MEASURE_H
#define BERTH_AGENT_MEASURE_H

#include "agent/agent.h"
#include "agent/space.h"

/* Fill in who signed the slot t->id, its release (0: it does not verify today) and, with `sized`,
 * its bytes and files, directories too; all of it is looked at now.  What cannot be found stays as
 * it is. */
void measure_slot(const struct agent *a, struct space_thing *t, bool sized);

/* What is remembered of a slot, else what is found now.  What cannot be found is 0. */
struct measured measure_account(struct agent *a, const struct slot_id *id);

/* Look at it again next time: something was written into it just now, and the clock of the disk is
 * coarse. */
void measure_forget(struct agent *a, const struct slot_id *id);

#endif
