/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/activation.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/envelope.h"
#include "manifest/suite.h"

#define DAY_MS (24ULL * 3600 * 1000)
#define LIFE_DAYS_MAX 3650U

enum rc activation_life(const struct cli *cli, uint64_t *ret_ms, struct err *err)
{
    uint64_t days = ACTIVATION_LIFE_MS / DAY_MS;
    enum rc rc = cli_number(cli, "token-life", days, 1, LIFE_DAYS_MAX, &days, err);

    if (rc == RC_OK)
        *ret_ms = days * DAY_MS;
    return rc;
}

enum rc activation_ring(const struct keyring *a, const struct keyring *b, struct keyring *ret,
                        struct err *err)
{
    struct keyring both = { .n = a->n + b->n };

    if (both.n > SIGNERS_MAX)
        return err_set(err, RC_THRESHOLD, "%zu keys, at most %u may sign", both.n, SIGNERS_MAX);
    for (size_t i = 0; i < a->n; i++)
        both.key[i] = a->key[i];
    for (size_t i = 0; i < b->n; i++)
        both.key[a->n + i] = b->key[i];
    *ret = both;
    return RC_OK;
}

enum rc activation_name(const struct trust *trust, struct bytes order_payload, struct token *ret,
                        struct err *err)
{
    const struct root *root = trust_root(trust);
    enum rc rc = sha256_of(order_payload, ret->order.b, err);

    if (rc == RC_OK &&
        (key_set_wants_384(&root->operator_keys) || key_set_wants_384(&root->safety_keys)))
        rc = sha384_of(order_payload, ret->order384.b, err);
    return rc;
}

enum rc activation_token(const struct trust *trust, struct bytes order_envelope, uint64_t issued_ms,
                         uint64_t life_ms, struct token *ret, struct err *err)
{
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    struct token token = { .issued_ms = issued_ms, .expires_ms = issued_ms + life_ms };
    struct envelope envelope;
    enum rc rc =
        order ? envelope_open(order_envelope, &envelope, err) : err_set(err, RC_NO_MEMORY, "order");

    if (rc == RC_OK)
        rc = order_decode(envelope.payload, order, err);
    if (rc == RC_OK)
        rc = activation_name(trust, envelope.payload, &token, err);
    if (rc != RC_OK)
        return rc;
    memcpy(token.satellite, order->satellite, sizeof token.satellite);
    token.generation = order->generation;
    *ret = token;
    return RC_OK;
}

enum rc activation_sign(const struct trust *trust, const struct keyring *ring,
                        const struct token *token, uint8_t **ret, size_t *ret_n, struct err *err)
{
    uint8_t buf[TOKEN_MAX];
    struct bytes payload = { 0 };
    enum rc rc = token_encode(token, buf, sizeof buf, &payload, err);

    return rc == RC_OK ? keyring_sign(ring, DOC_TOKEN, &trust_root(trust)->mission, payload, ret,
                                      ret_n, err)
                       : rc;
}

enum rc activation_keep(const struct home *home, struct trust *trust, struct bytes order_envelope,
                        struct bytes token_envelope, uint64_t now_ms, struct err *err)
{
    scoped(verified_order_free) struct verified_order *order = NULL;
    scoped(verified_token_free) struct verified_token *token = NULL;
    struct store_token row = { .size = token_envelope.n };
    struct token claimed = { 0 };
    struct order_position position = { 0 };
    char path[HOME_OBJECT_CAP];
    /* for whom and what it is; the verifier then judges whether that is so */
    enum rc rc = activation_token(trust, order_envelope, 1, 1, &claimed, err);

    position.satellite = claimed.satellite;
    if (rc == RC_OK)
        rc = trust_verify_order(trust, order_envelope, &position, now_ms, &order, err);
    if (rc != RC_OK)
        return rc;
    position.staged = claimed.generation;
    position.staged_digest = verified_order_digest(order);
    rc = trust_verify_token(trust, token_envelope, &position, now_ms, &token, err);
    if (rc == RC_OK)
        rc = trust_activate(trust, order, token, err);
    if (rc == RC_OK)
        rc = home_add_bytes(home, token_envelope, &row.object, path, err);
    if (rc != RC_OK)
        return rc;
    memcpy(row.satellite, claimed.satellite, sizeof row.satellite);
    row.generation = claimed.generation;
    row.expires_ms = verified_token_get(token)->expires_ms;
    return store_put_token(home->store, &row, err);
}
