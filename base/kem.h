/* SPDX-License-Identifier: Apache-2.0
 *
 * base/kem: X-Wing (draft-connolly-cfrg-xwing-kem), a key encapsulation that holds as long as
 * either X25519 (RFC 7748) or ML-KEM-768 (FIPS 203) does.  With base/crypto the door to libcrypto.
 *
 * Public keys and ciphertexts come from outside and are hostile.  A satellite makes pairs and opens
 * (kem.c), the ground seals (kem_seal.c); a program that needs one half only has no code of the
 * other, and what only compares ids has neither (kem_parts.c).
 */
#ifndef BERTH_BASE_KEM_H
#define BERTH_BASE_KEM_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define KEM_SEED_SIZE 32U     /* the private key: all the rest grows from it */
#define KEM_PUBLIC_SIZE 1216U /* ML-KEM-768 encapsulation key || X25519 */
#define KEM_SEALED_SIZE 1120U /* ML-KEM-768 ciphertext || X25519 */
#define KEM_SHARED_SIZE 32U   /* what both sides end up with */
#define KEM_RANDOM_SIZE 64U   /* what sealing consumes */

/* The public half of the pair that grows from a seed (draft section 5.2). */
must_check enum rc kem_public(const uint8_t seed[KEM_SEED_SIZE], uint8_t ret[KEM_PUBLIC_SIZE],
                              struct err *err);

/* What a public half is called: the first KEY_ID_SIZE bytes of SHA-256 over it. */
must_check enum rc kem_id(const uint8_t public_half[KEM_PUBLIC_SIZE], uint8_t ret[KEY_ID_SIZE],
                          struct err *err);

/* Decapsulate (draft section 5.5).  A ciphertext made for another key gives another shared secret
 * and no error (FIPS 203 section 6.3): what it opens tells.  RC_REKEY_UNWRAP for an X25519 point of
 * small order.  ret is secret: wipe it. */
must_check enum rc kem_open(const uint8_t seed[KEM_SEED_SIZE],
                            const uint8_t sealed[KEM_SEALED_SIZE], uint8_t ret[KEM_SHARED_SIZE],
                            struct err *err);

/* Encapsulate (draft section 5.4) with fresh randomness from the kernel.  RC_VALUE for a public
 * half that is none (FIPS 203 section 7.2: not reduced; X25519: small order).  Ground only. */
must_check enum rc kem_seal(const uint8_t public_half[KEM_PUBLIC_SIZE],
                            uint8_t ret_sealed[KEM_SEALED_SIZE],
                            uint8_t ret_shared[KEM_SHARED_SIZE], struct err *err);

/* The same from given randomness: for test vectors. */
must_check enum rc kem_seal_from(const uint8_t public_half[KEM_PUBLIC_SIZE],
                                 const uint8_t random[KEM_RANDOM_SIZE],
                                 uint8_t ret_sealed[KEM_SEALED_SIZE],
                                 uint8_t ret_shared[KEM_SHARED_SIZE], struct err *err);

#endif
