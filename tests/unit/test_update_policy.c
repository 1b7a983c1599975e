/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <sys/stat.h>

#include "update/policy.h"

static void test_paths(void **state)
{
    static const struct {
        const char *path;
        mode_t type;
        enum rc rc;
    } rows[] = {
        { "a", S_IFREG, RC_OK },
        { "a/b.c/d e", S_IFREG, RC_OK },
        { "...", S_IFREG, RC_OK },
        { "..a/.b", S_IFREG, RC_OK },
        { "caf\303\251/\342\202\254/\360\237\233\260", S_IFREG, RC_OK },
        { "a/", S_IFDIR, RC_OK },
        { "tmp", S_IFDIR, RC_OK },
        { "tmp/", S_IFDIR, RC_OK },
        { "tmpfile", S_IFREG, RC_OK },
        { "a/tmp/b", S_IFREG, RC_OK },
        { "", S_IFREG, RC_ARCHIVE_PATH },
        { "/", S_IFDIR, RC_ARCHIVE_PATH },
        { "a/", S_IFREG, RC_ARCHIVE_PATH },
        { "a//", S_IFDIR, RC_ARCHIVE_PATH },
        { "/a", S_IFREG, RC_ARCHIVE_PATH },
        { "a//b", S_IFREG, RC_ARCHIVE_PATH },
        { ".", S_IFDIR, RC_ARCHIVE_PATH },
        { "./a", S_IFREG, RC_ARCHIVE_PATH },
        { "a/.", S_IFDIR, RC_ARCHIVE_PATH },
        { "..", S_IFDIR, RC_ARCHIVE_PATH },
        { "a/../b", S_IFREG, RC_ARCHIVE_PATH },
        { "a/..", S_IFDIR, RC_ARCHIVE_PATH },
        { "a\177", S_IFREG, RC_ARCHIVE_PATH },
        { "a\tb", S_IFREG, RC_ARCHIVE_PATH },
        { "a\200", S_IFREG, RC_ARCHIVE_PATH },
        { "a\302", S_IFREG, RC_ARCHIVE_PATH },
        { "a\302\205", S_IFREG, RC_ARCHIVE_PATH },
        { "a\340\200\257", S_IFREG, RC_ARCHIVE_PATH },
        { "a\364\220\200\200", S_IFREG, RC_ARCHIVE_PATH },
        { "a\370\210\200\200\200", S_IFREG, RC_ARCHIVE_PATH },
        { "tmp", S_IFREG, RC_ARCHIVE_PATH },
        { "tmp/a", S_IFREG, RC_ARCHIVE_PATH },
        { "proc/self", S_IFDIR, RC_ARCHIVE_PATH },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy_entry entry = { .path = bytes_of(rows[i].path), .mode = rows[i].type | 0600 };
        struct policy_item item = { .mode = 1 };
        struct err err;
        enum rc rc = policy_check(&entry, &item, &err);

        if (rc != rows[i].rc)
            fail_msg("row %zu \"%s\": %s", i, rows[i].path, rc_name(rc));
        if (rc != RC_OK)
            assert_int_equal(item.mode, 1);
        for (const char *p = rc == RC_OK ? "" : err.what; *p; p++)
            assert_true(*p >= 0x20 && *p < 0x7f);
    }
}

static void test_nul_inside(void **state)
{
    struct policy_entry entry = { .path = { .p = (const uint8_t *)"a\0b", .n = 3 },
                                  .mode = S_IFREG | 0644 };
    struct policy_item item;
    struct err err;

    (void)state;
    assert_rc(policy_check(&entry, &item, &err), RC_ARCHIVE_PATH);
}

static void test_modes(void **state)
{
    static const struct {
        mode_t mode;
        enum rc rc;
        mode_t normal;
    } rows[] = {
        { S_IFREG | 0600, RC_OK, 0644 },         { S_IFREG | 0666, RC_OK, 0644 },
        { S_IFREG | 0700, RC_OK, 0755 },         { S_IFREG | 0001, RC_OK, 0755 },
        { S_IFREG | 0777, RC_OK, 0755 },         { S_IFDIR | 0000, RC_OK, 0755 },
        { S_IFDIR | 0777, RC_OK, 0755 },         { S_IFREG | 04644, RC_ARCHIVE_MODE, 0 },
        { S_IFREG | 02644, RC_ARCHIVE_MODE, 0 }, { S_IFREG | 01644, RC_ARCHIVE_MODE, 0 },
        { S_IFDIR | 02755, RC_ARCHIVE_MODE, 0 }, { S_IFIFO | 0644, RC_ARCHIVE_TYPE, 0 },
        { S_IFCHR | 0644, RC_ARCHIVE_TYPE, 0 },  { S_IFBLK | 0644, RC_ARCHIVE_TYPE, 0 },
        { S_IFSOCK | 0644, RC_ARCHIVE_TYPE, 0 }, { 0644, RC_ARCHIVE_TYPE, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy_entry entry = { .path = bytes_of("a"), .mode = rows[i].mode };
        struct policy_item item = { .mode = 0 };
        struct err err;

        if (policy_check(&entry, &item, &err) != rows[i].rc)
            fail_msg("mode %o", (unsigned)rows[i].mode);
        assert_int_equal(item.mode, rows[i].normal);
    }
}

static void test_links(void **state)
{
    static const struct {
        const char *path;
        const char *target;
        enum rc rc;
    } rows[] = {
        { "l", "a", RC_OK },
        { "l", "./a/b", RC_OK },
        { "l", ".", RC_OK },
        { "a/l", "../b", RC_OK },
        { "a/l", "./../b", RC_OK },
        { "a/l", "..", RC_OK },
        { "a/b/l", "../..", RC_OK },
        { "a/b/l", "..//..//c/", RC_OK },
        { "l", "..", RC_ARCHIVE_LINK },
        { "l", "./..", RC_ARCHIVE_LINK },
        { "a/l", "../..", RC_ARCHIVE_LINK },
        { "a/l", "../b/..", RC_ARCHIVE_LINK },
        { "a/l", "b/..", RC_ARCHIVE_LINK },
        { "a/l", "/b", RC_ARCHIVE_LINK },
        { "a/l", "", RC_ARCHIVE_LINK },
        { "a/l", "b\n", RC_ARCHIVE_LINK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct policy_entry entry = { .path = bytes_of(rows[i].path),
                                      .target = bytes_of(rows[i].target),
                                      .mode = S_IFLNK | 0777 };
        struct policy_item item;
        struct err err;

        if (policy_check(&entry, &item, &err) != rows[i].rc)
            fail_msg("%s -> %s", rows[i].path, rows[i].target);
        if (rows[i].rc == RC_OK)
            assert_string_equal(item.target, rows[i].target);
    }
}

static void test_relative_target(void **state)
{
    static const struct {
        const char *path;
        const char *target;
        size_t cap;
        const char *want;
    } rows[] = {
        { "sh", "/bin/busybox", 64, "bin/busybox" },
        { "bin/sh", "/bin/busybox", 64, "../bin/busybox" },
        { "a/b/c", "//x", 64, "../../x" },
        { "a", "/", 64, "." },
        { "a/b", "/", 64, "../" },
        { "a/b", "/x", 5, "../x" },
        { "a/b", "/x", 4, NULL },
        { "a/b", "/x", 3, NULL },
        { "a", "/x", 1, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64] = "untouched";
        bool fits = policy_relative_target(rows[i].path, rows[i].target, out, rows[i].cap);

        assert_int_equal(fits, rows[i].want != NULL);
        if (fits)
            assert_string_equal(out, rows[i].want);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        uint64_t content;
        uint64_t unpacked;
        uint32_t files;
        enum rc rc;
    } rows[] = {
        { 1, 0, 1, RC_OK },
        { 1, POLICY_RATIO_FREE + POLICY_RATIO_MAX, 1, RC_OK },
        { 1, POLICY_RATIO_FREE + POLICY_RATIO_MAX + 1, 1, RC_ARCHIVE_BOMB },
        { PACKAGE_MAX, UNPACKED_MAX, PACKAGE_FILES_MAX, RC_OK },
        { PACKAGE_MAX, UNPACKED_MAX + 1, 1, RC_ARCHIVE_BOMB },
        { PACKAGE_MAX, UINT64_MAX, 1, RC_ARCHIVE_BOMB },
        { PACKAGE_MAX + 1, 0, 1, RC_PACKAGE_SIZE },
        { UINT64_MAX, 0, 1, RC_PACKAGE_SIZE },
        { 0, 0, 1, RC_PACKAGE_SIZE },
        { 1, 0, 0, RC_ARCHIVE_COUNT },
        { 1, 0, PACKAGE_FILES_MAX + 1, RC_ARCHIVE_COUNT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct err err;

        assert_rc(policy_check_sizes(rows[i].content, rows[i].unpacked, rows[i].files, &err),
                  rows[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths), cmocka_unit_test(test_nul_inside),
        cmocka_unit_test(test_modes), cmocka_unit_test(test_links),
        cmocka_unit_test(test_sizes), cmocka_unit_test(test_relative_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
