/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/notify: the payload's side of sd_notify, read from its socket.
 *
 * The sender is the payload and as hostile as they come: datagrams are bounded, descriptors that
 * come along are closed and counted, and so are words that would change who is supervised or how
 * (MAINPID= and its like); STATUS= is made printable, and everything else is passed over.
 */
#ifndef BERTH_AGENT_NOTIFY_H
#define BERTH_AGENT_NOTIFY_H

#include "base/bytes.h"
#include "base/err.h"

#define NOTIFY_MAX 4096U /* bytes of one datagram; a longer one is passed over */
#define NOTIFY_STATUS_CAP 64U

struct notify {
    bool ready;                     /* READY=1 */
    bool watchdog;                  /* WATCHDOG=1 */
    bool stopping;                  /* STOPPING=1 */
    bool reloading;                 /* RELOADING=1; the READY=1 that ends it is one like others */
    char status[NOTIFY_STATUS_CAP]; /* "" = not said */
    uint32_t refused;               /* words that it may not say, and descriptors */
};

/* What a datagram says: lines KEY=VALUE.  Never fails: what is not understood says nothing. */
void notify_parse(struct bytes datagram, struct notify *ret);

/* Receive and parse one datagram without blocking.  RC_TIMEOUT: there is none.  RC_IO: the socket
 * is broken.  An oversized one is RC_OK and says nothing. */
must_check enum rc notify_receive(int sock, struct notify *ret, struct err *err);

#endif
