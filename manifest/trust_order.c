/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/trust.h"
#include "manifest/trust_parts.h"

bool trust_position_counts(const struct trust *trust, const struct order_position *position)
{
    return position->generation > 0 && position->issued_ms >= trust->root.operator_since_ms;
}

const char *trust_needs_safety(const struct trust *trust, const struct order *order)
{
    for (uint32_t i = 0; i < order->n_lines; i++) {
        const struct grant *grant = trust_grant(trust, order->line[i].tenant);

        if (grant && grant->needs_safety)
            return grant->tenant;
    }
    return NULL;
}

enum rc trust_check_safety(const struct trust *trust, const struct order *order, bool cosigned,
                           struct err *err)
{
    const char *tenant = trust_needs_safety(trust, order);

    if (!tenant || cosigned)
        return RC_OK;
    if (trust->root.safety_keys.n == 0)
        return err_set(err, RC_SAFETY_MISSING, "%s: the root names no safety role", tenant);
    return err_set(err, RC_SAFETY_MISSING, "%s", tenant);
}

/* Against one that is on board already: RC_OK, it is a newer one; RC_EXISTS, it is that one. */
static enum rc check_newer(const struct verified_order *o, uint64_t generation,
                           const struct digest *digest, struct err *err)
{
    if (o->doc.generation > generation)
        return RC_OK;
    if (o->doc.generation < generation)
        return err_set(err, RC_ORDER_OLD, "order %" PRIu64, o->doc.generation);
    if (!digest)
        return err_set(err, RC_DIGEST_MISSING, "order on board");
    if (memcmp(digest, &o->digest, sizeof o->digest) != 0)
        return err_set(err, RC_EQUIVOCATION, "order %" PRIu64, generation);
    return RC_EXISTS;
}

static enum rc check_position(const struct trust *trust, const struct verified_order *o,
                              const struct order_position *position, uint64_t now_ms,
                              struct err *err)
{
    uint64_t generation = o->doc.generation;

    if (strcmp(o->doc.satellite, position->satellite) != 0)
        return err_set(err, RC_ORDER_TARGET, "order for %s", o->doc.satellite);
    enum rc rc = RC_OK;
    if (trust_position_counts(trust, position))
        rc = check_newer(o, position->generation, position->digest, err);
    if (rc == RC_OK && position->staged > 0)
        rc = check_newer(o, position->staged, position->staged_digest, err);
    if (rc != RC_OK)
        return rc == RC_EXISTS ? RC_OK : rc;
    if (trust_is_expired(trust, o->doc.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "order %" PRIu64, generation);
    if (trust_is_expired(trust, trust->root.expires_ms, now_ms))
        return err_set(err, RC_EXPIRED, "root");
    return RC_OK;
}

bool trust_orders_want_384(const struct trust *trust, bool cosigned)
{
    return key_set_wants_384(&trust->root.operator_keys) ||
           (cosigned && key_set_wants_384(&trust->root.safety_keys));
}

/* What a signature of such a suite rests on is named in SHA-384. */
static enum rc check_strong(const struct order *order, struct err *err)
{
    for (uint32_t i = 0; i < order->n_lines; i++) {
        if (digest384_is_none(&order->line[i].manifest384))
            return err_set(err, RC_DIGEST_WEAK, "order.line[%u]", i);
    }
    return RC_OK;
}

static enum rc verify_order(const struct trust *trust, struct bytes bytes,
                            const struct order_position *position, uint64_t now_ms,
                            struct verified_order *ret, struct err *err)
{
    const struct key_set *keys = &trust->root.operator_keys;
    struct envelope envelope;

    enum rc rc = envelope_open(bytes, &envelope, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, ret->digest.b, err);
    if (rc == RC_OK)
        rc = sha384_of(envelope.payload, ret->digest384.b, err);
    if (rc != RC_OK)
        return rc;
    ret->held = position->digest && memcmp(&ret->digest, position->digest, sizeof ret->digest) == 0;

    /* "keep": what is in force stays so, though its key has been revoked */
    const enum revoke_policy tolerated = ret->held ? REVOKE_KEEP : REVOKE_NONE;
    rc = trust_vouch(trust, &envelope, DOC_ORDER, keys, tolerated, err);
    if (rc == RC_OK)
        rc = trust_cosigned(trust, &envelope, DOC_ORDER, tolerated, &ret->cosigned, err);
    if (rc == RC_OK)
        rc = order_decode(envelope.payload, &ret->doc, err);
    /* A key that asks for it may have joined the safety role since this came into force. */
    if (rc == RC_OK && !ret->held && trust_orders_want_384(trust, ret->cosigned))
        rc = check_strong(&ret->doc, err);
    if (rc == RC_OK)
        rc = trust_check_operator_issued(trust, ret->doc.issued_ms, ret->held, err);
    if (rc == RC_OK)
        rc = check_position(trust, ret, position, now_ms, err);
    if (rc != RC_OK)
        return rc;
    ret->waits = ret->doc.staged;
    if (!ret->waits && !ret->held)
        rc = trust_check_safety(trust, &ret->doc, ret->cosigned, err);
    return rc;
}

enum rc trust_verify_order(struct trust *trust, struct bytes envelope,
                           const struct order_position *position, uint64_t now_ms,
                           struct verified_order **ret, struct err *err)
{
    scoped(verified_order_free) struct verified_order *o = NULL;

    if (!trust)
        return err_set(err, RC_TRUST_MISSING, "order");
    o = calloc(1, sizeof *o);
    if (!o)
        return err_set(err, RC_NO_MEMORY, "order");

    enum rc rc = verify_order(trust, envelope, position, now_ms, o, err);
    if (rc != RC_OK)
        return rc;
    trust_raise_floor(trust, o->doc.issued_ms);
    *ret = o;
    o = NULL;
    return RC_OK;
}

/* What the revocations say of one of the two documents; the safety role counts where it was asked
 * for. */
static enum revoke_policy judge(const struct trust *trust, const struct envelope *e,
                                enum doc_type type, bool safety)
{
    enum revoke_policy policy = trust_judge(trust, e, type, &trust->root.operator_keys);

    if (safety && trust->root.safety_keys.n > 0) {
        enum revoke_policy more = trust_judge(trust, e, type, &trust->root.safety_keys);

        policy = more > policy ? more : policy;
    }
    return policy;
}

enum revoke_policy trust_judge_order(const struct trust *trust, struct bytes bytes,
                                     struct bytes token)
{
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    struct envelope envelope;

    if (!trust || envelope_open(bytes, &envelope, NULL) != RC_OK)
        return REVOKE_NONE;
    bool safety = order && order_decode(envelope.payload, order, NULL) == RC_OK &&
                  trust_needs_safety(trust, order);
    enum revoke_policy policy = judge(trust, &envelope, DOC_ORDER, safety && token.n == 0);

    if (token.n > 0 && envelope_open(token, &envelope, NULL) == RC_OK) {
        enum revoke_policy more = judge(trust, &envelope, DOC_TOKEN, safety);

        policy = more > policy ? more : policy;
    }
    return policy;
}

void verified_order_free(struct verified_order **o)
{
    free(*o);
    *o = NULL;
}

const struct order *verified_order_get(const struct verified_order *o)
{
    return &o->doc;
}

const struct digest *verified_order_digest(const struct verified_order *o)
{
    return &o->digest;
}

bool verified_order_waits(const struct verified_order *o)
{
    return o->waits;
}

bool verified_order_cosigned(const struct verified_order *o)
{
    return o->cosigned;
}
