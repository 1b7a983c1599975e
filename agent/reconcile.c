/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reconcile.h"

#include <assert.h>

#include "agent/gate.h"
#include "base/name.h"

/* ---- small parts ------------------------------------------------------------------------------
 */

static void act(struct table *t, const struct unit *u, enum action_type type, enum rc code,
                const struct digest *manifest)
{
    assert(t->n_actions < RECONCILE_ACTIONS_MAX);
    t->action[t->n_actions++] = (struct action){
        .type = type,
        .unit = (uint32_t)(u - t->unit),
        .code = code,
        .instance = u->run.instance,
        .manifest = *manifest,
    };
}

/* A note may be lost when very many happen at once, an order to start or stop may not. */
static void note(struct table *t, const struct unit *u, enum rc code, const struct digest *manifest)
{
    if (t->n_actions < RECONCILE_ACTIONS_MAX - 2 * UNITS_MAX)
        act(t, u, ACTION_NOTE, code, manifest);
}

/* The one place where a state changes.  False: the table has no such move, nothing changed. */
static bool move(struct table *t, struct unit *u, enum slot_event event, enum rc code)
{
    enum slot_state to = SLOT_ABSENT;

    if (slot_next(u->kept.state, event, &to) != RC_OK)
        return false;
    u->kept.state = to;
    u->kept.code = (uint32_t)code;
    t->changed = true;
    return true;
}

static void must_move(struct table *t, struct unit *u, enum slot_event event, enum rc code)
{
    bool moved = move(t, u, event, code);

    assert(moved);
    (void)moved;
}

static bool runs(const struct unit *u, const struct digest *manifest)
{
    return u->run.phase != RUN_NONE && digest_same(&u->run.manifest, manifest);
}

static bool is_trial(const struct unit *u)
{
    return u->kept.state == SLOT_TRIAL && runs(u, &u->kept.wanted);
}

static enum rc failed_code(const struct unit_record *r, const struct digest *manifest)
{
    for (uint32_t i = 0; i < r->n_failed; i++)
        if (digest_same(&r->failed[i].manifest, manifest))
            return (enum rc)r->failed[i].code;
    return RC_OK;
}

static void remember_failed(struct unit_record *r, const struct digest *manifest, enum rc code)
{
    if (failed_code(r, manifest) != RC_OK)
        return;
    if (r->n_failed == UNIT_FAILED_MAX) {
        memmove(&r->failed[0], &r->failed[1], (UNIT_FAILED_MAX - 1) * sizeof r->failed[0]);
        r->n_failed--;
    }
    r->failed[r->n_failed++] =
        (struct unit_failed){ .manifest = *manifest, .code = (uint32_t)code };
}

static void wake_at(struct table *t, uint64_t at_ms)
{
    if (at_ms < t->wake_ms)
        t->wake_ms = at_ms;
}

/* Ask again what was refused or denied, of one tenant or (NULL) of all. */
static void reconsider(struct table *t, const char *tenant)
{
    for (uint32_t i = 0; i < t->n_units; i++) {
        struct unit *u = &t->unit[i];

        if (tenant && strcmp(u->kept.tenant, tenant) != 0)
            continue;
        if (u->kept.state == SLOT_REFUSED && failed_code(&u->kept, &u->kept.wanted) == RC_OK)
            must_move(t, u, SLOT_EV_RECONSIDER, RC_OK);
        if (u->denied != RC_OK) {
            u->denied = RC_OK;
            u->not_before_ms = 0;
        }
    }
}

/* ---- finding and making units -----------------------------------------------------------------
 */

static int place(const struct unit_record *r, const char *tenant, const char *name)
{
    int order = strcmp(r->tenant, tenant);

    return order != 0 ? order : strcmp(r->name, name);
}

struct unit *reconcile_find(struct table *t, const char *tenant, const char *name)
{
    for (uint32_t i = 0; i < t->n_units; i++)
        if (place(&t->unit[i].kept, tenant, name) == 0)
            return &t->unit[i];
    return NULL;
}

struct unit *reconcile_find_instance(struct table *t, uint64_t instance)
{
    for (uint32_t i = 0; i < t->n_units; i++)
        if (t->unit[i].run.phase != RUN_NONE && t->unit[i].run.instance == instance)
            return &t->unit[i];
    return NULL;
}

static bool free_index(const struct table *t, uint32_t *ret)
{
    uint8_t used[UNIT_INDEX_MAX] = { 0 };

    for (uint32_t i = 0; i < t->n_units; i++)
        used[t->unit[i].kept.index] = 1;
    for (uint32_t i = 0; i < UNIT_INDEX_MAX; i++)
        if (!used[i]) {
            *ret = i;
            return true;
        }
    return false;
}

static struct unit *add_unit(struct table *t, const char *tenant, const char *name, uint32_t index)
{
    uint32_t at = 0;

    if (t->n_units == UNITS_MAX)
        return NULL;
    while (at < t->n_units && place(&t->unit[at].kept, tenant, name) < 0)
        at++;
    memmove(&t->unit[at + 1], &t->unit[at], (t->n_units - at) * sizeof t->unit[0]);
    for (uint32_t i = 0; i < t->n_actions; i++)
        if (t->action[i].unit >= at)
            t->action[i].unit++;

    struct unit *u = &t->unit[at];
    *u = (struct unit){ .kept.index = index };
    memcpy(u->kept.tenant, tenant, strnlen(tenant, NAME_MAX_LEN));
    memcpy(u->kept.name, name, strnlen(name, NAME_MAX_LEN));
    t->n_units++;
    t->changed = true;
    return u;
}

bool reconcile_adopt(struct table *t, const char *tenant, const char *name, uint32_t index)
{
    if (index >= UNIT_INDEX_MAX || reconcile_find(t, tenant, name))
        return false;
    for (uint32_t i = 0; i < t->n_units; i++)
        if (t->unit[i].kept.index == index)
            return false;
    return add_unit(t, tenant, name, index) != NULL;
}

/* Another version begins with a budget of its own. */
static void forget_restarts(struct table *t, struct unit *u)
{
    t->changed |= u->kept.spent != 0;
    u->kept.spent = 0;
    u->recent.n = 0;
    u->spent = false;
}

/* ---- orders and packages ----------------------------------------------------------------------
 */

static void want(struct table *t, struct unit *u, const struct digest *manifest)
{
    static const struct digest none;

    if (digest_same(&u->kept.wanted, manifest ? manifest : &none))
        return;
    must_move(t, u, SLOT_EV_SUPERSEDE, RC_OK);
    u->kept.wanted = manifest ? *manifest : none;
    u->kept.trials = 0;
    forget_restarts(t, u);
    u->rested = none;
    u->rests = RC_OK;
    u->failures = 0;
    u->not_before_ms = 0;
    u->denied = RC_OK;
    u->due = false; /* of an event that came before */
    if (manifest)
        must_move(t, u, SLOT_EV_ORDER, RC_OK);
}

static const struct order_line *line_of(const struct order *order, const struct unit_record *r)
{
    for (uint32_t i = 0; order && i < order->n_lines; i++)
        if (place(r, order->line[i].tenant, order->line[i].name) == 0)
            return &order->line[i];
    return NULL;
}

uint32_t reconcile_order(struct table *t, const struct order *order)
{
    uint32_t left_out = 0;

    for (uint32_t i = 0; i < t->n_units; i++) {
        const struct order_line *line = line_of(order, &t->unit[i].kept);

        want(t, &t->unit[i], line ? &line->manifest : NULL);
    }
    for (uint32_t i = 0; order && i < order->n_lines; i++) {
        const struct order_line *line = &order->line[i];

        if (reconcile_find(t, line->tenant, line->name))
            continue;
        uint32_t index = 0;
        struct unit *u =
            free_index(t, &index) ? add_unit(t, line->tenant, line->name, index) : NULL;
        if (u)
            want(t, u, &line->manifest);
        else
            left_out++;
    }
    reconcile_reconsider(t);
    return left_out;
}

/* ---- revocations ------------------------------------------------------------------------------
 */

static bool is_revoked(const struct reconcile_judge *j, const struct unit_record *r,
                       const struct digest *manifest, enum revoke_policy *ret)
{
    *ret = digest_is_none(manifest) ? REVOKE_NONE : j->version(j->arg, r, manifest);
    return *ret >= REVOKE_ROLLBACK;
}

/* An order of a revoked key is in force: what it still has the unit run. */
static void revoke_order(struct table *t, struct unit *u, const struct reconcile_judge *j)
{
    struct unit_record *r = &u->kept;
    const struct order_line *line = line_of(j->order, r);
    bool committed = digest_same(&r->wanted, &r->good);

    if (!line || !digest_same(&line->manifest, &r->wanted))
        return;
    note(t, u, RC_KEY_REVOKED, &r->wanted);
    if (committed && j->order_policy == REVOKE_ROLLBACK) {
        r->good = r->previous;
        r->previous = (struct digest){ 0 };
    }
    const struct digest back = r->good;
    bool again = j->order_policy == REVOKE_ROLLBACK && !digest_is_none(&back);
    want(t, u, again ? &back : NULL);
}

/* What committed last, or before that, is gone: never returned to. */
static void revoke_kept(struct table *t, struct unit *u, const struct reconcile_judge *j)
{
    struct unit_record *r = &u->kept;
    enum revoke_policy policy = REVOKE_NONE;

    if (is_revoked(j, r, &r->previous, &policy)) {
        r->previous = (struct digest){ 0 };
        t->changed = true;
    }
    if (!is_revoked(j, r, &r->good, &policy))
        return;
    note(t, u, RC_MANIFEST_REVOKED, &r->good);
    remember_failed(r, &r->good, RC_MANIFEST_REVOKED);
    r->good = policy == REVOKE_ROLLBACK ? r->previous : (struct digest){ 0 };
    r->previous = (struct digest){ 0 };
    t->changed = true;
    if (r->state == SLOT_ROLLED_BACK && digest_is_none(&r->good))
        must_move(t, u, SLOT_EV_REVOKE, (enum rc)r->code);
}

static void revoke_wanted(struct table *t, struct unit *u, enum revoke_policy policy)
{
    struct unit_record *r = &u->kept;

    if (policy == REVOKE_STOP && !digest_is_none(&r->good)) {
        r->previous = r->good; /* not run, but kept for an order that names it */
        r->good = (struct digest){ 0 };
        t->changed = true;
    }
    bool done =
        r->code == RC_MANIFEST_REVOKED &&
        (r->state == SLOT_FAILED || (r->state == SLOT_ROLLED_BACK && !digest_is_none(&r->good)));
    if (done)
        return;
    bool back = !digest_is_none(&r->good) && !digest_same(&r->good, &r->wanted) &&
                (r->state == SLOT_TRIAL || r->state == SLOT_COMMITTED);
    if (failed_code(r, &r->wanted) == RC_OK)
        note(t, u, RC_MANIFEST_REVOKED, &r->wanted);
    remember_failed(r, &r->wanted, RC_MANIFEST_REVOKED);
    must_move(t, u, back ? SLOT_EV_ROLLBACK : SLOT_EV_REVOKE, RC_MANIFEST_REVOKED);
    r->trials = 0;
    u->failures = 0;
    u->not_before_ms = 0;
    u->denied = RC_OK;
}

void reconcile_revoke(struct table *t, const struct reconcile_judge *j)
{
    for (uint32_t i = 0; i < t->n_units; i++) {
        struct unit *u = &t->unit[i];
        enum revoke_policy policy = REVOKE_NONE;

        if (j->order && j->order_policy >= REVOKE_ROLLBACK)
            revoke_order(t, u, j);
        bool wanted = is_revoked(j, &u->kept, &u->kept.wanted, &policy);

        revoke_kept(t, u, j);
        if (wanted)
            revoke_wanted(t, u, policy);
    }
    reconcile_reconsider(t);
}

bool reconcile_forget(struct table *t, uint32_t i)
{
    assert(i < t->n_units && t->n_actions == 0);
    if (!digest_is_none(&t->unit[i].kept.wanted) || t->unit[i].run.phase != RUN_NONE)
        return false;
    memmove(&t->unit[i], &t->unit[i + 1], (t->n_units - i - 1) * sizeof t->unit[0]);
    t->n_units--;
    t->changed = true;
    return true;
}

void reconcile_package(struct table *t, const char *tenant, const char *name,
                       const struct digest *manifest, enum slot_event event, enum rc code)
{
    struct unit *u = reconcile_find(t, tenant, name);

    if (!u || !digest_same(&u->kept.wanted, manifest))
        return;
    /* What is being decided about a version that runs is not for its package to disturb. */
    if ((event == SLOT_EV_REFUSE || event == SLOT_EV_LOSE) && u->kept.state != SLOT_STAGED &&
        u->kept.state != SLOT_VERIFIED && u->kept.state != SLOT_RECEIVING)
        return;
    (void)move(t, u, event, code);
}

void reconcile_reconsider(struct table *t)
{
    reconsider(t, NULL);
}

bool reconcile_needs(const struct table *t, const char *tenant, const char *name,
                     const struct digest *manifest)
{
    for (uint32_t i = 0; i < t->n_units; i++) {
        const struct unit *u = &t->unit[i];

        if (place(&u->kept, tenant, name) != 0)
            continue;
        return digest_same(manifest, &u->kept.wanted) || digest_same(manifest, &u->kept.good) ||
               digest_same(manifest, &u->kept.previous) || runs(u, manifest);
    }
    return false;
}

enum rc reconcile_failed(const struct table *t, const char *tenant, const char *name,
                         const struct digest *manifest)
{
    for (uint32_t i = 0; i < t->n_units; i++)
        if (place(&t->unit[i].kept, tenant, name) == 0)
            return failed_code(&t->unit[i].kept, manifest);
    return RC_OK;
}

/* ---- what a tenant may have in all ------------------------------------------------------------
 */

enum rc reconcile_share(const struct table *t, const struct unit_record *unit,
                        const struct resources *limits, const struct authority *may)
{
    struct resources sum = { 0 };
    struct resources staying = { 0 };
    uint32_t n = 1;
    uint32_t n_staying = 1;

    resources_add(&sum, limits);
    resources_add(&staying, limits);
    for (uint32_t i = 0; i < t->n_units; i++) {
        const struct unit *u = &t->unit[i];

        if (u->run.phase == RUN_NONE || strcmp(u->kept.tenant, unit->tenant) != 0 ||
            strcmp(u->kept.name, unit->name) == 0 || !team_within(may->team, u->run.team))
            continue;
        resources_add(&sum, &u->run.limits);
        n++;
        if (u->run.phase != RUN_STOPPING && !digest_is_none(&u->kept.wanted)) {
            resources_add(&staying, &u->run.limits);
            n_staying++;
        }
    }
    if (resources_within(&sum, may->total) && n <= may->payloads_max)
        return RC_OK;
    if (resources_within(&staying, may->total) && n_staying <= may->payloads_max)
        return RC_BUSY;
    return may->team[0] != '\0' ? RC_DELEGATION_EXCEEDED : RC_GRANT_EXCEEDED;
}

/* ---- the course of one run --------------------------------------------------------------------
 */

static void stop_run(struct table *t, struct unit *u, enum rc verdict, uint64_t now_ms)
{
    assert(u->run.phase == RUN_UP || u->run.phase == RUN_READY);
    u->run.phase = RUN_STOPPING;
    u->run.since_ms = now_ms;
    u->run.verdict = verdict;
    act(t, u, ACTION_STOP, verdict, &u->run.manifest);
    wake_at(t, now_ms + RECONCILE_ANSWER_MS);
}

static void start_run(struct table *t, struct unit *u, const struct digest *manifest,
                      const struct admission *admission, enum action_type how, uint64_t now_ms)
{
    assert(u->run.phase == RUN_NONE);
    if (!digest_same(&u->run.manifest, manifest)) {
        u->restarts = 0;
        if (!digest_is_none(&u->run.manifest))
            forget_restarts(t, u);
    }
    u->run = (struct run){
        .phase = how == ACTION_START ? RUN_STARTING : RUN_COPYING,
        .instance = t->next_instance++,
        .manifest = *manifest,
        .health = admission->health,
        .floor = admission->floor,
        .limits = admission->limits,
        .life = admission->life,
        .since_ms = now_ms,
        .counted_ms = now_ms,
    };
    memcpy(u->run.team, admission->team, sizeof u->run.team);
    u->denied = RC_OK;
    act(t, u, how, RC_OK, manifest);
    if (how != ACTION_START)
        return;
    wake_at(t, now_ms + RECONCILE_ANSWER_MS);
    u->due = false;
    u->next_ms = now_ms + (uint64_t)u->run.life.schedule.every_s * 1000U;
}

static void back_to_good(struct table *t, struct unit *u, enum slot_event event, enum rc code)
{
    u->kept.trials = 0;
    u->failures = 0;
    u->not_before_ms = 0;
    must_move(t, u, event, code);
    note(t, u, code, &u->kept.wanted);
    if (!digest_is_none(&u->kept.good))
        note(t, u, RC_ROLLED_BACK, &u->kept.good);
}

/* The wanted version has not proven itself: never again, and back to the one before. */
static void fail_wanted(struct table *t, struct unit *u, enum rc code)
{
    bool has_good = !digest_is_none(&u->kept.good);

    remember_failed(&u->kept, &u->kept.wanted, code);
    back_to_good(t, u, has_good ? SLOT_EV_ROLLBACK : SLOT_EV_FAIL, code);
}

/* Time that it stood still does not count. */
static void count_running(struct unit *u, uint64_t now_ms)
{
    bool runs_now =
        u->run.phase == RUN_UP || u->run.phase == RUN_READY || u->run.phase == RUN_STOPPING;

    if (runs_now && u->run.frozen_ms == 0 && now_ms > u->run.counted_ms)
        u->orbit_ms += now_ms - u->run.counted_ms;
    u->run.counted_ms = now_ms;
}

static void commit(struct table *t, struct unit *u);

/* Exit code 0, by itself.  False: it was not what its health check asks for. */
static bool ended_well(struct table *t, struct unit *u, enum run_phase phase, bool trial)
{
    bool ready = phase == RUN_READY || u->run.health.type == HEALTH_ALIVE;
    bool service = u->run.life.kind == KIND_SERVICE;

    if (!ready || (service && (trial || u->run.life.restart.policy == RESTART_ALWAYS)))
        return false;
    if (trial)
        commit(t, u);
    if (u->run.life.kind == KIND_ONESHOT) {
        u->kept.done = u->run.manifest;
        t->changed = true;
    } else if (service) {
        u->rested = u->run.manifest;
    }
    if (u->kept.code != RC_OK && digest_same(&u->run.manifest, &u->kept.wanted)) {
        u->kept.code = RC_OK;
        t->changed = true;
    }
    u->failures = 0;
    u->not_before_ms = 0;
    return true;
}

static void keep_spent(struct table *t, struct unit *u)
{
    uint32_t n = u->run.life.restart.window_s >= LIFE_WINDOW_KEPT_S ? u->recent.n : 0;

    t->changed |= u->kept.spent != n;
    u->kept.spent = n;
}

/* It ended, and nothing was decided by that: whether it starts again. */
static void start_again(struct table *t, struct unit *u, uint64_t now_ms)
{
    const struct life *life = &u->run.life;

    if (!life_starts_again(life)) {
        if (life->kind != KIND_SCHEDULED)
            u->rested = u->run.manifest;
        return;
    }
    if (!restarts_spend(&u->recent, &life->restart, now_ms)) {
        u->spent = true;
        return;
    }
    if (life->kind == KIND_SCHEDULED)
        u->due = true;
    keep_spent(t, u);
}

static void run_ended(struct table *t, struct unit *u, enum rc code, bool launched, uint64_t now_ms)
{
    enum run_phase phase = u->run.phase;
    bool trial = is_trial(u);
    bool planned = phase == RUN_STOPPING && u->run.verdict == RC_OK;
    bool well = launched && code == RC_OK && phase != RUN_STOPPING;

    if (launched)
        count_running(u, now_ms);
    u->run.phase = RUN_NONE;
    if (planned) {
        u->not_before_ms = 0;
        reconsider(t, u->kept.tenant); /* its share of the grant is free again */
        return;
    }
    if (well && ended_well(t, u, phase, trial)) {
        reconsider(t, u->kept.tenant);
        return;
    }
    enum rc ended = code == RC_OK ? RC_EXITED : code;
    enum rc verdict = u->run.verdict != RC_OK ? u->run.verdict : ended;
    /* A machine that could not build a sandbox says nothing about the payload: try again, and if
     * that does not help, let the ground order it once more when the machine is well. */
    bool machine =
        !launched && rc_class(code) != RC_CLASS_REFUSED && rc_class(code) != RC_CLASS_MALFORMED;
    if (trial && !machine) {
        fail_wanted(t, u, verdict);
        return;
    }
    if (trial && u->kept.trials >= RECONCILE_TRIALS_MAX) {
        back_to_good(t, u, SLOT_EV_REFUSE, verdict);
        return;
    }
    u->failures++;
    u->not_before_ms = now_ms + life_backoff_ms(&u->run.life.restart, u->failures);
    if (launched) {
        u->restarts++;
        start_again(t, u, now_ms);
    }
    if (digest_same(&u->run.manifest, &u->kept.wanted) && u->kept.code != (uint32_t)verdict) {
        u->kept.code = (uint32_t)verdict;
        t->changed = true;
    }
    note(t, u, verdict, &u->run.manifest);
}

void reconcile_launched(struct table *t, uint64_t instance, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (!u || u->run.phase != RUN_STARTING)
        return;
    u->run.phase = RUN_UP;
    u->run.since_ms = now_ms;
    u->run.counted_ms = now_ms;
}

void reconcile_launch_failed(struct table *t, uint64_t instance, enum rc code, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (u && u->run.phase == RUN_STARTING)
        run_ended(t, u, code, false, now_ms);
}

void reconcile_exited(struct table *t, uint64_t instance, enum rc code, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (u)
        run_ended(t, u, code, true, now_ms);
}

static void became_ready(struct unit *u, uint64_t now_ms)
{
    u->run.phase = RUN_READY;
    u->run.since_ms = now_ms;
    u->run.beat_ms = now_ms;
    u->run.healthy_ms = now_ms;
}

void reconcile_ready(struct table *t, uint64_t instance, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    /* A message that was sent in time counts even if the timer was looked at first. */
    if (u && u->run.phase == RUN_UP && u->run.health.type == HEALTH_NOTIFY)
        became_ready(u, now_ms);
}

void reconcile_beat(struct table *t, uint64_t instance, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (u && u->run.phase == RUN_READY)
        u->run.beat_ms = now_ms;
}

void reconcile_input(struct table *t, const struct input *input)
{
    bool orbit = input->kind == INPUT_EVENT && strcmp(input->name, LIFE_ORBIT_EVENT) == 0;

    if (input->kind == INPUT_MODE) {
        t->changed |= (t->mode == MODE_SAFE) != input->safe;
        t->mode = input->safe ? MODE_SAFE : MODE_NOMINAL;
    }
    for (uint32_t i = 0; i < t->n_units; i++) {
        struct unit *u = &t->unit[i];
        const struct life *wanted = gate_life(u, &u->kept.wanted);
        const struct life *good = gate_life(u, &u->kept.good);

        if (orbit)
            u->orbit_ms = 0;
        /* One that runs as it happens has missed it, and so has one that sits out this mode. */
        if (u->run.phase != RUN_NONE && (!wanted || runs(u, &u->kept.wanted)))
            continue;
        u->due |=
            (wanted && life_is_due(&wanted->schedule, input) && life_in_mode(wanted, t->mode)) ||
            (good && life_is_due(&good->schedule, input) && life_in_mode(good, t->mode));
    }
}

void reconcile_resume(struct table *t, bool safe, uint64_t now_ms)
{
    t->mode = safe ? MODE_SAFE : MODE_NOMINAL;
    for (uint32_t i = 0; i < t->n_units; i++)
        restarts_assume(&t->unit[i].recent, t->unit[i].kept.spent, now_ms);
}

static uint64_t later(uint64_t at_ms, uint64_t by_ms, uint64_t now_ms)
{
    return at_ms + by_ms < now_ms ? at_ms + by_ms : now_ms;
}

void reconcile_freeze(struct table *t, uint64_t instance, bool frozen, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (!u || (u->run.phase != RUN_UP && u->run.phase != RUN_READY))
        return;
    count_running(u, now_ms);
    if (frozen) {
        if (u->run.frozen_ms == 0)
            u->run.frozen_ms = now_ms > 0 ? now_ms : 1;
        return;
    }
    if (u->run.frozen_ms == 0)
        return;
    uint64_t by = now_ms - u->run.frozen_ms;

    u->run.since_ms = later(u->run.since_ms, by, now_ms);
    u->run.beat_ms = later(u->run.beat_ms, by, now_ms);
    u->run.healthy_ms = later(u->run.healthy_ms, by, now_ms);
    u->run.frozen_ms = 0;
}

void reconcile_freeze_failed(struct table *t, uint64_t instance, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    reconcile_freeze(t, instance, false, now_ms);
    if (!u)
        return;
    u->run.life.freeze = false;
    u->run.mode_frozen = false;
    wake_at(t, now_ms + 1);
}

void reconcile_copied(struct table *t, uint64_t instance, enum rc code)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (!u || u->run.phase != RUN_COPYING)
        return;
    u->run.phase = RUN_NONE;

    bool wanted = u->kept.state == SLOT_INSTALLED && digest_same(&u->run.manifest, &u->kept.wanted);
    if (wanted && code == RC_OK) {
        /* With the record of it the trial begins: what is ordered anew later is copied anew. */
        must_move(t, u, SLOT_EV_START, RC_OK);
        u->kept.snapshot = u->run.manifest;
        return;
    }
    reconsider(t, u->kept.tenant); /* its share of the grant is free again */
    if (wanted) {
        must_move(t, u, SLOT_EV_REFUSE, code);
        note(t, u, code, &u->kept.wanted);
    } /* else ordered away meanwhile: the copy is like the data, and nobody's */
}

void reconcile_restored(struct table *t, uint32_t i, enum rc code, uint64_t now_ms)
{
    struct unit *u = &t->unit[i];

    assert(i < t->n_units && u->run.phase == RUN_NONE);
    if (code == RC_OK) {
        u->kept.snapshot = (struct digest){ 0 };
        t->changed = true;
        return;
    }
    note(t, u, code, &u->kept.snapshot);
    u->not_before_ms = now_ms + RECONCILE_BACKOFF_MAX_MS;
    wake_at(t, u->not_before_ms);
}

void reconcile_deny(struct table *t, struct unit *u, enum rc code, uint64_t now_ms)
{
    if (u->run.phase != RUN_UP && u->run.phase != RUN_READY)
        return;
    note(t, u, code, &u->run.manifest);
    stop_run(t, u, RC_OK, now_ms);
}

/* ---- deciding ---------------------------------------------------------------------------------
 */

static void commit(struct table *t, struct unit *u)
{
    if (!digest_same(&u->kept.good, &u->kept.wanted)) {
        u->kept.previous = u->kept.good;
        u->kept.good = u->kept.wanted;
    }
    if (u->run.floor > u->kept.floor)
        u->kept.floor = u->run.floor;
    u->kept.trials = 0;
    u->kept.snapshot = (struct digest){ 0 }; /* the data is this version's from here on */
    must_move(t, u, SLOT_EV_COMMIT, RC_OK);
    act(t, u, ACTION_COMMIT, RC_OK, &u->kept.good);
}

/* ---- other limits as it runs ------------------------------------------------------------------
 */

/* Until it is known which of the two are in force, both are spoken for. */
static struct resources larger(const struct resources *a, const struct resources *b)
{
    struct resources r = *a;

    if (b->memory_bytes > r.memory_bytes)
        r.memory_bytes = b->memory_bytes;
    if (b->cpu_permille > r.cpu_permille)
        r.cpu_permille = b->cpu_permille;
    if (b->pids > r.pids)
        r.pids = b->pids;
    if (r.io_read_bps != 0 && (b->io_read_bps == 0 || b->io_read_bps > r.io_read_bps))
        r.io_read_bps = b->io_read_bps;
    if (r.io_write_bps != 0 && (b->io_write_bps == 0 || b->io_write_bps > r.io_write_bps))
        r.io_write_bps = b->io_write_bps;
    return r;
}

static bool may_relimit(const struct unit *u, const struct digest *manifest,
                        const struct reconcile_ask *ask)
{
    const struct unit_record *r = &u->kept;

    return manifest == &r->wanted && r->state == SLOT_INSTALLED && u->run.phase == RUN_READY &&
           !u->run.relimited && digest_same(&u->run.manifest, &r->good) &&
           !digest_same(&u->run.not_live, manifest) && ask->live &&
           ask->live(ask->arg, r, &u->run.manifest, manifest);
}

/* What should run differs from what does only in its limits: no new start.  False: it takes one. */
static bool relimit(struct table *t, struct unit *u, const struct digest *manifest, uint64_t now_ms,
                    const struct reconcile_ask *ask)
{
    struct admission admission = { 0 };

    if (!digest_is_none(&u->run.next.manifest)) {
        if (now_ms - u->run.next.asked_ms >= RECONCILE_ANSWER_MS)
            t->stuck = true;
        wake_at(t, u->run.next.asked_ms + RECONCILE_ANSWER_MS);
        return true;
    }
    if (!may_relimit(u, manifest, ask) ||
        ask->admit(ask->arg, &u->kept, manifest, &admission) != RC_OK)
        return false;
    u->run.next = (struct relimit){ .manifest = *manifest,
                                    .asked_ms = now_ms,
                                    .floor = admission.floor,
                                    .life = admission.life,
                                    .limits = admission.limits,
                                    .before = u->run.limits };
    u->run.limits = larger(&u->run.limits, &admission.limits);
    act(t, u, ACTION_RELIMIT, RC_OK, manifest);
    wake_at(t, now_ms + RECONCILE_ANSWER_MS);
    return true;
}

void reconcile_relimited(struct table *t, uint64_t instance, enum rc code, uint64_t now_ms)
{
    struct unit *u = reconcile_find_instance(t, instance);

    if (!u || digest_is_none(&u->run.next.manifest))
        return;
    const struct relimit next = u->run.next;

    u->run.next = (struct relimit){ .asked_ms = 0 };
    if (u->run.phase != RUN_READY)
        return; /* it is ending, under either */
    wake_at(t, now_ms + 1);
    if (code != RC_OK) {
        u->run.limits = next.before;
        u->run.not_live = next.manifest;
        note(t, u, code, &next.manifest);
        return;
    }
    u->run.manifest = next.manifest;
    u->run.relimited = true;
    u->run.limits = next.limits;
    u->run.life = next.life; /* the same, or it would have been started anew */
    u->run.floor = next.floor;
    u->restarts = 0;
    if (u->kept.state == SLOT_INSTALLED && digest_same(&next.manifest, &u->kept.wanted)) {
        must_move(t, u, SLOT_EV_START, RC_OK);
        commit(t, u);
    } /* else something else was ordered meanwhile, and is taken care of at the next step */
    reconsider(t, u->kept.tenant);
}

static void watch_up(struct table *t, struct unit *u, uint64_t now_ms)
{
    uint64_t until = u->run.since_ms + u->run.health.ready_ms;

    if (now_ms < until)
        wake_at(t, until);
    else if (u->run.health.type == HEALTH_ALIVE)
        became_ready(u, now_ms);
    else
        stop_run(t, u, RC_HEALTH_TIMEOUT, now_ms);
}

/* What it had spent of its budget comes back with time, also for the record. */
static void regain(struct table *t, struct unit *u, uint64_t now_ms)
{
    const struct restart *rule = &u->run.life.restart;
    uint32_t n = restarts_prune(&u->recent, rule, now_ms);

    keep_spent(t, u);
    if (n > 0)
        wake_at(t, u->recent.at_ms[0] + (uint64_t)rule->window_s * 1000U);
}

static void watch_ready(struct table *t, struct unit *u, uint64_t now_ms)
{
    uint64_t late = u->run.beat_ms + u->run.health.watchdog_ms;
    uint64_t soaked = u->run.since_ms + u->run.health.soak_ms;

    if (u->run.health.watchdog_ms > 0) {
        if (now_ms > late) {
            stop_run(t, u, RC_WATCHDOG, now_ms);
            return;
        }
        wake_at(t, late + 1);
    }
    if (is_trial(u) && u->run.life.kind != KIND_ONESHOT) {
        if (now_ms >= soaked)
            commit(t, u);
        else
            wake_at(t, soaked);
    }
    while (u->failures > 0 && now_ms - u->run.healthy_ms >= RECONCILE_HEALTHY_MS) {
        u->failures /= 2;
        u->run.healthy_ms += RECONCILE_HEALTHY_MS;
    }
    if (u->failures > 0)
        wake_at(t, u->run.healthy_ms + RECONCILE_HEALTHY_MS);
    if (u->recent.n > 0)
        regain(t, u, now_ms);
}

static void watch(struct table *t, struct unit *u, uint64_t now_ms)
{
    switch (u->run.phase) {
    case RUN_NONE:
    case RUN_COPYING: /* whoever copies watches the time */
        break;
    case RUN_STARTING:
    case RUN_STOPPING:
        if (now_ms - u->run.since_ms >= RECONCILE_ANSWER_MS)
            t->stuck = true;
        wake_at(t, u->run.since_ms + RECONCILE_ANSWER_MS);
        break;
    case RUN_UP:
        if (u->run.frozen_ms != 0)
            break;
        watch_up(t, u, now_ms);
        if (u->run.phase != RUN_READY)
            break;
        __attribute__((fallthrough));
    case RUN_READY:
        if (u->run.frozen_ms == 0)
            watch_ready(t, u, now_ms);
        break;
    }
}

/* What admit said of how a version lives, so that it need not be asked while it may not start. */
static void learn(struct unit *u, const struct digest *manifest, const struct life *life)
{
    bool second = digest_same(&u->known[0].manifest, &u->kept.wanted) &&
                  !digest_same(manifest, &u->kept.wanted);

    if (gate_life(u, manifest))
        return;
    u->known[second].manifest = *manifest;
    u->known[second].life = *life;
}

/* From an order to a version that may be tried: what needs nothing but looking.  False: it could
 * not be looked at just now. */
static bool settle(struct table *t, struct unit *u, const struct reconcile_ask *ask)
{
    struct unit_record *r = &u->kept;
    struct admission unused = { 0 };

    if (r->state == SLOT_RECEIVING) {
        enum rc before = failed_code(r, &r->wanted);
        enum rc rc = before == RC_OK ? ask->admit(ask->arg, r, &r->wanted, &unused) : before;

        if (before != RC_OK) {
            must_move(t, u, SLOT_EV_REFUSE, RC_FAILED_BEFORE);
            note(t, u, RC_FAILED_BEFORE, &r->wanted);
        } else if (rc != RC_NOT_FOUND) {
            must_move(t, u, SLOT_EV_FIND, RC_OK);
        }
    }
    if (r->state == SLOT_INSTALLED && digest_same(&r->wanted, &r->good))
        must_move(t, u, SLOT_EV_KNOWN, RC_OK);
    if (r->state == SLOT_INSTALLED && digest_same(&r->wanted, &r->done) &&
        u->run.phase == RUN_NONE && digest_is_none(&r->snapshot) &&
        ask->admit(ask->arg, r, &r->wanted, &unused) == RC_OK) {
        u->run.floor = unused.floor;
        must_move(t, u, SLOT_EV_START, RC_OK); /* it proved itself when it was there before */
        commit(t, u);
    }
    if (r->state == SLOT_INSTALLED && runs(u, &r->wanted) && u->run.phase != RUN_STOPPING &&
        u->run.phase != RUN_COPYING) {
        must_move(t, u, SLOT_EV_START, RC_OK); /* ordered away and back before it was stopped */
        r->trials++;
    }
    if (r->state == SLOT_INSTALLED && u->run.phase != RUN_COPYING) {
        /* Asked before the version that runs is stopped, so that a refusal costs nothing. */
        enum rc rc = ask->admit(ask->arg, r, &r->wanted, &unused);

        if (rc == RC_NOT_FOUND) {
            must_move(t, u, SLOT_EV_LOSE, RC_OK);
        } else if (rc_class(rc) == RC_CLASS_RETRY && rc != RC_BUSY) {
            return false;
        } else if (rc != RC_OK && rc != RC_BUSY) {
            must_move(t, u, SLOT_EV_REFUSE, rc);
            note(t, u, rc, &r->wanted);
        } else if (rc == RC_OK && !is_agent_name(r->tenant, r->name)) {
            learn(u, &r->wanted, &unused.life);
        }
    }
    return true;
}

/* Whether a version that has not begun has to wait for something: what ran before it goes on
 * meanwhile. */
static bool must_wait(const struct table *t, const struct unit *u, uint64_t now_ms)
{
    const struct life *life = gate_life(u, &u->kept.wanted);
    uint64_t unused = 0;

    return u->kept.state == SLOT_INSTALLED && life &&
           gate_check(t, u, &u->kept.wanted, life, now_ms, &unused) != RC_OK;
}

/* What should run now; NULL = nothing.  While the agent itself is on trial nothing else begins one:
 * its end would count against both. */
static const struct digest *target(const struct table *t, const struct unit *u, uint64_t now_ms)
{
    const struct unit_record *r = &u->kept;
    bool held = t->own.trial && r->state == SLOT_INSTALLED;

    if (digest_is_none(&r->wanted))
        return NULL;
    if (held)
        return digest_is_none(&r->good) ? NULL : &r->good;
    if (!digest_is_none(&r->good) && must_wait(t, u, now_ms))
        return &r->good;
    if (r->state == SLOT_INSTALLED || r->state == SLOT_TRIAL || r->state == SLOT_COMMITTED)
        return &r->wanted;
    return digest_is_none(&r->good) ? NULL : &r->good;
}

/* The version that should run may not. */
static void denied(struct table *t, struct unit *u, const struct digest *manifest, enum rc code,
                   uint64_t now_ms)
{
    bool wanted = manifest == &u->kept.wanted; /* not merely the same version */

    if (u->denied != code)
        note(t, u, code, manifest);
    u->denied = code;
    if (rc_class(code) == RC_CLASS_RETRY) { /* says nothing about the version: soon again */
        u->not_before_ms = now_ms + RECONCILE_BACKOFF_MIN_MS;
        return;
    }
    u->not_before_ms = now_ms + RECONCILE_BACKOFF_MAX_MS;
    wake_at(t, u->not_before_ms);
    if (!wanted)
        return;
    if (code == RC_NOT_FOUND)
        must_move(t, u, SLOT_EV_LOSE, RC_OK);
    else if (u->kept.state == SLOT_TRIAL || u->kept.state == SLOT_INSTALLED)
        must_move(t, u, SLOT_EV_REFUSE, code);
    else if (u->kept.code != (uint32_t)code) {
        u->kept.code = (uint32_t)code;
        t->changed = true;
    }
    if (u->kept.state != SLOT_COMMITTED)
        u->not_before_ms = 0; /* the version before it, if any, may run at once */
}

/* Whether the version before the one that committed last may run.  A class of retry: not known
 * yet. */
static enum rc ask_previous(const struct unit *u, const struct reconcile_ask *ask)
{
    const struct unit_record *r = &u->kept;
    struct admission unused = { 0 };

    if (digest_is_none(&r->previous) || failed_code(r, &r->previous) != RC_OK)
        return RC_NOT_FOUND;
    return ask->admit(ask->arg, r, &r->previous, &unused);
}

/* A committed version that keeps failing gives way to the one before it, if that may still run. */
static bool crash_loop(struct table *t, struct unit *u, enum rc previous)
{
    struct unit_record *r = &u->kept;

    if (r->state != SLOT_COMMITTED || previous != RC_OK)
        return false;
    r->good = r->previous;
    r->previous = (struct digest){ 0 };
    fail_wanted(t, u, RC_CRASH_LOOP);
    forget_restarts(t, u);
    return true;
}

/* The budget is used up.  Where another version is on its way the one before takes its place, too.
 */
static bool give_up(struct table *t, struct unit *u, enum rc previous)
{
    static const struct digest none;
    struct unit_record *r = &u->kept;
    const struct digest failed = u->run.manifest;

    if (!u->spent)
        return false;
    forget_restarts(t, u);
    remember_failed(r, &failed, RC_CRASH_LOOP);
    note(t, u, RC_CRASH_LOOP, &failed);
    t->changed = true;
    if (digest_same(&r->good, &failed)) {
        r->good = previous == RC_OK ? r->previous : none;
        r->previous = none;
    }
    if (r->state == SLOT_COMMITTED || (r->state == SLOT_ROLLED_BACK && digest_is_none(&r->good)))
        must_move(t, u, SLOT_EV_REVOKE, RC_CRASH_LOOP);
    return true;
}

/* The version that committed last is gone or damaged: the one before it takes its place, if that
 * may run.  RC_BUSY: not known yet. */
static enum rc fall_back(struct table *t, struct unit *u, const struct reconcile_ask *ask)
{
    struct unit_record *r = &u->kept;
    struct admission unused = { 0 };

    if (digest_is_none(&r->previous) || failed_code(r, &r->previous) != RC_OK)
        return RC_NOT_FOUND;
    enum rc rc = ask->admit(ask->arg, r, &r->previous, &unused);
    if (rc == RC_OK) {
        r->good = r->previous;
        r->previous = (struct digest){ 0 };
        t->changed = true;
        note(t, u, RC_ROLLED_BACK, &r->good);
    }
    return rc;
}

/* Whether the snapshot is still needed: for the trial of its version, or to try that again. */
static bool keeps_snapshot(const struct unit_record *r)
{
    return r->state == SLOT_TRIAL && digest_same(&r->snapshot, &r->wanted);
}

/* The payload does not run, so the data is its own.  What did not commit has written to it. */
static void restore(struct table *t, struct unit *u, uint64_t now_ms)
{
    if (now_ms < u->not_before_ms)
        wake_at(t, u->not_before_ms);
    else
        act(t, u, ACTION_RESTORE, RC_OK, &u->kept.snapshot);
}

/* Copied before the first start of a trial; a later one begins with what the one before it left,
 * and still ends with the snapshot or a commit. */
static bool copy_first(struct table *t, struct unit *u, const struct digest *manifest,
                       const struct admission *admission, uint64_t now_ms)
{
    if (!admission->snapshot || u->kept.state != SLOT_INSTALLED)
        return false;
    start_run(t, u, manifest, admission, ACTION_SNAPSHOT, now_ms);
    return true;
}

/* What to start instead of a version that has used up its starts; NULL = nothing now. */
static const struct digest *after_trials(struct table *t, struct unit *u,
                                         const struct digest *manifest, uint64_t now_ms)
{
    if (u->kept.state != SLOT_TRIAL || u->kept.trials < RECONCILE_TRIALS_MAX)
        return manifest;
    fail_wanted(t, u, RC_CRASH_LOOP);
    if (digest_is_none(&u->kept.snapshot))
        return target(t, u, now_ms);
    restore(t, u, now_ms);
    return NULL;
}

/* Whether it may not start yet, or not again, for a reason that is no fault. */
static bool gated(struct table *t, struct unit *u, const struct digest *manifest, uint64_t now_ms)
{
    const struct life *life = gate_life(u, manifest);
    uint64_t wake_ms = UINT64_MAX;
    enum rc why = life ? gate_check(t, u, manifest, life, now_ms, &wake_ms) : RC_OK;

    wake_at(t, wake_ms);
    if (why != RC_OK && rc_class(why) != RC_CLASS_FINE && u->told_rests != why)
        note(t, u, why, manifest);
    u->told_rests = why;
    u->rests = why;
    return why != RC_OK;
}

/* What has failed too often gives way.  False: to what is not known yet. */
static bool judge(struct table *t, struct unit *u, uint64_t now_ms, const struct reconcile_ask *ask)
{
    if (!u->spent && u->failures < RECONCILE_LOOP_MAX)
        return true;

    enum rc previous = ask_previous(u, ask);
    if (u->spent && rc_class(previous) == RC_CLASS_RETRY) {
        wake_at(t, now_ms + RECONCILE_BACKOFF_MIN_MS); /* its files are being read */
        return false;
    }
    if (!crash_loop(t, u, previous))
        (void)give_up(t, u, previous);
    return true;
}

static void begin(struct table *t, struct unit *u, uint64_t now_ms, const struct reconcile_ask *ask)
{
    struct admission admission = { 0 };

    if (!judge(t, u, now_ms, ask))
        return;
    const struct digest *manifest = target(t, u, now_ms);
    u->rests = RC_OK;
    if (!manifest)
        return;
    if (now_ms < u->not_before_ms) {
        wake_at(t, u->not_before_ms);
        return;
    }
    if (gated(t, u, manifest, now_ms))
        return;
    manifest = after_trials(t, u, manifest, now_ms);
    if (!manifest)
        return;

    enum rc rc = ask->admit(ask->arg, &u->kept, manifest, &admission);
    if (rc == RC_NOT_FOUND && manifest == &u->kept.good) {
        enum rc other = fall_back(t, u, ask);

        if (other == RC_OK)
            wake_at(t, now_ms + 1);
        if (other == RC_OK || other == RC_BUSY)
            return;
    }
    if (rc == RC_BUSY)
        return; /* what has to end first brings the next step */
    if (rc != RC_OK) {
        denied(t, u, manifest, rc, now_ms);
        wake_at(t, u->not_before_ms > now_ms ? u->not_before_ms : now_ms + 1);
        return;
    }
    learn(u, manifest, &admission.life);
    if (gated(t, u, manifest, now_ms))
        return;
    bool wanted = manifest == &u->kept.wanted; /* not while the agent itself is on trial */
    if (wanted && copy_first(t, u, manifest, &admission, now_ms))
        return;
    if (wanted && (u->kept.state == SLOT_INSTALLED || u->kept.state == SLOT_TRIAL)) {
        must_move(t, u, SLOT_EV_START, RC_OK);
        u->kept.trials++;
    }
    start_run(t, u, manifest, &admission, ACTION_START, now_ms);
}

/* ---- the agent itself ---------------------------------------------------------------------------
 */

bool reconcile_trial_ends(const struct unit *u, uint64_t now_ms)
{
    const struct run *run = &u->run;
    uint32_t most_ms =
        run->health.soak_ms > run->health.ready_ms ? run->health.soak_ms : run->health.ready_ms;

    return is_trial(u) && run->frozen_ms == 0 &&
           (run->life.kind != KIND_ONESHOT || now_ms - run->since_ms < most_ms);
}

/* A trial that goes on would begin again under the next agent. */
static bool others_on_trial(const struct table *t, uint64_t now_ms)
{
    for (uint32_t i = 0; i < t->n_units; i++)
        if (t->unit[i].run.phase == RUN_COPYING || reconcile_trial_ends(&t->unit[i], now_ms))
            return true;
    return false;
}

/* The boot record says that its slot was damaged: what was held against it before is void, and an
 * order that names it is carried out after all. */
static void learn_excuse(struct table *t, struct unit *u)
{
    struct unit_record *r = &u->kept;

    for (uint32_t i = 0; i < r->n_failed; i++) {
        if (r->failed[i].code != RC_CRASH_LOOP ||
            !digest_same(&r->failed[i].manifest, &t->own.failed))
            continue;
        r->n_failed--;
        memmove(&r->failed[i], &r->failed[i + 1], (r->n_failed - i) * sizeof r->failed[0]);
        t->changed = true;
        if (digest_same(&r->wanted, &t->own.failed) && r->state == SLOT_REFUSED)
            must_move(t, u, SLOT_EV_RECONSIDER, RC_OK);
        return;
    }
}

/* What the boot record says of a version that failed, whoever was told then. */
static void learn_failure(struct table *t, struct unit *u)
{
    struct unit_record *r = &u->kept;
    const struct own_agent *own = &t->own;

    if (own->code == RC_OK || digest_is_none(&own->failed))
        return;
    if (own->code == RC_SLOT_DAMAGED) {
        learn_excuse(t, u);
        return;
    }
    if (failed_code(r, &own->failed) == RC_OK) {
        remember_failed(r, &own->failed, own->code);
        t->changed = true;
    }
    if (!digest_same(&r->wanted, &own->failed))
        return;
    if (r->state == SLOT_TRIAL) {
        fail_wanted(t, u, own->code);
    } else if (r->state == SLOT_COMMITTED) {
        r->good = own->running; /* what berth-boot has gone back to */
        r->previous = (struct digest){ 0 };
        must_move(t, u, SLOT_EV_LOSE, RC_OK); /* and is refused there, as failed before */
    }
}

static void ask_for_switch(struct table *t, struct unit *u, const struct digest *to,
                           uint64_t now_ms)
{
    u->not_before_ms = now_ms + RECONCILE_BACKOFF_MAX_MS;
    wake_at(t, u->not_before_ms);
    act(t, u, ACTION_SWITCH, RC_OK, to);
}

/* The agent that should run is another one. */
static void begin_switch(struct table *t, struct unit *u, const struct digest *to, uint64_t now_ms,
                         const struct reconcile_ask *ask)
{
    struct admission admission = { 0 };
    bool wanted = to == &u->kept.wanted;

    if (now_ms < u->not_before_ms || others_on_trial(t, now_ms)) {
        wake_at(t,
                now_ms < u->not_before_ms ? u->not_before_ms : now_ms + RECONCILE_BACKOFF_MIN_MS);
        return;
    }
    enum rc rc = ask->admit(ask->arg, &u->kept, to, &admission);
    if (rc == RC_BUSY)
        return;
    if (rc != RC_OK) {
        denied(t, u, to, rc, now_ms);
        wake_at(t, u->not_before_ms > now_ms ? u->not_before_ms : now_ms + 1);
        return;
    }
    if (wanted && u->kept.state != SLOT_COMMITTED) {
        if (u->kept.trials >= RECONCILE_TRIALS_MAX) {
            fail_wanted(t, u, RC_CRASH_LOOP);
            return;
        }
        must_move(t, u, SLOT_EV_START, RC_OK);
        u->kept.trials++;
    }
    ask_for_switch(t, u, to, now_ms);
}

/* The boot record says that it is committed: the table follows, with the floor that it asks for. */
static void commit_own(struct table *t, struct unit *u, const struct reconcile_ask *ask)
{
    struct admission admission = { 0 };
    enum rc rc = ask->admit(ask->arg, &u->kept, &u->kept.wanted, &admission);

    if (rc == RC_BUSY)
        return; /* its files are being read */
    u->run.floor = rc == RC_OK ? admission.floor : 0;
    commit(t, u);
}

static bool is_revoked_code(enum rc code)
{
    return code == RC_MANIFEST_REVOKED || code == RC_KEY_REVOKED;
}

/* Like a payload, but for how a version starts and ends.  What no order names goes on. */
static void step_agent(struct table *t, struct unit *u, uint64_t now_ms,
                       const struct reconcile_ask *ask)
{
    static const struct digest none;
    struct unit_record *r = &u->kept;

    learn_failure(t, u);
    if (!settle(t, u, ask)) {
        wake_at(t, now_ms + RECONCILE_BACKOFF_MIN_MS);
        return;
    }
    bool revoked = is_revoked_code(failed_code(r, &t->own.running));
    if (t->own.trial && revoked && now_ms >= u->not_before_ms)
        ask_for_switch(t, u, &none, now_ms);
    if (digest_is_none(&r->wanted) || t->own.trial)
        return; /* until it has proven itself there is no other to go to */

    const struct digest *to = target(t, u, now_ms);
    if (to && digest_same(to, &t->own.running)) {
        if (r->state == SLOT_INSTALLED)
            must_move(t, u, SLOT_EV_START, RC_OK); /* ordered away and back */
        if (r->state == SLOT_TRIAL)
            commit_own(t, u, ask);
    } else if (to && failed_code(r, to) == RC_OK) {
        begin_switch(t, u, to, now_ms, ask);
    } else if (revoked && now_ms >= u->not_before_ms) {
        ask_for_switch(t, u, &none, now_ms);
    }
}

/* Stopped for what is no fault of its own, so that it counts against nothing. */
static void rest(struct table *t, struct unit *u, uint64_t now_ms)
{
    if (is_trial(u) && u->kept.trials > 0) {
        u->kept.trials--;
        t->changed = true;
    }
    stop_run(t, u, RC_OK, now_ms);
}

static void keep_to_mode(struct table *t, struct unit *u, uint64_t now_ms)
{
    bool in_mode = life_in_mode(&u->run.life, t->mode);

    if (in_mode && u->run.mode_frozen)
        act(t, u, ACTION_THAW, RC_OK, &u->run.manifest);
    if (in_mode) {
        u->run.mode_frozen = false;
    } else if (!u->run.life.freeze) {
        rest(t, u, now_ms);
    } else if (!u->run.mode_frozen) {
        u->run.mode_frozen = true;
        act(t, u, ACTION_FREEZE, RC_OUT_OF_MODE, &u->run.manifest);
    }
}

/* What a running payload may not do for longer, and what it is told of. */
static void keep_to_life(struct table *t, struct unit *u, uint64_t now_ms)
{
    const struct life *life = &u->run.life;
    uint64_t most = (uint64_t)life->run_s_orbit * 1000U;
    bool lost = !gate_after_ready(t, u, life);

    if (lost && !u->run.after_lost)
        note(t, u, RC_AFTER, &u->run.manifest);
    u->run.after_lost = lost;
    count_running(u, now_ms);
    if (most != 0 && u->orbit_ms >= most) {
        rest(t, u, now_ms);
        return;
    }
    if (most != 0 && u->run.frozen_ms == 0)
        wake_at(t, now_ms + (most - u->orbit_ms));
    keep_to_mode(t, u, now_ms);
}

static void step_unit(struct table *t, struct unit *u, uint64_t now_ms,
                      const struct reconcile_ask *ask)
{
    if (is_agent_name(u->kept.tenant, u->kept.name)) {
        step_agent(t, u, now_ms, ask);
        return;
    }
    watch(t, u, now_ms);
    if (!settle(t, u, ask)) {
        wake_at(t, now_ms + RECONCILE_BACKOFF_MIN_MS);
        return;
    }

    const struct digest *manifest = target(t, u, now_ms);
    if (u->run.phase == RUN_NONE && !digest_is_none(&u->kept.snapshot) && !keeps_snapshot(&u->kept))
        restore(t, u, now_ms);
    else if (u->run.phase == RUN_NONE)
        begin(t, u, now_ms, ask);
    else if ((u->run.phase == RUN_UP || u->run.phase == RUN_READY) &&
             (!manifest || !runs(u, manifest)) && !relimit(t, u, manifest, now_ms, ask))
        stop_run(t, u, RC_OK, now_ms);
    else if (u->run.phase == RUN_UP || u->run.phase == RUN_READY)
        keep_to_life(t, u, now_ms);
}

void reconcile_step(struct table *t, uint64_t now_ms, const struct reconcile_ask *ask)
{
    bool ran[UNITS_MAX] = { 0 };

    t->wake_ms = UINT64_MAX;
    /* What runs comes first: nothing starts on what is stopped in the same step. */
    for (uint32_t i = 0; i < t->n_units; i++) {
        ran[i] = t->unit[i].run.phase != RUN_NONE;
        if (ran[i])
            step_unit(t, &t->unit[i], now_ms, ask);
    }
    for (uint32_t i = 0; i < t->n_units; i++)
        if (!ran[i])
            step_unit(t, &t->unit[i], now_ms, ask);
}

void reconcile_reset(struct table *t)
{
    t->n_actions = 0;
}

void reconcile_shutdown(struct table *t, uint64_t now_ms)
{
    for (uint32_t i = 0; i < t->n_units; i++) {
        if (t->unit[i].run.phase == RUN_UP || t->unit[i].run.phase == RUN_READY)
            rest(t, &t->unit[i], now_ms);
        if (t->unit[i].run.phase == RUN_COPYING)
            t->unit[i].run.phase = RUN_NONE; /* from the beginning at the next start */
    }
}
