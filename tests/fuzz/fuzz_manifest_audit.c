/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/audit.h"
#include "tests/fuzz/document.h"

/* What is accepted must be the one encoding of what was read. */
FUZZ_DOCUMENT(audit_entry)
