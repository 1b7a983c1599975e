/* SPDX-License-Identifier: Apache-2.0 */
#include "link/bpsec.h"

#include <assert.h>

#define AAD_MAX 1024U /* primary block with three EIDs of full length, and both headers */

static_assert(3 * EID_WIRE_MAX + 128 < AAD_MAX, "every primary block fits into the covered bytes");
static_assert(BUNDLE_BLOCKS_MAX < 32, "a set of blocks fits into 32 bits");

/* ---- rules about targets ---- */

/* Sets of blocks: bit 0 is the primary block, bit i + 1 is blocks[i]. */
struct ops {
    enum bundle_level level;
    bool opened;                    /* decrypted: every BIB can be read */
    uint32_t encrypted;             /* targets of all BCBs */
    uint32_t signed_once;           /* targets of all BIBs */
    uint32_t of[BUNDLE_BLOCKS_MAX]; /* targets of each security block */
};

static uint32_t bit_of(const struct bundle *bundle, const struct bundle_block *block)
{
    return block ? 2U << (block - bundle->blocks) : 1U;
}

/* One target of one block (RFC 9172 sections 3.7, 3.8 and 3.9). */
static enum rc check_target(const struct bundle *b, const struct bundle_block *block,
                            uint64_t number, struct ops *ops, struct err *err)
{
    const struct bundle_block *target = number == 0 ? NULL : bundle_block(b, number);
    uint64_t at = (uint64_t)(block->data.p - b->raw.p);
    bool bcb = block->type == BLOCK_BCB;
    uint32_t *all = bcb ? &ops->encrypted : &ops->signed_once;
    uint32_t bit = bit_of(b, target);

    if (number != 0 && !target)
        return err_at(err, RC_BPSEC_TARGET, at, "security target does not exist");
    if (*all & bit)
        return err_at(err, RC_BPSEC_TARGET, at, "security target has this service twice");
    if (bcb ? (!target || target->type == BLOCK_BCB)
            : (target && (target->type == BLOCK_BIB || target->type == BLOCK_BCB)))
        return err_at(err, RC_BPSEC_TARGET, at, "security target is not allowed");
    if (bcb && target->type == BLOCK_PAYLOAD &&
        (!(block->flags & BLOCK_REPLICATE) || (block->flags & BLOCK_DISCARD)))
        return err_at(err, RC_BUNDLE_FLAGS, at, "flags of a BCB over the payload");
    *all |= bit;
    ops->of[block - b->blocks] |= bit;
    return RC_OK;
}

/* The offset of a security block, for a failure that has none of its own. */
static enum rc at_block(enum rc rc, const struct bundle *b, const struct bundle_block *block,
                        struct err *err)
{
    if (rc != RC_OK && err && err->at == 0 && b->raw.p && block->data.p)
        err->at = (uint64_t)(block->data.p - b->raw.p);
    return rc;
}

/* The source removes the CRC of a target (RFC 9173 sections 3.8.1 and 4.8.1). */
static enum rc check_no_crc(const struct bundle *b, uint64_t number, struct err *err)
{
    const struct bundle_block *target = number == 0 ? NULL : bundle_block(b, number);

    if ((target ? target->crc_type : b->crc_type) == CRC_NONE)
        return RC_OK;
    return err_set(err, RC_BPSEC_TARGET, "security target still has a CRC");
}

static enum rc check_security_block(const struct bundle *b, const struct bundle_block *block,
                                    struct ops *ops, struct err *err)
{
    struct bpsec_asb asb;
    enum rc rc = bpsec_asb_of(b, block, ops->level, &asb, err);

    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++) {
        rc = check_target(b, block, asb.targets[i], ops, err);
        if (rc == RC_OK && ops->level == BUNDLE_STRICT && bpsec_known(asb.context))
            rc = check_no_crc(b, asb.targets[i], err);
    }
    return at_block(rc, b, block, err);
}

/* A BCB may hide a BIB only if they share a target (RFC 9172 section 3.8). */
static enum rc check_hidden(const struct bundle *b, const struct ops *ops, struct err *err)
{
    for (size_t i = 0; i < b->n_blocks; i++) {
        for (size_t k = 0; k < b->n_blocks; k++) {
            if (b->blocks[i].type == BLOCK_BCB && b->blocks[k].type == BLOCK_BIB &&
                (ops->of[i] & 2U << k) && !(ops->of[i] & ops->of[k]))
                return err_at(err, RC_BPSEC_TARGET, (uint64_t)(b->blocks[i].data.p - b->raw.p),
                              "BCB over a BIB that shares no target");
        }
    }
    return RC_OK;
}

static enum rc check_ops(const struct bundle *b, struct ops *ops, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        if (b->blocks[i].type == BLOCK_BCB)
            rc = check_security_block(b, &b->blocks[i], ops, err);
    }
    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        const struct bundle_block *block = &b->blocks[i];

        if (block->type == BLOCK_BIB && (ops->opened || !(ops->encrypted & bit_of(b, block))))
            rc = check_security_block(b, block, ops, err);
    }
    if (rc == RC_OK && ops->opened)
        rc = check_hidden(b, ops, err);
    return rc;
}

enum rc bpsec_check(const struct bundle *bundle, enum bundle_level level, struct err *err)
{
    struct ops ops = { .level = level };

    return check_ops(bundle, &ops, err);
}

enum rc bpsec_take(struct bytes in, enum bundle_level level, struct bundle *ret, struct err *err)
{
    enum rc rc = bundle_decode(in, level, ret, err);

    if (rc == RC_OK)
        rc = bpsec_check(ret, level, err);
    if (rc == RC_OK)
        rc = bundle_check(ret, 0, err);
    if (rc != RC_OK)
        *ret = (struct bundle){ 0 };
    return rc;
}

/* ---- what a MAC or tag covers ---- */

static void put_header(struct cbor_out *w, const struct bundle_block *block)
{
    cbor_put_uint(w, block->type);
    cbor_put_uint(w, block->number);
    cbor_put_uint(w, block->flags);
}

/* Scope flags, and the parts they name (RFC 9173 sections 3.7 and 4.7.2).  target is NULL for the
 * primary block, which is covered as the target and not once more. */
static void put_covered(struct cbor_out *w, const struct bundle *b,
                        const struct bundle_block *security, const struct bpsec_asb *asb,
                        const struct bundle_block *target)
{
    cbor_put_uint(w, asb->scope);
    if (target && (asb->scope & BPSEC_SCOPE_PRIMARY))
        cbor_put_raw(w, b->primary);
    if (target && (asb->scope & BPSEC_SCOPE_TARGET))
        put_header(w, target);
    if (asb->scope & BPSEC_SCOPE_SECURITY)
        put_header(w, security);
}

enum rc bpsec_mac(const struct bundle *bundle, const struct bundle_block *bib,
                  const struct bpsec_asb *asb, uint64_t target, struct bytes key, uint8_t *ret,
                  size_t *ret_n, struct err *err)
{
    const struct bundle_block *block = target == 0 ? NULL : bundle_block(bundle, target);
    struct bytes data = block ? block->data : bundle->primary;
    uint8_t covered[AAD_MAX];
    struct cbor_out w = { .p = covered, .cap = sizeof covered };
    struct bytes parts[2];
    size_t n = bpsec_mac_size(asb->variant);
    enum rc rc;

    if (n == 0 || (target != 0 && !block))
        return err_set(err, n == 0 ? RC_BPSEC_CONTEXT : RC_BPSEC_TARGET, "MAC");
    if (bundle->flags & BUNDLE_FRAGMENT)
        return err_set(err, RC_BUNDLE_FRAGMENT, "security of a fragment");
    put_covered(&w, bundle, bib, asb, block);
    cbor_put_head(&w, CBOR_BSTR, data.n);
    rc = cbor_written(&w, &parts[0], err);
    if (rc != RC_OK)
        return rc;
    parts[1] = data;
    /* A wrapped key serves one block. */
    rc = asb->wrapped_key.n == 0 ? crypto_hmac_kept((unsigned)n * 8, key, parts, 2, ret, err)
                                 : crypto_hmac((unsigned)n * 8, key, parts, 2, ret, err);
    if (rc == RC_OK)
        *ret_n = n;
    return rc;
}

/* What encryption of target as asb demands needs besides key and text. */
struct aad {
    uint8_t room[AAD_MAX];
    struct bytes bytes;
};

static enum rc aad_of(const struct bundle *b, const struct bundle_block *bcb,
                      const struct bpsec_asb *asb, const struct bundle_block *target,
                      struct aad *ret, struct err *err)
{
    struct cbor_out w = { .p = ret->room, .cap = sizeof ret->room };

    if (b->flags & BUNDLE_FRAGMENT)
        return err_set(err, RC_BUNDLE_FRAGMENT, "security of a fragment");
    if (!target)
        return err_set(err, RC_BPSEC_TARGET, "BCB target");
    put_covered(&w, b, bcb, asb, target);
    return cbor_written(&w, &ret->bytes, err);
}

static enum rc check_aead(const struct bpsec_asb *asb, struct bytes key, struct err *err)
{
    if (asb->iv.n < GCM_IV_MIN || asb->iv.n > GCM_IV_MAX)
        return err_set(err, RC_BPSEC_CONTEXT, "IV length");
    if (bpsec_key_size(asb->variant) == 0 || key.n != bpsec_key_size(asb->variant))
        return err_set(err, RC_BPSEC_KEY, "key length differs from the variant");
    return RC_OK;
}

enum rc bpsec_encrypt(const struct bundle *bundle, const struct bundle_block *bcb,
                      const struct bpsec_asb *asb, uint64_t target, struct bytes key,
                      struct bytes plain, uint8_t *out, uint8_t ret_tag[GCM_TAG_SIZE],
                      struct err *err)
{
    struct aad aad = { 0 };
    enum rc rc = check_aead(asb, key, err);

    if (rc == RC_OK)
        rc = aad_of(bundle, bcb, asb, bundle_block(bundle, target), &aad, err);
    if (rc != RC_OK)
        return rc;
    if (asb->wrapped_key.n == 0)
        return crypto_gcm_seal_kept(key, asb->iv, aad.bytes, plain, out, ret_tag, err);
    return crypto_gcm_seal_iv(key, asb->iv, aad.bytes, plain, out, ret_tag, err);
}

/* ---- undoing every operation ---- */

void bpsec_key_wipe(struct bpsec_key *key)
{
    crypto_wipe(key->room, sizeof key->room);
}

enum rc bpsec_key_of(const struct bpsec_keyring *keys, const struct bpsec_asb *asb,
                     struct bpsec_key *ret, struct err *err)
{
    struct bytes key = { 0 };
    enum rc rc;

    if (!bpsec_known(asb->context))
        return err_set(err, RC_BPSEC_CONTEXT, "security context");
    rc = keys->find(keys->arg, asb, &key, err);
    if (rc != RC_OK)
        return rc;
    if (asb->wrapped_key.n == 0) {
        ret->bytes = key;
        return RC_OK;
    }
    if (key.n != 16 && key.n != 32)
        return err_set(err, RC_BPSEC_KEY, "length of a key-encryption key");
    ret->bytes = (struct bytes){ .p = ret->room, .n = asb->wrapped_key.n - 8 };
    return crypto_unwrap(key, asb->wrapped_key, ret->room, err);
}

enum rc bpsec_decrypt(uint8_t *buf, struct bundle *b, const struct bundle_block *bcb,
                      const struct bpsec_asb *asb, size_t i, struct bytes key, struct err *err)
{
    const struct bundle_block *target = bundle_block(b, asb->targets[i]);
    struct bytes sealed;
    struct bytes tag = asb->results[i];
    uint8_t mac[GCM_TAG_SIZE];
    uint8_t *out;
    struct aad aad = { 0 };
    enum rc rc = check_aead(asb, key, err);

    if (rc == RC_OK)
        rc = aad_of(b, bcb, asb, target, &aad, err);
    if (rc != RC_OK)
        return rc;
    sealed = target->data;
    if (tag.n == 0) {
        if (sealed.n < GCM_TAG_SIZE)
            return err_at(err, RC_BPSEC_AUTH, (uint64_t)(sealed.p - b->raw.p),
                          "ciphertext shorter than its tag");
        sealed.n -= GCM_TAG_SIZE;
        tag = (struct bytes){ .p = sealed.p + sealed.n, .n = GCM_TAG_SIZE };
    }
    memcpy(mac, tag.p, sizeof mac);
    out = buf + (sealed.p - b->raw.p);
    rc = asb->wrapped_key.n == 0
             ? crypto_gcm_open_kept(key, asb->iv, aad.bytes, sealed, mac, out, err)
             : crypto_gcm_open_iv(key, asb->iv, aad.bytes, sealed, mac, out, err);
    if (rc == RC_OK)
        b->blocks[target - b->blocks].data.n = sealed.n;
    return at_block(rc, b, bcb, err);
}

/* ret_done collects the blocks that hold plaintext now. */
static enum rc undo_bcb(uint8_t *buf, struct bundle *b, const struct bundle_block *bcb,
                        const struct bpsec_keyring *keys, uint32_t *ret_done, struct err *err)
{
    scoped(bpsec_key_wipe) struct bpsec_key key = { 0 };
    struct bpsec_asb asb;
    enum rc rc = bpsec_asb_of(b, bcb, BUNDLE_LENIENT, &asb, err);

    if (rc == RC_OK)
        rc = bpsec_key_of(keys, &asb, &key, err);
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++) {
        rc = bpsec_decrypt(buf, b, bcb, &asb, i, key.bytes, err);
        if (rc == RC_OK)
            *ret_done |= bit_of(b, bundle_block(b, asb.targets[i]));
    }
    return at_block(rc, b, bcb, err);
}

enum rc bpsec_verify(const struct bundle *b, const struct bundle_block *bib,
                     const struct bpsec_asb *asb, size_t i, struct bytes key, struct err *err)
{
    uint8_t mac[BPSEC_MAC_MAX];
    size_t n = 0;
    enum rc rc = bpsec_mac(b, bib, asb, asb->targets[i], key, mac, &n, err);

    if (rc != RC_OK)
        return rc;
    if (!crypto_equal((struct bytes){ .p = mac, .n = n }, asb->results[i]))
        rc = err_at(err, RC_BPSEC_AUTH, (uint64_t)(bib->data.p - b->raw.p), "MAC of block %llu",
                    (unsigned long long)asb->targets[i]);
    crypto_wipe(mac, sizeof mac);
    return rc;
}

static enum rc verify_bib(const struct bundle *b, const struct bundle_block *bib,
                          const struct bpsec_keyring *keys, struct err *err)
{
    scoped(bpsec_key_wipe) struct bpsec_key key = { 0 };
    struct bpsec_asb asb;
    enum rc rc = bpsec_asb_of(b, bib, BUNDLE_LENIENT, &asb, err);

    if (rc == RC_OK)
        rc = bpsec_key_of(keys, &asb, &key, err);
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++)
        rc = bpsec_verify(b, bib, &asb, i, key.bytes, err);
    return at_block(rc, b, bib, err);
}

static enum rc process(uint8_t *buf, struct bundle *b, const struct bpsec_keyring *keys,
                       uint32_t *ret_done, struct err *err)
{
    struct ops ops = { .level = BUNDLE_LENIENT, .opened = true };
    enum rc rc = bpsec_check(b, BUNDLE_LENIENT, err);

    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        if (b->blocks[i].type == BLOCK_BCB)
            rc = undo_bcb(buf, b, &b->blocks[i], keys, ret_done, err);
    }
    /* Decrypted BIBs and extension blocks are read now for the first time. */
    if (rc == RC_OK)
        rc = check_ops(b, &ops, err);
    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        if (b->blocks[i].type == BLOCK_BIB)
            rc = verify_bib(b, &b->blocks[i], keys, err);
    }
    for (size_t i = 0; i < b->n_blocks && rc == RC_OK; i++) {
        if (*ret_done & 2U << i)
            rc = bundle_decode_extension(b, &b->blocks[i], err);
    }
    return rc;
}

enum rc bpsec_process(uint8_t *buf, struct bundle *bundle, const struct bpsec_keyring *keys,
                      struct err *err)
{
    uint32_t done = 0;
    enum rc rc;

    assert(buf == bundle->raw.p && bundle->n_blocks > 0);
    if (bundle->flags & BUNDLE_FRAGMENT)
        rc = err_set(err, RC_BUNDLE_FRAGMENT, "security of a fragment");
    else
        rc = process(buf, bundle, keys, &done, err);
    if (rc == RC_OK)
        return RC_OK;
    for (size_t i = 0; i < bundle->n_blocks; i++) {
        struct bytes data = bundle->blocks[i].data;

        if (done & 2U << i)
            crypto_wipe(buf + (data.p - bundle->raw.p), data.n);
    }
    *bundle = (struct bundle){ 0 };
    return rc;
}
