/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/trust.h"

#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "manifest/trust_parts.h"

void trust_kept_done(struct kept *kept)
{
    free(kept->p);
    *kept = (struct kept){ 0 };
}

enum rc trust_kept_init(struct kept *ret, struct bytes envelope, struct bytes payload,
                        struct err *err)
{
    struct kept k = { .n = envelope.n };

    enum rc rc = sha256_of(payload, k.payload.b, err);
    if (rc != RC_OK)
        return rc;
    k.p = malloc(envelope.n);
    if (!k.p)
        return err_set(err, RC_NO_MEMORY, "envelope");
    memcpy(k.p, envelope.p, envelope.n);
    *ret = k;
    return RC_OK;
}

bool trust_same_payload(const struct kept *a, const struct kept *b)
{
    return memcmp(&a->payload, &b->payload, sizeof a->payload) == 0;
}

/* The strictest policy about any key that an envelope names as a signer's. */
static enum revoke_policy signers_policy(const struct trust *trust, const struct envelope *e)
{
    enum revoke_policy worst = REVOKE_NONE;

    for (uint32_t i = 0; i < e->n; i++) {
        enum revoke_policy p = revoked_key(&trust->revoked, e->signature[i].key_id.p);

        worst = p > worst ? p : worst;
    }
    return worst;
}

/* Have a role's keys vouch for an envelope: those that were revoked, with a policy beyond what is
 * tolerated, are no keys of the role any more.  RC_KEY_REVOKED: it would have done with them. */
enum rc trust_vouch(const struct trust *trust, const struct envelope *e, enum doc_type type,
                    const struct key_set *keys, enum revoke_policy tolerated, struct err *err)
{
    scoped(free_ptr) struct key_set *left = NULL;
    uint32_t n = 0;

    for (uint32_t i = 0; i < keys->n; i++)
        n += revoked_key(&trust->revoked, keys->key[i].id) <= tolerated;
    if (n == keys->n) /* as nearly always: no copy of the keys */
        return envelope_verify(e, type, &trust->root.mission, keys, err);
    if (n < keys->threshold)
        return err_set(err, RC_KEY_REVOKED, "%u keys of %u are left", n, keys->n);
    left = malloc(sizeof *left);
    if (!left)
        return err_set(err, RC_NO_MEMORY, "keys");
    left->threshold = keys->threshold;
    left->n = 0;
    for (uint32_t i = 0; i < keys->n; i++)
        if (revoked_key(&trust->revoked, keys->key[i].id) <= tolerated)
            left->key[left->n++] = keys->key[i];

    enum rc rc = envelope_verify(e, type, &trust->root.mission, left, err);
    if ((rc == RC_KEY_UNKNOWN || rc == RC_THRESHOLD) && signers_policy(trust, e) > tolerated)
        rc = err_set(err, RC_KEY_REVOKED, "%s", doc_type_name(type));
    return rc;
}

enum rc trust_cosigned(const struct trust *trust, const struct envelope *e, enum doc_type type,
                       enum revoke_policy tolerated, bool *ret, struct err *err)
{
    if (trust->root.safety_keys.n == 0) {
        *ret = false;
        return RC_OK;
    }
    enum rc rc = trust_vouch(trust, e, type, &trust->root.safety_keys, tolerated, err);

    *ret = rc == RC_OK;
    return rc == RC_KEY_UNKNOWN || rc == RC_THRESHOLD || rc == RC_KEY_REVOKED ? RC_OK : rc;
}

/* What the revocations say of something that these keys vouched for before. */
enum revoke_policy trust_judge(const struct trust *trust, const struct envelope *e,
                               enum doc_type type, const struct key_set *keys)
{
    if (trust_vouch(trust, e, type, keys, REVOKE_NONE, NULL) == RC_OK)
        return REVOKE_NONE;
    if (trust_vouch(trust, e, type, keys, REVOKE_KEEP, NULL) == RC_OK)
        return REVOKE_KEEP;
    return signers_policy(trust, e);
}

/* Open an envelope and have a role's keys vouch for it; nothing of the payload is read. */
enum rc trust_open_verified(const struct trust *trust, struct bytes bytes, enum doc_type type,
                            const struct key_set *keys, struct envelope *ret, struct err *err)
{
    enum rc rc = envelope_open(bytes, ret, err);

    if (rc == RC_OK)
        rc = trust_vouch(trust, ret, type, keys, REVOKE_NONE, err);
    return rc;
}

const struct root *trust_root(const struct trust *trust)
{
    return trust ? &trust->root : NULL;
}

const struct digest *trust_root_digest(const struct trust *trust)
{
    return &trust->root_kept.payload;
}

struct bytes trust_root_envelope(const struct trust *trust)
{
    return (struct bytes){ trust->root_kept.p, trust->root_kept.n };
}

void trust_free(struct trust **trust)
{
    struct trust *t = *trust;

    if (!t)
        return;
    for (size_t i = 0; i < t->n_grants; i++)
        trust_held_grant_free(&t->grant[i]);
    for (size_t i = 0; i < t->n_teams; i++)
        trust_held_team_free(&t->team[i]);
    trust_kept_done(&t->root_kept);
    free(t);
    *trust = NULL;
}
