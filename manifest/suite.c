/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/suite.h"

#include <assert.h>
#include <string.h>

#include "base/crypto.h"

static_assert(PUBLIC_KEY_MAX >= ED25519_PUBLIC_SIZE + MLDSA65_PUBLIC_SIZE, "suite 1");
static_assert(PUBLIC_KEY_MAX >= MLDSA87_PUBLIC_SIZE, "suite 2");
static_assert(SUITE_SIGNATURE_MAX >= MLDSA65_SIGNATURE_SIZE, "suite 1");
static_assert(SUITE_SIGNATURE_MAX >= MLDSA87_SIGNATURE_SIZE, "suite 2");

/* clang-format off */
static const struct suite_row suites[] = {
    { SUITE_ED25519_MLDSA65, "hybrid", "Ed25519 + ML-DSA-65", false, 2, {
        { COSE_ALG_ED25519, "ed25519", ED25519_PUBLIC_SIZE, ED25519_SIGNATURE_SIZE,
          crypto_ed25519_verify },
        { COSE_ALG_MLDSA65, "ml-dsa-65", MLDSA65_PUBLIC_SIZE, MLDSA65_SIGNATURE_SIZE,
          crypto_mldsa65_verify } } },
    { SUITE_MLDSA87, "cnsa", "ML-DSA-87", true, 1, {
        { COSE_ALG_MLDSA87, "ml-dsa-87", MLDSA87_PUBLIC_SIZE, MLDSA87_SIGNATURE_SIZE,
          crypto_mldsa87_verify } } },
};
/* clang-format on */

#define SUITES (sizeof suites / sizeof suites[0])

const struct suite_row *suite_at(size_t i)
{
    return i < SUITES ? &suites[i] : NULL;
}

const struct suite_row *suite_find(enum suite suite)
{
    for (size_t i = 0; i < SUITES; i++) {
        if (suites[i].suite == suite)
            return &suites[i];
    }
    return NULL;
}

const struct suite_row *suite_parse(const char *text)
{
    for (size_t i = 0; i < SUITES; i++) {
        const char number[] = { (char)('0' + (int)suites[i].suite), '\0' };

        if (strcmp(text, number) == 0 || strcmp(text, suites[i].name) == 0)
            return &suites[i];
    }
    return NULL;
}

const char *suite_title(enum suite suite)
{
    const struct suite_row *row = suite_find(suite);

    return row ? row->title : "?";
}

struct bytes public_half(const struct public_key *key, uint32_t h)
{
    const struct suite_row *row = suite_find(key->suite);
    size_t at = 0;

    assert(row && h < row->n);
    for (uint32_t i = 0; i < h; i++)
        at += row->half[i].public_size;
    return (struct bytes){ key->halves + at, row->half[h].public_size };
}

bool key_set_wants_384(const struct key_set *keys)
{
    for (uint32_t i = 0; i < keys->n; i++) {
        const struct suite_row *row = suite_find(keys->key[i].suite);

        if (!row || row->wants_384)
            return true;
    }
    return false;
}
