/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/report: what the satellite says of itself, put together from the table, the events and the
 * link's transfers.  Pure.  A report always fits: what does not fit is left out, transfers last
 * wanted first, then events from the oldest, never the payloads.
 */
#ifndef BERTH_AGENT_REPORT_H
#define BERTH_AGENT_REPORT_H

#include "agent/events.h"
#include "agent/reconcile.h"
#include "link/port.h"
#include "manifest/brief.h"

/* What is known of a running instance besides its unit. */
struct usage {
    char version[VERSION_CAP];
    uint32_t memory_kib;
    uint32_t cpu_ms;
    uint8_t receipt[REPORT_RECEIPT_SIZE]; /* of its start; all zero = none yet */
};

/* Everything that a report is made of. */
struct report_parts {
    const char *satellite;
    uint64_t epoch, seq, time_ms, root_version, generation, staged;
    uint32_t lost, passes_order, passes_document;
    const struct table *table;
    const struct usage *usage; /* one for each unit of the table */
    const struct events *events;
    struct report_agent agent;
    struct witness witness;
    struct report_walls walls;
    const struct port_transfers *transfers;
};

/* Fill in the report. */
void report_build(const struct report_parts *parts, struct report *ret);

/* What was told last, and how often; begins with all zero. */
struct report_told {
    struct report_root root;
    uint32_t full;  /* reports with this root in a row */
    uint32_t brief; /* and briefs instead of one since */
};
#define REPORT_FULL_TIMES 3U /* full reports of one state, since any may get lost */
#define REPORT_BRIEF_TIMES                                                                         \
    20U /* briefs in a row, then a full one: what is in no root is told, too */

/* Whether a brief is enough this time, and count it.  may: the ground knows briefs, and nobody
 * waits for the report. */
bool report_brief_enough(struct report_told *told, const struct report_root *root, bool may);

/* Encode into buf of REPORT_MAX bytes, leaving out what does not fit; *report shrinks with it. */
must_check enum rc report_fit(struct report *report, uint8_t *buf, struct bytes *ret,
                              struct err *err);

#endif
