/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: makes system calls by number and prints what became of each: "NUMBER
 * OUTCOME", where the outcome is an errno, 0, "gone" for one that ended its process, or "signal N".
 *
 *     sandbox_every_call native    numbers 0 to 1023, every argument -1
 *     sandbox_every_call x32       the same with the bit of the x32 ABI, as ranges of one outcome
 *     sandbox_every_call int80     the same by the 32-bit entry, as ranges
 *     sandbox_every_call far       numbers around every power of two from 1024 on, by either entry
 *
 * A range is "FIRST-LAST OUTCOME", a far one "ENTRY NUMBER OUTCOME" (unsigned, 32 bits).
 * One process makes calls until one of them ends it; the next goes on behind that one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
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
#define FAR_FIRST 10 /* 2^10 is the first number behind those */
#define FAR_PLACES (3L * (32 - FAR_FIRST))

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

/* What to call, by place: the places of `far` are three around each power of two. */
struct way {
    long places;
    long bit; /* in every number */
    bool old_entry;
    bool far;
};

static long number_at(const struct way *way, long place)
{
    if (!way->far)
        return place | way->bit;
    return (long)((1UL << (FAR_FIRST + place / 3)) + (unsigned long)(place % 3) - 1) & UINT32_MAX;
}

static void make_calls(const struct way *way)
{
    const struct sigaction wake = { .sa_handler = woken };
    const struct itimerval soon = { { 0, WAKE_US }, { 0, WAKE_US } };
    const long self = getpid();

    (void)sigaction(SIGALRM, &wake, NULL);
    while (shared->next < way->places) {
        (void)setitimer(ITIMER_REAL, &soon, NULL);
        long nr = number_at(way, shared->next);
        long ret = way->old_entry ? raw_old(nr, -1L) : raw(nr, -1L);

        if (raw(SYS_getpid, 0) != self)
            (void)raw(SYS_exit_group, 0); /* another one, by fork */
        shared->outcome[shared->next] = ret < 0 && ret > -256 ? (int)-ret : 0;
        shared->next++;
    }
    _exit(0);
}

/* Let one process go on until it ends, and note what ended it. */
static int go_on(const struct way *way)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        make_calls(way);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    if (shared->next < way->places) {
        shared->outcome[shared->next] = WIFSIGNALED(status) ? SIGNAL + WTERMSIG(status) : GONE;
        shared->next++;
    }
    return 0;
}

static void print_outcome(int what)
{
    if (what >= SIGNAL)
        printf(" signal %d\n", what - SIGNAL);
    else if (what == GONE)
        printf(" gone\n");
    else
        printf(" %d\n", what);
}

static int try_all(const struct way *way)
{
    shared->next = 0;
    while (shared->next < way->places) {
        if (go_on(way) != 0)
            return -1;
    }
    return 0;
}

static void print_each(const struct way *way, const char *before)
{
    for (long i = 0; i < way->places; i++) {
        printf("%s%ld", before, number_at(way, i));
        print_outcome(shared->outcome[i]);
    }
}

static void print_ranges(void)
{
    long first = 0;

    for (long i = 0; i < NUMBERS; i++) {
        if (i + 1 < NUMBERS && shared->outcome[i + 1] == shared->outcome[first])
            continue;
        printf("%ld-%ld", first, i);
        print_outcome(shared->outcome[first]);
        first = i + 1;
    }
}

int main(int argc, char **argv)
{
    static const struct way native = { NUMBERS, 0, false, false };
    static const struct way x32 = { NUMBERS, X32_BIT, false, false };
    static const struct way int80 = { NUMBERS, 0, true, false };
    static const struct way far[] = { { FAR_PLACES, 0, false, true },
                                      { FAR_PLACES, 0, true, true } };
    const char *how = argc > 1 ? argv[1] : "native";

    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 2;
    if (strcmp(how, "far") == 0) {
        for (int i = 0; i < 2; i++) {
            if (try_all(&far[i]) != 0)
                return 3;
            print_each(&far[i], i == 0 ? "native " : "int80 ");
        }
        return 0;
    }
    if (strcmp(how, "native") == 0) {
        if (try_all(&native) != 0)
            return 3;
        print_each(&native, "");
        return 0;
    }
    if (try_all(strcmp(how, "x32") == 0 ? &x32 : &int80) != 0)
        return 3;
    print_ranges();
    return 0;
}
