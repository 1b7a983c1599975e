/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust_delegate: a tenant passes a part of its grant on to a team, on its own
 * machine and without a home; the operator checks and queues what came of it.
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
#include "orchestrator/remote_delegate.h"
#include "orchestrator/signing.h"

static enum rc fill_terms(struct cli *cli, struct delegation *doc, struct err *err)
{
    const char *quota = cli_value(cli, "quota");
    struct quota q = { 0 };
    uint64_t threshold = 0;

    if (!quota)
        return err_set(err, RC_USAGE, "--quota is missing");
    enum rc rc = cli_number(cli, "threshold", 0, 1, ROLE_KEYS_MAX, &threshold, err);
    if (rc == RC_OK)
        rc = keys_set(cli, "keys", threshold, &doc->keys, err);
    if (rc == RC_OK)
        rc = quota_read(quota, &q, err);
    if (rc != RC_OK)
        return rc;
    memcpy(doc->prefix, q.prefix, sizeof doc->prefix);
    doc->total = q.total;
    doc->store_bytes = q.store_bytes;
    doc->payloads_max = q.payloads_max;
    doc->may = q.may;
    doc->expires_ms = q.lifetime_ms == 0 ? 0 : doc->issued_ms + q.lifetime_ms;
    if (cli_flag(cli, "anew"))
        doc->teams_since_ms = doc->issued_ms;
    return RC_OK;
}

/* The signing machine knows of no earlier one: epochs follow the clock unless one is given. */
static enum rc fill(struct cli *cli, struct delegation *doc, struct err *err)
{
    const char *tenant = cli_arg(cli, 0), *team = cli_arg(cli, 1),
               *policy = cli_value(cli, "policy");

    if (!tenant || !team || !name_valid(tenant) || !team_valid(team))
        return err_set(err, RC_USAGE, "which team? give TENANT TEAM, as in acme flight/cam");
    memcpy(doc->tenant, tenant, strlen(tenant));
    memcpy(doc->team, team, strlen(team));
    doc->issued_ms = clock_unix_ms();
    enum rc rc = cli_number(cli, "epoch", doc->issued_ms / 1000U, 1, INT64_MAX, &doc->epoch, err);
    if (rc == RC_OK && !cli_flag(cli, "withdraw") && policy)
        rc = err_set(err, RC_USAGE, "--policy goes with --withdraw");
    if (rc == RC_OK && cli_flag(cli, "withdraw") &&
        (cli_value(cli, "keys") || cli_value(cli, "quota") || cli_flag(cli, "anew")))
        rc = err_set(err, RC_USAGE, "--withdraw takes no keys and no quota");
    if (rc != RC_OK || !cli_flag(cli, "withdraw"))
        return rc == RC_OK ? fill_terms(cli, doc, err) : rc;
    if (!policy || !revoke_policy_find(policy, &doc->withdrawn))
        return err_set(err, RC_USAGE, "--policy must be keep, rollback or stop");
    return RC_OK;
}

/* "delegation-acme+flight+cam": the request of each team is a file of its own. */
static void request_name(const struct delegation *doc, char out[NAME_CAP + SIGNER_CAP + 16])
{
    (void)snprintf(out, NAME_CAP + SIGNER_CAP + 16, "delegation-%s+%s", doc->tenant, doc->team);
    for (char *at = out; *at; at++)
        if (*at == '/')
            *at = '+';
}

/* Sign it here, or write what others are to sign. */
static enum rc make(struct cli *cli, const struct delegation *doc, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct request request = { .type = DOC_DELEGATION };
    const char *dir = cli_value(cli, "request"), *out = cli_value(cli, "out");
    char path[PATH_MAX], name[NAME_CAP + SIGNER_CAP + 16];
    size_t n = 0;
    enum rc rc = buf ? delegation_encode(doc, buf, DOCUMENT_MAX, &request.payload, err)
                     : err_set(err, RC_NO_MEMORY, "delegation");

    if (rc == RC_OK)
        rc = signing_mission(cli, &request.mission, err);
    if (rc == RC_OK && dir) {
        request_name(doc, name);
        rc = offline_write(dir, name, &request, path, err);
        if (rc == RC_OK)
            cli_say(cli,
                    "%s: to be signed by the keys of the level above: berth sign %s --key KEY; "
                    "then berth sign %s --attach SIG --out FILE",
                    path, path, path);
        return rc;
    }
    if (rc == RC_OK && !out)
        rc = err_set(err, RC_USAGE, "--out is missing");
    if (rc == RC_OK)
        rc = keyring_load(cli, "key", NULL, &ring, err);
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_DELEGATION, &request.mission, request.payload, &envelope, &n,
                          err);
    if (rc == RC_OK)
        rc = path_write(out, (struct bytes){ .p = envelope, .n = n }, 0644, err);
    if (rc == RC_OK)
        cli_say(cli,
                "%s: %s %s/%s, epoch %llu, %zu bytes; for the operator: berth trust delegate "
                "--add %s",
                out, doc->withdrawn != REVOKE_NONE ? "withdrawal of" : "delegation to", doc->tenant,
                doc->team, (unsigned long long)doc->epoch, n, out);
    return rc;
}

static int run_make(struct cli *cli)
{
    scoped(free_ptr) struct delegation *doc = calloc(1, sizeof *doc);
    struct err err = { 0 };
    enum rc rc = doc ? fill(cli, doc, &err) : err_set(&err, RC_NO_MEMORY, "delegation");

    if (rc == RC_OK)
        rc = make(cli, doc, &err);
    if (rc == RC_KEY_FILE)
        return cli_fail(cli, &err, CLI_FIX_KEY);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(rc, "berth trust delegate --help"));
    return cli_json(cli, json_pack("{s:s, s:s, s:o}", "tenant", doc->tenant, "team", doc->team,
                                   "epoch", json_uint(doc->epoch)));
}

/* ---- to a ground elsewhere ----
 */

/* Look whether the ground can take it, then sign. */
static enum rc make_for(struct cli *cli, const struct delegation *doc, uint8_t **ret, size_t *ret_n,
                        char fix[REMOTE_FIX_CAP], struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    const struct public_key *keys[SIGNERS_MAX];
    struct mission mission;
    struct bytes payload = { 0 };
    enum rc rc = buf ? delegation_encode(doc, buf, DOCUMENT_MAX, &payload, err)
                     : err_set(err, RC_NO_MEMORY, "delegation");

    if (rc == RC_OK)
        rc = signing_mission(cli, &mission, err);
    if (rc == RC_OK)
        rc = keyring_load(cli, "key", NULL, &ring, err);
    for (size_t i = 0; rc == RC_OK && i < ring.n; i++)
        keys[i] = sign_key_public(ring.key[i]);
    if (rc == RC_OK)
        rc = remote_delegate_ask(cli, &mission, doc, keys, ring.n, fix, err);
    return rc == RC_OK ? keyring_sign(&ring, DOC_DELEGATION, &mission, payload, ret, ret_n, err)
                       : rc;
}

static int run_for(struct cli *cli)
{
    scoped(free_ptr) struct delegation *doc = calloc(1, sizeof *doc);
    scoped(free_ptr) uint8_t *envelope = NULL;
    const char *path = cli_value(cli, "add");
    char fix[REMOTE_FIX_CAP] = "";
    struct err err = { 0 };
    size_t n = 0;
    enum rc rc = doc ? RC_OK : err_set(&err, RC_NO_MEMORY, "delegation");

    if (rc == RC_OK && (cli_value(cli, "as") || cli_value(cli, "why")))
        rc = err_set(&err, RC_CONTEXT_LOCAL, "--as and --why");
    if (rc == RC_OK && path)
        rc = path_read(path, DOCUMENT_MAX, &envelope, &n, &err);
    else if (rc == RC_OK)
        rc = fill(cli, doc, &err);
    if (rc == RC_OK && !path)
        rc = make_for(cli, doc, &envelope, &n, fix, &err);
    if (rc == RC_OK)
        return remote_delegate_give(cli, (struct bytes){ .p = envelope, .n = n });
    return cli_fail(cli, &err, "%s",
                    fix[0] != '\0' ? fix : fix_trust(rc, "berth trust delegate --help"));
}

/* Judged as every satellite will, then kept and queued. */
static enum rc add(struct cli *cli, const char *path, struct team_change *change,
                   size_t *ret_satellites, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(store_rollback) struct store *open = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    uint64_t now_ms = clock_unix_ms();
    char name[SIGNER_CAP + 8];
    size_t n = 0;
    enum rc rc = home_open(cli->home, false, &home, err);

    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, err);

    if (rc == RC_OK) /* what is judged against is what it is kept beside */
        rc = store_begin(home.store, &open, err);
    if (rc == RC_OK)
        rc = home_trust(&home, now_ms, &trust, err);
    if (rc == RC_OK)
        rc = path_read(path, DOCUMENT_MAX, &envelope, &n, err);
    const struct bytes bytes = { .p = envelope, .n = n };
    if (rc == RC_OK)
        rc = trust_add_delegation(trust, bytes, now_ms, change, err);
    if (rc != RC_OK)
        return rc;
    (void)snprintf(name, sizeof name, "%s/%s", change->tenant, change->team);
    auditing_signers(&audit, bytes);
    const struct home_document doc = {
        .type = DOC_DELEGATION, .name = name, .version = change->epoch, .envelope = bytes
    };
    rc = home_publish(&home, &doc, now_ms, ret_satellites, err);
    if (rc == RC_OK)
        rc = store_audit(home.store, NULL, "delegate", now_ms, err, "%s epoch %llu%s", name,
                         (unsigned long long)change->epoch, change->withdrawn ? " withdrawn" : "");
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run(struct cli *cli)
{
    const char *path = cli_value(cli, "add");
    struct team_change change = { 0 };
    size_t satellites = 0;
    struct err err = { 0 };

    if (cli->context && !cli_value(cli, "out") && !cli_value(cli, "request"))
        return run_for(cli);
    if (!path)
        return run_make(cli);
    enum rc rc = add(cli, path, &change, &satellites, &err);
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(rc, "berth inspect FILE shows what it says"));
    cli_say(cli, "%s/%s: %s, epoch %llu, queued for %zu satellites", change.tenant, change.team,
            change.withdrawn ? "withdrawn" : "delegated", (unsigned long long)change.epoch,
            satellites);
    return cli_json(cli, json_pack("{s:s, s:s, s:o, s:b, s:i}", "tenant", change.tenant, "team",
                                   change.team, "epoch", json_uint(change.epoch), "withdrawn",
                                   change.withdrawn, "satellites", (int)satellites));
}

static const struct cli_option options[] = {
    { "keys", CLI_LIST, "PUB", "the team's public keys: none of who signs" },
    { "threshold", CLI_TEXT, "M", "how many of them must sign a payload (else the majority)" },
    { "quota", CLI_PATH, "FILE", "YAML as for berth grant, inside the limits of who signs" },
    { "anew", CLI_FLAG, NULL,
      "the team's own teams begin anew: what was signed for them is void (after a withdrawal)" },
    { "withdraw", CLI_FLAG, NULL, "the team is one no longer" },
    { "policy", CLI_TEXT, "POLICY", "what becomes of what it runs: keep, rollback or stop" },
    { "epoch", CLI_TEXT, "N", "higher than before (else the seconds of this machine's clock)" },
    { "out", CLI_PATH, "FILE", "where the signed document goes" },
    { "add", CLI_PATH, "FILE", "the operator: check a signed one, keep it and send it to all" },
    { "request", CLI_PATH, "DIR",
      "write DIR/delegation-TENANT+TEAM.request for berth sign instead" },
    AUDITING_OPTIONS,
    SIGNING_OPTIONS,
    { 0 },
};

const struct cli_command cmd_trust_delegate[] = {
    { .name = "trust delegate",
      .group = "Keys and trust",
      .args = "[TENANT TEAM]",
      .summary = "Pass a part of a grant on to a team, or take it back",
      .about =
          "Signed by the tenant's keys, or for flight/cam by those of flight; needs no home and "
          "no network, but --root\nor --mission. The operator sends it with --add.  Through a "
          "context of the tenant's own token, without\n"
          "--out, it is signed and given to the ground at once.",
      .args_min = 0,
      .args_max = 2,
      .options = options,
      .run = run },
    { 0 },
};
