/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/notify.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/passed.h"

#define FDS_CLOSED_MAX 253U /* SCM_MAX_FD: as many as the kernel passes with one message */

static void take_status(struct bytes value, char *out)
{
    size_t n = value.n < NOTIFY_STATUS_CAP - 1 ? value.n : NOTIFY_STATUS_CAP - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = value.p[i] >= ' ' && value.p[i] <= '~' ? (char)value.p[i] : '?';
    out[n] = '\0';
}

static bool begins(struct bytes line, const char *prefix)
{
    return line.n >= strlen(prefix) && memcmp(line.p, prefix, strlen(prefix)) == 0;
}

/* With these a service changes who is supervised, and how: here its manifest says that. */
static bool is_refused(struct bytes line)
{
    static const char *const words[] = { "MAINPID", "FDSTORE", "WATCHDOG_USEC",
                                         "EXTEND_TIMEOUT_USEC", "BUSNAME" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (begins(line, words[i]))
            return true;
    return false;
}

static void take_line(struct bytes line, struct notify *ret)
{
    static const char status[] = "STATUS=";
    const size_t prefix = sizeof status - 1;

    if (bytes_equal(line, bytes_of("READY=1")))
        ret->ready = true;
    else if (bytes_equal(line, bytes_of("WATCHDOG=1")))
        ret->watchdog = true;
    else if (bytes_equal(line, bytes_of("STOPPING=1")))
        ret->stopping = true;
    else if (bytes_equal(line, bytes_of("RELOADING=1")))
        ret->reloading = true;
    else if (begins(line, status))
        take_status((struct bytes){ .p = line.p + prefix, .n = line.n - prefix }, ret->status);
    else if (is_refused(line))
        ret->refused++;
}

void notify_parse(struct bytes datagram, struct notify *ret)
{
    size_t at = 0;

    *ret = (struct notify){ 0 };
    while (at < datagram.n) {
        const uint8_t *line = datagram.p + at;
        const uint8_t *end = memchr(line, '\n', datagram.n - at);
        size_t n = end ? (size_t)(end - line) : datagram.n - at;

        take_line((struct bytes){ .p = line, .n = n }, ret);
        at += n + 1;
    }
}

enum rc notify_receive(int sock, struct notify *ret, struct err *err)
{
    uint8_t datagram[NOTIFY_MAX];
    union {
        struct cmsghdr align;
        char space[PASSED_SPACE(FDS_CLOSED_MAX)];
    } control;
    struct iovec iov = { .iov_base = datagram, .iov_len = sizeof datagram };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(err, RC_TIMEOUT, "notify");
    if (n < 0)
        return err_sys(err, RC_IO, "notify");
    const size_t closed = passed_take(&msg, NULL, 0, NULL);

    notify_parse((struct bytes){ .p = datagram, .n = msg.msg_flags & MSG_TRUNC ? 0 : (size_t)n },
                 ret);
    ret->refused += (uint32_t)closed;
    return RC_OK;
}
