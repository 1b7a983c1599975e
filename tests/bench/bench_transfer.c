/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_transfer: how many bytes go up for every byte of an object, by loss, with and
 * without a way back, beside what no protocol can beat: 1 / (1 - loss).  Nothing here is timed: the
 * figures are the same on every machine.
 */
#include "tests/unit/link_sim.h"

#define SEEDS 30U
#define MIB (1024U * 1024U)

/* A figure, and the aim it has if any. */
struct row {
    struct sim_case c;
    double aim; /* most bytes on the air for each of the object; 0 = none */
};

static const struct row rows[] = {
    { { "loss 0 %, reports", 8 * MIB, 0, 0, 0, 1, 0, 0, 0 }, 1.03 },
    { { "loss 5 %, reports", 8 * MIB, 0, 50, 50, 1, 0, 0, 0 }, 0 },
    { { "loss 30 %, reports", 8 * MIB, 0, 300, 300, 1, 0, 0, 0 }, 1.45 },
    { { "loss 30 % in bursts of 20, reports", 8 * MIB, 0, 300, 300, 20, 0, 0, 0 }, 1.45 },
    { { "loss 30 %, 1 MiB per burst, reports", 8 * MIB, 0, 300, 300, 1, 0, MIB, 0 }, 1.45 },
    { { "loss 30 %, restarts, reports", 8 * MIB, 0, 300, 300, 1, 300, MIB, 0 }, 1.45 },
    { { "loss 30 %, reports and 10 % repairs", 8 * MIB, 0, 300, 300, 1, 0, 0, 10 }, 0 },
    { { "loss 50 %, reports", 8 * MIB, 0, 500, 500, 1, 0, 0, 0 }, 0 },
    { { "loss 86 %, reports", 8 * MIB, 0, 860, 500, 1, 0, 0, 0 }, 0 },
    { { "loss 0 %, one way", 8 * MIB, 0, 0, 1000, 1, 0, 0, 0 }, 0 },
    { { "loss 5 %, one way", 8 * MIB, 0, 50, 1000, 1, 0, 0, 0 }, 0 },
    { { "loss 30 %, one way", 8 * MIB, 0, 300, 1000, 1, 0, 0, 0 }, 0 },
    { { "loss 30 % in bursts of 20, one way", 8 * MIB, 0, 300, 1000, 20, 0, 0, 0 }, 0 },
    { { "loss 50 %, one way", 8 * MIB, 0, 500, 1000, 1, 0, 0, 0 }, 0 },
    { { "loss 86 %, one way", 8 * MIB, 0, 860, 1000, 1, 0, 0, 0 }, 0 },
};

static void report(FILE *out, const struct row *row, const struct sim_result *sum,
                   uint32_t passes_max)
{
    const double per_byte = (double)sum->air / ((double)row->c.size * SEEDS);
    const double bound = 1000.0 / (1000.0 - row->c.up_loss);

    (void)fprintf(
        out,
        "{\"figure\":\"transfer, %s\",\"value\":%.4f,\"unit\":\"B/B\",\"peer\":\"1 / (1 - "
        "loss)\",\"peer_value\":%.4f,\"ratio\":%.4f,\"passes\":%.2f,\"passes_max\":%u,"
        "\"seeds\":%u,",
        row->c.name, per_byte, bound, per_byte / bound, (double)sum->passes / SEEDS, passes_max,
        SEEDS);
    if (row->aim > 0)
        (void)fprintf(out, "\"aim\":\"<= %.2f\"}\n", row->aim);
    else
        (void)fprintf(out, "\"aim\":null}\n");
    (void)printf("  %-40s %7.4f B/B, bound %.4f, %6.2f passes (most %u)", row->c.name, per_byte,
                 bound, (double)sum->passes / SEEDS, passes_max);
    (void)printf(row->aim > 0 ? "  (aim <= %.2f)\n" : "\n", row->aim);
}

static void run(FILE *out, const struct row *row)
{
    struct sim_result sum = { 0 };
    uint32_t passes_max = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_result r = sim_run(&row->c, seed);

        if (!r.whole)
            abort();
        sum.air += r.air;
        sum.passes += r.passes;
        passes_max = r.passes > passes_max ? r.passes : passes_max;
    }
    report(out, row, &sum, passes_max);
}

int main(int argc, char **argv)
{
    FILE *out = fopen(argc > 1 ? argv[1] : "/dev/null", "w");

    if (out == NULL) {
        perror("bench_transfer");
        return 1;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        run(out, &rows[i]);
    return fclose(out) == 0 ? 0 : 1;
}
