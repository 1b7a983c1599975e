/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/landlock: a second wall behind the mounts.  Even where the mount set-up had a hole, a
 * payload could only read and execute its slot, read /proc, use the nodes in /dev and write in
 * /tmp, /run and /data; it could never make a device, and never signal or reach by abstract socket
 * what lies outside.
 */
#ifndef BERTH_SANDBOX_LANDLOCK_H
#define BERTH_SANDBOX_LANDLOCK_H

#include "sandbox/plan.h"

/* The version of the kernel's landlock, or 0 when there is none. */
int landlock_abi(void);

/* To try it: shut every file, or (ABI 6) what scopes keep apart, for this process.  0, or -1 with
 * errno. */
must_check int landlock_shut_files(void);
must_check int landlock_shut_scope(void);

/* Child, after pivot and no_new_privs: apply the rules for good.  Allocates nothing.  0, or -1 with
 * errno. */
must_check int landlock_apply(const struct plan *plan, int abi);

/* The same of a tree that is not a plan's: everything may be read and executed, and changed if it
 * is writable, or below one of the n directories `also`; no device is made anywhere.  0, or -1 with
 * errno. */
must_check int landlock_apply_tree(bool writable, const char *const *also, size_t n, int abi);

#endif
