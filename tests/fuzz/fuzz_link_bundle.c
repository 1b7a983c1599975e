/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_bundle: whatever decodes has one encoding, the one that came in; scanned in
 * pieces it comes to the same end; what a node forwards decodes again; fragments never join to more
 * than they are.
 */
#include <stdlib.h>

#include "link/forward.h"
#include "link/reassembly.h"
#include "link/record.h"
#include "link/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CELLS 64U

static void must(bool fine)
{
    if (!fine)
        abort();
}

/* What goes on decodes, with the primary block and payload that came. */
static void forward(const struct bundle *b, enum bundle_level level)
{
    static const struct bundle_hop hop = { .self = { .scheme = EID_IPN, .node = 7 },
                                           .dwell_ms = 3 };
    static uint8_t out[1U << 20];
    static struct bundle next;
    struct bytes bytes;

    if (bundle_forward(b, &hop, out, sizeof out, &bytes, NULL) != RC_OK)
        return;
    must(bundle_decode(bytes, level, &next, NULL) == RC_OK);
    must(bytes_equal(next.primary, b->primary) &&
         bytes_equal(bundle_payload(&next), bundle_payload(b)));
}

static void reassemble(const struct bundle *b)
{
    static const struct reassembly_limits limits = { .total_max = 65536, .wait_ms_max = 1000 };
    static struct reassembly_cell cells[CELLS];
    static struct reassembly r;
    static uint8_t out[1U << 20];
    struct reassembly_set *set = NULL;
    struct bytes bytes;

    if (!r.cells)
        reassembly_init(&r, &limits, cells, CELLS);
    if (reassembly_add(&r, b, 1, &set, NULL) == RC_OK && set)
        must(reassembly_take(&r, set, out, sizeof out, &bytes, NULL) == RC_OK &&
             bytes.n >= bundle_payload(b).n);
    reassembly_expire(&r, UINT64_MAX);
    must(r.n_free == CELLS);
}

static void scan(struct bytes in, enum bundle_level level, enum rc whole)
{
    static struct bundle bundle;
    struct bundle_scan s;
    size_t used = 0;
    enum rc rc;

    bundle_scan_init(&s, 1U << 20);
    for (size_t at = 0; at < in.n && s.state == BUNDLE_SCAN_MORE; at += used)
        (void)bundle_scan(&s, (struct bytes){ .p = in.p + at, .n = (in.n - at + 1) / 2 }, &used);
    rc = bundle_scan_decode(&s, in, level, &bundle, NULL);
    must(whole != RC_OK || (rc == RC_OK && s.at == in.n));
    must(rc != RC_OK || s.state == BUNDLE_SCAN_WHOLE);
    if (s.state == BUNDLE_SCAN_MALFORMED)
        must(rc != RC_SHORT && (rc == whole || rc == RC_TOO_LARGE));
}

static void round_trip(struct bytes in, enum bundle_level level)
{
    static uint8_t out[1U << 20];
    static struct bundle bundle;
    struct bytes again;
    struct record record;
    enum rc rc = bundle_decode(in, level, &bundle, NULL);

    scan(in, level, rc);
    if (rc != RC_OK)
        return;
    (void)!bundle_check(&bundle, 0, NULL);
    (void)!record_decode(bundle_payload(&bundle), &record, NULL);
    must(bundle_encode(&bundle, out, sizeof out, &again, NULL) == RC_OK && bytes_equal(again, in));
    forward(&bundle, level);
    reassemble(&bundle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1U << 19)
        return 0;
    round_trip((struct bytes){ .p = data, .n = size }, BUNDLE_STRICT);
    round_trip((struct bytes){ .p = data, .n = size }, BUNDLE_LENIENT);
    return 0;
}
