/* SPDX-License-Identifier: Apache-2.0 */
#include "link/bundle.h"

#include <assert.h>

#include "link/crc.h"
#include "link/cursor.h"

#define BUNDLE_START 0x9fU /* array of indefinite length */
#define BUNDLE_BREAK 0xffU
#define PRIMARY_ITEMS 8U /* without fragment fields and CRC */
#define BLOCK_ITEMS 5U   /* without CRC */

/* What the blocks of one bundle were, beyond what struct bundle says. */
struct seen {
    enum bundle_level level;
    unsigned age;
    unsigned hops;
    unsigned previous;
    bool primary_signed; /* a readable BIB targets block 0 */
    unsigned n_sealed;   /* targets of BCBs */
    uint32_t sealed;     /* of them: bit 1 << i for block i of the bundle */
};

static_assert(BUNDLE_BLOCKS_MAX <= 32, "a bit for each block");

/* ---- CRC ---- */

static size_t crc_size(enum crc_type type)
{
    return type == CRC_16 ? 2 : 4;
}

/* CRC of a block whose last bytes are the CRC itself, which counts as zero (RFC 9171
 * section 4.2.1). */
static uint32_t crc_of_block(enum crc_type type, struct bytes block)
{
    static const uint8_t zero[2] = { 0 };
    size_t n = crc_size(type);
    struct bytes body = { .p = block.p, .n = block.n - n };

    assert(block.n >= n);
    if (type == CRC_16)
        return crc16_x25(crc16_x25(0, body), (struct bytes){ .p = zero, .n = n });
    return crc32c_zero4(crc32c(0, body));
}

/* A CRC field's value, in network order. */
static uint32_t crc_value(struct bytes field)
{
    uint32_t value = 0;

    /*@ loop invariant 0 <= i <= field.n;
        loop assigns i, value;
        loop variant field.n - i; */
    for (size_t i = 0; i < field.n; i++)
        value = value << 8 | field.p[i];
    return value;
}

static enum crc_type read_crc_type(struct cursor *c)
{
    size_t start = c->at;
    uint64_t type = cursor_uint(c, "CRC type");

    if (type <= CRC_32C)
        return (enum crc_type)type;
    cursor_fail_at(c, RC_BUNDLE_CRC_TYPE, start, "CRC type");
    return CRC_NONE;
}

/* The CRC field that ends a block which began at start. */
static void read_crc(struct cursor *c, enum crc_type type, size_t start)
{
    size_t at = c->at;
    struct bytes got;

    if (type == CRC_NONE)
        return;
    got = cursor_bstr(c, "CRC");
    if (c->rc != RC_OK)
        return;
    if (got.n != crc_size(type)) {
        cursor_fail_at(c, RC_BUNDLE_CRC_TYPE, at, "CRC length");
        return;
    }
    if (crc_of_block(type, (struct bytes){ .p = c->p + start, .n = c->at - start }) !=
        crc_value(got))
        cursor_fail_at(c, RC_BUNDLE_CRC, at, "CRC");
}

/* ---- primary block ---- */

/* Which of the four lengths of a primary block the flags and CRC type demand. */
static void check_primary_items(struct cursor *c, size_t start, uint64_t items,
                                const struct bundle *b)
{
    uint64_t want =
        PRIMARY_ITEMS + ((b->flags & BUNDLE_FRAGMENT) ? 2U : 0U) + (b->crc_type != CRC_NONE);

    if (items == want)
        return;
    if ((items >= PRIMARY_ITEMS + 2) != ((b->flags & BUNDLE_FRAGMENT) != 0))
        cursor_fail_at(c, RC_BUNDLE_FRAGMENT, start, "primary block: fragment fields");
    else
        cursor_fail_at(c, RC_BUNDLE_CRC_TYPE, start, "primary block: CRC field");
}

/* Flags that contradict each other or the source (RFC 9171 section 4.2.3). */
static void check_primary_flags(struct cursor *c, size_t at, const struct bundle *b)
{
    bool fragment = (b->flags & BUNDLE_FRAGMENT) != 0;

    if (fragment && (b->flags & BUNDLE_NO_FRAGMENT))
        cursor_fail_at(c, RC_BUNDLE_FLAGS, at, "flags: fragment that must not be one");
    if (fragment && (b->flags & BUNDLE_ADMIN))
        cursor_fail_at(c, RC_BUNDLE_FLAGS, at, "flags: fragment of an administrative record");
    if ((b->flags & BUNDLE_ADMIN) && (b->flags & BUNDLE_REPORT_ANY))
        cursor_fail_at(c, RC_BUNDLE_FLAGS, at, "flags: administrative record asks for reports");
    if (!eid_is_null(&b->src))
        return;
    if ((b->flags & BUNDLE_REPORT_ANY) || !(b->flags & BUNDLE_NO_FRAGMENT))
        cursor_fail_at(c, RC_BUNDLE_FLAGS, at, "flags: anonymous source");
}

static void read_fragment_fields(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    size_t start = c->at;
    bool unknown;

    b->fragment_offset = cursor_uint(c, "fragment offset");
    b->fragment_total = cursor_uint(c, "fragment total length");
    unknown = level == BUNDLE_LENIENT && b->fragment_total == 0;
    if (c->rc == RC_OK && !unknown &&
        (b->fragment_total > BUNDLE_ADU_MAX || b->fragment_offset >= b->fragment_total))
        cursor_fail_at(c, RC_BUNDLE_FRAGMENT, start, "fragment offset and total length");
}

static void read_destination(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    size_t start = c->at;

    eid_read(c, level, &b->dst);
    if (b->dst.scheme == EID_IPN && b->dst.node == 0 && b->dst.service != 0)
        cursor_fail_at(c, RC_BUNDLE_EID, start, "destination: ipn:0 with a service");
}

static void read_endpoints(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    read_destination(c, level, b);
    //@ assert c->rc == RC_OK ==> eid_of(&b->dst, c->p, c->n);
    eid_read(c, level, &b->src);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    //@ assert c->rc == RC_OK ==> eid_of(&b->dst, c->p, c->n) && eid_of(&b->src, c->p, c->n);
    eid_read(c, level, &b->report_to);
}

/* What comes before the endpoints of a primary block; returns where the flags stand. */
static size_t read_primary_head(struct cursor *c, struct bundle *b)
{
    size_t start = c->at;
    uint64_t items = cursor_head(c, CBOR_ARRAY, "primary block");
    size_t at = c->at;

    if (items < PRIMARY_ITEMS || items > PRIMARY_ITEMS + 3)
        cursor_fail_at(c, RC_BUNDLE_FORMAT, start, "primary block: number of fields");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (cursor_uint(c, "version") != 7)
        cursor_fail_at(c, RC_BUNDLE_VERSION, at, "version");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    at = c->at;
    b->flags = cursor_uint(c, "flags");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    b->crc_type = read_crc_type(c);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (c->rc == RC_OK)
        check_primary_items(c, start, items, b);
    return at;
}

/* What comes between the endpoints of a primary block and its CRC. */
static void read_primary_times(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    cursor_array(c, 2, "creation timestamp");
    b->time_ms = cursor_uint(c, "creation time");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    b->sequence = cursor_uint(c, "sequence number");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    b->lifetime_ms = cursor_uint(c, "lifetime");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (b->flags & BUNDLE_FRAGMENT)
        read_fragment_fields(c, level, b);
}

/* RFC 9171 section 4.3.1. */
static void read_primary(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    size_t start = c->at;
    size_t at = read_primary_head(c, b);

    read_endpoints(c, level, b);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (c->rc == RC_OK)
        check_primary_flags(c, at, b);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    //@ assert c->rc == RC_OK ==> primary_of(b, c->p, c->n);
    read_primary_times(c, level, b);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    //@ assert c->rc == RC_OK ==> primary_of(b, c->p, c->n);
    read_crc(c, b->crc_type, start);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    //@ assert c->rc == RC_OK ==> primary_of(b, c->p, c->n);
    if (c->rc == RC_OK)
        b->primary = (struct bytes){ .p = c->p + start, .n = c->at - start };
}

/* ---- canonical blocks ---- */

/* Type and number of a block. */
static void read_block_name(struct cursor *c, struct bundle_block *ret)
{
    size_t at = c->at;

    ret->type = cursor_uint(c, "block type");
    if (c->rc == RC_OK && ret->type == 0)
        cursor_fail_at(c, RC_BUNDLE_BLOCK_TYPE, at, "block type");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    at = c->at;
    ret->number = cursor_uint(c, "block number");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (c->rc == RC_OK && (ret->number == 0 || (ret->number == 1) != (ret->type == BLOCK_PAYLOAD)))
        cursor_fail_at(c, RC_BUNDLE_BLOCK_NUMBER, at, "block number");
}

static void read_block_data(struct cursor *c, struct bundle_block *ret)
{
    ret->data = cursor_bstr(c, "block data");
}

/* RFC 9171 section 4.3.2. */
static void read_block(struct cursor *c, struct bundle_block *ret)
{
    size_t start = c->at;
    uint64_t items = cursor_head(c, CBOR_ARRAY, "block");
    size_t at;

    read_block_name(c, ret);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    ret->flags = cursor_uint(c, "block flags");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    at = c->at;
    ret->crc_type = read_crc_type(c);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    if (c->rc == RC_OK && items != BLOCK_ITEMS + (ret->crc_type != CRC_NONE))
        cursor_fail_at(c, RC_BUNDLE_CRC_TYPE, at, "block: number of fields");
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    read_block_data(c, ret);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    //@ assert c->rc == RC_OK ==> view_of(ret->data, c->p, c->n);
    read_crc(c, ret->crc_type, start);
}

static void check_block_in_order(struct cursor *c, size_t start, const struct bundle *b)
{
    const struct bundle_block *last = &b->blocks[b->n_blocks - 1];

    /*@ loop invariant 0 <= i < b->n_blocks;
        loop invariant cursor_valid(c) && cursor_on{Pre, Here}(c);
        loop assigns i, c->rc, c->fail_at, c->field, c->at;
        loop variant b->n_blocks - i; */
    for (size_t i = 0; i + 1 < b->n_blocks; i++) {
        if (b->blocks[i].type == BLOCK_PAYLOAD)
            cursor_fail_at(c, RC_BUNDLE_PAYLOAD, start, "block after the payload");
        if (b->blocks[i].number == last->number)
            cursor_fail_at(c, RC_BUNDLE_BLOCK_NUMBER, start, "block number used twice");
    }
}

static uint32_t bit_of(const struct bundle *b, uint64_t number)
{
    /*@ loop invariant 0 <= i <= b->n_blocks;
        loop assigns i;
        loop variant b->n_blocks - i; */
    for (size_t i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].number == number)
            return (uint32_t)1 << i;
    }
    return 0;
}

/* Targets of a security block, as far as the bundle's own rules need them. */
/*@ requires cursor_valid(c) && \valid_read(b) && \valid(seen) && \valid_read(block);
    requires \separated(c, b, seen) && \separated(c, block) && \separated(seen, block);
    requires b->n_blocks <= BUNDLE_BLOCKS_MAX && view_of(block->data, c->p, c->n);
    assigns c->rc, c->fail_at, c->field, c->at, seen->primary_signed, seen->n_sealed, seen->sealed;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void note_targets(struct cursor *c, const struct bundle *b, const struct bundle_block *block,
                         struct seen *seen)
{
    struct cursor in = cursor_within((struct bytes){ .p = c->p, .n = c->n }, block->data);
    size_t start = in.at;
    uint64_t n = cursor_head(&in, CBOR_ARRAY, "security targets");

    if (n == 0 || n > BUNDLE_BLOCKS_MAX)
        cursor_fail_at(&in, RC_BPSEC_FORMAT, start, "number of security targets");
    /*@ loop invariant 0 <= i && cursor_valid(&in);
        loop assigns i, in.rc, in.fail_at, in.field, in.at, seen->primary_signed, seen->n_sealed,
                     seen->sealed;
        loop variant n - i; */
    for (uint64_t i = 0; i < n && in.rc == RC_OK; i++) {
        uint64_t target = cursor_uint(&in, "security target");

        if (block->type == BLOCK_BIB)
            seen->primary_signed |= target == 0;
        else if (seen->n_sealed++ < BUNDLE_BLOCKS_MAX)
            seen->sealed |= bit_of(b, target);
        else
            cursor_fail(&in, RC_BPSEC_TARGET, "security targets: too many");
    }
    //@ assert cursor_valid(c);
    if (in.rc != RC_OK)
        cursor_fail_at(c, in.rc == RC_BPSEC_TARGET ? in.rc : RC_BPSEC_FORMAT, in.fail_at, in.field);
}

static void read_hops(struct cursor *c, struct bundle *b)
{
    size_t start = c->at;
    uint64_t limit;

    cursor_array(c, 2, "hop count");
    limit = cursor_uint(c, "hop limit");
    if (c->rc == RC_OK && (limit == 0 || limit > 255))
        cursor_fail_at(c, RC_BUNDLE_FORMAT, start, "hop limit");
    b->hop_limit = (uint8_t)limit;
    b->hop_count = cursor_uint(c, "hop count");
    b->has_hops = c->rc == RC_OK;
}

/* Content of the extension blocks of RFC 9171 section 4.4. */
static void read_extension(struct cursor *c, const struct bundle_block *block,
                           enum bundle_level level, struct bundle *b)
{
    struct cursor in = cursor_within((struct bytes){ .p = c->p, .n = c->n }, block->data);

    switch (block->type) {
    case BLOCK_PREVIOUS_NODE:
        eid_read(&in, level, &b->previous);
        b->has_previous = in.rc == RC_OK;
        break;
    case BLOCK_AGE:
        b->age_ms = cursor_uint(&in, "bundle age");
        b->has_age = in.rc == RC_OK;
        break;
    case BLOCK_HOP_COUNT:
        read_hops(&in, b);
        break;
    default:
        return;
    }
    //@ assert cursor_valid(c) && cursor_valid(&in);
    cursor_end(&in, "extension block");
    if (in.rc != RC_OK)
        cursor_fail_at(c, in.rc, in.fail_at, in.field);
}

enum rc bundle_decode_extension(struct bundle *bundle, const struct bundle_block *block,
                                struct err *err)
{
    struct cursor c = cursor_of(bundle->raw);

    read_extension(&c, block, BUNDLE_LENIENT, bundle);
    return cursor_done(&c, err);
}

/* ---- the bundle as a whole ---- */

/* Which blocks there are, and which of them are encrypted. */
/*@ requires cursor_valid(c) && \valid_read(b) && \valid(seen) && \separated(c, b, seen);
    requires blocks_of(b, c->p, c->n);
    assigns c->rc, c->fail_at, c->field, c->at, seen->age, seen->hops, seen->previous,
            seen->primary_signed, seen->n_sealed, seen->sealed;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void take_stock(struct cursor *c, const struct bundle *b, struct seen *seen)
{
    /*@ loop invariant 0 <= i <= b->n_blocks;
        loop invariant cursor_valid(c) && cursor_on{Pre, Here}(c);
        loop assigns i, c->rc, c->fail_at, c->field, c->at, seen->age, seen->hops, seen->previous,
                     seen->primary_signed, seen->n_sealed, seen->sealed;
        loop variant b->n_blocks - i; */
    for (size_t i = 0; i < b->n_blocks && c->rc == RC_OK; i++) {
        const struct bundle_block *block = &b->blocks[i];

        seen->age += block->type == BLOCK_AGE;
        seen->hops += block->type == BLOCK_HOP_COUNT;
        seen->previous += block->type == BLOCK_PREVIOUS_NODE;
        if (block->type == BLOCK_BCB)
            note_targets(c, b, block, seen);
    }
    /* Only now is it known which BIBs can be read. */
    /*@ loop invariant 0 <= i <= b->n_blocks;
        loop invariant cursor_valid(c) && cursor_on{Pre, Here}(c);
        loop assigns i, c->rc, c->fail_at, c->field, c->at, seen->primary_signed, seen->n_sealed,
                     seen->sealed;
        loop variant b->n_blocks - i; */
    for (size_t i = 0; i < b->n_blocks && c->rc == RC_OK; i++) {
        if (b->blocks[i].type == BLOCK_BIB && !(seen->sealed >> i & 1))
            note_targets(c, b, &b->blocks[i], seen);
    }
    if (seen->age > 1 || seen->hops > 1 || seen->previous > 1)
        cursor_fail(c, RC_BUNDLE_BLOCK_TYPE, "extension block repeated");
}

/* Sizes compared, not sums; a total of 0 has passed only where the level allows it. */
static bool fragment_fits(const struct bundle *b, size_t n)
{
    return n > 0 && (b->fragment_total == 0 || n <= b->fragment_total - b->fragment_offset);
}

/* Rules that join the primary block and the others. */
/*@ requires cursor_valid(c) && \valid_read(b) && \valid_read(seen);
    requires \separated(c, b) && \separated(c, seen);
    requires 0 < b->n_blocks <= BUNDLE_BLOCKS_MAX;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void check_whole(struct cursor *c, const struct bundle *b, const struct seen *seen)
{
    struct bytes payload = bundle_payload(b);
    bool strict = seen->level == BUNDLE_STRICT;

    if (strict && b->crc_type == CRC_NONE && !seen->primary_signed)
        cursor_fail_at(c, RC_BUNDLE_UNPROTECTED, 1, "primary block");
    if (strict && b->time_ms == 0 && seen->age == 0)
        cursor_fail_at(c, RC_BUNDLE_TIME, 1, "no clock and no bundle age");
    if ((b->flags & BUNDLE_FRAGMENT) && !fragment_fits(b, payload.n))
        cursor_fail_at(c, RC_BUNDLE_FRAGMENT, 1, "fragment length");
    if (!(b->flags & BUNDLE_ADMIN) && !(strict && eid_is_null(&b->src)))
        return;
    /*@ loop invariant 0 <= i <= b->n_blocks;
        loop invariant cursor_valid(c) && cursor_on{Pre, Here}(c);
        loop assigns i, c->rc, c->fail_at, c->field, c->at;
        loop variant b->n_blocks - i; */
    for (size_t i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].flags & BLOCK_REPORT)
            cursor_fail_at(c, RC_BUNDLE_FLAGS, 1, "block asks for a report");
    }
}

/* One more block; there is room for it. */
static void add_block(struct cursor *c, struct bundle *b)
{
    size_t start = c->at;

    read_block(c, &b->blocks[b->n_blocks]);
    //@ assert cursor_valid(c) && cursor_on{Pre, Here}(c);
    //@ assert c->rc == RC_OK ==> front_of(b, c->p, c->n);
    b->n_blocks++;
    //@ assert c->rc == RC_OK ==> blocks_of(b, c->p, c->n);
    check_block_in_order(c, start, b);
}

static void read_blocks(struct cursor *c, struct bundle *b)
{
    /*@ loop invariant cursor_valid(c) && cursor_on{Pre, Here}(c);
        loop invariant b->n_blocks <= BUNDLE_BLOCKS_MAX;
        loop invariant c->rc == RC_OK ==> front_of(b, c->p, c->n);
        loop invariant c->rc == RC_OK ==> blocks_of(b, c->p, c->n);
        loop assigns c->rc, c->fail_at, c->field, c->at, b->n_blocks,
                     b->blocks[0 .. BUNDLE_BLOCKS_MAX - 1];
        loop variant BUNDLE_BLOCKS_MAX - b->n_blocks; */
    while (c->rc == RC_OK) {
        if (c->at < c->n && c->p[c->at] == BUNDLE_BREAK) {
            c->at++;
            break;
        }
        if (b->n_blocks == BUNDLE_BLOCKS_MAX) {
            cursor_fail(c, RC_BUNDLE_TOO_MANY_BLOCKS, "blocks");
            break;
        }
        add_block(c, b);
    }
    if (c->rc == RC_OK && (b->n_blocks == 0 || b->blocks[b->n_blocks - 1].type != BLOCK_PAYLOAD))
        cursor_fail(c, RC_BUNDLE_PAYLOAD, "no payload block");
}

/* What stands before the primary block. */
static void read_start(struct cursor *c)
{
    if (c->n == 0)
        cursor_fail(c, RC_SHORT, "bundle");
    else if (c->p[0] != BUNDLE_START)
        cursor_fail(c, RC_BUNDLE_FORMAT, "bundle: not an array of indefinite length");
    else
        c->at = 1;
}

/* The extension blocks that are not encrypted: a bit of sealed for each that is. */
static void read_extensions(struct cursor *c, enum bundle_level level, uint32_t sealed,
                            struct bundle *b)
{
    /*@ loop invariant 0 <= i <= b->n_blocks;
        loop invariant cursor_valid(c) && cursor_on{Pre, Here}(c);
        loop invariant c->rc == RC_OK ==> eid_of(&b->previous, c->p, c->n);
        loop assigns i, c->rc, c->fail_at, c->field, c->at, b->previous, b->has_previous,
                     b->age_ms, b->has_age, b->hop_limit, b->hop_count, b->has_hops;
        loop variant b->n_blocks - i; */
    for (size_t i = 0; i < b->n_blocks && c->rc == RC_OK; i++) {
        if (!(sealed >> i & 1))
            read_extension(c, &b->blocks[i], level, b);
    }
}

/* What stands before the blocks. */
static void read_front(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    read_start(c);
    //@ assert b->n_blocks == 0 && b->previous.scheme == EID_NONE;
    read_primary(c, level, b);
    //@ assert b->n_blocks == 0 && b->previous.scheme == EID_NONE;
}

/* Form only: the primary block, the others, and nothing behind them. */
static void read_form(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    read_front(c, level, b);
    read_blocks(c, b);
    //@ assert c->rc == RC_OK ==> front_of(b, c->p, c->n);
    //@ assert c->rc == RC_OK ==> blocks_of(b, c->p, c->n);
    cursor_end(c, "bundle");
    //@ assert c->rc == RC_OK ==> primary_of(b, c->p, c->n);
    //@ assert c->rc == RC_OK ==> eid_of(&b->previous, c->p, c->n);
    //@ assert c->rc == RC_OK ==> view_in(b->primary.p, b->primary.n, c->p, c->n);
    //@ assert c->rc == RC_OK ==> b->n_blocks <= BUNDLE_BLOCKS_MAX;
}

static void read_bundle(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    struct seen seen = { .level = level };

    read_form(c, level, b);
    if (c->rc != RC_OK)
        return;
    take_stock(c, b, &seen);
    //@ assert cursor_valid(c);
    //@ assert bundle_of(b, c->p, c->n);
    read_extensions(c, level, seen.sealed, b);
    //@ assert cursor_valid(c);
    //@ assert c->rc == RC_OK ==> bundle_of(b, c->p, c->n);
    if (c->rc == RC_OK)
        check_whole(c, b, &seen);
}

/* All but the blocks, which n_blocks bounds. */
static void clear(struct bundle *b)
{
    memset(b, 0, offsetof(struct bundle, blocks));
}

static void wipe(struct bundle *ret)
{
    memset(ret, 0, sizeof *ret);
}

static void read_primary_only(struct cursor *c, enum bundle_level level, struct bundle *b)
{
    read_primary(c, level, b);
    //@ assert b->previous.scheme == EID_NONE;
    //@ assert c->rc == RC_OK ==> front_of(b, c->p, c->n);
    cursor_end(c, "primary block");
    //@ assert c->rc == RC_OK ==> primary_of(b, c->p, c->n);
    //@ assert c->rc == RC_OK ==> eid_of(&b->previous, c->p, c->n);
}

/* Nothing is left of a bundle that could not be read. */
static enum rc refuse(const struct cursor *c, struct bundle *ret, struct err *err)
{
    enum rc rc = cursor_done(c, err);

    wipe(ret);
    return rc;
}

/* Into a bundle that clear has been over. */
static enum rc decode_cleared(struct bytes in, enum bundle_level level, struct bundle *ret,
                              struct err *err)
{
    struct cursor c = cursor_of(in);

    read_bundle(&c, level, ret);
    if (c.rc != RC_OK)
        return refuse(&c, ret, err);
    //@ assert bundle_of(ret, in.p, in.n);
    ret->raw.p = in.p;
    ret->raw.n = in.n;
    //@ assert front_of(ret, in.p, in.n);
    //@ assert blocks_of(ret, in.p, in.n);
    return RC_OK;
}

enum rc bundle_decode(struct bytes in, enum bundle_level level, struct bundle *ret, struct err *err)
{
    clear(ret);
    return decode_cleared(in, level, ret, err);
}

/* Into a bundle that wipe has been over. */
static enum rc primary_cleared(struct bytes in, enum bundle_level level, struct bundle *ret,
                               struct err *err)
{
    struct cursor c = cursor_of(in);

    read_primary_only(&c, level, ret);
    if (c.rc != RC_OK)
        return refuse(&c, ret, err);
    return RC_OK;
}

enum rc bundle_decode_primary(struct bytes in, enum bundle_level level, struct bundle *ret,
                              struct err *err)
{
    wipe(ret);
    return primary_cleared(in, level, ret, err);
}

enum rc bundle_decode_block(struct bytes in, struct bundle_block *ret, struct err *err)
{
    struct cursor c = cursor_of(in);
    struct bundle_block block = { 0 };

    read_block(&c, &block);
    cursor_end(&c, "block");
    if (c.rc == RC_OK)
        *ret = block;
    return cursor_done(&c, err);
}

bool bundle_block_known(uint64_t type)
{
    return type == BLOCK_PAYLOAD || type == BLOCK_PREVIOUS_NODE || type == BLOCK_AGE ||
           type == BLOCK_HOP_COUNT || type == BLOCK_BIB || type == BLOCK_BCB;
}

const struct bundle_block *bundle_unknown(const struct bundle *bundle, enum block_flag flag)
{
    for (size_t i = 0; i < bundle->n_blocks; i++) {
        const struct bundle_block *block = &bundle->blocks[i];

        if (!bundle_block_known(block->type) && (block->flags & (uint64_t)flag))
            return block;
    }
    return NULL;
}

/* Where a view lies in the bundle that was decoded; 0 for what never was. */
static uint64_t offset_of(const struct bundle *bundle, struct bytes view)
{
    return bundle->raw.p && view.p ? (uint64_t)(view.p - bundle->raw.p) : 0;
}

static const struct bundle_block *block_of_type(const struct bundle *bundle, uint64_t type)
{
    size_t i = 0;

    while (i < bundle->n_blocks && bundle->blocks[i].type != type)
        i++;
    return i < bundle->n_blocks ? &bundle->blocks[i] : NULL;
}

enum rc bundle_check(const struct bundle *bundle, uint64_t now_ms, struct err *err)
{
    const struct bundle_block *hops = block_of_type(bundle, BLOCK_HOP_COUNT);
    const struct bundle_block *deletes = bundle_unknown(bundle, BLOCK_DELETE_BUNDLE);
    uint64_t spent = bundle->has_age ? bundle->age_ms : 0;

    if (now_ms != 0 && bundle->time_ms != 0 && now_ms > bundle->time_ms &&
        now_ms - bundle->time_ms > spent)
        spent = now_ms - bundle->time_ms;
    if (spent > bundle->lifetime_ms)
        return err_at(err, RC_BUNDLE_EXPIRED, offset_of(bundle, bundle->primary), "lifetime");
    if (bundle->has_hops && bundle->hop_count > bundle->hop_limit)
        return err_at(err, RC_BUNDLE_HOPS, hops ? offset_of(bundle, hops->data) : 0, "hop count");
    if (deletes)
        return err_at(err, RC_BUNDLE_BLOCK_UNSUPPORTED, offset_of(bundle, deletes->data),
                      "block type %llu", (unsigned long long)deletes->type);
    return RC_OK;
}

const struct bundle_block *bundle_block(const struct bundle *bundle, uint64_t number)
{
    for (size_t i = 0; i < bundle->n_blocks; i++) {
        if (bundle->blocks[i].number == number)
            return &bundle->blocks[i];
    }
    return NULL;
}

struct bytes bundle_payload(const struct bundle *bundle)
{
    assert(bundle->n_blocks > 0 && bundle->n_blocks <= BUNDLE_BLOCKS_MAX);
    return bundle->blocks[bundle->n_blocks - 1].data;
}

/* ---- encoding ---- */

/* Append the CRC field of the block that began at start. */
static void put_crc(struct cbor_out *w, enum crc_type type, size_t start)
{
    static const uint8_t zero[4] = { 0 };
    size_t n = crc_size(type);
    uint32_t crc;

    if (type == CRC_NONE)
        return;
    cbor_put_bstr(w, (struct bytes){ .p = zero, .n = n });
    if (w->full)
        return;
    crc = crc_of_block(type, (struct bytes){ .p = w->p + start, .n = w->n - start });
    for (size_t i = 1; i <= n; i++, crc >>= 8)
        w->p[w->n - i] = (uint8_t)crc;
}

void bundle_put_primary(struct cbor_out *w, const struct bundle *bundle)
{
    bool fragment = (bundle->flags & BUNDLE_FRAGMENT) != 0;
    size_t start = w->n;

    cbor_put_array(w, PRIMARY_ITEMS + (fragment ? 2U : 0U) + (bundle->crc_type != CRC_NONE));
    cbor_put_uint(w, 7);
    cbor_put_uint(w, bundle->flags);
    cbor_put_uint(w, bundle->crc_type);
    eid_put(w, &bundle->dst);
    eid_put(w, &bundle->src);
    eid_put(w, &bundle->report_to);
    cbor_put_array(w, 2);
    cbor_put_uint(w, bundle->time_ms);
    cbor_put_uint(w, bundle->sequence);
    cbor_put_uint(w, bundle->lifetime_ms);
    if (fragment) {
        cbor_put_uint(w, bundle->fragment_offset);
        cbor_put_uint(w, bundle->fragment_total);
    }
    put_crc(w, bundle->crc_type, start);
}

/* Content of an extension block from the decoded fields, into w. */
static void put_extension(struct cbor_out *w, const struct bundle *bundle, uint64_t type)
{
    if (type == BLOCK_PREVIOUS_NODE) {
        eid_put(w, &bundle->previous);
    } else if (type == BLOCK_AGE) {
        cbor_put_uint(w, bundle->age_ms);
    } else if (type == BLOCK_HOP_COUNT) {
        cbor_put_array(w, 2);
        cbor_put_uint(w, bundle->hop_limit);
        cbor_put_uint(w, bundle->hop_count);
    }
}

size_t bundle_begin_block(struct cbor_out *w, const struct bundle_block *block, uint64_t n)
{
    size_t start = w->n;

    cbor_put_array(w, BLOCK_ITEMS + (block->crc_type != CRC_NONE));
    cbor_put_uint(w, block->type);
    cbor_put_uint(w, block->number);
    cbor_put_uint(w, block->flags);
    cbor_put_uint(w, block->crc_type);
    cbor_put_head(w, CBOR_BSTR, n);
    return start;
}

void bundle_end_block(struct cbor_out *w, const struct bundle_block *block, size_t start)
{
    put_crc(w, block->crc_type, start);
}

void bundle_put_block(struct cbor_out *w, const struct bundle *bundle,
                      const struct bundle_block *block)
{
    uint8_t scratch[EID_WIRE_MAX];
    struct cbor_out content = { .p = scratch, .cap = sizeof scratch };
    struct bytes data = block->data;
    size_t start;

    if (!data.p) {
        put_extension(&content, bundle, block->type);
        data = (struct bytes){ .p = scratch, .n = content.n };
    }
    start = bundle_begin_block(w, block, data.n);
    cbor_put_raw(w, data);
    bundle_end_block(w, block, start);
}

/* Numbers and order of blocks: what a receiver would refuse is not sent. */
static enum rc check_encodable(const struct bundle *b, struct err *err)
{
    if (b->n_blocks == 0 || b->n_blocks > BUNDLE_BLOCKS_MAX ||
        b->blocks[b->n_blocks - 1].type != BLOCK_PAYLOAD)
        return err_set(err, RC_BUNDLE_PAYLOAD, "payload block is not the last");
    for (size_t i = 0; i < b->n_blocks; i++) {
        const struct bundle_block *block = &b->blocks[i];

        if (block->number == 0 || (block->number == 1) != (block->type == BLOCK_PAYLOAD))
            return err_set(err, RC_BUNDLE_BLOCK_NUMBER, "block number");
        for (size_t k = 0; k < i; k++) {
            if (b->blocks[k].number == block->number)
                return err_set(err, RC_BUNDLE_BLOCK_NUMBER, "block number used twice");
        }
    }
    return RC_OK;
}

enum rc bundle_encode(const struct bundle *bundle, uint8_t *out, size_t cap, struct bytes *ret,
                      struct err *err)
{
    static const uint8_t start = BUNDLE_START;
    static const uint8_t stop = BUNDLE_BREAK;
    struct cbor_out w = { .p = out, .cap = cap };
    enum rc rc = check_encodable(bundle, err);

    if (rc != RC_OK)
        return rc;
    cbor_put_raw(&w, (struct bytes){ .p = &start, .n = 1 });
    bundle_put_primary(&w, bundle);
    for (size_t i = 0; i < bundle->n_blocks; i++)
        bundle_put_block(&w, bundle, &bundle->blocks[i]);
    cbor_put_raw(&w, (struct bytes){ .p = &stop, .n = 1 });
    return cbor_written(&w, ret, err);
}
