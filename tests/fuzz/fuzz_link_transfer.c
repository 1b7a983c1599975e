/* SPDX-License-Identifier: Apache-2.0
 *
 * What decodes as a transfer message encodes to the same bytes again.
 */
#include <stdlib.h>

#include "link/transfer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[TRANSFER_MESSAGE_MAX];
    struct transfer_message msg = { 0 };
    struct bytes in = { data, size }, out = { 0 };
    struct err err;

    if (transfer_decode(in, &msg, &err) == RC_OK &&
        (transfer_encode(&msg, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out)))
        abort();
    return 0;
}
