/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/deltas_ahead: have the deltas made that a fleet file wants, by a program of their
 * own and within a time, so that who plans over the API does not hold up those who act.
 */
#ifndef BERTH_ORCHESTRATOR_DELTAS_AHEAD_H
#define BERTH_ORCHESTRATOR_DELTAS_AHEAD_H

#include <stdint.h>

/* Run "berth plan --deltas" of this home and fleet file for at most so long.  What was not made by
 * then, or for any other reason, goes as a full package: there is nothing to fail. */
void deltas_ahead(const char *home, const char *fleet, uint64_t most_ms);

#endif
