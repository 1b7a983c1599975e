/* SPDX-License-Identifier: Apache-2.0
 *
 * link/asb: abstract security blocks, the content of BIBs and BCBs (RFC 9172 section 3.6), with the
 * parameters and results of the two contexts of RFC 9173.
 *
 * What is read is only a claim about how other blocks are protected; link/bpsec acts on it.
 */
#ifndef BERTH_LINK_ASB_H
#define BERTH_LINK_ASB_H

#include "base/bytes.h"
#include "base/cbor.h"
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
    struct bytes iv;                         /* 8 to 16 bytes, empty if absent */
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

/* The same for a block of a bundle; offsets of errors are those of the bundle. */
must_check enum rc bpsec_asb_of(const struct bundle *bundle, const struct bundle_block *block,
                                enum bundle_level level, struct bpsec_asb *ret, struct err *err);

/* Whether this is one of the two contexts that can be acted on. */
static inline bool bpsec_known(int64_t context)
{
    return context == BPSEC_BIB_HMAC || context == BPSEC_BCB_GCM;
}

/* Bytes of a MAC of a variant of BIB-HMAC-SHA2, or of a key of one of BCB-AES-GCM; 0 if it is none.
 */
size_t bpsec_mac_size(uint64_t variant);
size_t bpsec_key_size(uint64_t variant);

#endif
