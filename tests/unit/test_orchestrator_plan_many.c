/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans of random fleets, held against a reference that looks at every satellite by itself and
 * shares nothing: the same orders, changes and refusals; and the hash tells apart exactly what a
 * record of everything in full tells apart.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "orchestrator/plan.h"
#include "orchestrator/verdict.h"
#include "sim/rng.h"

#define SATS 48U
#define PAYLOADS 5U
#define VERSIONS 3U
#define LISTS 6U
#define FLEETS 3000U
#define WHAT 160U

/* A fleet, what is known of it, and a second copy of the latter in which nothing is shared. */
static struct {
    struct rng rng;
    struct fleet *fleet;
    struct store_package package[PAYLOADS * VERSIONS];
    struct order_line list[LISTS][PAYLOADS];
    uint32_t list_n[LISTS];
    struct order_line own[SATS][PAYLOADS];
    struct plan_base base[SATS];
    struct report_payload payload[SATS];
    struct sight seen[SATS];
    struct order want[SATS]; /* of the reference */
} w;

static uint32_t draw(uint32_t n)
{
    return (uint32_t)rng_below(&w.rng, n);
}

/* ---- random fleets --------------------------------------------------------------------------- */

static void name_payload(uint32_t payload, char *tenant, char *name)
{
    (void)snprintf(tenant, NAME_CAP, "%s", payload % 2 ? "acme" : "zeta");
    (void)snprintf(name, NAME_CAP, "p%u", payload);
}

static void make_line(struct order_line *line, uint32_t payload, uint32_t version)
{
    *line = (struct order_line){ 0 };
    name_payload(payload, line->tenant, line->name);
    line->manifest = w.package[payload * VERSIONS + version].manifest;
    memset(line->manifest384.b, (int)draw(2), sizeof line->manifest384.b);
}

static int by_name(const void *a, const void *b)
{
    const struct order_line *x = a, *y = b;
    const int by_tenant = strcmp(x->tenant, y->tenant);

    return by_tenant != 0 ? by_tenant : strcmp(x->name, y->name);
}

static void make_packages(void)
{
    for (uint32_t i = 0; i < PAYLOADS * VERSIONS; i++) {
        struct store_package *p = &w.package[i];

        *p = (struct store_package){ .size = 100 + i };
        name_payload(i / VERSIONS, p->tenant, p->name);
        (void)snprintf(p->version, sizeof p->version, "%u", i % VERSIONS);
        memset(p->manifest.b, (int)(i + 1), DIGEST_SIZE);
        memset(p->object.b, (int)(0x80 | i), DIGEST_SIZE);
    }
}

static void make_lists(void)
{
    for (uint32_t k = 0; k < LISTS; k++) {
        w.list_n[k] = 0;
        for (uint32_t p = 0; p < PAYLOADS; p++)
            if (draw(3) > 0)
                make_line(&w.list[k][w.list_n[k]++], p, draw(VERSIONS));
        qsort(w.list[k], w.list_n[k], sizeof w.list[k][0], by_name);
    }
}

static void set_label(struct fleet_label *label, const char *key, uint32_t value)
{
    (void)snprintf(label->key, sizeof label->key, "%s", key);
    (void)snprintf(label->value, sizeof label->value, "%u", value);
}

static void make_satellite(uint32_t i)
{
    static const char *const keys[] = { "plane", "lot", "ring" };
    struct fleet_satellite *sat = &w.fleet->satellite[i];

    (void)snprintf(sat->id, sizeof sat->id, "sat-%u", i);
    sat->line = 3 + i;
    sat->period_ms = draw(2) * 5400000U;
    sat->n_labels = draw(4);
    for (uint32_t k = 0; k < sat->n_labels; k++)
        set_label(&sat->label[k], keys[k], draw(2));
    if (i > 0 && draw(2) == 0) { /* neighbours are alike */
        sat->n_labels = w.fleet->satellite[i - 1].n_labels;
        memcpy(sat->label, w.fleet->satellite[i - 1].label, sizeof sat->label);
    }
}

static void make_base(uint32_t i)
{
    const uint32_t k = draw(LISTS);
    struct plan_base *base = &w.base[i];

    w.payload[i] = (struct report_payload){ .is_running = draw(2) };
    w.payload[i].running = w.package[draw(PAYLOADS * VERSIONS)].manifest;
    w.seen[i] = (struct sight){ .n_payloads = 1, .payload = &w.payload[i] };
    *base = (struct plan_base){ .known = draw(1000) > 0,
                                .newest = draw(3),
                                .held = draw(8) == 0,
                                .seen = draw(3) > 0 ? &w.seen[i] : NULL };
    if (draw(8) == 0)
        return; /* nothing was ever ordered */
    base->order = (struct want){ 1 + draw(3), w.list_n[k], w.list[k] };
    if (draw(4) > 0)
        return;
    memcpy(w.own[i], w.list[k], sizeof w.own[i]); /* the same, elsewhere */
    base->order.line = w.own[i];
    if (draw(2) == 0 && base->order.n_lines > 0)
        w.own[i][draw(base->order.n_lines)].manifest.b[5] ^= 1; /* one that nobody knows */
}

static void make_want(uint32_t payload, const struct fleet_label *select)
{
    struct fleet_want *want = &w.fleet->want[w.fleet->n_wants];

    *want = (struct fleet_want){ .select = *select,
                                 .line = 100 + w.fleet->n_wants,
                                 .hold = draw(6) == 0 };
    name_payload(payload, want->tenant, want->name);
    /* one version in some hundred is not there, one digest is another */
    (void)snprintf(want->version, sizeof want->version, "%u", draw(400) ? draw(VERSIONS) : 9);
    want->has_digest = draw(300) == 0;
    w.fleet->n_wants++;
}

/* Entries of the file: for all, by id, by a label's value, or by having the label. */
static void make_wants(void)
{
    static const char *const keys[] = { "", "id", "plane", "lot", "ring" };

    w.fleet->n_wants = 0;
    for (uint32_t n = draw(7); n > 0; n--) {
        struct fleet_label select = { 0 };
        const uint32_t k = draw(5), first = draw(PAYLOADS), many = 1 + draw(2);

        set_label(&select, keys[k], draw(2));
        if (k == 0 || (k > 1 && draw(4) == 0))
            select.value[0] = '\0';
        if (k == 1)
            (void)snprintf(select.value, sizeof select.value, "sat-%u", draw(SATS));
        for (uint32_t i = 0; i < many; i++)
            make_want((first + i) % PAYLOADS, &select);
    }
}

static void make_fleet(uint32_t seed)
{
    w.rng = rng_make(seed, 1);
    memset(w.fleet->satellite, 0, SATS * sizeof *w.fleet->satellite);
    w.fleet->n_satellites = 1 + draw(SATS);
    make_packages();
    make_lists();
    for (uint32_t i = 0; i < w.fleet->n_satellites; i++)
        make_satellite(i);
    for (uint32_t i = 0; i < w.fleet->n_satellites; i++)
        make_base(i);
    make_wants();
    w.fleet->n_policies = 1; /* who has ring=0 goes first */
    w.fleet->policy[0] = (struct fleet_policy){ .n_waves = 2,
                                                .wave = { { .n = 2 }, { .percent = 100 } },
                                                .n_first = 2,
                                                .first = { { .n = 1 }, { .percent = 100 } },
                                                .fail_max = 1 };
    set_label(&w.fleet->policy[0].wave[0].label, "ring", 0);
}

static int set_up(void **state)
{
    (void)state;
    w.fleet = fleet_new(SATS, 64);
    assert_non_null(w.fleet);
    (void)snprintf(w.fleet->name, sizeof w.fleet->name, "aurora");
    (void)snprintf(w.fleet->source, sizeof w.fleet->source, "f.yaml");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(w.fleet);
    w.fleet = NULL;
    return 0;
}

/* ---- the reference --------------------------------------------------------------------------- */

static const struct store_package *package_of(const struct digest *manifest)
{
    for (uint32_t i = 0; i < PAYLOADS * VERSIONS; i++)
        if (digest_same(&w.package[i].manifest, manifest))
            return &w.package[i];
    return NULL;
}

/* The line of one want; NULL = it holds, and there is none.  RC_OK, or why it is refused. */
static enum rc line_of(const struct fleet_want *want, const struct plan_base *base,
                       struct order_line *ret, bool *ret_is)
{
    *ret = (struct order_line){ 0 };
    *ret_is = true;
    if (want->hold) {
        const struct order_line *old = verdict_order_line(&base->order, want->tenant, want->name);

        *ret_is = old != NULL;
        *ret = old ? *old : *ret;
        return RC_OK;
    }
    memcpy(ret->tenant, want->tenant, sizeof ret->tenant);
    memcpy(ret->name, want->name, sizeof ret->name);
    for (uint32_t i = 0; i < PAYLOADS * VERSIONS; i++) {
        if (strcmp(w.package[i].tenant, want->tenant) != 0 ||
            strcmp(w.package[i].name, want->name) != 0 ||
            strcmp(w.package[i].version, want->version) != 0)
            continue;
        ret->manifest = w.package[i].manifest;
        return want->has_digest ? RC_DIGEST_MISMATCH : RC_OK; /* it asks for the digest zero */
    }
    return RC_NO_PACKAGE;
}

/* What the satellite should have in its order; what: what a refusal is about. */
static enum rc reference(uint32_t i, struct order *ret, const struct fleet_want **what)
{
    const struct fleet_satellite *sat = &w.fleet->satellite[i];

    *ret = (struct order){ .generation = w.base[i].newest + 1 };
    *what = NULL;
    if (!w.base[i].known)
        return RC_NO_SATELLITE;
    for (uint32_t k = 0; k < w.fleet->n_wants; k++) {
        const struct fleet_want *want = &w.fleet->want[k];
        struct order_line line;
        bool is = false;

        if (!fleet_matches(sat, &want->select))
            continue;
        enum rc rc = line_of(want, &w.base[i], &line, &is);
        const struct want so_far = want_of(ret);

        if (rc == RC_OK && is && verdict_order_line(&so_far, line.tenant, line.name))
            rc = RC_YAML;
        if (rc != RC_OK) {
            *what = want;
            return rc;
        }
        if (is)
            ret->line[ret->n_lines++] = line;
    }
    qsort(ret->line, ret->n_lines, sizeof ret->line[0], by_name);
    return RC_OK;
}

/* ---- beside it ------------------------------------------------------------------------------- */

static struct ride ride_of(void *arg, uint32_t satellite, const struct store_package *package)
{
    (void)arg;
    (void)satellite;
    return (struct ride){
        .kind = RIDE_FULL, .why = RIDE_NO_REPORT, .object = package->object, .size = package->size
    };
}

static bool brings(void *arg, const struct store_package *package, const struct digest *object)
{
    (void)arg;
    return digest_same(&package->object, object);
}

static enum rc plan_it(const struct plan_base *base, struct plan **ret, struct err *err)
{
    const struct plan_input in = { .fleet = w.fleet,
                                   .packages = w.package,
                                   .n_packages = PAYLOADS * VERSIONS,
                                   .ride = ride_of,
                                   .brings = brings,
                                   .base = base };

    return plan_compute(&in, ret, err);
}

static void same_change(const struct plan_change *c, uint32_t satellite, enum plan_verb verb,
                        const struct order_line *line)
{
    assert_int_equal(c->verb, verb);
    assert_int_equal(c->satellite, satellite);
    assert_string_equal(c->tenant, line->tenant);
    assert_string_equal(c->name, line->name);
    if (verb == PLAN_REMOVE) {
        assert_true(digest_is_none(&c->to_manifest));
        assert_string_equal(c->to, "");
        assert_int_equal(c->bytes, 0);
        return;
    }
    const struct store_package *package = package_of(&line->manifest);
    const struct sight *seen = w.base[satellite].seen;
    const bool on_board = package && seen && seen->payload[0].is_running &&
                          digest_same(&seen->payload[0].running, &package->manifest);

    assert_true(digest_same(&c->to_manifest, &line->manifest));
    assert_string_equal(c->to, package ? package->version : "?");
    assert_int_equal(c->bytes, package && !on_board ? package->size : 0);
}

/* The changes of one satellite from number `at` on; returns the number behind them. */
static uint32_t same_satellite(const struct plan *plan, uint32_t i, uint32_t at)
{
    const struct plan_satellite *sat = &plan->satellite[i];
    const struct want old = w.base[i].order, new = want_of(&w.want[i]);
    const uint32_t first = at;

    for (uint32_t k = 0; k < new.n_lines; k++) {
        const struct order_line *line = &new.line[k],
                                *was = verdict_order_line(&old, line->tenant, line->name);

        if (was && digest_same(&was->manifest, &line->manifest))
            continue;
        assert_true(at < plan->n_changes);
        same_change(&plan->change[at++], i, was ? PLAN_CHANGE : PLAN_ADD, line);
    }
    for (uint32_t k = 0; k < old.n_lines; k++) {
        if (verdict_order_line(&new, old.line[k].tenant, old.line[k].name))
            continue;
        assert_true(at < plan->n_changes);
        same_change(&plan->change[at++], i, PLAN_REMOVE, &old.line[k]);
    }
    assert_int_equal(sat->changes, at > first);
    assert_int_equal(sat->n, at - first);
    assert_int_equal(sat->withdraws, at == first && w.base[i].held);
    if (!sat->changes) {
        assert_int_equal(sat->order.generation, 0);
        assert_int_equal(sat->order.n_lines, 0);
        return at;
    }
    assert_int_equal(sat->first, first);
    assert_int_equal(sat->order.generation, new.generation);
    assert_int_equal(sat->order.n_lines, new.n_lines);
    if (new.n_lines > 0)
        assert_memory_equal(sat->order.line, new.line, new.n_lines * sizeof *new.line);
    return at;
}

static void same_plan(const struct plan *plan)
{
    uint32_t at = 0, changed = 0, withdrawn = 0;

    assert_int_equal(plan->n_satellites, w.fleet->n_satellites);
    for (uint32_t i = 0; i < plan->n_satellites; i++) {
        at = same_satellite(plan, i, at);
        changed += plan->satellite[i].changes;
        withdrawn += plan->satellite[i].withdraws;
    }
    assert_int_equal(plan->n_changes, at);
    assert_int_equal(plan->n_changed, changed);
    assert_int_equal(plan->n_withdrawn, withdrawn);
}

/* The first satellite that is refused, by the reference. */
static enum rc reference_all(char what[WHAT])
{
    for (uint32_t i = 0; i < w.fleet->n_satellites; i++) {
        const struct fleet_want *want = NULL;
        const enum rc rc = reference(i, &w.want[i], &want);
        const char *id = w.fleet->satellite[i].id;

        if (rc == RC_NO_SATELLITE)
            (void)snprintf(what, WHAT, "f.yaml:%u: %s", w.fleet->satellite[i].line, id);
        else if (rc == RC_YAML)
            (void)snprintf(what, WHAT, "f.yaml:%u: %s/%s is given twice for %s", want->line,
                           want->tenant, want->name, id);
        else if (rc != RC_OK)
            (void)snprintf(what, WHAT, "f.yaml:%u: %s/%s %s", want->line, want->tenant, want->name,
                           want->version);
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static void plans_are_those_of_each_satellite_alone(void **state)
{
    uint32_t made = 0, refused = 0, unchanged = 0;

    (void)state;
    for (uint32_t seed = 0; seed < FLEETS; seed++) {
        scoped(plan_free) struct plan *plan = NULL;
        struct err err = { 0 };
        char what[WHAT] = "";

        make_fleet(seed);
        const enum rc want = reference_all(what);

        assert_rc(plan_it(w.base, &plan, &err), want);
        if (want == RC_OK) {
            same_plan(plan);
            made++;
            unchanged += plan->n_satellites - plan->n_changed;
            continue;
        }
        assert_null(plan);
        assert_string_equal(err.what, what);
        refused++;
    }
    assert_true(made > FLEETS / 4 && refused > FLEETS / 20 && unchanged > FLEETS);
}

/* Where lines lie, and whether satellites share them, says nothing. */
static void what_is_shared_changes_nothing(void **state)
{
    static struct plan_base apart[SATS];
    static struct order_line lines[SATS][PAYLOADS];

    (void)state;
    for (uint32_t seed = 0; seed < FLEETS; seed++) {
        scoped(plan_free) struct plan *plan = NULL, *other = NULL;
        struct err err = { 0 };

        make_fleet(seed);
        memcpy(apart, w.base, sizeof apart);
        for (uint32_t i = 0; i < SATS; i++) {
            const struct want *order = &w.base[i].order;

            if (order->n_lines > 0)
                memcpy(lines[i], order->line, order->n_lines * sizeof *order->line);
            apart[i].order.line = lines[i];
        }
        if (plan_it(w.base, &plan, &err) != RC_OK)
            continue;
        assert_rc(plan_it(apart, &other, &err), RC_OK);
        assert_true(digest_same(&plan->hash, &other->hash));
        assert_true(digest_same(&plan->basis, &other->basis));
        assert_int_equal(plan->n_changes, other->n_changes);
        assert_int_equal(plan->n_waves, other->n_waves);
        for (uint32_t i = 0; i < plan->n_satellites; i++)
            assert_int_equal(plan->satellite[i].wave, other->satellite[i].wave);
    }
}

/* ---- the hash -------------------------------------------------------------------------------- */

static void put_want(struct cbor_out *o, const struct want *want)
{
    cbor_put_uint(o, want->generation);
    cbor_put_array(o, want->n_lines);
    for (uint32_t i = 0; i < want->n_lines; i++) {
        cbor_put_text(o, want->line[i].tenant);
        cbor_put_text(o, want->line[i].name);
        cbor_put_bstr(o, (struct bytes){ want->line[i].manifest.b, DIGEST_SIZE });
    }
}

/* All that the hash covers of satellites, in full. */
static void in_full(const struct plan *plan, struct digest *ret)
{
    static uint8_t buf[SATS * 2048];
    struct cbor_out o = { .p = buf, .cap = sizeof buf };
    struct bytes all;
    struct err err = { 0 };

    cbor_put_uint(&o, plan->n_waves);
    for (uint32_t i = 0; i < plan->n_satellites; i++) {
        const struct plan_satellite *sat = &plan->satellite[i];

        cbor_put_text(&o, w.fleet->satellite[i].id);
        cbor_put_uint(&o, sat->changes ? w.fleet->satellite[i].period_ms : 0);
        cbor_put_bool(&o, sat->withdraws);
        cbor_put_uint(&o, w.base[i].newest);
        put_want(&o, &w.base[i].order);
        cbor_put_uint(&o, sat->changes ? sat->wave + 1 : 0);
        put_want(&o, &sat->order);
    }
    assert_rc(cbor_written(&o, &all, &err), RC_OK);
    assert_rc(sha256_of(all, ret->b, &err), RC_OK);
}

/* Another order: one of the others', or a copy of its own that says a little else. */
static void change_order(struct plan_base *base, uint32_t i, uint32_t how)
{
    const uint32_t k = draw(LISTS);

    if (how < 2) {
        base->order.n_lines = w.list_n[k];
        base->order.line = w.list[k];
        return;
    }
    if (base->order.n_lines == 0)
        return;
    if (base->order.line != w.own[i])
        memcpy(w.own[i], base->order.line, base->order.n_lines * sizeof *base->order.line);
    base->order.line = w.own[i];
    struct order_line *line = &w.own[i][draw(base->order.n_lines)];

    if (how == 3)
        line->manifest.b[draw(DIGEST_SIZE)] ^= 1;
    if (how == 4)
        line->manifest384.b[draw(8)] ^= 1; /* not in the hash: the other digest says the same */
    if (how == 5)
        base->order.n_lines--;
    if (how == 6)
        (void)snprintf(line->name, sizeof line->name, "p%u", draw(9));
}

/* A random small change, or none. */
static void change_something(void)
{
    const uint32_t i = draw(w.fleet->n_satellites), how = draw(15);
    struct plan_base *base = &w.base[i];

    if (how < 7)
        change_order(base, i, how);
    if (how == 7)
        base->newest = draw(3);
    if (how == 8)
        base->order.generation = 1 + draw(3);
    if (how == 9)
        base->held = !base->held;
    if (how == 10)
        w.fleet->satellite[i].period_ms ^= 1;
    if (how == 11)
        w.fleet->satellite[i].id[4] ^= 1;
    if (how > 11 && w.fleet->satellite[i].n_labels == 3) /* another wave, if it changes */
        w.fleet->satellite[i].label[2].value[0] ^= 1;
}

static void hash_tells_what_a_full_record_tells(void **state)
{
    uint32_t same = 0, other = 0;

    (void)state;
    for (uint32_t seed = 0; seed < FLEETS; seed++) {
        scoped(plan_free) struct plan *before = NULL, *after = NULL;
        struct digest first, second;
        struct err err = { 0 };

        make_fleet(seed);
        if (plan_it(w.base, &before, &err) != RC_OK)
            continue;
        in_full(before, &first);
        change_something();
        if (plan_it(w.base, &after, &err) != RC_OK || after->n_rollouts != before->n_rollouts)
            continue;
        in_full(after, &second);
        assert_int_equal(digest_same(&first, &second), digest_same(&before->basis, &after->basis));
        same += digest_same(&first, &second);
        other += !digest_same(&first, &second);
    }
    assert_true(same > FLEETS / 20 && other > FLEETS / 20);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(plans_are_those_of_each_satellite_alone),
        ROW(what_is_shared_changes_nothing),
        ROW(hash_tells_what_a_full_record_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
