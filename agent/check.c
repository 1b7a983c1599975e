/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/check.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "agent/repair.h"
#include "base/clock.h"
#include "base/log.h"
#include "update/check.h"

#define CHECK_TIMEOUT_MS (10U * 60U * 1000U)

static bool same(const struct slot_id *a, const struct slot_id *b)
{
    return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->payload, b->payload) == 0 &&
           digest_same(&a->manifest, &b->manifest);
}

/* When there is no room the oldest goes, and is read again some day. */
static void remember(struct check *c, const struct slot_id *id)
{
    c->whole[c->next] = *id;
    c->next = (c->next + 1) % AGENT_CHECKED_MAX;
}

void check_forget(struct agent *a, const struct slot_id *id)
{
    for (uint32_t i = 0; i < AGENT_CHECKED_MAX; i++)
        if (same(&a->check.whole[i], id))
            a->check.whole[i] = (struct slot_id){ 0 };
}

static void take_verdict(struct agent *a, const struct slot_id *id, enum rc rc,
                         const struct err *why)
{
    char name[2 * NAME_CAP];

    (void)snprintf(name, sizeof name, "%s/%s", id->tenant, id->payload);
    a->scrub.count.files += rc == RC_OK || rc == RC_SLOT_DAMAGED;
    /* Could not be looked at: no reason not to start what was whole when it was installed. */
    if (rc != RC_SLOT_DAMAGED)
        remember(&a->check, id);
    if (rc == RC_OK || !slot_exists(&a->slots, id))
        return;
    if (rc != RC_SLOT_DAMAGED) {
        agent_event_err(a, why, name);
        return;
    }
    repair_slot(a, id, why);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct check *c = &a->check;
    struct err err = { 0 };

    (void)source;
    (void)fd;
    (void)events;
    if (!unpack_ended(&c->job))
        return 0;
    c->on_end = sd_event_source_disable_unref(c->on_end);
    enum rc rc = unpack_result(&c->job, &err);

    c->busy = false;
    /* Else it has been repaired while it was read: it is read again before it starts. */
    if (slot_has_root(&a->slots, &c->id, c->fd))
        take_verdict(a, &c->id, rc, &err);
    close_fd(&c->fd);
    agent_step(a);
    return 0;
}

/* Begin to read a slot. */
static enum rc begin(struct agent *a, const struct slot_id *id, const struct manifest *m, int root,
                     struct err *err)
{
    int fds[2] = { -1, root };
    struct check *c = &a->check;
    enum rc rc = slot_open_index(&a->slots, id, &fds[0], err);

    if (rc == RC_OK)
        rc = check_start(m, a->unpack_program, fds, false, &c->job, err);
    close_fd(&fds[0]);
    if (rc != RC_OK)
        return rc;
    c->fd = fcntl(root, F_DUPFD_CLOEXEC, 3);
    if (c->fd < 0 || sd_event_add_io(a->loop, &c->on_end, c->job.pidfd, EPOLLIN, on_end, a) < 0) {
        close_fd(&c->fd);
        unpack_cancel(&c->job);
        return err_set(err, RC_UNPACK_FAILED, "event loop");
    }
    c->id = *id;
    c->until_ms = clock_mono_ms() + CHECK_TIMEOUT_MS;
    c->busy = true;
    return RC_BUSY;
}

enum rc check_slot(struct agent *a, const struct slot_id *id, const struct manifest *m, int root)
{
    struct err err = { 0 };

    if (digest_is_none(&m->index))
        return RC_OK;
    if (repair_pending(a, id))
        return RC_BUSY;
    /* It stays until what takes its place is there: the ground sends that, or a later try of what
     * is kept works, and there is something to exchange it with. */
    if (repair_wanted(a, id))
        return RC_SLOT_DAMAGED;
    for (uint32_t i = 0; i < AGENT_CHECKED_MAX; i++)
        if (same(&a->check.whole[i], id))
            return RC_OK;
    if (a->check.busy)
        return RC_BUSY;

    enum rc rc = begin(a, id, m, root, &err);
    if (rc == RC_BUSY)
        return rc;
    take_verdict(a, id, rc, &err);
    if (!repair_wanted(a, id))
        return slot_exists(&a->slots, id) ? RC_OK : RC_SLOT_DAMAGED;
    return repair_pending(a, id) ? RC_BUSY : RC_SLOT_DAMAGED;
}

void check_tick(struct agent *a, uint64_t now_ms)
{
    if (!a->check.busy || now_ms < a->check.until_ms)
        return;
    a->check.until_ms = UINT64_MAX;
    unpack_kill(&a->check.job); /* on_end finds no verdict: UNPACK_FAILED */
}
