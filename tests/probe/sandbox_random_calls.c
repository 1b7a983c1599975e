/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: random system calls with arguments that look like real ones, by seed.
 *
 *     sandbox_random_calls FIRST LAST PID    seeds FIRST to LAST-1; PID is one of the host's
 *
 * Each seed is a process that makes up to CALLS calls and may end by any of them; "seed N" and
 * "calls N" are printed before and after.  One seed may well kill the others and this program, too:
 * whoever started it goes on behind the last seed that it printed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 300U
#define SEED_MS 20  /* after which a seed is ended */
#define CALL_US 500 /* after which a signal wakes what blocks */

struct known {
    const char *name;
    const char *class;
    long nr;
};

#if defined(__x86_64__)
#define CALL(name, x86_64, aarch64, class) { #name, #class, x86_64 },
#else
#define CALL(name, x86_64, aarch64, class) { #name, #class, aarch64 },
#endif
static const struct known known[] = {
#include "sandbox/calls.def"
};
#undef CALL
#define KNOWN (sizeof known / sizeof known[0])

static uint64_t state;
static long host_pid;
static char page[3 * 4096] __attribute__((aligned(4096)));
static volatile unsigned *made; /* shared: calls that this seed made */

static uint64_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t below(uint64_t n)
{
    return (draw() >> 11) % n;
}

static long any_path(void)
{
    static const char *const paths[] = {
        "/",
        ".",
        "..",
        "",
        "/bin/probe",
        "/tmp",
        "/tmp/a",
        "/tmp/b",
        "/run",
        "/run/notify",
        "/run/c",
        "/proc/self/mem",
        "/proc/self/fd/1",
        "/proc/1/root",
        "/proc/sys/kernel/hostname",
        "/proc/self/ns/user",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/tty",
        "/dev/mem",
        "/sys/fs/cgroup",
        "/etc/shadow",
        "/proc/sysrq-trigger",
        "/proc/self/exe",
        "/data/d",
        "/tmp/../../../../etc/passwd",
    };

    return (long)paths[below(sizeof paths / sizeof paths[0])];
}

static long any_pointer(void)
{
    switch (below(8)) {
    case 0:
        return 0;
    case 1:
        return (long)0xffff888000000000UL;
    case 2:
        return (long)draw();
    case 3:
        return (long)any_pointer; /* our own text */
    case 4:
        return (long)(page + sizeof page - below(16)); /* runs over its end */
    default:
        for (int i = 0; i < 64; i++)
            page[below(sizeof page)] = (char)draw();
        return (long)(page + below(sizeof page));
    }
}

static long any_number(void)
{
    static const long numbers[] = { 0,
                                    1,
                                    -1,
                                    2,
                                    3,
                                    7,
                                    8,
                                    16,
                                    64,
                                    4095,
                                    4096,
                                    65536,
                                    1L << 20,
                                    1L << 31,
                                    1L << 32,
                                    0x7fffffff,
                                    (long)0x8000000000000000UL,
                                    0x7fffffffffffffffL };

    switch (below(4)) {
    case 0:
        return 1L << below(63);
    case 1:
        return (long)(draw() >> below(60));
    default:
        return numbers[below(sizeof numbers / sizeof numbers[0])];
    }
}

static long any_pid(void)
{
    const long pids[] = { 0, 1, -1, 2, getpid(), getppid(), host_pid, -host_pid, 32768 };

    return pids[below(sizeof pids / sizeof pids[0])];
}

static long any_descriptor(void)
{
    return below(6) == 0 ? AT_FDCWD : (long)below(24) - 1;
}

/* What drives more of the kernel than numbers that nobody would send. */
static long any_flag(void)
{
    static const long flags[] = { O_RDWR | O_CREAT,
                                  O_PATH,
                                  O_DIRECTORY,
                                  O_TMPFILE | O_RDWR,
                                  AF_INET,
                                  AF_NETLINK,
                                  AF_ALG,
                                  AF_UNIX,
                                  SOCK_RAW,
                                  SOCK_STREAM,
                                  TIOCSTI,
                                  TIOCSTI | (1L << 32),
                                  FIONREAD,
                                  CLONE_NEWUSER,
                                  CLONE_NEWNS,
                                  CLONE_VM | CLONE_VFORK,
                                  MAP_FIXED | MAP_ANONYMOUS | MAP_PRIVATE,
                                  PROT_READ | PROT_WRITE | PROT_EXEC,
                                  SIGKILL,
                                  SIGSTOP,
                                  AT_EMPTY_PATH,
                                  0x5410,
                                  22,
                                  38 };

    return flags[below(sizeof flags / sizeof flags[0])];
}

static long any_argument(void)
{
    static long (*const kinds[])(void) = { any_path,   any_pointer, any_pointer,    any_number,
                                           any_number, any_pid,     any_descriptor, any_descriptor,
                                           any_flag,   any_flag };

    return kinds[below(sizeof kinds / sizeof kinds[0])]();
}

/* What ends the seed at once comes now and then only. */
static int ends_at_once(const struct known *k)
{
    static const char *const names[] = { "exit",   "exit_group", "rt_sigreturn", "pause",
                                         "vfork",  "execve",     "execveat",     "rt_sigsuspend",
                                         "munmap", "brk",        "mremap" };

    if (strcmp(k->class, "TAMPER") == 0)
        return 1;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(k->name, names[i]) == 0)
            return 1;
    }
    return 0;
}

static long any_call(void)
{
    for (;;) {
        const struct known *k = &known[below(KNOWN)];

        if (below(200) == 0)
            return (long)below(1024);
        if (k->nr >= 0 && (!ends_at_once(k) || below(100) == 0))
            return k->nr;
    }
}

static void woken(int signal)
{
    (void)signal;
}

static void run_seed(unsigned long seed)
{
    const struct sigaction wake = { .sa_handler = woken };
    const struct itimerval often = { { 0, CALL_US }, { 0, CALL_US } };
    int null = open("/dev/null", O_RDWR);

    state = (seed + 1) * 0x9e3779b97f4a7c15UL;
    (void)dup2(null, 1); /* what it writes is nobody's output */
    (void)dup2(null, 2);
    (void)sigaction(SIGALRM, &wake, NULL);
    (void)setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned i = 0; i < CALLS; i++) {
        long nr = any_call();

        *made = i + 1;
        (void)syscall(nr, any_argument(), any_argument(), any_argument(), any_argument(),
                      any_argument(), any_argument());
    }
    _exit(0);
}

static void finish(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    if (poll(&p, 1, SEED_MS) <= 0)
        (void)kill(pid, SIGKILL);
    (void)close(pidfd);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        continue;
}

int main(int argc, char **argv)
{
    unsigned long last = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;

    host_pid = argc > 3 ? strtol(argv[3], NULL, 10) : 1;
    made = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (argc < 4 || made == MAP_FAILED)
        return 2;
    for (unsigned long seed = strtoul(argv[1], NULL, 10); seed < last; seed++) {
        *made = 0;
        dprintf(1, "seed %lu\n", seed); /* before: it may be the last that anybody says here */
        pid_t pid = fork();

        if (pid == 0)
            run_seed(seed);
        if (pid > 0)
            finish(pid);
        dprintf(1, "calls %u\n", *made);
    }
    return 0;
}
