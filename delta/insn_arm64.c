/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/insn.h"

/* Words that refer to something (Arm ARM, C4.1), the first row that fits. */
static const struct row {
    uint32_t mask;
    uint32_t bits;
    enum insn_arm64_kind kind;
} rows[] = {
    { 0x7c000000, 0x14000000, INSN_B26 },  /* B, BL */
    { 0xff000010, 0x54000000, INSN_B19 },  /* B.cond */
    { 0x7e000000, 0x34000000, INSN_B19 },  /* CBZ, CBNZ */
    { 0x3b000000, 0x18000000, INSN_B19 },  /* LDR, LDRSW, PRFM (literal) */
    { 0x7e000000, 0x36000000, INSN_B14 },  /* TBZ, TBNZ */
    { 0x9f000000, 0x10000000, INSN_ADR },  /* ADR */
    { 0x9f000000, 0x90000000, INSN_ADRP }, /* ADRP */
    { 0xffc00000, 0x91000000, INSN_LO12 }, /* ADD (immediate), 64 bits, not shifted */
    { 0x3b000000, 0x39000000, INSN_LO12 }, /* LDR, STR (unsigned offset), SIMD too */
};

/* The field of size bits at bit at, as a signed number. */
static int64_t signed_field(uint32_t word, unsigned at, unsigned size)
{
    uint64_t v = word >> at & ((1U << size) - 1);
    uint64_t sign = 1ULL << (size - 1);

    return (int64_t)((v ^ sign) - sign);
}

static uint8_t lo12_scale(uint32_t word)
{
    if ((word & 0x3b000000) != 0x39000000)
        return 0;
    if ((word & 0x04800000) == 0x04800000 && word >> 30 == 0)
        return 4; /* a whole SIMD register */
    return (uint8_t)(word >> 30);
}

static int64_t value_of(uint32_t word, enum insn_arm64_kind kind, unsigned scale)
{
    switch (kind) {
    case INSN_B26:
        return signed_field(word, 0, 26) * 4;
    case INSN_B19:
        return signed_field(word, 5, 19) * 4;
    case INSN_B14:
        return signed_field(word, 5, 14) * 4;
    case INSN_ADR:
    case INSN_ADRP:
        return signed_field(word, 5, 19) * 4 + (int64_t)(word >> 29 & 3);
    case INSN_LO12:
        return (int64_t)((uint64_t)(word >> 10 & 0xfff) << scale);
    case INSN_NONE:
        break;
    }
    return 0;
}

struct insn_arm64 insn_arm64(uint32_t word)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if ((word & rows[i].mask) != rows[i].bits)
            continue;

        struct insn_arm64 in = { .kind = rows[i].kind };

        if (in.kind == INSN_LO12) {
            in.scale = lo12_scale(word);
            in.reg = word >> 5 & 31;
        } else if (in.kind == INSN_ADRP) {
            in.reg = word & 31;
        }
        in.value = value_of(word, in.kind, in.scale);
        return in;
    }
    return (struct insn_arm64){ .kind = INSN_NONE };
}

/* word with the low size bits of value at bit at. */
static uint32_t put_field(uint32_t word, unsigned at, unsigned size, uint64_t value)
{
    uint32_t mask = ((1U << size) - 1) << at;

    return (word & ~mask) | ((uint32_t)value << at & mask);
}

uint32_t insn_arm64_put(uint32_t word, struct insn_arm64 like, int64_t value)
{
    uint64_t v = (uint64_t)value;

    switch (like.kind) {
    case INSN_B26:
        return put_field(word, 0, 26, v >> 2);
    case INSN_B19:
        return put_field(word, 5, 19, v >> 2);
    case INSN_B14:
        return put_field(word, 5, 14, v >> 2);
    case INSN_ADR:
    case INSN_ADRP:
        return put_field(put_field(word, 5, 19, v >> 2), 29, 2, v);
    case INSN_LO12:
        return put_field(word, 10, 12, v >> like.scale);
    case INSN_NONE:
        break;
    }
    return word;
}
