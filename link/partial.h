/* SPDX-License-Identifier: Apache-2.0
 *
 * link/partial: one object under way in the spool: its descriptor, its .part file, and which of its
 * chunks are in it.  The descriptor is authentic but not trusted; what counts is what matches the
 * digests in it.  Part of the receiver.
 */
#ifndef BERTH_LINK_PARTIAL_H
#define BERTH_LINK_PARTIAL_H

#include "link/transfer.h"

#define PARTIAL_NAME_CAP 96U

struct partial {
    bool used;
    bool dirty; /* written to since the last sync */
    int fd;     /* of the .part file; -1 when not used */
    struct transfer_descriptor d;
    uint8_t *digests; /* what d.digests views, owned */
    uint32_t n_have;
    bool found;        /* was there at the start, no progress since */
    uint64_t moved_ms; /* last progress, or the start */
    uint8_t have[CHUNKS_MAX / 8];
};

/* "HEX.SUFFIX" into out; returns out. */
const char *partial_name(const uint8_t object[DIGEST_SIZE], const char *suffix,
                         char out[PARTIAL_NAME_CAP]);

/* The digest that a name begins with, and what follows its dot; false for another shape. */
bool partial_parse_name(const char *name, uint8_t ret[DIGEST_SIZE], const char **ret_suffix);

/* Fill an unused *p from a descriptor (copied) and open its .part file in dirfd at its full size;
 * flags are added to O_RDWR.  Nothing counts as there before partial_rehash or partial_store. */
must_check enum rc partial_open(struct partial *p, int dirfd, const struct transfer_descriptor *d,
                                int flags, struct err *err);

/* Close and free, leaving *p unused; its files stay. */
void partial_close(struct partial *p);

/* Whether a descriptor says the same as the one in force, its serial aside. */
bool partial_same(const struct partial *p, const struct transfer_descriptor *d);

/* Write a chunk that matches its digest.  RC_TRANSFER_FORMAT, RC_CHUNK_DIGEST, RC_NO_SPACE, RC_IO:
 * the chunk stays missing.  *ret_new tells whether it was missing before. */
must_check enum rc partial_store(struct partial *p, const struct transfer_chunk *c, bool *ret_new,
                                 struct err *err);

/* Believe only what is in the file: hash every chunk and keep what matches.  Holes are skipped. */
must_check enum rc partial_rehash(struct partial *p, struct err *err);

/* SHA-256 of a file's first size bytes against a digest: RC_OBJECT_DIGEST. */
must_check enum rc partial_check_whole(int fd, uint64_t size, const uint8_t digest[DIGEST_SIZE],
                                       struct err *err);

/* Fill *ret, all zero before, with what is missing. */
void partial_status(const struct partial *p, struct transfer_status *ret);

#endif
