/* SPDX-License-Identifier: Apache-2.0 */
#include "link/keys.h"

#include <stdio.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/statefile.h"

#define KEYS_FORMAT 1U
#define KEYS_FILE_MAX 128U

/* Fill up and down from the secret.  The info string binds a key to what it is for, so that neither
 * another direction, another satellite nor another epoch has the same one. */
static enum rc derive_half(const struct keys *keys, const char *direction, struct link_keys *ret,
                           struct err *err)
{
    struct bytes secret = { keys->secret, sizeof keys->secret };
    uint8_t salt[12] = { 0 };
    const uint32_t words[3] = { keys->ground, keys->satellite, keys->epoch };
    char info[32] = "";

    for (size_t i = 0; i < sizeof salt; i++)
        salt[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    snprintf(info, sizeof info, "berth link 1 %s mac", direction);
    enum rc rc = crypto_hkdf(secret, (struct bytes){ salt, sizeof salt }, info, ret->mac,
                             sizeof ret->mac, err);
    if (rc != RC_OK)
        return rc;
    snprintf(info, sizeof info, "berth link 1 %s aead", direction);
    return crypto_hkdf(secret, (struct bytes){ salt, sizeof salt }, info, ret->aead,
                       sizeof ret->aead, err);
}

static enum rc derive(struct keys *keys, struct err *err)
{
    enum rc rc = derive_half(keys, "up", &keys->up, err);

    return rc == RC_OK ? derive_half(keys, "down", &keys->down, err) : rc;
}

enum rc keys_make(uint32_t ground, uint32_t satellite, struct keys *ret, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { .ground = ground, .satellite = satellite, .epoch = 1 };

    if (ground == 0 || satellite == 0 || ground == satellite)
        return err_set(err, RC_VALUE, "link nodes %u and %u", ground, satellite);
    crypto_random(keys.secret, sizeof keys.secret);
    enum rc rc = derive(&keys, err);
    if (rc == RC_OK)
        *ret = keys;
    return rc;
}

enum rc keys_save(int dirfd, const char *name, const struct keys *keys, struct err *err)
{
    uint8_t buf[KEYS_FILE_MAX];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes content = { 0 };

    cbor_put_array(&w, 5);
    cbor_put_uint(&w, KEYS_FORMAT);
    cbor_put_uint(&w, keys->ground);
    cbor_put_uint(&w, keys->satellite);
    cbor_put_uint(&w, keys->epoch);
    cbor_put_bstr(&w, (struct bytes){ keys->secret, sizeof keys->secret });
    enum rc rc = cbor_written(&w, &content, err);
    if (rc == RC_OK)
        rc = statefile_save(dirfd, name, content, err);
    crypto_wipe(buf, sizeof buf);
    return rc;
}

/* The file's content to everything but the derived keys. */
static enum rc decode(struct bytes in, struct keys *keys, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    cbor_array(&r, "key file", 5, 5);
    if (cbor_uint(&r, "format", UINT32_MAX) != KEYS_FORMAT)
        cbor_fail(&r, RC_VALUE, "format");
    keys->ground = (uint32_t)cbor_uint(&r, "ground", UINT32_MAX);
    keys->satellite = (uint32_t)cbor_uint(&r, "satellite", UINT32_MAX);
    keys->epoch = (uint32_t)cbor_uint(&r, "epoch", UINT32_MAX);
    cbor_fixed(&r, "secret", keys->secret, sizeof keys->secret);
    cbor_end(&r);
    if (keys->ground == 0 || keys->satellite == 0 || keys->ground == keys->satellite ||
        keys->epoch == 0)
        cbor_fail(&r, RC_VALUE, "node or epoch");
    return cbor_done(&r, err);
}

enum rc keys_load(int dirfd, const char *name, struct keys *ret, struct err *err)
{
    scoped(keys_wipe) struct keys keys = { 0 };
    uint8_t buf[KEYS_FILE_MAX];
    size_t n = 0;
    enum rc rc = statefile_load(dirfd, name, buf, sizeof buf, &n, NULL, err);

    if (rc == RC_OK)
        rc = decode((struct bytes){ buf, n }, &keys, err);
    crypto_wipe(buf, sizeof buf);
    if (rc != RC_OK)
        return err_set(err, RC_KEY_FILE, "link key %s: %s", name, rc_name(rc));
    rc = derive(&keys, err);
    if (rc == RC_OK)
        *ret = keys;
    return rc;
}

void keys_wipe(struct keys *keys)
{
    crypto_wipe(keys, sizeof *keys);
}
