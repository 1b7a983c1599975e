#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the documents of tests/unit/documents.h with python3-cbor2 and python3-cryptography: an
implementation that shares nothing with ours.  Run by hand; the vectors are committed."""
import os

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = os.path.dirname(os.path.abspath(__file__))
DAY = 24 * 3600 * 1000
ISSUED = 1700000000000
MISSION = b"berth-test-fleet"


def put(name, content):
    with open(os.path.join(HERE, name), "wb") as f:
        f.write(content)


def digest(byte):
    return bytes([byte]) * 32


# Keys 0 to 23 sort the same under both of CBOR's canonical orders.
def document(kind, *fields):
    return cbor2.dumps({0: [kind, 1], **dict(enumerate(fields, 1))}, canonical=True)


manifest = document(
    3, "acme", "cam-north", "1.2.0", 7, 5, [digest(0x77), 123456, 1234567, 12], "x86_64",
    ["/bin/cam", "--fast"], ["MODE=night"], [16 << 20, 8 << 20, 4 << 20, 250, 8, 64],
    [1, 2000, 500, 1000])
order = document(
    4, "aurora-1", 12, ISSUED, ISSUED + 10 * DAY,
    [["acme", "cam-north", digest(0x11)], ["zenith", "db", digest(0x22)]])
report = document(
    5, "aurora-1", 2, 9, ISSUED + DAY, 1, 12,
    [["acme", "cam-north", 9, 230, True, digest(0x33), b"", "1.1.0", 1, 900, 70]],
    [[4, 57, 1, "package"], [5, 70, 3, "order 11"]],
    [[digest(0x44), 10, False, [0, 2, 4, 1]]],
    [digest(0x66)])

# RFC 9052 section 4.4, of the Ed25519 half of operator A's signature over the order.
body = bytes.fromhex("a2 02 81 3a00010000 3a00010000 01")
assert cbor2.loads(body) == {2: [-65537], -65537: 1}
entry = cbor2.dumps({1: -19})
external = cbor2.dumps(["berth", 4, 1, MISSION])
to_sign = cbor2.dumps(["Signature", body, entry, external, order])
key = Ed25519PrivateKey.from_private_bytes(bytes([0x45]) * 32)

put("manifest.cbor", manifest)
put("order.cbor", order)
put("report.cbor", report)
put("order.to-sign", to_sign)
put("order.ed25519", key.sign(to_sign))
