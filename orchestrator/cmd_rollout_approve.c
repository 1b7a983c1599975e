/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_rollout_approve: say yes or no to a rollout that waits for it, or that it goes
 * on without a satellite.
 *
 * At the keyboard a person is the key that signs; through the API, the owner of the token, whose
 * key grows from the token's secret (orchestrator/approvals).
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/advance.h"
#include "orchestrator/approvals.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/rollout_show.h"

#define FIX_APPROVE                                                                                \
    "berth rollout status %s says who is missing; --as ROLE, --key KEY of that role, or with a "   \
    "token of the API"

/* The role of --as, else the one that the root lists the key for. */
static enum rc find_role(const struct cli *cli, const struct trust *trust,
                         const struct sign_key *key, enum approval_role *ret, struct err *err)
{
    const uint8_t *id = sign_key_public(key)->id;
    const char *as = cli_value(cli, "as");

    if (as && approval_role_parse(as, ret))
        return RC_OK;
    if (as)
        return err_set(err, RC_USAGE, "--as %.20s: operator, safety or approver", as);
    *ret = approvals_may_vouch(trust, APPROVAL_SAFETY, id) ? APPROVAL_SAFETY : APPROVAL_OPERATOR;
    return RC_OK;
}

/* The one key at the keyboard. */
static enum rc load_key(struct cli *cli, const struct home *home, struct keyring *ring,
                        struct err *err)
{
    char own[HOME_PATH_CAP] = "";

    (void)!home_operator_key(home, own, sizeof own, NULL);
    enum rc rc = keyring_load(cli, "key", own[0] ? own : NULL, ring, err);

    if (rc == RC_OK && ring->n != 1)
        rc = err_set(err, RC_USAGE, "one person approves at a time: give one --key");
    return rc;
}

/* Who approves, with which key: in *ret, which has views of what the other two own. */
static enum rc find_person(struct cli *cli, const struct home *home, struct keyring *ring,
                           char who[AUDIT_WHO_CAP], struct approvals_person *ret, struct err *err)
{
    scoped(trust_free) struct trust *trust = NULL;
    const struct acting *acting = acting_get();
    enum rc rc = approvals_trust(home->store, clock_unix_ms(), &trust, err);

    store_who(who);
    ret->who = who;
    if (rc == RC_OK && !acting)
        rc = load_key(cli, home, ring, err);
    if (rc == RC_OK && !acting)
        rc = find_role(cli, trust, ring->key[0], &ret->role, err);
    if (rc == RC_OK && acting && !approvals_role_of(acting->who.role, &ret->role))
        rc = err_set(err, RC_API_ROLE, "%s", api_role_name(acting->who.role));
    if (rc == RC_OK && acting)
        rc = approvals_acting_key(home->store, acting, &ring->key[0], err);
    if (rc == RC_OK && acting)
        ring->n = 1;
    if (rc == RC_OK)
        ret->key = ring->key[0];
    return rc;
}

static enum rc approve(struct home *home, struct auditing *audit, uint64_t id,
                       const struct approvals_person *person, const char *why, bool *ret_new,
                       struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_rollout row;
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = store_rollout(home->store, id, &row, err);
    if (rc != RC_OK)
        return rc;
    audit->by.plan = digest_is_none(&row.plan) ? NULL : &row.plan;
    auditing_approval(audit, sign_key_public(person->key)->id);
    rc = approvals_give(home->store, &(struct approvals_about){ .row = &row }, person, why,
                        clock_unix_ms(), ret_new, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    audit->by.plan = NULL;
    return rc;
}

static int run_approve(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(auditing_done) struct auditing audit = { 0 };
    struct approvals_person person = { 0 };
    char who[AUDIT_WHO_CAP];
    struct err err = { 0 };
    uint64_t id = 0;
    bool is_new = false;

    if (cli_rollout(cli, 0, &id, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (find_person(cli, &home, &ring, who, &person, &err) != RC_OK ||
        auditing_with(&audit, cli, &home, &ring, &err) != RC_OK ||
        approve(&home, &audit, id, &person, cli_value(cli, "why"), &is_new, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_APPROVE, cli_arg(cli, 0));
    int code = rollout_show(cli, home.store, id, true);

    if (!is_new)
        cli_note(cli, "you have approved as %s before", approval_role_name(person.role));
    return code == CLI_PAUSED ? CLI_OK : code;
}

/* ---- no ---------------------------------------------------------------------------------------
 */

static bool is_denied(const struct store_rollout *row)
{
    static const char word[] = "denied by ";

    return row->state == ROLLOUT_ABORTED && strncmp(row->reason, word, sizeof word - 1) == 0;
}

static enum rc deny(struct home *home, uint64_t id, const char *why, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_rollout row;
    char who[AUDIT_WHO_CAP], reason[ROLLOUT_REASON_CAP];
    uint64_t now_ms = clock_unix_ms();
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = store_rollout(home->store, id, &row, err);
    if (rc != RC_OK || is_denied(&row))
        return rc;
    if (row.state != ROLLOUT_AWAITING)
        return err_set(err, RC_ROLLOUT_STATE, "rollout %llu waits for no approval: it is %s",
                       (unsigned long long)id, rollout_state_name(row.state));
    store_who(who);
    (void)snprintf(reason, sizeof reason, "denied by %.30s: %.50s", who, why);
    rc = advance_enter(home->store, id, ROLLOUT_EV_ABORT, reason, now_ms, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "rollout-deny", now_ms, err, "rollout %llu",
                         (unsigned long long)id);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run_deny(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    const char *why = cli_value(cli, "why");
    struct err err = { 0 };
    uint64_t id = 0;

    if (cli_rollout(cli, 0, &id, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    if (!why) {
        (void)err_set(&err, RC_USAGE, "--why is missing");
        return cli_fail(cli, &err, "say why, for whoever made it: --why TEXT");
    }
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (auditing_begin(&audit, cli, &home, NULL, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout deny --help");
    if (deny(&home, id, why, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout status %s; one that runs is ended by abort",
                        cli_arg(cli, 0));
    int code = rollout_show(cli, home.store, id, true);

    return code == CLI_PAUSED ? CLI_OK : code;
}

/* ---- without a satellite ----------------------------------------------------------------------
 */

/* Where the policy names nobody it is an operator's to say. */
static enum rc check_operator(struct err *err)
{
    const struct acting *acting = acting_get();

    return !acting || acting->who.role == API_OPERATOR
               ? RC_OK
               : err_set(err, RC_API_ROLE, "%s", api_role_name(acting->who.role));
}

/* What a person who forces gives beside the words; nothing of it where the policy names nobody. */
struct forcing {
    const char *satellite, *why;
    const struct approvals_person *person; /* NULL = needs no approval */
};

static enum rc force(struct home *home, struct auditing *audit, uint64_t id,
                     const struct forcing *f, bool *ret_new, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_rollout row;
    uint64_t now_ms = clock_unix_ms();
    enum rc rc = store_begin(home->store, &open, err);

    *ret_new = true;
    if (rc == RC_OK)
        rc = store_rollout(home->store, id, &row, err);
    if (rc == RC_OK)
        rc = advance_excuse(home->store, id, f->satellite, now_ms, err);
    if (rc == RC_OK && f->person) {
        const struct approvals_about about = { .row = &row, .satellite = f->satellite };

        audit->by.plan = digest_is_none(&row.plan) ? NULL : &row.plan;
        auditing_approval(audit, sign_key_public(f->person->key)->id);
        rc = approvals_give(home->store, &about, f->person, f->why, now_ms, ret_new, err);
    }
    if (rc == RC_OK && *ret_new) /* else it is as it was */
        rc = store_commit(&open, err);
    audit->by.plan = NULL;
    return rc;
}

static enum rc prepare_force(struct cli *cli, struct home *home, uint64_t id, struct keyring *ring,
                             struct auditing *audit, char who[AUDIT_WHO_CAP],
                             struct approvals_person *person, bool *ret_approve, struct err *err)
{
    struct store_rollout row;
    enum rc rc = store_rollout(home->store, id, &row, err);

    *ret_approve = rc == RC_OK && row.approve != 0;
    if (*ret_approve)
        rc = find_person(cli, home, ring, who, person, err);
    else if (rc == RC_OK)
        rc = check_operator(err);
    if (rc != RC_OK)
        return rc;
    return *ret_approve ? auditing_with(audit, cli, home, ring, err)
                        : auditing_begin(audit, cli, home, NULL, err);
}

static int run_force(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(auditing_done) struct auditing audit = { 0 };
    struct forcing f = { .satellite = cli_value(cli, "on"), .why = cli_value(cli, "why") };
    struct approvals_person person = { 0 };
    char who[AUDIT_WHO_CAP];
    struct err err = { 0 };
    bool approve = false, is_new = false;
    uint64_t id = 0;

    if (cli_rollout(cli, 0, &id, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    if (!f.satellite || !f.why) {
        (void)err_set(&err, RC_USAGE, "%s is missing", f.satellite ? "--why" : "--on");
        return cli_fail(cli, &err,
                        "say without which satellite, and why: --on SATELLITE --why TEXT");
    }
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (prepare_force(cli, &home, id, &ring, &audit, who, &person, &approve, &err) != RC_OK)
        return cli_fail(cli, &err, FIX_APPROVE, cli_arg(cli, 0));
    f.person = approve ? &person : NULL;
    if (force(&home, &audit, id, &f, &is_new, &err) != RC_OK)
        return cli_fail(cli, &err,
                        "berth rollout status %s; one whose wave is open and that is not healthy "
                        "can be forced",
                        cli_arg(cli, 0));
    int code = rollout_show(cli, home.store, id, true);

    if (!is_new)
        cli_note(cli, "you have said so as %s before", approval_role_name(person.role));
    cli_note(cli,
             "if it is paused: berth rollout resume %s; to take it back: berth rollout retry "
             "%s --on %s",
             cli_arg(cli, 0), cli_arg(cli, 0), f.satellite);
    return code == CLI_PAUSED ? CLI_OK : code;
}

static const struct cli_option force_options[] = {
    { "on", CLI_TEXT, "SATELLITE", "the one to go on without" },
    { "as", CLI_TEXT, "ROLE", "where the policy names approvals: operator or safety" },
    { "key", CLI_LIST, "FILE", "your key there (else the operator's that fleet init recorded)" },
    { "why", CLI_TEXT, "TEXT", "why, in the approval and the audit log: at most 256 bytes" },
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option approve_options[] = {
    { "as", CLI_TEXT, "ROLE", "operator or safety (else what the root lists the key for)" },
    { "key", CLI_LIST, "FILE", "your key (else the operator's that fleet init recorded)" },
    { "why", CLI_TEXT, "TEXT", "why, in the approval and the audit log: at most 256 bytes" },
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option deny_options[] = {
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_rollout_approve[] = {
    { .name = "rollout approve",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "Sign that a rollout may begin, in one of the roles that its policy names",
      .about =
          "A rollout whose policy says 'approve: [operator, safety]' releases nothing before\n"
          "somebody in each of these roles has signed its plan: another person, with another\n"
          "key, in each.  berth-ground verifies the signatures whenever it releases an order:\n"
          "a key or token that is revoked later approves of nothing any more.  Doing it twice\n"
          "is as doing it once.  Ends with 4 when nobody waits for it, or you have approved\n"
          "in another role.",
      .args_min = 1,
      .args_max = 1,
      .options = approve_options,
      .run = run_approve },
    { .name = "rollout deny",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "End a rollout that waits for approval: --why is needed",
      .args_min = 1,
      .args_max = 1,
      .options = deny_options,
      .run = run_deny },
    { .name = "rollout force",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "Go on without a satellite: --on and --why are needed",
      .about =
          "For a satellite whose wave is open and that has failed, is silent or takes too long:\n"
          "it neither holds up the next wave any longer nor counts against a budget.  Its order\n"
          "stays as it is.  Where the policy names approvals, a person in each of these roles\n"
          "must say so, each with another key; until then nothing changes.  It opens no wave\n"
          "and resumes nothing.  Retry takes it back.",
      .args_min = 1,
      .args_max = 1,
      .options = force_options,
      .run = run_force },
    { 0 },
};
