/* SPDX-License-Identifier: Apache-2.0
 *
 * base/confine: how one of Berth's own processes gives up everything it does not need, in one call,
 * right after its descriptors are open: no_new_privs, rlimits, landlock, seccomp.  The rules are
 * one constant table per process, so that "what can this process still do" has one place to look.
 * (Payloads are confined by sandbox/, not by this.) The only door to libseccomp outside sandbox/.
 */
#ifndef BERTH_BASE_CONFINE_H
#define BERTH_BASE_CONFINE_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

/* A directory that stays reachable by path or descriptor after landlock. */
struct confine_dir {
    int fd;
    bool write; /* else read and list only */
};

struct confine {
    const char *name;            /* of the process, for errors */
    const char *const *syscalls; /* NULL-terminated allow-list by name, added to the common one */
    const struct confine_dir *dirs; /* landlock: everything else is unreachable */
    size_t n_dirs;
    bool handed_dirs; /* files may be read, made, written and removed in directories that it is
                       * handed later, wherever they are: for a process that has no root
                       * directory to find others from.  What landlock knows beyond that
                       * (devices, links, sockets, programs) it may nowhere */
    bool may_exec;    /* else execve is not in the filter, and it can act on no process but
                       * itself: no signal, no limit, no owner of a descriptor's signals */
    bool threads;     /* it may start threads, never a process */
    bool sockets;     /* it may make internet sockets, and no others */
    uint64_t file_size_max; /* RLIMIT_FSIZE in bytes, 0 = leave */
    uint64_t files_max;     /* RLIMIT_NOFILE, 0 = leave */
    uint64_t memory_max;    /* RLIMIT_AS in bytes, 0 = leave (left alone under sanitizers) */
};

/* Apply the rules to this process, for good.  A kernel without landlock or seccomp is RC_CONFINE: a
 * missing layer is an error, never skipped.  A system call outside the list kills the process. */
must_check enum rc confine_self(const struct confine *rules, struct err *err);

/* Become uid/gid with no supplementary groups and no capabilities, and check that there is no way
 * back. */
must_check enum rc confine_user(uid_t uid, gid_t gid, struct err *err);

/* Read "UID" or "UID:GID" (else the same number), neither 0, nor out of range: then false. */
bool confine_parse_user(const char *text, uid_t *ret_uid, gid_t *ret_gid);

#endif
