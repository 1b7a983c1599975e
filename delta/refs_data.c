/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/refs_step.h"

#define TABLE_MAX 4096U /* slots of one jump table */
#define TABLE_MIN 3U
#define FIELDS_MAX 3U
#define WINDOW 256U
#define POINTER_MIN 0x200U   /* above the lowest address: smaller words are numbers, not pointers */
#define FRAME_FIELDS_END 21U /* of a record of .eh_frame: behind its last field */

/* The address that a word points at, if it looks like a pointer. */
static bool pointer_at(const struct refs *refs, uint64_t at, struct ref *ret)
{
    uint64_t value = view_le64(refs->file.p + at);

    *ret = (struct ref){ .pos = at, .kind = REF_ABS64, .width = 8, .target = value };
    return value >= refs->view.low + POINTER_MIN && value <= refs->view.high;
}

static struct ref base32_at(const struct refs *refs, uint64_t at, uint64_t base)
{
    return (struct ref){ .pos = at,
                         .kind = REF_BASE32,
                         .width = 4,
                         .base = base,
                         .target = base + refs_field32(refs->file.p + at) };
}

static struct ref pc32_at(const struct refs *refs, const struct view_part *part, uint64_t at)
{
    return (struct ref){ .pos = at,
                         .kind = REF_PC32,
                         .width = 4,
                         .target = refs_va(part, at) + refs_field32(refs->file.p + at) };
}

/* Relocations: where, and for relative ones what. */
static unsigned rela_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                         struct ref *f)
{
    const uint8_t *p = refs->file.p + at;
    uint32_t type = view_le32(p + 8);

    (void)part;
    f[0] = (struct ref){ .pos = at, .kind = REF_ABS64, .width = 8, .target = view_le64(p) };
    if (type != 8 && type != 37 && type != 1027 && type != 1032) /* RELATIVE, IRELATIVE */
        return 1;
    f[1] =
        (struct ref){ .pos = at + 16, .kind = REF_ABS64, .width = 8, .target = view_le64(p + 16) };
    return 2;
}

/* An even word of .relr is an address, an odd one a bitmap. */
static unsigned relr_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                         struct ref *f)
{
    (void)part;
    return pointer_at(refs, at, f) && f->target % 2 == 0;
}

static unsigned dynsym_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                           struct ref *f)
{
    uint64_t value = view_le64(refs->file.p + at + 8);

    if (at == part->off)
        return 0; /* the null symbol */
    f[0] = base32_at(refs, at, part->base);
    if (value == 0)
        return 1;
    f[1] = (struct ref){ .pos = at + 8, .kind = REF_ABS64, .width = 8, .target = value };
    return 2;
}

static unsigned pointer_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                            struct ref *f)
{
    (void)part;
    return pointer_at(refs, at, f);
}

/* Version, three encodings, where .eh_frame is, a count, then pairs relative to the part's own
 * start (LSB core, 10.6.2). */
static unsigned ehhdr_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                          struct ref *f)
{
    const uint8_t *p = refs->file.p + part->off;
    uint64_t into = at - part->off;

    if (part->size < 12 || p[1] != 0x1b || p[3] != 0x3b || into == 0 || into == 8)
        return 0;
    *f = into == 4 ? pc32_at(refs, part, at) : base32_at(refs, at, part->va);
    return 1;
}

static unsigned typelink_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                             struct ref *f)
{
    *f = base32_at(refs, at, part->base);
    return 1;
}

/* A string's length says where it ends, seen from where it begins. */
static unsigned mo_row(const struct refs *refs, const struct view_part *part, uint64_t at,
                       struct ref *f)
{
    uint64_t size = view_le32(refs->file.p + at);
    uint64_t off = view_le32(refs->file.p + at + 4);

    (void)part;
    if (off > refs->file.n || size > refs->file.n - off)
        return 0;
    f[0] = base32_at(refs, at, off);
    f[1] = (struct ref){ .pos = at + 4, .kind = REF_ABS32, .width = 4, .target = off };
    return 2;
}

struct row_kind {
    unsigned size;
    unsigned (*fields)(const struct refs *refs, const struct view_part *part, uint64_t at,
                       struct ref *f);
};

static struct row_kind row_kind(enum view_kind kind)
{
    static const struct row_kind kinds[] = {
        [VIEW_RELA] = { 24, rela_row },        [VIEW_RELR] = { 8, relr_row },
        [VIEW_DYNSYM] = { 24, dynsym_row },    [VIEW_DYNAMIC] = { 8, pointer_row },
        [VIEW_POINTERS] = { 8, pointer_row },  [VIEW_EHHDR] = { 4, ehhdr_row },
        [VIEW_TYPELINK] = { 4, typelink_row }, [VIEW_MOTABLE] = { 8, mo_row },
    };

    return kinds[kind];
}

/* The first of n fields that lies between pos and limit. */
static bool pick(const struct ref *f, unsigned n, uint64_t pos, uint64_t limit, struct ref *ret)
{
    for (unsigned i = 0; i < n; i++)
        if (f[i].pos >= pos && f[i].pos + f[i].width <= limit) {
            *ret = f[i];
            return true;
        }
    return false;
}

bool refs_step_rows(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                    struct ref *ret)
{
    struct row_kind kind = row_kind(part->kind);

    if (kind.size == 0)
        return false; /* a kind that has a walk of its own */

    uint64_t row = (w->pos - part->off) / kind.size * kind.size;
    struct ref f[FIELDS_MAX];

    for (; row + kind.size <= part->size && part->off + row < limit; row += kind.size) {
        unsigned n = kind.fields(w->refs, part, part->off + row, f);

        w->steps++;
        if (pick(f, n, w->pos, limit, ret))
            return true;
    }
    return false;
}

/* Whether code takes the address of this slot. */
static bool taken(const uint8_t *bits, uint64_t slot)
{
    return bits[slot / 8] >> slot % 8 & 1;
}

/* Whether a place in code. */
static bool is_code(const struct view *v, uint64_t va)
{
    for (uint32_t i = 0; i < v->n_parts; i++)
        if (v->parts[i].kind == VIEW_CODE_X86 && va - v->parts[i].va < v->parts[i].size)
            return true;
    return false;
}

/* How many slots from this one on are a jump table as gcc makes them: distances from the table's
 * start back into code. */
static uint32_t table_rows(const struct refs *refs, const struct view_part *part,
                           const uint8_t *bits, uint64_t slot)
{
    uint64_t start = part->va + 4 * slot;
    uint32_t rows = 0;

    for (; rows < TABLE_MAX && (slot + rows + 1) * 4 <= part->size; rows++) {
        uint64_t distance = refs_field32(refs->file.p + part->off + (slot + rows) * 4);

        if ((rows > 0 && taken(bits, slot + rows)) || distance < INT64_MAX ||
            !is_code(&refs->view, start + distance))
            break;
    }
    return rows >= TABLE_MIN ? rows : 0;
}

/* Make w->table the table that begins at slot. */
static void set_table(struct refs_walk *w, const struct view_part *part, const uint8_t *bits,
                      uint64_t slot)
{
    w->table = slot;
    w->rows = table_rows(w->refs, part, bits, slot);
    w->steps += ((uint64_t)w->rows + 1) * (1 + w->refs->view.n_parts / 8);
}

/* The last place before slot that code knows: is slot in a table that begins there? */
static void table_before(struct refs_walk *w, const struct view_part *part, const uint8_t *bits,
                         uint64_t slot)
{
    for (uint64_t back = 1; back < TABLE_MAX && back <= slot; back++) {
        w->steps += back % 8 == 0;
        if (taken(bits, slot - back)) {
            set_table(w, part, bits, slot - back);
            return;
        }
    }
}

/* The next slot of a table between pos and limit. */
static bool table_next(struct refs_walk *w, const struct view_part *part, uint64_t pos,
                       uint64_t limit, struct ref *ret)
{
    const uint8_t *bits = refs_index_of(w->refs, part);
    uint64_t slot = (pos - part->off + 3) / 4;
    uint64_t end = (limit - part->off) / 4;

    if (!w->synced && part->va % 4 == 0)
        table_before(w, part, bits, slot);
    w->synced = true;
    while (slot < end) {
        if (slot - w->table < w->rows) {
            *ret = base32_at(w->refs, part->off + 4 * slot, part->va + 4 * w->table);
            return true;
        }
        if (bits[slot / 8] == 0) {
            slot = (slot / 8 + 1) * 8;
            continue;
        }
        if (taken(bits, slot))
            set_table(w, part, bits, slot);
        slot += slot - w->table < w->rows ? 0 : 1;
    }
    return false;
}

/* The next pointer between pos and limit. */
static bool pointer_next(const struct refs *refs, const struct view_part *part, uint64_t pos,
                         uint64_t limit, struct ref *ret)
{
    uint64_t at = part->off + (pos - part->off + 7) / 8 * 8;
    struct ref pointer;

    for (; at + 8 <= limit; at += 8)
        if (pointer_at(refs, at, &pointer)) {
            *ret = pointer;
            return true;
        }
    return false;
}

/* Tables and pointers are looked for window by window, so that neither search runs far ahead of
 * what the other finds.  No field lies across a window's end. */
bool refs_step_rodata(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                      struct ref *ret)
{
    w->steps += part->base == 0 ? 1 : 16; /* a call looks through part of a window again */
    if (part->base == 0)
        return table_next(w, part, w->pos, limit, ret);
    for (uint64_t pos = w->pos; pos < limit;) {
        uint64_t end = part->off + ((pos - part->off) / WINDOW + 1) * WINDOW;

        end = end < limit ? end : limit;

        bool table = table_next(w, part, pos, end, ret);

        if (pointer_next(w->refs, part, pos, table ? ret->pos : end, ret) || table)
            return true;
        pos = end;
        w->steps += 16;
    }
    return false;
}

/* The size of the record of .eh_frame at offset at with its length field, 0 = none follow. */
static uint64_t frame_size(const struct refs *refs, const struct view_part *part, uint64_t at)
{
    uint64_t left = part->off + part->size - at;
    uint64_t size = left < 8 ? 0 : view_le32(refs->file.p + at);

    return size < 4 || size == UINT32_MAX || size > left - 4 ? 0 : size + 4;
}

void refs_index_frames(const struct refs *refs, const struct view_part *part, uint8_t *sync)
{
    uint64_t blocks = part->size / REFS_FRAME_BLOCK + 1;
    uint64_t at = part->off;

    memset(sync, 0xff, (size_t)(2 * blocks));
    for (uint64_t size; (size = frame_size(refs, part, at)) > 0; at += size) {
        uint64_t block = (at - part->off) / REFS_FRAME_BLOCK;
        uint64_t into = (at - part->off) % REFS_FRAME_BLOCK;

        if (view_le16(sync + 2 * block) != REFS_NO_FRAME)
            continue;
        sync[2 * block] = (uint8_t)into;
        sync[2 * block + 1] = (uint8_t)(into >> 8);
    }
}

/* The first record that may have a field at or behind pos; the part's end when there is none before
 * limit.  The way there may be long: one record can hide many blocks. */
static uint64_t frame_sync(struct refs_walk *w, const struct view_part *part, uint64_t limit)
{
    const uint8_t *sync = refs_index_of(w->refs, part);
    uint64_t pos = w->pos;
    uint64_t into = pos - part->off;
    uint64_t block = into < FRAME_FIELDS_END ? 0 : (into - FRAME_FIELDS_END) / REFS_FRAME_BLOCK;

    for (; block <= part->size / REFS_FRAME_BLOCK; block++) {
        w->steps++;
        if (part->off + block * REFS_FRAME_BLOCK >= limit)
            break;
        if (view_le16(sync + 2 * block) != REFS_NO_FRAME)
            return part->off + block * REFS_FRAME_BLOCK + view_le16(sync + 2 * block);
    }
    return part->off + part->size;
}

/* The fields of one record: which CIE it belongs to, the function's start, its LSDA. */
static unsigned frame_fields(const struct refs *refs, const struct view_part *part, uint64_t at,
                             uint64_t size, struct ref *f)
{
    const uint8_t *p = refs->file.p + at;

    if (view_le32(p + 4) == 0 || size < 16)
        return 0; /* a CIE */
    f[0] = (struct ref){ .pos = at + 4,
                         .kind = REF_NEG32,
                         .width = 4,
                         .target = refs_va(part, at + 4) - refs_field32(p + 4) };
    f[1] = pc32_at(refs, part, at + 8);
    if (size < FRAME_FIELDS_END || p[16] != 4 || view_le32(p + 17) == 0)
        return 2;
    f[2] = pc32_at(refs, part, at + 17);
    return refs_loaded(&refs->view, f[2].target) ? 3 : 2;
}

bool refs_step_frames(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                      struct ref *ret)
{
    struct ref f[FIELDS_MAX];

    if (!w->synced)
        w->at = frame_sync(w, part, limit);
    w->synced = w->at < limit;
    while (w->at < limit) {
        w->steps++;
        uint64_t size = frame_size(w->refs, part, w->at);

        if (size == 0)
            break;
        if (pick(f, frame_fields(w->refs, part, w->at, size, f), w->pos, limit, ret))
            return true;
        w->at += size;
    }
    return false;
}
