/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/abuse: counting what a payload tries and may not, and when to tell it.  Pure.
 *
 * The first one is told at once, what follows once an hour and when the payload ends, as one event
 * with its count: a payload that does nothing else cannot push others out of the report.
 */
#ifndef BERTH_AGENT_ABUSE_H
#define BERTH_AGENT_ABUSE_H

#include <stdbool.h>
#include <stdint.h>

#define ABUSE_TELL_MS (60U * 60U * 1000U)

/* All zero: nothing happened. */
struct abuse {
    uint32_t untold;
    bool told; /* once, at told_ms */
    uint64_t told_ms;
};

/* It happened so many times more. */
void abuse_add(struct abuse *abuse, uint32_t count);

/* How many are to be told now, and from then on are; 0 = nothing.  ending: there will be no later
 * time. */
uint32_t abuse_due(struct abuse *abuse, uint64_t now_ms, bool ending);

#endif
