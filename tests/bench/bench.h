/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench: what every program that measures needs: ending with a word when something
 * fails, and clocks.
 */
#ifndef BERTH_TESTS_BENCH_BENCH_H
#define BERTH_TESTS_BENCH_BENCH_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"

/* End the program unless it went well. */
static inline void must(bool ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s: %s", program_invocation_short_name, what);
    if (errno != 0)
        (void)fprintf(stderr, ": %s", strerror(errno));
    (void)fputc('\n', stderr);
    exit(1);
}

static inline void must_rc(enum rc rc, const struct err *err)
{
    char text[256];

    if (rc == RC_OK)
        return;
    (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name,
                  err_text(err, text, sizeof text));
    exit(1);
}

/* Nanoseconds of CLOCK_MONOTONIC, for what takes as long as it takes; of CLOCK_PROCESS_CPUTIME_ID
 * for what only computes, on a machine that has other work, too. */
static inline uint64_t bench_ns(clockid_t clock)
{
    struct timespec t;

    must(clock_gettime(clock, &t) == 0, "clock");
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static inline double bench_s(clockid_t clock)
{
    return (double)bench_ns(clock) / 1e9;
}

#endif
