/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/predict.h"

#include <assert.h>
#include <stdlib.h>

#include "delta/field.h"
#include "delta/refs.h"

#define FIXED_COST 16384U /* of a struct predict: part of the format, as is the next one */
#define MATCH_COST 16U
#define SPARE_SEGMENTS 64U /* of a map, for matches that lie in several loads */

/* An old file whose references are followed. */
struct guide {
    uint32_t file;
    bool held;
    struct refs *refs; /* NULL = it has none */
};

struct predict {
    struct image *image;
    uint64_t memory; /* that may be in use */
    uint64_t used;   /* the most that was */
    uint64_t work;   /* bytes that may still be analysed */
    int64_t steps;   /* that walks may still take; below zero = owed */
    struct predict_plan plan;
    struct guide guides[MAP_GUIDES_MAX];
    struct map *map; /* NULL = nothing is predicted */

    struct view view; /* of the new file, once its head is known */
    bool seen;
    size_t head_n;
    size_t head_want;
    uint64_t at; /* next byte of the new file */

    const struct predict_match *match;
    struct bytes old; /* the match's bytes, one more with a shift */
    uint64_t old_at;  /* where they begin in their file */
    size_t done;      /* bytes of the match that were predicted and are known */
    unsigned guide;   /* the match's, MAP_GUIDES_MAX = none */
    bool walking;
    bool has_ref;
    struct refs_walk walk;
    struct ref ref; /* the next one */

    size_t piece; /* size of the last piece */
    bool piece_is_field;
    struct field_state fields;
    struct field_guess guess;
    uint8_t head[VIEW_HEAD_MAX];
    uint8_t buf[PREDICT_PIECE];
};

static_assert(sizeof(struct predict) <= FIXED_COST && sizeof(struct predict_match) <= MATCH_COST,
              "what a delta declares stays enough");

enum rc predict_new(struct image *image, uint64_t memory, struct predict **ret, struct err *err)
{
    struct predict *p = calloc(1, sizeof *p);

    if (!p)
        return err_set(err, RC_NO_MEMORY, "prediction");
    p->image = image;
    p->memory = memory;
    p->work = image_size(image) * PREDICT_WORK;
    p->steps = PREDICT_STEPS_FREE;
    *ret = p;
    return RC_OK;
}

static void guide_close(struct guide *g)
{
    if (!g->held)
        return;
    refs_free(&g->refs);
    *g = (struct guide){ .held = false };
}

void predict_free(struct predict **p)
{
    if (!*p)
        return;
    predict_forget(*p);
    free(*p);
    *p = NULL;
}

void predict_forget(struct predict *p)
{
    for (unsigned i = 0; i < MAP_GUIDES_MAX; i++)
        guide_close(&p->guides[i]);
    map_free(&p->map);
}

uint64_t predict_used(const struct predict *p)
{
    return p->used;
}

void predict_limit(struct predict *p, uint64_t memory)
{
    for (unsigned i = 0; i < MAP_GUIDES_MAX; i++)
        assert(!p->guides[i].held);
    p->memory = memory;
    p->used = 0;
}

/* Count memory before it is allocated. */
static enum rc reserve(struct predict *p, uint64_t *sum, uint64_t more, struct err *err)
{
    *sum += more;
    if (*sum > p->memory)
        return err_set(err, RC_DELTA_MEMORY, "%llu bytes", (unsigned long long)*sum);
    if (*sum > p->used)
        p->used = *sum;
    return RC_OK;
}

/* What lives on from the last new file: the guides, not the map. */
static uint64_t kept_cost(struct predict *p)
{
    uint64_t sum = FIXED_COST;

    map_free(&p->map);
    for (unsigned i = 0; i < MAP_GUIDES_MAX; i++)
        if (p->guides[i].refs)
            sum += refs_cost(refs_view(p->guides[i].refs));
    return sum;
}

uint64_t predict_room(struct predict *p)
{
    uint64_t kept = kept_cost(p);

    return kept < p->memory ? p->memory - kept : 0;
}

/* The guide that the last new file had, too: it moves to its place in this one's plan. */
static void keep_guides(struct predict *p, const struct predict_plan *plan)
{
    struct guide kept[MAP_GUIDES_MAX] = { 0 };

    for (uint32_t i = 0; i < plan->n_guides; i++)
        for (unsigned k = 0; k < MAP_GUIDES_MAX; k++)
            if (p->guides[k].held && p->guides[k].file == plan->guides[i]) {
                kept[i] = p->guides[k];
                p->guides[k] = (struct guide){ .held = false };
            }
    for (unsigned k = 0; k < MAP_GUIDES_MAX; k++)
        guide_close(&p->guides[k]);
    memcpy(p->guides, kept, sizeof kept);
}

/* A guide that is not held yet. */
static enum rc guide_open(struct predict *p, struct guide *g, uint32_t file, uint64_t *sum,
                          struct err *err)
{
    struct bytes bytes = { .n = 0 };
    struct view view;
    enum rc rc = image_map(p->image, file, &bytes, err);

    if (rc != RC_OK)
        return rc;
    if (bytes.n > p->work)
        return err_set(err, RC_DELTA_WORK, "old file %u", file);
    p->work -= bytes.n;
    view_of(bytes, &view);
    if (view.format != VIEW_PLAIN) {
        rc = reserve(p, sum, refs_cost(&view), err);
        if (rc == RC_OK)
            rc = refs_new(bytes, &view, &g->refs, err);
        if (rc != RC_OK)
            return rc;
    }
    g->file = file;
    g->held = true;
    return RC_OK;
}

/* All guides of the plan.  Those that were kept are there already, so they count before any other
 * one is opened. */
static enum rc open_guides(struct predict *p, uint64_t *sum, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; i < p->plan.n_guides && rc == RC_OK; i++)
        if (p->guides[i].refs)
            rc = reserve(p, sum, refs_cost(refs_view(p->guides[i].refs)), err);
    for (uint32_t i = 0; i < p->plan.n_guides && rc == RC_OK; i++)
        if (!p->guides[i].held)
            rc = guide_open(p, &p->guides[i], p->plan.guides[i], sum, err);
    return rc;
}

/* The guide that a match follows; MAP_GUIDES_MAX for none. */
static unsigned guide_of(const struct predict *p, const struct predict_match *m)
{
    uint32_t file = 0;

    if (m->shift > 0 || !image_find(p->image, m->from, &file))
        return MAP_GUIDES_MAX;
    for (unsigned i = 0; i < p->plan.n_guides; i++)
        if (p->guides[i].file == file && p->guides[i].refs)
            return i;
    return MAP_GUIDES_MAX;
}

static enum rc make_map(struct predict *p, uint64_t *sum, struct err *err)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < p->plan.n_matches; i++)
        n += guide_of(p, &p->plan.matches[i]) < MAP_GUIDES_MAX;
    if (n == 0)
        return RC_OK;
    n += SPARE_SEGMENTS;

    enum rc rc = reserve(p, sum, map_cost(n), err);

    return rc == RC_OK ? map_new(n, &p->map, err) : rc;
}

enum rc predict_begin(struct predict *p, const struct predict_plan *plan, struct err *err)
{
    uint64_t matches = (uint64_t)plan->n_matches * MATCH_COST;
    uint64_t sum = kept_cost(p);
    enum rc rc = reserve(p, &sum, matches, err);

    if (rc != RC_OK)
        return rc;
    sum = FIXED_COST + matches;
    keep_guides(p, plan);
    p->plan = *plan;
    p->seen = false;
    p->head_n = 0;
    p->head_want = plan->size < 64 ? plan->size : 64;
    p->at = 0;
    p->match = NULL;
    p->piece = 0;
    p->fields = (struct field_state){ 0 };
    rc = open_guides(p, &sum, err);
    if (rc == RC_OK)
        rc = make_map(p, &sum, err);
    if (rc == RC_OK) /* the maker tries again with fewer guides: counted once */
        p->steps += (int64_t)plan->size * PREDICT_STEPS;
    return rc;
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Where a match moves addresses: its part in each load of the old file and each of the new. */
static void add_segments(struct predict *p, const struct predict_match *m, unsigned guide)
{
    const struct view *old = refs_view(p->guides[guide].refs);
    uint64_t from = m->from - image_start(p->image, p->guides[guide].file);
    uint64_t by = from - m->at; /* old offset - new offset */

    if (!view_fits(old, &p->view))
        return;
    for (uint32_t b = 0; b < p->view.n_loads; b++) {
        if (m->at >= p->view.loads[b].off + p->view.loads[b].size ||
            (uint64_t)m->at + m->size <= p->view.loads[b].off)
            continue;
        for (uint32_t a = 0; a < old->n_loads; a++) {
            const struct view_load *to = &p->view.loads[b];
            const struct view_load *of = &old->loads[a];
            uint64_t low = max_of(max_of(m->at, to->off) + by, of->off);
            uint64_t high = min_of(min_of((uint64_t)m->at + m->size, to->off + to->size) + by,
                                   of->off + of->size);

            if (low >= high)
                continue;
            (void)map_add(p->map, guide, low - of->off + of->va, low - by - to->off + to->va,
                          high - low); /* what finds no room is not predicted */
        }
    }
}

/* The head is known: make the view and the map. */
static void head_seen(struct predict *p)
{
    p->seen = true;
    if (!p->map)
        return;
    view_of_head((struct bytes){ .p = p->head, .n = p->head_n }, p->plan.size, &p->view);
    for (uint32_t i = 0; i < p->plan.n_matches; i++) {
        unsigned guide = guide_of(p, &p->plan.matches[i]);

        if (guide < MAP_GUIDES_MAX)
            add_segments(p, &p->plan.matches[i], guide);
    }
    map_sort(p->map);
}

/* Bytes of the new file have become known. */
static void known(struct predict *p, const uint8_t *bytes, size_t n)
{
    p->at += n;
    assert(p->at <= p->plan.size);
    while (!p->seen && n > 0) {
        size_t some = min_of(n, p->head_want - p->head_n);

        memcpy(p->head + p->head_n, bytes, some);
        p->head_n += some;
        bytes += some;
        n -= some;
        if (p->head_n < p->head_want)
            return;

        size_t want = view_head_size((struct bytes){ .p = p->head, .n = p->head_n });

        if (want > p->head_want && want <= p->plan.size)
            p->head_want = want;
        else
            head_seen(p);
    }
}

void predict_literal(struct predict *p, struct bytes actual)
{
    if (actual.n > 0)
        known(p, actual.p, actual.n);
}

enum rc predict_match(struct predict *p, uint32_t i, struct err *err)
{
    const struct predict_match *m = &p->plan.matches[i];
    struct bytes file = { .n = 0 };
    uint32_t index = 0;

    assert(i < p->plan.n_matches && p->at == m->at);
    if (!image_find(p->image, m->from, &index))
        return err_set(err, RC_INTERNAL, "match %u", i);

    enum rc rc = image_map(p->image, index, &file, err);

    if (rc != RC_OK)
        return rc;
    p->match = m;
    p->old_at = m->from - image_start(p->image, index);
    p->old = (struct bytes){ .p = file.p + p->old_at, .n = file.n - (size_t)p->old_at };
    p->done = 0;
    p->guide = p->map ? guide_of(p, m) : MAP_GUIDES_MAX;
    p->walking = false;
    p->has_ref = false;
    assert(p->old.n >= m->size + (m->shift > 0 ? 1U : 0U));
    return RC_OK;
}

/* Find the next reference of the match, once its predecessor has been dealt with. */
static void find_ref(struct predict *p)
{
    if (p->guide == MAP_GUIDES_MAX)
        return;

    const struct refs *refs = p->guides[p->guide].refs;

    if (!p->walking) {
        if (!view_fits(refs_view(refs), &p->view)) {
            p->guide = MAP_GUIDES_MAX;
            return;
        }
        refs_seek(&p->walk, refs, p->old_at + p->done);
        p->walking = true;
    } else if (p->has_ref && p->ref.pos >= p->old_at + p->done) {
        return;
    }
    p->has_ref = p->steps > 0 && refs_next(&p->walk, p->old_at + p->match->size, &p->ref);
    p->steps -= (int64_t)p->walk.steps;
    p->walk.steps = 0;
    if (!p->has_ref)
        p->guide = MAP_GUIDES_MAX;
}

/* The reference is next: predict its field; false if it cannot be. */
static bool predict_field(struct predict *p)
{
    uint64_t va = 0;

    if (!view_va(&p->view, p->at, &va))
        return false;
    memcpy(p->buf, p->old.p + p->done, p->ref.width);
    field_predict(p->map, p->guide, &p->ref, va, p->at, p->buf, &p->guess);
    return true;
}

static struct bytes shifted(struct predict *p, size_t n)
{
    const uint8_t *old = p->old.p + p->done;
    unsigned shift = p->match->shift;

    for (size_t i = 0; i < n; i++)
        p->buf[i] = (uint8_t)(old[i] >> shift | old[i + 1] << (8 - shift));
    return (struct bytes){ .p = p->buf, .n = n };
}

struct bytes predict_next(struct predict *p)
{
    size_t n = p->match->size - p->done;

    assert(p->piece == 0);
    n = n < PREDICT_PIECE ? n : PREDICT_PIECE;
    p->piece = n;
    p->piece_is_field = false;
    if (p->match->shift > 0)
        return shifted(p, n);
    if (!p->seen && p->head_want - p->head_n < n) {
        p->piece = p->head_want - p->head_n;
    } else if (p->seen && n > 0) {
        find_ref(p);
        if (p->guide < MAP_GUIDES_MAX) {
            uint64_t gap = p->ref.pos - (p->old_at + p->done);

            if (gap > 0) {
                p->piece = gap < n ? (size_t)gap : n;
            } else {
                p->piece = p->ref.width;
                p->piece_is_field = predict_field(p);
            }
        }
    }
    return (struct bytes){ .p = p->piece_is_field ? p->buf : p->old.p + p->done, .n = p->piece };
}

void predict_actual(struct predict *p, const uint8_t *actual)
{
    if (p->piece_is_field)
        field_learn(&p->fields, p->map, &p->ref, &p->guess, actual);
    known(p, actual, p->piece);
    p->done += p->piece;
    p->piece = 0;
}
