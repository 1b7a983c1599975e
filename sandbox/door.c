/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/door.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/few.h"
#include "base/log.h"
#include "base/passed.h"
#include "sandbox/wire.h"

#define SOCKET_FD 3
#define SLOTS_FD 4
#define LOCK_FD 5
#define HIGH_FD 32 /* above every descriptor that the program is given */

union control {
    struct cmsghdr align;
    char buf[PASSED_SPACE(DOOR_FDS)];
};

/* Of who connected, or, seen from there, of who listens. */
static enum rc check_root(int sock, const char *who, struct err *err)
{
    struct ucred peer;
    socklen_t size = sizeof peer;

    if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return err_sys(err, RC_IO, "%s", who);
    if (peer.uid != 0)
        return err_set(err, RC_PROTOCOL, "%s is user %u, not root", who, peer.uid);
    return RC_OK;
}

static enum rc wait_at_most(int sock, time_t s, struct err *err)
{
    const struct timeval wait = { .tv_sec = s };

    if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0)
        return err_sys(err, RC_IO, "descriptor %d", sock);
    return RC_OK;
}

/* ---- berthd ------------------------------------------------------------------------------------
 */

static enum rc write_down(uint32_t number, char *const argv[], struct door_request *ret,
                          struct err *err)
{
    *ret = (struct door_request){ .magic = DOOR_MAGIC(number) };
    for (; argv[ret->n_args] != NULL; ret->n_args++) {
        const size_t n = strlen(argv[ret->n_args]) + 1;

        if (ret->n_args == DOOR_ARGS_MAX || n > sizeof ret->text - ret->size)
            return err_set(err, RC_IO, "too many arguments for berth-launch");
        memcpy(ret->text + ret->size, argv[ret->n_args], n);
        ret->size += (uint32_t)n;
    }
    return RC_OK;
}

static enum rc reach(const char *path, int *ret, struct err *err)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    const size_t n = strlen(path);

    if (path[0] != '/' || n >= sizeof to.sun_path)
        return err_set(err, RC_IO, "launcher %s: no absolute path of %zu bytes", path,
                       sizeof to.sun_path - 1);
    memcpy(to.sun_path, path, n + 1);
    if (sock < 0 || connect(sock, (const struct sockaddr *)&to, sizeof to) != 0)
        return err_sys(err, RC_IO, "launcher %s", path);
    *ret = take_fd(&sock);
    return RC_OK;
}

/* Its answer is the number of its packet; nothing else is said before.  *ret_range is set if it is
 * none of its range, with RC_PROTOCOL. */
static enum rc await_door(int sock, uint32_t number, struct door_range *ret_range, struct err *err)
{
    struct door_refusal answer = { 0 };
    enum rc rc = wait_at_most(sock, DOOR_WAIT_S, err);
    ssize_t n;

    if (rc != RC_OK)
        return rc;
    do {
        n = recv(sock, &answer, sizeof answer, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return err_set(err, RC_TIMEOUT, "berth-launch has not answered");
    if (n < 0 && errno != ECONNRESET)
        return err_sys(err, RC_IO, "answer of berth-launch");
    if (n <= 0)
        return err_set(err, RC_SHORT, "berth-launch has ended, its log says why");
    if (n == (ssize_t)sizeof answer && answer.magic == DOOR_MAGIC(0)) {
        *ret_range = answer.speaks;
        return err_set(err, RC_PROTOCOL, "berth-launch speaks %u to %u of the door",
                       answer.speaks.oldest, answer.speaks.newest);
    }
    if (n != (ssize_t)sizeof answer.magic || answer.magic != DOOR_MAGIC(number))
        return err_set(err, RC_PROTOCOL, "answer of %zd bytes", n);
    return RC_OK;
}

static enum rc ask_once(uint32_t number, const char *path, char *const argv[],
                        const int fds[DOOR_SELF], int *ret_sock, struct door_range *ret_range,
                        struct err *err)
{
    struct door_request request;
    int all[DOOR_FDS] = { fds[DOOR_PROGRAM], fds[DOOR_SLOTS], fds[DOOR_LOCK] };
    union control control = { 0 };
    struct iovec iov = { .iov_base = &request, .iov_len = sizeof request };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
    scoped(close_fd) int sock = -1;
    enum rc rc = write_down(number, argv, &request, err);

    if (rc == RC_OK)
        rc = reach(path, &sock, err);
    if (rc == RC_OK)
        rc = check_root(sock, "who listens for berthd", err);
    if (rc != RC_OK)
        return rc;
    all[DOOR_SELF] = sock;
    passed_put(&hdr, control.buf, all, DOOR_FDS);
    /* The first packet of a connection always has room. */
    if (sendmsg(sock, &hdr, MSG_NOSIGNAL) != (ssize_t)sizeof request)
        return err_sys(err, RC_IO, "launcher %s", path);
    rc = await_door(sock, number, ret_range, err);
    if (rc != RC_OK)
        return rc;
    if (fcntl(sock, F_SETFL, O_NONBLOCK) != 0)
        return err_sys(err, RC_IO, "launcher %s", path);
    *ret_sock = take_fd(&sock);
    return RC_OK;
}

/* The number to ask with after this one was refused; 0 = none.  Always a lower one, so that it
 * ends.
 */
static uint32_t next_number(const struct door_range *mine, uint32_t asked, enum rc rc,
                            const struct door_range *theirs)
{
    uint32_t next = 0;

    if (rc == RC_SHORT) /* one of before there were ranges? */
        next = asked - 1;
    else if (rc == RC_PROTOCOL && theirs->oldest <= theirs->newest)
        next = theirs->newest < asked ? theirs->newest : 0;
    return next >= mine->oldest && next >= theirs->oldest ? next : 0;
}

enum rc door_ask_as(const struct door_range *range, const char *path, char *const argv[],
                    const int fds[DOOR_SELF], int *ret_sock, struct err *err)
{
    uint32_t number = range->newest;

    for (;;) {
        struct door_range theirs = { 0 };
        enum rc rc = ask_once(number, path, argv, fds, ret_sock, &theirs, err);
        const uint32_t next = rc == RC_OK ? 0 : next_number(range, number, rc, &theirs);

        if (next != 0) {
            number = next;
            continue;
        }
        if (rc == RC_PROTOCOL && theirs.newest > 0)
            return err_set(err, rc, "berth-launch speaks %u to %u of the door, berthd %u to %u",
                           theirs.oldest, theirs.newest, range->oldest, range->newest);
        return rc;
    }
}

static const struct door_range spoken = { DOOR_OLDEST, DOOR_NEWEST };

enum rc door_ask(const char *path, char *const argv[], const int fds[DOOR_SELF], int *ret_sock,
                 struct err *err)
{
    return door_ask_as(&spoken, path, argv, fds, ret_sock, err);
}

/* ---- the door ----------------------------------------------------------------------------------
 */

static bool in_range(const struct door_range *range, uint32_t magic)
{
    return magic >= DOOR_MAGIC(range->oldest) && magic <= DOOR_MAGIC(range->newest);
}

/* A packet of another version, whatever is in it.  Whoever sent it is told what is spoken here; who
 * has gone hears nothing. */
static bool is_other_number(const struct door_range *range, int sock, const struct door_request *r,
                            ssize_t n)
{
    const struct door_refusal refusal = { .magic = DOOR_MAGIC(0), .speaks = *range };

    if (n < (ssize_t)sizeof r->magic || r->magic < DOOR_MAGIC(1) || r->magic > DOOR_MAGIC(9) ||
        in_range(range, r->magic))
        return false;
    (void)!send(sock, &refusal, sizeof refusal, MSG_NOSIGNAL);
    return true;
}

static bool request_valid(const struct door_range *range, const struct door_request *r)
{
    uint32_t args = 0;

    if (!in_range(range, r->magic) || r->n_args == 0 || r->n_args > DOOR_ARGS_MAX || r->size == 0 ||
        r->size > sizeof r->text || r->text[r->size - 1] != '\0')
        return false;
    for (uint32_t i = 0; i < r->size; i++)
        args += r->text[i] == '\0';
    for (size_t i = r->size; i < sizeof r->text; i++)
        if (r->text[i] != '\0')
            return false;
    return args == r->n_args;
}

/* A program, a directory, what boot_lock locks, which may be a directory as well, and a socket. */
static bool fds_valid(const int fds[DOOR_FDS])
{
    struct stat program, slots, self;

    return fstat(fds[DOOR_PROGRAM], &program) == 0 && S_ISREG(program.st_mode) &&
           fstat(fds[DOOR_SLOTS], &slots) == 0 && S_ISDIR(slots.st_mode) &&
           fstat(fds[DOOR_SELF], &self) == 0 && S_ISSOCK(self.st_mode);
}

static void close_all(int fds[DOOR_FDS])
{
    for (size_t i = 0; i < DOOR_FDS; i++)
        close_fd(&fds[i]);
}

static enum rc receive(const struct door_range *range, int sock, struct door_request *ret,
                       int ret_fds[DOOR_FDS], struct err *err)
{
    union control control = { 0 };
    struct iovec iov = { .iov_base = ret, .iov_len = sizeof *ret };
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
        return err_sys(err, errno == EAGAIN ? RC_TIMEOUT : RC_IO, "request");
    const size_t came = passed_take(&hdr, ret_fds, DOOR_FDS, &strange);
    if (n == 0 && came == 0)
        return err_set(err, RC_SHORT, "nothing is asked for");
    if (is_other_number(range, sock, ret, n))
        return err_set(err, RC_PROTOCOL, "asked with %u of the door, speaks %u to %u",
                       ret->magic - DOOR_MAGIC(0), range->oldest, range->newest);
    if (strange || came != DOOR_FDS || (size_t)n != sizeof *ret ||
        (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || !request_valid(range, ret) ||
        !fds_valid(ret_fds))
        return err_set(err, RC_PROTOCOL, "request of %zd bytes, %zu descriptors", n, came);
    return RC_OK;
}

enum rc door_take(int sock, struct door_request *ret, int ret_fds[DOOR_FDS], struct err *err)
{
    return door_take_as(&spoken, sock, ret, ret_fds, err);
}

enum rc door_take_as(const struct door_range *range, int sock, struct door_request *ret,
                     int ret_fds[DOOR_FDS], struct err *err)
{
    struct door_request request = { 0 };
    int fds[DOOR_FDS] = { -1, -1, -1, -1 };
    const int flags = fcntl(sock, F_GETFL);
    enum rc rc = check_root(sock, "who asks for a launcher", err);

    if (rc != RC_OK)
        return rc;
    /* Whoever accepted it may have made it one that does not block; its user counts on it. */
    if (flags < 0 || fcntl(sock, F_SETFL, flags & ~O_NONBLOCK) != 0)
        return err_sys(err, RC_IO, "descriptor %d", sock);
    rc = wait_at_most(sock, DOOR_WAIT_S, err);
    if (rc == RC_OK)
        rc = receive(range, sock, &request, fds, err);
    if (rc == RC_OK)
        rc = wait_at_most(sock, 0, err);
    if (rc != RC_OK) {
        close_all(fds);
        return rc;
    }
    *ret = request;
    memcpy(ret_fds, fds, sizeof fds);
    return RC_OK;
}

/* The same directory as it lies in this mount namespace: only of such can mounts be made, and
 * berthd may have a namespace of its own.  The name is the kernel's for the descriptor and only a
 * hint: what is there must be the very same.  Else it stays as it is, and each launch says why it
 * fails. */
static void find_here(int *slots)
{
    char proc[32], path[PATH_MAX];
    struct stat given, found;

    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", *slots);
    const ssize_t n = readlink(proc, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    scoped(close_fd) int here = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (here < 0 || fstat(*slots, &given) != 0 || fstat(here, &found) != 0 ||
        given.st_dev != found.st_dev || given.st_ino != found.st_ino) {
        log_event(LOG_LEVEL_WARN, "slots are not to be found in this mount namespace");
        return;
    }
    close_fd(slots);
    *slots = take_fd(&here);
}

/* High first, so that none is overwritten while they are put in place; nothing else goes on. */
static enum rc put_in_place(int fds[DOOR_FDS], struct err *err)
{
    for (size_t i = 0; i < DOOR_SELF; i++) {
        const int high = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH_FD);

        if (high < 0)
            return err_sys(err, RC_IO, "descriptor");
        close_fd(&fds[i]);
        fds[i] = high;
    }
    if (dup2(fds[DOOR_SLOTS], SLOTS_FD) < 0 || dup2(fds[DOOR_LOCK], LOCK_FD) < 0 ||
        close_range(LOCK_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC) != 0 ||
        fcntl(SOCKET_FD, F_SETFD, 0) != 0)
        return err_sys(err, RC_IO, "descriptors");
    return RC_OK;
}

/* Room for berthd, and the answer, which is the number of what it asked.  Its end is let go of:
 * else its closing would never be seen. */
static enum rc answer(int sock, uint32_t magic, int *self, struct err *err)
{
    enum rc rc = wire_make_room(*self, err);

    close_fd(self);
    if (rc == RC_OK && send(sock, &magic, sizeof magic, MSG_NOSIGNAL) != (ssize_t)sizeof magic)
        return err_sys(err, RC_IO, "answer");
    return rc;
}

enum rc door_open(struct err *err)
{
    static struct door_request request;
    int fds[DOOR_FDS] = { -1, -1, -1, -1 };
    char *argv[DOOR_ARGS_MAX + 1];
    char *env[FEW_MAX + 1];
    char *at = request.text;
    enum rc rc = door_take(SOCKET_FD, &request, fds, err);

    if (rc == RC_OK)
        rc = answer(SOCKET_FD, request.magic, &fds[DOOR_SELF], err);
    if (rc == RC_OK) {
        find_here(&fds[DOOR_SLOTS]);
        rc = put_in_place(fds, err);
    }
    if (rc == RC_OK) {
        for (uint32_t i = 0; i < request.n_args; i++, at += strlen(at) + 1)
            argv[i] = at;
        argv[request.n_args] = NULL;
        few_variables(env);
        (void)execveat(fds[DOOR_PROGRAM], "", argv, env, AT_EMPTY_PATH);
        rc = err_sys(err, RC_IO, "start %s", argv[0]);
    }
    close_all(fds);
    return rc;
}
