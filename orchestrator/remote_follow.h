/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/remote_follow: berth events --follow of a ground elsewhere: its stream, printed as
 * the command itself prints, and asked for again where it broke off.
 */
#ifndef BERTH_ORCHESTRATOR_REMOTE_FOLLOW_H
#define BERTH_ORCHESTRATOR_REMOTE_FOLLOW_H

#include "orchestrator/cli.h"
#include "orchestrator/store.h"

/* Follow until it is interrupted, nobody reads, the token ends, or what comes makes no sense;
 * returns enum cli_exit. */
int remote_follow(struct cli *cli);

/* The events of one message's data, all of them or none; the caller frees *ret.  RC_API_SERVER.
 * Pure. */
must_check enum rc remote_follow_parse(struct bytes data, struct store_event **ret, size_t *ret_n,
                                       struct err *err);

#endif
