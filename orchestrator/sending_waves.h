/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/sending_waves: in which wave of which rollout a satellite gets a payload, for the
 * order in which packages go up.
 */
#ifndef BERTH_ORCHESTRATOR_SENDING_WAVES_H
#define BERTH_ORCHESTRATOR_SENDING_WAVES_H

#include "orchestrator/view.h"

/* A wave of a rollout that is under way, on one satellite. */
struct sending_place {
    char satellite[NAME_CAP];
    char tenant[NAME_CAP];
    char name[NAME_CAP];
    uint32_t index; /* from 1 */
    bool is_canary; /* the first of several */
};

struct sending_waves {
    size_t n;
    struct sending_place *place; /* by satellite; owned */
};

struct sending_wave {
    uint32_t index; /* 0 = of no rollout */
    bool is_canary;
};

/* Of all rollouts that are running or paused. */
must_check enum rc sending_waves_load(struct store *store, struct sending_waves *ret,
                                      struct err *err);
void sending_waves_done(struct sending_waves *waves); /* scope cleaner */

/* The wave that an object of the queue is of. */
struct sending_wave sending_wave_of(const struct sending_waves *waves, const struct view *view,
                                    const struct store_outgoing *row);

#endif
