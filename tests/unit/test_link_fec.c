/* SPDX-License-Identifier: Apache-2.0
 *
 * link/fec: any k of a group's chunks and repairs give the chunks back, and nothing is solved from
 * fewer.  The field is checked against multiplication written out from its polynomial.
 */
#include "tests/unit/link_fixture.h"

#include "link/fec.h"

#define VECTOR 80U

/* Multiplication in GF(256) with polynomial 0x11d, bit by bit. */
static uint8_t times(uint8_t a, uint8_t b)
{
    unsigned product = 0, shifted = a;

    for (unsigned bit = 0; bit < 8; bit++, shifted <<= 1) {
        if ((shifted & 0x100) != 0)
            shifted ^= 0x11d;
        if ((b >> bit & 1) != 0)
            product ^= shifted;
    }
    return (uint8_t)product;
}

static void the_field_is_the_documented_one(void **state)
{
    uint8_t in[VECTOR], out[VECTOR];

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        for (unsigned at = 0; at < 256; at += VECTOR) {
            for (unsigned i = 0; i < VECTOR; i++) {
                in[i] = (uint8_t)(at + i);
                out[i] = (uint8_t)(i * 7);
            }
            fec_add((uint8_t)c, in, out, VECTOR);
            for (unsigned i = 0; i < VECTOR; i++)
                assert_int_equal(out[i], (uint8_t)(i * 7) ^ times((uint8_t)c, in[i]));
        }
    }
    for (uint32_t k = 1; k <= FEC_DATA_MAX; k++)
        for (uint32_t place = 0; place < k; place++)
            for (uint32_t r = 0; r < FEC_REPAIR_MAX; r++)
                assert_int_equal(times(fec_coefficient(k, r, place), (uint8_t)((k + r) ^ place)),
                                 1);
}

static void groups_hold_every_chunk_once(void **state)
{
    (void)state;
    for (uint32_t chunks = 1; chunks <= CHUNKS_MAX; chunks += chunks < 300 ? 1 : 61) {
        uint32_t sum = 0;

        for (uint32_t g = 0; g < fec_groups(chunks); g++) {
            assert_true(fec_group_size(chunks, g) >= 1);
            assert_true(fec_group_size(chunks, g) <= FEC_DATA_MAX);
            sum += fec_group_size(chunks, g);
        }
        assert_int_equal(sum, chunks);
    }
    assert_int_equal(fec_groups(CHUNKS_MAX), FEC_GROUPS_MAX);
}

static uint8_t data[FEC_DATA_MAX][VECTOR];
static uint8_t repairs[FEC_REPAIR_MAX][VECTOR];

static void fill(uint32_t k, uint64_t *seed)
{
    memset(repairs, 0, sizeof repairs);
    for (uint32_t i = 0; i < k; i++)
        for (uint32_t b = 0; b < VECTOR; b++)
            data[i][b] = (uint8_t)link_random(seed);
    for (uint32_t r = 0; r < FEC_REPAIR_MAX; r++)
        for (uint32_t i = 0; i < k; i++)
            fec_add(fec_coefficient(k, r, i), data[i], repairs[r], VECTOR);
}

/* Solve, and make every missing chunk from what is not missing. */
static void assert_solved(const struct fec_problem *p)
{
    static uint8_t matrix[FEC_DATA_MAX * FEC_DATA_MAX];
    struct err err = { 0 };

    assert_rc(fec_solve(p, matrix, &err), RC_OK);
    for (uint32_t m = 0; m < p->n_missing; m++) {
        uint8_t out[VECTOR] = { 0 };
        uint32_t at = 0;

        for (uint32_t i = 0; i < p->k; i++) {
            bool gone = at < p->n_missing && p->missing[at] == i;

            fec_add(matrix[m * p->k + i], gone ? repairs[p->repair[at]] : data[i], out, VECTOR);
            at += gone;
        }
        assert_memory_equal(out, data[p->missing[m]], VECTOR);
    }
}

/* Every choice of k out of k chunks and three repairs, for small groups. */
static void every_choice_of_small_groups(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (uint32_t k = 1; k <= 8; k++) {
        fill(k, &seed);
        for (uint32_t lost = 1; lost < 1U << (k + 3); lost++) {
            struct fec_problem p = { .k = k };
            uint32_t n_repairs = 0;

            for (uint32_t i = 0; i < k; i++)
                if ((lost >> i & 1) != 0)
                    p.missing[p.n_missing++] = (uint8_t)i;
            for (uint32_t r = 0; r < 3; r++)
                if ((lost >> (k + r) & 1) == 0)
                    p.repair[n_repairs++] = (uint8_t)r;
            if (p.n_missing > 0 && n_repairs == p.n_missing)
                assert_solved(&p);
        }
    }
}

/* Random losses of the largest group, all of it lost among them. */
static void random_choices_of_large_groups(void **state)
{
    uint64_t seed = 11;

    (void)state;
    for (int round = 0; round < 40; round++) {
        uint32_t k =
            round % 4 == 0 ? FEC_DATA_MAX : 1 + (uint32_t)(link_random(&seed) % FEC_DATA_MAX);
        struct fec_problem p = { .k = k };
        uint32_t want = round % 8 == 0 ? k : 1 + (uint32_t)(link_random(&seed) % k);
        bool used[FEC_REPAIR_MAX] = { 0 };

        fill(k, &seed);
        for (uint32_t i = 0; i < k; i++) /* picks `want` of k, rising */
            if (link_random(&seed) % (k - i) < want - p.n_missing)
                p.missing[p.n_missing++] = (uint8_t)i;
        assert_int_equal(p.n_missing, want);
        for (uint32_t j = 0; j < want;) {
            uint32_t r = (uint32_t)(link_random(&seed) % FEC_REPAIR_MAX);

            if (!used[r])
                p.repair[j++] = (uint8_t)r;
            used[r] = true;
        }
        assert_solved(&p);
    }
}

/* Of one repair more, all that it hangs together with is zero; where one of the others is wrong,
 * the ratio of its factor to its weight takes the error out of what was solved. */
static void one_more_tells_the_wrong_one(void **state)
{
    static uint8_t matrix[FEC_DATA_MAX * FEC_DATA_MAX];
    uint64_t seed = 13;
    struct err err;

    (void)state;
    for (uint32_t k = 2; k <= FEC_DATA_MAX; k += 7) {
        const uint32_t lost = 1 + (uint32_t)(link_random(&seed) % (k - 1));
        struct fec_problem p = { .k = k, .n_missing = lost };
        uint8_t weight[FEC_DATA_MAX], rest[VECTOR], out[VECTOR] = { 0 };

        fill(k, &seed);
        for (uint32_t i = 0; i < lost; i++) {
            p.missing[i] = (uint8_t)(k - lost + i);
            p.repair[i] = (uint8_t)(2 * i % FEC_REPAIR_MAX + (2 * i >= FEC_REPAIR_MAX));
        }
        const uint32_t more = FEC_REPAIR_MAX - 1, wrong = (uint32_t)(link_random(&seed) % lost);
        const uint32_t place = p.missing[wrong];

        assert_rc(fec_solve(&p, matrix, &err), RC_OK);
        fec_weigh(&p, matrix, more, weight);
        for (int error = 0; error < 2; error++) {
            memcpy(rest, repairs[more], VECTOR);
            memset(out, 0, VECTOR);
            for (uint32_t i = 0; i < k; i++) {
                const uint8_t *in = i < k - lost ? data[i] : repairs[p.repair[i - (k - lost)]];

                fec_add(weight[i], in, rest, VECTOR);
                fec_add(matrix[i], in, out, VECTOR);
            }
            const bool zero = rest[0] == 0 && memcmp(rest, rest + 1, VECTOR - 1) == 0;

            assert_int_equal(zero, error == 0);
            if (error == 1)
                fec_add(fec_ratio(matrix[place], weight[place]), rest, out, VECTOR);
            assert_memory_equal(out, data[p.missing[0]], VECTOR);
            repairs[p.repair[wrong]][VECTOR / 2] ^= 0x5a; /* for the second time */
        }
    }
    assert_int_equal(fec_ratio(7, 0), 0);
    assert_int_equal(fec_ratio(0, 7), 0);
}

static void a_repair_named_twice_solves_nothing(void **state)
{
    struct fec_problem p = { .k = 5, .n_missing = 2, .missing = { 1, 3 }, .repair = { 9, 9 } };
    uint8_t matrix[10];
    struct err err;

    (void)state;
    assert_rc(fec_solve(&p, matrix, &err), RC_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_field_is_the_documented_one),
        cmocka_unit_test(groups_hold_every_chunk_once),
        cmocka_unit_test(every_choice_of_small_groups),
        cmocka_unit_test(random_choices_of_large_groups),
        cmocka_unit_test(one_more_tells_the_wrong_one),
        cmocka_unit_test(a_repair_named_twice_solves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
