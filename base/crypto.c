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
#define KEPT_MAX 4U                    /* of one link: two for each direction */
#define KEPT_KEY_MAX 64U
#define KEPT_USES 1024U /* then made anew: a bit that flipped in it does not stay for good */

/* Both are one digest context of libcrypto; two types, so that neither is taken for the other. */
struct sha256 {
    EVP_MD_CTX *md;
};

struct sha384 {
    EVP_MD_CTX *md;
};

static enum rc crypto_failed(struct err *err, const char *what)
{
    return err_set(err, RC_CRYPTO, "%s", what);
}

/* What libcrypto names by a constant it looks up by name at each use, which costs more than a short
 * digest: so it is looked up once.  That lives as long as the process, which has one thread. */
static const EVP_MD *md_sha256(void)
{
    static EVP_MD *found;

    if (!found)
        found = EVP_MD_fetch(NULL, "SHA256", NULL);
    return found ? found : EVP_sha256();
}

static const EVP_MD *md_sha384(void)
{
    static EVP_MD *found;

    if (!found)
        found = EVP_MD_fetch(NULL, "SHA384", NULL);
    return found ? found : EVP_sha384();
}

static const EVP_CIPHER *cipher_gcm(size_t key_n)
{
    static EVP_CIPHER *found[2];
    const size_t i = key_n == 32;

    if (!found[i])
        found[i] = EVP_CIPHER_fetch(NULL, i == 1 ? "AES-256-GCM" : "AES-128-GCM", NULL);
    if (found[i])
        return found[i];
    return i == 1 ? EVP_aes_256_gcm() : EVP_aes_128_gcm();
}

static enum rc md_begin(EVP_MD_CTX **ret, const EVP_MD *type, struct err *err)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    if (!md || EVP_DigestInit_ex(md, type, NULL) != 1) {
        EVP_MD_CTX_free(md);
        return crypto_failed(err, "digest");
    }
    *ret = md;
    return RC_OK;
}

static enum rc md_add(EVP_MD_CTX *md, struct bytes data, struct err *err)
{
    if (data.n > 0 && EVP_DigestUpdate(md, data.p, data.n) != 1)
        return crypto_failed(err, "digest");
    return RC_OK;
}

/* The result, and begin anew. */
static enum rc md_end(EVP_MD_CTX *md, const EVP_MD *type, uint8_t *ret, struct err *err)
{
    if (EVP_DigestFinal_ex(md, ret, NULL) != 1 || EVP_DigestInit_ex(md, type, NULL) != 1)
        return crypto_failed(err, "digest");
    return RC_OK;
}

static enum rc md_of(struct bytes data, const EVP_MD *type, uint8_t *ret, struct err *err)
{
    if (EVP_Digest(data.n > 0 ? data.p : (const uint8_t *)"", data.n, ret, NULL, type, NULL) != 1)
        return crypto_failed(err, "digest");
    return RC_OK;
}

enum rc sha256_new(struct sha256 **ret, struct err *err)
{
    struct sha256 *ctx = calloc(1, sizeof *ctx);
    enum rc rc = ctx ? md_begin(&ctx->md, md_sha256(), err) : err_set(err, RC_NO_MEMORY, "sha256");

    if (rc == RC_OK)
        *ret = ctx;
    else
        free(ctx);
    return rc;
}

enum rc sha256_add(struct sha256 *ctx, struct bytes data, struct err *err)
{
    return md_add(ctx->md, data, err);
}

enum rc sha256_add_part(struct sha256 *ctx, struct bytes data, struct err *err)
{
    uint8_t size[8];

    for (size_t i = 0; i < sizeof size; i++)
        size[i] = (uint8_t)((uint64_t)data.n >> (8U * i));
    enum rc rc = sha256_add(ctx, (struct bytes){ size, sizeof size }, err);

    return rc == RC_OK ? sha256_add(ctx, data, err) : rc;
}

enum rc sha256_end(struct sha256 *ctx, uint8_t ret[32], struct err *err)
{
    return md_end(ctx->md, md_sha256(), ret, err);
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
    return md_of(data, md_sha256(), ret, err);
}

enum rc sha384_new(struct sha384 **ret, struct err *err)
{
    struct sha384 *ctx = calloc(1, sizeof *ctx);
    enum rc rc = ctx ? md_begin(&ctx->md, md_sha384(), err) : err_set(err, RC_NO_MEMORY, "sha384");

    if (rc == RC_OK)
        *ret = ctx;
    else
        free(ctx);
    return rc;
}

enum rc sha384_add(struct sha384 *ctx, struct bytes data, struct err *err)
{
    return md_add(ctx->md, data, err);
}

enum rc sha384_end(struct sha384 *ctx, uint8_t ret[48], struct err *err)
{
    return md_end(ctx->md, md_sha384(), ret, err);
}

void sha384_free(struct sha384 **ctx)
{
    if (!*ctx)
        return;
    EVP_MD_CTX_free((*ctx)->md);
    free(*ctx);
    *ctx = NULL;
}

enum rc sha384_of(struct bytes data, uint8_t ret[48], struct err *err)
{
    return md_of(data, md_sha384(), ret, err);
}

/* For the same reason each digest of a MAC has a context ready that is copied. */
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

/* ctx has its key. */
static enum rc hmac_of(EVP_MAC_CTX *ctx, unsigned bits, const struct bytes *parts, size_t n_parts,
                       uint8_t *ret, struct err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < n_parts; i++)
        if (parts[i].n > 0 && EVP_MAC_update(ctx, parts[i].p, parts[i].n) != 1)
            return crypto_failed(err, "hmac");
    if (EVP_MAC_final(ctx, ret, &n, bits / 8) != 1 || n != bits / 8)
        return crypto_failed(err, "hmac");
    return RC_OK;
}

enum rc crypto_hmac(unsigned bits, struct bytes key, const struct bytes *parts, size_t n_parts,
                    uint8_t *ret, struct err *err)
{
    if ((bits != 256 && bits != 384 && bits != 512) || key.n == 0)
        return err_set(err, RC_VALUE, "hmac key or size");

    scoped(mac_ctx_free) EVP_MAC_CTX *ctx = hmac_new(bits);

    if (!ctx || EVP_MAC_init(ctx, key.p, key.n, NULL) != 1)
        return crypto_failed(err, "hmac");
    return hmac_of(ctx, bits, parts, n_parts, ret, err);
}

static void cipher_ctx_free(EVP_CIPHER_CTX **ctx)
{
    EVP_CIPHER_CTX_free(*ctx);
}

/* Key and IV: the same for both directions. */
static enum rc gcm_key(EVP_CIPHER_CTX *ctx, struct bytes key, struct bytes iv, int seal,
                       struct err *err)
{
    const EVP_CIPHER *cipher = cipher_gcm(key.n);

    if (key.n != 16 && key.n != 32)
        return err_set(err, RC_VALUE, "gcm key size");
    if (iv.n < GCM_IV_MIN || iv.n > GCM_IV_MAX)
        return err_set(err, RC_VALUE, "gcm iv size");
    /* The length of the IV is set between the cipher and the IV; 12 needs no setting. */
    if (!ctx || (iv.n != GCM_IV_SIZE &&
                 (EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, seal, NULL) != 1 ||
                  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv.n, NULL) != 1)))
        return crypto_failed(err, "gcm");
    if (EVP_CipherInit_ex2(ctx, iv.n == GCM_IV_SIZE ? cipher : NULL, key.p, iv.p, seal, NULL) != 1)
        return crypto_failed(err, "gcm");
    return RC_OK;
}

/* ctx has its key and IV. */
static enum rc gcm_seal_text(EVP_CIPHER_CTX *ctx, struct bytes aad, struct bytes plain,
                             uint8_t *out, uint8_t ret_tag[16], struct err *err)
{
    uint8_t none[1];
    int n = 0;

    if (plain.n > GCM_PART_MAX || aad.n > GCM_PART_MAX)
        return err_set(err, RC_TOO_LARGE, "gcm input");
    if ((aad.n > 0 && EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1) ||
        (plain.n > 0 && EVP_CipherUpdate(ctx, out, &n, plain.p, (int)plain.n) != 1) ||
        EVP_CipherFinal_ex(ctx, none, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_SIZE, ret_tag) != 1)
        return crypto_failed(err, "gcm seal");
    return RC_OK;
}

/* ctx has its key and IV. */
static enum rc gcm_open_text(EVP_CIPHER_CTX *ctx, struct bytes aad, struct bytes sealed,
                             const uint8_t tag[16], uint8_t *out, struct err *err)
{
    uint8_t expected[GCM_TAG_SIZE];
    uint8_t none[1];
    int n = 0;

    if (sealed.n > GCM_PART_MAX || aad.n > GCM_PART_MAX)
        return err_set(err, RC_TOO_LARGE, "gcm input");
    if (aad.n > 0 && EVP_CipherUpdate(ctx, NULL, &n, aad.p, (int)aad.n) != 1)
        return crypto_failed(err, "gcm");
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

enum rc crypto_gcm_seal_iv(struct bytes key, struct bytes iv, struct bytes aad, struct bytes plain,
                           uint8_t *out, uint8_t ret_tag[16], struct err *err)
{
    scoped(cipher_ctx_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    enum rc rc = gcm_key(ctx, key, iv, 1, err);

    return rc == RC_OK ? gcm_seal_text(ctx, aad, plain, out, ret_tag, err) : rc;
}

enum rc crypto_gcm_open_iv(struct bytes key, struct bytes iv, struct bytes aad, struct bytes sealed,
                           const uint8_t tag[16], uint8_t *out, struct err *err)
{
    scoped(cipher_ctx_free) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    enum rc rc = gcm_key(ctx, key, iv, 0, err);

    return rc == RC_OK ? gcm_open_text(ctx, aad, sealed, tag, out, err) : rc;
}

/* ---- keys that stay ready ---- */

enum kept_use { KEPT_NONE, KEPT_SEAL, KEPT_OPEN, KEPT_256 = 256, KEPT_384 = 384, KEPT_512 = 512 };

/* One key and one use of it, with the context that has taken it. */
struct kept {
    enum kept_use use; /* KEPT_NONE = empty */
    size_t n;
    uint8_t key[KEPT_KEY_MAX];
    EVP_MAC_CTX *mac;
    EVP_CIPHER_CTX *cipher;
    uint64_t turn; /* of the last use */
    unsigned uses;
};

static struct kept kept[KEPT_MAX];

static void kept_drop(struct kept *k)
{
    EVP_MAC_CTX_free(k->mac); /* both clear what they hold */
    EVP_CIPHER_CTX_free(k->cipher);
    crypto_wipe(k, sizeof *k);
}

void crypto_forget(void)
{
    for (size_t i = 0; i < KEPT_MAX; i++)
        kept_drop(&kept[i]);
}

/* Have a fresh context take the key. */
static bool kept_init(struct kept *k, enum kept_use use, struct bytes key)
{
    if (use >= KEPT_256) {
        k->mac = hmac_new((unsigned)use);
        return k->mac && EVP_MAC_init(k->mac, key.p, key.n, NULL) == 1;
    }
    k->cipher = EVP_CIPHER_CTX_new();
    return k->cipher && EVP_CipherInit_ex2(k->cipher, cipher_gcm(key.n), key.p, NULL,
                                           use == KEPT_SEAL, NULL) == 1;
}

/* The entry of this key, made in place of the one that was used longest ago; NULL when libcrypto
 * fails. */
static struct kept *kept_find(enum kept_use use, struct bytes key)
{
    static uint64_t turn;
    struct kept *oldest = &kept[0];

    turn++;
    for (size_t i = 0; i < KEPT_MAX; i++) {
        struct kept *k = &kept[i];

        if (k->use == use && crypto_equal((struct bytes){ .p = k->key, .n = k->n }, key)) {
            k->turn = turn;
            if (k->uses++ < KEPT_USES)
                return k;
            oldest = k;
            break;
        }
        if (k->turn < oldest->turn)
            oldest = k;
    }
    kept_drop(oldest);
    if (!kept_init(oldest, use, key)) {
        kept_drop(oldest);
        return NULL;
    }
    oldest->use = use;
    oldest->turn = turn;
    oldest->n = key.n;
    memcpy(oldest->key, key.p, key.n);
    return oldest;
}

/* One whose context failed may be in any state; and a tag that does not fit may be its fault. */
static enum rc kept_after(struct kept *k, enum rc rc)
{
    if (rc == RC_CRYPTO || rc == RC_BPSEC_AUTH)
        kept_drop(k);
    return rc;
}

enum rc crypto_hmac_kept(unsigned bits, struct bytes key, const struct bytes *parts, size_t n_parts,
                         uint8_t *ret, struct err *err)
{
    struct kept *k;

    if ((bits != 256 && bits != 384 && bits != 512) || key.n == 0 || key.n > KEPT_KEY_MAX)
        return crypto_hmac(bits, key, parts, n_parts, ret, err);
    k = kept_find((enum kept_use)bits, key);
    if (!k)
        return crypto_failed(err, "hmac");
    if (EVP_MAC_init(k->mac, NULL, 0, NULL) != 1)
        return kept_after(k, crypto_failed(err, "hmac"));
    return kept_after(k, hmac_of(k->mac, bits, parts, n_parts, ret, err));
}

/* The context of this key with this IV. */
static enum rc kept_cipher(enum kept_use use, struct bytes key, struct bytes iv, struct kept **ret,
                           struct err *err)
{
    struct kept *k = kept_find(use, key);

    if (!k)
        return crypto_failed(err, "gcm");
    if (EVP_CipherInit_ex2(k->cipher, NULL, NULL, iv.p, use == KEPT_SEAL, NULL) != 1)
        return kept_after(k, crypto_failed(err, "gcm"));
    *ret = k;
    return RC_OK;
}

enum rc crypto_gcm_seal_kept(struct bytes key, struct bytes iv, struct bytes aad,
                             struct bytes plain, uint8_t *out, uint8_t ret_tag[16], struct err *err)
{
    struct kept *k = NULL;
    enum rc rc;

    if ((key.n != 16 && key.n != 32) || iv.n != GCM_IV_SIZE)
        return crypto_gcm_seal_iv(key, iv, aad, plain, out, ret_tag, err);
    rc = kept_cipher(KEPT_SEAL, key, iv, &k, err);
    return rc == RC_OK ? kept_after(k, gcm_seal_text(k->cipher, aad, plain, out, ret_tag, err))
                       : rc;
}

enum rc crypto_gcm_open_kept(struct bytes key, struct bytes iv, struct bytes aad,
                             struct bytes sealed, const uint8_t tag[16], uint8_t *out,
                             struct err *err)
{
    struct kept *k = NULL;
    enum rc rc;

    if ((key.n != 16 && key.n != 32) || iv.n != GCM_IV_SIZE)
        return crypto_gcm_open_iv(key, iv, aad, sealed, tag, out, err);
    rc = kept_cipher(KEPT_OPEN, key, iv, &k, err);
    return rc == RC_OK ? kept_after(k, gcm_open_text(k->cipher, aad, sealed, tag, out, err)) : rc;
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

/* RFC 5869 section 2.3. */
static enum rc hkdf_expand(unsigned bits, struct bytes prk, struct bytes info, uint8_t *ret,
                           size_t n, struct err *err)
{
    uint8_t block[64];
    size_t size = bits / 8;
    size_t done = 0;
    enum rc rc = RC_OK;

    for (uint8_t i = 1; rc == RC_OK && done < n; i++) {
        const struct bytes parts[] = {
            { .p = block, .n = i == 1 ? 0 : size },
            info,
            { .p = &i, .n = 1 },
        };
        size_t take = n - done < size ? n - done : size;

        rc = crypto_hmac(bits, prk, parts, 3, block, err);
        if (rc == RC_OK)
            memcpy(ret + done, block, take);
        done += take;
    }
    crypto_wipe(block, sizeof block);
    return rc;
}

enum rc crypto_hkdf_bits(unsigned bits, struct bytes key, struct bytes salt, struct bytes info,
                         uint8_t *ret, size_t n, struct err *err)
{
    static const struct {
        uint8_t b[64];
    } zero_salt = { { 0 } }; /* RFC 5869 section 2.2 */
    uint8_t prk[64];

    if (bits > 512 || n > (size_t)255 * (bits / 8) || key.n == 0)
        return err_set(err, RC_VALUE, "hkdf size");
    if (salt.n == 0)
        salt = (struct bytes){ .p = zero_salt.b, .n = bits / 8 };

    enum rc rc = crypto_hmac(bits, salt, &key, 1, prk, err);

    if (rc == RC_OK)
        rc = hkdf_expand(bits, (struct bytes){ .p = prk, .n = bits / 8 }, info, ret, n, err);
    crypto_wipe(prk, sizeof prk);
    return rc;
}

enum rc crypto_hkdf(struct bytes key, struct bytes salt, const char *info, uint8_t *ret, size_t n,
                    struct err *err)
{
    return crypto_hkdf_bits(256, key, salt, bytes_of(info), ret, n, err);
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

/* One parameter set of FIPS 204, by libcrypto's name. */
static enum rc mldsa_verify(const char *name, const uint8_t *key, size_t key_size,
                            struct bytes message, struct bytes signature, struct err *err)
{
    scoped(pkey_free) EVP_PKEY *pkey =
        EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, key, key_size);
    scoped(md_ctx_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!pkey || !ctx || EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, pkey, NULL) != 1)
        return crypto_failed(err, name);
    if (EVP_DigestVerify(ctx, signature.p, signature.n, message.p, message.n) != 1)
        return err_set(err, RC_SIG_BAD, "%s", name);
    return RC_OK;
}

enum rc crypto_mldsa65_verify(const uint8_t key[1952], struct bytes message, struct bytes signature,
                              struct err *err)
{
    if (signature.n != MLDSA65_SIGNATURE_SIZE)
        return err_set(err, RC_SIG_BAD, "ML-DSA-65 size");
    return mldsa_verify("ML-DSA-65", key, MLDSA65_PUBLIC_SIZE, message, signature, err);
}

enum rc crypto_mldsa87_verify(const uint8_t key[2592], struct bytes message, struct bytes signature,
                              struct err *err)
{
    if (signature.n != MLDSA87_SIGNATURE_SIZE)
        return err_set(err, RC_SIG_BAD, "ML-DSA-87 size");
    return mldsa_verify("ML-DSA-87", key, MLDSA87_PUBLIC_SIZE, message, signature, err);
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
