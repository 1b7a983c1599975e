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

/* Of each satellite the newest, and the newest that went up.  The first question is answered from
 * an index alone (order_state): rows are as large as pages, most of it signatures, and are looked
 * at only where an order has no body: a join would look at each. */
#define NEWEST(which)                                                                              \
    "SELECT g.satellite, g.newest, g.held, b.body, CASE WHEN b.body IS NULL THEN (SELECT "         \
    "r.envelope FROM sat_order r WHERE r.satellite = g.satellite AND r.generation = "              \
    "g.released) END FROM (SELECT satellite, "                                                     \
    "max(generation) AS newest, coalesce(max(CASE WHEN state = 1 THEN generation END), 0) AS "     \
    "held, max(CASE WHEN state IN (2, 3) THEN generation END) AS released FROM sat_order " which   \
    "GROUP BY satellite) AS g "                                                                    \
    "LEFT JOIN order_body b ON b.satellite = g.satellite AND b.generation = g.released"

enum rc store_fleet_orders(struct store *store, const char *only,
                           enum rc (*fn)(void *arg, const struct store_fleet_order *row,
                                         struct err *err),
                           void *arg, struct err *err)
{
    static_assert(ORDER_HELD == 1 && ORDER_RELEASED == 2 && ORDER_ACKED == 3,
                  "the statement says the numbers");
    struct query q = start(store, only, NEWEST(""), NEWEST("WHERE satellite = ? "));
    struct store_fleet_order row;
    enum rc rc = RC_OK;

    while (rc == RC_OK && query_next(&q)) {
        query_get_text(&q, row.satellite, sizeof row.satellite);
        row.newest = query_get_u64(&q);
        row.held = query_get_u64(&q) == row.newest;
        row.order = query_get_view(&q);
        row.envelope = query_get_view(&q);
        rc = q.rc == RC_OK ? fn(arg, &row, err) : RC_OK;
    }
    return query_end_walk(&q, rc, err);
}

#define REPORTS                                                                                    \
    "SELECT satellite, received_ms, sight, "                                                       \
    "CASE WHEN sight IS NULL OR length(sight) = 0 THEN report END FROM observed"

enum rc store_fleet_reports(struct store *store, const char *only,
                            enum rc (*fn)(void *arg, const struct store_fleet_report *row,
                                          struct err *err),
                            void *arg, struct err *err)
{
    struct query q = start(store, only, REPORTS, REPORTS " WHERE satellite = ?");
    struct store_fleet_report row;
    enum rc rc = RC_OK;

    while (rc == RC_OK && query_next(&q)) {
        query_get_text(&q, row.satellite, sizeof row.satellite);
        row.received_ms = query_get_u64(&q);
        row.sight = query_get_view(&q);
        row.report = query_get_view(&q);
        rc = q.rc == RC_OK ? fn(arg, &row, err) : RC_OK;
    }
    return query_end_walk(&q, rc, err);
}
