/* SPDX-License-Identifier: Apache-2.0
 *
 * link/eid: endpoint IDs, the addresses of BPv7: ipn (RFC 9758, two and three elements) and dtn
 * (RFC 9171 section 4.2.5.1).
 *
 * They arrive in bundles before anything is authenticated: a decoded EID is well-formed, not true.
 * File names are never made from one.
 */
#ifndef BERTH_LINK_EID_H
#define BERTH_LINK_EID_H

#include "base/bytes.h"
#include "base/cbor.h"
#include "base/err.h"

#define EID_DTN_MAX 255U /* bytes of a dtn scheme-specific part; longer ones are refused */
#define EID_TEXT_CAP (sizeof "dtn:" + EID_DTN_MAX)
#define EID_WIRE_MAX (2U + 3U + EID_DTN_MAX) /* encoded size, CBOR heads included */

enum eid_scheme {
    EID_NONE = 0, /* dtn:none, encoded as [1, 0]; an all-zero struct eid is the null endpoint */
    EID_DTN = 1,
    EID_IPN = 2,
};

struct eid {
    enum eid_scheme scheme;
    bool three;        /* ipn: came, and goes out, in the three-element form */
    uint64_t node;     /* ipn: allocator << 32 | node number */
    uint64_t service;  /* ipn */
    struct bytes name; /* dtn: scheme-specific part such as "//node/svc", a view */
};

/* What "valid" means to the decoders of this folder. */
enum bundle_level {
    BUNDLE_STRICT,  /* every MUST of RFC 9171, 9172 and 9758 */
    BUNDLE_LENIENT, /* what other implementations are seen to send; see bundle_decode */
};

/* An ipn EID with the default allocator. */
static inline struct eid eid_ipn(uint32_t node, uint64_t service)
{
    return (struct eid){ .scheme = EID_IPN, .node = node, .service = service };
}

/* dtn:none, ipn:0.0, and (only lenient decoding lets it in) ipn:0.x. */
bool eid_is_null(const struct eid *eid);

/* The same endpoint, whatever form either came in (RFC 9758 section 3.4); all null endpoints are
 * equal. */
bool eid_equal(const struct eid *a, const struct eid *b);

/* Decode exactly one EID that fills in.  The result's name is a view of in.  RC_BUNDLE_EID, or a
 * CBOR code; ret is untouched on failure.  Strict refuses ipn:0.x and dtn names without "//". */
must_check enum rc eid_decode(struct bytes in, enum bundle_level level, struct eid *ret,
                              struct err *err);

/* The same from an open cursor (link/cursor.h), whose failure it sets. */
struct cursor;
void eid_read(struct cursor *c, enum bundle_level level, struct eid *ret);

/* Append the EID in the form it says. */
void eid_put(struct cbor_out *w, const struct eid *eid);

/* Print as a URI ("ipn:1.1", "dtn://node/svc", "dtn:none") into out, cut at cap, always
 * NUL-terminated; returns out.  EID_TEXT_CAP is always enough. */
const char *eid_text(const struct eid *eid, char *out, size_t cap);

#endif
