/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/checking: everything that a satellite will check about a package, done on the ground
 * by the same code: signatures under the grant, digests, and a dry run of unpacking in
 * berth-unpack.
 */
#ifndef BERTH_ORCHESTRATOR_CHECKING_H
#define BERTH_ORCHESTRATOR_CHECKING_H

#include "manifest/envelope.h"
#include "orchestrator/home.h"
#include "update/package.h"
#include "update/verify.h"

/* A package that passed.  fd is a sealed copy of the file: what was checked is what is used. */
struct checked {
    int fd;
    uint64_t size;
    struct verified_payload *payload;
    bool unpacked; /* false: built for another machine, so the dry run was left out */
};
#define CHECKED_NONE                                                                               \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
void checked_done(struct checked *checked); /* scope cleaner */

must_check enum rc checking_package(const struct trust *trust, const char *path, uint64_t now_ms,
                                    struct checked *ret, struct err *err);

/* The manifest of a package that was pushed, from its file: owns the copy, and the envelope is a
 * view of it.  Not verified again, but it is the one of that digest.  RC_NO_PACKAGE. */
struct pushed {
    struct package package;
    struct envelope envelope;
    char name[2 * NAME_CAP + VERSION_CAP]; /* "acme/cam 1.0" */
};
void pushed_done(struct pushed *pushed); /* scope cleaner */
must_check enum rc checking_pushed(const struct home *home, const struct digest *manifest,
                                   struct pushed *ret, struct err *err);

/* Whether the trust still lets this version be ordered: signatures, grant, revocations.  running:
 * the satellite runs it already, so what is revoked may have been left to it. */
must_check enum rc checking_version(const struct home *home, const struct trust *trust,
                                    const struct digest *manifest, bool running, uint64_t now_ms,
                                    struct err *err);

/* Open a program that is installed beside this one (O_PATH). */
must_check enum rc checking_sibling(const char *name, int *ret_fd, struct err *err);

#endif
