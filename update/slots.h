/* SPDX-License-Identifier: Apache-2.0
 *
 * update/slots: installed payloads: slots/TENANT/PAYLOAD/DIGEST/{envelope,index,root/}, DIGEST
 * being the hex SHA-256 of the manifest, index what lies in root (update/index); and beside them,
 * if it is known, `object`: the digest of the package that it was unpacked from.
 *
 * A slot is made in staging/ and moved into place by one rename, so after a power cut at any
 * instruction it is there whole or not at all; staging/ is emptied at start.  Removing goes the
 * same way back.  Which slot is current or previous is the agent's state file's business, not the
 * directory's.  Names come from verified payloads or from that state file, and are checked again.
 */
#ifndef BERTH_UPDATE_SLOTS_H
#define BERTH_UPDATE_SLOTS_H

#include "update/verify.h"

/* The two directories, opened; -1 = cannot be used (agent/place): then nothing can be made, which
 * is RC_STATE_DIR.  slots_done closes them. */
struct slots {
    int dir;
    int staging;
};

/* Whose slot, and which. */
struct slot_id {
    char tenant[NAME_CAP];
    char payload[NAME_CAP];
    struct digest manifest;
};

/* A slot being made: root is the empty directory that unpacking fills, index the empty file. */
struct stage {
    struct slot_id id;
    int root, index; /* descriptors, closed by commit and abandon */
};

/* An installed slot.  slot_close frees it. */
struct slot {
    int root; /* descriptor of the tree */
    uint8_t *envelope;
    size_t envelope_bytes;
};

/* Open or create slots/ and staging/ below the state directory, and remove all that is in
 * staging/. */
must_check enum rc slots_open(int state_dirfd, struct slots *ret, struct err *err);
/* The same as far as it goes, where that fails: with another directory of the same file system for
 * what is being made, -1 = there is none.  What can be read is there; without a staging directory,
 * or where the state directory cannot be synced, nothing can be made (RC_STATE_DIR). */
must_check enum rc slots_open_at(int state_dirfd, int staging_dirfd, struct slots *ret,
                                 struct err *err);
void slots_done(struct slots *slots);

/* The id of the slot that a payload goes to. */
struct slot_id slot_id_of(const struct verified_payload *payload);

/* Begin a slot for the payload: a staging directory with its envelope, an empty index and an empty
 * root.  RC_EXISTS if the same payload is being staged already; what an earlier stage left that
 * could not be removed is no such thing, and goes. */
must_check enum rc slot_stage(struct slots *slots, const struct verified_payload *payload,
                              struct stage *ret, struct err *err);

/* The same for a delta package. */
struct slot_id slot_id_of_delta(const struct verified_delta *delta);
must_check enum rc slot_stage_delta(struct slots *slots, const struct verified_delta *delta,
                                    struct stage *ret, struct err *err);

/* Note in a stage which package it is unpacked from; durable with the commit. */
must_check enum rc slot_stage_object(struct slots *slots, const struct stage *stage,
                                     const struct digest *object, struct err *err);

/* Move a stage into place, durably, after unpacking has ended with RC_OK.  The same slot there
 * already is success and the stage is removed.  The stage is gone afterwards, whatever the
 * outcome. */
must_check enum rc slot_commit(struct slots *slots, struct stage *stage, struct err *err);

/* Put a stage into the place of the damaged slot of the same payload, durably and atomically.  With
 * keep_old the damaged tree stays aside for what runs from it, until slot_drop_old or the next
 * start; one that is aside already stays, and then the one exchanged goes.  Without a slot there it
 * is a commit.  The stage is gone afterwards, whatever the outcome.  If it fails after the
 * exchange, which could not be made durable, both trees stay until the next start. */
must_check enum rc slot_exchange(struct slots *slots, struct stage *stage, bool keep_old,
                                 struct err *err);

/* Nothing runs any more from the tree that an exchange left aside.  A missing one is RC_OK. */
must_check enum rc slot_drop_old(struct slots *slots, const struct slot_id *id, struct err *err);

/* Remove a stage: unpacking failed or is not wanted any more. */
must_check enum rc slot_abandon(struct slots *slots, struct stage *stage, struct err *err);

/* Make sure that a slot that is there stays: its commit may have failed when it had its name and
 * the name was not on disk.  RC_NOT_FOUND if it is not there. */
must_check enum rc slot_settle(const struct slots *slots, const struct slot_id *id,
                               struct err *err);

/* Whether the slot is there. */
bool slot_exists(const struct slots *slots, const struct slot_id *id);

/* Whether root_fd is the tree of the slot as it is now, and not of one that was there before. */
bool slot_has_root(const struct slots *slots, const struct slot_id *id, int root_fd);

/* Which directory a slot is, and since when it is as it is: what is made, exchanged, or has another
 * package noted in it bears another mark.  Compare with slot_mark_same. */
struct slot_mark {
    uint64_t dev, ino;
    int64_t changed_s;
    int64_t changed_ns;
};
must_check enum rc slot_mark(const struct slots *slots, const struct slot_id *id,
                             struct slot_mark *ret, struct err *err);
bool slot_mark_same(const struct slot_mark *a, const struct slot_mark *b);

/* Open a slot.  RC_NOT_FOUND; RC_SLOT_DAMAGED if its envelope is not the one the digest names. */
must_check enum rc slot_open(const struct slots *slots, const struct slot_id *id, struct slot *ret,
                             struct err *err);
/* Open the index of a slot.  RC_SLOT_DAMAGED if it is missing. */
must_check enum rc slot_open_index(const struct slots *slots, const struct slot_id *id, int *ret_fd,
                                   struct err *err);
/* The package that a slot was unpacked from.  RC_NOT_FOUND: nobody noted it, or it cannot be read
 * any more.  It is a hint: whoever uses that package verifies it, and sees what slot it is for. */
must_check enum rc slot_object(const struct slots *slots, const struct slot_id *id,
                               struct digest *ret, struct err *err);

/* Note it in an installed slot, durably. */
must_check enum rc slot_set_object(const struct slots *slots, const struct slot_id *id,
                                   const struct digest *object, struct err *err);

void slot_close(struct slot *slot); /* a scope cleaner; harmless on { .root = -1 } */

/* Remove a slot: out of place by one rename, then its files.  A missing one is RC_OK. */
must_check enum rc slot_remove(struct slots *slots, const struct slot_id *id, struct err *err);

/* Call fn for every slot, in no order, until it returns false.  Names that are not slots are passed
 * over.  Do not commit or remove from within fn.  RC_STATE_DIR: a directory of a tenant or payload
 * could not be read, and fn has been called for all that is in the others.  RC_IO, RC_NO_MEMORY:
 * memory or descriptors ran out on the way. */
must_check enum rc slot_list(const struct slots *slots,
                             bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                             struct err *err);

/* The same for one tenant's; a name that is none, or has no slots, is RC_OK. */
must_check enum rc slot_list_of(const struct slots *slots, const char *tenant,
                                bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                                struct err *err);

/* Bytes and files of one slot, counted in the same way as those of a tenant. */
must_check enum rc slot_size(const struct slots *slots, const struct slot_id *id,
                             uint64_t *ret_bytes, uint64_t *ret_files, struct err *err);

/* Bytes (as fs_tree_usage counts them) and files of one tenant's slots; either ret may be NULL.  No
 * slot yet is zero. */
must_check enum rc slot_usage(const struct slots *slots, const char *tenant, uint64_t *ret_bytes,
                              uint64_t *ret_files, struct err *err);

#endif
