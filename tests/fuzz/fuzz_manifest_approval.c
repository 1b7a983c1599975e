/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/name.h"
#include "manifest/approval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What people sign of a rollout, and what vouches for them: what is accepted must be the one
 * encoding of what was read, small, and with words that can be printed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[APPROVER_MAX];
    static struct approver approver;
    const struct bytes in = { data, size };
    struct approval approval;
    struct bytes out;
    struct err err;

    if (approval_decode(in, &approval, &err) == RC_OK &&
        (size > APPROVAL_MAX || approval_encode(&approval, buf, sizeof buf, &out, &err) != RC_OK ||
         !bytes_equal(in, out) || (unsigned)approval.role >= APPROVAL_ROLES ||
         !text_printable(approval.who) || (approval.why[0] != '\0' && !audit_why_ok(approval.why))))
        abort();
    if (approver_decode(in, &approver, &err) == RC_OK &&
        (size > APPROVER_MAX || approver_encode(&approver, buf, sizeof buf, &out, &err) != RC_OK ||
         !bytes_equal(in, out) || approver.expires_ms <= approver.issued_ms))
        abort();
    return 0;
}
