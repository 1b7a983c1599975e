/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/etcd: how many values a second an etcd of its own takes durably, of the size of a
 * report, over its JSON gateway on loopback, with many requests under way at once: it puts those
 * that wait into one transaction, as berth-ground does with the reports of a round.
 */
#ifndef BERTH_TESTS_BENCH_ETCD_H
#define BERTH_TESTS_BENCH_ETCD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <sys/socket.h>

#include "base/fs.h"
#include "tests/bench/bench.h"

#define ETCD_AT_ONCE 256U
#define ETCD_PUTS 8192U
#define ETCD_VALUE_MAX 4096U
#define ETCD_WAIT_S 30.0

struct etcd_call {
    int fd;
    char text[2 * ETCD_VALUE_MAX];
    size_t n, sent, got;
    char answer[4096];
};

/* A port that nobody has now. */
static inline uint16_t etcd_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(fd >= 0 && bind(fd, (struct sockaddr *)&at, size) == 0 &&
             getsockname(fd, (struct sockaddr *)&at, &size) == 0,
         "port");
    (void)close(fd);
    return ntohs(at.sin_port);
}

static inline int etcd_connect(uint16_t port)
{
    const struct sockaddr_in at = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr = { htonl(INADDR_LOOPBACK) } };
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (const struct sockaddr *)&at, sizeof at) != 0) {
        (void)close(fd);
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static inline pid_t etcd_start(const char *dir, uint16_t port)
{
    char client[64], peer[64], cluster[80];
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    (void)snprintf(client, sizeof client, "http://127.0.0.1:%u", port);
    (void)snprintf(peer, sizeof peer, "http://127.0.0.1:%u", etcd_port());
    (void)snprintf(cluster, sizeof cluster, "default=%s", peer);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    (void)dup2(null, STDOUT_FILENO);
    (void)dup2(null, STDERR_FILENO);
    (void)execlp("etcd", "etcd", "--data-dir", dir, "--listen-client-urls", client,
                 "--advertise-client-urls", client, "--listen-peer-urls", peer,
                 "--initial-advertise-peer-urls", peer, "--initial-cluster", cluster, (char *)NULL);
    _exit(127);
}

/* The next value of a satellite, as a request. */
static inline void etcd_ask(struct etcd_call *c, uint32_t number, const uint8_t *value, size_t n)
{
    char key[64], key64[96], value64[2 * ETCD_VALUE_MAX - 512], body[2 * ETCD_VALUE_MAX - 256];

    (void)snprintf(key, sizeof key, "report/sat-%07u", number);
    (void)sodium_bin2base64(key64, sizeof key64, (const unsigned char *)key, strlen(key),
                            sodium_base64_VARIANT_ORIGINAL);
    (void)sodium_bin2base64(value64, sizeof value64, value, n, sodium_base64_VARIANT_ORIGINAL);
    int size = snprintf(body, sizeof body, "{\"key\":\"%s\",\"value\":\"%s\"}", key64, value64);
    must(size > 0 && (size_t)size < sizeof body, "request");
    size = snprintf(c->text, sizeof c->text,
                    "POST /v3/kv/put HTTP/1.1\r\nHost: etcd\r\nContent-Length: %d\r\n\r\n%s", size,
                    body);
    must(size > 0 && (size_t)size < sizeof c->text, "request");
    c->n = (size_t)size;
    c->sent = c->got = 0;
}

/* True: the answer is there, and says that it is kept. */
static inline bool etcd_answered(struct etcd_call *c)
{
    c->answer[c->got] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n");
    const char *length = strcasestr(c->answer, "\r\nContent-Length: ");

    if (end == NULL || length == NULL || length > end)
        return false;
    const size_t whole = (size_t)(end - c->answer) + 4 + strtoul(length + 18, NULL, 10);
    must(strncmp(c->answer, "HTTP/1.1 200", 12) == 0, "etcd refuses");
    must(whole < sizeof c->answer, "answer of etcd");
    return c->got == whole;
}

static inline bool etcd_turn(struct etcd_call *c, short events)
{
    if (c->sent < c->n) {
        ssize_t n = send(c->fd, c->text + c->sent, c->n - c->sent, MSG_NOSIGNAL);

        must(n > 0, "send to etcd");
        c->sent += (size_t)n;
        return false;
    }
    if ((events & (POLLIN | POLLHUP)) == 0)
        return false;
    ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - 1 - c->got, 0);
    must(n > 0, "etcd has hung up");
    c->got += (size_t)n;
    return etcd_answered(c);
}

/* Values a second, of puts that many satellites (n) send in turns. */
static inline double etcd_puts(uint16_t port, uint32_t n, const uint8_t *value, size_t size)
{
    static struct etcd_call call[ETCD_AT_ONCE];
    static struct pollfd fds[ETCD_AT_ONCE];
    uint32_t asked = 0, done = 0;

    for (; asked < ETCD_AT_ONCE; asked++) {
        call[asked].fd = fds[asked].fd = etcd_connect(port);
        must(call[asked].fd >= 0, "etcd");
        etcd_ask(&call[asked], asked % n, value, size);
    }
    const double began = bench_s(CLOCK_MONOTONIC);
    while (done < ETCD_PUTS) {
        for (size_t i = 0; i < ETCD_AT_ONCE; i++)
            fds[i].events = call[i].sent < call[i].n ? POLLOUT : POLLIN;
        must(poll(fds, ETCD_AT_ONCE, (int)(ETCD_WAIT_S * 1000)) > 0, "etcd does not answer");
        for (size_t i = 0; i < ETCD_AT_ONCE; i++) {
            if (fds[i].revents == 0 || !etcd_turn(&call[i], fds[i].revents))
                continue;
            done++;
            etcd_ask(&call[i], asked++ % n, value, size);
        }
    }
    const double seconds = bench_s(CLOCK_MONOTONIC) - began;
    for (size_t i = 0; i < ETCD_AT_ONCE; i++)
        (void)close(call[i].fd);
    return done / seconds;
}

/* 0 = there is no etcd here. */
static inline double etcd_rate(const char *beside, uint32_t n, const uint8_t *value, size_t size)
{
    char dir[600];
    const uint16_t port = etcd_port();
    const double until = bench_s(CLOCK_MONOTONIC) + ETCD_WAIT_S;
    int status = 0;
    int fd = -1;
    double best = 0;
    struct err err = { 0 };

    (void)snprintf(dir, sizeof dir, "%s.etcd", beside);
    const pid_t pid = etcd_start(dir, port);
    must(pid > 0, "fork");
    while (fd < 0 && bench_s(CLOCK_MONOTONIC) < until) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return 0;
        (void)poll(NULL, 0, 50);
        fd = etcd_connect(port);
    }
    must(fd >= 0, "etcd does not listen");
    (void)close(fd);
    for (uint32_t i = 0; i < 3; i++) {
        const double rate = etcd_puts(port, n, value, size);

        best = rate > best ? rate : best;
    }
    must(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid, "etcd");
    must_rc(fs_remove_tree(AT_FDCWD, dir, &err), &err);
    return best;
}

#endif
