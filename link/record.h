/* SPDX-License-Identifier: Apache-2.0
 *
 * link/record: the one administrative record of BPv7, the bundle status report (RFC 9171 section
 * 6.1).
 *
 * Reports come from any node on the way and say only what that node claims.  Berth asks for none; a
 * reader that meets one creates no state from it.
 */
#ifndef BERTH_LINK_RECORD_H
#define BERTH_LINK_RECORD_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/eid.h"

enum record_event { RECORD_RECEIVED, RECORD_FORWARDED, RECORD_DELIVERED, RECORD_DELETED };
#define RECORD_EVENTS 4U

/* One "what happened" of a status report. */
struct record_item {
    bool asserted;
    bool has_time;
    uint64_t time_ms; /* DTN time */
};

struct record {
    struct record_item items[RECORD_EVENTS]; /* by enum record_event */
    uint64_t reason;
    struct eid source; /* of the bundle that is reported on; a view of the input */
    uint64_t time_ms;
    uint64_t sequence;
    bool fragment;
    uint64_t fragment_offset;
    uint64_t fragment_length;
};

/* Decode a status report that fills the payload of an administrative bundle.  RC_BUNDLE_BLOCK_TYPE
 * for another kind of record; ret is untouched on failure. */
must_check enum rc record_decode(struct bytes in, struct record *ret, struct err *err);

#endif
