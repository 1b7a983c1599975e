/* SPDX-License-Identifier: Apache-2.0
 *
 * glutton: a tenant that takes everything it can get, to show that its limits stop it.  It becomes
 * ready only once a limit has stopped it; the memory one ends it instead.
 *
 *   glutton --memory   allocate and touch memory without end
 *   glutton --forks    fork without end
 *   glutton --disk     fill /data without end
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BLOCK (1024U * 1024U)

static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!path || fd < 0 || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path) + 1);
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof to) < 0)
        perror("notify");
    (void)close(fd);
}

static void stopped(const char *what, unsigned long n, int why)
{
    char text[128];

    (void)snprintf(text, sizeof text, "READY=1\nSTATUS=%s stopped after %lu: %s", what, n,
                   strerror(why));
    notify(text);
    (void)printf("%s\n", text + strlen("READY=1\nSTATUS="));
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}

static void eat_memory(void)
{
    for (unsigned long n = 0;; n++) {
        char *block = malloc(BLOCK);

        if (!block)
            stopped("memory", n, errno);
        memset(block, (int)n | 1, BLOCK);
    }
}

static void eat_processes(void)
{
    for (unsigned long n = 0;; n++) {
        pid_t pid = fork();

        if (pid < 0)
            stopped("forks", n, errno);
        if (pid == 0)
            for (;;)
                (void)pause();
    }
}

static void eat_disk(void)
{
    static char block[BLOCK];
    int fd = open("/data/fill", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    for (unsigned long n = 0;; n++)
        if (fd < 0 || write(fd, block, sizeof block) < (ssize_t)sizeof block)
            stopped("disk", n, errno);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (strcmp(mode, "--memory") == 0)
        eat_memory();
    if (strcmp(mode, "--forks") == 0)
        eat_processes();
    if (strcmp(mode, "--disk") == 0)
        eat_disk();
    (void)fputs("usage: glutton --memory | --forks | --disk\n", stderr);
    return 2;
}
