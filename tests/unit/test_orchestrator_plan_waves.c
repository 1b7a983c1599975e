/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is in which wave: by the policy alone, never more of a plane or lot together than it lets,
 * and refused only where no division does.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/names.h"
#include "orchestrator/plan_waves.h"

static struct fleet *read_text(const char *text)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    struct fleet *fleet = NULL;
    struct err err = { 0 };

    if (yaml_parse((struct bytes){ (const uint8_t *)text, strlen(text) }, "fleet.yaml", &doc,
                   &err) != RC_OK ||
        fleet_read(doc, "fleet.yaml", &fleet, &err) != RC_OK)
        fail_msg("%s", err.what);
    return fleet;
}

static void deals_waves(void **state)
{
    static const struct {
        const char *why;
        struct fleet_wave wave[3];
        uint32_t n_waves;
        uint32_t n;
        uint32_t want_waves;
        uint32_t want[5];
    } rows[] = {
        { "all", { { .percent = 100 } }, 1, 3, 1, { 0, 0, 0 } },
        { "canary by label",
          { { .n = 1, .label = { .key = "canary" } }, { .percent = 100 } },
          2,
          3,
          2,
          { 1, 0, 1 } },
        { "no canary among them: the first",
          { { .n = 1, .label = { .key = "none" } }, { .percent = 100 } },
          2,
          3,
          2,
          { 0, 1, 1 } },
        { "label and fill up",
          { { .n = 2, .label = { .key = "canary" } }, { .percent = 100 } },
          2,
          3,
          2,
          { 0, 0, 1 } },
        { "a third, rounded up", { { .percent = 34 }, { .percent = 100 } }, 2, 3, 2, { 0, 0, 1 } },
        { "the canary counts",
          { { .n = 1 }, { .percent = 33 }, { .percent = 100 } },
          3,
          3,
          2,
          { 0, 1, 1 } },
        { "fewer than waves",
          { { .n = 1 }, { .percent = 50 }, { .percent = 100 } },
          3,
          1,
          1,
          { 0 } },
        { "label without number",
          { { .label = { .key = "none" } }, { .percent = 100 } },
          2,
          2,
          1,
          { 0, 0 } },
        { "nobody", { { .percent = 100 } }, 1, 0, 0, { 0 } },
    };
    static const uint32_t which[] = { 0, 1, 2 };
    scoped(free_ptr) struct fleet *fleet = read_text("fleet: a\nsatellites:\n"
                                                     "  - {id: a, labels: {plane: a}}\n"
                                                     "  - {id: b, labels: {canary: yes}}\n"
                                                     "  - {id: c}\ndesired: []\n");

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct plan_dealing in = { .fleet = fleet,
                                         .n_waves = rows[i].n_waves,
                                         .wave = rows[i].wave,
                                         .n = rows[i].n,
                                         .which = which };
        uint32_t got[5] = { 0 }, waves = 0;

        assert_rc(plan_waves(&in, got, &waves, NULL), RC_OK);

        if (waves != rows[i].want_waves ||
            memcmp(got, rows[i].want, rows[i].n * sizeof got[0]) != 0)
            fail_msg("%s: %u waves: %u %u %u", rows[i].why, waves, got[0], got[1], got[2]);
    }
}

/* ---- properties -------------------------------------------------------------------------------
 */

static uint64_t seed;

static uint32_t dice(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

#define FEW 8U
#define MANY 256U

struct world {
    struct fleet fleet;
    struct fleet_satellite satellite[MANY];
    uint32_t which[MANY];
    struct fleet_wave wave[5];
    struct plan_dealing in;
};

static void label(struct fleet_satellite *sat, const char *key, uint32_t value)
{
    struct fleet_label *l = &sat->label[sat->n_labels++];

    (void)snprintf(l->key, sizeof l->key, "%s", key);
    (void)snprintf(l->value, sizeof l->value, "%c", 'a' + (int)value);
}

/* A fleet with planes and lots, waves and rules, as the dice fall. */
static void make(struct world *w, uint32_t most, uint32_t rules)
{
    const uint32_t planes = 1 + dice(3), lots = 1 + dice(3);

    memset(w, 0, sizeof *w);
    (void)snprintf(w->fleet.source, sizeof w->fleet.source, "fleet.yaml");
    w->fleet.satellite = w->satellite;
    w->fleet.n_satellites = 1 + dice(most);
    for (uint32_t i = 0; i < w->fleet.n_satellites; i++) {
        struct fleet_satellite *sat = &w->fleet.satellite[i];

        (void)snprintf(sat->id, sizeof sat->id, "s-%u", i);
        if (dice(8))
            label(sat, "plane", dice(planes));
        if (dice(8))
            label(sat, "lot", dice(lots));
        if (dice(4))
            w->which[w->in.n++] = i;
    }
    w->in.n_waves = 1 + dice(4);
    for (uint32_t i = 0, percent = 0; i < w->in.n_waves; i++) {
        percent += 1 + dice(40);
        w->wave[i].percent = i + 1 == w->in.n_waves || percent > 100 ? 100 : percent;
        if (w->wave[i].percent == 100)
            w->in.n_waves = i + 1;
    }
    if (w->in.n_waves > 1 && dice(2))
        w->wave[0] = (struct fleet_wave){ .n = 1 + dice(2) };
    w->in.fleet = &w->fleet;
    w->in.wave = w->wave;
    w->in.which = w->which;
    for (uint32_t i = 0; i < rules; i++) {
        struct fleet_spread *s = &w->in.spread[w->in.n_spread++];

        s->line = 7 + i;
        (void)snprintf(s->key, sizeof s->key, "%s", i ? "lot" : "plane");
        if (dice(2))
            s->n = 1 + dice(3);
        else
            s->percent = 1 + dice(100);
    }
}

static char value(const struct world *w, uint32_t at, const char *key)
{
    const struct fleet_satellite *sat = &w->fleet.satellite[w->which[at]];

    for (uint32_t i = 0; i < sat->n_labels; i++)
        if (strcmp(sat->label[i].key, key) == 0)
            return sat->label[i].value[0];
    return 0;
}

/* What a rule lets of a value, counted another way. */
static uint32_t lets(const struct world *w, const struct fleet_spread *rule, char is)
{
    uint32_t all = 0;

    if (rule->percent == 0)
        return rule->n;
    for (uint32_t i = 0; i < w->fleet.n_satellites; i++)
        for (uint32_t k = 0; k < w->fleet.satellite[i].n_labels; k++)
            all += strcmp(w->fleet.satellite[i].label[k].key, rule->key) == 0 &&
                   w->fleet.satellite[i].label[k].value[0] == is;
    return all * rule->percent / 100 > 0 ? all * rule->percent / 100 : 1;
}

/* Whether the first n of a division break no rule. */
static bool keeps(const struct world *w, const uint32_t *wave, uint32_t n)
{
    for (uint32_t r = 0; r < w->in.n_spread; r++)
        for (uint32_t i = 0; i < n; i++) {
            const char is = value(w, i, w->in.spread[r].key);
            uint32_t together = 0;

            for (uint32_t k = 0; k < n; k++)
                together += wave[k] == wave[i] && value(w, k, w->in.spread[r].key) == is;
            if (is && together > lets(w, &w->in.spread[r], is))
                return false;
        }
    return true;
}

/* How many may be in this wave and those before, if so many are in those before. */
static uint32_t until(const struct world *w, uint32_t wave, uint32_t before)
{
    const struct fleet_wave *p = &w->wave[wave];
    uint32_t is = p->percent ? (w->in.n * p->percent + 99) / 100 : before + p->n;

    return is > before ? is : before;
}

/* Whether one of a later wave would have room in this one. */
static bool is_idle(const struct world *w, uint32_t *wave, uint32_t k)
{
    for (uint32_t i = 0; i < w->in.n; i++) {
        const uint32_t is = wave[i];

        wave[i] = is > k ? k : is;
        const bool room = is > k && keeps(w, wave, w->in.n);

        wave[i] = is;
        if (room)
            return true;
    }
    return false;
}

/* Whether as many are in the first waves as the policy says, or less only for want of room. */
static bool fits(const struct world *w, uint32_t *wave)
{
    for (uint32_t k = 0, n = 0; k < w->in.n_waves; k++) {
        const uint32_t most = until(w, k, n);

        for (uint32_t i = 0; i < w->in.n; i++)
            n += wave[i] == k;
        if (n > most || (n < most && is_idle(w, wave, k)))
            return false;
    }
    return true;
}

/* Whether there is any division that breaks no rule, by trying all. */
static bool exists(const struct world *w, uint32_t *wave, uint32_t at) // NOLINT(misc-no-recursion)
{
    if (!keeps(w, wave, at))
        return false;
    if (at == w->in.n)
        return fits(w, wave);
    for (wave[at] = 0; wave[at] < w->in.n_waves; wave[at]++)
        if (exists(w, wave, at + 1))
            return true;
    return false;
}

/* What came out breaks no rule, has no empty wave and is the same again. */
static void check(const struct world *w, const uint32_t *wave, uint32_t waves)
{
    uint32_t again[MANY] = { 0 }, n = 0;

    assert_true(keeps(w, wave, w->in.n));
    assert_true(waves <= w->in.n_waves);
    for (uint32_t k = 0; k < waves; k++) {
        uint32_t members = 0;

        for (uint32_t i = 0; i < w->in.n; i++)
            members += wave[i] == k;
        assert_true(members > 0);
    }
    for (uint32_t i = 0; i < w->in.n; i++)
        assert_true(wave[i] < waves);
    assert_rc(plan_waves(&w->in, again, &n, NULL), RC_OK);
    assert_int_equal(n, waves);
    assert_memory_equal(again, wave, w->in.n * sizeof wave[0]);
}

/* With one label: refused exactly where nothing does.  With two it may give up early, and says so
 * rather than break a rule. */
static void spreads(void **state)
{
    scoped(free_ptr) struct world *w = calloc(1, sizeof *w);
    uint32_t done = 0, refused = 0, early = 0, two = 0;

    (void)state;
    assert_non_null(w);
    for (uint32_t round = 0; round < 6000; round++) {
        uint32_t wave[MANY] = { 0 }, any[FEW] = { 0 }, waves = 0;
        struct err err = { 0 };

        seed = round;
        make(w, FEW, 1 + (round % 2));
        two += w->in.n_spread == 2;
        if (plan_waves(&w->in, wave, &waves, &err) == RC_OK) {
            check(w, wave, waves);
            done++;
            continue;
        }
        assert_int_equal(err.rc, RC_YAML);
        if (!strstr(err.what, "fleet.yaml:7: spread: no wave has room for s-") &&
            !strstr(err.what, "fleet.yaml:8: spread: no wave has room for s-"))
            fail_msg("round %u: %s", round, err.what);
        const bool can = exists(w, any, 0);

        if (can && w->in.n_spread == 1)
            fail_msg("round %u: refused, but there is a way", round);
        refused++;
        early += can;
    }
    assert_true(done > 1000 && refused > 1000); /* the dice did try both */
    if (early * 50 > two)
        fail_msg("%u of %u plans with two labels given up early", early, two);
}

/* Large fleets: nothing of it depends on being few. */
static void spreads_many(void **state)
{
    scoped(free_ptr) struct world *w = calloc(1, sizeof *w);
    uint32_t done = 0;

    (void)state;
    assert_non_null(w);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t wave[MANY] = { 0 }, waves = 0;

        seed = round;
        make(w, MANY, 2);
        if (plan_waves(&w->in, wave, &waves, NULL) != RC_OK)
            continue;
        check(w, wave, waves);
        done++;
    }
    assert_true(done > 5);
}

#define TEXTS 1000U

/* What labels' values and ids are found by. */
static void numbers_names(void **state)
{
    scoped(names_done) struct names names = { 0 };
    static char text[TEXTS][8];

    (void)state;
    assert_int_equal(names_find(&names, "none has room"), NAMES_NONE);
    assert_rc(names_make(&names, TEXTS, NULL), RC_OK);
    for (uint32_t i = 0; i < TEXTS; i++) {
        (void)snprintf(text[i], sizeof text[i], "%x", i * i);
        assert_int_equal(names_find(&names, text[i]), NAMES_NONE);
        assert_int_equal(names_put(&names, text[i]), i);
    }
    for (uint32_t i = 0; i < TEXTS; i++) {
        assert_int_equal(names_find(&names, text[i]), i);
        assert_int_equal(names_put(&names, text[i]), i);
    }
    assert_int_equal(names.n, TEXTS);
    assert_int_equal(names_find(&names, ""), NAMES_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deals_waves),
        cmocka_unit_test(numbers_names),
        cmocka_unit_test(spreads),
        cmocka_unit_test(spreads_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
