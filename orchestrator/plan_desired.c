/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan_desired.h"

#include <stdlib.h>

#include "orchestrator/verdict.h"

#define MADE_SLOTS 256U /* a power of two */

/* What one want comes to, once it was looked for. */
struct found {
    const struct store_package *package; /* NULL = not looked for, or not there */
    struct order_line line;
};

/* Wants that stand together under the same condition: one entry of the file. */
struct entry {
    uint32_t first, n; /* wants */
    bool holds;        /* one of them leaves what runs as it is */
    bool by_id;        /* it selects by that, not by labels */
    bool matches;      /* the satellite looked at last */
};

/* The lines of satellites that the same entries select, none of which holds. */
struct made {
    uint32_t n;
    const uint32_t *entry; /* n of them */
    struct want want;
    struct want alike; /* the order that was last found to have the same lines */
};

struct desired {
    const struct plan_input *in;
    struct arena *arena;
    struct found *found; /* of each want */
    struct entry *entry;
    uint32_t n_entries;
    bool any_by_id;                        /* of them */
    const struct fleet_satellite *matches; /* whom entries were looked at for last, or NULL */
    uint32_t *matched;                     /* those that select it */
    uint32_t n_matched;
    struct made *last;             /* what the lines found last are in; NULL = in order */
    struct made *slot[MADE_SLOTS]; /* by the entries, the last one that fell there */
    struct order order;            /* room to make one */
};

void desired_free(struct desired **desired)
{
    if (!*desired)
        return;
    free((*desired)->found);
    free((*desired)->entry);
    free((*desired)->matched);
    free(*desired);
    *desired = NULL;
}

static bool same_condition(const struct fleet_label *a, const struct fleet_label *b)
{
    return strcmp(a->key, b->key) == 0 && strcmp(a->value, b->value) == 0;
}

static void find_entries(struct desired *d)
{
    const struct fleet *fleet = d->in->fleet;

    for (uint32_t i = 0; i < fleet->n_wants; i++) {
        if (i == 0 || !same_condition(&fleet->want[i].select, &fleet->want[i - 1].select))
            d->entry[d->n_entries++] =
                (struct entry){ .first = i, .by_id = strcmp(fleet->want[i].select.key, "id") == 0 };
        d->any_by_id |= d->entry[d->n_entries - 1].by_id;
        d->entry[d->n_entries - 1].n++;
        d->entry[d->n_entries - 1].holds |= fleet->want[i].hold;
    }
}

enum rc desired_new(const struct plan_input *in, struct arena *arena, struct desired **ret,
                    struct err *err)
{
    scoped(desired_free) struct desired *d = calloc(1, sizeof *d);
    const size_t n = in->fleet->n_wants + 1U;

    if (!d)
        return err_set(err, RC_NO_MEMORY, "plan");
    d->in = in;
    d->arena = arena;
    d->found = calloc(n, sizeof *d->found);
    d->entry = calloc(n, sizeof *d->entry);
    d->matched = calloc(n, sizeof *d->matched);
    if (!d->found || !d->entry || !d->matched)
        return err_set(err, RC_NO_MEMORY, "plan");
    find_entries(d);
    *ret = d;
    d = NULL;
    return RC_OK;
}

/* ---- making the lines of one ------------------------------------------------------------------
 */

static const struct store_package *find_package(const struct plan_input *in,
                                                const struct fleet_want *want)
{
    for (size_t i = 0; i < in->n_packages; i++)
        if (strcmp(in->packages[i].tenant, want->tenant) == 0 &&
            strcmp(in->packages[i].name, want->name) == 0 &&
            strcmp(in->packages[i].version, want->version) == 0)
            return &in->packages[i];
    return NULL;
}

/* Keeps the lines sorted by tenant, then name, as an order must be. */
static enum rc insert_line(struct order *order, const struct fleet *fleet, unsigned at,
                           const struct order_line *line, struct err *err)
{
    const struct want so_far = want_of(order);
    uint32_t i = order->n_lines;

    if (verdict_order_line(&so_far, line->tenant, line->name))
        return err_set(err, RC_YAML, "%s:%u: %s/%s is given twice for %s", fleet->source, at,
                       line->tenant, line->name, order->satellite);
    if (i == PAYLOADS_MAX)
        return err_set(err, RC_YAML, "%s:%u: more than %u payloads on %s", fleet->source, at,
                       PAYLOADS_MAX, order->satellite);
    while (i > 0) {
        const struct order_line *before = &order->line[i - 1];
        int by_tenant = strcmp(before->tenant, line->tenant);

        if (by_tenant < 0 || (by_tenant == 0 && strcmp(before->name, line->name) < 0))
            break;
        order->line[i] = *before;
        i--;
    }
    order->line[i] = *line;
    order->n_lines++;
    return RC_OK;
}

static enum rc find_want(struct desired *d, uint32_t index, struct err *err)
{
    const struct plan_input *in = d->in;
    const struct fleet_want *want = &in->fleet->want[index];
    struct found *found = &d->found[index];
    const struct store_package *package = find_package(in, want);

    if (!package)
        return err_set(err, RC_NO_PACKAGE, "%s:%u: %s/%s %s", in->fleet->source, want->line,
                       want->tenant, want->name, want->version);
    if (want->has_digest && !digest_same(&want->manifest, &package->manifest))
        return err_set(err, RC_DIGEST_MISMATCH, "%s:%u: %s/%s %s", in->fleet->source, want->line,
                       want->tenant, want->name, want->version);
    memcpy(found->line.tenant, want->tenant, sizeof found->line.tenant);
    memcpy(found->line.name, want->name, sizeof found->line.name);
    found->line.manifest = package->manifest;
    found->package = package;
    return RC_OK;
}

static enum rc add_want(struct desired *d, uint32_t index, const struct plan_base *base,
                        struct err *err)
{
    const struct fleet *fleet = d->in->fleet;
    const struct fleet_want *want = &fleet->want[index];

    if (want->hold) {
        const struct order_line *held = verdict_order_line(&base->order, want->tenant, want->name);

        return held ? insert_line(&d->order, fleet, want->line, held, err) : RC_OK;
    }
    enum rc rc = d->found[index].package ? RC_OK : find_want(d, index, err);

    return rc == RC_OK ? insert_line(&d->order, fleet, want->line, &d->found[index].line, err) : rc;
}

/* Into d->order. */
static enum rc make_lines(struct desired *d, uint32_t satellite, struct err *err)
{
    const struct plan_base *base = &d->in->base[satellite];
    enum rc rc = RC_OK;

    d->order.n_lines = 0;
    memcpy(d->order.satellite, d->in->fleet->satellite[satellite].id, sizeof d->order.satellite);
    for (uint32_t k = 0; rc == RC_OK && k < d->n_matched; k++) {
        const struct entry *entry = &d->entry[d->matched[k]];

        for (uint32_t i = 0; rc == RC_OK && i < entry->n; i++)
            rc = add_want(d, entry->first + i, base, err);
    }
    return rc;
}

/* ---- those of all -----------------------------------------------------------------------------
 */

static bool same_labels(const struct fleet_satellite *a, const struct fleet_satellite *b)
{
    return a->n_labels == b->n_labels &&
           (a->n_labels == 0 || memcmp(a->label, b->label, a->n_labels * sizeof *a->label) == 0);
}

/* Which entries select it; returns whether one of them holds.  alike: it has the labels of the one
 * before, and those say the same. */
static bool match(struct desired *d, const struct fleet_satellite *sat, bool alike)
{
    const struct fleet *fleet = d->in->fleet;
    bool holds = false;

    d->n_matched = 0;
    for (uint32_t i = 0; i < d->n_entries; i++) {
        struct entry *entry = &d->entry[i];

        if (!alike || entry->by_id)
            entry->matches = fleet_matches(sat, &fleet->want[entry->first].select);
        if (!entry->matches)
            continue;
        d->matched[d->n_matched++] = i;
        holds |= entry->holds;
    }
    return holds;
}

static struct made **slot_of(struct desired *d)
{
    uint32_t mark = d->n_matched;

    for (uint32_t i = 0; i < d->n_matched; i++)
        mark = (mark ^ d->matched[i]) * 16777619U;
    return &d->slot[(mark ^ mark >> 16) % MADE_SLOTS];
}

/* A copy of the lines in d->order for all that the same entries select. */
static enum rc keep_made(struct desired *d, struct made **ret, struct err *err)
{
    struct made *made = arena_get(d->arena, sizeof *made);

    if (!made)
        return err_set(err, RC_NO_MEMORY, "plan");
    *made = (struct made){ .n = d->n_matched };
    made->entry = arena_copy(d->arena, d->matched, d->n_matched * sizeof *d->matched);
    if (!made->entry && d->n_matched > 0)
        return err_set(err, RC_NO_MEMORY, "plan");
    *ret = made;
    return want_keep(d->arena, &d->order, &made->want, err);
}

static bool is_made(const struct desired *d, const struct made *made)
{
    return made && made->n == d->n_matched &&
           (made->n == 0 || memcmp(made->entry, d->matched, made->n * sizeof *made->entry) == 0);
}

static enum rc find(struct desired *d, uint32_t satellite, bool alike, struct err *err)
{
    const bool holds = match(d, &d->in->fleet->satellite[satellite], alike);
    struct made **slot = slot_of(d);
    enum rc rc = RC_OK;

    d->last = NULL;
    if (holds || !is_made(d, *slot))
        rc = make_lines(d, satellite, err);
    if (rc == RC_OK && !holds && !is_made(d, *slot))
        rc = keep_made(d, slot, err);
    if (rc == RC_OK && !holds)
        d->last = *slot;
    return rc;
}

enum rc desired_find(struct desired *d, uint32_t satellite, struct want *ret, struct err *err)
{
    const struct fleet *fleet = d->in->fleet;
    const struct fleet_satellite *sat = &fleet->satellite[satellite];
    const bool alike = d->matches && same_labels(d->matches, sat);

    if (!d->in->base[satellite].known)
        return err_set(err, RC_NO_SATELLITE, "%s:%u: %s", fleet->source, sat->line, sat->id);
    d->matches = sat; /* neighbours in the file mostly have the same labels */
    if (!alike || !d->last || d->any_by_id) {
        enum rc rc = find(d, satellite, alike, err);

        if (rc != RC_OK)
            return rc;
    }
    *ret = d->last ? d->last->want : want_of(&d->order);
    ret->generation = d->in->base[satellite].newest + 1;
    return RC_OK;
}

bool desired_is(struct desired *d, const struct want *order)
{
    const struct want found = d->last ? d->last->want : want_of(&d->order);

    if (d->last && d->last->alike.n_lines == order->n_lines && order->n_lines > 0 &&
        d->last->alike.line == order->line)
        return true;
    if (!want_same_lines(&found, order))
        return false;
    if (d->last)
        d->last->alike = *order;
    return true;
}

enum rc desired_keep(struct desired *d, struct want *want, struct err *err)
{
    if (d->last || want->n_lines == 0)
        return RC_OK;
    want->line = arena_copy(d->arena, want->line, want->n_lines * sizeof *want->line);
    return want->line ? RC_OK : err_set(err, RC_NO_MEMORY, "plan");
}
