/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "orchestrator/cost.h"

static void passes_are_rounded_up(void **state)
{
    static const struct {
        uint64_t rate, pass_s, bytes;
        const char *text;
    } rows[] = {
        { 9600, 480, 0, "0.0 passes" },
        { 9600, 480, 1, "0.1 passes" },
        { 9600, 480, 57600, "0.1 passes" }, /* a tenth of 576,000 */
        { 9600, 480, 57601, "0.2 passes" },
        { 9600, 480, 576000, "1.0 pass" },
        { 9600, 480, 576001, "1.1 passes" },
        { 1000000, 600, 75000000, "1.0 pass" },
        { 1, 1, 1, "8.0 passes" },
        { 1000000000000, 86400, UINT64_MAX, "0.2 passes" },
        { 1, 1, UINT64_MAX, "9007199254740992.0 passes" },
    };
    char out[COST_TEXT_CAP];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct cost cost = { .rate = rows[i].rate, .pass_s = rows[i].pass_s };

        assert_string_equal(cost_text(&cost, rows[i].bytes, out), rows[i].text);
    }
}

static void digits_are_grouped(void **state)
{
    static const struct {
        uint64_t n;
        const char *text;
    } rows[] = {
        { 0, "0" },          { 999, "999" },           { 1000, "1,000" },
        { 48831, "48,831" }, { 1184792, "1,184,792" }, { UINT64_MAX, "18,446,744,073,709,551,615" },
    };
    char out[COST_TEXT_CAP];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(cost_bytes(rows[i].n, out), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_are_rounded_up),
        cmocka_unit_test(digits_are_grouped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
