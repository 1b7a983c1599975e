/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/reserved.h"

#include <stdio.h>
#include <stdlib.h>

static bool is_same(const struct fleet *fleet, const struct contact *c,
                    const struct store_reserved *row)
{
    const struct contact_station *station = &fleet->station[c->station].station;

    return c->state == CONTACT_PREDICTED && row->antenna < station->antennas &&
           strcmp(station->id, row->station) == 0 &&
           strcmp(fleet->satellite[c->satellite].id, row->satellite) == 0;
}

static struct contact *find_at(const struct fleet *fleet, const struct store_reserved *row,
                               int64_t aos_ms, struct contacts *contacts)
{
    for (size_t i = contacts_first(contacts, aos_ms - RESERVED_DRIFT_MS);
         i < contacts->n && contacts->at[i].aos_ms <= aos_ms + RESERVED_DRIFT_MS; i++)
        if (is_same(fleet, &contacts->at[i], row))
            return &contacts->at[i];
    return NULL;
}

/* One that was under way when the contacts were computed begins with their span. */
static struct contact *find(const struct fleet *fleet, const struct store_reserved *row,
                            int64_t now_ms, struct contacts *contacts)
{
    struct contact *c = find_at(fleet, row, (int64_t)row->aos_ms, contacts);

    if (!c && (int64_t)row->aos_ms < now_ms && (int64_t)row->los_ms > now_ms)
        c = find_at(fleet, row, now_ms, contacts);
    return c;
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

static bool is_ours(const struct fleet *fleet, const char *satellite)
{
    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        if (strcmp(fleet->satellite[i].id, satellite) == 0)
            return true;
    return false;
}

/* A station that has fewer antennas in this file has none of that number to keep free. */
size_t reserved_others(const struct fleet *fleet, const struct store_reserved *rows, size_t n,
                       struct schedule_taken *ret)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        const struct store_reserved *row = &rows[i];

        if (is_ours(fleet, row->satellite) || row->los_ms > INT64_MAX ||
            row->los_ms <= row->aos_ms || row->los_ms - row->aos_ms > CONTACT_LONGEST_MS)
            continue;
        for (uint32_t s = 0; s < fleet->n_stations; s++)
            if (strcmp(fleet->station[s].station.id, row->station) == 0 &&
                row->antenna < fleet->station[s].station.antennas)
                ret[kept++] = (struct schedule_taken){ .station = s,
                                                       .antenna = row->antenna,
                                                       .from_ms = (int64_t)row->aos_ms,
                                                       .to_ms = (int64_t)row->los_ms };
    }
    return kept;
}

enum rc reserved_load(const struct fleet *fleet, struct store *store, int64_t now_ms,
                      struct contacts *contacts, struct schedule_taken **ret, size_t *ret_n,
                      struct err *err)
{
    scoped(free_ptr) struct store_reserved *rows = NULL;
    size_t n = 0;
    enum rc rc = store_reserved(store, (uint64_t)now_ms, &rows, &n, err);
    struct schedule_taken *taken = rc == RC_OK ? calloc(n + 1, sizeof *taken) : NULL;

    if (rc == RC_OK && !taken)
        rc = err_set(err, RC_NO_MEMORY, "%zu reservations", n);
    if (rc != RC_OK)
        return rc;
    reserved_recall(fleet, rows, n, now_ms, contacts);
    *ret_n = reserved_others(fleet, rows, n, taken);
    *ret = taken;
    return RC_OK;
}

static int compare_rows(const void *a, const void *b)
{
    const struct store_reserved *x = a, *y = b;
    int order = strcmp(x->satellite, y->satellite);

    if (order == 0)
        order = strcmp(x->station, y->station);
    if (order != 0)
        return order;
    return x->aos_ms < y->aos_ms ? -1 : x->aos_ms > y->aos_ms;
}

/* What the contacts have reserved, sorted; free it. */
static enum rc list_rows(const struct fleet *fleet, const struct contacts *contacts, int64_t now_ms,
                         struct store_reserved **ret, size_t *ret_n, struct err *err)
{
    struct store_reserved *rows = calloc(contacts->n + 1, sizeof *rows);
    size_t n = 0;

    if (!rows)
        return err_set(err, RC_NO_MEMORY, "%zu contacts", contacts->n);
    for (size_t i = 0; i < contacts->n; i++) {
        const struct contact *c = &contacts->at[i];
        struct store_reserved *row = &rows[n];

        if ((c->state != CONTACT_RESERVED && c->state != CONTACT_EXECUTING) || c->los_ms <= now_ms)
            continue;
        row->aos_ms = (uint64_t)c->aos_ms;
        row->los_ms = (uint64_t)c->los_ms;
        row->antenna = c->antenna;
        (void)snprintf(row->station, sizeof row->station, "%s",
                       fleet->station[c->station].station.id);
        (void)snprintf(row->satellite, sizeof row->satellite, "%s",
                       fleet->satellite[c->satellite].id);
        n++;
    }
    if (n > 1)
        qsort(rows, n, sizeof rows[0], compare_rows);
    *ret = rows;
    *ret_n = n;
    return RC_OK;
}

/* Whether the store has just these of the file's satellites. */
static enum rc is_kept(const struct fleet *fleet, struct store *store,
                       const struct store_reserved *rows, size_t n, int64_t now_ms, bool *ret,
                       struct err *err)
{
    scoped(free_ptr) struct store_reserved *held = NULL;
    size_t n_held = 0, ours = 0;
    enum rc rc = store_reserved(store, (uint64_t)now_ms, &held, &n_held, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n_held; i++)
        if (is_ours(fleet, held[i].satellite))
            held[ours++] = held[i];
    if (ours > 1)
        qsort(held, ours, sizeof held[0], compare_rows);
    *ret = ours == n;
    for (size_t i = 0; *ret && i < n; i++)
        *ret = compare_rows(&held[i], &rows[i]) == 0 && held[i].los_ms == rows[i].los_ms &&
               held[i].antenna == rows[i].antenna;
    return RC_OK;
}

enum rc reserved_keep(const struct fleet *fleet, const struct contacts *contacts,
                      struct store *store, int64_t now_ms, struct err *err)
{
    scoped(free_ptr) struct store_reserved *rows = NULL;
    bool same = false;
    size_t n = 0;
    enum rc rc = list_rows(fleet, contacts, now_ms, &rows, &n, err);

    if (rc == RC_OK)
        rc = is_kept(fleet, store, rows, n, now_ms, &same, err);
    for (uint32_t i = 0; rc == RC_OK && !same && i < fleet->n_satellites; i++)
        rc = store_drop_reserved(store, fleet->satellite[i].id, (uint64_t)now_ms, err);
    for (size_t i = 0; rc == RC_OK && !same && i < n; i++)
        rc = store_put_reserved(store, &rows[i], err);
    return rc;
}
