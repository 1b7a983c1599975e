/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plan_waves: which satellites a change reaches in which wave.  Pure and
 * deterministic: the fleet file alone decides.
 *
 * Waves take satellites in the order of the file, those with the wave's label first.  Where a
 * policy says `spread`, no wave takes more of the satellites that share a label's value (a plane, a
 * lot) than it lets; then those go first whose plane or lot has most left for its part of a wave,
 * so that the later waves have room for what is left.
 */
#ifndef BERTH_ORCHESTRATOR_PLAN_WAVES_H
#define BERTH_ORCHESTRATOR_PLAN_WAVES_H

#include "orchestrator/fleet.h"

#define PLAN_SPREAD_MAX 16U

struct plan_dealing {
    const struct fleet *fleet;
    uint32_t n_waves;
    const struct fleet_wave *wave;
    uint32_t n_spread; /* rules of all policies that have a part in it, at most PLAN_SPREAD_MAX */
    struct fleet_spread spread[PLAN_SPREAD_MAX];
    uint32_t n;
    const uint32_t *which; /* n satellites: their entries in the file */
};

/* Divide them: ret[i] is the wave of which[i].  Empty waves are left out; *ret_waves is how many
 * there are.  RC_YAML: the waves have no room for all, with the file's name and the line of the
 * rule. */
must_check enum rc plan_waves(const struct plan_dealing *in, uint32_t *ret, uint32_t *ret_waves,
                              struct err *err);

/* Add a policy's rules, each once.  RC_YAML: more than there is room for. */
must_check enum rc plan_spread(struct plan_dealing *in, const struct fleet_policy *policy,
                               struct err *err);

#endif
