/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/record: run a payload on its author's own machine and watch which system calls it makes
 * and what it takes, to propose the least profile and limits for its manifest.
 *
 * The program is run as an ordinary user, in namespaces of its own (without a network), with the
 * files of its package as its root and none of this machine's.  Every call is held by the kernel
 * (SECCOMP_RET_USER_NOTIF) and looked at: what the widest profile allows goes on, what it refuses
 * is refused as it would be on board.  The decision rests on registers alone, which nobody can
 * change in between.  This is slow and needs somebody who watches: it is for development, no
 * payload on board runs so.
 */
#ifndef BERTH_SANDBOX_RECORD_H
#define BERTH_SANDBOX_RECORD_H

#include "base/err.h"
#include "sandbox/seccomp.h"

#define RECORD_SECONDS_MAX 3600U

/* What to run.  root is a directory that is the caller's to change: mount points are made in it. */
struct record_job {
    const char *root;
    char *const *argv; /* argv[0]: absolute, inside of root */
    char *const *envp;
    uint32_t seconds; /* after which it is ended */
};

struct record {
    uint64_t counts[CALLS_N];
    uint64_t refused[CALLS_N]; /* of those: not allowed in any profile */
    uint64_t unknown;          /* calls that no table has */
    uint32_t profile;          /* PROFILE_ bits that were needed */
    uint64_t memory_bytes;     /* peaks of all processes together, at most */
    uint32_t pids;             /* processes and threads at once */
    uint32_t open_files;       /* of one process */
    uint64_t cpu_us;
    uint64_t wall_us;
    bool ended;      /* by itself, within the time */
    int status;      /* wait status of the program, if it ended */
    bool said_ready; /* READY=1 */
    bool has_proc;   /* /proc could be mounted */
};

/* Run and watch.  RC_CONFINE: this process has privileges that a payload does not need (root, or
 * any capability), or the machine does not let users make namespaces; nothing was run.
 * RC_LAUNCH_STEP: setting it up failed.  RC_LAUNCH_EXEC: there is no such program. */
must_check enum rc record_run(const struct record_job *job, struct record *ret, struct err *err);

#endif
