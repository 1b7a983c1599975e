/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/recorded: what the trust held, kept in the agent's own state, and what that is good for
 * when the trust is lost.
 *
 * The record names root, grants and revocations by version and digest, and for each committed
 * version the digest of its envelope as long as the trust allows it to run.  It is written after
 * every change of the trust, in both copies of the state.  At a start it says what must be there:
 *
 * - The root is missing, damaged or older than recorded: safe mode.  Nothing new is taken; what is
 *   recorded as allowed to run goes on, within the grant, its expiry and the revocations recorded;
 *   every report says so.  The way out is the recorded root itself, byte for byte in its payload.
 * - A grant is missing or older: the same for this tenant alone, until the ground has sent it
 *   again.  One below the recorded epoch is refused.
 * - A delegation is missing or older: the same for this team, and those inside it, alone.
 * - Revocations are missing or fewer: they are put back from the record.
 *
 * So whoever deletes or damages files of trust/ stops what is new and nothing else; what was
 * denied, expired or revoked before stays so.  The record is no better than the state it is in:
 * if that is lost too, nothing runs that cannot be verified.
 */
#ifndef BERTH_AGENT_RECORDED_H
#define BERTH_AGENT_RECORDED_H

#include "agent/agent.h"

/* A committed version whose keys cannot be asked at present.  Made by recorded_vouch only, from the
 * state and its slot; never from anything that has just come. */
struct recorded_manifest;

/* Whether the record stands in for this tenant's grant, or for the delegation of this team of it or
 * one above ("" = none): there is no root, or one of them is lost. */
bool recorded_stands_in(const struct agent *a, const char *tenant, const char *team);

/* Make one of what a slot holds: the envelope that the trust allowed when it was recorded, of the
 * version that committed last, under a grant that has not expired or been revoked since.
 * RC_SAFE_MODE: nothing vouches for it. */
must_check enum rc recorded_vouch(const struct agent *a, const struct unit_record *unit,
                                  struct bytes envelope, struct recorded_manifest **ret,
                                  struct err *err);
void recorded_free(struct recorded_manifest **m); /* a scope cleaner */
const struct manifest *recorded_manifest_get(const struct recorded_manifest *m);
const struct digest *recorded_manifest_digest(const struct recorded_manifest *m);

/* What the tenant may use together, as a grant without keys. */
const struct grant *recorded_grant_get(const struct recorded_manifest *m);

/* Everybody whose limits count for it, the tenant first, by the record. */
void recorded_chain(const struct agent *a, const struct recorded_manifest *m, struct chain *ret);

/* Whether what is recorded of the tenant, and of the team of it ("" = none), still lets anything
 * run: RC_OK, RC_GRANT_MISSING, RC_EXPIRED, RC_GRANT_REVOKED, RC_DELEGATION_MISSING,
 * RC_DELEGATION_WITHDRAWN, RC_KEY_REVOKED: of who signed for the team, as far as the trust still
 * knows them. */
must_check enum rc recorded_valid(const struct agent *a, const char *tenant, const char *team,
                                  uint64_t now_ms);

/* So much time has passed, without a trust that would keep it. */
void recorded_pass(struct agent *a, uint64_t elapsed_ms, uint64_t now_ms);

/* What of the recorded delegations has expired stays so, whatever the clock shows next. */
void recorded_lapse(struct agent *a, uint64_t now_ms);

/* Tell a trust that is being loaded which grants it must find, and then which delegations.  Before
 * they are put back. */
void recorded_expect(const struct agent *a, struct trust *trust);
void recorded_expect_teams(const struct agent *a, struct trust *trust);

/* RC_OK: this root is no older than the one recorded, and not another one. */
must_check enum rc recorded_check_root(const struct agent *a, const struct trust *trust,
                                       struct err *err);

/* There is no root although one was recorded. */
void recorded_enter(struct agent *a, const struct err *why);

/* The recorded root, come again over the link: take it back, and all that it verifies.  RC_ROOT_GAP
 * for one that follows it: keep it.  RC_SAFE_MODE for anything else. */
must_check enum rc recorded_take_root(struct agent *a, struct bytes envelope, struct err *err);

#endif
