/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders in a store, in envelopes that nobody verifies there.
 */
#ifndef BERTH_TESTS_STORED_ORDER_H
#define BERTH_TESTS_STORED_ORDER_H

#include "tests/unit/test.h"

#include <string.h>

#include "base/crypto.h"
#include "manifest/doc.h"
#include "manifest/envelope.h"
#include "orchestrator/store.h"

/* row says what is kept beside the order; its names come from the order. */
static void stored_order(struct store *store, const struct order *order, struct store_order row)
{
    static uint8_t payload[4096];
    static uint8_t bytes[8192];
    struct envelope parts = { .n = 2 };
    struct bytes out;
    uint8_t header[2][64];
    uint8_t body[64];
    uint8_t signature[MLDSA65_SIGNATURE_SIZE] = { 0 };
    uint8_t id[KEY_ID_SIZE] = { 0 };
    struct err err;

    row.generation = order->generation;
    memcpy(row.satellite, order->satellite, sizeof row.satellite);
    memset(row.object.b, (int)(order->generation * 16 + (uint64_t)order->satellite[4]),
           DIGEST_SIZE);
    assert_rc(order_encode(order, payload, sizeof payload, &parts.payload, &err), RC_OK);
    assert_rc(
        envelope_body_header(ENVELOPE_PROFILE, body, sizeof body, &parts.protected_header, &err),
        RC_OK);
    for (size_t i = 0; i < 2; i++) {
        struct envelope_signature *s = &parts.signature[i];

        s->algorithm = i ? COSE_ALG_MLDSA65 : COSE_ALG_ED25519;
        assert_rc(envelope_entry_header(s->algorithm, header[i], sizeof header[i],
                                        &s->protected_header, &err),
                  RC_OK);
        s->key_id = (struct bytes){ id, sizeof id };
        s->signature =
            (struct bytes){ signature, i ? MLDSA65_SIGNATURE_SIZE : ED25519_SIGNATURE_SIZE };
    }
    assert_rc(envelope_encode(&parts, bytes, sizeof bytes, &out, &err), RC_OK);
    assert_rc(store_add_order(store, &row, out, &err), RC_OK);
}

#endif
