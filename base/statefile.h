/* SPDX-License-Identifier: Apache-2.0
 *
 * base/statefile: small state that survives a power cut and a flipped bit (design, section 5).
 *
 * NAME.a and NAME.b take turns; each holds a magic, a 64-bit sequence number, a length, the content
 * and a SHA-256 over all of it.  The newest whole one wins (of numbers that go round, so that there
 * is a newer one for every number); one that the disk cannot read counts as damaged.  A save
 * overwrites the older or damaged one only, durably; where a damaged one cannot be replaced (a bad
 * inode, a directory) the other one, in one step, so that there is always one to save to.
 */
#ifndef BERTH_BASE_STATEFILE_H
#define BERTH_BASE_STATEFILE_H

#include "base/bytes.h"
#include "base/err.h"

/* What a load found, besides the content. */
struct statefile_info {
    uint64_t sequence; /* of the copy that was used; 0 = there was none */
    bool damaged; /* the other copy is present and damaged: report it, the next save repairs it */
    bool alone;   /* the other copy is absent: nothing else was saved yet, or it has got lost */
    bool twice;   /* the other copy is whole and holds the same content */
};

/* What a scrub has read and found, added up. */
struct scrubbed {
    uint32_t files;
    uint32_t damaged;  /* of them */
    uint32_t repaired; /* of those */
    uint64_t bytes;
};

/* What a scrub found of one state file. */
enum statefile_found {
    STATEFILE_ABSENT, /* neither copy is there */
    STATEFILE_WHOLE,
    STATEFILE_MENDED, /* a copy was damaged or lost, and both are whole again */
    STATEFILE_LOST,   /* nothing is left to mend it from; nothing was written */
};

/* Load the newest whole copy into buf.  Neither file present: RC_NOT_FOUND.  Present but none
 * whole: RC_STATE_DAMAGED, never an empty state.  ret_info may be NULL. */
must_check enum rc statefile_load(int dirfd, const char *name, uint8_t *buf, size_t cap,
                                  size_t *ret_n, struct statefile_info *ret_info, struct err *err);

/* Whether both copies are there and can be read, and somebody wrote both so, which is not what a
 * bad medium does: most of the magic is another one, or it is another one with a right sum at the
 * end. What begins with zeros or ones was lost or erased. */
bool statefile_foreign(int dirfd, const char *name);

/* Copy what can be read of both copies, as it is, to those of another name, durably.  One that
 * cannot be read, or is not there, leaves the other name's as it was. */
must_check enum rc statefile_copy_bytes(int dirfd, const char *from, const char *to,
                                        struct err *err);

/* Save content as the newest copy, durably.  Both copies present and damaged: RC_STATE_DAMAGED,
 * nothing written.  One damaged, or not readable: both are written, because it may have been the
 * newer one; so no copy is ever older than by one save.  One damaged that cannot be replaced: the
 * other is written, and that is success. */
must_check enum rc statefile_save(int dirfd, const char *name, struct bytes content,
                                  struct err *err);

/* The same for what must not fall back: one copy after the other, so that afterwards the loss of
 * either brings nothing older back.  Beside a damaged copy that cannot be replaced it is the only
 * one, and newer than whatever that held. */
must_check enum rc statefile_save_both(int dirfd, const char *name, struct bytes content,
                                       struct err *err);

/* statefile_save_both, over two damaged copies too: for content that something else vouches for. */
must_check enum rc statefile_renew(int dirfd, const char *name, struct bytes content,
                                   struct err *err);

/* Read both copies again and mend what is damaged or lost.  `content` is what the caller holds in
 * memory and vouches for: both copies are written anew from it, also when both are damaged.  NULL:
 * from the other copy, which is right only for what is always saved in both (save_both, renew); of
 * anything else the copy that is left may be the older one.  RC_IO if a damaged copy cannot be
 * replaced.  Adds to *count. */
must_check enum rc statefile_scrub(int dirfd, const char *name, const struct bytes *content,
                                   enum statefile_found *ret, struct scrubbed *count,
                                   struct err *err);

#endif
