/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/standpoint: what a satellite would say to a file, judged by the verifier that flies
 * with the satellite's state as the ground knows it: the root of its last report, which may lag
 * behind; grants, revocations and delegations that it was provisioned with or has shown to have;
 * the order in force, its clock, the security floors of what it runs.
 *
 * The report is what the satellite says of itself and may be old; the basis of a verdict is
 * therefore always shown with it.
 */
#ifndef BERTH_ORCHESTRATOR_STANDPOINT_H
#define BERTH_ORCHESTRATOR_STANDPOINT_H

#include "manifest/trust.h"
#include "orchestrator/home.h"

/* Owns trust and report; standpoint_done is a scope cleaner. */
struct standpoint {
    const struct home *home; /* NULL: of no satellite */
    char satellite[NAME_CAP];
    struct trust *trust;  /* NULL: it has none, by its report */
    uint32_t awaited;     /* documents of the trust that are not there yet */
    struct report *seen;  /* NULL: it has not reported yet */
    uint64_t received_ms; /* of the report, the ground's clock */
    uint64_t now_ms;      /* the satellite's clock by its last report, else the ground's */
    bool order_known;     /* in_force is the order of the generation that it reported */
    struct digest in_force;
    uint64_t in_force_ms; /* when that order was issued */
    bool waiting_known;   /* likewise of the order that waits there for its token */
    struct digest waiting;
};
void standpoint_done(struct standpoint *s);

/* Take the standpoint of a satellite.  RC_NO_SATELLITE, RC_TRUST_MISSING. */
must_check enum rc standpoint_of(const struct home *home, const char *satellite, uint64_t now_ms,
                                 struct standpoint *ret, struct err *err);

/* What a file turned out to be, for the answer. */
struct judged {
    enum doc_type type;
    char what[128]; /* "order 8 for sat-1" */
    bool unpacked;  /* of a package: it was unpacked for a try */
};

/* Judge a package, root, grant or order file: RC_OK means that the satellite would take it, any
 * other code is the one that it would report.  An order needs a satellite (RC_USAGE).  The trust in
 * s changes as the satellite's would. */
must_check enum rc standpoint_judge(struct standpoint *s, const char *path, struct judged *ret,
                                    struct err *err);

#endif
