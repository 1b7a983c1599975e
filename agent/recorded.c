/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recorded.h"

#include <assert.h>
#include <stdlib.h>

#include "agent/supervise.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/name.h"
#include "base/statefile.h"
#include "manifest/envelope.h"

struct recorded_manifest {
    struct manifest doc;
    struct digest digest;
    struct grant grant; /* no keys: nobody may verify anything with it */
};

/* ---- writing it down ----------------------------------------------------------------------------
 */

static const struct grant_record *find_grant(const struct agent *a, const char *tenant)
{
    for (uint32_t i = 0; i < a->state.trust.n_grants; i++)
        if (strcmp(a->state.trust.grant[i].tenant, tenant) == 0)
            return &a->state.trust.grant[i];
    return NULL;
}

static int mark_order(const struct team_mark *a, const struct team_mark *b)
{
    int tenant = strcmp(a->tenant, b->tenant);

    return tenant != 0 ? tenant : strcmp(a->team, b->team);
}

static const struct team_record *find_team(const struct agent *a, const char *tenant,
                                           const char *team)
{
    for (uint32_t i = 0; i < a->state.trust.n_teams; i++) {
        const struct team_mark *m = &a->state.trust.team[i].mark;

        if (strcmp(m->tenant, tenant) == 0 && strcmp(m->team, team) == 0)
            return &a->state.trust.team[i];
    }
    return NULL;
}

static void put_grant(struct trust_record *t, const struct grant_record *g)
{
    uint32_t at = 0;

    if (t->n_grants == TENANTS_MAX)
        return;
    while (at < t->n_grants && strcmp(t->grant[at].tenant, g->tenant) < 0)
        at++;
    memmove(&t->grant[at + 1], &t->grant[at], (t->n_grants - at) * sizeof t->grant[0]);
    t->grant[at] = *g;
    t->n_grants++;
}

static void record_grants(const struct agent *a, struct trust_record *t)
{
    const struct grant *held[TENANTS_MAX] = { 0 };
    size_t n = trust_grants(a->trust, held, TENANTS_MAX);

    for (size_t i = 0; i < n; i++) {
        struct grant_record g = { .epoch = held[i]->epoch,
                                  .expires_ms = held[i]->expires_ms,
                                  .payload = *trust_grant_digest(a->trust, held[i]->tenant),
                                  .total = held[i]->total,
                                  .payloads_max = held[i]->payloads_max };

        memcpy(g.tenant, held[i]->tenant, sizeof g.tenant);
        put_grant(t, &g);
    }
    for (uint32_t i = 0; i < a->state.trust.n_grants; i++) /* lost, and not to be forgotten */
        if (trust_expects_grant(a->trust, a->state.trust.grant[i].tenant))
            put_grant(t, &a->state.trust.grant[i]);
}

static void put_team(struct trust_record *t, const struct team_record *team)
{
    uint32_t at = 0;

    if (t->n_teams == TEAMS_HELD_MAX)
        return;
    while (at < t->n_teams && mark_order(&t->team[at].mark, &team->mark) < 0)
        at++;
    memmove(&t->team[at + 1], &t->team[at], (t->n_teams - at) * sizeof t->team[0]);
    t->team[at] = *team;
    t->n_teams++;
}

static void record_teams(const struct agent *a, struct trust_record *t)
{
    for (size_t i = 0; i < trust_teams(a->trust); i++) {
        const struct team_view v = trust_team(a->trust, i);
        struct team_record team = { .mark = v.mark, .withdrawn = v.withdrawn };

        if (v.doc) {
            team.has_terms = true;
            team.expires_ms = v.doc->expires_ms;
            team.total = v.doc->total;
            team.payloads_max = v.doc->payloads_max;
        }
        put_team(t, &team);
    }
    for (uint32_t i = 0; i < a->state.trust.n_teams; i++) { /* lost, and not to be forgotten */
        const struct team_mark *m = &a->state.trust.team[i].mark;

        if (trust_expected_team(a->trust, m->tenant, m->team))
            put_team(t, &a->state.trust.team[i]);
    }
}

static void vouch_for(struct agent *a, struct unit *u)
{
    struct digest envelope = { 0 };

    if (recorded_stands_in(a, u->kept.tenant, "")) /* nobody can be asked */
        return;
    u->vouched_for = u->kept.good;
    if (!digest_is_none(&u->kept.good) && supervise_vouch(a, &u->kept, &envelope) != RC_OK)
        envelope = (struct digest){ 0 };
    u->kept.vouched = envelope;
}

void agent_record_versions(struct agent *a)
{
    for (uint32_t i = 0; a->trust && i < a->table.n_units; i++)
        if (!digest_same(&a->table.unit[i].vouched_for, &a->table.unit[i].kept.good))
            vouch_for(a, &a->table.unit[i]);
}

void agent_record_trust(struct agent *a)
{
    scoped(free_ptr) struct trust_record *t = calloc(1, sizeof *t);

    if (!a->trust || a->damaged)
        return;
    if (!t) {
        a->unrecorded = true;
        return;
    }
    t->root_version = trust_root(a->trust)->version;
    t->root = *trust_root_digest(a->trust);
    t->operator_since_ms = trust_root(a->trust)->operator_since_ms;
    t->revoked = *trust_revoked(a->trust);
    record_grants(a, t);
    record_teams(a, t);
    a->state.trust = *t;
    a->lost = 0;
    for (uint32_t i = 0; i < t->n_grants; i++)
        if (trust_expects_grant(a->trust, t->grant[i].tenant))
            a->lost |= LOST_GRANT;
    for (uint32_t i = 0; i < t->n_teams; i++)
        if (trust_expected_team(a->trust, t->team[i].mark.tenant, t->team[i].mark.team))
            a->lost |= LOST_TEAM;
    for (uint32_t i = 0; i < a->table.n_units; i++)
        vouch_for(a, &a->table.unit[i]);
    a->unrecorded = true;
    agent_save(a);
}

/* ---- standing in for what is lost ---------------------------------------------------------------
 */

bool recorded_stands_in(const struct agent *a, const char *tenant, const char *team)
{
    if (!a->trust)
        return (a->lost & LOST_ROOT) != 0;
    return trust_expects_grant(a->trust, tenant) || trust_expects_team(a->trust, tenant, team);
}

static uint64_t time_now(const struct agent *a, uint64_t now_ms)
{
    return a->trust ? trust_time(a->trust, now_ms)
                    : trust_time_by(a->state.time_floor, a->state.time_anchor, now_ms);
}

static const struct revoked_set *revoked_now(const struct agent *a)
{
    return a->trust ? trust_revoked(a->trust) : &a->state.trust.revoked;
}

/* Which operator key signed a lost grant is not known: none of them may have been revoked since. */
static bool operator_revoked(const struct agent *a)
{
    const struct root *root = trust_root(a->trust);

    for (uint32_t i = 0; root && i < root->operator_keys.n; i++)
        if (revoked_key(revoked_now(a), root->operator_keys.key[i].id) > REVOKE_KEEP)
            return true;
    return false;
}

/* Which keys of the level above signed a lost delegation is not known: as above. */
static bool parent_revoked(const struct agent *a, const char *tenant, const char *parent)
{
    const struct grant *grant = trust_grant(a->trust, tenant);
    const struct key_set *keys = parent[0] == '\0' && grant ? &grant->keys : NULL;

    for (size_t i = 0; !keys && i < trust_teams(a->trust); i++) {
        const struct team_view v = trust_team(a->trust, i);

        if (v.doc && strcmp(v.tenant, tenant) == 0 && strcmp(v.team, parent) == 0)
            keys = &v.doc->keys;
    }
    for (uint32_t i = 0; keys && i < keys->n; i++)
        if (revoked_key(revoked_now(a), keys->key[i].id) > REVOKE_KEEP)
            return true;
    return false;
}

static enum rc team_valid_still(const struct agent *a, const char *tenant, const char *team,
                                uint64_t now_ms)
{
    const struct team_record *t = find_team(a, tenant, team);
    char parent[TEAM_CAP];

    if (!t)
        return RC_DELEGATION_MISSING;
    if (!t->has_terms)
        return RC_DELEGATION_WITHDRAWN;
    team_cut(team, team_depth(team) - 1, parent);
    if (parent_revoked(a, tenant, parent))
        return RC_KEY_REVOKED;
    bool expired = t->expires_ms != 0 && time_now(a, now_ms) >= t->expires_ms;
    return t->mark.lapsed || expired ? RC_EXPIRED : RC_OK;
}

static enum rc grant_valid_still(const struct agent *a, const char *tenant, uint64_t now_ms)
{
    const struct grant_record *g = find_grant(a, tenant);

    if (!g)
        return RC_GRANT_MISSING;
    if (revoked_grant(revoked_now(a), tenant, g->epoch) > REVOKE_KEEP || operator_revoked(a))
        return RC_GRANT_REVOKED;
    return g->expires_ms != 0 && time_now(a, now_ms) >= g->expires_ms ? RC_EXPIRED : RC_OK;
}

enum rc recorded_valid(const struct agent *a, const char *tenant, const char *team, uint64_t now_ms)
{
    uint32_t depth = team_depth(team);
    enum rc rc = grant_valid_still(a, tenant, now_ms);

    for (uint32_t i = 1; rc == RC_OK && i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(team, i, path);
        rc = team_valid_still(a, tenant, path, now_ms);
    }
    return rc;
}

/* The envelope is the one that was verified; now only what has been taken back can speak against
 * it. */
static enum rc check_revoked(const struct agent *a, const struct envelope *e,
                             const struct digest *manifest, struct err *err)
{
    const struct revoked_set *set = revoked_now(a);

    if (revoked_manifest(set, manifest, NULL) > REVOKE_KEEP)
        return err_set(err, RC_MANIFEST_REVOKED, "recorded version");
    for (uint32_t i = 0; i < e->n; i++)
        if (revoked_key(set, e->signature[i].key_id.p) > REVOKE_KEEP)
            return err_set(err, RC_KEY_REVOKED, "recorded version");
    return RC_OK;
}

static enum rc fill(const struct agent *a, const struct unit_record *unit, struct bytes envelope,
                    struct recorded_manifest *m, struct err *err)
{
    const struct grant_record *g = find_grant(a, unit->tenant);
    struct digest whole = { 0 };
    struct envelope e;

    if (!g || digest_is_none(&unit->vouched))
        return err_set(err, RC_SAFE_MODE, "%s/%s", unit->tenant, unit->name);
    enum rc rc = sha256_of(envelope, whole.b, err);
    if (rc == RC_OK && !digest_same(&whole, &unit->vouched))
        rc = err_set(err, RC_SAFE_MODE, "%s/%s", unit->tenant, unit->name);
    if (rc == RC_OK)
        rc = envelope_open(envelope, &e, err);
    if (rc == RC_OK)
        rc = manifest_decode(e.payload, &m->doc, err);
    if (rc == RC_OK)
        rc = sha256_of(e.payload, m->digest.b, err);
    if (rc == RC_OK && !digest_same(&m->digest, &unit->good))
        rc = err_set(err, RC_SAFE_MODE, "%s/%s", unit->tenant, unit->name);
    if (rc == RC_OK && !recorded_stands_in(a, unit->tenant, m->doc.team))
        rc = err_set(err, RC_SAFE_MODE, "%s/%s", unit->tenant, unit->name);
    if (rc == RC_OK)
        rc = check_revoked(a, &e, &m->digest, err);
    if (rc != RC_OK)
        return rc;
    m->grant = (struct grant){ .epoch = g->epoch,
                               .expires_ms = g->expires_ms,
                               .total = g->total,
                               .payloads_max = g->payloads_max,
                               .may = allowance_of(&m->doc) }; /* it was allowed */
    memcpy(m->grant.tenant, g->tenant, sizeof m->grant.tenant);
    rc = recorded_valid(a, unit->tenant, m->doc.team, agent_now_unix());
    return rc == RC_OK ? RC_OK : err_set(err, rc, "recorded for %s", unit->tenant);
}

enum rc recorded_vouch(const struct agent *a, const struct unit_record *unit, struct bytes envelope,
                       struct recorded_manifest **ret, struct err *err)
{
    scoped(recorded_free) struct recorded_manifest *m = calloc(1, sizeof *m);

    if (!m)
        return err_set(err, RC_NO_MEMORY, "manifest");
    enum rc rc = fill(a, unit, envelope, m, err);
    if (rc != RC_OK)
        return rc;
    *ret = m;
    m = NULL;
    return RC_OK;
}

void recorded_free(struct recorded_manifest **m)
{
    free(*m);
    *m = NULL;
}

const struct manifest *recorded_manifest_get(const struct recorded_manifest *m)
{
    return &m->doc;
}

const struct digest *recorded_manifest_digest(const struct recorded_manifest *m)
{
    return &m->digest;
}

const struct grant *recorded_grant_get(const struct recorded_manifest *m)
{
    return &m->grant;
}

void recorded_chain(const struct agent *a, const struct recorded_manifest *m, struct chain *ret)
{
    uint32_t depth = team_depth(m->doc.team);

    ret->of[0] = grant_authority(&m->grant);
    ret->n = 1;
    for (uint32_t i = 1; i <= depth; i++) {
        char path[TEAM_CAP];

        team_cut(m->doc.team, i, path);
        const struct team_record *t = find_team(a, m->doc.tenant, path);

        assert(t); /* or it would not be valid */
        ret->of[ret->n++] = (struct authority){ .tenant = t->mark.tenant,
                                                .team = t->mark.team,
                                                .prefix = "",
                                                .total = &t->total,
                                                .payloads_max = t->payloads_max,
                                                .expires_ms = t->expires_ms };
    }
}

void recorded_lapse(struct agent *a, uint64_t now_ms)
{
    struct trust_record *r = &a->state.trust;

    for (uint32_t i = 0; i < r->n_teams; i++) { /* as trust_observe does */
        struct team_record *t = &r->team[i];

        if (t->mark.lapsed || !t->has_terms || t->expires_ms == 0 ||
            time_now(a, now_ms) < t->expires_ms)
            continue;
        t->mark.lapsed = true;
        a->unsaved = true;
    }
}

void recorded_pass(struct agent *a, uint64_t elapsed_ms, uint64_t now_ms)
{
    struct state *s = &a->state;
    uint64_t left_floor = (uint64_t)INT64_MAX - s->time_floor;
    uint64_t left_anchor = (uint64_t)INT64_MAX - s->time_anchor;
    uint64_t floor_ms = 0;

    s->time_floor += elapsed_ms < left_floor ? elapsed_ms : left_floor;
    s->time_anchor += elapsed_ms < left_anchor ? elapsed_ms : left_anchor;
    for (uint32_t i = 0; i < s->trust.n_grants; i++) { /* as trust_observe does */
        uint64_t at_ms = s->trust.grant[i].expires_ms;

        if (at_ms != 0 && at_ms > floor_ms && time_now(a, now_ms) >= at_ms)
            floor_ms = at_ms;
    }
    if (floor_ms > s->time_floor) {
        s->time_floor = floor_ms;
        a->unsaved = true;
    }
}

/* ---- what a start must find
 * -----------------------------------------------------------------------
 */

enum rc recorded_check_root(const struct agent *a, const struct trust *trust, struct err *err)
{
    const struct trust_record *t = &a->state.trust;

    if (t->root_version == 0)
        return RC_OK;
    if (trust_root(trust)->version < t->root_version)
        return err_set(err, RC_VERSION_OLD, "trust/root");
    if (trust_root(trust)->version == t->root_version &&
        !digest_same(trust_root_digest(trust), &t->root))
        return err_set(err, RC_EQUIVOCATION, "trust/root");
    return RC_OK;
}

void recorded_expect(const struct agent *a, struct trust *trust)
{
    const struct trust_record *t = &a->state.trust;

    /* A cut between a root that made grants void and the record of it. */
    if (trust_root(trust)->operator_since_ms != t->operator_since_ms)
        return;
    for (uint32_t i = 0; i < t->n_grants; i++)
        trust_expect_grant(trust, t->grant[i].tenant, t->grant[i].epoch, &t->grant[i].payload);
}

void recorded_expect_teams(const struct agent *a, struct trust *trust)
{
    for (uint32_t i = 0; i < a->state.trust.n_teams; i++)
        trust_expect_team(trust, &a->state.trust.team[i].mark);
}

void recorded_enter(struct agent *a, const struct err *why)
{
    char what[48];

    a->lost = LOST_ROOT;
    (void)snprintf(what, sizeof what, "trust root: %s", rc_name(why->rc));
    agent_event(a, RC_SAFE_MODE, 1, what);
}

/* ---- the way out
 * ----------------------------------------------------------------------------------
 */

/* Which root these bytes say they are, to know whether to keep them: nothing is believed. */
static uint64_t claimed_version(struct bytes payload)
{
    scoped(free_ptr) struct root *root = malloc(sizeof *root);

    return root && root_decode(payload, root, NULL) == RC_OK ? root->version : 0;
}

enum rc recorded_take_root(struct agent *a, struct bytes envelope, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    struct envelope e;
    struct digest digest = { 0 };
    enum rc rc = envelope_open(envelope, &e, err);

    if (rc == RC_OK)
        rc = sha256_of(e.payload, digest.b, err);
    if (rc != RC_OK)
        return rc;
    if (!digest_same(&digest, &a->state.trust.root))
        return claimed_version(e.payload) > a->state.trust.root_version
                   ? err_set(err, RC_ROOT_GAP, "the recorded root comes first")
                   : err_set(err, RC_SAFE_MODE, "not the recorded root");
    rc = trust_new(envelope, &trust, err);
    if (rc == RC_OK)
        rc = recorded_check_root(a, trust, err);
    if (rc == RC_OK)
        rc = statefile_renew(a->trust_dir, "root", envelope, err);
    if (rc == RC_OK)
        rc = agent_load_trust(a, err);
    if (rc != RC_OK)
        return rc;
    log_event(LOG_LEVEL_INFO, "root %llu is back", (unsigned long long)a->state.trust.root_version);
    agent_trust_is_back(a);
    return RC_OK;
}
