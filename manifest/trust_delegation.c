/* SPDX-License-Identifier: Apache-2.0
 *
 * Teams: who holds which part of a grant now.  Held teams are sorted, so that a parent comes before
 * its teams.  Nothing is forgotten because it does not count any more: it keeps its epoch, and so
 * nothing older comes back when keys or limits change once more.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/name.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"

void trust_held_team_free(struct held_team **t)
{
    if (*t) {
        trust_kept_done(&(*t)->kept);
        trust_kept_done(&(*t)->withdrawal_kept);
    }
    free(*t);
    *t = NULL;
}

/* ---- finding ---- */

static int team_order(const struct held_team *t, const char *tenant, const char *team)
{
    int by_tenant = strcmp(t->tenant, tenant);

    return by_tenant != 0 ? by_tenant : strcmp(t->team, team);
}

/* Where a team is, or would be. */
static size_t team_place(const struct trust *trust, const char *tenant, const char *team)
{
    size_t i = 0;

    while (i < trust->n_teams && team_order(trust->team[i], tenant, team) < 0)
        i++;
    return i;
}

static struct held_team *find_team(const struct trust *trust, const char *tenant, const char *team)
{
    size_t i = team_place(trust, tenant, team);

    return i < trust->n_teams && team_order(trust->team[i], tenant, team) == 0 ? trust->team[i]
                                                                               : NULL;
}

bool trust_holds_team(const struct trust *trust, const char *tenant, const char *team)
{
    return find_team(trust, tenant, team) != NULL;
}

static bool has_terms(const struct held_team *t)
{
    return t->kept.n > 0;
}

static uint64_t newest_epoch(const struct held_team *t)
{
    return t->withdrawn.epoch > 0 ? t->withdrawn.epoch : t->doc.epoch;
}

static uint64_t newest_issued(const struct held_team *t)
{
    return t->withdrawn.epoch > 0 ? t->withdrawn.issued_ms : t->doc.issued_ms;
}

/* The team one level up, or the tenant.  False: its terms are not known. */
static bool find_parent(const struct trust *trust, const char *tenant, const char *team,
                        struct authority *ret)
{
    char parent[TEAM_CAP];

    team_cut(team, team_depth(team) - 1, parent);
    if (parent[0] == '\0') {
        const struct grant *grant = trust_grant(trust, tenant);

        if (grant)
            *ret = grant_authority(grant);
        return grant != NULL;
    }
    const struct held_team *t = find_team(trust, tenant, parent);
    bool known = t && has_terms(t);

    if (known)
        *ret = delegation_authority(&t->doc);
    return known;
}

const struct key_set *trust_team_keys(const struct trust *trust, const char *tenant,
                                      const char *team)
{
    if (team[0] == '\0') {
        const struct grant *grant = trust_grant(trust, tenant);

        return grant ? &grant->keys : NULL;
    }
    const struct held_team *t = find_team(trust, tenant, team);

    return t && has_terms(t) ? &t->doc.keys : NULL;
}

/* ---- who stands ---- */

static enum rc check_grant(const struct trust *trust, const char *tenant, uint64_t now_ms,
                           enum revoke_policy tolerated, struct authority *ret, struct err *err)
{
    size_t i = trust_grant_index(trust, tenant);

    if (i == trust->n_grants)
        return err_set(err, RC_GRANT_MISSING, "tenant %s", tenant);

    const struct grant *grant = &trust->grant[i]->doc;
    if (revoked_grant(&trust->revoked, tenant, grant->epoch) > tolerated)
        return err_set(err, RC_GRANT_REVOKED, "tenant %s", tenant);
    if (trust->grant[i]->waning && tolerated < REVOKE_KEEP)
        return err_set(err, RC_KEY_REVOKED, "grant %s", tenant);
    if (trust_is_expired(trust, grant->expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "grant %s", tenant);
    *ret = grant_authority(grant);
    return RC_OK;
}

static enum rc check_team(const struct trust *trust, const struct held_team *t,
                          const struct authority *parent, uint64_t now_ms,
                          enum revoke_policy tolerated, struct err *err)
{
    if (t->withdrawn.epoch > 0 && (t->withdrawn.policy > tolerated || !has_terms(t)))
        return err_set(err, RC_DELEGATION_WITHDRAWN, "%s/%.40s", t->tenant, t->team);
    if (!t->vouched)
        return err_set(err, RC_DELEGATION_MISSING, "%s/%.40s: signed by other keys", t->tenant,
                       t->team);
    if (t->waning && tolerated < REVOKE_KEEP)
        return err_set(err, RC_KEY_REVOKED, "%s/%.40s", t->tenant, t->team);
    if (t->lapsed || trust_is_expired(trust, t->doc.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "%s/%.40s", t->tenant, t->team);
    return tolerated < REVOKE_KEEP ? delegation_fits(parent, &t->doc, err) : RC_OK;
}

enum rc trust_chain(const struct trust *trust, const char *tenant, const char *team,
                    uint64_t now_ms, enum revoke_policy tolerated, struct chain *ret,
                    struct err *err)
{
    uint32_t depth = team_depth(team);
    enum rc rc = check_grant(trust, tenant, now_ms, tolerated, &ret->of[0], err);

    ret->n = 1;
    for (uint32_t i = 1; rc == RC_OK && i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        const struct held_team *t = find_team(trust, tenant, path);

        if (!t)
            return err_set(err, RC_DELEGATION_MISSING, "%s/%.40s", tenant, path);
        rc = check_team(trust, t, &ret->of[i - 1], now_ms, tolerated, err);
        ret->of[i] = delegation_authority(&t->doc);
        ret->n++;
    }
    return rc;
}

enum rc trust_authorities(const struct trust *trust, const struct grant *grant, const char *team,
                          struct chain *ret, struct err *err)
{
    uint32_t depth = team_depth(team);

    ret->of[0] = grant_authority(grant);
    ret->n = 1;
    for (uint32_t i = 1; i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        const struct held_team *t = trust ? find_team(trust, grant->tenant, path) : NULL;

        if (!t || !has_terms(t))
            return err_set(err, RC_DELEGATION_MISSING, "%s/%.40s", grant->tenant, path);
        ret->of[ret->n++] = delegation_authority(&t->doc);
    }
    return RC_OK;
}

enum rc trust_still_valid(const struct trust *trust, const char *tenant, const char *team,
                          uint64_t now_ms)
{
    const struct grant *grant = trust_grant(trust, tenant);
    uint32_t depth = team_depth(team);

    if (!grant)
        return RC_GRANT_MISSING;
    if (trust_is_expired(trust, grant->expires_ms, now_ms))
        return RC_EXPIRED;
    for (uint32_t i = 1; i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        const struct held_team *t = find_team(trust, tenant, path);
        enum rc rc =
            t ? check_team(trust, t, NULL, now_ms, REVOKE_KEEP, NULL) : RC_DELEGATION_MISSING;

        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

enum revoke_policy trust_team_withdrawn(const struct trust *trust, const char *tenant,
                                        const char *team)
{
    enum revoke_policy worst = REVOKE_NONE;
    uint32_t depth = team_depth(team);

    for (uint32_t i = 1; i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        const struct held_team *t = find_team(trust, tenant, path);

        if (t && t->withdrawn.policy > worst)
            worst = t->withdrawn.policy;
    }
    return worst;
}

/* ---- when something above changes ---- */

/* Whether the keys of now vouch for what is held. */
static void ask_parent(const struct trust *trust, struct held_team *t,
                       const struct authority *parent)
{
    struct envelope e;

    t->vouched = t->waning = false;
    if (!parent || !has_terms(t) ||
        envelope_open((struct bytes){ t->kept.p, t->kept.n }, &e, NULL) != RC_OK)
        return;
    t->waning = trust_vouch(trust, &e, DOC_DELEGATION, parent->keys, REVOKE_NONE, NULL) != RC_OK;
    t->vouched = !t->waning ||
                 trust_vouch(trust, &e, DOC_DELEGATION, parent->keys, REVOKE_KEEP, NULL) == RC_OK;
}

bool trust_team_void(const struct trust *trust, const char *tenant, const char *team,
                     uint64_t issued_ms)
{
    const struct grant *grant = trust_grant(trust, tenant);
    uint32_t depth = team_depth(team);

    if (grant && issued_ms < grant->teams_since_ms)
        return true;
    for (uint32_t i = 1; i < depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        const struct held_team *above = find_team(trust, tenant, path);

        if (above &&
            (above->withdrawn.policy > REVOKE_KEEP || issued_ms < above->doc.teams_since_ms))
            return true;
    }
    return false;
}

/* Forget a team and those inside it, which come behind it. */
static void remove_team(struct trust *trust, size_t at)
{
    struct held_team *gone = trust->team[at];
    size_t kept = at;

    for (size_t i = at; i < trust->n_teams; i++) {
        struct held_team *t = trust->team[i];

        if (strcmp(t->tenant, gone->tenant) != 0 || !team_within(gone->team, t->team))
            trust->team[kept++] = t;
        else if (t != gone)
            trust_held_team_free(&t);
    }
    trust->n_teams = kept;
    trust_held_team_free(&gone);
}

void trust_refresh_teams(struct trust *trust, const char *tenant)
{
    size_t i = 0;

    while (i < trust->n_teams) {
        struct held_team *t = trust->team[i];
        struct authority parent;

        if (tenant && strcmp(t->tenant, tenant) != 0) {
            i++;
            continue;
        }
        bool known = find_parent(trust, t->tenant, t->team, &parent);
        if (trust_team_void(trust, t->tenant, t->team, newest_issued(t))) {
            remove_team(trust, i);
            continue;
        }
        ask_parent(trust, t, known ? &parent : NULL);
        i++;
    }
    trust_refresh_expected_teams(trust);
}

void trust_lapse_teams(struct trust *trust, uint64_t now_ms)
{
    for (size_t i = 0; i < trust->n_teams; i++) {
        struct held_team *t = trust->team[i];

        if (t->lapsed || !has_terms(t) || !trust_is_expired(trust, t->doc.expires_ms, now_ms))
            continue;
        t->lapsed = true;
        t->unsaved = true;
    }
}

/* ---- taking ---- */

/* The same for a team whose newest has got lost, by what is remembered of it. */
static enum rc check_lost_epoch(const struct team_mark *lost, const struct delegation *next,
                                const struct kept *kept, struct err *err)
{
    if (next->epoch < lost->epoch)
        return err_set(err, RC_DELEGATION_OLD, "%s/%.40s", next->tenant, next->team);
    if (next->epoch == lost->epoch)
        return digest_same(&kept->payload, &lost->payload)
                   ? RC_OK
                   : err_set(err, RC_EQUIVOCATION, "%s/%.40s", next->tenant, next->team);
    if (next->withdrawn == REVOKE_NONE && next->teams_since_ms < lost->since_ms)
        return err_set(err, RC_VALUE, "delegation.teams_since: before the one lost");
    return RC_OK;
}

/* RC_OK: take it.  RC_EXISTS: it is the newest already. */
static enum rc check_epoch(const struct trust *trust, const struct held_team *held,
                           const struct delegation *next, const struct kept *kept, struct err *err)
{
    const struct team_mark *lost = trust_expected_team(trust, next->tenant, next->team);

    if (!held)
        return lost ? check_lost_epoch(lost, next, kept, err) : RC_OK;
    if (next->epoch < newest_epoch(held))
        return err_set(err, RC_DELEGATION_OLD, "%s/%.40s", next->tenant, next->team);
    if (next->epoch == newest_epoch(held)) {
        const struct kept *newest =
            held->withdrawn.epoch > 0 ? &held->withdrawal_kept : &held->kept;

        if (trust_same_payload(kept, newest))
            return RC_EXISTS;
        return err_set(err, RC_EQUIVOCATION, "%s/%.40s", next->tenant, next->team);
    }
    if (next->withdrawn == REVOKE_NONE && (next->teams_since_ms < held->doc.teams_since_ms ||
                                           next->teams_since_ms < held->withdrawn.issued_ms))
        return err_set(err, RC_VALUE, "delegation.teams_since: before the one held");
    return RC_OK;
}

static enum rc check_room(const struct trust *trust, const char *tenant, struct err *err)
{
    size_t held = trust->n_teams + trust->n_expected_teams;
    uint32_t n = 0;

    for (size_t i = 0; i < trust->n_teams; i++)
        n += strcmp(trust->team[i]->tenant, tenant) == 0;
    for (size_t i = 0; i < trust->n_expected_teams; i++)
        n += strcmp(trust->expected_team[i].tenant, tenant) == 0;
    /* Teams of a tenant without a grant stay: there may be more tenants than grants. */
    return n < TEAMS_MAX && held < TEAMS_HELD_MAX ? RC_OK
                                                  : err_set(err, RC_NO_ROOM, "teams of %s", tenant);
}

/* A delegation that has not been verified yet, and what it rests on. */
struct arriving {
    struct envelope envelope;
    struct delegation doc;
    struct kept kept;
    struct authority parent;
    struct chain above;
    bool again; /* it is the very one that was held and has got lost */
};

static void arriving_free(struct arriving **a)
{
    if (*a)
        trust_kept_done(&(*a)->kept);
    free(*a);
    *a = NULL;
}

/* Have the parent's keys vouch, before anything but the team's name is read. */
static enum rc vouch_arriving(const struct trust *trust, struct bytes bytes, struct arriving *a,
                              struct err *err)
{
    char tenant[NAME_CAP], team[TEAM_CAP], parent[TEAM_CAP];

    enum rc rc = envelope_open(bytes, &a->envelope, err);
    if (rc == RC_OK)
        rc = delegation_peek(a->envelope.payload, tenant, team, err);
    if (rc != RC_OK)
        return rc;
    team_cut(team, team_depth(team) - 1, parent);
    if (!find_parent(trust, tenant, team, &a->parent)) {
        rc = trust_chain(trust, tenant, parent, 0, REVOKE_NONE, &a->above, err);
        return rc != RC_OK ? rc : err_set(err, RC_INTERNAL, "%s/%.40s", tenant, parent);
    }
    const struct team_mark *lost = trust_expected_team(trust, tenant, team);
    struct digest payload = { 0 };
    if (lost)
        rc = sha256_of(a->envelope.payload, payload.b, err);
    a->again = lost && rc == RC_OK && digest_same(&payload, &lost->payload);
    if (rc == RC_OK)
        rc = trust_vouch(trust, &a->envelope, DOC_DELEGATION, a->parent.keys,
                         a->again ? REVOKE_KEEP : REVOKE_NONE, err);
    if (rc == RC_OK)
        rc = delegation_decode(a->envelope.payload, &a->doc, err);
    if (rc == RC_OK)
        rc = trust_kept_init(&a->kept, bytes, a->envelope.payload, err);
    return rc;
}

/* What the terms must be, beyond making sense. */
static enum rc check_terms(const struct trust *trust, const struct arriving *a, uint64_t now_ms,
                           struct err *err)
{
    if (trust_is_expired(trust, a->doc.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "%s/%.40s", a->doc.tenant, a->doc.team);
    return delegation_fits(&a->parent, &a->doc, err);
}

static enum rc check_arriving(const struct trust *trust, struct arriving *a, uint64_t now_ms,
                              struct err *err)
{
    const struct delegation *d = &a->doc;
    const struct held_team *held = find_team(trust, d->tenant, d->team);
    char parent[TEAM_CAP];

    enum rc rc = trust_check_issued(trust, d->issued_ms, err);
    if (rc == RC_OK && d->issued_ms < a->parent.teams_since_ms)
        rc = err_set(err, RC_ISSUED_BEFORE, "%s/%.40s", d->tenant, d->team);
    if (rc == RC_OK)
        rc = check_epoch(trust, held, d, &a->kept, err);
    if (rc == RC_OK && d->withdrawn == REVOKE_NONE) {
        team_cut(d->team, team_depth(d->team) - 1, parent);
        rc = trust_chain(trust, d->tenant, parent, now_ms, REVOKE_NONE, &a->above, err);
        for (uint32_t i = 0; rc == RC_OK && i < a->above.n; i++)
            if (d->issued_ms < a->above.of[i].teams_since_ms)
                rc = err_set(err, RC_ISSUED_BEFORE, "%s/%.40s", d->tenant, d->team);
        if (rc == RC_OK)
            rc = check_terms(trust, a, now_ms, err);
    }
    if (rc == RC_OK && !held && !trust_expected_team(trust, d->tenant, d->team))
        rc = check_room(trust, d->tenant, err);
    return rc;
}

/* The team's place, made if it is new. */
static struct held_team *make_team(struct trust *trust, const char *tenant, const char *team)
{
    size_t i = team_place(trust, tenant, team);
    struct held_team *t = find_team(trust, tenant, team);

    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    memcpy(t->tenant, tenant, strnlen(tenant, NAME_MAX_LEN));
    memcpy(t->team, team, strnlen(team, TEAM_CAP - 1));
    memmove(&trust->team[i + 1], &trust->team[i],
            (trust->n_teams - i) * sizeof(struct held_team *));
    trust->team[i] = t;
    trust->n_teams++;
    return t;
}

/* Terms that nothing runs under any more are let go of. */
static void put_withdrawal(struct held_team *t, const struct delegation *doc, struct kept *kept)
{
    trust_kept_done(&t->withdrawal_kept);
    t->withdrawal_kept = *kept;
    *kept = (struct kept){ 0 };
    t->withdrawn.epoch = doc->epoch;
    t->withdrawn.issued_ms = doc->issued_ms;
    t->withdrawn.policy = doc->withdrawn;
    if (doc->withdrawn > REVOKE_KEEP) {
        trust_kept_done(&t->kept);
        t->doc.epoch = 0;
    }
}

static void put_terms(struct held_team *t, const struct delegation *doc, struct kept *kept)
{
    trust_kept_done(&t->kept);
    trust_kept_done(&t->withdrawal_kept);
    t->kept = *kept;
    *kept = (struct kept){ 0 };
    t->doc = *doc;
    t->withdrawn.epoch = t->withdrawn.issued_ms = 0;
    t->withdrawn.policy = REVOKE_NONE;
    t->lapsed = false;
}

/* Let a document that holds take effect. */
static enum rc put_arriving(struct trust *trust, struct arriving *a, uint64_t now_ms,
                            struct err *err)
{
    const struct team_mark *lost = trust_expected_team(trust, a->doc.tenant, a->doc.team);
    bool lapsed = a->again && (lost->lapsed || trust_is_expired(trust, a->doc.expires_ms, now_ms));
    struct held_team *t = make_team(trust, a->doc.tenant, a->doc.team);

    if (!t)
        return err_set(err, RC_NO_MEMORY, "delegation");
    trust_unexpect_team(trust, a->doc.tenant, a->doc.team);
    if (a->doc.withdrawn == REVOKE_NONE)
        put_terms(t, &a->doc, &a->kept);
    else
        put_withdrawal(t, &a->doc, &a->kept);
    t->lapsed = lapsed && has_terms(t);
    t->unsaved = true;
    trust_refresh_teams(trust, a->doc.tenant);
    return RC_OK;
}

enum rc trust_add_delegation(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                             struct team_change *ret, struct err *err)
{
    scoped(arriving_free) struct arriving *a = NULL;
    struct team_change change = { 0 };

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "delegation");
    a = calloc(1, sizeof *a);
    if (!a)
        return err_set(err, RC_NO_MEMORY, "delegation");

    enum rc rc = vouch_arriving(trust, envelope, a, err);
    if (rc == RC_OK && !a->again)
        rc = check_arriving(trust, a, now_ms, err);
    change.taken = rc == RC_OK;
    if (rc == RC_OK)
        rc = put_arriving(trust, a, now_ms, err);
    if (rc != RC_OK && rc != RC_EXISTS)
        return rc;
    change.withdrawn = a->doc.withdrawn != REVOKE_NONE;
    change.epoch = a->doc.epoch;
    memcpy(change.tenant, a->doc.tenant, sizeof change.tenant);
    memcpy(change.team, a->doc.team, sizeof change.team);
    if (ret)
        *ret = change;
    return RC_OK;
}

/* ---- keeping ---- */

size_t trust_teams(const struct trust *trust)
{
    return trust ? trust->n_teams : 0;
}

static struct team_mark team_mark(const struct held_team *t)
{
    bool ended = t->withdrawn.epoch > 0;
    struct team_mark mark = {
        .epoch = newest_epoch(t),
        .payload = ended ? t->withdrawal_kept.payload : t->kept.payload,
        .issued_ms = newest_issued(t),
        .since_ms = t->doc.teams_since_ms,
        .lapsed = t->lapsed,
    };

    if (t->withdrawn.issued_ms > mark.since_ms)
        mark.since_ms = t->withdrawn.issued_ms;
    memcpy(mark.tenant, t->tenant, sizeof mark.tenant);
    memcpy(mark.team, t->team, sizeof mark.team);
    return mark;
}

struct team_view trust_team(const struct trust *trust, size_t i)
{
    const struct held_team *t = trust->team[i];

    return (struct team_view){
        .tenant = t->tenant,
        .team = t->team,
        .epoch = newest_epoch(t),
        .doc = has_terms(t) ? &t->doc : NULL,
        .withdrawn = t->withdrawn.policy,
        .mark = team_mark(t),
        .delegation = { t->kept.p, t->kept.n },
        .withdrawal = { t->withdrawal_kept.p, t->withdrawal_kept.n },
        .lapsed = t->lapsed,
        .unsaved = t->unsaved,
    };
}

void trust_team_saved(struct trust *trust, size_t i)
{
    trust->team[i]->unsaved = false;
}

/* One of the two envelopes of a team that was held: it was verified when it came, and who vouches
 * for it now is asked afterwards. */
static enum rc reopen(struct bytes bytes, struct delegation *ret, struct kept *ret_kept,
                      struct err *err)
{
    struct envelope e;

    enum rc rc = envelope_open(bytes, &e, err);
    if (rc == RC_OK)
        rc = delegation_decode(e.payload, ret, err);
    if (rc == RC_OK)
        rc = trust_kept_init(ret_kept, bytes, e.payload, err);
    return rc;
}

/* Both parts speak of one team, and the withdrawal is the newer one. */
static enum rc check_pair(const struct arriving *terms, const struct arriving *end, struct err *err)
{
    const struct delegation *a = &terms->doc, *b = &end->doc;

    if (a->epoch > 0 && a->withdrawn != REVOKE_NONE)
        return err_set(err, RC_VALUE, "team: a withdrawal for a delegation");
    if (b->epoch > 0 && b->withdrawn == REVOKE_NONE)
        return err_set(err, RC_VALUE, "team: a delegation for a withdrawal");
    if (a->epoch > 0 && b->epoch > 0 &&
        (strcmp(a->tenant, b->tenant) != 0 || strcmp(a->team, b->team) != 0 ||
         a->epoch >= b->epoch))
        return err_set(err, RC_VALUE, "team: two of another kind");
    return RC_OK;
}

/* Put both parts of a team in, which must not be held yet, and see what they are worth now. */
static enum rc put_back(struct trust *trust, struct arriving *terms, struct arriving *end,
                        bool lapsed, struct err *err)
{
    const struct arriving *newest = end->doc.epoch > 0 ? end : terms;
    const struct delegation *doc = &newest->doc;
    const struct team_mark *lost = trust_expected_team(trust, doc->tenant, doc->team);

    if (find_team(trust, doc->tenant, doc->team))
        return err_set(err, RC_EXISTS, "%s/%.40s", doc->tenant, doc->team);
    enum rc rc = lost ? check_lost_epoch(lost, doc, &newest->kept, err)
                      : check_room(trust, doc->tenant, err);
    if (rc != RC_OK)
        return rc;
    lapsed |= lost && lost->lapsed && doc->epoch == lost->epoch;
    struct held_team *t = make_team(trust, doc->tenant, doc->team);
    if (!t)
        return err_set(err, RC_NO_MEMORY, "team");
    if (terms->doc.epoch > 0)
        put_terms(t, &terms->doc, &terms->kept);
    if (end->doc.epoch > 0)
        put_withdrawal(t, &end->doc, &end->kept);
    trust_unexpect_team(trust, doc->tenant, doc->team);
    t->lapsed = lapsed && has_terms(t);
    trust_refresh_teams(trust, doc->tenant);
    return find_team(trust, doc->tenant, doc->team)
               ? RC_OK
               : err_set(err, RC_ISSUED_BEFORE, "%s/%.40s", doc->tenant, doc->team);
}

enum rc trust_restore_team(struct trust *trust, struct bytes delegation, struct bytes withdrawal,
                           bool lapsed, struct err *err)
{
    scoped(arriving_free) struct arriving *terms = calloc(1, sizeof *terms);
    scoped(arriving_free) struct arriving *end = calloc(1, sizeof *end);
    enum rc rc = RC_OK;

    if (!terms || !end)
        return err_set(err, RC_NO_MEMORY, "team");
    if (delegation.n == 0 && withdrawal.n == 0)
        return err_set(err, RC_SHORT, "team");
    if (delegation.n > 0)
        rc = reopen(delegation, &terms->doc, &terms->kept, err);
    if (rc == RC_OK && withdrawal.n > 0)
        rc = reopen(withdrawal, &end->doc, &end->kept, err);
    if (rc == RC_OK)
        rc = check_pair(terms, end, err);
    return rc == RC_OK ? put_back(trust, terms, end, lapsed, err) : rc;
}
