/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/netlink: the few things that berth-launch does with network interfaces, each as one small
 * message to the kernel that is answered at once.  A socket belongs to the network namespace that
 * it was made in, wherever its owner is; interfaces are named by number there.
 */
#ifndef BERTH_SANDBOX_NETLINK_H
#define BERTH_SANDBOX_NETLINK_H

#include "base/bytes.h"
#include "base/err.h"

/* Make a socket in the namespace that a descriptor stands for (-1: in our own).  We are back in our
 * own afterwards; if that cannot be, the process ends: it would work on the wrong one. */
must_check enum rc netlink_open(int namespace, int *ret_sock, struct err *err);

/* The number of an interface.  RC_LAUNCH_STEP. */
must_check enum rc netlink_find(int sock, const char *name, uint32_t *ret, struct err *err);

/* All of these: RC_LAUNCH_STEP. */
must_check enum rc netlink_add_bridge(int sock, const char *name, struct err *err);
/* A pair: one end here, the other, with this hardware address, in another namespace. */
struct netlink_peer {
    const char *name;
    int namespace;
    uint8_t mac[6];
};
must_check enum rc netlink_add_pair(int sock, const char *name, const struct netlink_peer *peer,
                                    struct err *err);
must_check enum rc netlink_remove(int sock, uint32_t link, struct err *err);
must_check enum rc netlink_join(int sock, uint32_t link, uint32_t bridge, struct err *err);
must_check enum rc netlink_up(int sock, uint32_t link, bool up, struct err *err);
must_check enum rc netlink_move(int sock, uint32_t link, int namespace, struct err *err);
/* IPv4, in host order. */
must_check enum rc netlink_address(int sock, uint32_t link, uint32_t address, uint32_t prefix,
                                   struct err *err);
/* What leaves by it is held to so many bytes a second (a token bucket). */
must_check enum rc netlink_cap(int sock, uint32_t link, uint64_t bytes_per_s, struct err *err);

/* Back to the network namespace of a descriptor that this process comes from.  Whoever cannot go
 * back must not go on: then it ends the process. */
void netlink_go_back(int own);

#endif
