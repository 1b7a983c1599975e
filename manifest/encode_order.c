/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

enum rc order_encode(const struct order *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = order_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_ORDER, 6U + doc->staged + (doc->witness.seq > 0));
    wire_put_text_at(&w, 1, doc->satellite);
    wire_put_uint_at(&w, 2, doc->generation);
    wire_put_uint_at(&w, 3, doc->issued_ms);
    wire_put_uint_at(&w, 4, doc->expires_ms);
    cbor_put_uint(&w, 5);
    cbor_put_array(&w, doc->n_lines);
    for (uint32_t i = 0; i < doc->n_lines; i++) {
        const struct order_line *line = &doc->line[i];
        bool has_384 = !digest384_is_none(&line->manifest384);

        cbor_put_array(&w, has_384 ? 4 : 3);
        cbor_put_text(&w, line->tenant);
        cbor_put_text(&w, line->name);
        wire_put_digest(&w, &line->manifest);
        if (has_384)
            wire_put_digest384(&w, &line->manifest384);
    }
    if (doc->staged)
        wire_put_uint_at(&w, 6, 1);
    if (doc->witness.seq > 0) {
        cbor_put_uint(&w, 7);
        wire_put_witness(&w, &doc->witness);
    }
    return cbor_written(&w, ret, err);
}
