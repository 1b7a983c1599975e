/* SPDX-License-Identifier: Apache-2.0
 *
 * base/statefile: small state that survives a power cut and a flipped bit (design, section 5).
 *
 * NAME.a and NAME.b take turns; each holds a magic, a 64-bit sequence number, a length, the content
 * and a SHA-256 over all of it.  The newest whole one wins; one that the disk cannot read counts as
 * damaged.  A save overwrites the older or damaged one only, durably.
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
};

/* Load the newest whole copy into buf.  Neither file present: RC_NOT_FOUND.  Present but none
 * whole: RC_STATE_DAMAGED, never an empty state.  ret_info may be NULL. */
must_check enum rc statefile_load(int dirfd, const char *name, uint8_t *buf, size_t cap,
                                  size_t *ret_n, struct statefile_info *ret_info, struct err *err);

/* Save content as the newest copy, durably.  Both copies present and damaged: RC_STATE_DAMAGED,
 * nothing written. */
must_check enum rc statefile_save(int dirfd, const char *name, struct bytes content,
                                  struct err *err);

#endif
