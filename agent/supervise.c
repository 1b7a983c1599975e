/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/supervise.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/audit.h"
#include "agent/check.h"
#include "agent/copying.h"
#include "agent/data.h"
#include "agent/notify.h"
#include "agent/platform.h"
#include "agent/recorded.h"
#include "agent/room.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/walls.h"
#include "manifest/envelope.h"
#include "sandbox/wire.h"

#define DATAGRAMS_PER_TURN 16U
#define RELOAD_TELL_MS 60000U        /* the log hears of a payload's reloads no more often */
#define LAST_WORDS_MAX (64U * 1024U) /* output of a payload that has ended, still read */

/* ---- what a slot holds --------------------------------------------------------------------------
 */

/* One of the two manifests: what was verified just now, or, while the trust is lost, what was when
 * it was not. */
struct loaded {
    struct slot slot;
    struct verified_manifest *verified;
    struct recorded_manifest *recorded;
};

static void loaded_done(struct loaded *l)
{
    slot_close(&l->slot);
    verified_manifest_free(&l->verified);
    recorded_free(&l->recorded);
}

static const struct manifest *loaded_manifest(const struct loaded *l)
{
    return l->recorded ? recorded_manifest_get(l->recorded) : verified_manifest_get(l->verified);
}

static const struct digest *loaded_digest(const struct loaded *l)
{
    return l->recorded ? recorded_manifest_digest(l->recorded)
                       : verified_manifest_digest(l->verified);
}

/* What the tenant may have; NULL if it has no grant. */
static const struct grant *loaded_grant(const struct agent *a, const struct loaded *l)
{
    return l->recorded ? recorded_grant_get(l->recorded)
                       : trust_grant(a->trust, loaded_manifest(l)->tenant);
}

static enum rc check_arch(const struct manifest *m, struct err *err)
{
    struct utsname u;

    if (uname(&u) != 0)
        return err_sys(err, RC_IO, "uname");
    if (strcmp(m->arch, "any") != 0 && strcmp(m->arch, u.machine) != 0)
        return err_set(err, RC_ARCH, "%s on %s", m->arch, u.machine);
    return RC_OK;
}

/* Which team a version says that it is of, to know whose delegation to look for; "" if it says
 * nothing that can be read. */
static const char *team_of(struct bytes bytes, char team[TEAM_CAP])
{
    struct envelope e;
    char tenant[NAME_CAP];

    if (envelope_open(bytes, &e, NULL) != RC_OK ||
        manifest_peek(e.payload, tenant, team, NULL) != RC_OK)
        return "";
    return team;
}

static enum rc vouch(const struct agent *a, const struct unit_record *r,
                     const struct digest *manifest, struct loaded *l, struct err *err)
{
    struct bytes envelope = { .p = l->slot.envelope, .n = l->slot.envelope_bytes };
    char team[TEAM_CAP];

    if (recorded_stands_in(a, r->tenant, team_of(envelope, team)))
        return digest_same(manifest, &r->good)
                   ? recorded_vouch(a, r, envelope, &l->recorded, err)
                   : err_set(err, RC_SAFE_MODE, "%s/%s", r->tenant, r->name);
    /* What has committed here, or is being tried, may go on under what is revoked to be kept. */
    bool had = digest_same(manifest, &r->good) ||
               (r->state == SLOT_TRIAL && digest_same(manifest, &r->wanted));
    return had ? trust_verify_running(a->trust, envelope, agent_now_unix(), &l->verified, err)
               : trust_verify_manifest(a->trust, envelope, agent_now_unix(), &l->verified, err);
}

/* The line of the order in force about this payload; NULL if there is none. */
static const struct order_line *ordered(const struct agent *a, const struct unit_record *r)
{
    for (uint32_t i = 0; a->ordered && i < a->order.n_lines; i++) {
        const struct order_line *line = &a->order.line[i];

        if (strcmp(line->tenant, r->tenant) == 0 && strcmp(line->name, r->name) == 0)
            return line;
    }
    return NULL;
}

/* Open a slot and verify its envelope again: what was allowed at install may not be now. */
static enum rc load(const struct agent *a, const struct unit_record *r,
                    const struct digest *manifest, struct loaded *ret, struct err *err)
{
    struct slot_id id = { .manifest = *manifest };

    if (!a->trust && a->lost == 0)
        return err_set(err, RC_TRUST_MISSING, "trust root");
    memcpy(id.tenant, r->tenant, sizeof id.tenant);
    memcpy(id.payload, r->name, sizeof id.payload);
    enum rc rc = slot_open(&a->slots, &id, &ret->slot, err);
    if (rc == RC_OK)
        rc = vouch(a, r, manifest, ret, err);
    if (rc != RC_OK)
        return rc;

    const struct manifest *m = loaded_manifest(ret);
    if (!digest_same(loaded_digest(ret), manifest) || strcmp(m->tenant, r->tenant) != 0 ||
        strcmp(m->name, r->name) != 0)
        return err_set(err, RC_SLOT_DAMAGED, "%s/%s", r->tenant, r->name);
    const struct order_line *line = ordered(a, r);
    if (line && ret->verified && digest_same(&line->manifest, manifest) &&
        !order_line_names(line, ret->verified))
        return err_set(err, RC_DIGEST_MISMATCH, "%s/%s: SHA-384 in the order", r->tenant, r->name);
    if (m->release < r->floor)
        return err_set(err, RC_FLOOR, "%s/%s", r->tenant, r->name);
    return check_arch(m, err);
}

/* The sums of everybody above it: of the tenant, and of each team down to its own. */
static enum rc check_share(const struct agent *a, const struct unit_record *r,
                           const struct loaded *l, struct err *err)
{
    const struct manifest *m = loaded_manifest(l);
    const struct grant *grant = loaded_grant(a, l);
    struct chain chain = { 0 };
    bool busy = false;

    if (!grant)
        return err_set(err, RC_GRANT_MISSING, "%s", r->tenant);
    enum rc rc = RC_OK;
    if (l->recorded)
        recorded_chain(a, l->recorded, &chain);
    else
        rc = trust_authorities(a->trust, grant, m->team, &chain, err);
    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < chain.n; i++) {
        rc = reconcile_share(&a->table, r, &m->limits, &chain.of[i]);
        if (rc != RC_OK && rc != RC_BUSY)
            return err_set(err, rc, "with all that runs of %s",
                           chain.of[i].team[0] != '\0' ? chain.of[i].team : r->tenant);
        busy |= rc == RC_BUSY;
    }
    return busy ? RC_BUSY : RC_OK;
}

enum rc supervise_vouch(const struct agent *a, const struct unit_record *unit, struct digest *ret)
{
    scoped(loaded_done) struct loaded l = { .slot.root = -1 };
    struct err err = { 0 };
    enum rc rc = load(a, unit, &unit->good, &l, &err);

    if (rc == RC_OK)
        rc = sha256_of((struct bytes){ l.slot.envelope, l.slot.envelope_bytes }, ret->b, &err);
    return rc;
}

/* A grant that asks for the safety role may come behind the order.  What has committed goes on;
 * what has not begins only under an order that the role signed for. */
static enum rc check_safety(const struct agent *a, const struct unit_record *unit,
                            const struct digest *manifest)
{
    const struct grant *grant = trust_grant(a->trust, unit->tenant);

    if (!grant || !grant->needs_safety || digest_same(manifest, &unit->good))
        return RC_OK;
    return a->ordered && a->cosigned ? RC_OK : RC_SAFETY_MISSING;
}

/* Whether its files are whole.  While they are being read, nothing is stopped for it: RC_BUSY lets
 * one wait that has nothing to stop, RC_UNPACK_FAILED (again soon) one that has. */
static enum rc check_files(struct agent *a, const struct unit_record *unit,
                           const struct digest *manifest, const struct loaded *l)
{
    const struct unit *u = reconcile_find(&a->table, unit->tenant, unit->name);
    struct slot_id id = { .manifest = *manifest };

    if (u && u->run.phase != RUN_NONE && digest_same(&u->run.manifest, manifest))
        return RC_OK; /* it was read before it was started */
    memcpy(id.tenant, unit->tenant, sizeof id.tenant);
    memcpy(id.payload, unit->name, sizeof id.payload);
    enum rc rc = check_slot(a, &id, loaded_manifest(l), l->slot.root);
    return rc == RC_BUSY && u && u->run.phase != RUN_NONE ? RC_UNPACK_FAILED : rc;
}

static void keep_why(struct agent *a, const char *tenant, const char *payload,
                     const struct err *err)
{
    char name[2 * NAME_CAP];

    (void)snprintf(name, sizeof name, "%s/%s", tenant, payload);
    why_keep(&a->whys, name, err);
}

static enum rc admit(struct agent *a, const struct unit_record *unit, const struct digest *manifest,
                     struct admission *ret, struct err *err)
{
    scoped(loaded_done) struct loaded l = { .slot.root = -1 };
    enum rc rc = load(a, unit, manifest, &l, err);

    /* A slot that is damaged is as good as none: its package may be sent again. */
    if (rc == RC_SLOT_DAMAGED)
        return RC_NOT_FOUND;
    if (rc != RC_OK)
        return rc;

    const struct manifest *m = loaded_manifest(&l);
    if (is_agent_name(m->tenant, m->name) && !a->own.booted)
        return RC_AGENT_UNBOOTED;
    rc = check_safety(a, unit, manifest);
    if (rc == RC_OK)
        rc = check_share(a, unit, &l, err);
    if (rc == RC_OK)
        rc = check_files(a, unit, manifest, &l);
    if (rc == RC_SLOT_DAMAGED)
        return RC_NOT_FOUND;
    if (rc == RC_OK)
        rc = room_for_data(a, unit, m, err);
    bool snapshot = copying_wanted(a, unit, m, manifest);
    if (rc == RC_OK && snapshot && unit->state == SLOT_INSTALLED)
        rc = copying_room(a, unit, m, err);
    if (rc == RC_OK) {
        *ret = (struct admission){
            .health = m->health,
            .floor = m->floor,
            .limits = m->limits,
            .life = life_of(m),
            .snapshot = snapshot,
        };
        memcpy(ret->team, m->team, sizeof ret->team);
    }
    return rc;
}

enum rc supervise_admit(void *arg, const struct unit_record *unit, const struct digest *manifest,
                        struct admission *ret)
{
    struct agent *a = arg;
    struct err err = { 0 };
    enum rc rc = admit(a, unit, manifest, ret, &err);

    if (rc != RC_OK && err.rc == rc)
        keep_why(a, unit->tenant, unit->name, &err);
    return rc;
}

/* ---- starting and stopping ----------------------------------------------------------------------
 */

static struct proc *find_proc(struct agent *a, uint64_t instance)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        if (instance != 0 && a->proc[i].instance == instance)
            return &a->proc[i];
    return NULL;
}

static void proc_close(struct proc *p)
{
    bus_close(&p->bus);
    p->on_notify = sd_event_source_disable_unref(p->on_notify);
    p->on_pipe = sd_event_source_disable_unref(p->on_pipe);
    close_fd(&p->notify);
    close_fd(&p->pipe);
    output_close(&p->output);
    output_budget_leave(p->budget);
    *p = (struct proc){ .notify = -1, .pipe = -1, .output.fd = -1, .bus = BUS_INIT };
}

static struct proc *proc_new(struct agent *a, const struct action *action, const struct manifest *m)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct proc *p = &a->proc[i];

        if (p->instance != 0)
            continue;
        *p = (struct proc){ .instance = action->instance, .notify = -1, .pipe = -1 };
        p->output.fd = -1;
        p->bus = BUS_INIT;
        memcpy(p->tenant, m->tenant, sizeof p->tenant);
        memcpy(p->name, m->name, sizeof p->name);
        memcpy(p->usage.version, m->version, sizeof p->usage.version);
        return p;
    }
    return NULL;
}

static enum rc send_launch(struct agent *a, const struct action *action, struct err *err)
{
    static struct wire_launch message; /* large, and there is one thread */
    const struct unit_record *r = &a->table.unit[action->unit].kept;
    scoped(loaded_done) struct loaded l = { .slot.root = -1 };
    scoped(close_fd) int data = -1;
    scoped(close_fd) int mail = -1;
    enum rc rc = load(a, r, &action->manifest, &l, err);

    if (rc != RC_OK)
        return rc;

    const struct manifest *m = loaded_manifest(&l);
    const struct data_id id = {
        .tenant = r->tenant, .name = r->name, .index = r->index, .files = m->limits.data_files
    };
    bool has_data = m->limits.data_bytes > 0;

    if (copying_wanted(a, r, m, &action->manifest))
        rc = copying_ready(a, r, err);
    if (rc == RC_OK && has_data)
        rc = data_open(a->data_dir, &id, m->limits.data_bytes, &data, err);
    if (rc == RC_OK && (m->limits.inbox_bytes > 0 || m->limits.outbox_bytes > 0))
        rc = data_open_mail(a->data_dir, &id, m->limits.inbox_bytes, m->limits.outbox_bytes, &mail,
                            err);
    memset(&message, 0, sizeof message);
    message.head = wire_head(WIRE_LAUNCH, action->instance);
    if (rc == RC_OK)
        rc = plan_make(m, loaded_grant(a, &l), r->index, has_data, &message.plan, err);
    if (rc != RC_OK)
        return rc;

    struct proc *p = proc_new(a, action, m);
    int fds[3] = { l.slot.root };
    size_t n = 1;

    if (data >= 0)
        fds[n++] = data;
    if (mail >= 0)
        fds[n++] = mail;
    assert(p); /* there are as many places as units, and one instance for each */
    p->budget = output_budget_find(a->budget, UNITS_MAX, p->tenant, p->name,
                                   m->limits.log_bytes_hour != 0 ? m->limits.log_bytes_hour
                                                                 : LOG_BYTES_HOUR);
    p->bus.facts = bus_facts(m, loaded_grant(a, &l), loaded_digest(&l));
    p->limits = message.plan.limits;
    p->share = message.plan.share;
    rc = wire_send(a->launch_sock, &message.head, fds, n, err);
    if (rc == RC_OK)
        mail_starting(a, action->instance, m);
    else
        proc_close(p);
    if (rc == RC_OK)
        logs_starting(a, m);
    return rc;
}

void supervise_start(struct agent *a, const struct action *action)
{
    const struct unit_record *r = &a->table.unit[action->unit].kept;
    struct err err = { 0 };
    enum rc rc = send_launch(a, action, &err);

    if (rc == RC_OK) {
        log_event(LOG_LEVEL_INFO, "start payload=%s/%s instance=%llu", r->tenant, r->name,
                  (unsigned long long)action->instance);
        return;
    }
    log_err(LOG_LEVEL_WARN, &err, "start payload=%s/%s", r->tenant, r->name);
    keep_why(a, r->tenant, r->name, &err);
    reconcile_launch_failed(&a->table, action->instance, rc, clock_mono_ms());
}

void supervise_stop(struct agent *a, uint64_t instance)
{
    struct wire_stop message = { .head = wire_head(WIRE_STOP, instance),
                                 .grace_ms = RECONCILE_GRACE_MS };
    struct proc *p = find_proc(a, instance);
    struct err err = { 0 };

    if (p)
        p->frozen = p->freeze_open = false; /* berth-launch lets it run to its end */
    if (wire_send(a->launch_sock, &message.head, NULL, 0, &err) == RC_OK)
        return;
    log_err(LOG_LEVEL_ERROR, &err, "stop instance=%llu", (unsigned long long)instance);
    agent_exit(a, 1); /* without a launcher nothing is in hand; starting again ends them all */
}

/* ---- other limits as it runs --------------------------------------------------------------------
 */

/* Which question an answer is to. */
enum { TAG_VERSION = 1, TAG_SHARE = 2 };

static bool same_limits(const struct resources *a, const struct resources *b)
{
    return a->memory_bytes == b->memory_bytes && a->memory_high_bytes == b->memory_high_bytes &&
           a->cpu_permille == b->cpu_permille && a->cpu_weight == b->cpu_weight &&
           a->pids == b->pids && a->io_weight == b->io_weight && a->io_read_bps == b->io_read_bps &&
           a->io_write_bps == b->io_write_bps;
}

/* Nothing is asked for in the place of something larger.  0 = no limit. */
static bool no_tighter(uint64_t running, uint64_t wanted)
{
    return wanted == 0 || (running != 0 && wanted >= running);
}

/* Whether a version that runs well under the first limits cannot be worse off under the others.
 * One that gets less has to show that it can start so, and live through its peaks: it is tried. */
static bool no_limit_tighter(const struct resources *running, const struct resources *wanted)
{
    return wanted->memory_bytes >= running->memory_bytes && wanted->pids >= running->pids &&
           wanted->cpu_permille >= running->cpu_permille &&
           no_tighter(running->memory_high_bytes, wanted->memory_high_bytes) &&
           no_tighter(running->io_read_bps, wanted->io_read_bps) &&
           no_tighter(running->io_write_bps, wanted->io_write_bps);
}

/* Both as bytes, once what may differ is the same: what is new in manifests later is compared too.
 */
static bool same_but_limits(const struct manifest *running, const struct manifest *wanted)
{
    static uint8_t one[DOCUMENT_MAX], two[DOCUMENT_MAX]; /* large, and there is one thread */
    static struct manifest m;
    struct bytes a, b;

    m = *wanted;
    memcpy(m.version, running->version, sizeof m.version);
    m.release = running->release;
    m.floor = running->floor;
    m.sbom = running->sbom;
    m.provenance = running->provenance;
    m.limits.memory_bytes = running->limits.memory_bytes;
    m.limits.memory_high_bytes = running->limits.memory_high_bytes;
    m.limits.cpu_permille = running->limits.cpu_permille;
    m.limits.cpu_weight = running->limits.cpu_weight;
    m.limits.pids = running->limits.pids;
    m.limits.io_weight = running->limits.io_weight;
    m.limits.io_read_bps = running->limits.io_read_bps;
    m.limits.io_write_bps = running->limits.io_write_bps;
    /* The same in all is a new release all the same: it is started, and tried. */
    return !same_limits(&running->limits, &wanted->limits) &&
           manifest_encode(running, one, sizeof one, &a, NULL) == RC_OK &&
           manifest_encode(&m, two, sizeof two, &b, NULL) == RC_OK && a.n == b.n &&
           memcmp(a.p, b.p, a.n) == 0;
}

bool supervise_live(void *arg, const struct unit_record *unit, const struct digest *running,
                    const struct digest *wanted)
{
    const struct agent *a = arg;
    scoped(loaded_done) struct loaded from = { .slot.root = -1 };
    scoped(loaded_done) struct loaded to = { .slot.root = -1 };
    struct err err = { 0 };

    return load(a, unit, running, &from, &err) == RC_OK &&
           load(a, unit, wanted, &to, &err) == RC_OK &&
           loaded_manifest(&to)->floor <= unit->floor &&
           no_limit_tighter(&loaded_manifest(&from)->limits, &loaded_manifest(&to)->limits) &&
           same_but_limits(loaded_manifest(&from), loaded_manifest(&to));
}

/* What a version may have now, as a plan says it. */
static enum rc limits_of(const struct agent *a, const struct unit_record *r, const struct loaded *l,
                         struct wire_limits *ret, struct err *err)
{
    static struct plan plan; /* large, and there is one thread */
    const struct manifest *m = loaded_manifest(l);
    const struct grant *grant = loaded_grant(a, l);
    enum rc rc = grant ? plan_make(m, grant, r->index, m->limits.data_bytes > 0, &plan, err)
                       : err_set(err, RC_GRANT_MISSING, "%s", r->tenant);

    if (rc == RC_OK) {
        ret->limits = plan.limits;
        ret->share = plan.share;
    }
    return rc;
}

void supervise_relimit(struct agent *a, const struct action *action)
{
    const struct unit_record *r = &a->table.unit[action->unit].kept;
    scoped(loaded_done) struct loaded l = { .slot.root = -1 };
    struct wire_limits message = { .head = wire_head(WIRE_LIMITS, action->instance),
                                   .tag = TAG_VERSION };
    struct err err = { 0 };
    enum rc rc = load(a, r, &action->manifest, &l, &err);

    if (rc == RC_OK)
        rc = limits_of(a, r, &l, &message, &err);
    if (rc == RC_OK)
        rc = wire_send(a->launch_sock, &message.head, NULL, 0, &err);
    if (rc == RC_OK)
        return;
    log_err(LOG_LEVEL_WARN, &err, "limits payload=%s/%s", r->tenant, r->name);
    reconcile_relimited(&a->table, action->instance, rc, clock_mono_ms());
}

/* The tenant may have more or less than when this was started. */
static void renew_share(struct agent *a, const struct unit *u, const struct loaded *l)
{
    const struct proc *p = find_proc(a, u->run.instance);
    struct wire_limits message = { .head = wire_head(WIRE_LIMITS, u->run.instance),
                                   .tag = TAG_SHARE };
    struct err err = { 0 };

    if (!p || !digest_is_none(&u->run.next.manifest) ||
        limits_of(a, &u->kept, l, &message, &err) != RC_OK ||
        memcmp(&message.share, &p->share, sizeof p->share) == 0)
        return;
    if (wire_send(a->launch_sock, &message.head, NULL, 0, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "share payload=%s/%s", p->tenant, p->name);
}

/* Nothing is lost if it cannot be sent now: the next tick asks again. */
static void ask_frozen(struct agent *a, struct proc *p)
{
    const struct wire_freeze message = { .head = wire_head(p->frozen ? WIRE_FREEZE : WIRE_THAW,
                                                           p->instance) };
    struct err err = { 0 };

    if (wire_send(a->launch_sock, &message.head, NULL, 0, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "freeze payload=%s/%s", p->tenant, p->name);
}

static void set_frozen(struct agent *a, uint64_t instance, bool frozen)
{
    struct proc *p = find_proc(a, instance);

    if (!p || p->frozen == frozen)
        return;
    p->frozen = frozen;
    p->freeze_open = true;
    reconcile_freeze(&a->table, instance, frozen, clock_mono_ms());
    ask_frozen(a, p);
}

void supervise_freeze(struct agent *a, uint64_t instance)
{
    set_frozen(a, instance, true);
}

void supervise_thaw(struct agent *a, uint64_t instance)
{
    set_frozen(a, instance, false);
}

/* ---- listening to payloads ----------------------------------------------------------------------
 */

static void tell_abuse(struct agent *a, struct proc *p, bool ending)
{
    char name[2 * NAME_CAP];
    uint32_t due = abuse_due(&p->words, clock_mono_ms(), ending);

    (void)snprintf(name, sizeof name, "%s/%s", p->tenant, p->name);
    if (due > 0)
        agent_event(a, RC_NOTIFY_WORD, due, name);
}

static void tell_reload(struct proc *p, uint64_t now)
{
    if (p->reload_ms != 0 && now - p->reload_ms < RELOAD_TELL_MS)
        return;
    p->reload_ms = now;
    log_event(LOG_LEVEL_INFO, "reloading payload=%s/%s", p->tenant, p->name);
}

static void take_notify(struct agent *a, struct proc *p, const struct notify *n)
{
    uint64_t now = clock_mono_ms();

    abuse_add(&p->words, n->refused);
    tell_abuse(a, p, false);
    if (n->reloading)
        tell_reload(p, now);
    if (n->ready)
        reconcile_ready(&a->table, p->instance, now);
    if (n->watchdog)
        reconcile_beat(&a->table, p->instance, now);
    if (n->stopping && !p->told_stopping) {
        p->told_stopping = true;
        log_event(LOG_LEVEL_INFO, "stopping payload=%s/%s", p->tenant, p->name);
    }
    if (n->status[0] != '\0')
        log_event(LOG_LEVEL_DEBUG, "status payload=%s/%s text=%s", p->tenant, p->name, n->status);
}

/* At most so many datagrams, so that a payload cannot keep us to itself. */
static void drain_notify(struct agent *a, struct proc *p)
{
    struct err err = { 0 };
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && p->notify >= 0 && i < DATAGRAMS_PER_TURN; i++) {
        struct notify n = { 0 };

        rc = notify_receive(p->notify, &n, &err);
        if (rc == RC_OK)
            take_notify(a, p, &n);
    }
    if (rc == RC_IO)
        p->on_notify = sd_event_source_disable_unref(p->on_notify);
}

static int on_notify(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;

    (void)source;
    (void)events;
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        if (a->proc[i].instance != 0 && a->proc[i].notify == fd)
            drain_notify(a, &a->proc[i]);
    agent_step(a);
    return 0;
}

static int on_pipe(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    struct err err = { 0 };

    (void)source;
    (void)events;
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct proc *p = &a->proc[i];

        if (p->instance == 0 || p->pipe != fd)
            continue;
        enum rc rc = output_pump(&p->output, fd, LOGS_OUT, platform_now_ms(a, NULL), &err);
        if (rc == RC_SHORT)
            p->on_pipe = sd_event_source_disable_unref(p->on_pipe);
        else if (rc == RC_BUSY)
            (void)sd_event_source_set_enabled(p->on_pipe, SD_EVENT_OFF); /* until the next tick */
    }
    return 0;
}

void supervise_poll(struct agent *a)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        if (a->proc[i].instance != 0)
            drain_notify(a, &a->proc[i]);
}

/* The operator role began anew: what runs goes on until the first order of the new keys, since the
 * grants that come before it are still on their way. */
static bool awaits_grant(const struct agent *a, const struct unit *unit)
{
    return a->state.generation == 0 && a->trust && !trust_grant(a->trust, unit->kept.tenant);
}

/* A grant ends by itself, too, and one may have been taken back while its payload was starting. */
static enum rc grant_standing(const struct agent *a, const struct unit *u, uint64_t now_unix)
{
    if (recorded_stands_in(a, u->kept.tenant, u->run.team))
        return recorded_valid(a, u->kept.tenant, u->run.team, now_unix);
    if (!a->trust || awaits_grant(a, u))
        return RC_OK;
    return trust_still_valid(a->trust, u->kept.tenant, u->run.team, now_unix);
}

static void stop_expired(struct agent *a)
{
    uint64_t now_unix = agent_now_unix();

    for (uint32_t i = 0; i < a->table.n_units; i++) {
        enum rc rc = grant_standing(a, &a->table.unit[i], now_unix);

        if (rc != RC_OK)
            reconcile_deny(&a->table, &a->table.unit[i], rc, clock_mono_ms());
    }
}

void supervise_tick(struct agent *a)
{
    if (a->recheck)
        supervise_recheck(a);
    stop_expired(a);
    output_budget_tick(a->budget, UNITS_MAX);

    const uint64_t now_ms = platform_now_ms(a, NULL);
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct proc *p = &a->proc[i];
        struct err err = { 0 };

        if (p->instance == 0 || p->notify < 0)
            continue;
        const struct wire_stat message = { .head = wire_head(WIRE_STAT, p->instance) };
        (void)!wire_send(a->launch_sock, &message.head, NULL, 0, &err); /* the next one will do */
        tell_abuse(a, p, false);
        bus_tick(a, p, false);
        if (p->freeze_open)
            ask_frozen(a, p);
        audit_tick(a, p);
        output_tick(&p->output, now_ms);
        if (p->on_pipe)
            (void)sd_event_source_set_enabled(p->on_pipe, SD_EVENT_ON);
    }
}

/* Who of the signers would have done nobody can say without the grant: one that was taken back is
 * enough to stop, until it comes. */
static bool signer_revoked(const struct agent *a, const struct unit *u)
{
    struct slot slot = { .root = -1 };
    struct slot_id id = { .manifest = u->run.manifest };
    struct envelope e;
    struct err err = { 0 };
    bool revoked = false;

    memcpy(id.tenant, u->kept.tenant, sizeof id.tenant);
    memcpy(id.payload, u->kept.name, sizeof id.payload);
    if (slot_open(&a->slots, &id, &slot, &err) != RC_OK)
        return false;
    if (envelope_open((struct bytes){ slot.envelope, slot.envelope_bytes }, &e, &err) == RC_OK)
        for (uint32_t i = 0; i < e.n; i++)
            revoked |= revoked_key(trust_revoked(a->trust), e.signature[i].key_id.p) > REVOKE_KEEP;
    slot_close(&slot);
    return revoked;
}

void supervise_recheck(struct agent *a)
{
    a->recheck = false;
    for (uint32_t i = 0; i < a->table.n_units; i++) {
        struct unit *u = &a->table.unit[i];
        scoped(loaded_done) struct loaded l = { .slot.root = -1 };
        struct err err = { 0 };

        a->recheck |= u->run.phase == RUN_STARTING; /* it cannot be stopped before it runs */
        if (u->run.phase != RUN_UP && u->run.phase != RUN_READY)
            continue;
        if (awaits_grant(a, u)) {
            if (signer_revoked(a, u))
                reconcile_deny(&a->table, u, RC_KEY_REVOKED, clock_mono_ms());
            continue;
        }
        enum rc rc = load(a, &u->kept, &u->run.manifest, &l, &err);
        if (rc == RC_OK)
            rc = check_share(a, &u->kept, &l, &err);
        if (rc == RC_OK)
            renew_share(a, u, &l);
        /* Only what the trust says ends a run: not a slot that cannot be read just now, and not a
         * share that is large enough once those that were told to stop have ended. */
        if (rc == RC_OK || rc_class(rc) != RC_CLASS_REFUSED || rc == RC_NOT_FOUND)
            continue;
        keep_why(a, u->kept.tenant, u->kept.name, &err);
        reconcile_deny(&a->table, u, rc, clock_mono_ms());
    }
}

struct usage supervise_usage(const struct agent *a, const struct unit *unit)
{
    for (uint32_t i = 0; unit->run.phase != RUN_NONE && i < UNITS_MAX; i++)
        if (a->proc[i].instance == unit->run.instance)
            return a->proc[i].usage;
    return (struct usage){ 0 };
}

/* ---- listening to berth-launch ------------------------------------------------------------------
 */

/* So that who reads the log sees one start from the next, and that nothing is missing between. */
static void begin_output(struct agent *a, struct proc *p)
{
    char text[VERSION_CAP + 16];
    const uint64_t now_ms = platform_now_ms(a, NULL);

    output_open(&p->output, a->log_dir, p->tenant, p->name, p->instance, p->budget, now_ms);
    (void)snprintf(text, sizeof text, "started %s", p->usage.version);
    output_note(&p->output, text, now_ms);
}

static void end_output(struct agent *a, struct proc *p, enum rc code, int status)
{
    char text[64];

    if (p->output.instance == 0)
        return; /* it ended before it was heard of */
    (void)snprintf(text, sizeof text, "ended %.32s %d", rc_name(code), status);
    output_note(&p->output, text, platform_now_ms(a, NULL));
    logs_ended(a, p->tenant, p->name);
}

static void on_launched(struct agent *a, const struct wire_launched *m, struct wire_fds *fds)
{
    struct proc *p = find_proc(a, m->head.instance);

    if (!p)
        return; /* fds are closed by the caller */
    p->notify = take_fd(&fds->fd[WIRE_FD_NOTIFY]);
    p->pipe = take_fd(&fds->fd[WIRE_FD_OUTPUT]);
    begin_output(a, p);
    struct err err = { 0 };
    if (sd_event_add_io(a->loop, &p->on_notify, p->notify, EPOLLIN, on_notify, a) < 0 ||
        sd_event_add_io(a->loop, &p->on_pipe, p->pipe, EPOLLIN, on_pipe, a) < 0 ||
        bus_open(a, p, &fds->fd[WIRE_FD_BUS], &err) != RC_OK) {
        agent_exit(a, 1);
        return;
    }
    log_event(LOG_LEVEL_INFO, "launched payload=%s/%s instance=%llu pid=%d", p->tenant, p->name,
              (unsigned long long)p->instance, (int)m->pid);
    audit_begin(a, p, &m->receipt);
    mail_launched(a, p->instance, fds->fd[WIRE_FD_MAIL], fds->fd[WIRE_FD_PIDFD]);
    reconcile_launched(&a->table, p->instance, clock_mono_ms());
}

static void on_launch_failed(struct agent *a, const struct wire_launch_failed *m)
{
    struct proc *p = find_proc(a, m->head.instance);
    enum rc code = rc_from_number(m->rc);

    if (!p)
        return;
    struct err err = { 0 };
    (void)err_set(&err, code, "%.32s: %.96s", m->step, m->what);
    err.sys = m->sys;
    log_err(LOG_LEVEL_WARN, &err, "launch-failed payload=%s/%s", p->tenant, p->name);
    keep_why(a, p->tenant, p->name, &err);
    proc_close(p);
    mail_not_started(a, m->head.instance);
    reconcile_launch_failed(&a->table, m->head.instance, code, clock_mono_ms());
}

static void on_exited(struct agent *a, const struct wire_exited *m)
{
    struct proc *p = find_proc(a, m->head.instance);
    enum rc code = rc_from_number(m->rc);
    struct err err = { 0 };

    if (!p)
        return;
    drain_notify(a, p); /* it may have said READY=1 just before */
    tell_abuse(a, p, true);
    bus_tick(a, p, true);
    for (uint32_t n = 0; n < LAST_WORDS_MAX / 4096U && p->pipe >= 0; n++)
        if (output_pump(&p->output, p->pipe, LOGS_OUT, platform_now_ms(a, NULL), &err) != RC_OK)
            break;
    end_output(a, p, code, (int)m->status);
    log_event(LOG_LEVEL_INFO, "ended payload=%s/%s instance=%llu code=%s status=%d", p->tenant,
              p->name, (unsigned long long)p->instance, rc_name(code), (int)m->status);
    proc_close(p);
    bool well = code == RC_EXITED && m->status == 0;

    reconcile_exited(&a->table, m->head.instance, well ? RC_OK : code, clock_mono_ms());
}

static void on_stats(struct agent *a, const struct wire_stats *m)
{
    struct proc *p = find_proc(a, m->head.instance);

    if (!p)
        return;
    p->usage.memory_kib = (uint32_t)(m->usage.memory_bytes / 1024U);
    p->usage.cpu_ms = (uint32_t)(m->usage.cpu_us / 1000U);
}

static void on_frozen(struct agent *a, const struct wire_frozen *m)
{
    struct proc *p = find_proc(a, m->head.instance);
    enum rc code = rc_from_number(m->rc);

    if (!p || p->frozen != (m->frozen != 0))
        return; /* asked otherwise since */
    /* A thaw is asked for until it is done; what cannot be frozen is stopped instead. */
    p->freeze_open = code == RC_TIMEOUT || (code != RC_OK && !p->frozen);
    if (code != RC_OK && code != RC_TIMEOUT && p->frozen) {
        p->frozen = false;
        reconcile_freeze_failed(&a->table, p->instance, clock_mono_ms());
    }
    log_event(code == RC_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "%s payload=%s/%s code=%s",
              p->frozen ? "frozen" : "thawed", p->tenant, p->name, rc_name(code));
}

static void on_walls(struct agent *a, const struct wire_walls *m, struct wire_fds *fds)
{
    char missing[WALLS_TEXT_CAP];
    char waived[WALLS_TEXT_CAP];

    a->walls = (struct report_walls){ .standing = m->seen.standing,
                                      .missing = m->seen.missing,
                                      .waived = m->seen.waived,
                                      .landlock = m->seen.landlock_abi,
                                      .cgroup = m->seen.cgroup_version };
    log_event(LOG_LEVEL_INFO, "walls missing=%s waived=%s", walls_list(m->seen.missing, missing),
              walls_list(m->seen.waived, waived));
    if (fds->n > 0)
        refused_listen(a, &fds->fd[WIRE_FD_DENIED]);
    if (m->refused_rc == RC_OK)
        return;
    struct err err = { 0 };
    char what[64];

    (void)err_set(&err, rc_from_number(m->refused_rc), "%.95s", m->refused_what);
    err.sys = m->refused_sys;
    log_err(LOG_LEVEL_ERROR, &err, "nothing is launched");
    (void)snprintf(what, sizeof what, "wall %.50s", err.what);
    agent_event(a, err.rc, 1, what);
}

/* What the payload asks about itself, and what is said of it, is of the version that it is now. */
static void take_version(struct agent *a, struct proc *p)
{
    struct unit *u = reconcile_find_instance(&a->table, p->instance);
    scoped(loaded_done) struct loaded l = { .slot.root = -1 };
    struct wire_limits now = { .tag = 0 };
    struct err err = { 0 };

    if (!u || load(a, &u->kept, &u->run.manifest, &l, &err) != RC_OK ||
        limits_of(a, &u->kept, &l, &now, &err) != RC_OK)
        return;
    const struct manifest *m = loaded_manifest(&l);

    p->limits = now.limits;
    p->share = now.share;
    p->bus.facts = bus_facts(m, loaded_grant(a, &l), loaded_digest(&l));
    memcpy(p->usage.version, m->version, sizeof p->usage.version);
}

static void on_limited(struct agent *a, const struct wire_limited *m)
{
    struct proc *p = find_proc(a, m->head.instance);
    enum rc code = rc_from_number(m->rc);
    struct err err = { 0 };

    if (!p)
        return;
    if (code == RC_OK) {
        log_event(LOG_LEVEL_INFO, "limits payload=%s/%s instance=%llu", p->tenant, p->name,
                  (unsigned long long)p->instance);
    } else {
        (void)err_set(&err, code, "%.96s", m->what);
        err.sys = m->sys;
        log_err(LOG_LEVEL_WARN, &err, "limits payload=%s/%s", p->tenant, p->name);
        keep_why(a, p->tenant, p->name, &err);
    }
    if (m->tag == TAG_VERSION)
        reconcile_relimited(&a->table, m->head.instance, code, clock_mono_ms());
    if (code == RC_OK)
        take_version(a, p);
}

static void on_audited(struct agent *a, const struct wire_audited *m)
{
    const struct proc *p = find_proc(a, m->head.instance);

    if (p)
        audit_told(a, p, m);
}

/* False: there is no launcher any more, or none that can be believed. */
static bool take_message(struct agent *a, bool *ret_more)
{
    static union wire_message m; /* large, and there is one thread */
    scoped(wire_fds_close) struct wire_fds fds = WIRE_FDS_INIT;
    struct err err = { 0 };
    enum rc rc = wire_recv(a->launch_sock, &m, &fds, &err);

    *ret_more = rc == RC_OK;
    if (rc == RC_TIMEOUT)
        return true;
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "berth-launch has ended");
        return false;
    }
    switch ((enum wire_type)m.head.type) {
    case WIRE_LAUNCHED:
        on_launched(a, &m.launched, &fds);
        return true;
    case WIRE_LAUNCH_FAILED:
        on_launch_failed(a, &m.failed);
        return true;
    case WIRE_EXITED:
        on_exited(a, &m.exited);
        return true;
    case WIRE_STATS:
        on_stats(a, &m.stats);
        return true;
    case WIRE_FROZEN:
        on_frozen(a, &m.frozen);
        return true;
    case WIRE_LIMITED:
        on_limited(a, &m.limited);
        return true;
    case WIRE_AUDITED:
        on_audited(a, &m.audited);
        return true;
    case WIRE_WALLS:
        on_walls(a, &m.walls, &fds);
        return true;
    case WIRE_LAUNCH:
    case WIRE_AUDIT:
    case WIRE_STOP:
    case WIRE_STAT:
    case WIRE_FREEZE:
    case WIRE_THAW:
    case WIRE_LIMITS:
        break;
    }
    log_event(LOG_LEVEL_ERROR, "berth-launch sent a request");
    return false;
}

static int on_launch_socket(sd_event_source *source, int fd, uint32_t events, void *arg)
{
    struct agent *a = arg;
    bool more = true;

    (void)source;
    (void)fd;
    (void)events;
    for (uint32_t i = 0; more && i < DATAGRAMS_PER_TURN; i++)
        if (!take_message(a, &more)) {
            agent_exit(a, 1);
            return 0;
        }
    agent_step(a);
    return 0;
}

enum rc supervise_open(struct agent *a, struct err *err)
{
    for (uint32_t i = 0; i < UNITS_MAX; i++)
        a->proc[i] = (struct proc){ .notify = -1, .pipe = -1, .output.fd = -1, .bus = BUS_INIT };
    if (sd_event_add_io(a->loop, &a->on_launch, a->launch_sock, EPOLLIN, on_launch_socket, a) < 0)
        return err_set(err, RC_IO, "event loop");
    return RC_OK;
}
