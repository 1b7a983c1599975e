/* SPDX-License-Identifier: Apache-2.0
 *
 * link/fec: the erasure code of transfers: systematic Reed-Solomon over GF(256), polynomial 0x11d.
 *
 * The chunks of an object fall into groups of at most FEC_DATA_MAX: chunk i belongs to group
 * i mod groups, where it has place i div groups, so that a run of lost chunks is spread over all
 * groups.  Repair number r of a group of k chunks is the sum of coefficient(r, place) times chunk
 * over all places; the coefficients are those of a Cauchy matrix, so that any k of a group's chunks
 * and repairs give all its chunks.  The last chunk of an object counts as filled up with zeros.
 *
 * Pure, and the one door to ISA-L (libisal).  The satellite solves, the ground adds up.
 */
#ifndef BERTH_LINK_FEC_H
#define BERTH_LINK_FEC_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define FEC_DATA_MAX 128U   /* chunks of one group */
#define FEC_REPAIR_MAX 128U /* repairs of one group */
#define FEC_GROUPS_MAX ((CHUNKS_MAX + FEC_DATA_MAX - 1U) / FEC_DATA_MAX)
#define FEC_VECTOR_MIN 64U /* fewest bytes that fec_add adds */

static_assert(FEC_DATA_MAX + FEC_REPAIR_MAX <= 256U, "the field has room for them");

/* Groups of an object of so many chunks (1 to CHUNKS_MAX), and chunks of one of them. */
uint32_t fec_groups(uint32_t chunks);
uint32_t fec_group_size(uint32_t chunks, uint32_t group);

/* What the chunk at a place below k is multiplied by in a repair; r is below FEC_REPAIR_MAX. */
uint8_t fec_coefficient(uint32_t k, uint32_t r, uint32_t place);

/* out += coefficient * in, both of n >= FEC_VECTOR_MIN bytes and apart. */
void fec_add(uint8_t coefficient, const uint8_t *in, uint8_t *out, size_t n);

/* How to get back what is missing of a group. */
struct fec_problem {
    uint32_t k;                    /* chunks of the group */
    uint32_t n_missing;            /* 1 to k; as many repairs are at hand */
    uint8_t missing[FEC_DATA_MAX]; /* places, rising */
    uint8_t repair[FEC_DATA_MAX];  /* numbers, all different */
};

/* Factors: matrix[m * k + i] is what chunk i is multiplied by to give missing chunk m; at the
 * places that are missing stand the factors of the repairs, repair[j] at missing[j].  matrix has
 * room for n_missing * k. RC_NO_MEMORY, or RC_INTERNAL when a repair is named twice. */
must_check enum rc fec_solve(const struct fec_problem *problem, uint8_t *matrix, struct err *err);

/* How a further repair, number more, hangs together with the others of a problem and what fec_solve
 * gave for it: of that repair and of weights[i] times the chunk, or the repair, that stands at
 * place i, the sum is zero.  weights holds k. */
void fec_weigh(const struct fec_problem *problem, const uint8_t *matrix, uint32_t more,
               uint8_t *weights);

/* a / b in the field; 0 where b is 0. */
uint8_t fec_ratio(uint8_t a, uint8_t b);

#endif
