/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/revoke: keep what the root role has taken back, and bring what runs in line with it.
 *
 * The set is in trust/revoked.{a,b}.  It is saved before anything is done about it, and looked at
 * again at every start, so a cut between the two changes nothing.
 */
#ifndef BERTH_AGENT_REVOKE_H
#define BERTH_AGENT_REVOKE_H

#include "agent/agent.h"

/* All that was ever taken back, from the file and from what the agent's state recorded: whatever
 * either has lost, the other puts back.  If both have (the state is damaged, or an older one that
 * was kept), nobody knows what must not run: RC_STATE_DAMAGED. */
must_check enum rc revoke_restore(struct agent *a, struct revoked_set *ret, struct err *err);

/* Whether the file can be read and is whole; nothing is told or changed. */
must_check enum rc revoke_look(const struct agent *a, struct err *err);

/* Save the set of a->trust. */
must_check enum rc revoke_save(struct agent *a, struct err *err);

/* Apply the policies to the table.  An order whose key was revoked, and not to be kept, is not in
 * force any more; its number stays. */
void revoke_apply(struct agent *a);

#endif
