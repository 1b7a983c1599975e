/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: what ordinary programs do, by libc and not by number.  Prints "NAME 0" for
 * each that works, "NAME ERRNO" otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t all_here = PTHREAD_COND_INITIALIZER;
static int here;

static void *thread(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
    here++;
    pthread_cond_broadcast(&all_here);
    while (here < 8)
        pthread_cond_wait(&all_here, &mutex);
    pthread_mutex_unlock(&mutex);
    return NULL;
}

static int threads(void)
{
    pthread_t list[8];

    for (int i = 0; i < 8; i++) {
        if ((errno = pthread_create(&list[i], NULL, thread, NULL)) != 0)
            return -1;
    }
    for (int i = 0; i < 8; i++)
        pthread_join(list[i], NULL);
    return 0;
}

static int spawn(void)
{
    static char self[] = "/bin/probe", how[] = "leave";
    char *const argv[] = { self, how, NULL };
    char *const env[] = { NULL };
    pid_t pid;
    int status;

    if ((errno = posix_spawn(&pid, self, NULL, NULL, argv, env)) != 0)
        return -1;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 9 ? 0
                                                                                            : -1;
}

static int events(void)
{
    const struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
    struct epoll_event e = { .events = EPOLLIN };
    sigset_t mask;

    sigemptyset(&mask);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int event = eventfd(1, EFD_CLOEXEC);
    int signals = signalfd(-1, &mask, SFD_CLOEXEC);

    if (loop < 0 || timer < 0 || event < 0 || signals < 0 ||
        timerfd_settime(timer, 0, &soon, NULL) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, timer, &e) != 0)
        return -1;
    return epoll_wait(loop, &e, 1, -1) == 1 ? 0 : -1;
}

static int sockets(void)
{
    const int on = 1;
    struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "/tmp/s" };
    int pair[2];
    int waiting = 0;
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0 ||
        send(pair[0], "x", 1, MSG_NOSIGNAL) != 1 || ioctl(pair[1], FIONREAD, &waiting) != 0 ||
        waiting != 1)
        return -1;
    return sock >= 0 && setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0 &&
                   bind(sock, (struct sockaddr *)&a, sizeof a) == 0 && listen(sock, 1) == 0
               ? 0
               : -1;
}

static int memory(void)
{
    char *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -1;
    p[0] = 1;
    return mprotect(p, 4096, PROT_READ) == 0 && madvise(p, 65536, MADV_DONTNEED) == 0 &&
                   munmap(p, 65536) == 0
               ? 0
               : -1;
}

static int files(void)
{
    char name[] = "/tmp/fileXXXXXX";
    int fd = mkstemp(name);

    return fd >= 0 && flock(fd, LOCK_EX) == 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 &&
                   fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && rename(name, "/tmp/other") == 0 &&
                   unlink("/tmp/other") == 0
               ? 0
               : -1;
}

static void ignore(int signal)
{
    (void)signal;
}

static int signals(void)
{
    timer_t timer;
    struct sigevent how = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

    if (signal(SIGUSR1, ignore) == SIG_ERR || raise(SIGUSR1) != 0 ||
        timer_create(CLOCK_MONOTONIC, &how, &timer) != 0)
        return -1;
    return timer_delete(timer);
}

static int small_things(void)
{
    struct rlimit r;
    const struct timespec short_time = { 0, 1000 };
    char byte;

    return prctl(PR_SET_NAME, "ordinary") == 0 && getrandom(&byte, 1, 0) == 1 &&
                   nanosleep(&short_time, NULL) == 0 && getrlimit(RLIMIT_NOFILE, &r) == 0 &&
                   setrlimit(RLIMIT_NOFILE, &r) == 0 && isatty(1) == 0 && errno == ENOTTY
               ? 0
               : -1;
}

static int streams(void)
{
    static char sh[] = "sh", c[] = "-c", line[] = "/bin/busybox echo word | /bin/busybox tr w s";
    char *const args[] = { sh, c, line, NULL };
    char said[16] = "";
    int ends[2], status = -1;

    if (pipe(ends) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ends[1], 1);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execv("/bin/sh", args);
        _exit(127);
    }
    (void)close(ends[1]);
    ssize_t n = pid < 0 ? -1 : read(ends[0], said, sizeof said - 1);
    (void)close(ends[0]);
    return n == 5 && waitpid(pid, &status, 0) == pid && status == 0 && strcmp(said, "sord\n") == 0
               ? 0
               : -1;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(void);
    } list[] = { { "threads", threads }, { "spawn", spawn },
                 { "events", events },   { "sockets", sockets },
                 { "memory", memory },   { "files", files },
                 { "signals", signals }, { "small-things", small_things },
                 { "shell", streams } };

    if (argc > 1 && strcmp(argv[1], "leave") == 0)
        return 9;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        errno = 0;
        int failed = list[i].run();

        printf("%s %d\n", list[i].name, failed == 0 ? 0 : errno != 0 ? errno : -1);
        fflush(stdout);
    }
    return 0;
}
