/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/token.h"

#include "base/name.h"
#include "manifest/wire.h"

enum rc token_check(const struct token *doc, struct err *err)
{
    if (!name_valid(doc->satellite))
        return err_set(err, RC_NAME, "token.satellite");
    if (doc->generation == 0 || doc->generation > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "token.generation");
    if (digest_is_none(&doc->order))
        return err_set(err, RC_DIGEST_MISSING, "token.order");
    if (doc->issued_ms == 0 || doc->issued_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "token.issued");
    if (doc->expires_ms <= doc->issued_ms || doc->expires_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "token.expires");
    return RC_OK;
}

enum rc token_decode(struct bytes in, struct token *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct token d = { 0 };

    wire_open(&r, DOC_TOKEN);
    wire_key(&r, 1, "token.satellite");
    cbor_text(&r, "token.satellite", d.satellite, sizeof d.satellite);
    wire_key(&r, 2, "token.generation");
    d.generation = wire_u64(&r, "token.generation");
    wire_key(&r, 3, "token.order");
    wire_digest(&r, "token.order", &d.order);
    wire_key(&r, 4, "token.issued");
    d.issued_ms = wire_u64(&r, "token.issued");
    wire_key(&r, 5, "token.expires");
    d.expires_ms = wire_u64(&r, "token.expires");
    if (wire_optional(&r, 6))
        wire_digest384(&r, "token.order384", &d.order384);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = token_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

enum rc token_encode(const struct token *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    bool has_384 = !digest384_is_none(&doc->order384);
    enum rc rc = token_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_TOKEN, has_384 ? 7 : 6);
    wire_put_text_at(&w, 1, doc->satellite);
    wire_put_uint_at(&w, 2, doc->generation);
    cbor_put_uint(&w, 3);
    wire_put_digest(&w, &doc->order);
    wire_put_uint_at(&w, 4, doc->issued_ms);
    wire_put_uint_at(&w, 5, doc->expires_ms);
    if (has_384) {
        cbor_put_uint(&w, 6);
        wire_put_digest384(&w, &doc->order384);
    }
    return cbor_written(&w, ret, err);
}
