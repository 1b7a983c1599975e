/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/rotation: what a new root changes in the store.  When it changes the operator's keys
 * every grant is signed again under the next epoch, and every order that is in force, on its way or
 * held for a rollout under its own generation: on board the counters begin anew (manifest/trust).
 *
 * Called inside the caller's transaction.  The documents come from the store, where they were put
 * after they had been verified.
 */
#ifndef BERTH_ORCHESTRATOR_ROTATION_H
#define BERTH_ORCHESTRATOR_ROTATION_H

#include "orchestrator/home.h"
#include "orchestrator/keys.h"

struct rotation {
    const struct home *home;
    struct trust *trust;  /* holds the new root already, and gets the new grants */
    struct keyring *ring; /* private keys of the operator, as the new root lists them */
    uint64_t now_ms;
    uint32_t grants; /* signed again */
    uint32_t orders;
    uint32_t satellites; /* the root is queued for */
};

/* Keep the root that trust holds now, and queue it for every satellite. */
must_check enum rc rotation_put_root(struct rotation *r, struct err *err);

/* Sign grants and orders again, queue them, and withdraw what the old keys signed. */
must_check enum rc rotation_resign(struct rotation *r, struct err *err);

#endif
