/* SPDX-License-Identifier: Apache-2.0 */
#include "link/keys.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/name.h"

#define OWNER_CAP (2U * NAME_CAP)
#define SALT_MAX (12U + OWNER_CAP)

/* TENANT or TENANT/PAYLOAD: no name has a '/'. */
static const char *owner_of(const struct keys *keys, char out[OWNER_CAP])
{
    (void)snprintf(out, OWNER_CAP, "%.*s%s%.*s", (int)NAME_MAX_LEN, keys->tenant,
                   keys->payload[0] != '\0' ? "/" : "", (int)NAME_MAX_LEN, keys->payload);
    return out;
}

/* Fill in one direction.  Salt and info bind a key to what it is for, so that neither another
 * direction, satellite, epoch nor tenant has the same one. */
static enum rc derive_half(const struct keys *keys, const char *direction, struct link_keys *ret,
                           struct err *err)
{
    struct bytes secret = { keys->secret, sizeof keys->secret };
    uint8_t salt_room[SALT_MAX] = { 0 };
    char owner[OWNER_CAP];
    size_t name = strlen(owner_of(keys, owner));
    const struct bytes salt = { salt_room, 12 + name };
    char info[32] = "";

    bytes_put_be(salt_room, 4, keys->ground);
    bytes_put_be(salt_room + 4, 4, keys->satellite);
    bytes_put_be(salt_room + 8, 4, keys->epoch);
    memcpy(salt_room + 12, owner, name);
    snprintf(info, sizeof info, "berth link 1 %s mac", direction);
    enum rc rc = crypto_hkdf(secret, salt, info, ret->mac, sizeof ret->mac, err);
    if (rc != RC_OK)
        return rc;
    snprintf(info, sizeof info, "berth link 1 %s aead", direction);
    return crypto_hkdf(secret, salt, info, ret->aead, sizeof ret->aead, err);
}

enum rc keys_derive(struct keys *keys, struct err *err)
{
    if (keys->ground == 0 || keys->satellite == 0 || keys->ground == keys->satellite)
        return err_set(err, RC_VALUE, "link nodes %u and %u", keys->ground, keys->satellite);
    if (keys->epoch == 0)
        return err_set(err, RC_VALUE, "key epoch 0");
    if (keys->tenant[0] != '\0' && !name_valid(keys->tenant))
        return err_set(err, RC_NAME, "tenant of a link key");
    if (keys->payload[0] != '\0' && (keys->tenant[0] == '\0' || !name_valid(keys->payload)))
        return err_set(err, RC_NAME, "payload of a key");
    enum rc rc = derive_half(keys, "up", &keys->up, err);

    return rc == RC_OK ? derive_half(keys, "down", &keys->down, err) : rc;
}

enum rc keys_make(uint32_t ground, uint32_t satellite, struct keys *ret, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { .ground = ground, .satellite = satellite, .epoch = 1 };

    crypto_random(keys.secret, sizeof keys.secret);
    enum rc rc = keys_derive(&keys, err);
    if (rc == RC_OK)
        *ret = keys;
    return rc;
}

uint64_t keys_number(const struct keys *keys)
{
    uint8_t digest[DIGEST_SIZE];
    char owner[OWNER_CAP];

    if (keys->tenant[0] == '\0')
        return keys->epoch;
    if (sha256_of(bytes_of(owner_of(keys, owner)), digest, NULL) != RC_OK)
        return 0;
    return bytes_get_be(digest, 4) << 32 | keys->epoch;
}

void keys_wipe(struct keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
    crypto_forget();
}
