/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/denied.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/calls.h"

#define MESSAGE_MAX 2048U /* names in a record are bounded by the kernel, at PATH_MAX or so */
#define ROOM (512 * 1024) /* some hundred records: the kernel counts what it needs itself */
#define KILLED_SIGNAL 31U /* SIGSYS */
#define GROUPS (1U << (AUDIT_NLGRP_READLOG - 1))

/* ---- the socket ----------------------------------------------------------------------------- */

/* Records of this one type, for whoever has the socket later: the others are the platform's audit
 * log.  Loads are big-endian, the header is as the machine is. */
static int only_refusals(int fd)
{
    const int locked = 1;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_type)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htons(AUDIT_SECCOMP), 0, 1),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog filter = { .len = sizeof code / sizeof code[0], .filter = code };

    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0)
        return -1;
    return setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof locked);
}

enum rc denied_open(int *ret_fd, struct err *err)
{
    const struct sockaddr_nl where = { .nl_family = AF_NETLINK, .nl_groups = GROUPS };
    const int room = ROOM;
    scoped(close_fd) int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_AUDIT);

    if (fd < 0 || only_refusals(fd) != 0)
        return err_sys(err, RC_IO, "audit socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) != 0)
        return err_sys(err, RC_IO, "room in the audit socket");
    if (bind(fd, (const struct sockaddr *)&where, sizeof where) != 0)
        return err_sys(err, RC_IO, "records of the audit socket");
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

enum denied_got denied_read(int fd, struct denied_record *ret)
{
    union {
        struct nlmsghdr head;
        uint8_t byte[MESSAGE_MAX];
    } m;
    struct sockaddr_nl from = { 0 };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof m };
    struct msghdr hdr = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1
    };
    ssize_t n = recvmsg(fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0)
        return errno == ENOBUFS ? DENIED_MISSED : DENIED_NOTHING;
    /* Port 0 is the kernel. */
    if ((size_t)n < sizeof m.head || hdr.msg_namelen != sizeof from || from.nl_pid != 0 ||
        m.head.nlmsg_type != AUDIT_SECCOMP || (hdr.msg_flags & MSG_TRUNC) != 0)
        return DENIED_STRANGE;
    return denied_parse(
               (struct bytes){ .p = m.byte + sizeof m.head, .n = (size_t)n - sizeof m.head }, ret)
               ? DENIED_RECORD
               : DENIED_STRANGE;
}

/* ---- the text ------------------------------------------------------------------------------- */

/* Where a word begins in the text; SIZE_MAX if it is not there.  From the end on if last. */
static size_t find(struct bytes text, const char *word, bool last)
{
    size_t len = strlen(word);
    size_t found = SIZE_MAX;

    for (size_t i = 0; i + len <= text.n; i++) {
        if (memcmp(text.p + i, word, len) == 0) {
            found = i;
            if (!last)
                break;
        }
    }
    return found;
}

/* "WORDnumber" at the cursor, which moves behind it; the number ends the text or is followed by a
 * space. */
static bool take(struct bytes *at, const char *word, unsigned int base, uint32_t *ret)
{
    size_t len = strlen(word);
    uint64_t value = 0;
    size_t i = len;

    if (at->n <= len || memcmp(at->p, word, len) != 0)
        return false;
    for (; i < at->n && at->p[i] != ' '; i++) {
        uint8_t c = at->p[i];
        uint32_t digit = 99;

        if (c >= '0' && c <= '9')
            digit = (uint32_t)c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = (uint32_t)c - 'a' + 10U;
        value = value * base + digit;
        if (digit >= base || value > UINT32_MAX)
            return false;
    }
    if (i == len)
        return false;
    *ret = (uint32_t)value;
    at->p += i;
    at->n -= i;
    return true;
}

bool denied_parse(struct bytes text, struct denied_record *ret)
{
    struct denied_record r = { 0 };
    uint32_t signal;
    uint32_t compat;

    while (text.n > 0 && (text.p[text.n - 1] == '\0' || text.p[text.n - 1] == '\n'))
        text.n--;
    size_t comm = find(text, " comm=", false);
    size_t tail = find(text, " sig=", true);

    if (comm == SIZE_MAX || tail == SIZE_MAX || tail < comm)
        return false;
    struct bytes head = { .p = text.p, .n = comm };
    size_t uid = find(head, " uid=", false);
    if (uid == SIZE_MAX)
        return false;
    head = (struct bytes){ .p = head.p + uid, .n = head.n - uid };
    struct bytes end = { .p = text.p + tail, .n = text.n - tail };
    if (!take(&head, " uid=", 10, &r.uid) || !take(&end, " sig=", 10, &signal) ||
        !take(&end, " arch=", 16, &r.arch) || !take(&end, " syscall=", 10, &r.nr) ||
        !take(&end, " compat=", 10, &compat))
        return false;
    r.killed = signal == KILLED_SIGNAL;
    *ret = r;
    return true;
}

/* ---- counting ------------------------------------------------------------------------------- */

static void count_up(uint32_t *count)
{
    if (*count < UINT32_MAX)
        (*count)++;
}

bool denied_count(struct denied *d, const struct denied_record *r)
{
    count_up(&d->total);
    for (uint32_t i = 0; i < d->n; i++) {
        if (d->call[i].arch == r->arch && d->call[i].nr == r->nr) {
            count_up(&d->call[i].count);
            return false;
        }
    }
    if (d->n == DENIED_KINDS)
        return false;
    d->call[d->n++] = (struct denied_call){ .arch = r->arch, .nr = r->nr, .count = 1 };
    return true;
}

uint32_t denied_top(const struct denied *d, struct denied_call *ret, uint32_t max)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        uint32_t at = n < max ? n++ : max;

        for (; at > 0 && ret[at - 1].count < d->call[i].count; at--) {
            if (at < max)
                ret[at] = ret[at - 1];
        }
        if (at < max)
            ret[at] = d->call[i];
    }
    return n;
}

const char *denied_call_name(const struct denied_call *call, char buf[DENIED_CALL_CAP])
{
    enum call known;

    if (call->arch != calls_audit_arch(CALLS_NATIVE))
        (void)snprintf(buf, DENIED_CALL_CAP, "other-%" PRIu32, call->nr);
    else if (call->arch == AUDIT_ARCH_X86_64 && (call->nr & CALLS_X32_BIT) != 0)
        (void)snprintf(buf, DENIED_CALL_CAP, "x32-%" PRIu32, call->nr & ~CALLS_X32_BIT);
    else if (call_find(CALLS_NATIVE, call->nr, &known))
        (void)snprintf(buf, DENIED_CALL_CAP, "%s", call_name(known));
    else
        (void)snprintf(buf, DENIED_CALL_CAP, "number-%" PRIu32, call->nr);
    return buf;
}
