/* SPDX-License-Identifier: Apache-2.0
 *
 * X-Wing against its authors' vectors, and against what a hostile peer may send.
 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "base/kem.h"

/* draft-connolly-cfrg-xwing-kem, appendix C (spec/test-vectors.json of its repository); of the long
 * values their SHA-256. */
static const struct {
    const char *seed, *public_sha256, *random, *sealed_sha256, *shared;
} vectors[] = {
    /* clang-format off */
    { "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
      "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb",
      "3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e2"
      "35b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2",
      "17cd532d657e44c897ca6583e548a5424fc70bf54f99515a4d2bcf99e3469f33",
      "d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384" },
    { "badfd6dfaac359a5efbb7bcc4b59d538df9a04302e10c8bc1cbf1a0b3a5120ea",
      "c42ba5f8430d7d2c83739338203819f090e8303ce9c8b02107c272bfa5376916",
      "17cda7cfad765f5623474d368ccca8af0007cd9f5e4c849f167a580b14aabdef"
      "aee7eef47cb0fca9767be1fda69419dfb927e9df07348b196691abaeb580b32d",
      "1661ea86d608a1924ba30840cb0a65f13ae051e3aec9cf0f064efc0bc92f2154",
      "f2e86241c64d60f6649fbc6c5b7d17180b780a3f34355e64a85749949c45f150" },
    { "ef58538b8d23f87732ea63b02b4fa0f4873360e2841928cd60dd4cee8cc0d4c9",
      "6b080d6b84f095342092fa7a22423e58bd681397ad0ef00eac92bd254db4fa95",
      "22a96188d032675c8ac850933c7aff1533b94c834adbb69c6115bad4692d8619"
      "f90b0cdf8a7b9c264029ac185b70b83f2801f2f4b3f70c593ea3aeeb613a7f1b",
      "d3ca5578500344b5896cffc4fd740c9311946b82951df155e6fd86a7966b43c6",
      "953f7f4e8c5b5049bdc771d1dffada0dd961477d1a2ae0988baa7ea6898d893f" },
    /* clang-format on */
};

static uint8_t seed[KEM_SEED_SIZE];
static uint8_t public_half[KEM_PUBLIC_SIZE];
static uint8_t sealed[KEM_SEALED_SIZE];
static uint8_t random_bytes[KEM_RANDOM_SIZE];
static uint8_t shared[KEM_SHARED_SIZE];
static uint8_t opened[KEM_SHARED_SIZE];

static void check(struct bytes got, const char *want_hex)
{
    char text[2 * 64 + 1];

    assert_string_equal(bytes_hex(got, text), want_hex);
}

static void check_sha256(struct bytes got, const char *want_hex)
{
    uint8_t digest[DIGEST_SIZE];

    assert_rc(sha256_of(got, digest, NULL), RC_OK);
    check((struct bytes){ digest, sizeof digest }, want_hex);
}

static void a_sealed_one(size_t i)
{
    assert_true(bytes_unhex(vectors[i].seed, seed, sizeof seed));
    assert_true(bytes_unhex(vectors[i].random, random_bytes, sizeof random_bytes));
    assert_rc(kem_public(seed, public_half, NULL), RC_OK);
    assert_rc(kem_seal_from(public_half, random_bytes, sealed, shared, NULL), RC_OK);
}

static void the_vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        a_sealed_one(i);
        check_sha256((struct bytes){ public_half, sizeof public_half }, vectors[i].public_sha256);
        check_sha256((struct bytes){ sealed, sizeof sealed }, vectors[i].sealed_sha256);
        check((struct bytes){ shared, sizeof shared }, vectors[i].shared);
        assert_rc(kem_open(seed, sealed, opened, NULL), RC_OK);
        check((struct bytes){ opened, sizeof opened }, vectors[i].shared);
    }
}

/* Both halves count: a changed bit of either, or another key, gives another secret. */
static void what_was_changed_gives_another_secret(void **state)
{
    static const size_t at[] = { 0, 500, 1087, 1088, 1100 };

    (void)state;
    a_sealed_one(0);
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        sealed[at[i]] ^= 4;
        assert_rc(kem_open(seed, sealed, opened, NULL), RC_OK);
        assert_memory_not_equal(opened, shared, sizeof shared);
        sealed[at[i]] ^= 4;
    }
    seed[31] ^= 1;
    assert_rc(kem_open(seed, sealed, opened, NULL), RC_OK);
    assert_memory_not_equal(opened, shared, sizeof shared);
}

static void fresh_seals_differ(void **state)
{
    uint8_t again[KEM_SEALED_SIZE];
    uint8_t secret[KEM_SHARED_SIZE];

    (void)state;
    a_sealed_one(1);
    assert_rc(kem_seal(public_half, sealed, shared, NULL), RC_OK);
    assert_rc(kem_seal(public_half, again, secret, NULL), RC_OK);
    assert_memory_not_equal(sealed, again, sizeof again);
    assert_memory_not_equal(shared, secret, sizeof secret);
    assert_rc(kem_open(seed, again, opened, NULL), RC_OK);
    assert_memory_equal(opened, secret, sizeof secret);
}

/* RFC 7748 section 6.1: points of small order make the shared secret zero.  In a ciphertext they
 * would leave ML-KEM alone to hold. */
static void hostile_points_and_keys_are_refused(void **state)
{
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    static const uint8_t zero[KEM_SHARED_SIZE];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        a_sealed_one(2);
        memset(shared, 0, sizeof shared);
        assert_true(bytes_unhex(points[i], sealed + KEM_SEALED_SIZE - 32, 32));
        assert_rc(kem_open(seed, sealed, shared, &err), RC_REKEY_UNWRAP);
        assert_true(bytes_unhex(points[i], public_half + KEM_PUBLIC_SIZE - 32, 32));
        assert_rc(kem_seal_from(public_half, random_bytes, sealed, shared, &err), RC_VALUE);
        assert_memory_equal(shared, zero, sizeof zero);
    }
    /* FIPS 203 section 7.2: a coefficient of 4095 is not reduced modulo 3329. */
    a_sealed_one(2);
    memset(public_half, 0xff, 3);
    assert_rc(kem_seal_from(public_half, random_bytes, sealed, shared, &err), RC_VALUE);
}

static void ids_tell_keys_apart(void **state)
{
    uint8_t id[2][KEY_ID_SIZE];

    (void)state;
    a_sealed_one(0);
    assert_rc(kem_id(public_half, id[0], NULL), RC_OK);
    check((struct bytes){ id[0], KEY_ID_SIZE }, "2e816deebcd76c5c80d0cd2d17447887");
    a_sealed_one(1);
    assert_rc(kem_id(public_half, id[1], NULL), RC_OK);
    assert_memory_not_equal(id[0], id[1], KEY_ID_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_hold),
        cmocka_unit_test(what_was_changed_gives_another_secret),
        cmocka_unit_test(fresh_seals_differ),
        cmocka_unit_test(hostile_points_and_keys_are_refused),
        cmocka_unit_test(ids_tell_keys_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
