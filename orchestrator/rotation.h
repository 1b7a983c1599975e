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
#include "orchestrator/offline.h"

/* How the documents get their signatures. */
enum rotation_how {
    ROTATION_SIGN,  /* with the keys of the ring */
    ROTATION_ASK,   /* not here: requests are written into dir, and nothing else happens */
    ROTATION_ATTACH /* from the signatures in dir, over the very same documents */
};

struct rotation {
    const struct home *home;
    enum rotation_how how;
    const char *dir;         /* unless ROTATION_SIGN */
    const struct root *root; /* the new one */
    struct trust *trust;     /* holds the new root already, and gets the new grants; unless ASK */
    struct keyring *ring;    /* ROTATION_SIGN: the operator's, as the new root lists them */
    struct keyring *safety;  /* likewise, of the safety role; may be empty: it co-signs orders */
    uint64_t now_ms;
    uint32_t grants; /* signed again, or asked for */
    uint32_t orders;
    size_t satellites; /* the root is queued for */
};

/* Keep the root that trust holds now, and queue it for every satellite. */
must_check enum rc rotation_put_root(struct rotation *r, struct err *err);

/* Sign grants and orders again, queue them, and withdraw what the old keys signed.  RC_PLAN_STALE:
 * what was asked for is not what the store would have signed now. */
must_check enum rc rotation_resign(struct rotation *r, struct err *err);

#endif
