/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/ground.h"
#include "orchestrator/brief.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "link/ground.h"
#include "link/mail.h"
#include "link/outbox.h"
#include "orchestrator/advance.h"
#include "orchestrator/deliver.h"
#include "orchestrator/delta_cache.h"
#include "orchestrator/hold.h"
#include "orchestrator/home.h"
#include "orchestrator/ingest.h"
#include "orchestrator/link_options.h"
#include "orchestrator/link_places.h"
#include "orchestrator/mail.h"
#include "orchestrator/rekeys.h"
#include "orchestrator/sending.h"
#include "orchestrator/sorted.h"
#include "orchestrator/store_copy.h"
#include "orchestrator/view.h"

#define LINKS_MAX 256U         /* that are open at once: each takes several descriptors */
#define LOOK_MAX 512U          /* downlinks of closed links that are looked into at once */
#define AGAIN_MS 30000U        /* without resend_ms: what was not answered goes again, ... */
#define AGAIN_DOUBLINGS 6U     /* ... and after twice as long, so often, while nothing is heard */
#define GROUP_MAX 1024U        /* reports in one transaction */
#define RECEIVE_MAX 64U        /* downlink files per satellite and tick */
#define REOPEN_MS 5000U        /* try a link again that could not be opened */
#define REPAIR_EVERY_MS 10000U /* look for what was lost on board */

struct peer {
    char id[NAME_CAP];
    struct link_ground *link; /* NULL = not open */
    char *keys;               /* where its keys were when it was opened; NULL while it is not */
    uint64_t retry_ms;        /* mono: when to try to open it again */
    uint64_t since_ms;        /* mono: when it was opened */
    uint64_t used_ms;         /* mono: when it had something to do last */
    uint64_t again_ms;        /* mono: what is in its queue went before, and not again until then */
    uint64_t heard_ms;        /* mono: when a report came last, or when all this began */
    struct sender_memory *memory; /* what went before, in part or whole, and may have come */
    uint64_t mark;                /* of its queue */
    bool queued;                  /* there is something in it */
    bool files;                   /* something lies in its downlink */
    bool mail;                    /* a message is left that could not be kept */
    bool owes;                    /* link_ground_owes, of when it was closed */
    uint64_t owes_ms;             /* mono: not opened for that alone until then */
    struct counter left;          /* link_ground_left, the same */
    bool busy;                    /* something went to it in the last round, or may in this one */
    bool went;                    /* ... or in an earlier one, since it was opened */
    uint32_t quiet;           /* how often it was closed without an answer since the last report */
    bool one_way;             /* of its link when it was opened: silence says nothing */
    bool fresh;               /* its sender has not heard the newest report */
    enum rc last;             /* last failure that was logged, so that it is logged once */
    enum rc keys_last;        /* the same of the keys that it reports */
    bool heard;               /* a report came in this round */
    bool opened;              /* its link has handed on what came in this round */
    struct err kept;          /* why the store could not take all of that in: the link keeps it */
    bool more;                /* others are left there */
    struct report_keys *said; /* of the newest one; NULL while its link is not open */
};

struct ground {
    struct home home;
    struct ground_options options;
    int lock_fd;
    bool view_stale;   /* the store has changed since the view was read */
    bool queue_stale;  /* ... since the senders were given their queues */
    uint64_t watched;  /* number of store_watch */
    uint64_t repaired; /* mono: when ground last looked for losses */
    struct ground_counts counts;
    char holder[STORE_HOLDER_CAP]; /* this one's name on the lease */
    bool leads;                    /* it has the lease, as far as it knows */
    bool stands_by;
    uint64_t leased; /* mono: since when */
    struct err only; /* of options.satellite: what failed in this round */
    struct view *view;
    struct store *group;  /* the transaction of the reports that are taken in, or NULL */
    uint32_t grouped;     /* reports in it */
    struct err ungrouped; /* why it did not begin, or a part of the round did not become durable */
    struct sending *sending; /* NULL = what is queued goes: somebody asked for it by hand */
    struct link_places places;
    size_t looked; /* of the peers, whose downlink is looked into next */
    size_t n_rows;
    struct store_outgoing *row; /* what was queued when the senders were given it */
    size_t n_peers, cap_peers;
    struct peer **peer; /* by satellite */
    struct link_place *place;
};

/* This program changed the store: store_watch tells about others only. */
static void changed(struct ground *g)
{
    g->view_stale = true;
    g->queue_stale = true;
}

static void drop_link(struct peer *peer)
{
    link_ground_close(&peer->link);
    free(peer->keys);
    free(peer->said);
    peer->keys = NULL;
    peer->said = NULL;
}

void ground_close(struct ground **ground)
{
    struct ground *g = *ground;

    if (!g)
        return;
    for (size_t i = 0; i < g->n_peers; i++) {
        drop_link(g->peer[i]);
        sender_memory_free(&g->peer[i]->memory);
        free(g->peer[i]);
    }
    free(g->peer);
    free(g->place);
    free(g->row);
    store_rollback(&g->group);
    view_free(&g->view);
    sending_free(&g->sending);
    if (g->leads) {
        struct err ignored;

        (void)!store_drop_lease(g->home.store, &ignored); /* else it runs out */
    }
    home_close(&g->home);
    close_fd(&g->lock_fd);
    free(g);
    *ground = NULL;
}

/* Whoever has this home on this machine, which its lock says, is this one. */
static void name_holder(struct ground *g)
{
    char host[65] = "";

    if (gethostname(host, sizeof host - 1) != 0)
        (void)snprintf(host, sizeof host, "localhost");
    (void)snprintf(g->holder, sizeof g->holder, "%s:%.180s", host, g->home.path);
}

/* On a shared file system locks may not reach other machines, or outlast a machine that hangs: the
 * lease is for those. */
static enum rc lock_home(struct ground *g, struct err *err)
{
    name_holder(g);
    return fs_lock(g->home.dirfd, "ground.lock", &g->lock_fd, err);
}

enum rc ground_open(const struct ground_options *options, struct ground **ret, struct err *err)
{
    scoped(ground_close) struct ground *g = calloc(1, sizeof *g);

    if (!g)
        return err_set(err, RC_NO_MEMORY, "ground");
    g->home.dirfd = -1;
    g->lock_fd = -1;
    g->options = *options;
    g->view_stale = g->queue_stale = true;
    enum rc rc = home_open(options->home, false, &g->home, err);

    if (rc == RC_OK)
        rc = lock_home(g, err);
    if (rc == RC_OK && !options->satellite)
        rc = store_check(g->home.store, err);
    if (rc == RC_OK)
        rc = store_watch(g->home.store, &g->watched, err);
    if (rc == RC_OK && !options->satellite)
        rc = sending_new(&g->sending, err);
    if (rc != RC_OK)
        return rc;
    *ret = g;
    g = NULL;
    return RC_OK;
}

/* ---- the lease --------------------------------------------------------------------------------
 */

/* Long before it is over, hold it on; RC_BUSY while it is another one's. */
static enum rc lead(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    const uint64_t for_ms = g->options.lease_ms != 0 ? g->options.lease_ms : GROUND_LEASE_MS;

    if (g->leads && mono_ms - g->leased < for_ms / 3)
        return RC_OK;
    enum rc rc = store_take_lease(g->home.store, g->holder, unix_ms, for_ms, err);

    g->stands_by = rc == RC_BUSY;
    if (rc == RC_OK && !g->leads)
        changed(g);
    g->leads = rc == RC_OK;
    g->leased = mono_ms;
    return rc;
}

/* A round that was refused: somebody else leads. */
static enum rc after(struct ground *g, enum rc rc)
{
    if (rc == RC_FENCED)
        g->leads = false;
    return rc;
}

bool ground_stands_by(const struct ground *g)
{
    return g->stands_by;
}

/* ---- links ------------------------------------------------------------------------------------
 */

/* Log a failure of one satellite once, until it is another one or gone. */
static void complain(struct ground *g, struct peer *peer, const struct err *err, const char *what,
                     enum rc rc)
{
    if (rc != RC_OK && g->options.satellite && g->only.rc == RC_OK)
        g->only = *err;
    if (rc != RC_OK && rc != peer->last)
        log_err(LOG_LEVEL_ERROR, err, "%s satellite=%s", what, peer->id);
    peer->last = rc;
}

/* Older files were put over those of the link: what went up since then was refused. */
static void warn_restored(const struct peer *peer)
{
    log_event(LOG_LEVEL_WARN, "counter-behind satellite=%s", peer->id);
}

static enum rc open_link(const struct ground *g, const struct view_row *row, struct peer *peer,
                         struct err *err)
{
    scoped(close_fd) int keys = -1;
    scoped(close_fd) int up = -1;
    scoped(close_fd) int down = -1;
    scoped(close_fd) int mail = -1;
    enum rc rc = home_open_dir(&g->home, row->link_keys, &keys, err);

    if (rc == RC_OK)
        rc = home_open_dir(&g->home, row->up, &up, err);
    if (rc == RC_OK)
        rc = home_open_dir(&g->home, row->down, &down, err);
    if (rc == RC_OK)
        rc = mail_open_spool(&g->home, row->id, &mail, err);
    if (rc != RC_OK)
        return rc;
    struct link_ground_options options = {
        .state_dirfd = keys,
        .up_dirfd = up,
        .down_dirfd = down,
        .mail_dirfd = mail,
        .owes = peer->owes,
        .left = peer->left,
        .up_files_max = g->options.up_files,
        .sender = { .resend_ms = g->options.resend_ms, .flight_ms = g->options.flight_ms },
    };

    rc = link_options(row->labels, &options.sender, err);
    peer->one_way = options.sender.one_way;
    if (rc == RC_OK)
        rc = link_ground_open(&options, &peer->link, err);
    if (rc != RC_OK)
        return rc;
    peer->keys = strdup(row->link_keys);
    peer->said = calloc(1, sizeof *peer->said);
    if (peer->keys && peer->said)
        return RC_OK;
    drop_link(peer);
    return err_set(err, RC_NO_MEMORY, "link of %s", row->id);
}

static const char *peer_id(const void *peers, size_t i)
{
    struct peer *const *peer = peers;

    return peer[i]->id;
}

/* Where the peer of a satellite is among the sorted ones, or would be. */
static size_t place_of(const struct ground *g, const char *id)
{
    return sorted_place(g->peer, g->n_peers, peer_id, id);
}

static struct peer *find_peer(const struct ground *g, const char *id)
{
    const size_t at = place_of(g, id);

    return at < g->n_peers && strcmp(g->peer[at]->id, id) == 0 ? g->peer[at] : NULL;
}

static enum rc grow_peers(struct ground *g, struct err *err)
{
    const size_t cap = g->cap_peers == 0 ? 64 : 2 * g->cap_peers;
    struct peer **peer = realloc(g->peer, cap * sizeof(struct peer *));

    if (peer)
        g->peer = peer;
    struct link_place *place = peer ? realloc(g->place, cap * sizeof *place) : NULL;

    if (!place)
        return err_set(err, RC_NO_MEMORY, "%zu satellites", cap);
    g->place = place;
    g->cap_peers = cap;
    return RC_OK;
}

static enum rc peer_at(struct ground *g, size_t at, const char *id, struct err *err)
{
    enum rc rc = g->n_peers == g->cap_peers ? grow_peers(g, err) : RC_OK;
    struct peer *peer = rc == RC_OK ? calloc(1, sizeof *peer) : NULL;

    if (rc == RC_OK && !peer)
        rc = err_set(err, RC_NO_MEMORY, "%s", id);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(peer->id, sizeof peer->id, "%s", id);
    memmove(&g->peer[at + 1], &g->peer[at], (g->n_peers - at) * sizeof(struct peer *));
    g->peer[at] = peer;
    g->n_peers++;
    return RC_OK;
}

/* A peer for each satellite.  Both are sorted. */
static enum rc know_peers(struct ground *g, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0, at = 0; rc == RC_OK && i < g->view->n; i++) {
        const char *id = g->view->satellite[i].row.id;

        if (g->options.satellite && strcmp(g->options.satellite, id) != 0)
            continue;
        while (at < g->n_peers && strcmp(g->peer[at]->id, id) < 0)
            at++;
        if (at == g->n_peers || strcmp(g->peer[at]->id, id) != 0)
            rc = peer_at(g, at, id, err);
    }
    return rc;
}

static size_t links_max(const struct ground *g)
{
    return g->options.links != 0 ? g->options.links : LINKS_MAX;
}

/* Whether links are opened only as they are needed. */
static bool is_crowded(const struct ground *g)
{
    return g->n_peers > links_max(g);
}

/* Record the objects that a satellite has shown to have. */
static enum rc settle_peer(struct ground *g, struct peer *peer, uint64_t unix_ms, struct err *err)
{
    struct sender *sender = link_ground_sender(peer->link);
    struct sender_progress at;
    enum rc rc = RC_OK;
    size_t i = 0;

    while (rc == RC_OK && sender_at(sender, i, &at)) {
        if (!at.complete) {
            i++;
            continue;
        }
        rc = ingest_complete(g->home.store, peer->id, at.digest, unix_ms, err);
        if (rc != RC_OK)
            break;
        changed(g);
        if (!sender_remove(sender, at.digest))
            i++;
    }
    return rc;
}

static bool is_told(const struct peer *peer, const uint8_t digest[DIGEST_SIZE])
{
    return sender_memory_went(peer->memory, digest);
}

/* What went of its queue: the next sender goes on from there, and asks for what went whole first.
 * One that was closed before it had its queue knows nothing of it: what was known before stays. */
static enum rc keep_memory(struct peer *peer, struct err *err)
{
    struct sender *sender = link_ground_sender(peer->link);
    struct sender_memory *memory = NULL;

    if (peer->fresh)
        return RC_OK;
    enum rc rc = sender_remember(sender, &memory, err);

    if (rc != RC_OK)
        return rc;
    sender_memory_free(&peer->memory);
    peer->memory = memory;
    sender_recall(sender, memory);
    return RC_OK;
}

static uint64_t again_after(const struct ground *g)
{
    return g->options.resend_ms != 0 ? g->options.resend_ms : AGAIN_MS;
}

/* Nothing that is queued goes again at once, and less and less often while nothing is heard, unless
 * nothing ever will be, or some of it has yet to go for the first time: then it is the carrier that
 * is waited for. */
static void put_off(const struct ground *g, struct peer *peer, uint64_t mono_ms)
{
    const bool rest = sender_has_rest(link_ground_sender(peer->link));
    const uint32_t doublings = !peer->went || rest             ? 0
                               : peer->quiet < AGAIN_DOUBLINGS ? peer->quiet
                                                               : AGAIN_DOUBLINGS;
    const uint64_t again_ms = mono_ms + (again_after(g) << doublings);

    if (!peer->went && mono_ms < peer->again_ms) /* it was not asked: its turn stays */
        return;
    if (again_ms > peer->again_ms)
        peer->again_ms = again_ms;
    peer->quiet += peer->went && !peer->one_way && !rest;
}

/* Close a link, and keep in mind what it knows and its state directory does not. */
static enum rc shut(struct ground *g, struct peer *peer, uint64_t mono_ms, uint64_t unix_ms,
                    struct err *err)
{
    enum rc rc = settle_peer(g, peer, unix_ms, err);

    if (rc == RC_OK)
        rc = keep_memory(peer, err);
    if (rc != RC_OK)
        return rc;
    peer->owes = link_ground_owes(peer->link);
    peer->owes_ms = mono_ms + again_after(g);
    peer->left = link_ground_left(peer->link);
    if (peer->queued && !peer->busy)
        put_off(g, peer, mono_ms);
    drop_link(peer);
    log_event(LOG_LEVEL_DEBUG, "link-closed satellite=%s", peer->id);
    return RC_OK;
}

static enum sending_gate gate_of(const struct ground *g, const struct peer *peer, uint64_t unix_ms)
{
    return g->sending ? sending_look(g->sending, peer->id, (int64_t)unix_ms) : SENDING_FREE;
}

/* Whether what went in an earlier life of the link may go again: in a pass, and when there was time
 * for an answer.  Once something has gone, the sender knows that itself. */
static bool may_go_again(const struct ground *g, struct peer *peer, uint64_t mono_ms,
                         uint64_t unix_ms)
{
    uint64_t waiting = 0;
    struct err ignored;

    if (peer->again_ms == 0 || peer->went || gate_of(g, peer, unix_ms) >= SENDING_EARLY)
        return true;
    if (mono_ms < peer->again_ms)
        return false;
    if (link_ground_waiting(peer->link, &waiting, &ignored) != RC_OK || waiting == 0)
        return true;
    peer->again_ms = mono_ms + again_after(g);
    return false;
}

/* Files in a directory; one that cannot be read has some: who opens the link says why. */
static size_t count_in(const struct ground *g, const char *path)
{
    scoped(close_fd) int dir = -1;
    struct err ignored;
    size_t n = 0;

    if (home_open_dir(&g->home, path, &dir, &ignored) != RC_OK ||
        outbox_count(dir, &n, NULL, &ignored) != RC_OK)
        return SIZE_MAX;
    return n;
}

/* Whether there is something to send to a satellite whose link is closed.  What waits for the
 * carrier since it was closed cannot have been answered. */
static bool wants_to_send(const struct ground *g, struct peer *peer, const struct view_row *row,
                          enum sending_gate gate, uint64_t mono_ms)
{
    if (gate == SENDING_CLOSED || (!peer->queued && !peer->owes))
        return false;
    if (peer->owes && mono_ms >= peer->owes_ms)
        return true;
    if (!peer->queued)
        return false;
    if (gate >= SENDING_EARLY || peer->again_ms == 0)
        return true;
    if (mono_ms < peer->again_ms)
        return false;
    const size_t waiting = count_in(g, row->up);

    /* Asked once: nothing comes into its uplink until its link is open. */
    peer->again_ms = waiting == 0 || waiting == SIZE_MAX ? 0 : mono_ms + again_after(g);
    return peer->again_ms == 0;
}

/* What a satellite asks for. */
static struct link_place ask(const struct ground *g, struct peer *peer, const struct view_row *row,
                             uint64_t mono_ms, uint64_t unix_ms)
{
    const enum sending_gate gate = gate_of(g, peer, unix_ms);
    const bool passes = gate >= SENDING_EARLY;
    struct link_place ret = { .open = peer->link != NULL, .since_ms = peer->since_ms };
    struct port_object object;

    if (passes && !peer->link && !peer->files)
        peer->files = count_in(g, row->down) > 0;
    if (peer->link)
        peer->mail = link_ground_mail(peer->link, 0, &object);
    ret.wants = peer->files || peer->mail;
    if (peer->link)
        ret.wants |= peer->busy || peer->more || peer->heard || peer->kept.rc != RC_OK ||
                     peer->fresh || (passes && peer->queued);
    else
        ret.wants |= wants_to_send(g, peer, row, gate, mono_ms);
    ret.wants &= peer->link || mono_ms >= peer->retry_ms;
    ret.urgent = ret.wants && passes;
    if (ret.wants)
        peer->used_ms = mono_ms;
    ret.used_ms = peer->used_ms;
    return ret;
}

/* Whether something lies in the downlinks of closed links: of some at a time, one after the other.
 */
static void look(struct ground *g)
{
    for (size_t k = 0; k < LOOK_MAX && k < g->n_peers; k++) {
        struct peer *peer = g->peer[g->looked++ % g->n_peers];
        const struct view_satellite *sat = view_find(g->view, peer->id);

        if (sat && !peer->link && !peer->files)
            peer->files = count_in(g, sat->row.down) > 0;
    }
    g->looked %= g->n_peers;
}

/* Say who is to have a link. */
static void share(struct ground *g, uint64_t mono_ms, uint64_t unix_ms)
{
    const bool crowded = is_crowded(g);

    for (size_t i = 0, at = 0; i < g->n_peers; i++) {
        struct peer *peer = g->peer[i];

        while (at < g->view->n && strcmp(g->view->satellite[at].row.id, peer->id) < 0)
            at++;
        const struct view_row *row = at < g->view->n ? &g->view->satellite[at].row : NULL;

        if (row && strcmp(row->id, peer->id) != 0)
            row = NULL;
        g->place[i] = (struct link_place){ .open = peer->link != NULL };
        if (row && crowded)
            g->place[i] = ask(g, peer, row, mono_ms, unix_ms);
        else if (row)
            g->place[i].open |= mono_ms >= peer->retry_ms;
    }
    if (crowded)
        link_places_share(&g->places, g->place, g->n_peers, links_max(g), mono_ms);
}

static void open_peer(struct ground *g, struct peer *peer, uint64_t mono_ms)
{
    const struct view_satellite *sat = view_find(g->view, peer->id);
    struct err err = { 0 };

    if (!sat)
        return;
    peer->retry_ms = mono_ms + REOPEN_MS;
    enum rc rc = open_link(g, &sat->row, peer, &err);

    complain(g, peer, &err, "link", rc);
    if (rc != RC_OK)
        return;
    peer->retry_ms = 0;
    peer->since_ms = peer->used_ms = mono_ms;
    peer->heard_ms = peer->heard_ms == 0 ? mono_ms : peer->heard_ms;
    sender_recall(link_ground_sender(peer->link), peer->memory);
    peer->fresh = true;
    peer->busy = true; /* until it has been asked what there is to send */
    peer->went = peer->owes = peer->more = peer->heard = false;
    peer->kept = (struct err){ 0 };
    log_event(is_crowded(g) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "link-open satellite=%s node=%llu",
              peer->id, (unsigned long long)sat->row.node);
}

/* Links of satellites that were provisioned again. */
static void shut_old(struct ground *g)
{
    for (size_t i = 0; i < g->n_peers; i++) {
        struct peer *peer = g->peer[i];
        const struct view_satellite *sat = peer->link ? view_find(g->view, peer->id) : NULL;

        if (!sat || strcmp(peer->keys, sat->row.link_keys) == 0)
            continue;
        drop_link(peer);
        peer->retry_ms = peer->again_ms = 0;
        sender_memory_free(&peer->memory);
        peer->owes = false;
        peer->left = (struct counter){ 0 };
    }
}

/* Open the links that are needed, in the place of others. */
static enum rc open_links(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    enum rc rc = know_peers(g, err);

    if (rc != RC_OK)
        return rc;
    shut_old(g);
    if (is_crowded(g))
        look(g);
    share(g, mono_ms, unix_ms);
    for (size_t i = 0; rc == RC_OK && i < g->n_peers; i++)
        if (g->peer[i]->link && !g->place[i].open)
            rc = shut(g, g->peer[i], mono_ms, unix_ms, err);
    for (size_t i = 0; rc == RC_OK && i < g->n_peers; i++)
        if (!g->peer[i]->link && g->place[i].open)
            open_peer(g, g->peer[i], mono_ms);
    return rc;
}

/* The one satellite that was asked for must be there, and its link open. */
static enum rc only_open(struct ground *g, struct err *err)
{
    const char *id = g->options.satellite;

    if (!id)
        return RC_OK;
    if (!view_find(g->view, id))
        return err_set(err, RC_NO_SATELLITE, "%s", id);
    const struct peer *peer = find_peer(g, id);

    if (peer && peer->link)
        return RC_OK;
    if (g->only.rc == RC_OK)
        return err_set(err, RC_IO, "link of %s is not open", id);
    *err = g->only;
    return err->rc;
}

/* ... and nothing has failed with it. */
static enum rc only_well(const struct ground *g, struct err *err)
{
    if (g->only.rc != RC_OK)
        *err = g->only;
    return g->only.rc;
}

/* ---- what to send -----------------------------------------------------------------------------
 */

/* What is queued for one satellite. */
struct queue {
    const struct store_outgoing *row;
    size_t n;
};

/* The rows of a satellite, beginning with this one: the store gives them by satellite. */
static struct queue queue_at(const struct store_outgoing *rows, size_t n, size_t first)
{
    struct queue ret = { .row = &rows[first] };

    while (first + ret.n < n && strcmp(rows[first + ret.n].satellite, rows[first].satellite) == 0)
        ret.n++;
    return ret;
}

static const char *row_satellite(const void *rows, size_t i)
{
    const struct store_outgoing *row = rows;

    return row[i].satellite;
}

static struct queue queue_of(const struct store_outgoing *rows, size_t n, const char *id)
{
    const size_t at = sorted_place(rows, n, row_satellite, id);

    return at < n && strcmp(rows[at].satellite, id) == 0 ? queue_at(rows, n, at)
                                                         : (struct queue){ 0 };
}

static bool in_queue(const struct queue *queue, const uint8_t digest[DIGEST_SIZE])
{
    for (size_t i = 0; i < queue->n; i++)
        if (memcmp(queue->row[i].object.b, digest, DIGEST_SIZE) == 0)
            return true;
    return false;
}

/* Forget what is no longer queued: withdrawn by a person, or by a newer order. */
static void drop_withdrawn(struct peer *peer, struct queue queue)
{
    struct sender *sender = link_ground_sender(peer->link);
    struct sender_progress at;
    size_t i = 0;

    while (sender_at(sender, i, &at)) {
        if (!in_queue(&queue, at.digest) && sender_remove(sender, at.digest))
            continue;
        i++;
    }
}

/* Whether the satellite asks for it to repair something: then it may have most of its bytes. */
static bool may_have_most(const struct ground *g, const struct store_outgoing *row)
{
    const struct view_satellite *sat = view_find(g->view, row->satellite);

    for (uint32_t k = 0; sat && sat->seen && k < sat->seen->n_damaged; k++) {
        const struct store_package *p = view_package(g->view, &sat->seen->damaged[k]);

        if (p && digest_same(&p->object, &row->object))
            return true;
    }
    return false;
}

/* The tenant that an object counts for, here and on board: "" = nobody's.  Packages were verified
 * when they were pushed, and messages say it themselves. */
static void name_owner(const struct ground *g, const struct store_outgoing *row, int fd,
                       uint64_t size, char ret[NAME_CAP])
{
    struct mail head = { 0 };
    struct err ignored;

    if (row->kind == OBJECT_PACKAGE)
        (void)snprintf(ret, NAME_CAP, "%s", view_owner(g->view, &row->object));
    if (row->kind == OBJECT_MAIL && mail_head_read(fd, size, &head, &ignored) == RC_OK)
        memcpy(ret, head.tenant, NAME_CAP);
}

/* The same of one that is not open. */
static void find_owner(void *arg, const struct store_outgoing *row, char ret[NAME_CAP])
{
    const struct ground *g = arg;
    scoped(close_fd) int fd = -1;
    struct err ignored;
    uint64_t size = 0;

    if (row->kind != OBJECT_MAIL ||
        home_open_object(&g->home, &row->object, &fd, &size, &ignored) == RC_OK)
        name_owner(g, row, fd, size, ret);
}

static void feed_one(struct ground *g, struct peer *peer, const struct store_outgoing *row)
{
    struct sender_object object = { .kind = (enum object_kind)row->kind, .serial = row->queued_ms };
    scoped(close_fd) int fd = -1;
    struct err err = { 0 };
    enum rc rc = home_open_object(&g->home, &row->object, &fd, &object.size, &err);

    memcpy(object.digest, row->object.b, sizeof object.digest);
    object.offer = may_have_most(g, row) || (!peer->one_way && is_told(peer, row->object.b));
    if (rc == RC_OK) {
        name_owner(g, row, fd, object.size, object.owner);
        rc = link_ground_add(peer->link, &object, fd, &err);
    }
    if (rc != RC_EXISTS)
        complain(g, peer, &err, "object", rc);
}

static bool in_sender(const struct sender *sender, const uint8_t digest[DIGEST_SIZE])
{
    struct sender_progress at;

    for (size_t i = 0; sender_at(sender, i, &at); i++)
        if (!at.complete && memcmp(at.digest, digest, DIGEST_SIZE) == 0)
            return true;
    return false;
}

/* A sender that was started anew would send again what is on board already: it goes on from the
 * newest report of before, which says nothing about what went after it came.  Once, when it has its
 * queue and before anything goes: later it would seem to say that everything sent since is lost. */
static enum rc resume(struct ground *g, struct peer *peer, struct err *err)
{
    const struct view_satellite *sat = view_find(g->view, peer->id);
    scoped(free_ptr) struct report *report = NULL;
    struct port_transfers transfers;

    if (!peer->link || !peer->fresh)
        return RC_OK;
    if (sat) {
        enum rc rc = view_report(g->home.store, sat, &report, err);

        if (rc != RC_OK)
            return rc;
    }
    peer->fresh = false;
    if (!report)
        return RC_OK;
    ingest_transfers(report, &transfers);
    if (link_ground_resume(peer->link, &transfers, peer->heard_ms))
        warn_restored(peer);
    return RC_OK;
}

/* Know a queue again, whatever its order. */
static void mark_queue(struct peer *peer, struct queue queue)
{
    const uint64_t before = peer->mark;

    peer->mark = 0;
    peer->queued = queue.n > 0;
    for (size_t i = 0; i < queue.n; i++) {
        uint64_t part;

        memcpy(&part, queue.row[i].object.b, sizeof part);
        peer->mark += part ^ queue.row[i].queued_ms;
    }
    if (peer->mark == before)
        return;
    peer->again_ms = 0; /* something else is to go */
    peer->busy = true;  /* its sender is to be asked first, if it is open */
}

static void feed_queue(struct ground *g, struct peer *peer, struct queue queue)
{
    for (size_t i = 0; peer->link && i < queue.n; i++)
        if (!hold_back(g->view, queue.row, queue.n, i) &&
            !in_sender(link_ground_sender(peer->link), queue.row[i].object.b))
            feed_one(g, peer, &queue.row[i]);
}

/* Make each sender's queue what the store says. */
static enum rc feed(struct ground *g, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    const struct sending_owner owner = { .fn = find_owner, .arg = g };
    size_t n = 0;
    enum rc rc = store_outgoing(g->home.store, NULL, OUTGOING_QUEUED, &rows, &n, err);

    if (rc == RC_OK && g->sending)
        rc = sending_queue(g->sending, g->home.store, g->view, rows, n, &owner, err);
    if (rc != RC_OK)
        return rc;
    free(g->row);
    g->row = rows;
    g->n_rows = n;
    rows = NULL;
    for (size_t i = 0; rc == RC_OK && i < g->n_peers; i++) {
        const struct queue queue = queue_of(g->row, n, g->peer[i]->id);

        mark_queue(g->peer[i], queue);
        if (g->peer[i]->link)
            drop_withdrawn(g->peer[i], queue);
        feed_queue(g, g->peer[i], queue);
        rc = resume(g, g->peer[i], err);
    }
    if (rc != RC_OK)
        return rc;
    g->queue_stale = false;
    return RC_OK;
}

/* The same for those whose link was opened since. */
static enum rc feed_fresh(struct ground *g, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < g->n_peers; i++) {
        struct peer *peer = g->peer[i];

        if (!peer->link || !peer->fresh)
            continue;
        feed_queue(g, peer, queue_of(g->row, g->n_rows, peer->id));
        rc = resume(g, peer, err);
    }
    return rc;
}

/* Whether a satellite's sender may go, and if so, how.  While nobody can answer, nothing that was
 * sent is late. */
static bool may_send(struct ground *g, struct peer *peer, uint64_t mono_ms, uint64_t unix_ms)
{
    struct sender *sender = link_ground_sender(peer->link);
    uint64_t waiting = 0;
    struct err err = { 0 };

    if (!g->sending)
        return true;
    enum rc rc = link_ground_waiting(peer->link, &waiting, &err);

    if (rc != RC_OK) {
        complain(g, peer, &err, "send", rc);
        return false;
    }
    const enum sending_gate gate =
        sending_gate(g->sending, peer->id, sender, (int64_t)unix_ms, waiting);

    if (gate == SENDING_CLOSED || gate == SENDING_EARLY)
        sender_hold(sender, mono_ms);
    return gate != SENDING_CLOSED;
}

static void send_all(struct ground *g, uint64_t mono_ms, uint64_t unix_ms)
{
    for (size_t i = 0; i < g->n_peers; i++) {
        struct peer *peer = g->peer[i];
        uint64_t budget = g->options.up_budget;
        uint32_t sent = 0;
        struct err err = { 0 };

        peer->busy = false;
        if (!peer->link || !may_send(g, peer, mono_ms, unix_ms))
            continue;
        const bool all = may_go_again(g, peer, mono_ms, unix_ms);

        if (!all && !link_ground_owes(peer->link))
            continue;
        if (!all) /* what is owed is new, and goes whatever the budget */
            budget = 0;
        const uint64_t before = link_ground_written(peer->link);
        enum rc rc = link_ground_send(peer->link, mono_ms, &budget, &sent, &err);

        if (rc != RC_OK)
            complain(g, peer, &err, "send", rc);
        peer->busy = sent > 0;
        peer->went |= sent > 0 && all;
        g->counts.out += sent;
        g->counts.out_bytes += link_ground_written(peer->link) - before;
        if (sent > 0)
            log_event(LOG_LEVEL_DEBUG, "sent satellite=%s files=%u bytes=%llu", peer->id, sent,
                      (unsigned long long)(link_ground_written(peer->link) - before));
    }
}

/* ---- what comes in ----------------------------------------------------------------------------
 */

struct inbox {
    struct ground *g;
    struct peer *peer;
    uint64_t mono_ms;
    uint64_t unix_ms;
};

/* Reports of a round go into one transaction, which begins with the first: each flush of the disk
 * costs more than hundreds of them.  One that is refused undoes its own part only.  The links keep
 * what they handed on until the transaction is committed, and hand it on again if it was not: what
 * was taken in already is old then, and changes nothing. */
static enum rc join_group(struct ground *g, struct err *err)
{
    enum rc rc = RC_OK;

    if (g->ungrouped.rc != RC_OK) { /* not one by one, when the store is in trouble */
        *err = g->ungrouped;
        return err->rc;
    }
    if (g->group && g->grouped == GROUP_MAX)
        rc = store_commit(&g->group, err);
    if (rc == RC_OK && !g->group) {
        g->grouped = 0;
        rc = store_begin(g->home.store, &g->group, err);
    }
    if (rc != RC_OK)
        g->ungrouped = *err;
    g->grouped += rc == RC_OK;
    return rc;
}

static enum rc end_group(struct ground *g, struct err *err)
{
    enum rc rc = g->ungrouped.rc;

    if (rc == RC_OK)
        rc = store_commit(&g->group, err);
    else
        *err = g->ungrouped;
    store_rollback(&g->group);
    g->ungrouped = (struct err){ 0 };
    return rc;
}

/* A report; or a brief, and then *ret is the report held.  RC_REPORT_OLD too if that is not what
 * the brief says: it has been asked for. */
static enum rc take_state(const struct inbox *in, struct bytes object, struct report *ret,
                          struct err *err)
{
    struct store *store = in->g->home.store;
    enum brief_says says = BRIEF_OLD;
    enum doc_type type = DOC_REPORT;
    struct err unread;
    enum rc joined = join_group(in->g, err);

    if (joined != RC_OK)
        return joined;
    if (doc_peek_type(object, &type, &unread) != RC_OK || type != DOC_BRIEF)
        return ingest_report(store, in->peer->id, object, in->unix_ms, ret, err);

    enum rc rc = brief_ingest(store, in->peer->id, object, in->unix_ms, &says, ret, err);

    if (rc == RC_OK && says == BRIEF_DIFFERS) {
        log_event(LOG_LEVEL_INFO, "report-asked-for satellite=%s", in->peer->id);
        changed(in->g);
    }
    return rc == RC_OK && says != BRIEF_SAME ? err_set(err, RC_REPORT_OLD, "brief") : rc;
}

/* Somebody is there.  What still waits for the carrier, it cannot have spoken of. */
static void hear(struct peer *peer, uint64_t mono_ms)
{
    uint64_t waiting = 0;
    struct err ignored;

    peer->heard = true;
    peer->heard_ms = mono_ms;
    peer->quiet = 0;
    if (peer->again_ms != 0 && link_ground_waiting(peer->link, &waiting, &ignored) == RC_OK &&
        waiting == 0)
        peer->again_ms = 0;
}

static void take_report(void *arg, enum object_kind kind, struct bytes object)
{
    struct inbox *in = arg;
    scoped(free_ptr) struct report *report = malloc(sizeof *report);
    struct port_transfers transfers;
    struct err err = { 0 };

    if (!report) {
        (void)err_set(&in->peer->kept, RC_NO_MEMORY, "report");
        return;
    }
    if (kind != OBJECT_REPORT) {
        log_event(LOG_LEVEL_WARN, "refused satellite=%s code=%s kind=%d", in->peer->id,
                  rc_name(RC_OBJECT_KIND), (int)kind);
        return;
    }
    enum rc rc = take_state(in, object, report, &err);

    if (rc == RC_REPORT_OLD) {
        log_event(LOG_LEVEL_DEBUG, "report-old satellite=%s", in->peer->id);
        in->g->counts.duplicates++;
        return;
    }
    if (rc != RC_OK && (rc_class(rc) == RC_CLASS_RETRY || rc == RC_STORE)) {
        in->peer->kept = err; /* it is not the report's fault */
        return;
    }
    if (rc != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "report-refused satellite=%s", in->peer->id);
        in->g->counts.refused++;
        in->g->counts.last = err;
        return;
    }
    changed(in->g);
    in->g->counts.reports++;
    hear(in->peer, in->mono_ms);
    *in->peer->said = report->keys;
    ingest_transfers(report, &transfers);
    if (link_ground_report(in->peer->link, &transfers, in->mono_ms))
        warn_restored(in->peer);
    log_event(LOG_LEVEL_INFO, "report satellite=%s epoch=%llu seq=%llu generation=%llu",
              in->peer->id, (unsigned long long)report->epoch, (unsigned long long)report->seq,
              (unsigned long long)report->generation);
}

/* The ground's half of rekeys: what the satellite holds now, by its report. */
static enum rc observe_keys(const struct inbox *in, struct err *err)
{
    scoped(rekeys_wipe) struct rekeys rekeys = { 0 };
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int lock = -1;
    bool save = false;
    enum rc rc = home_open_dir(&in->g->home, in->peer->keys, &dir, err);

    if (rc == RC_OK)
        rc = rekeys_lock(dir, &lock, err);
    if (rc == RC_OK)
        rc = rekeys_load(dir, &rekeys, err);
    if (rc == RC_OK)
        rc = rekeys_observe(&rekeys, in->peer->said, &save, err);
    if (rc == RC_OK && save)
        rc = rekeys_save(dir, &rekeys, err);
    return rc;
}

/* Bundles go out under a new key as soon as a report shows that it is held. */
static void take_keys(const struct inbox *in)
{
    const struct report_keys *keys = in->peer->said;
    struct err err = { 0 };
    enum rc rc = observe_keys(in, &err);

    if (rc == RC_BUSY) /* berth trust rekey is at work: the next report will do */
        rc = RC_OK;
    if (rc != RC_OK && rc != in->peer->keys_last)
        log_err(LOG_LEVEL_ERROR, &err, "keys satellite=%s", in->peer->id);
    in->peer->keys_last = rc;
    for (uint32_t i = 0; i < keys->n_links; i++)
        if (keys->link[i].peer == GROUND_NODE &&
            link_ground_confirm(in->peer->link, keys->link[i].tenant, keys->link[i].epoch, &err) !=
                RC_OK)
            log_err(LOG_LEVEL_ERROR, &err, "link-key satellite=%s", in->peer->id);
}

static void count(struct ground *g, const struct link_ground_counts *counts)
{
    g->counts.in += counts->files;
    g->counts.duplicates += counts->duplicates;
    g->counts.refused += counts->refused;
    if (counts->refused > 0)
        g->counts.last = counts->last;
}

/* Keep one message of a payload, or let go of what is none.  False: not now. */
static bool keep_message(struct ground *g, struct peer *peer, const struct port_object *object)
{
    const struct view_satellite *sat = view_find(g->view, peer->id);
    scoped(close_fd) int fd = -1;
    struct mail m = { 0 };
    struct err err = { 0 };

    if (!sat)
        return false;
    enum rc rc = link_ground_mail_open(peer->link, object->digest, &fd, &err);
    if (rc == RC_OK)
        rc = mail_keep(&g->home, sat, fd, object->size, &m, &err);
    if (rc == RC_OK)
        log_event(LOG_LEVEL_INFO, "mail satellite=%s payload=%s/%s bytes=%u", peer->id, m.tenant,
                  m.payload, m.size);
    else
        log_err(LOG_LEVEL_WARN, &err, "mail satellite=%s", peer->id);
    if (rc != RC_OK && (rc_class(rc) == RC_CLASS_RETRY || rc_class(rc) == RC_CLASS_BROKEN))
        return false;
    g->counts.refused += rc != RC_OK;
    rc = link_ground_mail_done(peer->link, object->digest, &err);
    if (rc != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, "mail satellite=%s", peer->id);
    return rc == RC_OK;
}

static void keep_mail(struct ground *g, struct peer *peer)
{
    struct port_object object;
    size_t i = 0;

    while (link_ground_mail(peer->link, i, &object)) {
        if (!keep_message(g, peer, &object))
            i++;
    }
}

/* What is new of one satellite, into the group. */
static void receive_peer(struct inbox *in)
{
    struct peer *peer = in->peer;
    struct link_ground_counts counts = { 0 };
    struct err why = { 0 };

    peer->heard = peer->opened = false;
    peer->kept = (struct err){ 0 };
    if (!peer->link)
        return;
    enum rc got = link_ground_receive(peer->link, RECEIVE_MAX, take_report, in, &counts, &why);

    if (got != RC_OK)
        complain(in->g, peer, &why, "receive", got);
    peer->opened = got == RC_OK;
    peer->more = counts.more;
    peer->files = false;
    count(in->g, &counts);
    if (counts.refused > 0)
        log_err(LOG_LEVEL_WARN, &counts.last, "downlink-refused satellite=%s count=%u", peer->id,
                counts.refused);
}

/* What came of this one is durable, or it stays.  Going on at once is for those whose files have
 * gone. */
static void let_go(struct ground *g, struct peer *peer)
{
    struct err why = peer->kept;

    if (!peer->opened)
        return;
    enum rc rc = why.rc == RC_OK ? link_ground_let_go(peer->link, &why) : why.rc;

    complain(g, peer, &why, "receive", rc);
    g->counts.more |= rc == RC_OK && peer->more;
}

/* All that is new of all satellites. */
static enum rc receive_reports(struct ground *g, uint64_t mono_ms, uint64_t unix_ms,
                               struct err *err)
{
    for (size_t i = 0; i < g->n_peers; i++) {
        struct inbox in = { .g = g, .peer = g->peer[i], .mono_ms = mono_ms, .unix_ms = unix_ms };

        receive_peer(&in);
    }
    enum rc rc = end_group(g, err);

    for (size_t i = 0; rc == RC_OK && i < g->n_peers; i++)
        let_go(g, g->peer[i]);
    return rc;
}

static enum rc receive_all(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    enum rc rc = receive_reports(g, mono_ms, unix_ms, err);

    for (size_t i = 0; rc == RC_OK && i < g->n_peers; i++) {
        const struct inbox in = { .g = g, .peer = g->peer[i] };

        if (!in.peer->link)
            continue;
        keep_mail(g, in.peer);
        if (in.peer->heard)
            take_keys(&in);
        rc = settle_peer(g, in.peer, unix_ms, err);
    }
    return rc;
}

/* ---- one round --------------------------------------------------------------------------------
 */

static void log_advance(void *arg, const struct advance_event *event)
{
    struct ground *g = arg;

    changed(g);
    if (event->rollout != 0)
        log_event(LOG_LEVEL_INFO, "%s rollout=%llu wave=%llu%s%s", event->what,
                  (unsigned long long)event->rollout, (unsigned long long)event->number,
                  event->detail[0] ? " reason=" : "", event->detail);
    else
        log_event(LOG_LEVEL_INFO, "%s satellite=%s generation=%llu", event->what, event->detail,
                  (unsigned long long)event->number);
}

static void log_deliver(void *arg, const char *what, const char *satellite, const struct ride *ride)
{
    struct ground *g = arg;

    changed(g);
    log_event(LOG_LEVEL_WARN, "%s satellite=%s sends=%s bytes=%llu%s%s", what, satellite,
              ride->kind == RIDE_DELTA ? "delta" : "full", (unsigned long long)ride->size,
              ride->refused ? " code=" : "",
              ride->refused ? rc_name(rc_from_number(ride->refused)) : "");
}

/* Before the senders get their queues: what cannot work must not go up. */
static enum rc settle_deltas(struct ground *g, uint64_t unix_ms, bool *ret_waits, struct err *err)
{
    const struct deliver_log log = { .fn = log_deliver, .arg = g };

    delta_cache_making(&g->home, &g->view->making);
    return deliver_settle(g->home.store, g->view, unix_ms, &log, ret_waits, err);
}

/* Read the view again if this program or another one changed the store. */
static enum rc refresh(struct ground *g, struct err *err)
{
    struct view *view = NULL;
    uint64_t watched = 0;
    enum rc rc = store_watch(g->home.store, &watched, err);

    if (rc != RC_OK)
        return rc;
    if (watched != g->watched)
        changed(g);
    if (!g->view_stale && g->view)
        return RC_OK;
    rc = view_load(g->home.store, &view, err);
    if (rc != RC_OK)
        return rc;
    view_free(&g->view);
    g->view = view;
    g->watched = watched;
    g->view_stale = false;
    return RC_OK;
}

/* Documents that went on board by provisioning have never been objects. */
static enum rc lay_out(struct ground *g, enum doc_type type, const char *name, uint64_t version,
                       struct err *err)
{
    scoped(free_ptr) uint8_t *envelope = NULL;
    char path[HOME_OBJECT_CAP];
    struct digest digest;
    size_t n = 0;
    enum rc rc = store_document_version(g->home.store, type, name, version, &envelope, &n, err);

    if (rc == RC_NOT_FOUND) /* not ours: there is nothing to send */
        return RC_OK;
    if (rc == RC_OK)
        rc = home_add_bytes(&g->home, (struct bytes){ envelope, n }, &digest, path, err);
    return rc;
}

static enum rc lay_out_newest(struct ground *g, enum doc_type type, struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(g->home.store, type, &names, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = lay_out(g, type, names[i].name, names[i].version, err);
    return rc;
}

static enum rc lay_out_lost(struct ground *g, const struct sight *seen, struct err *err)
{
    enum rc rc = RC_OK;

    if (seen && (seen->lost & LOST_ROOT) != 0)
        rc = lay_out(g, DOC_ROOT, "root", seen->root_version, err);
    if (rc == RC_OK && seen && (seen->lost & LOST_GRANT) != 0)
        rc = lay_out_newest(g, DOC_GRANT, err);
    if (rc == RC_OK && seen && (seen->lost & LOST_TEAM) != 0)
        rc = lay_out_newest(g, DOC_DELEGATION, err);
    return rc;
}

static enum rc repair(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    if (mono_ms - g->repaired < REPAIR_EVERY_MS)
        return RC_OK;
    g->repaired = mono_ms;
    delta_cache_making(&g->home, &g->view->making);
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < g->view->n; i++) {
        uint32_t again = 0;

        rc = lay_out_lost(g, g->view->satellite[i].seen, err);
        if (rc != RC_OK)
            break;
        rc = ingest_repair(g->home.store, g->view, &g->view->satellite[i], unix_ms, &again, err);
        if (again > 0) {
            log_event(LOG_LEVEL_WARN, "sent-again satellite=%s objects=%u",
                      g->view->satellite[i].row.id, again);
            changed(g);
        }
    }
    return rc;
}

const struct ground_counts *ground_counts(const struct ground *g)
{
    return &g->counts;
}

static enum rc receive(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    enum rc rc = lead(g, mono_ms, unix_ms, err);

    if (rc == RC_OK)
        rc = refresh(g, err);
    if (rc != RC_OK)
        return rc;
    g->counts.more = false;
    g->only = (struct err){ 0 };
    rc = open_links(g, mono_ms, unix_ms, err);
    if (rc == RC_OK)
        rc = only_open(g, err);
    if (rc == RC_OK)
        rc = receive_all(g, mono_ms, unix_ms, err);
    return rc == RC_OK ? only_well(g, err) : rc;
}

enum rc ground_receive(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    return after(g, receive(g, mono_ms, unix_ms, err));
}

/* What was released goes. */
static enum rc send_released(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    bool waits = false, settled = false;
    enum rc rc = repair(g, mono_ms, unix_ms, err);

    if (rc == RC_OK && g->queue_stale)
        rc = settle_deltas(g, unix_ms, &waits, err);
    if (rc == RC_OK && g->queue_stale)
        rc = feed(g, err);
    if (rc == RC_OK && g->sending)
        rc = sending_tick(g->sending, &g->home, (int64_t)unix_ms, &settled, err);
    g->view_stale = g->view_stale || settled;
    if (rc != RC_OK)
        return rc;
    g->queue_stale = g->queue_stale || waits;
    if (is_crowded(g)) /* what was queued only now */
        rc = open_links(g, mono_ms, unix_ms, err);
    if (rc == RC_OK)
        rc = feed_fresh(g, err);
    if (rc != RC_OK)
        return rc;
    send_all(g, mono_ms, unix_ms);
    if (g->sending)
        rc = sending_keep(g->sending, g->home.store, err);
    return rc == RC_OK ? only_well(g, err) : rc;
}

static enum rc send(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    const struct advance_log log = { .fn = log_advance, .arg = g };
    struct err stuck = { 0 };
    enum rc rc = lead(g, mono_ms, unix_ms, err), moved = RC_OK;

    if (rc == RC_OK)
        rc = refresh(g, err);
    if (rc == RC_OK)
        moved = advance_all(g->home.store, g->view, unix_ms, &log, &stuck);
    /* A rollout or an order that is broken keeps nothing that was released, only this round's word
     * that all is well. */
    if (rc == RC_OK && !advance_ends_round(moved))
        rc = send_released(g, mono_ms, unix_ms, err);
    if (rc != RC_OK || moved == RC_OK)
        return rc;
    *err = stuck;
    return moved;
}

enum rc ground_send(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    return after(g, send(g, mono_ms, unix_ms, err));
}

enum rc ground_tick(struct ground *g, uint64_t mono_ms, uint64_t unix_ms, struct err *err)
{
    enum rc rc = ground_receive(g, mono_ms, unix_ms, err);

    return rc == RC_OK ? ground_send(g, mono_ms, unix_ms, err) : rc;
}
