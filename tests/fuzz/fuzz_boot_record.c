/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "boot/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record that is taken encodes to the same bytes, and whatever happens next makes one that can be
 * written and read again: berth-boot never writes what it would refuse. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boot_record record, back;
    uint8_t buf[BOOT_RECORD_MAX];
    struct bytes in = { .p = data, .n = size }, out = { 0 };
    struct err err;

    if (boot_decode(in, &record, &err) != RC_OK)
        return 0;
    if (boot_encode(&record, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    for (unsigned i = 0; i < 4U * BOOT_EVENTS; i++) {
        const struct boot_news news = { .id = i % 2 ? record.candidate : record.current,
                                        .format = i,
                                        .ran = i,
                                        .code = RC_HEALTH_TIMEOUT };
        struct boot_record next = record;
        struct boot_id who;

        (void)!boot_next(&next, (enum boot_event)(i % BOOT_EVENTS), &news, &who);
        if (boot_encode(&next, buf, sizeof buf, &out, &err) != RC_OK ||
            boot_decode(out, &back, &err) != RC_OK || memcmp(&back, &next, sizeof back) != 0)
            abort();
        if (i >= BOOT_EVENTS) /* from there on */
            record = next;
    }
    return 0;
}
