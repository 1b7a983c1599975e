/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "link/crc.h"

static void test_check_values(void **state)
{
    struct bytes nine = bytes_of("123456789");

    (void)state;
    assert_int_equal(crc16_x25(0, nine), 0x906e);
    assert_int_equal(crc32c(0, nine), 0xe3069283);
    assert_int_equal(crc32c_table(0, nine), 0xe3069283);
    assert_int_equal(crc16_x25(0, (struct bytes){ 0 }), 0);
    assert_int_equal(crc32c(0, (struct bytes){ 0 }), 0);
}

/* RFC 3720 appendix B.4. */
static void test_rfc3720(void **state)
{
    uint8_t data[32];
    struct bytes view = { .p = data, .n = sizeof data };

    (void)state;
    memset(data, 0, sizeof data);
    assert_int_equal(crc32c(0, view), 0x8a9136aa);
    memset(data, 0xff, sizeof data);
    assert_int_equal(crc32c(0, view), 0x62a8ab43);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)i;
    assert_int_equal(crc32c(0, view), 0x46dd794e);
}

/* Every length around the word size, at every alignment, in one piece and in two. */
static void test_hardware_equals_table(void **state)
{
    static const uint8_t nothing[4] = { 0 };
    const struct bytes zero = { .p = nothing, .n = sizeof nothing };
    uint8_t data[300];
    unsigned compared = 0;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 + 7);
    for (size_t at = 0; at < 8; at++) {
        for (size_t n = 0; n + at <= sizeof data; n++) {
            struct bytes all = { .p = data + at, .n = n };
            struct bytes head = { .p = data + at, .n = n / 3 };
            struct bytes tail = { .p = data + at + n / 3, .n = n - n / 3 };
            uint32_t want = crc32c_table(0, all);

            assert_int_equal(crc32c(0, all), want);
            assert_int_equal(crc32c(crc32c(0, head), tail), want);
            assert_int_equal(crc32c_zero4(want), crc32c_table(want, zero));
            assert_int_equal(crc32c_table(crc32c_table(0, head), tail), want);
            assert_int_equal(crc16_x25(crc16_x25(0, head), tail), crc16_x25(0, all));
            compared++;
        }
    }
    print_message("%u pieces compared, CRC-32C in hardware: %s\n", compared,
                  crc32c_in_hardware() ? "yes" : "no");
    assert_true(compared > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_values),
        cmocka_unit_test(test_rfc3720),
        cmocka_unit_test(test_hardware_equals_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
