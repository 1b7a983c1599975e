/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/insn.h"
#include "delta/refs_step.h"

#define PAIR_WORDS 16U /* how far from its ADRP the other half of an address is looked for */
#define PAGE 4096U

/* The instruction at offset at; it may not reach behind the part. */
static struct insn_x86 insn_at(const struct refs *refs, const struct view_part *part, uint64_t at)
{
    return insn_x86(
        (struct bytes){ .p = refs->file.p + at, .n = (size_t)(part->off + part->size - at) });
}

/* The address that the field of an instruction at offset at refers to. */
static uint64_t x86_target(const struct refs *refs, const struct view_part *part, uint64_t at,
                           struct insn_x86 in)
{
    return refs_va(part, at) + in.size + refs_field32(refs->file.p + at + in.field);
}

/* Code takes the address of a place in read-only data: a jump table may begin there. */
static void note_taken(struct refs *refs, uint64_t va)
{
    if (va % 4 != 0)
        return;
    for (uint32_t i = 0; i < refs->view.n_parts; i++) {
        const struct view_part *part = &refs->view.parts[i];

        if (part->kind == VIEW_RODATA && va - part->va < part->size) {
            uint64_t slot = (va - part->va) / 4;

            refs->mem[refs->index[i] + slot / 8] |= (uint8_t)(1U << slot % 8);
        }
    }
}

void refs_index_x86(struct refs *refs, const struct view_part *part, uint8_t *sync)
{
    uint64_t end = part->off + part->size;
    uint64_t block = part->off;

    for (uint64_t at = part->off; at < end;) {
        if (at >= block) { /* an instruction is shorter than a block */
            *sync++ = (uint8_t)(at - block);
            block += REFS_CODE_BLOCK;
        }

        struct insn_x86 in = insn_at(refs, part, at);

        if (in.field > 0 && !in.branch)
            note_taken(refs, x86_target(refs, part, at, in));
        at += in.size > 0 ? in.size : 1;
    }
}

/* An instruction boundary before every instruction that has a field at or behind pos. */
static uint64_t x86_sync(const struct refs *refs, const struct view_part *part, uint64_t pos)
{
    uint64_t into = pos - part->off;
    uint64_t block = into < INSN_X86_MAX ? 0 : (into - INSN_X86_MAX) / REFS_CODE_BLOCK;

    return part->off + block * REFS_CODE_BLOCK + refs_index_of(refs, part)[block];
}

bool refs_step_x86(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                   struct ref *ret)
{
    if (!w->synced)
        w->at = x86_sync(w->refs, part, w->pos);
    w->synced = true;
    while (w->at < limit) {
        uint64_t at = w->at;
        struct insn_x86 in = insn_at(w->refs, part, at);
        uint64_t field = at + in.field;

        w->at += in.size > 0 ? in.size : 1;
        w->steps++;
        if (in.field == 0 || field < w->pos || field + 4 > limit)
            continue;

        uint64_t target = x86_target(w->refs, part, at, in);

        if (!refs_loaded(&w->refs->view, target))
            continue;
        *ret = (struct ref){ .pos = field,
                             .kind = REF_PC32,
                             .width = 4,
                             .bias = (uint8_t)(in.size - in.field),
                             .target = target };
        return true;
    }
    return false;
}

static uint32_t word_at(const struct refs *refs, uint64_t at)
{
    return view_le32(refs->file.p + at);
}

static uint64_t page_of(const struct view_part *part, uint64_t at, int64_t pages)
{
    return (refs_va(part, at) & ~(uint64_t)(PAGE - 1)) + (uint64_t)pages * PAGE;
}

/* The words from an ADRP to the next use of its register: what the use adds, 0 = none. */
static uint64_t low_half(const struct refs *refs, const struct view_part *part, uint64_t at,
                         uint8_t reg)
{
    uint64_t end = part->off + part->size;

    for (unsigned i = 1; i <= PAIR_WORDS && at + 4 * (i + 1) <= end; i++) {
        uint32_t word = word_at(refs, at + 4 * i);
        struct insn_arm64 in = insn_arm64(word);

        if (in.kind == INSN_LO12 && in.reg == reg)
            return (uint64_t)in.value;
        if ((word & 31) == reg)
            break; /* the register is another one's now */
    }
    return 0;
}

/* The ADRP that a use of its register belongs to: its offset; false if it is not near. */
static bool high_half(const struct refs *refs, const struct view_part *part, uint64_t at,
                      uint8_t reg, uint64_t *ret)
{
    for (unsigned i = 1; i <= PAIR_WORDS && at - part->off >= 4 * i; i++) {
        uint32_t word = word_at(refs, at - 4 * i);

        if ((word & 31) != reg)
            continue;
        *ret = at - 4 * i;
        return insn_arm64(word).kind == INSN_ADRP;
    }
    return false;
}

/* What the word at offset at refers to. */
static bool arm64_ref(const struct refs *refs, const struct view_part *part, uint64_t at,
                      struct ref *ret)
{
    struct insn_arm64 in = insn_arm64(word_at(refs, at));
    struct ref r = { .pos = at, .kind = REF_ARM64, .width = 4 };
    uint64_t pair = 0;

    switch (in.kind) {
    case INSN_NONE:
        return false;
    case INSN_LO12:
        if (!high_half(refs, part, at, in.reg, &pair))
            return false;
        r.base = at - pair;
        r.target = page_of(part, pair, insn_arm64(word_at(refs, pair)).value) + (uint64_t)in.value;
        break;
    case INSN_ADRP:
        r.target = page_of(part, at, in.value) + low_half(refs, part, at, in.reg);
        break;
    case INSN_ADR:
    case INSN_B26:
    case INSN_B19:
    case INSN_B14:
        r.target = refs_va(part, at) + (uint64_t)in.value;
        break;
    }
    *ret = r;
    return refs_loaded(&refs->view, r.target);
}

bool refs_step_arm64(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                     struct ref *ret)
{
    uint64_t at = part->off + (w->pos - part->off + 3) / 4 * 4;

    for (; at + 4 <= limit; at += 4) {
        w->steps += 2;
        if (arm64_ref(w->refs, part, at, ret))
            return true;
    }
    return false;
}
