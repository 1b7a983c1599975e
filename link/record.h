/* SPDX-License-Identifier: Apache-2.0
 *
 * link/record: the one administrative record of BPv7, the bundle status report (RFC 9171 section
 * 6.1).
 *
 * Reports come from any node on the way and say only what that node claims.  Berth asks for none; a
 * reader that meets one creates no state from it.  A node that makes them answers to addresses that
 * stand in bundles, so it makes them for authentic bundles only, and only so many in a time.
 */
#ifndef BERTH_LINK_RECORD_H
#define BERTH_LINK_RECORD_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/bundle.h"

enum record_event { RECORD_RECEIVED, RECORD_FORWARDED, RECORD_DELIVERED, RECORD_DELETED };
#define RECORD_EVENTS 4U

/* Why it happened (RFC 9171 section 9.5, RFC 9172 section 7.1). */
enum record_reason {
    RECORD_NO_REASON = 0,
    RECORD_EXPIRED = 1,
    RECORD_CANCELED = 3,
    RECORD_DEPLETED_STORAGE = 4,
    RECORD_NO_DESTINATION = 5,
    RECORD_NO_ROUTE = 6,
    RECORD_NO_CONTACT = 7,
    RECORD_BLOCK_UNINTELLIGIBLE = 8,
    RECORD_HOP_LIMIT = 9,
    RECORD_TRAFFIC_PARED = 10,
    RECORD_BLOCK_UNSUPPORTED = 11,
    RECORD_SECURITY_MISSING = 12,
    RECORD_SECURITY_UNKNOWN = 13,
    RECORD_SECURITY_UNEXPECTED = 14,
    RECORD_SECURITY_FAILED = 15,
    RECORD_SECURITY_CONFLICTING = 16,
};

/* A status report is at most this long. */
#define RECORD_MAX (EID_WIRE_MAX + 128U)

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

/* Append a status report.  A time is written where has_time says so. */
void record_put(struct cbor_out *w, const struct record *record);

/* The reason that a status report gives for a code of bundle_decode, bundle_check or link/bpsec. */
enum record_reason record_reason_of(enum rc rc);

/* A report that this event happened to a bundle: the time is given if the bundle asks for times
 * (RFC 9171 section 6.1.1); now_ms is DTN time, 0 = no clock.  Views of the bundle. */
struct record record_about(const struct bundle *bundle, enum record_event event,
                           enum record_reason reason, uint64_t now_ms);

/* Encode the bundle that carries a report: from this node to the report-to endpoint of the bundle
 * that it is about, never fragmented, never reported on.  message gives source, creation time (0 =
 * no clock: an age block is added), sequence number and lifetime.  It is not secured: who sends it
 * over a link that wants that adds the blocks (link/seal). */
struct record_message {
    struct eid self;
    uint64_t time_ms;
    uint64_t sequence;
    uint64_t lifetime_ms;
};
must_check enum rc record_encode(const struct record *record, const struct eid *report_to,
                                 const struct record_message *message, uint8_t *out, size_t cap,
                                 struct bytes *ret, struct err *err);

/* How many reports this node makes: at most max in period_ms.  All zero: none. */
struct record_gate {
    uint32_t max;
    uint64_t period_ms;
    uint64_t began_ms; /* of the period, monotonic */
    uint32_t made;     /* in it */
    uint64_t withheld; /* reports that were wanted and not made, since the start */
};

/* Whether to make a report of this event, and count it if so.  Only for an authentic bundle (its
 * security was verified: the caller says so), which asks for this event or has an unknown block
 * that asks for a report (then the event is its reception, the reason RECORD_BLOCK_UNSUPPORTED),
 * which has a source and a report-to endpoint, and is no administrative record.  now_ms is
 * monotonic. */
bool record_wanted(struct record_gate *gate, const struct bundle *bundle, enum record_event event,
                   enum record_reason reason, bool authentic, uint64_t now_ms);

#endif
