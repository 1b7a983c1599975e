/* SPDX-License-Identifier: Apache-2.0 */
#include "link/seal.h"

#include <assert.h>

#include "base/crypto.h"
#include "link/bpsec.h"
#include "link/counter.h"

#define ASB_MAX 256U      /* of the two security blocks */
#define PRIMARY_MAX 1024U /* a primary block with three EIDs of full length */

#define IV_SALT 7U
#define IV_COUNTER 5U

static_assert(3 * EID_WIRE_MAX + 128 < PRIMARY_MAX, "every primary block fits");
static_assert(IV_SALT + IV_COUNTER == GCM_IV_SIZE, "salt and counter fill the IV");
static_assert(COUNTER_MAX >> 8 * IV_COUNTER == 0, "every counter fits");

/* Numbers of the blocks that link_seal makes; link_open does not rely on them. */
enum { SEAL_BIB = 2, SEAL_BCB = 3, SEAL_AGE = 4 };

static struct bpsec_asb seal_asb(enum bpsec_context context, const struct eid *source, uint64_t key)
{
    bool mac = context == BPSEC_BIB_HMAC;
    struct bpsec_asb asb = {
        .n_targets = 1,
        .targets = { mac ? 0 : 1 },
        .context = context,
        .source = { .scheme = EID_IPN, .node = source->node, .service = key },
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

static enum rc put_bib(struct cbor_out *w, struct bundle *b, const struct link_message *m,
                       const struct link_keys *keys, struct err *err)
{
    struct bytes key = { .p = keys->mac, .n = sizeof keys->mac };
    struct bpsec_asb asb = seal_asb(BPSEC_BIB_HMAC, &b->src, m->key);
    uint8_t mac[BPSEC_MAC_MAX];
    size_t n = 0;
    enum rc rc = bpsec_mac(b, &b->blocks[0], &asb, 0, key, mac, &n, err);

    if (rc != RC_OK)
        return rc;
    asb.results[0] = (struct bytes){ .p = mac, .n = n };
    return put_security_block(w, b, 0, &asb, err);
}

/* A key serves one sender, so its bundles need no more than a counter; the salt is for the day on
 * which the sender's files are older than they should be (link/counter). */
static void make_iv(const struct link_message *m, uint8_t ret[GCM_IV_SIZE])
{
    bytes_put_be(ret, IV_SALT, m->salt);
    bytes_put_be(ret + IV_SALT, IV_COUNTER, m->counter);
}

/* Everything from the BCB to the end.  The tag is known last and stands early, so a place is kept
 * for it: the last bytes of the BCB. */
static enum rc put_sealed(struct cbor_out *w, struct bundle *b, const struct link_message *m,
                          const struct link_keys *keys, struct err *err)
{
    static const uint8_t zero[GCM_TAG_SIZE] = { 0 };
    static const uint8_t stop = 0xff;
    const struct bundle_block *payload = &b->blocks[b->n_blocks - 1];
    struct bytes key = { .p = keys->aead, .n = sizeof keys->aead };
    struct bpsec_asb asb = seal_asb(BPSEC_BCB_GCM, &b->src, m->key);
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
    (void)bundle_begin_block(w, payload, m->payload.n);
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
        message->src.node > UINT32_MAX || message->key == 0)
        return err_set(err, RC_BUNDLE_EID, "source");
    if (message->counter == 0 || message->counter > COUNTER_MAX)
        return err_set(err, RC_COUNTER, "counter of a bundle");
    cbor_put_raw(&w, (struct bytes){ .p = &start, .n = 1 });
    bundle_put_primary(&w, &b);
    if (w.full)
        return err_set(err, RC_NO_ROOM, "bundle");
    b.primary = (struct bytes){ .p = out + 1, .n = w.n - 1 };
    rc = put_bib(&w, &b, message, keys, err);
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
    struct bpsec_asb want =
        seal_asb(type == BLOCK_BIB ? BPSEC_BIB_HMAC : BPSEC_BCB_GCM, &b->src, 0);
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
    rc = bpsec_asb_of(b, ret->block, BUNDLE_STRICT, &ret->asb, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < asb->n_targets; i++)
        found |= asb->targets[i] == want.targets[0];
    if (!found)
        return err_set(err, RC_BPSEC_MISSING, "%s", name);
    if (asb->n_targets != 1)
        return err_set(err, RC_BPSEC_TARGET, "%s: other targets", name);
    if (asb->context != want.context || asb->variant != want.variant || asb->scope != want.scope ||
        asb->flags > 1 || asb->wrapped_key.n != 0 || asb->results[0].n == 0 ||
        (type == BLOCK_BCB && asb->iv.n != GCM_IV_SIZE))
        return err_set(err, RC_BPSEC_CONTEXT, "%s: not as agreed", name);
    return RC_OK;
}

/* Take off what only a node on the way can have put on: link_seal gives its targets no CRC, as RFC
 * 9173 wants it of a source, and ION 4.1.3 gives one to every primary block that it sends.  The
 * decoder has compared them; covered is the block as its source made it, and what comes of this has
 * to be authentic.  room is where that primary block goes. */
static void take_off_crcs(struct bundle *b, const struct guard *bcb, uint8_t room[PRIMARY_MAX])
{
    struct cbor_out w = { .p = room, .cap = PRIMARY_MAX };

    for (size_t i = 0; i < b->n_blocks; i++) {
        if (b->blocks[i].number == bcb->asb.targets[0])
            b->blocks[i].crc_type = CRC_NONE;
    }
    if (b->crc_type == CRC_NONE)
        return;
    b->crc_type = CRC_NONE;
    bundle_put_primary(&w, b);
    if (!w.full)
        b->primary = (struct bytes){ .p = room, .n = w.n };
}

/* Form and policy; nothing is authenticated yet. */
static enum rc check_sealed(struct bytes in, struct bundle *b, struct guard *bib, struct guard *bcb,
                            uint8_t room[PRIMARY_MAX], struct err *err)
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
    if (bib->asb.source.scheme != EID_IPN || bib->asb.source.node != b->src.node ||
        bib->asb.source.service == 0 || !eid_equal(&bib->asb.source, &bcb->asb.source))
        return err_set(err, RC_BPSEC_CONTEXT, "security source: not as agreed");
    take_off_crcs(b, bcb, room);
    rc = bpsec_check(b, BUNDLE_STRICT, err);
    return rc == RC_OK ? bundle_check(b, 0, err) : rc;
}

static void wipe_link_keys(struct link_keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
}

enum rc link_open(uint8_t *buf, size_t n, const struct link_finder *keys, struct link_opened *ret,
                  struct err *err)
{
    scoped(wipe_link_keys) struct link_keys found = { 0 };
    struct bytes mac_key = { .p = found.mac, .n = sizeof found.mac };
    struct bytes aead_key = { .p = found.aead, .n = sizeof found.aead };
    struct guard bib;
    struct guard bcb;
    struct bundle b;
    uint8_t room[PRIMARY_MAX];
    enum rc rc = check_sealed((struct bytes){ .p = buf, .n = n }, &b, &bib, &bcb, room, err);

    if (rc == RC_OK)
        rc = keys->find(keys->arg, &b.src, bib.asb.source.service, &found, err);
    if (rc == RC_OK)
        rc = bpsec_verify(&b, bib.block, &bib.asb, 0, mac_key, err);
    if (rc == RC_OK)
        rc = bpsec_decrypt(buf, &b, bcb.block, &bcb.asb, 0, aead_key, err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct link_opened){
        .src = b.src,
        .dst = b.dst,
        .time_ms = b.time_ms,
        .sequence = b.sequence,
        .lifetime_ms = b.lifetime_ms,
        .key = bib.asb.source.service,
        .counter = bytes_get_be(bcb.asb.iv.p + IV_SALT, IV_COUNTER),
        .payload = bundle_payload(&b),
    };
    return RC_OK;
}
