/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/prepare: make the deltas that a plan would send if they were there, before the store
 * is locked and before any private key is in memory.
 */
#ifndef BERTH_ORCHESTRATOR_PREPARE_H
#define BERTH_ORCHESTRATOR_PREPARE_H

#include "orchestrator/planning.h"

/* Plan, and make what is missing, saying on stderr how far it is.  A delta that cannot be made is
 * told and does no harm: the full package goes in its place.  The codes of planning_make only. */
must_check enum rc prepare_deltas(struct cli *cli, const struct home *home,
                                  const struct fleet *fleet, const char *path, struct err *err);

#endif
