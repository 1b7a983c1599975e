/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/audit_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file that is taken ends where it says, and its head was read the same way twice. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    struct bytes in = { .p = data, .n = size };
    bool has = false;
    struct err err;
    enum rc rc = audit_file_check(in, &walk, &err);

    if (rc != RC_OK && rc != RC_AUDIT_BROKEN && rc != RC_NO_MEMORY)
        abort();
    if (rc == RC_OK && walk.n_roots > 0 &&
        (audit_file_has_root(in, &walk.first_root, &has, &err) != RC_OK || !has))
        abort();
    if (rc == RC_OK && (walk.signed_seq > walk.seq || walk.n_signed > walk.entries))
        abort();
    return 0;
}
