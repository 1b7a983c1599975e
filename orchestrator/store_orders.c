/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_orders: orders, their tokens, and objects on their way up.
 */
#include "manifest/envelope.h"
#include "orchestrator/store_query.h"

static_assert(sizeof(enum order_state) == sizeof(uint32_t), "enums are stored as FIELD_U32");

/* ---- orders ---- */

#define ORDER(kind, member) FIELD(kind, struct store_order, member)
static const struct field order_fields[] = {
    ORDER(FIELD_TEXT, satellite), ORDER(FIELD_U64, generation), ORDER(FIELD_U32, state),
    ORDER(FIELD_DIGEST, payload), ORDER(FIELD_DIGEST, object),  ORDER(FIELD_U64, rollout),
    ORDER(FIELD_U32, wave),       ORDER(FIELD_U64, created_ms), ORDER(FIELD_U64, changed_ms),
};
static const struct row_type order_row = ROW_TYPE(struct store_order, order_fields);
#define ORDER_COLUMNS                                                                              \
    "satellite, generation, state, payload, object, rollout, wave, created_ms, changed_ms"

enum rc store_newest_order(struct store *store, const char *satellite, struct store_order *ret,
                           struct err *err)
{
    struct query q = query_start(store, "SELECT " ORDER_COLUMNS " FROM sat_order WHERE "
                                        "satellite = ? ORDER BY generation DESC LIMIT 1");

    query_text(&q, satellite);
    return query_one(&q, &order_row, ret, RC_NOT_FOUND, "order", err);
}

/* What an order says, beside the signatures that it is signed with: they are most of it, and to
 * look at a fleet nobody needs them.  One that cannot be opened has none, and is read where it
 * lies. */
static enum rc put_body(struct store *store, const struct store_order *row, struct bytes envelope,
                        struct err *err)
{
    struct envelope parts;
    struct err closed;
    const bool is_open = envelope_open(envelope, &parts, &closed) == RC_OK;
    struct query q = query_start(
        store, is_open ? "INSERT INTO order_body (satellite, generation, body) VALUES (?, ?, ?) "
                         "ON CONFLICT (satellite, generation) DO UPDATE SET body = excluded.body"
                       : "DELETE FROM order_body WHERE satellite = ? AND generation = ?");

    query_text(&q, row->satellite);
    query_u64(&q, row->generation);
    if (is_open)
        query_blob(&q, parts.payload);
    return query_run(&q, err);
}

static enum rc insert_order(struct store *store, const struct store_order *row,
                            struct bytes envelope, struct err *err)
{
    struct query q = query_start(store, "INSERT INTO sat_order (" ORDER_COLUMNS ", envelope) "
                                        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

    query_row(&q, &order_row, row);
    query_blob(&q, envelope);
    return query_run(&q, err);
}

enum rc store_add_order(struct store *store, const struct store_order *row, struct bytes envelope,
                        struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_order newest;
    enum rc rc = store_join(store, &open, err);

    if (rc != RC_OK)
        return rc;
    rc = store_newest_order(store, row->satellite, &newest, err);
    if (rc == RC_NOT_FOUND)
        rc = RC_OK;
    else if (rc == RC_OK && row->generation <= newest.generation)
        rc = err_set(err, RC_ORDER_OLD, "%s generation %llu", row->satellite,
                     (unsigned long long)row->generation);
    if (rc == RC_OK)
        rc = insert_order(store, row, envelope, err);
    if (rc == RC_OK)
        rc = put_body(store, row, envelope, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc store_set_order_state(struct store *store, const char *satellite, uint64_t generation,
                              enum order_state state, uint64_t now_ms, struct err *err)
{
    struct query q = query_start(store, "UPDATE sat_order SET state = ?, changed_ms = ? "
                                        "WHERE satellite = ? AND generation = ?");
    enum rc rc;

    query_u64(&q, (uint64_t)state);
    query_u64(&q, now_ms);
    query_text(&q, satellite);
    query_u64(&q, generation);
    rc = query_run(&q, err);
    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_NOT_FOUND, "order of %s", satellite);
    return rc;
}

static enum rc replace_envelope(struct store *store, const struct store_order *row,
                                struct bytes envelope, struct err *err)
{
    struct query q = query_start(store, "UPDATE sat_order SET state = ?, payload = ?, object = ?, "
                                        "changed_ms = ?, envelope = ? "
                                        "WHERE satellite = ? AND generation = ?");
    enum rc rc;

    query_u64(&q, (uint64_t)row->state);
    query_blob(&q, (struct bytes){ row->payload.b, sizeof row->payload.b });
    query_blob(&q, (struct bytes){ row->object.b, sizeof row->object.b });
    query_u64(&q, row->changed_ms);
    query_blob(&q, envelope);
    query_text(&q, row->satellite);
    query_u64(&q, row->generation);
    rc = query_run(&q, err);
    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_NOT_FOUND, "order of %s", row->satellite);
    return rc;
}

enum rc store_resign_order(struct store *store, const struct store_order *row,
                           struct bytes envelope, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    enum rc rc = store_join(store, &open, err);

    if (rc == RC_OK)
        rc = replace_envelope(store, row, envelope, err);
    if (rc == RC_OK)
        rc = put_body(store, row, envelope, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc store_orders(struct store *store, const struct store_order_filter *filter,
                     struct store_order **ret, size_t *ret_n, struct err *err)
{
    /* Said apart, so that each finds its rows by an index. */
    struct query q = query_start(
        store, filter->satellite ? "SELECT " ORDER_COLUMNS " FROM sat_order WHERE satellite = ?3 "
                                   "AND (?1 = 0 OR state = ?1) AND (?2 = 0 OR rollout = ?2) "
                                   "ORDER BY satellite, generation"
               : filter->rollout
                   ? "SELECT " ORDER_COLUMNS " FROM sat_order WHERE (?1 = 0 OR state = ?1) AND "
                     "rollout = ?2 AND rollout != 0 ORDER BY satellite, generation"
                   : "SELECT " ORDER_COLUMNS " FROM sat_order WHERE (?1 = 0 OR state = ?1) AND "
                     "(?2 = 0 OR rollout = ?2) ORDER BY satellite, generation");

    query_u64(&q, (uint64_t)filter->state);
    query_u64(&q, filter->rollout);
    if (filter->satellite)
        query_text(&q, filter->satellite);
    return query_list(&q, &order_row, (void **)ret, ret_n, err);
}

enum rc store_order_envelope(struct store *store, const char *satellite, uint64_t generation,
                             uint8_t **ret, size_t *ret_n, struct err *err)
{
    struct query q =
        query_start(store, "SELECT envelope FROM sat_order WHERE satellite = ? AND generation = ?");

    query_text(&q, satellite);
    query_u64(&q, generation);
    (void)query_next(&q);
    enum rc rc = query_end_blob(&q, DOCUMENT_MAX, ret, ret_n, err);

    return rc == RC_NOT_FOUND ? err_set(err, rc, "order of %s", satellite) : rc;
}

/* ---- tokens ---- */

#define TOKEN(kind, member) FIELD(kind, struct store_token, member)
static const struct field token_fields[] = {
    TOKEN(FIELD_TEXT, satellite), TOKEN(FIELD_U64, generation), TOKEN(FIELD_DIGEST, object),
    TOKEN(FIELD_U64, size),       TOKEN(FIELD_U64, expires_ms),
};
static const struct row_type token_row = ROW_TYPE(struct store_token, token_fields);
#define TOKEN_COLUMNS "satellite, generation, object, size, expires_ms"

enum rc store_put_token(struct store *store, const struct store_token *row, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO token (" TOKEN_COLUMNS ") VALUES (?, ?, ?, ?, ?) "
                           "ON CONFLICT (satellite, generation) DO UPDATE SET "
                           "object = excluded.object, size = excluded.size, "
                           "expires_ms = excluded.expires_ms");

    query_row(&q, &token_row, row);
    return query_run(&q, err);
}

enum rc store_token(struct store *store, const char *satellite, uint64_t generation,
                    struct store_token *ret, struct err *err)
{
    struct query q = query_start(store, "SELECT " TOKEN_COLUMNS
                                        " FROM token WHERE satellite = ? AND generation = ?");

    query_text(&q, satellite);
    query_u64(&q, generation);
    return query_one(&q, &token_row, ret, RC_NOT_FOUND, "token", err);
}

enum rc store_drop_token(struct store *store, const char *satellite, uint64_t generation,
                         struct err *err)
{
    struct query q = query_start(store, "DELETE FROM token WHERE satellite = ? AND generation = ?");

    query_text(&q, satellite);
    query_u64(&q, generation);
    return query_run(&q, err);
}

/* ---- outgoing ---- */

#define OUTGOING(kind, member) FIELD(kind, struct store_outgoing, member)
static const struct field outgoing_fields[] = {
    OUTGOING(FIELD_U64, id),      OUTGOING(FIELD_TEXT, satellite), OUTGOING(FIELD_DIGEST, object),
    OUTGOING(FIELD_U32, kind),    OUTGOING(FIELD_U32, class),      OUTGOING(FIELD_U32, state),
    OUTGOING(FIELD_U64, size),    OUTGOING(FIELD_TEXT, path),      OUTGOING(FIELD_U64, sent_bytes),
    OUTGOING(FIELD_U64, sent_ms), OUTGOING(FIELD_U64, queued_ms),
};
static const struct row_type outgoing_row = ROW_TYPE(struct store_outgoing, outgoing_fields);
/* The same without id, which the table gives. */
static const struct row_type outgoing_new = {
    .size = sizeof(struct store_outgoing),
    .n = sizeof outgoing_fields / sizeof outgoing_fields[0] - 1,
    .fields = outgoing_fields + 1
};
#define OUTGOING_COLUMNS                                                                           \
    "satellite, object, kind, class, state, size, path, sent_bytes, sent_ms, queued_ms"

enum rc store_queue(struct store *store, const struct store_outgoing *row, bool again,
                    struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO outgoing (" OUTGOING_COLUMNS ") "
                           "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
                           "ON CONFLICT (satellite, object) DO UPDATE SET kind = excluded.kind, "
                           "class = excluded.class, state = 1, path = excluded.path, sent_ms = 0, "
                           "queued_ms = excluded.queued_ms WHERE ?11 = 1 OR outgoing.state = 3");
    struct store_outgoing fresh = *row;

    fresh.state = OUTGOING_QUEUED;
    fresh.sent_bytes = 0;
    fresh.sent_ms = 0;
    query_row(&q, &outgoing_new, &fresh);
    query_u64(&q, again);
    return query_run(&q, err);
}

enum rc store_update_outgoing(struct store *store, const struct store_outgoing *row,
                              struct err *err)
{
    static const struct field fields[] = {
        OUTGOING(FIELD_U32, state),
        OUTGOING(FIELD_U64, sent_bytes),
        OUTGOING(FIELD_U64, sent_ms),
    };
    static const struct row_type type = ROW_TYPE(struct store_outgoing, fields);
    struct query q = query_start(store, "UPDATE outgoing SET state = ?, sent_bytes = ?, sent_ms = "
                                        "? WHERE satellite = ? AND object = ?");
    enum rc rc;

    query_row(&q, &type, row);
    query_text(&q, row->satellite);
    query_blob(&q, (struct bytes){ .p = row->object.b, .n = sizeof row->object.b });
    rc = query_run(&q, err);
    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_NOT_FOUND, "outgoing object of %s", row->satellite);
    return rc;
}

#define QUEUE_ORDER " ORDER BY satellite, class, id"

enum rc store_outgoing(struct store *store, const char *satellite, enum outgoing_state state,
                       struct store_outgoing **ret, size_t *ret_n, struct err *err)
{
    /* Said apart, so that each finds its rows by an index. */
    struct query q = query_start(
        store, satellite ? "SELECT id, " OUTGOING_COLUMNS " FROM outgoing WHERE satellite = ?1 AND "
                           "(?2 = 0 OR state = ?2)" QUEUE_ORDER
               : state   ? "SELECT id, " OUTGOING_COLUMNS
                         " FROM outgoing WHERE state = ?1" QUEUE_ORDER
                       : "SELECT id, " OUTGOING_COLUMNS " FROM outgoing" QUEUE_ORDER);

    if (satellite)
        query_text(&q, satellite);
    if (satellite || state)
        query_u64(&q, (uint64_t)state);
    return query_list(&q, &outgoing_row, (void **)ret, ret_n, err);
}

static const struct field pending_fields[] = {
    FIELD(FIELD_BOOL, struct store_pending, queued),
    FIELD(FIELD_BOOL, struct store_pending, rides),
    FIELD(FIELD_BOOL, struct store_pending, released),
    FIELD(FIELD_U64, struct store_pending, root_version),
};
static const struct row_type pending_row = ROW_TYPE(struct store_pending, pending_fields);

/* One statement: each is a way to the database and back where that is not in the process. */
enum rc store_pending(struct store *store, const char *satellite, struct store_pending *ret,
                      struct err *err)
{
    struct query q = query_start(
        store, "SELECT EXISTS (SELECT 1 FROM outgoing WHERE state = 1 AND satellite = ?1), "
               "EXISTS (SELECT 1 FROM outgoing JOIN delta ON delta.object = outgoing.object "
               "WHERE delta.state != 2 AND outgoing.state IN (1, 2) AND outgoing.satellite = ?1), "
               "EXISTS (SELECT 1 FROM sat_order WHERE satellite = ?1 AND state = 2), "
               "coalesce((SELECT max(version) FROM document WHERE type = 1 AND name = 'root'), 0)");

    static_assert(OUTGOING_QUEUED == 1 && OUTGOING_COMPLETE == 2 && DELTA_NO_GAIN == 2 &&
                      ORDER_RELEASED == 2 && DOC_ROOT == 1,
                  "the numbers in the statement");
    query_text(&q, satellite);
    return query_one(&q, &pending_row, ret, RC_STORE, "store: no answer", err);
}
