/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/fuzz_link_bpsec: security blocks of bundles, undone as a whole, by a table of rules
 * and by the policy of the link, with keys that fit and nobody knows.
 */
#include <stdlib.h>

#include "link/role.h"
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

static enum rc find_keys(void *arg, const struct eid *src, uint64_t number, struct link_keys *ret,
                         struct err *err)
{
    (void)arg;
    (void)src;
    (void)number;
    (void)err;
    *ret = (struct link_keys){ .mac = { 3 }, .aead = { 4 } };
    return RC_OK;
}

/* By a table: carry what is for the payload of one source, verify MACs, accept the rest. */
static void by_rules(uint8_t *buf, struct bundle *bundle, const struct bpsec_keyring *keys)
{
    static const struct eid source = { .scheme = EID_IPN, .node = 2, .service = 1 };
    static const struct bpsec_rule rules[] = {
        { .source = &source,
          .service = BLOCK_BCB,
          .target_type = BLOCK_PAYLOAD,
          .role = BPSEC_FORWARD },
        { .service = BLOCK_BIB, .target_type = BLOCK_PAYLOAD, .role = BPSEC_VERIFY },
        { .service = BPSEC_ANY_TYPE,
          .target_type = BPSEC_ANY_TYPE,
          .role = BPSEC_ACCEPT,
          .drop = true },
    };
    static const struct bpsec_policy policy = { .rules = rules,
                                                .n = sizeof rules / sizeof rules[0] };
    static uint8_t room[1U << 20], out[1U << 20];
    static struct bundle again;
    const struct bpsec_work work = { .buf = buf,
                                     .bundle = bundle,
                                     .keys = keys,
                                     .policy = &policy,
                                     .room = room,
                                     .room_n = sizeof room };
    struct bytes bytes;

    if (bpsec_apply(&work, NULL) == RC_OK &&
        (bundle_encode(bundle, out, sizeof out, &bytes, NULL) != RC_OK ||
         bundle_decode(bytes, BUNDLE_LENIENT, &again, NULL) != RC_OK))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct bpsec_keyring keys = { .find = find_key };
    static const struct link_finder link_keys = { .find = find_keys };
    static uint8_t buf[1U << 20];
    static struct bundle bundle;
    struct link_opened opened;

    if (size > sizeof buf)
        return 0;
    memcpy(buf, data, size);
    if (bundle_decode((struct bytes){ .p = buf, .n = size }, BUNDLE_LENIENT, &bundle, NULL) ==
        RC_OK)
        (void)!bpsec_process(buf, &bundle, &keys, NULL);
    memcpy(buf, data, size);
    if (bundle_decode((struct bytes){ .p = buf, .n = size }, BUNDLE_LENIENT, &bundle, NULL) ==
        RC_OK)
        by_rules(buf, &bundle, &keys);
    memcpy(buf, data, size);
    if (link_open(buf, size, &link_keys, &opened, NULL) == RC_OK &&
        (opened.payload.p < buf || opened.payload.p + opened.payload.n > buf + size))
        abort();
    return 0;
}
