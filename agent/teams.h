/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/teams: the delegations of tenants to teams, on disk and as they come.
 *
 * Each team has a state file trust/team-TENANT+PATH.{a,b}: the newest delegation, the withdrawal if
 * that is newer, and whether it has been seen to expire.  At start all of it is verified again
 * under the grants of then.  Documents come off the link and are hostile until manifest/trust has
 * verified them.
 */
#ifndef BERTH_AGENT_TEAMS_H
#define BERTH_AGENT_TEAMS_H

#include "agent/agent.h"

/* Put what is on disk into a trust that is being loaded, after its grants.  What cannot be read or
 * means nothing any more is told and left out. */
void teams_load(struct agent *a, struct trust *trust);

/* Verify a delegation or withdrawal, save it, and then let it take effect. *ret_taken: false if it
 * was held already.  RC_GRANT_MISSING, RC_DELEGATION_MISSING: what it rests on may yet come. */
must_check enum rc teams_take(struct agent *a, struct bytes envelope, bool *ret_taken,
                              struct err *err);

/* Save what has changed by itself (a delegation that expired), and remove what is forgotten.  A
 * failure is told, and tried again the next time. */
void teams_save(struct agent *a);
void teams_tidy(struct agent *a);

#endif
