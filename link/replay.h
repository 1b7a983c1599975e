/* SPDX-License-Identifier: Apache-2.0
 *
 * link/replay: which of the peer's bundle counters were seen (one peer and one key).
 *
 * A window of REPLAY_WINDOW numbers below the highest one; a counter is accepted once.  Only call
 * it for bundles that proved authentic.  Use: replay_accept for a batch of bundles, replay_save,
 * and only then act on the batch.  A power cut in between loses the batch, which the peer sends
 * again under new numbers; it never accepts one twice.  Whoever can bear the same message twice may
 * act first (link/inbox: inbox_take): then a power cut loses nothing, and a batch comes again.
 */
#ifndef BERTH_LINK_REPLAY_H
#define BERTH_LINK_REPLAY_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/statefile.h"

#define REPLAY_WINDOW 1024U
#define REPLAY_JUMP_MAX (UINT64_C(1) << 32) /* of 2^40: thousands of backups brought back */
#define REPLAY_PREFIX "replay-"             /* state file replay-KEY, the number in hex */
#define REPLAY_SKIP 128U /* numbers given up when one copy of the state file is damaged or lost */

struct replay {
    uint32_t peer;                     /* node number */
    uint64_t key;                      /* number of the key it is for */
    uint64_t high;                     /* highest counter accepted, 0 = none */
    uint64_t seen[REPLAY_WINDOW / 64]; /* bit c % REPLAY_WINDOW, for c in (high - window, high] */
    uint64_t saved;                    /* high as it was saved last */
    bool dirty;                        /* differs from what is on disk */
    uint64_t accepted;                 /* numbers accepted since it was loaded */
};

/* An empty window on disk.  Only for a key under which nothing was accepted. */
must_check enum rc replay_make(int dirfd, uint32_t peer, uint64_t key, struct err *err);

/* Load.  Missing, damaged, of another peer or key: RC_STATE_DAMAGED, accept nothing. */
must_check enum rc replay_load(int dirfd, uint32_t peer, uint64_t key, struct replay *ret,
                               struct err *err);

/* Accept a counter, once.  RC_REPLAY: seen before (benign on a link that duplicates);
 * RC_REPLAY_OLD: below the window; RC_REPLAY_JUMP: more than REPLAY_JUMP_MAX ahead; 0 is RC_VALUE.
 */
must_check enum rc replay_accept(struct replay *replay, uint64_t counter, struct err *err);

/* Save durably, if anything changed. */
must_check enum rc replay_save(struct replay *replay, int dirfd, struct err *err);

/* Read the file again, and write it anew from memory if a copy is damaged (base/statefile). */
must_check enum rc replay_scrub(const struct replay *replay, int dirfd, struct scrubbed *count,
                                struct err *err);

#endif
