/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cbor.h"
#include "base/crypto.h"
#include "manifest/rekey.h"

#define INFO_MAX 160U

/* The key that wraps entry i: HKDF-SHA-384 of the shared secret, without salt, with
 *
 *     [ "berth-rekey", mission, satellite, number, what, peer, tenant, epoch ]
 *
 * as info (deterministic CBOR; peer 0 and tenant "" where the entry has none). */
static enum rc entry_key(const struct rekey *doc, uint32_t i, const struct mission *mission,
                         const uint8_t shared[KEM_SHARED_SIZE], uint8_t ret[32], struct err *err)
{
    const struct rekey_entry *e = &doc->entry[i];
    uint8_t info[INFO_MAX];
    struct cbor_out w = { .p = info, .cap = sizeof info };
    struct bytes view = { 0 };

    cbor_put_array(&w, 8);
    cbor_put_text(&w, "berth-rekey");
    cbor_put_bstr(&w, (struct bytes){ mission->b, sizeof mission->b });
    cbor_put_text(&w, doc->satellite);
    cbor_put_uint(&w, doc->number);
    cbor_put_uint(&w, e->what);
    cbor_put_uint(&w, e->peer);
    cbor_put_text(&w, e->tenant);
    cbor_put_uint(&w, e->epoch);
    enum rc rc = cbor_written(&w, &view, err);
    if (rc == RC_OK)
        rc = crypto_hkdf_bits(384, (struct bytes){ shared, KEM_SHARED_SIZE }, (struct bytes){ 0 },
                              view, ret, 32, err);
    return rc;
}

enum rc rekey_wrap(struct rekey *doc, uint32_t i, const struct mission *mission,
                   const uint8_t shared[KEM_SHARED_SIZE], const uint8_t secret[REKEY_SECRET_SIZE],
                   struct err *err)
{
    uint8_t kek[32];
    enum rc rc = entry_key(doc, i, mission, shared, kek, err);

    if (rc == RC_OK)
        rc = crypto_wrap((struct bytes){ kek, sizeof kek },
                         (struct bytes){ secret, REKEY_SECRET_SIZE }, doc->entry[i].wrapped, err);
    crypto_wipe(kek, sizeof kek);
    return rc;
}

enum rc rekey_unwrap(const struct rekey *doc, uint32_t i, const struct mission *mission,
                     const uint8_t shared[KEM_SHARED_SIZE], uint8_t ret[REKEY_SECRET_SIZE],
                     struct err *err)
{
    const struct rekey_entry *e = &doc->entry[i];
    uint8_t kek[32];
    enum rc rc = entry_key(doc, i, mission, shared, kek, err);

    if (rc == RC_OK)
        rc = crypto_unwrap((struct bytes){ kek, sizeof kek },
                           (struct bytes){ e->wrapped, sizeof e->wrapped }, ret, err);
    crypto_wipe(kek, sizeof kek);
    if (rc == RC_BPSEC_AUTH)
        rc = err_set(err, RC_REKEY_UNWRAP, "%s", rekey_what_name(e->what));
    return rc;
}

enum rc rekey_master_id(const uint8_t master[REKEY_SECRET_SIZE], uint8_t ret[KEY_ID_SIZE],
                        struct err *err)
{
    return crypto_hkdf_bits(384, (struct bytes){ master, REKEY_SECRET_SIZE }, (struct bytes){ 0 },
                            bytes_of("berth-master-id"), ret, KEY_ID_SIZE, err);
}
