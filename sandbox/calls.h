/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/calls: names and numbers of system calls, from one table of our own (sandbox/calls.def).
 * Libraries and headers of a distribution know the calls of their day only, and only those of the
 * machine that they are built for; filters for both architectures are made and tested on either.
 * Pure.
 */
#ifndef BERTH_SANDBOX_CALLS_H
#define BERTH_SANDBOX_CALLS_H

#include <linux/audit.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum call {
#define CALL(name, x86_64, aarch64, class) CALL_##name,
#include "sandbox/calls.def"
#undef CALL
    CALLS_N
};

enum calls_arch { CALLS_X86_64, CALLS_AARCH64, CALLS_ARCHES };

#if defined(__x86_64__)
#define CALLS_NATIVE CALLS_X86_64
#elif defined(__aarch64__)
#define CALLS_NATIVE CALLS_AARCH64
#else
#error "no table of system calls for this architecture"
#endif

/* What a sandbox makes of a call.  A grant can only move a call up to allowed, and only where the
 * class or a rule says so. */
enum call_class {
    CALL_CLASS_ABSENT,      /* ENOSYS, as if the kernel were older: libraries fall back */
    CALL_CLASS_ALLOW,       /* always */
    CALL_CLASS_RULES,       /* by its arguments (sandbox/rules), else EPERM */
    CALL_CLASS_LEGACY,      /* with posix-legacy, else ENOSYS */
    CALL_CLASS_LEGACY_DENY, /* with posix-legacy, else EPERM */
    CALL_CLASS_DENY_INSIDE, /* EPERM; berth-launch needs it to set a sandbox up */
    CALL_CLASS_DENY,        /* EPERM, for berth-launch too */
    CALL_CLASS_TAMPER,      /* only an attacker asks for it: kills, berth-launch too */
    CALL_CLASS_QUIET,       /* ENOSYS without a word in the audit log: honest libraries ask often */
};

#define CALLS_X32_BIT 0x40000000U /* set in the numbers of the x32 ABI on x86-64 */

/* As the kernel's own table has it. */
const char *call_name(enum call call);

/* Its number, or -1 where the architecture has none. */
int call_nr(enum call call, enum calls_arch arch);

enum call_class call_class(enum call call);

/* The call of a number; false when the table has none. */
bool call_find(enum calls_arch arch, uint32_t nr, enum call *ret);

/* The value of AUDIT_ARCH_* by which the kernel names it. */
uint32_t calls_audit_arch(enum calls_arch arch);

#endif
