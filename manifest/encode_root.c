/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

enum rc root_encode(const struct root *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                    struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = root_check(doc, err);

    if (rc != RC_OK)
        return rc;
    bool has_384 = !digest384_is_none(&doc->next_keys384);

    wire_put_open(&w, DOC_ROOT, 9U + (doc->safety_keys.n > 0) + has_384);
    wire_put_uint_at(&w, 1, doc->version);
    cbor_put_uint(&w, 2);
    cbor_put_bstr(&w, (struct bytes){ doc->mission.b, sizeof doc->mission.b });
    wire_put_uint_at(&w, 3, doc->issued_ms);
    wire_put_uint_at(&w, 4, doc->expires_ms);
    cbor_put_uint(&w, 5);
    wire_put_key_set(&w, &doc->root_keys);
    cbor_put_uint(&w, 6);
    wire_put_key_set(&w, &doc->operator_keys);
    cbor_put_uint(&w, 7);
    wire_put_digest(&w, &doc->next_keys);
    wire_put_uint_at(&w, 8, doc->operator_since_ms);
    if (doc->safety_keys.n > 0) {
        cbor_put_uint(&w, 9);
        wire_put_key_set(&w, &doc->safety_keys);
    }
    if (has_384) {
        cbor_put_uint(&w, 10);
        wire_put_digest384(&w, &doc->next_keys384);
    }
    return cbor_written(&w, ret, err);
}
