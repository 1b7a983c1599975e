/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_view: every satellite with its newest order and report, in one pass each.
 */
#include <stdio.h>

#include "orchestrator/store_query.h"

/* A statement about all, and the same about one. */
static struct query start(struct store *store, const char *only, const char *all, const char *one)
{
    struct query q = query_start(store, only ? one : all);

    if (only)
        query_text(&q, only);
    return q;
}

/* Of each satellite the newest, and the newest that went up. */
#define NEWEST                                                                                     \
    "SELECT o.satellite, o.generation, CASE WHEN o.state = 1 THEN 1 ELSE 0 END, r.envelope "       \
    "FROM sat_order o LEFT JOIN sat_order r ON r.satellite = o.satellite AND r.generation = "      \
    "(SELECT max(u.generation) FROM sat_order u WHERE u.satellite = o.satellite "                  \
    "AND u.state IN (2, 3)) "                                                                      \
    "WHERE o.generation = (SELECT max(n.generation) FROM sat_order n "                             \
    "WHERE n.satellite = o.satellite)"

enum rc store_fleet_orders(struct store *store, const char *only,
                           enum rc (*fn)(void *arg, const struct store_fleet_order *row,
                                         struct err *err),
                           void *arg, struct err *err)
{
    static_assert(ORDER_HELD == 1 && ORDER_RELEASED == 2 && ORDER_ACKED == 3,
                  "the statement says the numbers");
    struct query q = start(store, only, NEWEST " ORDER BY o.satellite",
                           NEWEST " AND o.satellite = ? ORDER BY o.satellite");
    struct store_fleet_order row;
    enum rc rc = RC_OK;

    while (rc == RC_OK && query_next(&q)) {
        query_get_text(&q, row.satellite, sizeof row.satellite);
        row.newest = query_get_u64(&q);
        row.held = query_get_u64(&q) != 0;
        row.released = query_get_view(&q);
        rc = q.rc == RC_OK ? fn(arg, &row, err) : RC_OK;
    }
    return query_end_walk(&q, rc, err);
}

#define REPORTS "SELECT satellite, epoch, seq, received_ms, report FROM observed"

enum rc store_fleet_reports(struct store *store, const char *only,
                            enum rc (*fn)(void *arg, const struct store_observed *row,
                                          struct bytes report, struct err *err),
                            void *arg, struct err *err)
{
    struct query q = start(store, only, REPORTS " ORDER BY satellite",
                           REPORTS " WHERE satellite = ? ORDER BY satellite");
    struct store_observed row;
    struct bytes report;
    enum rc rc = RC_OK;

    while (rc == RC_OK && query_next(&q)) {
        query_get_text(&q, row.satellite, sizeof row.satellite);
        row.epoch = query_get_u64(&q);
        row.seq = query_get_u64(&q);
        row.received_ms = query_get_u64(&q);
        report = query_get_view(&q);
        rc = q.rc == RC_OK ? fn(arg, &row, report, err) : RC_OK;
    }
    return query_end_walk(&q, rc, err);
}
