/* SPDX-License-Identifier: Apache-2.0
 *
 * link/bpsec: Bundle Protocol Security (RFC 9172) with the contexts BIB-HMAC-SHA2 and BCB-AES-GCM
 * (RFC 9173).  Which protection a bundle must have is not decided here: see link/seal.
 *
 * Everything read here comes from whoever sent the file until a MAC or tag has matched.  Plaintext
 * never stays in a buffer that did not verify.  Keys come from the caller; those that did not come
 * wrapped stay ready in base/crypto until crypto_forget.
 */
#ifndef BERTH_LINK_BPSEC_H
#define BERTH_LINK_BPSEC_H

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/err.h"
#include "link/asb.h"
#include "link/bundle.h"

/* Check every security block that is not itself encrypted: its form, and the rules about targets
 * (RFC 9172 sections 3.4 to 3.11).  RC_BPSEC_FORMAT, RC_BPSEC_TARGET or RC_BUNDLE_FLAGS. */
must_check enum rc bpsec_check(const struct bundle *bundle, enum bundle_level level,
                               struct err *err);

/* All that can be said about a bundle without keys and without a clock: bundle_decode, bpsec_check,
 * bundle_check.  ret is as bundle_decode leaves it, and all zero on any failure. */
must_check enum rc bpsec_take(struct bytes in, enum bundle_level level, struct bundle *ret,
                              struct err *err);

/* The key for one security block: the caller looks at context, source, variant and wrapped_key.
 * With a wrapped key it returns the key-encryption key.  RC_BPSEC_KEY when there is none. */
struct bpsec_keyring {
    enum rc (*find)(void *arg, const struct bpsec_asb *asb, struct bytes *ret_key, struct err *err);
    void *arg;
};

/* The key of a security block, unwrapped if it came wrapped (RFC 9173 sections 3.3.2 and 4.3.3). */
struct bpsec_key {
    uint8_t room[BPSEC_KEY_MAX];
    struct bytes bytes;
};
must_check enum rc bpsec_key_of(const struct bpsec_keyring *keys, const struct bpsec_asb *asb,
                                struct bpsec_key *ret, struct err *err);
void bpsec_key_wipe(struct bpsec_key *key); /* scope cleaner */

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

/* Compare the MAC of asb->targets[i], in constant time: RC_BPSEC_AUTH. */
must_check enum rc bpsec_verify(const struct bundle *bundle, const struct bundle_block *bib,
                                const struct bpsec_asb *asb, size_t i, struct bytes key,
                                struct err *err);

/* Decrypt asb->targets[i] in place; buf is as in bpsec_process, and the view of the block shrinks
 * if the tag was appended.  On failure the block is wiped, or was not touched. */
must_check enum rc bpsec_decrypt(uint8_t *buf, struct bundle *bundle,
                                 const struct bundle_block *bcb, const struct bpsec_asb *asb,
                                 size_t i, struct bytes key, struct err *err);

#endif
