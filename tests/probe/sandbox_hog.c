/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: takes all it can get of one thing, or behaves badly in one way.
 *   memory         allocate and touch for ever
 *   memory-child   the same in a child, and wait in the parent
 *   hold MIB       take so much memory, say READY=1, sleep
 *   forks          fork for ever; prints how many there were when the first one failed
 *   fill PATH      write a file until it fails; prints the errno and the MiB
 *   files DIR      create files until it fails; prints the errno
 *   tree N         N - 1 children in groups of their own that sleep, then say READY=1 and sleep
 *   spin           use the cpu for ever
 *   burn N         the same in N processes; says READY=1 first, as the next three do
 *   churn MIB      take so much memory, touch it and give it back, for ever
 *   sync PATH      write a file of 16 MiB to the disk, for ever
 *   spawn N        in N processes: start another, and wait for its end, for ever
 *   rest           sleep for ever, and say nothing
 *   deaf           ignore every signal, fork two children in new sessions, say READY=1, sleep
 *   polite         say READY=1, exit 7 on SIGTERM
 *   keep PATH TEXT if PATH has TEXT exit 0, else write it and exit 3
 *   flood          write to stdout for ever
 *   orphans        leave many zombies to process 1, then exit 0
 *   say            write one byte and exit: for timing
 *   slice          say what slice of a processor a child has, and whether it may take a shorter one
 *   exit N | abort
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched/types.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024U * 1024U)

static char block[MIB];
static volatile sig_atomic_t asked;

static void notify(const char *text)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    const char *path = getenv("NOTIFY_SOCKET");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&a, sizeof a) < 0)
        printf("notify %d\n", errno);
    close(fd);
}

static void eat_memory(void)
{
    for (;;) {
        char *p = malloc(MIB);

        if (p != NULL)
            memset(p, 1, MIB);
    }
}

static void hold(size_t mib)
{
    for (size_t i = 0; i < mib; i++)
        memset(malloc(MIB), 1, MIB);
    notify("READY=1");
    for (;;)
        pause();
}

static void forks(void)
{
    int n = 0;

    for (;;) {
        pid_t pid = fork();

        if (pid == 0) {
            for (;;)
                pause();
        }
        if (pid < 0)
            break;
        n++;
    }
    printf("forks %d %d\n", n, errno);
    fflush(stdout);
    for (;;)
        (void)!fork();
}

static void tree(int n)
{
    for (int i = 1; i < n; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            setpgid(0, 0);
            for (;;)
                pause();
        }
        if (pid < 0) {
            printf("tree %d %d\n", i, errno);
            exit(1);
        }
    }
    notify("READY=1");
    for (;;)
        pause();
}

static void fill(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    size_t n = 0;
    ssize_t got = 0;

    /* A short write is no failure yet; older kernels make one before they say ENOSPC. */
    while (fd >= 0 && (got = write(fd, block, sizeof block)) > 0)
        n += (size_t)got;
    printf("fill %d %zu\n", errno, n / MIB);
}

static void files(const char *dir)
{
    char path[128];

    for (unsigned int i = 0;; i++) {
        snprintf(path, sizeof path, "%s/%u", dir, i);
        int fd = open(path, O_WRONLY | O_CREAT, 0600);

        if (fd < 0) {
            printf("files %d %u\n", errno, i);
            return;
        }
        close(fd);
    }
}

static void crowd(int n)
{
    notify("READY=1");
    for (int i = 1; i < n; i++) {
        if (fork() == 0)
            return;
    }
}

static void burn(int n)
{
    crowd(n);
    for (;;)
        ;
}

static void churn(size_t mib)
{
    notify("READY=1");
    for (;;) {
        char *p = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            exit(1);
        memset(p, 1, mib * MIB);
        munmap(p, mib * MIB);
    }
}

static void write_through(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    notify("READY=1");
    for (off_t at = 0;; at = (at + MIB) % (16 * MIB)) {
        if (pwrite(fd, block, sizeof block, at) != sizeof block || fdatasync(fd) != 0)
            exit(1);
    }
}

static void spawn(int n)
{
    crowd(n);
    for (;;) {
        pid_t pid = fork();

        if (pid == 0)
            _exit(0);
        if (pid > 0)
            waitpid(pid, NULL, 0);
    }
}

static void deaf(void)
{
    for (int i = 1; i < 65; i++)
        signal(i, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            setsid();
            for (;;)
                pause();
        }
    }
    notify("READY=1");
    for (;;)
        pause();
}

static void on_term(int signal)
{
    (void)signal;
    asked = 1;
}

static int polite(void)
{
    sigset_t block_all, old;

    sigfillset(&block_all);
    sigprocmask(SIG_BLOCK, &block_all, &old);
    signal(SIGTERM, on_term);
    notify("READY=1");
    while (!asked)
        sigsuspend(&old);
    return 7;
}

static int keep(const char *path, const char *text)
{
    char have[64] = "";
    int fd = open(path, O_RDWR | O_CREAT, 0600);

    if (fd < 0)
        return 4;
    if (read(fd, have, sizeof have - 1) > 0)
        return strcmp(have, text) == 0 ? 0 : 5;
    return write(fd, text, strlen(text)) > 0 && fsync(fd) == 0 ? 3 : 6;
}

/* Process 1 may need a while to free a place; one that it never frees is what is looked for. */
static pid_t fork_in_time(void)
{
    pid_t pid = fork();

    for (int tries = 0; pid < 0 && errno == EAGAIN && tries < 6000; tries++) {
        usleep(10000);
        pid = fork();
    }
    return pid;
}

static void orphans(void)
{
    for (int i = 0; i < 200; i++) {
        int status = 0;
        pid_t pid = fork_in_time();

        if (pid == 0) {
            pid = fork_in_time();
            _exit(pid < 0 ? 1 : 0);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
            printf("orphans %d %d\n", i, errno);
            exit(1);
        }
    }
}

static int slice(void)
{
    struct sched_attr attr = { 0 };
    int status = 0;
    pid_t pid = fork();

    if (pid > 0)
        return waitpid(pid, &status, 0) == pid ? status : 1;
    if (syscall(SYS_sched_getattr, 0, &attr, (unsigned int)sizeof attr, 0U) != 0)
        return 1;
    printf("slice %llu", (unsigned long long)attr.sched_runtime);
    attr.size = sizeof attr;
    attr.sched_runtime = 100000;
    printf(" %d\n", syscall(SYS_sched_setattr, 0, &attr, 0U) == 0 ? 0 : errno);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const char *arg = argc > 2 ? argv[2] : "0";

    if (strcmp(what, "memory") == 0)
        eat_memory();
    if (strcmp(what, "memory-child") == 0) {
        notify("READY=1");
        if (fork() == 0)
            eat_memory();
        for (;;)
            pause();
    }
    if (strcmp(what, "hold") == 0)
        hold((size_t)strtoul(arg, NULL, 10));
    if (strcmp(what, "forks") == 0)
        forks();
    if (strcmp(what, "fill") == 0)
        fill(arg);
    if (strcmp(what, "files") == 0)
        files(arg);
    if (strcmp(what, "tree") == 0)
        tree((int)strtol(arg, NULL, 10));
    while (strcmp(what, "spin") == 0)
        ;
    if (strcmp(what, "burn") == 0)
        burn((int)strtol(arg, NULL, 10));
    if (strcmp(what, "churn") == 0)
        churn((size_t)strtoul(arg, NULL, 10));
    if (strcmp(what, "sync") == 0)
        write_through(arg);
    if (strcmp(what, "spawn") == 0)
        spawn((int)strtol(arg, NULL, 10));
    while (strcmp(what, "rest") == 0)
        pause();
    if (strcmp(what, "deaf") == 0)
        deaf();
    if (strcmp(what, "polite") == 0)
        return polite();
    if (strcmp(what, "keep") == 0 && argc > 3)
        return keep(arg, argv[3]);
    if (strcmp(what, "orphans") == 0)
        orphans();
    for (long i = strcmp(what, "storm") == 0 ? strtol(arg, NULL, 10) : 0; i > 0; i--)
        (void)umount2("/", 0); /* a refused call */
    while (strcmp(what, "flood") == 0)
        (void)!write(1, block, sizeof block);
    if (strcmp(what, "slice") == 0)
        return slice();
    if (strcmp(what, "say") == 0)
        return write(1, "x", 1) == 1 ? 0 : 1;
    if (strcmp(what, "abort") == 0 || (strcmp(what, "crash") == 0 && chdir(arg) == 0))
        abort();
    if (strcmp(what, "size") == 0) {
        struct stat st;

        printf("size %lld\n",
               stat(arg, &st) == 0 ? (long long)st.st_blocks * 512 : -(long long)errno);
        return 0;
    }
    return strcmp(what, "exit") == 0 ? (int)strtol(arg, NULL, 10) : 0;
}
