/* SPDX-License-Identifier: Apache-2.0
 *
 * base/kem_parts: what the two halves of base/kem share.  For kem*.c only.
 */
#ifndef BERTH_BASE_KEM_PARTS_H
#define BERTH_BASE_KEM_PARTS_H

#include <openssl/evp.h>

#include "base/kem.h"

#define MLKEM_PUBLIC_SIZE 1184U /* FIPS 203, table 3 */
#define MLKEM_SEALED_SIZE 1088U
#define X25519_SIZE 32U

static_assert(MLKEM_PUBLIC_SIZE + X25519_SIZE == KEM_PUBLIC_SIZE, "public half");
static_assert(MLKEM_SEALED_SIZE + X25519_SIZE == KEM_SEALED_SIZE, "ciphertext");

void kem_pkey_free(EVP_PKEY **key);
void kem_pkey_ctx_free(EVP_PKEY_CTX **ctx);

/* An X25519 private key from its 32 bytes, and its public half. */
must_check enum rc kem_x25519_public(const uint8_t secret[32], uint8_t ret[32], struct err *err);

/* The shared secret of X25519.  refused: what a point of small order is called. */
must_check enum rc kem_x25519(const uint8_t secret[32], const uint8_t point[32], enum rc refused,
                              uint8_t ret[32], struct err *err);

/* SHA3-256(ss_M || ss_X || ct_X || pk_X || label): draft section 5.3. */
must_check enum rc kem_combine(const uint8_t mlkem[32], const uint8_t x25519[32],
                               const uint8_t sealed_x[32], const uint8_t public_x[32],
                               uint8_t ret[KEM_SHARED_SIZE], struct err *err);

#endif
