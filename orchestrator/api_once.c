/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_once.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "orchestrator/api_token.h"

static bool is_key(const char *key)
{
    const size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                 "._~+/=:-");

    return n > 0 && n < STORE_ONCE_KEY_CAP && key[n] == '\0';
}

/* All of the request that says what is to be done and how it is to be answered. */
static enum rc digest_of(const struct api_request *q, struct digest *ret, struct err *err)
{
    const uint8_t printed = q->printed ? 1 : 0;
    const struct bytes head[] = {
        bytes_of(q->method), bytes_of(q->path), { &printed, sizeof printed }, q->body
    };
    scoped(sha256_free) struct sha256 *h = NULL;
    enum rc rc = sha256_new(&h, err);

    for (size_t i = 0; rc == RC_OK && i < sizeof head / sizeof head[0]; i++)
        rc = sha256_add_part(h, head[i], err);
    for (size_t i = 0; rc == RC_OK && i < q->n_params; i++) {
        rc = sha256_add_part(h, bytes_of(q->param[i].name), err);
        if (rc == RC_OK)
            rc = sha256_add_part(h, bytes_of(q->param[i].value ? q->param[i].value : ""), err);
    }
    return rc == RC_OK ? sha256_end(h, ret->b, err) : rc;
}

/* A constant for what the store has as text. */
static const char *type_of(const char *text)
{
    return strcmp(text, API_PRINTED) == 0 ? API_PRINTED : API_JSON;
}

enum rc api_once_begin(struct store *store, const char *secret, const char *key,
                       const struct api_request *request, uint64_t now_ms, struct store_once *ret,
                       struct api_answer *ret_kept, struct err *err)
{
    scoped(free_ptr) uint8_t *text = NULL;
    struct store_once once = { .at_ms = now_ms }, before;
    size_t n = 0;
    bool first = false;

    *ret_kept = (struct api_answer){ 0 };
    if (!is_key(key))
        return err_set(err, RC_API_REQUEST, "Idempotency-Key is 1 to %u of A-Z a-z 0-9 ._~+/=:-",
                       STORE_ONCE_KEY_CAP - 1U);
    (void)snprintf(once.key, sizeof once.key, "%s", key);
    enum rc rc = api_token_hash(secret, &once.token, err);

    if (rc == RC_OK)
        rc = digest_of(request, &once.request, err);
    if (rc == RC_OK)
        rc = store_once_begin(store, &once,
                              &(struct store_once_limits){ .ms = API_ONCE_MS,
                                                           .each = API_ONCE_EACH,
                                                           .all = API_ONCE_ALL,
                                                           .text = API_ONCE_TEXT_MAX },
                              &first, &before, &text, &n, err);
    if (rc != RC_OK)
        return rc;
    if (!first && memcmp(&before.request, &once.request, sizeof once.request) != 0)
        return err_set(err, RC_API_KEY, "%s", key);
    if (!first && (before.status == 0 || n == 0))
        return err_set(err, RC_API_KEY_OPEN, "%s: %s", key,
                       before.status == 0 ? "begun" : "done, with an answer that is not kept");
    *ret = once;
    if (first)
        return RC_OK;
    *ret_kept = (struct api_answer){
        .status = before.status, .type = type_of(before.type), .text = (char *)text, .n = n
    };
    text = NULL;
    return RC_OK;
}

/* The last lines, within so many bytes. */
static const char *end_of(const char *text, size_t max)
{
    const size_t n = strlen(text);

    if (n <= max)
        return text;
    const char *line = strchr(text + n - max, '\n');

    return line ? line + 1 : "";
}

void api_once_shorten(const struct api_answer *answer, struct api_answer *ret)
{
    json_t *root = json_loadb(answer->text, answer->n, 0, NULL);
    const char *name, *out = json_string_value(json_object_get(root, "out"));
    const bool printed = strcmp(answer->type, API_PRINTED) == 0;
    json_t *value;
    void *next;

    *ret = (struct api_answer){ .status = answer->status, .type = answer->type };
    if (out && printed) /* a character may become six */
        (void)json_object_set_new(root, "out", json_string(end_of(out, API_ONCE_TEXT_MAX / 8)));
    json_object_foreach_safe(root, next, name, value)
    {
        if (!printed && (json_is_object(value) || json_is_array(value)) &&
            strcmp(name, "rollouts") != 0)
            (void)json_object_del(root, name);
    }
    ret->text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    ret->n = ret->text ? strlen(ret->text) : 0;
    json_decref(root);
}

enum rc api_once_end(struct store *store, const struct store_once *once,
                     const struct api_answer *answer, struct err *err)
{
    struct store_once row = *once;
    const bool small = answer->n <= API_ONCE_TEXT_MAX;

    row.status = answer->status;
    (void)snprintf(row.type, sizeof row.type, "%s", answer->type);
    return store_once_end(
        store, &row, (struct bytes){ (const uint8_t *)answer->text, small ? answer->n : 0 }, err);
}
