/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan_waves.h"

#include <stdlib.h>

#include "orchestrator/arena.h"

#define NO_GROUP NAMES_NONE
#define NOBODY UINT32_MAX

/* Satellites that share a value of a rule's label. */
struct group {
    uint32_t most; /* in one wave */
    uint32_t left; /* not dealt yet */
    uint32_t used; /* in this wave */
};

/* One rule, and who is in which group of it. */
struct spread {
    uint32_t n;          /* groups */
    struct group *group; /* by number */
    uint32_t *of;        /* of each satellite that is dealt, or NO_GROUP */
};

/* Satellites that are in the same group of every rule stand and fall together: it is the first of
 * them that goes next. */
struct dealing {
    const struct plan_dealing *in;
    uint32_t dealt;
    uint32_t *wave; /* UINT32_MAX = not dealt */
    struct spread spread[PLAN_SPREAD_MAX];
    uint32_t n_kinds;
    uint32_t *kind; /* of each satellite */
    uint32_t *head; /* of each kind: the first that may be dealt now, or NOBODY */
    uint32_t *next; /* of each satellite: the next of its kind, or NOBODY */
    struct arena room;
};

static void dealing_done(struct dealing *d)
{
    arena_done(&d->room);
}

/* n numbers, not set. */
static enum rc numbers(struct dealing *d, uint32_t n, uint32_t **ret, struct err *err)
{
    *ret = arena_get(&d->room, (n + 1U) * sizeof **ret);
    return *ret ? RC_OK : err_set(err, RC_NO_MEMORY, "waves");
}

static bool same_rule(const struct fleet_spread *a, const struct fleet_spread *b)
{
    return strcmp(a->key, b->key) == 0 && a->n == b->n && a->percent == b->percent;
}

enum rc plan_spread(struct plan_dealing *in, const struct fleet_policy *policy, struct err *err)
{
    for (uint32_t i = 0; i < policy->n_spread; i++) {
        uint32_t k = 0;

        while (k < in->n_spread && !same_rule(&in->spread[k], &policy->spread[i]))
            k++;
        if (k < in->n_spread)
            continue;
        if (k == PLAN_SPREAD_MAX)
            return err_set(err, RC_YAML, "%s:%u: spread: more than %u different rules in one plan",
                           in->fleet->source, policy->spread[i].line, PLAN_SPREAD_MAX);
        in->spread[in->n_spread++] = policy->spread[i];
    }
    return RC_OK;
}

/* What the rule lets of so many satellites of the file with a value; one at least. */
static uint32_t most_of(const struct fleet_spread *rule, uint32_t n)
{
    if (rule->percent == 0)
        return rule->n;
    return n * rule->percent >= 100 ? n * rule->percent / 100 : 1;
}

/* Number the values, and count who of the file has each. */
static enum rc find_groups(struct dealing *d, uint32_t rule, struct names *values, struct err *err)
{
    const struct fleet *fleet = d->in->fleet;
    struct spread *s = &d->spread[rule];
    enum rc rc = names_make(values, fleet->n_satellites, err);

    if (rc != RC_OK)
        return rc;
    s->group = arena_get(&d->room, (fleet->n_satellites + 1U) * sizeof *s->group);
    if (!s->group)
        return err_set(err, RC_NO_MEMORY, "waves");
    for (uint32_t i = 0; i < fleet->n_satellites; i++) {
        const char *value = fleet_label_of(&fleet->satellite[i], d->in->spread[rule].key);
        const uint32_t at = value ? names_put(values, value) : NO_GROUP;

        if (values->n > s->n)
            s->group[s->n++] = (struct group){ .most = 0 };
        if (at != NO_GROUP)
            s->group[at].most++;
    }
    for (uint32_t i = 0; i < s->n; i++)
        s->group[i].most = most_of(&d->in->spread[rule], s->group[i].most);
    return RC_OK;
}

static enum rc group_by(struct dealing *d, uint32_t rule, struct err *err)
{
    scoped(names_done) struct names values = { 0 };
    struct spread *s = &d->spread[rule];
    enum rc rc = find_groups(d, rule, &values, err);

    if (rc == RC_OK)
        rc = numbers(d, d->in->n, &s->of, err);
    for (uint32_t i = 0; rc == RC_OK && i < d->in->n; i++) {
        const struct fleet_satellite *sat = &d->in->fleet->satellite[d->in->which[i]];
        const char *value = fleet_label_of(sat, d->in->spread[rule].key);

        s->of[i] = value ? names_find(&values, value) : NO_GROUP;
        if (s->of[i] != NO_GROUP)
            s->group[s->of[i]].left++;
    }
    return rc;
}

/* A satellite with the kind that it has so far, and its group of one more rule. */
struct kin {
    uint32_t kind, group, at;
};

static int by_kin(const void *a, const void *b)
{
    const struct kin *x = a, *y = b;

    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    return (x->group > y->group) - (x->group < y->group);
}

/* Those of one kind that one more rule tells apart are of different kinds. */
static enum rc tell_apart(struct dealing *d, uint32_t rule, struct err *err)
{
    scoped(free_ptr) struct kin *kin = calloc(d->in->n + 1U, sizeof *kin);

    if (!kin)
        return err_set(err, RC_NO_MEMORY, "waves");
    for (uint32_t i = 0; i < d->in->n; i++)
        kin[i] = (struct kin){ d->kind[i], d->spread[rule].of[i], i };
    qsort(kin, d->in->n, sizeof *kin, by_kin);
    for (uint32_t i = 0, kind = 0; i < d->in->n; i++) {
        kind += i > 0 && by_kin(&kin[i - 1], &kin[i]) != 0;
        d->kind[kin[i].at] = kind;
        d->n_kinds = kind + 1;
    }
    return RC_OK;
}

static enum rc prepare(struct dealing *d, struct err *err)
{
    enum rc rc = numbers(d, d->in->n, &d->kind, err);

    d->n_kinds = 1;
    if (rc == RC_OK)
        rc = numbers(d, d->in->n, &d->next, err);
    for (uint32_t i = 0; rc == RC_OK && i < d->in->n; i++)
        d->kind[i] = 0;
    for (uint32_t r = 0; rc == RC_OK && r < d->in->n_spread; r++) {
        rc = group_by(d, r, err);
        if (rc == RC_OK)
            rc = tell_apart(d, r, err);
    }
    return rc == RC_OK ? numbers(d, d->n_kinds, &d->head, err) : rc;
}

/* That of a satellite by a rule; NULL = it has no such label. */
static struct group *group_of(const struct dealing *d, uint32_t rule, uint32_t i)
{
    const uint32_t at = d->spread[rule].of[i];

    return at == NO_GROUP ? NULL : &d->spread[rule].group[at];
}

static bool has_room(const struct dealing *d, uint32_t i)
{
    for (uint32_t r = 0; r < d->in->n_spread; r++) {
        const struct group *g = group_of(d, r, i);

        if (g && g->used >= g->most)
            return false;
    }
    return true;
}

/* How many waves its fullest group still needs, as a fraction. */
static struct group need(const struct dealing *d, uint32_t i)
{
    struct group ret = { .most = 1 };

    for (uint32_t r = 0; r < d->in->n_spread; r++) {
        const struct group *g = group_of(d, r, i);

        if (g && (uint64_t)g->left * ret.most > (uint64_t)ret.left * g->most)
            ret = *g;
    }
    return ret;
}

/* Those that are not dealt and meet the condition, by kind and in the order of the file. */
static void line_up(struct dealing *d, const struct fleet_label *condition)
{
    for (uint32_t k = 0; k < d->n_kinds; k++)
        d->head[k] = NOBODY;
    for (uint32_t i = d->in->n; i-- > 0;) {
        if (d->wave[i] != UINT32_MAX ||
            !fleet_matches(&d->in->fleet->satellite[d->in->which[i]], condition))
            continue;
        d->next[i] = d->head[d->kind[i]];
        d->head[d->kind[i]] = i;
    }
}

/* Who is next of those that are lined up: whose group has most left, then the first in the file;
 * NOBODY. */
static uint32_t choose(const struct dealing *d)
{
    struct group most = { .most = 1 };
    uint32_t best = NOBODY;

    for (uint32_t k = 0; k < d->n_kinds; k++) {
        const uint32_t i = d->head[k];

        if (i == NOBODY || !has_room(d, i))
            continue;
        const struct group is = need(d, i);
        const uint64_t ours = (uint64_t)is.left * most.most, theirs = (uint64_t)most.left * is.most;

        if (best == NOBODY || ours > theirs || (ours == theirs && i < best)) {
            best = i;
            most = is;
        }
    }
    return best;
}

/* Deal at most `most` satellites that meet the condition into a wave; returns how many. */
static uint32_t deal(struct dealing *d, const struct fleet_label *condition, uint32_t most,
                     uint32_t wave)
{
    uint32_t n = 0;

    line_up(d, condition);
    for (; n < most; n++) {
        const uint32_t i = choose(d);

        if (i == NOBODY)
            break;
        d->wave[i] = wave;
        d->head[d->kind[i]] = d->next[i];
        for (uint32_t r = 0; r < d->in->n_spread; r++) {
            struct group *g = group_of(d, r, i);

            if (g) {
                g->used++;
                g->left--;
            }
        }
    }
    d->dealt += n;
    return n;
}

static uint32_t fill(struct dealing *d, const struct fleet_wave *w, uint32_t wave)
{
    static const struct fleet_label any;
    const uint32_t n = d->in->n;
    uint32_t got = 0;

    for (uint32_t r = 0; r < d->in->n_spread; r++)
        for (uint32_t i = 0; i < d->spread[r].n; i++)
            d->spread[r].group[i].used = 0;
    if (w->percent != 0) {
        uint32_t until = (n * w->percent + 99) / 100;

        return until > d->dealt ? deal(d, &any, until - d->dealt, wave) : 0;
    }
    got = deal(d, &w->label, w->n != 0 ? w->n : n, wave);
    return got < w->n ? got + deal(d, &any, w->n - got, wave) : got;
}

/* The rule that keeps the first one out, of those that have most left. */
static enum rc refuse(const struct dealing *d, struct err *err)
{
    const struct plan_dealing *in = d->in;
    uint32_t i = 0, rule = 0;

    while (d->wave[i] != UINT32_MAX)
        i++;
    while (!group_of(d, rule, i) || group_of(d, rule, i)->used < group_of(d, rule, i)->most)
        rule++;
    const struct fleet_satellite *sat = &in->fleet->satellite[in->which[i]];
    const struct group *g = group_of(d, rule, i);

    return err_set(err, RC_YAML,
                   "%s:%u: spread: no wave has room for %s: %u of %s=%s a wave; add waves",
                   in->fleet->source, in->spread[rule].line, sat->id, g->most, in->spread[rule].key,
                   fleet_label_of(sat, in->spread[rule].key));
}

enum rc plan_waves(const struct plan_dealing *in, uint32_t *ret, uint32_t *ret_waves,
                   struct err *err)
{
    scoped(dealing_done) struct dealing d = { .in = in, .wave = ret };
    uint32_t used = 0;
    enum rc rc = prepare(&d, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < in->n; i++)
        ret[i] = UINT32_MAX;
    for (uint32_t i = 0; i < in->n_waves; i++)
        used += fill(&d, &in->wave[i], used) > 0;
    if (d.dealt < in->n)
        return refuse(&d, err);
    *ret_waves = used;
    return RC_OK;
}
