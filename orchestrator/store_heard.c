/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_heard: what came over satellites' links, contact by contact, by their own
 * counters; and which contacts are reserved.
 */
#include "orchestrator/store_query.h"

#include <string.h>

#define HEARD(kind, member) FIELD(kind, struct store_heard, member)
static const struct field heard_fields[] = {
    HEARD(FIELD_TEXT, satellite),  HEARD(FIELD_U64, epoch),   HEARD(FIELD_U64, contact),
    HEARD(FIELD_U64, received_ms), HEARD(FIELD_U64, arrived), HEARD(FIELD_U32, waiting),
};
static const struct row_type heard_row = ROW_TYPE(struct store_heard, heard_fields);
#define HEARD_COLUMNS "satellite, epoch, contact, received_ms, arrived, waiting"

/* The same contact told again: the counters have risen, or the satellite's link began anew. */
static enum rc raise(struct store *store, const struct store_heard *row, bool *ret, struct err *err)
{
    struct query q = query_start(
        store,
        "UPDATE heard SET arrived = ?, waiting = ? WHERE id = (SELECT max(id) FROM heard "
        "WHERE satellite = ? AND contact != 0) AND epoch = ? AND contact = ? AND arrived <= ?");

    query_u64(&q, row->arrived);
    query_u64(&q, row->waiting);
    query_text(&q, row->satellite);
    query_u64(&q, row->epoch);
    query_u64(&q, row->contact);
    query_u64(&q, row->arrived);
    enum rc rc = query_run(&q, err);

    if (rc == RC_OK)
        *ret = query_changes(store) > 0;
    return rc;
}

/* Whether an entry says already that the satellite was heard about now. */
static enum rc is_marked(struct store *store, const struct store_heard *row, bool *ret,
                         struct err *err)
{
    const uint64_t apart = STORE_MARKS_MS;
    struct query q = query_start(store, "SELECT 1 FROM heard WHERE satellite = ? AND received_ms "
                                        "BETWEEN ? AND ? LIMIT 1");

    query_text(&q, row->satellite);
    query_u64(&q, row->received_ms > apart ? row->received_ms - apart : 0);
    query_u64(&q, row->received_ms);
    *ret = query_next(&q);
    return query_end(&q, err);
}

#define KIND "(CASE WHEN contact = 0 THEN 1 ELSE 0 END)"

static enum rc insert(struct store *store, const struct store_heard *row, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO heard (" HEARD_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)");

    query_row(&q, &heard_row, row);
    enum rc rc = query_run(&q, err);

    if (rc != RC_OK)
        return rc;
    q = query_start(store, "DELETE FROM heard WHERE satellite = ?1 AND " KIND " = ?2 AND "
                           "id NOT IN (SELECT id FROM heard WHERE satellite = ?1 AND " KIND
                           " = ?2 ORDER BY id DESC LIMIT ?3)");
    query_text(&q, row->satellite);
    query_u64(&q, row->contact == 0);
    query_u64(&q, row->contact == 0 ? STORE_MARKS_MAX : STORE_HEARD_MAX);
    return query_run(&q, err);
}

enum rc store_put_heard(struct store *store, const struct store_heard *row, struct err *err)
{
    struct store_heard mark = { .epoch = row->epoch, .received_ms = row->received_ms };
    bool known = false;
    enum rc rc = row->contact != 0 ? raise(store, row, &known, err) : RC_OK;

    if (rc == RC_OK && row->contact != 0 && !known)
        return insert(store, row, err);
    memcpy(mark.satellite, row->satellite, sizeof mark.satellite);
    if (rc == RC_OK)
        rc = is_marked(store, row, &known, err);
    return rc == RC_OK && !known ? insert(store, &mark, err) : rc;
}

enum rc store_heard(struct store *store, const char *satellite, struct store_heard **ret,
                    size_t *ret_n, struct err *err)
{
    struct query q = query_start(
        store, satellite ? "SELECT " HEARD_COLUMNS
                           " FROM heard WHERE satellite = ? ORDER BY satellite, id"
                         : "SELECT " HEARD_COLUMNS " FROM heard ORDER BY satellite, id");

    if (satellite)
        query_text(&q, satellite);
    return query_list(&q, &heard_row, (void **)ret, ret_n, err);
}

enum rc store_forget_heard(struct store *store, const char *satellite, struct err *err)
{
    struct query q = query_start(store, "DELETE FROM heard WHERE satellite = ?");

    query_text(&q, satellite);
    return query_run(&q, err);
}

/* ---- reservations --------------------------------------------------------------------------- */

#define RESERVED(kind, member) FIELD(kind, struct store_reserved, member)
static const struct field reserved_fields[] = {
    RESERVED(FIELD_TEXT, station), RESERVED(FIELD_TEXT, satellite), RESERVED(FIELD_U64, aos_ms),
    RESERVED(FIELD_U64, los_ms),   RESERVED(FIELD_U32, antenna),
};
static const struct row_type reserved_row = ROW_TYPE(struct store_reserved, reserved_fields);
#define RESERVED_COLUMNS "station, satellite, aos_ms, los_ms, antenna"

enum rc store_put_reserved(struct store *store, const struct store_reserved *row, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO reserved (" RESERVED_COLUMNS ") VALUES (?, ?, ?, ?, ?) "
                           "ON CONFLICT (station, satellite, aos_ms) DO UPDATE SET "
                           "los_ms = excluded.los_ms, antenna = excluded.antenna");

    query_row(&q, &reserved_row, row);
    return query_run(&q, err);
}

enum rc store_drop_reserved(struct store *store, const char *satellite, uint64_t now_ms,
                            struct err *err)
{
    struct query q = query_start(store, "DELETE FROM reserved WHERE ?1 IS NULL OR satellite = ?1 "
                                        "OR los_ms <= ?2");

    query_text(&q, satellite);
    query_u64(&q, now_ms);
    return query_run(&q, err);
}

enum rc store_reserved(struct store *store, uint64_t now_ms, struct store_reserved **ret,
                       size_t *ret_n, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " RESERVED_COLUMNS " FROM reserved WHERE los_ms > ? "
                           "ORDER BY aos_ms, station, satellite");

    query_u64(&q, now_ms);
    return query_list(&q, &reserved_row, (void **)ret, ret_n, err);
}
