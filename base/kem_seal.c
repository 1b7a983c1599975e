/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/crypto.h"
#include "base/kem_parts.h"

/* FIPS 203 algorithm 17, with its 32 bytes of randomness given. */
static enum rc mlkem_seal(const uint8_t public_half[MLKEM_PUBLIC_SIZE], uint8_t random[32],
                          uint8_t ret_sealed[MLKEM_SEALED_SIZE], uint8_t ret_shared[32],
                          struct err *err)
{
    scoped(kem_pkey_free) EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key_ex(NULL, "ML-KEM-768", NULL, public_half, MLKEM_PUBLIC_SIZE);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, random, 32),
        OSSL_PARAM_construct_end(),
    };
    size_t n = MLKEM_SEALED_SIZE;
    size_t n_shared = 32;

    if (!key) /* the library checks that every coefficient is reduced */
        return err_set(err, RC_VALUE, "ML-KEM-768 public key");

    scoped(kem_pkey_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

    if (!ctx || EVP_PKEY_encapsulate_init(ctx, params) != 1 ||
        EVP_PKEY_encapsulate(ctx, ret_sealed, &n, ret_shared, &n_shared) != 1 ||
        n != MLKEM_SEALED_SIZE || n_shared != 32)
        return err_set(err, RC_CRYPTO, "ML-KEM-768");
    return RC_OK;
}

enum rc kem_seal_from(const uint8_t public_half[KEM_PUBLIC_SIZE],
                      const uint8_t random[KEM_RANDOM_SIZE], uint8_t ret_sealed[KEM_SEALED_SIZE],
                      uint8_t ret_shared[KEM_SHARED_SIZE], struct err *err)
{
    const uint8_t *public_x = public_half + MLKEM_PUBLIC_SIZE;
    uint8_t sealed[KEM_SEALED_SIZE];
    uint8_t *sealed_x = sealed + MLKEM_SEALED_SIZE;
    uint8_t mine[KEM_RANDOM_SIZE]; /* for ML-KEM || the ephemeral X25519 key */
    uint8_t secrets[2][32];

    memcpy(mine, random, sizeof mine);
    enum rc rc = mlkem_seal(public_half, mine, sealed, secrets[0], err);
    if (rc == RC_OK)
        rc = kem_x25519_public(mine + 32, sealed_x, err);
    if (rc == RC_OK)
        rc = kem_x25519(mine + 32, public_x, RC_VALUE, secrets[1], err);
    if (rc == RC_OK)
        rc = kem_combine(secrets[0], secrets[1], sealed_x, public_x, ret_shared, err);
    if (rc == RC_OK)
        memcpy(ret_sealed, sealed, sizeof sealed);
    crypto_wipe(mine, sizeof mine);
    crypto_wipe(secrets, sizeof secrets);
    return rc;
}

enum rc kem_seal(const uint8_t public_half[KEM_PUBLIC_SIZE], uint8_t ret_sealed[KEM_SEALED_SIZE],
                 uint8_t ret_shared[KEM_SHARED_SIZE], struct err *err)
{
    uint8_t random[KEM_RANDOM_SIZE];

    crypto_random(random, sizeof random);
    enum rc rc = kem_seal_from(public_half, random, ret_sealed, ret_shared, err);
    crypto_wipe(random, sizeof random);
    return rc;
}
