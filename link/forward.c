/* SPDX-License-Identifier: Apache-2.0 */
#include "link/forward.h"

#include "link/asb.h"

#define FIRST_FREE 2U /* number 1 is the payload's */

/* Numbers of the blocks that security blocks cover, as far as they can be read: a BIB that is
 * itself encrypted cannot, and whoever decrypts it will find out. */
struct covered {
    size_t n;
    uint64_t number[BUNDLE_BLOCKS_MAX * BUNDLE_BLOCKS_MAX];
};

static bool is_covered(const struct covered *covered, uint64_t number)
{
    for (size_t i = 0; i < covered->n; i++) {
        if (covered->number[i] == number)
            return true;
    }
    return false;
}

static enum rc add_targets(const struct bundle *b, const struct bundle_block *block,
                           struct covered *covered, struct err *err)
{
    struct bpsec_asb asb = { 0 };
    enum rc rc = bpsec_asb_of(b, block, BUNDLE_LENIENT, &asb, err);

    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++)
        covered->number[covered->n++] = asb.targets[i];
    return rc;
}

/* BCBs first: only then is it known which BIBs can be read. */
static enum rc find_covered(const struct bundle *b, struct covered *covered, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        if (b->blocks[i].type == BLOCK_BCB)
            rc = add_targets(b, &b->blocks[i], covered, err);
    }
    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        if (b->blocks[i].type == BLOCK_BIB && !is_covered(covered, b->blocks[i].number))
            rc = add_targets(b, &b->blocks[i], covered, err);
    }
    return rc;
}

static bool changes(const struct bundle_block *block)
{
    return block->type == BLOCK_PREVIOUS_NODE || block->type == BLOCK_AGE ||
           block->type == BLOCK_HOP_COUNT ||
           (!bundle_block_known(block->type) && (block->flags & BLOCK_DISCARD));
}

static bool goes(const struct bundle_block *block, const struct bundle_hop *hop)
{
    return block->type == BLOCK_PREVIOUS_NODE
               ? !eid_is_null(&hop->self)
               : bundle_block_known(block->type) || !(block->flags & BLOCK_DISCARD);
}

static uint64_t free_number(const struct bundle *b)
{
    uint64_t number = FIRST_FREE;

    while (bundle_block(b, number))
        number++;
    return number;
}

/* The blocks of next, which has everything else of b already. */
static enum rc choose_blocks(const struct bundle *b, const struct bundle_hop *hop,
                             struct bundle *next, struct err *err)
{
    struct covered covered = { 0 };
    bool add = !eid_is_null(&hop->self) && !b->has_previous;
    enum rc rc = find_covered(b, &covered, err);

    if (rc != RC_OK)
        return rc;
    next->n_blocks = 0;
    if (add)
        next->blocks[next->n_blocks++] = (struct bundle_block){ .type = BLOCK_PREVIOUS_NODE,
                                                                .number = free_number(b),
                                                                .crc_type = CRC_32C };
    for (size_t i = 0; i < b->n_blocks; i++) {
        struct bundle_block block = b->blocks[i];

        if (changes(&block) && is_covered(&covered, block.number))
            return err_at(err, RC_BPSEC_TARGET, (uint64_t)(block.data.p - b->raw.p),
                          "block %llu has to change and is secured",
                          (unsigned long long)block.number);
        if (!goes(&block, hop))
            continue;
        if (next->n_blocks == BUNDLE_BLOCKS_MAX)
            return err_set(err, RC_BUNDLE_TOO_MANY_BLOCKS, "no room for a previous node");
        if (bundle_block_known(block.type) && changes(&block))
            block.data = (struct bytes){ 0 }; /* encoded from the fields of next */
        next->blocks[next->n_blocks++] = block;
    }
    return RC_OK;
}

enum rc bundle_forward(const struct bundle *bundle, const struct bundle_hop *hop, uint8_t *out,
                       size_t cap, struct bytes *ret, struct err *err)
{
    struct bundle next = *bundle;
    enum rc rc;

    next.previous = hop->self;
    next.hop_count += next.hop_count < UINT64_MAX;
    next.age_ms =
        hop->dwell_ms > UINT64_MAX - next.age_ms ? UINT64_MAX : next.age_ms + hop->dwell_ms;
    rc = bundle_check(&next, 0, err);
    if (rc == RC_OK)
        rc = choose_blocks(bundle, hop, &next, err);
    return rc == RC_OK ? bundle_encode(&next, out, cap, ret, err) : rc;
}
