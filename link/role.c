/* SPDX-License-Identifier: Apache-2.0 */
#include "link/role.h"

#include <assert.h>

/* Every target has each service at most once (bpsec_check). */
#define OPS_MAX (2U * (BUNDLE_BLOCKS_MAX + 1U))

/* A set of block numbers; number 0 is the primary block. */
struct numbers {
    size_t n;
    uint64_t number[BUNDLE_BLOCKS_MAX + 1];
};

/* The work under way. */
struct state {
    const struct bpsec_work *work;
    struct bundle *b;
    struct numbers gone;    /* blocks that are removed when it is safe to */
    struct numbers dropped; /* those of them whose security failed */
    struct numbers sealed;  /* blocks that stay encrypted */
    struct numbers plain;   /* blocks that were decrypted */
    size_t n_met;           /* rules that an operation has fulfilled, and for which target */
    const struct bpsec_rule *met[OPS_MAX];
    uint64_t met_target[OPS_MAX];
    size_t n_wipe; /* what was decrypted, to be wiped on failure */
    struct bytes wipe[BUNDLE_BLOCKS_MAX];
    size_t n_types; /* the blocks that the bundle came with */
    uint64_t types[BUNDLE_BLOCKS_MAX];
    uint64_t blocks[BUNDLE_BLOCKS_MAX];
};

/* One security operation. */
struct op {
    struct bundle_block *block;
    const struct bpsec_asb *asb;
    size_t i; /* of its targets */
    const struct bpsec_rule *rule;
    struct bytes key;
};

static bool in(const struct numbers *set, uint64_t number)
{
    for (size_t i = 0; i < set->n; i++) {
        if (set->number[i] == number)
            return true;
    }
    return false;
}

static void put(struct numbers *set, uint64_t number)
{
    if (in(set, number))
        return;
    assert(set->n <= BUNDLE_BLOCKS_MAX);
    set->number[set->n++] = number;
}

static enum rc at_block(enum rc rc, const struct bundle *b, const struct bundle_block *block,
                        struct err *err)
{
    if (rc != RC_OK && err && err->at == 0)
        err->at = (uint64_t)(block->data.p - b->raw.p);
    return rc;
}

/* ---- the table ---- */

static bool tenant_fits(const struct bpsec_rule *rule, const char *tenant)
{
    return !rule->tenant || (tenant && strcmp(rule->tenant, tenant) == 0);
}

static bool fits(const struct bpsec_rule *rule, const struct eid *source, uint64_t service,
                 uint64_t target_type)
{
    return (!rule->source || eid_equal(rule->source, source)) &&
           (rule->service == BPSEC_ANY_TYPE || rule->service == service) &&
           (rule->target_type == BPSEC_ANY_TYPE || rule->target_type == target_type);
}

const struct bpsec_rule *bpsec_rule_of(const struct bpsec_policy *policy, const char *tenant,
                                       const struct eid *source, uint64_t service,
                                       uint64_t target_type)
{
    for (size_t i = 0; i < policy->n; i++) {
        const struct bpsec_rule *rule = &policy->rules[i];

        if (tenant_fits(rule, tenant) && fits(rule, source, service, target_type))
            return rule;
    }
    return NULL;
}

/* The rule for an operation, if it allows what the block says of it. */
static enum rc find_rule(const struct state *s, struct op *op, struct err *err)
{
    const struct bpsec_asb *asb = op->asb;
    uint64_t number = asb->targets[op->i];
    const struct bundle_block *target = number == 0 ? NULL : bundle_block(s->b, number);
    const struct bpsec_rule *rule =
        bpsec_rule_of(s->work->policy, s->work->tenant, &asb->source, op->block->type,
                      target ? target->type : BPSEC_PRIMARY);

    if (!rule || rule->role == BPSEC_REFUSE)
        return err_set(err, RC_BPSEC_POLICY, "security of block %llu", (unsigned long long)number);
    op->rule = rule;
    if (rule->role == BPSEC_FORWARD)
        return RC_OK;
    if (!bpsec_known(asb->context))
        return err_set(err, RC_BPSEC_CONTEXT, "security context");
    if ((asb->scope & rule->scope) != rule->scope)
        return err_set(err, RC_BPSEC_POLICY, "scope flags");
    if (rule->variants != 0 && !(rule->variants >> asb->variant & 1))
        return err_set(err, RC_BPSEC_POLICY, "variant");
    return RC_OK;
}

static void note_met(struct state *s, const struct op *op)
{
    assert(s->n_met < OPS_MAX);
    s->met[s->n_met] = op->rule;
    s->met_target[s->n_met++] = op->asb->targets[op->i];
}

static bool met(const struct state *s, const struct bpsec_rule *rule, uint64_t number)
{
    for (size_t i = 0; i < s->n_met; i++) {
        if (s->met[i] == rule && s->met_target[i] == number)
            return true;
    }
    return false;
}

/* Whether every block that must have an operation of this rule had it. */
static enum rc check_required(const struct state *s, const struct bpsec_rule *rule, struct err *err)
{
    bool primary = rule->target_type == BPSEC_PRIMARY || rule->target_type == BPSEC_ANY_TYPE;

    if (primary && !met(s, rule, 0))
        return err_set(err, RC_BPSEC_MISSING, "security of the primary block");
    for (size_t i = 0; i < s->n_types; i++) {
        bool security = s->types[i] == BLOCK_BIB || s->types[i] == BLOCK_BCB;
        bool wanted =
            rule->target_type == s->types[i] || (rule->target_type == BPSEC_ANY_TYPE && !security);

        if (wanted && !met(s, rule, s->blocks[i]))
            return err_set(err, RC_BPSEC_MISSING, "security of block %llu",
                           (unsigned long long)s->blocks[i]);
    }
    return RC_OK;
}

/* ---- one operation ---- */

/* Check a tag and leave the ciphertext: the same key, IV and text give the same bytes again. */
static enum rc verify_bcb(struct state *s, const struct op *op, struct err *err)
{
    uint64_t number = op->asb->targets[op->i];
    const struct bundle_block *target = bundle_block(s->b, number);
    struct bytes was = target->data;
    uint8_t tag[GCM_TAG_SIZE];
    uint8_t *at = s->work->buf + (was.p - s->b->raw.p);
    enum rc rc = bpsec_decrypt(s->work->buf, s->b, op->block, op->asb, op->i, op->key, err);

    if (rc != RC_OK)
        return rc;
    rc = bpsec_encrypt(s->b, op->block, op->asb, number, op->key, target->data, at, tag, err);
    if (rc != RC_OK)
        crypto_wipe(at, target->data.n);
    s->b->blocks[target - s->b->blocks].data = was;
    return rc;
}

static enum rc accept_bcb(struct state *s, const struct op *op, struct err *err)
{
    uint64_t number = op->asb->targets[op->i];
    enum rc rc = bpsec_decrypt(s->work->buf, s->b, op->block, op->asb, op->i, op->key, err);

    if (rc != RC_OK)
        return rc;
    put(&s->plain, number);
    s->wipe[s->n_wipe++] = bundle_block(s->b, number)->data;
    return RC_OK;
}

static enum rc verify(struct state *s, const struct op *op, struct err *err)
{
    if (op->block->type == BLOCK_BIB)
        return bpsec_verify(s->b, op->block, op->asb, op->i, op->key, err);
    return op->rule->role == BPSEC_ACCEPT ? accept_bcb(s, op, err) : verify_bcb(s, op, err);
}

/* Do one operation; *ret_keep says whether it stays in its block. */
static enum rc run_op(struct state *s, struct op *op, enum rc key_rc, bool *ret_keep,
                      struct err *err)
{
    uint64_t number = op->asb->targets[op->i];
    bool bcb = op->block->type == BLOCK_BCB;
    enum rc rc = key_rc;

    *ret_keep = op->rule->role != BPSEC_ACCEPT;
    if (op->rule->role != BPSEC_FORWARD && rc == RC_OK)
        rc = verify(s, op, err);
    if (op->rule->role == BPSEC_FORWARD)
        rc = RC_OK;
    if (rc != RC_OK && op->rule->drop && number > 1) {
        put(&s->gone, number);
        put(&s->dropped, number);
        *ret_keep = false;
        rc = RC_OK;
    }
    if (rc != RC_OK)
        return rc;
    if (bcb && *ret_keep)
        put(&s->sealed, number);
    note_met(s, op);
    return RC_OK;
}

/* ---- one security block ---- */

/* Leave only these targets in a block: its encoding is never longer than it was. */
static enum rc rewrite(struct state *s, struct bundle_block *block, const struct bpsec_asb *asb,
                       uint32_t kept, struct err *err)
{
    struct cbor_out w = { .p = s->work->room, .cap = s->work->room_n };
    struct bpsec_asb left = *asb;
    struct bytes encoded = { 0 };
    enum rc rc;

    if (kept == 0) {
        put(&s->gone, block->number);
        return RC_OK;
    }
    if (!bpsec_known(asb->context))
        return err_set(err, RC_BPSEC_CONTEXT, "security context");
    left.n_targets = 0;
    for (size_t i = 0; i < asb->n_targets; i++) {
        if (!(kept >> i & 1))
            continue;
        left.targets[left.n_targets] = asb->targets[i];
        left.results[left.n_targets++] = asb->results[i];
    }
    bpsec_asb_put(&w, &left);
    rc = cbor_written(&w, &encoded, err);
    if (rc != RC_OK)
        return rc;
    assert(encoded.n <= block->data.n);
    memcpy(s->work->buf + (block->data.p - s->b->raw.p), encoded.p, encoded.n);
    block->data.n = encoded.n;
    return RC_OK;
}

/* A BCB may hide a BIB only if they share a target (RFC 9172 section 3.8): now it can be seen. */
static enum rc check_shared(const struct state *s, const struct bpsec_asb *bcb, uint64_t number,
                            struct err *err)
{
    const struct bundle_block *bib = bundle_block(s->b, number);
    struct bpsec_asb asb = { 0 };
    enum rc rc;

    if (!bib || bib->type != BLOCK_BIB || !in(&s->plain, number))
        return RC_OK;
    rc = bpsec_asb_of(s->b, bib, BUNDLE_LENIENT, &asb, err);
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++) {
        for (size_t k = 0; k < bcb->n_targets; k++) {
            if (bcb->targets[k] == asb.targets[i])
                return RC_OK;
        }
    }
    return rc == RC_OK ? err_set(err, RC_BPSEC_TARGET, "BCB over a BIB that shares no target") : rc;
}

/* Whether a key is needed at all: a node that only carries a block has none. */
static bool needs_key(const struct bpsec_rule *const *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (rules[i] && rules[i]->role != BPSEC_FORWARD)
            return true;
    }
    return false;
}

/* Find the rules of all targets of a block; NULL for those that wait, encrypted. */
static enum rc find_rules(const struct state *s, struct op *op, const struct bpsec_rule **ret,
                          struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < op->asb->n_targets && rc == RC_OK; i++) {
        ret[i] = NULL;
        if (op->block->type == BLOCK_BIB && in(&s->sealed, op->asb->targets[i]))
            continue;
        op->i = i;
        rc = find_rule(s, op, err);
        ret[i] = op->rule;
    }
    return rc;
}

static enum rc run_block(struct state *s, struct bundle_block *block, struct err *err)
{
    scoped(bpsec_key_wipe) struct bpsec_key key = { 0 };
    const struct bpsec_rule *rules[BUNDLE_BLOCKS_MAX] = { NULL };
    struct bpsec_asb asb = { 0 };
    struct op op = { .block = block, .asb = &asb };
    uint32_t kept = 0;
    enum rc key_rc = RC_OK;
    enum rc rc = bpsec_asb_of(s->b, block, BUNDLE_LENIENT, &asb, err);

    if (rc == RC_OK)
        rc = find_rules(s, &op, rules, err);
    if (rc == RC_OK && needs_key(rules, asb.n_targets))
        key_rc = bpsec_key_of(s->work->keys, &asb, &key, err);
    op.key = key.bytes;
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++) {
        bool keep = true;

        op.i = i;
        op.rule = rules[i];
        if (op.rule)
            rc = run_op(s, &op, key_rc, &keep, err);
        kept |= keep ? 1U << i : 0;
    }
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK && block->type == BLOCK_BCB; i++)
        rc = check_shared(s, &asb, asb.targets[i], err);
    if (rc == RC_OK && kept != (1U << asb.n_targets) - 1)
        rc = rewrite(s, block, &asb, kept, err);
    return at_block(rc, s->b, block, err);
}

/* ---- the bundle ---- */

static void remove_gone(struct state *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->b->n_blocks; i++) {
        if (!in(&s->gone, s->b->blocks[i].number))
            s->b->blocks[n++] = s->b->blocks[i];
    }
    s->b->n_blocks = n;
    s->gone.n = 0;
}

/* What was said of blocks that are dropped is void. */
static enum rc strip_dropped(struct state *s, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < s->b->n_blocks && rc == RC_OK && s->dropped.n > 0; i++) {
        struct bundle_block *block = &s->b->blocks[i];
        struct bpsec_asb asb = { 0 };
        uint32_t kept = 0;

        if (block->type != BLOCK_BIB || in(&s->sealed, block->number) ||
            in(&s->gone, block->number))
            continue;
        rc = bpsec_asb_of(s->b, block, BUNDLE_LENIENT, &asb, err);
        for (size_t k = 0; k < asb.n_targets && rc == RC_OK; k++)
            kept |= in(&s->dropped, asb.targets[k]) ? 0 : 1U << k;
        if (rc == RC_OK && kept != (1U << asb.n_targets) - 1)
            rc = rewrite(s, block, &asb, kept, err);
        rc = at_block(rc, s->b, block, err);
    }
    return rc;
}

static enum rc run_type(struct state *s, uint64_t type, struct err *err)
{
    enum rc rc = bpsec_check(s->b, BUNDLE_LENIENT, err);

    for (size_t i = 0; i < s->b->n_blocks && rc == RC_OK; i++) {
        struct bundle_block *block = &s->b->blocks[i];

        if (block->type == type && !in(&s->sealed, block->number))
            rc = run_block(s, block, err);
    }
    if (rc == RC_OK)
        rc = strip_dropped(s, err);
    if (rc == RC_OK)
        remove_gone(s);
    return rc;
}

/* Blocks that were decrypted are read now for the first time. */
static enum rc read_plain(struct state *s, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < s->b->n_blocks && rc == RC_OK; i++) {
        if (in(&s->plain, s->b->blocks[i].number))
            rc = bundle_decode_extension(s->b, &s->b->blocks[i], err);
    }
    return rc;
}

/* Without its BIB the primary block needs a CRC, which nothing else may cover. */
static void protect_primary(struct state *s)
{
    bool was_signed = false;

    for (size_t i = 0; i < s->n_met; i++)
        was_signed |= s->met_target[i] == 0 && s->met[i]->role == BPSEC_ACCEPT;
    for (size_t i = 0; i < s->b->n_blocks; i++) {
        if (s->b->blocks[i].type == BLOCK_BIB || s->b->blocks[i].type == BLOCK_BCB)
            return;
    }
    if (was_signed && s->b->crc_type == CRC_NONE)
        s->b->crc_type = CRC_32C;
}

static enum rc apply(struct state *s, struct err *err)
{
    const struct bpsec_policy *policy = s->work->policy;
    enum rc rc = run_type(s, BLOCK_BCB, err);

    if (rc == RC_OK)
        rc = run_type(s, BLOCK_BIB, err);
    if (rc == RC_OK)
        rc = read_plain(s, err);
    for (size_t i = 0; i < policy->n && rc == RC_OK; i++) {
        if (policy->rules[i].required && tenant_fits(&policy->rules[i], s->work->tenant))
            rc = check_required(s, &policy->rules[i], err);
    }
    if (rc == RC_OK)
        protect_primary(s);
    return rc;
}

enum rc bpsec_apply(const struct bpsec_work *work, struct err *err)
{
    struct state s = { .work = work, .b = work->bundle };
    enum rc rc;

    assert(work->buf == work->bundle->raw.p && work->bundle->n_blocks > 0);
    s.n_types = s.b->n_blocks;
    for (size_t i = 0; i < s.n_types; i++) {
        s.types[i] = s.b->blocks[i].type;
        s.blocks[i] = s.b->blocks[i].number;
    }
    rc = s.b->flags & BUNDLE_FRAGMENT ? err_set(err, RC_BUNDLE_FRAGMENT, "security of a fragment")
                                      : apply(&s, err);
    if (rc == RC_OK)
        return RC_OK;
    for (size_t i = 0; i < s.n_wipe; i++)
        crypto_wipe(work->buf + (s.wipe[i].p - s.b->raw.p), s.wipe[i].n);
    *work->bundle = (struct bundle){ 0 };
    return rc;
}
