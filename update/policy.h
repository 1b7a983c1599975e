/* SPDX-License-Identifier: Apache-2.0
 *
 * update/policy: what a package may contain.  Used by packing on the ground and by unpacking on
 * board, so that neither accepts what the other would not.  Every name and number here is hostile.
 * Pure, but for the look at the entry point in a tree.
 */
#ifndef BERTH_UPDATE_POLICY_H
#define BERTH_UPDATE_POLICY_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define POLICY_RATIO_MAX 256U                   /* unpacked bytes for each byte of content ... */
#define POLICY_RATIO_FREE (16ULL * 1024 * 1024) /* ... beyond these */
#define POLICY_WINDOW_LOG 23U                   /* zstd: 8 MiB of history at most */
#define POLICY_NAME_MAX 255U                    /* one component */

/* Directories that the sandbox mounts over: made by unpacking, empty in a package. */
#define POLICY_MOUNT_POINTS 7U
extern const char *const policy_mount_points[POLICY_MOUNT_POINTS];

/* One entry as the archive (or the tenant's directory) describes it. */
struct policy_entry {
    struct bytes path;   /* relative; a directory's may end in one '/' */
    struct bytes target; /* of a symbolic link */
    mode_t mode;         /* type and permission bits */
};

/* An entry that may be made. */
struct policy_item {
    char path[PACKAGE_PATH_MAX + 1U];   /* without a trailing '/' */
    char target[PACKAGE_PATH_MAX + 1U]; /* "" unless a link */
    mode_t type;                        /* S_IFREG, S_IFDIR or S_IFLNK */
    mode_t mode;                        /* 0755 or 0644; 0777 for a link */
};

/* Check one entry.  RC_ARCHIVE_PATH: absolute, "." or "..", empty, too long or too deep, control
 * bytes, not UTF-8, or inside a mount point.  RC_ARCHIVE_TYPE: not a file, directory or symbolic
 * link.  RC_ARCHIVE_MODE: setuid, setgid or sticky.  RC_ARCHIVE_LINK: a link that is absolute or
 * climbs above the root, wherever other links lead.  *ret is untouched on failure; err->what never
 * holds more of the name than its printable ASCII. */
must_check enum rc policy_check(const struct policy_entry *entry, struct policy_item *ret,
                                struct err *err);

/* Whether a path of a good form lies below a directory that the sandbox mounts over, or is one
 * without being a directory: the payload would never see it. */
bool policy_is_hidden(struct bytes path, mode_t type);

/* Check what a manifest declares before anything is read: sizes and counts in bounds and in
 * proportion.  RC_ARCHIVE_BOMB, RC_PACKAGE_SIZE, RC_ARCHIVE_COUNT. */
must_check enum rc policy_check_sizes(uint64_t content_bytes, uint64_t unpacked_bytes,
                                      uint32_t files, struct err *err);

/* Check that entry (an absolute path as a payload sees it) leads to an executable plain file in the
 * tree below root, links resolved inside it.  RC_ENTRY_POINT. */
must_check enum rc policy_check_entry_point(int root, const char *entry, struct err *err);

/* The relative target that leads from a link at path to the absolute target, both inside the
 * package.  False if it does not fit. */
bool policy_relative_target(const char *path, const char *target, char *out, size_t cap);

#endif
