/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_delta: which deltas were made, and where none works.
 */
#include "orchestrator/store_query.h"

static_assert(sizeof(enum delta_state) == sizeof(uint32_t), "enums are stored as FIELD_U32");

#define DELTA(kind, member) FIELD(kind, struct store_delta, member)
static const struct field delta_fields[] = {
    DELTA(FIELD_DIGEST, base),   DELTA(FIELD_DIGEST, manifest), DELTA(FIELD_U32, state),
    DELTA(FIELD_DIGEST, object), DELTA(FIELD_U64, size),        DELTA(FIELD_U64, memory),
    DELTA(FIELD_U64, made_ms),   DELTA(FIELD_U64, used_ms),
};
static const struct row_type delta_row = ROW_TYPE(struct store_delta, delta_fields);
#define DELTA_COLUMNS "base, manifest, state, object, size, memory, made_ms, used_ms"

static struct bytes view_of(const struct digest *digest)
{
    return (struct bytes){ .p = digest->b, .n = sizeof digest->b };
}

enum rc store_put_delta(struct store *store, const struct store_delta *row, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO delta (" DELTA_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                           "ON CONFLICT (base, manifest) DO UPDATE SET "
                           "state = excluded.state, object = excluded.object, "
                           "size = excluded.size, memory = excluded.memory, "
                           "made_ms = excluded.made_ms, used_ms = excluded.used_ms");

    query_row(&q, &delta_row, row);
    return query_run(&q, err);
}

enum rc store_delta(struct store *store, const struct digest *base, const struct digest *manifest,
                    struct store_delta *ret, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " DELTA_COLUMNS " FROM delta WHERE base = ? AND manifest = ?");

    query_blob(&q, view_of(base));
    query_blob(&q, view_of(manifest));
    return query_one(&q, &delta_row, ret, RC_NOT_FOUND, "delta", err);
}

enum rc store_deltas(struct store *store, struct store_delta **ret, size_t *ret_n, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " DELTA_COLUMNS " FROM delta ORDER BY used_ms, base, manifest");

    return query_list(&q, &delta_row, (void **)ret, ret_n, err);
}

enum rc store_use_delta(struct store *store, const struct store_delta *row, uint64_t now_ms,
                        struct err *err)
{
    struct query q =
        query_start(store, "UPDATE delta SET used_ms = ? WHERE base = ? AND manifest = ?");

    query_u64(&q, now_ms);
    query_blob(&q, view_of(&row->base));
    query_blob(&q, view_of(&row->manifest));
    return query_run(&q, err);
}

enum rc store_is_queued(struct store *store, const struct digest *object, bool *ret,
                        struct err *err)
{
    struct query q =
        query_start(store, "SELECT count(*) FROM outgoing WHERE object = ? AND state = 1");

    static_assert(OUTGOING_QUEUED == 1, "the number in the statement");
    query_blob(&q, view_of(object));

    uint64_t n = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK)
        *ret = n > 0;
    return rc;
}

enum rc store_names_object(struct store *store, const struct digest *object, bool *ret,
                           struct err *err)
{
    struct query q = query_start(
        store, "SELECT CASE WHEN EXISTS (SELECT 1 FROM package WHERE object = ?1)"
               " OR EXISTS (SELECT 1 FROM delta WHERE object = ?1)"
               " OR EXISTS (SELECT 1 FROM sat_order WHERE object = ?1)"
               " OR EXISTS (SELECT 1 FROM token WHERE object = ?1)"
               " OR EXISTS (SELECT 1 FROM outgoing WHERE object = ?1) THEN 1 ELSE 0 END");

    query_blob(&q, view_of(object));

    uint64_t n = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK)
        *ret = n > 0;
    return rc;
}

#define RIDE(kind, member) FIELD(kind, struct store_delta_ride, member)
static const struct field ride_fields[] = {
    RIDE(FIELD_TEXT, satellite), RIDE(FIELD_DIGEST, object), RIDE(FIELD_U32, state),
    RIDE(FIELD_U64, sent_ms),    RIDE(FIELD_DIGEST, base),   RIDE(FIELD_DIGEST, manifest),
};
static const struct row_type ride_row = ROW_TYPE(struct store_delta_ride, ride_fields);

#define RIDES(only)                                                                                \
    "SELECT outgoing.satellite, outgoing.object, outgoing.state, outgoing.sent_ms, delta.base, "   \
    "delta.manifest FROM delta JOIN outgoing ON outgoing.object = delta.object "                   \
    "WHERE delta.state != 2 AND outgoing.state IN (1, 2) " only                                    \
    "ORDER BY outgoing.satellite, outgoing.object, delta.base, delta.manifest"

enum rc store_delta_rides(struct store *store, const char *satellite, struct store_delta_ride **ret,
                          size_t *ret_n, struct err *err)
{
    /* Said apart, so that each finds its rows by an index. */
    struct query q =
        query_start(store, satellite ? RIDES("AND outgoing.satellite = ? ") : RIDES(""));

    static_assert(DELTA_NO_GAIN == 2 && OUTGOING_QUEUED == 1 && OUTGOING_COMPLETE == 2,
                  "the numbers in the statement");
    if (satellite)
        query_text(&q, satellite);
    return query_list(&q, &ride_row, (void **)ret, ret_n, err);
}

#define FAILED(kind, member) FIELD(kind, struct store_delta_failed, member)
static const struct field failed_fields[] = {
    FAILED(FIELD_DIGEST, base), FAILED(FIELD_DIGEST, manifest), FAILED(FIELD_U32, code),
    FAILED(FIELD_U32, engine),  FAILED(FIELD_U64, at_ms),
};
static const struct row_type failed_row = ROW_TYPE(struct store_delta_failed, failed_fields);
#define FAILED_COLUMNS "base, manifest, code, engine, at_ms"

enum rc store_put_delta_failed(struct store *store, const struct store_delta_failed *row,
                               struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO delta_failed (" FAILED_COLUMNS ") VALUES (?, ?, ?, ?, ?) "
                           "ON CONFLICT (base, manifest) DO UPDATE SET "
                           "code = excluded.code, engine = excluded.engine, "
                           "at_ms = excluded.at_ms");

    query_row(&q, &failed_row, row);
    return query_run(&q, err);
}

enum rc store_delta_failed(struct store *store, const struct digest *base,
                           const struct digest *manifest, struct store_delta_failed *ret,
                           struct err *err)
{
    struct query q = query_start(store, "SELECT " FAILED_COLUMNS
                                        " FROM delta_failed WHERE base = ? AND manifest = ?");

    query_blob(&q, view_of(base));
    query_blob(&q, view_of(manifest));
    return query_one(&q, &failed_row, ret, RC_NOT_FOUND, "delta", err);
}

enum rc store_deltas_failed(struct store *store, struct store_delta_failed **ret, size_t *ret_n,
                            struct err *err)
{
    struct query q =
        query_start(store, "SELECT " FAILED_COLUMNS " FROM delta_failed ORDER BY base, manifest");

    return query_list(&q, &failed_row, (void **)ret, ret_n, err);
}

enum rc store_forget_delta_failed(struct store *store, const struct digest *base,
                                  const struct digest *manifest, struct err *err)
{
    struct query q = query_start(store, "DELETE FROM delta_failed WHERE base = ? AND manifest = ?");

    query_blob(&q, view_of(base));
    query_blob(&q, view_of(manifest));
    return query_run(&q, err);
}

enum rc store_put_base_changed(struct store *store, const char *satellite,
                               const struct digest *manifest, uint64_t now_ms, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO base_changed (satellite, manifest, at_ms) VALUES (?, ?, ?) "
                           "ON CONFLICT (satellite, manifest) DO NOTHING");

    query_text(&q, satellite);
    query_blob(&q, view_of(manifest));
    query_u64(&q, now_ms);
    return query_run(&q, err);
}

enum rc store_base_changed(struct store *store, const char *satellite,
                           const struct digest *manifest, bool *ret, struct err *err)
{
    struct query q = query_start(
        store, "SELECT count(*) FROM base_changed WHERE satellite = ? AND manifest = ?");

    query_text(&q, satellite);
    query_blob(&q, view_of(manifest));

    uint64_t n = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK)
        *ret = n > 0;
    return rc;
}

#define FULL_ONLY(kind, member) FIELD(kind, struct store_full_only, member)
static const struct field full_only_fields[] = {
    FULL_ONLY(FIELD_TEXT, satellite),
    FULL_ONLY(FIELD_DIGEST, manifest),
    FULL_ONLY(FIELD_U32, code),
    FULL_ONLY(FIELD_U64, at_ms),
};
static const struct row_type full_only_row = ROW_TYPE(struct store_full_only, full_only_fields);
#define FULL_ONLY_COLUMNS "satellite, manifest, code, at_ms"

enum rc store_put_full_only(struct store *store, const struct store_full_only *row, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO full_only (" FULL_ONLY_COLUMNS ") VALUES (?, ?, ?, ?) "
                           "ON CONFLICT (satellite, manifest) DO NOTHING");

    query_row(&q, &full_only_row, row);
    return query_run(&q, err);
}

enum rc store_full_only(struct store *store, const char *satellite, struct store_full_only **ret,
                        size_t *ret_n, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " FULL_ONLY_COLUMNS " FROM full_only WHERE "
                           "?1 IS NULL OR satellite = ?1 ORDER BY satellite, manifest");

    query_text(&q, satellite);
    return query_list(&q, &full_only_row, (void **)ret, ret_n, err);
}
