/* SPDX-License-Identifier: Apache-2.0
 *
 * beacon: the smallest honest payload.  It says READY=1 and WATCHDOG=1 on the socket that
 * NOTIFY_SOCKET names, as any systemd service would, counts its starts in /data, and prints a line
 * now and then.  No library of Berth's is needed.
 *
 *   beacon            version 1 and 2
 *   beacon --mute     starts and works, but never says that it is ready: a bad release
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
    (void)sig;
    stop = 1;
}

/* One sd_notify message; without a supervisor it does nothing. */
static void notify(const char *text)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd;

    if (!path || strlen(path) >= sizeof to.sun_path)
        return;
    memcpy(to.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&to, sizeof to) < 0)
        perror("notify");
    (void)close(fd);
}

/* How often this payload was started, kept across versions in /data. */
static unsigned count_start(void)
{
    char text[16] = "";
    unsigned n = 0;
    int fd = open("/data/starts", O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) > 0)
        n = (unsigned)strtoul(text, NULL, 10);
    (void)snprintf(text, sizeof text, "%u\n", n + 1);
    if (pwrite(fd, text, strlen(text), 0) < 0 || fsync(fd) < 0)
        perror("/data/starts");
    (void)close(fd);
    return n + 1;
}

int main(int argc, char **argv)
{
    const struct sigaction act = { .sa_handler = on_term };
    const struct timespec second = { .tv_sec = 1 };
    int mute = argc > 1 && strcmp(argv[1], "--mute") == 0;

    if (sigaction(SIGTERM, &act, NULL) < 0)
        return 1;
    (void)printf("beacon: start %u\n", count_start());
    (void)fflush(stdout);
    if (!mute)
        notify("READY=1\nSTATUS=on the air");
    while (!stop) {
        (void)nanosleep(&second, NULL);
        notify("WATCHDOG=1");
    }
    notify("STOPPING=1");
    return 0;
}
