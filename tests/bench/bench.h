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

static inline int bench_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Of n values, which it sorts; 0 when there are none. */
static inline double bench_median(uint64_t *list, size_t n)
{
    qsort(list, n, sizeof list[0], bench_compare);
    return n == 0 ? 0 : (double)list[n / 2];
}

/* One figure beside that of a peer, as a line of the file and for people.  aim: how many times that
 * of the peer at most, 0 = none. */
static inline void bench_row(FILE *out, const char *figure, double value, const char *unit,
                             const char *peer, double peer_value, double aim)
{
    char text[400] = "-";
    double ratio = peer_value > 0 ? value / peer_value : 0;

    if (aim > 0)
        (void)snprintf(text, sizeof text, "<= %.2f", aim);
    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.0f,\"unit\":\"%s\",\"peer\":\"%s\","
                  "\"peer_value\":%.0f,\"ratio\":%.2f,\"aim\":\"%s\"}\n",
                  figure, value, unit, peer, peer_value, ratio, text);
    (void)printf("  %-46s %9.0f %-4s %s: %.0f, ratio %.2f  (aim %s)\n", figure, value, unit, peer,
                 peer_value, ratio, text);
}

static inline double bench_s(clockid_t clock)
{
    return (double)bench_ns(clock) / 1e9;
}

#endif
