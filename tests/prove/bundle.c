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
        \forall integer i; 0 <= i < b->n_blocks ==>
            view_in(b->blocks[i].data.p, b->blocks[i].data.n, p, n);

    // The views in front of the blocks.
    predicate front_of(struct bundle *b, uint8_t *p, integer n) =
        primary_of(b, p, n) && view_in(b->primary.p, b->primary.n, p, n) &&
        eid_of(&b->previous, p, n);

    // All views of a bundle lie in what was decoded.
    predicate bundle_of(struct bundle *b, uint8_t *p, integer n) =
        front_of(b, p, n) && blocks_of(b, p, n) && 0 < b->n_blocks;
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

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->flags, b->crc_type;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static size_t read_primary_head(struct cursor *c, struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->time_ms, b->sequence, b->lifetime_ms,
            b->fragment_offset, b->fragment_total;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void read_primary_times(struct cursor *c, enum bundle_level level, struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    assigns c->rc, c->fail_at, c->field, c->at, b->flags, b->crc_type,
            b->dst.scheme, b->dst.three, b->dst.node,
            b->dst.service, b->dst.name.p, b->dst.name.n,
            b->src.scheme, b->src.three, b->src.node,
            b->src.service, b->src.name.p, b->src.name.n,
            b->report_to.scheme, b->report_to.three, b->report_to.node,
            b->report_to.service, b->report_to.name.p, b->report_to.name.n,
            b->time_ms, b->sequence, b->lifetime_ms, b->fragment_offset, b->fragment_total,
            b->primary.p, b->primary.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> primary_of(b, c->p, c->n);
    ensures c->rc == RC_OK ==> view_of(b->primary, c->p, c->n); */
static void read_primary(struct cursor *c, enum bundle_level level, struct bundle *b);

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

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b);
    requires b->n_blocks < BUNDLE_BLOCKS_MAX && c->rc == RC_OK;
    requires front_of(b, c->p, c->n) && blocks_of(b, c->p, c->n);
    assigns c->rc, c->fail_at, c->field, c->at, b->n_blocks, b->blocks[0 .. BUNDLE_BLOCKS_MAX - 1];
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures b->n_blocks == \old(b->n_blocks) + 1;
    ensures c->rc == RC_OK ==> front_of(b, c->p, c->n);
    ensures c->rc == RC_OK ==> blocks_of(b, c->p, c->n); */
static void add_block(struct cursor *c, struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b) && b->n_blocks == 0;
    requires c->rc == RC_OK ==> front_of(b, c->p, c->n);
    assigns c->rc, c->fail_at, c->field, c->at, b->n_blocks, b->blocks[0 .. BUNDLE_BLOCKS_MAX - 1];
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures b->n_blocks <= BUNDLE_BLOCKS_MAX;
    ensures c->rc == RC_OK ==> 0 < b->n_blocks;
    ensures c->rc == RC_OK ==> front_of(b, c->p, c->n);
    ensures c->rc == RC_OK ==> blocks_of(b, c->p, c->n); */
static void read_blocks(struct cursor *c, struct bundle *b);

/*@ requires cursor_valid(c) && c->at == 0 && c->rc == RC_OK;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_on{Pre, Here}(c);
    ensures cursor_valid(c); */
static void read_start(struct cursor *c);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b) && blocks_of(b, c->p, c->n);
    requires eid_of(&b->previous, c->p, c->n);
    assigns c->rc, c->fail_at, c->field, c->at, b->previous, b->has_previous, b->age_ms, b->has_age,
            b->hop_limit, b->hop_count, b->has_hops;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> eid_of(&b->previous, c->p, c->n); */
static void read_extensions(struct cursor *c, enum bundle_level level, uint32_t sealed,
                            struct bundle *b);

/*@ requires cursor_valid(c) && \valid(b) && \separated(c, b) && b->previous.scheme == EID_NONE;
    assigns c->rc, c->fail_at, c->field, c->at, *b;
    ensures cursor_on{Pre, Here}(c);
    ensures cursor_valid(c);
    ensures c->rc == RC_OK ==> front_of(b, c->p, c->n); */
static void read_primary_only(struct cursor *c, enum bundle_level level, struct bundle *b);

/*@ requires cursor_valid(c) && c->at == 0 && c->rc == RC_OK;
    requires \valid(b) && \separated(c, b) && b->n_blocks == 0 && b->previous.scheme == EID_NONE;
    assigns c->rc, c->fail_at, c->field, c->at, b->flags, b->crc_type,
            b->dst.scheme, b->dst.three, b->dst.node,
            b->dst.service, b->dst.name.p, b->dst.name.n,
            b->src.scheme, b->src.three, b->src.node,
            b->src.service, b->src.name.p, b->src.name.n,
            b->report_to.scheme, b->report_to.three, b->report_to.node,
            b->report_to.service, b->report_to.name.p, b->report_to.name.n,
            b->time_ms, b->sequence, b->lifetime_ms, b->fragment_offset, b->fragment_total,
            b->primary.p, b->primary.n;
    ensures cursor_on{Pre, Here}(c);
    ensures cursor_valid(c) && b->n_blocks == 0;
    ensures c->rc == RC_OK ==> front_of(b, c->p, c->n); */
static void read_front(struct cursor *c, enum bundle_level level, struct bundle *b);

/*@ requires cursor_valid(c) && c->at == 0 && c->rc == RC_OK;
    requires \valid(b) && \separated(c, b) && b->n_blocks == 0 && b->previous.scheme == EID_NONE;
    assigns c->rc, c->fail_at, c->field, c->at, *b;
    ensures cursor_on{Pre, Here}(c);
    ensures cursor_valid(c);
    ensures c->rc == RC_OK ==> c->at == c->n;
    ensures c->rc == RC_OK ==> front_of(b, c->p, c->n);
    ensures c->rc == RC_OK ==> blocks_of(b, c->p, c->n);
    ensures c->rc == RC_OK ==> 0 < b->n_blocks; */
static void read_form(struct cursor *c, enum bundle_level level, struct bundle *b);

/*@ requires cursor_valid(c) && c->at == 0 && c->rc == RC_OK;
    requires \valid(b) && \separated(c, b) && b->n_blocks == 0 && b->previous.scheme == EID_NONE;
    assigns c->rc, c->fail_at, c->field, c->at, *b;
    ensures cursor_on{Pre, Here}(c);
    ensures cursor_valid(c);
    ensures c->rc == RC_OK ==> c->at == c->n && bundle_of(b, c->p, c->n); */
static void read_bundle(struct cursor *c, enum bundle_level level, struct bundle *b);

/* ---- what others call ---- */

/*@ // All but the blocks is zero.
    predicate eid_zero(struct eid *e) =
        e->scheme == EID_NONE && e->three == 0 && e->node == 0 && e->service == 0 &&
        e->name.p == \null && e->name.n == 0;
    predicate front_zero(struct bundle *b) =
        b->raw.p == \null && b->raw.n == 0 && b->primary.p == \null && b->primary.n == 0 &&
        b->flags == 0 && b->crc_type == CRC_NONE && eid_zero(&b->dst) && eid_zero(&b->src) &&
        eid_zero(&b->report_to) && b->time_ms == 0 && b->sequence == 0 && b->lifetime_ms == 0 &&
        b->fragment_offset == 0 && b->fragment_total == 0 && b->has_age == 0 &&
        b->has_hops == 0 && b->has_previous == 0 && b->hop_limit == 0 && b->hop_count == 0 &&
        b->age_ms == 0 && eid_zero(&b->previous) && b->n_blocks == 0;

    // A block is zero, and all of them.
    predicate block_zero(struct bundle_block *k) =
        k->type == 0 && k->number == 0 && k->flags == 0 && k->crc_type == CRC_NONE &&
        k->data.p == \null && k->data.n == 0;
    predicate blocks_zero(struct bundle *b) =
        \forall integer i; 0 <= i < BUNDLE_BLOCKS_MAX ==> block_zero(&b->blocks[i]);
*/

/* The C library's, with the type and the two sizes of the calls at hand. */
/*@ requires \valid(b) && zero == 0;
    requires n == sizeof(struct bundle) ||
             n == sizeof(struct bundle) - BUNDLE_BLOCKS_MAX * sizeof(struct bundle_block);
    assigns *b;
    ensures front_zero(b);
    ensures n == sizeof(struct bundle) ==> blocks_zero(b); */
void prove_memset(struct bundle *b, int zero, size_t n);
#define memset prove_memset

/*@ requires \valid(b);
    assigns *b;
    ensures front_zero(b);
    ensures b->n_blocks == 0 && b->previous.scheme == EID_NONE; */
static void clear(struct bundle *b);

/*@ requires \valid(ret);
    assigns *ret;
    ensures front_zero(ret);
    ensures ret->n_blocks == 0 && ret->previous.scheme == EID_NONE;
    ensures blocks_zero(ret); */
static void wipe(struct bundle *ret);

/*@ requires \valid(ret) && \valid_read(c) && (err == \null || \valid(err));
    requires \separated(c, ret, err) && c->rc != RC_OK;
    assigns *ret, *err;
    ensures \result != RC_OK;
    ensures front_zero(ret);
    ensures blocks_zero(ret); */
static enum rc refuse(const struct cursor *c, struct bundle *ret, struct err *err);

/*@ requires readable(in) && \valid(ret) && (err == \null || \valid(err)) && \separated(ret, err);
    requires ret->n_blocks == 0 && ret->previous.scheme == EID_NONE;
    assigns *ret, *err;
    ensures \result == RC_OK ==> front_of(ret, in.p, in.n);
    ensures \result == RC_OK ==> blocks_of(ret, in.p, in.n) && 0 < ret->n_blocks;
    ensures \result == RC_OK ==> ret->raw.p == in.p && ret->raw.n == in.n;
    ensures \result != RC_OK ==> front_zero(ret);
    ensures \result != RC_OK ==> blocks_zero(ret); */
static enum rc decode_cleared(struct bytes in, enum bundle_level level, struct bundle *ret,
                              struct err *err);

/*@ requires readable(in) && \valid(ret) && (err == \null || \valid(err)) && \separated(ret, err);
    assigns *ret, *err;
    ensures \result == RC_OK ==> front_of(ret, in.p, in.n);
    ensures \result == RC_OK ==> blocks_of(ret, in.p, in.n) && 0 < ret->n_blocks;
    ensures \result == RC_OK ==> ret->raw.p == in.p && ret->raw.n == in.n;
    ensures \result != RC_OK ==> front_zero(ret);
    ensures \result != RC_OK ==> blocks_zero(ret); */
enum rc bundle_decode(struct bytes in, enum bundle_level level, struct bundle *ret,
                      struct err *err);

/*@ requires readable(in) && \valid(ret) && (err == \null || \valid(err)) && \separated(ret, err);
    requires ret->previous.scheme == EID_NONE;
    assigns *ret, *err;
    ensures \result == RC_OK ==> front_of(ret, in.p, in.n);
    ensures \result != RC_OK ==> front_zero(ret);
    ensures \result != RC_OK ==> blocks_zero(ret); */
static enum rc primary_cleared(struct bytes in, enum bundle_level level, struct bundle *ret,
                               struct err *err);

/*@ requires readable(in) && \valid(ret) && (err == \null || \valid(err)) && \separated(ret, err);
    assigns *ret, *err;
    ensures \result == RC_OK ==> front_of(ret, in.p, in.n);
    ensures \result != RC_OK ==> front_zero(ret);
    ensures \result != RC_OK ==> blocks_zero(ret); */
enum rc bundle_decode_primary(struct bytes in, enum bundle_level level, struct bundle *ret,
                              struct err *err);

/*@ requires readable(in) && \valid(ret) && (err == \null || \valid(err)) && \separated(ret, err);
    assigns *ret, *err;
    ensures \result == RC_OK ==> view_of(ret->data, in.p, in.n);
    ensures \result != RC_OK ==> *ret == \old(*ret); */
enum rc bundle_decode_block(struct bytes in, struct bundle_block *ret, struct err *err);

/*@ requires readable(bundle->raw) && \valid(bundle) && \valid_read(block);
    requires (err == \null || \valid(err)) && \separated(bundle, err) && \separated(block, err);
    requires view_of(block->data, bundle->raw.p, bundle->raw.n);
    requires eid_of(&bundle->previous, bundle->raw.p, bundle->raw.n);
    assigns bundle->previous, bundle->has_previous, bundle->age_ms, bundle->has_age,
            bundle->hop_limit, bundle->hop_count, bundle->has_hops, *err;
    ensures \result == RC_OK ==> eid_of(&bundle->previous, bundle->raw.p, bundle->raw.n); */
enum rc bundle_decode_extension(struct bundle *bundle, const struct bundle_block *block,
                                struct err *err);

#include "link/bundle.c"
