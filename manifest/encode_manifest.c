/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

static void put_content(struct cbor_out *w, const struct manifest *doc)
{
    bool has_384 = !digest384_is_none(&doc->content384);

    cbor_put_uint(w, 6);
    cbor_put_array(w, has_384 ? 5 : 4);
    wire_put_digest(w, &doc->content);
    cbor_put_uint(w, doc->content_bytes);
    cbor_put_uint(w, doc->unpacked_bytes);
    cbor_put_uint(w, doc->files);
    if (has_384)
        wire_put_digest384(w, &doc->content384);
}

static void put_start(struct cbor_out *w, const struct manifest *doc)
{
    cbor_put_uint(w, 8);
    cbor_put_array(w, doc->n_args);
    for (uint32_t i = 0; i < doc->n_args; i++)
        cbor_put_text(w, doc->args[i]);
    cbor_put_uint(w, 9);
    cbor_put_array(w, doc->n_env);
    for (uint32_t i = 0; i < doc->n_env; i++)
        cbor_put_text(w, doc->env[i]);
}

static void put_index(struct cbor_out *w, const struct manifest *doc)
{
    bool has_384 = !digest384_is_none(&doc->index384);

    if (digest_is_none(&doc->index))
        return;
    cbor_put_uint(w, 12);
    cbor_put_array(w, has_384 ? 2 : 1);
    wire_put_digest(w, &doc->index);
    if (has_384)
        wire_put_digest384(w, &doc->index384);
}

static void put_attached(struct cbor_out *w, uint64_t key, const struct digest *digest)
{
    if (digest_is_none(digest))
        return;
    cbor_put_uint(w, key);
    wire_put_digest(w, digest);
}

static size_t keys_of(const struct manifest *doc)
{
    return 12U + !digest_is_none(&doc->index) + !digest_is_none(&doc->sbom) +
           !digest_is_none(&doc->provenance) + doc->snapshot + wire_has_wants(doc) +
           wire_has_life(doc) + doc->sealed;
}

enum rc manifest_encode(const struct manifest *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                        struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    struct bytes written;
    enum rc rc = manifest_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_MANIFEST, keys_of(doc));
    wire_put_signer_at(&w, 1, doc->tenant, doc->team);
    wire_put_text_at(&w, 2, doc->name);
    wire_put_text_at(&w, 3, doc->version);
    wire_put_uint_at(&w, 4, doc->release);
    wire_put_uint_at(&w, 5, doc->floor);
    put_content(&w, doc);
    wire_put_text_at(&w, 7, doc->arch);
    put_start(&w, doc);
    cbor_put_uint(&w, 10);
    wire_put_resources(&w, &doc->limits);
    cbor_put_uint(&w, 11);
    cbor_put_array(&w, 4);
    cbor_put_uint(&w, doc->health.type);
    cbor_put_uint(&w, doc->health.ready_ms);
    cbor_put_uint(&w, doc->health.soak_ms);
    cbor_put_uint(&w, doc->health.watchdog_ms);
    put_index(&w, doc);
    if (doc->snapshot) {
        cbor_put_uint(&w, 13);
        cbor_put_bool(&w, true);
    }
    put_attached(&w, 14, &doc->sbom);
    put_attached(&w, 15, &doc->provenance);
    if (wire_has_wants(doc)) {
        cbor_put_uint(&w, 16);
        wire_put_wants(&w, doc);
    }
    if (wire_has_life(doc)) {
        cbor_put_uint(&w, 17);
        wire_put_life(&w, doc);
    }
    wire_put_true_at(&w, 18, doc->sealed);
    rc = cbor_written(&w, &written, err);
    /* Arguments and variables come from a person's file and may be anything but UTF-8. */
    if (rc == RC_OK)
        rc = cbor_check(written, err);
    if (rc == RC_OK)
        *ret = written;
    return rc;
}
