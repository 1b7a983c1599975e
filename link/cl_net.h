/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_net: internet addresses and sockets of the convergence layers.
 */
#ifndef BERTH_LINK_CL_NET_H
#define BERTH_LINK_CL_NET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/err.h"

#define CL_NET_TEXT_CAP 64U

struct cl_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    };
    socklen_t n;
};

/* "HOST:PORT", "[V6]:PORT", or, with need_port false, a HOST alone.  A name is looked up here,
 * once: RC_USAGE when it has no address. */
must_check enum rc cl_net_parse(const char *text, bool need_port, struct cl_address *ret,
                                struct err *err);

/* A bound non-blocking socket of SOCK_STREAM (then listening) or SOCK_DGRAM: "HOST:PORT", where
 * port 0 lets the kernel choose, or "fd:N", which was opened by whoever started this process. */
must_check enum rc cl_net_bind(const char *text, int type, int *ret_fd, struct err *err);

/* The same host, whatever the port; IPv4 within IPv6 is IPv4. */
bool cl_net_same_host(const struct cl_address *a, const struct cl_address *b);

/* As far as addresses tell, the same owner: of IPv6 the same /64, in which one host may have as
 * many addresses as it likes. */
bool cl_net_same_source(const struct cl_address *a, const struct cl_address *b);

/* "HOST:PORT" in digits; returns out. */
const char *cl_net_text(const struct cl_address *a, char out[CL_NET_TEXT_CAP]);

/* Own address of a socket. */
void cl_net_own(int fd, struct cl_address *ret);

#endif
