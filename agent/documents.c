/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/documents.h"

#include <stdio.h>

#include "agent/receive.h"
#include "agent/recorded.h"
#include "agent/revoke.h"
#include "agent/staged.h"
#include "agent/supervise.h"
#include "agent/teams.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"

/* What is in force in memory must be what is on disk: put it back if it could not be saved. */
static enum rc not_saved(struct agent *a, enum rc rc)
{
    struct err err = { 0 };

    if (agent_load_trust(a, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "trust");
        agent_exit(a, 1);
    }
    return rc;
}

/* Whoever changes the trust calls this last: the record first, so that what was allowed before is
 * forgotten even if the power goes right now. */
static void trust_changed(struct agent *a)
{
    agent_record_trust(a);
    teams_save(a);
    teams_tidy(a);
    agent_taken_new(a, false);
    reconcile_reconsider(&a->table);
    supervise_recheck(a);
    order_review(a);
    staged_review(a);
    receive_rescan(a);
    agent_report_soon(a);
}

/* The operator role begins anew.  What runs goes on until the first order of the new keys: the
 * grants that come before it would else find everything stopped. */
static void reset_operator(struct agent *a)
{
    agent_remove_void_grants(a);
    agent_forget_void_order(a);
}

/* On disk before anything rests on it: a cut before that leaves the old root, and the new one is
 * offered again; a cut behind it is made up for at start. */
static enum rc take_root(struct agent *a, struct bytes envelope, struct err *err)
{
    struct root_change change = { 0 };
    char what[40];

    if (!a->trust)
        return recorded_take_root(a, envelope, err);
    enum rc rc = trust_next_root(a->trust, envelope, &change, err);

    if (rc != RC_OK || !change.taken)
        return rc;
    rc = statefile_save_both(a->trust_dir, "root", trust_root_envelope(a->trust), err);
    if (rc != RC_OK)
        return not_saved(a, rc);
    (void)snprintf(what, sizeof what, "root %llu",
                   (unsigned long long)trust_root(a->trust)->version);
    log_event(LOG_LEVEL_INFO, "%s%s%s", what, change.recovered ? " recovered" : "",
              change.operator_reset ? " operator-reset" : "");
    if (change.recovered)
        agent_event(a, RC_ROOT_RECOVERED, 1, what);
    if (change.operator_reset)
        reset_operator(a);
    receive_try_waiting(a);
    trust_changed(a);
    return RC_OK;
}

/* The tenant whose grant came in exactly these bytes; NULL: the one held came in others. */
static const char *tenant_of(const struct agent *a, struct bytes envelope)
{
    const struct grant *grants[TENANTS_MAX] = { 0 };
    size_t n = trust_grants(a->trust, grants, TENANTS_MAX);

    for (size_t i = 0; i < n; i++)
        if (bytes_equal(trust_grant_envelope(a->trust, grants[i]->tenant), envelope))
            return grants[i]->tenant;
    return NULL;
}

static enum rc take_grant(struct agent *a, struct bytes envelope, struct err *err)
{
    char file[NAME_CAP + sizeof TRUST_GRANT_PREFIX];

    if (tenant_of(a, envelope))
        return RC_OK; /* held already */
    enum rc rc = trust_add_grant(a->trust, envelope, agent_now_unix(), err);
    const char *tenant = rc == RC_OK ? tenant_of(a, envelope) : NULL;
    if (rc != RC_OK || !tenant)
        return rc;
    (void)snprintf(file, sizeof file, TRUST_GRANT_PREFIX "%s", tenant);
    rc = statefile_renew(a->trust_dir, file, envelope, err);
    if (rc != RC_OK)
        return not_saved(a, rc);
    log_event(LOG_LEVEL_INFO, "grant tenant=%s epoch=%llu", tenant,
              (unsigned long long)trust_grant(a->trust, tenant)->epoch);
    receive_try_waiting(a);
    trust_changed(a);
    return RC_OK;
}

static enum rc take_delegation(struct agent *a, struct bytes envelope, struct err *err)
{
    bool taken = false;
    enum rc rc = teams_take(a, envelope, &taken, err);

    if (taken && rc != RC_OK)
        return not_saved(a, rc);
    if (!taken)
        return rc;
    receive_try_waiting(a);
    trust_changed(a);
    return RC_OK;
}

/* Durably, then in force.  An order that waited for its token is in force or overtaken by now. */
static enum rc put_into_force(struct agent *a, const struct verified_order *order,
                              struct bytes envelope, struct bytes token, struct err *err)
{
    bool first = a->state.generation == 0;
    enum rc rc = order_file_save(a->state_dir, envelope, token, err);

    if (rc != RC_OK)
        return rc;
    agent_set_order(a, order);
    agent_taken_new(a, true);
    agent_apply_order(a);
    if (a->staged.generation > 0)
        staged_drop(a);
    if (first) /* what the role's change had let go on is judged now */
        supervise_recheck(a);
    receive_try_waiting(a);
    return RC_OK;
}

static enum rc take_order(struct agent *a, struct bytes envelope, struct err *err)
{
    const struct order_position position = agent_position(a);
    scoped(verified_order_free) struct verified_order *order = NULL;
    enum rc rc = trust_verify_order(a->trust, envelope, &position, agent_now_unix(), &order, err);

    if (rc != RC_OK)
        return rc;
    uint64_t generation = verified_order_get(order)->generation;

    if ((a->ordered && generation == a->order.generation) || generation == a->staged.generation)
        return RC_OK;
    if (!verified_order_waits(order))
        return put_into_force(a, order, envelope, (struct bytes){ 0 }, err);
    rc = staged_keep(a, order, envelope, err);
    if (rc == RC_OK) {
        agent_taken_new(a, true);
        receive_try_waiting(a);
    }
    return rc;
}

static enum rc take_token(struct agent *a, struct bytes envelope, struct err *err)
{
    const struct order_position position = agent_position(a);
    scoped(verified_token_free) struct verified_token *token = NULL;
    scoped(verified_order_free) struct verified_order *order = NULL;
    scoped(order_file_done) struct order_file file = { 0 };
    enum rc rc = trust_verify_token(a->trust, envelope, &position, agent_now_unix(), &token, err);

    if (rc != RC_OK ||
        (a->ordered && digest_same(&verified_token_get(token)->order, &a->state.order)))
        return rc; /* or it is in force already */
    rc = staged_verify(a, &file, &order, err);
    if (rc == RC_OK)
        rc = trust_activate(a->trust, order, token, err);
    if (rc == RC_OK)
        rc = put_into_force(a, order, file.order, envelope, err);
    return rc;
}

/* First into the set, durably; from then on it is in force, whatever happens to us. */
static enum rc take_revocation(struct agent *a, struct bytes envelope, struct err *err)
{
    bool taken = false;
    enum rc rc = trust_add_revocation(a->trust, envelope, &taken, err);

    if (rc != RC_OK || !taken)
        return rc;
    rc = revoke_save(a, err);
    if (rc != RC_OK)
        return not_saved(a, rc);
    log_event(LOG_LEVEL_INFO, "revocation number=%llu entries=%u",
              (unsigned long long)trust_revoked(a->trust)->number, trust_revoked(a->trust)->n);
    revoke_apply(a);
    trust_changed(a);
    return RC_OK;
}

void agent_trust_is_back(struct agent *a)
{
    struct err err = { 0 };

    agent_forget_void_order(a);
    if (agent_load_order(a, &err) != RC_OK)
        agent_event_err(a, &err, "order");
    staged_load(a);
    if (a->ordered)
        agent_apply_order(a);
    revoke_apply(a);
    receive_try_waiting(a);
    trust_changed(a);
}

/* Whether the operator speaks now, knowing that the state is lost: he can see it in every report.
 * The order in force is known from its own file; if that has been lost as well nothing but the time
 * in it tells an order of today from one of last year. */
static enum rc check_new_order(struct agent *a, struct bytes envelope, struct err *err)
{
    const struct order_position position = agent_position(a);
    scoped(verified_order_free) struct verified_order *order = NULL;
    enum rc rc = trust_verify_order(a->trust, envelope, &position, agent_now_unix(), &order, err);

    if (rc != RC_OK)
        return rc;
    if (verified_order_get(order)->generation <= a->state.generation)
        return err_set(err, RC_STATE_DAMAGED, "not a new order");
    if (a->state.generation == 0 &&
        verified_order_get(order)->issued_ms < trust_time_floor(a->trust))
        return err_set(err, RC_ORDER_OLD, "older than what is held, and the state is lost");
    return RC_OK;
}

enum rc documents_take_damaged(struct agent *a, uint32_t kind, struct bytes envelope,
                               struct err *err)
{
    char what[64];

    if (kind != OBJECT_ORDER || !a->trust)
        return err_set(err, RC_STATE_DAMAGED, "nothing new is taken but a new order");
    enum rc rc = check_new_order(a, envelope, err);
    if (rc == RC_OK)
        rc = state_set_aside(a->state_dir, err);
    if (rc != RC_OK)
        return rc;
    a->damaged = false;
    (void)snprintf(what, sizeof what, "state begun anew behind order %llu",
                   (unsigned long long)a->state.generation);
    agent_event(a, RC_STATE_DAMAGED, 1, what);
    agent_record_trust(a);
    return documents_take(a, kind, envelope, err);
}

enum rc documents_take(struct agent *a, uint32_t kind, struct bytes envelope, struct err *err)
{
    if (!a->trust && a->lost == 0)
        return err_set(err, RC_TRUST_MISSING, "document");
    if (!a->trust && kind != OBJECT_ROOT)
        return err_set(err, RC_SAFE_MODE, "nothing new is taken");
    switch ((enum object_kind)kind) {
    case OBJECT_ROOT:
        return take_root(a, envelope, err);
    case OBJECT_GRANT:
        return take_grant(a, envelope, err);
    case OBJECT_ORDER:
        return take_order(a, envelope, err);
    case OBJECT_REVOCATION:
        return take_revocation(a, envelope, err);
    case OBJECT_DELEGATION:
        return take_delegation(a, envelope, err);
    case OBJECT_TOKEN:
        return take_token(a, envelope, err);
    case OBJECT_REKEY:
        return rekey_take(a, envelope, err);
    case OBJECT_PACKAGE:
    case OBJECT_REPORT:
    case OBJECT_MAIL:
        break;
    }
    return err_set(err, RC_OBJECT_KIND, "kind %u", kind);
}
