/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/seccomp: the system-call filters, as tables by name; the only file of the launcher that
 * knows libseccomp.  Programs are built once at start, before any payload; the child only hands the
 * finished instructions to the kernel, because between clone and exec there is no allocation.
 *
 * Rules of the tables: an allow-list.  What is not named is ENOSYS, so that libraries fall back;
 * what is known and dangerous is EPERM; what only an attacker asks for kills the process. Arguments
 * are compared masked to 32 bits where the kernel looks at 32 bits.
 */
#ifndef BERTH_SANDBOX_SECCOMP_H
#define BERTH_SANDBOX_SECCOMP_H

#include <linux/filter.h>

#include "base/err.h"

/* Zero is invalid. */
enum seccomp_profile {
    SECCOMP_PROFILE_NONE = 0,
    SECCOMP_PROFILE_POSIX = 1,    /* the payload: same number as PLAN_PROFILE_POSIX */
    SECCOMP_PROFILE_REAPER = 2,   /* process 1 of the sandbox */
    SECCOMP_PROFILE_LAUNCHER = 3, /* berth-launch itself: all but what nobody here ever needs */
    SECCOMP_PROFILES
};

#define SECCOMP_PROGRAM_MAX 2048U /* instructions */

struct seccomp_program {
    unsigned short n;
    struct sock_filter code[SECCOMP_PROGRAM_MAX];
};

/* Build the filter of a profile.  RC_LAYER_MISSING when libseccomp cannot. */
must_check enum rc seccomp_build(enum seccomp_profile profile, struct seccomp_program *ret,
                                 struct err *err);

/* Load it into this thread for good; needs no_new_privs.  Async-signal-safe.  0, or -1 with errno.
 */
must_check int seccomp_apply(const struct seccomp_program *program);

#endif
