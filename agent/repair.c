/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/repair.h"

#include <stdio.h>

#include "agent/check.h"
#include "agent/kept.h"
#include "agent/own.h"
#include "agent/receive.h"
#include "agent/staged.h"
#include "base/clock.h"
#include "base/log.h"

/* ---- the table ----------------------------------------------------------------------------------
 */

static bool same(const struct slot_id *a, const struct slot_id *b)
{
    return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->payload, b->payload) == 0 &&
           digest_same(&a->manifest, &b->manifest);
}

static struct damage *find(struct agent *a, const struct slot_id *id)
{
    struct repair *r = &a->repair;

    for (uint32_t i = 0; i < r->n; i++)
        if (same(&r->damage[i].id, id))
            return &r->damage[i];
    return NULL;
}

static const struct damage *look(const struct agent *a, const struct slot_id *id)
{
    for (uint32_t i = 0; i < a->repair.n; i++)
        if (same(&a->repair.damage[i].id, id))
            return &a->repair.damage[i];
    return NULL;
}

static void drop(struct agent *a, struct damage *d)
{
    struct repair *r = &a->repair;

    r->n--;
    memmove(d, d + 1, (size_t)(&r->damage[r->n] - d) * sizeof *d);
    agent_report_soon(a);
}

/* When there is no room the oldest goes: the next round finds it again. */
static struct damage *find_or_add(struct agent *a, const struct slot_id *id)
{
    struct repair *r = &a->repair;
    struct damage *d = find(a, id);

    if (d)
        return d;
    if (r->n == AGENT_DAMAGED_MAX)
        drop(a, &r->damage[0]);
    d = &r->damage[r->n++];
    *d = (struct damage){ .id = *id };
    return d;
}

static void tell(struct agent *a, enum rc code, const struct slot_id *id, const char *what)
{
    char text[2 * NAME_CAP + 24];

    (void)snprintf(text, sizeof text, "%s/%s%s", id->tenant, id->payload, what);
    agent_event(a, code, 1, text);
}

/* ---- asking the ground --------------------------------------------------------------------------
 */

/* Hand the damaged copy to berth-link.  A full socket: again at the next tick. */
static void send_seed(struct agent *a, struct damage *d)
{
    static struct port_message m; /* large, and there is one thread */
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct err err = { 0 };

    if (objects_open_unread(&a->objects, &d->object, &fd, &size, &err) != RC_OK || size == 0) {
        d->seeded = true; /* there is nothing to hand over */
        return;
    }
    memset(&m, 0, sizeof m);
    m.type = PORT_SEED;
    m.object = (struct port_object){ .kind = OBJECT_PACKAGE, .size = size };
    memcpy(m.object.digest, d->object.b, DIGEST_SIZE);
    d->seeded = port_send(a->link_sock, &m, fd, &err) != RC_TIMEOUT;
}

uint64_t repair_wait_ms(uint32_t asks)
{
    uint64_t wait = REPAIR_ASK_MIN_MS;

    if (asks <= REPAIR_ASKS_MAX)
        return 0;
    for (uint32_t i = REPAIR_ASKS_MAX + 1; i < asks && wait < REPAIR_ASK_MAX_MS; i++)
        wait *= 2;
    return wait < REPAIR_ASK_MAX_MS ? wait : REPAIR_ASK_MAX_MS;
}

/* Once more, if what came before was of no use: not before some time has passed, if that has
 * happened too often. */
static void ask(struct agent *a, struct damage *d)
{
    const uint64_t wait = repair_wait_ms(d->asks + 1);

    d->asks += d->asks < UINT32_MAX;
    d->tries = 0;
    d->step = REPAIR_ASKED;
    d->not_before_ms = clock_mono_ms() + wait;
    d->seeded = digest_is_none(&d->object);
    if (!d->seeded)
        send_seed(a, d);
    a->scrub.count.asked++;
    if (wait > 0)
        tell(a, RC_REPAIR_REFUSED, &d->id, "");
    log_event(LOG_LEVEL_INFO, "ask for the package of %s/%s again in_s=%llu", d->id.tenant,
              d->id.payload, (unsigned long long)wait / 1000U);
    agent_report_soon(a);
}

/* Whether the failure says nothing about the package. */
static bool may_pass(enum rc rc)
{
    return rc_class(rc) == RC_CLASS_RETRY || rc == RC_IO || rc == RC_NO_MEMORY;
}

/* It did not work: again from what is on board, or from the ground. */
static void failed(struct agent *a, struct damage *d, enum rc rc)
{
    if (!may_pass(rc) || digest_is_none(&d->object) || d->package || d->tries == REPAIR_TRIES_MAX) {
        ask(a, d);
        return;
    }
    d->step = REPAIR_READ;
    d->not_before_ms = clock_mono_ms() + ((uint64_t)REPAIR_TRY_MS << d->tries);
    d->tries++;
}

/* ---- what is found ------------------------------------------------------------------------------
 */

void repair_slot(struct agent *a, const struct slot_id *id, const struct err *why)
{
    struct damage *d = find(a, id);
    struct err err = { 0 };
    char name[2 * NAME_CAP];

    own_excuse(a, id);
    if (d && d->slot)
        return; /* known, and not repaired yet */
    (void)snprintf(name, sizeof name, "%s/%s", id->tenant, id->payload);
    agent_event_err(a, why, name);
    a->scrub.count.damaged++;
    d = find_or_add(a, id);
    d->slot = true;
    if (d->step == REPAIR_ASKED)
        return;
    if (kept_of(a, id, &d->object, &err) == RC_OK)
        d->step = REPAIR_READ;
    else
        ask(a, d);
}

void repair_package(struct agent *a, const struct slot_id *id, const struct digest *object)
{
    struct damage *d = find_or_add(a, id);

    if (d->package)
        return;
    tell(a, RC_OBJECT_DIGEST, id, ": kept package");
    a->scrub.count.damaged++;
    d->package = true;
    d->object = *object;
    ask(a, d);
}

bool repair_wanted(const struct agent *a, const struct slot_id *id)
{
    const struct damage *d = look(a, id);

    return d && d->slot;
}

bool repair_pending(const struct agent *a, const struct slot_id *id)
{
    const struct damage *d = look(a, id);

    return d && d->slot && d->step != REPAIR_ASKED;
}

/* ---- from the kept package ----------------------------------------------------------------------
 */

bool repair_next(const struct agent *a, uint64_t now_ms, struct slot_id *ret,
                 struct digest *ret_object)
{
    for (uint32_t i = 0; i < a->repair.n; i++) {
        const struct damage *d = &a->repair.damage[i];

        if (d->step != REPAIR_READ || now_ms < d->not_before_ms)
            continue;
        *ret = d->id;
        *ret_object = d->object;
        return true;
    }
    return false;
}

void repair_read(struct agent *a, const struct slot_id *id, enum rc rc)
{
    struct damage *d = find(a, id);

    if (!d || d->step != REPAIR_READ)
        return;
    if (rc == RC_OK) {
        d->step = REPAIR_QUEUED;
        receive_stored(a, &d->object);
    } else if (rc == RC_OBJECT_DIGEST) {
        repair_package(a, id, &d->object);
    } else {
        failed(a, d, rc); /* it is gone, or nobody can say just now */
    }
}

void repair_begun(struct agent *a, const struct slot_id *id, const struct digest *object)
{
    struct damage *d = find(a, id);

    if (!d)
        return;
    d->step = REPAIR_QUEUED;
    d->object = *object;
    agent_report_soon(a);
}

void repair_refused(struct agent *a, const struct digest *manifest)
{
    for (uint32_t i = 0; i < a->repair.n; i++) {
        struct damage *d = &a->repair.damage[i];

        if (d->step == REPAIR_ASKED && digest_same(&d->id.manifest, manifest))
            ask(a, d);
    }
}

void repair_ended(struct agent *a, const struct slot_id *id, const struct err *why)
{
    struct damage *d = find(a, id);
    struct digest object;
    struct err ignored;

    if (!d)
        return;
    if (why->rc != RC_OK) {
        char name[2 * NAME_CAP];

        (void)snprintf(name, sizeof name, "%s/%s", id->tenant, id->payload);
        agent_event_err(a, why, name);
        failed(a, d, why->rc);
        return;
    }
    a->scrub.count.repaired++;
    tell(a, RC_REPAIRED, id, "");
    own_excuse(a, id);
    check_forget(a, id);
    d->slot = false;
    d->tries = 0;
    if (!d->package)
        drop(a, d);
    else if (d->step != REPAIR_ASKED && kept_of(a, id, &object, &ignored) == RC_OK)
        ask(a, d); /* unpacked from another */
}

void repair_kept(struct agent *a, const struct slot_id *id)
{
    struct damage *d = find(a, id);

    if (!d || !d->package)
        return;
    d->package = false;
    a->scrub.count.repaired++;
    tell(a, RC_REPAIRED, id, ": kept package");
    if (!d->slot)
        drop(a, d);
}

void repair_forget(struct agent *a, const struct slot_id *id)
{
    struct damage *d = find(a, id);

    if (d)
        drop(a, d);
}

/* ---- moving on ----------------------------------------------------------------------------------
 */

static bool runs(struct agent *a, const struct slot_id *id)
{
    const struct unit *u = reconcile_find(&a->table, id->tenant, id->payload);

    return u && u->run.phase != RUN_NONE && digest_same(&u->run.manifest, &id->manifest);
}

bool repair_runs_from(struct agent *a, const struct slot_id *id)
{
    struct repair *r = &a->repair;

    if (!runs(a, id))
        return false;
    if (r->n_old < AGENT_DAMAGED_MAX)
        r->old[r->n_old++] = *id;
    return true;
}

static void drop_old(struct agent *a)
{
    struct repair *r = &a->repair;
    struct err err = { 0 };

    for (uint32_t i = r->n_old; i-- > 0;) {
        if (runs(a, &r->old[i]))
            continue;
        if (slot_drop_old(&a->slots, &r->old[i], &err) != RC_OK)
            log_err(LOG_LEVEL_WARN, &err, "remove the old tree of %s/%s", r->old[i].tenant,
                    r->old[i].payload);
        r->old[i] = r->old[--r->n_old];
    }
}

/* Nobody will start it again, or may: it goes with the next collection. */
static bool is_past(struct agent *a, const struct slot_id *id)
{
    return !reconcile_needs(&a->table, id->tenant, id->payload, &id->manifest) &&
           !staged_names(a, id->tenant, id->payload, &id->manifest);
}

/* The package left the queue, and the slot is still damaged: it did not help. */
static void move_on(struct agent *a, struct damage *d)
{
    struct err err = { 0 };
    struct digest object;

    if (d->step == REPAIR_QUEUED && !receive_has(a, &d->object))
        ask(a, d);
    if (d->step == REPAIR_ASKED && !d->seeded) {
        send_seed(a, d);
        agent_report_soon(a);
    }
    /* It has made room for something else: nobody misses it. */
    if (d->package && !d->slot && kept_of(a, &d->id, &object, &err) != RC_OK)
        drop(a, d);
}

void repair_tick(struct agent *a)
{
    drop_old(a);
    for (uint32_t i = a->repair.n; i-- > 0;) {
        struct damage *d = &a->repair.damage[i];

        if (!slot_exists(&a->slots, &d->id) || is_past(a, &d->id))
            drop(a, d);
        else
            move_on(a, d);
    }
}

/* Not before berth-link has the damaged copy: the answer may come at once. */
void repair_report(const struct agent *a, uint64_t now_ms, struct report_scrub *ret)
{
    for (uint32_t i = 0; i < a->repair.n && ret->n_wanted < REPORT_WANTED_MAX; i++)
        if (a->repair.damage[i].step == REPAIR_ASKED && a->repair.damage[i].seeded &&
            now_ms >= a->repair.damage[i].not_before_ms)
            ret->wanted[ret->n_wanted++] = a->repair.damage[i].id.manifest;
}
