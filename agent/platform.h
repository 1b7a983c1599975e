/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/platform: what the platform tells (agent/inputs), heard by berthd.
 */
#ifndef BERTH_AGENT_PLATFORM_H
#define BERTH_AGENT_PLATFORM_H

#include "agent/agent.h"

/* Listen to a->inputs_sock, if there is one. */
must_check enum rc platform_open(struct agent *a, struct err *err);

/* Every second: tell what was refused. */
void platform_tick(struct agent *a);

/* Unix time in ms, by the best source there is, and which.  Never for judging documents. */
enum platform_clock {
    PLATFORM_CLOCK_MACHINE, /* the machine's clock, of which nobody has said that it is right */
    PLATFORM_CLOCK_FLOOR,   /* that is behind what documents have shown: it is at least this late */
    PLATFORM_CLOCK_TOLD,    /* the platform's, and the time since it told */
};

uint64_t platform_now_ms(const struct agent *a, enum platform_clock *ret);

#endif
