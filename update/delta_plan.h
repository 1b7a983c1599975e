/* SPDX-License-Identifier: Apache-2.0
 *
 * update/delta_plan: which files a delta package is about, in which order and with which numbers,
 * from the indexes of the two trees.  The ground makes deltas by it and berth-unpack applies them
 * by it, so that the two cannot differ.
 *
 *     old image:  0 = the old tree's index itself, then delta/tree's old files
 *     new files:  0 = the new tree's index itself, with the old one as home, then delta/tree's
 *
 * Both indexes may be a tenant's lies as far as this file is concerned.  Pure.
 */
#ifndef BERTH_UPDATE_DELTA_PLAN_H
#define BERTH_UPDATE_DELTA_PLAN_H

#include "delta/tree.h"
#include "update/index.h"

#define DELTA_PLAN_INDEX UINT32_MAX /* in place of a file: the tree's index */

/* One tree: the regular files of its index, and which of them the delta is about. */
struct delta_side {
    struct bytes index; /* the caller's; must outlive the plan */
    uint32_t entries;   /* of the index */
    uint64_t bytes;     /* of all its regular files */
    struct tree tree;   /* its regular files; their paths are views into the index */
    uint32_t n;         /* of the lists below, the index included */
    uint32_t *file;     /* the number in tree, or DELTA_PLAN_INDEX for number 0 */
    uint64_t *sizes;    /* in bytes */
};

/* Owns everything but the indexes. */
struct delta_plan {
    struct delta_side old; /* the old image */
    struct delta_side new; /* the new files */
    uint32_t *home;        /* of each new file: the number in the old image to look at first, or
                            * TREE_NO_HOME */
    uint32_t *from; /* of each file of the new tree, where its content is: below old.n the number
                     * in the old image, from there on old.n and the number among the new files */
};

/* The old side: all that is known before a delta is applied.  A plan starts as { 0 }; the caller
 * calls delta_plan_done, also after a failure.  RC_INDEX_FORMAT, RC_NO_MEMORY. */
must_check enum rc delta_plan_old(struct delta_plan *plan, struct bytes index, struct err *err);

/* The new side, after the old one.  RC_INDEX_FORMAT, RC_NO_MEMORY. */
must_check enum rc delta_plan_new(struct delta_plan *plan, struct bytes index, struct err *err);

void delta_plan_done(struct delta_plan *plan); /* a scope cleaner */

#endif
