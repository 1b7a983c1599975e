/* SPDX-License-Identifier: Apache-2.0
 *
 * link/partial: one object under way in the spool: its descriptor, its .part file, and which of its
 * chunks are in it.  The descriptor is authentic but not trusted; what counts is what matches the
 * digests in it: chunks that came, and chunks that repairs gave back.  Part of the receiver.
 */
#ifndef BERTH_LINK_PARTIAL_H
#define BERTH_LINK_PARTIAL_H

#include "link/repairs.h"

#define PARTIAL_NAME_CAP 128U

struct partial {
    bool used;
    bool dirty; /* written to since the last sync */
    int fd;     /* of the .part file; -1 when not used */
    struct transfer_descriptor d;
    uint8_t *digests; /* what d.digests views, owned */
    uint32_t n_have;
    bool failed;       /* the last sync failed */
    bool found;        /* was there at the start, no progress since */
    uint64_t moved_ms; /* last progress, or the start */
    uint8_t have[CHUNKS_MAX / 8];
    bool doubted[FEC_GROUPS_MAX]; /* as many repairs are held as chunks are missing, and one of them
                                     is wrong (link/solve) */
    struct repairs repairs;
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

/* Write a chunk that matches its digest, and solve its group if that is possible now.  *ret_new
 * tells whether it was missing before and is there now; with an error, that only solving failed.
 * RC_TRANSFER_FORMAT, RC_CHUNK_DIGEST, RC_NO_SPACE, RC_IO. */
must_check enum rc partial_store(struct partial *p, const struct transfer_chunk *c, bool *ret_new,
                                 struct err *err);

/* Hold a repair in dirfd, or with it give back what is missing of its group.  Not new: the group is
 * whole, or has that number.  RC_TRANSFER_FORMAT; RC_CHUNK_DIGEST when what came out does not
 * match, and what is known to be wrong is gone (link/solve); RC_NO_SPACE, RC_IO, RC_NO_MEMORY. */
must_check enum rc partial_repair(struct partial *p, int dirfd,
                                  const struct transfer_repair *repair, bool *ret_new,
                                  struct err *err);

/* Believe only what is in the file: hash every chunk and keep what matches.  Holes are skipped.
 * Then the same for the repairs in dirfd, and groups that they make whole are. */
must_check enum rc partial_rehash(struct partial *p, int dirfd, struct err *err);

/* The .part file is on the disk: give back the room of repairs that are spent. */
void partial_settled(struct partial *p);

/* Bytes that it takes up, or may come to, with `more` bytes of repairs than it has: its size, or
 * above that where repairs do not fit into the holes that the missing chunks leave. */
uint64_t partial_bytes(const struct partial *p, uint64_t more);

/* After a sync that failed: the kernel still gives back what was written, and will not write it
 * again.  So every chunk that is there is written once more; one that cannot be goes missing. */
must_check enum rc partial_rewrite(struct partial *p, struct err *err);

/* SHA-256 of a file's first size bytes against a digest: RC_OBJECT_DIGEST. */
must_check enum rc partial_check_whole(int fd, uint64_t size, const uint8_t digest[DIGEST_SIZE],
                                       struct err *err);

/* Fill *ret, all zero before, with what is needed: of each group as many of its missing chunks, the
 * lowest, as no repair is held for. */
void partial_status(const struct partial *p, struct transfer_status *ret);

/* Take over the chunks that are missing here and whole in the file fd, a damaged copy of the
 * object. Returns how many. */
uint32_t partial_take_seed(struct partial *p, int fd);

/* ---- for link/solve ---------------------------------------------------------------------------
 */

/* Whether a chunk counts as there. */
bool partial_have(const struct partial *p, uint32_t chunk);

/* How many chunks of a group are missing. */
uint32_t partial_missing(const struct partial *p, uint32_t group);

/* Whether bytes are those of a chunk: RC_CHUNK_DIGEST. */
must_check enum rc partial_check(const struct partial *p, uint32_t chunk, struct bytes data,
                                 struct err *err);

/* Write at an offset of the .part file. */
must_check enum rc partial_write(const struct partial *p, uint64_t at, struct bytes data,
                                 struct err *err);

/* Whether a chunk is in the file and whole, which is what counts from then on.  buf is room for
 * one.
 */
void partial_recheck(struct partial *p, uint32_t chunk, uint8_t *buf);

/* Give back the room of a chunk that is missing. */
void partial_unfill(const struct partial *p, uint32_t chunk);

#endif
