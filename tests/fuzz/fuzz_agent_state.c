/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "agent/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What decodes must make sense and encode to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct state state;
    static uint8_t buf[STATE_MAX];
    struct bytes in = { .p = data, .n = size };
    struct bytes out = { 0 };
    struct err err;

    if (state_decode(in, &state, &err) != RC_OK)
        return 0;
    if (state_encode(&state, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    return 0;
}
