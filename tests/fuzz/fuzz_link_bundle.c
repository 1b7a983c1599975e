/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_bundle: whatever decodes has one encoding, the one that came in.
 */
#include <stdlib.h>

#include "link/bundle.h"
#include "link/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct bytes in, enum bundle_level level)
{
    static uint8_t out[1U << 20];
    static struct bundle bundle;
    struct bytes again;
    struct record record;

    if (bundle_decode(in, level, &bundle, NULL) != RC_OK)
        return;
    (void)!bundle_check(&bundle, 0, NULL);
    (void)!record_decode(bundle_payload(&bundle), &record, NULL);
    if (bundle_encode(&bundle, out, sizeof out, &again, NULL) != RC_OK || !bytes_equal(again, in))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    round_trip((struct bytes){ .p = data, .n = size }, BUNDLE_STRICT);
    round_trip((struct bytes){ .p = data, .n = size }, BUNDLE_LENIENT);
    return 0;
}
