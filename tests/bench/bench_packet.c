/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_packet: space packets, decoded and routed to one of 64 tenants by APID: 25
 * million packets one by one, each between two readings of the cycle counter, whose own cost is
 * measured and told; the same without the readings, for throughput; and the number of allocations
 * in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "link/packet.h"
#include "sim/rng.h"

#define PACKETS 25000000ULL
#define RING 4096U    /* packets that lie in memory, walked over again and again */
#define DATA_MAX 250U /* bytes of data of the largest: 1 KiB a frame carries four */
#define BUCKETS 4096U /* of one cycle each; the last one has all that took longer */
#define RUN 8U        /* packets between two readings */
#define ROUNDS 5U

static uint64_t allocations;

/* Counted, then done by the library: nothing of what is timed may come here. */
void *__libc_malloc(size_t n);
void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

struct ring {
    uint8_t bytes[RING * (PACKET_HEADER + DATA_MAX)];
    size_t n;
};

static uint64_t now_ns(void)
{
    struct timespec t;

    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        abort();
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

/* The cycle counter: of constant rate, read in order with what is timed. */
static inline uint64_t cycles(void)
{
#if defined(__x86_64__)
    uint64_t t;

    _mm_lfence();
    t = __rdtsc();
    _mm_lfence();
    return t;
#elif defined(__aarch64__)
    uint64_t t;

    __asm__ volatile("isb; mrs %0, cntvct_el0; isb" : "=r"(t)::"memory");
    return t;
#else
#error "no cycle counter known for this machine"
#endif
}

static double cycles_per_ns(void)
{
    uint64_t ns = now_ns();
    uint64_t c = cycles();

    while (now_ns() - ns < 100000000ULL)
        continue;
    return (double)(cycles() - c) / (double)(now_ns() - ns);
}

static void make(struct ring *ring, struct packet_routes *routes)
{
    struct rng rng = rng_make(7, 1);

    packet_routes_init(routes);
    for (uint32_t i = 0; i < PACKET_ROUTES; i++)
        if (packet_routes_add(routes, i * 31, i * 31 + 30, i, NULL) != RC_OK)
            abort();
    for (uint32_t i = 0; i < RING; i++) {
        uint64_t n = 1 + rng_below(&rng, DATA_MAX);
        uint8_t *p = ring->bytes + ring->n;

        bytes_put_be(p, 2, 0x0800 | rng_below(&rng, PACKET_ROUTES * 31));
        bytes_put_be(p + 2, 2, 0xc000 | i);
        bytes_put_be(p + 4, 2, n - 1);
        ring->n += PACKET_HEADER + (size_t)n;
    }
}

/* Decode the packet at *at, count it for its tenant, go on to the next one. */
static inline void one(const struct ring *ring, const struct packet_routes *routes,
                       uint64_t *counts, size_t *at)
{
    struct packet packet;

    if (packet_decode((struct bytes){ ring->bytes + *at, ring->n - *at }, &packet) != RC_OK)
        abort();
    counts[packet_route(routes, &packet) % PACKET_ROUTES] += packet.data.n;
    *at += PACKET_HEADER + packet.data.n;
    if (*at == ring->n)
        *at = 0;
}

/* The value below which a share of ppm lies, in cycles. */
static uint32_t percentile(const uint64_t *bucket, uint64_t total, uint64_t ppm)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < BUCKETS; i++) {
        seen += bucket[i];
        if (seen * 1000000 >= total * ppm)
            return i;
    }
    return BUCKETS - 1;
}

static void add(uint64_t *bucket, uint64_t took)
{
    bucket[took < BUCKETS ? took : BUCKETS - 1]++;
}

static void row(FILE *out, const char *figure, double value, const char *unit, const char *aim)
{
    (void)fprintf(out,
                  "{\"figure\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"peer\":null,\"peer_value\":"
                  "null,\"ratio\":null,\"aim\":\"%s\"}\n",
                  figure, value, unit, aim);
    (void)printf("  %-54s %10.2f %-12s (aim %s)\n", figure, value, unit, aim);
}

/* The smallest difference other than none that two readings show. */
static uint64_t reading_step(void)
{
    uint64_t least = UINT64_MAX;

    for (unsigned i = 0; i < 100000; i++) {
        uint64_t began = cycles();
        uint64_t now = cycles();

        while (now == began)
            now = cycles();
        least = now - began < least ? now - began : least;
    }
    return least;
}

/* Median of an empty pair of readings: what every single time has on top. */
static uint32_t reading_cost(void)
{
    static uint64_t bucket[BUCKETS];

    for (unsigned i = 0; i < 1000000; i++) {
        uint64_t began = cycles();

        add(bucket, cycles() - began);
    }
    return percentile(bucket, 1000000, 500000);
}

static double throughput(const struct ring *ring, const struct packet_routes *routes,
                         uint64_t *counts)
{
    uint64_t best = UINT64_MAX;

    for (unsigned r = 0; r < ROUNDS; r++) {
        size_t at = 0;
        uint64_t began = now_ns();

        for (uint64_t i = 0; i < PACKETS; i++)
            one(ring, routes, counts, &at);
        uint64_t took = now_ns() - began;

        best = took < best ? took : best;
    }
    return (double)PACKETS * 1000.0 / (double)best;
}

int main(int argc, char **argv)
{
    static struct ring ring;
    static struct packet_routes routes;
    static uint64_t bucket[BUCKETS];
    uint64_t counts[PACKET_ROUTES] = { 0 };
    size_t at = 0;
    FILE *out = argc == 2 ? fopen(argv[1], "we") : NULL;

    if (!out) {
        (void)fprintf(stderr, "usage: bench_packet FILE.jsonl\n");
        return 2;
    }
    make(&ring, &routes);
    double rate = cycles_per_ns();
    uint32_t cost = reading_cost();
    uint64_t before = allocations;

    for (uint64_t i = 0; i < PACKETS / RUN; i++) {
        uint64_t began = cycles();

        for (unsigned k = 0; k < RUN; k++)
            one(&ring, &routes, counts, &at);
        add(bucket, cycles() - began);
    }
    double mps = throughput(&ring, &routes, counts);
    uint64_t made = allocations - before;
    uint64_t sum = 0;

    for (size_t i = 0; i < PACKET_ROUTES; i++)
        sum += counts[i];
    (void)printf("packet (%llu packets of %zu bytes in all, checksum %llu)\n",
                 (unsigned long long)PACKETS, ring.n, (unsigned long long)sum);
    row(out, "cost of the two readings, taken off below", cost / rate, "ns", "none");
    row(out, "least step of the counter", (double)reading_step() / rate, "ns", "none");
    static const struct {
        const char *figure;
        uint64_t ppm;
        const char *aim;
    } shares[] = {
        { "space packet, decode and route, of runs of 8: median", 500000, "<= 4" },
        { "space packet, decode and route, of runs of 8: p99", 990000, "none" },
        { "space packet, decode and route, of runs of 8: p99.9", 999000, "<= 9" },
    };

    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        uint32_t c = percentile(bucket, PACKETS / RUN, shares[i].ppm);

        row(out, shares[i].figure, (c > cost ? c - cost : 0) / rate / RUN, "ns", shares[i].aim);
    }
    row(out, "space packets, decode and route, in one go", mps, "M packets/s", ">= 200");
    row(out, "allocations in 150 million packets", (double)made, "", "0");
    return fclose(out) == 0 ? 0 : 1;
}
