/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/name.h"

#define PREFIX "api-token:"
#define SECRET_PREFIX "berth_"
#define SECRET_LEN (sizeof SECRET_PREFIX - 1 + 2U * API_SECRET_SIZE)

static_assert(SECRET_LEN + 1 == API_SECRET_CAP, "a secret fits");

/* ---- as kept: "ROLE TENANT|- MADE EXPIRES HEX" ------------------------------------------------
 */

static void key_of(const char *name, char out[sizeof PREFIX + NAME_CAP])
{
    (void)snprintf(out, sizeof PREFIX + NAME_CAP, PREFIX "%s", name);
}

static bool read_time(const char *text, uint64_t *ret)
{
    size_t n = strspn(text, "0123456789");

    if (n == 0 || n > 18 || text[n] != '\0')
        return false;
    *ret = strtoull(text, NULL, 10);
    return true;
}

static bool read_token(const struct store_setting *row, struct api_token *ret)
{
    char text[sizeof row->value];
    const char *part[5];
    char *rest = text;
    size_t n = 0;

    *ret = (struct api_token){ 0 };
    (void)snprintf(text, sizeof text, "%s", row->value);
    for (char *word = strtok_r(rest, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (n == 5)
            return false;
        part[n++] = word;
    }
    const char *name = row->key + sizeof PREFIX - 1;

    if (n != 5 || !name_valid(name) || !api_role_from(part[0], &ret->who.role) ||
        !read_time(part[2], &ret->made_ms) || !read_time(part[3], &ret->expires_ms) ||
        !bytes_unhex(part[4], ret->hash.b, sizeof ret->hash.b))
        return false;
    (void)snprintf(ret->who.name, sizeof ret->who.name, "%s", name);
    if (ret->who.role != API_TENANT)
        return strcmp(part[1], "-") == 0;
    if (!name_valid(part[1]))
        return false;
    (void)snprintf(ret->who.tenant, sizeof ret->who.tenant, "%s", part[1]);
    return true;
}

static enum rc hash_of(const char *secret, struct digest *ret, struct err *err)
{
    return sha256_of((struct bytes){ .p = (const uint8_t *)secret, .n = SECRET_LEN }, ret->b, err);
}

/* ---- changes ----------------------------------------------------------------------------------
 */

static enum rc check_new(struct store *store, const struct api_who *who, struct err *err)
{
    char key[sizeof PREFIX + NAME_CAP];
    char value[STORE_PATH_CAP];
    scoped(free_ptr) struct store_setting *rows = NULL;
    size_t n = 0;

    if (!name_valid(who->name))
        return err_set(err, RC_NAME, "name of a token");
    if ((who->role == API_TENANT) != (who->tenant[0] != '\0'))
        return err_set(err, RC_VALUE, "a token of role tenant, and no other, has a tenant");
    if (who->tenant[0] != '\0' && !name_valid(who->tenant))
        return err_set(err, RC_NAME, "tenant of a token");
    key_of(who->name, key);
    enum rc rc = store_get(store, key, value, sizeof value, err);

    if (rc == RC_OK)
        return err_set(err, RC_EXISTS, "token '%s'", who->name);
    if (rc == RC_NOT_FOUND)
        rc = store_settings(store, PREFIX, &rows, &n, err);
    if (rc == RC_OK && n >= API_TOKENS_MAX)
        return err_set(err, RC_API_LIMIT, "there are %u tokens", API_TOKENS_MAX);
    return rc;
}

enum rc api_token_make(struct store *store, const struct api_who *who,
                       const uint8_t random[API_SECRET_SIZE], uint64_t now_ms, uint64_t expires_ms,
                       char ret_secret[API_SECRET_CAP], struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    char hex[2U * API_SECRET_SIZE + 1U];
    char key[sizeof PREFIX + NAME_CAP];
    char value[STORE_PATH_CAP];
    struct digest hash;
    enum rc rc = store_join(store, &open, err);

    if (rc == RC_OK)
        rc = check_new(store, who, err);
    (void)snprintf(ret_secret, API_SECRET_CAP, SECRET_PREFIX "%s",
                   bytes_hex((struct bytes){ .p = random, .n = API_SECRET_SIZE }, hex));
    if (rc == RC_OK)
        rc = hash_of(ret_secret, &hash, err);
    if (rc == RC_OK) {
        key_of(who->name, key);
        (void)snprintf(value, sizeof value, "%s %s %" PRIu64 " %" PRIu64 " %s",
                       api_role_name(who->role), who->tenant[0] ? who->tenant : "-", now_ms,
                       expires_ms,
                       bytes_hex((struct bytes){ .p = hash.b, .n = sizeof hash.b }, hex));
        rc = store_set(store, key, value, err);
    }
    if (rc == RC_OK)
        rc = store_audit(store, NULL, "token-new", now_ms, err, "%s role %s%s%s", who->name,
                         api_role_name(who->role), who->tenant[0] ? " tenant " : "", who->tenant);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc != RC_OK)
        explicit_bzero(ret_secret, API_SECRET_CAP);
    explicit_bzero(hex, sizeof hex);
    return rc;
}

enum rc api_token_revoke(struct store *store, const char *name, uint64_t now_ms, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    char key[sizeof PREFIX + NAME_CAP];
    char value[STORE_PATH_CAP];

    if (!name_valid(name))
        return err_set(err, RC_NAME, "name of a token");
    key_of(name, key);
    enum rc rc = store_join(store, &open, err);

    if (rc == RC_OK)
        rc = store_get(store, key, value, sizeof value, err);
    if (rc == RC_OK)
        rc = store_unset(store, key, err);
    if (rc == RC_OK)
        rc = store_audit(store, NULL, "token-revoke", now_ms, err, "%s", name);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

enum rc api_token_list(struct store *store, struct api_token **ret, size_t *ret_n, struct err *err)
{
    scoped(free_ptr) struct store_setting *rows = NULL;
    size_t n = 0;
    enum rc rc = store_settings(store, PREFIX, &rows, &n, err);

    if (rc != RC_OK)
        return rc;
    struct api_token *list = calloc(n + 1, sizeof *list);

    if (!list)
        return err_set(err, RC_NO_MEMORY, "tokens");
    *ret_n = 0;
    for (size_t i = 0; i < n; i++)
        *ret_n += read_token(&rows[i], &list[*ret_n]);
    *ret = list;
    return RC_OK;
}

enum rc api_token_hash(const char *secret, struct digest *ret, struct err *err)
{
    if (!secret || strnlen(secret, SECRET_LEN + 1) != SECRET_LEN ||
        strncmp(secret, SECRET_PREFIX, sizeof SECRET_PREFIX - 1) != 0)
        return err_set(err, RC_API_AUTH, "token");
    return hash_of(secret, ret, err);
}

enum rc api_token_find(struct store *store, const char *secret, uint64_t now_ms,
                       struct api_who *ret, struct err *err)
{
    scoped(free_ptr) struct api_token *list = NULL;
    struct digest hash;
    size_t n = 0;
    bool found = false;

    enum rc rc = api_token_hash(secret, &hash, err);

    if (rc == RC_OK)
        rc = api_token_list(store, &list, &n, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (crypto_equal((struct bytes){ .p = list[i].hash.b, .n = sizeof hash.b },
                         (struct bytes){ .p = hash.b, .n = sizeof hash.b }) &&
            (list[i].expires_ms == 0 || now_ms < list[i].expires_ms)) {
            *ret = list[i].who;
            found = true;
        }
    }
    return found ? RC_OK : err_set(err, RC_API_AUTH, "token");
}
