/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/child_steps: the steps between clone and exec one by one, for a program that puts its own
 * list of them together (oci/child).  What sandbox/child says of its code holds for each: nothing
 * is allocated, nothing is called but the kernel.  Each returns 0, or -1 with errno.
 */
#ifndef BERTH_SANDBOX_CHILD_STEPS_H
#define BERTH_SANDBOX_CHILD_STEPS_H

#include "sandbox/child.h"

#define CHILD_FD_SYNC 3 /* where the channel is, from the first step until exec closes it */
#define CHILD_ALWAYS (-1)

struct child_step {
    const char *name;
    int (*run)(const struct child *c); /* 0, or -1 with errno */
    int wall; /* it is left out where this wall does not stand, or CHILD_ALWAYS done */
};

/* Run them; one that fails ends the process with child_fail.  first is the number of the first. */
void child_run_steps(const struct child *c, const struct child_step *steps, uint32_t n,
                     uint32_t first);

/* Tell who listens on the channel of the step and errno, and end. */
_Noreturn void child_fail(const struct child *c, uint32_t step);

int child_take_channel(const struct child *c);      /* child->sync becomes CHILD_FD_SYNC */
int child_wait(const struct child *c);              /* until the launcher says go */
int child_read_go(void);                            /* the same at any other time */
int child_forbid_memfd_exec(const struct child *c); /* as the host's user still */
int child_inner_root(const struct child *c);        /* uid 0 of its range */
int child_share_counts(const struct child *c);
int child_cgroup_namespace(const struct child *c); /* after the attach */
int child_forbid_namespaces(const struct child *c);
int child_attach_root(const struct child *c);
int child_pivot(const struct child *c);
int child_session(const struct child *c);
int child_keyring(const struct child *c);
int child_lock_securebits(const struct child *c);
int child_no_new_privs(const struct child *c);
int child_reset_signals(const struct child *c);
int child_filter_calls(const struct child *c); /* of child->payload_filter; needs no_new_privs */
int child_confirm(const struct child *c);      /* say CHILD_CONFINED, and wait for go */

#endif
