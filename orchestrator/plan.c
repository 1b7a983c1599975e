/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan.h"

#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/plan_desired.h"
#include "orchestrator/plan_hash.h"
#include "orchestrator/plan_waves.h"
#include "orchestrator/verdict.h"

void plan_free(struct plan **plan)
{
    if (!*plan)
        return;
    free((*plan)->satellite);
    free((*plan)->change);
    free((*plan)->rollout);
    arena_done(&(*plan)->arena);
    free(*plan);
    *plan = NULL;
}

static bool same_payload(const char *tenant_a, const char *name_a, const char *tenant_b,
                         const char *name_b)
{
    return strcmp(tenant_a, tenant_b) == 0 && strcmp(name_a, name_b) == 0;
}

/* ---- what the file asks for, as order lines ---------------------------------------------------
 */

static const struct store_package *find_manifest(const struct plan_input *in,
                                                 const struct digest *manifest)
{
    for (size_t i = 0; i < in->n_packages; i++)
        if (digest_same(&in->packages[i].manifest, manifest))
            return &in->packages[i];
    return NULL;
}

static const char *version_of(const struct plan_input *in, const struct order_line *line)
{
    const struct store_package *package = line ? find_manifest(in, &line->manifest) : NULL;

    if (package)
        return package->version;
    return line ? "?" : "";
}

/* ---- the difference ---------------------------------------------------------------------------
 */

/* Whether the newest report shows that the satellite has this version: runs it, or was given one of
 * its objects.  A delta that was given and did not work counts for nothing. */
static bool on_board(const struct plan_input *in, const struct sight *seen,
                     const struct store_package *package, const struct ride *ride)
{
    for (uint32_t i = 0; seen && i < seen->n_objects; i++)
        if (ride->refused ? digest_same(&seen->object[i], &package->object)
                          : in->brings(in->arg, package, &seen->object[i]))
            return true;
    for (uint32_t i = 0; seen && i < seen->n_payloads; i++)
        if (seen->payload[i].is_running &&
            digest_same(&seen->payload[i].running, &package->manifest))
            return true;
    return false;
}

/* NULL when there is no memory. */
static struct plan_change *add_change(struct plan *plan, uint32_t index, enum plan_verb verb,
                                      const struct order_line *line)
{
    struct plan_change *change;

    if (plan->n_changes == plan->changes_cap) {
        const uint32_t cap = plan->changes_cap > 0 ? 2 * plan->changes_cap : 16;
        struct plan_change *more =
            cap > plan->changes_cap ? reallocarray(plan->change, cap, sizeof *more) : NULL;

        if (!more)
            return NULL;
        plan->change = more;
        plan->changes_cap = cap;
    }
    change = &plan->change[plan->n_changes++];
    *change = (struct plan_change){ .verb = verb, .satellite = index };
    (void)snprintf(change->tenant, sizeof change->tenant, "%s", line->tenant);
    (void)snprintf(change->name, sizeof change->name, "%s", line->name);
    return change;
}

/* What has to go up for a change, if anything. */
static void add_ride(const struct plan_input *in, struct plan *plan, struct plan_change *change,
                     const struct store_package *package)
{
    struct plan_satellite *sat = &plan->satellite[change->satellite];
    struct ride ride = in->ride(in->arg, change->satellite, package);
    const struct store_package *base =
        digest_is_none(&ride.base) ? NULL : find_manifest(in, &ride.base);

    if (on_board(in, in->base[change->satellite].seen, package, &ride))
        return;
    change->ride = ride;
    change->bytes = ride.kind == RIDE_DELTA ? ride.size : package->size;
    change->full_bytes = package->size;
    sat->bytes += change->bytes;
    sat->full_bytes += change->full_bytes;
    if (base)
        (void)snprintf(change->ride_from, sizeof change->ride_from, "%s", base->version);
}

static enum rc diff_line(const struct plan_input *in, struct plan *plan, uint32_t index,
                         const struct order_line *line, struct err *err)
{
    const struct plan_base *base = &in->base[index];
    const struct order_line *old = verdict_order_line(&base->order, line->tenant, line->name);

    if (old && digest_same(&old->manifest, &line->manifest))
        return RC_OK;
    const struct store_package *package = find_manifest(in, &line->manifest);
    struct plan_change *change = add_change(plan, index, old ? PLAN_CHANGE : PLAN_ADD, line);

    if (!change)
        return err_set(err, RC_NO_MEMORY, "plan");
    (void)snprintf(change->from, sizeof change->from, "%s", version_of(in, old));
    (void)snprintf(change->to, sizeof change->to, "%s", version_of(in, line));
    change->to_manifest = line->manifest;
    if (package)
        add_ride(in, plan, change, package);
    return RC_OK;
}

static enum rc diff_removed(const struct plan_input *in, struct plan *plan, uint32_t index,
                            const struct want *order, const struct order_line *old, struct err *err)
{
    if (verdict_order_line(order, old->tenant, old->name))
        return RC_OK;
    struct plan_change *change = add_change(plan, index, PLAN_REMOVE, old);

    if (!change)
        return err_set(err, RC_NO_MEMORY, "plan");
    (void)snprintf(change->from, sizeof change->from, "%s", version_of(in, old));
    return RC_OK;
}

/* What a plan is made with, one satellite behind the other. */
struct making {
    const struct plan_input *in;
    struct plan *plan;
    struct desired *desired;
    struct plan_hasher *hasher;
};

static void making_done(struct making *m)
{
    desired_free(&m->desired);
    plan_hasher_free(&m->hasher);
}

static enum rc diff_satellite(struct making *m, uint32_t index, struct err *err)
{
    const struct plan_input *in = m->in;
    struct plan *plan = m->plan;
    struct plan_satellite *sat = &plan->satellite[index];
    const struct want *before = &in->base[index].order;
    const uint32_t n_before = plan->n_changes;
    struct want order = { 0 };
    enum rc rc = desired_find(m->desired, index, &order, err);
    const bool differs = rc == RC_OK && !desired_is(m->desired, before);

    for (uint32_t i = 0; rc == RC_OK && differs && i < order.n_lines; i++)
        rc = diff_line(in, plan, index, &order.line[i], err);
    for (uint32_t i = 0; rc == RC_OK && differs && i < before->n_lines; i++)
        rc = diff_removed(in, plan, index, &order, &before->line[i], err);
    if (rc != RC_OK)
        return rc;
    const bool changes = plan->n_changes > n_before, withdraws = !changes && in->base[index].held;

    if (withdraws) /* of most, which do nothing, no memory is touched here */
        sat->withdraws = true;
    plan->n_withdrawn += withdraws;
    rc = plan_hasher_satellite(m->hasher, index, withdraws, err);
    if (rc != RC_OK || !changes)
        return rc;
    sat->changes = true;
    sat->first = n_before;
    sat->n = plan->n_changes - n_before;
    plan->n_changed++;
    plan->bytes += sat->bytes;
    plan->full_bytes += sat->full_bytes;
    sat->order = order;
    return desired_keep(m->desired, &sat->order, err);
}

/* ---- rollouts and waves -----------------------------------------------------------------------
 */

static bool is_of(const struct plan_rollout *r, const struct plan_change *change)
{
    return digest_same(&r->to_manifest, &change->to_manifest) &&
           same_payload(r->tenant, r->name, change->tenant, change->name);
}

/* The rollout of a change, beginning behind the one of the change before: satellites mostly change
 * alike.  n_rollouts = it has none yet. */
static uint32_t find_rollout(const struct plan *plan, const struct plan_change *change,
                             uint32_t before)
{
    for (uint32_t k = 1; k <= plan->n_rollouts; k++) {
        const uint32_t i = (before + k) % plan->n_rollouts;

        if (is_of(&plan->rollout[i], change))
            return i;
    }
    return plan->n_rollouts;
}

static void begin_rollout(const struct plan_input *in, struct plan *plan,
                          const struct plan_change *change)
{
    const struct fleet_policy *policy = fleet_policy_of(in->fleet, change->tenant, change->name);
    struct plan_rollout *r = &plan->rollout[plan->n_rollouts++];

    *r = (struct plan_rollout){ .to_manifest = change->to_manifest,
                                .policy = policy,
                                .fail_max = policy->fail_max,
                                .approve = policy->approve };
    (void)snprintf(r->tenant, sizeof r->tenant, "%s", change->tenant);
    (void)snprintf(r->name, sizeof r->name, "%s", change->name);
    (void)snprintf(r->from, sizeof r->from, "%s", change->from);
    (void)snprintf(r->to, sizeof r->to, "%s", change->to);
}

static enum rc number_rollouts(const struct plan_input *in, struct plan *plan, struct err *err)
{
    uint32_t cap = 0, at = 0;

    for (uint32_t i = 0; i < plan->n_changes; i++) {
        at = find_rollout(plan, &plan->change[i], at);
        plan->change[i].rollout = at;
        if (at < plan->n_rollouts)
            continue;
        if (plan->n_rollouts == cap) {
            struct plan_rollout *more =
                reallocarray(plan->rollout, cap + cap / 2 + 16, sizeof *more);

            if (!more)
                return err_set(err, RC_NO_MEMORY, "plan");
            plan->rollout = more;
            cap += cap / 2 + 16;
        }
        begin_rollout(in, plan, &plan->change[i]);
    }
    return RC_OK;
}

/* Whether any satellite of the file was ever ordered to run the payload. */
static bool runs_somewhere(const struct plan_input *in, const char *tenant, const char *name)
{
    for (uint32_t i = 0; i < in->fleet->n_satellites; i++)
        if (verdict_order_line(&in->base[i].order, tenant, name))
            return true;
    return false;
}

struct wave_choice {
    const struct fleet_wave *wave;
    uint32_t n;
};

/* One order carries all changes of a satellite, so all changes share the waves: those of the most
 * careful policy among them; what any of them says of spread holds. */
static struct wave_choice choose_waves(const struct plan_input *in, const struct plan *plan)
{
    struct wave_choice best = { 0 };

    for (uint32_t i = 0; i < plan->n_rollouts; i++) {
        const struct plan_rollout *r = &plan->rollout[i];
        const struct fleet_policy *policy = fleet_policy_of(in->fleet, r->tenant, r->name);
        bool first = !runs_somewhere(in, r->tenant, r->name);
        uint32_t n = first ? policy->n_first : policy->n_waves;

        if (n > best.n)
            best = (struct wave_choice){ .wave = first ? policy->first : policy->wave, .n = n };
    }
    return best;
}

static enum rc assign_waves(const struct plan_input *in, struct plan *plan, struct err *err)
{
    scoped(free_ptr) uint32_t *which = calloc(plan->n_changed + 1U, sizeof *which);
    scoped(free_ptr) uint32_t *wave = calloc(plan->n_changed + 1U, sizeof *wave);
    uint32_t n = 0;

    if (!which || !wave)
        return err_set(err, RC_NO_MEMORY, "plan");
    enum rc rc = number_rollouts(in, plan, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < plan->n_changes; i += plan->satellite[which[n - 1]].n)
        which[n++] = plan->change[i].satellite;

    struct wave_choice choice = choose_waves(in, plan);
    struct plan_dealing dealing = {
        .fleet = in->fleet, .n_waves = choice.n, .wave = choice.wave, .n = n, .which = which
    };

    for (uint32_t i = 0; rc == RC_OK && i < plan->n_rollouts; i++)
        rc = plan_spread(&dealing, plan->rollout[i].policy, err);
    if (rc == RC_OK)
        rc = plan_waves(&dealing, wave, &plan->n_waves, err);
    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        plan->satellite[which[i]].wave = wave[i];
    return rc;
}

/* ---- soaks ------------------------------------------------------------------------------------
 */

/* Why there is no period. */
static const char *no_period(const struct fleet_satellite *sat)
{
    if (sat->orbit == FLEET_NO_ORBIT)
        return "no 'orbit'";
    return sat->orbit == FLEET_CONTACTS ? "'contacts' tell no period" : "'orbit' is not closed";
}

static enum rc check_soaks(const struct plan_input *in, const struct plan *plan, struct err *err)
{
    for (uint32_t i = 0; i < plan->n_changes; i++) {
        const struct fleet_satellite *sat = &in->fleet->satellite[plan->change[i].satellite];
        const uint32_t n = plan->rollout[plan->change[i].rollout].policy->soak_orbits;

        if (n > 0 && sat->period_ms == 0)
            return err_set(err, RC_SOAK_ORBIT, "%.24s:%u: %.16s: %s, for soak: %u orbit%s",
                           in->fleet->source, sat->line, sat->id, no_period(sat), n,
                           n == 1 ? "" : "s");
    }
    return RC_OK;
}

uint64_t plan_soak_ms(const struct plan *plan, const struct fleet *fleet, uint32_t wave)
{
    uint64_t longest = 0;

    for (uint32_t i = 0; i < plan->n_changes; i++) {
        const struct plan_change *c = &plan->change[i];
        const struct fleet_policy *p = plan->rollout[c->rollout].policy;
        const uint64_t ms = p->soak_ms + p->soak_orbits * fleet->satellite[c->satellite].period_ms;

        if (plan->satellite[c->satellite].wave == wave && ms > longest)
            longest = ms;
    }
    return longest;
}

static enum rc make_plan(struct making *m, struct err *err)
{
    const uint32_t n = m->in->fleet->n_satellites;
    struct plan *plan = m->plan;

    plan->n_satellites = n;
    plan->satellite = calloc(n + 1U, sizeof *plan->satellite);
    if (!plan->satellite)
        return err_set(err, RC_NO_MEMORY, "plan");
    enum rc rc = desired_new(m->in, &plan->arena, &m->desired, err);

    if (rc == RC_OK)
        rc = plan_hasher_new(m->in, &m->hasher, err);
    for (uint32_t i = 0; rc == RC_OK && i < n; i++)
        rc = diff_satellite(m, i, err);
    if (rc == RC_OK)
        rc = assign_waves(m->in, plan, err);
    if (rc == RC_OK)
        rc = check_soaks(m->in, plan, err);
    return rc == RC_OK ? plan_hasher_end(m->hasher, plan, err) : rc;
}

enum rc plan_compute(const struct plan_input *in, struct plan **ret, struct err *err)
{
    scoped(plan_free) struct plan *plan = calloc(1, sizeof *plan);
    scoped(making_done) struct making making = { .in = in, .plan = plan };
    enum rc rc = plan ? make_plan(&making, err) : err_set(err, RC_NO_MEMORY, "plan");

    if (rc != RC_OK)
        return rc;
    *ret = plan;
    plan = NULL;
    return RC_OK;
}
