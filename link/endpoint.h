/* SPDX-License-Identifier: Apache-2.0
 *
 * link/endpoint: what berth-link does: bundles in, objects to berthd; berthd's reports out, sealed;
 * new keys of the link, which berthd has opened, into the keyring.
 *
 * Its inputs are the uplink directory (hostile) and berthd's port (trusted to speak the protocol,
 * else the process ends).  Without usable keys or window it stays, says so once, touches no uplink
 * file and seals nothing.  No loop and no clock of its own: main calls it.
 */
#ifndef BERTH_LINK_ENDPOINT_H
#define BERTH_LINK_ENDPOINT_H

#include "base/bytes.h"
#include "base/err.h"

struct endpoint;

/* All borrowed, and open as long as the endpoint. */
struct endpoint_fds {
    int port;  /* SOCK_SEQPACKET to berthd */
    int spool; /* directories */
    int up;
    int down;
    int keys;
};

/* RC_OK also without usable keys; an error when the spool cannot be used. */
must_check enum rc endpoint_new(const struct endpoint_fds *fds, uint64_t now_ms,
                                struct endpoint **ret, struct err *err);
void endpoint_free(struct endpoint **endpoint); /* scope cleaner */

/* Take what berthd has said.  RC_SHORT: berthd is gone, end quietly; RC_PROTOCOL: end. */
must_check enum rc endpoint_port(struct endpoint *endpoint, struct err *err);

/* Look into the uplink, offer objects, send what is due to berthd.  *ret_wait_ms is how long the
 * loop may sleep at most.  RC_SHORT: berthd is gone. */
must_check enum rc endpoint_tick(struct endpoint *endpoint, uint64_t now_ms, uint64_t *ret_wait_ms,
                                 struct err *err);

#endif
