/* SPDX-License-Identifier: Apache-2.0
 *
 * update/staging: the directory that becomes the root of a slot, while berth-unpack fills it.  What
 * unpacking an archive and applying a delta have in common.  Entries are those that update/policy
 * has let through.
 */
#ifndef BERTH_UPDATE_STAGING_H
#define BERTH_UPDATE_STAGING_H

#include "manifest/doc.h"
#include "update/policy.h"
#include "update/verity.h"

struct unpack_spec;

/* Where a job puts what it makes.  The descriptors stay the caller's. */
struct staging {
    int root;  /* an empty directory */
    int index; /* takes the index; -1 = nobody keeps it */
    struct verity *verity;
};

/* RC_EXISTS if anything is in the directory. */
must_check enum rc staging_check_empty(int root, struct err *err);

/* Remove all that is in it; what cannot be removed stays for the caller to find. */
void staging_clear(int root);

/* Open the directory that holds the item, and find the last component of its path.
 * RC_ARCHIVE_PATH if there is no such directory. */
must_check enum rc staging_parent(int root, const struct policy_item *item, int *ret_fd,
                                  const char **ret_name, struct err *err);

/* Make a directory or link in its parent.  RC_ARCHIVE_DUPLICATE. */
must_check enum rc staging_make(int parent, const char *name, const struct policy_item *item,
                                struct err *err);

/* Create a file in its parent, to be written.  RC_ARCHIVE_DUPLICATE. */
must_check enum rc staging_create(int parent, const char *name, const struct policy_item *item,
                                  int *ret_fd, struct err *err);

/* Every entry is there: make the mount points, find the entry point, and bring all of it to the
 * medium.  RC_ENTRY_POINT, RC_IO. */
must_check enum rc staging_end(int root, const struct unpack_spec *spec, struct err *err);

/* RC_INDEX_MISMATCH unless these are the digests of the index that the manifest names.  None named
 * is RC_OK. */
must_check enum rc staging_check_index(const struct unpack_spec *spec, const struct digest *found,
                                       const struct digest384 *found384, struct err *err);

#endif
