/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_pass: what passes were to carry, and what they did.
 */
#include "orchestrator/contact.h"
#include "orchestrator/store_query.h"

#define PASS(kind, member) FIELD(kind, struct store_pass, member)
static const struct field pass_fields[] = {
    PASS(FIELD_TEXT, station), PASS(FIELD_TEXT, satellite), PASS(FIELD_U64, aos_ms),
    PASS(FIELD_U64, los_ms),   PASS(FIELD_U32, antenna),    PASS(FIELD_U32, state),
    PASS(FIELD_U64, capacity), PASS(FIELD_U64, planned),    PASS(FIELD_U64, sent),
    PASS(FIELD_U64, arrived),
};
static const struct row_type pass_row = ROW_TYPE(struct store_pass, pass_fields);
#define PASS_COLUMNS                                                                               \
    "station, satellite, aos_ms, los_ms, antenna, state, capacity, planned, sent, arrived"

enum rc store_put_pass(struct store *store, const struct store_pass *row, struct err *err)
{
    struct query q = query_start(
        store, "INSERT INTO pass (" PASS_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
               "ON CONFLICT (station, satellite, aos_ms) DO UPDATE SET los_ms = excluded.los_ms, "
               "antenna = excluded.antenna, state = excluded.state, capacity = excluded.capacity, "
               "planned = excluded.planned, sent = excluded.sent, arrived = excluded.arrived");

    query_row(&q, &pass_row, row);
    return query_run(&q, err);
}

enum rc store_passes(struct store *store, uint64_t since_ms, struct store_pass **ret, size_t *ret_n,
                     struct err *err)
{
    struct query q = query_start(store, "SELECT " PASS_COLUMNS " FROM pass WHERE los_ms > ? "
                                        "ORDER BY aos_ms, station, satellite");

    query_u64(&q, since_ms);
    return query_list(&q, &pass_row, (void **)ret, ret_n, err);
}

enum rc store_passes_open(struct store *store, uint64_t since_ms, struct store_pass **ret,
                          size_t *ret_n, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " PASS_COLUMNS " FROM pass WHERE state < 3 OR los_ms > ? "
                           "ORDER BY satellite, aos_ms, station");

    query_u64(&q, since_ms);
    return query_list(&q, &pass_row, (void **)ret, ret_n, err);
}

#define SILENCE(kind, member) FIELD(kind, struct store_silence, member)
static const struct field silence_fields[] = {
    SILENCE(FIELD_TEXT, satellite),
    SILENCE(FIELD_U64, aos_ms),
};
static const struct row_type silence_row = ROW_TYPE(struct store_silence, silence_fields);

enum rc store_silences(struct store *store, struct store_silence **ret, size_t *ret_n,
                       struct err *err)
{
    struct query q =
        query_start(store, "SELECT satellite, 0 FROM pass GROUP BY satellite UNION ALL "
                           "SELECT p.satellite, p.aos_ms FROM pass p LEFT JOIN observed o ON "
                           "o.satellite = p.satellite WHERE p.state = ? AND p.aos_ms > "
                           "coalesce(o.received_ms, 0) ORDER BY 1, 2");

    query_u64(&q, CONTACT_FAILED);
    return query_list(&q, &silence_row, (void **)ret, ret_n, err);
}

enum rc store_forget_passes(struct store *store, uint64_t before_ms, struct err *err)
{
    struct query q = query_start(store, "DELETE FROM pass WHERE los_ms <= ?");

    query_u64(&q, before_ms);
    return query_run(&q, err);
}
