/* SPDX-License-Identifier: Apache-2.0
 *
 * update/slots: installed payloads: slots/TENANT/PAYLOAD/DIGEST/{envelope,root/}, DIGEST being the
 * hex SHA-256 of the manifest.
 *
 * A slot is made in staging/ and moved into place by one rename, so after a power cut at any
 * instruction it is there whole or not at all; staging/ is emptied at start.  Removing goes the
 * same way back.  Which slot is current or previous is the agent's state file's business, not the
 * directory's.  Names come from verified payloads or from that state file, and are checked again.
 */
#ifndef BERTH_UPDATE_SLOTS_H
#define BERTH_UPDATE_SLOTS_H

#include "update/verify.h"

/* The two directories, opened.  slots_done closes them. */
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

/* A slot being made: root is the empty directory that unpacking fills. */
struct stage {
    struct slot_id id;
    int root; /* descriptor, closed by commit and abandon */
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
void slots_done(struct slots *slots);

/* The id of the slot that a payload goes to. */
struct slot_id slot_id_of(const struct verified_payload *payload);

/* Begin a slot for the payload: a staging directory with its envelope and an empty root.  RC_EXISTS
 * if the same payload is being staged already. */
must_check enum rc slot_stage(struct slots *slots, const struct verified_payload *payload,
                              struct stage *ret, struct err *err);

/* Move a stage into place, durably, after unpacking has ended with RC_OK.  The same slot there
 * already is success and the stage is removed.  The stage is gone afterwards, whatever the
 * outcome. */
must_check enum rc slot_commit(struct slots *slots, struct stage *stage, struct err *err);

/* Remove a stage: unpacking failed or is not wanted any more. */
must_check enum rc slot_abandon(struct slots *slots, struct stage *stage, struct err *err);

/* Whether the slot is there. */
bool slot_exists(const struct slots *slots, const struct slot_id *id);

/* Open a slot.  RC_NOT_FOUND; RC_SLOT_DAMAGED if its envelope is not the one the digest names. */
must_check enum rc slot_open(const struct slots *slots, const struct slot_id *id, struct slot *ret,
                             struct err *err);
void slot_close(struct slot *slot); /* a scope cleaner; harmless on { .root = -1 } */

/* Remove a slot: out of place by one rename, then its files.  A missing one is RC_OK. */
must_check enum rc slot_remove(struct slots *slots, const struct slot_id *id, struct err *err);

/* Call fn for every slot, in no order, until it returns false.  Names that are not slots are passed
 * over.  Do not commit or remove from within fn. */
must_check enum rc slot_list(const struct slots *slots,
                             bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                             struct err *err);

/* Bytes (as fs_tree_usage counts them) and files of one tenant's slots; either ret may be NULL.  No
 * slot yet is zero. */
must_check enum rc slot_usage(const struct slots *slots, const char *tenant, uint64_t *ret_bytes,
                              uint64_t *ret_files, struct err *err);

#endif
