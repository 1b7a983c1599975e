/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/refs.h"

#include <assert.h>
#include <stdlib.h>

#include "delta/refs_step.h"

#define SEEK_STEPS 8
#define FIXED_COST 8192U /* of a struct refs: part of the format, never changes */

static_assert(sizeof(struct refs) <= FIXED_COST, "what a delta declares stays enough");

/* Bytes of checkpoints that a part needs. */
static uint64_t index_size(const struct view_part *part)
{
    switch (part->kind) {
    case VIEW_CODE_X86:
        return part->size / REFS_CODE_BLOCK + 1;
    case VIEW_EHFRAME:
        return (part->size / REFS_FRAME_BLOCK + 1) * 2;
    case VIEW_RODATA: /* one bit per four bytes: code takes the address of this place */
        return part->size / 32 + 1;
    case VIEW_PCLNTAB: /* whether its records are in order */
        return 1;
    case VIEW_CODE_ARM64:
    case VIEW_RELA:
    case VIEW_RELR:
    case VIEW_DYNSYM:
    case VIEW_DYNAMIC:
    case VIEW_POINTERS:
    case VIEW_EHHDR:
    case VIEW_TYPELINK:
    case VIEW_MOTABLE:
        break;
    }
    return 0;
}

uint64_t refs_cost(const struct view *view)
{
    uint64_t sum = FIXED_COST;

    for (uint32_t i = 0; i < view->n_parts; i++)
        sum += index_size(&view->parts[i]);
    return sum;
}

enum rc refs_new(struct bytes file, const struct view *view, struct refs **ret, struct err *err)
{
    struct refs *refs = calloc(1, refs_cost(view));
    uint64_t at = 0;

    if (!refs)
        return err_set(err, RC_NO_MEMORY, "references");
    refs->file = file;
    refs->view = *view;
    for (uint32_t i = 0; i < view->n_parts; i++) {
        refs->index[i] = at;
        at += index_size(&view->parts[i]);
    }
    for (uint32_t i = 0; i < view->n_parts; i++) {
        const struct view_part *part = &refs->view.parts[i];

        if (part->kind == VIEW_CODE_X86)
            refs_index_x86(refs, part, refs->mem + refs->index[i]);
        else if (part->kind == VIEW_EHFRAME)
            refs_index_frames(refs, part, refs->mem + refs->index[i]);
        else if (part->kind == VIEW_PCLNTAB)
            refs_index_pclntab(refs, part, refs->mem + refs->index[i]);
    }
    *ret = refs;
    return RC_OK;
}

void refs_free(struct refs **refs)
{
    free(*refs);
    *refs = NULL;
}

const struct view *refs_view(const struct refs *refs)
{
    return &refs->view;
}

void refs_seek(struct refs_walk *w, const struct refs *refs, uint64_t pos)
{
    uint32_t low = 0;
    uint32_t high = refs->view.n_parts;

    while (low < high) { /* the first part that ends behind pos */
        uint32_t mid = low + (high - low) / 2;

        if (refs->view.parts[mid].off + refs->view.parts[mid].size <= pos)
            low = mid + 1;
        else
            high = mid;
    }
    *w = (struct refs_walk){ .refs = refs, .pos = pos, .part = low, .steps = SEEK_STEPS };
}

static bool step(struct refs_walk *w, const struct view_part *part, uint64_t limit, struct ref *ret)
{
    switch (part->kind) {
    case VIEW_CODE_X86:
        return refs_step_x86(w, part, limit, ret);
    case VIEW_CODE_ARM64:
        return refs_step_arm64(w, part, limit, ret);
    case VIEW_RODATA:
        return refs_step_rodata(w, part, limit, ret);
    case VIEW_EHFRAME:
        return refs_step_frames(w, part, limit, ret);
    case VIEW_PCLNTAB:
        return refs_step_pclntab(w, part, limit, ret);
    case VIEW_RELA:
    case VIEW_RELR:
    case VIEW_DYNSYM:
    case VIEW_DYNAMIC:
    case VIEW_POINTERS:
    case VIEW_EHHDR:
    case VIEW_TYPELINK:
    case VIEW_MOTABLE:
        break;
    }
    return refs_step_rows(w, part, limit, ret);
}

bool refs_next(struct refs_walk *w, uint64_t end, struct ref *ret)
{
    const struct view *v = &w->refs->view;

    for (; w->part < v->n_parts; w->part++, w->synced = false, w->rows = 0) {
        const struct view_part *part = &v->parts[w->part];
        uint64_t part_end = part->off + part->size;

        if (w->pos < part->off)
            w->pos = part->off;
        if (w->pos >= end)
            return false;
        if (w->pos < part_end && step(w, part, end < part_end ? end : part_end, ret)) {
            w->pos = ret->pos + ret->width;
            return true;
        }
        if (end <= part_end)
            return false;
    }
    return false;
}
