/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/steps: carries a scenario's steps out, one after another.
 */
#ifndef BERTH_SIM_STEPS_H
#define BERTH_SIM_STEPS_H

#include "sim/world.h"

/* Carry one step out.  An expectation that does not hold is recorded and RC_EXPECTATION; any other
 * failure means that the scenario could not go on. */
must_check enum rc step_run(struct world *w, const struct step *step, struct err *err);

#endif
