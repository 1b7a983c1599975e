# SPDX-License-Identifier: Apache-2.0
"""ML-DSA-65 and ML-DSA-87 verification in plain integers, straight from FIPS 204 (algorithms 3 and 8).  Slow, for tests."""
import hashlib

Q, D, GAMMA1, GAMMA2 = 8380417, 13, 1 << 19, 261888


class Params:  # FIPS 204, table 1
    def __init__(self, tau, k, l, beta, omega, c_tilde):
        self.tau, self.k, self.l, self.beta, self.omega, self.c_tilde = tau, k, l, beta, omega, c_tilde


MLDSA65, MLDSA87 = Params(49, 6, 5, 196, 55, 48), Params(60, 8, 7, 120, 75, 64)
ZETAS = [pow(1753, int(f"{i:08b}"[::-1], 2), Q) for i in range(256)]


def ntt(w):  # algorithm 41
    w, m, n = list(w), 0, 128
    while n >= 1:
        for start in range(0, 256, 2 * n):
            m += 1
            for j in range(start, start + n):
                t = ZETAS[m] * w[j + n] % Q
                w[j + n], w[j] = (w[j] - t) % Q, (w[j] + t) % Q
        n //= 2
    return w


def inverse_ntt(w):  # algorithm 42
    w, m, n = list(w), 256, 1
    while n < 256:
        for start in range(0, 256, 2 * n):
            m -= 1
            for j in range(start, start + n):
                t = w[j]
                w[j], w[j + n] = (t + w[j + n]) % Q, -ZETAS[m] * (t - w[j + n]) % Q
        n *= 2
    return [x * 8347681 % Q for x in w]


def unpack(data, bits):
    n = int.from_bytes(data, "little")
    return [n >> i * bits & (1 << bits) - 1 for i in range(len(data) * 8 // bits)]


def expand_a(rho, r, s):  # algorithms 30 and 32
    stream, poly = hashlib.shake_128(rho + bytes([s, r])).digest(1344), []
    for i in range(0, len(stream), 3):
        x = int.from_bytes(stream[i:i + 3], "little") & 0x7FFFFF
        if x < Q and len(poly) < 256:
            poly.append(x)
    assert len(poly) == 256
    return poly


def sample_in_ball(p, seed):  # algorithm 29
    stream, c, at = hashlib.shake_256(seed).digest(1024), [0] * 256, 8
    signs = int.from_bytes(stream[:8], "little")
    for i in range(256 - p.tau, 256):
        while stream[at] > i:
            at += 1
        c[i], c[stream[at]] = c[stream[at]], 1 - 2 * (signs & 1)
        signs, at = signs >> 1, at + 1
    return c


def hints(p, y):  # algorithm 21
    h, index = [set() for _ in range(p.k)], 0
    for i in range(p.k):
        first, end = index, y[p.omega + i]
        if end < index or end > p.omega:
            return None
        for index in range(first, end):
            if index > first and y[index - 1] >= y[index]:
                return None
            h[i].add(y[index])
        index = end
    return None if any(y[index:p.omega]) else h


def use_hint(hint, r):  # algorithms 36 and 40
    r0 = r % (2 * GAMMA2)
    r0 -= 2 * GAMMA2 if r0 > GAMMA2 else 0
    r1 = (r - r0) // (2 * GAMMA2)
    if r - r0 == Q - 1:
        r1, r0 = 0, r0 - 1
    return (r1 + (1 if r0 > 0 else -1) * hint) % 16


def verify(p, key, message, signature, context=b""):
    at = p.c_tilde + p.l * 640  # of the hint
    if len(key) != 32 + p.k * 320 or len(signature) != at + p.omega + p.k or len(context) > 255:
        return False
    rho, c_tilde = key[:32], signature[:p.c_tilde]
    z = [[GAMMA1 - x for x in unpack(signature[i:i + 640], 20)] for i in range(p.c_tilde, at, 640)]
    h = hints(p, signature[at:])
    if h is None or max(abs(x) for poly in z for x in poly) >= GAMMA1 - p.beta:
        return False
    mu = hashlib.shake_256(hashlib.shake_256(key).digest(64) + bytes([0, len(context)]) + context + message).digest(64)
    c, z, w1 = ntt(sample_in_ball(p, c_tilde)), [ntt(poly) for poly in z], 0
    for r in range(p.k):
        t1 = ntt([x << D for x in unpack(key[32 + r * 320:352 + r * 320], 10)])
        a = [expand_a(rho, r, s) for s in range(p.l)]
        w = inverse_ntt([(sum(a[s][i] * z[s][i] for s in range(p.l)) - c[i] * t1[i]) % Q for i in range(256)])
        for i in range(256):
            w1 |= use_hint(i in h[r], w[i]) << 4 * (256 * r + i)
    return hashlib.shake_256(mu + w1.to_bytes(p.k * 128, "little")).digest(p.c_tilde) == c_tilde
