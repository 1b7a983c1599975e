/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

enum rc grant_decode(struct bytes in, struct grant *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct grant d = { 0 };

    wire_open(&r, DOC_GRANT);
    wire_key(&r, 1, "grant.tenant");
    cbor_text(&r, "grant.tenant", d.tenant, sizeof d.tenant);
    wire_key(&r, 2, "grant.epoch");
    d.epoch = wire_u64(&r, "grant.epoch");
    wire_key(&r, 3, "grant.issued");
    d.issued_ms = wire_u64(&r, "grant.issued");
    wire_key(&r, 4, "grant.expires");
    d.expires_ms = wire_u64(&r, "grant.expires");
    wire_key(&r, 5, "grant.keys");
    wire_key_set(&r, "grant.keys", &d.keys);
    wire_key(&r, 6, "grant.prefix");
    cbor_text(&r, "grant.prefix", d.prefix, sizeof d.prefix);
    wire_key(&r, 7, "grant.total");
    wire_resources(&r, "grant.total", &d.total);
    wire_key(&r, 8, "grant.store");
    d.store_bytes = wire_u64(&r, "grant.store");
    wire_key(&r, 9, "grant.payloads");
    d.payloads_max = wire_u32(&r, "grant.payloads");
    if (wire_optional(&r, 10)) {
        d.needs_safety = cbor_bool(&r, "grant.needs_safety");
        if (!d.needs_safety)
            cbor_fail(&r, RC_VALUE, "grant.needs_safety");
    }
    if (wire_optional(&r, 11)) {
        d.teams_since_ms = wire_u64(&r, "grant.teams_since");
        if (d.teams_since_ms == 0)
            cbor_fail(&r, RC_VALUE, "grant.teams_since");
    }
    if (wire_optional(&r, 12)) {
        d.agent = cbor_bool(&r, "grant.agent");
        if (!d.agent)
            cbor_fail(&r, RC_VALUE, "grant.agent");
    }
    if (wire_optional(&r, 13))
        wire_allowance(&r, "grant.may", &d.may);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = grant_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
