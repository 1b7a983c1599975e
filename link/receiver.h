/* SPDX-License-Identifier: Apache-2.0
 *
 * link/receiver: the satellite's end of a transfer, over the spool directory.
 *
 *     partial/HEX.desc   descriptor of an object under way, as it came
 *     partial/HEX.part   its bytes, sparse
 *     partial/HEX.fec    repairs that wait (link/repairs), if there are any
 *     ready/HEX.K.SERIAL complete objects (K = kind), whole digest checked, until berthd is done;
 *                        .OWNER behind it where a tenant is named
 *     done.{a,b}         state file: what was done lately, so that a late duplicate starts nothing
 *
 * There is no record of which chunks are there that could be wrong: after a restart every chunk of
 * a .part file is hashed against the descriptor, and whose an object is says its descriptor or
 * name.  Room is shared between tenants as link/quota says.  Messages are authentic but not
 * trusted: everything is bounded, and a chunk only counts if it matches its digest.  Call
 * receiver_take for each message of a batch, then receiver_commit, which makes the batch durable
 * and completes objects.
 */
#ifndef BERTH_LINK_RECEIVER_H
#define BERTH_LINK_RECEIVER_H

#include "link/done.h"
#include "link/port.h"

#define RECEIVER_OBJECTS_MAX 16U /* under way; packages use at most 12 of them */
#define RECEIVER_READY_MAX 32U   /* complete and not done; packages use at most 16 */
#define RECEIVER_SEEDS_MAX 4U    /* damaged copies that are held, and ... */
#define RECEIVER_SEEDS_PART 4U   /* ... such a part of the quota at most */
#define RECEIVER_EARLY_MAX 64U   /* chunks held before their descriptor, in memory */
#define RECEIVER_EARLY_BYTES (2U * 1024U * 1024U)
#define RECEIVER_HEADROOM_BYTES (8ULL * 1024U * 1024U) /* of the disk: no package fills that, */
#define RECEIVER_HEADROOM_FILES 128U                   /* and so many inodes */

struct receiver;

struct receiver_options {
    uint64_t quota;    /* bytes in partial and ready, with what repairs take up beyond the holes of
                          their object; packages and mail at most 7/8; 0 = 1 GiB */
    uint64_t stale_ms; /* an object without progress for so long, or a 24th of it since the start,
                          goes when room is needed; 0 = 6 h */
};

/* Open the spool (its directories are made if missing), hash what is there, drop what is not whole.
 * What a bad block hides of a directory is left as it is, and receiver_note gives RC_STATE_DIR: in
 * the place of one that cannot be used at all another, NAME.spare, is used until a later start can.
 * RC_IO without either, RC_NO_MEMORY. */
must_check enum rc receiver_open(int spool_dirfd, const struct receiver_options *options,
                                 uint64_t now_ms, struct receiver **ret, struct err *err);
void receiver_close(struct receiver **receiver); /* scope cleaner */

/* Apply one message; tenant is whose key it came under, "" = the link's own, under which any object
 * may come.  Under its own key a tenant sends packages and mail, which count as its own, and parts
 * of nobody else's: else RC_OBJECT_KIND or RC_OBJECT_OWNER.  RC_OK also for what is known already,
 * and for a chunk that came before its descriptor (held in memory, the oldest such chunks make
 * room).  A refusal changes nothing: RC_TRANSFER_FORMAT and CBOR codes, RC_OBJECT_KIND,
 * RC_TOO_LARGE (a document above DOCUMENT_MAX), RC_CHUNK_DIGEST, RC_SPOOL_FULL, RC_NO_SPACE (for
 * packages some way before the disk is full), RC_IO. */
must_check enum rc receiver_take(struct receiver *receiver, const char *tenant,
                                 struct bytes message, uint64_t now_ms, struct err *err);

/* Whether the message that receiver_take took last brought anything that was not there. */
bool receiver_was_new(const struct receiver *receiver);

/* End of a batch: data is synced, complete objects are checked as a whole and move to ready/.
 * RC_OBJECT_DIGEST if one did not match (its wrong chunks are missing again), RC_OBJECT_OWNER if a
 * message is another tenant's than was said (it goes); the rest is done anyway. */
must_check enum rc receiver_commit(struct receiver *receiver, struct err *err);

/* The i-th complete object that is not done; false behind the last. */
bool receiver_ready(const struct receiver *receiver, size_t i, struct port_object *ret);

/* Open a ready object for reading; the descriptor is the caller's.  RC_NOT_FOUND. */
must_check enum rc receiver_open_object(struct receiver *receiver,
                                        const uint8_t digest[DIGEST_SIZE], int *ret_fd,
                                        struct err *err);

/* berthd is done with an object: remember that, then remove it.  RC_NOT_FOUND if it is not ready.
 * It is removed also when it cannot be remembered. */
must_check enum rc receiver_done(struct receiver *receiver, const uint8_t digest[DIGEST_SIZE],
                                 struct err *err);

/* Something that was lost or dropped outside of receiver_take, such as a spooled object whose bytes
 * no longer match.  Fetched once; false when there is nothing (more). */
bool receiver_note(struct receiver *receiver, struct err *ret);

/* What is missing and what is complete (ready or done), and of which tenants something was refused
 * or dropped for want of room, for the report. */
void receiver_status(const struct receiver *receiver, struct port_transfers *ret);

/* A damaged copy of an object that is to come again: chunks in it that match the descriptor count
 * as received, now or when the object is offered.  Takes over fd, and holds it until the object is
 * complete or the copy is stale.  While it is held it may be the only name of its file, so it
 * counts in the quota: of more than there is room for the oldest goes, and all of them before an
 * object under way does for want of bytes.  Anything but a plain file that has such room is closed
 * at once. */
void receiver_seed(struct receiver *receiver, const uint8_t object[DIGEST_SIZE], int fd,
                   uint64_t now_ms);

/* Let go of damaged copies that have been held for as long as an object may stand still. */
void receiver_age(struct receiver *receiver, uint64_t now_ms);

/* Read the whole spool again.  What is missing again of an object under way is in the next report,
 * and the ground sends it; a complete object that is damaged is dropped and told (receiver_note),
 * and comes again; descriptors and done.{a,b} are written anew from memory.  Adds to *count.
 * Between two batches only. */
must_check enum rc receiver_scrub(struct receiver *receiver, struct scrubbed *count,
                                  struct err *err);

/* A number that changes whenever receiver_status would give something else. */
uint64_t receiver_version(const struct receiver *receiver);

#endif
