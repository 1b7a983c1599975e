/* SPDX-License-Identifier: Apache-2.0
 *
 * link/dircl: the directory convergence layer: bundles as files, one directory each way.
 *
 * A writer makes a file under a name that begins with '.', syncs it, and renames it to NAME.bundle;
 * a reader looks at such names only.  Others write under another name of their choice and rename as
 * well.  The directory belongs to whoever carries files: anything may lie in it, of any type, size
 * and name, in any number.
 */
#ifndef BERTH_LINK_DIRCL_H
#define BERTH_LINK_DIRCL_H

#include "base/bytes.h"
#include "base/err.h"

#define DIRCL_SUFFIX ".bundle"
#define DIRCL_NAME_CAP 128U                     /* with its terminator; a longer name is refused */
#define DIRCL_SCAN_MAX 1024U                    /* names taken at once */
#define DIRCL_LIST_MAX (256U * 1024U)           /* entries looked at at once */
#define DIRCL_JUNK_MAX 4096U                    /* other things removed at once */
#define DIRCL_HIDDEN_MAX 256U                   /* temporary files that are left alone, and ... */
#define DIRCL_FOREIGN_MAX 256U                  /* ... files of other names */
#define DIRCL_STALE_MS (UINT64_C(3600) * 1000U) /* nobody is still writing what is so old */

/* Names found by a scan, in the order of their bytes: of all that were looked at, the first. */
struct dircl_scan {
    size_t n;
    size_t junk; /* other things that were there and have been removed */
    bool more;   /* not everything was looked at */
    char name[DIRCL_SCAN_MAX][DIRCL_NAME_CAP];
};

/* Write one bundle under its final name, content durable, replacing an older one of that name.  The
 * name is durable after dircl_sync, once per batch; on a file system that cannot sync directories
 * that syncs all of it (and there the calling process must be allowed syncfs). */
must_check enum rc dircl_put(int dirfd, const char *name, struct bytes bundle, struct err *err);
must_check enum rc dircl_sync(int dirfd, struct err *err);

/* Look for bundles; unix_ms is the clock by which files are dated.  A plain file of another name is
 * left alone while somebody may be writing it, that is until it has not changed for DIRCL_STALE_MS
 * (or says that it will in DIRCL_STALE_MS: a clock may have jumped); then it is removed.  So are
 * more of them than any writer has at once, and at once what is no plain file: nothing that is left
 * alone may hide what lies behind it.  RC_IO if the directory cannot be read and there was nothing
 * to take or remove; behind anything that is only *more. */
must_check enum rc dircl_scan(int dirfd, uint64_t unix_ms, struct dircl_scan *ret, struct err *err);

/* Read one bundle of 1 to cap bytes: RC_NOT_REGULAR, RC_TOO_LARGE, RC_SHORT for an empty file,
 * RC_NOT_FOUND when it is gone. */
must_check enum rc dircl_read(int dirfd, const char *name, uint8_t *buf, size_t cap, size_t *ret_n,
                              struct err *err);

/* Remove a name, whatever it is; what cannot be removed is renamed out of the reader's sight.
 * False if the name is still there (a directory that is not ours to change). */
bool dircl_remove(int dirfd, const char *name);

#endif
