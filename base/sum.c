/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sum.h"

#include <stddef.h>

#define BLOCK 64U

static const uint32_t start[8] = {
    0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
    0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U,
};

static const uint32_t k[BLOCK] = {
    0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U, 0x923f82a4U,
    0xab1c5ed5U, 0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U, 0x72be5d74U, 0x80deb1feU,
    0x9bdc06a7U, 0xc19bf174U, 0xe49b69c1U, 0xefbe4786U, 0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU,
    0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU, 0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U,
    0xc6e00bf3U, 0xd5a79147U, 0x06ca6351U, 0x14292967U, 0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU,
    0x53380d13U, 0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U, 0xa2bfe8a1U, 0xa81a664bU,
    0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U, 0x19a4c116U,
    0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU, 0x5b9cca4fU, 0x682e6ff3U,
    0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U, 0x90befffaU, 0xa4506cebU, 0xbef9a3f7U,
    0xc67178f2U,
};

static uint32_t turn(uint32_t x, unsigned n)
{
    return x >> n | x << (32U - n);
}

/* FIPS 180-4, section 6.2.2. */
static void add_block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[BLOCK], s[8];

    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)bytes_get_be(p + 4 * i, 4);
    for (size_t i = 16; i < BLOCK; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];

        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] +
               (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    for (size_t i = 0; i < 8; i++)
        s[i] = h[i];
    for (size_t i = 0; i < BLOCK; i++) {
        uint32_t t1 = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
                      ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
        uint32_t t2 = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) +
                      ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

        for (size_t j = 7; j > 0; j--)
            s[j] = s[j - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (size_t i = 0; i < 8; i++)
        h[i] += s[i];
}

void sum_of(struct bytes data, uint8_t ret[SUM_SIZE])
{
    uint8_t tail[2 * BLOCK] = { 0 };
    uint32_t h[8];
    size_t whole = data.n / BLOCK * BLOCK, rest = data.n - whole;
    size_t n = rest + 9 <= BLOCK ? BLOCK : 2 * (size_t)BLOCK;

    memcpy(h, start, sizeof h);
    for (size_t at = 0; at < whole; at += BLOCK)
        add_block(h, data.p + at);
    if (rest > 0)
        memcpy(tail, data.p + whole, rest);
    tail[rest] = 0x80;
    bytes_put_be(tail + n - 8, 8, (uint64_t)data.n * 8U);
    for (size_t at = 0; at < n; at += BLOCK)
        add_block(h, tail + at);
    for (size_t i = 0; i < 8; i++)
        bytes_put_be(ret + 4 * i, 4, h[i]);
}
