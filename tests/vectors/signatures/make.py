#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes ed25519.txt: signatures at the edges of RFC 8032, made by an Ed25519 of their own in plain
integers, which shares nothing with the libraries under test.  Run by hand; the vectors are committed.

What must be refused: S not below L (section 5.1.7), a key or an R of small order, a key that is not
the canonical encoding of a point, and whatever does not fulfil the equation without cofactor."""
import hashlib
import os

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
I = pow(2, (P - 1) // 4, P)


def add(a, b):
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return ((x1 * y2 + x2 * y1) * pow(1 + t, P - 2, P) % P, (y1 * y2 + x1 * x2) * pow(1 - t, P - 2, P) % P)


def mul(n, a):
    r = (0, 1)
    while n:
        if n & 1:
            r = add(r, a)
        a, n = add(a, a), n >> 1
    return r


def x_of(y, odd):
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * I % P
    if (x * x - xx) % P:
        return None
    return P - x if x & 1 != odd else x


def enc(a):
    return (a[1] | (a[0] & 1) << 255).to_bytes(32, "little")


B = (x_of(4 * pow(5, P - 2, P) % P, 0), 4 * pow(5, P - 2, P) % P)


def num(b):
    return int.from_bytes(b, "little")


def scalar(seed):
    h = hashlib.sha512(seed).digest()
    return num(h[:32]) & ((1 << 254) - 8) | (1 << 254), h[32:]


def challenge(r, key, m):
    return num(hashlib.sha512(r + key + m).digest()) % L


def sign(seed, m, prefix=b""):
    a, nonce = scalar(seed)
    key = enc(mul(a, B))
    r = num(hashlib.sha512(prefix + nonce + m).digest()) % L
    big_r = enc(mul(r, B))
    k = num(hashlib.sha512(prefix + big_r + key + m).digest()) % L
    return key, big_r + ((r + k * a) % L).to_bytes(32, "little")


def small_order():
    """The eight points of small order."""
    y = 2
    while True:
        x = x_of(y, 0)
        if x is not None:
            t = mul(L, (x, y))
            if mul(4, t) != (0, 1):
                return [mul(i, t) for i in range(8)]
        y += 1


out = []
counts = {"ok": 0, "bad": 0}


def vector(want, key, m, sig, why):
    counts[want] += 1
    out.append(f"key {key.hex()}\n{want} {m.hex() or '-'} {sig.hex() or '-'} {why}\n")


def s_is(sig, n):
    return sig[:32] + n.to_bytes(32, "little")


# RFC 8032 section 7.1, tests 1 to 3 and SHA(abc).
for seed, m in (("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", ""),
                ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72"),
                ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82"),
                ("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
                 hashlib.sha512(b"abc").hexdigest())):
    key, sig = sign(bytes.fromhex(seed), bytes.fromhex(m))
    vector("ok", key, bytes.fromhex(m), sig, "RFC 8032 section 7.1")
assert out[0].split()[1].startswith("d75a980182b10ab7") and out[0].split()[4].startswith("e5564300c360ac72")
assert out[1].split()[4].startswith("92a009a9f0d4cab8") and out[3].split()[4].startswith("dc2a4459e7369633")

SEED = bytes(range(32))
for n in list(range(0, 130, 13)) + [255, 256, 1023]:
    m = bytes(i * 7 % 256 for i in range(n))
    key, sig = sign(SEED, m)
    vector("ok", key, m, sig, f"message of {n} bytes")

M = b"berth"
key, sig = sign(SEED, M)
s = num(sig[32:])
for n in (1, 2, 4, 8, 14):
    if s + n * L < 2**256:
        vector("bad", key, M, s_is(sig, s + n * L), f"S + {n} L")
for bit in (253, 254, 255):
    vector("bad", key, M, s_is(sig, s | 1 << bit), f"bit {bit} of S set")
vector("bad", key, M, s_is(sig, L), "S is L")
vector("bad", key, M, s_is(sig, L - 1), "S is L - 1, of nothing")
vector("bad", key, M, s_is(sig, 0), "S is zero")
vector("bad", key, M, s_is(sig, 2**256 - 1), "S all ones")
vector("bad", key, M, s_is(sig, L - s), "S negated")
vector("bad", key, M, bytes(64), "zeros")
vector("bad", key, M, b"\xff" * 64, "ones")
vector("bad", key, M, sig[32:] + sig[:32], "R and S exchanged")
vector("bad", key, M, sig[:32] + sig[:32], "R twice")
vector("bad", key, M, key + sig[32:], "key for R")
vector("bad", key, M, sig[:31] + bytes([sig[31] ^ 0x80]) + sig[32:], "sign of R flipped")
for i in range(64):
    vector("bad", key, M, sig[:i] + bytes([sig[i] ^ 1 << i % 8]) + sig[i + 1:], f"bit {i % 8} of byte {i}")
for m in (b"", b"Berth", b"berth\0", b"bert", b"\0berth"):
    vector("bad", key, m, sig, "another message")
for n in (0, 1, 31, 32, 33, 62, 63):
    vector("bad", key, M, sig[:n], f"{n} bytes of 64")
for tail in (b"\0", b"\1", sig[63:], sig, b"\0" * 32):
    vector("bad", key, M, sig + tail, f"{64 + len(tail)} bytes")
vector("bad", key, M, b"\0" + sig, "byte in front")
vector("bad", key, M, b"\x30\x44\x02\x20" + sig[:32] + b"\x02\x20" + sig[32:], "as DER")
vector("bad", key, M, sig.hex().encode(), "as hex")
vector("bad", sign(bytes(32), M)[0], M, sig, "another key")

# Section 2: Ed25519ph and Ed25519ctx prefix what they hash; neither is Ed25519.
dom = b"SigEd25519 no Ed25519 collisions"
vector("bad", *(lambda ks: (ks[0], M, ks[1]))(sign(SEED, M, dom + b"\0\3ctx")), "Ed25519ctx")
ph = hashlib.sha512(M).digest()
vector("bad", *(lambda ks: (ks[0], M, ks[1]))(sign(SEED, ph, dom + b"\1\0")), "Ed25519ph")

# With a key of small order, R = S B is good for one message in eight at least, and for all if the key is the
# neutral element.
low = small_order()
one = (1).to_bytes(32, "little")
for i, t in enumerate(low):
    for m in (M, b"berth2", b"berth3"):
        vector("bad", enc(t), m, one + bytes(32), f"small-order key {i}, R neutral, S zero")
    big_r = enc(mul(5, B))
    vector("bad", enc(t), M, s_is(big_r, 5), f"small-order key {i}, R = S B")
# y not below p, and the sign bit on x = 0: other names for points that have one already.
for y, odd, why in ((P + 1, 0, "y = p + 1"), (P, 0, "y = p"), (1, 1, "neutral with sign"), (P - 1, 1, "-1 with sign"),
                    (P + 1, 1, "y = p + 1 with sign"), (2**255 - 1, 0, "y = 2^255 - 1"), (P, 1, "y = p with sign")):
    odd_key = (y | odd << 255).to_bytes(32, "little")
    vector("bad", odd_key, M, one + bytes(32), f"key not canonical, {why}")
    vector("bad", key, M, odd_key + sig[32:], f"R not canonical, {why}")
for y in range(2, 40):
    if x_of(y, 0) is None:
        vector("bad", y.to_bytes(32, "little"), M, sig, f"key no point, y = {y}")
        vector("bad", key, M, y.to_bytes(32, "little") + sig[32:], f"R no point, y = {y}")
# R of small order, with the S that goes with it: the nonce is zero, so the key is given away.
a, _ = scalar(SEED)
for i, t in enumerate(low):
    for j in range(64):
        m = M + bytes([j])
        if i == 0 or challenge(enc(t), key, m) % 8 == 0:
            vector("bad", key, m, s_is(enc(t), challenge(enc(t), key, m) * a % L), f"small-order R {i}")
            break
# A key with a part of small order: good only where the cofactor hides it, or where k is a multiple of 8.
mixed = enc(add(mul(a, B), low[1]))
r = 7
big_r = enc(mul(r, B))
seen = set()
for j in range(256):
    m = M + bytes([j])
    k = challenge(big_r, mixed, m)
    want = "ok" if k % 8 == 0 else "bad"
    if want not in seen or len(seen) == 0:
        seen.add(want)
        vector(want, mixed, m, s_is(big_r, (r + k * a) % L), f"key of mixed order, k mod 8 = {k % 8}")
mixed_r = enc(add(mul(r, B), low[3]))
k = challenge(mixed_r, key, M)
vector("bad", key, M, s_is(mixed_r, (r + k * a) % L), "R of mixed order")

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "ed25519.txt"), "w") as f:
    f.write(f"# SPDX-License-Identifier: Apache-2.0\n# Made by make.py: {counts['ok']} ok, {counts['bad']} bad.\n")
    f.write("# key KEY, then: ok|bad MESSAGE SIGNATURE WHY; hex, - for empty.\n")
    f.writelines(out)
print(counts)
