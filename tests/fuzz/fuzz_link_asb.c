/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_asb: an abstract security block alone: what decodes of a context that is
 * understood encodes to something that decodes to the same and is no longer.
 */
#include <stdlib.h>

#include "link/asb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct bytes in, uint64_t type, enum bundle_level level)
{
    static uint8_t out[1U << 16];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct bpsec_asb asb, again;

    if (bpsec_asb_decode(in, type, level, &asb, NULL) != RC_OK || !bpsec_known(asb.context))
        return;
    bpsec_asb_put(&w, &asb);
    if (w.full || w.n > in.n ||
        bpsec_asb_decode((struct bytes){ out, w.n }, type, level, &again, NULL) != RC_OK ||
        again.n_targets != asb.n_targets || again.variant != asb.variant ||
        again.scope != asb.scope || !bytes_equal(again.iv, asb.iv) ||
        !bytes_equal(again.wrapped_key, asb.wrapped_key))
        abort();
    for (size_t i = 0; i < asb.n_targets; i++) {
        if (again.targets[i] != asb.targets[i] || !bytes_equal(again.results[i], asb.results[i]))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { .p = data, .n = size };

    if (size > 1U << 15)
        return 0;
    take(in, BLOCK_BIB, BUNDLE_STRICT);
    take(in, BLOCK_BIB, BUNDLE_LENIENT);
    take(in, BLOCK_BCB, BUNDLE_STRICT);
    take(in, BLOCK_BCB, BUNDLE_LENIENT);
    return 0;
}
