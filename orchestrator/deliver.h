/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/deliver: carries out in the store what orchestrator/ride decides: which object is
 * queued for a satellite so that it gets a version, and what follows when a delta did not work
 * there or the satellite has come to run something else meanwhile.
 *
 * Any of a version's objects brings it: the full package or one of its deltas.  Of one version at
 * most one of them is on its way to a satellite.  Reports are authentic and not trusted; what one
 * says counts for its own satellite only.
 */
#ifndef BERTH_ORCHESTRATOR_DELIVER_H
#define BERTH_ORCHESTRATOR_DELIVER_H

#include "orchestrator/view.h"

/* What was queued, if anything. */
struct delivered {
    struct ride ride; /* the choice */
    bool queued;      /* false: on its way already, delivered just now, or RIDE_WAIT */
};

struct deliver {
    struct store *store;
    const struct view *view;
    const struct view_satellite *sat; /* of the view */
    uint64_t now_ms;
    bool again;        /* also what the satellite has had before */
    uint64_t guard_ms; /* not what it was given so recently that its report may not show it */
};

/* Queue the version for the satellite, unless one of its objects is queued already.  Within the
 * caller's transaction if one is open. */
must_check enum rc deliver_queue(const struct deliver *d, const struct store_package *package,
                                 struct delivered *ret, struct err *err);

/* Take everything that brings this version out of a satellite's queue. */
must_check enum rc deliver_withdraw(struct store *store, const char *satellite,
                                    const struct digest *manifest, struct err *err);

/* Note which deltas did not work: fresh says for each event of the report whether it is news.  Each
 * satellite and version is noted once, with an entry in the audit log.  Inside a transaction. */
must_check enum rc deliver_hear(struct store *store, const struct report *report,
                                const bool fresh[REPORT_EVENTS_MAX], uint64_t now_ms,
                                struct err *err);

/* Told of each change of deliver_settle. */
struct deliver_log {
    void (*fn)(void *arg, const char *what, const char *satellite, const struct ride *ride);
    void *arg;
};

/* A delta that arrived, and of which a report made so long afterwards shows nothing, did not work:
 * longer than an install may take.  A satellite that is silent says nothing about it. */
#define DELIVER_LOST_MS (15ULL * 60U * 1000U)

/* Put right what no longer fits: where a delta did not work, the full package takes its place;
 * where the satellite runs neither the delta's base nor its result, a new choice does, once, and
 * the full package after that.  *ret_waits: something waits for a delta that is being made; call
 * again.  Not inside a transaction. */
must_check enum rc deliver_settle(struct store *store, const struct view *view, uint64_t now_ms,
                                  const struct deliver_log *log, bool *ret_waits, struct err *err);

#endif
