/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/cgroup_limits: the limits of one instance and of its tenant as files of control groups,
 * on v2 and on v1.  Every value is read back after it was written: a limit that the kernel took
 * differently is not that limit, and refuses.
 *
 * Values come from a plan that plan_check_limits has passed.
 */
#ifndef BERTH_SANDBOX_CGROUP_LIMITS_H
#define BERTH_SANDBOX_CGROUP_LIMITS_H

#include "sandbox/cgroup.h"

/* Set or change all of it: what grows of the tenant's share, then the instance's own limits, then
 * what shrinks of the share.  On failure everything is as it was.  A memory limit below what is in
 * use now is first approached by reclaiming; if that does not do it is refused, and nothing is
 * killed for it.  RC_CGROUP with file and values. */
must_check enum rc cgroup_limits_set(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                                     const struct cgroup_limits *limits, struct err *err);

#endif
