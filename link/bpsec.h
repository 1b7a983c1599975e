/* SPDX-License-Identifier: Apache-2.0
 *
 * link/bpsec: Bundle Protocol Security (RFC 9172) with the contexts BIB-HMAC-SHA2 and BCB-AES-GCM
 * (RFC 9173), and Berth's own policy over them: link_seal and link_open.
 *
 * Everything read here comes from whoever sent the file until a MAC or tag has matched.  Plaintext
 * never stays in a buffer that did not verify.  Keys come from the caller and are not kept.
 */
#ifndef BERTH_LINK_BPSEC_H
#define BERTH_LINK_BPSEC_H

#include "base/bytes.h"
#include "base/cbor.h"
#include "base/crypto.h"
#include "base/err.h"
#include "link/bundle.h"

#define BPSEC_MAC_MAX 64U
#define BPSEC_KEY_MAX 64U
#define BPSEC_WRAPPED_MAX (BPSEC_KEY_MAX + 8U)

enum bpsec_context { BPSEC_BIB_HMAC = 1, BPSEC_BCB_GCM = 2 };

/* Variants by their numbers on the wire (RFC 9173 sections 3.3.1 and 4.3.2). */
enum bpsec_variant {
    BPSEC_A128GCM = 1,
    BPSEC_A256GCM = 3,
    BPSEC_HMAC_256 = 5,
    BPSEC_HMAC_384 = 6,
    BPSEC_HMAC_512 = 7,
};

/* What besides the target is covered (RFC 9173 sections 3.3.3 and 4.3.4). */
enum bpsec_scope {
    BPSEC_SCOPE_PRIMARY = 1,
    BPSEC_SCOPE_TARGET = 2,
    BPSEC_SCOPE_SECURITY = 4,
    BPSEC_SCOPE_ALL = 7,
};

/* Abstract security block (RFC 9172 section 3.6), with the parameters and results of contexts 1 and
 * 2; those of other contexts are checked for form and left in params and results_raw. */
struct bpsec_asb {
    size_t n_targets;
    uint64_t targets[BUNDLE_BLOCKS_MAX];
    int64_t context;
    uint64_t flags; /* bit 0: parameters present */
    struct eid source;
    bool has_variant; /* given, not the default of RFC 9173 */
    bool has_scope;
    uint64_t variant;                        /* enum bpsec_variant */
    uint64_t scope;                          /* enum bpsec_scope */
    struct bytes iv;                         /* 12 bytes, empty if absent */
    struct bytes wrapped_key;                /* empty if absent */
    struct bytes results[BUNDLE_BLOCKS_MAX]; /* MAC or tag per target; empty = tag at the end of
                                                the ciphertext */
    struct bytes params;                     /* as encoded, empty if absent */
    struct bytes results_raw;
};

/* Decode an ASB that fills in.  type is BLOCK_BIB or BLOCK_BCB. */
must_check enum rc bpsec_asb_decode(struct bytes in, uint64_t type, enum bundle_level level,
                                    struct bpsec_asb *ret, struct err *err);

/* Append an ASB of context 1 or 2. */
void bpsec_asb_put(struct cbor_out *w, const struct bpsec_asb *asb);

/* Check every security block that is not itself encrypted: its form, and the rules about targets
 * (RFC 9172 sections 3.4 to 3.11).  RC_BPSEC_FORMAT, RC_BPSEC_TARGET or RC_BUNDLE_FLAGS. */
must_check enum rc bpsec_check(const struct bundle *bundle, enum bundle_level level,
                               struct err *err);

/* The key for one security block: the caller looks at context, source, variant and wrapped_key.
 * With a wrapped key it returns the key-encryption key.  RC_BPSEC_KEY when there is none. */
struct bpsec_keyring {
    enum rc (*find)(void *arg, const struct bpsec_asb *asb, struct bytes *ret_key, struct err *err);
    void *arg;
};

/* Undo and check every operation of a decoded bundle: decrypt the targets of each BCB in place,
 * then verify each BIB.  buf is the memory that bundle's views point into; ciphertexts in it become
 * plaintexts and the views of bundle->blocks shrink where a tag was appended.  Whatever fails:
 * everything that was decrypted is wiped and the bundle is zeroed. */
must_check enum rc bpsec_process(uint8_t *buf, struct bundle *bundle,
                                 const struct bpsec_keyring *keys, struct err *err);

/* The MAC of one target (0 = primary block) as asb, which sits in block number bib with flags,
 * demands: RFC 9173 section 3.7.  ret holds BPSEC_MAC_MAX bytes; *ret_n tells how many are used. */
must_check enum rc bpsec_mac(const struct bundle *bundle, const struct bundle_block *bib,
                             const struct bpsec_asb *asb, uint64_t target, struct bytes key,
                             uint8_t *ret, size_t *ret_n, struct err *err);

/* Encrypt one target as asb, which sits in block bcb, demands (RFC 9173 section 4.7).  out holds
 * plain.n bytes and may be plain.p. */
must_check enum rc bpsec_encrypt(const struct bundle *bundle, const struct bundle_block *bcb,
                                 const struct bpsec_asb *asb, uint64_t target, struct bytes key,
                                 struct bytes plain, uint8_t *out, uint8_t ret_tag[GCM_TAG_SIZE],
                                 struct err *err);

/* ---- Berth's link ------------------------------------------------------------------------------
 */

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
    uint64_t age_ms; /* so far; only when time_ms is 0 */
    uint64_t
        counter; /* never the same twice under one key: the IV is src node (4) || counter (8) */
    struct bytes payload;
};

/* Seal one bundle into out: BIB (HMAC-384, scope 7) over the primary block, BCB (A256GCM, scope 7)
 * over the payload block, each with one target.  out must not overlap the payload.  RC_NO_ROOM if
 * cap is too small; then, and on any failure, out holds no plaintext. */
must_check enum rc link_seal(const struct link_message *message, const struct link_keys *keys,
                             uint8_t *out, size_t cap, size_t *ret_n, struct err *err);

/* Which keys open bundles of src: fills *ret and returns RC_OK, or RC_BPSEC_KEY.  src is only a
 * claim at this point. */
struct link_keyring {
    enum rc (*find)(void *arg, const struct eid *src, struct link_keys *ret, struct err *err);
    void *arg;
};

/* An authentic bundle; made by link_open only.  payload and the EIDs are views of the buffer. */
struct link_opened {
    struct eid src;
    struct eid dst;
    uint64_t time_ms;
    uint64_t sequence;
    uint64_t lifetime_ms;
    uint64_t counter; /* of the IV: what replay protection counts */
    uint32_t node;    /* of the IV: equals the node of src */
    struct bytes payload;
};

/* Open a bundle sealed by link_seal (or by anyone with the keys and the same policy), decrypting in
 * place in buf.  The form is checked first (strict), then that exactly the required security blocks
 * are there (RC_BPSEC_MISSING, RC_BPSEC_TARGET, RC_BPSEC_CONTEXT), then the MAC over the primary
 * block, then the payload's tag (RC_BPSEC_AUTH).  Fragments are RC_BUNDLE_FRAGMENT.  Replay,
 * destination and lifetime are the caller's to judge; block numbers, age and hop count are not
 * authenticated.  On failure the payload in buf is wiped once decryption has begun. */
must_check enum rc link_open(uint8_t *buf, size_t n, const struct link_keyring *keys,
                             struct link_opened *ret, struct err *err);

#endif
