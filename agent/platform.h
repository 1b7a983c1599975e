/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/platform: what the platform tells (agent/inputs), heard by berthd.
 */
#ifndef BERTH_AGENT_PLATFORM_H
#define BERTH_AGENT_PLATFORM_H

#include "agent/agent.h"
#include "agent/platform_clock.h"

/* Listen to a->inputs_sock, if there is one. */
must_check enum rc platform_open(struct agent *a, struct err *err);

/* Every second: tell what was refused. */
void platform_tick(struct agent *a);

/* Unix time in ms, by the best source there is, and which.  Never for judging documents. */
uint64_t platform_now_ms(const struct agent *a, enum platform_clock *ret);

#endif
