/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/predict: what a new file's bytes are likely to be, given its matches and the old files.
 * Maker and applier run this same code over the same bytes: the maker emits actual - predicted, the
 * applier adds it.  So every step depends on old bytes, on matches and on new bytes already known.
 *
 *     predict_begin(p, plan, err);
 *     for each match i, in order:
 *         predict_literal(p, the bytes between the matches);
 *         predict_match(p, i, err);
 *         while (predict_next(p, &piece), piece.n > 0)
 *             predict_actual(p, the piece.n bytes that the new file has there);
 *     (what follows the last match needs no call)
 */
#ifndef BERTH_DELTA_PREDICT_H
#define BERTH_DELTA_PREDICT_H

#include "delta/image.h"
#include "delta/map.h"

/* New bytes [at, at + size) resemble old ones at position from of the image, which are read `shift`
 * bits later (0 to 7, towards the higher bits first: LLVM bitcode).  Lies within one old file; with
 * a shift, one byte more of it is read. */
struct predict_match {
    uint64_t from;
    uint32_t at;
    uint32_t size : 29;
    uint32_t shift : 3;
};

/* One new file. */
struct predict_plan {
    uint32_t size; /* bytes */
    uint32_t n_matches;
    const struct predict_match *matches; /* by at, disjoint, size > 0; stay the caller's */
    uint32_t n_guides;
    uint32_t guides[MAP_GUIDES_MAX]; /* old files whose references are followed, different */
};

#define PREDICT_SIZE_MAX ((1U << 29) - 1U) /* of a new file that is not sent as a whole */

struct predict;

/* image must outlive the predictor.  memory: what its analyses may take at most, in bytes. */
must_check enum rc predict_new(struct image *image, uint64_t memory, struct predict **ret,
                               struct err *err);
void predict_free(struct predict **p); /* takes the address, a scope cleaner */

/* Analyses may take so much from here on, and predict_used begins anew.  Nothing may be kept from
 * before: predict_forget first. */
void predict_limit(struct predict *p, uint64_t memory);

/* A group is over: free the guides and the map.  Its memory is the next one's. */
void predict_forget(struct predict *p);

/* What the next file's matches may take beside what is kept from the last one, which is over: in
 * bytes. */
uint64_t predict_room(struct predict *p);

/* Begin a new file.  The plan has been checked (control_read does it).  RC_DELTA_MEMORY when the
 * guides and the map need more than the predictor may take, RC_DELTA_WORK when more has been
 * analysed than PREDICT_WORK times the old image. */
#define PREDICT_WORK 16U

/* Walks through references may take so many steps (struct refs_walk) in all, and so many for each
 * byte of the new files begun so far; once they are used up, matches are predicted to be the old
 * bytes.  Ordinary files use about one: the bound is for old files made to be slow. */
#define PREDICT_STEPS 16
#define PREDICT_STEPS_FREE (1 << 22)
must_check enum rc predict_begin(struct predict *p, const struct predict_plan *plan,
                                 struct err *err);

/* Bytes of the new file that no match covers. */
void predict_literal(struct predict *p, struct bytes actual);

/* Begin match i: everything before it has been given. */
must_check enum rc predict_match(struct predict *p, uint32_t i, struct err *err);

/* The next piece of the match: a view until the next call, at most PREDICT_PIECE bytes; empty at
 * the end of the match. */
#define PREDICT_PIECE 4096U
struct bytes predict_next(struct predict *p);

/* What is there really: as many bytes as the last piece had. */
void predict_actual(struct predict *p, const uint8_t *actual);

/* The most memory that was in use at a time since predict_limit, in bytes: what a delta has to
 * declare for it. */
uint64_t predict_used(const struct predict *p);

#endif
