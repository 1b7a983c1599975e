/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: makes system calls by number and prints what became of each: "NUMBER
 * OUTCOME", where the outcome is an errno, 0, "gone" for one that ended its process, or "signal N".
 *
 *     sandbox_every_call native    numbers 0 to 1023, every argument -1
 *     sandbox_every_call x32       every fourth with the bit of the x32 ABI, summed up by outcome
 *     sandbox_every_call int80     every fourth by the 32-bit entry, summed up by outcome
 *
 * One process makes calls until one of them ends it; the next goes on behind that one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define X32_BIT 0x40000000L
#define WAKE_US 20000 /* after which a signal wakes what blocks */
#define NUMBERS 1024
#define OUTCOMES 512

/* The outcome as one number: below 256 an errno, then what else. */
#define GONE 301
#define SIGNAL 400

static volatile struct {
    long next; /* number that is being tried, or is next */
    int outcome[NUMBERS];
} * shared; /* with the process that makes the calls */

/* Without a function around it: one that was called by vfork's child may not return. */
#ifdef __x86_64__
static inline __attribute__((always_inline)) long raw(long nr, long arg)
{
    register long a4 __asm__("r10") = arg;
    register long a5 __asm__("r8") = arg;
    register long a6 __asm__("r9") = arg;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(nr), "D"(arg), "S"(arg), "d"(arg), "r"(a4), "r"(a5), "r"(a6)
                     : "rcx", "r11", "memory");
    return ret;
}

static inline __attribute__((always_inline)) long raw_old(long nr, long arg)
{
    long ret;

    __asm__ volatile("int $0x80"
                     : "=a"(ret)
                     : "a"(nr), "b"(arg), "c"(arg), "d"(arg), "S"(arg), "D"(arg)
                     : "memory");
    return ret;
}
#else
static inline __attribute__((always_inline)) long raw(long nr, long arg)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = arg;
    register long x1 __asm__("x1") = arg;
    register long x2 __asm__("x2") = arg;
    register long x3 __asm__("x3") = arg;
    register long x4 __asm__("x4") = arg;
    register long x5 __asm__("x5") = arg;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

static inline __attribute__((always_inline)) long raw_old(long nr, long arg)
{
    (void)nr;
    (void)arg;
    (void)raise(SIGSYS); /* there is no other entry */
    return 0;
}
#endif

static void woken(int signal)
{
    (void)signal;
}

static void make_calls(long step, long bit, int old_entry)
{
    const struct sigaction wake = { .sa_handler = woken };
    const struct itimerval soon = { { 0, WAKE_US }, { 0, WAKE_US } };
    const long self = getpid();

    (void)sigaction(SIGALRM, &wake, NULL);
    while (shared->next < NUMBERS) {
        (void)setitimer(ITIMER_REAL, &soon, NULL);
        long ret = old_entry ? raw_old(shared->next, -1L) : raw(shared->next | bit, -1L);

        if (raw(SYS_getpid, 0) != self)
            (void)raw(SYS_exit_group, 0); /* another one, by fork */
        shared->outcome[shared->next] = ret < 0 && ret > -256 ? (int)-ret : 0;
        shared->next += step;
    }
    _exit(0);
}

/* Let one process go on until it ends, and note what ended it. */
static int go_on(long step, long bit, int old_entry)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        make_calls(step, bit, old_entry);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    if (shared->next < NUMBERS) {
        shared->outcome[shared->next] = WIFSIGNALED(status) ? SIGNAL + WTERMSIG(status) : GONE;
        shared->next += step;
    }
    return 0;
}

static void print_outcome(long nr, int what)
{
    if (what >= SIGNAL)
        printf("%ld signal %d\n", nr, what - SIGNAL);
    else if (what == GONE)
        printf("%ld gone\n", nr);
    else
        printf("%ld %d\n", nr, what);
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "native";
    const int old_entry = strcmp(how, "int80") == 0;
    const long bit = strcmp(how, "x32") == 0 ? X32_BIT : 0;
    const long step = bit != 0 || old_entry ? 4 : 1; /* each of these costs a process */
    int count[OUTCOMES] = { 0 };

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    while (shared->next < NUMBERS) {
        if (go_on(step, bit, old_entry) != 0)
            return 3;
    }
    for (long nr = 0; nr < NUMBERS; nr += step) {
        if (strcmp(how, "native") == 0)
            print_outcome(nr, shared->outcome[nr]);
        else
            count[shared->outcome[nr]]++;
    }
    for (int what = 0; what < OUTCOMES; what++) {
        if (count[what] > 0)
            print_outcome(count[what], what);
    }
    return 0;
}
