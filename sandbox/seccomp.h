/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/seccomp: the system-call filters.  The tables (sandbox/calls.def, sandbox/rules) say what
 * is allowed; this makes BPF programs from them, for either architecture, without a library.
 * Programs are built once at start, before any payload; the child only hands the finished
 * instructions to the kernel, because between clone and exec there is no allocation.
 *
 * What is not allowed: numbers that no table has, and calls of class ABSENT, are ENOSYS, so that
 * libraries fall back; calls that are known and refused are EPERM; calls that only an attacker
 * makes, calls by the x32 or the 32-bit entry, kill the process.  All but QUIET ones are in the
 * kernel's audit log (sandbox/denied reads it).
 */
#ifndef BERTH_SANDBOX_SECCOMP_H
#define BERTH_SANDBOX_SECCOMP_H

#include <linux/filter.h>

#include "base/err.h"
#include "base/sum.h"
#include "sandbox/rules.h"

/* Whose filter.  A payload's is followed by its grant: a mask of PROFILE_ bits. */
enum seccomp_role {
    SECCOMP_PAYLOAD = 1,
    SECCOMP_REAPER,   /* process 1 of the sandbox */
    SECCOMP_LAUNCHER, /* berth-launch itself: all but what nobody here ever needs */
};

/* What becomes of one call. */
enum seccomp_verdict {
    SECCOMP_KILL = 1,
    SECCOMP_EPERM,
    SECCOMP_ENOSYS,
    SECCOMP_ENOSYS_QUIET, /* not in the audit log */
    SECCOMP_ALLOW,
};

#define SECCOMP_PROGRAM_MAX 1280U /* instructions */

struct seccomp_program {
    unsigned short n;
    uint8_t digest[SUM_SIZE]; /* SHA-256 of all instructions that seccomp_apply loads, in order */
    enum seccomp_role role;
    enum calls_arch arch;
    struct sock_filter code[SECCOMP_PROGRAM_MAX];
};

/* Make the filter of a role for an architecture.  RC_VALUE when the table of rules is not fit to be
 * one (rules_check), RC_LAYER_MISSING when it does not fit. */
must_check enum rc seccomp_build(enum seccomp_role role, uint32_t profile, enum calls_arch arch,
                                 struct seccomp_program *ret, struct err *err);

/* The tables as read, not as compiled: what becomes of a call of this architecture with these
 * arguments.  What every filter must do, and what `berth lint payload` goes by. */
enum seccomp_verdict seccomp_verdict(enum seccomp_role role, uint32_t profile, enum calls_arch arch,
                                     uint32_t nr, const uint64_t args[6]);

/* The second program of a payload: it answers QUIET calls.  The kernel writes to the audit log or
 * not by program, so what is not written needs one of its own; it is loaded first. */
const struct sock_filter *seccomp_quiet(size_t *ret_n, enum calls_arch arch);

/* Whether it is what seccomp_build made: its instructions have its digest.  Async-signal-safe. */
bool seccomp_whole(const struct seccomp_program *program);

/* Load it into this thread for good, a payload's with its second one; needs no_new_privs.
 * Async-signal-safe.  0, or -1 with errno. */
must_check int seccomp_apply(const struct seccomp_program *program);

/* How many filters seccomp_apply loads for a payload, and how many it has when all are loaded: the
 * launcher's, which it inherits, and its own. */
#define SECCOMP_OWN_FILTERS 2U
#define SECCOMP_PAYLOAD_FILTERS (1U + SECCOMP_OWN_FILTERS)

#endif
