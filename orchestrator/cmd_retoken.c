/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_retoken: sign the tokens of a rollout anew, when those that apply signed have
 * expired before their waves opened.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "link/port.h"
#include "orchestrator/activation.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"

struct retoken {
    const struct home *home;
    struct trust *trust;
    struct keyring ring; /* views */
    uint64_t rollout, life_ms, now_ms;
    uint32_t n;
};

/* The one before need not arrive any more: it would only be refused, if it has expired. */
static enum rc withdraw(const struct retoken *r, const struct store_token *old, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(r->home->store, old->satellite, OUTGOING_QUEUED, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (!digest_same(&rows[i].object, &old->object))
            continue;
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(r->home->store, &rows[i], err);
    }
    return rc;
}

/* Of an order that has not taken effect: one that is held, or whose token did not arrive in time.
 */
static enum rc retoken_one(struct retoken *r, const struct store_order *order, struct err *err)
{
    scoped(free_ptr) uint8_t *envelope = NULL;
    scoped(free_ptr) uint8_t *fresh = NULL;
    struct store_token old;
    struct token token = { 0 };
    size_t n = 0, n_fresh = 0;
    enum rc rc = store_token(r->home->store, order->satellite, order->generation, &old, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = store_order_envelope(r->home->store, order->satellite, order->generation, &envelope,
                                  &n, err);
    if (rc == RC_OK)
        rc = activation_token(r->trust, (struct bytes){ envelope, n }, r->now_ms, r->life_ms,
                              &token, err);
    if (rc == RC_OK)
        rc = activation_sign(r->trust, &r->ring, &token, &fresh, &n_fresh, err);
    if (rc == RC_OK)
        rc = activation_keep(r->home, r->trust, (struct bytes){ envelope, n },
                             (struct bytes){ fresh, n_fresh }, r->now_ms, err);
    if (rc == RC_OK)
        rc = withdraw(r, &old, err);
    if (rc == RC_OK && order->state == ORDER_RELEASED)
        rc = home_queue_bytes(r->home, order->satellite, OBJECT_TOKEN,
                              (struct bytes){ fresh, n_fresh }, true, r->now_ms, err);
    r->n += rc == RC_OK;
    return rc;
}

static enum rc retoken_all(struct retoken *r, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct store_wave *waves = NULL;
    size_t n = 0;
    enum rc rc = store_begin(r->home->store, &open, err);

    if (rc == RC_OK)
        rc = store_waves(r->home->store, r->rollout, &waves, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct store_order_filter filter = { .satellite = waves[i].satellite };
        scoped(free_ptr) struct store_order *rows = NULL;
        size_t n_rows = 0;

        rc = store_orders(r->home->store, &filter, &rows, &n_rows, err);
        for (size_t k = 0; rc == RC_OK && k < n_rows; k++)
            if (rows[k].generation == waves[i].generation &&
                (rows[k].state == ORDER_HELD || rows[k].state == ORDER_RELEASED))
                rc = retoken_one(r, &rows[k], err);
    }
    if (rc == RC_OK && r->n == 0)
        rc = err_set(err, RC_NOT_FOUND, "rollout %llu has no order that waits for a token",
                     (unsigned long long)r->rollout);
    if (rc == RC_OK)
        rc = store_audit(r->home->store, NULL, "rollout-retoken", r->now_ms, err,
                         "rollout %llu: %u tokens", (unsigned long long)r->rollout, r->n);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static enum rc load_keys(struct cli *cli, const struct home *home, struct keyring *operators,
                         struct keyring *safety, struct keyring *ret, struct err *err)
{
    char own[HOME_PATH_CAP] = "";
    const char *path;

    (void)!home_operator_key(home, own, sizeof own, NULL);
    enum rc rc = keyring_load(cli, "key", own[0] ? own : NULL, operators, err);
    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, "safety-key", i)) != NULL; i++)
        rc = keyring_add(cli, safety, path, err);
    return rc == RC_OK ? activation_ring(operators, safety, ret, err) : rc;
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(keyring_done) struct keyring operators = { 0 };
    scoped(keyring_done) struct keyring safety = { 0 };
    scoped(auditing_done) struct auditing audit = { 0 };
    struct retoken r = { .home = &home, .now_ms = clock_unix_ms() };
    struct err err = { 0 };

    if (cli_rollout(cli, 0, &r.rollout, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    enum rc rc = activation_life(cli, &r.life_ms, &err);
    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (rc == RC_OK)
        rc = home_trust(&home, r.now_ms, &trust, &err);
    r.trust = trust;
    if (rc == RC_OK)
        rc = load_keys(cli, &home, &operators, &safety, &r.ring, &err);
    if (rc == RC_OK && r.now_ms < trust_root(trust)->operator_since_ms) /* this clock is behind */
        r.now_ms = trust_root(trust)->operator_since_ms;
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, &operators, &err);
    if (rc == RC_OK) {
        auditing_approvals(&audit, &r.ring);
        rc = retoken_all(&r, &err);
    }
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth rollout status %s; --key OPERATOR.key, --safety-key KEY",
                        cli_arg(cli, 0));
    cli_say(cli, "rollout %llu: %u tokens, good for %llu days", (unsigned long long)r.rollout, r.n,
            (unsigned long long)(r.life_ms / (24ULL * 3600 * 1000)));
    cli_note(cli, "if it is paused: berth rollout resume %llu", (unsigned long long)r.rollout);
    return cli_json(cli,
                    json_pack("{s:o, s:i}", "rollout", json_uint(r.rollout), "tokens", (int)r.n));
}

static const struct cli_option options[] = {
    { "key", CLI_LIST, "FILE", "operator key (else the one that fleet init recorded)" },
    ACTIVATION_OPTIONS,
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_retoken[] = {
    { .name = "rollout retoken",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "Sign new tokens for the staged orders of a rollout that wait",
      .about = "A token that expired before its wave opened pauses the rollout.  Tokens of orders\n"
               "that were let go already and are not in force are sent again.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
