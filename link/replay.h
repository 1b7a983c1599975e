/* SPDX-License-Identifier: Apache-2.0
 *
 * link/replay: which of the peer's bundle counters were seen (one peer and one key epoch).
 *
 * A window of REPLAY_WINDOW numbers below the highest one; a counter is accepted once.  Only call
 * it for bundles that proved authentic.  Use: replay_accept for a batch of bundles, replay_save,
 * and only then act on the batch.  A power cut in between loses the batch, which the peer sends
 * again under new numbers; it never accepts one twice.
 */
#ifndef BERTH_LINK_REPLAY_H
#define BERTH_LINK_REPLAY_H

#include "base/bytes.h"
#include "base/err.h"

#define REPLAY_WINDOW 1024U
#define REPLAY_JUMP_MAX (UINT64_C(1) << 20)
#define REPLAY_SKIP 128U /* numbers given up when one copy of the state file is damaged or lost */

struct replay {
    uint32_t peer;                     /* node number */
    uint32_t epoch;                    /* of the keys */
    uint64_t high;                     /* highest counter accepted, 0 = none */
    uint64_t seen[REPLAY_WINDOW / 64]; /* bit c % REPLAY_WINDOW, for c in (high - window, high] */
    uint64_t saved;                    /* high as it was saved last */
    bool dirty;                        /* differs from what is on disk */
};

/* An empty window on disk.  Only for provisioning. */
must_check enum rc replay_make(int dirfd, uint32_t peer, uint32_t epoch, struct err *err);

/* Load.  A window of an older epoch becomes empty.  Missing, damaged, of another peer or of a newer
 * epoch: RC_STATE_DAMAGED, refuse everything. */
must_check enum rc replay_load(int dirfd, uint32_t peer, uint32_t epoch, struct replay *ret,
                               struct err *err);

/* Accept a counter, once.  RC_REPLAY: seen before (benign on a link that duplicates);
 * RC_REPLAY_OLD: below the window; RC_REPLAY_JUMP: more than REPLAY_JUMP_MAX ahead; 0 is RC_VALUE.
 */
must_check enum rc replay_accept(struct replay *replay, uint64_t counter, struct err *err);

/* Save durably, if anything changed. */
must_check enum rc replay_save(struct replay *replay, int dirfd, struct err *err);

#endif
