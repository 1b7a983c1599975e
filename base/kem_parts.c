/* SPDX-License-Identifier: Apache-2.0 */
#include "base/kem_parts.h"

#include "base/crypto.h"

void kem_pkey_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

void kem_pkey_ctx_free(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

enum rc kem_x25519_public(const uint8_t secret[32], uint8_t ret[32], struct err *err)
{
    scoped(kem_pkey_free) EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret, X25519_SIZE);
    size_t n = X25519_SIZE;

    if (!key || EVP_PKEY_get_raw_public_key(key, ret, &n) != 1 || n != X25519_SIZE)
        return err_set(err, RC_CRYPTO, "X25519");
    return RC_OK;
}

enum rc kem_x25519(const uint8_t secret[32], const uint8_t point[32], enum rc refused,
                   uint8_t ret[32], struct err *err)
{
    scoped(kem_pkey_free) EVP_PKEY *key =
        EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, secret, X25519_SIZE);
    scoped(kem_pkey_free) EVP_PKEY *peer =
        EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, point, X25519_SIZE);
    scoped(kem_pkey_ctx_free) EVP_PKEY_CTX *ctx =
        key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    size_t n = X25519_SIZE;

    if (!ctx || !peer || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer(ctx, peer) != 1)
        return err_set(err, RC_CRYPTO, "X25519");
    if (EVP_PKEY_derive(ctx, ret, &n) != 1 || n != X25519_SIZE)
        return err_set(err, refused, "X25519 point of small order"); /* RFC 7748 section 6.1 */
    return RC_OK;
}

enum rc kem_combine(const uint8_t mlkem[32], const uint8_t x25519[32], const uint8_t sealed_x[32],
                    const uint8_t public_x[32], uint8_t ret[KEM_SHARED_SIZE], struct err *err)
{
    static const uint8_t label[6] = { '\\', '.', '/', '/', '^', '\\' };
    uint8_t in[4 * 32 + sizeof label];

    memcpy(in, mlkem, 32);
    memcpy(in + 32, x25519, 32);
    memcpy(in + 64, sealed_x, 32);
    memcpy(in + 96, public_x, 32);
    memcpy(in + 128, label, sizeof label);

    bool done = EVP_Digest(in, sizeof in, ret, NULL, EVP_sha3_256(), NULL) == 1;

    crypto_wipe(in, sizeof in);
    return done ? RC_OK : err_set(err, RC_CRYPTO, "SHA3-256");
}

enum rc kem_id(const uint8_t public_half[KEM_PUBLIC_SIZE], uint8_t ret[KEY_ID_SIZE],
               struct err *err)
{
    uint8_t digest[DIGEST_SIZE];
    enum rc rc = sha256_of((struct bytes){ public_half, KEM_PUBLIC_SIZE }, digest, err);

    if (rc == RC_OK)
        memcpy(ret, digest, KEY_ID_SIZE);
    return rc;
}
