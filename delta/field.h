/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/field: inside delta/predict: from one reference of an old file to the field in the new file
 * that says the same, and what to learn when it said something else.
 */
#ifndef BERTH_DELTA_FIELD_H
#define BERTH_DELTA_FIELD_H

#include "delta/insn.h"
#include "delta/map.h"
#include "delta/refs.h"

#define FIELD_REGISTERS 32U

/* AArch64: what each register's last ADRP made of it in the new file. */
struct field_state {
    bool set[FIELD_REGISTERS];
    uint64_t at[FIELD_REGISTERS];   /* where that ADRP is, an offset in the new file */
    uint64_t page[FIELD_REGISTERS]; /* the address */
};

struct field_guess {
    struct map_guess target;
    uint64_t base; /* REF_BASE32: where the base went */
    uint64_t va;   /* address of the field in the new file */
    uint64_t at;   /* its offset there */
    struct insn_arm64 insn;
    uint8_t bytes[8];
};

/* buf holds the ref->width bytes of the old field and is given those of the new one, which lies at
 * offset at and address va. */
void field_predict(const struct map *map, unsigned guide, const struct ref *ref, uint64_t va,
                   uint64_t at, uint8_t *buf, struct field_guess *ret);

/* actual is what the new file has there. */
void field_learn(struct field_state *state, struct map *map, const struct ref *ref,
                 const struct field_guess *guess, const uint8_t *actual);

#endif
