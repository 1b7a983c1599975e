/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus_serve.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/bus_api.h"
#include "base/clock.h"

#define ABUSE_GAP_MS 2000U /* between two times that berthd is told of it */

/* What a connection needs while it is used; pages that are not touched cost nothing. */
struct room {
    struct bus_ask ask; /* while it waits */
    uint8_t in[HTTP_REQUEST_MAX];
    struct http_response out;
};

/* A connection: it reads a request, or waits for something to tell, or writes an answer. */
struct conn {
    int fd; /* -1 = free */
    bool waiting;
    bool closing; /* once the answer is out */
    size_t n_in;
    size_t n_out, sent;   /* of the answer, 0 = there is none */
    uint64_t deadline_ms; /* of whatever it is doing */
    struct room *room;
};

/* So many in a second, and no more than burst saved up.  Counted in thousandths. */
struct bucket {
    uint64_t milli, rate, burst, at_ms;
};

struct server {
    int listen_fd, berthd_fd;
    bool woken; /* there may be something for those who wait */
    uint32_t abuse;
    uint64_t abuse_ms; /* told last */
    uint64_t alone_ms; /* without a connection since */
    struct bucket turns, requests;
    struct conn conn[BUS_CONNECTIONS_MAX];
};

/* ---- how much ------------------------------------------------------------------------------- */

static struct bucket bucket_full(uint64_t rate, uint64_t burst, uint64_t now)
{
    return (struct bucket){ .milli = burst * 1000, .rate = rate, .burst = burst, .at_ms = now };
}

static bool bucket_take(struct bucket *b, uint64_t now)
{
    uint64_t gained = (now - b->at_ms) * b->rate;

    b->at_ms = now;
    b->milli = gained > b->burst * 1000 - b->milli ? b->burst * 1000 : b->milli + gained;
    if (b->milli < 1000)
        return false;
    b->milli -= 1000;
    return true;
}

/* Nobody is looked at before the next turn is due. */
static void await_turn(struct server *s)
{
    const struct timespec nap = { .tv_nsec = 1000000000L / (long)BUS_TURNS_S };

    while (!bucket_take(&s->turns, clock_mono_ms()))
        (void)nanosleep(&nap, NULL);
}

/* ---- berthd --------------------------------------------------------------------------------- */

/* One packet from berthd, if there is one. */
static enum rc hear(struct server *s, struct bus_answer *ret, struct err *err)
{
    enum rc rc = bus_receive(s->berthd_fd, ret, sizeof *ret, err);

    return rc == RC_OK ? bus_answer_check(ret, err) : rc;
}

static enum rc await_packet(struct server *s, uint64_t until_ms, struct err *err)
{
    struct pollfd p = { .fd = s->berthd_fd, .events = POLLIN };
    uint64_t now = clock_mono_ms();

    if (now >= until_ms || poll(&p, 1, (int)(until_ms - now)) == 0)
        return err_set(err, RC_TIMEOUT, "berthd");
    return RC_OK;
}

/* Ask and have the answer; the payload's other connections wait as long. */
static enum rc ask_berthd(struct server *s, const struct bus_ask *ask, struct bus_answer *ret,
                          struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + BUS_ANSWER_MS;
    enum rc rc = bus_send(s->berthd_fd, ask, sizeof *ask, err);

    while (rc == RC_OK) {
        rc = hear(s, ret, err);
        if (rc == RC_OK && ret->op == ask->op)
            return RC_OK;
        if (rc == RC_OK && ret->op != BUS_WAKE)
            return err_set(err, RC_PROTOCOL, "answer %u to question %u", ret->op, ask->op);
        s->woken |= rc == RC_OK;
        if (rc == RC_TIMEOUT)
            rc = await_packet(s, until_ms, err);
    }
    return rc;
}

static enum rc tell_abuse(struct server *s, struct err *err)
{
    static struct bus_answer answer; /* large, and there is one thread */
    struct bus_ask ask = { .op = BUS_ABUSE, .id = s->abuse };

    if (s->abuse == 0)
        return RC_OK;
    s->abuse = 0;
    s->abuse_ms = clock_mono_ms();
    return ask_berthd(s, &ask, &answer, err);
}

/* ---- one connection ------------------------------------------------------------------------- */

static void conn_close(struct conn *c)
{
    close_fd(&c->fd);
    c->waiting = c->closing = false;
    c->n_in = c->sent = c->n_out = 0;
}

static void conn_refuse(struct server *s, struct conn *c, const struct err *err)
{
    s->abuse++;
    c->waiting = false;
    c->n_in = 0; /* whatever follows is not looked at */
    c->closing = true;
    bus_api_refuse(err, true, &c->room->out);
    c->n_out = c->room->out.n;
}

/* Send what the peer takes now; when all of it is out, the next request may come. */
static void conn_write(struct conn *c, uint64_t now)
{
    while (c->fd >= 0 && c->sent < c->n_out) {
        ssize_t n = send(c->fd, c->room->out.bytes + c->sent, c->n_out - c->sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR) {
            conn_close(c);
            return;
        }
        c->sent += n > 0 ? (size_t)n : 0;
    }
    if (c->fd < 0 || c->n_out == 0)
        return;
    c->n_out = c->sent = 0;
    c->deadline_ms = now + BUS_IDLE_MS;
    if (c->closing)
        conn_close(c);
}

/* Ask, and answer the client, or let it wait for longer. */
static enum rc conn_ask(struct server *s, struct conn *c, uint64_t now, struct err *err)
{
    static struct bus_answer answer; /* large, and there is one thread */
    enum rc rc = ask_berthd(s, &c->room->ask, &answer, err);

    if (rc != RC_OK)
        return rc;
    if (c->waiting && bus_api_is_empty(&answer) && now < c->deadline_ms)
        return RC_OK;
    c->waiting = false;
    bus_api_respond(&answer, c->closing, &c->room->out);
    c->n_out = c->room->out.n;
    c->deadline_ms = now + BUS_REQUEST_MS;
    conn_write(c, now);
    return RC_OK;
}

/* What a whole request comes to.  Only a failure to talk to berthd is one. */
static enum rc conn_request(struct server *s, struct conn *c, const struct http_request *r,
                            uint64_t now, struct err *err)
{
    struct err why = { 0 };
    uint32_t wait_s = 0;
    enum rc rc = bucket_take(&s->requests, now)
                     ? bus_api_ask(r, &c->room->ask, &wait_s, &why)
                     : err_set(&why, RC_BUS_RATE, "%u requests a second", BUS_REQUESTS_S);

    c->closing |= r->close;
    memmove(c->room->in, c->room->in + r->bytes, c->n_in - r->bytes);
    c->n_in -= r->bytes;
    if (rc == RC_BUS_RATE) {
        conn_refuse(s, c, &why);
        return RC_OK;
    }
    if (rc != RC_OK) {
        bus_api_refuse(&why, c->closing, &c->room->out);
        c->n_out = c->room->out.n;
        c->deadline_ms = now + BUS_REQUEST_MS;
        return RC_OK;
    }
    c->waiting = wait_s > 0;
    if (c->waiting)
        c->deadline_ms = now + (uint64_t)wait_s * 1000U;
    return conn_ask(s, c, now, err);
}

/* Whatever requests lie there whole, one after the other, as long as the answers go out. */
static enum rc conn_requests(struct server *s, struct conn *c, uint64_t now, struct err *err)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && c->fd >= 0 && c->n_in > 0 && !c->waiting && c->n_out == 0) {
        struct http_request r;
        struct err why = { 0 };
        enum rc got = http_parse((struct bytes){ c->room->in, c->n_in }, &r, &why);

        if (got == RC_SHORT)
            return RC_OK;
        if (got == RC_OK)
            rc = conn_request(s, c, &r, now, err);
        else
            conn_refuse(s, c, &why);
        conn_write(c, now);
    }
    return rc;
}

/* One read: there is no room for descriptors, so the kernel lets go of those that come along. */
static enum rc conn_read(struct server *s, struct conn *c, uint64_t now, struct err *err)
{
    struct iovec iov = { .iov_base = c->room->in + c->n_in,
                         .iov_len = sizeof c->room->in - c->n_in };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return RC_OK;
    if (n <= 0) {
        conn_close(c);
        return RC_OK;
    }
    if (c->n_in == 0)
        c->deadline_ms = now + BUS_REQUEST_MS;
    c->n_in += (size_t)n;
    if ((msg.msg_flags & MSG_CTRUNC) != 0) {
        struct err why = { 0 };

        (void)err_set(&why, RC_BUS_REQUEST, "descriptors with a request");
        conn_refuse(s, c, &why);
        conn_write(c, now);
        return RC_OK;
    }
    return conn_requests(s, c, now, err);
}

static enum rc conn_expire(struct server *s, struct conn *c, uint64_t now, struct err *err)
{
    struct err why = { 0 };

    if (c->waiting) /* the last look: there is something, or the client is told that there is not */
        return conn_ask(s, c, now, err);
    if (c->n_in == 0 || c->n_out > 0) {
        s->abuse += c->n_out > 0 ? 1 : 0;
        conn_close(c);
        return RC_OK;
    }
    (void)err_set(&why, RC_TIMEOUT, "request");
    conn_refuse(s, c, &why);
    c->deadline_ms = now + BUS_REQUEST_MS;
    conn_write(c, now);
    return RC_OK;
}

/* ---- the loop ------------------------------------------------------------------------------- */

static struct conn *free_conn(struct server *s)
{
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        if (s->conn[i].fd < 0)
            return &s->conn[i];
    return NULL;
}

static void accept_some(struct server *s, uint64_t now)
{
    struct conn *c;

    while ((c = free_conn(s)) != NULL) {
        c->fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (c->fd < 0)
            return;
        c->deadline_ms = now + BUS_IDLE_MS;
    }
}

static short events_of(const struct conn *c)
{
    if (c->n_out > 0)
        return POLLOUT;
    return c->waiting ? POLLRDHUP : POLLIN;
}

/* How long to sleep at the most. */
static int time_left(const struct server *s, uint64_t now)
{
    uint64_t next = s->alone_ms + BUS_IDLE_MS;

    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        if (s->conn[i].fd >= 0 && s->conn[i].deadline_ms < next)
            next = s->conn[i].deadline_ms;
    return next > now ? (int)(next - now) : 0;
}

struct waiting {
    struct pollfd fd[2 + BUS_CONNECTIONS_MAX];
};

static void wait_for_any(struct server *s, struct waiting *w)
{
    w->fd[0] = (struct pollfd){ .fd = s->berthd_fd, .events = POLLIN };
    w->fd[1] = (struct pollfd){ .fd = free_conn(s) ? s->listen_fd : -1, .events = POLLIN };
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        w->fd[2 + i] = (struct pollfd){ .fd = s->conn[i].fd, .events = events_of(&s->conn[i]) };
    if (poll(w->fd, sizeof w->fd / sizeof *w->fd, time_left(s, clock_mono_ms())) < 0)
        *w = (struct waiting){ 0 };
}

/* berthd says WAKE, and nothing else without being asked. */
static enum rc hear_wake(struct server *s, struct err *err)
{
    static struct bus_answer packet; /* large, and there is one thread */
    enum rc rc = hear(s, &packet, err);

    if (rc == RC_TIMEOUT)
        return RC_OK;
    if (rc == RC_OK && packet.op != BUS_WAKE)
        return err_set(err, RC_PROTOCOL, "answer %u to no question", packet.op);
    s->woken |= rc == RC_OK;
    return rc;
}

static enum rc conn_turn(struct server *s, struct conn *c, short events, uint64_t now,
                         struct err *err)
{
    enum rc rc = RC_OK;

    if (c->fd < 0)
        return RC_OK;
    if (c->n_out > 0 && events != 0) {
        conn_write(c, now);
        rc = conn_requests(s, c, now, err);
    } else if (c->waiting && (events & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
        conn_close(c);
    } else if (!c->waiting && events != 0) {
        rc = conn_read(s, c, now, err);
    }
    if (rc == RC_OK && c->fd >= 0 && now >= c->deadline_ms)
        rc = conn_expire(s, c, now, err);
    return rc;
}

/* Those who wait look again. */
static enum rc wake_all(struct server *s, uint64_t now, struct err *err)
{
    enum rc rc = RC_OK;

    if (!s->woken)
        return RC_OK;
    s->woken = false;
    for (size_t i = 0; rc == RC_OK && i < BUS_CONNECTIONS_MAX; i++)
        if (s->conn[i].fd >= 0 && s->conn[i].waiting) {
            rc = conn_ask(s, &s->conn[i], now, err);
            if (rc == RC_OK)
                rc = conn_requests(s, &s->conn[i], now, err);
        }
    return rc;
}

static bool anybody(const struct server *s)
{
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        if (s->conn[i].fd >= 0)
            return true;
    return false;
}

static enum rc turn(struct server *s, struct err *err)
{
    struct waiting w;
    bool alone = !anybody(s);

    wait_for_any(s, &w);
    await_turn(s);
    uint64_t now = clock_mono_ms();
    enum rc rc = w.fd[0].revents != 0 ? hear_wake(s, err) : RC_OK;
    for (size_t i = 0; rc == RC_OK && i < BUS_CONNECTIONS_MAX; i++)
        if (w.fd[2 + i].fd == s->conn[i].fd)
            rc = conn_turn(s, &s->conn[i], w.fd[2 + i].revents, now, err);
    if (rc == RC_OK)
        rc = wake_all(s, now, err);
    if (w.fd[1].revents != 0)
        accept_some(s, now);
    if (rc == RC_OK && now - s->abuse_ms >= ABUSE_GAP_MS)
        rc = tell_abuse(s, err);
    if (!alone || anybody(s))
        s->alone_ms = now;
    return rc;
}

enum rc bus_serve(int listen_fd, int berthd_fd, struct err *err)
{
    static struct room rooms[BUS_CONNECTIONS_MAX]; /* large, and there is one thread */
    uint64_t now = clock_mono_ms();
    enum rc rc = RC_OK;
    struct server s = { .listen_fd = listen_fd, .berthd_fd = berthd_fd, .alone_ms = now };

    s.turns = bucket_full(BUS_TURNS_S, BUS_TURNS_S, now);
    s.requests = bucket_full(BUS_REQUESTS_S, BUS_REQUESTS_BURST, now);
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        s.conn[i] = (struct conn){ .fd = -1, .room = &rooms[i] };
    while (rc == RC_OK && (anybody(&s) || clock_mono_ms() - s.alone_ms < BUS_IDLE_MS))
        rc = turn(&s, err);
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        conn_close(&s.conn[i]);
    return rc == RC_OK ? tell_abuse(&s, err) : rc;
}
