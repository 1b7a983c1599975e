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

#define REVOKED_FILE "revoked"

/* Give the set to a trust that is being loaded, before its grants.  None is no error; a lost one
 * is (RC_STATE_DAMAGED): nobody knows then what must not run. */
must_check enum rc revoke_load(struct agent *a, struct trust *trust, struct err *err);

/* Save the set of a->trust. */
must_check enum rc revoke_save(struct agent *a, struct err *err);

/* Apply the policies to the table.  An order whose key was revoked, and not to be kept, is not in
 * force any more; its number stays. */
void revoke_apply(struct agent *a);

#endif
