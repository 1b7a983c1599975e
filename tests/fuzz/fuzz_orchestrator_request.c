/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "orchestrator/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A request that is accepted must be its one encoding; a signature must fit where it may be put. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buf[REQUEST_FILE_MAX];
    static struct request_signature signature;
    struct bytes in = { .p = data, .n = size };
    struct bytes out = { 0 };
    struct request request;
    struct err err;

    if (request_signature_decode(in, &signature, &err) == RC_OK && !request_signature_is(in))
        abort();
    if (request_decode(in, &request, &err) != RC_OK)
        return 0;
    if (!request_is(in) || request_encode(&request, buf, sizeof buf, &out, &err) != RC_OK ||
        !bytes_equal(in, out))
        abort();
    return 0;
}
