/* SPDX-License-Identifier: Apache-2.0
 *
 * link/repairs: repairs that wait in the spool until they and the chunks that are there make up a
 * group.  Part of link/partial.
 *
 * One sparse file, HEX.fec, has a slot for each chunk of the object.  A repair lies in any free
 * slot of its group; a group holds at most as many of them as chunks are missing of it.  A slot
 * begins with a digest over what it says, which is all that is believed of it after a restart.
 *
 * Repairs that gave their group back are spent: they count no more, but their slots stay as they
 * are until the chunks are on the disk (repairs_give_back), so that a power cut costs neither.
 */
#ifndef BERTH_LINK_REPAIRS_H
#define BERTH_LINK_REPAIRS_H

#include "link/transfer.h"

#define REPAIRS_HEAD 64U /* bytes of a slot before the repair's own */

struct repairs {
    int fd;     /* -1 while there are none */
    bool dirty; /* written to since the last sync */
    uint32_t n; /* held */
    uint32_t n_spent;
    uint8_t slot[CHUNKS_MAX];      /* by chunk: number of the repair + 1, 0 = free */
    uint8_t spent[CHUNKS_MAX / 8]; /* by chunk: the slot is free and still in the file */
};

/* The chunk at a place of a group. */
uint32_t repairs_chunk(const struct transfer_descriptor *d, uint32_t group, uint32_t place);

/* Open the file where there is one and keep what is whole in it.  Never fails: what cannot be read
 * is lost, and costs one more bundle. */
void repairs_load(struct repairs *r, int dirfd, const char *name,
                  const struct transfer_descriptor *d);

/* Forget all.  The file stays. */
void repairs_close(struct repairs *r);

/* How many a group holds, and whether it holds this number. */
uint32_t repairs_held(const struct repairs *r, const struct transfer_descriptor *d, uint32_t group);
bool repairs_has(const struct repairs *r, const struct transfer_descriptor *d, uint32_t group,
                 uint32_t number);

/* Write a repair into a free slot of its group, which must have one; the file is made if it is
 * missing.  RC_NO_SPACE, RC_IO: it is not held. */
must_check enum rc repairs_put(struct repairs *r, int dirfd, const char *name,
                               const struct transfer_descriptor *d,
                               const struct transfer_repair *repair, struct err *err);

/* Bytes of the repair in a slot that is not free. */
must_check enum rc repairs_read(const struct repairs *r, const struct transfer_descriptor *d,
                                uint32_t chunk, uint32_t offset, uint8_t *buf, size_t n,
                                struct err *err);

/* Put a repair of the group of a chunk into its slot, which is free. */
must_check enum rc repairs_replace(struct repairs *r, const struct transfer_descriptor *d,
                                   uint32_t chunk, const struct transfer_repair *repair,
                                   struct err *err);

/* Read a slot again; one that is no longer what was written is dropped.  buf is room for a slot. */
void repairs_recheck(struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk,
                     uint8_t *buf);

/* Forget the repair in a slot that is not free, or all of a group, and give back the room: they
 * are wrong.  They do not come back at the next start either. */
void repairs_drop(struct repairs *r, const struct transfer_descriptor *d, uint32_t chunk);
void repairs_drop_group(struct repairs *r, const struct transfer_descriptor *d, uint32_t group);

/* The group is whole, though perhaps not yet on the disk. */
void repairs_spend(struct repairs *r, const struct transfer_descriptor *d, uint32_t group);

/* All that repairs gave back is on the disk: the room of those that are spent is free. */
void repairs_give_back(struct repairs *r, const struct transfer_descriptor *d);

/* Bytes that the file takes up on the disk. */
uint64_t repairs_bytes(const struct repairs *r);

/* Bring them to the disk.  After a failure none is held any more. */
must_check enum rc repairs_sync(struct repairs *r, struct err *err);

#endif
