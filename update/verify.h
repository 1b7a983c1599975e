/* SPDX-License-Identifier: Apache-2.0
 *
 * update/verify: from a package that anyone may have sent to a payload that its tenant signed.
 *
 * struct verified_payload exists only after the tenant's signatures held under its grant and the
 * content matched size and digest of the signed manifest.  It holds the descriptor that was
 * checked, and unpacking takes nothing else: what was verified is what is used.
 */
#ifndef BERTH_UPDATE_VERIFY_H
#define BERTH_UPDATE_VERIFY_H

#include "manifest/trust.h"

struct verified_payload; /* opaque */

/* Verify the package in fd.  fd must be one that nobody else can write: a sealed memfd, or a plain
 * file with one link that belongs to this user or root and that group and others cannot write
 * (RC_NOT_REGULAR).  Besides package_open's and trust_verify_manifest's codes: RC_PACKAGE_SIZE,
 * RC_DIGEST_MISSING (an all-zero digest), RC_DIGEST_MISMATCH.  fd stays the caller's; the payload
 * keeps a duplicate. */
must_check enum rc payload_verify(const struct trust *trust, int fd, uint64_t now_ms,
                                  struct verified_payload **ret, struct err *err);

/* Free the payload and close its descriptor.  Takes the address, a scope cleaner. */
void payload_free(struct verified_payload **payload);

/* Views that live as long as the payload. */
const struct verified_manifest *payload_verified(const struct verified_payload *payload);
const struct manifest *payload_manifest(const struct verified_payload *payload);
const struct digest *payload_digest(const struct verified_payload *payload); /* of the manifest */
struct bytes payload_envelope(const struct verified_payload *payload);

/* Where the content is: the descriptor (not the caller's to close; read it with pread) and the
 * offset of its first byte. */
int payload_fd(const struct verified_payload *payload);
uint64_t payload_content_at(const struct verified_payload *payload);

/* Copy a package of at most PACKAGE_FILE_MAX bytes from any readable plain file into a sealed
 * memfd, for payload_verify: the ground's way to look at a file that others may write. */
must_check enum rc payload_seal(int fd, int *ret_fd, struct err *err);

#endif
