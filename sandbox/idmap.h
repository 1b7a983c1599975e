/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/idmap: a user namespace that exists only to say how ids are shifted in a mount.  Nobody
 * lives in it.
 */
#ifndef BERTH_SANDBOX_IDMAP_H
#define BERTH_SANDBOX_IDMAP_H

#include "base/bytes.h"
#include "base/err.h"

/* A namespace in which one id, user and group alike, is uid and gid on the host, and no other id is
 * anything.  *ret_fd is the caller's.  Needs SETUID and SETGID; RC_LAUNCH_STEP. */
must_check enum rc idmap_one(uint32_t id, uint32_t uid, uint32_t gid, int *ret_fd, struct err *err);

#endif
