/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of rollouts: a table of single decisions, a walk over every state and event, and random
 * histories of which every step must keep the rules.
 */
#include "tests/unit/test.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/rollout.h"

#define NOW 1000000ULL
#define TASKS 16U

/* Room for the tasks of rollouts that live at the same time, by turns. */
static struct rollout_task *some_tasks(void)
{
    static struct rollout_task room[4][TASKS];
    static unsigned turn;
    struct rollout_task *ret = room[turn++ % 4];

    memset(ret, 0, sizeof room[0]);
    return ret;
}

/* Three satellites: one canary, then two. */
static struct rollout three(enum wave_state first, enum wave_state second)
{
    struct rollout r = {
        .approved = true,
        .state = ROLLOUT_RUNNING,
        .fail_max = 1,
        .n_waves = 2,
        .n_tasks = 3,
        .task = some_tasks(),
    };

    r.wave[0].state = first;
    r.wave[1].state = second;
    for (uint32_t i = 0; i < 3; i++) {
        (void)snprintf(r.task[i].satellite, sizeof r.task[i].satellite, "sat-%u", i + 1);
        r.task[i].wave = i > 0;
    }
    return r;
}

struct decision {
    const char *why;
    enum rollout_state state;
    enum wave_state wave[2];
    uint32_t fail_max;
    uint64_t soak_ms;
    uint64_t healthy_ms[2];
    enum outcome seen[3];
    enum rollout_verb verb;
    uint32_t of_wave;
};

#define W OUTCOME_WAITING
#define H OUTCOME_HEALTHY
#define F OUTCOME_FAILED
#define RUN ROLLOUT_RUNNING

/* clang-format off */
static const struct decision decisions[] = {
    { "the first wave opens at once", RUN, { WAVE_WAITING, WAVE_WAITING }, 1, 0, { 0, 0 }, { W, W, W }, ROLLOUT_DO_RELEASE, 0 },
    { "a silent canary is waited for", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 0, { 0, 0 }, { W, W, W }, ROLLOUT_DO_NOTHING, 0 },
    { "what is not released does not count", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 0, { 0, 0 }, { W, H, F }, ROLLOUT_DO_NOTHING, 0 },
    { "a healthy canary settles", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 0, { 0, 0 }, { H, W, W }, ROLLOUT_DO_SETTLE, 0 },
    { "and passes without soak", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 0, { NOW, 0 }, { H, W, W }, ROLLOUT_DO_PASS, 0 },
    { "soaks", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 500, { NOW - 499, 0 }, { H, W, W }, ROLLOUT_DO_NOTHING, 0 },
    { "has soaked", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 500, { NOW - 500, 0 }, { H, W, W }, ROLLOUT_DO_PASS, 0 },
    { "the clock went back: soak again", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 500, { NOW + 1, 0 }, { H, W, W }, ROLLOUT_DO_SETTLE, 0 },
    { "no longer healthy: soak is lost", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 500, { NOW - 400, 0 }, { W, W, W }, ROLLOUT_DO_UNSETTLE, 0 },
    { "done opens the next", RUN, { WAVE_DONE, WAVE_WAITING }, 1, 0, { NOW, 0 }, { H, W, W }, ROLLOUT_DO_RELEASE, 1 },
    { "done, then unhealthy, opens nothing", RUN, { WAVE_DONE, WAVE_WAITING }, 1, 0, { NOW, 0 }, { W, W, W }, ROLLOUT_DO_NOTHING, 0 },
    { "a failed canary pauses", RUN, { WAVE_ACTIVE, WAVE_WAITING }, 1, 0, { 0, 0 }, { F, W, W }, ROLLOUT_DO_PAUSE, 0 },
    { "a canary that fails late pauses", RUN, { WAVE_DONE, WAVE_ACTIVE }, 1, 0, { NOW, 0 }, { F, W, H }, ROLLOUT_DO_PAUSE, 1 },
    { "one of two below the limit", RUN, { WAVE_DONE, WAVE_ACTIVE }, 2, 0, { NOW, 0 }, { H, F, W }, ROLLOUT_DO_NOTHING, 0 },
    { "below the limit, but all decided", RUN, { WAVE_DONE, WAVE_ACTIVE }, 3, 0, { NOW, 0 }, { H, F, H }, ROLLOUT_DO_PAUSE, 1 },
    { "both fail", RUN, { WAVE_DONE, WAVE_ACTIVE }, 2, 0, { NOW, 0 }, { H, F, F }, ROLLOUT_DO_PAUSE, 1 },
    { "the last wave passes", RUN, { WAVE_DONE, WAVE_ACTIVE }, 1, 0, { NOW, NOW }, { H, H, H }, ROLLOUT_DO_PASS, 1 },
    { "the end", RUN, { WAVE_DONE, WAVE_DONE }, 1, 0, { NOW, NOW }, { H, H, H }, ROLLOUT_DO_COMPLETE, 2 },
    { "one of the last is silent", RUN, { WAVE_DONE, WAVE_ACTIVE }, 1, 0, { NOW, 0 }, { H, H, W }, ROLLOUT_DO_NOTHING, 0 },
    { "paused opens nothing", ROLLOUT_PAUSED, { WAVE_DONE, WAVE_WAITING }, 1, 0, { NOW, 0 }, { H, H, H }, ROLLOUT_DO_NOTHING, 0 },
    { "paused before the first wave", ROLLOUT_PAUSED, { WAVE_WAITING, WAVE_WAITING }, 1, 0, { 0, 0 }, { H, H, H }, ROLLOUT_DO_NOTHING, 0 },
    { "aborted opens nothing", ROLLOUT_ABORTED, { WAVE_DONE, WAVE_WAITING }, 1, 0, { NOW, 0 }, { H, H, H }, ROLLOUT_DO_NOTHING, 0 },
    { "completed stays", ROLLOUT_COMPLETED, { WAVE_DONE, WAVE_DONE }, 1, 0, { NOW, NOW }, { F, F, F }, ROLLOUT_DO_NOTHING, 0 },
    { "no state opens nothing", 0, { WAVE_WAITING, WAVE_WAITING }, 1, 0, { 0, 0 }, { H, H, H }, ROLLOUT_DO_NOTHING, 0 },
};
/* clang-format on */

static void decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof decisions / sizeof decisions[0]; i++) {
        const struct decision *d = &decisions[i];
        struct rollout r = three(d->wave[0], d->wave[1]);
        struct rollout_seen seen[3] = { 0 };

        r.state = d->state;
        r.fail_max = d->fail_max;
        r.soak_ms = d->soak_ms;
        r.wave[0].healthy_ms = d->healthy_ms[0];
        r.wave[1].healthy_ms = d->healthy_ms[1];
        for (size_t k = 0; k < 3; k++)
            seen[k].outcome = d->seen[k];

        struct rollout_action got = rollout_next(&r, seen, NOW);

        if (got.verb != d->verb || (got.verb != ROLLOUT_DO_NOTHING && got.wave != d->of_wave))
            fail_msg("%s: verb %d wave %u", d->why, got.verb, got.wave);
    }
}

/* Three orbits: a wave has soaked when the slowest of its satellites has gone around so often, and
 * those of other waves do not count. */
static void soaks_in_orbits(void **state)
{
    static const struct {
        const char *why;
        uint32_t orbits;
        uint64_t period[3];
        enum wave_state wave[2];
        uint64_t since; /* the newest wave is healthy */
        enum rollout_verb verb;
    } rows[] = {
        { "not around three times yet",
          3,
          { 100, 900, 900 },
          { WAVE_ACTIVE, WAVE_WAITING },
          299,
          ROLLOUT_DO_NOTHING },
        { "around three times",
          3,
          { 100, 900, 900 },
          { WAVE_ACTIVE, WAVE_WAITING },
          300,
          ROLLOUT_DO_PASS },
        { "one orbit", 1, { 100, 900, 900 }, { WAVE_ACTIVE, WAVE_WAITING }, 100, ROLLOUT_DO_PASS },
        { "the slower of two is not",
          3,
          { 900, 100, 101 },
          { WAVE_DONE, WAVE_ACTIVE },
          302,
          ROLLOUT_DO_NOTHING },
        { "the slower of two is",
          3,
          { 900, 100, 101 },
          { WAVE_DONE, WAVE_ACTIVE },
          303,
          ROLLOUT_DO_PASS },
        { "whichever is slower",
          3,
          { 900, 101, 100 },
          { WAVE_DONE, WAVE_ACTIVE },
          302,
          ROLLOUT_DO_NOTHING },
        { "none are asked for",
          0,
          { 100, 100, 100 },
          { WAVE_ACTIVE, WAVE_WAITING },
          0,
          ROLLOUT_DO_PASS },
    };
    const struct rollout_seen seen[3] = { { .outcome = H }, { .outcome = H }, { .outcome = H } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rollout r = three(rows[i].wave[0], rows[i].wave[1]);

        r.soak_orbits = rows[i].orbits;
        for (uint32_t k = 0; k < 3; k++)
            r.task[k].period_ms = rows[i].period[k];
        r.wave[0].healthy_ms = r.wave[1].healthy_ms = NOW - rows[i].since;
        assert_rc(rollout_check(&r, NULL), RC_OK);
        if (rollout_next(&r, seen, NOW).verb != rows[i].verb)
            fail_msg("%s", rows[i].why);
    }
}

/* Excused or not, it is still up there: a wave of which a person has said that it goes on without
 * one soaks as long as before. */
static void an_excuse_does_not_shorten_a_soak(void **state)
{
    struct rollout r = three(WAVE_DONE, WAVE_ACTIVE);

    (void)state;
    r.soak_orbits = ROLLOUT_SOAK_ORBITS_MAX;
    for (uint32_t i = 0; i < 3; i++)
        r.task[i].period_ms = ROLLOUT_PERIOD_MAX_MS - i;
    assert_int_equal(rollout_soak_ms(&r, 1), ROLLOUT_SOAK_ORBITS_MAX * (ROLLOUT_PERIOD_MAX_MS - 1));
    r.task[1].excused = true;
    assert_int_equal(rollout_soak_ms(&r, 1), ROLLOUT_SOAK_ORBITS_MAX * (ROLLOUT_PERIOD_MAX_MS - 1));
}

static void pause_says_why(void **state)
{
    struct rollout r = three(WAVE_ACTIVE, WAVE_WAITING);
    struct rollout_seen seen[3] = {
        { .outcome = F, .code = RC_HEALTH_TIMEOUT, .what = "acme/beacon" }
    };
    struct rollout_action action = rollout_next(&r, seen, NOW);

    (void)state;
    rollout_took(&r, &action, NOW);
    assert_int_equal(r.state, ROLLOUT_PAUSED);
    assert_int_equal(r.wave[0].state, WAVE_FAILED);
    assert_string_equal(r.reason, "sat-1: acme/beacon HEALTH_TIMEOUT");

    /* Resumed while it is still so: it pauses again, and opens nothing in between. */
    assert_rc(rollout_enter(&r, ROLLOUT_EV_RESUME, NULL, NULL), RC_OK);
    assert_int_equal(r.wave[0].state, WAVE_ACTIVE);
    assert_string_equal(r.reason, "");
    action = rollout_next(&r, seen, NOW);
    assert_int_equal(action.verb, ROLLOUT_DO_PAUSE);
}

struct budget {
    const char *why;
    struct rollout policy;
    /* Waves, of which all are open.  H, F, W as above; X: failed and excused; S: waits and missed 4
     * passes, s, f: so, and was healthy, failed; t: waits, no passes known.  The last three, and
     * S, were not heard of for 5 s. */
    const char *seen;
    enum rollout_verb verb;
    const char *reason;
};

/* clang-format off */
#define POLICY(...) { .fail_max = 100, __VA_ARGS__ }
static const struct budget budgets[] = {
    { "one of ten decided is a tenth", POLICY(.fail_pct = 10, .fail_min = 1), "HHHHHHHHHFW", ROLLOUT_DO_PAUSE, "sat-10: acme/cam OOM" },
    { "one of eleven is less", POLICY(.fail_pct = 10, .fail_min = 1), "HHHHHHHHHHFW", ROLLOUT_DO_NOTHING, "" },
    { "who waits does not make the share smaller", POLICY(.fail_pct = 50, .fail_min = 1), "FHWWWWWW", ROLLOUT_DO_PAUSE, "sat-1: acme/cam OOM" },
    { "too few to speak of a share", POLICY(.fail_pct = 50, .fail_min = 2), "FHWWWWWW", ROLLOUT_DO_NOTHING, "" },
    { "and enough", POLICY(.fail_pct = 50, .fail_min = 2), "FFHWWWWW", ROLLOUT_DO_PAUSE, "2 satellites failed, first sat-1: OOM" },
    { "every open wave counts", POLICY(.fail_pct = 50, .fail_min = 2), "F|FHW", ROLLOUT_DO_PAUSE, "2 satellites failed, first sat-1: OOM" },
    { "both budgets hold", { .fail_max = 2, .fail_pct = 90, .fail_min = 3 }, "FFHHHHW", ROLLOUT_DO_PAUSE, "2 satellites failed, first sat-1: OOM" },
    { "enough are healthy", POLICY(.success_pct = 90), "HHHHHHHHHF", ROLLOUT_DO_SETTLE, "" },
    { "one too few", POLICY(.success_pct = 91), "HHHHHHHHHF", ROLLOUT_DO_PAUSE, "sat-10: acme/cam OOM" },
    { "enough of those that decided, but one waits", POLICY(.success_pct = 90), "HHHHHHHHHFW", ROLLOUT_DO_NOTHING, "" },
    { "each wave for itself", POLICY(.success_pct = 60), "F|HHHH", ROLLOUT_DO_PAUSE, "sat-1: acme/cam OOM" },
    { "nobody is never enough", POLICY(.success_pct = 1), "F", ROLLOUT_DO_PAUSE, "sat-1: acme/cam OOM" },
    { "a silent one is waited for", POLICY(.fail_pct = 0), "HS", ROLLOUT_DO_NOTHING, "" },
    { "unless passes say how long", POLICY(.silent_passes = 3), "HS", ROLLOUT_DO_PAUSE, "sat-2 is silent: 4 passes missed" },
    { "that many may be missed", POLICY(.silent_passes = 4), "HS", ROLLOUT_DO_NOTHING, "" },
    { "its last word was good", POLICY(.silent_passes = 3, .silent_skip = true), "Hs", ROLLOUT_DO_SETTLE, "" },
    { "go on without it", POLICY(.silent_passes = 3, .silent_skip = true), "HS", ROLLOUT_DO_SETTLE, "" },
    { "but not with nobody", POLICY(.silent_passes = 3, .silent_skip = true), "H|SS", ROLLOUT_DO_PAUSE, "wave 2: all are silent" },
    { "nor on an old word", POLICY(.silent_passes = 3, .silent_skip = true), "H|ss", ROLLOUT_DO_PAUSE, "wave 2: all are silent" },
    { "a failure is no silence", POLICY(.silent_passes = 3, .silent_skip = true), "HFf", ROLLOUT_DO_PAUSE, "2 satellites failed, first sat-2: OOM" },
    { "no passes known: by the clock", POLICY(.silent_passes = 3, .silent_ms = 4000), "Ht", ROLLOUT_DO_PAUSE, "sat-2 is silent for 5 s" },
    { "and not by passes", POLICY(.silent_passes = 3), "Ht", ROLLOUT_DO_NOTHING, "" },
    { "passes known, but only a time said", POLICY(.silent_ms = 4000), "HS", ROLLOUT_DO_PAUSE, "sat-2 is silent for 5 s" },
    { "the deadline", POLICY(.deadline_ms = NOW), "HW", ROLLOUT_DO_PAUSE, "its deadline has passed" },
    { "before it", POLICY(.deadline_ms = NOW + 1), "HW", ROLLOUT_DO_NOTHING, "" },
    { "an excused failure", POLICY(.success_pct = 0), "HX", ROLLOUT_DO_SETTLE, "" },
    { "excused as a whole", POLICY(.success_pct = 0), "H|X", ROLLOUT_DO_SETTLE, "" },
    { "another's failure counts", POLICY(.success_pct = 0), "HXF", ROLLOUT_DO_PAUSE, "sat-3: acme/cam OOM" },
};
/* clang-format on */

static struct rollout_seen seen_as(char c)
{
    struct rollout_seen seen = { .code = RC_OOM, .what = "acme/cam" };
    bool silent = c == 'S' || c == 's' || c == 'f';

    seen.outcome = c == 'H' || c == 's'               ? OUTCOME_HEALTHY
                   : c == 'F' || c == 'f' || c == 'X' ? OUTCOME_FAILED
                                                      : OUTCOME_WAITING;
    seen.predicted = c != 't';
    seen.missed = silent ? 4 : 0;
    seen.age_ms = silent || c == 't' ? 5000 : 0;
    return seen;
}

static struct rollout of_budget(const struct budget *b, struct rollout_seen *seen)
{
    struct rollout r = b->policy;

    r.task = some_tasks();
    r.approved = true;
    r.state = ROLLOUT_RUNNING;
    r.n_waves = 1;
    for (const char *c = b->seen; *c; c++) {
        if (*c == '|') {
            r.n_waves++;
            continue;
        }
        struct rollout_task *task = &r.task[r.n_tasks];

        seen[r.n_tasks] = seen_as(*c);
        *task = (struct rollout_task){ .wave = r.n_waves - 1, .excused = *c == 'X' };
        (void)snprintf(task->satellite, sizeof task->satellite, "sat-%u", ++r.n_tasks);
    }
    for (uint32_t w = 0; w < r.n_waves; w++)
        r.wave[w].state = w + 1 < r.n_waves ? WAVE_DONE : WAVE_ACTIVE;
    return r;
}

static void budgets_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++) {
        struct rollout_seen seen[16] = { 0 };
        struct rollout r = of_budget(&budgets[i], seen);

        assert_rc(rollout_check(&r, NULL), RC_OK);
        struct rollout_action got = rollout_next(&r, seen, NOW);

        if (got.verb != budgets[i].verb || strcmp(got.reason, budgets[i].reason) != 0)
            fail_msg("%s: verb %d, %s", budgets[i].why, got.verb, got.reason);
    }
}

/* It pauses once: who resumes knows that it is late. */
static void a_deadline_serves_once(void **state)
{
    struct rollout r = three(WAVE_WAITING, WAVE_WAITING);
    struct rollout_seen seen[3] = { { .outcome = H }, { .outcome = H }, { .outcome = H } };
    struct rollout_action action;

    (void)state;
    r.deadline_ms = NOW;
    action = rollout_next(&r, seen, NOW);
    assert_int_equal(action.verb, ROLLOUT_DO_PAUSE);
    rollout_took(&r, &action, NOW);
    assert_int_equal(r.wave[0].state, WAVE_WAITING); /* it opened nothing */
    assert_int_equal(r.deadline_ms, 0);
    assert_rc(rollout_enter(&r, ROLLOUT_EV_RESUME, NULL, NULL), RC_OK);
    action = rollout_next(&r, seen, NOW);
    assert_int_equal(action.verb, ROLLOUT_DO_RELEASE);

    r = three(WAVE_DONE, WAVE_DONE); /* nothing is left to be late with */
    r.deadline_ms = NOW;
    assert_int_equal(rollout_next(&r, seen, NOW).verb, ROLLOUT_DO_COMPLETE);
    r.wave[1].state = WAVE_ACTIVE;
    action = rollout_next(&r, seen, NOW);
    assert_int_equal(action.verb, ROLLOUT_DO_PAUSE);
    rollout_took(&r, &action, NOW);
    assert_int_equal(r.wave[1].state, WAVE_FAILED);
}

struct promotion {
    const char *why;
    enum rollout_state state;
    enum wave_state wave[2];
    enum outcome seen[3];
    uint32_t asked;
    uint32_t promoted; /* from 1; 0 = refused */
};

/* clang-format off */
static const struct promotion promotions[] = {
    { "a healthy canary need not soak", RUN, { WAVE_ACTIVE, WAVE_WAITING }, { H, W, W }, 0, 1 },
    { "the wave that is meant", RUN, { WAVE_ACTIVE, WAVE_WAITING }, { H, W, W }, 1, 1 },
    { "the last wave", RUN, { WAVE_DONE, WAVE_ACTIVE }, { H, H, H }, 2, 2 },
    { "somebody else was faster", RUN, { WAVE_DONE, WAVE_ACTIVE }, { H, H, H }, 1, 0 },
    { "a wave that is not open", RUN, { WAVE_ACTIVE, WAVE_WAITING }, { H, H, H }, 2, 0 },
    { "no such wave", RUN, { WAVE_DONE, WAVE_ACTIVE }, { H, H, H }, 3, 0 },
    { "no wave is open", RUN, { WAVE_WAITING, WAVE_WAITING }, { H, H, H }, 0, 0 },
    { "done already", RUN, { WAVE_DONE, WAVE_WAITING }, { H, W, W }, 0, 0 },
    { "all done", RUN, { WAVE_DONE, WAVE_DONE }, { H, H, H }, 0, 0 },
    { "a silent canary is not healthy", RUN, { WAVE_ACTIVE, WAVE_WAITING }, { W, H, H }, 0, 0 },
    { "a failed canary", RUN, { WAVE_ACTIVE, WAVE_WAITING }, { F, W, W }, 0, 0 },
    { "one of the wave is silent", RUN, { WAVE_DONE, WAVE_ACTIVE }, { H, H, W }, 0, 0 },
    { "one of the wave failed", RUN, { WAVE_DONE, WAVE_ACTIVE }, { H, F, H }, 0, 0 },
    { "a canary failed late", RUN, { WAVE_DONE, WAVE_ACTIVE }, { F, H, H }, 0, 0 },
    { "a canary fell silent", RUN, { WAVE_DONE, WAVE_ACTIVE }, { W, H, H }, 0, 0 },
    { "paused", ROLLOUT_PAUSED, { WAVE_ACTIVE, WAVE_WAITING }, { H, W, W }, 0, 0 },
    { "paused for a failure", ROLLOUT_PAUSED, { WAVE_FAILED, WAVE_WAITING }, { H, W, W }, 0, 0 },
    { "aborted", ROLLOUT_ABORTED, { WAVE_ACTIVE, WAVE_WAITING }, { H, W, W }, 0, 0 },
    { "completed", ROLLOUT_COMPLETED, { WAVE_DONE, WAVE_DONE }, { H, H, H }, 0, 0 },
    { "no state", 0, { WAVE_ACTIVE, WAVE_WAITING }, { H, H, H }, 0, 0 },
};
/* clang-format on */

static void promotes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof promotions / sizeof promotions[0]; i++) {
        const struct promotion *p = &promotions[i];
        struct rollout r = three(p->wave[0], p->wave[1]);
        struct rollout_seen seen[3] = { 0 };
        struct rollout before;

        r.state = p->state;
        r.fail_max = 3; /* promotion allows none, whatever the limit */
        r.soak_ms = 1000;
        for (size_t k = 0; k < 3; k++)
            seen[k].outcome = p->seen[k];
        before = r;
        enum rc rc = rollout_promote(&r, seen, p->asked, NULL);

        if (rc != (p->promoted ? RC_OK : RC_ROLLOUT_STATE))
            fail_msg("%s: %s", p->why, rc_name(rc));
        if (p->promoted)
            before.wave[p->promoted - 1].state = WAVE_DONE; /* and no more than that */
        if (memcmp(&r, &before, sizeof r) != 0)
            fail_msg("%s: changed something else", p->why);
        if (p->promoted) /* a second time it is refused */
            assert_rc(rollout_promote(&r, seen, p->asked, NULL), RC_ROLLOUT_STATE);
    }
}

static void every_state_and_event(void **state)
{
    static const int to[ROLLOUT_STATES][ROLLOUT_EVENTS] = {
        [ROLLOUT_RUNNING] = { [ROLLOUT_EV_PAUSE] = ROLLOUT_PAUSED,
                              [ROLLOUT_EV_ABORT] = ROLLOUT_ABORTED,
                              [ROLLOUT_EV_COMPLETE] = ROLLOUT_COMPLETED,
                              [ROLLOUT_EV_AWAIT] = ROLLOUT_AWAITING },
        [ROLLOUT_AWAITING] = { [ROLLOUT_EV_PAUSE] = ROLLOUT_PAUSED,
                               [ROLLOUT_EV_ABORT] = ROLLOUT_ABORTED,
                               [ROLLOUT_EV_START] = ROLLOUT_RUNNING },
        [ROLLOUT_PAUSED] = { [ROLLOUT_EV_RESUME] = ROLLOUT_RUNNING,
                             [ROLLOUT_EV_ABORT] = ROLLOUT_ABORTED },
    };

    (void)state;
    for (int s = 0; s < ROLLOUT_STATES; s++)
        for (int e = 0; e < ROLLOUT_EVENTS; e++) {
            struct rollout r = three(WAVE_ACTIVE, WAVE_WAITING);

            r.state = (enum rollout_state)s;
            assert_rc(rollout_enter(&r, (enum rollout_event)e, "said so", NULL),
                      to[s][e] ? RC_OK : RC_ROLLOUT_STATE);
            assert_int_equal(r.state, to[s][e] ? to[s][e] : s);
            assert_string_equal(r.reason, to[s][e] ? "said so" : "");
        }
}

static void refuses_what_cannot_be(void **state)
{
    struct rollout good = three(WAVE_DONE, WAVE_ACTIVE);
    struct rollout r;
    struct err err;

    (void)state;
    assert_rc(rollout_check(&good, &err), RC_OK);
    r = good, r.state = 0;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.fail_max = 0;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.fail_pct = 101, r.fail_min = 1;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.fail_pct = 10;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.success_pct = 101;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.n_waves = 0;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.n_waves = ROLLOUT_WAVES_MAX + 1;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.n_tasks = ROLLOUT_TASKS_MAX + 1;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.task[0].wave = 2;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.task[0].wave = 1; /* wave 1 is empty */
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r.task[0].wave = 0;
    r = good, r.wave[0].state = WAVE_WAITING;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.wave[1].state = 0;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r = good, r.soak_orbits = 1; /* of what length? */
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    for (uint32_t i = 0; i < r.n_tasks; i++)
        r.task[i].period_ms = ROLLOUT_PERIOD_MAX_MS;
    assert_rc(rollout_check(&r, &err), RC_OK);
    r.soak_ms = 1;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r.soak_ms = 0, r.soak_orbits = ROLLOUT_SOAK_ORBITS_MAX + 1;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
    r.soak_orbits = 1, r.task[0].period_ms++;
    assert_rc(rollout_check(&r, &err), RC_ROLLOUT_STATE);
}

/* ---- random histories -------------------------------------------------------------------------
 */

static uint64_t dice_state;

static uint32_t dice(uint32_t sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (uint32_t)(dice_state >> 33) % sides;
}

static struct rollout random_rollout(void)
{
    struct rollout r = { .approved = true, .state = ROLLOUT_RUNNING, .task = some_tasks() };

    r.fail_max = 1 + dice(3);
    if (dice(2))
        r.soak_ms = dice(3) * 10;
    else
        r.soak_orbits = dice(3);
    if (dice(2)) {
        r.fail_pct = 1 + dice(100);
        r.fail_min = 1 + dice(3);
    }
    r.success_pct = dice(2) ? dice(101) : 0;
    r.silent_passes = dice(2) ? 1 + dice(4) : 0;
    r.silent_ms = dice(2) ? 1 + dice(100) : 0;
    r.silent_skip = dice(2);
    r.deadline_ms = dice(4) ? 0 : NOW + dice(1500);
    r.n_waves = 1 + dice(4);
    r.n_tasks = r.n_waves + dice(6);
    for (uint32_t i = 0; i < r.n_waves; i++)
        r.wave[i].state = WAVE_WAITING;
    for (uint32_t i = 0; i < r.n_tasks; i++)
        r.task[i] = (struct rollout_task){ .wave = i < r.n_waves ? i : dice(r.n_waves),
                                           .excused = dice(20) == 0,
                                           .period_ms = 1 + dice(30) };
    return r;
}

/* ---- what a wave must be for the next to open, told once more, the long way -------------------
 */

static bool spoke_lately(const struct rollout *r, const struct rollout_seen *s)
{
    bool by_passes = s->predicted && r->silent_passes != 0;

    if (s->outcome == OUTCOME_FAILED)
        return true;
    if (by_passes)
        return s->missed <= r->silent_passes;
    return r->silent_ms == 0 || s->age_ms <= r->silent_ms;
}

/* Why wave w does not hold; NULL = it does. */
static const char *amiss(const struct rollout *r, const struct rollout_seen *seen, uint32_t w)
{
    uint32_t good = 0, bad = 0, members = 0;

    for (uint32_t i = 0; i < r->n_tasks; i++) {
        if (r->task[i].wave != w || r->task[i].excused)
            continue;
        bool lately = spoke_lately(r, &seen[i]);

        members++;
        if (!lately && !r->silent_skip)
            return "silent";
        if (lately && seen[i].outcome == OUTCOME_WAITING)
            return "waits";
        good += lately && seen[i].outcome == OUTCOME_HEALTHY;
        bad += seen[i].outcome == OUTCOME_FAILED;
    }
    if (members > 0 && good == 0)
        return "nobody";
    if (bad > 0 && (r->success_pct == 0 || good * 100 < r->success_pct * (good + bad)))
        return "too few";
    return NULL;
}

static bool all_hold_before(const struct rollout *r, const struct rollout_seen *seen, uint32_t wave)
{
    for (uint32_t w = 0; w < wave; w++)
        if (amiss(r, seen, w))
            return false;
    return true;
}

static bool all_healthy_before(const struct rollout *r, const struct rollout_seen *seen,
                               uint32_t wave)
{
    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave < wave && !r->task[i].excused && seen[i].outcome != OUTCOME_HEALTHY)
            return false;
    return true;
}

static uint32_t n_promoted;
static uint32_t n_actions[ROLLOUT_DO_START + 1];

static uint32_t count_open(const struct rollout *r, const struct rollout_seen *seen,
                           enum outcome outcome)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->n_tasks; i++)
        n += r->wave[r->task[i].wave].state != WAVE_WAITING && !r->task[i].excused &&
             seen[i].outcome == outcome;
    return n;
}

static uint32_t failures(const struct rollout *r, const struct rollout_seen *seen)
{
    return count_open(r, seen, OUTCOME_FAILED);
}

/* Of the share nothing is said where silence makes some of the healthy not count. */
static bool spent(const struct rollout *r, const struct rollout_seen *seen)
{
    uint32_t bad = failures(r, seen);
    uint32_t all = bad + count_open(r, seen, OUTCOME_HEALTHY);

    return bad >= r->fail_max ||
           (r->fail_pct > 0 && bad >= r->fail_min && bad * 100 >= r->fail_pct * all);
}

static bool anybody_silent(const struct rollout *r, const struct rollout_seen *seen)
{
    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->wave[r->task[i].wave].state != WAVE_WAITING && !r->task[i].excused &&
            !spoke_lately(r, &seen[i]))
            return true;
    return false;
}

/* Time enough has passed since the wave was healthy, for each of its satellites. */
static bool has_soaked(const struct rollout *r, uint32_t wave, uint64_t now)
{
    const uint64_t since = r->wave[wave].healthy_ms;
    bool good = since != 0 && now >= since + r->soak_ms;

    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave == wave)
            good = good && (now - since) / r->task[i].period_ms >= r->soak_orbits;
    return good;
}

static void keep_rules(const struct rollout *before, const struct rollout_seen *seen, uint64_t now,
                       const struct rollout_action *action)
{
    bool late = before->deadline_ms != 0 && now >= before->deadline_ms;
    bool running = before->state == ROLLOUT_RUNNING;

    n_actions[action->verb]++;
    if (action->verb != ROLLOUT_DO_NOTHING)
        assert_int_equal(before->state, ROLLOUT_RUNNING);
    if (action->verb == ROLLOUT_DO_RELEASE) {
        assert_int_equal(before->wave[action->wave].state, WAVE_WAITING); /* opens once */
        assert_true(all_hold_before(before, seen, action->wave));
        assert_int_equal(action->wave, rollout_wave_now(before)); /* none is left out */
        assert_false(late);
    }
    if (action->verb == ROLLOUT_DO_COMPLETE)
        assert_true(all_hold_before(before, seen, before->n_waves));
    if (action->verb == ROLLOUT_DO_PASS)
        assert_true(has_soaked(before, action->wave, now));
    if (action->verb == ROLLOUT_DO_PAUSE) /* never for no reason */
        assert_true(failures(before, seen) > 0 || late || anybody_silent(before, seen));
    if (running && spent(before, seen))
        assert_int_equal(action->verb, ROLLOUT_DO_PAUSE);
    if (running && !before->silent_skip && anybody_silent(before, seen))
        assert_int_equal(action->verb, ROLLOUT_DO_PAUSE);
    if (running && late && action->verb != ROLLOUT_DO_COMPLETE)
        assert_int_equal(action->verb, ROLLOUT_DO_PAUSE);
}

/* Up to two people promote in the same moment, each what the last look showed. */
static void race_to_promote(struct rollout *r, const struct rollout_seen *seen, uint32_t looked)
{
    uint32_t people = dice(3);
    uint32_t promoted = 0;

    for (uint32_t i = 0; i < people; i++) {
        struct rollout before = *r;
        uint32_t open = rollout_wave_now(r);

        if (rollout_promote(r, seen, dice(2) ? looked : 0, NULL) != RC_OK) {
            assert_memory_equal(r, &before, sizeof before);
            continue;
        }
        promoted++;
        assert_int_equal(before.state, ROLLOUT_RUNNING);
        assert_int_equal(before.wave[open - 1].state, WAVE_ACTIVE);
        assert_true(all_healthy_before(&before, seen, open));
        assert_int_equal(failures(&before, seen), 0);
        assert_int_equal(rollout_wave_now(r), open); /* opens nothing by itself */
    }
    assert_true(promoted <= 1);
    n_promoted += promoted;
}

static void one_history(void)
{
    struct rollout r = random_rollout();
    struct rollout_seen seen[16] = { 0 };
    uint64_t now = NOW;
    uint32_t looked = 0;

    assert_rc(rollout_check(&r, NULL), RC_OK);
    for (int step = 0; step < 120; step++) {
        uint32_t who = dice(r.n_tasks);
        uint32_t what = dice(40);

        seen[who].outcome = what == 0  ? OUTCOME_FAILED
                            : what < 8 ? OUTCOME_WAITING
                                       : OUTCOME_HEALTHY;
        seen[who].predicted = dice(4) > 0;
        seen[who].missed = dice(10) ? 0 : dice(8);
        seen[who].age_ms = dice(10) ? 0 : dice(200);
        if (dice(50) == 0)
            (void)!rollout_enter(&r, (enum rollout_event)dice(ROLLOUT_EV_ABORT), "dice", NULL);
        now += dice(20);
        race_to_promote(&r, seen, looked);
        assert_rc(rollout_check(&r, NULL), RC_OK);
        looked = rollout_wave_now(&r);

        struct rollout before = r;
        struct rollout_action action = rollout_next(&r, seen, now);

        keep_rules(&before, seen, now, &action);
        rollout_took(&r, &action, now);
        assert_rc(rollout_check(&r, NULL), RC_OK);
    }
}

static void histories_keep_the_rules(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        dice_state = seed * 0x9e3779b97f4a7c15ULL;
        one_history();
    }
    assert_true(n_promoted > 1000); /* the dice did try it */
    assert_true(n_actions[ROLLOUT_DO_PAUSE] > 1000);
    assert_true(n_actions[ROLLOUT_DO_RELEASE] > 1000);
    assert_true(n_actions[ROLLOUT_DO_PASS] > 300);
    assert_true(n_actions[ROLLOUT_DO_COMPLETE] > 100);
}

static void all_healthy_always_ends(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        dice_state = seed * 0x9e3779b97f4a7c15ULL;
        struct rollout r = random_rollout();
        struct rollout_seen seen[16] = { 0 };

        r.deadline_ms = 0;
        for (uint32_t i = 0; i < r.n_tasks; i++)
            seen[i].outcome = OUTCOME_HEALTHY;
        for (uint64_t step = 0; step < 100 && r.state == ROLLOUT_RUNNING; step++) {
            struct rollout_action action = rollout_next(&r, seen, NOW + step * 10);

            rollout_took(&r, &action, NOW + step * 10);
        }
        assert_int_equal(r.state, ROLLOUT_COMPLETED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decides),
        cmocka_unit_test(soaks_in_orbits),
        cmocka_unit_test(an_excuse_does_not_shorten_a_soak),
        cmocka_unit_test(pause_says_why),
        cmocka_unit_test(budgets_hold),
        cmocka_unit_test(a_deadline_serves_once),
        cmocka_unit_test(promotes),
        cmocka_unit_test(every_state_and_event),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(histories_keep_the_rules),
        cmocka_unit_test(all_healthy_always_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
