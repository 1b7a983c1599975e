/* SPDX-License-Identifier: Apache-2.0
 *
 * update/signer: a key behind a program of the user's: a token, a vault, a person with a keypad.
 * Ground only.
 *
 * The program is started without a shell, with exactly these arguments, once per half:
 *
 *     PROGRAM sign   HALF NAME    stdin: the bytes to sign; stdout: the signature, raw, nothing
 * else PROGRAM public HALF NAME    stdout: the public half, raw, nothing else
 *
 * HALF is ed25519, ml-dsa-65 or ml-dsa-87, NAME is what the key is called.  It ends with 0, within
 * the time limit; stderr and the terminal are its own, for a PIN.  What it prints is hostile:
 * exactly the size that the half has, or refused; and a signature is used only after it verified.
 */
#ifndef BERTH_UPDATE_SIGNER_H
#define BERTH_UPDATE_SIGNER_H

#include "update/sign.h"

#define SIGNER_TIMEOUT_MS (120U * 1000U) /* a person looks for a token */

struct signer {
    const char *program; /* a path; $PATH is not searched */
    const char *name;    /* of the key */
    uint32_t timeout_ms;
};

/* Ask the program for the public halves of a key of this suite; of suite 1 only Ed25519 when rest
 * (a key of ours of suite 1, else RC_KEY_FILE) gives the ML-DSA half.  RC_SIGNER for a program that
 * does not start, fails or prints anything else; RC_TIMEOUT. */
must_check enum rc signer_public(const struct signer *signer, enum suite suite,
                                 const struct public_key *rest, struct public_key *ret,
                                 struct err *err);

/* A key that signs through the program, and with rest (NULL = none) for the ML-DSA half; texts are
 * copied, rest is taken over (*rest = NULL) on success.  Free with sign_key_free. */
must_check enum rc signer_key(const struct signer *signer, const struct public_key *public,
                              struct sign_key **rest, struct sign_key **ret, struct err *err);

#endif
