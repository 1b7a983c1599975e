/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-tell: tells berthd one line of what goes on (agent/inputs), and prints the answer.  For the
 * platform's scripts and for trying; whoever likes sends the datagram itself.
 */
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"

#define WAIT_MS 10000
#define LINE_CAP 512U

static const char usage_text[] =
    "usage: berth-tell [--inputs PATH] WORD...      PATH: /run/berth/inputs unless it is named\n"
    "  mode safe|nominal          aos STATION          eclipse in|out\n"
    "  event NAME                 los                  time SECONDS UNCERTAINTY_MS|unknown\n"
    "  pass START END STATION     pass none\n"
    "exit code: 0 taken, 1 refused or nobody there, 2 wrong usage, 6 no answer\n";

static bool join(int argc, char **argv, char line[LINE_CAP])
{
    size_t at = 0;

    for (int i = 0; i < argc; i++) {
        int n = snprintf(line + at, LINE_CAP - at, "%s%s", i > 0 ? " " : "", argv[i]);

        if (n < 0 || (size_t)n >= LINE_CAP - at)
            return false;
        at += (size_t)n;
    }
    return at > 0;
}

/* A name of its own, so that it can be answered: the kernel chooses one that no file has. */
static int open_socket(const char *path)
{
    const struct sockaddr_un any = { .sun_family = AF_UNIX };
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof to.sun_path) {
        (void)fprintf(stderr, "berth-tell: %s: too long\n", path);
        return -1;
    }
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (sock < 0 || bind(sock, (const struct sockaddr *)&any, sizeof(sa_family_t)) != 0 ||
        connect(sock, (const struct sockaddr *)&to, sizeof to) != 0) {
        perror(path);
        return -1;
    }
    return take_fd(&sock);
}

static int tell(const char *path, const char *line)
{
    char answer[512];
    scoped(close_fd) int sock = open_socket(path);

    if (sock < 0)
        return 1;
    if (send(sock, line, strlen(line), MSG_NOSIGNAL) < 0) {
        perror(path);
        return 1;
    }
    struct pollfd p = { .fd = sock, .events = POLLIN };
    ssize_t n = poll(&p, 1, WAIT_MS) > 0 ? recv(sock, answer, sizeof answer - 1, 0) : -1;
    if (n < 0) {
        (void)fprintf(stderr, "berth-tell: %s does not answer\n", path);
        return 6;
    }
    answer[n] = '\0';
    (void)puts(answer);
    return strcmp(answer, "ok") == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *path = "/run/berth/inputs";
    char line[LINE_CAP];
    int first = 1;

    if (argc > 2 && strcmp(argv[1], "--inputs") == 0) {
        path = argv[2];
        first = 3;
    }
    if (first >= argc || argv[first][0] == '-' || !join(argc - first, argv + first, line)) {
        (void)fputs(usage_text, stderr);
        return 2;
    }
    return tell(path, line);
}
