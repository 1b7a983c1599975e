/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/counts: what the kernel counts by user, in every namespace up to the host's, where all of
 * it is charged to the user who made the sandboxes.  One sandbox that takes all that the host gives
 * a user leaves none for the others, so each gets a share that fits into the whole.
 *
 * Also what can only be set from inside, once the namespaces are there: no namespaces below these,
 * and no memory file that can be executed.
 */
#ifndef BERTH_SANDBOX_COUNTS_H
#define BERTH_SANDBOX_COUNTS_H

#include "base/err.h"

#define COUNTS_SANDBOXES 128U    /* shares: as many as may run at once */
#define COUNTS_INSTANCES_MIN 2U  /* a share is not smaller, whatever the host has */
#define COUNTS_INSTANCES_MAX 32U /* nor larger */
#define COUNTS_WATCHES_MIN 128U
#define COUNTS_WATCHES_MAX 8192U

/* One sandbox's shares, as text for the kernel. */
struct counts {
    char inotify_instances[24];
    char inotify_watches[24];
};

/* Launcher: divide what this host gives one user. */
void counts_share(struct counts *ret);

/* Child, still the host's user in its new namespaces: an executable memory file is refused in them.
 * A kernel that cannot (before 6.3), and a host's user other than root, leave it to the system-call
 * filter.  0, or -1 with errno. */
must_check int counts_forbid_memfd_exec(void);

/* Child, uid 0 of its range: set the shares.  0, or -1 with errno. */
must_check int counts_apply(const struct counts *counts);

/* Child, the same: no user namespace below its own.  0, or -1 with errno. */
must_check int counts_forbid_namespaces(void);

#endif
