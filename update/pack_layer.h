/* SPDX-License-Identifier: Apache-2.0
 *
 * update/pack_layer: read one layer of a container image, a tar that may be compressed with gzip or
 * zstd, into the merged tree.  Ground only.
 *
 * The layer comes from a stranger.  Only names and numbers are taken from it, and the bytes of
 * plain files, which go to one unnamed file; what comes out of the decompressor is bounded before
 * it is looked at, and counts only if its digest is the one that the image's config names.
 */
#ifndef BERTH_UPDATE_PACK_LAYER_H
#define BERTH_UPDATE_PACK_LAYER_H

#include "update/merge.h"

#define LAYER_PLAIN_MAX (2 * UNPACKED_MAX) /* decompressed, of all layers together */

/* Where files' bytes go. */
struct spool {
    int fd;         /* written from its beginning on; the caller's */
    uint64_t bytes; /* in it so far */
    uint64_t plain; /* decompressed so far, of all layers */
};

/* One layer's bytes. */
struct layer {
    int fd;
    uint64_t at; /* its first byte in fd (pread only) */
    uint64_t n;
    struct digest plain; /* SHA-256 of it decompressed: the config's diff_id */
};

/* Take the layer as the next one up.  RC_ARCHIVE_FORMAT for what is no tar or wrapped twice,
 * RC_ARCHIVE_BOMB for too much output, RC_DIGEST_MISMATCH, and the codes of merge_add. */
must_check enum rc layer_read(const struct layer *layer, struct merge *merge, struct spool *spool,
                              struct err *err);

#endif
