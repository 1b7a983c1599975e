/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/documents: what becomes of each type of signed document that arrives.  The bytes come off
 * the link and are hostile until manifest/trust has verified them; what was verified is on disk
 * before anything rests on it.
 */
#ifndef BERTH_AGENT_DOCUMENTS_H
#define BERTH_AGENT_DOCUMENTS_H

#include "agent/agent.h"

/* Verify a document of this kind (enum object_kind) and put it into force.  RC_OK: taken, or held
 * already.  RC_ROOT_GAP, RC_TOKEN_EARLY: keep it, one before it is missing.  Any other code:
 * refused, nothing has changed. */
must_check enum rc documents_take(struct agent *a, uint32_t kind, struct bytes envelope,
                                  struct err *err);

/* The same while the state is damaged (a->damaged): RC_STATE_DAMAGED for all but an order that is
 * newer than the one in force.  Such an order ends that: it is the operator's word, signed, that
 * the satellite is to begin anew from what is on board.  What could not be read is set aside, and
 * the state is recorded again before the order is taken. */
must_check enum rc documents_take_damaged(struct agent *a, uint32_t kind, struct bytes envelope,
                                          struct err *err);

#endif
