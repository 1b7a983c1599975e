/* SPDX-License-Identifier: Apache-2.0 */
#include "link/ground.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "link/dircl.h"
#include "link/inbox.h"
#include "link/outbox.h"
#include "link/receiver.h"
#include "link/status.h"
#include "link/transfer.h"

#define UP_FILES_DEFAULT 4096U
#define LOCK_FILE "lock"

/* An object's descriptor, for as long as the sender may read from it. */
struct source {
    struct source *next;
    uint8_t digest[DIGEST_SIZE];
    int fd;
};

struct link_ground {
    int state_dir;
    int up_dir;
    int down_dir;
    int lock;
    uint64_t up_files_max;
    bool one_way;
    bool passed; /* the counter went ahead of what the satellite had seen */
    struct link_state state;
    struct sender *sender;
    struct inbox *inbox;
    struct receiver *mail; /* NULL = none is taken */
    bool status_due;       /* the satellite is to hear what came of its mail */
    uint64_t now_ms;
    struct port_transfers status;
    struct source *sources;
    struct port_traffic heard; /* of the report before; key_epoch 0 = none to go by */
    uint64_t mean_bytes;       /* of a bundle sent lately */
    uint32_t first_epoch;      /* counters below this one were used before the link was opened: */
    uint64_t first_counter;    /* some of them perhaps never */
    /* of the receive pass under way */
    void (*fn)(void *arg, enum object_kind kind, struct bytes object);
    void *arg;
    struct link_ground_counts *counts;
    uint8_t buf[TRANSFER_MESSAGE_MAX];
};

/* Part of a message of a payload.  Chunks and repairs count only with a descriptor, which was
 * looked at here. */
static enum rc take_mail(struct link_ground *g, const char *tenant,
                         const struct transfer_message *msg, struct bytes message, struct err *err)
{
    const bool head = msg->type == TRANSFER_DESCRIPTOR || msg->type == TRANSFER_INLINE;
    const uint32_t kind = msg->type == TRANSFER_INLINE ? msg->whole.kind : msg->descriptor.kind;

    if (g->mail == NULL || (head && kind != OBJECT_MAIL))
        return err_set(err, RC_OBJECT_KIND, "message on the downlink");
    g->counts->mail++;
    g->status_due = true;
    return receiver_take(g->mail, tenant, message, g->now_ms, err);
}

/* A message from the satellite: a report, whole, or part of the mail.  A tenant's key, which that
 * tenant may hold as well, is good for mail of its own only. */
static enum rc take(void *arg, const char *tenant, struct bytes message, struct err *err)
{
    struct link_ground *g = arg;
    struct transfer_message msg = { 0 };
    enum rc rc = transfer_decode(message, &msg, err);

    if (rc != RC_OK)
        return rc;
    if (msg.type != TRANSFER_INLINE || msg.whole.kind != OBJECT_REPORT)
        return take_mail(g, tenant, &msg, message, err);
    if (tenant[0] != '\0')
        return err_set(err, RC_OBJECT_KIND, "report under the key of %s", tenant);
    g->counts->objects++;
    g->fn(g->arg, msg.whole.kind, msg.whole.data);
    return RC_OK;
}

static enum rc commit(void *arg, struct err *err)
{
    struct link_ground *g = arg;

    return g->mail == NULL ? RC_OK : receiver_commit(g->mail, err);
}

static void refused(void *arg, const struct err *why, uint32_t count)
{
    struct link_ground *g = arg;

    if (why->rc == RC_REPLAY) {
        g->counts->duplicates += count;
        return;
    }
    g->counts->refused += count;
    g->counts->last = *why;
}

static enum rc duplicate(int fd, int *ret, struct err *err)
{
    *ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return *ret < 0 ? err_sys(err, RC_IO, "duplicate a descriptor") : RC_OK;
}

/* A one-way link goes on at any place of its turns: from the same one in each short life, what lies
 * behind would never go. */
static enum rc new_sender(struct link_ground *g, const struct sender_options *options,
                          struct err *err)
{
    struct sender_options mine = *options;

    crypto_random((uint8_t *)&mine.wheel, sizeof mine.wheel);
    return sender_new(&mine, &g->sender, err);
}

enum rc link_ground_open(const struct link_ground_options *options, struct link_ground **ret,
                         struct err *err)
{
    scoped(link_ground_close) struct link_ground *g = calloc(1, sizeof *g);

    if (g == NULL)
        return err_set(err, RC_NO_MEMORY, "link");
    g->state_dir = g->up_dir = g->down_dir = g->lock = -1;
    g->up_files_max = options->up_files_max == 0 ? UP_FILES_DEFAULT : options->up_files_max;
    g->one_way = options->sender.one_way;
    g->status_due = options->owes && options->mail_dirfd > 0;
    const struct inbox_ops ops = { .take = take, .commit = commit, .refused = refused, .arg = g };

    enum rc rc = duplicate(options->state_dirfd, &g->state_dir, err);
    if (rc == RC_OK)
        rc = duplicate(options->up_dirfd, &g->up_dir, err);
    if (rc == RC_OK)
        rc = duplicate(options->down_dirfd, &g->down_dir, err);
    if (rc == RC_OK)
        rc = fs_lock(g->state_dir, LOCK_FILE, &g->lock, err);
    if (rc == RC_OK)
        rc = link_state_open(g->state_dir, LINK_SIDE_GROUND, &g->state, err);
    if (rc == RC_OK)
        rc = new_sender(g, &options->sender, err);
    if (rc == RC_OK && options->mail_dirfd > 0)
        rc = receiver_open(options->mail_dirfd, &(const struct receiver_options){ 0 },
                           clock_mono_ms(), &g->mail, err);
    if (rc == RC_OK)
        rc = inbox_new(g->down_dir, &g->state, NULL, &ops, &g->inbox, err);
    if (rc != RC_OK)
        return rc;
    struct link_key *key = link_keyring_sender(g->state.ring, "");

    if (key != NULL)
        (void)counter_go_on(&key->counter, &options->left);
    g->first_epoch = key != NULL ? key->keys.epoch : 0;
    g->first_counter = key != NULL ? key->counter.next : 0;
    *ret = g;
    g = NULL;
    return RC_OK;
}

void link_ground_close(struct link_ground **link)
{
    struct link_ground *g = *link;

    if (g == NULL)
        return;
    sender_free(&g->sender);
    inbox_free(&g->inbox);
    receiver_close(&g->mail);
    while (g->sources != NULL) {
        struct source *s = g->sources;

        g->sources = s->next;
        close_fd(&s->fd);
        free(s);
    }
    link_state_done(&g->state);
    close_fd(&g->lock);
    close_fd(&g->down_dir);
    close_fd(&g->up_dir);
    close_fd(&g->state_dir);
    free(g);
    *link = NULL;
}

static enum rc read_source(void *arg, uint64_t offset, uint8_t *buf, size_t n, struct err *err)
{
    const struct source *s = arg;

    return fs_pread_exact(s->fd, buf, n, offset, err);
}

/* Close the descriptors of objects that the sender no longer has, or is through with. */
static void drop_sources(struct link_ground *g)
{
    for (struct source **at = &g->sources; *at != NULL;) {
        struct source *s = *at;
        struct sender_progress p = { 0 };
        bool needed = false;

        for (size_t i = 0; !needed && sender_at(g->sender, i, &p); i++)
            needed = !p.complete && memcmp(p.digest, s->digest, DIGEST_SIZE) == 0;
        if (needed) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        close_fd(&s->fd);
        free(s);
    }
}

enum rc link_ground_add(struct link_ground *g, const struct sender_object *object, int fd,
                        struct err *err)
{
    drop_sources(g);
    struct source *s = calloc(1, sizeof *s);

    if (s == NULL)
        return err_set(err, RC_NO_MEMORY, "source of an object");
    memcpy(s->digest, object->digest, DIGEST_SIZE);
    enum rc rc = duplicate(fd, &s->fd, err);
    if (rc == RC_OK)
        rc = sender_add(g->sender, object, (struct sender_source){ .read = read_source, .arg = s },
                        err);
    if (rc != RC_OK) {
        close_fd(&s->fd);
        free(s);
        return rc;
    }
    s->next = g->sources;
    g->sources = s;
    return RC_OK;
}

enum rc link_ground_confirm(struct link_ground *g, const char *tenant, uint32_t epoch,
                            struct err *err)
{
    return link_state_confirm(&g->state, tenant, epoch, err);
}

void link_ground_held(const struct link_ground *g, struct link_held *ret, uint32_t *ret_n)
{
    link_state_held(&g->state, ret, ret_n);
}

/* Only counters of this life of the link tell of losses: behind a restart some are skipped. */
static bool is_of_this_life(const struct link_ground *g, const struct port_traffic *t)
{
    return t->key_epoch > g->first_epoch ||
           (t->key_epoch == g->first_epoch && t->highest >= g->first_counter);
}

/* Counters that went by between two reports, and how many of them came. */
static void learn(struct link_ground *g, const struct port_traffic *now)
{
    const struct port_traffic *then = &g->heard;

    if (!is_of_this_life(g, now))
        return;
    if (then->key_epoch == now->key_epoch && then->highest <= now->highest &&
        then->accepted <= now->accepted) {
        const uint64_t sent = now->highest - then->highest;
        const uint64_t came = now->accepted - then->accepted;

        if (sent == 0)
            return;
        /* Late ones of before may be among them. */
        sender_learn(g->sender, sent, came < sent ? sent - came : 0, sent * g->mean_bytes);
    }
    g->heard = *now;
}

static bool pass_counter(struct link_ground *g, const struct port_traffic *t)
{
    struct link_key *key = link_keyring_sender(g->state.ring, "");

    if (g->passed || key == NULL || key->keys.epoch != t->key_epoch ||
        !counter_pass(&key->counter, t->highest))
        return false;
    g->passed = true;
    /* Numbers that were passed over are no losses. */
    g->first_epoch = key->keys.epoch;
    g->first_counter = key->counter.next;
    g->heard = (struct port_traffic){ 0 };
    return true;
}

bool link_ground_report(struct link_ground *g, const struct port_transfers *report, uint64_t now_ms)
{
    const bool passed = pass_counter(g, &report->traffic);

    learn(g, &report->traffic);
    sender_report(g->sender, report, now_ms);
    return passed;
}

bool link_ground_resume(struct link_ground *g, const struct port_transfers *report,
                        uint64_t came_ms)
{
    if (!g->one_way)
        sender_report(g->sender, report, came_ms);
    return pass_counter(g, &report->traffic);
}

bool link_ground_owes(const struct link_ground *g)
{
    return g->status_due;
}

struct counter link_ground_left(const struct link_ground *g)
{
    const struct link_key *key = link_keyring_sender(g->state.ring, "");

    return key != NULL ? key->counter : (struct counter){ 0 };
}

enum rc link_ground_waiting(const struct link_ground *g, uint64_t *ret, struct err *err)
{
    size_t n = 0;
    enum rc rc = outbox_count(g->up_dir, &n, NULL, err);

    *ret = n;
    return rc;
}

uint64_t link_ground_written(const struct link_ground *g)
{
    return g->state.written;
}

struct sender *link_ground_sender(struct link_ground *g)
{
    return g->sender;
}

/* Tell the satellite what came of its mail: once for whatever came since. */
static enum rc send_status(struct link_ground *g, uint32_t *sent, struct err *err)
{
    struct bytes message = { 0 };

    if (!g->status_due)
        return RC_OK;
    receiver_status(g->mail, &g->status);
    enum rc rc = status_encode(&g->status, g->buf, sizeof g->buf, &message, err);
    if (rc == RC_OK)
        rc = outbox_put(&g->state, "", g->up_dir, message, err);
    if (rc == RC_OK) {
        g->status_due = false;
        ++*sent;
    }
    return rc;
}

bool link_ground_mail(const struct link_ground *g, size_t i, struct port_object *ret)
{
    return g->mail != NULL && receiver_ready(g->mail, i, ret);
}

enum rc link_ground_mail_open(struct link_ground *g, const uint8_t digest[DIGEST_SIZE], int *ret_fd,
                              struct err *err)
{
    return receiver_open_object(g->mail, digest, ret_fd, err);
}

enum rc link_ground_mail_done(struct link_ground *g, const uint8_t digest[DIGEST_SIZE],
                              struct err *err)
{
    g->status_due = true;
    return receiver_done(g->mail, digest, err);
}

enum rc link_ground_send(struct link_ground *g, uint64_t now_ms, uint64_t *budget,
                         uint32_t *ret_sent, struct err *err)
{
    size_t waiting = 0;
    uint32_t sent = 0, installed = 0;
    enum rc rc = link_state_take_offers(&g->state, &installed, err);

    if (rc == RC_OK)
        rc = outbox_count(g->up_dir, &waiting, NULL, err);
    if (rc == RC_OK && waiting > 0)
        sender_hold(g->sender, now_ms);
    if (rc == RC_OK && waiting < g->up_files_max)
        rc = send_status(g, &sent, err);
    while (rc == RC_OK && waiting + sent < g->up_files_max) {
        struct bytes message = { 0 };

        rc = sender_next(g->sender, now_ms, budget, g->buf, sizeof g->buf, &message, err);
        const uint64_t before = g->state.written;
        if (rc == RC_OK)
            rc = outbox_put(&g->state, "", g->up_dir, message, err);
        if (rc != RC_OK)
            continue;
        sent++;
        /* One in sixteen: chunks are many and alike, descriptors and documents few. */
        g->mean_bytes = g->mean_bytes == 0 ? g->state.written - before
                                           : (g->mean_bytes * 15 + g->state.written - before) / 16;
    }
    if (rc == RC_NOT_FOUND || rc == RC_NO_ROOM)
        rc = RC_OK;
    if (sent > 0) {
        struct err why = { 0 };
        enum rc synced = dircl_sync(g->up_dir, &why);

        if (rc == RC_OK && synced != RC_OK)
            *err = why;
        rc = rc == RC_OK ? synced : rc;
    }
    *ret_sent = sent;
    return rc;
}

enum rc link_ground_receive(struct link_ground *g, size_t max,
                            void (*fn)(void *arg, enum object_kind kind, struct bytes object),
                            void *arg, struct link_ground_counts *ret, struct err *err)
{
    uint32_t installed = 0;

    *ret = (struct link_ground_counts){ 0 };
    g->fn = fn;
    g->arg = arg;
    g->counts = ret;
    g->now_ms = clock_mono_ms();
    enum rc rc = link_state_take_offers(&g->state, &installed, err);
    if (rc == RC_OK)
        rc = inbox_take(g->inbox, max, &ret->files, &ret->more, err);
    g->counts = NULL;
    return rc;
}

enum rc link_ground_let_go(struct link_ground *g, struct err *err)
{
    return inbox_let_go(g->inbox, err);
}
