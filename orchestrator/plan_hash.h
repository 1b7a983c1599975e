/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plan_hash: what the hash of a plan covers, and in which form: SHA-256 over records
 * of CBOR.  Pure.  plan_cover and what shows the hash are declared in orchestrator/plan.
 */
#ifndef BERTH_ORCHESTRATOR_PLAN_HASH_H
#define BERTH_ORCHESTRATOR_PLAN_HASH_H

#include "orchestrator/plan.h"

/* Fill in part, basis and hash of a plan that is complete but for them, as plan_cover leaves them
 * for no files of orbits.  RC_NO_MEMORY, RC_CRYPTO. */
must_check enum rc plan_hash(const struct plan_input *in, struct plan *plan, struct err *err);

#endif
