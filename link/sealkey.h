/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealkey: keys between one payload on one satellite and its tenant's own ground, which nobody
 * else holds: the file that carries one from the one end to the other, and the ring of the epochs
 * that an end holds, with the rules of changing them.  Pure; link/sealbox keeps it on disk.
 *
 * Key files and rings are read by who holds secrets, and may be damaged or somebody else's: they
 * are bounded and checked, and what is refused leaves no secret behind.
 *
 * An end holds at most two epochs.  One end makes the next one (`rotate`) and the other installs
 * it:
 *
 *   made        opened from now on, and not used: the other end may not have it yet.
 *   installed   used from now on: the end that made it holds it.
 *   saw         an authentic bundle under the newest came: it is used, and the one before is opened
 *               for the grace, then refused and forgotten.
 *
 * Until then no end makes another one (RC_BUSY): nothing that was under way is lost, and an end
 * never seals under a key that the other lacks.  Who makes an epoch all the same (SEAL_MADE_ANEW)
 * says that the one that waits was lost, and leaves out a number: its other end then gives up what
 * it has of that one.  Where both have made one at a time, each refuses the other's, and one of
 * them makes one anew.
 */
#ifndef BERTH_LINK_SEALKEY_H
#define BERTH_LINK_SEALKEY_H

#include "link/keys.h"

#define SEAL_EPOCHS_MAX 2U
#define SEAL_EPOCH_STEP_MAX 1024U /* a next epoch is at most so far above the newest one */
#define SEAL_ID_SIZE 8U
#define SEAL_KEYFILE_MAX 256U
#define SEAL_RING_MAX 512U
#define SEAL_GRACE_MAX_MS (UINT64_C(3660) * 24U * 3600U * 1000U)

enum seal_end { SEAL_GROUND = 1, SEAL_PAYLOAD = 2 };

/* How a key came to an end: made here, made here because the one before was lost or is of no use,
 * or made by the other end. */
enum seal_add { SEAL_MADE, SEAL_MADE_ANEW, SEAL_INSTALLED };

/* One epoch. */
struct seal_epoch {
    struct keys keys;
    uint64_t number;   /* keys_number */
    bool confirmed;    /* the other end holds it: it may be used for sealing */
    uint64_t until_ms; /* Unix time from which on it opens nothing; 0 = it is not superseded */
};

/* Of one end; oldest epoch first, n is 1 or 2 once there is any.  Secret: seal_ring_wipe. */
struct seal_ring {
    enum seal_end end;
    uint64_t grace_ms; /* of a superseded epoch */
    uint32_t n;
    struct seal_epoch epoch[SEAL_EPOCHS_MAX];
};

/* What names a key to people: 8 bytes that tell nothing about the secret, and are the same at both
 * ends exactly if it is. */
must_check enum rc seal_key_id(const struct keys *keys, uint8_t ret[SEAL_ID_SIZE], struct err *err);

/* A fresh secret of epoch, and its keys; ground, satellite, tenant and payload are set.  RC_VALUE,
 * RC_NAME. */
must_check enum rc seal_key_make(struct keys *keys, uint32_t epoch, struct err *err);

/* The file that brings a key to an end; buf has SEAL_KEYFILE_MAX bytes.  Decoding derives, and
 * refuses damage: RC_KEY_FILE. */
must_check enum rc seal_keyfile_encode(const struct keys *keys, enum seal_end to, uint8_t *buf,
                                       struct bytes *ret, struct err *err);
must_check enum rc seal_keyfile_decode(struct bytes in, enum seal_end *ret_to, struct keys *ret,
                                       struct err *err);

/* The epoch to make next; 0: there is none.  The ring is not empty. */
uint32_t seal_ring_next(const struct seal_ring *ring);

/* Add a key.  *ret tells where it is, NULL if exactly this key is held already.  RC_SEAL_KEY: of
 * another pair; RC_EQUIVOCATION: the epoch is held with another secret; RC_REKEY_OLD: not above the
 * newest held; RC_VALUE: more than SEAL_EPOCH_STEP_MAX above; RC_BUSY: SEAL_MADE, and two are held
 * of which the older is not superseded.
 *
 * Room in a full ring: the oldest goes, and the one before the new one counts as held by the other
 * end, which has made the next; SEAL_MADE_ANEW drops that one if it waits unused, and so does
 * SEAL_INSTALLED with a number left out while the older is not superseded.  *ret_dropped is the
 * number of an epoch that is gone, 0 = none.  The ring is unchanged on failure. */
must_check enum rc seal_ring_add(struct seal_ring *ring, const struct keys *keys, enum seal_add how,
                                 struct seal_epoch **ret, uint64_t *ret_dropped, struct err *err);

/* The epoch to seal under: the newest that the other end is known to hold, else the oldest. */
const struct seal_epoch *seal_ring_sender(const struct seal_ring *ring);

/* The epoch of this number, if it still opens anything at that time (Unix ms); else NULL. */
struct seal_epoch *seal_ring_receiver(struct seal_ring *ring, uint64_t number, uint64_t now_ms);

/* An authentic bundle under this epoch came, which is no replay; whether that changed anything. */
bool seal_ring_saw(struct seal_ring *ring, struct seal_epoch *epoch, uint64_t now_ms);

/* Forget an epoch whose grace is over; its number, 0 = there was none. */
uint64_t seal_ring_settle(struct seal_ring *ring, uint64_t now_ms);

/* The file's form, strict both ways.  Decoding derives; RC_KEY_FILE. */
must_check enum rc seal_ring_encode(const struct seal_ring *ring, uint8_t *buf, size_t cap,
                                    struct bytes *ret, struct err *err);
must_check enum rc seal_ring_decode(struct bytes in, struct seal_ring *ret, struct err *err);

/* Overwrite all secrets; a scope cleaner. */
void seal_ring_wipe(struct seal_ring *ring);

#endif
