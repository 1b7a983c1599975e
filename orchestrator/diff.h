/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/diff: what differs between the trees of two packages, from their indexes.  Pure.
 *
 * Both indexes are tenants' and hostile: they are read strictly, and what is shown of their paths
 * is for the caller to make printable.
 */
#ifndef BERTH_ORCHESTRATOR_DIFF_H
#define BERTH_ORCHESTRATOR_DIFF_H

#include "base/bytes.h"
#include "base/err.h"
#include "update/index.h"

enum diff_what {
    DIFF_SAME = 0, /* not listed */
    DIFF_ADDED,
    DIFF_REMOVED,
    DIFF_CHANGED, /* another content, target or type */
    DIFF_MODE,    /* the same content, executable or no longer */
    DIFF_MOVED,   /* the content of a file that is gone from its path */
    DIFF_WHATS,
};

/* One difference.  Paths are views into the indexes. */
struct diff_entry {
    enum diff_what what;
    struct bytes path;                  /* in the new tree; of what was removed: in the old one */
    struct bytes from;                  /* DIFF_MOVED: the path in the old tree */
    enum index_kind old_kind, new_kind; /* 0 where there is none */
    uint64_t old_size, new_size;        /* of files, in bytes */
};

/* Owns entries. */
struct diff {
    struct diff_entry *entries; /* by path */
    uint32_t n;
    uint32_t count[DIFF_WHATS]; /* entries of each kind, same ones included */
};

/* Compare; both indexes must outlive the result.  RC_INDEX_FORMAT, RC_NO_MEMORY. */
must_check enum rc diff_indexes(struct bytes old, struct bytes new, struct diff *ret,
                                struct err *err);
void diff_done(struct diff *d); /* scope cleaner */

/* "added", "removed", ... */
const char *diff_what_text(enum diff_what what);

#endif
