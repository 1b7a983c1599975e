/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/planning_sky: a plan held against the sky: which passes its bytes ride, when each
 * wave is done, and what cannot be done and why.
 *
 * What waits in the queues already goes before or beside it.  The horizon is two days, or the
 * longest deadline of the plan's rollouts if that is longer.
 */
#ifndef BERTH_ORCHESTRATOR_PLANNING_SKY_H
#define BERTH_ORCHESTRATOR_PLANNING_SKY_H

#include "orchestrator/forecast.h"
#include "orchestrator/learnt.h"
#include "orchestrator/outlook.h"
#include "orchestrator/planning.h"
#include "orchestrator/quota_book.h"
#include "orchestrator/shares.h"

#define PLANNING_HORIZON_MS (48LL * 3600 * 1000)
/* A signed order, as bundles: its lines, and two hybrid signatures of 3.4 kB. */
#define PLANNING_ORDER_BYTES 8192U

struct planning_sky {
    const struct planning *p;
    int64_t now_ms, until_ms;
    struct learnt learnt;
    struct outlook *outlook; /* owned, as is what follows; NULL = the file has no stations */
    struct shares shares;
    struct schedule_taken *taken; /* antennas' times of satellites of other files */
    size_t n_taken;
    struct schedule_job *job;
    bool *ours;
    const struct digest **version; /* that a job brings; views of the plan; NULL = none */
    struct quota_book *book;
    uint32_t n_jobs;
    uint32_t *wave;
    uint32_t *held; /* by satellite: the tenant whose quota holds it back; UINT32_MAX = none */
    struct forecast forecast;
};

/* The long part, which needs no lock: read the files that the fleet file names and find the
 * contacts of the plan's horizon; the plan's hash covers the files from then on.  Does nothing
 * without stations, or if nothing changes.  The codes
 * of outlook_make, and those of the store.  The plan may end before ret, its fleet may not.  End
 * with planning_sky_done (scope cleaner; fine on a zeroed one). */
must_check enum rc planning_sky_look(const struct planning *p, struct store *store, int64_t now_ms,
                                     struct planning_sky *ret, struct err *err);

/* The rest, in the transaction of the plan that is carried out: reserve and fill the contacts that
 * were found, and draw.  p is of the same fleet file.  RC_PLAN_STALE: it needs another horizon than
 * was looked at, since the store has moved on. */
must_check enum rc planning_sky_make(const struct planning *p, struct store *store,
                                     struct planning_sky *sky, struct err *err);

/* Keep what it reserved, for plans to come. */
must_check enum rc planning_sky_keep(const struct planning_sky *sky, struct store *store,
                                     struct err *err);
void planning_sky_done(struct planning_sky *sky);

/* For people, in 80 columns, and for programs (a new reference; null without stations). */
void planning_sky_print(struct cli *cli, const struct planning_sky *sky);
json_t *planning_sky_json(const struct planning_sky *sky);

#endif
