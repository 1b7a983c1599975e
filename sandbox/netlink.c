/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/netlink.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define MESSAGE_CAP 512U
#define BURST_MIN 16384U    /* a large packet fits */
#define BURST_PART 50U      /* of a second's worth */
#define QUEUE_BYTES 262144U /* that wait; what is more is dropped */

/* A message as it is put together; never more than a few attributes. */
struct message {
    _Alignas(8) uint8_t bytes[MESSAGE_CAP];
    uint32_t n;
};

/* ---- putting together -------------------------------------------------------------------------
 */

static void *room(struct message *m, uint32_t n)
{
    uint32_t padded = NLMSG_ALIGN(n);

    assert(m->n + padded <= MESSAGE_CAP);
    void *at = m->bytes + m->n;
    m->n += padded;
    return at;
}

static void begin(struct message *m, uint16_t type, uint16_t flags)
{
    struct nlmsghdr head = { .nlmsg_type = type,
                             .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags) };

    memset(m, 0, sizeof *m);
    memcpy(room(m, sizeof head), &head, sizeof head);
}

static void begin_link(struct message *m, uint16_t type, uint16_t flags,
                       const struct ifinfomsg *link)
{
    begin(m, type, flags);
    memcpy(room(m, sizeof *link), link, sizeof *link);
}

static void attribute(struct message *m, uint16_t type, const void *value, uint32_t n)
{
    struct rtattr head = { .rta_len = (unsigned short)RTA_LENGTH(n), .rta_type = type };

    memcpy(room(m, sizeof head), &head, sizeof head);
    memcpy(room(m, n), value, n);
}

static void attribute_text(struct message *m, uint16_t type, const char *text)
{
    attribute(m, type, text, (uint32_t)strlen(text) + 1);
}

/* An attribute that others lie in: where it begins, for its end. */
static uint32_t nest(struct message *m, uint16_t type)
{
    uint32_t at = m->n;
    struct rtattr head = { .rta_type = type };

    memcpy(room(m, sizeof head), &head, sizeof head);
    return at;
}

static void nest_end(struct message *m, uint32_t at)
{
    uint16_t n = (uint16_t)(m->n - at);

    memcpy(m->bytes + at, &n, sizeof n); /* rta_len comes first */
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* The kernel has done it, or not, when send returns; its answer is there. */
static int ask(int sock, struct message *m)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr error;
        uint8_t rest[MESSAGE_CAP + 256];
    } answer = { 0 };

    memcpy(m->bytes, &m->n, sizeof m->n); /* nlmsg_len comes first */
    if (sendto(sock, m->bytes, m->n, 0, (const struct sockaddr *)&kernel, sizeof kernel) < 0)
        return -1;
    ssize_t n = recv(sock, &answer, sizeof answer, MSG_DONTWAIT);
    if (n < (ssize_t)(sizeof answer.head + sizeof answer.error.error) ||
        answer.head.nlmsg_type != NLMSG_ERROR) {
        errno = n < 0 ? errno : EPROTO;
        return -1;
    }
    errno = -answer.error.error;
    return answer.error.error == 0 ? 0 : -1;
}

static enum rc done(int failed, const char *what, struct err *err)
{
    return failed != 0 ? err_sys(err, RC_LAUNCH_STEP, "%s", what) : RC_OK;
}

void netlink_go_back(int own)
{
    if (setns(own, CLONE_NEWNET) == 0)
        return;
    log_event(LOG_LEVEL_ERROR, "cannot go back to the own network");
    abort();
}

enum rc netlink_open(int namespace, int *ret_sock, struct err *err)
{
    scoped(close_fd) int own = namespace < 0 ? -1 : open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

    if (namespace >= 0 && (own < 0 || setns(namespace, CLONE_NEWNET) != 0))
        return err_sys(err, RC_LAUNCH_STEP, "network namespace");
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    int error = errno;
    if (namespace >= 0)
        netlink_go_back(own);
    errno = error;
    if (sock < 0)
        return err_sys(err, RC_LAUNCH_STEP, "netlink");
    *ret_sock = sock;
    return RC_OK;
}

enum rc netlink_find(int sock, const char *name, uint32_t *ret, struct err *err)
{
    struct ifreq request = { 0 };

    if (strlen(name) >= sizeof request.ifr_name)
        return err_set(err, RC_LAUNCH_STEP, "interface %.32s", name);
    memcpy(request.ifr_name, name, strlen(name) + 1);
    if (ioctl(sock, SIOCGIFINDEX, &request) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "interface %s", name);
    *ret = (uint32_t)request.ifr_ifindex;
    return RC_OK;
}

/* ---- what there is to do ----------------------------------------------------------------------
 */

enum rc netlink_add_bridge(int sock, const char *name, struct err *err)
{
    const struct ifinfomsg up = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    struct message m;

    begin_link(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &up);
    attribute_text(&m, IFLA_IFNAME, name);
    uint32_t info = nest(&m, IFLA_LINKINFO);
    attribute_text(&m, IFLA_INFO_KIND, "bridge");
    nest_end(&m, info);
    return done(ask(sock, &m), "bridge", err);
}

enum rc netlink_add_pair(int sock, const char *name, const struct netlink_peer *peer,
                         struct err *err)
{
    const struct ifinfomsg none = { 0 };
    const uint32_t namespace = (uint32_t)peer->namespace;
    struct message m;

    begin_link(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &none);
    attribute_text(&m, IFLA_IFNAME, name);
    uint32_t info = nest(&m, IFLA_LINKINFO);
    attribute_text(&m, IFLA_INFO_KIND, "veth");
    uint32_t data = nest(&m, IFLA_INFO_DATA);
    uint32_t other = nest(&m, VETH_INFO_PEER);
    memcpy(room(&m, sizeof none), &none, sizeof none);
    attribute_text(&m, IFLA_IFNAME, peer->name);
    attribute(&m, IFLA_ADDRESS, peer->mac, sizeof peer->mac);
    attribute(&m, IFLA_NET_NS_FD, &namespace, sizeof namespace);
    nest_end(&m, other);
    nest_end(&m, data);
    nest_end(&m, info);
    return done(ask(sock, &m), "pair of interfaces", err);
}

enum rc netlink_remove(int sock, uint32_t link, struct err *err)
{
    const struct ifinfomsg which = { .ifi_index = (int)link };
    struct message m;

    begin_link(&m, RTM_DELLINK, 0, &which);
    return done(ask(sock, &m), "end of an interface", err);
}

enum rc netlink_join(int sock, uint32_t link, uint32_t bridge, struct err *err)
{
    const struct ifinfomsg which = { .ifi_index = (int)link };
    struct message m;

    begin_link(&m, RTM_NEWLINK, 0, &which);
    attribute(&m, IFLA_MASTER, &bridge, sizeof bridge);
    return done(ask(sock, &m), "interface of a bridge", err);
}

enum rc netlink_up(int sock, uint32_t link, bool up, struct err *err)
{
    const struct ifinfomsg which = { .ifi_index = (int)link,
                                     .ifi_flags = up ? IFF_UP : 0,
                                     .ifi_change = IFF_UP };
    struct message m;

    begin_link(&m, RTM_NEWLINK, 0, &which);
    return done(ask(sock, &m), up ? "interface up" : "interface down", err);
}

enum rc netlink_move(int sock, uint32_t link, int namespace, struct err *err)
{
    const struct ifinfomsg which = { .ifi_index = (int)link };
    const uint32_t to = (uint32_t) namespace;
    struct message m;

    begin_link(&m, RTM_NEWLINK, 0, &which);
    attribute(&m, IFLA_NET_NS_FD, &to, sizeof to);
    return done(ask(sock, &m), "interface to another network", err);
}

enum rc netlink_address(int sock, uint32_t link, uint32_t address, uint32_t prefix, struct err *err)
{
    const struct ifaddrmsg which = { .ifa_family = AF_INET,
                                     .ifa_prefixlen = (uint8_t)prefix,
                                     .ifa_index = link };
    const uint32_t host_bits = prefix >= 32 ? 0 : UINT32_MAX >> prefix;
    const uint32_t value = htonl(address);
    const uint32_t broadcast = htonl(address | host_bits);
    struct message m;

    begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
    memcpy(room(&m, sizeof which), &which, sizeof which);
    attribute(&m, IFA_LOCAL, &value, sizeof value);
    attribute(&m, IFA_ADDRESS, &value, sizeof value);
    if (host_bits > 1)
        attribute(&m, IFA_BROADCAST, &broadcast, sizeof broadcast);
    return done(ask(sock, &m), "address", err);
}

enum rc netlink_cap(int sock, uint32_t link, uint64_t bytes_per_s, struct err *err)
{
    const struct tcmsg which = { .tcm_ifindex = (int)link,
                                 .tcm_parent = TC_H_ROOT,
                                 .tcm_handle = 0x10000 };
    const uint32_t part = (uint32_t)(bytes_per_s / BURST_PART);
    const uint32_t burst = part > BURST_MIN ? part : BURST_MIN;
    const struct tc_tbf_qopt options = {
        .rate = { .linklayer = TC_LINKLAYER_ETHERNET,
                  .rate = bytes_per_s > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes_per_s },
        .limit = QUEUE_BYTES,
    };
    struct message m;

    begin(&m, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
    memcpy(room(&m, sizeof which), &which, sizeof which);
    attribute_text(&m, TCA_KIND, "tbf");
    uint32_t nested = nest(&m, TCA_OPTIONS);
    attribute(&m, TCA_TBF_PARMS, &options, sizeof options);
    attribute(&m, TCA_TBF_BURST, &burst, sizeof burst);
    if (bytes_per_s > UINT32_MAX)
        attribute(&m, TCA_TBF_RATE64, &bytes_per_s, sizeof bytes_per_s);
    nest_end(&m, nested);
    return done(ask(sock, &m), "token bucket", err);
}
