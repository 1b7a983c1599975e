/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_seccomp: what the filters of a payload cost: a call that is always allowed, one
 * that is allowed by its argument (the last of a list, too), one that is refused and written to the
 * audit log; each beside the same call without a filter.  In processes of their own, by turns; the
 * processor time of the median one.  And what making and loading a filter takes.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/seccomp.h"
#include "tests/bench/bench.h"

#define ROUNDS 15U
#define CALLS 200000U
#define REFUSED_CALLS 20000U

struct subject {
    const char *name;
    long nr;
    long arg[3];
    uint32_t calls;
    const char *aim;
};

static const struct subject subjects[] = {
    { "getppid, always allowed", SYS_getppid, { 0 }, CALLS, "<= +50 ns" },
    { "fcntl F_GETFD, by argument", SYS_fcntl, { 0, F_GETFD, 0 }, CALLS, "<= +100 ns" },
    { "madvise, last of 20 values", SYS_madvise, { 0, 0, 103 }, CALLS, "<= +100 ns" },
    { "umount2, refused and logged", SYS_umount2, { 0, 0, 0 }, REFUSED_CALLS, "none" },
};

static struct seccomp_program program;
static uint64_t *shared;

static void in_child(bool filtered, const struct subject *s)
{
    pid_t pid = fork();
    int status = 0;

    must(pid >= 0, "fork");
    if (pid == 0) {
        must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0, "no_new_privs");
        uint64_t began = bench_ns(CLOCK_PROCESS_CPUTIME_ID);

        must(!filtered || seccomp_apply(&program) == 0, "filter");
        shared[1] = bench_ns(CLOCK_PROCESS_CPUTIME_ID) - began;
        began = bench_ns(CLOCK_PROCESS_CPUTIME_ID);
        for (uint32_t i = 0; i < s->calls; i++)
            (void)syscall(s->nr, s->arg[0], s->arg[1], s->arg[2]);
        shared[0] = bench_ns(CLOCK_PROCESS_CPUTIME_ID) - began;
        _exit(0);
    }
    must(waitpid(pid, &status, 0) == pid && status == 0, "child");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *list)
{
    qsort(list, ROUNDS, sizeof list[0], compare);
    return list[ROUNDS / 2];
}

static void tell(FILE *out, const char *figure, double value, const char *unit, double peer,
                 const char *aim)
{
    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.1f,\"unit\":\"%s\",\"peer\":\"no filter\","
                  "\"peer_value\":%.1f,\"aim\":\"%s\"}\n",
                  figure, value, unit, peer, aim);
    (void)printf("  %-42s %10.1f %s     no filter: %.1f  (aim %s)\n", figure, value, unit, peer,
                 aim);
}

static void measure(FILE *out, const struct subject *s, double *ret_load_us)
{
    double with[ROUNDS];
    double without[ROUNDS];
    double load[ROUNDS];
    char figure[64];

    for (size_t i = 0; i < ROUNDS; i++) {
        for (size_t turn = 0; turn < 2; turn++) {
            bool filtered = (turn + i) % 2 == 0;

            in_child(filtered, s);
            (filtered ? with : without)[i] = (double)shared[0] / s->calls;
            if (filtered)
                load[i] = (double)shared[1] / 1000.0;
        }
    }
    (void)snprintf(figure, sizeof figure, "seccomp: %s", s->name);
    tell(out, figure, median(with), "ns", median(without), s->aim);
    *ret_load_us = median(load);
}

static void measure_build(FILE *out)
{
    double took[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t began = bench_ns(CLOCK_PROCESS_CPUTIME_ID);

        for (uint32_t mask = 0; mask < PROFILE_MASKS; mask++)
            must_rc(seccomp_build(SECCOMP_PAYLOAD, mask, CALLS_NATIVE, &program, NULL), NULL);
        took[i] = (double)(bench_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / 1000.0 / PROFILE_MASKS;
    }
    tell(out, "seccomp: making a filter from the tables", median(took), "us", 0, "<= 300 us");
}

/* What a start waits for at most, for the payload's filter. */
static void measure_hold(FILE *out)
{
    double took[ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t began = bench_ns(CLOCK_PROCESS_CPUTIME_ID);

        for (size_t k = 0; k < 100; k++)
            must(seccomp_whole(&program), "a filter has a wrong bit");
        took[i] = (double)(bench_ns(CLOCK_PROCESS_CPUTIME_ID) - began) / 1000.0 / 100;
    }
    tell(out, "seccomp: holding a filter against its digest", median(took), "us", 0, "<= 150 us");
}

int main(int argc, char **argv)
{
    FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;
    double load_us = 0;

    must(out != NULL, "usage: bench_seccomp OUTPUT.jsonl");
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(shared != MAP_FAILED, "mmap");
    measure_build(out);
    must_rc(seccomp_build(SECCOMP_PAYLOAD, 0, CALLS_NATIVE, &program, NULL), NULL);
    for (size_t i = 0; i < sizeof subjects / sizeof subjects[0]; i++)
        measure(out, &subjects[i], &load_us);
    measure_hold(out);
    tell(out, "seccomp: loading both programs", load_us, "us", 0, "<= 150 us");
    return fclose(out) == 0 ? 0 : 1;
}
