/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/period: how long satellites take to go around once, which is how a soak counts
 * orbits.
 *
 * Of elements it is 2 pi over their mean motion, as published.  Of an ephemeris it is the longest
 * that one of its states gives: 2 pi sqrt(a^3 / mu) with a from the energy, mu as
 * orchestrator/sgp4 has it.  The time does not count, so a plan has the same periods whenever it is
 * made.  A contact plan tells none.
 */
#ifndef BERTH_ORCHESTRATOR_PERIOD_H
#define BERTH_ORCHESTRATOR_PERIOD_H

#include "orchestrator/contact_oem.h"
#include "orchestrator/fleet.h"

/* In ms, rounded; 0 = not closed, or longer than ROLLOUT_PERIOD_MAX_MS. */
uint64_t period_of_tle(const struct tle *tle);
uint64_t period_of_oem(const struct oem *oem);

/* If a policy of the file counts orbits: set period_ms of each satellite whose orbit tells it, from
 * the files that it names in the directory of path, each of which is read once.  The codes of
 * outlook_read, outlook_tle and oem_read. */
must_check enum rc period_find(struct fleet *fleet, const char *path, struct err *err);

#endif
