/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/network.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "sandbox/netlink.h"

#define BRIDGE "bridge"
#define INSIDE "eth0"
#define LOOPBACK "lo"

static_assert(PLAN_SLOTS + 1 < 1U << (32 - NETWORK_PREFIX), "every id range has an address");

bool network_name_valid(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

    return n > 0 && name[n] == '\0' && n < PLAN_INTERFACE_CAP && name[0] != '.' && name[0] != '-' &&
           strcmp(name, LOOPBACK) != 0;
}

/* ---- a tenant's own ---------------------------------------------------------------------------
 */

/* A namespace of nobody: made by being in it for a moment. */
static enum rc new_namespace(int *ret, struct err *err)
{
    scoped(close_fd) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (own < 0 || unshare(CLONE_NEWNET) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "network");
    int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int error = errno;
    netlink_go_back(own);
    errno = error;
    if (fd < 0)
        return err_sys(err, RC_LAUNCH_STEP, "network");
    *ret = fd;
    return RC_OK;
}

bool network_prepare(struct networks *all)
{
    struct err err = { 0 };

    if (all->n_ready == NETWORK_READY || all->tired)
        return false;
    if (new_namespace(&all->ready[all->n_ready], &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "a network is not made before it is needed");
        all->tired = true;
        return false;
    }
    return ++all->n_ready < NETWORK_READY;
}

int network_take(struct networks *all)
{
    all->tired = false;
    return all->n_ready == 0 ? -1 : take_fd(&all->ready[--all->n_ready]);
}

static enum rc new_tenant(const char *tenant, struct tenant_network *ret, struct err *err)
{
    scoped(close_fd) int namespace = -1;
    scoped(close_fd) int sock = -1;
    enum rc rc = new_namespace(&namespace, err);

    if (rc == RC_OK)
        rc = netlink_open(namespace, &sock, err);
    if (rc == RC_OK)
        rc = netlink_add_bridge(sock, BRIDGE, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct tenant_network){ .namespace = take_fd(&namespace) };
    (void)snprintf(ret->tenant, sizeof ret->tenant, "%s", tenant);
    return RC_OK;
}

static enum rc enter_tenant(struct networks *all, const char *tenant, struct network_use *use,
                            struct err *err)
{
    struct tenant_network *place = NULL;
    enum rc rc = RC_OK;

    for (size_t i = 0; i < TENANTS_MAX; i++) {
        struct tenant_network *t = &all->of[i];

        if (t->users > 0 && strcmp(t->tenant, tenant) == 0) {
            place = t;
            break;
        }
        if (t->users == 0 && place == NULL)
            place = t;
    }
    if (place == NULL)
        return err_set(err, RC_LAUNCH_STEP, "more than %u tenants", TENANTS_MAX);
    if (place->users == 0)
        rc = new_tenant(tenant, place, err);
    if (rc != RC_OK)
        return rc;
    place->users++;
    use->tenant = place;
    return RC_OK;
}

/* The end on the bridge holds back what comes to the payload. */
static enum rc join_bridge(int sock, const char *name, uint64_t bps, struct err *err)
{
    uint32_t bridge = 0, link = 0;
    enum rc rc = netlink_find(sock, BRIDGE, &bridge, err);

    if (rc == RC_OK)
        rc = netlink_find(sock, name, &link, err);
    if (rc == RC_OK)
        rc = netlink_join(sock, link, bridge, err);
    if (rc == RC_OK && bps != 0)
        rc = netlink_cap(sock, link, bps, err);
    return rc == RC_OK ? netlink_up(sock, link, true, err) : rc;
}

/* An interface of the payload's namespace, ready to be used. */
struct inside {
    const char *name;
    uint32_t address, prefix; /* 0 = none */
    uint64_t bps;             /* of what leaves, 0 = any */
};

static enum rc set_up(int sock, const struct inside *inside, struct err *err)
{
    uint32_t link = 0;
    enum rc rc = netlink_find(sock, inside->name, &link, err);

    if (rc == RC_OK && inside->address != 0)
        rc = netlink_address(sock, link, inside->address, inside->prefix, err);
    if (rc == RC_OK && inside->bps != 0)
        rc = netlink_cap(sock, link, inside->bps, err);
    return rc == RC_OK ? netlink_up(sock, link, true, err) : rc;
}

static enum rc open_private(struct networks *all, const struct plan *plan, int namespace, int sock,
                            struct network_use *use, struct err *err)
{
    const struct inside inside = { .name = INSIDE,
                                   .address = NETWORK_BASE + plan->slot + 1,
                                   .prefix = NETWORK_PREFIX,
                                   .bps = plan->net_bps };
    /* A local one (second bit), of the id range. */
    const struct netlink_peer peer = { .name = INSIDE,
                                       .namespace = namespace,
                                       .mac = { 2, 0, 0, 0, (uint8_t)((plan->slot + 1) >> 8),
                                                (uint8_t)(plan->slot + 1) } };
    scoped(close_fd) int outside = -1;
    char *name = use->interface;
    enum rc rc = enter_tenant(all, plan->tenant, use, err);

    (void)snprintf(name, sizeof use->interface, "p%u", all->next++);
    if (rc == RC_OK)
        rc = netlink_open(use->tenant->namespace, &outside, err);
    if (rc == RC_OK)
        rc = netlink_add_pair(outside, name, &peer, err);
    if (rc == RC_OK)
        rc = join_bridge(outside, name, plan->net_bps, err);
    return rc == RC_OK ? set_up(sock, &inside, err) : rc;
}

/* Its namespace ends a moment later; until then the bridge would send to it what is for the next
 * start of the same payload. */
static enum rc leave_bridge(const struct network_use *use, struct err *err)
{
    scoped(close_fd) int sock = -1;
    uint32_t link = 0;
    enum rc rc = netlink_open(use->tenant->namespace, &sock, err);

    if (rc == RC_OK)
        rc = netlink_find(sock, use->interface, &link, err);
    return rc == RC_OK ? netlink_remove(sock, link, err) : rc;
}

/* ---- an interface of the host -----------------------------------------------------------------
 */

static enum rc open_host(const struct devices_list *listed, const struct plan *plan, int namespace,
                         int sock, struct network_use *use, struct err *err)
{
    const struct listed *entry = devices_find(listed, plan->interface);
    scoped(close_fd) int outside = -1;
    uint32_t link = 0;

    if (entry == NULL || entry->kind != LISTED_INTERFACE)
        return err_set(err, RC_NOT_BUILT, "interface %s", plan->interface);
    enum rc rc = netlink_open(-1, &outside, err);
    if (rc == RC_OK)
        rc = netlink_find(outside, entry->name, &link, err);
    if (rc == RC_OK)
        use->namespace = fcntl(namespace, F_DUPFD_CLOEXEC, 0); /* before it moves */
    if (rc == RC_OK && use->namespace < 0)
        rc = err_sys(err, RC_LAUNCH_STEP, "network namespace");
    if (rc == RC_OK)
        rc = netlink_move(outside, link, namespace, err);
    if (rc != RC_OK) {
        close_fd(&use->namespace);
        return rc;
    }
    memcpy(use->interface, plan->interface, sizeof use->interface);
    const struct inside inside = { .name = entry->name,
                                   .address = entry->address,
                                   .prefix = entry->prefix,
                                   .bps = plan->net_bps };
    return set_up(sock, &inside, err);
}

static enum rc take_back(const struct network_use *use, struct err *err)
{
    scoped(close_fd) int sock = -1;
    scoped(close_fd) int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    uint32_t link = 0;
    enum rc rc = own < 0 ? err_sys(err, RC_LAUNCH_STEP, "own network")
                         : netlink_open(use->namespace, &sock, err);

    if (rc == RC_OK)
        rc = netlink_find(sock, use->interface, &link, err);
    if (rc == RC_OK)
        rc = netlink_up(sock, link, false, err);
    return rc == RC_OK ? netlink_move(sock, link, own, err) : rc;
}

/* ---- any --------------------------------------------------------------------------------------
 */

enum rc network_open(struct networks *all, const struct devices_list *listed,
                     const struct plan *plan, int namespace, struct network_use *use,
                     struct err *err)
{
    const struct inside loopback = { .name = LOOPBACK };
    scoped(close_fd) int sock = -1;

    if (plan->network == PLAN_NETWORK_NONE)
        return RC_OK;
    enum rc rc = netlink_open(namespace, &sock, err);
    if (rc == RC_OK)
        rc = set_up(sock, &loopback, err);
    if (rc == RC_OK && plan->network == PLAN_NETWORK_PRIVATE)
        rc = open_private(all, plan, namespace, sock, use, err);
    if (rc == RC_OK && plan->network == PLAN_NETWORK_HOST)
        rc = open_host(listed, plan, namespace, sock, use, err);
    return rc;
}

void network_close(struct network_use *use)
{
    struct err err = { 0 };

    if (use->namespace >= 0 && take_back(use, &err) != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "interface %s is lost to the host until its next start",
                use->interface);
    close_fd(&use->namespace);
    if (use->tenant != NULL)
        (void)!leave_bridge(use, &err); /* it may never have come to it */
    if (use->tenant != NULL && --use->tenant->users == 0)
        close_fd(&use->tenant->namespace); /* and with it all that is in there */
    use->tenant = NULL;
}
