/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

#define ORDER_STAGED 1U /* the mode; none = takes effect at once */

static void read_line(struct cbor_in *r, struct order_line *line)
{
    size_t n = cbor_array(r, "order.line", 3, 4);
    cbor_text(r, "order.line.tenant", line->tenant, sizeof line->tenant);
    cbor_text(r, "order.line.name", line->name, sizeof line->name);
    wire_digest(r, "order.line.manifest", &line->manifest);
    if (n == 4)
        wire_digest384(r, "order.line.manifest384", &line->manifest384);
    cbor_end(r);
}

enum rc order_decode(struct bytes in, struct order *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct order d = { 0 };

    wire_open(&r, DOC_ORDER);
    wire_key(&r, 1, "order.satellite");
    cbor_text(&r, "order.satellite", d.satellite, sizeof d.satellite);
    wire_key(&r, 2, "order.generation");
    d.generation = wire_u64(&r, "order.generation");
    wire_key(&r, 3, "order.issued");
    d.issued_ms = wire_u64(&r, "order.issued");
    wire_key(&r, 4, "order.expires");
    d.expires_ms = wire_u64(&r, "order.expires");
    wire_key(&r, 5, "order.lines");
    d.n_lines = (uint32_t)cbor_array(&r, "order.lines", 0, PAYLOADS_MAX);
    for (uint32_t i = 0; i < d.n_lines; i++)
        read_line(&r, &d.line[i]);
    cbor_end(&r);
    if (wire_optional(&r, 6)) {
        d.staged = cbor_uint(&r, "order.mode", ORDER_STAGED) == ORDER_STAGED;
        if (!d.staged)
            cbor_fail(&r, RC_VALUE, "order.mode");
    }
    if (wire_optional(&r, 7)) {
        wire_witness(&r, "order.witness", &d.witness);
        if (d.witness.seq == 0)
            cbor_fail(&r, RC_VALUE, "order.witness");
    }
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = order_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
