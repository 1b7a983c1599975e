/* SPDX-License-Identifier: Apache-2.0
 *
 * Attacks that end, or may end, everything else in their sandbox: one start each.  The bombs stop
 * by themselves at MEMORY_MAX, which is through.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/probe/escape/escape.h"

#define MIB (1024UL * 1024UL)
#define MEMORY_MAX (512 * MIB)

static char block[65536];

/* ---- 41: everybody whom it can reach --------------------------------------------------------- */

static int kill_all(const struct scene *s)
{
    (void)s;
    if (kill(1, SIGKILL) != 0 && kill(1, SIGSTOP) != 0)
        return errno;
    return kill(-1, SIGKILL) == 0 || errno == ESRCH ? HELD : errno;
}

/* ---- 45: a crash ----------------------------------------------------------------------------- */

static int crash(const struct scene *s)
{
    (void)s;
    abort();
}

/* ---- 50: memory, of every kind that the kernel keeps for a process --------------------------- */

static int anonymous(const struct scene *s)
{
    (void)s;
    for (size_t n = 0; n < MEMORY_MAX; n += MIB) {
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            return errno;
        memset(p, 1, MIB);
    }
    return 0;
}

static int shared(const struct scene *s)
{
    (void)s;
    for (size_t n = 0; n < MEMORY_MAX; n += MIB) {
        char *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
            return errno;
        memset(p, 1, MIB);
    }
    return 0;
}

static int memfd(const struct scene *s)
{
    int fd = (int)syscall(SYS_memfd_create, "x", 0);

    (void)s;
    if (fd < 0)
        return errno;
    for (size_t n = 0; n < MEMORY_MAX; n += sizeof block) {
        if (write(fd, block, sizeof block) < 0)
            return errno;
    }
    return 0;
}

/* What the host has set aside of them, if it has, belongs to nobody's limit. */
static int huge_pages(const struct scene *s)
{
    (void)s;
    for (size_t n = 0; n < MEMORY_MAX; n += 2 * MIB) {
        char *p = mmap(NULL, 2 * MIB, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

        if (p == MAP_FAILED)
            return errno;
        memset(p, 1, 2 * MIB);
    }
    return 0;
}

/* A page of tables for each page that is touched, and never the page itself twice. */
static int page_tables(const struct scene *s)
{
    const size_t step = 2 * MIB;
    char *p = mmap(NULL, MEMORY_MAX / 8192 * step, PROT_READ, /* the zero page behind all of it */
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)s;
    if (p == MAP_FAILED)
        return errno;
    (void)madvise(p, MEMORY_MAX / 8192 * step, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < MEMORY_MAX / 8192; i++)
        (void)*(volatile char *)(p + i * step);
    return 0;
}

/* Processes that each hold as much as their descriptors let them, up to 64 pairs. */
static int in_each(int (*take)(void))
{
    for (int i = 0; i < 30; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            (void)take();
            for (;;)
                pause();
        }
        if (pid < 0)
            return errno; /* no more processes: all that they hold was bounded */
        usleep(2000);
    }
    usleep(500000); /* nobody came to end us while we filled what we have */
    return 0;
}

static int take_pipes(void)
{
    int p[2];

    for (int i = 0; i < 64 && pipe(p) == 0; i++) {
        (void)fcntl(p[1], F_SETPIPE_SZ, MIB);
        (void)fcntl(p[1], F_SETFL, O_NONBLOCK);
        while (write(p[1], block, sizeof block) > 0)
            ;
    }
    return 0;
}

static int pipes(const struct scene *s)
{
    (void)s;
    return in_each(take_pipes);
}

static int take_sockets(void)
{
    int pair[2];
    const int size = 4 << 20;

    for (int n = 0; n < 64; n++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) != 0)
            break;
        for (int i = 0; i < 2; i++) {
            (void)setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
            while (write(pair[i], block, sizeof block) > 0)
                ;
        }
    }
    return 0;
}

static int sockets(const struct scene *s)
{
    (void)s;
    return in_each(take_sockets);
}

/* Locks of a byte each: the kernel keeps every one.  In many files, since it looks at all of a
 * file's for the next.  24 * 40 * 700 of them are 123 MiB. */
static int take_locks(int worker)
{
    char path[32];

    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, "/tmp/l%d-%d", worker, i);
        int fd = open(path, O_RDWR | O_CREAT, 0600);

        for (off_t at = 700; at > 0; at--) {
            struct flock l = { .l_type = F_WRLCK, .l_start = 2 * at, .l_len = 1 };

            if (fcntl(fd, F_OFD_SETLK, &l) != 0)
                return errno;
        }
    }
    return 0;
}

static int file_locks(const struct scene *s)
{
    int done[2];
    int how = 0;

    (void)s;
    if (pipe(done) != 0)
        return errno;
    for (int i = 0; i < 24; i++) {
        pid_t pid = fork();

        if (pid == 0) {
            how = take_locks(i);
            (void)!write(done[1], &how, sizeof how);
            for (;;)
                pause();
        }
        if (pid < 0)
            return errno;
    }
    for (int i = 0; i < 24 && how == 0; i++)
        (void)!read(done[0], &how, sizeof how);
    return how;
}

/* ---- 58: what does not end by being asked ---------------------------------------------------- */

static void daemons(int depth)
{
    for (int i = 1; i < 65; i++)
        (void)signal(i, SIG_IGN);
    if (fork() == 0) {
        (void)setsid();
        if (fork() == 0) {
            if (depth > 0)
                daemons(depth - 1);
            kill(getpid(), SIGSTOP);
            for (;;)
                pause();
        }
        for (;;)
            sleep(1000); /* its child, once it ended, would stay a zombie */
    }
}

static int deaf_farm(const struct scene *s)
{
    (void)s;
    daemons(3);
    for (int i = 0; i < 4; i++) {
        if (fork() == 0)
            _exit(0); /* zombies of a parent that does not wait */
    }
    printf("ready\n");
    fflush(stdout);
    for (;;)
        pause();
}

/* A parent that waits in the kernel for a child that neither execs nor ends. */
static int stuck_in_vfork(const struct scene *s)
{
    (void)s;
    (void)signal(SIGTERM, SIG_IGN);
    printf("ready\n");
    fflush(stdout);
    if (vfork() == 0) {
        kill(getpid(), SIGSTOP);
        for (;;)
            pause();
    }
    return 0;
}

/* ---- 52: all of the processor ---------------------------------------------------------------- */

static int spin(const struct scene *s)
{
    (void)s;
    (void)signal(SIGTERM, SIG_IGN);
    for (int i = 0; i < 8; i++) {
        if (fork() == 0)
            break;
    }
    printf("ready\n");
    fflush(stdout);
    for (volatile unsigned long n = 1; n != 0; n++)
        ;
    return 0;
}

static const struct attack rows[] = {
    { 41, "kill-everybody", kill_all },
    { 45, "crash", crash },
    { 50, "memory-anonymous", anonymous },
    { 50, "memory-shared", shared },
    { 50, "memory-memfd", memfd },
    { 50, "memory-page-tables", page_tables },
    { 50, "memory-huge-pages", huge_pages },
    { 50, "memory-pipes", pipes },
    { 50, "memory-sockets", sockets },
    { 50, "memory-file-locks", file_locks },
    { 52, "spin", spin },
    { 58, "deaf-farm", deaf_farm },
    { 58, "stuck-in-vfork", stuck_in_vfork },
};

const struct attacks alone_attacks = ATTACKS(rows);
