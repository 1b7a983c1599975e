/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_waves: rows of rollouts and of their waves.
 */
#include <stdio.h>

#include "orchestrator/store_query.h"

#define ROLLOUT(kind, member) FIELD(kind, struct store_rollout, member)
static const struct field rollout_fields[] = {
    ROLLOUT(FIELD_U64, id),
    ROLLOUT(FIELD_TEXT, tenant),
    ROLLOUT(FIELD_TEXT, name),
    ROLLOUT(FIELD_TEXT, from),
    ROLLOUT(FIELD_TEXT, to),
    ROLLOUT(FIELD_DIGEST, to_manifest),
    ROLLOUT(FIELD_U32, state),
    ROLLOUT(FIELD_TEXT, reason),
    ROLLOUT(FIELD_U32, wave),
    ROLLOUT(FIELD_U64, created_ms),
    ROLLOUT(FIELD_U64, changed_ms),
    ROLLOUT(FIELD_U32, fail_max),
    ROLLOUT(FIELD_U64, soak_ms),
    ROLLOUT(FIELD_DIGEST, plan),
    ROLLOUT(FIELD_U32, approve),
    ROLLOUT(FIELD_U32, fail_pct),
    ROLLOUT(FIELD_U32, fail_min),
    ROLLOUT(FIELD_U32, success_pct),
    ROLLOUT(FIELD_U32, silent_passes),
    ROLLOUT(FIELD_U64, silent_ms),
    ROLLOUT(FIELD_U32, silent_skip),
    ROLLOUT(FIELD_U64, deadline_ms),
    ROLLOUT(FIELD_U32, soak_orbits),
};
static const struct row_type rollout_row = ROW_TYPE(struct store_rollout, rollout_fields);
static const struct row_type rollout_new = { .size = sizeof(struct store_rollout),
                                             .n = sizeof rollout_fields / sizeof rollout_fields[0] -
                                                  1,
                                             .fields = rollout_fields + 1 };
#define ROLLOUT_COLUMNS                                                                            \
    "tenant, name, from_version, to_version, to_manifest, state, reason, wave, created_ms, "       \
    "changed_ms, fail_max, soak_ms, plan, approve, fail_pct, fail_min, success_pct, "              \
    "silent_passes, silent_ms, silent_skip, deadline_ms, soak_orbits"

enum rc store_add_rollout(struct store *store, const struct store_rollout *row, uint64_t *ret_id,
                          struct err *err)
{
    /* People count them: no numbers are lost by what was rolled back. */
    struct query q = query_start(store, "INSERT INTO rollout (id, " ROLLOUT_COLUMNS ") VALUES "
                                        "((SELECT coalesce(max(id), 0) + 1 FROM rollout), "
                                        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
                                        "?, ?, ?, ?, ?) RETURNING id");
    struct store_rollout fresh = *row;
    enum rc rc;

    fresh.changed_ms = row->created_ms;
    query_row(&q, &rollout_new, &fresh);
    uint64_t id = query_next(&q) ? query_get_u64(&q) : 0;

    rc = query_end(&q, err);
    if (rc == RC_OK)
        *ret_id = id;
    return rc;
}

enum rc store_update_rollout(struct store *store, const struct store_rollout *row, struct err *err)
{
    struct query q = query_start(store, "UPDATE rollout SET state = ?, reason = ?, wave = ?, "
                                        "changed_ms = ?, deadline_ms = ? WHERE id = ?");
    enum rc rc;

    query_u64(&q, (uint64_t)row->state);
    query_text(&q, row->reason);
    query_u64(&q, row->wave);
    query_u64(&q, row->changed_ms);
    query_u64(&q, row->deadline_ms);
    query_u64(&q, row->id);
    rc = query_run(&q, err);
    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_NOT_FOUND, "rollout %llu", (unsigned long long)row->id);
    return rc;
}

enum rc store_rollout(struct store *store, uint64_t id, struct store_rollout *ret, struct err *err)
{
    struct query q = query_start(store, "SELECT id, " ROLLOUT_COLUMNS " FROM rollout WHERE id = ?");
    char what[40];

    query_u64(&q, id);
    (void)snprintf(what, sizeof what, "rollout %llu", (unsigned long long)id);
    return query_one(&q, &rollout_row, ret, RC_NOT_FOUND, what, err);
}

enum rc store_rollouts(struct store *store, enum rollout_state state, struct store_rollout **ret,
                       size_t *ret_n, struct err *err)
{
    struct query q = query_start(store, "SELECT id, " ROLLOUT_COLUMNS
                                        " FROM rollout WHERE ?1 = 0 OR state = ?1 ORDER BY id");

    query_u64(&q, (uint64_t)state);
    return query_list(&q, &rollout_row, (void **)ret, ret_n, err);
}

#define WAVE(kind, member) FIELD(kind, struct store_wave, member)
static const struct field wave_fields[] = {
    WAVE(FIELD_U64, rollout),     WAVE(FIELD_U32, index),      WAVE(FIELD_TEXT, satellite),
    WAVE(FIELD_U32, state),       WAVE(FIELD_U64, generation), WAVE(FIELD_U64, healthy_ms),
    WAVE(FIELD_U32, excused),     WAVE(FIELD_U64, retried_ms), WAVE(FIELD_U64, retried_epoch),
    WAVE(FIELD_U64, retried_seq), WAVE(FIELD_U64, period_ms),
};
static const struct row_type wave_row = ROW_TYPE(struct store_wave, wave_fields);
#define WAVE_COLUMNS                                                                               \
    "rollout, wave, satellite, state, generation, healthy_ms, excused, retried_ms, "               \
    "retried_epoch, retried_seq, period_ms"

enum rc store_add_wave(struct store *store, const struct store_wave *row, struct err *err)
{
    struct query q = query_start(store, "INSERT INTO wave (" WAVE_COLUMNS
                                        ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

    query_row(&q, &wave_row, row);
    return query_run(&q, err);
}

enum rc store_judge_wave(struct store *store, const struct store_wave *row, struct err *err)
{
    struct query q = query_start(store, "UPDATE wave SET excused = ?, retried_ms = ?, "
                                        "retried_epoch = ?, retried_seq = ? WHERE rollout = ? AND "
                                        "wave = ? AND satellite = ?");

    query_u64(&q, row->excused);
    query_u64(&q, row->retried_ms);
    query_u64(&q, row->retried_epoch);
    query_u64(&q, row->retried_seq);
    query_u64(&q, row->rollout);
    query_u64(&q, row->index);
    query_text(&q, row->satellite);
    enum rc rc = query_run(&q, err);

    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_NOT_FOUND, "%s in rollout %llu", row->satellite,
                     (unsigned long long)row->rollout);
    return rc;
}

enum rc store_set_wave_state(struct store *store, uint64_t rollout, uint32_t index,
                             enum wave_state state, uint64_t healthy_ms, struct err *err)
{
    struct query q = query_start(store, "UPDATE wave SET state = ?, healthy_ms = ? WHERE "
                                        "rollout = ? AND wave = ?");
    enum rc rc;

    query_u64(&q, (uint64_t)state);
    query_u64(&q, healthy_ms);
    query_u64(&q, rollout);
    query_u64(&q, index);
    rc = query_run(&q, err);
    if (rc == RC_OK && query_changes(store) == 0)
        rc = err_set(err, RC_NOT_FOUND, "wave %u of rollout %llu", index,
                     (unsigned long long)rollout);
    return rc;
}

enum rc store_waves(struct store *store, uint64_t rollout, struct store_wave **ret, size_t *ret_n,
                    struct err *err)
{
    struct query q = query_start(store, "SELECT " WAVE_COLUMNS " FROM wave WHERE rollout = ? "
                                        "ORDER BY wave, satellite");

    query_u64(&q, rollout);
    return query_list(&q, &wave_row, (void **)ret, ret_n, err);
}
