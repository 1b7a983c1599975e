/* SPDX-License-Identifier: Apache-2.0 */
#include "link/fec.h"

#include <isa-l/erasure_code.h>
#include <stdlib.h>

#define TABLE_SIZE 32 /* what ISA-L expands one coefficient to */

uint32_t fec_groups(uint32_t chunks)
{
    assert(chunks > 0 && chunks <= CHUNKS_MAX);
    return (chunks + FEC_DATA_MAX - 1) / FEC_DATA_MAX;
}

uint32_t fec_group_size(uint32_t chunks, uint32_t group)
{
    const uint32_t groups = fec_groups(chunks);

    assert(group < groups);
    return (chunks - group + groups - 1) / groups;
}

/* Row and column numbers of a Cauchy matrix are all different: columns 0 to k - 1, rows from k. */
uint8_t fec_coefficient(uint32_t k, uint32_t r, uint32_t place)
{
    assert(k <= FEC_DATA_MAX && r < FEC_REPAIR_MAX && place < k);
    return gf_inv((uint8_t)((k + r) ^ place));
}

void fec_add(uint8_t coefficient, const uint8_t *in, uint8_t *out, size_t n)
{
    uint8_t table[TABLE_SIZE];
    union {
        const uint8_t *in;
        uint8_t *as_isal_wants_it; /* which reads it only */
    } source = { .in = in };

    assert(n >= FEC_VECTOR_MIN && n <= CHUNK_MAX);
    ec_init_tables(1, 1, &coefficient, table);
    gf_vect_mad((int)n, 1, 0, table, source.as_isal_wants_it, out);
}

/* The square matrix that multiplies the missing chunks, turned around. */
static enum rc invert(const struct fec_problem *p, uint8_t *inverse, struct err *err)
{
    const uint32_t e = p->n_missing;
    scoped(free_ptr) uint8_t *square = malloc((size_t)e * e);

    if (square == NULL)
        return err_set(err, RC_NO_MEMORY, "matrix of a group");
    for (uint32_t j = 0; j < e; j++)
        for (uint32_t m = 0; m < e; m++)
            square[j * e + m] = fec_coefficient(p->k, p->repair[j], p->missing[m]);
    if (gf_invert_matrix(square, inverse, (int)e) != 0)
        return err_set(err, RC_INTERNAL, "repairs of a group");
    return RC_OK;
}

/* A chunk that is there is in every repair: what it adds there has to be taken out again. */
static void solve_known(const struct fec_problem *p, const uint8_t *inverse, uint32_t place,
                        uint8_t *matrix)
{
    const uint32_t e = p->n_missing;

    for (uint32_t m = 0; m < e; m++) {
        uint8_t sum = 0;

        for (uint32_t j = 0; j < e; j++)
            sum ^= gf_mul(inverse[m * e + j], fec_coefficient(p->k, p->repair[j], place));
        matrix[m * p->k + place] = sum;
    }
}

enum rc fec_solve(const struct fec_problem *p, uint8_t *matrix, struct err *err)
{
    const uint32_t e = p->n_missing;

    assert(p->k >= 1 && p->k <= FEC_DATA_MAX && e >= 1 && e <= p->k);
    scoped(free_ptr) uint8_t *inverse = malloc((size_t)e * e);
    uint32_t at = 0; /* of the missing ones */

    if (inverse == NULL)
        return err_set(err, RC_NO_MEMORY, "matrix of a group");
    enum rc rc = invert(p, inverse, err);
    if (rc != RC_OK)
        return rc;
    for (uint32_t place = 0; place < p->k; place++) {
        if (at == e || p->missing[at] != place) {
            solve_known(p, inverse, place, matrix);
            continue;
        }
        for (uint32_t m = 0; m < e; m++)
            matrix[m * p->k + place] = inverse[m * e + at];
        at++;
    }
    assert(at == e);
    return RC_OK;
}

void fec_weigh(const struct fec_problem *p, const uint8_t *matrix, uint32_t more, uint8_t *weights)
{
    uint32_t at = 0; /* of the missing ones */

    for (uint32_t place = 0; place < p->k; place++) {
        const bool missing = at < p->n_missing && p->missing[at] == place;
        uint8_t sum = missing ? 0 : fec_coefficient(p->k, more, place);

        at += missing ? 1 : 0;
        for (uint32_t m = 0; m < p->n_missing; m++)
            sum ^= gf_mul(fec_coefficient(p->k, more, p->missing[m]), matrix[m * p->k + place]);
        weights[place] = sum;
    }
}

uint8_t fec_ratio(uint8_t a, uint8_t b)
{
    return gf_mul(a, gf_inv(b));
}
