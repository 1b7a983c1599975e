/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/tree: which files of two trees a delta is about.  The old image is every regular file
 * of the old tree in the order of paths, the first of each content only; new files are those
 * regular files of the new tree, in the order of paths, whose content the old tree does not have,
 * the first of each content only.  So an unchanged, moved or copied file costs nothing.
 *
 * The maker and the applier ask the same function, so they cannot differ.  Pure, and in time
 * n * log n whatever the digests are: they may be a tenant's claims.
 */
#ifndef BERTH_DELTA_TREE_H
#define BERTH_DELTA_TREE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define TREE_NO_HOME UINT32_MAX

/* A regular file of a tree. */
struct tree_file {
    struct bytes path; /* a view; not empty */
    uint64_t size;
    uint8_t sha256[DIGEST_SIZE];
};

/* Regular files of a tree in byte order of their paths, which are all different. */
struct tree {
    const struct tree_file *files;
    uint32_t n;
};

/* Numbers of files in their tree.  Owns all lists. */
struct tree_plan {
    uint32_t *old;  /* the old image */
    uint32_t *new;  /* the new files */
    uint32_t *home; /* for each new file: the number in old[] of what its path has in the old tree,
                     * or TREE_NO_HOME */
    uint32_t *from; /* for each file of the new tree, where its content is: below n_old the number
                     * in old[], from there on n_old and the number in new[] */
    uint32_t n_old;
    uint32_t n_new;
};

/* RC_VALUE when a list is not in order, RC_NO_MEMORY.  The caller calls tree_plan_done. */
must_check enum rc tree_plan(const struct tree *old, const struct tree *new, struct tree_plan *ret,
                             struct err *err);
void tree_plan_done(struct tree_plan *plan);

#endif
