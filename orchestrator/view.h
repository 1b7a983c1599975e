/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/view: the fleet as the store has it now: for each satellite its newest released
 * order and its newest report, as much of them as is asked for all the time (orchestrator/sight).
 * What `berth status`, `plan` and the daemon look at.
 *
 * Orders were signed here; reports came through the link's authentication and are decoded strictly
 * again.  A report that the store holds and that does not decode counts as none.
 */
#ifndef BERTH_ORCHESTRATOR_VIEW_H
#define BERTH_ORCHESTRATOR_VIEW_H

#include "orchestrator/plan.h"
#include "orchestrator/ride.h"
#include "orchestrator/sight.h"
#include "orchestrator/store.h"
#include "orchestrator/verdict.h"

#define VIEW_SILENT_MS (10ULL * 60U * 1000U) /* default: longest expected gap between reports */
#define VIEW_SILENT_PASSES 2U /* the same where passes are predicted: so many may be missed */
#define VIEW_AHEAD_MAX 4096U  /* generations that a report is believed to be ahead of the store */

/* As struct store_satellite. */
struct view_row {
    char id[NAME_CAP];
    uint64_t node;
    uint64_t added_ms;
    const char *up;
    const char *down;
    const char *link_keys;
    const char *labels;
};

struct view_satellite {
    struct view_row row;
    struct want order;    /* newest released one; generation 0 = none */
    bool held;            /* a newer one waits for its wave */
    uint64_t newest;      /* highest generation in any order or believable report */
    struct sight *seen;   /* newest report, NULL = none */
    uint64_t received_ms; /* of the report, Unix time */
    bool predicted;       /* passes of it are kept, and what follows counts */
    uint64_t missed;      /* passes that began since the report, and were over with nothing heard */
    const struct store_silence *miss; /* those, by beginning; the view's */
};

/* The delta that is being made now, by whichever program; set by who can look (delta_cache). */
struct view_making {
    bool is;
    struct digest base, manifest;
};

struct view {
    size_t n;
    struct view_satellite *satellite; /* by id */
    struct store_silence *silences;
    size_t n_packages;
    struct store_package *packages;
    size_t n_deltas;
    struct store_delta *deltas;
    size_t n_failed;
    struct store_delta_failed *failed; /* deltas that could not be made */
    size_t n_full_only;
    struct store_full_only *full_only;
    struct view_making making;
    uint64_t root_version;      /* of the newest root, 0 = there is none */
    uint64_t root_issued_ms;    /* Unix time, as in the root */
    uint64_t operator_since_ms; /* Unix time: documents of the operator from before are void */
    struct arena arena;         /* what the satellites point to */
};

/* Read everything, best inside a transaction.  Free with view_free. */
must_check enum rc view_load(struct store *store, struct view **ret, struct err *err);
/* The same with one satellite only, or none if there is none of that id. */
must_check enum rc view_load_one(struct store *store, const char *id, struct view **ret,
                                 struct err *err);
/* The one that was asked for, which must be there, or all if id is NULL.  RC_NO_SATELLITE. */
must_check enum rc view_load_asked(struct store *store, const char *id, struct view **ret,
                                   struct err *err);
/* What each satellite reported last, and nothing else: no orders, passes, packages or root. */
must_check enum rc view_load_seen(struct store *store, struct view **ret, struct err *err);
void view_free(struct view **view); /* scope cleaner */

/* One order of a satellite, as it was signed; the store's are trusted.  RC_NOT_FOUND. */
must_check enum rc view_load_order(struct store *store, const char *id, uint64_t generation,
                                   struct order *ret, struct err *err);

/* All that the newest report of a satellite says; NULL without words when sat->seen is, else the
 * caller frees *ret.  Of the same moment as the view within the transaction that it was read in. */
must_check enum rc view_report(struct store *store, const struct view_satellite *sat,
                               struct report **ret, struct err *err);

/* A satellite by id, or NULL. */
const struct view_satellite *view_find(const struct view *view, const char *id);

/* Whether the satellite has not yet got the newest root, as far as reports tell; one that never
 * reported has the root that was the newest when it was provisioned. */
bool view_root_behind(const struct view *view, const struct view_satellite *sat);

/* The package with this manifest, or NULL. */
const struct store_package *view_package(const struct view *view, const struct digest *manifest);

/* The delta of a pair, READY or not, or NULL. */
const struct store_delta *view_delta(const struct view *view, const struct digest *base,
                                     const struct digest *manifest);

/* What is known of a delta to this version that did not work on a satellite, or NULL. */
const struct store_full_only *view_full_only(const struct view *view, const char *satellite,
                                             const struct digest *manifest);

/* The package that an object is, or is a delta to; NULL if it is none that is known. */
const struct store_package *view_carried(const struct view *view, const struct digest *object);

/* The tenant whose package or delta an object is; "" if it is none that is known. */
const char *view_owner(const struct view *view, const struct digest *object);

/* Whether an object brings the version to a satellite: its full package, or any delta to it. */
bool view_brings(const struct view *view, const struct store_package *package,
                 const struct digest *object);

/* As which object the version should go to the satellite. */
struct ride view_ride(const struct view *view, const struct view_satellite *sat,
                      const struct store_package *package);

/* The order as an argument of verdict functions: NULL when nothing was ever released. */
const struct want *view_want(const struct view_satellite *sat);

/* The verdict on a satellite now: silent by the passes that it missed where they are known, by the
 * age of its report where not. */
enum verdict view_verdict(const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms);

/* Of the passes that it missed, how many began after that time. */
uint64_t view_missed(const struct view_satellite *sat, uint64_t since_ms);

/* Age of the newest report; UINT64_MAX when there is none. */
uint64_t view_age_ms(const struct view_satellite *sat, uint64_t now_ms);

/* Bases for a plan, one for each satellite of the fleet file; views of view.  The caller frees
 * *ret. */
must_check enum rc view_bases(const struct view *view, const struct fleet *fleet,
                              struct plan_base **ret, struct err *err);

#endif
