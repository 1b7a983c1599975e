/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/refused: system calls that were refused to payloads, by name and payload, for the log and
 * the report.
 *
 * Input: records of the kernel (sandbox/denied) on a socket that berth-launch opens, and hands over
 * when it has started: berthd needs no right to it.  A payload can make as many as it has processor
 * time for, so no more than REFUSED_PER_TICK of them are read between two ticks; what is lost for
 * that is told as lost.  All but the socket is pure.
 */
#ifndef BERTH_AGENT_REFUSED_H
#define BERTH_AGENT_REFUSED_H

#include "agent/reconcile.h"
#include "sandbox/denied.h"

#define REFUSED_PER_TICK 512U

struct agent;

/* One payload's, found by the number of its id range. */
struct refused_unit {
    char tenant[NAME_CAP]; /* "" = free */
    char name[NAME_CAP];
    uint32_t index;
    struct denied denied;
};

/* All zero but the descriptor: nothing was refused yet. */
struct refused {
    int fd;          /* -1 = nobody tells */
    uint32_t read;   /* records since the last tick */
    uint32_t missed; /* times that records were lost; does not wrap */
    struct refused_unit unit[UNITS_MAX];
};

/* Count a record.  NULL: it is about none of our payloads.  *ret_first: it is the first of its
 * call. */
const struct refused_unit *refused_count(struct refused *r, const struct table *table,
                                         const struct denied_record *record, bool *ret_first);

/* What a report says of it: of the payloads that were refused most, their most frequent calls. */
void refused_report(const struct refused *r, struct report *ret);

/* berth-launch has sent the socket: listen to it, from now on ours. */
void refused_listen(struct agent *a, int *fd);

/* Once a tick: so many may be read again. */
void refused_tick(struct agent *a);

#endif
