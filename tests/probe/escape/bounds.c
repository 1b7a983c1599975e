/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines 34 and 49 to 58: take all there is of one thing.  Each says what stopped it, and gives back
 * what it took.  Each also stops by itself far above what a sandbox should allow, so that a host
 * without limits is told from one that is harmed.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

#define MIB (1024UL * 1024UL)
#define FORKS_MAX 1500
#define MEMORY_MAX (512 * MIB)
#define FILL_MAX (256 * MIB)
#define THINGS_MAX 100000
#define WORKERS 24 /* processes that share a task */

static char block[MIB];

/* ---- 34: what belongs to a user -------------------------------------------------------------- */

static int timers(const struct scene *s)
{
    (void)s;
    for (int i = 0; i < THINGS_MAX; i++) {
        struct sigevent e = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
        int id;

        if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id) != 0)
            return errno;
    }
    return 0;
}

static int pending_signals(const struct scene *s)
{
    sigset_t all;
    siginfo_t info = { .si_code = SI_QUEUE };

    (void)s;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    for (int i = 0; i < THINGS_MAX; i++) {
        if (syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 1, &info) != 0)
            return errno;
    }
    return 0;
}

static int shared_memory(const struct scene *s)
{
    (void)s;
    for (int i = 0; i < THINGS_MAX; i++) {
        if (syscall(SYS_shmget, 0, MIB, 01600) < 0)
            return errno;
    }
    return 0;
}

static int semaphores(const struct scene *s)
{
    (void)s;
    for (int i = 0; i < THINGS_MAX; i++) {
        if (syscall(SYS_semget, 0, 1, 01600) < 0)
            return errno;
    }
    return 0;
}

static int message_queues(const struct scene *s)
{
    char name[16];

    (void)s;
    for (int i = 0; i < THINGS_MAX; i++) {
        snprintf(name, sizeof name, "q%d", i);
        if (syscall(SYS_mq_open, name, O_CREAT | O_RDWR, 0600, NULL) < 0)
            return errno;
    }
    return 0;
}

static int locked_memory(const struct scene *s)
{
    void *p = mmap(NULL, 64 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)s;
    return p == MAP_FAILED ? errno : outcome(mlock(p, 64 * MIB));
}

/* ---- 49: processes --------------------------------------------------------------------------- */

static int fork_bomb(const struct scene *s)
{
    static pid_t child[FORKS_MAX];
    int n = 0;
    int how = 0;

    (void)s;
    for (; n < FORKS_MAX; n++) {
        child[n] = fork();
        if (child[n] < 0) {
            how = errno;
            break;
        }
        if (child[n] == 0) {
            for (;;)
                pause();
        }
    }
    for (int i = 0; i < n; i++) {
        kill(child[i], SIGKILL);
        waitpid(child[i], NULL, 0);
    }
    return how;
}

/* ---- 51, 53: file systems -------------------------------------------------------------------- */

static int fill_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    size_t n = 0;
    ssize_t got = 0;

    if (fd < 0)
        return errno;
    while (n < FILL_MAX && (got = write(fd, block, sizeof block)) > 0)
        n += (size_t)got;
    int how = got < 0 ? errno : 0;
    close(fd);
    (void)unlink(path);
    return how;
}

static int fill_tmp(const struct scene *s)
{
    (void)s;
    return fill_file("/tmp/fill");
}

static int fill_run(const struct scene *s)
{
    (void)s;
    return fill_file("/run/fill");
}

static int fill_shm(const struct scene *s)
{
    (void)s;
    return fill_file("/dev/shm/fill");
}

static int in_data(const struct scene *s, const char *name, char path[256])
{
    return s->data != NULL && snprintf(path, 256, "%s/%s", s->data, name) < 256;
}

static int fill_data(const struct scene *s)
{
    char path[256];

    return in_data(s, "fill", path) ? fill_file(path) : HELD;
}

static int make_files(const char *dir)
{
    char path[300];
    int how = 0;
    int n = 0;

    for (; n < THINGS_MAX; n++) {
        snprintf(path, sizeof path, "%s/f%d", dir, n);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd < 0) {
            how = errno;
            break;
        }
        close(fd);
    }
    while (n-- > 0) {
        snprintf(path, sizeof path, "%s/f%d", dir, n);
        (void)unlink(path);
    }
    return how;
}

static int inodes_tmp(const struct scene *s)
{
    (void)s;
    return make_files("/tmp");
}

static int inodes_data(const struct scene *s)
{
    return s->data == NULL ? HELD : make_files(s->data);
}

static int allocate_data(const struct scene *s)
{
    char path[256];

    if (!in_data(s, "sparse", path))
        return HELD;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        return errno;
    if (ftruncate(fd, (off_t)1 << 40) != 0 && errno != EFBIG)
        return errno;
    int how = outcome(fallocate(fd, 0, 0, FILL_MAX));
    close(fd);
    (void)unlink(path);
    return how;
}

/* Space of files that have no name any more counts as long as they are open. */
static int unlinked_data(const struct scene *s)
{
    char path[256];
    int fd[40];
    int n = 0;
    int how = 0;

    if (!in_data(s, "gone", path))
        return HELD;
    for (; n < 40 && how == 0; n++) {
        fd[n] = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd[n] < 0)
            return errno;
        (void)unlink(path);
        for (int k = 0; k < 8 && how == 0; k++)
            how = outcome(write(fd[n], block, sizeof block));
    }
    while (n-- > 0)
        close(fd[n]);
    return how;
}

/* ---- 52: the processor ----------------------------------------------------------------------- */

static int real_time(const struct scene *s)
{
    struct sched_param p = { .sched_priority = 1 };

    (void)s;
    if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p) == 0 ||
        syscall(SYS_sched_setscheduler, 0, SCHED_RR, &p) == 0)
        return 0;
    return errno;
}

static int deadline(const struct scene *s)
{
    uint64_t attr[6] = { 48 | 6ULL << 32, 0, 0, 9000000, 10000000, 10000000 };

    (void)s;
    return outcome(syscall(SYS_sched_setattr, 0, attr, 0));
}

static int raise_priority(const struct scene *s)
{
    (void)s;
    return outcome(setpriority(PRIO_PROCESS, 0, -5));
}

/* ---- 54, 56: storms -------------------------------------------------------------------------- */

static int fsync_storm(const struct scene *s)
{
    char path[256];

    if (!in_data(s, "storm", path))
        return HELD;
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0)
        return errno;
    for (int i = 0; i < 40; i++) {
        if (pwrite(fd, block, 65536, 0) != 65536 || fsync(fd) != 0)
            return errno;
    }
    close(fd);
    (void)unlink(path);
    return HELD;
}

/* For half a second, as many as the machine makes of them. */
static int denied_storm(const struct scene *s)
{
    struct timespec began, now;
    int how = 0;

    (void)s;
    clock_gettime(CLOCK_MONOTONIC, &began);
    do {
        for (int i = 0; i < 1000; i++)
            how = outcome(syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, 0));
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 < 500);
    return how == 0 ? 0 : HELD;
}

/* ---- 57: what is counted for a whole host ---------------------------------------------------- */

/* Several processes, since one is limited in its descriptors: take(things) in each, all of it held
 * at once.  More than enough in all is through. */
static int take_together(int (*take)(void), int enough, int bound)
{
    int p[2], hold[2];
    int total = 0;

    if (pipe(p) != 0 || pipe(hold) != 0)
        return errno;
    for (int i = 0; i < WORKERS; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            char end;

            close(hold[1]);
            int n = take();
            (void)!write(p[1], &n, sizeof n);
            (void)!read(hold[0], &end, 1);
            _exit(0);
        }
        if (pid < 0)
            break;
        int n;
        if (read(p[0], &n, sizeof n) == sizeof n)
            total += n;
    }
    close(hold[1]);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return total > enough ? 0 : bound;
}

static int take_inotify(void)
{
    int n = 0;

    while (n < 1000 && inotify_init1(IN_CLOEXEC) >= 0)
        n++;
    return n;
}

/* The host has 128 for all sandboxes that one user starts. */
static int inotify_instances(const struct scene *s)
{
    (void)s;
    return take_together(take_inotify, 32, EMFILE);
}

/* As many watches as files, in each of some instances. */
static int take_watches(void)
{
    char path[64];
    int n = 0;

    for (int k = 0; k < 16; k++) {
        int fd = inotify_init1(IN_CLOEXEC);

        if (fd < 0)
            break;
        for (int i = 0; i < 900; i++) {
            snprintf(path, sizeof path, "/tmp/w%d", i);
            if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
                return n;
            n++;
        }
    }
    return n;
}

static int inotify_watches(const struct scene *s)
{
    char path[64];

    (void)s;
    for (int i = 0; i < 900; i++) {
        snprintf(path, sizeof path, "/tmp/w%d", i);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);
        if (fd >= 0)
            close(fd);
    }
    int how = take_together(take_watches, 20000, ENOSPC);
    for (int i = 0; i < 900; i++) {
        snprintf(path, sizeof path, "/tmp/w%d", i);
        (void)unlink(path);
    }
    return how;
}

static int descriptors(const struct scene *s)
{
    (void)s;
    for (int n = 0; n < 5000; n++) {
        if (open("/", O_PATH) < 0)
            return errno;
    }
    return 0;
}

/* Descriptors that are under way in sockets, and so are nobody's. */
static int descriptors_in_flight(const struct scene *s)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(16 * sizeof(int))];
    } control;
    int fds[16];
    char byte = 0;
    struct iovec iov = { &byte, 1 };

    int pair[2];

    (void)s;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return errno;
    for (int i = 0; i < 16; i++)
        fds[i] = pair[1];
    for (int n = 0; n < 5000; n += 16) {
        memset(&control, 0, sizeof control);
        struct msghdr m = { .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.buf,
                            .msg_controllen = sizeof control.buf };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fds);
        memcpy(CMSG_DATA(c), fds, sizeof fds);
        if (sendmsg(pair[0], &m, MSG_DONTWAIT) < 0)
            return errno;
    }
    return 0;
}

static const struct attack rows[] = {
    { 34, "timers", timers },
    { 34, "pending-signals", pending_signals },
    { 34, "shm-segments", shared_memory },
    { 34, "semaphores", semaphores },
    { 34, "message-queues", message_queues },
    { 34, "locked-memory", locked_memory },
    { 49, "fork-bomb", fork_bomb },
    { 51, "fill-tmp", fill_tmp },
    { 51, "fill-run", fill_run },
    { 51, "fill-shm", fill_shm },
    { 51, "inodes-tmp", inodes_tmp },
    { 52, "real-time", real_time },
    { 52, "deadline", deadline },
    { 52, "raise-priority", raise_priority },
    { 53, "fill-data", fill_data },
    { 53, "inodes-data", inodes_data },
    { 53, "allocate-data", allocate_data },
    { 53, "unlinked-data", unlinked_data },
    { 54, "fsync-storm", fsync_storm },
    { 56, "denied-storm", denied_storm },
    { 57, "inotify-instances", inotify_instances },
    { 57, "inotify-watches", inotify_watches },
    { 57, "descriptors", descriptors },
    { 57, "descriptors-in-flight", descriptors_in_flight },
};

const struct attacks bound_attacks = ATTACKS(rows);
