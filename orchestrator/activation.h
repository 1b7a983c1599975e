/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/activation: tokens on the ground: made beside a staged order, judged as the
 * satellite will judge them, and kept until the wave of the satellite opens.
 */
#ifndef BERTH_ORCHESTRATOR_ACTIVATION_H
#define BERTH_ORCHESTRATOR_ACTIVATION_H

#include "manifest/trust.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"

#define ACTIVATION_LIFE_MS (30ULL * 24 * 3600 * 1000) /* unless --token-life says otherwise */

/* For the option tables of commands that sign tokens. */
#define ACTIVATION_OPTIONS                                                                         \
    { "safety-key", CLI_LIST, "FILE",                                                              \
      "safety keys: co-sign for tenants of berth grant --safety" },                                \
    {                                                                                              \
        "token-life", CLI_TEXT, "DAYS", "how long tokens are good for (else 30 days)"              \
    }

/* Read --token-life. */
must_check enum rc activation_life(const struct cli *cli, uint64_t *ret_ms, struct err *err);

/* The keys of both rings together; views, not to be freed.  RC_THRESHOLD: too many. */
must_check enum rc activation_ring(const struct keyring *a, const struct keyring *b,
                                   struct keyring *ret, struct err *err);

/* The token that names the payload of a staged order: in SHA-384, too, where a role that decides
 * asks for that. */
must_check enum rc activation_name(const struct trust *trust, struct bytes order_payload,
                                   struct token *ret, struct err *err);

/* The token of a staged order. */
must_check enum rc activation_token(const struct trust *trust, struct bytes order_envelope,
                                    uint64_t issued_ms, uint64_t life_ms, struct token *ret,
                                    struct err *err);

/* Encode a token and sign it with every key of the ring; the caller frees *ret. */
must_check enum rc activation_sign(const struct trust *trust, const struct keyring *ring,
                                   const struct token *token, uint8_t **ret, size_t *ret_n,
                                   struct err *err);

/* Judge both documents as the satellite will, and keep the token in the store (which must be inside
 * a transaction).  Codes are those of the verifier. */
must_check enum rc activation_keep(const struct home *home, struct trust *trust,
                                   struct bytes order_envelope, struct bytes token_envelope,
                                   uint64_t now_ms, struct err *err);

#endif
