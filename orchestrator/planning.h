/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/planning: a fleet file held against the store: what `berth plan` prints and what
 * `berth apply` carries out are made here, by the same steps.
 */
#ifndef BERTH_ORCHESTRATOR_PLANNING_H
#define BERTH_ORCHESTRATOR_PLANNING_H

#include "orchestrator/cli.h"
#include "orchestrator/cost.h"
#include "orchestrator/home.h"
#include "orchestrator/plan.h"
#include "orchestrator/view.h"

struct planning {
    const char *path;          /* of the fleet file, as given */
    const struct fleet *fleet; /* the caller's */
    struct view *view;         /* owned, as is what follows */
    struct plan_base *bases;
    struct plan *plan;
    uint64_t blocked_by;       /* rollout under way on a satellite that would change; 0 = none */
    char blocked_on[NAME_CAP]; /* that satellite */
    /* A version that would go to a further satellite although one has failed with it. */
    const struct plan_change *failed; /* NULL = none */
    char failed_on[NAME_CAP];
};

/* Read the store and make the plan; inside the caller's transaction, if there is one.  End with
 * planning_done (scope cleaner; fine on a zeroed one). */
must_check enum rc planning_make(struct store *store, const struct fleet *fleet, const char *path,
                                 struct planning *ret, struct err *err);
void planning_done(struct planning *p);

/* Whether the trust lets every version of the plan be ordered: what a satellite would refuse is not
 * signed.  The codes of trust_verify_manifest, naming the version, and of admit_sums. */
must_check enum rc planning_check(const struct planning *p, const struct home *home,
                                  const struct trust *trust, uint64_t now_ms, struct err *err);

/* Whether applying it does anything. */
bool planning_acts(const struct planning *p);

/* Print the difference, the waves, what is sent and what that costs; and the hash, if applying it
 * does anything. */
void planning_print(struct cli *cli, const struct planning *p, const struct cost *cost);
void planning_print_hash(struct cli *cli, const struct planning *p);

/* The same as JSON; a new reference. */
json_t *planning_json(const struct planning *p, const struct cost *cost);

/* What to do about a refusal of fleet_load or planning_make. */
int planning_fail(struct cli *cli, const struct err *err);

#endif
