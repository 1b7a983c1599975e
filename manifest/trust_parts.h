/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/trust_parts: what the files behind manifest/trust share, one file per type of document.
 * Nobody else includes it: whoever holds these pieces could make verified things from unverified
 * bytes.  Every envelope here comes from outside and is hostile until trust_vouch said RC_OK.
 */
#ifndef BERTH_MANIFEST_TRUST_PARTS_H
#define BERTH_MANIFEST_TRUST_PARTS_H

#include "manifest/delegation.h"
#include "manifest/envelope.h"
#include "manifest/trust.h"

/* An envelope that was verified, copied, and the digest of its payload: the identity of a document
 * is that of its payload, since signatures may be added. */
struct kept {
    uint8_t *p;
    size_t n;
    struct digest payload;
};

struct held_grant {
    struct kept kept;
    struct grant doc;
    bool waning; /* a revoked key signed it, with REVOKE_KEEP: good for what runs already */
};

/* A grant that was held and has got lost. */
struct expected_grant {
    char tenant[NAME_CAP];
    uint64_t epoch;
    struct digest payload;
};

struct verified_order {
    struct order doc;
    struct digest digest;
    struct digest384 digest384;
    bool held;     /* in force already when it was verified */
    bool waits;    /* for its token */
    bool cosigned; /* by the safety role: the order, or the token that let it take effect */
};

/* A team: the newest delegation for it, and a withdrawal if that is newer still.  What does not
 * count any more is held for its epoch. */
struct held_team {
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
    struct kept kept; /* empty: only the withdrawal counts */
    struct delegation doc;
    struct kept withdrawal_kept;
    struct {
        uint64_t epoch; /* 0: it was not */
        uint64_t issued_ms;
        enum revoke_policy policy;
    } withdrawn;
    bool vouched; /* the parent's keys of now signed doc */
    bool waning;  /* one of them has been revoked, with REVOKE_KEEP */
    bool lapsed;  /* it has been seen to expire: it stays so, wherever the clock goes */
    bool unsaved;
};

struct trust {
    struct kept root_kept;
    struct root root;
    uint64_t floor_ms;  /* the latest time in any document taken, moving with monotonic time */
    uint64_t anchor_ms; /* the same of what the root role signed: what the floor may run ahead of */
    struct revoked_set revoked;
    size_t n_grants;
    struct held_grant *grant[TENANTS_MAX];
    size_t n_expected;
    struct expected_grant expected[TENANTS_MAX];
    size_t n_expected_teams;
    struct team_mark expected_team[TEAMS_HELD_MAX];
    size_t n_teams;
    struct held_team *team[TEAMS_HELD_MAX]; /* by tenant, then path: a parent before its teams */
};

/* Copy an envelope whose payload was verified.  Free with trust_kept_done (a scope cleaner). */
must_check enum rc trust_kept_init(struct kept *ret, struct bytes envelope, struct bytes payload,
                                   struct err *err);
void trust_kept_done(struct kept *kept);
bool trust_same_payload(const struct kept *a, const struct kept *b);

/* Have a role's keys vouch for an envelope: those that were revoked, with a policy beyond what is
 * tolerated, are no keys of the role any more.  RC_KEY_REVOKED: it would have done with them; and
 * those of envelope_verify. */
must_check enum rc trust_vouch(const struct trust *trust, const struct envelope *e,
                               enum doc_type type, const struct key_set *keys,
                               enum revoke_policy tolerated, struct err *err);

/* What the revocations say of something that these keys vouched for before. */
enum revoke_policy trust_judge(const struct trust *trust, const struct envelope *e,
                               enum doc_type type, const struct key_set *keys);

/* Open an envelope and have a role's keys vouch for it; nothing of the payload is read. */
must_check enum rc trust_open_verified(const struct trust *trust, struct bytes bytes,
                                       enum doc_type type, const struct key_set *keys,
                                       struct envelope *ret, struct err *err);

/* Whether the safety role's threshold signed too.  A fault in the name of one of its keys is one of
 * the whole envelope, needed or not. */
must_check enum rc trust_cosigned(const struct trust *trust, const struct envelope *e,
                                  enum doc_type type, enum revoke_policy tolerated, bool *ret,
                                  struct err *err);

/* RC_SAFETY_MISSING: a line's tenant asks for it, and it is not there. */
must_check enum rc trust_check_safety(const struct trust *trust, const struct order *order,
                                      bool cosigned, struct err *err);

/* For what the root role did not sign: RC_TIME_JUMP beyond the ceiling.  Measured from the root's
 * word and not from the floor, so that no chain of documents, each a little later, walks time to
 * its end. */
must_check enum rc trust_check_issued(const struct trust *trust, uint64_t issued_ms,
                                      struct err *err);

/* The same for what the operator signs (RC_ISSUED_BEFORE: before its keys changed); what is held
 * already was not too late when it came. */
must_check enum rc trust_check_operator_issued(const struct trust *trust, uint64_t issued_ms,
                                               bool held, struct err *err);

/* Whether what the operators sign must name things in SHA-384, too: a key of theirs is of a suite
 * that asks for it, or one of the safety role where that signed as well. */
bool trust_orders_want_384(const struct trust *trust, bool cosigned);

bool trust_is_expired(const struct trust *trust, uint64_t expires_ms, uint64_t now_ms);

/* The root role says that it is this late. */
void trust_raise_anchor(struct trust *trust, uint64_t issued_ms);

/* Where a tenant's grant is; trust->n_grants if there is none. */
size_t trust_grant_index(const struct trust *trust, const char *tenant);
void trust_held_grant_free(struct held_grant **g);

void trust_held_team_free(struct held_team **t);

/* After a change of the grants, of one tenant or (NULL) of all: ask again who vouches for its
 * delegations, and forget those that began anew above them made void. */
void trust_refresh_teams(struct trust *trust, const char *tenant);

/* Whether what was signed for a team then is void: a team above it was withdrawn since, or somebody
 * above began anew. */
bool trust_team_void(const struct trust *trust, const char *tenant, const char *team,
                     uint64_t issued_ms);

bool trust_holds_team(const struct trust *trust, const char *tenant, const char *team);

void trust_unexpect_team(struct trust *trust, const char *tenant, const char *team);

/* Let go of what is lost and void by now. */
void trust_refresh_expected_teams(struct trust *trust);

/* Those that expire by the clock of now stay so. */
void trust_lapse_teams(struct trust *trust, uint64_t now_ms);

/* Everybody from the tenant to the team, each in force: RC_GRANT_MISSING, RC_GRANT_REVOKED,
 * RC_KEY_REVOKED, RC_EXPIRED, RC_DELEGATION_MISSING, RC_DELEGATION_WITHDRAWN, and those of
 * delegation_fits.  With REVOKE_KEEP tolerated: what was revoked or withdrawn so, and what does not
 * fit into a parent that has shrunk, still stands. */
must_check enum rc trust_chain(const struct trust *trust, const char *tenant, const char *team,
                               uint64_t now_ms, enum revoke_policy tolerated, struct chain *ret,
                               struct err *err);

/* The keys of a team, or of the tenant itself, whether they count or not; NULL if none are known.
 */
const struct key_set *trust_team_keys(const struct trust *trust, const char *tenant,
                                      const char *team);

/* The strictest policy with which the team or one above it was withdrawn. */
enum revoke_policy trust_team_withdrawn(const struct trust *trust, const char *tenant,
                                        const char *team);

/* After a new root or a revocation: drop the grants that the keys left did not sign. */
void trust_drop_orphaned_grants(struct trust *trust);

#endif
