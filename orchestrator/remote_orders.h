/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/remote_orders: commands of a ground elsewhere that need keys of this machine
 * (docs/wire/orders-api.md): plan, apply and rollout undo.  The ground plans and keeps; here each
 * request is looked at (orchestrator/look), shown, signed, and what was signed is given back.
 */
#ifndef BERTH_ORCHESTRATOR_REMOTE_ORDERS_H
#define BERTH_ORCHESTRATOR_REMOTE_ORDERS_H

#include "manifest/doc.h"
#include "orchestrator/asked.h"
#include "orchestrator/cli.h"

/* Run cli->command on cli->context; returns enum cli_exit. */
typedef int remote_orders_run(struct cli *cli);

/* How a command runs there; NULL: it is none of these. */
remote_orders_run *remote_orders_find(const char *command);

/* The mission of the context's root, which must be a root that vouches for itself.  RC_CONTEXT: it
 * names none. */
must_check enum rc remote_mission(const struct context *context, struct mission *ret,
                                  struct err *err);

/* What is posted for a plan: the file (NULL: of an undo) and each that it names, the options of
 * cli; the caller frees *ret_body.  *ret_fleet: what the file says; the caller frees it.
 * RC_CONTEXT_LOCAL: an option that only a home on this machine can have; RC_API_REQUEST: a file
 * without a plain name; and the codes of fleet_load, outlook_read. */
must_check enum rc remote_plan_body(const struct cli *cli, const char *path, char **ret_body,
                                    struct fleet **ret_fleet, struct err *err);

/* Ask until there is an answer or no hope of one, with the same key each time, so that a change is
 * made once.  The codes of fetch_run. */
struct fetch;
struct fetched;
must_check enum rc remote_insist(struct cli *cli, const struct fetch *fetch, struct fetched *ret,
                                 struct err *err);

/* Whether the plan that came is the one that --plan means; all are, without it.  RC_PLAN_STALE. */
must_check enum rc remote_plan_is(const struct cli *cli, const struct asked *asked,
                                  struct err *err);

#endif
