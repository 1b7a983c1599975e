/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/describe: documents as JSON, for people to look at.  Nothing here is verified and
 * nothing that was described may be believed for it; text from documents goes through json_safe.
 */
#ifndef BERTH_ORCHESTRATOR_DESCRIBE_H
#define BERTH_ORCHESTRATOR_DESCRIBE_H

#include "link/bundle.h"
#include "manifest/delegation.h"
#include "manifest/envelope.h"
#include "manifest/rekey.h"
#include "manifest/revocation.h"
#include "manifest/token.h"
#include "orchestrator/json.h"

/* Fields of one document; the caller owns the reference. */
json_t *describe_root(const struct root *doc);
json_t *describe_grant(const struct grant *doc);
json_t *describe_manifest(const struct manifest *doc);
json_t *describe_order(const struct order *doc);
json_t *describe_delegation(const struct delegation *doc);
json_t *describe_revocation(const struct revocation *doc);
json_t *describe_rekey(const struct rekey *doc);
json_t *describe_token(const struct token *doc);
json_t *describe_report(const struct report *doc);

/* Parts of them.  What is the default is left out; "may", "wants" and "life" as a whole if all of
 * it is. */
json_t *describe_resources(const struct resources *r);
void describe_allowance(json_t *to, const struct allowance *may);
void describe_wants(json_t *to, const struct manifest *m);

/* Which agent speaks; null if it does not say. */
json_t *describe_agent(const struct report_agent *agent);
json_t *describe_usage(const struct report *report); /* an array, one object for each tenant */
json_t *describe_spool(const struct report *report); /* the same, of who found no room in a spool */
json_t *describe_scrub(const struct report_scrub *scrub);

/* What the link has cost and brought; null when nothing is said of it. */
json_t *describe_traffic(const struct report_traffic *traffic);
json_t *describe_bundle(const struct bundle *bundle);

/* The ids of the keys that claim to have signed, each once. */
json_t *describe_signers(const struct envelope *envelope);

/* Find out which type a document is by decoding it; "kind" names it.  NULL, and err filled, when it
 * is none. */
json_t *describe_document(struct bytes payload, struct err *err);

#endif
