/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/event_rows: events of satellites as they are printed, and as they go through the API
 * (Told in docs/wire/openapi.json): the same on the ground and elsewhere.
 */
#ifndef BERTH_ORCHESTRATOR_EVENT_ROWS_H
#define BERTH_ORCHESTRATOR_EVENT_ROWS_H

#include "orchestrator/cli.h"
#include "orchestrator/store.h"

#define EVENT_ROWS_MAX 4096U /* listed at once */
#define EVENT_ROWS_DEFAULT 100U
#define EVENT_NEWS_MAX 256U /* of those that follow, read at once */

/* The newest `last` of a satellite (NULL = all) and the number of the newest news, of one moment:
 * what comes later is behind it (store_events_after).  RC_NO_SATELLITE.  The caller frees *ret. */
must_check enum rc event_rows_list(struct store *store, const char *satellite, size_t last,
                                   struct store_event **ret, size_t *ret_n, uint64_t *ret_told,
                                   struct err *err);

/* One as JSON; a new reference. */
json_t *event_row_json(const struct store_event *event);

/* Read one that a server sent, with nothing in it that a satellite could not have told.  RC_VALUE.
 * Pure; told is 0. */
must_check enum rc event_row_read(const json_t *row, struct store_event *ret, struct err *err);

/* A line for each; with --json into rows, or, rows NULL, each as a value of its own. */
void event_rows_print(struct cli *cli, const struct store_event *events, size_t n, json_t *rows);

#endif
