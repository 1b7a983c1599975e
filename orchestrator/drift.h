/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/drift: payloads that run a version which no order to their satellite ever named.
 *
 * Looked up when asked for and never stored.  What the newest order names costs nothing; only for
 * what it does not name the older ones are read, the newest of them first.
 */
#ifndef BERTH_ORCHESTRATOR_DRIFT_H
#define BERTH_ORCHESTRATOR_DRIFT_H

#include "orchestrator/cli.h"
#include "orchestrator/view.h"

#define DRIFT_MAX PAYLOADS_MAX

/* Indices into sat->seen->payload of those that drifted; how many in *ret_n. */
must_check enum rc drift_find(struct store *store, const struct view_satellite *sat,
                              uint32_t ret[DRIFT_MAX], uint32_t *ret_n, struct err *err);

/* Whether this payload of its report is one of those. */
bool drift_has(const struct view_satellite *sat, const uint32_t *at, uint32_t n,
               const struct report_payload *p);

/* A line for each, of one satellite, or of all (only NULL). */
must_check enum rc drift_print(struct cli *cli, struct store *store, const struct view *view,
                               const struct view_satellite *only, struct err *err);

#endif
