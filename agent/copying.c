/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/copying.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/room.h"
#include "agent/snapshot.h"
#include "base/clock.h"
#include "base/log.h"

#define COPY_TIMEOUT_MS (10U * 60U * 1000U)

bool copying_wanted(const struct agent *a, const struct unit_record *unit, const struct manifest *m,
                    const struct digest *manifest)
{
    /* Without a state that can be saved there is no record of it, and nothing to go back to. */
    return m->snapshot && !a->damaged && !digest_same(manifest, &unit->good);
}

enum rc copying_room(struct agent *a, const struct unit_record *unit, const struct manifest *m,
                     struct err *err)
{
    const struct room_need need = { .bytes = snapshot_need(a->data_dir, unit->tenant, unit->name),
                                    .files = 1 };
    enum rc rc = room_for_version(a, a->data_dir, m, &need, err);

    return rc == RC_NO_SPACE
               ? err_set(err, RC_SNAPSHOT, "%s/%s: disk is full", unit->tenant, unit->name)
               : rc;
}

enum rc copying_ready(const struct agent *a, const struct unit_record *unit, struct err *err)
{
    if (a->save_failed) /* after a cut it would be taken once more, of what the trial has made */
        return err_set(err, RC_NO_SPACE, "%s/%s: snapshot is not recorded", unit->tenant,
                       unit->name);
    if (!snapshot_exists(a->data_dir, unit->tenant, unit->name))
        return err_set(err, RC_SNAPSHOT, "%s/%s: snapshot is gone", unit->tenant, unit->name);
    return RC_OK;
}

/* ---- a process for each copy --------------------------------------------------------------------
 */

/* The copy, after fork: errno for the parent, 0 = done.  What is open belongs to the parent, and
 * the others must see it end. */
static int copy(const struct copying *c, int data_dir, pid_t parent)
{
    struct err err = { 0 };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        return ESRCH;
    if (data_dir > 3)
        (void)close_range(3, (unsigned)data_dir - 1, 0);
    (void)close_range((unsigned)data_dir + 1, ~0U, 0);
    if (snapshot_take(data_dir, c->tenant, c->name, &err) == RC_OK)
        return 0;
    return err.sys > 0 && err.sys < 256 ? err.sys : EIO;
}

static void close_copy(struct copying *c)
{
    c->on_end = sd_event_source_disable_unref(c->on_end);
    close_fd(&c->pidfd);
    *c = (struct copying){ .pidfd = -1 };
}

static void ended(struct agent *a, struct copying *c, int sys)
{
    const uint64_t instance = c->instance;
    struct err err = { 0 };

    if (sys == 0) {
        log_event(LOG_LEVEL_INFO, "snapshot payload=%s/%s", c->tenant, c->name);
    } else {
        errno = sys;
        (void)err_sys(&err, RC_SNAPSHOT, "%s/%s", c->tenant, c->name);
        log_err(LOG_LEVEL_WARN, &err, "snapshot");
    }
    close_copy(c);
    reconcile_copied(&a->table, instance, sys == 0 ? RC_OK : RC_SNAPSHOT);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)events;
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct copying *c = &a->copying[i];
        int status = -1;

        if (c->instance == 0 || c->pidfd != fd)
            continue;
        while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
            continue;
        ended(a, c, WIFEXITED(status) ? WEXITSTATUS(status) : ETIMEDOUT);
        break;
    }
    agent_step(a);
    return 0;
}

static int start_copy(struct agent *a, struct copying *c)
{
    const pid_t parent = getpid();

    c->pid = fork();
    if (c->pid == 0)
        _exit(copy(c, a->data_dir, parent));
    if (c->pid < 0)
        return errno;
    c->pidfd = pidfd_open(c->pid, 0);
    if (c->pidfd >= 0 && sd_event_add_io(a->loop, &c->on_end, c->pidfd, EPOLLIN, on_end, a) >= 0)
        return 0;
    (void)kill(c->pid, SIGKILL);
    (void)waitpid(c->pid, NULL, 0);
    return ENOMEM;
}

void copying_begin(struct agent *a, const struct action *action)
{
    const struct unit_record *r = &a->table.unit[action->unit].kept;
    struct copying *c = NULL;

    for (uint32_t i = 0; !c && i < UNITS_MAX; i++)
        if (a->copying[i].instance == 0)
            c = &a->copying[i];
    if (!c) { /* as many as units, but some may have been given up and not ended yet */
        reconcile_copied(&a->table, action->instance, RC_SNAPSHOT);
        return;
    }
    *c = (struct copying){ .instance = action->instance,
                           .pidfd = -1,
                           .until_ms = clock_mono_ms() + COPY_TIMEOUT_MS };
    memcpy(c->tenant, r->tenant, sizeof c->tenant);
    memcpy(c->name, r->name, sizeof c->name);
    int sys = start_copy(a, c);
    if (sys != 0)
        ended(a, c, sys);
}

void copying_tick(struct agent *a, uint64_t now_ms)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        if (a->copying[i].instance != 0 && now_ms >= a->copying[i].until_ms) {
            a->copying[i].until_ms = UINT64_MAX;
            (void)kill(a->copying[i].pid, SIGKILL); /* on_end tells the table */
        }
}

void copying_end(struct agent *a)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        if (a->copying[i].instance != 0)
            (void)kill(a->copying[i].pid, SIGKILL);
}

/* ---- files --------------------------------------------------------------------------------------
 */

void copying_restore(struct agent *a, const struct action *action)
{
    const struct unit_record *r = &a->table.unit[action->unit].kept;
    struct err err = { 0 };
    /* Else a cut would find the trial as it was, and no snapshot. */
    enum rc rc = a->save_failed ? err_set(&err, RC_SNAPSHOT, "the end of the trial is not recorded")
                                : snapshot_restore(a->data_dir, r->tenant, r->name, &err);

    if (rc == RC_OK)
        log_event(LOG_LEVEL_INFO, "data restored payload=%s/%s", r->tenant, r->name);
    else
        log_err(LOG_LEVEL_ERROR, &err, "restore data payload=%s/%s", r->tenant, r->name);
    reconcile_restored(&a->table, action->unit, rc == RC_OK ? RC_OK : RC_SNAPSHOT, clock_mono_ms());
}

void copying_drop(struct agent *a, const struct unit_record *unit)
{
    struct err err = { 0 };

    if (!a->save_failed && !a->damaged &&
        snapshot_drop(a->data_dir, unit->tenant, unit->name, false, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove snapshot payload=%s/%s", unit->tenant, unit->name);
}

void copying_sweep(struct agent *a)
{
    struct err err = { 0 };

    for (uint32_t i = 0; !a->damaged && i < a->table.n_units; i++) {
        const struct unit_record *r = &a->table.unit[i].kept;
        bool half = !digest_is_none(&r->snapshot);

        if (snapshot_drop(a->data_dir, r->tenant, r->name, half, &err) != RC_OK)
            log_err(LOG_LEVEL_WARN, &err, "remove snapshot payload=%s/%s", r->tenant, r->name);
    }
}
