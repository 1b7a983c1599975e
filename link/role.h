/* SPDX-License-Identifier: Apache-2.0
 *
 * link/role: what a node does about each security operation of a bundle (RFC 9172 section 2.5):
 * carry it, verify it, or accept it, by a table of rules.
 *
 * For bundles of others, and for tools.  Berth's own bundles have one policy, without a table:
 * link/seal.  Everything read here comes from anybody until a MAC or tag has matched; what no rule
 * names is refused.  Pure but for the cryptography: table, keys and memory are arguments.
 */
#ifndef BERTH_LINK_ROLE_H
#define BERTH_LINK_ROLE_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/bpsec.h"

enum bpsec_role {
    BPSEC_REFUSE = 0, /* no rule is this rule */
    BPSEC_FORWARD,    /* looked at by nobody: stays as it is */
    BPSEC_VERIFY,     /* must verify, and stays as it is */
    BPSEC_ACCEPT,     /* must verify, and is taken away: its target is as before it was added */
};

#define BPSEC_ANY_TYPE UINT64_MAX
#define BPSEC_PRIMARY 0U /* the primary block, as a target type */

/* One line of the table.  All zero: refuse everything. */
struct bpsec_rule {
    const struct eid *source; /* security source; NULL = any */
    const char *tenant;       /* whom the bundle is for, as the caller says; NULL = any */
    uint64_t service;         /* BLOCK_BIB, BLOCK_BCB, or BPSEC_ANY_TYPE */
    uint64_t target_type;     /* block type, BPSEC_PRIMARY, or BPSEC_ANY_TYPE */
    enum bpsec_role role;
    bool required;  /* each block of target_type must have this service from this source */
    bool drop;      /* failed: only its target goes, unless that is the payload or primary block */
    uint64_t scope; /* enum bpsec_scope: what must be covered */
    uint64_t variants; /* bit 1 << variant (enum bpsec_variant) of those allowed; 0 = all */
};

/* The first rule that fits is the one that counts. */
struct bpsec_policy {
    const struct bpsec_rule *rules;
    size_t n;
};

/* What is worked on, with what. */
struct bpsec_work {
    uint8_t *buf; /* the memory that bundle's views point into */
    struct bundle *bundle;
    const struct bpsec_keyring *keys;
    const struct bpsec_policy *policy;
    const char *tenant; /* NULL: nobody's in particular */
    uint8_t *room;      /* scratch, as long as the largest security block */
    size_t room_n;
};

/* Which rule counts for an operation, or NULL. */
const struct bpsec_rule *bpsec_rule_of(const struct bpsec_policy *policy, const char *tenant,
                                       const struct eid *source, uint64_t service,
                                       uint64_t target_type);

/* Do what the table says about every security operation of a decoded bundle: first those of the
 * BCBs, then those of the BIBs, in the order of blocks and targets.  A BIB that is still encrypted
 * afterwards, or one over a target that is, is left alone and fulfils no requirement.
 *
 * Accepted operations are gone from the bundle: their targets are plaintext, a security block
 * without targets is removed, one with targets left is encoded anew in its place, no number
 * changes.  When the BIB over the primary block was the last security operation, the primary block
 * has a CRC-32C again (crc_type; RFC 9171 section 4.3.1).  Verified and forwarded operations leave
 * every byte as it was.
 *
 * RC_BPSEC_POLICY: no rule allows an operation, or its scope or variant.  RC_BPSEC_MISSING: a
 * required one is not there.  RC_NO_ROOM: work->room is too small.  RC_BPSEC_AUTH, RC_BPSEC_KEY,
 * RC_BPSEC_CONTEXT and what bpsec_check says.  err names the offset of the block.  On failure
 * everything that was decrypted is wiped and the bundle is zeroed. */
must_check enum rc bpsec_apply(const struct bpsec_work *work, struct err *err);

#endif
