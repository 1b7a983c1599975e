/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "base/sum.h"

/* The examples of FIPS 180-4. */
static void known_answers(void **state)
{
    static const struct {
        const char *text, *sum;
    } rows[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t sum[SUM_SIZE];
        char hex[2 * SUM_SIZE + 1];

        sum_of(bytes_of(rows[i].text), sum);
        assert_string_equal(bytes_hex((struct bytes){ .p = sum, .n = sizeof sum }, hex),
                            rows[i].sum);
    }
}

/* Every length around the ends of blocks, held against the library. */
static void same_as_the_library(void **state)
{
    uint8_t data[400];
    struct err err;

    (void)state;
    crypto_random(data, sizeof data);
    for (size_t n = 0; n <= sizeof data; n++) {
        uint8_t ours[SUM_SIZE], theirs[SUM_SIZE];

        sum_of((struct bytes){ .p = data, .n = n }, ours);
        assert_int_equal(sha256_of((struct bytes){ .p = data, .n = n }, theirs, &err), RC_OK);
        assert_memory_equal(ours, theirs, SUM_SIZE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(same_as_the_library),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
