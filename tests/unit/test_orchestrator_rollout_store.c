/* SPDX-License-Identifier: Apache-2.0
 *
 * Rollouts through the store, whatever happens: links that lose, repeat and reorder, satellites
 * that are cut off, begin anew, fail and recover, two operators and two reconcilers on two
 * connections, and restarts.  An oracle that knows only what was heard, and what people said,
 * watches every wave that opens and every order that goes.
 *
 * Another world has two processes that really race; there the audit log is the witness.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/advance.h"
#include "orchestrator/approvals.h"
#include "orchestrator/contact.h"
#include "orchestrator/ingest.h"
#include "tests/unit/documents.h"
#include "tests/unit/stored_order.h"

#define BEGIN (ISSUED_MS + 10 * DAY_MS)
#define TICK 1000U
#define SATS 6U
#define WAVES 3U
#define PAYLOADS 2U /* each with a rollout of its own, on the same orders */
#define WAY 6U      /* reports that are on their way at most */
#define TICKS 45U
#define TWO (APPROVAL_BIT(APPROVAL_OPERATOR) | APPROVAL_BIT(APPROVAL_SAFETY))

static const char *const names[PAYLOADS] = { "beacon", "camera" };
static struct err err;

struct told {
    uint64_t epoch, seq;
    bool has, failed[PAYLOADS];
};

/* One satellite as it is, and as the ground may know it. */
struct sat {
    char id[16];
    uint32_t wave;
    uint64_t period_ms;
    struct told is;
    bool cut_off;
    uint32_t n_way;
    struct told way[WAY];
    struct told known; /* epoch 0 = nothing was heard */
    uint64_t heard_ms;
    uint32_t n_missed;
    uint64_t missed[TICKS * 8U];
    bool released;
};

/* What people said of a rollout, and what the oracle concluded. */
struct said {
    uint64_t id;
    bool stopped, dead, done;
    unsigned approved;
    unsigned forced[SATS]; /* roles; bit 0 = asked for */
    struct told again[SATS];
    uint64_t again_ms[SATS];
    bool open[WAVES], promoted[WAVES];
    uint64_t holds_since[WAVES], held_since[WAVES]; /* now, and when it was looked at last */
};

struct world {
    char dir[64], path[128];
    struct store *store[2];
    uint64_t seed, now;
    uint32_t n, n_waves, n_rollouts;
    uint32_t fail_max, success_pct, silent_passes, approve;
    bool skip;
    uint64_t soak_ms;
    uint32_t soak_orbits;
    struct sat sat[SATS];
    struct said said[PAYLOADS];
    uint64_t trace; /* hash of all that happened */
};

/* What the dice tried, over all worlds. */
static struct {
    uint32_t opened, released, paused, aborted, completed, promoted, forced, again, refused, waited,
        raced;
} tried;

static uint32_t dice(struct world *w, uint32_t n)
{
    w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(w->seed >> 33) % n;
}

static void note(struct world *w, uint64_t what)
{
    w->trace = (w->trace ^ what) * 1099511628211ULL;
}

/* ---- a store with a fleet in it ---------------------------------------------------------------
 */

static void put_root(struct store *store)
{
    scoped(free_ptr) struct root *root = malloc(sizeof *root);
    static struct signed_doc doc;

    assert_non_null(root);
    *root = doc_root();
    root->safety_keys = doc_key_set(1, 1, K_SAFETY_A);
    doc_signed(&doc, DOC_ROOT, root_encode, root, K_ROOT_A, K_ROOT_B);
    assert_rc(store_put_document(store, DOC_ROOT, "root", 1, doc.bytes, ISSUED_MS, &err), RC_OK);
}

static void put_satellite(struct world *w, uint32_t i)
{
    struct store_satellite row = { .node = 101 + i, .up = "up", .down = "down", .link_keys = "k" };
    struct order order = { .generation = 1, .issued_ms = 1, .n_lines = PAYLOADS };
    struct sat *sat = &w->sat[i];

    (void)snprintf(sat->id, sizeof sat->id, "sat-%u", i + 1);
    (void)snprintf(row.id, sizeof row.id, "%s", sat->id);
    assert_rc(store_put_satellite(w->store[0], &row, &err), RC_OK);
    (void)snprintf(order.satellite, sizeof order.satellite, "%s", sat->id);
    for (uint32_t k = 0; k < PAYLOADS; k++) {
        (void)snprintf(order.line[k].tenant, NAME_CAP, "acme");
        (void)snprintf(order.line[k].name, NAME_CAP, "%s", names[k]);
        memset(order.line[k].manifest.b, 1 + (int)k, DIGEST_SIZE);
    }
    stored_order(w->store[0], &order, (struct store_order){ .state = ORDER_HELD, .rollout = 1 });
    sat->wave = i < w->n_waves ? i : dice(w, w->n_waves);
    sat->period_ms = 1U + dice(w, 2U * TICK);
    sat->is = (struct told){ .epoch = 1 };
    for (uint32_t k = 0; k < PAYLOADS; k++)
        sat->is.failed[k] = dice(w, 8) == 0;
}

static void put_rollout(struct world *w, uint32_t k)
{
    struct store_rollout row = { .tenant = "acme",
                                 .to = "2",
                                 .state = w->approve ? ROLLOUT_AWAITING : ROLLOUT_RUNNING,
                                 .fail_max = w->fail_max,
                                 .success_pct = w->success_pct,
                                 .silent_passes = w->silent_passes,
                                 .silent_skip = w->skip,
                                 .soak_ms = w->soak_ms,
                                 .soak_orbits = w->soak_orbits,
                                 .approve = w->approve,
                                 .created_ms = BEGIN };

    (void)snprintf(row.name, sizeof row.name, "%s", names[k]);
    memset(&row.plan, 1 + (int)k, sizeof row.plan);
    assert_rc(store_add_rollout(w->store[0], &row, &w->said[k].id, &err), RC_OK);
    for (uint32_t i = 0; i < w->n; i++) {
        struct store_wave wave = { .rollout = w->said[k].id,
                                   .index = w->sat[i].wave + 1,
                                   .state = WAVE_WAITING,
                                   .period_ms = w->sat[i].period_ms,
                                   .generation = 1 };

        (void)snprintf(wave.satellite, sizeof wave.satellite, "%s", w->sat[i].id);
        assert_rc(store_add_wave(w->store[0], &wave, &err), RC_OK);
    }
}

static struct world *begin(uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    w->seed = seed * 7919U + 1;
    w->now = BEGIN;
    w->n_waves = 1 + dice(w, WAVES);
    w->n = w->n_waves + dice(w, SATS - w->n_waves + 1);
    w->n_rollouts = 1 + dice(w, PAYLOADS);
    w->fail_max = 1 + dice(w, 3);
    w->success_pct = w->fail_max > 1 && dice(w, 2) ? 50 : 0;
    w->silent_passes = dice(w, 3) ? 0 : 1 + dice(w, 4);
    w->skip = dice(w, 2);
    if (dice(w, 2))
        w->soak_ms = dice(w, 2) ? 0 : TICK * (1U + dice(w, 4));
    else
        w->soak_orbits = 1U + dice(w, 3);
    w->approve = dice(w, 3) ? 0 : TWO;
    (void)snprintf(w->dir, sizeof w->dir, "/tmp/berth-rollouts-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    (void)snprintf(w->path, sizeof w->path, "%s/store.sqlite", w->dir);
    assert_rc(store_open(w->path, true, &w->store[0], &err), RC_OK);
    assert_rc(store_open(w->path, false, &w->store[1], &err), RC_OK);
    put_root(w->store[0]);
    for (uint32_t i = 0; i < w->n; i++)
        put_satellite(w, i);
    for (uint32_t k = 0; k < w->n_rollouts; k++)
        put_rollout(w, k);
    return w;
}

static void end(struct world *w)
{
    store_close(&w->store[0]);
    store_close(&w->store[1]);
    assert_rc(fs_remove_tree(AT_FDCWD, w->dir, &err), RC_OK);
    free(w);
}

/* ---- what the oracle knows --------------------------------------------------------------------
 */

static bool is_after(const struct told *a, const struct told *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->seq > b->seq;
}

static bool is_forced(const struct world *w, const struct said *r, uint32_t i)
{
    return r->forced[i] == (1U | w->approve);
}

static enum outcome outcome(const struct world *w, const struct said *r, uint32_t i)
{
    const struct sat *sat = &w->sat[i];
    const uint32_t k = (uint32_t)(r - w->said);

    if (!sat->known.has)
        return OUTCOME_WAITING;
    if (!sat->known.failed[k])
        return OUTCOME_HEALTHY;
    if (r->again_ms[i] > 0 && !is_after(&sat->known, &r->again[i]))
        return OUTCOME_WAITING;
    return OUTCOME_FAILED;
}

static bool is_silent(const struct world *w, const struct said *r, uint32_t i)
{
    const struct sat *sat = &w->sat[i];
    uint32_t n = 0;

    for (uint32_t m = 0; m < sat->n_missed; m++)
        n += sat->missed[m] > sat->heard_ms && sat->missed[m] > r->again_ms[i] &&
             sat->missed[m] > BEGIN;
    return w->silent_passes > 0 && n > w->silent_passes && outcome(w, r, i) != OUTCOME_FAILED;
}

/* Whether the wave holds; not: *ret_failed is how many of it have failed. */
static bool wave_holds(const struct world *w, const struct said *r, uint32_t wave,
                       uint32_t *ret_failed)
{
    uint32_t members = 0, good = 0, bad = 0, open = 0;

    for (uint32_t i = 0; i < w->n; i++) {
        if (w->sat[i].wave != wave || is_forced(w, r, i))
            continue;
        const enum outcome o = outcome(w, r, i);

        members++;
        bad += o == OUTCOME_FAILED;
        if (is_silent(w, r, i))
            open += !w->skip;
        else {
            good += o == OUTCOME_HEALTHY;
            open += o == OUTCOME_WAITING;
        }
    }
    *ret_failed += bad;
    if (members == 0)
        return true;
    return open == 0 && good > 0 &&
           (bad == 0 || good * 100 >= (w->success_pct ? w->success_pct : 100) * (good + bad));
}

/* Since when all waves up to each one hold. */
static void watch(struct world *w)
{
    for (uint32_t k = 0; k < w->n_rollouts; k++) {
        struct said *r = &w->said[k];
        uint32_t failed = 0;
        bool all = true;

        for (uint32_t v = 0; v < w->n_waves; v++) {
            all = wave_holds(w, r, v, &failed) && all;
            if (!all)
                r->holds_since[v] = 0;
            else if (r->holds_since[v] == 0)
                r->holds_since[v] = w->now;
        }
    }
}

/* The time has passed, or each satellite of the wave has gone around so often. */
static void check_soak(const struct world *w, const struct said *r, uint32_t wave)
{
    const uint64_t ms = w->now - r->holds_since[wave];

    assert_true(ms >= w->soak_ms);
    for (uint32_t i = 0; i < w->n; i++)
        if (w->sat[i].wave == wave)
            assert_true(ms / w->sat[i].period_ms >= w->soak_orbits);
}

static void check_opening(struct world *w, struct said *r, uint32_t wave)
{
    uint32_t failed = 0;
    bool all = true;

    r->open[wave] = true;
    tried.opened++;
    assert_true(r->approved == w->approve);
    assert_false(r->stopped || r->dead || r->done);
    assert_true(wave == 0 || r->open[wave - 1]);
    for (uint32_t v = 0; v < wave; v++)
        all = wave_holds(w, r, v, &failed) && all;
    assert_true(all);
    assert_true(failed < w->fail_max);
    if (wave > 0 && !r->promoted[wave - 1])
        check_soak(w, r, wave - 1);
}

static void check_rollout(struct world *w, struct said *r)
{
    scoped(free_ptr) struct store_wave *waves = NULL;
    struct store_rollout row;
    uint32_t failed = 0;
    size_t n = 0;

    assert_rc(store_rollout(w->store[0], r->id, &row, &err), RC_OK);
    assert_rc(store_waves(w->store[0], r->id, &waves, &n, &err), RC_OK);
    assert_int_equal(n, w->n);
    for (size_t i = 0; i < n; i++) {
        const uint32_t wave = waves[i].index - 1;

        if (waves[i].state != WAVE_WAITING && !r->open[wave])
            check_opening(w, r, wave);
        assert_int_equal(r->open[wave], waves[i].state != WAVE_WAITING); /* none closes */
    }
    if (r->dead)
        assert_int_equal(row.state, ROLLOUT_ABORTED);
    if (r->done)
        assert_int_equal(row.state, ROLLOUT_COMPLETED);
    if (row.state == ROLLOUT_COMPLETED && !r->done) {
        r->done = true;
        tried.completed++;
        assert_false(r->stopped);
        for (uint32_t v = 0; v < w->n_waves; v++)
            assert_true(r->open[v] && wave_holds(w, r, v, &failed));
    }
    tried.paused += row.state == ROLLOUT_PAUSED && !r->stopped;
    tried.waited += row.state == ROLLOUT_AWAITING;
    r->stopped = row.state == ROLLOUT_PAUSED;
    r->dead = row.state == ROLLOUT_ABORTED;
    note(w, (uint64_t)row.state * 16 + row.wave);
}

static void check_order(struct world *w, struct sat *sat)
{
    struct store_order_filter filter = { .satellite = sat->id };
    scoped(free_ptr) struct store_order *rows = NULL;
    size_t n = 0;

    assert_rc(store_orders(w->store[0], &filter, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    const bool released = rows[0].state == ORDER_RELEASED || rows[0].state == ORDER_ACKED;

    assert_true(released || !sat->released);
    for (uint32_t k = 0; released && !sat->released && k < w->n_rollouts; k++) {
        const struct said *r = &w->said[k];

        assert_true(r->open[sat->wave] && r->approved == w->approve);
        assert_false(r->stopped || r->dead);
    }
    for (uint32_t k = 0; !released && k < w->n_rollouts; k++)
        if (w->said[k].dead)
            assert_int_equal(rows[0].state, ORDER_CANCELLED);
    tried.released += released && !sat->released;
    sat->released = released;
    note(w, rows[0].state);
}

static void check_all(struct world *w)
{
    watch(w);
    for (uint32_t k = 0; k < w->n_rollouts; k++)
        check_rollout(w, &w->said[k]);
    for (uint32_t i = 0; i < w->n; i++)
        check_order(w, &w->sat[i]);
}

/* ---- satellites and links ---------------------------------------------------------------------
 */

static enum rc ingest(struct world *w, const struct sat *sat, const struct told *told)
{
    static uint8_t buf[REPORT_MAX];
    scoped(free_ptr) struct report *r = calloc(2, sizeof *r);
    struct bytes bytes;

    assert_non_null(r);
    (void)snprintf(r->satellite, sizeof r->satellite, "%s", sat->id);
    r->epoch = told->epoch;
    r->seq = told->seq;
    r->time_ms = w->now;
    r->root_version = 1;
    r->generation = told->has;
    r->n_payloads = told->has ? PAYLOADS : 0;
    for (uint32_t k = 0; k < r->n_payloads; k++) {
        struct report_payload *p = &r->payload[k];

        (void)snprintf(p->tenant, NAME_CAP, "acme");
        (void)snprintf(p->name, NAME_CAP, "%s", names[k]);
        (void)snprintf(p->version, VERSION_CAP, "2");
        memset(p->wanted.b, 1 + (int)k, DIGEST_SIZE);
        p->running = p->wanted;
        p->is_running = true;
        p->state = told->failed[k] ? SLOT_FAILED : SLOT_COMMITTED;
        p->code = told->failed[k] ? RC_OOM : 0;
    }
    assert_rc(report_encode(r, buf, sizeof buf, &bytes, &err), RC_OK);
    return ingest_report(w->store[dice(w, 2)], sat->id, bytes, w->now, r + 1, &err);
}

static bool is_queued(struct world *w, const struct sat *sat)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    bool found = false;
    size_t n = 0;

    assert_rc(store_outgoing(w->store[0], sat->id, OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        found = found || rows[i].kind == OBJECT_ORDER;
    return found;
}

static void put_pass(struct world *w, struct sat *sat)
{
    struct store_pass row = { .station = "kiruna",
                              .aos_ms = w->now,
                              .los_ms = w->now + 1,
                              .state = sat->cut_off ? CONTACT_FAILED : CONTACT_DONE };

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", sat->id);
    assert_rc(store_put_pass(w->store[0], &row, &err), RC_OK);
    if (sat->cut_off)
        sat->missed[sat->n_missed++] = w->now;
}

/* One report that is on its way, whichever; it may stay on the way and come again. */
static void deliver(struct world *w, struct sat *sat, bool perfect)
{
    const uint32_t at = perfect ? sat->n_way - 1 : dice(w, sat->n_way);
    const struct told told = sat->way[at];
    const bool fresh = sat->known.epoch == 0 || is_after(&told, &sat->known);

    assert_int_equal(ingest(w, sat, &told) == RC_OK, fresh);
    if (fresh) {
        sat->known = told;
        sat->heard_ms = w->now;
    }
    if (perfect || dice(w, 5))
        sat->way[at] = sat->way[--sat->n_way];
}

static void live(struct world *w, struct sat *sat, bool perfect)
{
    sat->cut_off = !perfect && (sat->cut_off ? dice(w, 4) > 0 : dice(w, 6) == 0);
    for (uint32_t k = 0; k < PAYLOADS; k++)
        if (!perfect && dice(w, 25) == 0)
            sat->is.failed[k] = !sat->is.failed[k]; /* refused, and not any more; or worn out */
    if (!perfect && dice(w, 30) == 0) {
        sat->is.epoch++;
        sat->is.seq = 0;
    }
    put_pass(w, sat);
    if (sat->cut_off)
        return;
    if (is_queued(w, sat) && (perfect || dice(w, 3)))
        sat->is.has = true;
    sat->is.seq++;
    if (sat->n_way < WAY && (perfect || dice(w, 3)))
        sat->way[sat->n_way++] = sat->is;
    while (perfect && sat->n_way > 0)
        deliver(w, sat, true);
    for (uint32_t n = dice(w, 3); !perfect && n > 0 && sat->n_way > 0; n--)
        deliver(w, sat, false);
}

/* ---- people -----------------------------------------------------------------------------------
 */

static enum rc give(struct store *store, struct said *r, const char *satellite, unsigned role,
                    uint64_t now)
{
    const struct approvals_person person = {
        .role = (enum approval_role)role,
        .who = "mara",
        .key = doc_key(role == APPROVAL_OPERATOR ? K_OPERATOR_A : K_SAFETY_A)
    };
    struct store_rollout row;
    bool is_new = false;

    assert_rc(store_rollout(store, r->id, &row, &err), RC_OK);
    return approvals_give(store, &(struct approvals_about){ .row = &row, .satellite = satellite },
                          &person, "seen", now, &is_new, &err);
}

static enum rc say_force(struct world *w, struct store *store, struct said *r, uint32_t i,
                         unsigned role)
{
    enum rc rc = advance_excuse(store, r->id, w->sat[i].id, w->now, &err);

    if (rc == RC_OK && w->approve)
        rc = give(store, r, w->sat[i].id, role, w->now);
    return rc;
}

enum verb { PAUSE, RESUME, ABORT, PROMOTE, FORCE, AGAIN, APPROVE };

static uint32_t newest(const struct world *w, const struct said *r)
{
    uint32_t n = 0;

    while (n < w->n_waves && r->open[n])
        n++;
    return n;
}

static enum rc say(struct world *w, struct store *store, struct said *r, enum verb verb, uint32_t i,
                   unsigned role)
{
    switch (verb) {
    case PAUSE:
        return advance_enter(store, r->id, ROLLOUT_EV_PAUSE, "wait", w->now, &err);
    case RESUME:
        return advance_enter(store, r->id, ROLLOUT_EV_RESUME, NULL, w->now, &err);
    case ABORT:
        return advance_enter(store, r->id, ROLLOUT_EV_ABORT, "no", w->now, &err);
    case PROMOTE:
        return advance_promote(store, r->id, 0, w->now, &err);
    case FORCE:
        return say_force(w, store, r, i, role);
    case AGAIN:
        return advance_again(store, r->id, w->sat[i].id, w->now, &err);
    case APPROVE:
        return give(store, r, NULL, role, w->now);
    }
    return RC_OK;
}

/* What follows from what was said, and whether it could be. */
static void conclude(struct world *w, struct said *r, enum verb verb, uint32_t i, unsigned role)
{
    const uint32_t open = newest(w, r);

    if (verb == FORCE && is_forced(w, r, i)) /* twice is as once, whenever */
        return;
    assert_false(r->dead || r->done);
    switch (verb) {
    case PAUSE:
        assert_false(r->stopped);
        r->stopped = true;
        break;
    case RESUME:
        assert_true(r->stopped);
        r->stopped = false;
        break;
    case ABORT:
        r->dead = true;
        tried.aborted++;
        break;
    case PROMOTE:
        assert_true(open > 0 && !r->stopped);
        for (uint32_t s = 0; s < w->n; s++)
            if (w->sat[s].wave < open && !is_forced(w, r, s))
                assert_int_equal(outcome(w, r, s), OUTCOME_HEALTHY);
        r->promoted[open - 1] = true;
        tried.promoted++;
        break;
    case FORCE:
        assert_true(w->sat[i].wave < open);
        r->forced[i] |= 1U | (w->approve ? APPROVAL_BIT(role) : 0);
        tried.forced++;
        for (uint32_t v = 0; v < w->n_waves; v++) /* the others have held all the time */
            r->holds_since[v] = r->holds_since[v] ? r->holds_since[v] : r->held_since[v];
        break;
    case AGAIN:
        assert_true(w->sat[i].wave < open);
        r->forced[i] = 0;
        r->again[i] = w->sat[i].known;
        r->again_ms[i] = w->now;
        tried.again++;
        break;
    case APPROVE:
        r->approved |= APPROVAL_BIT(role);
        break;
    }
}

static bool speak(struct world *w, uint32_t by, struct said *r, enum verb verb, uint32_t i,
                  unsigned role)
{
    struct store *open = NULL;

    assert_rc(store_begin(w->store[by], &open, &err), RC_OK);
    enum rc rc = say(w, w->store[by], r, verb, i, role);

    if (rc == RC_OK) {
        assert_rc(store_commit(&open, &err), RC_OK);
        conclude(w, r, verb, i, role);
    } else {
        store_rollback(&open);
        assert_true(rc == RC_ROLLOUT_STATE || rc == RC_APPROVAL_ROLE);
        tried.refused++;
    }
    note(w, (uint64_t)rc * 8 + verb);
    check_all(w);
    return rc == RC_OK;
}

static void speak_at_random(struct world *w, uint32_t by)
{
    static const enum verb often[] = { PAUSE, RESUME, RESUME,  PROMOTE, FORCE,   FORCE,  AGAIN,
                                       AGAIN, RESUME, APPROVE, APPROVE, APPROVE, RESUME, PROMOTE };
    enum verb verb = dice(w, 60) ? often[dice(w, sizeof often / sizeof often[0])] : ABORT;
    const unsigned role = dice(w, 2) ? APPROVAL_OPERATOR : APPROVAL_SAFETY;

    (void)speak(w, by, &w->said[dice(w, w->n_rollouts)], verb, dice(w, w->n), role);
}

/* ---- the ground -------------------------------------------------------------------------------
 */

static void hear(void *arg, const struct advance_event *event)
{
    struct world *w = arg;

    note(w, event->rollout * 64 + event->number);
    for (const char *p = event->what; *p; p++)
        note(w, (uint64_t)*p);
}

static uint64_t entries(struct world *w)
{
    struct digest head;
    uint64_t seq = 0;

    assert_rc(store_audit_head(w->store[0], &seq, &head, &err), RC_OK);
    return seq;
}

/* Nobody goes on beyond a budget, whatever else there is to wait for. */
static void check_budgets(struct world *w)
{
    for (uint32_t k = 0; k < w->n_rollouts; k++) {
        const struct said *r = &w->said[k];
        uint32_t failed = 0;

        for (uint32_t v = 0; v < w->n_waves && r->open[v]; v++)
            (void)wave_holds(w, r, v, &failed);
        if (r->approved == w->approve && !r->stopped && !r->dead && !r->done)
            assert_true(failed < w->fail_max);
    }
}

static void reconcile(struct world *w, uint32_t by, const struct view *view)
{
    const struct advance_log log = { .fn = hear, .arg = w };

    assert_rc(advance_all(w->store[by], view, w->now, &log, &err), RC_OK);
    check_all(w);
    check_budgets(w);
    const uint64_t before = entries(w);

    assert_rc(advance_all(w->store[by], view, w->now, &log, &err), RC_OK);
    assert_int_equal(entries(w), before); /* once more is as once */
    check_all(w);
    for (uint32_t k = 0; k < w->n_rollouts; k++)
        memcpy(w->said[k].held_since, w->said[k].holds_since, sizeof w->said[k].held_since);
}

/* Both have looked before either does a thing, and people speak in between. */
static void tick(struct world *w, bool perfect)
{
    scoped(view_free) struct view *one = NULL, *two = NULL;
    const uint32_t by = perfect ? 0 : dice(w, 2);

    w->now += TICK;
    for (uint32_t i = 0; i < w->n; i++)
        live(w, &w->sat[i], perfect);
    watch(w);
    if (!perfect && dice(w, 20) == 0) {
        const uint32_t which = dice(w, 2);

        store_close(&w->store[which]);
        assert_rc(store_open(w->path, false, &w->store[which], &err), RC_OK);
    }
    assert_rc(view_load(w->store[by], &one, &err), RC_OK);
    assert_rc(view_load(w->store[1 - by], &two, &err), RC_OK);
    for (uint32_t n = perfect ? 0 : dice(w, 3); n > 0; n--)
        speak_at_random(w, dice(w, 2));
    reconcile(w, by, one);
    if (perfect || dice(w, 2))
        return;
    speak_at_random(w, by);
    reconcile(w, 1 - by, two);
}

/* ---- an end to it -----------------------------------------------------------------------------
 */

static bool has_ended(const struct world *w)
{
    for (uint32_t k = 0; k < w->n_rollouts; k++)
        if (!w->said[k].dead && !w->said[k].done)
            return false;
    return true;
}

/* An operator who does what there is to do: approve, go on without who failed, resume. */
static void tend(struct world *w, struct said *r)
{
    for (unsigned role = APPROVAL_OPERATOR; role <= APPROVAL_SAFETY; role++)
        if (w->approve && (r->approved & APPROVAL_BIT(role)) == 0 && !r->dead && !r->done)
            assert_true(speak(w, 0, r, APPROVE, 0, role));
    for (uint32_t i = 0; i < w->n && r->stopped; i++)
        if (w->sat[i].wave < newest(w, r) && outcome(w, r, i) == OUTCOME_FAILED &&
            !is_forced(w, r, i)) {
            assert_true(speak(w, 0, r, FORCE, i, APPROVAL_OPERATOR));
            if (w->approve)
                assert_true(speak(w, 1, r, FORCE, i, APPROVAL_SAFETY));
        }
    if (r->stopped && !r->dead)
        assert_true(speak(w, 0, r, RESUME, 0, 0));
}

static uint64_t run(uint64_t seed)
{
    struct world *w = begin(seed);

    for (uint32_t n = 0; n < TICKS; n++)
        tick(w, false);
    for (uint32_t n = 0; n < 80 && !has_ended(w); n++) {
        for (uint32_t k = 0; k < w->n_rollouts; k++)
            tend(w, &w->said[k]);
        tick(w, true);
    }
    if (!has_ended(w))
        fail_msg("seed %llu does not end", (unsigned long long)seed);
    const uint64_t trace = w->trace;

    end(w);
    return trace;
}

static void whatever_happens(void **state)
{
    const char *only = getenv("SEED");
    const uint64_t from = only ? strtoull(only, NULL, 10) : 0, n = only ? 1 : 60;

    (void)state;
    for (uint64_t seed = from; seed < from + n; seed++) {
        const uint64_t trace = run(seed);

        if (seed % 4 == 0)
            assert_int_equal(run(seed), trace); /* by nothing but the dice */
    }
    if (only)
        return;
    assert_true(tried.opened > 60 && tried.released > 100 && tried.paused > 20);
    assert_true(tried.completed > 30 && tried.aborted > 5 && tried.promoted > 5);
    assert_true(tried.forced > 20 && tried.again > 20 && tried.refused > 100 && tried.waited > 20);
}

/* ---- two processes ----------------------------------------------------------------------------
 */

/* An operator in another process, who pauses and resumes and in the end may abort. */
static void other_operator(struct world *w)
{
    struct store *store = NULL;
    int failures = 0;

    failures += store_open(w->path, false, &store, &err) != RC_OK;
    for (uint32_t n = 0; n < 60 && failures == 0; n++) {
        const enum rollout_event event = n == 59 && w->skip ? ROLLOUT_EV_ABORT
                                         : n % 2            ? ROLLOUT_EV_RESUME
                                                            : ROLLOUT_EV_PAUSE;
        scoped(store_rollback) struct store *open = NULL;
        enum rc rc = store_begin(store, &open, &err);

        if (rc == RC_OK)
            rc = advance_enter(store, 1, event, "other", w->now, &err);
        if (rc == RC_OK)
            rc = store_commit(&open, &err);
        failures += rc != RC_OK && rc != RC_ROLLOUT_STATE && rc != RC_BUSY;
    }
    store_close(&store);
    _exit(failures);
}

/* The chain is the order in which things were done: nothing opens while it says that the rollout is
 * paused or over, and nothing twice. */
static void check_log(struct world *w)
{
    scoped(free_ptr) struct store_audit *log = NULL;
    bool paused = false, over = false;
    uint32_t waves = 0;
    size_t n = 0;

    assert_rc(store_audit_list(w->store[0], 100000, &log, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        const char *action = log[i].entry.action;

        if (strcmp(action, "rollout-pause") == 0 || strcmp(action, "rollout-resume") == 0) {
            assert_false(over || paused == (strcmp(action, "rollout-pause") == 0));
            paused = !paused;
        } else if (strcmp(action, "rollout-abort") == 0) {
            assert_false(over);
            over = true;
        } else if (strcmp(action, "wave-open") == 0) {
            char what[32];

            (void)snprintf(what, sizeof what, "rollout 1 wave %u", ++waves);
            assert_string_equal(log[i].entry.what, what);
            assert_false(over || paused);
        } else if (strcmp(action, "rollout-complete") == 0) {
            assert_false(over || paused);
            over = true;
        }
    }
    assert_true(n > waves);
    tried.raced += waves;
}

/* The reconciler of this process beside it. */
static void race(uint64_t seed)
{
    struct world *w = begin(seed);
    int status = 0;
    bool there = true;

    store_close(&w->store[0]);
    store_close(&w->store[1]);
    const pid_t other = fork();

    assert_true(other >= 0);
    if (other == 0)
        other_operator(w);
    for (int i = 0; i < 2; i++)
        assert_rc(store_open(w->path, false, &w->store[i], &err), RC_OK);
    for (uint32_t n = 0; there || n < 20; n++) {
        const struct advance_log log = { .fn = hear, .arg = w };
        scoped(view_free) struct view *view = NULL;

        w->now += TICK;
        for (uint32_t i = 0; i < w->n; i++)
            if (is_queued(w, &w->sat[i]) && !w->sat[i].is.has) {
                w->sat[i].is = (struct told){ .epoch = 1, .seq = 1, .has = true };
                assert_rc(ingest(w, &w->sat[i], &w->sat[i].is), RC_OK);
            }
        assert_rc(view_load(w->store[0], &view, &err), RC_OK);
        const enum rc rc = advance_all(w->store[0], view, w->now, &log, &err);

        assert_true(rc == RC_OK || rc == RC_BUSY);
        if (there)
            there = waitpid(other, &status, WNOHANG) == 0;
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_log(w);
    end(w);
}

static void two_that_really_race(void **state)
{
    (void)state;
    for (uint64_t seed = 100, n = 0; n < 6; seed++) {
        struct world *w = begin(seed);
        const bool fits = w->approve == 0 && w->n_rollouts == 1 && w->n_waves > 1;

        end(w);
        if (!fits)
            continue;
        race(seed);
        n++;
    }
    assert_true(tried.raced > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_happens),
        cmocka_unit_test(two_that_really_race),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    doc_keys_free();
    return failed;
}
