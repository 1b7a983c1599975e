/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/receive.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/documents.h"
#include "agent/install.h"
#include "agent/kept.h"
#include "agent/lists.h"
#include "agent/reserve.h"
#include "agent/revoke.h"
#include "agent/room.h"
#include "agent/scrub.h"
#include "agent/stored.h"
#include "agent/supervise.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"
#include "update/package.h"

#define ATTEMPTS_MAX 3U
#define FULL_BACKOFF_MAX 4U /* doublings of RETRY_MS while the disk is full */
#define RETRY_MS 5000U
#define YIELD_MS 1000U /* after a job that made way */
#define MESSAGES_PER_TURN 16U
#define WAITING_MAX 8U
#define MAIL_HELD_MAX 4U /* messages without room: berth-link has places for 8 */

/* ---- the queue ----------------------------------------------------------------------------------
 */

static bool may_begin(const void *arg, const char *tenant)
{
    return install_may_begin(arg, tenant);
}

static struct item *next_item(struct agent *a)
{
    const struct queue_ask ask = { .taking = a->taking, .may_begin = may_begin, .arg = a };

    return queue_next(&a->queue, clock_mono_ms(), &ask);
}

/* Whose keys signed a package: so that turns and room can be shared out before anything large is
 * read.  Only a hint, even if it holds: what is installed is verified again, from our own copy. */
static void find_owner(struct agent *a, struct item *item)
{
    scoped(close_fd) int stored = -1;
    scoped(package_done) struct package package = { 0 };
    struct verified_manifest *m = NULL;
    struct err err = { 0 };

    item->tenant[0] = '\0';
    if (item->kind != OBJECT_PACKAGE || !a->trust)
        return;
    if (item->fd < 0 && objects_peek(&a->objects, &item->digest, &stored, &err) != RC_OK)
        return;

    int fd = item->fd < 0 ? stored : item->fd;
    enum package_kind kind = PACKAGE_FULL;

    if (package_kind(fd, &kind, &err) == RC_OK &&
        (kind == PACKAGE_DELTA ? package_open_delta : package_open)(fd, &package, &err) == RC_OK &&
        trust_verify_manifest(a->trust, package_envelope(&package), agent_now_unix(), &m, &err) ==
            RC_OK) {
        memcpy(item->tenant, verified_manifest_get(m)->tenant, sizeof item->tenant);
        memcpy(item->team, verified_manifest_get(m)->team, sizeof item->team);
    }
    verified_manifest_free(&m);
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

    if (rc == RC_TIMEOUT && a->n_owed < QUEUE_MAX)
        a->owed[a->n_owed++] = *digest;
    else if (rc != RC_OK) /* offered again at the next start, and known then */
        log_err(LOG_LEVEL_WARN, &err, "object-done");
}

/* Give up a package that waits, so that there is room for one more of this tenant.  False: nobody
 * has more than that tenant would have.  The ground sees it, and may send it again. */
static bool make_way(struct agent *a, const char *tenant)
{
    struct item *victim = queue_victim(&a->queue, tenant);
    struct err err = { 0 };

    if (!victim)
        return false;
    agent_event(a, RC_SPOOL_FULL, 1, victim->tenant[0] != '\0' ? victim->tenant : "package");
    if (victim->fd >= 0)
        object_done(a, &victim->digest);
    else if (objects_remove(&a->objects, &victim->digest, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove object");
    queue_remove(&a->queue, victim);
    return true;
}

/* What does not fit is offered again at the next start. */
static void add_item(struct agent *a, struct item *item)
{
    struct err err = { 0 };

    if (queue_find(&a->queue, &item->digest)) {
        close_fd(&item->fd);
        return;
    }
    find_owner(a, item);
    if (queue_add(&a->queue, item) ||
        (item->kind == OBJECT_PACKAGE && make_way(a, item->tenant) && queue_add(&a->queue, item)))
        return;
    (void)err_set(&err, RC_SPOOL_FULL, "%s", item->tenant);
    log_err(LOG_LEVEL_WARN, &err, "queue");
    close_fd(&item->fd);
}

/* Keep a root, a token or a delegation that came too early; it stays with berth-link until then.
 * Not more than a few: nothing is known yet of who made a root.  The ground sends again what the
 * report lacks. */
static bool keep_waiting(struct agent *a, struct item *item)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a->queue.n; i++)
        n += a->queue.item[i].waiting && a->queue.item[i].kind == item->kind;
    item->waiting = n < WAITING_MAX;
    return item->waiting;
}

void receive_try_waiting(struct agent *a)
{
    for (uint32_t i = 0; i < a->queue.n; i++)
        a->queue.item[i].waiting = false;
}

/* ---- documents ----------------------------------------------------------------------------------
 */

static enum rc take_document(struct agent *a, const struct item *item, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;

    if (item->kind == OBJECT_MAIL)
        return a->data_dir < 0 ? err_set(err, RC_STATE_DIR, "data")
                               : mail_take(a, item->fd, item->size, &item->digest, err);
    if (item->size == 0 || item->size > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "document of %llu bytes", (unsigned long long)item->size);
    buf = malloc(item->size);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "document");
    enum rc rc = fs_pread_exact(item->fd, buf, item->size, 0, err);
    struct bytes envelope = { .p = buf, .n = item->size };

    if (rc == RC_OK && a->damaged)
        return documents_take_damaged(a, item->kind, envelope, err);
    if (rc == RC_OK)
        rc = documents_take(a, item->kind, envelope, err);
    if (rc == RC_NO_SPACE && reserve_release(a->state_dir))
        rc = documents_take(a, item->kind, envelope, err);
    return rc;
}

/* ---- packages -----------------------------------------------------------------------------------
 */

/* Into our own store first: berth-link may be taken over, and its file may change under us.  Step
 * by step: a large package on a slow medium takes longer than anybody else should wait. */
static enum rc begin_store(struct agent *a, const struct item *item, struct err *err)
{
    const struct item copy = *item; /* making room moves the others about */
    enum rc rc = room_to_wait(a, copy.tenant, copy.size, err);

    if (rc != RC_OK)
        return rc;
    rc = objects_put_begin(&a->objects, &copy.digest, copy.fd, copy.size, &a->intake, err);
    if (rc != RC_STORE_QUOTA)
        return rc;
    rc = stored_make_room(a, copy.tenant, copy.size, err);
    return rc == RC_OK
               ? objects_put_begin(&a->objects, &copy.digest, copy.fd, copy.size, &a->intake, err)
               : rc;
}

static enum rc take_package(struct agent *a, const struct item *item, struct err *err)
{
    if (a->damaged)
        return err_set(err, RC_STATE_DAMAGED, "nothing new is taken");
    if (!a->trust && a->lost != 0)
        return err_set(err, RC_SAFE_MODE, "nothing new is taken");
    return item->fd < 0 ? RC_OK : begin_store(a, item, err);
}

/* There is no room now, which passes by itself. */
static bool is_full(const struct item *item, enum rc rc)
{
    return rc == RC_NO_SPACE || (rc == RC_MAIL_FULL && item->kind == OBJECT_MAIL);
}

/* Whether what finds no room may stay with berth-link: of messages only a few, for others may fit;
 * they go when they expire. */
static bool may_hold(const struct agent *a, const struct item *item)
{
    uint32_t held = 0;

    if (item->kind != OBJECT_MAIL)
        return queue_may_hold(&a->queue, item);
    for (uint32_t i = 0; i < a->queue.n; i++) {
        const struct item *other = &a->queue.item[i];

        held += other != item && other->kind == OBJECT_MAIL && other->full > 0;
    }
    return held < MAIL_HELD_MAX;
}

/* Again later, after a while that grows.  What finds no room is not given up: nobody is at fault,
 * and when there is room it goes on by itself. */
static void retry_or_drop(struct agent *a, struct item *item, enum rc rc)
{
    struct err err = { 0 };

    if (is_full(item, rc) && may_hold(a, item)) {
        item->not_before_ms = clock_mono_ms() + ((uint64_t)RETRY_MS << item->full);
        item->full += item->full < FULL_BACKOFF_MAX;
        return;
    }
    item->full = 0;
    if (rc != RC_NO_SPACE && ++item->attempts < ATTEMPTS_MAX) {
        item->not_before_ms = clock_mono_ms() + (uint64_t)RETRY_MS * item->attempts;
        return;
    }
    if (item->fd >= 0)
        object_done(a, &item->digest);
    else if (kept_is(a, item->tenant, &item->digest) == KEPT_NO &&
             objects_remove(&a->objects, &item->digest, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "remove object");
    queue_remove(&a->queue, item);
}

/* It is in the store now, or has been before: unpack it if its tenant's turn has come. */
static void begin_package(struct agent *a, struct item *item)
{
    const struct digest digest = item->digest;
    struct err err = { 0 };

    item->started = true;
    enum rc rc = install_begin(a, &digest, item->yields, &err);
    if (!install_runs(a, &digest))
        receive_installed(a, &digest, rc);
}

/* It was not taken into the store, or not worked on. */
static void not_taken(struct agent *a, struct item *item, const struct err *err)
{
    const struct digest digest = item->digest;

    if (err->rc != RC_NO_SPACE || item->full == 0)
        agent_event_err(a, err, item->tenant[0] != '\0' ? item->tenant : "package");
    if (rc_class(err->rc) == RC_CLASS_RETRY) {
        retry_or_drop(a, item, err->rc);
        return;
    }
    if (item->fd >= 0)
        object_done(a, &digest);
    queue_remove(&a->queue, item);
}

/* Begin with a step: into the store, or out of it. */
static void work_package(struct agent *a, struct item *item)
{
    const struct digest digest = item->digest;
    const bool stored = item->fd < 0;
    struct err err = { 0 };

    queue_took_turn(&a->queue, item->tenant);
    enum rc rc = take_package(a, item, &err);
    item = queue_find(&a->queue, &digest);
    assert(item); /* nobody makes way for itself */
    if (rc != RC_OK) {
        not_taken(a, item, &err);
    } else if (stored) {
        begin_package(a, item);
    } else {
        item->started = true; /* it stays until it is in the store */
        a->taking = true;
    }
}

/* A piece more of the package that is being taken into the store. */
static void go_on_taking(struct agent *a)
{
    struct item *item = queue_find(&a->queue, &a->intake.digest);
    struct err err = { 0 };

    assert(item && item->started);
    enum rc rc = objects_put_step(&a->objects, &a->intake, &err);
    if (rc == RC_BUSY)
        return;
    a->taking = false;
    item->started = false;
    if (rc != RC_OK) {
        not_taken(a, item, &err);
        return;
    }
    close_fd(&item->fd);
    object_done(a, &item->digest);
}

void receive_installed(struct agent *a, const struct digest *object, enum rc rc)
{
    struct item *item = queue_find(&a->queue, object);

    if (item) {
        item->started = false;
        if (rc == RC_BUSY) {
            item->yields++;
            item->not_before_ms = clock_mono_ms() + YIELD_MS;
        } else if (rc_class(rc) == RC_CLASS_RETRY) {
            retry_or_drop(a, item, rc);
        } else {
            queue_remove(&a->queue, item);
        }
    }
    receive_kick(a);
}

/* ---- turns --------------------------------------------------------------------------------------
 */

/* What it rests on may be on its way. */
static bool is_early(const struct item *item, enum rc rc)
{
    bool parent = rc == RC_GRANT_MISSING || rc == RC_DELEGATION_MISSING;

    return rc == RC_ROOT_GAP || rc == RC_TOKEN_EARLY || (item->kind == OBJECT_DELEGATION && parent);
}

static void work_document(struct agent *a, struct item *item)
{
    struct err err = { 0 };
    enum rc rc = take_document(a, item, &err);

    if (is_early(item, rc) && keep_waiting(a, item)) {
        log_err(LOG_LEVEL_INFO, &err, "%s is kept for later", object_kind_name(item->kind));
        return;
    }
    if (rc == RC_BUSY && item->kind == OBJECT_REKEY) {
        item->not_before_ms = clock_mono_ms() + REKEY_ASK_MS;
        return;
    }
    if (rc != RC_OK && (!is_full(item, rc) || item->full == 0))
        agent_event_err(a, &err, object_kind_name(item->kind));
    if (rc != RC_OK && rc_class(rc) != RC_CLASS_RETRY)
        agent_set_aside(a, item->fd, &item->digest, rc);
    if (rc_class(rc) == RC_CLASS_RETRY) {
        retry_or_drop(a, item, rc);
        return;
    }
    object_done(a, &item->digest);
    queue_remove(&a->queue, item);
}

/* One object a turn, or a piece of one, so that payloads and timers get theirs in between. */
static int on_work(sd_event_source *source, void *arg)
{
    struct agent *a = arg;
    struct item *item = next_item(a);

    (void)source;
    if (item && item->kind == OBJECT_PACKAGE)
        work_package(a, item);
    else if (item)
        work_document(a, item);
    if (a->taking)
        go_on_taking(a);
    receive_kick(a);
    agent_step(a);
    return 0;
}

void receive_kick(struct agent *a)
{
    settle_done(a);
    if (a->on_work)
        (void)sd_event_source_set_enabled(a->on_work,
                                          a->taking || next_item(a) ? SD_EVENT_ON : SD_EVENT_OFF);
}

/* Nobody makes way for what has been here before. */
static bool queue_stored(void *arg, const struct digest *digest, uint64_t size)
{
    struct agent *a = arg;
    struct item item = { .kind = OBJECT_PACKAGE, .digest = *digest, .size = size, .fd = -1 };

    if (queue_find(&a->queue, digest))
        return true;
    enum kept kept = kept_is(a, "", digest);
    if (kept == KEPT_YES) /* that one has been installed */
        return true;
    find_owner(a, &item);
    if (kept == KEPT_PERHAPS && item.tenant[0] != '\0')
        kept = kept_is(a, item.tenant, digest);
    if (kept != KEPT_NO)
        return true;
    return queue_add(&a->queue, &item) != NULL;
}

void receive_stored(struct agent *a, const struct digest *object)
{
    struct item item = { .kind = OBJECT_PACKAGE, .digest = *object, .fd = -1 };

    if (queue_find(&a->queue, object))
        return;
    find_owner(a, &item);
    (void)queue_add(&a->queue, &item); /* without a place: whoever wants it asks again */
    receive_kick(a);
}

bool receive_has(struct agent *a, const struct digest *object)
{
    return queue_find(&a->queue, object) != NULL;
}

void receive_rescan(struct agent *a)
{
    struct err err = { 0 };

    for (uint32_t i = 0; i < a->queue.n; i++)
        find_owner(a, &a->queue.item[i]);
    if (list_objects(a, queue_stored, a, &err) != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "objects");
    receive_kick(a);
}

/* ---- berth-link ---------------------------------------------------------------------------------
 */

/* What berth-link says of its size is a claim: room is made by what is there. */
static void on_object(struct agent *a, const struct port_object *o, int fd)
{
    struct item item = { .kind = o->kind, .fd = fd };
    struct err err = { 0 };
    struct stat st;

    memcpy(item.digest.b, o->digest, DIGEST_SIZE);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)err_set(&err, RC_NOT_REGULAR, "object of the link");
        agent_event_err(a, &err, "object of the link");
        object_done(a, &item.digest);
        close_fd(&fd);
        return;
    }
    item.size = (uint64_t)st.st_size;
    add_item(a, &item);
    receive_kick(a);
}

/* berth-link has answered: what waits for it need not wait out its time. */
static void retry_rekeys(struct agent *a)
{
    for (uint32_t i = 0; i < a->queue.n; i++)
        if (a->queue.item[i].kind == OBJECT_REKEY)
            a->queue.item[i].not_before_ms = 0;
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
        agent_contact(a);
        break;
    case PORT_KEY_HELD:
        if (rekey_answer(a, &m->held))
            retry_rekeys(a);
        break;
    case PORT_KEYS:
        rekey_links(a, &m->keys);
        retry_rekeys(a);
        break;
    case PORT_HEARD:
        a->heard = true;
        break;
    case PORT_SCRUBBED:
        scrub_link(a, &m->scrubbed);
        break;
    case PORT_MAIL_SENT:
        mail_sent(a, &m->mail_sent);
        break;
    case PORT_PONG:
        pulse_heard(&a->pulse, m->pulse.number);
        break;
    case PORT_PING:
    case PORT_MAIL:
    case PORT_MAIL_DROP:
    case PORT_OBJECT_DONE:
    case PORT_REPORT:
    case PORT_BRIEF:
    case PORT_KEY:
    case PORT_SCRUB:
    case PORT_SEED:
        assert(false); /* port_recv lets only the link's messages through */
        break;
    }
}

/* A full socket is as bad as no answer: nobody reads there. */
void receive_tick(struct agent *a, uint64_t now_ms)
{
    static struct port_message m; /* large, and there is one thread */
    struct err err = { 0 };
    enum rc rc = RC_OK;

    switch (pulse_turn(&a->pulse, now_ms)) {
    case PULSE_REST:
        return;
    case PULSE_ASK:
        m.type = PORT_PING;
        m.pulse.number = a->pulse.asked;
        rc = port_send(a->link_sock, &m, -1, &err);
        if (rc != RC_OK && rc != RC_TIMEOUT)
            log_err(LOG_LEVEL_WARN, &err, "berth-link"); /* its end is heard by itself */
        return;
    case PULSE_DEAD:
        agent_event(a, RC_TIMEOUT, 1, "berth-link");
        log_event(LOG_LEVEL_ERROR, "berth-link does not answer any more");
        agent_exit(a, 1);
        return;
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
