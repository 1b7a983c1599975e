/* SPDX-License-Identifier: Apache-2.0
 *
 * update/index: what a package's tree consists of: every path with its type and mode, every file
 * with its size and SHA-256, every link with its target, sorted by path (docs/wire/documents.cddl,
 * package-index).  One tree has one index, so the digest of the index names the tree; the tenant
 * signs it with the manifest, and the slot keeps the index to be checked again.
 *
 * An index is made while a tree is packed or unpacked, from entries that update/policy has let
 * through.  One that is read was lying on disk, where bits flip, or came with a delta: it is
 * hostile.  Pure, but for writing it to a descriptor.
 */
#ifndef BERTH_UPDATE_INDEX_H
#define BERTH_UPDATE_INDEX_H

#include "base/cbor.h"
#include "manifest/doc.h"
#include "update/policy.h"

#define INDEX_MAX (4U * 1024U * 1024U) /* of one index; 209 bytes for each of 20,000 entries */

/* What an entry is; the numbers are on the wire.  The mode follows from it. */
enum index_kind {
    INDEX_FILE = 1,    /* 0644 */
    INDEX_PROGRAM = 2, /* a file, 0755 */
    INDEX_DIR = 3,     /* 0755 */
    INDEX_LINK = 4,
};

/* An index being made. */
struct index;
must_check enum rc index_new(struct index **ret, struct err *err);
void index_free(struct index **ix); /* a scope cleaner */

/* Add an entry, in any order; size and content count for files only.  RC_ARCHIVE_DUPLICATE for a
 * path that is there; RC_ARCHIVE_COUNT and RC_TOO_LARGE beyond PACKAGE_FILES_MAX and INDEX_MAX. */
must_check enum rc index_add(struct index *ix, const struct policy_item *item, uint64_t size,
                             const struct digest *content, struct err *err);

/* The digests of the whole index, which is written to fd unless that is -1. */
must_check enum rc index_end(const struct index *ix, int fd, struct digest *ret,
                             struct digest384 *ret384, struct err *err);

/* One entry, as it was read. */
struct index_entry {
    struct policy_item item;
    uint64_t size;         /* of a file */
    struct digest content; /* of a file */
};

/* A reader over an index in memory. */
struct index_in {
    struct cbor_in r;
    uint32_t left;
    struct bytes last; /* the path before, a view */
};

/* A reader at the first entry. */
struct index_in index_read(struct bytes in);

/* The next entry; false at the end or on failure.  Sticky: index_done tells which. */
bool index_next(struct index_in *in, struct index_entry *ret);

/* RC_OK if every entry was read and nothing follows; RC_INDEX_FORMAT, err->at naming the byte. */
must_check enum rc index_done(struct index_in *in, struct err *err);

#endif
