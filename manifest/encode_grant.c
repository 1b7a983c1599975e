/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

enum rc grant_encode(const struct grant *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = grant_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_GRANT,
                  10U + doc->needs_safety + (doc->teams_since_ms != 0) + doc->agent +
                      !allowance_none(&doc->may));
    wire_put_text_at(&w, 1, doc->tenant);
    wire_put_uint_at(&w, 2, doc->epoch);
    wire_put_uint_at(&w, 3, doc->issued_ms);
    wire_put_uint_at(&w, 4, doc->expires_ms);
    cbor_put_uint(&w, 5);
    wire_put_key_set(&w, &doc->keys);
    wire_put_text_at(&w, 6, doc->prefix);
    cbor_put_uint(&w, 7);
    wire_put_resources(&w, &doc->total);
    wire_put_uint_at(&w, 8, doc->store_bytes);
    wire_put_uint_at(&w, 9, doc->payloads_max);
    if (doc->needs_safety) {
        cbor_put_uint(&w, 10);
        cbor_put_bool(&w, true);
    }
    if (doc->teams_since_ms != 0)
        wire_put_uint_at(&w, 11, doc->teams_since_ms);
    if (doc->agent) {
        cbor_put_uint(&w, 12);
        cbor_put_bool(&w, true);
    }
    if (!allowance_none(&doc->may)) {
        cbor_put_uint(&w, 13);
        wire_put_allowance(&w, &doc->may);
    }
    return cbor_written(&w, ret, err);
}
