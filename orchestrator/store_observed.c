/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_observed: what satellites report: the newest report of each, and events.
 */
#include "orchestrator/store_query.h"

#define OBSERVED(kind, member) FIELD(kind, struct store_observed, member)
static const struct field observed_fields[] = {
    OBSERVED(FIELD_TEXT, satellite),
    OBSERVED(FIELD_U64, epoch),
    OBSERVED(FIELD_U64, seq),
    OBSERVED(FIELD_U64, received_ms),
};
static const struct row_type observed_row = ROW_TYPE(struct store_observed, observed_fields);

enum rc store_put_report(struct store *store, const struct store_observed *row, struct bytes report,
                         struct bytes sight, struct err *err)
{
    struct query q = query_start(
        store,
        "INSERT INTO observed (satellite, epoch, seq, received_ms, report, sight) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (satellite) DO UPDATE SET "
        "epoch = excluded.epoch, seq = excluded.seq, received_ms = excluded.received_ms, "
        "report = excluded.report, sight = excluded.sight WHERE (excluded.epoch, excluded.seq) > "
        "(observed.epoch, observed.seq)");
    enum rc rc;

    query_row(&q, &observed_row, row);
    query_blob(&q, report);
    query_blob(&q, sight);
    rc = query_run(&q, err);
    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_REPORT_OLD, "%s epoch %llu report %llu", row->satellite,
                     (unsigned long long)row->epoch, (unsigned long long)row->seq);
    return rc;
}

enum rc store_touch_report(struct store *store, const struct store_observed *row, struct err *err)
{
    struct query q = query_start(store, "UPDATE observed SET epoch = ?, seq = ?, received_ms = ? "
                                        "WHERE satellite = ? AND (?, ?) > (epoch, seq)");

    query_u64(&q, row->epoch);
    query_u64(&q, row->seq);
    query_u64(&q, row->received_ms);
    query_text(&q, row->satellite);
    query_u64(&q, row->epoch);
    query_u64(&q, row->seq);
    enum rc rc = query_run(&q, err);

    if (rc == RC_OK && query_changes(store) != 1)
        rc = err_set(err, RC_REPORT_OLD, "%s epoch %llu report %llu", row->satellite,
                     (unsigned long long)row->epoch, (unsigned long long)row->seq);
    return rc;
}

enum rc store_report(struct store *store, const char *satellite, struct store_observed *ret_row,
                     uint8_t **ret, size_t *ret_n, struct err *err)
{
    struct query q =
        query_start(store, "SELECT satellite, epoch, seq, received_ms, report FROM observed WHERE "
                           "satellite = ?");
    struct store_observed row = { 0 };

    query_text(&q, satellite);
    if (query_next(&q))
        query_get_row(&q, &observed_row, &row);
    enum rc rc = query_end_blob(&q, REPORT_MAX, ret, ret_n, err);

    if (rc == RC_OK)
        *ret_row = row;
    return rc == RC_NOT_FOUND ? err_set(err, rc, "report of %s", satellite) : rc;
}

#define EVENT(kind, member) FIELD(kind, struct store_event, member)
static const struct field event_fields[] = {
    EVENT(FIELD_TEXT, satellite), EVENT(FIELD_U64, seq),   EVENT(FIELD_U32, code),
    EVENT(FIELD_U32, count),      EVENT(FIELD_TEXT, what), EVENT(FIELD_U64, received_ms),
    EVENT(FIELD_U64, told),
};
static const struct row_type event_row = ROW_TYPE(struct store_event, event_fields);
#define EVENT_COLUMNS "satellite, seq, code, count, what, received_ms, told"

/* The next number.  Whoever has taken one holds the row until it commits. */
static enum rc take_news(struct store *store, uint64_t *ret, struct err *err)
{
    struct query q =
        query_start(store, "INSERT INTO news (id, told) VALUES (1, 1) ON CONFLICT (id) "
                           "DO UPDATE SET told = news.told + 1 RETURNING told");
    const uint64_t told = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK)
        *ret = told;
    return rc;
}

/* Whether an event is new, or counted higher than it was. */
static enum rc look_for_news(struct store *store, const struct store_event *row, bool *ret,
                             struct err *err)
{
    struct query q = query_start(store, "SELECT count FROM event WHERE satellite = ? AND seq = ?");

    query_text(&q, row->satellite);
    query_u64(&q, row->seq);
    *ret = !query_next(&q) || row->count > query_get_u64(&q);
    return query_end(&q, err);
}

enum rc store_put_event(struct store *store, const struct store_event *row, struct err *err)
{
    struct store_event news = *row;
    bool is_news = false;
    enum rc rc = look_for_news(store, row, &is_news, err);

    if (rc != RC_OK || !is_news)
        return rc;
    rc = take_news(store, &news.told, err);
    if (rc != RC_OK)
        return rc;
    struct query q =
        query_start(store, "INSERT INTO event (" EVENT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?) "
                           "ON CONFLICT (satellite, seq) DO UPDATE SET "
                           "count = excluded.count, told = excluded.told");

    query_row(&q, &event_row, &news);
    return query_run(&q, err);
}

enum rc store_news(struct store *store, uint64_t *ret, struct err *err)
{
    struct query q = query_start(store, "SELECT told FROM news");
    const uint64_t told = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK)
        *ret = told;
    return rc;
}

enum rc store_events_after(struct store *store, const char *satellite, uint64_t told, size_t most,
                           struct store_event **ret, size_t *ret_n, struct err *err)
{
    struct query q = query_start(
        store, satellite ? "SELECT " EVENT_COLUMNS " FROM event WHERE told > ?1 AND "
                           "satellite = ?3 ORDER BY told LIMIT ?2"
                         : "SELECT " EVENT_COLUMNS " FROM event WHERE told > ?1 ORDER BY told "
                           "LIMIT ?2");

    query_u64(&q, told);
    query_u64(&q, most);
    if (satellite)
        query_text(&q, satellite);
    return query_list(&q, &event_row, (void **)ret, ret_n, err);
}

enum rc store_event_count(struct store *store, const char *satellite, uint64_t seq, uint64_t *ret,
                          struct err *err)
{
    struct query q = query_start(store, "SELECT count FROM event WHERE satellite = ? AND seq = ?");

    query_text(&q, satellite);
    query_u64(&q, seq);

    uint64_t count = query_next(&q) ? query_get_u64(&q) : 0;
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK)
        *ret = count;
    return rc;
}

enum rc store_forget_observed(struct store *store, const char *satellite, struct err *err)
{
    struct query q = query_start(store, "DELETE FROM observed WHERE satellite = ?");

    query_text(&q, satellite);
    enum rc rc = query_run(&q, err);

    if (rc == RC_OK)
        rc = store_trim_events(store, satellite, 0, err);
    if (rc == RC_OK)
        rc = store_forget_heard(store, satellite, err);
    if (rc != RC_OK)
        return rc;
    q = query_start(store, "UPDATE outgoing SET sent_ms = 0 WHERE satellite = ?");
    query_text(&q, satellite);
    rc = query_run(&q, err);
    if (rc != RC_OK)
        return rc;
    q = query_start(store, "DELETE FROM full_only WHERE satellite = ?");
    query_text(&q, satellite);
    rc = query_run(&q, err);
    if (rc != RC_OK)
        return rc;
    q = query_start(store, "DELETE FROM base_changed WHERE satellite = ?");
    query_text(&q, satellite);
    return query_run(&q, err);
}

enum rc store_trim_events(struct store *store, const char *satellite, size_t keep, struct err *err)
{
    struct query q =
        query_start(store, "DELETE FROM event WHERE satellite = ?1 AND seq NOT IN (SELECT seq FROM "
                           "event WHERE satellite = ?1 ORDER BY received_ms DESC, seq DESC "
                           "LIMIT ?2)");

    query_text(&q, satellite);
    query_u64(&q, keep);
    return query_run(&q, err);
}

enum rc store_events(struct store *store, const char *satellite, size_t last,
                     struct store_event **ret, size_t *ret_n, struct err *err)
{
    struct query q = query_start(
        store,
        satellite ? "SELECT * FROM (SELECT " EVENT_COLUMNS " FROM event WHERE satellite = ?2 "
                    "ORDER BY received_ms DESC, seq DESC LIMIT ?1) AS newest "
                    "ORDER BY received_ms, satellite, seq"
                  : "SELECT * FROM (SELECT " EVENT_COLUMNS " FROM event ORDER BY received_ms DESC, "
                    "seq DESC LIMIT ?1) AS newest ORDER BY received_ms, satellite, seq");

    query_u64(&q, last);
    if (satellite)
        query_text(&q, satellite);
    return query_list(&q, &event_row, (void **)ret, ret_n, err);
}
