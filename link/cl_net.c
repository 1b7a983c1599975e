/* SPDX-License-Identifier: Apache-2.0 */
#include "link/cl_net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOST_CAP 256U
#define BACKLOG 16

/* Cut "HOST:PORT" or "[HOST]:PORT" in two; *ret_port is empty where there is none. */
static bool cut(const char *text, char host[HOST_CAP], char port[8])
{
    bool bracket = text[0] == '[';
    const char *start = bracket ? text + 1 : text;
    const char *stop = bracket ? strchr(start, ']') : strrchr(start, ':');
    const char *tail;

    if (bracket && !stop)
        return false;
    if (!bracket && (!stop || strchr(start, ':') != stop))
        stop = start + strlen(start); /* no port, or a bare IPv6 address */
    tail = bracket ? stop + 1 : stop;
    if (stop == start || (size_t)(stop - start) >= HOST_CAP || (*tail != '\0' && *tail != ':'))
        return false;
    memcpy(host, start, (size_t)(stop - start));
    host[stop - start] = '\0';
    tail += *tail == ':' ? 1 : 0;
    return snprintf(port, 8, "%s", tail) < 8;
}

static bool is_port(const char *text)
{
    char *end = NULL;
    unsigned long n = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;

    return end && *end == '\0' && n <= 65535;
}

enum rc cl_net_parse(const char *text, bool need_port, struct cl_address *ret, struct err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    char host[HOST_CAP];
    char port[8];

    if (!cut(text, host, port) || (need_port && !is_port(port)))
        return err_set(err, RC_USAGE, "'%s' is not HOST:PORT", text);

    int got = getaddrinfo(host, need_port ? port : NULL, &hints, &found);

    if (got != 0)
        return err_set(err, RC_USAGE, "%s: %s", host, gai_strerror(got));
    *ret = (struct cl_address){ .n = 0 };
    if (found->ai_addrlen <= sizeof ret->v6) {
        memcpy(&ret->any, found->ai_addr, found->ai_addrlen);
        ret->n = found->ai_addrlen;
    }
    freeaddrinfo(found);
    return ret->n > 0 ? RC_OK : err_set(err, RC_USAGE, "%s: address of another kind", host);
}

/* A socket that whoever started us has opened. */
static enum rc inherited(const char *text, int type, int *ret_fd, struct err *err)
{
    char *end = NULL;
    unsigned long n = text[3] >= '0' && text[3] <= '9' ? strtoul(text + 3, &end, 10) : 0;
    int is = 0;
    socklen_t size = sizeof is;

    if (!end || *end != '\0' || n < 3 || n > 1023)
        return err_set(err, RC_USAGE, "'%s' is not fd:N", text);
    if (getsockopt((int)n, SOL_SOCKET, SO_TYPE, &is, &size) < 0 || is != type)
        return err_set(err, RC_USAGE, "descriptor %lu is no socket of the right type", n);
    if (fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0 || fcntl((int)n, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(err, RC_IO, "descriptor %lu", n);
    *ret_fd = (int)n;
    return RC_OK;
}

enum rc cl_net_bind(const char *text, int type, int *ret_fd, struct err *err)
{
    scoped(close_fd) int fd = -1;
    const int on = 1;
    struct cl_address at;

    if (strncmp(text, "fd:", 3) == 0)
        return inherited(text, type, ret_fd, err);

    enum rc rc = cl_net_parse(text, true, &at, err);

    if (rc != RC_OK)
        return rc;
    fd = socket(at.any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, &at.any, at.n) < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return err_sys(err, RC_IO, "%s", text);
    *ret_fd = take_fd(&fd);
    return RC_OK;
}

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

/* The address as IPv6 would write it. */
static bool as_v6(const struct cl_address *a, uint8_t out[16])
{
    if (a->any.sa_family == AF_INET6) {
        memcpy(out, &a->v6.sin6_addr, 16);
        return true;
    }
    if (a->any.sa_family != AF_INET)
        return false;
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + 12, &a->v4.sin_addr, 4);
    return true;
}

bool cl_net_same_host(const struct cl_address *a, const struct cl_address *b)
{
    uint8_t x[16];
    uint8_t y[16];

    return as_v6(a, x) && as_v6(b, y) && memcmp(x, y, sizeof x) == 0;
}

bool cl_net_same_source(const struct cl_address *a, const struct cl_address *b)
{
    uint8_t x[16];
    uint8_t y[16];

    if (!as_v6(a, x) || !as_v6(b, y))
        return false;
    return memcmp(x, y, memcmp(x, mapped, sizeof mapped) == 0 ? sizeof x : sizeof x / 2) == 0;
}

const char *cl_net_text(const struct cl_address *a, char out[CL_NET_TEXT_CAP])
{
    char host[INET6_ADDRSTRLEN] = "?";
    bool six = a->any.sa_family == AF_INET6;
    const void *raw = six ? (const void *)&a->v6.sin6_addr : (const void *)&a->v4.sin_addr;

    (void)inet_ntop(a->any.sa_family, raw, host, sizeof host);
    (void)snprintf(out, CL_NET_TEXT_CAP, six ? "[%s]:%u" : "%s:%u", host,
                   ntohs(six ? a->v6.sin6_port : a->v4.sin_port));
    return out;
}

void cl_net_own(int fd, struct cl_address *ret)
{
    *ret = (struct cl_address){ .n = sizeof ret->v6 };
    if (getsockname(fd, &ret->any, &ret->n) < 0)
        *ret = (struct cl_address){ .n = 0 };
}
