/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "manifest/trust.h"
#include "manifest/trust_parts.h"

struct verified_token {
    struct token doc;
    bool cosigned; /* by the safety role */
};

static bool is_about(const struct token *token, uint64_t generation, const struct digest *digest)
{
    return digest && token->generation == generation &&
           memcmp(digest, &token->order, sizeof token->order) == 0;
}

/* The token of what is in force was in time when it came. */
static bool is_held(const struct trust *trust, const struct token *token,
                    const struct order_position *position)
{
    return trust_position_counts(trust, position) &&
           is_about(token, position->generation, position->digest);
}

static enum rc check_target(const struct trust *trust, const struct token *token,
                            const struct order_position *position, uint64_t now_ms, struct err *err)
{
    uint64_t newest = trust_position_counts(trust, position) ? position->generation : 0;

    if (strcmp(token->satellite, position->satellite) != 0)
        return err_set(err, RC_TOKEN_TARGET, "token for %s", token->satellite);
    if (is_held(trust, token, position))
        return RC_OK;
    if (trust_is_expired(trust, token->expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "token for order %" PRIu64, token->generation);
    if (trust_is_expired(trust, trust->root.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "root");
    if (position->staged > 0 && is_about(token, position->staged, position->staged_digest))
        return RC_OK;
    if (position->staged > newest)
        newest = position->staged;
    if (token->generation > newest)
        return err_set(err, RC_TOKEN_EARLY, "order %" PRIu64, token->generation);
    return err_set(err, RC_TOKEN_TARGET, "order %" PRIu64, token->generation);
}

/* "keep": what a revoked key has put into force stays so; nothing else is read of its token. */
static enum rc vouch(const struct trust *trust, const struct envelope *e, bool *ret_waning,
                     struct err *err)
{
    const struct key_set *keys = &trust->root.operator_keys;
    enum rc rc = trust_vouch(trust, e, DOC_TOKEN, keys, REVOKE_NONE, err);

    *ret_waning = rc == RC_KEY_REVOKED;
    return *ret_waning ? trust_vouch(trust, e, DOC_TOKEN, keys, REVOKE_KEEP, err) : rc;
}

static enum rc verify_token(const struct trust *trust, struct bytes bytes,
                            const struct order_position *position, uint64_t now_ms,
                            struct verified_token *ret, struct err *err)
{
    struct envelope envelope;
    bool waning = false;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = vouch(trust, &envelope, &waning, err);
    if (rc == RC_OK)
        rc = token_decode(envelope.payload, &ret->doc, err);
    if (rc != RC_OK)
        return rc;
    const bool held = is_held(trust, &ret->doc, position);

    if (waning && !held)
        return err_set(err, RC_KEY_REVOKED, "token");
    rc = trust_cosigned(trust, &envelope, DOC_TOKEN, held ? REVOKE_KEEP : REVOKE_NONE,
                        &ret->cosigned, err);
    if (rc == RC_OK && !held && trust_orders_want_384(trust, ret->cosigned) &&
        digest384_is_none(&ret->doc.order384))
        rc = err_set(err, RC_DIGEST_WEAK, "token.order");
    if (rc == RC_OK)
        rc = trust_check_operator_issued(trust, ret->doc.issued_ms, held, err);
    if (rc == RC_OK)
        rc = check_target(trust, &ret->doc, position, now_ms, err);
    return rc;
}

enum rc trust_verify_token(struct trust *trust, struct bytes envelope,
                           const struct order_position *position, uint64_t now_ms,
                           struct verified_token **ret, struct err *err)
{
    scoped(verified_token_free) struct verified_token *t = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "token");
    t = calloc(1, sizeof *t);
    if (!t)
        return err_set(err, RC_NO_MEMORY, "token");

    enum rc rc = verify_token(trust, envelope, position, now_ms, t, err);
    if (rc != RC_OK)
        return rc;
    trust_raise_floor(trust, t->doc.issued_ms);
    *ret = t;
    t = NULL;
    return RC_OK;
}

void verified_token_free(struct verified_token **t)
{
    free(*t);
    *t = NULL;
}

const struct token *verified_token_get(const struct verified_token *t)
{
    return &t->doc;
}

enum rc trust_activate(const struct trust *trust, struct verified_order *order,
                       const struct verified_token *token, struct err *err)
{
    if (!order->doc.staged || !is_about(&token->doc, order->doc.generation, &order->digest) ||
        strcmp(token->doc.satellite, order->doc.satellite) != 0)
        return err_set(err, RC_TOKEN_TARGET, "order %" PRIu64, order->doc.generation);
    if (!digest384_is_none(&token->doc.order384) &&
        memcmp(&token->doc.order384, &order->digest384, sizeof order->digest384) != 0)
        return err_set(err, RC_TOKEN_TARGET, "order %" PRIu64 ": SHA-384", order->doc.generation);
    enum rc rc = order->held ? RC_OK : trust_check_safety(trust, &order->doc, token->cosigned, err);

    if (rc != RC_OK)
        return rc;
    order->waits = false;
    order->cosigned = token->cosigned;
    return RC_OK;
}
