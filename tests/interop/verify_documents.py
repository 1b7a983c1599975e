#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads the documents that test_interop_documents wrote, with none of our code: CBOR by python3-cbor2, Ed25519 by
python3-cryptography, ML-DSA by mldsa.py, COSE_Sign by RFC 9052 section 4.4 as written here, form by
docs/wire/documents.cddl and cddl.py.

    verify_documents.py DIRECTORY       root.cose, grant.cose, manifest.cose, order.cose, ... report.cbor and log*.cbor

Exit code 0 if all hold and every forgery is refused."""
import copy
import hashlib
import os
import sys

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import cddl
import mldsa
import xwing

HERE = os.path.dirname(os.path.abspath(__file__))
TYPES = {"root": 1, "grant": 2, "manifest": 3, "order": 4, "revocation": 6, "token": 7, "delegation": 9,
         "withdrawal": 9, "team-manifest": 3, "rekey-kem": 8, "rekey-master": 8}
RULES = {"withdrawal": "delegation", "team-manifest": "manifest",  # grammar rules not named as the files are
         "rekey-kem": "rekey", "rekey-master": "rekey"}
ED25519, MLDSA65, MLDSA87 = -19, -49, -50
SUITES = {1: {ED25519, MLDSA65}, 2: {MLDSA87}}
checked = 0


def require(good, what):
    global checked
    checked += 1
    if not good:
        sys.exit(f"verify_documents: {what}")


def key_id(record):
    return hashlib.sha256(cbor2.dumps(record)).digest()[:16]


def holds(algorithm, record, message, signature):
    if algorithm not in SUITES[record[0]]:
        return False
    if algorithm == MLDSA65:
        return mldsa.verify(mldsa.MLDSA65, record[2], message, signature)
    if algorithm == MLDSA87:
        return mldsa.verify(mldsa.MLDSA87, record[1], message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(record[1]).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def signers(envelope, kind, mission, keys):
    """The ids of the keys of which every half of the suite holds."""
    body, _, payload, entries = envelope
    records, good = {key_id(k): k for k in keys}, {}
    for protected, unprotected, signature in entries:
        kid, algorithm = unprotected[4], cbor2.loads(protected)[1]
        external = cbor2.dumps(["berth", kind, 1, mission])
        message = cbor2.dumps(["Signature", body, protected, external, payload])
        if kid in records and holds(algorithm, records[kid], message, signature):
            good.setdefault(kid, set()).add(algorithm)
    return {kid for kid, halves in good.items() if halves == SUITES[records[kid][0]]}


def verified(envelope, kind, mission, key_set):
    threshold, keys = key_set
    return len(signers(envelope, kind, mission, keys)) >= threshold


def with_payload(envelope, payload):
    return [envelope[0], envelope[1], payload, envelope[3]]


def vectors(path, params):
    """The vectors of the door, for this verifier too: it is no better than what it is tested on."""
    seen = {"ok": 0, "bad": 0}
    for line in open(path):
        kind, *rest = line.split(" ", 3)
        if kind == "key":
            key = bytes.fromhex(rest[0])
        elif kind in seen:
            message, signature = (bytes.fromhex(x.replace("-", "")) for x in rest[:2])
            require(mldsa.verify(params, key, message, signature) == (kind == "ok"), rest[2])
            seen[kind] += 1
    require(seen["ok"] and seen["bad"], "no vectors")


def hkdf(secret, info, n):
    return HKDF(hashes.SHA384(), n, None, info).derive(secret)


def rekey(doc, mission, name):
    """Open every entry with what tests/unit/documents.h says the satellite holds."""
    seed, master = (text.ljust(32, b"\0") for text in (b"satellite's key pair grows here", b"master wrapping key of aurora-1"))
    if doc[4][0] == 1:
        require(hashlib.sha256(xwing.public(seed)).digest()[:16] == doc[4][1], f"{name}: another KEM key")
        shared = xwing.open_sealed(seed, doc[4][2])
    else:
        require(hkdf(master, b"berth-master-id", 16) == doc[4][1], f"{name}: another master key")
        shared = master
    opened = 0
    for i, entry in enumerate(doc[5]):
        what, rest = entry[0], entry[1:]
        if what == 4:
            continue
        peer = rest.pop(0) if what in (1, 2) else 0
        tenant = rest.pop(0) if what == 2 else ""
        epoch, wrapped = rest
        kek = hkdf(shared, cbor2.dumps(["berth-rekey", mission, doc[1], doc[2], what, peer, tenant, epoch]), 32)
        require(keywrap.aes_key_unwrap(kek, wrapped) == bytes([0xa0 + i]) * 32, f"{name}: entry {i}")
        opened += 1
    require(opened == 3, f"{name}: not all opened")


def main(directory):
    grammar = cddl.Grammar(open(os.path.join(HERE, "../../docs/wire/documents.cddl")).read())
    transfer = cddl.Grammar(open(os.path.join(HERE, "../../docs/wire/transfer.cddl")).read())
    envelopes, documents = {}, {}
    for name in TYPES:
        raw = open(os.path.join(directory, name + ".cose"), "rb").read()
        envelopes[name] = cbor2.loads(raw)
        documents[name] = cbor2.loads(envelopes[name][2])
        grammar.check("envelope", envelopes[name])
        grammar.check(RULES.get(name, name), documents[name])
        require(cbor2.dumps(envelopes[name], canonical=True) == raw, f"{name}: envelope is not deterministic")
        require(cbor2.dumps(documents[name], canonical=True) == envelopes[name][2], f"{name}: not deterministic")
        print(f"{name}: {len(raw)} bytes, {len(envelopes[name][2])} of them payload, {len(envelopes[name][3])} signatures")
    report = open(os.path.join(directory, "report.cbor"), "rb").read()
    grammar.check("report", cbor2.loads(report))
    require(cbor2.dumps(cbor2.loads(report), canonical=True) == report, "report: not deterministic")

    for name in ("log", "log-request"):
        raw = open(os.path.join(directory, name + ".cbor"), "rb").read()
        transfer.check(name, cbor2.loads(raw))
        require(cbor2.dumps(cbor2.loads(raw), canonical=True) == raw, f"{name}: not deterministic")
    chunk = cbor2.loads(open(os.path.join(directory, "log.cbor"), "rb").read())
    transfer.check("log-lines", cbor2.loads(chunk[3]))
    require(chunk[1] == 0 and chunk[2] == len(chunk[3]), "log: it is packed, or has another size")
    require(cbor2.loads(chunk[3]) == [7, 3, 70, 1764500000000, [[2, 0, 0, b"\x1b[2J"], [0, 4, 2, 9]]], "log: other lines")

    root, grant = documents["root"], documents["grant"]
    mission = root[2]
    roles = {"root": root[5], "grant": root[6], "manifest": grant[5], "order": root[6], "revocation": root[5], "token": root[6],
             "delegation": grant[5], "withdrawal": grant[5], "team-manifest": documents["delegation"][6],
             "rekey-kem": root[6], "rekey-master": root[6]}
    for name, kind in TYPES.items():
        require(verified(envelopes[name], kind, mission, roles[name]), f"{name}: signatures do not hold")
    require(documents["manifest"][1] == grant[1], "manifest: another tenant than the grant's")
    require(hashlib.sha256(envelopes["manifest"][2]).digest() == documents["order"][5][0][2],
            "order: does not name the manifest")

    strong = any(key[0] == 2 for key in root[6][1])
    require(not strong or hashlib.sha384(envelopes["manifest"][2]).digest() == documents["order"][5][0][3],
            "order: does not name the manifest in SHA-384")
    for name, (keys, there) in {
            "root": (root[5], 10 in root), "manifest": (grant[5], len(documents["manifest"][6]) == 5),
            "order": (root[6], all(len(line) == 4 for line in documents["order"][5])),
            "revocation": (root[5], all(len(e) == 4 for e in documents["revocation"][3] if e[0] == 3)),
            "token": (root[6], 6 in documents["token"])}.items():
        require(there or not any(key[0] == 2 for key in keys[1]), f"{name}: suite 2 and no SHA-384")

    require(documents["team-manifest"][1] == documents["delegation"][1], "manifest: another team than the delegation's")

    for name in ("rekey-kem", "rekey-master"):
        rekey(documents[name], mission, name)

    # What must not hold here either.
    require(not verified(envelopes["team-manifest"], 3, mission, grant[5]), "a team's manifest holds under the tenant's keys")
    require(not verified(envelopes["manifest"], 3, mission, documents["delegation"][6]), "a tenant's holds under the team's")
    order = envelopes["order"]
    flipped = order[2][:-1] + bytes([order[2][-1] ^ 1])
    require(not verified(with_payload(order, flipped), 4, mission, roles["order"]), "a changed order holds")
    require(not verified(order, 2, mission, roles["order"]), "an order holds as a grant")
    require(not verified(order, 4, bytes(16), roles["order"]), "an order holds for another mission")
    require(not verified(order, 4, mission, roles["manifest"]), "an order holds under a tenant's key")
    for i, _ in enumerate(order[3]):
        stripped = [*order[:3], order[3][:i] + order[3][i + 1:]]
        require(not verified(stripped, 4, mission, roles["order"]), "an order holds without a half")

    # The grammar refuses what the decoders refuse.
    for name, key, value in (("root", 1, 0), ("root", 2, bytes(15)), ("grant", 1, "Acme"), ("grant", 9, 65),
                             ("manifest", 7, "vax"), ("manifest", 8, []), ("order", 2, 2**63), ("order", 1, "a" * 33),
                             ("order", 5, [["acme", "cam"]]), ("order", 6, 0), ("order", 0, [4, 2]),
                             ("delegation", 1, "acme"), ("delegation", 1, "a/b/c/d/e/f"), ("delegation", 4, 4),
                             ("withdrawal", 5, 0), ("team-manifest", 1, "acme/")):
        bad = copy.deepcopy(documents[name])
        bad[key] = value
        try:
            grammar.check(RULES.get(name, name), bad)
        except cddl.Invalid:
            continue
        require(False, f"{name}.{key} = {value!r} passes the grammar")

    for params, name in ((mldsa.MLDSA65, "mldsa65.txt"), (mldsa.MLDSA87, "mldsa87.txt")):
        vectors(os.path.join(HERE, "../vectors/signatures", name), params)
    print(f"{checked} checks passed")


if __name__ == "__main__":
    main(sys.argv[1])
