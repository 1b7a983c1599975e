/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/refs: the references of one file, in order of position, from any position on.  No table of
 * them is kept: only checkpoints, so that an iterator can start in the middle, and which places
 * code takes the address of.  Used for the old file by maker and applier, for the new one by the
 * maker. The file is hostile; every answer is a function of its bytes alone.
 */
#ifndef BERTH_DELTA_REFS_H
#define BERTH_DELTA_REFS_H

#include "base/err.h"
#include "delta/view.h"

/* How a field says what it refers to; P is the field's own address. */
enum ref_kind {
    REF_PC32,   /* target = P + bias + field */
    REF_NEG32,  /* target = P - field */
    REF_BASE32, /* target = base + field */
    REF_ABS32,
    REF_ABS64,
    REF_ARM64, /* an instruction word, see insn_arm64; LO12: base = offset of its ADRP from pos */
};

struct ref {
    uint64_t pos; /* of the field in the file */
    enum ref_kind kind;
    uint8_t width; /* of the field, in bytes: 4 or 8 */
    uint8_t bias;
    uint64_t base;   /* an address */
    uint64_t target; /* an address of this file */
};

struct refs;

/* Memory that refs_new takes for this view, in bytes. */
uint64_t refs_cost(const struct view *view);

/* Read the file once.  It must outlive *ret; the view is copied.  RC_NO_MEMORY. */
must_check enum rc refs_new(struct bytes file, const struct view *view, struct refs **ret,
                            struct err *err);
void refs_free(struct refs **refs); /* takes the address, a scope cleaner */
const struct view *refs_view(const struct refs *refs);

struct refs_walk {
    const struct refs *refs;
    uint64_t pos;   /* no field before this one is given */
    uint64_t at;    /* where the next instruction or record begins; Go: which function is next */
    uint64_t table; /* the last jump table: its first slot, */
    uint32_t rows;  /* and its length, 0 = none */
    uint64_t steps; /* how much was looked at: a function of the file and the calls alone */
    uint32_t part;  /* of the view; n_parts = the end */
    bool synced;    /* at and table are those of pos */
};

/* Begin at the first field at or behind pos. */
void refs_seek(struct refs_walk *w, const struct refs *refs, uint64_t pos);

/* The next field that lies before end as a whole; false when there is none.  Fields never overlap.
 * After false only refs_seek. */
bool refs_next(struct refs_walk *w, uint64_t end, struct ref *ret);

#endif
