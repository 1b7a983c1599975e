/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "base/cbor.h"

struct row {
    const char *why;
    const char *hex;
    enum rc rc;
};

static struct bytes unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t n = strlen(hex) / 2;

    assert_true(n <= cap);
    assert_true(bytes_unhex(hex, out, n));
    return (struct bytes){ .p = out, .n = n };
}

/* Anything that is not one deterministic item of allowed types is refused with the code that says
 * why. */
static void test_check(void **state)
{
    static const struct row rows[] = {
        { "zero", "00", RC_OK },
        { "largest number", "1bffffffffffffffff", RC_OK },
        { "negative", "3903e7", RC_OK },
        { "empty map", "a0", RC_OK },
        { "true in an array with text", "82f56161", RC_OK },
        { "keys of two types in order", "a20000616100", RC_OK },
        { "eight deep", "8181818181818180", RC_OK },
        { "nine deep", "818181818181818180", RC_CBOR_DEPTH },
        { "empty input", "", RC_SHORT },
        { "two items", "0001", RC_TRAILING },
        { "one-byte argument for 23", "1817", RC_CBOR_NOT_MINIMAL },
        { "two-byte argument for 255", "1900ff", RC_CBOR_NOT_MINIMAL },
        { "four-byte argument for 65535", "1a0000ffff", RC_CBOR_NOT_MINIMAL },
        { "eight-byte argument for 2^32-1", "1b00000000ffffffff", RC_CBOR_NOT_MINIMAL },
        { "length not minimal", "580100", RC_CBOR_NOT_MINIMAL },
        { "argument cut", "19ff", RC_SHORT },
        { "reserved 28", "1c", RC_CBOR_RESERVED },
        { "indefinite bytes", "5f4100ff", RC_CBOR_INDEFINITE },
        { "indefinite array", "9f00ff", RC_CBOR_INDEFINITE },
        { "indefinite map", "bf0000ff", RC_CBOR_INDEFINITE },
        { "break alone", "ff", RC_CBOR_INDEFINITE },
        { "bytes cut", "4200", RC_SHORT },
        { "bytes of 2^63", "5b8000000000000000", RC_SHORT },
        { "array of 2^28 in five bytes", "9a10000000", RC_SHORT },
        { "map of 2^61", "bb2000000000000000", RC_SHORT },
        { "array one item short", "8200", RC_SHORT },
        { "map without its last value", "a2000001", RC_SHORT },
        { "tag", "c100", RC_CBOR_TAG },
        { "half float", "f90000", RC_CBOR_TAG },
        { "double", "fb0000000000000000", RC_CBOR_TAG },
        { "undefined", "f7", RC_CBOR_TAG },
        { "simple 32", "f820", RC_CBOR_TAG },
        { "duplicate key", "a200010002", RC_CBOR_DUPLICATE },
        { "keys fall", "a201010000", RC_CBOR_ORDER },
        { "longer key first", "a21818000000", RC_CBOR_ORDER },
        { "text key before number", "a26161000000", RC_CBOR_ORDER },
        { "array as key", "a18000", RC_CBOR_TYPE },
        { "overlong slash", "62c0af", RC_CBOR_UTF8 },
        { "surrogate", "63eda080", RC_CBOR_UTF8 },
        { "above U+10FFFF", "64f4908080", RC_CBOR_UTF8 },
        { "continuation alone", "6180", RC_CBOR_UTF8 },
        { "sequence cut by the end of text", "61e2", RC_CBOR_UTF8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t in[64];
        struct err err = { 0 };
        enum rc rc = cbor_check(unhex(rows[i].hex, in, sizeof in), &err);

        if (rc != rows[i].rc)
            fail_msg("%s: got %s, want %s", rows[i].why, rc_name(rc), rc_name(rows[i].rc));
        assert_int_equal(err.rc, rc);
    }
}

/* A document is read as a straight list; every prefix of it ends in an error and never beyond its
 * bytes. */
static void test_every_prefix(void **state)
{
    uint8_t in[64];
    const struct bytes whole = unhex("a30163616263024301020303820506", in, sizeof in);

    (void)state;
    for (size_t n = 0; n <= whole.n; n++) {
        uint8_t *copy = malloc(n > 0 ? n : 1); /* exact size, so that ASan sees one byte too far */
        uint64_t key = 0;
        char name[8];
        struct bytes blob = { 0 };
        uint64_t first = 0;
        struct err err = { 0 };

        assert_non_null(copy);
        memcpy(copy, whole.p, n);

        struct cbor_in r = cbor_read((struct bytes){ .p = copy, .n = n });

        (void)cbor_map(&r, "doc", 3);
        while (cbor_key(&r, &key)) {
            if (key == 1)
                cbor_text(&r, "name", name, sizeof name);
            else if (key == 2)
                blob = cbor_bstr(&r, "blob", 3, 3);
            else if (key == 3 && cbor_array(&r, "list", 2, 2) == 2) {
                first = cbor_uint(&r, "first", 10);
                (void)cbor_uint(&r, "second", 10);
                cbor_end(&r);
            }
        }
        cbor_end(&r);
        if (n == whole.n) {
            assert_rc(cbor_done(&r, &err), RC_OK);
            assert_string_equal(name, "abc");
            assert_int_equal(blob.n, 3);
            assert_int_equal(first, 5);
        } else {
            assert_rc(cbor_done(&r, &err), RC_SHORT);
        }
        free(copy);
    }
}

/* The typed reads refuse what is well-formed but not what was asked for. */
static void test_typed(void **state)
{
    uint8_t in[16];
    uint8_t fixed[4] = { 9, 9, 9, 9 };
    char text[4] = "old";
    struct cbor_in r;
    struct err err;

    (void)state;
    r = cbor_read(unhex("1864", in, sizeof in));
    assert_int_equal(cbor_uint(&r, "v", 99), 0);
    assert_rc(cbor_done(&r, &err), RC_VALUE);

    r = cbor_read(unhex("20", in, sizeof in));
    assert_int_equal(cbor_uint(&r, "v", 99), 0);
    assert_rc(cbor_done(&r, &err), RC_CBOR_TYPE);

    r = cbor_read(unhex("3b7fffffffffffffff", in, sizeof in));
    assert_true(cbor_int(&r, "v", INT64_MIN, 0) == INT64_MIN);
    assert_rc(cbor_done(&r, &err), RC_OK);

    r = cbor_read(unhex("3b8000000000000000", in, sizeof in));
    assert_int_equal(cbor_int(&r, "v", INT64_MIN, INT64_MAX), 0);
    assert_rc(cbor_done(&r, &err), RC_VALUE);

    r = cbor_read(unhex("43010203", in, sizeof in));
    cbor_fixed(&r, "v", fixed, sizeof fixed);
    assert_rc(cbor_done(&r, &err), RC_VALUE);
    assert_int_equal(fixed[0], 9);

    r = cbor_read(unhex("63610062", in, sizeof in));
    cbor_text(&r, "v", text, sizeof text);
    assert_rc(cbor_done(&r, &err), RC_VALUE);

    r = cbor_read(unhex("6461626364", in, sizeof in));
    cbor_text(&r, "v", text, sizeof text);
    assert_rc(cbor_done(&r, &err), RC_TOO_LARGE);
    assert_string_equal(err.what, "v");

    r = cbor_read(unhex("00", in, sizeof in));
    assert_false(cbor_bool(&r, "v"));
    assert_rc(cbor_done(&r, &err), RC_CBOR_TYPE);

    r = cbor_read(unhex("820000", in, sizeof in));
    (void)cbor_array(&r, "v", 2, 2);
    (void)cbor_uint(&r, "a", 0);
    cbor_end(&r);
    assert_rc(cbor_done(&r, &err), RC_CBOR_COUNT);

    r = cbor_read(unhex("8100", in, sizeof in));
    (void)cbor_array(&r, "v", 1, 1);
    (void)cbor_uint(&r, "a", 0);
    (void)cbor_uint(&r, "b", 0);
    assert_rc(cbor_done(&r, &err), RC_CBOR_COUNT);
}

/* What is written is read back, in the shortest form, and a full buffer never holds half an answer.
 */
static void test_write(void **state)
{
    static const uint64_t values[] = {
        0, 23, 24, 255, 256, 65535, UINT64_C(65536), UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX
    };
    uint8_t buf[64];
    struct bytes got = { 0 };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct cbor_out w = { .p = buf, .cap = sizeof buf };

        cbor_put_uint(&w, values[i]);
        assert_rc(cbor_written(&w, &got, &err), RC_OK);

        struct cbor_in r = cbor_read(got);

        assert_true(cbor_uint(&r, "v", UINT64_MAX) == values[i]);
        assert_rc(cbor_done(&r, &err), RC_OK);
    }
    for (size_t cap = 0; cap < 6; cap++) {
        struct cbor_out w = { .p = buf, .cap = cap };

        cbor_put_array(&w, 2);
        cbor_put_int(&w, -1);
        cbor_put_text(&w, "abc");
        assert_rc(cbor_written(&w, &got, &err), cap < 6 ? RC_NO_ROOM : RC_OK);
        assert_true(w.n <= cap);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_typed),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
