/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_tcp: bundles over TCPCL version 4 (RFC 9174), by TLS unless that was given up in so many
 * words.  link/tcpcl knows the protocol; this moves its bytes.
 *
 * One session at a time.  Whoever connects may try to become the peer; until one has shown that it
 * is, the session that is there goes on, and only then the new one takes its place: a peer that
 * came back after a power cut need not wait for its old connection to die.  link/cl_door decides
 * who may try.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "link/cl.h"
#include "link/cl_door.h"
#include "link/cl_net.h"
#include "link/cl_tls.h"
#include "link/tcpcl.h"

#define CONNS CL_DOOR_PLACES
#define IO_SIZE 16384U    /* bytes that are moved at once */
#define ROUNDS 64U        /* steps of one connection in one turn */
#define RETRY_MS_MIN 250U /* between attempts to connect, doubled each time */
#define RETRY_MS_MAX 30000U
#define LAST_WORDS_MS 2000U /* for what is left to send when a session is over */
#define FULL_MS_MIN 1000U   /* after the peer had no room, doubled each time */
#define FULL_MS_MAX 16000U
#define CROWD_MS 60000U /* how often it is told that many knock */

static_assert(CONNS + 1 <= CL_FDS, "all connections can be waited for");

struct conn {
    int fd;                 /* -1 = free */
    struct cl_address from; /* of the listening side */
    bool connecting;
    bool want_write;
    bool over;
    bool more;         /* its turn ended before its work */
    uint64_t since_ms; /* of its beginning; when it is over, of that */
    struct cl_tls_link *tls;
    struct tcpcl s;
    size_t n_in;
    size_t in_at;
    size_t n_out;
    size_t out_at;
    uint8_t in[IO_SIZE];
    uint8_t out[IO_SIZE];
};

/* A file that the peer has not acknowledged yet. */
struct flight {
    uint64_t id;
    struct cl_item item;
};

struct cl_tcp {
    struct cl_config config;
    struct cl_store *store;
    struct cl_tls *tls;
    int listen_fd; /* -1 on the active side */
    struct cl_address peer;
    struct cl_address expected; /* of the listening side; n = 0: not known */
    uint64_t away;              /* connections turned away since that was told */
    uint64_t away_ms;           /* when that was; 0 = never */
    struct conn *current;       /* the session; NULL = none */
    uint64_t retry_ms;
    uint64_t retry_at_ms;
    bool stopping;
    bool told_large;
    bool told_full; /* the peer */
    bool told_here; /* us */
    uint64_t full_ms;
    uint64_t full_until_ms; /* nothing is offered before */
    size_t n_flight;
    struct flight flight[TCPCL_WINDOW];
    struct conn conn[CONNS];
    uint8_t rx[BUNDLE_MAX];
    uint8_t tx[BUNDLE_MAX];
};

static void tcp_close(void *arg)
{
    struct cl_tcp *t = arg;

    for (size_t i = 0; i < CONNS; i++) {
        cl_tls_end(&t->conn[i].tls);
        close_fd(&t->conn[i].fd);
    }
    close_fd(&t->listen_fd);
    cl_tls_close(&t->tls);
    free(t);
}

/* ---- set-up ---- */

static enum rc check_config(const struct cl_config *c, struct err *err)
{
    if ((c->listen == NULL) == (c->peer == NULL))
        return err_set(err, RC_USAGE, "give --listen or --peer");
    if (c->from && !c->listen)
        return err_set(err, RC_USAGE, "--from goes with --listen");
    if (!c->node_id || !c->peer_id)
        return err_set(err, RC_USAGE, "--node-id and --peer-id are needed, such as ipn:1.0");
    if (strlen(c->node_id) > TCPCL_NODE_ID_MAX || strlen(c->peer_id) > TCPCL_NODE_ID_MAX)
        return err_set(err, RC_USAGE, "node ids have %u bytes at most", TCPCL_NODE_ID_MAX);
    if (c->plain && (c->ca || c->cert || c->key))
        return err_set(err, RC_USAGE, "certificates are of no use with --tls plain-tcp");
    if (!c->plain && (!c->ca || !c->cert || !c->key))
        return err_set(err, RC_USAGE, "--ca, --cert and --key are needed; or --tls plain-tcp");
    return RC_OK;
}

static enum rc tcp_open(const struct cl_config *config, struct cl_store *store, void **ret,
                        struct err *err)
{
    struct cl_tcp *t = NULL;
    enum rc rc = check_config(config, err);

    if (rc != RC_OK)
        return rc;
    t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, RC_IO, "no memory");
    t->config = *config;
    t->store = store;
    t->listen_fd = -1;
    t->retry_ms = RETRY_MS_MIN;
    t->full_ms = FULL_MS_MIN;
    for (size_t i = 0; i < CONNS; i++)
        t->conn[i].fd = -1;
    if (!config->plain)
        rc = cl_tls_open(config->ca, config->cert, config->key, config->ignore_dates, &t->tls, err);
    if (rc == RC_OK && config->listen)
        rc = cl_net_bind(config->listen, SOCK_STREAM, &t->listen_fd, err);
    if (rc == RC_OK && config->peer)
        rc = cl_net_parse(config->peer, true, &t->peer, err);
    if (rc == RC_OK && config->from)
        rc = cl_net_parse(config->from, false, &t->expected, err);
    if (rc != RC_OK) {
        tcp_close(t);
        return rc;
    }
    if (config->listen) {
        char text[CL_NET_TEXT_CAP];
        struct cl_address own;

        cl_net_own(t->listen_fd, &own);
        log_event(LOG_LEVEL_INFO, "listen at=%s", cl_net_text(&own, text));
    }
    *ret = t;
    return RC_OK;
}

/* ---- connections come and go ---- */

static void begin(struct cl_tcp *t, struct conn *c, int fd, bool connecting, uint64_t now_ms)
{
    const struct tcpcl_config config = {
        .active = t->listen_fd < 0,
        .tls = !t->config.plain,
        .keepalive_s = (uint16_t)t->config.keepalive_s,
        .patience_ms = t->config.patience_ms,
        .transfer_mru = t->config.size_max,
        .node_id = t->config.node_id,
    };
    const int on = 1;

    /* Segments and acknowledgements are put together here; without this they wait for each other.
     */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->fd = fd;
    c->connecting = connecting;
    c->over = c->want_write = c->more = false;
    c->since_ms = now_ms;
    c->n_in = c->in_at = c->n_out = c->out_at = 0;
    tcpcl_init(&c->s, &config, now_ms);
}

/* What was not acknowledged stays in the directory and is sent again. */
static void finish(struct cl_tcp *t, struct conn *c, uint64_t now_ms)
{
    const struct cl_counts *n = &t->store->counts;

    if (c == t->current) {
        t->current = NULL;
        t->n_flight = 0;
        t->told_large = t->told_full = false;
        t->full_ms = FULL_MS_MIN;
        t->full_until_ms = 0;
        cl_names_rewind(&t->store->names);
        log_event(LOG_LEVEL_INFO,
                  "session-end sent=%llu sent_bytes=%llu received=%llu received_bytes=%llu "
                  "refused=%llu garbage=%llu too_large=%llu",
                  (unsigned long long)n->sent, (unsigned long long)n->sent_bytes,
                  (unsigned long long)n->received, (unsigned long long)n->received_bytes,
                  (unsigned long long)n->refused, (unsigned long long)n->garbage,
                  (unsigned long long)n->too_large);
    }
    cl_tls_end(&c->tls);
    close_fd(&c->fd);
    if (t->listen_fd < 0) {
        t->retry_at_ms = now_ms + t->retry_ms;
        t->retry_ms = t->retry_ms * 2 < RETRY_MS_MAX ? t->retry_ms * 2 : RETRY_MS_MAX;
    }
}

/* A place for a new connection, or NULL. */
static struct conn *place(struct cl_tcp *t, const struct cl_address *from, uint64_t now_ms)
{
    struct cl_door_place places[CONNS];

    for (size_t i = 0; i < CONNS; i++) {
        const struct conn *c = &t->conn[i];

        places[i] = (struct cl_door_place){ .since_ms = c->since_ms, .from = c->from };
        if (c->fd >= 0)
            places[i].is = c == t->current ? CL_DOOR_SESSION
                           : c->over       ? CL_DOOR_OVER
                                           : CL_DOOR_HANDSHAKE;
    }
    size_t at = cl_door(places, from, t->expected.n > 0 ? &t->expected : NULL, now_ms);

    if (at == CONNS)
        return NULL;
    if (t->conn[at].fd >= 0)
        finish(t, &t->conn[at], now_ms);
    return &t->conn[at];
}

/* Told now and then only: a crowd must not fill the log either. */
static void turn_away(struct cl_tcp *t, const struct cl_address *from, uint64_t now_ms)
{
    char text[CL_NET_TEXT_CAP];

    t->away++;
    if (t->away_ms != 0 && now_ms - t->away_ms < CROWD_MS)
        return;
    log_event(LOG_LEVEL_WARN, "turned-away count=%llu last=%s", (unsigned long long)t->away,
              cl_net_text(from, text));
    t->away = 0;
    t->away_ms = now_ms;
}

static void take_connections(struct cl_tcp *t, uint64_t now_ms)
{
    for (size_t i = 0; i < CONNS; i++) {
        struct cl_address from = { .n = sizeof from.v6 };
        int fd = accept4(t->listen_fd, &from.any, &from.n, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        struct conn *c = place(t, &from, now_ms);

        if (!c) {
            close_fd(&fd);
            turn_away(t, &from, now_ms);
            continue;
        }
        begin(t, c, fd, false, now_ms);
        c->from = from;
    }
}

static void connect_peer(struct cl_tcp *t, uint64_t now_ms)
{
    struct conn *c = &t->conn[0];
    int fd = socket(t->peer.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    begin(t, c, fd, true, now_ms);
    if (connect(fd, &t->peer.any, t->peer.n) < 0 && errno != EINPROGRESS)
        finish(t, c, now_ms);
}

/* ---- what the protocol asks for ---- */

/* Whether this is the peer; then it takes the place of the session before. */
static bool judge(struct cl_tcp *t, struct conn *c, uint64_t now_ms)
{
    struct err err = { 0 };
    enum rc rc = RC_OK;

    if (strcmp(c->s.peer_id, t->config.peer_id) != 0)
        rc = err_set(&err, RC_CL_PEER, "it calls itself %s", c->s.peer_id);
    else if (c->tls)
        rc = cl_tls_is_node(c->tls, t->config.peer_id, t->config.peer_dns, &err);
    if (rc != RC_OK) {
        tcpcl_end(&c->s, TCPCL_TERM_CONTACT, now_ms);
        c->s.err = err;
        return true;
    }
    if (t->current)
        finish(t, t->current, now_ms);
    t->current = c;
    t->retry_ms = RETRY_MS_MIN;
    tcpcl_admit(&c->s, t->rx, now_ms);
    log_event(LOG_LEVEL_INFO, "session peer=%s tls=%s keepalive_s=%u", c->s.peer_id,
              c->tls ? "yes" : "no", c->s.keepalive_s);
    return true;
}

static bool receive(struct cl_tcp *t, struct conn *c)
{
    struct err err = { 0 };

    if (!cl_store_is_bundle(c->s.received)) {
        t->store->counts.garbage++;
        tcpcl_refuse(&c->s, TCPCL_REFUSE_NOT_ACCEPTABLE);
    } else if (cl_store_receive(t->store, c->s.received, &err) != RC_OK) {
        if (!t->told_here)
            log_err(LOG_LEVEL_ERROR, &err, "receive");
        t->told_here = true;
        tcpcl_refuse(&c->s, TCPCL_REFUSE_NO_RESOURCES);
    } else {
        t->told_here = false;
        tcpcl_keep(&c->s);
    }
    return true;
}

/* The peer has no room.  What is under way may still find some; offering all that waits again and
 * again would only use up the link. */
static void hold_back(struct cl_tcp *t, uint64_t now_ms)
{
    t->store->counts.no_room++;
    if (now_ms < t->full_until_ms)
        return;
    t->full_until_ms = now_ms + t->full_ms;
    t->full_ms = t->full_ms * 2 < FULL_MS_MAX ? t->full_ms * 2 : FULL_MS_MAX;
    if (!t->told_full)
        log_event(LOG_LEVEL_WARN, "peer-full");
    t->told_full = true;
}

/* A transfer ended; whether the peer has the bundle, or never will. */
static bool landed(struct cl_tcp *t, uint64_t id, enum tcpcl_event event, uint8_t reason,
                   uint64_t now_ms)
{
    size_t i = 0;
    struct cl_counts *counts = &t->store->counts;

    while (i < t->n_flight && t->flight[i].id != id)
        i++;
    if (i == t->n_flight)
        return true;

    struct cl_item item = t->flight[i].item;
    bool there = event == TCPCL_DONE || reason == TCPCL_REFUSE_COMPLETED;
    bool never = reason == TCPCL_REFUSE_NOT_ACCEPTABLE || reason == TCPCL_REFUSE_EXTENSION;

    t->flight[i] = t->flight[--t->n_flight];
    if (event == TCPCL_REFUSED && reason == TCPCL_REFUSE_NO_RESOURCES)
        hold_back(t, now_ms);
    if (there) {
        t->full_ms = FULL_MS_MIN;
        t->told_full = false;
        counts->sent++;
        counts->sent_bytes += (uint64_t)item.size;
    } else if (never) {
        counts->refused++;
        log_event(LOG_LEVEL_WARN, "refused-by-peer name=%s reason=%u", item.name, reason);
    }
    /* A peer that refuses for good could as well have taken it and thrown it away: there is nothing
     * to be won by offering the same bytes for ever. */
    if (there || never)
        cl_store_sent(t->store, &item);
    return true;
}

/* Everything that was kept is on the disk, its names too: only now the peer may forget it. */
static bool commit(struct cl_tcp *t, struct conn *c, uint64_t now_ms)
{
    struct err err = { 0 };

    if (cl_store_commit(t->store, &err) == RC_OK) {
        tcpcl_commit(&c->s);
        return true;
    }
    log_err(LOG_LEVEL_ERROR, &err, "commit");
    finish(t, c, now_ms);
    return false;
}

static void say_over(const struct conn *c)
{
    if (c->s.err.rc != RC_OK)
        log_err(LOG_LEVEL_WARN, &c->s.err, "session-over");
}

static bool handle(struct cl_tcp *t, struct conn *c, enum tcpcl_event event, uint64_t now_ms)
{
    switch (event) {
    case TCPCL_PEER:
        return judge(t, c, now_ms);
    case TCPCL_BUNDLE:
        return receive(t, c);
    case TCPCL_DONE:
    case TCPCL_REFUSED:
        return landed(t, c->s.event_id, event, event == TCPCL_DONE ? 0 : c->s.event_reason, now_ms);
    case TCPCL_HELD:
        return commit(t, c, now_ms);
    case TCPCL_OVER:
        if (c->over)
            return false;
        c->over = true;
        c->since_ms = now_ms;
        say_over(c);
        return true;
    case TCPCL_NOTHING:
    case TCPCL_STARTTLS:
    case TCPCL_FULL:
        break;
    }
    return false;
}

/* ---- bytes ---- */

static enum cl_io plain_io(ssize_t got, size_t *ret_n, enum cl_io again)
{
    *ret_n = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return CL_IO_DONE;
    if (got == 0)
        return CL_IO_END;
    return errno == EAGAIN || errno == EINTR ? again : CL_IO_FAILED;
}

/* Whether a connection is still good after input or output; moved tells whether anything was. */
static bool note_io(struct cl_tcp *t, struct conn *c, enum cl_io io, uint64_t now_ms)
{
    if (io == CL_IO_WRITE)
        c->want_write = true;
    if (io != CL_IO_END && io != CL_IO_FAILED)
        return true;
    if (!c->over) {
        (void)err_set(&c->s.err, RC_CL_ENDED, "connection closed");
        say_over(c);
    }
    finish(t, c, now_ms);
    return false;
}

/* Send what there is.  *moved: something went. */
static bool flush(struct cl_tcp *t, struct conn *c, uint64_t now_ms, bool *moved)
{
    size_t n = 0;
    enum cl_io io;

    if (c->out_at == c->n_out) {
        c->out_at = 0;
        c->n_out = tcpcl_output(&c->s, c->out, sizeof c->out, now_ms);
    }
    if (c->n_out == 0)
        return true;
    if (c->tls)
        io = cl_tls_write(c->tls, c->out + c->out_at, c->n_out - c->out_at, &n);
    else
        io = plain_io(send(c->fd, c->out + c->out_at, c->n_out - c->out_at, MSG_NOSIGNAL), &n,
                      CL_IO_WRITE);
    c->out_at += n;
    if (c->out_at == c->n_out)
        c->out_at = c->n_out = 0;
    *moved |= n > 0;
    return note_io(t, c, io, now_ms);
}

/* Get more input, if all of it was used. */
static bool fill(struct cl_tcp *t, struct conn *c, uint64_t now_ms, bool *moved)
{
    size_t cap = tcpcl_wants(&c->s) < sizeof c->in ? tcpcl_wants(&c->s) : sizeof c->in;
    size_t n = 0;
    enum cl_io io;

    if (c->in_at < c->n_in || c->over)
        return true;
    if (c->tls)
        io = cl_tls_read(c->tls, c->in, cap, &n);
    else
        io = plain_io(recv(c->fd, c->in, cap, 0), &n, CL_IO_READ);
    c->n_in = n;
    c->in_at = 0;
    *moved |= n > 0;
    return note_io(t, c, io, now_ms);
}

/* The contact headers went over the line in the open; from here on nothing does. */
static bool secure(struct cl_tcp *t, struct conn *c, uint64_t now_ms, bool *moved)
{
    struct err err = { 0 };
    enum cl_io io;

    if (c->n_out > 0)
        return true;
    if (!c->tls && cl_tls_begin(t->tls, c->s.config.active, c->fd, &c->tls, &err) != RC_OK)
        io = CL_IO_FAILED;
    else
        io = cl_tls_handshake(c->tls, &err);
    if (io == CL_IO_DONE) {
        tcpcl_secured(&c->s, now_ms);
        *moved = true;
    }
    if (io == CL_IO_FAILED) {
        log_err(LOG_LEVEL_WARN, &err, "session-over");
        finish(t, c, now_ms);
        return false;
    }
    return note_io(t, c, io, now_ms);
}

/* Offer the next file to the peer.  *moved: one was found. */
static void offer(struct cl_tcp *t, struct conn *c, uint64_t now_ms, bool *moved)
{
    struct flight *f = &t->flight[t->n_flight];
    struct err err = { 0 };
    const char *name = NULL;

    if (t->current != c || t->stopping || now_ms < t->full_until_ms || !tcpcl_can_send(&c->s) ||
        t->n_flight == TCPCL_WINDOW)
        return;

    enum rc rc = cl_names_next(&t->store->names, &name, &err);

    if (rc != RC_OK || !name)
        return;
    *moved = true;
    for (size_t i = 0; i < t->n_flight; i++)
        if (strcmp(t->flight[i].item.name, name) == 0)
            return;
    rc = cl_store_read(t->store->send_fd, name, t->tx, sizeof t->tx, &f->item, &err);
    if (rc != RC_OK) {
        cl_store_reject(t->store, t->store->send_fd, name, rc);
        return;
    }
    if (!tcpcl_fits(&c->s, (uint64_t)f->item.size)) {
        t->store->counts.too_large++;
        if (!t->told_large)
            log_event(LOG_LEVEL_WARN, "too-large-for-peer name=%s bytes=%lld limit=%llu", name,
                      (long long)f->item.size, (unsigned long long)c->s.peer_transfer_mru);
        t->told_large = true;
        return;
    }
    f->id = tcpcl_send(&c->s, (struct bytes){ t->tx, (size_t)f->item.size }, now_ms);
    t->n_flight++;
}

/* Give input to the protocol.  *moved: some was used, or something happened. */
static bool feed(struct cl_tcp *t, struct conn *c, uint64_t now_ms, bool *moved)
{
    const struct bytes in = { c->in + c->in_at, c->n_in - c->in_at };
    size_t used = 0;
    enum tcpcl_event event = tcpcl_input(&c->s, in, now_ms, &used);

    c->in_at += used;
    *moved |= used > 0;
    *moved |= handle(t, c, event, now_ms);
    return c->fd >= 0;
}

/* One step of everything.  False: the connection is closed. */
static bool step(struct cl_tcp *t, struct conn *c, uint64_t now_ms, bool *moved)
{
    if (!feed(t, c, now_ms, moved) || !flush(t, c, now_ms, moved))
        return false;
    if (c->s.state == TCPCL_STATE_TLS)
        return secure(t, c, now_ms, moved);
    offer(t, c, now_ms, moved);
    if (!fill(t, c, now_ms, moved))
        return false;
    if (!*moved && tcpcl_held(&c->s)) {
        *moved = true;
        return commit(t, c, now_ms);
    }
    return true;
}

static bool is_connected(struct cl_tcp *t, struct conn *c, uint64_t now_ms)
{
    struct pollfd now = { .fd = c->fd, .events = POLLOUT };
    int error = 0;
    socklen_t n = sizeof error;
    uint64_t wait = 0;

    tcpcl_tick(&c->s, now_ms, &wait); /* its patience is the limit here, too */
    if (c->s.state != TCPCL_STATE_OVER && poll(&now, 1, 0) == 0)
        return false;
    if (c->s.state == TCPCL_STATE_OVER || getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 ||
        error != 0) {
        finish(t, c, now_ms);
        return false;
    }
    c->connecting = false;
    return true;
}

static void turn_conn(struct cl_tcp *t, struct conn *c, uint64_t now_ms)
{
    uint64_t wait = 0;
    bool moved = true;

    if (c->connecting && !is_connected(t, c, now_ms))
        return;
    tcpcl_tick(&c->s, now_ms, &wait);
    c->want_write = false;
    for (size_t i = 0; i < ROUNDS && moved; i++) {
        moved = false;
        if (!step(t, c, now_ms, &moved))
            return;
    }
    c->more = moved;
    if (c->over && (c->n_out == 0 || now_ms >= c->since_ms + LAST_WORDS_MS)) {
        if (c->tls && c->s.err.rc == RC_OK)
            cl_tls_bye(c->tls);
        finish(t, c, now_ms);
    }
}

/* ---- the table ---- */

static size_t tcp_wait(void *arg, uint64_t now_ms, struct pollfd *ret, uint64_t *ret_wait_ms)
{
    struct cl_tcp *t = arg;
    uint64_t wait;
    size_t n = 0;

    if (t->listen_fd >= 0 && !t->stopping)
        ret[n++] = (struct pollfd){ .fd = t->listen_fd, .events = POLLIN };
    for (size_t i = 0; i < CONNS; i++) {
        struct conn *c = &t->conn[i];
        short events = c->connecting || c->want_write || c->n_out > 0 ? POLLOUT : 0;

        if (c->fd < 0)
            continue;
        if (!c->connecting && !c->over && c->in_at == c->n_in)
            events |= POLLIN;
        ret[n++] = (struct pollfd){ .fd = c->fd, .events = events };
        tcpcl_tick(&c->s, now_ms, &wait);
        if (c->over)
            wait = LAST_WORDS_MS / 4;
        if (wait < *ret_wait_ms)
            *ret_wait_ms = wait;
        if (c->more)
            *ret_wait_ms = 0;
    }
    if (t->listen_fd < 0 && t->conn[0].fd < 0) {
        wait = t->retry_at_ms > now_ms ? t->retry_at_ms - now_ms : 0;
        *ret_wait_ms = wait < *ret_wait_ms ? wait : *ret_wait_ms;
    }
    return n;
}

static void tcp_turn(void *arg, uint64_t now_ms)
{
    struct cl_tcp *t = arg;

    if (t->listen_fd >= 0 && !t->stopping)
        take_connections(t, now_ms);
    else if (!t->stopping && t->conn[0].fd < 0 && now_ms >= t->retry_at_ms)
        connect_peer(t, now_ms);
    for (size_t i = 0; i < CONNS; i++)
        if (t->conn[i].fd >= 0)
            turn_conn(t, &t->conn[i], now_ms);
}

static bool tcp_stop(void *arg, uint64_t now_ms)
{
    struct cl_tcp *t = arg;
    bool none = true;

    for (size_t i = 0; i < CONNS; i++) {
        struct conn *c = &t->conn[i];

        if (c->fd < 0)
            continue;
        if (!t->stopping && c == t->current)
            tcpcl_end(&c->s, TCPCL_TERM_UNKNOWN, now_ms);
        else if (c != t->current)
            finish(t, c, now_ms);
        none &= c->fd < 0;
    }
    t->stopping = true;
    return none;
}

const struct cl_kind cl_tcp = {
    .name = "tcp",
    .sockets = true,
    .open = tcp_open,
    .wait = tcp_wait,
    .turn = tcp_turn,
    .stop = tcp_stop,
    .close = tcp_close,
};
