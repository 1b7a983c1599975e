/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/remote_delegate: a delegation that was signed here, given to a ground elsewhere
 * (docs/wire/orders-api.md).  It is made whole on this machine: the ground is asked what it knows
 * only so that what it would refuse is refused before a key is used.
 */
#ifndef BERTH_ORCHESTRATOR_REMOTE_DELEGATE_H
#define BERTH_ORCHESTRATOR_REMOTE_DELEGATE_H

#include "manifest/delegation.h"
#include "orchestrator/cli.h"
#include "orchestrator/remote.h"

/* Whether what a ground says of its trust (GET /v1/trust) takes this delegation by these keys.
 * RC_MISSION, RC_GRANT_MISSING, RC_KEY_UNKNOWN: none of the keys is the tenant's, where the tenant
 * signs itself; RC_VERSION_OLD: it has this epoch, or a later one; RC_API_SERVER, also for an epoch
 * of many years from now, above which nobody should sign because a ground says so.  Pure. */
must_check enum rc remote_delegate_check(unsigned status, struct bytes body,
                                         const struct mission *mission,
                                         const struct delegation *doc,
                                         const struct public_key *const *keys, size_t n_keys,
                                         char ret_fix[REMOTE_FIX_CAP], struct err *err);

/* Ask cli->context, and check. */
must_check enum rc remote_delegate_ask(struct cli *cli, const struct mission *mission,
                                       const struct delegation *doc,
                                       const struct public_key *const *keys, size_t n_keys,
                                       char ret_fix[REMOTE_FIX_CAP], struct err *err);

/* Give it a signed one, and print what it says; returns enum cli_exit. */
int remote_delegate_give(struct cli *cli, struct bytes envelope);

#endif
