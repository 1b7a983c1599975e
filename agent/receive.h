/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/receive: objects from berth-link, one at a time: documents go on to agent/documents,
 * packages to agent/install.
 *
 * Order of steps for a document: verify, save durably, then in force, then done.  A power cut in
 * between means that berth-link offers it again.  An object that is refused is told with its own
 * code and moved aside (agent/aside).
 */
#ifndef BERTH_AGENT_RECEIVE_H
#define BERTH_AGENT_RECEIVE_H

#include "agent/agent.h"

/* Listen to berth-link, and queue the packages that an earlier run left in the store. */
must_check enum rc receive_open(struct agent *a, struct err *err);

/* Packages that are in the store are worth another look: the trust has changed. */
void receive_rescan(struct agent *a);

/* Queue a package that is in the store. */
void receive_stored(struct agent *a, const struct digest *object);

/* Whether a package waits in the queue or is being worked on. */
bool receive_has(struct agent *a, const struct digest *object);

/* The unpacking of a package has ended with this code. */
void receive_installed(struct agent *a, const struct digest *object, enum rc rc);

/* A root or an order has been taken: what came before it may follow it now. */
void receive_try_waiting(struct agent *a);

/* Ask whether berth-link is still there, when it is time; called every second.  One that does not
 * answer any more (agent/pulse) ends the agent as one that has ended does. */
void receive_tick(struct agent *a, uint64_t now_ms);

/* Let the queue move on if it can; called every second. */
void receive_kick(struct agent *a);

#endif
