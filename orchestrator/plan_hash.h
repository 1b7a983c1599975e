/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/plan_hash: what the hash of a plan covers, and in which form: SHA-256 over records
 * of CBOR, those of all satellites and then those of the ones that change.  Pure.  plan_cover and
 * what shows the hash are declared in orchestrator/plan.
 */
#ifndef BERTH_ORCHESTRATOR_PLAN_HASH_H
#define BERTH_ORCHESTRATOR_PLAN_HASH_H

#include "orchestrator/plan.h"

struct plan_hasher;

/* The input outlives it, as do the plan's orders.  RC_NO_MEMORY, RC_CRYPTO. */
must_check enum rc plan_hasher_new(const struct plan_input *in, struct plan_hasher **ret,
                                   struct err *err);
void plan_hasher_free(struct plan_hasher **hasher); /* scope cleaner */

/* Take in what is known of a satellite and whether it only withdraws; each once, in the order of
 * the file.  RC_CRYPTO. */
must_check enum rc plan_hasher_satellite(struct plan_hasher *hasher, uint32_t satellite,
                                         bool withdraws, struct err *err);

/* Fill in part, basis and hash of a plan that is complete but for them, as plan_cover leaves them
 * for no files of orbits.  RC_CRYPTO. */
must_check enum rc plan_hasher_end(struct plan_hasher *hasher, struct plan *plan, struct err *err);

#endif
