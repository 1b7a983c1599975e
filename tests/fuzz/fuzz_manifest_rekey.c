/* SPDX-License-Identifier: Apache-2.0
 *
 * What is accepted must be the one encoding of what was read, and opening it must end in one of the
 * codes that a rekey may end in, with nothing opened unless all was.
 */
#include <stdlib.h>

#include "manifest/rekey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_opened(const struct rekey *doc)
{
    static const struct mission mission = { "berth-test-fleet" };
    static const struct rekey_opened nothing;
    static const struct rekey_keys keys = { .n_kems = 1, .n_masters = 1 };
    struct rekey_opened opened = { 0 };
    enum rc rc = rekey_open(doc, &mission, &keys, &opened, NULL);

    if (rc != RC_OK && rc != RC_REKEY_UNWRAP && rc != RC_REKEY_RECIPIENT)
        abort();
    if (rc != RC_OK && memcmp(&opened, &nothing, sizeof opened) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rekey doc;
    static uint8_t buf[4096];
    struct bytes in = { data, size }, out;

    if (rekey_decode(in, &doc, NULL) != RC_OK)
        return 0;
    if (rekey_encode(&doc, buf, sizeof buf, &out, NULL) != RC_OK || !bytes_equal(in, out))
        abort();
    check_opened(&doc);
    return 0;
}
