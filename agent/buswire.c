/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/buswire.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/name.h"
#include "link/telemetry.h"

static_assert(BUS_BODY_MAX == MAIL_COMMAND_MAX, "any command fits");
static_assert(BUS_VALUE_MAX == TELEMETRY_VALUE_MAX, "any value fits");
static_assert(BUS_RESULT_MAX == 11 + MAIL_TEXT_MAX, "any result fits");
static_assert(sizeof(struct bus_ask) == 4 + 4 + 8 + NAME_CAP + 7 + BUS_BODY_MAX, "no padding");
static_assert(sizeof(struct bus_self) == 4 * NAME_CAP + DIGEST_SIZE + 4 + 8, "no padding");
static_assert(sizeof(struct bus_post) == 8 + NAME_CAP + 3 + 4 + BUS_BODY_MAX, "no padding");

/* What a question of each kind has. */
struct shape {
    bool name, id;
    uint32_t body_max;
};

static const struct shape shapes[] = {
    [BUS_SELF] = { false, false, 0 },
    [BUS_TIME] = { false, false, 0 },
    [BUS_SKY] = { false, false, 0 },
    [BUS_QUOTA] = { false, false, 0 },
    [BUS_PUT] = { true, false, BUS_VALUE_MAX },
    [BUS_SEND] = { true, false, BUS_BODY_MAX },
    [BUS_MESSAGE] = { false, false, 0 },
    [BUS_MESSAGE_DONE] = { false, true, 0 },
    [BUS_COMMAND] = { false, false, 0 },
    [BUS_COMMAND_DONE] = { false, true, BUS_RESULT_MAX },
    [BUS_ABUSE] = { false, true, 0 },
};

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* A name, or nothing, and zeroes behind it. */
static bool name_clean(const char name[NAME_CAP], bool wanted)
{
    size_t n = strnlen(name, NAME_CAP);

    if (n == NAME_CAP || !is_zero((const uint8_t *)name + n, NAME_CAP - n))
        return false;
    return wanted ? name_valid(name) : n == 0;
}

enum rc bus_result_read(struct bytes in, struct bus_result *ret, struct err *err)
{
    struct bus_result result = { .code = 0 };
    uint64_t code = 0;
    size_t n = 0;

    while (n < in.n && n < 10 && in.p[n] >= '0' && in.p[n] <= '9')
        code = code * 10 + (uint64_t)(in.p[n++] - '0');
    const size_t at = n < in.n ? n + 1 : n;

    if (in.n > 0 &&
        (n == 0 || code > UINT32_MAX || (n > 1 && in.p[0] == '0') || (n < in.n && in.p[n] != ' ') ||
         !mail_text_ok((const char *)in.p + at, in.n - at)))
        return err_set(err, RC_BUS_REQUEST, "result: CODE or CODE TEXT, printable, %u at most",
                       MAIL_TEXT_MAX);
    result.code = (uint32_t)code;
    if (in.n > at)
        memcpy(result.text, in.p + at, in.n - at);
    *ret = result;
    return RC_OK;
}

enum rc bus_ask_check(const struct bus_ask *ask, struct err *err)
{
    if (ask->op < BUS_SELF || ask->op > BUS_ABUSE)
        return err_set(err, RC_PROTOCOL, "bus: question %u", ask->op);

    struct bus_result result;
    const struct shape *s = &shapes[ask->op];
    if (ask->n > s->body_max || !is_zero(ask->body + ask->n, sizeof ask->body - ask->n) ||
        !is_zero(ask->reserved, sizeof ask->reserved) || (ask->id != 0) != s->id ||
        !name_clean(ask->name, s->name) ||
        (ask->op == BUS_COMMAND_DONE &&
         bus_result_read((struct bytes){ ask->body, ask->n }, &result, err) != RC_OK))
        return err_set(err, RC_PROTOCOL, "bus: shape of question %u", ask->op);
    return RC_OK;
}

static bool text_ends(const char *text, size_t cap)
{
    return memchr(text, '\0', cap) != NULL;
}

static bool self_valid(const struct bus_self *s)
{
    return name_valid(s->tenant) && name_valid(s->payload) && name_valid(s->satellite) &&
           version_valid(s->version);
}

static bool sky_valid(const struct bus_sky *s)
{
    if (s->n > BUS_PASSES_MAX || s->safe > 1 || s->eclipse > 1 ||
        !name_clean(s->station, s->station[0] != '\0'))
        return false;
    for (uint32_t i = 0; i < s->n; i++)
        if (!text_ends(s->pass[i].station, NAME_CAP) || !name_valid(s->pass[i].station))
            return false;
    return true;
}

static bool post_valid(const struct bus_post *p)
{
    return p->n <= BUS_BODY_MAX && name_clean(p->from, p->id != 0) && (p->id != 0 || p->n == 0);
}

enum rc bus_answer_check(const struct bus_answer *a, struct err *err)
{
    bool good = text_ends(a->what, sizeof a->what);

    if (good && a->rc == RC_OK && a->op == BUS_SELF)
        good = text_ends(a->self.tenant, NAME_CAP) && text_ends(a->self.payload, NAME_CAP) &&
               text_ends(a->self.satellite, NAME_CAP) && text_ends(a->self.version, VERSION_CAP) &&
               self_valid(&a->self);
    else if (good && a->rc == RC_OK && a->op == BUS_SKY)
        good = sky_valid(&a->sky);
    else if (good && a->rc == RC_OK && (a->op == BUS_MESSAGE || a->op == BUS_COMMAND))
        good = post_valid(&a->post);
    return good && a->op >= BUS_SELF && a->op <= BUS_WAKE
               ? RC_OK
               : err_set(err, RC_PROTOCOL, "bus: answer %u", a->op);
}

enum rc bus_send(int sock, const void *packet, size_t n, struct err *err)
{
    ssize_t sent;

    do
        sent = send(sock, packet, n, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)n)
        return RC_OK;
    if (errno == EPIPE || errno == ECONNRESET)
        return err_set(err, RC_SHORT, "bus");
    return err_sys(err, errno == EAGAIN ? RC_NO_ROOM : RC_IO, "bus");
}

enum rc bus_receive(int sock, void *ret, size_t n, struct err *err)
{
    struct iovec iov = { .iov_base = ret, .iov_len = n };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t got;

    do
        got = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got == 0 || (got < 0 && errno == ECONNRESET))
        return err_set(err, RC_SHORT, "bus");
    if (got < 0)
        return err_sys(err, errno == EAGAIN ? RC_TIMEOUT : RC_IO, "bus");
    if ((size_t)got != n || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return err_set(err, RC_PROTOCOL, "bus: packet of %zd bytes", got);
    return RC_OK;
}
