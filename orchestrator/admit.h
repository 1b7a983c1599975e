/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/admit: whether what one satellite is to run stays inside the limits of everybody
 * above it, of each team and of the tenant, and inside what the satellite has.  Versions were
 * verified when their packages were pushed; one whose package is not here counts for nothing.
 */
#ifndef BERTH_ORCHESTRATOR_ADMIT_H
#define BERTH_ORCHESTRATOR_ADMIT_H

#include "manifest/trust.h"
#include "orchestrator/fleet.h"
#include "orchestrator/home.h"
#include "orchestrator/sight.h"

/* What one version takes, as its manifest says. */
struct admit_version {
    bool known; /* its package is here */
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
    struct resources limits;
    uint64_t store_bytes; /* of its package, and unpacked */
};

/* What versions were seen to take, so that each package is read once.  All zero is empty. */
struct admit_entry {
    struct digest manifest;
    struct admit_version version;
};
struct admit_known {
    size_t n, cap;
    struct admit_entry *of;
};
void admit_known_done(struct admit_known *known); /* scope cleaner */

/* What a version takes; nothing (known = false) if its package is not here. */
must_check enum rc admit_version(const struct home *home, struct admit_known *known,
                                 const struct digest *manifest, struct admit_version *ret,
                                 struct err *err);

/* RC_OK, or the code with which the satellite would refuse the last of them:
 * RC_DELEGATION_EXCEEDED, RC_GRANT_EXCEEDED, RC_DELEGATION_MISSING. */
must_check enum rc admit_sums(const struct home *home, struct admit_known *known,
                              const struct trust *trust, const struct want *order, struct err *err);

/* Whether all that the order has run together fits into what the satellite has.  RC_NO_SPACE, which
 * says of what there is too little, how much is ordered and how much there is. */
must_check enum rc admit_capacity(const struct home *home, struct admit_known *known,
                                  const struct want *order, const struct fleet_satellite *satellite,
                                  struct err *err);

/* What a team and its teams use by an order ("" = the tenant in all), and by how many payloads. */
struct admit_use {
    struct resources total;
    uint32_t payloads;
};
must_check enum rc admit_used(const struct home *home, struct admit_known *known,
                              const struct want *order, const char *tenant, const char *team,
                              struct admit_use *ret, struct err *err);

#endif
