/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/child: what happens between clone and exec of a container's process, as a list of steps made
 * of those of sandbox/child_steps and of its own.  What sandbox/child says of its code holds here:
 * nothing is allocated, nothing is called but the kernel.
 *
 * There is no reaper: the container's program is process 1, as with other runtimes.  It waits
 * twice: for its creator, until ids and control group are in place, and, when everything but the
 * filters of system calls is done, for somebody who connects to `listen` and says go.  From then on
 * that one hears what fails.
 */
#ifndef BERTH_OCI_CHILD_H
#define BERTH_OCI_CHILD_H

#include <linux/filter.h>

#include "oci/tree.h"
#include "sandbox/child_steps.h"

#define OCI_PROGRAMS_MAX 32U /* places where the program may be */
#define OCI_SYSCTL_CAP 160U

struct oci_child {
    struct child base; /* first: what the shared steps are given */
    const struct oci_config *config;
    const struct oci_tree *tree;
    int listen;                                       /* SEQPACKET, listening */
    struct sock_fprog filter;                         /* linux.seccomp, compiled; len 0 = none */
    char sysctl[OCI_SYSCTLS_MAX][OCI_SYSCTL_CAP];     /* paths in /proc/sys */
    char program[OCI_PROGRAMS_MAX][2 * OCI_PATH_MAX]; /* tried in this order */
    size_t n_programs;
    const char *writable[OCI_MOUNTS_MAX]; /* mounts that may be written, for landlock */
    size_t n_writable;
    char hostname[OCI_HOSTNAME_MAX + 1];
    char *argv[OCI_ARGS_MAX + 1];
    char *envp[OCI_ENV_MAX + 1];
};

/* Creator: work out all that the child may not: places of the program, paths, texts. RC_OCI_FORMAT.
 */
must_check enum rc oci_child_fill(struct oci_child *c, const char *id, struct err *err);

_Noreturn void oci_child_run(const struct oci_child *c);

const char *oci_child_step_name(uint32_t step);

#endif
