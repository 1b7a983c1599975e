/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_token: who may use the API.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "orchestrator/approvals.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"

#define DAY_MS UINT64_C(86400000)
#define DAYS_DEFAULT 90U
#define DAYS_MAX 3650U

static int print_new(struct cli *cli, const struct api_who *who, const char *secret,
                     uint64_t expires_ms, bool approves)
{
    cli_say(cli, "%s", secret);
    cli_note(cli, "token '%s', role %s%s%s: it is shown this once", who->name,
             api_role_name(who->role), who->tenant[0] ? " of tenant " : "", who->tenant);
    enum approval_role role;

    if (!approves && approvals_role_of(who->role, &role))
        cli_note(cli, "nobody vouches for it, so it cannot approve of rollouts: --vouch KEY of %s",
                 role == APPROVAL_SAFETY ? "the safety role" : "an operator");
    return cli_json(cli, json_pack("{s:s, s:s, s:s, s:o, s:b, s:s}", "name", who->name, "role",
                                   api_role_name(who->role), "tenant", who->tenant, "expires_ms",
                                   json_uint(expires_ms), "approves", approves, "token", secret));
}

/* The key that vouches: of --vouch, else one that signs the entry of the log, if it may; NULL:
 * there is none. */
static enum rc find_voucher(struct cli *cli, const struct home *home, enum approval_role role,
                            const struct auditing *audit, struct keyring *own,
                            const struct sign_key **ret, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    const char *path = cli_value(cli, "vouch");
    enum rc rc = path ? keyring_add(cli, own, path, err)
                      : approvals_trust(home->store, clock_unix_ms(), &trust, err);

    *ret = path && rc == RC_OK ? own->key[0] : NULL;
    for (size_t i = 0; !path && rc == RC_OK && i < audit->own.n && !*ret; i++)
        if (approvals_may_vouch(trust, role, sign_key_public(audit->own.key[i])->id))
            *ret = audit->own.key[i];
    return rc == RC_TRUST_MISSING && !path ? RC_OK : rc;
}

/* Keep the token, and who vouches for it. */
static enum rc make_token(struct home *home, struct api_token *token, const struct sign_key *with,
                          char ret_secret[API_SECRET_CAP], struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    uint8_t random[API_SECRET_SIZE];
    enum rc rc = store_begin(home->store, &open, err);

    crypto_random(random, sizeof random);
    if (rc == RC_OK)
        rc = api_token_make(home->store, &token->who, random, token->made_ms, token->expires_ms,
                            ret_secret, err);
    explicit_bzero(random, sizeof random);
    if (rc == RC_OK && with)
        rc = approvals_vouch(home->store, token, ret_secret, with, token->made_ms, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    if (rc != RC_OK)
        explicit_bzero(ret_secret, API_SECRET_CAP);
    return rc;
}

static int run_new(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    const char *role = cli_value(cli, "role"), *tenant = cli_value(cli, "tenant");
    scoped(keyring_done) struct keyring vouching = { 0 };
    const struct sign_key *with = NULL;
    enum approval_role approves;
    char secret[API_SECRET_CAP];
    struct api_token token = { .made_ms = clock_unix_ms() };
    struct api_who *who = &token.who;
    struct err err = { 0 };
    uint64_t days = 0;

    if (!role || !api_role_from(role, &who->role)) {
        (void)err_set(&err, RC_USAGE, "--role is missing, or none of the roles");
        return cli_fail(cli, &err, "--role viewer, tenant, approver, operator or safety");
    }
    if (strlen(cli_arg(cli, 0)) >= sizeof who->name ||
        (tenant && strlen(tenant) >= sizeof who->tenant)) {
        (void)err_set(&err, RC_NAME, "name of a token or tenant");
        return cli_fail(cli, &err, "names have at most %zu characters", sizeof who->name - 1);
    }
    (void)snprintf(who->name, sizeof who->name, "%s", cli_arg(cli, 0));
    (void)snprintf(who->tenant, sizeof who->tenant, "%s", tenant ? tenant : "");
    if (cli_number(cli, "days", DAYS_DEFAULT, 1, DAYS_MAX, &days, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (auditing_begin(&audit, cli, &home, NULL, &err) != RC_OK)
        return cli_fail(cli, &err, "berth token new --help");
    enum rc rc = RC_OK;

    token.expires_ms = token.made_ms + days * DAY_MS;
    if (approvals_role_of(who->role, &approves))
        rc = find_voucher(cli, &home, approves, &audit, &vouching, &with, &err);
    if (rc == RC_OK)
        rc = make_token(&home, &token, with, secret, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, rc == RC_EXISTS ? "berth token revoke %s" : "berth token --help",
                        who->name);
    int code = print_new(cli, who, secret, token.expires_ms, with != NULL);

    explicit_bzero(secret, sizeof secret);
    return code;
}

static int run_list(struct cli *cli)
{
    static const char *const headings[] = { "TOKEN", "ROLE", "TENANT", "AGE", "LEFT" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 5);
    scoped(free_ptr) struct api_token *list = NULL;
    scoped(home_close) struct home home = HOME_NONE;
    json_t *rows = NULL;
    struct err err = { 0 };
    uint64_t now_ms = clock_unix_ms();
    size_t n = 0;

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (api_token_list(home.store, &list, &n, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    rows = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct api_token *t = &list[i];
        char age[CLI_SIZE_CAP], left[CLI_SIZE_CAP] = "expired";
        const char *const cells[] = { t->who.name, api_role_name(t->who.role), t->who.tenant, age,
                                      left };

        (void)cli_age(now_ms > t->made_ms ? now_ms - t->made_ms : 0, age);
        if (t->expires_ms > now_ms)
            (void)cli_age(t->expires_ms - now_ms, left);
        cli_table_row(table, cells);
        (void)json_array_append_new(
            rows, json_pack("{s:s, s:s, s:s, s:o, s:o}", "name", t->who.name, "role",
                            api_role_name(t->who.role), "tenant", t->who.tenant, "made_ms",
                            json_uint(t->made_ms), "expires_ms", json_uint(t->expires_ms)));
    }
    if (n == 0)
        cli_say(cli, "no tokens");
    else
        cli_table_print(cli, table);
    return cli_json(cli, json_pack("{s:o}", "tokens", rows));
}

static int run_revoke(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    struct err err = { 0 };
    const char *name = cli_arg(cli, 0);

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (auditing_begin(&audit, cli, &home, NULL, &err) != RC_OK)
        return cli_fail(cli, &err, "berth token revoke --help");
    if (api_token_revoke(home.store, name, clock_unix_ms(), &err) != RC_OK)
        return cli_fail(cli, &err, "berth token list");
    cli_note(cli, "token '%s' opens nothing any more", name);
    return cli_json(cli, json_pack("{s:s}", "revoked", name));
}

static const struct cli_option new_options[] = {
    { "role", CLI_TEXT, "ROLE", "viewer, tenant, approver, operator or safety" },
    { "tenant", CLI_TEXT, "TENANT", "whose payloads it sees, for role tenant" },
    { "days", CLI_TEXT, "N", "how long it counts (90)" },
    { "vouch", CLI_PATH, "KEY",
      "key that lets its owner approve: the safety role's for safety, else an operator's" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option revoke_options[] = {
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_token[] = {
    { .name = "token new",
      .group = "Fleet",
      .args = "NAME",
      .summary = "Make a token for the API and print it, once",
      .about =
          "viewer sees the fleet.  tenant sees its own payloads.  operator steers rollouts.\n"
          "safety may pause and abort them.  approver sees the fleet.  The last three approve\n"
          "of rollouts in their role if a key that the root lists vouches for the token:\n"
          "a safety key for safety (--vouch), an operator's for the others.",
      .args_min = 1,
      .args_max = 1,
      .options = new_options,
      .run = run_new },
    { .name = "token list",
      .group = "Fleet",
      .args = "",
      .summary = "Who may use the API",
      .listing = "tokens.name",
      .run = run_list },
    { .name = "token revoke",
      .group = "Fleet",
      .args = "NAME",
      .names = CLI_TOKENS,
      .summary = "Take a token back: it opens nothing any more, from the next request on",
      .args_min = 1,
      .args_max = 1,
      .options = revoke_options,
      .run = run_revoke },
    { 0 },
};
