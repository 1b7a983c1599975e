/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs inside a sandbox: a well-behaved payload with a period, and how late it is.
 *   sandbox_neighbour PERIOD_US TIMES
 * Each period it works on 64 KiB, takes 16 fresh pages and gives them back, and writes and reads
 * back a block of a file in /tmp.  Late by: from the moment that it was due, by the clock, until
 * that is done; it is due again one period after that, so that no delay is counted twice.  Prints
 * "late p50 p99 max" in microseconds.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FRESH (16U * 4096U)
#define BLOCK 4096U
#define TIMES_MAX 100000U
#define WARM_UP 20U

static uint32_t late_us[TIMES_MAX];
static uint32_t words[16384];
static char block[BLOCK];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void work(int fd)
{
    uint32_t sum = words[0];

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        words[i] = sum = sum * 1664525U + words[i];
    char *fresh = mmap(NULL, FRESH, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh == MAP_FAILED)
        fail("mmap");
    memset(fresh, (int)sum, FRESH);
    munmap(fresh, FRESH);
    memset(block, (int)sum, sizeof block);
    if (pwrite(fd, block, sizeof block, 0) != sizeof block ||
        pread(fd, block, sizeof block, 0) != sizeof block)
        fail("file");
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    long period_us = argc == 3 ? strtol(argv[1], NULL, 10) : 0;
    size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    int fd = open("/tmp/block", O_RDWR | O_CREAT, 0600);
    struct timespec due, now;

    if (period_us < 1 || n < 100 || n > TIMES_MAX || fd < 0)
        fail("usage: sandbox_neighbour PERIOD_US TIMES");
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (size_t i = 0; i < n + WARM_UP; i++) {
        due = now;
        due.tv_nsec += period_us * 1000;
        for (; due.tv_nsec >= 1000000000; due.tv_nsec -= 1000000000)
            due.tv_sec++;
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0)
            fail("sleep");
        work(fd);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (i >= WARM_UP)
            late_us[i - WARM_UP] = (uint32_t)((now.tv_sec - due.tv_sec) * 1000000 +
                                              (now.tv_nsec - due.tv_nsec) / 1000);
    }
    qsort(late_us, n, sizeof late_us[0], compare);
    printf("late %u %u %u\n", late_us[n / 2], late_us[n * 99 / 100], late_us[n - 1]);
    return 0;
}
