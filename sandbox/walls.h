/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/walls: which walls this kernel, with this host's settings, lets us build.
 *
 * Each is tried, not looked up by version: in a process of its own that ends afterwards, what it is
 * to stop is done and has to fail, or what it is made of is made.  Called once, when berth-launch
 * starts, before it gives up rights.  A wall that stood then and cannot be built later fails the
 * launch at its step all the same.
 */
#ifndef BERTH_SANDBOX_WALLS_H
#define BERTH_SANDBOX_WALLS_H

#include <stdio.h>

#include "base/walls.h"
#include "sandbox/cgroup.h"

struct walls {
    uint64_t standing;
    uint64_t missing;     /* all that do not stand */
    uint64_t waived;      /* of these: required, and the integrator does without */
    int error[WALLS_MAX]; /* errno of what is missing */
    int landlock_abi;     /* 0 = none */
    struct wall_policy policy;
};

/* Try all but those of control groups. */
void walls_try(const struct wall_policy *policy, struct walls *ret);

/* Try those of control groups, in one of the launcher's own below the tree; NULL: there is no tree,
 * all of them are missing. */
void walls_try_cgroups(const struct cgroup_tree *tree, struct walls *walls);

/* A wall turned out not to stand after all. */
void walls_lose(struct walls *walls, enum wall wall, int error);

static inline bool walls_stand(const struct walls *walls, enum wall wall)
{
    return (walls->standing & wall_bit(wall)) != 0;
}

/* RC_LAYER_MISSING, with the name of the first wall that is required, missing and not waived. */
must_check enum rc walls_check(const struct walls *walls, struct err *err);

/* Try them all here and now, and print the table, for people or as one JSON object.  Leaves nothing
 * behind.  As walls_check without any waiver. */
must_check enum rc walls_print(bool json, FILE *out);

/* Whether a core dump is a file that the kernel makes for the payload, with its rights, where it
 * stands: asked again at each start of one that may have them, because the host may change it.
 * RC_NOT_BUILT: a handler of the host's would be given it, or it would go to another place. */
must_check enum rc walls_check_core(struct err *err);

#endif
