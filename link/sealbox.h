/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealbox: one end's directory of an end-to-end key, and what is sealed and opened with it.
 *
 *     key.{a,b}               state file: the ring (link/sealkey), always saved in both copies
 *     counter-NUMBER.{a,b}    of what was sealed under an epoch (link/counter, a lease of one)
 *     replay-NUMBER.{a,b}     of what was opened under it (link/replay)
 *     lock
 *
 * It belongs to the tenant: on its own machine, and in the /data of its payload.  Nobody else may
 * read it; one that others can read is refused.  What it opens comes from anybody.
 *
 * A sealed message is one bundle by link_seal, from ipn:SATELLITE.HASH to ipn:GROUND.HASH or back
 * (mail_eid), with the key's number in its security source.  Opening is in two steps, so that a
 * power cut loses nothing: sealbox_open_message judges and decrypts, the caller writes the content
 * down under a name of its own, sealbox_accept notes durably that it came, and the caller gives it
 * its name.
 */
#ifndef BERTH_LINK_SEALBOX_H
#define BERTH_LINK_SEALBOX_H

#include "link/mail.h"
#include "link/sealkey.h"

#define SEALBOX_PLAIN_MAX (MAIL_CONTENT_MAX - LINK_OVERHEAD_MAX)
#define SEALBOX_LIFE_MS (UINT64_C(3660) * 24U * 3600U * 1000U) /* of what says nothing else */

/* Secret: sealbox_close. */
struct sealbox {
    int dir;  /* borrowed */
    int lock; /* -1: only read */
    struct seal_ring ring;
};
#define SEALBOX_NONE ((struct sealbox){ .dir = -1, .lock = -1 })

/* Make a box with a first key in an empty directory (mode 0700).  RC_EXISTS if there is one. */
must_check enum rc sealbox_make(int dir, enum seal_end end, const struct keys *keys, bool confirmed,
                                struct err *err);

/* Open for use, alone: RC_BUSY while another does.  RC_KEY_FILE: not to be read, damaged, or
 * readable by others; RC_NOT_FOUND: there is none. */
must_check enum rc sealbox_open(int dir, struct sealbox *ret, struct err *err);

/* The same, to look at it only, beside who uses it. */
must_check enum rc sealbox_look(int dir, struct sealbox *ret, struct err *err);

void sealbox_close(struct sealbox *box); /* wipes; scope cleaner */

/* Add the next key.  *ret_new tells whether it was not held already.  Durable.  Codes of
 * seal_ring_add. */
must_check enum rc sealbox_add(struct sealbox *box, const struct keys *keys, enum seal_add how,
                               bool *ret_new, struct err *err);

/* How long a superseded epoch still opens; durable with the next sealbox_add. */
void sealbox_set_grace(struct sealbox *box, uint64_t grace_ms);

/* Seal plain (at most SEALBOX_PLAIN_MAX bytes) into out, which has plain.n + LINK_OVERHEAD_MAX
 * bytes; now_ms is Unix time, and a clock before 2000 counts as none.  *ret_epoch tells under which
 * key.  RC_TOO_LARGE; RC_COUNTER: no nonce can be had, nothing is sealed. */
must_check enum rc sealbox_seal(struct sealbox *box, struct bytes plain, uint64_t now_ms,
                                uint64_t life_ms, uint8_t *out, size_t *ret_n, uint32_t *ret_epoch,
                                struct err *err);

/* An authentic message for this end. */
struct sealbox_message {
    struct bytes plain; /* of the buffer */
    uint64_t number;    /* of its key */
    uint32_t epoch;
    uint64_t counter;
    uint64_t time_ms; /* Unix time at which it was sealed, by the other end's clock; 0 = none */
};

/* Judge and decrypt in place: codes of link_open; RC_SEAL_KEY: sealed by this end itself, or not
 * between these two ends; RC_BPSEC_KEY: an epoch that is not held, or not any more;
 * RC_BUNDLE_EXPIRED.  On failure buf holds no plaintext. */
must_check enum rc sealbox_open_message(struct sealbox *box, uint8_t *buf, size_t n,
                                        uint64_t now_ms, struct sealbox_message *ret,
                                        struct err *err);

/* Note durably that it came: once.  RC_REPLAY, RC_REPLAY_OLD, RC_REPLAY_JUMP; RC_STATE_DAMAGED: the
 * window cannot be used, nothing under this epoch is accepted. */
must_check enum rc sealbox_accept(struct sealbox *box, const struct sealbox_message *m,
                                  uint64_t now_ms, struct err *err);

/* It is noted that it came, perhaps not durably: note it durably.  RC_REPLAY_OLD: it is not. */
must_check enum rc sealbox_note_again(struct sealbox *box, const struct sealbox_message *m,
                                      struct err *err);

#endif
