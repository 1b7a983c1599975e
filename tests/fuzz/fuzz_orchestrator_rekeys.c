/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/rekeys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decodes must make sense and encode to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rekeys rekeys;
    static uint8_t buf[REKEYS_FILE_MAX];
    struct bytes in = { data, size }, out = { 0 };
    struct err err;

    if (rekeys_decode(in, &rekeys, &err) != RC_OK)
        return 0;
    if (rekeys_encode(&rekeys, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    return 0;
}
