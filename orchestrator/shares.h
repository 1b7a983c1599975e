/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/shares: tenants as the scheduler numbers them, with their parts of the uplink by the
 * fleet file.  Pure.
 */
#ifndef BERTH_ORCHESTRATOR_SHARES_H
#define BERTH_ORCHESTRATOR_SHARES_H

#include "orchestrator/fleet.h"
#include "orchestrator/schedule.h"

#define SHARES_MAX (2U * TENANTS_MAX)

struct shares {
    uint32_t n;
    struct schedule_tenant tenant[SHARES_MAX];
    char id[SHARES_MAX][NAME_CAP];
};

/* The index of a tenant, which is given one when it is met first.  One that the file does not list
 * has one share and no quota; "", and who comes when there is no number left, is the operator. */
uint32_t shares_of(struct shares *shares, const struct fleet *fleet, const char *id);

#endif
