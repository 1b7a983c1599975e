/* SPDX-License-Identifier: Apache-2.0
 *
 * What agent/rekey keeps: its form on disk, and how a rekey changes it.
 */
#include "agent/rekey.h"
#include "base/cbor.h"
#include "base/crypto.h"

#define BOX_FORMAT 1U

static void wipe_box(struct rekey_box *box)
{
    crypto_wipe(box, sizeof *box);
}

enum rc rekey_box_encode(const struct rekey_box *box, uint8_t *buf, size_t cap, struct bytes *ret,
                         struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 7);
    cbor_put_uint(&w, BOX_FORMAT);
    cbor_put_uint(&w, box->number);
    cbor_put_bstr(&w, (struct bytes){ box->digest.b, sizeof box->digest.b });
    cbor_put_uint(&w, box->issued_ms);
    cbor_put_bool(&w, box->proven);
    cbor_put_array(&w, box->keys.n_kems);
    for (uint32_t i = 0; i < box->keys.n_kems; i++)
        cbor_put_bstr(&w, (struct bytes){ box->keys.kem[i], KEM_SEED_SIZE });
    cbor_put_array(&w, box->keys.n_masters);
    for (uint32_t i = 0; i < box->keys.n_masters; i++) {
        cbor_put_array(&w, 2);
        cbor_put_uint(&w, box->master_epoch[i]);
        cbor_put_bstr(&w, (struct bytes){ box->keys.master[i], REKEY_SECRET_SIZE });
    }
    return cbor_written(&w, ret, err);
}

enum rc rekey_box_decode(struct bytes in, struct rekey_box *ret, struct err *err)
{
    scoped(wipe_box) struct rekey_box box = { 0 };
    struct cbor_in r = cbor_read(in);

    cbor_array(&r, "rekey", 7, 7);
    if (cbor_uint(&r, "format", UINT32_MAX) != BOX_FORMAT)
        cbor_fail(&r, RC_VALUE, "format");
    box.number = cbor_uint(&r, "number", INT64_MAX);
    cbor_fixed(&r, "digest", box.digest.b, sizeof box.digest.b);
    box.issued_ms = cbor_uint(&r, "issued", INT64_MAX);
    box.proven = cbor_bool(&r, "proven");
    box.keys.n_kems = (uint32_t)cbor_array(&r, "pairs", 1, REKEY_KEMS_MAX);
    for (uint32_t i = 0; i < box.keys.n_kems; i++)
        cbor_fixed(&r, "pair", box.keys.kem[i], KEM_SEED_SIZE);
    cbor_end(&r);
    box.keys.n_masters = (uint32_t)cbor_array(&r, "masters", 0, REKEY_MASTERS_MAX);
    for (uint32_t i = 0; i < box.keys.n_masters; i++) {
        cbor_array(&r, "master", 2, 2);
        box.master_epoch[i] = (uint32_t)cbor_uint(&r, "epoch", UINT32_MAX);
        cbor_fixed(&r, "master", box.keys.master[i], REKEY_SECRET_SIZE);
        cbor_end(&r);
        if (box.master_epoch[i] == 0 || (i > 0 && box.master_epoch[i] <= box.master_epoch[i - 1]))
            cbor_fail(&r, RC_VALUE, "master epoch");
    }
    cbor_end(&r);
    cbor_end(&r);
    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        *ret = box;
    return rc;
}

/* A rekey was opened with key `which` of n: the ground has it, and the ones before go. */
static uint32_t drop_before(uint8_t key[][REKEY_SECRET_SIZE], uint32_t n, uint32_t which)
{
    memmove(key[0], key[which], (size_t)(n - which) * REKEY_SECRET_SIZE);
    crypto_wipe(key[n - which], (size_t)which * REKEY_SECRET_SIZE);
    return n - which;
}

/* Where the next key goes: behind the one in use.  One that waits there was never used. */
static uint32_t place_of(uint32_t n)
{
    return n == 0 ? 0 : 1;
}

void rekey_box_apply(struct rekey_box *box, const struct rekey *doc, const struct digest *digest,
                     const struct rekey_opened *opened, const uint8_t fresh[KEM_SEED_SIZE])
{
    struct rekey_keys *keys = &box->keys;

    static_assert(KEM_SEED_SIZE == REKEY_SECRET_SIZE, "seeds and masters are kept alike");
    if (doc->recipient == REKEY_KEM) {
        box->proven = opened->which + 1 == keys->n_kems;
        keys->n_kems = drop_before(keys->kem, keys->n_kems, opened->which);
    }
    if (doc->recipient == REKEY_MASTER) {
        memmove(&box->master_epoch[0], &box->master_epoch[opened->which],
                (keys->n_masters - opened->which) * sizeof box->master_epoch[0]);
        keys->n_masters = drop_before(keys->master, keys->n_masters, opened->which);
    }
    for (uint32_t i = 0; i < doc->n; i++) {
        const struct rekey_entry *entry = &doc->entry[i];

        if (entry->what == REKEY_NEW_MASTER) {
            uint32_t at = place_of(keys->n_masters);

            memcpy(keys->master[at], opened->secret[i], REKEY_SECRET_SIZE);
            box->master_epoch[at] = entry->epoch;
            keys->n_masters = at + 1;
        }
        if (entry->what == REKEY_NEW_KEM && keys->n_kems < REKEY_KEMS_MAX) {
            memcpy(keys->kem[keys->n_kems++], fresh, KEM_SEED_SIZE);
            box->proven = false;
        }
    }
    box->number = doc->number;
    box->digest = *digest;
    box->issued_ms = doc->issued_ms;
}
