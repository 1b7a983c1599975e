/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/reserved.h"

#include <stdio.h>
#include <stdlib.h>

/* The first contact that does not begin before a time. */
static size_t first_at(const struct contacts *contacts, int64_t from_ms)
{
    size_t low = 0, high = contacts->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (contacts->at[middle].aos_ms < from_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_same(const struct fleet *fleet, const struct contact *c,
                    const struct store_reserved *row)
{
    const struct contact_station *station = &fleet->station[c->station].station;

    return c->state == CONTACT_PREDICTED && row->antenna < station->antennas &&
           strcmp(station->id, row->station) == 0 &&
           strcmp(fleet->satellite[c->satellite].id, row->satellite) == 0;
}

/* One that was under way when the contacts were computed begins with their span. */
static struct contact *find(const struct fleet *fleet, const struct store_reserved *row,
                            int64_t now_ms, struct contacts *contacts)
{
    int64_t aos = (int64_t)row->aos_ms < now_ms && (int64_t)row->los_ms > now_ms
                      ? now_ms
                      : (int64_t)row->aos_ms;

    for (size_t i = first_at(contacts, aos - RESERVED_DRIFT_MS);
         i < contacts->n && contacts->at[i].aos_ms <= aos + RESERVED_DRIFT_MS; i++)
        if (is_same(fleet, &contacts->at[i], row))
            return &contacts->at[i];
    return NULL;
}

void reserved_recall(const struct fleet *fleet, const struct store_reserved *rows, size_t n,
                     int64_t now_ms, struct contacts *contacts)
{
    for (size_t i = 0; i < n; i++) {
        struct contact *c = find(fleet, &rows[i], now_ms, contacts);

        if (!c)
            continue;
        c->antenna = rows[i].antenna;
        (void)!contact_move(c, CONTACT_RESERVE, NULL);
        contact_clock(c, now_ms, INT64_MAX);
    }
}

enum rc reserved_load(const struct fleet *fleet, struct store *store, int64_t now_ms,
                      struct contacts *contacts, struct err *err)
{
    scoped(free_ptr) struct store_reserved *rows = NULL;
    size_t n = 0;
    enum rc rc = store_reserved(store, (uint64_t)now_ms, &rows, &n, err);

    if (rc == RC_OK)
        reserved_recall(fleet, rows, n, now_ms, contacts);
    return rc;
}

enum rc reserved_keep(const struct fleet *fleet, const struct contacts *contacts,
                      struct store *store, int64_t now_ms, struct err *err)
{
    enum rc rc = store_drop_reserved(store, err);

    for (size_t i = 0; rc == RC_OK && i < contacts->n; i++) {
        const struct contact *c = &contacts->at[i];
        struct store_reserved row = { .aos_ms = (uint64_t)c->aos_ms,
                                      .los_ms = (uint64_t)c->los_ms,
                                      .antenna = c->antenna };

        if ((c->state != CONTACT_RESERVED && c->state != CONTACT_EXECUTING) || c->los_ms <= now_ms)
            continue;
        (void)snprintf(row.station, sizeof row.station, "%s",
                       fleet->station[c->station].station.id);
        (void)snprintf(row.satellite, sizeof row.satellite, "%s",
                       fleet->satellite[c->satellite].id);
        rc = store_put_reserved(store, &row, err);
    }
    return rc;
}
