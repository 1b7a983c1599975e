/* SPDX-License-Identifier: Apache-2.0
 *
 * What decodes as the key file or as the ring of an end-to-end key encodes to the same bytes, is
 * for a payload of a tenant, and has an epoch to seal under.
 */
#include <stdlib.h>

#include "link/sealkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_keyfile(struct bytes in)
{
    uint8_t buf[SEAL_KEYFILE_MAX];
    struct keys keys = { 0 };
    enum seal_end to = SEAL_GROUND;
    struct bytes out = { 0 };
    struct err err;

    if (seal_keyfile_decode(in, &to, &keys, &err) != RC_OK)
        return;
    if (seal_keyfile_encode(&keys, to, buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    if (keys.tenant[0] == '\0' || keys.payload[0] == '\0' || keys.epoch == 0)
        abort();
}

static void check_ring(struct bytes in)
{
    uint8_t buf[SEAL_RING_MAX];
    struct seal_ring ring = { 0 };
    struct bytes out = { 0 };
    struct err err;

    if (seal_ring_decode(in, &ring, &err) != RC_OK)
        return;
    if (seal_ring_encode(&ring, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    if (ring.n == 0 || ring.n > SEAL_EPOCHS_MAX || seal_ring_sender(&ring)->until_ms != 0)
        abort();
    for (uint32_t i = 0; i < ring.n; i++) {
        const struct seal_epoch *e = &ring.epoch[i];

        if (e->until_ms == 0 && seal_ring_receiver(&ring, e->number, UINT64_MAX) != e)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_keyfile((struct bytes){ data, size });
    check_ring((struct bytes){ data, size });
    return 0;
}
