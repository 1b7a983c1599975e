/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/brief.h"
#include "tests/fuzz/document.h"

/* What is accepted must be the one encoding of what was read. */
FUZZ_DOCUMENT(brief)
