/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_once: requests that may come again, and what was answered.
 */
#include "orchestrator/store_query.h"

#define ONCE(kind, member) FIELD(kind, struct store_once, member)
static const struct field once_fields[] = {
    ONCE(FIELD_DIGEST, token), ONCE(FIELD_TEXT, key),   ONCE(FIELD_DIGEST, request),
    ONCE(FIELD_U64, at_ms),    ONCE(FIELD_U32, status), ONCE(FIELD_TEXT, type),
};
static const struct row_type once_row = ROW_TYPE(struct store_once, once_fields);
#define ONCE_COLUMNS "token, once_key, request, at_ms, status, type"

static struct bytes view(const struct digest *digest)
{
    return (struct bytes){ digest->b, sizeof digest->b };
}

/* What is older than `before`, and beyond the newest so many: of this token, and of all. */
static enum rc forget(struct store *store, const struct store_once *row,
                      const struct store_once_limits *limits, struct err *err)
{
    struct query q = query_start(store, "DELETE FROM once WHERE at_ms < ?");

    query_u64(&q, row->at_ms > limits->ms ? row->at_ms - limits->ms : 0);
    enum rc rc = query_run(&q, err);

    if (rc != RC_OK)
        return rc;
    q = query_start(store, "DELETE FROM once WHERE token = ?1 AND once_key NOT IN (SELECT once_key "
                           "FROM once WHERE token = ?1 ORDER BY at_ms DESC, once_key LIMIT ?2)");
    query_blob(&q, view(&row->token));
    query_u64(&q, limits->each - 1U);
    rc = query_run(&q, err);
    if (rc != RC_OK)
        return rc;
    q = query_start(store,
                    "DELETE FROM once WHERE (token, once_key) NOT IN (SELECT token, once_key "
                    "FROM once ORDER BY at_ms DESC, token, once_key LIMIT ?)");
    query_u64(&q, limits->all - 1U);
    return query_run(&q, err);
}

static enum rc put(struct store *store, const struct store_once *row, struct err *err)
{
    static const uint8_t none[1];
    struct query q = query_start(store, "INSERT INTO once (" ONCE_COLUMNS ", answer) VALUES "
                                        "(?, ?, ?, ?, ?, ?, ?)");

    query_row(&q, &once_row, row);
    query_blob(&q, (struct bytes){ none, 0 });
    return query_run(&q, err);
}

/* RC_NOT_FOUND, without words. */
static enum rc find(struct store *store, const struct store_once *row, size_t max,
                    struct store_once *ret, uint8_t **ret_text, size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, "SELECT " ONCE_COLUMNS
                                        ", answer FROM once WHERE token = ? AND once_key = ?");

    query_blob(&q, view(&row->token));
    query_text(&q, row->key);
    if (query_next(&q))
        query_get_row(&q, &once_row, ret);
    return query_end_blob(&q, max, ret_text, ret_n, err);
}

enum rc store_once_begin(struct store *store, const struct store_once *row,
                         const struct store_once_limits *limits, bool *ret_first,
                         struct store_once *ret_before, uint8_t **ret_text, size_t *ret_n,
                         struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = find(store, row, limits->text, ret_before, ret_text, ret_n, err);
    *ret_first = rc == RC_NOT_FOUND;
    if (rc != RC_NOT_FOUND)
        return rc;
    rc = forget(store, row, limits, err);
    if (rc == RC_OK)
        rc = put(store, row, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc store_once_end(struct store *store, const struct store_once *row, struct bytes text,
                       struct err *err)
{
    static const uint8_t none[1];
    struct query q = query_start(
        store, "UPDATE once SET status = ?, type = ?, answer = ? WHERE token = ? AND once_key = ?");

    query_u64(&q, row->status);
    query_text(&q, row->type);
    query_blob(&q, text.n > 0 ? text : (struct bytes){ none, 0 });
    query_blob(&q, view(&row->token));
    query_text(&q, row->key);
    return query_run(&q, err);
}
