/* SPDX-License-Identifier: Apache-2.0
 *
 * link/scan: finds the end of a bundle in bytes that come one after the other.
 *
 * A bundle says by itself where it ends.  This tells, for any prefix of one, whether more is
 * needed, whether it is whole, or why no continuation can make it a bundle: for streams, and for
 * files that somebody writes under their final name.  The state has a fixed size and every byte is
 * looked at once, however the input is cut, so that one byte at a time costs no more than all at
 * once.  It looks at the form only (which item follows which, and how long each is); what the
 * fields say is for bundle_decode to judge when the bundle is whole.
 */
#ifndef BERTH_LINK_SCAN_H
#define BERTH_LINK_SCAN_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/bundle.h"

enum bundle_scanned {
    BUNDLE_SCAN_MORE,      /* a prefix of some bundle */
    BUNDLE_SCAN_WHOLE,     /* the bundle is the first scan.at bytes */
    BUNDLE_SCAN_MALFORMED, /* no continuation is a bundle that may be taken */
};

struct bundle_scan {
    uint64_t at;    /* bytes taken; nothing is taken behind the end or after a failure */
    uint64_t limit; /* largest bundle */
    enum bundle_scanned state;
    enum rc rc;       /* of a failure, and where and what it was */
    uint64_t fail_at; /* offset in bytes */
    const char *field;
    /* Private. */
    uint64_t skip;    /* bytes of a string that are still to come */
    uint64_t value;   /* argument of the head under way */
    uint64_t head_at; /* where it began */
    uint8_t left;     /* bytes of the argument that are still to come */
    uint8_t major;
    uint8_t info;
    uint8_t step;
    uint8_t items;    /* of the block under way */
    uint8_t eids;     /* of the primary block, so far */
    uint8_t elements; /* of the EID, still to come */
    uint8_t blocks;
};

/* Begin with a bundle of at most limit bytes. */
void bundle_scan_init(struct bundle_scan *scan, uint64_t limit);

/* Take the bytes that come next, until the bundle is whole or cannot become one; *ret_used tells
 * how many were taken.  What follows a whole bundle is not looked at. */
enum bundle_scanned bundle_scan(struct bundle_scan *scan, struct bytes more, size_t *ret_used);

/* Decode what was scanned: in begins with the scan.at bytes that it took.  RC_SHORT when more is
 * needed; of a malformed bundle, the first failure in the order of the bytes: that of the scan
 * (RC_TOO_LARGE, RC_CBOR_*, RC_BUNDLE_*) or a rule that the decoder found broken before it.  ret
 * and err as bundle_decode fills them. */
must_check enum rc bundle_scan_decode(const struct bundle_scan *scan, struct bytes in,
                                      enum bundle_level level, struct bundle *ret, struct err *err);

#endif
