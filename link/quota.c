/* SPDX-License-Identifier: Apache-2.0 */
#include "link/quota.h"

#include <string.h>

bool quota_is_bulk(uint32_t kind)
{
    return kind == OBJECT_PACKAGE || kind == OBJECT_MAIL;
}

uint64_t quota_share(const struct quota_limits *limits)
{
    return limits->bulk_bytes / TENANTS_MAX;
}

/* ---- whether it fits --------------------------------------------------------------------------
 */

struct sums {
    uint64_t bytes, bulk_bytes;
    uint32_t way, bulk_way, all, bulk_all, mails;
};

static void add(struct sums *s, const struct quota_item *item)
{
    const bool bulk = quota_is_bulk(item->kind);

    s->bytes += item->bytes;
    s->all++;
    s->way += item->whole ? 0 : 1;
    s->mails += item->kind == OBJECT_MAIL ? 1 : 0;
    if (!bulk)
        return;
    s->bulk_bytes += item->bytes;
    s->bulk_all++;
    s->bulk_way += item->whole ? 0 : 1;
}

enum quota_lack quota_lacks(const struct quota_limits *limits, const struct quota_item *items,
                            size_t n, uint64_t other, const struct quota_item *want)
{
    struct sums s = { .bytes = other, .bulk_bytes = other };
    const bool bulk = quota_is_bulk(want->kind);

    for (size_t i = 0; i < n; i++)
        add(&s, &items[i]);
    add(&s, want);
    if (want->kind == OBJECT_MAIL && s.mails > limits->mails)
        return QUOTA_MAILS;
    if (!want->whole && (s.way > limits->way || (bulk && s.bulk_way > limits->bulk_way)))
        return QUOTA_WAY;
    if (s.all > limits->all || (bulk && s.bulk_all > limits->bulk_all))
        return QUOTA_PLACE;
    if (s.bytes > limits->bytes || (bulk && s.bulk_bytes > limits->bulk_bytes))
        return QUOTA_BYTES;
    return QUOTA_FITS;
}

/* ---- who makes room ---------------------------------------------------------------------------
 */

/* How much an object has of what is lacking. */
static uint64_t weight(const struct quota_item *item, enum quota_lack lack)
{
    if (!quota_is_bulk(item->kind) || (lack == QUOTA_WAY && item->whole) ||
        (lack == QUOTA_MAILS && item->kind != OBJECT_MAIL))
        return 0;
    return lack == QUOTA_BYTES ? item->bytes : 1;
}

static uint64_t load_of(const struct quota_item *items, size_t n, const char *owner,
                        enum quota_lack lack)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (strcmp(items[i].owner, owner) == 0)
            sum += weight(&items[i], lack);
    return sum;
}

/* A message that is complete has been told to the ground, which has forgotten it: no other copy
 * comes.  It waits for berthd, which holds few (link/receiver). */
static bool may_go(const struct quota_item *item, enum quota_lack lack)
{
    return weight(item, lack) > 0 && !(item->whole && item->kind == OBJECT_MAIL);
}

/* Of two objects of one tenant, whether a goes rather than b. */
static bool goes_before(const struct quota_item *a, const struct quota_item *b)
{
    if (a->whole != b->whole)
        return !a->whole;
    if (a->kind != b->kind)
        return a->kind == OBJECT_PACKAGE;
    if (a->have != b->have)
        return a->have < b->have;
    return memcmp(a->digest, b->digest, DIGEST_SIZE) < 0;
}

size_t quota_victim(const struct quota_limits *limits, const struct quota_item *items, size_t n,
                    const struct quota_item *want, enum quota_lack lack)
{
    const uint64_t share = lack == QUOTA_BYTES ? quota_share(limits) : 1;
    const uint64_t own = load_of(items, n, want->owner, lack);
    const uint64_t more = lack == QUOTA_BYTES ? want->bytes : 1;
    uint64_t most = share;
    size_t best = n;

    if (!quota_is_bulk(want->kind) || more > share || own > share - more)
        return n;
    for (size_t i = 0; i < n; i++) {
        const struct quota_item *item = &items[i];
        const uint64_t load = load_of(items, n, item->owner, lack);
        const int order = best < n ? strcmp(item->owner, items[best].owner) : 0;

        if (!may_go(item, lack) || load < most || load <= share)
            continue;
        if (best == n || load > most || order < 0 ||
            (order == 0 && goes_before(item, &items[best]))) {
            best = i;
            most = load;
        }
    }
    return best;
}

/* ---- counts -----------------------------------------------------------------------------------
 */

static struct port_spool_tenant *entry(struct port_spool *spool, const char *owner)
{
    uint32_t at = 0;

    while (at < spool->n && strcmp(spool->tenant[at].name, owner) < 0)
        at++;
    if (at < spool->n && strcmp(spool->tenant[at].name, owner) == 0)
        return &spool->tenant[at];
    /* The last place is for "", who comes first. */
    const bool nobodys = spool->n > 0 && spool->tenant[0].name[0] == '\0';

    if (owner[0] != '\0' && spool->n + (nobodys ? 0 : 1) >= PORT_SPOOL_MAX) {
        if (nobodys)
            return &spool->tenant[0];
        owner = "";
        at = 0;
    }
    assert(spool->n < PORT_SPOOL_MAX);
    memmove(&spool->tenant[at + 1], &spool->tenant[at], (spool->n - at) * sizeof spool->tenant[0]);
    spool->n++;
    spool->tenant[at] = (struct port_spool_tenant){ 0 };
    memcpy(spool->tenant[at].name, owner, strnlen(owner, NAME_MAX_LEN));
    return &spool->tenant[at];
}

void quota_count(struct port_spool *spool, const char *owner, enum quota_reason reason)
{
    uint32_t *count = &entry(spool, owner)->count[reason];

    if (*count < UINT32_MAX)
        (*count)++;
}

void quota_fill(struct port_spool *spool, const struct quota_item *items, size_t n)
{
    for (uint32_t i = 0; i < spool->n; i++) {
        struct port_spool_tenant *t = &spool->tenant[i];
        uint64_t bytes = 0;

        t->objects = 0;
        for (size_t k = 0; k < n; k++) {
            if (strcmp(items[k].owner, t->name) != 0)
                continue;
            t->objects++;
            bytes += items[k].bytes;
        }
        t->kib = bytes / 1024 < UINT32_MAX ? (uint32_t)((bytes + 1023) / 1024) : UINT32_MAX;
    }
}
