/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

enum rc root_decode(struct bytes in, struct root *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct root d = { 0 };

    wire_open(&r, DOC_ROOT);
    wire_key(&r, 1, "root.version");
    d.version = wire_u64(&r, "root.version");
    wire_key(&r, 2, "root.mission");
    cbor_fixed(&r, "root.mission", d.mission.b, sizeof d.mission.b);
    wire_key(&r, 3, "root.issued");
    d.issued_ms = wire_u64(&r, "root.issued");
    wire_key(&r, 4, "root.expires");
    d.expires_ms = wire_u64(&r, "root.expires");
    wire_key(&r, 5, "root.root_keys");
    wire_key_set(&r, "root.root_keys", &d.root_keys);
    wire_key(&r, 6, "root.operator_keys");
    wire_key_set(&r, "root.operator_keys", &d.operator_keys);
    wire_key(&r, 7, "root.next_keys");
    wire_digest(&r, "root.next_keys", &d.next_keys);
    wire_key(&r, 8, "root.operator_since");
    d.operator_since_ms = wire_u64(&r, "root.operator_since");
    if (wire_optional(&r, 9))
        wire_key_set(&r, "root.safety_keys", &d.safety_keys);
    if (wire_optional(&r, 10))
        wire_digest384(&r, "root.next_keys384", &d.next_keys384);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = root_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
