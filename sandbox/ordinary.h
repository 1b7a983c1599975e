/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/ordinary: the launcher of somebody who is not root, on a tenant's own machine.
 *
 * The process that asks enters a user namespace in which it has its own id and no other, and a
 * mount namespace that ends with it.  There it is as good as root for sandbox/launch, which makes
 * the same sandbox from the same plan: in a user namespace below this one, with the same child, the
 * same filters and the same receipt.  What an ordinary user cannot build is lost from the walls and
 * told, never passed over.
 *
 * No boundary for hostile payloads of others: the payload is the user's own process, its id is the
 * user's, and kernels are less tried from here.
 */
#ifndef BERTH_SANDBOX_ORDINARY_H
#define BERTH_SANDBOX_ORDINARY_H

#include "sandbox/launch.h"

/* Enter the two namespaces, for good.  RC_CONFINE: this is root, who needs none of it.
 * RC_LAYER_MISSING: this machine lets no ordinary user do so; ordinary_advice says why. */
must_check enum rc ordinary_enter(struct err *err);

/* Which setting of this machine forbids it, and the command that allows it: static text. */
const char *ordinary_advice(void);

/* After ordinary_enter: try the walls, build the filters.  launcher->tree is open, or none; self is
 * kept as launcher->ordinary and filled but for its directories. */
void ordinary_init(struct launcher *launcher, const struct wall_policy *policy,
                   struct launch_ordinary *self);

/* A file system in memory of so many bytes, mounted where only this process and its children see
 * it: below the directory dirfd as `name`, or, with dirfd -1, in place of a directory that every
 * machine has, and then for programs too.  *ret_fd is its top.  RC_LAUNCH_STEP. */
must_check enum rc ordinary_memory(int dirfd, const char *name, uint64_t bytes, int *ret_fd,
                                   struct err *err);

/* What is weaker here than on board about a wall that stands, or what stands in for one that does
 * not; NULL = nothing. */
const char *ordinary_weaker(const struct walls *walls, enum wall wall);

/* Why a wall is missing here, in words; NULL = for no other reason than its errno. */
const char *ordinary_why(enum wall wall);

/* Let every process of the payload's pid namespace stand still, or go on, where there is no
 * freezer.  RC_TIMEOUT: not all of them stand still. */
must_check enum rc ordinary_stand_still(const struct instance *instance, bool still,
                                        struct err *err);

#endif
