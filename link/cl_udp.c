/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_udp: one bundle in one datagram (RFC 7122), for links on which nothing comes back.
 *
 * Nobody acknowledges: a bundle counts as sent when the kernel has taken it.  What is lost is asked
 * for again above, by reports, or made good by the erasure code.  The source address of a datagram
 * can be forged; the filter keeps strays out, not attackers: bundles are authentic by themselves.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "link/cl.h"
#include "link/cl_net.h"
#include "link/cl_pace.h"

#define BATCH 64U           /* datagrams in one turn, each way */
#define DATAGRAM_MAX 65507U /* what IPv4 carries */
#define PAUSE_MS 100U       /* after the network refused a datagram */

struct cl_udp {
    struct cl_store *store;
    int fd;
    struct cl_address peer;
    struct cl_address from;
    struct cl_pace pace;
    uint64_t size_max;
    uint64_t next_ms; /* nothing is sent before */
    bool more;        /* its turn ended before its work */
    bool told_large;
    uint8_t tx[DATAGRAM_MAX];
    size_t n_tx; /* of the bundle that waits for credit */
    struct cl_item item;
    uint8_t rx[DATAGRAM_MAX + 1U];
};

static void udp_close(void *arg)
{
    struct cl_udp *u = arg;

    close_fd(&u->fd);
    free(u);
}

static enum rc udp_open(const struct cl_config *config, struct cl_store *store, void **ret,
                        struct err *err)
{
    struct cl_udp *u = NULL;
    enum rc rc;

    if (!config->listen || !config->peer)
        return err_set(err, RC_USAGE, "--listen and --peer are needed");
    u = calloc(1, sizeof *u);
    if (!u)
        return err_set(err, RC_IO, "no memory");
    u->store = store;
    u->fd = -1;
    u->pace.rate = config->rate;
    u->size_max = config->size_max < DATAGRAM_MAX ? config->size_max : DATAGRAM_MAX;
    rc = cl_net_parse(config->peer, true, &u->peer, err);
    u->from = u->peer;
    if (rc == RC_OK && config->from)
        rc = cl_net_parse(config->from, false, &u->from, err);
    if (rc == RC_OK)
        rc = cl_net_bind(config->listen, SOCK_DGRAM, &u->fd, err);
    if (rc != RC_OK) {
        udp_close(u);
        return rc;
    }

    char text[CL_NET_TEXT_CAP];
    struct cl_address own;

    cl_net_own(u->fd, &own);
    log_event(LOG_LEVEL_INFO, "listen at=%s", cl_net_text(&own, text));
    *ret = u;
    return RC_OK;
}

/* ---- in ---- */

static void receive(struct cl_udp *u, size_t n, const struct cl_address *from)
{
    const struct bytes in = { u->rx, n };
    struct err err = { 0 };

    if (!cl_net_same_host(from, &u->from)) {
        u->store->counts.strangers++;
        return;
    }
    if (n > u->size_max || !cl_store_is_bundle(in)) {
        u->store->counts.garbage++;
        return;
    }
    if (cl_store_receive(u->store, in, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "receive");
}

static void take_datagrams(struct cl_udp *u)
{
    struct err err = { 0 };

    for (size_t i = 0; i < BATCH; i++) {
        struct cl_address from = { .n = sizeof from.v6 };
        ssize_t n = recvfrom(u->fd, u->rx, sizeof u->rx, MSG_TRUNC, &from.any, &from.n);

        if (n < 0 && errno == ECONNREFUSED)
            continue; /* about one that was sent */
        if (n < 0)
            break;
        receive(u, (size_t)n, &from);
    }
    if (cl_store_commit(u->store, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "commit");
}

/* ---- out ---- */

/* Have a bundle ready.  False: there is none. */
static bool load(struct cl_udp *u)
{
    struct err err = { 0 };
    const char *name = NULL;

    for (size_t i = 0; i < BATCH && u->n_tx == 0; i++) {
        if (cl_names_next(&u->store->names, &name, &err) != RC_OK || !name)
            return false;

        enum rc rc =
            cl_store_read(u->store->send_fd, name, u->tx, (size_t)u->size_max, &u->item, &err);

        if (rc == RC_OK) {
            u->n_tx = (size_t)u->item.size;
        } else if (rc == RC_TOO_LARGE) {
            u->store->counts.too_large++;
            if (!u->told_large)
                log_event(LOG_LEVEL_WARN, "too-large-for-a-datagram name=%s limit=%llu", name,
                          (unsigned long long)u->size_max);
            u->told_large = true;
        } else {
            cl_store_reject(u->store, u->store->send_fd, name, rc);
        }
    }
    return u->n_tx > 0;
}

static void send_datagrams(struct cl_udp *u, uint64_t now_ms)
{
    uint64_t wait = 0;

    u->more = false;
    for (size_t i = 0; now_ms >= u->next_ms && load(u); i++) {
        if (i == BATCH) {
            u->more = true;
            return;
        }
        if (!cl_pace_take(&u->pace, (uint32_t)u->n_tx, now_ms, &wait)) {
            u->next_ms = now_ms + wait;
            return;
        }
        if (sendto(u->fd, u->tx, u->n_tx, MSG_NOSIGNAL, &u->peer.any, u->peer.n) < 0) {
            /* No way there, no room: the bundle stays. */
            u->next_ms = now_ms + PAUSE_MS;
            return;
        }
        u->store->counts.sent++;
        u->store->counts.sent_bytes += u->n_tx;
        u->n_tx = 0;
        cl_store_sent(u->store, &u->item);
    }
}

/* ---- the table ---- */

static size_t udp_wait(void *arg, uint64_t now_ms, struct pollfd *ret, uint64_t *ret_wait_ms)
{
    struct cl_udp *u = arg;
    uint64_t wait = u->next_ms > now_ms ? u->next_ms - now_ms : *ret_wait_ms;

    if (u->more)
        wait = 0;
    *ret_wait_ms = wait < *ret_wait_ms ? wait : *ret_wait_ms;
    ret[0] = (struct pollfd){ .fd = u->fd, .events = POLLIN };
    return 1;
}

static void udp_turn(void *arg, uint64_t now_ms)
{
    struct cl_udp *u = arg;

    take_datagrams(u);
    send_datagrams(u, now_ms);
}

static bool udp_stop(void *arg, uint64_t now_ms)
{
    (void)arg;
    (void)now_ms;
    return true; /* between two turns nothing is under way */
}

const struct cl_kind cl_udp = {
    .name = "udp",
    .open = udp_open,
    .wait = udp_wait,
    .turn = udp_turn,
    .stop = udp_stop,
    .close = udp_close,
};
