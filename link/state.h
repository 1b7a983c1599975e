/* SPDX-License-Identifier: Apache-2.0
 *
 * link/state: what one end of a link keeps in its key directory: the keys, the send counter and the
 * replay window of the other end.  Made once at provisioning; afterwards a missing or damaged part
 * is an error and never a fresh start, because a fresh counter would repeat nonces and a fresh
 * window would accept old bundles.
 */
#ifndef BERTH_LINK_STATE_H
#define BERTH_LINK_STATE_H

#include "link/counter.h"
#include "link/keys.h"
#include "link/replay.h"

#define LINK_SERVICE 1U /* ipn service number of both ends: ipn:NODE.1 */

enum link_side { LINK_SIDE_GROUND, LINK_SIDE_SATELLITE };

struct link_state {
    enum link_side side;
    int dirfd; /* borrowed from the caller, who keeps it open as long as the state */
    struct keys keys;
    struct counter counter;
    struct replay replay;
};

/* Write key, counter and window into an empty directory; mode of the files is 0600.  Used by
 * provisioning, once for the satellite's STATE/link (side satellite) and once for the ground's own
 * directory of that satellite (side ground), with the same keys.  RC_EXISTS if the directory holds
 * a key already. */
must_check enum rc link_state_make(int dirfd, enum link_side side, const struct keys *keys,
                                   struct err *err);

/* Load all three.  RC_KEY_FILE or RC_STATE_DAMAGED (window): refuse everything.  With only the
 * counter unusable it opens, and sending is RC_COUNTER. */
must_check enum rc link_state_open(int dirfd, enum link_side side, struct link_state *ret,
                                   struct err *err);

/* Wipe the keys.  The unused rest of the counter lease is lost, as after a power cut. */
void link_state_done(struct link_state *state);

/* Node numbers and keys as this side sees them. */
uint32_t link_state_self(const struct link_state *state);
uint32_t link_state_peer(const struct link_state *state);
const struct link_keys *link_state_send_keys(const struct link_state *state);
const struct link_keys *link_state_receive_keys(const struct link_state *state);

#endif
