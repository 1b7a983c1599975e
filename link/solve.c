/* SPDX-License-Identifier: Apache-2.0 */
#include "link/solve.h"

#include <stdlib.h>

#include "base/fs.h"

#define STRIPE 4096U /* bytes of every chunk that are worked on at once */

static_assert(STRIPE >= FEC_VECTOR_MIN, "a stripe can be added");

/* A group that has as many repairs as chunks are missing, or more. */
struct solving {
    struct partial *p;
    uint32_t group;
    struct fec_problem problem;
    uint8_t slot[FEC_DATA_MAX]; /* place of the slot of problem.repair[j] */
    int spare;                  /* place of the slot of one more repair; -1 = none is held */
    uint8_t *matrix;
    uint8_t *in;   /* a stripe of one chunk or repair */
    uint8_t *out;  /* of every missing chunk */
    uint8_t *buf;  /* room for one chunk */
    uint8_t *room; /* for one slot of the repairs' file */
};

static void done(struct solving *s)
{
    free(s->matrix);
    free(s->in);
    free(s->out);
    free(s->buf);
    free(s->room);
}

static uint32_t chunk_at(const struct solving *s, uint32_t place)
{
    return repairs_chunk(&s->p->d, s->group, place);
}

static void pose(struct solving *s)
{
    const struct partial *p = s->p;
    uint32_t n_repairs = 0;

    s->problem = (struct fec_problem){ .k = fec_group_size(p->d.chunks, s->group) };
    s->spare = -1;
    for (uint32_t i = 0; i < s->problem.k; i++)
        if (!partial_have(p, chunk_at(s, i)))
            s->problem.missing[s->problem.n_missing++] = (uint8_t)i;
    for (uint32_t i = 0; i < s->problem.k; i++) {
        const uint8_t held = p->repairs.slot[chunk_at(s, i)];

        if (held == 0)
            continue;
        if (n_repairs == s->problem.n_missing) {
            s->spare = (int)i;
            break;
        }
        s->slot[n_repairs] = (uint8_t)i;
        s->problem.repair[n_repairs++] = (uint8_t)(held - 1);
    }
    assert(s->problem.n_missing > 0 && n_repairs == s->problem.n_missing);
}

static enum rc begin(struct solving *s, struct err *err)
{
    const uint32_t chunk_size = s->p->d.chunk_size;

    pose(s);
    s->matrix = malloc((size_t)s->problem.n_missing * s->problem.k);
    s->out = malloc((size_t)s->problem.n_missing * STRIPE);
    s->in = malloc(STRIPE);
    s->buf = malloc(chunk_size);
    s->room = malloc(REPAIRS_HEAD + chunk_size);
    if (s->matrix == NULL || s->out == NULL || s->in == NULL || s->buf == NULL || s->room == NULL)
        return err_set(err, RC_NO_MEMORY, "group of chunks");
    return fec_solve(&s->problem, s->matrix, err);
}

/* A stripe into s->in, filled up with zeros: of the chunk at a place or, where one is missing, of
 * the repair that stands there in the matrix; *at counts those. */
static enum rc read_stripe(const struct solving *s, uint32_t place, uint32_t *at, uint32_t offset,
                           size_t n, struct err *err)
{
    const struct transfer_descriptor *d = &s->p->d;
    const uint32_t chunk = chunk_at(s, place);
    const uint32_t bytes = transfer_chunk_bytes(d->size, d->chunk_size, chunk);

    memset(s->in, 0, STRIPE);
    if (*at < s->problem.n_missing && s->problem.missing[*at] == place)
        return repairs_read(&s->p->repairs, d, chunk_at(s, s->slot[(*at)++]), offset, s->in, n,
                            err);
    if (offset >= bytes)
        return RC_OK;
    if (n > bytes - offset)
        n = bytes - offset;
    return fs_pread_exact(s->p->fd, s->in, n, (uint64_t)chunk * d->chunk_size + offset, err);
}

static size_t width_of(size_t n)
{
    return n < FEC_VECTOR_MIN ? FEC_VECTOR_MIN : n;
}

/* One stripe of every missing chunk. */
static enum rc solve_stripe(const struct solving *s, uint32_t offset, size_t n, struct err *err)
{
    const struct fec_problem *q = &s->problem;
    const struct transfer_descriptor *d = &s->p->d;
    enum rc rc = RC_OK;
    uint32_t at = 0;

    memset(s->out, 0, (size_t)q->n_missing * STRIPE);
    for (uint32_t i = 0; rc == RC_OK && i < q->k; i++) {
        rc = read_stripe(s, i, &at, offset, n, err);
        for (uint32_t m = 0; rc == RC_OK && m < q->n_missing; m++)
            fec_add(s->matrix[m * q->k + i], s->in, s->out + (size_t)m * STRIPE, width_of(n));
    }
    for (uint32_t m = 0; rc == RC_OK && m < q->n_missing; m++) {
        const uint32_t chunk = chunk_at(s, q->missing[m]);
        const uint32_t bytes = transfer_chunk_bytes(d->size, d->chunk_size, chunk);
        const size_t left = offset < bytes ? bytes - offset : 0;

        rc = partial_write(s->p, (uint64_t)chunk * d->chunk_size + offset,
                           (struct bytes){ s->out + (size_t)m * STRIPE, n < left ? n : left }, err);
    }
    return rc;
}

/* What came out wrong is given back to the disk: repairs have that room. */
static void unfill(const struct solving *s)
{
    for (uint32_t i = 0; i < s->problem.n_missing; i++)
        if (!partial_have(s->p, chunk_at(s, s->problem.missing[i])))
            partial_unfill(s->p, chunk_at(s, s->problem.missing[i]));
}

/* Only what matches the descriptor counts. */
static enum rc judge(struct solving *s, struct err *err)
{
    struct partial *p = s->p;

    for (uint32_t i = 0; i < s->problem.n_missing; i++)
        partial_recheck(p, chunk_at(s, s->problem.missing[i]), s->buf);
    if (partial_missing(p, s->group) > 0)
        return err_set(err, RC_CHUNK_DIGEST, "repairs of group %u", s->group);
    repairs_spend(&p->repairs, &p->d, s->group);
    p->doubted[s->group] = false;
    return RC_OK;
}

static enum rc try(struct solving *s, struct err *err)
{
    struct partial *p = s->p;
    enum rc rc = RC_OK;

    p->dirty = true;
    for (uint32_t at = 0; rc == RC_OK && at < p->d.chunk_size; at += STRIPE) {
        const size_t left = p->d.chunk_size - at;

        rc = solve_stripe(s, at, left < STRIPE ? left : STRIPE, err);
    }
    if (rc == RC_OK)
        rc = judge(s, err);
    if (rc != RC_OK)
        unfill(s);
    return rc;
}

/* It did not come out right: whether something that was held is not what it was.  That is gone
 * then. */
static bool has_decayed(struct solving *s)
{
    struct partial *p = s->p;
    const uint32_t missing = partial_missing(p, s->group);
    const uint32_t held = repairs_held(&p->repairs, &p->d, s->group);

    for (uint32_t i = 0; i < s->problem.k; i++) {
        if (partial_have(p, chunk_at(s, i)))
            partial_recheck(p, chunk_at(s, i), s->buf);
        repairs_recheck(&p->repairs, &p->d, chunk_at(s, i), s->room);
    }
    return partial_missing(p, s->group) > missing ||
           repairs_held(&p->repairs, &p->d, s->group) < held;
}

/* ---- one too many -----------------------------------------------------------------------------
 */

/* The first missing chunk as the repairs give it, and what is left of a further repair when all
 * that it should be made of is taken out: nothing if all are right, a multiple of the error if one
 * is wrong. */
struct doubt {
    uint8_t weight[FEC_DATA_MAX];
    uint8_t *chunk; /* each of a whole chunk, and of what fec_add may need more */
    uint8_t *rest;
    uint8_t *trial;
};

static void doubt_done(struct doubt *d)
{
    free(d->chunk);
    free(d->rest);
    free(d->trial);
}

static enum rc doubt_begin(const struct solving *s, const struct transfer_repair *more,
                           struct doubt *d, struct err *err)
{
    const size_t size = s->p->d.chunk_size;

    d->chunk = calloc(1, size + FEC_VECTOR_MIN);
    d->rest = calloc(1, size + FEC_VECTOR_MIN);
    d->trial = calloc(1, size + FEC_VECTOR_MIN);
    if (d->chunk == NULL || d->rest == NULL || d->trial == NULL)
        return err_set(err, RC_NO_MEMORY, "doubted group of chunks");
    fec_weigh(&s->problem, s->matrix, more->number, d->weight);
    memcpy(d->rest, more->data.p, size);
    return RC_OK;
}

static enum rc doubt_sums(const struct solving *s, struct doubt *d, struct err *err)
{
    const uint32_t size = s->p->d.chunk_size;
    enum rc rc = RC_OK;

    for (uint32_t offset = 0; rc == RC_OK && offset < size; offset += STRIPE) {
        const size_t n = size - offset < STRIPE ? size - offset : STRIPE;
        uint32_t at = 0;

        for (uint32_t i = 0; rc == RC_OK && i < s->problem.k; i++) {
            rc = read_stripe(s, i, &at, offset, n, err);
            if (rc != RC_OK)
                break;
            fec_add(s->matrix[i], s->in, d->chunk + offset, width_of(n));
            fec_add(d->weight[i], s->in, d->rest + offset, width_of(n));
        }
    }
    return rc;
}

/* Which repair is wrong, if it is a single one: without its error the first missing chunk is right.
 * That one is as long as any, or the only one, so no error is behind its end.  RC_CHUNK_DIGEST: no
 * single one is. */
static enum rc find_wrong(const struct solving *s, const struct transfer_repair *more,
                          uint32_t *ret_at, struct err *err)
{
    const struct fec_problem *q = &s->problem;
    const struct transfer_descriptor *t = &s->p->d;
    const uint32_t first = chunk_at(s, q->missing[0]);
    const size_t bytes = transfer_chunk_bytes(t->size, t->chunk_size, first);
    scoped(doubt_done) struct doubt d = { .chunk = NULL };
    enum rc rc = doubt_begin(s, more, &d, err);

    if (rc == RC_OK)
        rc = doubt_sums(s, &d, err);
    for (uint32_t at = 0; rc == RC_OK && at < q->n_missing; at++) {
        const uint8_t share = fec_ratio(s->matrix[q->missing[at]], d.weight[q->missing[at]]);

        memcpy(d.trial, d.chunk, t->chunk_size);
        fec_add(share, d.rest, d.trial, t->chunk_size);
        rc = partial_check(s->p, first, (struct bytes){ d.trial, bytes }, err);
        if (rc == RC_OK) {
            *ret_at = at;
            return RC_OK;
        }
        if (rc == RC_CHUNK_DIGEST)
            rc = RC_OK;
    }
    return rc == RC_OK ? err_set(err, RC_CHUNK_DIGEST, "repairs of group %u", s->group) : rc;
}

/* The repair in the spare slot, as one that came. */
static enum rc read_spare(struct solving *s, struct transfer_repair *ret, struct err *err)
{
    const struct transfer_descriptor *d = &s->p->d;
    const uint32_t chunk = chunk_at(s, (uint32_t)s->spare);

    *ret = (struct transfer_repair){ .group = s->group,
                                     .number = s->p->repairs.slot[chunk] - 1U,
                                     .data = { s->room, d->chunk_size } };
    memcpy(ret->object, d->object, DIGEST_SIZE);
    return repairs_read(&s->p->repairs, d, chunk, 0, s->room, d->chunk_size, err);
}

/* With one repair more than are needed: drop the wrong one and let the further one take its place,
 * or drop them all. */
static enum rc sift(struct solving *s, const struct transfer_repair *more, struct err *err)
{
    struct partial *p = s->p;
    struct transfer_repair spare;
    uint32_t at = 0;
    enum rc rc = RC_OK;

    if (s->spare >= 0) {
        rc = read_spare(s, &spare, err);
        more = &spare;
    }
    if (rc == RC_OK)
        rc = find_wrong(s, more, &at, err);
    if (rc == RC_OK) {
        repairs_drop(&p->repairs, &p->d, chunk_at(s, s->slot[at]));
        p->doubted[s->group] = false;
        if (s->spare < 0)
            rc = repairs_replace(&p->repairs, &p->d, chunk_at(s, s->slot[at]), more, err);
    }
    return rc;
}

enum rc solve_group(struct partial *p, uint32_t group, const struct transfer_repair *more,
                    struct err *err)
{
    scoped(done) struct solving s = { .p = p, .group = group };
    scoped(done) struct solving again = { .p = p, .group = group };
    enum rc rc = begin(&s, err);

    if (rc != RC_OK)
        return rc;
    /* What is held alone was tried before, if there is doubt about it. */
    if (!p->doubted[group] || s.spare >= 0) {
        rc = try(&s, err);
        if (rc != RC_CHUNK_DIGEST)
            return rc;
        p->doubted[group] = !has_decayed(&s);
        if (!p->doubted[group] || (more == NULL && s.spare < 0))
            return rc;
    }
    rc = sift(&s, more, err);
    if (rc == RC_OK)
        rc = begin(&again, err);
    if (rc == RC_OK)
        rc = try(&again, err);
    if (rc == RC_CHUNK_DIGEST) {
        repairs_drop_group(&p->repairs, &p->d, group);
        p->doubted[group] = false;
    }
    return rc;
}
