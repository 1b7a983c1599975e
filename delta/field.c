/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/field.h"

#define PAGE 4096U

static uint64_t page_of(uint64_t va)
{
    return va & ~(uint64_t)(PAGE - 1);
}

static void put_le(uint8_t *p, size_t n, uint64_t v)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* A word's field for a target. */
static uint32_t arm64_word(uint32_t word, struct insn_arm64 in, uint64_t target, uint64_t va)
{
    if (in.kind == INSN_ADRP)
        return insn_arm64_put(word, in, (int64_t)(page_of(target) - page_of(va)) / PAGE);
    if (in.kind == INSN_LO12)
        return insn_arm64_put(word, in, (int64_t)(target % PAGE));
    return insn_arm64_put(word, in, (int64_t)(target - va));
}

void field_predict(const struct map *map, unsigned guide, const struct ref *ref, uint64_t va,
                   uint64_t at, uint8_t *buf, struct field_guess *ret)
{
    struct field_guess g = { .target = map_guess(map, guide, ref->target), .va = va, .at = at };
    uint64_t value = g.target.address;

    switch (ref->kind) {
    case REF_PC32:
        value -= va + ref->bias;
        break;
    case REF_NEG32:
        value = va - value;
        break;
    case REF_BASE32:
        g.base = map_guess(map, guide, ref->base).address;
        value -= g.base;
        break;
    case REF_ARM64:
        g.insn = insn_arm64(view_le32(buf));
        value = arm64_word(view_le32(buf), g.insn, value, va);
        break;
    case REF_ABS32:
    case REF_ABS64:
        break;
    }
    put_le(g.bytes, ref->width, value);
    memcpy(buf, g.bytes, ref->width);
    *ret = g;
}

/* An ADRP says half of an address: it is kept for the other half, which then says all. */
static void learn_arm64(struct field_state *state, struct map *map, const struct ref *ref,
                        const struct field_guess *g, uint32_t word)
{
    struct insn_arm64 in = insn_arm64(word);
    uint8_t reg = g->insn.reg;
    uint64_t target = g->va + (uint64_t)in.value;

    if (in.kind != g->insn.kind)
        return; /* another instruction */
    if (in.kind == INSN_ADRP) {
        state->set[reg] = true;
        state->at[reg] = g->at;
        state->page[reg] = page_of(g->va) + (uint64_t)in.value * PAGE;
        return;
    }
    if (in.kind == INSN_LO12) {
        if (!state->set[reg] || state->at[reg] != g->at - ref->base)
            return;
        target = state->page[reg] + (uint64_t)in.value;
    }
    if (target != g->target.address)
        map_learn(map, &g->target, target);
}

void field_learn(struct field_state *state, struct map *map, const struct ref *ref,
                 const struct field_guess *guess, const uint8_t *actual)
{
    if (ref->kind == REF_ARM64) {
        learn_arm64(state, map, ref, guess, view_le32(actual));
        return;
    }
    if (memcmp(actual, guess->bytes, ref->width) == 0)
        return;

    uint64_t value =
        ref->width == 8 ? view_le64(actual) : (uint64_t)(int64_t)(int32_t)view_le32(actual);

    if (ref->kind == REF_PC32)
        value += guess->va + ref->bias;
    else if (ref->kind == REF_NEG32)
        value = guess->va - value;
    else if (ref->kind == REF_BASE32)
        value += guess->base;
    map_learn(map, &guess->target, value);
}
