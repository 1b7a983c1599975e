/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/witness: how far the ground's audit log had come, as the orders of the operators said, kept
 * in a state file and told in every report.  A ground whose log was cut off or written anew then
 * finds a head out of its reach that it does not have.
 *
 * Only verified orders bring one, and only a greater number replaces what is held: an order made
 * from a log that was rolled back cannot make a satellite forget.  Nothing on board depends on it;
 * one that cannot be kept is told by the journal and kept in memory.
 */
#ifndef BERTH_AGENT_WITNESS_H
#define BERTH_AGENT_WITNESS_H

#include "agent/agent.h"

/* What is held, at start; none if there is no file, or none that is whole. */
void witness_load(struct agent *a);

/* A verified order was taken, in force or to wait. */
void witness_take(struct agent *a, const struct order *order);

/* The content of the state file, strict CBOR. */
must_check enum rc witness_decode(struct bytes in, struct witness *ret, struct err *err);

#endif
