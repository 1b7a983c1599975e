/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/view: what the bytes of one file mean to the delta engine: which addresses its bytes are
 * loaded at, and which parts hold references.  Pure; the file is hostile.  Whatever does not make
 * sense (overlapping or lying sections, tables beyond the end) is left out of the view and never an
 * error: maker and applier see the same bytes, hence the same view, and the result is exact anyway.
 */
#ifndef BERTH_DELTA_VIEW_H
#define BERTH_DELTA_VIEW_H

#include "base/bytes.h"

#define VIEW_HEAD_MAX 4096U /* program headers count only if they end before this */
#define VIEW_LOADS_MAX 16U
#define VIEW_PARTS_MAX 64U

enum view_format {
    VIEW_PLAIN = 0, /* nothing is known: no references */
    VIEW_ELF,       /* ELF64, little-endian, with program headers */
    VIEW_MO,        /* GNU gettext message catalogue, little-endian; addresses are file offsets */
};

enum view_kind {
    VIEW_CODE_X86,
    VIEW_CODE_ARM64,
    VIEW_RELA,     /* Elf64_Rela */
    VIEW_RELR,     /* packed relative relocations */
    VIEW_DYNSYM,   /* Elf64_Sym; base = address of the string table */
    VIEW_DYNAMIC,  /* 8-byte words, pointers among them */
    VIEW_POINTERS, /* the same */
    VIEW_RODATA,   /* jump tables; base != 0: pointers too */
    VIEW_EHFRAME,
    VIEW_EHHDR,
    VIEW_PCLNTAB,  /* Go */
    VIEW_TYPELINK, /* Go: offsets from base */
    VIEW_MOTABLE,  /* (length, offset) pairs */
};

/* Bytes [off, off + size) of the file are loaded at address va. */
struct view_load {
    uint64_t off;
    uint64_t size;
    uint64_t va;
};

struct view_part {
    uint64_t off;
    uint64_t size; /* off + size <= size of the file */
    uint64_t va;
    uint64_t base; /* see enum view_kind */
    enum view_kind kind;
};

struct view {
    enum view_format format;
    uint16_t machine; /* e_machine */
    bool fixed;       /* ET_EXEC: pointers lie in read-only data too */
    uint64_t low;     /* lowest and highest address of what is loaded */
    uint64_t high;
    uint32_t n_loads;
    uint32_t n_parts;
    struct view_load loads[VIEW_LOADS_MAX]; /* by offset, no two overlap in the file */
    struct view_part parts[VIEW_PARTS_MAX]; /* the same */
};

/* How many of a file's first bytes view_of_head needs, at most VIEW_HEAD_MAX, maybe more than the
 * file has; have is its first 64 bytes, or all of a shorter file. */
size_t view_head_size(struct bytes have);

/* The view without parts, from the first view_head_size bytes of a file of size bytes. */
void view_of_head(struct bytes head, uint64_t size, struct view *ret);

/* The whole view. */
void view_of(struct bytes file, struct view *ret);

/* Whether references of old mean something in new. */
bool view_fits(const struct view *old, const struct view *new);

/* The address of file offset off; false if it is not loaded. */
bool view_va(const struct view *v, uint64_t off, uint64_t *ret);

/* The file offset of address va; false if no byte of the file is loaded there. */
bool view_offset(const struct view *v, uint64_t va, uint64_t *ret);

/* Little-endian numbers at p. */
static inline uint16_t view_le16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t view_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t view_le64(const uint8_t *p)
{
    return view_le32(p) | (uint64_t)view_le32(p + 4) << 32;
}

#endif
