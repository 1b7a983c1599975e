/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: speaks to its bus by plain socket calls.
 *   echo            send "hello", print the answer
 *   talk-PEER       ask for everything once and print it, write to PEER if that may be, read what
 *                   others write; then ask for the time five times a second, and print how it went
 *   obey            count to 70 in telemetry, then answer each command with "7 NAME: BODY", one
 *                   that is called "time" when it has printed what time it is
 *   hostile         everything that a bus must survive, for ever
 * The last three are payloads of an agent: READY=1 first, then WATCHDOG=1.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define SELF "GET /v1/identity HTTP/1.1\r\nHost: bus\r\n\r\n"

static void tell(const char *text)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s", path ? path : "");
    if (sendto(sock, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) < 0)
        exit(5);
    close(sock);
}

/* -1: nobody takes the call. */
static int call_bus(int flags)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    const char *path = getenv("BERTH_BUS");
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s", path ? path : "/run/berth/bus.sock");
    if (sock >= 0 && connect(sock, (struct sockaddr *)&to, sizeof to) == 0)
        return sock;
    close(sock);
    return -1;
}

static int echo(void)
{
    char answer[64] = "";
    int sock = call_bus(0);

    if (sock < 0 || send(sock, "hello", 5, MSG_NOSIGNAL) != 5)
        return 5;
    ssize_t n = read(sock, answer, sizeof answer - 1);
    printf("answer %s\n", n > 0 ? answer : "none");
    return 0;
}

/* ---- an honest client ----------------------------------------------------------------------- */

static char answer[16384];

/* One request on a connection of its own; its status, 0 = none came.  The answer has its head. */
static int request(const char *method, const char *target, const char *body)
{
    char text[4096];
    size_t n = 0;
    ssize_t got;
    int sock = call_bus(0);
    int len = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: bus\r\nConnection: close\r\n",
                       method, target);

    if (body)
        len += snprintf(text + len, sizeof text - (size_t)len, "Content-Length: %zu\r\n",
                        strlen(body));
    len += snprintf(text + len, sizeof text - (size_t)len, "\r\n%s", body ? body : "");
    answer[0] = '\0';
    if (sock < 0)
        return 0;
    (void)!send(sock, text, (size_t)len, MSG_NOSIGNAL);
    while (n < sizeof answer - 1 && (got = read(sock, answer + n, sizeof answer - 1 - n)) > 0)
        n += (size_t)got;
    answer[n] = '\0';
    close(sock);
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? (int)strtol(answer + 9, NULL, 10) : 0;
}

static const char *body_of(void)
{
    char *end = strstr(answer, "\r\n\r\n");

    return end ? end + 4 : "";
}

static void show(const char *name, const char *method, const char *target, const char *body)
{
    int status = request(method, target, body);
    const char *text = body_of();
    size_t n = strlen(text);

    printf("%s %d %.*s\n", name, status, (int)(n > 0 && text[n - 1] == '\n' ? n - 1 : n), text);
    fflush(stdout);
}

/* Take what the other one wrote, and say that it has been dealt with. */
static void take(const char *kind, int wait_s)
{
    char target[64];

    snprintf(target, sizeof target, "/v1/%s?wait=%d", kind, wait_s);
    if (request("GET", target, NULL) != 200)
        return;
    const char *id = strstr(answer, "Berth-Id: ");
    const char *from = strstr(answer, "Berth-From: ");
    printf("%s from %.*s: %s\n", kind, from ? (int)strcspn(from + 12, "\r") : 1,
           from ? from + 12 : "?", body_of());
    snprintf(target, sizeof target, "/v1/%s/%d", kind, id ? (int)strtol(id + 10, NULL, 10) : 0);
    show("done", "DELETE", target, NULL);
}

static _Noreturn void talk(const char *peer)
{
    char target[64];

    show("identity", "GET", "/v1/identity", NULL);
    show("time", "GET", "/v1/time", NULL);
    show("passes", "GET", "/v1/passes", NULL);
    show("quota", "GET", "/v1/quota", NULL);
    show("telemetry", "PUT", "/v1/telemetry/temp", "21.5");
    show("messages", "GET", "/v1/messages", NULL);
    show("commands", "GET", "/v1/commands", NULL);
    show("stranger", "POST", "/v1/peers/nobody", "hello");
    show("unknown", "GET", "/v1/other", NULL);
    snprintf(target, sizeof target, "/v1/peers/%s", peer);
    show("peer", "POST", target, "how are you?");
    tell("READY=1");
    for (unsigned i = 0;; i++) {
        int status = request("GET", "/v1/time", NULL);

        printf("tick %d\n", status);
        fflush(stdout);
        take("messages", i % 10 == 5);
        if (i % 2 == 0)
            show("again", "POST", target, "again");
        usleep(200000);
        tell("WATCHDOG=1");
    }
}

static _Noreturn void obey(void)
{
    for (int i = 1; i <= 70; i++) {
        char value[16];

        snprintf(value, sizeof value, "%d", i);
        if (request("PUT", "/v1/telemetry/count", value) != 204)
            exit(7);
    }
    tell("READY=1");
    for (;;) {
        char target[64], result[256];

        if (request("GET", "/v1/commands?wait=1", NULL) == 200) {
            const char *id = strstr(answer, "Berth-Id: ");
            const char *name = strstr(answer, "Berth-Name: ");

            if (!id || !name)
                exit(6);
            snprintf(target, sizeof target, "/v1/commands/%d", (int)strtol(id + 10, NULL, 10));
            snprintf(result, sizeof result, "7 %.*s: %.80s", (int)strcspn(name + 12, "\r"),
                     name + 12, body_of());
            if (strstr(result, " time: "))
                show("time", "GET", "/v1/time", NULL);
            show("obeyed", "POST", target, result);
        }
        usleep(50000);
        tell("WATCHDOG=1");
    }
}

/* ---- one that is not ------------------------------------------------------------------------ */

static void flood(void)
{
    static char many[64 * (sizeof SELF - 1)];
    const struct timeval patience = { .tv_sec = 1 };
    char sink[4096];
    int sock = call_bus(0);

    for (size_t i = 0; i < 64; i++)
        memcpy(many + i * (sizeof SELF - 1), SELF, sizeof SELF - 1);
    if (sock < 0)
        return;
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    for (int i = 0; i < 8; i++)
        (void)!send(sock, many, sizeof many, MSG_NOSIGNAL);
    while (read(sock, sink, sizeof sink) > 0)
        continue;
    close(sock);
}

static void pass_descriptors(void)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(253 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = SELF, .iov_len = sizeof SELF - 1 };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
    };
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    int sock = call_bus(0);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(253 * sizeof(int));
    for (size_t i = 0; i < 253; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &sock, sizeof sock);
    if (sock >= 0)
        (void)!sendmsg(sock, &msg, MSG_NOSIGNAL);
    close(sock);
}

static void crowd(void)
{
    int socks[24];

    for (size_t i = 0; i < 24; i++) {
        socks[i] = call_bus(SOCK_NONBLOCK);
        if (socks[i] >= 0)
            (void)!send(socks[i], "GET /v1/ide", 11, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < 24; i++)
        close(socks[i]);
}

static void nonsense(void)
{
    static char giant[1 << 17];
    static const char *const texts[] = {
        "POST /v1/peers/a HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\nContent-Length: 47\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "GET /v1/../../etc HTTP/1.1\r\nHost: b\r\n\r\n",
        "\x16\x03\x01\x02",
    };
    const struct timeval patience = { .tv_sec = 1 };

    memset(giant, 'x', sizeof giant);
    for (size_t i = 0; i <= sizeof texts / sizeof *texts; i++) {
        int last = i == sizeof texts / sizeof *texts;
        int sock = call_bus(0);

        if (sock < 0)
            continue;
        setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        (void)!send(sock, last ? giant : texts[i], last ? sizeof giant : strlen(texts[i]),
                    MSG_NOSIGNAL);
        close(sock);
    }
}

static _Noreturn void hostile(void)
{
    tell("READY=1");
    for (;;) {
        flood();
        pass_descriptors();
        nonsense();
        crowd();
        tell("WATCHDOG=1\nMAINPID=1");
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "echo") == 0)
        return echo();
    if (argc >= 2 && strncmp(argv[1], "talk", 4) == 0)
        talk(argv[1][4] == '-' ? argv[1] + 5 : "nobody");
    if (argc >= 2 && strcmp(argv[1], "obey") == 0)
        obey();
    if (argc >= 2 && strcmp(argv[1], "hostile") == 0)
        hostile();
    return 2;
}
