/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_eid: an endpoint ID alone: one encoding, a text that fits, equal to itself,
 * and strict never takes what lenient does not.
 */
#include <stdlib.h>

#include "link/eid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool take(struct bytes in, enum bundle_level level)
{
    uint8_t out[EID_WIRE_MAX];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    char text[EID_TEXT_CAP];
    struct eid eid;

    if (eid_decode(in, level, &eid, NULL) != RC_OK)
        return false;
    eid_put(&w, &eid);
    if (w.full || !bytes_equal((struct bytes){ out, w.n }, in) || !eid_equal(&eid, &eid))
        abort();
    for (const char *c = eid_text(&eid, text, sizeof text); *c; c++) {
        if (*c <= 0x20 || *c >= 0x7f)
            abort();
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = { .p = data, .n = size };

    if (take(in, BUNDLE_STRICT) && !take(in, BUNDLE_LENIENT))
        abort();
    return 0;
}
