# SPDX-License-Identifier: Apache-2.0
"""Reads bundles with our verdicts (size in 4 bytes, big-endian; a byte: bit 0 = strict accepts, bit 1 = lenient accepts; the bundle) from a file and
gives its own.  Exit code 0: they agree about every one."""
import sys
from pathlib import Path

import bundle

data, at, n, accepted, differ = Path(sys.argv[1]).read_bytes(), 0, 0, [0, 0], 0
while at < len(data):
    size, verdict = int.from_bytes(data[at:at + 4], "big"), data[at + 4]
    raw = data[at + 5:at + 5 + size]
    at += 5 + size
    n += 1
    for level, strict in enumerate((True, False)):
        ours = bool(verdict >> level & 1)
        theirs = bundle.accepts(raw, strict)
        accepted[level] += theirs
        if ours != theirs:
            differ += 1
            if differ <= 20:
                print("strict" if strict else "lenient", "link/ accepts" if ours else "link/ refuses", raw.hex())
print(f"{n} bundles: {accepted[0]} pass strict, {accepted[1]} pass lenient; {differ} verdicts differ")
sys.exit(differ != 0 or n == 0)
