/* SPDX-License-Identifier: Apache-2.0 */
#include "link/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "base/log.h"
#include "link/dircl.h"
#include "link/inbox.h"
#include "link/mailroom.h"
#include "link/outbox.h"
#include "link/receiver.h"
#include "link/status.h"
#include "link/transfer.h"

#define TICK_FILES 256U       /* uplink files per tick */
#define RESCAN_MS 1000U       /* look into the uplink at least so often: file events get lost */
#define TRANSFERS_MS 200U     /* at most so often */
#define TRAFFIC_MS 5000U      /* when nothing else is new, counts alone at most so often */
#define EVENT_MS 200U         /* the same code at most so often */
#define EVENT_BENIGN_MS 2000U /* duplicates are no news */
#define QUIET_MS 5000U        /* a gap between contacts */
#define EVENTS_MAX 32U        /* codes that wait to be told at once */
#define REPORTS_KEPT 4U       /* newest reports in the downlink: one lost file is no loss */
#define PORT_MESSAGES_MAX 64U /* per call */

struct event {
    struct port_event event; /* count 0 = nothing to tell */
    uint64_t told_ms;
};

struct endpoint {
    struct endpoint_fds fds;
    bool refusing; /* no usable keys or window */
    struct link_state state;
    int rejects_dir;
    struct rejects rejects;
    struct receiver *receiver;
    struct inbox *inbox;
    struct mailroom *mailroom;
    uint64_t now_ms;
    uint64_t file_ms; /* when an uplink file was there last */
    bool met;         /* ever */
    bool contact_due;
    bool heard; /* a bundle that was authentic, new, and taken in */
    bool heard_told;
    struct port_traffic traffic;
    bool traffic_due;
    uint64_t told_version; /* of the receiver */
    uint64_t transfers_ms;
    size_t n_events;
    struct event event[EVENTS_MAX];
    size_t n_offered;
    uint8_t offered[RECEIVER_READY_MAX][DIGEST_SIZE];
    struct port_keys told_keys;
    bool keys_told; /* ever */
    struct port_message msg;
    uint8_t report[REPORT_MAX + 64U];
};

/* Count something that was refused, to be told soon.  When the table is full the count of the last
 * code in it is as good as any. */
static void note(struct endpoint *e, const struct err *why, uint32_t count)
{
    size_t i = 0;

    while (i < e->n_events && e->event[i].event.rc != (uint32_t)why->rc)
        i++;
    if (i == EVENTS_MAX)
        i--;
    if (i == e->n_events)
        e->event[e->n_events++] = (struct event){ 0 };
    struct port_event *event = &e->event[i].event;

    event->rc = (uint32_t)why->rc;
    event->count = event->count > UINT32_MAX - count ? UINT32_MAX : event->count + count;
    snprintf(event->what, sizeof event->what, "%.63s", why->what[0] != '\0' ? why->what : "bundle");
}

/* The ground says which messages it has. */
static enum rc take_status(struct endpoint *e, struct bytes message, struct err *err)
{
    scoped(free_ptr) struct port_transfers *status = calloc(1, sizeof *status);

    if (status == NULL)
        return err_set(err, RC_NO_MEMORY, "status");
    enum rc rc = status_decode(message, status, err);
    if (rc == RC_OK)
        mailroom_status(e->mailroom, status, e->now_ms);
    return rc;
}

/* Only the ground itself says what it has: a tenant could end the messages of others. */
static enum rc take(void *arg, const char *tenant, struct bytes message, struct err *err)
{
    struct endpoint *e = arg;
    enum rc rc = RC_OK;

    if (!status_is(message))
        rc = receiver_take(e->receiver, tenant, message, e->now_ms, err);
    else if (tenant[0] == '\0')
        rc = take_status(e, message, err);
    else
        rc = err_set(err, RC_OBJECT_KIND, "status under the key of %s", tenant);

    e->heard |= rc == RC_OK;
    return rc;
}

static enum rc commit(void *arg, struct err *err)
{
    struct endpoint *e = arg;

    return receiver_commit(e->receiver, err);
}

/* Count a file, for this contact and for all. */
static void met(void *arg, uint64_t bytes, enum rc rc)
{
    struct endpoint *e = arg;
    struct port_bytes *counts[] = { &e->traffic.contact, &e->traffic.all };

    for (size_t i = 0; i < 2; i++) {
        counts[i]->in += bytes;
        if (rc == RC_OK && receiver_was_new(e->receiver))
            counts[i]->useful += bytes;
        else if (rc == RC_OK || rc == RC_REPLAY)
            counts[i]->repeated += bytes;
    }
    e->traffic_due = true;
}

static void refused(void *arg, const struct err *why, uint32_t count)
{
    note(arg, why, count);
}

/* Keys of which something was lost; the others work. */
static void note_damage(struct endpoint *e)
{
    for (uint32_t i = 0; i < e->state.ring->n; i++) {
        const struct link_key *key = &e->state.ring->key[i];
        struct err why = { 0 };

        if (key->counter.broken) {
            err_set(&why, RC_COUNTER, "reports cannot be sealed");
            note(e, &why, 1);
        }
        if (key->deaf) {
            err_set(&why, RC_STATE_DAMAGED, "replay window of key epoch %u", key->keys.epoch);
            note(e, &why, 1);
        }
    }
}

/* They are only kept for somebody to look at: where they cannot be, what is refused goes. */
static struct rejects *open_rejects(struct endpoint *e)
{
    struct err why = { 0 };
    enum rc rc = fs_open_dir(e->fds.spool, "rej", 0700, &e->rejects_dir, &why);

    if (rc == RC_OK)
        rc = rejects_open(e->rejects_dir, &e->rejects, &why);
    if (rc == RC_OK)
        return &e->rejects;
    log_err(LOG_LEVEL_WARN, &why, "refused bundles are not kept");
    err_set(&why, RC_STATE_DIR, "rej");
    note(e, &why, 1);
    return NULL;
}

enum rc endpoint_new(const struct endpoint_fds *fds, uint64_t now_ms, struct endpoint **ret,
                     struct err *err)
{
    scoped(endpoint_free) struct endpoint *e = calloc(1, sizeof *e);
    const struct receiver_options options = { 0 };
    struct err why = { 0 };

    if (e == NULL)
        return err_set(err, RC_NO_MEMORY, "endpoint");
    e->fds = *fds;
    e->rejects_dir = -1;
    const struct inbox_ops ops = {
        .take = take, .commit = commit, .refused = refused, .met = met, .arg = e
    };

    enum rc rc = receiver_open(fds->spool, &options, now_ms, &e->receiver, err);
    if (rc == RC_OK)
        rc = mailroom_new(&e->mailroom, err);
    if (rc == RC_OK)
        rc = inbox_new(fds->up, &e->state, open_rejects(e), &ops, &e->inbox, err);
    if (rc != RC_OK)
        return rc;
    if (fs_sweep(fds->keys, ".", &why) != RC_OK)
        log_err(LOG_LEVEL_WARN, &why, "sweep");
    e->refusing = link_state_open(fds->keys, LINK_SIDE_SATELLITE, &e->state, &why) != RC_OK;
    if (e->refusing)
        note(e, &why, 1);
    else
        note_damage(e);
    *ret = e;
    e = NULL;
    return RC_OK;
}

void endpoint_free(struct endpoint **endpoint)
{
    struct endpoint *e = *endpoint;

    if (e == NULL)
        return;
    inbox_free(&e->inbox);
    receiver_close(&e->receiver);
    mailroom_free(&e->mailroom);
    close_fd(&e->rejects_dir);
    link_state_done(&e->state);
    free(e);
    *endpoint = NULL;
}

/* Send e->msg.  A full port is RC_TIMEOUT: later. */
static enum rc tell(struct endpoint *e, enum port_type type, int fd, struct err *err)
{
    e->msg.type = type;
    e->msg.reserved = 0;
    return port_send(e->fds.port, &e->msg, fd, err);
}

/* ---- from berthd ------------------------------------------------------------------------------
 */

/* Seal a report and put it into the downlink; older ones make room. */
static enum rc send_report(struct endpoint *e, const struct port_report *report, bool brief,
                           struct err *err)
{
    const struct transfer_message msg = { .type = TRANSFER_INLINE,
                                          .whole = { .kind = OBJECT_REPORT,
                                                     .data = { report->bytes, report->n } } };
    struct bytes message = { 0 };
    enum rc rc = transfer_encode(&msg, e->report, sizeof e->report, &message, err);

    const uint64_t before = e->state.written;
    if (rc == RC_OK)
        rc = brief ? outbox_put_brief(&e->state, e->fds.down, message, err)
                   : outbox_put(&e->state, "", e->fds.down, message, err);
    e->traffic.contact.out += e->state.written - before;
    e->traffic.all.out += e->state.written - before;
    if (rc == RC_OK)
        rc = outbox_trim(&e->state, e->fds.down, REPORTS_KEPT, err);
    return rc == RC_OK ? dircl_sync(e->fds.down, err) : rc;
}

/* berthd is done with an object. */
static enum rc object_done(struct endpoint *e, const uint8_t digest[DIGEST_SIZE], struct err *err)
{
    for (size_t i = 0; i < e->n_offered; i++) {
        if (memcmp(e->offered[i], digest, DIGEST_SIZE) != 0)
            continue;
        e->n_offered--;
        memmove(e->offered[i], e->offered[e->n_offered], DIGEST_SIZE);
        break;
    }
    return receiver_done(e->receiver, digest, err);
}

/* Install a key and say what came of it.  An answer that finds no room is lost: berthd asks again,
 * and a key that is held already is no news. */
static enum rc take_key(struct endpoint *e, struct err *err)
{
    const struct port_key_id id = e->msg.key.id;
    struct link_offer offer = { .epoch = id.epoch };
    struct err why = { 0 };
    enum rc rc = RC_OK;

    snprintf(offer.tenant, sizeof offer.tenant, "%.*s", (int)NAME_MAX_LEN, id.tenant);
    memcpy(offer.secret, e->msg.key.secret, sizeof offer.secret);
    crypto_wipe(&e->msg, sizeof e->msg);
    if (e->refusing)
        rc = err_set(&why, RC_KEY_FILE, "no usable link keys");
    else if (id.peer != link_state_peer(&e->state))
        rc = err_set(&why, RC_NOT_FOUND, "node %u is not the peer", id.peer);
    else
        rc = link_state_install(&e->state, &offer, &why);
    crypto_wipe(&offer, sizeof offer);
    if (rc == RC_OK)
        log_event(LOG_LEVEL_INFO, "key epoch=%u tenant=%s", id.epoch, id.tenant);
    else
        log_err(LOG_LEVEL_WARN, &why, "key");
    e->msg.held = (struct port_key_held){ .id = id, .rc = (uint32_t)rc };
    rc = tell(e, PORT_KEY_HELD, -1, err);
    return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* Offers of objects that are gone are void. */
static void forget_offers(struct endpoint *e)
{
    struct port_object object;
    size_t kept = 0;

    for (size_t i = 0; i < e->n_offered; i++) {
        bool there = false;

        for (size_t k = 0; receiver_ready(e->receiver, k, &object); k++)
            there |= memcmp(object.digest, e->offered[i], DIGEST_SIZE) == 0;
        if (there && kept != i)
            memcpy(e->offered[kept], e->offered[i], DIGEST_SIZE);
        kept += there;
    }
    e->n_offered = kept;
}

/* Read all that is kept here again, and say what was found. */
static enum rc scrub(struct endpoint *e, struct err *err)
{
    struct scrubbed count = { 0 };
    struct err why = { 0 };

    if (!e->refusing && link_state_scrub(&e->state, &count, &why) != RC_OK)
        note(e, &why, 1);
    if (receiver_scrub(e->receiver, &count, &why) != RC_OK)
        note(e, &why, 1);
    forget_offers(e);
    e->msg.scrubbed = (struct port_scrubbed){ .files = count.files,
                                              .damaged = count.damaged,
                                              .repaired = count.repaired,
                                              .bytes = count.bytes };
    if (count.damaged > 0)
        log_event(LOG_LEVEL_WARN, "scrub files=%u damaged=%u repaired=%u", count.files,
                  count.damaged, count.repaired);
    enum rc rc = tell(e, PORT_SCRUBBED, -1, err);
    return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* Take a message to send.  What cannot be begun is told at once. */
static enum rc take_mail(struct endpoint *e, int fd, struct err *err)
{
    const struct port_mail mail = e->msg.mail;
    struct err why = { 0 };
    enum rc rc = mailroom_add(e->mailroom, &mail, fd, &why);

    if (rc == RC_OK || rc == RC_EXISTS)
        return RC_OK;
    e->msg.mail_sent = (struct port_mail_sent){ .rc = (uint32_t)rc };
    memcpy(e->msg.mail_sent.digest, mail.digest, DIGEST_SIZE);
    rc = tell(e, PORT_MAIL_SENT, -1, err);
    return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* Whoever hears no answer asks again. */
static enum rc answer_ping(struct endpoint *e, struct err *err)
{
    enum rc rc = tell(e, PORT_PONG, -1, err);

    return rc == RC_TIMEOUT ? RC_OK : rc;
}

/* One of those that are answered; false if it is none. */
static bool take_question(struct endpoint *e, int fd, enum rc *ret, struct err *err)
{
    switch ((int)e->msg.type) {
    case PORT_KEY:
        *ret = take_key(e, err);
        return true;
    case PORT_SCRUB:
        *ret = scrub(e, err);
        return true;
    case PORT_MAIL:
        *ret = take_mail(e, fd, err);
        return true;
    case PORT_PING:
        *ret = answer_ping(e, err);
        return true;
    default:
        return false;
    }
}

enum rc endpoint_port(struct endpoint *e, struct err *err)
{
    for (unsigned i = 0; i < PORT_MESSAGES_MAX; i++) {
        int fd = -1;
        struct err why = { 0 };
        enum rc rc = port_recv(e->fds.port, PORT_FROM_AGENT, &e->msg, &fd, err);

        if (rc == RC_TIMEOUT)
            return RC_OK;
        if (rc != RC_OK)
            return rc;
        if (take_question(e, fd, &rc, err)) {
            if (rc != RC_OK)
                return rc;
            continue;
        }
        if (e->msg.type == PORT_SEED)
            receiver_seed(e->receiver, e->msg.object.digest, fd, e->now_ms);
        else if (e->msg.type == PORT_MAIL_DROP)
            mailroom_drop(e->mailroom, e->msg.done.digest);
        else if (e->msg.type == PORT_OBJECT_DONE)
            rc = object_done(e, e->msg.done.digest, &why);
        else if (!e->refusing)
            rc = send_report(e, &e->msg.report, e->msg.type == PORT_BRIEF, &why);
        if (rc != RC_OK && rc != RC_NOT_FOUND)
            note(e, &why, 1);
    }
    return RC_OK;
}

/* ---- to berthd --------------------------------------------------------------------------------
 */

static bool is_offered(const struct endpoint *e, const uint8_t digest[DIGEST_SIZE])
{
    for (size_t i = 0; i < e->n_offered; i++) {
        if (memcmp(e->offered[i], digest, DIGEST_SIZE) == 0)
            return true;
    }
    return false;
}

/* Offer every complete object once in the life of this process. */
static enum rc tell_objects(struct endpoint *e, struct err *err)
{
    struct port_object object;

    forget_offers(e); /* what made room is offered anew when it comes again */
    for (size_t i = 0; receiver_ready(e->receiver, i, &object); i++) {
        scoped(close_fd) int fd = -1;
        struct err why = { 0 };

        if (is_offered(e, object.digest))
            continue;
        if (receiver_open_object(e->receiver, object.digest, &fd, &why) != RC_OK) {
            note(e, &why, 1);
            continue;
        }
        e->msg.object = object;
        enum rc rc = tell(e, PORT_OBJECT, fd, err);
        if (rc != RC_OK)
            return rc;
        memcpy(e->offered[e->n_offered++], object.digest, DIGEST_SIZE);
    }
    return RC_OK;
}

/* The counts, and how far the link's own key is. */
static struct port_traffic traffic(const struct endpoint *e)
{
    struct port_traffic now = e->traffic;
    const struct link_key *key = e->refusing ? NULL : link_keyring_sender(e->state.ring, "");

    if (key != NULL) {
        now.key_epoch = key->keys.epoch;
        now.highest = key->replay.high;
        now.accepted = key->replay.accepted;
    }
    return now;
}

/* Messages that the ground has.  A full port loses the word, and berthd asks again. */
static enum rc tell_mail(struct endpoint *e, struct err *err)
{
    uint8_t digest[DIGEST_SIZE];

    while (mailroom_sent(e->mailroom, digest)) {
        e->msg.mail_sent = (struct port_mail_sent){ .rc = RC_OK };
        memcpy(e->msg.mail_sent.digest, digest, DIGEST_SIZE);
        enum rc rc = tell(e, PORT_MAIL_SENT, -1, err);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static enum rc tell_transfers(struct endpoint *e, struct err *err)
{
    uint64_t version = receiver_version(e->receiver);

    const uint64_t since = e->now_ms - e->transfers_ms;

    if (!(version != e->told_version && since >= TRANSFERS_MS) &&
        !(e->traffic_due && since >= TRAFFIC_MS))
        return RC_OK;
    receiver_status(e->receiver, &e->msg.transfers);
    e->msg.transfers.traffic = traffic(e);
    enum rc rc = tell(e, PORT_TRANSFERS, -1, err);
    if (rc == RC_OK) {
        e->traffic_due = false;
        e->told_version = version;
        e->transfers_ms = e->now_ms;
    }
    return rc;
}

static enum rc tell_events(struct endpoint *e, struct err *err)
{
    for (size_t i = 0; i < e->n_events; i++) {
        struct event *event = &e->event[i];
        uint64_t pause = event->event.rc == RC_REPLAY ? EVENT_BENIGN_MS : EVENT_MS;

        if (event->event.count == 0 || (event->told_ms != 0 && e->now_ms - event->told_ms < pause))
            continue;
        e->msg.event = event->event;
        enum rc rc = tell(e, PORT_EVENT, -1, err);
        if (rc != RC_OK)
            return rc;
        log_event(LOG_LEVEL_INFO, "refused code=%s count=%u what=%s",
                  rc_name((enum rc)event->event.rc), event->event.count, event->event.what);
        event->event.count = 0;
        event->told_ms = e->now_ms;
    }
    return RC_OK;
}

static enum rc tell_contact(struct endpoint *e, struct err *err)
{
    if (!e->contact_due)
        return RC_OK;
    enum rc rc = tell(e, PORT_CONTACT, -1, err);
    if (rc == RC_OK)
        e->contact_due = false;
    return rc;
}

/* Once in the life of this process: berthd's trial of itself may rest on it. */
static enum rc tell_heard(struct endpoint *e, struct err *err)
{
    if (!e->heard || e->heard_told)
        return RC_OK;
    enum rc rc = tell(e, PORT_HEARD, -1, err);
    e->heard_told = rc == RC_OK;
    return rc;
}

/* What is held, at start and whenever it has changed.  Of two epochs the older one is in use. */
static enum rc tell_keys(struct endpoint *e, struct err *err)
{
    struct port_keys keys = { 0 };

    for (uint32_t i = 0; !e->refusing && i < e->state.ring->n; i++) {
        const struct keys *key = &e->state.ring->key[i].keys;
        struct port_key_id *id = &keys.id[keys.n++];

        id->peer = link_state_peer(&e->state);
        id->epoch = key->epoch;
        memcpy(id->tenant, key->tenant, sizeof key->tenant);
    }
    if (e->keys_told && memcmp(&keys, &e->told_keys, sizeof keys) == 0)
        return RC_OK;
    e->msg.keys = keys;
    enum rc rc = tell(e, PORT_KEYS, -1, err);
    if (rc == RC_OK) {
        e->told_keys = keys;
        e->keys_told = true;
    }
    return rc;
}

/* Whether something waits for its time to be told. */
static bool has_more_to_tell(const struct endpoint *e)
{
    bool more = e->contact_due || e->heard != e->heard_told ||
                e->told_version != receiver_version(e->receiver) || e->traffic_due;

    for (size_t i = 0; i < e->n_events; i++)
        more |= e->event[i].event.count > 0;
    return more;
}

/* After a gap another contact has begun: it has what was met since `before`. */
static void count_contact(struct endpoint *e, const struct port_bytes *before)
{
    struct port_bytes *contact = &e->traffic.contact;

    if (e->met && e->now_ms - e->file_ms < QUIET_MS)
        return;
    if (e->traffic.contacts > 0)
        log_event(LOG_LEVEL_INFO, "contact number=%llu in=%llu useful=%llu repeated=%llu out=%llu",
                  (unsigned long long)e->traffic.contacts, (unsigned long long)before->in,
                  (unsigned long long)before->useful, (unsigned long long)before->repeated,
                  (unsigned long long)before->out);
    e->traffic.contacts++;
    contact->in -= before->in;
    contact->useful -= before->useful;
    contact->repeated -= before->repeated;
    contact->out -= before->out;
}

/* Messages that are due, behind whatever report is there. */
static void send_mail(struct endpoint *e)
{
    const uint64_t before = e->state.written;
    struct err why = { 0 };
    uint32_t sent = 0;

    if (e->refusing)
        return;
    enum rc rc = mailroom_send(e->mailroom, &e->state, e->fds.down, e->now_ms, &sent, &why);
    if (rc != RC_OK)
        note(e, &why, 1);
    if (sent > 0 && dircl_sync(e->fds.down, &why) != RC_OK)
        note(e, &why, 1);
    e->traffic.contact.out += e->state.written - before;
    e->traffic.all.out += e->state.written - before;
    e->traffic_due |= sent > 0;
}

enum rc endpoint_tick(struct endpoint *e, uint64_t now_ms, uint64_t *ret_wait_ms, struct err *err)
{
    struct err why = { 0 };
    const struct port_bytes before = e->traffic.contact;
    uint32_t files = 0;
    bool more = false;

    e->now_ms = now_ms;
    if (!e->refusing && inbox_run(e->inbox, TICK_FILES, &files, &more, &why) != RC_OK) {
        note(e, &why, 1);
        more = false; /* not at once again */
    }
    if (files > 0) {
        count_contact(e, &before);
        e->contact_due |= !e->met || now_ms - e->file_ms >= QUIET_MS;
        e->met = true;
        e->file_ms = now_ms;
    }
    receiver_age(e->receiver, now_ms);
    /* Also without new files: a batch may have been cut off before its end, or a disk was full. */
    if (receiver_commit(e->receiver, &why) != RC_OK)
        note(e, &why, 1);
    while (receiver_note(e->receiver, &why))
        note(e, &why, 1);

    send_mail(e);

    enum rc rc = tell_contact(e, err);
    if (rc == RC_OK)
        rc = tell_heard(e, err);
    if (rc == RC_OK)
        rc = tell_keys(e, err);
    if (rc == RC_OK)
        rc = tell_objects(e, err);
    if (rc == RC_OK)
        rc = tell_mail(e, err);
    if (rc == RC_OK)
        rc = tell_transfers(e, err);
    if (rc == RC_OK)
        rc = tell_events(e, err);
    const bool soon = has_more_to_tell(e) || mailroom_busy(e->mailroom);
    *ret_wait_ms = more ? 0 : soon ? TRANSFERS_MS / 2 : RESCAN_MS;
    return rc == RC_TIMEOUT ? RC_OK : rc; /* berthd is slow: later */
}
