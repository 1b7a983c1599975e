/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/kept: the package of an installed slot stays in the object store for as long as the slot
 * does and there is room: what a flipped bit takes from a slot is unpacked from it again
 * (agent/scrub).  It gives way to whatever else its own tenant needs room for; to another's need
 * only above its tenant's share of the store, and never while what it repairs runs (agent/stored,
 * agent/space).  Which package a slot came from is noted in the
 * slot (update/slots); a note that is lost costs the repair, never the slot.
 */
#ifndef BERTH_AGENT_KEPT_H
#define BERTH_AGENT_KEPT_H

#include "agent/agent.h"

/* A slot was installed from this package, or is there already: keep it if all for whose quota it
 * counts have room, else remove it.  `team` signed for it, "" = the tenant. */
void kept_take(struct agent *a, const struct slot_id *id, const char *team,
               const struct digest *object);

/* The kept package of a slot: RC_OK if it is in the store; its bytes are not read. */
must_check enum rc kept_of(const struct agent *a, const struct slot_id *id, struct digest *ret,
                           struct err *err);

/* Remove the kept package of a slot that is about to be removed. */
void kept_drop(struct agent *a, const struct slot_id *id);

/* Whether an object is the kept package of some slot.  Perhaps: of one that cannot be read just
 * now; it stays.  `tenant` is whose package it is, "" = not known: then it may be anybody's. */
enum kept { KEPT_NO, KEPT_PERHAPS, KEPT_YES };
enum kept kept_is(struct agent *a, const char *tenant, const struct digest *object);

#endif
