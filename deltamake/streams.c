/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/streams.h"

#include <stdlib.h>

#include "delta/view.h"

#define GUIDE_SHARE 32U /* a guide gives at least this part of what the best one gives */
#define CANDIDATES 64U  /* old files that are counted for one new file */

/* Room for n more bytes at the end; NULL without memory. */
static uint8_t *heap_room(struct heap *h, size_t n)
{
    if (!h->p || h->cap - h->n < n) {
        size_t cap = (h->cap + n) * 2 + 64;
        uint8_t *grown = realloc(h->p, cap);

        if (!grown)
            return NULL;
        h->p = grown;
        h->cap = cap;
    }
    return h->p + h->n;
}

static enum rc heap_add(struct heap *h, struct bytes b, struct err *err)
{
    uint8_t *room = heap_room(h, b.n);

    if (!room)
        return err_set(err, RC_NO_MEMORY, "stream of %zu bytes", h->n);
    if (b.n > 0)
        memcpy(room, b.p, b.n);
    h->n += b.n;
    return RC_OK;
}

void streams_done(struct streams *s)
{
    for (unsigned i = 0; i < FORMAT_STREAMS; i++)
        free(s->s[i].p);
    *s = (struct streams){ .s = { { .p = NULL } } };
}

/* ---- guides ---------------------------------------------------------------------------------- */

struct candidate {
    uint32_t file;
    uint64_t bytes;
};

/* The candidate of an old file; NULL when there are too many. */
static struct candidate *candidate_of(struct candidate *c, size_t *n, uint32_t file)
{
    for (size_t i = 0; i < *n; i++)
        if (c[i].file == file)
            return &c[i];
    if (*n == CANDIDATES)
        return NULL;
    c[*n] = (struct candidate){ .file = file };
    return &c[(*n)++];
}

static int by_bytes(const void *a, const void *b)
{
    const struct candidate *x = a;
    const struct candidate *y = b;
    int more = (x->bytes < y->bytes) - (x->bytes > y->bytes);

    return more ? more : (x->file > y->file) - (x->file < y->file);
}

/* Follow the references of those old files that give the new one most of its bytes. */
static void choose_guides(const struct writer *w, struct bytes file,
                          const struct match_list *matches, struct predict_plan *plan)
{
    struct candidate c[CANDIDATES];
    size_t n = 0;
    struct view new;

    view_of(file, &new);
    if (w->plain || new.format == VIEW_PLAIN)
        return;
    for (uint32_t i = 0; i < matches->n; i++) {
        uint32_t at = 0;
        bool found = image_find(w->image, matches->m[i].from, &at);
        struct candidate *one = found ? candidate_of(c, &n, at) : NULL;

        if (one)
            one->bytes += matches->m[i].size;
    }
    qsort(c, n, sizeof *c, by_bytes);
    for (size_t i = 0; i < n && plan->n_guides < MAP_GUIDES_MAX; i++) {
        struct view old;

        if (c[i].bytes * GUIDE_SHARE < c[0].bytes)
            break;
        if (c[i].file >= image_files(w->image))
            continue; /* an opened one guides nothing */
        view_of(w->files->old.f[c[i].file], &old);
        if (old.n_parts > 0 && view_fits(&old, &new))
            plan->guides[plan->n_guides++] = c[i].file;
    }
}

/* ---- one file -------------------------------------------------------------------------------- */

/* Begin with as many guides as the predictor's bounds allow. */
static enum rc begin(const struct writer *w, struct predict_plan *plan, struct err *err)
{
    enum rc rc = predict_begin(w->predict, plan, err);

    while ((rc == RC_DELTA_MEMORY || rc == RC_DELTA_WORK) && plan->n_guides > 0) {
        plan->n_guides--;
        rc = predict_begin(w->predict, plan, err);
    }
    return rc;
}

static enum rc add_control(struct writer *w, const struct control_file *file, struct heap *out,
                           struct err *err)
{
    uint8_t *room = heap_room(out, control_bound(file->plan.n_matches));

    if (!room)
        return err_set(err, RC_NO_MEMORY, "control of %u matches", file->plan.n_matches);
    out->n += control_put(&w->control, file, room);
    return RC_OK;
}

/* What the predictor gets wrong in one match. */
static enum rc add_diff(struct predict *p, struct bytes file, uint64_t at, struct heap *out,
                        struct err *err)
{
    struct bytes piece;

    while ((piece = predict_next(p)).n > 0) {
        uint8_t *room = heap_room(out, piece.n);

        if (!room)
            return err_set(err, RC_NO_MEMORY, "stream of %zu bytes", out->n);
        for (size_t i = 0; i < piece.n; i++)
            room[i] = (uint8_t)(file.p[at + i] - piece.p[i]);
        out->n += piece.n;
        predict_actual(p, file.p + at);
        at += piece.n;
    }
    return RC_OK;
}

enum rc streams_begin(struct writer *w, bool opens, struct streams *ret, struct err *err)
{
    struct control_group group = { .n_opened = opens ? w->files->n_list : 0,
                                   .packs = opens && w->files->packs };
    struct heap *out = &ret->s[FORMAT_CONTROL];
    uint8_t *room = heap_room(out, control_group_bound(group.n_opened));
    enum rc rc = room ? image_room(w->image, group.n_opened, err)
                      : err_set(err, RC_NO_MEMORY, "list of opened files");

    if (rc != RC_OK)
        return rc;
    out->n += control_put_group(&group, w->files->list, room);
    for (uint32_t i = 0; rc == RC_OK && i < group.n_opened; i++)
        rc = image_add(w->image, w->files->list[i], err);
    return rc;
}

enum rc streams_add(struct writer *w, uint32_t number, const struct match_list *matches,
                    struct streams *ret, struct err *err)
{
    struct bytes file = w->files->new.f[number];
    struct control_file c = {
        .number = number,
        .plan = { .size = (uint32_t)file.n, .n_matches = matches->n, .matches = matches->m },
        .packed_size = w->files->packed_size[number],
        .packed = w->files->how[number],
    };
    uint64_t at = 0;

    if (file.n > PREDICT_SIZE_MAX)
        return err_set(err, RC_TOO_LARGE, "new file of %zu bytes", file.n);
    choose_guides(w, file, matches, &c.plan);

    enum rc rc = begin(w, &c.plan, err);

    if (rc == RC_OK)
        rc = add_control(w, &c, &ret->s[FORMAT_CONTROL], err);
    for (uint32_t i = 0; rc == RC_OK && i < matches->n; i++) {
        const struct predict_match *m = &matches->m[i];
        struct bytes literal = { file.p + at, m->at - at };

        predict_literal(w->predict, literal);
        rc = heap_add(&ret->s[FORMAT_EXTRA], literal, err);
        if (rc == RC_OK)
            rc = predict_match(w->predict, i, err);
        if (rc == RC_OK)
            rc = add_diff(w->predict, file, m->at, &ret->s[FORMAT_DIFF], err);
        at = (uint64_t)m->at + m->size;
    }
    if (rc == RC_OK)
        rc = heap_add(&ret->s[FORMAT_EXTRA], (struct bytes){ file.p + at, file.n - at }, err);
    return rc;
}
