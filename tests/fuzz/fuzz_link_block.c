/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_block: a primary block, a canonical block or a status report alone; what
 * decodes is encoded to the bytes that came.
 */
#include <stdlib.h>

#include "link/bundle.h"
#include "link/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[1U << 20];

static void must_be(const struct cbor_out *w, struct bytes in)
{
    if (w->full || !bytes_equal((struct bytes){ .p = w->p, .n = w->n }, in))
        abort();
}

static void primary(struct bytes in, enum bundle_level level)
{
    static struct bundle bundle;
    struct cbor_out w = { .p = out, .cap = sizeof out };

    if (bundle_decode_primary(in, level, &bundle, NULL) != RC_OK)
        return;
    bundle_put_primary(&w, &bundle);
    must_be(&w, in);
}

static void canonical(struct bytes in)
{
    static struct bundle bundle;
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct bundle_block block;

    if (bundle_decode_block(in, &block, NULL) != RC_OK)
        return;
    bundle_put_block(&w, &bundle, &block);
    must_be(&w, in);
    bundle = (struct bundle){ .raw = in };
    (void)!bundle_decode_extension(&bundle, &block, NULL);
}

static void record(struct bytes in)
{
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct record record;

    if (record_decode(in, &record, NULL) != RC_OK)
        return;
    record_put(&w, &record);
    must_be(&w, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { .p = data, .n = size };

    if (size > sizeof out)
        return 0;
    primary(in, BUNDLE_STRICT);
    primary(in, BUNDLE_LENIENT);
    canonical(in);
    record(in);
    return 0;
}
