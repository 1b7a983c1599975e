/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/queue.h"

#include <assert.h>
#include <string.h>

#include "link/port.h"

static_assert(QUEUE_PACKAGES_MAX < QUEUE_MAX, "documents find room behind any number of packages");

struct item *queue_find(struct queue *q, const struct digest *digest)
{
    for (uint32_t i = 0; i < q->n; i++)
        if (digest_same(&q->item[i].digest, digest))
            return &q->item[i];
    return NULL;
}

static uint32_t packages(const struct queue *q)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < q->n; i++)
        n += q->item[i].kind == OBJECT_PACKAGE;
    return n;
}

struct item *queue_add(struct queue *q, const struct item *item)
{
    bool full =
        q->n == QUEUE_MAX || (item->kind == OBJECT_PACKAGE && packages(q) >= QUEUE_PACKAGES_MAX);

    if (full || queue_find(q, &item->digest))
        return NULL;
    q->item[q->n] = *item;
    return &q->item[q->n++];
}

void queue_remove(struct queue *q, struct item *item)
{
    uint32_t i = (uint32_t)(item - q->item);

    assert(i < q->n);
    close_fd(&item->fd);
    memmove(&q->item[i], &q->item[i + 1], (q->n - i - 1) * sizeof q->item[0]);
    q->n--;
}

/* ---- turns --------------------------------------------------------------------------------------
 */

static struct turn *find_turn(struct queue *q, const char *tenant)
{
    for (size_t i = 0; i < TENANTS_MAX + 1U; i++)
        if (q->turn[i].at > 0 && strcmp(q->turn[i].tenant, tenant) == 0)
            return &q->turn[i];
    return NULL;
}

static uint64_t turn_of(struct queue *q, const char *tenant)
{
    const struct turn *turn = find_turn(q, tenant);

    return turn ? turn->at : 0;
}

/* There is a place for each tenant that can have a grant; of tenants that had one, the one that
 * was longest ago is forgotten, and comes first again. */
void queue_took_turn(struct queue *q, const char *tenant)
{
    struct turn *turn = find_turn(q, tenant);

    for (size_t i = 0; !turn && i < TENANTS_MAX + 1U; i++)
        if (q->turn[i].at == 0)
            turn = &q->turn[i];
    if (!turn) {
        turn = &q->turn[0];
        for (size_t i = 1; i < TENANTS_MAX + 1U; i++)
            if (q->turn[i].at < turn->at)
                turn = &q->turn[i];
    }
    *turn = (struct turn){ .at = ++q->turns };
    memcpy(turn->tenant, tenant, strnlen(tenant, NAME_MAX_LEN));
}

static bool is_due(const struct item *item, uint64_t now_ms)
{
    return !item->started && !item->waiting && item->not_before_ms <= now_ms;
}

/* What berth-link still holds is taken whatever else runs: it has room for a few only. */
static bool may_work(const struct item *item, uint64_t now_ms, const struct queue_ask *ask)
{
    return is_due(item, now_ms) &&
           (item->fd >= 0 ? !ask->taking : ask->may_begin(ask->arg, item->tenant));
}

struct item *queue_next(struct queue *q, uint64_t now_ms, const struct queue_ask *ask)
{
    struct item *package = NULL, *document = NULL;

    for (uint32_t i = 0; i < q->n; i++) {
        struct item *item = &q->item[i];

        if (item->kind == OBJECT_ROOT && is_due(item, now_ms))
            return item;
        if (item->kind != OBJECT_PACKAGE) {
            if (!document && is_due(item, now_ms))
                document = item;
            continue;
        }
        if (may_work(item, now_ms, ask) &&
            (!package || turn_of(q, item->tenant) < turn_of(q, package->tenant)))
            package = item;
    }
    return document ? document : package;
}

bool queue_others_wait(const struct queue *q, uint64_t now_ms, const struct queue_ask *ask)
{
    for (uint32_t i = 0; i < q->n; i++) {
        const struct item *item = &q->item[i];

        if (item->kind == OBJECT_PACKAGE && item->fd < 0 && item->tenant[0] != '\0' &&
            is_due(item, now_ms) && ask->may_begin(ask->arg, item->tenant))
            return true;
    }
    return false;
}

bool queue_may_hold(const struct queue *q, const struct item *item)
{
    if (item->kind != OBJECT_PACKAGE || item->fd < 0)
        return true;
    for (uint32_t i = 0; i < q->n; i++) {
        const struct item *other = &q->item[i];

        if (other != item && other->kind == OBJECT_PACKAGE && other->fd >= 0 && other->full > 0 &&
            strcmp(other->tenant, item->tenant) == 0)
            return false;
    }
    return item->tenant[0] != '\0';
}

uint64_t queue_share_ms(uint32_t yields, uint64_t max_ms)
{
    uint64_t share = QUEUE_SHARE_MS;

    for (uint32_t i = 0; i < yields && share < max_ms; i++)
        share *= 2;
    return share < max_ms ? share : max_ms;
}

uint32_t queue_must_yield(const struct queue_job *jobs, uint32_t n, uint64_t now_ms)
{
    uint32_t longest = n;

    for (uint32_t i = 0; i < n; i++) {
        if (!jobs[i].busy || jobs[i].yielding)
            return n;
        if (now_ms >= jobs[i].share_ms &&
            (longest == n || jobs[i].share_ms < jobs[longest].share_ms))
            longest = i;
    }
    return longest;
}

/* ---- no room ------------------------------------------------------------------------------------
 */

static uint32_t waiting_of(const struct queue *q, const char *tenant)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < q->n; i++)
        n += q->item[i].kind == OBJECT_PACKAGE && strcmp(q->item[i].tenant, tenant) == 0;
    return n;
}

struct item *queue_victim(struct queue *q, const char *tenant)
{
    struct item *victim = NULL;
    uint32_t most = waiting_of(q, tenant) + 1;

    for (uint32_t i = 0; i < q->n; i++) {
        struct item *item = &q->item[i];
        uint32_t n = waiting_of(q, item->tenant);

        /* Nobody's go first: anybody who has the link can send as many as he likes. */
        if (item->tenant[0] == '\0' && tenant[0] != '\0')
            n = QUEUE_MAX;
        if (item->kind != OBJECT_PACKAGE || item->started || strcmp(item->tenant, tenant) == 0)
            continue;
        if (n > most || (victim && n == most)) {
            most = n;
            victim = item;
        }
    }
    return victim;
}
