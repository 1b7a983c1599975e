/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/brief: what a satellite says instead of a report while nothing has changed.
 *
 * It names the root of the state: the digest of what the last full reports said, without what
 * always changes.  Whoever holds a report with that root knows the state of now; whoever does not
 * has to ask for it and knows nothing new.  It travels as a report does: the link's integrity block
 * vouches for it.  Plain values and their strict CBOR; pure.
 */
#ifndef BERTH_MANIFEST_BRIEF_H
#define BERTH_MANIFEST_BRIEF_H

#include "manifest/doc.h"

#define REPORT_ROOT_SIZE 16U
#define BRIEF_MAX 96U /* bytes of it, whatever is in it */

struct report_root {
    uint8_t b[REPORT_ROOT_SIZE];
};

struct brief {
    char satellite[NAME_CAP];
    uint64_t epoch, seq; /* one row of numbers with the reports */
    uint64_t time_ms;    /* Unix time as the satellite believes it */
    struct report_root root;
};

/* The root of what a report says: the first bytes of SHA-256 over it.  Left out are its own number
 * and time, memory and processor time used, counts of traffic but for what of the ground's came in,
 * reading again, room, passes, and the KEM key's public half, which is told now and then. */
must_check enum rc report_root(const struct report *report, struct report_root *ret,
                               struct err *err);

/* Whether a report may be left out while its root stays the same: nobody waits for what is in it
 * beside the root. */
bool report_is_quiet(const struct report *report);

/* Decode strictly and check.  *ret is untouched on failure. */
must_check enum rc brief_decode(struct bytes in, struct brief *ret, struct err *err);
must_check enum rc brief_check(const struct brief *doc, struct err *err);
must_check enum rc brief_encode(const struct brief *doc, uint8_t *buf, size_t cap,
                                struct bytes *ret, struct err *err);

#endif
