/* SPDX-License-Identifier: Apache-2.0
 *
 * The neighbour: an ordinary payload with secrets, which says twenty times in a second that it is
 * well, or what was done to it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

#define BEAT_US 50000
#define SECRET "what only the neighbour knows"

static char secret[64];

static int listen_at(const char *name, bool abstract)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    size_t n = strlen(name);

    memcpy(a.sun_path + (abstract ? 1 : 0), name, n);
    if (fd < 0 ||
        bind(fd, (struct sockaddr *)&a,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) != 0 ||
        listen(fd, 8) != 0)
        return -1;
    return fd;
}

static bool file_is_whole(void)
{
    char text[64] = "";
    int fd = open("/data/secret", O_RDONLY);

    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    return n == (ssize_t)strlen(SECRET) && strcmp(text, SECRET) == 0;
}

static bool can_write(void)
{
    int fd = open("/data/beat", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool good = fd >= 0 && write(fd, secret, sizeof secret) == sizeof secret && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return good;
}

static bool can_watch(void)
{
    int fd = inotify_init1(IN_CLOEXEC);
    bool good = fd >= 0 && inotify_add_watch(fd, "/data", IN_CREATE) >= 0;

    if (fd >= 0)
        close(fd);
    return good;
}

static bool can_fork(void)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool can_time(void)
{
    struct sigevent e = { .sigev_notify = SIGEV_NONE };
    int id;

    return syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id) == 0 &&
           syscall(SYS_timer_delete, id) == 0;
}

static bool nobody_called(const int *sockets)
{
    return accept(sockets[0], NULL, NULL) < 0 && errno == EAGAIN &&
           accept(sockets[1], NULL, NULL) < 0 && errno == EAGAIN;
}

static bool nobody_moved(const cpu_set_t *cpus, rlim_t files)
{
    struct rlimit l;
    cpu_set_t now;

    CPU_ZERO(&now);
    return sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, cpus) &&
           getpriority(PRIO_PROCESS, 0) == 0 && getrlimit(RLIMIT_NOFILE, &l) == 0 &&
           l.rlim_max == files;
}

static const char *hurt(const int *sockets, const cpu_set_t *cpus, rlim_t files)
{
    char *p = malloc(1 << 20);

    if (p == NULL)
        return "memory";
    memset(p, 1, 1 << 20);
    free(p);
    if (strcmp(secret, SECRET) != 0)
        return "secret-in-memory";
    if (!file_is_whole())
        return "secret-in-file";
    if (!can_write())
        return "data";
    if (!can_watch())
        return "inotify";
    if (!can_fork())
        return "fork";
    if (!can_time())
        return "timer";
    if (!nobody_called(sockets))
        return "socket";
    return nobody_moved(cpus, files) ? NULL : "limits";
}

_Noreturn void be_victim(const char *abstract)
{
    int sockets[2] = { listen_at(abstract, true), listen_at("/tmp/victim", false) };
    int fd = open("/data/secret", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    struct rlimit files = { 0 };
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    memcpy(secret, SECRET, sizeof SECRET);
    if (sockets[0] < 0 || sockets[1] < 0 || fd < 0 ||
        write(fd, SECRET, strlen(SECRET)) != (ssize_t)strlen(SECRET) || close(fd) != 0 ||
        sched_getaffinity(0, sizeof cpus, &cpus) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0) {
        printf("hurt start\n");
        exit(1);
    }
    for (unsigned int n = 0;; n++) {
        const char *what = hurt(sockets, &cpus, files.rlim_max);

        if (what != NULL)
            printf("hurt %s %s\n", what, strerrorname_np(errno));
        else
            printf("well %u\n", n);
        fflush(stdout);
        usleep(BEAT_US);
    }
}
