/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_apply: sign what a plan says and hold it ready; of a fleet file, or of what
 * undoes a rollout.  Nothing is sent from here: the orders are released by berth-ground, wave by
 * wave.
 *
 * The store is locked from reading it to committing, so the plan that is signed is the plan that is
 * recorded, and a --plan made from an older store is refused.  Passes are found before that, since
 * it may take long and needs the fleet file alone.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "link/port.h"
#include "orchestrator/activation.h"
#include "orchestrator/advance.h"
#include "orchestrator/approvals.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/deliver.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"
#include "orchestrator/offline.h"
#include "orchestrator/path.h"
#include "orchestrator/period.h"
#include "orchestrator/planning.h"
#include "orchestrator/planning_sky.h"
#include "orchestrator/prepare.h"
#include "orchestrator/quota_check.h"
#include "orchestrator/strong.h"
#include "orchestrator/undo.h"
#include "orchestrator/witness.h"

/* Everything that the steps of one apply share. */
struct apply {
    struct cli *cli;
    struct home *home;
    const struct planning *p;
    const struct planning_sky *sky;
    struct trust *trust;
    struct keyring *ring;
    struct keyring *safety;
    struct auditing *audit;
    struct offline_files *signatures; /* of --attach */
    uint64_t undo;                    /* rollout that is undone; 0 = a fleet file is applied */
    bool shows;                       /* undo: print, and leave the store as it is */
    const char *path;                 /* of the fleet file */
    const struct fleet *file;         /* what it says, read once */
    const char *again;                /* the command's name and argument, to be typed again */
    bool agreed;                      /* --plan means the plan as it was before deltas were made: */
    struct digest agreed_basis;
    uint64_t agreed_bytes;
    bool staged;
    uint64_t life_ms; /* of tokens */
    uint64_t now_ms;
    struct cost cost;
    uint64_t *rollout; /* ids, by index in the plan */
};

static enum rc check_ring(const struct key_set *keys, const struct keyring *ring, const char *role,
                          struct err *err)
{
    for (size_t i = 0; i < ring->n; i++) {
        const struct public_key *key = sign_key_public(ring->key[i]);
        bool known = false;

        for (uint32_t k = 0; k < keys->n; k++)
            known = known || memcmp(keys->key[k].id, key->id, KEY_ID_SIZE) == 0;
        if (!known)
            return err_set(err, RC_KEY_UNKNOWN, "the root does not list this %s key", role);
    }
    return RC_OK;
}

static enum rc check_key(const struct apply *a, struct err *err)
{
    const struct root *root = trust_root(a->trust);
    enum rc rc = check_ring(&root->operator_keys, a->ring, "operator", err);

    return rc == RC_OK ? check_ring(&root->safety_keys, a->safety, "safety", err) : rc;
}

/* ---- rollouts ---------------------------------------------------------------------------------
 */

static enum rc end_older(const struct apply *a, struct err *err)
{
    const struct planning *p = a->p;
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < p->plan->n_satellites; i++) {
        const struct plan_satellite *sat = &p->plan->satellite[i];
        uint64_t id = sat->changes || sat->withdraws ? UINT64_MAX : 0;

        while (rc == RC_OK && id != 0) {
            rc = store_rollout_on(a->home->store, p->fleet->satellite[i].id, &id, err);
            if (rc != RC_OK || id == 0)
                break;
            rc = advance_enter(a->home->store, id, ROLLOUT_EV_ABORT, "superseded by a later apply",
                               a->now_ms, err);
            if (rc == RC_OK)
                cli_note(a->cli, "rollout %llu: aborted, superseded", (unsigned long long)id);
        }
    }
    return rc;
}

static bool has_change(const struct plan *plan, uint32_t rollout, uint32_t satellite)
{
    const struct plan_satellite *sat = &plan->satellite[satellite];

    for (uint32_t i = sat->first; i < sat->first + sat->n; i++)
        if (plan->change[i].rollout == rollout)
            return true;
    return false;
}

/* A rollout has only the waves in which one of its satellites is; they are numbered without gaps,
 * in the plan's order, so no two rollouts of a plan can wait for each other. */
static enum rc add_waves(const struct apply *a, uint32_t rollout, struct err *err)
{
    const struct plan *plan = a->p->plan;
    struct store_wave row = { .rollout = a->rollout[rollout], .state = WAVE_WAITING };
    enum rc rc = RC_OK;

    for (uint32_t w = 0; rc == RC_OK && w < plan->n_waves; w++) {
        bool used = false;

        for (uint32_t i = 0; rc == RC_OK && i < plan->n_satellites; i++) {
            if (!plan->satellite[i].changes || plan->satellite[i].wave != w ||
                !has_change(plan, rollout, i))
                continue;
            row.index += !used;
            used = true;
            row.generation = plan->satellite[i].order.generation;
            row.period_ms = a->p->fleet->satellite[i].period_ms;
            (void)snprintf(row.satellite, sizeof row.satellite, "%s", a->p->fleet->satellite[i].id);
            rc = store_add_wave(a->home->store, &row, err);
        }
    }
    return rc;
}

static enum rc add_rollouts(const struct apply *a, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < a->p->plan->n_rollouts; i++) {
        const struct plan_rollout *r = &a->p->plan->rollout[i];
        struct store_rollout row = { .to_manifest = r->to_manifest,
                                     .state = r->approve != 0 ? ROLLOUT_AWAITING : ROLLOUT_RUNNING,
                                     .fail_max = r->fail_max,
                                     .fail_pct = r->policy->fail_pct,
                                     .fail_min = r->policy->fail_min,
                                     .success_pct = r->policy->success_pct,
                                     .silent_passes = r->policy->silent_passes,
                                     .silent_ms = r->policy->silent_ms,
                                     .silent_skip = r->policy->silent_skip,
                                     .soak_ms = r->policy->soak_ms,
                                     .soak_orbits = r->policy->soak_orbits,
                                     .plan = a->p->plan->hash,
                                     .approve = r->approve,
                                     .created_ms = a->now_ms };

        if (r->policy->deadline_ms > 0)
            row.deadline_ms = a->now_ms + r->policy->deadline_ms;
        (void)snprintf(row.tenant, sizeof row.tenant, "%s", r->tenant);
        (void)snprintf(row.name, sizeof row.name, "%s", r->name);
        (void)snprintf(row.from, sizeof row.from, "%s", r->from);
        (void)snprintf(row.to, sizeof row.to, "%s", r->to);
        rc = store_add_rollout(a->home->store, &row, &a->rollout[i], err);
        if (rc == RC_OK)
            rc = add_waves(a, i, err);
    }
    return rc;
}

/* ---- orders and packages ----------------------------------------------------------------------
 */

static uint64_t first_rollout(const struct apply *a, uint32_t satellite)
{
    const struct plan *plan = a->p->plan;
    const struct plan_satellite *sat = &plan->satellite[satellite];
    uint32_t first = plan->n_rollouts;

    for (uint32_t i = sat->first; i < sat->first + sat->n; i++)
        if (plan->change[i].rollout < first)
            first = plan->change[i].rollout;
    return first < plan->n_rollouts ? a->rollout[first] : 0;
}

/* "order-sat-1": of each satellite one request. */
static void request_name(const struct order *order, char out[NAME_CAP + 8])
{
    (void)snprintf(out, NAME_CAP + 8, "order-%s", order->satellite);
}

/* The head of the log that the request names: it must still be one of ours. */
static enum rc take_witness(const struct apply *a, struct order *order, const struct order *asked,
                            struct err *err)
{
    struct digest held;
    bool lost = false;
    enum rc rc = RC_OK;

    order->witness = asked->witness;
    if (asked->witness.seq > 0)
        rc = store_audit_hash(a->home->store, asked->witness.seq, &held, &lost, err);
    if (rc == RC_NOT_FOUND ||
        (rc == RC_OK && asked->witness.seq > 0 && !digest_same(&held, &asked->witness.head)))
        rc = err_set(err, RC_PLAN_STALE, "the order of %s names entry %llu of another audit log",
                     order->satellite, (unsigned long long)asked->witness.seq);
    return rc;
}

/* The signatures that came back, over the very order that the plan still asks for: only the time
 * of issue is taken from the request. */
static enum rc collect_order(const struct apply *a, struct order *order, uint8_t **ret,
                             size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    scoped(free_ptr) struct order *asked = calloc(1, sizeof *asked);
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct bytes payload = { 0 };
    char name[NAME_CAP + 8];
    enum rc rc = asked && buf ? RC_OK : err_set(err, RC_NO_MEMORY, "order");

    request_name(order, name);
    if (rc == RC_OK)
        rc = offline_collect_from(a->signatures, name, DOC_ORDER, &offline, ret, ret_n, err);
    if (rc == RC_OK)
        rc = order_decode(offline.request.payload, asked, err);
    if (rc != RC_OK)
        return rc;
    order->issued_ms = asked->issued_ms;
    rc = take_witness(a, order, asked, err);
    if (rc != RC_OK)
        return rc;
    rc = order_encode(order, buf, DOCUMENT_MAX, &payload, err);
    if (rc == RC_OK && !bytes_equal(payload, offline.request.payload))
        rc = err_set(err, RC_PLAN_STALE, "%s: the plan now asks for another order", name);
    return rc;
}

/* Sign, and verify as the satellite will: what it would refuse must not wait in the store. */
static enum rc sign_order(const struct apply *a, struct order *order, uint8_t **ret, size_t *ret_n,
                          struct digest *ret_payload, struct err *err)
{
    scoped(verified_order_free) struct verified_order *verified = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    const struct order_position position = { .satellite = order->satellite };
    static const struct keyring none;
    struct keyring ring = { 0 };
    struct bytes payload = { 0 };
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = strong_order(a->home, trust_root(a->trust), order, err);

    if (rc == RC_OK && cli_value(a->cli, "attach"))
        rc = collect_order(a, order, &envelope, &n, err);
    else if (rc == RC_OK)
        rc = order_encode(order, buf, DOCUMENT_MAX, &payload, err);
    /* The safety role signs what lets an order take effect. */
    if (rc == RC_OK)
        rc = activation_ring(a->ring, order->staged ? &none : a->safety, &ring, err);
    if (rc == RC_OK && !envelope)
        rc = keyring_sign(&ring, DOC_ORDER, &trust_root(a->trust)->mission, payload, &envelope, &n,
                          err);
    if (rc == RC_OK)
        rc = trust_verify_order(a->trust, (struct bytes){ envelope, n }, &position, a->now_ms,
                                &verified, err);
    if (rc != RC_OK)
        return rc;
    *ret_payload = *verified_order_digest(verified);
    *ret_n = n;
    *ret = envelope;
    envelope = NULL;
    return RC_OK;
}

static void token_name(const struct order *order, char out[NAME_CAP + 8])
{
    (void)snprintf(out, NAME_CAP + 8, "token-%s", order->satellite);
}

/* The token of an order that waits: signed here, or elsewhere and collected. */
static enum rc add_token(const struct apply *a, const struct order *order, struct bytes envelope,
                         struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    scoped(free_ptr) uint8_t *signed_token = NULL;
    struct keyring ring = { 0 };
    struct token token = { 0 };
    char name[NAME_CAP + 8];
    size_t n = 0;
    enum rc rc = RC_OK;

    token_name(order, name);
    if (cli_value(a->cli, "attach"))
        rc = offline_collect_from(a->signatures, name, DOC_TOKEN, &offline, &signed_token, &n, err);
    else
        rc = activation_ring(a->ring, a->safety, &ring, err);
    if (rc == RC_OK && !signed_token)
        rc = activation_token(a->trust, envelope, order->issued_ms, a->life_ms, &token, err);
    if (rc == RC_OK && !signed_token)
        rc = activation_sign(a->trust, &ring, &token, &signed_token, &n, err);
    return rc == RC_OK ? activation_keep(a->home, a->trust, envelope,
                                         (struct bytes){ signed_token, n }, a->now_ms, err)
                       : rc;
}

/* Order and packages go up at once; its token alone waits for the wave. */
static enum rc send_staged(const struct apply *a, const struct order *order, struct bytes envelope,
                           struct err *err)
{
    enum rc rc = add_token(a, order, envelope, err);

    return rc == RC_OK ? home_queue_bytes(a->home, order->satellite, OBJECT_ORDER, envelope, true,
                                          a->now_ms, err)
                       : rc;
}

/* What a plan says for a satellite, with what only the moment of signing knows. */
static enum rc fill_order(const struct apply *a, uint32_t satellite, struct order *ret,
                          struct err *err)
{
    const struct view_satellite *sat = view_find(a->p->view, a->p->fleet->satellite[satellite].id);

    const struct want *want = &a->p->plan->satellite[satellite].order;

    *ret = (struct order){ .generation = want->generation,
                           .n_lines = want->n_lines,
                           .staged = a->staged };
    (void)snprintf(ret->satellite, sizeof ret->satellite, "%s",
                   a->p->fleet->satellite[satellite].id);
    memcpy(ret->line, want->line, want->n_lines * sizeof *want->line);
    ret->issued_ms = a->now_ms;
    if (ret->issued_ms < trust_root(a->trust)->operator_since_ms) /* this clock is behind */
        ret->issued_ms = trust_root(a->trust)->operator_since_ms;
    return witness_for(a->home->store, sat ? sat->seen : NULL, &ret->witness, err);
}

static enum rc add_order(const struct apply *a, uint32_t satellite, struct err *err)
{
    const struct plan_satellite *sat = &a->p->plan->satellite[satellite];
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct store_order row = { .state = ORDER_HELD,
                               .generation = sat->order.generation,
                               .rollout = first_rollout(a, satellite),
                               .wave = sat->wave + 1,
                               .created_ms = a->now_ms,
                               .changed_ms = a->now_ms };
    char path[HOME_OBJECT_CAP];
    size_t n = 0;

    if (!order)
        return err_set(err, RC_NO_MEMORY, "order");
    enum rc rc = fill_order(a, satellite, order, err);

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", order->satellite);
    if (rc == RC_OK)
        rc = sign_order(a, order, &envelope, &n, &row.payload, err);

    if (rc == RC_OK)
        rc = home_add_bytes(a->home, (struct bytes){ envelope, n }, &row.object, path, err);
    if (rc == RC_OK)
        rc = store_add_order(a->home->store, &row, (struct bytes){ envelope, n }, err);
    if (rc == RC_OK && a->staged)
        rc = send_staged(a, order, (struct bytes){ envelope, n }, err);
    if (rc == RC_OK)
        auditing_signers(a->audit, (struct bytes){ envelope, n });
    return rc;
}

/* Packages of all waves go up at once: what is on board early costs nothing but its room, and the
 * order alone decides what runs. */
static enum rc queue_package(const struct apply *a, const struct plan_change *change,
                             struct err *err)
{
    const struct store_package *package = view_package(a->p->view, &change->to_manifest);
    const struct deliver d = { .store = a->home->store,
                               .view = a->p->view,
                               .sat = view_find(a->p->view,
                                                a->p->fleet->satellite[change->satellite].id),
                               .now_ms = a->now_ms };
    struct delivered done;

    if (change->bytes == 0 || !package || !d.sat)
        return RC_OK;
    return deliver_queue(&d, package, &done, err);
}

/* Where berth passes finds the fleet file from now on. */
static enum rc keep_path(const struct apply *a, struct err *err)
{
    char path[PATH_MAX];

    if (!realpath(a->p->path, path))
        return err_sys(err, RC_IO, "%.60s", a->p->path);
    return store_set(a->home->store, HOME_FLEET_FILE, path, err);
}

static enum rc note_apply(const struct apply *a, struct err *err)
{
    const struct plan *plan = a->p->plan;
    char hash[PLAN_HASH_CAP];

    if (a->undo != 0)
        return store_audit(a->home->store, NULL, "rollout-undo", a->now_ms, err,
                           "rollout %llu by plan %s: %u satellites, %u rollouts",
                           (unsigned long long)a->undo, plan_hash_text(plan, hash), plan->n_changed,
                           plan->n_rollouts);
    return store_audit(a->home->store, NULL, "apply", a->now_ms, err,
                       "plan %s of fleet %s: %u satellites, %u rollouts",
                       plan_hash_text(plan, hash), a->p->fleet->name, plan->n_changed,
                       plan->n_rollouts);
}

/* The entry of the log comes before the orders, so that they bring it up with them: a store from
 * before this apply is then found out.  Orders that were signed elsewhere bring what the log was
 * when they were asked for, and it is they who say who signed. */
static enum rc record(const struct apply *a, struct err *err)
{
    const struct plan *plan = a->p->plan;
    bool attach = cli_value(a->cli, "attach") != NULL;

    a->audit->by.plan = &plan->hash;
    auditing_approvals(a->audit, a->ring);
    auditing_approvals(a->audit, a->safety);
    enum rc rc = end_older(a, err);

    if (rc == RC_OK)
        rc = keep_path(a, err);
    if (rc == RC_OK)
        rc = planning_sky_keep(a->sky, a->home->store, err);

    if (rc == RC_OK)
        rc = add_rollouts(a, err);
    if (rc == RC_OK && !attach)
        rc = note_apply(a, err);
    for (uint32_t i = 0; rc == RC_OK && i < plan->n_satellites; i++)
        if (plan->satellite[i].changes)
            rc = add_order(a, i, err);
    for (uint32_t i = 0; rc == RC_OK && i < plan->n_changes; i++)
        rc = queue_package(a, &plan->change[i], err);
    return rc == RC_OK && attach ? note_apply(a, err) : rc;
}

/* ---- the command ------------------------------------------------------------------------------
 */

/* Whether it is the plan that --plan means, or that one with deltas that were made since: what
 * somebody agreed to, and no more bytes. */
static bool is_wanted(const struct apply *a, const char *want)
{
    const struct plan *plan = a->p->plan;

    return plan_hash_matches(plan, want) ||
           (a->agreed && digest_same(&plan->basis, &a->agreed_basis) &&
            plan->bytes <= a->agreed_bytes);
}

static int stale(const struct apply *a, struct err *err)
{
    const char *want = cli_value(a->cli, "plan");
    char hash[PLAN_HASH_CAP];

    if (want && !is_wanted(a, want)) {
        (void)err_set(err, RC_PLAN_STALE, "plan %.32s is now %s", want,
                      plan_hash_text(a->p->plan, hash));
        return cli_fail(a->cli, err, "berth %s%s", a->undo != 0 ? "" : "plan ",
                        a->undo != 0 ? a->again : a->path);
    }
    if (planning_acts(a->p) && a->p->blocked_by != 0 && !cli_flag(a->cli, "supersede")) {
        (void)err_set(err, RC_ROLLOUT_STATE, "rollout %llu is under way on %s",
                      (unsigned long long)a->p->blocked_by, a->p->blocked_on);
        return cli_fail(
            a->cli, err,
            "berth rollout status %llu; then berth rollout abort %llu, or the same with "
            "--supersede",
            (unsigned long long)a->p->blocked_by, (unsigned long long)a->p->blocked_by);
    }
    if (a->p->failed && !cli_flag(a->cli, "despite-failure")) {
        (void)err_set(err, RC_ROLLOUT_STATE, "%s/%s %s has failed on %s", a->p->failed->tenant,
                      a->p->failed->name, a->p->failed->to, a->p->failed_on);
        return cli_fail(a->cli, err,
                        "berth ps %s tells why; name another version, or the same with "
                        "--despite-failure",
                        a->p->failed_on);
    }
    return CLI_OK;
}

static int done(const struct apply *a)
{
    json_t *doc = planning_json(a->p, &a->cost);
    json_t *ids = json_array();

    for (uint32_t i = 0; i < a->p->plan->n_rollouts; i++) {
        const struct plan_rollout *r = &a->p->plan->rollout[i];

        (void)json_array_append_new(ids, json_uint(a->rollout[i]));
        cli_say(a->cli, "rollout %llu: %s/%s %s -> %s", (unsigned long long)a->rollout[i],
                r->tenant, r->name, r->from[0] ? r->from : "(new)", r->to[0] ? r->to : "(stop)");
        if (r->approve != 0)
            cli_note(a->cli, "waits for approval by %s: berth rollout approve %llu",
                     approvals_text(r->approve), (unsigned long long)a->rollout[i]);
    }
    if (a->p->plan->n_rollouts > 0)
        cli_note(a->cli, "follow it with: berth rollout status --watch");
    (void)json_object_set_new(doc, "rollouts", ids);
    return cli_json(a->cli, doc);
}

/* The request of an order's token. */
static enum rc ask_token(const struct apply *a, const struct order *order, struct bytes payload,
                         int dirfd, char ret_path[PATH_MAX], struct err *err)
{
    struct request request = { .type = DOC_TOKEN, .mission = trust_root(a->trust)->mission };
    struct token token = { .generation = order->generation,
                           .issued_ms = order->issued_ms,
                           .expires_ms = order->issued_ms + a->life_ms };
    uint8_t buf[TOKEN_MAX];
    char name[NAME_CAP + 8];
    enum rc rc = activation_name(a->trust, payload, &token, err);

    memcpy(token.satellite, order->satellite, sizeof token.satellite);
    token_name(order, name);
    if (rc == RC_OK)
        rc = token_encode(&token, buf, sizeof buf, &request.payload, err);
    return rc == RC_OK
               ? offline_put(dirfd, cli_value(a->cli, "request"), name, &request, ret_path, err)
               : rc;
}

/* Instead of signing: one request per satellite that changes; the store stays as it is. */
static int run_ask(const struct apply *a, struct err *err)
{
    scoped(free_ptr) struct order *order = malloc(sizeof *order);
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(close_fd) int dirfd = -1;
    const char *dir = cli_value(a->cli, "request");
    char path[PATH_MAX], name[NAME_CAP + 8];
    json_t *files = json_array();
    enum rc rc =
        order && buf ? path_open_dir(dir, true, &dirfd, err) : err_set(err, RC_NO_MEMORY, "order");

    for (uint32_t i = 0; rc == RC_OK && i < a->p->plan->n_satellites; i++) {
        struct request request = { .type = DOC_ORDER, .mission = trust_root(a->trust)->mission };

        if (!a->p->plan->satellite[i].changes)
            continue;
        rc = fill_order(a, i, order, err);
        if (rc != RC_OK)
            break;
        request_name(order, name);
        rc = strong_order(a->home, trust_root(a->trust), order, err);
        if (rc == RC_OK)
            rc = order_encode(order, buf, DOCUMENT_MAX, &request.payload, err);
        if (rc == RC_OK)
            rc = offline_put(dirfd, dir, name, &request, path, err);
        if (rc == RC_OK) {
            cli_say(a->cli, "%s", path);
            (void)json_array_append_new(files, json_safe(path));
        }
        if (rc == RC_OK && a->staged)
            rc = ask_token(a, order, request.payload, dirfd, path, err);
        if (rc == RC_OK && a->staged) {
            cli_say(a->cli, "%s", path);
            (void)json_array_append_new(files, json_safe(path));
        }
    }
    if (rc == RC_OK)
        rc = offline_sync(dirfd, err);
    if (rc == RC_OK) {
        cli_note(a->cli,
                 "carry them to each signer: berth sign FILE --key KEY; then berth %s%s "
                 "--attach %s",
                 a->again, a->staged ? " --staged" : "", dir);
        return cli_json(a->cli, json_pack("{s:o}", "files", files));
    }
    json_decref(files);
    return cli_fail(a->cli, err, NULL);
}

static int fail_plan(const struct apply *a, const struct err *err)
{
    if (a->undo == 0 || err->rc == RC_SOAK_ORBIT)
        return planning_fail(a->cli, err);
    return cli_fail(a->cli, err,
                    "berth rollout status %llu; or apply a fleet file that names the version",
                    (unsigned long long)a->undo);
}

/* The fleet that is wanted: what the file said when it was read, or what undoes the rollout as the
 * store is now. */
static enum rc load_fleet(const struct apply *a, struct fleet **ret, struct err *err)
{
    const uint32_t wants = a->undo != 0 ? undo_wants(a->file) : FLEET_WANTS_MAX;
    scoped(free_ptr) struct fleet *fleet = fleet_copy(a->file, wants);
    enum rc rc = fleet ? RC_OK : err_set(err, RC_NO_MEMORY, "fleet");

    if (rc == RC_OK && a->undo != 0)
        rc = undo_fleet(a->home->store, a->undo, fleet, err);
    if (rc != RC_OK)
        return rc;
    *ret = fleet;
    fleet = NULL;
    return RC_OK;
}

/* What is undone goes no further; that this blocks its own undo would be no use to anybody. */
static enum rc end_undone(const struct apply *a, struct err *err)
{
    struct store_rollout row;
    enum rc rc = a->undo != 0 ? store_rollout(a->home->store, a->undo, &row, err) : RC_OK;

    if (rc != RC_OK || a->undo == 0 ||
        (row.state != ROLLOUT_RUNNING && row.state != ROLLOUT_PAUSED &&
         row.state != ROLLOUT_AWAITING))
        return rc;
    return advance_enter(a->home->store, a->undo, ROLLOUT_EV_ABORT, "undone", a->now_ms, err);
}

/* An undo without a key: the command that does what was shown. */
static int show_only(const struct apply *a)
{
    char hash[PLAN_HASH_CAP];

    cli_say(a->cli, "berth %s --plan %s%s%s --key OPERATOR.key", a->again,
            plan_hash_text(a->p->plan, hash), a->p->blocked_by != 0 ? " --supersede" : "",
            a->p->failed ? " --despite-failure" : "");
    int code = cli_json(a->cli, planning_json(a->p, &a->cost));

    return code == CLI_OK && planning_acts(a->p) ? CLI_CHANGES : code;
}

/* Whether no satellite has seen another log than this one.  One that the others contradict only
 * gets no order: its is made and held; but one that is staged would go up at once. */
static int check_witness(const struct apply *a, struct err *err)
{
    scoped(free_ptr) enum witness_state *states = NULL;
    const struct view *view = a->p->view;
    struct witness_alarm alarm = { 0 };

    if (!planning_acts(a->p))
        return CLI_OK;
    if (witness_fleet(a->home->store, view, &alarm, err) != RC_OK ||
        witness_refuse(&alarm, err) != RC_OK)
        return cli_fail(a->cli, err,
                        "berth audit verify; then berth audit accept-loss --why TEXT, or of a "
                        "satellite that tells lies --satellite SAT");
    if (witness_states(a->home->store, view, &states, err) != RC_OK)
        return cli_fail(a->cli, err, NULL);
    for (uint32_t i = 0; i < a->p->plan->n_satellites; i++) {
        const struct view_satellite *sat = view_find(view, a->p->fleet->satellite[i].id);

        if (!a->p->plan->satellite[i].changes || !sat ||
            states[sat - view->satellite] != WITNESS_ACCUSED)
            continue;
        cli_note(a->cli, "%s tells another log than others have seen: its order is held",
                 sat->row.id);
        if (!a->staged)
            continue;
        (void)err_set(err, RC_AUDIT_LOST, "%s tells another log than others have seen",
                      sat->row.id);
        return cli_fail(a->cli, err, "berth audit accept-loss --satellite %s --why TEXT",
                        sat->row.id);
    }
    return CLI_OK;
}

/* The plan as it is before anything was made for it.  What an undo ends first is undone again. */
static enum rc plan_ahead(const struct apply *a, const struct fleet *fleet, struct planning *ret,
                          struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    enum rc rc = a->undo != 0 ? store_begin(a->home->store, &open, err) : RC_OK;

    if (rc == RC_OK)
        rc = end_undone(a, err);
    return rc == RC_OK ? planning_make(a->home->store, fleet, a->path, ret, err) : rc;
}

/* Before the store is locked, and before deltas are made: the passes that the plan needs, which may
 * take long to find, and whether this is the plan that --plan means. */
static int look_ahead(struct apply *a, struct planning_sky *sky, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(planning_done) struct planning p = { 0 };
    const char *want = cli_value(a->cli, "plan");

    if (load_fleet(a, &fleet, err) != RC_OK)
        return fail_plan(a, err);
    /* passes outlive this fleet; those of the file have its stations, an undo has none */
    if (plan_ahead(a, a->undo != 0 ? fleet : a->file, &p, err) != RC_OK ||
        planning_sky_look(&p, a->home->store, (int64_t)a->now_ms, sky, err) != RC_OK)
        return fail_plan(a, err);
    a->agreed = want && plan_hash_matches(p.plan, want);
    a->agreed_basis = p.plan->basis;
    a->agreed_bytes = p.plan->bytes;
    return CLI_OK;
}

/* Inside the transaction: plan, compare, sign, record. */
static int apply_locked(const struct apply *before, struct planning_sky *sky, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(store_rollback) struct store *open = NULL;
    scoped(planning_done) struct planning p = { 0 };
    scoped(quota_verdicts_done) struct quota_verdicts quotas = { 0 };
    scoped(free_ptr) uint64_t *rollout = NULL;
    struct apply a = *before;

    if (store_begin(a.home->store, &open, err) != RC_OK)
        return cli_fail(a.cli, err, NULL);
    if (load_fleet(&a, &fleet, err) != RC_OK || end_undone(&a, err) != RC_OK ||
        planning_make(a.home->store, fleet, a.path, &p, err) != RC_OK ||
        planning_check(&p, a.home, a.trust, a.now_ms, err) != RC_OK ||
        planning_sky_make(&p, a.home->store, sky, err) != RC_OK ||
        quota_verdicts_make(&p, sky, a.home, a.now_ms, &quotas, err) != RC_OK ||
        quota_verdicts_refuse(&quotas, err) != RC_OK)
        return fail_plan(&a, err);
    a.p = &p;
    a.sky = sky;
    int code = a.shows ? CLI_OK : stale(&a, err);

    if (code != CLI_OK)
        return code;
    planning_print(a.cli, &p, &a.cost);
    planning_sky_print(a.cli, sky);
    planning_print_hash(a.cli, &p);
    if (a.shows)
        return show_only(&a);
    code = check_witness(&a, err);
    if (code != CLI_OK)
        return code;
    if (cli_value(a.cli, "request"))
        return run_ask(&a, err);
    rollout = calloc(p.plan->n_rollouts + 1U, sizeof *rollout);
    if (!rollout)
        return CLI_FAILED;
    a.rollout = rollout;
    if (planning_acts(&p) && (record(&a, err) != RC_OK || store_commit(&open, err) != RC_OK))
        return err->rc == RC_SAFETY_MISSING
                   ? cli_fail(a.cli, err,
                              "--safety-key KEY, or have the safety role sign --request")
                   : cli_fail(a.cli, err, NULL);
    return done(&a);
}

/* Everything that is needed before the store is locked; keys are asked for last. */
static int prepare(struct apply *a, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct cli *cli = a->cli;
    char own[HOME_PATH_CAP] = "";

    if (load_fleet(a, &fleet, err) != RC_OK)
        return fail_plan(a, err);
    if (a->shows)
        return CLI_OK;
    /* Before any key is loaded, and only if packages will be queued. */
    if (!cli_flag(cli, "no-deltas") && !cli_value(cli, "request") &&
        prepare_deltas(cli, a->home, fleet, a->path, err) != RC_OK)
        return planning_fail(cli, err);
    if (cli_value(cli, "request"))
        return CLI_OK;
    if (cli_value(cli, "attach") &&
        offline_list(cli_value(cli, "attach"), &a->signatures, err) != RC_OK)
        return cli_fail(cli, err, NULL);
    if (cli_value(cli, "attach"))
        return auditing_begin(a->audit, cli, a->home, NULL, err) == RC_OK
                   ? CLI_OK
                   : cli_fail(cli, err, "berth apply --help");
    (void)!home_operator_key(a->home, own, sizeof own, NULL);
    if (keyring_load(cli, "key", own[0] ? own : NULL, a->ring, err) != RC_OK || a->ring->n == 0)
        return cli_fail(cli, err, "--key OPERATOR.key, and --passphrase-file FILE");
    for (size_t i = 0; cli_value_at(cli, "safety-key", i); i++)
        if (keyring_add(cli, a->safety, cli_value_at(cli, "safety-key", i), err) != RC_OK)
            return cli_fail(cli, err, "--safety-key SAFETY.key");
    if (check_key(a, err) != RC_OK)
        return cli_fail(cli, err, "use an operator key of this mission");
    if (auditing_begin(a->audit, cli, a->home, a->ring, err) != RC_OK)
        return cli_fail(cli, err, "berth apply --help");
    return CLI_OK;
}

static int run(struct cli *cli, uint64_t undo)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(keyring_done) struct keyring safety = { 0 };
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(free_ptr) struct fleet *file = NULL;
    scoped(planning_sky_done) struct planning_sky sky = { 0 };
    char path[PATH_MAX], again[PATH_MAX];
    struct err err = { 0 };
    struct apply a = { .cli = cli,
                       .home = &home,
                       .ring = &ring,
                       .safety = &safety,
                       .audit = &audit,
                       .path = undo == 0 ? cli_arg(cli, 0) : path,
                       .again = again,
                       .undo = undo,
                       .shows = undo != 0 && !cli_value(cli, "key") && !cli_value(cli, "request") &&
                                !cli_value(cli, "attach"),
                       .staged = cli_flag(cli, "staged"),
                       .now_ms = clock_unix_ms() };

    (void)snprintf(again, sizeof again, "%s %s", undo == 0 ? "apply" : "rollout undo",
                   cli_arg(cli, 0));
    if (cost_options(cli, &a.cost, &err) != RC_OK)
        return cli_fail(cli, &err, "berth apply --help");
    if (activation_life(cli, &a.life_ms, &err) != RC_OK)
        return cli_fail(cli, &err, "--token-life DAYS");
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (undo != 0 && store_get(home.store, HOME_FLEET_FILE, path, sizeof path, &err) != RC_OK)
        return cli_fail(cli, &err, "nothing was ever applied: berth rollout list");
    if (home_trust(&home, a.now_ms, &trust, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME");
    a.trust = trust;
    if (fleet_load(a.path, &file, &err) != RC_OK || period_find(file, a.path, &err) != RC_OK)
        return fail_plan(&a, &err);
    a.file = file;
    int code = look_ahead(&a, &sky, &err);

    if (code == CLI_OK)
        code = prepare(&a, &err);
    if (code == CLI_OK)
        code = apply_locked(&a, &sky, &err);
    offline_files_free(&a.signatures);
    return code;
}

static int run_apply(struct cli *cli)
{
    return run(cli, 0);
}

static int run_undo(struct cli *cli)
{
    struct err err = { 0 };
    uint64_t id = 0;

    return cli_rollout(cli, 0, &id, &err) == RC_OK ? run(cli, id)
                                                   : cli_fail(cli, &err, "berth rollout list");
}

static const struct cli_option apply_options[] = {
    { "plan", CLI_TEXT, "HASH", "apply exactly this plan; refused if the store has moved on" },
    { "key", CLI_LIST, "FILE", "operator key (else the one that fleet init recorded)" },
    { "supersede", CLI_FLAG, NULL, "abort rollouts under way on the satellites that change" },
    { "despite-failure", CLI_FLAG, NULL, "roll out a version that a satellite has failed with" },
    { "staged", CLI_FLAG, NULL,
      "send all orders at once, to wait on board; their tokens are what the waves release" },
    { "no-deltas", CLI_FLAG, NULL, "make no deltas; send those that are there" },
    { "retry", CLI_FLAG, NULL, "make deltas again that could not be made before" },
    COST_OPTIONS,
    ACTIVATION_OPTIONS,
    OFFLINE_OPTIONS,
    { "yes", CLI_FLAG, NULL, "through a context: sign what is shown without asking" },
    { "digest", CLI_LIST, "HEX",
      "through a context: manifests that are meant, where the fleet file gives no digest" },
    { "again", CLI_FLAG, NULL,
      "through a context: sign other orders than before, of the same generation, which the ground "
      "has refused" },
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_apply[] = {
    { .name = "apply",
      .group = "Operate",
      .args = "FLEET.yaml",
      .summary = "Sign orders for what differs and start the rollouts",
      .about =
          "Signs one order per satellite that changes, each naming the satellite's full\n"
          "desired set, and holds them; berth-ground releases them wave by wave.  Packages\n"
          "of all waves are queued at once, as deltas against what each satellite reported where\n"
          "that saves bytes; missing ones are made first.  Where the operator keys are offline, "
          "--request DIR\n"
          "writes the orders to be signed and stops; --attach DIR goes on with what was signed,\n"
          "if the plan still asks for the same.  Through a context the ground plans, and each "
          "order\n"
          "is held against the fleet file, shown and signed on this machine, with --key; of\n"
          "versions without a digest, each is asked for.  Ends with 4 when --plan is stale, a "
          "rollout is\n"
          "under way on one of the satellites, or a satellite has failed with a version.",
      .args_min = 1,
      .args_max = 1,
      .options = apply_options,
      .run = run_apply },
    { .name = "rollout undo",
      .group = "Operate",
      .args = "ID",
      .summary = "Order again what ran before a rollout, as a new generation",
      .about =
          "Plans the way back for the satellites that got the rollout's orders: its payload to\n"
          "what the newest order in force before named, all else as it is ordered.  What is on\n"
          "board still is not sent.  Without --key it prints the plan and ends with 3; with it\n"
          "(or --request, --attach) the plan is signed and rolled out like any other, by the\n"
          "policy in the fleet file that was applied last, and the rollout ends if it has not.\n"
          "Change the fleet file, too: the next apply of it would roll out the version again.\n"
          "Ends with 4 when no satellite got an order of it, the payload was changed again, or\n"
          "another rollout is under way on one of them.",
      .args_min = 1,
      .args_max = 1,
      .options = apply_options,
      .run = run_undo },
    { 0 },
};
