/* SPDX-License-Identifier: Apache-2.0
 *
 * manifest/suite: what the signature suites consist of: one table, and a new suite is a row in it.
 *
 * A suite is one or two halves; a key has all of them, and signs with all of them.  Each half is an
 * algorithm by its COSE number.  No algorithm stands in two suites: the number, which every
 * signature covers, thereby says which suite a half was made for, and a half is never good for a
 * key of another suite.  Which row applies is always read from a key record.
 */
#ifndef BERTH_MANIFEST_SUITE_H
#define BERTH_MANIFEST_SUITE_H

#include "manifest/doc.h"

#define COSE_ALG_ED25519 (-19) /* RFC 9864 */
#define COSE_ALG_MLDSA65 (-49) /* RFC 9964 */
#define COSE_ALG_MLDSA87 (-50) /* RFC 9964 */

#define SUITE_HALVES_MAX 2U
#define SUITE_SIGNATURE_MAX 4627U /* the longest half: ML-DSA-87 */

struct suite_half {
    int64_t algorithm;
    const char *name; /* as a signer program is called with: "ed25519", "ml-dsa-65", "ml-dsa-87" */
    size_t public_size;
    size_t signature_size;
    enum rc (*verify)(const uint8_t *key, struct bytes message, struct bytes signature,
                      struct err *err);
};

struct suite_row {
    enum suite suite;
    const char *name;  /* on a command line: "hybrid", "cnsa" */
    const char *title; /* for people: "Ed25519 + ML-DSA-65" */
    bool wants_384;    /* digests that its keys vouch for must be there in SHA-384, too */
    uint32_t n;
    struct suite_half half[SUITE_HALVES_MAX];
};

/* The row of a suite; NULL if there is none. */
const struct suite_row *suite_find(enum suite suite);

/* Row i of the table; NULL behind the last. */
const struct suite_row *suite_at(size_t i);

/* The row of a number ("1") or a name ("hybrid"); NULL if there is none. */
const struct suite_row *suite_parse(const char *text);

/* "Ed25519 + ML-DSA-65"; "?" for a number that is none. */
const char *suite_title(enum suite suite);

/* Half h of a key of a known suite: a view of its bytes. */
struct bytes public_half(const struct public_key *key, uint32_t h);

/* Whether what this role vouches for must carry its digests in SHA-384: one of its keys is of a
 * suite that asks for it. */
bool key_set_wants_384(const struct key_set *keys);

#endif
