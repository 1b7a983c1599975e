/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/crypto.h"

static struct bytes unhex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    assert_true(bytes_unhex(hex, out, n));
    return (struct bytes){ .p = out, .n = n };
}

static void check(const uint8_t *got, const char *want_hex)
{
    uint8_t want[128];
    struct bytes w = unhex(want_hex, want);

    assert_memory_equal(got, w.p, w.n);
}

/* FIPS 180-4 example "abc", in one piece and in three. */
static void test_sha256(void **state)
{
    scoped(sha256_free) struct sha256 *ctx = NULL;
    uint8_t got[32];
    struct err err;

    (void)state;
    assert_rc(sha256_of(bytes_of("abc"), got, &err), RC_OK);
    check(got, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_rc(sha256_of((struct bytes){ 0 }, got, &err), RC_OK);
    check(got, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_rc(sha256_new(&ctx, &err), RC_OK);
    for (int round = 0; round < 2; round++) { /* a context can be used again after its end */
        assert_rc(sha256_add(ctx, bytes_of("a"), &err), RC_OK);
        assert_rc(sha256_add(ctx, (struct bytes){ 0 }, &err), RC_OK);
        assert_rc(sha256_add(ctx, bytes_of("bc"), &err), RC_OK);
        assert_rc(sha256_end(ctx, got, &err), RC_OK);
        check(got, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

/* RFC 4231 test case 2. */
static void test_hmac(void **state)
{
    const struct bytes parts[] = { bytes_of("what do ya want "), bytes_of("for nothing?") };
    uint8_t got[64];
    struct err err;

    (void)state;
    assert_rc(crypto_hmac(256, bytes_of("Jefe"), parts, 2, got, &err), RC_OK);
    check(got, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_rc(crypto_hmac(384, bytes_of("Jefe"), parts, 2, got, &err), RC_OK);
    check(got, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
               "8e2240ca5e69e2c78b3239ecfab21649");
    assert_rc(crypto_hmac(512, bytes_of("Jefe"), parts, 2, got, &err), RC_OK);
    check(got, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
               "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    assert_rc(crypto_hmac(256, (struct bytes){ 0 }, parts, 2, got, &err), RC_VALUE);
    assert_rc(crypto_hmac(1, bytes_of("Jefe"), parts, 2, got, &err), RC_VALUE);
}

/* RFC 5869 test case 1. */
static void test_hkdf(void **state)
{
    uint8_t ikm[22];
    uint8_t salt[13];
    uint8_t okm[42];
    char info[11] = "";
    struct err err;

    (void)state;
    memset(ikm, 0x0b, sizeof ikm);
    for (uint8_t i = 0; i < sizeof salt; i++)
        salt[i] = i;
    for (uint8_t i = 0; i < 10; i++)
        info[i] = (char)(0xf0 + i);
    assert_rc(crypto_hkdf((struct bytes){ .p = ikm, .n = sizeof ikm },
                          (struct bytes){ .p = salt, .n = sizeof salt }, info, okm, sizeof okm,
                          &err),
              RC_OK);
    check(okm, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
               "34007208d5b887185865");
}

/* RFC 5869 test cases 2 and 3, and the inputs of 1 to 3 with SHA-384: those by Python's hmac and by
 * python3-cryptography. */
static void test_hkdf_bits(void **state)
{
    static const struct {
        unsigned bits;
        int from[3], to[3]; /* key, salt, info: bytes that count up, or from alone 22 times */
        size_t n;
        const char *okm;
    } rows[] = {
        { 256,
          { 0x00, 0x60, 0xb0 },
          { 0x50, 0xb0, 0x100 },
          82,
          "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c6"
          "5e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87" },
        { 256,
          { 0x0b, 0, 0 },
          { 0, 0, 0 },
          42,
          "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8" },
        { 384,
          { 0x0b, 0, 0xf0 },
          { 0, 13, 0xfa },
          42,
          "9b5097a86038b805309076a44b3a9f38063e25b516dcbf369f394cfab43685f748b6457763e4f0204fc5" },
        { 384,
          { 0x00, 0x60, 0xb0 },
          { 0x50, 0xb0, 0x100 },
          82,
          "484ca052b8cc724fd1c4ec64d57b4e818c7e25a8e0f4569ed72a6a05fe0649eebf69f8d5c832856bf4e4fbc1"
          "7967d54975324a94987f7f41835817d8994fdbd6f4c09c5500dca24a56222fea53d8967a8b2e" },
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t part[3][80];
        struct bytes in[3];
        uint8_t okm[82];

        for (size_t j = 0; j < 3; j++) {
            in[j] = (struct bytes){ part[j], 0 };
            for (int v = rows[i].from[j]; v < rows[i].to[j]; v++)
                part[j][in[j].n++] = (uint8_t)v;
        }
        if (in[0].n == 0)
            memset(part[0], rows[i].from[0], in[0].n = 22);
        assert_rc(crypto_hkdf_bits(rows[i].bits, in[0], in[1], in[2], okm, rows[i].n, &err), RC_OK);
        check(okm, rows[i].okm);
        assert_rc(
            crypto_hkdf_bits(rows[i].bits, in[0], in[1], in[2], okm, (size_t)255 * 64 + 1, &err),
            RC_VALUE);
        assert_rc(crypto_hkdf_bits(1, in[0], in[1], in[2], okm, 0, &err), RC_VALUE);
    }
}

/* GCM specification, test case 16, and one flipped bit in each part. */
static void test_gcm(void **state)
{
    uint8_t key[32];
    uint8_t iv[12];
    uint8_t aad[20];
    uint8_t plain[60];
    uint8_t sealed[60];
    uint8_t out[60];
    uint8_t tag[16];
    struct err err;
    const struct bytes k =
        unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key);
    const struct bytes a = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    const struct bytes p = unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                                 plain);
    const struct bytes s = { .p = sealed, .n = p.n };

    (void)state;
    (void)unhex("cafebabefacedbaddecaf888", iv);
    assert_rc(crypto_gcm_seal(k, iv, a, p, sealed, tag, &err), RC_OK);
    check(tag, "76fc6ece0f4e1768cddf8853bb2d551b");
    assert_rc(crypto_gcm_open(k, iv, a, s, tag, out, &err), RC_OK);
    assert_memory_equal(out, plain, p.n);
    for (int part = 0; part < 4; part++) {
        uint8_t *const where[] = { sealed, tag, aad, iv };
        static const uint8_t zero[60];

        where[part][3] ^= 1;
        memset(out, 0xee, sizeof out);
        assert_rc(crypto_gcm_open(k, iv, a, s, tag, out, &err), RC_BPSEC_AUTH);
        assert_memory_equal(out, zero, p.n); /* no plaintext leaves */
        where[part][3] ^= 1;
    }
    assert_rc(crypto_gcm_open((struct bytes){ .p = key, .n = 24 }, iv, a, s, tag, out, &err),
              RC_VALUE);
    /* The same with an IV of 8 bytes (test case 17). */
    const struct bytes iv8 = { .p = iv, .n = 8 };

    assert_rc(crypto_gcm_seal_iv(k, iv8, a, p, sealed, tag, &err), RC_OK);
    check(tag, "3a337dbf46a792c45e454913fe2ea8f2");
    assert_rc(crypto_gcm_open_iv(k, iv8, a, s, tag, out, &err), RC_OK);
    assert_memory_equal(out, plain, p.n);
    assert_rc(crypto_gcm_seal_iv(k, (struct bytes){ .p = iv, .n = 7 }, a, p, sealed, tag, &err),
              RC_VALUE);
}

/* RFC 3394 section 4.6: 256 bits of key data with a 256-bit KEK. */
static void test_wrap_256(void **state)
{
    uint8_t kek[32];
    uint8_t key[32];
    uint8_t wrapped[40];
    uint8_t back[32];
    struct err err;
    const struct bytes e =
        unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", kek);
    const struct bytes k =
        unhex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f", key);
    const struct bytes w = { .p = wrapped, .n = sizeof wrapped };

    (void)state;
    assert_rc(crypto_wrap(e, k, wrapped, &err), RC_OK);
    check(wrapped, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43b"
                   "fb988b9b7a02dd21");
    assert_rc(crypto_unwrap(e, w, back, &err), RC_OK);
    assert_memory_equal(back, key, sizeof key);
    for (size_t i = 0; i < 8 * sizeof wrapped; i++) { /* every bit counts */
        wrapped[i / 8] ^= (uint8_t)(1U << i % 8);
        assert_rc(crypto_unwrap(e, w, back, &err), RC_BPSEC_AUTH);
        wrapped[i / 8] ^= (uint8_t)(1U << i % 8);
    }
}

/* RFC 3394 section 4.3: 128 bits of key data with a 256-bit KEK. */
static void test_wrap(void **state)
{
    uint8_t kek[32];
    uint8_t key[16];
    uint8_t wrapped[24];
    uint8_t back[16];
    struct err err;
    const struct bytes e =
        unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", kek);
    const struct bytes k = unhex("00112233445566778899aabbccddeeff", key);
    const struct bytes w = { .p = wrapped, .n = sizeof wrapped };

    (void)state;
    assert_rc(crypto_wrap(e, k, wrapped, &err), RC_OK);
    check(wrapped, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7");
    assert_rc(crypto_unwrap(e, w, back, &err), RC_OK);
    assert_memory_equal(back, key, 16);
    wrapped[5] ^= 1;
    assert_rc(crypto_unwrap(e, w, back, &err), RC_BPSEC_AUTH);
    assert_rc(crypto_unwrap(e, (struct bytes){ .p = wrapped, .n = 8 }, back, &err), RC_VALUE);
}

/* RFC 8032 section 7.1 test 2; S + L (not canonical) and a small-order key are refused. */
static void test_ed25519(void **state)
{
    uint8_t key[32];
    uint8_t sig[64];
    uint8_t small[32] = { 1 };
    static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                       0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                       0,    0,    0,    0,    0,    0,    0,    0,
                                       0,    0,    0,    0,    0,    0,    0,    0x10 };
    const uint8_t byte = 0x72;
    const struct bytes m = { .p = &byte, .n = 1 };
    const struct bytes s = unhex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                 "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                                 sig);
    unsigned carry = 0;
    struct err err;

    (void)state;
    (void)unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", key);
    assert_rc(crypto_ed25519_verify(key, m, s, &err), RC_OK);
    assert_rc(crypto_ed25519_verify(key, m, (struct bytes){ .p = sig, .n = 63 }, &err), RC_SIG_BAD);
    assert_rc(crypto_ed25519_verify(key, (struct bytes){ 0 }, s, &err), RC_SIG_BAD);
    assert_rc(crypto_ed25519_verify(small, m, s, &err), RC_SIG_BAD);
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)sig[32 + i] + order[i];
        sig[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_rc(crypto_ed25519_verify(key, m, s, &err), RC_SIG_BAD);
}

/* Wrong sizes and garbage are a bad signature, never a success and never a crash. */
static void test_mldsa65_garbage(void **state)
{
    static uint8_t key[MLDSA65_PUBLIC_SIZE];
    static uint8_t sig[MLDSA65_SIGNATURE_SIZE];
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof sig; i++)
        sig[i] = (uint8_t)(i * 7);
    assert_rc(crypto_mldsa65_verify(key, bytes_of("m"), (struct bytes){ .p = sig, .n = 0 }, &err),
              RC_SIG_BAD);
    assert_rc(crypto_mldsa65_verify(key, bytes_of("m"),
                                    (struct bytes){ .p = sig, .n = sizeof sig - 1 }, &err),
              RC_SIG_BAD);
    assert_rc(crypto_mldsa65_verify(key, bytes_of("m"), (struct bytes){ .p = sig, .n = sizeof sig },
                                    &err),
              RC_SIG_BAD);
}

static void test_equal(void **state)
{
    (void)state;
    assert_true(crypto_equal(bytes_of("abc"), bytes_of("abc")));
    assert_false(crypto_equal(bytes_of("abc"), bytes_of("abd")));
    assert_false(crypto_equal(bytes_of("abc"), bytes_of("ab")));
    assert_true(crypto_equal((struct bytes){ 0 }, (struct bytes){ 0 }));
}

/* What stays ready changes no result: more keys and uses in turn than are kept, in any order. */
static void test_kept(void **state)
{
    const struct bytes parts[] = { bytes_of("one"), { 0 }, bytes_of(" and the other") };
    static const unsigned bits[] = { 256, 384, 512 };
    static const size_t key_n[] = { 1, 32, 48, 64, 65, 100 };
    uint8_t key[100];
    uint8_t want[64];
    uint8_t got[64];
    struct err err;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        size_t n = key_n[i % 7 % 6];
        unsigned size = bits[i % 3];

        memset(key, (int)(i % 5), sizeof key);
        assert_rc(crypto_hmac(size, (struct bytes){ .p = key, .n = n }, parts, 3, want, &err),
                  RC_OK);
        assert_rc(crypto_hmac_kept(size, (struct bytes){ .p = key, .n = n }, parts, 3, got, &err),
                  RC_OK);
        assert_memory_equal(got, want, size / 8);
        if (i % 1000 == 999)
            crypto_forget();
    }
    for (unsigned i = 0; i < 3000; i++) { /* one key, longer than its context is used */
        assert_rc(crypto_hmac_kept(384, bytes_of("Jefe"), parts, 3, got, &err), RC_OK);
        assert_rc(crypto_hmac(384, bytes_of("Jefe"), parts, 3, want, &err), RC_OK);
        assert_memory_equal(got, want, 48);
    }
    assert_rc(crypto_hmac_kept(384, (struct bytes){ 0 }, parts, 3, got, &err), RC_VALUE);
    assert_rc(crypto_hmac_kept(2, bytes_of("Jefe"), parts, 3, got, &err), RC_VALUE);
}

static void test_gcm_kept(void **state)
{
    const struct bytes aad = bytes_of("header");
    const struct bytes plain = bytes_of("a text of no particular length");
    uint8_t key[32];
    uint8_t iv[GCM_IV_MAX] = { 0 };
    uint8_t want[64], got[64], back[64];
    uint8_t want_tag[GCM_TAG_SIZE], tag[GCM_TAG_SIZE];
    struct err err;

    (void)state;
    for (unsigned i = 0; i < 3000; i++) {
        struct bytes k = { .p = key, .n = i % 3 == 0 ? 16 : 32 };
        struct bytes v = { .p = iv, .n = i % 11 == 0 ? 8 : GCM_IV_SIZE };
        struct bytes s = { .p = got, .n = plain.n };

        memset(key, (int)(i % 4), sizeof key);
        bytes_put_be(iv, 4, i);
        assert_rc(crypto_gcm_seal_iv(k, v, aad, plain, want, want_tag, &err), RC_OK);
        assert_rc(crypto_gcm_seal_kept(k, v, aad, plain, got, tag, &err), RC_OK);
        assert_memory_equal(got, want, plain.n);
        assert_memory_equal(tag, want_tag, sizeof tag);
        assert_rc(crypto_gcm_open_kept(k, v, aad, s, tag, back, &err), RC_OK);
        assert_memory_equal(back, plain.p, plain.n);
        if (i % 5 != 0)
            continue;
        tag[i % sizeof tag] ^= 1; /* refused, wiped, and no harm to what comes after */
        assert_rc(crypto_gcm_open_kept(k, v, aad, s, tag, back, &err), RC_BPSEC_AUTH);
        for (size_t at = 0; at < plain.n; at++)
            assert_int_equal(back[at], 0);
    }
    crypto_forget();
    assert_rc(crypto_gcm_seal_kept((struct bytes){ .p = key, .n = 24 },
                                   (struct bytes){ .p = iv, .n = GCM_IV_SIZE }, aad, plain, got,
                                   tag, &err),
              RC_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256),   cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_hkdf),     cmocka_unit_test(test_hkdf_bits),
        cmocka_unit_test(test_gcm),      cmocka_unit_test(test_wrap),
        cmocka_unit_test(test_wrap_256), cmocka_unit_test(test_ed25519),
        cmocka_unit_test(test_equal),    cmocka_unit_test(test_mldsa65_garbage),
        cmocka_unit_test(test_kept),     cmocka_unit_test(test_gcm_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
