/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/refs_step: inside delta/refs: what the walks through each kind of part share.
 */
#ifndef BERTH_DELTA_REFS_STEP_H
#define BERTH_DELTA_REFS_STEP_H

#include "delta/refs.h"

#define REFS_CODE_BLOCK 256U   /* x86: where the first instruction begins, once per block */
#define REFS_FRAME_BLOCK 1024U /* the same for records of .eh_frame */
#define REFS_NO_FRAME 0xffffU

struct refs {
    struct bytes file;
    struct view view;
    uint64_t index[VIEW_PARTS_MAX]; /* where each part's checkpoints begin in mem */
    uint8_t mem[];
};

/* Find the next field at or behind w->pos that ends at limit or before, limit being at most the
 * part's end.  w->pos lies in the part. */
bool refs_step_x86(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                   struct ref *ret);
bool refs_step_arm64(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                     struct ref *ret);
bool refs_step_rows(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                    struct ref *ret);
bool refs_step_rodata(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                      struct ref *ret);
bool refs_step_frames(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                      struct ref *ret);
bool refs_step_pclntab(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                       struct ref *ret);

/* Fill the checkpoints of a part. */
void refs_index_x86(struct refs *refs, const struct view_part *part, uint8_t *sync);
void refs_index_frames(const struct refs *refs, const struct view_part *part, uint8_t *sync);
void refs_index_pclntab(const struct refs *refs, const struct view_part *part, uint8_t *sane);

/* The checkpoints of a part. */
static inline const uint8_t *refs_index_of(const struct refs *refs, const struct view_part *part)
{
    return refs->mem + refs->index[part - refs->view.parts];
}

/* The address of offset off of a part. */
static inline uint64_t refs_va(const struct view_part *part, uint64_t off)
{
    return part->va + (off - part->off);
}

/* Whether something may lie at this address. */
static inline bool refs_loaded(const struct view *v, uint64_t va)
{
    return va >= v->low && va <= v->high;
}

/* A 32-bit field, with its sign. */
static inline uint64_t refs_field32(const uint8_t *p)
{
    return (uint64_t)(int64_t)(int32_t)view_le32(p);
}

#endif
