/* SPDX-License-Identifier: Apache-2.0
 *
 * update/pack: from a tenant's directory to package content, and from content and envelope to a
 * package file.  Ground only.
 *
 * The same tree gives the same bytes, whoever packs it and in whatever order its files were made:
 * names sorted, times zero, owner 0:0, modes 0755 or 0644, no extended attributes.  What the
 * satellite would refuse is refused here, by the same rules (update/policy).
 */
#ifndef BERTH_UPDATE_PACK_H
#define BERTH_UPDATE_PACK_H

#include <sys/types.h>

#include "manifest/doc.h"

#define PACK_LEVEL                                                                                 \
    19U /* zstd level of released packages: the link is dear, the ground's CPU is not */

/* What the manifest says about the content. */
struct packed {
    struct digest content;
    struct digest384 content384;
    uint64_t content_bytes;
    uint64_t unpacked_bytes;
    uint32_t files;      /* entries: directories, files, links */
    struct digest index; /* of the index of these (update/index) */
    struct digest384 index384;
};

/* Write the tree below dirfd as content to out_fd (at its current offset).  entry is args[0] of the
 * manifest: an absolute path inside the tree that must be an executable file (RC_ENTRY_POINT).
 * An absolute symbolic link is written as the relative link to the same place in the package; any
 * other thing that unpacking would refuse is refused with the same code, err->what naming the file.
 * level is a zstd level, 1 to 19. */
must_check enum rc pack_tree(int dirfd, const char *entry, unsigned level, int out_fd,
                             struct packed *ret, struct err *err);

/* One entry of a tree that is no directory on disk. */
struct pack_item {
    const char *path;
    const char *target; /* of a link, relative; else "" */
    mode_t mode;        /* type and permission bits */
    uint64_t size;      /* of a plain file ... */
    uint64_t at;        /* ... whose bytes are here */
};

/* The same from a list, sorted by the bytes of the paths and each directory before what is in it;
 * files' bytes are read from data_fd.  The entry point is the caller's to check. */
must_check enum rc pack_list(const struct pack_item *items, size_t n, int data_fd, unsigned level,
                             int out_fd, struct packed *ret, struct err *err);

/* Copy the figures into a manifest. */
void pack_fill(const struct packed *packed, struct manifest *manifest);

/* Write a package file to out_fd: head, envelope, content_bytes of content_fd from offset
 * content_at.  RC_SHORT if the content ends early. */
must_check enum rc pack_assemble(struct bytes envelope, int content_fd, uint64_t content_at,
                                 uint64_t content_bytes, int out_fd, struct err *err);

/* The same for a delta package: delta_bytes of delta_fd from its beginning. */
must_check enum rc pack_assemble_delta(struct bytes envelope, int delta_fd, uint64_t delta_bytes,
                                       int out_fd, struct err *err);

/* Write the package in package_fd again with another envelope (a further signature). */
must_check enum rc pack_attach(int package_fd, struct bytes envelope, int out_fd, struct err *err);

#endif
