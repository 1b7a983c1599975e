/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "manifest/envelope.h"
#include "manifest/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is accepted encodes to the same bytes, and a key that signed nothing is never satisfied. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mission mission = { "berth-test-fleet" };
    static const struct key_set keys = { .threshold = 1, .n = 1, .key = { { .suite = 1 } } };
    static uint8_t buf[DOCUMENT_MAX];
    struct bytes in = { data, size }, out;
    struct envelope e;
    struct err err;

    if (envelope_open(in, &e, &err) == RC_OK &&
        (envelope_encode(&e, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out) ||
         envelope_verify(&e, DOC_ORDER, &mission, &keys, &err) == RC_OK))
        abort();

    struct trust *trust = NULL;
    if (trust_new(in, &trust, &err) == RC_OK)
        trust_free(&trust);
    return 0;
}
