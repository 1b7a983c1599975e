# SPDX-License-Identifier: Apache-2.0
"""X-Wing key generation and decapsulation (draft-connolly-cfrg-xwing-kem) on a plain ML-KEM-768 (FIPS 203), written
from the specifications for the tests: slow, not constant time, shares nothing with ours."""
import hashlib

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Q, N, K, ETA, DU, DV = 3329, 256, 3, 2, 10, 4


def bitrev7(i):
    return int(f"{i:07b}"[::-1], 2)


ZETA = [pow(17, bitrev7(i), Q) for i in range(128)]
GAMMA = [pow(17, 2 * bitrev7(i) + 1, Q) for i in range(128)]


def ntt(f):
    f, i, step = list(f), 1, 128
    while step >= 2:
        for start in range(0, N, 2 * step):
            z = ZETA[i]
            i += 1
            for j in range(start, start + step):
                t = z * f[j + step] % Q
                f[j + step], f[j] = (f[j] - t) % Q, (f[j] + t) % Q
        step //= 2
    return f


def inverse_ntt(f):
    f, i, step = list(f), 127, 2
    while step <= 128:
        for start in range(0, N, 2 * step):
            z = ZETA[i]
            i -= 1
            for j in range(start, start + step):
                t = f[j]
                f[j] = (t + f[j + step]) % Q
                f[j + step] = z * (f[j + step] - t) % Q
        step *= 2
    return [x * 3303 % Q for x in f]


def times(f, g):
    h = []
    for i in range(128):
        a, b, c, d = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
        h += [(a * c + b * d * GAMMA[i]) % Q, (a * d + b * c) % Q]
    return h


def plus(f, g):
    return [(a + b) % Q for a, b in zip(f, g)]


def inner(f, g):
    total = [0] * N
    for a, b in zip(f, g):
        total = plus(total, times(a, b))
    return total


def pack(f, d):
    return sum(x << (d * i) for i, x in enumerate(f)).to_bytes(32 * d, "little")


def unpack(b, d):
    v = int.from_bytes(b, "little")
    return [v >> (d * i) & ((1 << d) - 1) for i in range(N)]


def compress(f, d):
    return [((x << d) + Q // 2) // Q % (1 << d) for x in f]


def decompress(f, d):
    return [(x * Q + (1 << (d - 1))) >> d for x in f]


def sample_ntt(seed):
    raw, f, i = hashlib.shake_128(seed).digest(1344), [], 0
    while len(f) < N:
        a, b, c = raw[i:i + 3]
        i += 3
        f += [x for x in (a | (b & 15) << 8, b >> 4 | c << 4) if x < Q]
    return f[:N]


def sample_cbd(seed, nonce):
    v = int.from_bytes(hashlib.shake_256(seed + bytes([nonce])).digest(64 * ETA), "little")
    bit = [v >> i & 1 for i in range(4 * N)]
    return [(sum(bit[4 * i:4 * i + 2]) - sum(bit[4 * i + 2:4 * i + 4])) % Q for i in range(N)]


def matrix(rho):
    return [[sample_ntt(rho + bytes([j, i])) for j in range(K)] for i in range(K)]


def mlkem_keygen(d, z):
    g = hashlib.sha3_512(d + bytes([K])).digest()
    rho, sigma = g[:32], g[32:]
    s = [ntt(sample_cbd(sigma, i)) for i in range(K)]
    e = [ntt(sample_cbd(sigma, K + i)) for i in range(K)]
    t = [plus(inner(row, s), e[i]) for i, row in enumerate(matrix(rho))]
    return s, b"".join(pack(f, 12) for f in t) + rho, z


def encrypt(ek, m, r):
    t, a = [unpack(ek[384 * i:384 * i + 384], 12) for i in range(K)], matrix(ek[384 * K:])
    y = [ntt(sample_cbd(r, i)) for i in range(K)]
    e1 = [sample_cbd(r, K + i) for i in range(K)]
    u = [plus(inverse_ntt(inner([a[j][i] for j in range(K)], y)), e1[i]) for i in range(K)]
    v = plus(plus(inverse_ntt(inner(t, y)), sample_cbd(r, 2 * K)), decompress(unpack(m, 1), 1))
    return b"".join(pack(compress(f, DU), DU) for f in u) + pack(compress(v, DV), DV)


def mlkem_open(key, sealed):
    s, ek, z = key
    u = [decompress(unpack(sealed[320 * i:320 * i + 320], DU), DU) for i in range(K)]
    v = decompress(unpack(sealed[320 * K:], DV), DV)
    w = inverse_ntt(inner(s, [ntt(f) for f in u]))
    m = pack(compress([(a - b) % Q for a, b in zip(v, w)], 1), 1)
    g = hashlib.sha3_512(m + hashlib.sha3_256(ek).digest()).digest()
    if encrypt(ek, m, g[32:]) != sealed:
        return hashlib.shake_256(z + sealed).digest(32)
    return g[:32]


def grow(seed):
    raw = hashlib.shake_256(seed).digest(96)
    x = X25519PrivateKey.from_private_bytes(raw[64:])
    return mlkem_keygen(raw[:32], raw[32:64]), x, x.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def public(seed):
    mlkem, _, public_x = grow(seed)
    return mlkem[1] + public_x


def open_sealed(seed, sealed):
    mlkem, x, public_x = grow(seed)
    shared_m = mlkem_open(mlkem, sealed[:1088])
    shared_x = x.exchange(X25519PublicKey.from_public_bytes(sealed[1088:]))
    return hashlib.sha3_256(shared_m + shared_x + sealed[1088:] + public_x + rb"\.//^" + b"\\").digest()
