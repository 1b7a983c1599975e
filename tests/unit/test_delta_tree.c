/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>

#include "delta/tree.h"

#define NONE TREE_NO_HOME
#define MOST 4U

/* Files by path and a letter that stands for their content. */
struct listed {
    const char *path;
    uint8_t content;
};

static struct tree tree_of(const struct listed *l, struct tree_file *files)
{
    struct tree tree = { .files = files };

    for (uint32_t i = 0; i < MOST && l[i].path; i++, tree.n++)
        files[i] = (struct tree_file){ .path = bytes_of(l[i].path),
                                       .size = 1,
                                       .sha256 = { [DIGEST_SIZE - 1] = l[i].content } };
    return tree;
}

static void test_plans(void **state)
{
    static const struct {
        const char *why;
        struct listed old[MOST];
        struct listed new[MOST];
        uint32_t n_old;
        uint32_t n_new;
        uint32_t image[MOST];
        uint32_t fresh[MOST];
        uint32_t home[MOST];
        uint32_t from[MOST];
    } rows[] = {
        { "empty trees", { { 0 } }, { { 0 } }, 0, 0, { 0 }, { 0 }, { 0 } },
        { "the same",
          { { "a", 1 }, { "b", 2 } },
          { { "a", 1 }, { "b", 2 } },
          2,
          0,
          { 0, 1 },
          { 0 },
          { 0 },
          { 0, 1 } },
        { "renamed", { { "a", 1 } }, { { "b", 1 } }, 1, 0, { 0 }, { 0 }, { 0 }, { 0 } },
        { "changed",
          { { "a", 1 }, { "b", 2 } },
          { { "a", 1 }, { "b", 3 } },
          2,
          1,
          { 0, 1 },
          { 1 },
          { 1 },
          { 0, 2 } },
        { "added",
          { { "b", 1 } },
          { { "a", 2 }, { "b", 1 } },
          1,
          1,
          { 0 },
          { 0 },
          { NONE },
          { 1, 0 } },
        { "content twice in the old tree",
          { { "a", 1 }, { "b", 1 }, { "c", 2 } },
          { { "b", 3 }, { "c", 4 } },
          2,
          2,
          { 0, 2 },
          { 0, 1 },
          { 0, 1 },
          { 2, 3 } },
        { "content twice in the new tree",
          { { "a", 1 } },
          { { "a", 2 }, { "b", 2 }, { "c", 1 } },
          1,
          1,
          { 0 },
          { 0 },
          { 0 },
          { 1, 1, 0 } },
        { "a path that ends where another goes on",
          { { "a", 1 }, { "ab", 2 } },
          { { "a", 3 }, { "aa", 4 }, { "ab", 1 } },
          2,
          2,
          { 0, 1 },
          { 0, 1 },
          { 0, NONE },
          { 2, 3, 0 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tree_file files[2][MOST];
        struct tree old = tree_of(rows[i].old, files[0]);
        struct tree new = tree_of(rows[i].new, files[1]);
        struct tree_plan plan;
        struct err err;

        assert_rc(tree_plan(&old, &new, &plan, &err), RC_OK);
        if (plan.n_old != rows[i].n_old || plan.n_new != rows[i].n_new)
            fail_msg("%s: %u old and %u new files", rows[i].why, plan.n_old, plan.n_new);
        for (uint32_t k = 0; k < plan.n_old; k++)
            assert_int_equal(plan.old[k], rows[i].image[k]);
        for (uint32_t k = 0; k < plan.n_new; k++) {
            assert_int_equal(plan.new[k], rows[i].fresh[k]);
            assert_int_equal(plan.home[k], rows[i].home[k]);
        }
        for (uint32_t k = 0; k < new.n; k++)
            if (plan.from[k] != rows[i].from[k])
                fail_msg("%s: file %u comes from %u", rows[i].why, k, plan.from[k]);
        tree_plan_done(&plan);
    }
}

/* Many files, few contents: the plan is what looking at every pair says. */
static void test_many(void **state)
{
    enum { MANY = 700 };
    static char paths[MANY][8];
    static struct tree_file files[2][MANY];
    struct tree trees[2];
    struct tree_plan plan;
    uint64_t seed = 1;
    struct err err;

    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned i = 0; i < MANY; i++) {
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            (void)snprintf(paths[i], sizeof paths[i], "%05u", i);
            files[side][i] = (struct tree_file){ .path = bytes_of(paths[i]) };
            files[side][i].sha256[seed % 2 ? 0 : 31] = (uint8_t)(seed >> 56);
        }
        trees[side] = (struct tree){ .files = files[side], .n = MANY };
    }
    assert_rc(tree_plan(&trees[0], &trees[1], &plan, &err), RC_OK);
    for (uint32_t k = 0; k < plan.n_old; k++)
        for (uint32_t i = 0; i < plan.old[k]; i++)
            assert_memory_not_equal(files[0][i].sha256, files[0][plan.old[k]].sha256, DIGEST_SIZE);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t from = plan.from[i];
        const struct tree_file *source =
            from < plan.n_old ? &files[0][plan.old[from]] : &files[1][plan.new[from - plan.n_old]];

        assert_true(from < plan.n_old + plan.n_new);
        assert_memory_equal(files[1][i].sha256, source->sha256, DIGEST_SIZE);
        assert_true(from < plan.n_old || source <= &files[1][i]);
    }
    for (uint32_t k = 0; k < plan.n_new; k++) {
        for (uint32_t i = 0; i < MANY; i++)
            assert_memory_not_equal(files[0][i].sha256, files[1][plan.new[k]].sha256, DIGEST_SIZE);
        assert_int_equal(plan.from[plan.new[k]], plan.n_old + k);
    }
    tree_plan_done(&plan);
}

static void test_order_is_checked(void **state)
{
    const struct listed good[MOST] = { { "a", 1 } };
    const struct listed bad[2][MOST] = { { { "b", 1 }, { "a", 2 } }, { { "a", 1 }, { "a", 1 } } };

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct tree_file files[2][MOST];
        struct tree right = tree_of(good, files[0]);
        struct tree wrong = tree_of(bad[i], files[1]);
        struct tree_plan plan = { .n_old = 77 };
        struct err err;

        assert_rc(tree_plan(&right, &wrong, &plan, &err), RC_VALUE);
        assert_rc(tree_plan(&wrong, &right, &plan, &err), RC_VALUE);
        assert_int_equal(plan.n_old, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_order_is_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
