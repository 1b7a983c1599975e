/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/tree.h"

#include <stdlib.h>

/* Both trees as one list: the old one's files, then the new one's. */
struct both {
    const struct tree *old;
    const struct tree *new;
};

static int compare_paths(struct bytes a, struct bytes b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static bool in_order(const struct tree *tree)
{
    for (uint32_t i = 1; i < tree->n; i++)
        if (compare_paths(tree->files[i - 1].path, tree->files[i].path) >= 0)
            return false;
    return true;
}

static const uint8_t *digest_of(const struct both *b, uint32_t i)
{
    return i < b->old->n ? b->old->files[i].sha256 : b->new->files[i - b->old->n].sha256;
}

/* Merge two sorted runs of list that lie behind each other into to. */
static void merge(const struct both *b, const uint32_t *list, size_t n_left, size_t n, uint32_t *to)
{
    size_t left = 0;
    size_t right = n_left;

    for (size_t k = 0; k < n; k++) {
        bool take_left =
            right == n || (left < n_left && memcmp(digest_of(b, list[left]),
                                                   digest_of(b, list[right]), DIGEST_SIZE) <= 0);

        to[k] = list[take_left ? left++ : right++];
    }
}

/* Numbers 0 to n - 1 in the order of their digests; those of one digest rise.  Not qsort: the C
 * library's asks the kernel for things a confined process may not ask.  The result is in *list. */
static void sort_by_digest(const struct both *b, size_t n, uint32_t **list, uint32_t **other)
{
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t at = 0; at < n; at += 2 * run) {
            size_t rest = n - at;

            merge(b, *list + at, run < rest ? run : rest, 2 * run < rest ? 2 * run : rest,
                  *other + at);
        }

        uint32_t *sorted = *other;

        *other = *list;
        *list = sorted;
    }
}

/* first[i] = the first of both trees with file i's content. */
static bool find_first(const struct both *b, uint32_t *first)
{
    size_t n = (size_t)b->old->n + b->new->n;
    scoped(free_ptr) uint32_t *list = malloc((n + 1) * sizeof *list);
    scoped(free_ptr) uint32_t *other = malloc((n + 1) * sizeof *other);

    if (!list || !other)
        return false;
    for (size_t i = 0; i < n; i++)
        list[i] = (uint32_t)i;
    sort_by_digest(b, n, &list, &other);
    for (size_t k = 0; k < n; k++) {
        bool same =
            k > 0 && memcmp(digest_of(b, list[k - 1]), digest_of(b, list[k]), DIGEST_SIZE) == 0;

        first[list[k]] = same ? first[list[k - 1]] : list[k];
    }
    return true;
}

/* The number of the old file at path; n when there is none. */
static uint32_t find_path(const struct tree *tree, struct bytes path)
{
    uint32_t low = 0;
    uint32_t high = tree->n;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (compare_paths(tree->files[mid].path, path) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low < tree->n && compare_paths(tree->files[low].path, path) == 0 ? low : tree->n;
}

/* Fill a plan whose lists have room.  place has room for one number for each file of both trees:
 * where its content is, in the terms of tree_plan.from. */
static void fill(const struct both *b, const uint32_t *first, uint32_t *place,
                 struct tree_plan *plan)
{
    for (uint32_t i = 0; i < b->old->n; i++) {
        if (first[i] == i) {
            place[i] = plan->n_old;
            plan->old[plan->n_old++] = i;
        } else {
            place[i] = place[first[i]];
        }
    }
    for (uint32_t i = 0; i < b->new->n; i++) {
        uint32_t at = b->old->n + i;

        if (first[at] == at) {
            uint32_t home = find_path(b->old, b->new->files[i].path);

            place[at] = plan->n_old + plan->n_new;
            plan->home[plan->n_new] = home < b->old->n ? place[home] : TREE_NO_HOME;
            plan->new[plan->n_new++] = i;
        } else {
            place[at] = place[first[at]];
        }
        plan->from[i] = place[at];
    }
}

enum rc tree_plan(const struct tree *old, const struct tree *new, struct tree_plan *ret,
                  struct err *err)
{
    const struct both both = { .old = old, .new = new };
    size_t n_old = (size_t)old->n + 1;
    size_t n_new = (size_t) new->n + 1;
    scoped(tree_plan_done) struct tree_plan plan = { .n_old = 0 };
    scoped(free_ptr) uint32_t *first = NULL;
    scoped(free_ptr) uint32_t *place = NULL;

    if (!in_order(old) || !in_order(new))
        return err_set(err, RC_VALUE, "files are not in the order of their paths");
    first = calloc(n_old + n_new, sizeof *first);
    place = calloc(n_old + n_new, sizeof *place);
    plan.old = malloc(n_old * sizeof *plan.old);
    plan.new = malloc(n_new * sizeof *plan.new);
    plan.home = malloc(n_new * sizeof *plan.home);
    plan.from = malloc(n_new * sizeof *plan.from);
    if (!first || !place || !plan.old || !plan.new || !plan.home || !plan.from ||
        !find_first(&both, first))
        return err_set(err, RC_NO_MEMORY, "trees of %u and %u files", old->n, new->n);
    fill(&both, first, place, &plan);
    *ret = plan;
    plan = (struct tree_plan){ .n_old = 0 };
    return RC_OK;
}

void tree_plan_done(struct tree_plan *plan)
{
    free(plan->old);
    free(plan->new);
    free(plan->home);
    free(plan->from);
    *plan = (struct tree_plan){ .n_old = 0 };
}
