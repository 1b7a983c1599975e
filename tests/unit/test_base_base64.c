/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <string.h>

#include "base/base64.h"

/* RFC 4648 section 10, and both ends of the alphabet. */
static const struct {
    const char *bytes;
    const char *text;
} pairs[] = {
    { "", "" },
    { "f", "Zg==" },
    { "fo", "Zm8=" },
    { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" },
    { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" },
    { "\xfb\xff\xbf", "+/+/" },
};

static void goes_there_and_back(void **state)
{
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        uint8_t out[8];
        char text[16];
        size_t n = 99;

        base64_encode(bytes_of(pairs[i].bytes), text);
        assert_string_equal(text, pairs[i].text);
        assert_int_equal(strlen(text), BASE64_LEN(strlen(pairs[i].bytes)));
        assert_rc(base64_decode(bytes_of(text), out, sizeof out, &n, &err), RC_OK);
        assert_int_equal(n, strlen(pairs[i].bytes));
        assert_memory_equal(out, pairs[i].bytes, n);
    }
    for (unsigned b = 0; b < 256; b++) { /* every byte, at every place */
        const uint8_t in[3] = { (uint8_t)b, (uint8_t)(255 - b), (uint8_t)(b * 7) };

        for (size_t k = 1; k <= 3; k++) {
            uint8_t out[3];
            char text[5];
            size_t n = 0;

            base64_encode((struct bytes){ in, k }, text);
            assert_rc(base64_decode(bytes_of(text), out, k, &n, &err), RC_OK);
            assert_int_equal(n, k);
            assert_memory_equal(out, in, k);
        }
    }
}

static void takes_one_form_only(void **state)
{
    static const char *const bad[] = {
        "Z",    "Zg",   "Zg=",  "Zg===",    "=",        "==",       "====",
        "Z===", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n",   "Zm9v Zm9", "Zm9v\r\n",
        "Zm-v", "Zm_v", "=m9v", "Zm=v",     "Zm9vZ=g=", "\x80m9v",  "Zm9vYg=\n",
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t out[16];
        size_t n = 99;

        assert_rc(base64_decode(bytes_of(bad[i]), out, sizeof out, &n, &err), RC_VALUE);
        assert_int_equal(n, 99);
    }
}

static void writes_no_more_than_there_is_room(void **state)
{
    uint8_t out[3] = { 0 };
    struct err err;
    size_t n = 99;

    (void)state;
    assert_rc(base64_decode(bytes_of("Zm9vYg=="), out, 3, &n, &err), RC_TOO_LARGE);
    assert_int_equal(n, 99);
    assert_int_equal(out[0], 0);
    assert_rc(base64_decode(bytes_of("Zm8="), out, 2, &n, &err), RC_OK);
    assert_int_equal(n, 2);
    assert_int_equal(out[2], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_there_and_back),
        cmocka_unit_test(takes_one_form_only),
        cmocka_unit_test(writes_no_more_than_there_is_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
