/* SPDX-License-Identifier: Apache-2.0
 *
 * What decodes encodes to the same bytes, has a key of the link's own and at most two of anybody's,
 * and each of its keys is found by its number.
 */
#include <stdlib.h>

#include "link/keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(struct link_keyring *ring, uint32_t i)
{
    const struct link_key *key = &ring->key[i];

    if (link_keyring_receiver(ring, key->number) != key || key->number != keys_number(&key->keys))
        abort();
    if (i > 1 && strcmp(ring->key[i - 2].keys.tenant, key->keys.tenant) == 0)
        abort();
    if (!link_keyring_sender(ring, key->keys.tenant))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct link_keyring ring;
    static uint8_t buf[LINK_KEYRING_BYTES];
    struct bytes in = { data, size }, out = { 0 };
    struct err err;

    if (link_keyring_decode(in, &ring, &err) != RC_OK)
        return 0;
    if (link_keyring_encode(&ring, buf, sizeof buf, &out, &err) != RC_OK || !bytes_equal(in, out))
        abort();
    if (ring.n == 0 || ring.n > LINK_KEYRING_MAX || ring.key[0].keys.tenant[0] != '\0')
        abort();
    for (uint32_t i = 0; i < ring.n; i++)
        check_key(&ring, i);
    return 0;
}
