/* SPDX-License-Identifier: Apache-2.0
 *
 * The socket of agent/inputs.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/inputs.h"

#define RECEIVE_BYTES (64 * 1024) /* of lines that wait */

static enum rc adopt(int sock, struct err *err)
{
    const int on = 1;
    const int room = RECEIVE_BYTES;
    int type = 0;
    int domain = 0;
    socklen_t n = sizeof type;

    if (getsockopt(sock, SOL_SOCKET, SO_TYPE, &type, &n) != 0 ||
        getsockopt(sock, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0)
        return err_sys(err, RC_VALUE, "inputs");
    if (type != SOCK_DGRAM || domain != AF_UNIX)
        return err_set(err, RC_VALUE, "inputs: not a Unix socket for datagrams");
    if (setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
        setsockopt(sock, SOL_SOCKET, SO_RCVBUF, &room, sizeof room) != 0)
        return err_sys(err, RC_IO, "inputs");
    return RC_OK;
}

/* Left by an agent that was killed; anything else that lies there is somebody's. */
static enum rc remove_old(const char *path, struct err *err)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? RC_OK : err_sys(err, RC_IO, "%s", path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, RC_EXISTS, "%s", path);
    return unlink(path) == 0 ? RC_OK : err_sys(err, RC_IO, "%s", path);
}

static enum rc bind_at(const char *path, uid_t uid, gid_t gid, int *ret_sock, struct err *err)
{
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    size_t n = strlen(path);

    if (n == 0 || n >= sizeof where.sun_path)
        return err_set(err, RC_VALUE, "inputs: path of %zu bytes", n);
    memcpy(where.sun_path, path, n + 1);
    enum rc rc = remove_old(path, err);
    if (rc != RC_OK)
        return rc;

    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (sock < 0)
        return err_sys(err, RC_IO, "inputs");
    /* Nobody else can fill it, either: it is 0600 from its first moment. */
    mode_t before = umask(0177);
    int bad = bind(sock, (const struct sockaddr *)&where, sizeof where);
    (void)umask(before);
    if (bad != 0 || lchown(path, uid, gid) != 0)
        return err_sys(err, RC_IO, "%s", path);
    rc = adopt(sock, err);
    if (rc == RC_OK)
        *ret_sock = take_fd(&sock);
    return rc;
}

enum rc inputs_open(const char *path, uid_t uid, gid_t gid, int *ret_sock, struct err *err)
{
    int given = sd_listen_fds(1);

    if (given > 1)
        return err_set(err, RC_VALUE, "inputs: %d sockets", given);
    if (given < 1)
        return path ? bind_at(path, uid, gid, ret_sock, err) : RC_OK;
    enum rc rc = adopt(SD_LISTEN_FDS_START, err);
    if (rc == RC_OK)
        *ret_sock = SD_LISTEN_FDS_START;
    return rc;
}

/* Who it was, as the kernel says.  Descriptors cannot come along: there is no room for them. */
static bool sender_of(struct msghdr *msg, uid_t *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        struct ucred cred;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
            continue;
        memcpy(&cred, CMSG_DATA(c), sizeof cred);
        *ret = cred.uid;
        return true;
    }
    return false;
}

enum rc inputs_receive(int sock, uid_t uid, struct input *ret, struct input_sender *from,
                       struct err *err)
{
    uint8_t datagram[INPUT_LINE_MAX + 2];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec iov = { .iov_base = datagram, .iov_len = sizeof datagram };
    struct msghdr msg = { .msg_name = from->space,
                          .msg_namelen = sizeof from->space,
                          .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control };

    from->address = (struct bytes){ 0 };
    ssize_t n = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(err, RC_TIMEOUT, "inputs");
    if (n < 0)
        return err_sys(err, RC_IO, "inputs");
    if (msg.msg_namelen > sizeof(sa_family_t) && msg.msg_namelen <= sizeof from->space)
        from->address = (struct bytes){ .p = from->space, .n = msg.msg_namelen };
    if (!sender_of(&msg, &from->uid))
        return err_set(err, RC_INPUT_SENDER, "nobody knows who");
    if (from->uid != 0 && from->uid != uid)
        return err_set(err, RC_INPUT_SENDER, "user %u", from->uid);
    if ((msg.msg_flags & MSG_TRUNC) != 0)
        return err_set(err, RC_INPUT_LINE, "too long");
    return input_parse((struct bytes){ .p = datagram, .n = (size_t)n }, ret, err);
}

void inputs_answer(int sock, const struct input_sender *to, const struct err *err)
{
    char text[INPUT_ANSWER_CAP] = "ok";

    if (to->address.n == 0)
        return;
    if (err)
        (void)snprintf(text, sizeof text, "%s %u %s: %s", rc_name(err->rc), (unsigned)err->rc,
                       rc_text(err->rc), err->what);
    struct iovec iov = { .iov_base = text, .iov_len = strlen(text) };
    struct msghdr msg = { .msg_name = (void *)(uintptr_t)to->address.p,
                          .msg_namelen = (socklen_t)to->address.n,
                          .msg_iov = &iov,
                          .msg_iovlen = 1 };

    /* Whoever does not want to hear it need not. */
    (void)!sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}
