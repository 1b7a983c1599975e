/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/audit: having berth-launch hold each payload that runs against the receipt of its start,
 * every few minutes and when a round of reading everything again begins (agent/scrub).  One that
 * differs is killed there, and its end comes with RC_DRIFT like any other end.
 */
#ifndef BERTH_AGENT_AUDIT_H
#define BERTH_AGENT_AUDIT_H

#include "agent/agent.h"
#include "sandbox/wire.h"

/* A payload has started: keep its receipt's digest, which goes into reports, and when it is due. */
void audit_begin(const struct agent *a, struct proc *p, const struct wire_receipt *receipt);

/* At every tick: ask for it if it is due. */
void audit_tick(const struct agent *a, struct proc *p);

/* All of them are due. */
void audit_all(struct agent *a);

/* The answer. */
void audit_told(struct agent *a, const struct proc *p, const struct wire_audited *m);

#endif
