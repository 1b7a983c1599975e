/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crypto.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>

#define GCM_PART_MAX ((size_t)1 << 30) /* libcrypto counts in int */

struct sha256 {
    EVP_MD_CTX *md;
};

static enum rc crypto_failed(struct err *err, const char *what)
{
    return err_set(err, RC_CRYPTO, "%s", what);
}

enum rc sha256_new(struct sha256 **ret, struct err *err)
{
    struct sha256 *ctx = calloc(1, sizeof *ctx);

    if (!ctx)
        return err_set(err, RC_NO_MEMORY, "sha256");
    ctx->md = EVP_MD_CTX_new();
    if (!ctx->md || EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL) != 1) {
        sha256_free(&ctx);
        return crypto_failed(err, "sha256");
    }
    *ret = ctx;
    return RC_OK;
}

enum rc sha256_add(struct sha256 *ctx, struct bytes data, struct err *err)
{
    if (data.n > 0 && EVP_DigestUpdate(ctx->md, data.p, data.n) != 1)
        return crypto_failed(err, "sha256");
    return RC_OK;
}

enum rc sha256_end(struct sha256 *ctx, uint8_t ret[32], struct err *err)
{
    if (EVP_DigestFinal_ex(ctx->md, ret, NULL) != 1 ||
        EVP_DigestInit_ex(ctx->md, EVP_sha256(), NULL) != 1)
        return crypto_failed(err, "sha256");
    return RC_OK;
}

void sha256_free(struct sha256 **ctx)
{
    if (!*ctx)
        return;
    EVP_MD_CTX_free((*ctx)->md);
    free(*ctx);
    *ctx = NULL;
}

enum rc sha256_of(struct bytes data, uint8_t ret[32], struct err *err)
{
    if (EVP_Digest(data.n > 0 ? data.p : (const uint8_t *)"", data.n, ret, NULL, EVP_sha256(),
                   NULL) != 1)
        return crypto_failed(err, "sha256");
    return RC_OK;
}

/* Looking algorithms up by name costs more than a short MAC, so each digest has a context ready
 * that is copied.  They live as long as the process, which has one thread. */
static EVP_MAC_CTX *hmac_new(unsigned bits)
{
    static EVP_MAC_CTX *ready[3];
    static const char *const names[3] = { "SHA256", "SHA384", "SHA512" };
    size_t i = (bits - 256) / 128; /* 256, 384 and 512 only */
    char digest[8];

    if (!ready[i]) {
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
        EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

        EVP_MAC_free(mac); /* ctx holds its own reference */
        memcpy(digest, names[i], sizeof "SHA256");

        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
            OSSL_PARAM_construct_end(),
        };

        if (!ctx || EVP_MAC_CTX_set_params(ctx, params) != 1) {
            EVP_MAC_CTX_free(ctx);
            return NULL;
        }
        ready[i] = ctx;
    }
    return EVP_MAC_CTX_dup(ready[i]);
}

static void mac_ctx_free(EVP_MAC_CTX **ctx)
{
    EVP_MAC_CTX_free(*ctx);
}

enum rc crypto_hmac(unsigned bits, struct bytes key, const struct bytes *parts, size_t n_parts,
                    uint8_t *ret, struct err *err)
{
    size_t n = 0;

    if ((bits != 256 && bits != 384 && bits != 512) || key.n == 0)
        return err_set(err, RC_VALUE, "hmac key or size");

    scoped(mac_ctx_free) EVP_MAC_CTX *ctx = hmac_new(bits);

    if (!ctx || EVP_MAC_init(ctx, key.p, key.n, NULL) != 1)
        return crypto_failed(err, "hmac");
    for (size_t i = 0; i < n_parts; i++)
        if (parts[i].n > 0 && EVP_MAC_update(ctx, parts[i].p, parts[i].n) != 1)
            return crypto_failed(err, "hmac");
    if (EVP_MAC_final(ctx, ret, &n, bits / 8) != 1 || n != bits / 8)
        return crypto_failed(err, "hmac");
    return RC_OK;
}

static void cipher_ctx_free(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

/* Key, IV and associated data: the same for both directions. */
static enum rc gcm_begin(EVP_CIPHER_CTX *ctx, struct bytes key, const uint8_t *iv, struct bytes aad,
                         int seal, struct err *err)
{
    const EVP_CIPHER *cipher = key.n == 32 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
    int n = 0;

    if (key.n != 16 && key.n != 32)
        return err_set(err, RC_VALUE, "gcm key size");
    if (aad.n > GCM_PART_MAX)
        return err_set(err, RC_TOO_LARGE, "gcm aad");
    if (!ctx || EVP_CipherInit_ex2(ctx, cipher, key.p, iv, seal, NULL) != 1)
        return crypto_failed(err, "gcm");
    if (aad.n > 0 && EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1)
        return crypto_failed(err, "gcm");
    return RC_OK;
}

enum rc crypto_gcm_seal(struct bytes key, const uint8_t iv[12], struct bytes aad,
                        struct bytes plain, uint8_t *out, uint8_t ret_tag[16], struct err *err)
{
    scoped(cipher_ctx_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t none[1];
    int n = 0;
    enum rc rc = plain.n > GCM_PART_MAX ? err_set(err, RC_TOO_LARGE, "gcm input")
                                        : gcm_begin(ctx, key, iv, aad, 1, err);

    if (rc != RC_OK)
        return rc;
    if ((plain.n > 0 && EVP_CipherUpdate(ctx, out, &n, plain.p, (int)plain.n) != 1) ||
        EVP_CipherFinal_ex(ctx, none, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_SIZE, ret_tag) != 1)
        return crypto_failed(err, "gcm seal");
    return RC_OK;
}

enum rc crypto_gcm_open(struct bytes key, const uint8_t iv[12], struct bytes aad,
                        struct bytes sealed, const uint8_t tag[16], uint8_t *out, struct err *err)
{
    scoped(cipher_ctx_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t expected[GCM_TAG_SIZE];
    uint8_t none[1];
    int n = 0;
    enum rc rc = sealed.n > GCM_PART_MAX ? err_set(err, RC_TOO_LARGE, "gcm input")
                                         : gcm_begin(ctx, key, iv, aad, 0, err);

    if (rc != RC_OK)
        return rc;
    memcpy(expected, tag, sizeof expected);
    if ((sealed.n > 0 && EVP_CipherUpdate(ctx, out, &n, sealed.p, (int)sealed.n) != 1) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_SIZE, expected) != 1) {
        crypto_wipe(out, sealed.n);
        return crypto_failed(err, "gcm open");
    }
    if (EVP_CipherFinal_ex(ctx, none, &n) != 1) {
        crypto_wipe(out, sealed.n); /* nobody may see plaintext that was not authentic */
        return err_set(err, RC_BPSEC_AUTH, "gcm tag");
    }
    return RC_OK;
}

/* RFC 3394 in either direction; a wrong KEK is only visible when unwrapping. */
static enum rc wrap(struct bytes kek, struct bytes in, uint8_t *out, size_t n_out, int seal,
                    struct err *err)
{
    scoped(cipher_ctx_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const EVP_CIPHER *cipher = kek.n == 32 ? EVP_aes_256_wrap() : EVP_aes_128_wrap();
    uint8_t buf[128];
    int n = 0;

    if ((kek.n != 16 && kek.n != 32) || in.n < 16 || in.n > 72 || in.n % 8 != 0)
        return err_set(err, RC_VALUE, "key wrap size");
    if (!ctx)
        return crypto_failed(err, "key wrap");
    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    if (EVP_CipherInit_ex2(ctx, cipher, kek.p, NULL, seal, NULL) != 1)
        return crypto_failed(err, "key wrap");

    bool done = EVP_CipherUpdate(ctx, buf, &n, in.p, (int)in.n) == 1 && n == (int)n_out;

    if (done)
        memcpy(out, buf, n_out);
    crypto_wipe(buf, sizeof buf);
    if (!done)
        return seal ? crypto_failed(err, "key wrap") : err_set(err, RC_BPSEC_AUTH, "key unwrap");
    return RC_OK;
}

enum rc crypto_wrap(struct bytes kek, struct bytes key, uint8_t *ret_wrapped, struct err *err)
{
    return wrap(kek, key, ret_wrapped, key.n + 8, 1, err);
}

enum rc crypto_unwrap(struct bytes kek, struct bytes wrapped, uint8_t *ret_key, struct err *err)
{
    if (wrapped.n < 24)
        return err_set(err, RC_VALUE, "wrapped key size");
    return wrap(kek, wrapped, ret_key, wrapped.n - 8, 0, err);
}

enum rc crypto_hkdf(struct bytes key, struct bytes salt, const char *info, uint8_t *ret, size_t n,
                    struct err *err)
{
    static const struct {
        uint8_t b[32];
    } zero_salt = { { 0 } }; /* RFC 5869 section 2.2 */
    uint8_t prk[32];
    uint8_t block[32];
    struct bytes context = bytes_of(info);
    size_t done = 0;

    if (salt.n == 0)
        salt = (struct bytes){ .p = zero_salt.b, .n = sizeof zero_salt.b };
    if (n > 255U * sizeof block || key.n == 0)
        return err_set(err, RC_VALUE, "hkdf size");

    enum rc rc = crypto_hmac(256, salt, &key, 1, prk, err);

    for (uint8_t i = 1; rc == RC_OK && done < n; i++) {
        const struct bytes parts[] = {
            { .p = block, .n = i == 1 ? 0 : sizeof block },
            context,
            { .p = &i, .n = 1 },
        };
        size_t take = n - done < sizeof block ? n - done : sizeof block;

        rc = crypto_hmac(256, (struct bytes){ .p = prk, .n = sizeof prk }, parts, 3, block, err);
        if (rc == RC_OK)
            memcpy(ret + done, block, take);
        done += take;
    }
    crypto_wipe(prk, sizeof prk);
    crypto_wipe(block, sizeof block);
    return rc;
}

static void need_sodium(void)
{
    int got = sodium_init(); /* 1 = was done before */

    assert(got >= 0);
}

enum rc crypto_ed25519_verify(const uint8_t key[32], struct bytes message, struct bytes signature,
                              struct err *err)
{
    need_sodium();
    if (signature.n != ED25519_SIGNATURE_SIZE ||
        crypto_sign_verify_detached(signature.p, message.p, message.n, key) != 0)
        return err_set(err, RC_SIG_BAD, "Ed25519");
    return RC_OK;
}

static void pkey_free(EVP_PKEY **key)
{
    EVP_PKEY_free(*key);
}

static void md_ctx_free(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

enum rc crypto_mldsa65_verify(const uint8_t key[1952], struct bytes message, struct bytes signature,
                              struct err *err)
{
    if (signature.n != MLDSA65_SIGNATURE_SIZE)
        return err_set(err, RC_SIG_BAD, "ML-DSA-65 size");

    scoped(pkey_free) EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key_ex(NULL, "ML-DSA-65", NULL, key, MLDSA65_PUBLIC_SIZE);
    scoped(md_ctx_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!pkey || !ctx || EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) != 1)
        return crypto_failed(err, "ML-DSA-65");
    if (EVP_DigestVerify(ctx, signature.p, signature.n, message.p, message.n) != 1)
        return err_set(err, RC_SIG_BAD, "ML-DSA-65");
    return RC_OK;
}

bool crypto_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}

void crypto_random(uint8_t *ret, size_t n)
{
    need_sodium();
    randombytes_buf(ret, n);
}

void crypto_wipe(void *p, size_t n)
{
    if (n > 0)
        sodium_memzero(p, n);
}
