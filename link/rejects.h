/* SPDX-License-Identifier: Apache-2.0
 *
 * link/rejects: where refused bundle files are kept for a look: NUMBER-CODE-NAME, at most
 * REJECTS_FILES and REJECTS_BYTES of them, the oldest make room.  Nothing reads them again.
 */
#ifndef BERTH_LINK_REJECTS_H
#define BERTH_LINK_REJECTS_H

#include "base/bytes.h"
#include "base/err.h"

#define REJECTS_FILES 64U
#define REJECTS_BYTES (4U * 1024U * 1024U)

struct rejects_file {
    uint64_t number;
    uint64_t size;
    enum rc rc;
};

struct rejects {
    int dirfd; /* borrowed */
    uint64_t next;
    uint64_t bytes;
    size_t n;
    struct rejects_file file[REJECTS_FILES]; /* oldest first */
};

/* Take stock of the directory; what does not belong there is removed. */
must_check enum rc rejects_open(int dirfd, struct rejects *ret, struct err *err);

/* Move a file here out of another directory, or remove it if it is not a plain file of a size worth
 * keeping or cannot be moved.  False if the name is still there, as dircl_remove. */
bool rejects_take(struct rejects *rejects, int from_dirfd, const char *name, enum rc why);

#endif
