/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/gate: whether a version that should run may start now, by how it lives and what goes on.
 * Pure: looks at the table and changes nothing.
 */
#ifndef BERTH_AGENT_GATE_H
#define BERTH_AGENT_GATE_H

#include "agent/reconcile.h"

/* What is known of how a version lives; NULL: it was not asked for yet. */
const struct life *gate_life(const struct unit *u, const struct digest *manifest);

/* RC_OK: it may start.  RC_DONE: not again by itself.  RC_OUT_OF_MODE.  RC_RESTS: its schedule
 * waits; *ret_wake_ms (else UINT64_MAX) says when to look again.  RC_RUN_TIME: used up in this
 * orbit. RC_AFTER: a payload that it needs is not ready; RC_AFTER_CYCLE: nor will it be, since it
 * waits for this one. */
must_check enum rc gate_check(const struct table *t, const struct unit *u,
                              const struct digest *manifest, const struct life *life,
                              uint64_t now_ms, uint64_t *ret_wake_ms);

/* Whether all that a payload needs is ready. */
bool gate_after_ready(const struct table *t, const struct unit *u, const struct life *life);

#endif
