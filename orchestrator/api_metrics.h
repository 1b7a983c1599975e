/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_metrics: the fleet as numbers, in Prometheus' text format 0.0.4.  One line per
 * state and not per satellite, so that it stays small for any fleet.
 */
#ifndef BERTH_ORCHESTRATOR_API_METRICS_H
#define BERTH_ORCHESTRATOR_API_METRICS_H

#include <stdio.h>

#include "orchestrator/rollout.h"
#include "orchestrator/view.h"

/* What the server itself has counted since its start. */
struct api_counts {
    uint64_t requests[6]; /* by the first digit of the status */
    uint64_t refused;     /* of them without a token that counts */
    uint64_t limited;     /* ... and above the rate */
    uint64_t streams;     /* open now */
};

/* rollouts: how many there are in each state. */
void api_metrics_print(FILE *out, const struct view *view, const uint32_t rollouts[ROLLOUT_STATES],
                       const struct api_counts *counts, uint64_t now_ms, uint64_t silent_ms);

#endif
