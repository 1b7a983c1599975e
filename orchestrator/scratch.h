/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/scratch: a private directory under $TMPDIR that goes away with all that is in it.
 * A program that is killed leaves its own; the next one that opens one removes it.
 */
#ifndef BERTH_ORCHESTRATOR_SCRATCH_H
#define BERTH_ORCHESTRATOR_SCRATCH_H

#include <limits.h>

#include "base/err.h"

#define SCRATCH_FILES "files"

struct scratch_dir {
    char path[PATH_MAX]; /* the whole of it */
    int fd;              /* an empty directory in it, SCRATCH_FILES */
    int lock_fd;         /* held for as long as somebody uses it */
};
#define SCRATCH_NONE                                                                               \
    {                                                                                              \
        .fd = -1, .lock_fd = -1                                                                    \
    }

/* Make one (0700), below $TMPDIR if that is absolute, else /tmp.  Removes those that nobody of this
 * user holds any more. */
must_check enum rc scratch_open(struct scratch_dir *ret, struct err *err);
void scratch_close(struct scratch_dir *dir); /* scope cleaner; fine on SCRATCH_NONE */

#endif
