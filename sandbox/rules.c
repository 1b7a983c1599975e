/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/rules.h"

#include <fcntl.h>
#include <linux/can/raw.h>
#include <linux/dma-buf.h>
#include <linux/gpio.h>
#include <linux/i2c-dev.h>
#include <linux/sockios.h>
#include <linux/spi/spidev.h>
#include <linux/videodev2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define INT 0xffffffffULL

/* What this libc's headers may not know yet. */
#define NAMESPACE_TIME 0x80ULL
#define MEMFD_NOEXEC_SEAL 0x8U
#define VMA_NAMES 0x53564d41U /* PR_SET_VMA */
#define ADVISE_GUARD_INSTALL 102U
#define ADVISE_GUARD_REMOVE 103U
#define SOCKET_PASSPIDFD 76U

#define NAMESPACES                                                                                 \
    ((uint64_t)CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |       \
     CLONE_NEWPID | CLONE_NEWNET | NAMESPACE_TIME)

/* Arguments of calls that rules are about: i = the kernel looks at 32 bits (mmap has no more
 * flags), p = a pointer, l = all 64 bits count. */
struct signature {
    enum call call;
    const char *args;
};

static const struct signature signatures[] = {
    { CALL_arch_prctl, "il" },
    { CALL_clone, "ippppl" },
    { CALL_fcntl, "iil" },
    { CALL_ioctl, "iil" },
    { CALL_madvise, "pli" },
    { CALL_memfd_create, "pi" },
    { CALL_mmap, "pllill" },
    { CALL_mknod, "pii" },
    { CALL_mknodat, "ipii" },
    { CALL_personality, "i" },
    { CALL_prctl, "illll" },
    { CALL_prlimit64, "iipp" },
    { CALL_sched_setscheduler, "iip" },
    { CALL_setrlimit, "ip" },
    { CALL_setsockopt, "iiipi" },
    { CALL_socket, "iii" },
    { CALL_socketpair, "iiip" },
};

#define ONE(call, profile, arg, mask, value)                                                       \
    {                                                                                              \
        CALL_##call, profile, 1,                                                                   \
        {                                                                                          \
            {                                                                                      \
                arg, COND_EQUAL, mask, value                                                       \
            }                                                                                      \
        }                                                                                          \
    }
#define TWO(call, profile, a, a_mask, a_value, b, b_mask, b_value)                                 \
    {                                                                                              \
        CALL_##call, profile, 2,                                                                   \
        {                                                                                          \
            { a, COND_EQUAL, a_mask, a_value },                                                    \
            {                                                                                      \
                b, COND_EQUAL, b_mask, b_value                                                     \
            }                                                                                      \
        }                                                                                          \
    }

/* A family and a type of sockets, and the one protocol beside "whichever". */
#define SOCKET_TYPE (INT & ~(uint64_t)(SOCK_CLOEXEC | SOCK_NONBLOCK))
#define SOCKET(call, profile, family, type, protocol)                                              \
    {                                                                                              \
        CALL_##call, profile, 3,                                                                   \
        {                                                                                          \
            { 0, COND_EQUAL, INT, family }, { 1, COND_EQUAL, SOCKET_TYPE, type },                  \
                { 2, COND_EQUAL, INT, protocol },                                                  \
        }                                                                                          \
    }
#define OPTION(profile, level, name) TWO(setsockopt, profile, 1, INT, level, 2, INT, name)
#define IOCTL(profile, request) ONE(ioctl, profile, 1, INT, request)
#define FCNTL(command) ONE(fcntl, 0, 1, INT, command)
#define PRCTL(option) ONE(prctl, 0, 0, INT, option)
#define ADVICE(advice) ONE(madvise, 0, 2, INT, advice)
#define ARCH(code) ONE(arch_prctl, 0, 0, INT, code)
/* Every limit but CORE: one that was lowered to 0 has the kernel start the host's core handler, as
 * root and with the payload's memory as its input. */
#define LIMITS(call, arg)                                                                          \
    ONE(call, 0, arg, INT, RLIMIT_CPU), ONE(call, 0, arg, INT, RLIMIT_FSIZE),                      \
        ONE(call, 0, arg, INT, RLIMIT_DATA), ONE(call, 0, arg, INT, RLIMIT_STACK),                 \
        ONE(call, 0, arg, INT, RLIMIT_RSS), ONE(call, 0, arg, INT, RLIMIT_NPROC),                  \
        ONE(call, 0, arg, INT, RLIMIT_NOFILE), ONE(call, 0, arg, INT, RLIMIT_MEMLOCK),             \
        ONE(call, 0, arg, INT, RLIMIT_AS), ONE(call, 0, arg, INT, RLIMIT_LOCKS),                   \
        ONE(call, 0, arg, INT, RLIMIT_SIGPENDING), ONE(call, 0, arg, INT, RLIMIT_MSGQUEUE),        \
        ONE(call, 0, arg, INT, RLIMIT_NICE), ONE(call, 0, arg, INT, RLIMIT_RTPRIO),                \
        ONE(call, 0, arg, INT, RLIMIT_RTTIME)

/* spidev puts the number of messages into the size bits of the request. */
#define SPI_SIZE_CUT 0xc000ffffULL

static const struct rule rules[] = {
    ONE(clone, 0, 0, NAMESPACES, 0),
    /* Huge pages that a host has set aside are charged to no control group's memory. */
    ONE(mmap, 0, 3, MAP_HUGETLB, 0),

    /* Of this machine's own sockets every kind but raw. */
    SOCKET(socket, 0, AF_UNIX, SOCK_STREAM, 0),
    SOCKET(socket, 0, AF_UNIX, SOCK_DGRAM, 0),
    SOCKET(socket, 0, AF_UNIX, SOCK_SEQPACKET, 0),
    SOCKET(socket, PROFILE_NET, AF_INET, SOCK_STREAM, 0),
    SOCKET(socket, PROFILE_NET, AF_INET, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(socket, PROFILE_NET, AF_INET, SOCK_DGRAM, 0),
    SOCKET(socket, PROFILE_NET, AF_INET, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(socket, PROFILE_NET, AF_INET6, SOCK_STREAM, 0),
    SOCKET(socket, PROFILE_NET, AF_INET6, SOCK_STREAM, IPPROTO_TCP),
    SOCKET(socket, PROFILE_NET, AF_INET6, SOCK_DGRAM, 0),
    SOCKET(socket, PROFILE_NET, AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
    SOCKET(socket, PROFILE_DEVICE, AF_CAN, SOCK_RAW, CAN_RAW),
    SOCKET(socketpair, 0, AF_UNIX, SOCK_STREAM, 0),
    SOCKET(socketpair, 0, AF_UNIX, SOCK_DGRAM, 0),
    SOCKET(socketpair, 0, AF_UNIX, SOCK_SEQPACKET, 0),

    /* No option that takes a program or a table (SO_ATTACH_FILTER, IPT_SO_SET_REPLACE), or another
     * protocol under a socket (TCP_ULP). */
    OPTION(0, SOL_SOCKET, SO_REUSEADDR),
    OPTION(0, SOL_SOCKET, SO_BROADCAST),
    OPTION(0, SOL_SOCKET, SO_SNDBUF),
    OPTION(0, SOL_SOCKET, SO_RCVBUF),
    OPTION(0, SOL_SOCKET, SO_KEEPALIVE),
    OPTION(0, SOL_SOCKET, SO_OOBINLINE),
    OPTION(0, SOL_SOCKET, SO_PRIORITY),
    OPTION(0, SOL_SOCKET, SO_LINGER),
    OPTION(0, SOL_SOCKET, SO_REUSEPORT),
    OPTION(0, SOL_SOCKET, SO_PASSCRED),
    OPTION(0, SOL_SOCKET, SO_RCVLOWAT),
    OPTION(0, SOL_SOCKET, SO_RCVTIMEO),
    OPTION(0, SOL_SOCKET, SO_SNDTIMEO),
    OPTION(0, SOL_SOCKET, SO_TIMESTAMP),
    OPTION(0, SOL_SOCKET, SO_TIMESTAMPNS),
    OPTION(0, SOL_SOCKET, SO_PEEK_OFF),
    OPTION(0, SOL_SOCKET, SOCKET_PASSPIDFD),
    OPTION(PROFILE_NET, SOL_SOCKET, SO_BINDTODEVICE),
    OPTION(PROFILE_NET, SOL_SOCKET, SO_RXQ_OVFL),
    OPTION(PROFILE_NET, SOL_SOCKET, SO_TIMESTAMPING),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_NODELAY),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_MAXSEG),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_CORK),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_KEEPIDLE),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_KEEPINTVL),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_KEEPCNT),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_SYNCNT),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_LINGER2),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_DEFER_ACCEPT),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_QUICKACK),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_USER_TIMEOUT),
    OPTION(PROFILE_NET, IPPROTO_TCP, TCP_NOTSENT_LOWAT),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_TOS),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_TTL),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_PKTINFO),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_MTU_DISCOVER),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_RECVERR),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_RECVTTL),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_RECVTOS),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_FREEBIND),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_MULTICAST_IF),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_MULTICAST_TTL),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_MULTICAST_LOOP),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_ADD_MEMBERSHIP),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_DROP_MEMBERSHIP),
    OPTION(PROFILE_NET, IPPROTO_IP, IP_MULTICAST_ALL),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_UNICAST_HOPS),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_MULTICAST_IF),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_MULTICAST_HOPS),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_MULTICAST_LOOP),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_JOIN_GROUP),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_LEAVE_GROUP),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_RECVERR),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_V6ONLY),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_RECVPKTINFO),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_RECVHOPLIMIT),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_RECVTCLASS),
    OPTION(PROFILE_NET, IPPROTO_IPV6, IPV6_TCLASS),
    OPTION(PROFILE_DEVICE, SOL_CAN_RAW, CAN_RAW_FILTER),
    OPTION(PROFILE_DEVICE, SOL_CAN_RAW, CAN_RAW_ERR_FILTER),
    OPTION(PROFILE_DEVICE, SOL_CAN_RAW, CAN_RAW_LOOPBACK),
    OPTION(PROFILE_DEVICE, SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS),
    OPTION(PROFILE_DEVICE, SOL_CAN_RAW, CAN_RAW_FD_FRAMES),
    OPTION(PROFILE_DEVICE, SOL_CAN_RAW, CAN_RAW_JOIN_FILTERS),

    ONE(mknod, 0, 1, S_IFMT, S_IFIFO),
    ONE(mknod, 0, 1, S_IFMT, S_IFREG),
    ONE(mknodat, 0, 2, S_IFMT, S_IFIFO),
    ONE(mknodat, 0, 2, S_IFMT, S_IFREG),
    ONE(personality, 0, 0, INT, INT), /* asks only */
    ONE(personality, 0, 0, INT, 0),

    /* TIOCSTI, TIOCLINUX, TIOCSETD and the like are nowhere among these. */
    IOCTL(0, FIONREAD),
    IOCTL(0, FIONBIO),
    IOCTL(0, FIOASYNC),
    IOCTL(0, FIOCLEX),
    IOCTL(0, FIONCLEX),
    IOCTL(0, TCGETS),
    IOCTL(0, TIOCGWINSZ),
    IOCTL(0, TIOCGPGRP),
    IOCTL(PROFILE_NET, SIOCOUTQ),
    IOCTL(PROFILE_NET, SIOCATMARK),
    IOCTL(PROFILE_NET, SIOCGIFCONF),
    IOCTL(PROFILE_NET, SIOCGIFFLAGS),
    IOCTL(PROFILE_NET, SIOCGIFADDR),
    IOCTL(PROFILE_NET, SIOCGIFNETMASK),
    IOCTL(PROFILE_NET, SIOCGIFMTU),
    IOCTL(PROFILE_NET, SIOCGIFNAME),
    IOCTL(PROFILE_NET, SIOCGIFINDEX),
    /* a CAN interface by its name */
    IOCTL(PROFILE_DEVICE, SIOCGIFINDEX),
    IOCTL(PROFILE_DEVICE, SIOCGIFMTU),
    /* a serial line: its settings and its queues, never who its terminal is */
    IOCTL(PROFILE_DEVICE, TCSETS),
    IOCTL(PROFILE_DEVICE, TCSETSW),
    IOCTL(PROFILE_DEVICE, TCSETSF),
    IOCTL(PROFILE_DEVICE, TCSBRK),
    IOCTL(PROFILE_DEVICE, TCFLSH),
    IOCTL(PROFILE_DEVICE, TIOCOUTQ),
    IOCTL(PROFILE_DEVICE, TIOCEXCL),
    IOCTL(PROFILE_DEVICE, TIOCMGET),
    IOCTL(PROFILE_DEVICE, TIOCMBIS),
    IOCTL(PROFILE_DEVICE, TIOCMBIC),
    /* GPIO v2 */
    IOCTL(PROFILE_DEVICE, GPIO_GET_CHIPINFO_IOCTL),
    IOCTL(PROFILE_DEVICE, GPIO_V2_GET_LINEINFO_IOCTL),
    IOCTL(PROFILE_DEVICE, GPIO_V2_GET_LINE_IOCTL),
    IOCTL(PROFILE_DEVICE, GPIO_V2_LINE_SET_CONFIG_IOCTL),
    IOCTL(PROFILE_DEVICE, GPIO_V2_LINE_GET_VALUES_IOCTL),
    IOCTL(PROFILE_DEVICE, GPIO_V2_LINE_SET_VALUES_IOCTL),
    /* SPI */
    ONE(ioctl, PROFILE_DEVICE, 1, SPI_SIZE_CUT, SPI_IOC_MESSAGE(1) & SPI_SIZE_CUT),
    IOCTL(PROFILE_DEVICE, SPI_IOC_RD_MODE),
    IOCTL(PROFILE_DEVICE, SPI_IOC_WR_MODE),
    IOCTL(PROFILE_DEVICE, SPI_IOC_RD_MODE32),
    IOCTL(PROFILE_DEVICE, SPI_IOC_WR_MODE32),
    IOCTL(PROFILE_DEVICE, SPI_IOC_RD_LSB_FIRST),
    IOCTL(PROFILE_DEVICE, SPI_IOC_WR_LSB_FIRST),
    IOCTL(PROFILE_DEVICE, SPI_IOC_RD_BITS_PER_WORD),
    IOCTL(PROFILE_DEVICE, SPI_IOC_WR_BITS_PER_WORD),
    IOCTL(PROFILE_DEVICE, SPI_IOC_RD_MAX_SPEED_HZ),
    IOCTL(PROFILE_DEVICE, SPI_IOC_WR_MAX_SPEED_HZ),
    /* I2C, without I2C_SLAVE_FORCE: an address that a driver holds stays the driver's */
    IOCTL(PROFILE_DEVICE, I2C_SLAVE),
    IOCTL(PROFILE_DEVICE, I2C_FUNCS),
    IOCTL(PROFILE_DEVICE, I2C_RDWR),
    IOCTL(PROFILE_DEVICE, I2C_SMBUS),
    /* V4L2: a camera, from asking what it is to its frames */
    IOCTL(PROFILE_DEVICE, VIDIOC_QUERYCAP),
    IOCTL(PROFILE_DEVICE, VIDIOC_ENUM_FMT),
    IOCTL(PROFILE_DEVICE, VIDIOC_ENUM_FRAMESIZES),
    IOCTL(PROFILE_DEVICE, VIDIOC_ENUM_FRAMEINTERVALS),
    IOCTL(PROFILE_DEVICE, VIDIOC_G_FMT),
    IOCTL(PROFILE_DEVICE, VIDIOC_S_FMT),
    IOCTL(PROFILE_DEVICE, VIDIOC_TRY_FMT),
    IOCTL(PROFILE_DEVICE, VIDIOC_G_PARM),
    IOCTL(PROFILE_DEVICE, VIDIOC_S_PARM),
    IOCTL(PROFILE_DEVICE, VIDIOC_ENUMINPUT),
    IOCTL(PROFILE_DEVICE, VIDIOC_G_INPUT),
    IOCTL(PROFILE_DEVICE, VIDIOC_S_INPUT),
    IOCTL(PROFILE_DEVICE, VIDIOC_QUERYCTRL),
    IOCTL(PROFILE_DEVICE, VIDIOC_QUERY_EXT_CTRL),
    IOCTL(PROFILE_DEVICE, VIDIOC_QUERYMENU),
    IOCTL(PROFILE_DEVICE, VIDIOC_G_CTRL),
    IOCTL(PROFILE_DEVICE, VIDIOC_S_CTRL),
    IOCTL(PROFILE_DEVICE, VIDIOC_G_EXT_CTRLS),
    IOCTL(PROFILE_DEVICE, VIDIOC_S_EXT_CTRLS),
    IOCTL(PROFILE_DEVICE, VIDIOC_TRY_EXT_CTRLS),
    IOCTL(PROFILE_DEVICE, VIDIOC_G_SELECTION),
    IOCTL(PROFILE_DEVICE, VIDIOC_S_SELECTION),
    IOCTL(PROFILE_DEVICE, VIDIOC_REQBUFS),
    IOCTL(PROFILE_DEVICE, VIDIOC_CREATE_BUFS),
    IOCTL(PROFILE_DEVICE, VIDIOC_QUERYBUF),
    IOCTL(PROFILE_DEVICE, VIDIOC_PREPARE_BUF),
    IOCTL(PROFILE_DEVICE, VIDIOC_QBUF),
    IOCTL(PROFILE_DEVICE, VIDIOC_DQBUF),
    IOCTL(PROFILE_DEVICE, VIDIOC_EXPBUF),
    IOCTL(PROFILE_DEVICE, VIDIOC_STREAMON),
    IOCTL(PROFILE_DEVICE, VIDIOC_STREAMOFF),
    IOCTL(PROFILE_DEVICE, VIDIOC_SUBSCRIBE_EVENT),
    IOCTL(PROFILE_DEVICE, VIDIOC_UNSUBSCRIBE_EVENT),
    IOCTL(PROFILE_DEVICE, VIDIOC_DQEVENT),
    IOCTL(PROFILE_DEVICE, DMA_BUF_IOCTL_SYNC),

    PRCTL(PR_SET_NAME),
    PRCTL(PR_GET_NAME),
    PRCTL(PR_SET_PDEATHSIG),
    PRCTL(PR_GET_PDEATHSIG),
    PRCTL(PR_SET_DUMPABLE),
    PRCTL(PR_GET_DUMPABLE),
    PRCTL(PR_SET_NO_NEW_PRIVS),
    PRCTL(PR_GET_NO_NEW_PRIVS),
    PRCTL(PR_SET_CHILD_SUBREAPER),
    PRCTL(PR_SET_TIMERSLACK),
    PRCTL(PR_GET_TIMERSLACK),
    PRCTL(PR_CAPBSET_READ),
    PRCTL(PR_GET_SECUREBITS),
    PRCTL(PR_GET_SECCOMP),
    PRCTL(VMA_NAMES),

    LIMITS(setrlimit, 0),
    LIMITS(prlimit64, 1),
    ONE(prlimit64, 0, 2, UINT64_MAX, 0), /* asks only */

    FCNTL(F_DUPFD),
    FCNTL(F_DUPFD_CLOEXEC),
    FCNTL(F_GETFD),
    FCNTL(F_SETFD),
    FCNTL(F_GETFL),
    FCNTL(F_SETFL),
    FCNTL(F_GETLK),
    FCNTL(F_OFD_GETLK),
    FCNTL(F_GETOWN),
    FCNTL(F_SETOWN),
    FCNTL(F_GETPIPE_SZ),
    FCNTL(F_SETPIPE_SZ),
    /* Each lock of a range is kernel memory that no control group is charged for and no limit ends:
     * a payload could have all there is.  flock() is one for a descriptor. */
    ONE(fcntl, PROFILE_LEGACY, 1, INT, F_SETLK),
    ONE(fcntl, PROFILE_LEGACY, 1, INT, F_SETLKW),
    ONE(fcntl, PROFILE_LEGACY, 1, INT, F_OFD_SETLK),
    ONE(fcntl, PROFILE_LEGACY, 1, INT, F_OFD_SETLKW),

    /* Not MERGEABLE, with which one learns what others have in memory, and nothing that throws out
     * pages which others may be using. */
    ADVICE(MADV_NORMAL),
    ADVICE(MADV_RANDOM),
    ADVICE(MADV_SEQUENTIAL),
    ADVICE(MADV_WILLNEED),
    ADVICE(MADV_DONTNEED),
    ADVICE(MADV_FREE),
    ADVICE(MADV_REMOVE),
    ADVICE(MADV_DONTFORK),
    ADVICE(MADV_DOFORK),
    ADVICE(MADV_HUGEPAGE),
    ADVICE(MADV_NOHUGEPAGE),
    ADVICE(MADV_DONTDUMP),
    ADVICE(MADV_DODUMP),
    ADVICE(MADV_WIPEONFORK),
    ADVICE(MADV_KEEPONFORK),
    ADVICE(MADV_POPULATE_READ),
    ADVICE(MADV_POPULATE_WRITE),
    ADVICE(MADV_DONTNEED_LOCKED),
    ADVICE(ADVISE_GUARD_INSTALL),
    ADVICE(ADVISE_GUARD_REMOVE),

    /* x86-64: where thread-local data lies, what libc asks for shadow stacks, and wide registers */
    ARCH(0x1001), /* ARCH_SET_GS */
    ARCH(0x1002), /* ARCH_SET_FS */
    ARCH(0x1003), /* ARCH_GET_FS */
    ARCH(0x1004), /* ARCH_GET_GS */
    ARCH(0x1021), /* ARCH_GET_XCOMP_SUPP */
    ARCH(0x1022), /* ARCH_GET_XCOMP_PERM */
    ARCH(0x1023), /* ARCH_REQ_XCOMP_PERM */
    ARCH(0x3001), /* what older libcs ask for CET */
    ARCH(0x5005), /* ARCH_SHSTK_STATUS */

    /* Memory behind a descriptor that can never be made a program. */
    ONE(memfd_create, PROFILE_LEGACY, 1, INT & ~(uint64_t)(MFD_CLOEXEC | MFD_ALLOW_SEALING),
        MEMFD_NOEXEC_SEAL),
    /* Policies that only give way. */
    ONE(sched_setscheduler, PROFILE_LEGACY, 1, INT & ~(uint64_t)SCHED_RESET_ON_FORK, SCHED_OTHER),
    ONE(sched_setscheduler, PROFILE_LEGACY, 1, INT & ~(uint64_t)SCHED_RESET_ON_FORK, SCHED_BATCH),
    ONE(sched_setscheduler, PROFILE_LEGACY, 1, INT & ~(uint64_t)SCHED_RESET_ON_FORK, SCHED_IDLE),
};

#define RULES (sizeof rules / sizeof rules[0])

const struct rule *rules_table(size_t *ret_n)
{
    *ret_n = RULES;
    return rules;
}

/* ---- is it fit to be a filter --------------------------------------------------------------- */

static const char *signature_of(enum call call)
{
    for (size_t i = 0; i < sizeof signatures / sizeof signatures[0]; i++) {
        if (signatures[i].call == call)
            return signatures[i].args;
    }
    return "";
}

/* What is wrong with one condition, or NULL. */
static const char *cond_fault(const char *signature, const struct cond *c)
{
    if (c->arg >= strlen(signature))
        return "no such argument";
    if (c->test != COND_EQUAL)
        return "says what is forbidden";
    if (c->mask == 0)
        return "looks at nothing";
    if ((c->value & ~c->mask) != 0)
        return "can never hold";
    switch (signature[c->arg]) {
    case 'i':
        return c->mask > INT ? "compares 64 bits of an int" : NULL;
    case 'p':
        return c->mask == UINT64_MAX && c->value == 0 ? NULL : "looks at part of a pointer";
    default:
        return "argument that no rule may look at";
    }
}

static const char *rule_fault(const struct rule *r)
{
    if ((unsigned int)r->call >= CALLS_N || call_class(r->call) != CALL_CLASS_RULES)
        return "call is not one that rules are for";
    if ((r->profile & ~PROFILE_ALL) != 0 || (r->profile & (r->profile - 1)) != 0)
        return "profile";
    if (r->n == 0 || r->n > RULE_CONDS_MAX)
        return "number of conditions";
    for (uint32_t i = 0; i < r->n; i++) {
        const char *fault = cond_fault(signature_of(r->call), &r->cond[i]);

        if (fault != NULL)
            return fault;
        for (uint32_t k = 0; k < i; k++) {
            if (r->cond[k].arg == r->cond[i].arg)
                return "argument twice";
        }
    }
    return NULL;
}

enum rc rules_check(const struct rule *table, size_t n, struct err *err)
{
    bool seen[CALLS_N] = { false };

    for (size_t i = 0; i < n; i++) {
        const char *fault = rule_fault(&table[i]);

        if (fault == NULL && (i == 0 || table[i - 1].call != table[i].call)) {
            fault = seen[table[i].call] ? "rules of one call lie apart" : NULL;
            seen[table[i].call] = true;
        }
        if (fault != NULL)
            return err_set(err, RC_VALUE, "rule %zu: %s", i, fault);
    }
    return RC_OK;
}

/* ---- the table as read ---------------------------------------------------------------------- */

static bool rule_holds(const struct rule *r, const uint64_t args[6])
{
    for (uint32_t i = 0; i < r->n; i++) {
        if ((args[r->cond[i].arg] & r->cond[i].mask) != r->cond[i].value)
            return false;
    }
    return true;
}

bool rules_allow(uint32_t profile, enum call call, const uint64_t args[6])
{
    for (size_t i = 0; i < RULES; i++) {
        const struct rule *r = &rules[i];

        if (r->call == call && (r->profile == 0 || (r->profile & profile) != 0) &&
            rule_holds(r, args))
            return true;
    }
    return false;
}

const char *rules_profile_name(uint32_t profile, char *buf, size_t size)
{
    (void)snprintf(buf, size, "compute%s%s%s", (profile & PROFILE_NET) != 0 ? " net" : "",
                   (profile & PROFILE_DEVICE) != 0 ? " device" : "",
                   (profile & PROFILE_LEGACY) != 0 ? " posix-legacy" : "");
    return buf;
}
