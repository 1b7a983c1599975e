/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/ride: as which object a version goes to a satellite: the full package, or a delta
 * against what the satellite said that it runs.  Pure: rows of the store and an entry of a report
 * go in, one choice and its reason come out.
 *
 * A report is authentic and not trusted.  A satellite that lies about its base gets a delta that
 * does not work there, says so, and gets the full package from then on: it can waste its own
 * uplink and nothing else.
 */
#ifndef BERTH_ORCHESTRATOR_RIDE_H
#define BERTH_ORCHESTRATOR_RIDE_H

#include "orchestrator/store.h"

/* A delta package goes only if it is smaller than the full one by at least this part of it: the
 * full package needs no base and cannot be refused for want of one. */
#define RIDE_MARGIN_PART 16U

enum ride_kind {
    RIDE_FULL = 1,
    RIDE_DELTA = 2,
    RIDE_WAIT = 3, /* a delta is being made: decide again when it is there */
};

/* Why. */
enum ride_why {
    RIDE_SMALLEST = 1, /* the delta is smaller */
    RIDE_NO_REPORT,    /* the satellite has said nothing of this payload */
    RIDE_NO_BASE,      /* nothing that it committed runs there */
    RIDE_NO_PACKAGE,   /* it runs a version that the ground has no package of */
    RIDE_REFUSED,      /* a delta to this version did not work there */
    RIDE_NO_GAIN,      /* a delta is hardly smaller, or cannot be made */
    RIDE_NOT_MADE,     /* nobody has made the delta */
    RIDE_MAKING,       /* somebody is making it now */
    RIDE_UNMAKABLE,    /* it could not be made, and is not tried again unasked */
    RIDE_WHYS,
};

struct ride_input {
    const struct store_package *package; /* of the version that is wanted */
    const struct report_payload *seen; /* what the satellite says of the payload, NULL = nothing */
    const struct store_package *base;  /* of the version of ride_base, NULL = not in the store */
    const struct store_delta *delta;   /* from there to here, NULL = none was ever made */
    uint32_t refused;                  /* code with which one failed there, 0 = none did */
    bool making;                       /* one is being made now */
    bool failed; /* the maker that is here could not make it, and would not another time */
};

struct ride {
    enum ride_kind kind;
    enum ride_why why;
    struct digest object; /* what the link transfers; all zero with RIDE_WAIT */
    uint64_t size;        /* of it, in bytes */
    struct digest base;   /* manifest that the delta is, or would be, made against; else all zero */
    uint32_t refused;     /* with RIDE_REFUSED: the code */
};

/* The version that a satellite has committed and runs, by its own word; NULL = none. */
const struct digest *ride_base(const struct report_payload *seen);

/* Choose. */
struct ride ride_choose(const struct ride_input *in);

/* Whether a delta of size bytes is worth sending beside a full package of full bytes. */
bool ride_gains(uint64_t size, uint64_t full);

/* Whether an event with this code says that a delta did not work: the code is about the delta or
 * about what lies there, not about the version (docs/wire/delta.md). */
bool ride_is_deltas(uint32_t code);

/* Whether the entry of a report says so of the version that it wants: it still waits for a package
 * although one came, and the code says why.  Any code may be there. */
bool ride_failed(const struct report_payload *seen);

/* "the delta is smaller", "no report yet", ... */
const char *ride_why_text(enum ride_why why);

#endif
