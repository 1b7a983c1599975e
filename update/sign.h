/* SPDX-License-Identifier: Apache-2.0
 *
 * update/sign: private document keys and what they make.  Ground only: nothing on board refers to
 * this file, so no board program contains a signing function (docs/architecture.md).
 *
 * A signing key has the halves of its suite (manifest/suite): Ed25519 by libsodium, ML-DSA by
 * OpenSSL 3.5, each grown from a 32-byte seed.  Secrets live in guarded, locked memory
 * (sodium_malloc) and are wiped when the key is freed.  Files of keys are update/keyfile.
 */
#ifndef BERTH_UPDATE_SIGN_H
#define BERTH_UPDATE_SIGN_H

#include "manifest/doc.h"
#include "manifest/envelope.h"

#define SIGN_SEED_SIZE 32U /* of one half: Ed25519's (RFC 8032), or ML-DSA's (FIPS 204, xi) */
#define SIGN_SEEDS_SIZE                                                                            \
    (SUITE_HALVES_MAX * SIGN_SEED_SIZE) /* of all halves, in the suite's order */
#define SIGN_SALT_SIZE 16U              /* Argon2id */
#define SIGN_NONCE_SIZE 24U             /* XChaCha20-Poly1305 */
#define SIGN_BOX_SIZE (SIGN_SEEDS_SIZE + 16U)

struct sign_key; /* opaque; owns the private halves */

/* The private seeds, encrypted under a passphrase. */
struct sign_sealed {
    uint8_t salt[SIGN_SALT_SIZE];
    uint8_t nonce[SIGN_NONCE_SIZE];
    uint8_t box[SIGN_BOX_SIZE]; /* the first sign_box_size bytes count */
};

/* Bytes of the seeds of a key, and of the box around them. */
size_t sign_seeds_size(enum suite suite);
size_t sign_box_size(enum suite suite);

/* A fresh key from the system's random source.  Free with sign_key_free (takes the address, a scope
 * cleaner). */
must_check enum rc sign_key_new(enum suite suite, struct sign_key **ret, struct err *err);

/* The key that grows from these seeds (sign_seeds_size of them): always the same one.  The caller
 * keeps and wipes seeds. */
must_check enum rc sign_key_from_seeds(enum suite suite, const uint8_t *seeds,
                                       struct sign_key **ret, struct err *err);
void sign_key_free(struct sign_key **key);

/* Where a private half is not in this process but in a token or behind another program: how to have
 * n bytes of signature made over message.  half names which: as in manifest/suite. */
struct sign_elsewhere {
    enum rc (*sign)(void *arg, const char *half, struct bytes message, uint8_t *ret, size_t n,
                    struct err *err);
    void (*done)(void *arg); /* ends arg with the key; NULL = nothing to end */
    void *arg;
    struct sign_key *rest; /* suite 1: a key of ours whose ML-DSA half is this key's, for tokens
                              that know only Ed25519; NULL = sign makes all halves */
};

/* A key that signs elsewhere.  What comes back is hostile until it verifies with the public half;
 * a signature that does not is RC_SIG_BAD and never leaves this module.  On success the key owns
 * elsewhere.arg and elsewhere.rest. */
must_check enum rc sign_key_elsewhere(const struct public_key *public,
                                      const struct sign_elsewhere *elsewhere, struct sign_key **ret,
                                      struct err *err);

/* The public halves and the id; lives as long as the key. */
const struct public_key *sign_key_public(const struct sign_key *key);

/* Encrypt the seeds: Argon2id (libsodium's interactive limits) over the passphrase, then
 * XChaCha20-Poly1305 that also covers ad.  An empty passphrase, or a key that signs elsewhere, is
 * RC_KEY_FILE. */
must_check enum rc sign_key_seal(const struct sign_key *key, struct bytes passphrase,
                                 struct bytes ad, struct sign_sealed *ret, struct err *err);

/* The reverse.  A wrong passphrase, other ad or damage is RC_KEY_FILE. */
must_check enum rc sign_key_open(enum suite suite, const struct sign_sealed *sealed,
                                 struct bytes passphrase, struct bytes ad, struct sign_key **ret,
                                 struct err *err);

/* Put payload (the encoding of a document of this type) into an envelope signed by each of the n
 * keys, 1 to SIGNERS_MAX, no key twice (RC_KEY_DUPLICATE).  *ret is a view of what was written to
 * buf; DOCUMENT_MAX is always enough room for what a verifier accepts. */
must_check enum rc sign_document(enum doc_type type, const struct mission *mission,
                                 struct bytes payload, const struct sign_key *const *keys, size_t n,
                                 uint8_t *buf, size_t cap, struct bytes *ret, struct err *err);

/* Add the signatures of n more keys to an envelope (m of n, one safe at a time).  The signatures
 * that are there are carried over unchecked; a key that has signed already is RC_KEY_DUPLICATE. buf
 * must not overlap envelope. */
must_check enum rc sign_attach(enum doc_type type, const struct mission *mission,
                               struct bytes envelope, const struct sign_key *const *keys, size_t n,
                               uint8_t *buf, size_t cap, struct bytes *ret, struct err *err);

#endif
