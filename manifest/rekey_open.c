/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"
#include "manifest/rekey.h"

struct shared {
    uint32_t which;
    uint8_t secret[KEM_SHARED_SIZE];
};

static void wipe_shared(struct shared *shared)
{
    crypto_wipe(shared, sizeof *shared);
}

static enum rc find_kem(const struct rekey *doc, const struct rekey_keys *keys, struct shared *ret,
                        struct err *err)
{
    for (uint32_t i = 0; i < keys->n_kems; i++) {
        uint8_t public_half[KEM_PUBLIC_SIZE];
        uint8_t id[KEY_ID_SIZE];
        enum rc rc = kem_public(keys->kem[i], public_half, err);

        if (rc == RC_OK)
            rc = kem_id(public_half, id, err);
        if (rc != RC_OK)
            return rc;
        ret->which = i;
        if (memcmp(id, doc->key_id, sizeof id) == 0)
            return kem_open(keys->kem[i], doc->sealed, ret->secret, err);
    }
    return err_set(err, RC_REKEY_RECIPIENT, "KEM key");
}

static enum rc find_master(const struct rekey *doc, const struct rekey_keys *keys,
                           struct shared *ret, struct err *err)
{
    for (uint32_t i = 0; i < keys->n_masters; i++) {
        uint8_t id[KEY_ID_SIZE];
        enum rc rc = rekey_master_id(keys->master[i], id, err);

        if (rc != RC_OK)
            return rc;
        ret->which = i;
        memcpy(ret->secret, keys->master[i], sizeof ret->secret);
        if (memcmp(id, doc->key_id, sizeof id) == 0)
            return RC_OK;
    }
    return err_set(err, RC_REKEY_RECIPIENT, "master key");
}

enum rc rekey_open(const struct rekey *doc, const struct mission *mission,
                   const struct rekey_keys *keys, struct rekey_opened *ret, struct err *err)
{
    scoped(rekey_opened_wipe) struct rekey_opened opened = { .n = doc->n };
    scoped(wipe_shared) struct shared shared = { 0 };
    enum rc rc = RC_OK;

    if (doc->recipient == REKEY_KEM)
        rc = find_kem(doc, keys, &shared, err);
    else if (doc->recipient == REKEY_MASTER)
        rc = find_master(doc, keys, &shared, err);
    opened.which = shared.which;
    for (uint32_t i = 0; rc == RC_OK && i < doc->n; i++)
        if (doc->entry[i].what != REKEY_NEW_KEM)
            rc = rekey_unwrap(doc, i, mission, shared.secret, opened.secret[i], err);
    if (rc == RC_OK)
        *ret = opened;
    return rc;
}

void rekey_opened_wipe(struct rekey_opened *opened)
{
    crypto_wipe(opened, sizeof *opened);
}
