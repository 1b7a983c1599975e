/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receive.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/install.h"
#include "agent/revoke.h"
#include "agent/supervise.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"

#define ATTEMPTS_MAX 3U
#define RETRY_MS 5000U
#define MESSAGES_PER_TURN 16U
#define ROOTS_WAITING_MAX 8U

/* ---- the queue ----------------------------------------------------------------------------------
 */

static struct item *find_item(struct agent *a, const struct digest *digest)
{
    for (uint32_t i = 0; i < a->n_items; i++)
        if (digest_same(&a->item[i].digest, digest))
            return &a->item[i];
    return NULL;
}

static void remove_item(struct agent *a, struct item *item)
{
    uint32_t i = (uint32_t)(item - a->item);

    close_fd(&item->fd);
    memmove(&a->item[i], &a->item[i + 1], (a->n_items - i - 1) * sizeof a->item[0]);
    a->n_items--;
}

/* The queue holds more than berth-link keeps ready and the store may hold together; what does not
 * fit is offered again at the next start. */
static void add_item(struct agent *a, const struct item *item)
{
    if (a->n_items == AGENT_QUEUE_MAX || find_item(a, &item->digest)) {
        int fd = item->fd;

        close_fd(&fd);
        return;
    }
    a->item[a->n_items++] = *item;
}

/* Roots before other documents, which may be signed by keys that they bring; these before packages;
 * each in the order in which they came. */
static struct item *next_item(struct agent *a)
{
    uint64_t now = clock_mono_ms();
    struct item *package = NULL, *document = NULL;

    for (uint32_t i = 0; i < a->n_items; i++) {
        struct item *item = &a->item[i];

        if (item->started || item->waiting || item->not_before_ms > now)
            continue;
        if (item->kind == OBJECT_ROOT)
            return item;
        if (item->kind != OBJECT_PACKAGE && !document)
            document = item;
        if (item->kind == OBJECT_PACKAGE && !package)
            package = item;
    }
    if (document)
        return document;
    return a->install.busy ? NULL : package;
}

/* Keep a root that came too early; it stays with berth-link until then.  Not more than a few:
 * nothing is known yet of who made them.  The ground sends again what the report's root version
 * lacks. */
static bool keep_waiting(struct agent *a, struct item *item)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->n_items; i++)
        n += a->item[i].waiting;
    item->waiting = n < ROOTS_WAITING_MAX;
    return item->waiting;
}

static void try_waiting(struct agent *a)
{
    for (uint32_t i = 0; i < a->n_items; i++)
        a->item[i].waiting = false;
}

static enum rc send_done(struct agent *a, const struct digest *digest, struct err *err)
{
    static struct port_message m; /* large, and there is one thread */

    memset(&m, 0, sizeof m);
    m.type = PORT_OBJECT_DONE;
    memcpy(m.done.digest, digest->b, DIGEST_SIZE);
    return port_send(a->link_sock, &m, -1, err);
}

/* Send what a full socket kept back, oldest first.  Without its answer an object takes up room in
 * the spool until the next start. */
static void settle_done(struct agent *a)
{
    struct err err = { 0 };
    uint32_t sent = 0;

    while (sent < a->n_owed && send_done(a, &a->owed[sent], &err) == RC_OK)
        sent++;
    a->n_owed -= sent;
    memmove(a->owed, a->owed + sent, a->n_owed * sizeof a->owed[0]);
}

static void object_done(struct agent *a, const struct digest *digest)
{
    struct err err = { 0 };

    settle_done(a);

    enum rc rc = a->n_owed > 0 ? RC_TIMEOUT : send_done(a, digest, &err);

    if (rc == RC_TIMEOUT && a->n_owed < AGENT_QUEUE_MAX)
        a->owed[a->n_owed++] = *digest;
    else if (rc != RC_OK) /* offered again at the next start, and known then */
        log_err(LOG_LEVEL_WARN, &err, "object-done");
}

/* ---- documents ----------------------------------------------------------------------------------
 */

/* What is in force in memory must be what is on disk: put it back if it could not be saved. */
static enum rc not_saved(struct agent *a, enum rc rc)
{
    struct err err = { 0 };

    if (agent_load_trust(a, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "trust");
        agent_exit(a, 1);
    }
    return rc;
}

static void trust_changed(struct agent *a)
{
    reconcile_reconsider(&a->table);
    supervise_recheck(a);
    receive_rescan(a);
    agent_report_soon(a);
}

/* Remove a tenant's grant from the disk; a leftover is refused at every start. */
static void remove_grant(struct agent *a, const char *tenant)
{
    static const char *const suffixes[] = { TRUST_GRANT_SUFFIX, ".a", ".b" };
    struct err err = { 0 };

    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char file[sizeof TRUST_GRANT_PREFIX + NAME_CAP + sizeof TRUST_GRANT_SUFFIX];

        (void)snprintf(file, sizeof file, TRUST_GRANT_PREFIX "%.*s%s", (int)NAME_CAP - 1, tenant,
                       suffixes[i]);
        if (fs_unlink(a->trust_dir, file, &err) != RC_OK)
            log_err(LOG_LEVEL_WARN, &err, "void grant");
    }
}

/* The operator role begins anew.  What runs goes on until the first order of the new keys: the
 * grants that come before it would else find everything stopped. */
static void reset_operator(struct agent *a, char before[][NAME_CAP], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!trust_grant(a->trust, before[i]))
            remove_grant(a, before[i]);
    agent_forget_void_order(a);
}

static size_t tenants_of(const struct agent *a, char ret[TENANTS_MAX][NAME_CAP])
{
    const struct grant *grants[TENANTS_MAX] = { 0 };
    size_t n = trust_grants(a->trust, grants, TENANTS_MAX);

    for (size_t i = 0; i < n; i++)
        memcpy(ret[i], grants[i]->tenant, NAME_CAP);
    return n;
}

/* On disk before anything rests on it: a cut before that leaves the old root, and the new one is
 * offered again; a cut behind it is made up for at start. */
static enum rc take_root(struct agent *a, struct bytes envelope, struct err *err)
{
    char before[TENANTS_MAX][NAME_CAP];
    size_t n = tenants_of(a, before);
    struct root_change change = { 0 };
    char what[40];
    enum rc rc = trust_next_root(a->trust, envelope, &change, err);

    if (rc != RC_OK || !change.taken)
        return rc;
    rc = statefile_save(a->trust_dir, "root", trust_root_envelope(a->trust), err);
    if (rc != RC_OK)
        return not_saved(a, rc);
    (void)snprintf(what, sizeof what, "root %llu",
                   (unsigned long long)trust_root(a->trust)->version);
    log_event(LOG_LEVEL_INFO, "%s%s%s", what, change.recovered ? " recovered" : "",
              change.operator_reset ? " operator-reset" : "");
    if (change.recovered)
        agent_event(a, RC_ROOT_RECOVERED, 1, what);
    if (change.operator_reset)
        reset_operator(a, before, n);
    try_waiting(a);
    trust_changed(a);
    return RC_OK;
}

/* The tenant whose grant came in exactly these bytes; NULL: the one held came in others. */
static const char *tenant_of(const struct agent *a, struct bytes envelope)
{
    const struct grant *grants[TENANTS_MAX] = { 0 };
    size_t n = trust_grants(a->trust, grants, TENANTS_MAX);

    for (size_t i = 0; i < n; i++)
        if (bytes_equal(trust_grant_envelope(a->trust, grants[i]->tenant), envelope))
            return grants[i]->tenant;
    return NULL;
}

static enum rc take_grant(struct agent *a, struct bytes envelope, struct err *err)
{
    char file[NAME_CAP + sizeof TRUST_GRANT_PREFIX];

    if (tenant_of(a, envelope))
        return RC_OK; /* held already */
    enum rc rc = trust_add_grant(a->trust, envelope, agent_now_unix(), err);
    const char *tenant = rc == RC_OK ? tenant_of(a, envelope) : NULL;
    if (rc != RC_OK || !tenant)
        return rc;
    (void)snprintf(file, sizeof file, TRUST_GRANT_PREFIX "%s", tenant);
    rc = statefile_save(a->trust_dir, file, envelope, err);
    if (rc != RC_OK)
        return not_saved(a, rc);
    log_event(LOG_LEVEL_INFO, "grant tenant=%s epoch=%llu", tenant,
              (unsigned long long)trust_grant(a->trust, tenant)->epoch);
    trust_changed(a);
    return RC_OK;
}

static enum rc take_order(struct agent *a, struct bytes envelope, struct err *err)
{
    const struct order_position position = agent_position(a);
    struct verified_order *order = NULL;
    enum rc rc = trust_verify_order(a->trust, envelope, &position, agent_now_unix(), &order, err);

    if (rc != RC_OK)
        return rc;
    bool known = a->ordered && verified_order_get(order)->generation == a->order.generation;
    if (!known)
        rc = statefile_save(a->state_dir, ORDER_FILE, envelope, err);
    if (rc == RC_OK && !known) {
        bool first = a->state.generation == 0;

        agent_set_order(a, order);
        agent_apply_order(a);
        if (first) /* what the role's change had let go on is judged now */
            supervise_recheck(a);
    }
    verified_order_free(&order);
    return rc;
}

/* First into the set, durably; from then on it is in force, whatever happens to us. */
static enum rc take_revocation(struct agent *a, struct bytes envelope, struct err *err)
{
    bool taken = false;
    enum rc rc = trust_add_revocation(a->trust, envelope, &taken, err);

    if (rc != RC_OK || !taken)
        return rc;
    rc = revoke_save(a, err);
    if (rc != RC_OK)
        return not_saved(a, rc);
    log_event(LOG_LEVEL_INFO, "revocation number=%llu entries=%u",
              (unsigned long long)trust_revoked(a->trust)->number, trust_revoked(a->trust)->n);
    revoke_apply(a);
    trust_changed(a);
    return RC_OK;
}

static enum rc take_document(struct agent *a, const struct item *item, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;

    if (item->size == 0 || item->size > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "document of %llu bytes", (unsigned long long)item->size);
    if (a->damaged)
        return err_set(err, RC_STATE_DAMAGED, "nothing new is taken");
    if (!a->trust)
        return err_set(err, RC_TRUST_MISSING, "document");
    buf = malloc(item->size);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "document");
    enum rc rc = fs_pread_exact(item->fd, buf, item->size, 0, err);
    struct bytes envelope = { .p = buf, .n = item->size };

    if (rc != RC_OK)
        return rc;
    switch ((enum object_kind)item->kind) {
    case OBJECT_ROOT:
        return take_root(a, envelope, err);
    case OBJECT_GRANT:
        return take_grant(a, envelope, err);
    case OBJECT_ORDER:
        return take_order(a, envelope, err);
    case OBJECT_REVOCATION:
        return take_revocation(a, envelope, err);
    case OBJECT_PACKAGE:
    case OBJECT_REPORT:
        break;
    }
    return err_set(err, RC_OBJECT_KIND, "kind %u", item->kind);
}

/* ---- packages -----------------------------------------------------------------------------------
 */

struct waiting {
    const struct agent *a;
    uint32_t n;
    struct digest digest[AGENT_QUEUE_MAX];
};

static bool add_waiting(void *arg, const struct digest *digest, uint64_t size)
{
    struct waiting *w = arg;

    (void)size;
    for (uint32_t i = 0; i < w->a->n_items; i++)
        if (digest_same(&w->a->item[i].digest, digest))
            return true;
    w->digest[w->n++] = *digest;
    return w->n < AGENT_QUEUE_MAX;
}

/* What is stored and not being worked on waits for a grant.  Anybody who has the link may send such
 * packages, so they may stay only as long as there is room to spare. */
static bool drop_waiting(struct agent *a)
{
    scoped(free_ptr) struct waiting *w = calloc(1, sizeof *w);
    struct err err = { 0 };

    if (!w)
        return false;
    w->a = a;
    if (objects_list(&a->objects, add_waiting, w, &err) != RC_OK)
        return false;
    for (uint32_t i = 0; i < w->n; i++)
        if (objects_remove(&a->objects, &w->digest[i], &err) != RC_OK)
            log_err(LOG_LEVEL_WARN, &err, "remove object");
    if (w->n > 0)
        log_event(LOG_LEVEL_WARN, "dropped packages without a grant n=%u", w->n);
    return w->n > 0;
}

/* Into our own store first: berth-link may be taken over, and its file may change under us. */
static enum rc take_package(struct agent *a, struct item *item, struct err *err)
{
    if (a->damaged)
        return err_set(err, RC_STATE_DAMAGED, "nothing new is taken");
    if (item->fd >= 0) {
        enum rc rc = objects_put(&a->objects, &item->digest, item->fd, item->size, err);

        if (rc == RC_STORE_QUOTA && drop_waiting(a))
            rc = objects_put(&a->objects, &item->digest, item->fd, item->size, err);
        if (rc != RC_OK)
            return rc;
        close_fd(&item->fd);
        object_done(a, &item->digest);
    }
    return RC_OK;
}

static void retry_or_drop(struct agent *a, struct item *item)
{
    struct err err = { 0 };

    if (++item->attempts < ATTEMPTS_MAX) {
        item->not_before_ms = clock_mono_ms() + (uint64_t)RETRY_MS * item->attempts;
        return;
    }
    if (item->fd >= 0)
        object_done(a, &item->digest);
    else if (objects_remove(&a->objects, &item->digest, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove object");
    remove_item(a, item);
}

static void work_package(struct agent *a, struct item *item)
{
    const struct digest digest = item->digest;
    struct err err = { 0 };
    enum rc rc = take_package(a, item, &err);

    if (rc != RC_OK) {
        agent_event_err(a, &err, "package");
        if (rc_class(rc) == RC_CLASS_RETRY) {
            retry_or_drop(a, item);
            return;
        }
        if (item->fd >= 0)
            object_done(a, &digest);
        remove_item(a, item);
        return;
    }
    item->started = true;
    rc = install_begin(a, &digest, &err);
    if (!a->install.busy)
        receive_installed(a, &digest, rc);
}

void receive_installed(struct agent *a, const struct digest *object, enum rc rc)
{
    struct item *item = find_item(a, object);

    if (item) {
        item->started = false;
        if (rc_class(rc) == RC_CLASS_RETRY)
            retry_or_drop(a, item);
        else
            remove_item(a, item);
    }
    receive_kick(a);
}

/* ---- turns --------------------------------------------------------------------------------------
 */

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {
        [OBJECT_ROOT] = "root",     [OBJECT_GRANT] = "grant",
        [OBJECT_ORDER] = "order",   [OBJECT_PACKAGE] = "package",
        [OBJECT_REPORT] = "report", [OBJECT_REVOCATION] = "revocation",
    };

    return kind >= OBJECT_ROOT && kind <= OBJECT_KIND_MAX ? names[kind] : "object";
}

static void work_document(struct agent *a, struct item *item)
{
    struct err err = { 0 };
    enum rc rc = take_document(a, item, &err);

    if (rc == RC_ROOT_GAP && keep_waiting(a, item)) {
        log_err(LOG_LEVEL_INFO, &err, "root is kept for later");
        return;
    }
    if (rc != RC_OK)
        agent_event_err(a, &err, kind_name(item->kind));
    if (rc != RC_OK && rc_class(rc) != RC_CLASS_RETRY)
        agent_set_aside(a, item->fd, &item->digest, rc);
    if (rc_class(rc) == RC_CLASS_RETRY) {
        retry_or_drop(a, item);
        return;
    }
    object_done(a, &item->digest);
    remove_item(a, item);
}

/* One object a turn, so that payloads and timers get theirs in between. */
static int on_work(sd_event_source *source, void *arg)
{
    struct agent *a = arg;
    struct item *item = next_item(a);

    (void)source;
    if (item && item->kind == OBJECT_PACKAGE)
        work_package(a, item);
    else if (item)
        work_document(a, item);
    receive_kick(a);
    agent_step(a);
    return 0;
}

void receive_kick(struct agent *a)
{
    settle_done(a);
    if (a->on_work)
        (void)sd_event_source_set_enabled(a->on_work, next_item(a) ? SD_EVENT_ON : SD_EVENT_OFF);
}

static bool queue_stored(void *arg, const struct digest *digest, uint64_t size)
{
    struct agent *a = arg;
    const struct item item = { .kind = OBJECT_PACKAGE, .digest = *digest, .size = size, .fd = -1 };

    add_item(a, &item);
    return a->n_items < AGENT_QUEUE_MAX;
}

void receive_rescan(struct agent *a)
{
    struct err err = { 0 };

    if (objects_list(&a->objects, queue_stored, a, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "objects");
    receive_kick(a);
}

/* ---- berth-link ---------------------------------------------------------------------------------
 */

static void on_object(struct agent *a, const struct port_object *o, int fd)
{
    struct item item = { .kind = o->kind, .size = o->size, .fd = fd };

    memcpy(item.digest.b, o->digest, DIGEST_SIZE);
    add_item(a, &item);
    receive_kick(a);
}

static void take_message(struct agent *a, const struct port_message *m, int fd)
{
    switch ((enum port_type)m->type) {
    case PORT_OBJECT:
        on_object(a, &m->object, fd);
        break;
    case PORT_EVENT:
        /* The detail differs from bundle to bundle: in the report it would only crowd out the rest.
         */
        log_event(LOG_LEVEL_DEBUG, "bundle code=%s what=%s", rc_name(rc_from_number(m->event.rc)),
                  m->event.what);
        if (m->event.count > 0)
            agent_event(a, rc_from_number(m->event.rc), m->event.count, "bundle");
        break;
    case PORT_TRANSFERS:
        a->transfers = m->transfers;
        agent_report_soon(a);
        break;
    case PORT_CONTACT:
        agent_report_soon(a);
        break;
    case PORT_OBJECT_DONE:
    case PORT_REPORT:
        assert(false); /* port_recv lets only the link's messages through */
        break;
    }
}

static int on_link_socket(sd_event_source *source, int sock, uint32_t events, void *arg)
{
    static struct port_message m; /* large, and there is one thread */
    struct agent *a = arg;

    (void)source;
    (void)events;
    for (uint32_t i = 0; i < MESSAGES_PER_TURN; i++) {
        struct err err = { 0 };
        int fd = -1;
        enum rc rc = port_recv(sock, PORT_FROM_LINK, &m, &fd, &err);

        if (rc == RC_TIMEOUT)
            break;
        if (rc != RC_OK) {
            log_err(LOG_LEVEL_ERROR, &err, "berth-link has ended");
            agent_exit(a, 1);
            break;
        }
        take_message(a, &m, fd);
    }
    return 0;
}

enum rc receive_open(struct agent *a, struct err *err)
{
    if (sd_event_add_io(a->loop, &a->on_link, a->link_sock, EPOLLIN, on_link_socket, a) < 0 ||
        sd_event_add_defer(a->loop, &a->on_work, on_work, a) < 0)
        return err_set(err, RC_IO, "event loop");
    receive_rescan(a);
    return RC_OK;
}
