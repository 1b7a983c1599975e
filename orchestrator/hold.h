/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/hold: what must not go up yet, although it is queued, because the satellite would
 * refuse it, or lose by it, before something else is there.  Pure.
 */
#ifndef BERTH_ORCHESTRATOR_HOLD_H
#define BERTH_ORCHESTRATOR_HOLD_H

#include "orchestrator/view.h"

/* Whether rows[i] waits; rows are all that is queued for its satellite, at least.  Raw objects
 * never wait. */
bool hold_back(const struct view *view, const struct store_outgoing *rows, size_t n, size_t i);

#endif
