/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/envelope.c: the envelope parser on any bytes of any length, for Eva.  The extent of
 * the input is beyond Eva and is what tests/prove/cbor.c proves of every read of the input; all the
 * rest is shown here: no index is beyond its array, no assertion of the reader is reached in a
 * state that it refuses, and nothing is read before it was written.
 */
#include <__fc_builtin.h>

#include "manifest/envelope.h"

static uint8_t input[DOCUMENT_MAX + 1];

int main(void)
{
    size_t n = Frama_C_unsigned_long_interval(0, sizeof input);
    struct bytes in = { .p = input, .n = n };
    struct envelope envelope = { 0 };

    Frama_C_make_unknown((char *)input, sizeof input);

    enum rc rc = envelope_open(in, &envelope, NULL);

    //@ assert rc != RC_OK ==> envelope.n == 0;
    return rc == RC_OK ? (int)envelope.n : 0;
}
