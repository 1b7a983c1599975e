/* SPDX-License-Identifier: Apache-2.0
 *
 * A payload that prints: `printer quiet` so many lines, some of them on stderr, and then nothing;
 * `printer flood` without end, and every line says how many bytes were printed before it, so that
 * who counts what is missing can be held to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LINES 200

static void ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (sock < 0 || !path || strlen(path) >= sizeof to.sun_path)
        exit(4);
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (sendto(sock, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to) < 0)
        exit(5);
    close(sock);
}

static void put(int fd, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t wrote = write(fd, text + at, n - at);

        if (wrote < 0)
            exit(6);
        at += (size_t)wrote;
    }
}

static void flood(void)
{
    unsigned long long offset = 0;

    for (unsigned long long i = 1;; i++) {
        char line[160];
        int n = snprintf(line, sizeof line,
                         "flood %llu at %llu \033[2J and some more that nobody needs\n", i, offset);

        put(STDOUT_FILENO, line, (size_t)n);
        offset += (unsigned)n;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    ready();
    if (strcmp(argv[1], "flood") == 0)
        flood();
    for (unsigned i = 1; i <= LINES; i++) {
        char line[64];
        int n = snprintf(line, sizeof line, "line %u/%u\n", i, LINES);

        put(i % 10 == 0 ? STDERR_FILENO : STDOUT_FILENO, line, (size_t)n);
        usleep(5000);
    }
    for (;;)
        pause();
}
