/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/verdict: desired beside observed.  Pure.
 *
 * Desired is the newest order that was released to a satellite; observed is its newest report,
 * which came through the link's authentication and report_decode.  A verdict is always computed,
 * never stored: it cannot be out of date.
 */
#ifndef BERTH_ORCHESTRATOR_VERDICT_H
#define BERTH_ORCHESTRATOR_VERDICT_H

#include "orchestrator/rollout.h"
#include "orchestrator/sight.h"

enum verdict {
    VERDICT_UNKNOWN = 0, /* no report ever */
    VERDICT_PENDING = 1, /* heard of lately, and not there yet, or failed */
    VERDICT_SILENT = 2,  /* not heard of for longer than expected; says nothing about its state */
    VERDICT_SYNCED = 3,  /* runs exactly what the order names, all of it committed */
    VERDICTS
};

/* "unknown", "pending", "silent", "synced". */
const char *verdict_name(enum verdict verdict);

/* Whether a payload of a report runs this manifest and has committed it. */
bool verdict_line_synced(const struct order_line *want, const struct report_payload *seen);

/* A satellite as a whole.  want NULL: nothing was ever ordered.  seen NULL: nothing was ever
 * reported.  age_ms is how long ago the report came in; silent_ms the longest that is expected. */
enum verdict verdict_of(const struct want *want, const struct sight *seen, uint64_t age_ms,
                        uint64_t silent_ms);

/* The same where it is known how many passes were predicted since the report came in: silent once
 * that is more than `most`, whatever the time. */
enum verdict verdict_by_passes(const struct want *want, const struct sight *seen, uint64_t missed,
                               uint64_t most);

/* The first payload from `from` on that runs a manifest which `named` knows of no order, and its
 * index; NULL if there is none.  Drift: somebody else put it there, or the orders are not known. */
const struct report_payload *verdict_drift(const struct sight *seen, uint32_t from,
                                           bool (*named)(void *arg, const struct report_payload *p),
                                           void *arg, uint32_t *ret_at);

/* The entry of a payload in a report, NULL if it has none (or seen is NULL). */
const struct report_payload *verdict_payload(const struct sight *seen, const char *tenant,
                                             const char *name);

/* The line of a payload in an order, NULL if it has none (or want is NULL). */
const struct order_line *verdict_order_line(const struct want *want, const char *tenant,
                                            const char *name);

/* One payload that a rollout changes. */
struct verdict_change {
    char tenant[NAME_CAP];
    char name[NAME_CAP];
};

/* What a satellite did with the payloads that a rollout changes, under this order.  Others of its
 * payloads do not count: a tenant's failing payload must not stop its neighbour's rollout.  A
 * report from before the order took effect is OUTCOME_WAITING. */
struct rollout_seen verdict_outcome(const struct want *want, const struct verdict_change *change,
                                    size_t n_changes, const struct sight *seen);

#endif
