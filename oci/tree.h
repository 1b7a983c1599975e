/* SPDX-License-Identifier: Apache-2.0
 *
 * oci/tree: a container's file tree, as sandbox/mounts does a payload's: everything is mounted by
 * descriptor, and no path of a config.json is followed out of the root file system, nor through a
 * link.  The creator makes what needs the host's rights (the root, device nodes, mount points, what
 * is bound), the child all else in its own namespaces, in the order of the config.json.
 */
#ifndef BERTH_OCI_TREE_H
#define BERTH_OCI_TREE_H

#include "oci/config.h"
#include "sandbox/mounts.h"

/* What the creator has made ready; descriptors, -1 = none. */
struct oci_tree {
    const struct oci_config *config;
    struct mounts *mounts; /* root and dev of it are used */
    int bind[OCI_MOUNTS_MAX];
};

/* Where files may come from, beside the bundle: absolute paths. */
struct oci_sources {
    const char *bundle; /* absolute, resolved */
    const char *const *allowed;
    size_t n;
};

/* Creator: open the root file system of a bundle: a directory below the bundle, or an absolute path
 * there or below one of those allowed, with no link in it.  RC_OCI_FORMAT, RC_OCI_WANTS. */
must_check enum rc oci_tree_root(int bundle, const char *path, const struct oci_sources *sources,
                                 int *ret, struct err *err);

/* Creator: make mount points in the root, and the detached mounts.  uid0 and gid0 are the host's
 * ids of root inside.  RC_OCI_WANTS: a bind from elsewhere.  RC_LAUNCH_STEP. */
must_check enum rc oci_tree_open(int root, const struct oci_sources *sources, uint32_t uid0,
                                 uint32_t gid0, struct oci_tree *tree, struct err *err);

void oci_tree_close(struct oci_tree *tree);

/* Child, the root attached: everything else.  Then what is masked and read-only.  0, or -1 with
 * errno. */
must_check int oci_tree_attach(const struct oci_tree *tree);
must_check int oci_tree_mask(const struct oci_tree *tree);

#endif
