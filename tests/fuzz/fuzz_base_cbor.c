/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The checker never reads past the input, and what it accepts is read back the same by a typed
 * skip. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    const struct bytes in = { .p = data, .n = size };

    if (cbor_check(in, &err) == RC_OK) {
        struct cbor_in r = cbor_read(in);

        if (cbor_skip(&r, "all").n != size)
            abort();
    } else if (err.at > size) {
        abort();
    }
    return 0;
}
