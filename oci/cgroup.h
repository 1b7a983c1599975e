/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/cgroup: the control group of one container, at the path that its config.json names, with its
 * limits.  A group that is there already is somebody else's: it is refused, and nothing in it is
 * touched; so is a path below one that is there, unless it was made for a container of berth-oci's,
 * too: then it stays until the last one below it is gone.  Such a group is marked by an attribute
 * that only root can set, so it needs no record and is nobody's any more when it is gone.
 * Memory and processes are always limited.  Every limit is read back.
 */
#ifndef BERTH_OCI_CGROUP_H
#define BERTH_OCI_CGROUP_H

#include "oci/config.h"
#include "sandbox/cgroup.h"

#define OCI_CGROUP_PARENT "berth-oci" /* of containers that name no path */
#define OCI_PIDS_DEFAULT 4096

#define OCI_CGROUP_TREES (CGROUP_KINDS + 1U) /* as enum cgroup_kind, then the cpuset of v1 */

/* For each hierarchy, how many levels of a path, from its end, are of this container's making. */
struct oci_levels {
    uint32_t n[OCI_CGROUP_TREES];
};

struct oci_cgroup {
    struct cgroup_tree tree;
    struct cgroup cgroup; /* the group itself, in each hierarchy */
    int cpuset_root;      /* v1: a hierarchy that payloads do not use; -1 = none */
    int cpuset;
    struct oci_levels levels;
};

#define OCI_CGROUP_NONE                                                                            \
    ((struct oci_cgroup){ .tree = { .parent = { -1, -1, -1, -1, -1, -1, -1, -1 },                  \
                                    .base = { -1, -1, -1, -1, -1, -1, -1, -1 } },                  \
                          .cgroup = CGROUP_INIT,                                                   \
                          .cpuset_root = -1,                                                       \
                          .cpuset = -1 })

/* Where the group of a container lies, below each hierarchy: its own path, or one by its id. */
void oci_cgroup_path(const struct oci_config *config, const char *id, char *out, size_t cap);

/* How many levels of a path, from its end, are not there yet: what making it would add.  RC_BUSY:
 * it is there in some hierarchy, or lies below a group that is and is not ours.  RC_CGROUP. */
must_check enum rc oci_cgroup_missing(const char *path, struct oci_levels *ret, struct err *err);

/* Make it with all limits and the filter for devices.  On failure nothing of it is left, and
 * nothing of another's is gone.  RC_BUSY:
 * there is such a group.  RC_CGROUP. */
must_check enum rc oci_cgroup_make(const char *path, const struct oci_limits *limits,
                                   struct oci_cgroup *ret, struct err *err);

/* Open one that was made, levels as it was then.  Parts that are gone stay -1.  RC_CGROUP. */
must_check enum rc oci_cgroup_open(const char *path, const struct oci_levels *levels,
                                   struct oci_cgroup *ret, struct err *err);

/* Move a process, blocked before its first step, into it. */
must_check enum rc oci_cgroup_attach(const struct oci_cgroup *cgroup, pid_t pid, bool cloned_into,
                                     struct err *err);

/* End what is in it, and remove it with the levels that were made for it.  RC_TIMEOUT: something
 * has not ended at until_ms of clock_mono_ms. */
must_check enum rc oci_cgroup_remove(struct oci_cgroup *cgroup, const char *path, uint64_t until_ms,
                                     struct err *err);

/* Remove it where it is empty, and end nothing. */
void oci_cgroup_drop(const struct oci_cgroup *cgroup, const char *path);

/* Close its descriptors: a scope cleaner. */
void oci_cgroup_close(struct oci_cgroup *cgroup);

#endif
