/* SPDX-License-Identifier: Apache-2.0
 *
 * base/crypto: the one door to libcrypto and libsodium on board.  Hashing, MACs, AEAD,
 * verification, random bytes. Nothing here can sign: private keys of documents exist on the ground
 * only (update/sign). Every function that can fail returns an rc; a verification that could not be
 * carried out never reads as success.
 */
#ifndef BERTH_BASE_CRYPTO_H
#define BERTH_BASE_CRYPTO_H

#include "base/bytes.h"
#include "base/err.h"

#define ED25519_PUBLIC_SIZE 32U
#define ED25519_SIGNATURE_SIZE 64U
#define MLDSA65_PUBLIC_SIZE 1952U    /* FIPS 204, table 2 */
#define MLDSA65_SIGNATURE_SIZE 3309U /* FIPS 204, table 2 */
#define MLDSA87_PUBLIC_SIZE 2592U    /* FIPS 204, table 2 */
#define MLDSA87_SIGNATURE_SIZE 4627U /* FIPS 204, table 2 */
#define GCM_TAG_SIZE 16U
#define GCM_IV_SIZE 12U
#define GCM_IV_MIN 8U
#define GCM_IV_MAX 16U

/* Streaming SHA-256.  sha256_free is a scope cleaner, and the end of every context: sha256_end
 * gives the digest, and begins it anew. */
struct sha256;
must_check enum rc sha256_new(struct sha256 **ret, struct err *err);
must_check enum rc sha256_add(struct sha256 *ctx, struct bytes data, struct err *err);
/* Add data with its length before it, 8 bytes with the least first: no two lists of parts are the
 * same bytes. */
must_check enum rc sha256_add_part(struct sha256 *ctx, struct bytes data, struct err *err);
must_check enum rc sha256_end(struct sha256 *ctx, uint8_t ret[32], struct err *err);
void sha256_free(struct sha256 **ctx);

/* SHA-256 of one buffer. */
must_check enum rc sha256_of(struct bytes data, uint8_t ret[32], struct err *err);

/* The same for SHA-384. */
struct sha384;
must_check enum rc sha384_new(struct sha384 **ret, struct err *err);
must_check enum rc sha384_add(struct sha384 *ctx, struct bytes data, struct err *err);
must_check enum rc sha384_end(struct sha384 *ctx, uint8_t ret[48], struct err *err);
void sha384_free(struct sha384 **ctx);
must_check enum rc sha384_of(struct bytes data, uint8_t ret[48], struct err *err);

/* HMAC-SHA-2 over the concatenation of parts; bits is 256, 384 or 512; ret holds bits / 8 bytes. */
must_check enum rc crypto_hmac(unsigned bits, struct bytes key, const struct bytes *parts,
                               size_t n_parts, uint8_t *ret, struct err *err);

/* AES-GCM with a 16 or 32 byte key and an IV of 8 to 16 bytes (RFC 9173 section 4.3.1).  In place
 * is allowed (out == in.p).  On an authentication failure open wipes out and returns RC_BPSEC_AUTH.
 */
must_check enum rc crypto_gcm_seal_iv(struct bytes key, struct bytes iv, struct bytes aad,
                                      struct bytes plain, uint8_t *out, uint8_t ret_tag[16],
                                      struct err *err);
must_check enum rc crypto_gcm_open_iv(struct bytes key, struct bytes iv, struct bytes aad,
                                      struct bytes sealed, const uint8_t tag[16], uint8_t *out,
                                      struct err *err);

/* The same with the usual IV of 12 bytes. */
must_check static inline enum rc crypto_gcm_seal(struct bytes key, const uint8_t iv[12],
                                                 struct bytes aad, struct bytes plain, uint8_t *out,
                                                 uint8_t ret_tag[16], struct err *err)
{
    return crypto_gcm_seal_iv(key, (struct bytes){ iv, GCM_IV_SIZE }, aad, plain, out, ret_tag,
                              err);
}

must_check static inline enum rc crypto_gcm_open(struct bytes key, const uint8_t iv[12],
                                                 struct bytes aad, struct bytes sealed,
                                                 const uint8_t tag[16], uint8_t *out,
                                                 struct err *err)
{
    return crypto_gcm_open_iv(key, (struct bytes){ iv, GCM_IV_SIZE }, aad, sealed, tag, out, err);
}

/* The same three, for keys of which the caller has a few that serve again and again: what libcrypto
 * makes of a key stays ready in this process, so that its next text costs no more than the text.
 * The four last used are kept, until crypto_forget; whoever wipes such a key calls that too.  Keys
 * longer than 64 bytes and IVs of another length than 12 are served without being kept. */
must_check enum rc crypto_hmac_kept(unsigned bits, struct bytes key, const struct bytes *parts,
                                    size_t n_parts, uint8_t *ret, struct err *err);
must_check enum rc crypto_gcm_seal_kept(struct bytes key, struct bytes iv, struct bytes aad,
                                        struct bytes plain, uint8_t *out, uint8_t ret_tag[16],
                                        struct err *err);
must_check enum rc crypto_gcm_open_kept(struct bytes key, struct bytes iv, struct bytes aad,
                                        struct bytes sealed, const uint8_t tag[16], uint8_t *out,
                                        struct err *err);

/* Wipe every key that is kept ready. */
void crypto_forget(void);

/* AES key wrap (RFC 3394) under a 16 or 32 byte KEK; wrapped is 8 bytes longer than the key. */
must_check enum rc crypto_wrap(struct bytes kek, struct bytes key, uint8_t *ret_wrapped,
                               struct err *err);
must_check enum rc crypto_unwrap(struct bytes kek, struct bytes wrapped, uint8_t *ret_key,
                                 struct err *err);

/* HKDF-SHA-256 (RFC 5869): derive n bytes bound to info. */
must_check enum rc crypto_hkdf(struct bytes key, struct bytes salt, const char *info, uint8_t *ret,
                               size_t n, struct err *err);

/* The same with a digest of 256, 384 or 512 bits, and an info of any bytes. */
must_check enum rc crypto_hkdf_bits(unsigned bits, struct bytes key, struct bytes salt,
                                    struct bytes info, uint8_t *ret, size_t n, struct err *err);

/* Verify one signature; RC_OK or RC_SIG_BAD.  Ed25519 as libsodium checks it (canonical S, no
 * small-order key); ML-DSA pure, with an empty context (FIPS 204 algorithm 3). */
must_check enum rc crypto_ed25519_verify(const uint8_t key[32], struct bytes message,
                                         struct bytes signature, struct err *err);
must_check enum rc crypto_mldsa65_verify(const uint8_t key[1952], struct bytes message,
                                         struct bytes signature, struct err *err);
must_check enum rc crypto_mldsa87_verify(const uint8_t key[2592], struct bytes message,
                                         struct bytes signature, struct err *err);

/* Equal in constant time; false when the lengths differ. */
bool crypto_equal(struct bytes a, struct bytes b);

/* Fill from the kernel's random source. */
void crypto_random(uint8_t *ret, size_t n);

/* Overwrite a secret in a way the compiler keeps. */
void crypto_wipe(void *p, size_t n);

#endif
