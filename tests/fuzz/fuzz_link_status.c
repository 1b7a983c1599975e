/* SPDX-License-Identifier: Apache-2.0
 *
 * What decodes as a status has ranges that can be relied on, encodes to the same bytes again, and
 * leads no sender astray: whatever the other end says, only objects that are queued are complete.
 */
#include <stdlib.h>

#include "link/sender.h"
#include "link/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t object[4096] = { 7 };
/* SHA-256 of these bytes, which seeds name. */
static const uint8_t digest[DIGEST_SIZE] = { 0xde, 0xc1, 0x59, 0x3a, 0x74, 0x56, 0xc8, 0xc9,
                                             0x40, 0x7b, 0x9b, 0x8b, 0x9c, 0x89, 0x68, 0x2d,
                                             0xff, 0xf3, 0x3c, 0x38, 0x92, 0xbc, 0xc9, 0xd9,
                                             0xf0, 0x69, 0x56, 0xfe, 0xe0, 0xa1, 0xb9, 0x49 };

static enum rc read_object(void *arg, uint64_t offset, uint8_t *buf, size_t n, struct err *err)
{
    (void)arg;
    (void)err;
    memcpy(buf, object + offset, n);
    return RC_OK;
}

static void tell_sender(const struct port_transfers *status)
{
    struct sender_options options = { .chunk_size = 1024 };
    struct sender_object queued = { .kind = OBJECT_MAIL, .size = sizeof object, .serial = 1 };
    scoped(sender_free) struct sender *sender = NULL;
    struct sender_progress at;
    struct err err;

    memcpy(queued.digest, digest, sizeof digest);
    if (sender_new(&options, &sender, &err) != RC_OK ||
        sender_add(sender, &queued, (struct sender_source){ .read = read_object }, &err) != RC_OK)
        abort();
    sender_report(sender, status, 1000);
    if (!sender_at(sender, 0, &at) || sender_at(sender, 1, &(struct sender_progress){ 0 }) ||
        at.missing > at.chunks || (at.complete && at.missing != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct port_transfers status;
    static uint8_t buf[STATUS_MAX];
    struct bytes in = { data, size }, out = { 0 };
    struct err err;

    if (status_decode(in, &status, &err) != RC_OK)
        return 0;
    if (!status_is(in) || !port_transfers_ok(&status) ||
        status_encode(&status, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    tell_sender(&status);
    return 0;
}
