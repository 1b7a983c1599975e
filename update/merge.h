/* SPDX-License-Identifier: Apache-2.0
 *
 * update/merge: the tree that the layers of a container image make together, as a list in memory.
 * Ground only.
 *
 * Entries come from a stranger's archives, in the archives' order (OCI image-spec, layer.md: one
 * changeset upon another, ".wh.NAME" removes NAME of the layers below, ".wh..wh..opq" everything
 * that they have in its directory).  Nothing is made on disk, so no link of one layer can lead
 * another astray: a path that leads through a link is refused.  Each entry passes update/policy.
 * Files' bytes are elsewhere; the tree remembers at which offset.
 */
#ifndef BERTH_UPDATE_MERGE_H
#define BERTH_UPDATE_MERGE_H

#include "update/pack.h"
#include "update/policy.h"

#define MERGE_LAYERS_MAX 128U
#define MERGE_ENTRIES_MAX 100000U /* of all layers, removed ones and removals counted */

struct merge;

/* One entry of a layer. */
struct merge_entry {
    const char *path;
    const char *target;   /* of a symbolic link, else NULL */
    const char *hardlink; /* the path whose file this is, too; else NULL */
    mode_t mode;          /* type and permission bits; not looked at for a hard link */
    uint64_t size;        /* of a plain file */
    uint64_t at;          /* where its bytes will be */
    bool has_attributes;  /* extended attributes, ACL or flags: not taken over */
};

/* What was left out or changed, for people. */
struct merge_told {
    uint32_t hidden;       /* entries below the directories that the sandbox mounts over */
    uint32_t attributes;   /* entries that had attributes */
    uint32_t setuid;       /* files that lost set-user-id, set-group-id or sticky */
    char setuid_path[128]; /* the first of them */
};

/* An empty tree.  strip_setuid: clear those bits of files, else refuse (RC_ARCHIVE_MODE).
 * merge_free takes the address, a scope cleaner. */
must_check enum rc merge_new(bool strip_setuid, struct merge **ret, struct err *err);
void merge_free(struct merge **merge);

/* The entries that follow belong to the next layer up.  RC_TOO_LARGE above MERGE_LAYERS_MAX. */
must_check enum rc merge_layer(struct merge *merge, struct err *err);

/* Take one entry; *ret_wanted: its bytes are needed.  The codes of policy_check;
 * RC_ARCHIVE_DUPLICATE for a path that the same layer has already (directories may come again),
 * RC_ARCHIVE_LINK for a path through a link or a hard link to what is no file in the tree,
 * RC_ARCHIVE_PATH below a file or for a whiteout of no form, RC_ARCHIVE_COUNT. */
must_check enum rc merge_add(struct merge *merge, const struct merge_entry *entry, bool *ret_wanted,
                             struct err *err);

/* Where path (absolute, as the payload sees it) leads, links followed inside the tree: a view of
 * the real path there, NULL if to nothing or to no executable plain file. */
const char *merge_program(const struct merge *merge, const char *path);

/* The tree, sorted by the bytes of the paths; the caller frees *ret, whose paths and targets live
 * as long as the tree.  RC_ARCHIVE_COUNT if there are more than PACKAGE_FILES_MAX, or none. */
must_check enum rc merge_items(const struct merge *merge, struct pack_item **ret, size_t *ret_n,
                               struct err *err);

const struct merge_told *merge_told(const struct merge *merge);

#endif
