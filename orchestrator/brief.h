/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/brief: taking in what satellites say instead of a report while nothing has changed.
 *
 * A brief changes nothing but how fresh the report held is, and only if that one has its root.  If
 * it has not, what is shown stays what was reported, and the satellite is asked: it gets the order
 * that it has once more, hears it, and reports in full because it has heard something.
 */
#ifndef BERTH_ORCHESTRATOR_BRIEF_H
#define BERTH_ORCHESTRATOR_BRIEF_H

#include "manifest/brief.h"
#include "orchestrator/store.h"

enum brief_says {
    BRIEF_OLD,     /* not later than what is held: a replay, or overtaken */
    BRIEF_SAME,    /* what is held is the state of now */
    BRIEF_DIFFERS, /* there is a state that has not been reported, or the report got lost */
};
#define BRIEF_ASK_MS (60ULL * 1000U) /* a satellite is asked again after so long */

/* Pure.  epoch and seq of what is held, and its root; NULL = nothing is held. */
enum brief_says brief_judge(const struct brief *brief, uint64_t epoch, uint64_t seq,
                            const struct report_root *held);

/* Take one in, as one transaction.  BRIEF_SAME: *ret is the report held, with the new number and
 * time.  RC_NO_SATELLITE as for reports; codes of brief_decode. */
must_check enum rc brief_ingest(struct store *store, const char *satellite, struct bytes bytes,
                                uint64_t now_ms, enum brief_says *ret_says, struct report *ret,
                                struct err *err);

#endif
