/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/disk: which block devices the rates of a payload are for: the disk that the slots lie on,
 * and the loop devices of its data and its mail.
 */
#ifndef BERTH_SANDBOX_DISK_H
#define BERTH_SANDBOX_DISK_H

#include "sandbox/cgroup.h"
#include "sandbox/mounts.h"

/* Fill in limits->disk if it has a rate; else there are none.  A file system in memory has no disk.
 * RC_CGROUP: there is a rate, and the disk below the slots cannot be told. */
must_check enum rc disk_fill(int slots_dirfd, const struct mounts_loop *data,
                             const struct mounts_loop *mail, struct cgroup_limits *limits,
                             struct err *err);

#endif
