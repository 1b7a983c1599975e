/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/receive: objects from berth-link, one at a time: root, grant and order documents take
 * effect here, packages go on to agent/install.
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

/* The unpacking of a package has ended with this code. */
void receive_installed(struct agent *a, const struct digest *object, enum rc rc);

/* Let the queue move on if it can; called every second. */
void receive_kick(struct agent *a);

#endif
