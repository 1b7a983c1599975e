/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/used: what each tenant takes of the disk, for the report.  Every file of every slot is
 * looked at for that, once (agent/measure), so it is done now and then, for one tenant at a time.
 */
#ifndef BERTH_AGENT_USED_H
#define BERTH_AGENT_USED_H

#include "agent/agent.h"

#define USED_ROUND_MS 60000U /* between two looks at all tenants */

/* Look at the next tenant, if it is time; called every second. */
void used_tick(struct agent *a, uint64_t now_ms);

/* What was found when all were looked at last. */
void used_report(const struct agent *a, struct report *ret);

#endif
