/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/delegation: what a tenant passes on to a team, and a team to a team of its own: names
 * below a prefix, smaller limits, until a time.  Signed by whoever passes it on, offline, without
 * the operator: the tenant's keys in its grant, or the keys of the team one level up.
 *
 * A team is a path of names, "flight/cam" being a team of "flight".  Its parent is the path without
 * the last name, so a circle of teams has no name.  The wire form comes off the link and is read
 * strictly; who may be believed is manifest/trust's business.
 */
#ifndef BERTH_MANIFEST_DELEGATION_H
#define BERTH_MANIFEST_DELEGATION_H

#include "manifest/doc.h"
#include "manifest/revocation.h"

#define TEAMS_HELD_MAX (TENANTS_MAX * TEAMS_MAX) /* that one satellite keeps */

struct delegation {
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
    uint64_t epoch; /* rises with every delegation and withdrawal for this team */
    uint64_t issued_ms;
    enum revoke_policy withdrawn; /* REVOKE_NONE: in force.  Else the team is one no longer, its
                                     running versions go by this policy, and nothing below is set */
    uint64_t expires_ms;          /* 0 = never */
    struct key_set keys;
    char prefix[NAME_CAP];  /* payload names, as in a grant, inside the parent's */
    struct resources total; /* sums over the payloads of the team and its teams */
    uint64_t store_bytes;
    uint32_t payloads_max;
    uint64_t
        teams_since_ms;   /* at most issued_ms: its own teams begin anew here, what was signed for
                             them before is void and their epochs are forgotten; 0 = never yet */
    struct allowance may; /* what else the payloads may ask for, inside the parent's */
};

/* Which delegation or withdrawal was the newest for a team: what must be remembered of it although
 * it is not there. */
struct team_mark {
    char tenant[NAME_CAP];
    char team[TEAM_CAP];
    uint64_t epoch;
    struct digest payload; /* SHA-256 of it */
    uint64_t issued_ms;
    uint64_t since_ms; /* what begins its own teams anew may not go behind this */
    bool lapsed;       /* it has been seen to expire */
};

must_check enum rc delegation_decode(struct bytes in, struct delegation *ret, struct err *err);
must_check enum rc delegation_check(const struct delegation *doc, struct err *err);
must_check enum rc delegation_encode(const struct delegation *doc, uint8_t *buf, size_t cap,
                                     struct bytes *ret, struct err *err);

/* Tenant and team of a delegation, read from bytes that nobody has vouched for yet, to know whose
 * keys to ask: the first item after the type, at most some 200 bytes. */
must_check enum rc delegation_peek(struct bytes payload, char tenant[NAME_CAP], char team[TEAM_CAP],
                                   struct err *err);

/* The same for a manifest; *team is "" if the tenant itself signs. */
must_check enum rc manifest_peek(struct bytes payload, char tenant[NAME_CAP], char team[TEAM_CAP],
                                 struct err *err);

/* What somebody may have and pass on: a tenant by its grant, a team by its delegation.  Views. */
struct authority {
    const char *tenant;
    const char *team; /* "" = the tenant */
    const char *prefix;
    const struct resources *total;
    uint64_t store_bytes;
    uint32_t payloads_max;
    uint64_t expires_ms;
    uint64_t teams_since_ms;
    const struct key_set *keys;
    const struct allowance *may; /* NULL: not known, and not asked (agent/recorded) */
};
struct authority grant_authority(const struct grant *grant);
struct authority delegation_authority(const struct delegation *doc);

/* Everybody whose limits count for a payload of a team: the tenant, then team by team. */
struct chain {
    uint32_t n;
    struct authority of[TEAM_DEPTH_MAX + 1U];
};

/* Whether a delegation stays inside what its parent has: prefix (RC_NAME_NOT_GRANTED), every limit,
 * what else payloads may ask for, and the expiry (RC_DELEGATION_EXCEEDED); and whether its keys are
 * its own (RC_KEY_DUPLICATE): a key that is in both sets would speak for the team and for who set
 * it up. */
must_check enum rc delegation_fits(const struct authority *parent, const struct delegation *doc,
                                   struct err *err);

/* Whether a manifest of this tenant stays inside: prefix, each limit, all else that it asks for;
 * err says which field (RC_NAME_NOT_GRANTED; of a grant RC_GRANT_EXCEEDED, of a delegation
 * RC_DELEGATION_EXCEEDED).  Sums over several payloads are the agent's business. */
must_check enum rc authority_allows(const struct authority *may, const struct manifest *manifest,
                                    struct err *err);

#endif
