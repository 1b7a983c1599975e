/* SPDX-License-Identifier: Apache-2.0
 *
 * link/keyring: which keys one end of a link holds, and the rules of changing them.  Pure but for
 * loading and saving; link/state keeps it in step with the disk.
 *
 * Of each tenant, and of the link itself (tenant ""), at most two epochs are held: the one in use
 * and the next one.  The rules are such that no loss and no power cut can part the two ends:
 *
 *   install   a next key is accepted from now on, and not used.  One that waits already and was
 *             never used makes room for it.
 *   confirm   the other end is known to hold the next key (the ground has it from a report): it is
 *             used from now on, the old one is still accepted.
 *   saw       an authentic bundle under the next key came: the old one is refused from now on, and
 *             forgotten with link_keyring_settle.
 *
 * Both ends thus only send under a key that the other holds, and forget one only when the other
 * needs it no more.  tests/unit/test_link_keyring.c walks every order of loss and power cut.
 */
#ifndef BERTH_LINK_KEYRING_H
#define BERTH_LINK_KEYRING_H

#include "link/counter.h"
#include "link/keys.h"
#include "link/replay.h"

#define LINK_KEYRING_MAX (2U * (1U + TENANTS_MAX))
/* Of its file. */
#define LINK_KEYRING_BYTES (64U + LINK_KEYRING_MAX * (NAME_CAP + LINK_SECRET_SIZE + 16U))
#define LINK_EPOCH_STEP_MAX 1024U /* a next epoch is at most so far above the newest one */

/* One key with everything that is counted under it.  Secret: see link_keyring_wipe. */
struct link_key {
    struct keys keys;
    uint64_t number; /* keys_number */
    bool confirmed;  /* the other end holds it: it may be used for sending */
    bool seen;       /* a bundle under it came: what is older is refused (in memory only) */
    bool deaf;       /* its replay window is not usable: nothing is accepted under it */
    struct counter counter;
    struct replay replay;
};

/* Large: keep it on the heap.  Sorted by tenant, then epoch; n is never 0 once loaded. */
struct link_keyring {
    uint32_t ground, satellite;
    uint32_t n;
    struct link_key key[LINK_KEYRING_MAX];
};

/* Add a key whose up and down are derived.  *ret tells where it is, NULL if nothing had to change:
 * exactly this key is held already.  RC_EQUIVOCATION: the epoch is held with another secret;
 * RC_REKEY_OLD: older than the newest held; RC_VALUE: more than LINK_EPOCH_STEP_MAX above that, or
 * of other nodes; RC_EXISTS: another tenant's keys have the same numbers; RC_NO_ROOM: too many
 * tenants.  The ring is unchanged on failure. */
must_check enum rc link_keyring_install(struct link_keyring *ring, const struct keys *keys,
                                        struct link_key **ret, struct err *err);

/* The other end holds this epoch.  False: not held here, or nothing new. */
bool link_keyring_confirm(struct link_keyring *ring, const char *tenant, uint32_t epoch);

/* The key that bundles go out under: the newest confirmed one, else the oldest; NULL: the tenant
 * has none. */
struct link_key *link_keyring_sender(struct link_keyring *ring, const char *tenant);

/* The key of this number, if bundles under it are accepted; else NULL. */
struct link_key *link_keyring_receiver(struct link_keyring *ring, uint64_t number);

/* An authentic bundle under this key came, which is not a replay. */
void link_keyring_saw(struct link_key *key);

/* Forget what has been superseded; whether there was anything. */
bool link_keyring_settle(struct link_keyring *ring);

/* The file's form, strict both ways; for loading and saving, and for tests.  RC_VALUE for keys that
 * could not stand in a ring like this. */
must_check enum rc link_keyring_encode(const struct link_keyring *ring, uint8_t *buf, size_t cap,
                                       struct bytes *ret, struct err *err);
must_check enum rc link_keyring_decode(struct bytes in, struct link_keyring *ret, struct err *err);

/* Save as state file NAME.{a,b}, durably and into both copies, so that one damaged copy neither
 * brings back a key that was forgotten nor loses one that was installed. */
must_check enum rc link_keyring_save(const struct link_keyring *ring, int dirfd, const char *name,
                                     struct err *err);

/* Load and derive; counters and windows are left zero.  RC_KEY_FILE for whatever is wrong with the
 * file: missing, empty, damaged, of another shape. */
must_check enum rc link_keyring_load(int dirfd, const char *name, struct link_keyring *ret,
                                     struct err *err);

/* Overwrite all secrets. */
void link_keyring_wipe(struct link_keyring *ring);

/* Read the file again, and write both copies anew from memory if one is damaged. */
must_check enum rc link_keyring_scrub(const struct link_keyring *ring, int dirfd, const char *name,
                                      struct scrubbed *count, struct err *err);

#endif
