/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus_quota: what a payload is told of its limits and of what is left of them.  Pure: who
 * plays an agent (berth try) answers the same.
 */
#ifndef BERTH_AGENT_BUS_QUOTA_H
#define BERTH_AGENT_BUS_QUOTA_H

#include "agent/bus_store.h"
#include "manifest/doc.h"

/* What was measured of a payload. */
struct bus_used {
    bool measured; /* memory and processor time */
    uint64_t memory_bytes;
    uint64_t cpu_ms;             /* since it was started */
    uint64_t log_hour, log_left; /* bytes of output in an hour; 0 = nobody counts them */
};

/* Fill all lines; now_ms is monotonic. */
void bus_quota(const struct resources *limits, const struct bus_used *used,
               const struct bus_store *store, uint64_t now_ms, struct bus_quota *ret);

#endif
