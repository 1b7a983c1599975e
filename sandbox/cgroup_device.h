/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/cgroup_device: which device nodes may be opened from inside a control group, whatever
 * nodes there are.  In the v2 tree, that of hybrid hosts too, a small program that the kernel asks
 * at every open; on v1 the list of the devices controller beside it.  Nobody inside makes nodes.
 */
#ifndef BERTH_SANDBOX_CGROUP_DEVICE_H
#define BERTH_SANDBOX_CGROUP_DEVICE_H

#include "sandbox/cgroup.h"

/* Allow null, zero, full, random, urandom and limits->device, and nothing else.  RC_CGROUP when a
 * filter that this host has does not take hold, or it has none. */
must_check enum rc cgroup_device_filter(const struct cgroup *cgroup,
                                        const struct cgroup_limits *limits, struct err *err);

/* Whether this kernel takes such a program, tried on a directory of the v2 tree that is empty. */
bool cgroup_device_try(int dir);

#endif
