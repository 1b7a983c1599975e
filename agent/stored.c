/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/stored.h"

#include <stdlib.h>

#include "agent/install.h"
#include "agent/kept.h"
#include "agent/lists.h"
#include "base/log.h"

/* ---- what there is ------------------------------------------------------------------------------
 */

/* Everything in the store. */
struct contents {
    struct agent *a;
    bool doubt; /* there was no memory or descriptor to look into a slot */
    uint32_t n;
    struct store_thing thing[STORE_THINGS_MAX];
    struct digest object[STORE_THINGS_MAX];
};

static bool add_object(void *arg, const struct digest *object, uint64_t size)
{
    struct contents *s = arg;
    struct store_thing *t = &s->thing[s->n];
    struct err ignored;

    s->object[s->n++] = *object;
    *t = (struct store_thing){ .bytes = size, .held = install_runs(s->a, object) };
    if (objects_since(&s->a->objects, object, &t->age, &ignored) != RC_OK)
        t->age = 0;
    return s->n < STORE_THINGS_MAX;
}

static struct store_thing *find(struct contents *s, const struct digest *object)
{
    for (uint32_t i = 0; i < s->n; i++)
        if (digest_same(&s->object[i], object))
            return &s->thing[i];
    return NULL;
}

static bool add_slot(void *arg, const struct slot_id *id)
{
    struct contents *s = arg;
    struct digest object;
    struct err err = { 0 };
    struct store_thing *t =
        slot_object(&s->a->slots, id, &object, &err) == RC_OK ? find(s, &object) : NULL;

    s->doubt |= err_passes(&err);
    if (t) {
        memcpy(t->tenant, id->tenant, sizeof t->tenant);
        t->kept = true;
        t->held |= space_is_source(&s->a->table, id);
    }
    return true;
}

/* What is kept and waits as well is about to be unpacked for a repair. */
static void add_queued(struct contents *s, const struct item *item)
{
    struct store_thing *t = item->fd < 0 ? find(s, &item->digest) : NULL;

    if (!t)
        return;
    t->held |= item->started || t->kept;
    if (!t->kept)
        memcpy(t->tenant, item->tenant, sizeof t->tenant);
}

/* A part of the slots cannot be read just now: what has no slot that is known, and does not wait,
 * may be kept for one of those. */
static void hold_unknown(struct contents *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        s->thing[i].held |= !s->thing[i].kept && !queue_find(&s->a->queue, &s->object[i]);
}

/* The caller frees *ret. */
static enum rc gather(struct agent *a, struct contents **ret, struct err *err)
{
    scoped(free_ptr) struct contents *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(err, RC_NO_MEMORY, "objects");
    s->a = a;
    enum rc rc = list_objects(a, add_object, s, err);
    if (rc == RC_OK)
        rc = list_slots_strictly(a, "", add_slot, s, err);
    if (rc != RC_OK && rc != RC_STATE_DIR)
        return rc;
    if (rc == RC_STATE_DIR || s->doubt)
        hold_unknown(s);
    for (uint32_t i = 0; i < a->queue.n; i++)
        add_queued(s, &a->queue.item[i]);
    *ret = s;
    s = NULL;
    return RC_OK;
}

static struct store_view view_of(const struct contents *s)
{
    const uint32_t grants = s->a->state.trust.n_grants;

    return (struct store_view){ .thing = s->thing,
                                .n = s->n,
                                .bytes_max = s->a->objects.bytes_max,
                                .count_max = s->a->objects.count_max,
                                .tenants = grants > 0 ? grants : 1 };
}

/* ---- what goes ----------------------------------------------------------------------------------
 */

static bool remove_one(struct contents *s, uint32_t i)
{
    struct agent *a = s->a;
    struct item *item = s->thing[i].kept ? NULL : queue_find(&a->queue, &s->object[i]);
    struct err err = { 0 };

    /* Come again, and still with berth-link: that one stays, and has its own turn. */
    if (item && item->fd >= 0)
        item = NULL;

    if (objects_remove(&a->objects, &s->object[i], &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "remove object");
        return false;
    }
    if (item) {
        agent_event(a, RC_SPOOL_FULL, 1, item->tenant[0] != '\0' ? item->tenant : "package");
        queue_remove(&a->queue, item);
    }
    return true;
}

/* Take out what the view says; what cannot be removed makes no room. */
static enum rc make_room(struct contents *s, const struct store_view *view, const char *tenant,
                         uint64_t size, struct err *err)
{
    uint32_t chosen[STORE_THINGS_MAX];
    uint32_t n = 0;
    bool gone = store_choose(view, tenant, size, chosen, &n);

    for (uint32_t i = 0; i < n; i++)
        gone &= remove_one(s, chosen[i]);
    if (n > 0)
        log_event(LOG_LEVEL_INFO, "made room in the store n=%u", n);
    return gone ? RC_OK
                : err_set(err, RC_STORE_QUOTA, "%s: the object store is full",
                          tenant[0] != '\0' ? tenant : "package");
}

enum rc stored_make_room(struct agent *a, const char *tenant, uint64_t size, struct err *err)
{
    scoped(free_ptr) struct contents *s = NULL;
    enum rc rc = gather(a, &s, err);

    if (rc != RC_OK)
        return rc;
    const struct store_view view = view_of(s);

    return make_room(s, &view, tenant, size, err);
}

/* Leave nothing but what is kept, without this one. */
static void only_kept(struct contents *s, const struct digest *but)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        if (!s->thing[i].kept || digest_same(&s->object[i], but))
            continue;
        s->object[n] = s->object[i];
        s->thing[n++] = s->thing[i];
    }
    s->n = n;
}

enum rc stored_may_keep(struct agent *a, const struct slot_id *id, const struct digest *object,
                        struct err *err)
{
    scoped(free_ptr) struct contents *s = NULL;
    uint64_t size = 0;
    enum rc rc = objects_size(&a->objects, object, &size, err);

    if (rc == RC_OK)
        rc = gather(a, &s, err);
    if (rc != RC_OK)
        return rc;
    only_kept(s, object);
    struct store_view view = view_of(s);

    view.bytes_max /= 2;
    view.count_max /= 2;
    return make_room(s, &view, id->tenant, size, err);
}

bool stored_give_up(struct agent *a)
{
    scoped(free_ptr) struct contents *s = NULL;
    struct err err = { 0 };
    uint32_t best = STORE_THINGS_MAX;

    if (gather(a, &s, &err) != RC_OK)
        return false;
    /* What nothing rests on first, the oldest of it. */
    for (uint32_t i = 0; i < s->n; i++) {
        const struct store_thing *t = &s->thing[i];

        if (t->kept && (best == STORE_THINGS_MAX || (s->thing[best].held && !t->held) ||
                        (s->thing[best].held == t->held && t->age < s->thing[best].age)))
            best = i;
    }
    return best < STORE_THINGS_MAX && remove_one(s, best);
}
