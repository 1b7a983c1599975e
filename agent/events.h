/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/events: what happened lately, for the report: a ring of the newest REPORT_EVENTS_MAX.
 *
 * The same event again in a row only raises its count, so a peer that is refused a thousand times
 * costs one line.  Texts may name hostile input; they are kept in printable ASCII.
 */
#ifndef BERTH_AGENT_EVENTS_H
#define BERTH_AGENT_EVENTS_H

#include "manifest/doc.h"

struct events {
    uint64_t seq; /* of the newest event, 0 = there was none yet */
    uint32_t first;
    uint32_t n;
    struct report_event ring[REPORT_EVENTS_MAX];
};

/* Start behind event seq, with an empty ring. */
void events_init(struct events *events, uint64_t seq);

/* Add count occurrences.  True if this made a new event, false if it counted up the newest. */
bool events_add(struct events *events, enum rc code, uint32_t count, const char *what);

/* The newest events, oldest of them first, at most cap; how many. */
uint32_t events_copy(const struct events *events, struct report_event *ret, uint32_t cap);

#endif
