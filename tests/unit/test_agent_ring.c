/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "agent/ring.h"

#define ITEMS 1000U
#define STARTS 64U

static struct digest place(uint8_t first, uint8_t last)
{
    struct digest d = { 0 };

    d.b[0] = first;
    d.b[DIGEST_SIZE - 1] = last;
    return d;
}

static void goes_round_once(void **state)
{
    const struct digest start = place(0x40, 7), same = start;
    const struct digest before = place(0x40, 6), behind = place(0x40, 8), far = place(0xff, 0);

    (void)state;
    assert_true(ring_before(&start, &behind, &far));
    assert_true(ring_before(&start, &far, &before));
    assert_true(ring_before(&start, &before, &same)); /* where the last one stopped comes last */
    assert_false(ring_before(&start, &same, &behind));
    assert_false(ring_before(&start, &behind, &behind));
}

static void starts_are_spread(void **state)
{
    static const uint8_t first[] = { 0x00, 0x80, 0x40, 0xc0, 0x20, 0xa0, 0x60, 0xe0 };

    (void)state;
    for (uint64_t epoch = 0; epoch < sizeof first; epoch++) {
        const struct digest start = ring_start(epoch), want = place(first[epoch], 0);

        assert_memory_equal(&start, &want, sizeof want);
    }
    const struct digest high = ring_start(UINT64_C(1) << 63);
    assert_int_equal(high.b[7], 1);
}

static struct digest now_from;

static int by_turn(const void *a, const void *b)
{
    return ring_before(&now_from, a, b) ? -1 : ring_before(&now_from, b, a) ? 1 : 0;
}

static void make_items(struct digest *items)
{
    uint32_t x = 7;

    for (uint32_t i = 0; i < ITEMS; i++)
        for (size_t k = 0; k < DIGEST_SIZE; k++) {
            x = x * 1664525U + 1013904223U;
            items[i].b[k] = (uint8_t)(x >> 24);
        }
}

/* Every round is cut short after a twentieth of the items: after so many, all have been read. */
static void rounds_cut_short_reach_everything(void **state)
{
    static struct digest items[ITEMS], read[ITEMS];
    uint32_t n = 0;

    (void)state;
    make_items(items);
    now_from = ring_start(5);
    for (uint32_t round = 0; round < 20; round++) {
        qsort(items, ITEMS, sizeof items[0], by_turn);
        memcpy(&read[n], items, ITEMS / 20 * sizeof items[0]);
        n += ITEMS / 20;
        now_from = read[n - 1];
    }
    now_from = (struct digest){ 0 };
    qsort(read, ITEMS, sizeof read[0], by_turn);
    for (uint32_t i = 1; i < ITEMS; i++)
        assert_true(memcmp(&read[i - 1], &read[i], sizeof read[0]) < 0);
}

/* The agent starts again and again, and never reads more than a sixteenth. */
static void starts_cut_short_reach_everything(void **state)
{
    static struct digest items[ITEMS], read[STARTS * ITEMS / 16];
    uint32_t n = 0;

    (void)state;
    make_items(items);
    for (uint64_t epoch = 1000; epoch < 1000 + STARTS; epoch++) {
        now_from = ring_start(epoch);
        qsort(items, ITEMS, sizeof items[0], by_turn);
        for (uint32_t i = 0; i < ITEMS / 16; i++)
            read[n++] = items[i];
    }
    for (uint32_t i = 0; i < ITEMS; i++) {
        bool found = false;

        for (uint32_t k = 0; k < n; k++)
            found |= memcmp(&items[i], &read[k], sizeof items[i]) == 0;
        assert_true(found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_round_once),
        cmocka_unit_test(starts_are_spread),
        cmocka_unit_test(rounds_cut_short_reach_everything),
        cmocka_unit_test(starts_cut_short_reach_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
