/* SPDX-License-Identifier: Apache-2.0
 *
 * link/done: which objects the receiver was through with lately, as what kind and under which
 * serial, so that a late duplicate starts nothing.  A state file; losing it costs work, never
 * safety.
 */
#ifndef BERTH_LINK_DONE_H
#define BERTH_LINK_DONE_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/statefile.h"

#define DONE_MAX 256U

struct done_item {
    uint8_t digest[DIGEST_SIZE];
    uint32_t kind; /* enum object_kind: as another kind the same bytes are another matter */
    uint64_t serial;
};

struct done {
    size_t n;
    struct done_item item[DONE_MAX]; /* newest last */
};

/* Index of an object, or n. */
size_t done_find(const struct done *done, const uint8_t object[DIGEST_SIZE]);

/* Make an object the newest one; the oldest goes when there is no room. */
void done_add(struct done *done, const uint8_t object[DIGEST_SIZE], uint32_t kind, uint64_t serial);

/* Forget the i-th. */
void done_drop(struct done *done, size_t i);

/* Save durably as done.{a,b}. */
must_check enum rc done_save(const struct done *done, int dirfd, struct err *err);

/* Load into an empty list; RC_OK too when there is no file.  After RC_STATE_DAMAGED the list is
 * empty and the files are removed, so that it can be saved again. */
must_check enum rc done_load(struct done *done, int dirfd, struct err *err);

/* Read done.{a,b} again, and write it anew if a copy is damaged. */
must_check enum rc done_scrub(const struct done *done, int dirfd, struct scrubbed *count,
                              struct err *err);

#endif
