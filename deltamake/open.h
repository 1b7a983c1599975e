/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/open: which new files are sent in their opened form (delta/gzip), and which old ones
 * are opened to find what is in them.  Ground only.  A file is opened only if packing it again has
 * given exactly the same bytes.
 */
#ifndef BERTH_DELTAMAKE_OPEN_H
#define BERTH_DELTAMAKE_OPEN_H

#include "delta/gzip.h"
#include "deltamake/files.h"
#include "deltamake/make.h"

/* The files of both trees as matches see them.  Owns everything but the bytes of files that stay
 * closed. */
struct opened {
    struct files old;     /* those of the tree; behind them, opened ones */
    struct files new;     /* some of them opened */
    uint32_t *home;       /* of each new file: which old one to look at first, or MAKE_NO_HOME */
    uint32_t *list;       /* numbers of the old files that are opened, in order */
    uint32_t n_list;      /* old.n less the files of the tree */
    bool packs;           /* some new file is opened */
    struct gzip_how *how; /* of each new file that is: how to pack it; level 0 = it is not */
    uint32_t *packed_size;
    uint64_t cost; /* memory that applying takes for this, in bytes */
};

/* So many bytes are packed, in all, to find out how new files were: each as it was packed, and
 * again for each DEFLATE_STEPS places that were looked at for it.  What is left then stays closed.
 */
#define OPENED_TRIES_MAX (256LL * 1024 * 1024)

/* They cost a quarter of the memory that spec allows at most, and all of them together no more work
 * than a delta may cause (struct deflate_work).  RC_NO_MEMORY.  The caller calls opened_done. */
must_check enum rc opened_init(const struct make_spec *spec, const struct files *old,
                               const struct files *new, struct opened *ret, struct err *err);

/* The same with all files closed. */
must_check enum rc opened_none(const struct make_spec *spec, const struct files *old,
                               const struct files *new, struct opened *ret, struct err *err);
void opened_done(struct opened *o);

#endif
