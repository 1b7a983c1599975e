/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/bundle.c: contracts of what link/bundle.c keeps to itself, and link/bundle.c.
 */
#include "tests/prove/bundle.h"

#include "link/bundle.h"
#include "link/crc.h"

/* ---- what the decoder takes from elsewhere: assumed, not proven ---- */

/*@ predicate readable(struct bytes v) = v.n == 0 || \valid_read(v.p + (0 .. v.n - 1)); */

/*@ requires readable(data);
    assigns \nothing; */
uint16_t crc16_x25(uint16_t crc, struct bytes data);

/*@ requires readable(data);
    assigns \nothing; */
uint32_t crc32c(uint32_t crc, struct bytes data);

/*@ assigns \nothing; */
uint32_t crc32c_zero4(uint32_t crc);

/*@ // The views of the primary block.
    predicate primary_of(struct bundle *b, uint8_t *p, integer n) =
        eid_of(&b->dst, p, n) && eid_of(&b->src, p, n) && eid_of(&b->report_to, p, n);

    // The views of the blocks.
    predicate blocks_of(struct bundle *b, uint8_t *p, integer n) =
        b->n_blocks <= BUNDLE_BLOCKS_MAX &&
        \forall integer i; 0 <= i < b->n_blocks ==> view_of(b->blocks[i].data, p, n);
*/

/* ---- CRC ---- */

/*@ assigns \nothing;
    ensures \result == (type == CRC_16 ? 2 : 4); */
static size_t crc_size(enum crc_type type);

/*@ requires readable(block) && block.n >= (type == CRC_16 ? 2 : 4);
    assigns \nothing; */
static uint32_t crc_of_block(enum crc_type type, struct bytes block);

/*@ requires readable(field);
    assigns \nothing; */
static uint32_t crc_value(struct bytes field);

/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static enum crc_type read_crc_type(struct cursor *c);

/*@ requires cursor_valid(c) && start <= c->at;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void read_crc(struct cursor *c, enum crc_type type, size_t start);

/* ---- primary block ---- */

/*@ requires cursor_valid(c) && \valid_read(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void check_primary_items(struct cursor *c, size_t start, uint64_t items,
                                const struct bundle *b);

/*@ requires cursor_valid(c) && \valid_read(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void check_primary_flags(struct cursor *c, size_t at, const struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->fragment_offset, b->fragment_total;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void read_fragment_fields(struct cursor *c, enum bundle_level level, struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->dst.scheme, b->dst.three, b->dst.node,
            b->dst.service, b->dst.name.p, b->dst.name.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> eid_of(&b->dst, c->p, c->n); */
static void read_destination(struct cursor *c, enum bundle_level level, struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->dst.scheme, b->dst.three, b->dst.node,
            b->dst.service, b->dst.name.p, b->dst.name.n,
            b->src.scheme, b->src.three, b->src.node,
            b->src.service, b->src.name.p, b->src.name.n,
            b->report_to.scheme, b->report_to.three, b->report_to.node,
            b->report_to.service, b->report_to.name.p, b->report_to.name.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> primary_of(b, c->p, c->n); */
static void read_endpoints(struct cursor *c, enum bundle_level level, struct bundle *b);

/* ---- canonical blocks ---- */

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->data.p, ret->data.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> view_of(ret->data, c->p, c->n); */
static void read_block_data(struct cursor *c, struct bundle_block *ret);

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->type, ret->number;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void read_block_name(struct cursor *c, struct bundle_block *ret);

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->type, ret->number, ret->flags, ret->crc_type,
            ret->data.p, ret->data.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> view_of(ret->data, c->p, c->n); */
static void read_block(struct cursor *c, struct bundle_block *ret);

/*@ requires cursor_valid(c) && \valid_read(b) && \separated(c, b);
    requires 1 <= b->n_blocks <= BUNDLE_BLOCKS_MAX;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void check_block_in_order(struct cursor *c, size_t start, const struct bundle *b);

/*@ requires \valid_read(b) && b->n_blocks <= BUNDLE_BLOCKS_MAX;
    assigns \nothing; */
static uint32_t bit_of(const struct bundle *b, uint64_t number);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->hop_limit, b->hop_count, b->has_hops;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void read_hops(struct cursor *c, struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \valid_read(block);
    requires \separated(c, b) && \separated(c, block) && view_of(block->data, c->p, c->n);
    requires eid_of(&b->previous, c->p, c->n);
    assigns c->rc, c->fail_at, c->field, c->at, b->previous, b->has_previous, b->age_ms, b->has_age,
            b->hop_limit, b->hop_count, b->has_hops;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> eid_of(&b->previous, c->p, c->n); */
static void read_extension(struct cursor *c, const struct bundle_block *block,
                           enum bundle_level level, struct bundle *b);

/* ---- the bundle as a whole ---- */

/*@ requires \valid_read(b);
    assigns \nothing; */
static bool fragment_fits(const struct bundle *b, size_t n);

/*@ requires \valid_read(bundle) && 0 < bundle->n_blocks <= BUNDLE_BLOCKS_MAX;
    assigns \nothing;
    ensures \result == bundle->blocks[bundle->n_blocks - 1].data; */
struct bytes bundle_payload(const struct bundle *bundle);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b) && b->n_blocks == 0;
    assigns c->rc, c->fail_at, c->field, c->at, b->n_blocks, b->blocks[0 .. BUNDLE_BLOCKS_MAX - 1];
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures b->n_blocks <= BUNDLE_BLOCKS_MAX;
    ensures c->rc == RC_OK ==> 0 < b->n_blocks; */
static void read_blocks(struct cursor *c, struct bundle *b);

#include "link/bundle.c"
