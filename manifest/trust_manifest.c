/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"
#include "manifest/wire.h"

struct verified_manifest {
    struct manifest doc;
    struct digest digest;
    struct digest384 digest384;
};

/* The limits of everybody above it, and not of the team alone: a parent may have shrunk since. */
static enum rc check_limits(const struct chain *chain, const struct manifest *m, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < chain->n; i++)
        rc = authority_allows(&chain->of[i], m, err);
    return rc;
}

static enum rc verify_manifest(const struct trust *trust, struct bytes bytes, uint64_t now_ms,
                               enum revoke_policy tolerated, struct verified_manifest *ret,
                               struct err *err)
{
    struct envelope envelope;
    struct chain chain = { 0 };
    char tenant[NAME_CAP], team[TEAM_CAP];

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = manifest_peek(envelope.payload, tenant, team, err);
    if (rc == RC_OK)
        rc = trust_chain(trust, tenant, team, now_ms, tolerated, &chain, err);
    if (rc != RC_OK)
        return rc;
    const struct key_set *keys = chain.of[chain.n - 1].keys;
    rc = trust_vouch(trust, &envelope, DOC_MANIFEST, keys, tolerated, err);
    if (rc == RC_OK)
        rc = manifest_decode(envelope.payload, &ret->doc, err);
    if (rc == RC_OK)
        rc = check_limits(&chain, &ret->doc, err);
    if (rc == RC_OK && is_agent_name(tenant, ret->doc.name))
        rc = grant_allows(trust_grant(trust, tenant), &ret->doc, err);
    if (rc == RC_OK && key_set_wants_384(keys) && digest384_is_none(&ret->doc.content384))
        rc = err_set(err, RC_DIGEST_WEAK, "manifest.content");
    if (rc == RC_OK && key_set_wants_384(keys) && !digest_is_none(&ret->doc.index) &&
        digest384_is_none(&ret->doc.index384))
        rc = err_set(err, RC_DIGEST_WEAK, "manifest.index");
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret->digest.b, err);
    if (rc == RC_OK)
        rc = sha384_of(envelope.payload, ret->digest384.b, err);
    if (rc == RC_OK && revoked_manifest(&trust->revoked, &ret->digest, &ret->digest384) > tolerated)
        rc = err_set(err, RC_MANIFEST_REVOKED, "%s/%s", ret->doc.tenant, ret->doc.name);
    return rc;
}

static enum rc make_manifest(const struct trust *trust, struct bytes envelope, uint64_t now_ms,
                             enum revoke_policy tolerated, struct verified_manifest **ret,
                             struct err *err)
{
    scoped(verified_manifest_free) struct verified_manifest *m = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "manifest");
    m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, RC_NO_MEMORY, "manifest");

    enum rc rc = verify_manifest(trust, envelope, now_ms, tolerated, m, err);
    if (rc != RC_OK)
        return rc;
    *ret = m;
    m = NULL;
    return RC_OK;
}

enum rc trust_verify_manifest(const struct trust *trust, struct bytes envelope, uint64_t now_ms,
                              struct verified_manifest **ret, struct err *err)
{
    return make_manifest(trust, envelope, now_ms, REVOKE_NONE, ret, err);
}

enum rc trust_verify_running(const struct trust *trust, struct bytes envelope, uint64_t now_ms,
                             struct verified_manifest **ret, struct err *err)
{
    return make_manifest(trust, envelope, now_ms, REVOKE_KEEP, ret, err);
}

enum revoke_policy trust_judge_manifest(const struct trust *trust, struct bytes bytes)
{
    struct envelope envelope;
    struct digest digest;
    struct digest384 digest384;
    char tenant[NAME_CAP], team[TEAM_CAP];

    if (!trust || envelope_open(bytes, &envelope, NULL) != RC_OK ||
        sha256_of(envelope.payload, digest.b, NULL) != RC_OK ||
        sha384_of(envelope.payload, digest384.b, NULL) != RC_OK ||
        manifest_peek(envelope.payload, tenant, team, NULL) != RC_OK)
        return REVOKE_NONE; /* damage is for others to find */

    enum revoke_policy named = revoked_manifest(&trust->revoked, &digest, &digest384);
    enum revoke_policy withdrawn = trust_team_withdrawn(trust, tenant, team);
    const struct key_set *keys = trust_team_keys(trust, tenant, team);
    enum revoke_policy signers =
        keys ? trust_judge(trust, &envelope, DOC_MANIFEST, keys) : REVOKE_NONE;

    if (withdrawn > named)
        named = withdrawn;
    return named > signers ? named : signers;
}

void verified_manifest_free(struct verified_manifest **m)
{
    free(*m);
    *m = NULL;
}

const struct manifest *verified_manifest_get(const struct verified_manifest *m)
{
    return &m->doc;
}

const struct digest *verified_manifest_digest(const struct verified_manifest *m)
{
    return &m->digest;
}

const struct digest384 *verified_manifest_digest384(const struct verified_manifest *m)
{
    return &m->digest384;
}

bool order_line_names(const struct order_line *line, const struct verified_manifest *m)
{
    if (memcmp(&line->manifest, &m->digest, sizeof line->manifest) != 0)
        return false;
    return digest384_is_none(&line->manifest384) ||
           memcmp(&line->manifest384, &m->digest384, sizeof line->manifest384) == 0;
}
