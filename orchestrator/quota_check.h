/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/quota_check: a plan held against the quotas of its fleet file: what is asked of each
 * on each satellite, and of the uplink on each day.
 *
 * Bytes that are planned for passes count on the day of their pass.  Without stations nobody knows
 * the day: then all of them may go today, beside what waits already, and must fit into what is left
 * of it.
 */
#ifndef BERTH_ORCHESTRATOR_QUOTA_CHECK_H
#define BERTH_ORCHESTRATOR_QUOTA_CHECK_H

#include "orchestrator/planning_sky.h"

#define QUOTA_NOWHERE UINT32_MAX

struct quota_verdict {
    const struct fleet_quota *quota; /* the fleet file's */
    enum fleet_bound bound;
    uint32_t satellite; /* of the file; QUOTA_NOWHERE: of all together, on a day */
    uint64_t day;       /* since 1970 */
    uint64_t asked;     /* by what is ordered there; or sent, waiting and planned */
    bool changes;       /* the plan asks for it; else it was ordered before */
};

struct quota_verdicts {
    const struct planning *p;
    size_t n;
    struct quota_verdict *of;
};

/* Find them; p, and the fleet file, must outlive *ret.  End with quota_verdicts_done (scope
 * cleaner; fine on a zeroed one). */
must_check enum rc quota_verdicts_make(const struct planning *p, const struct planning_sky *sky,
                                       const struct home *home, uint64_t now_ms,
                                       struct quota_verdicts *ret, struct err *err);
void quota_verdicts_done(struct quota_verdicts *v);

/* RC_QUOTA if the plan asks for more than a quota: file, line, whose, what, where, how much. */
must_check enum rc quota_verdicts_refuse(const struct quota_verdicts *v, struct err *err);

/* The tightest of each quota, for people; all of them, for programs (a new reference). */
void quota_verdicts_print(struct cli *cli, const struct quota_verdicts *v);
json_t *quota_verdicts_json(const struct quota_verdicts *v);

#endif
