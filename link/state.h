/* SPDX-License-Identifier: Apache-2.0
 *
 * link/state: what one end of a link keeps in its key directory: the keyring, and for each key the
 * send counter and the replay window of the other end.  The first key is made at provisioning,
 * later ones are installed; what is missing or damaged afterwards is an error and never a fresh
 * start, because a fresh counter would repeat nonces and a fresh window would accept old bundles.
 */
#ifndef BERTH_LINK_STATE_H
#define BERTH_LINK_STATE_H

#include "link/keyring.h"

#define LINK_SERVICE 1U /* ipn service number of both ends: ipn:NODE.1 */

enum link_side { LINK_SIDE_GROUND, LINK_SIDE_SATELLITE };

struct link_state {
    enum link_side side;
    int dirfd; /* borrowed from the caller, who keeps it open as long as the state */
    struct link_keyring *ring;
    uint64_t written; /* bytes of bundles that outbox_put has written since it was opened */
};

/* Write the first key, its counter and its window into an empty directory; mode of the files is
 * 0600.  Used by provisioning, once for the satellite's STATE/link (side satellite) and once for
 * the ground's own directory of that satellite (side ground), with the same keys.  RC_EXISTS if the
 * directory holds a key already. */
must_check enum rc link_state_make(int dirfd, enum link_side side, const struct keys *keys,
                                   struct err *err);

/* Load everything, and remove what is left of keys that are no more.  RC_KEY_FILE, or
 * RC_STATE_DAMAGED when no window of the link's own keys is usable: refuse everything.  With only a
 * counter unusable it opens, and sending under that key is RC_COUNTER. */
must_check enum rc link_state_open(int dirfd, enum link_side side, struct link_state *ret,
                                   struct err *err);

/* Wipe the keys.  The unused rest of the counter leases is lost, as after a power cut. */
void link_state_done(struct link_state *state); /* scope cleaner */

/* Node numbers as this side sees them. */
uint32_t link_state_self(const struct link_state *state);
uint32_t link_state_peer(const struct link_state *state);

/* The keys of one direction as this side sees them. */
const struct link_keys *link_state_send_keys(const struct link_state *state,
                                             const struct link_key *key);
const struct link_keys *link_state_receive_keys(const struct link_state *state,
                                                const struct link_key *key);

/* ---- changes: durable before they return, and without effect on failure -----------------------
 */

/* A key to install: whose, which epoch, the secret.  Secret: wipe. */
struct link_offer {
    char tenant[NAME_CAP]; /* "" = the link's own */
    uint32_t epoch;
    uint8_t secret[LINK_SECRET_SIZE];
};

/* Accept a next key from now on (link/keyring says when it is used, and what the refusals are).
 * RC_OK as well when exactly this key is held: ask again after a power cut. */
must_check enum rc link_state_install(struct link_state *state, const struct link_offer *offer,
                                      struct err *err);

/* The other end holds this epoch: use it.  An epoch that is not held here is RC_OK and nothing. */
must_check enum rc link_state_confirm(struct link_state *state, const char *tenant, uint32_t epoch,
                                      struct err *err);

/* Leave a key for whoever has the link of this directory open (link/ground), who installs it before
 * it sends anything else.  The directory need not be locked.  As link_state_install refuses what
 * could not be installed as things stand now. */
must_check enum rc link_state_offer(int dirfd, const struct link_offer *offer, struct err *err);

/* Install what was left, and remove it.  What cannot be installed any more is removed too; *ret
 * counts the installed. */
must_check enum rc link_state_take_offers(struct link_state *state, uint32_t *ret, struct err *err);

/* What is held, and what waits to be installed, without the secrets; for looking at. */
struct link_held {
    char tenant[NAME_CAP];
    uint32_t epoch;
    bool sending; /* bundles go out under it */
    bool offered; /* waits to be installed */
};

/* Sorted by tenant, then epoch.  ret holds LINK_KEYRING_MAX; *ret_n tells how many. */
void link_state_held(const struct link_state *state, struct link_held *ret, uint32_t *ret_n);

/* The same of a directory that somebody else may have open; offers come last.  ret holds
 * 2 * LINK_KEYRING_MAX. */
must_check enum rc link_state_look(int dirfd, struct link_held *ret, uint32_t *ret_n,
                                   struct err *err);

/* The windows of a batch of bundles that came, and the end of the keys that these bundles have
 * superseded.  Only then may the batch have an effect.  On failure the state is what the disk
 * holds: nothing of the batch was accepted. */
must_check enum rc link_state_settle(struct link_state *state, struct err *err);

/* Read keyring, counters and windows again, and write anew from memory what is damaged: memory is
 * what was in force all the time, so nothing falls back and no counter is used twice.  What could
 * not be loaded at the start stays as it is.  Between two batches only. */
must_check enum rc link_state_scrub(const struct link_state *state, struct scrubbed *count,
                                    struct err *err);

#endif
