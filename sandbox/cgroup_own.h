/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/cgroup_own: the control groups that this process is in and that its user may change.
 */
#ifndef BERTH_SANDBOX_CGROUP_OWN_H
#define BERTH_SANDBOX_CGROUP_OWN_H

#include "sandbox/cgroup.h"

/* Open the directory of each hierarchy whose group is this user's to change; the others stay -1.
 * The version of the controllers, as struct cgroup_tree has it.  Device control and disks are
 * nobody's but root's to set: those hierarchies of v1 are not looked for. */
uint32_t cgroup_own_open(int parent[CGROUP_KINDS]);

#endif
