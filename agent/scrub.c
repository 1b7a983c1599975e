/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/scrub.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "agent/audit.h"
#include "agent/kept.h"
#include "agent/lists.h"
#include "agent/repair.h"
#include "agent/ring.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "manifest/envelope.h"
#include "update/check.h"
#include "update/package.h"

#define JOB_TIMEOUT_MS (4U * 3600U * 1000U) /* a large slot, behind everybody else */
#define LINK_TIMEOUT_MS 60000U
#define FILES_PER_TURN 32U

/* ---- what there is ------------------------------------------------------------------------------
 */

/* Where an item is on the ring.  Objects and slots are named by a digest anyway. */
static struct digest place_of(const struct scrub_item *item)
{
    struct digest place = { 0 };
    struct err ignored;

    if (item->kind == SCRUB_OBJECT)
        return item->object;
    if (item->kind == SCRUB_SLOT)
        return item->slot.manifest;
    (void)!sha256_of(bytes_of(item->kind == SCRUB_CONFIG ? CONFIG_FILE
                              : item->kind == SCRUB_LINK ? "link"
                                                         : item->name),
                     place.b, &ignored);
    return place;
}

/* Sorted as the round goes.  A satellite has far fewer; what finds no place is told, and the next
 * round begins with it. */
static void add_item(struct agent *a, const struct scrub_item *item)
{
    struct scrub *s = &a->scrub;
    struct scrub_item added = *item;
    uint32_t at = s->rounds.n;

    added.place = place_of(item);
    while (at > 0 && ring_before(&s->behind, &added.place, &s->item[at - 1].place))
        at--;
    if (at == SCRUB_ITEMS_MAX)
        return;
    const uint32_t kept = s->rounds.n < SCRUB_ITEMS_MAX ? s->rounds.n : SCRUB_ITEMS_MAX - 1;

    memmove(&s->item[at + 1], &s->item[at], (kept - at) * sizeof s->item[0]);
    s->item[at] = added;
    s->rounds.n = kept + 1;
}

static bool add_object(void *arg, const struct digest *digest, uint64_t size)
{
    const struct scrub_item item = { .kind = SCRUB_OBJECT, .bytes = size, .object = *digest };

    add_item(arg, &item);
    return true;
}

static bool add_slot(void *arg, const struct slot_id *id)
{
    struct agent *a = arg;
    struct scrub_item item = { .kind = SCRUB_SLOT, .slot = *id };
    struct err ignored;

    if (slot_size(&a->slots, id, &item.bytes, NULL, &ignored) != RC_OK)
        item.bytes = 0;
    add_item(a, &item);
    return true;
}

static void begin_round(struct agent *a, uint64_t now_ms)
{
    const struct scrub_item link = { .kind = SCRUB_LINK };
    struct scrub *s = &a->scrub;
    struct err err = { 0 };
    uint64_t bytes = 0;

    if (!s->placed)
        s->behind = ring_start(a->state.epoch);
    s->placed = true;
    s->rounds.n = 0;
    scrub_files_list(a, add_item);
    add_item(a, &link);
    if (list_objects(a, add_object, a, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "scrub of objects");
    if (list_slots(a, add_slot, a, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "scrub of slots");
    if (s->rounds.n == SCRUB_ITEMS_MAX)
        log_event(LOG_LEVEL_WARN, "scrub: too much to read in one round");
    for (uint32_t i = 0; i < s->rounds.n; i++)
        bytes += s->item[i].bytes;
    rounds_begin(&s->rounds, now_ms, s->rounds.n, bytes);
    audit_all(a);
}

static void item_read(struct agent *a)
{
    struct scrub *s = &a->scrub;
    const struct report_scrub *c = &s->count;

    s->behind = s->item[s->rounds.next].place;
    if (!rounds_read(&s->rounds, clock_mono_ms(), s->item[s->rounds.next].bytes))
        return;
    log_event(LOG_LEVEL_INFO, "scrub round=%u files=%u kib=%llu damaged=%u repaired=%u asked=%u",
              s->rounds.ended, c->files, (unsigned long long)(s->bytes / 1024U), c->damaged,
              c->repaired, c->asked);
    agent_report_soon(a);
}

/* ---- one object or slot -------------------------------------------------------------------------
 */

static bool find_slot_of(struct agent *a, const struct digest *object, struct slot_id *ret)
{
    for (uint32_t i = 0; i < a->scrub.rounds.n; i++) {
        const struct scrub_item *item = &a->scrub.item[i];
        struct digest kept;
        struct err ignored;

        if (item->kind != SCRUB_SLOT || kept_of(a, &item->slot, &kept, &ignored) != RC_OK ||
            !digest_same(&kept, object))
            continue;
        *ret = item->slot;
        return true;
    }
    return false;
}

/* Kept for a slot: asked for again.  Else it waits to be installed: the ground sends what is not.
 */
static void object_damaged(struct agent *a, const struct digest *object)
{
    struct slot_id id;
    struct err err = { 0 };

    if (find_slot_of(a, object, &id)) {
        repair_package(a, &id, object);
        return;
    }
    a->scrub.count.damaged++;
    agent_event(a, RC_OBJECT_DIGEST, 1, "package that waits");
    if (objects_remove(&a->objects, object, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove object");
}

static void count_read(struct agent *a, const struct scrub_item *item)
{
    a->scrub.count.files++;
    a->scrub.bytes += item->bytes;
}

static void take_verdict(struct agent *a, const struct scrub_item *at, bool extra,
                         const struct err *err)
{
    const enum rc rc = err->rc;

    if (extra) {
        repair_read(a, &at->slot, rc);
        return;
    }
    if (rc == RC_OK || rc == RC_SLOT_DAMAGED || rc == RC_OBJECT_DIGEST)
        count_read(a, at);
    else
        log_err(LOG_LEVEL_WARN, err, "scrub");
    if (rc == RC_OBJECT_DIGEST && at->kind == SCRUB_OBJECT && objects_has(&a->objects, &at->object))
        object_damaged(a, &at->object);
    if (rc == RC_SLOT_DAMAGED && at->kind == SCRUB_SLOT && slot_exists(&a->slots, &at->slot))
        repair_slot(a, &at->slot, err);
}

/* Whether what was read is still there: it may have been repaired, or come anew, meanwhile, and the
 * verdict is not about that. */
static bool is_same(const struct agent *a, const struct scrub *s)
{
    if (s->extra || s->at.kind == SCRUB_OBJECT)
        return objects_is(&a->objects, &s->object, s->fd);
    return slot_has_root(&a->slots, &s->at.slot, s->fd);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct scrub *s = &a->scrub;
    struct err err = { 0 };

    (void)source;
    (void)fd;
    (void)events;
    if (!unpack_ended(&s->job))
        return 0;
    s->on_end = sd_event_source_disable_unref(s->on_end);
    err.rc = unpack_result(&s->job, &err);
    s->busy = false;
    if (is_same(a, s))
        take_verdict(a, &s->at, s->extra, &err);
    else
        log_event(LOG_LEVEL_INFO, "scrub: another has taken its place");
    close_fd(&s->fd);
    if (!s->extra && s->rounds.active) /* not begun anew meanwhile */
        item_read(a);
    scrub_tick(a, clock_mono_ms());
    agent_step(a);
    return 0;
}

/* A job has been started to read fd, for an item: listen to it. */
static enum rc await_job(struct agent *a, const struct scrub_item *at, bool extra, int fd,
                         struct err *err)
{
    struct scrub *s = &a->scrub;

    s->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (s->fd < 0 || sd_event_add_io(a->loop, &s->on_end, s->job.pidfd, EPOLLIN, on_end, a) < 0) {
        close_fd(&s->fd);
        unpack_cancel(&s->job);
        return err_set(err, RC_UNPACK_FAILED, "event loop");
    }
    s->at = *at;
    s->extra = extra;
    s->until_ms = clock_mono_ms() + JOB_TIMEOUT_MS;
    s->busy = true;
    return RC_OK;
}

static enum rc start_object(struct agent *a, const struct digest *object,
                            const struct scrub_item *at, bool extra, struct err *err)
{
    struct check_object what = { .fd = -1, .digest = *object };
    enum rc rc = objects_open_unread(&a->objects, object, &what.fd, &what.size, err);

    if (rc == RC_NOT_REGULAR || rc == RC_TOO_LARGE)
        return err_set(err, RC_OBJECT_DIGEST, "object");
    if (rc == RC_OK) /* somebody waits for a repair */
        rc = check_start_object(&what, a->unpack_program, !extra, &a->scrub.job, err);
    if (rc == RC_OK) {
        a->scrub.object = *object;
        rc = await_job(a, at, extra, what.fd, err);
    }
    close_fd(&what.fd);
    return rc;
}

/* Whether the envelope of a slot is still the one that was signed.  The slot's name vouches for
 * what is in it, not for its signatures: if they hold no more, but those of the kept package do, it
 * is the envelope that has changed and not what the trust makes of it. */
static enum rc check_envelope(struct agent *a, const struct slot_id *id, struct bytes envelope,
                              struct err *err)
{
    struct verified_manifest *m = NULL;
    scoped(close_fd) int fd = -1;
    scoped(package_done) struct package kept = { 0 };
    struct digest object;
    struct err why = { 0 };
    uint64_t size = 0;

    if (!a->trust)
        return RC_OK;
    enum rc rc = trust_verify_manifest(a->trust, envelope, agent_now_unix(), &m, &why);
    verified_manifest_free(&m);
    if (rc == RC_OK)
        return RC_OK;
    rc = kept_of(a, id, &object, &why);
    if (rc == RC_OK)
        rc = objects_open_unread(&a->objects, &object, &fd, &size, &why);
    if (rc == RC_OK)
        rc = package_open(fd, &kept, &why);
    if (rc == RC_OK)
        rc = trust_verify_manifest(a->trust,
                                   (struct bytes){ .p = kept.envelope, .n = kept.envelope_bytes },
                                   agent_now_unix(), &m, &why);
    verified_manifest_free(&m);
    return rc == RC_OK ? err_set(err, RC_SLOT_DAMAGED, "signatures") : RC_OK;
}

/* What the manifest in an envelope says.  The slot's name vouches for it. */
static enum rc manifest_of(struct bytes envelope, struct manifest *ret, struct err *err)
{
    struct envelope parts;
    enum rc rc = envelope_open(envelope, &parts, err);

    return rc == RC_OK ? manifest_decode(parts.payload, ret, err) : rc;
}

static enum rc start_slot(struct agent *a, const struct scrub_item *at, struct err *err)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    static struct manifest m; /* large, and there is one thread */
    int fds[2] = { -1, -1 };
    enum rc rc = slot_open(&a->slots, &at->slot, &slot, err);
    struct bytes envelope = { .p = slot.envelope, .n = slot.envelope_bytes };

    if (rc == RC_OK)
        rc = manifest_of(envelope, &m, err);
    if (rc == RC_OK)
        rc = check_envelope(a, &at->slot, envelope, err);
    if (rc == RC_OK && digest_is_none(&m.index))
        return err_set(err, RC_NOT_FOUND, "index"); /* nothing to hold its files against */
    if (rc == RC_OK)
        rc = slot_open_index(&a->slots, &at->slot, &fds[0], err);
    fds[1] = slot.root;
    if (rc == RC_OK)
        rc = check_start(&m, a->unpack_program, fds, true, &a->scrub.job, err);
    close_fd(&fds[0]);
    return rc == RC_OK ? await_job(a, at, false, slot.root, err) : rc;
}

/* ---- the walk -----------------------------------------------------------------------------------
 */

static enum rc ask_link(struct agent *a, const struct scrub_item *at, struct err *err)
{
    static struct port_message m; /* large, and there is one thread */
    enum rc rc;

    memset(&m, 0, sizeof m);
    m.type = PORT_SCRUB;
    rc = port_send(a->link_sock, &m, -1, err);
    if (rc != RC_OK)
        return rc;
    pulse_be_patient(&a->pulse);
    a->scrub.at = *at;
    a->scrub.extra = false;
    a->scrub.until_ms = clock_mono_ms() + LINK_TIMEOUT_MS;
    a->scrub.busy = true;
    return RC_OK;
}

/* Read an item, or begin to. */
static void visit(struct agent *a, const struct scrub_item *item)
{
    struct err err = { 0 };
    enum rc rc = RC_OK;

    switch (item->kind) {
    case SCRUB_CONFIG:
    case SCRUB_STATE:
    case SCRUB_TRUST:
        scrub_file(a, item);
        break;
    case SCRUB_LINK:
        rc = ask_link(a, item, &err);
        break;
    case SCRUB_OBJECT:
        rc = start_object(a, &item->object, item, false, &err);
        break;
    case SCRUB_SLOT:
        rc = start_slot(a, item, &err);
        break;
    }
    if (a->scrub.busy)
        return;
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        take_verdict(a, item, false, &err);
    item_read(a);
}

/* A package that a damaged slot is to be unpacked from. */
static bool read_for_repair(struct agent *a)
{
    struct scrub_item at = { .kind = SCRUB_SLOT };
    struct digest object;
    struct err err = { 0 };

    if (!repair_next(a, clock_mono_ms(), &at.slot, &object))
        return false;
    enum rc rc = start_object(a, &object, &at, true, &err);
    if (rc != RC_OK)
        repair_read(a, &at.slot, rc);
    return true;
}

/* What reads a whole slot behind everybody else makes way for a repair, and begins again later. */
static void make_way(struct agent *a)
{
    struct scrub *s = &a->scrub;
    struct digest object;
    struct slot_id id;

    if (!s->busy || s->extra || s->at.kind == SCRUB_LINK ||
        !repair_next(a, clock_mono_ms(), &id, &object))
        return;
    s->on_end = sd_event_source_disable_unref(s->on_end);
    unpack_cancel(&s->job);
    close_fd(&s->fd);
    s->busy = false;
}

static void give_up(struct agent *a)
{
    struct scrub *s = &a->scrub;

    s->until_ms = UINT64_MAX;
    if (s->at.kind == SCRUB_LINK) { /* it says so when it has the time */
        s->busy = false;
        if (s->rounds.active)
            item_read(a);
        return;
    }
    unpack_kill(&s->job); /* on_end finds no verdict */
}

static bool installing(const struct agent *a)
{
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (a->install[i].busy)
            return true;
    return false;
}

void scrub_tick(struct agent *a, uint64_t now_ms)
{
    struct scrub *s = &a->scrub;

    if (s->busy && now_ms >= s->until_ms)
        give_up(a);
    make_way(a);
    /* Who waits for a repair does not wait until nobody installs anything. */
    if (s->busy || a->stopping || read_for_repair(a) || installing(a) || a->check.busy)
        return;
    if (rounds_may_begin(&s->rounds, now_ms))
        begin_round(a, now_ms);
    for (uint32_t i = 0; i < FILES_PER_TURN && !s->busy && rounds_due(&s->rounds, now_ms); i++) {
        const struct scrub_item item = s->item[s->rounds.next];

        visit(a, &item);
    }
}

void scrub_link(struct agent *a, const struct port_scrubbed *found)
{
    struct scrub *s = &a->scrub;

    s->count.files += found->files;
    s->count.damaged += found->damaged;
    s->count.repaired += found->repaired;
    s->bytes += found->bytes;
    if (found->damaged > 0)
        agent_event(a, RC_STATE_DAMAGED, found->damaged,
                    found->repaired == found->damaged ? "files of the link, repaired"
                                                      : "files of the link");
    if (!s->busy || s->at.kind != SCRUB_LINK)
        return; /* later than we waited */
    s->busy = false;
    if (s->rounds.active)
        item_read(a);
    scrub_tick(a, clock_mono_ms());
}

void scrub_report(const struct agent *a, uint64_t now_ms, struct report_scrub *ret)
{
    const struct scrub *s = &a->scrub;

    *ret = s->count;
    ret->rounds = s->rounds.ended;
    ret->age_s = rounds_age_s(&s->rounds, now_ms);
    ret->kib = s->bytes / 1024U < UINT32_MAX ? (uint32_t)(s->bytes / 1024U) : UINT32_MAX;
    /* What berth-link says is added to it, and a report that contradicts itself would not be sent.
     */
    if (ret->files < ret->damaged)
        ret->files = ret->damaged;
    if (ret->repaired > ret->damaged)
        ret->repaired = ret->damaged;
    repair_report(a, now_ms, ret);
}

static int on_ask(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)info;
    log_event(LOG_LEVEL_INFO, "scrub: a round is asked for");
    rounds_ask(&a->scrub.rounds);
    scrub_tick(a, clock_mono_ms());
    return 0;
}

enum rc scrub_open(struct agent *a, struct err *err)
{
    assert(a->scrub.rounds.round_s > 0);
    if (sd_event_add_signal(a->loop, NULL, SIGUSR1, on_ask, a) < 0)
        return err_set(err, RC_IO, "event loop");
    return RC_OK;
}

void scrub_close(struct agent *a)
{
    if (a->scrub.busy && a->scrub.at.kind != SCRUB_LINK)
        unpack_cancel(&a->scrub.job);
}
