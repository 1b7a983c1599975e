/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/api_token: who may use the API.  A token is 256 random bits that its owner keeps;
 * the store keeps their SHA-256, a role, and until when it counts, as a setting
 * "api-token:NAME".  A store that leaks gives nobody away.
 */
#ifndef BERTH_ORCHESTRATOR_API_TOKEN_H
#define BERTH_ORCHESTRATOR_API_TOKEN_H

#include "manifest/doc.h"
#include "orchestrator/api.h"
#include "orchestrator/store.h"

#define API_SECRET_SIZE 32U
#define API_SECRET_CAP 71U /* "berth_", 64 hex digits, NUL */
#define API_TOKENS_MAX 1000U

struct api_token {
    struct api_who who;
    uint64_t made_ms, expires_ms; /* Unix time; expires 0 = never */
    struct digest hash;
};

/* Make one of these random bits and keep it, with an entry of the audit log: all or nothing.
 * ret_secret is the only copy there will be.  RC_EXISTS, RC_NAME, RC_VALUE (a tenant where the role
 * has none, or none where it must), RC_API_LIMIT (too many). */
must_check enum rc api_token_make(struct store *store, const struct api_who *who,
                                  const uint8_t random[API_SECRET_SIZE], uint64_t now_ms,
                                  uint64_t expires_ms, char ret_secret[API_SECRET_CAP],
                                  struct err *err);

/* Forget one, with an entry of the audit log.  RC_NOT_FOUND. */
must_check enum rc api_token_revoke(struct store *store, const char *name, uint64_t now_ms,
                                    struct err *err);

/* All of them, by name; the caller frees *ret.  One that cannot be read is left out: it opens
 * nothing. */
must_check enum rc api_token_list(struct store *store, struct api_token **ret, size_t *ret_n,
                                  struct err *err);

/* What the store knows a secret by.  RC_API_AUTH: it has not the form of one. */
must_check enum rc api_token_hash(const char *secret, struct digest *ret, struct err *err);

/* Whose secret this is, now.  RC_API_AUTH, whatever is wrong with it. */
must_check enum rc api_token_find(struct store *store, const char *secret, uint64_t now_ms,
                                  struct api_who *ret, struct err *err);

#endif
