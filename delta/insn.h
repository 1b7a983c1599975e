/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/insn: just enough of two instruction sets to walk code and find what it refers to.  Pure;
 * the bytes may be anything.  A wrong answer costs bytes of a delta, never correctness, as long as
 * maker and applier give the same.
 */
#ifndef BERTH_DELTA_INSN_H
#define BERTH_DELTA_INSN_H

#include "base/bytes.h"

#define INSN_X86_MAX 15U /* Intel SDM volume 2, section 2.3.11 */

struct insn_x86 {
    uint8_t size;  /* bytes, 0 = not an instruction (or it does not end before the end) */
    uint8_t field; /* where a 32-bit field relative to the next instruction begins, 0 = none */
    bool branch;   /* the field is a jump's or a call's */
};

/* The x86-64 instruction at in's first byte. */
struct insn_x86 insn_x86(struct bytes in);

/* What an AArch64 word refers to. */
enum insn_arm64_kind {
    INSN_NONE = 0,
    INSN_B26, /* B, BL */
    INSN_B19, /* B.cond, CBZ, CBNZ, LDR literal */
    INSN_B14, /* TBZ, TBNZ */
    INSN_ADR,
    INSN_ADRP,
    INSN_LO12, /* ADD or a load or store with an unsigned offset: the low half of an ADRP pair */
};

struct insn_arm64 {
    enum insn_arm64_kind kind;
    uint8_t reg;   /* ADRP: written; LO12: the base register */
    uint8_t scale; /* LO12: the field counts 1 << scale bytes */
    int64_t value; /* the field in bytes (B, ADR, LO12) or pages of 4096 (ADRP) */
};

struct insn_arm64 insn_arm64(uint32_t word);

/* The same word with another value in its field; what does not fit is cut off. */
uint32_t insn_arm64_put(uint32_t word, struct insn_arm64 like, int64_t value);

#endif
