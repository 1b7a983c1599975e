/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan_waves.h"

#include <stdlib.h>

#define NO_GROUP UINT32_MAX

/* Satellites that share a value of a rule's label: kept at the place of their first one. */
struct group {
    uint32_t most; /* in one wave */
    uint32_t left; /* not dealt yet */
    uint32_t used; /* in this wave */
};

struct dealing {
    const struct plan_dealing *in;
    uint32_t dealt;
    uint32_t *wave;                                     /* UINT32_MAX = not dealt */
    uint32_t of[PLAN_SPREAD_MAX][FLEET_SATELLITES_MAX]; /* place of its group, or NO_GROUP */
    struct group group[PLAN_SPREAD_MAX][FLEET_SATELLITES_MAX];
};

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

/* What the rule lets of the satellites of the file with this value; one at least. */
static uint32_t most_of(const struct fleet *fleet, const struct fleet_spread *rule,
                        const char *value)
{
    uint32_t n = 0;

    if (rule->percent == 0)
        return rule->n;
    for (uint32_t i = 0; i < fleet->n_satellites; i++) {
        const char *is = fleet_label_of(&fleet->satellite[i], rule->key);

        n += is && strcmp(is, value) == 0;
    }
    return n * rule->percent >= 100 ? n * rule->percent / 100 : 1;
}

static void group_by(struct dealing *d, uint32_t rule)
{
    const struct plan_dealing *in = d->in;

    for (uint32_t i = 0; i < in->n; i++) {
        const struct fleet_satellite *sat = &in->fleet->satellite[in->which[i]];
        const char *value = fleet_label_of(sat, in->spread[rule].key);
        uint32_t at = 0;

        d->of[rule][i] = NO_GROUP;
        if (!value)
            continue;
        while (d->of[rule][at] != at ||
               strcmp(fleet_label_of(&in->fleet->satellite[in->which[at]], in->spread[rule].key),
                      value) != 0) {
            if (at == i)
                break;
            at++;
        }
        if (at == i)
            d->group[rule][i].most = most_of(in->fleet, &in->spread[rule], value);
        d->of[rule][i] = at;
        d->group[rule][at].left++;
    }
}

/* That of a satellite by a rule; NULL = it has no such label. */
static struct group *group_of(struct dealing *d, uint32_t rule, uint32_t i)
{
    const uint32_t at = d->of[rule][i];

    return at == NO_GROUP ? NULL : &d->group[rule][at];
}

static bool has_room(struct dealing *d, uint32_t i)
{
    for (uint32_t r = 0; r < d->in->n_spread; r++) {
        const struct group *g = group_of(d, r, i);

        if (g && g->used >= g->most)
            return false;
    }
    return true;
}

/* How many waves its fullest group still needs, as a fraction. */
static struct group need(struct dealing *d, uint32_t i)
{
    struct group ret = { .most = 1 };

    for (uint32_t r = 0; r < d->in->n_spread; r++) {
        const struct group *g = group_of(d, r, i);

        if (g && (uint64_t)g->left * ret.most > (uint64_t)ret.left * g->most)
            ret = *g;
    }
    return ret;
}

/* Who is next of those that meet the condition; in->n = nobody. */
static uint32_t choose(struct dealing *d, const struct fleet_label *condition)
{
    struct group most = { .most = 1 };
    uint32_t best = d->in->n;

    for (uint32_t i = 0; i < d->in->n; i++) {
        if (d->wave[i] != UINT32_MAX || !has_room(d, i) ||
            !fleet_matches(&d->in->fleet->satellite[d->in->which[i]], condition))
            continue;
        const struct group is = need(d, i);

        if (best == d->in->n || (uint64_t)is.left * most.most > (uint64_t)most.left * is.most) {
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

    for (; n < most; n++) {
        const uint32_t i = choose(d, condition);

        if (i == d->in->n)
            break;
        d->wave[i] = wave;
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
        for (uint32_t i = 0; i < n; i++)
            d->group[r][i].used = 0;
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
    while (d->of[rule][i] == NO_GROUP ||
           d->group[rule][d->of[rule][i]].used < d->group[rule][d->of[rule][i]].most)
        rule++;
    const struct fleet_satellite *sat = &in->fleet->satellite[in->which[i]];
    const struct group *g = &d->group[rule][d->of[rule][i]];

    return err_set(err, RC_YAML,
                   "%s:%u: spread: no wave has room for %s: %u of %s=%s a wave; add waves",
                   in->fleet->source, in->spread[rule].line, sat->id, g->most, in->spread[rule].key,
                   fleet_label_of(sat, in->spread[rule].key));
}

enum rc plan_waves(const struct plan_dealing *in, uint32_t *ret, uint32_t *ret_waves,
                   struct err *err)
{
    scoped(free_ptr) struct dealing *d = calloc(1, sizeof *d);
    uint32_t used = 0;

    if (!d)
        return err_set(err, RC_NO_MEMORY, "waves");
    d->in = in;
    d->wave = ret;
    for (uint32_t i = 0; i < in->n; i++)
        ret[i] = UINT32_MAX;
    for (uint32_t r = 0; r < in->n_spread; r++)
        group_by(d, r);
    for (uint32_t i = 0; i < in->n_waves; i++)
        used += fill(d, &in->wave[i], used) > 0;
    if (d->dealt < in->n)
        return refuse(d, err);
    *ret_waves = used;
    return RC_OK;
}
