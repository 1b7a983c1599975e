/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/guest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/fs.h"

#define ABOVE 10 /* the child uses what is below */
#define AGAIN_MS 100
#define LAST_TURNS 1024U /* more than a socket holds */
#define EXIT_WORD "EXIT_STATUS="

enum { PORT_NOTIFY = 0, PORT_BUS = 1 }; /* descriptors of the relay */

int guest_ports_make(struct guest_ports *ret)
{
    for (int i = 0; i < GUEST_PORTS; i++) {
        int low[2];

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, low) != 0)
            return -1;
        ret->ours[i] = fcntl(low[0], F_DUPFD_CLOEXEC, ABOVE);
        ret->tenders[i] = fcntl(low[1], F_DUPFD_CLOEXEC, ABOVE);
        if (ret->ours[i] < 0 || ret->tenders[i] < 0 || close(low[0]) != 0 || close(low[1]) != 0)
            return -1;
    }
    return 0;
}

int guest_ports_give(const struct guest_ports *ports)
{
    for (int i = 0; i < GUEST_PORTS; i++) {
        if (dup2(ports->tenders[i], GUEST_PORT_FD + i) < 0)
            return -1;
    }
    return 0;
}

/* ---- the relay ------------------------------------------------------------------------------- */

/* Bytes on their way. */
struct bytes_held {
    size_t n;
    bool begun; /* some that were read with them have gone */
    uint8_t b[4096];
};

struct relay {
    const char *bus_path;
    int notify; /* connected; -1 = not there */
    int bus;    /* -1 = no connection */
    bool ended;
    bool again; /* a connection could not be made now */
    int status;
    bool too_long; /* the line that comes is passed over */
    bool full;     /* a line waits */
    size_t n_line;
    char line[GUEST_LINE_MAX];
    struct bytes_held to_bus, to_guest;
};

static int connect_to(const char *path, int type)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    scoped(close_fd) int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const size_t n = strlen(path);

    if (fd < 0 || n >= sizeof to.sun_path)
        return -1;
    memcpy(to.sun_path, path, n);
    return connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 ? take_fd(&fd) : -1;
}

/* "EXIT_STATUS=N": what it says of its end.  What is no number is passed over. */
static bool take_status(struct relay *r)
{
    const size_t word = sizeof EXIT_WORD - 1;
    int value = 0;

    if (r->n_line < word || memcmp(r->line, EXIT_WORD, word) != 0)
        return false;
    for (size_t i = word; i < r->n_line; i++) {
        if (r->line[i] < '0' || r->line[i] > '9' || value > UINT8_MAX)
            return true;
        value = value * 10 + (r->line[i] - '0');
    }
    if (r->n_line > word && value <= UINT8_MAX)
        r->status = value;
    return true;
}

/* Hand the line on; one that cannot go now waits, and what comes behind it with it. */
static void send_line(struct relay *r)
{
    if (!take_status(r) && r->notify >= 0 &&
        send(r->notify, r->line, r->n_line, MSG_NOSIGNAL) < 0 && errno == EAGAIN) {
        r->full = true;
        return;
    }
    r->full = false;
    r->n_line = 0;
}

/* One byte at a time: lines are short and few. */
static void hear_notify(struct relay *r)
{
    for (unsigned int i = 0; i < GUEST_LINE_MAX && !r->full; i++) {
        char c;
        ssize_t n = recv(PORT_NOTIFY, &c, 1, MSG_DONTWAIT);

        if (n == 0)
            r->ended = true;
        if (n <= 0)
            return;
        if (c != '\n') {
            r->too_long = r->too_long || r->n_line == sizeof r->line;
            if (!r->too_long)
                r->line[r->n_line++] = c;
            continue;
        }
        if (r->too_long || r->n_line == 0) {
            r->too_long = false;
            r->n_line = 0;
            continue;
        }
        send_line(r);
    }
}

/* False at its end. */
static bool fill(int fd, struct bytes_held *held)
{
    ssize_t n = recv(fd, held->b, sizeof held->b, MSG_DONTWAIT);

    if (n > 0) {
        held->n = (size_t)n;
        held->begun = false;
    }
    return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

/* False when nobody is there. */
static bool empty(int fd, struct bytes_held *held)
{
    ssize_t n = send(fd, held->b, held->n, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    held->n -= (size_t)n;
    held->begun = true;
    memmove(held->b, held->b + n, held->n);
    return true;
}

/* The rest of what has begun is nobody's; what has not goes to the next one. */
static void hang_up(struct relay *r)
{
    close_fd(&r->bus);
    if (r->to_bus.begun)
        r->to_bus.n = 0;
}

static void call_bus(struct relay *r)
{
    r->bus = connect_to(r->bus_path, SOCK_STREAM);
    r->again = r->bus < 0;
}

/* Which way bytes can go now: each buffer is filled only when it is empty. */
static void wait_for(const struct relay *r, struct pollfd p[3])
{
    const bool guest_speaks = r->to_bus.n == 0;

    p[0] = (struct pollfd){ .fd = r->full ? r->notify : PORT_NOTIFY,
                            .events = r->full ? POLLOUT : POLLIN };
    p[1] = (struct pollfd){ .fd = PORT_BUS,
                            .events = (short)((guest_speaks ? POLLIN : 0) |
                                              (r->to_guest.n > 0 ? POLLOUT : 0)) };
    /* One that hangs up while the guest does not read is asked nothing: it would answer at once. */
    p[2] = (struct pollfd){ .fd = r->to_guest.n > 0 && r->to_bus.n == 0 ? -1 : r->bus,
                            .events = (short)((r->to_guest.n == 0 ? POLLIN : 0) |
                                              (r->to_bus.n > 0 ? POLLOUT : 0)) };
    (void)poll(p, 3, r->again ? AGAIN_MS : -1);
}

static void turn(struct relay *r)
{
    struct pollfd p[3];

    wait_for(r, p);
    if (r->full && p[0].revents != 0)
        send_line(r);
    else if (p[0].revents != 0)
        hear_notify(r);
    if ((p[1].revents & POLLOUT) != 0 && !empty(PORT_BUS, &r->to_guest))
        r->ended = true;
    if ((p[1].revents & POLLIN) != 0 && r->to_bus.n == 0 && !fill(PORT_BUS, &r->to_bus))
        r->ended = true;
    if ((p[1].revents & POLLHUP) != 0)
        r->ended = true; /* what it still wanted of the bus nobody would read */
    /* Whether it has hung up comes first: then nothing is sent to it. */
    if ((p[2].revents & (POLLIN | POLLHUP)) != 0 && r->to_guest.n == 0 &&
        !fill(r->bus, &r->to_guest))
        hang_up(r);
    if (r->to_bus.n > 0 && r->bus < 0)
        call_bus(r);
    if (r->to_bus.n > 0 && r->bus >= 0 && !empty(r->bus, &r->to_bus))
        hang_up(r);
}

/* Whatever lies in the port still; a line that cannot go on now is lost. */
static void last_words(struct relay *r)
{
    r->ended = false;
    for (unsigned int i = 0; i < LAST_TURNS && !r->ended; i++) {
        r->n_line = r->full ? 0 : r->n_line;
        r->full = false;
        hear_notify(r);
    }
}

_Noreturn void guest_relay(const char *notify_path, const char *bus_path)
{
    struct relay r = { .bus_path = bus_path, .bus = -1, .status = GUEST_SAID_NOTHING };

    r.notify = connect_to(notify_path, SOCK_DGRAM);
    while (!r.ended)
        turn(&r);
    last_words(&r);
    _exit(r.status);
}
