/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/install: from a package in the object store to a slot: verify, make room, unpack in
 * berth-unpack, one rename.  A few packages at a time, and never two of one tenant: what a tenant
 * sends can be as large, as slow or as broken as it likes, and another's is begun with as if it
 * were not there.  When every place is taken and somebody waits, a job that has had its share of
 * time makes way and begins again later, with twice that share.
 *
 * Until the rename nothing that runs has been touched, and the package stays in the store: a power
 * cut means that it is installed again from the start.
 */
#ifndef BERTH_AGENT_INSTALL_H
#define BERTH_AGENT_INSTALL_H

#include "agent/agent.h"

/* Whether a package of this tenant could be begun with: it has no job, and there is a place. */
bool install_may_begin(const struct agent *a, const char *tenant);

/* Whether a package is being unpacked. */
bool install_runs(const struct agent *a, const struct digest *object);

/* Begin with a package that has been stopped `yields` times to make way.  RC_OK: started, or
 * installed already.  RC_BUSY: its tenant has a job, or there is no place; not told.
 * RC_GRANT_MISSING, RC_DELEGATION_MISSING: kept in the store, its tenant may yet get a grant. Other
 * refusals: told, and the package is gone.  RETRY class: told, and the package is still there. */
must_check enum rc install_begin(struct agent *a, const struct digest *object, uint32_t yields,
                                 struct err *err);

/* Give up jobs that take too long, or longer than their share while others wait; called every
 * second. */
void install_tick(struct agent *a, uint64_t now_ms);

/* Stop every job: the agent ends. */
void install_end(struct agent *a);

/* Whether a payload has something that must not change hands: slots, data, a security floor. */
bool install_owns(const struct agent *a, const struct unit_record *unit);

#endif
