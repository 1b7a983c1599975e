/* SPDX-License-Identifier: Apache-2.0 */
#include "update/delta_plan.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Count the entries, or the regular files among them, into *side; with files, fill those. */
static enum rc walk(struct delta_side *side, struct tree_file *files, struct err *err)
{
    struct index_in in = index_read(side->index);
    struct index_entry entry;

    side->entries = 0;
    side->bytes = 0;
    side->tree.n = 0;
    while (index_next(&in, &entry)) {
        side->entries++;
        if (entry.item.type != S_IFREG)
            continue;
        if (files) {
            struct tree_file *f = &files[side->tree.n];

            f->path = in.last;
            f->size = entry.size;
            memcpy(f->sha256, entry.content.b, sizeof f->sha256);
        }
        side->bytes += entry.size; /* 20,000 times 1 GiB at most */
        side->tree.n++;
    }
    return index_done(&in, err);
}

/* The regular files of an index. */
static enum rc read_side(struct delta_side *side, struct bytes index, struct err *err)
{
    struct tree_file *files;

    assert(!side->tree.files);
    side->index = index;

    enum rc rc = walk(side, NULL, err);

    if (rc != RC_OK)
        return rc;
    files = calloc((size_t)side->tree.n + 1, sizeof *files);
    if (!files)
        return err_set(err, RC_NO_MEMORY, "index of %u files", side->tree.n);
    side->tree.files = files;
    return walk(side, files, err);
}

/* The index, then the chosen files of the tree. */
static bool number(struct delta_side *side, const uint32_t *chosen, uint32_t n)
{
    side->file = malloc(((size_t)n + 1) * sizeof *side->file);
    side->sizes = malloc(((size_t)n + 1) * sizeof *side->sizes);
    if (!side->file || !side->sizes)
        return false;
    side->n = n + 1;
    side->file[0] = DELTA_PLAN_INDEX;
    side->sizes[0] = side->index.n;
    for (uint32_t i = 0; i < n; i++) {
        side->file[i + 1] = chosen[i];
        side->sizes[i + 1] = side->tree.files[chosen[i]].size;
    }
    return true;
}

enum rc delta_plan_old(struct delta_plan *plan, struct bytes index, struct err *err)
{
    static const struct tree nothing = { .n = 0 };
    scoped(tree_plan_done) struct tree_plan chosen = { .n_old = 0 };
    enum rc rc = read_side(&plan->old, index, err);

    if (rc == RC_OK)
        rc = tree_plan(&plan->old.tree, &nothing, &chosen, err);
    if (rc == RC_OK && !number(&plan->old, chosen.old, chosen.n_old))
        rc = err_set(err, RC_NO_MEMORY, "old files");
    return rc;
}

/* Homes and sources, counted with the indexes. */
static bool renumber(struct delta_plan *plan, const struct tree_plan *chosen)
{
    plan->home = malloc((size_t)plan->new.n * sizeof *plan->home);
    plan->from = malloc(((size_t)plan->new.tree.n + 1) * sizeof *plan->from);
    if (!plan->home || !plan->from)
        return false;
    plan->home[0] = 0;
    for (uint32_t i = 0; i < chosen->n_new; i++)
        plan->home[i + 1] = chosen->home[i] == TREE_NO_HOME ? TREE_NO_HOME : chosen->home[i] + 1;
    for (uint32_t i = 0; i < plan->new.tree.n; i++) {
        uint32_t from = chosen->from[i];

        plan->from[i] = from < chosen->n_old ? from + 1 : from + 2;
    }
    return true;
}

enum rc delta_plan_new(struct delta_plan *plan, struct bytes index, struct err *err)
{
    scoped(tree_plan_done) struct tree_plan chosen = { .n_old = 0 };
    enum rc rc = read_side(&plan->new, index, err);

    assert(plan->old.n > 0);
    if (rc == RC_OK)
        rc = tree_plan(&plan->old.tree, &plan->new.tree, &chosen, err);
    if (rc == RC_OK && (!number(&plan->new, chosen.new, chosen.n_new) || !renumber(plan, &chosen)))
        rc = err_set(err, RC_NO_MEMORY, "new files");
    assert(rc != RC_OK || chosen.n_old + 1 == plan->old.n);
    return rc;
}

static void side_done(struct delta_side *side)
{
    free((void *)(uintptr_t)side->tree.files);
    free(side->file);
    free(side->sizes);
    *side = (struct delta_side){ .n = 0 };
}

void delta_plan_done(struct delta_plan *plan)
{
    side_done(&plan->old);
    side_done(&plan->new);
    free(plan->home);
    free(plan->from);
    plan->home = NULL;
    plan->from = NULL;
}
