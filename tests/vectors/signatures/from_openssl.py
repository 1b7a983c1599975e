#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes mldsa65.txt and mldsa87.txt from the vectors in OpenSSL's source: Wycheproof's and NIST's (ACVP).

    apt-get source openssl      # 3.5, Debian 13
    from_openssl.py openssl-3.5.*/test/recipes/30-test_evp_data

Our door is ML-DSA pure with an empty context: what was signed under another context is bad there, whatever
the vector says.  Vectors for the interface that takes a finished digest (mu), and those that test the import of
keys of a wrong length, have no counterpart and are left out, counted in the header."""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def stanzas(path):
    why, d = "", {}
    for line in open(path):
        line = line.strip()
        if not line:
            if d:
                yield why, d
            why, d = "", {}
        elif line[0] == "#":
            why = line[1:].strip()
        else:
            k, v = (x.strip() for x in line.split("=", 1))
            if k == "Ctrl":
                k, v = v.split(":", 1)
            d[k] = v
    if d:
        yield why, d


def convert(directory, bits):
    files = (f"evppkey_ml_dsa_{bits}_wycheproof_verify.txt", "evppkey_ml_dsa_sigver.txt")
    counts, out, last = {"ok": 0, "bad": 0, "mu": 0, "key": 0}, [], None
    for name in files:
        keys = {}
        for why, d in stanzas(os.path.join(directory, name)):
            if d.get("KeyFromData", f"ML-DSA-{bits}") == f"ML-DSA-{bits}" and "KeyFromData" in d:
                counts["key"] += 1
            if "PublicKeyRaw" in d:
                key, _, value = d["PublicKeyRaw"].split(":")
                keys[key] = value.lower()
            if not d.get("Verify-Message-Public", "").startswith(f"ML-DSA-{bits}:"):
                continue
            if d.get("mu") == "1":
                counts["mu"] += 1
                continue
            key = d["Verify-Message-Public"].split(":")[1]
            want = "ok" if "Result" not in d and not d.get("hexcontext-string") else "bad"
            if want == "bad" and "Result" not in d:
                why += " (under another context)"
            counts[want] += 1
            if keys[key] != last:
                last = keys[key]
                out.append(f"key {last}\n")
            out.append(f"{want} {d['Input'].lower() or '-'} {d['Output'].lower() or '-'} {name.split('_')[-2]}: {why}\n")
    with open(os.path.join(HERE, f"mldsa{bits}.txt"), "w") as f:
        f.write(f"""# SPDX-License-Identifier: Apache-2.0
# Copyright 2025 The OpenSSL Project Authors.  All Rights Reserved.
# From Debian's source package openssl 3.5.7-1~deb13u2, test/recipes/30-test_evp_data, by from_openssl.py:
# {files[0]} (Wycheproof 8e7fa6f8, version 1)
# {files[1]} (ACVP ML-DSA-sigVer-FIPS204, version 42)
# {counts['ok']} ok, {counts['bad']} bad; left out: {counts['mu']} of finished digests, {counts['key']} of key lengths.
# key KEY, then: ok|bad MESSAGE SIGNATURE WHY; hex, - for empty.
""")
        f.writelines(out)
    print(bits, counts)


for bits in (65, 87):
    convert(sys.argv[1], bits)
