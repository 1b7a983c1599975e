/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/confinement: what a report says of the walls around payloads and of the receipts of
 * their starts, for people and for programs, and whether that is as it was before.  Texts in a
 * report are printable names: its decoder takes no others.
 */
#ifndef BERTH_ORCHESTRATOR_CONFINEMENT_H
#define BERTH_ORCHESTRATOR_CONFINEMENT_H

#include "orchestrator/cli.h"
#include "orchestrator/json.h"
#include "orchestrator/sight.h"
#include "orchestrator/store.h"

#define CONFINEMENT_ALARM_CAP 160U
#define CONFINEMENT_ENTRIES_MAX 16U /* of one satellite, in the audit log, an hour */

/* {standing, missing, waived: [names], landlock, cgroup, receipts: [{tenant, name, receipt}]}; null
 * where a report does not say. */
json_t *confinement_json(const struct report *doc);

/* One line for the walls, and with wide one for each receipt. */
void confinement_print(struct cli *cli, const struct report *doc, bool wide);

/* What is wrong with it: a payload that was not confined any more as at its start, or a wall that
 * is missing and stops every payload; "" if nothing is. */
void confinement_alarm(const struct sight *doc, char out[CONFINEMENT_ALARM_CAP]);

/* Write into the audit log what differs from the report before: "receipt-changed" for each payload
 * that runs the same manifest under the same agent and walls and has another receipt, and
 * "walls-changed".  The receipt is the same at every start as long as those are, so the first is
 * drift that nobody on board has told of.  Of one satellite CONFINEMENT_ENTRIES_MAX in an hour, for
 * nothing ever leaves that log; others are counted, and "changes-left-out" says how many, with the
 * first report of a later hour.  Inside the transaction that keeps the report. */
must_check enum rc confinement_compare(struct store *store, const char *satellite,
                                       const struct sight *before, const struct sight *now,
                                       uint64_t now_ms, struct err *err);

#endif
