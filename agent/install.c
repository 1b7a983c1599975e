/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/install.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/check.h"
#include "agent/data.h"
#include "agent/kept.h"
#include "agent/origin.h"
#include "agent/own.h"
#include "agent/receive.h"
#include "agent/repair.h"
#include "agent/room.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "manifest/envelope.h"
#include "update/check.h"
#include "update/package.h"

#define INSTALL_TIMEOUT_MS (10ULL * 60U * 1000U)

struct slot_search {
    const struct unit_record *unit;
    bool found;
};

static bool match_slot(void *arg, const struct slot_id *id)
{
    struct slot_search *s = arg;

    s->found = strcmp(id->tenant, s->unit->tenant) == 0 && strcmp(id->payload, s->unit->name) == 0;
    return !s->found;
}

bool install_owns(const struct agent *a, const struct unit_record *unit)
{
    struct slot_search search = { .unit = unit };
    struct err err = { 0 };
    uint32_t index = 0;

    if (unit->floor > 0 || data_index(a->data_dir, unit->tenant, unit->name, &index))
        return true;
    return slot_list(&a->slots, match_slot, &search, &err) != RC_OK || search.found;
}

/* ---- one job
 * ------------------------------------------------------------------------------------- */

static void tell_table(struct agent *a, const struct slot_id *id, enum slot_event event,
                       enum rc code)
{
    reconcile_package(&a->table, id->tenant, id->payload, &id->manifest, event, code);
}

static void name_of(const struct slot_id *id, char out[2 * NAME_CAP])
{
    (void)snprintf(out, (size_t)2 * NAME_CAP, "%s/%s", id->tenant, id->payload);
}

static void drop_object(struct agent *a, const struct digest *object)
{
    struct err err = { 0 };

    if (objects_remove(&a->objects, object, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove object");
}

/* Refused: keep a piece of it to look at, and let it go. */
static void refuse_object(struct agent *a, const struct digest *object, enum rc rc)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct err err = { 0 };

    if (objects_open_unread(&a->objects, object, &fd, &size, &err) == RC_OK)
        agent_set_aside(a, fd, object, rc);
    drop_object(a, object);
}

/* Whether a failure says something about the delta that was tried, and nothing about the version:
 * the full package may still do. */
static bool is_deltas(enum rc rc)
{
    return rc != RC_ARCH; /* that is the manifest's */
}

/* A full disk is told once, and tried often. */
static void tell_refusal(struct agent *a, const struct digest *object, const struct slot_id *id,
                         const struct err *err)
{
    const struct item *item = queue_find(&a->queue, object);
    char name[2 * NAME_CAP];

    name_of(id, name);
    if (err->rc != RC_NO_SPACE || !item || item->full == 0)
        agent_event_err(a, err, name);
}

/* The delta did not work here.  The version waits for its full package, and as long as it does its
 * line in the report says why the delta was no good.  A full disk is not the delta's fault, and a
 * full package would only need more of it. */
static enum rc refuse_delta(struct agent *a, const struct digest *object, const struct slot_id *id,
                            const struct err *err)
{
    tell_refusal(a, object, id, err);
    tell_table(a, id, SLOT_EV_LOSE, err->rc == RC_NO_SPACE ? RC_OK : err->rc);
    if (rc_class(err->rc) != RC_CLASS_RETRY)
        refuse_object(a, object, err->rc);
    agent_report_soon(a);
    return err->rc;
}

/* The verified package was not taken.  Only the reason of a refusal becomes the version's. */
static enum rc refuse(struct agent *a, const struct digest *object, const struct slot_id *id,
                      const struct err *err)
{
    tell_refusal(a, object, id, err);
    if (rc_class(err->rc) == RC_CLASS_RETRY) {
        tell_table(a, id, SLOT_EV_LOSE, RC_OK);
    } else {
        tell_table(a, id, SLOT_EV_REFUSE, err->rc);
        refuse_object(a, object, err->rc);
        repair_refused(a, &id->manifest);
    }
    return err->rc;
}

/* What was only read has made nothing. */
static void abandon(struct agent *a, struct install *job)
{
    const struct slot_id id = job->stage.id;
    struct err err = { 0 };

    if (!job->checking && slot_abandon(&a->slots, &job->stage, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "abandon %s/%s", id.tenant, id.payload);
}

/* The stage takes the place of a damaged slot.  RC_BUSY: it made way, and begins again. */
static enum rc end_repair(struct agent *a, struct install *job, struct err *why)
{
    const struct slot_id id = job->stage.id;
    const bool unpacked = why->rc == RC_OK;

    if (unpacked && !job->delta)
        why->rc = slot_stage_object(&a->slots, &job->stage, &job->object, why);
    if (why->rc == RC_OK)
        why->rc = slot_exchange(&a->slots, &job->stage, repair_runs_from(a, &id), why);
    else
        abandon(a, job);
    if (!unpacked && job->yielding)
        return RC_BUSY;
    if (job->delta && why->rc != RC_OK)
        (void)refuse_delta(a, &job->object, &id, why);
    else if (job->delta)
        drop_object(a, &job->object);
    else if (why->rc == RC_OK)
        kept_take(a, &id, job->team, &job->object);
    repair_ended(a, &id, why);
    if (!job->delta && why->rc != RC_OK && rc_class(why->rc) != RC_CLASS_RETRY)
        refuse_object(a, &job->object, why->rc);
    agent_report_soon(a);
    return RC_OK;
}

/* The content is not what was signed: that says nothing about the version, which waits for its
 * package as before, and nothing about whose envelope it came behind. */
static void refuse_content(struct agent *a, const struct digest *object, const struct slot_id *id,
                           const struct err *err)
{
    agent_event_err(a, err, "package");
    tell_table(a, id, SLOT_EV_LOSE, RC_OK);
    refuse_object(a, object, err->rc);
    repair_refused(a, &id->manifest);
}

static bool has_job(const struct agent *a, const char *tenant)
{
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (a->install[i].busy && strcmp(a->install[i].stage.id.tenant, tenant) == 0)
            return true;
    return false;
}

static struct install *free_job(struct agent *a)
{
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (!a->install[i].busy)
            return &a->install[i];
    return NULL;
}

bool install_may_begin(const struct agent *a, const char *tenant)
{
    bool place = false;

    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        place |= !a->install[i].busy;
    return place && !has_job(a, tenant);
}

bool install_runs(const struct agent *a, const struct digest *object)
{
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (a->install[i].busy && digest_same(&a->install[i].object, object))
            return true;
    return false;
}

static void read_whole(struct agent *a, struct install *job);

/* It was unpacked, or was not: with rc, whatever that means for the version. */
static void job_ended(struct agent *a, struct install *job, enum rc rc, struct err *err)
{
    const struct slot_id id = job->stage.id;

    if (job->checking && rc == RC_OK) {
        read_whole(a, job);
        return;
    }
    job->busy = false;
    if (job->repair) {
        err->rc = rc;
        receive_installed(a, &job->object, end_repair(a, job, err));
        return;
    }
    if (rc == RC_OK)
        rc = slot_commit(&a->slots, &job->stage, err);
    else
        abandon(a, job);
    if (rc != RC_OK && job->yielding) {
        log_event(LOG_LEVEL_INFO, "made way payload=%s/%s", id.tenant, id.payload);
        tell_table(a, &id, SLOT_EV_LOSE, RC_OK);
        rc = RC_BUSY;
    } else if (rc == RC_OK) {
        log_event(LOG_LEVEL_INFO, "installed payload=%s/%s fs-verity=%s", id.tenant, id.payload,
                  job->job.verity == VERITY_ON ? "yes" : "no");
        if (job->delta)
            drop_object(a, &job->object); /* what it was made from may go: nothing to repair from */
        else
            kept_take(a, &id, job->team, &job->object);
        check_forget(a, &id);
        tell_table(a, &id, SLOT_EV_INSTALL, RC_OK);
        agent_report_soon(a);
    } else if (!job->delta && rc == RC_DIGEST_MISMATCH) {
        refuse_content(a, &job->object, &id, err);
    } else if (job->delta && is_deltas(rc)) {
        err->rc = rc;
        if (rc == RC_SLOT_DAMAGED || rc == RC_INDEX_MISMATCH)
            check_forget(a, &job->origin); /* looked at again before it starts the next time */
        (void)refuse_delta(a, &job->object, &id, err);
    } else {
        err->rc = rc;
        (void)refuse(a, &job->object, &id, err);
    }
    receive_installed(a, &job->object, rc);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct err err = { 0 };

    (void)source;
    (void)events;
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++) {
        struct install *job = &a->install[i];

        if (!job->busy || job->job.pidfd != fd)
            continue;
        if (!unpack_ended(&job->job))
            return 0;
        job->on_end = sd_event_source_disable_unref(job->on_end);
        enum rc rc = unpack_result(&job->job, &err);

        job_ended(a, job, rc, &err);
        break;
    }
    agent_step(a);
    return 0;
}

/* A package whose manifest is verified; one of the two, the other is NULL. */
struct offer {
    const struct verified_payload *payload;
    const struct verified_delta *delta;
};

static const struct manifest *offer_manifest(const struct offer *o)
{
    return o->delta ? delta_manifest(o->delta) : payload_manifest(o->payload);
}

static struct slot_id offer_id(const struct offer *o)
{
    return o->delta ? slot_id_of_delta(o->delta) : slot_id_of(o->payload);
}

/* Apply a delta to what is installed; `to` NULL: only see what comes of it. */
static enum rc start_delta(struct agent *a, const struct verified_delta *delta,
                           const struct unpack_to *to, struct install *job, struct err *err)
{
    scoped(origin_done) struct origin origin = ORIGIN_NONE;
    enum rc rc = origin_find(a, delta, &origin, err);

    if (rc != RC_OK)
        return rc;
    const struct unpack_from from = {
        .root = origin.slot.root,
        .index = origin.index,
        .manifest = verified_manifest_get(origin.manifest),
    };

    job->origin = origin.id;
    return to ? unpack_start_delta(delta, &from, to, &job->job, err)
              : check_start_delta(delta, &from, a->unpack_program, &job->job, err);
}

/* Its process has been started. */
static enum rc watch(struct agent *a, const struct offer *o, struct install *job, struct err *err)
{
    if (sd_event_add_io(a->loop, &job->on_end, job->job.pidfd, EPOLLIN, on_end, a) < 0) {
        unpack_cancel(&job->job);
        return err_set(err, RC_UNPACK_FAILED, "event loop");
    }
    memcpy(job->team, offer_manifest(o)->team, sizeof job->team);
    job->delta = o->delta != NULL;
    job->repair = repair_wanted(a, &job->stage.id);
    job->until_ms = clock_mono_ms() + INSTALL_TIMEOUT_MS;
    job->yielding = false;
    job->busy = true;
    return RC_OK;
}

/* Unpack into a stage, in a process of its own. */
static enum rc start_job(struct agent *a, const struct offer *o, struct install *job,
                         const struct room_need *need, struct err *err)
{
    enum rc rc = o->delta ? slot_stage_delta(&a->slots, o->delta, &job->stage, err)
                          : slot_stage(&a->slots, o->payload, &job->stage, err);

    if (rc != RC_OK)
        return rc;
    const struct unpack_to to = { .program = a->unpack_program,
                                  .staging = job->stage.root,
                                  .index = job->stage.index };
    rc = o->delta ? start_delta(a, o->delta, &to, job, err)
                  : unpack_start(o->payload, to.program, to.staging, to.index, &job->job, err);
    if (rc == RC_OK)
        rc = watch(a, o, job, err);
    if (rc == RC_OK) {
        job->checking = false;
        job->need = *need;
        return RC_OK;
    }
    struct err unused = { 0 };
    if (slot_abandon(&a->slots, &job->stage, &unused) != RC_OK)
        log_err(LOG_LEVEL_WARN, &unused, "abandon");
    return rc;
}

/* The envelope says what was signed, and nothing of what lies behind it here: that is read before
 * anything is removed for it.  It promises nothing to anybody, and makes nothing. */
static enum rc start_check(struct agent *a, const struct offer *o, struct install *job,
                           struct err *err)
{
    job->stage = (struct stage){ .id = offer_id(o), .root = -1, .index = -1 };
    job->need = (struct room_need){ 0 };
    enum rc rc = o->delta ? start_delta(a, o->delta, NULL, job, err)
                          : check_start_payload(o->payload, a->unpack_program, &job->job, err);
    if (rc == RC_OK)
        rc = watch(a, o, job, err);
    job->checking = rc == RC_OK;
    return rc;
}

/* Whether it fits, or could.  *ret_check: something would have to go, so it is read first; `whole`
 * says that this has been done, and then room is made. */
static enum rc find_room(struct agent *a, const struct room_ask *ask, bool whole, bool *ret_check,
                         struct err *err)
{
    bool there = false;
    enum rc rc = room_look(a, ask, &there, err);

    *ret_check = rc == RC_OK && !there && !whole;
    return rc == RC_OK && !there && whole ? room_make(a, ask, err) : rc;
}

static struct room_ask ask_for(const struct agent *a, const struct manifest *m, bool repair)
{
    return (struct room_ask){
        .m = m, .repair = repair, .dirfd = a->slots.dir, .need = room_of_version(m)
    };
}

/* Below the floor it could never run, and what failed is not tried again. */
static enum rc check_use(struct agent *a, const struct manifest *m, const struct digest *manifest,
                         struct err *err)
{
    const struct unit *u = reconcile_find(&a->table, m->tenant, m->name);

    if (u && m->release < u->kept.floor)
        return err_set(err, RC_FLOOR, "%s/%s", m->tenant, m->name);
    if (reconcile_failed(&a->table, m->tenant, m->name, manifest) != RC_OK)
        return err_set(err, RC_FAILED_BEFORE, "%s/%s", m->tenant, m->name);
    return RC_OK;
}

/* A slot whose envelope is damaged is as good as none: it is made anew. */
static bool is_installed(const struct agent *a, const struct slot_id *id)
{
    scoped(slot_close) struct slot slot = { .root = -1 };
    struct err ignored;

    return slot_open(&a->slots, id, &slot, &ignored) == RC_OK;
}

/* The record stays as it is. */
static enum rc start_repair(struct agent *a, const struct offer *o, struct install *job, bool whole,
                            struct err *err)
{
    const struct slot_id id = offer_id(o);

    const struct room_ask ask = ask_for(a, offer_manifest(o), true);
    bool check = false;

    repair_begun(a, &id, &job->object);
    enum rc rc = find_room(a, &ask, whole, &check, err);
    if (rc == RC_OK)
        rc = check ? start_check(a, o, job, err) : start_job(a, o, job, &ask.need, err);
    if (rc != RC_OK && o->delta && is_deltas(rc))
        return refuse_delta(a, &job->object, &id, err);
    return rc;
}

/* It is there: nothing to be unpacked. */
static enum rc settle(struct agent *a, const struct offer *o, const struct digest *object,
                      struct err *err)
{
    const struct slot_id id = offer_id(o);
    enum rc rc = slot_settle(&a->slots, &id, err);

    if (rc != RC_OK)
        return refuse(a, object, &id, err);
    if (o->delta)
        drop_object(a, object);
    else
        kept_take(a, &id, offer_manifest(o)->team, object);
    tell_table(a, &id, SLOT_EV_INSTALL, RC_OK);
    return RC_OK;
}

static enum rc take_verified(struct agent *a, const struct offer *o, struct install *job,
                             bool whole, struct err *err)
{
    const struct digest object = job->object;
    const struct manifest *m = offer_manifest(o);
    const struct slot_id id = offer_id(o);

    if (!whole && has_job(a, m->tenant)) /* it got its grant just now: nobody knew whose it was */
        return err_set(err, RC_BUSY, "%s/%s", m->tenant, m->name);
    if (repair_wanted(a, &id))
        return start_repair(a, o, job, whole, err);

    enum rc rc = check_use(a, m, &id.manifest, err);
    tell_table(a, &id, SLOT_EV_STAGE, RC_OK);
    tell_table(a, &id, SLOT_EV_VERIFY, RC_OK);
    if (rc == RC_OK && is_installed(a, &id))
        return settle(a, o, &object, err);
    const struct room_ask ask = ask_for(a, m, false);
    bool check = false;

    if (rc == RC_OK)
        rc = find_room(a, &ask, whole, &check, err);
    if (rc != RC_OK)
        return refuse(a, &object, &id, err);
    rc = check ? start_check(a, o, job, err) : start_job(a, o, job, &ask.need, err);
    if (rc != RC_OK)
        return o->delta && is_deltas(rc) ? refuse_delta(a, &object, &id, err)
                                         : refuse(a, &object, &id, err);
    log_event(LOG_LEVEL_INFO, "%s payload=%s/%s version=%s%s", check ? "read first" : "install",
              m->tenant, m->name, m->version, o->delta ? " delta" : "");
    return RC_OK;
}

/* Verify a package of either kind as far as it can be, and begin with it. */
static enum rc take_package(struct agent *a, int fd, struct install *job, bool whole,
                            bool *ret_verified, struct err *err)
{
    scoped(payload_free) struct verified_payload *payload = NULL;
    scoped(delta_free) struct verified_delta *delta = NULL;
    enum package_kind kind = PACKAGE_FULL;
    enum rc rc =
        a->trust ? package_kind(fd, &kind, err) : err_set(err, RC_TRUST_MISSING, "package");

    if (rc == RC_OK)
        rc = kind == PACKAGE_DELTA
                 ? delta_verify(a->trust, fd, agent_now_unix(), &delta, err)
                 : payload_verify_signed(a->trust, fd, agent_now_unix(), &payload, err);
    if (rc != RC_OK)
        return rc;

    const struct offer offer = { .payload = payload, .delta = delta };

    *ret_verified = true;
    return take_verified(a, &offer, job, whole, err);
}

/* Of the manifest that a package which could not be verified says it has. */
static bool claims(int fd, struct digest *ret)
{
    scoped(package_done) struct package package = { 0 };
    struct envelope parts;
    struct err ignored;

    return package_open(fd, &package, &ignored) == RC_OK &&
           envelope_open(package_envelope(&package), &parts, &ignored) == RC_OK &&
           sha256_of(parts.payload, ret->b, &ignored) == RC_OK;
}

/* Whose version the order says that this is: nobody else's is told under that name. */
static void name_ordered(const struct agent *a, const struct digest *manifest,
                         char name[2 * NAME_CAP])
{
    for (uint32_t i = 0; i < a->table.n_units; i++) {
        const struct unit_record *r = &a->table.unit[i].kept;

        if (digest_same(&r->wanted, manifest))
            (void)snprintf(name, 2U * NAME_CAP, "%s/%s", r->tenant, r->name);
    }
}

/* One that was refused before anything of it could be believed: it may be what an order waits for,
 * or have been sent for a repair. */
static void tell_unverified(struct agent *a, int fd, const struct err *err)
{
    char name[2 * NAME_CAP] = "package";
    struct digest manifest;
    bool known = fd >= 0 && claims(fd, &manifest);

    if (known)
        name_ordered(a, &manifest, name);
    agent_event_err(a, err, name);
    if (known && rc_class(err->rc) != RC_CLASS_RETRY)
        repair_refused(a, &manifest);
}

/* Begin, or with `whole` go on, with the package job->object. */
static enum rc begin(struct agent *a, struct install *job, bool whole, struct err *err)
{
    const struct digest object = job->object;
    scoped(close_fd) int fd = -1;
    bool verified = false;
    uint64_t size = 0;
    /* Its bytes are read by berth-unpack: here a large one would hold up everybody. */
    enum rc rc = objects_open_unread(&a->objects, &object, &fd, &size, err);

    if (rc == RC_OK)
        rc = take_package(a, fd, job, whole, &verified, err);
    if (rc != RC_OK && !verified) {
        tell_unverified(a, fd, err);
        if (rc != RC_GRANT_MISSING && rc != RC_DELEGATION_MISSING && rc_class(rc) != RC_CLASS_RETRY)
            refuse_object(a, &object, rc);
    }
    return rc;
}

enum rc install_begin(struct agent *a, const struct digest *object, uint32_t yields,
                      struct err *err)
{
    struct install *job = free_job(a);

    if (!job)
        return err_set(err, RC_BUSY, "no place to unpack");
    job->object = *object;
    job->share_ms = clock_mono_ms() + queue_share_ms(yields, INSTALL_TIMEOUT_MS);
    return begin(a, job, false, err);
}

/* It is what was signed: now something may go for it.  Who may say so and what is there may have
 * changed meanwhile, so all of that is asked again.  Until it is unpacked the job stays, so that
 * neither it nor what a delta starts from makes room for it. */
static void read_whole(struct agent *a, struct install *job)
{
    const struct digest object = job->object;
    struct err err = { 0 };
    enum rc rc = begin(a, job, true, &err);

    if (!job->checking)
        return;
    job->busy = false;
    job->checking = false;
    receive_installed(a, &object, rc);
}

/* ---- time ---------------------------------------------------------------------------------------
 */

static bool waits_for_place(const void *arg, const char *tenant)
{
    return !has_job(arg, tenant);
}

/* The job that makes way, if somebody waits for nothing but a place. */
static struct install *must_yield(struct agent *a, uint64_t now_ms)
{
    const struct queue_ask ask = { .may_begin = waits_for_place, .arg = a };
    struct queue_job jobs[INSTALL_JOBS_MAX];

    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        jobs[i] = (struct queue_job){ .busy = a->install[i].busy,
                                      .yielding = a->install[i].yielding,
                                      .share_ms = a->install[i].share_ms };
    uint32_t i = queue_must_yield(jobs, INSTALL_JOBS_MAX, now_ms);
    return i < INSTALL_JOBS_MAX && queue_others_wait(&a->queue, now_ms, &ask) ? &a->install[i]
                                                                              : NULL;
}

void install_tick(struct agent *a, uint64_t now_ms)
{
    struct install *late = must_yield(a, now_ms);

    if (late) {
        late->yielding = true;
        unpack_kill(&late->job);
    }
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++) {
        struct install *job = &a->install[i];

        if (!job->busy || now_ms < job->until_ms)
            continue;
        job->until_ms = UINT64_MAX;
        /* The kernel closes its pipe; on_end finds no verdict and reports UNPACK_FAILED. */
        unpack_kill(&job->job);
    }
}

void install_end(struct agent *a)
{
    for (uint32_t i = 0; i < INSTALL_JOBS_MAX; i++)
        if (a->install[i].busy)
            unpack_cancel(&a->install[i].job);
}
