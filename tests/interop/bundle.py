# SPDX-License-Identifier: Apache-2.0
"""Whether bytes are a bundle that may be taken, by RFC 9171, 9172, 9173 and 9758 and the limits of docs/wire/link.md, at both levels.  Written
from those texts, to disagree with link/ where either is wrong; every bundle that is accepted must also be what python3-cbor2 reads."""
import cbor2

BLOCKS_MAX, DTN_MAX, TOTAL_MAX = 16, 255, 2**32
PAYLOAD, PREVIOUS, AGE, HOPS, BIB, BCB = 1, 6, 7, 10, 11, 12
KNOWN = {PAYLOAD, PREVIOUS, AGE, HOPS, BIB, BCB}
REPORTS = 0x74000
MACS = {5: 32, 6: 48, 7: 64}
ANY = object()  # an item that nobody looks into


class Invalid(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Invalid(why)


def table(polynomial):
    out = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (polynomial if i & 1 else 0)
        out.append(i)
    return out


CRC16, CRC32C = table(0x8408), table(0x82F63B78)


def crc(kind, data):
    rows, value = (CRC16, 0xFFFF) if kind == 1 else (CRC32C, 0xFFFFFFFF)
    mask = value
    for byte in data:
        value = value >> 8 ^ rows[(value ^ byte) & 0xFF]
    return (value ^ mask).to_bytes(2 if kind == 1 else 4, "big")


class Reader:
    """Deterministic CBOR (RFC 8949 section 4.2.1) but for the order of map keys."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def head(self):
        need(self.at < len(self.data), "short")
        first = self.data[self.at]
        major, info = first >> 5, first & 31
        self.at += 1
        if info < 24:
            return major, info, info
        need(info < 28, "indefinite or reserved")
        n = 1 << info - 24
        need(self.at + n <= len(self.data), "short")
        value = int.from_bytes(self.data[self.at:self.at + n], "big")
        self.at += n
        if major == 7:
            need(info != 24 or value >= 32, "simple value")
        else:
            need(value >= {1: 24, 2: 2**8, 4: 2**16, 8: 2**32}[n], "not the shortest form")
        return major, value, info

    def typed(self, want):
        major, value, _ = self.head()
        need(major == want, "type")
        return value

    def uint(self):
        return self.typed(0)

    def array(self, *counts):
        n = self.typed(4)
        need(not counts or n in counts, "count")
        return n

    def string(self, want):
        n = self.typed(want)
        need(n <= len(self.data) - self.at, "short")
        self.at += n
        return self.data[self.at - n:self.at]

    def bstr(self):
        return self.string(2)

    def skip(self):
        owed = 1
        while owed:
            major, value, _ = self.head()
            owed -= 1
            if major in (2, 3):
                need(value <= len(self.data) - self.at, "short")
                self.at += value
            elif major in (4, 5):
                owed += value * (major - 3)
            elif major == 6:
                owed += 1
            need(owed <= len(self.data) - self.at, "short")
        return ANY

    def end(self):
        need(self.at == len(self.data), "trailing")


def dtn(name, strict):
    need(0 < len(name) <= DTN_MAX and all(0x20 < c < 0x7F for c in name), "dtn name")
    need(not strict or (name.startswith(b"//") and len(name) > 2), "dtn name without //")
    need(not {b".", b".."} & set(name.split(b"/")), "dtn name with dots")
    return "dtn", name


def eid(r, strict):
    """None for the null endpoint."""
    r.array(2)
    scheme = r.uint()
    if scheme == 1:
        if r.at < len(r.data) and r.data[r.at] >> 5 == 0:
            need(r.uint() == 0, "dtn number")
            return None, False
        return dtn(r.string(3), strict), False
    need(scheme == 2, "scheme")
    n = r.array(2, 3)
    numbers = [r.uint() for _ in range(n)]
    if n == 3:
        need(numbers[0] < 2**32 and numbers[1] < 2**32, "allocator or node")
        numbers = [numbers[0] << 32 | numbers[1], numbers[2]]
    odd = numbers[0] == 0 and numbers[1] != 0
    need(not (strict and odd), "ipn:0.x")
    return (("ipn", *numbers) if numbers[0] else None), odd


def check_crc(r, kind, start):
    if kind == 0:
        return
    n = 2 if kind == 1 else 4
    got = r.bstr()
    need(len(got) == n, "CRC length")
    need(crc(kind, r.data[start:r.at - n] + bytes(n)) == got, "CRC")


def primary(r, strict):
    start, b = r.at, {}
    n = r.array(8, 9, 10, 11)
    need(r.uint() == 7, "version")
    b["flags"], b["crc"] = r.uint(), r.uint()
    need(b["crc"] <= 2, "CRC type")
    fragment = b["flags"] & 1
    need(n == 8 + 2 * fragment + (b["crc"] > 0), "fields")
    _, odd = eid(r, strict)
    need(not odd, "destination ipn:0.x")
    b["source"], _ = eid(r, strict)
    eid(r, strict)
    need(not (fragment and b["flags"] & 0x6), "fragment that may not be")
    need(not (b["flags"] & 0x2 and b["flags"] & REPORTS), "record asks for reports")
    need(b["source"] or (b["flags"] & 0x4 and not b["flags"] & REPORTS), "anonymous")
    r.array(2)
    b["time"], _, b["lifetime"] = r.uint(), r.uint(), r.uint()
    if fragment:
        b["offset"], b["total"] = r.uint(), r.uint()
        need(b["total"] <= TOTAL_MAX and (b["offset"] < b["total"] or (not strict and b["total"] == 0)), "fragment")
    check_crc(r, b["crc"], start)
    return b


def block(r):
    start = r.at
    n = r.array()
    b = {"type": r.uint(), "number": r.uint(), "flags": r.uint(), "crc": r.uint()}
    need(b["crc"] <= 2 and n == 5 + (b["crc"] > 0), "block fields")
    b["data"] = r.bstr()
    check_crc(r, b["crc"], start)
    need(b["type"] != 0 and b["number"] != 0 and (b["type"] == PAYLOAD) == (b["number"] == 1), "type or number")
    return b


def extension(b, bundle, strict):
    r = Reader(b["data"])
    if b["type"] == PREVIOUS:
        eid(r, strict)
    elif b["type"] == AGE:
        bundle["age"] = r.uint()
    elif b["type"] == HOPS:
        r.array(2)
        bundle["hops"] = r.uint(), r.uint()
        need(1 <= bundle["hops"][0] <= 255, "hop limit")
    else:
        return
    r.end()


def targets(r):
    n = r.array()
    need(1 <= n <= BLOCKS_MAX, "number of targets")
    return [r.uint() for _ in range(n)]


def parameters(r, context):
    names = {1: {1: "variant", 2: "key", 3: "scope"}, 2: {1: "iv", 2: "variant", 3: "key", 4: "scope"}}[context]
    out = {}
    for _ in range(r.array()):
        r.array(2)
        name = names.get(r.uint())
        need(name and name not in out, "parameter")
        out[name] = r.uint() if name in ("variant", "scope") else r.bstr()
    return out


def security(b, strict):
    """Targets and whether the context is one that is understood."""
    r = Reader(b["data"])
    to = targets(r)
    need(len(set(to)) == len(to), "target twice")
    major, value, _ = r.head()
    need(major in (0, 1) and value < 2**63, "context")
    context = value if major == 0 else -1 - value
    flags = r.uint()
    eid(r, strict)
    known = context in (1, 2)
    need(not known or (context == 1) == (b["type"] == BIB), "context of the other type")
    given = {}
    if flags & 1 and known:
        given = parameters(r, context)
    elif flags & 1:
        for _ in range(r.array()):
            r.array(2), r.uint(), r.skip()
    size = 16
    if known:
        variant = given.get("variant", 6 if context == 1 else 3)
        need(variant in (MACS if context == 1 else (1, 3)), "variant")
        size = MACS[variant] if context == 1 else 16
        need(given.get("scope", 7) <= 7, "scope")
        need(context == 1 or 8 <= len(given.get("iv", b"")) <= 16, "IV")  # RFC 9173 section 4.3.1
        key = given.get("key", bytes(24))
        need(24 <= len(key) <= 72 and len(key) % 8 == 0, "wrapped key")
    need(r.array() == len(to), "results")
    for _ in to:
        n = r.array()
        need(not known or n == 1 or (n == 0 and context == 2), "results of a target")
        for _ in range(n):
            r.array(2)
            number = r.uint()
            if known:
                need(number == 1 and len(r.bstr()) == size, "result")
            else:
                r.skip()
    r.end()
    return to, known


def check_security(bundle, blocks, sealed, strict):
    by_number = {b["number"]: b for b in blocks}
    by_number[0] = {"type": 0, "crc": bundle["crc"]}
    done = set()
    for b in blocks:
        if b["type"] not in (BIB, BCB) or (b["type"] == BIB and b["number"] in sealed):
            continue
        to, known = security(b, strict)
        for number in to:
            target = by_number.get(number)
            need(target, "target is not there")
            need((b["type"], number) not in done, "service twice")
            done.add((b["type"], number))
            if b["type"] == BIB:
                need(target["type"] not in (BIB, BCB), "BIB over a security block")
            else:
                need(target["type"] not in (0, BCB), "BCB over primary block or BCB")
                need(number != 1 or (b["flags"] & 0x11) == 0x01, "flags of a BCB over the payload")
            need(not (strict and known and target["crc"]), "target has a CRC")


def read_blocks(r):
    blocks = []
    while True:
        need(r.at < len(r.data), "short")
        if r.data[r.at] == 0xFF:
            r.at += 1
            break
        need(len(blocks) < BLOCKS_MAX, "too many blocks")
        blocks.append(block(r))
    r.end()
    need(blocks and [b["type"] == PAYLOAD for b in blocks] == [False] * (len(blocks) - 1) + [True], "payload")
    need(len({b["number"] for b in blocks}) == len(blocks), "number twice")
    return blocks


def check_whole(bundle, blocks, signed, strict):
    types = [b["type"] for b in blocks]
    need(all(types.count(t) <= 1 for t in (PREVIOUS, AGE, HOPS)), "extension block twice")
    if strict:
        need(bundle["crc"] or signed, "unprotected")
        need(bundle["time"] or AGE in types, "no clock and no age")
    if bundle["flags"] & 1:
        n = len(blocks[-1]["data"])
        need(n and (bundle["total"] == 0 or bundle["offset"] + n <= bundle["total"]), "fragment length")
    if bundle["flags"] & 2 or (strict and not bundle["source"]):
        need(not any(b["flags"] & 2 for b in blocks), "block asks for a report")
    need(bundle.get("age", 0) <= bundle["lifetime"], "expired")
    limit, count = bundle.get("hops", (1, 0))
    need(count <= limit, "hops")
    need(not any(b["type"] not in KNOWN and b["flags"] & 4 for b in blocks), "unknown block deletes")


def check(data, strict):
    """Raises Invalid, or says what the bundle is."""
    r = Reader(data)
    need(data[:1] == b"\x9f", "start")
    r.at = 1
    bundle = primary(r, strict)
    blocks = read_blocks(r)
    sealed = {n for b in blocks if b["type"] == BCB for n in targets(Reader(b["data"]))}
    readable = [b for b in blocks if b["type"] == BIB and b["number"] not in sealed]
    signed = any(0 in targets(Reader(b["data"])) for b in readable)
    for b in blocks:
        if b["number"] not in sealed:
            extension(b, bundle, strict)
    check_security(bundle, blocks, sealed, strict)
    check_whole(bundle, blocks, signed, strict)
    return bundle, blocks


def accepts(data, strict):
    try:
        bundle, blocks = check(data, strict)
    except Invalid:
        return False
    same = cbor2.loads(data)
    if same[0][1] != bundle["flags"] or [b[:5] for b in same[1:]] != [[b["type"], b["number"], b["flags"], b["crc"], b["data"]] for b in blocks]:
        raise AssertionError("python3-cbor2 reads something else")
    return True
