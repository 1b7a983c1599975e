/* SPDX-License-Identifier: Apache-2.0 */
#include "link/bpsec.h"

#include <assert.h>

#include "link/cursor.h"

#define PARAMETERS_PRESENT 1U /* ASB context flag (RFC 9172 section 3.6) */
#define PARAMETER_ID_MAX 4U
#define AAD_MAX 1024U /* primary block with three EIDs of full length, and both headers */
#define ASB_MAX 256U  /* of the two that link_seal makes */

static_assert(3 * EID_WIRE_MAX + 128 < AAD_MAX, "every primary block fits into the covered bytes");
static_assert(BUNDLE_BLOCKS_MAX < 32, "a set of blocks fits into 32 bits");

/* ---- abstract security block
 * ---------------------------------------------------------------------- */

enum parameter { PARAMETER_NONE, PARAMETER_IV, PARAMETER_VARIANT, PARAMETER_KEY, PARAMETER_SCOPE };

/* Parameters by context and number on the wire (RFC 9173 sections 3.3 and 4.3). */
static const enum parameter parameters[2][PARAMETER_ID_MAX + 1] = {
    [BPSEC_BIB_HMAC - 1] = { PARAMETER_NONE, PARAMETER_VARIANT, PARAMETER_KEY, PARAMETER_SCOPE },
    [BPSEC_BCB_GCM - 1] = { PARAMETER_NONE, PARAMETER_IV, PARAMETER_VARIANT, PARAMETER_KEY,
                            PARAMETER_SCOPE },
};

static bool known_context(int64_t context)
{
    return context == BPSEC_BIB_HMAC || context == BPSEC_BCB_GCM;
}

/* Bytes of a MAC of this variant; 0 if it is none. */
static size_t mac_size(uint64_t variant)
{
    switch (variant) {
    case BPSEC_HMAC_256:
        return 32;
    case BPSEC_HMAC_384:
        return 48;
    case BPSEC_HMAC_512:
        return 64;
    default:
        return 0;
    }
}

/* Bytes of an AES key of this variant; 0 if it is none. */
static size_t aead_key_size(uint64_t variant)
{
    if (variant == BPSEC_A128GCM)
        return 16;
    return variant == BPSEC_A256GCM ? 32 : 0;
}

/* Read past one item of any kind without recursion: every item still owed takes at least one byte,
 * so that what is owed can never exceed what is left. */
static void skip_item(struct cursor *c, const char *field)
{
    uint64_t owed = 1;

    while (owed > 0 && c->rc == RC_OK) {
        enum cbor_major major;
        uint64_t n = cursor_any(c, &major, field);
        uint64_t more = 0;

        if (major == CBOR_BSTR || major == CBOR_TSTR) {
            if (n > cursor_left(c))
                cursor_fail(c, RC_SHORT, field);
            else
                c->at += (size_t)n;
        } else if (major == CBOR_ARRAY || major == CBOR_MAP) {
            more = n > cursor_left(c) ? UINT32_MAX : n * (major == CBOR_MAP ? 2 : 1);
        } else if (major == CBOR_TAG) {
            more = 1;
        }
        owed = owed - 1 + more;
        if (owed > cursor_left(c))
            cursor_fail(c, RC_SHORT, field);
    }
}

static void read_targets(struct cursor *c, struct bpsec_asb *asb)
{
    size_t start = c->at;
    uint64_t n = cursor_head(c, CBOR_ARRAY, "security targets");

    if (n == 0 || n > BUNDLE_BLOCKS_MAX) {
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "number of security targets");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        asb->targets[i] = cursor_uint(c, "security target");
        for (size_t k = 0; k < i; k++) {
            if (c->rc == RC_OK && asb->targets[k] == asb->targets[i])
                cursor_fail_at(c, RC_BPSEC_TARGET, start, "security target repeated");
        }
    }
    asb->n_targets = (size_t)n;
}

static void read_context(struct cursor *c, uint64_t type, struct bpsec_asb *asb)
{
    size_t start = c->at;
    enum cbor_major major;
    uint64_t value = cursor_any(c, &major, "security context");

    if (value > INT64_MAX || (major != CBOR_UINT && major != CBOR_NINT)) {
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "security context");
        return;
    }
    asb->context = major == CBOR_UINT ? (int64_t)value : -1 - (int64_t)value;
    if (known_context(asb->context) && (asb->context == BPSEC_BIB_HMAC) != (type == BLOCK_BIB))
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "security context of the other block type");
}

static void read_parameter(struct cursor *c, unsigned *seen, struct bpsec_asb *asb)
{
    size_t start = c->at;
    uint64_t id;
    enum parameter what;

    cursor_array(c, 2, "parameter");
    id = cursor_uint(c, "parameter number");
    if (c->rc != RC_OK)
        return;
    what = id <= PARAMETER_ID_MAX ? parameters[asb->context - 1][id] : PARAMETER_NONE;
    if (*seen & 1U << what)
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "parameter repeated");
    *seen |= 1U << what;
    switch (what) {
    case PARAMETER_IV:
        asb->iv = cursor_bstr(c, "IV");
        break;
    case PARAMETER_VARIANT:
        asb->variant = cursor_uint(c, "variant");
        asb->has_variant = true;
        break;
    case PARAMETER_KEY:
        asb->wrapped_key = cursor_bstr(c, "wrapped key");
        break;
    case PARAMETER_SCOPE:
        asb->scope = cursor_uint(c, "scope flags");
        asb->has_scope = true;
        break;
    case PARAMETER_NONE:
    default:
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "parameter number");
    }
}

static void check_parameters(struct cursor *c, size_t start, unsigned seen,
                             const struct bpsec_asb *asb)
{
    bool mac = asb->context == BPSEC_BIB_HMAC;

    if ((mac ? mac_size(asb->variant) : aead_key_size(asb->variant)) == 0)
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "variant");
    if (asb->scope > BPSEC_SCOPE_ALL)
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "scope flags");
    if (!mac && asb->iv.n != GCM_IV_SIZE)
        cursor_fail_at(c, asb->iv.n == 0 ? RC_BPSEC_FORMAT : RC_BPSEC_CONTEXT, start, "IV length");
    if ((seen & 1U << PARAMETER_KEY) &&
        (asb->wrapped_key.n < 24 || asb->wrapped_key.n > BPSEC_WRAPPED_MAX ||
         asb->wrapped_key.n % 8 != 0))
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "wrapped key length");
}

static void read_parameters(struct cursor *c, struct bpsec_asb *asb)
{
    bool present = (asb->flags & PARAMETERS_PRESENT) != 0;
    bool known = known_context(asb->context);
    unsigned seen = 0;
    size_t start = c->at;
    uint64_t n = present ? cursor_head(c, CBOR_ARRAY, "parameters") : 0;

    asb->variant = asb->context == BPSEC_BIB_HMAC ? BPSEC_HMAC_384 : BPSEC_A256GCM;
    asb->scope = BPSEC_SCOPE_ALL;
    for (uint64_t i = 0; i < n && c->rc == RC_OK; i++) {
        if (known) {
            read_parameter(c, &seen, asb);
            continue;
        }
        cursor_array(c, 2, "parameter");
        (void)cursor_uint(c, "parameter number");
        skip_item(c, "parameter");
    }
    if (c->rc != RC_OK)
        return;
    if (present)
        asb->params = (struct bytes){ .p = c->p + start, .n = c->at - start };
    if (known)
        check_parameters(c, start, seen, asb);
}

/* The results of one target (RFC 9173 sections 3.4 and 4.4).  The length is checked here, long
 * before anything is compared. */
static void read_result(struct cursor *c, const struct bpsec_asb *asb, struct bytes *ret)
{
    bool mac = asb->context == BPSEC_BIB_HMAC;
    size_t start = c->at;
    uint64_t n = cursor_head(c, CBOR_ARRAY, "results of a target");

    if (!known_context(asb->context)) {
        for (uint64_t i = 0; i < n && c->rc == RC_OK; i++) {
            cursor_array(c, 2, "result");
            (void)cursor_uint(c, "result number");
            skip_item(c, "result");
        }
        return;
    }
    if (n > 1 || (mac && n != 1))
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "number of results");
    if (n != 1)
        return;
    cursor_array(c, 2, "result");
    if (cursor_uint(c, "result number") != 1)
        cursor_fail_at(c, RC_BPSEC_CONTEXT, start, "result number");
    *ret = cursor_bstr(c, mac ? "MAC" : "tag");
    if (c->rc == RC_OK && ret->n != (mac ? mac_size(asb->variant) : GCM_TAG_SIZE))
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, mac ? "MAC length" : "tag length");
}

/* A CBOR sequence, not an array (RFC 9172 section 3.6). */
static void read_asb(struct cursor *c, uint64_t type, enum bundle_level level,
                     struct bpsec_asb *asb)
{
    size_t start;

    assert(type == BLOCK_BIB || type == BLOCK_BCB);
    *asb = (struct bpsec_asb){ 0 };
    read_targets(c, asb);
    read_context(c, type, asb);
    asb->flags = cursor_uint(c, "context flags");
    eid_read(c, level, &asb->source);
    read_parameters(c, asb);
    start = c->at;
    if (cursor_head(c, CBOR_ARRAY, "results") != asb->n_targets)
        cursor_fail_at(c, RC_BPSEC_FORMAT, start, "results differ in number from targets");
    for (size_t i = 0; i < asb->n_targets && c->rc == RC_OK; i++)
        read_result(c, asb, &asb->results[i]);
    asb->results_raw = (struct bytes){ .p = c->p + start, .n = c->at - start };
    cursor_end(c, "security block");
}

/* However the bytes are wrong, it is the security block that is not valid. */
static enum rc asb_done(const struct cursor *c, struct err *err)
{
    enum rc rc = c->rc;

    if (rc == RC_OK)
        return RC_OK;
    if (rc != RC_BPSEC_CONTEXT && rc != RC_BPSEC_TARGET)
        rc = RC_BPSEC_FORMAT;
    return err_at(err, rc, c->fail_at, "%s", c->field);
}

enum rc bpsec_asb_decode(struct bytes in, uint64_t type, enum bundle_level level,
                         struct bpsec_asb *ret, struct err *err)
{
    struct cursor c = cursor_of(in);
    struct bpsec_asb asb;

    read_asb(&c, type, level, &asb);
    if (c.rc == RC_OK)
        *ret = asb;
    return asb_done(&c, err);
}

/* The ASB of a block of a bundle; offsets of errors are those of the bundle. */
static enum rc asb_of(const struct bundle *bundle, const struct bundle_block *block,
                      enum bundle_level level, struct bpsec_asb *ret, struct err *err)
{
    struct cursor c = cursor_within(bundle->raw, block->data);

    read_asb(&c, block->type, level, ret);
    return asb_done(&c, err);
}

static void put_parameter(struct cbor_out *w, const struct bpsec_asb *asb, uint64_t id)
{
    enum parameter what = parameters[asb->context - 1][id];
    bool number = what == PARAMETER_VARIANT || what == PARAMETER_SCOPE;
    struct bytes text = what == PARAMETER_IV ? asb->iv : asb->wrapped_key;

    if ((what == PARAMETER_VARIANT && !asb->has_variant) ||
        (what == PARAMETER_SCOPE && !asb->has_scope) || (!number && text.n == 0) ||
        what == PARAMETER_NONE)
        return;
    cbor_put_array(w, 2);
    cbor_put_uint(w, id);
    if (number)
        cbor_put_uint(w, what == PARAMETER_VARIANT ? asb->variant : asb->scope);
    else
        cbor_put_bstr(w, text);
}

void bpsec_asb_put(struct cbor_out *w, const struct bpsec_asb *asb)
{
    size_t n_params = 0;

    n_params += asb->iv.n > 0;
    n_params += asb->wrapped_key.n > 0;
    n_params += asb->has_variant;
    n_params += asb->has_scope;

    assert(known_context(asb->context));
    assert(asb->n_targets > 0 && asb->n_targets <= BUNDLE_BLOCKS_MAX);
    cbor_put_array(w, asb->n_targets);
    for (size_t i = 0; i < asb->n_targets; i++)
        cbor_put_uint(w, asb->targets[i]);
    cbor_put_uint(w, (uint64_t)asb->context);
    cbor_put_uint(w, n_params > 0 ? PARAMETERS_PRESENT : 0);
    eid_put(w, &asb->source);
    if (n_params > 0)
        cbor_put_array(w, n_params);
    for (uint64_t id = 1; id <= PARAMETER_ID_MAX; id++)
        put_parameter(w, asb, id);
    cbor_put_array(w, asb->n_targets);
    for (size_t i = 0; i < asb->n_targets; i++) {
        cbor_put_array(w, asb->results[i].n > 0);
        if (asb->results[i].n == 0)
            continue;
        cbor_put_array(w, 2);
        cbor_put_uint(w, 1);
        cbor_put_bstr(w, asb->results[i]);
    }
}

/* ---- rules about targets
 * -------------------------------------------------------------------------- */

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
    enum rc rc = asb_of(b, block, ops->level, &asb, err);

    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++) {
        rc = check_target(b, block, asb.targets[i], ops, err);
        if (rc == RC_OK && ops->level == BUNDLE_STRICT && known_context(asb.context))
            rc = check_no_crc(b, asb.targets[i], err);
    }
    return rc;
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

/* ---- what a MAC or tag covers
 * --------------------------------------------------------------------- */

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
    size_t n = mac_size(asb->variant);
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
    rc = crypto_hmac((unsigned)n * 8, key, parts, 2, ret, err);
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
    if (asb->iv.n != GCM_IV_SIZE)
        return err_set(err, RC_BPSEC_CONTEXT, "IV length");
    if (aead_key_size(asb->variant) == 0 || key.n != aead_key_size(asb->variant))
        return err_set(err, RC_BPSEC_KEY, "key length differs from the variant");
    return RC_OK;
}

enum rc bpsec_encrypt(const struct bundle *bundle, const struct bundle_block *bcb,
                      const struct bpsec_asb *asb, uint64_t target, struct bytes key,
                      struct bytes plain, uint8_t *out, uint8_t ret_tag[GCM_TAG_SIZE],
                      struct err *err)
{
    struct aad aad;
    enum rc rc = check_aead(asb, key, err);

    if (rc == RC_OK)
        rc = aad_of(bundle, bcb, asb, bundle_block(bundle, target), &aad, err);
    if (rc != RC_OK)
        return rc;
    return crypto_gcm_seal(key, asb->iv.p, aad.bytes, plain, out, ret_tag, err);
}

/* ---- undoing every operation
 * ------------------------------------------------------------------------ */

struct secret_key {
    uint8_t room[BPSEC_KEY_MAX];
    struct bytes bytes;
};

static void wipe_key(struct secret_key *key)
{
    crypto_wipe(key->room, sizeof key->room);
}

/* The key of a security block, unwrapped if it came wrapped (RFC 9173 sections 3.3.2 and 4.3.3). */
static enum rc find_key(const struct bpsec_keyring *keys, const struct bpsec_asb *asb,
                        struct secret_key *ret, struct err *err)
{
    struct bytes key = { 0 };
    enum rc rc;

    if (!known_context(asb->context))
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

/* Decrypt the i-th target of asb in place; buf is the memory that the bundle's views point into. */
static enum rc decrypt_target(uint8_t *buf, struct bundle *b, const struct bundle_block *bcb,
                              const struct bpsec_asb *asb, size_t i, struct bytes key,
                              struct err *err)
{
    const struct bundle_block *target = bundle_block(b, asb->targets[i]);
    struct bytes sealed;
    struct bytes tag = asb->results[i];
    uint8_t mac[GCM_TAG_SIZE];
    uint8_t *out;
    struct aad aad;
    enum rc rc = check_aead(asb, key, err);

    if (rc == RC_OK)
        rc = aad_of(b, bcb, asb, target, &aad, err);
    if (rc != RC_OK)
        return rc;
    sealed = target->data;
    if (tag.n == 0) {
        if (sealed.n < GCM_TAG_SIZE)
            return err_set(err, RC_BPSEC_AUTH, "ciphertext shorter than its tag");
        sealed.n -= GCM_TAG_SIZE;
        tag = (struct bytes){ .p = sealed.p + sealed.n, .n = GCM_TAG_SIZE };
    }
    memcpy(mac, tag.p, sizeof mac);
    out = buf + (sealed.p - b->raw.p);
    rc = crypto_gcm_open(key, asb->iv.p, aad.bytes, sealed, mac, out, err);
    if (rc == RC_OK)
        b->blocks[target - b->blocks].data.n = sealed.n;
    return rc;
}

/* ret_done collects the blocks that hold plaintext now. */
static enum rc undo_bcb(uint8_t *buf, struct bundle *b, const struct bundle_block *bcb,
                        const struct bpsec_keyring *keys, uint32_t *ret_done, struct err *err)
{
    scoped(wipe_key) struct secret_key key = { 0 };
    struct bpsec_asb asb;
    enum rc rc = asb_of(b, bcb, BUNDLE_LENIENT, &asb, err);

    if (rc == RC_OK)
        rc = find_key(keys, &asb, &key, err);
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++) {
        rc = decrypt_target(buf, b, bcb, &asb, i, key.bytes, err);
        if (rc == RC_OK)
            *ret_done |= bit_of(b, bundle_block(b, asb.targets[i]));
    }
    return rc;
}

static enum rc verify_target(const struct bundle *b, const struct bundle_block *bib,
                             const struct bpsec_asb *asb, size_t i, struct bytes key,
                             struct err *err)
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
    scoped(wipe_key) struct secret_key key = { 0 };
    struct bpsec_asb asb;
    enum rc rc = asb_of(b, bib, BUNDLE_LENIENT, &asb, err);

    if (rc == RC_OK)
        rc = find_key(keys, &asb, &key, err);
    for (size_t i = 0; i < asb.n_targets && rc == RC_OK; i++)
        rc = verify_target(b, bib, &asb, i, key.bytes, err);
    return rc;
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
        return err_set(err, RC_BUNDLE_FRAGMENT, "security of a fragment");
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

/* ---- Berth's link
 * ----------------------------------------------------------------------------------- */

/* Numbers of the blocks that link_seal makes; link_open does not rely on them. */
enum { SEAL_BIB = 2, SEAL_BCB = 3, SEAL_AGE = 4 };

static struct bpsec_asb seal_asb(enum bpsec_context context, const struct eid *source)
{
    bool mac = context == BPSEC_BIB_HMAC;
    struct bpsec_asb asb = {
        .n_targets = 1,
        .targets = { mac ? 0 : 1 },
        .context = context,
        .source = *source,
        .has_variant = true,
        .has_scope = true,
        .variant = mac ? BPSEC_HMAC_384 : BPSEC_A256GCM,
        .scope = BPSEC_SCOPE_ALL,
    };

    return asb;
}

/* The bundle of a message before its security blocks have content. */
static struct bundle seal_bundle(const struct link_message *m)
{
    struct bundle b = {
        .flags = BUNDLE_NO_FRAGMENT,
        .dst = m->dst,
        .src = m->src,
        .report_to = { .scheme = EID_NONE },
        .time_ms = m->time_ms,
        .sequence = m->sequence,
        .lifetime_ms = m->lifetime_ms,
        .has_age = m->time_ms == 0,
        .age_ms = m->age_ms,
        .blocks = { { .type = BLOCK_BIB, .number = SEAL_BIB },
                    { .type = BLOCK_BCB, .number = SEAL_BCB, .flags = BLOCK_REPLICATE } },
        .n_blocks = 2,
    };

    if (b.has_age)
        b.blocks[b.n_blocks++] =
            (struct bundle_block){ .type = BLOCK_AGE, .number = SEAL_AGE, .crc_type = CRC_32C };
    b.blocks[b.n_blocks++] = (struct bundle_block){ .type = BLOCK_PAYLOAD, .number = 1 };
    return b;
}

/* Append block i of b, whose content is asb. */
static enum rc put_security_block(struct cbor_out *w, struct bundle *b, size_t i,
                                  const struct bpsec_asb *asb, struct err *err)
{
    uint8_t room[ASB_MAX];
    struct cbor_out content = { .p = room, .cap = sizeof room };
    enum rc rc;

    bpsec_asb_put(&content, asb);
    rc = cbor_written(&content, &b->blocks[i].data, err);
    if (rc == RC_OK)
        bundle_put_block(w, b, &b->blocks[i]);
    b->blocks[i].data = (struct bytes){ 0 };
    return rc;
}

static enum rc put_bib(struct cbor_out *w, struct bundle *b, const struct link_keys *keys,
                       struct err *err)
{
    struct bytes key = { .p = keys->mac, .n = sizeof keys->mac };
    struct bpsec_asb asb = seal_asb(BPSEC_BIB_HMAC, &b->src);
    uint8_t mac[BPSEC_MAC_MAX];
    size_t n = 0;
    enum rc rc = bpsec_mac(b, &b->blocks[0], &asb, 0, key, mac, &n, err);

    if (rc != RC_OK)
        return rc;
    asb.results[0] = (struct bytes){ .p = mac, .n = n };
    return put_security_block(w, b, 0, &asb, err);
}

static void make_iv(const struct link_message *m, uint8_t ret[GCM_IV_SIZE])
{
    for (size_t i = 0; i < 4; i++)
        ret[i] = (uint8_t)(m->src.node >> (24 - 8 * i));
    for (size_t i = 0; i < 8; i++)
        ret[4 + i] = (uint8_t)(m->counter >> (56 - 8 * i));
}

/* Everything from the BCB to the end.  The tag is known last and stands early, so a place is kept
 * for it: the last bytes of the BCB. */
static enum rc put_sealed(struct cbor_out *w, struct bundle *b, const struct link_message *m,
                          const struct link_keys *keys, struct err *err)
{
    static const uint8_t zero[GCM_TAG_SIZE];
    static const uint8_t stop = 0xff;
    const struct bundle_block *payload = &b->blocks[b->n_blocks - 1];
    struct bytes key = { .p = keys->aead, .n = sizeof keys->aead };
    struct bpsec_asb asb = seal_asb(BPSEC_BCB_GCM, &b->src);
    uint8_t iv[GCM_IV_SIZE];
    uint8_t *tag;
    enum rc rc;

    make_iv(m, iv);
    asb.iv = (struct bytes){ .p = iv, .n = sizeof iv };
    asb.results[0] = (struct bytes){ .p = zero, .n = sizeof zero };
    rc = put_security_block(w, b, 1, &asb, err);
    if (rc != RC_OK)
        return rc;
    tag = w->p + w->n - GCM_TAG_SIZE;
    if (b->has_age)
        bundle_put_block(w, b, &b->blocks[2]);
    cbor_put_array(w, 5);
    put_header(w, payload);
    cbor_put_uint(w, CRC_NONE);
    cbor_put_head(w, CBOR_BSTR, m->payload.n);
    if (w->full || w->cap - w->n <= m->payload.n)
        return err_set(err, RC_NO_ROOM, "bundle");
    rc = bpsec_encrypt(b, &b->blocks[1], &asb, 1, key, m->payload, w->p + w->n, tag, err);
    w->n += m->payload.n;
    cbor_put_raw(w, (struct bytes){ .p = &stop, .n = 1 });
    return rc;
}

enum rc link_seal(const struct link_message *message, const struct link_keys *keys, uint8_t *out,
                  size_t cap, size_t *ret_n, struct err *err)
{
    static const uint8_t start = 0x9f;
    struct cbor_out w = { .p = out, .cap = cap };
    struct bundle b = seal_bundle(message);
    enum rc rc;

    if (message->src.scheme != EID_IPN || eid_is_null(&message->src) ||
        message->src.node > UINT32_MAX)
        return err_set(err, RC_BUNDLE_EID, "source");
    cbor_put_raw(&w, (struct bytes){ .p = &start, .n = 1 });
    bundle_put_primary(&w, &b);
    if (w.full)
        return err_set(err, RC_NO_ROOM, "bundle");
    b.primary = (struct bytes){ .p = out + 1, .n = w.n - 1 };
    rc = put_bib(&w, &b, keys, err);
    if (rc == RC_OK)
        rc = put_sealed(&w, &b, message, keys, err);
    if (rc == RC_OK && w.full)
        rc = err_set(err, RC_NO_ROOM, "bundle");
    if (rc == RC_OK)
        *ret_n = w.n;
    return rc;
}

/* The two security blocks that every bundle of the link has. */
struct guard {
    const struct bundle_block *block;
    struct bpsec_asb asb;
};

/* Find the security block of this type over this target.  Of each type there is exactly one, with
 * exactly one target and the parameters of the policy. */
static enum rc find_guard(const struct bundle *b, uint64_t type, struct guard *ret, struct err *err)
{
    const char *name = type == BLOCK_BIB ? "BIB over the primary block" : "BCB over the payload";
    struct bpsec_asb want = seal_asb(type == BLOCK_BIB ? BPSEC_BIB_HMAC : BPSEC_BCB_GCM, &b->src);
    const struct bpsec_asb *asb = &ret->asb;
    bool found = false;
    enum rc rc;

    ret->block = NULL;
    for (size_t i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].type != type)
            continue;
        if (ret->block)
            return err_set(err, RC_BPSEC_TARGET, "second block besides the %s", name);
        ret->block = &b->blocks[i];
    }
    if (!ret->block)
        return err_set(err, RC_BPSEC_MISSING, "%s", name);
    rc = asb_of(b, ret->block, BUNDLE_STRICT, &ret->asb, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < asb->n_targets; i++)
        found |= asb->targets[i] == want.targets[0];
    if (!found)
        return err_set(err, RC_BPSEC_MISSING, "%s", name);
    if (asb->n_targets != 1)
        return err_set(err, RC_BPSEC_TARGET, "%s: other targets", name);
    if (asb->context != want.context || asb->variant != want.variant || asb->scope != want.scope ||
        asb->flags > PARAMETERS_PRESENT || asb->wrapped_key.n != 0 || asb->results[0].n == 0 ||
        !eid_equal(&asb->source, &b->src))
        return err_set(err, RC_BPSEC_CONTEXT, "%s: not as agreed", name);
    return RC_OK;
}

/* Form and policy; nothing is authenticated yet. */
static enum rc check_sealed(struct bytes in, struct bundle *b, struct guard *bib, struct guard *bcb,
                            struct err *err)
{
    enum rc rc = bundle_decode(in, BUNDLE_STRICT, b, err);

    /* The codec's words for a primary block that nothing protects; here it is the missing BIB. */
    if (rc == RC_BUNDLE_UNPROTECTED)
        return err_set(err, RC_BPSEC_MISSING, "BIB over the primary block");
    if (rc == RC_OK)
        rc = find_guard(b, BLOCK_BIB, bib, err);
    if (rc == RC_OK)
        rc = find_guard(b, BLOCK_BCB, bcb, err);
    if (rc != RC_OK)
        return rc;
    if (b->flags & BUNDLE_FRAGMENT)
        return err_set(err, RC_BUNDLE_FRAGMENT, "fragment");
    if (b->src.scheme != EID_IPN || eid_is_null(&b->src) || b->src.node > UINT32_MAX)
        return err_set(err, RC_BUNDLE_SOURCE, "source");
    rc = bpsec_check(b, BUNDLE_STRICT, err);
    return rc == RC_OK ? bundle_check(b, 0, err) : rc;
}

static void wipe_link_keys(struct link_keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
}

static uint64_t read_be(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

enum rc link_open(uint8_t *buf, size_t n, const struct link_keyring *keys, struct link_opened *ret,
                  struct err *err)
{
    scoped(wipe_link_keys) struct link_keys found = { 0 };
    struct bytes mac_key = { .p = found.mac, .n = sizeof found.mac };
    struct bytes aead_key = { .p = found.aead, .n = sizeof found.aead };
    struct guard bib;
    struct guard bcb;
    struct bundle b;
    enum rc rc = check_sealed((struct bytes){ .p = buf, .n = n }, &b, &bib, &bcb, err);

    if (rc == RC_OK)
        rc = keys->find(keys->arg, &b.src, &found, err);
    if (rc == RC_OK)
        rc = verify_target(&b, bib.block, &bib.asb, 0, mac_key, err);
    if (rc == RC_OK && read_be(bcb.asb.iv.p, 4) != b.src.node)
        rc = err_set(err, RC_BPSEC_AUTH, "IV of another node");
    if (rc == RC_OK)
        rc = decrypt_target(buf, &b, bcb.block, &bcb.asb, 0, aead_key, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct link_opened){
        .src = b.src,
        .dst = b.dst,
        .time_ms = b.time_ms,
        .sequence = b.sequence,
        .lifetime_ms = b.lifetime_ms,
        .counter = read_be(bcb.asb.iv.p + 4, 8),
        .node = (uint32_t)b.src.node,
        .payload = bundle_payload(&b),
    };
    return RC_OK;
}
