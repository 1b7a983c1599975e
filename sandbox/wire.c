/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/wire.h"

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>

#include "base/passed.h"

/* How a message of each type must look. */
struct shape {
    uint32_t type;
    uint32_t size;
    uint32_t fds_min;
    uint32_t fds_max;
};

static const struct shape shapes[] = {
    { WIRE_LAUNCH, sizeof(struct wire_launch), 1, 3 },
    { WIRE_STOP, sizeof(struct wire_stop), 0, 0 },
    { WIRE_STAT, sizeof(struct wire_stat), 0, 0 },
    { WIRE_FREEZE, sizeof(struct wire_freeze), 0, 0 },
    { WIRE_THAW, sizeof(struct wire_freeze), 0, 0 },
    { WIRE_LIMITS, sizeof(struct wire_limits), 0, 0 },
    { WIRE_LAUNCHED, sizeof(struct wire_launched), 4, 5 },
    { WIRE_LAUNCH_FAILED, sizeof(struct wire_launch_failed), 0, 0 },
    { WIRE_EXITED, sizeof(struct wire_exited), 0, 0 },
    { WIRE_STATS, sizeof(struct wire_stats), 0, 0 },
    { WIRE_FROZEN, sizeof(struct wire_frozen), 0, 0 },
    { WIRE_WALLS, sizeof(struct wire_walls), 0, 1 },
    { WIRE_LIMITED, sizeof(struct wire_limited), 0, 0 },
    { WIRE_AUDIT, sizeof(struct wire_audit), 0, 0 },
    { WIRE_AUDITED, sizeof(struct wire_audited), 0, 0 },
};

union control {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
};

static const struct shape *shape_of(uint32_t type)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (shapes[i].type == type)
            return &shapes[i];
    }
    return NULL;
}

void wire_fds_close(struct wire_fds *fds)
{
    for (size_t i = 0; i < WIRE_FDS_MAX; i++)
        close_fd(&fds->fd[i]);
    fds->n = 0;
}

struct wire_head wire_head(enum wire_type type, uint64_t instance)
{
    const struct shape *shape = shape_of(type);

    assert(shape != NULL);
    return (struct wire_head){ .type = type, .size = shape->size, .instance = instance };
}

enum rc wire_make_room(int sock, struct err *err)
{
    /* The kernel doubles it, and counts what it needs around a message. */
    const int bytes = 2 * (int)PAYLOADS_MAX * (int)sizeof(union wire_message);

    if (setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0 &&
        setsockopt(sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes) != 0)
        return err_sys(err, RC_IO, "room in a socket");
    return RC_OK;
}

enum rc wire_send(int sock, const struct wire_head *message, const int *fds, size_t n_fds,
                  struct err *err)
{
    const struct shape *shape = shape_of(message->type);

    assert(shape != NULL && message->size == shape->size);
    assert(n_fds >= shape->fds_min && n_fds <= shape->fds_max);

    union control control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = message->size };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0)
        passed_put(&hdr, control.buf, fds, n_fds);

    ssize_t n;
    do {
        n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno == EAGAIN ? RC_NO_ROOM : RC_IO, "send message %u", message->type);
    return RC_OK;
}

static bool walls_valid(const struct wire_walls_seen *w)
{
    return (w->standing & w->missing) == 0 && (w->waived & ~w->missing) == 0;
}

/* Checks that belong to one type; the plan itself is checked by its user. */
static bool content_valid(const union wire_message *m, size_t n_fds)
{
    switch ((enum wire_type)m->head.type) {
    case WIRE_LAUNCH:
        return m->launch.plan.has_data <= 1 && m->launch.plan.has_mail <= 1 &&
               n_fds == 1 + m->launch.plan.has_data + m->launch.plan.has_mail;
    case WIRE_STOP:
        return m->stop.reserved == 0;
    case WIRE_LAUNCH_FAILED:
        return memchr(m->failed.step, '\0', sizeof m->failed.step) != NULL &&
               memchr(m->failed.what, '\0', sizeof m->failed.what) != NULL;
    case WIRE_FROZEN:
        return m->frozen.frozen <= 1;
    case WIRE_LAUNCHED:
        return walls_valid(&m->launched.receipt.walls);
    case WIRE_WALLS:
        return walls_valid(&m->walls.seen) &&
               memchr(m->walls.refused_what, '\0', sizeof m->walls.refused_what) != NULL;
    case WIRE_LIMITED:
        return memchr(m->limited.what, '\0', sizeof m->limited.what) != NULL;
    case WIRE_AUDITED:
        return memchr(m->audited.what, '\0', sizeof m->audited.what) != NULL;
    case WIRE_STAT:
    case WIRE_AUDIT:
    case WIRE_FREEZE:
    case WIRE_THAW:
    case WIRE_LIMITS: /* checked by its user */
    case WIRE_EXITED:
    case WIRE_STATS:
        return true;
    }
    return false;
}

static bool message_valid(const union wire_message *m, size_t size, const struct wire_fds *fds)
{
    if (size < sizeof m->head)
        return false;

    const struct shape *shape = shape_of(m->head.type);

    return shape != NULL && size == shape->size && m->head.size == size &&
           (m->head.instance == 0) == (m->head.type == WIRE_WALLS) && fds->n >= shape->fds_min &&
           fds->n <= shape->fds_max && content_valid(m, fds->n);
}

enum rc wire_recv(int sock, union wire_message *ret, struct wire_fds *ret_fds, struct err *err)
{
    union wire_message message = { 0 };
    scoped(wire_fds_close) struct wire_fds fds = WIRE_FDS_INIT;
    union control control = { 0 };
    struct iovec iov = { .iov_base = &message, .iov_len = sizeof message };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    bool strange = false;

    ssize_t n;
    do {
        n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, errno == EAGAIN ? RC_TIMEOUT : RC_IO, "receive message");
    const size_t came = passed_take(&hdr, fds.fd, WIRE_FDS_MAX, &strange);

    fds.n = came < WIRE_FDS_MAX ? came : WIRE_FDS_MAX;
    strange |= came > WIRE_FDS_MAX;
    if (n == 0 && fds.n == 0)
        return err_set(err, RC_SHORT, "the other end is closed");
    if (strange || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        !message_valid(&message, (size_t)n, &fds))
        return err_set(err, RC_PROTOCOL, "message %u of %zd bytes, %zu descriptors",
                       message.head.type, n, fds.n);

    *ret = message;
    *ret_fds = fds;
    fds = WIRE_FDS_INIT;
    return RC_OK;
}
