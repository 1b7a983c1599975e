/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/install: from a package in the object store to a slot: verify, make room, unpack in
 * berth-unpack, one rename.  One package at a time.
 *
 * Until the rename nothing that runs has been touched, and the package stays in the store: a power
 * cut means that it is installed again from the start.
 */
#ifndef BERTH_AGENT_INSTALL_H
#define BERTH_AGENT_INSTALL_H

#include "agent/agent.h"

/* Begin with a package.  RC_OK: started, or installed already.  RC_GRANT_MISSING: kept in the
 * store, its tenant may yet get a grant.  Other refusals: told, and the package is gone.  RETRY
 * class: told, and the package is still there. */
must_check enum rc install_begin(struct agent *a, const struct digest *object, struct err *err);

/* Give up a job that takes too long; called every second. */
void install_tick(struct agent *a, uint64_t now_ms);

/* Remove slots that nobody will need: failed versions, and those no newer than the good one. */
void install_collect(struct agent *a);

/* Whether a payload has something that must not change hands: slots, data, a security floor. */
bool install_owns(const struct agent *a, const struct unit_record *unit);

#endif
