/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_bpsec: security blocks of bundles and alone, with keys that fit and nobody
 * knows.
 */
#include <stdlib.h>

#include "link/bpsec.h"
#include "link/seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum rc find_key(void *arg, const struct bpsec_asb *asb, struct bytes *ret, struct err *err)
{
    static const uint8_t key[32] = { 1, 2, 3 };

    (void)arg;
    (void)err;
    *ret = (struct bytes){ .p = key, .n = asb->variant == BPSEC_A128GCM ? 16 : 32 };
    return RC_OK;
}

static enum rc find_keys(void *arg, const struct eid *src, struct link_keys *ret, struct err *err)
{
    (void)arg;
    (void)src;
    (void)err;
    *ret = (struct link_keys){ .mac = { 3 }, .aead = { 4 } };
    return RC_OK;
}

static void asb_alone(struct bytes in, uint64_t type)
{
    uint8_t out[8192];
    struct cbor_out w = { .p = out, .cap = sizeof out };
    struct bpsec_asb asb;

    if (bpsec_asb_decode(in, type, BUNDLE_LENIENT, &asb, NULL) == RC_OK &&
        (asb.context == BPSEC_BIB_HMAC || asb.context == BPSEC_BCB_GCM))
        bpsec_asb_put(&w, &asb);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bpsec_keyring keys = { .find = find_key };
    static const struct link_keyring link_keys = { .find = find_keys };
    static uint8_t buf[1U << 20];
    static struct bundle bundle;
    struct link_opened opened;

    if (size > sizeof buf)
        return 0;
    asb_alone((struct bytes){ .p = data, .n = size }, BLOCK_BIB);
    asb_alone((struct bytes){ .p = data, .n = size }, BLOCK_BCB);
    memcpy(buf, data, size);
    if (bundle_decode((struct bytes){ .p = buf, .n = size }, BUNDLE_LENIENT, &bundle, NULL) ==
        RC_OK)
        (void)!bpsec_process(buf, &bundle, &keys, NULL);
    memcpy(buf, data, size);
    if (link_open(buf, size, &link_keys, &opened, NULL) == RC_OK &&
        (opened.payload.p < buf || opened.payload.p + opened.payload.n > buf + size))
        abort();
    return 0;
}
