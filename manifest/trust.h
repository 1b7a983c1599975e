/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/trust: who may be believed, and the only makers of the types that later steps take.
 *
 * A struct trust holds the verified root and grants; it does no I/O: bytes come in as arguments and
 * what must be kept (the envelopes themselves, the highest numbers seen) goes out through getters.
 * With no root everything is refused: a NULL trust is RC_TRUST_MISSING to every function that takes
 * a document, and holds nothing to trust_root and trust_grant.  Every function that refuses leaves
 * the trust as it was.
 *
 * Time: `now_ms` arguments are Unix time from a clock that may be wrong.  The trust keeps a floor,
 * the latest time in any document taken, and an anchor, the latest time that the root role has
 * signed; both go on with monotonic time and never back.  Nothing but the root's word is believed
 * beyond anchor + TRUST_AHEAD_MAX_MS: operator's documents issued later are RC_TIME_JUMP, a clock
 * that shows more is not looked at.  Expiry is judged by the floor and, within that bound, the
 * clock.  So a satellite without a clock, and switched off for five years in all, needs one
 * document of the root role (a revocation without entries will do).
 *
 * Revocation: keys that the root role has revoked count towards no threshold, of whatever document
 * and whenever it was taken.
 */
#ifndef BERTH_MANIFEST_TRUST_H
#define BERTH_MANIFEST_TRUST_H

#include "manifest/delegation.h"
#include "manifest/doc.h"
#include "manifest/rekey.h"
#include "manifest/revocation.h"
#include "manifest/token.h"

#define TRUST_AHEAD_MAX_MS (5ULL * 366 * 24 * 3600 * 1000) /* five years */
#define TRUST_CLOCK_SLACK_MS (24ULL * 3600 * 1000) /* a clock this far behind the floor is told */

struct trust;             /* opaque; owns copies of root and grants */
struct verified_manifest; /* opaque; exists only after the tenant's signatures held */
struct verified_order;    /* opaque; exists only after the operator's signatures held */
struct verified_token;    /* opaque; likewise */
struct verified_rekey;    /* opaque; the same */

/* Start from the root envelope that was put on board at provisioning.  It must be signed by its own
 * threshold. Empty input is RC_TRUST_MISSING.  Free with trust_free (takes the address, a scope
 * cleaner). */
must_check enum rc trust_new(struct bytes root_envelope, struct trust **ret, struct err *err);
void trust_free(struct trust **trust);

/* What the next root did to trust. */
struct root_change {
    bool taken;          /* false: it is the one held already, nothing has changed */
    bool recovered;      /* the committed keys alone signed it: tell RC_ROOT_RECOVERED */
    bool operator_reset; /* the operator role began anew: counters that its documents had raised
                            start again, and what was issued before is void */
};

/* Replace the root by the next: same mission, version exactly one higher, its root keys are those
 * that the root held committed to, and their threshold signed it.  That alone is a recovery; with
 * the threshold of the keys of the root held it is a rotation.  RC_MISSION, RC_VERSION_OLD,
 * RC_ROOT_GAP (keep it until those before it came), RC_ROOT_COMMITMENT, and those of
 * the envelope.  The very root that is held is RC_OK and changes nothing; the same version with
 * other content, signed by the keys held, is RC_EQUIVOCATION.  A root may be expired already, so
 * that a chain of roots can be walked at any later time.
 *
 * A root that changes the operator's keys sets operator_since_ms to its own issued_ms (RC_VALUE);
 * one that does not may do so too. Grants issued before that, and such as the operator keys did not
 * sign, are dropped, as if they had never come: what a stolen operator key pushed too high is
 * forgotten with the key.  *ret may be NULL. */
must_check enum rc trust_next_root(struct trust *trust, struct bytes envelope,
                                   struct root_change *ret, struct err *err);

/* Take a grant: signed by the operator role, epoch above the one held.  The same epoch with the
 * same content is RC_OK, with other content RC_EQUIVOCATION; a lower one RC_GRANT_OLD.  A grant
 * that has expired (or came under an expired root) does not replace one that is held (RC_EXPIRED),
 * but the first one for a tenant is taken, so that an expired grant put back at start still holds
 * its epoch; it verifies no manifest. At most TENANTS_MAX tenants (RC_NO_ROOM). */
must_check enum rc trust_add_grant(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                                   struct err *err);

/* The same for a grant that was held before: RC_EXPIRED, RC_GRANT_REVOKED or a key revoked with
 * REVOKE_KEEP do not keep it out, it holds its epoch and what runs under it. */
must_check enum rc trust_restore_grant(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                                       struct err *err);

/* A grant of this epoch and payload (SHA-256) was held and has got lost: until one comes that is
 * not older, or is that very one, or the operator role begins anew, none is held for the tenant.
 * RC_GRANT_OLD and RC_EQUIVOCATION as if it were there.  trust_unexpect_grant: it is not lost. */
void trust_expect_grant(struct trust *trust, const char *tenant, uint64_t epoch,
                        const struct digest *payload);
void trust_unexpect_grant(struct trust *trust, const char *tenant);
bool trust_expects_grant(const struct trust *trust, const char *tenant);

/* What a delegation did to trust. */
struct team_change {
    bool taken;     /* false: it is the one held already, nothing has changed */
    bool withdrawn; /* the team is one no longer: what it runs goes by the policy */
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
    uint64_t epoch;
};

/* Take a delegation or a withdrawal: signed by its parent's threshold, the parent in force up to
 * the grant (its codes, see trust_chain's; RC_GRANT_MISSING and RC_DELEGATION_MISSING: keep it
 * until the parent came), inside the parent's limits, epoch above the one held
 * (RC_DELEGATION_OLD, RC_EQUIVOCATION), issued since the parent's teams began (RC_ISSUED_BEFORE),
 * not expired, its teams_since_ms not before that of the one held, nor before a withdrawal
 * (RC_VALUE).  RC_NO_ROOM beyond TEAMS_MAX of one tenant.  A withdrawal needs of its parent only
 * the keys.  *ret may be NULL.  Does not raise the time floor: a tenant must not age what others
 * have. */
must_check enum rc trust_add_delegation(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                                        struct team_change *ret, struct err *err);

/* What is held of a team, for the caller to persist and to show; views that live until the next
 * change of the trust. */
struct team_view {
    const char *tenant;
    const char *team;
    uint64_t epoch;               /* the highest */
    const struct delegation *doc; /* NULL: there is only a withdrawal */
    enum revoke_policy withdrawn;
    struct team_mark mark;
    struct bytes delegation; /* envelopes; empty: none */
    struct bytes withdrawal;
    bool lapsed;
    bool unsaved; /* changed since trust_team_saved */
};
size_t trust_teams(const struct trust *trust);
struct team_view trust_team(const struct trust *trust, size_t i);
void trust_team_saved(struct trust *trust, size_t i);

/* Put back what was held, after the revocations and the grants, parents first.  A delegation that
 * nobody vouches for now is held for its epoch.  RC_ISSUED_BEFORE: void, forget it. */
must_check enum rc trust_restore_team(struct trust *trust, struct bytes delegation,
                                      struct bytes withdrawal, bool lapsed, struct err *err);

/* This was the newest for a team and has got lost: until one comes that is not older, or is that
 * very one, none is held for the team and its own.  RC_DELEGATION_OLD and RC_EQUIVOCATION as if it
 * were there.  The very one is taken back even if it does not fit or has expired by now; it only
 * counts for what it counted for.  Passed over if the team is held, or it would be void. */
void trust_expect_team(struct trust *trust, const struct team_mark *mark);

/* What has got lost of this very team; NULL if nothing has. */
const struct team_mark *trust_expected_team(const struct trust *trust, const char *tenant,
                                            const char *team);

/* Whether the delegation of a team, or of one above it, has got lost. */
bool trust_expects_team(const struct trust *trust, const char *tenant, const char *team);

/* Everybody whose limits count for a payload of this team under a grant, the tenant first, whether
 * they are in force or not.  RC_DELEGATION_MISSING: *ret has those above the one that is not known.
 * Views, as of trust_grant. */
must_check enum rc trust_authorities(const struct trust *trust, const struct grant *grant,
                                     const char *team, struct chain *ret, struct err *err);

/* Take a revocation: signed by the root role, its number above that of the newest one under this
 * root (RC_VERSION_OLD, RC_EQUIVOCATION; the newest again is RC_OK and not taken).  Its entries are
 * added for good; grants that the keys that are left did not sign are dropped.  RC_NO_ROOM. */
must_check enum rc trust_add_revocation(struct trust *trust, struct bytes envelope, bool *ret_taken,
                                        struct err *err);

/* All that is revoked, for the caller to persist, and to give back before the grants at start. */
const struct revoked_set *trust_revoked(const struct trust *trust);
void trust_restore_revoked(struct trust *trust, const struct revoked_set *set);

/* What the revocations say of a version or an order that was verified before.  For a version: what
 * names it and the keys that signed it; whether its grant still stands is for trust_verify_*.  For
 * an order: the keys that signed it, and those that signed the token which put it into force (empty
 * = none did). */
enum revoke_policy trust_judge_manifest(const struct trust *trust, struct bytes envelope);
enum revoke_policy trust_judge_order(const struct trust *trust, struct bytes envelope,
                                     struct bytes token);

/* Views that live as long as the trust and until the next change of it; NULL if there is none. */
const struct root *trust_root(const struct trust *trust);
const struct grant *trust_grant(const struct trust *trust, const char *tenant);
size_t trust_grants(const struct trust *trust, const struct grant **ret, size_t cap);

/* Whether what runs for a tenant, or for a team of it ("" = none), still has somebody to answer for
 * it: RC_OK, RC_GRANT_MISSING, RC_DELEGATION_MISSING, RC_DELEGATION_WITHDRAWN, RC_EXPIRED. */
must_check enum rc trust_still_valid(const struct trust *trust, const char *tenant,
                                     const char *team, uint64_t now_ms);

/* The envelopes they came in, for the caller to persist; same lifetime; empty if there is none. */
struct bytes trust_root_envelope(const struct trust *trust);
struct bytes trust_grant_envelope(const struct trust *trust, const char *tenant);

/* SHA-256 over their payloads: what they are, however many signatures they carry; same lifetime;
 * NULL if there is none. */
const struct digest *trust_root_digest(const struct trust *trust);
const struct digest *trust_grant_digest(const struct trust *trust, const char *tenant);

/* Verify a manifest: the payload names its tenant, and a team of it if one signs, so these are read
 * from the bytes only to choose grant or delegation, and nothing else is read before the signatures
 * of those keys, and no others, hold.  Then: everybody from the tenant down to the team in force,
 * manifest inside the limits of each.  RC_DIGEST_WEAK: one of those keys is of a
 * suite that asks for SHA-384 and the content has none.  manifest_digest is SHA-256 over the
 * payload. */
must_check enum rc trust_verify_manifest(const struct trust *trust, struct bytes envelope,
                                         uint64_t now_ms, struct verified_manifest **ret,
                                         struct err *err);
/* The same for a version that has committed on this satellite: what is revoked with REVOKE_KEEP
 * still vouches for it. */
must_check enum rc trust_verify_running(const struct trust *trust, struct bytes envelope,
                                        uint64_t now_ms, struct verified_manifest **ret,
                                        struct err *err);

void verified_manifest_free(struct verified_manifest **m);
const struct manifest *verified_manifest_get(const struct verified_manifest *m);
const struct digest *verified_manifest_digest(const struct verified_manifest *m);
const struct digest384 *verified_manifest_digest384(const struct verified_manifest *m);

/* Whether this line of a verified order names this manifest: by both digests where it has both. */
bool order_line_names(const struct order_line *line, const struct verified_manifest *m);

/* Where a satellite stands when an order comes in. */
struct order_position {
    const char *satellite;
    uint64_t generation;         /* in force, 0 = none */
    const struct digest *digest; /* SHA-256 of the payload in force; NULL if there is none */
    uint64_t issued_ms;          /* of the order in force: it counts for nothing if the operator
                                    role has begun anew since */
    uint64_t staged;             /* the order that waits for its token, 0 = none */
    const struct digest *staged_digest; /* SHA-256 of its payload; NULL if there is none */
};

/* Whether the order in force still holds its number under this root. */
bool trust_position_counts(const struct trust *trust, const struct order_position *position);

/* Verify an order for this satellite: signed by the operator role; a generation below the one in
 * force is RC_ORDER_OLD, the same generation with other content RC_EQUIVOCATION, with the same
 * content RC_OK; another satellite's is RC_ORDER_TARGET; one issued before the operator role began
 * anew RC_ISSUED_BEFORE; one whose lines lack the SHA-384 that a suite
 * of the operator's keys asks for RC_DIGEST_WEAK.  Expiry (of the order and of the root)
 * counts only for a generation that is not yet in force.  Raises the time floor.
 *
 * The same holds against the order that waits for its token: nothing below it is taken, whatever
 * came later replaces it.
 *
 * If the grant of a tenant that the order names asks for the safety role, its threshold must have
 * signed too, or RC_SAFETY_MISSING (as it is if the root names no such role).  What puts a staged
 * order into force is its token: there it counts on the token.  Not asked again of what is in force
 * already. */
must_check enum rc trust_verify_order(struct trust *trust, struct bytes envelope,
                                      const struct order_position *position, uint64_t now_ms,
                                      struct verified_order **ret, struct err *err);
void verified_order_free(struct verified_order **o);
const struct order *verified_order_get(const struct verified_order *o);
const struct digest *verified_order_digest(const struct verified_order *o);

/* Whether it must not take effect yet: it is staged, and no token has been shown. */
bool verified_order_waits(const struct verified_order *o);

/* Whether the safety role signed what puts it into force.  A grant may begin to ask for that while
 * the order lies on board already. */
bool verified_order_cosigned(const struct verified_order *o);

/* The first tenant of the order whose grant asks for the safety role; NULL if none does. */
const char *trust_needs_safety(const struct trust *trust, const struct order *order);

/* Verify a token for this satellite: signed by the operator role, not issued before it began anew
 * (RC_ISSUED_BEFORE), not expired, for the very order that waits (RC_TOKEN_TARGET: for another
 * satellite, for an order that was replaced, for other content).  RC_TOKEN_EARLY: its order has not
 * come yet, keep it.  One for the order in force is RC_OK whatever the time is: it is in force.
 * Raises the time floor. */
must_check enum rc trust_verify_token(struct trust *trust, struct bytes envelope,
                                      const struct order_position *position, uint64_t now_ms,
                                      struct verified_token **ret, struct err *err);
void verified_token_free(struct verified_token **t);
const struct token *verified_token_get(const struct verified_token *t);

/* Let a staged order take effect.  RC_TOKEN_TARGET: it names another one; RC_SAFETY_MISSING. */
must_check enum rc trust_activate(const struct trust *trust, struct verified_order *order,
                                  const struct verified_token *token, struct err *err);

/* Where a satellite stands when a rekey comes in. */
struct rekey_position {
    const char *satellite;
    uint64_t number;             /* of the newest rekey taken, 0 = none */
    const struct digest *digest; /* SHA-256 of its payload; NULL if there is none */
    uint64_t issued_ms;          /* of it: it counts for nothing if the operator role has begun anew
                                    since */
};

/* Verify a rekey for this satellite: signed by the operator role.  Another satellite's is
 * RC_ORDER_TARGET; a number below the newest one taken RC_REKEY_OLD, the same with other content
 * RC_EQUIVOCATION, with the same content RC_OK: it is held already; one issued before the operator
 * role began anew RC_ISSUED_BEFORE; RC_EXPIRED under an expired root.  Raises the time floor.
 * Nothing of it has been opened yet: see rekey_open. */
must_check enum rc trust_verify_rekey(struct trust *trust, struct bytes envelope,
                                      const struct rekey_position *position, uint64_t now_ms,
                                      struct verified_rekey **ret, struct err *err);
void verified_rekey_free(struct verified_rekey **r);
const struct rekey *verified_rekey_get(const struct verified_rekey *r);
const struct digest *verified_rekey_digest(const struct verified_rekey *r);

/* Floor and anchor, Unix ms. */
uint64_t trust_time_floor(const struct trust *trust);
uint64_t trust_time_anchor(const struct trust *trust);

/* So much time has passed, by a clock that nobody can set. */
void trust_pass(struct trust *trust, uint64_t elapsed_ms);

enum trust_clock {
    TRUST_CLOCK_GOOD,
    TRUST_CLOCK_BEHIND, /* before the floor */
    TRUST_CLOCK_AHEAD,  /* past the bound: not believed */
};

/* Look at the clock, now and then.  What it has expired stays expired (the floor rises to that
 * expiry, never to the clock itself), so stepping back revives nothing; and a clock that was ahead
 * by mistake has cost nothing but that. */
enum trust_clock trust_observe(struct trust *trust, uint64_t now_ms);

/* What time it is, as far as is believed. */
uint64_t trust_time(const struct trust *trust, uint64_t now_ms);

/* The same for who has kept floor and anchor, and holds no trust. */
uint64_t trust_time_by(uint64_t floor_ms, uint64_t anchor_ms, uint64_t now_ms);

/* How many of the documents held have expired by now.  When it changes, the floor is worth saving:
 * after a restart with a clock that is behind they must be expired still. */
uint32_t trust_expired(const struct trust *trust, uint64_t now_ms);

void trust_raise_floor(struct trust *trust, uint64_t floor_ms);

/* Floor and anchor as they were kept over a restart; neither goes back by that. */
void trust_restore_time(struct trust *trust, uint64_t floor_ms, uint64_t anchor_ms);

#endif
