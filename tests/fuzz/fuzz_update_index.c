/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "update/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is read as an index is the one encoding of its entries. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes = { .p = data, .n = size };
    scoped(index_free) struct index *ix = NULL;
    struct index_in in = index_read(bytes);
    struct digest384 again384;
    struct digest again, given;
    struct index_entry entry;
    struct err err;

    if (index_new(&ix, &err) != RC_OK)
        abort();
    while (index_next(&in, &entry)) {
        if (index_add(ix, &entry.item, entry.size, &entry.content, &err) != RC_OK)
            abort();
    }
    if (index_done(&in, &err) != RC_OK)
        return 0;
    if (index_end(ix, -1, &again, &again384, &err) != RC_OK ||
        sha256_of(bytes, given.b, &err) != RC_OK || memcmp(&again, &given, sizeof again) != 0)
        abort();
    return 0;
}
