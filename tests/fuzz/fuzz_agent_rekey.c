/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "agent/rekey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decodes must make sense and encode to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rekey_box box;
    static uint8_t buf[1024];
    struct bytes in = { data, size }, out = { 0 };
    struct err err;

    if (rekey_box_decode(in, &box, &err) != RC_OK)
        return 0;
    if (rekey_box_encode(&box, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    return 0;
}
