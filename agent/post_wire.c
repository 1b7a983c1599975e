/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/post.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/passed.h"

/* How a message of each type must look. */
struct shape {
    bool from_agent;
    size_t fds;
    bool named;
};

static const struct shape shapes[] = {
    /* clang-format off */
    [POST_OPEN]      = { true,  2, false },
    [POST_TAKEN]     = { true,  0, true },
    [POST_LATER]     = { true,  0, false },
    [POST_PUT]       = { true,  1, true },
    [POST_PING]      = { true,  0, false },
    [POST_FOUND]     = { false, 1, true },
    [POST_REMOVED]   = { false, 0, true },
    [POST_DELIVERED] = { false, 0, true },
    [POST_JUNK]      = { false, 0, false },
    [POST_CLOSED]    = { false, 0, false },
    [POST_PONG]      = { false, 0, false },
    /* clang-format on */
};

union control {
    char buf[PASSED_SPACE(POST_FDS_MAX + 1)]; /* one more than there may be tells of all others */
    struct cmsghdr align;
};

static bool known(uint32_t type)
{
    return (type >= POST_OPEN && type <= POST_PING) || (type >= POST_FOUND && type <= POST_PONG);
}

/* The name of a message, or of a receipt of one. */
static bool name_fits(const struct post_message *m)
{
    const size_t end = strlen(MAIL_RECEIPT);
    char name[sizeof m->name];
    size_t n = strnlen(m->name, sizeof m->name);

    if (n == sizeof m->name)
        return false;
    memcpy(name, m->name, sizeof name);
    if (m->type == POST_PUT || m->type == POST_DELIVERED) {
        if (n > end && strcmp(name + n - end, MAIL_RECEIPT) == 0)
            name[n - end] = '\0';
    }
    return mail_name_ok(name);
}

/* Whatever the type: text that ends and is no path, and zero behind it. */
static bool text_ends(const struct post_message *m)
{
    size_t n = strnlen(m->name, sizeof m->name);

    if (n == sizeof m->name)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (m->name[i] <= ' ' || m->name[i] > '~' || m->name[i] == '/')
            return false;
    }
    for (; n < sizeof m->name; n++) {
        if (m->name[n] != '\0')
            return false;
    }
    return true;
}

static bool valid(const struct post_message *m, bool from_agent, size_t n_fds)
{
    if (!known(m->type) || m->instance == 0 || m->size > MAIL_CONTENT_MAX || m->replace > 1 ||
        m->mark.reserved != 0 || !text_ends(m))
        return false;
    const struct shape *s = &shapes[m->type];

    if (s->from_agent != from_agent || n_fds != s->fds || rc_from_number(m->rc) != (enum rc)m->rc)
        return false;
    return !s->named || name_fits(m);
}

enum rc post_check(struct bytes raw, bool from_agent, size_t n_fds, struct post_message *ret,
                   struct err *err)
{
    struct post_message m = { 0 };

    if (raw.n != sizeof m)
        return err_set(err, RC_PROTOCOL, "post message of %zu bytes", raw.n);
    memcpy(&m, raw.p, sizeof m); /* raw may not be aligned */
    if (!valid(&m, from_agent, n_fds))
        return err_set(err, RC_PROTOCOL, "post message %u, %zu fds", m.type, n_fds);
    *ret = m;
    return RC_OK;
}

enum rc post_send(int sock, const struct post_message *m, const int *fds, struct err *err)
{
    union control control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
    const size_t n_fds = shapes[m->type].fds;

    if (n_fds > 0)
        passed_put(&hdr, control.buf, fds, n_fds);
    ssize_t n = 0;
    do
        n = sendmsg(sock, &hdr, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
        return err_set(err, RC_TIMEOUT, "post is full");
    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
        return err_set(err, RC_SHORT, "post is closed");
    return n < 0 ? err_sys(err, RC_IO, "send to post") : RC_OK;
}

enum rc post_recv(int sock, bool from_agent, struct post_message *ret, int ret_fds[POST_FDS_MAX],
                  struct err *err)
{
    union control control = { 0 };
    struct post_message m = { 0 };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof m };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    ssize_t n = 0;

    do
        n = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return err_set(err, RC_TIMEOUT, "nothing from post");
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return err_set(err, RC_SHORT, "post is closed");
    if (n < 0)
        return err_sys(err, RC_IO, "receive from post");

    int fds[POST_FDS_MAX] = { -1, -1 };
    size_t n_fds = passed_take(&hdr, fds, POST_FDS_MAX, NULL);

    enum rc rc = RC_PROTOCOL;

    if ((hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        err_set(err, rc, "post message is cut off");
    else
        rc = post_check((struct bytes){ (const uint8_t *)&m, (size_t)n }, from_agent, n_fds, ret,
                        err);
    for (size_t i = 0; i < POST_FDS_MAX; i++) {
        if (rc == RC_OK)
            ret_fds[i] = fds[i];
        else
            close_fd(&fds[i]);
    }
    return rc;
}
