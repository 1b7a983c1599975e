/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/load_state: the agent's state at a start: as it was, or, where that is not to be had, what
 * may be made of it.
 *
 *   what agent.{a,b} is             what the agent does
 *   whole                           goes on from it
 *   not to be read just now         ends, having changed nothing: it may be whole
 *   whole, or no state file at      goes on from what was kept when the agent was chosen that wrote
 *   all, and not understood         it, if all that was ever revoked is known
 *   damaged, or missing and         damaged mode: what is provably ordered runs, nothing new is
 *   there was an agent here         taken, nothing is written
 *   missing                         begins
 */
#ifndef BERTH_AGENT_LOAD_STATE_H
#define BERTH_AGENT_LOAD_STATE_H

#include "agent/agent.h"

/* Fill a->state, a->table and a->events, with the stores and data_dir open.  RC_IO, RC_NO_MEMORY:
 * it could not be read for want of memory or descriptors, several times. */
must_check enum rc load_state(struct agent *a, struct err *err);

#endif
