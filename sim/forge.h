/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/forge: the hostile objects of a scenario.  Each is as good as an attacker with that much
 * access could make it: really signed, really sealed, wrong in one way.
 */
#ifndef BERTH_SIM_FORGE_H
#define BERTH_SIM_FORGE_H

#include "base/bytes.h"
#include "base/err.h"

/* Paths below the work directory work_fd unless they are absolute. */
struct forge {
    int work_fd;
    const char *like;    /* an honest package to take the manifest from */
    const char *content; /* a compressed archive that the packer would refuse to make */
    const char *key;     /* private key file of the tenant */
    const char *root;    /* root envelope, for the mission */
    const char *out;
};

/* A package whose manifest and signature are right for its content, which is hostile. */
must_check enum rc forge_package(const struct forge *f, struct bytes passphrase, struct err *err);

/* The root that a thief of root keys would make: it follows the newest one of the ground's store,
 * and is signed by the stolen key, which is its only root key too. */
must_check enum rc forge_root(const struct forge *f, const char *home, struct bytes passphrase,
                              struct err *err);

/* The oldest order that was ever signed for a satellite, from the ground's store in directory
 * home, written to out: validly signed, no longer in force. */
must_check enum rc forge_old_order(int work_fd, const char *home, const char *satellite,
                                   const char *out, struct err *err);

/* The delta that a thief of the ground would send: every one that waits for a satellite gives way,
 * in the store of directory home and in its queues, to one of which the last byte is another.  The
 * last of them is written to out, too. */
must_check enum rc forge_delta(int work_fd, const char *home, const char *out, struct err *err);

#endif
