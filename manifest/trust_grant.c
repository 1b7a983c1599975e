/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "manifest/trust.h"
#include "manifest/trust_parts.h"

void trust_held_grant_free(struct held_grant **g)
{
    if (*g)
        trust_kept_done(&(*g)->kept);
    free(*g);
    *g = NULL;
}

size_t trust_grant_index(const struct trust *trust, const char *tenant)
{
    size_t i = 0;

    while (i < trust->n_grants && strcmp(trust->grant[i]->doc.tenant, tenant) != 0)
        i++;
    return i;
}

/* ---- grants that got lost ----------------------------------------------------------------------
 */

static size_t expected_index(const struct trust *trust, const char *tenant)
{
    size_t i = 0;

    while (i < trust->n_expected && strcmp(trust->expected[i].tenant, tenant) != 0)
        i++;
    return i;
}

void trust_expect_grant(struct trust *trust, const char *tenant, uint64_t epoch,
                        const struct digest *payload)
{
    size_t i = expected_index(trust, tenant);

    if (trust_grant(trust, tenant) || i == TENANTS_MAX)
        return;
    struct expected_grant *e = &trust->expected[i];
    *e = (struct expected_grant){ .epoch = epoch, .payload = *payload };
    memcpy(e->tenant, tenant, strnlen(tenant, NAME_MAX_LEN));
    trust->n_expected += i == trust->n_expected;
}

void trust_unexpect_grant(struct trust *trust, const char *tenant)
{
    size_t i = expected_index(trust, tenant);

    if (i < trust->n_expected)
        trust->expected[i] = trust->expected[--trust->n_expected];
}

bool trust_expects_grant(const struct trust *trust, const char *tenant)
{
    return expected_index(trust, tenant) < trust->n_expected;
}

static enum rc check_expected(const struct trust *trust, const struct held_grant *next,
                              struct err *err)
{
    size_t i = expected_index(trust, next->doc.tenant);

    if (i == trust->n_expected || next->doc.epoch > trust->expected[i].epoch)
        return RC_OK;
    if (next->doc.epoch < trust->expected[i].epoch)
        return err_set(err, RC_GRANT_OLD, "grant %s", next->doc.tenant);
    if (memcmp(&next->kept.payload, &trust->expected[i].payload, sizeof next->kept.payload) != 0)
        return err_set(err, RC_EQUIVOCATION, "grant %s", next->doc.tenant);
    return RC_OK;
}

/* ---- taking one ---------------------------------------------------------------------------------
 */

/* RC_OK: take it.  RC_EXISTS: it is the one held already. */
static enum rc check_replaces(const struct trust *trust, const struct held_grant *held,
                              const struct held_grant *next, uint64_t now_ms, struct err *err)
{
    if (next->doc.epoch < held->doc.epoch)
        return err_set(err, RC_GRANT_OLD, "grant %s", next->doc.tenant);
    if (next->doc.epoch == held->doc.epoch) {
        if (trust_same_payload(&next->kept, &held->kept))
            return RC_EXISTS;
        return err_set(err, RC_EQUIVOCATION, "grant %s", next->doc.tenant);
    }
    if (next->doc.teams_since_ms < held->doc.teams_since_ms)
        return err_set(err, RC_VALUE, "grant.teams_since: before that of the grant held");
    if (trust_is_expired(trust, next->doc.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "grant %s", next->doc.tenant);
    if (trust_is_expired(trust, trust->root.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "root");
    return RC_OK;
}

static enum rc verify_grant(const struct trust *trust, struct bytes bytes, bool held,
                            struct held_grant *ret, struct err *err)
{
    const struct key_set *keys = &trust->root.operator_keys;
    struct envelope envelope;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = trust_vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_NONE, err);
    if (rc == RC_KEY_REVOKED && held) {
        ret->waning = true;
        rc = trust_vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_KEEP, err);
    }
    if (rc == RC_OK)
        rc = grant_decode(envelope.payload, &ret->doc, err);
    if (rc == RC_OK)
        rc = trust_check_operator_issued(trust, ret->doc.issued_ms, held, err);
    /* One that was held already goes on holding its epoch. */
    if (rc == RC_OK && !held && revoked_grant(&trust->revoked, ret->doc.tenant, ret->doc.epoch))
        rc = err_set(err, RC_GRANT_REVOKED, "grant %s", ret->doc.tenant);
    if (rc == RC_OK)
        rc = trust_kept_init(&ret->kept, bytes, envelope.payload, err);
    return rc;
}

static enum rc add_grant(struct trust *trust, struct bytes envelope, bool held, uint64_t now_ms,
                         struct err *err)
{
    scoped(trust_held_grant_free) struct held_grant *next = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "grant");
    next = calloc(1, sizeof *next);
    if (!next)
        return err_set(err, RC_NO_MEMORY, "grant");

    enum rc rc = verify_grant(trust, envelope, held, next, err);
    if (rc != RC_OK)
        return rc;

    size_t i = trust_grant_index(trust, next->doc.tenant);
    if (i < trust->n_grants)
        rc = check_replaces(trust, trust->grant[i], next, now_ms, err);
    else if (i == TENANTS_MAX)
        rc = err_set(err, RC_NO_ROOM, "grant %s", next->doc.tenant);
    else
        rc = check_expected(trust, next, err);
    if (rc == RC_EXISTS)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    if (i < trust->n_grants)
        trust_held_grant_free(&trust->grant[i]);
    else
        trust->n_grants++;
    trust_raise_floor(trust, next->doc.issued_ms);
    trust_unexpect_grant(trust, next->doc.tenant);
    trust->grant[i] = next;
    next = NULL;
    trust_refresh_teams(trust, trust->grant[i]->doc.tenant);
    return RC_OK;
}

enum rc trust_add_grant(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                        struct err *err)
{
    return add_grant(trust, envelope, false, now_ms, err);
}

enum rc trust_restore_grant(struct trust *trust, struct bytes envelope, uint64_t now_ms,
                            struct err *err)
{
    return add_grant(trust, envelope, true, now_ms, err);
}

/* Whether a grant that is held may stay under the root and the revocations of now. */
static bool grant_survives(const struct trust *trust, struct held_grant *g)
{
    struct envelope envelope;
    struct bytes bytes = { g->kept.p, g->kept.n };
    const struct key_set *keys = &trust->root.operator_keys;

    if (g->doc.issued_ms < trust->root.operator_since_ms ||
        envelope_open(bytes, &envelope, NULL) != RC_OK)
        return false;
    g->waning = trust_vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_NONE, NULL) != RC_OK;
    return !g->waning || trust_vouch(trust, &envelope, DOC_GRANT, keys, REVOKE_KEEP, NULL) == RC_OK;
}

void trust_drop_orphaned_grants(struct trust *trust)
{
    size_t kept = 0;

    for (size_t i = 0; i < trust->n_grants; i++) {
        if (grant_survives(trust, trust->grant[i]))
            trust->grant[kept++] = trust->grant[i];
        else
            trust_held_grant_free(&trust->grant[i]);
    }
    trust->n_grants = kept;
    trust_refresh_teams(trust, NULL);
}

const struct grant *trust_grant(const struct trust *trust, const char *tenant)
{
    size_t i = trust ? trust_grant_index(trust, tenant) : 0;

    return trust && i < trust->n_grants ? &trust->grant[i]->doc : NULL;
}

size_t trust_grants(const struct trust *trust, const struct grant **ret, size_t cap)
{
    size_t n = trust->n_grants < cap ? trust->n_grants : cap;

    for (size_t i = 0; i < n; i++)
        ret[i] = &trust->grant[i]->doc;
    return n;
}

const struct digest *trust_grant_digest(const struct trust *trust, const char *tenant)
{
    size_t i = trust_grant_index(trust, tenant);

    return i < trust->n_grants ? &trust->grant[i]->kept.payload : NULL;
}

struct bytes trust_grant_envelope(const struct trust *trust, const char *tenant)
{
    size_t i = trust_grant_index(trust, tenant);

    if (i == trust->n_grants)
        return (struct bytes){ 0 };
    return (struct bytes){ trust->grant[i]->kept.p, trust->grant[i]->kept.n };
}
