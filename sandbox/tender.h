/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/tender: how a payload with `isolation: vm` is run: a tender of the integrator's (QEMU, or
 * one for solo5 unikernels) is the program in the sandbox, its tree is "/" there, and the slot lies
 * at PLAN_SLOT_PATH.  Behind the walls of the guest stand all walls of any payload.
 *
 * Arguments are made here, by berth-launch, from a checked plan: nothing of a payload's is an
 * option of the tender.  Of its own words only names of files in its slot appear, and (solo5)
 * behind the name of the unikernel what that is told.
 */
#ifndef BERTH_SANDBOX_TENDER_H
#define BERTH_SANDBOX_TENDER_H

#include "sandbox/plan.h"

#define TENDER_PROGRAM "/usr/bin/tender" /* in its tree: QEMU looks for its parts from there */
#define TENDER_ARGS_MAX 48U
#define TENDER_TEXT_CAP (PAYLOAD_ARG_CAP + 32U)

struct tender_args {
    uint32_t n;
    char text[TENDER_ARGS_MAX][TENDER_TEXT_CAP];
};

/* The name that a tender is listed under; "" for a plan without one. */
const char *tender_name(uint32_t vm);

/* Bytes of memory of the guest of a checked plan: whole MiB, what the tender does not need. */
uint64_t tender_memory(const struct plan *plan);

/* Bytes of its disk, 0 = none: what the file system of the data image does not need, whole MiB. */
uint64_t tender_disk(const struct plan *plan);

/* The command line of a checked plan with a tender: args[0] is TENDER_PROGRAM. */
void tender_args(const struct plan *plan, struct tender_args *ret);

#endif
