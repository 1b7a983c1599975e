/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/receipt: what the kernel says of a payload that runs, held against its plan when it has
 * started and against the receipt of its start as long as it lives.
 *
 * Everything is read from /proc by the launcher, never asked of the payload.  A process that has
 * ended meanwhile, or whose number another one has by now, is told from one that has drifted by a
 * pidfd.
 */
#ifndef BERTH_SANDBOX_RECEIPT_H
#define BERTH_SANDBOX_RECEIPT_H

#include "sandbox/cgroup.h"
#include "sandbox/walls.h"

/* How the ids inside lie on the host: the first one inside, and where it begins. */
struct receipt_ids {
    uint32_t inside;
    uint32_t uid, gid; /* of that first one */
    uint32_t count;
};

/* Whose receipt. */
struct receipt_of {
    pid_t pid;              /* of the payload, on the host */
    int pidfd;              /* of the same process */
    uint32_t filters;       /* that it has from the launcher */
    struct receipt_ids ids; /* for receipt_check */
    bool ordinary; /* of an ordinary user's launcher, which has no filter of its own, and the host's
                    nodes in /dev, each a mount */
    bool no_proc;  /* there is none */
    const struct cgroup_tree *tree;
    const struct cgroup *cgroup;
};

/* Filters of system calls on this process: its own, and those of whoever started it. */
uint32_t receipt_own_filters(void);

/* Read it.  RC_NOT_FOUND: the payload has ended. */
must_check enum rc receipt_read(const struct receipt_of *of, struct wire_receipt *ret,
                                struct err *err);

/* Whether the process is confined as planned, as far as walls stand.  RC_DRIFT, with what is not;
 * RC_LAUNCH_STEP, with what cannot be told; RC_NOT_FOUND: the payload has ended. */
must_check enum rc receipt_check(const struct receipt_of *of, const struct plan *plan,
                                 const struct walls *walls, const struct wire_receipt *receipt,
                                 struct err *err);

/* Whether it is so still.  What a process may do to itself (lower a limit, open a file) is no
 * difference.  RC_DRIFT, with the first one that is. */
must_check enum rc receipt_compare(const struct wire_receipt *then, const struct wire_receipt *now,
                                   struct err *err);

#endif
