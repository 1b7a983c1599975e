/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "agent/witness.h"
#include "manifest/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken from the state file must be its one encoding. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t buf[64];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes in = { .p = data, .n = size }, out = { 0 };
    struct witness witness;
    struct err err;

    if (witness_decode(in, &witness, &err) != RC_OK)
        return 0;
    wire_put_witness(&w, &witness);
    if (cbor_written(&w, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    return 0;
}
