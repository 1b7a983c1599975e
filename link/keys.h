/* SPDX-License-Identifier: Apache-2.0
 *
 * link/keys: the keys of the link between the ground and one satellite.
 *
 * One 32-byte secret per satellite is made at provisioning and kept on both sides in a state file.
 * Each direction has its own two keys, derived with HKDF and bound to both node numbers and the key
 * epoch, so nothing that one side sent can be sent back to it.  A key file that is missing, empty,
 * damaged or of another shape is RC_KEY_FILE: the caller then refuses everything.
 */
#ifndef BERTH_LINK_KEYS_H
#define BERTH_LINK_KEYS_H

#include "base/bytes.h"
#include "base/err.h"
#include "link/seal.h"

#define LINK_SECRET_SIZE 32U

/* Secret: wipe with keys_wipe. */
struct keys {
    uint32_t ground;    /* node number, not 0 */
    uint32_t satellite; /* node number, not 0, another one */
    uint32_t epoch;     /* of the secret; from 1 */
    uint8_t secret[LINK_SECRET_SIZE];
    struct link_keys up;   /* ground to satellite */
    struct link_keys down; /* satellite to ground */
};

/* A fresh secret and its keys.  RC_VALUE for node numbers that are zero or equal. */
must_check enum rc keys_make(uint32_t ground, uint32_t satellite, struct keys *ret,
                             struct err *err);

/* Save as state file NAME.{a,b}, durably. */
must_check enum rc keys_save(int dirfd, const char *name, const struct keys *keys, struct err *err);

/* Load and derive.  RC_KEY_FILE for whatever is wrong with the file. */
must_check enum rc keys_load(int dirfd, const char *name, struct keys *ret, struct err *err);

/* Overwrite the secrets; a scope cleaner. */
void keys_wipe(struct keys *keys);

#endif
