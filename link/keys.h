/* SPDX-License-Identifier: Apache-2.0
 *
 * link/keys: one key of the link between the ground and one satellite: a 32-byte secret and what
 * grows from it.
 *
 * The first secret is made at provisioning; later ones come by rekey, each under the next key
 * epoch.  A tenant may have secrets of its own beside those of the link, and, which neither ground
 * nor agent hold, secrets between a payload and its own ground (link/sealkey).  Each direction has
 * its own two keys, derived with HKDF and bound to both node numbers, the key epoch, the tenant and
 * the payload, so nothing that one side sent can be sent back to it, or passed off as of another
 * epoch, tenant or payload.
 */
#ifndef BERTH_LINK_KEYS_H
#define BERTH_LINK_KEYS_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "link/seal.h"

#define LINK_SECRET_SIZE 32U

/* Secret: wipe with keys_wipe. */
struct keys {
    uint32_t ground;        /* node number, not 0 */
    uint32_t satellite;     /* node number, not 0, another one */
    char tenant[NAME_CAP];  /* whose key it is; "" = the link's own */
    char payload[NAME_CAP]; /* of the tenant, end to end; "" = a key of the link */
    uint32_t epoch;         /* of the secret; from 1 */
    uint8_t secret[LINK_SECRET_SIZE];
    struct link_keys up;   /* ground to satellite */
    struct link_keys down; /* satellite to ground */
};

/* A fresh secret of the link, epoch 1, and its keys.  RC_VALUE for node numbers that are zero or
 * equal. */
must_check enum rc keys_make(uint32_t ground, uint32_t satellite, struct keys *ret,
                             struct err *err);

/* Fill in up and down from all the rest.  RC_VALUE for node numbers or an epoch that cannot be,
 * RC_NAME for a tenant or payload that is no name. */
must_check enum rc keys_derive(struct keys *keys, struct err *err);

/* The number of a key on the wire: the epoch, and above it 32 bits of the tenant: zero for the
 * link's own, else the first 4 bytes of SHA-256 over TENANT or TENANT/PAYLOAD.  0 when that cannot
 * be computed. */
uint64_t keys_number(const struct keys *keys);

/* Overwrite the secrets; a scope cleaner. */
void keys_wipe(struct keys *keys);

#endif
