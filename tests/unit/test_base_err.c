/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/name.h"

/* Every number of the table is used once: it goes down in reports and must keep one meaning. */
static void test_numbers(void **state)
{
    static const struct {
        int number;
        const char *name;
    } table[] = {
#define RC(name, number, class, text) { number, #name },
#include "base/rc.def"
#undef RC
    };
    const size_t n = sizeof table / sizeof *table;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(rc_name((enum rc)table[i].number), table[i].name);
        assert_true(strlen(rc_text((enum rc)table[i].number)) > 3);
        assert_int_equal(rc_from_number((uint64_t)table[i].number), table[i].number);
        for (size_t k = i + 1; k < n; k++)
            assert_int_not_equal(table[i].number, table[k].number);
    }
    assert_string_equal(rc_name((enum rc)9999), "?");
    assert_int_equal(rc_from_number(9999), RC_INTERNAL);
    assert_int_equal(rc_class((enum rc)9999), RC_CLASS_BROKEN);
    assert_int_equal(rc_class(RC_OK), RC_CLASS_FINE);
    assert_int_equal(rc_class(RC_SIG_BAD), RC_CLASS_REFUSED);
}

/* Hostile text cannot forge a log line or colour a terminal, and errno keeps its meaning. */
static void test_text(void **state)
{
    struct err err;
    char out[256];

    (void)state;
    assert_rc(err_set(&err, RC_NAME, "a\nb\x1b[31m%s", "\x80"), RC_NAME);
    assert_string_equal(err.what, "a?b?[31m?");
    assert_string_equal(err_text(&err, out, sizeof out), "a?b?[31m?: not a valid name (NAME 5)");
    errno = ENOSPC;
    assert_rc(err_sys(&err, RC_IO, "f"), RC_NO_SPACE);
    assert_string_equal(err_text(&err, out, sizeof out),
                        "f: no space left (NO_SPACE 8): No space left on device");
    errno = ENOENT;
    assert_rc(err_sys(&err, RC_IO, "f"), RC_NOT_FOUND);
    errno = EIO;
    assert_rc(err_sys(NULL, RC_IO, "f"), RC_IO);
    assert_rc(err_at(&err, RC_SHORT, 7, "%0200d", 1), RC_SHORT);
    assert_int_equal(strlen(err.what), sizeof err.what - 1);
    assert_int_equal(err.at, 7);
}

static void test_names(void **state)
{
    static const char *const good[] = { "a", "cam-2", "0", "abcdefghijklmnopqrstuvwxyz012345" };
    static const char *const bad[] = {
        "", "-a", "a-", "A", "a_b", "a/b", ".", "a\xc3", "a b", "abcdefghijklmnopqrstuvwxyz0123456"
    };
    static const char *const bad_version[] = { "", "..", "1..2", "-1", ".1", "a/b", "1 2" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(name_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(name_valid(bad[i]));
    assert_true(version_valid("1.4.0~rc1+b_2"));
    for (size_t i = 0; i < sizeof bad_version / sizeof *bad_version; i++)
        assert_false(version_valid(bad_version[i]));
}

static void test_hex(void **state)
{
    uint8_t out[2] = { 7, 7 };
    char text[5];

    (void)state;
    assert_true(bytes_unhex("Ab0f", out, 2));
    assert_string_equal(bytes_hex((struct bytes){ .p = out, .n = 2 }, text), "ab0f");
    assert_false(bytes_unhex("ab0", out, 2));
    assert_false(bytes_unhex("ab0g", out, 2));
    assert_false(bytes_unhex("ab0f0", out, 2));
    assert_int_equal(out[0], 0xab);
    bytes_put_be(out, 2, 0x1234); /* most significant byte first */
    assert_int_equal(out[0], 0x12);
    assert_int_equal(bytes_get_be(out, 2), 0x1234);
    assert_false(bytes_to_text(bytes_of("12345"), text, sizeof text));
    assert_true(bytes_to_text(bytes_of("1234"), text, sizeof text));
    assert_false(bytes_to_text((struct bytes){ .p = (const uint8_t *)"a\0b", .n = 3 }, text, 5));
    assert_string_equal(text, "1234");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_hex),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
