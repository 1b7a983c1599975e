/* SPDX-License-Identifier: Apache-2.0
 *
 * link/seal: the one way in which Berth's bundles are protected, over link/bpsec.
 *
 * link_open meets files from anybody.  What it returns is authentic under the keys that the
 * caller's keyring names for the security source; everything it refuses leaves no plaintext behind.
 *
 * Which key a bundle is under stands in the security source of both security blocks (RFC 9172
 * section 3.6): ipn:NODE.KEY, NODE as in the bundle's source, KEY the key's number (link/keys).
 * RFC 9173 leaves it to the security source how keys are found.  The number is a claim: another
 * number is another key, under which neither MAC nor tag matches.
 */
#ifndef BERTH_LINK_SEAL_H
#define BERTH_LINK_SEAL_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/eid.h"

#define LINK_MAC_KEY_SIZE 48U
#define LINK_AEAD_KEY_SIZE 32U
#define LINK_OVERHEAD_MAX 512U /* a sealed bundle is at most this much longer than its payload */

/* Keys of one direction between two peers. */
struct link_keys {
    uint8_t mac[LINK_MAC_KEY_SIZE];   /* BIB-HMAC-SHA2, variant 6 */
    uint8_t aead[LINK_AEAD_KEY_SIZE]; /* BCB-AES-GCM, A256GCM */
};

/* What goes into one sealed bundle besides keys and payload. */
struct link_message {
    struct eid src; /* ipn, default allocator */
    struct eid dst;
    uint64_t time_ms; /* DTN time, 0 = no clock: an age block is added */
    uint64_t sequence;
    uint64_t lifetime_ms;
    uint64_t age_ms;  /* so far; only when time_ms is 0 */
    uint64_t key;     /* number of the key, not 0 */
    uint64_t counter; /* below 2^40 and never twice under one key (link/counter) ... */
    uint64_t salt; /* ... and 56 bits beside it, should it be: the IV is salt (7) || counter (5) */
    struct bytes payload;
};

/* Seal one bundle into out: BIB (HMAC-384, scope 7) over the primary block, BCB (A256GCM, scope 7)
 * over the payload block, each with one target.  out must not overlap the payload.  RC_NO_ROOM if
 * cap is too small; then, and on any failure, out holds no plaintext. */
must_check enum rc link_seal(const struct link_message *message, const struct link_keys *keys,
                             uint8_t *out, size_t cap, size_t *ret_n, struct err *err);

/* Which keys open bundles of src under the key of this number: fills *ret and returns RC_OK, or
 * RC_BPSEC_KEY.  src and number are only claims at this point. */
struct link_finder {
    enum rc (*find)(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                    struct err *err);
    void *arg;
};

/* An authentic bundle; made by link_open only.  payload and the EIDs are views of the buffer. */
struct link_opened {
    struct eid src;
    struct eid dst;
    uint64_t time_ms;
    uint64_t sequence;
    uint64_t lifetime_ms;
    uint64_t key;     /* number of the key that it was under */
    uint64_t counter; /* of the IV: what replay protection counts */
    struct bytes payload;
};

/* Open a bundle sealed by link_seal (or by anyone with the keys and the same policy), decrypting in
 * place in buf.  In this order: the form (strict; also RC_BUNDLE_FRAGMENT, RC_BUNDLE_SOURCE); that
 * exactly the required security blocks are there, as agreed (RC_BPSEC_MISSING, RC_BPSEC_TARGET,
 * RC_BPSEC_CONTEXT), where a CRC that a node on the way gave a target is taken off; bundle_check
 * without a clock; the keys (RC_BPSEC_KEY); the MAC over the primary block; the payload's tag
 * (RC_BPSEC_AUTH).  Replay, destination and lifetime against a clock are the caller's to judge.
 * Age, hop count and other blocks are not authenticated, and not returned. On failure the payload
 * in buf is wiped once decryption has begun. */
must_check enum rc link_open(uint8_t *buf, size_t n, const struct link_finder *keys,
                             struct link_opened *ret, struct err *err);

#endif
