/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_plan: orders from elsewhere (docs/wire/orders-api.md): a plan with the requests
 * that its orders are signed by, what was signed, and delegations of tenants.
 *
 * Each is the command that the person at the ground would type, with the files that came in a
 * directory of orchestrator/plans.  No private key is read here.
 */
#ifndef BERTH_ORCHESTRATOR_API_PLAN_H
#define BERTH_ORCHESTRATOR_API_PLAN_H

#include "orchestrator/api_run.h"

/* The most bytes of body that this route takes. */
size_t api_plan_room(const struct api_route *route);

/* Answer it; one after the other. */
struct api_answer api_plan(struct api_runner *runner, const struct api_request *request,
                           const struct api_call *call, const struct acting *who);

#endif
