/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "update/delta_plan.h"

#define BYTES_MAX 4096U

/* An entry by path; a file has a letter for its content and that many bytes. */
struct listed {
    const char *path;
    char content; /* '/' = a directory, '@' = a link */
};

static struct bytes index_of(const struct listed *l, uint8_t buf[BYTES_MAX])
{
    scoped(index_free) struct index *ix = NULL;
    scoped(close_fd) int fd = memfd_create("index", MFD_CLOEXEC);
    struct digest whole;
    struct digest384 whole384;
    struct err err;

    assert_rc(index_new(&ix, &err), RC_OK);
    for (; l->path; l++) {
        struct policy_item item = { .type = S_IFREG, .mode = 0644 };
        struct digest content = { { (uint8_t)l->content } };

        (void)snprintf(item.path, sizeof item.path, "%s", l->path);
        if (l->content == '/')
            item.type = S_IFDIR;
        if (l->content == '@') {
            item.type = S_IFLNK;
            item.target[0] = 'x';
        }
        assert_rc(index_add(ix, &item, (uint64_t)l->content, &content, &err), RC_OK);
    }
    assert_rc(index_end(ix, fd, &whole, &whole384, &err), RC_OK);

    ssize_t n = pread(fd, buf, BYTES_MAX, 0);

    assert_true(n > 0);
    return (struct bytes){ .p = buf, .n = (size_t)n };
}

static void expect_numbers(const uint32_t *found, const uint32_t *want, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(found[i], want[i]);
}

/* Directories and links are no files of the delta, the indexes are number 0 of either side. */
static void test_numbers(void **state)
{
    static const struct listed old[] = { { "bin", '/' },      { "bin/a", 'A' }, { "bin/b", 'B' },
                                         { "bin/copy", 'A' }, { "link", '@' },  { NULL, 0 } };
    static const struct listed new[] = { { "bin", '/' },   { "bin/a", 'C' },    { "bin/b", 'A' },
                                         { "bin/c", 'C' }, { "bin/copy", 'D' }, { "moved", 'B' },
                                         { NULL, 0 } };
    static const uint32_t old_file[] = { DELTA_PLAN_INDEX, 0, 1 };
    static const uint32_t new_file[] = { DELTA_PLAN_INDEX, 0, 3 };
    static const uint32_t home[] = { 0, 1, 1 };
    static const uint32_t from[] = { 3 + 1, 1, 3 + 1, 3 + 2, 2 };
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    uint8_t buf[2][BYTES_MAX];
    struct bytes old_index = index_of(old, buf[0]);
    struct bytes new_index = index_of(new, buf[1]);
    struct err err;

    (void)state;
    assert_rc(delta_plan_old(&plan, old_index, &err), RC_OK);
    assert_int_equal(plan.old.n, 3);
    assert_int_equal(plan.old.entries, 5);
    assert_int_equal(plan.old.bytes, 'A' + 'B' + 'A');
    expect_numbers(plan.old.file, old_file, 3);
    assert_int_equal(plan.old.sizes[0], old_index.n);
    assert_int_equal(plan.old.sizes[1], 'A');
    assert_int_equal(plan.old.sizes[2], 'B');
    assert_rc(delta_plan_new(&plan, new_index, &err), RC_OK);
    assert_int_equal(plan.new.n, 3);
    assert_int_equal(plan.new.entries, 6);
    expect_numbers(plan.new.file, new_file, 3);
    expect_numbers(plan.home, home, 3);
    assert_int_equal(plan.new.tree.n, 5);
    expect_numbers(plan.from, from, 5);
    assert_int_equal(plan.new.sizes[0], new_index.n);
    assert_int_equal(plan.new.sizes[2], 'D');
    assert_true(bytes_equal(plan.new.tree.files[4].path, bytes_of("moved")));
}

/* Trees without any file have their indexes in the delta, and nothing else. */
static void test_no_files(void **state)
{
    static const struct listed dirs[] = { { "a", '/' }, { "b", '@' }, { NULL, 0 } };
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    uint8_t buf[BYTES_MAX];
    struct bytes index = index_of(dirs, buf);
    struct err err;

    (void)state;
    assert_rc(delta_plan_old(&plan, index, &err), RC_OK);
    assert_rc(delta_plan_new(&plan, index, &err), RC_OK);
    assert_int_equal(plan.old.n, 1);
    assert_int_equal(plan.new.n, 1);
    assert_int_equal(plan.new.tree.n, 0);
}

/* An index cut anywhere is no index, on either side. */
static void test_damaged(void **state)
{
    static const struct listed files[] = { { "a", 'A' }, { "b", '/' }, { NULL, 0 } };
    uint8_t buf[BYTES_MAX];
    struct bytes index = index_of(files, buf);
    struct err err;

    (void)state;
    for (size_t n = 0; n < index.n; n++) {
        scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
        scoped(delta_plan_done) struct delta_plan other = { .home = NULL };
        struct bytes cut = { .p = index.p, .n = n };

        assert_rc(delta_plan_old(&plan, cut, &err), RC_INDEX_FORMAT);
        assert_rc(delta_plan_old(&other, index, &err), RC_OK);
        assert_rc(delta_plan_new(&other, cut, &err), RC_INDEX_FORMAT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
