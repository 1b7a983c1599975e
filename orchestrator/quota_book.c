/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/quota_book.h"

#include <stdlib.h>

#include "base/name.h"

void quota_book_free(struct quota_book **book)
{
    if (!*book)
        return;
    free((*book)->up);
    admit_known_done(&(*book)->versions);
    free(*book);
    *book = NULL;
}

enum rc quota_book_load(struct store *store, const struct view *view, uint64_t now_ms,
                        struct quota_book **ret, struct err *err)
{
    scoped(quota_book_free) struct quota_book *book = calloc(1, sizeof *book);
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc =
        book ? store_outgoing(store, NULL, 0, &rows, &n, err) : err_set(err, RC_NO_MEMORY, "quota");

    if (rc != RC_OK)
        return rc;
    book->now_ms = now_ms;
    book->up = calloc(n + 1, sizeof *book->up);
    if (!book->up)
        return err_set(err, RC_NO_MEMORY, "quota");
    for (size_t i = 0; i < n; i++) {
        const bool waits = rows[i].state == OUTGOING_QUEUED;
        const bool today = rows[i].state == OUTGOING_COMPLETE &&
                           rows[i].sent_ms / QUOTA_DAY_MS == now_ms / QUOTA_DAY_MS;
        const struct store_package *package =
            waits || today ? view_carried(view, &rows[i].object) : NULL;

        if (package)
            book->up[book->n_up++] = (struct quota_up){ package, waits, rows[i].size };
    }
    *ret = book;
    book = NULL;
    return RC_OK;
}

uint64_t quota_book_sent(const struct quota_book *book, const char *tenant)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < book->n_up; i++)
        if (!book->up[i].waits && strcmp(book->up[i].package->tenant, tenant) == 0)
            sum += book->up[i].bytes;
    return sum;
}

bool quota_book_is_of(const struct admit_version *version, const struct fleet_quota *who)
{
    return version->known && strcmp(version->tenant, who->tenant) == 0 &&
           team_within(who->team, version->team);
}

enum rc quota_book_order(struct quota_book *book, const struct home *home, const struct want *order,
                         const struct fleet_quota *who, uint64_t ret[FLEET_BOUNDS], struct err *err)
{
    uint64_t sum[FLEET_BOUNDS] = { 0 };

    for (uint32_t i = 0; i < order->n_lines; i++) {
        struct admit_version v = { 0 };

        if (strcmp(order->line[i].tenant, who->tenant) != 0)
            continue;
        enum rc rc = admit_version(home, &book->versions, &order->line[i].manifest, &v, err);
        if (rc != RC_OK)
            return rc;
        if (!quota_book_is_of(&v, who))
            continue;
        sum[FLEET_MEMORY] += v.limits.memory_bytes;
        sum[FLEET_CPU] += v.limits.cpu_permille;
        sum[FLEET_STORE] += v.store_bytes;
        /* Without a bound of the pass's own a whole day's may come in one. */
        sum[FLEET_LOGS] +=
            v.limits.logs_bytes_pass != 0 ? v.limits.logs_bytes_pass : v.limits.logs_bytes_day;
    }
    memcpy(ret, sum, sizeof sum);
    return RC_OK;
}

enum rc quota_book_up(struct quota_book *book, const struct home *home,
                      const struct fleet_quota *who, uint64_t *ret_sent, uint64_t *ret_waits,
                      struct err *err)
{
    uint64_t sent = 0, waits = 0;

    for (size_t i = 0; i < book->n_up; i++) {
        const struct quota_up *up = &book->up[i];
        struct admit_version v = { 0 };

        if (strcmp(up->package->tenant, who->tenant) != 0)
            continue;
        enum rc rc = who->team[0]
                         ? admit_version(home, &book->versions, &up->package->manifest, &v, err)
                         : RC_OK;
        if (rc != RC_OK)
            return rc;
        if (who->team[0] && !quota_book_is_of(&v, who))
            continue;
        *(up->waits ? &waits : &sent) += up->bytes;
    }
    *ret_sent = sent;
    *ret_waits = waits;
    return RC_OK;
}
