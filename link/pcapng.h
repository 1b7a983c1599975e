/* SPDX-License-Identifier: Apache-2.0
 *
 * link/pcapng: bundles as a capture file that Wireshark and tshark read with their own dissector of
 * BPv7 (pcapng, draft-ietf-opsawg-pcapng; link type 252, "upper PDU", which names the dissector).
 *
 * Bundles are written as they are, valid or not: a capture is for looking at what came.  Everything
 * is encoded into the caller's buffer, little-endian on any machine.
 */
#ifndef BERTH_LINK_PCAPNG_H
#define BERTH_LINK_PCAPNG_H

#include "base/bytes.h"
#include "base/err.h"

#define PCAPNG_BEGIN_SIZE 80U    /* what pcapng_begin writes fits */
#define PCAPNG_COMMENT_MAX 255U  /* bytes of a comment; what is longer is cut */
#define PCAPNG_OVERHEAD_MAX 352U /* a record is at most this much longer than its bundle */

enum pcapng_direction { PCAPNG_UNKNOWN = 0, PCAPNG_IN = 1, PCAPNG_OUT = 2 };

struct pcapng_record {
    uint64_t unix_us; /* when, microseconds since 1970 */
    enum pcapng_direction direction;
    const char *comment; /* such as a file name; NULL or "" = none */
    struct bytes bundle;
};

/* The beginning of a capture file.  RC_NO_ROOM. */
must_check enum rc pcapng_begin(uint8_t *buf, size_t cap, struct bytes *ret, struct err *err);

/* One bundle, to be appended to it.  RC_NO_ROOM. */
must_check enum rc pcapng_bundle(const struct pcapng_record *record, uint8_t *buf, size_t cap,
                                 struct bytes *ret, struct err *err);

#endif
