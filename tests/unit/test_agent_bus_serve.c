/* SPDX-License-Identifier: Apache-2.0
 *
 * The real berth-bus with the test's processes as its payload and as berthd: what a hostile client
 * gets, what it costs, and that the next honest one is served.
 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/bus_serve.h"
#include "agent/bus_start.h"
#include "agent/bus_store.h"
#include "agent/http.h"
#include "base/clock.h"

#define WAIT_MS 300000
#define GET(path) "GET " path " HTTP/1.1\r\nHost: bus\r\n\r\n"
#define SELF GET("/v1/identity")

/* What the test's berthd has seen. */
struct seen {
    _Atomic uint32_t asks, abuse;
};

struct rig {
    char dir[64], path[80];
    int listen_fd;
    struct bus_process process;
    pid_t berthd;
    int control; /* a byte: put a message into the queue, and say WAKE */
    struct seen *seen;
};

/* ---- berthd --------------------------------------------------------------------------------- */

static void answer(struct rig *rig, struct bus_queue *queue, const struct bus_ask *ask)
{
    static struct bus_answer a;
    struct err err = { 0 };

    memset(&a, 0, sizeof a);
    a.op = ask->op;
    rig->seen->asks += ask->op != BUS_ABUSE;
    if (ask->op == BUS_SELF)
        a.self = (struct bus_self){
            .tenant = "acme", .payload = "cam", .satellite = "aurora-1", .version = "1.0"
        };
    else if (ask->op == BUS_MESSAGE && queue->n > 0)
        a.post = queue->post[0];
    else if (ask->op == BUS_MESSAGE_DONE)
        a.rc = (uint32_t)bus_queue_done(queue, ask->id, &err);
    else if (ask->op == BUS_ABUSE)
        rig->seen->abuse += (uint32_t)ask->id;
    if (bus_send(rig->process.sock, &a, sizeof a, &err) != RC_OK)
        _exit(1);
}

static _Noreturn void be_berthd(struct rig *rig, int control)
{
    static struct bus_queue queue;
    static const struct bus_answer wake = { .op = BUS_WAKE };
    struct bus_ask ask;
    struct err err = { 0 };

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        struct pollfd p[] = { { .fd = rig->process.sock, .events = POLLIN },
                              { .fd = control, .events = POLLIN } };
        uint8_t byte;

        (void)poll(p, 2, -1);
        if (p[1].revents != 0) {
            if (read(control, &byte, 1) != 1)
                _exit(0);
            if (bus_queue_add(&queue, "nav", bytes_of("hello"), &err) != RC_OK ||
                bus_send(rig->process.sock, &wake, sizeof wake, &err) != RC_OK)
                _exit(2);
        }
        enum rc rc = bus_receive(rig->process.sock, &ask, sizeof ask, &err);
        if (rc == RC_SHORT)
            _exit(0);
        if (rc == RC_OK && bus_ask_check(&ask, &err) != RC_OK)
            _exit(3);
        if (rc == RC_OK)
            answer(rig, &queue, &ask);
    }
}

static void rig_open(struct rig *rig)
{
    const char *build = getenv("BERTH_BUILD");
    struct sockaddr_un where = { .sun_family = AF_UNIX };
    char program[256];
    struct err err = { 0 };
    int pipes[2];

    (void)snprintf(rig->dir, sizeof rig->dir, "/tmp/berth-bus-XXXXXX");
    assert_non_null(mkdtemp(rig->dir));
    (void)snprintf(rig->path, sizeof rig->path, "%s/bus.sock", rig->dir);
    memcpy(where.sun_path, rig->path, strlen(rig->path));
    rig->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(rig->listen_fd, (struct sockaddr *)&where, sizeof where), 0);
    assert_int_equal(listen(rig->listen_fd, 16), 0);
    rig->seen =
        mmap(NULL, sizeof *rig->seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(rig->seen, MAP_FAILED);

    (void)snprintf(program, sizeof program, "%s/berth-bus", build ? build : "build/release");
    scoped(close_fd) int fd = open(program, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_rc(bus_start(fd, rig->listen_fd, &rig->process, &err), RC_OK);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    rig->control = pipes[1];
    rig->berthd = fork();
    assert_true(rig->berthd >= 0);
    if (rig->berthd == 0) {
        (void)close(pipes[1]);
        be_berthd(rig, pipes[0]);
    }
    (void)close(pipes[0]);
    close_fd(&rig->process.sock); /* the other process's alone */
}

static void rig_close(struct rig *rig)
{
    int status = -1;

    close_fd(&rig->control); /* berthd ends, and berth-bus with it, of itself */
    assert_int_equal(waitpid(rig->berthd, &status, 0), rig->berthd);
    assert_int_equal(status, 0);
    if (rig->process.pid > 0) { /* of itself */
        struct pollfd p = { .fd = rig->process.pidfd, .events = POLLIN };

        assert_int_equal(poll(&p, 1, WAIT_MS), 1);
        assert_true(bus_end(&rig->process));
    }
    close_fd(&rig->listen_fd);
    (void)munmap(rig->seen, sizeof *rig->seen);
    assert_int_equal(unlink(rig->path), 0);
    assert_int_equal(rmdir(rig->dir), 0);
}

static struct rig rig;

static int open_rig(void **state)
{
    (void)state;
    rig_open(&rig);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

/* ---- clients -------------------------------------------------------------------------------- */

struct reply {
    size_t n;
    bool ended; /* the connection, too */
    char text[HTTP_RESPONSE_MAX + 1];
};

static int call(const struct rig *r)
{
    const struct timeval patience = { .tv_sec = WAIT_MS / 1000 };
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(to.sun_path, r->path, strlen(r->path));
    assert_int_equal(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(sock, (struct sockaddr *)&to, sizeof to), 0);
    return sock;
}

/* As much as goes: the other side may have ended. */
static size_t put(int sock, const char *text, size_t n)
{
    size_t at = 0;

    while (at < n) {
        ssize_t sent = send(sock, text + at, n - at, MSG_NOSIGNAL);

        if (sent <= 0)
            break;
        at += (size_t)sent;
    }
    return at;
}

static size_t length_in(const char *head)
{
    const char *at = strstr(head, "Content-Length: ");

    return at ? strtoul(at + 16, NULL, 10) : 0;
}

/* One whole response, or the end; what comes behind it is left for the next. */
static struct reply *get(int sock)
{
    static struct reply r;
    size_t want = SIZE_MAX;

    r = (struct reply){ 0 };
    while (r.n < want) {
        ssize_t n = recv(sock, r.text + r.n, 1, 0);

        if (n <= 0) {
            r.ended = true;
            break;
        }
        r.n += (size_t)n;
        r.text[r.n] = '\0';
        if (want == SIZE_MAX && r.n >= 4 && memcmp(r.text + r.n - 4, "\r\n\r\n", 4) == 0)
            want = r.n + length_in(r.text);
        assert_true(r.n < HTTP_RESPONSE_MAX);
    }
    return &r;
}

static bool has_status(const struct reply *r, unsigned status)
{
    char line[32];

    (void)snprintf(line, sizeof line, "HTTP/1.1 %u ", status);
    return strncmp(r->text, line, strlen(line)) == 0;
}

static void assert_served(const struct rig *r)
{
    scoped(close_fd) int sock = call(r);

    assert_int_equal(put(sock, SELF, strlen(SELF)), strlen(SELF));
    const struct reply *reply = get(sock);
    assert_true(has_status(reply, 200));
    assert_non_null(strstr(reply->text, "{\"tenant\":\"acme\",\"payload\":\"cam\""));
}

static bool has_ended(int sock)
{
    char byte;

    return recv(sock, &byte, 1, 0) <= 0;
}

/* ---- cases ---------------------------------------------------------------------------------- */

static void serves(void **state)
{
    static const char three[] = SELF GET("/v1/nothing") SELF;
    static const char last[] = "GET /v1/identity HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    scoped(close_fd) int sock = call(&rig);

    (void)state;
    for (size_t i = 0; i < strlen(SELF); i++) /* byte for byte */
        assert_int_equal(put(sock, &SELF[i], 1), 1);
    assert_true(has_status(get(sock), 200));
    assert_int_equal(put(sock, three, sizeof three - 1), sizeof three - 1);
    assert_true(has_status(get(sock), 200));
    assert_true(has_status(get(sock), 404));
    assert_true(has_status(get(sock), 200));
    assert_int_equal(put(sock, last, sizeof last - 1), sizeof last - 1);
    assert_true(has_status(get(sock), 200));
    assert_true(has_ended(sock));
}

static void waits_for_messages(void **state)
{
    static const char empty[] = GET("/v1/messages") GET("/v1/messages?wait=1");
    static const char longest[] = GET("/v1/messages?wait=60") SELF;
    static const char done[] = "DELETE /v1/messages/1 HTTP/1.1\r\nHost: bus\r\n\r\n";
    scoped(close_fd) int sock = call(&rig);
    uint64_t began = clock_mono_ms();

    (void)state;
    assert_int_equal(put(sock, empty, sizeof empty - 1), sizeof empty - 1);
    assert_true(has_status(get(sock), 204));
    assert_true(has_status(get(sock), 204));
    assert_true(clock_mono_ms() - began >= 1000);
    uint32_t asks = rig.seen->asks;
    assert_int_equal(put(sock, longest, sizeof longest - 1), sizeof longest - 1);
    while (rig.seen->asks == asks) /* it is waiting now */
        (void)poll(NULL, 0, 1);
    scoped(close_fd) int gone = call(&rig); /* another who waits, and does not stay */
    assert_int_equal(put(gone, longest, sizeof longest - 1), sizeof longest - 1);
    while (rig.seen->asks == asks + 1)
        (void)poll(NULL, 0, 1);
    close_fd(&gone);
    assert_int_equal(write(rig.control, "", 1), 1);
    const struct reply *r = get(sock);
    assert_true(has_status(r, 200));
    assert_non_null(strstr(r->text, "Berth-Id: 1\r\nBerth-From: nav\r\n"));
    assert_memory_equal(r->text + r->n - 5, "hello", 5);
    assert_true(has_status(get(sock), 200)); /* what came behind it */
    assert_int_equal(put(sock, done, sizeof done - 1), sizeof done - 1);
    assert_true(has_status(get(sock), 204));
    assert_int_equal(put(sock, done, sizeof done - 1), sizeof done - 1);
    assert_true(has_status(get(sock), 404));
}

/* Requests that two readers could see in two ways: one refusal, and nothing of what is hidden in
 * them comes through. */
static void smuggles_nothing(void **state)
{
    static const struct {
        const char *text;
        unsigned status;
    } rows[] = {
        { "POST /v1/peers/a HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\nContent-Length: "
          "47\r\n\r\n" SELF,
          400 },
        { "POST /v1/peers/a HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
          "\r\n\r\n0\r\n\r\n" SELF,
          400 },
        { "POST /v1/peers/a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: xchunked\r\n\r\n" SELF, 400 },
        { "GET /v1/time HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\nabcd" SELF, 400 },
        { "GET /v1/time HTTP/1.1\nHost: b\n\n" SELF, 400 },
        { "GET /v1/time HTTP/1.1\r\nHost: b\r\nX: a\r\n b\r\n\r\n" SELF, 400 },
        { "BREW /v1/time HTTP/1.1\r\nHost: b\r\n\r\n" SELF, 405 },
        { "POST /v1/peers/a HTTP/1.1\r\nHost: b\r\nContent-Length: 4000000\r\n\r\n" SELF, 413 },
    };
    static const char nul[] = "GET /v1/time\0 HTTP/1.1\r\nHost: b\r\n\r\n" SELF;

    (void)state;
    uint32_t asks = rig.seen->asks;
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        bool last = i == sizeof rows / sizeof *rows;
        scoped(close_fd) int sock = call(&rig);

        (void)put(sock, last ? nul : rows[i].text, last ? sizeof nul - 1 : strlen(rows[i].text));
        const struct reply *r = get(sock);
        if (!has_status(r, last ? 400 : rows[i].status))
            fail_msg("row %zu: %.40s", i, r->text);
        assert_non_null(strstr(r->text, "Connection: close\r\n"));
        assert_true(has_ended(sock));
    }
    assert_int_equal(rig.seen->asks, asks); /* nobody was asked anything */
    assert_served(&rig);
}

static size_t descriptors_of(pid_t pid)
{
    char path[64];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n - 2;
}

/* 253 descriptors with a request, which is as many as the kernel passes at once. */
static void takes_no_descriptors(void **state)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(253 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)SELF, .iov_len = strlen(SELF) };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

    (void)state;
    assert_served(&rig);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(253 * sizeof(int));
    for (size_t i = 0; i < 253; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &rig.listen_fd, sizeof(int));
    for (int i = 0; i < 8; i++) {
        scoped(close_fd) int sock = call(&rig);

        assert_int_equal(sendmsg(sock, &msg, MSG_NOSIGNAL), strlen(SELF));
        assert_true(has_status(get(sock), 400));
        assert_true(has_ended(sock));
    }
    scoped(close_fd) int sock = call(&rig);
    (void)put(sock, SELF, strlen(SELF));
    assert_true(has_status(get(sock), 200));
    assert_int_equal(descriptors_of(rig.process.pid), 3 + 2 + 1); /* this one's */
}

static uint64_t cpu_ms(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    const char *at = strrchr(text, ')');
    assert_non_null(at);
    assert_int_equal(
        sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    return (user + system) * 1000 / (unsigned long)sysconf(_SC_CLK_TCK);
}

/* 100,000 requests, a thousand at a time: some are answered, the rest is cut off; berthd is asked
 * as often as it may be and no more, and the whole costs little of the processor. */
static void survives_a_flood(void **state)
{
    static char many[1000 * (sizeof SELF - 1)];
    uint64_t began = clock_mono_ms();
    uint64_t cpu = cpu_ms(rig.process.pid);
    size_t refused = 0;

    (void)state;
    for (size_t i = 0; i < 1000; i++)
        memcpy(many + i * (sizeof SELF - 1), SELF, sizeof SELF - 1);
    for (int i = 0; i < 100; i++) {
        scoped(close_fd) int sock = call(&rig);
        struct reply *r = NULL;

        (void)put(sock, many, sizeof many);
        do {
            r = get(sock);
            refused += has_status(r, 429);
            assert_true(r->ended || has_status(r, 200) || has_status(r, 429));
        } while (!r->ended);
    }
    uint64_t took = clock_mono_ms() - began;
    cpu = cpu_ms(rig.process.pid) - cpu;
    assert_true(refused >= 90);
    assert_true(rig.seen->asks <= BUS_REQUESTS_BURST + BUS_REQUESTS_S * (took / 1000 + 2));
    print_message("flood: %llu ms, of which berth-bus worked %llu\n", (unsigned long long)took,
                  (unsigned long long)cpu);
    assert_true(cpu <= 200 + took / 2);
    /* Then as many as it does in a second, without being cut off. */
    while (clock_mono_ms() - began < took + 1200)
        (void)poll(NULL, 0, 20);
    assert_served(&rig);
}

/* Bytes one by one, as fast as they go: turns are what it may have, whatever it sends in them. */
static void slows_a_trickle(void **state)
{
    uint64_t until = clock_mono_ms() + 1500;
    uint64_t cpu = cpu_ms(rig.process.pid);
    size_t sent = 0;

    (void)state;
    while (clock_mono_ms() < until) {
        scoped(close_fd) int sock = call(&rig);

        for (size_t i = 0; i < strlen(SELF) - 1 && clock_mono_ms() < until; i++)
            sent += put(sock, &SELF[i], 1);
    }
    cpu = cpu_ms(rig.process.pid) - cpu;
    print_message("trickle: %zu bytes, berth-bus worked %llu ms\n", sent, (unsigned long long)cpu);
    assert_true(cpu <= 700);
    assert_served(&rig);
}

static void bounds_heads(void **state)
{
    static char giant[1 << 20];
    scoped(close_fd) int sock = call(&rig);

    (void)state;
    memset(giant, 'x', sizeof giant);
    memcpy(giant, "GET / HTTP/1.1\r\nX: ", 19);
    assert_true(put(sock, giant, sizeof giant) < sizeof giant);
    assert_true(has_status(get(sock), 413));
    assert_true(has_ended(sock));
    assert_served(&rig);
}

/* As many connections as there are, and nobody says anything: the next one waits its time, and the
 * 25th is not even let wait. */
static void survives_connections(void **state)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int socks[64];
    size_t n = 0;

    (void)state;
    memcpy(to.sun_path, rig.path, strlen(rig.path));
    for (; n < 64; n++) {
        socks[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (connect(socks[n], (struct sockaddr *)&to, sizeof to) != 0)
            break;
    }
    assert_in_range(n, 16, 16 + 1 + BUS_CONNECTIONS_MAX);
    for (size_t i = 0; i <= n && i < 64; i++)
        close_fd(&socks[i]);
    assert_served(&rig);
}

/* Half a request on every connection, and an answer that nobody reads; an honest client behind them
 * is served when their time is over.  Meanwhile the bus that nobody calls has ended. */
static void outlasts_slow_ones(void **state)
{
    static struct rig lonely;
    static char many[100 * (sizeof GET("/v1/quota") - 1)];
    int socks[BUS_CONNECTIONS_MAX];

    (void)state;
    rig_open(&lonely);
    for (size_t i = 0; i < 100; i++)
        memcpy(many + i * (sizeof GET("/v1/quota") - 1), GET("/v1/quota"),
               sizeof GET("/v1/quota") - 1);
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++) {
        socks[i] = call(&rig);
        (void)put(socks[i], "GET /v1/identity HT", i > 0 ? 19 : 0);
    }
    const int small = 1;
    assert_int_equal(setsockopt(socks[0], SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    (void)put(socks[0], many, sizeof many);
    assert_served(&rig); /* waits for as long as a request may take */
    for (size_t i = 1; i < BUS_CONNECTIONS_MAX; i++) {
        assert_true(has_status(get(socks[i]), 408));
        assert_true(has_ended(socks[i]));
    }
    for (size_t i = 0; i < BUS_CONNECTIONS_MAX; i++)
        close_fd(&socks[i]);

    struct pollfd p = { .fd = lonely.process.pidfd, .events = POLLIN };
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_true(bus_end(&lonely.process));
    rig_close(&lonely);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (rig.seen->abuse < BUS_CONNECTIONS_MAX - 1) { /* told by and by */
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 50);
        assert_served(&rig);
    }
}

static uint64_t status_of(pid_t pid, const char *key)
{
    char path[64], text[4096] = "";

    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    const char *at = strstr(text, key);
    assert_non_null(at);
    return strtoull(at + strlen(key), NULL, 16);
}

/* One that was taken over and lives on without its socket: nobody waits for it. */
static void is_ended_alive(void **state)
{
    (void)state;
    assert_served(&rig);
    assert_int_equal(kill(rig.process.pid, SIGSTOP), 0);
    assert_false(bus_end(&rig.process));
    assert_false(bus_end(&rig.process)); /* and once is enough */
}

static void has_given_up_everything(void **state)
{
    (void)state;
    assert_served(&rig);
    assert_int_equal(status_of(rig.process.pid, "\nNoNewPrivs:\t"), 1);
    assert_int_equal(status_of(rig.process.pid, "\nSeccomp:\t"), 2);
    const uint64_t until = clock_mono_ms() + WAIT_MS;
    while (descriptors_of(rig.process.pid) != 3 + 2) { /* the call that has ended goes, too */
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(waits_for_messages, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(smuggles_nothing, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(takes_no_descriptors, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(survives_a_flood, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(slows_a_trickle, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(bounds_heads, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(survives_connections, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(outlasts_slow_ones, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(is_ended_alive, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(has_given_up_everything, open_rig, close_rig),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
