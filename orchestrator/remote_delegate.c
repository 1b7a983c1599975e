/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/remote_delegate.h"

#include <stdlib.h>

#include "base/base64.h"
#include "base/name.h"
#include "orchestrator/api.h"
#include "orchestrator/fetch.h"
#include "orchestrator/remote_orders.h"

#define TRUST_MAX ((size_t)4 * 1024 * 1024)
#define PATH_CAP 64U
/* Epochs are seconds of a clock unless somebody says another one.  Above one that a ground makes up
 * far in the future there is no other: whoever signs the next would end the team's epochs. */
#define FAR_S (UINT64_C(10) * 366 * 24 * 3600)

static bool is_text(const json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value && strcmp(value, text) == 0;
}

static bool has_key(const json_t *grant, const struct public_key *const *keys, size_t n_keys)
{
    const json_t *list = json_object_get(grant, "keys"), *one;
    char hex[2 * KEY_ID_SIZE + 1];
    size_t i;

    for (size_t k = 0; k < n_keys; k++) {
        (void)bytes_hex((struct bytes){ keys[k]->id, KEY_ID_SIZE }, hex);
        json_array_foreach(list, i, one) if (json_is_string(one) &&
                                             strcmp(json_string_value(one), hex) == 0) return true;
    }
    return false;
}

static enum rc check(const json_t *root, const struct mission *mission,
                     const struct delegation *doc, const struct public_key *const *keys,
                     size_t n_keys, struct err *err)
{
    char hex[2 * MISSION_SIZE + 1];
    const json_t *grant = NULL, *one;
    size_t i;

    if (!json_is_array(json_object_get(root, "grants")) ||
        !json_is_array(json_object_get(root, "teams")))
        return err_set(err, RC_API_SERVER, "trust makes no sense");
    if (!is_text(root, "mission", bytes_hex((struct bytes){ mission->b, sizeof mission->b }, hex)))
        return err_set(err, RC_MISSION, "the ground has another than the root that is signed for");
    json_array_foreach(json_object_get(root, "grants"), i,
                       one) if (is_text(one, "tenant", doc->tenant)) grant = one;
    if (!grant)
        return err_set(err, RC_GRANT_MISSING, "%s", doc->tenant);
    if (team_depth(doc->team) == 1 && !has_key(grant, keys, n_keys))
        return err_set(err, RC_KEY_UNKNOWN, "none of these keys is one of %s", doc->tenant);
    json_array_foreach(json_object_get(root, "teams"), i, one)
    {
        const json_int_t epoch = json_integer_value(json_object_get(one, "epoch"));

        if (!is_text(one, "tenant", doc->tenant) || !is_text(one, "team", doc->team) || epoch < 0 ||
            (uint64_t)epoch < doc->epoch)
            continue;
        if ((uint64_t)epoch > doc->issued_ms / 1000U + FAR_S)
            return err_set(err, RC_API_SERVER, "epoch %lld of %s/%s makes no sense",
                           (long long)epoch, doc->tenant, doc->team);
        return err_set(err, RC_VERSION_OLD, "%s/%s has epoch %lld", doc->tenant, doc->team,
                       (long long)epoch);
    }
    return RC_OK;
}

enum rc remote_delegate_check( // NOLINT(readability-function-size): what came, against what
    unsigned status, struct bytes body, const struct mission *mission, const struct delegation *doc,
    const struct public_key *const *keys, size_t n_keys, char ret_fix[REMOTE_FIX_CAP],
    struct err *err)
{
    ret_fix[0] = '\0';
    if (body.n > TRUST_MAX)
        return err_set(err, RC_API_LIMIT, "answer");
    json_t *root = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
    enum rc rc = status == 200 ? check(root, mission, doc, keys, n_keys, err)
                               : remote_error(status, root, ret_fix, err);

    json_decref(root);
    return rc;
}

enum rc remote_delegate_ask( // NOLINT(readability-function-size): as above
    struct cli *cli, const struct mission *mission, const struct delegation *doc,
    const struct public_key *const *keys, size_t n_keys, char ret_fix[REMOTE_FIX_CAP],
    struct err *err)
{
    scoped(fetched_done) struct fetched got = { 0 };
    const struct fetch fetch = { .method = "GET",
                                 .path = "/v1/trust",
                                 .accept = "application/json" };

    ret_fix[0] = '\0';
    enum rc rc = fetch_run(cli->context, &fetch, &got, err);

    return rc == RC_OK ? remote_delegate_check(got.status, got.body, mission, doc, keys, n_keys,
                                               ret_fix, err)
                       : rc;
}

int remote_delegate_give(struct cli *cli, struct bytes envelope)
{
    scoped(remote_answer_done) struct remote_answer answer = { 0 };
    scoped(fetched_done) struct fetched got = { 0 };
    scoped(free_ptr) char *text = malloc(BASE64_LEN(envelope.n) + 1);
    scoped(free_ptr) char *body = NULL;
    char key[REMOTE_KEY_CAP], fix[REMOTE_FIX_CAP] = "", path[PATH_CAP];
    struct err err = { 0 };
    enum rc rc = text ? remote_key(key, &err) : err_set(&err, RC_NO_MEMORY, "delegation");

    if (rc == RC_OK) {
        base64_encode(envelope, text);
        rc = asprintf(&body, "{\"bytes\":\"%s\"}", text) < 0
                 ? err_set(&err, RC_NO_MEMORY, "delegation")
                 : RC_OK;
    }
    if (rc != RC_OK)
        return cli_fail(cli, &err, NULL);
    (void)snprintf(path, sizeof path, "/v1/delegations?form=%s", cli_form_name(cli->form));
    const struct fetch fetch = { .method = "POST",
                                 .path = path,
                                 .accept = API_PRINTED,
                                 .idempotency = key,
                                 .body = bytes_of(body) };

    rc = remote_insist(cli, &fetch, &got, &err);
    if (rc == RC_OK)
        rc = remote_answer_parse(got.status, got.body, &answer, fix, &err);
    return rc == RC_OK ? remote_print(cli, &answer) : remote_fail(cli, &err, fix);
}
