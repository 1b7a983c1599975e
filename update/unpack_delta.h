/* SPDX-License-Identifier: Apache-2.0
 *
 * update/unpack_delta: a delta (delta/apply) and the tree of a slot become the files of another
 * slot, in one pass and with no copy of either tree in between.
 *
 *     apply -> files tmp/0, tmp/1 ... and the new index in memory, hashed as they come
 *     the index's digest is the one that the manifest names; each file is as the index says
 *     directories and links are made, new files renamed into place, all others copied from the base
 *     and hashed on the way
 *
 * The delta is unsigned and hostile; what is believed is the index digest of the signed manifest
 * and, through it, the index.  `tmp` is a mount point of the sandbox: no package has anything in
 * it, and it is there and empty in the end.
 */
#ifndef BERTH_UPDATE_UNPACK_DELTA_H
#define BERTH_UPDATE_UNPACK_DELTA_H

#include "update/staging.h"
#include "update/unpack.h"

/* The tree that the delta starts from, and its index.  The descriptors stay the caller's; nobody
 * changes the files meanwhile, but bits of them may have flipped. */
struct unpack_base {
    int root;
    int index;
};

/* Apply the delta at spec->content_at of delta_fd.  RC_SLOT_DAMAGED: the base is not what its index
 * says, or that not the one named.  RC_DELTA_BASE and other RC_DELTA_*: as in delta/apply; besides,
 * RC_DELTA_COUNT if the new index lists other files than come.  RC_INDEX_MISMATCH: what came is not
 * what the manifest names.  RC_INDEX_FORMAT, RC_ARCHIVE_COUNT, RC_PACKAGE_SIZE: the manifest's own
 * index is none, or contradicts the manifest.  On failure the directory is emptied again. */
must_check enum rc unpack_delta(int delta_fd, const struct unpack_spec *spec,
                                const struct unpack_base *base, const struct staging *out,
                                struct err *err);

/* The same as far as it goes without making a file: whether all that comes is what the manifest
 * names.  What would be copied from the base is not read. */
must_check enum rc unpack_check_delta(int delta_fd, const struct unpack_spec *spec,
                                      const struct unpack_base *base, struct err *err);

#endif
