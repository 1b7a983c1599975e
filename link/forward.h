/* SPDX-License-Identifier: Apache-2.0
 *
 * link/forward: what a node sends on when it forwards a bundle (RFC 9171 sections 4.4 and 5.4).
 *
 * Pure: the input is a decoded bundle from anybody, the output its encoding for the next node.
 * Nothing is believed and nothing is decided about where it goes.
 */
#ifndef BERTH_LINK_FORWARD_H
#define BERTH_LINK_FORWARD_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/bundle.h"

struct bundle_hop {
    struct eid self;   /* node ID of this node, the previous node of the next one; null if this
                          node is the bundle's source: then the bundle names no previous node */
    uint64_t dwell_ms; /* time that the bundle spent here: added to its age, if it has one */
};

/* Encode into out what goes to the next node, and return the view of it.  The primary block and all
 * blocks that are not named here stay byte for byte as they came, unknown ones too.  Previous node
 * is replaced, or added in front under a number that is free; age and hop count grow; unknown
 * blocks that ask for it (BLOCK_DISCARD) are left out.
 *
 * RC_BUNDLE_EXPIRED, RC_BUNDLE_HOPS or RC_BUNDLE_BLOCK_UNSUPPORTED if the bundle has to be deleted
 * instead, as bundle_check says of it without a clock; RC_BPSEC_TARGET if a block that has to
 * change is the target of a security block, which only who accepts that operation may undo
 * (link/role); RC_BUNDLE_TOO_MANY_BLOCKS if there is no room for a previous node; RC_NO_ROOM. */
must_check enum rc bundle_forward(const struct bundle *bundle, const struct bundle_hop *hop,
                                  uint8_t *out, size_t cap, struct bytes *ret, struct err *err);

#endif
