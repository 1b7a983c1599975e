/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/install.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/data.h"
#include "agent/receive.h"
#include "base/clock.h"
#include "base/log.h"

#define INSTALL_TIMEOUT_MS (10U * 60U * 1000U)
#define COLLECT_MAX 256U /* slots looked at in one go */
#define SLOT_OVERHEAD 65536U

/* ---- what may go
 * --------------------------------------------------------------------------------- */

struct slot_set {
    const char *tenant; /* NULL = all */
    uint32_t n;
    struct slot_id id[COLLECT_MAX];
};

static bool add_slot(void *arg, const struct slot_id *id)
{
    struct slot_set *set = arg;

    if (!set->tenant || strcmp(set->tenant, id->tenant) == 0)
        set->id[set->n++] = *id;
    return set->n < COLLECT_MAX;
}

/* The release of an installed version, or 0 if it is not known. */
static uint64_t release_of(const struct agent *a, const struct slot_id *id)
{
    struct slot slot = { .root = -1 };
    struct verified_manifest *m = NULL;
    struct err err = { 0 };
    uint64_t release = 0;

    if (slot_open(&a->slots, id, &slot, &err) == RC_OK) {
        struct bytes envelope = { .p = slot.envelope, .n = slot.envelope_bytes };

        if (trust_verify_manifest(a->trust, envelope, agent_now_unix(), &m, &err) == RC_OK)
            release = verified_manifest_get(m)->release;
        slot_close(&slot);
    }
    verified_manifest_free(&m);
    return release;
}

/* Not needed, and failed or overtaken.  What came ahead of its order stays. */
static bool is_past(struct agent *a, const struct slot_id *id)
{
    const struct unit *u = reconcile_find(&a->table, id->tenant, id->payload);
    struct slot_id good = *id;

    if (!u || reconcile_needs(&a->table, id->tenant, id->payload, &id->manifest))
        return false;
    if (reconcile_failed(&a->table, id->tenant, id->payload, &id->manifest) != RC_OK)
        return true;
    if (digest_none(&u->kept.good))
        return false;
    good.manifest = u->kept.good;
    uint64_t release = release_of(a, id);
    return release > 0 && release <= release_of(a, &good);
}

/* Nobody would miss it today: not needed, or of a payload that is not ordered and does not run. */
static bool is_spare(struct agent *a, const struct slot_id *id)
{
    const struct unit *u = reconcile_find(&a->table, id->tenant, id->payload);

    if (!u || !reconcile_needs(&a->table, id->tenant, id->payload, &id->manifest))
        return true;
    return digest_none(&u->kept.wanted) && u->run.phase == RUN_NONE;
}

static void collect(struct agent *a, const char *tenant,
                    bool (*may_go)(struct agent *, const struct slot_id *))
{
    scoped(free_ptr) struct slot_set *set = calloc(1, sizeof *set);
    struct err err = { 0 };

    if (!set)
        return;
    set->tenant = tenant;
    if (slot_list(&a->slots, add_slot, set, &err) != RC_OK)
        return;
    for (uint32_t i = 0; i < set->n; i++) {
        const struct slot_id *id = &set->id[i];

        if (!may_go(a, id))
            continue;
        if (slot_remove(&a->slots, id, &err) == RC_OK)
            log_event(LOG_LEVEL_INFO, "removed payload=%s/%s", id->tenant, id->payload);
        else
            log_err(LOG_LEVEL_WARN, &err, "remove payload=%s/%s", id->tenant, id->payload);
    }
}

void install_collect(struct agent *a)
{
    if (a->trust && !a->damaged)
        collect(a, NULL, is_past);
}

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

/* The tenant's slots and this one within what its grant says; makes room if that helps. */
static enum rc check_quota(struct agent *a, const struct manifest *m, struct err *err)
{
    const struct grant *grant = trust_grant(a->trust, m->tenant);
    uint64_t need = m->unpacked_bytes + 4096ULL * m->files + SLOT_OVERHEAD;
    uint64_t used = 0;
    uint64_t files = 0;

    assert(grant); /* or the manifest would not have been verified */
    for (int round = 0; round < 2; round++) {
        enum rc rc = slot_usage(&a->slots, m->tenant, &used, &files, err);

        if (rc != RC_OK)
            return rc;
        if (need <= grant->store_bytes && used <= grant->store_bytes - need)
            return RC_OK;
        if (round == 0)
            collect(a, m->tenant, is_spare);
    }
    return err_set(err, RC_STORE_QUOTA, "%s/%s", m->tenant, m->name);
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

    if (objects_get(&a->objects, object, &fd, &size, &err) == RC_OK)
        agent_set_aside(a, fd, object, rc);
    drop_object(a, object);
}

/* The verified package was not taken.  Only the reason of a refusal becomes the version's. */
static enum rc refuse(struct agent *a, const struct digest *object, const struct slot_id *id,
                      const struct err *err)
{
    char name[2 * NAME_CAP];
    enum rc_class class = rc_class(err->rc);

    name_of(id, name);
    agent_event_err(a, err, name);
    if (class == RC_CLASS_RETRY) {
        tell_table(a, id, SLOT_EV_LOSE, RC_OK);
    } else {
        tell_table(a, id, SLOT_EV_REFUSE, err->rc);
        refuse_object(a, object, err->rc);
    }
    return err->rc;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct install *job = &a->install;
    struct err err = { 0 };

    (void)source;
    (void)fd;
    (void)events;
    enum rc rc = unpack_result(&job->job, &err);
    if (rc == RC_BUSY)
        return 0;
    job->on_end = sd_event_source_disable_unref(job->on_end);
    job->busy = false;

    const struct slot_id id = job->stage.id;
    struct err unused = { 0 };
    if (rc == RC_OK)
        rc = slot_commit(&a->slots, &job->stage, &err);
    else if (slot_abandon(&a->slots, &job->stage, &unused) != RC_OK)
        log_err(LOG_LEVEL_WARN, &unused, "abandon %s/%s", id.tenant, id.payload);
    if (rc == RC_OK) {
        log_event(LOG_LEVEL_INFO, "installed payload=%s/%s", id.tenant, id.payload);
        drop_object(a, &job->object);
        tell_table(a, &id, SLOT_EV_INSTALL, RC_OK);
        agent_report_soon(a);
    } else {
        err.rc = rc;
        (void)refuse(a, &job->object, &id, &err);
    }
    receive_installed(a, &job->object, rc);
    agent_step(a);
    return 0;
}

/* Unpack into a stage, in a process of its own. */
static enum rc start_job(struct agent *a, const struct verified_payload *payload,
                         const struct digest *object, struct err *err)
{
    struct install *job = &a->install;
    struct err unused = { 0 };
    enum rc rc = slot_stage(&a->slots, payload, &job->stage, err);

    if (rc != RC_OK)
        return rc;
    rc = unpack_start(payload, a->unpack_program, job->stage.root, &job->job, err);
    if (rc == RC_OK &&
        sd_event_add_io(a->loop, &job->on_end, job->job.pidfd, EPOLLIN, on_end, a) < 0) {
        unpack_cancel(&job->job);
        rc = err_set(err, RC_UNPACK_FAILED, "event loop");
    }
    if (rc != RC_OK) {
        if (slot_abandon(&a->slots, &job->stage, &unused) != RC_OK)
            log_err(LOG_LEVEL_WARN, &unused, "abandon");
        return rc;
    }
    job->object = *object;
    job->until_ms = clock_mono_ms() + INSTALL_TIMEOUT_MS;
    job->busy = true;
    return RC_OK;
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

static enum rc take_verified(struct agent *a, const struct verified_payload *payload,
                             const struct digest *object, struct err *err)
{
    const struct manifest *m = payload_manifest(payload);
    const struct slot_id id = slot_id_of(payload);
    enum rc rc = check_use(a, m, payload_digest(payload), err);

    tell_table(a, &id, SLOT_EV_STAGE, RC_OK);
    tell_table(a, &id, SLOT_EV_VERIFY, RC_OK);
    if (rc == RC_OK && slot_exists(&a->slots, &id)) {
        drop_object(a, object);
        tell_table(a, &id, SLOT_EV_INSTALL, RC_OK);
        return RC_OK;
    }
    if (rc == RC_OK)
        rc = check_quota(a, m, err);
    if (rc == RC_OK)
        rc = start_job(a, payload, object, err);
    if (rc != RC_OK)
        return refuse(a, object, &id, err);
    log_event(LOG_LEVEL_INFO, "install payload=%s/%s version=%s", m->tenant, m->name, m->version);
    return RC_OK;
}

enum rc install_begin(struct agent *a, const struct digest *object, struct err *err)
{
    struct verified_payload *payload = NULL;
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;

    assert(!a->install.busy);
    /* Reads the package twice: some 0.3 s for 50 MB.  Notify messages that come meanwhile wait in
     * their sockets, and are read before anybody is called late (agent_step). */
    enum rc rc = objects_get(&a->objects, object, &fd, &size, err);
    if (rc == RC_OK)
        rc = a->trust ? payload_verify(a->trust, fd, agent_now_unix(), &payload, err)
                      : err_set(err, RC_TRUST_MISSING, "package");
    if (rc == RC_OK) {
        rc = take_verified(a, payload, object, err);
    } else {
        agent_event_err(a, err, "package");
        if (rc != RC_GRANT_MISSING && rc_class(rc) != RC_CLASS_RETRY)
            refuse_object(a, object, rc);
    }
    payload_free(&payload);
    return rc;
}

void install_tick(struct agent *a, uint64_t now_ms)
{
    if (!a->install.busy || now_ms < a->install.until_ms)
        return;
    a->install.until_ms = UINT64_MAX;
    /* The kernel closes its pipe; on_end finds no verdict and reports UNPACK_FAILED. */
    (void)kill(a->install.job.pid, SIGKILL);
}
