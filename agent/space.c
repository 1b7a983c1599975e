/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/space.h"

#include <assert.h>
#include <string.h>

#include "base/name.h"

static bool names(const struct order *order, const struct slot_id *id)
{
    for (uint32_t i = 0; order && i < order->n_lines; i++) {
        const struct order_line *line = &order->line[i];

        if (strcmp(line->tenant, id->tenant) == 0 && strcmp(line->name, id->payload) == 0 &&
            digest_same(&line->manifest, &id->manifest))
            return true;
    }
    return false;
}

/* The units are sorted, but there are few. */
static const struct unit *unit_of(const struct table *t, const struct slot_id *id)
{
    for (uint32_t i = 0; i < t->n_units; i++)
        if (strcmp(t->unit[i].kept.tenant, id->tenant) == 0 &&
            strcmp(t->unit[i].kept.name, id->payload) == 0)
            return &t->unit[i];
    return NULL;
}

static bool has_failed(const struct unit_record *r, const struct digest *manifest)
{
    for (uint32_t i = 0; i < r->n_failed; i++)
        if (digest_same(&r->failed[i].manifest, manifest))
            return true;
    return false;
}

/* The release of the version that committed last, if it is there; 0 if not. */
static uint64_t good_release(const struct space_view *view, const struct unit *u)
{
    for (uint32_t i = 0; i < view->n; i++) {
        const struct space_thing *t = &view->thing[i];

        if (!t->package && strcmp(t->id.tenant, u->kept.tenant) == 0 &&
            strcmp(t->id.payload, u->kept.name) == 0 && digest_same(&t->id.manifest, &u->kept.good))
            return t->release;
    }
    return 0;
}

static enum space_rank rank_of_slot(const struct space_view *view, const struct space_thing *t)
{
    const struct unit *u = unit_of(view->table, &t->id);
    const struct digest *m = &t->id.manifest;

    if (t->pinned || names(view->order, &t->id) || names(view->staged, &t->id))
        return SPACE_REACHABLE;
    if (!u)
        return SPACE_AHEAD;
    if (u->run.phase != RUN_NONE && digest_same(&u->run.manifest, m))
        return SPACE_REACHABLE;
    if (digest_same(&u->kept.wanted, m) || digest_same(&u->kept.good, m) ||
        digest_same(&u->kept.previous, m) || digest_same(&u->kept.snapshot, m))
        return digest_is_none(&u->kept.wanted) && u->run.phase == RUN_NONE ? SPACE_IDLE
                                                                           : SPACE_REACHABLE;
    if (has_failed(&u->kept, m))
        return SPACE_FAILED;
    if (!digest_is_none(&u->kept.good) && t->release > 0 && t->release <= good_release(view, u))
        return SPACE_OVERTAKEN;
    return SPACE_AHEAD;
}

bool space_is_source(const struct table *table, const struct slot_id *id)
{
    const struct unit *u = unit_of(table, id);

    if (!u)
        return false;
    if (u->run.phase != RUN_NONE && digest_same(&u->run.manifest, &id->manifest))
        return true;
    return digest_same(&u->kept.good, &id->manifest) &&
           (!digest_is_none(&u->kept.wanted) || u->run.phase != RUN_NONE);
}

enum space_rank space_rank_of(const struct space_view *view, uint32_t i)
{
    const struct space_thing *t = &view->thing[i];
    enum space_rank rank = rank_of_slot(view, t);

    if (!t->package || t->pinned || rank <= SPACE_GARBAGE)
        return rank;
    return space_is_source(view->table, &t->id) ? SPACE_SOURCE : SPACE_KEPT;
}

static bool counts_for(const struct space_thing *t, const struct space_need *need)
{
    return !need->tenant ||
           (strcmp(t->id.tenant, need->tenant) == 0 && team_within(need->team, t->team));
}

/* Older first: of one payload by release, of several by name, so that the choice is always the
 * same. */
static bool goes_before(const struct space_thing *a, const struct space_thing *b)
{
    int by_tenant = strcmp(a->id.tenant, b->id.tenant);
    int by_name = strcmp(a->id.payload, b->id.payload);

    if (by_tenant != 0)
        return by_tenant < 0;
    if (by_name != 0)
        return by_name < 0;
    if (a->release != b->release)
        return a->release < b->release;
    return memcmp(a->id.manifest.b, b->id.manifest.b, DIGEST_SIZE) < 0;
}

/* A choice under way. */
struct choice {
    const struct space_view *view;
    const struct space_need *need;
    uint64_t bytes, files; /* that it frees */
    uint32_t n;
    uint32_t *ret;
    enum space_rank ranks[SPACE_THINGS_MAX]; /* SPACE_REACHABLE: not to be chosen (any more) */
    bool own[SPACE_THINGS_MAX];
};

/* The next to go of a rank; view->n if there is none. */
static uint32_t next_of(const struct choice *c, enum space_rank rank, bool own)
{
    const struct space_view *view = c->view;
    uint32_t next = view->n;

    for (uint32_t i = 0; i < view->n; i++)
        if (c->ranks[i] == rank && c->own[i] == own &&
            (next == view->n || goes_before(&view->thing[i], &view->thing[next])))
            next = i;
    return next;
}

static bool is_enough(const struct choice *c)
{
    return c->bytes >= c->need->bytes && c->files >= c->need->files;
}

/* Of this rank as much as is needed, or all that is garbage. */
static void take_rank(struct choice *c, enum space_rank rank, bool own)
{
    while (rank <= SPACE_GARBAGE || !is_enough(c)) {
        uint32_t i = next_of(c, rank, own);

        if (i == c->view->n)
            break;
        c->bytes += c->view->thing[i].bytes;
        c->files += c->view->thing[i].files;
        c->ranks[i] = SPACE_REACHABLE;
        c->ret[c->n++] = i;
    }
}

bool space_choose(const struct space_view *view, const struct space_need *need, uint32_t *ret,
                  uint32_t *ret_n)
{
    struct choice c = { .view = view, .need = need, .ret = ret };

    assert(view->n <= SPACE_THINGS_MAX);
    for (uint32_t i = 0; i < view->n; i++) {
        c.own[i] = counts_for(&view->thing[i], need);
        c.ranks[i] = c.own[i] || need->others ? space_rank_of(view, i) : SPACE_REACHABLE;
    }
    for (int rank = SPACE_FAILED; rank <= SPACE_GARBAGE; rank++) {
        take_rank(&c, (enum space_rank)rank, true);
        take_rank(&c, (enum space_rank)rank, false);
    }
    const uint32_t garbage = c.n;

    for (int rank = SPACE_GARBAGE + 1; rank <= (int)need->up_to && rank < SPACE_REACHABLE; rank++)
        take_rank(&c, (enum space_rank)rank, true);
    for (int rank = SPACE_GARBAGE + 1;
         need->others && rank <= (int)need->others_up_to && rank < SPACE_REACHABLE; rank++)
        take_rank(&c, (enum space_rank)rank, false);

    const bool enough = is_enough(&c);

    *ret_n = enough || need->partial ? c.n : garbage;
    return enough;
}

/* ---- the object store ---------------------------------------------------------------------------
 */

/* What is in the store, of all or of one tenant. */
struct share {
    uint64_t bytes;
    uint32_t count;
};

/* A choice in the store under way. */
struct leaving {
    const struct store_view *view;
    const char *tenant;
    uint64_t size;
    bool gone[STORE_THINGS_MAX];
};

static bool is_of(const struct store_thing *t, const char *tenant)
{
    return !tenant || strcmp(t->tenant, tenant) == 0;
}

/* NULL = of all. */
static struct share share_of(const struct leaving *l, const char *tenant)
{
    struct share sum = { 0 };

    for (uint32_t i = 0; i < l->view->n; i++)
        if (!l->gone[i] && is_of(&l->view->thing[i], tenant)) {
            sum.bytes += l->view->thing[i].bytes;
            sum.count++;
        }
    return sum;
}

/* What the store lacks for the package: 0 and 0, it fits. */
static struct share lack_of(const struct leaving *l)
{
    const struct share all = share_of(l, NULL);
    const uint64_t bytes = all.bytes + l->size;

    return (struct share){
        .bytes = bytes > l->view->bytes_max ? bytes - l->view->bytes_max : 0,
        .count = all.count + 1 > l->view->count_max ? all.count + 1 - l->view->count_max : 0,
    };
}

/* Whether a goes before b; both of one tenant.  What is kept goes first, the oldest of it; of what
 * waits that goes which came last. */
static bool leaves_before(const struct store_thing *a, const struct store_thing *b)
{
    if (a->kept != b->kept)
        return a->kept;
    return a->kept ? a->age < b->age : a->age > b->age;
}

/* The next of a tenant, of what is kept only if `kept`; view->n if there is none. */
static uint32_t next_leaving(const struct leaving *l, const char *tenant, bool kept)
{
    const struct store_view *view = l->view;
    uint32_t next = view->n;

    for (uint32_t i = 0; i < view->n; i++) {
        const struct store_thing *t = &view->thing[i];

        if (!l->gone[i] && !t->held && is_of(t, tenant) && (t->kept || !kept) &&
            (next == view->n || leaves_before(t, &view->thing[next])))
            next = i;
    }
    return next;
}

/* How much a tenant has above its share without this thing, in what is lacking; -1: it has not even
 * its share then, or no more than the one that asks would have. */
static int64_t excess_without(const struct leaving *l, const struct share *lack, uint32_t i)
{
    const struct store_view *view = l->view;
    const struct store_thing *t = &view->thing[i];
    const struct share his = share_of(l, t->tenant), mine = share_of(l, l->tenant);
    int64_t bytes = (int64_t)(his.bytes - t->bytes) - (int64_t)(view->bytes_max / view->tenants);
    int64_t count = (int64_t)his.count - 1 - (int64_t)(view->count_max / view->tenants);

    if (lack->bytes > 0)
        return his.bytes > mine.bytes + l->size && bytes >= 0 ? bytes : -1;
    return his.count > mine.count + 1 && count >= 0 ? count : -1;
}

/* Of the tenant that has most above its share; view->n: nobody has. */
static uint32_t next_of_others(const struct leaving *l, const struct share *lack)
{
    const struct store_view *view = l->view;
    uint32_t best = view->n;
    int64_t most = -1;

    for (uint32_t i = 0; i < view->n; i++) {
        const struct store_thing *t = &view->thing[i];

        if (is_of(t, l->tenant) || next_leaving(l, t->tenant, false) != i)
            continue;
        int64_t excess = excess_without(l, lack, i);
        if (excess > most) {
            most = excess;
            best = i;
        }
    }
    return best;
}

bool store_choose(const struct store_view *view, const char *tenant, uint64_t size, uint32_t *ret,
                  uint32_t *ret_n)
{
    struct leaving l = { .view = view, .tenant = tenant, .size = size };
    uint32_t n = 0;

    assert(view->n <= STORE_THINGS_MAX && view->tenants > 0);
    *ret_n = 0;
    for (;;) {
        const struct share lack = lack_of(&l);

        if (lack.bytes == 0 && lack.count == 0)
            break;
        uint32_t i = next_leaving(&l, "", false);
        if (i == view->n && tenant[0] != '\0')
            i = next_leaving(&l, tenant, true);
        if (i == view->n && tenant[0] != '\0')
            i = next_of_others(&l, &lack);
        if (i == view->n)
            return false;
        l.gone[i] = true;
        ret[n++] = i;
    }
    *ret_n = n;
    return true;
}
