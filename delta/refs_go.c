/* SPDX-License-Identifier: Apache-2.0
 *
 * Go's table of functions, as Go 1.18 and 1.20 lay it out (runtime/symtab.go): a head, pairs of
 * (entry, record) offsets, records in the order of the pairs.
 */
#include "delta/refs_step.h"

#define HEAD 72U
#define RECORD 44U
#define PCDATA_MAX 32U
#define IDLE_MAX 4096U /* records without a field in reach before the part is given up */

struct table {
    const struct refs *refs;
    const struct view_part *part;
    uint64_t n;     /* functions */
    uint64_t text;  /* address that entries are relative to */
    uint64_t names; /* offsets in the part */
    uint64_t pcs;
    uint64_t pairs;
    uint64_t pairs_end;
};

static const uint8_t *at(const struct table *t, uint64_t into)
{
    return t->refs->file.p + t->part->off + into;
}

static bool open_table(const struct refs *refs, const struct view_part *part, struct table *t)
{
    *t = (struct table){ .refs = refs, .part = part };
    if (part->size < HEAD ||
        (view_le32(at(t, 0)) != 0xfffffff0 && view_le32(at(t, 0)) != 0xfffffff1) || *at(t, 7) != 8)
        return false;
    t->n = view_le64(at(t, 8));
    t->text = view_le64(at(t, 24));
    t->names = view_le64(at(t, 32));
    t->pcs = view_le64(at(t, 56));
    t->pairs = view_le64(at(t, 64));
    if (t->pairs < HEAD || t->pairs > part->size || t->n > (part->size - t->pairs) / 8)
        return false;
    t->pairs_end = t->pairs + t->n * 8;
    if (part->size - t->pairs_end < 4)
        return false;
    t->pairs_end += 4; /* the end of the last function */
    return true;
}

static struct ref field(const struct table *t, uint64_t into, uint64_t base)
{
    return (struct ref){ .pos = t->part->off + into,
                         .kind = REF_BASE32,
                         .width = 4,
                         .base = base,
                         .target = base + refs_field32(at(t, into)) };
}

/* A field of the pairs at or behind pos. */
static bool next_pair(const struct table *t, uint64_t pos, uint64_t limit, struct ref *ret)
{
    uint64_t i = pos <= t->pairs ? 0 : (pos - t->pairs + 3) / 4;
    uint64_t into = t->pairs + 4 * i;

    if (into >= t->pairs_end || into + 4 > limit)
        return false;
    *ret = field(t, into, i % 2 ? t->part->va + t->pairs : t->text);
    return true;
}

/* Where the record of function i begins. */
static uint64_t record_at(const struct table *t, uint64_t i)
{
    return t->pairs + view_le32(at(t, t->pairs + 8 * i + 4));
}

/* How many fields with offsets into the tables of pcs a record ends in. */
static uint32_t pcdata_of(const struct table *t, uint64_t record)
{
    uint32_t pcdata = view_le32(at(t, record + 28));

    return pcdata < PCDATA_MAX ? pcdata : PCDATA_MAX;
}

/* Records that overlap or do not rise would be found from one place and not from another: such a
 * table has none. */
void refs_index_pclntab(const struct refs *refs, const struct view_part *part, uint8_t *sane)
{
    struct table t;
    uint64_t end = 0;

    *sane = 0;
    if (!open_table(refs, part, &t))
        return;
    end = t.pairs_end;
    for (uint64_t i = 0; i < t.n; i++) {
        uint64_t record = record_at(&t, i);

        if (record < end || record > part->size || part->size - record < RECORD)
            return;
        end = record + RECORD + 4 * (uint64_t)pcdata_of(&t, record);
    }
    *sane = end <= part->size;
}

/* The last function whose record begins at or before into. */
static uint64_t find_record(const struct table *t, uint64_t into)
{
    uint64_t low = 0;
    uint64_t high = t->n;

    while (high - low > 1) {
        uint64_t mid = low + (high - low) / 2;

        if (record_at(t, mid) <= into)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* The first field of a record at or behind pos. */
static bool next_in_record(const struct table *t, uint64_t record, uint64_t pos, uint64_t limit,
                           struct ref *ret)
{
    static const uint8_t fixed[] = { 0, 4, 16, 20, 24 };
    uint64_t fields = sizeof fixed + pcdata_of(t, record);

    for (uint64_t k = 0; k < fields; k++) {
        uint64_t into = record + (k < sizeof fixed ? fixed[k] : RECORD + 4 * (k - sizeof fixed));

        if (into < pos)
            continue;
        if (into + 4 > limit)
            return false;
        if (k >= 2 && view_le32(at(t, into)) == 0)
            continue; /* no such table */
        *ret = field(t, into,
                     k == 0   ? t->text
                     : k == 1 ? t->part->va + t->names
                              : t->part->va + t->pcs);
        return true;
    }
    return false;
}

bool refs_step_pclntab(struct refs_walk *w, const struct view_part *part, uint64_t limit,
                       struct ref *ret)
{
    uint64_t pos = w->pos - part->off;
    uint64_t end = limit - part->off;
    struct table t;

    if (!open_table(w->refs, part, &t))
        return false;
    if (pos <= 24 && end >= 32) {
        *ret =
            (struct ref){ .pos = part->off + 24, .kind = REF_ABS64, .width = 8, .target = t.text };
        return true;
    }
    if (next_pair(&t, pos, end, ret))
        return true;
    if (!*refs_index_of(w->refs, part))
        return false;
    if (!w->synced)
        w->at = t.n > 0 ? find_record(&t, pos) : 0;
    w->steps += w->synced ? 4 : 64;
    w->synced = true;
    for (unsigned idle = 0; w->at < t.n && idle < IDLE_MAX; w->at++, idle++) {
        uint64_t record = record_at(&t, w->at);

        w->steps += 4;
        if (record >= end)
            break;
        if (next_in_record(&t, record, pos, end, ret))
            return true;
    }
    return false;
}
