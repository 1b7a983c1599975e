/* SPDX-License-Identifier: Apache-2.0 */
#include "base/kem.h"

#include <openssl/core_names.h>
#include <openssl/params.h>

#include "base/crypto.h"
#include "base/kem_parts.h"

#define MLKEM_SEED_SIZE 64U /* d || z, FIPS 203 algorithm 16 */

/* What grows from the seed: secret, wiped by wipe_pair. */
struct pair {
    uint8_t grown[MLKEM_SEED_SIZE + X25519_SIZE]; /* SHAKE256 of the seed (draft section 5.2) */
    EVP_PKEY *mlkem;
    uint8_t public_x[X25519_SIZE];
};

static void wipe_pair(struct pair *pair)
{
    EVP_PKEY_free(pair->mlkem);
    crypto_wipe(pair, sizeof *pair);
}

static void md_ctx_free(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

static enum rc shake256(struct bytes in, uint8_t *ret, size_t n, struct err *err)
{
    scoped(md_ctx_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_shake256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, in.p, in.n) != 1 || EVP_DigestFinalXOF(ctx, ret, n) != 1)
        return err_set(err, RC_CRYPTO, "SHAKE256");
    return RC_OK;
}

static enum rc grow(const uint8_t seed[KEM_SEED_SIZE], struct pair *pair, struct err *err)
{
    enum rc rc =
        shake256((struct bytes){ seed, KEM_SEED_SIZE }, pair->grown, sizeof pair->grown, err);
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED, pair->grown,
                                          MLKEM_SEED_SIZE),
        OSSL_PARAM_construct_end(),
    };

    if (rc != RC_OK)
        return rc;

    scoped(kem_pkey_ctx_free) EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(NULL, "ML-KEM-768", NULL);

    if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_CTX_set_params(ctx, params) != 1 ||
        EVP_PKEY_generate(ctx, &pair->mlkem) != 1)
        return err_set(err, RC_CRYPTO, "ML-KEM-768");
    return kem_x25519_public(pair->grown + MLKEM_SEED_SIZE, pair->public_x, err);
}

enum rc kem_public(const uint8_t seed[KEM_SEED_SIZE], uint8_t ret[KEM_PUBLIC_SIZE], struct err *err)
{
    scoped(wipe_pair) struct pair pair = { 0 };
    uint8_t public_half[KEM_PUBLIC_SIZE];
    size_t n = MLKEM_PUBLIC_SIZE;
    enum rc rc = grow(seed, &pair, err);

    if (rc != RC_OK)
        return rc;
    if (EVP_PKEY_get_raw_public_key(pair.mlkem, public_half, &n) != 1 || n != MLKEM_PUBLIC_SIZE)
        return err_set(err, RC_CRYPTO, "ML-KEM-768");
    memcpy(public_half + MLKEM_PUBLIC_SIZE, pair.public_x, X25519_SIZE);
    memcpy(ret, public_half, sizeof public_half);
    return RC_OK;
}

static enum rc mlkem_open(EVP_PKEY *key, const uint8_t sealed[MLKEM_SEALED_SIZE], uint8_t ret[32],
                          struct err *err)
{
    scoped(kem_pkey_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    size_t n = 32;

    if (!ctx || EVP_PKEY_decapsulate_init(ctx, NULL) != 1 ||
        EVP_PKEY_decapsulate(ctx, ret, &n, sealed, MLKEM_SEALED_SIZE) != 1 || n != 32)
        return err_set(err, RC_CRYPTO, "ML-KEM-768");
    return RC_OK;
}

enum rc kem_open(const uint8_t seed[KEM_SEED_SIZE], const uint8_t sealed[KEM_SEALED_SIZE],
                 uint8_t ret[KEM_SHARED_SIZE], struct err *err)
{
    scoped(wipe_pair) struct pair pair = { 0 };
    const uint8_t *sealed_x = sealed + MLKEM_SEALED_SIZE;
    uint8_t secrets[2][32];
    enum rc rc = grow(seed, &pair, err);

    if (rc == RC_OK)
        rc = mlkem_open(pair.mlkem, sealed, secrets[0], err);
    if (rc == RC_OK)
        rc = kem_x25519(pair.grown + MLKEM_SEED_SIZE, sealed_x, RC_REKEY_UNWRAP, secrets[1], err);
    if (rc == RC_OK)
        rc = kem_combine(secrets[0], secrets[1], sealed_x, pair.public_x, ret, err);
    crypto_wipe(secrets, sizeof secrets);
    return rc;
}
