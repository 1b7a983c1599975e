/* SPDX-License-Identifier: Apache-2.0 */
#include "link/reassembly.h"

#include <assert.h>

#define NONE UINT32_MAX

static_assert(3 * EID_WIRE_MAX + 128 < REASSEMBLY_PRIMARY_MAX, "every primary block fits");
static_assert(BUNDLE_ADU_MAX / REASSEMBLY_CELL < UINT32_MAX, "every cell has an index");

void reassembly_init(struct reassembly *r, const struct reassembly_limits *limits,
                     struct reassembly_cell *cells, uint32_t n)
{
    assert(n < NONE);
    *r = (struct reassembly){ .limits = *limits, .cells = cells, .n_cells = n, .n_free = n };
    r->free = n > 0 ? 0 : NONE;
    for (uint32_t i = 0; i < n; i++)
        cells[i].next = i + 1 < n ? i + 1 : NONE;
}

static void forget(struct reassembly *r, struct reassembly_set *set)
{
    uint32_t at = set->first;

    while (at != NONE) {
        uint32_t next = r->cells[at].next;

        r->cells[at].next = r->free;
        r->free = at;
        r->n_free++;
        at = next;
    }
    *set = (struct reassembly_set){ .used = false };
}

void reassembly_expire(struct reassembly *r, uint64_t now_ms)
{
    for (size_t i = 0; i < REASSEMBLY_SETS; i++) {
        if (!r->sets[i].used || now_ms < r->sets[i].deadline_ms)
            continue;
        forget(r, &r->sets[i]);
        r->expired++;
    }
}

/* ---- cells ---- */

/* The link to the first cell that is not before index: the cell, or where it belongs. */
static uint32_t *seek(struct reassembly *r, struct reassembly_set *set, uint32_t index)
{
    bool hint = set->hint != NONE && r->cells[set->hint].index < index;
    uint32_t *link = hint ? &r->cells[set->hint].next : &set->first;

    while (*link != NONE && r->cells[*link].index < index) {
        link = &r->cells[*link].next;
        r->steps++;
    }
    r->steps++;
    return link;
}

static bool has(const struct reassembly_cell *cell, size_t i)
{
    return (cell->have[i / 64] >> i % 64 & 1) != 0;
}

/* The part of a fragment that lies in one cell. */
struct part {
    uint32_t index;
    size_t from; /* in the cell */
    struct bytes data;
};

static struct part part_at(const struct bundle *fragment, size_t done)
{
    struct bytes data = bundle_payload(fragment);
    uint64_t offset = fragment->fragment_offset + done;
    size_t from = (size_t)(offset % REASSEMBLY_CELL);
    size_t n = data.n - done;

    if (n > REASSEMBLY_CELL - from)
        n = REASSEMBLY_CELL - from;
    return (struct part){ .index = (uint32_t)(offset / REASSEMBLY_CELL),
                          .from = from,
                          .data = { .p = data.p + done, .n = n } };
}

/* Look before anything changes: cells that are needed, bytes that are new; false if any byte
 * contradicts what is there. */
static bool look(struct reassembly *r, struct reassembly_set *set, const struct bundle *fragment,
                 uint32_t *ret_cells, uint64_t *ret_new)
{
    size_t n = bundle_payload(fragment).n;

    for (size_t done = 0; done < n;) {
        struct part part = part_at(fragment, done);
        uint32_t at = *seek(r, set, part.index);
        const struct reassembly_cell *cell =
            at != NONE && r->cells[at].index == part.index ? &r->cells[at] : NULL;

        done += part.data.n;
        if (!cell) {
            (*ret_cells)++;
            *ret_new += part.data.n;
            continue;
        }
        set->hint = at;
        for (size_t i = 0; i < part.data.n; i++) {
            if (!has(cell, part.from + i))
                (*ret_new)++;
            else if (cell->bytes[part.from + i] != part.data.p[i])
                return false;
        }
    }
    return true;
}

static void put(struct reassembly *r, struct reassembly_set *set, const struct part *part)
{
    uint32_t *link = seek(r, set, part->index);
    struct reassembly_cell *cell;

    if (*link == NONE || r->cells[*link].index != part->index) {
        uint32_t at = r->free;

        assert(at != NONE);
        r->free = r->cells[at].next;
        r->n_free--;
        r->cells[at] = (struct reassembly_cell){ .next = *link, .index = part->index };
        *link = at;
    }
    set->hint = *link;
    cell = &r->cells[*link];
    memcpy(cell->bytes + part->from, part->data.p, part->data.n);
    for (size_t i = part->from; i < part->from + part->data.n; i++)
        cell->have[i / 64] |= UINT64_C(1) << i % 64;
}

/* ---- sets ---- */

/* The primary block that the whole has, which all of its fragments agree on. */
static enum rc whole_primary(const struct bundle *fragment, uint8_t *out, struct bytes *ret,
                             struct err *err)
{
    struct cbor_out w = { .p = out, .cap = REASSEMBLY_PRIMARY_MAX };
    struct bundle whole = *fragment;

    whole.flags &= ~(uint64_t)BUNDLE_FRAGMENT;
    bundle_put_primary(&w, &whole);
    return cbor_written(&w, ret, err);
}

static struct reassembly_set *find(struct reassembly *r, struct bytes primary, uint64_t total)
{
    for (size_t i = 0; i < REASSEMBLY_SETS; i++) {
        struct reassembly_set *set = &r->sets[i];
        struct bytes of = { .p = set->primary, .n = set->primary_n };

        if (set->used && set->total == total && bytes_equal(of, primary))
            return set;
    }
    return NULL;
}

static struct reassembly_set *unused(struct reassembly *r)
{
    for (size_t i = 0; i < REASSEMBLY_SETS; i++) {
        if (!r->sets[i].used)
            return &r->sets[i];
    }
    return NULL;
}

static void begin(const struct reassembly *r, struct reassembly_set *set,
                  const struct bundle *fragment, struct bytes primary, uint64_t now_ms)
{
    uint64_t age_ms = fragment->has_age ? fragment->age_ms : 0;
    uint64_t wait_ms = fragment->lifetime_ms > age_ms ? fragment->lifetime_ms - age_ms : 0;

    if (wait_ms > r->limits.wait_ms_max)
        wait_ms = r->limits.wait_ms_max;
    *set = (struct reassembly_set){ .used = true,
                                    .total = fragment->fragment_total,
                                    .first = NONE,
                                    .hint = NONE,
                                    .primary_n = primary.n };
    set->deadline_ms = wait_ms > UINT64_MAX - now_ms ? UINT64_MAX : now_ms + wait_ms;
    memcpy(set->primary, primary.p, primary.n);
}

/* Everything but the payload, of the fragment at offset 0. */
static enum rc other_blocks(const struct bundle *fragment, uint8_t *out, struct bytes *ret,
                            struct err *err)
{
    struct cbor_out w = { .p = out, .cap = REASSEMBLY_BLOCKS_MAX };

    for (size_t i = 0; i + 1 < fragment->n_blocks; i++)
        bundle_put_block(&w, fragment, &fragment->blocks[i]);
    return w.full ? err_set(err, RC_TOO_LARGE, "blocks of a fragment") : cbor_written(&w, ret, err);
}

static void note_first(struct reassembly_set *set, const struct bundle *fragment,
                       struct bytes blocks, uint64_t now_ms)
{
    const struct bundle_block *payload = &fragment->blocks[fragment->n_blocks - 1];

    if (fragment->fragment_offset != 0 || set->has_first)
        return;
    set->has_first = true;
    set->first_ms = now_ms;
    set->payload_crc = payload->crc_type;
    set->payload_flags = payload->flags;
    set->blocks_n = blocks.n;
    if (blocks.n > 0)
        memcpy(set->blocks, blocks.p, blocks.n);
}

static enum rc check(const struct reassembly *r, const struct bundle *fragment, struct err *err)
{
    uint64_t n = bundle_payload(fragment).n;

    if (!(fragment->flags & BUNDLE_FRAGMENT) || fragment->fragment_total == 0 || n == 0 ||
        fragment->fragment_offset >= fragment->fragment_total ||
        n > fragment->fragment_total - fragment->fragment_offset)
        return err_set(err, RC_BUNDLE_FRAGMENT, "not a fragment of a whole of known length");
    if (fragment->fragment_total > r->limits.total_max)
        return err_set(err, RC_TOO_LARGE, "whole of %llu bytes",
                       (unsigned long long)fragment->fragment_total);
    return RC_OK;
}

/* Copy what is new into the set. */
static enum rc fill(struct reassembly *r, struct reassembly_set *set, const struct bundle *fragment,
                    struct err *err)
{
    uint32_t cells = 0;
    uint64_t fresh = 0;

    if (!look(r, set, fragment, &cells, &fresh)) {
        forget(r, set);
        r->conflict++;
        return err_set(err, RC_BUNDLE_FRAGMENT, "differs from another fragment: whole given up");
    }
    if (cells > r->n_free) {
        r->refused++;
        return err_set(err, RC_SPOOL_FULL, "memory for fragments");
    }
    r->repeated += fresh == 0;
    set->have += fresh;
    for (size_t done = 0; fresh > 0 && done < bundle_payload(fragment).n;) {
        struct part part = part_at(fragment, done);

        put(r, set, &part);
        done += part.data.n;
    }
    return RC_OK;
}

enum rc reassembly_add(struct reassembly *r, const struct bundle *fragment, uint64_t now_ms,
                       struct reassembly_set **ret, struct err *err)
{
    uint8_t primary_room[REASSEMBLY_PRIMARY_MAX];
    uint8_t blocks_room[REASSEMBLY_BLOCKS_MAX];
    struct bytes primary = { 0 };
    struct bytes blocks = { 0 };
    struct reassembly_set *set;
    enum rc rc = check(r, fragment, err);

    reassembly_expire(r, now_ms);
    if (rc == RC_OK)
        rc = whole_primary(fragment, primary_room, &primary, err);
    if (rc == RC_OK && fragment->fragment_offset == 0)
        rc = other_blocks(fragment, blocks_room, &blocks, err);
    if (rc != RC_OK)
        return rc;
    set = find(r, primary, fragment->fragment_total);
    if (!set) {
        set = unused(r);
        if (!set) {
            r->refused++;
            return err_set(err, RC_SPOOL_FULL, "bundles in fragments");
        }
        begin(r, set, fragment, primary, now_ms);
    }
    rc = fill(r, set, fragment, err);
    if (rc == RC_OK)
        note_first(set, fragment, blocks, now_ms);
    else if (set->used && set->have == 0)
        forget(r, set); /* it would only keep others out */
    if (rc == RC_OK)
        *ret = set->have == set->total ? set : NULL;
    return rc;
}

enum rc reassembly_take(struct reassembly *r, struct reassembly_set *set, uint8_t *out, size_t cap,
                        struct bytes *ret, struct err *err)
{
    static const uint8_t start = 0x9f;
    static const uint8_t stop = 0xff;
    struct cbor_out w = { .p = out, .cap = cap };
    struct bundle_block payload = { .type = BLOCK_PAYLOAD, .number = 1 };
    uint64_t left = set->total;
    size_t at;
    enum rc rc;

    assert(set->used && set->have == set->total && set->has_first);
    payload.flags = set->payload_flags;
    payload.crc_type = set->payload_crc;
    cbor_put_raw(&w, (struct bytes){ .p = &start, .n = 1 });
    cbor_put_raw(&w, (struct bytes){ .p = set->primary, .n = set->primary_n });
    cbor_put_raw(&w, (struct bytes){ .p = set->blocks, .n = set->blocks_n });
    at = bundle_begin_block(&w, &payload, set->total);
    for (uint32_t i = set->first; i != NONE; i = r->cells[i].next) {
        size_t n = left < REASSEMBLY_CELL ? (size_t)left : REASSEMBLY_CELL;

        cbor_put_raw(&w, (struct bytes){ .p = r->cells[i].bytes, .n = n });
        left -= n;
    }
    assert(left == 0);
    bundle_end_block(&w, &payload, at);
    cbor_put_raw(&w, (struct bytes){ .p = &stop, .n = 1 });
    rc = cbor_written(&w, ret, err);
    if (rc == RC_OK)
        forget(r, set);
    return rc;
}
