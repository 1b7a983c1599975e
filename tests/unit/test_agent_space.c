/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/space.h"

#define HISTORIES 4000U

/* What there is, and what is known of it. */
struct world {
    struct table table;
    struct order order, staged;
    struct space_thing thing[SPACE_THINGS_MAX];
    uint32_t n;
};

static struct digest version(uint32_t number)
{
    struct digest d = { 0 };

    if (number > 0) {
        memcpy(d.b, &number, sizeof number);
        d.b[DIGEST_SIZE - 1] = 1;
    }
    return d;
}

static struct space_thing *add(struct world *w, const char *tenant, const char *name,
                               uint32_t number, bool package)
{
    struct space_thing *t = &w->thing[w->n++];

    *t = (struct space_thing){ .package = package, .release = number, .bytes = 100, .files = 10 };
    (void)snprintf(t->id.tenant, sizeof t->id.tenant, "%s", tenant);
    (void)snprintf(t->id.payload, sizeof t->id.payload, "%s", name);
    t->id.manifest = version(number);
    return t;
}

static struct unit *add_unit(struct world *w, const char *tenant, const char *name)
{
    struct unit *u = &w->table.unit[w->table.n_units++];

    (void)snprintf(u->kept.tenant, sizeof u->kept.tenant, "%s", tenant);
    (void)snprintf(u->kept.name, sizeof u->kept.name, "%s", name);
    return u;
}

static void add_line(struct order *o, const char *tenant, const char *name, uint32_t number)
{
    struct order_line *line = &o->line[o->n_lines++];

    (void)snprintf(line->tenant, sizeof line->tenant, "%s", tenant);
    (void)snprintf(line->name, sizeof line->name, "%s", name);
    line->manifest = version(number);
}

static struct space_view view_of(const struct world *w)
{
    return (struct space_view){
        .table = &w->table, .order = &w->order, .staged = &w->staged, .thing = w->thing, .n = w->n
    };
}

static uint32_t number_of(const struct space_thing *t)
{
    return (uint32_t)t->release;
}

/* ---- one by one ---------------------------------------------------------------------------------
 */

/* acme/cam: 5 committed, 4 before it, 6 wanted, 3 old, 2 failed, 9 not ordered yet. */
static struct world *cam(void)
{
    struct world *w = calloc(1, sizeof *w);
    struct unit *u = add_unit(w, "acme", "cam");

    u->kept.good = version(5);
    u->kept.previous = version(4);
    u->kept.wanted = version(6);
    u->kept.n_failed = 1;
    u->kept.failed[0].manifest = version(2);
    for (uint32_t number = 2; number <= 6; number++)
        add(w, "acme", "cam", number, false);
    add(w, "acme", "cam", 9, false);
    return w;
}

static enum space_rank rank_of(const struct world *w, uint32_t number)
{
    const struct space_view view = view_of(w);

    for (uint32_t i = 0; i < w->n; i++)
        if (number_of(&w->thing[i]) == number)
            return space_rank_of(&view, i);
    return SPACE_REACHABLE;
}

static void what_can_be_reached_stays(void **state)
{
    scoped(free_ptr) struct world *w = cam();
    struct unit *u = &w->table.unit[0];

    (void)state;
    assert_int_equal(rank_of(w, 2), SPACE_FAILED);
    assert_int_equal(rank_of(w, 3), SPACE_OVERTAKEN);
    assert_int_equal(rank_of(w, 4), SPACE_REACHABLE);
    assert_int_equal(rank_of(w, 5), SPACE_REACHABLE);
    assert_int_equal(rank_of(w, 6), SPACE_REACHABLE);
    assert_int_equal(rank_of(w, 9), SPACE_AHEAD);

    /* a version that runs, although nothing names it any more */
    u->run.phase = RUN_READY;
    u->run.manifest = version(3);
    assert_int_equal(rank_of(w, 3), SPACE_REACHABLE);
    u->run.phase = RUN_NONE;

    /* what an order names, in force or not: this is how an operator pins a version */
    add_line(&w->staged, "acme", "cam", 3);
    assert_int_equal(rank_of(w, 3), SPACE_REACHABLE);
    add_line(&w->order, "acme", "cam", 9);
    assert_int_equal(rank_of(w, 9), SPACE_REACHABLE);
    w->staged.n_lines = 0;

    /* what somebody else pins: an agent of the boot record, what a delta is applied to */
    w->thing[0].pinned = true;
    assert_int_equal(rank_of(w, 2), SPACE_REACHABLE);

    /* a snapshot stands for a version until its trial is over */
    u->kept.snapshot = version(3);
    assert_int_equal(rank_of(w, 3), SPACE_REACHABLE);
}

static void what_nobody_orders_goes_last(void **state)
{
    scoped(free_ptr) struct world *w = cam();
    struct unit *u = &w->table.unit[0];

    (void)state;
    u->kept.wanted = version(0);
    assert_int_equal(rank_of(w, 5), SPACE_IDLE);
    assert_int_equal(rank_of(w, 4), SPACE_IDLE);
    u->run.phase = RUN_STOPPING;
    u->run.manifest = version(5);
    assert_int_equal(rank_of(w, 4), SPACE_REACHABLE);
    w->table.n_units = 0;
    assert_int_equal(rank_of(w, 5), SPACE_AHEAD);
}

static void of_unknown_age_is_not_overtaken(void **state)
{
    scoped(free_ptr) struct world *w = cam();

    (void)state;
    w->thing[1].release = 0; /* version 3: its envelope does not verify today */
    assert_int_equal(rank_of(w, 0), SPACE_AHEAD);
    w->thing[1].release = 3;
    w->thing[3].release = 0; /* version 5, the good one */
    assert_int_equal(rank_of(w, 3), SPACE_AHEAD);
}

/* Garbage always; then as much as is needed, in the documented order, if that is enough. */
static void goes_in_order(void **state)
{
    static const struct {
        const char *why;
        enum space_rank up_to;
        uint64_t bytes, files;
        bool partial, enough;
        uint32_t n;
        uint32_t want[6]; /* releases; packages are above 100 */
    } rows[] = {
        { "garbage, though nothing is needed", SPACE_IDLE, 0, 0, 0, 1, 3, { 2, 102, 3 } },
        { "what garbage frees is enough", SPACE_IDLE, 300, 0, 0, 1, 3, { 2, 102, 3 } },
        { "then what is kept for repairs", SPACE_IDLE, 301, 0, 0, 1, 4, { 2, 102, 3, 104 } },
        { "then what came ahead", SPACE_IDLE, 401, 0, 0, 1, 5, { 2, 102, 3, 104, 9 } },
        { "files count as well", SPACE_IDLE, 0, 31, 0, 1, 4, { 2, 102, 3, 104 } },
        { "no further than asked, and then not so far",
          SPACE_KEPT,
          900,
          0,
          0,
          0,
          3,
          { 2, 102, 3 } },
        { "what something runs from goes last",
          SPACE_SOURCE,
          501,
          0,
          0,
          1,
          6,
          { 2, 102, 3, 104, 9, 105 } },
        { "never for others", SPACE_IDLE, 501, 0, 0, 0, 3, { 2, 102, 3 } },
        { "too little in all: only garbage", SPACE_SOURCE, 601, 0, 0, 0, 3, { 2, 102, 3 } },
        { "all there is, if there is more elsewhere",
          SPACE_IDLE,
          100000,
          0,
          1,
          0,
          5,
          { 2, 102, 3, 104, 9 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        scoped(free_ptr) struct world *w = cam();
        uint32_t chosen[SPACE_THINGS_MAX];
        const struct space_need need = { .tenant = "acme",
                                         .team = "",
                                         .up_to = rows[i].up_to,
                                         .partial = rows[i].partial,
                                         .bytes = rows[i].bytes,
                                         .files = rows[i].files };
        uint32_t n = 0;

        add(w, "acme", "cam", 2, true)->release = 102;
        add(w, "acme", "cam", 5, true)->release = 105;
        add(w, "acme", "cam", 4, true)->release = 104;
        const struct space_view view = view_of(w);
        if (space_choose(&view, &need, chosen, &n) != rows[i].enough || n != rows[i].n)
            fail_msg("%s: %u chosen, want %u", rows[i].why, n, rows[i].n);
        for (uint32_t k = 0; k < n; k++)
            if (number_of(&w->thing[chosen[k]]) != rows[i].want[k])
                fail_msg("%s: %u at place %u", rows[i].why, number_of(&w->thing[chosen[k]]), k);
    }
}

static void only_from_whom_it_is_needed(void **state)
{
    scoped(free_ptr) struct world *w = cam();
    struct space_need need = { .tenant = "borealis", .team = "", .up_to = SPACE_IDLE, .bytes = 1 };
    uint32_t chosen[SPACE_THINGS_MAX];
    uint32_t n = 9;

    (void)state;
    const struct space_view view = view_of(w);
    assert_false(space_choose(&view, &need, chosen, &n));
    assert_int_equal(n, 0);
    (void)snprintf(w->thing[0].team, sizeof w->thing[0].team, "optics/ir");
    need = (struct space_need){ .tenant = "acme", .team = "optics", .up_to = SPACE_IDLE };
    assert_true(space_choose(&view, &need, chosen, &n));
    assert_int_equal(n, 1);
    assert_int_equal(chosen[0], 0);
    need.team = "optics/uv";
    assert_true(space_choose(&view, &need, chosen, &n));
    assert_int_equal(n, 0);
}

/* The one who needs it first, to the last that may go; then others, of them less. */
static void others_give_after_the_one_who_needs(void **state)
{
    scoped(free_ptr) struct world *w = cam();
    struct space_need need = { .tenant = "borealis",
                               .team = "",
                               .up_to = SPACE_IDLE,
                               .others = true,
                               .others_up_to = SPACE_AHEAD,
                               .bytes = 300 };
    uint32_t chosen[SPACE_THINGS_MAX];
    uint32_t n = 0;

    (void)state;
    w->table.unit[0].kept.n_failed = 0; /* and version 2 is overtaken */
    add(w, "borealis", "nav", 1, false);
    add(w, "acme", "cam", 5, true)->release = 105;
    const struct space_view view = view_of(w);
    assert_true(space_choose(&view, &need, chosen, &n));
    assert_int_equal(n, 3); /* garbage of both, and what came ahead of borealis's */
    assert_string_equal(w->thing[chosen[2]].id.tenant, "borealis");
    need.bytes = 400;
    assert_true(space_choose(&view, &need, chosen, &n));
    assert_int_equal(n, 4);
    assert_int_equal(number_of(&w->thing[chosen[3]]), 9);
    need.bytes = 401; /* acme's is repaired from what is left: nobody loses anything in vain */
    assert_false(space_choose(&view, &need, chosen, &n));
    assert_int_equal(n, 2);
}

/* ---- the object store ---------------------------------------------------------------------------
 */

struct shelf {
    struct store_thing thing[STORE_THINGS_MAX];
    uint32_t n;
};

static void put(struct shelf *s, const char *tenant, bool kept, uint64_t bytes)
{
    struct store_thing *t = &s->thing[s->n++];

    *t = (struct store_thing){ .kept = kept, .bytes = bytes, .age = s->n };
    (void)snprintf(t->tenant, sizeof t->tenant, "%s", tenant);
}

static struct store_view store_of(const struct shelf *s)
{
    return (struct store_view){
        .thing = s->thing, .n = s->n, .bytes_max = 1000, .count_max = 10, .tenants = 2
    };
}

/* K: kept, k: kept and held, w: waits, W: waits and held; 100 bytes each unless said otherwise. */
static void fill(struct shelf *s, const char *what)
{
    *s = (struct shelf){ 0 };
    for (; what[0] != '\0'; what += 2) {
        const char *tenant = what[0] == 'a' ? "acme" : what[0] == 'b' ? "borealis" : "";

        put(s, tenant, what[1] == 'K' || what[1] == 'k', 100);
        s->thing[s->n - 1].held = what[1] == 'k' || what[1] == 'W';
    }
}

static void who_floods_pays_first(void **state)
{
    static const struct {
        const char *why, *there, *tenant;
        uint64_t size;
        bool fits;
        uint32_t n;
        uint32_t want[6];
    } rows[] = {
        { "there is room", "aKbK", "acme", 100, true, 0, { 0 } },
        { "nobody's first, the newest", "-wbK-waKbKbKbKbKbKaK", "acme", 200, true, 2, { 2, 0 } },
        { "its own kept, the oldest", "bKaKaKbKbKbKaKbKbKbK", "acme", 200, true, 2, { 1, 2 } },
        { "not what runs", "bKakaKbKbKbKaKbKbKbK", "acme", 200, true, 2, { 2, 6 } },
        { "then above the share, kept first", "bwbKbkbKbwbwbwbwakak", "acme", 100, true, 1, { 1 } },
        { "then what came last", "bwbkbkbwbwbwbwbwakak", "acme", 100, true, 1, { 7 } },
        { "to the share and no further", "bKbKbKbKbKbkakakakak", "acme", 200, false, 0, { 0 } },
        { "what is left of it is enough", "bKbKbKbKbKbkakakakak", "acme", 100, true, 1, { 0 } },
        { "others are within their share", "bKbKbKbKbKawawawawaw", "acme", 100, false, 0, { 0 } },
        { "what waits of its own stays", "awawawawawawawawawbK", "acme", 100, false, 0, { 0 } },
        { "a flood takes nothing of others'", "awawawawawawaKbKbKbK", "acme", 100, true, 1, { 6 } },
        { "nobody's only of nobody's", "aKaKaKaKaKaKaKaK-waK", "", 100, true, 1, { 8 } },
        { "and of nothing else", "aKaKaKaKaKaKaKaKaKaK", "", 100, false, 0, { 0 } },
        { "what is in use stays", "-WaKaKaKaKaKaKaKaK-W", "", 100, false, 0, { 0 } },
        { "too large in any case: nothing goes",
          "aKaK-wbKbKbKbKbKbKaK",
          "acme",
          1001,
          false,
          0,
          { 0 } },
    };
    static struct shelf shelf;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t chosen[STORE_THINGS_MAX];
        uint32_t n = 9;

        fill(&shelf, rows[i].there);
        const struct store_view view = store_of(&shelf);
        bool fits = store_choose(&view, rows[i].tenant, rows[i].size, chosen, &n);
        if (fits != rows[i].fits || n != rows[i].n)
            fail_msg("%s: %s, %u chosen", rows[i].why, fits ? "fits" : "does not fit", n);
        for (uint32_t k = 0; k < n; k++)
            if (chosen[k] != rows[i].want[k])
                fail_msg("%s: %u at place %u", rows[i].why, chosen[k], k);
    }
}

/* ---- random histories ---------------------------------------------------------------------------
 */

static uint32_t rnd(uint32_t *x, uint32_t below)
{
    *x = *x * 1664525U + 1013904223U;
    return (*x >> 8) % below;
}

static struct digest maybe(uint32_t *x)
{
    return version(rnd(x, 3) == 0 ? 0 : 1 + rnd(x, 8));
}

static const char *const tenants[] = { "acme", "borealis", "cirrus" };
static const char *const payloads[] = { "cam", "nav" };

static struct world *random_world(uint32_t *x)
{
    struct world *w = calloc(1, sizeof *w);

    for (uint32_t i = 0; i < 3; i++)
        for (uint32_t k = 0; k < 2; k++) {
            if (rnd(x, 5) > 0) {
                struct unit *u = add_unit(w, tenants[i], payloads[k]);

                u->kept.wanted = maybe(x);
                u->kept.good = maybe(x);
                u->kept.previous = maybe(x);
                u->kept.snapshot = rnd(x, 4) == 0 ? maybe(x) : version(0);
                u->run.phase = (enum run_phase)rnd(x, RUN_STOPPING + 1U);
                u->run.manifest = maybe(x);
                u->kept.n_failed = rnd(x, 3);
                for (uint32_t f = 0; f < u->kept.n_failed; f++)
                    u->kept.failed[f].manifest = version(1 + rnd(x, 8));
            }
            if (rnd(x, 3) == 0)
                add_line(&w->order, tenants[i], payloads[k], 1 + rnd(x, 8));
            if (rnd(x, 3) == 0)
                add_line(&w->staged, tenants[i], payloads[k], 1 + rnd(x, 8));
            for (uint32_t number = 1; number <= 8; number++) {
                if (rnd(x, 2) == 0)
                    add(w, tenants[i], payloads[k], number, false)->bytes = 1 + rnd(x, 500);
                if (rnd(x, 4) == 0)
                    add(w, tenants[i], payloads[k], number, true)->bytes = 1 + rnd(x, 500);
            }
        }
    return w;
}

/* Written down once more, by other means than the code under test: must this version stay? */
static bool must_stay(const struct world *w, const struct slot_id *id)
{
    const struct order *orders[] = { &w->order, &w->staged };

    for (size_t o = 0; o < 2; o++)
        for (uint32_t i = 0; i < orders[o]->n_lines; i++) {
            const struct order_line *line = &orders[o]->line[i];

            if (!strcmp(line->tenant, id->tenant) && !strcmp(line->name, id->payload) &&
                !memcmp(&line->manifest, &id->manifest, sizeof id->manifest))
                return true;
        }
    for (uint32_t i = 0; i < w->table.n_units; i++) {
        const struct unit *u = &w->table.unit[i];
        const struct digest *held[] = { &u->kept.wanted, &u->kept.good, &u->kept.previous,
                                        &u->kept.snapshot };
        bool lives = u->run.phase != RUN_NONE || !digest_is_none(&u->kept.wanted);

        if (strcmp(u->kept.tenant, id->tenant) != 0 || strcmp(u->kept.name, id->payload) != 0)
            continue;
        if (u->run.phase != RUN_NONE && !memcmp(&u->run.manifest, &id->manifest, DIGEST_SIZE))
            return true;
        for (size_t k = 0; k < 4; k++)
            if (lives && !memcmp(held[k], &id->manifest, DIGEST_SIZE))
                return true;
    }
    return false;
}

static uint64_t bytes_that_may_go(const struct world *w, const struct space_need *need)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < w->n; i++)
        if ((!need->tenant || !strcmp(need->tenant, w->thing[i].id.tenant)) &&
            (w->thing[i].package || !must_stay(w, &w->thing[i].id)))
            sum += w->thing[i].bytes;
    return sum;
}

/* Once more by other means: garbage is what failed, or is no newer than the good one; nothing else
 * goes for work that does not fit all the same. */
static void check_refused(const struct space_view *view, const uint32_t *chosen, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        assert_true(space_rank_of(view, chosen[i]) <= SPACE_GARBAGE);
}

static void remove_chosen(struct world *w, const uint32_t *chosen, uint32_t n)
{
    bool gone[SPACE_THINGS_MAX] = { 0 };
    uint32_t left = 0;

    for (uint32_t i = 0; i < n; i++) {
        assert_false(gone[chosen[i]]); /* nothing twice */
        gone[chosen[i]] = true;
    }
    for (uint32_t i = 0; i < w->n; i++)
        if (!gone[i])
            w->thing[left++] = w->thing[i];
    w->n = left;
}

static void check_history(uint32_t *x)
{
    scoped(free_ptr) struct world *w = random_world(x);
    struct space_need need = { .tenant = rnd(x, 3) == 0 ? NULL : tenants[rnd(x, 3)],
                               .team = "",
                               .up_to = SPACE_SOURCE,
                               .bytes = rnd(x, 3000) };
    uint32_t chosen[SPACE_THINGS_MAX];
    uint64_t may_go = bytes_that_may_go(w, &need), freed = 0;
    const struct space_view view = view_of(w);
    uint32_t n = 0;
    bool enough = space_choose(&view, &need, chosen, &n);

    for (uint32_t i = 0; i < n; i++) {
        const struct space_thing *t = &w->thing[chosen[i]];

        assert_true(t->package || !must_stay(w, &t->id));
        assert_true(!need.tenant || !strcmp(need.tenant, t->id.tenant));
        /* nothing is given up that is not garbage once there is enough */
        assert_true(freed < need.bytes || space_rank_of(&view, chosen[i]) <= SPACE_GARBAGE);
        freed += t->bytes;
    }
    assert_int_equal(enough, may_go >= need.bytes);
    if (enough)
        assert_true(freed >= need.bytes);
    else
        check_refused(&view, chosen, n);
    remove_chosen(w, chosen, n);

    /* the same again: nothing more, as nothing more is needed */
    need.bytes = 0;
    const struct space_view after = view_of(w);
    assert_true(space_choose(&after, &need, chosen, &n));
    assert_int_equal(n, 0);
    /* and all of it: only what must stay is left */
    need.bytes = UINT64_MAX;
    need.partial = true;
    assert_false(space_choose(&after, &need, chosen, &n));
    remove_chosen(w, chosen, n);
    for (uint32_t i = 0; i < w->n; i++)
        if (!need.tenant || !strcmp(need.tenant, w->thing[i].id.tenant))
            assert_true(!w->thing[i].package && must_stay(w, &w->thing[i].id));
}

static void random_histories(void **state)
{
    uint32_t x = 2026;

    (void)state;
    for (uint32_t i = 0; i < HISTORIES; i++)
        check_history(&x);
}

/* ---- a store that anybody fills -----------------------------------------------------------------
 */

static void random_shelf(struct shelf *s, uint32_t *x)
{
    *s = (struct shelf){ 0 };
    for (uint32_t n = rnd(x, 12); n > 0; n--) {
        put(s, rnd(x, 5) == 0 ? "" : tenants[rnd(x, 3)], rnd(x, 2) == 0, 1 + rnd(x, 300));
        s->thing[s->n - 1].held = rnd(x, 3) == 0;
        s->thing[s->n - 1].kept &= s->thing[s->n - 1].tenant[0] != '\0';
    }
}

static uint64_t bytes_left(const struct shelf *s, const bool *gone, const char *tenant)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < s->n; i++)
        if (!gone[i] && (!tenant || !strcmp(s->thing[i].tenant, tenant)))
            sum += s->thing[i].bytes;
    return sum;
}

static uint32_t count_left(const struct shelf *s, const bool *gone, const char *tenant)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n; i++)
        n += !gone[i] && (!tenant || !strcmp(s->thing[i].tenant, tenant));
    return n;
}

static void check_shelf(uint32_t *x)
{
    static struct shelf s;
    const char *tenant = rnd(x, 5) == 0 ? "" : tenants[rnd(x, 3)];
    uint64_t size = 1 + rnd(x, 400);
    uint32_t chosen[STORE_THINGS_MAX];
    bool gone[STORE_THINGS_MAX] = { 0 };
    uint32_t n = 99;

    random_shelf(&s, x);
    const struct store_view view = store_of(&s);
    if (!store_choose(&view, tenant, size, chosen, &n)) {
        assert_int_equal(n, 0);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct store_thing *t = &s.thing[chosen[i]];

        assert_false(t->held || gone[chosen[i]]);
        gone[chosen[i]] = true;
        if (t->tenant[0] == '\0' || !strcmp(t->tenant, tenant)) {
            assert_true(t->tenant[0] == '\0' || t->kept);
            continue;
        }
        /* nobody loses what is within its share, and nothing while the tenant could pay itself */
        assert_true(bytes_left(&s, gone, t->tenant) >= view.bytes_max / view.tenants ||
                    count_left(&s, gone, t->tenant) >= view.count_max / view.tenants);
        for (uint32_t k = 0; k < s.n; k++)
            assert_false(!gone[k] && s.thing[k].kept && !s.thing[k].held &&
                         !strcmp(s.thing[k].tenant, tenant));
    }
    assert_true(bytes_left(&s, gone, NULL) + size <= view.bytes_max);
    assert_true(count_left(&s, gone, NULL) + 1 <= view.count_max);
}

static void random_shelves(void **state)
{
    uint32_t x = 1129;

    (void)state;
    for (uint32_t i = 0; i < 20000; i++)
        check_shelf(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_reached_stays),
        cmocka_unit_test(what_nobody_orders_goes_last),
        cmocka_unit_test(of_unknown_age_is_not_overtaken),
        cmocka_unit_test(goes_in_order),
        cmocka_unit_test(only_from_whom_it_is_needed),
        cmocka_unit_test(others_give_after_the_one_who_needs),
        cmocka_unit_test(random_histories),
        cmocka_unit_test(who_floods_pays_first),
        cmocka_unit_test(random_shelves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
