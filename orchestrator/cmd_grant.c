/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_grant: the operator says what a tenant may use, and which keys speak for it.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/name.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/fix.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"
#include "orchestrator/offline.h"
#include "orchestrator/path.h"
#include "orchestrator/quota.h"

static enum rc read_quota(const char *path, uint64_t now_ms, struct grant *grant, struct err *err)
{
    struct quota q = { 0 };
    enum rc rc = quota_read(path, &q, err);

    if (rc != RC_OK)
        return rc;
    memcpy(grant->prefix, q.prefix, sizeof grant->prefix);
    grant->total = q.total;
    grant->store_bytes = q.store_bytes;
    grant->payloads_max = q.payloads_max;
    grant->may = q.may;
    grant->expires_ms = q.lifetime_ms == 0 ? 0 : now_ms + q.lifetime_ms;
    return RC_OK;
}

/* One higher than the one held. */
static enum rc next_epoch(const struct home *home, const char *tenant, uint64_t *ret,
                          struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(home->store, DOC_GRANT, &names, &n, err);

    if (rc != RC_OK)
        return rc;
    *ret = 1;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i].name, tenant) == 0)
            *ret = names[i].version + 1;
    }
    return RC_OK;
}

static enum rc sign_grant(struct cli *cli, const struct home *home, struct trust *trust,
                          const struct grant *grant, uint8_t **ret, size_t *ret_n, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *envelope = NULL;
    char path[HOME_PATH_CAP];
    struct bytes payload = { 0 };
    bool given = cli_value(cli, "key") != NULL || cli_value(cli, "signer-key") != NULL;
    size_t n = 0;
    enum rc rc = buf ? grant_encode(grant, buf, DOCUMENT_MAX, &payload, err)
                     : err_set(err, RC_NO_MEMORY, "grant");

    if (rc == RC_OK && !given)
        rc = home_operator_key(home, path, sizeof path, err);
    if (rc == RC_OK)
        rc = keyring_load(cli, "key", given ? NULL : path, &ring, err);
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_GRANT, &trust_root(trust)->mission, payload, &envelope, &n,
                          err);
    if (rc == RC_OK) /* as every satellite will see it */
        rc = trust_add_grant(trust, (struct bytes){ .p = envelope, .n = n }, grant->issued_ms, err);
    if (rc == RC_OK) {
        *ret = envelope;
        *ret_n = n;
        envelope = NULL;
    }
    return rc;
}

static enum rc keep(const struct home *home, const struct grant *grant, struct bytes envelope,
                    size_t *ret_queued, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    const struct home_document doc = {
        .type = DOC_GRANT, .name = grant->tenant, .version = grant->epoch, .envelope = envelope
    };
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = home_publish(home, &doc, grant->issued_ms, ret_queued, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "grant", grant->issued_ms, err,
                         "tenant %s epoch %llu to %zu satellites", grant->tenant,
                         (unsigned long long)grant->epoch, *ret_queued);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static enum rc fill(struct cli *cli, const struct home *home, struct grant *grant, struct err *err)
{
    const char *quota = cli_value(cli, "quota");
    uint64_t threshold = 0;
    enum rc rc = RC_OK;

    grant->issued_ms = clock_unix_ms();
    (void)snprintf(grant->tenant, sizeof grant->tenant, "%s", cli_arg(cli, 0));
    if (!name_valid(cli_arg(cli, 0)))
        rc = err_set(err, RC_NAME, "%s", cli_arg(cli, 0));
    if (rc == RC_OK && !quota)
        rc = err_set(err, RC_USAGE, "--quota is missing");
    if (rc == RC_OK)
        rc = cli_number(cli, "threshold", 0, 1, ROLE_KEYS_MAX, &threshold, err);
    grant->needs_safety = cli_flag(cli, "safety");
    grant->agent = cli_flag(cli, "agent");
    if (rc == RC_OK && grant->agent && strcmp(grant->tenant, AGENT_TENANT) != 0)
        rc = err_set(err, RC_USAGE, "--agent is for the tenant " AGENT_TENANT " only");
    if (rc == RC_OK)
        rc = keys_set(cli, "keys", threshold, &grant->keys, err);
    if (rc == RC_OK)
        rc = read_quota(quota, grant->issued_ms, grant, err);
    return rc == RC_OK ? next_epoch(home, grant->tenant, &grant->epoch, err) : rc;
}

/* ---- with the operator keys offline ---- */

static void request_name(const char *tenant, char out[NAME_CAP + 8])
{
    (void)snprintf(out, NAME_CAP + 8, "grant-%s", tenant);
}

static enum rc write_request(struct cli *cli, const struct trust *trust, const struct grant *grant,
                             char path[PATH_MAX], struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct request request = { .type = DOC_GRANT, .mission = trust_root(trust)->mission };
    char name[NAME_CAP + 8];
    enum rc rc = buf ? grant_encode(grant, buf, DOCUMENT_MAX, &request.payload, err)
                     : err_set(err, RC_NO_MEMORY, "grant");

    request_name(grant->tenant, name);
    return rc == RC_OK ? offline_write(cli_value(cli, "request"), name, &request, path, err) : rc;
}

static int run_ask(struct cli *cli, const struct trust *trust, const struct grant *grant)
{
    const struct key_set *keys = &trust_root(trust)->operator_keys;
    char path[PATH_MAX];
    struct err err;

    if (write_request(cli, trust, grant, path, &err) != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(err.rc, "berth grant --help"));
    cli_say(cli, "%s: grant for %s, epoch %llu; %u of %u operator keys must sign it", path,
            grant->tenant, (unsigned long long)grant->epoch, keys->threshold, keys->n);
    cli_note(cli,
             "carry it to each signer: berth sign %s --key KEY; then berth grant %s --attach %s",
             path, grant->tenant, cli_value(cli, "request"));
    return cli_json(cli, json_pack("{s:o}", "file", json_safe(path)));
}

/* The grant that was asked about, to the byte, verified as every satellite will. */
static enum rc collect_grant(struct cli *cli, struct trust *trust, struct grant *ret,
                             uint8_t **ret_envelope, size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    char name[NAME_CAP + 8];
    enum rc rc = name_valid(cli_arg(cli, 0)) ? RC_OK : err_set(err, RC_NAME, "%s", cli_arg(cli, 0));

    if (rc != RC_OK)
        return rc;
    request_name(cli_arg(cli, 0), name);
    rc = offline_collect(cli_value(cli, "attach"), name, DOC_GRANT, &offline, ret_envelope, ret_n,
                         err);
    if (rc == RC_OK)
        rc = grant_decode(offline.request.payload, ret, err);
    if (rc == RC_OK && strcmp(ret->tenant, cli_arg(cli, 0)) != 0)
        rc = err_set(err, RC_NAME, "the request is for tenant %s", ret->tenant);
    return rc == RC_OK ? trust_add_grant(trust, (struct bytes){ *ret_envelope, *ret_n },
                                         clock_unix_ms(), err)
                       : rc;
}

/* What was made void stays so. */
static void keep_teams(struct cli *cli, const struct trust *trust, struct grant *grant)
{
    const struct grant *held = trust_grant(trust, grant->tenant);

    if (cli_flag(cli, "teams-anew"))
        grant->teams_since_ms = grant->issued_ms;
    else if (held)
        grant->teams_since_ms = held->teams_since_ms;
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(free_ptr) struct grant *grant = calloc(1, sizeof *grant);
    scoped(free_ptr) uint8_t *envelope = NULL;
    bool attach = cli_value(cli, "attach") != NULL;
    size_t n = 0, queued = 0;
    struct err err;
    enum rc rc =
        grant ? home_open(cli->home, false, &home, &err) : err_set(&err, RC_NO_MEMORY, "grant");

    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, "berth fleet init NAME --root KEY --operator KEY");
    if (rc == RC_OK && !attach)
        rc = fill(cli, &home, grant, &err);
    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, &err);
    if (rc == RC_OK && !attach && grant->needs_safety && trust_root(trust)->safety_keys.n == 0)
        rc = err_set(&err, RC_SAFETY_MISSING,
                     "the root names no safety role: nothing of %s could run", cli_arg(cli, 0));
    if (rc == RC_OK && !attach && grant->issued_ms < trust_root(trust)->operator_since_ms)
        grant->issued_ms = trust_root(trust)->operator_since_ms; /* this clock is behind */
    if (rc == RC_OK && !attach)
        keep_teams(cli, trust, grant);
    if (rc == RC_OK && cli_value(cli, "request"))
        return run_ask(cli, trust, grant);
    if (rc == RC_OK && attach)
        rc = collect_grant(cli, trust, grant, &envelope, &n, &err);
    else if (rc == RC_OK)
        rc = sign_grant(cli, &home, trust, grant, &envelope, &n, &err);
    if (rc == RC_OK && cli_value(cli, "out"))
        rc = path_write(cli_value(cli, "out"), (struct bytes){ .p = envelope, .n = n }, 0644, &err);
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK)
        rc = keep(&home, grant, (struct bytes){ .p = envelope, .n = n }, &queued, &err);
    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth grant %s --keys PUB --quota FILE", cli_arg(cli, 0));
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_KEY_FILE)
        return cli_fail(cli, &err, CLI_FIX_KEY);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(err.rc, "berth grant --help"));
    cli_say(cli, "grant for %s: epoch %llu, %u of %u keys, queued for %zu satellites",
            grant->tenant, (unsigned long long)grant->epoch, grant->keys.threshold, grant->keys.n,
            queued);
    return cli_json(cli, json_pack("{s:s, s:o, s:i}", "tenant", grant->tenant, "epoch",
                                   json_uint(grant->epoch), "satellites", (int)queued));
}

static const struct cli_option options[] = {
    { "keys", CLI_LIST, "PUB", "the tenant's public keys" },
    { "threshold", CLI_TEXT, "M", "how many of them must sign a payload (else the majority)" },
    { "quota", CLI_PATH, "FILE",
      "YAML: memory, cpu, pids, files, data, tmp, store, payloads, "
      "prefix, expires, calls, networks, devices ..." },
    { "safety", CLI_FLAG, NULL,
      "orders with payloads of this tenant need the safety role's signatures, too" },
    { "agent", CLI_FLAG, NULL,
      "the payload berth/agent of the tenant berth may replace the agent of a satellite" },
    { "key", CLI_LIST, "KEY", "operator keys that sign (else the one named at fleet init)" },
    { "out", CLI_PATH, "FILE", "write the signed grant here too, for the tenant's berth verify" },
    { "teams-anew", CLI_FLAG, NULL,
      "what the tenant delegated to teams is void, and their epochs begin anew" },
    OFFLINE_OPTIONS,
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_grant[] = {
    { .name = "grant",
      .group = "Keys and trust",
      .args = "TENANT",
      .names = CLI_TENANTS,
      .summary = "Let a tenant in: its keys and its limits, signed by the operator",
      .about = "A grant replaces the one before: its epoch is one higher. It is put into every "
               "satellite that is provisioned\nlater and queued for all that exist.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
