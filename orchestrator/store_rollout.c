/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_rollout: what rollouts that share satellites and orders have to do with each
 * other.  One apply makes one order per satellite and one rollout per payload that it changes, so
 * several rollouts can wait for the same order.
 */
#include "orchestrator/store_query.h"

static enum rc get_number(struct query *q, uint64_t *ret, struct err *err)
{
    uint64_t value = query_next(q) ? query_get_u64(q) : 0;
    enum rc rc = query_end(q, err);

    if (rc == RC_OK)
        *ret = value;
    return rc;
}

enum rc store_order_ready(struct store *store, const char *satellite, uint64_t generation,
                          bool *ret, struct err *err)
{
    struct query q =
        query_start(store, "SELECT CASE WHEN count(*) > 0 AND count(*) = count(*) FILTER (WHERE "
                           "rollout.state IN (1, 3) AND wave.state IN (2, 3)) THEN 1 ELSE 0 END "
                           "FROM wave JOIN rollout ON rollout.id = wave.rollout "
                           "WHERE wave.satellite = ? AND wave.generation = ?");
    uint64_t ready = 0;

    static_assert(ROLLOUT_RUNNING == 1 && ROLLOUT_COMPLETED == 3 && WAVE_ACTIVE == 2 &&
                      WAVE_DONE == 3,
                  "the numbers in the statement");
    query_text(&q, satellite);
    query_u64(&q, generation);
    enum rc rc = get_number(&q, &ready, err);

    if (rc == RC_OK)
        *ret = ready != 0;
    return rc;
}

enum rc store_rollout_shared(struct store *store, uint64_t rollout, uint64_t *ret, struct err *err)
{
    struct query q = query_start(
        store, "SELECT min(rollout.id) FROM wave AS ours JOIN wave AS theirs ON "
               "theirs.satellite = ours.satellite AND theirs.generation = ours.generation "
               "JOIN sat_order ON sat_order.satellite = ours.satellite AND "
               "sat_order.generation = ours.generation AND sat_order.state IN (1, 5) "
               "JOIN rollout ON rollout.id = theirs.rollout WHERE ours.rollout = ?1 AND "
               "theirs.rollout != ?1 AND rollout.state IN (1, 2, 5) HAVING count(*) > 0");

    static_assert(ROLLOUT_RUNNING == 1 && ROLLOUT_PAUSED == 2 && ROLLOUT_AWAITING == 5 &&
                      ORDER_HELD == 1 && ORDER_CANCELLED == 5,
                  "the numbers in the statement");
    query_u64(&q, rollout);
    return get_number(&q, ret, err);
}

enum rc store_rollout_on(struct store *store, const char *satellite, uint64_t *ret, struct err *err)
{
    struct query q = query_start(
        store, "SELECT min(rollout.id) FROM wave JOIN rollout ON rollout.id = wave.rollout WHERE "
               "wave.satellite = ? AND rollout.state IN (1, 2, 5) HAVING count(*) > 0");

    static_assert(ROLLOUT_RUNNING == 1 && ROLLOUT_PAUSED == 2 && ROLLOUT_AWAITING == 5,
                  "the numbers in the statement");
    query_text(&q, satellite);
    return get_number(&q, ret, err);
}

/* ---- approvals: what people signed ---- */

enum rc store_rollouts_of(struct store *store, const char *satellite, uint64_t generation,
                          uint64_t **ret, size_t *ret_n, struct err *err)
{
    static const struct field field = { .kind = FIELD_U64, .at = 0, .size = sizeof(uint64_t) };
    static const struct row_type type = { .size = sizeof(uint64_t), .n = 1, .fields = &field };
    struct query q = query_start(store, "SELECT DISTINCT rollout FROM wave WHERE satellite = ? AND "
                                        "generation = ? ORDER BY rollout");

    query_text(&q, satellite);
    query_u64(&q, generation);
    return query_list(&q, &type, (void **)ret, ret_n, err);
}

static void put_of(struct query *q, const struct store_approval *of)
{
    query_u64(q, of->rollout);
    query_text(q, of->satellite);
    query_u64(q, of->role);
}

enum rc store_put_approval(struct store *store, const struct store_approval *of,
                           struct bytes envelope, struct err *err)
{
    struct query q = query_start(store, "INSERT INTO approval (rollout, satellite, role, envelope) "
                                        "VALUES (?, ?, ?, ?) ON CONFLICT (rollout, satellite, "
                                        "role) DO UPDATE SET envelope = excluded.envelope");

    put_of(&q, of);
    query_blob(&q, envelope);
    return query_run(&q, err);
}

enum rc store_approval(struct store *store, const struct store_approval *of, uint8_t **ret,
                       size_t *ret_n, struct err *err)
{
    struct query q = query_start(
        store, "SELECT envelope FROM approval WHERE rollout = ? AND satellite = ? AND role = ?");

    put_of(&q, of);
    (void)query_next(&q);
    return query_end_blob(&q, DOCUMENT_MAX, ret, ret_n, err);
}

enum rc store_forget_approvals(struct store *store, uint64_t rollout, const char *satellite,
                               struct err *err)
{
    struct query q = query_start(store, "DELETE FROM approval WHERE rollout = ? AND satellite = ?");

    query_u64(&q, rollout);
    query_text(&q, satellite);
    return query_run(&q, err);
}
