/* SPDX-License-Identifier: Apache-2.0
 *
 * What a transfer costs: over any loss, with and without a way back, with reports that are lost and
 * satellites that start anew, every object arrives; and of what arrives, next to nothing was there
 * before.  tests/bench/bench_transfer prints the same for larger objects and more seeds.
 */
#include "tests/unit/link_sim.h"

#if defined(BERTH_SANITIZED)
#define MEANS 4 /* runs whose mean counts */
#define SEEDS 4 /* ten times slower, and no other path */
#else
#define MEANS 10
#define SEEDS 25
#endif

/* Every seed of every row: the object is there in the end, byte for byte. */
static void always_whole(void **state)
{
    static const struct sim_case rows[] = {
        { "no loss", 150000, 2048, 0, 0, 1, 0, 0, 0 },
        { "5 %", 150000, 2048, 50, 50, 1, 100, 0, 0 },
        { "30 %", 150000, 2048, 300, 300, 1, 100, 0, 0 },
        { "30 % in bursts", 150000, 2048, 300, 300, 15, 100, 30000, 0 },
        { "30 %, repairs", 150001, 2048, 300, 300, 1, 100, 0, 20 },
        { "50 %", 150000, 2048, 500, 500, 1, 100, 0, 0 },
        { "86 %, few reports", 150000, 2048, 860, 860, 1, 50, 0, 0 },
        { "no loss, one way", 150000, 2048, 0, 1000, 1, 0, 0, 0 },
        { "30 %, one way", 149999, 2048, 300, 1000, 1, 100, 0, 0 },
        { "30 %, one way, two groups", 150000, 1024, 300, 1000, 1, 100, 40000, 0 },
        { "50 % in bursts, one way", 150000, 2048, 500, 1000, 15, 100, 0, 0 },
        { "86 %, one way", 150000, 2048, 860, 1000, 1, 50, 0, 0 },
    };
    const char *text = getenv("BERTH_SEEDS");
    const uint64_t seeds = text != NULL ? strtoull(text, NULL, 10) : SEEDS;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            struct sim_result r = sim_run(&rows[i], seed);

            if (!r.whole)
                fail_msg("%s, seed %llu: not there after %u passes", rows[i].name,
                         (unsigned long long)seed, r.passes);
        }
    }
}

/* At 30 % loss 1.45 bytes on the air for each of the object are 1.015 that arrive; and what is lost
 * is luck, what arrives twice is not.  A restart forgets chunks that came before their descriptor.
 */
static void little_comes_twice(void **state)
{
    static const struct {
        struct sim_case c;
        double most; /* bytes that arrive for each of the object, on average */
    } rows[] = {
        { { "no loss", 1 << 21, 0, 0, 0, 1, 0, 0, 0 }, 1.015 },
        { { "no loss, in parts", 1 << 21, 0, 0, 0, 1, 0, 300000, 0 }, 1.015 },
        { { "30 %", 1 << 21, 0, 300, 300, 1, 0, 0, 0 }, 1.015 },
        { { "30 %, in parts", 1 << 21, 0, 300, 300, 1, 0, 700000, 0 }, 1.015 },
        { { "30 %, restarts", 1 << 21, 0, 300, 300, 1, 500, 700000, 0 }, 1.06 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t arrived = 0;

        for (uint64_t seed = 1; seed <= MEANS; seed++) {
            struct sim_result r = sim_run(&rows[i].c, seed);

            assert_true(r.whole);
            arrived += r.arrived;
        }
        const double each = (double)arrived / ((double)MEANS * (double)rows[i].c.size);

        print_message("  %-20s %.4f bytes arrive for each\n", rows[i].c.name, each);
        if (each > rows[i].most)
            fail_msg("%s: %.4f bytes for each of the object", rows[i].c.name, each);
    }
}

/* With a way back, a chunk goes a second time only when a report says that it is missing: without
 * loss nothing does, however many passes it takes. */
static void nothing_twice_without_loss(void **state)
{
    static const struct sim_case c = {
        "no loss, small passes", 1 << 21, 0, 0, 500, 1, 300, 100000, 0
    };

    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct sim_result r = sim_run(&c, seed);

        assert_true(r.whole);
        assert_in_range(r.passes, 10, 13);
        assert_in_range(r.bundles, 65, 65 + r.passes); /* 64 chunks, and descriptors */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(always_whole),
        cmocka_unit_test(little_comes_twice),
        cmocka_unit_test(nothing_twice_without_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
