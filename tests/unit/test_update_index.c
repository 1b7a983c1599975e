/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/index.h"

static const struct policy_item items[] = {
    { .path = "bin", .type = S_IFDIR, .mode = 0755 },
    { .path = "bin-x", .type = S_IFREG, .mode = 0644 },
    { .path = "bin/app", .type = S_IFREG, .mode = 0755 },
    { .path = "bin/link", .target = "../bin/app", .type = S_IFLNK, .mode = 0777 },
    { .path = "caf\303\251", .type = S_IFREG, .mode = 0644 },
};
#define N_ITEMS (sizeof items / sizeof items[0])

static void add_item(struct index *ix, size_t i)
{
    struct digest content;
    struct err err;

    memset(&content, (int)i, sizeof content);
    assert_rc(index_add(ix, &items[i], 10 * i, &content, &err), RC_OK);
}

/* The index of all items, in the order from `first` on or backwards from there. */
static struct digest index_from(size_t first, bool backwards, int fd)
{
    scoped(index_free) struct index *ix = NULL;
    struct digest ret;
    struct digest384 ret384;
    struct err err;

    assert_rc(index_new(&ix, &err), RC_OK);
    for (size_t i = 0; i < N_ITEMS; i++)
        add_item(ix, (first + (backwards ? N_ITEMS - i : i)) % N_ITEMS);
    assert_rc(index_end(ix, fd, &ret, &ret384, &err), RC_OK);
    assert_false(digest384_is_none(&ret384));
    return ret;
}

static void test_one_tree_one_index(void **state)
{
    struct digest want = index_from(0, false, -1);

    (void)state;
    for (size_t i = 0; i < N_ITEMS; i++) {
        struct digest found = index_from(i, true, -1);

        assert_memory_equal(&found, &want, sizeof want);
        found = index_from(i, false, -1);
        assert_memory_equal(&found, &want, sizeof want);
    }
}

static void test_read_what_was_made(void **state)
{
    scoped(close_fd) int fd = memfd_create("index", MFD_CLOEXEC);
    struct digest want = index_from(2, true, fd), found;
    struct index_entry entry;
    uint8_t buf[1024];
    ssize_t n = pread(fd, buf, sizeof buf, 0);
    struct err err;
    size_t i = 0;

    (void)state;
    assert_true(n > 0);
    struct bytes bytes = { .p = buf, .n = (size_t)n };
    assert_rc(sha256_of(bytes, found.b, &err), RC_OK);
    assert_memory_equal(&found, &want, sizeof want);

    struct index_in in = index_read(bytes);
    for (; index_next(&in, &entry); i++) {
        bool file = items[i].type == S_IFREG;

        assert_string_equal(entry.item.path, items[i].path);
        assert_string_equal(entry.item.target, items[i].target);
        assert_int_equal(entry.item.type, items[i].type);
        assert_int_equal(entry.item.mode, items[i].mode);
        assert_int_equal(entry.size, file ? 10 * i : 0);
        assert_int_equal(entry.content.b[31], file ? i : 0);
    }
    assert_int_equal(i, N_ITEMS);
    assert_rc(index_done(&in, &err), RC_OK);
}

/* Each byte that is cut off, and each bit of the structure's bytes, is noticed or gives another
 * digest; nothing is read outside. */
static void test_cut_anywhere(void **state)
{
    scoped(close_fd) int fd = memfd_create("index", MFD_CLOEXEC);
    struct index_entry entry;
    uint8_t buf[1024];
    struct err err;

    (void)state;
    (void)index_from(0, false, fd);
    ssize_t n = pread(fd, buf, sizeof buf, 0);
    for (size_t cut = 0; cut < (size_t)n; cut++) {
        scoped(free_ptr) uint8_t *part = malloc(cut + 1);

        memcpy(part, buf, cut);
        struct index_in in = index_read((struct bytes){ .p = part, .n = cut });
        while (index_next(&in, &entry))
            ;
        assert_rc(index_done(&in, &err), RC_INDEX_FORMAT);
    }
}

/* A hash of 32 bytes, to end an entry with. */
#define HASH                                                                                       \
    "\x58\x20"                                                                                     \
    "0123456789abcdef0123456789abcdef"

static const struct {
    const char *why;
    const char *bytes;
    size_t n;
} bad[] = {
#define ROW(why, text)                                                                             \
    {                                                                                              \
        why, text, sizeof(text) - 1                                                                \
    }
    ROW("nothing", ""),
    ROW("no entries", "\x80"),
    ROW("a map", "\xa0"),
    ROW("too many entries", "\x99\x4e\x21"),
    ROW("bytes behind", "\x81\x82\x61"
                        "a\x03"
                        "x"),
    ROW("kind 0", "\x81\x84\x61"
                  "a\x00\x01" HASH),
    ROW("kind 5", "\x81\x84\x61"
                  "a\x05\x01" HASH),
    ROW("a directory with a size", "\x81\x83\x61"
                                   "a\x03\x01"),
    ROW("a file without a digest", "\x81\x83\x61"
                                   "a\x01\x01"),
    ROW("a file with three parts too few", "\x81\x82\x61"
                                           "a\x01"),
    ROW("a size beyond all packages", "\x81\x84\x61"
                                      "a\x01\x1a\x40\x00\x00\x01" HASH),
    ROW("a short digest", "\x81\x84\x61"
                          "a\x01\x01\x41"
                          "0"),
    ROW("a link without a target", "\x81\x82\x61"
                                   "a\x04"),
    ROW("a link that climbs out", "\x81\x83\x61"
                                  "a\x04\x64../x"),
    ROW("an absolute link", "\x81\x83\x61"
                            "a\x04\x62/x"),
    ROW("twice", "\x82\x82\x61"
                 "a\x03\x82\x61"
                 "a\x03"),
    ROW("not sorted", "\x82\x82\x61"
                      "b\x03\x82\x61"
                      "a\x03"),
    ROW("longer first", "\x82\x82\x62"
                        "ab\x03\x82\x61"
                        "a\x03"),
    ROW("an absolute path", "\x81\x82\x62/a\x03"),
    ROW("a path that climbs", "\x81\x82\x64../a\x03"),
    ROW("a path with a slash at its end", "\x81\x82\x62"
                                          "a/\x03"),
    ROW("a path of bytes", "\x81\x82\x41"
                           "a\x03"),
    ROW("an empty path", "\x81\x82\x60\x03"),
    ROW("a control character", "\x81\x82\x61\n\x03"),
    ROW("a file at a mount point", "\x81\x84\x63"
                                   "tmp\x01\x01" HASH),
    ROW("a long number", "\x81\x82\x61"
                         "a\x18\x03"),
    ROW("indefinite", "\x9f\x82\x61"
                      "a\x03\xff"),
#undef ROW
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct index_in in =
            index_read((struct bytes){ .p = (const uint8_t *)bad[i].bytes, .n = bad[i].n });
        struct index_entry entry;
        struct err err;

        while (index_next(&in, &entry))
            ;
        if (index_done(&in, &err) != RC_INDEX_FORMAT)
            fail_msg("%s was not refused", bad[i].why);
    }
}

static void test_bounds(void **state)
{
    scoped(index_free) struct index *ix = NULL;
    static struct policy_item item = { .type = S_IFDIR, .mode = 0755 };
    struct err err;
    enum rc rc = RC_OK;
    unsigned n = 0;

    (void)state;
    assert_rc(index_new(&ix, &err), RC_OK);
    add_item(ix, 0);
    assert_rc(index_add(ix, &items[0], 0, NULL, &err), RC_ARCHIVE_DUPLICATE);
    index_free(&ix);

    assert_rc(index_new(&ix, &err), RC_OK);
    while (rc == RC_OK) {
        (void)snprintf(item.path, sizeof item.path, "%08u", 99999999 - n++);
        rc = index_add(ix, &item, 0, NULL, &err);
    }
    assert_rc(rc, RC_ARCHIVE_COUNT);
    assert_int_equal(n, PACKAGE_FILES_MAX + 1);
    index_free(&ix);

    assert_rc(index_new(&ix, &err), RC_OK);
    for (size_t i = 0; i < PACKAGE_PATH_MAX; i++)
        item.path[i] = i % 100 == 99 ? '/' : 'a';
    for (n = 0, rc = RC_OK; rc == RC_OK; n++) {
        item.path[0] = (char)('a' + n / 676 % 26);
        item.path[1] = (char)('a' + n / 26 % 26);
        item.path[2] = (char)('a' + n % 26);
        rc = index_add(ix, &item, 0, NULL, &err);
    }
    assert_rc(rc, RC_TOO_LARGE);
    assert_in_range(n, INDEX_MAX / (PACKAGE_PATH_MAX + 16), INDEX_MAX / PACKAGE_PATH_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_tree_one_index),
        cmocka_unit_test(test_read_what_was_made),
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
