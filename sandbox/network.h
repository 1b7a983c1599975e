/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/network: the network of a payload, by grant: nothing, its own "lo", a network that is
 * its tenant's alone, or an interface of the host moved in.
 *
 * A tenant's own network is a namespace without any process, with a bridge in it: each payload that
 * asks for it has "eth0" there, with the address NETWORK_BASE + its id range + 1, and a hardware
 * address that stays the same, so that others find it after a new start.  The host has no interface
 * in it, and it ends with the last of these payloads.  Whoever runs inside cannot change any of
 * this: it has no capability.
 */
#ifndef BERTH_SANDBOX_NETWORK_H
#define BERTH_SANDBOX_NETWORK_H

#include "sandbox/devices.h"

#define NETWORK_BASE 0x0a420000U /* 10.66.0.0 */
#define NETWORK_PREFIX 16U

struct tenant_network {
    char tenant[NAME_CAP];
    int namespace;
    uint32_t users; /* 0 = the place is free */
};

#define NETWORK_READY 4U /* namespaces that are made before anybody needs them */

struct networks {
    uint32_t n_ready;
    int ready[NETWORK_READY]; /* of nobody, and new: none was ever a payload's */
    bool tired;               /* one could not be made: not again before one is taken */
    uint32_t next; /* number of the next end on a bridge: an old one may take a moment to go */
    struct tenant_network of[TENANTS_MAX];
};

/* What one payload has of it. */
struct network_use {
    struct tenant_network *tenant;      /* NULL = none */
    int namespace;                      /* with an interface of the host in it; -1 = none */
    char interface[PLAN_INTERFACE_CAP]; /* that, or the end on the tenant's bridge */
};

#define NETWORK_USE_INIT ((struct network_use){ .namespace = -1 })

/* Whether a text can be the name of an interface. */
bool network_name_valid(const char *name);

/* Make one namespace more, when there is nothing else to do: making one takes part of a millisecond
 * of a start, and the kernel makes one at a time.  True: it may be called again. */
bool network_prepare(struct networks *all);

/* One that is ready, which is the caller's and nobody else's then; -1: there is none. */
int network_take(struct networks *all);

/* Give the namespace, in which nothing runs yet, what the plan asks for.  RC_NOT_BUILT (an
 * interface that the list does not have), RC_LAUNCH_STEP, RC_LAUNCH_STEP; then *use is as much as
 * network_close has to take back. */
must_check enum rc network_open(struct networks *all, const struct devices_list *listed,
                                const struct plan *plan, int namespace, struct network_use *use,
                                struct err *err);

/* Take back the host's interface, which is down and has no address then, and leave the tenant's
 * network.  Safe on NETWORK_USE_INIT and twice. */
void network_close(struct network_use *use);

#endif
