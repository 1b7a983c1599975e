/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_lease: which of several reconcilers works on the fleet.  The lease has a
 * number that rises with each holder; whoever writes under an older one is refused in its
 * transaction, so one that was stopped for longer than its lease does no harm when it goes on.
 */
#include <stdio.h>

#include "orchestrator/store_query.h"

#define NAME "reconciler" /* the only one that there is */

#define LEASE(kind, member) FIELD(kind, struct store_lease, member)
static const struct field lease_fields[] = {
    LEASE(FIELD_TEXT, holder),
    LEASE(FIELD_U64, fence),
    LEASE(FIELD_U64, expires_ms),
};
static const struct row_type lease_row = ROW_TYPE(struct store_lease, lease_fields);
#define LEASE_COLUMNS "holder, fence, expires_ms"

enum rc store_lease(struct store *store, struct store_lease *ret, struct err *err)
{
    struct query q =
        query_start(store, "SELECT " LEASE_COLUMNS " FROM lease WHERE name = '" NAME "'");

    return query_one(&q, &lease_row, ret, RC_NOT_FOUND, "lease", err);
}

enum rc query_lease_fence(struct store *store, uint64_t *ret, struct err *err)
{
    struct store_lease lease = { 0 };
    enum rc rc = store_lease(store, &lease, err);

    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    *ret = lease.fence;
    return RC_OK;
}

static enum rc put(struct store *store, const struct store_lease *lease, struct err *err)
{
    struct query q = query_start(
        store, "INSERT INTO lease (" LEASE_COLUMNS ", name) VALUES (?, ?, ?, '" NAME "') "
               "ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, "
               "fence = excluded.fence, expires_ms = excluded.expires_ms");

    query_row(&q, &lease_row, lease);
    return query_run(&q, err);
}

/* Within a transaction, and under no number: the row decides. */
static enum rc take(struct store *store, const char *holder, uint64_t mine, uint64_t now_ms,
                    uint64_t for_ms, uint64_t *ret_fence, struct err *err)
{
    struct store_lease lease = { 0 };
    enum rc rc = store_lease(store, &lease, err);

    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    bool same = strcmp(lease.holder, holder) == 0;

    if (!same && lease.expires_ms > now_ms)
        return err_set(err, RC_BUSY, "%.70s has the lease for %llu ms more", lease.holder,
                       (unsigned long long)(lease.expires_ms - now_ms));
    lease.fence += !same || lease.fence != mine;
    lease.expires_ms = now_ms + for_ms;
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", holder);
    *ret_fence = lease.fence;
    return put(store, &lease, err);
}

enum rc store_take_lease(struct store *store, const char *holder, uint64_t now_ms, uint64_t for_ms,
                         struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    const uint64_t mine = query_fence(store);
    uint64_t fence = 0;

    query_set_fence(store, 0);
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = query_now(store, now_ms, &now_ms, err);
    if (rc == RC_OK)
        rc = take(store, holder, mine, now_ms, for_ms, &fence, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    query_set_fence(store, rc == RC_OK ? fence : mine);
    return rc;
}

enum rc store_drop_lease(struct store *store, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_lease lease = { 0 };

    if (query_fence(store) == 0)
        return RC_OK;
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = store_lease(store, &lease, err);
    if (rc == RC_OK) {
        lease.expires_ms = 0;
        rc = put(store, &lease, err);
    }
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    query_set_fence(store, 0);
    return rc == RC_FENCED ? RC_OK : rc;
}
