/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/ring: which items a round of the scrub reads, and in which order.  Pure.
 *
 * Every item has its place on a ring, by a digest that says nothing but where.  A round begins
 * behind the place where the last one stopped and goes round once, as far as its list reaches, so
 * rounds that are cut short every time still come to everything.  What a start of the agent cannot
 * know is where the last one stopped; it begins at a place that is chosen by the number of the
 * start, so that starts which follow each other are spread evenly over the ring: if each reads a
 * part of it, some of the next 2 / part starts reads any given item.
 */
#ifndef BERTH_AGENT_RING_H
#define BERTH_AGENT_RING_H

#include "manifest/doc.h"

/* Where the first round of this start begins. */
struct digest ring_start(uint64_t epoch);

/* Whether a comes before b in a round that begins behind `start`. */
bool ring_before(const struct digest *start, const struct digest *a, const struct digest *b);

#endif
