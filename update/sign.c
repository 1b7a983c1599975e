/* SPDX-License-Identifier: Apache-2.0 */
#include "update/sign.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/crypto.h"

#define HEADER_MAX 32U

static_assert(sizeof((struct sign_sealed *)0)->salt == crypto_pwhash_SALTBYTES, "Argon2id salt");
static_assert(sizeof((struct sign_sealed *)0)->nonce ==
                  crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
              "XChaCha20 nonce");
static_assert(sizeof((struct sign_sealed *)0)->box ==
                  SIGN_SEEDS_SIZE + crypto_aead_xchacha20poly1305_ietf_ABYTES,
              "box");
static_assert(crypto_sign_SEEDBYTES == SIGN_SEED_SIZE, "Ed25519 seed");

/* Lives in guarded memory. */
struct secrets {
    uint8_t seeds[SIGN_SEEDS_SIZE];
    uint8_t ed25519[crypto_sign_SECRETKEYBYTES];
};

struct sign_key {
    struct public_key public;
    struct secrets *secrets;           /* NULL when it signs elsewhere */
    EVP_PKEY *mldsa[SUITE_HALVES_MAX]; /* of the halves that are ML-DSA */
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

/* Where half h of a public key that is being made goes; what public_half reads. */
static uint8_t *half_at(struct public_key *key, uint32_t h)
{
    return key->halves + (public_half(key, h).p - key->halves);
}

static enum rc grow_ed25519(struct sign_key *key, uint32_t h, struct err *err)
{
    if (crypto_sign_seed_keypair(half_at(&key->public, h), key->secrets->ed25519,
                                 key->secrets->seeds + (size_t)h * SIGN_SEED_SIZE) != 0)
        return err_set(err, RC_CRYPTO, "Ed25519 key");
    return RC_OK;
}

/* FIPS 204 algorithm 6 from xi: OpenSSL takes the seed as a key parameter. */
static enum rc grow_mldsa(struct sign_key *key, uint32_t h, const char *name, struct err *err)
{
    scoped(param_ctx_free) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, name, NULL);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_DSA_SEED,
                                          key->secrets->seeds + (size_t)h * SIGN_SEED_SIZE,
                                          SIGN_SEED_SIZE),
        OSSL_PARAM_construct_end(),
    };
    size_t want = public_half(&key->public, h).n, n = want;

    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &key->mldsa[h], EVP_PKEY_KEYPAIR, params) != 1 ||
        EVP_PKEY_get_raw_public_key(key->mldsa[h], half_at(&key->public, h), &n) != 1 || n != want)
        return err_set(err, RC_CRYPTO, "%s key", name);
    return RC_OK;
}

static enum rc grow_mldsa65(struct sign_key *key, uint32_t h, struct err *err)
{
    return grow_mldsa(key, h, "ML-DSA-65", err);
}

static enum rc grow_mldsa87(struct sign_key *key, uint32_t h, struct err *err)
{
    return grow_mldsa(key, h, "ML-DSA-87", err);
}

static enum rc sign_ed25519(const struct sign_key *key, uint32_t h, struct bytes message,
                            uint8_t *ret, struct err *err)
{
    (void)h;
    if (crypto_sign_detached(ret, NULL, message.p, message.n, key->secrets->ed25519) != 0)
        return err_set(err, RC_CRYPTO, "Ed25519");
    return RC_OK;
}

/* Pure ML-DSA, empty context, hedged (FIPS 204 algorithm 2). */
static enum rc sign_mldsa(const struct sign_key *key, uint32_t h, struct bytes message,
                          uint8_t *ret, struct err *err)
{
    scoped(md_ctx_free) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t want = suite_find(key->public.suite)->half[h].signature_size, n = want;

    if (!ctx || EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->mldsa[h], NULL) != 1 ||
        EVP_DigestSign(ctx, ret, &n, message.p, message.n) != 1 || n != want)
        return err_set(err, RC_CRYPTO, "ML-DSA");
    return RC_OK;
}

/* The private side of the algorithms in manifest/suite's table. */
static const struct maker {
    int64_t algorithm;
    enum rc (*grow)(struct sign_key *key, uint32_t h, struct err *err);
    enum rc (*sign)(const struct sign_key *key, uint32_t h, struct bytes message, uint8_t *ret,
                    struct err *err);
} makers[] = {
    { COSE_ALG_ED25519, grow_ed25519, sign_ed25519 },
    { COSE_ALG_MLDSA65, grow_mldsa65, sign_mldsa },
    { COSE_ALG_MLDSA87, grow_mldsa87, sign_mldsa },
};

static const struct maker *maker_of(const struct suite_half *half)
{
    size_t i = 0;

    while (i < sizeof makers / sizeof makers[0] && makers[i].algorithm != half->algorithm)
        i++;
    assert(i < sizeof makers / sizeof makers[0]);
    return &makers[i];
}

/* A key whose seeds are not filled in yet. */
static enum rc key_alloc(enum suite suite, struct sign_key **ret, struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = need_sodium(err);
    if (rc == RC_OK && !suite_find(suite))
        rc = err_set(err, RC_SUITE_UNKNOWN, "key");
    if (rc != RC_OK)
        return rc;
    key = calloc(1, sizeof *key);
    if (!key)
        return err_set(err, RC_NO_MEMORY, "key");
    key->secrets = sodium_malloc(sizeof *key->secrets);
    if (!key->secrets)
        return err_sys(err, RC_NO_MEMORY, "guarded memory");
    key->public.suite = suite;
    *ret = key;
    key = NULL;
    return RC_OK;
}

static enum rc key_grow(struct sign_key *key, struct err *err)
{
    const struct suite_row *row = suite_find(key->public.suite);
    enum rc rc = RC_OK;

    for (uint32_t h = 0; rc == RC_OK && h < row->n; h++)
        rc = maker_of(&row->half[h])->grow(key, h, err);
    if (rc == RC_OK)
        rc = public_key_id(&key->public, key->public.id, err);
    return rc;
}

size_t sign_seeds_size(enum suite suite)
{
    const struct suite_row *row = suite_find(suite);

    return row ? row->n * (size_t)SIGN_SEED_SIZE : 0;
}

enum rc sign_key_new(enum suite suite, struct sign_key **ret, struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = key_alloc(suite, &key, err);
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

enum rc sign_key_from_seeds(enum suite suite, const uint8_t *seeds, struct sign_key **ret,
                            struct err *err)
{
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = key_alloc(suite, &key, err);
    if (rc != RC_OK)
        return rc;
    memcpy(key->secrets->seeds, seeds, sign_seeds_size(suite));
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
    if (elsewhere->rest && (public->suite != SUITE_ED25519_MLDSA65 ||
                            elsewhere->rest->public.suite != SUITE_ED25519_MLDSA65))
        return err_set(err, RC_KEY_FILE, "only a hybrid key can have its halves in two places");
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
    for (uint32_t h = 0; h < SUITE_HALVES_MAX; h++)
        EVP_PKEY_free(key->mldsa[h]);
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

size_t sign_box_size(enum suite suite)
{
    return sign_seeds_size(suite) + crypto_aead_xchacha20poly1305_ietf_ABYTES;
}

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
                                                   sign_seeds_size(key->public.suite), ad.p, ad.n,
                                                   NULL, sealed.nonce, kek) != 0)
        return err_set(err, RC_CRYPTO, "XChaCha20-Poly1305");
    *ret = sealed;
    return RC_OK;
}

enum rc sign_key_open(enum suite suite, const struct sign_sealed *sealed, struct bytes passphrase,
                      struct bytes ad, struct sign_key **ret, struct err *err)
{
    scoped(secret_free) uint8_t *kek = NULL;
    scoped(sign_key_free) struct sign_key *key = NULL;

    enum rc rc = passphrase_key(passphrase, sealed->salt, &kek, err);
    if (rc == RC_OK)
        rc = key_alloc(suite, &key, err);
    if (rc != RC_OK)
        return rc;
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(key->secrets->seeds, NULL, NULL, sealed->box,
                                                   sign_box_size(suite), ad.p, ad.n, sealed->nonce,
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

/* An envelope being put together, and the memory that its new entries point to. */
struct job {
    enum doc_type type;
    const struct mission *mission;
    struct envelope envelope;
    uint8_t *message;
    size_t message_cap;
    uint8_t body_header[HEADER_MAX];
    uint8_t entry_header[ENVELOPE_SIGNATURES_MAX][HEADER_MAX];
    uint8_t signature[ENVELOPE_SIGNATURES_MAX][SUITE_SIGNATURE_MAX];
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
static enum rc make_half(const struct sign_key *key, uint32_t h, struct bytes message, uint8_t *ret,
                         struct err *err)
{
    const struct suite_half *half = &suite_find(key->public.suite)->half[h];
    const struct sign_key *rest = key->elsewhere.rest;
    struct bytes made = { ret, half->signature_size };
    struct err ignored;
    enum rc rc;

    if (!key->elsewhere.sign)
        return maker_of(half)->sign(key, h, message, ret, err);
    if (rest && half->algorithm != COSE_ALG_ED25519)
        rc = maker_of(half)->sign(rest, h, message, ret, err);
    else
        rc = key->elsewhere.sign(key->elsewhere.arg, half->name, message, ret, made.n, err);
    if (rc == RC_OK &&
        half->verify(public_half(&key->public, h).p, message, made, &ignored) != RC_OK)
        rc = err_set(err, RC_SIG_BAD, "signer: %s half is not of this key", half->name);
    return rc;
}

/* Add one half of a key's signature as the next entry. */
static enum rc add_half(struct job *job, const struct sign_key *key, uint32_t h, struct err *err)
{
    const struct suite_half *half = &suite_find(key->public.suite)->half[h];
    struct envelope *e = &job->envelope;
    uint8_t *signature = job->signature[e->n];
    struct bytes header, message;

    enum rc rc =
        envelope_entry_header(half->algorithm, job->entry_header[e->n], HEADER_MAX, &header, err);
    if (rc == RC_OK)
        rc = envelope_to_sign(job->type, job->mission, e, header, job->message, job->message_cap,
                              &message, err);
    if (rc == RC_OK)
        rc = make_half(key, h, message, signature, err);
    if (rc != RC_OK)
        return rc;
    e->signature[e->n++] = (struct envelope_signature){
        .protected_header = header,
        .algorithm = half->algorithm,
        .key_id = { key->public.id, sizeof key->public.id },
        .signature = { signature, half->signature_size },
    };
    return RC_OK;
}

static enum rc add_key(struct job *job, const struct sign_key *key, struct err *err)
{
    const struct suite_row *row = suite_find(key->public.suite);
    enum rc rc = RC_OK;

    if (!row)
        return err_set(err, RC_SUITE_UNKNOWN, "key");
    if (has_signed(&job->envelope, &key->public))
        return err_set(err, RC_KEY_DUPLICATE, "key has signed already");
    if (job->envelope.n > ENVELOPE_SIGNATURES_MAX - row->n)
        return err_set(err, RC_TOO_LARGE, "signers");
    for (uint32_t h = 0; rc == RC_OK && h < row->n; h++)
        rc = add_half(job, key, h, err);
    return rc;
}

/* Every entry is made under one body header, whatever the suite: an envelope that came with another
 * cannot be added to. */
static enum rc set_body_header(struct job *job, struct err *err)
{
    struct bytes want;

    enum rc rc = envelope_body_header(ENVELOPE_PROFILE, job->body_header, sizeof job->body_header,
                                      &want, err);
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
