/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/ground: the work of berth-ground, one tick at a time: take in what satellites
 * report, move rollouts on, release orders, feed the links.
 *
 * It holds link keys and no private document key: it can delay what the operator signed, and
 * nothing more.  Files in the downlink directories are hostile until link/ground has opened them;
 * what they hold is a report only once report_decode says so and it names the satellite whose keys
 * opened it.  All state is in the store and in the links' own directories: killed at any moment, it
 * goes on where it was.
 *
 * Where there are more satellites than links may be open, a satellite has its link open while there
 * is something to do, and in turn (orchestrator/link_places).  What went of its queue stays in
 * memory, so that the next sender goes on there and with the newest report, and asks for one by a
 * descriptor before what went already goes again.  Behind a restart only the report is left.
 */
#ifndef BERTH_ORCHESTRATOR_GROUND_H
#define BERTH_ORCHESTRATOR_GROUND_H

#include "base/bytes.h"
#include "base/err.h"

struct ground;

struct ground_options {
    const char *home;
    const char *satellite; /* open this one's link only; NULL = all */
    uint32_t links;        /* open at once; 0 = 256 */
    uint64_t up_budget;    /* bytes per satellite and tick */
    uint64_t up_files;     /* stop sending to a satellite while so many bundle files wait for the
                              carrier */
    uint64_t lease_ms;     /* others take over when nothing is heard of this one for so long; 0 =
                              GROUND_LEASE_MS */
    uint64_t resend_ms; /* send again what no report acknowledged for so long; 0 = the link's own */
    uint64_t flight_ms; /* what was sent so recently may still be on its way when a report says that
                           it is missing; 0 = the link's own */
};

#define GROUND_LEASE_MS 15000U

/* Open the home directory; RC_BUSY when another berth-ground of this machine has it.  One of
 * another machine, or another home of the same fleet, is met in the rounds: there is one lease
 * (store_take_lease). */
must_check enum rc ground_open(const struct ground_options *options, struct ground **ret,
                               struct err *err);
void ground_close(struct ground **ground); /* scope cleaner */

/* What went through the links since ground_open. */
struct ground_counts {
    uint32_t in;         /* bundle files taken out of downlinks */
    uint32_t reports;    /* of them: new reports */
    uint32_t duplicates; /* of them: here before */
    uint32_t refused;    /* of them: not authentic, or no report */
    struct err last;     /* of the refused */
    bool more;           /* others are left, and it is worth going on at once */
    uint32_t out;        /* bundle files written into uplinks */
    uint64_t out_bytes;
};

/* Take in what lies in the downlinks, at most some files of each satellite: again while
 * ground_counts(...).more.  With options.satellite set, RC_NO_SATELLITE, what keeps its link from
 * being opened, or what failed in it; else that is logged. */
must_check enum rc ground_receive(struct ground *ground, uint64_t mono_ms, uint64_t unix_ms,
                                  struct err *err);

/* Move rollouts on, release orders, and write what is due into the uplinks, at most
 * options.up_budget bytes for each satellite.  Behind ground_receive, and errors as there.  Only
 * the uplinks are options.satellite's: rollouts and orders are moved on for all. */
must_check enum rc ground_send(struct ground *ground, uint64_t mono_ms, uint64_t unix_ms,
                               struct err *err);

/* Whether the last round ended, with RC_BUSY, since another one has the lease. */
bool ground_stands_by(const struct ground *ground);

/* Borrowed. */
const struct ground_counts *ground_counts(const struct ground *ground);

/* One round: both of the above.  What fails for one satellite is logged and does not hold up the
 * others; an error of the store ends the round, and the next one tries again.  mono_ms is for
 * durations, unix_ms for the store. */
must_check enum rc ground_tick(struct ground *ground, uint64_t mono_ms, uint64_t unix_ms,
                               struct err *err);

#endif
