/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plan_desired: the lines that each satellite of a fleet file should have in its
 * order.  Pure.
 *
 * Satellites that the same entries of the file select are to run the same, but for what an entry
 * holds: their lines are made once and shared.  What is shared is an aid and no more: what comes
 * out is what it would be if each satellite were looked at by itself (test_orchestrator_plan_many).
 */
#ifndef BERTH_ORCHESTRATOR_PLAN_DESIRED_H
#define BERTH_ORCHESTRATOR_PLAN_DESIRED_H

#include "orchestrator/plan.h"

struct desired;

/* Lines that are kept go into the arena, which outlives it, as does the input.  RC_NO_MEMORY. */
must_check enum rc desired_new(const struct plan_input *in, struct arena *arena,
                               struct desired **ret, struct err *err);
void desired_free(struct desired **desired); /* scope cleaner */

/* Find out what a satellite (its index in the file) should run: *ret, with the generation of its
 * next order, is good until the next call.  What plan_compute refuses of the file is refused here,
 * but for soaks. */
must_check enum rc desired_find(struct desired *desired, uint32_t satellite, struct want *ret,
                                struct err *err);

/* Whether an order has the lines that were found last. */
bool desired_is(struct desired *desired, const struct want *order);

/* Let *want, as it was found last, live as long as the arena.  RC_NO_MEMORY. */
must_check enum rc desired_keep(struct desired *desired, struct want *want, struct err *err);

#endif
