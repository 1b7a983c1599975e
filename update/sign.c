/* SPDX-License-Identifier: Apache-2.0 */
#include "update/sign.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/crypto.h"

#define HALF_SEED_SIZE 32U
#define HEADER_MAX 32U

static_assert(sizeof((struct sign_sealed *)0)->salt == crypto_pwhash_SALTBYTES, "Argon2id salt");
static_assert(sizeof((struct sign_sealed *)0)->nonce ==
                  crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
              "XChaCha20 nonce");
static_assert(sizeof((struct sign_sealed *)0)->box ==
                  SIGN_SEEDS_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES,
              "box");
static_assert(SIGN_SEEDS_SIZE == 2 * HALF_SEED_SIZE, "two seeds");
static_assert(crypto_sign_SEEDBYTES == HALF_SEED_SIZE, "Ed25519 seed");

/* Lives in guarded memory. */
struct secrets {
    uint8_t seeds[SIGN_SEEDS_SIZE];
    uint8_t ed25519[crypto_sign_SECRETKEYBYTES];
};

struct sign_key {
    struct public_key public;
    struct secrets *secrets; /* NULL when it signs elsewhere */
    EVP_PKEY *mldsa65;
    struct sign_elsewhere elsewhere;
};

static enum rc need_sodium(struct err *err)
{
    return sodium_init() < 0 ? err_set(err, RC_CRYPTO, "libsodium") : RC_OK;
}

/* Scope cleaner of guarded memory, which is wiped as it is freed. */
static void secret_free(void *p)
{
    void **secret = p;

    sodium_free(*secret);
    *secret = NULL;
}

static void param_ctx_free(EVP_PKEY_CTX **ctx)
{
    EVP_PKEY_CTX_free(*ctx);
}

static void md_ctx_free(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}

/* ---- keys ---- */

static enum rc grow_ed25519(struct sign_key *key, struct err *err)
{
    if (crypto_sign_seed_keypair(key->public.ed25519, key->secrets->ed25519, key->secrets->seeds) !=
        0)
        return err_set(err, RC_CRYPTO, "Ed25519 key");
    return RC_OK;
}

/* FIPS 204 algorithm 6 from xi: OpenSSL takes the seed as a key parameter. */
static enum rc grow_mldsa65(struct sign_key *key, struct err *err)
{
    scoped(param_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "ML-DSA-65", NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_DSA_SEED,
                                          key->secrets->seeds + HALF_SEED_SIZE, HALF_SEED_SIZE),
        OSSL_PARAM_construct_end(),
    };
    size_t n = sizeof key->public.mldsa65;

    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key->mldsa65, EVP_PKEY_KEYPAIR, params) != 1 ||
        EVP_PKEY_get_raw_public_key(key->mldsa65, key->public.mldsa65, &n) != 1 ||
        n != sizeof key->public.mldsa65)
        return err_set(err, RC_CRYPTO, "ML-DSA-65 key");
    return RC_OK;
}

/* A key whose seeds are not filled in yet. */
static enum rc key_alloc(struct sign_key **ret, struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = need_sodium(err);
    if (rc != RC_OK)
        return rc;
    key = calloc(1, sizeof *key);
    if (!key)
        return err_set(err, RC_NO_MEMORY, "key");
    key->secrets = sodium_malloc(sizeof *key->secrets);
    if (!key->secrets)
        return err_sys(err, RC_NO_MEMORY, "guarded memory");
    key->public.suite = SUITE_ED25519_MLDSA65;
    *ret = key;
    key = NULL;
    return RC_OK;
}

static enum rc key_grow(struct sign_key *key, struct err *err)
{
    enum rc rc = grow_ed25519(key, err);

    if (rc == RC_OK)
        rc = grow_mldsa65(key, err);
    if (rc == RC_OK)
        rc = public_key_id(&key->public, key->public.id, err);
    return rc;
}

enum rc sign_key_new(struct sign_key **ret, struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = key_alloc(&key, err);
    if (rc != RC_OK)
        return rc;
    crypto_random(key->secrets->seeds, sizeof key->secrets->seeds);
    rc = key_grow(key, err);
    if (rc != RC_OK)
        return rc;
    *ret = key;
    key = NULL;
    return RC_OK;
}

enum rc sign_key_from_seeds(const uint8_t seeds[SIGN_SEEDS_SIZE], struct sign_key **ret,
                            struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = key_alloc(&key, err);
    if (rc != RC_OK)
        return rc;
    memcpy(key->secrets->seeds, seeds, SIGN_SEEDS_SIZE);
    rc = key_grow(key, err);
    if (rc != RC_OK)
        return rc;
    *ret = key;
    key = NULL;
    return RC_OK;
}

enum rc sign_key_elsewhere(const struct public_key *public, const struct sign_elsewhere *elsewhere,
                           struct sign_key **ret, struct err *err)
{
    struct sign_key *key;

    if (elsewhere->rest && !elsewhere->rest->secrets)
        return err_set(err, RC_KEY_FILE, "the ML-DSA half is elsewhere, too");
    key = calloc(1, sizeof *key);
    if (!key)
        return err_set(err, RC_NO_MEMORY, "key");
    key->public = *public;
    key->elsewhere = *elsewhere;
    *ret = key;
    return RC_OK;
}

/* Without what it has elsewhere. */
static void free_own(struct sign_key *key)
{
    sodium_free(key->secrets);
    EVP_PKEY_free(key->mldsa65);
    free(key);
}

void sign_key_free(struct sign_key **key)
{
    if (!*key)
        return;
    if ((*key)->elsewhere.done)
        (*key)->elsewhere.done((*key)->elsewhere.arg);
    if ((*key)->elsewhere.rest)
        free_own((*key)->elsewhere.rest);
    free_own(*key);
    *key = NULL;
}

const struct public_key *sign_key_public(const struct sign_key *key)
{
    return &key->public;
}

/* ---- sealing ---- */

/* The key that a passphrase stands for, in guarded memory; free with secret_free. */
static enum rc passphrase_key(struct bytes passphrase, const uint8_t salt[SIGN_SALT_SIZE],
                              uint8_t **ret, struct err *err)
{
    scoped(secret_free) uint8_t *key = NULL;

    enum rc rc = need_sodium(err);
    if (rc != RC_OK)
        return rc;
    if (passphrase.n == 0)
        return err_set(err, RC_KEY_FILE, "empty passphrase");
    key = sodium_malloc(crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
    if (!key)
        return err_sys(err, RC_NO_MEMORY, "guarded memory");
    if (crypto_pwhash(key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES, (const char *)passphrase.p,
                      passphrase.n, salt, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                      crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return err_sys(err, RC_NO_MEMORY, "Argon2id");
    *ret = key;
    key = NULL;
    return RC_OK;
}

enum rc sign_key_seal(const struct sign_key *key, struct bytes passphrase, struct bytes ad,
                      struct sign_sealed *ret, struct err *err)
{
    scoped(secret_free) uint8_t *kek = NULL;
    struct sign_sealed sealed = { 0 };

    crypto_random(sealed.salt, sizeof sealed.salt);
    crypto_random(sealed.nonce, sizeof sealed.nonce);
    if (!key->secrets)
        return err_set(err, RC_KEY_FILE, "the private halves are elsewhere");

    enum rc rc = passphrase_key(passphrase, sealed.salt, &kek, err);
    if (rc != RC_OK)
        return rc;
    if (crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.box, NULL, key->secrets->seeds,
                                                   sizeof key->secrets->seeds, ad.p, ad.n, NULL,
                                                   sealed.nonce, kek) != 0)
        return err_set(err, RC_CRYPTO, "XChaCha20-Poly1305");
    *ret = sealed;
    return RC_OK;
}

enum rc sign_key_open(const struct sign_sealed *sealed, struct bytes passphrase, struct bytes ad,
                      struct sign_key **ret, struct err *err)
{
    scoped(secret_free) uint8_t *kek = NULL;
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = passphrase_key(passphrase, sealed->salt, &kek, err);
    if (rc == RC_OK)
        rc = key_alloc(&key, err);
    if (rc != RC_OK)
        return rc;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(key->secrets->seeds, NULL, NULL, sealed->box,
                                                   sizeof sealed->box, ad.p, ad.n, sealed->nonce,
                                                   kek) != 0)
        return err_set(err, RC_KEY_FILE, "wrong passphrase, or the file is damaged");
    rc = key_grow(key, err);
    if (rc != RC_OK)
        return rc;
    *ret = key;
    key = NULL;
    return RC_OK;
}

/* ---- signing ---- */

static enum rc sign_ed25519(const struct sign_key *key, struct bytes message, uint8_t *ret,
                            struct err *err)
{
    if (crypto_sign_detached(ret, NULL, message.p, message.n, key->secrets->ed25519) != 0)
        return err_set(err, RC_CRYPTO, "Ed25519");
    return RC_OK;
}

/* Pure ML-DSA, empty context, hedged (FIPS 204 algorithm 2). */
static enum rc sign_mldsa65(const struct sign_key *key, struct bytes message, uint8_t *ret,
                            struct err *err)
{
    scoped(md_ctx_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = MLDSA65_SIGNATURE_SIZE;

    if (!ctx || EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->mldsa65, NULL) != 1 ||
        EVP_DigestSign(ctx, ret, &n, message.p, message.n) != 1 || n != MLDSA65_SIGNATURE_SIZE)
        return err_set(err, RC_CRYPTO, "ML-DSA-65");
    return RC_OK;
}

static enum rc verify_ed25519(const struct public_key *key, struct bytes message,
                              struct bytes signature, struct err *err)
{
    return crypto_ed25519_verify(key->ed25519, message, signature, err);
}

static enum rc verify_mldsa65(const struct public_key *key, struct bytes message,
                              struct bytes signature, struct err *err)
{
    return crypto_mldsa65_verify(key->mldsa65, message, signature, err);
}

/* The halves of the suite, in the order in which they stand in an envelope. */
static const struct half {
    int64_t algorithm;
    size_t size;
    const char *name;
    enum rc (*verify)(const struct public_key *key, struct bytes message, struct bytes signature,
                      struct err *err);
    enum rc (*sign)(const struct sign_key *key, struct bytes message, uint8_t *ret,
                    struct err *err);
} halves[] = {
    { COSE_ALG_ED25519, ED25519_SIGNATURE_SIZE, "ed25519", verify_ed25519, sign_ed25519 },
    { COSE_ALG_MLDSA65, MLDSA65_SIGNATURE_SIZE, "ml-dsa-65", verify_mldsa65, sign_mldsa65 },
};

#define HALVES (sizeof halves / sizeof halves[0])

/* An envelope being put together, and the memory that its new entries point to. */
struct job {
    enum doc_type type;
    const struct mission *mission;
    struct envelope envelope;
    uint8_t *message;
    size_t message_cap;
    uint8_t body_header[HEADER_MAX];
    uint8_t entry_header[HALVES][HEADER_MAX];
    uint8_t signature[ENVELOPE_SIGNATURES_MAX][MLDSA65_SIGNATURE_SIZE];
};

static void job_free(struct job **job)
{
    if (*job)
        free((*job)->message);
    free(*job);
    *job = NULL;
}

static enum rc job_new(enum doc_type type, const struct mission *mission,
                       const struct envelope *start, struct job **ret, struct err *err)
{
    scoped(job_free) struct job *job = calloc(1, sizeof *job);

    if (!job)
        return err_set(err, RC_NO_MEMORY, "signing");
    job->type = type;
    job->mission = mission;
    job->envelope = *start;
    job->message_cap = start->payload.n + ENVELOPE_TO_SIGN_EXTRA;
    job->message = malloc(job->message_cap);
    if (!job->message)
        return err_set(err, RC_NO_MEMORY, "signing");
    *ret = job;
    job = NULL;
    return RC_OK;
}

static bool has_signed(const struct envelope *e, const struct public_key *key)
{
    for (uint32_t i = 0; i < e->n; i++) {
        if (bytes_equal(e->signature[i].key_id, (struct bytes){ key->id, sizeof key->id }))
            return true;
    }
    return false;
}

/* By the key itself, or wherever its private half is; that place is believed nothing. */
static enum rc make_half(const struct half *half, const struct sign_key *key, struct bytes message,
                         uint8_t *ret, struct err *err)
{
    const struct sign_key *rest = key->elsewhere.rest;
    struct err ignored;
    enum rc rc;

    if (!key->elsewhere.sign)
        return half->sign(key, message, ret, err);
    if (rest && half->algorithm == COSE_ALG_MLDSA65)
        rc = half->sign(rest, message, ret, err);
    else
        rc = key->elsewhere.sign(key->elsewhere.arg, half->name, message, ret, half->size, err);
    if (rc == RC_OK &&
        half->verify(&key->public, message, (struct bytes){ ret, half->size }, &ignored) != RC_OK)
        rc = err_set(err, RC_SIG_BAD, "signer: %s half is not of this key", half->name);
    return rc;
}

/* Add one half of a key's signature as the next entry. */
static enum rc add_half(struct job *job, const struct sign_key *key, size_t h, struct err *err)
{
    struct envelope *e = &job->envelope;
    uint8_t *signature = job->signature[e->n];
    struct bytes header, message;

    enum rc rc =
        envelope_entry_header(halves[h].algorithm, job->entry_header[h], HEADER_MAX, &header, err);
    if (rc == RC_OK)
        rc = envelope_to_sign(job->type, job->mission, e, header, job->message, job->message_cap,
                              &message, err);
    if (rc == RC_OK)
        rc = make_half(&halves[h], key, message, signature, err);
    if (rc != RC_OK)
        return rc;
    e->signature[e->n++] = (struct envelope_signature){
        .protected_header = header,
        .algorithm = halves[h].algorithm,
        .key_id = { key->public.id, sizeof key->public.id },
        .signature = { signature, halves[h].size },
    };
    return RC_OK;
}

static enum rc add_key(struct job *job, const struct sign_key *key, struct err *err)
{
    enum rc rc = RC_OK;

    if (has_signed(&job->envelope, &key->public))
        return err_set(err, RC_KEY_DUPLICATE, "key has signed already");
    if (job->envelope.n > ENVELOPE_SIGNATURES_MAX - HALVES)
        return err_set(err, RC_TOO_LARGE, "signers");
    for (size_t h = 0; rc == RC_OK && h < HALVES; h++)
        rc = add_half(job, key, h, err);
    return rc;
}

/* Every entry is made under one body header, that of the suite: an envelope that came with another
 * cannot be added to. */
static enum rc set_body_header(struct job *job, struct err *err)
{
    struct bytes want;

    enum rc rc = envelope_body_header(SUITE_ED25519_MLDSA65, job->body_header,
                                      sizeof job->body_header, &want, err);
    if (rc != RC_OK)
        return rc;
    if (job->envelope.n != 0 && !bytes_equal(job->envelope.protected_header, want))
        return err_set(err, RC_SUITE_UNKNOWN, "envelope.protected");
    job->envelope.protected_header = want;
    return RC_OK;
}

static enum rc add_keys(struct job *job, const struct sign_key *const *keys, size_t n,
                        struct err *err)
{
    enum rc rc = set_body_header(job, err);

    if (rc == RC_OK && n == 0)
        rc = err_set(err, RC_THRESHOLD, "no key to sign with");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        rc = add_key(job, keys[i], err);
    return rc;
}

/* What no verifier would take is not handed out. */
static enum rc write_envelope(const struct job *job, uint8_t *buf, size_t cap, struct bytes *ret,
                              struct err *err)
{
    struct bytes written;

    enum rc rc = envelope_encode(&job->envelope, buf, cap, &written, err);
    if (rc == RC_OK && written.n > DOCUMENT_MAX)
        rc = err_set(err, RC_TOO_LARGE, "envelope");
    if (rc == RC_OK)
        *ret = written;
    return rc;
}

/* Nine parameters, as is the next: what, with what, and to where; each is the caller's own. */
enum rc sign_document( // NOLINT(readability-function-size)
    enum doc_type type, const struct mission *mission, struct bytes payload,
    const struct sign_key *const *keys, size_t n, uint8_t *buf, size_t cap, struct bytes *ret,
    struct err *err)
{
    scoped(job_free) struct job *job = NULL;
    struct envelope start = { .payload = payload };

    if (payload.n == 0 || payload.n > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "payload");

    enum rc rc = job_new(type, mission, &start, &job, err);
    if (rc == RC_OK)
        rc = add_keys(job, keys, n, err);
    if (rc == RC_OK)
        rc = write_envelope(job, buf, cap, ret, err);
    return rc;
}

enum rc sign_attach( // NOLINT(readability-function-size)
    enum doc_type type, const struct mission *mission, struct bytes envelope,
    const struct sign_key *const *keys, size_t n, uint8_t *buf, size_t cap, struct bytes *ret,
    struct err *err)
{
    scoped(job_free) struct job *job = NULL;
    struct envelope start;

    enum rc rc = envelope_open(envelope, &start, err);
    if (rc == RC_OK)
        rc = job_new(type, mission, &start, &job, err);
    if (rc == RC_OK)
        rc = add_keys(job, keys, n, err);
    if (rc == RC_OK)
        rc = write_envelope(job, buf, cap, ret, err);
    return rc;
}
